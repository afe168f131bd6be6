"""Gradients of the compiled core against the exact reference: no error may exceed its certified bound.

What is compared is the gradient of the policy as it is stored, with the scores that belong to it, taken at their binary
values. Probabilities that are stored miss the sum 1 by rounding; features and scores that are given are centred exactly
for them, so that Q and A make the same gradient.
"""

from __future__ import annotations

import math
import statistics
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from itertools import islice
from typing import Any

import numpy as np
import pytest

import generated_chains
import generated_models
import rlcore as rl
from generated_models import RawModel
from rlcore import reference
from rlcore.errors import ConvergenceError
from rlcore.reference import linear
from rlcore.reference.families import PolicyFamily
from rlcore.reference.real import ACCURACY, square_root
from rlcore.reference.structure import policy_chain, structure_of
from test_agreement import core_model
from test_reference_settings import Model, stored

LARGEST = 6
PER_FAMILY = {"discounted": 24, "episodic": 40, "average": 25}

# A bound is to be no more than a digit above the error, in the median over the models.
SHARP = 10.0

SETTINGS: dict[str, tuple[Any, list[str]]] = {
    "discounted": (generated_models, list(generated_models.FAMILIES)),
    "episodic": (generated_chains, list(generated_chains.ENDING)),
    "average": (generated_chains, list(generated_chains.CONTINUING)),
}


# Families of policies on a model, as the core takes them and as the reference does.


def tabular(rng: np.random.Generator, raw: RawModel) -> rl.TabularSoftmax:
    return rl.TabularSoftmax(rng.normal(size=raw.pair_shape))


def saturated(rng: np.random.Generator, raw: RawModel) -> rl.TabularSoftmax:
    """Probabilities of 1, of 1e-304 and of 0."""
    return rl.TabularSoftmax(rng.choice([0.0, 1.0, 700.0, -700.0], size=raw.pair_shape))


def shared(rng: np.random.Generator, raw: RawModel) -> rl.LinearSoftmax:
    """Three features, of which the third is the first once more."""
    features = rng.normal(size=(len(raw.reward), 3)) * 10.0 ** rng.uniform(-3, 3)
    features[:, 2] = features[:, 0]
    return rl.LinearSoftmax(features, rng.normal(size=3))


def direct(rng: np.random.Generator, raw: RawModel) -> rl.Direct:
    return rl.Direct(raw.policy.reshape(raw.pair_shape))


def scored(rng: np.random.Generator, raw: RawModel) -> rl.Scores:
    """Random scores less their mean, for the policy of the model, zeros and all."""
    scores = rng.normal(size=(len(raw.reward), 2))
    means = np.add.reduceat(raw.policy[:, None] * scores, raw.pair_start[:-1])
    return rl.Scores(raw.policy, scores - np.repeat(means, raw.num_actions, axis=0))


FAMILIES: tuple[Callable[[np.random.Generator, RawModel], Any], ...] = (tabular, saturated, shared, direct, scored)


def exact_family(family: Any, mdp: rl.MDP, raw: RawModel, discounted: bool) -> PolicyFamily:
    """Return the stored policy with its scores.

    Those of a table make exactly rho pi A of the gradient, although probabilities miss the sum 1: with a discount V is
    the sum of pi Q, and without one, where rows are completed by their diagonals, V is that sum divided by that of pi.
    """
    policy = reference.exact(raw.by_state(family.on(mdp).policy))
    if isinstance(family, rl.Direct):
        return reference.direct(policy)
    table = isinstance(family, rl.TabularSoftmax)
    pairs = (
        np.eye(len(raw.reward)) if table else family.features if isinstance(family, rl.LinearSoftmax) else family.scores
    )
    scores = []
    for pi, rows in zip(policy, reference.exact(raw.by_state(pairs)), strict=True):
        total = Fraction(1) if table and discounted else sum(pi)
        means = [linear.dot(pi, list(column)) / total for column in zip(*rows, strict=True)]
        scores.append([[x - mean for x, mean in zip(row, means, strict=True)] for row in rows])
    return reference.scored(policy, scores)


@dataclass(frozen=True, eq=False)
class Case:
    """A model with a family of policies on it."""

    raw: RawModel
    kind: str
    setting: str
    family: Any
    mdp: rl.MDP
    model: Model
    exact: PolicyFamily

    def __str__(self) -> str:
        return f"{self.raw.name} {self.kind} {self.setting} gamma={self.raw.gamma}"

    @property
    def core_setting(self) -> Any:
        return {"discounted": rl.Discounted(self.raw.gamma), "episodic": rl.Episodic(), "average": rl.Average()}[
            self.setting
        ]


def unichain(model: Model, policy: Any) -> bool:
    return structure_of(policy_chain(model.transition, policy, model.termination)).is_unichain


def cases(setting: str, name: str, discounted: bool = False) -> Iterator[Case]:
    """Yield models of one family with policies of each kind, as far as the setting has a gradient there.

    With ``discounted``, what is asked for are discounted gradients on the models of another setting.
    """
    module, _ = SETTINGS[setting]
    models = (module.model(name, index) for index in range(600))
    few = list(islice((raw for raw in models if raw.num_states <= LARGEST), PER_FAMILY[setting]))
    for number, raw in enumerate(few):
        kind = FAMILIES[number % len(FAMILIES)]
        rng = np.random.default_rng(zlib.crc32(f"{raw.name} {kind.__name__}".encode()))
        mdp, family, model = core_model(raw), kind(rng, raw), stored(raw)
        exact = exact_family(family, mdp, raw, discounted=discounted or setting == "discounted")
        if setting == "average" and not unichain(model, exact.policy):
            continue
        yield Case(raw, kind.__name__, setting, family, mdp, model._replace(policy=exact.policy), exact)


def answer(call: Callable[..., Any], *arguments: Any, **options: Any) -> Any:
    """Return the answer, or the best one where the tolerance was missed: what is claimed of it has to hold as well."""
    try:
        return call(*arguments, **options)
    except ConvergenceError as error:
        return error.result


def exact_gradient(case: Case) -> reference.PolicyGradient:
    model, member = case.model, case.exact
    if case.setting == "discounted":
        return reference.policy_gradient(model.transition, model.reward, member, case.raw.gamma, model.initial)
    if case.setting == "episodic":
        return reference.policy_gradient_episodic(
            model.transition, model.reward, member, model.initial, model.termination
        )
    return reference.policy_gradient_average(model.transition, model.reward, member)


@dataclass(frozen=True)
class Comparison:
    case: str
    name: str
    bound: float
    error: Fraction

    @property
    def claims_nothing(self) -> bool:
        return self.bound == math.inf

    @property
    def exceeded(self) -> bool:
        return not self.claims_nothing and not self.error <= Fraction(self.bound)

    def __str__(self) -> str:
        return f"{self.case} {self.name}: error {float(self.error):.3g}, bound {self.bound:.3g}"


def compared(case: Case, found: Any, name: str, exact: Any) -> Comparison:
    got = np.ravel(getattr(found, name)).tolist()
    truth = exact if isinstance(exact, list) else [exact]
    error = max(abs(x - Fraction(y)) for x, y in zip(truth, got, strict=True))
    return Comparison(str(case), name, float(found.certificate.bounds[name]), error)


def sharpness(comparisons: list[Comparison]) -> float:
    """Return the median of bound / error."""
    return statistics.median(c.bound / float(c.error) for c in comparisons if float(c.error) > 0)


def report_of(comparisons: list[Comparison], what: str) -> str:
    """Return a line about bounds and errors."""
    median = sharpness(comparisons)
    return f"  {what}: {len(comparisons)} comparisons, bound / error {median:.3g} in the median"


@pytest.mark.parametrize("setting", SETTINGS)
def test_policy_gradient(setting: str, report: Callable[[str], None]) -> None:
    comparisons, refused = [], 0
    for name in SETTINGS[setting][1]:
        for case in cases(setting, name):
            try:
                exact = exact_gradient(case)
            except ValueError:  # the return has no derivative: an action that is never taken leads away from the end
                with pytest.raises(rl.ImproperPolicyError):
                    rl.policy_gradient(case.mdp, case.family, case.core_setting)
                refused += 1
                continue
            found = answer(rl.policy_gradient, case.mdp, case.family, case.core_setting)
            comparisons.append(compared(case, found, "gradient", exact.gradient))
            objective = "gain" if setting == "average" else "start_value"
            comparisons.append(compared(case, found, objective, getattr(exact, objective)))
    exceeded = [str(c) for c in comparisons if c.exceeded]
    assert not exceeded, f"{len(exceeded)} of {len(comparisons)}: {exceeded[:5]}"
    # States that are coupled by 1e-304 alone.
    comparisons = [c for c in comparisons if not c.claims_nothing]
    gradients = [c for c in comparisons if c.name == "gradient"]
    assert refused <= len(gradients) // 10
    assert len(gradients) >= {"discounted": 600, "episodic": 200, "average": 200}[setting]
    report(report_of(gradients, f"policy_gradient, {setting}"))
    if setting != "episodic":  # where half of the models end after 1e10 steps
        assert sharpness(gradients) <= SHARP


# The practical gradient.

FIELDS = ("gradient", "true_gradient", "inner_product", "cosine", "relative_error")


def length(x: list[Fraction]) -> Fraction:
    return Fraction(square_root(linear.dot(x, x)))


def exact_weights(case: Case, weights: Any) -> list[Fraction]:
    model, gamma = case.model, case.raw.gamma
    if weights == "stationary":
        return reference.stationary_weights(model.transition, model.policy, gamma)
    if weights == "episodic":
        return reference.occupancy_episodic(model.transition, model.policy, model.initial, model.termination).visits
    return reference.horizon_weights(model.transition, model.policy, model.initial, weights)


def practical_cases(weights: Any) -> Iterator[Case]:
    setting = {"stationary": "average", "episodic": "episodic"}.get(weights, "discounted")
    for name in SETTINGS[setting][1]:
        for number, case in enumerate(cases(setting, name, discounted=True)):
            if number % 3 == 0:
                yield case


def check_undefined(case: Case, found: Any, name: str, exact: Any) -> None:
    """A number that is not given is one of a gradient that cannot be told from 0."""
    root = math.sqrt(len(exact.gradient))
    small = [
        length(getattr(exact, field)) <= Fraction(4 * root * found.certificate.bounds[field])
        for field in ("gradient", "true_gradient")
    ]
    assert small[1] or (name == "cosine" and small[0]), str(case)


@pytest.mark.parametrize("weights", ["stationary", "episodic", 1, 3])
def test_practical_gradient(weights: Any, report: Callable[[str], None]) -> None:
    comparisons = []
    for case in practical_cases(weights):
        model = case.model
        exact = reference.practical_gradient(
            model.transition, model.reward, case.exact, case.raw.gamma, model.initial, exact_weights(case, weights)
        )
        found = answer(rl.practical_gradient, case.mdp, case.family, case.raw.gamma, weights)
        for name in FIELDS:
            if getattr(found, name) is None:
                check_undefined(case, found, name, exact)
            else:
                comparisons.append(compared(case, found, name, getattr(exact, name)))
    # Cosines and lengths of the reference are right to sixty digits.
    exceeded = [str(c) for c in comparisons if c.error > Fraction(c.bound) * (1 + 10 * ACCURACY) or c.exceeded]
    assert not exceeded, f"{len(exceeded)} of {len(comparisons)}: {exceeded[:5]}"
    for name in FIELDS:
        some = [c for c in comparisons if c.name == name]
        assert len(some) >= 40
        report(report_of(some, f"practical_gradient, {weights}, {name}"))
