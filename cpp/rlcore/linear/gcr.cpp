#include "rlcore/linear/gcr.hpp"

#include <algorithm>
#include <bit>
#include <cmath>

namespace rlcore::linear {
namespace {

/// Steps over which the reduction of the residual is judged.
constexpr std::size_t kWindow = 5;

/// What the residual must fall by for the answer to be worth anything.
constexpr double kWorthwhile = 0.1;

template <class Number>
Number square_root(const Number& x) {
  Number root{};
  for (std::size_t k = 0; k < kLanesOf<Number>; ++k) lane(root, k) = std::sqrt(lane(x, k));
  return root;
}

}  // namespace

template <class Number>
Gcr<Number>::Gcr(Index size, Index most_directions, Team& team)
    : team_(team), size_(size), directions_(at(most_directions)), images_(at(most_directions)) {}

template <class Number>
Numbers<Number> Gcr<Number>::overlaps_with(std::span<const Number> image) const {
  const auto count = at(count_);
  Numbers<Number> partial(at(num_blocks(size_)) * count);
  team_.for_blocks(size_, kBlock, [&](Index first, Index last, Index block) {
    for (std::size_t j = 0; j < count; ++j) {
      Number sum{};
      for (Index i = first; i < last; ++i) sum += images_[j][i] * image[at(i)];
      partial[at(block) * count + j] = sum;
    }
  });
  Numbers<Number> overlaps(count);
  for (std::size_t k = 0; k < partial.size(); ++k) overlaps[k % count] += partial[k];
  return overlaps;
}

template <class Number>
Number Gcr<Number>::take(std::span<Number> residual, const std::vector<char>& done) {
  const std::span<Number> w = image();
  Numbers<Number> column = overlaps_with(w);

  // w loses its part along the earlier images; what is left is measured in the same pass.
  struct Products {
    Number with_itself{};
    Number with_residual{};
  };
  std::vector<Products> partial(at(num_blocks(size_)));
  team_.for_blocks(size_, kBlock, [&](Index first, Index last, Index block) {
    for (std::size_t j = 0; j < column.size(); ++j) {
      const Number overlap = column[j];
      for (Index i = first; i < last; ++i) w[at(i)] -= overlap * images_[j][i];
    }
    Products sum;
    for (auto i = at(first); i < at(last); ++i) {
      sum.with_itself += w[i] * w[i];
      sum.with_residual += w[i] * residual[i];
    }
    partial[at(block)] = sum;
  });
  Products all;
  for (const Products& part : partial) {
    all.with_itself += part.with_itself;
    all.with_residual += part.with_residual;
  }

  // A lane that is done, or whose image vanished, takes nothing of this direction.
  Number norm = square_root(all.with_itself);
  Number inverse{};
  Number length{};
  for (std::size_t k = 0; k < kLanesOf<Number>; ++k) {
    if (done[k] == 0 && lane(norm, k) > 0.0) {
      lane(inverse, k) = 1.0 / lane(norm, k);
      lane(length, k) = lane(all.with_residual, k) / lane(norm, k);
    } else {
      lane(norm, k) = 1.0;
    }
  }
  Numbers<Number> squares(partial.size());
  team_.for_blocks(size_, kBlock, [&](Index first, Index last, Index block) {
    Number sum{};
    for (auto i = at(first); i < at(last); ++i) {
      w[i] = inverse * w[i];
      residual[i] -= length * w[i];
      sum += residual[i] * residual[i];
    }
    squares[at(block)] = sum;
  });
  column.push_back(norm);
  triangle_.push_back(std::move(column));
  lengths_.push_back(length);
  ++count_;
  Number square{};
  for (const Number& part : squares) square += part;
  return square_root(square);
}

template <class Number>
void Gcr<Number>::add_answer(std::span<Number> x) const {
  std::vector<Number> weights = lengths_;
  for (std::size_t j = weights.size(); j-- > 0;) {
    for (std::size_t k = 0; k < kLanesOf<Number>; ++k) lane(weights[j], k) /= lane(triangle_[j][j], k);
    for (std::size_t k = 0; k < j; ++k) weights[k] -= triangle_[j][k] * weights[j];
  }
  team_.for_blocks(size_, kBlock, [&](Index first, Index last, Index) {
    for (std::size_t j = 0; j < weights.size(); ++j) {
      const Number weight = weights[j];
      for (Index i = first; i < last; ++i) x[at(i)] += weight * directions_[j][i];
    }
  });
}

template <class Number>
void Gcr<Number>::finish(std::span<Number> x) {
  add_answer(x);
  triangle_.clear();
  lengths_.clear();
  count_ = 0;
}

template <class Number>
std::vector<Outcome> GcrSolver<Number>::solve(std::span<const Lane> lanes, Monitor& monitor) const {
  Team& team = *system.team;
  const RightSides<Number> b(lanes, team);
  Numbers<Number> x(b.numbers().size());
  Numbers<Number> residual(x.size());
  system.guess<Number>(b.numbers(), x);
  system.residual<Number>(b.numbers(), x, residual);
  Gcr<Number> gcr(std::ssize(x), most_directions, team);
  const Number before = square_root(dot<Number>(residual, residual, team));
  std::vector<Run> runs(lanes.size());
  for (std::size_t k = 0; k < lanes.size(); ++k) runs[k].history.push_back(lane(before, k));
  const auto answer_so_far = [&] {
    Numbers<Number> answer(x);
    gcr.add_answer(answer);
    return answer;
  };
  const std::vector<char> none_done(kLanesOf<Number>, 0);
  std::size_t unfinished = lanes.size();
  for (Index iteration = 1; unfinished > 0; ++iteration) {
    precondition(residual, gcr.direction());
    system.apply<Number>(gcr.direction(), gcr.image());
    const Number lengths = gcr.take(residual, none_done);
    const Number norms = system.residual_norm<Number>(residual);
    // The size of the answer settles early: now and then is often enough to look at it.
    const auto looks = [&](std::size_t k) {
      const bool may_be_met = lanes[k].goal.met(lane(norms, k), runs[k].answer);
      return !runs[k].done && (std::has_single_bit(at(iteration)) || may_be_met);
    };
    bool any_looks = false;
    for (std::size_t k = 0; k < lanes.size(); ++k) any_looks = any_looks || looks(k);
    Number sizes{};
    if (any_looks) {
      const Numbers<Number> answer = answer_so_far();
      sizes = system.norm(extent_over(std::ssize(x), team, [&](std::size_t i) { return answer[i]; }));
    }
    std::vector<std::size_t> finished;
    for (std::size_t k = 0; k < lanes.size(); ++k) {
      Run& run = runs[k];
      if (run.done) continue;
      const Goal& goal = lanes[k].goal;
      const double now = lane(norms, k);
      if (looks(k)) run.answer = lane(sizes, k);
      run.history.push_back(lane(lengths, k));
      run.met = goal.met(now, run.answer);
      run.done = !std::isfinite(now) || run.met || is_slow(run.history) || iteration == most_iterations;
      run.iterations = iteration;
      if (run.done) finished.push_back(k);
      monitor.poll({name, iteration, goal.error(now, run.answer), goal.tolerance});
    }
    if (gcr.full()) gcr.finish(x);
    if (finished.empty()) continue;
    const Numbers<Number> answer = answer_so_far();
    for (const std::size_t k : finished) take_lane<Number>(answer, k, lanes[k].x, team);
    unfinished -= finished.size();
  }
  std::vector<ConstVector> answers;
  for (const Lane& lane : lanes) answers.push_back(lane.x);
  interleave<Number>(answers, x, team);
  system.restore_free_part<Number>(b.numbers(), x);
  std::vector<Outcome> outcomes;
  for (std::size_t k = 0; k < lanes.size(); ++k) {
    take_lane<Number>(x, k, lanes[k].x, team);
    const Run& run = runs[k];
    outcomes.push_back({run.iterations, !run.met && !(run.history.back() <= kWorthwhile * run.history.front())});
  }
  return outcomes;
}

template <class Number>
bool GcrSolver<Number>::is_slow(const std::vector<double>& history) const {
  if (history.size() <= 2 * kWindow) return false;
  return history.back() > std::pow(slowest, kWindow) * history[history.size() - 1 - kWindow];
}

#define RLCORE_FOR_LANES(Number) \
  template class Gcr<Number>;    \
  template struct GcrSolver<Number>
RLCORE_FOR_LANES(double);
RLCORE_FOR_LANES(LaneArray<2>);
RLCORE_FOR_LANES(LaneArray<4>);
RLCORE_FOR_LANES(LaneArray<8>);
#undef RLCORE_FOR_LANES

}  // namespace rlcore::linear
