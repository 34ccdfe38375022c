// SPDX-License-Identifier: MIT
//
// THE list of the words that reports use for figures, and of what people ask for besides: `show` and `diff` print them,
// `heapster explain` answers to them. JSON has the figure's own name.

#pragma once

#include <string_view>

namespace heapster::report {

struct Word {
  std::string_view word;
  std::string_view figure;  // in counters.def; empty: it is none of heapster's
  std::string_view text;
};

inline constexpr Word kWords[] = {
    {"allocations", "alloc_count", "successful calls of malloc, calloc, operator new and the like, by any thread"},
    {"requested", "alloc_sum", "the bytes that those calls asked for, added up; what was freed since is still in it"},
    {"usable", "usable_sum",
     "the bytes that the allocator set aside for them, which is never less than requested; the difference is slack"},
    {"slack", "slack", "usable minus requested bytes: what the allocator's size classes cost"},
    {"frees", "dealloc_count", "blocks given back"},
    {"temporary", "temporary_count",
     "blocks freed before their thread allocated again: a buffer that could be kept, or live on the stack"},
    {"live", "use_curr", "usable bytes of blocks that were allocated and not freed, now or at the end"},
    {"blocks", "live_count", "how many blocks live"},
    {"peak", "use_max", "the highest that live memory was; exact with one thread, else with ± beside it"},
    {"reallocations", "realloc_count", "successful calls of realloc for a block that was there"},
    {"in place", "realloc_in_place_count", "reallocations that left the block where it was"},
    {"unchanged", "realloc_same_count",
     "reallocations that left the block as it was: the new size fit its usable size"},
    {"moved", "realloc_move_count", "reallocations that gave the block another address"},
    {"copied", "realloc_copy_sum", "the bytes that moving had to copy"},
    {"remapped", "realloc_remap_sum",
     "the bytes of blocks that moved without being copied: the kernel moved their pages"},
    {"rss", "",
     "resident set size: the memory of a process that the kernel keeps in RAM, whoever asked for it. Live memory is "
     "the part "
     "of it that malloc handed out; the rest is stacks, files, the program's own mappings, and what the allocator "
     "keeps"},
    {"fragmentation", "",
     "memory that an allocator cannot give back because live blocks lie scattered over it: much resident memory, "
     "little live "
     "memory. heapster counts what lives; compare it with the process's RSS"},
    {"coverage", "",
     "how much of the program's heap heapster sees. full: nothing speaks against all of it; partial: the reasons are "
     "listed; "
     "none: no call came by"},
};

// The word for a figure; its own name where it has none.
constexpr std::string_view word_for(std::string_view figure) {
  for (const Word& word : kWords)
    if (word.figure == figure) return word.word;
  return figure;
}

}  // namespace heapster::report
