// eta' - L to the last digit, for models with few states (theory 5.2): gamma y^T W with y = (P' - P)^T w, in twofold
// arithmetic.
#pragma once

#include <vector>

#include "rlcore/evaluation.hpp"
#include "rlcore/improvement.hpp"

namespace rlcore {

/// In which kind of task policies are compared.
enum class Task { kDiscounted, kEpisodic, kAverage };

/// Bounds on the errors of what is known of a base: of A, of w in the L1 norm, and of V.
struct BaseErrors {
  double advantage = 0.0;
  double weight = 0.0;
  double value = 0.0;
};

/// Of one candidate. Rows of policies sum to 1 only up to rounding: with the excesses x = sum pi' - sum pi, what
/// policies are worth as they are stored is made of Abar + x V in place of Abar, and the drift w^T (x V) comes to it.
struct ReturnGap {
  Twofold of_abar;    // gamma y^T W, W the sums of Abar
  Twofold of_stored;  // the same with the excesses, and the drift
  double of_abar_error = 0.0, of_stored_error = 0.0;
  Twofold l1;  // ||y||_1
  double l1_error = 0.0;
  double mass = 0.0;     // bounds gamma |sum y|
  double largest = 0.0;  // bounds |W|
  double spread = 0.0;   // discounted, where nothing ends: bounds how far apart the row sums of (I - gamma P')^-1 are
};

/// The gaps of whole candidates beside a sharp base. Where W does not exist everywhere, errors are infinite.
std::vector<ReturnGap> return_gaps(const Base& base, const BaseErrors& errors, const Candidates& candidates, Task task,
                                   double discount, const Options& options, Team& team, Monitor& monitor);

}  // namespace rlcore
