// The loops that large models spend their time in, on Garnet models (random graphs), by threads and size.
// Each benchmark checks its kernel's answer before it times it. "reads" counts the bytes of P_pi that are
// read a second: compare it with what the memory can deliver.
#include <benchmark/benchmark.h>

#include <cmath>
#include <map>
#include <memory>

#include "models.hpp"
#include "rlcore/chain.hpp"
#include "rlcore/evaluation.hpp"
#include "rlcore/linear/certificate.hpp"
#include "rlcore/linear/resolvent.hpp"
#include "rlcore/policy.hpp"

namespace {

using namespace rlcore;

/// A model with four actions of five successors, its uniform policy, and their chain: made once for each size.
struct Workload {
  explicit Workload(Index num_states)
      : model(tests::random_model(num_states, 4, 5)),
        mdp(model.arrays()),
        policy(model.uniform_policy()),
        chain(mdp, policy, check_policy(mdp, policy)) {}

  tests::Model model;
  Mdp mdp;
  std::vector<double> policy;
  Chain chain;
};

Workload& workload(Index num_states) {
  static std::map<Index, std::unique_ptr<Workload>> made;
  std::unique_ptr<Workload>& found = made[num_states];
  if (!found) found = std::make_unique<Workload>(num_states);
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

/// The certificate: an exact residual and what it proves. x = 100 solves (I - gamma P) x = 1.
void proof(benchmark::State& state) {
  Team team(static_cast<int>(state.range(1)));
  const Chain& chain = workload(state.range(0)).chain;
  const auto direction = state.range(2) == 0 ? linear::Direction::kForward : linear::Direction::kTransposed;
  const linear::RightSide b{TwofoldVector(at(chain.size()), Twofold{1.0})};
  const TwofoldVector x(at(chain.size()), Twofold{100.0});
  Doubles residual(at(chain.size()));
  const linear::Proof proof = linear::prove(
      linear::Kernel(chain, 0.99), linear::Horizon{.w = linear::Kernel(chain, 0.99).deficit(), .remaining = {}},
      direction, b, x, residual, team);
  if (direction == linear::Direction::kForward && proof.error > 1e-9) {
    state.SkipWithError("the exact solution is not certified");
    return;
  }
  for (auto _ : state)
    benchmark::DoNotOptimize(linear::prove(linear::Kernel(chain, 0.99),
                                           linear::Horizon{.w = linear::Kernel(chain, 0.99).deficit(), .remaining = {}},
                                           direction, b, x, residual, team));
  state.SetBytesProcessed(state.iterations() * chain.mdp().num_entries() *
                          static_cast<Index>(sizeof(double) + sizeof(Column)));
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

const std::vector<std::vector<int64_t>> kSizesAndThreads{{10000, 100000, 1000000}, {1, 2}};

BENCHMARK(sweep)->ArgsProduct(kSizesAndThreads)->UseRealTime()->Unit(benchmark::kMillisecond);
BENCHMARK(transposed_sweep)->ArgsProduct(kSizesAndThreads)->UseRealTime()->Unit(benchmark::kMillisecond);
BENCHMARK(assembly)->ArgsProduct(kSizesAndThreads)->UseRealTime()->Unit(benchmark::kMillisecond);
BENCHMARK(transposed_assembly)->ArgsProduct(kSizesAndThreads)->UseRealTime()->Unit(benchmark::kMillisecond);
BENCHMARK(proof)->ArgsProduct({{10000, 100000, 1000000}, {1, 2}, {0, 1}})->UseRealTime()->Unit(benchmark::kMillisecond);
BENCHMARK(small_model)->Unit(benchmark::kMicrosecond);

}  // namespace
