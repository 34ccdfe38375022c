// SPDX-License-Identifier: MIT
//
// OpenMetrics 1.0, written so that the older Prometheus text format (node_exporter's textfile
// directory, `promtool check metrics`) reads the same bytes. The two disagree in one point: the
// name in a counter's TYPE line ends in _total in the older one and must not in the newer. A
// summary without quantiles is a monotonic count or sum in both, and its samples are called
// NAME_count and NAME_sum, which are the names of our table. So flows are summaries here, and
// rate() works on them as on any counter.
//
// A stored histogram is a histogram: it carries NAME_count and NAME_sum already. Levels by size
// may fall, which a histogram may not, so they are gauges with the label `size`.

#include <fmt/format.h>

#include <algorithm>
#include <iterator>

#include "layout/bucket.h"
#include "report/figures.h"
#include "report/formats.h"
#include "report/units.h"

namespace heapster::report {

namespace {

// No block is larger than 47 bits of addresses, and the set of buckets must not change.
constexpr uint32_t kLastBucket = 48;

std::string escaped(std::string_view text) {
  std::string result;
  for (const char c : text) {
    if (c == '\\' || c == '"') result += '\\';
    result += c == '\n' ? std::string("\\n") : std::string(1, c);
  }
  return result;
}

// A label's value, whose lines are kept: the format has an escape for their ends.
std::string label_text(std::string_view text) {
  std::string result;
  for (size_t end; (end = text.find('\n')) != std::string_view::npos; text.remove_prefix(end + 1))
    result += printable(text.substr(0, end)) + '\n';
  return escaped(result + printable(text));
}

std::string labels_of(const reader::Process& process) {
  std::string labels =
      fmt::format("pid=\"{}\",executable=\"{}\"", process.identity.pid, label_text(reader::short_name(process)));
  if (!process.label.empty()) labels += fmt::format(",label=\"{}\"", label_text(process.label));
  return labels;
}

// The canonical form of a bound: 1023.0, 1.048575e+06.
std::string bound_text(uint64_t bound) {
  std::string digits = fmt::format("{}", bound);
  if (digits.size() <= 6) return digits + ".0";
  const size_t exponent = digits.size() - 1;
  digits.insert(1, ".");
  digits.erase(digits.find_last_not_of('0') + 1);
  return fmt::format("{}e+{:02}", digits, exponent);
}

class Writer {
 public:
  explicit Writer(const reader::Process& process) : labels_(labels_of(process)) {}

  void family(const std::string& name, std::string_view type, std::string_view unit, std::string_view help) {
    fmt::format_to(line(), "# TYPE {} {}\n", name, type);
    if (!unit.empty()) fmt::format_to(line(), "# UNIT {} {}\n", name, unit);
    fmt::format_to(line(), "# HELP {} {}.\n", name, escaped(help));
  }

  template <class T>
  void sample(const std::string& name, const T& value) {
    fmt::format_to(line(), "{}{{{}}} {}\n", name, labels_, value);
  }

  template <class T>
  void sample(const std::string& name, std::string_view label, std::string_view at, const T& value) {
    fmt::format_to(line(), "{}{{{},{}=\"{}\"}} {}\n", name, labels_, label, at, value);
  }

  std::string end() { return std::move(out_) + "# EOF\n"; }

 private:
  std::back_insert_iterator<std::string> line() { return std::back_inserter(out_); }

  std::string out_;
  std::string labels_;
};

std::string with_unit(std::string_view name, std::string_view unit) {
  const std::string family = fmt::format("heapster_{}", name);
  return unit == "bytes" || unit == "seconds" ? fmt::format("{}_{}", family, unit) : family;
}

std::string_view base_unit(std::string_view unit) { return unit == "bytes" || unit == "seconds" ? unit : ""; }

void put_figure(Writer& writer, const Figure& row) {
  const std::string value = plain_text(row.value);
  if (value.empty()) return;
  const std::string_view ending = row.unit == "bytes" ? "_sum" : "_count";
  std::string_view name = row.name;
  if (row.kind != Kind::gauge && name.ends_with(ending)) name.remove_suffix(ending.size());
  if (row.kind == Kind::gauge && name.ends_with("_count")) name = row.section;  // live_count: heapster_live
  const std::string family = with_unit(name, row.unit);
  const bool gauge = row.kind == Kind::gauge;
  writer.family(family, gauge ? "gauge" : "summary", base_unit(row.unit), row.help);
  writer.sample(gauge ? family : family + std::string(ending), value);
}

void put_histogram(Writer& writer, const HistogramFigure& row) {
  const std::string family = with_unit(row.name, "bytes");
  writer.family(family, "histogram", "bytes", row.help);
  uint64_t below = 0;
  for (uint32_t bucket = 0; bucket <= kLastBucket; ++bucket) {
    below += row.histogram.cells[bucket].count;
    writer.sample(family + "_bucket", "le", bound_text(bucket_high(bucket)), below);
  }
  const uint64_t count = row.histogram.count().word();
  writer.sample(family + "_bucket", "le", "+Inf", count);
  writer.sample(family + "_sum", row.histogram.bytes().word());
  writer.sample(family + "_count", count);
}

void put_levels(Writer& writer, const std::string& name, const std::string& help, const reader::Histogram& histogram) {
  if (!histogram.known) return;
  const std::string family = "heapster_" + name + "_by_size";
  writer.family(family, "gauge", "", help);
  for (uint32_t bucket = 0; bucket <= kLastBucket; ++bucket)
    writer.sample(family, "size", fmt::format("{}", bucket_low(bucket)),
                  static_cast<int64_t>(histogram.cells[bucket].count));
}

// A scope's own figures: those of all scopes add up.
void put_scopes(Writer& writer, const std::vector<reader::Scope>& scopes) {
  if (scopes.empty()) return;
  for (const HistogramFigure& kind : histograms(scopes.front().own)) {
    if (kind.kind != Kind::flow) continue;
    const std::string family = with_unit(fmt::format("scope_{}", kind.name), "bytes");
    writer.family(family, "summary", "bytes", kind.help + ", by scope");
    for (const reader::Scope& scope : scopes) {
      const std::string path = label_text(scope.path);
      for (const HistogramFigure& row : histograms(scope.own)) {
        if (row.name != kind.name) continue;
        writer.sample(family + "_sum", "scope", path, row.histogram.bytes().word());
        writer.sample(family + "_count", "scope", path, row.histogram.count().word());
      }
    }
  }
  const std::string family = "heapster_scope_live_bytes";
  writer.family(family, "gauge", "bytes", "bytes allocated in the scope minus bytes freed in it");
  for (const reader::Scope& scope : scopes)
    writer.sample(family, "scope", label_text(scope.path), static_cast<int64_t>(scope.own.use.curr.word()));
}

struct ArenaFigure {
  std::string_view name, unit, kind, help;
  int64_t reader::Arena::*value;
};
constexpr ArenaFigure kArenaFigures[] = {
#define HEAPSTER_ARENA_FIGURE(name, unit, kind, help) {#name, #unit, #kind, help, &reader::Arena::name},
#include "heapster/arenas.def"
};

void put_arenas(Writer& writer, const std::vector<reader::Arena>& arenas) {
  if (arenas.empty()) return;
  for (const ArenaFigure& figure : kArenaFigures) {
    const bool gauge = figure.kind == "gauge";
    const std::string_view ending = figure.unit == "bytes" ? "_sum" : "_count";
    std::string_view name = figure.name;
    if (!gauge) name.remove_suffix(ending.size());
    const std::string family =
        with_unit(fmt::format("arena_{}{}", name, !gauge && figure.unit == "blocks" ? "_blocks" : ""), figure.unit);
    writer.family(family, gauge ? "gauge" : "summary", base_unit(figure.unit), figure.help);
    for (const reader::Arena& arena : arenas)
      writer.sample(gauge ? family : family + std::string(ending), "arena", label_text(arena.name),
                    arena.*figure.value);
  }
}

}  // namespace

std::string render_openmetrics(const reader::Snapshot& snapshot) {
  Writer writer(snapshot.process);
  const std::vector<HistogramFigure> all = histograms(snapshot.stats);
  // What a histogram says already, or what is made from it, is not said twice.
  const auto in_histogram = [&](std::string_view name) {
    return std::any_of(all.begin(), all.end(), [&](const HistogramFigure& h) {
      return h.kind == Kind::flow && (name == fmt::format("{}_count", h.name) || name == fmt::format("{}_sum", h.name));
    });
  };
  for (const Figure& row : figures(snapshot.stats))
    if (row.kind != Kind::ratio && !in_histogram(row.name)) put_figure(writer, row);
  for (const HistogramFigure& row : all) {
    if (row.kind == Kind::flow && row.histogram.known) put_histogram(writer, row);
    if (row.kind == Kind::gauge) put_levels(writer, std::string(row.name), row.help, row.histogram);
  }
  put_scopes(writer, snapshot.scopes);
  put_arenas(writer, snapshot.arenas);
  put_levels(writer, "live_at_peak", "live blocks near the highest level, by usable size", snapshot.at_peak.live);
  put_figure(writer, {"at_peak_use_curr", "bytes", Kind::gauge, "",
                      "live bytes when the blocks near the highest level were counted", snapshot.at_peak.use_curr});
  put_figure(writer,
             {"at_peak_time", "seconds", Kind::gauge, "", "and when that was, since the start", snapshot.at_peak.time});
  return writer.end();
}

}  // namespace heapster::report
