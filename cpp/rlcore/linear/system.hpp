// What a solver method is given: the linear system (I - discount M) x = b, and when to stop.
#pragma once

#include "rlcore/csr_matrix.hpp"
#include "rlcore/extent.hpp"
#include "rlcore/monitor.hpp"
#include "rlcore/parallel.hpp"
#include "rlcore/types.hpp"

namespace rlcore::linear {

enum class Direction { kForward, kTransposed };

/// The system of one direction: M is P_pi (values) or its transpose (occupancies).
struct System {
  CsrMatrix matrix;
  double discount = 0.0;
  Direction direction = Direction::kForward;
  bool conserves = false;      // rows of P_pi sum to one: constants are an eigenvector
  double amplification = 1.0;  // bounds the row sums of (I - discount P_pi)^-1
  Team* team = nullptr;

  Index size() const { return matrix.size; }

  /// y = b + discount M x, with the extent of y and of y - x.
  struct Sweep {
    Extent value;
    Extent change;
  };
  Sweep sweep(ConstVector b, ConstVector x, Vector y) const;

  /// The residual b - (I - discount M) x.
  void residual(ConstVector b, ConstVector x, Vector r) const;

  /// y = (I - discount M) x
  void apply(ConstVector x, Vector y) const;

  /// The norm in which an error counts: the largest value, or the total mass, transposed.
  double norm(ConstVector x) const { return norm(extent_of(x, *team)); }
  double norm(const TwofoldVector& x) const { return norm(extent_of(x, *team)); }

  /// The part of a residual that cannot be mended by a constant shift, in that norm.
  double residual_norm(ConstVector r) const;

 private:
  double norm(const Extent& x) const { return direction == Direction::kTransposed ? x.l1 : x.largest(); }
};

/// dot(x, y), summed block by block in a fixed order.
double dot(ConstVector x, ConstVector y, Team& team);

/// When a method may stop. Errors are relative to the whole answer, of which `known` was found before.
struct Goal {
  double tolerance = 0.0;      // relative error asked for; 0 for as much as one solve can give
  double known = 0.0;          // norm of the answer so far
  double initial = 0.0;        // residual norm before this solve
  double amplification = 1.0;  // error <= amplification * residual

  bool met(double residual_norm, double answer_norm) const {
    const double scale = answer_norm > known ? answer_norm : known;
    return residual_norm * amplification <= tolerance * scale || residual_norm <= kFloor * initial;
  }
  /// The relative error that a residual stands for, for progress reports.
  double error(double residual_norm, double answer_norm) const {
    const double scale = answer_norm > known ? answer_norm : known;
    return scale > 0.0 ? residual_norm * amplification / scale : 0.0;
  }

  /// One solve in doubles cannot be trusted to gain more digits than this; refinement adds the rest.
  static constexpr double kFloor = 1e-13;
};

}  // namespace rlcore::linear
