// SPDX-License-Identifier: MIT

#include "preload/base/config.h"

#include "layout/signals.h"
#include "layout/sizes.h"
#include "preload/base/process_state.h"
#include "preload/base/string_store.h"
#include "preload/base/text.h"

namespace heapster::preload {

Config config;

namespace {

constexpr size_t kLongestPath = 4095;
constexpr size_t kLongestLabel = 255;

bool keep_value(const char*& option, const char* value, size_t most) {
  const size_t size = strlen(value);
  if (size == 0 || size > most) return false;
  option = keep_string(value);
  return option[0] != '\0';
}

bool parse_flag(bool& flag, const char* value) {
  if (!equal(value, "0") && !equal(value, "1")) return false;
  flag = value[0] == '1';
  return true;
}

// One setter per option, named as in options.def.
bool set_out(const char* value) { return config.out_set = keep_value(config.out, value, kLongestPath); }
bool set_run_dir(const char* value) { return value[0] == '/' && keep_value(config.run_dir, value, kLongestPath); }
bool set_label(const char* value) { return keep_value(config.label, value, kLongestLabel); }
bool set_follow(const char* value) { return parse_flag(config.follow, value); }
bool set_stacks(const char* value) { return (config.stacks = parse_size(value)) != 0; }
bool set_limit(const char* value) {
  const uint64_t bytes = parse_size(value);
  if (bytes != 0 && bytes <= kMostLimit) config.limit = bytes;
  return config.limit != 0;
}

bool set_fail(const char* value) { return (config.fail = parse_failures(value)).rule != Rule::kNone; }
bool set_verbose(const char* value) { return parse_flag(config.verbose, value); }

bool set_signal(const char* value) {
  const int number = parse_signal(value);
  if (number >= 0) config.signal = number;
  return number >= 0;
}

bool set_root(const char* value) {
  uint64_t pid;
  uint64_t ticks;
  if (!parse_number(value, pid) || *value++ != '.' || !parse_number(value, ticks) || *value != '\0') return false;
  if (pid == 0 || pid > INT32_MAX) return false;
  config.root_pid = static_cast<uint32_t>(pid);
  config.root_ticks = ticks;
  return true;
}

void set_defaults() {
  config = Config{};
  StoredString run_dir;
  run_dir.text().add("/dev/shm/heapster-").add(process.uid);
  config.out = kDefaultOut;
  config.run_dir = run_dir.keep();
  config.label = "";
  config.signal = SIGUSR1;
  config.follow = true;
}

// Whether "NAME=value" is this option, and then whether its value was understood.
bool apply(const char* assignment) {
  const char* value = assignment;
  while (*value != '\0' && *value != '=') ++value;
  const auto name_size = static_cast<size_t>(value - assignment);
  if (*value++ != '=') return false;
#define HEAPSTER_OPTION(field, variable, ...) \
  if (name_size == sizeof #variable - 1 && memcmp(assignment, #variable, name_size) == 0) return set_##field(value);
#include "layout/options.def"
  return false;
}

}  // namespace

void read_config(const char* const* environment, OptionReport report) {
  set_defaults();
  if (environment == nullptr) return;
  for (; *environment != nullptr; ++environment) {
    if (!starts_with(*environment, "HEAPSTER_")) continue;
    report(*environment, apply(*environment));
  }
}

}  // namespace heapster::preload
