// Direct methods overwrite right-hand sides with answers: one alone where its answer goes, several side by side.
#pragma once

#include <algorithm>
#include <span>
#include <vector>

#include "rlcore/lanes.hpp"
#include "rlcore/linear/method.hpp"

namespace rlcore::linear {

/// Calls solve(x) with a span of right-hand sides, of every lane, that it is to overwrite.
template <class Solve>
std::vector<Outcome> solve_in_place(std::span<const Lane> lanes, Team& team, Solve&& solve) {
  with_lanes(lanes.size(), [&]<class Number>() {
    if constexpr (kLanesOf<Number> == 1) {
      const Lane& lane = lanes.front();
      team.for_blocks(ssize(lane.b), kBlock, [&](Index first, Index last, Index) {
        std::copy(lane.b.begin() + first, lane.b.begin() + last, lane.x.begin() + first);
      });
      solve(lane.x);
    } else {
      std::vector<ConstVector> b;
      for (const Lane& lane : lanes) b.push_back(lane.b);
      auto x = unset<Numbers<Number>>(ssize(b.front()));
      interleave<Number>(b, x, team);
      solve(std::span<Number>(x));
      for (std::size_t k = 0; k < lanes.size(); ++k) take_lane<Number>(x, k, lanes[k].x, team);
    }
  });
  return std::vector<Outcome>(lanes.size(), Outcome{1});
}

}  // namespace rlcore::linear
