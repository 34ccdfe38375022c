// SPDX-License-Identifier: MIT

#include "preload/segment/texts.h"

#include "preload/base/text.h"
#include "preload/segment/sections.h"

namespace heapster::preload {

namespace {

struct Record {
  uint16_t key;
  uint16_t size;
};

char texts[kTextsBytes];
size_t used;
size_t lasting;

// Half of the room is for what passes.
constexpr size_t kLastingRoom = kTextsBytes / 2;

// The place behind a record that was written to `to`, of which so much is used; the same where it does not fit.
size_t write_record(char* to, size_t filled, Text key, const char* text, size_t size) {
  const Record record = {static_cast<uint16_t>(key), static_cast<uint16_t>(size)};
  if (size > UINT16_MAX || filled + sizeof record + size > kTextsBytes) return filled;
  memcpy(to + filled, &record, sizeof record);
  memcpy(to + filled + sizeof record, text, size);
  return filled + sizeof record + size;
}

void add_record(Text key, const char* text, size_t size) { used = write_record(texts, used, key, text, size); }

}  // namespace

void add_text(Text key, const char* text, size_t size, size_t most) {
  const size_t left = used + sizeof(Record) < kLastingRoom ? kLastingRoom - used - sizeof(Record) : 0;
  if (size > most) size = most;
  add_record(key, text, size < left ? size : left);
}

void add_text(Text key, const char* text, size_t most) { add_text(key, text, strlen(text), most); }

void add_whole_text(Text key, const char* text) { add_record(key, text, strlen(text)); }

void end_lasting_texts() { lasting = used; }
void drop_passing_texts() { used = lasting; }

void write_texts(Header* header) {
  memcpy(reinterpret_cast<char*>(header) + kTextsOffset, texts, used);
  header->sections[kTextsSection].used = used;
}

void add_late_text(Header* header, Text key, const char* text) {
  uint64_t& filled = header->sections[kTextsSection].used;
  const uint64_t now =
      write_record(reinterpret_cast<char*>(header) + kTextsOffset, load(filled), key, text, strlen(text));
  __atomic_store_n(&filled, now, __ATOMIC_RELEASE);
}

bool find_text(const char* section, size_t size, Text key, char* to, size_t room) {
  TextBuilder text(to, room);
  if (size > kTextsBytes) return false;
  Record record;
  for (size_t at = 0; at + sizeof record <= size; at += sizeof record + record.size) {
    memcpy(&record, section + at, sizeof record);
    if (at + sizeof record + record.size > size) return false;
    if (record.key != static_cast<uint16_t>(key)) continue;
    text.add(section + at + sizeof record, record.size);
    return !text.full();
  }
  return false;
}

}  // namespace heapster::preload
