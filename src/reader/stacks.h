// SPDX-License-Identifier: MIT
//
// Sampled stacks as values: who allocated what is live, and what was. A sample stands for itself and for the blocks
// that were not sampled, so all sums here but `samples` and `freed_samples` are estimates of the whole.
//
// Names of functions are not in the file. They come from src/symbols, and travel beside this as Names (names.h).

#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "layout/stacks.h"

namespace heapster::reader {

struct Module {
  uint64_t start = 0, end = 0;
  uint64_t bias = 0;
  std::string build_id;  // lower-case hexadecimal; empty: it has none
  std::string path;      // the last of it, where it is longer than the file has room for; empty: not known

  std::string short_name() const;
};

inline constexpr uint32_t kNoModule = UINT32_MAX;

struct Frame {
  uint64_t address = 0;         // where the call returns to, in the process
  uint32_t module = kNoModule;  // its place in Stacks::modules

  friend bool operator==(const Frame&, const Frame&) = default;
  friend bool operator<(const Frame& a, const Frame& b) {
    return a.module != b.module ? a.module < b.module : a.address < b.address;
  }
};

// Sums that are zero where nothing was sampled, and add up over stacks. Spreads that a file lacks are no numbers.
struct StackFigures {
#define HEAPSTER_STACK_FIGURE(name, ...) uint64_t name = 0;
#define HEAPSTER_STACK_LATE_FIGURE HEAPSTER_STACK_FIGURE
#define HEAPSTER_STACK_SPREAD(name, ...) double name = 0;
#include "layout/stacks.def"
  std::array<uint64_t, kLifetimes> lifetimes{};  // of freed blocks; in 256ths, where not each one is sampled

  // What is allocated and not freed. While the program runs its words are not read at one moment, hence never below 0.
  uint64_t live_bytes() const { return alloc_bytes > freed_bytes ? alloc_bytes - freed_bytes : 0; }
  uint64_t live_count() const { return alloc_count > freed_count ? alloc_count - freed_count : 0; }  // in 256ths
  uint64_t live_samples() const { return samples > freed_samples ? samples - freed_samples : 0; }
};
void add(StackFigures& a, const StackFigures& b);

struct Stack {
  std::vector<Frame> frames;  // innermost first
  bool truncated = false;     // the outermost function was not reached
  uint32_t scope = 0;         // Scope::numbers; 0: none
  StackFigures figures;
};

// A sampled block that is live.
struct Sample {
  uint64_t bytes = 0;
  uint64_t weight_bytes = 0;
  uint64_t weight_count = 0;      // in 256ths
  double time = 0;                // when it was allocated, seconds since the process started
  std::optional<uint32_t> stack;  // place in Stacks::stacks; nothing: none was taken
  uint32_t slot = 0, generation = 0;
  uint32_t place = 0;  // in the file's table, as long as it lives
};

struct Stacks {
  Sampling sampling{};
  std::vector<Module> modules;
  std::vector<Stack> stacks;
  std::vector<Sample> samples;
  std::vector<uint32_t> places;  // where the file's entries are among `stacks`; kNoStack: they are not
  uint64_t damaged = 0;          // stacks and samples that made no sense, and were left out

  StackFigures total() const;
  uint64_t dropped() const { return sampling.stacks_dropped + sampling.samples_dropped; }
  uint64_t without_stack() const { return sampling.stack_unknown + sampling.stack_small; }
};

// One figure of stacks.def, or of sampling.def, for those who list them.
template <typename Figures>
struct FigureInfo {
  const char* name;
  const char* unit;
  const char* help;
  uint64_t Figures::*value;
};
using StackFigureInfo = FigureInfo<StackFigures>;
using SamplingFigureInfo = FigureInfo<Sampling>;
inline constexpr auto kStackFigures = std::to_array<StackFigureInfo>({
#define HEAPSTER_STACK_FIGURE(name, unit, help) {#name, #unit, help, &StackFigures::name},
#define HEAPSTER_STACK_LATE_FIGURE HEAPSTER_STACK_FIGURE
#include "layout/stacks.def"
});
inline constexpr auto kStackSpreads = std::to_array<double StackFigures::*>({
#define HEAPSTER_STACK_SPREAD(name, ...) &StackFigures::name,
#include "layout/stacks.def"
});
inline constexpr auto kSamplingFigures = std::to_array<SamplingFigureInfo>({
#define HEAPSTER_SAMPLING_FIGURE(name, unit, help) {#name, #unit, help, &Sampling::name},
#include "layout/sampling.def"
});

}  // namespace heapster::reader
