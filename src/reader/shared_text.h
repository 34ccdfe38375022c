// SPDX-License-Identifier: MIT
//
// A text that many hold and none changes: a function's name stands in as many stacks as lead through it, and each
// stack keeps no more of it than where it is.

#pragma once

#include <memory>
#include <string>
#include <string_view>

namespace heapster::reader {

class SharedText {
 public:
  SharedText() = default;
  SharedText(std::string text) {
    if (!text.empty()) text_ = std::make_shared<const std::string>(std::move(text));
  }
  SharedText(std::string_view text) : SharedText(std::string(text)) {}
  SharedText(const char* text) : SharedText(std::string(text)) {}

  const std::string& str() const {
    static const std::string kEmpty;
    return text_ ? *text_ : kEmpty;
  }
  operator const std::string&() const { return str(); }
  bool empty() const { return text_ == nullptr; }

  friend bool operator==(const SharedText& a, const SharedText& b) { return a.text_ == b.text_ || a.str() == b.str(); }

 private:
  std::shared_ptr<const std::string> text_;  // null: empty
};

}  // namespace heapster::reader
