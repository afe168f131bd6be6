"""The mixture bound and the three statements on convergence against the exact reference (theory 5.8, 6)."""

from __future__ import annotations

import math
from fractions import Fraction
from itertools import product
from typing import Any

import numpy as np
import pytest

import generated_models
import generated_pairs
import rlcore as rl
from generated_models import FAMILIES, Array, RawModel
from rlcore import reference


def core_model(raw: RawModel) -> rl.MDP:
    termination = raw.termination if raw.termination.any() else None
    return rl.MDP(raw.transition, raw.reward, pair_start=raw.pair_start, termination=termination, initial=raw.initial)


def lies_in(true: Any, found: rl.Enclosure) -> bool:
    return bool(found.lower <= true <= found.upper)


def small_models(family: str, number: int) -> list[RawModel]:
    models = (generated_models.model(family, index) for index in range(12))
    return sorted(models, key=lambda raw: raw.num_states)[:number]


@pytest.mark.parametrize("family", FAMILIES)
def test_mixtures_gain_what_is_guaranteed(family: str) -> None:
    for raw, kind in product(small_models(family, 3), ("random", "deterministic", "near", "one_state")):
        new = generated_pairs.candidate(raw, kind)
        P, pi, pi_new, r = (raw.by_state(x) for x in (raw.transition, raw.policy, new, raw.reward))
        true = reference.improvement(P, pi, pi_new, raw.initial.tolist(), raw.gamma, r)
        promised = (true.surrogate - true.start_value) * (1 - Fraction(raw.gamma))
        largest = true.max_expected_advantage
        old, candidate = raw.policy.reshape(raw.pair_shape), new.reshape(raw.pair_shape)
        best = rl.mixture_bound(core_model(raw), old, candidate, raw.gamma)
        where = f"{raw.name} {kind}"
        assert lies_in(promised, best.d_abar), where
        assert lies_in(largest, best.epsilon_bar), where
        for step in (None, 0.0, 0.25, 1.0):
            found = rl.mixture_bound(core_model(raw), old, candidate, raw.gamma, step)
            bound = reference.mixture_bound(found.step, raw.gamma, promised, largest)
            assert lies_in(bound, found.guaranteed_gain), f"{where} step {step}"
            assert found.guaranteed_gain.lower <= best.guaranteed_gain.upper, f"{where}: {step} beats the best step"
        if best.d_abar.lower > 1e-6 * best.epsilon_bar.upper and largest > 0:
            exactly = reference.conservative_step(raw.gamma, promised, largest)
            assert best.step == pytest.approx(float(exactly.step), rel=1e-6), where


def test_mixing_is_for_the_discounted_return() -> None:
    mdp = rl.gallery.forest().with_initial([1, 0, 0])
    pi = rl.uniform_policy(mdp)
    with pytest.raises(rl.SettingError, match="mixture_bound"):
        rl.mixture_bound(mdp, pi, pi, rl.Average())  # type: ignore[arg-type]
    with pytest.raises(rl.ArgumentError, match=r"step: expected a number in \[0, 1\]"):
        rl.mixture_bound(mdp, pi, pi, 0.9, step=1.5)
    assert rl.mixture_bound(mdp, pi, pi, 0.9).step == 0.0


@pytest.mark.parametrize("gamma", [0.0, 0.5, 0.99, 1 - 2.0**-16])
@pytest.mark.parametrize("actions", [1, 2, 3, 1000])
def test_natural_policy_gradient(gamma: float, actions: int) -> None:
    for step, iterations in product((1e-3, 0.3, 1e3), (1, 7, 10**6)):
        found = rl.npg_bound(step, gamma, iterations, actions)
        assert lies_in(reference.npg_bound(step, gamma, iterations, actions), found)
        assert found.error <= 1e-14 * found.value


@pytest.mark.parametrize("family", FAMILIES)
def test_simulation_and_gradient_of_models(family: str) -> None:
    rng = np.random.default_rng(5)
    for raw in small_models(family, 6):
        mdp, policy = core_model(raw), raw.policy.reshape(raw.pair_shape)
        guess = rng.normal(size=raw.num_states)
        P, pi, r = (raw.by_state(x) for x in (raw.transition, raw.policy, raw.reward))
        true = reference.simulation_bound(P, r, pi, raw.gamma, guess.tolist())
        assert lies_in(true, rl.simulation_bound(mdp, policy, raw.gamma, guess)), raw.name
        slope, best = rng.normal(size=len(raw.reward)), rng.dirichlet(np.ones(raw.num_states))
        state: Array = rl.occupancy(mdp, policy, raw.gamma).state
        promised = reference.direct_parameter_bound(best.tolist(), state.tolist(), pi, raw.by_state(slope))
        found = rl.direct_parameter_bound(mdp, policy, best, state, slope.reshape(raw.pair_shape))
        assert lies_in(promised, found), f"{raw.name}: {promised} {found}"


def test_a_gradient_says_nothing_where_nobody_goes() -> None:
    mdp = rl.MDP([[1, 0], [0, 1]], [0, 0])
    assert rl.direct_parameter_bound(mdp, [1, 1], [0, 1], [1, 0], [0, 0]).upper == math.inf
    assert rl.direct_parameter_bound(mdp, [1, 1], [1, 0], [1, 0], [0, 0]).upper == 0.0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((0.0, 0.9, 1, 2), "step: expected a finite number above 0, got 0.0"),
        ((1.0, 0.9, 0, 2), "iterations: expected at least 1, got 0"),
        ((1.0, 0.9, 1, 0), "actions: expected at least 1, got 0"),
    ],
)
def test_wrong_numbers(arguments: tuple[float, float, int, int], message: str) -> None:
    with pytest.raises(rl.ArgumentError, match=message):
        rl.npg_bound(*arguments)


def test_wrong_shapes() -> None:
    mdp = rl.MDP([[1, 0], [0, 1]], [0, 0])
    with pytest.raises(rl.ArgumentError, match=r"value: expected one number for each state, shape \(2,\)"):
        rl.simulation_bound(mdp, [1, 1], 0.9, [1])
    with pytest.raises(rl.ArgumentError, match="best_state: expected one number for each state"):
        rl.direct_parameter_bound(mdp, [1, 1], [1], [1, 0], [0, 0])
