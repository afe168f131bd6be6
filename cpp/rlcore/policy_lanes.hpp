// P_pi of a few policies side by side, in single precision: sixteen lanes fill a cache line, so that a read at random
// brings twice as many numbers as in doubles. What is found with it is a guess; doubles prove it.
#pragma once

#include <optional>
#include <vector>

#include "rlcore/lanes.hpp"
#include "rlcore/mdp.hpp"

namespace rlcore {

/// The successors of each state, merged over its actions.
struct MergedRows {
  std::vector<Index> start;                               // (num_states + 1)
  std::vector<Column, LargeAllocator<Column>> successor;  // increasing in each state
  std::vector<Column, LargeAllocator<Column>> place;      // of each entry of the model, among those of its state

  /// Nothing where actions share too few successors: P_pi would take more memory than the model and the policies.
  static std::optional<MergedRows> of(const Mdp& mdp, Team& team);
};

template <class Number>
class PolicyLanes {
 public:
  /// `merged` is the model's, or null where there is none.
  PolicyLanes(const Mdp& mdp, const MergedRows* merged, std::span<const ConstVector> policies, Team& team)
      : mdp_(mdp), merged_(merged), weight_(at(merged == nullptr ? mdp.num_pairs() : merged->start.back())) {
    if (merged_ == nullptr) {
      interleave<Number>(policies, weight_, team);
    } else {
      assemble(policies, team);
    }
  }

  /// Calls visit(state, (P_pi x)(state)) for the states in [first, last), in order.
  template <class Visit>
  void for_means(const Number* x, Index first, Index last, Visit&& visit) const {
    for (Index state = first; state < last; ++state) {
      visit(state, merged_ == nullptr ? mean_over_actions(state, x) : mean_over_successors(state, x));
    }
  }

 private:
  using Real = RealOf<Number>;

  /// How many weights ahead to prefetch, each of which may fill a cache line.
  static constexpr std::ptrdiff_t kAhead = 2048 / sizeof(Number);

  RLCORE_INLINE Number mean_over_actions(Index state, const Number* x) const {
    Number ahead{};
    for (Index pair = mdp_.first_pair(state); pair < mdp_.first_pair(state + 1); ++pair) {
      const Row row = mdp_.row(pair);
      row.prefetch_next();
      prefetch_at(weight_.data() + pair, kAhead);
      Number mean{};
      for (Index k = 0; k < row.length; ++k) {
        prefetch(x + row.upcoming(k));
        mean += static_cast<Real>(row.probability[k]) * x[row.column[k]];
      }
      ahead += weight_[at(pair)] * mean;
    }
    return ahead;
  }

  RLCORE_INLINE Number mean_over_successors(Index state, const Number* x) const {
    const auto begin = at(merged_->start[at(state)]);
    const auto end = at(merged_->start[at(state + 1)]);
    Number ahead{};
    for (auto entry = begin; entry < end; ++entry) {
      prefetch_at(weight_.data() + entry, kAhead);
      ahead += weight_[entry] * x[merged_->successor[entry]];
    }
    return ahead;
  }

  void assemble(std::span<const ConstVector> policies, Team& team) {
    constexpr Index kRun = 64;
    team.for_blocks(mdp_.num_states(), kRun, [&](Index first, Index last, Index) {
      const Index begin = mdp_.first_pair(first);
      Numbers<Number> policy(at(mdp_.first_pair(last) - begin));
      interleave_from<Number>(policies, at(begin), policy);
      for (Index state = first; state < last; ++state) {
        Number* const merged = weight_.data() + merged_->start[at(state)];
        for (Index pair = mdp_.first_pair(state); pair < mdp_.first_pair(state + 1); ++pair) {
          const Row row = mdp_.row(pair);
          const Column* const place = merged_->place.data() + mdp_.first_entry(pair);
          for (Index k = 0; k < row.length; ++k) {
            merged[place[k]] += static_cast<Real>(row.probability[k]) * policy[at(pair - begin)];
          }
        }
      }
    });
  }

  const Mdp& mdp_;
  const MergedRows* merged_;
  Numbers<Number> weight_;  // of each pair, or of each successor
};

}  // namespace rlcore
