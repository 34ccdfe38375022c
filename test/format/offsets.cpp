// SPDX-License-Identifier: MIT
//
// Prints where everything of src/layout/segment.h and stacks.h lies, for format_test.py to hold against the
// tables of docs/format.md: "HEADING offset size name" lines.

#include <cstddef>
#include <cstdio>

#include "layout/segment.h"
#include "layout/stacks.h"

using namespace heapster;

namespace {

void row(const char* heading, size_t offset, size_t size, const char* name) {
  std::printf("%s\t%zu\t%zu\t%s\n", heading, offset, size, name);
}

}  // namespace

#define FIELD(heading, type, name) row(heading, offsetof(type, name), sizeof(type::name), #name)

int main() {
#define HEADER(name) FIELD("Header", Header, name)
  HEADER(magic);
  HEADER(version);
  HEADER(header_bytes);
  HEADER(section_count);
  HEADER(state);
  HEADER(snapshots);
  HEADER(waited);
  HEADER(sections);
  HEADER(identity);
  HEADER(ending);
  HEADER(at_fork);
  HEADER(notes);
  HEADER(published);
#define SECTION(name) FIELD("Section", Section, name)
  SECTION(type);
  SECTION(item_bytes);
  SECTION(offset);
  SECTION(capacity);
  SECTION(used);
#define IDENTITY(name) FIELD("Identity", Identity, name)
  IDENTITY(pid);
  IDENTITY(parent_pid);
  IDENTITY(uid);
  IDENTITY(image);
  IDENTITY(start_ticks);
  IDENTITY(pid_namespace);
  IDENTITY(root_pid);
  IDENTITY(start);
  IDENTITY(root_ticks);
  IDENTITY(started_epoch);
  IDENTITY(started_monotonic);
  IDENTITY(build_id_bytes);
  IDENTITY(build_id);
#define ENDING(name) FIELD("Ending", Ending, name)
  ENDING(time);
  ENDING(max_rss_bytes);
  ENDING(minor_faults);
  ENDING(major_faults);
  ENDING(user_nanoseconds);
  ENDING(system_nanoseconds);
  FIELD("AtFork", AtFork, live_bytes);
  FIELD("AtFork", AtFork, live_count);
#define PUBLISHED(name) FIELD("Published", Published, name)
  PUBLISHED(live);
  PUBLISHED(solo_peak);
  PUBLISHED(peak);
  PUBLISHED(peak_error);
  PUBLISHED(peak_time);
  PUBLISHED(time);
  PUBLISHED(table_live);
  PUBLISHED(table_time);
  PUBLISHED(interval);
  PUBLISHED(timeline_stamp);
  PUBLISHED(slots_owned);
  PUBLISHED(several);
  PUBLISHED(limit);
  PUBLISHED(limit_reached);
  PUBLISHED(peak_bound);
  PUBLISHED(peak_since);
#define FIELD_INFO(name) FIELD("FieldInfo", FieldInfo, name)
  FIELD_INFO(name);
  FIELD_INFO(kind);
  FIELD_INFO(offset);
  FIELD_INFO(stride);
  FIELD_INFO(unit);
#define SHARD(name) FIELD("Slots and shards", Shard, name)
  SHARD(net);
  SHARD(ceiling);
  SHARD(countdown);
  SHARD(floor);
  SHARD(published);
  SHARD(last);
  SHARD(tid);
  SHARD(generation);
  SHARD(role);
  SHARD(scope);
  SHARD(started);
  SHARD(pace);
  SHARD(stepped);
  SHARD(granted);
  SHARD(to_sample);
  SHARD(random);
  SHARD(name);
  SHARD(scope_path);
  SHARD(place);
  SHARD(reserved);
  SHARD(scope_slots);
  FIELD("Arena", heapster_arena, name);
#define HEAPSTER_ARENA_FIGURE(name, ...) FIELD("Arena", heapster_arena, name);
#include "heapster/arenas.def"
#define SAMPLING(name) FIELD("Sampling", Sampling, name)
#define HEAPSTER_SAMPLING_FIGURE(name, ...) SAMPLING(name);
#include "layout/sampling.def"
  SAMPLING(malloc_nanoseconds);
  SAMPLING(free_nanoseconds);
  SAMPLING(malloc_slowest);
  SAMPLING(free_slowest);
#define MODULE(name) FIELD("Module", Module, name)
  MODULE(start);
  MODULE(end);
  MODULE(bias);
  MODULE(build_id_bytes);
  MODULE(build_id);
  MODULE(path);
  MODULE(ready);
#define STACK(name) FIELD("Stack", Stack, name)
  STACK(hash);
  STACK(first_frame);
  STACK(flags);
  STACK(depth);
#define HEAPSTER_STACK_FIGURE(name, ...) STACK(name);
#include "layout/stacks.def"
  STACK(lifetimes);
  STACK(scope);
  STACK(writer);
#define HEAPSTER_STACK_LATE_FIGURE(name, ...) STACK(name);
#include "layout/stacks.def"
#define HEAPSTER_STACK_SPREAD(name, ...) STACK(name);
#include "layout/stacks.def"
#define SAMPLE(name) FIELD("Sample", Sample, name)
  SAMPLE(pointer);
  SAMPLE(bytes);
  SAMPLE(weight_bytes);
  SAMPLE(weight_count);
  SAMPLE(time);
  SAMPLE(stack);
  SAMPLE(slot);
  SAMPLE(generation);
  SAMPLE(next_free);
  SAMPLE(mark);
  // What a table of sections says of them: item size, offset, number of type, name.
  const auto section = [](SectionType type, size_t bytes, size_t offset, const char* name) {
    std::printf("Stack sections\t%u\t%zu\t%s\t%zu\n", static_cast<unsigned>(type), bytes, name, offset);
  };
  section(SectionType::kSampling, sizeof(Sampling), kSamplingOffset, "sampling");
  section(SectionType::kModules, sizeof(Module), kModulesOffset, "modules");
  section(SectionType::kStacks, sizeof(Stack), kStacksOffset, "stacks");
  section(SectionType::kFrames, sizeof(uint64_t), kFramesOffset, "frames");
  section(SectionType::kSamples, sizeof(Sample), kSamplesOffset, "samples");
}
