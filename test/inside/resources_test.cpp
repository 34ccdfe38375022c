// SPDX-License-Identifier: MIT
//
// The accounts of tracked arenas against one that the test keeps by itself: in the program, and, where it runs under
// heapster, in the arena table of its segment. Run both ways.

#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <deque>
#include <filesystem>
#include <fstream>
#include <heapster/heapster.hpp>
#include <heapster/memory_resource.hpp>
#include <list>
#include <map>
#include <memory>
#include <memory_resource>
#include <scoped_allocator>
#include <string>
#include <thread>
#include <vector>

#include "layout/segment.h"

namespace {

using heapster::ArenaStats;

// The account that a test keeps: what it asked for itself, and what came to the upstream that it gave.
struct Asked {
  int64_t count = 0, sum = 0, freed_count = 0, freed_sum = 0, most = 0;

  void allocated(std::size_t bytes) {
    ++count;
    sum += static_cast<int64_t>(bytes);
    most = std::max(most, sum - freed_sum);
  }
  void freed(std::size_t bytes) {
    ++freed_count;
    freed_sum += static_cast<int64_t>(bytes);
  }
};

class Witness : public std::pmr::memory_resource {
 public:
  Asked asked;

 private:
  void* do_allocate(std::size_t bytes, std::size_t alignment) override {
    void* block = std::pmr::new_delete_resource()->allocate(bytes, alignment);
    asked.allocated(bytes);
    return block;
  }
  void do_deallocate(void* block, std::size_t bytes, std::size_t alignment) override {
    asked.freed(bytes);
    std::pmr::new_delete_resource()->deallocate(block, bytes, alignment);
  }
  bool do_is_equal(const memory_resource& other) const noexcept override { return this == &other; }
};

void expect_asked(const ArenaStats& stats, const Asked& asked) {
  EXPECT_EQ(stats.alloc_count, asked.count);
  EXPECT_EQ(stats.alloc_sum, asked.sum);
  EXPECT_EQ(stats.dealloc_count, asked.freed_count);
  EXPECT_EQ(stats.dealloc_sum, asked.freed_sum);
  EXPECT_EQ(stats.use_curr, asked.sum - asked.freed_sum);
  EXPECT_EQ(stats.use_max, asked.most);
}

void expect_upstream(const ArenaStats& stats, const Asked& upstream) {
  EXPECT_EQ(stats.upstream_count, upstream.count);
  EXPECT_EQ(stats.upstream_sum, upstream.sum);
  EXPECT_EQ(stats.upstream_curr, upstream.sum - upstream.freed_sum);
  EXPECT_EQ(stats.upstream_max, upstream.most);
  EXPECT_EQ(stats.wasted(), stats.upstream_curr - stats.use_curr);
}

// The segment of this process, from its run directory: its name begins with the process's number.
std::vector<heapster_arena> arenas_in_segment(pid_t pid) {
  std::vector<heapster_arena> arenas;
  for (const auto& entry : std::filesystem::directory_iterator(std::getenv("HEAPSTER_RUN_DIR"))) {
    std::ifstream file(entry.path(), std::ios::binary);
    heapster::Header header;
    if (!file.read(reinterpret_cast<char*>(&header), sizeof header)) continue;
    if (memcmp(header.magic, heapster::kMagic, sizeof header.magic) != 0) continue;
    if (header.identity.pid != static_cast<uint32_t>(pid) || header.state != 1) continue;
    for (const heapster::Section& section : header.sections) {
      if (section.type != static_cast<uint32_t>(heapster::SectionType::kArenas)) continue;
      EXPECT_EQ(section.offset, heapster::kArenasOffset);
      arenas.resize(section.used);
      file.seekg(static_cast<std::streamoff>(section.offset));
      file.read(reinterpret_cast<char*>(arenas.data()),
                static_cast<std::streamsize>(section.used * sizeof(heapster_arena)));
    }
  }
  return arenas;
}

const heapster_arena* find(const std::vector<heapster_arena>& arenas, const std::string& name) {
  for (const heapster_arena& arena : arenas) {
    if (name == arena.name) return &arena;
  }
  return nullptr;
}

// Where the program is measured, the segment tells what it does.
void expect_in_segment(const char* name, const ArenaStats& stats) {
  if (!heapster::active()) return;
  const std::vector<heapster_arena> arenas = arenas_in_segment(getpid());
  const heapster_arena* arena = find(arenas, name);
  ASSERT_NE(arena, nullptr) << name;
#define HEAPSTER_ARENA_FIGURE(figure, unit, kind, help) \
  EXPECT_EQ(static_cast<int64_t>(arena->figure), stats.figure) << name << "." << #figure;
#include "heapster/arenas.def"
}

// What a vector of some kilobytes, and single blocks, ask of a resource.
void work(std::pmr::memory_resource& resource, Asked& asked) {
  std::vector<std::pair<void*, std::size_t>> blocks;
  for (std::size_t i = 1; i <= 200; ++i) {
    const std::size_t bytes = i * 7;
    blocks.emplace_back(resource.allocate(bytes, 8), bytes);
    asked.allocated(bytes);
    if (i % 3 != 0) continue;
    resource.deallocate(blocks.back().first, bytes, 8);
    asked.freed(bytes);
    blocks.pop_back();
  }
  while (blocks.size() > 20) {
    resource.deallocate(blocks.back().first, blocks.back().second, 8);
    asked.freed(blocks.back().second);
    blocks.pop_back();
  }
}

template <class Arena>
void expect_tracked(const char* name) {
  Witness upstream;
  ArenaStats last{};
  {
    heapster::tracked_arena<Arena> arena{name, &upstream};
    Asked asked;
    work(arena, asked);
    expect_asked(arena.stats(), asked);
    expect_upstream(arena.stats(), upstream.asked);
    EXPECT_GT(arena.stats().use_curr, 0);
    EXPECT_GT(arena.stats().wasted(), 0);
    expect_in_segment(name, arena.stats());

    arena.release();
    asked.freed_count = asked.count;
    asked.freed_sum = asked.sum;
    expect_asked(arena.stats(), asked);
    expect_upstream(arena.stats(), upstream.asked);
    EXPECT_EQ(arena.stats().reset_count, 1);
    EXPECT_EQ(arena.stats().upstream_curr, 0);

    work(arena, asked);
    expect_upstream(arena.stats(), upstream.asked);
    EXPECT_STREQ(arena.name(), name);
    last = arena.stats();
    expect_in_segment(name, last);
  }
  EXPECT_EQ(upstream.asked.sum, upstream.asked.freed_sum);
  last.dealloc_count = last.alloc_count;
  last.dealloc_sum = last.alloc_sum;
  last.use_curr = last.upstream_curr = 0;
  ++last.reset_count;
  expect_in_segment(name, last);
}

TEST(Arena, Monotonic) { expect_tracked<std::pmr::monotonic_buffer_resource>("monotonic"); }
TEST(Arena, UnsynchronizedPool) { expect_tracked<std::pmr::unsynchronized_pool_resource>("unsynchronized"); }
TEST(Arena, SynchronizedPool) { expect_tracked<std::pmr::synchronized_pool_resource>("synchronized"); }

TEST(Arena, TakesTheWrappedOnesArguments) {
  Witness upstream;
  alignas(16) char first[512];
  heapster::tracked_arena<std::pmr::monotonic_buffer_resource> arena{"first buffer", first, sizeof first, &upstream};
  ASSERT_EQ(arena.allocate(100), first);
  EXPECT_EQ(arena.stats().upstream_count, 0);
  EXPECT_EQ(arena.stats().wasted(), -100);
  (void)arena.allocate(1000);
  EXPECT_EQ(arena.stats().upstream_count, 1);
  expect_upstream(arena.stats(), upstream.asked);
  heapster::tracked_arena<std::pmr::monotonic_buffer_resource> sized{"sized", std::size_t{5000}};
  (void)sized.allocate(1);
  EXPECT_GE(sized.stats().upstream_curr, 5000);
  expect_in_segment("sized", sized.stats());
}

TEST(Arena, OfManyThreads) {
  constexpr int kThreads = 4;
  Asked asked[kThreads];
  heapster::tracked_arena<std::pmr::synchronized_pool_resource> arena{"threads"};
  std::vector<std::thread> threads;
  for (Asked& own : asked) {
    threads.emplace_back([&arena, &own] {
      for (int i = 0; i < 20; ++i) work(arena, own);
    });
  }
  for (std::thread& thread : threads) thread.join();
  Asked all;
  for (const Asked& own : asked) {
    all.count += own.count;
    all.sum += own.sum;
    all.freed_count += own.freed_count;
    all.freed_sum += own.freed_sum;
    all.most += own.most;
  }
  const ArenaStats stats = arena.stats();
  EXPECT_LE(stats.use_max, all.most);
  EXPECT_GE(stats.use_max, stats.use_curr);
  all.most = stats.use_max;
  expect_asked(stats, all);
}

TEST(Arena, OfOneNameEachKeepsItsOwn) {
  heapster::tracked_arena<std::pmr::monotonic_buffer_resource> one{"twins"}, other{"twins"};
  (void)one.allocate(100);
  (void)other.allocate(30);
  one.release();
  EXPECT_EQ(one.stats().use_curr, 0);
  EXPECT_EQ(other.stats().use_curr, 30);
  ArenaStats sum = one.stats();
#define HEAPSTER_ARENA_FIGURE(name, unit, kind, help) sum.name += other.stats().name;
#include "heapster/arenas.def"
  sum.use_max = 130;
  sum.upstream_max = sum.upstream_sum;
  expect_in_segment("twins", sum);
}

class Refusing : public std::pmr::memory_resource {
  void* do_allocate(std::size_t, std::size_t) override { throw std::bad_alloc(); }
  void do_deallocate(void*, std::size_t, std::size_t) override {}
  bool do_is_equal(const memory_resource& other) const noexcept override { return this == &other; }
};

TEST(Resource, WrapsWhatIsThere) {
  Witness other;
  heapster::tracked_resource cache{"cache", &other};
  EXPECT_EQ(cache.wrapped(), &other);
  {
    std::pmr::map<int, std::pmr::string> map{&cache};
    for (int i = 0; i < 100; ++i) map[i] = std::string(50, 'x');
    EXPECT_EQ(cache.stats().alloc_count, 200);
    expect_asked(cache.stats(), other.asked);
  }
  expect_asked(cache.stats(), other.asked);
  EXPECT_EQ(cache.stats().use_curr, 0);
  EXPECT_EQ(cache.stats().upstream_count, 0);
  expect_in_segment("cache", cache.stats());
  EXPECT_TRUE(cache.is_equal(cache));
  EXPECT_FALSE(cache.is_equal(other));
}

TEST(Resource, CountsNothingThatFailed) {
  Refusing refusing;
  heapster::tracked_resource resource{"refusing", &refusing};
  EXPECT_THROW((void)resource.allocate(10), std::bad_alloc);
  EXPECT_EQ(resource.stats().alloc_count, 0);
  heapster::tracked_arena<std::pmr::monotonic_buffer_resource> arena{"refusing upstream", &refusing};
  EXPECT_THROW((void)arena.allocate(10), std::bad_alloc);
  EXPECT_EQ(arena.stats().alloc_count, 0);
  EXPECT_EQ(arena.stats().upstream_count, 0);
}

TEST(Resource, CountsABlockOfNothingAsOneByte) {
  heapster::tracked_resource resource{"nothing"};
  void* block = resource.allocate(0);
  EXPECT_EQ(resource.stats().use_curr, 1);
  resource.deallocate(block, 0);
  EXPECT_EQ(resource.stats().use_curr, 0);
  EXPECT_EQ(resource.stats().dealloc_count, 1);
  expect_in_segment("nothing", resource.stats());
}

TEST(Account, KeepsThirtyNineCharacters) {
  heapster::arena_account account(std::string(39, 'a') + "bcd");
  EXPECT_EQ(account.name(), std::string(39, 'a'));
  account.asked(5);
  expect_in_segment(account.name(), account.stats());
}

// An allocator with a state and an equality of its own, which moves with nothing.
template <class T>
struct Own {
  using value_type = T;
  using propagate_on_container_copy_assignment = std::true_type;
  Asked* asked;
  int id;

  Own(Asked& to, int with) : asked(&to), id(with) {}
  template <class U>
  Own(const Own<U>& other) : asked(other.asked), id(other.id) {}
  T* allocate(std::size_t count) {
    asked->allocated(count * sizeof(T));
    return static_cast<T*>(::operator new(count * sizeof(T)));
  }
  void deallocate(T* block, std::size_t count) {
    asked->freed(count * sizeof(T));
    ::operator delete(block);
  }
  template <class U>
  bool operator==(const Own<U>& other) const {
    return id == other.id;
  }
};

template <class T>
using TrackedOwn = heapster::tracked_allocator<T, Own<T>>;

TEST(Allocator, KeepsAccountOfAnyContainer) {
  heapster::arena_account account{"containers"};
  Asked asked;
  {
    const TrackedOwn<int> allocator{account, Own<int>{asked, 1}};
    std::vector<int, TrackedOwn<int>> vector(allocator);
    std::list<int, TrackedOwn<int>> list(allocator);
    std::deque<int, TrackedOwn<int>> deque(allocator);
    std::map<int, int, std::less<>, TrackedOwn<std::pair<const int, int>>> map{std::less<>(), allocator};
    for (int i = 0; i < 1000; ++i) {
      vector.push_back(i);
      list.push_back(i);
      deque.push_back(i);
      map.emplace(i, i);
    }
    auto shared = std::allocate_shared<int>(allocator, 7);
    expect_asked(account.stats(), asked);
    EXPECT_GT(account.stats().use_curr, 0);
    expect_in_segment("containers", account.stats());
  }
  expect_asked(account.stats(), asked);
  EXPECT_EQ(account.outstanding(), 0);
}

// What is made through it reaches the wrapped allocator: a scoped one hands itself to what it holds.
TEST(Allocator, ReachesWhatContainersHold) {
  heapster::arena_account account{"held"};
  using Text = std::basic_string<char, std::char_traits<char>, heapster::tracked_allocator<char>>;
  std::vector<Text, std::scoped_allocator_adaptor<heapster::tracked_allocator<Text>>> texts(account);
  texts.emplace_back(100, 'x');
  EXPECT_EQ(&texts[0].get_allocator().account(), &account);
  EXPECT_EQ(account.stats().alloc_count, 2);

  Witness resource;
  using Polymorphic = heapster::tracked_allocator<bool, std::pmr::polymorphic_allocator<bool>>;
  heapster::arena_account bits_account{"bits"};
  const std::vector<bool, Polymorphic> bits(1000, true, Polymorphic(bits_account, &resource));
  EXPECT_EQ(resource.asked.count, 1);
  expect_asked(bits_account.stats(), resource.asked);
}

TEST(Allocator, IsEqualWhereBothAre) {
  heapster::arena_account one{"one"}, other{"other"};
  Asked asked;
  const TrackedOwn<int> allocator{one, Own<int>{asked, 1}};
  EXPECT_TRUE(allocator == (TrackedOwn<int>{one, Own<int>{asked, 1}}));
  EXPECT_TRUE(allocator == TrackedOwn<char>(allocator));
  EXPECT_FALSE(allocator == (TrackedOwn<int>{one, Own<int>{asked, 2}}));
  EXPECT_FALSE(allocator == (TrackedOwn<int>{other, Own<int>{asked, 1}}));
}

TEST(Allocator, TravelsAsTheWrappedOneDoes) {
  using Own = std::allocator_traits<TrackedOwn<int>>;
  static_assert(Own::propagate_on_container_copy_assignment::value);
  static_assert(!Own::propagate_on_container_move_assignment::value && !Own::propagate_on_container_swap::value);
  using Plain = std::allocator_traits<heapster::tracked_allocator<int>>;
  static_assert(!Plain::propagate_on_container_copy_assignment::value && !Plain::is_always_equal::value);
  static_assert(Plain::propagate_on_container_move_assignment::value && Plain::propagate_on_container_swap::value);

  heapster::arena_account one{"one"}, other{"other"};
  using Vector = std::vector<int, heapster::tracked_allocator<int>>;
  Vector a(100, one), b(50, other);
  const int* const block = a.data();
  std::swap(a, b);
  EXPECT_EQ(b.data(), block);
  EXPECT_EQ(&b.get_allocator().account(), &one);
  a = std::move(b);
  EXPECT_EQ(a.data(), block);
  EXPECT_EQ(other.outstanding(), 0);
  const Vector copy = a;
  EXPECT_EQ(&copy.get_allocator().account(), &one);
  EXPECT_EQ(one.stats().use_curr, 800);
}

// A child's arenas are told to its own segment.
TEST(Fork, ChildsArenasAreItsOwn) {
  heapster::tracked_resource arena{"forked"};
  void* block = arena.allocate(100);
  const pid_t child = fork();
  if (child == 0) {
    void* own = arena.allocate(1000);
    const ArenaStats stats = arena.stats();
    bool right = stats.use_curr == 1100;
    if (heapster::active()) {
      const std::vector<heapster_arena> arenas = arenas_in_segment(getpid());
      const heapster_arena* told = find(arenas, "forked");
      right = right && told != nullptr && told->alloc_count == 1 && told->use_curr == 1000;
    }
    arena.deallocate(own, 1000);
    _exit(right ? 0 : 1);
  }
  int status = 0;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  EXPECT_EQ(status, 0);
  EXPECT_EQ(arena.stats().use_curr, 100);
  expect_in_segment("forked", arena.stats());
  arena.deallocate(block, 100);
}

// Sixty-four are shown; what more there are keep their accounts nonetheless.
TEST(Limits, ArenasBeyondTheTableKeepTheirAccounts) {
  const auto count_in_segment = [] { return heapster::active() ? arenas_in_segment(getpid()).size() : 0; };
  for (int i = 0; i < 70; ++i) {
    heapster::arena_account account{"many " + std::to_string(i)};
    account.asked(10);
    EXPECT_EQ(account.stats().use_curr, 10);
  }
  EXPECT_EQ(count_in_segment(), heapster::active() ? heapster::kMaxArenas : 0);
}

// Which of the two this run is, the environment tells.
TEST(Activity, IsWhatTheTestAsksFor) { EXPECT_EQ(heapster::active(), std::getenv("HEAPSTER_RUN_DIR") != nullptr); }

}  // namespace
