"""check_improvement against the exact reference: errors within certificates, no true statement violated.

Every comparison is exact: floats are taken at their binary values. What is compared are pairs of policies on the small
nasty models, in all three settings; the counts and the medians are reported after the tests.
"""

from __future__ import annotations

import math
import statistics
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from fractions import Fraction
from functools import cache
from itertools import count, islice
from typing import Any

import numpy as np
import pytest

import generated_chains
import generated_models
import generated_pairs
import rlcore as rl
from generated_chains import CONTINUING, ENDING
from generated_models import FAMILIES, Array, RawModel
from generated_pairs import KINDS
from rlcore import Verdict, bounds, reference
from rlcore.reference import Improvement
from rlcore.reference.real import Extended

MODELS = 5  # of every family, each with a candidate of every kind
LARGEST = 4  # states of most of them: fractions grow with the cube of it, and so does the time
SHARPNESS = 10  # what the median of certificate / error may be
NEGLIGIBLE = 1e-6  # a TV below which rounding may hide which side is larger
Setting = rl.Discounted | rl.Episodic | rl.Average

NUMBERS = {
    "eta": "start_value",
    "eta_new": "new_start_value",
    "surrogate": "surrogate",
    "gap": "gap",
    "epsilon": "max_advantage",
    "epsilon_bar": "max_expected_advantage",
    "alpha": "max_total_variation",
    "kl_max": "max_kl",
    "tv_mean": "mean_total_variation",
    "kl_mean": "mean_kl",
}
"""The numbers of a report, and what the reference calls them."""

ORDER = [
    ("eq_107", "lemma_2_5"),
    ("lemma_2_5", "pinsker"),
    ("pinsker", "theorem_2_1"),
    ("propagated_state", "propagated_action"),
    ("propagated_action", "span_107"),
    ("span_107", "pirotta_span"),
    ("pirotta_span", "lemma_2_5"),
    ("span_107", "eq_107"),
    ("propagated_action", "cpo_span"),
    ("cpo_span", "cpo_tv"),
    ("cpo_tv", "cpo_kl"),
    ("cpo_tv", "lemma_2_5"),
    ("cpo_span", "pirotta_span"),
    ("one_step_ergodic", "one_step"),
    ("one_step_ergodic", "ergodic"),
    ("one_step", "cpo_span"),
    ("ergodic", "cpo_span"),
]




@dataclass(frozen=True, eq=False)
class Case:
    """A candidate beside a base policy in a setting, and all that is true of it."""

    raw: RawModel
    candidate: Array
    setting: Setting
    true: Improvement
    bounds: dict[str, Extended]
    enclosures: dict[str, tuple[Extended, Extended]]
    name: str

    @property
    def mdp(self) -> rl.MDP:
        return core_model(self.raw)

    def check(self, **options: Any) -> rl.ImprovementReport:
        old, new = shaped(self.raw, self.raw.policy), shaped(self.raw, self.candidate)
        return rl.check_improvement(self.mdp, old, new, self.setting, **options)


def core_model(raw: RawModel) -> rl.MDP:
    termination = raw.termination if raw.termination.any() else None
    return rl.MDP(raw.transition, raw.reward, pair_start=raw.pair_start, termination=termination, initial=raw.initial)


def shaped(raw: RawModel, pairs: Array) -> Array:
    return pairs.reshape(raw.pair_shape)


def discounted(raw: RawModel, new: Array, name: str) -> Case:
    P, pi, pi_new, r, end = (
        raw.by_state(x) for x in (raw.transition, raw.policy, new, raw.reward, raw.termination)
    )
    found = reference.check_improvement(P, pi, pi_new, raw.initial.tolist(), raw.gamma, r, end)
    return Case(
        raw, new, rl.Discounted(raw.gamma), found.improvement, found.bounds, dict(found.enclosures), name
    )


def episodic(raw: RawModel, new: Array, name: str) -> Case:
    P, pi, pi_new, r, end = (
        raw.by_state(x) for x in (raw.transition, raw.policy, new, raw.reward, raw.termination)
    )
    start = raw.initial.tolist()
    true = reference.improvement_episodic(P, pi, pi_new, start, r, end)
    sizes = reference.bounds_episodic(P, pi, pi_new, start, r, end)
    around = reference.enclosures_episodic(P, pi, pi_new, start, r, end)
    return Case(raw, new, rl.Episodic(), true, sizes, around, name)


def average(raw: RawModel, new: Array, name: str) -> Case:
    P, pi, pi_new, r = (raw.by_state(x) for x in (raw.transition, raw.policy, new, raw.reward))
    true = reference.improvement_average(P, pi, pi_new, r)
    sizes = reference.bounds_average(P, pi, pi_new, r)
    return Case(raw, new, rl.Average(), true, dict(sizes), {}, name)


FAMILIES_OF: dict[str, tuple[dict[str, Any], Callable[[str, int], RawModel], Callable[[RawModel, Array, str], Case]]] = {
    "discounted": (FAMILIES, generated_models.model, discounted),
    "episodic": (ENDING, generated_chains.model, episodic),
    "average": (CONTINUING, generated_chains.model, average),
}


def small(models: Iterator[RawModel]) -> Iterator[RawModel]:
    return (raw for raw in models if raw.num_states <= LARGEST)


@cache
def cases(kind: str) -> list[Case]:
    """Return the cases of a setting; pairs of policies that have no answer there are left out."""
    families, model, make = FAMILIES_OF[kind]
    found = []
    for family in families:
        models = (model(family, index) for index in count())
        for raw in islice(small(models), MODELS if kind == "discounted" else 2 * MODELS):
            for trouble in KINDS:
                name = f"{kind} {raw.name} {trouble}"
                try:
                    found.append(make(raw, generated_pairs.candidate(raw, trouble), name))
                except (reference.ImproperPolicyError, ValueError):
                    continue
    return found


def exceeds(found: float, true: Extended, bound: float) -> bool:
    """Say whether a number is farther from the truth than its bound admits."""
    if math.isinf(true):
        return found != true
    return math.isnan(found) or math.isnan(bound) or (math.isfinite(bound) and abs(Fraction(found) - true) > bound)


def lies_in(true: Extended, enclosure: rl.Enclosure) -> bool:
    return bool(enclosure.lower <= true <= enclosure.upper)


@dataclass
class Survey:
    """What came out of all cases of a setting."""

    faults: list[str] = field(default_factory=list)
    sharpness: dict[str, list[float]] = field(default_factory=lambda: {name: [] for name in NUMBERS})
    verdicts: Counter[Verdict] = field(default_factory=Counter)
    decided: Counter[bool] = field(default_factory=Counter)
    undecided: list[str] = field(default_factory=list)
    numbers: int = 0
    cases: int = 0

    def add(self, case: Case) -> None:
        report = case.check(bounds="all")
        self.cases += 1
        self._add_numbers(case, report)
        self._add_bounds(case, report)
        self._add_order(case, report)

    def claim(self, holds: bool, what: str) -> None:
        self.numbers += 1
        if not holds:
            self.faults.append(what)

    def _add_numbers(self, case: Case, report: rl.ImprovementReport) -> None:
        for name, attribute in NUMBERS.items():
            found, bound, true = getattr(report, name), report.certificate.bounds[name], getattr(case.true, attribute)
            self.claim(not exceeds(found, true, bound), f"{case.name}: {name} {found} +- {bound}, not {float(true)}")
            error = abs(Fraction(found) - true) if math.isfinite(found) and math.isfinite(true) else Fraction(0)
            if error:
                self.sharpness[name].append(float(bound / error) if math.isfinite(bound) else math.inf)
        self.claim(lies_in(case.true.improvement, report.improvement), f"{case.name}: {report.improvement}")
        true_verdict = Verdict.HOLDS if case.true.improvement >= 0 else Verdict.VIOLATED
        self.claim(report.improves in (true_verdict, Verdict.UNDECIDED), f"{case.name}: improves {report.improves}")

    def _add_bounds(self, case: Case, report: rl.ImprovementReport) -> None:
        eta_new, L = case.true.new_start_value, case.true.surrogate
        self.claim(report.bounds.keys() == case.bounds.keys(), f"{case.name}: other bounds")
        for name, true in case.bounds.items():
            found = report.bounds[name]
            assert found.enclosure is not None
            self.claim(lies_in(true, found.enclosure), f"{case.name}: {name} {float(true)!r} not in {found.enclosure}")
            low, high = case.enclosures.get(name, (L - true, L + true))
            low, high = max(low, L - true), min(high, L + true)
            where = f"{case.name}: {name} says {found.lower} .. {found.upper}"
            self.claim(found.lower <= low and high <= found.upper, f"{where}, exactly {float(low)} .. {float(high)}")
            self.claim(found.lower <= eta_new <= found.upper, f"{where} of {float(eta_new)}")
            self.claim(found.verdict in (Verdict.HOLDS, Verdict.UNDECIDED), f"{case.name}: {name} {found.verdict}")
            if report.alpha >= NEGLIGIBLE and case.raw.num_states >= 3:
                self.verdicts[found.verdict] += 1
                if found.verdict is Verdict.UNDECIDED:
                    self.undecided.append(f"{case.name}: {name} {float(true)} against {float(abs(case.true.gap))}")

    def _add_order(self, case: Case, report: rl.ImprovementReport) -> None:
        for smaller, larger in ORDER:
            if smaller in case.bounds and larger in case.bounds:
                self.claim(case.bounds[smaller] <= case.bounds[larger], f"{case.name}: {smaller} > {larger}")
                low, high = report.bounds[smaller].enclosure, report.bounds[larger].enclosure
                assert low is not None
                assert high is not None
                self.claim(low.lower <= high.upper, f"{case.name}: {smaller} {low} > {larger} {high}")


@cache
def survey(kind: str) -> Survey:
    found = Survey()
    for case in cases(kind):
        found.add(case)
    return found


settings = pytest.mark.parametrize("kind", FAMILIES_OF)


@settings
def test_everything_is_within_its_bounds(kind: str, report: Callable[[str], None]) -> None:
    found = survey(kind)
    report(f"check_improvement, {kind}: {found.cases} pairs of policies, {found.numbers} comparisons")
    assert not found.faults, f"{len(found.faults)} faults:\n" + "\n".join(found.faults[:20])
