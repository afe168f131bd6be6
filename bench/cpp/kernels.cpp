// The loops that large models spend their time in, on Garnet models (random graphs), and solves of three kinds of
// models, by size and threads.
// Each benchmark checks its kernel's answer before it times it. "reads" counts the bytes of P_pi that are
// read a second: compare it with what the memory can deliver.
#include <benchmark/benchmark.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <memory>
#include <utility>
#include <vector>

#include "models.hpp"
#include "rlcore/chain.hpp"
#include "rlcore/evaluation.hpp"
#include "rlcore/linear/certificate.hpp"
#include "rlcore/linear/resolvent.hpp"
#include "rlcore/policy.hpp"

namespace {

using namespace rlcore;

/// A walk on a square with walls around it: a step to a side, or none if there is a wall.
tests::Model square(Index num_states) {
  const auto side = static_cast<Index>(std::lround(std::sqrt(static_cast<double>(num_states))));
  tests::Model model;
  for (Index state = 0; state < side * side; ++state) {
    const Index row = state / side;
    const Index column = state % side;
    const auto within = [&](Index place) { return std::clamp<Index>(place, 0, side - 1); };
    std::map<Index, double> next;
    for (const Index step : {-1, 1}) {
      next[within(row + step) * side + column] += 0.25;
      next[row * side + within(column + step)] += 0.25;
    }
    for (const auto& [successor, probability] : next) model.add_entry(successor, probability);
    model.end_pair(state == 0 ? 1.0 : 0.0);
    model.end_state();
  }
  model.initial.assign(at(side * side), 0.0);
  model.initial.back() = 1.0;
  return model;
}

/// Four actions of five successors each, a walk on a square, and a ring each of whose states is left half the time.
enum class Kind { kGarnet, kSquare, kRing };

tests::Model model_of(Kind kind, Index num_states) {
  if (kind == Kind::kGarnet) return tests::random_model(num_states, 4, 5);
  return kind == Kind::kSquare ? square(num_states) : tests::ring(num_states, 0.5);
}

/// A model, its uniform policy, and their chain.
struct Workload {
  Workload(Kind kind, Index num_states)
      : model(model_of(kind, num_states)),
        mdp(model.arrays()),
        policy(model.uniform_policy()),
        chain(mdp, policy, check_policy(mdp, policy)) {}

  tests::Model model;
  Mdp mdp;
  std::vector<double> policy;
  Chain chain;
};

/// Made once for each kind and size.
Workload& workload(Index num_states, Kind kind = Kind::kGarnet) {
  static std::map<std::pair<Kind, Index>, std::unique_ptr<Workload>> made;
  std::unique_ptr<Workload>& found = made[{kind, num_states}];
  if (!found) found = std::make_unique<Workload>(kind, num_states);
  return *found;
}

void count_reads(benchmark::State& state, const CsrMatrix& matrix) {
  constexpr Index kEntry = sizeof(double) + sizeof(Column);
  state.SetBytesProcessed(state.iterations() * matrix.num_entries * kEntry);
}

/// One sweep y = b + gamma P x. With b = 0 and x = 1 every y is gamma.
void sweep(benchmark::State& state) {
  Team team(static_cast<int>(state.range(1)));
  const linear::System system =
      linear::Kernel(workload(state.range(0)).chain, 0.99).assemble(linear::Direction::kForward, team);
  const Doubles zero(at(system.size()), 0.0);
  const Doubles one(at(system.size()), 1.0);
  Doubles y(zero);
  const linear::System::Sweep extent = system.sweep(zero, one, y);
  if (std::fabs(extent.value.lower - 0.99) > 1e-12 || std::fabs(extent.value.upper - 0.99) > 1e-12) {
    state.SkipWithError("a sweep over ones is wrong");
    return;
  }
  for (auto _ : state) benchmark::DoNotOptimize(system.sweep(zero, one, y));
  count_reads(state, system.matrix);
}

/// One transposed sweep keeps the mass: ||gamma P^T x||_1 = gamma ||x||_1.
void transposed_sweep(benchmark::State& state) {
  Team team(static_cast<int>(state.range(1)));
  const linear::System system =
      linear::Kernel(workload(state.range(0)).chain, 0.99).assemble(linear::Direction::kTransposed, team);
  const Doubles zero(at(system.size()), 0.0);
  const Doubles even(at(system.size()), 1.0 / static_cast<double>(system.size()));
  Doubles y(zero);
  if (std::fabs(system.sweep(zero, even, y).value.l1 - 0.99) > 1e-12) {
    state.SkipWithError("a transposed sweep loses mass");
    return;
  }
  for (auto _ : state) benchmark::DoNotOptimize(system.sweep(zero, even, y));
  count_reads(state, system.matrix);
}

void assembly(benchmark::State& state) {
  Team team(static_cast<int>(state.range(1)));
  const Chain& chain = workload(state.range(0)).chain;
  const CsrMatrix once = chain.transition(team);
  for (auto _ : state) benchmark::DoNotOptimize(chain.transition(team).num_entries);
  count_reads(state, once);
}

void transposed_assembly(benchmark::State& state) {
  Team team(static_cast<int>(state.range(1)));
  const Chain& chain = workload(state.range(0)).chain;
  const CsrMatrix once = chain.transposed_transition(team);
  if (once.num_entries != chain.transition(team).num_entries) {
    state.SkipWithError("the transpose has other entries");
    return;
  }
  for (auto _ : state) benchmark::DoNotOptimize(chain.transposed_transition(team).num_entries);
  count_reads(state, once);
}

/// The certificate: a residual and what it proves. x = 100 solves (I - gamma P) x = 1.
void proof(benchmark::State& state) {
  Team team(static_cast<int>(state.range(1)));
  const Chain& chain = workload(state.range(0)).chain;
  const auto direction = state.range(2) == 0 ? linear::Direction::kForward : linear::Direction::kTransposed;
  const auto arithmetic = state.range(3) == 0 ? linear::Arithmetic::kDoubles : linear::Arithmetic::kTwofold;
  const linear::Kernel kernel(chain, 0.99);
  const linear::Horizon horizon{.w = kernel.deficit(), .remaining = {}};
  const linear::RightSide b{TwofoldVector(at(chain.size()), Twofold{1.0})};
  const TwofoldVector x(at(chain.size()), Twofold{100.0});
  Doubles residual(at(chain.size()));
  const auto prove = [&] { return linear::prove(kernel, horizon, direction, arithmetic, b, x, residual, team); };
  if (direction == linear::Direction::kForward && prove().error > 1e-9) {
    state.SkipWithError("the exact solution is not certified");
    return;
  }
  for (auto _ : state) benchmark::DoNotOptimize(prove());
  state.SetBytesProcessed(state.iterations() * chain.mdp().num_entries() *
                          static_cast<Index>(sizeof(double) + sizeof(Column)));
}

/// A solve alone: P_pi is assembled and a method set up, but nothing is checked, and no Q or A is formed. Values of the
/// rewards, or visits from the start, to a certified relative 1e-8 at gamma .99.
template <linear::Direction kDirection>
void solve(benchmark::State& state) {
  constexpr double kTolerance = 1e-8;
  const Workload& made = workload(state.range(0), static_cast<Kind>(state.range(2)));
  Team team(static_cast<int>(state.range(1)));
  Monitor monitor;
  const linear::Kernel kernel(made.chain, 0.99);
  const bool forward = kDirection == linear::Direction::kForward;
  const linear::RightSide b{forward ? made.chain.mean_over_actions(made.mdp.reward(), team)
                                    : twofold(made.mdp.initial(), team)};
  const auto found = [&] {
    linear::Resolvent resolvent(kernel, team, monitor);
    return forward ? resolvent.solve(b, kTolerance) : resolvent.solve_transposed(b, kTolerance);
  };
  const linear::Solution once = found();
  if (!once.certificate.converged) {
    state.SkipWithError("the solution is not certified");
    return;
  }
  state.SetLabel(once.certificate.method);
  for (auto _ : state) benchmark::DoNotOptimize(found().x.data());
  count_reads(state, made.chain.transition(team));
}

/// A whole call on a model of three states.
void small_model(benchmark::State& state) {
  const tests::Model model = tests::forest();
  const Mdp mdp(model.arrays());
  const std::vector<double> policy = model.uniform_policy();
  if (std::fabs(*evaluate(mdp, policy, 0.9).start_value - 7.9672916667) > 1e-9) {
    state.SkipWithError("the forest has another value");
    return;
  }
  for (auto _ : state) benchmark::DoNotOptimize(evaluate(mdp, policy, 0.9).value.data());
}

using Choices = std::vector<std::vector<int64_t>>;
const std::vector<int64_t> kSizes{10000, 100000, 1000000};
const std::vector<int64_t> kThreads{1, 2};

/// With threads as the second argument, each of which counts.
void by_size_and(const Choices& more, benchmark::internal::Benchmark* timed) {
  Choices all{kSizes, kThreads};
  all.insert(all.end(), more.begin(), more.end());
  timed->ArgsProduct(all)->UseRealTime()->Unit(benchmark::kMillisecond);
}
void by_size(benchmark::internal::Benchmark* timed) { by_size_and({}, timed); }
void by_size_direction_and_arithmetic(benchmark::internal::Benchmark* timed) { by_size_and({{0, 1}, {0, 1}}, timed); }
void by_size_and_kind(benchmark::internal::Benchmark* timed) { by_size_and({{0, 1, 2}}, timed); }

BENCHMARK(sweep)->Apply(by_size);
BENCHMARK(transposed_sweep)->Apply(by_size);
BENCHMARK(assembly)->Apply(by_size);
BENCHMARK(transposed_assembly)->Apply(by_size);
BENCHMARK(proof)->Apply(by_size_direction_and_arithmetic);
BENCHMARK_TEMPLATE(solve, linear::Direction::kForward)->Name("values")->Apply(by_size_and_kind);
BENCHMARK_TEMPLATE(solve, linear::Direction::kTransposed)->Name("visits")->Apply(by_size_and_kind);
BENCHMARK(small_model)->Unit(benchmark::kMicrosecond);

}  // namespace
