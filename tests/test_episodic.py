"""`Episodic` and the length of episodes: against the exact reference, known answers, and policies that never end.

Every comparison is exact: the floats of the core are taken at their binary values and subtracted from fractions. The
counts, and how sharp the bounds are, are reported after the tests.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Iterator, Sequence
from fractions import Fraction
from itertools import chain
from typing import Any

import numpy as np
import pytest

import generated_chains
import rlcore as rl
from generated_chains import ENDING
from generated_models import Array, RawModel
from rlcore import reference
from rlcore.reference import structure
from test_agreement import answer, core_model, fmpq_solve, policy_of

PER_FAMILY = 100
EPISODIC = rl.Episodic()
SUP_NORM = {"value", "action_value", "start_value", "on_policy_objective", "mean", "variance"}
SUP_NORM |= {"advantage", "advantage without a choice"}
SHARPNESS = {"advantage": 50, "advantage without a choice": math.inf, "on_policy_objective": 100}


@pytest.fixture(autouse=True)
def _by_flint(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the references solve their systems with FLINT: as exact, and several times as fast."""
    monkeypatch.setattr(structure, "solve", fmpq_solve)


def parts(raw: RawModel) -> list[list[Any]]:
    """Return P, r, pi and the terminations as the reference takes them."""
    return [raw.by_state(pairs) for pairs in (raw.transition, raw.reward, raw.policy, raw.termination)]


# ---- against the reference ----


class Ledger:
    """Errors beside their bounds, by field."""

    def __init__(self) -> None:
        self.ratios: dict[str, list[float]] = {}
        self.count: dict[str, int] = {}
        self.violations: list[str] = []
        self.missed: list[str] = []

    def enter(self, model: str, name: str, exact: Sequence[Fraction | None], got: Any, bound: float) -> None:
        """Compare a row: there is a number exactly where one exists, and its error is within the bound."""
        found = np.ravel(got).tolist()
        there = [x is not None for x in exact]
        assert [not math.isnan(y) for y in found] == there, f"{model} {name}: NaN {found} where {exact}"
        errors = [abs(x - Fraction(y)) for x, y in zip(exact, found, strict=True) if x is not None]
        error = max(errors, default=Fraction(0)) if name in SUP_NORM else sum(errors, Fraction(0))
        if not (math.isfinite(bound) and error <= Fraction(bound)):
            self.violations.append(f"{model} {name}: error {float(error):.3g}, bound {bound:.3g}")
        self.count[name] = self.count.get(name, 0) + 1
        ratios = self.ratios.setdefault(name, [])
        if error > 0:
            ratios.append(bound / float(error))

    def enter_tolerance(self, model: str, tol: float, size: Fraction | float, certificate: Any) -> None:
        """Take note of a model of which the tolerance, or the default one where the best was asked for, is missed."""
        if not certificate.error_bound <= max(tol, 1e-9) * float(size) * (1 + 1e-8):
            self.missed.append(f"{model}: {certificate}")

    def check(self, report: Callable[[str], None]) -> None:
        assert not self.violations, f"{len(self.violations)}: {self.violations[:5]}"
        for name, ratios in self.ratios.items():
            median = statistics.median(ratios)
            report(f"  {name}: bound / error {median:.3g} in the median; {self.count[name]} comparisons")
            assert median <= SHARPNESS.get(name, 10), name
        # Times beyond 1/eps, through blocks that are hardly joined: the answer is poor, and says so.
        report(f"  {len(self.missed)} of {max(self.count.values())} models missed the tolerance")
        assert len(self.missed) <= 0.005 * max(self.count.values()), self.missed


def models() -> Iterator[tuple[RawModel, float]]:
    """Yield the models with the tolerance that is asked for: the default, and the best attainable."""
    for family in ENDING:
        for index in range(PER_FAMILY):
            yield generated_chains.model(family, index), (1e-9, 0.0)[index % 2]


def flat(nested: Any) -> list[Fraction | None]:
    return list(chain.from_iterable(nested))


def test_values_against_the_reference(report: Callable[[str], None]) -> None:
    ledger, rare = Ledger(), 0
    for raw, tol in models():
        P, r, pi, ends = parts(raw)
        found = answer(rl.evaluate, core_model(raw), policy_of(raw), EPISODIC, tol=tol)
        exact = reference.evaluate_episodic(P, r, pi, ends, raw.initial.tolist())
        assert found.proper is not None
        assert found.proper.tolist() == exact.proper, raw.name
        assert found.gain is found.bias is None
        rows = {
            "value": exact.value,
            "action_value": flat(exact.action_value),
            "advantage": flat(exact.advantage),
            "start_value": [exact.start_value],
        }
        try:
            found.on_policy_objective  # noqa: B018
            rows["on_policy_objective"] = [exact.on_policy_objective]
        except rl.ConvergenceError as error:
            ledger.missed.append(f"{raw.name}: {error}")
        for name, row in rows.items():
            got = getattr(found, name)
            bound = found.certificate.bounds[name]
            if name == "advantage" and (raw.num_actions == 1).all():
                name = "advantage without a choice"  # 0, and what is not is below all roundings
            ledger.enter(raw.name, name, row, got, bound)
        assert found.certificate.error_bound == found.certificate.bounds["value"]
        largest = max((abs(v) for v in exact.value if v is not None), default=Fraction(0))
        ledger.enter_tolerance(raw.name, tol, largest, found.certificate)
        rare += 0 < raw.termination.max() <= 1e-12
    report(f"{ledger.count['value']} models that end against the exact reference, {rare} of them by 1e-12 or less")
    ledger.check(report)


def test_visits_against_the_reference(report: Callable[[str], None]) -> None:
    ledger = Ledger()
    for raw, tol in models():
        P, _, pi, ends = parts(raw)
        found = answer(rl.occupancy, core_model(raw), policy_of(raw), EPISODIC, tol=tol)
        exact = reference.occupancy_episodic(P, pi, raw.initial.tolist(), ends)
        assert found.visits is not None
        assert (found.visits >= 0).all()
        bounds = found.certificate.bounds
        ledger.enter(raw.name, "visits", exact.visits, found.visits, bounds["visits"])
        ledger.enter(raw.name, "state", exact.state, found.state, bounds["state"])
        ledger.enter(raw.name, "pair", flat(exact.pair), found.pair, bounds["pair"])
        ledger.enter_tolerance(raw.name, tol, sum(exact.visits), found.certificate)
    ledger.check(report)


def test_lengths_against_the_reference(report: Callable[[str], None]) -> None:
    ledger = Ledger()
    for raw, tol in models():
        P, _, pi, ends = parts(raw)
        found = answer(rl.episode_length, core_model(raw), policy_of(raw), tol=tol)
        exact = reference.episode_length(P, pi, ends)
        # By the defects of its rows, the variance of what is stored may be negative; the core says 0.
        variance = [None if x is None else max(x, Fraction(0)) for x in exact.variance]
        assert found.certificate is not None
        for name, row, got, bound in zip(
            ("mean", "variance"), (exact.mean, variance), found, found.certificate.error_bound, strict=True
        ):
            ledger.enter(raw.name, name, row, np.asarray(got), bound)
    ledger.check(report)


def test_the_adjoint_identity() -> None:
    """What the visits collect is what the start is worth (theory 3.1)."""
    for family in ENDING:
        for index in range(20):
            raw = generated_chains.model(family, index)
            mdp, policy = core_model(raw), policy_of(raw)
            occ, ev = (answer(call, mdp, policy, EPISODIC) for call in (rl.occupancy, rl.evaluate))
            assert occ.visits is not None
            r_pi = np.add.reduceat(raw.policy * raw.reward, raw.pair_start[:-1])
            slack = ev.certificate.bounds["start_value"] + occ.certificate.error_bound * np.abs(r_pi).max()
            rounding = 1e-14 * (occ.visits @ np.abs(r_pi))
            assert abs(occ.visits @ r_pi - ev.start_value) <= slack + rounding, raw.name


# ---- known answers ----


def episodes(*arguments: Any, **options: Any) -> Any:
    """Return what `occupancy` finds, without the types that say what it lacks in other settings."""
    return rl.occupancy(*arguments, **options)


def test_drunkards_walk() -> None:
    mdp = rl.gallery.drunkards_walk()
    policy = rl.uniform_policy(mdp)
    N = episodes(mdp, policy, EPISODIC, initial=np.eye(3)).visits
    np.testing.assert_allclose(N, [[1.5, 1, 0.5], [1, 2, 1], [0.5, 1, 1.5]], rtol=1e-14)
    np.testing.assert_allclose(rl.episode_length(mdp, policy)[0], [3, 4, 3], rtol=1e-14)
    # The variance is (2 N - I) t - t^2.
    np.testing.assert_allclose(rl.episode_length(mdp, policy)[1], [8, 8, 8], rtol=1e-14)
    np.testing.assert_allclose(rl.evaluate(mdp, policy, EPISODIC).value, [0.75, 0.5, 0.25], rtol=1e-14)


def test_the_drunkard_is_absorbed_at_home_or_in_the_bar() -> None:
    half = [[1, 0, 0, 0, 0], [0.5, 0, 0.5, 0, 0], [0, 0.5, 0, 0.5, 0], [0, 0, 0.5, 0, 0.5], [0, 0, 0, 0, 1]]
    mdp = rl.MDP(half, np.zeros(5))
    absorption = rl.chain_structure(mdp, rl.uniform_policy(mdp)).absorption
    np.testing.assert_allclose(absorption[1:4], [[0.75, 0.25], [0.5, 0.5], [0.25, 0.75]], rtol=1e-14)


@pytest.mark.parametrize("p", [0.05, 0.5, 2 - math.sqrt(2), 0.95])
def test_short_corridor(p: float) -> None:
    mdp = rl.gallery.short_corridor()
    found = rl.evaluate(mdp, np.tile([1 - p, p], (3, 1)), EPISODIC)
    assert found.start_value == pytest.approx(-2 * (2 - p) / (p * (1 - p)), rel=1e-13)
    if p == 0.5:
        visits = episodes(mdp, rl.uniform_policy(mdp), EPISODIC).visits
        np.testing.assert_allclose(visits, [6, 4, 2], rtol=1e-14)


def test_sutton_and_barto_example_4_1() -> None:
    mdp = rl.gallery.small_gridworld()
    found = rl.evaluate(mdp, rl.uniform_policy(mdp), EPISODIC).value
    np.testing.assert_allclose(
        found, [-14, -20, -22, -14, -18, -20, -20, -20, -20, -18, -14, -22, -20, -14], rtol=1e-13
    )


@pytest.mark.parametrize("n", [1, 2, 5, 40])
def test_random_walk(n: int) -> None:
    mdp = rl.gallery.random_walk(n)
    policy, s = rl.uniform_policy(mdp), np.arange(n)
    np.testing.assert_allclose(rl.evaluate(mdp, policy, EPISODIC).value, (s + 1) / (n + 1), rtol=1e-12)
    np.testing.assert_allclose(rl.episode_length(mdp, policy)[0], (s + 1) * (n - s), rtol=1e-12)


@pytest.mark.parametrize("end", [1.0, 0.5, 1e-3, 1e-12, 1e-15])
def test_geometric_length(end: float) -> None:
    """Structure decides that it ends, however rarely; the length is certified by the time that remains."""
    mdp = rl.MDP([[1 - end]], [1.0], termination=[end], initial=[1])
    found = rl.episode_length(mdp, [[1.0]])
    np.testing.assert_allclose(found.ravel(), [1 / end, (1 - end) / end**2], rtol=1e-9)
    assert rl.evaluate(mdp, [[1.0]], EPISODIC).start_value == pytest.approx(1 / end, rel=1e-9)
    assert episodes(mdp, [[1.0]], EPISODIC).visits == pytest.approx(1 / end, rel=1e-9)


def test_the_death_mdp_is_the_discounted_one() -> None:
    """Theory 3.5: values and visits of the process that dies, without a discount, are the discounted ones."""
    for mdp in (rl.gallery.forest(), rl.gallery.queue(30), rl.gallery.gridworld()):
        policy, mortal = rl.uniform_policy(mdp), rl.death_mdp(mdp, 0.95)
        of, by = rl.evaluate(mortal, policy, EPISODIC), rl.evaluate(mdp, policy, 0.95)
        np.testing.assert_allclose(of.action_value, by.action_value, rtol=0, atol=1e-12 * np.abs(by.value).max())
        visits = episodes(mortal, policy, EPISODIC).visits
        np.testing.assert_allclose(visits, rl.occupancy(mdp, policy, 0.95).visits, rtol=1e-9)
        np.testing.assert_allclose(rl.episode_length(mortal, policy)[0], 20, rtol=1e-9)


def test_start_value_and_objective_side_by_side() -> None:
    mdp = rl.gallery.short_corridor()
    found = rl.evaluate(mdp, rl.uniform_policy(mdp), EPISODIC)
    assert found.start_value == pytest.approx(-12)
    assert found.on_policy_objective == pytest.approx((6 * -12 + 4 * -10 + 2 * -6) / 12)


# ---- policies that may go on for ever ----

# State 0 ends, state 1 stays for ever, state 2 does either; action 1 of state 0 leads away to state 1.
TRAP = rl.MDP(
    [[0, 0, 0], [0, 1, 0], [0, 1, 0], [0, 1, 0], [0.5, 0.5, 0], [0.5, 0.5, 0]],
    [1, 7, 2, 2, 3, 3],
    pair_start=[0, 2, 4, 6],
    termination=[1, 0, 0, 0, 0, 0],
    initial=[1, 0, 0],
)
LEFT = np.array([[1.0, 0.0], [0.5, 0.5], [0.5, 0.5]])


def test_values_exist_where_the_policy_is_proper_and_nowhere_else() -> None:
    found = rl.evaluate(TRAP, LEFT, EPISODIC)
    assert found.proper is not None
    assert found.proper.tolist() == [True, False, False]
    np.testing.assert_array_equal(found.value, [1, np.nan, np.nan])
    # The action that leads into the trap has no value, though its state has one.
    np.testing.assert_array_equal(found.action_value, [[1, np.nan], [np.nan] * 2, [np.nan] * 2])
    np.testing.assert_array_equal(found.advantage, [[0, np.nan], [np.nan] * 2, [np.nan] * 2])
    assert found.start_value == found.on_policy_objective == 1
    np.testing.assert_array_equal(episodes(TRAP, LEFT, EPISODIC).visits, [1, 0, 0])
    np.testing.assert_array_equal(rl.episode_length(TRAP, LEFT), [[1, np.nan, np.nan], [0, np.nan, np.nan]])


def test_a_way_of_1e_300_into_a_trap_is_a_way() -> None:
    policy = LEFT.copy()
    policy[0, 1] = 1e-300
    with pytest.raises(rl.ImproperPolicyError, match=r"may stay for ever among the states \{1\}"):
        rl.evaluate(TRAP, policy, EPISODIC)
    with pytest.raises(rl.ImproperPolicyError, match=r"may stay for ever among the states \{1\}"):
        episodes(TRAP, policy, EPISODIC)
    assert np.isnan(rl.episode_length(TRAP, policy)).all()


def test_improper_starts_are_refused_and_name_every_class_in_reach() -> None:
    mdp = rl.MDP([[0, 0.5, 0.5], [0, 1, 0], [0, 0, 1]], np.zeros(3), initial=[1, 0, 0])
    policy = rl.uniform_policy(mdp)
    for call in (rl.evaluate, rl.occupancy):
        with pytest.raises(rl.ImproperPolicyError, match=r"among the states \{1\}, \{2\};") as raised:
            call(mdp, policy, EPISODIC)
        assert isinstance(raised.value, rl.InputError)
    with pytest.raises(rl.ImproperPolicyError, match=r"among the states \{2\};"):
        episodes(mdp, policy, EPISODIC, initial=[0, 0, 1])


def test_a_sum_that_falls_short_of_one_by_rounding_ends_nothing() -> None:
    third = rl.MDP([[1 - 2**-53, 0], [0, 1 / 3 + 1 / 3 + 0.33333333333333326]], [1, 1], initial=[1, 0])
    with pytest.raises(rl.ImproperPolicyError):
        rl.evaluate(third, rl.uniform_policy(third), EPISODIC)


def test_without_a_start_distribution_values_are_found_where_they_exist() -> None:
    mdp = rl.MDP(TRAP.transition, TRAP.reward, pair_start=TRAP.pair_start, termination=TRAP.termination)
    found = rl.evaluate(mdp, LEFT, EPISODIC)
    np.testing.assert_array_equal(found.value, [1, np.nan, np.nan])
    assert found.start_value is found.on_policy_objective is None
    everywhere = rl.evaluate(mdp, rl.uniform_policy(mdp), EPISODIC)
    assert np.isnan(everywhere.value).all()
    assert everywhere.proper is not None
    assert not everywhere.proper.any()
    assert "NaN" in repr(everywhere)


HARDLY_ENDING: list[list[Any]] = [  # P, r and termination of a state or two, whose second action may end the process
    [[[[1.0], [0.75]]], [[1.0, 0.0]], [[0.0, 0.25]]],
    [[[[0.5, 0.5], [0.5, 0.5]], [[0.3, 0.7], [0.5, 0.25]]], [[0.5, 1.0], [-0.8, 1.1]], [[0.0, 0.0], [0.0, 0.25]]],
]


@pytest.mark.parametrize("p", [1e-10, 1e-15, 1e-17, 1e-30, 1e-300, 5e-324])
@pytest.mark.parametrize(("transition", "reward", "termination"), HARDLY_ENDING)
def test_episodes_that_hardly_ever_end_are_proven_or_not_but_never_wrong(
    transition: Any, reward: Any, termination: Any, p: float
) -> None:
    """From what lasts long to what lasts longer than doubles can tell: in the end pi times termination is 0."""
    size = len(transition)
    rows, start = [row for state in transition for row in state], np.eye(1, size)[0]
    mdp = rl.MDP(rows, np.ravel(reward), range(0, 2 * size + 1, 2), termination=np.ravel(termination), initial=start)
    policy = [[1.0, p]] * size
    exact = reference.evaluate_episodic(transition, reward, policy, termination).value
    found = rl.evaluate(mdp, policy, EPISODIC, raise_on_failure=False)
    bound = found.certificate.bounds["value"]
    for value, truth in zip(found.value, exact, strict=True):
        assert truth is not None
        assert bound == np.inf or abs(Fraction(float(value)) - truth) <= Fraction(bound)
    visits = rl.occupancy(mdp, policy, EPISODIC, raise_on_failure=False)
    assert visits.certificate.bounds["visits"] > 0.0
    for certificate in (found.certificate, visits.certificate):
        assert certificate.error_bound < np.inf or certificate.status == "stalled"
        assert certificate.status == "converged" or p < 1e-10


# ---- batches ----


def test_batches_have_leading_axes() -> None:
    mdp = rl.gallery.frozen_lake(4, holes=[(1, 1), (1, 3), (2, 3), (3, 0)])
    policies = np.stack([rl.random_policy(mdp, seed) for seed in range(3)])
    rewards = np.stack([mdp.reward, -2 * mdp.reward])
    both = rl.evaluate(mdp, policies, EPISODIC, reward=rewards)
    assert both.value.shape == (3, 2, 16)
    assert both.action_value.shape == (3, 2, 16, 4)
    starts: Array = np.eye(16)[[0, 5]]
    visits = episodes(mdp, policies, EPISODIC, initial=starts).visits
    assert visits is not None
    for b in range(3):
        for r in range(2):
            single = rl.evaluate(mdp, policies[b], EPISODIC, reward=rewards[r])
            np.testing.assert_array_equal(both.value[b, r], single.value)
            assert both.on_policy_objective[b, r] == pytest.approx(single.on_policy_objective, rel=1e-13)
            alone = episodes(mdp, policies[b], EPISODIC, initial=starts[r]).visits
            np.testing.assert_array_equal(visits[b, r], alone)


@pytest.mark.parametrize("threads", [1, 2, 3])
def test_any_number_of_threads_gives_the_same_answer(threads: int) -> None:
    mdp = rl.gallery.layered(20, 100, stay=0.5)
    policy = rl.uniform_policy(mdp)
    alone, several = (rl.evaluate(mdp, policy, EPISODIC, num_threads=n) for n in (None, threads))
    np.testing.assert_array_equal(alone.value, several.value)
    length = rl.episode_length(mdp, policy, num_threads=threads)
    assert float(length[0] @ mdp.initial) == pytest.approx(40, rel=1e-9)
