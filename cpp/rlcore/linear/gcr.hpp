// Generalised conjugate residuals (Eisenstat, Elman & Schultz 1983): the directions that preconditioners propose
// are combined to the smallest residual that they allow. Flexible, so that a preconditioner may vary from step to
// step, and with the residual at hand in every step, to be judged in the norm that counts.
#pragma once

#include <functional>
#include <span>
#include <string_view>
#include <vector>

#include "rlcore/lanes.hpp"
#include "rlcore/linear/method.hpp"

namespace rlcore::linear {

/// The directions z_j of one run, with orthonormal images w_j: A z_j is a combination of w_1, ..., w_j. Each lane has
/// combinations of its own.
template <class Number>
class Gcr {
 public:
  Gcr(Index size, Index most_directions, Team& team);

  /// Where the next direction z and its image A z are to be written, all of them: they hold anything.
  std::span<Number> direction() { return storage(directions_); }
  std::span<Number> image() { return storage(images_); }

  /// Takes the direction and image that were written, and lowers the residual by what they allow, in the lanes that
  /// are not done. Returns the norm that is left.
  Number take(std::span<Number> residual, const std::vector<char>& done);

  bool full() const { return count_ == std::ssize(directions_); }

  /// x plus the combination of the directions that lowered the residual.
  void answer_from(std::span<const Number> x, std::span<Number> answer) const;

  /// The same in place, and all directions are forgotten.
  void finish(std::span<Number> x);

 private:
  Numbers<Number> overlaps_with(std::span<const Number> image) const;

  /// The vector at work, whose memory is taken when it is first needed.
  std::span<Number> storage(std::vector<Numbers<Number>>& vectors) {
    Numbers<Number>& vector = vectors[at(count_)];
    if (vector.empty()) vector = unset<Numbers<Number>>(size_);
    return vector;
  }

  Team& team_;
  Index size_;
  Index count_ = 0;
  std::vector<Numbers<Number>> directions_;
  std::vector<Numbers<Number>> images_;
  std::vector<Numbers<Number>> triangle_;  // column j: A z_j in terms of w_1, ..., w_j
  std::vector<Number> lengths_;            // of the residual along w_j, when it was taken
};

/// A whole solve.
template <class Number>
struct GcrSolver {
  std::string_view name;
  const System& system;
  std::function<void(std::span<const Number>, std::span<Number>)> precondition;
  Index most_directions;
  Index most_iterations;
  double slowest;  // mean factor by which five steps must lower the residual

  std::vector<Outcome> solve(std::span<const Lane> lanes, Monitor& monitor) const;

 private:
  /// How the solve of one lane goes.
  struct Run {
    std::vector<double> history;  // of the residual's length
    double answer = 0.0;          // the norm of the answer when it was last looked at
    Index iterations = 0;
    bool met = false;
    bool done = false;
  };

  /// Whether the last steps lowered the residual too little to go on; the first ones need not.
  bool is_slow(const std::vector<double>& history) const;
};

}  // namespace rlcore::linear
