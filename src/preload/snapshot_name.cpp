// SPDX-License-Identifier: MIT

#include "preload/snapshot_name.h"

#include <sys/utsname.h>

#include "preload/config.h"
#include "preload/kernel.h"
#include "preload/notes.h"
#include "preload/text.h"

namespace heapster::preload {

namespace {

char exit_path[kPathRoom];
char signal_path[kPathRoom];

void add_letter(TextBuilder& path, char letter, const Identity& identity, const char* executable) {
  utsname host{};
  switch (letter) {
    case 'e':
      path.add(base_name(executable));
      break;
    case 'p':
      path.add(identity.pid);
      break;
    case 't':
      path.add(identity.started_epoch / 1'000'000'000);
      break;
    case 'n':
      path.add(identity.image);
      break;
    case '%':
      path.add('%');
      break;
    case 'h':
      kernel::call(__NR_uname, kernel::as_long(&host));
      path.add(host.nodename);
      break;
    default:
      path.add('%').add(letter);
  }
}

bool names_pid(const char* pattern) {
  for (; *pattern != '\0'; ++pattern) {
    if (pattern[0] == '%' && pattern[1] == '%')
      ++pattern;
    else if (pattern[0] == '%' && pattern[1] == 'p')
      return true;
  }
  return false;
}

// Where the ending of a path begins ("….heap"), or its end.
size_t ending_of(const char* path) {
  const char* base = base_name(path);
  size_t dot = strlen(path);
  for (const char* at = base + 1; *base != '\0' && *at != '\0'; ++at) {
    if (*at == '.') dot = static_cast<size_t>(at - path);
  }
  return dot;
}

bool expand(char (&to)[kPathRoom], const char* pattern, const char* directory, const Identity& identity,
            const char* executable) {
  TextBuilder path(to, sizeof to);
  if (pattern[0] != '/' && directory[0] != '\0') path.add(directory).add('/');
  for (; *pattern != '\0'; ++pattern) {
    if (pattern[0] == '%' && pattern[1] != '\0') {
      add_letter(path, *++pattern, identity, executable);
    } else {
      path.add(*pattern);
    }
  }
  return !path.full();
}

// A name that another process of the tree, or an earlier image of this one, would also take gets
// this one's number.
void make_unique(char (&path)[kPathRoom], const Identity& identity, bool lacks_pid) {
  char changed[kPathRoom];
  if (lacks_pid && insert_number(changed, kPathRoom, path, identity.pid)) memcpy(path, changed, kPathRoom);
  const bool taken = identity.image != 0 && kernel::exists_at(AT_FDCWD, path);
  if (taken && insert_number(changed, kPathRoom, path, identity.image)) memcpy(path, changed, kPathRoom);
}

}  // namespace

bool insert_number(char* to, size_t room, const char* path, uint64_t number) {
  const size_t dot = ending_of(path);
  TextBuilder text(to, room);
  text.add(path, dot).add('.').add(number).add(path + dot);
  return !text.full();
}

const char* snapshot_path() { return exit_path; }
const char* dump_path() { return signal_path; }

void choose_snapshot_paths(const Identity& identity, const char* executable, bool root) {
  const bool none = equal(config.out, "none");
  const bool in_run_directory = !root && !config.out_set;
  const char* pattern = none ? "heapster.%e.%p.heap" : config.out;
  char working[kPathRoom];
  const long size = kernel::call(__NR_getcwd, kernel::as_long(working), sizeof working);
  if (size <= 0 || working[0] != '/') {  // the kernel says "(unreachable)/…" where there is no path
    working[0] = '\0';
    raise(Note::k_snapshot_relative);
  }
  const char* directory = in_run_directory ? config.run_dir : working;
  if (!expand(signal_path, pattern, directory, identity, executable)) signal_path[0] = '\0';
  make_unique(signal_path, identity, !root && !names_pid(pattern));
  if (none) {
    exit_path[0] = '\0';
  } else {
    memcpy(exit_path, signal_path, sizeof exit_path);
  }
}

}  // namespace heapster::preload
