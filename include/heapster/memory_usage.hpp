// SPDX-License-Identifier: MIT
//
// How many bytes of the heap an object owns, asked of the object itself: heapster::dynamic_usage(x). The header needs
// the standard library only, and nothing at run time; heapster's tests hold its answers against the bytes that were
// really requested.
//
// An answer is in bytes REQUESTED from the allocator: what operator new, or the container's own allocator or memory
// resource, was asked for. What malloc adds (rounding, headers) is no property of the object, and not in it.
//
// What no public function of a container tells (nodes, a deque's map, control blocks) is known for libstdc++, where
// answers are exact; with other standard libraries such parts have a lower bound and no upper one.
//
// An object owns what its destructor gives back. So a type whose destructor does nothing owns nothing (numbers, enums,
// pointers, views, chrono types, plain structs of those), and a pointer is not followed. A shared_ptr owns its control
// block and its object, each counted once in a call however many share it. All other types are rules below, or are
// taught in one of three ways, tried in this order:
//
//     class Session {                                   // 1. in the class; private fields and bases are fine
//       std::string user_;  std::vector<int> marks_;
//       HEAPSTER_MEMORY_USAGE(Session, user_, marks_)
//     };
//     void heapster_usage(heapster::UsageMeter& meter) const { meter.add(user_); }           // 2. a member function
//     void heapster_usage(heapster::UsageMeter& meter, const Session& x) { meter.add(x.user); }  // 3. a free function
//                                                                    in the type's namespace, before the first use
// A class derived from one that was taught by the macro has to be taught again; 2 and 3 hold for derived classes as
// well, and do not see what they add.

#pragma once

#if __cplusplus < 202002L
#error "memory_usage.hpp needs C++20 or later (-std=c++20)"
#else

#include <algorithm>
#include <any>
#include <array>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <deque>
#include <filesystem>
#include <forward_list>
#include <functional>
#include <iterator>
#include <list>
#include <map>
#include <memory>
#include <optional>
#include <queue>
#include <ranges>
#include <set>
#include <stack>
#include <string>
#include <tuple>
#include <type_traits>
#include <typeinfo>
#include <unordered_map>
#include <unordered_set>
#include <utility>
#include <valarray>
#include <variant>
#include <vector>
#if __has_include(<memory_resource>)
#include <memory_resource>
#endif

// Teaches a type, from inside its class: HEAPSTER_MEMORY_USAGE(Type, field, field…), in any section. A base class is a
// field, too: static_cast<const Base&>(*this). The fields are counted; the rest of the type is taken to own nothing.
#define HEAPSTER_MEMORY_USAGE(Type, ...)                                                                      \
  void heapster_add_fields(::heapster::UsageMeter& heapster_meter) const { heapster_meter.add(__VA_ARGS__); } \
  [[maybe_unused]] friend void heapster_fields(::heapster::UsageMeter& heapster_meter,                        \
                                               ::heapster::usage_rules::Exactly<Type> object) {               \
    object.value.heapster_add_fields(heapster_meter);                                                         \
  }

namespace heapster {

// Bytes on the heap: at least `lower`, and at most `upper` where that is known.
struct UsageBounds {
  std::size_t lower = 0;
  std::optional<std::size_t> upper = 0;

  bool exact() const { return upper == lower; }
  bool operator==(const UsageBounds&) const = default;
};

// Adds up one call's answer; the parameter of whatever teaches a type. Belongs to one thread. Allocates only to
// remember what several pointers share (std::bad_alloc where that fails). Recursion is as deep as the objects are
// nested.
class UsageMeter {
 public:
  // What each of these owns on the heap; not their own bytes, which are part of the object that they are fields of.
  template <class... Ts>
  void add(const Ts&... objects) {
    (add_one(objects), ...);
  }

  // The same for all elements of a container whose own memory is counted by other means.
  template <std::ranges::input_range Range>
  void add_elements(const Range& range);

  // A block of which the size in bytes is known, or within which bounds it is.
  void add_bytes(std::size_t bytes) { add_bounds({bytes, bytes}); }
  void add_bounds(const UsageBounds& bytes) {
    bounds_.lower += bytes.lower;
    bounds_.upper = bounds_.upper && bytes.upper ? std::optional(*bounds_.upper + *bytes.upper) : std::nullopt;
  }

  // Whether this call comes to that address for the first time: for a pointer type of one's own with many owners.
  bool first_visit(const void* shared) { return visited_.insert(shared).second; }

  const UsageBounds& bounds() const { return bounds_; }

 private:
  template <class T>
  void add_one(const T& object);

  UsageBounds bounds_;
  std::unordered_set<const void*> visited_;
};

// The bytes on the heap that `object` owns, at least and at most. Reads the object as its const member functions do:
// other threads may read it meanwhile, none may change it. Throws nothing but what UsageMeter and taught types do. A
// type that nobody taught does not compile.
template <class T>
UsageBounds dynamic_usage_bounds(const T& object) {
  UsageMeter meter;
  meter.add(object);
  return meter.bounds();
}

// The same as one number of bytes: the exact one where the bounds coincide, else the lower bound.
template <class T>
std::size_t dynamic_usage(const T& object) {
  return dynamic_usage_bounds(object).lower;
}

// dynamic_usage() and the object's own bytes, sizeof.
template <class T>
std::size_t total_usage(const T& object) {
  return sizeof(T) + dynamic_usage(object);
}

namespace usage_rules {

// What only the library's own source tells is known of libstdc++, and not of its debug mode.
#if defined(__GLIBCXX__) && !defined(_GLIBCXX_DEBUG)
#define HEAPSTER_KNOWN_LAYOUT 1
#else
#define HEAPSTER_KNOWN_LAYOUT 0
#endif
inline constexpr bool kKnownLayout = HEAPSTER_KNOWN_LAYOUT;
// Strings of libstdc++'s older ABI share what they point to.
#if defined(_GLIBCXX_USE_CXX11_ABI) && !_GLIBCXX_USE_CXX11_ABI
inline constexpr bool kSharedStrings = true;
#else
inline constexpr bool kSharedStrings = false;
#endif

// Converts from nothing, so that what is taught about a base class is not taken for the whole of a derived one.
template <class T>
struct Exactly {
  const T& value;
};

template <class T>
concept TaughtByFields = requires(UsageMeter& meter, const T& x) {
  heapster_fields(meter, Exactly<T>{x});
};
template <class T>
concept TaughtByMember = requires(UsageMeter& meter, const T& x) {
  x.heapster_usage(meter);
};
// Of classes only: a pointer may convert to a class that was taught, and yet owns nothing.
template <class T>
concept TaughtByFunction = std::is_class_v<T> && requires(UsageMeter& meter, const T& x) {
  heapster_usage(meter, x);
};

// Whether T is made of one of these templates; a class derived from such a T is not.
template <class T, template <class...> class Template>
inline constexpr bool kMadeOf = false;
template <class... Arguments, template <class...> class Template>
inline constexpr bool kMadeOf<Template<Arguments...>, Template> = true;
template <class T, template <class...> class... Templates>
concept AnyOf = (kMadeOf<T, Templates> || ...);

template <class T>
inline constexpr bool kArray = std::is_array_v<T>;
template <class T, std::size_t N>
inline constexpr bool kArray<std::array<T, N> > = true;

// Whether a T owns nothing, whatever its value.
template <class T>
inline constexpr bool kOwnsNothing =
    std::is_trivially_destructible_v<T> && !TaughtByFields<T> && !TaughtByMember<T> && !TaughtByFunction<T>;
template <class T>
inline constexpr bool kOwnsNothing<const T> = kOwnsNothing<T>;
template <class T, std::size_t N>
inline constexpr bool kOwnsNothing<T[N]> = kOwnsNothing<T>;
template <class T, std::size_t N>
inline constexpr bool kOwnsNothing<const T[N]> = kOwnsNothing<T>;
template <class T, std::size_t N>
inline constexpr bool kOwnsNothing<std::array<T, N> > = kOwnsNothing<T>;
template <template <class...> class Composite, class... Ts>
requires AnyOf<Composite<Ts...>, std::pair, std::tuple, std::optional, std::variant>
inline constexpr bool kOwnsNothing<Composite<Ts...> > = (kOwnsNothing<Ts> && ...);

// A part of which nothing is known but how many bytes it has at least.
inline void count_at_least(UsageMeter& meter, std::size_t bytes) { meter.add_bounds({bytes, std::nullopt}); }

// A comparison, hash or deleter cannot be looked into: if it may own something, there is no upper bound.
template <class... Functions>
void count_functions(UsageMeter& meter) {
  if constexpr (!(kOwnsNothing<Functions> && ...)) count_at_least(meter, 0);
}

// The rules follow: one overload of count() for each kind of type.

// ---- Objects within objects

template <class T>
requires kArray<T>
void count(UsageMeter& meter, const T& x) { meter.add_elements(x); }

template <AnyOf<std::pair, std::tuple> T>
void count(UsageMeter& meter, const T& x) {
  std::apply([&](const auto&... members) { meter.add(members...); }, x);
}

template <AnyOf<std::optional> T>
void count(UsageMeter& meter, const T& x) {
  if (x) meter.add(*x);
}

template <AnyOf<std::variant> T>
void count(UsageMeter& meter, const T& x) {
  if (!x.valueless_by_exception()) std::visit([&](const auto& held) { meter.add(held); }, x);
}

// std::expected, and what looks like it.
template <class T>
requires requires(const T& x) { x.has_value(), x.value(), x.error(); }
void count(UsageMeter& meter, const T& x) {
  if (!x.has_value())
    meter.add(x.error());
  else if constexpr (!std::is_void_v<decltype(x.value())>)
    meter.add(x.value());
}

// ---- One block

template <AnyOf<std::basic_string> T>
void count(UsageMeter& meter, const T& x) {
  const std::size_t bytes = (x.capacity() + 1) * sizeof(typename T::value_type);
  const void* text = x.data();
  const bool within = std::greater_equal<const void*>()(text, &x) && std::less<const void*>()(text, &x + 1);
  if constexpr (kSharedStrings)
    meter.add_bounds({0, 3 * sizeof(std::size_t) + bytes});
  else if (!within)
    meter.add_bounds({bytes, kKnownLayout ? std::optional(bytes) : std::nullopt});
}

template <AnyOf<std::vector> T>
void count(UsageMeter& meter, const T& x) {
  if constexpr (std::is_same_v<typename T::value_type, bool>) return meter.add_bytes(x.capacity() / 8);
  meter.add_bytes(x.capacity() * sizeof(typename T::value_type));
  meter.add_elements(x);
}

template <AnyOf<std::valarray> T>
void count(UsageMeter& meter, const T& x) {
  meter.add_bytes(x.size() * sizeof(typename T::value_type));
  for (std::size_t i = 0; i < x.size(); ++i) meter.add(x[i]);
}

// ---- Nodes

template <std::size_t Words, class V>
struct Node {
  void* links[Words];
  alignas(V) std::byte value[sizeof(V)];
};
template <class V>
struct HashedNode : Node<1, V> {
  std::size_t hash;
};

// Of an allocator whose pointers are more than addresses, nodes have other sizes.
template <class Container>
inline constexpr bool kKnownNodes =
    std::conjunction_v<std::bool_constant<kKnownLayout>,
                       std::is_pointer<typename std::allocator_traits<typename Container::allocator_type>::pointer> >;

// `size` nodes of so many words beside the value, or of the least that any library has.
template <std::size_t Words, std::size_t LeastWords, class Container>
void count_nodes(UsageMeter& meter, const Container& x, std::size_t size) {
  using V = typename Container::value_type;
  if constexpr (kKnownNodes<Container>)
    meter.add_bytes(size * sizeof(Node<Words, V>));
  else
    count_at_least(meter, size * (LeastWords * sizeof(void*) + sizeof(V)));
  meter.add_elements(x);
}

template <AnyOf<std::list> T>
void count(UsageMeter& meter, const T& x) {
  count_nodes<2, 2>(meter, x, x.size());
}

template <AnyOf<std::forward_list> T>
void count(UsageMeter& meter, const T& x) {
  count_nodes<1, 1>(meter, x, static_cast<std::size_t>(std::distance(x.begin(), x.end())));
}

// Three links and a colour, which in libstdc++ is a word of its own.
template <AnyOf<std::set, std::multiset, std::map, std::multimap> T>
void count(UsageMeter& meter, const T& x) {
  count_nodes<4, 3>(meter, x, x.size());
  count_functions<typename T::key_compare>(meter);
}

// Whether nodes keep the hash: libstdc++ decides by the hash function, and says so in its iterator's type.
template <class Iterator>
inline constexpr std::optional<bool> kKeepsHash = std::nullopt;
template <template <class, bool, bool> class Iterator, class V, bool Constant, bool Kept>
inline constexpr std::optional<bool> kKeepsHash<Iterator<V, Constant, Kept> > = Kept;

// A single bucket is in the table itself.
template <AnyOf<std::unordered_set, std::unordered_multiset, std::unordered_map, std::unordered_multimap> T>
void count(UsageMeter& meter, const T& x) {
  using V = typename T::value_type;
  constexpr std::optional<bool> kept = kKeepsHash<typename T::iterator>;
  const std::size_t buckets = x.bucket_count() > 1 ? x.bucket_count() * sizeof(void*) : 0;
  if constexpr (kKnownNodes<T> && kept)
    meter.add_bytes(x.size() * (*kept ? sizeof(HashedNode<V>) : sizeof(Node<1, V>)) + buckets);
  else
    count_at_least(meter, x.size() * (sizeof(void*) + sizeof(V)) + buckets);
  meter.add_elements(x);
  count_functions<typename T::hasher, typename T::key_equal>(meter);
}

// ---- Deques and adaptors: their protected members are reached as a derived class may

#if HEAPSTER_KNOWN_LAYOUT
template <class T, class A>
struct DequeMap : std::_Deque_base<T, A> {
  using Base = std::_Deque_base<T, A>;
  struct Deque : std::deque<T, A> {
    static const Base& base(const std::deque<T, A>& x) { return x; }
  };

  // A map of pointers to chunks of 512 bytes, or of one element where that is larger.
  static std::size_t bytes(const Base& x) {
    const auto& map = x.*(&DequeMap::_M_impl);
    const auto chunks = static_cast<std::size_t>(map._M_finish._M_node - map._M_start._M_node) + 1;
    const std::size_t chunk = sizeof(T) < 512 ? 512 / sizeof(T) * sizeof(T) : sizeof(T);
    return map._M_map_size * sizeof(*map._M_map) + chunks * chunk;
  }
};
#endif

template <AnyOf<std::deque> T>
void count(UsageMeter& meter, const T& x) {
#if HEAPSTER_KNOWN_LAYOUT
  using Map = DequeMap<typename T::value_type, typename T::allocator_type>;
  meter.add_bytes(Map::bytes(Map::Deque::base(x)));
#else
  count_at_least(meter, x.size() * sizeof(typename T::value_type));
#endif
  meter.add_elements(x);
}

template <class Adaptor>
struct Adapted : Adaptor {
  static const typename Adaptor::container_type& container(const Adaptor& x) { return x.*(&Adapted::c); }
};
template <AnyOf<std::stack, std::queue, std::priority_queue> T>
void count(UsageMeter& meter, const T& x) {
  meter.add(Adapted<T>::container(x));
  if constexpr (requires { typename T::value_compare; }) count_functions<typename T::value_compare>(meter);
}

// ---- Pointers that own

// Whether the object behind a T& may be larger than a T.
template <class T>
bool may_be_derived([[maybe_unused]] const T& x) {
  if constexpr (!std::is_polymorphic_v<T> || std::is_final_v<T>) {
    return false;
  } else {
#ifdef __cpp_rtti
    return typeid(x) != typeid(T);
#else
    return true;
#endif
  }
}

// The length of an array made by new[], which the Itanium C++ ABI keeps before the first element where elements have
// destructors.
#if defined(__GXX_ABI_VERSION) && defined(__linux__) && !defined(__ARM_EABI__)
template <class Element>
inline constexpr bool kKeepsLength = !std::is_trivially_destructible_v<Element>;
__attribute__((no_sanitize("address")))  // which guards the length from everybody else
#else
template <class Element>
inline constexpr bool kKeepsLength = false;
#endif
inline std::size_t
length_before(const void* first) {
  return static_cast<const std::size_t*>(first)[-1];
}

template <class Element>
void count_array(UsageMeter& meter, const Element* first) {
  if constexpr (kKeepsLength<Element>) {
    const std::size_t length = length_before(first);
    meter.add_bytes(length * sizeof(Element) + std::max(alignof(Element), sizeof length));
    for (std::size_t i = 0; i < length; ++i) meter.add(first[i]);
  } else {
    count_at_least(meter, 0);
  }
}

// A deleter of one's own may give back anything.
template <AnyOf<std::unique_ptr> T>
void count(UsageMeter& meter, const T& x) {
  using Element = typename T::element_type;
  count_functions<typename T::deleter_type>(meter);
  if (!x) return;
  if constexpr (std::is_same_v<T, std::unique_ptr<Element[]> >) {
    count_array(meter, x.get());
  } else if constexpr (std::is_same_v<T, std::unique_ptr<Element> >) {
    meter.add_bytes(sizeof(Element));
    if (may_be_derived(*x)) count_at_least(meter, 0);
    meter.add(*x);
  } else {
    count_at_least(meter, 0);
  }
}

// The least that a control block is made of; one that holds its object; and what is known of one.
struct LeastControl {
  void* functions;
  int counts[2];
  void* object;
};
template <class T>
struct InPlaceControl {
  void* functions;
  int counts[2];
  alignas(T) std::byte object[sizeof(T)];
};
struct Control {
  UsageBounds bytes = {sizeof(LeastControl), std::nullopt};
  bool holds_object = false;
};

// The second of the two words of a shared_ptr or weak_ptr, the same in all libraries: null where there is no owner.
template <class Pointer>
const char* control_address(const Pointer& x) {
  static_assert(sizeof x == 2 * sizeof(void*));
  const char* words[2];
  std::memcpy(words, static_cast<const void*>(&x), sizeof words);
  return words[1];
}

// Which of libstdc++'s control blocks it is, by its dynamic type; those of derived classes, of arrays and with deleters
// of one's own remain unknown.
template <class T>
Control control_at([[maybe_unused]] const void* address) {
#if HEAPSTER_KNOWN_LAYOUT && defined(__cpp_rtti)
  if constexpr (!std::is_void_v<T> && !std::is_array_v<T>) {
    constexpr auto kPolicy = std::__default_lock_policy;
    const std::type_info& type = typeid(*static_cast<const std::_Sp_counted_base<kPolicy>*>(address));
    using Made = std::_Sp_counted_ptr_inplace<T, std::allocator<void>, kPolicy>;  // by make_shared
    if (type == typeid(Made)) return {{sizeof(Made), sizeof(Made)}, true};
    using Pmr = std::_Sp_counted_ptr_inplace<T, std::pmr::polymorphic_allocator<T>, kPolicy>;  // by allocate_shared
    if (type == typeid(Pmr)) return {{sizeof(Pmr), sizeof(Pmr)}, true};
    using Given = std::_Sp_counted_ptr<T*, kPolicy>;  // a pointer
    if (type == typeid(Given)) return {{sizeof(Given), sizeof(Given)}, false};
    using Unique = std::_Sp_counted_deleter<T*, std::default_delete<T>, std::allocator<void>, kPolicy>;  // a unique_ptr
    if (type == typeid(Unique)) return {{sizeof(Unique), sizeof(Unique)}, false};
  }
#endif
  return {};
}

template <AnyOf<std::shared_ptr> T>
void count(UsageMeter& meter, const T& x) {
  using Element = typename T::element_type;
  using Object = std::conditional_t<std::is_same_v<T, std::shared_ptr<Element> >, std::remove_cv_t<Element>, void>;
  const char* address = control_address(x);
  if (!address) return;
  const Control control = control_at<Object>(address);
  if (meter.first_visit(address)) meter.add_bounds(control.bytes);
  if constexpr (!std::is_void_v<Object>) {
    if (!x || !meter.first_visit(address + 1)) return;  // the object is visited apart from its control block
    if (!control.bytes.exact())
      count_at_least(meter, sizeof(InPlaceControl<Object>) - sizeof(LeastControl));
    else if (!control.holds_object)
      meter.add_bytes(sizeof(Object));
    meter.add(*x);
  }
}

// Keeps the control block, and with it the bytes of an object that lies in it; not the object.
template <AnyOf<std::weak_ptr> T>
void count(UsageMeter& meter, const T& x) {
  const char* address = control_address(x);
  if (address && meter.first_visit(address))
    meter.add_bounds(control_at<std::remove_cv_t<typename T::element_type> >(address).bytes);
}

// ---- What cannot be looked into

template <AnyOf<std::function> T>
void count(UsageMeter& meter, const T& x) {
  if (x) count_at_least(meter, 0);
}
#ifdef __cpp_lib_move_only_function
template <AnyOf<std::move_only_function> T>
void count(UsageMeter& meter, const T& x) {
  if (x) count_at_least(meter, 0);
}
#endif

template <std::same_as<std::any> T>
void count(UsageMeter& meter, const T& x) {
  if (x.has_value()) count_at_least(meter, 0);
}

// ---- Paths: a string; and in libstdc++ then a word that leads to the list of components, the path's kind in its low
// bits

struct PathList {
  int size;
  int capacity;
};
struct PathComponent {
  alignas(std::filesystem::path) std::byte path[sizeof(std::filesystem::path)];
  std::size_t position;
};

template <std::same_as<std::filesystem::path> Path>
void count(UsageMeter& meter, const Path& x) {
  meter.add(x.native());
  if constexpr (!kKnownLayout || sizeof(Path) != sizeof(typename Path::string_type) + sizeof(std::uintptr_t))
    return count_at_least(meter, 0);
  std::uintptr_t word = 0;
  std::memcpy(&word, reinterpret_cast<const char*>(&x + 1) - sizeof word, sizeof word);
  const auto* list = reinterpret_cast<const PathList*>(word & ~std::uintptr_t{3});
  if (!list) return;
  meter.add_bytes(sizeof(PathList) + static_cast<std::size_t>(list->capacity) * sizeof(PathComponent));
  if ((word & 3) == 0)
    for (const Path& component : x) meter.add(component.native());
}

#undef HEAPSTER_KNOWN_LAYOUT

}  // namespace usage_rules

template <std::ranges::input_range Range>
void UsageMeter::add_elements(const Range& range) {
  if constexpr (!usage_rules::kOwnsNothing<std::ranges::range_value_t<Range> >)
    for (const auto& element : range) add_one(element);
}

template <class T>
void UsageMeter::add_one([[maybe_unused]] const T& object) {
  using namespace usage_rules;
  if constexpr (TaughtByFields<T>)
    heapster_fields(*this, Exactly<T>{object});
  else if constexpr (TaughtByMember<T>)
    object.heapster_usage(*this);
  else if constexpr (TaughtByFunction<T>)
    heapster_usage(*this, object);
  else if constexpr (requires { usage_rules::count(*this, object); })
    usage_rules::count(*this, object);
  else
    static_assert(kOwnsNothing<T>,
                  "heapster does not know what this type owns on the heap. Teach it in one of three ways: write "
                  "HEAPSTER_MEMORY_USAGE(Type, fields...) in the class; or give it a member function "
                  "void heapster_usage(heapster::UsageMeter& meter) const; or put a free function "
                  "void heapster_usage(heapster::UsageMeter& meter, const Type& x) into its namespace.");
}

}  // namespace heapster

#endif  // C++ below 20
