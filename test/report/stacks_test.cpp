// SPDX-License-Identifier: MIT
//
// The report on stacks against goldens, with names put in by hand; and its arithmetic in small cases.

#include <gtest/gtest.h>

#include <cmath>
#include <cstdlib>
#include <fstream>

#include "program.h"
#include "reader/load.h"
#include "report/culprit.h"
#include "report/pattern.h"
#include "report/stacks_report.h"
#include "report/suppressions.h"
#include "stack_tables.h"

namespace heapster::report {
namespace {

using test::StackTables;

void expect_golden(const std::string& name, const std::string& text) {
  const std::string path = std::string(HEAPSTER_GOLDEN) + "/" + name;
  if (std::getenv("HEAPSTER_WRITE_GOLDEN")) std::ofstream(path) << text;
  EXPECT_EQ(text, test::read_whole(path)) << path;
}

reader::Snapshot loaded(const StackTables& tables) {
  test::Segment segment = test::busy_segment();
  return *reader::load(reader::MemorySource(tables.behind(segment)));
}

// Names for the busy program's addresses; one of its functions was inlined.
reader::Names named(const reader::Snapshot& snapshot) {
  reader::Names names(*snapshot.stacks);
  names.set({0x7ffff7001010, 1}, {{"operator new(unsigned long)", ""}});
  names.set({0x7ffff7002020, 1},
            {{"cache::Node::make(int)", "/src/cache/node.h", 12}, {"cache::get()", "/src/cache/cache.cpp", 31}});
  names.set({0x555555555030, 0}, {{"serve", "/src/server.cpp", 7}});
  names.set({0x555555555040, 0}, {{"main", "/src/main.cpp", 99}});
  names.set({0x555555556010, 0}, {{"forget", "/src/leaky.cpp", 5}});
  names.set({0x555555557010, 0}, {{"hurry", "/src/server.cpp", 70}});
  return names;
}

StacksAnswer answer_of(const reader::Snapshot& snapshot, By by, const Selection& selection = {}) {
  const reader::Names names = named(snapshot);
  StacksAnswer answer{.by = by, .sites = make_sites(snapshot, names, selection)};
  answer.total = total_of(make_sites(snapshot, names), by);
  sort_by(answer.sites, by);
  return answer;
}

std::string text_of(const Section& section) { return render_text({.title = "test", .sections = {section}}); }

std::vector<std::string> culprits(const StacksAnswer& answer) {
  std::vector<std::string> names;
  for (const Site& site : answer.sites.sites) names.push_back(culprit(site) ? culprit(site)->function : "-");
  return names;
}

using Words = std::vector<std::string>;

TEST(StacksGolden, EachOrder) {
  const reader::Snapshot snapshot = loaded(test::busy_stacks());
  std::string text = text_of(sampling_section(snapshot));
  for (const ByInfo& info : kBys)
    if (info.by != By::kGrowth) text += text_of(sites_section(answer_of(snapshot, info.by)));
  expect_golden("stacks.txt", text);
}

TEST(StacksGolden, Trees) {
  const StacksAnswer answer = answer_of(loaded(test::busy_stacks()), By::kAllocated);
  std::string text;
  for (const Direction direction : {Direction::kCallers, Direction::kCallees})
    text += text_of(tree_section(answer, direction));
  expect_golden("trees.txt", text);
}

StacksAnswer growth_of(const reader::Snapshot& before, const reader::Snapshot& after, bool same_process) {
  StacksAnswer answer{
      .by = By::kGrowth,
      .sites = compare(make_sites(before, named(before)), make_sites(after, named(after)), same_process)};
  answer.total = total_of(answer.sites, By::kGrowth);
  answer.net = net_of(answer.sites, By::kGrowth);
  sort_by(answer.sites, By::kGrowth);
  return answer;
}

TEST(StacksGolden, Growth) {
  StackTables tables = test::busy_stacks();
  const reader::Snapshot before = loaded(tables);
  for (int i = 0; i < 30; ++i) tables.keep(1, 1 << 20, 1);
  tables.keep(0, 4096, 128);
  const reader::Snapshot after = loaded(tables);
  expect_golden("growth.txt", text_of(sites_section(growth_of(before, after, true))) +
                                  text_of(sites_section(growth_of(before, after, false))));
}

TEST(StacksGolden, Leaks) {
  StacksAnswer answer = answer_of(loaded(test::busy_stacks()), By::kLive);
  answer.leaks = true;
  answer.suppressed = 1;
  answer.suppressed_bytes = 4096;
  answer.limit = 2;
  answer.depth = 1;
  expect_golden("leaks.txt", text_of(sites_section(answer)));
}

TEST(Sites, TheCulpritIsNotTheWayToTheAllocator) {
  EXPECT_EQ(culprits(answer_of(loaded(test::busy_stacks()), By::kLive)),
            (Words{"cache::Node::make(int)", "forget", "0x7fffe0001000"}));
}

TEST(Sites, TheCulpritIsNotTheStandardLibraryWhateverItReturns) {
  const auto found = [](std::vector<std::string> names) {
    Site site;
    for (std::string& name : names) site.steps.push_back({.function = std::move(name)});
    return culprit(site)->function;
  };
  EXPECT_EQ(found({"char*& std::vector<char*, std::allocator<char*> >::emplace_back<char*>(char*&&)", "mine"}), "mine");
  EXPECT_EQ(found({"decltype (::new ((void*)(0)) int((declval<int>)())) std::construct_at<int, int>(int*, int&&)",
                   "std::invoke_result<void (&)()>::type std::invoke<void (&)()>(void (&)()) const", "mine"}),
            "mine");
  for (const char* name :
       {"std::string make<std::string>(std::vector<int> const&)", "Name::operator std::string() const",
        "bool operator< <int>(Name<int> const&, std::string)", "(anonymous namespace)::f(int)",
        "f()::{lambda(std::string)#1}::operator()(std::string) const"})
    EXPECT_EQ(found({"malloc", name, "main"}), name);
}

TEST(Sites, TheCulpritIsNoProgramsOwnAllocatorAndNoNamelessPartOfOne) {
  const auto found = [](std::vector<Step> steps) { return culprit({.steps = std::move(steps)})->function; };
  const Step nameless{.function = "lib.so+0x10", .known = false};
  EXPECT_EQ(found({{.function = "Perl_safesysmalloc"}, {.function = "Perl_sv_grow"}}), "Perl_sv_grow");
  EXPECT_EQ(found({nameless, {.function = "sqlite3Malloc"}, {.function = "insert"}}), "insert");
  EXPECT_EQ(found({nameless, {.function = "insert"}}), "lib.so+0x10");
  EXPECT_EQ(found({nameless, {.function = "std::function<void ()>::operator()() const"}, {.function = "main"}}),
            "lib.so+0x10")
      << "a library calls who gave it something to call";
  EXPECT_EQ(found({nameless, {.function = "malloc"}}), "lib.so+0x10") << "somebody has to be asked";
  for (const char* way :
       {"__GI___strdup", "___asprintf", "_PyMem_RawMalloc", "operator new[](unsigned long)", "zmalloc_usable",
        "shop::Item::operator new(unsigned long)", "os::malloc(unsigned long, MEMFLAGS)", "__rust_alloc_zeroed",
        "<u8 as alloc::vec::spec_from_elem::SpecFromElem>::from_elem",
        "core::iter::traits::iterator::Iterator::collect", "hashbrown::map::HashMap<K,V,S,A>::insert",
        "<T as core::convert::Into<U>>::into"})
    EXPECT_EQ(found({{.function = way}, {.function = "mine"}}), "mine") << way;
  for (const char* mine : {"malloc_tree", "calloc_matrix()", "shop::malloc(int)", "<app::Cache as app::Store>::fill",
                           "strdup_all", "reallocate", "app::operators::make(int)"})
    EXPECT_EQ(found({{.function = "malloc"}, {.function = mine}, {.function = "main"}}), mine) << mine;
}

TEST(Sites, StacksThatReadTheSameAreOne) {
  StackTables tables(1);
  const uint16_t module = tables.add_module("/bin/p", 0x1000, 0x9000, 0, 1);
  for (const uint64_t address : {0x1010u, 0x1020u, 0x1030u}) tables.keep(tables.add_stack({{module, address}}), 10, 1);
  const reader::Snapshot snapshot = loaded(tables);
  reader::Names names(*snapshot.stacks);
  for (const uint64_t address : {0x1010u, 0x1020u}) names.set({address, 0}, {{"f", "f.c", 1}});
  names.set({0x1030, 0}, {{"f", "f.c", 2}});
  const Sites sites = make_sites(snapshot, names);
  ASSERT_EQ(sites.sites.size(), 2u);
  EXPECT_EQ(sites.sites[0].figures.live_bytes(), 20u);
  EXPECT_EQ(estimate(sites.sites[0], By::kLive, sites.mean_bytes).error, 0) << "each allocation is sampled";
}

TEST(Sites, AreSelectedByFunctionAndModule) {
  const reader::Snapshot snapshot = loaded(test::busy_stacks());
  EXPECT_EQ(culprits(answer_of(snapshot, By::kLive, {.function = "cache::"})), (Words{"cache::Node::make(int)"}));
  EXPECT_EQ(culprits(answer_of(snapshot, By::kLive, {.module = "^libcache"})), (Words{"cache::Node::make(int)"}));
  EXPECT_EQ(culprits(answer_of(snapshot, By::kLive, {.function = "nothing"})), Words{});
  const StacksAnswer part = answer_of(snapshot, By::kLive, {.function = "forget"});
  EXPECT_GT(part.total.bytes, 20e6) << "shares are of the whole";
}

TEST(Sites, LiveBlocksAreSelectedByThreadAndSize) {
  StackTables tables = test::busy_stacks();
  const reader::Snapshot snapshot = loaded(tables);
  const auto first = [&](const Selection& selection) { return answer_of(snapshot, By::kLive, selection).sites.sites; };
  EXPECT_EQ(first({.thread = "worker"}).size(), 1u);
  EXPECT_EQ(first({.thread = "4243"}).at(0).figures.live_bytes(), 40u * 128 * 4096);
  EXPECT_EQ(first({.thread = "424"}).size(), 0u) << "a number is that of one thread";
  EXPECT_EQ(first({.least_size = 100'001}).at(0).figures.live_bytes(), 2u << 20);
  EXPECT_EQ(first({.least_size = 4096, .most_size = 4096}).size(), 1u);
  EXPECT_EQ(first({.least_size = 4096}).size(), 3u);
  tables.samples[0].generation = 2;  // of a thread that has ended, or not begun
  const StacksAnswer answer = answer_of(loaded(tables), By::kLive, {.thread = "worker"});
  EXPECT_EQ(answer.sites.sites.at(0).figures.live_bytes(), 39u * 128 * 4096);
  const Section section = sites_section(answer);
  EXPECT_EQ(section.lines.back(), "left out: 512 KiB live of threads that have ended and left no name");
  EXPECT_EQ(answer_of(loaded(tables), By::kLive).sites.of_ended.samples, 0u) << "nothing is left out";
}

TEST(Sites, BlocksWithoutAStackAreASiteOfTheirOwn) {
  StackTables tables = test::busy_stacks();
  tables.samples[0].stack = kNoStack;
  const StacksAnswer live = answer_of(loaded(tables), By::kLive);
  EXPECT_EQ(culprits(live).size(), 4u);
  EXPECT_TRUE(live.sites.sites[3].steps.empty());
  const StacksAnswer allocated = answer_of(loaded(tables), By::kAllocated);
  EXPECT_EQ(culprits(allocated).size(), 5u) << "of which only the live are known";
  EXPECT_EQ(total_of(allocated.sites, By::kAllocated).bytes, allocated.total.bytes);
  EXPECT_EQ(answer_of(loaded(tables), By::kLive, {.function = "main"}).sites.sites.size(), 3u);
}

// What one thread freed may be in the table at the peak without its allocation.
TEST(Sites, WhatLivedAtThePeakIsNeverBelowNothing) {
  StackTables tables(1);
  const uint16_t module = tables.add_module("/bin/p", 0x1000, 0x9000, 0, 1);
  const uint32_t stack = tables.add_stack({{module, 0x1010}});
  tables.keep(stack, 10, 1);
  tables.stacks[stack].peak_bytes = static_cast<uint64_t>(-1698);
  tables.stacks[stack].peak_count = static_cast<uint64_t>(-3 * 256);
  const StacksAnswer answer = answer_of(loaded(tables), By::kPeak);
  EXPECT_EQ(answer.total.bytes, 0);
  EXPECT_TRUE(answer.sites.sites.empty());
}

TEST(Sites, WithFullTablesTheSamplesTellWhatIsLive) {
  StackTables tables(1);
  const uint16_t module = tables.add_module("/bin/p", 0x1000, 0x9000, 0, 1);
  const uint32_t stack = tables.add_stack({{module, 0x1010}});
  tables.keep(stack, 10, 1);
  tables.allocate(stack, 10, 50);  // freed by a thread that found no room to say so
  EXPECT_EQ(answer_of(loaded(tables), By::kLive).total.bytes, 510);
  tables.sampling.stacks_dropped = 1;
  EXPECT_EQ(answer_of(loaded(tables), By::kLive).total.bytes, 10);
}

TEST(Sites, AStackThatWasNotTakenHasNoFunction) {
  StackTables tables(1);
  const uint32_t stack = tables.add_stack({{0, 0}});
  tables.stacks[stack].flags = kStackTruncated;
  tables.pass(stack, 10, 1, 3);
  tables.keep(stack, 10, 1);
  const StacksAnswer answer = answer_of(loaded(tables), By::kAllocated);
  ASSERT_EQ(answer.sites.sites.size(), 1u);
  EXPECT_TRUE(answer.sites.sites[0].steps.empty());
  EXPECT_FALSE(answer.sites.sites[0].truncated);
  EXPECT_EQ(answer.total.bytes, 20);
}

// Many small blocks and a few large ones from one place: the large ones are always sampled, and the small ones hardly
// count.
TEST(Sites, TheErrorOfLiveBytesIsThatOfItsSamples) {
  StackTables tables(512 * 1024);
  const uint16_t module = tables.add_module("/bin/p", 0x1000, 0x9000, 0, 1);
  const uint32_t stack = tables.add_stack({{module, 0x1010}});
  for (int i = 0; i < 3; ++i) tables.keep(stack, 10 << 20, 1);
  tables.keep(stack, 16, 32768);
  const Estimate found = estimate(answer_of(loaded(tables), By::kLive).sites.sites.at(0), By::kLive, 512 * 1024);
  // One sample's worth, and two more because it is so few.
  EXPECT_NEAR(found.error.value_or(0) * found.bytes, std::sqrt(3) * 512 * 1024, 100);
}

// What grew by as much as something else shrank is no growth of the program.
TEST(Sites, GrowthHasANetFigure) {
  StackTables tables(1);
  const uint16_t module = tables.add_module("/bin/p", 0x1000, 0x9000, 0, 1);
  const uint32_t one = tables.add_stack({{module, 0x1010}}), other = tables.add_stack({{module, 0x2010}});
  StackTables after = tables;
  tables.keep(one, 1000, 1);
  after.keep(other, 1100, 1);
  const StacksAnswer answer = growth_of(loaded(tables), loaded(after), false);
  EXPECT_EQ(answer.total.bytes, 1100);
  EXPECT_EQ(answer.net.bytes, 100);
  const Section section = sites_section(answer);
  EXPECT_TRUE(section.remark.starts_with("+100 B in all · +1.07 KiB more live where it grew")) << section.remark;
}

// What is known for certain comes before what is estimated.
TEST(Sites, WhatWasCountedComesFirst) {
  const reader::Snapshot snapshot = loaded(test::busy_stacks());
  StacksAnswer answer = answer_of(snapshot, By::kCount);
  answer.counted = counted(snapshot, By::kCount);
  ASSERT_EQ(answer.counted, snapshot.stats.alloc.count().value());
  EXPECT_TRUE(sites_section(answer).remark.starts_with("2,540 counted in all · ")) << sites_section(answer).remark;
  answer = answer_of(snapshot, By::kPeak);
  EXPECT_EQ(counted(snapshot, By::kPeak), snapshot.at_peak.use_curr);
  answer = growth_of(snapshot, snapshot, true);
  answer.counted = -2048;
  EXPECT_TRUE(sites_section(answer).remark.starts_with("-2.00 KiB counted in all")) << sites_section(answer).remark;
}

// Which peak it is, is told with it.
TEST(Sites, NearThePeakIsSaidWhen) {
  reader::Snapshot snapshot = loaded(test::busy_stacks());
  snapshot.at_peak.time = 2.5;
  snapshot.at_peak.use_curr = 3 << 20;
  EXPECT_EQ(near_peak_text(snapshot), "near the peak: at 2.50 s, when 3.00 MiB were live");
  EXPECT_EQ(live_sizes_section(snapshot).remark, near_peak_text(snapshot));
  StacksAnswer answer = answer_of(snapshot, By::kPeak);
  answer.near_peak = near_peak_text(snapshot);
  EXPECT_TRUE(sites_section(answer).remark.ends_with(near_peak_text(snapshot))) << sites_section(answer).remark;
  EXPECT_EQ(at_peak_json(snapshot)["time"], 2.5);
  snapshot.at_peak.live = {};
  EXPECT_EQ(near_peak_text(snapshot), "") << "no table was ever copied";
}

TEST(Sites, LifetimesHaveAMedianNoLongerThanTheProcess) {
  reader::StackFigures figures;
  EXPECT_FALSE(median_lifetime(figures, 1e9));
  figures.lifetimes[1] = 10;  // from 1 to 4 µs
  EXPECT_DOUBLE_EQ(median_lifetime(figures, 1e9)->low, 1e-6);
  EXPECT_DOUBLE_EQ(median_lifetime(figures, 1e9)->high, 4e-6);
  EXPECT_DOUBLE_EQ(median_lifetime(figures, 2e-6)->high, 2e-6);
  figures.lifetimes[kLifetimes - 1] = 100;  // a class without an end
  EXPECT_DOUBLE_EQ(median_lifetime(figures, 1e9)->low, std::ldexp(1e-6, 28));
  EXPECT_DOUBLE_EQ(median_lifetime(figures, 1e9)->high, 1e9);
  EXPECT_EQ(elsewhere_share(figures), std::nullopt);
}

TEST(Sites, LatenciesAreKnownByTheirClassAndTheSlowest) {
  uint64_t histogram[kLatencies] = {};
  EXPECT_FALSE(Latencies(histogram, 100).quantile(0.5));
  histogram[4] = 100;  // from 16 to 32 ns
  EXPECT_DOUBLE_EQ(Latencies(histogram, 100).quantile(0.5)->low, 16e-9);
  EXPECT_DOUBLE_EQ(Latencies(histogram, 100).quantile(0.5)->high, 32e-9);
  EXPECT_DOUBLE_EQ(Latencies(histogram, 20).quantile(0.99)->high, 20e-9);
  histogram[6] = 1;
  const Latencies latencies(histogram, 100);
  EXPECT_EQ(latencies.calls(), 101u);
  ASSERT_EQ(latencies.classes().size(), 2u);
  EXPECT_DOUBLE_EQ(latencies.classes()[1].below, 128e-9);
  EXPECT_EQ(latencies.classes()[1].calls, 1u);
}

TEST(Pattern, IsAPartOrAnchored) {
  EXPECT_TRUE(matches("cache", "my::cache::get"));
  EXPECT_TRUE(matches("my*get", "my::cache::get()"));
  EXPECT_TRUE(matches("^my", "my::cache"));
  EXPECT_FALSE(matches("^cache", "my::cache"));
  EXPECT_TRUE(matches("cache$", "my::cache"));
  EXPECT_FALSE(matches("my$", "my::cache"));
  EXPECT_TRUE(matches("^my::cache$", "my::cache"));
  EXPECT_TRUE(matches("^*a*b*$", "xaxxbx"));
  EXPECT_FALSE(matches("a*b*c", "acb"));
  EXPECT_TRUE(matches("", ""));
  EXPECT_FALSE(matches("x", ""));
  EXPECT_FALSE(matches(std::string(2000, '*') + "y", std::string(2000, 'x'))) << "and soon";
}

TEST(Suppressions, MatchFunctionsFilesAndModules) {
  const StacksAnswer answer = answer_of(loaded(test::busy_stacks()), By::kLive);
  const auto matched = [&](const std::string& text) {
    const auto suppressions = Suppressions::parse(text);
    EXPECT_TRUE(suppressions) << suppressions.error().text;
    std::string which;
    for (const Site& site : answer.sites.sites) which += suppressions->match(site) ? "x" : "-";
    return which;
  };
  EXPECT_EQ(matched(""), "---");
  EXPECT_EQ(matched("# why\n\n leak:forget \r\n"), "-x-");
  EXPECT_EQ(matched("leak:leaky.cpp\nleak:libcache"), "xx-");
  EXPECT_EQ(matched("leak:^main$"), "xxx");
}

TEST(Suppressions, OtherLinesAreFaults) {
  EXPECT_EQ(Suppressions::parse("leak:a\nrace:b").error().text, "line 2 is not leak:PATTERN");
  EXPECT_EQ(Suppressions::parse("leak:").error().text, "line 1 is not leak:PATTERN");
}

TEST(StacksJson, TellsWhatThePersonIsTold) {
  const reader::Snapshot snapshot = loaded(test::busy_stacks());
  const Json json = sites_json(answer_of(snapshot, By::kLive));
  EXPECT_EQ(json["by"], "live");
  const Json& site = json["sites"][0];
  EXPECT_EQ(site["site"]["function"], "cache::Node::make(int)");
  EXPECT_EQ(site["figures"]["live_count"], 5120);
  EXPECT_EQ(site["frames"].size(), 5u) << "the inlined one is a function like any other";
  EXPECT_EQ(site["frames"][1]["line"], 12);
  EXPECT_EQ(json["sites"][2]["uncertain"], true);
  const Json sampling = sampling_json(snapshot);
  EXPECT_EQ(sampling["total"]["live_count"], 5128);
  EXPECT_EQ(sampling["samples_dropped"], 2);
  EXPECT_TRUE(sampling_json(*reader::load(reader::MemorySource(test::busy_segment().bytes()))).is_null());
}

}  // namespace
}  // namespace heapster::report
