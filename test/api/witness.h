// SPDX-License-Identifier: MIT
//
// heapster's counters of this very process, read without allocating: the live segment is mapped a second time,
// read-only, and its cells are added up in place. Only for programs that run under libheapster.so; header only and
// without the reader, so that it can be built over another standard library.

#pragma once

#include <dirent.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string>

#include "layout/segment.h"

namespace heapster::test {

// Differences between two readings say what happened in between.
struct Counts {
  uint64_t requested = 0;    // bytes that allocations asked for
  uint64_t allocations = 0;  // blocks
  uint64_t others = 0;       // frees and reallocations: with none of them, `requested` is what lives
  int64_t live = 0;          // usable bytes

  Counts operator-(const Counts& before) const {
    return {requested - before.requested, allocations - before.allocations, others - before.others, live - before.live};
  }
};

class Witness {
 public:
  Witness() {
    const std::string path = own_segment();
    const int file = open(path.c_str(), O_RDONLY | O_CLOEXEC);
    struct stat status {};
    if (file < 0 || fstat(file, &status) != 0) give_up("cannot open the segment", path);
    void* mapped = mmap(nullptr, static_cast<size_t>(status.st_size), PROT_READ, MAP_SHARED, file, 0);
    close(file);
    if (mapped == MAP_FAILED) give_up("cannot map the segment", path);
    header_ = static_cast<const volatile Header*>(mapped);
  }

  Counts now() const {
    Counts sum;
    const volatile Section& slots = section(SectionType::kSlots);
    const auto* first = reinterpret_cast<const volatile char*>(header_) + slots.offset;
    for (uint64_t i = 0; i < slots.used; ++i)
      add(sum, reinterpret_cast<const volatile Slot*>(first + i * sizeof(Slot))->now);
    return sum;
  }

 private:
  // <pid namespace>-<pid>-<start ticks> in the run directory.
  static std::string own_segment() {
    const char* directory = getenv("HEAPSTER_RUN_DIR");
    if (directory == nullptr) give_up("not measured", "HEAPSTER_RUN_DIR");
    const std::string middle = "-" + std::to_string(getpid()) + "-";
    std::string found;
    if (DIR* entries = opendir(directory)) {
      while (const dirent* entry = readdir(entries))
        if (std::string(entry->d_name).find(middle) != std::string::npos)
          found = std::string(directory) + "/" + entry->d_name;
      closedir(entries);
    }
    return found;
  }

  static void add(Counts& sum, const volatile Shard& shard) {
    for (uint32_t i = 0; i < kBuckets; ++i) {
      sum.requested += shard.sizes[i].alloc.bytes;
      sum.allocations += shard.sizes[i].alloc.count;
      sum.others += shard.sizes[i].dealloc.count + shard.reallocs[i].realloc_growth.count +
                    shard.reallocs[i].realloc_shrink.count;
    }
    for (const volatile ExactLine& line : shard.exact) sum.others += line.dealloc;
    sum.others += shard.counters.realloc_same_count;
    sum.live += shard.net;
  }

  const volatile Section& section(SectionType type) const {
    for (uint32_t i = 0; i < header_->section_count; ++i)
      if (header_->sections[i].type == static_cast<uint32_t>(type)) return header_->sections[i];
    give_up("no such section in", "the segment");
  }

  [[noreturn]] static void give_up(const char* what, const std::string& which) {
    fprintf(stderr, "%s: %s\n", what, which.c_str());
    exit(2);
  }

  const volatile Header* header_;
};

}  // namespace heapster::test
