"""The audit: every statement holds on every model, and each of them can be violated."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

import generated_chains
import generated_models
import rlcore as rl
from generated_models import RawModel
from rlcore.audit_of_improvement import (
    OF_AN_IMPROVEMENT,
    ImprovementAudit,
    bound_rows,
    certificate_rows,
    conservative_step_size,
    order_rows,
)
from rlcore.audit_of_policy import OF_A_POLICY, PolicyAudit
from rlcore.enclosure import Enclosure, Verdict
from rlcore.policy_facts import policy_facts, product
from rlcore.statements import NotApplicableError, equal, equal_everywhere, equal_in_sum, less, more, row_of

SETTINGS: list[Any] = [rl.Discounted(0.9), rl.Episodic(), rl.Average()]
ONE_THREAD = {"num_threads": 1}


def core_model(raw: RawModel) -> rl.MDP:
    return rl.MDP(
        raw.transition, raw.reward, pair_start=raw.pair_start, termination=raw.termination, initial=raw.initial
    )


def ending() -> rl.MDP:
    """Return three states with two actions, in which every action may end the process."""
    rng = np.random.default_rng(5)
    P = rng.dirichlet(np.ones(3), size=(3, 2)) * 0.8
    return rl.MDP.from_arrays(
        P, rng.normal(size=(3, 2)), layout="SAS", termination=1.0 - P.sum(axis=2), initial=[0.5, 0.25, 0.25]
    )


def model_in(setting: Any) -> rl.MDP:
    return ending() if isinstance(setting, rl.Episodic) else rl.gallery.forest()


def candidate_of(mdp: rl.MDP, policy: Any) -> Any:
    """Return a policy that gains, differs from the given one in every state and keeps all actions."""
    return rl.mixture_policy(policy, rl.greedy_policy(mdp, rl.evaluate(mdp, policy, 0.9)), 0.3)


def audited(setting: Any, **options: Any) -> rl.Audit:
    mdp = model_in(setting)
    policy = rl.uniform_policy(mdp)
    return rl.audit(mdp, policy, candidate_of(mdp, policy), setting, **ONE_THREAD, **options)


# ---- every statement holds ----


@pytest.mark.parametrize("setting", SETTINGS, ids=repr)
def test_every_statement_of_the_setting_is_checked(setting: Any) -> None:
    found = audited(setting)
    assert not found.violated
    equations = [row for row in found.rows if row.relation == "="]
    assert {row.verdict for row in equations} == {Verdict.HOLDS}
    sources = {row.source for row in found.rows}
    assert (
        sources
        == {
            rl.Discounted: {"2.1", "2.2", "2.3", "2.4", "2.5", "2.6", "2.7", "2.8", "3.3", "3.4", "3.5", "3.6"}
            | {"5.1", "5.2", "5.3", "5.4", "5.5", "5.6", "5.7", "5.8", "6"},
            rl.Episodic: {"2.2", "2.3", "2.4", "2.8", "3.1", "5.1", "5.2", "5.3", "5.4", "5.5", "6"},
            rl.Average: {"2.3", "2.4", "3.2", "3.4", "5.1", "5.2", "5.3", "5.4", "5.5", "6"},
        }[type(setting)]
    )
    names = [row.name for row in found.rows]
    assert len(set(names)) == len(names)
    assert set(found.report.bounds) <= set(names)


@pytest.mark.parametrize("setting", SETTINGS, ids=repr)
def test_rows_say_what_they_are(setting: Any) -> None:
    for row in audited(setting).rows:
        assert row.left is not None
        assert row.right is not None
        assert row.left.lower <= row.left.upper
        assert row.right.lower <= row.right.upper
        if row.relation == "=":
            assert row.residual is not None
            assert row.tolerance is not None
            assert 0.0 <= row.residual.lower <= row.residual.upper <= row.tolerance
        else:
            small, large = (row.left, row.right) if row.relation == "<=" else (row.right, row.left)
            assert (small.upper <= large.lower) == (row.verdict is Verdict.HOLDS), row
        assert (row.reason is None) == (row.verdict is Verdict.HOLDS)


@pytest.mark.parametrize("name", sorted(set(rl.gallery.__all__) - {"KnownAnswer", "known_answers"}))
def test_gallery(name: str) -> None:
    arguments = {"garnet": {"S": 30, "A": 3, "b": 4, "seed": 1}, "nearly_decomposable": {"blocks": 3, "size": 4},
                 "layered": {"depth": 4, "width": 3}, "slippery_grid": {"N": 5}}  # fmt: skip
    smaller = {"chain": 6, "lazy_cycle": 8, "queue": 8, "shuffled_cycle": 8, "random_walk": 9}
    make = getattr(rl.gallery, name)
    if name in arguments:
        mdp = make(**{"coupling": 0.01} if name == "nearly_decomposable" else {}, **arguments[name])
    else:
        mdp = make(smaller[name]) if name in smaller else make()
    policy, checked = rl.uniform_policy(mdp), 0
    candidates = [rl.random_policy(mdp, 1), rl.greedy_policy(mdp, rl.evaluate(mdp, policy, 0.9))]
    for setting in [rl.Discounted(0.9), rl.Episodic(), rl.Average()]:
        for candidate in candidates:
            try:
                found = rl.audit(mdp, policy, candidate, setting, **ONE_THREAD)
            except (rl.SettingError, rl.ImproperPolicyError):
                assert not isinstance(setting, rl.Discounted)
                continue
            checked += 1
            assert not found.violated, found.violated
    assert checked >= 2


def generated() -> Iterator[tuple[RawModel, Any, int]]:
    """Yield models of all families, with a setting and the number of the model."""
    for index in range(6):
        for family in generated_models.FAMILIES:
            raw = generated_models.model(family, index)
            yield raw, rl.Discounted(raw.gamma), index
        for family in generated_chains.CONTINUING:
            yield generated_chains.model(family, index), rl.Average(), index
        for family in generated_chains.ENDING:
            yield generated_chains.model(family, index), rl.Episodic(), index


def audit_of(raw: RawModel, setting: Any, index: int) -> rl.Audit:
    """Audit a random candidate, one that hardly differs, or the policy itself."""
    mdp, policy = core_model(raw), raw.policy.reshape(raw.pair_shape)
    other = rl.random_policy(mdp, index)
    candidate = [other, rl.mixture_policy(policy, other, 1e-6), policy][index % 3]
    return rl.audit(mdp, policy, candidate, setting, steps=8, **ONE_THREAD)


def test_generated_models(report: Any) -> None:
    audits, equations, decided, violated = 0, 0, 0, []
    for raw, setting, index in generated():
        try:
            found = audit_of(raw, setting, index)
        except (rl.SettingError, rl.ImproperPolicyError, rl.ConvergenceError):
            continue
        audits += 1
        rows = [row for row in found.rows if row.relation == "=" and row.left is not None]
        equations += len(rows)
        decided += sum(row.verdict is Verdict.HOLDS for row in rows)
        violated += [(raw.name, row) for row in found.violated]
    report(f"audit: {decided} of {equations} equations hold in {audits} audits, and none is violated")
    assert violated == []
    assert audits > 240
    assert decided > 0.95 * equations


# ---- negative controls: each statement can be violated ----


def parts_of(setting: Any) -> tuple[PolicyAudit, ImprovementAudit]:
    mdp = model_in(setting)
    policy = rl.uniform_policy(mdp)
    candidate = candidate_of(mdp, policy)
    solving: dict[str, Any] = {"tol": 1e-9, "num_threads": 1, "progress": None}
    old, new = (policy_facts("policy", mdp, each.ravel(), setting, **solving) for each in (policy, candidate))
    report = rl.check_improvement(mdp, policy, candidate, setting, bounds="all", **ONE_THREAD)
    return PolicyAudit(old, 20), ImprovementAudit.of(old, new, report, 20)


def shifted(x: Enclosure, by: float) -> Enclosure:
    return Enclosure(x.lower + by, x.upper + by)


# What is falsified so that a statement about a policy no longer holds; everything else must be as it was.
FALSE_FACTS: dict[str, dict[str, Any]] = {
    "bellman equation": {"value": lambda f: f.value + np.array([0.1, 0.0, 0.0])},
    "action values": {"action_value": lambda f: f.action_value + 0.1},
    "mean advantage": {"advantage": lambda f: f.advantage + 0.1},
    "successor rows": {"value": lambda f: f.value + 0.1},
    "finite horizon": {"r": lambda f: f.r + 0.1, "r_size": lambda f: f.r_size + 0.1},
    "distributions sum": {"ending": lambda f: f.ending + 0.1},
    "distributions step": {"P": lambda f: 0.9 * f.P},
    "balance of visits": {"weight": lambda f: f.weight * [0.9, 1.0, 1.0]},
    "shares of visits": {"share": lambda f: f.share * 0.9},
    "mass of visits": {"weight": lambda f: f.weight * 0.9},
    "length of an episode": {"weight": lambda f: f.weight * 0.9},
    "adjoint identity": {"eta": lambda f: shifted(f.eta, 0.1)},
    "mean reward": {"share": lambda f: f.share * 0.9},
    "on policy objective": {"objective": lambda f: shifted(f.objective, 0.1)},
    "random horizon": {"r": lambda f: f.r * 1e-3},
    "death in place of a discount": {"value": lambda f: f.value + 0.1},
    "restart chain": {"weight": lambda f: f.weight * [0.5, 1.0, 1.0]},
}


@pytest.mark.parametrize("setting", SETTINGS, ids=repr)
def test_each_statement_about_a_policy_can_be_violated(setting: Any) -> None:
    audit, _ = parts_of(setting)
    tested = 0
    for statement in OF_A_POLICY:
        if type(setting) not in statement.places:
            continue
        place = statement.places[type(setting)]
        assert row_of(statement.name, place, statement.check(audit), 1e-9).verdict is Verdict.HOLDS
        if statement.name == "futility of a discount":
            continue  # nothing of it is taken from the facts: see below
        false = {name: change(audit.facts) for name, change in FALSE_FACTS[statement.name].items()}
        wrong = replace(audit, facts=replace(audit.facts, **false))
        assert row_of(statement.name, place, statement.check(wrong), 1e-9).verdict is Verdict.VIOLATED, statement.name
        tested += 1
    assert tested >= 7


def test_futility_can_be_violated(monkeypatch: pytest.MonkeyPatch) -> None:
    audit, _ = parts_of(rl.Discounted(0.9))
    (statement,) = [each for each in OF_A_POLICY if each.name == "futility of a discount"]
    module = __import__("rlcore.audit_of_policy", fromlist=["occupancy"])
    true = module.occupancy

    def wrong(*arguments: Any, **options: Any) -> Any:
        found = true(*arguments, **options)
        return replace(found, state=found.state * [0.5, 1.0, 1.0])

    monkeypatch.setattr(module, "occupancy", wrong)
    assert row_of("", ("", ""), statement.check(audit), 1e-9).verdict is Verdict.VIOLATED


@pytest.mark.parametrize("setting", SETTINGS, ids=repr)
def test_each_statement_about_an_improvement_can_be_violated(setting: Any) -> None:
    _, audit = parts_of(setting)
    report = audit.report
    false: dict[str, Any] = {
        "performance difference": {"abar": audit.abar + 0.1},
        "performance difference by steps": {"abar": audit.abar + 0.1},
        "reported improvement": {"report": replace(report, improvement=shifted(report.improvement, 0.1))},
        "surrogate": {"report": replace(report, surrogate=report.surrogate + 0.1)},
        "gap": {"report": replace(report, gap=report.gap + 0.1)},
        "disagreement of the coupling": {"report": replace(report, alpha=report.alpha + 0.1)},
        "conservative step": {"abar": 100.0 * audit.abar},
    }
    for statement in OF_AN_IMPROVEMENT:
        if type(setting) not in statement.places:
            continue
        place = statement.places[type(setting)]
        assert row_of(statement.name, place, statement.check(audit), 1e-9).verdict is Verdict.HOLDS
        wrong = replace(audit, **false[statement.name])
        assert row_of(statement.name, place, statement.check(wrong), 1e-9).verdict is Verdict.VIOLATED, statement.name


def test_bounds_and_their_order_can_be_violated() -> None:
    _, audit = parts_of(rl.Discounted(0.9))
    bounds = dict(audit.report.bounds)
    loose = bounds["theorem_2_1"]
    bounds["one_step_ergodic"] = replace(
        bounds["one_step_ergodic"], enclosure=loose.enclosure, lower=1e3, upper=-1e3, verdict=Verdict.VIOLATED
    )
    bounds["propagated_state"] = replace(bounds["propagated_state"], lower=1e3, upper=-1e3)
    wrong = replace(audit, report=replace(audit.report, bounds=bounds))
    assert [row.name for row in bound_rows(wrong) if row.verdict is Verdict.VIOLATED] == ["one_step_ergodic"]
    assert {row.name for row in order_rows(wrong) if row.verdict is Verdict.VIOLATED} == {
        "one_step_ergodic <= one_step",
        "one_step_ergodic <= ergodic",
    }
    assert [row.name for row in certificate_rows(wrong) if row.verdict is Verdict.VIOLATED] == [
        "propagated_state from lower side",
        "propagated_state from upper side",
    ]
    found = rl.Audit(audit.setting, audit.report, tuple(bound_rows(wrong)))
    assert found.verdict is Verdict.VIOLATED
    assert found.summary.endswith("and 1 are VIOLATED: one_step_ergodic.")


# ---- how a statement is decided ----


def decided(found: Any, tol: float = 1e-9) -> Verdict:
    return row_of("", ("", ""), found, tol).verdict


def test_equations_hold_if_the_enclosures_overlap_and_are_narrow() -> None:
    one = Enclosure.around(1.0, 1e-9)
    assert decided(equal(one, Enclosure.around(1.0 + 1e-9, 1e-9), 1.0)) is Verdict.HOLDS
    assert decided(equal(one, Enclosure.around(1.0 + 3e-9, 1e-9), 1.0)) is Verdict.VIOLATED
    assert decided(equal(one, Enclosure.around(1.0, 1e-3), 1.0)) is Verdict.UNDECIDED
    assert decided(equal(one, Enclosure.around(1.0, 1e-3), 1.0), tol=1e-5) is Verdict.HOLDS
    vector = np.array([0.0, 1e-9])
    assert decided(equal_everywhere(vector, 2e-9, 1.0)) is Verdict.HOLDS
    assert decided(equal_everywhere(vector, np.array([1.0, 0.5e-9]), 1.0)) is Verdict.VIOLATED
    assert decided(equal_everywhere(vector, np.array([1.0, 2e-9]), 1.0)) is Verdict.UNDECIDED
    assert decided(equal_in_sum(vector, 2e-9, 1.0)) is Verdict.HOLDS
    assert decided(equal_in_sum(vector, 0.5e-9, 1.0)) is Verdict.VIOLATED


def test_inequalities() -> None:
    small, large, wide = Enclosure(0.0, 1.0), Enclosure(1.0, 2.0), Enclosure(0.5, 3.0)
    assert decided(less(small, large)) is decided(more(large, small)) is Verdict.HOLDS
    assert decided(less(large, Enclosure(-1.0, 0.5))) is Verdict.VIOLATED
    assert decided(less(small, wide)) is decided(more(large, wide)) is Verdict.UNDECIDED
    row = row_of("", ("", ""), less(small, wide), 1e-9)
    assert row.reason == "the enclosures of the two sides overlap"


def test_products_are_enclosed() -> None:
    rng = np.random.default_rng(3)
    for _ in range(50):
        w, f = rng.exponential(size=8), rng.normal(size=8)
        dw, df = rng.normal(size=8) * 1e-3, rng.normal(size=8) * 1e-2
        found = product(w + dw, float(np.abs(dw).sum()), f + df, np.abs(df))
        assert float(w @ f) in found
    assert product(np.array([0.0, 1.0]), 0.0, np.array([0.0, 2.0]), np.array([np.inf, 0.0])).value == 2.0


def test_conditions_that_do_not_hold_are_named() -> None:
    mdp = ending()
    found = rl.audit(mdp, rl.uniform_policy(mdp), rl.uniform_policy(mdp), 0.9, **ONE_THREAD)
    reasons = {row.name: row.reason for row in found.rows if row.verdict is Verdict.NOT_APPLICABLE}
    assert reasons == {
        "futility of a discount": "the process can end",
        "random horizon": "the process can end",
        "conservative step": "d^T Abar is not positive: the best step is 0",
    }
    large = rl.gallery.garnet(600, 2, 3, seed=1)
    found = rl.audit(large, rl.uniform_policy(large), rl.random_policy(large, 1), 0.9, **ONE_THREAD)
    assert not found.violated
    (row,) = [row for row in found.rows if row.name == "ergodic"]
    assert (row.verdict, row.reason) == (
        Verdict.NOT_APPLICABLE,
        "it needs all rows of the resolvent: for at most 512 states, got 600",
    )
    assert row.left is row.right is row.residual is None


@pytest.mark.parametrize("gamma", [0.1, 0.5, 0.9, 0.999])
@pytest.mark.parametrize("y", [1e-6, 0.1, 0.5, 0.9])
def test_conservative_step_is_the_best_one(gamma: float, y: float) -> None:
    gain, most = 2.0 * y * 1.7, 1.7

    def guaranteed(a: Any) -> Any:
        return a / (1.0 - gamma) * (gain - 2.0 * a * gamma * most / (1.0 - gamma * (1.0 - a)))

    best = conservative_step_size(gain, most, gamma)
    # The bound is flat where it is best: the best of a grid is below it, and by no more than the grid's fineness.
    assert guaranteed(best) >= guaranteed(np.linspace(0.0, 1.0, 1001)).max() * (1.0 - 1e-12)
    if best < 1.0:
        assert guaranteed(best) == pytest.approx(2.0 * most / gamma * (1.0 - np.sqrt(1.0 - y)) ** 2, rel=1e-9)


def test_conservative_step_at_its_ends() -> None:
    assert conservative_step_size(-1.0, 1.0, 0.9) == conservative_step_size(0.0, 0.0, 0.9) == 0.0
    assert conservative_step_size(1e-9, 1.0, 0.0) == 1.0
    _, audit = parts_of(rl.Discounted(0.9))
    (statement,) = [each for each in OF_AN_IMPROVEMENT if each.name == "conservative step"]
    with pytest.raises(NotApplicableError):
        statement.check(replace(audit, abar=-np.abs(audit.abar)))


# ---- what comes back ----


def test_summary() -> None:
    mdp = rl.gallery.forest()
    uniform, waiting, cutting = rl.uniform_policy(mdp), [[1.0, 0.0]] * 3, [[0.0, 1.0]] * 3
    better = rl.audit(mdp, uniform, rl.mixture_policy(uniform, np.array(waiting), 0.01), 0.9, **ONE_THREAD)
    assert better.guarantor is not None
    assert better.summary.startswith("The candidate is better: its return is 0.119826 higher, of which the bound ")
    worse = rl.audit(mdp, uniform, cutting, 0.9, **ONE_THREAD)
    assert worse.guarantor is None
    assert worse.summary.startswith("The candidate is worse: its return is ")
    same = rl.audit(mdp, uniform, uniform, rl.Average(), **ONE_THREAD)
    assert same.summary.startswith("The candidate is as good as the policy: the gain is the same.")
    assert same.verdict is not Verdict.VIOLATED


def test_table() -> None:
    found = audited(rl.Discounted(0.9))
    table = found.to_dict()
    assert {len(column) for column in table.values()} == {len(found.rows)}
    assert table["verdict"] == [str(row.verdict) for row in found.rows]
    assert table["left_upper"][0] == found.rows[0].left.upper  # type: ignore[union-attr]
    assert sum(found.counts.values()) == len(found.rows)
    assert repr(found).startswith("Audit(Discounted(gamma=0.9), ")
    assert str(found).endswith(found.summary)


def test_same_numbers_for_any_number_of_threads() -> None:
    mdp = rl.gallery.garnet(300, 3, 4, seed=2)
    policy, candidate = rl.uniform_policy(mdp), rl.random_policy(mdp, 1)
    one, two = (rl.audit(mdp, policy, candidate, 0.95, num_threads=n).to_dict() for n in (1, 2))
    assert one == two


WRONG: list[tuple[dict[str, Any], type[Exception], str]] = [
    ({"steps": 0}, rl.ArgumentError, "steps: expected a whole number from 1 on, got 0"),
    ({"steps": 1.5}, rl.ArgumentError, "steps: expected a whole number from 1 on, got 1.5"),
    ({"setting": rl.FiniteHorizon(3)}, rl.SettingError, "setting: audit exists for "),
    ({"candidate": [0.5, 0.5]}, rl.PolicyError, "candidate: expected shape (3, 2)"),
    ({"candidate": [[0.5, 0.4]] * 3}, rl.PolicyError, "candidates, state 0"),
]


@pytest.mark.parametrize(("change", "error", "message"), WRONG, ids=lambda x: str(x)[:30])
def test_wrong_input(change: dict[str, Any], error: type[Exception], message: str) -> None:
    mdp = rl.gallery.forest()
    arguments = {"policy": rl.uniform_policy(mdp), "candidate": rl.uniform_policy(mdp), "setting": 0.9} | change
    with pytest.raises(error) as caught:
        rl.audit(mdp, **arguments)
    assert str(caught.value).startswith(message)
