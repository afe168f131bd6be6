"""check_improvement where floating point goes wrong (theory 9), and the same answer from every form of the question."""

from __future__ import annotations

import math
from fractions import Fraction
from typing import Any

import numpy as np
import pytest

import rlcore as rl
from rlcore import Verdict, reference

Array = Any
NEAR = 2.0 ** -np.array([40, 30, 20, 10])  # 1e-12 to 1e-3, in steps that rows of halves and quarters take exactly

# Three states, two actions; all probabilities are multiples of 1/4 and all rewards are whole.
ROWS = np.array([[2, 1, 1], [0, 3, 1], [1, 1, 2], [4, 0, 0], [0, 1, 3], [2, 2, 0]]) / 4
REWARD = np.array([1.0, -2.0, 0.0, 3.0, 2.0, 5.0])
START = np.array([0.5, 0.25, 0.25])
BASE = np.array([[0.5, 0.5], [0.25, 0.75], [0.5, 0.5]])
DIRECTION = np.array([[0.25, -0.25], [0.125, -0.125], [-0.25, 0.25]])


def model(reward: Array = REWARD, rows: Array = ROWS, initial: Array = START) -> rl.MDP:
    return rl.MDP(rows, reward, pair_start=[0, 2, 4, 6], initial=initial)


def exact(new: Array, gamma: float, reward: Array = REWARD, base: Array = BASE, initial: Array = START) -> Any:
    P, r = ROWS.reshape(3, 2, 3).tolist(), np.reshape(reward, (3, 2)).tolist()
    return reference.check_improvement(P, base.tolist(), new.tolist(), initial.tolist(), gamma, r)


def is_near(found: float, true: Fraction, tolerance: float = 1e-9) -> bool:
    return abs(Fraction(found) - true) <= tolerance * abs(true)


# ---- traps ----


@pytest.mark.parametrize("offset", [0.0, 1e9])
@pytest.mark.parametrize("gamma", [0.9, 1 - 2.0**-16])
@pytest.mark.parametrize("step", NEAR)
def test_policies_that_hardly_differ_keep_their_digits(step: float, gamma: float, offset: float) -> None:
    new = BASE + step * DIRECTION
    found = rl.check_improvement(model(REWARD + offset), BASE, new, gamma, bounds="all")
    true = exact(new, gamma, REWARD + offset)
    assert is_near(found.kl_max, true.improvement.max_kl)
    assert is_near(found.epsilon_bar, true.improvement.max_expected_advantage)
    assert is_near(found.gap, true.improvement.gap)
    assert is_near(found.improvement.value, true.improvement.improvement)
    for name in ("propagated_action", "propagated_state"):  # u by the sum of k c, not by what is left of the horizon
        assert is_near(found.bounds[name].gap, true.bounds[name], 1e-7)
        assert found.bounds[name].enclosure.lower <= true.bounds[name] <= found.bounds[name].gap


@pytest.mark.parametrize("reward", [np.zeros(6), np.full(6, 7.0)])
def test_no_advantages_no_gap(reward: Array) -> None:
    found = rl.check_improvement(model(reward), BASE, BASE[:, ::-1], 0.5, bounds="all")
    assert 0.0 in found.improvement
    assert all(bound.verdict is not Verdict.VIOLATED for bound in found.bounds.values())


@pytest.mark.parametrize("least", [1e-301, 1e-320, 5e-324])
def test_probabilities_of_nearly_nothing(least: float) -> None:
    base, new = BASE.copy(), BASE.copy()
    base[0] = [1.0, 0.0]
    new[0] = [1.0, least]
    found, true = rl.check_improvement(model(), base, new, 0.9, bounds="all"), exact(new, 0.9, base=base)
    assert found.improvement.lower <= true.improvement.improvement <= found.improvement.upper
    for name, bound in found.bounds.items():
        assert bound.enclosure.lower <= true.bounds[name] <= bound.gap, name
        assert bound.verdict is not Verdict.VIOLATED


def test_an_infinite_divergence_counts_where_the_policy_goes() -> None:
    rows = np.array([[1, 0, 0], [1, 0, 0], [1, 0, 0], [1, 0, 0], [0, 0, 1], [1, 0, 0]], dtype=float)
    base, new = np.full((3, 2), 0.5), np.full((3, 2), 0.5)
    new[2] = [1.0, 0.0]
    away = rl.check_improvement(model(rows=rows, initial=[1, 0, 0]), base, new, 0.9, bounds="all")
    there = rl.check_improvement(model(rows=rows, initial=[0, 0, 1]), base, new, 0.9, bounds="all")
    assert away.kl_max == there.kl_max == math.inf
    assert away.kl_mean == 0.0
    assert there.kl_mean == math.inf
    assert away.bounds["theorem_2_1"].gap == there.bounds["theorem_2_1"].gap == math.inf
    assert away.bounds["cpo_kl"].gap == 0.0
    assert there.bounds["cpo_kl"].gap == math.inf
    assert math.isfinite(there.bounds["cpo_tv"].gap)


def test_without_a_future_nothing_is_missed() -> None:
    found = rl.check_improvement(model(), BASE, [[1, 0]] * 3, 0.0, bounds="all")
    assert found.kl_max == math.inf
    assert {bound.gap for bound in found.bounds.values()} == {0.0}
    assert found.gap == 0.0


def test_rows_that_miss_one_violate_nothing() -> None:
    rng = np.random.default_rng(0)
    for defect in (9e-10, -9e-10):
        scale = np.where(rng.random((6, 1)) < 0.5, 1.0 - defect, 1.0)
        for step in (1.0, 1e-3, 1e-6):
            new = BASE + step * DIRECTION
            found = rl.check_improvement(model(rows=ROWS * scale), BASE, new, 1 - 1e-5, bounds="all")
            assert all(bound.verdict is not Verdict.VIOLATED for bound in found.bounds.values())


def test_an_old_policy_that_stays_long_bounds_nothing_by_the_new_length() -> None:
    """Stay for a hundred steps, or end at once, with a reward of 1 for ending at once: the gap is 99 (theory 6)."""
    mdp = rl.MDP([[0.99], [0.0]], [0, 1], pair_start=[0, 2], termination=[0.01, 1.0], initial=[1])
    found = rl.check_improvement(mdp, [[1, 0]], [[0, 1]], rl.Episodic(), bounds="all")
    assert found.gap == pytest.approx(-99.0)
    for bound in found.bounds.values():
        assert bound.gap >= 99.0 * (1 - 1e-12)
        assert bound.lower <= 1.0 <= bound.upper
    assert found.bounds["propagated_state"].lower == pytest.approx(1.0)  # T' alone is right here


def test_a_new_policy_that_may_stay_for_ever_makes_bounds_infinite() -> None:
    """The old policy leads to state 1, where the new one would stay; but the new one never goes there."""
    rows, ends = [[0, 1], [0, 0], [0, 0], [0, 1]], [0, 1, 1, 0]
    mdp = rl.MDP(rows, [0, 1, 2, 0], pair_start=[0, 2, 4], termination=ends, initial=[1, 0])
    found = rl.check_improvement(mdp, [[1, 0], [1, 0]], [[0, 1], [0, 1]], rl.Episodic(), bounds="all")
    assert {bound.gap for bound in found.bounds.values()} == {math.inf}
    assert found.improvement.lower <= -1.0 <= found.improvement.upper
    assert found.eta_new == pytest.approx(1.0)


# ---- forms ----

GARNET = rl.gallery.garnet(12, 3, 4, seed=1).with_initial(np.full(12, 1 / 12))
RANDOM = np.random.default_rng(1).dirichlet(np.ones(3), (9, 12))
BARE = rl.MDP(np.full((36, 12), 1 / 12), np.zeros(36), pair_start=np.arange(0, 37, 3))
SETTINGS = [rl.Discounted(0.9), rl.Average()]


def same(a: rl.ImprovementReport, b: rl.ImprovementReport) -> bool:
    return a.to_dict() == b.to_dict()


@pytest.mark.parametrize("setting", SETTINGS)
def test_a_batch_is_its_candidates_one_by_one(setting: Any) -> None:
    batch = rl.check_improvement(GARNET, RANDOM[0], RANDOM[1:], setting, bounds="all")
    rows = list(batch.rows())
    for candidate, row in zip(RANDOM[1:], rows, strict=True):
        single = rl.check_improvement(GARNET, RANDOM[0], candidate, setting, bounds="all")
        assert next(single.rows()) == row
        assert np.ndim(single.eta_new) == 0
    assert len(batch) == len(rows) == 8


@pytest.mark.parametrize("setting", SETTINGS)
def test_streams_and_threads_change_nothing(setting: Any) -> None:
    batch = rl.check_improvement(GARNET, RANDOM[0], RANDOM[1:], setting, num_threads=1)
    assert same(batch, rl.check_improvement(GARNET, RANDOM[0], (p for p in RANDOM[1:]), setting, num_threads=1))
    assert same(batch, rl.check_improvement(GARNET, RANDOM[0], RANDOM[1:], setting, num_threads=2))


@pytest.mark.parametrize("states", [[[3]], [[0, 5]], [[7, 2, 11]], [[3], [0, 5], [7, 2, 11]]])
def test_changes_are_whole_policies_within_both_certificates(states: list[list[int]]) -> None:
    rows = [[RANDOM[1][s] for s in each] for each in states]
    whole = np.stack([RANDOM[0]] * len(states))
    for item, each in enumerate(states):
        whole[item, each] = RANDOM[1][each]
    by_states = rl.check_improvement(GARNET, RANDOM[0], rl.PolicyChanges(states, rows), 0.95)
    by_solving = rl.check_improvement(GARNET, RANDOM[0], whole, 0.95)
    for name in ("eta_new", "surrogate", "gap", "epsilon_bar", "alpha", "kl_max", "tv_mean", "kl_mean"):
        allowed = by_states.certificate.bounds[name] + by_solving.certificate.bounds[name]
        assert (abs(getattr(by_states, name) - getattr(by_solving, name)) <= allowed).all(), name


@pytest.mark.parametrize("setting", SETTINGS)
@pytest.mark.parametrize("way", ["enclosed", "skip"])
def test_without_a_solve_the_improvement_is_enclosed(way: Any, setting: Any) -> None:
    exactly = rl.check_improvement(GARNET, RANDOM[0], RANDOM[1:], setting)
    found = rl.check_improvement(GARNET, RANDOM[0], RANDOM[1:], setting, new_return=way)
    assert (found.improvement.lower <= exactly.improvement.upper).all()
    assert (found.improvement.upper >= exactly.improvement.lower).all()
    assert found.gap is None
    assert (found.eta_new is None) is (way == "skip")
    assert all(verdict is Verdict.NOT_EVALUATED for bound in found.bounds.values() for verdict in bound.verdict)


def test_bounds_by_name() -> None:
    listed = rl.check_improvement(GARNET, RANDOM[0], RANDOM[1], 0.9, bounds=["cpo_tv", "one_step"])
    assert same(listed, rl.check_improvement(GARNET, RANDOM[0], RANDOM[1], 0.9, bounds="one_step, cpo_tv"))
    assert [name for name, bound in listed.bounds.items() if bound.enclosure] == ["cpo_tv", "one_step"]
    assert listed.bounds["pinsker"].verdict is Verdict.NOT_EVALUATED


def test_the_average_needs_no_start_but_one_class() -> None:
    found = rl.check_improvement(BARE, RANDOM[0], RANDOM[1], rl.Average(), bounds="all")
    assert found.eta == found.eta_new == 0.0
    parted = rl.MDP([[1, 0], [0, 1], [0, 1], [1, 0]], [0, 1, 2, 3], pair_start=[0, 2, 4])
    with pytest.raises(rl.SettingError, match="several recurrent classes"):
        rl.check_improvement(parted, [[1, 0], [1, 0]], [[0, 1], [0, 1]], rl.Average())
    with pytest.raises(rl.SettingError, match=r"candidates\[1\]: expected one recurrent class in Average\(\), got 2"):
        rl.check_improvement(parted, [[0.5, 0.5]] * 2, [[[0, 1], [0, 1]], [[1, 0], [1, 0]]], rl.Average())


# ---- bad input ----

TABLE = [
    (lambda **k: k | {"bounds": "cpo"}, rl.ArgumentError, "bounds: expected 'cheap', 'all' or names of bounds"),
    (lambda **k: k | {"new_return": "no"}, rl.ArgumentError, "new_return: expected 'exact', 'enclosed' or 'skip'"),
    (lambda **k: k | {"tol": -1.0}, rl.ArgumentError, "tol: "),
    (lambda **k: k | {"num_threads": 0}, rl.ArgumentError, "num_threads: "),
    (lambda **k: k | {"setting": rl.FiniteHorizon(3)}, rl.SettingError, "check_improvement"),
    (lambda **k: k | {"setting": 1.0}, rl.SettingError, "gamma: "),
    (lambda **k: k | {"policy": RANDOM[0][:3]}, rl.PolicyError, "policy: "),
    (lambda **k: k | {"policy": 2 * RANDOM[0]}, rl.PolicyError, "policy, state 0: expected"),
    (lambda **k: k | {"candidates": RANDOM[1][:3]}, rl.PolicyError, "candidates: "),
    (lambda **k: k | {"candidates": 2 * RANDOM[1]}, rl.PolicyError, "candidates, state 0: expected"),
    (lambda **k: k | {"candidates": iter([])}, rl.PolicyError, "candidates: expected at least one policy"),
    (lambda **k: k | {"candidates": "greedy"}, rl.PolicyError, "candidates: expected a policy, a batch of them"),
    (lambda **k: k | {"candidates": rl.PolicyChanges([99], [[1, 0, 0]])}, rl.ArgumentError, "states: expected numbers"),
    (lambda **k: k | {"candidates": rl.PolicyChanges([0], [[1, 0]])}, rl.ArgumentError, "rows: expected 3"),
    (lambda **k: k | {"candidates": rl.PolicyChanges([[0, 0]], [[[1, 0, 0]] * 2])}, rl.ArgumentError, "states: "),
    (lambda **k: k | {"mdp": BARE}, rl.ModelError, "initial: the return of a policy"),
]


@pytest.mark.parametrize(("changed", "error", "message"), TABLE)
def test_wrong_input(changed: Any, error: type[Exception], message: str) -> None:
    arguments = {"mdp": GARNET, "policy": RANDOM[0], "candidates": RANDOM[1], "setting": 0.9}
    with pytest.raises(rl.RlcoreError) as caught:
        rl.check_improvement(**changed(**arguments))
    assert type(caught.value) is error
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: rl.PolicyChanges([], []), rl.ArgumentError, "states: expected at least one candidate, got none"),
        (lambda: rl.PolicyChanges([0, 1], [[1, 0]]), rl.ArgumentError, "rows: expected rows for each of the 2"),
        (lambda: rl.PolicyChanges([0.5], [[1, 0]]), rl.ArgumentError, "states: expected state numbers"),
        (lambda: rl.PolicyChanges([[0, 1]], [[[1, 0]]]), rl.ArgumentError, "rows: expected one row for each state"),
        (
            lambda: rl.policy_divergences(GARNET, RANDOM[0], RANDOM[1][:3]),
            rl.PolicyError,
            "candidate: expected",
        ),
        (
            lambda: rl.policy_divergences(GARNET, RANDOM[0], RANDOM[1], direction="both"),  # type: ignore[arg-type]
            rl.ArgumentError,
            "direction: expected 'old||new' or 'new||old', got 'both'",
        ),
        (
            lambda: rl.policy_divergences(GARNET, RANDOM[0], RANDOM[1], weights=[1.0]),
            rl.ArgumentError,
            "weights: expected one number for each state, shape (12,), got (1,)",
        ),
        (
            lambda: rl.policy_divergences(GARNET, RANDOM[0], RANDOM[1], weights=[-1.0] * 12),
            rl.ArgumentError,
            "weights: expected finite numbers that are not negative",
        ),
    ],
)
def test_wrong_parts(call: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(rl.RlcoreError) as caught:
        call()
    assert type(caught.value) is error
    assert message in str(caught.value)


def test_an_unknown_error_bounds_nothing() -> None:
    found = rl.Enclosure.around([1.0, np.inf], [np.nan, 0.0])
    assert found.lower.tolist() == [-np.inf, np.inf]
    assert found.upper.tolist() == [np.inf, np.inf]


@pytest.mark.parametrize(("p", "q"), [(1e-300, 2.5e-300), (1e-300, 3e-301), (2e-290, 9e-291), (1e-95, 1e-292)])
def test_kl_of_tiny_probabilities_keeps_its_digits(p: float, q: float) -> None:
    mdp = rl.MDP(np.ones((2, 1)), np.zeros(2), pair_start=[0, 2])
    found = rl.policy_divergences(mdp, [[p, 1.0]], [[q, 1.0]])
    true = reference.policy_divergences([[p, 1.0]], [[q, 1.0]])
    assert is_near(found.kl_max, true.max_kl, 130 * 2.0**-53)
