"""Steps that no duality proves: conservative, natural gradient and TRPO (theory 5.8, 7.4)."""

from __future__ import annotations

import math
from fractions import Fraction
from itertools import product
from typing import Any

import mpmath
import numpy as np
import pytest

import generated_models
import rlcore as rl
from generated_models import FAMILIES, Array, RawModel
from rlcore import reference

ULP = float(np.finfo(float).eps)
SETTINGS = {"discounted": 0.9, "episodic": rl.Episodic(), "average": rl.Average()}


def core_model(raw: RawModel) -> rl.MDP:
    termination = raw.termination if raw.termination.any() else None
    return rl.MDP(raw.transition, raw.reward, pair_start=raw.pair_start, termination=termination, initial=raw.initial)


def small_models(family: str, number: int) -> list[RawModel]:
    models = (generated_models.model(family, index) for index in range(12))
    return sorted(models, key=lambda raw: raw.num_states)[:number]


def policy_of(raw: RawModel) -> Array:
    return raw.policy.reshape(raw.pair_shape)


def blind(theta: float = 0.0) -> tuple[rl.MDP, rl.LinearSoftmax]:
    """Return the shuttle, and the policies that do the same at both of its ends."""
    mdp = rl.gallery.blind_shuttle()
    return mdp, rl.LinearSoftmax(mdp.pair_action[:, None], [theta])


# ---- shared parameters: a constraint is no guarantee, the penalty is one ----


def shuttle_at(x: float) -> Array:
    """Return the blind policy that goes right with probability 1/2 + x."""
    return np.array([[0.5 - x, 0.5 + x]] * 2)


@pytest.mark.parametrize("gamma", [0.9, 0.95, 0.99])
@pytest.mark.parametrize("delta", [0.01, 0.1])
def test_the_constrained_step_of_shared_parameters_lowers_the_return(gamma: float, delta: float) -> None:
    """KL = -log(1 - 4 x^2) / 2 is the same in all states, so the mean and the largest allow the same."""
    mdp, uniform = rl.gallery.blind_shuttle(), shuttle_at(0.0)
    x = math.sqrt(-math.expm1(-2.0 * delta)) / 2.0 * (1.0 - 8 * ULP)
    report = rl.check_improvement(mdp, uniform, shuttle_at(x), gamma)
    assert report.kl_max <= delta
    assert report.kl_mean <= delta
    assert report.surrogate - report.eta == pytest.approx(x, rel=1e-12)
    assert report.improves is rl.Verdict.VIOLATED
    # Probabilities are rounded: half an ulp is missing in their sum, and in every step that much of the value.
    rounding = (8.0 * x + report.eta) * ULP / (1.0 - gamma)
    assert x - 2.0 * gamma * x**2 / (1.0 - gamma) in rl.Enclosure.around(
        report.improvement.value, report.improvement.error + rounding
    )
    # No blind policy inside has a larger L: L rises with x, and a little beyond x the KL is too large.
    beyond = rl.check_improvement(mdp, uniform, shuttle_at(x * (1.0 + 1e-12)), gamma)
    assert beyond.kl_max - beyond.certificate.bounds["kl_max"] > delta
    assert rl.check_improvement(mdp, uniform, shuttle_at(0.01), gamma).expected_gain.upper < report.expected_gain.lower


@pytest.mark.parametrize("gamma", [0.9, 0.95, 0.99])
def test_the_penalised_step_of_shared_parameters_raises_the_return(gamma: float) -> None:
    """x - C KL(x) with KL'(x) = 4 x / (1 - 4 x^2) is largest at x = 1 / (2 (C + sqrt(1 + C^2)))."""
    mdp, uniform = rl.gallery.blind_shuttle(), shuttle_at(0.0)
    C = 4.0 * 0.5 * gamma / (1.0 - gamma) ** 2  # max |A| = 1/2
    best = 1.0 / (2.0 * (C + math.hypot(1.0, C)))
    shares = np.array([0.0, 0.5, 1.0, 1.5, 2.0])
    report = rl.check_improvement(mdp, uniform, np.stack([shuttle_at(share * best) for share in shares]), gamma)
    assert report.epsilon == pytest.approx(0.5, rel=1e-12)
    assert int((report.surrogate - report.penalty - report.eta).argmax()) == 2
    assert report.improves[2] is rl.Verdict.HOLDS
    assert report.improvement.lower[2] > 0.0
    assert report.bounds["theorem_2_1"].lower[2] > report.eta + report.certificate.bounds["eta"]


def test_trpo_lowers_the_return_of_the_blind_shuttle() -> None:
    mdp, family = blind()
    step = rl.trust_region_step(mdp, family, 0.95, rl.TRPO(0.01))
    assert step.improves is rl.Verdict.VIOLATED
    assert step.surrogate_gain > 0.07
    assert step.eta_new - step.eta == pytest.approx(-0.117, abs=1e-3)
    assert step.family is not None
    assert step.family.parameters == pytest.approx(math.sqrt(2.0 * 0.01 / 0.25), rel=1e-12)  # F = p (1 - p)
    assert (step.policy[0] == step.policy[1]).all()


# ---- the conservative step ----


@pytest.mark.parametrize("family", FAMILIES)
def test_conservative_is_the_best_mixture_with_the_greedy_policy(family: str) -> None:
    for raw in small_models(family, 4):
        mdp, old = core_model(raw), policy_of(raw)
        step = rl.trust_region_step(mdp, old, raw.gamma, rl.Conservative())
        ev = rl.evaluate(mdp, old, raw.gamma, tol=0.0, raise_on_failure=False)
        assert step.improves is not rl.Verdict.VIOLATED, raw.name
        assert step.multiplier is None
        assert step.dual_gap is None
        target = rl.greedy_policy(mdp, ev)
        best = np.maximum.reduceat(ev.advantage.ravel(), mdp.pair_start[:-1])
        moved = np.abs(step.policy - old).reshape(-1).astype(bool)
        error = max(float(ev.certificate.bounds["action_value"]), 4 * ULP * float(np.abs(ev.action_value).max()))
        assert not (moved & np.repeat(best <= error, np.diff(mdp.pair_start))).any(), raw.name
        found = rl.mixture_bound(mdp, old, np.where(np.repeat(best > 2 * error, np.diff(mdp.pair_start)),
                                 target.ravel(), old.ravel()).reshape(old.shape), raw.gamma)  # fmt: skip
        assert step.length == pytest.approx(found.step, rel=1e-6, abs=1e-12), raw.name
        assert step.report.improvement.upper >= found.guaranteed_gain.lower, raw.name
        mixture = rl.mixture_policy(old, target, step.length)
        np.testing.assert_allclose(np.where(moved, step.policy.ravel(), mixture.ravel()), mixture.ravel(), rtol=4 * ULP)


def test_conservative_share_is_that_of_the_reference() -> None:
    mdp = rl.gallery.forest()
    P = mdp.transition.toarray().reshape(3, 2, 3)
    half = [[Fraction(1, 2)] * 2] * 3
    cases = ("1/2", "9/10", "99/100")
    for gamma in map(Fraction, cases):
        greedy = [[1, 0]] * 3  # waiting is better in every state of the uniform policy
        rational = [[[Fraction(x).limit_denominator(100) for x in row] for row in rows] for rows in P.tolist()]
        true = reference.improvement(rational, half, greedy, [Fraction(1, 3)] * 3, gamma, mdp.reward.tolist())
        promised = (true.surrogate - true.start_value) * (1 - gamma)
        share = reference.conservative_step(gamma, promised, true.max_expected_advantage).step
        step = rl.trust_region_step(mdp, rl.uniform_policy(mdp), float(gamma), rl.Conservative())
        if np.argmax(rl.evaluate(mdp, rl.uniform_policy(mdp), float(gamma)).advantage, axis=1).any():
            continue
        assert step.length == pytest.approx(float(share), rel=1e-9)


def test_conservative_keeps_what_is_greedy_already() -> None:
    mdp = rl.gallery.forest()
    best = rl.solve(mdp, 0.9).policy
    step = rl.trust_region_step(mdp, best, 0.9, rl.Conservative())
    assert (step.policy == best).all()
    assert step.length == 0.0
    same = mdp.with_reward(np.ones((3, 2)))  # every action is as good as any other
    step = rl.trust_region_step(same, rl.uniform_policy(same), 0.9, rl.Conservative())
    assert (step.policy == 0.5).all()


def test_conservative_goes_all_the_way_without_a_future() -> None:
    mdp = rl.gallery.garnet(10, 3, 2, seed=5)
    step = rl.trust_region_step(mdp, rl.uniform_policy(mdp), 0.0, rl.Conservative())
    assert step.length == 1.0
    np.testing.assert_array_equal(step.policy, rl.greedy_policy(mdp, mdp.reward))


def test_conservative_needs_a_discount() -> None:
    mdp = rl.gallery.forest()
    with pytest.raises(rl.SettingError, match=r"Conservative exists for rlcore\.Discounted\(gamma\)"):
        rl.trust_region_step(mdp, rl.uniform_policy(mdp), rl.Average(), rl.Conservative())


# ---- the natural gradient ----


def exactly_exponentiated(raw: RawModel, step: float) -> Any:
    """Return pi exp(step A) / norm in the states that are visited, with exact A and 60 digits."""
    P, pi, r = (raw.by_state(x) for x in (raw.transition, raw.policy, raw.reward))
    of = reference.evaluate(P, r, pi, raw.gamma)
    visits = reference.occupancy(P, pi, raw.initial.tolist(), raw.gamma).visits
    rows = []
    for row, advantage, rho in zip(pi, of.advantage, visits, strict=True):
        if rho == 0:
            rows.append([mpmath.mpf(Fraction(p).numerator) / Fraction(p).denominator for p in row])
            continue
        power = [step * mpmath.mpf(a.numerator) / a.denominator for a in advantage]
        weight = [mpmath.mpf(p) * mpmath.exp(x) for p, x in zip(row, power, strict=True)]
        rows.append([x / sum(weight) for x in weight])
    return [x for row in rows for x in row]


@pytest.mark.parametrize("family", FAMILIES)
def test_natural_gradient_exponentiates_the_advantages(family: str) -> None:
    for raw, step in product(small_models(family, 3), (1e-3, 1.0, 100.0)):
        mdp, old = core_model(raw), policy_of(raw)
        found = rl.trust_region_step(mdp, old, raw.gamma, rl.NaturalGradient(step))
        ev = rl.evaluate(mdp, old, raw.gamma, tol=0.0, raise_on_failure=False)
        with mpmath.workdps(60):
            true = exactly_exponentiated(raw, step)
        # An error of A moves the logarithm of a ratio by as much times the step; so does the rounding of an exponent.
        span = float(np.ptp(ev.advantage)) if ev.advantage is not None else 0.0
        error = 4.0 * step * (float(ev.certificate.bounds["advantage"]) + 1e-10 * span) + 64 * ULP * (1.0 + step * span)
        for x, y in zip(found.policy.ravel().tolist(), true, strict=True):
            assert abs(x - float(y)) <= float(y) * math.expm1(min(error, 700.0)) + 1e-300, f"{raw.name} step {step}"
        # Nothing is lost but what the rounding of the sums of rows costs.
        rounding = 4 * ULP * raw.num_actions.max() * float(np.abs(ev.action_value).max()) / (1.0 - raw.gamma)
        assert found.report.improvement.upper >= -rounding, raw.name


def test_rows_of_states_that_are_not_visited_are_kept() -> None:
    P = np.zeros((3, 2, 3))
    P[0, :, 0] = P[1, 0, 0] = P[1, 1, 1] = P[2, :, 1] = 1.0
    mdp = rl.MDP.from_arrays(P, np.array([[0.0, 1.0]] * 3), layout="SAS", initial=[1, 0, 0])
    for region in (rl.NaturalGradient(1.0), rl.NaturalGradient(1e6)):
        step = rl.trust_region_step(mdp, rl.uniform_policy(mdp), 0.9, region)
        assert (step.policy[1:] == 0.5).all()
        assert step.policy[0, 1] > 0.7


@pytest.mark.parametrize("size", [1e3, 1e10, 1e300])
def test_long_natural_steps_keep_what_is_possible(size: float) -> None:
    mdp = rl.gallery.garnet(20, 4, 3, seed=1)
    old = rl.uniform_policy(mdp)
    old[:, 0] = 0.0
    old /= old.sum(axis=1, keepdims=True)
    step = rl.trust_region_step(mdp, old, 0.9, rl.NaturalGradient(size))
    assert (step.policy[:, 0] == 0.0).all()
    assert (step.policy[:, 1:] > 0.0).all()
    assert np.isfinite(step.kl).all()
    assert step.improves is rl.Verdict.HOLDS
    np.testing.assert_allclose(step.policy.sum(axis=1), 1.0, rtol=0, atol=8 * ULP)


@pytest.mark.parametrize("setting", SETTINGS.values(), ids=SETTINGS)
def test_natural_gradient_in_every_setting(setting: Any) -> None:
    ends = isinstance(setting, rl.Episodic)
    mdp = rl.gallery.layered(4, 5) if ends else rl.gallery.garnet(12, 3, 3, seed=2)
    step = rl.trust_region_step(mdp, rl.uniform_policy(mdp), setting, rl.NaturalGradient(0.5))
    assert step.improves is rl.Verdict.HOLDS
    assert step.report.improvement.lower > 0.0


def test_families_and_policies_take_the_same_natural_step() -> None:
    mdp = rl.gallery.garnet(15, 3, 4, seed=3)
    theta = np.random.default_rng(0).normal(size=mdp.pair_shape)
    family = rl.TabularSoftmax(theta)
    of_family = rl.trust_region_step(mdp, family, 0.9, rl.NaturalGradient(0.7))
    of_policy = rl.trust_region_step(mdp, rl.softmax_policy(mdp, theta), 0.9, rl.NaturalGradient(0.7))
    np.testing.assert_allclose(of_family.policy, of_policy.policy, rtol=1e-9)
    assert of_family.family is not None
    assert of_policy.family is None
    np.testing.assert_array_equal(rl.softmax_policy(mdp, of_family.family.parameters), of_family.policy)


def shared(mdp: rl.MDP, K: int, seed: int = 0) -> rl.LinearSoftmax:
    rng = np.random.default_rng(seed)
    return rl.LinearSoftmax(rng.normal(size=(mdp.num_pairs, K)), rng.normal(size=K))


@pytest.mark.parametrize("setting", SETTINGS.values(), ids=SETTINGS)
def test_families_move_along_the_natural_gradient(setting: Any) -> None:
    """theta' - theta = step w, and F w is the gradient of sum_s d(s) sum_a pi A, the gradient without its factor."""
    ends = isinstance(setting, rl.Episodic)
    mdp = rl.gallery.layered(4, 5, A=3) if ends else rl.gallery.garnet(12, 3, 3, seed=2)
    family = shared(mdp, 4)
    step = rl.trust_region_step(mdp, family, setting, rl.NaturalGradient(0.5))
    assert step.family is not None
    w = (step.family.parameters - family.parameters) / 0.5
    model = family.on(mdp)
    psi, d = model.score_matrix(), rl.occupancy(mdp, model.policy, setting)
    fisher = psi.T @ (d.pair.ravel()[:, None] * psi)
    gradient = rl.policy_gradient(mdp, family, setting).gradient
    factor = 1.0 / d.visits.sum() if ends else 1.0 if isinstance(setting, rl.Average) else 0.1
    np.testing.assert_allclose(fisher @ w, factor * gradient, rtol=1e-8, atol=1e-12)


# ---- TRPO ----


@pytest.mark.parametrize("setting", SETTINGS.values(), ids=SETTINGS)
@pytest.mark.parametrize("delta", [1e-6, 1e-2, 1.0, 100.0])
def test_trpo_stays_inside_and_raises_the_surrogate(setting: Any, delta: float) -> None:
    ends = isinstance(setting, rl.Episodic)
    mdp = rl.gallery.layered(4, 5, A=3) if ends else rl.gallery.garnet(12, 3, 3, seed=2)
    for family in (rl.TabularSoftmax(np.zeros(mdp.pair_shape)), shared(mdp, 4), shared(mdp, 60)):
        step = rl.trust_region_step(mdp, family, setting, rl.TRPO(delta))
        d = rl.occupancy(mdp, family.on(mdp).policy, setting).state
        mean = rl.policy_divergences(mdp, family.on(mdp).policy, step.policy, weights=d).kl_mean
        assert mean is not None
        assert mean <= delta * (1.0 + 1e-9)
        assert step.report.expected_gain.lower > 0.0
        assert step.family is not None
        np.testing.assert_array_equal(step.family.on(mdp).policy, step.policy.ravel())


def test_trpo_uses_what_the_quadratic_model_allows() -> None:
    """To second order the mean KL of the first trial is delta."""
    mdp = rl.gallery.garnet(12, 3, 3, seed=2)
    step = rl.trust_region_step(mdp, shared(mdp, 4), 0.9, rl.TRPO(1e-8))
    assert step.report.kl_mean == pytest.approx(1e-8, rel=1e-3)


@pytest.mark.parametrize("factor", [0.1, 0.5, 0.9])
def test_backtracking_is_the_factor_between_trials(factor: float) -> None:
    """Where "right" is rare, KL = log(1 + p (e^t - 1)) - p t is far above its model p (1 - p) t^2 / 2."""
    mdp, family = blind(-8.0)
    p = 1.0 / (1.0 + math.exp(8.0))
    most = 0
    for delta in (1e-4, 1e-2, 1.0):
        step = rl.trust_region_step(mdp, family, 0.9, rl.TRPO(delta, backtracking=factor))
        assert step.family is not None
        moved = float(step.family.parameters[0]) + 8.0
        trials = math.log(moved / math.sqrt(2.0 * delta / (p * (1.0 - p)))) / math.log(factor)
        assert trials == pytest.approx(round(trials), abs=1e-6)
        assert math.log1p(p * math.expm1(moved)) - p * moved <= delta
        before = moved / factor  # the trial before was too long
        assert round(trials) == 0 or math.log1p(p * math.expm1(before)) - p * before > delta
        most = max(most, round(trials))
    assert most >= 1


def test_trpo_takes_a_policy_for_that_of_a_softmax() -> None:
    mdp = rl.gallery.garnet(12, 3, 3, seed=2)
    theta = np.random.default_rng(1).normal(size=mdp.pair_shape)
    one = rl.trust_region_step(mdp, rl.TabularSoftmax(theta), 0.9, rl.TRPO(0.1))
    other = rl.trust_region_step(mdp, rl.softmax_policy(mdp, theta), 0.9, rl.TRPO(0.1))
    np.testing.assert_allclose(one.policy, other.policy, rtol=1e-9)


def test_nothing_moves_where_nothing_is_to_be_gained() -> None:
    mdp = rl.gallery.garnet(8, 3, 3, seed=4)
    same = mdp.with_reward(np.ones(mdp.pair_shape))
    for family in (rl.TabularSoftmax(np.zeros(mdp.pair_shape)), shared(mdp, 4)):
        step = rl.trust_region_step(same, family, 0.9, rl.TRPO(0.1))
        np.testing.assert_array_equal(step.policy.ravel(), family.on(mdp).policy)
        assert step.length == 0.0
        assert step.improves is rl.Verdict.HOLDS
        assert (step.kl == 0.0).all()


def test_the_best_blind_policy_is_left_alone_or_nearly() -> None:
    """At its best p the surrogate is flat, but for rounding, which must not become a full step."""
    gamma = 0.95
    best = (1.0 + gamma) / (4.0 * gamma)
    mdp, family = blind(math.log(best / (1.0 - best)))
    step = rl.trust_region_step(mdp, family, gamma, rl.TRPO(0.01))
    assert step.report.expected_gain.upper <= 1e-9


# ---- all of them ----


REGIONS = [rl.Conservative(), rl.NaturalGradient(0.3), rl.TRPO(0.01)]


@pytest.mark.parametrize("region", REGIONS, ids=lambda region: type(region).__name__)
def test_threads_do_not_change_a_step(region: Any) -> None:
    mdp = rl.gallery.slippery_grid(80)
    old = rl.uniform_policy(mdp)
    steps = [rl.trust_region_step(mdp, old, 0.99, region, num_threads=threads) for threads in (1, 2)]
    np.testing.assert_array_equal(steps[0].policy, steps[1].policy)
    assert steps[0].report.improvement.lower == steps[1].report.improvement.lower


@pytest.mark.parametrize("region", REGIONS, ids=lambda region: type(region).__name__)
def test_a_step_measures_what_it_returns(region: Any) -> None:
    mdp = rl.gallery.gridworld()
    old = rl.uniform_policy(mdp)
    step = rl.trust_region_step(mdp, old, 0.9, region)
    ev = rl.evaluate(mdp, step.policy, 0.9)
    bounds = step.certificate.bounds
    assert abs(step.eta_new - ev.start_value) <= bounds["eta_new"] + ev.certificate.bounds["start_value"]
    assert abs(step.eta - rl.evaluate(mdp, old, 0.9, tol=0.0).start_value) <= 2 * bounds["eta"] + 1e-15
    np.testing.assert_array_equal(step.kl, rl.policy_divergences(mdp, old, step.policy).kl)
    assert step.surrogate_gain == pytest.approx(step.report.expected_gain.value, rel=1e-12)
    assert rl.check_improvement(mdp, old, step.policy, 0.9).improvement.value == pytest.approx(
        step.report.improvement.value, rel=1e-9
    )
    assert "improves=HOLDS" in repr(step)
    assert repr(region) in repr(step)
