"""check_improvement against the exact reference: errors within certificates, no true statement violated.

Every comparison is exact: floats are taken at their binary values. What is compared are pairs of policies on the small
nasty models, in all three settings; the counts and the medians are reported after the tests.
"""

from __future__ import annotations

import math
import statistics
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from fractions import Fraction
from functools import cache
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
from rlcore.errors import ConvergenceError
from rlcore.reference import Improvement
from rlcore.reference.real import Extended

MODELS = 6  # of every family, each with a candidate of every kind
LARGEST = 4  # states of most of them: fractions grow with the cube of it, and so does the time
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

SHARP = {
    "discounted": [
        "eta",
        "eta_new",
        "surrogate",
        "gap",
        "epsilon",
        "epsilon_bar",
        "alpha",
        "kl_max",
        "tv_mean",
        "kl_mean",
    ],
    "episodic": ["eta", "alpha", "kl_max"],
    "average": ["eta", "eta_new", "surrogate", "epsilon", "epsilon_bar", "alpha", "kl_max", "tv_mean", "kl_mean"],
}
"""Numbers whose bounds are no more than a digit above their errors, in the median. Half of the episodes take 1e10 steps
and more, of which sums lose as many digits; and long runs hardly differ where all states are transient but one."""

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

    @property
    def horizon(self) -> float:
        """How much visits weigh at most: 1 / (1 - gamma), or the longest mean length of an episode."""
        if isinstance(self.setting, rl.Discounted):
            return 1.0 / (1.0 - self.raw.gamma)
        if isinstance(self.setting, rl.Average):
            return 1.0
        P, end = self.raw.by_state(self.raw.transition), self.raw.by_state(self.raw.termination)
        policies = (self.raw.by_state(pairs) for pairs in (self.raw.policy, self.candidate))
        means = [mean for pi in policies for mean in reference.episode_length(P, pi, end).mean]
        return float(max(mean for mean in means if mean is not None))

    def check(self, **options: Any) -> rl.ImprovementReport:
        old, new = shaped(self.raw, self.raw.policy), shaped(self.raw, self.candidate)
        return rl.check_improvement(self.mdp, old, new, self.setting, **options)


def core_model(raw: RawModel) -> rl.MDP:
    termination = raw.termination if raw.termination.any() else None
    return rl.MDP(raw.transition, raw.reward, pair_start=raw.pair_start, termination=termination, initial=raw.initial)


def shaped(raw: RawModel, pairs: Array) -> Array:
    return pairs.reshape(raw.pair_shape)


def discounted(raw: RawModel, new: Array, name: str) -> Case:
    P, pi, pi_new, r, end = (raw.by_state(x) for x in (raw.transition, raw.policy, new, raw.reward, raw.termination))
    found = reference.check_improvement(P, pi, pi_new, raw.initial.tolist(), raw.gamma, r, end)
    return Case(raw, new, rl.Discounted(raw.gamma), found.improvement, found.bounds, dict(found.enclosures), name)


def episodic(raw: RawModel, new: Array, name: str) -> Case:
    P, pi, pi_new, r, end = (raw.by_state(x) for x in (raw.transition, raw.policy, new, raw.reward, raw.termination))
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


FAMILIES_OF: dict[
    str, tuple[dict[str, Any], Callable[[str, int], RawModel], Callable[[RawModel, Array, str], Case]]
] = {
    "discounted": (FAMILIES, generated_models.model, discounted),
    "episodic": (ENDING, generated_chains.model, episodic),
    "average": (CONTINUING, generated_chains.model, average),
}


def small(models: list[RawModel], number: int) -> list[RawModel]:
    """Return some models with few states; the smallest, if there are no others."""
    return ([raw for raw in models if raw.num_states <= LARGEST] or sorted(models, key=lambda raw: raw.num_states))[
        :number
    ]


@cache
def cases(kind: str) -> list[Case]:
    """Return the cases of a setting; pairs of policies that have no answer there are left out."""
    families, model, make = FAMILIES_OF[kind]
    found = []
    for family in families:
        for raw in small([model(family, index) for index in range(4 * MODELS)], MODELS):
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
    numbers: int = 0
    cases: int = 0
    refused: int = 0

    def add(self, case: Case) -> None:
        self.cases += 1
        try:
            report = case.check(bounds="all")
        except ConvergenceError:  # episodes of 1e12 steps may be beyond doubles
            self.refused += 1
            return
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
                self.sharpness[name].append(float(Fraction(bound) / error) if math.isfinite(bound) else math.inf)
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
            self.verdicts[found.verdict] += 1

    def _add_order(self, case: Case, report: rl.ImprovementReport) -> None:
        # The order is one of policies whose rows sum to 1. These are off by a few roundings, which weigh as much as the
        # difference of the policies where that is as small, and more where visits are many.
        off = 8 * float(np.finfo(float).eps) * case.horizon / max(report.alpha, 1e-300)
        for smaller, larger in ORDER:
            if smaller in case.bounds and larger in case.bounds:
                most = (
                    case.bounds[larger]
                    if math.isinf(case.bounds[larger])
                    else case.bounds[larger] * (1 + Fraction(off))
                )
                self.claim(case.bounds[smaller] <= most, f"{case.name}: {smaller} > {larger}")
                low, high = report.bounds[smaller].enclosure, report.bounds[larger].enclosure
                assert low is not None
                assert high is not None
                self.claim(low.lower <= high.upper * (1 + off), f"{case.name}: {smaller} {low} > {larger} {high}")


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
    counts = f"{found.cases} pairs of policies, {found.numbers} comparisons, {found.refused} refused"
    report(f"check_improvement, {kind}: {counts}")
    sharpness = {name: statistics.median(ratios) for name, ratios in found.sharpness.items() if ratios}
    report("  median of certificate / error: " + ", ".join(f"{name} {x:.3g}" for name, x in sharpness.items()))
    report("  verdicts: " + ", ".join(f"{number} {verdict}" for verdict, number in sorted(found.verdicts.items())))
    assert found.cases >= {"discounted": 1200, "episodic": 250, "average": 300}[kind]
    assert found.refused <= 0.05 * found.cases
    for name in SHARP[kind]:
        assert sharpness[name] <= 10.0, f"{name}: {sharpness[name]}"
    assert not found.faults, f"{len(found.faults)} faults:\n" + "\n".join(found.faults[:20])


# ---- verdicts ----


@dataclass(frozen=True)
class Garnet:
    """Random models with random policies, and candidates a step from the base policy towards another."""

    states: int
    actions: int
    branching: int
    gamma: float
    step: float

    def checked(self, seed: int, candidates: int, **options: Any) -> rl.ImprovementReport:
        rng = np.random.default_rng(seed)
        mdp = rl.gallery.garnet(self.states, self.actions, self.branching, seed=seed)
        mdp = mdp.with_initial(np.full(self.states, 1.0 / self.states))
        base, *others = (rng.dirichlet(np.ones(self.actions), self.states) for _ in range(1 + candidates))
        batch = np.stack([(1.0 - self.step) * base + self.step * other for other in others])
        return rl.check_improvement(mdp, base, batch, self.gamma, bounds="all", **options)


def test_random_models_are_decided(report: Callable[[str], None]) -> None:
    verdicts: Counter[Verdict] = Counter()
    for seed, (gamma, step) in enumerate((g, a) for g in (0.5, 0.9, 0.99) for a in (1e-5, 1e-3, 0.1, 1.0)):
        found = Garnet(3 + 3 * seed % 20, 2 + seed % 3, 2, gamma, step).checked(seed, 12)
        assert (np.asarray(found.alpha) >= 1e-6).all()
        verdicts.update(verdict for bound in found.bounds.values() for verdict in bound.verdict)
    report(f"check_improvement, random models: {dict(verdicts)}")
    assert verdicts[Verdict.HOLDS] >= 2000
    assert verdicts[Verdict.VIOLATED] == 0
    assert verdicts[Verdict.UNDECIDED] <= 0.001 * verdicts.total()


@settings
def test_a_bound_that_is_too_small_is_violated(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    tried = 0
    for case in cases(kind)[:: 20 if kind == "discounted" else 5]:
        gap = abs(case.true.gap)
        try:
            report = case.check()
        except ConvergenceError:
            continue
        if case.true.propagated_gap is None or not report.certificate.bounds["gap"] < 1e-3 * gap:
            continue
        if not isinstance(case.setting, rl.Episodic) and not _drifts_little(case):
            continue
        with monkeypatch.context() as patch:
            patch.setitem(bounds._BOUNDS, type(case.setting), {})

            @bounds.bound(type(case.setting))
            def too_small(m: bounds.Measures, size: float = float(gap)) -> Any:
                """0.99 |gap|: a false statement."""
                return 0.99 * size + 0.0 * m.alpha

            found = case.check(bounds="too_small")
        (verdict,) = (bound.verdict for bound in found.bounds.values())
        assert verdict is Verdict.VIOLATED, f"{case.name}: {verdict}"
        tried += 1
    assert tried >= 10


def _drifts_little(case: Case) -> bool:
    """Say whether rows that sum to 1 only up to rounding hardly count in the gap: bounds speak of those that do."""
    worth = float(max(abs(case.raw.reward))) * case.horizon
    return 16 * float(np.finfo(float).eps) * worth * case.horizon < 1e-3 * abs(case.true.gap)


# ---- how loose the bounds are ----

LOOSENESS = {
    "theorem_2_1": 3264,
    "pinsker": 1632,
    "lemma_2_5": 752,
    "eq_107": 253,
    "cpo_kl": 212,
    "pirotta_span": 173,
    "cpo_tv": 160,
    "cpo_span": 109,
    "span_107": 59,
    "propagated_action": 44,
    "one_step": 30,
    "propagated_state": 28,
    "ergodic": 13,
    "one_step_ergodic": 3.5,
}
"""The median of bound / |gap|."""


def test_medians_of_the_table(report: Callable[[str], None]) -> None:
    found = [Garnet(5, 4, 4, 0.9, 0.5).checked(seed, 10) for seed in range(60)]
    medians = {
        name: float(np.median(np.concatenate([each.bounds[name].gap / np.abs(each.gap) for each in found])))
        for name in LOOSENESS
    }
    report("median of bound / |gap|: " + ", ".join(f"{name} {x:.4g}" for name, x in medians.items()))
    for name, published in LOOSENESS.items():
        assert published / 1.5 <= medians[name] <= 1.5 * published, f"{name}: {medians[name]:.4g}, not {published}"
