"""A policy in all settings side by side: known answers, limits, what does not exist, and certified rankings."""

from __future__ import annotations

import re
from dataclasses import FrozenInstanceError
from fractions import Fraction
from itertools import pairwise
from typing import Any

import matplotlib

matplotlib.use("Agg")

import numpy as np
import pytest
from matplotlib import pyplot as plt

import rlcore as rl
from rlcore import plot
from rlcore.settings_comparison import Ranking

GRID, CORRIDOR, FOREST = rl.gallery.gridworld(), rl.gallery.short_corridor(), rl.gallery.forest()
GAMMAS = (0.9, 0.99, 0.999)


def compared(mdp: rl.MDP, gammas: Any = GAMMAS, **settings: Any) -> rl.SettingsComparison:
    return rl.compare_settings(mdp, rl.uniform_policy(mdp), gammas, **settings)


def may_end() -> rl.MDP:
    """Return a model that ends from its first state and stays in its second: neither episodic nor average."""
    return rl.MDP([[0.5, 0], [0, 1]], [1, 2], termination=[0.5, 0], initial=[0.5, 0.5])


# ---- known answers ----


def test_gridworld() -> None:
    """Sutton & Barto, example 3.5: the gain of the random policy, and sum d V = gain / (1 - gamma) (theory 3.4)."""
    found = compared(GRID)
    assert [row.setting for row in found.rows] == [*map(rl.Discounted, GAMMAS), rl.Episodic(), rl.Average()]
    average = found.rows[-1]
    assert found.limit is average
    assert average.gain == average.objective == average.mean_reward == pytest.approx(-0.0112199747, abs=5e-11)
    assert average.start_value is None
    d = average.state
    assert d is not None
    for gamma in GAMMAS:
        value = rl.evaluate(GRID, rl.uniform_policy(GRID), gamma).value
        assert d @ value == pytest.approx(average.gain / (1.0 - gamma), abs=1e-12 / (1.0 - gamma))


def test_corridor() -> None:
    found = compared(CORRIDOR)
    episodic = found.rows[-2]
    assert found.limit is episodic
    assert episodic.start_value == pytest.approx(-12, abs=episodic.bounds["start_value"] + 1e-15)
    assert episodic.objective == pytest.approx(-(36 * 2 + 4 * 10 + 2 * 6 - 0) / 12, abs=1e-14)
    np.testing.assert_allclose(episodic.share, [6 / 12, 4 / 12, 2 / 12], rtol=1e-14)  # type: ignore[arg-type]
    assert episodic.gain is None
    assert found.rows[-1].reason is not None
    assert found.rows[-1].reason.startswith("setting, state 2, action 'right': expected a process that never ends")


def test_every_field_against_rational_numbers() -> None:
    """Two states: 0 goes to either, 1 goes back; at gamma = 1/2, by hand."""
    mdp = rl.MDP([[0.5, 0.5], [1, 0]], [1, 0], initial=[1, 0])
    row = compared(mdp, [0.5]).rows[0]
    # V0 = 1 + V0/4 + V1/4, V1 = V0/2; rho0 = 1 + rho0/4 + rho1/2, rho1 = rho0/4.
    v, rho = (Fraction(8, 5), Fraction(4, 5)), (Fraction(8, 5), Fraction(2, 5))
    d = [x / 2 for x in rho]
    expected: dict[str, Fraction] = {
        "start_value": v[0],
        "objective": d[0] * v[0] + d[1] * v[1],
        "mean_reward": d[0],
        "distance": abs(d[0] - Fraction(2, 3)),
    }
    for name, exact in expected.items():
        error = abs(Fraction(getattr(row, name)) - exact)
        assert error <= Fraction(row.bounds[name]), name
        assert row.bounds[name] < 1e-13
    for name in "state", "share":
        l1 = sum(abs(Fraction(x) - y) for x, y in zip(getattr(row, name).tolist(), d, strict=True))
        assert l1 <= Fraction(row.bounds[name])


@pytest.mark.parametrize("seed", range(5))
def test_the_parts_are_those_of_the_questions(seed: int) -> None:
    mdp = rl.gallery.garnet(30, 3, 4, seed=seed)
    policy = rl.random_policy(mdp, seed)
    for row in rl.compare_settings(mdp, policy, [0.3, 0.95]).rows:
        if row.reason is not None:
            continue
        ev, occ = rl.evaluate(mdp, policy, row.setting), rl.occupancy(mdp, policy, row.setting)
        np.testing.assert_array_equal(row.state, occ.state)  # type: ignore[arg-type]
        assert row.start_value == ev.start_value
        objective = ev.on_policy_objective
        room = row.bounds["objective"] + ev.certificate.bounds["on_policy_objective"]
        assert abs(row.objective - objective) <= room
        if isinstance(row.setting, rl.Discounted):  # sum d r = (1 - gamma) eta, theory 3.3
            assert row.mean_reward == pytest.approx((1 - row.setting.gamma) * row.start_value, rel=1e-12)


@pytest.mark.parametrize("mdp", [GRID, CORRIDOR, FOREST, rl.gallery.random_walk()], ids=repr)
def test_distances_vanish(mdp: rl.MDP) -> None:
    found = compared(mdp, [0.9, 0.99, 0.999, 0.9999])
    distances = [row.distance for row in found.rows if row.reason is None]
    assert distances[-1] == 0
    for larger, smaller in pairwise(distances[:-1]):
        assert 0.05 * larger < smaller < 0.2 * larger
    with_death = rl.death_mdp(mdp, 0.75)  # ends, wherever it is
    assert compared(with_death).limit.setting == rl.Episodic()  # type: ignore[union-attr]


# ---- what does not exist ----


def test_neither_limit_exists() -> None:
    found = compared(may_end(), [0.5])
    assert found.limit is None
    assert [row.reason is None for row in found.rows] == [True, False, False]
    assert (found.rows[0].distance, found.rows[1].state, dict(found.rows[1].bounds)) == (None, None, {})
    assert "no Episodic(): policy, state 1: " in repr(found)


def test_where_it_starts_decides() -> None:
    assert compared(may_end().with_initial([1, 0])).limit.setting == rl.Episodic()  # type: ignore[union-attr]
    assert compared(may_end().with_initial([0, 1])).limit.setting == rl.Average()  # type: ignore[union-attr]


def test_wrong_arguments() -> None:
    policy = rl.uniform_policy(FOREST)
    with pytest.raises(rl.ModelError, match=r"^initial: compare_settings needs a start distribution"):
        compared(rl.MDP(np.eye(2), [0, 0]))
    with pytest.raises(rl.SettingError, match=r"^gamma: expected 0 <= gamma < 1, got 1.0"):
        rl.compare_settings(FOREST, policy, [0.5, 1.0])
    with pytest.raises(rl.PolicyError, match=r"^policy: expected shape"):
        rl.compare_settings(FOREST, [1.0])
    for gammas in "0.9", 0.9:
        with pytest.raises(rl.ArgumentError, match=r"^gammas: expected a list of discount factors, got"):
            rl.compare_settings(FOREST, policy, gammas)  # type: ignore[arg-type]
    with pytest.raises(rl.ConvergenceError):
        rl.compare_settings(FOREST, policy, tol=1e-40)


# ---- rankings ----


def test_start_value_and_objective_disagree() -> None:
    """Theory 3.3: one policy takes 2 at once, the other waits where it is worth more."""
    mdp = rl.MDP.from_arrays(
        [[[1, 0, 0], [0, 1, 0]], [[0, 1, 0], [0, 1, 0]], [[0, 0, 1], [0, 0, 1]]],
        [[1.0, 0.0], [1.05, 1.05], [0.0, 0.0]],
        layout="SAS",
        initial=[1, 0, 0],
    )
    stay, go = (rl.deterministic_policy(mdp, [action, 0, 0]) for action in (0, 1))
    found = rl.compare_settings(mdp, np.stack([stay, go]), [0.9])
    by = {(ranking.setting, ranking.quantity): ranking for ranking in found.rankings}
    # Staying: V = 10 everywhere it is. Going: V = 9.45, then 10.5, and d = (.1, .9).
    assert str(by[rl.Discounted(0.9), "start value"]) == "0 > 1"
    assert str(by[rl.Discounted(0.9), "objective"]) == "1 > 0"
    assert str(by[rl.Average(), "objective"]) == "1 > 0"
    assert len(found.disagreements) == 2
    assert {(one.pairs, one.example) for one in found.disagreements} == {(1, (0, 1))}
    assert str(found.disagreements[0]) == (
        "by start value in Discounted(gamma=0.9) policy 0 is better than 1, "
        "by objective in Discounted(gamma=0.9) it is worse"
    )


def test_ties_are_undecided() -> None:
    policy = rl.random_policy(FOREST, 1)
    found = rl.compare_settings(FOREST, np.stack([policy, policy, policy]), [0.5])
    assert {str(ranking) for ranking in found.rankings} == {"0 ? 1 ? 2"}
    assert found.disagreements == ()


def test_only_proofs_count() -> None:
    order = np.array([0, 1])
    touching = Ranking(rl.Average(), "objective", np.array([1.0, 0.0]), np.array([0.5, 0.5]), order)
    apart = Ranking(rl.Average(), "objective", np.array([1.0, 0.0]), np.array([0.5, 0.4]), order)
    assert touching.surely_better(0).tolist() == [False, False]
    assert apart.surely_better(0).tolist() == [False, True]


def test_a_batch_is_its_items() -> None:
    policies = np.stack([rl.random_policy(CORRIDOR, seed) for seed in range(12)])
    batch = rl.compare_settings(CORRIDOR, policies, [0.5, 0.9])
    assert batch.num_policies == 12
    for number, policy in enumerate(policies):
        single = rl.compare_settings(CORRIDOR, policy, [0.5, 0.9])
        assert (single.num_policies, single.rankings) == (None, ())
        for row, one in zip(batch.rows, single.rows, strict=True):
            if row.reason is not None:
                assert one.reason is not None
                continue
            for name in "start_value", "objective", "mean_reward", "distance":
                room = row.bounds[name] if row.setting == rl.Episodic() and name == "distance" else None
                near = 1e-12 if room is None else 1e-12 + room[number]
                assert abs(getattr(row, name)[number] - getattr(one, name)) <= near
    mixed = np.stack([rl.uniform_policy(CORRIDOR), rl.deterministic_policy(CORRIDOR, [0, 0, 0])])
    reason = rl.compare_settings(CORRIDOR, mixed).rows[-2].reason
    assert reason is not None
    assert reason.startswith("policy[1], state 0: expected to end")


# ---- the result ----


def test_result_is_frozen() -> None:
    found = compared(FOREST)
    for owner, name in (found, "rows"), (found.rows[0], "state"):
        with pytest.raises((FrozenInstanceError, AttributeError)):
            setattr(owner, name, ())
    for row in found.rows:
        assert row.share is None or not row.share.flags.writeable
    assert not hasattr(found, "__dict__")


def test_threads_and_progress() -> None:
    mdp = rl.gallery.slippery_grid(40)
    one, two = (compared(mdp, [0.9], num_threads=n, progress=lambda report: None).to_dict() for n in (1, 2))
    assert one == two


def test_to_dict() -> None:
    table = compared(FOREST, [0.5]).to_dict()
    assert table["setting"] == ["discounted", "episodic", "average"]
    assert table["gamma"] == [0.5, None, None]
    assert {len(column) for column in table.values()} == {3}
    assert table["start_value"][1:] == [None, None]
    batch = rl.compare_settings(FOREST, np.stack([rl.random_policy(FOREST, s) for s in (0, 1)]), [0.5]).to_dict()
    assert batch["policy"] == [0, 1] * 3
    assert all(isinstance(x, float) for x in batch["objective_bound"][:2])


def test_repr() -> None:
    assert repr(compared(CORRIDOR, [0.5, 0.99])).splitlines()[:4] == [
        "setting       start value           J  reward a step  distance",
        "gamma = 0.5    -1.9512195  -1.8607971             -1      0.25",
        "gamma = 0.99   -10.973494  -1.0411359             -1     0.005",
        "episodic              -12  -10.333333             -1         0",
    ]
    policies = np.stack([rl.random_policy(FOREST, seed) for seed in range(10)])
    text = repr(rl.compare_settings(FOREST, policies))
    assert re.search(r"^average +- +4 > 9 > .* \.\.\.$", text, re.MULTILINE), text


# ---- pictures ----


def test_pictures() -> None:
    found = compared(GRID)
    ax = plot.settings(GRID, found)
    assert [line.get_label() for line in ax.lines][-1] == "average"
    for line, row in zip(ax.lines, [*found.rows[:3], found.rows[-1]], strict=True):
        np.testing.assert_array_equal(line.get_ydata(), row.share)  # type: ignore[arg-type]
    left = plot.objectives(found)
    start, objective, gain = left.lines
    np.testing.assert_allclose(start.get_xdata(), [10, 100, 1000], rtol=1e-12)
    np.testing.assert_allclose(objective.get_ydata()[-1], 0.001 * found.rows[2].objective)  # type: ignore[index]
    assert gain.get_ydata()[0] == found.rows[-1].gain  # type: ignore[index]
    to_the_end = plot.objectives(compared(CORRIDOR))
    assert to_the_end.get_ylabel() == "objective"
    assert len(to_the_end.lines) == 4
    assert len(plot.settings(may_end(), compared(may_end())).lines) == 3
    assert len(plot.objectives(compared(may_end())).lines) == 2
    plt.close("all")


def test_what_is_not_drawn() -> None:
    batch = rl.compare_settings(FOREST, np.stack([rl.uniform_policy(FOREST)] * 2))
    with pytest.raises(rl.ArgumentError, match=r"^comparison: expected that of one policy, got that of a batch"):
        plot.settings(FOREST, batch)
    with pytest.raises(rl.ArgumentError, match=r"^comparison: expected what rlcore.compare_settings returns, got int"):
        plot.objectives(3)  # type: ignore[arg-type]
    with pytest.raises(rl.ArgumentError, match=r"^comparison: expected that of a policy of this model, with 25 states"):
        plot.settings(GRID, compared(FOREST))
    with pytest.raises(rl.ArgumentError, match=r"^comparison: expected at least one discount factor, got none"):
        plot.objectives(compared(FOREST, []))
