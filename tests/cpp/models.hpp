// Small models for the C++ tests, owned by the struct that holds their arrays.
#pragma once

#include <algorithm>
#include <random>
#include <utility>
#include <vector>

#include "rlcore/chain.hpp"
#include "rlcore/linear/system.hpp"
#include "rlcore/mdp.hpp"
#include "rlcore/monitor.hpp"
#include "rlcore/policy.hpp"

namespace rlcore::tests {

struct Model {
  std::vector<Index> pair_start{0};
  std::vector<std::int64_t> row_start{0};
  std::vector<Column> column;
  std::vector<double> probability;
  std::vector<double> reward;
  std::vector<double> termination;
  std::vector<double> initial;

  void add_entry(Index successor, double p) {
    column.push_back(static_cast<Column>(successor));
    probability.push_back(p);
  }
  void end_pair(double r) {
    row_start.push_back(static_cast<std::int64_t>(column.size()));
    reward.push_back(r);
  }
  void end_state() { pair_start.push_back(static_cast<Index>(reward.size())); }

  Index num_states() const { return static_cast<Index>(pair_start.size()) - 1; }

  MdpArrays arrays() const {
    return {
        .num_states = num_states(),
        .pair_start = pair_start,
        .row_start = Offsets(row_start.data(), static_cast<Index>(row_start.size())),
        .column = column,
        .probability = probability,
        .reward = reward,
        .termination = termination,
        .initial = initial,
        .owner = {},
    };
  }
  Mdp mdp() const { return Mdp(arrays()); }

  std::vector<double> uniform_policy() const {
    std::vector<double> policy;
    for (std::size_t s = 0; s + 1 < pair_start.size(); ++s) {
      const auto actions = static_cast<std::size_t>(pair_start[s + 1] - pair_start[s]);
      policy.insert(policy.end(), actions, 1.0 / static_cast<double>(actions));
    }
    return policy;
  }
};

/// Forest management: wait, or cut; the forest burns with probability p.
inline Model forest(double p = 0.1) {
  Model model;
  for (Index age = 0; age < 3; ++age) {
    const Index older = std::min<Index>(age + 1, 2);
    model.add_entry(0, p);
    model.add_entry(older, 1.0 - p);
    model.end_pair(age == 2 ? 4.0 : 0.0);
    model.add_entry(0, 1.0);
    model.end_pair(age == 0 ? 0.0 : (age == 1 ? 1.0 : 2.0));
    model.end_state();
  }
  model.initial.assign(3, 1.0 / 3.0);
  return model;
}

/// A random model: `branching` distinct successors a pair, and a termination of `ending`.
inline Model random_model(Index num_states, Index num_actions, Index branching, double ending = 0.0,
                          unsigned seed = 0) {
  std::mt19937_64 random(seed);
  std::uniform_real_distribution<double> uniform;
  Model model;
  for (Index state = 0; state < num_states; ++state) {
    for (Index action = 0; action < num_actions; ++action) {
      std::vector<Index> successors;
      while (static_cast<Index>(successors.size()) < branching) {
        const auto next = static_cast<Index>(random() % static_cast<std::uint64_t>(num_states));
        if (std::find(successors.begin(), successors.end(), next) == successors.end()) successors.push_back(next);
      }
      std::sort(successors.begin(), successors.end());
      for (const Index next : successors) model.add_entry(next, (1.0 - ending) / static_cast<double>(branching));
      model.end_pair(uniform(random));
      if (ending > 0.0) model.termination.push_back(ending);
    }
    model.end_state();
  }
  model.initial.assign(at(num_states), 1.0 / static_cast<double>(num_states));
  return model;
}

/// A ring on which each state goes to the next with probability `forward` and stays otherwise.
inline Model ring(Index num_states, double forward) {
  Model model;
  for (Index state = 0; state < num_states; ++state) {
    const Index next = (state + 1) % num_states;
    if (forward == 1.0) {
      model.add_entry(next, 1.0);
    } else {
      model.add_entry(std::min(state, next), next > state ? 1.0 - forward : forward);
      model.add_entry(std::max(state, next), next > state ? forward : 1.0 - forward);
    }
    model.end_pair(state == 0 ? 1.0 : 0.0);
    model.end_state();
  }
  model.initial.assign(at(num_states), 0.0);
  model.initial[0] = 1.0;
  return model;
}

/// A walk on a torus of side x side states, by default a little faster to one side than to the other.
inline Model torus(Index side, double drift = 0.0625) {
  Model model;
  for (Index state = 0; state < side * side; ++state) {
    const Index row = state / side;
    const Index column = state % side;
    std::vector<std::pair<Index, double>> moves{{(row + 1) % side * side + column, 0.25},
                                                {(row + side - 1) % side * side + column, 0.25},
                                                {row * side + (column + 1) % side, 0.25 + drift},
                                                {row * side + (column + side - 1) % side, 0.25 - drift}};
    std::sort(moves.begin(), moves.end());
    for (const auto& [next, probability] : moves) model.add_entry(next, probability);
    model.end_pair(0.0);
    model.end_state();
  }
  return model;
}

/// The chain of the uniform policy, and what its solvers are given.
struct UniformChain {
  Model model;
  Mdp mdp;
  std::vector<double> policy;
  Chain chain;
  Team team{2};
  Monitor monitor;

  explicit UniformChain(Model of)
      : model(std::move(of)),
        mdp(model.mdp()),
        policy(model.uniform_policy()),
        chain(mdp, policy, check_policy(mdp, policy)) {}

  linear::System system(linear::Direction direction, double discount) {
    const bool forward = direction == linear::Direction::kForward;
    return {.matrix = forward ? chain.transition(team) : chain.transposed_transition(team),
            .discount = discount,
            .direction = direction,
            .conserves = true,
            .team = &team};
  }
};

}  // namespace rlcore::tests
