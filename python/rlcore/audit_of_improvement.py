"""The statements about a policy and a candidate: what the improvement is and what guarantees it (theory 5 and 6)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np

from rlcore.enclosure import ULP, Enclosure, Verdict
from rlcore.errors import ImproperPolicyError, SettingError
from rlcore.improvement import check_improvement
from rlcore.improvement_report import BoundReport, ImprovementReport
from rlcore.lemmas import lemmas
from rlcore.mdp import MDP
from rlcore.occupancy import state_distribution
from rlcore.over_actions import sum_over_actions
from rlcore.policy import mixture_policy
from rlcore.policy_facts import PolicyFacts, product
from rlcore.results import FloatArray
from rlcore.settings import Average, Discounted, Episodic
from rlcore.statements import (
    AuditRow,
    Finding,
    NotApplicableError,
    Statement,
    equal,
    less,
    more,
    row_of,
    statement,
    without_sides,
)

OF_AN_IMPROVEMENT: list[Statement] = []

# Theory 6: the first of each chain is the sharpest.
ORDER: dict[type, tuple[tuple[str, ...], ...]] = {
    Discounted: (
        ("eq_107", "lemma_2_5", "pinsker", "theorem_2_1"),
        ("propagated_state", "propagated_action", "span_107", "pirotta_span", "lemma_2_5"),
        ("span_107", "eq_107"),
        ("propagated_action", "cpo_span", "cpo_tv", "cpo_kl"),
        ("cpo_tv", "lemma_2_5"),
        ("cpo_span", "pirotta_span"),
        ("one_step_ergodic", "one_step", "cpo_span"),
        ("one_step_ergodic", "ergodic", "cpo_span"),
    ),
    Episodic: (("propagated_state", "propagated_action"), ("ergodic", "cpo_tv")),
    Average: (),
}
TWO_SIDED = ("propagated_action", "propagated_state")


@dataclass(frozen=True, slots=True, eq=False)
class ImprovementAudit:
    """A policy and a candidate, each evaluated on its own, and what `check_improvement` says of the two.

    Attributes
    ----------
    mdp, setting
        The model and the setting.
    old, new
        The two policies.
    report
        What is to be audited.
    abar, abar_error, abar_size
        sum_a (pi' - pi) A, shape (S,), bounds on its errors, and the size of what it is summed from.
    steps
        How many steps are looked at one by one.
    """

    mdp: MDP
    setting: Discounted | Episodic | Average
    old: PolicyFacts
    new: PolicyFacts
    report: ImprovementReport
    abar: FloatArray
    abar_error: FloatArray
    abar_size: FloatArray
    steps: int

    @classmethod
    def of(cls, old: PolicyFacts, new: PolicyFacts, report: ImprovementReport, steps: int) -> ImprovementAudit:
        """Form the mean advantages of the candidate."""
        change = new.policy - old.policy
        with np.errstate(invalid="ignore"):
            carried = np.where(change == 0.0, 0.0, np.abs(change) * old.advantage_error)
        abar = sum_over_actions(old.mdp, change * old.advantage)
        size = sum_over_actions(old.mdp, np.abs(change * old.advantage))
        error = sum_over_actions(old.mdp, carried) + old.terms * ULP * size
        return cls(old.mdp, old.setting, old, new, report, abar, error, size, steps)

    @property
    def excess(self) -> FloatArray:
        """Bound what sums of rows that are not 1 add to the mean advantage of a state."""
        most = self.old.largest + np.abs(self.old.gain)
        excess = self.old.excess + self.new.excess + self.old.undiscounted_defect + self.new.undiscounted_defect
        found: FloatArray = excess * most
        return found

    @property
    def change_of_return(self) -> Enclosure:
        """Eta' - eta, by subtraction."""
        return self.new.eta - self.old.eta

    @property
    def size_of_returns(self) -> float:
        """The size of the terms of which eta, eta' and L are sums."""
        rewards = sum(each.visited_size(each.r_size) for each in (self.old, self.new))
        return float(rewards + sum(each.visited_size(self.abar_size) for each in (self.old, self.new)))


# ---- theory 5 ----


@statement(
    OF_AN_IMPROVEMENT,
    discounted=("5.1", "eta' - eta = rho'^T Abar"),
    episodic=("5.1", "eta' - eta = e'^T Abar"),
    average=("5.1", "g' - g = d'^T Abar"),
)
def performance_difference(audit: ImprovementAudit) -> Finding:
    """Evaluate both policies, and sum the advantages where the candidate goes."""
    right = audit.new.visited(audit.abar, audit.abar_error + audit.excess)
    return equal(audit.change_of_return, right, audit.size_of_returns)


@statement(
    OF_AN_IMPROVEMENT,
    discounted=("5.1", "eta' - eta = sum_(t<T) gamma^t E'[Abar(s_t)] + gamma^T E'[V'(s_T) - V(s_T)], T = steps"),
    episodic=("5.1", "eta' - eta = sum_(t<T) E'[Abar(s_t)] + E'[v'(s_T) - v(s_T)], T = steps"),
)
def performance_difference_by_steps(audit: ImprovementAudit) -> Finding:
    """Follow the candidate for some steps; what comes later is the difference of the values."""
    old, new = audit.old, audit.new
    threads = {name: value for name, value in new.solving.items() if name != "tol"}
    rows = state_distribution(audit.mdp, new.policy, audit.steps, initial=new.initial, **threads)
    assert rows.certificate is not None
    bounds = np.asarray(rows.certificate.bounds["state_distribution"])
    discount = new.gamma ** np.arange(audit.steps + 1.0)
    reached = new.reached
    terms = []
    for t in range(audit.steps):
        term = product(
            np.asarray(rows[t])[reached], float(bounds[t]), audit.abar[reached],
            (audit.abar_error + audit.excess)[reached],
        )  # fmt: skip
        terms.append(Enclosure(discount[t], discount[t]) * term)
    rest_error = (new.value_error + old.value_error)[reached]
    rest = product(np.asarray(rows[-1])[reached], float(bounds[-1]), (new.value - old.value)[reached], rest_error)
    terms.append(Enclosure(discount[-1], discount[-1]) * rest)
    size = float(np.abs(new.value).max() + np.abs(old.value).max())
    return equal(audit.change_of_return, sum(terms[1:], terms[0]), max(size, audit.size_of_returns))


@statement(
    OF_AN_IMPROVEMENT,
    discounted=("5.1", "the improvement that is reported, in difference form, is eta' - eta"),
    episodic=("5.1", "the improvement that is reported, in difference form, is eta' - eta"),
    average=("5.1", "the improvement that is reported, in difference form, is g' - g"),
)
def reported_improvement(audit: ImprovementAudit) -> Finding:
    """Subtract the returns of two independent evaluations."""
    return equal(audit.report.improvement, audit.change_of_return, audit.size_of_returns)


@statement(
    OF_AN_IMPROVEMENT,
    discounted=("5.2", "L = eta + rho^T Abar is the surrogate that is reported"),
    episodic=("5.2", "L = eta + e^T Abar is the surrogate that is reported"),
    average=("5.2", "L = g + d^T Abar is the surrogate that is reported"),
)
def surrogate(audit: ImprovementAudit) -> Finding:
    """Sum the advantages where the policy goes."""
    bounds = audit.report.certificate.bounds
    reported = Enclosure.around(audit.report.surrogate, bounds["surrogate"])
    return equal(reported, own_surrogate(audit), audit.size_of_returns)


@statement(
    OF_AN_IMPROVEMENT,
    discounted=("5.2", "eta' - L = gamma rho^T (P' - P) W is the gap that is reported, (I - gamma P') W = Abar"),
    episodic=("5.2", "eta' - L = e^T (P' - P) W is the gap that is reported, (I - P') W = Abar"),
    average=("5.2", "g' - L = d^T (P' - P) W is the gap that is reported, W the bias of Abar under pi'"),
)
def gap(audit: ImprovementAudit) -> Finding:
    """Subtract the surrogate from the return of the candidate."""
    reported = Enclosure.around(audit.report.gap, audit.report.certificate.bounds["gap"])
    return equal(reported, audit.new.eta - own_surrogate(audit), audit.size_of_returns)


@statement(
    OF_AN_IMPROVEMENT,
    discounted=("5.3", "alpha = max_s TV(pi, pi') = max_s sum_a max(pi' - pi, 0): the coupled actions differ so often"),
    episodic=("5.3", "alpha = max_s TV(pi, pi') = max_s sum_a max(pi' - pi, 0): the coupled actions differ so often"),
    average=("5.3", "alpha = max_s TV(pi, pi') = max_s sum_a max(pi' - pi, 0): the coupled actions differ so often"),
)
def disagreement_of_the_coupling(audit: ImprovementAudit) -> Finding:
    """Sum what the candidate does more often."""
    change = np.maximum(audit.new.policy - audit.old.policy, 0.0)
    parts = sum_over_actions(audit.mdp, change)
    error = audit.old.excess + audit.new.excess + audit.old.terms * ULP * parts
    right = Enclosure(float(np.maximum(parts - error, 0.0).max()), float((parts + error).max()))
    alpha = Enclosure.around(audit.report.alpha, audit.report.certificate.bounds["alpha"])
    return equal(alpha, right, 1.0)


@statement(
    OF_AN_IMPROVEMENT,
    ">=",
    discounted=(
        "5.8",
        "eta_a - eta >= a/(1-gamma) (d^T Abar - 2 a gamma epsbar / (1-gamma(1-a))) for the mixture of the best step a",
    ),
)
def conservative_step(audit: ImprovementAudit) -> Finding:
    """Evaluate the mixture that the bound itself likes best."""
    gamma = audit.old.gamma
    gain = product(audit.old.share, audit.old.share_error, audit.abar, audit.abar_error)
    most = np.abs(audit.abar)
    epsilon_bar = Enclosure(
        float(np.maximum(most - audit.abar_error, 0.0).max()), float((most + audit.abar_error).max())
    )
    step = conservative_step_size(float(gain.value), float(epsilon_bar.value), gamma)
    if step == 0.0:
        raise NotApplicableError("d^T Abar is not positive: the best step is 0")
    mixture = mixture_policy(audit.old.policy, audit.new.policy, step)
    found = check_improvement(audit.mdp, audit.old.policy, mixture, audit.setting, bounds=(), **audit.old.solving)
    # The stored mixture is rounded: its rows are off by an ulp, which moves the return by no more than this.
    rounding = 8 * ULP * audit.old.terms * audit.old.largest / (1.0 - gamma)
    moved = found.improvement + Enclosure(-rounding, rounding)
    factor = 2.0 * step * gamma / (1.0 - gamma * (1.0 - step))
    penalty = Enclosure.around(factor, 8 * ULP * factor) * epsilon_bar
    scale = step / (1.0 - gamma)
    return more(moved, Enclosure.around(scale, 4 * ULP * scale) * (gain - penalty))


def conservative_step_size(gain: float, epsilon_bar: float, gamma: float) -> float:
    """Return the a of the best bound (theory 5.8), for d^T Abar and max |Abar|."""
    if gain <= 0.0 or epsilon_bar <= 0.0:
        return 0.0
    y = gain / (2.0 * epsilon_bar)
    if gamma == 0.0 or y >= 1.0:
        return 1.0
    root = np.sqrt(1.0 - y)
    return float(min(1.0, (1.0 - gamma) / gamma * y / (root * (1.0 + root))))


def lemma_rows(audit: ImprovementAudit) -> Iterator[AuditRow]:
    """Take the lemmas of theory 5.4-5.7, each where it is closest to being wrong."""
    mdp = audit.mdp if audit.mdp.initial is not None else audit.mdp.with_initial(audit.old.initial)
    try:
        found = lemmas(mdp, audit.old.policy, audit.new.policy, audit.setting, audit.steps, **audit.old.solving)
    except (SettingError, ImproperPolicyError) as reason:
        place = ("5.4", "|Abar(s)| <= 2 alpha eps, and what follows from it")
        yield without_sides("lemmas", place, "<=", Verdict.NOT_APPLICABLE, str(reason))
        return
    for lemma in found:
        left, right = (Enclosure(np.ravel(x.lower), np.ravel(x.upper)) for x in (lemma.left, lemma.right))
        overall = lemma.verdict
        elsewhere = np.array([verdict is not overall for verdict in np.ravel(lemma.verdicts)])
        with np.errstate(invalid="ignore"):
            slack = np.where(np.isinf(right.lower), np.inf, np.asarray(right.lower) - left.upper)
        slack = np.where(np.isnan(slack), np.inf, slack)
        worst = int(np.lexsort((slack, elsewhere))[0])
        source = lemma.source.removeprefix("theory ").partition(" ")[0].rstrip(",;")
        place = (source, lemma.formula)
        yield row_of(lemma.name, place, Finding("<=", left[worst], right[worst], verdict=overall), 0.0)


# ---- theory 6 ----


def bound_rows(audit: ImprovementAudit) -> Iterator[AuditRow]:
    """Compare the gap with every bound."""
    size = abs(Enclosure.around(audit.report.gap, audit.report.certificate.bounds["gap"]))
    for name, bound in audit.report.bounds.items():
        place = ("6", f"|{_new(audit)} - L| <= {bound.formula}")
        if bound.enclosure is None:
            yield without_sides(name, place, "<=", bound.verdict, bound.reason or "it was not evaluated")
            continue
        yield row_of(name, place, Finding("<=", size, bound.enclosure, verdict=bound.verdict), 0.0)


def order_rows(audit: ImprovementAudit) -> Iterator[AuditRow]:
    """Compare the bounds with each other, as they are ordered on every model."""
    pairs = dict.fromkeys(pair for chain in ORDER[type(audit.setting)] for pair in pairwise(chain))
    for sharp, loose in pairs:
        first, second = audit.report.bounds[sharp], audit.report.bounds[loose]
        name = f"{sharp} <= {loose}"
        place = ("6", name)
        if first.enclosure is None or second.enclosure is None:
            yield without_sides(name, place, "<=", *_missing(first, second))
        else:
            yield row_of(name, place, less(first.enclosure, second.enclosure), 0.0)


def certificate_rows(audit: ImprovementAudit) -> Iterator[AuditRow]:
    """Compare the return of the candidate with what encloses it from both sides."""
    for name in TWO_SIDED:
        bound = audit.report.bounds.get(name)
        if bound is None:
            continue
        visits = "rho0^T (I - gamma M)^-1" if isinstance(audit.setting, Discounted) else "rho0^T (I - M)^-1"
        for side, least in (("lower", "min"), ("upper", "max")):
            relation: Any = ">=" if side == "lower" else "<="
            place = ("6", f"{_new(audit)} {relation} eta + k^T Abar + u {least} Abar, k = {visits} of {name}")
            if bound.enclosure is None:
                yield without_sides(f"{name} from {side} side", place, relation, *_missing(bound))
                continue
            end = float(getattr(bound, side))
            compare = more if side == "lower" else less
            yield row_of(f"{name} from {side} side", place, compare(audit.new.eta, Enclosure(end, end)), 0.0)


def _missing(*bounds: BoundReport) -> tuple[Verdict, str]:
    missing = next(bound for bound in bounds if bound.enclosure is None)
    return Verdict(missing.verdict), f"{missing.name}: {missing.reason}"


def _new(audit: ImprovementAudit) -> str:
    return "g'" if isinstance(audit.setting, Average) else "eta'"


def own_surrogate(audit: ImprovementAudit) -> Enclosure:
    """Enclose eta + sum w Abar."""
    return audit.old.eta + audit.old.visited(audit.abar, audit.abar_error)
