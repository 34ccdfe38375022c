#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# The Debian packages that heapster needs, by purpose, and how they come onto the machine:
#   tools/packages.sh build|unit|test|compat…   installs what is missing (as root), or prints the apt-get
#                                     line and exits with 2
set -euo pipefail

packages_for() {
  case "$1" in
    build)
      echo g++ cmake ninja-build libfmt-dev libcli11-dev nlohmann-json3-dev libelf-dev libdw-dev libiberty-dev
      echo libprotozero-dev zlib1g-dev systemtap-sdt-dev
      ;;
    test)
      echo libgtest-dev libgmock-dev libbenchmark-dev catch2 doctest-dev pkg-config clang libclang-rt-14-dev
      echo valgrind libc-devtools prometheus perl python3 sqlite3 make procps jq gdb binutils util-linux libdebuginfod1
      echo libjemalloc2 libmimalloc2.0 libtcmalloc-minimal4 redis-server redis-tools rustc
      echo fakeroot libeatmydata1 faketime libunwind-dev default-jdk-headless
      echo golang-go google-perftools chromium nodejs strace musl-tools
      command -v npm >/dev/null || echo npm # a nodejs that is not Debian's may bring its own
      ;;
    unit) echo libgtest-dev libgmock-dev ;;
    bench) echo libbenchmark-dev libc-devtools heaptrack libjemalloc2 libunwind-dev perl python3 sqlite3 util-linux ;;
    compat)
      echo bash dash coreutils findutils git make apt man-db groff-base file openssh-client openssh-server
      echo perl python3 g++ libpython3-dev nodejs openjdk-17-jdk-headless golang-go rustc gcc clang
      echo sqlite3 redis-server redis-tools postgresql nginx-light apache2 libapache2-mod-php curl memcached
      echo gdb xvfb x11-utils tmux chromium
      ;;
    check) echo clang-format clang-tidy shellcheck ;;
    *)
      echo "packages.sh: unknown purpose '$1'" >&2
      exit 2
      ;;
  esac
}

missing=()
for purpose in "$@"; do
  for package in $(packages_for "$purpose"); do
    status=$(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null || true)
    [ "$status" = installed ] || missing+=("$package")
  done
done
[ "${#missing[@]}" -ne 0 ] || exit 0

install_line="apt-get install -y --no-install-recommends ${missing[*]}"
if [ "$(id -u)" -ne 0 ] || ! command -v apt-get >/dev/null; then
  echo "heapster needs packages that are not installed; as root, run:" >&2
  echo "  apt-get update && $install_line" >&2
  exit 2
fi
echo "installing: ${missing[*]}" >&2
export DEBIAN_FRONTEND=noninteractive
apt-get update -qq >&2
# Services that packages bring (redis, prometheus) are for the tests to start, not for dpkg.
policy=/usr/sbin/policy-rc.d
if [ ! -e "$policy" ]; then
  printf '#!/bin/sh\nexit 101\n' >"$policy"
  chmod +x "$policy"
  trap 'rm -f "$policy"' EXIT
fi
$install_line -qq >&2
