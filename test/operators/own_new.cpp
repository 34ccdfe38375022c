// SPDX-License-Identifier: MIT
//
// A program with an operator new of its own, upon malloc, as compilers and browsers have one:
//   own_new ROUNDS
// It says how many blocks it was asked for.

#include <cstdio>
#include <cstdlib>
#include <new>

namespace {

long long allocs;

}  // namespace

void* operator new(std::size_t size) {
  void* block = std::malloc(size);
  if (block == nullptr) std::abort();
  return block;
}
void operator delete(void* block) noexcept { std::free(block); }
void operator delete(void* block, std::size_t) noexcept { std::free(block); }

int main(int count, char** arguments) {
  const int rounds = count > 1 ? std::atoi(arguments[1]) : 1;
  for (int i = 0; i < rounds; ++i, ++allocs) ::operator delete(::operator new(3000));
  std::printf("alloc_count %lld\n", allocs);
  return 0;
}
