// SPDX-License-Identifier: MIT
//
// Writes synthetic segments as files: seeds for the fuzzer, input for the command line's tests.

#include <fstream>
#include <string>

#include "stack_tables.h"
#include "synthetic.h"

using heapster::test::Segment;

namespace {

void write(const std::string& path, const std::string& bytes) { std::ofstream(path, std::ios::binary) << bytes; }

Segment reused() {
  Segment segment = heapster::test::busy_segment();
  heapster::test::count_malloc(segment.hand_over(1, 4244, "second"), 64, 72);
  segment.now(0).role = static_cast<uint32_t>(heapster::Role::kShared);
  return segment;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 2) return 2;
  const std::string directory = argv[1];
  write(directory + "/empty.heap", Segment().bytes());
  write(directory + "/busy.heap", heapster::test::busy_segment().bytes());
  write(directory + "/reused.heap", reused().whole());
  Segment segment = heapster::test::busy_segment();
  write(directory + "/stacks.heap", heapster::test::busy_stacks().behind(segment));
}
