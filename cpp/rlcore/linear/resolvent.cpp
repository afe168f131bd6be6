#include "rlcore/linear/resolvent.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <optional>
#include <utility>

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

/// The part of the tolerance that the rounding of a residual in doubles may use up.
constexpr double kSpare = 0.125;

/// How far from 1 (I - K) t may be where t is to be the time that remains.
constexpr double kNearEnough = 0.5;

/// Numbers beyond 2^+-300 are brought to size first: their products would over- or underflow.
constexpr int kMostExponent = 300;

/// The numbers of all lanes of a block: a few gigabytes for all that a solve and its proof hold.
constexpr Index kMostNumbers = Index{1} << 24;

TwofoldVector scaled(const TwofoldVector& x, int exponent) {
  TwofoldVector y(x.size());
  for (std::size_t i = 0; i < x.size(); ++i) y[i] = {std::ldexp(x[i].hi, exponent), std::ldexp(x[i].lo, exponent)};
  return y;
}

/// A right-hand side whose numbers are neither too large nor too small to multiply.
class ToSize {
 public:
  ToSize(const RightSide& b, double size) : b_(b), is_zero_(size == 0.0) {
    if (is_zero_ || std::abs(std::ilogb(size)) <= kMostExponent) return;
    exponent_ = std::ilogb(size);
    scaled_ = RightSide{scaled(b.value, -exponent_), std::ldexp(b.error, -exponent_)};
  }

  bool is_zero() const { return is_zero_; }
  const RightSide& side() const { return scaled_ ? *scaled_ : b_; }

  /// The solution for the right-hand side as it was.
  Solution back(Solution solution) const {
    if (!scaled_) return solution;
    solution.x = scaled(solution.x, exponent_);
    solution.ahead = {};
    Certificate& certificate = solution.certificate;
    certificate.error_bound = std::ldexp(certificate.error_bound, exponent_) + std::numeric_limits<double>::min();
    certificate.residual = std::ldexp(certificate.residual, exponent_);
    return solution;
  }

 private:
  const RightSide& b_;
  bool is_zero_;
  int exponent_ = 0;
  std::optional<RightSide> scaled_;
};

}  // namespace

void Certificate::include(const Certificate& other) {
  converged = converged && other.converged;
  residual = std::max(residual, other.residual);
  iterations += other.iterations;
  method = other.method;
  story += other.story;
}

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
  std::vector<Outcome> solve(std::size_t i, Direction direction, std::span<const Lane> lanes) {
    const Doubles& leaving = kernel_.leaving();
    if (leaving.empty()) return solve_assembled(i, direction, lanes);
    if (direction == Direction::kTransposed) {
      const std::vector<Outcome> outcomes = solve_assembled(i, direction, lanes);
      for (const Lane& lane : lanes) {
        for (std::size_t s = 0; s < lane.x.size(); ++s) {
          if (lane.rest.empty()) {
            lane.x[s] /= leaving[s];
          } else {
            const Twofold visits = quotient({lane.x[s], lane.rest[s]}, {leaving[s]});
            lane.x[s] = visits.hi;
            lane.rest[s] = visits.lo;
          }
        }
      }
      return outcomes;
    }
    std::vector<Doubles> jump_b;
    std::vector<Lane> jump_lanes(lanes.begin(), lanes.end());
    for (Lane& lane : jump_lanes) {
      Doubles& b = jump_b.emplace_back(lane.b.begin(), lane.b.end());
      for (std::size_t s = 0; s < b.size(); ++s) b[s] /= leaving[s];
      lane.b = b;
    }
    return solve_assembled(i, direction, jump_lanes);
  }

 private:
  std::vector<Outcome> solve_assembled(std::size_t i, Direction direction, std::span<const Lane> lanes) {
    Method& method = *candidates_[i].method;
    if (portfolio()[i].local) return local(direction).solve(method, direction, lanes, monitor_);
    return method.solve_together(direction, lanes, monitor_);
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

/// The refinement of one right-hand side: the answer so far, its residual, and what that proves.
class Resolvent::Refinement {
 public:
  Refinement(const Resolvent& resolvent, Direction direction, const RightSide& b, double tolerance)
      : team_(resolvent.team_),
        system_(resolvent.kernel_.frame(direction, resolvent.team_)),
        b_(b),
        tolerance_(tolerance),
        residual_(rounded(b.value, team_)),
        correction_(unset<Doubles>(std::ssize(b.value))),
        x_(unset<TwofoldVector>(std::ssize(b.value))) {
    for_states([&](std::size_t i) { x_[i] = {}; });
    system_.amplification = resolvent.horizon_.amplification();
    const double residual = system_.norm(residual_);
    proof_ = {residual * system_.amplification, 0.0, residual, 0.0};
    if (doubles_may_do(resolvent.kernel_)) arithmetic_ = Arithmetic::kDoubles;
    num_pairs_ = resolvent.kernel_.chain().mdp().num_pairs();
  }

  /// The next correction, to be found.
  Lane lane(bool is_twofold) {
    before_ = proof_;
    correction_rest_.resize(is_twofold ? correction_.size() : 0);
    return {residual_,
            correction_,
            {0.8 * tolerance_, norm_, system_.residual_norm(residual_), system_.amplification},
            correction_rest_};
  }

  /// Takes note of how a correction was found, and whether it is worth a look.
  void found(const Outcome& outcome) {
    iterations_ = outcome.iterations;
    gave_up_ = outcome.gave_up || !extent_of(correction_, team_).finite();
  }
  bool gave_up() const { return gave_up_; }

  void add_correction(double sign) {
    for_states([&](std::size_t i) { x_[i] = x_[i] + sign * correction_[i]; });
    if (correction_rest_.empty()) return;
    for_states([&](std::size_t i) { x_[i] = x_[i] + sign * correction_rest_[i]; });
  }

  Claim claim() {
    const bool leaves_ahead = b_.wants_ahead && arithmetic_ == Arithmetic::kDoubles;
    if (leaves_ahead && ahead_.empty()) ahead_ = unset<Doubles>(num_pairs_);
    return {b_, x_, residual_, ahead_};
  }
  Arithmetic arithmetic() const { return arithmetic_; }

  /// A residual in doubles whose rounding costs too much gives way to twofold ones.
  void proven(const Proof& proof) {
    proof_ = proof;
    norm_ = norm_of_answer();
    if (arithmetic_ == Arithmetic::kDoubles && !(proof_.floor <= kSpare * tolerance_ * norm_)) {
      arithmetic_ = Arithmetic::kTwofold;
      ahead_ = {};
    }
  }
  /// Where nothing is proven before or after, the residual tells.
  bool got_worse() const {
    const bool proves = std::isfinite(proof_.error) || std::isfinite(before_.error);
    return proves ? !(proof_.error <= before_.error) : !(proof_.residual <= before_.residual);
  }

  /// Whether the method is to correct once more. Direct methods polish small answers to the last digit of the twofold
  /// numbers: what is made of them may be far smaller.
  bool goes_on(bool is_direct) {
    // Infinity is no part of infinity.
    const bool worthwhile = std::isfinite(proof_.error) && proof_.error <= kWorthwhile * before_.error;
    const bool polishing = worthwhile && is_direct && std::ssize(b_.value) <= kBlock;
    finished_ = is_arithmetic() || ((is_below_rounding() || meets_tolerance()) && !polishing);
    return !finished_ && worthwhile;
  }
  bool finished() const { return finished_; }

  void tell_untried(std::string_view name, std::string_view reason) {
    certificate_.story.append(name).append(": not tried, ").append(reason).append("\n");
  }

  void tell(std::string_view name) {
    certificate_.iterations += iterations_;
    certificate_.method = name;
    certificate_.story +=
        std::string(name) + ": " + std::to_string(iterations_) + (iterations_ == 1 ? " solve" : " iterations") +
        (gave_up_ ? ", gave up" : "") + ", proven relative error " +
        format_briefly(norm_ > 0.0 ? proof_.error / norm_ : std::numeric_limits<double>::infinity()) + "\n";
  }

  Solution conclude() {
    // A shift that is lost in rounding and in the error would only turn exact zeros into dust.
    const bool negligible = std::fabs(proof_.shift) <= std::min(kBelowRounding * norm_, proof_.error);
    const double shift = negligible ? 0.0 : proof_.shift;
    if (shift != 0.0) for_states([&](std::size_t i) { x_[i] = x_[i] + shift; });
    // Each twofold addition is right to 2^-102 of its operands.
    const double arithmetic = 0x1p-100 * (norm_ + 2.0 * std::fabs(shift));
    certificate_.error_bound =
        (proof_.error + std::fabs(proof_.shift - shift) + arithmetic) * (1.0 + 4.0 * kUnitRoundoff);
    certificate_.residual = proof_.residual;
    certificate_.converged = meets_tolerance() || (tolerance_ == 0.0 && proof_.error <= kSomeDigits * norm_);
    return {std::move(x_), std::move(certificate_), {std::move(ahead_), shift}};
  }

 private:
  /// Whether residuals in doubles could prove the tolerance, for an answer of size one. Small chains are answered to
  /// the last digit instead.
  bool doubles_may_do(const Kernel& kernel) const {
    return kernel.is_discounted() && kernel.size() > kBlock &&
           kernel.chain().residual_error_in_doubles(1.0) * system_.amplification <= kSpare * tolerance_;
  }

  /// Of x and the shift that the proof adds.
  double norm_of_answer() const {
    const Extent extent = extent_of(x_, team_);
    if (system_.direction == Direction::kTransposed) return extent.l1;
    return std::max(std::fabs(extent.lower + proof_.shift), std::fabs(extent.upper + proof_.shift));
  }

  /// Whether there is nothing left to win.
  bool is_arithmetic() const { return proof_.error <= 4.0 * proof_.floor; }
  bool is_below_rounding() const { return proof_.error <= kBelowRounding * norm_; }

  /// The rounding of the answer to doubles counts too.
  bool meets_tolerance() const { return proof_.error + kUnitRoundoff * norm_ <= tolerance_ * norm_; }

  template <class Body>
  void for_states(Body&& body) {
    team_.for_blocks(std::ssize(b_.value), kBlock, [&](Index first, Index last, Index) {
      for (Index i = first; i < last; ++i) body(at(i));
    });
  }

  Team& team_;
  System system_;  // its norms; methods assemble the matrix if they need it
  const RightSide& b_;
  double tolerance_;
  Doubles residual_;
  Doubles correction_;
  Doubles correction_rest_;  // of a method that finds more than doubles hold
  TwofoldVector x_;
  Index num_pairs_;
  Doubles ahead_;  // of x, as the last proof left it; empty before, and after proofs in twofold arithmetic
  Arithmetic arithmetic_ = Arithmetic::kTwofold;
  Proof proof_;
  Proof before_;
  double norm_ = 0.0;  // of the answer so far
  Certificate certificate_;
  Index iterations_ = 0;  // of the last correction
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
  Doubles rest(t.size());
  horizon_ = horizon_of(kernel_, t, residual, team_);
  for (std::size_t i = 0; i < portfolio().size(); ++i) {
    const Candidate& candidate = solvers_->candidate(i, Direction::kForward);
    if (!candidate.method) continue;
    // A long time that is right to nearly all digits everywhere may leave more than it began with in states where the
    // process hardly ever comes: its correction is small.
    bool corrects_anyway = candidate.method->is_twofold();
    for (bool helps = true; helps; corrects_anyway = false) {
      const double before = extent_of(residual, team_).largest();
      const Goal goal{.initial = before, .enough = kNearEnough / 2.0};
      const std::array lanes{Lane{residual, correction, goal, rest}};
      std::fill(rest.begin(), rest.end(), 0.0);
      solvers_->solve(i, Direction::kForward, lanes);
      if (!extent_of(correction, team_).finite()) break;
      TwofoldVector corrected(t);
      for (std::size_t s = 0; s < t.size(); ++s) corrected[s] = t[s] + Twofold{correction[s], rest[s]};
      Doubles left(t.size());
      Horizon found = horizon_of(kernel_, corrected, left, team_);
      if (found.w.lower >= 1.0 - kNearEnough) {
        horizon_ = std::move(found);
        return;
      }
      // What no arithmetic of ours could prove of such a time, no other method finds.
      const double most = extent_of(corrected, team_).largest();
      if (candidate.method->is_twofold() && kernel_.residual_error(Direction::kForward, most) >= kNearEnough) return;
      const double after = extent_of(left, team_).largest();
      helps = corrects_anyway || (after < before && after <= kWorthwhile * before);
      if (!helps) break;
      t = std::move(corrected);
      residual = std::move(left);
    }
  }
}

Resolvent::~Resolvent() = default;

Solution Resolvent::solve(const RightSide& b, double tolerance) {
  return std::move(solve(Direction::kForward, {&b, 1}, tolerance).front());
}

Solution Resolvent::solve_transposed(const RightSide& b, double tolerance) {
  return std::move(solve(Direction::kTransposed, {&b, 1}, tolerance).front());
}

std::vector<Solution> Resolvent::solve(std::span<const RightSide> b, double tolerance) {
  return solve(Direction::kForward, b, tolerance);
}

std::vector<Solution> Resolvent::solve_transposed(std::span<const RightSide> b, double tolerance) {
  return solve(Direction::kTransposed, b, tolerance);
}

std::vector<Solution> Resolvent::solve(Direction direction, std::span<const RightSide> b, double tolerance) {
  const std::size_t most = num_lanes();
  std::vector<Solution> solutions;
  for (std::size_t first = 0; first < b.size(); first += most) {
    const auto block = b.subspan(first, std::min(most, b.size() - first));
    std::vector<ToSize> sized;
    for (const RightSide& right : block) sized.emplace_back(right, extent_of(right.value, team_).largest());
    std::vector<Refinement> refinements;
    for (const ToSize& right : sized) {
      if (!right.is_zero()) refinements.emplace_back(*this, direction, right.side(), tolerance);
    }
    refine(refinements, direction);
    for (std::size_t i = 0, next = 0; i < block.size(); ++i) {
      solutions.push_back(sized[i].is_zero() ? zero(block[i]) : sized[i].back(refinements[next++].conclude()));
    }
  }
  return solutions;
}

/// So many right-hand sides go together that their vectors do not crowd out the model.
std::size_t Resolvent::num_lanes() const {
  std::size_t lanes = kMostLanes;
  while (lanes > 1 && static_cast<Index>(lanes) * kernel_.size() > kMostNumbers) lanes /= 2;
  return lanes;
}

/// Method after method, each for those that are left by the ones before it.
void Resolvent::refine(std::span<Refinement> refinements, Direction direction) {
  Refinements open;
  for (Refinement& refinement : refinements) open.push_back(&refinement);
  for (std::size_t i = 0; i < portfolio().size() && !open.empty(); ++i) {
    const Candidate& candidate = solvers_->candidate(i, direction);
    if (candidate.method) {
      refine_by(i, direction, open);
      std::erase_if(open, [](const Refinement* refinement) { return refinement->finished(); });
    } else {
      for (Refinement* const refinement : open) refinement->tell_untried(portfolio()[i].name, candidate.reason);
    }
  }
}

/// Corrections by one method until nothing is left to gain, or it does not help enough.
void Resolvent::refine_by(std::size_t method, Direction direction, Refinements refinements) {
  const bool is_direct = solvers_->candidate(method, direction).method->is_direct();
  while (!refinements.empty()) {
    improve(method, direction, refinements);
    for (Refinement* const refinement : refinements) refinement->tell(portfolio()[method].name);
    std::erase_if(refinements, [&](Refinement* refinement) { return !refinement->goes_on(is_direct); });
  }
}

/// One correction each, judged, and taken back if it made things worse. What a method gave up is not looked at.
void Resolvent::improve(std::size_t method, Direction direction, const Refinements& refinements) {
  std::vector<Lane> lanes;
  const bool is_twofold = solvers_->candidate(method, direction).method->is_twofold();
  for (Refinement* const refinement : refinements) lanes.push_back(refinement->lane(is_twofold));
  const std::vector<Outcome> outcomes = solvers_->solve(method, direction, lanes);
  Refinements corrected;
  for (std::size_t k = 0; k < refinements.size(); ++k) {
    refinements[k]->found(outcomes[k]);
    if (!refinements[k]->gave_up()) corrected.push_back(refinements[k]);
  }
  for (Refinement* const refinement : corrected) refinement->add_correction(1.0);
  judge(direction, corrected);
  std::erase_if(corrected, [](const Refinement* refinement) { return !refinement->got_worse(); });
  for (Refinement* const refinement : corrected) refinement->add_correction(-1.0);
  judge(direction, corrected);
}

/// In doubles first: those that doubles prove too little of go on to twofold arithmetic.
void Resolvent::judge(Direction direction, const Refinements& refinements) {
  for (const Arithmetic arithmetic : {Arithmetic::kDoubles, Arithmetic::kTwofold}) {
    Refinements judged(refinements);
    std::erase_if(judged, [&](const Refinement* refinement) { return refinement->arithmetic() != arithmetic; });
    if (judged.empty()) continue;
    std::vector<Claim> claims;
    for (Refinement* const refinement : judged) claims.push_back(refinement->claim());
    const std::vector<Proof> proofs = prove(kernel_, horizon_, direction, arithmetic, claims, team_);
    for (std::size_t k = 0; k < judged.size(); ++k) judged[k]->proven(proofs[k]);
  }
}

/// (I - K)^-1 0 = 0, but for what may be missing in b.
Solution Resolvent::zero(const RightSide& b) const {
  Certificate certificate;
  certificate.error_bound = b.error == 0.0 ? 0.0 : b.error * horizon_.amplification();
  certificate.residual = b.error;
  certificate.converged = true;
  certificate.method = "zero";
  return {TwofoldVector(b.value.size()), std::move(certificate)};
}

}  // namespace rlcore::linear
