#include "rlcore/simulation.hpp"

#include <algorithm>
#include <array>
#include <limits>
#include <string>

#include "rlcore/errors.hpp"
#include "rlcore/outcome_tables.hpp"
#include "rlcore/parallel.hpp"
#include "rlcore/philox.hpp"
#include "rlcore/policy.hpp"

namespace rlcore {
namespace {

using Node = OutcomeTables::Node;

constexpr Index kLanes = 64;                // episodes that go side by side, so that their reads at random overlap
constexpr Index kRun = 16;                  // steps that are written together: a cache line of each episode
constexpr Index kStretch = 1 << 14;         // steps before an interrupt may be heard
constexpr Index kPortion = Index{1} << 21;  // transitions of a thread before an interrupt may be heard

constexpr Column kOver = -1;

template <class T>
using PerLane = std::array<T, kLanes>;

/// The episodes of a group that have not ended, and where they are.
struct Lanes {
  Index count = 0;
  PerLane<Index> row;
  PerLane<Node> node;

  void add(Index episode, Node place) {
    row[at(count)] = episode;
    node[at(count++)] = place;
  }
};

/// What happened in a run of steps.
struct Run {
  Index length = 0;
  std::array<PerLane<Node>, kRun> node;
  std::array<PerLane<Column>, kRun> pair;
};

class Simulator {
 public:
  Simulator(const OutcomeTables& tables, const Draws& draws, Trajectories& out)
      : tables_(tables), draws_(draws), random_(draws.seed), out_(out) {}

  /// Carries the episodes of the rows [first, last) on from one time to another.
  void advance(Index first, Index last, Index begin, Index end) const {
    Lanes lanes = begin == 0 ? started(first, last) : going_on(first, last, begin, end);
    Run run;
    for (Index time = begin; time < end && lanes.count > 0; time += kRun) {
      run.length = std::min(kRun, end - time);
      draw(lanes, time, run);
      write(lanes, time, run);
      drop_ended(lanes, time + run.length, end);
    }
  }

 private:
  Lanes started(Index first, Index last) const {
    Lanes lanes;
    for (Index row = first; row < last; ++row) {
      const Node node = tables_.draw(tables_.start(), random_.draw(episode(row), -1)).successor;
      states(row)[0] = static_cast<Column>(node);
      out_.lengths[row] = 0;
      lanes.add(row, node);
      tables_.prefetch_extent(node);
    }
    return lanes;
  }

  Lanes going_on(Index first, Index last, Index begin, Index end) const {
    Lanes lanes;
    for (Index row = first; row < last; ++row) {
      const Column state = states(row)[begin];
      if (state == kOver) {
        mark_over(row, begin, end);
      } else {
        lanes.add(row, static_cast<Node>(state));
      }
    }
    return lanes;
  }

  /// One step of every lane after the other. Each goes through all lanes three times, and meanwhile what the next pass
  /// reads is on its way. `time` is even.
  void draw(Lanes& lanes, Index time, Run& run) const {
    std::array<PerLane<std::uint64_t>, 2> bits;
    PerLane<Index> position;
    const auto each = [&](auto&& body) {
      for (std::size_t lane = 0; lane < at(lanes.count); ++lane) body(lane);
    };
    for (std::size_t step = 0; step < at(run.length); ++step) {
      const PerLane<std::uint64_t>& drawn = bits[step % 2];
      if (step % 2 == 0) {
        each([&](std::size_t lane) {
          const auto two = random_.draw_two(episode(lanes.row[lane]), (time + static_cast<Index>(step)) / 2);
          bits[0][lane] = two[0];
          bits[1][lane] = two[1];
        });
      }
      each([&](std::size_t lane) {
        position[lane] = tables_.guide(lanes.node[lane], drawn[lane]);
        tables_.prefetch_guide(position[lane]);
      });
      each([&](std::size_t lane) {
        position[lane] = tables_.first_candidate(lanes.node[lane], position[lane]);
        tables_.prefetch_outcome(position[lane]);
      });
      each([&](std::size_t lane) {
        const OutcomeTables::Outcome& outcome = tables_.find(position[lane], drawn[lane]);
        run.node[step][lane] = lanes.node[lane] = outcome.successor;
        run.pair[step][lane] = outcome.pair;
        tables_.prefetch_extent(outcome.successor);
      });
    }
  }

  void write(const Lanes& lanes, Index time, const Run& run) const {
    for (std::size_t lane = 0; lane < at(lanes.count); ++lane) {
      const Index row = lanes.row[lane];
      Column* const state = states(row) + time + 1;
      Column* const pair = pairs(row) + time;
      Index taken = 0;
      for (std::size_t step = 0; step < at(run.length); ++step) {
        const Node node = run.node[step][lane];
        state[step] = node == tables_.end() ? kOver : static_cast<Column>(node);
        pair[step] = run.pair[step][lane];
        taken += pair[step] != kOver ? 1 : 0;
      }
      out_.lengths[row] += taken;
    }
  }

  void drop_ended(Lanes& lanes, Index time, Index end) const {
    Index kept = 0;
    for (std::size_t lane = 0; lane < at(lanes.count); ++lane) {
      const Index row = lanes.row[lane];
      const Node node = lanes.node[lane];
      if (node == tables_.end()) {
        mark_over(row, time, end);
      } else {
        lanes.row[at(kept)] = row;
        lanes.node[at(kept++)] = node;
      }
    }
    lanes.count = kept;
  }

  void mark_over(Index row, Index begin, Index end) const {
    std::fill(states(row) + begin + 1, states(row) + end + 1, kOver);
    std::fill(pairs(row) + begin, pairs(row) + end, kOver);
  }

  std::uint64_t episode(Index row) const { return draws_.first_episode + static_cast<std::uint64_t>(row); }
  Column* states(Index row) const { return out_.states.data() + row * (draws_.steps + 1); }
  Column* pairs(Index row) const { return out_.pairs.data() + row * draws_.steps; }

  const OutcomeTables& tables_;
  const Draws& draws_;
  Randomness random_;
  Trajectories& out_;
};

void check_pairs_fit(const Mdp& mdp) {
  if (mdp.num_pairs() <= std::numeric_limits<Column>::max()) return;
  throw ModelError("mdp", {}, "expected fewer than 2^31 pairs, got " + std::to_string(mdp.num_pairs()));
}

}  // namespace

Trajectories simulate(const Mdp& mdp, ConstVector policy, ConstVector initial, const Draws& draws, int num_threads,
                      Monitor& monitor) {
  mdp.ensure_checked(num_threads);
  check_pairs_fit(mdp);
  Team team(draws.episodes * (draws.steps + 1) + mdp.num_entries() < kParallelEntries ? 1 : num_threads);
  check_policy(mdp, policy, team);
  check_distribution(initial, mdp.num_states(), "initial");
  const OutcomeTables tables(mdp, policy, initial, team, monitor);

  Trajectories out{Buffer<Column>(draws.episodes * (draws.steps + 1)), Buffer<Column>(draws.episodes * draws.steps),
                   Buffer<Index>(draws.episodes)};
  const Simulator simulator(tables, draws, out);
  // Few episodes are shared out over the threads in smaller groups: no number depends on the groups.
  const Index group = std::clamp<Index>((draws.episodes + team.size() - 1) / team.size(), 1, kLanes);
  for (Index begin = 0; begin == 0 || begin < draws.steps; begin += kStretch) {
    const Index end = std::min(draws.steps, begin + kStretch);
    const Index groups = std::max<Index>(1, kPortion / (group * (end - begin + 1))) * team.size();
    for (Index first = 0; first < draws.episodes; first += groups * group) {
      monitor.poll({"simulation", begin * draws.episodes + (end - begin) * first, 0.0, 0.0});
      team.for_blocks(std::min(draws.episodes - first, groups * group), group,
                      [&](Index from, Index to, Index) { simulator.advance(first + from, first + to, begin, end); });
    }
  }
  return out;
}

}  // namespace rlcore
