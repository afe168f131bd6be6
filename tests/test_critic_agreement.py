"""Critics, natural gradients and Fisher's matrix of the compiled core against the exact reference."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import replace
from fractions import Fraction
from itertools import islice
from typing import Any

import numpy as np
import pytest

import rlcore as rl
from rlcore import reference
from rlcore.reference import linear
from rlcore.reference.rational import Matrix, Vector
from test_gradient_agreement import SETTINGS, Case, Comparison, answer, cases, compared, exact_family, report_of

KINDS = ("tabular", "shared", "scored")
CASES_PER_FAMILY = 6


def scored_cases(setting: str) -> Iterator[Case]:
    """Yield models with policies that have scores, and at most a dozen parameters.

    All scores are centred exactly: only then do as many parameters do the same as are meant to.
    """
    for name in SETTINGS[setting][1]:
        found = (case for case in cases(setting, name) if case.kind in KINDS and case.exact.num_parameters <= 12)
        for case in islice(found, CASES_PER_FAMILY):
            yield replace(case, exact=exact_family(case.family, case.mdp, case.raw, discounted=False))


def exact_parts(case: Case) -> tuple[Vector, Matrix, Fraction]:
    """Return d, Q and what the critic's weights are multiplied by in the natural gradient (theory 4.3)."""
    model, pi, gamma = case.model, case.exact.policy, case.raw.gamma
    if case.setting == "discounted":
        found = reference.occupancy(model.transition, pi, model.initial, gamma)
        Q = reference.evaluate(model.transition, model.reward, pi, gamma).action_value
        return found.state, Q, 1 / (1 - Fraction(gamma))
    if case.setting == "episodic":
        visits = reference.occupancy_episodic(model.transition, pi, model.initial, model.termination)
        values = reference.evaluate_episodic(model.transition, model.reward, pi, model.termination).action_value
        # What is not visited may have no value, and weighs nothing.
        Q = [[Fraction(0) if q is None else q for q in row] for row in values]
        return visits.state, Q, sum(visits.visits, Fraction(0))
    average = reference.evaluate_average(model.transition, model.reward, pi)
    (d,) = reference.stationary_distributions(model.transition, pi)
    return d, average.action_value or [], Fraction(1)


def at_most(case: Case, name: str, got: Any, exact: Vector, bound: Any) -> Comparison:
    error = max(abs(x - Fraction(y)) for x, y in zip(exact, np.ravel(got).tolist(), strict=True))
    return Comparison(str(case), name, float(bound), error)


def error_of_guess(case: Case, d: Vector, Q: Matrix, guess: Any) -> Fraction:
    """Return E[(Q - Q_w)^2] of a critic that is given."""
    guesses = iter(np.ravel(guess).tolist())
    return sum(
        (
            share * p * (q - Fraction(next(guesses))) ** 2
            for share, pi, row in zip(d, case.exact.policy, Q, strict=True)
            for p, q in zip(pi, row, strict=True)
        ),
        Fraction(0),
    )


@pytest.mark.parametrize("setting", SETTINGS)
def test_critics(setting: str, report: Callable[[str], None]) -> None:
    comparisons: list[Comparison] = []
    known = 0
    for case in scored_cases(setting):
        d, Q, factor = exact_parts(case)
        critic = reference.compatible_critic(case.exact, d, Q)
        found = answer(rl.compatible_critic, case.mdp, case.family, case.core_setting)
        bounds = found.certificate.bounds
        mse = error_of_guess(case, d, Q, found.action_value)
        comparisons.append(compared(case, found, "mean_squared_error", mse))
        gradient = [factor * x for x in critic.gradient]
        comparisons.append(at_most(case, "gradient", found.gradient, gradient, bounds["gradient"]))
        if math.isfinite(bounds["weights"]):
            known += 1
            assert found.rank == critic.rank, str(case)
            natural = [factor * w for w in critic.weights]
            comparisons.append(compared(case, found, "weights", critic.weights))
            comparisons.append(compared(case, found, "natural_gradient", natural))
    exceeded = [str(c) for c in comparisons if c.exceeded]
    assert not exceeded, f"{len(exceeded)} of {len(comparisons)}: {exceeded[:5]}"
    assert known >= {"discounted": 80, "episodic": 20, "average": 30}[setting]
    for name in ("gradient", "weights", "natural_gradient", "mean_squared_error"):
        report(report_of([c for c in comparisons if c.name == name], f"compatible_critic, {setting}, {name}"))


@pytest.mark.parametrize("setting", SETTINGS)
def test_fisher_matrices(setting: str, report: Callable[[str], None]) -> None:
    comparisons = []
    for case in scored_cases(setting):
        d, _, _ = exact_parts(case)
        F = reference.fisher_matrix(case.exact, d)
        found = answer(rl.fisher_matrix, case.mdp, case.family, case.core_setting)
        flat = [x for row in F for x in row]
        comparisons.append(at_most(case, "fisher_matrix", found, flat, found.certificate.error_bound))
        v = np.arange(1.0, 1.0 + case.exact.num_parameters)
        product = answer(rl.fisher_vector_product, case.mdp, case.family, case.core_setting, v)
        exact = reference.fisher_vector_product(case.exact, d, v.tolist())
        assert exact == linear.multiply(F, reference.exact(v.tolist()))
        bound = product.certificate.error_bound
        comparisons.append(at_most(case, "fisher_vector_product", product, exact, bound))
    exceeded = [str(c) for c in comparisons if c.exceeded]
    assert not exceeded, f"{len(exceeded)} of {len(comparisons)}: {exceeded[:5]}"
    assert len(comparisons) >= {"discounted": 200, "episodic": 40, "average": 100}[setting]
    for name in ("fisher_matrix", "fisher_vector_product"):
        report(report_of([c for c in comparisons if c.name == name], f"{name}, {setting}"))
