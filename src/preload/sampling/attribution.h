// SPDX-License-Identifier: MIT
//
// What a sample does to its stack's figures in the course of its life. A stack's only writer adds as to its shard, many
// together.

#pragma once

#include <cstdint>

#include "layout/stacks.h"
#include "preload/sampling/stack_tables.h"

namespace heapster::preload {

HEAPSTER_LOCAL extern uint64_t sampling_mean;  // bytes between samples; 0: off
inline bool is_sampling() { return sampling_mean != 0; }

// Whether the tables are this process's own: a fork's child starts with its parent's.
bool in_own_process();

// The calling thread's part of what sampling keeps; null where it has none.
ThreadSamples* own_part();

void add_alloc(Stack& stack, const Sample& sample);
// Its block is being freed; `block` is null where nobody follows it.
void add_free(const Sample& sample, const void* block);
// A reallocation gave its block so many bytes.
void reweigh(Sample& sample, uint64_t bytes);
// A reallocation left too little of its block for it to stand for anything.
void add_lost_mark(const Sample& sample);

}  // namespace heapster::preload
