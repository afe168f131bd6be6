// Generalised conjugate residuals (Eisenstat, Elman & Schultz 1983): the directions that preconditioners propose
// are combined to the smallest residual that they allow. Flexible, so that a preconditioner may vary from step to
// step, and with the residual at hand in every step, to be judged in the norm that counts.
#pragma once

#include <functional>
#include <string_view>
#include <vector>

#include "rlcore/linear/method.hpp"

namespace rlcore::linear {

/// The directions z_j of one run, with orthonormal images w_j: A z_j is a combination of w_1, ..., w_j.
class Gcr {
 public:
  Gcr(Index size, Index most_directions, Team& team);

  /// Where the next direction z and its image A z are to be written.
  Vector direction() { return storage(directions_); }
  Vector image() { return storage(images_); }

  /// Takes the direction and image that were written, and lowers the residual by what they allow. Returns the
  /// norm that is left.
  double take(Vector residual);

  bool full() const { return count_ == std::ssize(directions_); }

  /// x += the combination of the directions that lowered the residual.
  void add_answer(Vector x) const;

  /// The same, and all directions are forgotten.
  void finish(Vector x);

 private:
  std::vector<double> overlaps_with(ConstVector image) const;

  /// The vector at work, whose memory is taken when it is first needed.
  Vector storage(std::vector<Doubles>& vectors) {
    Doubles& vector = vectors[at(count_)];
    if (vector.empty()) vector.resize(at(size_));
    return vector;
  }

  Team& team_;
  Index size_;
  Index count_ = 0;
  std::vector<Doubles> directions_;
  std::vector<Doubles> images_;
  std::vector<std::vector<double>> triangle_;  // column j: A z_j in terms of w_1, ..., w_j
  std::vector<double> lengths_;                // of the residual along w_j, when it was taken
};

/// A whole solve.
struct GcrSolver {
  std::string_view name;
  const System& system;
  std::function<void(ConstVector, Vector)> precondition;
  Index most_directions;
  Index most_iterations;
  double slowest;  // mean factor by which five steps must lower the residual

  /// Overwrites x.
  Outcome solve(ConstVector b, Vector x, const Goal& goal, Monitor& monitor) const;

  /// Whether the last steps lowered the residual too little to go on; the first ones need not.
  bool is_slow(const std::vector<double>& history) const;
};

}  // namespace rlcore::linear
