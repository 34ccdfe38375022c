// SPDX-License-Identifier: MIT
//
// Arenas that tell what they do, which malloc does not see:
//
//     heapster::tracked_arena<std::pmr::monotonic_buffer_resource> frame{"frame"};
//     std::pmr::vector<int> numbers{&frame};
//     frame.release();           // counted as a reset
//     frame.stats().use_max;     // and the other figures of arenas.def
//
//     heapster::tracked_resource cache{"cache", &other};       // any memory_resource that is there already
//     heapster::arena_account nodes{"nodes"};                  // and any allocator
//     std::vector<int, heapster::tracked_allocator<int>> v{nodes};
//
// The figures are the program's own, with or without heapster; under heapster they are in its segment, too, by name,
// for reports. Nothing here allocates by itself or takes a lock; whatever is wrapped stays as safe with threads as it
// is, and the counts may be read by any thread. A block of 0 bytes counts as one of 1, as operator new makes it.

#pragma once

#if __cplusplus < 201703L
#error "memory_resource.hpp needs C++17 or later (-std=c++17)"
#else

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <memory_resource>
#include <string_view>
#include <tuple>
#include <type_traits>
#include <utility>

#include "heapster.h"

namespace heapster {

// The figures of an arena; of arenas.def, sizes in bytes.
struct ArenaStats {
#define HEAPSTER_ARENA_FIGURE(name, unit, kind, help) int64_t name;
#include "arenas.def"

  // What it holds of upstream's and nobody uses. Below zero where it has memory from elsewhere, as a monotonic buffer
  // with a first buffer of the program's has; without meaning where nothing counts what it takes (tracked_resource).
  int64_t wasted() const { return upstream_curr - use_curr; }
};

// The account of one arena. The wrappers below keep it; for an arena of another kind, keep it by hand. Accounts of one
// name are one in the segment, each apart here. After a fork the child's segment counts from 0, this goes on.
class arena_account {
 public:
  // Of the name, 39 characters count.
  explicit arena_account(std::string_view name) noexcept {
    name.copy(name_, sizeof name_ - 1);
    handle_.name = name_;
  }
  arena_account(const arena_account&) = delete;
  arena_account& operator=(const arena_account&) = delete;

  const char* name() const noexcept { return name_; }

  // One block asked of the arena, or given back to it.
  void asked(std::size_t bytes) noexcept {
    const int64_t counted = counted_bytes(bytes);
    add(counts_.alloc_count, 1);
    add(counts_.alloc_sum, counted);
    raise(counts_.use_max, add(counts_.use_curr, counted));
    heapster_arena_asked(&handle_, counted);
  }
  void given_back(std::size_t bytes) noexcept {
    const int64_t counted = counted_bytes(bytes);
    add(counts_.dealloc_count, 1);
    add(counts_.dealloc_sum, counted);
    add(counts_.use_curr, -counted);
    heapster_arena_asked(&handle_, -counted);
  }
  // One block taken from upstream, or returned there.
  void taken(std::size_t bytes) noexcept {
    const int64_t counted = counted_bytes(bytes);
    add(counts_.upstream_count, 1);
    add(counts_.upstream_sum, counted);
    raise(counts_.upstream_max, add(counts_.upstream_curr, counted));
    heapster_arena_upstream(&handle_, counted);
  }
  void returned(std::size_t bytes) noexcept {
    const int64_t counted = counted_bytes(bytes);
    add(counts_.upstream_curr, -counted);
    heapster_arena_upstream(&handle_, -counted);
  }
  // The arena was emptied at once: all that was asked of it is given back. Not while others ask of it.
  void emptied() noexcept {
    const int64_t bytes = counts_.use_curr.exchange(0, std::memory_order_relaxed);
    const int64_t blocks = outstanding();
    add(counts_.dealloc_count, blocks);
    add(counts_.dealloc_sum, bytes);
    add(counts_.reset_count, 1);
    heapster_arena_reset(&handle_, static_cast<uint64_t>(blocks), static_cast<uint64_t>(bytes));
  }

  // Blocks asked for and not given back.
  int64_t outstanding() const noexcept { return read(counts_.alloc_count) - read(counts_.dealloc_count); }

  ArenaStats stats() const noexcept {
    ArenaStats now;
#define HEAPSTER_ARENA_FIGURE(name, unit, kind, help) now.name = read(counts_.name);
#include "arenas.def"
    return now;
  }

 private:
  using Word = std::atomic<int64_t>;

  struct Counts {
#define HEAPSTER_ARENA_FIGURE(name, unit, kind, help) Word name{0};
#include "arenas.def"
  };

  static int64_t counted_bytes(std::size_t bytes) noexcept { return bytes == 0 ? 1 : static_cast<int64_t>(bytes); }
  static int64_t read(const Word& word) noexcept { return word.load(std::memory_order_relaxed); }
  static int64_t add(Word& word, int64_t change) noexcept {
    return word.fetch_add(change, std::memory_order_relaxed) + change;
  }
  static void raise(Word& highest, int64_t value) noexcept {
    int64_t seen = read(highest);
    while (value > seen && !highest.compare_exchange_weak(seen, value, std::memory_order_relaxed)) {
    }
  }

  char name_[sizeof(heapster_arena::name)] = {};
  heapster_arena_handle handle_{};
  Counts counts_;
};

// Any memory_resource, with a name and an account. What it takes from upstream is not known here: see tracked_arena.
// At its end, what was not given back stays counted as in use, in the segment: reset() first, where it was emptied.
class tracked_resource : public std::pmr::memory_resource {
 public:
  explicit tracked_resource(std::string_view name,
                            std::pmr::memory_resource* wrapped = std::pmr::get_default_resource()) noexcept
      : account_(name), wrapped_(wrapped) {}

  const char* name() const noexcept { return account_.name(); }
  ArenaStats stats() const noexcept { return account_.stats(); }
  std::pmr::memory_resource* wrapped() const noexcept { return wrapped_; }

  // To be called where the wrapped resource was emptied at once, by its release().
  void reset() noexcept { account_.emptied(); }

 protected:
  arena_account& account() noexcept { return account_; }

 private:
  void* do_allocate(std::size_t bytes, std::size_t alignment) override {
    void* block = wrapped_->allocate(bytes, alignment);
    account_.asked(bytes);
    return block;
  }
  void do_deallocate(void* block, std::size_t bytes, std::size_t alignment) override {
    account_.given_back(bytes);  // first: once it is given back, another thread may have it
    wrapped_->deallocate(block, bytes, alignment);
  }
  bool do_is_equal(const std::pmr::memory_resource& other) const noexcept override { return this == &other; }

  arena_account account_;
  std::pmr::memory_resource* wrapped_;
};

namespace detail {

// Between an arena and where it takes its memory from.
class CountedUpstream final : public std::pmr::memory_resource {
 public:
  CountedUpstream(arena_account& account, std::pmr::memory_resource* from) noexcept : account_(account), from_(from) {}

 private:
  void* do_allocate(std::size_t bytes, std::size_t alignment) override {
    void* block = from_->allocate(bytes, alignment);
    account_.taken(bytes);
    return block;
  }
  void do_deallocate(void* block, std::size_t bytes, std::size_t alignment) override {
    account_.returned(bytes);
    from_->deallocate(block, bytes, alignment);
  }
  bool do_is_equal(const std::pmr::memory_resource& other) const noexcept override { return this == &other; }

  arena_account& account_;
  std::pmr::memory_resource* from_;
};

// The arguments of an arena's constructor without the upstream that they may end with.
template <class... Arguments>
struct Upstream {
  static constexpr std::size_t kCount = sizeof...(Arguments);

  static constexpr bool given() {
    if constexpr (kCount == 0) {
      return false;
    } else {
      return std::is_convertible_v<std::tuple_element_t<kCount - 1, std::tuple<Arguments...> >,
                                   std::pmr::memory_resource*>;
    }
  }
  static constexpr std::size_t kOthers = kCount - (given() ? 1 : 0);

  static std::pmr::memory_resource* of(const std::tuple<Arguments...>& arguments) {
    if constexpr (given()) {
      return std::get<kCount - 1>(arguments);
    } else {
      (void)arguments;
      return std::pmr::get_default_resource();
    }
  }
};

}  // namespace detail

// An arena of its own over an upstream that is counted. Takes what the arena's constructor takes after the name, the
// upstream last, where it is not the default one: {"frame", 4096, &other}. At its end it is emptied like by release().
template <class Arena>
class tracked_arena final : public tracked_resource {
 public:
  template <class... Arguments>
  explicit tracked_arena(std::string_view name, Arguments&&... arguments)
      : tracked_arena(name, std::forward_as_tuple(std::forward<Arguments>(arguments)...),
                      std::make_index_sequence<detail::Upstream<Arguments&&...>::kOthers>()) {}
  ~tracked_arena() override {
    if (account().outstanding() != 0) account().emptied();
  }
  tracked_arena(const tracked_arena&) = delete;
  tracked_arena& operator=(const tracked_arena&) = delete;

  // The arena itself, for what it offers besides. What is asked of it directly is not counted.
  Arena& arena() noexcept { return arena_; }

  template <class A = Arena, class = decltype(std::declval<A&>().release())>  // where the arena has one
  void release() {
    arena_.release();
    reset();
  }

 private:
  template <class... Arguments, std::size_t... kPlaces>
  tracked_arena(std::string_view name, std::tuple<Arguments...> arguments, std::index_sequence<kPlaces...>)
      : tracked_resource(name, &arena_),
        upstream_(account(), detail::Upstream<Arguments...>::of(arguments)),
        arena_(std::forward<std::tuple_element_t<kPlaces, std::tuple<Arguments...> > >(std::get<kPlaces>(arguments))...,
               &upstream_) {}

  detail::CountedUpstream upstream_;
  Arena arena_;
};

// Any allocator, with an account that outlives it. Equal are those of equal allocators and one account; what travels
// with a container is what travels of the wrapped allocator. Where that is always equal, the account travels along in
// moves and swaps, and moving stays free of copies.
template <class T, class A = std::allocator<T> >
class tracked_allocator {
  using Wrapped = typename std::allocator_traits<A>::template rebind_alloc<T>;
  using Traits = std::allocator_traits<Wrapped>;
  template <class Propagates>
  using Travels = std::bool_constant<Propagates::value || Traits::is_always_equal::value>;

 public:
  using value_type = T;
  using pointer = typename Traits::pointer;
  using const_pointer = typename Traits::const_pointer;
  using void_pointer = typename Traits::void_pointer;
  using const_void_pointer = typename Traits::const_void_pointer;
  using difference_type = typename Traits::difference_type;
  using size_type = typename Traits::size_type;
  using propagate_on_container_copy_assignment = typename Traits::propagate_on_container_copy_assignment;
  using propagate_on_container_move_assignment = Travels<typename Traits::propagate_on_container_move_assignment>;
  using propagate_on_container_swap = Travels<typename Traits::propagate_on_container_swap>;
  using is_always_equal = std::false_type;
  template <class U>
  struct rebind {
    using other = tracked_allocator<U, typename Traits::template rebind_alloc<U> >;
  };

  tracked_allocator(arena_account& account, const A& wrapped = A()) noexcept : account_(&account), wrapped_(wrapped) {}
  template <class U, class B, class = std::enable_if_t<std::is_constructible_v<Wrapped, const B&> > >
  tracked_allocator(const tracked_allocator<U, B>& other) noexcept
      : account_(&other.account()), wrapped_(other.wrapped()) {}

  pointer allocate(size_type count) { return counted(Traits::allocate(wrapped_, count), count); }
  pointer allocate(size_type count, const_void_pointer hint) {
    return counted(Traits::allocate(wrapped_, count, hint), count);
  }
  void deallocate(pointer block, size_type count) {
    account_->given_back(static_cast<std::size_t>(count) * sizeof(T));
    Traits::deallocate(wrapped_, block, count);
  }
  template <class U, class... Arguments>
  void construct(U* place, Arguments&&... arguments) {
    Traits::construct(wrapped_, place, std::forward<Arguments>(arguments)...);
  }
  template <class U>
  void destroy(U* place) {
    Traits::destroy(wrapped_, place);
  }
  size_type max_size() const noexcept { return Traits::max_size(wrapped_); }
  tracked_allocator select_on_container_copy_construction() const {
    return tracked_allocator(*account_, Traits::select_on_container_copy_construction(wrapped_), Same{});
  }

  arena_account& account() const noexcept { return *account_; }
  const Wrapped& wrapped() const noexcept { return wrapped_; }

  template <class U, class B>
  friend bool operator==(const tracked_allocator& a, const tracked_allocator<U, B>& b) noexcept {
    return &a.account() == &b.account() && a.wrapped() == Wrapped(b.wrapped());
  }

 private:
  struct Same {};
  tracked_allocator(arena_account& account, const Wrapped& wrapped, Same) noexcept
      : account_(&account), wrapped_(wrapped) {}

  pointer counted(pointer block, size_type count) {
    account_->asked(static_cast<std::size_t>(count) * sizeof(T));
    return block;
  }

  arena_account* account_;
  [[no_unique_address]] Wrapped wrapped_;
};

}  // namespace heapster

#endif  // C++ below 17
