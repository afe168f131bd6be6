#include "rlcore/linear/relabelling.hpp"

#include <cmath>
#include <cstdlib>

namespace rlcore::linear {
namespace {

using Columns = std::vector<Column, LargeAllocator<Column>>;
using Positions = std::vector<Index, LargeAllocator<Index>>;

/// Columns that are this far away on average are far, for a grid's are at about its side.
double far_away(Index size) { return 8.0 * std::sqrt(static_cast<double>(size)); }

/// A new order must bring columns so much nearer to be worth a copy of the matrix.
constexpr double kWorthwhile = 4.0;

/// The mean distance of a column from its row, when state i has the number number[i].
template <class Number>
double mean_distance(const CsrMatrix& matrix, Number&& number) {
  double sum = 0.0;
  for (Index row = 0; row < matrix.size; ++row) {
    for (Index k = matrix.first[row]; k < matrix.first[row] + matrix.length[row]; ++k) {
      sum += static_cast<double>(std::abs(number(row) - number(matrix.column[k])));
    }
  }
  return sum / static_cast<double>(std::max<Index>(matrix.num_entries, 1));
}

/// Who has an entry in the column of each state.
struct Predecessors {
  Positions start;
  Columns state;

  explicit Predecessors(const CsrMatrix& matrix) : start(at(matrix.size + 1), 0), state(at(matrix.num_entries)) {
    const auto for_entries = [&](auto&& body) {
      for (Index row = 0; row < matrix.size; ++row) {
        for (Index k = matrix.first[row]; k < matrix.first[row] + matrix.length[row]; ++k) body(row, matrix.column[k]);
      }
    };
    for_entries([&](Index, Column column) { ++start[at(column) + 1]; });
    for (std::size_t i = 1; i < start.size(); ++i) start[i] += start[i - 1];
    Positions next(start.begin(), start.end() - 1);
    for_entries([&](Index row, Column column) { state[at(next[at(column)]++)] = static_cast<Column>(row); });
  }
};

Columns breadth_first_order(const CsrMatrix& matrix) {
  const Predecessors predecessors(matrix);
  Columns order;
  order.reserve(at(matrix.size));
  std::vector<char> found(at(matrix.size), 0);
  const auto visit = [&](Column state) {
    if (found[at(state)] != 0) return;
    found[at(state)] = 1;
    order.push_back(state);
  };
  for (Index root = 0; root < matrix.size; ++root) {
    std::size_t next = order.size();
    visit(static_cast<Column>(root));
    for (; next < order.size(); ++next) {
      const Index state = order[next];
      for (Index k = matrix.first[state]; k < matrix.first[state] + matrix.length[state]; ++k) visit(matrix.column[k]);
      for (Index k = predecessors.start[at(state)]; k < predecessors.start[at(state + 1)]; ++k) {
        visit(predecessors.state[at(k)]);
      }
    }
  }
  return order;
}

}  // namespace

System Relabelling::apply(const System& system) const {
  return {
      .matrix = apply(system.matrix),
      .discount = system.discount,
      .direction = system.direction,
      .conserves = system.conserves,
      .amplification = system.amplification,
      .team = system.team,
  };
}

LocalSystems::LocalSystems(Systems& original, Direction direction)
    : original_(original),
      relabelling_(Relabelling::breadth_first(original[direction].matrix)),
      relabelled_(original.size(), original.team(),
                  [this](Direction wanted) { return relabelling_->apply(original_[wanted]); }) {}

std::vector<Outcome> LocalSystems::solve(Method& method, Direction direction, std::span<const Lane> lanes,
                                         Monitor& monitor) {
  if (!relabelling_) return method.solve_together(direction, lanes, monitor);
  return relabelling_->under_new_labels(
      lanes, [&](std::span<const Lane> local) { return method.solve_together(direction, local, monitor); });
}

std::optional<Relabelling> Relabelling::breadth_first(const CsrMatrix& matrix) {
  const double distance = mean_distance(matrix, [](Index state) { return state; });
  if (distance <= far_away(matrix.size)) return std::nullopt;
  Relabelling relabelling = by_breadth(matrix);
  const Columns& number = relabelling.new_of_old_;
  const double nearer = mean_distance(matrix, [&](Index state) { return Index{number[at(state)]}; });
  if (nearer * kWorthwhile > distance) return std::nullopt;
  return relabelling;
}

Relabelling Relabelling::by_breadth(const CsrMatrix& matrix) {
  Relabelling relabelling;
  relabelling.old_of_new_ = breadth_first_order(matrix);
  Columns& number = relabelling.new_of_old_;
  number.resize(at(matrix.size));
  for (std::size_t i = 0; i < number.size(); ++i) number[at(relabelling.old_of_new_[i])] = static_cast<Column>(i);
  return relabelling;
}

CsrMatrix Relabelling::apply(const CsrMatrix& matrix) const {
  CsrMatrix renamed(matrix.size, matrix.num_entries);
  renamed.num_entries = matrix.num_entries;
  Index place = 0;
  for (Index row = 0; row < matrix.size; ++row) {
    const Index old = old_of_new_[at(row)];
    renamed.first[row] = place;
    renamed.length[row] = matrix.length[old];
    for (Index k = matrix.first[old]; k < matrix.first[old] + matrix.length[old]; ++k, ++place) {
      renamed.column[place] = new_of_old_[at(matrix.column[k])];
      renamed.value[place] = matrix.value[k];
    }
  }
  return renamed;
}

void Relabelling::apply(ConstVector x, Vector y) const {
  for (std::size_t i = 0; i < y.size(); ++i) y[i] = x[at(old_of_new_[i])];
}

void Relabelling::undo(ConstVector y, Vector x) const {
  for (std::size_t i = 0; i < x.size(); ++i) x[i] = y[at(new_of_old_[i])];
}

}  // namespace rlcore::linear
