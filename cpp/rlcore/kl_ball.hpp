// One state of a trust-region step: the distribution q that makes most of the advantages A of its actions, for what it
// costs to leave the old one p, KL(p || q) (theory 7).
//
// The optimum has q_a = lambda p_a / (nu - A_a) on the support of p. With top = max A over the support, g = top - A >=
// 0, m = sum p g and nu = top + x there remains one unknown x > 0, and with 1 + c = (x + g) / (x + m) and D = sum p c^2
// / (1 + c)
//
//   q = p / ((1 + c) (1 + D)),  lambda(x) = (x + m) / (1 + D),  KL(p || q) = f(x) = log(1 + D) - sum p phi(c),
//
// where phi(c) = c - log(1 + c): lambda grows from 0 to infinity, f falls from infinity to 0. What rounding adds to f
// is a few ulp of log(1 + D) <= D, and lambda D is what the step gains: so it costs a few ulp of the gain.
//
// An action outside the support gets mass only at nu = its A: if x0 = A - top > 0 then x stays at x0 once it gets
// there, the action gets r, and the rest is scaled by 1 - r.
#pragma once

#include <cmath>
#include <vector>

#include "rlcore/storage.hpp"
#include "rlcore/types.hpp"

namespace rlcore {

/// Where a row goes: a point of its path from p (x infinite) to greedy (x = 0). x and lambda are in units of the row.
struct KlPoint {
  double x = 0.0;
  double odds = 0.0;         // of the top actions, as a logarithm: it stands for an x that is too small for a double
  bool is_far = false;       // whether it does
  double log_rest = 0.0;     // log(1 - r)
  double kl = 0.0;           // KL(p || q)
  double price = 0.0;        // (1 - r) lambda
  double log_price = 0.0;    // its logarithm, where it may be too small for a double: far, and beyond the barrier
  double kl_slope = 0.0;     // d KL / d log x, beyond the barrier d KL / d log lambda
  double price_slope = 0.0;  // d log lambda / d log x, beyond the barrier 1
  double kl_rounding = 0.0;  // about what rounding does to KL
};

class KlBall {
 public:
  /// Takes the row of a state: p >= 0, which sums to about 1, and the advantages of its actions, of which those outside
  /// the support of p may be -inf. Advantages within `tie` of each other count as the same.
  void read(std::span<const double> p, std::span<const double> advantage, double tie);

  /// Whether some action is better than p by more than the tie; rows where none is stay as they are.
  bool moves() const { return moves_; }

  /// Whether actions of the support differ by more than the tie.
  bool has_spread() const { return !is_flat_; }

  /// The standard deviation of A under p, and x0 > 0 if an action outside the support of p is better than all in it,
  /// else 0.
  double deviation() const { return std::sqrt(variance_) * unit_; }
  double outside_lead() const { return has_outside_ ? barrier_ * unit_ : 0.0; }

  /// No row gains more than so much: top - low and x0 are less than twice the unit each.
  double most_gain() const { return 4.0 * unit_; }

  /// The best point with KL(p || q) <= level, 0 < level < inf; x may start anywhere near it, or at 0 for no idea.
  KlPoint at_level(double level, double start);

  /// The best point at a price: where sum q A - price KL(p || q) is largest. The price is given by its logarithm.
  KlPoint at_price(double log_price, double start);

  /// The price of a point in the units of A, and its logarithm.
  double price(const KlPoint& point) const { return point.price * unit_; }
  double log_price(const KlPoint& point) const {
    return (point.is_far || point.log_rest < 0.0 ? point.log_price : std::log(point.price)) + std::log(unit_);
  }

  /// Writes q of a point: it sums to 1 within a few ulp, and is positive where p is.
  void write(const KlPoint& point, Vector q) const;

  /// Writes the greedy distribution: all on the first action that is within a tie of the best.
  void write_greedy(Vector q) const;

  /// Bounds max_q sum (q - p) A - price KL(p || q) over all q from above, rounding included: weak duality with the nu
  /// of a point. It holds for any price, and is sharp for that of the point.
  double dual_bound(const KlPoint& point, double price) const;

  /// The same at price 0.
  double greedy_bound() const;

  /// The same of a row whose differences on the support are ties, at price x0 or above.
  double tied_bound() const;

 private:
  void reserve(std::size_t num_actions);
  KlPoint near_point(double x);
  KlPoint far_point(double odds) const;
  void prepare_far();
  double log_top_mass() const;
  double far_odds(double log_x) const;
  double far_log_x(double odds) const;
  KlPoint at_far_level(double level) const;
  double x_of_price(double price, double start) const;
  KlPoint beyond(const KlPoint& barrier, double log_rest) const;

  bool moves_ = false;
  bool is_flat_ = false;
  double unit_ = 1.0;  // a power of two: everything below is divided by it
  double mean_ = 0.0;  // m
  double variance_ = 0.0;
  double ignored_ = 0.0;  // m of a row whose differences are ties
  bool has_outside_ = false;
  double barrier_ = 0.0;  // x0
  Index outside_action_ = -1;
  Index greedy_action_ = -1;
  double top_mass_ = 0.0;  // sum p where g = 0, and where g > 0
  double rest_mass_ = 0.0;
  double mean_log_ = 0.0;  // sum p log g and sum p / g where g > 0
  double mean_inverse_ = 0.0;
  bool is_far_prepared_ = false;
  std::size_t count_ = 0;
  std::vector<Index> action_;  // of the support, and room for as many as there were in any row
  Doubles p_, g_;
  Doubles terms_;  // scratch
};

}  // namespace rlcore
