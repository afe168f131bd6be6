#include "rlcore/linear/local_traits.hpp"

#include <algorithm>
#include <limits>
#include <utility>
#include <vector>

namespace rlcore::linear {
namespace {

constexpr Index kSample = 2000;  // rows that are looked at

/// How many steps may remain; fewer where the system is all but symmetric, for there levels serve best.
constexpr double kNear = 150.0;
constexpr double kNearIfSymmetric = 60.0;

/// The states that a state reaches in so many steps; as soon as there are more than so many, no more are looked for.
std::vector<Column> reached_from(Index state, const CsrMatrix& m, Index steps, Index most) {
  std::vector<char> seen(at(m.size), 0);
  std::vector<Column> reached{static_cast<Column>(state)};
  seen[at(state)] = 1;
  for (std::size_t next = 0; steps > 0 && std::ssize(reached) <= most; --steps) {
    for (const std::size_t end = reached.size(); next < end; ++next) {
      const Index row = reached[next];
      for (Index k = m.first[row]; k < m.first[row] + m.length[row]; ++k) {
        if (std::exchange(seen[at(m.column[k])], 1) == 0) reached.push_back(m.column[k]);
      }
    }
  }
  return reached;
}

/// In the block of states from where the process hardly ends or is discounted away.
double remaining_time(Systems& systems, Direction wanted) {
  if (systems[wanted].conserves) return 1.0 / (1.0 - systems[wanted].discount);
  const System& system = systems[Direction::kForward];
  const CsrMatrix& m = system.matrix;
  Doubles time(at(num_blocks(m.size)));
  system.team->for_blocks(m.size, kBlock, [&](Index first, Index last, Index block) {
    double lost = 0.0;  // in one step
    for (Index row = first; row < last; ++row) {
      double kept = 0.0;
      for (Index k = m.first[row]; k < m.first[row] + m.length[row]; ++k) kept += m.value[k];
      lost += 1.0 - system.discount * kept;
    }
    time[at(block)] = static_cast<double>(last - first) / std::max(lost, std::numeric_limits<double>::min());
  });
  return *std::max_element(time.begin(), time.end());
}

}  // namespace

bool keep_apart(const CsrMatrix& m, Index steps) {
  const std::vector<Column> here = reached_from(0, m, steps, kSample);
  if (std::ssize(here) > kSample) return false;
  const std::vector<Column> there = reached_from(m.size / 2, m, steps, kSample);
  if (std::ssize(there) > kSample) return false;
  std::vector<char> is_here(at(m.size), 0);
  for (const Column state : here) is_here[at(state)] = 1;
  return std::none_of(there.begin(), there.end(), [&](Column state) { return is_here[at(state)] != 0; });
}

double share_both_ways(const CsrMatrix& m) {
  const auto entry = [&](Index row, Index column) {
    for (Index k = m.first[row]; k < m.first[row] + m.length[row]; ++k) {
      if (m.column[k] == column) return m.value[k];
    }
    return 0.0;
  };
  double there = 0.0;
  double and_back = 0.0;
  for (Index row = 0; row < m.size; row += std::max<Index>(1, m.size / kSample)) {
    for (Index k = m.first[row]; k < m.first[row] + m.length[row]; ++k) {
      if (m.column[k] == row) continue;
      there += m.value[k];
      and_back += std::min(m.value[k], entry(m.column[k], row));
    }
  }
  return there > 0.0 ? and_back / there : 0.0;
}

bool is_near(Systems& systems, Direction wanted) {
  const double time = remaining_time(systems, wanted);
  if (time <= kNearIfSymmetric) return true;
  return time <= kNear && share_both_ways(systems[wanted].matrix) < kSymmetric;
}

}  // namespace rlcore::linear
