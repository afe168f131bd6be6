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

}  // namespace

Gcr::Gcr(Index size, Index most_directions, Team& team)
    : team_(team), size_(size), directions_(at(most_directions)), images_(at(most_directions)) {}

std::vector<double> Gcr::overlaps_with(ConstVector image) const {
  const auto count = at(count_);
  std::vector<double> partial(at(num_blocks(ssize(image))) * count);
  team_.for_blocks(ssize(image), kBlock, [&](Index first, Index last, Index block) {
    for (std::size_t j = 0; j < count; ++j) {
      double sum = 0.0;
      for (auto i = at(first); i < at(last); ++i) sum += images_[j][i] * image[i];
      partial[at(block) * count + j] = sum;
    }
  });
  std::vector<double> overlaps(count, 0.0);
  for (std::size_t k = 0; k < partial.size(); ++k) overlaps[k % count] += partial[k];
  return overlaps;
}

double Gcr::take(Vector residual) {
  Vector w = image();
  std::vector<double> column = overlaps_with(w);

  // w loses its part along the earlier images; what is left is measured in the same pass.
  struct Products {
    double with_itself = 0.0;
    double with_residual = 0.0;
  };
  std::vector<Products> partial(at(num_blocks(ssize(w))));
  team_.for_blocks(ssize(w), kBlock, [&](Index first, Index last, Index block) {
    for (std::size_t j = 0; j < column.size(); ++j) {
      for (auto i = at(first); i < at(last); ++i) w[i] -= column[j] * images_[j][i];
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
  const double norm = std::sqrt(all.with_itself);
  if (!(norm > 0.0)) return std::sqrt(dot(residual, residual, team_));

  const double length = all.with_residual / norm;
  std::vector<double> squares(partial.size());
  team_.for_blocks(ssize(w), kBlock, [&](Index first, Index last, Index block) {
    double sum = 0.0;
    for (auto i = at(first); i < at(last); ++i) {
      w[i] /= norm;
      residual[i] -= length * w[i];
      sum += residual[i] * residual[i];
    }
    squares[at(block)] = sum;
  });
  column.push_back(norm);
  triangle_.push_back(std::move(column));
  lengths_.push_back(length);
  ++count_;
  double square = 0.0;
  for (const double part : squares) square += part;
  return std::sqrt(square);
}

void Gcr::add_answer(Vector x) const {
  std::vector<double> weights = lengths_;
  for (std::size_t j = weights.size(); j-- > 0;) {
    weights[j] /= triangle_[j][j];
    for (std::size_t k = 0; k < j; ++k) weights[k] -= triangle_[j][k] * weights[j];
  }
  team_.for_blocks(ssize(x), kBlock, [&](Index first, Index last, Index) {
    for (std::size_t j = 0; j < weights.size(); ++j) {
      for (auto i = at(first); i < at(last); ++i) x[i] += weights[j] * directions_[j][i];
    }
  });
}

void Gcr::finish(Vector x) {
  add_answer(x);
  triangle_.clear();
  lengths_.clear();
  count_ = 0;
}

Outcome GcrSolver::solve(ConstVector b, Vector x, const Goal& goal, Monitor& monitor) const {
  Team& team = *system.team;
  system.guess(b, x);
  Doubles residual(b.size());
  system.residual(b, x, residual);
  Gcr gcr(ssize(b), most_directions, team);
  std::vector<double> history{std::sqrt(dot(residual, residual, team))};
  const auto size_of_answer = [&] {
    Doubles answer(x.begin(), x.end());
    gcr.add_answer(answer);
    return system.norm(answer);
  };
  double answer = 0.0;
  Index iteration = 0;
  bool met = false;
  for (bool going = true; going;) {
    ++iteration;
    precondition(residual, gcr.direction());
    system.apply(gcr.direction(), gcr.image());
    history.push_back(gcr.take(residual));
    const double now = system.residual_norm(residual);
    // The size of the answer settles early: now and then is often enough to look at it.
    if (std::has_single_bit(at(iteration)) || goal.met(now, answer)) answer = size_of_answer();
    met = goal.met(now, answer);
    going = std::isfinite(now) && !met && !is_slow(history) && iteration < most_iterations;
    if (gcr.full()) gcr.finish(x);
    monitor.poll({name, iteration, goal.error(now, answer), goal.tolerance});
  }
  gcr.finish(x);
  system.restore_free_part(b, x);
  return {iteration, !met && !(history.back() <= kWorthwhile * history.front())};
}

bool GcrSolver::is_slow(const std::vector<double>& history) const {
  if (history.size() <= 2 * kWindow) return false;
  return history.back() > std::pow(slowest, kWindow) * history[history.size() - 1 - kWindow];
}

}  // namespace rlcore::linear
