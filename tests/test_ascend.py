"""Gradient ascent with an exact line search: known tops, and every step against exact arithmetic."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import numpy as np
import pytest

import generated_models
import rlcore as rl
from generated_models import Array, RawModel
from rlcore import reference
from rlcore.reference import linear
from rlcore.reference.real import square_root
from test_agreement import core_model

ROOT = 2**0.5
SETTINGS: tuple[Any, ...] = (rl.Discounted(0.9), rl.Episodic(), rl.Average())


def go_right(mdp: rl.MDP) -> rl.LinearSoftmax:
    """Go right with the same probability in all states: a half."""
    return rl.LinearSoftmax([[[0.0], [1.0]]] * mdp.num_states, [0.0])


def test_short_corridor() -> None:
    """One parameter, one line: p = 2 - sqrt 2 and J = -6 - 4 sqrt 2 (Sutton & Barto 2018, example 13.1).

    The place is right to 1e-9 of the step, which is log(p / (1 - p)) / 2 < 1/4 from a gradient of 2; dp = p (1 - p)
    dtheta. J misses its maximum by the square of that, which is below its own error bound.
    """
    corridor = rl.gallery.short_corridor()
    found = rl.ascend(corridor, go_right(corridor), rl.Episodic(), optimum=-6 - 4 * ROOT)
    history = found.history
    assert found.status == "stationary"
    assert len(history) == 2
    assert abs(found.policy[:, 1] - (2 - ROOT)).max() <= 1e-9
    assert abs(history.objective[1] - (-6 - 4 * ROOT)) <= history.objective_bound[1] + 4 * np.finfo(float).eps * 12
    assert history.distance is not None
    assert abs(history.distance[0] - (6 - 4 * ROOT)) <= 1e-13
    assert history.step[1] == pytest.approx(np.log((2 - ROOT) / (ROOT - 1)) / 2, rel=1e-8)
    assert history.gradient_norm[0] == pytest.approx(2.0, abs=1e-12)


def exact_corridor(theta: list[Fraction]) -> reference.PolicyGradient:
    left_or_right = [[[1, 0, 0], [0, 1, 0]], [[0, 0, 1], [1, 0, 0]], [[0, 1, 0], [0, 0, 0]]]
    family = reference.linear_softmax([[[0], [1]]] * 3, theta)
    return reference.policy_gradient_episodic(
        left_or_right, [[-1, -1]] * 3, family, [1, 0, 0], termination=[[0, 0], [0, 0], [0, 1]]
    )


def test_reference_climbs_the_short_corridor() -> None:
    """To 60 halvings of a step of at most 1, and to a zero of the derivative that is simple."""
    start, top = reference.ascend(exact_corridor, [0], iterations=1, first=1)
    root = Fraction(square_root(Fraction(2)))
    (right,) = {pi[1] for pi in reference.linear_softmax([[[0], [1]]] * 3, top.parameters).policy}
    assert start.found.gradient == [2]
    assert abs(right - (2 - root)) <= Fraction(1, 2**60)
    assert start.found.start_value == -12
    assert abs(Fraction(top.found.start_value or 0) + 6 + 4 * root) <= Fraction(1, 2**110)


def exact_line(raw: RawModel, family: rl.LinearSoftmax, u: Array, step: Fraction) -> Fraction:
    """Return the derivative of J along a line, at a step of it."""
    direction = reference.exact(u.tolist())
    theta = reference.exact(family.parameters.tolist())
    moved = [x + step * y for x, y in zip(theta, direction, strict=True)]
    member = reference.linear_softmax(raw.by_state(family.features), moved)
    found = reference.policy_gradient(
        reference.exact(raw.by_state(raw.transition)),
        reference.exact(raw.by_state(raw.reward)),
        member,
        raw.gamma,
        reference.exact(raw.initial.tolist()),
    )
    return linear.dot(found.gradient, direction)


def exact_return(raw: RawModel, policy: Array) -> Fraction:
    parts = (raw.transition, raw.reward, policy.ravel())
    P, r, pi = (reference.exact(raw.by_state(part)) for part in parts)
    found = reference.evaluate(P, r, pi, raw.gamma, reference.exact(raw.initial.tolist()))
    return Fraction(found.start_value or 0)


@pytest.mark.parametrize("family", ["dense", "ragged_actions", "termination_somewhere", "unreachable_states"])
def test_each_step_is_exact(family: str) -> None:
    """Step by step: J rises, by what is said, and the derivative changes its sign within 2e-9 of the step."""
    insides = 0
    for index in range(30):
        raw = generated_models.model(family, index)
        if raw.gamma > 0.99 or raw.num_states > 6:
            continue
        mdp, rng = core_model(raw), np.random.default_rng(index)
        # Two parameters that all states share: what is good in some is bad in others, and J has tops.
        here = rl.LinearSoftmax(rng.normal(size=(len(raw.reward), 2)), rng.normal(size=2))
        for _ in range(2):
            found = rl.ascend(mdp, here, raw.gamma, 1, longest=4.0)
            if len(found.history) == 1:
                assert found.status in ("stationary", "exhausted")
                break
            u = rl.policy_gradient(mdp, here, raw.gamma).gradient
            step = found.history.step[1]
            before = here.on(mdp).policy
            rise = exact_return(raw, found.policy) - exact_return(raw, before)
            assert 0 < found.history.increase[1] <= rise
            if step * np.abs(u).max() < 4.0 * (1 - 1e-12):
                # An ulp of theta in either direction, and of u, is far below the 1e-9 of the search.
                margin = Fraction(step) / 500_000_000
                assert exact_line(raw, here, u, Fraction(step) - margin) > 0
                assert exact_line(raw, here, u, Fraction(step) + margin) < 0
                insides += 1
            here = here.with_parameters(np.asarray(found.family.parameters))
    assert insides >= 3


@pytest.mark.parametrize("direction", ["gradient", "natural"])
@pytest.mark.parametrize("setting", SETTINGS, ids=lambda setting: type(setting).__name__)
def test_history(setting: Any, direction: str) -> None:
    """J never falls, and rises by at least what is proven; the table has all of it."""
    mdp = rl.gallery.small_gridworld() if setting == rl.Episodic() else rl.gallery.river_swim()
    family = rl.TabularSoftmax(np.zeros(mdp.pair_shape))
    found = rl.ascend(mdp, family, setting, 4, direction=direction, optimum=1e4)
    history = found.history
    assert len(history) >= 3
    assert (history.increase[1:] > 0).all()
    errors = history.objective_bound[1:] + history.objective_bound[:-1]
    assert (np.diff(history.objective) >= history.increase[1:] - errors).all()
    table = found.to_dict()
    assert list(table) == list(found.to_dataframe().columns)
    assert table["distance"] == (1e4 - history.objective).tolist()
    assert (found.family.on(mdp).policy == found.policy.ravel()).all()
    assert "objective from" in repr(found)
    with pytest.raises(ValueError, match="read-only"):
        history.objective[0] = 0.0


@pytest.mark.parametrize("setting", SETTINGS, ids=lambda setting: type(setting).__name__)
def test_the_optimum_is_solved_for(setting: Any) -> None:
    """No policy is above it, and it is what `solve` says."""
    mdp = rl.gallery.small_gridworld() if setting == rl.Episodic() else rl.gallery.river_swim()
    mdp = mdp.with_initial(np.full(mdp.num_states, 1.0 / mdp.num_states))
    found = rl.ascend(mdp, rl.TabularSoftmax(np.zeros(mdp.pair_shape)), setting, 3, optimum="solve")
    best = rl.solve(mdp, setting, tol=1e-10)
    top = best.start_value if best.gain is None else best.gain[0]
    np.testing.assert_allclose(found.history.distance, top - found.history.objective, rtol=1e-7, atol=1e-7)
    assert (found.history.distance > -1e-7).all()


def test_a_step_is_no_longer_than_asked_for() -> None:
    """Along the first line of a bandit J rises for ever."""
    bandit = rl.MDP([[1.0], [1.0]], [1.0, 0.0], pair_start=[0, 2], initial=[1.0])
    found = rl.ascend(bandit, rl.TabularSoftmax([[0.0, 0.0]]), 0.5, 1, longest=3.0)
    assert np.abs(np.ravel(found.family.parameters)).max() == pytest.approx(3.0, rel=1e-14)
    assert found.status == "unfinished"


def test_nothing_to_gain() -> None:
    bandit = rl.MDP([[1.0], [1.0]], [1.0, 1.0], pair_start=[0, 2], initial=[1.0])
    found = rl.ascend(bandit, rl.TabularSoftmax([[0.0, 1.0]]), 0.5)
    assert found.status in ("stationary", "exhausted")
    assert len(found.history) == 1
    assert found.history.distance is None
    assert "distance" not in found.to_dict()


def test_practical_gradients_may_descend_but_gradients_climb() -> None:
    mdp = rl.gallery.wrong_way()
    found = rl.ascend(mdp, go_right(mdp), 0.875, 5)
    assert found.policy[0, 1] > 0.99
    assert found.history.objective[-1] > found.history.objective[0]


def test_progress_and_threads() -> None:
    mdp = rl.gallery.garnet(30, 3, 4, seed=1)
    family = rl.TabularSoftmax(np.zeros(mdp.pair_shape))
    seen: list[rl.Progress] = []
    one = rl.ascend(mdp, family, 0.9, 3, num_threads=1, progress=seen.append)
    two = rl.ascend(mdp, family, 0.9, 3, num_threads=2)
    assert [report.iterations for report in seen] == [0, 1, 2, 3]
    assert one.policy.tobytes() == two.policy.tobytes()
    assert one.to_dict() == two.to_dict()


def test_bad_arguments() -> None:
    mdp = rl.gallery.forest()
    family = rl.TabularSoftmax(np.zeros(mdp.pair_shape))
    uniform = rl.uniform_policy(mdp)
    for arguments, options, message in (
        ((rl.Direct(uniform), 0.9), {}, "may be any numbers"),
        ((rl.Scores(uniform, np.zeros((6, 1))), 0.9), {}, "may be any numbers"),
        ((uniform, 0.9), {}, "family: expected"),
        ((family, 0.9, -1), {}, "iterations: expected"),
        ((family, 0.9, 1.0), {}, "iterations: expected"),
        ((family, 0.9), {"direction": "up"}, "direction: expected"),
        ((family, 0.9), {"longest": 0.0}, "longest: expected"),
        ((family, 0.9), {"longest": float("inf")}, "longest: expected"),
        ((family, 0.9), {"tol": 2.0}, "tol: expected"),
        ((family, rl.FiniteHorizon(3)), {}, "ascend exists for"),
    ):
        with pytest.raises(rl.InputError, match=message):
            rl.ascend(mdp, *arguments, **options)
