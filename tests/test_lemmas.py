"""The lemmas of policy improvement: both sides of each in exact arithmetic, and verdicts that cannot be wrong."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from typing import Any

import flint
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import generated_chains
import generated_models
import rlcore as rl
from generated_models import FAMILIES, Array, RawModel
from rlcore.enclosure import at_most
from rlcore.reference.chain import discounted_system, policy_reward, policy_transition
from rlcore.reference.linear import dot, multiply, solve, transpose
from rlcore.reference.rational import Matrix, Vector, exact
from test_agreement import core_model

LEMMAS = sys.modules["rlcore.lemmas"]  # the module, which the function of the same name hides
ZERO, ONE = Fraction(0), Fraction(1)
STEPS = 4
SMALL = 8  # states for which fractions are quick

Sides = dict[str, tuple[Vector, Vector]]


# ---- the statements in exact arithmetic ----


def over_states(old: Matrix, new: Matrix, f: Callable[[Fraction, Fraction], Fraction]) -> Vector:
    return [sum(map(f, p, q), ZERO) for p, q in zip(old, new, strict=True)]


def divergence(p: Vector, q: Vector) -> Fraction | float:
    """KL as `rlcore.policy_divergences` has it: with sum q - sum p, which is 0 but for rounding."""
    total = sum(q, ZERO) - sum(p, ZERO)
    if any(x and not y for x, y in zip(p, q, strict=True)):
        return float("inf")
    with flint.ctx.workprec(4000):
        logs = sum((ball(x) * (ball(x) / ball(y)).log() for x, y in zip(p, q, strict=True) if x), ball(total))
        mantissa, exponent = logs.mid().man_exp()
    return Fraction(int(mantissa)) * Fraction(2) ** int(exponent)


def ball(x: Fraction) -> flint.arb:
    return flint.arb(flint.fmpq(x.numerator, x.denominator))


def with_end(P: Matrix, ends: Vector) -> Matrix:
    """Return the chain with the end as its last state."""
    return [[*row, end] for row, end in zip(P, ends, strict=True)] + [[ZERO] * len(P) + [ONE]]


def sides(raw: RawModel, candidate: Array, gamma: float, steps: int) -> Sides:
    """Return both sides of every statement, for the numbers as they are stored."""
    P, r, ends, old, new = (
        exact(raw.by_state(pairs)) for pairs in (raw.transition, raw.reward, raw.termination, raw.policy, candidate)
    )
    g, rho0 = Fraction(gamma), exact(raw.initial.tolist())
    chains = [policy_transition(P, pi) for pi in (old, new)]
    (V,) = solve(discounted_system(chains[0], g), [policy_reward(r, old)])
    lookahead = [[g * dot(row, V) for row in rows] for rows in P]
    A = [[x + y - v for x, y in zip(*rows, strict=True)] for *rows, v in zip(r, lookahead, V, strict=True)]
    change = [[q - p for p, q in zip(*rows, strict=True)] for rows in zip(old, new, strict=True)]
    abar = [dot(d, a) for d, a in zip(change, A, strict=True)]
    tv = [x / 2 for x in over_states(old, new, lambda p, q: abs(q - p))]
    alpha, eps, epsbar = max(tv), max(abs(a) for row in A for a in row), max(map(abs, abar))
    spans = [max(row) - min(row) for row in A]
    divergences = [divergence(p, q) for p, q in zip(old, new, strict=True)]
    kl = max(divergences)

    times = range(steps + 1)
    p: list[list[Vector]] = []
    for chain, pi in zip(chains, (old, new), strict=True):
        back = transpose(with_end(chain, policy_reward(ends, pi)))
        walk = [[*rho0, ZERO]]
        for _ in range(steps):
            walk.append(multiply(back, walk[-1]))
        p.append(walk)
    distance = [sum((abs(x - y) for x, y in zip(*rows, strict=True)), ZERO) for rows in zip(*p, strict=True)]
    means = [[dot(row[:-1], abar) for row in walk] for walk in p]
    shift = [y - x for x, y in zip(*means, strict=True)]
    parted = [1 - max(1 - alpha, ZERO) ** t for t in times]

    W = [solve(discounted_system(chain, g), [abar])[0] for chain in chains]
    gap = dot(rho0, W[1]) - dot(rho0, W[0])
    rest = [[abs(g**t * dot(walk[t][:-1], w)) for t in times] for walk, w in zip(p, W, strict=True)]
    tail = [g**t * epsbar / (1 - g) for t in times]
    partial = [abs(sum((g**t * shift[t] for t in range(T)), ZERO)) for T in times]
    summed = [sum((g**t * 4 * alpha * parted[t] * eps for t in range(T)), ZERO) for T in times]
    scale = 4 * g / (1 - g) ** 2
    penalty = ZERO if scale * eps == 0 else scale * eps * kl
    sizes = [abs(x) for x in abar]
    return {
        "Lemma 2.3": (sizes, [2 * alpha * eps] * len(abar)),
        "Lemma 2.3, by state": (sizes, [2 * x * eps for x in tv]),
        "Lemma 2.3, by span": (sizes, [x * span for x, span in zip(tv, spans, strict=True)]),
        "(85)": (distance, [2 * x for x in parted]),
        "Lemma 2.4": ([abs(x) for x in shift], [4 * alpha * x * eps for x in parted]),
        "(66)": (rest[1], tail),
        "(67)": (rest[0], tail),
        "(66) - (67)": (partial, summed),
        "(107)": ([abs(gap)], [4 * alpha**2 * g * eps / ((1 - g) * (1 - g * (1 - alpha)))]),
        "Lemma 2.5": ([abs(gap)], [scale * alpha**2 * eps]),
        "Theorem 2.1": ([-gap], [penalty]),
    }


def encloses(enclosure: rl.Enclosure, numbers: Vector) -> bool:
    bounds = zip(np.ravel(enclosure.lower).tolist(), np.ravel(enclosure.upper).tolist(), numbers, strict=True)
    return all(low <= x <= high for low, high, x in bounds)


def check(raw: RawModel, candidate: Array, gamma: float, steps: int = STEPS) -> rl.Lemmas:
    """Hold both sides of every statement against fractions, and no verdict against what these say."""
    mdp = core_model(raw)
    old, new = (policy.reshape(mdp.pair_shape) for policy in (raw.policy, candidate))
    found = rl.lemmas(mdp, old, new, gamma, steps)
    expected = sides(raw, candidate, gamma, steps)
    assert [one.name for one in found] == list(expected)
    for one in found:
        left, right = expected[one.name]
        assert encloses(one.left, left), f"{raw.name}: left of {one}"
        assert encloses(one.right, right), f"{raw.name}: right of {one}"
        for verdict, x, y in zip(np.ravel(one.verdicts), left, right, strict=True):
            assert verdict != rl.Verdict.VIOLATED, f"{raw.name}: {one}"
            assert verdict != rl.Verdict.HOLDS or x <= y, f"{raw.name}: {one}"
    return found


def small_model(family: str, first: int) -> RawModel:
    """Return the next model of a family that is small."""
    module = generated_models if family in FAMILIES else generated_chains
    found: RawModel = next(
        raw for raw in (module.model(family, first + k) for k in range(200)) if raw.num_states <= SMALL
    )
    return found


def candidates(raw: RawModel, rng: np.random.Generator) -> list[Array]:
    """Return policies of all kinds: another one, one that hardly differs, a deterministic one, one with zeros."""
    another = generated_models._policy(rng, raw.pair_start)
    return [
        another,
        (1.0 - 1e-12) * raw.policy + 1e-12 * another,
        generated_models._policy(rng, raw.pair_start, lambda w: (w == w.max()).astype(float)),
        generated_models._policy(rng, raw.pair_start, lambda w: np.where(w < np.median(w), 0.0, w)),
        raw.policy,
    ]


@pytest.mark.parametrize("family", sorted({*FAMILIES, *generated_chains.FAMILIES}))
def test_against_fractions(family: str) -> None:
    rng = np.random.default_rng(5)
    for first in range(0, 24, 8):
        raw = small_model(family, first)
        for candidate in candidates(raw, rng):
            check(raw, candidate, raw.gamma)


@given(
    st.sampled_from(list(FAMILIES)),
    st.integers(0, 10**6),
    st.floats(0.0, 1.0),
    st.sampled_from([0.0, 0.3, 0.9, 1 - 1e-5]),
)
def test_against_fractions_at_random(family: str, seed: int, weight: float, gamma: float) -> None:
    """Mixtures of two policies, of all weights."""
    raw = small_model(family, seed)
    another = generated_models._policy(np.random.default_rng(seed), raw.pair_start)
    check(raw, (1.0 - weight) * raw.policy + weight * another, gamma, steps=3)


# ---- by hand ----

# Two states; staying is safe, leaving never comes back. The candidate leaves with probability 1/8.
LEAVING = rl.MDP.from_arrays(
    np.array([[[1.0, 0.0], [0.0, 1.0]], [[0.0, 1.0], [0.0, 1.0]]]),
    np.array([[0.0, 1.0], [0.0, 0.0]]),
    "SAS",
    initial=[1.0, 0.0],
)
STAY, LEAVE = np.array([[1.0, 0.0], [1.0, 0.0]]), np.array([[0.875, 0.125], [1.0, 0.0]])


def test_by_hand() -> None:
    """V = 0, A(0, leave) = 1: eta' = (1/8) / (1 - 7/8 gamma), L = (1/8) / (1 - gamma), gamma = 1/2."""
    found = rl.lemmas(LEAVING, STAY, LEAVE, 0.5, 3)
    assert found.alpha.value == pytest.approx(1 / 8, rel=1e-12)
    assert found.eps.value == pytest.approx(1.0, rel=1e-12)
    assert found.mean_advantage.value == pytest.approx([1 / 8, 0.0], rel=1e-12)
    assert found.kl_max.value == pytest.approx(-np.log(7 / 8), rel=1e-12)
    assert found.gap is not None
    assert found.gap.value == pytest.approx(2 / 9 - 1 / 4, rel=1e-12)
    assert found["Lemma 2.5"].right.value == pytest.approx(4 / 64 * 0.5 * 4, rel=1e-12)
    assert found["(107)"].right.value == pytest.approx(4 / 64 * 0.5 / (0.5 * 9 / 16), rel=1e-12)
    assert found["Theorem 2.1"].right.value == pytest.approx(-np.log(7 / 8) * 8, rel=1e-12)
    assert found["(85)"].left.value == pytest.approx([0, 2 / 8, 30 / 64, 338 / 512], rel=1e-12)


def test_85_is_tight_and_88_is_false() -> None:
    """The recursion in print, b_t <= alpha b_{t-1} + 2 alpha, gives 9/32 at t = 2, where the distance is 15/32."""
    found = rl.lemmas(LEAVING, STAY, LEAVE, 0.5, 2)
    distance = found["(85)"].left
    assert found["(85)"].verdict == rl.Verdict.UNDECIDED
    assert distance[2].value == pytest.approx(15 / 32, rel=1e-14)
    assert found["(85)"].right[2].value == pytest.approx(15 / 32, rel=1e-12)
    assert at_most(distance[2], rl.Enclosure(9 / 32, 9 / 32)) == rl.Verdict.VIOLATED


def tight_model(defect: float = 0.0) -> rl.MDP:
    """Return a model on which no lemma can be improved: the actions lose 1, win 1, and win 1 and leave for good.

    In state 0 the candidate leaves where the policy loses: Abar = 2 alpha. In state 1, to which the policy never comes,
    it loses where the policy wins: Abar = -2 alpha. All values are 0, and all |A| are 1.
    """
    stay, leave = np.array([[1.0, 0.0], [0.0, 1.0]]), np.array([[0.0, 1.0], [0.0, 1.0]])
    transition = np.stack([stay, stay, leave], axis=1) * (1.0 + defect)
    return rl.MDP.from_arrays(transition, [[-1.0, 1.0, 1.0]] * 2, "SAS", initial=[1.0, 0.0])


def tight_policies(alpha: float) -> tuple[Array, Array]:
    return np.array([[0.5, 0.5, 0.0]] * 2), np.array([[0.5 - alpha, 0.5, alpha], [0.5 + alpha, 0.5 - alpha, 0.0]])


@pytest.mark.parametrize("alpha", [2.0**-3, 2.0**-10, 2.0**-40])
@pytest.mark.parametrize("gamma", [0.5, 1 - 1e-5])
def test_every_lemma_is_tight(alpha: float, gamma: float) -> None:
    found = rl.lemmas(tight_model(), *tight_policies(alpha), gamma, 6)
    for one in found:
        if one.name not in ("(66)", "(67)", "Lemma 2.5", "Theorem 2.1"):
            assert one.verdict == rl.Verdict.UNDECIDED, one
            assert one.left.value == pytest.approx(one.right.value, rel=1e-9), one
    distance = -2.0 * np.expm1(np.arange(7) * np.log1p(-alpha))
    assert found["(85)"].left.value == pytest.approx(distance, rel=1e-9)


# ---- traps ----


def forest(size: int = 20) -> tuple[rl.MDP, Array, Array]:
    mdp = rl.gallery.garnet(size, 4, 3, seed=1)
    return mdp, np.asarray(rl.random_policy(mdp, 2)), np.asarray(rl.random_policy(mdp, 3))


@pytest.mark.parametrize("alpha", [1e-3, 1e-6, 1e-9, 1e-12])
@pytest.mark.parametrize("ends", [0.0, 0.05])
def test_near_policies_keep_nine_digits(alpha: float, ends: float) -> None:
    """What is certified of every side, relative to the side, hardly grows as policies come closer."""
    mdp, old, another = forest()
    mdp = rl.MDP(mdp.transition * (1.0 - ends), mdp.reward, termination=np.full((20, 4), ends), initial=mdp.initial)
    found = rl.lemmas(mdp, old, old + alpha * (another - old), 0.95, 50)
    for one in found:
        for side in (one.left, one.right):
            value, error = np.ravel(side.value), np.ravel(side.error)
            assert (error <= 1e-9 * np.abs(value)).all(), (one, np.max(error / np.abs(value)))
        assert one.name == "Lemma 2.3, by span" or one.verdict == rl.Verdict.HOLDS, one


def test_identical_policies() -> None:
    """Everything is exactly 0, and 0 <= 0."""
    mdp, old, _ = forest()
    found = rl.lemmas(mdp, old, old, 0.99, 5)
    assert found.verdict == rl.Verdict.HOLDS
    for one in found:
        assert not np.any(one.left.upper), one
        assert not np.any(one.right.upper), one


def test_gamma_zero() -> None:
    """Nothing comes after the first step: eta' = L, exactly."""
    mdp, old, new = forest()
    found = rl.lemmas(mdp, old, new, 0.0, 3)
    assert found.gap is not None
    assert (found.gap.lower, found.gap.upper) == (0.0, 0.0)
    for name in ("(107)", "Lemma 2.5", "Theorem 2.1"):
        assert found[name].right.upper == 0.0
        assert found[name].verdict == rl.Verdict.HOLDS


def test_divergences_that_underflow() -> None:
    """A KL below the normal numbers has no relative error; what it is multiplied with makes it a normal number."""
    raw = replace(
        small_model("dense", 0),
        transition=np.ones((2, 1)),
        pair_start=np.array([0, 2]),
        reward=np.array([1.0, 2.0**40]),
        termination=np.zeros(2),
        initial=np.ones(1),
        policy=np.array([1.0, 8.5e-300]),
    )
    for more in (2.0**-30, 2.0**-20):
        found = check(raw, np.array([1.0, 8.5e-300 * (1.0 + more)]), 0.99)
        assert 0.0 < found.kl_max.upper < 1e-300


def test_infinite_divergence_out_of_reach() -> None:
    """State 1 is never seen, and there the candidate never does what the policy does."""
    mdp = rl.MDP.from_arrays(
        np.array([[[1.0, 0.0], [1.0, 0.0]], [[0.0, 1.0], [1.0, 0.0]]]), np.array([[0.0, 1.0], [0.5, 0.0]]), "SAS",
        initial=[1.0, 0.0],
    )  # fmt: skip
    old, new = np.array([[0.5, 0.5], [0.5, 0.5]]), np.array([[0.25, 0.75], [1.0, 0.0]])
    found = rl.lemmas(mdp, old, new, 0.9, 3)
    assert found.kl_max.lower == np.inf
    assert found["Theorem 2.1"].right.upper == np.inf
    assert found["Theorem 2.1"].verdict == rl.Verdict.HOLDS
    assert rl.lemmas(mdp, old, new, 0.0, 3)["Theorem 2.1"].right.upper == 0.0  # 0 inf = 0


def test_the_end_is_a_state() -> None:
    """One action ends the process, the other does not: what has ended is half of the distance."""
    mdp = rl.MDP([[1.0], [0.0]], [0.0, 1.0], pair_start=[0, 2], termination=[0.0, 1.0], initial=[1.0])
    found = rl.lemmas(mdp, [[1.0, 0.0]], [[0.75, 0.25]], 0.5, 2)
    assert found["(85)"].left.value == pytest.approx([0.0, 0.5, 2 * 7 / 16], rel=1e-14)


@pytest.mark.parametrize("gamma", [0.0, 0.9, 1 - 1e-5])
@pytest.mark.parametrize("defect", [9e-10, -9e-10])
@pytest.mark.parametrize("far", [1.0, 1e-12])
def test_row_defects_violate_nothing(gamma: float, defect: float, far: float) -> None:
    """Rows of the model, of the start and of the candidate that are off 1: tight statements stay undecided."""
    transition = np.array([[[1.0, 0.0], [0.0, 1.0]], [[0.0, 1.0], [0.0, 1.0]]]) * (1.0 + defect)
    mdp = rl.MDP.from_arrays(transition, [[1.0, 2.0], [1.0, 1.0]], "SAS", initial=[1.0 + defect, 0.0])
    new = STAY + far * (LEAVE - STAY)
    for old, candidate in ((STAY, new), (STAY, new * (1.0 + 0.9 * defect)), (STAY * (1.0 - 0.9 * defect), new)):
        found = rl.lemmas(mdp, old, candidate, gamma, 20)
        for one in found:
            assert rl.Verdict.VIOLATED not in one.verdicts if one.rows != "one" else True, one
            assert one.verdict != rl.Verdict.VIOLATED


@pytest.mark.parametrize("gamma", [0.5, 1 - 1e-5])
@pytest.mark.parametrize("alpha", [2.0**-3, 2.0**-20])
def test_without_allowances_defects_would_violate(alpha: float, gamma: float) -> None:
    """Rows that sum to a little more than 1 break what is tight, but only by what the allowances are made for."""
    found = rl.lemmas(tight_model(9e-10), *tight_policies(alpha), gamma, 20)
    for name in ("(85)", "Lemma 2.4", "(66) - (67)", "(107)"):
        one = found[name]
        assert rl.Verdict.VIOLATED in np.ravel(at_most(one.left, one.right)), one
        assert one.verdict == rl.Verdict.UNDECIDED, one


def test_a_contradiction_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """If the value of the candidate were not what the advantages say, (66) would be violated."""
    mdp, old, new = forest()
    genuine = LEMMAS.evaluate

    def wrong(mdp: rl.MDP, policy: Array, setting: Any, reward: Any = None, **options: Any) -> rl.Evaluation:
        found: rl.Evaluation = genuine(mdp, policy, setting, reward=reward, **options)
        if reward is None and np.array_equal(np.ravel(policy), new.ravel()):
            return replace(found, start_value=found.start_value + 1e-6)
        return found

    assert rl.Verdict.VIOLATED not in rl.lemmas(mdp, old, new, 0.9, 4)["(66)"].verdicts
    monkeypatch.setattr(LEMMAS, "evaluate", wrong)
    found = rl.lemmas(mdp, old, new, 0.9, 4)
    assert set(found["(66)"].verdicts) == {rl.Verdict.VIOLATED}
    assert found.verdict == rl.Verdict.VIOLATED


def test_bounds_that_are_infinite_prove_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where a solve could not be certified, whatever rests on it is undecided."""
    mdp, old, new = forest()
    genuine = LEMMAS.evaluate

    def unproven(*arguments: Any, **options: Any) -> rl.Evaluation:
        found: rl.Evaluation = genuine(*arguments, **options)
        bounds = dict.fromkeys(found.certificate.bounds, np.inf)
        return replace(found, certificate=replace(found.certificate, bounds=bounds))

    monkeypatch.setattr(LEMMAS, "evaluate", unproven)
    for one in rl.lemmas(mdp, old, new, 0.9, 4):
        settled = one.name == "(85)"
        assert one.verdict == (rl.Verdict.HOLDS if settled else rl.Verdict.UNDECIDED), one
        assert not np.isnan([*np.ravel(one.left.lower), *np.ravel(one.left.upper)]).any()
        assert np.isinf(one.left.upper).any() != settled


# ---- without a discount ----

THREE = ["Lemma 2.3", "Lemma 2.3, by state", "Lemma 2.3, by span", "(85)", "Lemma 2.4"]


def test_average() -> None:
    """The advantages are those of the long run; where the process is does not depend on the setting."""
    mdp, old, new = forest()
    found, other = rl.lemmas(mdp, old, new, rl.Average(), 6), rl.lemmas(mdp, old, new, 0.9, 6)
    assert [one.name for one in found] == THREE
    assert found.gap is None
    assert found["(85)"].left.value.tolist() == other["(85)"].left.value.tolist()
    A = rl.evaluate(mdp, old, rl.Average(), tol=1e-12).advantage
    abar = ((new - old) * A).sum(axis=1)
    rows = rl.state_distribution(mdp, new, 6) - rl.state_distribution(mdp, old, 6)
    assert found.mean_advantage.value == pytest.approx(abar, rel=1e-9, abs=1e-12)
    assert found["Lemma 2.4"].left.value == pytest.approx(np.abs(rows @ abar), rel=1e-9, abs=1e-12)
    assert found["(85)"].left.value == pytest.approx(np.abs(rows).sum(axis=1), rel=1e-9, abs=1e-12)
    assert found["Lemma 2.4"].verdict == rl.Verdict.HOLDS


def test_episodic() -> None:
    mdp = rl.gallery.short_corridor()
    old, new = rl.uniform_policy(mdp), np.array([[0.4, 0.6]] * 3)
    found = rl.lemmas(mdp, old, new, rl.Episodic(), 6)
    A = rl.evaluate(mdp, old, rl.Episodic(), tol=1e-12).advantage
    assert [one.name for one in found] == THREE
    assert found.eps.value == pytest.approx(np.abs(A).max(), rel=1e-9)
    assert found["Lemma 2.4"].verdict == rl.Verdict.HOLDS
    assert rl.Verdict.VIOLATED not in [one.verdict for one in found]


def has_advantages(raw: RawModel) -> bool:
    """Whether A exists in every state: the policy surely ends, or has one recurrent class and never ends."""
    structure = rl.chain_structure(core_model(raw), raw.policy)
    return bool(structure.proper.all()) or (structure.is_unichain and not raw.termination.any())


@pytest.mark.parametrize("family", generated_chains.FAMILIES)
def test_without_a_discount_nothing_is_violated(family: str) -> None:
    raw = next((raw for k in range(20) if has_advantages(raw := generated_chains.model(family, k))), None)
    if raw is None:
        assert family in {"several_classes", "transient_forest", "improper_out_of_reach"}  # what these are made to be
        return
    mdp = core_model(raw)
    setting = rl.Average() if family in generated_chains.CONTINUING else rl.Episodic()
    for candidate in candidates(raw, np.random.default_rng(9)):
        found = rl.lemmas(mdp, raw.policy.reshape(mdp.pair_shape), candidate.reshape(mdp.pair_shape), setting, 5)
        assert rl.Verdict.VIOLATED not in [one.verdict for one in found]


# ---- what is returned ----


def test_what_is_shown() -> None:
    found = rl.lemmas(LEAVING, STAY, LEAVE, 0.5, 2)
    assert repr(found) == "Lemmas(11 statements, alpha=0.125, UNDECIDED)"
    assert repr(found["(85)"]) == "Statement((85): ‖Pr'(s_t) - Pr(s_t)‖₁ ≤ 2 (1 - (1-α)^t), 3 times, UNDECIDED)"
    assert repr(found["Lemma 2.5"]) == "Statement(Lemma 2.5: |η' - L| ≤ 4 α² γ ε / (1-γ)², HOLDS)"
    assert str(found).splitlines()[-1] == "HOLDS      Theorem 2.1          L - η' ≤ 4 ε γ max KL / (1-γ)²"
    assert {one.source for one in found} == {f"theory 5.{k}" for k in (1, 4, 5, 6, 7)}
    with pytest.raises(AttributeError):
        found.alpha = None  # type: ignore[misc, assignment]


def test_threads_and_progress() -> None:
    mdp, old, new = forest(300)
    calls: list[rl.Progress] = []
    one = rl.lemmas(mdp, old, new, 0.99, 4, num_threads=1)
    two = rl.lemmas(mdp, old, new, 0.99, 4, num_threads=2, progress=calls.append)
    for first, second in zip(one, two, strict=True):
        for side in ("left", "right"):
            a, b = getattr(first, side), getattr(second, side)
            assert np.array_equal(a.lower, b.lower)
            assert np.array_equal(a.upper, b.upper)


# ---- wrong input ----

WALK = rl.gallery.random_walk(3)
STEP = rl.uniform_policy(WALK)
PARTED = rl.MDP([[1, 0, 0], [0, 1, 0], [0.5, 0.5, 0]], [1, 2, 3], initial=[0, 0, 1], state_labels=("a", "b", "c"))
SINGLE = rl.uniform_policy(PARTED)
LOOP = rl.MDP(
    [[0, 0], [0, 1]], [1, 1], pair_start=[0, 1, 2], termination=[1, 0], initial=[1, 0], state_labels=("out", "loop")
)
BARE = rl.MDP.from_arrays(np.array([[[1.0, 0.0]], [[0.0, 1.0]]]), np.ones((2, 1)), "SAS")
STEPS_TEXT = "steps: expected a whole number from 0 on, got"


@pytest.mark.parametrize(
    ("call", "kind", "message"),
    [
        (lambda: rl.lemmas(STAY, STAY, LEAVE, 0.5, 1), rl.ArgumentError, "mdp: expected a rlcore.MDP, got ndarray"),  # type: ignore[arg-type]
        (
            lambda: rl.lemmas(LEAVING, STAY, LEAVE, 1.0, 1),
            rl.SettingError,
            "gamma: expected 0 <= gamma < 1, got 1.0; "
            "without a discount use Episodic(), Average() or FiniteHorizon(steps)",
        ),
        (
            lambda: rl.lemmas(LEAVING, STAY, LEAVE, rl.FiniteHorizon(3), 1),  # type: ignore[arg-type]
            rl.SettingError,
            "setting: the lemmas are about policies that stay the same and exist in Discounted(gamma), and Lemma 2.3, "
            "(85) and Lemma 2.4 also in Episodic() and Average(), got FiniteHorizon(steps=3, gamma=1.0)",
        ),
        *(
            (lambda n=n: rl.lemmas(LEAVING, STAY, LEAVE, 0.5, n), rl.ArgumentError, f"{STEPS_TEXT} {n!r}")
            for n in (-1, 1.5, "2", None, True)
        ),
        (
            lambda: rl.lemmas(LEAVING, STAY, LEAVE, 0.5, 1, tol=1),
            rl.ArgumentError,
            "tol: expected a relative error in [0, 1), got 1; 0 asks for the best attainable",
        ),
        (
            lambda: rl.lemmas(LEAVING, STAY, LEAVE * 2, 0.5, 1),
            rl.PolicyError,
            "candidate, state 0: expected probabilities that sum to 1 within 1e-9, got a sum of 2; divide the row by "
            "its sum",
        ),
        (
            lambda: rl.lemmas(LEAVING, -STAY, LEAVE, 0.5, 1),
            rl.PolicyError,
            "policy, state 0, action 0: expected a probability in [0, 1], got -1",
        ),
        (
            lambda: rl.lemmas(BARE, [[1], [1]], [[1], [1]], 0.5, 1),
            rl.ModelError,
            "initial: lemmas needs a start distribution, and the model has none; "
            "make it with initial=p or mdp.with_initial(p)",
        ),
        (
            lambda: rl.lemmas(PARTED, SINGLE, SINGLE, rl.Average(), 1),
            rl.SettingError,
            "setting: in Average() the lemmas need an advantage, and the policy has several recurrent classes; "
            "use Discounted(gamma)",
        ),
        (
            lambda: rl.lemmas(LOOP, rl.uniform_policy(LOOP), rl.uniform_policy(LOOP), rl.Episodic(), 1),
            rl.ImproperPolicyError,
            "policy, state 'loop': expected to end with probability 1, since eps is the largest |A| of all states; use "
            "Discounted(gamma)",
        ),
        (
            lambda: rl.lemmas(LEAVING, STAY, LEAVE, 0.5, 1)["Lemma 3"],
            rl.ArgumentError,
            "name: expected one of 'Lemma 2.3', 'Lemma 2.3, by state', 'Lemma 2.3, by span', '(85)', 'Lemma 2.4', "
            "'(66)', '(67)', '(66) - (67)', '(107)', 'Lemma 2.5', 'Theorem 2.1', got 'Lemma 3'",
        ),
    ],
)
def test_wrong_input(call: Callable[[], Any], kind: type[Exception], message: str) -> None:
    with pytest.raises(kind) as caught:
        call()
    assert str(caught.value) == message


def test_a_process_that_ends_has_no_average() -> None:
    with pytest.raises(rl.SettingError, match="expected a process that never ends in Average"):
        rl.lemmas(WALK, STEP, STEP, rl.Average(), 1)
