// Depth-first search with a stack of components (Gabow 2000): Tarjan's algorithm, but for knowing at every moment how
// large the component at work is at least, so that a search for small components can end early.
#include "rlcore/components.hpp"

#include <algorithm>
#include <atomic>
#include <numeric>

namespace rlcore {
namespace {

using Flags = std::vector<char>;

/// So many steps of a search pass between two looks at the monitor.
constexpr Index kPatience = Index{1} << 16;

/// Whether every state can be reached from state 0: breadth first, but where a search has many ends at once, as in a
/// random graph, their states are followed side by side, in the order of their numbers.
class ForwardSearch {
 public:
  ForwardSearch(const CsrMatrix& matrix, Team& team, Monitor& monitor)
      : matrix_(matrix), team_(team), monitor_(monitor), mark_(at(matrix.size), kUnseen) {
    found_.reserve(at(matrix.size));
  }

  bool finds_all() {
    const Index many = matrix_.size / 64 + 1;
    see(0);
    follow_found(many);
    while (sweep() >= many) monitor_.poll({"components", 0, 0.0, 0.0});
    const Index known = collect_seen();
    follow_found(matrix_.size - known);
    return known + std::ssize(found_) == matrix_.size;
  }

 private:
  static constexpr char kUnseen = 0;
  static constexpr char kSeen = 1;
  static constexpr char kFollowed = 2;

  void see(Column state) {
    mark_[at(state)] = kSeen;
    found_.push_back(state);
  }

  /// Follows what was found, one state after the other, until so many are found.
  void follow_found(Index enough) {
    for (Index next = 0; next < std::ssize(found_) && std::ssize(found_) < enough; ++next) {
      if (next % kPatience == 0) monitor_.poll({"components", next, 0.0, 0.0});
      const Index state = found_[at(next)];
      const Index ahead = std::min(next + 8, std::ssize(found_) - 1);
      prefetch(matrix_.column.data() + matrix_.first[found_[at(ahead)]]);
      prefetch(matrix_.value.data() + matrix_.first[found_[at(ahead)]]);
      mark_[at(state)] = kFollowed;
      for_entries(state, [&](Index entry) {
        const Column to = matrix_.column[entry];
        if (mark_[at(to)] == kUnseen && matrix_.value[entry] != 0.0) see(to);
      });
    }
  }

  /// Follows all states that are seen when their turn comes, and returns how many. Others see marks as they come, and
  /// what is followed once more does no harm.
  Index sweep() {
    std::atomic<Index> followed{0};
    team_.for_blocks(matrix_.size, kBlock, [&](Index first, Index last, Index) {
      Index of_block = 0;
      for (Index state = first; state < last; ++state) {
        std::atomic_ref<char> here(mark_[at(state)]);
        if (here.load(std::memory_order_relaxed) != kSeen) continue;
        here.store(kFollowed, std::memory_order_relaxed);
        ++of_block;
        const Column* const columns = matrix_.column.data() + matrix_.first[state];
        prefetch_stream(columns, columns + matrix_.length[state]);
        for_entries(state, [&](Index entry) {
          std::atomic_ref<char> to(mark_[at(matrix_.column[entry])]);
          if (to.load(std::memory_order_relaxed) == kUnseen && matrix_.value[entry] != 0.0) {
            to.store(kSeen, std::memory_order_relaxed);
          }
        });
      }
      followed += of_block;
    });
    return followed;
  }

  /// What is still to be followed; returns how many states have been.
  Index collect_seen() {
    found_.clear();
    Index followed = 0;
    for (Index state = 0; state < matrix_.size; ++state) {
      if (mark_[at(state)] == kSeen) found_.push_back(static_cast<Column>(state));
      followed += mark_[at(state)] == kFollowed;
    }
    return followed;
  }

  template <class Body>
  void for_entries(Index state, Body&& body) const {
    const Index end = matrix_.first[state] + matrix_.length[state];
    for (Index entry = matrix_.first[state]; entry < end; ++entry) body(entry);
  }

  const CsrMatrix& matrix_;
  Team& team_;
  Monitor& monitor_;
  Flags mark_;
  std::vector<Column, LargeAllocator<Column>> found_;
};

/// Whether state 0 can be reached from every state: sweeps mark who leads to a marked state, to and fro, until none is
/// left. Sweeps see each other's marks as they come, in any order: who is marked in the end is the same. False too if
/// it takes so many sweeps that a depth-first search would be done.
bool is_led_to_from_everywhere(const CsrMatrix& matrix, Team& team, Monitor& monitor) {
  constexpr Index kMostSweeps = 40;
  constexpr Index kProbe = 6;  // by then half of the states must be marked
  Flags leads(at(matrix.size), 0);
  leads[0] = 1;
  const auto leads_to_a_marked = [&](Index state) {
    for (Index entry = matrix.first[state]; entry < matrix.first[state] + matrix.length[state]; ++entry) {
      std::atomic_ref<char> next(leads[at(matrix.column[entry])]);
      if (next.load(std::memory_order_relaxed) != 0 && matrix.value[entry] != 0.0) return true;
    }
    return false;
  };
  const Index blocks = num_blocks(matrix.size);
  for (Index sweep = 0; sweep < kMostSweeps; ++sweep) {
    std::atomic<Index> marked{0};
    std::atomic<Index> left{0};
    const auto visit = [&](Index state, Index& new_marks, Index& unmarked) {
      std::atomic_ref<char> mark(leads[at(state)]);
      if (mark.load(std::memory_order_relaxed) != 0) return;
      const bool found = leads_to_a_marked(state);
      if (found) mark.store(1, std::memory_order_relaxed);
      ++(found ? new_marks : unmarked);
    };
    const bool upwards = sweep % 2 == 0;
    team.for_blocks(matrix.size, kBlock, [&](Index, Index, Index number) {
      const Index block = upwards ? number : blocks - 1 - number;
      const Index first = block * kBlock;
      const Index last = std::min(first + kBlock, matrix.size);
      Index new_marks = 0;
      Index unmarked = 0;
      for (Index i = first; i < last; ++i) visit(upwards ? i : first + last - 1 - i, new_marks, unmarked);
      marked += new_marks;
      left += unmarked;
    });
    if (left == 0) return true;
    if (marked == 0 || (sweep >= kProbe && 2 * left > matrix.size)) return false;
    monitor.poll({"components", sweep, 0.0, 0.0});
  }
  return false;
}

}  // namespace

class ComponentSearch {
 public:
  ComponentSearch(const CsrMatrix& matrix, Index most_states, Monitor& monitor)
      : matrix_(matrix), most_states_(most_states), monitor_(monitor) {
    found_.of_.assign(at(matrix.size), kUnseen);
    found_.state_.reserve(at(matrix.size));
  }

  std::optional<Components> run() {
    for (Index root = 0; root < matrix_.size; ++root) {
      if (place(root) == kUnseen && !search_from(static_cast<Column>(root))) return std::nullopt;
    }
    for (Column& component : found_.of_) component = closed(component);
    return std::move(found_);
  }

 private:
  /// A state on the path from the root: its place among the open states, and its entries not yet followed.
  struct Step {
    Index next;
    Column left;
    Column place;
  };

  static constexpr Index kStepsAhead = 8;

  /// A state is unseen; or open, at its place in open_; or it belongs to a closed component.
  static constexpr Column kUnseen = -1;
  static Column closed(Column component) { return -2 - component; }  // its own inverse
  Column& place(Index state) { return found_.of_[at(state)]; }

  bool search_from(Column root) {
    enter(root);
    while (!path_.empty()) {
      const Column unseen = follow_entries();
      if (known_size() > most_states_) return false;
      if (unseen != kUnseen) {
        enter(unseen);
      } else {
        leave();
      }
    }
    return true;
  }

  void enter(Column state) {
    if (++entered_ % kPatience == 0) monitor_.poll({"components", entered_, 0.0, 0.0});
    const auto here = static_cast<Column>(open_.size());
    place(state) = here;
    open_.push_back(state);
    component_.push_back(here);
    path_.push_back({matrix_.first[state], matrix_.length[state], here});
    prefetch_successors(path_.back());
  }

  /// Follows entries of the last state of the path up to the first that leads to an unseen state.
  Column follow_entries() {
    Step& step = path_.back();
    while (step.left > 0) {
      const Index entry = step.next++;
      --step.left;
      if (matrix_.value[entry] == 0.0) continue;
      const Column successor = matrix_.column[entry];
      const Column where = place(successor);
      if (where == kUnseen) return successor;
      if (where >= 0) join_back_to(where);
    }
    return kUnseen;
  }

  /// An entry leads back to an open state: all components from there on are one.
  void join_back_to(Column where) {
    while (component_.back() > where) component_.pop_back();
  }

  /// How many states are known to lead to one another and to the end of the path.
  Index known_size() const { return std::ssize(open_) - component_.back(); }

  void leave() {
    const Column here = path_.back().place;
    path_.pop_back();
    if (std::ssize(path_) > kStepsAhead) prefetch_entries(path_[path_.size() - at(kStepsAhead)]);
    if (component_.back() == here) close_component();
  }

  /// Soon to be looked at, and perhaps entered.
  RLCORE_INLINE void prefetch_successors(const Step& step) const {
    for (Index entry = step.next; entry < step.next + step.left; ++entry) {
      const Column successor = matrix_.column[entry];
      prefetch(&found_.of_[at(successor)]);
      prefetch(&matrix_.first[successor]);
      prefetch(&matrix_.length[successor]);
    }
  }

  /// The search will be back at this step before long.
  RLCORE_INLINE void prefetch_entries(const Step& step) const {
    prefetch(matrix_.column.data() + step.next);
    prefetch(matrix_.value.data() + step.next);
  }

  /// All that the component's states lead to has been seen.
  void close_component() {
    const Column number = closed(static_cast<Column>(found_.count()));
    const auto begin = open_.begin() + component_.back();
    for (auto state = begin; state != open_.end(); ++state) place(*state) = number;
    found_.state_.insert(found_.state_.end(), begin, open_.end());
    found_.start_.push_back(static_cast<Column>(found_.state_.size()));
    open_.erase(begin, open_.end());
    component_.pop_back();
  }

  const CsrMatrix& matrix_;
  Index most_states_;
  Monitor& monitor_;
  Index entered_ = 0;
  Components found_;
  Components::Columns open_;       // states whose component is not yet closed
  Components::Columns component_;  // where each component of open states begins, as far as is known
  std::vector<Step, LargeAllocator<Step>> path_;
};

Components Components::whole(Index num_states) {
  Components all;
  all.start_ = Columns{0, static_cast<Column>(num_states)};
  all.state_.resize(at(num_states));
  std::iota(all.state_.begin(), all.state_.end(), Column{0});
  all.of_.assign(at(num_states), 0);
  return all;
}

std::optional<Components> strong_components(const CsrMatrix& matrix, Index most_states) {
  Monitor nobody;
  return ComponentSearch(matrix, most_states, nobody).run();
}

Components all_strong_components(const CsrMatrix& matrix, Team& team, Monitor& monitor) {
  if (matrix.size > 0 && is_led_to_from_everywhere(matrix, team, monitor) &&
      ForwardSearch(matrix, team, monitor).finds_all()) {
    return Components::whole(matrix.size);
  }
  return *ComponentSearch(matrix, std::numeric_limits<Index>::max(), monitor).run();
}

}  // namespace rlcore
