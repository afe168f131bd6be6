"""The measures of candidates that the bounds are made of, each enclosed (theory 5 and 6)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.sparse import csr_array, diags_array
from scipy.spatial.distance import pdist

from rlcore import _core
from rlcore.bounds import Need
from rlcore.candidates import Chunk
from rlcore.chain_structure import chain_structure
from rlcore.compared import UNDERFLOW, Compared, core_candidates
from rlcore.comparison_base import ComparisonBase
from rlcore.enclosure import ULP, Enclosure
from rlcore.errors import ConvergenceError, ImproperPolicyError, SettingError
from rlcore.evaluation import evaluate
from rlcore.long_run import deviation_rows
from rlcore.mdp import MDP
from rlcore.occupancy import occupancy, successor_representation
from rlcore.over_actions import most_actions, sum_over_actions
from rlcore.results import CertifiedArray, Evaluation, FloatArray, Occupancy
from rlcore.settings import Average, Discounted, Episodic

MOST_STATES = 512  # of models whose resolvent is formed whole


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
    entries = most_actions(mdp) + int(np.diff(mdp.transition.indptr).max()) + 4
    distance = sum_over_actions(mdp, np.abs(policy - base.policy))
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
    return (1.0 / sum_over_actions(mdp, policy))[mdp.pair_state]


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
        return np.asarray(sum_over_actions(mdp, weights))

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
