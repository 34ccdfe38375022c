// SPDX-License-Identifier: MIT
//
// A value, or one line that says why there is none. Nothing below main() prints or ends the
// process: the reader also lives inside `heapster run`, which has a child to wait for, so every
// fault has to come back to the caller as a plain value.

#pragma once

#include <optional>
#include <string>
#include <utility>

namespace heapster::reader {

struct Error {
  std::string text;
};

template <class T>
class [[nodiscard]] Result {
 public:
  Result(T value) : value_(std::move(value)) {}
  Result(Error error) : error_(std::move(error.text)) {}

  explicit operator bool() const { return value_.has_value(); }
  T& operator*() { return *value_; }
  const T& operator*() const { return *value_; }
  T* operator->() { return &*value_; }
  const T* operator->() const { return &*value_; }

  // Meaningful only where there is no value.
  Error error() const { return Error{error_}; }

 private:
  std::optional<T> value_;
  std::string error_;
};

// The result of something done for its effect.
struct Done {};

}  // namespace heapster::reader
