#include "rlcore/long_run/stationary.hpp"

#include <algorithm>

#include "rlcore/linear/lines.hpp"
#include "rlcore/long_run/elimination.hpp"

namespace rlcore {
namespace {

/// No two distributions are further apart, in L1: what is said where nothing could be proven.
constexpr double kNothingKnown = 2.0;

void spread_evenly(std::span<const Column> states, TwofoldVector& probability) {
  for (const Column state : states) probability[at(state)] = {1.0 / static_cast<double>(states.size())};
}

/// Reduces one class of a chain after the other.
class ClassReduction {
 public:
  explicit ClassReduction(const Chain& chain)
      : chain_(chain), number_(at(chain.size()), -1), probability_(twofold_vector(chain.size())) {}

  /// The class of these states, which in this order lead no further than `width`. False if its numbers leave the range
  /// of doubles.
  bool reduce(std::span<const Column> states, Index width) {
    const std::optional<TwofoldVector> found = stationary_by_elimination(Rates(chain_, states, width, number_));
    if (!found) return false;
    for (std::size_t i = 0; i < states.size(); ++i) probability_[at(states[i])] = (*found)[i];
    return true;
  }

  TwofoldVector& probability() { return probability_; }

 private:
  const Chain& chain_;
  std::vector<Column> number_;  // scratch
  TwofoldVector probability_;
};

}  // namespace

bool has_small_classes(const ChainStructure& structure) {
  for (Index c = 0; c < structure.num_classes(); ++c) {
    if (std::ssize(structure.states(c)) > kFewStates) return false;
  }
  return true;
}

StationaryDistributions reduce_small_classes(const Chain& chain, const ChainStructure& structure) {
  ClassReduction reduction(chain);
  double error = 0.0;
  for (Index c = 0; c < structure.num_classes(); ++c) {
    const auto states = structure.states(c);
    const Index width = std::ssize(states) - 1;
    error = std::max(error, elimination_error(std::ssize(states), width));
    if (reduction.reduce(states, width)) continue;
    error = kNothingKnown;
    spread_evenly(states, reduction.probability());
  }
  return {std::move(reduction.probability()), error};
}

std::optional<StationaryDistributions> reduce_along_lines(const Chain& chain, const ChainStructure& structure,
                                                          const StateOrder::Columns& line) {
  std::vector<StateOrder::Columns> classes(at(structure.num_classes()));
  for (const Column state : line) {
    if (structure.class_of[at(state)] >= 0) classes[at(structure.class_of[at(state)])].push_back(state);
  }
  ClassReduction reduction(chain);
  for (const auto& states : classes) {
    if (!reduction.reduce(states, std::min(linear::kWidthOfLines, std::ssize(states) - 1))) return std::nullopt;
  }
  return StationaryDistributions{std::move(reduction.probability()),
                                 elimination_error(chain.size(), linear::kWidthOfLines)};
}

StationaryDistributions stationary_by_cycles(const ChainStructure& structure, linear::Solution visits) {
  StationaryDistributions found{std::move(visits.x)};
  for (Index c = 0; c < structure.num_classes(); ++c) {
    const auto states = structure.states(c);
    TwofoldSum sum;
    for (const Column state : states) {
      Twofold& of_state = found.probability[at(state)];
      if (of_state.hi < 0.0) of_state = {};
      sum.add_product(of_state, 1.0);
    }
    const Twofold length = sum.total();
    const double summing = dot_error(std::ssize(structure.class_of)) + 0x1p-90;
    const double relative = 2.0 * (visits.certificate.error_bound + summing * length.hi) / length.hi;
    if (relative < 0.5) {
      for (const Column state : states) {
        found.probability[at(state)] = quotient(found.probability[at(state)], length);
      }
      found.error = std::max(found.error, relative / (1.0 - relative));
    } else {
      spread_evenly(states, found.probability);
      found.error = kNothingKnown;
    }
  }
  for (const Column state : structure.transient) found.probability[at(state)] = {};
  return found;
}

}  // namespace rlcore
