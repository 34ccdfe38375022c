// SPDX-License-Identifier: MIT
//
// Which allocations are to fail, as HEAPSTER_FAIL says it:
//   every:1000          the 1,000th, the 2,000th, …
//   nth:42              the 42nd alone
//   prob:0.001,seed:7   each with that probability; another seed, another choice (0 where none is given)
//   size>1M             those that ask for more
// The preload reads rules by this, and the command line refuses by it what the preload would ignore.

#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "layout/sizes.h"

namespace heapster {

enum class Rule : uint32_t { kNone, kEvery, kNth, kProbability, kAbove };

struct Failures {
  Rule rule = Rule::kNone;
  uint64_t number = 0;  // of the attempt, of 2^64 draws, or of bytes
  uint64_t seed = 0;
};

// Digits alone, 18 at most; moves past them.
constexpr bool take_digits(std::string_view& text, uint64_t& number, size_t& count) {
  constexpr size_t kMostDigits = 18;
  number = 0;
  for (count = 0; count < text.size() && text[count] >= '0' && text[count] <= '9'; ++count) {
    if (count == kMostDigits) return false;
    number = number * 10 + static_cast<uint64_t>(text[count] - '0');
  }
  text.remove_prefix(count);
  return count != 0;
}

constexpr bool take_word(std::string_view& text, std::string_view word) {
  if (!text.starts_with(word)) return false;
  text.remove_prefix(word.size());
  return true;
}

// How many of 2^64 draws: "0.001" to "1". 0 where the text is no probability, or says never.
constexpr uint64_t take_probability(std::string_view& text) {
  uint64_t whole = 0;
  uint64_t part = 0;
  size_t digits = 0;
  if (!take_digits(text, whole, digits) || whole > 1) return 0;
  if (take_word(text, ".") && !take_digits(text, part, digits)) return 0;
  if (whole == 1) return part == 0 ? UINT64_MAX : 0;
  double value = static_cast<double>(part);
  for (; part != 0 && digits != 0; --digits) value /= 10;
  return static_cast<uint64_t>(value * 0x1p64);
}

// Rule::kNone where the text is no such rule.
constexpr Failures parse_failures(std::string_view text) {
  Failures failures;
  size_t digits = 0;
  if (take_word(text, "size>")) {
    failures = {Rule::kAbove, parse_size(text), 0};
    text = {};
  } else if (take_word(text, "prob:")) {
    failures = {Rule::kProbability, take_probability(text), 0};
    if (take_word(text, ",seed:") && !take_digits(text, failures.seed, digits)) return {};
  } else {
    failures.rule = take_word(text, "every:") ? Rule::kEvery : take_word(text, "nth:") ? Rule::kNth : Rule::kNone;
    if (!take_digits(text, failures.number, digits)) return {};
  }
  return failures.number != 0 && text.empty() ? failures : Failures{};
}

static_assert(parse_failures("every:1000").number == 1000 && parse_failures("size>1M").number == 1024 * 1024);
static_assert(parse_failures("prob:0.5,seed:7").number == uint64_t{1} << 63);
static_assert(parse_failures("prob:0.5,seed:7").seed == 7 && parse_failures("prob:1").number == UINT64_MAX);
static_assert(parse_failures("nth:0").rule == Rule::kNone && parse_failures("42").rule == Rule::kNone);

}  // namespace heapster
