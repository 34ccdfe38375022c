// SPDX-License-Identifier: MIT
//
// The paths come out of files that anybody may have made: nothing but a regular file is ever opened.

#include "symbols/find_object.h"

#include <elfutils/libdwelf.h>
#include <gelf.h>
#include <unistd.h>
#include <zlib.h>

#include <cstring>
#include <filesystem>
#include <memory>
#include <utility>

#include "reader/source.h"

namespace heapster::symbols {

namespace {

constexpr char kDigits[] = "0123456789abcdef";

class OpenObject {
 public:
  explicit OpenObject(const std::string& path) {
    const reader::Result<int> opened = reader::open_regular(path, reader::Links::kFollow);
    if (!opened) return;
    fd_ = *opened;
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
  int descriptor() const { return fd_; }
  // For somebody else to use and to close.
  int release() {
    elf_.reset();
    return std::exchange(fd_, -1);
  }

 private:
  int fd_ = -1;
  std::unique_ptr<Elf, int (*)(Elf*)> elf_{nullptr, elf_end};
};

std::string hex_of(const unsigned char* bytes, size_t count) {
  std::string text;
  for (size_t i = 0; i < count; ++i) {
    text += kDigits[bytes[i] >> 4];
    text += kDigits[bytes[i] & 15];
  }
  return text;
}

std::string build_id_of(Elf* elf) {
  const void* bytes = nullptr;
  const ssize_t count = dwelf_elf_gnu_build_id(elf, &bytes);
  return count > 0 ? hex_of(static_cast<const unsigned char*>(bytes), static_cast<size_t>(count)) : "";
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

// Where a file of that build id lies below a directory, without its ending.
std::string place_of(const std::string& directory, const std::string& build_id) {
  return directory + "/.build-id/" + build_id.substr(0, 2) + "/" + build_id.substr(2);
}

std::string directory_of(const std::string& path) { return path.substr(0, path.find_last_of('/')); }

uint32_t sum_of(int descriptor) {
  std::vector<unsigned char> piece(64 * 1024);
  uLong sum = crc32(0, nullptr, 0);
  off_t at = 0;
  for (ssize_t got; (got = pread(descriptor, piece.data(), piece.size(), at)) > 0; at += got)
    sum = crc32(sum, piece.data(), static_cast<uInt>(got));
  return static_cast<uint32_t>(sum);
}

// The build id of the file that this one shares entries with, which stands behind its name.
std::string shared_build_id(Elf* elf, const std::string& name) {
  size_t names = 0;
  if (elf == nullptr || elf_getshdrstrndx(elf, &names) != 0) return "";
  for (Elf_Scn* section = nullptr; (section = elf_nextscn(elf, section)) != nullptr;) {
    GElf_Shdr header;
    const char* title = gelf_getshdr(section, &header) != nullptr ? elf_strptr(elf, names, header.sh_name) : nullptr;
    if (title == nullptr || std::strcmp(title, ".gnu_debugaltlink") != 0) continue;
    const Elf_Data* data = elf_rawdata(section, nullptr);
    if (data == nullptr || data->d_size <= name.size() + 1) return "";
    return hex_of(static_cast<const unsigned char*>(data->d_buf) + name.size() + 1, data->d_size - name.size() - 1);
  }
  return "";
}

// The first of these files that is the right one.
template <class IsRight>
DebugFile first_of(const std::vector<std::string>& paths, IsRight is_right) {
  for (const std::string& path : paths) {
    OpenObject object(path);
    if (object.elf() != nullptr && is_right(object)) return {object.release(), path};
  }
  return {};
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

DebugFile find_debug_file(const std::string& path, const DebugLink& link, const Places& places) {
  const std::string build_id = build_id_of(path);
  const std::string here = directory_of(path);
  std::vector<std::string> paths;
  for (const std::string& directory : places.directories)
    if (build_id.size() > 2) paths.push_back(place_of(directory, build_id) + ".debug");
  if (!link.name.empty() && link.name.find('/') == std::string::npos) {
    for (const char* below : {"/", "/.debug/"}) paths.push_back(here + below + link.name);
    for (const std::string& directory : places.directories)
      for (const std::string& below : {here, here.substr(here.starts_with(places.sysroot) ? places.sysroot.size() : 0)})
        paths.push_back(directory + below + "/" + link.name);
  }
  return first_of(paths, [&](const OpenObject& file) {
    return build_id.empty() ? sum_of(file.descriptor()) == link.sum : build_id_of(file.elf()) == build_id;
  });
}

DebugFile find_shared_file(const std::string& path, const std::string& name, const Places& places) {
  const std::string build_id = shared_build_id(OpenObject(path).elf(), name);
  if (build_id.size() <= 2) return {};
  std::vector<std::string> paths;
  for (const std::string& directory : places.directories) paths.push_back(place_of(directory, build_id) + ".debug");
  if (name.starts_with('/')) paths.push_back(places.sysroot + name);
  paths.push_back(name.starts_with('/') ? name : directory_of(path) + "/" + name);
  return first_of(paths, [&](const OpenObject& file) { return build_id_of(file.elf()) == build_id; });
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
      const std::string name = place_of(directory, module.build_id);
      for (const char* ending : {"", ".debug"})
        if (fit_of(name + ending, module.build_id) == Fit::kSame) return {name + ending, ""};
    }
  if (fit == Fit::kOther) return {"", path + ": is another build than the one that was measured"};
  if (has_path) return {"", path + ": no such object here"};
  const bool is_file = module.path.find('/') != std::string::npos;
  return {"", is_file ? "…" + module.path + ": its path is not known as a whole" : ""};
}

}  // namespace heapster::symbols
