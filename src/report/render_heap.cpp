// SPDX-License-Identifier: MIT
//
// gperftools' text: live and, in brackets, allocated blocks and bytes of each stack, then what was mapped where. The
// figures are estimates of the whole already, so that the profile is called "heapprofile", which readers take as it
// is; "heap_v2" would be scaled up once more. Readers look names up themselves, in the objects where they run. They
// take one byte off each address but the first, which is where the call returns to, too, so that ours is taken off
// here.

#include <fmt/format.h>

#include <iterator>

#include "report/formats.h"
#include "report/units.h"

namespace heapster::report {

namespace {

std::string amounts_text(const Amounts& amounts) {
  return fmt::format("{}: {} [{}: {}] @", amounts.live_blocks, amounts.live_bytes, amounts.alloc_blocks,
                     amounts.alloc_bytes);
}

void put_stack(std::string& out, const Amounts& amounts, const std::vector<reader::Frame>& frames) {
  out += amounts_text(amounts);
  for (size_t i = 0; i < frames.size(); ++i)
    fmt::format_to(std::back_inserter(out), " {:#x}", frames[i].address - (i == 0 && frames[i].address > 0 ? 1 : 0));
  out += '\n';
}

}  // namespace

std::string render_heap(const Exported& exported) {
  const reader::Stacks& stacks = *exported.snapshot.stacks;
  const Amounts without = amounts_without_stack(stacks);
  Amounts total = without;
  std::string body;
  for (const reader::Stack& stack : stacks.stacks) {
    const Amounts amounts = amounts_of(stack.figures);
    total += amounts;
    put_stack(body, amounts, frames_of(stack));
  }
  if (without.alloc_bytes > 0) put_stack(body, without, {kNoFrame});
  std::string out = fmt::format("heap profile: {} heapprofile\n{}\nMAPPED_LIBRARIES:\n", amounts_text(total), body);
  for (const reader::Module& module : stacks.modules)
    fmt::format_to(std::back_inserter(out), "{:08x}-{:08x} r-xp 00000000 00:00 0 {}\n", module.start, module.end,
                   printable(module.path));
  return out;
}

}  // namespace heapster::report
