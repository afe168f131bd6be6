"""`solve` with a discount and over a finite horizon: against the reference, linear programmes, known answers."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import numpy as np
import pytest
import scipy.optimize
import scipy.sparse

import generated_models
import rlcore as rl
from generated_models import FAMILIES, GAMMAS, Array, RawModel
from rlcore import reference
from rlcore.reference import planning

PER_FAMILY = 2 * len(GAMMAS)
TOLERANCES = (1e-6, 0.0, 1e-3, 1e-12)


def model_of(raw: RawModel) -> rl.MDP:
    termination = raw.termination if raw.termination.any() else None
    return rl.MDP(
        scipy.sparse.csr_array(raw.transition),
        raw.reward,
        pair_start=raw.pair_start,
        termination=termination,
        initial=raw.initial,
    )


def by_state(raw: RawModel, numbers: Array) -> list[Any]:
    """Numbers of pairs, indexed [s][a], exactly."""
    exact = np.vectorize(Fraction, otypes=[object])(numbers).tolist()
    return [exact[first:last] for first, last in zip(raw.pair_start[:-1], raw.pair_start[1:], strict=True)]


def reference_arguments(raw: RawModel) -> tuple[list[Any], list[Any]]:
    return by_state(raw, raw.transition), by_state(raw, raw.reward)


def distance(found: Array, exact: list[Fraction]) -> Fraction:
    return max(abs(Fraction(x) - y) for x, y in zip(found.tolist(), exact, strict=True))


def assert_takes_one_action(mdp: rl.MDP, policy: Array) -> None:
    assert policy.shape == mdp.pair_shape
    flat = policy.ravel()
    assert set(np.unique(flat)) <= {0.0, 1.0}
    assert (np.add.reduceat(flat, mdp.pair_start[:-1]) == 1.0).all()


# ---- against the exact reference ----


@pytest.mark.parametrize("family", FAMILIES)
def test_no_error_exceeds_its_bound(family: str) -> None:
    for index in range(PER_FAMILY):
        raw = generated_models.model(family, index)
        transition, reward = reference_arguments(raw)
        optimum = planning.solve(transition, reward, Fraction(raw.gamma), raw.initial.tolist())
        mdp = model_of(raw)
        tol = TOLERANCES[index // len(GAMMAS) % len(TOLERANCES)]
        best = rl.solve(mdp, raw.gamma, tol=tol)
        bounds = best.certificate.bounds
        largest = float(max(map(abs, optimum.value))) or float(np.abs(raw.reward).max())
        assert distance(best.value, optimum.value) <= Fraction(bounds["value"]), raw.name
        assert best.start_value is not None
        assert abs(Fraction(best.start_value) - optimum.start_value) <= Fraction(bounds["start_value"]), raw.name
        assert tol == 0.0 or bounds["value"] <= tol * largest * (1 + 1e-9), raw.name
        assert_takes_one_action(mdp, best.policy)
        attained = reference.evaluate(
            transition, reward, by_state(raw, best.policy.ravel()), Fraction(raw.gamma), raw.initial.tolist()
        )
        short = max(x - y for x, y in zip(optimum.value, attained.value, strict=True))
        assert 0 <= short <= Fraction(bounds["policy_value"]), raw.name


@pytest.mark.parametrize("family", FAMILIES)
def test_no_error_exceeds_its_bound_over_a_horizon(family: str) -> None:
    for index in range(4):
        raw = generated_models.model(family, index)
        steps = 1 + 2 * index
        transition, reward = reference_arguments(raw)
        optimum = planning.solve_finite_horizon(transition, reward, steps, Fraction(raw.gamma), raw.initial.tolist())
        mdp = model_of(raw)
        best = rl.solve(mdp, rl.FiniteHorizon(steps, raw.gamma))
        bounds = best.certificate.bounds
        attained = rl.evaluate(mdp, best.policy, rl.FiniteHorizon(steps, raw.gamma))
        for time, exact in enumerate(optimum.value):
            assert distance(best.value[time], exact) <= Fraction(bounds["value"][time]), raw.name
            short = max(y - Fraction(x) for x, y in zip(attained.value[time].tolist(), exact, strict=True))
            assert short <= Fraction(bounds["policy_value"][time] + attained.certificate.bounds["value"][time]), (
                raw.name
            )
        assert best.start_value is not None
        assert optimum.start_value is not None
        assert abs(Fraction(best.start_value) - optimum.start_value) <= Fraction(bounds["start_value"]), raw.name
        for policy in best.policy:
            assert_takes_one_action(mdp, policy)


# ---- known answers ----


def test_forest() -> None:
    best = rl.solve(rl.gallery.forest(), 0.9)
    exact = [Fraction(6561, 250), Fraction(7371, 250), Fraction(8371, 250)]
    # The rewards and probabilities of the forest are decimal numbers, which doubles hold to half a unit.
    np.testing.assert_allclose(best.value, [float(x) for x in exact], rtol=1e-14)
    np.testing.assert_array_equal(best.policy, [[1, 0], [1, 0], [1, 0]])


def test_frozen_lake() -> None:
    pytest.importorskip("gymnasium")
    best = rl.solve(rl.from_gymnasium("FrozenLake-v1"), 0.99)
    assert best.start_value is not None
    assert abs(best.start_value - 0.54202593200047292) <= 1e-14  # thirds are rounded in the model
    assert best.certificate.bounds["start_value"] < 1e-16


def test_a_grid_without_slipping() -> None:
    """The treasure is 2 (N - 1) moves away: V(start) = gamma^(2N-2) / (1 - gamma^(2N-1))."""
    for N, gamma in ((5, 0.9), (30, 0.999), (120, 0.99)):
        best = rl.solve(rl.gallery.slippery_grid(N, 0.0), gamma)
        exact = gamma ** (2 * N - 2) / (1 - gamma ** (2 * N - 1))
        assert best.start_value is not None
        assert abs(best.start_value - exact) <= best.certificate.bounds["start_value"] + 1e-12 * exact


def linear_programme(mdp: rl.MDP, gamma: float) -> Array:
    """V* = min sum V subject to V(s) >= r(s,a) + gamma P V, by HiGHS."""
    transition = scipy.sparse.csr_array(mdp.transition)
    owner = scipy.sparse.csr_array((np.ones(mdp.num_pairs), (np.arange(mdp.num_pairs), mdp.pair_state)))
    found = scipy.optimize.linprog(
        np.ones(mdp.num_states),
        A_ub=gamma * transition - owner,
        b_ub=-mdp.reward.ravel(),
        bounds=(None, None),
        method="highs",
        options={"primal_feasibility_tolerance": 1e-9, "dual_feasibility_tolerance": 1e-9},
    )
    assert found.status == 0
    return np.asarray(found.x)


MODELS = {
    "garnet": lambda: rl.gallery.garnet(300, 4, 5),
    "grid": lambda: rl.gallery.slippery_grid(15),
    "lake": lambda: rl.gallery.frozen_lake(15),
    "queue": lambda: rl.gallery.queue(200),
    "shuffled cycle": lambda: rl.gallery.shuffled_cycle(150),
    "layered": lambda: rl.gallery.layered(10, 20),
}


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("gamma", [0.5, 0.9, 0.99])
def test_linear_programme(name: str, gamma: float) -> None:
    mdp = MODELS[name]()
    best = rl.solve(mdp, gamma)
    exact = linear_programme(mdp, gamma)
    # What misses its constraint by 1e-9 is wrong by 1e-9 / (1 - gamma) at most.
    assert np.abs(best.value - exact).max() <= best.certificate.error_bound + 2e-9 / (1 - gamma)


# ---- models of every method, beyond what exact arithmetic reaches ----

LARGE = {
    "garnet": lambda: rl.gallery.garnet(6000, 4, 5),
    "grid": lambda: rl.gallery.slippery_grid(80),
    "lake": lambda: rl.gallery.frozen_lake(80),
    "queue": lambda: rl.gallery.queue(6000),
    "shuffled cycle": lambda: rl.gallery.shuffled_cycle(6000),
    "lazy cycle": lambda: rl.gallery.lazy_cycle(6000, 0.5),
    "layered": lambda: rl.gallery.layered(60, 100),
    "nearly decomposable": lambda: rl.gallery.nearly_decomposable(600),
}


@pytest.mark.parametrize("name", LARGE)
@pytest.mark.parametrize("gamma", [0.0, 0.9, 0.9999, 1 - 2.0**-16])
def test_large_models(name: str, gamma: float) -> None:
    """V must lie between the value of the policy and what one more look ahead can add, both found independently."""
    mdp = LARGE[name]()
    best = rl.solve(mdp, gamma)
    bounds = best.certificate.bounds
    assert bounds["value"] <= 1e-6 * np.abs(best.value).max()
    attained = rl.evaluate(mdp, best.policy, gamma, tol=1e-10)
    slack = attained.certificate.error_bound + bounds["value"]
    short = best.value - attained.value
    assert short.min() >= -slack
    assert short.max() <= bounds["policy_value"] + slack
    # The policy's own value, improved once, encloses V* from both sides.
    ahead = np.maximum.reduceat(attained.action_value.ravel(), mdp.pair_start[:-1]) - attained.value
    rounding = attained.certificate.bounds["advantage"]
    assert (ahead.max() + rounding) / (1 - gamma) >= short.max() - slack


def test_the_two_methods_agree() -> None:
    """A model that sweeps solve, and its twin that they do not: gamma moves the answer from one method to the other."""
    mdp = rl.gallery.slippery_grid(70)
    quick, slow = rl.solve(mdp, 0.3, explain=True), rl.solve(mdp, 0.999, explain=True)
    assert quick.certificate.method == "value iteration"
    assert slow.certificate.method == "inexact policy iteration"
    assert "value iteration: 4 sweeps, gave up" in slow.certificate.story
    exact = rl.solve(mdp, 0.999, tol=0.0, explain=True)
    assert exact.certificate.method == "policy iteration"
    assert np.abs(exact.value - slow.value).max() <= slow.certificate.error_bound + exact.certificate.error_bound
    assert exact.certificate.error_bound <= 1e-15 * exact.value.max()


def test_best_attainable_near_one() -> None:
    """Doubles are worth nothing at such a discount; twofold policy iteration takes over."""
    mdp = rl.gallery.garnet(400, 3, 4)
    best = rl.solve(mdp, 1 - 1e-11)
    assert best.certificate.error_bound <= 1e-6 * np.abs(best.value).max()
    assert best.certificate.method == "policy iteration"


# ---- ties ----


def test_equal_actions_fall_to_the_lowest() -> None:
    mdp = rl.gallery.slippery_grid(12)
    doubled = rl.MDP.from_arrays(
        np.repeat(mdp.transition.toarray().reshape(mdp.num_states, 4, -1), 2, axis=1),
        np.repeat(mdp.reward, 2, axis=1),
        layout="SAS",
    )
    best = rl.solve(doubled, 0.95)
    assert (best.policy[:, 1::2] == 0.0).all()


def test_all_actions_alike() -> None:
    mdp = rl.MDP.from_arrays(np.full((3, 2, 3), 1 / 3), np.ones((3, 2)), layout="SAS")
    np.testing.assert_array_equal(rl.solve(mdp, 0.9).policy, [[1, 0]] * 3)
    np.testing.assert_array_equal(rl.solve(mdp, rl.FiniteHorizon(3)).policy, [[[1, 0]] * 3] * 3)


def test_symmetric_grids_are_crossed_by_the_lower_action() -> None:
    """On the diagonal of a square without slipping south and east are equally good: south comes first."""
    N = 9
    best = rl.solve(rl.gallery.slippery_grid(N, 0.0), 0.9)
    diagonal = np.arange(N - 1) * (N + 1)
    np.testing.assert_array_equal(best.policy[diagonal].argmax(axis=1), 1)


# ---- corner cases ----


def test_no_rewards_at_all() -> None:
    mdp = rl.gallery.garnet(5000, 2, 3).with_reward(np.zeros((5000, 2)))
    best = rl.solve(mdp, 0.99, tol=1e-12)
    np.testing.assert_array_equal(best.value, 0.0)
    assert best.certificate.error_bound == 0.0
    assert best.certificate.bounds["policy_value"] == 0.0


@pytest.mark.parametrize("scale", [1e190, 1e-190, -1.0])
@pytest.mark.parametrize("name", ["garnet", "grid"])
def test_rewards_of_any_size(scale: float, name: str) -> None:
    mdp = LARGE[name]()
    best = rl.solve(mdp.with_reward(mdp.reward * scale), 0.99)
    assert best.certificate.error_bound <= 1e-6 * np.abs(best.value).max()
    if scale > 0:
        plain = rl.solve(mdp, 0.99)
        slack = best.certificate.error_bound / scale + plain.certificate.error_bound
        np.testing.assert_allclose(best.value / scale, plain.value, rtol=0, atol=2.0 * slack)


def test_a_large_constant_costs_no_digits_of_the_policy() -> None:
    mdp = rl.gallery.garnet(100, 3, 4)
    offset = mdp.with_reward(mdp.reward + 2.0**30)
    np.testing.assert_array_equal(rl.solve(mdp, 0.9).policy, rl.solve(offset, 0.9).policy)


def test_single_action_is_evaluation() -> None:
    mdp = rl.gallery.shuffled_cycle(5000)
    best = rl.solve(mdp, 0.999)
    alone = rl.evaluate(mdp, rl.uniform_policy(mdp), 0.999)
    assert best.certificate.bounds["policy_value"] <= 2e-6 * np.abs(best.value).max()
    slack = best.certificate.error_bound + alone.certificate.error_bound
    assert np.abs(best.value - alone.value).max() <= slack


def test_without_a_start_distribution() -> None:
    mdp = rl.MDP.from_arrays(np.eye(2).reshape(2, 1, 2), [[1.0], [2.0]], layout="SAS")
    best = rl.solve(mdp, 0.5)
    assert best.start_value is None
    assert "start_value" not in best.certificate.bounds
    np.testing.assert_array_equal(best.value, [2.0, 4.0])


def test_horizons_with_a_discount_for_each_step() -> None:
    mdp = rl.gallery.forest()
    best = rl.solve(mdp, rl.FiniteHorizon(3, gamma=[1.0, 0.0, 0.5]))
    one = rl.solve(mdp, rl.FiniteHorizon(1))
    np.testing.assert_array_equal(best.value[1], one.value[0])  # nothing counts after the second step
    np.testing.assert_array_equal(best.value[3], 0.0)


def test_an_unattainable_tolerance() -> None:
    mdp = rl.gallery.garnet(5000, 3, 4)
    with pytest.raises(rl.ConvergenceError, match=r"solve: expected a relative error of 1e-300") as caught:
        rl.solve(mdp, 0.9, tol=1e-300)
    best = caught.value.result
    assert isinstance(best, rl.Solution)
    assert best.certificate.status == "stalled"
    assert best.certificate.error_bound <= 1e-14 * np.abs(best.value).max()
    again = rl.solve(mdp, 0.9, tol=1e-300, raise_on_failure=False)
    np.testing.assert_array_equal(again.value, best.value)


def test_results_are_read_only_and_show_themselves() -> None:
    best = rl.solve(rl.gallery.forest(), 0.9)
    for array in (best.value, best.policy):
        with pytest.raises(ValueError, match="read-only"):
            array[0] = 0.0
    assert repr(best).startswith("Solution(value: shape (3,), from 26.244 to 33.484, start_value=29.7373, Certificate(")


# ---- threads, progress, Ctrl-C ----


@pytest.mark.parametrize("name", ["garnet", "grid", "lake", "queue"])
def test_answers_do_not_depend_on_the_threads(name: str) -> None:
    sizes = {"garnet": 40_000, "grid": 40_000, "lake": 40_000, "queue": 40_000}
    side = round(sizes[name] ** 0.5)
    makers = {
        "garnet": lambda: rl.gallery.garnet(sizes[name], 3, 4),
        "grid": lambda: rl.gallery.slippery_grid(side),
        "lake": lambda: rl.gallery.frozen_lake(side),
        "queue": lambda: rl.gallery.queue(sizes[name]),
    }
    mdp = makers[name]()
    one, two = (rl.solve(mdp, 0.99, num_threads=threads) for threads in (1, 2))
    np.testing.assert_array_equal(one.value, two.value)
    np.testing.assert_array_equal(one.policy, two.policy)
    assert one.certificate.bounds == two.certificate.bounds


def test_progress_is_reported() -> None:
    mdp = rl.gallery.slippery_grid(400)
    seen: list[rl.Progress] = []
    rl.solve(mdp, 0.999, progress=seen.append, num_threads=1)
    assert seen
    assert all(report.method and report.iterations >= 0 for report in seen)


def test_an_exception_in_progress_ends_the_call() -> None:
    def stop(_: rl.Progress) -> None:
        raise KeyError("enough")

    with pytest.raises(KeyError, match="enough"):
        rl.solve(rl.gallery.slippery_grid(400), 0.999, progress=stop, num_threads=1)
