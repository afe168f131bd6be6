"""`FiniteHorizon`: against the exact reference, error bounds included, and against what the other settings say."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Sequence
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
import scipy.sparse as sp

import generated_models
import rlcore as rl
from generated_models import FAMILIES, Array, RawModel
from rlcore import reference

PER_FAMILY = 24
FOREST = rl.gallery.forest()
HALF = rl.uniform_policy(FOREST)


def core_model(raw: RawModel) -> rl.MDP:
    ends = raw.termination if raw.termination.any() else None
    rows = sp.csr_array(raw.transition)
    return rl.MDP(rows, raw.reward, pair_start=raw.pair_start, termination=ends, initial=raw.initial)


# ---- against the reference ----


class Case:
    """A model with a horizon, and a policy and a discount for each step or for all."""

    def __init__(self, raw: RawModel, index: int) -> None:
        rng = np.random.default_rng(index)
        self.raw = raw
        self.steps = 1 + index % 7
        self.changing = index % 2 == 1
        self.gamma: Any = [1.0, 0.9, 0.0, rng.random(self.steps).tolist()][index % 4]
        policies = [self._some_policy(rng) if self.changing else raw.policy for _ in range(self.steps)]
        self.policies: list[Array] = policies
        self.setting = rl.FiniteHorizon(self.steps, self.gamma)

    def _some_policy(self, rng: np.random.Generator) -> Array:
        """Return the policy of the model, with the actions of each state in another order."""
        parts = np.split(self.raw.policy, self.raw.pair_start[1:-1])
        return np.concatenate([rng.permutation(part) for part in parts])

    @property
    def policy(self) -> Array:
        shape = self.raw.pair_shape
        if self.changing and self.steps > 1:
            return np.stack([policy.reshape(shape) for policy in self.policies])
        return self.policies[0].reshape(shape)

    @property
    def exact_policies(self) -> Any:
        return [self.raw.by_state(policy) for policy in self.policies]


def flat(nested: Any) -> list[Fraction]:
    return [x for row in nested for x in row]


def errors(exact: Sequence[Any], got: Array) -> list[Fraction]:
    return [abs(x - Fraction(y)) for x, y in zip(exact, np.ravel(got).tolist(), strict=True)]


class Ledger:
    """Errors beside their bounds."""

    def __init__(self) -> None:
        self.ratios: list[float] = []
        self.count = 0

    def enter(self, case: Case, name: str, error: Fraction, bound: float) -> None:
        assert error <= Fraction(bound), f"{case.raw.name} {case.setting} {name}: {float(error)} > {bound}"
        self.count += 1
        if error > 0:
            self.ratios.append(bound / float(error))

    def said(self, what: str) -> str:
        median = statistics.median(self.ratios)
        assert median <= 10
        return f"{what}: {self.count} comparisons, bound / error {median:.3g} in the median"


def test_evaluation_against_the_reference(report: Callable[[str], None]) -> None:
    ledger = Ledger()
    for family in FAMILIES:
        for index in range(PER_FAMILY):
            case = Case(generated_models.model(family, index), index)
            raw = case.raw
            found = rl.evaluate(core_model(raw), case.policy, case.setting, tol=0)
            rows, reward = raw.by_state(raw.transition), raw.by_state(raw.reward)
            exact = reference.evaluate_finite_horizon(
                rows, reward, case.exact_policies, case.gamma, raw.initial.tolist()
            )
            assert found.start_value is not None
            assert exact.start_value is not None
            bounds = found.certificate.bounds
            error = abs(exact.start_value - Fraction(found.start_value))
            ledger.enter(case, "start_value", error, bounds["start_value"])
            for t, V in enumerate(exact.value):
                ledger.enter(case, "value", max(errors(V, found.value[t])), bounds["value"][t])
            for name in ("action_value", "advantage"):
                for t, pairs in enumerate(getattr(exact, name)):
                    got = getattr(found, name)[t]
                    ledger.enter(case, name, max(errors(flat(pairs), got)), bounds[name][t])
            assert found.certificate.error_bound == bounds["value"].max()
    report(ledger.said("finite horizon, values"))


def test_occupancy_against_the_reference(report: Callable[[str], None]) -> None:
    ledger = Ledger()
    for family in FAMILIES:
        for index in range(PER_FAMILY):
            case = Case(generated_models.model(family, index), index)
            raw = case.raw
            found = rl.occupancy(core_model(raw), case.policy, case.setting, tol=0)
            rows, start = raw.by_state(raw.transition), raw.initial.tolist()
            exact = reference.occupancy_finite_horizon(rows, case.exact_policies, start, case.gamma)
            bounds = found.certificate.bounds
            for t, p in enumerate(exact.distribution):
                error = sum(errors(p, found.distribution[t]), Fraction(0))
                ledger.enter(case, "distribution", error, bounds["distribution"][t])
            for name in ("visits", "state"):
                error = sum(errors(getattr(exact, name), getattr(found, name)), Fraction(0))
                ledger.enter(case, name, error, bounds[name])
            ledger.enter(case, "pair", sum(errors(flat(exact.pair), found.pair), Fraction(0)), bounds["pair"])
    report(ledger.said("finite horizon, visits"))


# ---- known answers and identities ----


def test_the_last_step_is_greedy_for_nothing() -> None:
    """A reward of 1 for staying; in the last step leaving makes no difference to what is to come."""
    mdp = rl.MDP([[1, 0], [0, 1], [0, 1], [0, 1]], [[1, 0], [0, 0]])
    stay, leave = [[1.0, 0.0], [1.0, 0.0]], [[0.0, 1.0], [1.0, 0.0]]
    found = rl.evaluate(mdp, [stay, stay, leave], rl.FiniteHorizon(3))
    assert found.value[:, 0].tolist() == [2, 1, 0, 0]
    assert found.start_value is None
    assert found.action_value.shape == found.advantage.shape == (3, 2, 2)
    assert found.advantage[2, 0].tolist() == [1, 0]


def test_long_horizons_approach_the_discounted_value() -> None:
    """Theory 2.8: what is left after n steps is worth at most gamma^n max|V|."""
    V = rl.evaluate(FOREST, HALF, 0.9).value
    for steps in (1, 10, 100):
        found = rl.evaluate(FOREST, HALF, rl.FiniteHorizon(steps, 0.9))
        assert np.abs(found.value[0] - V).max() <= 0.9**steps * np.abs(V).max() + 1e-12


def test_one_gamma_is_the_same_gamma_in_every_step() -> None:
    one = rl.evaluate(FOREST, HALF, rl.FiniteHorizon(5, 0.9))
    five = rl.evaluate(FOREST, np.stack([HALF] * 5), rl.FiniteHorizon(5, [0.9] * 5))
    np.testing.assert_array_equal(one.value, five.value)
    np.testing.assert_array_equal(one.advantage, five.advantage)
    visits = [
        rl.occupancy(FOREST, policy, rl.FiniteHorizon(5, gamma))
        for policy, gamma in ((HALF, 0.9), (np.stack([HALF] * 5), [0.9] * 5))
    ]
    np.testing.assert_array_equal(visits[0].visits, visits[1].visits)
    np.testing.assert_allclose(visits[0].pair, visits[1].pair, rtol=1e-15)


def test_the_return_from_both_sides() -> None:
    """Theory 2.8: rho0^T V_0 is what all visits to pairs earn."""
    policies = np.stack([rl.random_policy(FOREST, seed) for seed in range(6)])
    setting = rl.FiniteHorizon(6, 0.8)
    found = rl.occupancy(FOREST, policies, setting)
    horizon = (1 - 0.8**6) / (1 - 0.8)
    earned = (found.pair * FOREST.reward).sum() * horizon
    assert earned == pytest.approx(rl.evaluate(FOREST, policies, setting).start_value, rel=1e-14)
    assert found.state.sum() == pytest.approx(1, rel=1e-15)
    assert found.visits.sum() == pytest.approx(horizon, rel=1e-15)


def test_distributions_are_those_of_state_distribution() -> None:
    found = rl.occupancy(FOREST, HALF, rl.FiniteHorizon(7))
    np.testing.assert_array_equal(found.distribution, rl.state_distribution(FOREST, HALF, 7))


def test_random_horizon() -> None:
    """Theory 3.5: the discounted value is the undiscounted one over a geometric number of steps."""
    gamma, terms = 0.5, 40
    by_steps = rl.evaluate(FOREST, HALF, rl.FiniteHorizon(terms)).value[::-1]
    chances = (1 - gamma) * gamma ** np.arange(-1.0, terms)
    chances[0] = 0.0
    bound = gamma**terms * (terms + 1 / (1 - gamma)) * 4
    assert np.abs(chances @ by_steps - rl.evaluate(FOREST, HALF, gamma).value).max() <= bound + 1e-13


def test_another_reward_and_another_start() -> None:
    setting = rl.FiniteHorizon(3)
    twice = rl.evaluate(FOREST, HALF, setting, reward=2 * FOREST.reward)
    np.testing.assert_array_equal(twice.value, 2 * rl.evaluate(FOREST, HALF, setting).value)
    found = rl.occupancy(FOREST, HALF, setting, initial=[1, 0, 0])
    assert found.distribution[0].tolist() == [1, 0, 0]


# ---- promises ----


@pytest.mark.parametrize("num_threads", [2, 3, 5])
def test_answers_do_not_depend_on_the_threads(num_threads: int) -> None:
    mdp = rl.gallery.garnet(30_000, 3, 4).with_initial(np.full(30_000, 1 / 30_000))
    setting = rl.FiniteHorizon(4, 0.9)
    policies = np.stack([rl.random_policy(mdp, seed) for seed in range(4)])
    one, many = (rl.evaluate(mdp, policies, setting, num_threads=threads) for threads in (1, num_threads))
    np.testing.assert_array_equal(one.value, many.value)
    np.testing.assert_array_equal(one.advantage, many.advantage)
    there, here = (rl.occupancy(mdp, policies, setting, num_threads=threads) for threads in (1, num_threads))
    np.testing.assert_array_equal(there.distribution, here.distribution)
    np.testing.assert_array_equal(there.pair, here.pair)


def test_progress_and_exceptions_in_it() -> None:
    mdp = rl.gallery.garnet(100_000, 3, 4)
    policy = rl.uniform_policy(mdp)
    seen: list[rl.Progress] = []
    rl.evaluate(mdp, policy, rl.FiniteHorizon(20), progress=seen.append)
    assert {report.method for report in seen} == {"backward recursion"}
    assert all(0 <= report.iterations < 20 for report in seen)

    def stop(_: rl.Progress) -> None:
        raise KeyError("enough")

    with pytest.raises(KeyError, match="enough"):
        rl.occupancy(mdp, policy, rl.FiniteHorizon(100), initial=np.eye(1, 100_000)[0], progress=stop)


def test_results_are_read_only_and_tell_what_they_are() -> None:
    found, there = rl.evaluate(FOREST, HALF, rl.FiniteHorizon(3)), rl.occupancy(FOREST, HALF, rl.FiniteHorizon(3))
    for array in (found.value, found.action_value, found.advantage, there.distribution, there.visits, there.pair):
        assert not array.flags.writeable
    assert repr(found).startswith("FiniteHorizonEvaluation(3 steps, value at time 0: shape (3,), from 0.95625 to 5.0")
    assert repr(there).startswith("FiniteHorizonOccupancy(3 steps, state: shape (3,), from 0.2")
    told = rl.evaluate(FOREST, HALF, rl.FiniteHorizon(3), explain=True).certificate
    assert told.story.startswith("backward recursion: 3 steps, proven relative error")
    assert (told.status, told.method, told.iterations) == ("converged", "backward recursion", 3)


def test_what_is_found_later_belongs_to_the_policy_as_it_was() -> None:
    policy = HALF.copy()
    found = rl.evaluate(FOREST, policy, rl.FiniteHorizon(3))
    policy[:] = [1.0, 0.0]
    np.testing.assert_array_equal(found.advantage, rl.evaluate(FOREST, HALF, rl.FiniteHorizon(3)).advantage)


def test_an_unattainable_tolerance_is_an_error_that_holds_the_answer() -> None:
    with pytest.raises(rl.ConvergenceError, match=r"^evaluate: expected a relative error of 1e-17") as raised:
        rl.evaluate(FOREST, HALF, rl.FiniteHorizon(3), tol=1e-17)
    assert isinstance(raised.value.result, rl.FiniteHorizonEvaluation)
    with pytest.raises(rl.ConvergenceError, match=r"^occupancy: .* \(tol is relative to the sum of the visits\)"):
        rl.occupancy(FOREST, HALF, rl.FiniteHorizon(3), tol=1e-17)


BAD_CALLS = [
    (
        lambda: rl.evaluate(FOREST, np.stack([HALF] * 2), rl.FiniteHorizon(3)),
        rl.PolicyError,
        "policy: expected one policy, or one for each of the 3 steps, got 2",
    ),
    (
        lambda: rl.evaluate(FOREST, np.stack([HALF, HALF * 2]), rl.FiniteHorizon(2)),
        rl.PolicyError,
        "policy[1], state 0: expected probabilities that sum to 1 within 1e-9, got a sum of 2; "
        "divide the row by its sum",
    ),
    (
        lambda: rl.evaluate(FOREST, HALF, rl.FiniteHorizon(3), reward=[1.0, 2.0]),
        rl.ModelError,
        "reward: expected shape (3, 2), flat (6,) or a batch (B, 3, 2), got (2,)",
    ),
    (
        lambda: rl.evaluate(FOREST, HALF, rl.FiniteHorizon(3), reward=np.stack([FOREST.reward] * 2)),
        rl.ModelError,
        "reward: expected one of shape (3, 2), got a batch of shape (2, 3, 2)",
    ),
    (
        lambda: rl.evaluate(FOREST, HALF, rl.FiniteHorizon(10**15)),
        rl.ArgumentError,
        "steps: expected a table that fits in memory, got 1000000000000000: 24000000 GB",
    ),
    (
        lambda: rl.occupancy(FOREST, HALF, rl.FiniteHorizon(3), initial=[1, 1, 0]),
        rl.ModelError,
        "initial: expected probabilities that sum to 1 within 1e-9, got a sum of 2; divide by the sum",
    ),
    (
        lambda: rl.occupancy(rl.MDP([[1.0]], [0.0]), [1.0], rl.FiniteHorizon(3)),
        rl.ModelError,
        "initial: occupancy needs a start distribution, and the model has none; "
        "pass initial=p, or make the model with initial=p or mdp.with_initial(p)",
    ),
]


@pytest.mark.parametrize(("call", "error", "message"), BAD_CALLS)
def test_bad_input(call: Callable[[], object], error: type[Exception], message: str) -> None:
    with pytest.raises(error) as raised:
        call()
    assert str(raised.value) == message
