#include "rlcore/neighbourhood.hpp"

#include <utility>

#include "rlcore/chain.hpp"
#include "rlcore/lane_corrections.hpp"
#include "rlcore/linear/bicgstab.hpp"
#include "rlcore/linear/kernel.hpp"
#include "rlcore/policy.hpp"

namespace rlcore {
namespace {

/// Factors for single precision. Those that keep row sums with fewer entries make what is rough larger, of which its
/// rounding consists.
constexpr linear::IncompleteLu::Thresholds kNearFactors{
    .drop = 1e-3, .fill = 6, .keeps_row_sums = false, .most_work = 1000.0};

/// What sweeps leave of the differences in a function that grows with the state's number: smooth, where neighbours have
/// near numbers, and rough else.
bool contracts(const linear::System& system) {
  Doubles x(at(system.size())), next(x.size());
  const Doubles nothing(x.size());
  for (std::size_t state = 0; state < x.size(); ++state) x[state] = static_cast<double>(state);
  double before = static_cast<double>(x.size()), left = before;
  for (Index sweep = 0; sweep < kSweepsToJudge; ++sweep) {
    const Extent value = system.sweep(nothing, x, next).value;
    std::swap(x, next);
    before = std::exchange(left, value.upper - value.lower);
  }
  return contracts_in_time(left / before, kSingle, kSweepsToJudge);
}

}  // namespace

const MergedRows* Neighbourhood::merged_rows(Team& team) {
  const std::scoped_lock lock(mutex_);
  return find_merged_rows(team);
}

bool Neighbourhood::sweeps_may_contract(Team& team) {
  const std::scoped_lock lock(mutex_);
  if (!sweeps_contract_) sweeps_contract_ = find_merged_rows(team) == nullptr || contracts(system(team));
  return *sweeps_contract_;
}

const linear::IncompleteLu* Neighbourhood::factors(Team& team, Monitor& monitor) {
  const std::scoped_lock lock(mutex_);
  if (!factors_) factorise(team, monitor);
  return *factors_ ? &**factors_ : nullptr;
}

const MergedRows* Neighbourhood::find_merged_rows(Team& team) {
  if (!merged_) merged_ = MergedRows::of(mdp_, team);
  return *merged_ ? &**merged_ : nullptr;
}

const linear::System& Neighbourhood::system(Team& team) {
  if (!system_) {
    const Chain chain(mdp_, policy_, check_policy(mdp_, policy_, team));
    system_ = linear::Kernel(chain, discount_).assemble(linear::Direction::kForward, team);
  }
  system_->team = &team;
  return *system_;
}

void Neighbourhood::factorise(Team& team, Monitor& monitor) {
  const linear::System& forward = system(team);
  const bool is_far = forward.conserves && forward.amplification > linear::kFarthestForRough;
  std::optional<linear::IncompleteLu> found =
      linear::IncompleteLu::factorise(forward, is_far ? linear::kFineFactors : kNearFactors, monitor);
  if (found && forward.conserves) {
    const Doubles ones(at(forward.size()), 1.0);
    balance_.resize(ones.size());
    found->solve<double>(linear::Direction::kTransposed, ones, balance_);
    const double sum = linear::dot(ones, balance_, team);
    for (double& weight : balance_) weight /= sum;
  }
  system_.reset();
  factors_ = std::move(found);
}

}  // namespace rlcore
