"""The statements about one policy: values, visits and objectives (theory 2 and 3)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from rlcore.death_mdp import death_mdp
from rlcore.enclosure import ULP, Enclosure
from rlcore.errors import SettingError
from rlcore.evaluation import evaluate
from rlcore.finite_horizon import FiniteHorizonEvaluation
from rlcore.long_run import episode_length
from rlcore.occupancy import occupancy, state_distribution, successor_representation
from rlcore.over_actions import sum_over_actions
from rlcore.policy_facts import PolicyFacts, product
from rlcore.results import Evaluation, FloatArray, Occupancy
from rlcore.settings import Average, Discounted, Episodic, FiniteHorizon
from rlcore.statements import (
    Finding,
    NotApplicableError,
    Statement,
    equal,
    equal_everywhere,
    equal_in_sum,
    less,
    statement,
)

OF_A_POLICY: list[Statement] = []
FUTILE_GAMMA = 0.9  # the discount factor of theory 3.4, where the setting has none


@dataclass(frozen=True, slots=True, eq=False)
class PolicyAudit:
    """A policy, and how many steps are looked at one by one."""

    facts: PolicyFacts
    steps: int


# ---- values ----


@statement(
    OF_A_POLICY,
    discounted=("2.1", "V = r + gamma P V"),
    episodic=("3.1", "v = r + P v"),
    average=("3.2", "h = r - g + P h"),
)
def bellman_equation(audit: PolicyAudit) -> Finding:
    """Put V into its equation."""
    f = audit.facts
    successors, error = f.forwards(f.value, f.value_error)
    terms = f.r_size + np.abs(f.value) + np.abs(f.gain)
    error = f.gamma * error + f.r_error + f.value_error + f.gain_error + 4 * ULP * terms
    difference = f.value - (f.r - f.gain + f.gamma * successors)
    return equal_everywhere(difference[f.known], error[f.known], terms[f.known].max(initial=0.0))


@statement(
    OF_A_POLICY,
    discounted=("2.2", "Q(s,a) = r(s,a) + gamma sum P(s'|s,a) V(s')"),
    episodic=("2.2", "Q(s,a) = r(s,a) + sum P(s'|s,a) v(s')"),
    average=("3.2", "Q(s,a) = r(s,a) - g + sum P(s'|s,a) h(s')"),
)
def action_values(audit: PolicyAudit) -> Finding:
    """Look one step ahead from every pair."""
    f, transition = audit.facts, audit.facts.mdp.transition
    known = np.isfinite(f.action_value_error)
    with np.errstate(invalid="ignore"):
        carried = transition @ f.value_error
    defect = 0.0 if isinstance(f.setting, Discounted) else f.largest * _pair_defects(f)
    state = f.mdp.pair_state
    reward = f.mdp.reward.ravel()
    terms = np.abs(reward) + np.abs(f.action_value) + np.abs(f.gain[state])
    rounding = f.terms * ULP * (terms + transition @ np.abs(f.value))
    difference = f.action_value - (reward - f.gain[state] + f.gamma * (transition @ f.value))
    error = f.action_value_error + f.gamma * carried + f.gain_error + rounding + defect
    return equal_everywhere(difference[known], error[known], terms[known].max(initial=0.0))


@statement(
    OF_A_POLICY,
    discounted=("2.3", "sum_a pi(a|s) A(s,a) = 0"),
    episodic=("2.3", "sum_a pi(a|s) A(s,a) = 0"),
    average=("2.3", "sum_a pi(a|s) A(s,a) = 0"),
)
def mean_advantage(audit: PolicyAudit) -> Finding:
    """Average the advantages under the policy."""
    f = audit.facts
    taken = f.policy > 0.0
    mean = sum_over_actions(f.mdp, f.policy * f.advantage)
    with np.errstate(invalid="ignore"):
        carried = sum_over_actions(f.mdp, np.where(taken, f.policy * f.advantage_error, 0.0))
    error = carried + f.terms * ULP * sum_over_actions(f.mdp, f.policy * np.abs(f.advantage))
    error = error + (f.excess + f.undiscounted_defect) * (f.largest + np.abs(f.gain))
    scale = max(float(np.abs(f.action_value).max()), f.largest)
    return equal_everywhere(mean[f.known], error[f.known], scale)


@statement(OF_A_POLICY, discounted=("2.7", "V(s) = sum X(s,s') r(s') in the likeliest start, X = (I - gamma P)^-1"))
def successor_rows(audit: PolicyAudit) -> Finding:
    """Value a reward by the visits from one state."""
    f = audit.facts
    state = int(np.argmax(f.initial))
    rows = successor_representation(f.mdp, f.policy, f.gamma, [state], raise_on_failure=False, **f.solving)
    assert rows.certificate is not None
    row = np.asarray(rows[0])
    right = product(row, float(np.max(rows.certificate.error_bound)), f.r, f.r_error)
    left = Enclosure.around(float(f.value[state]), float(f.value_error[state]))
    return equal(left, right, np.abs(row) @ f.r_size)


@statement(
    OF_A_POLICY,
    discounted=("2.8", "V_n = r + gamma P V_(n-1), V_0 = 0"),
    episodic=("2.8", "V_n = r + P V_(n-1), V_0 = 0"),
)
def finite_horizon(audit: PolicyAudit) -> Finding:
    """Follow the values of a few steps backwards."""
    f = audit.facts
    found, bounds = _values_of_steps(audit, f.gamma)
    successors = (f.P @ found[1:].T).T
    size = f.r_size + (f.P @ np.abs(found[1:]).T).T + np.abs(found[:-1])
    error = bounds[:-1, None] + f.gamma * bounds[1:, None] * (1.0 + f.defect + f.excess) + f.r_error
    error = error + f.excess * np.abs(f.r)
    error = error + f.terms * ULP * size
    return equal_everywhere(found[:-1] - (f.r + f.gamma * successors), error, size.max())


# ---- visits ----


@statement(
    OF_A_POLICY,
    discounted=("2.4", "Pr(s_t = .) and what has ended before t sum to 1"),
    episodic=("2.4", "Pr(s_t = .) and what has ended before t sum to 1"),
    average=("2.4", "Pr(s_t = .) sums to 1"),
)
def distributions_sum(audit: PolicyAudit) -> Finding:
    """Add up the probabilities of being in a state, and of having ended, after each step."""
    f = audit.facts
    rows, bounds = _distributions(audit)
    ended = np.concatenate([[0.0], np.cumsum(rows[:-1] @ f.ending)])
    missed = np.concatenate([[0.0], np.cumsum(rows[:-1] @ f.defect + bounds[:-1])])
    start = abs(float(f.initial.sum()) - 1.0)
    rounding = (rows.shape[1] + f.terms + len(rows)) * ULP * (1.0 + ended)
    return equal_everywhere(rows.sum(axis=1) + ended - 1.0, bounds + 2.0 * missed + start + rounding, 1.0)


@statement(
    OF_A_POLICY,
    discounted=("2.4", "Pr(s_(t+1) = .)^T = Pr(s_t = .)^T P"),
    episodic=("2.4", "Pr(s_(t+1) = .)^T = Pr(s_t = .)^T P"),
    average=("2.4", "Pr(s_(t+1) = .)^T = Pr(s_t = .)^T P"),
)
def distributions_step(audit: PolicyAudit) -> Finding:
    """Take each distribution one step further."""
    f = audit.facts
    rows, bounds = _distributions(audit)
    worst = equal_in_sum(rows[0] - f.initial, bounds[0] + f.initial.size * ULP, 1.0)
    for t in range(len(rows) - 1):
        further, error = f.backwards(rows[t], float(bounds[t]))
        one = equal_in_sum(rows[t + 1] - further, float(bounds[t + 1]) + error, 1.0)
        assert one.residual is not None
        assert worst.residual is not None
        worst = max(worst, one, key=lambda each: (each.residual.lower, each.residual.upper))  # type: ignore[union-attr]
    return worst


@statement(
    OF_A_POLICY,
    discounted=("2.5", "rho^T = rho0^T + gamma rho^T P"),
    episodic=("3.1", "e^T = rho0^T + e^T P"),
    average=("3.2", "d^T = d^T P"),
)
def balance_of_visits(audit: PolicyAudit) -> Finding:
    """Add what starts in a state and what comes from elsewhere."""
    f = audit.facts
    arriving, error = f.backwards(f.weight, f.weight_error)
    start = np.zeros_like(f.initial) if isinstance(f.setting, Average) else f.initial
    difference = f.weight - (start + f.gamma * arriving)
    mass = float(np.abs(f.weight).sum())
    return equal_in_sum(difference, f.weight_error + f.gamma * error + 4 * ULP * (1.0 + mass), mass)


@statement(
    OF_A_POLICY,
    discounted=("2.5", "d = (1 - gamma) rho"),
    episodic=("3.1", "d = e / sum e"),
    average=("3.2", "sum d = 1"),
)
def shares_of_visits(audit: PolicyAudit) -> Finding:
    """Scale the visits."""
    f = audit.facts
    if isinstance(f.setting, Average):
        one = Enclosure.around(float(f.share.sum()), f.share_error + (f.share.size + 2) * ULP)
        return equal(one, Enclosure(1.0, 1.0), 1.0)
    if isinstance(f.setting, Discounted):
        factor, factor_error = 1.0 - f.gamma, 0.0
    else:
        mass = float(f.weight.sum())
        factor, factor_error = 1.0 / mass, f.weight_error / mass / max(mass - f.weight_error, 5e-324)
    scaled = factor * f.weight
    error = f.share_error + factor * f.weight_error + factor_error * float(np.abs(f.weight).sum())
    return equal_in_sum(f.share - scaled, error + (f.share.size + 4) * ULP, 1.0)


@statement(
    OF_A_POLICY,
    discounted=(
        "2.5",
        "the visits to what ends sum to 1: (1-gamma) sum rho + gamma rho^T term = 1",
    ),
    episodic=("3.1", "the visits to what ends sum to 1: e^T term = 1"),
)
def mass_of_visits(audit: PolicyAudit) -> Finding:
    """Count every process once, when its discount or the model ends it."""
    f = audit.facts
    ends = (1.0 - f.gamma) + f.gamma * f.ending
    missed = f.gamma * f.defect + f.terms * ULP * ends
    start = Enclosure.around(float(f.initial.sum()), f.initial.size * ULP)
    return equal(f.visited(ends, missed), start, 1.0)


@statement(OF_A_POLICY, episodic=("3.1", "sum e is the expected length of an episode"))
def length_of_an_episode(audit: PolicyAudit) -> Finding:
    """Find the expected length once more, from the times that are left."""
    f = audit.facts
    length = episode_length(f.mdp, f.policy, **f.solving)
    assert length.certificate is not None
    left = Enclosure.around(float(f.weight.sum()), f.weight_error + f.weight.size * ULP * float(f.weight.sum()))
    start = f.initial > 0.0
    right = product(f.initial[start], 0.0, np.asarray(length[0])[start], float(length.certificate.error_bound[0]))
    return equal(left, right, right.value)


# ---- returns ----


@statement(
    OF_A_POLICY,
    discounted=("2.6", "eta = rho0^T V = rho^T r"),
    episodic=("3.1", "rho0^T v = e^T r"),
    average=("3.2", "g = d^T r"),
)
def adjoint_identity(audit: PolicyAudit) -> Finding:
    """Find the return from values and from visits."""
    f = audit.facts
    return equal(f.eta, f.visited(f.r, f.r_error), f.visited_size(f.r_size))


@statement(OF_A_POLICY, discounted=("3.3", "sum d r = (1 - gamma) eta"))
def mean_reward(audit: PolicyAudit) -> Finding:
    """Average the rewards over the states that the policy visits."""
    f = audit.facts
    left = product(f.share, f.share_error, f.r, f.r_error)
    right = (1.0 - f.gamma) * f.eta.value
    error = (1.0 - f.gamma) * f.eta.error + 4 * ULP * abs(right)
    return equal(left, Enclosure.around(right, error), np.abs(f.share) @ f.r_size)


@statement(
    OF_A_POLICY,
    discounted=("3.3", "J = (1 - gamma) rho0^T (I - gamma P)^-2 r = sum d V"),
    episodic=("3.1", "J = sum d v"),
)
def on_policy_objective(audit: PolicyAudit) -> Finding:
    """Find J by one more solve, and by the values where the policy is."""
    f = audit.facts
    right = product(f.share[f.reached], f.share_error, f.value[f.reached], f.value_error[f.reached])
    return equal(f.objective, right, np.abs(f.share) @ np.abs(f.value))


@statement(
    OF_A_POLICY,
    discounted=("3.4", "sum d V = sum d g / (1 - gamma) for the d of the long run"),
    average=("3.4", f"sum d V = sum d g / (1 - gamma) for gamma = {FUTILE_GAMMA}"),
)
def futility_of_a_discount(audit: PolicyAudit) -> Finding:
    """Average discounted values over the long run."""
    f = audit.facts
    gamma = f.gamma if isinstance(f.setting, Discounted) else FUTILE_GAMMA
    if f.mdp.can_end:
        raise NotApplicableError("the process can end")
    discounted = _evaluated(audit, Discounted(gamma))
    try:
        gains = _evaluated(audit, Average())
        stationary = occupancy(f.mdp, f.policy, Average(), initial=f.initial, raise_on_failure=False, **f.solving)
    except SettingError as reason:
        raise NotApplicableError(str(reason)) from None
    assert isinstance(stationary, Occupancy)
    assert gains.gain is not None
    d, d_error = stationary.state, float(stationary.certificate.bounds["state"])
    mean_gain = product(d, d_error, gains.gain, float(gains.certificate.bounds["gain"]))
    right = mean_gain.value / (1.0 - gamma)
    error = (mean_gain.error + d_error * float(np.abs(gains.gain).max())) / (1.0 - gamma) + 4 * ULP * abs(right)
    value, value_error = discounted.value, float(discounted.certificate.bounds["value"])
    missed = float(np.max(f.defect)) * float(np.abs(value).max()) / (1.0 - gamma)  # rows that do not sum to 1
    left = product(d, d_error, value, value_error)
    return equal(left, Enclosure.around(right, error + missed), d @ (np.abs(value) + f.r_size))


@statement(
    OF_A_POLICY,
    "<=",
    discounted=(
        "3.5",
        "max |V - sum_(n<=M) (1-gamma) gamma^(n-1) V_n| <= gamma^M (M + 1/(1-gamma)) max|r|, M = steps",
    ),
)
def random_horizon(audit: PolicyAudit) -> Finding:
    """Stop at a random time in place of a discount."""
    f = audit.facts
    if f.mdp.can_end:
        raise NotApplicableError("the process can end")
    values, bounds = _values_of_steps(audit, 1.0)
    n = np.arange(1, audit.steps + 1)
    chance = (1.0 - f.gamma) * f.gamma ** (n - 1.0)
    of_steps = values[audit.steps - n]  # V_n, with n steps to go
    mean = chance @ of_steps
    error = f.value_error + chance @ bounds[audit.steps - n]
    error = error + (2 * audit.steps + 8) * ULP * (chance @ np.abs(of_steps) + np.abs(f.value))
    size = np.abs(f.value - mean)
    left = Enclosure(float(np.maximum(size - error, 0.0).max()), float((size + error).max()))
    rest = f.gamma**audit.steps * (audit.steps + 1.0 / (1.0 - f.gamma))
    largest = float((np.abs(f.r) + f.r_error).max())
    # Rows that do not sum to 1 grow by as much in every step.
    grown = (1.0 + float(f.defect.max())) ** audit.steps
    right = rest * largest
    return less(left, Enclosure(right * (1.0 - 1e-12), right * (1.0 + 1e-12) * grown))


@statement(OF_A_POLICY, discounted=("3.5", "the death MDP's episodic value is V, in every state"))
def death_in_place_of_a_discount(audit: PolicyAudit) -> Finding:
    """Let the process die with probability 1 - gamma."""
    f = audit.facts
    dying = evaluate(death_mdp(f.mdp, f.gamma), f.policy, Episodic(), raise_on_failure=False, **f.solving)
    assert isinstance(dying, Evaluation)
    largest = float(np.abs(dying.value).max())
    # Its diagonal is one minus the rest, so what rows miss is made up for, and gamma P is rounded.
    missed = (float(f.defect.max()) + f.terms * ULP) / (1.0 - f.gamma)
    error = f.value_error + float(dying.certificate.bounds["value"]) + 2.0 * missed * largest
    error = error + float(np.max(f.excess)) * float(np.abs(f.r).max()) / (1.0 - f.gamma)
    return equal_everywhere(f.value - dying.value, error, largest)


@statement(
    OF_A_POLICY,
    discounted=("3.6", "rho / sum rho is stationary for gamma P + (1 - gamma P 1) rho0^T, the restart chain"),
)
def restart_chain(audit: PolicyAudit) -> Finding:
    """Start afresh wherever the process dies."""
    f = audit.facts
    mass = float(f.weight.sum())
    share, share_error = f.weight / mass, 2.0 * f.weight_error / max(mass - f.weight_error, 5e-324)
    stays, error = f.backwards(share, share_error)
    restarts = 1.0 - f.gamma * np.asarray(f.P.sum(axis=1))
    again = product(share, share_error, restarts, (f.terms + 4) * ULP)
    difference = share - (f.gamma * stays + again.value * f.initial)
    start = abs(float(f.initial.sum()) - 1.0) + f.initial.size * ULP
    return equal_in_sum(difference, share_error + f.gamma * error + again.error + start + 8 * ULP, 1.0)


# ---- what several statements need ----


def _evaluated(audit: PolicyAudit, setting: Discounted | Average) -> Evaluation:
    f = audit.facts
    found = evaluate(f.mdp, f.policy, setting, raise_on_failure=False, **f.solving)
    assert isinstance(found, Evaluation)
    return found


def _values_of_steps(audit: PolicyAudit, gamma: float) -> tuple[FloatArray, FloatArray]:
    """Return the values with `steps`, `steps` - 1, ..., 0 steps to go, and their bounds."""
    f = audit.facts
    found = evaluate(f.mdp, f.policy, FiniteHorizon(audit.steps, gamma), raise_on_failure=False, **f.solving)
    assert isinstance(found, FiniteHorizonEvaluation)
    bounds = np.broadcast_to(np.asarray(found.certificate.bounds["value"]), len(found.value))
    return found.value, bounds


def _distributions(audit: PolicyAudit) -> tuple[FloatArray, FloatArray]:
    """Return Pr(s_t = .) for t = 0 .. steps, and the bounds on their L1 errors."""
    f = audit.facts
    threads = {name: value for name, value in f.solving.items() if name != "tol"}
    rows = state_distribution(f.mdp, f.policy, audit.steps, initial=f.initial, **threads)
    assert rows.certificate is not None
    return np.asarray(rows), np.asarray(rows.certificate.bounds["state_distribution"])


def _pair_defects(f: PolicyFacts) -> Any:
    """Bound by how much the row of each pair and its termination miss 1."""
    termination = np.zeros(f.mdp.num_pairs) if f.mdp.termination is None else f.mdp.termination.ravel()
    return np.abs(f.mdp.transition.sum(axis=1) + termination - 1.0) + f.terms * ULP
