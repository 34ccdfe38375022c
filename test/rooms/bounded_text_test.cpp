// SPDX-License-Identifier: MIT

#include <gtest/gtest.h>

#include "preload/base/text.h"

namespace heapster::preload {
namespace {

TEST(Text, IsCutWhereThereIsNoRoom) {
  char to[8];
  TextBuilder text(to, sizeof to);
  text.add("abc").add(uint64_t{42}).add('x');
  EXPECT_STREQ(to, "abc42x");
  EXPECT_FALSE(text.full());
  text.add("yz");
  EXPECT_STREQ(to, "abc42xy");
  EXPECT_TRUE(text.full());
  EXPECT_EQ(text.size(), 7u);
}

TEST(Text, NumbersAreWhole) {
  char to[32];
  TextBuilder(to, sizeof to).add(UINT64_MAX).add(' ').add(uint64_t{0});
  EXPECT_STREQ(to, "18446744073709551615 0");
}

TEST(Text, WhatSteersIsReplaced) {
  char to[64];
  TextBuilder(to, sizeof to)
      .add_printable(
          "a\x1b[1m\xe2\x80\xae"
          "b\xff\xc3\xbc");
  EXPECT_STREQ(to, "a?[1m?b?\xc3\xbc");
}

TEST(Text, NumbersAreReadToTheirEnd) {
  const char* text = "123x";
  uint64_t number = 0;
  EXPECT_TRUE(parse_number(text, number));
  EXPECT_EQ(number, 123u);
  EXPECT_STREQ(text, "x");
  for (const char* bad : {"", "x", "-1", "18446744073709551616"}) {
    const char* at = bad;
    EXPECT_FALSE(parse_number(at, number)) << bad;
  }
}

TEST(Text, NamesAreTheLastPart) {
  EXPECT_STREQ(base_name("/usr/bin/perl"), "perl");
  EXPECT_STREQ(base_name("perl"), "perl");
  EXPECT_STREQ(base_name("dir/"), "");
  EXPECT_TRUE(starts_with("HEAPSTER_OUT", "HEAPSTER_"));
  EXPECT_FALSE(starts_with("HEAP", "HEAPSTER_"));
  EXPECT_TRUE(equal("", ""));
  EXPECT_FALSE(equal("a", "ab"));
}

}  // namespace
}  // namespace heapster::preload
