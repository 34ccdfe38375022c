// SPDX-License-Identifier: MIT

#include "unwind/capture.h"

namespace heapster::unwind {

namespace {

uintptr_t read(uintptr_t address) {
  uintptr_t word;
  __builtin_memcpy(&word, reinterpret_cast<const void*>(address), sizeof word);
  return word;
}

// User addresses leave the upper bits alone, so a complement is no other address.
uint64_t key_of(uintptr_t address, bool interrupted) { return interrupted ? ~address : address; }

// An instruction that was interrupted by a signal is looked up as it is, a return address by the call before it.
uint64_t fill(RowCache::Entry& entry, FindPlace find, uintptr_t address, bool interrupted) {
  const uintptr_t wanted = interrupted ? address : address - 1;
  const Place place = find(wanted);
  Row row = find_row(place.tables, wanted);
  row.module = place.module;
  const uint64_t word = pack(row);
  __atomic_store_n(&entry.row, word, __ATOMIC_RELAXED);
  __atomic_store_n(&entry.key, key_of(address, interrupted) ^ word, __ATOMIC_RELAXED);
  return word;
}

uint64_t row_at(RowCache& cache, FindPlace find, uintptr_t address, bool interrupted) {
  RowCache::Entry& entry = cache.entries[(address * 0x9e3779b97f4a7c15) >> 51];
  static_assert(RowCache::kEntries == size_t{1} << (64 - 51));
  const uint64_t word = __atomic_load_n(&entry.row, __ATOMIC_RELAXED);
  const uint64_t key = __atomic_load_n(&entry.key, __ATOMIC_RELAXED);
  if (__builtin_expect(word != 0 && (key ^ word) == key_of(address, interrupted), 1)) return word;
  return fill(entry, find, address, interrupted);
}

// The kernel's frame: a ucontext_t lies where the handler's return address was taken from.
bool leave_handler(Registers& registers, const Bounds& bounds) {
  constexpr uintptr_t kFrame = 0x78, kStack = 0xa0, kInstruction = 0xa8;
  const uintptr_t context = registers.stack;
  if (!bounds.holds(context) || !bounds.holds(context + kInstruction + 7)) return false;
  const Registers before = {read(context + kInstruction), read(context + kStack), read(context + kFrame)};
  if (before.stack <= registers.stack || !bounds.holds(before.stack)) return false;  // another stack's handler
  registers = before;
  return true;
}

bool find_cfa(const Row& row, const Registers& registers, const Bounds& bounds, uintptr_t& cfa) {
  const auto offset = static_cast<uintptr_t>(static_cast<intptr_t>(row.cfa_offset));
  switch (row.base) {
    case Base::kStack:
      cfa = registers.stack + offset;
      return true;
    case Base::kFrame:
      cfa = registers.frame + offset;
      return true;
    case Base::kFrameStored: {
      const uintptr_t at = registers.frame + offset;
      if ((at & 7) != 0 || at < registers.stack || !bounds.holds(at)) return false;
      cfa = read(at);
      return true;
    }
    default:
      return false;
  }
}

// `frame_at` becomes where the frame pointer was read, or 0.
bool step(const Row& row, Registers& registers, const Bounds& bounds, uintptr_t& frame_at) {
  uintptr_t cfa;
  if (!find_cfa(row, registers, bounds, cfa)) return false;
  if ((cfa & 7) != 0 || cfa <= registers.stack || cfa > bounds.top) return false;
  uintptr_t at = cfa + static_cast<uintptr_t>(static_cast<intptr_t>(row.saved_offset));
  if (row.saved == Saved::kAtFrame)
    at = registers.frame + static_cast<uintptr_t>(static_cast<intptr_t>(row.saved_offset));
  if (row.saved == Saved::kAtCfa || row.saved == Saved::kAtFrame) {
    if ((at & 7) != 0 || at < registers.stack || !bounds.holds(at)) return false;
    frame_at = at;
    registers.frame = read(at);
  } else if (row.saved == Saved::kLost) {
    registers.frame = 0;
  }
  registers.instruction = read(cfa - 8);
  registers.stack = cfa;
  return true;
}

// Whether all that lies above a stop is as it was.
bool still_there(const Trail::Stops& last, unsigned from) {
  for (unsigned i = from; i + 1 < Trail::kMost; ++i) {
    const Trail::Stop& next = last.at[i + 1];
    // Above a signal's frame no return address need lie there, nor anything of the stack.
    if (next.stack - last.at[i].stack < 8 || read(next.stack - 8) != next.key) return false;
    const uintptr_t frame_at = last.at[i].frame_at;
    if (frame_at != 0 && read(frame_at) != next.frame) return false;
  }
  return true;
}

// Puts the new inner frames before the outer ones that are kept.
Capture join(Trail& trail, unsigned fresh, unsigned kept, bool again) {
  for (unsigned i = 0; i < fresh; ++i) {
    trail.last.at[kept - fresh + i] = trail.fresh.at[i];
    trail.last.frames[kept - fresh + i] = trail.fresh.frames[i];
  }
  trail.depth = Trail::kMost - kept + fresh;
  return {trail.last.frames + kept - fresh, trail.depth, trail.complete, again};
}

Capture cut_short(Trail& trail, unsigned fresh, bool complete) {
  trail.depth = 0;
  return {trail.fresh.frames, fresh, complete, false};
}

}  // namespace

Capture capture(RowCache& cache, FindPlace find, const Bounds& bounds, const Registers& from, Trail& trail) {
  Registers registers = {from.instruction, from.stack, from.frame};
  const uint64_t age = __atomic_load_n(&cache.age, __ATOMIC_RELAXED);
  if (trail.top != bounds.top || trail.age != age) trail.depth = 0;
  trail.top = bounds.top;
  trail.age = age;
  const unsigned first = Trail::kMost - trail.depth;
  unsigned kept = first;
  bool interrupted = false;
  for (unsigned fresh = 0;; ++fresh) {
    const uint64_t key = key_of(registers.instruction, interrupted);
    while (kept < Trail::kMost && trail.last.at[kept].stack < registers.stack) ++kept;
    if (kept < Trail::kMost && fresh <= kept) {
      const Trail::Stop& stop = trail.last.at[kept];
      if (stop.key == key && stop.stack == registers.stack && stop.frame == registers.frame &&
          still_there(trail.last, kept)) {
        return join(trail, fresh, kept, fresh == 0 && kept == first);
      }
    }
    if (fresh == Trail::kMost) return cut_short(trail, fresh, false);
    const Row row = unpack(row_at(cache, find, registers.instruction, interrupted));
    trail.fresh.frames[fresh] = static_cast<uint64_t>(row.module) << kAddressBits | address_of(registers.instruction);
    Trail::Stop& stop = trail.fresh.at[fresh];
    stop = {key, registers.stack, registers.frame, 0};
    interrupted = row.base == Base::kSignal;
    if (row.base == Base::kStop) {
      trail.complete = row.saved == Saved::kSame;
      return join(trail, fresh + 1, Trail::kMost, false);
    }
    if (!(interrupted ? leave_handler(registers, bounds) : step(row, registers, bounds, stop.frame_at)))
      return cut_short(trail, fresh + 1, false);
    if (registers.instruction == 0) return cut_short(trail, fresh + 1, true);
  }
}

}  // namespace heapster::unwind
