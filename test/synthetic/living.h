// SPDX-License-Identifier: MIT
//
// A run directory of its own, and segments in it that belong to this very process, so that tests
// of liveness need no child, no signal and no waiting.

#pragma once

#include <string>

#include "synthetic.h"

namespace heapster::test {

class RunDirectory {
 public:
  RunDirectory();
  RunDirectory(const RunDirectory&) = delete;
  ~RunDirectory();

  const std::string& path() const { return path_; }
  std::string write(const std::string& name, const std::string& bytes) const;

 private:
  std::string path_;
};

// A running segment of this process: pid, start time, namespace and boot id are true.
Segment own_segment();

// The file name that the preload would give it.
std::string segment_name(Segment& segment);

// Keeps a file mapped, as the preload does.
class Mapping {
 public:
  explicit Mapping(const std::string& path);
  Mapping(const Mapping&) = delete;
  ~Mapping();

 private:
  void* memory_;
  size_t bytes_;
};

}  // namespace heapster::test
