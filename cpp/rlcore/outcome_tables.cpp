#include "rlcore/outcome_tables.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <string>

#include "rlcore/errors.hpp"
#include "rlcore/twofold.hpp"

namespace rlcore {
namespace {

constexpr std::uint64_t kAllBits = std::numeric_limits<std::uint64_t>::max();
constexpr double kTwoTo64 = 18446744073709551616.0;

/// The largest whole number below 2^64 x, for 0 < x <= 1; to within one.
std::uint64_t largest_below(Twofold x) {
  const double whole = std::floor(x.hi * kTwoTo64);
  const auto rest = static_cast<std::int64_t>(std::ceil((x.hi * kTwoTo64 - whole) + x.lo * kTwoTo64));
  if (whole >= kTwoTo64) return kAllBits - static_cast<std::uint64_t>(std::max<std::int64_t>(0, -rest));
  const std::uint64_t above = static_cast<std::uint64_t>(whole) + static_cast<std::uint64_t>(rest);
  return above == 0 ? 0 : above - 1;
}

}  // namespace

/// Calls outcome(weight, successor, pair) for everything that can happen in a node, in the order of the model: pair by
/// pair, successors first and then the end.
class OutcomeTables::Filler {
 public:
  Filler(const Mdp& mdp, ConstVector policy, ConstVector initial) : mdp_(mdp), policy_(policy), initial_(initial) {}

  template <class Visit>
  void outcomes(Index node, Visit&& visit) const {
    const Index num_states = mdp_.num_states();
    if (node < num_states) {
      for (Index pair = mdp_.first_pair(node); pair < mdp_.first_pair(node + 1); ++pair) pair_outcomes(pair, visit);
    } else if (node == num_states) {
      for (Index state = 0; state < num_states; ++state) visit_if_possible(initial_[at(state)], 1.0, state, -1, visit);
    } else {
      visit(Twofold{1.0}, static_cast<Node>(node), Column{-1});
    }
  }

  Index count(Index node) const {
    Index found = 0;
    outcomes(node, [&](Twofold, Node, Column) { ++found; });
    return found;
  }

  /// Writes cumulated probabilities, then scales them by their last.
  void fill(Index node, Index count, Twofold* cumulated, Outcome* outcome, std::uint32_t* guide) const {
    Twofold sum;
    Index k = 0;
    outcomes(node, [&](Twofold weight, Node successor, Column pair) {
      sum = sum + weight;
      cumulated[k] = sum;
      outcome[k++] = {0, successor, pair};
    });
    for (k = 0; k + 1 < count; ++k) outcome[k].last = largest_below(quotient(cumulated[k], sum));
    outcome[count - 1].last = kAllBits;
    Index candidate = 0;
    for (k = 0; k < count; ++k) {
      while (bucket(outcome[candidate].last, count) < k) ++candidate;
      guide[k] = static_cast<std::uint32_t>(candidate);
    }
  }

 private:
  template <class Visit>
  void pair_outcomes(Index pair, Visit& visit) const {
    const double probability = policy_[at(pair)];
    if (probability == 0.0) return;
    const Row row = mdp_.row(pair);
    const auto number = static_cast<Column>(pair);
    for (Index k = 0; k < row.length; ++k) {
      visit_if_possible(probability, row.probability[k], row.column[k], number, visit);
    }
    if (!mdp_.termination().empty()) {
      visit_if_possible(probability, mdp_.termination()[at(pair)], mdp_.num_states() + 1, number, visit);
    }
  }

  template <class Visit>
  static void visit_if_possible(double a, double b, Index successor, Column pair, Visit& visit) {
    const Twofold weight = two_product(a, b);
    if (weight.hi > 0.0) visit(weight, static_cast<Node>(successor), pair);
  }

  const Mdp& mdp_;
  ConstVector policy_;
  ConstVector initial_;
};

namespace {

/// Calls body(begin, end) for parts of the nodes, small enough for an interrupt to be heard between them.
template <class Body>
void for_nodes(const Mdp& mdp, Team& team, Monitor& monitor, Body&& body) {
  constexpr Index kEntries = Index{1} << 16;
  const Index num_nodes = mdp.num_states() + 2;
  const Index part = std::clamp<Index>(kEntries * num_nodes / (mdp.num_entries() + 1), 1, kBlock);
  const Index portion = 16 * part * team.size();
  for (Index begin = 0; begin < num_nodes; begin += portion) {
    monitor.poll({"tables of outcomes", begin, 0.0, 0.0});
    team.for_blocks(std::min(portion, num_nodes - begin), part,
                    [&](Index first, Index last, Index) { body(begin + first, begin + last); });
  }
}

}  // namespace

OutcomeTables::OutcomeTables(const Mdp& mdp, ConstVector policy, ConstVector initial, Team& team, Monitor& monitor)
    : start_(static_cast<Node>(mdp.num_states())), first_(mdp.num_states() + 3) {
  const Filler filler(mdp, policy, initial);
  for_nodes(mdp, team, monitor, [&](Index begin, Index end) {
    for (Index node = begin; node < end; ++node) first_[node + 1] = filler.count(node);
  });
  add_up();
  for_nodes(mdp, team, monitor, [&](Index begin, Index end) {
    TwofoldVector cumulated;
    for (Index node = begin; node < end; ++node) {
      const Index first = first_[node];
      const Index count = first_[node + 1] - first;
      if (std::ssize(cumulated) < count) cumulated.resize(at(count));
      filler.fill(node, count, cumulated.data(), outcome_.data() + first, guide_.data() + first);
    }
  });
}

/// From the number of outcomes of each node to where they begin.
void OutcomeTables::add_up() {
  const Index num_nodes = Index{end()} + 1;
  first_[0] = 0;
  for (Index node = 0; node < num_nodes; ++node) {
    if (first_[node + 1] > std::numeric_limits<std::int32_t>::max()) {
      throw ModelError("transition", {.state = node},
                       "expected fewer than 2^31 outcomes, got " + std::to_string(first_[node + 1]));
    }
    first_[node + 1] += first_[node];
  }
  outcome_ = Buffer<Outcome>(first_[num_nodes]);
  guide_ = Buffer<std::uint32_t>(first_[num_nodes]);
}

}  // namespace rlcore
