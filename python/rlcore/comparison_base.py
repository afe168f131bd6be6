"""What candidates are compared with: a policy's value, advantage and visits in a setting (theory 5)."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rlcore import _core
from rlcore.arguments import as_callback, as_num_threads
from rlcore.enclosure import ULP, Enclosure
from rlcore.errors import ConvergenceError, ModelError, SettingError
from rlcore.evaluation import evaluate
from rlcore.mdp import MDP, start_or_even
from rlcore.occupancy import occupancy
from rlcore.results import Evaluation, FloatArray, Occupancy, Progress
from rlcore.settings import Average, Discounted, Episodic
from rlcore.twofold import TWOFOLD_ULP, Twofold, twofold_field

# The base is solved so much more precisely than is asked for: its errors enter every candidate's.
SHARPER = 1e-3

# An error of the advantages, relative to the largest, with which there is no need to solve again.
ENOUGH = 1e-10

# Models with more states than this are not solved again to the last digit, but so much more precisely.
FEW_STATES = 4096
SHARPER_AGAIN = 1e-3

# Up to so many states, comparisons are made in twofold arithmetic.
FEWEST_STATES = 128


@dataclass(frozen=True, eq=False)
class ComparisonBase:
    """A base policy and what is proven of it.

    Attributes
    ----------
    mdp, policy, setting
        The model, the policy as a vector over pairs, the setting.
    eta
        rho0^T V; Average: the gain.
    advantage, advantage_error
        A as a vector over pairs, and the bound on the error of each number; 0 where it does not exist.
    epsilon
        max |A| over all states and actions, where it exists.
    weight, weight_error
        w: rho, e or d, shape (S,), and the bound on its L1 error; not zero where the process can come.
    worth, worth_error
        What an excess of 1 in the sum of a state's row of probabilities adds to the return of a step: V; Average: the
        gain; Episodic: nothing. Rounding leaves such excesses in policies.
    row_defect
        Bounds by how much a row of the model and its termination miss the sum 1.
    undefined, undefined_pairs
        The states where V does not exist, and the pairs where A does not: Episodic, where the policy may stay for ever.
    full_advantage, full_weight
        A and w once more, with what rounding to doubles left over of them where models are so small that all is
        compared in twofold arithmetic.
    """

    mdp: MDP
    policy: FloatArray
    setting: Discounted | Episodic | Average
    eta: Enclosure
    advantage: FloatArray
    advantage_error: float
    epsilon: Enclosure
    weight: FloatArray
    weight_error: float
    worth: FloatArray
    worth_error: float
    row_defect: float
    undefined: NDArray[np.bool_]
    undefined_pairs: NDArray[np.bool_]
    solving: dict[str, Any]
    full_advantage: Twofold
    full_weight: Twofold

    @property
    def gamma(self) -> float:
        """The discount factor; 1 without one."""
        return self.setting.gamma if isinstance(self.setting, Discounted) else 1.0

    @property
    def threads_and_callback(self) -> tuple[int, Callable[..., object] | None]:
        """How the core is to work, in its own terms."""
        return as_num_threads(self.solving["num_threads"]), as_callback(self.solving["progress"])

    @property
    def core(self) -> _core.Base:
        """The same as the core takes it."""
        known = (self.policy, self.worth, self.advantage, self.weight)
        return (
            _core.Base(*known, self.full_advantage.low, self.full_weight.low) if self.is_sharp else _core.Base(*known)
        )

    @cached_property
    def start_defect(self) -> float:
        """Bounds, relative to them, what w misses as the probabilities of the start miss the sum 1.

        `Average`: w is of a start in one state; of the model's start, as it is stored, it is as much more.
        """
        return start_defect(self.mdp, self.setting)

    @cached_property
    def neighbourhood(self) -> _core.Neighbourhood:
        """What the solves for candidates share, however many chunks they come in."""
        return _core.Neighbourhood(self.mdp._core, self.policy, self.gamma)

    @property
    def is_sharp(self) -> bool:
        """Whether A and w have more digits than doubles."""
        return self.full_advantage.low.size > 0

    @property
    def unit(self) -> float:
        """Bounds the relative error of an operation on A and w."""
        return TWOFOLD_ULP if self.is_sharp else ULP

    def where_defined(self, candidate: FloatArray) -> ComparisonBase:
        """Return the base for one candidate: without the states where Abar does not exist.

        If the candidate leads from a state that one of the policies reaches to one where V does not exist, then nothing
        is known of its advantages.
        """
        if not self.undefined_pairs.any():
            return self
        taken = self.undefined_pairs & (candidate > 0.0)
        lost = np.logical_or.reduceat(taken, self.mdp.pair_start[:-1])[self.mdp.pair_state]
        meets = (self.reached_by(candidate) & self.undefined).any()
        advantage, error = np.where(lost, 0.0, self.advantage), float("inf") if meets else self.advantage_error
        return replace(
            self,
            advantage=advantage,
            advantage_error=error,
            full_advantage=Twofold.of(advantage, error, None),
        )

    def reached_by(self, candidate: FloatArray) -> NDArray[np.bool_]:
        """Return the states that the candidate can reach from those that the base policy can reach."""
        assert self.mdp.initial is not None
        start = reachable_states(self.mdp, self.policy, self.mdp.initial)
        return reachable_states(self.mdp, candidate, start.astype(float))


def comparison_base(
    mdp: MDP,
    policy: FloatArray,
    setting: Discounted | Episodic | Average,
    tol: float,
    num_threads: int | None,
    progress: Callable[[Progress], object] | None,
) -> ComparisonBase:
    """Evaluate a policy and find its visits, more precisely than is asked for."""
    ev, found = solved_base(mdp, policy, setting, tol, num_threads, progress)
    return comparison_base_of(mdp, policy, setting, ev, found, num_threads, progress)


def solved_base(
    mdp: MDP,
    policy: FloatArray,
    setting: Discounted | Episodic | Average,
    tol: float,
    num_threads: int | None,
    progress: Callable[[Progress], object] | None,
    evaluation: Evaluation | None = None,
    visits: Occupancy | None = None,
) -> tuple[Evaluation, Occupancy]:
    """Evaluate a policy and find its visits, more precisely than is asked for, unless they are known already."""
    solving: dict[str, Any] = {"num_threads": num_threads, "progress": progress, "raise_on_failure": False}
    initial = start_for(mdp, setting)
    ev = evaluation
    if ev is None:
        ev = _evaluated(mdp, policy, setting, SHARPER * tol, solving)
    ensure_advantage(ev, "policy")
    if visits is None:
        found = occupancy(mdp, policy, setting, initial=initial, tol=SHARPER * tol, **solving)
        assert isinstance(found, Occupancy)
        visits = found
    _check(ev, tol, "V")
    return ev, visits


def comparison_base_of(
    mdp: MDP,
    policy: FloatArray,
    setting: Discounted | Episodic | Average,
    ev: Evaluation,
    found: Occupancy,
    num_threads: int | None,
    progress: Callable[[Progress], object] | None,
) -> ComparisonBase:
    """Collect what is known of a policy from its evaluation and its visits."""
    initial = start_for(mdp, setting)
    bounds = ev.certificate.bounds
    undefined_pairs = np.isnan(ev.advantage.ravel())
    advantage = np.where(undefined_pairs, 0.0, ev.advantage.ravel())
    advantage_error = float(bounds["advantage"])
    name = "state" if isinstance(setting, Average) else "visits"
    weight = np.asarray(getattr(found, name))
    if isinstance(setting, Average):
        eta = Enclosure.around(float(ev.gain[0]), bounds["gain"])  # type: ignore[index]
        worth, worth_error = ev.gain, bounds["gain"]
    else:
        eta = Enclosure.around(ev.start_value, bounds["start_value"])
        is_discounted = isinstance(setting, Discounted)
        worth = ev.value if is_discounted else np.zeros(mdp.num_states)
        worth_error = bounds["value"] if is_discounted else 0.0
    weight = _nowhere_lost(mdp, policy, setting, initial, weight)
    full_advantage, full_weight = _in_full(mdp, ev, found, name, weight)
    return ComparisonBase(
        mdp,
        policy,
        setting,
        eta,
        np.ascontiguousarray(advantage),
        advantage_error,
        abs(Enclosure.around(float(np.abs(advantage).max()), advantage_error)),
        weight,
        full_weight.rounded_error,
        np.ascontiguousarray(worth),
        float(worth_error),
        _row_defect(mdp),
        np.isnan(ev.value),
        undefined_pairs,
        {"num_threads": num_threads, "progress": progress},
        full_advantage,
        full_weight,
    )


def _in_full(mdp: MDP, ev: Evaluation, found: Occupancy, name: str, weight: FloatArray) -> tuple[Twofold, Twofold]:
    """Return A and w with all their digits if both have them, and all advantages exist; else as doubles."""
    of_a, of_w = twofold_field(ev, "advantage"), twofold_field(found, name)
    least = mdp.num_states * 5e-324
    low = np.where(weight == of_w.high, of_w.low, 0.0) if of_w.low.size else of_w.low
    of_w = Twofold(weight, of_w.rounded_error + least, low, of_w.error + least)
    few = mdp.num_states <= FEWEST_STATES and not np.isnan(of_a.high).any()
    if few and of_a.has_digits and of_w.has_digits:
        return of_a, of_w
    return replace(of_a.rounded(), high=np.where(np.isnan(of_a.high), 0.0, of_a.high)), of_w.rounded()


def ensure_advantage(ev: Evaluation, name: str) -> None:
    """Check that a policy has advantages; its name is for the error."""
    if ev.advantage is None:
        raise SettingError(
            f"{name}: with several recurrent classes no advantage exists in Average(); "
            "compare the policies in rlcore.Discounted(gamma)"
        )


def _evaluated(
    mdp: MDP, policy: FloatArray, setting: Discounted | Episodic | Average, tol: float, solving: dict[str, Any]
) -> Evaluation:
    """Evaluate the policy; once more, as precisely as is affordable, if its advantages are small beside its values."""
    found = evaluate(mdp, policy, setting, tol=tol, **solving)
    assert isinstance(found, Evaluation)
    if found.advantage is None:
        return found
    largest = float(np.nanmax(np.abs(found.advantage), initial=0.0))
    if float(found.certificate.bounds["advantage"]) > ENOUGH * largest:
        sharpest = 0.0 if mdp.num_states <= FEW_STATES else SHARPER_AGAIN * tol
        found = evaluate(mdp, policy, setting, tol=sharpest, **solving)
        assert isinstance(found, Evaluation)
    return found


def reachable_states(mdp: MDP, policy: FloatArray, initial: FloatArray) -> NDArray[np.bool_]:
    """Return which states a policy can reach from a start distribution."""
    found: NDArray[np.bool_] = _core.reachable_states(mdp._core, policy, np.ascontiguousarray(initial))
    return found


def _nowhere_lost(
    mdp: MDP, policy: FloatArray, setting: Discounted | Episodic | Average, initial: FloatArray, weight: FloatArray
) -> FloatArray:
    """Return the weights, with the least positive number where they are positive but too small for doubles."""
    weight = np.maximum(weight, 0.0)
    lasting = not isinstance(setting, Average)  # transient states have no share of the long run
    if lasting and setting != Discounted(0.0) and (weight == 0.0).any():
        lost = (weight == 0.0) & reachable_states(mdp, policy, initial)
        weight = np.where(lost, 5e-324, weight)
    return np.ascontiguousarray(weight)


def _row_defect(mdp: MDP) -> float:
    termination = 0.0 if mdp.termination is None else mdp.termination.ravel()
    rounding = (int(np.diff(mdp.transition.indptr).max()) + 2) * ULP
    sums = mdp.transition @ np.ones(mdp.num_states)  # several times faster than sum(axis=1)
    return float(np.abs(sums + termination - 1.0).max()) + rounding


def start_defect(mdp: MDP, setting: Discounted | Episodic | Average) -> float:
    """Bound what the probabilities of the start miss the sum 1 by, where `start_for` returns others."""
    if mdp.initial is None or not isinstance(setting, Average):
        return 0.0
    return abs(math.fsum([*mdp.initial.tolist(), -1.0])) * (1.0 + 4 * ULP)


def start_for(mdp: MDP, setting: Discounted | Episodic | Average) -> FloatArray:
    """Return the start distribution; with one recurrent class the average does not depend on it.

    One state will do then: what the probabilities of a distribution miss the sum 1 by is no part of the long run.
    """
    if isinstance(setting, Average):
        one_state = np.zeros(mdp.num_states)
        one_state[start_or_even(mdp).argmax()] = 1.0
        return one_state
    if mdp.initial is not None:
        return mdp.initial
    raise ModelError(
        "initial: the return of a policy needs a start distribution, and the model has none; "
        "make it with initial=p or mdp.with_initial(p)"
    )


def _check(ev: Evaluation, tol: float, name: str) -> None:
    largest = float(np.nanmax(np.abs(ev.value), initial=0.0)) or float(np.abs(ev.action_value).max())
    error = float(np.max(ev.certificate.error_bound))
    if not error <= max(tol, 64 * ULP) * largest and ev.certificate.status != "converged":
        raise ConvergenceError(
            f"policy: expected a relative error of {tol:g} of {name}, could not certify it; the best proven bound is "
            f"{error:.3g}. Ask for a larger tol",
            ev,
        )
