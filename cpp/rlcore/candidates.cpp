#include "rlcore/candidates.hpp"

#include <string>

#include "rlcore/errors.hpp"

namespace rlcore {

Candidates::Candidates(const Mdp& mdp, std::vector<ConstVector> policies)
    : mdp_(mdp), size_(std::ssize(policies)), policies_(std::move(policies)) {
  for (const ConstVector& policy : policies_) {
    if (ssize(policy) != mdp.num_pairs()) {
      throw PolicyError("candidates", {},
                        "expected one probability for each of the " + std::to_string(mdp.num_pairs()) + " pairs, got " +
                            std::to_string(policy.size()));
    }
  }
}

Candidates::Candidates(const Mdp& mdp, std::span<const Index> start, std::span<const Index> states, ConstVector rows)
    : mdp_(mdp), size_(std::ssize(start) - 1), start_(start), states_(states), rows_(rows), row_start_(states.size()) {
  const Index count = std::ssize(states);
  if (start.empty() || start.front() != 0 || start.back() != count) {
    throw ModelError("start", {}, "expected offsets from 0 to " + std::to_string(count));
  }
  for (Index candidate = 0; candidate < size_; ++candidate) {
    const Index first = start[at(candidate)];
    const Index last = start[at(candidate) + 1];
    if (first > last) throw ModelError("start", {.item = candidate}, "expected offsets that do not decrease");
    for (Index k = first; k < last; ++k) {
      const Index state = states[at(k)];
      if (state < 0 || state >= mdp.num_states()) {
        throw ModelError(
            "states", {.item = candidate},
            "expected states in 0 .. " + std::to_string(mdp.num_states() - 1) + ", got " + std::to_string(state));
      }
      if (k > first && state <= states[at(k) - 1]) {
        throw ModelError("states", {.item = candidate}, "expected each state once, in increasing order");
      }
    }
  }
  Index position = 0;
  for (Index k = 0; k < count; ++k) {
    row_start_[at(k)] = position;
    position += mdp.first_pair(states[at(k)] + 1) - mdp.first_pair(states[at(k)]);
  }
  if (position != ssize(rows)) {
    throw ModelError("rows", {},
                     "expected " + std::to_string(position) +
                         " probabilities, one for each action of the states, got " + std::to_string(rows.size()));
  }
}

}  // namespace rlcore
