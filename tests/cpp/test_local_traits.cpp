// What tells local chains from others.
#include <doctest/doctest.h>

#include "models.hpp"
#include "rlcore/linear/local_traits.hpp"

using namespace rlcore;
using namespace rlcore::linear;
using tests::Model;
using tests::UniformChain;

namespace {

CsrMatrix transition(const Model& model) {
  UniformChain setup(model);
  return setup.chain.transition(setup.team);
}

}  // namespace

TEST_CASE("states far from each other keep apart for as many steps as lie between them") {
  // From 0 and from 50 the ring of a hundred is gone through one state a step.
  const CsrMatrix ring = transition(tests::ring(100, 0.5));
  CHECK(keep_apart(ring, 49));
  CHECK(!keep_apart(ring, 50));
  CHECK(keep_apart(transition(tests::torus(100)), 12));
  CHECK(!keep_apart(transition(tests::random_model(10000, 2, 3)), 12));
}

TEST_CASE("states that the whole chain runs into are common to all") {
  Model model;  // state 0 keeps the process; all others go there at once
  for (Index state = 0; state < 5000; ++state) {
    model.add_entry(0, 1.0);
    model.end_pair(0.0);
    model.end_state();
  }
  CHECK(!keep_apart(transition(model), 12));
}

TEST_CASE("few neighbours are at most twelve") {
  CHECK(has_few_neighbours(transition(tests::random_model(1000, 1, 12))));
  CHECK(!has_few_neighbours(transition(tests::random_model(1000, 1, 13))));
}
