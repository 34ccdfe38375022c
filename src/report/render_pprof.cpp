// SPDX-License-Identifier: MIT
//
// profile.proto, gzip'd, as Go's runtime writes its heap profiles: four values for each stack, with estimates of the
// whole in them, since pprof does not scale protobuf profiles. Names are in the file, so that it can be read anywhere;
// objects of which no name was found are left to pprof, which may find them where it runs.

#include <zlib.h>

#include <algorithm>
#include <array>
#include <map>
#include <new>
#include <protozero/pbf_writer.hpp>
#include <utility>

#include "report/formats.h"
#include "report/units.h"

namespace heapster::report {

namespace {

using protozero::pbf_writer;
using reader::Frame;
using reader::Location;

// The numbers of profile.proto.
namespace profile {
enum : uint32_t {
  kSampleType = 1,
  kSample = 2,
  kMapping = 3,
  kLocation = 4,
  kFunction = 5,
  kStringTable = 6,
  kTime = 9,
  kDuration = 10,
  kPeriodType = 11,
  kPeriod = 12
};
}
namespace value_type {
enum : uint32_t { kType = 1, kUnit = 2 };
}
namespace sample {
enum : uint32_t { kLocation = 1, kValue = 2 };
}
namespace mapping {
enum : uint32_t {
  kId = 1,
  kStart = 2,
  kLimit = 3,
  kFile = 5,
  kBuildId = 6,
  kHasFunctions = 7,
  kHasFiles = 8,
  kHasLines = 9,
  kHasInlined = 10
};
}
namespace location {
enum : uint32_t { kId = 1, kMapping = 2, kAddress = 3, kLine = 4 };
}
namespace line {
enum : uint32_t { kFunction = 1, kLine = 2 };
}
namespace function {
enum : uint32_t { kId = 1, kName = 2, kSystemName = 3, kFile = 4 };
}

class Strings {
 public:
  uint64_t number(const std::string& unsafe) {
    const std::string text = printable(unsafe);
    const auto [place, fresh] = numbers_.try_emplace(text, texts_.size());
    if (fresh) texts_.push_back(text);
    return place->second;
  }
  void write(pbf_writer& to) const {
    for (const std::string& text : texts_) to.add_string(profile::kStringTable, text);
  }

 private:
  std::vector<std::string> texts_{""};
  std::map<std::string, uint64_t> numbers_{{"", 0}};
};

class Profile {
 public:
  explicit Profile(const Exported& exported)
      : snapshot_(exported.snapshot), stacks_(*exported.snapshot.stacks), names_(*exported.names) {
    number_modules();
  }

  std::string text() {
    for (const char* type : {"alloc_objects", "alloc_space", "inuse_objects", "inuse_space"})
      put_type(profile::kSampleType, type, std::string_view(type).ends_with("objects") ? "count" : "bytes");
    for (const reader::Stack& stack : stacks_.stacks) put_sample(frames_of(stack), amounts_of(stack.figures));
    const Amounts without = amounts_without_stack(stacks_);
    if (without.alloc_bytes > 0) put_sample({kNoFrame}, without);
    for (const uint32_t module : order_) put_mapping(module);
    put_times();
    put_type(profile::kPeriodType, "space", "bytes");
    to_.add_int64(profile::kPeriod, static_cast<int64_t>(stacks_.sampling.mean_bytes));
    strings_.write(to_);
    return std::move(data_);
  }

 private:
  // The first mapping is taken for the program itself.
  void number_modules() {
    for (uint32_t i = 0; i < stacks_.modules.size(); ++i) order_.push_back(i);
    std::stable_partition(order_.begin(), order_.end(),
                          [&](uint32_t i) { return is_program(snapshot_, stacks_.modules[i]); });
    ids_.resize(order_.size());
    for (size_t i = 0; i < order_.size(); ++i) ids_[order_[i]] = i + 1;
    named_.resize(order_.size());
  }

  void put_type(uint32_t field, const char* type, const char* unit) {
    const uint64_t type_number = strings_.number(type), unit_number = strings_.number(unit);
    pbf_writer value(to_, field);
    value.add_uint64(value_type::kType, type_number);
    value.add_uint64(value_type::kUnit, unit_number);
  }

  void put_sample(const std::vector<Frame>& frames, const Amounts& amounts) {
    std::vector<uint64_t> locations;
    for (const Frame& frame : frames) locations.push_back(location_id(frame));
    const std::array values{amounts.alloc_blocks, amounts.alloc_bytes, amounts.live_blocks, amounts.live_bytes};
    pbf_writer made(to_, profile::kSample);
    made.add_packed_uint64(sample::kLocation, locations.begin(), locations.end());
    made.add_packed_int64(sample::kValue, values.begin(), values.end());
  }

  uint64_t location_id(const Frame& frame) {
    const auto [place, fresh] = locations_.try_emplace(frame, locations_.size() + 1);
    if (fresh) put_location(frame, place->second);
    return place->second;
  }

  // An address is where a call returns to, and the call is what is meant.
  void put_location(const Frame& frame, uint64_t id) {
    static const reader::Locations kNone{kNoStackTaken};
    const reader::Locations& calls = frame == kNoFrame ? kNone : names_.of(frame);
    std::vector<std::pair<uint64_t, uint32_t>> lines;
    for (const Location& call : calls) lines.emplace_back(function_id(call), call.line);
    pbf_writer made(to_, profile::kLocation);
    made.add_uint64(location::kId, id);
    if (frame.module < ids_.size()) {
      made.add_uint64(location::kMapping, ids_[frame.module]);
      note(frame.module, calls);
    }
    if (frame.address > 0) made.add_uint64(location::kAddress, frame.address - 1);
    for (const auto& [function, number] : lines) {
      pbf_writer at(made, location::kLine);
      at.add_uint64(line::kFunction, function);
      at.add_int64(line::kLine, number);
    }
  }

  uint64_t function_id(const Location& call) {
    const auto [place, fresh] = functions_.try_emplace({call.function.str(), call.file.str()}, functions_.size() + 1);
    if (!fresh) return place->second;
    const uint64_t name = strings_.number(call.function), file = strings_.number(call.file);
    pbf_writer made(to_, profile::kFunction);
    made.add_uint64(function::kId, place->second);
    made.add_uint64(function::kName, name);
    made.add_uint64(function::kSystemName, name);
    made.add_uint64(function::kFile, file);
    return place->second;
  }

  struct Named {
    bool functions = false, files = false, inlined = false;
  };

  void note(uint32_t module, const reader::Locations& calls) {
    Named& named = named_[module];
    for (const Location& call : calls) {
      named.functions |= call.known;
      named.files |= !call.file.empty();
    }
    named.inlined |= calls.size() > 1;
  }

  void put_mapping(uint32_t module) {
    const reader::Module& about = stacks_.modules[module];
    const uint64_t path = strings_.number(about.path), build_id = strings_.number(about.build_id);
    pbf_writer made(to_, profile::kMapping);
    made.add_uint64(mapping::kId, ids_[module]);
    made.add_uint64(mapping::kStart, about.start);
    made.add_uint64(mapping::kLimit, about.end);
    made.add_uint64(mapping::kFile, path);
    made.add_uint64(mapping::kBuildId, build_id);
    made.add_bool(mapping::kHasFunctions, named_[module].functions);
    made.add_bool(mapping::kHasFiles, named_[module].files);
    made.add_bool(mapping::kHasLines, named_[module].files);
    made.add_bool(mapping::kHasInlined, named_[module].inlined || named_[module].files);
  }

  void put_times() {
    const double duration = snapshot_.process.duration * 1e9;
    to_.add_int64(profile::kTime, whole(static_cast<double>(snapshot_.process.identity.started_epoch) + duration));
    to_.add_int64(profile::kDuration, whole(duration));
  }

  const reader::Snapshot& snapshot_;
  const reader::Stacks& stacks_;
  const reader::Names& names_;
  std::string data_;
  pbf_writer to_{data_};
  Strings strings_;
  std::vector<uint32_t> order_;  // of modules
  std::vector<uint64_t> ids_;    // by module
  std::vector<Named> named_;     // by module
  std::map<Frame, uint64_t> locations_;
  std::map<std::pair<std::string, std::string>, uint64_t> functions_;
};

std::string zipped(const std::string& data) {
  constexpr int kWithGzipHeader = 15 + 16;
  z_stream stream{};
  if (deflateInit2(&stream, Z_DEFAULT_COMPRESSION, Z_DEFLATED, kWithGzipHeader, 8, Z_DEFAULT_STRATEGY) != Z_OK)
    throw std::bad_alloc();  // the only way to fail
  std::string result(deflateBound(&stream, data.size()), '\0');
  stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(data.data()));
  stream.avail_in = static_cast<uInt>(data.size());
  stream.next_out = reinterpret_cast<Bytef*>(result.data());
  stream.avail_out = static_cast<uInt>(result.size());
  deflate(&stream, Z_FINISH);
  result.resize(stream.total_out);
  deflateEnd(&stream);
  return result;
}

}  // namespace

std::string render_pprof(const Exported& exported) { return zipped(Profile(exported).text()); }

}  // namespace heapster::report
