// What methods of discounted planning share: the problem, what the sweep of a vector proves of V* (theory 2.10), and
// the record of what was proven best.
#pragma once

#include <limits>
#include <string>
#include <string_view>
#include <utility>

#include "rlcore/format.hpp"
#include "rlcore/linear/resolvent.hpp"
#include "rlcore/monitor.hpp"
#include "rlcore/planning/bellman.hpp"
#include "rlcore/twofold.hpp"

namespace rlcore::planning {

inline constexpr double kInfinity = std::numeric_limits<double>::infinity();

/// Bounds are formed from few numbers, each rounded at most so often.
inline constexpr double kOutward = 1.0 + 32.0 * kUnitRoundoff;

/// The problem, and what all methods need to know of it.
struct Problem {
  const Mdp& mdp;
  double discount;
  Interval w;  // encloses 1 - discount * row sum
  double largest_reward;
  double tolerance;  // relative, of what is found in doubles
  Team& team;
  Monitor& monitor;

  Index size() const { return mdp.num_states(); }
};

/// What the sweep of a vector v proves: V* - T v lies within `error` of `shift`.
struct Proof {
  double error = kInfinity;
  double shift = 0.0;
  double norm = 0.0;      // max|T v + shift|
  double residual = 0.0;  // the largest of T v - v
  double floor = 0.0;     // the part of `error` that is due to arithmetic
  double scale = 0.0;     // what errors are relative to: the norm, or max|r| if that is 0

  double relative_error() const { return scale > 0.0 ? error / scale : error; }
  bool meets(double tolerance) const { return error + kUnitRoundoff * norm <= tolerance * scale; }

  /// Whether more sweeps would gain nothing.
  bool is_best_attainable() const { return error <= 4.0 * floor; }
};

/// From the extents of T v and T v - v, each number of which is wrong by at most `rounding`.
Proof proof_of(const Problem& problem, const BellmanSweep& sweep, double rounding);

/// Sweeps the stored model in doubles: image = T v, and its proof.
Proof sweep_and_prove(const Problem& problem, ConstVector v, Vector image, Choice& choice);

/// The best vector that was proven so far, and how it was found.
class Record {
 public:
  explicit Record(Team& team) : team_(team) {}

  /// Keeps T v, moved by the shift of its proof, if no proof was better.
  void offer(const Proof& proof, ConstVector image) {
    if (!(proof.error < proof_.error)) return;
    proof_ = proof;
    twofold_.clear();
    value_.resize(image.size());
    team_.for_blocks(ssize(image), kBlock, [&](Index first, Index last, Index) {
      for (auto i = at(first); i < at(last); ++i) value_[i] = image[i] + proof.shift;
    });
    error_bound_ = (proof.error + kUnitRoundoff * proof.norm) * kOutward;
  }

  /// The same of a twofold vector.
  void offer(const Proof& proof, TwofoldVector image) {
    if (!(proof.error < proof_.error)) return;
    proof_ = proof;
    twofold_ = std::move(image);
    for (Twofold& value : twofold_) value = value + proof.shift;
    value_ = rounded(twofold_, team_);
    error_bound_ = (proof.error + rounding_of(twofold_, team_).largest()) * kOutward;
  }

  void tell(std::string_view method, Index iterations, std::string_view what) {
    certificate_.iterations += iterations;
    certificate_.method = method;
    certificate_.story += std::string(method) + ": " + std::string(what) + ", proven relative error " +
                          format_briefly(proof_.relative_error()) + "\n";
  }

  bool meets(double tolerance) const { return proof_.meets(tolerance); }
  const Proof& proof() const { return proof_; }
  double error_bound() const { return error_bound_; }  // of value(), its rounding included
  const Doubles& value() const { return value_; }      // empty before the first offer
  const TwofoldVector& twofold() const { return twofold_; }
  const linear::Certificate& certificate() const { return certificate_; }

 private:
  Team& team_;
  Proof proof_;
  double error_bound_ = kInfinity;
  Doubles value_;
  TwofoldVector twofold_;  // the same with all its digits, if it has more
  linear::Certificate certificate_;
};

}  // namespace rlcore::planning
