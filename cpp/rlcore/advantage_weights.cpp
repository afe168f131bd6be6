#include "rlcore/advantage_weights.hpp"

#include <algorithm>
#include <cmath>
#include <string>
#include <vector>

#include "rlcore/errors.hpp"

namespace rlcore {
namespace {

void expect_size(ConstVector x, Index size, const char* name) {
  if (ssize(x) != size) throw ModelError(name, {}, "expected " + std::to_string(size) + " numbers");
}

/// Adds up what is known of two parts, the first of which comes before the other.
void join(AdvantageWeights& all, const AdvantageWeights& part) {
  all.size += part.size;
  all.mean += part.mean;
  all.largest_row = std::max(all.largest_row, part.largest_row);
  all.largest_mean = std::max(all.largest_mean, part.largest_mean);
  all.largest_value = std::max(all.largest_value, part.largest_value);
  if (all.undefined < 0) all.undefined = part.undefined;
}

class Weighing {
 public:
  Weighing(const Mdp& mdp, ConstVector policy, ConstVector value, ConstVector visits, double* weight)
      : mdp_(mdp), policy_(policy), value_(value), visits_(visits), weight_(weight) {}

  AdvantageWeights states(Index first, Index last) const {
    AdvantageWeights found;
    for (Index state = first; state < last; ++state) one(state, found);
    return found;
  }

 private:
  void one(Index state, AdvantageWeights& found) const {
    const double rho = visits_[at(state)];
    const Index first = mdp_.first_pair(state);
    const Index last = mdp_.first_pair(state + 1);
    double mean = 0.0;
    double row = 0.0;
    for (Index pair = first; pair < last; ++pair) {
      const double probability = policy_.empty() ? 1.0 : policy_[at(pair)];
      double value = value_[at(pair)];
      if (std::isnan(value)) {
        if (probability > 0.0 && rho > 0.0 && found.undefined < 0) found.undefined = pair;
        value = 0.0;
      }
      const double share = probability * value;
      mean += share;
      row += std::fabs(share);
      found.largest_value = std::max(found.largest_value, std::fabs(value));
      weight_[pair] = rho * share;
    }
    if (!policy_.empty()) {
      const double centre = rho * mean;
      for (Index pair = first; pair < last; ++pair) weight_[pair] -= centre * policy_[at(pair)];
    }
    found.size += rho * row;
    found.mean += rho * std::fabs(mean);
    found.largest_row = std::max(found.largest_row, row);
    found.largest_mean = std::max(found.largest_mean, rho * std::fabs(mean));
  }

  const Mdp& mdp_;
  ConstVector policy_, value_, visits_;
  double* weight_;
};

}  // namespace

AdvantageWeights advantage_weights(const Mdp& mdp, ConstVector policy, ConstVector value, ConstVector visits,
                                   Team& team) {
  if (!policy.empty()) expect_size(policy, mdp.num_pairs(), "policy");
  expect_size(value, mdp.num_pairs(), "value");
  expect_size(visits, mdp.num_states(), "visits");
  AdvantageWeights all;
  all.weight.resize(at(mdp.num_pairs()));
  const Weighing weighing(mdp, policy, value, visits, all.weight.data());
  std::vector<AdvantageWeights> parts(at(num_blocks(mdp.num_states())));
  team.for_blocks(mdp.num_states(), kBlock,
                  [&](Index first, Index last, Index block) { parts[at(block)] = weighing.states(first, last); });
  for (const AdvantageWeights& part : parts) join(all, part);
  return all;
}

}  // namespace rlcore
