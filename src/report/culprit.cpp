// SPDX-License-Identifier: MIT
//
// Many programs allocate by a function of their own, and every stack of theirs begins with it. What a person wants to
// know is who called that. The list has what languages, libraries and well-known programs call theirs. A function
// without a name that such a one calls is a part of it.

#include "report/culprit.h"

#include <algorithm>
#include <string_view>

#include "report/pattern.h"

namespace heapster::report {

namespace {

// Names without what they return and without their arguments; an asterisk stands for any more of it.
constexpr std::string_view kAllocators[] = {
    // C and its library; underscores and __GI_ before a name do not count
    "malloc", "calloc", "realloc", "reallocarray", "aligned_alloc", "memalign", "posix_memalign", "valloc", "pvalloc",
    "strdup", "strndup", "wcsdup", "asprintf", "vasprintf", "IO_vasprintf*", "vasprintf_internal",
    // C++, Rust
    "operator new*", "*::operator new*", "rust_alloc*", "rust_realloc", "rdl_alloc*", "rdl_realloc", "rg_alloc*",
    "rg_realloc",
    // what many write
    "xmalloc*", "xrealloc*", "xcalloc*", "xstrdup", "xstrndup", "xzalloc", "x2realloc", "xnmalloc", "xpalloc",
    "safe_malloc*", "safe_calloc*", "safe_realloc*",
    // GLib, OpenSSL, Apache's runtime, jq
    "g_malloc*", "g_realloc*", "g_try_malloc*", "g_try_realloc*", "g_slice_*", "g_strdup*", "g_strndup",
    "CRYPTO_malloc", "CRYPTO_zalloc", "CRYPTO_realloc", "CRYPTO_clear_realloc", "CRYPTO_strdup", "CRYPTO_strndup",
    "CRYPTO_memdup", "apr_palloc*", "apr_pcalloc*", "apr_allocator_alloc", "jv_mem_*",
    // interpreters: of Python, Perl, Ruby, PHP, Java, JavaScript
    "PyMem_*", "PyObject_Malloc", "PyObject_Calloc", "PyObject_Realloc", "Perl_safesys*", "Perl_savepv*",
    "ruby_xmalloc*", "ruby_xcalloc*", "ruby_xrealloc*", "objspace_xmalloc*", "objspace_xrealloc*", "emalloc*",
    "ecalloc*", "erealloc*", "zend_malloc*", "os::malloc", "os::realloc", "AllocateHeap", "ReallocateHeap",
    "v8::internal::AllocWithRetry*", "v8::internal::AllocAtLeastWithRetry*",
    // Redis, SQLite, PostgreSQL, nginx, LLVM
    "zmalloc*", "zcalloc*", "zrealloc*", "ztrymalloc*", "ztrycalloc*", "ztryrealloc*", "sqlite3Malloc*",
    "sqlite3MemMalloc", "sqlite3MemRealloc", "sqlite3DbMalloc*", "sqlite3DbRealloc*", "sqlite3Realloc",
    "dbMallocRawFinish", "AllocSetAlloc*", "AllocSetRealloc", "AllocSetContextCreate*", "MemoryContextAlloc*",
    "palloc*", "repalloc*", "ngx_alloc", "ngx_calloc", "ngx_palloc*", "ngx_pcalloc", "ngx_pnalloc", "ngx_memalign",
    "llvm::safe_malloc", "llvm::safe_calloc", "llvm::safe_realloc", "llvm::allocate_buffer", "llvm::SmallVectorBase*"};
// Libraries that allocate for who calls them, and call who gave them something to call. Rust names what a library does
// for a type of anybody's <type as library's trait>.
constexpr std::string_view kLibraries[] = {"std::*",         "__gnu_cxx::*",  "alloc::*",     "core::*",
                                           "hashbrown::*",   "<alloc::*",     "<core::*",     "<std::*",
                                           "<* as alloc::*", "<* as core::*", "<* as std::*", "<hashbrown::*"};

// Without what it returns, which templates' names begin with: from the last space before the arguments that is outside
// of brackets. The whole name where that makes no sense: of operators, which have brackets and spaces of their own.
std::string_view without_result(std::string_view function) {
  int depth = 0;
  bool in_name = false;
  for (size_t i = function.size(); i-- > 0;) {
    const char c = function[i];
    if (c == ')' || c == '>') ++depth;
    if (c == '(' || c == '<') --depth;
    if (depth < 0) return function;
    if (c == ' ' && depth == 0 && in_name)
      return function.substr(0, i).ends_with("operator") ? function : function.substr(i + 1);
    in_name = in_name || (depth == 0 && c == '(');
  }
  return function;
}

std::string_view without_prefix(std::string_view name) {
  const size_t first = std::min(name.find_first_not_of('_'), name.size());
  if (first > 0 && name.substr(first).starts_with("GI_")) return without_prefix(name.substr(first + 3));
  return name.substr(first);
}

// Up to the arguments; `operator()` and the like keep theirs.
std::string_view without_arguments(std::string_view name) {
  const size_t end = name.find('(');
  return end == 0 || end == std::string_view::npos ? name : name.substr(0, end);
}

template <size_t kCount>
bool is_like_any(std::string_view name, const std::string_view (&patterns)[kCount]) {
  return std::any_of(std::begin(patterns), std::end(patterns),
                     [&](std::string_view pattern) { return matches_whole(pattern, name); });
}

bool is_allocator(const Step& step) {
  return is_like_any(without_prefix(without_arguments(without_result(step.function.str()))), kAllocators);
}

bool is_library(const Step& step) { return is_like_any(without_result(step.function.str()), kLibraries); }

}  // namespace

const Step* culprit(const Site& site) {
  for (size_t i = 0; i < site.steps.size(); ++i) {
    const Step& step = site.steps[i];
    const bool part_of_one = !step.known && i + 1 < site.steps.size() && is_allocator(site.steps[i + 1]);
    if (!part_of_one && !is_allocator(step) && !is_library(step)) return &step;
  }
  return site.steps.empty() ? nullptr : &site.steps.front();
}

}  // namespace heapster::report
