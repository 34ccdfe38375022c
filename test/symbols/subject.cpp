// SPDX-License-Identifier: MIT
//
// A program that prints where its calls return to, as addresses in its file; each from a function of another kind.
// The test knows the lines by the words behind them.

#include <cstdio>

extern "C" const char __executable_start;

__attribute__((noinline)) void tell() {
  const auto* to = static_cast<const char*>(__builtin_return_address(0));
  std::printf("%zx\n", static_cast<size_t>(to - &__executable_start));
}

namespace shop {

inline __attribute__((always_inline)) void shelf(int) {
  tell();  // line: shelf
  asm volatile("");
}

inline __attribute__((always_inline)) void aisle() {
  shelf(3);  // line: aisle
}

struct Basket {
  __attribute__((noinline)) void fill(int count);
};

void Basket::fill(int count) {
  if (count > 0) aisle();  // line: fill
  asm volatile("");
}

}  // namespace shop

namespace {

struct Till {
  __attribute__((noinline)) void count() {
    tell();
    asm volatile("");
  }
};

}  // namespace

extern "C" __attribute__((noinline)) void plain() {
  tell();  // line: plain
  asm volatile("");
}

__attribute__((noinline)) void older() __asm__("_ZN4shop5older17h0123456789abcdefE");
void older() {
  tell();
  asm volatile("");
}

__attribute__((noinline)) void newer() __asm__("_RNvCskwGfYPst2Cb_4shop5newer");
void newer() {
  tell();
  asm volatile("");
}

int main(int count, char**) {
  shop::Basket().fill(count);
  plain();
  older();
  newer();
  Till().count();
}
