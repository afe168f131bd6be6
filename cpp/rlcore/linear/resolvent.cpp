#include "rlcore/linear/resolvent.hpp"

#include <algorithm>
#include <cmath>

#include "rlcore/extent.hpp"
#include "rlcore/format.hpp"
#include "rlcore/linear/portfolio.hpp"
#include "rlcore/linear/relabelling.hpp"

namespace rlcore::linear {
namespace {

/// A method that does not cut the proven error by this factor gives way to the next one.
constexpr double kWorthwhile = 0.1;

/// A bound this small beside the answer is lost in the answer's own rounding.
constexpr double kBelowRounding = kUnitRoundoff / 64.0;

/// The best attainable must say something of the answer to count.
constexpr double kSomeDigits = 0.1;

/// How far from 1 (I - K) t may be where t is to be the time that remains.
constexpr double kNearEnough = 0.5;

/// Numbers beyond 2^+-300 are brought to size first: their products would over- or underflow.
constexpr int kMostExponent = 300;

TwofoldVector scaled(const TwofoldVector& x, int exponent) {
  TwofoldVector y(x.size());
  for (std::size_t i = 0; i < x.size(); ++i) y[i] = {std::ldexp(x[i].hi, exponent), std::ldexp(x[i].lo, exponent)};
  return y;
}

}  // namespace

/// The systems of both directions and the methods that were made ready for them. Every solve begins with the
/// first method again, so that an answer does not depend on those before it.
class Resolvent::Solvers {
 public:
  Solvers(const Kernel& kernel, Team& team, Monitor& monitor)
      : kernel_(kernel),
        systems_(
            kernel.size(), team, [&](Direction direction) { return kernel.assemble(direction, team); }, &kernel),
        monitor_(monitor) {}

  /// The method of an entry of the portfolio, or why it does not suit.
  const Candidate& candidate(std::size_t i, Direction wanted) {
    while (candidates_.size() <= i) {
      const Entry& entry = portfolio()[candidates_.size()];
      candidates_.push_back(entry.make(entry.local ? local(wanted).systems() : systems_, wanted, monitor_));
    }
    return candidates_[i];
  }

  /// Solves (I - K) x = b by way of the system that is assembled, I - K or the jump chain's.
  Outcome solve(std::size_t i, Direction direction, ConstVector b, Vector x, const Goal& goal) {
    const Doubles& leaving = kernel_.leaving();
    if (leaving.empty()) return solve_assembled(i, direction, b, x, goal);
    if (direction == Direction::kTransposed) {
      const Outcome outcome = solve_assembled(i, direction, b, x, goal);
      for (std::size_t s = 0; s < x.size(); ++s) x[s] /= leaving[s];
      return outcome;
    }
    Doubles jump_b(b.begin(), b.end());
    for (std::size_t s = 0; s < jump_b.size(); ++s) jump_b[s] /= leaving[s];
    return solve_assembled(i, direction, jump_b, x, goal);
  }

 private:
  Outcome solve_assembled(std::size_t i, Direction direction, ConstVector b, Vector x, const Goal& goal) {
    Method& method = *candidates_[i].method;
    if (portfolio()[i].local) return local(direction).solve(method, direction, b, x, goal, monitor_);
    return method.solve(direction, b, x, goal, monitor_);
  }

  LocalSystems& local(Direction direction) {
    if (!local_) local_ = std::make_unique<LocalSystems>(systems_, direction);
    return *local_;
  }

  const Kernel& kernel_;
  Systems systems_;
  std::unique_ptr<LocalSystems> local_;
  std::vector<Candidate> candidates_;  // of the portfolio, as far as it was asked for
  Monitor& monitor_;
};

/// One run of the refinement: the answer so far, its residual, and what that proves.
class Resolvent::Refinement {
 public:
  Refinement(Resolvent& resolvent, Direction direction, const RightSide& b, double tolerance)
      : resolvent_(resolvent),
        solvers_(*resolvent.solvers_),
        system_(resolvent.kernel_.frame(direction, resolvent.team_)),
        b_(b),
        tolerance_(tolerance),
        residual_(rounded(b.value)),
        correction_(b.value.size()),
        x_(b.value.size()) {
    system_.amplification = resolvent.horizon_.amplification();
    const double residual = system_.norm(residual_);
    proof_ = {residual * system_.amplification, 0.0, residual, 0.0};
  }

  Solution run() {
    for (std::size_t i = 0; i < portfolio().size() && !finished_; ++i) {
      const Candidate& candidate = solvers_.candidate(i, system_.direction);
      if (candidate.method) {
        refine(i, candidate.method->is_direct());
      } else {
        certificate_.story += std::string(portfolio()[i].name) + ": not tried, " + candidate.reason + "\n";
      }
    }
    return conclude();
  }

 private:
  /// Corrections by one method until nothing is left to gain, or it does not help enough.
  void refine(std::size_t method, bool is_direct) {
    while (true) {
      const double before = proof_.error;
      const Index iterations = improve(method);
      tell(portfolio()[method].name, iterations);
      const bool worthwhile = proof_.error <= kWorthwhile * before;
      const bool polishing = worthwhile && is_direct && std::ssize(b_.value) <= kBlock;
      finished_ = is_best_attainable() || (meets_tolerance() && !polishing);
      if (finished_ || !worthwhile) return;
    }
  }

  /// One correction, judged, and taken back if it made things worse. What a method gave up is not looked at.
  Index improve(std::size_t method) {
    const Goal goal{0.8 * tolerance_, norm_, system_.residual_norm(residual_), system_.amplification};
    const auto [iterations, gave_up] = solvers_.solve(method, system_.direction, residual_, correction_, goal);
    gave_up_ = gave_up || !extent_of(correction_, resolvent_.team_).finite();
    if (gave_up_) return iterations;
    const Proof before = proof_;
    add_correction(1.0);
    judge();
    if (!(proof_.error <= before.error)) {
      add_correction(-1.0);
      judge();
    }
    return iterations;
  }

  void add_correction(double sign) {
    for_states([&](std::size_t i) { x_[i] = x_[i] + sign * correction_[i]; });
  }

  void judge() {
    proof_ = prove(resolvent_.kernel_, resolvent_.horizon_, system_.direction, b_, x_, residual_, resolvent_.team_);
    norm_ = norm_of_answer();
  }

  /// Of x and the shift that the proof adds.
  double norm_of_answer() const {
    const Extent extent = extent_of(x_, resolvent_.team_);
    if (system_.direction == Direction::kTransposed) return extent.l1;
    return std::max(std::fabs(extent.lower + proof_.shift), std::fabs(extent.upper + proof_.shift));
  }

  bool is_best_attainable() const {
    return proof_.error <= kBelowRounding * norm_ || proof_.error <= 4.0 * proof_.floor;
  }

  /// The rounding of the answer to doubles counts too.
  bool meets_tolerance() const { return proof_.error + kUnitRoundoff * norm_ <= tolerance_ * norm_; }

  void tell(std::string_view name, Index iterations) {
    certificate_.iterations += iterations;
    certificate_.method = name;
    certificate_.story +=
        std::string(name) + ": " + std::to_string(iterations) + (iterations == 1 ? " solve" : " iterations") +
        (gave_up_ ? ", gave up" : "") + ", proven relative error " +
        format_briefly(norm_ > 0.0 ? proof_.error / norm_ : std::numeric_limits<double>::infinity()) + "\n";
  }

  Solution conclude() {
    // A shift that is lost in rounding would only turn exact zeros into dust.
    const bool negligible = std::fabs(proof_.shift) <= kBelowRounding * norm_;
    const double shift = negligible ? 0.0 : proof_.shift;
    if (shift != 0.0) for_states([&](std::size_t i) { x_[i] = x_[i] + shift; });
    // Each twofold addition is right to 2^-102 of its operands.
    const double arithmetic = 0x1p-100 * (norm_ + 2.0 * std::fabs(shift));
    certificate_.error_bound =
        (proof_.error + std::fabs(proof_.shift - shift) + arithmetic) * (1.0 + 4.0 * kUnitRoundoff);
    certificate_.residual = proof_.residual;
    certificate_.converged = meets_tolerance() || (tolerance_ == 0.0 && proof_.error <= kSomeDigits * norm_);
    return {std::move(x_), std::move(certificate_)};
  }

  template <class Body>
  void for_states(Body&& body) {
    resolvent_.team_.for_blocks(std::ssize(b_.value), kBlock, [&](Index first, Index last, Index) {
      for (Index i = first; i < last; ++i) body(at(i));
    });
  }

  Resolvent& resolvent_;
  Solvers& solvers_;
  System system_;  // its norms; methods assemble the matrix if they need it
  const RightSide& b_;
  double tolerance_;
  Doubles residual_;
  Doubles correction_;
  TwofoldVector x_;
  Proof proof_;
  double norm_ = 0.0;  // of the answer so far
  Certificate certificate_;
  bool gave_up_ = false;
  bool finished_ = false;
};

Resolvent::Resolvent(const Kernel& kernel, Team& team, Monitor& monitor)
    : kernel_(kernel), team_(team), solvers_(std::make_unique<Solvers>(kernel, team, monitor)) {
  if (kernel.is_discounted()) {
    horizon_.w = kernel.deficit();
  } else {
    find_horizon();
  }
}

/// Undiscounted: t = X 1, about, by corrections until (I - K) t is near enough to 1 everywhere.
void Resolvent::find_horizon() {
  TwofoldVector t = twofold_vector(kernel_.size());
  Doubles residual(t.size(), 1.0);
  Doubles correction(t.size());
  horizon_ = horizon_of(kernel_, t, residual, team_);
  for (std::size_t i = 0; i < portfolio().size(); ++i) {
    if (!solvers_->candidate(i, Direction::kForward).method) continue;
    for (bool helps = true; helps;) {
      const double before = extent_of(residual, team_).largest();
      const Goal goal{.initial = before, .enough = kNearEnough / 2.0};
      solvers_->solve(i, Direction::kForward, residual, correction, goal);
      if (!extent_of(correction, team_).finite()) break;
      TwofoldVector corrected(t);
      for (std::size_t s = 0; s < t.size(); ++s) corrected[s] = t[s] + correction[s];
      Doubles left(t.size());
      Horizon found = horizon_of(kernel_, corrected, left, team_);
      if (found.w.lower >= 1.0 - kNearEnough) {
        horizon_ = std::move(found);
        return;
      }
      helps = extent_of(left, team_).largest() <= kWorthwhile * before;
      if (!helps) break;
      t = std::move(corrected);
      residual = std::move(left);
    }
  }
}

Resolvent::~Resolvent() = default;

Solution Resolvent::solve(const RightSide& b, double tolerance) { return solve(Direction::kForward, b, tolerance); }

Solution Resolvent::solve_transposed(const RightSide& b, double tolerance) {
  return solve(Direction::kTransposed, b, tolerance);
}

Solution Resolvent::solve(Direction direction, const RightSide& b, double tolerance) {
  const double size = extent_of(b.value, team_).largest();
  if (size == 0.0) return zero(b);
  const int exponent = std::ilogb(size);
  if (std::abs(exponent) <= kMostExponent) return Refinement(*this, direction, b, tolerance).run();

  const RightSide to_size{scaled(b.value, -exponent), std::ldexp(b.error, -exponent)};
  Solution solution = Refinement(*this, direction, to_size, tolerance).run();
  solution.x = scaled(solution.x, exponent);
  Certificate& certificate = solution.certificate;
  certificate.error_bound = std::ldexp(certificate.error_bound, exponent) + std::numeric_limits<double>::min();
  certificate.residual = std::ldexp(certificate.residual, exponent);
  return solution;
}

/// (I - K)^-1 0 = 0, but for what may be missing in b.
Solution Resolvent::zero(const RightSide& b) const {
  Certificate certificate;
  certificate.error_bound = b.error * horizon_.amplification();
  certificate.residual = b.error;
  certificate.converged = true;
  certificate.method = "zero";
  return {TwofoldVector(b.value.size()), std::move(certificate)};
}

}  // namespace rlcore::linear
