// Candidate policies, as they are compared with a base policy: whole, or by the rows that they change.
#pragma once

#include <algorithm>
#include <utility>
#include <vector>

#include "rlcore/mdp.hpp"
#include "rlcore/types.hpp"

namespace rlcore {

class Candidates {
 public:
  /// Whole policies, one probability per pair each.
  Candidates(const Mdp& mdp, std::vector<ConstVector> policies);

  /// Candidate i is the base policy but in states[start[i] .. start[i + 1]), which increase; their new rows follow
  /// one another in `rows`. Throws ModelError if these do not fit together or the model.
  Candidates(const Mdp& mdp, std::span<const Index> start, std::span<const Index> states, ConstVector rows);

  Index size() const { return size_; }

  /// Whether they are given by the rows that they change.
  bool are_changes() const { return policies_.empty(); }

  /// The whole policies.
  std::span<const ConstVector> policies() const { return policies_; }

  /// Calls visit(state, row) for the states in [first, last) whose row a candidate may change, in order.
  template <class Visit>
  void for_rows(Index candidate, Index first, Index last, Visit&& visit) const {
    if (!are_changes()) {
      const double* const policy = policies_[at(candidate)].data();
      for (Index state = first; state < last; ++state) visit(state, policy + mdp_.first_pair(state));
      return;
    }
    for (Index k = start_[at(candidate)]; k < start_[at(candidate) + 1]; ++k) {
      const Index state = states_[at(k)];
      if (state >= first && state < last) visit(state, rows_.data() + row_start_[at(k)]);
    }
  }

  /// The same for runs of neighbouring states, at most so many: visit(state, count, rows).
  template <class Visit>
  void for_runs(Index candidate, Index first, Index last, Index longest, Visit&& visit) const {
    if (are_changes()) {
      for_rows(candidate, first, last, [&](Index state, const double* row) { visit(state, Index{1}, row); });
      return;
    }
    const double* const policy = policies_[at(candidate)].data();
    for (Index state = first; state < last; state += longest) {
      visit(state, std::min(longest, last - state), policy + mdp_.first_pair(state));
    }
  }

 private:
  const Mdp& mdp_;
  Index size_ = 0;
  std::vector<ConstVector> policies_;
  std::span<const Index> start_;
  std::span<const Index> states_;
  ConstVector rows_;
  std::vector<Index> row_start_;  // of each changed state, in rows_
};

}  // namespace rlcore
