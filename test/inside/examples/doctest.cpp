// SPDX-License-Identifier: MIT
#define DOCTEST_CONFIG_IMPLEMENT_WITH_MAIN
#include <doctest/doctest.h>

#include <heapster/heapster.hpp>
#include <vector>

TEST_CASE("filling a reserved vector allocates nothing") {
  REQUIRE(heapster::active());  // run with heapster-run
  std::vector<int> numbers;
  numbers.reserve(100);
  const heapster::Stats during = heapster::measure_thread([&] { numbers.assign(100, 7); }).stats;
  CHECK(during.alloc_count == 0);
  CHECK(during.live_change == 0);
}
