// SPDX-License-Identifier: MIT
//
// Where the bytes of a segment come from. A file is read with pread, never mapped: its owner may
// cut it short at any moment, and a mapping would answer that with SIGBUS. Tests and the fuzzer
// hand in memory through the same two functions.

#pragma once

#include <cstdint>
#include <span>
#include <string>

#include "reader/result.h"

namespace heapster::reader {

class Source {
 public:
  virtual ~Source() = default;
  virtual uint64_t size() const = 0;
  // Fills `to` with what lies at `offset`; false where not all of it is there. Nothing is everywhere.
  virtual bool read(uint64_t offset, std::span<char> to) const = 0;
  // The first place from there on that may hold anything but zeros; the size where there is none. A file may say that
  // it is a thousand times as long as what it holds.
  virtual uint64_t data_from(uint64_t offset) const { return offset; }
};

// Opens a file for reading, and nothing else: no FIFO is waited for, no device or socket is touched. What the name
// is gets looked at before it is opened.
enum class Links { kRefuse, kFollow };
Result<int> open_regular(const std::string& path, Links links);

class FileSource final : public Source {
 public:
  // Refuses anything but a regular file. Does not follow a link unless it is told to: run directories lie in a place
  // where others may plant things.
  static Result<FileSource> open(const std::string& path, Links links = Links::kRefuse);
  // The same by a name in an open directory; `path` is what messages call it.
  static Result<FileSource> open_at(int directory, const std::string& name, const std::string& path);
  // What a descriptor of a regular file leads to; it stays the caller's.
  static Result<FileSource> of(int descriptor, const std::string& path);

  FileSource(FileSource&& other) noexcept;
  FileSource& operator=(FileSource&&) = delete;
  ~FileSource() override;

  uint64_t size() const override { return size_; }
  bool read(uint64_t offset, std::span<char> to) const override;
  uint64_t data_from(uint64_t offset) const override;

  // What /proc/PID/maps calls the file.
  uint64_t device() const { return device_; }
  uint64_t inode() const { return inode_; }
  // Whose file it is.
  uint32_t user() const { return user_; }

 private:
  FileSource() = default;
  static Result<FileSource> owning(int descriptor, const std::string& path);
  static Result<FileSource> look_at(FileSource file, const std::string& path);

  int descriptor_ = -1;
  uint64_t size_ = 0;
  uint64_t device_ = 0;
  uint64_t inode_ = 0;
  uint32_t user_ = 0;
};

class MemorySource final : public Source {
 public:
  explicit MemorySource(std::span<const char> bytes) : bytes_(bytes) {}
  uint64_t size() const override { return bytes_.size(); }
  bool read(uint64_t offset, std::span<char> to) const override;

 private:
  std::span<const char> bytes_;
};

}  // namespace heapster::reader
