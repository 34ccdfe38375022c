// SPDX-License-Identifier: MIT
//
// The encoding is that of the LSB ("Exception Frames") and of DWARF 5, section 6.4. Names of instructions are
// DWARF's. What a compiler does not emit for x86-64 ends in kStop, not in a guess.

#include "unwind/cfi.h"

#include <cstddef>

namespace heapster::unwind {

namespace {

constexpr uint64_t kFramePointer = 6;    // DWARF's numbers of rbp,
constexpr uint64_t kStackPointer = 7;    // rsp
constexpr uint64_t kReturnAddress = 16;  // and of the column for rip

constexpr uint8_t kTableEncoding = 0x3b;  // signed 4 bytes, relative to .eh_frame_hdr
constexpr uint8_t kOmitted = 0xff;

class Bytes {
 public:
  Bytes(const uint8_t* from, const uint8_t* end) : at_(from), end_(end) {}

  bool more() const { return at_ < end_; }
  const uint8_t* at() const { return at_; }
  void skip(uint64_t bytes) { at_ = bytes <= static_cast<uint64_t>(end_ - at_) ? at_ + bytes : end_; }

  template <typename T>
  T take() {
    T value{};
    if (static_cast<size_t>(end_ - at_) < sizeof value) {
      at_ = end_;
      return value;
    }
    __builtin_memcpy(&value, at_, sizeof value);
    at_ += sizeof value;
    return value;
  }
  uint64_t take_uleb() {
    uint64_t value = 0;
    for (unsigned shift = 0; more(); shift += 7) {
      const uint8_t byte = *at_++;
      if (shift < 64) value |= static_cast<uint64_t>(byte & 0x7f) << shift;
      if ((byte & 0x80) == 0) break;
    }
    return value;
  }
  int64_t take_sleb() {
    uint64_t value = 0;
    for (unsigned shift = 0; more();) {
      const uint8_t byte = *at_++;
      if (shift < 64) value |= static_cast<uint64_t>(byte & 0x7f) << shift;
      shift += 7;
      if ((byte & 0x80) != 0) continue;
      if (shift < 64 && (byte & 0x40) != 0) value |= ~uint64_t{0} << shift;
      break;
    }
    return static_cast<int64_t>(value);
  }
  // An address in one of the encodings that are in use: absolute, or relative to where it lies.
  uintptr_t take_address(uint8_t encoding) {
    const auto here = reinterpret_cast<uintptr_t>(at_);
    const uintptr_t origin = (encoding & 0x70) == 0x10 ? here : 0;
    switch (encoding & 0x0f) {
      case 0x00:
      case 0x04:
      case 0x0c:
        return origin + take<uint64_t>();
      case 0x03:
        return origin + take<uint32_t>();
      case 0x0b:
        return origin + static_cast<uintptr_t>(static_cast<intptr_t>(take<int32_t>()));
      case 0x02:
        return origin + take<uint16_t>();
      case 0x0a:
        return origin + static_cast<uintptr_t>(static_cast<intptr_t>(take<int16_t>()));
      default:
        at_ = end_;
        return 0;
    }
  }

 private:
  const uint8_t* at_;
  const uint8_t* end_;
};

// What lies in the tables at an offset from a place in them; empty where that is outside.
Bytes bytes_at(const Tables& tables, const uint8_t* from, int64_t offset) {
  const int64_t place = from - tables.begin + offset;
  if (place < 0 || place > tables.end - tables.begin) return {tables.end, tables.end};
  return {tables.begin + place, tables.end};
}

// A length and what follows it; empty for the 64-bit form, which nobody emits in .eh_frame.
Bytes take_entry(const Tables& tables, const uint8_t* from, int64_t offset) {
  Bytes bytes = bytes_at(tables, from, offset);
  const auto length = bytes.take<uint32_t>();
  const uint8_t* const at = bytes.at();
  if (length == 0xffffffff) return {at, at};
  bytes.skip(length);
  return {at, bytes.at()};
}

struct Cie {
  uint64_t code_alignment = 1;
  int64_t data_alignment = 1;
  uint8_t address_encoding = 0;
  bool has_data = false;  // 'z': entries carry their own augmentation data
  bool signal = false;
  bool known = false;
  Bytes instructions{nullptr, nullptr};
};

Cie read_cie(Bytes bytes) {
  Cie cie;
  if (!bytes.more()) return cie;
  if (bytes.take<uint32_t>() != 0) return cie;
  const auto version = bytes.take<uint8_t>();
  if (version != 1 && version != 3) return cie;
  const auto* augmentation = reinterpret_cast<const char*>(bytes.at());
  while (bytes.more() && *bytes.at() != 0) bytes.skip(1);
  if (!bytes.more()) return cie;  // no end of it
  bytes.skip(1);
  cie.code_alignment = bytes.take_uleb();
  cie.data_alignment = bytes.take_sleb();
  const uint64_t return_column = version == 1 ? bytes.take<uint8_t>() : bytes.take_uleb();
  if (return_column != kReturnAddress) return cie;
  for (const char* letter = augmentation; *letter != '\0'; ++letter) {
    switch (*letter) {
      case 'z':
        bytes.take_uleb();
        cie.has_data = true;
        break;
      case 'R':
        cie.address_encoding = bytes.take<uint8_t>();
        break;
      case 'P': {
        const auto encoding = bytes.take<uint8_t>();
        bytes.take_address(encoding);
        break;
      }
      case 'L':
        bytes.take<uint8_t>();
        break;
      case 'S':
        cie.signal = true;
        break;
      default:
        return cie;
    }
  }
  cie.instructions = bytes;
  cie.known = true;
  return cie;
}

enum class RuleKind : uint8_t { kSame, kAtCfa, kAtFrame, kLost };
struct Rule {
  RuleKind kind = RuleKind::kSame;
  int64_t offset = 0;
};

struct State {
  Base base = Base::kStop;
  int64_t cfa_offset = 0;
  Rule frame;
  Rule returning;
};

// Runs instructions up to an address.
class Machine {
 public:
  Machine(const Cie& cie, uintptr_t from, uintptr_t address) : cie_(cie), location_(from), address_(address) {}

  // False where something was met that a row cannot say.
  bool run(Bytes bytes) {
    while (bytes.more() && location_ <= address_ && good_) step(bytes);
    return good_;
  }
  void remember_initial() { initial_ = state_; }
  const State& state() const { return state_; }

 private:
  static constexpr unsigned kDeepest = 6;

  Rule* rule_of(uint64_t column) {
    if (column == kFramePointer) return &state_.frame;
    return column == kReturnAddress ? &state_.returning : nullptr;
  }
  void set(uint64_t column, Rule rule) {
    if (Rule* place = rule_of(column)) *place = rule;
  }
  void restore(uint64_t column) {
    if (column == kFramePointer) state_.frame = initial_.frame;
    if (column == kReturnAddress) state_.returning = initial_.returning;
  }
  void set_base(uint64_t column) {
    if (column == kStackPointer) {
      state_.base = Base::kStack;
    } else if (column == kFramePointer) {
      state_.base = Base::kFrame;
    } else {
      state_.base = Base::kStop;  // r10, for the few instructions in which a stack is being aligned
    }
  }
  void advance(uint64_t by) { location_ += by * cie_.code_alignment; }
  int64_t factored(uint64_t offset) const {
    return static_cast<int64_t>(offset * static_cast<uint64_t>(cie_.data_alignment));
  }

  // The two expressions that gcc emits for functions that align their stack: the CFA is stored at, or a register
  // was saved at, some distance from the frame pointer. Everything else, a PLT's among it, stops.
  void cfa_expression(Bytes bytes) {
    state_.base = Base::kStop;
    if (bytes.take<uint8_t>() != 0x70 + kFramePointer) return;  // DW_OP_breg6
    state_.cfa_offset = bytes.take_sleb();
    if (bytes.take<uint8_t>() == 0x06 && !bytes.more()) state_.base = Base::kFrameStored;  // DW_OP_deref
  }
  static Rule expression(Bytes bytes) {
    if (bytes.take<uint8_t>() != 0x70 + kFramePointer) return {RuleKind::kLost, 0};
    const int64_t offset = bytes.take_sleb();
    return bytes.more() ? Rule{RuleKind::kLost, 0} : Rule{RuleKind::kAtFrame, offset};
  }
  static Bytes take_block(Bytes& bytes) {
    const uint64_t length = bytes.take_uleb();
    const uint8_t* from = bytes.at();
    bytes.skip(length);
    return {from, bytes.at()};
  }

  void step(Bytes& bytes) {
    const auto code = bytes.take<uint8_t>();
    const uint8_t low = code & 0x3f;
    switch (code >> 6) {
      case 1:  // advance_loc
        return advance(low);
      case 2:  // offset
        return set(low, {RuleKind::kAtCfa, factored(bytes.take_uleb())});
      case 3:  // restore
        return restore(low);
      default:
        return extended(low, bytes);
    }
  }

  void extended(uint8_t code, Bytes& bytes) {
    uint64_t column;
    switch (code) {
      case 0x00:  // nop
        return;
      case 0x01:  // set_loc
        location_ = bytes.take_address(cie_.address_encoding);
        return;
      case 0x02:  // advance_loc1, 2, 4
        return advance(bytes.take<uint8_t>());
      case 0x03:
        return advance(bytes.take<uint16_t>());
      case 0x04:
        return advance(bytes.take<uint32_t>());
      case 0x05:  // offset_extended
        column = bytes.take_uleb();
        return set(column, {RuleKind::kAtCfa, factored(bytes.take_uleb())});
      case 0x11:  // offset_extended_sf
        column = bytes.take_uleb();
        return set(column, {RuleKind::kAtCfa, factored(static_cast<uint64_t>(bytes.take_sleb()))});
      case 0x2f:  // GNU_negative_offset_extended
        column = bytes.take_uleb();
        return set(column, {RuleKind::kAtCfa, factored(-bytes.take_uleb())});
      case 0x06:  // restore_extended
        return restore(bytes.take_uleb());
      case 0x07:  // undefined
        return set(bytes.take_uleb(), {RuleKind::kLost, 0});
      case 0x08:  // same_value
        return set(bytes.take_uleb(), {RuleKind::kSame, 0});
      case 0x09:  // register
      case 0x14:  // val_offset
        column = bytes.take_uleb();
        bytes.take_uleb();
        return set(column, {RuleKind::kLost, 0});
      case 0x15:  // val_offset_sf
        column = bytes.take_uleb();
        bytes.take_sleb();
        return set(column, {RuleKind::kLost, 0});
      case 0x0a:  // remember_state
        if (depth_ == kDeepest) {
          good_ = false;
        } else {
          remembered_[depth_++] = state_;
        }
        return;
      case 0x0b:  // restore_state
        if (depth_ == 0) {
          good_ = false;
        } else {
          state_ = remembered_[--depth_];
        }
        return;
      case 0x0c:  // def_cfa
        set_base(bytes.take_uleb());
        state_.cfa_offset = static_cast<int64_t>(bytes.take_uleb());
        return;
      case 0x12:  // def_cfa_sf
        set_base(bytes.take_uleb());
        state_.cfa_offset = factored(static_cast<uint64_t>(bytes.take_sleb()));
        return;
      case 0x0d:  // def_cfa_register
        return set_base(bytes.take_uleb());
      case 0x0e:  // def_cfa_offset
        state_.cfa_offset = static_cast<int64_t>(bytes.take_uleb());
        return;
      case 0x13:  // def_cfa_offset_sf
        state_.cfa_offset = factored(static_cast<uint64_t>(bytes.take_sleb()));
        return;
      case 0x0f:  // def_cfa_expression
        return cfa_expression(take_block(bytes));
      case 0x10:  // expression
        column = bytes.take_uleb();
        return set(column, expression(take_block(bytes)));
      case 0x16:  // val_expression
        column = bytes.take_uleb();
        take_block(bytes);
        return set(column, {RuleKind::kLost, 0});
      case 0x2e:  // GNU_args_size
        bytes.take_uleb();
        return;
      default:
        good_ = false;
    }
  }

  const Cie& cie_;
  uintptr_t location_;
  uintptr_t address_;
  bool good_ = true;
  State state_;
  State initial_;
  State remembered_[kDeepest];
  unsigned depth_ = 0;
};

// The entry of .eh_frame whose function may hold the address, by the sorted table of .eh_frame_hdr.
Bytes find_entry(const Tables& tables, uintptr_t address) {
  const Bytes none(tables.end, tables.end);
  Bytes bytes = bytes_at(tables, tables.header, 0);
  if (bytes.take<uint8_t>() != 1) return none;
  const auto frame_encoding = bytes.take<uint8_t>();
  const auto count_encoding = bytes.take<uint8_t>();
  if (bytes.take<uint8_t>() != kTableEncoding || count_encoding == kOmitted) return none;
  bytes.take_address(frame_encoding);
  const uintptr_t count = bytes.take_address(count_encoding);
  struct Pair {
    int32_t function;
    int32_t entry;
  };
  if (count > static_cast<uintptr_t>(tables.end - bytes.at()) / sizeof(Pair)) return none;
  const uint8_t* const pairs = bytes.at();
  const auto pair_at = [pairs](uintptr_t index) {
    Pair pair;
    __builtin_memcpy(&pair, pairs + index * sizeof pair, sizeof pair);
    return pair;
  };
  const auto target = static_cast<int64_t>(address - reinterpret_cast<uintptr_t>(tables.header));
  uintptr_t low = 0, high = count;
  while (low < high) {
    const uintptr_t middle = low + (high - low) / 2;
    if (pair_at(middle).function <= target) {
      low = middle + 1;
    } else {
      high = middle;
    }
  }
  return low == 0 ? none : take_entry(tables, tables.header, pair_at(low - 1).entry);
}

Row row_of(const State& state, bool signal) {
  if (signal) return {.base = Base::kSignal};
  // A return address that is undefined marks the outermost function.
  if (state.returning.kind == RuleKind::kLost) return {.saved = Saved::kSame};
  if (state.returning.kind != RuleKind::kAtCfa || state.returning.offset != -8) return {};
  if (!fits(state.cfa_offset) || !fits(state.frame.offset)) return {};
  Row row{.base = state.base, .cfa_offset = static_cast<int32_t>(state.cfa_offset)};
  row.saved_offset = static_cast<int32_t>(state.frame.offset);
  switch (state.frame.kind) {
    case RuleKind::kSame:
      row.saved = Saved::kSame;
      break;
    case RuleKind::kAtCfa:
      row.saved = Saved::kAtCfa;
      break;
    case RuleKind::kAtFrame:
      row.saved = Saved::kAtFrame;
      break;
    case RuleKind::kLost:
      row.saved = Saved::kLost;
      break;
  }
  return row;
}

}  // namespace

Row find_row(const Tables& tables, uintptr_t address) {
  if (tables.header == nullptr) return {};
  Bytes bytes = find_entry(tables, address);
  const uint8_t* pointer = bytes.at();
  const auto distance = bytes.take<uint32_t>();
  if (distance == 0) return {};
  const Cie cie = read_cie(take_entry(tables, pointer, -int64_t{distance}));
  if (!cie.known) return {};
  const uintptr_t from = bytes.take_address(cie.address_encoding);
  const uintptr_t size = bytes.take_address(cie.address_encoding & 0x0f);
  if (address - from >= size) return {};
  if (cie.has_data) bytes.skip(bytes.take_uleb());
  Machine machine(cie, from, address);
  if (!machine.run(cie.instructions)) return {};
  machine.remember_initial();
  if (!machine.run(bytes)) return {};
  return row_of(machine.state(), cie.signal);
}

}  // namespace heapster::unwind
