// Banded LU: chains of any length and width, from both ends at once.
#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <random>
#include <vector>

#include "models.hpp"
#include "rlcore/linear/portfolio.hpp"

using namespace rlcore;
using namespace rlcore::linear;
using tests::Model;
using tests::UniformChain;

namespace {

/// From each state to some of those at most `width` away, the furthest among them where there are such.
Model band(Index num_states, Index width) {
  std::mt19937_64 random(7);
  Model model;
  for (Index state = 0; state < num_states; ++state) {
    std::vector<Index> next;
    for (Index other = std::max<Index>(0, state - width); other <= std::min(num_states - 1, state + width); ++other) {
      if (other == state || std::abs(other - state) == width || random() % 2 == 0) next.push_back(other);
    }
    std::vector<double> weights;
    double total = 0.0;
    for (std::size_t k = 0; k < next.size(); ++k) total += weights.emplace_back(static_cast<double>(1 + random() % 9));
    for (std::size_t k = 0; k < next.size(); ++k) model.add_entry(next[k], weights[k] / total);
    model.end_pair(0.0);
    model.end_state();
  }
  return model;
}

Candidate make_banded_lu(Systems& systems, Monitor& monitor) {
  const auto entries = portfolio();
  const auto entry = std::find_if(entries.begin(), entries.end(), [](const Entry& e) { return e.name == "banded LU"; });
  return entry->make(systems, Direction::kForward, monitor);
}

}  // namespace

TEST_CASE("banded LU solves both ways, whatever is left between the halves") {
  constexpr double kDiscount = 0.9;
  for (Index width = 1; width <= 8; ++width) {
    for (Index size = 1; size <= 4 * width + 3; ++size) {
      CAPTURE(width);
      CAPTURE(size);
      UniformChain setup(band(size, width));
      Systems systems(size, setup.team, [&](Direction direction) { return setup.system(direction, kDiscount); });
      const Candidate candidate = make_banded_lu(systems, setup.monitor);
      REQUIRE(candidate.method);
      for (const Direction direction : {Direction::kForward, Direction::kTransposed}) {
        Doubles b(at(size));
        for (std::size_t i = 0; i < b.size(); ++i) b[i] = 1.0 + static_cast<double>(i % 3);
        Doubles x(b.size());
        candidate.method->solve(direction, b, x, {}, setup.monitor);
        Doubles residual(b.size());
        systems[direction].residual(b, x, residual);
        for (const double left : residual) CHECK(std::fabs(left) < 1e-12);
      }
    }
  }
}

TEST_CASE("banded LU declines what is wider") {
  UniformChain setup(band(200, 9));
  Systems systems(200, setup.team, [&](Direction direction) { return setup.system(direction, 0.9); });
  const Candidate candidate = make_banded_lu(systems, setup.monitor);
  CHECK(!candidate.method);
  CHECK(candidate.reason == "its states have no narrow order");
}
