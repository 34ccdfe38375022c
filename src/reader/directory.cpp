// SPDX-License-Identifier: MIT
//
// Header, sections and schema of hostile files. Each check has a message of its own: a person who
// gets one should be able to tell a file that was cut off from one that was never ours.

#include "reader/directory.h"

#include <cstring>
#include <string>

namespace heapster::reader {

namespace {

// What a section of each type may look like; a new section of a later version is none of these
// and is passed over.
struct Rule {
  SectionType type;
  const char* name;
  Section Directory::*place;
  uint64_t least_item, most_item;
  uint64_t most_used;
};
constexpr Rule kRules[] = {
    {SectionType::kTexts, "texts", &Directory::texts, 1, 1, kMostTextBytes},
    {SectionType::kSchema, "schema", &Directory::schema, sizeof(FieldInfo), sizeof(FieldInfo), kMostFields},
    {SectionType::kLiveAtPeak, "live at peak", &Directory::live_at_peak, sizeof(Cell), sizeof(Cell), kBuckets},
    {SectionType::kLiveAtFork, "live at fork", &Directory::live_at_fork, sizeof(Cell), sizeof(Cell), kBuckets},
    {SectionType::kTimeline, "timeline", &Directory::timeline, sizeof(int64_t), kMostPointBytes, kMostPoints},
    {SectionType::kArenas, "arenas", &Directory::arenas, sizeof(heapster_arena), kMostArenaBytes, kMaxArenas},
    {SectionType::kSlots, "slots", &Directory::slots, 2 * kShardHeadBytes, kMostSlotBytes, kMaxSlots},
    {SectionType::kSampling, "sampling", &Directory::sampling, sizeof(Sampling), kMostSamplingBytes, 1},
    {SectionType::kModules, "modules", &Directory::modules, sizeof(Module), kMostStackItemBytes, kMaxModules},
    {SectionType::kStacks, "stacks", &Directory::stacks, kFirstStackBytes, kMostStackItemBytes, kMaxStacks},
    {SectionType::kFrames, "frames", &Directory::frames, sizeof(uint64_t), sizeof(uint64_t), kMaxFrames},
    {SectionType::kSamples, "samples", &Directory::samples, sizeof(Sample), kMostStackItemBytes, kMaxSamples},
};

Error damaged(const std::string& what) { return {"damaged: " + what}; }

// The last slot's `before` may be missing from a snapshot, where nobody took that slot over.
uint64_t bytes_needed(const Section& section) {
  const uint64_t whole = section.used * section.item_bytes;
  const bool slots = section.type == static_cast<uint32_t>(SectionType::kSlots);
  return slots ? whole - section.item_bytes / 2 : whole;
}

Result<Done> check_section(const Section& section, const Rule& rule, uint64_t file_size) {
  const std::string name = rule.name;
  if (section.item_bytes < rule.least_item || section.item_bytes > rule.most_item)
    return damaged("item size of " + name);
  if (section.used > rule.most_used || section.used > section.capacity) return damaged("item count of " + name);
  if (section.offset < sizeof(Header) || section.offset > INT64_MAX) return damaged("place of " + name);
  if (section.used == 0) return Done{};           // wherever it is said to lie, nothing of it is read
  const uint64_t needed = bytes_needed(section);  // small, by the two checks above
  if (section.offset > file_size || needed > file_size - section.offset) return Error{"truncated in its " + name};
  return Done{};
}

Result<Done> take_section(Directory& directory, const Section& section, uint64_t file_size) {
  for (const Rule& rule : kRules) {
    if (section.type != static_cast<uint32_t>(rule.type)) continue;
    if ((directory.*rule.place).type != 0) return damaged(std::string("two sections of ") + rule.name);
    Result<Done> checked = check_section(section, rule, file_size);
    if (checked) directory.*rule.place = section;
    return checked;
  }
  return Done{};
}

uint64_t bytes_needed(const FieldInfo& field) {
  switch (static_cast<FieldKind>(field.kind)) {
    case FieldKind::kHistogram:
      return uint64_t{field.stride} * (kBuckets - 1) + sizeof(Cell);
    case FieldKind::kExact:
      return uint64_t{field.stride} * (kExactLines - 1) + sizeof(uint64_t);
    case FieldKind::kWaiting:
      return uint64_t{field.stride} * (kWaitingLines - 1) + sizeof(uint64_t);
    default:
      return sizeof(uint64_t);
  }
}

bool inside(const FieldInfo& field, uint64_t room) { return field.offset + bytes_needed(field) <= room; }

bool ended(const char* text, size_t room) { return text[0] != '\0' && memchr(text, '\0', room) != nullptr; }

Result<Done> read_fields(const Source& source, Directory& directory) {
  directory.fields.resize(directory.schema.used);
  const std::span bytes(reinterpret_cast<char*>(directory.fields.data()), directory.schema.used * sizeof(FieldInfo));
  if (!source.read(directory.schema.offset, bytes)) return Error{"truncated in its schema"};
  std::erase_if(directory.fields, [](const FieldInfo& f) {
    return f.kind < static_cast<uint32_t>(FieldKind::kHistogram) || f.kind > static_cast<uint32_t>(FieldKind::kWaiting);
  });
  for (const FieldInfo& field : directory.fields) {
    if (!ended(field.name, sizeof field.name) || !ended(field.unit, sizeof field.unit))
      return damaged("name in the schema");
    const bool column = field.kind == static_cast<uint32_t>(FieldKind::kColumn);
    if (!inside(field, column ? directory.timeline.item_bytes : directory.shard_bytes()))
      return damaged(std::string("place of ") + field.name);
  }
  return Done{};
}

Result<Done> check_header(const Header& header) {
  if (std::memcmp(header.magic, kMagic, sizeof kMagic) != 0) return Error{"not a heapster file"};
  if (header.version > kFormatVersion)
    return Error{"written by a newer heapster: format " + std::to_string(header.version) + ", this one reads " +
                 std::to_string(kFormatVersion)};
  if (header.version != kFormatVersion) return damaged("format version");
  if (header.header_bytes < sizeof(Header)) return damaged("header size");
  if (header.section_count > kMaxSections) return damaged("section count");
  return Done{};
}

}  // namespace

Result<Directory> read_directory(const Source& source) {
  Directory directory{};
  Header& header = directory.header;
  if (!source.read(0, {reinterpret_cast<char*>(&header), sizeof header})) {
    const bool ours =
        source.read(0, {header.magic, sizeof header.magic}) && std::memcmp(header.magic, kMagic, sizeof kMagic) == 0;
    return Error{ours ? "truncated in its header" : "not a heapster file"};
  }
  if (Result<Done> checked = check_header(header); !checked) return checked.error();
  for (uint32_t i = 0; i < header.section_count; ++i) {
    Result<Done> taken = take_section(directory, header.sections[i], source.size());
    if (!taken) return taken.error();
  }
  if (directory.schema.used == 0 || directory.slots.type == 0) return damaged("no schema or no slots");
  if (Result<Done> fields = read_fields(source, directory); !fields) return fields.error();
  return directory;
}

std::optional<Identity> read_identity(const Source& source) {
  Header header{};
  if (!source.read(0, {reinterpret_cast<char*>(&header), sizeof header}) || !check_header(header)) return std::nullopt;
  return header.identity;
}

ShardHead shard_head(const std::vector<char>& shard) {
  ShardHead head{};
  const auto take = [&](auto& to, size_t offset) { std::memcpy(&to, shard.data() + offset, sizeof to); };
  take(head.net, offsetof(Shard, net));
  take(head.ceiling, offsetof(Shard, ceiling));
  take(head.tid, offsetof(Shard, tid));
  take(head.generation, offsetof(Shard, generation));
  take(head.role, offsetof(Shard, role));
  take(head.started, offsetof(Shard, started));
  take(head.name, offsetof(Shard, name));
  take(head.scope, offsetof(Shard, scope));
  take(head.scope_path, offsetof(Shard, scope_path));
  if (head.scope >= kMaxScopes) head.scope = 0;
  return head;
}

}  // namespace heapster::reader
