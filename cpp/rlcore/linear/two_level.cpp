// Two-level aggregation: nearly decomposable chains, whose states form groups that are rarely left (Simon & Ando 1961;
// Courtois 1977).
//
// Let D be the groups' own blocks of A = I - discount M and E = D - A, the little that leads from group to group.
// Within a group the process settles before it leaves, so a solution nearly is, group by group, a multiple of one
// shape: a constant for values, the occupancies of the group on its own, 1' D^-1, for their transpose. With the shapes
// P and the weights Q', which are the shapes of the other direction, an approximation of A^-1 is found in two steps
// (Koury, McAllister & Stewart 1984; Stewart 1994, chapter 6):
//
//     aggregate:      z = (Q' A P)^-1 Q' r    how much of its shape each group holds
//     disaggregate:   y = D^-1 (r + E P z)    each group on its own, given what comes from the others
//
// It leaves errors the size of E, so that a few steps of GCR are enough, at any discount. To scale, Q' D P = I: then
// Q' A P = I - Q' E P is the system of a chain again, with the groups for states. It jumps where the process changes
// its group, and forgets as fast as groups differ, not as slowly as they are left. A method of the portfolio solves it.
#include <algorithm>
#include <array>
#include <chrono>
#include <memory>
#include <numeric>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "rlcore/linear/gcr.hpp"
#include "rlcore/linear/groups.hpp"
#include "rlcore/linear/method.hpp"
#include "rlcore/linear/portfolio.hpp"
#include "rlcore/linear/relabelling.hpp"

namespace rlcore::linear {
namespace {

constexpr std::string_view kName = "two-level aggregation";
/// Larger entries hold a group together: what to try, one after the other.
constexpr std::array<double, 3> kStrong{1e-3, 1e-2, 1e-5};

constexpr Index kLargestGroup = 500;   // states
constexpr double kMostWeak = 0.1;      // mean probability of changing the group
constexpr double kMostInverses = 1e8;  // numbers
constexpr double kMostWork = 1e10;     // multiplications: seconds
constexpr double kCoarseError = 1e-6;  // relative, of the groups' own system
constexpr double kSlack = 10.0;        // by which a method may miss that
constexpr Index kMostDirections = 4;
constexpr Index kMostIterations = 60;
constexpr double kReduction = 0.5;  // a step, on average over the last five, or the groups are none

using Positions = std::vector<Index, LargeAllocator<Index>>;

/// The same for states as for groups.
CsrMatrix transposed(const CsrMatrix& matrix) {
  const auto for_entries = [&](auto&& body) {
    for (Index row = 0; row < matrix.size; ++row) {
      for (Index k = matrix.first[row]; k < matrix.first[row] + matrix.length[row]; ++k) body(row, k);
    }
  };
  CsrMatrix result(matrix.size, matrix.num_entries);
  result.num_entries = matrix.num_entries;
  std::fill(result.length.data(), result.length.data() + matrix.size, 0);
  for_entries([&](Index, Index k) { ++result.length[matrix.column[k]]; });
  Index place = 0;
  for (Index row = 0; row < matrix.size; ++row) {
    result.first[row] = place;
    place += std::exchange(result.length[row], 0);
  }
  for_entries([&](Index row, Index k) {
    const Column target = matrix.column[k];
    const Index next = result.first[target] + result.length[target]++;
    result.column[next] = static_cast<Column>(row);
    result.value[next] = matrix.value[k];
  });
  return result;
}

/// The inverses of the groups' blocks of I - discount M.
class Inverses {
 public:
  Inverses(const System& system, const Groups& groups) : start_(at(groups.count() + 1), 0) {
    for (Index g = 0; g < groups.count(); ++g) {
      const auto size = std::ssize(groups.states(g));
      start_[at(g + 1)] = start_[at(g)] + size * size;
    }
    inverse_ = Buffer<double>(start_.back());
    for_groups(groups, *system.team, [&](Index g) {
      load(system, groups, g);
      invert(of(g), std::ssize(groups.states(g)));
    });
  }

  /// Adds to y the product with one group's inverse.
  template <class Number>
  void multiply(Index group, std::span<const Number> b, Number* y) const {
    const Index size = std::ssize(b);
    const double* column = inverse_.data() + start_[at(group)];
    for (Index j = 0; j < size; ++j, column += size) {
      for (Index i = 0; i < size; ++i) y[i] += column[i] * b[at(j)];
    }
  }

  /// Columns one after the other.
  const double* of(Index group) const { return inverse_.data() + start_[at(group)]; }

  /// Calls body(group) for all groups in parallel.
  template <class Body>
  static void for_groups(const Groups& groups, Team& team, Body&& body) {
    constexpr Index kShares = 128;  // enough for any team to balance
    team.for_blocks(groups.count(), (groups.count() + kShares - 1) / kShares, [&](Index first, Index last, Index) {
      for (Index group = first; group < last; ++group) body(group);
    });
  }

 private:
  double* of(Index group) { return inverse_.data() + start_[at(group)]; }

  void load(const System& system, const Groups& groups, Index group) {
    const CsrMatrix& m = system.matrix;
    const std::span<const Column> states = groups.states(group);
    const auto size = std::ssize(states);
    double* const block = of(group);
    std::fill(block, block + size * size, 0.0);
    for (Index i = 0; i < size; ++i) {
      const Column row = states[at(i)];
      block[i * size + i] = 1.0;
      for (Index k = m.first[row]; k < m.first[row] + m.length[row]; ++k) {
        const Index j = groups.position(m.column[k]) - groups.start(group);
        if (j < 0 || j >= size) continue;
        block[j * size + i] -= system.discount * m.value[k];
      }
    }
  }

  /// In place, by Gauss and Jordan, the same by rows as by columns. The diagonal dominates: nothing need be exchanged.
  static void invert(double* matrix, Index size) {
    for (Index k = 0; k < size; ++k) {
      double* const pivot_row = matrix + k * size;
      const double pivot = 1.0 / std::exchange(pivot_row[k], 1.0);
      for (Index j = 0; j < size; ++j) pivot_row[j] *= pivot;
      for (Index i = 0; i < size; ++i) {
        double* const row = matrix + i * size;
        if (i == k || row[k] == 0.0) continue;
        const double factor = std::exchange(row[k], 0.0);
        for (Index j = 0; j < size; ++j) row[j] -= factor * pivot_row[j];
      }
    }
  }

  Positions start_;
  Buffer<double> inverse_;
};

/// The shapes of solutions within the groups and the weights of right sides, by state.
struct Shapes {
  Doubles shape;
  Doubles weight;
  double least_mass = 0.0;  // of the occupancies of any group
};

Shapes find_shapes(const System& system, const Groups& groups, const Inverses& inverses) {
  const bool forward = system.direction == Direction::kForward;
  Shapes shapes{Doubles(at(system.size()), 1.0), Doubles(at(system.size()), 1.0)};
  Doubles& occupancy = forward ? shapes.weight : shapes.shape;
  Doubles mass(at(groups.count()));
  Inverses::for_groups(groups, *system.team, [&](Index g) {
    const std::span<const Column> states = groups.states(g);
    const double scale = 1.0 / static_cast<double>(states.size());
    const double* entry = inverses.of(g);
    for (const Column state : states) occupancy[at(state)] = 0.0;
    for (const Column column : states) {
      for (const Column row : states) occupancy[at(forward ? column : row)] += scale * *entry++;
    }
    mass[at(g)] = 0.0;
    for (const Column state : states) mass[at(g)] += occupancy[at(state)];
  });
  shapes.least_mass = *std::min_element(mass.begin(), mass.end());
  return shapes;
}

/// Calls body(column, value) for the entries of a row of discount M that lead to other groups.
template <class Body>
void for_weak_entries(const System& system, const Groups& groups, Index row, Body&& body) {
  const CsrMatrix& m = system.matrix;
  for (Index k = m.first[row]; k < m.first[row] + m.length[row]; ++k) {
    if (groups.of(m.column[k]) != groups.of(row) && m.value[k] != 0.0) body(m.column[k], system.discount * m.value[k]);
  }
}

/// The weak entries, by position, and what they sum to.
class Exchange {
 public:
  Exchange(const System& system, const Groups& groups) : start_(at(num_blocks(system.size()) + 1), 0) {
    Doubles mass(start_.size() - 1, 0.0);
    system.team->for_blocks(system.size(), kBlock, [&](Index first, Index last, Index block) {
      Index entries = 0;
      double sum = 0.0;
      for (Index p = first; p < last; ++p) {
        for_weak_entries(system, groups, groups.state(p), [&](Column, double value) {
          ++entries;
          sum += value;
        });
      }
      start_[at(block + 1)] = entries;
      mass[at(block)] = sum;
    });
    for (std::size_t block = 1; block < start_.size(); ++block) start_[block] += start_[block - 1];
    for (const double part : mass) mass_ += part;
  }

  double mass() const { return mass_; }

  /// E P: what comes to each position when the groups hold so much of their shapes.
  CsrMatrix from_shapes(const System& system, const Groups& groups, const Doubles& shape) const {
    CsrMatrix matrix(system.size(), start_.back());
    matrix.num_entries = start_.back();
    system.team->for_blocks(system.size(), kBlock, [&](Index first, Index last, Index block) {
      Index place = start_[at(block)];
      for (Index p = first; p < last; ++p) {
        matrix.first[p] = place;
        for_weak_entries(system, groups, groups.state(p), [&](Column column, double value) {
          matrix.column[place] = groups.of(column);
          matrix.value[place] = value * shape[at(column)];
          ++place;
        });
        matrix.length[p] = static_cast<std::int32_t>(place - matrix.first[p]);
      }
    });
    return matrix;
  }

 private:
  Positions start_;  // of blocks of positions
  double mass_ = 0.0;
};

using Entries = std::vector<std::pair<Column, double>>;

/// Puts a row's entries in order and adds up those that share a column.
void merge(Entries& row) {
  std::stable_sort(row.begin(), row.end(), [](const auto& a, const auto& b) { return a.first < b.first; });
  auto end = row.begin();
  for (const auto& [column, value] : row) {
    if (end != row.begin() && (end - 1)->first == column) {
      (end - 1)->second += value;
    } else {
      *end++ = {column, value};
    }
  }
  row.erase(end, row.end());
}

/// Q' E P from E P: weighted sums of the rows of each group.
CsrMatrix jumps(const CsrMatrix& from_shapes, const Groups& groups, const Doubles& weight, Team& team) {
  CsrMatrix matrix(groups.count(), from_shapes.num_entries);
  Positions entries(at(num_blocks(groups.count())));
  team.for_blocks(groups.count(), kBlock, [&](Index first, Index last, Index block) {
    const Index begin = from_shapes.first[groups.start(first)];
    Index place = begin;
    Entries row;
    for (Index g = first; g < last; ++g) {
      row.clear();
      for (Index p = groups.start(g); p < groups.start(g + 1); ++p) {
        for (Index k = from_shapes.first[p]; k < from_shapes.first[p] + from_shapes.length[p]; ++k) {
          row.emplace_back(from_shapes.column[k], weight[at(groups.state(p))] * from_shapes.value[k]);
        }
      }
      merge(row);
      matrix.first[g] = place;
      matrix.length[g] = static_cast<std::int32_t>(row.size());
      for (const auto& [column, value] : row) {
        matrix.column[place] = column;
        matrix.value[place++] = value;
      }
    }
    entries[at(block)] = place - begin;
  });
  matrix.num_entries = std::accumulate(entries.begin(), entries.end(), Index{0});
  return matrix;
}

/// Lets the methods within another ask whether to go on, but not report as if they were the whole.
Monitor muted(Monitor& monitor) {
  const auto ask = [&monitor](const Progress&) { monitor.poll({kName, 0, 0.0, 0.0}); };
  return Monitor(ask, std::chrono::milliseconds(0));
}

/// A few steps of GCR, in one direction: for groups that mix fast, or hardly exchange anything. What is slow is then
/// one mode at most. Sweeps show it, and each step adds so much of it that the sum of the residual would vanish.
class FewSteps final : public LaneMethod {
 public:
  explicit FewSteps(const System& system) : system_(system), slow_(at(system.size()), 1.0) {
    constexpr Index kSweeps = 8;
    const Doubles zero(slow_.size(), 0.0);
    Doubles image(slow_.size());
    for (Index sweep = 0; sweep < kSweeps; ++sweep) {
      const double sum = system_.sweep(zero, slow_, image).value.l1;
      if (!(sum > 0.0)) break;
      for (std::size_t i = 0; i < slow_.size(); ++i) slow_[i] = image[i] / sum;
    }
    system_.apply(slow_, image);
    const double sum = std::accumulate(image.begin(), image.end(), 0.0);
    for (double& value : slow_) value /= sum;
  }

  std::vector<Outcome> solve_together(Direction, std::span<const Lane> lanes, Monitor& monitor) override {
    return with_lanes(lanes.size(), [&]<class Number>() {
      const auto add_slow = [this](std::span<const Number> r, std::span<Number> y) {
        const Number sum = std::accumulate(r.begin(), r.end(), Number{});
        for (std::size_t i = 0; i < y.size(); ++i) y[i] = r[i] + slow_[i] * sum;
      };
      return GcrSolver<Number>{kName, system_, add_slow, kMostSteps, kMostSteps, kReduction}.solve(lanes, monitor);
    });
  }

 private:
  static constexpr Index kMostSteps = 25;

  const System& system_;
  Doubles slow_;
};

/// The system of the groups, and the first method that solves it.
class CoarseSystem {
 public:
  explicit CoarseSystem(System system)
      : system_(std::move(system)),
        direction_(system_.direction),
        systems_(system_.size(), *system_.team, [this](Direction direction) {
          if (direction == direction_) return std::move(system_);
          const System& other = systems_[direction_];
          return System{transposed(other.matrix), other.discount, direction, false, other.amplification, other.team};
        }) {}

  /// Finds a method: few steps, or else one of the portfolio. False if none solves the system.
  bool choose_method(Monitor& monitor) {
    if (is_solved_by(std::make_unique<FewSteps>(system()), monitor)) return true;
    for (const Entry& entry : portfolio().first(portfolio().size() - 1)) {  // the last may take forever
      if (entry.local && !local_) local_.emplace(systems_, direction_);
      is_local_ = entry.local;
      Systems& systems = is_local_ ? local_->systems() : systems_;
      if (is_solved_by(entry.make(systems, direction_, monitor).method, monitor)) return true;
    }
    return false;
  }

  /// Overwrites each x. A right side of zeros is no system to solve.
  void solve(std::span<const Doubles> b, std::span<Doubles> x, Monitor& monitor) {
    std::vector<Lane> lanes;
    for (std::size_t k = 0; k < b.size(); ++k) {
      const Goal goal{kCoarseError, 0.0, system().residual_norm(b[k]), system().amplification};
      if (goal.initial == 0.0) {
        std::fill(x[k].begin(), x[k].end(), 0.0);
      } else {
        lanes.push_back({b[k], x[k], goal});
      }
    }
    if (lanes.empty()) return;
    if (is_local_) {
      local_->solve(*method_, direction_, lanes, monitor);
    } else {
      method_->solve_together(direction_, lanes, monitor);
    }
  }

 private:
  const System& system() { return systems_[direction_]; }

  /// Tries a method on a right side that tells groups apart.
  bool is_solved_by(std::unique_ptr<Method> method, Monitor& monitor) {
    if (!method) return false;
    method_ = std::move(method);
    Doubles b(at(system().size()));
    for (std::size_t i = 0; i < b.size(); ++i) b[i] = static_cast<double>((i * i + i / 3) % 7) - 2.0;
    Doubles x(b.size());
    Doubles residual(b.size());
    solve({&b, 1}, {&x, 1}, monitor);
    system().residual(b, x, residual);
    return system().residual_norm(residual) * system().amplification <= kSlack * kCoarseError * system().norm(x);
  }

  System system_;  // until systems_ has it
  Direction direction_;
  Systems systems_;
  std::optional<LocalSystems> local_;
  bool is_local_ = false;
  std::unique_ptr<Method> method_;
};

/// The two levels of one direction.
class TwoLevels {
 public:
  TwoLevels(const System& system, const Groups& groups, const Exchange& exchange)
      : system_(system),
        groups_(groups),
        inverses_(system, groups),
        shapes_(find_shapes(system, groups, inverses_)),
        from_shapes_(exchange.from_shapes(system, groups, shapes_.shape)),
        coarse_(coarse_system()) {}

  bool prepare(Monitor& monitor) {
    Monitor within = muted(monitor);
    return coarse_.choose_method(within);
  }

  std::vector<Outcome> solve(std::span<const Lane> lanes, Monitor& monitor) {
    Monitor within = muted(monitor);
    return with_lanes(lanes.size(), [&]<class Number>() {
      const auto precondition = [&](std::span<const Number> r, std::span<Number> y) {
        disaggregate<Number>(r, aggregate(r, lanes.size(), within), y);
      };
      return GcrSolver<Number>{kName, system_, precondition, kMostDirections, kMostIterations, kReduction}.solve(
          lanes, monitor);
    });
  }

 private:
  /// The groups' deficits are weighted sums of the states', with weights that sum to the group's mass.
  System coarse_system() const {
    return {
        .matrix = jumps(from_shapes_, groups_, shapes_.weight, *system_.team),
        .discount = 1.0,
        .direction = system_.direction,
        .conserves = false,
        .amplification = system_.amplification / shapes_.least_mass,
        .team = system_.team,
    };
  }

  /// z, from Q' r, of so many lanes.
  template <class Number>
  Numbers<Number> aggregate(std::span<const Number> r, std::size_t num_lanes, Monitor& monitor) {
    std::vector<Doubles> sums(num_lanes, Doubles(at(groups_.count())));
    Inverses::for_groups(groups_, *system_.team, [&](Index g) {
      Number sum{};
      for (Index p = groups_.start(g); p < groups_.start(g + 1); ++p) {
        const auto state = at(groups_.state(p));
        sum += shapes_.weight[state] * r[state];
      }
      for (std::size_t k = 0; k < num_lanes; ++k) sums[k][at(g)] = lane(sum, k);
    });
    std::vector<Doubles> held(num_lanes, Doubles(at(groups_.count())));
    coarse_.solve(sums, held, monitor);
    Numbers<Number> side_by_side(at(groups_.count()));
    interleave<Number>(std::vector<ConstVector>(held.begin(), held.end()), side_by_side, *system_.team);
    return side_by_side;
  }

  template <class Number>
  void disaggregate(std::span<const Number> r, const Numbers<Number>& held, std::span<Number> y) const {
    Inverses::for_groups(groups_, *system_.team, [&](Index g) {
      std::array<Number, kLargestGroup> right;
      std::array<Number, kLargestGroup> answer;
      const std::span<const Column> states = groups_.states(g);
      for (std::size_t i = 0; i < states.size(); ++i) {
        right[i] = r[at(states[i])] + from_shapes_.row_product(groups_.start(g) + static_cast<Index>(i), held.data());
        answer[i] = Number{};
      }
      inverses_.multiply<Number>(g, {right.data(), states.size()}, answer.data());
      for (std::size_t i = 0; i < states.size(); ++i) y[at(states[i])] = answer[i];
    });
  }

  const System& system_;
  const Groups& groups_;
  Inverses inverses_;
  Shapes shapes_;
  CsrMatrix from_shapes_;
  CoarseSystem coarse_;
};

class TwoLevel final : public LaneMethod {
 public:
  TwoLevel(Systems& systems, Groups groups) : systems_(systems), groups_(std::move(groups)) {}

  bool prepare(Direction direction, const Exchange& exchange, Monitor& monitor) {
    levels_[direction] = std::make_unique<TwoLevels>(systems_[direction], groups_, exchange);
    return levels_[direction]->prepare(monitor);
  }

  std::vector<Outcome> solve_together(Direction direction, std::span<const Lane> lanes, Monitor& monitor) override {
    if (!levels_[direction] && !prepare(direction, Exchange(systems_[direction], groups_), monitor)) {
      levels_[direction].reset();
      for (const Lane& lane : lanes) std::fill(lane.x.begin(), lane.x.end(), 0.0);
      return std::vector<Outcome>(lanes.size(), Outcome{0, true});
    }
    return levels_[direction]->solve(lanes, monitor);
  }

 private:
  Systems& systems_;
  Groups groups_;
  ByDirection<std::unique_ptr<TwoLevels>> levels_;
};

/// Whether inverting the groups' blocks takes too long, or too much memory.
bool is_costly(const Groups& groups) {
  double inverses = 0.0;
  double work = 0.0;
  for (Index g = 0; g < groups.count(); ++g) {
    const auto size = static_cast<double>(groups.states(g).size());
    inverses += size * size;
    work += size * size * size;
  }
  return inverses > kMostInverses || work > kMostWork;
}

Candidate make_for(Systems& systems, Groups groups, Direction wanted, Monitor& monitor) {
  const System& system = systems[wanted];
  if (groups.count() < 2 || 2 * groups.count() > system.size()) return {nullptr, "its states form no groups"};
  if (is_costly(groups)) return {nullptr, "its groups would take too long to invert"};
  const Exchange exchange(system, groups);
  if (exchange.mass() > kMostWeak * static_cast<double>(system.size())) {
    return {nullptr, "its groups are left too often"};
  }
  monitor.poll({kName, 0, 0.0, 0.0});
  auto method = std::make_unique<TwoLevel>(systems, std::move(groups));
  if (!method->prepare(wanted, exchange, monitor)) return {nullptr, "the system of its groups is too hard"};
  return {std::move(method), {}};
}

}  // namespace

Candidate make_two_level(Systems& systems, Direction wanted, Monitor& monitor) {
  std::string reason;
  const Moves moves(systems, wanted);
  for (const double strong : kStrong) {
    std::optional<Groups> groups;
    if (!Groups::hang_together(moves, strong, kLargestGroup)) {
      groups = Groups::find(systems[wanted], strong, kLargestGroup);
    }
    monitor.poll({kName, 0, 0.0, 0.0});
    if (!groups) {
      reason = "its states hang together";
      continue;
    }
    Candidate candidate = make_for(systems, std::move(*groups), wanted, monitor);
    if (candidate.method) return candidate;
    reason = std::move(candidate.reason);
  }
  return {nullptr, std::move(reason)};
}

}  // namespace rlcore::linear
