"""The settings themselves, what is not one, and the model in which a discount is a death (theory 3.5)."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from dataclasses import FrozenInstanceError
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
import scipy.sparse as sp

import generated_models
import rlcore as rl
from generated_models import FAMILIES
from rlcore import reference
from rlcore.settings import as_discounted, as_setting

FOREST = rl.gallery.forest()
ALL = [rl.Discounted(0.9), rl.Episodic(), rl.Average(), rl.FiniteHorizon(3, 0.5), rl.FiniteHorizon(2, [1.0, 0.5])]


@pytest.mark.parametrize("setting", ALL, ids=repr)
def test_settings_are_values(setting: Any) -> None:
    assert as_setting(setting, "evaluate") is setting
    assert pickle.loads(pickle.dumps(setting)) == setting
    assert hash(setting) == hash(pickle.loads(pickle.dumps(setting)))
    with pytest.raises((FrozenInstanceError, TypeError, AttributeError)):
        setting.gamma = 0.5


def test_a_number_means_discounted() -> None:
    for number in (0.5, np.float32(0.5), Fraction(1, 2)):
        assert as_setting(number, "evaluate") == as_discounted(number) == rl.Discounted(0.5)  # type: ignore[arg-type]


def test_discounts_of_a_horizon() -> None:
    assert rl.FiniteHorizon(np.int64(2)).discounts.tolist() == [1, 1]
    assert rl.FiniteHorizon(2, np.array([0.5, 1])) == rl.FiniteHorizon(2, (0.5, 1.0))
    assert rl.FiniteHorizon(2, (0.5, 1)).discounts.tolist() == [0.5, 1]
    assert rl.FiniteHorizon(1, [0.25]).discounts.tolist() == [0.25]


BAD: list[tuple[Callable[[], Any], str]] = [
    (lambda: rl.FiniteHorizon(0), "steps: expected a whole number from 1 on, got 0"),
    (lambda: rl.FiniteHorizon(True), "steps: expected a whole number from 1 on, got True"),
    (lambda: rl.FiniteHorizon(2.0), "steps: expected a whole number from 1 on, got 2.0"),  # type: ignore[arg-type]
    (lambda: rl.FiniteHorizon("3"), "steps: expected a whole number from 1 on, got '3'"),  # type: ignore[arg-type]
    (lambda: rl.FiniteHorizon(3, 1.5), "gamma: expected 0 <= gamma <= 1, got 1.5"),
    (lambda: rl.FiniteHorizon(3, -1), "gamma: expected 0 <= gamma <= 1, got -1"),
    (lambda: rl.FiniteHorizon(3, float("nan")), "gamma: expected 0 <= gamma <= 1, got nan"),
    (lambda: rl.FiniteHorizon(3, 10**400), f"gamma: expected 0 <= gamma <= 1, got {10**400}"),
    (lambda: rl.FiniteHorizon(3, [1, 1]), "gamma: expected 3 factors, one for each step, got 2"),
    (lambda: rl.FiniteHorizon(2, [1, 2]), "gamma: expected 0 <= gamma <= 1, got 2"),
    (
        lambda: rl.FiniteHorizon(2, "11"),  # type: ignore[arg-type]
        "gamma: expected a number in [0, 1], or one for each step, got '11'",
    ),
    (
        lambda: rl.FiniteHorizon(1, np.ones((1, 1))),  # type: ignore[arg-type]
        "gamma: expected a number in [0, 1], or one for each step, got array([1.])",
    ),
    (
        lambda: as_setting(1.0, "evaluate"),
        "gamma: expected 0 <= gamma < 1, got 1.0; without a discount use Episodic(), Average() or FiniteHorizon(steps)",
    ),
    (
        lambda: as_setting("0.9", "evaluate"),
        "setting: expected rlcore.Discounted(gamma), rlcore.Episodic(), rlcore.Average(), rlcore.FiniteHorizon(steps) "
        "or a number in [0, 1), got '0.9'",
    ),
    (
        lambda: as_setting(True, "evaluate", rl.Episodic, rl.Average),
        "setting: expected rlcore.Episodic() or rlcore.Average(), got True",
    ),
    (
        lambda: as_setting(rl.Episodic, "evaluate", rl.Discounted),
        "setting: expected rlcore.Discounted(gamma) or a number in [0, 1), got <class 'rlcore.settings.Episodic'>",
    ),
    (
        lambda: as_setting(rl.Average(), "policy_gradient", rl.Discounted, rl.Episodic),
        "setting: policy_gradient exists for rlcore.Discounted(gamma) and rlcore.Episodic(), not for Average()",
    ),
    (
        lambda: as_setting(0.5, "kemeny_constant", rl.Average),
        "setting: kemeny_constant exists for rlcore.Average(), not for Discounted(gamma=0.5)",
    ),
    (
        lambda: rl.death_mdp(FOREST, rl.Episodic()),  # type: ignore[arg-type]
        "setting: death_mdp exists for rlcore.Discounted(gamma), not for Episodic()",
    ),
    (
        lambda: rl.death_mdp(FOREST, 1.0),
        "gamma: expected 0 <= gamma < 1, got 1.0; without a discount use Episodic(), Average() or FiniteHorizon(steps)",
    ),
]


@pytest.mark.parametrize(("call", "message"), BAD)
def test_what_is_no_setting(call: Callable[[], Any], message: str) -> None:
    with pytest.raises(rl.SettingError) as raised:
        call()
    assert str(raised.value) == message


# ---- the death MDP ----


@pytest.mark.parametrize("family", FAMILIES)
def test_death_against_the_reference(family: str) -> None:
    for index in range(6):
        raw = generated_models.model(family, index)
        ends = raw.termination if raw.termination.any() else None
        mdp = rl.MDP(sp.csr_array(raw.transition), raw.reward, pair_start=raw.pair_start, termination=ends)
        mortal = rl.death_mdp(mdp, raw.gamma)
        exact = reference.death_mdp(raw.by_state(raw.transition), raw.gamma, raw.by_state(raw.termination))
        rows = np.array([[float(p) for p in row] for of_state in exact.transition for row in of_state])
        np.testing.assert_allclose(mortal.transition.toarray(), rows, rtol=2**-52, atol=5e-324)
        expected = [float(end) for of_state in exact.termination for end in of_state]
        np.testing.assert_allclose(mortal.termination.ravel(), expected, rtol=2**-51)
        np.testing.assert_array_equal(mortal.reward, mdp.reward)
        assert mortal.pair_shape == mdp.pair_shape


def test_death_keeps_what_is_not_probability() -> None:
    stay, go = [[1, 0], [0, 1]], [[0, 1], [1, 0]]
    mdp = rl.MDP(
        [*stay, *go], np.arange(4.0), initial=[0, 1], state_labels=("a", "b"), action_labels=("x", "y", "z"),
        pair_action=[0, 2, 0, 2],
    )  # fmt: skip
    mortal = rl.death_mdp(mdp, rl.Discounted(0.5))
    assert (mortal.state_labels, mortal.action_labels) == (mdp.state_labels, mdp.action_labels)
    assert mortal.pair_action.tolist() == [0, 2, 0, 2]
    assert mortal.initial is not None
    assert mortal.initial.tolist() == [0, 1]


def test_a_life_of_sure_death() -> None:
    mortal = rl.death_mdp(FOREST, 0.0)
    assert (mortal.termination == 1).all()
    assert rl.chain_structure(mortal, rl.uniform_policy(mortal)).proper.all()


def test_long_lives_approach_the_discounted_value() -> None:
    """Theory 3.5: without a discount, but mortal, it is worth as much as with a discount and immortal."""
    mortal, policy = rl.death_mdp(FOREST, 0.5), rl.uniform_policy(FOREST)
    found = rl.evaluate(mortal, policy, rl.FiniteHorizon(200))
    np.testing.assert_allclose(found.value[0], rl.evaluate(FOREST, policy, 0.5).value, rtol=1e-14)
    visits = rl.occupancy(mortal, policy, rl.FiniteHorizon(200)).visits
    np.testing.assert_allclose(visits, rl.occupancy(FOREST, policy, 0.5).visits, rtol=1e-14)
