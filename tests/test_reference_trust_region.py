"""The reference of trust-region steps against the conditions of optimality, other candidates and closed forms."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from functools import cache
from itertools import pairwise
from math import inf

import mpmath
import numpy as np
import pytest
from mpmath import mp, mpf

import generated_chains
import generated_models
from generated_models import RawModel
from rlcore import reference
from rlcore.reference import Conservative, KLPenalty, MaxKL, MeanKL, NaturalGradient
from rlcore.reference.linear import dot
from rlcore.reference.rational import Matrix, Vector
from rlcore.reference.trust_region import Exact, TrustRegionStep, TrustRegionUpdate
from test_reference_settings import mended

HALF = Fraction(1, 2)
PROMISED = Fraction(1, 10**40)
"""The duality gap, relative to what there is to gain."""

REGIONS: list[Exact] = [MaxKL(0.01), MaxKL(2), MeanKL(0.01), MeanKL(1e-9), KLPenalty(0.5), KLPenalty(100)]


def real(x: Fraction | float) -> mpf:
    return mpf(x.numerator) / x.denominator if isinstance(x, Fraction) else mpf(x)


def problem(seed: int) -> tuple[Matrix, Matrix, Vector, Vector]:
    """Return policy, advantages, visits and shares of a few states: zeros, ties, flat and unvisited rows."""
    draw = random.Random(seed)
    policy, advantage = [], []
    for _ in range(draw.randint(1, 4)):
        size = draw.randint(1, 4)
        weights = [draw.choice([0, 1, 1, 2, Fraction(1, 100)]) for _ in range(size)]
        weights[draw.randrange(size)] += 1
        policy.append([Fraction(w) / sum(weights) for w in weights])
        advantage.append([Fraction(draw.choice([0, 0, 1, 2, -3, Fraction(1, 10**13), 10**6])) for _ in range(size)])
    weights = [draw.choice([0, 1, 2, Fraction(1, 100)]) for _ in policy]
    weights[-1] = 1
    total = Fraction(draw.choice([1, 10, 1000]))
    shares = [Fraction(w) / sum(weights) for w in weights]
    return policy, advantage, [total * share for share in shares], shares


PROBLEMS = [problem(seed) for seed in range(40)]


@cache
def solved(number: int, region: Exact) -> TrustRegionUpdate:
    return reference.trust_region_update(*PROBLEMS[number], region)


def gain_of(candidate: Matrix, policy: Matrix, advantage: Matrix, visits: Vector) -> Fraction:
    changes = [[q - p for p, q in zip(*rows, strict=True)] for rows in zip(policy, candidate, strict=True)]
    return dot(visits, [dot(change, A) for change, A in zip(changes, advantage, strict=True)])


def potential(advantage: Matrix, visits: Vector) -> Fraction:
    """Return what there is to gain at most: the scale of a gap."""
    return dot(visits, [max(A) - min(A) for A in advantage]) or Fraction(1)


# Optimality.


@pytest.mark.parametrize("region", REGIONS, ids=str)
def test_no_gap(region: Exact) -> None:
    for number, (policy, advantage, visits, state) in enumerate(PROBLEMS):
        update = solved(number, region)
        gap = update.dual_gap or Fraction(0)
        assert abs(gap) <= PROMISED * potential(advantage, visits)
        # Once more from the rows alone, exactly.
        again = reference.dual_gap_of(update.policy, policy, advantage, visits, state, region)
        assert abs(again) <= PROMISED * potential(advantage, visits)


@pytest.mark.parametrize("region", REGIONS, ids=str)
def test_rows_satisfy_the_conditions(region: Exact) -> None:
    """Sums, signs, and the budget to sixty digits, by the divergences of another module."""
    tolerance = Fraction(1, 10**55)
    for number, (policy, _advantage, visits, state) in enumerate(PROBLEMS):
        update = solved(number, region)
        assert all(abs(sum(row) - 1) <= tolerance and min(row) >= 0 for row in update.policy)
        kl = reference.policy_divergences(policy, update.policy, state)
        for s, (claimed, found) in enumerate(zip(update.kl, kl.kl, strict=True)):
            assert abs(claimed - found) <= tolerance * max(1, claimed), s
        visited = [k for k, w in zip(kl.kl, visits, strict=True) if w]
        if isinstance(region, MaxKL):
            assert max(visited) <= Fraction(region.delta) + tolerance
        elif isinstance(region, MeanKL):
            assert (kl.mean_kl or 0) <= Fraction(region.delta) + tolerance
            assert kl.mean_kl == 0 or abs((kl.mean_kl or 0) - Fraction(region.delta)) <= tolerance
        elif any(visited):
            moved = [k for k in visited if k]
            assert max(moved) - min(moved) <= tolerance, "all rows that move use the whole level"
            paid = sum(x for x in update.multiplier or [] if isinstance(x, Fraction))  # type: ignore[union-attr]
            assert abs(paid - Fraction(region.coefficient or 0)) <= tolerance * max(1, paid)
        assert all(p == q for p, q, w in zip(policy, update.policy, visits, strict=True) if w == 0)


@pytest.mark.parametrize("region", REGIONS, ids=str)
def test_first_order_conditions(region: Exact) -> None:
    """q (nu - A) = lambda p with one nu for each row, nu >= A where nothing was and nothing is."""
    with mp.workdps(60):
        for number, (policy, advantage, visits, _state) in enumerate(PROBLEMS):
            update = solved(number, region)
            for s, (p, q, A) in enumerate(zip(policy, update.policy, advantage, strict=True)):
                multiplier = update.multiplier[s] if isinstance(update.multiplier, list) else update.multiplier
                if p == q or not isinstance(multiplier, Fraction):
                    continue
                price = real(multiplier / visits[s]) if isinstance(region, KLPenalty) else real(multiplier)
                nu = [real(a) + price * real(x) / real(y) for x, y, a in zip(p, q, A, strict=True) if x > 0]
                scale = max(abs(real(a)) for a in A) + price
                assert max(nu) - min(nu) <= scale * mpf(10) ** -45
                for x, y, a in zip(p, q, A, strict=True):
                    if x == 0:
                        assert real(a) <= min(nu) + scale * mpf(10) ** -45
                        assert y == 0 or abs(real(a) - min(nu)) <= scale * mpf(10) ** -45


@pytest.mark.parametrize("region", REGIONS, ids=str)
def test_no_candidate_is_better(region: Exact) -> None:
    """Random candidates, moved towards the old policy until they are within the region."""
    for number, (policy, advantage, visits, state) in enumerate(PROBLEMS):
        update = solved(number, region)
        draw = random.Random(number)
        for _ in range(6):
            other = [[Fraction(draw.choice([0, 1, 5, Fraction(1, 50)])) + p for p in row] for row in policy]
            other = [[x / sum(row) for x in row] for row in other]
            for a in (Fraction(1), Fraction(1, 2), Fraction(1, 10), Fraction(1, 100), Fraction(1, 10**5)):
                rows = zip(policy, other, strict=True)
                candidate = [[p + a * (q - p) for p, q in zip(*row, strict=True)] for row in rows]
                kl = reference.policy_divergences(policy, candidate, state)
                gain = gain_of(candidate, policy, advantage, visits)
                visited = [k for k, w in zip(kl.kl, visits, strict=True) if w]
                if isinstance(region, KLPenalty):
                    gain -= Fraction(region.coefficient or 0) * Fraction(max(visited))
                elif (max(visited) if isinstance(region, MaxKL) else kl.mean_kl or 0) > region.delta:
                    continue
                assert gain <= (update.dual_value or 0) + PROMISED * potential(advantage, visits)


# Closed forms and corner cases.


def test_two_actions_by_hand() -> None:
    """KL((1/2, 1/2) || (1/2 + y, 1/2 - y)) = -log(1 - 4 y^2) / 2, and lambda = (1 - 4 y^2) / (4 y) for a gap of 1."""
    with mp.workdps(70):
        for delta in (Fraction(1, 10**30), Fraction(1, 100), Fraction(3)):
            update = reference.trust_region_update([[HALF, HALF]], [[1, 0]], [1], [1], MaxKL(delta))
            y = mpmath.sqrt(-mpmath.expm1(-2 * real(delta))) / 2
            assert abs(real(update.policy[0][0]) - mpf(1) / 2 - y) <= mpf(10) ** -58
            assert isinstance(update.multiplier, list)
            price = (1 - 4 * y**2) / (4 * y)
            assert abs(real(update.multiplier[0]) - price) <= mpf(10) ** -55 * price


@pytest.mark.parametrize("coefficient", [Fraction(1, 10**8), Fraction(1, 4), Fraction(10**12)])
def test_penalty_of_one_state_by_hand(coefficient: Fraction) -> None:
    """With one state the level does not matter: the price is the coefficient over the visits."""
    update = reference.trust_region_update([[HALF, HALF]], [[1, 0]], [2], [1], KLPenalty(coefficient))
    with mp.workdps(70):
        price = real(coefficient) / 2
        y = (mpmath.sqrt(price**2 + 1) - price) / 2  # of 4 y^2 + 4 lambda y = 1
        assert abs(real(update.policy[0][0]) - mpf(1) / 2 - y) <= mpf(10) ** -55


def one_row(p: list[float], A: list[float], region: Exact, tolerance: float = 0.0) -> TrustRegionUpdate:
    return reference.trust_region_update([p], [A], [1], [1], region, tolerance)


def test_greedy_already() -> None:
    for region in (MaxKL(1), MeanKL(1), KLPenalty(0.1), MaxKL(inf), KLPenalty(0)):
        update = one_row([0.25, 0.75, 0], [2, 2, 2], region)
        assert update.policy == [[0.25, 0.75, 0]]
        assert update.multiplier in ([0], 0)
        assert (update.kl, update.surrogate_gain, update.dual_gap) == ([0], 0, 0)


def test_rounding_noise_does_not_move() -> None:
    assert one_row([0.5, 0.5], [0, 1e-13], MaxKL(1)).policy[0][1] > 0.9, "a literal gap"
    assert one_row([0.5, 0.5], [0, 1e-13], MaxKL(1), tolerance=2e-13).policy == [[0.5, 0.5]]
    assert one_row([0.5, 0.5, 0], [0, 1e-13, 1e-12], MaxKL(1), tolerance=2e-13).policy[0][2] > 0.6


def test_deterministic_rows_move() -> None:
    """All that is not kept goes to the first of the best actions: q = exp(-delta) p."""
    with mp.workdps(70):
        for region in (MaxKL(0.25), MeanKL(0.25)):
            update = one_row([0, 1, 0, 0], [1, 0, 3, 3], region)
            kept = mpmath.exp(-mpf(1) / 4)
            assert abs(real(update.policy[0][1]) - kept) <= mpf(10) ** -58
            assert abs(real(update.policy[0][2]) - 1 + kept) <= mpf(10) ** -58
            assert update.policy[0][0] == update.policy[0][3] == 0
            price = update.multiplier[0] if isinstance(update.multiplier, list) else update.multiplier
            assert abs(real(price or 0) - 3 * kept) <= mpf(10) ** -55


def test_penalty_may_be_too_high() -> None:
    """A deterministic row gains 3 for each unit of KL at first; at a coefficient of 3 it does not move any more."""
    assert one_row([1, 0], [0, 3], KLPenalty(3)).policy == [[1, 0]]
    moved = one_row([1, 0], [0, 3], KLPenalty(2))
    assert abs(moved.policy[0][1] - Fraction(1, 3)) <= Fraction(1, 10**55)
    assert one_row([1, 0], [0, 3], KLPenalty(10**9)).policy == [[1, 0]]
    assert one_row([0.5, 0.5], [0, 3], KLPenalty(10**9)).policy != [[0.5, 0.5]], "another row always moves"


def test_limits_of_the_budget() -> None:
    nothing, all_of_it = Fraction(0), [[0, 1, 0]]
    for region in (MaxKL(0), MeanKL(0), KLPenalty(inf)):
        update = one_row([0.5, 0.25, 0.25], [0, 1, 1], region)
        assert update.policy == [[0.5, 0.25, 0.25]]
        assert (update.surrogate_gain, update.kl) == (nothing, [nothing])
    for region in (MaxKL(inf), MeanKL(inf), KLPenalty(0)):
        update = one_row([0.5, 0.25, 0.25], [0, 1, 1], region)
        assert update.policy == all_of_it
        assert (update.surrogate_gain, update.dual_gap, update.kl) == (HALF, 0, [inf])


def test_next_to_nothing_is_left() -> None:
    """With a budget of 1000 a sure action keeps exp(-1000), and the gap is closed up to that."""
    update = one_row([0, 1, 0], [1, 0, 3], MaxKL(1000))
    with mp.workdps(70):
        left = mpmath.exp(-mpf(1000))
        assert abs(real(update.policy[0][1]) / left - 1) <= mpf(10) ** -58
    assert abs(update.dual_gap or 0) <= PROMISED


def test_improbable_actions() -> None:
    """The row (1, 1e-300) leaves its second action in order to use up a KL: log q = -1e298 and far beyond a double."""
    update = one_row([1, 1e-300], [1, 0], MaxKL(0.01))
    assert update.policy[0][1] == 0
    assert update.kl == [pytest.approx(0.01, rel=1e-15)]
    assert abs(update.dual_gap or 0) <= PROMISED * update.surrogate_gain
    up = one_row([1, 1e-300], [0, 1], MaxKL(0.01))
    assert float(up.policy[0][1]) == pytest.approx(-np.expm1(-0.01), rel=1e-12)


def test_bad_budget() -> None:
    for region in (MaxKL(-1), MeanKL(float("nan")), KLPenalty()):
        with pytest.raises(ValueError, match="region: expected a number >= 0"):
            one_row([1], [0], region)


# Steps on models.


def discounted(raw: RawModel, region: reference.trust_region.Region) -> TrustRegionStep:
    model = mended(raw)
    gamma = min(raw.gamma, 0.999)
    return reference.trust_region_step(model.transition, model.policy, model.initial, gamma, model.reward, region)


def small(families: dict[str, Callable[..., RawModel]], make: Callable[[str, int], RawModel]) -> list[RawModel]:
    found = [make(family, index) for family in families for index in range(4)]
    return [raw for raw in found if raw.num_states <= 5]


MODELS = small(generated_models.FAMILIES, generated_models.model)


@pytest.mark.parametrize("raw", MODELS, ids=lambda raw: raw.name)
def test_return_never_falls(raw: RawModel) -> None:
    """Every exact step has Abar >= 0 in every state, so that the exact return does not fall (theory 5.1)."""
    for region in (MaxKL(0.1), MeanKL(0.1), KLPenalty()):
        step = discounted(raw, region)
        scale = abs(step.eta) + step.surrogate_gain
        assert step.eta_new >= step.eta - scale * Fraction(1, 10**50)
        again = reference.improvement(*inputs(raw, step.policy))
        assert abs(again.surrogate - step.eta - step.surrogate_gain) <= scale * Fraction(1, 10**50)
        assert again.new_start_value == step.eta_new


def inputs(raw: RawModel, candidate: Matrix) -> tuple[object, ...]:
    model = mended(raw)
    return model.transition, model.policy, candidate, model.initial, min(raw.gamma, 0.999), model.reward


@pytest.mark.parametrize("raw", MODELS, ids=lambda raw: raw.name)
def test_mixtures_keep_their_promise(raw: RawModel) -> None:
    step = discounted(raw, Conservative())
    scale = abs(step.eta) + abs(step.eta_new)
    assert step.eta_new >= step.eta - scale * Fraction(1, 10**50)
    assert step.dual_gap is None


@pytest.mark.parametrize("region", [MaxKL(0.1), MeanKL(0.1), KLPenalty(2), NaturalGradient(0.5)], ids=str)
def test_episodes_of_the_death_process(region: Exact) -> None:
    """Theory 3.5: a discount is a chance to end. So the episodic step is the discounted one, to the last digit."""
    for raw in [raw for raw in MODELS if not raw.termination.any() and 0 < raw.gamma <= 0.9][:12]:
        model = mended(raw)
        gamma = Fraction(raw.gamma)
        death = reference.death_mdp(model.transition, gamma, model.termination)
        ours = discounted(raw, region)
        theirs = reference.trust_region_step_episodic(
            death.transition, model.policy, model.initial, model.reward, death.termination, region
        )
        assert replace(theirs, eta_new=ours.eta_new) == ours
        # The return belongs to rows of sixty digits, and the end gets what they miss.
        assert abs(theirs.eta_new - ours.eta_new) <= Fraction(1, 10**50) * (abs(ours.eta) + abs(ours.eta_new))


@pytest.mark.parametrize("region", [MaxKL(0.1), MeanKL(0.1), KLPenalty(2), NaturalGradient(0.5)], ids=str)
def test_gain_in_the_long_run(region: Exact) -> None:
    compared = 0
    for raw in small(generated_chains.CONTINUING, generated_chains.model):
        model = mended(raw)
        if not reference.chain_structure(model.transition, model.policy).is_unichain:
            continue
        step = reference.trust_region_step_average(model.transition, model.policy, model.reward, region)
        if not reference.chain_structure(model.transition, step.policy).is_unichain:
            continue
        compared += 1
        again = reference.improvement_average(model.transition, model.policy, step.policy, model.reward)
        scale = abs(step.eta) + abs(step.surrogate_gain)
        assert abs(again.surrogate - step.eta - step.surrogate_gain) <= scale * Fraction(1, 10**50)
        assert abs(again.new_start_value - step.eta_new) <= scale * Fraction(1, 10**50)
    assert compared >= 5


def test_natural_gradient_by_hand() -> None:
    """From even chances, an advantage of log 2 doubles the odds for each unit of the step."""
    update = one_row([0.5, 0.5], [float(mpmath.log(2)), 0], NaturalGradient(3))
    assert float(update.policy[0][0]) == pytest.approx(8 / 9, rel=1e-14)


def test_regions_that_need_a_discount() -> None:
    for region in (KLPenalty(), Conservative()):
        with pytest.raises(ValueError, match="needs a discount factor"):
            reference.trust_region_step_average([[[1]]], [[1]], [[1]], region)
        with pytest.raises(ValueError, match="needs a discount factor"):
            reference.trust_region_step_episodic([[[0]]], [[1]], [1], [[1]], [[1]], region)


# Runs.


def test_greedy_steps_are_policy_iteration() -> None:
    for raw in [raw for raw in MODELS if raw.gamma <= 0.9 and raw.initial.all()]:
        model = mended(raw)
        arguments = (model.transition, model.policy, model.initial, raw.gamma, model.reward)
        steps = reference.improve(*arguments, MaxKL(inf), 50)
        optimum = reference.solve(model.transition, model.reward, raw.gamma, model.initial)
        assert (steps[-1].eta_new if steps else optimum.start_value) == optimum.start_value


@pytest.mark.parametrize("region", [MaxKL(0.2), MeanKL(0.2), KLPenalty(), Conservative(), NaturalGradient(2)], ids=str)
def test_a_run_climbs_step_by_step(region: reference.trust_region.Region) -> None:
    rows, reward = [[[HALF, HALF], [1, 0]], [[0, 1], [HALF, HALF]]], [[0, 1], [2, 0]]
    start = [[HALF, HALF], [HALF, HALF]]
    steps = reference.improve(rows, start, [HALF, HALF], Fraction(9, 10), reward, region, 4)
    optimum = reference.solve(rows, reward, Fraction(9, 10), [HALF, HALF]).start_value
    returns = [steps[0].eta, *(step.eta_new for step in steps)]
    assert len(steps) == 4
    assert all(before < after for before, after in pairwise(returns))
    assert optimum is not None
    assert returns[-1] <= optimum * (1 + Fraction(1, 10**50))
    assert [step.eta for step in steps] == returns[:-1]
