"""The measures of candidates that the bounds are made of, each enclosed (theory 5 and 6)."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.sparse import csr_array, diags_array
from scipy.spatial.distance import pdist

from rlcore import _core
from rlcore.bounds import Need
from rlcore.candidates import Chunk
from rlcore.chain_structure import chain_structure
from rlcore.comparison_base import ComparisonBase
from rlcore.enclosure import ULP, Enclosure, product_or_zero
from rlcore.errors import ConvergenceError, ImproperPolicyError, SettingError
from rlcore.evaluation import evaluate
from rlcore.long_run import deviation_rows
from rlcore.mdp import MDP
from rlcore.occupancy import occupancy, successor_representation
from rlcore.results import CertifiedArray, Evaluation, FloatArray, Occupancy
from rlcore.settings import Average, Discounted, Episodic

# Bounds what is lost where products of probabilities below 1e-300 are too small for doubles.
UNDERFLOW = 1e-290

MOST_STATES = 512  # of models whose resolvent is formed whole


@dataclass(frozen=True, slots=True, eq=False)
class Compared:
    """What one look at each candidate tells.

    Attributes
    ----------
    measures
        The cheap measures of `rlcore.bounds.Measures`, by name.
    gain
        sum w Abar = L - eta.
    abar_min, abar_max
        The extremes of Abar, and 0 where the process can end.
    abar_error
        Bounds the error of every Abar(s) that is formed in doubles.
    tv_mean, kl_mean
        sum d TV and sum d KL.
    tv
        sum w TV.
    tv_visited
        max TV where w > 0.
    drift, drift_max
        What excesses in the sums of the candidate's rows add to the return: to first order, and the most in one step.
    sum_change
        Bounds sum w |sum_a pi' - sum_a pi|, the excesses themselves.
    most_sum
        Bounds the sums of the candidates' rows.
    """

    measures: dict[str, Any]
    gain: Enclosure
    abar_min: Enclosure
    abar_max: Enclosure
    abar_error: FloatArray
    tv_mean: Enclosure
    kl_mean: Enclosure
    tv: Enclosure
    tv_visited: FloatArray
    drift: Enclosure
    drift_max: FloatArray
    sum_change: FloatArray
    most_sum: FloatArray


def core_candidates(chunk: Chunk) -> _core.Candidates:
    """Return the candidates as the core takes them."""
    if chunk.start is None:
        return _core.Candidates(chunk.rows.reshape(-1))
    return _core.Candidates(chunk.rows, chunk.start, chunk.states)


def compared(base: ComparisonBase, chunk: Chunk) -> Compared:
    """Look once at every candidate."""
    mdp = base.mdp
    found = _core.compare(mdp._core, base.core, core_candidates(chunk), *base.threads_and_callback)
    num_actions = int(np.diff(mdp.pair_start).max())
    relative = _core.kl_error(num_actions) + _core.COMPARISON_ERROR
    outward = 1.0 + (num_actions + 4) * ULP + _core.COMPARISON_ERROR
    of_row = (num_actions + 4) * base.unit
    rounding = of_row + (mdp.num_states * base.unit if base.is_sharp else _core.COMPARISON_ERROR)
    advantage_error, weight_error = base.full_advantage.error, base.full_weight.error
    of_kl = 8.0 * of_row  # of the terms of KL an eighth may be left
    lost = np.where(found.alpha > 0.0, UNDERFLOW, 0.0)
    lost_visited = np.where(found.tv_visited > 0.0, UNDERFLOW, 0.0)
    alpha = Enclosure.of_twofold(found.alpha, found.alpha_low, of_row * found.alpha + lost)
    most_tv = np.asarray(alpha.upper)
    with np.errstate(invalid="ignore", over="ignore"):

        def abar_error_of(error: float, roundings: float) -> FloatArray:
            size = 2.0 * most_tv * error + roundings * found.abar_scale * outward + lost
            return np.where(most_tv == 0.0, 0.0, size)

        abar_error = abar_error_of(base.advantage_error, (num_actions + 4) * ULP)
        fine_error = abar_error_of(advantage_error, of_row)
        tv_error = (rounding + base.start_defect) * found.tv + weight_error * found.tv_visited * outward + lost_visited
        tv = Enclosure.of_twofold(found.tv, found.tv_low, tv_error)
        root_kl_error = (
            np.sqrt(lost_visited)
            + relative * found.root_kl
            + product_or_zero(base.weight_error, np.sqrt(found.kl_visited))
        )
        root_kl = Enclosure.around(found.root_kl, root_kl_error)
        # Where one of the quotients is no ordinary number, all is summed in doubles.
        sharp = found.kl_error < _core.kl_error(num_actions)
        of_weights = np.where(sharp, weight_error, base.weight_error)
        of_sum = found.kl_error + base.start_defect + np.where(sharp, of_kl + rounding, _core.COMPARISON_ERROR)
        kl_error = lost_visited + of_sum * found.kl + product_or_zero(of_weights, found.kl_visited * outward)
        kl = Enclosure.of_twofold(found.kl, found.kl_low, kl_error)
        can_end = mdp.can_end
        abar_min = Enclosure.of_twofold(found.abar_min, found.abar_min_low, fine_error)
        abar_max = Enclosure.of_twofold(found.abar_max, found.abar_max_low, fine_error)
        if can_end:
            abar_min = Enclosure(np.minimum(abar_min.lower, 0.0), np.minimum(abar_min.upper, 0.0))
            abar_max = Enclosure(np.maximum(abar_max.lower, 0.0), np.maximum(abar_max.upper, 0.0))
        apart = abar_max - abar_min
        span = Enclosure(np.maximum(apart.lower, 0.0), np.maximum(apart.upper, 0.0))
        largest = abs(longer(-abar_min, abar_max))
        gain_error = (
            lost_visited
            + product_or_zero(2.0 * tv.upper, advantage_error)
            + rounding * found.gain_scale * outward
            + base.start_defect * np.abs(found.gain)
            + weight_error * np.where(found.tv_visited == 0.0, 0.0, found.abar_visited + abar_error)
        )
        drift_error = found.drift_error + base.worth_error * found.sum_change
        drift_error += base.weight_error * found.drift_max
    average = isinstance(base.setting, Average)
    share = Enclosure(1.0, 1.0) if average else _share(base)
    largest_kl = Enclosure.of_twofold(found.kl_max, found.kl_max_low, (found.kl_error + of_kl) * found.kl_max + lost)
    measures = {
        "gamma": base.gamma,
        "epsilon": base.epsilon,
        "epsilon_bar": largest,
        "span": span,
        "alpha": alpha,
        "kl_max": largest_kl,
        "visited_tv": tv,
        "visited_root_kl": root_kl,
    }
    return Compared(
        measures,
        Enclosure.of_twofold(found.gain, found.gain_low, gain_error),
        abar_min,
        abar_max,
        abar_error,
        Enclosure(tv.lower * share.lower * (1.0 - ULP), tv.upper * share.upper * (1.0 + ULP)),
        Enclosure(kl.lower * share.lower * (1.0 - ULP), kl.upper * share.upper * (1.0 + ULP)),
        tv,
        found.tv_visited * outward,
        Enclosure.around(found.drift, drift_error),
        found.drift_max + product_or_zero(base.worth_error, found.sum_change),
        found.sum_change * outward,
        np.maximum(found.largest_row_sum, 1.0),
    )


def ensure_unichain(base: ComparisonBase, chunk: Chunk) -> None:
    """Check that candidates have one gain: their average reward is d'^T of what they earn for no other."""
    for item, policy in enumerate(chunk.policies(base.mdp, base.policy)):
        classes = len(chain_structure(base.mdp, policy).recurrent_classes)
        if classes > 1:
            error = SettingError.placed(
                "candidates",
                f"expected one recurrent class in Average(), got {classes}; compare the policies in "
                "rlcore.Discounted(gamma)",
            )
            error.item = item
            raise error


def discounted_horizon(base: ComparisonBase, most_sum: FloatArray) -> Enclosure:
    """Enclose 1 / (1 - gamma) and the largest row sum of (I - gamma P')^-1, which rounding in the model may lift."""
    gamma = base.gamma
    exact = 1.0 / (1.0 - gamma)
    most = gamma * max(base.mdp._core.largest_row_sum, 1.0) * most_sum * (1.0 + 4 * ULP)
    with np.errstate(divide="ignore"):
        lifted = np.where(most < 1.0, 1.0 / (1.0 - most), np.inf)
    return Enclosure(np.full(most_sum.shape, exact * (1.0 - 4 * ULP)), np.maximum(exact, lifted) * (1.0 + 8 * ULP))


def episodic_horizon(base: ComparisonBase, policies: FloatArray) -> Enclosure:
    """Enclose T' = max (I - P')^-1 1 over the states where it exists.

    It is infinite if the candidate may stay for ever where one of the two policies leads.
    """
    lower, upper = np.empty(len(policies)), np.empty(len(policies))
    for item, policy in enumerate(policies):
        try:
            found = evaluate(
                base.mdp,
                policy,
                Episodic(),
                reward=one_each_step(base.mdp, policy),
                tol=1e-9,
                raise_on_failure=False,
                **base.solving,
            )
        except ImproperPolicyError:
            lower[item] = upper[item] = np.inf
            continue
        assert isinstance(found, Evaluation)
        endless = np.isnan(found.value)
        if endless.any() and (endless & base.reached_by(policy)).any():
            lower[item] = upper[item] = np.inf
            continue
        longest = float(np.nanmax(found.value))
        error = found.certificate.bounds["value"] + 8 * ULP * longest
        lower[item], upper[item] = max(longest - error, 0.0), longest + error
    return Enclosure(lower, upper)


def longer(a: Enclosure, b: Enclosure) -> Enclosure:
    """Enclose the larger of two numbers."""
    return Enclosure(np.maximum(a.lower, b.lower), np.maximum(a.upper, b.upper))


@dataclass(frozen=True, slots=True, eq=False)
class StepShifts:
    """Where a step of each candidate goes that a step of the base does not: y = (P' - P)^T w.

    Attributes
    ----------
    l1
        ||y||_1, and what ends: the measure.
    error
        Bounds the L1 error of y.
    mass
        Bounds |sum y|, which is zero but for rounding in the model and the policies.
    carried
        y^T f, if functions f were given.
    """

    l1: Enclosure
    error: FloatArray
    mass: FloatArray
    carried: FloatArray


def step_shifts(base: ComparisonBase, chunk: Chunk, seen: Compared, functions: FloatArray | None = None) -> StepShifts:
    """Find where a step of each candidate goes, and what f, if there is one for each, is worth there."""
    undiscounted = not isinstance(base.setting, Discounted)
    found = _core.step_shifts(
        base.mdp._core, base.core, core_candidates(chunk), functions, undiscounted, *base.threads_and_callback
    )
    # A unit of w moves at most 2 TV, and 4 TV where the diagonal is one minus the rest.
    error = (4.0 * base.weight_error * seen.tv_visited + found.error) * (1.0 + 1e-8)
    return StepShifts(abs(Enclosure.around(found.l1, error)), error, np.abs(found.mass) + error, found.carried)


@dataclass(frozen=True, slots=True, eq=False)
class Coupled:
    """Base and candidate followed for as long as they do the same (theory 6).

    Attributes
    ----------
    visits, visits_error
        k in each state, and the bound on its L1 error.
    parting, parting_error
        c, the chance to part there, and the bound on the error of each.
    relative_error
        The part of the error of k that is due to rounding in the coupled chain, relative to the sum of k.
    """

    visits: FloatArray
    visits_error: float
    parting: FloatArray
    parting_error: FloatArray
    relative_error: float


def coupled(base: ComparisonBase, policy: FloatArray, need: Need, horizon: float) -> Coupled:
    """Find what the processes of both policies visit together; no visit lasts longer than the horizon."""
    mdp = base.mdp
    chain, parting = _coupled_chain(mdp, base.policy, policy, need, isinstance(base.setting, Episodic))
    alone = np.ones(mdp.num_states)
    found = occupancy(chain, alone, base.setting, tol=1e-12, raise_on_failure=False, **base.solving)
    assert isinstance(found, Occupancy)
    assert found.visits is not None
    entries = int(np.diff(mdp.pair_start).max()) + int(np.diff(mdp.transition.indptr).max()) + 4
    distance = np.add.reduceat(np.abs(policy - base.policy), mdp.pair_start[:-1])
    return Coupled(
        found.visits,
        float(found.certificate.bounds["visits"]),
        parting,
        entries * ULP * (distance + parting) + np.where(distance > 0.0, UNDERFLOW, 0.0),
        entries * ULP * (1.0 + 2.0 * horizon),
    )


def ergodicity(base: ComparisonBase, policy: FloatArray) -> dict[str, Enclosure]:
    """Enclose tau(X'), or T' where the process can end; Average: tau(H') and kappa'."""
    mdp, setting = base.mdp, base.setting
    if isinstance(setting, Discounted) and mdp.can_end:
        one = one_each_step(mdp, policy)
        remaining = evaluate(mdp, policy, setting, reward=one, tol=1e-12, raise_on_failure=False, **base.solving)
        assert isinstance(remaining, Evaluation)
        longest = float(remaining.value.max())
        return {"ergodicity": Enclosure.around(longest, remaining.certificate.bounds["value"] + 8 * ULP * longest)}
    states = np.arange(mdp.num_states)
    if isinstance(setting, Discounted):
        rows = successor_representation(mdp, policy, setting, states, tol=1e-12, raise_on_failure=False, **base.solving)
    else:
        rows = _deviation_rows(base, policy)
    assert rows.certificate is not None
    error = float(np.max(rows.certificate.error_bound)) + mdp.num_states * ULP * float(np.abs(rows).sum(axis=1).max())
    farthest = float(pdist(rows, "cityblock").max(initial=0.0)) / 2.0
    found = {"ergodicity": abs(Enclosure.around(farthest, error))}
    if isinstance(setting, Average):
        trace = float(np.trace(rows)) + 1.0
        found["kappa"] = Enclosure.around(trace, mdp.num_states * error)
    return found


def _deviation_rows(base: ComparisonBase, policy: FloatArray) -> CertifiedArray:
    """Return all rows of H' with the best certificate that can be had."""
    try:
        return deviation_rows(base.mdp, policy, np.arange(base.mdp.num_states), tol=1e-12, **base.solving)
    except ConvergenceError as error:
        best = error.result
    assert isinstance(best, CertifiedArray)
    return best


def one_each_step(mdp: MDP, policy: FloatArray) -> FloatArray:
    """Return the reward of each pair that makes 1 of every step, also where a row of the policy sums to nearly 1."""
    return (1.0 / np.add.reduceat(policy, mdp.pair_start[:-1]))[mdp.pair_state]


def too_large(base: ComparisonBase, need: Need) -> str | None:
    """Say why a measure cannot be taken of a model of this size, or None."""
    whole = need == "ergodicity" and not (isinstance(base.setting, Discounted) and base.mdp.can_end)
    if whole and base.mdp.num_states > MOST_STATES:
        return f"it needs all rows of the resolvent: for at most {MOST_STATES} states, got {base.mdp.num_states}"
    return None


def _coupled_chain(
    mdp: MDP, policy: FloatArray, candidate: FloatArray, need: Need, undiscounted: bool
) -> tuple[MDP, FloatArray]:
    """Return the chain of M, in which parting is ending, as a model with one action, and c in each state."""
    pairs = np.arange(mdp.num_pairs)
    change = candidate - policy
    termination = np.zeros(mdp.num_pairs) if mdp.termination is None else mdp.termination.ravel()

    def mixed(weights: FloatArray) -> csr_array:
        return csr_array((weights, (mdp.pair_state, pairs)), shape=(mdp.num_states, mdp.num_pairs)) @ mdp.transition

    def summed(weights: FloatArray) -> FloatArray:
        return np.asarray(np.add.reduceat(weights, mdp.pair_start[:-1]))

    if need == "action overlap":
        kernel = mixed(np.minimum(policy, candidate))
        parting = summed(np.abs(change)) / 2.0
        together = summed(np.minimum(policy, candidate) * termination)
    else:
        ending = summed(change * termination)
        moved = _balanced(mixed(change), ending) if undiscounted else mixed(change)
        kernel = mixed(policy) + moved.minimum(0.0)
        kernel.data = np.maximum(kernel.data, 0.0)
        parting = (np.abs(moved).sum(axis=1) + np.abs(ending)) / 2.0
        together = np.minimum(summed(policy * termination), summed(candidate * termination))
    kernel.sum_duplicates()
    kernel.eliminate_zeros()
    # Both ways to end without a subtraction; of a discounted chain only what goes on is read.
    ends = np.minimum(together + parting, 1.0) if undiscounted else np.maximum(1.0 - kernel.sum(axis=1), 0.0)
    start = np.arange(mdp.num_states + 1)
    chain = MDP(kernel, np.zeros(mdp.num_states), pair_start=start, termination=ends, initial=mdp.initial)
    return chain, parting


def _balanced(moved: csr_array, ending: FloatArray) -> csr_array:
    """Return P' - P with what remains of each row on the diagonal, as it does without a discount."""
    elsewhere = moved - diags_array(moved.diagonal())
    return elsewhere - diags_array(elsewhere.sum(axis=1) + ending)


def _share(base: ComparisonBase) -> Enclosure:
    """Enclose what turns the weights into d."""
    one = Enclosure(1.0, 1.0)
    if isinstance(base.setting, Discounted):
        return one - Enclosure(base.gamma, base.gamma)
    weight = base.full_weight
    if base.is_sharp:
        sum_of_weights, rounding = math.fsum([*weight.high, *weight.low]), ULP
    else:
        sum_of_weights, rounding = float(weight.high.sum()), base.mdp.num_states * ULP
    total = Enclosure.around(sum_of_weights, weight.error + rounding * sum_of_weights)
    return Enclosure((1.0 - ULP) / total.upper, (1.0 + ULP) / max(total.lower, 5e-324))
