"""The practical gradient: known answers, where it points the wrong way, and what it is by definition."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import rlcore as rl

EPS = float(np.finfo(float).eps)


def go_right(mdp: rl.MDP, theta: float = 0.0) -> rl.LinearSoftmax:
    """Go right with the same probability in all states: a half for theta = 0."""
    return rl.LinearSoftmax([[[0.0], [1.0]]] * mdp.num_states, [theta])


def near(found: Any, name: str, exact: Any) -> bool:
    """Say whether a field is the exact answer, within its bound and the rounding of what is put in here."""
    error = np.abs(np.asarray(getattr(found, name)) - exact).max()
    return bool(error <= found.certificate.bounds[name] + 4 * EPS * np.abs(exact).max())


@pytest.mark.parametrize("gamma", [0.25, 0.5, 0.75, 0.875])
@pytest.mark.parametrize("theta", [-2.0, 0.0, 1.0])
def test_wrong_way(gamma: float, theta: float) -> None:
    """The derivatives by p are (1 - gamma)^2 + gamma margin and gamma - 1 + margin; that of p is p (1 - p)."""
    for margin in (1 / 16, 1 / 8, 1 / 1024):
        mdp = rl.gallery.wrong_way(margin)
        found = rl.practical_gradient(mdp, go_right(mdp, theta), gamma, "episodic")
        p = 1 / (1 + np.exp(-theta))
        true, practical = ((1 - gamma) ** 2 + gamma * margin) * p * (1 - p), (gamma - 1 + margin) * p * (1 - p)
        # The sums 1 + (gamma - 2 + margin) cancel, after p and the advantages were rounded.
        assert abs(found.true_gradient[0] - true) <= found.certificate.bounds["true_gradient"] + 8 * EPS
        assert abs(found.gradient[0] - practical) <= found.certificate.bounds["gradient"] + 8 * EPS
        bound = found.certificate.bounds["inner_product"]
        if gamma == 1 - margin:
            # There is no angle, unless it is known what the rounding of p makes of the gradient.
            assert abs(found.inner_product) <= bound + 8 * EPS * abs(true)
            assert found.cosine is None or abs(found.gradient[0]) <= 8 * EPS
        elif gamma > 1 - margin:
            assert found.inner_product > bound
        else:
            assert found.inner_product < -bound
            assert found.cosine is not None
            assert near(found, "cosine", -1.0)
            assert found.relative_error is not None
            assert found.relative_error == pytest.approx(1 + abs(practical / true), rel=1e-9)


def test_wrong_way_in_exact_numbers() -> None:
    mdp = rl.gallery.wrong_way()
    found = rl.practical_gradient(mdp, go_right(mdp), 7 / 8, "episodic")
    assert near(found, "true_gradient", 9 / 512)
    assert near(found, "gradient", -1 / 64)
    assert near(found, "inner_product", -9 / 2**15)
    assert near(found, "relative_error", 1 + 8 / 9)
    three_steps = rl.practical_gradient(mdp, go_right(mdp), 7 / 8, 3)
    assert near(three_steps, "gradient", -1 / 64)
    one_step = rl.practical_gradient(mdp, go_right(mdp), 7 / 8, 1)
    assert near(one_step, "gradient", 1 / 4)
    assert near(one_step, "cosine", 1.0)


def test_following_it_ends_at_the_worst_policy() -> None:
    mdp = rl.gallery.wrong_way()
    family = go_right(mdp)
    for _ in range(30):
        found = rl.practical_gradient(mdp, family, 7 / 8, "episodic")
        family = family.with_parameters(family.parameters + 50 * found.gradient)
    assert family.on(mdp).policy[1] < 0.02


@pytest.mark.parametrize("weights", ["stationary", 1, 7])
def test_definition(weights: Any) -> None:
    """sum_s w(s) sum_a grad pi Q, from the parts; tabular softmax never points back (theory 4.5)."""
    mdp, gamma = rl.gallery.garnet(12, 3, 4, seed=3), 0.9
    family = rl.TabularSoftmax(np.random.default_rng(1).normal(size=mdp.pair_shape))
    policy = rl.softmax_policy(mdp, family.parameters)
    if weights == "stationary":
        w = rl.occupancy(mdp, policy, rl.Average()).state / (1 - gamma)
    else:
        w = np.asarray(rl.state_distribution(mdp, policy, weights - 1)).sum(axis=0)
    A = rl.evaluate(mdp, policy, gamma).advantage
    found = rl.practical_gradient(mdp, family, gamma, weights)
    # Visits and advantages are right to 1e-9 of the largest, hence each product to twice that.
    size = w.max() * np.abs(A).max()
    assert np.abs(found.gradient - w[:, None] * policy * A).max() <= 4e-9 * size
    rho = rl.occupancy(mdp, policy, gamma).visits
    assert found.inner_product == pytest.approx(float((rho * w) @ ((policy * A) ** 2).sum(axis=1)), rel=1e-7)
    assert found.inner_product - found.certificate.bounds["inner_product"] > 0
    assert (found.true_gradient == rl.policy_gradient(mdp, family, gamma).gradient).all()


def test_no_angle_with_nothing() -> None:
    """Where all actions are alike both gradients are 0."""
    mdp = rl.gallery.garnet(5, 2, 2, seed=1).with_reward(np.ones((5, 2)))
    found = rl.practical_gradient(mdp, rl.TabularSoftmax(np.zeros((5, 2))), 0.9, 4, tol=0)
    assert found.cosine is None
    assert found.relative_error is None
    assert "cosine" not in found.certificate.bounds
    assert "cosine=None" in repr(found)


def test_large_and_small_numbers() -> None:
    """Lengths neither overflow nor vanish."""
    plain = rl.gallery.garnet(5, 2, 2, seed=1)
    family = rl.TabularSoftmax(np.zeros((5, 2)))
    one = rl.practical_gradient(plain, family, 0.5)
    for scale in (2.0**-600, 2.0**500):
        scaled = rl.practical_gradient(plain.with_reward(plain.reward * scale), family, 0.5)
        assert scaled.cosine == pytest.approx(one.cosine, rel=1e-9)
        assert scaled.relative_error == pytest.approx(one.relative_error, rel=1e-9)


def test_threads() -> None:
    mdp = rl.gallery.garnet(5000, 3, 4, seed=1)
    family = rl.TabularSoftmax(np.zeros(mdp.pair_shape))
    one, two = (rl.practical_gradient(mdp, family, 0.9, num_threads=threads) for threads in (1, 2))
    assert one.gradient.tobytes() == two.gradient.tobytes()
    assert (one.cosine, one.inner_product, one.relative_error) == (two.cosine, two.inner_product, two.relative_error)
    assert dict(one.certificate.bounds) == dict(two.certificate.bounds)


def test_stationary_weights_are_for_processes_that_never_end() -> None:
    mdp = rl.gallery.short_corridor()
    family = rl.TabularSoftmax(np.zeros(mdp.pair_shape))
    told = r'^weights, state .*, action .*: expected a process that never ends .* use "episodic" or a number of steps$'
    with pytest.raises(rl.SettingError, match=told):
        rl.practical_gradient(mdp, family, 0.9)
