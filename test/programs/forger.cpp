// SPDX-License-Identifier: MIT
//
// A process that was taken over: it has no rights but its own, and its own segment is mapped where it can write.
//   forger kill|exec TARGET     puts TARGET into the segment where its snapshot's name was, and another executable
//   forger damage TARGET        puts texts there that are none

#include <unistd.h>

#include <csignal>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <string_view>

#include "layout/segment.h"

namespace {

char* own_segment() {
  FILE* maps = fopen("/proc/self/maps", "r");
  char line[1024];
  char* found = nullptr;
  while (maps != nullptr && found == nullptr && fgets(line, sizeof line, maps) != nullptr) {
    if (strstr(line, "rw-s 00000000") != nullptr && strstr(line, "/dev/shm/") != nullptr)
      found = reinterpret_cast<char*>(strtoul(line, nullptr, 16));
  }
  fclose(maps);
  return found;
}

void put(std::string& texts, heapster::Text key, std::string_view text) {
  const uint16_t record[] = {static_cast<uint16_t>(key), static_cast<uint16_t>(text.size())};
  texts.append(reinterpret_cast<const char*>(record), sizeof record).append(text);
}

}  // namespace

int main(int count, char** arguments) {
  if (count != 3) return 2;
  free(malloc(100));
  char* segment = own_segment();
  if (segment == nullptr) return 3;
  const std::string_view deed = arguments[1];
  std::string texts;
  put(texts, heapster::Text::k_snapshot, arguments[2]);
  put(texts, heapster::Text::k_dump, arguments[2]);
  put(texts, heapster::Text::k_executable, "/forged/../name");
  if (deed == "damage") texts.assign("\1\0\xff\xff", 4);
  auto& header = *reinterpret_cast<heapster::Header*>(segment);
  memcpy(segment + heapster::kTextsOffset, texts.data(), texts.size());
  header.sections[0].used = texts.size();
  if (deed == "exec") execl("/bin/true", "true", nullptr);
  raise(SIGKILL);
}
