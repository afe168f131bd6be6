#include "rlcore/linear/fronts.hpp"

#include <Eigen/OrderingMethods>
#include <Eigen/SparseCore>
#include <algorithm>
#include <numeric>
#include <utility>

namespace rlcore::linear {
namespace {

using Columns = Fronts::Columns;

/// Subtrees of so few states are one front: fewer fronts are worth a few zeros.
constexpr Column kSmallSubtree = 8;

/// And so are places one after the other, if that does not make their rows longer than this.
constexpr double kMostZeros = 1.3;

/// Beyond that the search for an order, which cannot be interrupted, would take a second.
constexpr Index kMostStates = 400'000;

/// An elimination is cut into about so many branches, none of which takes fewer multiplications.
constexpr double kBranches = 16.0;
constexpr double kSmallBranch = 1e6;

/// A bound on what eliminating breadth-first levels would cost: random graphs have none that are narrow, and would keep
/// the search for a better order busy.
constexpr double kMostLevelWork = 1e11;

/// Whoever a state leads to or is led to by, once each and increasing.
class Neighbours {
 public:
  explicit Neighbours(const CsrMatrix& matrix) : start_(at(matrix.size + 1), 0) {
    for_entries(matrix, [&](Column row, Column column) {
      ++start_[at(row + 1)];
      ++start_[at(column + 1)];
    });
    std::partial_sum(start_.begin(), start_.end(), start_.begin());
    column_.resize(at(start_.back()));
    Columns end(start_.begin(), start_.end() - 1);
    for_entries(matrix, [&](Column row, Column column) {
      column_[at(end[at(row)]++)] = column;
      column_[at(end[at(column)]++)] = row;
    });
    Column kept = 0;
    for (std::size_t i = 0; i < end.size(); ++i) {
      const auto begin = column_.begin() + std::exchange(start_[i], kept);
      std::sort(begin, column_.begin() + end[i]);
      const auto last = std::unique(begin, column_.begin() + end[i]);
      kept = static_cast<Column>(std::copy(begin, last, column_.begin() + kept) - column_.begin());
    }
    start_.back() = kept;
  }

  Index size() const { return static_cast<Index>(start_.size()) - 1; }
  std::span<const Column> of(Column state) const {
    return {column_.data() + start_[at(state)], at(start_[at(state + 1)] - start_[at(state)])};
  }

  /// Eigen's order is a good one only of patterns that have their diagonal.
  Columns minimum_degree_order() const {
    const auto size = static_cast<Column>(start_.size() - 1);
    Eigen::SparseMatrix<float, Eigen::ColMajor, Column> pattern(size, size);
    pattern.resizeNonZeros(start_.back() + size);
    Column* next = pattern.innerIndexPtr();
    for (Column state = 0; state < size; ++state) {
      pattern.outerIndexPtr()[state] = start_[at(state)] + state;
      const std::span<const Column> others = of(state);
      const auto after = std::lower_bound(others.begin(), others.end(), state);
      next = std::copy(others.begin(), after, next);
      *next++ = state;
      next = std::copy(after, others.end(), next);
    }
    pattern.outerIndexPtr()[size] = start_.back() + size;
    Eigen::PermutationMatrix<Eigen::Dynamic, Eigen::Dynamic, Column> order;
    Eigen::AMDOrdering<Column>()(pattern, order);
    return {order.indices().data(), order.indices().data() + size};
  }

  /// The sum of w^3 over breadth-first levels of w states.
  double level_work() const {
    std::vector<char> seen(at(size()), 0);
    Columns queue;
    double work = 0.0;
    for (Column root = 0; root < size(); ++root) {
      if (std::exchange(seen[at(root)], 1) != 0) continue;
      queue.assign(1, root);
      for (std::size_t first = 0, last = 1; first < last; last = queue.size()) {
        const auto width = static_cast<double>(last - first);
        work += width * width * width;
        for (; first < last; ++first) {
          for (const Column next : of(queue[first])) {
            if (std::exchange(seen[at(next)], 1) == 0) queue.push_back(next);
          }
        }
      }
    }
    return work;
  }

 private:
  template <class Body>
  static void for_entries(const CsrMatrix& matrix, Body&& body) {
    for (Index row = 0; row < matrix.size; ++row) {
      for (Index k = matrix.first[row]; k < matrix.first[row] + matrix.length[row]; ++k) {
        if (matrix.column[k] != row) body(static_cast<Column>(row), matrix.column[k]);
      }
    }
  }

  Columns start_;
  Columns column_;
};

}  // namespace

/// Finds an order, its elimination tree, and the fronts.
class FrontSearch {
 public:
  FrontSearch(const Neighbours& neighbours, Monitor& monitor) : neighbours_(neighbours), monitor_(monitor) {
    set_order(neighbours.minimum_degree_order());
    find_parents();
    set_order(in_postorder());
    find_parents();
  }

  /// Whether the elimination takes no more multiplications. Counts for each place those after it that it leads to when
  /// it is eliminated, row by row along the tree (Liu 1990).
  bool count(double most_work) {
    double& work = found_.work_;
    Columns visited_by(at(size()), -1);
    count_.assign(at(size()), 1);
    for (Column row = 0; row < size(); ++row) {
      visited_by[at(row)] = row;
      for_neighbours(row, [&](Column node) {
        if (node > row) return;
        for (; visited_by[at(node)] != row; node = parent_[at(node)]) {
          visited_by[at(node)] = row;
          work += 2.0 * count_[at(node)]++;
        }
      });
      if (work > most_work) return false;
      if (row % kBlock == 0) monitor_.poll({"elimination order", row});
    }
    return true;
  }

  Fronts fronts() {
    group();
    Columns front_of(at(size()));
    for (Index front = 0; front < found_.count(); ++front) {
      for (Column place = found_.first(front); place < found_.first(front + 1); ++place) {
        front_of[at(place)] = static_cast<Column>(front);
      }
    }
    found_.num_children_.assign(at(found_.count()), 0);
    std::vector<std::vector<Column>> children(at(found_.count()));
    Columns parent(at(found_.count()), -1);
    Columns seen_by(at(size()), -1);
    for (Index front = 0; front < found_.count(); ++front) {
      find_places(front, children[at(front)], seen_by);
      const auto places = found_.places(front);
      const auto own = at(found_.first(front + 1) - found_.first(front));
      if (places.size() == own) continue;
      parent[at(front)] = front_of[at(places[own])];
      children[at(parent[at(front)])].push_back(static_cast<Column>(front));
      ++found_.num_children_[at(parent[at(front)])];
    }
    find_branches(parent);
    return std::move(found_);
  }

 private:
  Column size() const { return static_cast<Column>(neighbours_.size()); }

  void set_order(Columns state) {
    found_.state_ = std::move(state);
    found_.place_.resize(found_.state_.size());
    for (std::size_t i = 0; i < found_.state_.size(); ++i) found_.place_[at(found_.state_[i])] = static_cast<Column>(i);
  }

  template <class Body>
  void for_neighbours(Column place, Body&& body) const {
    for (const Column other : neighbours_.of(found_.state(place))) body(found_.place(other));
  }

  /// The first place after each that it leads to when it is eliminated; its own, for the last.
  void find_parents() {
    parent_.assign(at(size()), -1);
    Columns ancestor(at(size()), -1);
    for (Column row = 0; row < size(); ++row) {
      for_neighbours(row, [&](Column node) {
        while (node >= 0 && node < row) {
          const Column next = std::exchange(ancestor[at(node)], row);
          if (next < 0) parent_[at(node)] = row;
          node = next;
        }
      });
    }
  }

  /// The states, every subtree's together.
  Columns in_postorder() const {
    Columns first_child(at(size()), -1);
    Columns sibling(at(size()), -1);
    Columns stack;
    for (Column node = size() - 1; node >= 0; --node) {
      const Column parent = parent_[at(node)];
      if (parent < 0) {
        stack.push_back(node);
      } else {
        sibling[at(node)] = std::exchange(first_child[at(parent)], node);
      }
    }
    Columns order;
    order.reserve(at(size()));
    while (!stack.empty()) {
      const Column node = stack.back();
      const Column child = std::exchange(first_child[at(node)], -1);
      if (child < 0) {
        order.push_back(found_.state(node));
        stack.pop_back();
      }
      for (Column next = child; next >= 0; next = sibling[at(next)]) stack.push_back(next);
    }
    return order;
  }

  /// Puts small subtrees together, and places that lead to nearly the same others as those before them.
  void group() {
    Columns subtree(at(size()), 1);
    for (Column node = 0; node < size(); ++node) {
      if (parent_[at(node)] >= 0) subtree[at(parent_[at(node)])] += subtree[at(node)];
    }
    const auto is_small = [&](Column node) { return node >= 0 && subtree[at(node)] <= kSmallSubtree; };
    Index own = 0;      // places of the front so far
    Index entries = 0;  // what they lead to, each for itself
    for (Column node = 0; node < size(); ++node) {
      ++own;
      entries += count_[at(node)];
      if (is_small(parent_[at(node)])) continue;
      if (parent_[at(node)] == node + 1) {
        const Index together = (own + 1) * count_[at(node + 1)] + own * (own + 1) / 2;
        const Index apart = entries + count_[at(node + 1)];
        if (static_cast<double>(together) <= kMostZeros * static_cast<double>(apart)) continue;
      }
      found_.first_.push_back(node + 1);
      own = entries = 0;
    }
  }

  void find_places(Index front, const std::vector<Column>& children, Columns& seen_by) {
    const Column first = found_.first(front);
    const Column last = found_.first(front + 1);
    Columns& places = found_.places_;
    for (Column place = first; place < last; ++place) places.push_back(place);
    const auto beyond = std::ssize(places);
    const auto add = [&](Column place) {
      if (place >= last && std::exchange(seen_by[at(place)], static_cast<Column>(front)) != front) {
        places.push_back(place);
      }
    };
    for (Column place = first; place < last; ++place) for_neighbours(place, add);
    for (const Column child : children) {
      // By positions: `places` grows meanwhile.
      for (Index i = found_.begin_[at(child)]; i < found_.begin_[at(child + 1)]; ++i) add(places[at(i)]);
    }
    std::sort(places.begin() + beyond, places.end());
    found_.begin_.push_back(std::ssize(places));
  }

  /// Puts subtrees together, as long as they are neighbours and no large branch. What is more than that by itself is
  /// the trunk.
  void find_branches(const Columns& parent) {
    std::vector<double> work(at(found_.count()), 0.0);
    double all = 0.0;
    for (Index front = 0; front < found_.count(); ++front) {
      const auto places = static_cast<double>(found_.places(front).size());
      const double here = places * places * static_cast<double>(found_.first(front + 1) - found_.first(front));
      all += here;
      work[at(front)] += here;
      if (parent[at(front)] >= 0) work[at(parent[at(front)])] += work[at(front)];
    }
    const double most = std::max(all / kBranches, kSmallBranch);
    const auto is_trunk = [&](Column front) { return front < 0 || work[at(front)] > most; };
    double so_far = 0.0;
    for (Index front = 0, first = 0; front < found_.count(); ++front) {
      if (is_trunk(static_cast<Column>(front))) {
        so_far = 0.0;
        first = front + 1;
        continue;
      }
      if (!is_trunk(parent[at(front)])) continue;
      // A subtree ends here.
      if (so_far > 0.0 && so_far + work[at(front)] <= most) {
        found_.branches_.back().last = front + 1;
        so_far += work[at(front)];
      } else {
        found_.branches_.push_back({first, front + 1});
        so_far = work[at(front)];
      }
      first = front + 1;
    }
  }

  const Neighbours& neighbours_;
  Monitor& monitor_;
  Columns parent_;
  Columns count_;
  Fronts found_;
};

std::shared_ptr<const Fronts> Fronts::by_minimum_degree(const CsrMatrix& matrix, double most_work, Monitor& monitor) {
  if (matrix.size > kMostStates) return nullptr;
  const Neighbours neighbours(matrix);
  if (neighbours.level_work() > kMostLevelWork) return nullptr;
  monitor.poll({"elimination order"});
  FrontSearch search(neighbours, monitor);
  if (!search.count(most_work)) return nullptr;
  return std::make_shared<const Fronts>(search.fronts());
}

}  // namespace rlcore::linear
