"""Policy gradients, critics and Fisher matrices: against exact fractions, known answers and finite differences.

Fractions are formed from the policy as it is stored. So every error is known exactly, and has to be within its bound.
"""

from __future__ import annotations

import math
import os
import statistics
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from itertools import chain, pairwise
from typing import Any

import numpy as np
import pytest
import scipy.sparse

import generated_chains
import generated_models
import rlcore as rl
from generated_models import Array, RawModel
from rlcore import reference
from rlcore.reference.linear import dot
from test_agreement import answer, core_model, fmpq_solve

PER_FAMILY = 4
SHARED = 3
ULP = 2.0**-52
ROOT_TWO = math.sqrt(2.0)

Exact = list[Fraction]


@pytest.fixture(autouse=True)
def _by_flint(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the references solve their systems with FLINT: as exact, and several times as fast."""
    for name in ("structure", "evaluation", "occupancy"):
        monkeypatch.setattr(sys.modules[f"rlcore.reference.{name}"], "solve", fmpq_solve)


# ---- what is true ----


@dataclass
class Truth:
    """Visits, d and the values of a policy, exactly; values are None where they do not exist."""

    objective: Fraction
    visits: Exact
    share: Exact
    value: list[Fraction | None]
    action_value: list[Fraction | None]
    advantage: list[Fraction | None]


def truth_of(raw: RawModel, policy: Array, setting: Any) -> Truth | None:
    """Return nothing where there is no gradient: with several recurrent classes."""
    P, r, ends, pi = (raw.by_state(part) for part in (raw.transition, raw.reward, raw.termination, policy))
    start = raw.initial.tolist()
    if isinstance(setting, rl.Episodic):
        episodic, visits = reference.evaluate_episodic(P, r, pi, ends, start), None
        assert episodic.start_value is not None
        visits = reference.occupancy_episodic(P, pi, start, ends)
        return Truth(
            episodic.start_value, visits.visits, visits.state, episodic.value, *flat(episodic)
        )  # fmt: skip
    if isinstance(setting, rl.Average):
        average = reference.evaluate_average(P, r, pi, start)
        if average.action_value is None:
            return None
        time = reference.occupancy_average(P, pi, start)
        return Truth(average.gain[0], time.state, time.state, list(average.bias), *flat(average))
    found = reference.evaluate(*map(reference.exact, (P, r, pi)), Fraction(raw.gamma), reference.exact(start))
    visited = reference.occupancy(*map(reference.exact, (P, pi, start)), Fraction(raw.gamma))
    assert found.start_value is not None
    return Truth(found.start_value, visited.visits, visited.state, list(found.value), *flat(found))


def flat(evaluation: Any) -> tuple[list[Any], list[Any]]:
    return list(chain.from_iterable(evaluation.action_value)), list(chain.from_iterable(evaluation.advantage))


def exact_scores(family: Any, raw: RawModel, policy: Array) -> list[Exact]:
    """psi, a row for each pair; for direct parameters the unit vectors, which belong to rho Q.

    Tabular softmax: minus the mean over a policy that sums to 1 only up to rounding.
    """
    count = len(policy)
    if isinstance(family, rl.Scores):
        return [[Fraction(x) for x in row] for row in dense(family.scores).reshape(count, -1).tolist()]
    if isinstance(family, rl.LinearSoftmax):
        rows = [[Fraction(x) for x in row] for row in dense(family.features).reshape(count, -1).tolist()]
    else:
        rows = [[Fraction(int(i == j)) for j in range(count)] for i in range(count)]
    if isinstance(family, rl.Direct):
        return rows
    scores = []
    for first, last in pairwise(raw.pair_start.tolist()):
        mean = [sum(Fraction(policy[p]) * rows[p][k] for p in range(first, last)) for k in range(len(rows[0]))]
        scores += [[x - m for x, m in zip(rows[p], mean, strict=True)] for p in range(first, last)]
    return scores


def exact_gradient(family: Any, raw: RawModel, policy: Array, truth: Truth) -> Exact:
    weights = []
    for pair, state in enumerate(owner(raw)):
        direct = isinstance(family, rl.Direct)
        y = truth.action_value[pair] if direct else truth.advantage[pair]
        weight = truth.visits[state] * (1 if direct else Fraction(policy[pair]))
        assert y is not None or weight == 0
        weights.append(weight * (y or 0))
    if isinstance(family, rl.TabularSoftmax | rl.Direct):
        return weights  # rho pi A, or rho Q
    return [dot(weights, list(column)) for column in zip(*exact_scores(family, raw, policy), strict=True)]


def exact_fisher(family: Any, raw: RawModel, policy: Array, truth: Truth) -> list[Exact]:
    scores = exact_scores(family, raw, policy)
    weights = [truth.share[state] * Fraction(policy[pair]) for pair, state in enumerate(owner(raw))]
    columns = [list(column) for column in zip(*scores, strict=True)]
    weighted = [[w * x for w, x in zip(weights, column, strict=True)] for column in columns]
    return [[dot(left, right) for right in columns] for left in weighted]


def owner(raw: RawModel) -> list[int]:
    return np.repeat(np.arange(raw.num_states), raw.num_actions).tolist()


def dense(matrix: Any) -> Array:
    return matrix.toarray() if scipy.sparse.issparse(matrix) else np.asarray(matrix)


# ---- models and families ----


def families_of(raw: RawModel, seed: int) -> dict[str, Any]:
    rng = np.random.default_rng(seed)
    pairs = len(raw.reward)
    features = rng.standard_normal((pairs, SHARED)) * (rng.random((pairs, SHARED)) < 0.7)
    features[:, -1] = features[:, 0]  # a direction that changes nothing
    scale = (1.0, 30.0)[seed % 2]
    theta = rng.standard_normal(SHARED)
    sparse = rl.LinearSoftmax(scipy.sparse.csr_array(features), theta)
    given = rl.Scores(*_rational_scores(raw, rng))
    return {
        "tabular": rl.TabularSoftmax(scale * rng.standard_normal(pairs)),
        "linear": rl.LinearSoftmax(features, scale * theta),
        "sparse": sparse,
        "direct": rl.Direct(raw.policy),
        "scores": given,
    }


def _rational_scores(raw: RawModel, rng: np.random.Generator) -> tuple[Array, Array]:
    """Probabilities of whole sixteenths and scores with mean 0, all without rounding."""
    policy, scores = [], []
    for count in raw.num_actions:
        sixteenths = rng.multinomial(16, np.full(count, 1.0 / count))
        whole = rng.integers(-8, 9, size=(count, 2)).astype(float)
        mean = sixteenths @ whole / 16.0
        policy.append(sixteenths / 16.0)
        scores.append(whole - mean)
    return np.concatenate(policy), np.concatenate(scores)


def cases(per_family: int = PER_FAMILY) -> Iterator[tuple[RawModel, Any, str, Any]]:
    """Yield models, settings, and families by their names, two for each model in turn."""
    sources = (
        (generated_models, generated_models.FAMILIES, None),
        (generated_chains, generated_chains.CONTINUING, rl.Average()),
        (generated_chains, generated_chains.ENDING, rl.Episodic()),
    )
    for module, names, setting in sources:
        for turn, name in enumerate(names):
            for index in range(per_family):
                raw = module.model(name, index)
                families = families_of(raw, index)
                for kind in [list(families)[(turn + index + step) % len(families)] for step in (0, 2)]:
                    yield raw, setting or rl.Discounted(raw.gamma), kind, families[kind]


def bound_holds(exact: Exact, got: Any, bound: Any) -> bool:
    found = np.ravel(got).tolist()
    if not (all(map(math.isfinite, found)) and math.isfinite(bound)):
        return False
    return max((abs(x - Fraction(y)) for x, y in zip(exact, found, strict=True)), default=Fraction(0)) <= Fraction(
        bound
    )


# ---- against exact fractions ----


def test_gradients_against_exact_fractions(report: Callable[[str], None]) -> None:
    ratios: dict[str, list[float]] = {}
    count = missed = refused = 0
    for raw, setting, kind, family in cases():
        mdp = core_model(raw)
        policy = family.on(mdp).policy
        try:
            found = answer(rl.policy_gradient, mdp, family, setting)
        except (rl.ImproperPolicyError, rl.SettingError):
            refused += 1
            assert not_there(raw, policy, setting, kind), f"{raw.name} {kind}"
            continue
        truth = truth_of(raw, policy, setting)
        assert truth is not None, f"{raw.name} {kind}: several classes"
        exact = exact_gradient(family, raw, policy, truth)
        bound = found.certificate.bounds["gradient"]
        assert found.certificate.error_bound == bound
        assert found.gradient.shape == family.on(mdp).parameter_shape
        assert bound_holds(exact, found.gradient, bound), f"{raw.name} {kind}"
        name = "gain" if isinstance(setting, rl.Average) else "start_value"
        assert bound_holds([truth.objective], getattr(found, name), found.certificate.bounds[name]), raw.name
        error = float(max(abs(x - Fraction(y)) for x, y in zip(exact, found.gradient.ravel().tolist(), strict=True)))
        if error > 0.0:
            ratios.setdefault(kind, []).append(bound / error)
        count += 1
        missed += found.certificate.status != "converged"
    report(f"{count} policy gradients against exact fractions; {refused} without one")
    for kind, found_ratios in ratios.items():
        report(f"  {kind}: bound / error {statistics.median(found_ratios):.3g} in the median")
        assert statistics.median(found_ratios) <= 10.0
    report(f"  {missed} of {count} missed the tolerance")
    assert missed <= 0.03 * count
    assert count > 10 * refused


def not_there(raw: RawModel, policy: Array, setting: Any, kind: str) -> bool:
    """Whether there is no gradient: several classes, no end in sight, or none after an action that is not taken."""
    if isinstance(setting, rl.Average):
        return truth_of(raw, policy, setting) is None
    P, r, ends, pi = (raw.by_state(part) for part in (raw.transition, raw.reward, raw.termination, policy))
    exact = reference.evaluate_episodic(P, r, pi, ends, None)
    reached = any(p > 0 and not proper for p, proper in zip(raw.initial, exact.proper, strict=True))
    return reached or (kind == "direct" and any(q is None for q in chain.from_iterable(exact.action_value)))


def test_fisher_matrices_against_exact_fractions(report: Callable[[str], None]) -> None:
    count = 0
    for raw, setting, kind, family in cases(per_family=1):
        mdp = core_model(raw)
        policy = family.on(mdp).policy
        if kind == "direct" or not_there_for_visits(raw, policy, setting):
            continue
        truth = truth_of(raw, policy, setting)
        if truth is None:
            continue
        exact = exact_fisher(family, raw, policy, truth)
        found = answer(rl.fisher_matrix, mdp, family, setting)
        bound = found.certificate.error_bound
        assert found.certificate.bounds["fisher_matrix"] == bound
        assert bound_holds(list(chain.from_iterable(exact)), found, bound), f"{raw.name} {kind}"
        v = np.random.default_rng(0).integers(-5, 6, size=len(exact)).astype(float)
        product = answer(rl.fisher_vector_product, mdp, family, setting, v)
        expected = [sum((x * Fraction(y) for x, y in zip(row, v, strict=True)), Fraction(0)) for row in exact]
        assert bound_holds(expected, product, product.certificate.error_bound), f"{raw.name} {kind}"
        count += 1
    report(f"{count} Fisher matrices and products with them against exact fractions")


def not_there_for_visits(raw: RawModel, policy: Array, setting: Any) -> bool:
    try:
        rl.occupancy(core_model(raw), policy, setting, raise_on_failure=False)
    except rl.ImproperPolicyError:
        return True
    return False


def test_critics_against_exact_fractions(report: Callable[[str], None]) -> None:
    """The gradient with the critic is the exact one, F w is the gradient per visit, and Q_w has the error it says."""
    count = proven = 0
    for raw, setting, kind, family in cases(per_family=2):
        mdp = core_model(raw)
        policy = family.on(mdp).policy
        if kind == "direct" and not policy.all():
            with pytest.raises((rl.PolicyError, rl.ImproperPolicyError, rl.SettingError)):
                rl.compatible_critic(mdp, family, setting)
            continue
        try:
            found = answer(rl.compatible_critic, mdp, family, setting)
        except (rl.ImproperPolicyError, rl.SettingError):
            continue
        truth = truth_of(raw, policy, setting)
        assert truth is not None
        exact = exact_gradient(family, raw, policy, truth)
        bounds = found.certificate.bounds
        assert bound_holds(exact, found.gradient, bounds["gradient"]), f"{raw.name} {kind}"
        # The theorem: what is missed is rounding, beside what could be summed up.
        scores = [max(map(abs, column)) for column in zip(*exact_scores(family, raw, policy), strict=True)]
        if kind == "direct":
            scores = [1 / Fraction(p) for p in policy]
        largest = max(float(abs(q)) for q in truth.action_value if q is not None)
        size = (float(max(scores)) + 1.0) * largest * float(sum(truth.visits)) * float(max(raw.num_actions))
        assert bounds["gradient"] <= 1e-8 * size, f"{raw.name} {kind}"
        mse = Fraction(0)
        for pair, state in enumerate(owner(raw)):
            weight = truth.share[state] * Fraction(policy[pair])
            if weight:
                q = truth.action_value[pair]
                assert q is not None
                mse += weight * (q - Fraction(found.action_value.ravel()[pair])) ** 2
        assert bound_holds([mse], found.mean_squared_error, bounds["mean_squared_error"]), f"{raw.name} {kind}"
        if math.isfinite(bounds["weights"]):
            check_weights(family, raw, policy, truth, found)
            proven += 1
        count += 1
    report(f"{count} critics against exact fractions, the weights of {proven} proven")
    assert proven > count / 3


def check_weights(family: Any, raw: RawModel, policy: Array, truth: Truth, found: Any) -> None:
    """Where weights have a bound, an exact minimiser of least norm is that near."""
    if isinstance(family, rl.Direct):
        exact = [
            Fraction(p) * (q if q is not None and truth.visits[s] else 0)
            for p, q, s in zip(policy, truth.action_value, owner(raw), strict=True)
        ]
    elif isinstance(family, rl.TabularSoftmax):
        exact = [Fraction(0)] * len(policy)
        for state, (first, last) in enumerate(pairwise(raw.pair_start.tolist())):
            taken = [p for p in range(first, last) if policy[p] > 0 and truth.visits[state] > 0]
            mean = sum((truth.advantage[p] or 0 for p in taken), Fraction(0)) / max(len(taken), 1)
            for p in taken:
                exact[p] = (truth.advantage[p] or 0) - mean
    else:
        F = exact_fisher(family, raw, policy, truth)
        total = sum(truth.visits) / sum(truth.share)
        right = [g / total for g in exact_gradient(family, raw, policy, truth)]
        (exact,) = fmpq_solve(F, [right])  # regular, for the bound says so
    assert bound_holds(exact, found.weights, found.certificate.bounds["weights"]), raw.name
    total = sum(truth.visits) / sum(truth.share)
    natural = [total * x for x in exact]
    assert bound_holds(natural, found.natural_gradient, found.certificate.bounds["natural_gradient"]), raw.name


# ---- known answers ----

CORRIDOR = rl.gallery.short_corridor()
RIGHT = [[[0.0], [1.0]]] * CORRIDOR.num_states


def going_right(p: float) -> Any:
    """The probability p of going right as the parameter, the same in all states."""
    policy = np.tile([1.0 - p, p], (CORRIDOR.num_states, 1))
    return rl.Scores(policy, np.tile([[[-1.0 / (1.0 - p)], [1.0 / p]]], (CORRIDOR.num_states, 1, 1)))


def test_short_corridor() -> None:
    """Sutton & Barto, example 13.1: J(p) = 2 (p - 2) / (p (1 - p)), largest at 2 - sqrt 2."""
    at_half = rl.policy_gradient(CORRIDOR, going_right(0.5), rl.Episodic())
    assert abs(at_half.gradient[0] - 8.0) <= at_half.certificate.error_bound < 1e-12
    by_preference = rl.policy_gradient(CORRIDOR, rl.LinearSoftmax(RIGHT, [0.0]), rl.Episodic())
    assert abs(by_preference.gradient[0] - 8.0 * 0.25) <= by_preference.certificate.error_bound
    best = rl.policy_gradient(CORRIDOR, going_right(2.0 - ROOT_TWO), rl.Episodic())
    assert best.start_value is not None
    assert abs(best.start_value + 6.0 + 4.0 * ROOT_TWO) <= best.certificate.bounds["start_value"] + 8 * ULP
    # J'' = -(4 (2 - p) ... ) < 60 there, and p is off by an ulp.
    assert abs(best.gradient[0]) <= best.certificate.error_bound + 64 * ULP
    critic = rl.compatible_critic(CORRIDOR, going_right(0.5), rl.Episodic())
    # With several states behind one parameter the critic fits badly, and the gradient is exact all the same.
    assert abs(critic.gradient[0] - 8.0) <= critic.certificate.bounds["gradient"]
    assert critic.mean_squared_error > 1.0
    assert critic.rank == 1


@pytest.mark.parametrize("p", [0.1, 0.3, 0.9])
def test_short_corridor_elsewhere(p: float) -> None:
    found = rl.policy_gradient(CORRIDOR, going_right(p), rl.Episodic())
    exact = (Fraction(p) ** 2 - 4 * Fraction(p) + 2) * -2 / (Fraction(p) ** 2 * (1 - Fraction(p)) ** 2) * -1
    assert abs(found.gradient[0] - float(exact)) <= 1e-9 * abs(float(exact))


def test_tabular_softmax_is_visits_times_probability_times_advantage() -> None:
    mdp = rl.gallery.garnet(30, 4, 3, seed=2)
    theta = np.random.default_rng(0).standard_normal(mdp.pair_shape)
    for setting in (rl.Discounted(0.95), rl.Average()):
        found = rl.policy_gradient(mdp, rl.TabularSoftmax(theta), setting)
        policy = rl.softmax_policy(mdp, theta)
        ev, occ = rl.evaluate(mdp, policy, setting, tol=1e-13), rl.occupancy(mdp, policy, setting, tol=1e-13)
        visits = occ.state if occ.visits is None else occ.visits
        expected = visits[:, None] * policy * ev.advantage
        assert np.abs(found.gradient - expected).max() <= 1e-12 * np.abs(expected).max()
        assert np.abs(found.gradient.sum(axis=1)).max() <= 1e-12 * np.abs(expected).max()
        natural = rl.natural_gradient(mdp, rl.TabularSoftmax(theta), setting)
        centred = ev.advantage - ev.advantage.mean(axis=1, keepdims=True)
        factor = 20.0 if setting == rl.Discounted(0.95) else 1.0
        assert np.abs(natural - factor * centred).max() <= 1e-11 * np.abs(natural).max()


def objective(mdp: rl.MDP, family: Any, setting: Any) -> tuple[float, float]:
    """J of a family's policy and the bound on its error."""
    ev = rl.evaluate(mdp, family.on(mdp).policy.reshape(mdp.pair_shape), setting, tol=0.0, raise_on_failure=False)
    if ev.gain is not None:
        return float(ev.gain[0]), float(ev.certificate.bounds["gain"])
    return ev.start_value, ev.certificate.bounds["start_value"]


@pytest.mark.parametrize("setting", [rl.Discounted(0.9), rl.Episodic(), rl.Average()], ids=repr)
@pytest.mark.parametrize("kind", ["tabular", "linear"])
def test_finite_differences(setting: Any, kind: str) -> None:
    """Richardson's difference quotient: its error is estimated from two more steps, that of J is proven."""
    module, name = {
        rl.Episodic(): (generated_models, "termination_everywhere"),
        rl.Average(): (generated_models, "dense"),
    }.get(setting, (generated_models, "ragged_actions"))
    for index in range(3):
        raw = module.model(name, index)
        mdp, family = core_model(raw), families_of(raw, 2 * index)[kind]
        found = rl.policy_gradient(mdp, family, setting)
        theta = family.parameters
        for place in np.ndindex(theta.shape):
            unit = np.zeros(theta.shape)
            unit[place] = 1.0
            quotients, noise = [], 0.0
            for h in (2.0**-6, 2.0**-7, 2.0**-8):
                (above, e), (below, f) = (objective(mdp, family.with_parameters(theta + s * h * unit), setting)
                                          for s in (1.0, -1.0))  # fmt: skip
                quotients.append((above - below) / (2.0 * h))
                # The policy is rounded too: by a few ulp, each of which changes J by max |A| times the visits at most.
                scale = max(abs(above), abs(below), float(np.abs(found.gradient).max()), 1.0)
                noise = (e + f + 64 * ULP * scale * (1.0 + mdp.num_states)) / (2.0 * h)
            coarse, fine = ((4.0 * b - a) / 3.0 for a, b in pairwise(quotients))
            finest = (16.0 * fine - coarse) / 15.0
            allowed = abs(finest - fine) + 8.0 * noise + found.certificate.error_bound
            assert abs(found.gradient[place] - finest) <= allowed, f"{raw.name} {place}"
            assert allowed <= 1e-8 * max(1.0, float(np.abs(found.gradient).max()))  # the check says something


# ---- traps ----


def test_saturated_softmax() -> None:
    """Probabilities of exactly 0 and 1: the gradient is 0, and says how surely."""
    mdp = rl.gallery.garnet(20, 3, 4, seed=1)
    best = rl.greedy_policy(mdp, rl.evaluate(mdp, rl.uniform_policy(mdp), 0.9))
    for scale in (700.0, 1e6):
        family = rl.TabularSoftmax(scale * best)
        found = rl.policy_gradient(mdp, family, 0.9)
        assert found.certificate.status == "converged"
        assert np.abs(found.gradient).max() <= found.certificate.error_bound
        critic = rl.compatible_critic(mdp, family, 0.9)
        taken = (family.on(mdp).policy > 0).reshape(20, 3)
        assert critic.rank == (taken.sum(axis=1) - 1)[rl.occupancy(mdp, best, 0.9).visits > 0].sum()
        assert not critic.weights[~taken].any()


def test_all_actions_alike() -> None:
    """A = 0 everywhere: the gradient is 0 within a bound that is rounding of Q."""
    row = np.random.default_rng(0).dirichlet(np.ones(5), size=5)
    mdp = rl.MDP(np.repeat(row, 3, axis=0), np.repeat(np.arange(5.0), 3), initial=np.full(5, 0.2))
    for setting in (rl.Discounted(0.99), rl.Average()):
        found = rl.policy_gradient(mdp, rl.TabularSoftmax(np.arange(15.0).reshape(5, 3)), setting)
        assert np.abs(found.gradient).max() <= found.certificate.error_bound < 1e-9


def test_a_large_constant_in_the_rewards_costs_no_digits() -> None:
    mdp = rl.gallery.garnet(20, 3, 4, seed=1)
    family = rl.TabularSoftmax(np.random.default_rng(0).standard_normal((20, 3)))
    offset = np.float64(2.0**30)
    exact = mdp.with_reward(np.round(mdp.reward * 2.0**20) / 2.0**20)
    shifted = exact.with_reward(exact.reward + offset)
    small, large = (rl.policy_gradient(model, family, 0.9) for model in (exact, shifted))
    # The probabilities of a state miss the sum 1 by up to 3 ulp, which is worth that much of V, in visits of up to 10.
    assert np.abs(small.gradient - large.gradient).max() <= large.certificate.error_bound
    assert large.certificate.error_bound <= 3 * ULP * offset * 10.0 * 10.0
    # What is left of that after the mean of A is taken out is of second order: the rows of the model are off as well.
    assert np.abs(small.gradient - large.gradient).max() <= 1e-6 * np.abs(small.gradient).max()


@pytest.mark.parametrize("gamma", [0.9, 0.99])
def test_values_that_are_large_beside_advantages(gamma: float) -> None:
    """V is up to 1e6 and A up to 10: an error of 1e-9 of the largest A is 1e-15 of V."""
    long, short = (rl.gallery.queue(size) for size in (10_000, 1000))
    found, other = (rl.policy_gradient(mdp, rl.TabularSoftmax(np.zeros(mdp.pair_shape)), gamma)
                    for mdp in (long, short))  # fmt: skip
    largest = np.abs(rl.evaluate(long, rl.uniform_policy(long), gamma).advantage).max()
    assert found.certificate.error_bound <= 1e-9 * largest / (1.0 - gamma)
    if gamma == 0.9:  # nobody in the first 500 places sees the end of a queue of 1000 before 0.9^500 is left of it
        apart = np.abs(found.gradient[:500] - other.gradient[:500]).max()
        assert apart <= found.certificate.error_bound + other.certificate.error_bound + 1e-15


def test_duplicated_features_have_one_rank() -> None:
    mdp = rl.gallery.garnet(20, 3, 4, seed=1)
    once = np.random.default_rng(0).standard_normal((60, 3))
    twice = np.hstack([once, once])
    theta = np.array([0.3, -0.2, 0.1])
    single = rl.compatible_critic(mdp, rl.LinearSoftmax(once, theta), 0.9)
    double = rl.compatible_critic(mdp, rl.LinearSoftmax(twice, np.concatenate([theta / 2, theta / 2])), 0.9)
    assert (single.rank, double.rank) == (3, 3)
    assert np.allclose(double.weights, np.concatenate([single.weights, single.weights]) / 2, rtol=1e-10)
    assert math.isfinite(single.certificate.bounds["weights"])
    assert double.certificate.bounds["weights"] == math.inf
    assert np.allclose(double.action_value, single.action_value, rtol=1e-10)


def test_least_squares_by_products_agree_with_singular_values(monkeypatch: pytest.MonkeyPatch) -> None:
    mdp = rl.gallery.garnet(50, 4, 3, seed=3)
    rng = np.random.default_rng(0)
    features = scipy.sparse.csr_array(rng.standard_normal((200, 12)) * (rng.random((200, 12)) < 0.3))
    family = rl.LinearSoftmax(features, rng.standard_normal(12))
    direct = rl.compatible_critic(mdp, family, 0.95)
    monkeypatch.setattr(sys.modules["rlcore.compatible_critic"], "MOST_WORK", 0)
    iterated = rl.compatible_critic(mdp, family, 0.95)
    assert iterated.rank is None
    assert np.abs(iterated.weights - direct.weights).max() <= 1e-10 * np.abs(direct.weights).max()
    assert (
        iterated.certificate.bounds["gradient"]
        <= 1e-9 * np.abs(direct.gradient).max() + 2 * direct.certificate.bounds["gradient"]
    )


def test_blocks_of_rows_reduce_to_the_same_triangle(monkeypatch: pytest.MonkeyPatch) -> None:
    mdp = rl.gallery.garnet(50, 4, 3, seed=3)
    rng = np.random.default_rng(0)
    family = rl.LinearSoftmax(rng.standard_normal((200, 12)), rng.standard_normal(12))
    whole = rl.compatible_critic(mdp, family, 0.95)
    monkeypatch.setattr(sys.modules["rlcore.compatible_critic"], "MOST_ROWS", 7)
    blocks = rl.compatible_critic(mdp, family, 0.95)
    assert np.allclose(whole.weights, blocks.weights, rtol=1e-11)
    assert whole.rank == blocks.rank == 12


def test_direct_parameters_where_the_policy_does_not_go() -> None:
    """rho Q also where pi = 0: how much the return would gain by a little of that action."""
    mdp = rl.gallery.garnet(10, 3, 3, seed=0)
    policy = rl.deterministic_policy(mdp, np.zeros(10, dtype=int))
    found = rl.policy_gradient(mdp, rl.Direct(policy), 0.9)
    ev, occ = rl.evaluate(mdp, policy, 0.9), rl.occupancy(mdp, policy, 0.9)
    assert np.abs(found.gradient - occ.visits[:, None] * ev.action_value).max() <= 1e-8
    # The directional derivative is the first-order change of the return.
    other, step = rl.random_policy(mdp, 1), 2.0**-20
    moved = rl.evaluate(mdp, rl.mixture_policy(policy, other, step), 0.9, tol=0.0)
    slope = (moved.start_value - rl.evaluate(mdp, policy, 0.9, tol=0.0).start_value) / step
    assert abs(slope - (found.gradient * (other - policy)).sum()) <= 1e-3 * abs(slope)


def test_states_that_are_never_visited_have_no_weights() -> None:
    mdp = rl.MDP(np.eye(3)[[0, 0, 1, 2, 2, 1]], np.arange(6.0), initial=[1, 0, 0])
    found = rl.compatible_critic(mdp, rl.TabularSoftmax(np.zeros((3, 2))), 0.9)
    assert not found.weights[1:].any()
    assert found.rank == 1
    assert not found.gradient[1:].any()


def test_average_needs_no_start_distribution_and_one_recurrent_class() -> None:
    rows = np.array([[0.5, 0.5], [0.2, 0.8], [0.9, 0.1], [0.3, 0.7]])
    mdp = rl.MDP(rows, [1.0, 0.0, 2.0, 3.0])
    found = rl.policy_gradient(mdp, rl.TabularSoftmax(np.zeros((2, 2))), rl.Average())
    same = rl.policy_gradient(mdp.with_initial([1, 0]), rl.TabularSoftmax(np.zeros((2, 2))), rl.Average())
    assert np.abs(found.gradient - same.gradient).max() <= 1e-12
    assert found.start_value is None
    assert found.gain is not None


@pytest.mark.parametrize("setting", [0.0, 0.9], ids=["gamma 0", "gamma 0.9"])
def test_bits_do_not_depend_on_threads(setting: float) -> None:
    mdp = rl.gallery.garnet(13_000, 4, 3, seed=0)  # enough pairs for threads
    rng = np.random.default_rng(0)
    features = scipy.sparse.random_array((mdp.num_pairs, 50), density=0.1, rng=rng, format="csr")
    for family in (rl.TabularSoftmax(rng.standard_normal(mdp.pair_shape)), rl.LinearSoftmax(features, rng.random(50))):
        one, two = (rl.compatible_critic(mdp, family, setting, num_threads=threads) for threads in (1, 2))
        assert one.gradient.tobytes() == two.gradient.tobytes()
        assert one.weights.tobytes() == two.weights.tobytes()
        assert one.certificate.bounds == two.certificate.bounds
        first, second = (rl.policy_gradient(mdp, family, setting, num_threads=threads) for threads in (1, 2))
        assert first.gradient.tobytes() == second.gradient.tobytes()


def test_tolerances_and_statuses() -> None:
    mdp = rl.gallery.garnet(300, 3, 4, seed=1)
    family = rl.TabularSoftmax(np.zeros((300, 3)))
    default, finest = (rl.policy_gradient(mdp, family, 0.99, tol=tol) for tol in (1e-9, 0.0))
    assert default.certificate.error_bound <= 1e-9 * np.abs(default.gradient).max()
    assert finest.certificate.error_bound < default.certificate.error_bound
    assert np.abs(default.gradient - finest.gradient).max() <= default.certificate.error_bound * 1.01


def test_what_falls_short_of_the_tolerance_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    mdp = rl.gallery.garnet(5000, 3, 4, seed=1)
    family = rl.TabularSoftmax(np.zeros((5000, 3)))
    # As if a solver were content with three digits.
    rough = lambda *parts, tol, **options: rl.evaluate(*parts, tol=1e-3, **options)  # noqa: E731
    monkeypatch.setattr(sys.modules["rlcore.gradient_base"], "evaluate", rough)
    for function in (rl.policy_gradient, rl.compatible_critic, rl.natural_gradient):
        with pytest.raises(rl.ConvergenceError, match=": expected a relative error of 1e-09, could not") as raised:
            function(mdp, family, 0.99)
        result = raised.value.result
        assert isinstance(result, rl.PolicyGradient | rl.CompatibleCritic)
        assert result.certificate.status == "stalled"
        assert function(mdp, family, 0.99, raise_on_failure=False).certificate.status == "stalled"


MANY_FEATURES = """
import resource, sys
import numpy as np, rlcore as rl
from scipy.sparse import csr_array
mdp = rl.gallery.garnet(20_000, 4, 4, seed=0)
rng = np.random.default_rng(0)
entries = 10 * mdp.num_pairs
columns = rng.integers(100_000, size=entries, dtype=np.int32)
parts = (rng.standard_normal(entries), columns, np.arange(0, entries + 1, 10))
family = rl.LinearSoftmax(csr_array(parts, shape=(mdp.num_pairs, 100_000)), np.zeros(100_000))
resource.setrlimit(resource.RLIMIT_AS, (2 * 2**30, 2 * 2**30))
critic = rl.compatible_critic(mdp, family, 0.9)
size = np.abs(rl.policy_gradient(mdp, family, 0.9).gradient).max()
assert np.isfinite(critic.weights).all() and critic.weights.any()
assert critic.certificate.bounds["gradient"] < 1e-2 * size, (critic.certificate.bounds, size)
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="limits of memory are not kept elsewhere")
def test_a_hundred_thousand_features_take_less_than_two_gigabytes() -> None:
    """A Fisher matrix would take 80."""
    threads = {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, "-c", MANY_FEATURES],
        env=os.environ | threads,
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr


def test_progress_is_told() -> None:
    mdp = rl.gallery.garnet(2000, 3, 4, seed=1)
    told: list[rl.Progress] = []
    rl.policy_gradient(mdp, rl.TabularSoftmax(np.zeros((2000, 3))), 0.999, progress=told.append)
    assert all(isinstance(item, rl.Progress) for item in told)


def test_no_rewards_no_gradient() -> None:
    """What underflow leaves of the errors counts as nothing."""
    mdp = rl.gallery.queue(1000)
    mdp = mdp.with_reward(np.zeros(mdp.pair_shape))
    found = rl.policy_gradient(mdp, rl.TabularSoftmax(np.zeros(mdp.pair_shape)), 0.99)
    assert found.certificate.status == "converged"
    assert not found.gradient.any()
