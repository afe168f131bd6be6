#include "rlcore/planning/value_iteration.hpp"

#include <cmath>
#include <string>
#include <utility>

namespace rlcore::planning {
namespace {

class ValueIteration {
 public:
  ValueIteration(const Problem& problem, Record& record) : problem_(problem), record_(record) {}

  void run() {
    Doubles v(at(problem_.size()), 0.0);
    Doubles image(v.size());
    Choice choice(v.size());
    Index most_policy_sweeps = 0;
    for (;;) {
      const Proof proof = sweep_and_prove(problem_, v, image, choice);
      ++sweeps_;
      problem_.monitor.poll({kName, sweeps_, proof.relative_error(), problem_.tolerance});
      const bool done = proof.meets(problem_.tolerance) || proof.is_best_attainable();
      const double left = done ? 0.0 : sweeps_left(proof);
      if (done || !(left < (sweeps_ == kProbe ? kPatience : kInfinity))) {
        record_.offer(proof, image);
        record_.tell(kName, sweeps_, std::to_string(sweeps_) + (done ? " sweeps" : " sweeps, gave up"));
        return;
      }
      std::swap(v, image);
      if (sweeps_ >= kProbe) most_policy_sweeps += 2;  // the better the policy, the longer it is worth following
      for (Index k = 0; k < most_policy_sweeps && static_cast<double>(k) + 1.0 < left; ++k) {
        policy_sweep(problem_.mdp, problem_.discount, choice, v, image, problem_.team);
        std::swap(v, image);
        ++sweeps_;
      }
    }
  }

 private:
  static constexpr const char* kName = "value iteration";

  /// Sweeps after which the contraction is judged, and how many more it may promise to take.
  static constexpr Index kProbe = 4;
  static constexpr double kPatience = 40.0;

  /// Extrapolates the contraction since the last look; infinite, if there was none.
  double sweeps_left(const Proof& proof) {
    const double needed = std::max(problem_.tolerance * proof.scale, 4.0 * proof.floor);
    const double gained = std::log(last_error_ / proof.error);
    const double left = std::log(proof.error / needed) * static_cast<double>(sweeps_ - last_look_) / gained;
    last_error_ = proof.error;
    last_look_ = sweeps_;
    if (sweeps_ < kProbe) return 0.0;
    return gained > 0.0 ? left : kInfinity;
  }

  const Problem& problem_;
  Record& record_;
  Index sweeps_ = 0;
  Index last_look_ = 0;  // after so many sweeps
  double last_error_ = kInfinity;
};

}  // namespace

void value_iteration(const Problem& problem, Record& record) { ValueIteration(problem, record).run(); }

}  // namespace rlcore::planning
