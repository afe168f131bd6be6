#include "rlcore/linear/reduction.hpp"

#include <algorithm>
#include <array>
#include <memory>
#include <utility>
#include <vector>

#include "rlcore/twofold_rows.hpp"

namespace rlcore::linear {
namespace {

/// What must lead out of a state. Underflow takes far less than the rounding of this from it.
constexpr double kLeast = 0x1p-900;

/// So many states are cut out of a row at a time: it is read and written once for all of them.
constexpr Index kTogether = 4;

using Shares = std::array<double, kTogether>;
using Rows = std::array<const double*, kTogether>;

/// rates += shares rows, from column `begin` on. The inner loop of the elimination: compiled twice, for vectors of two
/// numbers and of four, with the same bits.
RLCORE_INLINE void add_shares(const Shares& shares, const Rows& rows, double* rates, Index begin, Index end) {
  const auto [s0, s1, s2, s3] = shares;
  const auto [r0, r1, r2, r3] = rows;
  for (Index j = begin; j < end; ++j) rates[j] += (s0 * r0[j] + s1 * r1[j]) + (s2 * r2[j] + s3 * r3[j]);
}
using AddShares = void (*)(const Shares&, const Rows&, double*, Index, Index);

void add_shares_portably(const Shares& shares, const Rows& rows, double* rates, Index begin, Index end) {
  add_shares(shares, rows, rates, begin, end);
}
#if defined(__GNUC__) && defined(__x86_64__)
[[gnu::target("avx2")]] void add_shares_by_four(const Shares& shares, const Rows& rows, double* rates, Index begin,
                                                Index end) {
  add_shares(shares, rows, rates, begin, end);
}
AddShares add_shares_of_machine() {
  return __builtin_cpu_supports("avx2") != 0 ? add_shares_by_four : add_shares_portably;
}
#else
AddShares add_shares_of_machine() { return add_shares_portably; }
#endif

/// The jumps and endings in the order of the fronts: where a place leads, and who leads to it, among those cut out
/// later.
struct Arc {
  Column from;
  Column to;
  double rate;
};

class Arcs {
 public:
  Arcs(const System& forward, const Fronts& fronts) : start_(at(fronts.size() + 1), 0) {
    for_arcs(forward, fronts, [&](const Arc& arc) { ++start_[at(earlier(arc) + 1)]; });
    for (std::size_t i = 1; i < start_.size(); ++i) start_[i] += start_[i - 1];
    arcs_.resize(at(start_.back()));
    std::vector<Index> next(start_.begin(), start_.end() - 1);
    for_arcs(forward, fronts, [&](const Arc& arc) { arcs_[at(next[at(earlier(arc))]++)] = arc; });
  }

  /// Those of the places [first, last).
  std::span<const Arc> of(Index first, Index last) const {
    return {arcs_.data() + start_[at(first)], at(start_[at(last)] - start_[at(first)])};
  }

 private:
  static Column earlier(const Arc& arc) { return std::min(arc.from, arc.to); }

  template <class Body>
  static void for_arcs(const System& forward, const Fronts& fronts, Body&& body) {
    const CsrMatrix& m = forward.matrix;
    for (Index state = 0; state < m.size; ++state) {
      for (Index k = m.first[state]; k < m.first[state] + m.length[state]; ++k) {
        if (m.column[k] == state) continue;
        body(Arc{fronts.place(state), fronts.place(m.column[k]), forward.discount * m.value[k]});
      }
    }
  }

  std::vector<Index> start_;
  std::vector<Arc, LargeAllocator<Arc>> arcs_;
};

}  // namespace

/// Goes from front to front, of a branch or of the trunk. What a front leaves waits on a stack for the one that it
/// leaves to.
class Reduction::Elimination {
 public:
  Elimination(Reduction& reduction, const Arcs& arcs, ConstVector ending)
      : reduction_(reduction),
        fronts_(reduction.fronts()),
        arcs_(arcs),
        ending_(ending),
        position_(at(fronts_.size())) {}

  /// False if some place is left too rarely.
  bool eliminate(Index front) {
    assemble(front);
    if (!cut_out(front)) return false;
    store(front);
    return true;
  }

  /// Takes over what a branch has left.
  void take_left(const Elimination& branch) {
    left_.insert(left_.end(), branch.left_.begin(), branch.left_.end());
    rates_left_.insert(rates_left_.end(), branch.rates_left_.begin(), branch.rates_left_.end());
  }

 private:
  Index own(Index front) const { return reduction_.own(front); }

  /// The rates of a front's places: their own, and what the fronts before it have left to it. What stands on the
  /// diagonal is never read.
  void assemble(Index front) {
    const std::span<const Column> places = fronts_.places(front);
    width_ = std::ssize(places) + 1;
    rates_.assign(places.size() * at(width_), 0.0);
    for (std::size_t i = 0; i < places.size(); ++i) position_[at(places[i])] = static_cast<Column>(i);
    for (Index i = 0; i < own(front); ++i) row(i)[width_ - 1] = ending_[at(fronts_.state(places[at(i)]))];
    for (const Arc& arc : arcs_.of(fronts_.first(front), fronts_.first(front + 1))) {
      row(position_[at(arc.from)])[position_[at(arc.to)]] += arc.rate;
    }
    for (Column child = 0; child < fronts_.num_children(front); ++child) add_last_left();
  }

  void add_last_left() {
    const std::span<const Column> places = left_.back();
    const std::size_t begin = rates_left_.size() - places.size() * (places.size() + 1);
    const double* from = rates_left_.data() + begin;
    for (const Column place : places) {
      double* const to = row(position_[at(place)]);
      for (const Column other : places) to[position_[at(other)]] += *from++;
      to[width_ - 1] += *from++;
    }
    rates_left_.resize(begin);
    left_.pop_back();
  }

  /// Cuts the front's own places out, of one row after the other.
  bool cut_out(Index front) {
    const Index num_own = own(front);
    const Index num_places = std::ssize(fronts_.places(front));
    first_ = fronts_.first(front);
    for (Index i = 0; i < num_places; ++i) {
      const Index before = std::min(i, num_own);
      Index k = 0;
      for (; k + kTogether <= before; k += kTogether) pass_on_together(k, row(i));
      for (; k < before; ++k) pass_on(k, row(i));
      if (i < num_own && !set_pivot(i)) return false;
    }
    return true;
  }

  /// Who led to the k-th place leads where that leads; the share that went there takes the rate's place.
  void pass_on(Index k, double* rates) {
    const double share = rates[k] *= inverse_pivot(k);
    if (share == 0.0) return;
    const double* const cut = row(k);
    for (Index j = k + 1; j < width_; ++j) rates[j] += share * cut[j];
  }

  /// The same of the places k to k + 3.
  void pass_on_together(Index k, double* rates) {
    const Rows cut{row(k), row(k + 1), row(k + 2), row(k + 3)};
    for (Index i = 0; i < kTogether; ++i) {
      rates[k + i] *= inverse_pivot(k + i);
      for (Index j = i + 1; j < kTogether; ++j) rates[k + j] += rates[k + i] * cut[at(i)][k + j];
    }
    const std::array shares{rates[k], rates[k + 1], rates[k + 2], rates[k + 3]};
    if (shares != std::array<double, kTogether>{}) add_shares_(shares, cut, rates, k + kTogether, width_);
  }

  bool set_pivot(Index k) {
    TwofoldSum leaving;
    for (Index j = k + 1; j < width_; ++j) leaving.add_product({row(k)[j]}, 1.0);
    const Twofold pivot = leaving.total();
    reduction_.inverse_pivot_[at(first_ + k)] = quotient({1.0}, pivot);
    return pivot.hi >= kLeast;
  }
  double inverse_pivot(Index k) const { return reduction_.inverse_pivot_[at(first_ + k)].hi; }

  void store(Index front) {
    const Index num_own = own(front);
    const std::span<const Column> places = fronts_.places(front);
    double* to = reduction_.factor_.data() + reduction_.start_[at(front)];
    for (Index i = 0; i < num_own; ++i) to = std::copy_n(row(i), places.size(), to);
    for (Index i = num_own; i < std::ssize(places); ++i) to = std::copy_n(row(i), num_own, to);
    if (std::ssize(places) == num_own) return;
    left_.push_back(places.subspan(at(num_own)));
    for (Index i = num_own; i < std::ssize(places); ++i) {
      rates_left_.insert(rates_left_.end(), row(i) + num_own, row(i) + width_);
    }
  }

  double* row(Index i) { return rates_.data() + i * width_; }

  const AddShares add_shares_ = add_shares_of_machine();
  Reduction& reduction_;
  const Fronts& fronts_;
  const Arcs& arcs_;
  ConstVector ending_;
  Fronts::Columns position_;  // of a place in the front at work
  Index first_ = 0;           // the first place of that
  Index width_ = 0;
  Doubles rates_;  // (places x width): of the front, the ending last in a row
  // The stack: places beyond the fronts, and the rates among them, with the ending last in each row.
  std::vector<std::span<const Column>> left_;
  Doubles rates_left_;
};

Reduction::Reduction(std::shared_ptr<const Fronts> fronts)
    : fronts_(std::move(fronts)), inverse_pivot_(at(fronts_->size())) {
  for (Index front = 0; front < fronts_->count(); ++front) {
    const Index places = std::ssize(fronts_->places(front));
    start_.push_back(start_.back() + own(front) * places + (places - own(front)) * own(front));
  }
  factor_ = Buffer<double>(start_.back());
}

std::optional<Reduction> Reduction::of(const System& forward, ConstVector ending, std::shared_ptr<const Fronts> fronts,
                                       Monitor& monitor) {
  constexpr Index kFrontsBetweenPolls = 64;
  Reduction reduction(std::move(fronts));
  const Arcs arcs(forward, reduction.fronts());
  monitor.poll({"state reduction"});
  std::vector<std::unique_ptr<Elimination>> branches(reduction.fronts().branches().size());
  std::vector<char> done(branches.size(), 1);
  reduction.for_branches(*forward.team, [&](std::size_t k, Fronts::Branch branch) {
    branches[k] = std::make_unique<Elimination>(reduction, arcs, ending);
    for (Index front = branch.first; front < branch.last && done[k] != 0; ++front) {
      done[k] = branches[k]->eliminate(front) ? 1 : 0;
    }
  });
  if (std::count(done.begin(), done.end(), 0) > 0) return std::nullopt;
  Elimination trunk(reduction, arcs, ending);
  bool trunk_done = true;
  reduction.fronts().ascend([&](std::size_t k) { trunk.take_left(*std::exchange(branches[k], nullptr)); },
                            [&](Index front) {
                              if (front % kFrontsBetweenPolls == 0) monitor.poll({"state reduction", front});
                              trunk_done = trunk_done && trunk.eliminate(front);
                            });
  if (!trunk_done) return std::nullopt;
  return reduction;
}

template <class Body>
void Reduction::for_branches(Team& team, Body&& body) const {
  const std::span<const Fronts::Branch> branches = fronts_->branches();
  team.for_blocks(std::ssize(branches), 1, [&](Index k, Index, Index) { body(at(k), branches[at(k)]); });
}

/// The part of a row of the factors before the diagonal, or beyond the front the whole of it; and the part behind it.
Row Reduction::before(Index front, Index i) const {
  const std::span<const Column> places = fronts_->places(front);
  const Index num_own = own(front);
  const double* const rows = factor_.data() + start_[at(front)];
  if (i < num_own) return {places.data(), rows + i * std::ssize(places), i};
  return {places.data(), rows + num_own * std::ssize(places) + (i - num_own) * num_own, num_own};
}

Row Reduction::behind(Index front, Index i) const {
  const std::span<const Column> places = fronts_->places(front);
  const double* const rows = factor_.data() + start_[at(front)];
  return {places.data() + i + 1, rows + i * std::ssize(places) + i + 1, std::ssize(places) - i - 1};
}

template <class Number>
void Reduction::solve(Direction direction, std::span<TwofoldOf<Number>> x, Team& team) const {
  if (direction == Direction::kForward) {
    solve_forward<Number>(x, team);
  } else {
    solve_transposed<Number>(x, team);
  }
}

/// What is paid in places that are cut out counts where the process came from; then values are known from the last
/// place back. What branches add to places of the trunk waits until all of them are through: so sums are formed in one
/// order, however many threads there are.
template <class Number>
void Reduction::solve_forward(std::span<TwofoldOf<Number>> x, Team& team) const {
  const auto dot = twofold_rows_of<Number>().dot;
  const auto pay = [&](Index front, Column begin, Column end) {
    const std::span<const Column> places = fronts_->places(front);
    const auto first = std::lower_bound(places.begin(), places.end(), begin) - places.begin();
    for (Index i = first; i < std::ssize(places) && places[at(i)] < end; ++i) {
      TwofoldOf<Number>& paid = x[at(places[at(i)])];
      paid = paid + dot(before(front, i), x.data());
    }
  };
  const auto find_values = [&](Index front) {
    for (Index i = own(front) - 1; i >= 0; --i) {
      const auto place = at(fronts_->first(front) + i);
      x[place] = (x[place] + dot(behind(front, i), x.data())) * in_every_lane<Number>(inverse_pivot_[place]);
    }
  };
  const auto size = static_cast<Column>(fronts_->size());
  for_branches(team, [&](std::size_t, Fronts::Branch branch) {
    for (Index front = branch.first; front < branch.last; ++front) pay(front, 0, fronts_->first(branch.last));
  });
  ascend([&](Index front, Column end_of_branch) { pay(front, end_of_branch, size); });
  descend(team, find_values);
}

/// Who is in places that are cut out passes on to where they lead; then visits are known from the last place back.
template <class Number>
void Reduction::solve_transposed(std::span<TwofoldOf<Number>> x, Team& team) const {
  const auto scatter = twofold_rows_of<Number>().scatter;
  const auto joined = [](const TwofoldOf<Number>& parts) { return two_sum(parts.hi, parts.lo); };
  const auto leave = [&](std::size_t place) {
    x[place] = joined(x[place]) * in_every_lane<Number>(inverse_pivot_[place]);
  };
  const auto size = static_cast<Column>(fronts_->size());
  for_branches(team, [&](std::size_t, Fronts::Branch branch) {
    for (Index front = branch.first; front < branch.last; ++front) {
      for (Index i = 0; i < own(front); ++i) {
        const auto place = at(fronts_->first(front) + i);
        leave(place);
        scatter(x[place], behind(front, i).between(0, fronts_->first(branch.last)), x.data());
      }
    }
  });
  ascend([&](Index front, Column end_of_branch) {
    for (Index i = 0; i < own(front); ++i) {
      const auto place = at(fronts_->first(front) + i);
      if (end_of_branch == 0) leave(place);
      scatter(x[place], behind(front, i).between(end_of_branch, size), x.data());
    }
  });
  descend(team, [&](Index front) {
    const std::span<const Column> places = fronts_->places(front);
    for (Index i = std::ssize(places) - 1; i >= 0; --i) {
      TwofoldOf<Number>& visits = x[at(places[at(i)])];
      const TwofoldOf<Number> known = joined(visits);
      if (i < own(front)) visits = known;
      scatter(known, before(front, i), x.data());
    }
  });
}

/// Calls body(front, end) for all fronts in their order; of a branch only for those that reach beyond it: `end` is the
/// first place that does not belong to it, or 0 for fronts of the trunk.
template <class Body>
void Reduction::ascend(Body&& body) const {
  fronts_->ascend(
      [&](std::size_t k) {
        const Fronts::Branch branch = fronts_->branches()[k];
        const Column end = fronts_->first(branch.last);
        for (Index front = branch.first; front < branch.last; ++front) {
          if (fronts_->places(front).back() >= end) body(front, end);
        }
      },
      [&](Index front) { body(front, Column{0}); });
}

/// Calls body(front) for the fronts of the trunk in reverse order, then for those of the branches.
template <class Body>
void Reduction::descend(Team& team, Body&& body) const {
  std::vector<Index> trunk;
  fronts_->ascend([](std::size_t) {}, [&](Index front) { trunk.push_back(front); });
  for (auto front = trunk.rbegin(); front != trunk.rend(); ++front) body(*front);
  for_branches(team, [&](std::size_t, Fronts::Branch branch) {
    for (Index front = branch.last - 1; front >= branch.first; --front) body(front);
  });
}

template void Reduction::solve(Direction, std::span<TwofoldOf<double>>, Team&) const;
template void Reduction::solve(Direction, std::span<TwofoldOf<LaneArray<2>>>, Team&) const;
template void Reduction::solve(Direction, std::span<TwofoldOf<LaneArray<4>>>, Team&) const;
template void Reduction::solve(Direction, std::span<TwofoldOf<LaneArray<8>>>, Team&) const;

}  // namespace rlcore::linear
