// SPDX-License-Identifier: MIT
//
// A program that uses every form of operator new and delete, and says how often:
//   new_forms ROUNDS
//   new_forms fail
// It knows nothing of heapster. Sizes are multiples of their alignments, which libstdc++ rounds up to.

#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <initializer_list>
#include <new>

namespace {

constexpr size_t kSize = 128;
constexpr std::align_val_t kAlignment{64};

long long allocs;
long long frees;
long long nulls;

void* make(bool array, bool aligned, bool nothrow) {
  ++allocs;
  if (array) {
    if (aligned && nothrow) return ::operator new[](kSize, kAlignment, std::nothrow);
    if (aligned) return ::operator new[](kSize, kAlignment);
    return nothrow ? ::operator new[](kSize, std::nothrow) : ::operator new[](kSize);
  }
  if (aligned && nothrow) return ::operator new(kSize, kAlignment, std::nothrow);
  if (aligned) return ::operator new(kSize, kAlignment);
  return nothrow ? ::operator new(kSize, std::nothrow) : ::operator new(kSize);
}

enum class Form { kPlain, kSized, kNothrow };

void unmake_array(void* block, bool aligned, Form form) {
  if (aligned && form == Form::kPlain) return ::operator delete[](block, kAlignment);
  if (aligned && form == Form::kSized) return ::operator delete[](block, kSize, kAlignment);
  if (aligned) return ::operator delete[](block, kAlignment, std::nothrow);
  if (form == Form::kPlain) return ::operator delete[](block);
  if (form == Form::kSized) return ::operator delete[](block, kSize);
  return ::operator delete[](block, std::nothrow);
}

void unmake(void* block, bool array, bool aligned, Form form) {
  ++(block != nullptr ? frees : nulls);
  if (array) return unmake_array(block, aligned, form);
  if (aligned && form == Form::kPlain) return ::operator delete(block, kAlignment);
  if (aligned && form == Form::kSized) return ::operator delete(block, kSize, kAlignment);
  if (aligned) return ::operator delete(block, kAlignment, std::nothrow);
  if (form == Form::kPlain) return ::operator delete(block);
  if (form == Form::kSized) return ::operator delete(block, kSize);
  return ::operator delete(block, std::nothrow);
}

void use_each_form() {
  for (const bool array : {false, true}) {
    for (const bool aligned : {false, true}) {
      for (const Form form : {Form::kPlain, Form::kSized, Form::kNothrow}) {
        for (const bool nothrow : {false, true}) unmake(make(array, aligned, nothrow), array, aligned, form);
        unmake(nullptr, array, aligned, form);
      }
    }
  }
}

// The failures of both kinds, as the standard has them.
bool fail_as_they_should() {
  volatile size_t too_much = PTRDIFF_MAX - 64;
  try {
    ::operator delete(::operator new(too_much));
    return false;
  } catch (const std::bad_alloc&) {
  }
  return ::operator new(too_much, std::nothrow) == nullptr;
}

int handled = 0;

void handle() {
  if (++handled == 3) std::set_new_handler(nullptr);
}

bool call_the_handler() {
  std::set_new_handler(handle);
  return fail_as_they_should() && handled == 3;
}

}  // namespace

int main(int argument_count, char** arguments) {
  if (argument_count != 2) return 2;
  if (std::strcmp(arguments[1], "fail") == 0) return fail_as_they_should() && call_the_handler() ? 0 : 1;
  const int rounds = std::atoi(arguments[1]);
  for (int i = 0; i < rounds; ++i) use_each_form();
  void* left[5] = {};
  for (size_t i = 0; rounds != 0 && i < 5; ++i) left[i] = make(i % 2 != 0, false, false);
  std::printf("alloc_count %lld\nalloc_sum %lld\ndealloc_count %lld\nfree_null_count %lld\nlive_count %d\n", allocs,
              allocs * static_cast<long long>(kSize), frees, nulls, rounds != 0 ? 5 : 0);
  std::fflush(stdout);
  return rounds != 0 && left[4] == nullptr ? 1 : 0;
}
