// SPDX-License-Identifier: MIT

#include "preload/texts.h"

#include "preload/process.h"
#include "preload/text.h"

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

void add_record(Text key, const char* text, size_t size) {
  const Record record = {static_cast<uint16_t>(key), static_cast<uint16_t>(size)};
  if (size > UINT16_MAX || used + sizeof record + size > sizeof texts) return;
  memcpy(texts + used, &record, sizeof record);
  memcpy(texts + used + sizeof record, text, size);
  used += sizeof record + size;
}

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
