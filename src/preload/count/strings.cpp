// SPDX-License-Identifier: MIT

#include "preload/count/strings.h"

#include "preload/base/libc.h"
#include "preload/count/recorder.h"

namespace heapster::preload {

namespace {

char* counted_strndup(const char* text, size_t most) {
  size_t size = 0;
  while (size < most && text[size] != '\0') ++size;
  auto* block = static_cast<char*>(record_alloc(next.malloc(size + 1), size + 1));
  if (block == nullptr) return nullptr;
  memcpy(block, text, size);
  block[size] = '\0';
  return block;
}

char* counted_strdup(const char* text) { return counted_strndup(text, SIZE_MAX); }

}  // namespace

void replace_strdups(const NextFacts& facts) {
  if (facts.has_strdup) store(next.strdup.found, &counted_strdup);
  if (facts.has_strndup) store(next.strndup.found, &counted_strndup);
}

}  // namespace heapster::preload
