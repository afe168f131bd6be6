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
import scipy.sparse

import generated_models
import rlcore as rl
from generated_models import Array, Generator
from rlcore import _core, reference  # noqa: TID251 - rows and advantages of its own
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
    asked = problem(family, 0)
    best, step = asked.reference(region), asked.step(region)
    rows = asked.rows_of(step.policy)
    # Rows, to 1e-9.
    for state, (found, right) in enumerate(zip(rows, best.policy, strict=True)):
        assert max(abs(Fraction(x) - y) for x, y in zip(found, right, strict=True)) <= 1e-9, state
        assert min(found) >= 0.0
        assert abs(math.fsum(found) - 1.0) <= 8 * ULP
        assert all(q > 0.0 for q, p in zip(found, asked.rows_of(asked.policy)[state], strict=True) if p > 0.0) or (
            INF in best.kl
        )
    # What they gain, exactly, is within the proven gap of what the dual allows, and not above it beyond rounding.
    gain = sum(
        Fraction(float(w)) * sum((Fraction(q) - Fraction(p)) * Fraction(a) for q, p, a in zip(*row, strict=True))
        for w, *row in zip(asked.weight, rows, asked.rows_of(asked.policy), asked.rows_of(asked.advantage), strict=True)
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
        assert abs(own - Fraction(float(step.kl[state]))) <= step.kl_error
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


# ---- prices, levels, ties ----


def test_multipliers_and_levels_are_those_of_the_reference() -> None:
    for family in ("ordinary", "not_all_taken", "deterministic", "nearly_deterministic"):
        asked = problem(family, 0)
        for region in (rl.MaxKL(0.01), rl.KLPenalty(0.5), rl.MeanKL(0.01)):
            best, step = asked.reference(region), asked.step(region)
            if isinstance(best.multiplier, list):
                # A price follows from KL, so its relative error is that of KL times d log lambda / d log KL.
                np.testing.assert_allclose(step.multiplier, np.array(best.multiplier, float), rtol=1e-9, atol=1e-12)
            else:
                assert step.price == pytest.approx(float(best.multiplier), rel=1e-10)
            assert step.kl == pytest.approx([float(kl) for kl in best.kl], rel=1e-10, abs=1e-15)
        penalised = asked.step(rl.KLPenalty(0.5))
        moved = penalised.kl > 0.0
        assert np.ptp(penalised.kl[moved]) <= 1e-10 * penalised.kl.max()
        assert 0.5 * (1.0 - 1e-12) <= math.fsum(penalised.multiplier) <= 0.5


def test_what_is_within_a_tie_stays() -> None:
    p = np.array([0.2, 0.3, 0.5])
    rows: Rows = [
        (p, np.array([0.0, 1e-9, -1e-9])),  # flat up to 2e-9
        (p, np.array([0.0, 1.0, -1.0])),
        (np.array([0.0, 0.4, 0.6]), np.array([1e-9, 0.0, 0.0])),  # a lead within a tie
        (np.array([0.0, 0.4, 0.6]), np.array([1e-8, 0.0, 1e-9])),  # one that is not
    ]
    asked = Problem(rows, np.ones(4), tie=2e-9)
    for region in (rl.MaxKL(0.1), rl.MaxKL(INF), rl.MeanKL(0.1), rl.KLPenalty(1.0), rl.KLPenalty(0.0)):
        step = asked.step(region)
        found = [np.array(row) for row in asked.rows_of(step.policy)]
        assert np.array_equal(found[0], rows[0][0])
        assert np.array_equal(found[2], rows[2][0])
        assert step.kl[0] == step.kl[2] == 0.0
        assert not np.array_equal(found[1], rows[1][0])
        # What the ties hide is in the gap: the kept rows could gain 1e-9 each.
        assert 1e-9 <= step.dual_gap < 1e-7
    # A row that is flat up to a tie goes to the action that leads, and stays in proportion.
    row = np.array(asked.rows_of(asked.step(rl.MaxKL(0.1)).policy)[3])
    np.testing.assert_allclose(row, [-math.expm1(-0.1), 0.4 * math.exp(-0.1), 0.6 * math.exp(-0.1)], rtol=1e-12)


def test_ties_go_to_the_lowest_action() -> None:
    half = np.array([0.0, 0.5, 0.0, 0.5])
    asked = Problem([(half, np.array([1.0, 0.0, 1.0, -1.0]))], np.ones(1))
    for region in (rl.MaxKL(1.0), rl.MaxKL(INF), rl.KLPenalty(0.1), rl.MeanKL(1.0)):
        row = asked.rows_of(asked.step(region).policy)[0]
        assert row[0] > 0.0
        assert row[2] == 0.0


def test_a_penalty_above_every_lead_moves_nothing() -> None:
    """kappa = 0 iff all visited rows are flat and sum w x0 <= C."""
    rows: Rows = [(np.array([1.0, 0.0]), np.array([0.0, lead])) for lead in (1.0, 2.0, 3.0)]
    asked = Problem(rows, np.array([1.0, 2.0, 0.0]))
    assert np.array_equal(asked.step(rl.KLPenalty(5.0 + 1e-9)).policy.ravel(), asked.policy)
    assert np.array_equal(asked.step(rl.KLPenalty(5.0 + 1e-9)).multiplier, [1.0, 4.0, 0.0])
    moved = asked.step(rl.KLPenalty(5.0 * math.exp(-0.1)))
    np.testing.assert_allclose(moved.kl, [0.1, 0.1, 0.0], rtol=1e-10)


def test_far_points_of_the_path() -> None:
    """A row that is almost greedy goes as far as log x = -1e13, where no double could hold x."""
    tiny = 1e-13
    p = np.array([1.0 - tiny, tiny])
    asked = Problem([(p, np.array([1.0, 0.0]))], np.ones(1))
    step = asked.step(rl.MaxKL(1.0))
    assert step.kl[0] == pytest.approx(1.0, rel=1e-12)
    row = np.ravel(step.policy)
    assert row[1] == 5e-324  # as small as can be, so that KL is finite
    assert rl.policy_divergences(asked.mdp, asked.policy, row).kl_max < 1.0
    assert step.multiplier[0] == 0.0
    # The bound tells how far the row as it is stored is from the KL of the exact step.
    own = reference.policy_divergences(asked.rows_of(asked.policy), [row.tolist()]).kl[0]
    assert abs(own - Fraction(float(step.kl[0]))) <= step.kl_error <= 1.0


def test_levels_above_a_long_plateau_of_the_price() -> None:
    """With a best action of 1e-300 the price hardly falls from a level of 1e-300 to one of 1: Newton would leap."""
    rows: Rows = [
        (np.array([1e-300, 1e-300, 1.0]), np.array([2.5, 0.75, 0.0])),
        (np.array([1e-300, 1e-300, 1.0, 1e-300]), np.array([-0.5, -0.5, 0.0, 2.0])),
    ]
    asked = Problem(rows, np.array([27e3, 39e3]))
    for coefficient in (1e-3, 0.1, 50.0):
        best, step = asked.reference(rl.KLPenalty(coefficient)), asked.step(rl.KLPenalty(coefficient))
        assert step.kl == pytest.approx([float(kl) for kl in best.kl], rel=1e-10)
        assert step.dual_gap <= 1e-12 * float(largest(asked))


def test_a_mean_of_one_state_is_a_maximum_where_numbers_underflow() -> None:
    """The spread of A is 1e-350 here."""
    for p in ([1e-300, 1.0, 1e-300], [0.25, 0.25, 0.5]):
        asked = Problem([(np.array(p), np.array([1e-200, 0.0, 2e-200]))], np.ones(1))
        for delta in (1e-3, 0.5, 40.0):
            mean, most = asked.step(rl.MeanKL(delta)), asked.step(rl.MaxKL(delta))
            assert np.abs(mean.policy - most.policy).max() <= 1e-9
            assert mean.kl == pytest.approx(most.kl, rel=1e-9)


# ---- the public function ----


def small(setting: Any, seed: int) -> rl.MDP:
    rng = np.random.default_rng(seed)
    states, actions = 6, 3
    P = rng.dirichlet(np.ones(states), size=(states, actions))
    ends = rng.uniform(0.05, 0.3, size=(states, actions)) if isinstance(setting, rl.Episodic) else None
    if ends is not None:
        P *= (1.0 - ends)[..., None]
    return rl.MDP.from_arrays(
        P, rng.normal(size=(states, actions)), layout="SAS", termination=ends, initial=np.full(states, 1 / states)
    )


SETTINGS = [rl.Discounted(0.9), rl.Discounted(0.0), rl.Episodic(), rl.Average()]


@pytest.mark.parametrize("setting", SETTINGS, ids=repr)
@pytest.mark.parametrize(
    "region", [rl.MaxKL(0.02), rl.MaxKL(INF), rl.MeanKL(0.02), rl.KLPenalty(2.0), rl.KLPenalty(0.0)], ids=repr
)
def test_eta_never_falls_and_the_surrogate_is_right(setting: Any, region: Any) -> None:
    for seed in range(3):
        mdp = small(setting, seed)
        policy = rl.random_policy(mdp, seed)
        step = rl.trust_region_step(mdp, policy, setting, region)
        report = rl.check_improvement(mdp, policy, step.policy, setting)
        assert report.improves == rl.Verdict.HOLDS
        bounds = step.certificate.bounds
        assert abs(step.eta_new - report.eta_new) <= bounds["eta_new"] + report.certificate.bounds["eta_new"]
        assert step.surrogate_gain in rl.Enclosure.around(report.expected_gain.value, 2 * report.expected_gain.error)
        advantage = rl.evaluate(mdp, policy, setting, tol=0).advantage
        abar = ((step.policy - policy) * advantage).sum(axis=1)
        assert (abar >= -4 * ULP * np.abs(advantage).max()).all()
        assert step.dual_gap <= 1e-11 * max(step.surrogate_gain, np.abs(advantage).max())


@pytest.mark.parametrize(
    "region", [rl.MaxKL(0.02), rl.MeanKL(0.02), rl.KLPenalty(2.0), rl.KLPenalty(), rl.KLPenalty(0.0)], ids=repr
)
def test_the_gap_is_proven_for_the_exact_model(region: Any) -> None:
    """Advantages and visits in fractions, the gap recomputed from the new rows alone."""
    for seed in range(2):
        mdp = small(rl.Discounted(0.9), seed)
        policy = rl.random_policy(mdp, seed)
        step = rl.trust_region_step(mdp, policy, 0.9, region)
        P = mdp.transition.toarray().reshape(6, 3, 6).tolist()
        best = exact.trust_region_step(P, policy.tolist(), mdp.initial, 0.9, mdp.reward.tolist(), as_reference(region))
        rows = zip(step.policy.tolist(), best.policy, strict=True)
        assert max(abs(Fraction(x) - y) for found, right in rows for x, y in zip(found, right, strict=True)) <= 1e-9
        assert abs(Fraction(step.eta) - best.eta) <= step.certificate.bounds["eta"]
        assert abs(step.eta_new - float(best.eta_new)) <= 1e-9
        old = reference.evaluate(P, mdp.reward.tolist(), policy.tolist(), 0.9, mdp.initial)
        visits = reference.occupancy(P, policy.tolist(), mdp.initial, 0.9)
        asked = as_reference(region if step.penalty is None else rl.KLPenalty(step.penalty))
        gap = exact.dual_gap_of(
            step.policy.tolist(), policy.tolist(), old.advantage, visits.visits, visits.state, asked
        )
        assert gap <= step.dual_gap
        assert step.dual_gap <= 1e-10


@pytest.mark.parametrize(
    ("family", "index", "region"), [("dense", 3, rl.MeanKL(1e-6)), ("termination_sure", 0, rl.KLPenalty(50.0))]
)
def test_the_bound_of_kl_holds_for_the_rows_as_they_are_stored(family: str, index: int, region: Any) -> None:
    """Also to the last bit: KL as doubles have it is itself rounded."""
    raw = generated_models.model(family, index)
    mdp = rl.MDP(raw.transition, raw.reward, raw.pair_start, raw.termination, raw.initial)
    step = rl.trust_region_step(mdp, raw.policy, raw.gamma, region)
    true = reference.policy_divergences(raw.by_state(raw.policy), raw.by_state(step.policy.ravel())).kl
    bound = step.certificate.bounds["kl"]
    assert all(abs(Fraction(x) - y) <= bound for x, y in zip(step.kl.tolist(), true, strict=True))
    assert bound <= 1e-12 * step.kl.max()


@pytest.mark.parametrize("setting", SETTINGS, ids=repr)
def test_d_is_that_of_the_setting(setting: Any) -> None:
    mdp = small(setting, 7)
    policy = rl.random_policy(mdp, 1)
    step = rl.trust_region_step(mdp, policy, setting, rl.MeanKL(0.03))
    d = rl.occupancy(mdp, policy, setting, tol=1e-12).state
    assert float(d @ step.kl) == pytest.approx(0.03, rel=1e-9)
    assert rl.policy_divergences(mdp, policy, step.policy, weights=d).kl_mean == pytest.approx(0.03, rel=1e-9)


def test_the_default_penalty_is_that_of_the_theorem() -> None:
    mdp = small(rl.Discounted(0.9), 3)
    policy = rl.uniform_policy(mdp)
    step = rl.trust_region_step(mdp, policy, 0.9, rl.KLPenalty())
    epsilon = np.abs(rl.evaluate(mdp, policy, 0.9).advantage).max()
    assert step.penalty == pytest.approx(4 * epsilon * 0.9 / 0.1**2, rel=1e-9)
    report = rl.check_improvement(mdp, policy, step.policy, 0.9)
    assert report.bounds["theorem_2_1"].lower >= step.eta
    # Without a future there is nothing to fear: C = 0, and the step is greedy.
    greedy = rl.trust_region_step(mdp, policy, 0.0, rl.KLPenalty())
    assert greedy.penalty == 0.0
    assert np.array_equal(greedy.policy, rl.greedy_policy(mdp, mdp.reward))


@pytest.mark.parametrize("setting", [rl.Episodic(), rl.Average()], ids=repr)
def test_the_default_penalty_needs_a_discount(setting: Any) -> None:
    mdp = small(setting, 3)
    with pytest.raises(rl.SettingError, match=r"region: the default coefficient of rlcore\.KLPenalty\(\) exists for"):
        rl.trust_region_step(mdp, rl.uniform_policy(mdp), setting, rl.KLPenalty())


def test_unvisited_states_stay() -> None:
    P = np.array([[[1.0, 0.0], [1.0, 0.0]], [[0.5, 0.5], [0.0, 1.0]]])
    mdp = rl.MDP.from_arrays(P, np.array([[0.0, 1.0], [0.0, 1.0]]), layout="SAS", initial=[1, 0])
    for region in (rl.MaxKL(0.5), rl.MaxKL(INF), rl.MeanKL(0.5), rl.KLPenalty(0.1)):
        step = rl.trust_region_step(mdp, [[0.5, 0.5], [0.25, 0.75]], 0.9, region)
        assert np.array_equal(step.policy[1], [0.25, 0.75])
        assert step.kl[1] == 0.0
        assert step.policy[0, 1] > 0.5


def test_rounding_noise_moves_nothing() -> None:
    """A = 0 everywhere up to rounding: no step."""
    rng = np.random.default_rng(0)
    P = rng.dirichlet(np.ones(5), size=(5, 3))
    mdp = rl.MDP.from_arrays(P, np.full((5, 3), 0.1), layout="SAS", initial=np.full(5, 0.2))
    policy = rl.random_policy(mdp, 0)
    for region in (rl.MaxKL(0.5), rl.MaxKL(INF), rl.MeanKL(0.5), rl.KLPenalty(), rl.KLPenalty(0.0)):
        step = rl.trust_region_step(mdp, policy, 0.99, region)
        assert np.array_equal(step.policy, policy)
        assert step.surrogate_gain == 0.0
        assert step.kl.max() == 0.0


def test_an_offset_of_the_rewards_changes_nothing() -> None:
    mdp = small(rl.Discounted(0.9), 5)
    policy = rl.random_policy(mdp, 5)
    plain = rl.trust_region_step(mdp, policy, 0.9, rl.MeanKL(0.01))
    offset = rl.trust_region_step(mdp.with_reward(mdp.reward + 2.0**20), policy, 0.9, rl.MeanKL(0.01))
    # A is right to some ulp of the rewards, and a row moves by about that times sqrt(2 delta) / its spread.
    assert np.abs(plain.policy - offset.policy).max() <= 1e-9


def test_greedy_steps_reach_the_optimum() -> None:
    """Forest: V* = (6561, 7371, 8371) / 250."""
    mdp = rl.gallery.forest().with_initial(np.full(3, 1 / 3))
    policy, known = rl.uniform_policy(mdp), None
    for _ in range(3):
        step = rl.trust_region_step(mdp, policy, 0.9, rl.MaxKL(INF), evaluation=known)
        policy, known = step.policy, step.evaluation
    # The probabilities of the model are doubles, right to an ulp, and count for 1 / (1 - gamma) steps.
    assert step.eta_new == pytest.approx((6561 + 7371 + 8371) / 750, rel=20 * ULP)


def test_what_is_known_already_is_not_found_again() -> None:
    mdp = small(rl.Discounted(0.9), 2)
    policy = rl.random_policy(mdp, 2)
    first = rl.trust_region_step(mdp, policy, 0.9, rl.MaxKL(0.1))
    again = rl.trust_region_step(mdp, first.policy, 0.9, rl.MaxKL(0.1))
    handed = rl.trust_region_step(
        mdp,
        first.policy,
        0.9,
        rl.MaxKL(0.1),
        evaluation=first.evaluation,
        occupancy=rl.occupancy(mdp, first.policy, 0.9, tol=1e-12),
    )
    assert np.array_equal(again.policy, handed.policy)
    assert again.eta == handed.eta == first.eta_new


def test_episodes_that_would_not_end_are_not_entered() -> None:
    """An action after which the old policy goes on for ever has no advantage and is not taken, however it pays."""
    P = np.zeros((2, 2, 2))
    P[0, 1, 1] = 1.0  # action 1 of state 0 leads to state 1, which the policy never leaves
    P[1, :, 1] = [1.0, 0.0]
    ends = np.array([[1.0, 0.0], [0.0, 1.0]])
    mdp = rl.MDP.from_arrays(P, [[1.0, 5.0], [1.0, 0.0]], layout="SAS", termination=ends, initial=[1, 0])
    for region in (rl.MaxKL(1.0), rl.MaxKL(INF), rl.MeanKL(1.0), rl.KLPenalty(0.1)):
        step = rl.trust_region_step(mdp, [[1.0, 0.0], [1.0, 0.0]], rl.Episodic(), region)
        assert np.array_equal(step.policy, [[1.0, 0.0], [1.0, 0.0]])


def test_a_greedy_step_can_part_the_long_run() -> None:
    """From (1/2, 1/2) each: stay where it pays. The gain is then that of a start where the old policy was."""
    P = np.array([[[1.0, 0.0], [0.0, 1.0]], [[0.0, 1.0], [1.0, 0.0]]])  # stay, or go
    mdp = rl.MDP.from_arrays(P, [[1.0, 0.0], [2.0, 0.0]], layout="SAS")
    step = rl.trust_region_step(mdp, [[0.25, 0.75], [0.25, 0.75]], rl.Average(), rl.MaxKL(INF))
    d = rl.occupancy(mdp, [[0.25, 0.75], [0.25, 0.75]], rl.Average(), initial=[1, 0]).state
    gain = rl.evaluate(mdp, step.policy, rl.Average()).gain
    assert abs(step.eta_new - float(d @ gain)) <= 4 * step.certificate.bounds["eta_new"] + 8 * ULP


# ---- generated models, threads ----


@pytest.mark.parametrize("region", [rl.MaxKL(0.05), rl.MeanKL(0.05), rl.KLPenalty(1.0)], ids=repr)
@pytest.mark.parametrize("family", generated_models.FAMILIES)
def test_generated_models_improve(family: str, region: Any) -> None:
    for index in range(3):
        raw = generated_models.model(family, index)
        termination = raw.termination if raw.termination.any() else None
        mdp = rl.MDP(raw.transition, raw.reward, raw.pair_start, termination, raw.initial)
        gamma = rl.Discounted(raw.gamma)
        step = rl.trust_region_step(mdp, raw.policy, gamma, region)
        report = rl.check_improvement(mdp, raw.policy, step.policy, gamma)
        # The sums of rows as they are stored differ by rounding, and each bit of that is worth V in every step.
        changes = zip(raw.by_state(step.policy.ravel()), raw.by_state(raw.policy), strict=True)
        drift = max(abs(math.fsum([*new, *(-p for p in old)])) for new, old in changes)
        worth = 2.0 * float(np.abs(rl.evaluate(mdp, raw.policy, gamma).value).max()) / (1.0 - raw.gamma)
        assert report.improvement.upper >= -drift * worth
        assert step.surrogate_gain >= -step.certificate.bounds["surrogate_gain"]
        assert step.dual_gap >= 0.0


@pytest.mark.parametrize("region", [rl.MaxKL(0.1), rl.MeanKL(0.1), rl.KLPenalty(3.0)], ids=repr)
def test_threads_change_no_bit(region: Any) -> None:
    rng = np.random.default_rng(1)
    rows = [_row(rng, 3) for _ in range(9000)]
    asked = Problem.__new__(Problem)
    states = len(rows)
    asked.start = np.arange(0, 3 * states + 1, 3)
    asked.mdp = rl.gallery.garnet(states, 3, 1, seed=0)
    asked.policy, asked.advantage = (np.concatenate([row[i] for row in rows]) for i in (0, 1))
    asked.weight, asked.tie = rng.exponential(size=states), 0.0
    asked.share = 1.0 / float(asked.weight.sum())
    asked.old = _core.OldPolicy(asked.policy, asked.advantage, asked.weight, 0.0)
    one, two, three = (asked.step(region, threads) for threads in (1, 2, 3))
    for other in (two, three):
        assert np.array_equal(one.policy, other.policy)
        assert np.array_equal(one.kl, other.kl)
        assert np.array_equal(one.multiplier, other.multiplier)
        assert (one.price, one.dual_gap, one.passes) == (other.price, other.dual_gap, other.passes)


@pytest.mark.parametrize("region", [rl.MeanKL(1e-3), rl.KLPenalty(0.01), rl.KLPenalty(1e-6)], ids=str)
@pytest.mark.parametrize("block", [0, 5, None])
def test_a_sample_of_the_states_need_not_be_like_the_rest(region: rl.MeanKL | rl.KLPenalty, block: int | None) -> None:
    """Large models look at every 16th block of 4096 states first: alone what counts, without it, or like all."""
    num_states = 70 * 4096
    reward = np.zeros((num_states, 2))
    where = slice(None) if block is None else slice(4096 * block, 4096 * (block + 1))
    reward[where, 1] = np.random.default_rng(0).exponential(size=num_states)[where]
    stay = scipy.sparse.csr_array(np.ones((2, 1)))
    transition = scipy.sparse.kron(scipy.sparse.eye_array(num_states), stay, format="csr")
    mdp = rl.MDP(transition, reward, initial=np.full(num_states, 1.0 / num_states))
    step = rl.trust_region_step(mdp, rl.uniform_policy(mdp), 0.5, region)
    penalty = region.coefficient * step.kl.max() if isinstance(region, rl.KLPenalty) else 0.0
    assert 0.0 <= step.dual_gap <= 1e-9 * step.surrogate_gain
    assert step.surrogate_gain > penalty
    if isinstance(region, rl.MeanKL):
        assert step.kl.mean() == pytest.approx(region.delta, rel=1e-9)
