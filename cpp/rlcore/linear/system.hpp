// What a solver method is given: the linear system (I - discount M) x = b, and when to stop.
#pragma once

#include <array>
#include <functional>
#include <memory>
#include <utility>

#include "rlcore/csr_matrix.hpp"
#include "rlcore/extent.hpp"
#include "rlcore/monitor.hpp"
#include "rlcore/parallel.hpp"
#include "rlcore/types.hpp"

namespace rlcore::linear {

enum class Direction { kForward, kTransposed };

/// One for each direction.
template <class T>
class ByDirection {
 public:
  T& operator[](Direction direction) { return of_[direction == Direction::kForward ? 0 : 1]; }

 private:
  std::array<T, 2> of_{};
};

class Wavefront;

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
  template <class Number>
  struct SweepOf {
    ExtentOf<Number> value;
    ExtentOf<Number> change;
  };
  template <class Number>
  SweepOf<Number> sweep(std::span<const Number> b, std::span<const Number> x, std::span<Number> y) const;

  /// The same where b, x and y are zero wherever the front has not come to.
  template <class Number>
  SweepOf<Number> sweep(const Wavefront& front, std::span<const Number> b, std::span<const Number> x,
                        std::span<Number> y) const;

  /// The residual b - (I - discount M) x.
  template <class Number>
  void residual(std::span<const Number> b, std::span<const Number> x, std::span<Number> r) const;

  /// y = (I - discount M) x
  template <class Number>
  void apply(std::span<const Number> x, std::span<Number> y) const;

  /// The first guess: what a sweep makes of zero, b, or the mass that visits must have, spread evenly, where nothing
  /// ends.
  template <class Number>
  void guess(std::span<const Number> b, std::span<Number> x) const;

  /// Takes the mean out of a vector where constants are free: values of a process that does not end are proven up
  /// to a constant, which the proof finds. Left in, constants of size 1 / (1 - discount) would drown the rest.
  template <class Number>
  void remove_free_part(std::span<Number> x) const;

  /// Adds to x the constant that centres its residual, where constants are free.
  template <class Number>
  void restore_free_part(std::span<const Number> b, std::span<Number> x) const;

  /// The same, where the residual r of x is known.
  template <class Number>
  void centre(std::span<const Number> r, std::span<Number> x) const;

  /// The norm in which an error counts: the largest value, or the total mass, transposed.
  template <class Number>
  Number norm(const ExtentOf<Number>& x) const {
    using std::fabs, std::max;
    return direction == Direction::kTransposed ? x.l1 : max(fabs(x.lower), fabs(x.upper));
  }

  /// The part of a residual that cannot be mended by a constant shift, in that norm.
  template <class Number>
  Number residual_norm(const ExtentOf<Number>& r) const {
    return constants_are_free() ? (r.upper - r.lower) * 0.5 : norm(r);
  }
  template <class Number>
  Number residual_norm(std::span<const Number> r) const;

  /// The constant that an answer with such a residual lacks, where constants are free.
  double missing_constant(const Extent& r) const {
    return constants_are_free() ? (r.lower + r.upper) * 0.5 / (1.0 - discount) : 0.0;
  }

  // The same of single vectors.
  using Sweep = SweepOf<double>;
  Sweep sweep(ConstVector b, ConstVector x, Vector y) const { return sweep<double>(b, x, y); }
  void residual(ConstVector b, ConstVector x, Vector r) const { residual<double>(b, x, r); }
  void apply(ConstVector x, Vector y) const { apply<double>(x, y); }
  void guess(ConstVector b, Vector x) const { guess<double>(b, x); }
  void restore_free_part(ConstVector b, Vector x) const { restore_free_part<double>(b, x); }
  double norm(ConstVector x) const { return norm(extent_of(x, *team)); }
  double norm(const TwofoldVector& x) const { return norm(extent_of(x, *team)); }
  double residual_norm(ConstVector r) const { return residual_norm<double>(r); }

 private:
  bool constants_are_free() const { return conserves && direction == Direction::kForward; }
};

/// The system of a process that goes on for ever: I - M is singular.
System running_system(CsrMatrix matrix, Direction direction, Team& team);

class Kernel;

/// Both directions of one system, each assembled when it is first asked for.
class Systems {
 public:
  using Assemble = std::function<System(Direction)>;
  Systems(Index size, Team& team, Assemble assemble, const Kernel* kernel = nullptr)
      : size_(size), team_(team), assemble_(std::move(assemble)), kernel_(kernel) {}

  Index size() const { return size_; }
  Team& team() const { return team_; }

  /// What the system was assembled from, where it is known and in the order of its states.
  const Kernel* kernel() const { return kernel_; }

  const System& operator[](Direction direction) {
    std::unique_ptr<System>& system = systems_[direction];
    if (!system) system = std::make_unique<System>(assemble_(direction));
    return *system;
  }

 private:
  Index size_;
  Team& team_;
  Assemble assemble_;
  const Kernel* kernel_;
  ByDirection<std::unique_ptr<System>> systems_;
};

/// dot(x, y), summed block by block in a fixed order.
template <class Number>
Number dot(std::span<const Number> x, std::span<const Number> y, Team& team);
double dot(ConstVector x, ConstVector y, Team& team);

/// When a method may stop. Errors are relative to the whole answer, of which `known` was found before.
struct Goal {
  double tolerance = 0.0;      // relative error asked for; 0 for as much as one solve can give
  double known = 0.0;          // norm of the answer so far
  double initial = 0.0;        // residual norm before this solve
  double amplification = 1.0;  // error <= amplification * residual
  double enough = 0.0;         // the residual that is small enough in itself

  bool met(double residual_norm, double answer_norm) const {
    const double scale = answer_norm > known ? answer_norm : known;
    return residual_norm * amplification <= tolerance * scale || residual_norm <= kFloor * initial ||
           residual_norm <= enough;
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
