"""Digits below those of doubles: what rounding leaves over, and what is made of it, against exact fractions.

The harsh models have rewards of 1e12 that cancel up to ordinary ones, discounts up to 1 - 1e-6, and policies with
preferences of 700: V is up to 1e18, beside which advantages are nothing.
"""

from __future__ import annotations

import math
import statistics
import sys
import zlib
from collections.abc import Callable, Iterator
from dataclasses import replace
from fractions import Fraction
from typing import Any

import numpy as np
import pytest

import generated_chains
import generated_models
import generated_pairs
import rlcore as rl
from generated_models import RawModel
from rlcore.enclosure import Enclosure
from rlcore.twofold import Twofold, twofold_field
from test_agreement import answer, core_model, fmpq_solve
from test_gradient import exact_gradient, families_of, truth_of
from test_improvement import NUMBERS, Case, discounted, exceeds

SETTINGS: dict[str, tuple[Any, list[str]]] = {
    "discounted": (generated_models, list(generated_models.FAMILIES)),
    "episodic": (generated_chains, list(generated_chains.ENDING)),
    "average": (generated_chains, list(generated_chains.CONTINUING)),
}
HARSH_GAMMAS = (0.0, 0.9, 1 - 1e-6)
LARGEST = 6


@pytest.fixture(autouse=True)
def _by_flint(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("structure", "evaluation", "occupancy"):
        monkeypatch.setattr(sys.modules[f"rlcore.reference.{name}"], "solve", fmpq_solve)


def setting_of(kind: str, raw: RawModel) -> Any:
    return {"discounted": rl.Discounted(raw.gamma), "episodic": rl.Episodic(), "average": rl.Average()}[kind]


def farthest(found: Twofold, exact: list[Fraction | None]) -> list[Fraction]:
    """How far each number that exists is from the truth, with what rounding left over of it."""
    pairs = zip(found.high.tolist(), found.low.tolist(), exact, strict=True)
    return [abs(Fraction(high) + Fraction(low) - x) for high, low, x in pairs if x is not None and math.isfinite(high)]


@pytest.mark.parametrize("kind", SETTINGS)
def test_what_rounding_leaves_over(kind: str, report: Callable[[str], None]) -> None:
    module, families = SETTINGS[kind]
    digits: dict[str, list[float]] = {"action_value": [], "advantage": [], "visits": []}
    for raw in (module.model(family, index) for family in families for index in range(6)):
        mdp, setting = core_model(raw), setting_of(kind, raw)
        try:
            ev = answer(rl.evaluate, mdp, raw.policy.reshape(raw.pair_shape), setting)
            visits = answer(rl.occupancy, mdp, raw.policy.reshape(raw.pair_shape), setting)
        except (rl.ImproperPolicyError, rl.SettingError):
            continue
        truth = truth_of(raw, raw.policy, setting)
        if truth is None or ev.advantage is None:
            continue
        for name, found, exact in (
            ("action_value", twofold_field(ev, "action_value"), truth.action_value),
            ("advantage", twofold_field(ev, "advantage"), truth.advantage),
            ("visits", twofold_field(visits, "state" if kind == "average" else "visits"), truth.visits),
        ):
            assert found.low.size == found.high.size, f"{raw.name} {name}"
            errors = farthest(found, list(exact))
            error = sum(errors) if name == "visits" else max(errors, default=Fraction(0))
            if math.isfinite(found.error):
                assert error <= Fraction(found.error), f"{raw.name} {name}: {float(error)} > {found.error}"
            scale = max((abs(x) for x in exact if x is not None), default=Fraction(0))
            if scale:
                digits[name].append(found.error / float(scale))
    for name, found_digits in digits.items():
        report(f"{kind}, {name} with what rounding left over: relative bound {statistics.median(found_digits):.3g}")
        assert len(found_digits) >= 30
        assert statistics.median(found_digits) <= 2.0**-53  # more digits than doubles have


def harsh_models() -> Iterator[RawModel]:
    """Yield small models with rewards that cancel and long horizons."""
    for number, family in enumerate(generated_models.FAMILIES):
        raws = [generated_models.model(family, index) for index in range(12)]
        for index, raw in enumerate([raw for raw in raws if raw.num_states <= LARGEST][:3]):
            rng = np.random.default_rng(zlib.crc32(f"harsh {raw.name}".encode()))
            large = rng.choice([-(2.0**40), 2.0**40], size=len(raw.reward))
            gamma = HARSH_GAMMAS[(number + index) % len(HARSH_GAMMAS)]
            yield replace(raw, reward=large + raw.reward, gamma=gamma, name=f"harsh {raw.name}")


def test_harsh_gradients(report: Callable[[str], None]) -> None:
    ratios: list[float] = []
    count = 0
    for index, raw in enumerate(harsh_models()):
        rng = np.random.default_rng(index)
        families = families_of(raw, index)
        families["tabular"] = rl.TabularSoftmax(rng.choice([0.0, 1.0, 700.0, -700.0], size=raw.pair_shape))
        for kind in ("tabular", "linear", "scores"):
            mdp, family, setting = core_model(raw), families[kind], rl.Discounted(raw.gamma)
            policy = family.on(mdp).policy
            found = answer(rl.policy_gradient, mdp, family, setting)
            truth = truth_of(raw, policy, setting)
            assert truth is not None
            exact = exact_gradient(family, raw, policy, truth)
            bound = found.certificate.bounds["gradient"]
            got = found.gradient.ravel().tolist()
            error = max(abs(x - Fraction(y)) for x, y in zip(exact, got, strict=True))
            assert error <= Fraction(bound), f"{raw.name} {kind}: {float(error)} > {bound}"
            count += 1
            if error:
                ratios.append(bound / float(error))
    report(f"{count} harsh gradients: bound / error {statistics.median(ratios):.3g} in the median")
    assert count >= 100
    assert statistics.median(ratios) <= 10.0


def test_harsh_improvements(report: Callable[[str], None]) -> None:
    """The base policy has preferences of 700, and candidates are 1e-12 and more apart from it."""
    sharpness: dict[str, list[float]] = {name: [] for name in NUMBERS}
    count = 0
    for index, raw in enumerate(harsh_models()):
        if raw.num_states > 4:
            continue
        rng = np.random.default_rng(index)
        family = rl.TabularSoftmax(rng.choice([0.0, 1.0, 700.0, -700.0], size=raw.pair_shape))
        based = replace(raw, policy=family.on(core_model(raw)).policy.ravel()) if index % 2 else raw
        for kind in ("near", "random", "moved"):
            case: Case = discounted(based, generated_pairs.candidate(based, kind), f"{raw.name} {kind}")
            found = case.check(bounds="cheap")
            for name, attribute in NUMBERS.items():
                got, bound, true = getattr(found, name), found.certificate.bounds[name], getattr(case.true, attribute)
                assert not exceeds(got, true, bound), f"{case.name}: {name} {got} +- {bound}, not {float(true)}"
                error = abs(Fraction(got) - true) if math.isfinite(got) and math.isfinite(true) else Fraction(0)
                if error:
                    sharpness[name].append(bound / float(error))
            assert found.improvement.lower <= case.true.improvement <= found.improvement.upper, case.name
            count += 1
    medians = {name: statistics.median(found_ratios) for name, found_ratios in sharpness.items() if found_ratios}
    report(f"{count} harsh improvements: " + ", ".join(f"{name} {x:.3g}" for name, x in medians.items()))
    assert count >= 50
    for name in ("eta", "eta_new", "surrogate", "alpha"):
        assert medians[name] <= 10.0, name


def test_enclosures_are_rounded_outwards() -> None:
    """Sums and middles against fractions: numbers of all sizes, some of which cancel."""
    rng = np.random.default_rng(0)
    x, y, e, f = (rng.standard_normal(2000) * 10.0 ** rng.uniform(-20, 20, 2000) for _ in range(4))
    y[::3] = -x[::3] * (1.0 + 2.0**-50 * rng.integers(-8, 8, x[::3].size))
    e, f = np.abs(e), np.abs(f)
    e[::2] = 0.0
    left, right = Enclosure.around(x, e), Enclosure.of_twofold(y, x * 2.0**-60, f)
    total = left + right
    middle, off = np.asarray(total.value), np.asarray(total.error)
    for k in range(x.size):
        low, high = Fraction(x[k]) - Fraction(e[k]), Fraction(x[k]) + Fraction(e[k])
        assert Fraction(left.lower[k]) <= low <= high <= Fraction(left.upper[k])
        center = Fraction(y[k]) + Fraction(x[k] * 2.0**-60)
        assert Fraction(right.lower[k]) <= center - Fraction(f[k])
        assert center + Fraction(f[k]) <= Fraction(right.upper[k])
        assert Fraction(total.lower[k]) <= Fraction(left.lower[k]) + Fraction(right.lower[k])
        assert Fraction(left.upper[k]) + Fraction(right.upper[k]) <= Fraction(total.upper[k])
        assert Fraction(middle[k]) - Fraction(off[k]) <= Fraction(total.lower[k])
        assert Fraction(total.upper[k]) <= Fraction(middle[k]) + Fraction(off[k])
