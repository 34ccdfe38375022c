// SPDX-License-Identifier: MIT
//
// How counters are written. A shard has one writer, so an add needs no lock prefix; but a signal
// handler of that very thread may allocate between a load and a store, and a reader may look at
// any moment. On x86-64 one `add` to memory settles both: it cannot be torn by a signal, and the
// word is never seen half written. Elsewhere (and for TSan) it is a relaxed load and store.

#pragma once

#include <cstddef>
#include <cstdint>

namespace heapster::preload {

#if defined(__x86_64__) && !defined(__SANITIZE_THREAD__)
#define HEAPSTER_ONE_INSTRUCTION_ADD 1
#else
#define HEAPSTER_ONE_INSTRUCTION_ADD 0
#endif

template <typename T>
inline T load(const T& word) {
  T value;  // not __atomic_load_n, which clang refuses for an enum
  __atomic_load(&word, &value, __ATOMIC_RELAXED);
  return value;
}

template <typename T>
inline void store(T& word, T value) {
  __atomic_store(&word, &value, __ATOMIC_RELAXED);
}

// Copies what others may be writing to: no word is torn, though two may be of two moments. Both are aligned for words.
inline void copy_words(void* to, const void* from, size_t bytes) {
  auto* target = static_cast<uint64_t*>(to);
  const auto* source = static_cast<const uint64_t*>(from);
  for (size_t i = 0; i < bytes / sizeof *source; ++i) store(target[i], load(source[i]));
}

// A word that hardly ever changes, on the hot path. gcc folds a plain read into the instruction that uses it, and an
// atomic one never; an aligned word is not read in halves either way. TSan gets the atomic read that is meant.
template <typename T>
inline T glance(const T& word) {
#if defined(__SANITIZE_THREAD__)
  return load(word);
#else
  return word;
#endif
}

// The only writer of a word adds to it.
struct Alone {
  static constexpr bool kIsAlone = true;
  template <typename T>
  static void add(T& word, T by) {
#if HEAPSTER_ONE_INSTRUCTION_ADD
    if constexpr (sizeof word == sizeof(uint32_t)) {
      asm("addl %1, %0" : "+m"(word) : "er"(by) : "cc");
    } else {
      asm("addq %1, %0" : "+m"(word) : "er"(by) : "cc");
    }
#else
    store(word, static_cast<T>(load(word) + by));
#endif
  }
  // No instruction does this. What a signal's handler adds in between is lost, and the sum is a little off.
  static void add(double& word, double by) { store(word, load(word) + by); }
  template <typename T>
  static void subtract(T& word, T by) {
#if HEAPSTER_ONE_INSTRUCTION_ADD
    asm("subq %1, %0" : "+m"(word) : "er"(by) : "cc");
#else
    store(word, static_cast<T>(load(word) - by));
#endif
  }
  // True where the word fell below zero.
  static bool take(int64_t& word, int64_t by) {
#if HEAPSTER_ONE_INSTRUCTION_ADD
    bool negative;
    asm("subq %2, %0" : "+m"(word), "=@ccs"(negative) : "er"(by) : "cc");
    return negative;
#else
    store(word, load(word) - by);
    return load(word) < 0;
#endif
  }
  // To a value that was seen to be larger; nobody but a signal's handler can have raised it since.
  static void raise(int64_t& word, int64_t value) { store(word, value); }
};

// One of many writers adds.
struct Together {
  static constexpr bool kIsAlone = false;
  template <typename T>
  static void add(T& word, T by) {
    __atomic_fetch_add(&word, by, __ATOMIC_RELAXED);
  }
  static void add(double& word, double by) {
    double seen = load(word), sum;
    do {
      sum = seen + by;
    } while (!__atomic_compare_exchange(&word, &seen, &sum, true, __ATOMIC_RELAXED, __ATOMIC_RELAXED));
  }
  template <typename T>
  static void subtract(T& word, T by) {
    __atomic_fetch_sub(&word, by, __ATOMIC_RELAXED);
  }
  static bool take(int64_t& word, int64_t by) { return __atomic_sub_fetch(&word, by, __ATOMIC_RELAXED) < 0; }
  template <typename T>
  static void raise(T& word, T value) {
    T seen = load(word);
    while (value > seen &&
           !__atomic_compare_exchange_n(&word, &seen, value, true, __ATOMIC_RELAXED, __ATOMIC_RELAXED)) {
    }
  }
};

// A lock that is only ever tried. Whoever does not get it goes without.
class TryLock {
 public:
  explicit TryLock(uint32_t& word) : word_(word), held_(__atomic_exchange_n(&word, 1u, __ATOMIC_ACQUIRE) == 0) {}
  ~TryLock() {
    if (held_) __atomic_store_n(&word_, 0u, __ATOMIC_RELEASE);
  }
  TryLock(const TryLock&) = delete;
  TryLock& operator=(const TryLock&) = delete;
  explicit operator bool() const { return held_; }

 private:
  uint32_t& word_;
  bool held_;
};

}  // namespace heapster::preload
