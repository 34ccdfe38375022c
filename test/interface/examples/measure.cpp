#include <iostream>
#include <string>
#include <vector>

#include "heapster/heapster.hpp"

int main() {
  const auto measured = heapster::measure([] {
    const heapster::scope scope{"numbers"};
    std::vector<int> numbers;
    for (int i = 0; i < 1000; ++i) numbers.push_back(i);
    return numbers.size();
  });
  std::cout << "measured: " << (heapster::active() ? "yes" : "no") << "\n"
            << measured.result << " numbers took " << measured.stats.alloc_count << " allocations, "
            << measured.stats.alloc_sum << " bytes, and left " << measured.stats.live_change << " blocks\n";
}
