// SPDX-License-Identifier: MIT
//
// One page that needs nothing but a browser: the stacks as a tree, in the page of flamegraph_page.h. All weights are in
// it, so that the page can change from one to the other. Names come from files that anybody may have written: they are
// data to the page, never markup.

#include <fmt/format.h>

#include <array>
#include <deque>
#include <iterator>
#include <map>
#include <unordered_map>
#include <utility>

#include "report/flamegraph_page.h"
#include "report/formats.h"
#include "report/json.h"
#include "report/units.h"

namespace heapster::report {

namespace {

struct Node {
  std::array<uint64_t, kWeights.size()> weights{};
  std::map<size_t, Node*> children;  // by the function's number
};

class Graph {
 public:
  explicit Graph(const Exported& exported) : exported_(exported), stacks_(*exported.snapshot.stacks) {
    for (const CallStack& stack : call_stacks(stacks_, *exported.names)) add(stack);
  }

  // Functions and nodes come last, and as text: there may be millions.
  std::string text() {
    std::string head = compact_json_text(json());
    head.pop_back();
    return head + ",\"functions\":" + functions_text() + ",\"nodes\":" + nodes_text() + "}";
  }

 private:
  Json json() {
    const reader::Process& process = exported_.snapshot.process;
    Json weights = Json::array();
    for (const WeightInfo& info : kWeights)
      weights.push_back({{"name", info.name}, {"unit", info.unit}, {"help", help_of(info, exported_.snapshot)}});
    return {{"title", printable(fmt::format("{}, pid {}", short_name(process), process.identity.pid))},
            {"command", command_line(process)},
            {"mean", stacks_.sampling.mean_bytes},
            {"weights", std::move(weights)},
            {"by", static_cast<size_t>(exported_.by)}};
  }

  void add(const CallStack& stack) {
    Node* node = &nodes_.front();
    count(*node, stack.amounts);
    for (const Call& call : stack.calls) {
      Node*& child = node->children[function_number(call)];
      if (child == nullptr) child = &nodes_.emplace_back();
      node = child;
      count(*node, stack.amounts);
    }
  }

  static void count(Node& node, const Amounts& amounts) {
    for (size_t i = 0; i < kWeights.size(); ++i) node.weights[i] += amounts.*kWeights[i].value;
  }

  // What a function is told apart by: its name, and where it comes from.
  size_t function_number(const Call& call) {
    const auto [number, unseen] = seen_.try_emplace(call.location);
    if (unseen) number->second = number_of_names(call);
    return number->second;
  }

  size_t number_of_names(const Call& call) {
    const bool in_module = call.frame.module < stacks_.modules.size();
    std::string module = in_module ? stacks_.modules[call.frame.module].short_name() : "";
    const auto [place, fresh] =
        numbers_.try_emplace(compact_json_text({printable(call.location->function.str()), printable(module),
                                                printable(call.location->file.str())}),
                             functions_.size());
    if (fresh) functions_.push_back(&place->first);
    return place->second;
  }

  std::string functions_text() const {
    std::string list;
    for (const std::string* function : functions_) list += (list.empty() ? "" : ",") + *function;
    return "[" + list + "]";
  }

  // A node is its function, its weights and its children, depth first; no depth of a stack is too much for a parser.
  std::string nodes_text() const {
    std::string list;
    std::vector<std::pair<size_t, const Node*>> left{{0, &nodes_.front()}};
    while (!left.empty()) {
      const auto [function, node] = left.back();
      left.pop_back();
      fmt::format_to(std::back_inserter(list), "{}[{},{},[{}]]", list.empty() ? "" : ",", function,
                     node->children.size(), fmt::join(node->weights, ","));
      for (auto child = node->children.rbegin(); child != node->children.rend(); ++child)
        left.emplace_back(child->first, child->second);
    }
    return "[" + list + "]";
  }

  const Exported& exported_;
  const reader::Stacks& stacks_;
  std::deque<Node> nodes_ = std::deque<Node>(1);
  std::unordered_map<std::string, size_t> numbers_;           // by what the page has of a function
  std::unordered_map<const reader::Location*, size_t> seen_;  // which is of one frame
  std::vector<const std::string*> functions_;                 // in the order of their numbers
};

// JSON that cannot end the element that it stands in.
std::string without_markup(std::string json) {
  for (size_t at = 0; (at = json.find('<', at)) != std::string::npos; at += 6) json.replace(at, 1, "\\u003c");
  return json;
}

}  // namespace

std::string render_flamegraph(const Exported& exported) {
  std::string page(kFlamegraphPage);
  return page.replace(page.find(kFlamegraphData), kFlamegraphData.size(), without_markup(Graph(exported).text()));
}

}  // namespace heapster::report
