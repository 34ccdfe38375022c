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

// 265 characters that stand for gigabytes: a pair of pairs, and so on; without a bound this takes minutes and the
// memory.
TEST(Demangle, StopsWhereThereIsEnough) {
  const std::string digits = "0123456789ABCDEFGHIJKLMNO";
  std::string name = "_Z1fSt4pairIiiES_IS0_S0_E";
  for (size_t i = 1; i < digits.size(); ++i) {
    const std::string last = std::string("S") + digits[i] + "_";
    name += "S_I" + last + last + "E";
  }
  const std::string text = demangle(name.c_str());
  EXPECT_EQ(text.substr(0, 34), "f(std::pair<int, int>, std::pair<s");
  EXPECT_EQ(text.size(), 4096u);
}

TEST(Demangle, KeepsToOneLineOfBoundedLength) {
  EXPECT_EQ(demangle("two\nlines"), "two?lines");
  EXPECT_EQ(demangle(std::string(100'000, 'x').c_str()).size(), 4096u);
}

}  // namespace
}  // namespace heapster::symbols
