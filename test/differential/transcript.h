// SPDX-License-Identifier: MIT
//
// What a worker saw, as one number that two runs can be compared by, and, for the rounds that are
// asked for, in words. Written without allocating: the heap under test is the program's only.

#pragma once

#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <unistd.h>

namespace differential {

class Transcript {
 public:
  // Words from here on go to the standard output, or nowhere.
  void speak(bool aloud) { aloud_ = aloud; }

  // A new operation; what it saw follows on the same line.
  void begin(int worker, uint64_t number, const char* name) {
    if (aloud_) say("\nworker %d operation %llu: %s", worker, static_cast<unsigned long long>(number), name);
  }

  // What the operation was given: chosen by the seed, so only told in words.
  void given(const char* name, uint64_t value) {
    if (aloud_) say(" %s=%llu", name, static_cast<unsigned long long>(value));
  }

  // What it saw: has to be the same in both runs.
  void saw(const char* name, uint64_t value) {
    digest_ = (digest_ ^ value) * 0x9e3779b97f4a7c15u;
    digest_ ^= digest_ >> 29;
    if (aloud_) say(" [%s %llu]", name, static_cast<unsigned long long>(value));
  }

  // Writes out what was said, when nobody else is at it.
  void flush() {
    for (size_t written = 0; written < used_;) {
      const ssize_t size = write(1, text_ + written, used_ - written);
      if (size <= 0) break;
      written += static_cast<size_t>(size);
    }
    used_ = 0;
  }

  uint64_t digest() const { return digest_; }

 private:
  __attribute__((format(printf, 2, 3))) void say(const char* format, ...) {
    if (used_ > sizeof text_ - 256) return;  // a round that is longer than this is told to here
    va_list values;
    va_start(values, format);
    const int size = vsnprintf(text_ + used_, sizeof text_ - used_, format, values);
    va_end(values);
    if (size > 0) used_ += static_cast<size_t>(size);
  }

  uint64_t digest_ = 0;
  bool aloud_ = false;
  size_t used_ = 0;
  char text_[1 << 20];
};

}  // namespace differential
