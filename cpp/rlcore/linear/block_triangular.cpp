// Block triangular solution: chains that fall apart into many small components, such as episodic models in stages.
//
// Components are solved in topological order. When the turn of one comes, all else that its equations need is known,
// and its own block of I - discount M is solved by LU factors. The diagonal dominates, so rows are never exchanged,
// and fill stays within each row's profile: from its first column to the last of all rows so far. States are numbered
// breadth first within their component, which keeps the profiles of local components, such as small grids, narrow.
//
// Components of the same level, the length of the longest way through components that they need, are independent.
#include <algorithm>
#include <array>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "rlcore/components.hpp"
#include "rlcore/linear/method.hpp"

namespace rlcore::linear {
namespace {

constexpr std::string_view kName = "block triangular";
constexpr Index kLargestComponent = 500;
constexpr Index kMostFactors = Index{1} << 28;  // numbers: seconds to compute, with such components
constexpr Index kMostHeld = Index{1} << 24;     // beyond, computing factors anew costs less than so much memory
constexpr Index kBatch = Index{1} << 20;        // numbers that stay in cache until they are used
constexpr Index kTogether = 4;    // rows of a component whose profiles end together, to be subtracted in one pass
constexpr Index kAroundRow = 10;  // what the rest of a row costs, in numbers of the factors
constexpr Index kShares = 64;     // of parallel work: enough for any team to balance

using Positions = std::vector<Index, LargeAllocator<Index>>;
using Columns = std::vector<Column, LargeAllocator<Column>>;

/// Calls body(column, value) for the entries of a row that are not zero.
template <class Body>
void for_entries(const CsrMatrix& matrix, Index row, Body&& body) {
  for (Index k = matrix.first[row]; k < matrix.first[row] + matrix.length[row]; ++k) {
    if (matrix.value[k] != 0.0) body(matrix.column[k], matrix.value[k]);
  }
}

/// The level of each component: above all those that it needs.
Columns levels(const CsrMatrix& matrix, const Components& components) {
  Columns level(at(components.count()));
  Columns above(at(matrix.size), 0);  // by state, one more than its level once that is known
  for (Index component = 0; component < components.count(); ++component) {
    Column lowest = 0;
    for (const Column state : components.states(component)) {
      for_entries(matrix, state, [&](Column needed, double) { lowest = std::max(lowest, above[at(needed)]); });
    }
    for (const Column state : components.states(component)) above[at(state)] = lowest + 1;
    level[at(component)] = lowest;
  }
  return level;
}

/// The order in which states are solved: level by level, component by component.
class Order {
 public:
  Order(const CsrMatrix& matrix, const Components& components, Team& team)
      : state_(at(matrix.size)), position_(at(matrix.size), -1) {
    const Columns ranked = rank(components, levels(matrix, components));
    start_.reserve(ranked.size() + 1);
    for (const Column component : ranked) {
      start_.push_back(start_.back() + static_cast<Column>(components.states(component).size()));
    }
    team.for_blocks(num_components(), kBlock, [&](Index first, Index last, Index) {
      for (auto i = at(first); i < at(last); ++i) arrange(matrix, components, ranked[i], start_[i]);
    });
  }

  Index num_components() const { return static_cast<Index>(start_.size()) - 1; }

  /// Where a component begins, in states, and a level, in components.
  Index component_start(Index component) const { return start_[at(component)]; }
  Index level_start(Index level) const { return level_start_[at(level)]; }

  Column state(Index position) const { return state_[at(position)]; }
  Column position(Index state) const { return position_[at(state)]; }

 private:
  /// Components by level, and within a level as their first states come.
  Columns rank(const Components& components, const Columns& level) {
    level_start_.assign(at(*std::max_element(level.begin(), level.end()) + 2), 0);
    for (const Column l : level) ++level_start_[at(l + 1)];
    for (std::size_t l = 1; l < level_start_.size(); ++l) level_start_[l] += level_start_[l - 1];
    Columns next(level_start_.begin(), level_start_.end() - 1);
    Columns ranked(level.size());
    std::vector<char> seen(level.size(), 0);
    for (Index state = 0; state < static_cast<Index>(state_.size()); ++state) {
      const Index component = components.of(state);
      if (std::exchange(seen[at(component)], 1) != 0) continue;
      ranked[at(next[at(level[at(component)])]++)] = static_cast<Column>(component);
    }
    return ranked;
  }

  /// Puts a component's states in breadth-first order, beginning far from some other.
  void arrange(const CsrMatrix& matrix, const Components& components, Column component, Column begin) {
    const std::span<const Column> states = components.states(component);
    if (states.size() == 1) return put(states.front(), begin);
    const auto arrange_from = [&](Column root) {
      Column end = begin;
      put(root, end++);
      for (Column next = begin; next < end; ++next) {
        for_entries(matrix, state(next), [&](Column successor, double) {
          if (components.of(successor) == component && position(successor) < 0) put(successor, end++);
        });
      }
      return state(end - 1);
    };
    const Column far = arrange_from(states.front());
    for (const Column state : states) position_[at(state)] = -1;
    arrange_from(far);
  }

  void put(Column state, Column position) {
    state_[at(position)] = state;
    position_[at(state)] = position;
  }

  Columns state_;
  Columns position_;
  Columns start_{0};
  Columns level_start_;
};

/// The factors of all blocks of one direction's system.
class Blocks {
 public:
  Blocks(const System& system, const Components& components)
      : system_(system),
        order_(system.matrix, components, *system.team),
        left_(at(system.size())),
        right_(at(system.size())),
        start_(at(system.size() + 1), 0) {
    for_components(0, order_.num_components(), [&](Index c) { measure_component(block(c)); });
    for (std::size_t p = 0; p < left_.size(); ++p) start_[p + 1] = start_[p] + right_[p] - left_[p];
  }

  /// How many numbers the factors are.
  Index num_factors() const { return start_.back(); }

  /// Factorises, or leaves that to each solve if the factors are too many to hold.
  void prepare(Monitor& monitor) {
    inverse_pivot_.resize(at(system_.size()));
    divide();
    holds_all_ = num_factors() <= kMostHeld;
    factor_ = Buffer<double>(holds_all_ ? num_factors() : largest_batch_);
    if (!holds_all_) return;
    for (const Batch& batch : batches_) {
      factorise(batch);
      monitor.poll({kName, 0, 0.0, 0.0});
    }
  }

  /// Overwrites x.
  template <class Number>
  void solve(std::span<const Number> b, std::span<Number> x, Monitor& monitor) {
    std::fill(x.begin(), x.end(), Number{});  // what is not yet known must not count
    Numbers<Number> in_order(x.size());
    Index level = 0;
    for (const Batch& batch : batches_) {
      if (!holds_all_) factorise(batch);
      for (Index first = batch.first, last = first; first < batch.last; first = last) {
        while (order_.level_start(level + 1) <= first) ++level;
        last = std::min(batch.last, order_.level_start(level + 1));
        for_components(first, last, [&](Index c) { solve_component(block(c), b, x, in_order.data()); });
      }
      monitor.poll({kName, 0, 0.0, 0.0});
    }
  }

 private:
  /// The positions of a component's states, [first, last).
  struct Block {
    Index first;
    Index last;
    Index size() const { return last - first; }
    bool holds(Index position) const { return first <= position && position < last; }
  };
  Block block(Index component) const {
    return {order_.component_start(component), order_.component_start(component + 1)};
  }

  /// Components whose factors are computed together.
  struct Batch {
    Index first;
    Index last;
  };

  /// Divides the components into batches.
  void divide() {
    for (Index first = 0, last = 0; first < order_.num_components(); first = last) {
      while (last < order_.num_components() && work(first, last) < kBatch) ++last;
      batches_.push_back({first, last});
      largest_batch_ = std::max(largest_batch_, factors(first, last));
    }
  }

  void factorise(const Batch& batch) {
    if (!holds_all_) held_from_ = start_[at(order_.component_start(batch.first))];
    for_components(batch.first, batch.last, [&](Index c) { factorise_component(block(c)); });
  }

  /// Calls body(component) for independent components, in parallel if that pays.
  template <class Body>
  void for_components(Index first, Index last, Body&& body) {
    const auto for_range = [&](Index from, Index to, Index) {
      for (Index c = first + from; c < first + to; ++c) body(c);
    };
    if (work(first, last) < kParallelEntries) {
      for_range(0, last - first, 0);
    } else {
      system_.team->for_blocks(last - first, (last - first + kShares - 1) / kShares, for_range);
    }
  }

  /// What some components cost, in numbers of the factors.
  Index work(Index first, Index last) const {
    return factors(first, last) + kAroundRow * (order_.component_start(last) - order_.component_start(first));
  }

  /// How many numbers the factors of some components are.
  Index factors(Index first, Index last) const {
    return start_[at(order_.component_start(last))] - start_[at(order_.component_start(first))];
  }

  /// Finds the profiles of a component's rows.
  void measure_component(const Block& block) {
    Index right = block.first + 1;
    for (Index p = block.first; p < block.last; ++p) {
      Index left = p;
      if (block.size() > 1) {
        for_entries(system_.matrix, order_.state(p), [&](Column column, double) {
          const Index q = order_.position(column);
          if (!block.holds(q)) return;
          left = std::min(left, q);
          right = std::max(right, q + 1);
        });
      }
      left_[at(p)] = static_cast<Column>(together(block, left));
      right_[at(p)] = static_cast<Column>(right);
    }
    for (Index p = block.first; p < block.last; ++p) {
      right_[at(p)] = right_[at(std::min(together(block, p) + kTogether, block.last) - 1)];
    }
  }

  /// The first of the rows that go together with row p.
  static Index together(const Block& block, Index p) { return p - (p - block.first) % kTogether; }

  /// A row of the factors, to be indexed by positions from left_ to right_.
  double* row(Index p) { return factor_.data() + (start_[at(p)] - held_from_) - left_[at(p)]; }

  void factorise_component(const Block& block) {
    for (Index p = block.first; p < block.last; ++p) {
      load_row(block, p);
      Index q = left_[at(p)];
      for (; q + kTogether <= p; q += kTogether) eliminate_together(q, row(p));
      for (; q < p; ++q) eliminate(q, row(p));
      inverse_pivot_[at(p)] = 1.0 / row(p)[p];
    }
  }

  /// A row of I - discount M within its block.
  void load_row(const Block& block, Index p) {
    double* const values = row(p);
    std::fill(values + left_[at(p)], values + right_[at(p)], 0.0);
    values[p] = 1.0;
    const Column state = order_.state(p);
    for_entries(system_.matrix, state, [&](Column column, double value) {
      if (column == state) {
        values[p] -= system_.discount * value;
      } else if (block.size() > 1 && block.holds(order_.position(column))) {
        values[order_.position(column)] -= system_.discount * value;
      }
    });
  }

  /// Subtracts the multiple of row q that eliminates column q; the multiplier takes the column's place.
  void eliminate(Index q, double* values) {
    const double multiplier = values[q] *= inverse_pivot_[at(q)];
    const double* const upper = row(q);
    for (Index j = q + 1; j < right_[at(q)]; ++j) values[j] -= multiplier * upper[j];
  }

  /// The same for rows q to q + 3, whose profiles end together.
  void eliminate_together(Index q, double* values) {
    const std::array<const double*, kTogether> upper{row(q), row(q + 1), row(q + 2), row(q + 3)};
    for (Index i = 0; i < kTogether; ++i) {
      values[q + i] *= inverse_pivot_[at(q + i)];
      for (Index j = i + 1; j < kTogether; ++j) values[q + j] -= values[q + i] * upper[at(i)][q + j];
    }
    const auto [u0, u1, u2, u3] = upper;
    const double m0 = values[q], m1 = values[q + 1], m2 = values[q + 2], m3 = values[q + 3];
    for (Index j = q + kTogether; j < right_[at(q)]; ++j) {
      values[j] -= (m0 * u0[j] + m1 * u1[j]) + (m2 * u2[j] + m3 * u3[j]);
    }
  }

  /// Solves for the states of a component, in solving order in y.
  template <class Number>
  void solve_component(const Block& block, std::span<const Number> b, std::span<Number> x, Number* y) {
    if (block.size() == 1) {
      const auto state = at(order_.state(block.first));
      x[state] = inverse_pivot_[at(block.first)] * known_part<Number>(b, x, state);
      return;
    }
    for (Index p = block.first; p < block.last; ++p) {
      y[p] = known_part<Number>(b, x, at(order_.state(p))) - product(row(p), y, left_[at(p)], p);
    }
    for (Index p = block.last - 1; p >= block.first; --p) {
      y[p] = inverse_pivot_[at(p)] * (y[p] - product(row(p), y, p + 1, right_[at(p)]));
    }
    for (Index p = block.first; p < block.last; ++p) x[at(order_.state(p))] = y[p];
  }

  /// b + discount M x of one state, as far as x is known.
  template <class Number>
  Number known_part(std::span<const Number> b, std::span<const Number> x, std::size_t state) const {
    Number sum{};
    for_entries(system_.matrix, static_cast<Index>(state),
                [&](Column column, double value) { sum += value * x[at(column)]; });
    return b[state] + system_.discount * sum;
  }

  /// The sum of values[q] y[q] over [begin, end), in four sums that need not wait for each other.
  template <class Number>
  static Number product(const double* values, const Number* y, Index begin, Index end) {
    std::array<Number, 4> sum{};
    Index q = begin;
    for (; q + 4 <= end; q += 4) {
      for (Index i = 0; i < 4; ++i) sum[at(i)] += values[q + i] * y[q + i];
    }
    for (; q < end; ++q) sum[0] += values[q] * y[q];
    return (sum[0] + sum[1]) + (sum[2] + sum[3]);
  }

  const System& system_;
  Order order_;
  Columns left_, right_;  // the profile: row p of the factors holds the columns from left_[p] to before right_[p]
  Positions start_;       // where it begins
  std::vector<Batch> batches_;
  Index largest_batch_ = 0;
  bool holds_all_ = false;  // all factors, or those of one batch after the other
  Index held_from_ = 0;     // the first number held
  Buffer<double> factor_;   // below the diagonal the multipliers, on it and above the eliminated rows
  Doubles inverse_pivot_;
};

class BlockTriangular final : public LaneMethod {
 public:
  BlockTriangular(Systems& systems, Direction direction, std::unique_ptr<Blocks> blocks) : systems_(systems) {
    blocks_[direction] = std::move(blocks);
  }

  std::vector<Outcome> solve_together(Direction direction, std::span<const Lane> lanes, Monitor& monitor) override {
    if (!blocks_[direction]) {
      // The components are the same, but all else goes the other way.
      const System& system = systems_[direction];
      auto blocks = std::make_unique<Blocks>(system, *strong_components(system.matrix));
      blocks->prepare(monitor);
      blocks_[direction] = std::move(blocks);
    }
    with_lanes(lanes.size(), [&]<class Number>() {
      const RightSides<Number> b(lanes, systems_.team());
      if constexpr (kLanesOf<Number> == 1) {
        blocks_[direction]->template solve<Number>(b.numbers(), lanes.front().x, monitor);
      } else {
        Numbers<Number> x(b.numbers().size());
        blocks_[direction]->template solve<Number>(b.numbers(), x, monitor);
        for (std::size_t k = 0; k < lanes.size(); ++k) take_lane<Number>(x, k, lanes[k].x, systems_.team());
      }
    });
    return std::vector<Outcome>(lanes.size(), Outcome{1});
  }

  bool is_direct() const override { return true; }

 private:
  Systems& systems_;
  ByDirection<std::unique_ptr<Blocks>> blocks_;
};

}  // namespace

Candidate make_block_triangular(Systems& systems, Direction wanted, Monitor& monitor) {
  const System& system = systems[wanted];
  const std::optional<Components> components = strong_components(system.matrix, kLargestComponent);
  if (!components) return {nullptr, "a component has more than " + std::to_string(kLargestComponent) + " states"};
  if (components->count() == 1) return {nullptr, "it is one component"};
  monitor.poll({kName, 0, 0.0, 0.0});
  auto blocks = std::make_unique<Blocks>(system, *components);
  if (blocks->num_factors() > kMostFactors) return {nullptr, "its components would take too long to factorise"};
  blocks->prepare(monitor);
  return {std::make_unique<BlockTriangular>(systems, wanted, std::move(blocks)), {}};
}

}  // namespace rlcore::linear
