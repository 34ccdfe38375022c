// SPDX-License-Identifier: MIT
//
// Sampled stacks as the formats of other tools want them: functions from the outermost to the innermost, those that
// were inlined among them, and whole blocks and bytes. A sampled block stands for others, too, so that these are
// estimates of the whole, and exact only where every allocation is sampled.

#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "reader/names.h"
#include "reader/snapshot.h"

namespace heapster::report {

struct Amounts {
  uint64_t alloc_blocks = 0, alloc_bytes = 0;
  uint64_t live_blocks = 0, live_bytes = 0;
  uint64_t peak_blocks = 0, peak_bytes = 0;

  Amounts& operator+=(const Amounts& more);
};
Amounts amounts_of(const reader::StackFigures& figures);

// Of live blocks whose stack was not taken. Those that were freed are not known, hence allocated are only the live.
Amounts amounts_without_stack(const reader::Stacks& stacks);

// Stand for a stack that was not taken: its function, and its frame in formats that know frames alone.
inline const reader::Location kNoStackTaken{"[no stack taken]", "", 0, false};
inline const reader::Frame kNoFrame{};
std::vector<reader::Frame> frames_of(const reader::Stack& stack);

// A function of a stack. Each inlined one is a call of its own, at the address of that which it was inlined into.
struct Call {
  reader::Frame frame;
  const reader::Location* location;
};

struct CallStack {
  std::vector<Call> calls;  // outermost first; never empty
  Amounts amounts;
  const reader::Stack* stack;  // null for those blocks that have none
};

// One for each stack of the file, and one for the blocks without; the calls last as long as `names`.
std::vector<CallStack> call_stacks(const reader::Stacks& stacks, const reader::Names& names);

// Whether the module is the program's own executable.
bool is_program(const reader::Snapshot& snapshot, const reader::Module& module);

// 0xADDRESS: function (file:line), or (in object), as valgrind's tools write it.
std::string call_text(const reader::Stacks& stacks, const Call& call);

// Stacks that begin alike, put together: functions by name, each with the sum of what lies below it.
struct CallTree {
  Amounts amounts;
  std::map<std::string, std::unique_ptr<CallTree>> children;

  void add(const std::vector<std::string>& path, const Amounts& more);
};

// What stacks are weighed by, where a format has room for one number.
enum class Weight { kLive, kAllocated, kCount, kPeak };
struct WeightInfo {
  Weight weight;
  std::string_view name;
  std::string_view unit;
  std::string_view help;
  uint64_t Amounts::*value;
};
inline constexpr std::array kWeights{
    WeightInfo{Weight::kLive, "live", "bytes", "bytes live", &Amounts::live_bytes},
    WeightInfo{Weight::kAllocated, "allocated", "bytes", "bytes allocated", &Amounts::alloc_bytes},
    WeightInfo{Weight::kCount, "count", "blocks", "blocks allocated", &Amounts::alloc_blocks},
    WeightInfo{Weight::kPeak, "peak", "bytes", "bytes live near the peak", &Amounts::peak_bytes},
};
// And when that was, of the peak.
std::string help_of(const WeightInfo& info, const reader::Snapshot& snapshot);
constexpr const WeightInfo& info_of(Weight weight) { return kWeights[static_cast<size_t>(weight)]; }

}  // namespace heapster::report
