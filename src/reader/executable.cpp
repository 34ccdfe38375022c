// SPDX-License-Identifier: MIT

#include "reader/executable.h"

#include <fcntl.h>
#include <gelf.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <algorithm>
#include <climits>
#include <cstdlib>
#include <cstring>
#include <initializer_list>
#include <memory>
#include <sstream>
#include <string_view>

#include "reader/path.h"

namespace heapster::reader {

namespace {

constexpr int kMostInterpreters = 4;  // as the kernel
#if defined(__x86_64__)
constexpr int kOurMachine = EM_X86_64;
#else
constexpr int kOurMachine = EM_AARCH64;
#endif

class OpenFile {
 public:
  explicit OpenFile(const std::string& path) : fd_(open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK)) {}
  ~OpenFile() {
    if (fd_ >= 0) close(fd_);
  }
  OpenFile(const OpenFile&) = delete;
  OpenFile& operator=(const OpenFile&) = delete;
  int fd() const { return fd_; }

 private:
  int fd_;
};

// The interpreter named by a "#!" line; empty where there is none.
std::string interpreter_of(int fd) {
  char line[256] = {};
  if (pread(fd, line, sizeof line - 1, 0) < 2 || line[0] != '#' || line[1] != '!') return {};
  const char* start = line + 2 + std::strspn(line + 2, " \t");
  return {start, std::strcspn(start, " \t\n")};
}

bool has_header(Elf* elf, GElf_Word type) {
  size_t count = 0;
  elf_getphdrnum(elf, &count);
  for (size_t i = 0; i < count; ++i) {
    GElf_Phdr header;
    if (gelf_getphdr(elf, static_cast<int>(i), &header) != nullptr && header.p_type == type) return true;
  }
  return false;
}

// Calls visit(name) for each function that a symbol table defines, for others or (local) itself.
template <typename Visit>
void each_function(Elf* elf, Elf_Scn* section, const GElf_Shdr& header, bool local, Visit visit) {
  Elf_Data* data = elf_getdata(section, nullptr);
  if (data == nullptr || header.sh_entsize == 0) return;
  for (size_t i = 0; i < header.sh_size / header.sh_entsize; ++i) {
    GElf_Sym symbol;
    if (gelf_getsym(data, static_cast<int>(i), &symbol) == nullptr) return;
    if (symbol.st_shndx == SHN_UNDEF || GELF_ST_TYPE(symbol.st_info) != STT_FUNC) continue;
    if (!local && GELF_ST_BIND(symbol.st_info) == STB_LOCAL) continue;
    const char* name = elf_strptr(elf, header.sh_link, symbol.st_name);
    if (name != nullptr) visit(std::string_view(name));
  }
}

// The same for the symbol tables of these types.
template <typename Visit>
void each_function(Elf* elf, std::initializer_list<GElf_Word> types, bool local, Visit visit) {
  for (Elf_Scn* section = elf_nextscn(elf, nullptr); section != nullptr; section = elf_nextscn(elf, section)) {
    GElf_Shdr header;
    if (gelf_getshdr(section, &header) == nullptr) continue;
    if (std::find(types.begin(), types.end(), header.sh_type) == types.end()) continue;
    each_function(elf, section, header, local, visit);
  }
}

struct Sanitizer {
  std::string_view name;
  std::string_view runtime;  // part of the names of its library and of its first function
};
constexpr Sanitizer kSanitizers[] = {{"AddressSanitizer", "asan"},
                                     {"ThreadSanitizer", "tsan"},
                                     {"MemorySanitizer", "msan"},
                                     {"HWAddressSanitizer", "hwasan"},
                                     {"LeakSanitizer", "lsan"}};

// What the symbols and the needed libraries of an executable tell.
struct Runtime {
  const Sanitizer* sanitizer = nullptr;
  bool own_malloc = false;
};

void take_needed(Runtime& runtime, std::string_view library) {
  for (const Sanitizer& sanitizer : kSanitizers) {
    const std::string name(sanitizer.runtime);
    if (library.starts_with("lib" + name + ".so") || library.starts_with("libclang_rt." + name)) {
      runtime.sanitizer = &sanitizer;
    }
  }
}

void take_function(Runtime& runtime, std::string_view function) {
  if (function == "malloc") runtime.own_malloc = true;
  if (!function.starts_with("__") || !function.ends_with("_init")) return;
  function.remove_prefix(2);
  function.remove_suffix(5);
  for (const Sanitizer& sanitizer : kSanitizers) {
    if (function == sanitizer.runtime) runtime.sanitizer = &sanitizer;
  }
}

// Calls visit(tag, text) for each entry of the dynamic section whose value is a text.
template <typename Visit>
void each_dynamic_text(Elf* elf, Visit visit) {
  for (Elf_Scn* section = elf_nextscn(elf, nullptr); section != nullptr; section = elf_nextscn(elf, section)) {
    GElf_Shdr header;
    if (gelf_getshdr(section, &header) == nullptr || header.sh_type != SHT_DYNAMIC || header.sh_entsize == 0) continue;
    Elf_Data* data = elf_getdata(section, nullptr);
    if (data == nullptr) continue;
    for (size_t i = 0; i < header.sh_size / header.sh_entsize; ++i) {
      GElf_Dyn entry;
      if (gelf_getdyn(data, static_cast<int>(i), &entry) == nullptr || entry.d_tag == DT_NULL) return;
      if (entry.d_tag != DT_NEEDED && entry.d_tag != DT_SONAME) continue;
      if (const char* text = elf_strptr(elf, header.sh_link, entry.d_un.d_val)) visit(entry.d_tag, text);
    }
  }
}

void take_libraries(Runtime& runtime, Elf* elf) {
  each_dynamic_text(elf, [&](GElf_Sxword tag, const char* text) {
    if (tag == DT_NEEDED) take_needed(runtime, text);
  });
}

// Exported or not: the program's own calls go to its own functions either way.
Runtime runtime_of(Elf* elf) {
  Runtime runtime;
  each_function(elf, {SHT_DYNSYM, SHT_SYMTAB}, false, [&](std::string_view name) { take_function(runtime, name); });
  take_libraries(runtime, elf);
  return runtime;
}

Definitions look_into(Elf* elf, std::initializer_list<GElf_Word> types) {
  Definitions found;
  each_function(elf, types, false, [&](std::string_view name) {
    found.malloc |= name == "malloc";
    found.operator_new |= name == "_Znwm";
  });
  return found;
}

using ElfHandle = std::unique_ptr<Elf, int (*)(Elf*)>;

ElfHandle open_elf(int fd) {
  elf_version(EV_CURRENT);
  return {elf_begin(fd, ELF_C_READ, nullptr), elf_end};
}

// The dynamic linker that an executable asks for.
std::string loader_named_by(Elf* elf, int fd) {
  size_t count = 0;
  elf_getphdrnum(elf, &count);
  for (size_t i = 0; i < count; ++i) {
    GElf_Phdr header;
    if (gelf_getphdr(elf, static_cast<int>(i), &header) == nullptr || header.p_type != PT_INTERP) continue;
    std::string path(std::min<size_t>(header.p_filesz, PATH_MAX), '\0');
    const ssize_t size = pread(fd, path.data(), path.size(), static_cast<off_t>(header.p_offset));
    return {path.c_str(), strnlen(path.c_str(), size > 0 ? static_cast<size_t>(size) : 0)};
  }
  return {};
}

// Programs that gain rights at exec are started without preloads.
bool gains_rights(const std::string& path) {
  struct stat status {};
  if (stat(path.c_str(), &status) != 0) return false;
  if ((status.st_mode & S_ISUID) != 0 && status.st_uid != getuid()) return true;
  if ((status.st_mode & S_ISGID) != 0 && (status.st_mode & S_IXGRP) != 0 && status.st_gid != getgid()) return true;
  return getuid() != 0 && getxattr(path.c_str(), "security.capability", nullptr, 0) > 0;
}

std::optional<Unseen> why_elf_unseen(int fd) {
  const ElfHandle elf = open_elf(fd);
  GElf_Ehdr header;
  if (elf == nullptr || elf_kind(elf.get()) != ELF_K_ELF || gelf_getehdr(elf.get(), &header) == nullptr) return {};
  if (header.e_machine != kOurMachine || gelf_getclass(elf.get()) != ELFCLASS64) {
    return Unseen{"is built for another architecture", Fate::kRefused};
  }
  if (!has_header(elf.get(), PT_INTERP)) return Unseen{"is statically linked", Fate::kIgnored};
  const std::string loader = loader_named_by(elf.get(), fd);
  if (last_part(loader).starts_with("ld-musl-"))
    return Unseen{"is a program of musl's, where heapster is off", Fate::kIgnored};
  const Runtime runtime = runtime_of(elf.get());
  if (runtime.sanitizer != nullptr) {
    return Unseen{"is built with " + std::string(runtime.sanitizer->name) + ", whose runtime has to come first",
                  Fate::kRefused};
  }
  if (runtime.own_malloc) return Unseen{"defines malloc itself", Fate::kLoaded};
  return {};
}

// It asks for no interpreter, since it is one, and has the name of a library.
bool is_loader(const std::string& path) {
  const OpenFile file(path);
  const ElfHandle elf = open_elf(file.fd());
  if (file.fd() < 0 || elf == nullptr || has_header(elf.get(), PT_INTERP)) return false;
  bool named = false;
  each_dynamic_text(elf.get(), [&](GElf_Sxword tag, const char* text) {
    named = named || (tag == DT_SONAME && std::string_view(text).starts_with("ld"));
  });
  return named;
}

bool is_program(const std::string& path) {
  struct stat status {};
  return stat(path.c_str(), &status) == 0 && S_ISREG(status.st_mode) && access(path.c_str(), X_OK) == 0;
}

}  // namespace

Result<std::string> find_program(const std::string& word) {
  if (word.find('/') != std::string::npos) {
    if (is_program(word)) return word;
    return Error{word + (access(word.c_str(), F_OK) == 0 ? ": not an executable file" : ": no such program")};
  }
  const char* search = std::getenv("PATH");
  std::istringstream directories(search != nullptr ? search : "/usr/local/bin:/usr/bin:/bin");
  for (std::string directory; std::getline(directories, directory, ':');) {
    std::string path = (directory.empty() ? "." : directory) + "/" + word;
    if (is_program(path)) return path;
  }
  return Error{word + ": no such program"};
}

std::optional<Unseen> why_unseen(const std::string& path) {
  std::string program = path;
  for (int i = 0; i < kMostInterpreters; ++i) {
    const OpenFile file(program);
    if (gains_rights(program)) {
      return Unseen{program + " is set-user-id, set-group-id or has capabilities", Fate::kIgnored};
    }
    if (file.fd() < 0) return {};
    const std::string interpreter = interpreter_of(file.fd());
    if (interpreter.empty()) {
      auto unseen = why_elf_unseen(file.fd());
      if (unseen) unseen->why = program + " " + unseen->why;
      return unseen;
    }
    program = interpreter;
  }
  return {};
}

std::string program_behind_loader(const std::string& program, const std::vector<std::string>& command) {
  static constexpr std::string_view kWithValue[] = {
      "--library-path", "--glibc-hwcaps-prepend", "--glibc-hwcaps-mask", "--inhibit-rpath", "--audit", "--preload",
      "--argv0"};
  if (!is_loader(program)) return program;
  for (size_t i = 1; i < command.size(); ++i) {
    if (!command[i].starts_with("--")) return is_program(command[i]) ? command[i] : program;
    if (std::find(std::begin(kWithValue), std::end(kWithValue), command[i]) != std::end(kWithValue)) ++i;
  }
  return program;
}

Loader loader_of(const std::string& path) {
  std::string program = path;
  for (int i = 0; i < kMostInterpreters; ++i) {
    const OpenFile file(program);
    if (file.fd() < 0) break;
    const std::string interpreter = interpreter_of(file.fd());
    if (interpreter.empty()) {
      const ElfHandle elf = open_elf(file.fd());
      return {program, elf != nullptr ? loader_named_by(elf.get(), file.fd()) : ""};
    }
    program = interpreter;
  }
  return {program, ""};
}

// A Rust program has either the default allocator's functions, or hands on to its own; newer compilers mangle the names
// and leave the hand-over out.
std::string embedded_allocator(const std::string& path) {
  static constexpr std::string_view kNames[] = {"_rjem_malloc", "je_malloc", "mi_malloc", "tc_malloc", "rpmalloc"};
  static constexpr std::string_view kRust = "__rust_alloc", kDefault = "__rdl_alloc";
  const OpenFile file(loader_of(path).binary);
  const ElfHandle elf = open_elf(file.fd());
  std::string found, rust;
  bool has_default = false;
  if (file.fd() < 0 || elf == nullptr) return found;
  each_function(elf.get(), {SHT_DYNSYM, SHT_SYMTAB}, true, [&](std::string_view name) {
    if (std::find(std::begin(kNames), std::end(kNames), name) != std::end(kNames)) found = name;
    if (name.ends_with(kRust)) rust = "Rust's #[global_allocator]";
    has_default |= name.ends_with(kDefault);
  });
  return found.empty() && !has_default ? rust : found;
}

Definitions definitions_of(const std::string& path) {
  const OpenFile file(path);
  if (file.fd() < 0) return {};
  const ElfHandle elf = open_elf(file.fd());
  return elf != nullptr ? look_into(elf.get(), {SHT_DYNSYM}) : Definitions{};
}

}  // namespace heapster::reader
