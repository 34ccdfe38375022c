// SPDX-License-Identifier: MIT
//
// A count that may be unknown. A file tells by name which numbers it holds; one that it lacks
// must not be shown as 0, and nor must anything that is made from it. So "unknown" travels
// through + and -, and the formulas of counters.def need not think of it.
//
// Sums wrap like the words they come from: a cell that goes down (live_shift) is stored in two's
// complement, and only the total is read as signed.

#pragma once

#include <cstdint>
#include <optional>

namespace heapster::reader {

class Number {
 public:
  constexpr Number() = default;
  constexpr Number(uint64_t word) : word_(word), known_(true) {}

  constexpr bool known() const { return known_; }
  constexpr uint64_t word() const { return word_; }
  constexpr std::optional<int64_t> value() const {
    return known_ ? std::optional<int64_t>(static_cast<int64_t>(word_)) : std::nullopt;
  }

  friend constexpr Number operator+(Number a, Number b) { return {a.word_ + b.word_, a.known_ && b.known_}; }
  friend constexpr Number operator-(Number a, Number b) { return {a.word_ - b.word_, a.known_ && b.known_}; }
  friend constexpr bool operator==(Number, Number) = default;

 private:
  constexpr Number(uint64_t word, bool known) : word_(known ? word : 0), known_(known) {}

  uint64_t word_ = 0;
  bool known_ = false;
};

}  // namespace heapster::reader
