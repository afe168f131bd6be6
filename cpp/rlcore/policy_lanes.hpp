// P_pi of a few policies side by side, in single precision: sixteen lanes fill a cache line, so that a read at random
// brings twice as many numbers as in doubles. What is found with it is a guess; doubles prove it.
#pragma once

#include <algorithm>
#include <cmath>
#include <optional>
#include <vector>

#include "rlcore/lanes.hpp"
#include "rlcore/mdp.hpp"
#include "rlcore/policy.hpp"

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
  /// `merged` is the model's, or null where there is none. Throws PolicyError, as check_policy does.
  PolicyLanes(const Mdp& mdp, const MergedRows* merged, std::span<const ConstVector> policies, Team& team)
      : mdp_(mdp), merged_(merged), weight_(at(merged == nullptr ? mdp.num_pairs() : merged->start.back())) {
    for (const ConstVector& policy : policies) {
      if (ssize(policy) != mdp.num_pairs()) check_policy(mdp, policy);
    }
    const Rows rows = read(policies, team);
    for (std::size_t k = 0; k < policies.size(); ++k) {
      const Interval sums{lane(rows.sum.least, k), lane(rows.sum.most, k)};
      const bool is_policy = lane(rows.least_probability, k) >= 0.0 && sums.lower >= 1.0 - kRowTolerance &&
                             sums.upper <= 1.0 + kRowTolerance && std::isfinite(lane(rows.total, k));
      row_sum_.push_back(is_policy ? enclosed_sum(mdp, sums) : check_policy(mdp, policies[k], team));
    }
  }

  /// Encloses the sums of the rows of a policy.
  const Interval& row_sum(std::size_t k) const { return row_sum_[k]; }

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

  using Wide = LaneArray<static_cast<int>(kLanesOf<Number>)>;

  /// What one look at the policies tells of their rows.
  struct Rows {
    Wide least_probability{};
    Extremes<Wide> sum;
    Wide total{};  // of all sums: none, if one of them is no number, which extremes pass over

    void include(const Rows& other) {
      least_probability = min(least_probability, other.least_probability);
      sum.include(other.sum);
      total += other.total;
    }
  };

  /// Keeps the weights.
  Rows read(std::span<const ConstVector> policies, Team& team) {
    constexpr Index kRun = 64;
    std::vector<Rows> parts(at(num_blocks(mdp_.num_states())));
    team.for_blocks(mdp_.num_states(), kBlock, [&](Index first, Index last, Index block) {
      Numbers<Wide> policy;
      for (Index begin = first; begin < last; begin += kRun) {
        const Index end = std::min(begin + kRun, last);
        const Index first_pair = mdp_.first_pair(begin);
        policy.resize(at(mdp_.first_pair(end) - first_pair));
        interleave_from<Wide>(policies, at(first_pair), policy);
        for (Index state = begin; state < end; ++state) {
          const auto row = std::span(policy).subspan(at(mdp_.first_pair(state) - first_pair));
          include_row(state, row, parts[at(block)]);
          keep_row(state, row);
        }
      }
    });
    Rows all;
    for (const Rows& part : parts) all.include(part);
    return all;
  }

  RLCORE_INLINE void include_row(Index state, std::span<const Wide> row, Rows& rows) const {
    Wide sum{};
    for (Index pair = mdp_.first_pair(state); pair < mdp_.first_pair(state + 1); ++pair) {
      const Wide& probability = row[at(pair - mdp_.first_pair(state))];
      rows.least_probability = min(rows.least_probability, probability);
      sum += probability;
    }
    rows.sum.include(sum);
    rows.total += sum;
  }

  RLCORE_INLINE void keep_row(Index state, std::span<const Wide> row) {
    for (Index pair = mdp_.first_pair(state); pair < mdp_.first_pair(state + 1); ++pair) {
      const Wide& probability = row[at(pair - mdp_.first_pair(state))];
      const auto weight = Number::each([&](std::size_t k) { return static_cast<Real>(probability.lane[k]); });
      if (merged_ == nullptr) {
        weight_[at(pair)] = weight;
        continue;
      }
      const Row successors = mdp_.row(pair);
      const Column* const place = merged_->place.data() + mdp_.first_entry(pair);
      Number* const merged = weight_.data() + merged_->start[at(state)];
      for (Index k = 0; k < successors.length; ++k) {
        merged[place[k]] += static_cast<Real>(successors.probability[k]) * weight;
      }
    }
  }

  const Mdp& mdp_;
  const MergedRows* merged_;
  Numbers<Number> weight_;  // of each pair, or of each successor
  std::vector<Interval> row_sum_;
};

}  // namespace rlcore
