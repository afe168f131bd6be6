"""Trust-region steps of the compiled core against the reference in eighty digits, and their claims against the truth.

The rows are compared for the advantages and visits that the core had, taken at their binary values: what is left is
the work of the kernels. What a step claims of itself is compared with the exact model.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from fractions import Fraction
from math import inf, isinf
from typing import Any

import numpy as np
import pytest

import generated_chains
import generated_models
import rlcore as rl
from generated_models import Array, RawModel
from rlcore import reference
from rlcore.errors import ConvergenceError
from rlcore.reference import linear
from rlcore.reference.rational import Matrix, Vector
from rlcore.reference.real import Extended
from rlcore.reference.trust_region import Exact, TrustRegionUpdate
from test_agreement import core_model, policy_of

ULP = 2.0**-52
ROWS = 1e-9
"""How near each probability of a step is to the exact one."""

REGIONS: dict[Any, Exact] = {
    rl.MaxKL(1e-6): reference.MaxKL(1e-6),
    rl.MaxKL(0.01): reference.MaxKL(0.01),
    rl.MaxKL(3.0): reference.MaxKL(3.0),
    rl.MeanKL(1e-6): reference.MeanKL(1e-6),
    rl.MeanKL(0.1): reference.MeanKL(0.1),
    rl.KLPenalty(0.1): reference.KLPenalty(0.1),
    rl.KLPenalty(50.0): reference.KLPenalty(50.0),
}


class Case:
    """A model with its policy in a setting: what the core knows of it, and what is true."""

    def __init__(self, raw: RawModel, setting: Any) -> None:
        self.raw, self.setting = raw, setting
        self.mdp, self.policy = core_model(raw), policy_of(raw)
        self.evaluation = rl.evaluate(self.mdp, self.policy, setting, tol=1e-12, raise_on_failure=False)
        self.occupancy = rl.occupancy(self.mdp, self.policy, setting, tol=1e-12, raise_on_failure=False)
        self.exact = [reference.exact(raw.by_state(x)) for x in (raw.transition, raw.policy, raw.reward)]
        self.termination = reference.exact(raw.by_state(raw.termination))
        self.initial = reference.exact(raw.initial.tolist())

    @property
    def transition(self) -> Any:
        return self.exact[0]

    @property
    def pi(self) -> Matrix:
        return self.exact[1]

    @property
    def tie(self) -> float:
        """How far apart equal action values may be: the bound of Q, and a few ulp of the largest."""
        largest = float(np.nanmax(np.abs(self.evaluation.action_value)))
        return max(float(self.evaluation.certificate.bounds["action_value"]), 4 * ULP * largest)

    def step(self, region: Any) -> Any:
        known = {"evaluation": self.evaluation, "occupancy": self.occupancy}
        return rl.trust_region_step(self.mdp, self.policy, self.setting, region, **known)

    def by_state(self, pairs: Array) -> list[list[float | None]]:
        nested = self.raw.by_state(np.ravel(pairs))
        return [[None if np.isnan(x) else x for x in row] for row in nested]

    def expected(self, region: Exact) -> TrustRegionUpdate:
        """Return the exact update for the numbers that the core has."""
        average = isinstance(self.setting, rl.Average)
        visits = np.maximum(self.occupancy.state if average else self.occupancy.visits, 0.0)
        w = [Fraction(x) for x in visits.tolist()]
        share = {rl.Discounted: 1 - Fraction(self.raw.gamma), rl.Average: Fraction(1)}.get(
            type(self.setting), 1 / sum(w)
        )
        advantage = self.by_state(self.evaluation.advantage)
        return reference.trust_region_update(self.pi, advantage, w, [share * x for x in w], region, self.tie)

    def truth(self, candidate: Matrix) -> reference.Improvement:
        """Return what is exactly true of a candidate."""
        transition, pi, reward = self.exact
        if isinstance(self.setting, rl.Discounted):
            return reference.improvement(transition, pi, candidate, self.initial, self.raw.gamma, reward)
        if isinstance(self.setting, rl.Episodic):
            return reference.improvement_episodic(transition, pi, candidate, self.initial, reward, self.termination)
        return reference.improvement_average(transition, pi, candidate, reward)


def cases() -> Iterator[tuple[str, Any]]:
    """Yield names of families and their settings."""
    for family in generated_models.FAMILIES:
        yield family, rl.Discounted
    for family in generated_chains.ENDING:
        yield family, rl.Episodic
    for family in generated_chains.CONTINUING:
        yield family, rl.Average


def models_of(family: str, setting: Any, number: int) -> Iterator[Case]:
    """Yield the smallest of the first models of a family, in which the statement exists.

    Of three times `number` models: five where states share no number, one or two where the reference searches for one.
    """
    make = generated_models.model if setting is rl.Discounted else generated_chains.model
    raws = sorted((make(family, index) for index in range(3 * number)), key=lambda raw: raw.num_states)
    for raw in raws[:number]:
        if setting is rl.Average and not reference.chain_structure(*exact_chain(raw)).is_unichain:
            continue
        yield Case(raw, rl.Discounted(raw.gamma) if setting is rl.Discounted else setting())


def can_be_evaluated(case: Case, policy: Matrix) -> bool:
    """Whether no ending that the old policy chooses becomes rarer than an ulp.

    Where the actions that end are given up, episodes of up to 1e300 steps come out; what `evaluate` makes of them is
    tested with it.
    """
    rows = zip(case.pi, policy, case.termination, strict=True)
    pairs = itertools.chain.from_iterable(zip(*row, strict=True) for row in rows)
    is_episodic = isinstance(case.setting, rl.Episodic)
    return not (is_episodic and any(p > 0 and end > 0 and q * end < ULP for p, q, end in pairs))


def exact_chain(raw: RawModel) -> tuple[Any, Any, Any]:
    parts = (raw.transition, raw.policy, raw.termination)
    return tuple(reference.exact(raw.by_state(x)) for x in parts)  # type: ignore[return-value]


FAMILIES = [pytest.param(*case, id=f"{case[1].__name__}-{case[0]}") for case in cases()]


def largest_difference(ours: Array, theirs: Matrix) -> float:
    flat = list(itertools.chain.from_iterable(theirs))
    return max(float(abs(Fraction(x) - y)) for x, y in zip(ours.ravel().tolist(), flat, strict=True))


# Rows.


def check_rows(case: Case, region: Any, exact_region: Exact) -> None:
    expected = case.expected(exact_region)
    if not can_be_evaluated(case, expected.policy):
        return
    try:
        step = case.step(region)
    except (rl.ImproperPolicyError, ConvergenceError):
        return  # the old policy cannot be evaluated, or the new one may go on for ever
    assert largest_difference(step.policy, expected.policy) <= ROWS, (case.raw.name, region)
    rows = np.add.reduceat(step.policy.ravel(), case.raw.pair_start[:-1])
    assert np.all(step.policy >= 0)
    assert np.all(np.abs(rows - 1) <= 8 * ULP + np.abs(np.add.reduceat(case.raw.policy, case.raw.pair_start[:-1]) - 1))


@pytest.mark.parametrize("region", [r for r in REGIONS if isinstance(r, rl.MaxKL)], ids=str)
@pytest.mark.parametrize(("family", "setting"), FAMILIES)
def test_rows_of_max_kl(family: str, setting: Any, region: Any) -> None:
    for case in models_of(family, setting, 5):
        check_rows(case, region, REGIONS[region])


@pytest.mark.parametrize("region", [r for r in REGIONS if isinstance(r, rl.MeanKL)], ids=str)
@pytest.mark.parametrize(("family", "setting"), FAMILIES)
def test_rows_of_mean_kl(family: str, setting: Any, region: Any) -> None:
    for case in models_of(family, setting, 2):
        check_rows(case, region, REGIONS[region])


@pytest.mark.parametrize("region", [r for r in REGIONS if isinstance(r, rl.KLPenalty)], ids=str)
@pytest.mark.parametrize(("family", "setting"), FAMILIES)
def test_rows_of_the_penalty(family: str, setting: Any, region: Any) -> None:
    for case in models_of(family, setting, 2):
        check_rows(case, region, REGIONS[region])


# Claims.


@pytest.mark.parametrize("region", list(REGIONS), ids=str)
@pytest.mark.parametrize(("family", "setting"), FAMILIES)
def test_claims_hold(family: str, setting: Any, region: Any) -> None:
    """KL, gain, returns and the gap to the optimum, of the exact model, are within what the step says of them."""
    for case in models_of(family, setting, 1 if isinstance(region, rl.KLPenalty) else 2):
        if setting is rl.Episodic and not can_be_evaluated(case, case.expected(REGIONS[region]).policy):
            continue
        try:
            step = case.step(region)
        except (rl.ImproperPolicyError, rl.SettingError, ConvergenceError):
            continue  # the new policy may go on for ever, or have several classes
        candidate = reference.exact(case.raw.by_state(step.policy.ravel()))
        true, bounds = case.truth(candidate), step.certificate.bounds
        name = (case.raw.name, region)
        kl = reference.policy_divergences(case.pi, candidate)
        for x, y in zip(step.kl.tolist(), kl.kl, strict=True):
            assert apart(x, y) <= bounds["kl"], name
        assert apart(step.eta, true.start_value) <= bounds["eta"], name
        assert apart(step.eta_new, true.new_start_value) <= bounds["eta_new"], name
        assert apart(step.surrogate_gain, true.surrogate - true.start_value) <= bounds["surrogate_gain"], name
        check_gap(case, step, candidate, REGIONS[region])


def apart(x: float, y: Extended) -> Extended:
    """Return the distance of two numbers, either of which may be infinite."""
    if isinf(x) or y == inf:
        return Fraction(0) if x == y else inf
    return abs(Fraction(x) - y)


def check_gap(case: Case, step: Any, candidate: Matrix, region: Exact) -> None:
    """Compare with the largest surrogate of the exact model.

    The rows that the reference considers sum to 1, those of the core only up to rounding: their defects count with the
    largest advantage, and with the price of the KL.
    """
    A, visits, state = exact_advantage(case)
    update = reference.trust_region_update(case.pi, A, visits, state, region)
    gap = reference.dual_gap_of(candidate, case.pi, A, visits, state, region)
    multiplier = update.multiplier if isinstance(update.multiplier, list) else [update.multiplier or Fraction(0)]
    price = max(x for x in multiplier if x != inf)
    defect = max(abs(sum(row) - 1) for row in [*case.pi, *candidate])
    slack = 2 * defect * sum(visits) * (max(abs(a) for row in A for a in row if a is not None) + price)
    assert gap <= Fraction(step.dual_gap) + slack, (case.raw.name, region)


def exact_advantage(case: Case) -> tuple[Any, Vector, Vector]:
    """Return A, the weights of the surrogate and those of the mean KL, exactly."""
    transition, pi, reward = case.exact
    if isinstance(case.setting, rl.Discounted):
        A = reference.evaluate(transition, reward, pi, case.raw.gamma).advantage
        occupancy = reference.occupancy(transition, pi, case.initial, case.raw.gamma)
        return A, occupancy.visits, occupancy.state
    if isinstance(case.setting, rl.Episodic):
        episodes = reference.occupancy_episodic(transition, pi, case.initial, case.termination)
        return (
            reference.evaluate_episodic(transition, reward, pi, case.termination).advantage,
            episodes.visits,
            episodes.state,
        )
    anywhere = [Fraction(s == 0) for s in range(len(pi))]
    d = reference.occupancy_average(transition, pi, anywhere).state
    return reference.evaluate_average(transition, reward, pi).advantage, d, d


# One state, and everything that can be wrong with it.

ROW_PROBABILITIES = [
    [1.0, 0.0, 0.0],
    [0.5, 0.5, 0.0],
    [0.25, 0.25, 0.5],
    [1.0, 1e-300, 0.0],
    [1e-300, 1.0, 1e-300],
    [0.0, 1.0, 1e-17],
    [0.999, 0.0009, 0.0001],
]
ROW_REWARDS = [
    [0.0, 0.0, 0.0],
    [1.0, 0.0, 0.0],
    [0.0, 1.0, 1.0],
    [0.0, 0.0, 1.0],
    [3.0, 1.0, 3.0],
    [0.0, 1e-13, 0.0],
    [1.0, 1.0 + 1e-13, 0.5],
    [1e9, 1e9 + 1.0, -1e9],
    [1e-200, 0.0, 2e-200],
]
BUDGETS = [0.0, 1e-30, 1e-12, 1e-3, 0.5, 40.0, 1e4, inf]


def bandit(p: list[float], r: list[float]) -> Case:
    size = len(p)
    ones = np.ones(1)
    raw = RawModel(
        "bandit", np.zeros((size, 1)), np.array([0, size]), np.array(r), np.ones(size), ones, np.array(p), 0.0
    )
    return Case(raw, rl.Discounted(0.0))


@pytest.mark.parametrize("budget", BUDGETS)
@pytest.mark.parametrize("region", [rl.MaxKL, rl.MeanKL, rl.KLPenalty])
def test_rows_with_everything_that_can_be_wrong(region: Any, budget: float) -> None:
    # Each budget takes every second pair, or every fourth where the reference has two searches: in turn, so that of the
    # eight budgets four or two take each pair.
    penalised = region is rl.KLPenalty
    turns = 4 if penalised else 2
    pairs = list(itertools.product(ROW_PROBABILITIES, ROW_REWARDS))
    for p, r in pairs[BUDGETS.index(budget) % turns :: turns]:
        case = bandit(p, r)
        step = case.step(region(budget))
        # With one state the mean is the maximum.
        expected = case.expected(reference.KLPenalty(budget) if penalised else reference.MaxKL(budget))
        assert largest_difference(step.policy, expected.policy) <= ROWS, (p, r)
        if not penalised and budget < inf:
            # An allowance of a few roundings, beside the defect of the old row.
            kl = reference.policy_divergences([p], case.raw.by_state(step.policy.ravel())).max_kl
            assert kl <= budget * (1 + 16 * ULP) + abs(float(linear.dot(reference.exact(p), [Fraction(1)] * 3) - 1)), (
                p,
                r,
            )
