// What can happen in each state, ready to be drawn: inversion of the distribution function, by a guide table
// (Chen & Asau 1974).
#pragma once

#include <cstdint>

#include "rlcore/mdp.hpp"
#include "rlcore/monitor.hpp"
#include "rlcore/parallel.hpp"
#include "rlcore/storage.hpp"

namespace rlcore {

/// The outcomes of every state under a policy: an action together with where it leads. With u = bits / 2^64, drawn is
/// the first outcome whose cumulated probability, divided by the sum over all outcomes of the state, is above u. The
/// cumulated probabilities are twofold sums, so each outcome has its probability to within 2^-63.
///
/// Two nodes follow the states: `start`, whose outcomes are the states of the start distribution, and `end`, which
/// leads to itself.
class OutcomeTables {
 public:
  using Node = std::uint32_t;

  struct Outcome {
    std::uint64_t last = 0;  // the largest bits that draw this outcome or one before it
    Node successor = 0;
    Column pair = -1;  // -1: no action is taken at the start and after the end
  };

  /// Throws PolicyError, ModelError. The policy and the start distribution have been checked.
  OutcomeTables(const Mdp& mdp, ConstVector policy, ConstVector initial, Team& team, Monitor& monitor);

  Node start() const { return start_; }
  Node end() const { return start_ + 1; }

  // Drawing goes in three steps, between which what the next one reads may be on its way.
  RLCORE_INLINE void prefetch_extent(Node node) const { prefetch(first_.data() + node); }
  Index guide(Node node, std::uint64_t bits) const {
    const Index first = first_[node];
    return first + bucket(bits, first_[Index{node} + 1] - first);
  }
  RLCORE_INLINE void prefetch_guide(Index position) const { prefetch(guide_.data() + position); }
  Index first_candidate(Node node, Index position) const { return first_[node] + guide_[position]; }
  RLCORE_INLINE void prefetch_outcome(Index position) const { prefetch(outcome_.data() + position); }
  const Outcome& find(Index candidate, std::uint64_t bits) const {
    const Outcome* outcome = outcome_.data() + candidate;
    // The guide seldom leaves more than two steps. Taken without a branch, which could not be predicted.
    outcome += outcome->last < bits ? 1 : 0;
    outcome += outcome->last < bits ? 1 : 0;
    while (outcome->last < bits) ++outcome;
    return *outcome;
  }

  const Outcome& draw(Node node, std::uint64_t bits) const {
    return find(first_candidate(node, guide(node, bits)), bits);
  }

 private:
  /// Shares the 64-bit numbers out evenly, in order, over as many buckets as a node has outcomes.
  static Index bucket(std::uint64_t bits, Index count) {
    return static_cast<Index>((bits >> 32) * static_cast<std::uint64_t>(count) >> 32);
  }

  class Filler;
  void add_up();

  Node start_;
  Buffer<Index> first_;          // where the outcomes of a node begin
  Buffer<std::uint32_t> guide_;  // for each bucket, the first outcome that its numbers can draw, from there
  Buffer<Outcome> outcome_;
};

}  // namespace rlcore
