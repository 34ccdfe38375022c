// SPDX-License-Identifier: MIT
//
// Many programs allocate by a function of their own, and every stack of theirs begins with it. What a person wants to
// know is who called that. The list has what languages, libraries and well-known programs call theirs. A function
// without a name that such a one calls is a part of it.

#include "report/culprit.h"

#include <algorithm>
#include <string_view>

namespace heapster::report {

namespace {

// Beginnings of names, without what they return.
constexpr std::string_view kAllocators[] = {
    // C and its library
    "malloc", "calloc", "realloc", "reallocarray", "aligned_alloc", "memalign", "posix_memalign", "valloc", "pvalloc",
    "strdup", "__strdup", "strndup", "__strndup", "asprintf", "vasprintf", "_IO_vasprintf", "__vasprintf",
    // C++, Rust
    "operator new", "__rust_", "__rdl_", "__rg_",
    // what many write
    "xmalloc", "xrealloc", "xcalloc", "xstrdup", "xzalloc", "x2realloc", "xnmalloc", "xpalloc", "safe_malloc",
    // GLib, OpenSSL, Apache's runtime
    "g_malloc", "g_realloc", "g_try_malloc", "g_try_realloc", "g_slice_", "g_strdup", "CRYPTO_malloc", "CRYPTO_zalloc",
    "CRYPTO_realloc", "apr_palloc", "apr_pcalloc", "apr_allocator_alloc",
    // interpreters: of Python, Perl, Ruby, PHP, Java
    "PyMem_", "_PyMem_", "PyObject_Malloc", "PyObject_Calloc", "PyObject_Realloc", "_PyObject_Malloc",
    "Perl_safesysmalloc", "Perl_safesyscalloc", "Perl_safesysrealloc", "Perl_savepv", "ruby_xmalloc", "ruby_xcalloc",
    "ruby_xrealloc", "objspace_xmalloc", "objspace_xrealloc", "_emalloc", "_ecalloc", "_erealloc", "__zend_malloc",
    "os::malloc", "os::realloc", "AllocateHeap", "ReallocateHeap", "AnyObj::operator new",
    // Redis, SQLite, PostgreSQL, nginx, LLVM
    "zmalloc", "zcalloc", "zrealloc", "ztrymalloc", "ztrycalloc", "ztryrealloc", "sqlite3Malloc", "sqlite3MemMalloc",
    "sqlite3MemRealloc", "sqlite3DbMalloc", "sqlite3DbRealloc", "sqlite3Realloc", "dbMallocRawFinish", "AllocSetAlloc",
    "AllocSetRealloc", "AllocSetContextCreate", "MemoryContextAlloc", "palloc", "repalloc", "ngx_alloc", "ngx_palloc",
    "ngx_pcalloc", "ngx_pnalloc", "llvm::safe_malloc", "llvm::safe_calloc", "llvm::safe_realloc",
    "llvm::allocate_buffer", "llvm::SmallVectorBase"};
// Libraries that allocate for who calls them, and call who gave them something to call.
constexpr std::string_view kLibraries[] = {"std::", "__gnu_cxx::", "alloc::", "<alloc::", "hashbrown::raw::"};

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

template <size_t kCount>
bool begins_with_any(const Step& step, const std::string_view (&beginnings)[kCount]) {
  const std::string_view name = without_result(step.function);
  return std::any_of(std::begin(beginnings), std::end(beginnings),
                     [&](std::string_view beginning) { return name.starts_with(beginning); });
}

bool is_allocator(const Step& step) { return begins_with_any(step, kAllocators); }

}  // namespace

const Step* culprit(const Site& site) {
  for (size_t i = 0; i < site.steps.size(); ++i) {
    const Step& step = site.steps[i];
    const bool part_of_one = !step.known && i + 1 < site.steps.size() && is_allocator(site.steps[i + 1]);
    if (!part_of_one && !is_allocator(step) && !begins_with_any(step, kLibraries)) return &step;
  }
  return site.steps.empty() ? nullptr : &site.steps.front();
}

}  // namespace heapster::report
