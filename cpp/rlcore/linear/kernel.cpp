#include "rlcore/linear/kernel.hpp"

#include <algorithm>
#include <utility>

#include "rlcore/errors.hpp"
#include "rlcore/format.hpp"
#include "rlcore/side_by_side.hpp"
#include "rlcore/twofold_rows.hpp"

namespace rlcore::linear {
namespace {

std::vector<const TwofoldVector*> answers(std::span<const Attempt> attempts) {
  std::vector<const TwofoldVector*> x;
  for (const Attempt& attempt : attempts) x.push_back(&attempt.x);
  return x;
}

/// The residuals of a state: b and `rest`, rounded once.
template <class Number>
void put_residuals(std::span<const Attempt> attempts, std::size_t state, const TwofoldOf<Number>& rest) {
  TwofoldOf<Number> b;
  for (std::size_t k = 0; k < attempts.size(); ++k) set_lane(b, k, attempts[k].b[state]);
  const Number residual = (b + rest).rounded();
  for (std::size_t k = 0; k < attempts.size(); ++k) attempts[k].residual[state] = lane(residual, k);
}

/// sum_s' P_pi(s'|s) x(s'), formed from what every pair has ahead of it, which is left where it is wanted.
template <class Number>
RLCORE_INLINE Number put_ahead(const Chain& chain, std::span<const Attempt> attempts, Index state, const Number* x) {
  Number over_actions{};
  for (Index pair = chain.mdp().first_pair(state); pair < chain.mdp().first_pair(state + 1); ++pair) {
    const Number ahead = chain.mdp().row(pair).dot(x);
    for (std::size_t k = 0; k < attempts.size(); ++k) {
      if (!attempts[k].ahead.empty()) attempts[k].ahead[at(pair)] = lane(ahead, k);
    }
    const double weight = chain.policy()[at(pair)];
    if (weight != 0.0) over_actions += weight * ahead;
  }
  return over_actions;
}

/// The same from the high part of b.
template <class Number>
void put_residuals_in_doubles(std::span<const Attempt> attempts, std::size_t state, const Number& rest) {
  for (std::size_t k = 0; k < attempts.size(); ++k) {
    attempts[k].residual[state] = attempts[k].b[state].hi + lane(rest, k);
  }
}

}  // namespace

Kernel::Kernel(const Chain& chain, double discount) : chain_(chain), discount_(discount) {
  if (!(discount >= 0.0 && discount < 1.0)) {
    throw SettingError("gamma", {}, "expected 0 <= gamma < 1, got " + format(discount));
  }
  if (!(deficit().lower > 0.0)) {
    throw SettingError("gamma", {},
                       "expected gamma times the largest sum of a row below 1, got gamma = " + format(discount) +
                           " with a sum of " + format(chain.mdp().row_sum().upper) + "; pass normalize=True to MDP");
  }
}

Kernel::Kernel(const Chain& chain, std::vector<char> stops, Team& team, SharedFronts* fronts)
    : chain_(chain), fronts_(fronts), stops_(std::move(stops)) {
  sum_rows(team);
  count_arrivals(team);
}

/// Undiscounted answers are worth long times times their residuals: the bound of these must be sharp.
void Kernel::count_arrivals(Team& team) {
  using Counts = std::vector<std::int32_t, LargeAllocator<std::int32_t>>;
  const Index num_parts = std::min<Index>(4, num_blocks(size()));
  std::vector<Counts> parts(at(num_parts));
  team.for_blocks(num_parts, 1, [&](Index part, Index, Index) {
    Counts& count = parts[at(part)];
    count.resize(at(size()));
    for (Index state = size() * part / num_parts; state < size() * (part + 1) / num_parts; ++state) {
      chain_.for_chosen_pairs(state, [&](Index pair, double) {
        const Row row = chain_.mdp().row(pair);
        row.prefetch_next();
        for (Index k = 0; k < row.length; ++k) {
          prefetch(&count[at(row.upcoming(k))]);
          ++count[at(row.column[k])];
        }
      });
    }
  });
  for (std::size_t state = 0; state < at(size()); ++state) {
    Index arrivals = 0;
    for (const Counts& count : parts) arrivals += count[state];
    most_arrivals_ = std::max(most_arrivals_, arrivals);
  }
}

std::optional<Index> Kernel::only_stop() const {
  if (std::count(stops_.begin(), stops_.end(), 1) != 1) return std::nullopt;
  return std::find(stops_.begin(), stops_.end(), 1) - stops_.begin();
}

/// The whole of each row, exactly, and its part off the diagonal. States that stop the process have no diagonal.
void Kernel::sum_rows(Team& team) {
  const Mdp& mdp = chain_.mdp();
  leaving_.resize(at(size()));
  leaving_rounded_.resize(at(size()));
  team.for_blocks(size(), kBlock, [&](Index first, Index last, Index) {
    for (Index state = first; state < last; ++state) {
      if (stops_at(state)) {
        leaving_[at(state)] = {1.0};
        leaving_rounded_[at(state)] = 1.0;
        continue;
      }
      TwofoldSum whole;
      TwofoldSum elsewhere;
      chain_.for_chosen_pairs(state, [&](Index pair, double chosen) {
        const Row row = mdp.row(pair);
        for (Index k = 0; k < row.length; ++k) {
          whole.add_product({chosen}, row.probability[k]);
          if (row.column[k] != state) elsewhere.add_product({chosen}, row.probability[k]);
        }
        if (mdp.termination().empty()) return;
        whole.add_product({chosen}, mdp.termination()[at(pair)]);
        elsewhere.add_product({chosen}, mdp.termination()[at(pair)]);
      });
      leaving_[at(state)] = whole.total();
      leaving_rounded_[at(state)] = elsewhere.total().rounded();
    }
  });
}

void Kernel::residuals(Direction direction, std::span<const Attempt> attempts, Team& team) const {
  with_lanes(attempts.size(), [&]<class Number>() {
    if (direction == Direction::kForward) {
      residuals_forward<Number>(attempts, team);
    } else {
      residuals_transposed<Number>(attempts, team);
    }
  });
}

/// What a step earns of x: none of it where the process stops. x itself, if it holds nothing there.
template <class Number>
std::span<const TwofoldOf<Number>> Kernel::entered(std::span<const TwofoldOf<Number>> x,
                                                   Buffer<TwofoldOf<Number>>& storage, Team& team) const {
  std::vector<char> changes(at(num_blocks(size())), 0);
  if (!stops_.empty()) {
    team.for_blocks(size(), kBlock, [&](Index first, Index last, Index block) {
      for (auto i = at(first); i < at(last); ++i) {
        if (stops_[i] != 0 && !(is_zero(x[i].hi) && is_zero(x[i].lo))) changes[at(block)] = 1;
      }
    });
  }
  if (std::find(changes.begin(), changes.end(), 1) == changes.end()) return x;
  storage = Buffer<TwofoldOf<Number>>(size());
  team.for_blocks(size(), kBlock, [&](Index first, Index last, Index) {
    for (Index i = first; i < last; ++i) storage[i] = stops_at(i) ? TwofoldOf<Number>{} : x[at(i)];
  });
  return {storage.data(), x.size()};
}

template <class Number>
void Kernel::residuals_forward(std::span<const Attempt> attempts, Team& team) const {
  const SideBySide<Number> x(answers(attempts), team);
  Buffer<TwofoldOf<Number>> storage;
  const TwofoldOf<Number>* const next = entered<Number>(x.numbers(), storage, team).data();
  team.for_blocks(size(), kBlock, [&](Index first, Index last, Index) {
    for (Index state = first; state < last; ++state) {
      const auto s = at(state);
      const TwofoldOf<Number> ahead = chain_.mean_ahead(state, next);
      const TwofoldOf<Number> here = x[s];
      put_residuals(attempts, s, is_discounted() ? ahead * discount_ - here : ahead - whole_row<Number>(s) * here);
    }
  });
}

template <class Number>
void Kernel::residuals_transposed(std::span<const Attempt> attempts, Team& team) const {
  const SideBySide<Number> x(answers(attempts), team);
  const Numbers<TwofoldOf<Number>> arrived = chain_.arrivals<Number>(discount_, x.numbers(), team);
  team.for_blocks(size(), kBlock, [&](Index first, Index last, Index) {
    for (Index state = first; state < last; ++state) {
      const auto s = at(state);
      const TwofoldOf<Number> here = x[s];
      if (is_discounted()) {
        put_residuals(attempts, s, arrived[s] - here);
      } else {
        put_residuals(attempts, s, stops_at(state) ? -here : arrived[s] - whole_row<Number>(s) * here);
      }
    }
  });
}

std::vector<double> Kernel::residuals_in_doubles(Direction direction, std::span<const Attempt> attempts,
                                                 std::span<const double> scales, Team& team) const {
  return with_lanes(attempts.size(), [&]<class Number>() {
    return direction == Direction::kForward ? forward_in_doubles<Number>(attempts, scales, team)
                                            : transposed_in_doubles<Number>(attempts, scales, team);
  });
}

template <class Number>
std::vector<double> Kernel::forward_in_doubles(std::span<const Attempt> attempts, std::span<const double> scales,
                                               Team& team) const {
  const Numbers<Number> x = high_parts<Number>(answers(attempts), team);
  const bool wanted = std::any_of(attempts.begin(), attempts.end(), [](const Attempt& a) { return !a.ahead.empty(); });
  team.for_blocks(size(), kBlock, [&](Index first, Index last, Index) {
    for (Index state = first; state < last; ++state) {
      const auto s = at(state);
      const Number ahead =
          wanted ? put_ahead(chain_, attempts, state, x.data()) : chain_.mean_ahead_in_doubles(state, x.data());
      put_residuals_in_doubles(attempts, s, discount_ * ahead - x[s]);
    }
  });
  std::vector<double> errors;
  for (const double scale : scales) errors.push_back(chain_.residual_error_in_doubles(scale));
  return errors;
}

template <class Number>
std::vector<double> Kernel::transposed_in_doubles(std::span<const Attempt> attempts, std::span<const double> scales,
                                                  Team& team) const {
  const Numbers<Number> x = high_parts<Number>(answers(attempts), team);
  const Chain::RoundedArrivals<Number> arrived = chain_.arrivals_in_doubles<Number>(discount_, x, team);
  team.for_blocks(size(), kBlock, [&](Index first, Index last, Index) {
    for (auto s = at(first); s < at(last); ++s) put_residuals_in_doubles(attempts, s, arrived.value[s] - x[s]);
  });
  std::vector<double> errors;
  for (std::size_t k = 0; k < attempts.size(); ++k) {
    errors.push_back(lane(arrived.error, k) + chain_.residual_error_in_doubles_transposed(scales[k]));
  }
  return errors;
}

double Kernel::residual_error(Direction direction, double scale) const {
  if (is_discounted()) {
    return direction == Direction::kForward ? chain_.residual_error(scale) : chain_.residual_error_transposed(scale);
  }
  // A row is summed once more, which costs no more than it did before.
  return 2.0 * (direction == Direction::kForward ? chain_.residual_error(scale)
                                                 : chain_.residual_error_transposed(scale, most_arrivals_));
}

System Kernel::frame(Direction direction, Team& team) const {
  return {
      .matrix = {},
      .discount = discount_,
      .direction = direction,
      .conserves = is_discounted() && chain_.conserves(),
      .amplification = is_discounted() ? 1.0 / deficit().lower : 1.0,
      .team = &team,
  };
}

System Kernel::assemble(Direction direction, Team& team) const {
  System system = frame(direction, team);
  if (!is_discounted()) {
    system.matrix = jumps(direction, team);
  } else if (direction == Direction::kForward) {
    system.matrix = chain_.transition(team);
  } else {
    system.matrix = chain_.transposed_transition(team);
  }
  return system;
}

Doubles Kernel::ending(Team& team) const {
  const Mdp& mdp = chain_.mdp();
  Doubles ending(at(size()));
  team.for_blocks(size(), kBlock, [&](Index first, Index last, Index) {
    for (Index state = first; state < last; ++state) {
      TwofoldSum sum;
      chain_.for_chosen_pairs(state, [&](Index pair, double chosen) {
        const Row row = mdp.row(pair);
        for (Index k = 0; k < row.length; ++k) {
          if (stops_at(row.column[k])) sum.add_product({chosen}, row.probability[k]);
        }
        if (!mdp.termination().empty()) sum.add_product({chosen}, mdp.termination()[at(pair)]);
      });
      ending[at(state)] = sum.total().rounded() / leaving_rounded_[at(state)];
    }
  });
  return ending;
}

/// J(s, s') = P_pi(s'|s) / D(s) off the diagonal, nothing on it or into states that stop; or its transpose.
CsrMatrix Kernel::jumps(Direction direction, Team& team) const {
  const bool forward = direction == Direction::kForward;
  CsrMatrix matrix = forward ? chain_.transition(team) : chain_.transposed_transition(team);
  std::vector<Index> entries(at(num_blocks(size())));
  team.for_blocks(size(), kBlock, [&](Index first, Index last, Index block) {
    for (Index row = first; row < last; ++row) {
      Index end = matrix.first[row];
      for (Index k = matrix.first[row]; k < matrix.first[row] + matrix.length[row]; ++k) {
        const Index from = forward ? row : matrix.column[k];
        const Index to = forward ? matrix.column[k] : row;
        if (from == to || stops_at(to) || matrix.value[k] == 0.0) continue;
        matrix.column[end] = matrix.column[k];
        matrix.value[end++] = matrix.value[k] / leaving_rounded_[at(from)];
      }
      matrix.length[row] = static_cast<std::int32_t>(end - matrix.first[row]);
      entries[at(block)] += matrix.length[row];
    }
  });
  matrix.num_entries = 0;
  for (const Index count : entries) matrix.num_entries += count;
  return matrix;
}

}  // namespace rlcore::linear
