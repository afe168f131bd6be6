#include "rlcore/undiscounted.hpp"

#include <algorithm>
#include <cmath>
#include <limits>

#include "rlcore/action_value_rounding.hpp"
#include "rlcore/twofold_rows.hpp"

namespace rlcore {
namespace {

/// Bounds are formed from few numbers, each rounded at most so often.
constexpr double kOutward = 1.0 + 32.0 * kUnitRoundoff;

constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();

/// The largest of what is lost to the rounding of each field, and of the values' magnitudes.
struct Magnitudes {
  double value_rounding = 0.0;
  double action_value_rounding = 0.0;
  double advantage_rounding = 0.0;
  double value = 0.0;

  void include(const Magnitudes& other) {
    value_rounding = std::max(value_rounding, other.value_rounding);
    action_value_rounding = std::max(action_value_rounding, other.action_value_rounding);
    advantage_rounding = std::max(advantage_rounding, other.advantage_rounding);
    value = std::max(value, other.value);
  }
};

bool leads_to_a_value(const Row& row, const TwofoldVector& value) {
  for (Index k = 0; k < row.length; ++k) {
    if (row.probability[k] > 0.0 && std::isnan(value[at(row.column[k])].hi)) return false;
  }
  return true;
}

/// sum_s' P(s'|s,a) + termination(s,a), as they are stored.
Twofold whole_row(const Mdp& mdp, Index pair) {
  const Row row = mdp.row(pair);
  TwofoldSum sum;
  for (Index k = 0; k < row.length; ++k) sum.add_product({row.probability[k]}, 1.0);
  if (!mdp.termination().empty()) sum.add_product({mdp.termination()[at(pair)]}, 1.0);
  return sum.total();
}

class ActionValues {
 public:
  ActionValues(const Mdp& mdp, ConstVector reward, const UndiscountedValues& values, bool remainders, Evaluation& out)
      : mdp_(mdp), reward_(reward), values_(values), remainders_(remainders), out_(out), rows_(twofold_rows()) {
    if (!remainders) return;
    out.rest_of_action_value.low.resize(at(mdp.num_pairs()));
    out.rest_of_advantage.low.resize(at(mdp.num_pairs()));
  }

  Magnitudes of_state(Index state) const {
    const Twofold v = values_.value[at(state)];
    Magnitudes found;
    out_.value[at(state)] = std::isnan(v.hi) ? kNaN : v.hi;
    if (!std::isnan(v.hi)) found = {std::fabs(v.lo), 0.0, 0.0, std::fabs(v.hi)};
    const Twofold gain = values_.gain != nullptr ? (*values_.gain)[at(state)] : Twofold{};
    for (Index pair = mdp_.first_pair(state); pair < mdp_.first_pair(state + 1); ++pair) {
      found.include(of_pair(pair, v, gain));
    }
    return found;
  }

 private:
  Magnitudes of_pair(Index pair, Twofold v, Twofold gain) const {
    const auto i = at(pair);
    out_.action_value[i] = out_.advantage[i] = kNaN;
    const Row row = mdp_.row(pair);
    if (!leads_to_a_value(row, values_.value)) return {};
    const Twofold ahead = rows_.dot(row, values_.value.data());
    const Twofold earned = Twofold{reward_[i]} - gain;
    if (std::isnan(v.hi)) {  // the state has no value, but the action leads out for good
      const Twofold q = ahead + earned;
      out_.action_value[i] = q.hi;
      if (remainders_) out_.rest_of_action_value.low[i] = q.lo;
      return {0.0, std::fabs(q.lo), 0.0, 0.0};
    }
    const Twofold a = (ahead - whole_row(mdp_, pair) * v) + earned;
    const Twofold q = a + v;
    out_.advantage[i] = a.hi;
    out_.action_value[i] = q.hi;
    if (remainders_) {
      out_.rest_of_advantage.low[i] = a.lo;
      out_.rest_of_action_value.low[i] = q.lo;
    }
    return {0.0, std::fabs(q.lo), std::fabs(a.lo), 0.0};
  }

  const Mdp& mdp_;
  ConstVector reward_;
  const UndiscountedValues& values_;
  bool remainders_;
  Evaluation& out_;
  const TwofoldRows& rows_;
};

/// Q and A of a state, which has a value as all others have, in doubles.
void put_in_doubles(const Mdp& mdp, Index state, ConstVector reward, double gain, Evaluation& out) {
  const ConstVector value = out.value;
  const double v = value[at(state)];
  for (Index pair = mdp.first_pair(state); pair < mdp.first_pair(state + 1); ++pair) {
    const Row row = mdp.row(pair);
    row.prefetch_next();
    double ahead = 0.0;
    for (Index k = 0; k < row.length; ++k) ahead += row.probability[k] * (value[at(row.column[k])] - v);
    if (!mdp.termination().empty()) ahead -= mdp.termination()[at(pair)] * v;
    const double a = ahead + (reward[at(pair)] - gain);
    out.advantage[at(pair)] = a;
    out.action_value[at(pair)] = a + v;
  }
}

/// V, Q and A in doubles, if all states have values.
Magnitudes action_values_in_doubles(const Mdp& mdp, ConstVector reward, const UndiscountedValues& values,
                                    double rounding, double largest, Evaluation& out, Team& team) {
  team.for_blocks(mdp.num_states(), kBlock, [&](Index first, Index last, Index) {
    for (auto s = at(first); s < at(last); ++s) out.value[s] = values.value[s].hi;
  });
  team.for_blocks(mdp.num_states(), kBlock, [&](Index first, Index last, Index) {
    for (Index state = first; state < last; ++state) {
      put_in_doubles(mdp, state, reward, values.gain != nullptr ? (*values.gain)[at(state)].hi : 0.0, out);
    }
  });
  return {rounding_of(values.value, team).largest(), rounding, rounding, largest};
}

Magnitudes twofold_action_values(const Mdp& mdp, ConstVector reward, const UndiscountedValues& values, bool remainders,
                                 Evaluation& out, Team& team) {
  std::vector<Magnitudes> partial(at(num_blocks(mdp.num_states())));
  const ActionValues action_values(mdp, reward, values, remainders, out);
  team.for_blocks(mdp.num_states(), kBlock, [&](Index first, Index last, Index block) {
    for (Index state = first; state < last; ++state) partial[at(block)].include(action_values.of_state(state));
  });
  Magnitudes all;
  for (const Magnitudes& part : partial) all.include(part);
  return all;
}

}  // namespace

Evaluation undiscounted_evaluation(const Mdp& mdp, ConstVector reward, const UndiscountedValues& values,
                                   bool remainders, Team& team) {
  Evaluation out;
  out.value = unset<Doubles>(mdp.num_states());
  out.action_value = unset<Doubles>(mdp.num_pairs());
  out.advantage = unset<Doubles>(mdp.num_pairs());
  const double scale = extent_of(reward, team).largest();
  const Extent of_values = extent_of(values.value, team);
  const double rounding = rounding_in_doubles(mdp, 2.0 * of_values.largest() + 2.0 * scale);
  const bool in_doubles = !remainders && of_values.finite() && is_small_beside(values.relative_error, rounding);
  const Magnitudes all = in_doubles
                             ? action_values_in_doubles(mdp, reward, values, rounding, of_values.largest(), out, team)
                             : twofold_action_values(mdp, reward, values, remainders, out, team);

  const double magnitude = 2.0 * all.value + 2.0 * scale;
  const Index terms = mdp.max_row_length() + 2;
  const double arithmetic = arithmetic_error(terms, 2.0 * magnitude);
  const double whole = mdp.row_sum().upper + kRowTolerance + (mdp.can_end() ? 1.0 : 0.0);
  const double of_advantage = (1.0 + whole) * values.relative_error + values.gain_error + arithmetic;
  out.bounds.value = (values.error + all.value_rounding) * kOutward;
  out.bounds.advantage = (of_advantage + all.advantage_rounding) * kOutward;
  out.bounds.action_value = (of_advantage + values.error + all.action_value_rounding) * kOutward;
  out.rest_of_advantage.bound = of_advantage * kOutward;
  out.rest_of_action_value.bound = (of_advantage + values.error) * kOutward;
  return out;
}

}  // namespace rlcore
