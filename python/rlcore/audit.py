"""Every statement of the theory, checked on one model, one policy and one candidate (theory 2, 3, 5 and 6)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from rlcore.arguments import as_num_threads, as_single, as_tolerance
from rlcore.audit_of_improvement import (
    OF_AN_IMPROVEMENT,
    ImprovementAudit,
    bound_rows,
    certificate_rows,
    lemma_rows,
    order_rows,
)
from rlcore.audit_of_policy import OF_A_POLICY, PolicyAudit
from rlcore.enclosure import Verdict
from rlcore.errors import ArgumentError, PolicyError
from rlcore.improvement import check_improvement
from rlcore.improvement_report import ImprovementReport
from rlcore.mdp import MDP, as_mdp
from rlcore.policy_facts import policy_facts
from rlcore.results import Progress
from rlcore.settings import Average, Discounted, Episodic, Setting, as_setting
from rlcore.statements import AuditRow, checked


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Audit:
    """What an audit found.

    Attributes
    ----------
    setting
        The setting. In `Average` every eta is a gain.
    report
        What `rlcore.check_improvement` says of the candidate, with all bounds.
    rows
        An `AuditRow` for each statement, in the order of the theory.
    """

    setting: Discounted | Episodic | Average
    report: ImprovementReport
    rows: tuple[AuditRow, ...]

    @property
    def counts(self) -> dict[Verdict, int]:
        """How many statements have each verdict."""
        found = Counter(row.verdict for row in self.rows)
        return {verdict: found[verdict] for verdict in Verdict}

    @property
    def violated(self) -> tuple[AuditRow, ...]:
        """The statements that are proven to be wrong here: if there are any, something is wrong with rlcore."""
        return tuple(row for row in self.rows if row.verdict is Verdict.VIOLATED)

    @property
    def verdict(self) -> Verdict:
        """VIOLATED if any statement is, UNDECIDED if any is, else HOLDS."""
        found = self.counts
        return next((v for v in (Verdict.VIOLATED, Verdict.UNDECIDED) if found[v]), Verdict.HOLDS)

    @property
    def guarantor(self) -> str | None:
        """The name of the bound whose lower bound on the candidate's return is the best, if it exceeds eta."""
        evaluated = [bound for bound in self.report.bounds.values() if bound.gap is not None]
        best = max(evaluated, key=lambda bound: bound.lower, default=None)
        eta = self.report.eta + self.report.certificate.bounds["eta"]
        return best.name if best is not None and best.lower > eta else None

    @property
    def summary(self) -> str:
        """Whether the candidate is better, by how much, which bound guarantees it, and how many statements hold."""
        return f"{self._improvement_in_words()} {self._statements_in_words()}"

    def _improvement_in_words(self) -> str:
        found, name = self.report.improvement, "gain" if isinstance(self.setting, Average) else "return"
        if found.lower > 0.0:
            return f"The candidate is better: its {name} is {found.value:.6g} higher, {self._guarantee_in_words()}."
        if found.upper < 0.0:
            return f"The candidate is worse: its {name} is {-found.value:.6g} lower."
        if found.lower == found.upper == 0.0:
            return f"The candidate is as good as the policy: the {name} is the same."
        return f"Which of the two is better is not decided: the {name}s differ by at most {abs(found).upper:.3g}."

    def _guarantee_in_words(self) -> str:
        if self.guarantor is None:
            return "which no bound guarantees without knowing it"
        least = self.report.bounds[self.guarantor].lower - self.report.eta
        return f"of which the bound {self.guarantor} guarantees {least:.3g}"

    def _statements_in_words(self) -> str:
        counts = self.counts
        evaluated = counts[Verdict.HOLDS] + counts[Verdict.VIOLATED] + counts[Verdict.UNDECIDED]
        text = f"{counts[Verdict.HOLDS]} of {evaluated} statements of the theory hold on this model"
        if counts[Verdict.UNDECIDED]:
            text += f", {counts[Verdict.UNDECIDED]} undecided, since the sides are the same within their errors"
        if counts[Verdict.VIOLATED]:
            text += f", and {counts[Verdict.VIOLATED]} are VIOLATED: {', '.join(row.name for row in self.violated)}"
        return text + "."

    def to_dict(self) -> dict[str, list[Any]]:
        """Return the table: a list for each column, of plain numbers, texts and None."""
        lines = [_as_dict(row) for row in self.rows]
        return {name: [line[name] for line in lines] for name in lines[0]}

    def __repr__(self) -> str:
        counts = ", ".join(f"{count} {verdict}" for verdict, count in self.counts.items() if count)
        return f"Audit({self.setting!r}, {self.verdict}: {counts})"

    def __str__(self) -> str:
        lines = [f"{row.verdict:<14} {row.source:<4} {row.name}: {row.statement}" for row in self.rows]
        return "\n".join([*lines, self.summary])


def audit(
    mdp: MDP,
    policy: ArrayLike,
    candidate: ArrayLike,
    setting: Setting | float,
    *,
    steps: int = 20,
    tol: float = 1e-9,
    num_threads: int | None = None,
    progress: Callable[[Progress], object] | None = None,
) -> Audit:
    """Check every statement of the theory on this model, this policy and this candidate.

    Both sides of each statement are found in two ways that share as little as they can, and are enclosed: the value by
    its equation, the return from values and from visits, ``eta' - eta = rho'^T Abar`` with two evaluations on the left
    and the visits of the candidate on the right, the gap ``|eta' - L|`` against every bound, and the bounds against
    each other. An equation HOLDS if the enclosures overlap and are narrow, and is VIOLATED if they are disjoint.

    Parameters
    ----------
    mdp
        The model, with a start distribution (in `Average` without one too).
    policy
        pi(a|s), of shape ``mdp.pair_shape``.
    candidate
        pi', of the same shape.
    setting
        ``Discounted(gamma)``, or just gamma; ``Episodic()``; or ``Average()``.
    steps
        For the statements about single steps, how many are looked at: at least 1.
    tol
        The relative error asked for. Statements are decided by the errors that were proven, whatever was asked for.
    num_threads
        Threads to use; None for one per core. Every number gives bitwise the same answer.
    progress
        Called with a `Progress` some twenty times a second.

    Returns
    -------
    Audit
        ``.rows`` with ``.name``, ``.source``, ``.statement``, ``.left``, ``.relation``, ``.right``, ``.residual``,
        ``.tolerance``, ``.verdict`` and ``.reason``; ``.verdict`` and ``.summary`` of all; ``.report``;
        ``.to_dict()``.

    Raises
    ------
    PolicyError
        If a policy has the wrong shape or is not a distribution in every state.
    ArgumentError
        If `steps` is not a whole number from 1 on.
    SettingError
        If the setting is none of these three, or a policy has several recurrent classes in `Average`.
    ModelError
        If there is no start distribution.
    ImproperPolicyError
        Episodic: if a policy may stay for ever in states that it can reach.
    ConvergenceError
        If `tol` could not be certified for the policy.

    Notes
    -----
    Theory 2.1-2.8, 3.1-3.6, 5.1-5.8 and 6.

    Examples
    --------
    >>> import numpy as np, rlcore as rl
    >>> mdp = rl.gallery.forest()
    >>> found = rl.audit(mdp, rl.uniform_policy(mdp), np.tile([0.6, 0.4], (3, 1)), 0.9)
    >>> found
    Audit(Discounted(gamma=0.9), UNDECIDED: 64 HOLDS, 6 UNDECIDED)
    >>> [row.name for row in found.rows if row.verdict is rl.Verdict.UNDECIDED][3:]  # here these bounds are the same
    ['propagated_action <= span_107', 'cpo_tv <= lemma_2_5', 'cpo_span <= pirotta_span']
    >>> [row for row in found.rows if row.source == "2.6"]
    [AuditRow(2.6 adjoint identity: 7.96729 = 7.96729, HOLDS)]
    """
    mdp = as_mdp(mdp)
    found_setting = as_setting(setting, "audit", Discounted, Episodic, Average)
    assert isinstance(found_setting, Discounted | Episodic | Average)
    policies = [
        as_single(array, mdp.pair_shape, name, PolicyError).reshape(-1)
        for name, array in (("policy", policy), ("candidate", candidate))
    ]
    count, tolerance = _as_steps(steps), as_tolerance(tol)
    as_num_threads(num_threads)
    solving: dict[str, Any] = {"tol": tolerance, "num_threads": num_threads, "progress": progress}
    report = check_improvement(mdp, policies[0], policies[1], found_setting, bounds="all", **solving)
    old, new = (
        policy_facts(name, mdp, each, found_setting, **solving)
        for name, each in zip(("policy", "candidate"), policies, strict=True)
    )
    improvement = ImprovementAudit.of(old, new, report, count)
    rows = [
        *checked(OF_A_POLICY, PolicyAudit(old, count), found_setting, tolerance),
        *checked(OF_AN_IMPROVEMENT, improvement, found_setting, tolerance),
        *lemma_rows(improvement),
        *bound_rows(improvement),
        *order_rows(improvement),
        *certificate_rows(improvement),
    ]
    return Audit(found_setting, report, tuple(rows))


def _as_steps(steps: int) -> int:
    if isinstance(steps, bool) or not isinstance(steps, int | np.integer) or steps < 1:
        raise ArgumentError(f"steps: expected a whole number from 1 on, got {steps!r}")
    return int(steps)


def _as_dict(row: AuditRow) -> dict[str, Any]:
    def ends(name: str) -> dict[str, float | None]:
        enclosure = getattr(row, name)
        none = enclosure is None
        return {
            f"{name}_lower": None if none else float(enclosure.lower),
            f"{name}_upper": None if none else float(enclosure.upper),
        }

    return {
        "name": row.name,
        "source": row.source,
        "statement": row.statement,
        **ends("left"),
        "relation": row.relation,
        **ends("right"),
        **ends("residual"),
        "tolerance": row.tolerance,
        "verdict": str(row.verdict),
        "reason": row.reason,
    }
