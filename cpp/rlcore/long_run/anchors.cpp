#include "rlcore/long_run/anchors.hpp"

#include <algorithm>

#include "rlcore/linear/system.hpp"

namespace rlcore {

std::vector<Column> most_visited(const ChainStructure& structure, const Doubles& often) {
  std::vector<Column> anchors;
  for (Index c = 0; c < structure.num_classes(); ++c) {
    const auto states = structure.states(c);
    anchors.push_back(*std::max_element(states.begin(), states.end(),
                                        [&](Column one, Column other) { return often[at(one)] < often[at(other)]; }));
  }
  return anchors;
}

Doubles where_it_gathers(const Chain& chain, Team& team, Monitor& monitor) {
  constexpr int kSteps = 64;
  const linear::System transposed{
      .matrix = chain.transposed_transition(team),
      .discount = 1.0,
      .direction = linear::Direction::kTransposed,
      .team = &team,
  };
  const Doubles nothing(at(chain.size()), 0.0);
  Doubles now(at(chain.size()), 1.0);
  Doubles next(at(chain.size()));
  for (int step = 0; step < kSteps; ++step) {
    transposed.sweep(nothing, now, next);
    std::swap(now, next);
    monitor.poll({"looking for anchors", step});
  }
  return now;
}

}  // namespace rlcore
