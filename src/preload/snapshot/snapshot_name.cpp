// SPDX-License-Identifier: MIT

#include "preload/snapshot/snapshot_name.h"

#include <sys/utsname.h>

#include "preload/base/config.h"
#include "preload/base/kernel.h"
#include "preload/base/notes.h"
#include "preload/base/scratch.h"
#include "preload/base/string_store.h"
#include "preload/base/text.h"

namespace heapster::preload {

namespace {

constinit const char* exit_path = "";
constinit const char* signal_path = "";
constinit DirectoryIdentity home = {};

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

void expand(TextBuilder& path, const char* pattern, const Identity& identity, const char* executable) {
  for (; *pattern != '\0'; ++pattern) {
    if (pattern[0] == '%' && pattern[1] != '\0') {
      add_letter(path, *++pattern, identity, executable);
    } else {
      path.add(*pattern);
    }
  }
}

// The directory that a relative pattern starts from, or nothing.
void add_directory(TextBuilder& path, bool in_run_directory) {
  if (in_run_directory) {
    path.add(config.run_dir).add('/');
    return;
  }
  char(&working)[sizeof scratch.bytes] = scratch.bytes;
  const long size = kernel::call(__NR_getcwd, kernel::as_long(working), sizeof working);
  if (size > 0 && working[0] == '/') {  // the kernel says "(unreachable)/…" where there is no path
    path.add(working).add('/');
  } else {
    raise(Note::k_snapshot_relative);
  }
}

const char* keep_numbered(const char* path, uint64_t number) {
  StoredString changed;
  add_numbered(changed.text(), path, number);
  return changed.keep();
}

bool no_snapshot_at_exit() { return equal(config.out, "none") || equal(config.out, "/dev/null"); }

// Of the process by itself, or of an image of it.
const char* name_snapshot(const Identity& identity, const char* executable, bool root) {
  const bool collected = !root && config.root_pid != 0;  // by heapster-run, from the run directory
  const char* pattern = no_snapshot_at_exit() || collected ? kDefaultOut : config.out;
  StoredString path;
  if (pattern[0] != '/') add_directory(path.text(), collected || (!root && !config.out_set));
  expand(path.text(), pattern, identity, executable);
  const char* name = path.keep();
  // A name that another process of the tree, or an earlier image of this one, would also take gets
  // this one's number.
  if (!root && !names_pid(pattern)) name = keep_numbered(name, identity.pid);
  if (identity.image != 0 && kernel::exists_at(AT_FDCWD, name)) name = keep_numbered(name, identity.image);
  return name;
}

}  // namespace

void add_numbered(TextBuilder& text, const char* path, uint64_t number) {
  const size_t dot = ending_of(path);
  text.add(path, dot).add('.').add(number).add(path + dot);
}

void add_directory_of(TextBuilder& text, const char* path) {
  const auto size = static_cast<size_t>(base_name(path) - path);
  text.add(path, size).add(size == 0 ? "." : "");
}

const char* snapshot_path() { return exit_path; }
const char* dump_path() { return signal_path; }
const DirectoryIdentity& snapshot_directory() { return home; }

const char* name_of_earlier(const Identity& earlier, const char* executable, bool root) {
  return name_snapshot(earlier, executable, root);
}

void choose_snapshot_paths(const Identity& identity, const char* executable, bool root) {
  signal_path = name_snapshot(identity, executable, root);
  exit_path = no_snapshot_at_exit() ? "" : signal_path;
  TextBuilder directory(scratch.bytes, sizeof scratch.bytes);
  add_directory_of(directory, signal_path);
  home = identify_directory(scratch.bytes);
}

}  // namespace heapster::preload
