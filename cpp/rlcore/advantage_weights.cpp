#include "rlcore/advantage_weights.hpp"

#include <algorithm>
#include <cmath>
#include <string>
#include <type_traits>
#include <vector>

#include "rlcore/errors.hpp"

namespace rlcore {
namespace {

void expect_size(ConstVector x, Index size, const char* name) {
  if (ssize(x) != size) throw ModelError(name, {}, "expected " + std::to_string(size) + " numbers");
}

void expect_size(TwofoldView x, Index size, const char* name) {
  expect_size(x.high, size, name);
  if (x.has_low()) expect_size(x.low, size, name);
}

/// Adds up what is known of two parts, the first of which comes before the other.
void join(AdvantageWeights& all, const AdvantageWeights& part) {
  all.size += part.size;
  all.mean += part.mean;
  all.lost += part.lost;
  all.largest_size = std::max(all.largest_size, part.largest_size);
  all.largest_row = std::max(all.largest_row, part.largest_row);
  all.largest_mean = std::max(all.largest_mean, part.largest_mean);
  all.largest_lost = std::max(all.largest_lost, part.largest_lost);
  all.largest_value = std::max(all.largest_value, part.largest_value);
  if (all.undefined < 0) all.undefined = part.undefined;
}

double high(double x) { return x; }
double high(Twofold x) { return x.hi; }

/// In the arithmetic of Number, double or Twofold.
template <class Number>
class Weighing {
 public:
  Weighing(const Mdp& mdp, ConstVector policy, TwofoldView value, TwofoldView visits, AdvantageWeights& out)
      : mdp_(mdp), policy_(policy), value_(value), visits_(visits), out_(out) {}

  AdvantageWeights states(Index first, Index last) const {
    AdvantageWeights found;
    for (Index state = first; state < last; ++state) one(state, found);
    return found;
  }

 private:
  static Number number(const TwofoldView& x, Index i) {
    if constexpr (std::is_same_v<Number, double>) {
      return x.high[at(i)];
    } else {
      return x[at(i)];
    }
  }

  void one(Index state, AdvantageWeights& found) const {
    const Number rho = number(visits_, state);
    const Index first = mdp_.first_pair(state);
    const Index last = mdp_.first_pair(state + 1);
    Number mean{};
    double row = 0.0;
    for (Index pair = first; pair < last; ++pair) {
      const double probability = policy_.empty() ? 1.0 : policy_[at(pair)];
      Number value = number(value_, pair);
      if (std::isnan(high(value))) {
        if (probability > 0.0 && high(rho) > 0.0 && found.undefined < 0) found.undefined = pair;
        value = {};
      }
      const Number share = value * probability;
      mean = mean + share;
      row += std::fabs(high(share));
      found.largest_value = std::max(found.largest_value, std::fabs(high(value)));
    }
    const Number centre = rho * mean;
    for (Index pair = first; pair < last; ++pair) {
      const Number value = std::isnan(high(number(value_, pair))) ? Number{} : number(value_, pair);
      if (policy_.empty()) {
        write(pair, rho * value, found);
      } else {
        const Number taken = centre * policy_[at(pair)];
        found.largest_mean = std::max(found.largest_mean, std::fabs(high(taken)));
        write(pair, rho * (value * policy_[at(pair)]) - taken, found);
      }
    }
    found.size += high(rho) * row;
    found.mean += std::fabs(high(centre));
    found.largest_size = std::max(found.largest_size, high(rho) * row);
    found.largest_row = std::max(found.largest_row, row);
  }

  void write(Index pair, Number weight, AdvantageWeights& found) const {
    out_.weight[at(pair)] = high(weight);
    if constexpr (!std::is_same_v<Number, double>) {
      out_.low[at(pair)] = weight.lo;
      found.lost += std::fabs(weight.lo);
      found.largest_lost = std::max(found.largest_lost, std::fabs(weight.lo));
    }
  }

  const Mdp& mdp_;
  ConstVector policy_;
  TwofoldView value_, visits_;
  AdvantageWeights& out_;
};

template <class Number>
AdvantageWeights weights_in(const Mdp& mdp, ConstVector policy, TwofoldView value, TwofoldView visits, Team& team) {
  AdvantageWeights all;
  all.weight.resize(at(mdp.num_pairs()));
  if constexpr (!std::is_same_v<Number, double>) all.low.resize(at(mdp.num_pairs()));
  const Weighing<Number> weighing(mdp, policy, value, visits, all);
  std::vector<AdvantageWeights> parts(at(num_blocks(mdp.num_states())));
  team.for_blocks(mdp.num_states(), kBlock,
                  [&](Index first, Index last, Index block) { parts[at(block)] = weighing.states(first, last); });
  for (const AdvantageWeights& part : parts) join(all, part);
  return all;
}

}  // namespace

AdvantageWeights advantage_weights(const Mdp& mdp, ConstVector policy, TwofoldView value, TwofoldView visits,
                                   Team& team) {
  if (!policy.empty()) expect_size(policy, mdp.num_pairs(), "policy");
  expect_size(value, mdp.num_pairs(), "value");
  expect_size(visits, mdp.num_states(), "visits");
  return value.has_low() && visits.has_low() ? weights_in<Twofold>(mdp, policy, value, visits, team)
                                             : weights_in<double>(mdp, policy, value, visits, team);
}

}  // namespace rlcore
