// SPDX-License-Identifier: MIT
//
// The subtraction itself is in stats.cpp; here is what may be subtracted from what. Within one
// process time passes from a to b, between two runs it does not, and so there is no rate.

#include "reader/diff.h"

#include <map>

namespace heapster::reader {

namespace {

Change change(const Stats& before, const Stats& after) {
  Change result{after, before, after};
  subtract(result.flow, before);
  return result;
}

// What of a scope is known, at 0.
Stats nothing_like(Stats stats) {
  subtract(stats, Stats(stats));
  stats.use.curr = stats.use.curr - stats.use.curr;
  stats.live_at_fork = stats.live_at_fork - stats.live_at_fork;
  return stats;
}

// What has the same name in both, or is in one of them.
template <class Item>
struct Pair {
  const Item* before = nullptr;
  const Item* after = nullptr;

  There there() const {
    if (before == nullptr) return There::kOnlyAfter;
    return after == nullptr ? There::kOnlyBefore : There::kBoth;
  }
};
template <class Item>
std::map<std::string, Pair<Item>> paired(const std::vector<Item>& a, const std::vector<Item>& b,
                                         std::string Item::*name) {
  std::map<std::string, Pair<Item>> pairs;
  // An arena that two threads made at once is there twice, and the first is the one that counts.
  const auto take = [&](const std::vector<Item>& items, const Item* Pair<Item>::*side) {
    for (const Item& item : items) {
      const Item*& place = pairs[item.*name].*side;
      if (place == nullptr) place = &item;
    }
  };
  take(a, &Pair<Item>::before);
  take(b, &Pair<Item>::after);
  return pairs;
}

std::vector<ScopeChange> scopes_of(const Snapshot& a, const Snapshot& b) {
  std::vector<ScopeChange> changes;
  for (const auto& [path, pair] : paired(a.scopes, b.scopes, &Scope::path)) {
    const auto between = [&pair = pair](Stats Scope::*stats) {
      const Stats& known = (pair.after != nullptr ? pair.after : pair.before)->*stats;
      return change(pair.before != nullptr ? pair.before->*stats : nothing_like(known),
                    pair.after != nullptr ? known : nothing_like(known));
    };
    changes.push_back({path, pair.there(), between(&Scope::own), between(&Scope::whole)});
  }
  return changes;
}

enum class Kind { flow, gauge };

std::vector<ArenaChange> arenas_of(const Snapshot& a, const Snapshot& b) {
  std::vector<ArenaChange> changes;
  for (const auto& [name, pair] : paired(a.arenas, b.arenas, &Arena::name)) {
    const Arena before = pair.before != nullptr ? *pair.before : Arena{.name = name};
    const Arena after = pair.after != nullptr ? *pair.after : Arena{.name = name};
    Arena flow = after;
#define HEAPSTER_ARENA_FIGURE(figure, unit, kind, help) \
  if (Kind::kind == Kind::flow) flow.figure -= before.figure;
#include "heapster/arenas.def"
    changes.push_back({pair.there(), flow, before, after});
  }
  return changes;
}

}  // namespace

Result<Diff> diff(const Snapshot& a, const Snapshot& b, bool runs) {
  const bool same = same_process(a.process, b.process);
  if (!same && !runs) return Error{"these are snapshots of different processes; --runs compares two runs"};
  return Diff{change(a.stats, b.stats), same ? b.process.duration - a.process.duration : 0, scopes_of(a, b),
              arenas_of(a, b)};
}

}  // namespace heapster::reader
