"""Optimal policies of the compiled core against the exact optimum: no claim of a certificate may be wrong.

Every comparison is exact: floats are taken at their binary values and subtracted from fractions.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from scipy.optimize import linprog

import generated_chains
import generated_models
import rlcore as rl
from generated_models import Array, RawModel
from rlcore import reference
from rlcore.errors import ConvergenceError
from rlcore.reference.rational import Matrix, Vector
from test_agreement import core_model
from test_reference_planning import SMALL_ENDING, Ending, frozen_lake

TOL = 1e-6  # the default of solve
Exact = tuple[Any, Matrix, Matrix, Vector]
"""Transition, reward, termination and start."""


def exact_model(raw: RawModel) -> Exact:
    parts = (raw.transition, raw.reward, raw.termination)
    transition, reward, termination = (reference.exact(raw.by_state(x)) for x in parts)
    return transition, reward, termination, reference.exact(raw.initial.tolist())


def models(make: Callable[[str, int], RawModel], family: str, number: int) -> list[RawModel]:
    """Return the smaller half of the first models of a family, which are as nasty as the others."""
    return sorted((make(family, index) for index in range(2 * number)), key=lambda raw: raw.num_states)[:number]


def solved(mdp: rl.MDP, setting: Any, **options: Any) -> Any:
    """Return the answer, or the best one where the tolerance was missed: what is claimed of it has to hold as well."""
    try:
        return rl.solve(mdp, setting, **options)
    except ConvergenceError as error:
        return error.result


def policy_by_state(raw: RawModel, policy: Array) -> Matrix:
    """Return the policy of a solution, which must be deterministic."""
    rows = reference.exact(raw.by_state(np.ravel(policy)))
    assert all(sorted(row) == [0] * (len(row) - 1) + [1] for row in rows)
    return rows


def largest_distance(ours: Array, theirs: Vector) -> Fraction:
    return max(abs(Fraction(x) - y) for x, y in zip(np.ravel(ours).tolist(), theirs, strict=True))


def shortfall(best: Vector, own: Vector) -> Fraction:
    """Return by how much a policy falls short of the optimum, in the worst state."""
    return max(x - y for x, y in zip(best, own, strict=True))


# Discounted.


def check_discounted(raw: RawModel, tol: float = TOL) -> None:
    transition, reward, _, initial = exact_model(raw)
    solution = solved(core_model(raw), rl.Discounted(raw.gamma), tol=tol)
    bounds = solution.certificate.bounds
    optimum = reference.solve(transition, reward, raw.gamma, initial)
    own = reference.evaluate(transition, reward, policy_by_state(raw, solution.policy), raw.gamma)
    assert largest_distance(solution.value, optimum.value) <= bounds["value"] <= solution.certificate.error_bound
    assert abs(Fraction(solution.start_value) - optimum.start_value) <= bounds["start_value"]  # type: ignore[operator]
    assert shortfall(optimum.value, own.value) <= bounds["policy_value"]
    if tol > 0 and solution.certificate.status == "converged":
        scale = max(map(abs, optimum.value)) or max(abs(r) for row in reward for r in row)
        assert bounds["value"] <= tol * float(scale) * (1 + 1e-6)


@pytest.mark.parametrize("family", generated_models.FAMILIES)
def test_discounted(family: str) -> None:
    for raw in models(generated_models.model, family, 100):
        check_discounted(raw)


@pytest.mark.parametrize("family", generated_chains.CONTINUING)
def test_discounted_chains(family: str) -> None:
    for raw in models(generated_chains.model, family, 50):
        check_discounted(raw)


@pytest.mark.parametrize("family", generated_models.FAMILIES)
def test_discounted_at_its_best(family: str) -> None:
    for raw in models(generated_models.model, family, 25):
        check_discounted(raw, tol=0.0)


# Finite horizon.


def at(bounds: Any, when: int) -> float:
    """Return the bound of a time, of one for all times or one for each."""
    return float(bounds if np.ndim(bounds) == 0 else bounds[when])


@pytest.mark.parametrize("family", generated_models.FAMILIES)
def test_finite_horizon(family: str) -> None:
    for steps, raw in zip(itertools.cycle((1, 2, 5, 12)), models(generated_models.model, family, 40), strict=False):
        transition, reward, _, initial = exact_model(raw)
        solution = solved(core_model(raw), rl.FiniteHorizon(steps, raw.gamma))
        bounds = solution.certificate.bounds
        optimum = reference.solve_finite_horizon(transition, reward, steps, raw.gamma, initial)
        policies = [policy_by_state(raw, policy) for policy in solution.policy]
        own = reference.evaluate_finite_horizon(transition, reward, policies, raw.gamma)
        for when, (best, value) in enumerate(zip(optimum.value, own.value, strict=True)):
            assert largest_distance(solution.value[when], best) <= at(bounds["value"], when), raw.name
            assert shortfall(best, value) <= at(bounds["policy_value"], when), raw.name
        start_value = Fraction(solution.start_value)
        assert abs(start_value - optimum.start_value) <= bounds["start_value"], raw.name  # type: ignore[operator]


# Episodic.


def check_episodic(raw: RawModel) -> str:
    """Compare with the exact optimum; return what became of the model."""
    transition, reward, termination, initial = exact_model(raw)
    mdp = core_model(raw)
    try:
        optimum = reference.solve_episodic(transition, reward, termination, initial)
    except reference.UnboundedValueError:
        with pytest.raises(rl.UnboundedValueError):
            solved(mdp, rl.Episodic())
        return "unbounded"
    except reference.ImproperPolicyError:
        with pytest.raises(rl.ImproperPolicyError):
            solved(mdp, rl.Episodic())
        return "improper"
    solution = solved(mdp, rl.Episodic())
    bounds = solution.certificate.bounds
    own = reference.evaluate_episodic(transition, reward, policy_by_state(raw, solution.policy), termination).value
    pairs = list(zip(solution.value.tolist(), optimum.value, own, strict=True))
    assert [np.isnan(ours) for ours, _, _ in pairs] == [best is None for _, best, _ in pairs]
    for ours, best, value in pairs:
        if best is not None:
            assert abs(Fraction(ours) - best) <= bounds["value"]
            assert value is not None, "the policy of the solution surely ends"
            assert best - value <= bounds["policy_value"]
    assert abs(Fraction(solution.start_value) - optimum.start_value) <= bounds["start_value"]  # type: ignore[operator]
    return "solved"


def raw_model(name: str, model: Ending, states: list[int]) -> RawModel:
    """Return a model of fractions as doubles, started evenly in some states; exact if they are dyadic."""
    transition, reward, termination = model
    counts = [len(rows) for rows in transition]
    initial = np.zeros(len(counts))
    initial[states] = 1 / len(states)
    rows = np.array([[float(p) for p in row] for rows in transition for row in rows])
    return RawModel(
        name,
        rows,
        np.concatenate([[0], np.cumsum(counts)]).astype(np.int64),
        np.array([float(r) for row in reward for r in row]),
        np.array([float(end) for row in termination for end in row]),
        initial,
        np.concatenate([np.eye(1, count)[0] for count in counts]),
        1.0,
    )


def test_small_episodes() -> None:
    """Loops of no reward and of rewards that cancel, loops that earn and that cost, and states without an end."""
    found = []
    for number, model in enumerate(SMALL_ENDING):
        raw = raw_model(f"small[{number}]", model, [number % len(model[0])])
        try:
            found.append(check_episodic(raw))
        except AssertionError as error:
            raise AssertionError(raw.name) from error
    assert all(found.count(kind) >= 20 for kind in ("unbounded", "improper", "solved"))


@pytest.mark.parametrize("family", generated_chains.ENDING)
def test_episodic(family: str) -> None:
    for raw in models(generated_chains.model, family, 24):
        check_episodic(raw)


@pytest.mark.parametrize("family", [name for name in generated_models.FAMILIES if name.startswith("termination")])
def test_episodic_with_termination_somewhere(family: str) -> None:
    for raw in models(generated_models.model, family, 24):
        check_episodic(raw)


def test_frozen_lake() -> None:
    raw = raw_model("frozen lake", frozen_lake(), [0])
    solution = rl.solve(core_model(raw), rl.Episodic())
    assert abs(solution.start_value - 14 / 17) <= solution.certificate.bounds["start_value"] + 1e-15
    discounted = rl.solve(core_model(raw), 0.99, tol=1e-12)
    assert discounted.start_value == pytest.approx(0.54202593200047292, rel=1e-12)


# Average.


def check_average(raw: RawModel) -> None:
    transition, reward, termination, initial = exact_model(raw)
    solution = solved(core_model(raw), rl.Average())
    bounds = solution.certificate.bounds
    optimum = reference.solve_average(transition, reward, initial, termination)
    own = reference.evaluate_average(transition, reward, policy_by_state(raw, solution.policy)).gain
    assert largest_distance(solution.gain, optimum.gain) <= bounds["gain"] <= solution.certificate.error_bound
    assert shortfall(optimum.gain, own) <= bounds["policy_gain"]


@pytest.mark.parametrize("family", generated_chains.CONTINUING)
def test_average(family: str) -> None:
    for raw in models(generated_chains.model, family, 24):
        check_average(raw)


@pytest.mark.parametrize(
    "family", [name for name in generated_models.FAMILIES if not name.startswith(("termination", "one_state"))]
)
def test_average_of_models(family: str) -> None:
    for raw in models(generated_models.model, family, 12):
        if not raw.termination.any():
            check_average(raw)


def test_average_of_small_models() -> None:
    """Several classes, classes that are left, and equal gains: rows of the small episodes that are made to go on."""
    for number, (transition, reward, termination) in enumerate(SMALL_ENDING[:300]):
        back = [
            [[p + (end if t == 0 else 0) for t, p in enumerate(row)] for row, end in zip(rows, ends, strict=True)]
            for rows, ends in zip(transition, termination, strict=True)
        ]
        forever = [[Fraction(0)] * len(ends) for ends in termination]
        check_average(raw_model(f"small[{number}]", (back, reward, forever), [0]))


# Linear programmes.


def least_majorant(mdp: rl.MDP, discount: float) -> Array:
    """Return min sum V with V(s) >= r(s, a) + discount sum P V for all pairs, by HiGHS."""
    stay = np.zeros((mdp.num_pairs, mdp.num_states))
    stay[np.arange(mdp.num_pairs), mdp.pair_state] = 1.0
    matrix = discount * mdp.transition.toarray() - stay
    found = linprog(np.ones(mdp.num_states), A_ub=matrix, b_ub=-mdp.reward.ravel(), bounds=(None, None), method="highs")
    assert found.status == 0, found.message
    return np.asarray(found.x)


@pytest.mark.parametrize("seed", range(20))
def test_linear_programme(seed: int) -> None:
    """HiGHS is content if no constraint is missed by more than 1e-7, and V is then off by 1e-7 / (1 - gamma)."""
    gamma = (0.5, 0.9, 0.99)[seed % 3]
    raw = generated_models.larger_model(40, gamma, termination=bool(seed % 2))
    mdp = core_model(raw).with_reward(np.random.default_rng(seed).normal(size=len(raw.reward)))
    solution = rl.solve(mdp, gamma)
    found = least_majorant(mdp, gamma)
    assert np.abs(solution.value - found).max() <= solution.certificate.error_bound + 2e-7 / (1 - gamma)
