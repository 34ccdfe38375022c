// SPDX-License-Identifier: MIT
//
// Every section empty, with one item and full: read as it is, and read back after a dump wrote it. The preload's writer
// has the same test in test/stacks.

#include "sections.h"

#include <gtest/gtest.h>

#include "living.h"
#include "reader/dump.h"
#include "reader/load.h"

namespace heapster::reader {
namespace {

class Sections : public testing::TestWithParam<test::Filled> {};

TEST_P(Sections, AreReadBack) {
  const test::RunDirectory run;
  const std::string from = run.write("1-2-3", test::filled_segment(test::Segment(), GetParam()));
  const std::string to = run.path() + "/copy.heap";
  ASSERT_TRUE(dump(from, to));
  for (const std::string& path : {from, to}) {
    const auto snapshot = load(path);
    ASSERT_TRUE(snapshot) << snapshot.error().text;
    EXPECT_EQ(test::items_told(*snapshot, GetParam().type), test::items_expected(GetParam()));
  }
}

INSTANTIATE_TEST_SUITE_P(Each, Sections, testing::ValuesIn(test::filled_sections()), testing::PrintToStringParamName());

}  // namespace
}  // namespace heapster::reader
