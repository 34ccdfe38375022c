// SPDX-License-Identifier: MIT
//
// Builds one object after another between two readings of heapster's counters, and prints for each what
// heapster::dynamic_usage says of it beside what was really requested. The test judges; see memory_usage_test.cpp.
//
//     name  exact|bounds  dynamic  lower  upper|-  requested  allocations  others  live
//
// `exact`: with libstdc++ the bounds have to coincide. Objects are built so that nothing is freed on the way where that
// is possible, since then `requested` is to the byte what the object has to own.

#include <array>
#include <atomic>
#include <bitset>
#include <chrono>
#include <complex>
#include <cstdio>
#include <span>
#include <string_view>
#include <version>
#ifdef __cpp_lib_expected
#include <expected>
#endif

#include "heapster/memory_usage.hpp"
#include "witness.h"

namespace {

using heapster::test::Counts;
using heapster::test::Witness;
using std::string;
using std::vector;
namespace fs = std::filesystem;

// Longer than what fits into any string object.
string text(size_t length = 100) { return string(length, 'x'); }

const Witness& witness() {
  static const Witness the_witness;
  return the_witness;
}

template <class T>
void report(const char* name, const char* promise, const T& object, const Counts& counts) {
  const heapster::UsageBounds bounds = heapster::dynamic_usage_bounds(object);
  char upper[24] = "-";
  if (bounds.upper) snprintf(upper, sizeof upper, "%zu", *bounds.upper);
  printf("%s\t%s\t%zu\t%zu\t%s\t%llu\t%llu\t%llu\t%lld\n", name, promise, heapster::dynamic_usage(object), bounds.lower,
         upper, static_cast<unsigned long long>(counts.requested), static_cast<unsigned long long>(counts.allocations),
         static_cast<unsigned long long>(counts.others), static_cast<long long>(counts.live));
}

template <class Build>
void measure(const char* name, const char* promise, Build build) {
  const Counts before = witness().now();
  const auto object = build();
  const Counts after = witness().now();
  report(name, promise, object, after - before);
}
template <class Build>
void exact(const char* name, Build build) {
  measure(name, "exact", build);
}
template <class Build>
void bounds(const char* name, Build build) {
  measure(name, "bounds", build);
}

// ---- Types that are taught

// By the macro, with private fields, and a base.
class Person {
 public:
  Person(size_t name, size_t marks) : name_(name, 'n'), marks_(marks) {}

 private:
  string name_;
  vector<int> marks_;
  HEAPSTER_MEMORY_USAGE(Person, name_, marks_)
};
class Pupil : public Person {
 public:
  Pupil() : Person(50, 20), school_(60, 's') {}

 private:
  string school_;
  HEAPSTER_MEMORY_USAGE(Pupil, static_cast<const Person&>(*this), school_)
};
struct Untouched {
  ~Untouched() {}
  HEAPSTER_MEMORY_USAGE(Untouched)
};
template <class T>
struct Box {
  T content;
  HEAPSTER_MEMORY_USAGE(Box, content)
};

// By a member function: a vector of its own making.
class Buffer {
 public:
  explicit Buffer(size_t bytes) : bytes_(bytes), data_(static_cast<char*>(::operator new(bytes))) {}
  Buffer(const Buffer&) = delete;
  Buffer& operator=(const Buffer&) = delete;
  ~Buffer() { ::operator delete(data_); }
  void heapster_usage(heapster::UsageMeter& meter) const { meter.add_bytes(bytes_); }

 private:
  size_t bytes_;
  char* data_;
};

// By a free function: a pointer with many owners, which count themselves.
struct Counted {
  int owners = 0;
  string name;
};
class Handle {
 public:
  explicit Handle(Counted* to) : to_(to) { ++to_->owners; }
  Handle(const Handle& other) : Handle(other.to_) {}
  Handle& operator=(const Handle&) = delete;
  ~Handle() {
    if (--to_->owners == 0) delete to_;
  }
  const Counted* get() const { return to_; }

 private:
  Counted* to_;
};
void heapster_usage(heapster::UsageMeter& meter, const Handle& x) {
  if (!meter.first_visit(x.get())) return;
  meter.add_bytes(sizeof(Counted));
  meter.add(x.get()->name);
}

// The same as a template, for a container that somebody else wrote.
template <class T>
struct TheirVector {
  explicit TheirVector(size_t n) : items(new T[n]), count(n) {}
  TheirVector(const TheirVector&) = delete;
  TheirVector& operator=(const TheirVector&) = delete;
  ~TheirVector() { delete[] items; }
  const T* begin() const { return items; }
  const T* end() const { return items + count; }
  T* items;
  size_t count;
};
template <class T>
void heapster_usage(heapster::UsageMeter& meter, const TheirVector<T>& x) {
  meter.add_bytes(x.count * sizeof(T));
  meter.add_elements(x);
}

// C's way: nothing in the type says that it owns something.
struct PlainBlock {
  void* data;
  size_t bytes;
};
void heapster_usage(heapster::UsageMeter& meter, const PlainBlock& x) { meter.add_bytes(x.bytes); }

// Linked in a ring, by pointers of both kinds.
struct Station {
  string name = text(40);
  std::shared_ptr<Station> next;
  std::weak_ptr<Station> previous;
  HEAPSTER_MEMORY_USAGE(Station, name, next, previous)
};

struct Leaf;
struct Tree {
  string name = text(30);
  vector<std::unique_ptr<Tree>> children;
  HEAPSTER_MEMORY_USAGE(Tree, name, children)
};

struct Shape {
  virtual ~Shape() = default;
  string name = text(33);
  HEAPSTER_MEMORY_USAGE(Shape, name)
};
struct Circle final : Shape {
  double radius[20] = {};
  HEAPSTER_MEMORY_USAGE(Circle, static_cast<const Shape&>(*this))
};

struct alignas(64) Wide {
  char bytes[64];
};
struct alignas(64) WideOwner {
  std::unique_ptr<int> number = std::make_unique<int>(1);
  HEAPSTER_MEMORY_USAGE(WideOwner, number)
};
enum class Colour : char { kRed };

// Looks like std::expected.
struct Reply {
  string answer;
  vector<int> trouble;
  bool good;
  bool has_value() const { return good; }
  const string& value() const { return answer; }
  const vector<int>& error() const { return trouble; }
};

struct Point {
  double x, y;
  const char* label;
};

// Compares, hashes and deletes, and is too large to lie within a std::function.
struct Much {
  std::array<long, 20> state{};
  bool operator()(int a, int b) const { return a < b; }
  void operator()(Point*) const {}
  size_t operator()(int x) const { return static_cast<size_t>(x); }
};
using ByFunction = std::function<bool(int, int)>;

// Hashes that libstdc++ stores in the node, and one that it does not.
struct ThrowingHash {
  size_t operator()(int x) const { return static_cast<size_t>(x); }
};
struct QuietHash {
  size_t operator()(int x) const noexcept { return static_cast<size_t>(x); }
};

// An allocator of one's own, with and without a state.
template <class T, class State>
struct OwnAllocator : State {
  using value_type = T;
  OwnAllocator() = default;
  template <class U>
  explicit(false) OwnAllocator(const OwnAllocator<U, State>&) {}
  T* allocate(size_t n) { return static_cast<T*>(::operator new(n * sizeof(T))); }
  void deallocate(T* p, size_t) { ::operator delete(p); }
  template <class U>
  bool operator==(const OwnAllocator<U, State>&) const {
    return true;
  }
};
struct NoState {};
struct SomeState {
  int number = 0;
};

// ---- The cases

void plain_types() {
  static int pointee = 0;
  exact("int", [] { return 7; });
  exact("double", [] { return 7.0; });
  exact("enum", [] { return Colour::kRed; });
  exact("pointer", [] { return &pointee; });
  exact("nullptr", [] { return nullptr; });
  exact("function pointer", [] { return &plain_types; });
  exact("plain struct", [] { return Point{1, 2, "label"}; });
  exact("complex", [] { return std::complex<double>(1, 2); });
  exact("bitset", [] { return std::bitset<1000>(5); });
  exact("seconds", [] { return std::chrono::seconds(5); });
  exact("time_point", [] { return std::chrono::system_clock::time_point(); });
  exact("year_month_day", [] { return std::chrono::year(2024) / std::chrono::month(2) / std::chrono::day(29); });
  exact("string_view", [] { return std::string_view("a string that is much longer than any string object"); });
  exact("span", [] { return std::span<int>(&pointee, 1); });
  exact("atomic", [] { return std::atomic<int>(5); });
  exact("reference_wrapper", [] { return std::ref(pointee); });
  exact("array<int>", [] { return std::array<int, 100>{}; });
  exact("pair of plain", [] { return std::pair(1, 2.0); });
}

void strings() {
  exact("string, empty", [] { return string(); });
  exact("string, short", [] { return string("short"); });
  exact("string of 15", [] { return text(15); });
  exact("string of 16", [] { return text(16); });
  exact("string of 1000", [] { return text(1000); });
  exact("string, reserved", [] {
    string x;
    x.reserve(333);
    return x;
  });
  exact("string, grown", [] {
    string x;
    for (int i = 0; i < 500; ++i) x += 'y';
    return x;
  });
  exact("string, shrunk", [] {
    string x = text(500);
    x.resize(40);
    x.shrink_to_fit();
    return x;
  });
  exact("string, moved from", [] {
    std::pair<string, string> x{text(200), {}};
    x.second = std::move(x.first);
    return x;
  });
  exact("wstring", [] { return std::wstring(50, L'x'); });
  exact("wstring, short", [] { return std::wstring(2, L'x'); });
  exact("u8string", [] { return std::u8string(50, u8'x'); });
  exact("u16string", [] { return std::u16string(50, u'x'); });
  exact("u32string", [] { return std::u32string(50, U'x'); });
}

void sequences() {
  exact("vector, empty", [] { return vector<int>(); });
  exact("vector<int>", [] { return vector<int>(100); });
  exact("vector, reserved", [] {
    vector<double> x;
    x.reserve(77);
    return x;
  });
  exact("vector, grown", [] {
    vector<int> x;
    for (int i = 0; i < 100; ++i) x.push_back(i);
    return x;
  });
  exact("vector<string>", [] { return vector<string>(5, text(50)); });
  exact("vector<vector>", [] { return vector<vector<short>>(7, vector<short>(11)); });
  exact("vector of wide", [] { return vector<Wide>(3); });
  for (size_t bits : {1, 64, 65, 1000}) exact("vector<bool>", [bits] { return vector<bool>(bits); });
  exact("valarray", [] { return std::valarray<double>(1.0, 33); });
  exact("array<string>", [] { return std::array<string, 3>{text(20), text(30), "short"}; });
  exact("deque, empty", [] { return std::deque<int>(); });
  exact("deque of 1", [] { return std::deque<int>(1); });
  exact("deque of 1000", [] { return std::deque<int>(1000); });
  exact("deque of 3-byte elements", [] { return std::deque<std::array<char, 3>>(1000); });
  exact("deque of 600-byte elements", [] { return std::deque<std::array<char, 600>>(5); });
  exact("deque<string>", [] { return std::deque<string>(30, text(40)); });
  exact("deque, both ends", [] {
    std::deque<int> x;
    for (int i = 0; i < 3000; ++i) i % 3 ? x.push_back(i) : x.push_front(i);
    for (int i = 0; i < 700; ++i) x.pop_front();
    return x;
  });
  exact("list, empty", [] { return std::list<int>(); });
  exact("list<char>", [] { return std::list<char>(9); });
  exact("list<string>", [] { return std::list<string>(9, text(30)); });
  exact("list of wide", [] { return std::list<Wide>(2); });
  exact("list of long double", [] { return std::list<long double>(2); });
  exact("forward_list", [] { return std::forward_list<int>(9); });
  exact("forward_list of wide", [] { return std::forward_list<Wide>(2); });
}

void associative() {
  static const vector<int> numbers = {5, 3, 9, 1, 7, 7};
  exact("set, empty", [] { return std::set<int>(); });
  exact("set<char>", [] { return std::set<char>(numbers.begin(), numbers.end()); });
  exact("multiset", [] { return std::multiset<int>(numbers.begin(), numbers.end()); });
  exact("map<char, char>", [] {
    std::map<char, char> x;
    for (char c = 'a'; c < 'z'; ++c) x[c] = c;
    return x;
  });
  exact("map<string, string>", [] {
    std::map<string, string> x;
    for (size_t i = 20; i < 30; ++i) x.try_emplace(text(i)).first->second.assign(2 * i, 'v');
    return x;
  });
  exact("map of wide", [] {
    std::map<int, Wide> x;
    x[1], x[2];
    return x;
  });
  exact("multimap", [] {
    std::multimap<int, vector<int>> x;
    for (int i = 0; i < 5; ++i) x.emplace(1, vector<int>(10));
    return x;
  });
  bounds("map by a function", [] {
    std::map<int, int, ByFunction> x(ByFunction{Much()});
    x[1] = 2;
    return x;
  });
}

template <class Table>
Table filled() {
  Table x;
  for (int i = 0; i < 100; ++i) {
    if constexpr (requires { typename Table::mapped_type; })
      x.emplace(i, i);
    else
      x.emplace(i);
  }
  return x;
}

void hashed() {
  exact("unordered_set, empty", [] { return std::unordered_set<int>(); });
  exact("unordered_set of 1", [] { return std::unordered_set<int>({1}); });
  exact("unordered_set<int>", [] { return filled<std::unordered_set<int>>(); });
  exact("unordered_set, reserved", [] {
    std::unordered_set<int> x;
    x.reserve(1000);
    for (int i = 0; i < 100; ++i) x.insert(i);
    return x;
  });
  exact("unordered_set<string>", [] {
    std::unordered_set<string> x(64);
    for (size_t i = 20; i < 50; ++i) x.emplace(i, 'k');
    return x;
  });
  exact("unordered_set, hash may throw", [] { return std::unordered_set<int, ThrowingHash>({1, 2, 3}, 16); });
  exact("unordered_set, hash does not throw", [] { return std::unordered_set<int, QuietHash>({1, 2, 3}, 16); });
  exact("unordered_map<int, int>", [] { return filled<std::unordered_map<int, int>>(); });
  exact("unordered_map<string, vector>", [] {
    std::unordered_map<string, vector<int>> x(32);
    for (size_t i = 20; i < 30; ++i) x.try_emplace(text(i), i);
    return x;
  });
  exact("unordered_map of wide", [] {
    std::unordered_map<string, Wide> x(8);
    x["a"], x["b"];
    return x;
  });
  exact("unordered_multiset", [] { return std::unordered_multiset<int>({1, 1, 1, 2}, 16); });
  exact("unordered_multimap", [] { return filled<std::unordered_multimap<int, long>>(); });
  bounds("unordered_set by a function", [] {
    return std::unordered_set<int, std::function<size_t(int)>>({1, 2}, 16, Much());
  });
}

void adaptors() {
  exact("stack", [] {
    std::stack<int> x;
    for (int i = 0; i < 300; ++i) x.push(i);
    return x;
  });
  exact("queue", [] { return std::queue<string>(std::deque<string>(20, text(30))); });
  exact("queue over list", [] {
    std::queue<int, std::list<int>> x;
    x.push(1), x.push(2);
    return x;
  });
  exact("priority_queue", [] {
    std::priority_queue<int> x;
    for (int i = 0; i < 100; ++i) x.push(i);
    return x;
  });
  bounds("priority_queue by a function", [] { return std::priority_queue<int, vector<int>, ByFunction>(Much()); });
}

struct Fragile {
  string name;
  explicit Fragile(string n) : name(std::move(n)) {}
  Fragile(Fragile&&) { throw 1; }
  HEAPSTER_MEMORY_USAGE(Fragile, name)
};

std::variant<string, Fragile> valueless() {
  std::variant<string, Fragile> x(std::in_place_index<0>, 50, 'v');
  try {
    x.emplace<1>(Fragile(text(20)));
  } catch (int) {
  }
  return x;
}

void sums() {
  exact("optional, empty", [] { return std::optional<string>(); });
  exact("optional", [] { return std::optional<string>(std::in_place, 50, 'o'); });
  exact("pair", [] { return std::pair<string, vector<int>>(text(30), 20); });
  exact("tuple", [] { return std::tuple<int, string, vector<char>>(1, text(30), 20); });
  exact("tuple, empty", [] { return std::tuple<>(); });
  exact("variant of the first", [] { return std::variant<int, string, vector<int>>(5); });
  exact("variant of the second",
        [] { return std::variant<int, string, vector<int>>(std::in_place_index<1>, 50, 'v'); });
  exact("variant of the third", [] { return std::variant<int, string, vector<int>>(std::in_place_index<2>, 50); });
  valueless();  // the first exception of a process may leave memory of the C++ runtime behind
  exact("variant without value", valueless);
  exact("like expected, value", [] { return Reply{text(60), {}, true}; });
  exact("like expected, error", [] { return Reply{"", vector<int>(10), false}; });
#ifdef __cpp_lib_expected
  exact("expected, value", [] { return std::expected<string, vector<int>>(std::in_place, 60, 'e'); });
  exact("expected, error", [] { return std::expected<string, vector<int>>(std::unexpect, 10); });
  exact("expected<void>, value", [] { return std::expected<void, string>(); });
  exact("expected<void>, error", [] { return std::expected<void, string>(std::unexpect, 60, 'e'); });
#endif
}

void unique_pointers() {
  static Point elsewhere{};
  exact("unique_ptr, null", [] { return std::unique_ptr<string>(); });
  exact("unique_ptr<int>", [] { return std::make_unique<int>(1); });
  exact("unique_ptr<string>", [] { return std::make_unique<string>(50, 'u'); });
  exact("unique_ptr<const vector>", [] { return std::unique_ptr<const vector<int>>(new vector<int>(9)); });
  exact("unique_ptr to what it says", [] { return std::make_unique<Shape>(); });
  exact("unique_ptr without virtual functions", [] { return std::make_unique<Person>(30, 40); });
  exact("unique_ptr to a final class", [] { return std::make_unique<Circle>(); });
  bounds("unique_ptr to a base", [] { return std::unique_ptr<Shape>(std::make_unique<Circle>()); });
  exact("unique_ptr<string[]>", [] { return std::make_unique<string[]>(12); });
  exact("unique_ptr<WideOwner[]>", [] { return std::unique_ptr<WideOwner[]>(new WideOwner[3]); });
  exact("unique_ptr<string[]>, null", [] { return std::unique_ptr<string[]>(); });
  bounds("unique_ptr<int[]>", [] { return std::make_unique<int[]>(12); });
  bounds("unique_ptr, own deleter", [] {
    const auto give_back = [](int* p) { delete p; };
    return std::unique_ptr<int, decltype(give_back)>(new int(1), give_back);
  });
  exact("unique_ptr, own deleter, null",
        [] { return std::unique_ptr<Point, void (*)(Point*)>(nullptr, [](Point*) {}); });
  bounds("unique_ptr, own deleter with a state, null",
         [] { return std::unique_ptr<Point, std::function<void(Point*)>>(nullptr, Much()); });
  bounds("unique_ptr, deleter that frees nothing",
         [] { return std::unique_ptr<Point, void (*)(Point*)>(&elsewhere, [](Point*) {}); });
  exact("tree by unique_ptr", [] {
    auto root = std::make_unique<Tree>();
    root->children.reserve(4);
    for (int i = 0; i < 4; ++i) root->children.push_back(std::make_unique<Tree>());
    return root;
  });
}

void shared_pointers() {
  exact("shared_ptr, null", [] { return std::shared_ptr<string>(); });
  exact("make_shared<char>", [] { return std::make_shared<char>('c'); });
  exact("make_shared<string>", [] { return std::make_shared<string>(50, 's'); });
  exact("make_shared<Wide>", [] { return std::make_shared<Wide>(); });
  exact("shared_ptr<const>", [] { return std::shared_ptr<const string>(std::make_shared<string>(50, 's')); });
  exact("shared_ptr(new)", [] { return std::shared_ptr<string>(new string(50, 's')); });
  exact("shared_ptr(unique_ptr)", [] { return std::shared_ptr<string>(std::make_unique<string>(50, 's')); });
  exact("make_shared of a class with virtual functions", [] { return std::make_shared<Shape>(); });
  bounds("shared_ptr, own deleter", [] { return std::shared_ptr<int>(new int(1), [](int* p) { delete p; }); });
  bounds("shared_ptr to a base", [] { return std::shared_ptr<Shape>(std::make_shared<Circle>()); });
  bounds("shared_ptr to a part", [] {
    const auto whole = std::make_shared<std::pair<string, Wide>>(text(70), Wide());
    return std::shared_ptr<string>(whole, &whole->first);
  });
  bounds("shared_ptr<void>", [] { return std::shared_ptr<void>(std::make_shared<double>(1)); });
  bounds("shared_ptr<int[]>", [] { return std::shared_ptr<int[]>(new int[10]); });
  exact("shared by ten", [] { return vector<std::shared_ptr<string>>(10, std::make_shared<string>(50, 's')); });
  exact("shared across types", [] {
    const auto one = std::make_shared<vector<int>>(10);
    return std::tuple<std::shared_ptr<vector<int>>, std::weak_ptr<vector<int>>, std::shared_ptr<const vector<int>>>(
        one, one, one);
  });
  exact("weak before shared", [] {
    const std::shared_ptr<string> one(new string(50, 's'));
    return std::pair<std::weak_ptr<string>, std::shared_ptr<string>>(one, one);
  });
  exact("weak_ptr, null", [] { return std::weak_ptr<string>(); });
  exact("weak_ptr, expired, of make_shared",
        [] { return std::weak_ptr<std::array<int, 50>>(std::make_shared<std::array<int, 50>>()); });
  exact("weak_ptr, expired, of new",
        [] { return std::weak_ptr<string>(std::shared_ptr<string>(new string(50, 's'))); });
  exact("ring of shared_ptr", [] {
    const auto first = std::make_shared<Station>();
    first->next = std::make_shared<Station>();
    first->next->next = std::make_shared<Station>();
    first->next->next->next = first;
    first->previous = first->next->next;
    return first;
  });
}

void opaque() {
  exact("function, empty", [] { return std::function<int(int)>(); });
  bounds("function of a pointer", [] { return std::function<int(int)>(+[](int x) { return x; }); });
  bounds("function with much to keep", [] {
    const std::array<long, 20> much{};
    return std::function<long(size_t)>([much](size_t i) { return much[i]; });
  });
#ifdef __cpp_lib_move_only_function
  exact("move_only_function, empty", [] { return std::move_only_function<int(int)>(); });
  bounds("move_only_function",
         [] { return std::move_only_function<int() const>([p = std::make_unique<int>(1)] { return *p; }); });
#endif
  exact("any, empty", [] { return std::any(); });
  bounds("any of int", [] { return std::any(1); });
  bounds("any of string", [] { return std::any(text(50)); });
}

void paths() {
  exact("path, empty", [] { return fs::path(); });
  exact("path, short", [] { return fs::path("name"); });
  exact("path, long name", [] { return fs::path("a name that no string object has room for.txt"); });
  exact("path of three", [] { return fs::path("/usr/lib"); });
  exact("path of long ones",
        [] { return fs::path("/a directory with a long name/another directory with a long name/file"); });
  exact("path, appended to", [] {
    fs::path x("/first");
    for (int i = 0; i < 9; ++i) x /= "the next one, with a long name";
    return x;
  });
  exact("path, cut", [] { return fs::path("/usr/share/doc/heapster").parent_path(); });
  exact("path, cleared", [] {
    fs::path x("/usr/share/doc/heapster");
    x.clear();
    return x;
  });
  exact("path, assigned a name", [] {
    fs::path x("/usr/share/doc/heapster");
    x = "name";
    return x;
  });
  exact("vector<path>", [] { return vector<fs::path>(4, "usr/share/doc"); });
}

void nested() {
  exact("map<string, vector<shared_ptr<string>>>", [] {
    std::map<string, vector<std::shared_ptr<string>>> x;
    for (size_t i = 20; i < 25; ++i) {
      auto& row = x.try_emplace(text(i)).first->second;
      row.reserve(6);
      for (size_t j = 0; j < 3; ++j) row.push_back(std::make_shared<string>(10 * i, 's'));
      row.push_back(row.front());
    }
    return x;
  });
  exact("list<pair<string, optional<vector<char>>>>", [] {
    std::list<std::pair<string, std::optional<vector<char>>>> x;
    x.emplace_back(text(40), vector<char>(60));
    x.emplace_back(text(50), std::nullopt);
    return x;
  });
  exact("variant<unique_ptr<map<int, string>>, int>", [] {
    std::variant<std::unique_ptr<std::map<int, string>>, int> x(std::make_unique<std::map<int, string>>());
    for (int i = 0; i < 9; ++i) std::get<0>(x)->try_emplace(i, 30, 'x');
    return x;
  });
  exact("unordered_map<int, deque<tuple<string, set<int>>>>", [] {
    std::unordered_map<int, std::deque<std::tuple<string, std::set<int>>>> x(8);
    for (int i = 0; i < 5; ++i) x[i].emplace_back(text(30), std::set<int>{1, 2, 3});
    return x;
  });
}

void allocators() {
  exact("vector, own allocator", [] { return vector<int, OwnAllocator<int, NoState>>(50); });
  exact("string, own allocator",
        [] { return std::basic_string<char, std::char_traits<char>, OwnAllocator<char, SomeState>>(50, 'a'); });
  exact("list, own allocator", [] { return std::list<int, OwnAllocator<int, SomeState>>(50); });
  exact("deque, own allocator", [] { return std::deque<int, OwnAllocator<int, SomeState>>(500); });
  exact("unordered_set, own allocator", [] {
    return std::unordered_set<int, std::hash<int>, std::equal_to<>, OwnAllocator<int, SomeState>>({1, 2, 3}, 16);
  });
#if __has_include(<memory_resource>)
  exact("pmr::vector<pmr::string>", [] { return std::pmr::vector<std::pmr::string>(5, std::pmr::string(50, 'p')); });
  exact("pmr::map", [] {
    std::pmr::map<int, std::pmr::string> x;
    x[1].assign(60, 'x');
    return x;
  });
  exact("pmr::deque", [] { return std::pmr::deque<int>(700); });
  exact("allocate_shared, pmr",
        [] { return std::allocate_shared<string>(std::pmr::polymorphic_allocator<string>(), 50, 's'); });
#endif
}

#if __has_include(<memory_resource>)
// Counts what a container asks of it, and takes that from a buffer: nothing of it is on the heap.
class Asked final : public std::pmr::memory_resource {
 public:
  const Counts& counts() const { return counts_; }

 private:
  void* do_allocate(size_t bytes, size_t alignment) override {
    counts_.requested += bytes;
    ++counts_.allocations;
    counts_.live += static_cast<int64_t>(bytes);
    return from_.allocate(bytes, alignment);
  }
  void do_deallocate(void*, size_t bytes, size_t) override {
    ++counts_.others;
    counts_.live -= static_cast<int64_t>(bytes);
  }
  bool do_is_equal(const memory_resource& other) const noexcept override { return this == &other; }

  Counts counts_;
  char buffer_[1 << 16];
  std::pmr::monotonic_buffer_resource from_{buffer_, sizeof buffer_, std::pmr::null_memory_resource()};
};

template <class Container, class Fill>
void asked(const char* name, Fill fill) {
  Asked resource;
  Container x(&resource);
  fill(x);
  report(name, "exact", x, resource.counts());
}

void resources() {
  asked<std::pmr::vector<int>>("monotonic: vector", [](auto& x) {
    for (int i = 0; i < 100; ++i) x.push_back(i);
  });
  asked<std::pmr::list<std::pmr::string>>("monotonic: list of strings", [](auto& x) {
    for (int i = 0; i < 10; ++i) x.emplace_back(40, 'x');
  });
  asked<std::pmr::unordered_map<int, std::pmr::vector<int>>>("monotonic: unordered_map of vectors", [](auto& x) {
    for (int i = 0; i < 10; ++i) x[i].reserve(20);
  });
  asked<std::pmr::deque<int>>("monotonic: deque", [](auto& x) { x.resize(500); });
}
#else
void resources() {}
#endif

void taught() {
  exact("by the macro", [] { return Person(40, 50); });
  exact("by the macro, with a base", [] { return Pupil(); });
  exact("by the macro, without fields", [] { return Untouched(); });
  exact("by the macro, a template", [] { return Box<std::map<int, string>>{{{1, text(40)}}}; });
  exact("by a member function", [] { return Buffer(123); });
  exact("by a free function", [] { return Handle(new Counted{0, text(30)}); });
  exact("many owners of one's own", [] { return vector<Handle>(5, Handle(new Counted{0, text(30)})); });
  exact("by a free function template", [] { return TheirVector<int>(33); });
  exact("plain, but taught", [] { return PlainBlock{::operator new(77), 77}; });
  exact("plain, but taught, in pairs", [] {
    vector<std::pair<int, PlainBlock>> x(2);
    for (auto& [number, block] : x) block = {::operator new(88), 88};
    return x;
  });
  exact("vector of taught", [] { return vector<Person>(4, Person(30, 40)); });
  exact("map of taught", [] {
    std::map<int, Buffer> x;
    x.try_emplace(1, 100), x.try_emplace(2, 200);
    return x;
  });
  exact("array of unique_ptr of taught", [] {
    return std::array<std::unique_ptr<Person>, 2>{std::make_unique<Person>(30, 40), nullptr};
  });
}

}  // namespace

int main() {
  witness();
  for (const auto group : {plain_types, strings, sequences, associative, hashed, adaptors, sums, unique_pointers,
                           shared_pointers, opaque, paths, nested, allocators, resources, taught})
    group();
  return 0;
}
