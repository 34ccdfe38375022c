// SPDX-License-Identifier: MIT

#include "stack_tables.h"

#include <algorithm>
#include <cmath>
#include <cstring>

namespace heapster::test {

namespace {

// Puts the items at the end of the file, and names them in the header.
template <class Item>
void append(std::string& bytes, SectionType type, const std::vector<Item>& items) {
  bytes.resize((bytes.size() + 63) / 64 * 64);
  Header header;
  std::memcpy(&header, bytes.data(), sizeof header);
  header.sections[header.section_count++] = {static_cast<uint32_t>(type), sizeof(Item), bytes.size(), items.size() + 8,
                                             items.size()};
  std::memcpy(bytes.data(), &header, sizeof header);
  bytes.append(reinterpret_cast<const char*>(items.data()), items.size() * sizeof(Item));
}

// What a sample adds to variances: w (w - what it is itself), where it stands for w.
struct Spread {
  double count, bytes;
};
Spread spread_of(uint64_t bytes, uint64_t blocks) {
  const auto w = static_cast<double>(blocks), size = static_cast<double>(bytes);
  return {w * (w - 1), w * size * (w * size - size)};
}

}  // namespace

uint16_t StackTables::add_module(std::string_view path, uint64_t start, uint64_t end, uint64_t bias, uint8_t seed) {
  Module& module = modules.emplace_back();
  module = {};
  module.start = start;
  module.end = end;
  module.bias = bias;
  module.build_id_bytes = seed != 0 ? sizeof module.build_id : 0;
  std::memset(module.build_id, seed, sizeof module.build_id);
  std::memcpy(module.path, path.data(), std::min(path.size(), sizeof module.path));
  module.ready = 1;
  return static_cast<uint16_t>(modules.size());
}

uint32_t StackTables::add_stack(std::initializer_list<std::pair<uint16_t, uint64_t>> addresses) {
  Stack& stack = stacks.emplace_back();
  stack = {};
  stack.first_frame = static_cast<uint32_t>(frames.size());
  stack.depth = static_cast<uint16_t>(addresses.size());
  for (const auto& [module, address] : addresses) frames.push_back(uint64_t{module} << kFrameAddressBits | address);
  return static_cast<uint32_t>(stacks.size() - 1);
}

void StackTables::allocate(uint32_t stack, uint64_t bytes, uint64_t blocks) {
  stacks[stack].samples += 1;
  stacks[stack].alloc_count += blocks * kWholeBlock;
  stacks[stack].alloc_bytes += blocks * bytes;
  const Spread spread = spread_of(bytes, blocks);
  stacks[stack].alloc_count_variance += spread.count;
  stacks[stack].alloc_count_squares += spread.count * spread.count;
  stacks[stack].alloc_bytes_variance += spread.bytes;
  stacks[stack].live_bytes_variance += spread.bytes;
}

void StackTables::keep(uint32_t stack, uint64_t bytes, uint64_t blocks, uint32_t slot, uint32_t generation) {
  allocate(stack, bytes, blocks);
  stacks[stack].peak_count += blocks * kWholeBlock;
  stacks[stack].peak_bytes += blocks * bytes;
  stacks[stack].peak_samples += 1;
  stacks[stack].peak_bytes_variance += spread_of(bytes, blocks).bytes;
  Sample& sample = samples.emplace_back();
  sample = {};
  sample.pointer = 0x7f0000000000 + samples.size() * 0x1000000;
  sample.bytes = bytes;
  sample.weight_bytes = blocks * bytes;
  sample.weight_count = blocks * kWholeBlock;
  sample.time = samples.size() * 1'000'000;
  sample.stack = stack;
  sample.slot = slot;
  sample.generation = generation;
}

void StackTables::pass(uint32_t stack, uint64_t bytes, uint64_t blocks, uint64_t microseconds, bool elsewhere) {
  allocate(stack, bytes, blocks);
  Stack& figures = stacks[stack];
  figures.freed_samples += 1;
  figures.freed_count += blocks * kWholeBlock;
  figures.freed_bytes += blocks * bytes;
  figures.live_bytes_variance -= spread_of(bytes, blocks).bytes;
  if (elsewhere) figures.elsewhere_count += blocks * kWholeBlock;
  uint32_t lifetime = 0;
  while (lifetime + 1 < kLifetimes && microseconds >= uint64_t{1} << 2 * lifetime) ++lifetime;
  ++figures.lifetimes[lifetime];
}

std::string StackTables::behind(Segment& segment) const {
  std::string bytes = segment.bytes();
  append(bytes, SectionType::kSampling, std::vector{sampling});
  append(bytes, SectionType::kModules, modules);
  append(bytes, SectionType::kStacks, stacks);
  append(bytes, SectionType::kFrames, frames);
  append(bytes, SectionType::kSamples, samples);
  return bytes;
}

StackTables busy_stacks() {
  StackTables tables(512 * 1024);
  const uint16_t program = tables.add_module("/usr/bin/program", 0x555555554000, 0x555555654000, 0x555555554000, 0x11);
  const uint16_t library =
      tables.add_module("/usr/lib/libcache.so.1", 0x7ffff7000000, 0x7ffff7100000, 0x7ffff7000000, 0x22);
  const uint32_t cache = tables.add_stack(
      {{library, 0x7ffff7001010}, {library, 0x7ffff7002020}, {program, 0x555555555030}, {program, 0x555555555040}});
  const uint32_t leak = tables.add_stack({{program, 0x555555556010}, {program, 0x555555555040}});
  const uint32_t busy = tables.add_stack({{program, 0x555555557010}, {program, 0x555555555040}});
  const uint32_t unknown = tables.add_stack({{0, 0x7fffe0001000}, {program, 0x555555555040}});
  for (int i = 0; i < 40; ++i) tables.keep(cache, 4096, 128, 1);
  for (int i = 0; i < 10; ++i) tables.pass(cache, 4096, 128, 3'000'000, true);
  tables.keep(leak, 1 << 20, 1);
  tables.keep(leak, 1 << 20, 1);
  for (int i = 0; i < 100; ++i) tables.pass(busy, 64, 8192, 2);
  tables.stacks[busy].temporary_count = 90 * 8192 * kWholeBlock;
  tables.stacks[busy].temporary_samples = 90;
  tables.stacks[busy].temporary_bytes = uint64_t{90} * 8192 * 64;
  tables.stacks[busy].temporary_count_variance = 90 * spread_of(64, 8192).count;
  tables.stacks[busy].temporary_count_squares = 90 * std::pow(spread_of(64, 8192).count, 2);
  tables.keep(unknown, 100'000, 6);
  tables.stacks[unknown].flags = kStackTruncated;
  tables.sampling.stack_unknown = 3;
  tables.sampling.samples_dropped = 2;
  for (int i = 0; i < 90; ++i) ++tables.sampling.malloc_nanoseconds[5];
  for (int i = 0; i < 10; ++i) ++tables.sampling.malloc_nanoseconds[9];
  tables.sampling.malloc_slowest = 812;
  return tables;
}

}  // namespace heapster::test
