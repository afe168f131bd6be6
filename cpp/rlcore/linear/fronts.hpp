// The order in which a sparse elimination takes the states, and the fronts that it takes them in.
//
// States that are eliminated one after another and lead to nearly the same others are eliminated together, as a
// *front*: a small dense matrix of their rows and of those of the states beyond, to which it leaves what they led to
// (Duff & Reid 1983; Liu 1992). The order is one of minimum degree (Amestoy, Davis & Duff 1996), on the pattern of the
// matrix and its transpose: eliminating without exchanges of rows fills no more than that.
#pragma once

#include <memory>
#include <span>
#include <vector>

#include "rlcore/csr_matrix.hpp"
#include "rlcore/monitor.hpp"

namespace rlcore::linear {

class Fronts {
 public:
  using Columns = std::vector<Column, LargeAllocator<Column>>;

  /// Nothing, if the order would take too long to find, or the elimination more than so many multiplications.
  static std::shared_ptr<const Fronts> by_minimum_degree(const CsrMatrix& matrix, double most_work, Monitor& monitor);

  Index size() const { return static_cast<Index>(state_.size()); }
  /// How many multiplications the elimination takes.
  double work() const { return work_; }

  Index count() const { return static_cast<Index>(first_.size()) - 1; }

  /// The place in the order of each state, and the state at each place.
  Column place(Index state) const { return place_[at(state)]; }
  Column state(Index place) const { return state_[at(place)]; }

  /// The places that a front eliminates, [first(front), first(front + 1)).
  Column first(Index front) const { return first_[at(front)]; }

  /// All places that it knows of: those that it eliminates, and those beyond, increasing.
  std::span<const Column> places(Index front) const {
    const auto begin = at(begin_[at(front)]);
    return {places_.data() + begin, at(begin_[at(front + 1)]) - begin};
  }

  /// How many fronts leave to it; they are the last before it that have not left to another.
  Column num_children(Index front) const { return num_children_[at(front)]; }

  /// Fronts [first, last) with all that leave to them: what branches eliminate does not depend on each other. They are
  /// a matter of the pattern alone, and about as much work each; the fronts between and after them are the trunk.
  struct Branch {
    Index first;
    Index last;
  };
  std::span<const Branch> branches() const { return branches_; }

  /// Calls on_branch(number) and on_front(front), of the trunk, in their order.
  template <class OnBranch, class OnFront>
  void ascend(OnBranch&& on_branch, OnFront&& on_front) const {
    Index front = 0;
    for (std::size_t k = 0; k <= branches_.size(); ++k) {
      const bool is_branch = k < branches_.size();
      for (const Index end = is_branch ? branches_[k].first : count(); front < end; ++front) on_front(front);
      if (!is_branch) return;
      on_branch(k);
      front = branches_[k].last;
    }
  }

 private:
  friend class FrontSearch;

  double work_ = 0.0;
  Columns place_;
  Columns state_;
  Columns first_{0};
  std::vector<Index> begin_{0};
  Columns places_;
  Columns num_children_;
  std::vector<Branch> branches_;
};

}  // namespace rlcore::linear
