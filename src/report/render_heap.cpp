// SPDX-License-Identifier: MIT
//
// gperftools' text: live and, in brackets, allocated blocks and bytes of each stack, then what was mapped where. The
// figures are estimates of the whole already, so that the profile is called "heapprofile", which readers take as it
// is; "heap_v2" would be scaled up once more. Readers look names up themselves, in the objects where they run. They
// take one byte off each address but the first, which is where the call returns to, too, so that ours is taken off
// here.

#include <fmt/format.h>

#include <algorithm>
#include <iterator>
#include <map>

#include "report/formats.h"
#include "report/units.h"

namespace heapster::report {

namespace {

std::string amounts_text(const Amounts& amounts) {
  return fmt::format("{}: {} [{}: {}] @", amounts.live_blocks, amounts.live_bytes, amounts.alloc_blocks,
                     amounts.alloc_bytes);
}

// Readers know addresses alone, but a program may load one object where it had another before. So each object has a
// place of its own in the profile: where another one has it already, behind all that is there.
class Places {
 public:
  explicit Places(const reader::Stacks& stacks) : moves_(stacks.modules.size()) {
    uint64_t free = 0;
    for (const reader::Module& module : stacks.modules) free = std::max(free, module.end);
    for (const reader::Stack& stack : stacks.stacks)
      for (const reader::Frame& frame : stack.frames) free = std::max(free, frame.address);
    for (size_t i = 0; i < moves_.size(); ++i) {
      const reader::Module& module = stacks.modules[i];
      if (module.start >= module.end || take(module.start, module.end)) continue;
      free = (free + kPage) / kPage * kPage;
      moves_[i] = free - module.start;
      free += module.end - module.start;
    }
  }

  // To be added to addresses in it.
  uint64_t move_of(uint32_t module) const { return module < moves_.size() ? moves_[module] : 0; }

 private:
  static constexpr uint64_t kPage = 4096;

  bool take(uint64_t start, uint64_t end) {
    const auto after = taken_.lower_bound(end);
    if (after != taken_.begin() && std::prev(after)->second > start) return false;
    return taken_.emplace_hint(after, start, end), true;
  }

  std::vector<uint64_t> moves_;
  std::map<uint64_t, uint64_t> taken_;  // where it begins and ends
};

void put_stack(std::string& out, const Amounts& amounts, const std::vector<reader::Frame>& frames,
               const Places& places) {
  out += amounts_text(amounts);
  for (size_t i = 0; i < frames.size(); ++i)
    fmt::format_to(std::back_inserter(out), " {:#x}",
                   frames[i].address + places.move_of(frames[i].module) - (i == 0 && frames[i].address > 0 ? 1 : 0));
  out += '\n';
}

}  // namespace

std::string render_heap(const Exported& exported) {
  const reader::Stacks& stacks = *exported.snapshot.stacks;
  const Places places(stacks);
  const Amounts without = amounts_without_stack(stacks);
  Amounts total = without;
  std::string body;
  for (const reader::Stack& stack : stacks.stacks) {
    const Amounts amounts = amounts_of(stack.figures);
    total += amounts;
    put_stack(body, amounts, frames_of(stack), places);
  }
  if (without.alloc_bytes > 0) put_stack(body, without, {kNoFrame}, places);
  std::string out = fmt::format("heap profile: {} heapprofile\n{}\nMAPPED_LIBRARIES:\n", amounts_text(total), body);
  for (uint32_t i = 0; i < stacks.modules.size(); ++i) {
    const reader::Module& module = stacks.modules[i];
    if (module.start < module.end)
      fmt::format_to(std::back_inserter(out), "{:08x}-{:08x} r-xp 00000000 00:00 0 {}\n",
                     module.start + places.move_of(i), module.end + places.move_of(i), printable(module.path));
  }
  return out;
}

}  // namespace heapster::report
