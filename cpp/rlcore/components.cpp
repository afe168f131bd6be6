// Depth-first search with a stack of components (Gabow 2000): Tarjan's algorithm, but for knowing at every moment how
// large the component at work is at least, so that a search for small components can end early.
#include "rlcore/components.hpp"

namespace rlcore {

class ComponentSearch {
 public:
  ComponentSearch(const CsrMatrix& matrix, Index most_states) : matrix_(matrix), most_states_(most_states) {
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
  void prefetch_successors(const Step& step) const {
    for (Index entry = step.next; entry < step.next + step.left; ++entry) {
      const Column successor = matrix_.column[entry];
      prefetch(&found_.of_[at(successor)]);
      prefetch(&matrix_.first[successor]);
      prefetch(&matrix_.length[successor]);
    }
  }

  /// The search will be back at this step before long.
  void prefetch_entries(const Step& step) const {
    prefetch(&matrix_.column[step.next]);
    prefetch(&matrix_.value[step.next]);
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
  Components found_;
  Components::Columns open_;       // states whose component is not yet closed
  Components::Columns component_;  // where each component of open states begins, as far as is known
  std::vector<Step, LargeAllocator<Step>> path_;
};

std::optional<Components> strong_components(const CsrMatrix& matrix, Index most_states) {
  return ComponentSearch(matrix, most_states).run();
}

}  // namespace rlcore
