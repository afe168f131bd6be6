#include "rlcore/long_run/kemeny_constant.hpp"

#include <algorithm>
#include <cmath>

#include "rlcore/errors.hpp"
#include "rlcore/long_run/long_run.hpp"

namespace rlcore {
namespace {

/// The trace of the deviation matrix (I - 1 d') X (I - 1 d') is that of X less d' X 1, where the anchor counts as
/// stopped already.
class KemenyTrace {
 public:
  KemenyTrace(LongRun& run, double tolerance)
      : run_(run),
        tolerance_(tolerance),
        kernel_(run.chain(), stops(run), run.team()),
        resolvent_(kernel_, run.team(), run.monitor()) {
    certificate_.converged = true;
  }

  Bounded sum() {
    add_diagonal();
    const double longest = find_mean_time();
    const Twofold total = diagonal_.total() - mean_time_;
    const double bound =
        (error_ + (dot_error(run_.size()) + 0x1p-96) * (diagonal_.total().hi + longest) + std::fabs(total.lo)) *
        (1.0 + static_cast<double>(run_.size() + 64) * kUnitRoundoff);
    return {total.hi, bound};
  }

  linear::Certificate& certificate() { return certificate_; }

 private:
  /// Every recurrent state meets the anchor without passing transient ones, from where it may take long.
  static std::vector<char> stops(LongRun& run) {
    std::vector<char> stops(at(run.size()), 0);
    for (const Column state : run.structure().transient) stops[at(state)] = 1;
    stops[at(run.anchor(0))] = 1;
    return stops;
  }

  /// The trace of X, column by column: no number in one is larger than that on the diagonal.
  void add_diagonal() {
    const auto states = run_.structure().states(0);
    for (std::size_t first = 0; first < states.size(); first += kMostLanes) {
      const auto block = states.subspan(first, std::min(kMostLanes, states.size() - first));
      std::vector<linear::RightSide> units;
      for (const Column state : block) {
        units.push_back({twofold_vector(run_.size())});
        units.back().value[at(state)] = {1.0};
      }
      const std::vector<linear::Solution> columns = resolvent_.solve(units, tolerance_);
      for (std::size_t k = 0; k < block.size(); ++k) {
        certificate_.include(columns[k].certificate);
        if (block[k] == run_.anchor(0)) continue;
        diagonal_.add_product(columns[k].x[at(block[k])], 1.0);
        error_ += error_at(block[k], columns[k], resolvent_.horizon(), run_.team());
      }
    }
  }

  /// d' X 1; returns the longest time.
  double find_mean_time() {
    linear::Solution time = resolvent_.solve({TwofoldVector(at(run_.size()), Twofold{1.0})}, tolerance_);
    certificate_.include(time.certificate);
    time.x[at(run_.anchor(0))] = {};
    mean_time_ = run_.mean_in_class(0, time.x);
    const double longest = extent_of(time.x, run_.team()).largest();
    error_ += time.certificate.error_bound + run_.stationary().error * longest;
    return longest;
  }

  LongRun& run_;
  double tolerance_;
  linear::Kernel kernel_;
  linear::Resolvent resolvent_;
  TwofoldSum diagonal_;
  Twofold mean_time_;
  double error_ = 0.0;
  linear::Certificate certificate_;
};

}  // namespace

StateRows kemeny_constant(const Mdp& mdp, ConstVector policy, const Options& options, Monitor& monitor) {
  mdp.ensure_checked(options.num_threads);
  Team team(mdp.num_entries() < kParallelEntries ? 1 : options.num_threads);
  LongRun run(mdp, policy, -1, options, team, monitor);
  run.ensure_goes_on_everywhere();
  if (!run.is_unichain()) {
    throw SettingError("policy", {},
                       "expected one recurrent class, for which Kemeny's constant is defined, got " +
                           std::to_string(run.structure().num_classes()));
  }
  KemenyTrace trace(run, 0.1 * options.tolerance);
  const auto [constant, bound] = trace.sum();
  StateRows out;
  out.rows.push_back(constant);
  out.bounds.push_back(bound);
  out.certificate = std::move(trace.certificate());
  out.certificate.error_bound = bound;
  out.certificate.converged =
      std::isfinite(bound) && (options.tolerance == 0.0 || bound <= options.tolerance * std::max(constant, 1.0));
  return out;
}

}  // namespace rlcore
