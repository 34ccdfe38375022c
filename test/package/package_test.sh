#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# Installs a build below a directory of its own, as a distribution would, and uses it from there:
# package_test.sh BUILD SOURCES
set -euo pipefail

build=$1
sources=$2
root=$(mktemp -d)
runs=$(mktemp -d /dev/shm/heapster-test-XXXXXX)
trap 'rm -rf "$root" "$runs"' EXIT
export HEAPSTER_RUN_DIR=$runs

cmake --install "$build" --prefix "$root/usr" >"$root/log"
for file in bin/heapster bin/heapster-run include/heapster/counters.def include/heapster/memory_usage.hpp \
  share/doc/heapster/LICENSE share/doc/heapster/README.md share/doc/heapster/docs/format.md; do
  [ -e "$root/usr/$file" ] || { echo "not installed: $file"; exit 1; }
done
for library in libheapster.so libheapster-new.so; do
  find "$root/usr" -name "$library" | grep -q . || { echo "not installed: $library"; exit 1; }
done

cd "$root"
usr/bin/heapster-run perl -e 'my @a = (1..1000); exit 3' 2>report && status=0 || status=$?
[ "$status" = 3 ] || { echo "exit status $status"; cat report; exit 1; }
grep -q 'Allocations' report || { echo "no report"; cat report; exit 1; }
usr/bin/heapster show heapster.perl.*.heap >/dev/null

# A project outside the tree gets at the headers in each of the three ways, and runs measured.
cat >"$root/program.cpp" <<'EOF'
#include <cstdlib>
#include <heapster/heapster.hpp>
#include <heapster/memory_resource.hpp>
#include <heapster/memory_usage.hpp>
#include <vector>
int main() {
  void* block = nullptr;
  const auto measured = heapster::measure_thread([&] { block = std::malloc(123); });
  const bool right = heapster::active() && measured.stats.alloc_sum == 123;
  std::free(block);
  std::vector<int> numbers;
  numbers.reserve(100);
  heapster::tracked_arena<std::pmr::monotonic_buffer_resource> arena{"frame"};
  std::pmr::vector<int> others(100, &arena);
  return right && heapster::dynamic_usage(numbers) == 400 && others.size() == 100 ? 0 : 1;
}
EOF
cat >"$root/CMakeLists.txt" <<'EOF'
cmake_minimum_required(VERSION 3.25)
project(outside LANGUAGES CXX)
find_package(heapster 0.1 REQUIRED)
add_executable(by_cmake program.cpp)
target_compile_features(by_cmake PRIVATE cxx_std_20)
target_compile_options(by_cmake PRIVATE -fno-builtin)
target_link_libraries(by_cmake PRIVATE heapster::heapster)
EOF
cmake -S "$root" -B "$root/by" -DCMAKE_PREFIX_PATH="$root/usr" >>"$root/log"
cmake --build "$root/by" >>"$root/log"
# As a part of another project it brings the headers, and changes nothing there.
mkdir part
cp program.cpp part
cat >part/CMakeLists.txt <<EOF
cmake_minimum_required(VERSION 3.25)
project(whole LANGUAGES CXX)
add_subdirectory($sources heapster)
if(CMAKE_BUILD_TYPE OR CMAKE_RUNTIME_OUTPUT_DIRECTORY OR CMAKE_CXX_STANDARD)
  message(FATAL_ERROR "heapster changed the project's settings")
endif()
add_executable(by_part program.cpp)
target_compile_features(by_part PRIVATE cxx_std_20)
target_compile_options(by_part PRIVATE -fno-builtin)
target_link_libraries(by_part PRIVATE heapster::heapster)
EOF
cmake -S part -B "$root/parts" -DCMAKE_DISABLE_FIND_PACKAGE_fmt=ON >>"$root/log"
cmake --build "$root/parts" >>"$root/log"
flags=$(PKG_CONFIG_PATH=$(dirname "$(find "$root/usr" -name heapster.pc)") pkg-config --cflags --libs heapster)
# shellcheck disable=SC2086
c++ -std=c++20 -fno-builtin -o by_pkg_config program.cpp $flags
mkdir own
cp -r usr/include/heapster own
c++ -std=c++20 -fno-builtin -Iown -o by_copy program.cpp -ldl
for program in by/by_cmake parts/by_part ./by_pkg_config ./by_copy; do
  usr/bin/heapster-run -q -o none "$program" || { echo "$program does not find heapster"; exit 1; }
  ! "$program" || { echo "$program finds heapster where there is none"; exit 1; }
done
echo "the installed heapster works"
