"""Trust-region steps against the reference in eighty digits: rows, prices, and what their dual proves.

The rows of most tests go to the core with advantages and weights of their own, on a model whose states lead nowhere: so
that they can be as nasty as doubles allow.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from fractions import Fraction
from typing import Any

import numpy as np
import pytest

import rlcore as rl
from generated_models import Array, Generator
from rlcore import _core, reference
from rlcore.reference import trust_region as exact

INF = math.inf
ULP = float(np.finfo(float).eps)

Rows = list[tuple[Array, Array]]  # (p, A) of each state


# ---- rows ----


def _row(rng: Generator, actions: int) -> tuple[Array, Array]:
    return rng.dirichlet(np.ones(actions)), rng.normal(size=actions)


def ordinary(rng: Generator) -> Rows:
    """Rows of two to six actions, all of them taken."""
    return [_row(rng, int(rng.integers(2, 7))) for _ in range(6)]


def not_all_taken(rng: Generator) -> Rows:
    """Some actions have the probability 0; some of these are the best."""
    rows = []
    for _ in range(6):
        p, advantage = _row(rng, int(rng.integers(2, 7)))
        p[rng.random(p.size) < 0.5] = 0.0
        if not p.any():
            p[0] = 1.0
        rows.append((p / p.sum(), advantage))
    return rows


def deterministic(rng: Generator) -> Rows:
    """One action has the probability 1."""
    return [(np.eye(4)[rng.integers(4)], rng.normal(size=4)) for _ in range(6)]


def nearly_deterministic(rng: Generator) -> Rows:
    """One action has almost all of the probability, the best one or another."""
    rows = []
    for exponent in (-3, -6, -9, -13, -16):
        others = 10.0**exponent * rng.dirichlet(np.ones(3))
        rows.append((np.concatenate([[1.0 - others.sum()], others]), rng.normal(size=4)))
        rows.append((rows[-1][0], np.array([1.0, 0.0, 0.5, -1.0])))
    return rows


def hardly_taken(rng: Generator) -> Rows:
    """Probabilities down to 1e-300, of the best action or of others."""
    rows = []
    for tiny in (1e-20, 1e-100, 1e-200, 1e-300):
        for best in (0, 1):
            p = np.array([tiny, 0.25, 0.75])
            rows.append((p, np.where(np.arange(3) == best, 1.0, rng.normal(size=3) - 3.0)))
    return rows


def ties(rng: Generator) -> Rows:
    """Actions that are as good as each other, at the top, below it, everywhere, and outside the support."""
    p = rng.dirichlet(np.ones(4))
    half = np.array([0.5, 0.5, 0.0, 0.0])
    return [
        (p, np.array([1.0, 1.0, 0.0, 0.0])),
        (p, np.array([1.0, 0.0, 0.0, 0.0])),
        (p, np.array([2.0, 2.0, 2.0, 2.0])),
        (half, np.array([0.0, 0.0, 1.0, 1.0])),
        (half, np.array([0.0, 0.0, 0.0, 0.0])),
        (half, np.array([0.0, -1.0, 0.0, 0.0])),
    ]


def near_gaps(rng: Generator) -> Rows:
    """Gaps of very different size in one row."""
    return [(rng.dirichlet(np.ones(4)), np.array([0.0, -(10.0**-k), -1.0, -(10.0 ** -(k / 2))])) for k in range(1, 15)]


def of_any_size(rng: Generator) -> Rows:
    """Advantages from 1e-150 to 1e150."""
    return [(p, scale * a) for scale in (1e-150, 1e-30, 1.0, 1e30, 1e150) for p, a in [_row(rng, 3)]]


def one_action(rng: Generator) -> Rows:
    """Nothing to choose."""
    return [(np.ones(1), np.zeros(1)), _row(rng, 2)]


FAMILIES: dict[str, Callable[[Generator], Rows]] = {
    family.__name__: family
    for family in (
        ordinary,
        not_all_taken,
        deterministic,
        nearly_deterministic,
        hardly_taken,
        ties,
        near_gaps,
        of_any_size,
        one_action,
    )
}


class Problem:
    """Rows with weights, as the core and as the reference take them."""

    def __init__(self, rows: Rows, weight: Array, tie: float = 0.0) -> None:
        start = np.concatenate([[0], np.cumsum([p.size for p, _ in rows])])
        pairs, states = int(start[-1]), len(rows)
        self.mdp = rl.MDP(np.full((pairs, states), 1.0 / states), np.zeros(pairs), pair_start=start, normalize=True)
        self.start = start
        self.policy = np.concatenate([p for p, _ in rows])
        self.advantage = np.concatenate([a for _, a in rows])
        self.weight, self.tie = weight, tie
        self.share = 1.0 / float(weight.sum())
        self.old = _core.OldPolicy(self.policy, self.advantage, weight, tie)

    def step(self, region: Any, threads: int = 1) -> Any:
        if isinstance(region, rl.MaxKL):
            return _core.max_kl_step(self.mdp._core, self.old, region.delta, threads, None)
        if isinstance(region, rl.MeanKL):
            return _core.mean_kl_step(self.mdp._core, self.old, self.share, region.delta, threads, None)
        return _core.kl_penalty_step(self.mdp._core, self.old, region.coefficient, threads, None)

    def rows_of(self, x: Array) -> list[list[float]]:
        return [row.tolist() for row in np.split(np.ravel(x), self.start[1:-1])]

    @property
    def d(self) -> list[Fraction]:
        return [Fraction(float(w)) * Fraction(self.share) for w in self.weight]

    def reference(self, region: Any) -> exact.TrustRegionUpdate:
        return exact.trust_region_update(
            self.rows_of(self.policy),
            self.rows_of(self.advantage),
            self.weight.tolist(),
            self.d,
            as_reference(region),
            self.tie,
        )


def as_reference(region: Any) -> Any:
    if isinstance(region, rl.KLPenalty):
        return exact.KLPenalty(region.coefficient)
    return (exact.MaxKL if isinstance(region, rl.MaxKL) else exact.MeanKL)(region.delta)


def problem(family: str, index: int) -> Problem:
    rng = np.random.default_rng([index, *family.encode()])
    rows = FAMILIES[family](rng)
    weight = rng.exponential(size=len(rows)) * 10.0 ** rng.integers(-3, 2, size=len(rows))
    weight[rng.random(len(rows)) < 0.15] = 0.0
    weight[0] = 1.0
    return Problem(rows, weight)


REGIONS: list[Any] = [
    *(rl.MaxKL(delta) for delta in (0.0, 1e-12, 1e-6, 0.01, 0.3, 1.0, 30.0, 100.0, INF)),
    *(rl.MeanKL(delta) for delta in (0.0, 1e-12, 1e-6, 0.01, 0.3, 1.0, 30.0, 100.0, INF)),
    *(rl.KLPenalty(c) for c in (0.0, 1e-12, 1e-3, 0.1, 1.0, 10.0, 1e4, 1e9, INF)),
]


def largest(problem: Problem) -> Fraction:
    """What L can gain at most: the scale of its errors."""
    rows = zip(problem.rows_of(problem.policy), problem.rows_of(problem.advantage), problem.weight, strict=True)
    return sum((Fraction(float(w)) * (max(map(Fraction, a)) - min(map(Fraction, a))) for _, a, w in rows), Fraction(0))


@pytest.mark.parametrize("region", REGIONS, ids=repr)
@pytest.mark.parametrize("family", FAMILIES)
def test_the_step_is_the_reference_s(family: str, region: Any) -> None:
    for index in range(2):
        asked = problem(family, index)
        best, step = asked.reference(region), asked.step(region)
        rows = asked.rows_of(step.policy)
        # Rows, to 1e-9.
        for state, (found, right) in enumerate(zip(rows, best.policy, strict=True)):
            assert max(abs(Fraction(x) - y) for x, y in zip(found, right, strict=True)) <= 1e-9, (index, state)
            assert min(found) >= 0.0
            assert abs(math.fsum(found) - 1.0) <= 8 * ULP
            assert all(q > 0.0 for q, p in zip(found, asked.rows_of(asked.policy)[state], strict=True) if p > 0.0) or (
                INF in best.kl
            )
        # What they gain, exactly, is within the proven gap of what the dual allows, and not above it beyond rounding.
        gain = sum(
            Fraction(float(w)) * sum((Fraction(q) - Fraction(p)) * Fraction(a) for q, p, a in zip(*row, strict=True))
            for w, *row in zip(
                asked.weight, rows, asked.rows_of(asked.policy), asked.rows_of(asked.advantage), strict=True
            )
        )
        divergences = reference.policy_divergences(asked.rows_of(asked.policy), rows)
        visited = [state for state, w in enumerate(asked.weight) if w > 0.0]
        if isinstance(region, rl.KLPenalty) and region.coefficient not in (0.0, INF):
            gain -= Fraction(region.coefficient) * max(divergences.kl[state] for state in visited)
        assert best.dual_value is not None
        slack = largest(asked) * Fraction(ULP)  # rows that miss the sum 1 by a few ulp gain or lose so much
        assert best.dual_value - gain <= Fraction(step.dual_gap) + 8 * slack
        assert Fraction(step.dual_gap) <= Fraction(1e-9) * largest(asked)
        # KL as it is reported, and no more of it than is allowed, in the rows as they are stored.
        for state in visited:
            if best.kl[state] in (0, INF):
                assert step.kl[state] == best.kl[state]
                continue
            own = divergences.kl[state]
            assert own <= Fraction(float(step.kl[state])) + Fraction(step.kl_error)
            if isinstance(region, rl.MaxKL):
                assert own <= region.delta
        if isinstance(region, rl.MeanKL) and region.delta < INF:
            assert sum(x * kl for x, kl in zip(asked.d, divergences.kl, strict=True) if x) <= region.delta


def test_families_cover_their_corners() -> None:
    rows = [row for family in FAMILIES for index in range(2) for row in FAMILIES[family](np.random.default_rng(index))]
    leads = [a[p == 0.0].max() - a[p > 0.0].max() for p, a in rows if (p == 0.0).any()]
    assert min(leads) < 0.0 < max(leads)
    assert 0.0 in leads
    assert any(p.max() == 1.0 and p.size > 1 for p, _ in rows)
    assert any(0.0 < p.min() < 1e-299 for p, _ in rows)
    assert any(np.ptp(a[p > 0.0]) == 0.0 for p, a in rows)
