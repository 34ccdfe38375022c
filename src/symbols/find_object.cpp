// SPDX-License-Identifier: MIT
//
// The path comes out of a file that anybody may have made: what is no regular file is never opened for long.

#include "symbols/find_object.h"

#include <elfutils/libdwelf.h>
#include <fcntl.h>
#include <gelf.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <memory>

namespace heapster::symbols {

namespace {

class OpenObject {
 public:
  explicit OpenObject(const std::string& path) : fd_(open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK)) {
    struct stat status {};
    if (fd_ < 0 || fstat(fd_, &status) != 0 || !S_ISREG(status.st_mode)) return;
    elf_version(EV_CURRENT);
    elf_.reset(elf_begin(fd_, ELF_C_READ_MMAP, nullptr));
    if (elf_ && elf_kind(elf_.get()) != ELF_K_ELF) elf_.reset();
  }
  OpenObject(const OpenObject&) = delete;
  ~OpenObject() {
    elf_.reset();
    if (fd_ >= 0) close(fd_);
  }

  Elf* elf() const { return elf_.get(); }

 private:
  int fd_;
  std::unique_ptr<Elf, int (*)(Elf*)> elf_{nullptr, elf_end};
};

std::string build_id_of(Elf* elf) {
  const void* bytes = nullptr;
  const ssize_t count = dwelf_elf_gnu_build_id(elf, &bytes);
  if (count <= 0) return "";
  constexpr char kDigits[] = "0123456789abcdef";
  std::string text;
  for (ssize_t i = 0; i < count; ++i) {
    const unsigned byte = static_cast<const unsigned char*>(bytes)[i];
    text += kDigits[byte >> 4];
    text += kDigits[byte & 15];
  }
  return text;
}

// The snapshot keeps 20 bytes at most of a build id.
bool same_id(const std::string& of_file, const std::string& of_snapshot) {
  return of_snapshot.size() == 40 ? of_file.starts_with(of_snapshot) : of_file == of_snapshot;
}

enum class Fit { kAbsent, kOther, kSame };

Fit fit_of(const std::string& path, const std::string& build_id) {
  const OpenObject object(path);
  if (object.elf() == nullptr) return Fit::kAbsent;
  return build_id.empty() || same_id(build_id_of(object.elf()), build_id) ? Fit::kSame : Fit::kOther;
}

}  // namespace

Places with_defaults(Places places) {
  if (!places.sysroot.empty()) places.directories.push_back(places.sysroot + "/usr/lib/debug");
  places.directories.push_back("/usr/lib/debug");
  for (std::string& directory : places.directories) directory = std::filesystem::absolute(directory).string();
  return places;
}

std::string build_id_of(const std::string& path) {
  const OpenObject object(path);
  return object.elf() != nullptr ? build_id_of(object.elf()) : "";
}

FoundObject find_object(const reader::Module& module, const Places& places) {
  const bool has_path = module.path.starts_with('/');  // neither cut off at its front nor the kernel's own object
  const std::string path = places.sysroot + module.path;
  const Fit fit = has_path ? fit_of(path, module.build_id) : Fit::kAbsent;
  if (fit == Fit::kSame)
    return {path, module.build_id.empty() ? path + ": has no build id, so it may be another build than the one measured"
                                          : ""};
  if (module.build_id.size() > 2)
    for (const std::string& directory : places.directories) {
      const std::string name =
          directory + "/.build-id/" + module.build_id.substr(0, 2) + "/" + module.build_id.substr(2);
      for (const char* ending : {"", ".debug"})
        if (fit_of(name + ending, module.build_id) == Fit::kSame) return {name + ending, ""};
    }
  if (fit == Fit::kOther) return {"", path + ": is another build than the one that was measured"};
  if (has_path) return {"", path + ": no such object here"};
  const bool is_file = module.path.find('/') != std::string::npos;
  return {"", is_file ? "…" + module.path + ": its path is not known as a whole" : ""};
}

}  // namespace heapster::symbols
