#include "rlcore/linear/relabelling.hpp"

#include <cmath>
#include <cstdlib>
#include <numeric>
#include <utility>

#include "rlcore/linear/lines.hpp"

namespace rlcore::linear {
namespace {

using Columns = StateOrder::Columns;
using Positions = std::vector<Index, LargeAllocator<Index>>;

/// Columns that are this far away on average are far, for a grid's are at about its side.
double far_away(Index size) { return 8.0 * std::sqrt(static_cast<double>(size)); }

/// A new order must bring columns so much nearer to be worth a copy of the matrix.
constexpr double kWorthwhile = 4.0;

/// The mean distance of a column from its row, when state i has the number number[i].
template <class Number>
double mean_distance(const CsrMatrix& matrix, Team& team, Number&& number) {
  Doubles partial(at(num_blocks(matrix.size)));
  team.for_blocks(matrix.size, kBlock, [&](Index first, Index last, Index block) {
    double sum = 0.0;
    for (Index row = first; row < last; ++row) {
      for (Index k = matrix.first[row]; k < matrix.first[row] + matrix.length[row]; ++k) {
        sum += static_cast<double>(std::abs(number(row) - number(matrix.column[k])));
      }
    }
    partial[at(block)] = sum;
  });
  const double sum = std::accumulate(partial.begin(), partial.end(), 0.0);
  return sum / static_cast<double>(std::max<Index>(matrix.num_entries, 1));
}

/// The undirected graph of a matrix as a list of records, one a state: its number, how many neighbours it has, and
/// where the records of these begin. In a chain with shuffled labels each step is a wait for memory: one, this way, for
/// all that there is to know of a state.
class Records {
 public:
  explicit Records(const CsrMatrix& matrix) : begin_(at(matrix.size), kHeader) {
    for_entries(matrix, [&](Index row, Index column) {
      ++begin_[at(row)];
      ++begin_[at(column)];
    });
    Index end = 0;
    for (Index& begin : begin_) end += std::exchange(begin, end);
    record_ = Buffer<Index>(end);
    for (std::size_t state = 0; state < begin_.size(); ++state) {
      record_[begin_[state]] = static_cast<Index>(state);
      record_[begin_[state] + 1] = 0;
    }
    for_entries(matrix, [&](Index row, Index column) { add_neighbour(row, column); });
    for_entries(matrix, [&](Index row, Index column) { add_neighbour(column, row); });
  }

  /// The states in breadth-first order, successors before predecessors.
  Columns breadth_first_order() {
    Columns order;
    Positions queue;
    order.reserve(begin_.size());
    queue.reserve(begin_.size());
    const auto visit = [&](Index begin) {
      Index& state = record_[begin];
      if (state < 0) return;
      order.push_back(static_cast<Column>(state));
      queue.push_back(begin);
      state = kFound;
    };
    std::size_t next = 0;
    for (const Index root : begin_) {
      visit(root);
      for (; next < queue.size(); ++next) {
        const Index begin = queue[next];
        const Index* const neighbour = record_.data() + begin + kHeader;
        for (Index k = 0; k < record_[begin + 1]; ++k) visit(neighbour[k]);
      }
    }
    return order;
  }

 private:
  static constexpr Index kHeader = 2;
  static constexpr Index kFound = -1;

  template <class Body>
  static void for_entries(const CsrMatrix& matrix, Body&& body) {
    for (Index row = 0; row < matrix.size; ++row) {
      for (Index k = matrix.first[row]; k < matrix.first[row] + matrix.length[row]; ++k) body(row, matrix.column[k]);
    }
  }

  void add_neighbour(Index of, Index state) {
    Index* const record = record_.data() + begin_[at(of)];
    record[kHeader + record[1]++] = begin_[at(state)];
  }

  Positions begin_;
  Buffer<Index> record_;
};

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
      relabelling_(Relabelling::breadth_first(original[direction].matrix, original.team())),
      relabelled_(original.size(), original.team(),
                  [this](Direction wanted) { return relabelling_->apply(original_[wanted]); }) {}

std::vector<Outcome> LocalSystems::solve(Method& method, Direction direction, std::span<const Lane> lanes,
                                         Monitor& monitor) {
  if (!relabelling_) return method.solve_together(direction, lanes, monitor);
  return relabelling_->under_new_labels(
      lanes, [&](std::span<const Lane> local) { return method.solve_together(direction, local, monitor); });
}

std::optional<Relabelling> Relabelling::breadth_first(const CsrMatrix& matrix, Team& team) {
  const double distance = mean_distance(matrix, team, [](Index state) { return state; });
  if (distance <= far_away(matrix.size)) return std::nullopt;
  Relabelling relabelling = by_breadth(matrix, team);
  const StateOrder& order = relabelling.order_;
  const double nearer = mean_distance(matrix, team, [&](Index state) { return Index{order.new_of_old(state)}; });
  if (nearer * kWorthwhile > distance) return std::nullopt;
  return relabelling;
}

Relabelling Relabelling::by_breadth(const CsrMatrix& matrix, Team& team) {
  std::optional<Columns> order = order_along_lines(matrix);
  return {order ? std::move(*order) : Records(matrix).breadth_first_order(), team};
}

/// Asks for what the copies of rows to come will read: first where a row begins, then the row itself.
void Relabelling::fetch_ahead(const CsrMatrix& matrix, Index row) const {
  if (row + 2 * kLookahead >= matrix.size) return;
  prefetch(matrix.first.data() + order_.old_of_new(row + 2 * kLookahead));
  const Index entry = matrix.first[order_.old_of_new(row + kLookahead)];
  prefetch(matrix.column.data() + entry);
  prefetch(matrix.value.data() + entry);
}

CsrMatrix Relabelling::apply(const CsrMatrix& matrix) const {
  CsrMatrix renamed(matrix.size, matrix.num_entries);
  renamed.num_entries = matrix.num_entries;
  const auto for_rows = [&](auto&& body) {
    team_->for_blocks(matrix.size, kBlock, [&](Index first, Index last, Index) {
      for (Index row = first; row < last; ++row) body(row, Index{order_.old_of_new(row)});
    });
  };
  for_rows([&](Index row, Index old) { renamed.length[row] = matrix.length[old]; });
  Index place = 0;
  for (Index row = 0; row < matrix.size; ++row) {
    renamed.first[row] = place;
    place += renamed.length[row];
  }
  for_rows([&](Index row, Index old) {
    fetch_ahead(matrix, row);
    const Index from = matrix.first[old];
    const Index to = renamed.first[row];
    for (Index k = 0; k < renamed.length[row]; ++k) {
      renamed.column[to + k] = order_.new_of_old(matrix.column[from + k]);
      renamed.value[to + k] = matrix.value[from + k];
    }
  });
  return renamed;
}

}  // namespace rlcore::linear
