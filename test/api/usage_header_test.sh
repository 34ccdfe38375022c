#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# What compiles with heapster/memory_usage.hpp and what does not: usage_header_test.sh SOURCES
# The header stands alone without a warning, in every language version, with RTTI and exceptions and without, and over libc++
# where that is installed. A type that nobody taught ends in one sentence that says how to teach it.
set -euo pipefail

sources=$1
header=$sources/include/heapster/memory_usage.hpp
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
broken=0
broken() {
  echo "broken: $*"
  broken=1
}

# Standard headers only: one word in angle brackets.
if grep -nE '^ *# *include' "$header" | grep -vE '#include <[a-z_]+>$'; then broken "includes more than the library"; fi

flags=(-Wall -Wextra -Wpedantic -Wconversion -Wshadow -Werror -fsyntax-only -I"$sources/include")
cat >"$work/used.cpp" <<'CPP'
#include "heapster/memory_usage.hpp"
#include "heapster/memory_usage.hpp"
struct Base { virtual ~Base() = default; HEAPSTER_MEMORY_USAGE(Base) };
struct Taught { std::string name; HEAPSTER_MEMORY_USAGE(Taught, name) };
std::size_t of(const std::map<std::string, std::vector<std::shared_ptr<Taught>>>& x) { return heapster::dynamic_usage(x); }
std::size_t of(const std::unique_ptr<Base>& x) { return heapster::total_usage(x); }
std::size_t of(const std::deque<std::weak_ptr<Taught>>& x) { return heapster::dynamic_usage_bounds(x).lower; }
CPP
over_libcxx=()
if clang++ -stdlib=libc++ -fsyntax-only -include version -x c++ /dev/null 2>/dev/null; then
  over_libcxx=('clang++ -std=c++20 -stdlib=libc++' 'clang++ -std=c++2b -stdlib=libc++ -fno-rtti')
fi
for line in 'g++ -std=c++20' 'g++ -std=c++23' 'g++ -std=c++20 -fno-rtti -fno-exceptions' \
  'g++ -std=c++20 -D_GLIBCXX_DEBUG -D_GLIBCXX_USE_CXX11_ABI=0' 'clang++ -std=c++20 -stdlib=libstdc++' \
  "${over_libcxx[@]}"; do
  read -r -a compiler <<<"$line"
  "${compiler[@]}" "${flags[@]}" "$work/used.cpp" || broken "it does not stand alone with ${compiler[*]}"
done

# Each of these has to be refused, and all of them are accepted once they were taught.
cat >"$work/untaught.cpp" <<'CPP'
#include "heapster/memory_usage.hpp"
struct Plain {
  std::string name;
#ifdef TEACH
  HEAPSTER_MEMORY_USAGE(Plain, name)
#endif
};
struct Taught { std::string name; HEAPSTER_MEMORY_USAGE(Taught, name) };
struct Derived : Taught {
  std::string more;
#ifdef TEACH
  void heapster_usage(heapster::UsageMeter& meter) const { meter.add(static_cast<const Taught&>(*this), more); }
#endif
};
namespace theirs { struct List : std::vector<int> { std::string name; }; }
#ifdef TEACH
namespace theirs {
void heapster_usage(heapster::UsageMeter& meter, const List& x) {
  meter.add(static_cast<const std::vector<int>&>(x), x.name);
}
}
#endif
#ifdef TEACH
std::size_t of(const Plain& x, const Derived& y, const theirs::List& z) {
  return heapster::dynamic_usage(x) + heapster::dynamic_usage(y) + heapster::dynamic_usage(z);
}
#else
std::size_t of(const SUBJECT& x) { return heapster::dynamic_usage(x); }
#endif
CPP
sentence='heapster does not know what this type owns on the heap. Teach it in one of three ways'
for compiler in g++ clang++; do
  command=("$compiler" -std=c++20 -fsyntax-only "-I$sources/include" "$work/untaught.cpp")
  "${command[@]}" -DTEACH || broken "$compiler refuses types that were taught"
  for subject in Plain Derived theirs::List 'std::map<int, std::shared_ptr<Plain>>'; do
    if "${command[@]}" "-DSUBJECT=$subject" 2>"$work/errors"; then broken "$compiler accepts $subject untaught"; fi
    grep -qF "$sentence" "$work/errors" || broken "$compiler does not say the sentence for $subject"
    errors=$(grep -cE '(^|[^a-z])error: ' "$work/errors" || true)
    [ "$errors" = 1 ] || broken "$compiler says $errors errors for $subject, not one"
  done
done

[ "$broken" = 0 ] && echo "the header keeps its word"
exit "$broken"
