// SPDX-License-Identifier: MIT
//
// The example of docs/memory-usage.md, word for word from the first include on.

#include <cstdio>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "heapster/memory_usage.hpp"

class Session {
 public:
  explicit Session(std::string user) : user_(std::move(user)) { pages_.reserve(8); }
  void visit(std::string page) { pages_.push_back(std::move(page)); }

 private:
  std::string user_;
  std::vector<std::string> pages_;
  HEAPSTER_MEMORY_USAGE(Session, user_, pages_)
};

int main() {
  const auto ann = std::make_shared<Session>("Ann");
  ann->visit("/a/page/with/quite/a/long/name");
  std::printf("one session: %zu bytes\n", heapster::dynamic_usage(ann));

  std::map<int, std::shared_ptr<Session>> by_window;
  by_window[1] = ann;
  by_window[2] = ann;
  std::printf("two windows of it: %zu bytes\n", heapster::dynamic_usage(by_window));
  std::printf("with the map itself: %zu bytes\n", heapster::total_usage(by_window));
}
