"""A policy with everything that is proven of it in a setting: its value and its visits, found independently."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rlcore.comparison_base import ensure_advantage, reachable_states
from rlcore.enclosure import ULP, Enclosure
from rlcore.evaluation import evaluate
from rlcore.mdp import MDP, start_or_even
from rlcore.occupancy import occupancy
from rlcore.over_actions import most_actions, sum_over_actions
from rlcore.results import Evaluation, FloatArray, Occupancy, Progress
from rlcore.settings import Average, Discounted, Episodic


@dataclass(frozen=True, slots=True, eq=False)
class PolicyFacts:
    """A policy in a setting, as numbers with bounds on their errors.

    Attributes
    ----------
    mdp, policy, setting, initial, solving
        The model, pi as a vector over pairs, the setting, the start distribution, the arguments of solvers.
    value, value_error
        V, shape (S,), or the bias; 0 with an infinite error where it does not exist.
    gain, gain_error
        Average: g, shape (S,). Elsewhere 0.
    action_value, advantage, action_value_error, advantage_error
        Q and A as vectors over pairs. The errors are bounds for each pair, infinite where V does not exist.
    eta
        rho0^T V; Average: the gain.
    objective
        J of theory 3.
    weight, weight_error
        rho, e or d, shape (S,), and the bound on its L1 error.
    share, share_error
        d, likewise.
    reached
        Which states the policy can reach.
    P, r
        The policy's chain, sparse (S, S), and its reward, shape (S,), formed in doubles.
    r_error, r_size
        Bounds the error of r in each state; sum_a pi |r|, the size of what r is summed from.
    excess
        Bounds, for each state, |sum_a pi - 1|: rounding leaves so much.
    defect
        Bounds, for each state, by how much its row of P and its termination miss 1.
    ending
        sum_a pi termination, shape (S,).
    terms
        How many numbers the entries of P f are summed from, at most.
    """

    mdp: MDP
    policy: FloatArray
    setting: Discounted | Episodic | Average
    initial: FloatArray
    solving: dict[str, Any]
    value: FloatArray
    value_error: FloatArray
    gain: FloatArray
    gain_error: float
    action_value: FloatArray
    action_value_error: FloatArray
    advantage: FloatArray
    advantage_error: FloatArray
    eta: Enclosure
    objective: Enclosure
    weight: FloatArray
    weight_error: float
    share: FloatArray
    share_error: float
    reached: NDArray[np.bool_]
    P: Any
    r: FloatArray
    r_error: FloatArray
    r_size: FloatArray
    excess: FloatArray
    defect: FloatArray
    ending: FloatArray
    terms: int

    @property
    def gamma(self) -> float:
        """The discount factor; 1 without one."""
        return self.setting.gamma if isinstance(self.setting, Discounted) else 1.0

    @property
    def known(self) -> NDArray[np.bool_]:
        """Where V exists."""
        found: NDArray[np.bool_] = np.isfinite(self.value_error)
        return found

    @property
    def largest(self) -> float:
        """Max |V|, and what its error adds."""
        return float((np.abs(self.value) + self.value_error)[self.known].max(initial=0.0))

    @property
    def undiscounted_defect(self) -> FloatArray:
        """What the diagonal of P, which is one minus the rest without a discount, can differ from the stored one."""
        return np.zeros_like(self.defect) if isinstance(self.setting, Discounted) else self.defect

    def forwards(self, f: FloatArray, f_error: Any) -> tuple[FloatArray, FloatArray]:
        """Return P f and a bound on the error of each of its numbers."""
        errors = np.broadcast_to(f_error, f.shape)
        with np.errstate(invalid="ignore"):
            carried = self.P @ errors
        largest = float((np.abs(f) + errors)[np.isfinite(errors)].max(initial=0.0))
        rounding = (self.terms * ULP) * (self.P @ np.abs(f))
        return self.P @ f, rounding + carried + self.undiscounted_defect * largest

    def backwards(self, w: FloatArray, w_error: float) -> tuple[FloatArray, float]:
        """Return P^T w and a bound on its L1 error."""
        mass = float(np.abs(w).sum()) + w_error
        defect = float(np.abs(w) @ self.undiscounted_defect) + w_error * float(self.undiscounted_defect.max())
        rows = 1.0 + float((self.defect + self.excess).max())
        rounding = (self.terms + w.size) * ULP
        return self.P.T @ w, rows * (w_error + rounding * mass) + 2.0 * defect

    def visited(self, f: FloatArray, f_error: Any) -> Enclosure:
        """Enclose sum_s w(s) f(s), with w = rho, e or d; it is 0 where the policy does not come."""
        return product(
            self.weight[self.reached],
            self.weight_error,
            f[self.reached],
            np.broadcast_to(f_error, f.shape)[self.reached],
        )

    def visited_size(self, f: FloatArray) -> float:
        """Return sum_s w(s) |f(s)|, the size of the terms."""
        return float(self.weight @ np.abs(f))


def product(w: FloatArray, w_error: float, f: FloatArray, f_error: Any) -> Enclosure:
    """Enclose sum w f, for the bound on the L1 error of w and those on the errors of f."""
    f_error = np.broadcast_to(f_error, f.shape)
    with np.errstate(invalid="ignore"):
        carried = np.abs(w) * f_error
    carried = np.where(w == 0.0, 0.0, carried)
    largest = float((np.abs(f) + f_error).max(initial=0.0))
    error = float(carried.sum()) + (w_error * largest if w_error > 0.0 else 0.0)
    rounding = (w.size + 4) * ULP * (float(np.abs(w) @ np.abs(f)) + float(carried.sum()))
    return Enclosure.around(float(w @ f), error + rounding)


def policy_facts(
    name: str,
    mdp: MDP,
    policy: FloatArray,
    setting: Discounted | Episodic | Average,
    tol: float,
    num_threads: int | None,
    progress: Callable[[Progress], object] | None,
) -> PolicyFacts:
    """Evaluate a policy and find its visits; its name is for errors."""
    solving: dict[str, Any] = {"tol": tol, "num_threads": num_threads, "progress": progress}
    initial = start_or_even(mdp)
    ev = evaluate(mdp, policy, setting, raise_on_failure=False, **solving)
    assert isinstance(ev, Evaluation)
    ensure_advantage(ev, name)
    occ = occupancy(mdp, policy, setting, initial=initial, raise_on_failure=False, **solving)
    assert isinstance(occ, Occupancy)
    return PolicyFacts(
        mdp, policy, setting, initial, solving,
        **_of_values(mdp, ev, setting),
        **_of_visits(mdp, occ, setting),
        **_of_chain(mdp, policy, setting),
        reached=reachable_states(mdp, policy, initial),
    )  # fmt: skip


def _of_values(mdp: MDP, ev: Evaluation, setting: Discounted | Episodic | Average) -> dict[str, Any]:
    bounds = ev.certificate.bounds
    known = ~np.isnan(ev.value)
    average = isinstance(setting, Average)
    q, advantage = ev.action_value.ravel(), ev.advantage.ravel()
    paired = ~np.isnan(advantage)
    eta = Enclosure.around(float(ev.gain[0]), bounds["gain"]) if ev.gain is not None else Enclosure.around(
        ev.start_value, bounds["start_value"]
    )  # fmt: skip
    objective = eta
    if not average:
        found = ev.on_policy_objective
        objective = Enclosure.around(found, bounds["on_policy_objective"])
    return {
        "value": np.where(known, ev.value, 0.0),
        "value_error": np.where(known, float(bounds["value"]), np.inf),
        "gain": np.zeros(mdp.num_states) if ev.gain is None else ev.gain,
        "gain_error": 0.0 if ev.gain is None else float(bounds["gain"]),
        "action_value": np.where(paired, q, 0.0),
        "action_value_error": np.where(paired, float(bounds["action_value"]), np.inf),
        "advantage": np.where(paired, advantage, 0.0),
        "advantage_error": np.where(paired, float(bounds["advantage"]), np.inf),
        "eta": eta,
        "objective": objective,
    }


def _of_visits(mdp: MDP, occ: Occupancy, setting: Discounted | Episodic | Average) -> dict[str, Any]:
    name = "state" if isinstance(setting, Average) else "visits"
    tiny = mdp.num_states * 5e-324  # what is too small for doubles is not there
    return {
        "weight": np.asarray(getattr(occ, name)),
        "weight_error": float(occ.certificate.bounds[name]) + tiny,
        "share": occ.state,
        "share_error": float(occ.certificate.bounds["state"]) + tiny,
    }


def _of_chain(mdp: MDP, policy: FloatArray, setting: Discounted | Episodic | Average) -> dict[str, Any]:
    actions = most_actions(mdp)
    successors = int(np.diff(mdp.transition.indptr).max())
    P, r = mdp.to_scipy(policy.reshape(mdp.pair_shape))
    terms = actions * (1 + successors) + 8
    termination = np.zeros(mdp.num_pairs) if mdp.termination is None else mdp.termination.ravel()
    excess = np.abs(sum_over_actions(mdp, policy) - 1.0) + (actions + 2) * ULP
    misses = np.abs(mdp.transition.sum(axis=1) + termination - 1.0) + (successors + 4) * ULP
    size = sum_over_actions(mdp, policy * np.abs(mdp.reward.ravel()))
    r_error = (actions + 4) * ULP * size
    if not isinstance(setting, Discounted):
        r_error = r_error + excess * size
    return {
        "P": P,
        "r": r,
        "r_error": r_error,
        "r_size": size,
        "excess": excess,
        "defect": (sum_over_actions(mdp, policy * misses) + excess) * (1.0 + 1e-12),
        "ending": sum_over_actions(mdp, policy * termination),
        "terms": terms,
    }
