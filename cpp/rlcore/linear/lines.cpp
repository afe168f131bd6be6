#include "rlcore/linear/lines.hpp"

#include <algorithm>
#include <array>
#include <utility>
#include <vector>

namespace rlcore::linear {
namespace {

using Columns = StateOrder::Columns;

constexpr Column kNone = -1;

/// A state among its neighbours, in as many bytes as are fetched at once.
struct alignas(16) Place {
  std::array<Column, 2> neighbour{kNone, kNone};
  Column stretch = kNone;  // which it belongs to

  /// Whether there was room.
  bool add(Column state) {
    if (neighbour[0] == state || neighbour[1] == state) return true;
    if (neighbour[1] != kNone) return false;
    neighbour[neighbour[0] == kNone ? 0 : 1] = state;
    return true;
  }
};
using Places = std::vector<Place, LargeAllocator<Place>>;

/// The neighbours of every state, if none has more than two.
std::optional<Places> places_of(const CsrMatrix& matrix) {
  Places places(at(matrix.size));
  for (Index row = 0; row < matrix.size; ++row) {
    const Index ahead = std::min(row + kLookahead, matrix.size - 1);
    if (matrix.length[ahead] > 0) prefetch(&places[at(matrix.column[matrix.first[ahead]])]);
    for (Index k = matrix.first[row]; k < matrix.first[row] + matrix.length[row]; ++k) {
      const Index column = matrix.column[k];
      if (column == row) continue;
      const bool fits =
          places[at(row)].add(static_cast<Column>(column)) && places[at(column)].add(static_cast<Column>(row));
      if (!fits) return std::nullopt;
    }
  }
  return places;
}

/// What was found from one state, one way: its states in the order of the walk, and the state that ended it.
struct Walk {
  std::vector<Column> states;
  Column next = kNone;  // another stretch's, or none where the line ends
};

/// A part of a line that was walked from one state, both ways.
struct Stretch {
  Column origin;
  std::array<Walk, 2> walks;
  bool joined = false;

  /// The outermost state of a side.
  Column end(std::size_t side) const { return walks[side].states.empty() ? origin : walks[side].states.back(); }
  Column beyond(std::size_t side) const { return walks[side].next; }

  /// Appends its states, beginning with those of a side.
  void append_from(std::size_t side, Columns& line) const {
    const auto& before = walks[side].states;
    const auto& after = walks[1 - side].states;
    line.insert(line.end(), before.rbegin(), before.rend());
    line.push_back(origin);
    line.insert(line.end(), after.begin(), after.end());
  }
};

/// Covers all states with stretches.
class Walkers {
 public:
  explicit Walkers(Places& places) : places_(places) {}

  std::vector<Stretch> run() {
    const Index size = std::ssize(places_);
    const Index step = std::max<Index>(size / kTogether, 1);
    for (Index state = 0; state < size; state += step) start(state);
    walk();
    for (Index state = 0; state < size; ++state) {
      start(state);
      if (std::ssize(stretches_) - walked_ >= kTogether) walk();
    }
    walk();
    return std::move(stretches_);
  }

 private:
  /// So many waits for memory overlap, and a few more for walks that end early.
  static constexpr Index kTogether = 64;

  struct Walker {
    Column state;  // stands here
    Column next;
    Column stretch;
    Column side;
  };

  void start(Index state) {
    Place& place = places_[at(state)];
    if (place.stretch != kNone) return;
    place.stretch = static_cast<Column>(stretches_.size());
    stretches_.push_back({.origin = static_cast<Column>(state), .walks = {}});
  }

  /// Lets all that have started take one step after the other until all have ended.
  void walk() {
    std::vector<Walker> walkers;
    for (; walked_ < std::ssize(stretches_); ++walked_) {
      const auto stretch = static_cast<Column>(walked_);
      const Column origin = stretches_[at(walked_)].origin;
      for (const Column side : {0, 1}) {
        walkers.push_back({origin, places_[at(origin)].neighbour[at(side)], stretch, side});
      }
    }
    while (!walkers.empty()) {
      std::erase_if(walkers, [&](Walker& walker) { return !takes_step(walker); });
    }
  }

  bool takes_step(Walker& walker) {
    Walk& walk = stretches_[at(walker.stretch)].walks[at(walker.side)];
    if (walker.next == kNone || places_[at(walker.next)].stretch != kNone) {
      walk.next = walker.next;
      return false;
    }
    Place& place = places_[at(walker.next)];
    place.stretch = walker.stretch;
    walk.states.push_back(walker.next);
    const Column before = std::exchange(walker.state, walker.next);
    walker.next = place.neighbour[place.neighbour[0] == before ? 1 : 0];
    if (walker.next != kNone) prefetch(&places_[at(walker.next)]);
    return true;
  }

  Places& places_;
  std::vector<Stretch> stretches_;
  Index walked_ = 0;  // the stretches before this one
};

/// Puts stretches that end at each other in a row.
class Joiner {
 public:
  Joiner(const Places& places, std::vector<Stretch>& stretches) : places_(places), stretches_(stretches) {
    order_.reserve(places.size());
  }

  Columns run() {
    for (const std::size_t side : {0, 1}) {
      for (Stretch& first : stretches_) {
        if (first.joined || first.beyond(side) != kNone) continue;
        join(first, side);
      }
    }
    for (Stretch& first : stretches_) {
      if (first.joined) continue;
      const std::size_t begin = order_.size();
      join(first, 0);
      fold(begin);
    }
    return std::move(order_);
  }

 private:
  /// Appends a stretch, from a side of it on, and all that follow it.
  void join(Stretch& first, std::size_t side) {
    for (Stretch* stretch = &first; !stretch->joined;) {
      stretch->append_from(side, order_);
      stretch->joined = true;
      const Column end = stretch->end(1 - side);
      const Column next = stretch->beyond(1 - side);
      if (next == kNone) return;
      stretch = &stretches_[at(places_[at(next)].stretch)];
      side = stretch->end(0) == next && stretch->beyond(0) == end ? 0 : 1;
    }
  }

  /// A ring, from its first state both ways.
  void fold(std::size_t begin) {
    const Columns ring(order_.begin() + static_cast<Index>(begin), order_.end());
    for (std::size_t i = 0; i < ring.size(); ++i) {
      order_[begin + i] = i % 2 == 1 ? ring[(i + 1) / 2] : ring[(ring.size() - i / 2) % ring.size()];
    }
  }

  const Places& places_;
  std::vector<Stretch>& stretches_;
  Columns order_;
};

}  // namespace

std::optional<StateOrder::Columns> order_along_lines(const CsrMatrix& matrix) {
  std::optional<Places> places = places_of(matrix);
  if (!places) return std::nullopt;
  std::vector<Stretch> stretches = Walkers(*places).run();
  return Joiner(*places, stretches).run();
}

}  // namespace rlcore::linear
