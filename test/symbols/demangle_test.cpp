// SPDX-License-Identifier: MIT

#include "symbols/demangle.h"

#include <gtest/gtest.h>

namespace heapster::symbols {
namespace {

TEST(Demangle, Cpp) {
  EXPECT_EQ(demangle("_ZN4shop6Basket4fillEi"), "shop::Basket::fill(int)");
  EXPECT_EQ(demangle("_Znwm"), "operator new(unsigned long)");
  EXPECT_EQ(demangle("_ZN4shop6Basket4fillEi.cold"), "shop::Basket::fill(int) [clone .cold]");
}

TEST(Demangle, RustWithoutItsHashes) {
  EXPECT_EQ(demangle("_ZN4shop5older17h0123456789abcdefE"), "shop::older");
  EXPECT_EQ(demangle("_ZN54_$LT$shop..Basket$u20$as$u20$core..ops..drop..Drop$GT$4drop17h0123456789abcdefE"),
            "<shop::Basket as core::ops::drop::Drop>::drop");
  EXPECT_EQ(demangle("_RNvCskwGfYPst2Cb_3foo16example_function"), "foo::example_function");
}

TEST(Demangle, LeavesOtherNamesAlone) {
  for (const char* name : {"main", "", "_", "_Z", "_ZNope", "_R", "_RNope", "g_malloc0"})
    EXPECT_EQ(demangle(name), name);
}

TEST(Demangle, KeepsToOneLineOfBoundedLength) {
  EXPECT_EQ(demangle("two\nlines"), "two?lines");
  EXPECT_EQ(demangle(std::string(100'000, 'x').c_str()).size(), 4096u);
}

}  // namespace
}  // namespace heapster::symbols
