"""check_improvement against the exact reference: errors within certificates, no true statement violated."""

from __future__ import annotations

import math
from collections.abc import Iterator
from fractions import Fraction

import pytest

import generated_models
import generated_pairs
import rlcore as rl
from generated_models import FAMILIES, Array, RawModel
from generated_pairs import KINDS
from rlcore import Verdict, reference

PER_FAMILY = 3  # of every family with every kind of candidate

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


def core_model(raw: RawModel) -> rl.MDP:
    termination = raw.termination if raw.termination.any() else None
    return rl.MDP(raw.transition, raw.reward, pair_start=raw.pair_start, termination=termination, initial=raw.initial)


def shaped(raw: RawModel, pairs: Array) -> Array:
    return pairs.reshape(raw.pair_shape)


def pairs_of(family: str) -> Iterator[tuple[RawModel, Array, str]]:
    """Go through the models of a family with candidates of every kind, each with its name."""
    for index in range(PER_FAMILY):
        raw = generated_models.model(family, index)
        for kind in KINDS:
            yield raw, generated_pairs.candidate(raw, kind), f"{raw.name} {kind}"


def exact(raw: RawModel, candidate: Array) -> reference.Improvement:
    return reference.improvement(
        raw.by_state(raw.transition),
        raw.by_state(raw.policy),
        raw.by_state(candidate),
        raw.initial.tolist(),
        raw.gamma,
        raw.by_state(raw.reward),
    )


def error_of(found: float, true: Fraction | float) -> float:
    if isinstance(true, float) or math.isinf(found):
        return 0.0 if found == true else math.inf
    return float(abs(Fraction(found) - true))


@pytest.mark.parametrize("family", FAMILIES)
def test_every_number_is_within_its_bound(family: str) -> None:
    for raw, new, where in pairs_of(family):
        report = rl.check_improvement(core_model(raw), shaped(raw, raw.policy), shaped(raw, new), raw.gamma)
        true = exact(raw, new)
        for name, number in {
            "eta": true.start_value,
            "eta_new": true.new_start_value,
            "surrogate": true.surrogate,
            "gap": true.gap,
            "epsilon": true.max_advantage,
            "epsilon_bar": true.max_expected_advantage,
            "alpha": true.max_total_variation,
            "kl_max": true.max_kl,
            "tv_mean": true.mean_total_variation,
            "kl_mean": true.mean_kl,
        }.items():
            found, bound = getattr(report, name), report.certificate.bounds[name]
            assert error_of(found, number) <= bound, f"{where}: {name} {found} {float(number)} bound {bound}"
        assert Fraction(report.improvement.lower) <= true.improvement <= Fraction(report.improvement.upper), where


@pytest.mark.parametrize("family", FAMILIES)
def test_no_bound_is_violated_and_all_are_in_order(family: str) -> None:
    undecided = decided = 0
    for raw, new, where in pairs_of(family):
        report = rl.check_improvement(
            core_model(raw), shaped(raw, raw.policy), shaped(raw, new), raw.gamma, bounds="all"
        )
        for name, bound in report.bounds.items():
            assert bound.verdict in (Verdict.HOLDS, Verdict.UNDECIDED), f"{where}: {name} {bound.verdict}"
            if report.alpha >= 1e-6:
                undecided += bound.verdict is Verdict.UNDECIDED
                decided += bound.verdict is Verdict.HOLDS
        for smaller, larger in ORDER:
            low, high = report.bounds[smaller].enclosure, report.bounds[larger].enclosure
            assert low is not None
            assert high is not None
            assert low.lower <= high.upper, f"{where}: {smaller} {low} > {larger} {high}"
    assert undecided <= 0.001 * (undecided + decided)
