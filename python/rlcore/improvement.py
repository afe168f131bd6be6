"""Is that policy better? A base policy against one candidate or ten thousand (theory 5 and 6)."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, fields
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike

from rlcore.arguments import as_num_threads, as_single, as_tolerance
from rlcore.bounds import Bound, Need, at_lower, at_upper, bounds_in
from rlcore.candidates import Chunk, PolicyChanges, chunks_of
from rlcore.compared import Compared, compared_with_abar
from rlcore.comparison_base import ComparisonBase, comparison_base
from rlcore.enclosure import ULP, Enclosure, Verdict, as_verdicts, at_most, longer
from rlcore.errors import ArgumentError, InputError, PolicyError
from rlcore.evaluation import evaluate
from rlcore.improvement_report import BoundReport, ImprovementReport
from rlcore.mdp import MDP, as_mdp
from rlcore.measures import (
    coupled,
    discounted_horizon,
    ensure_unichain,
    episodic_horizon,
    ergodicity,
    step_shifts,
    too_large,
)
from rlcore.over_actions import sum_over_actions
from rlcore.results import Certificate, Evaluation, FloatArray, Progress
from rlcore.return_gap import ReturnGap, exact_gap, needs_abar
from rlcore.settings import Average, Discounted, Episodic, Setting, as_setting

NewReturn = Literal["exact", "enclosed", "skip"]


def check_improvement(
    mdp: MDP,
    policy: ArrayLike,
    candidates: ArrayLike | Iterable[ArrayLike] | PolicyChanges,
    setting: Setting | float,
    *,
    bounds: str | Iterable[str] = "cheap",
    new_return: NewReturn = "exact",
    tol: float = 1e-9,
    num_threads: int | None = None,
    progress: Callable[[Progress], object] | None = None,
) -> ImprovementReport:
    """Say exactly how candidates compare with a policy, and what each bound of the theory guarantees.

    ``eta' - eta = rho'^T Abar``, the surrogate is ``L = eta + rho^T Abar``, and the gap between them is solved for in
    difference form, ``eta' - L = gamma ((P' - P)^T rho)^T W`` with ``(I - gamma P') W = Abar``: it keeps its digits for
    policies that hardly differ. Every bound on ``|eta' - L|`` is compared with it beyond all rounding.

    Parameters
    ----------
    mdp
        The model, with a start distribution (in `Average` without one too).
    policy
        pi(a|s), the base policy, of shape ``mdp.pair_shape``.
    candidates
        pi': one policy of that shape; a batch ``(B, *pair_shape)``; an iterable of policies, which are looked at some
        at a time; or `PolicyChanges`, the states that each candidate changes and their new rows.
    setting
        ``Discounted(gamma)``, or just gamma; ``Episodic()``; or ``Average()``, where every return is a gain.
    bounds
        "cheap": the bounds that need one look at a candidate; "all"; or names, in a list or separated by commas.
    new_return
        "exact": solve for eta'. "enclosed": enclose it by one step of the candidate, with no solve. "skip": the
        lower bounds alone.
    tol
        The relative error asked for, of V and of W; the error of eta' - eta is smaller still by how little the
        policies differ.
    num_threads
        Threads to use; None for one per core. Every number gives bitwise the same answer.
    progress
        Called with a `Progress` some twenty times a second.

    Returns
    -------
    ImprovementReport
        ``.eta``, ``.eta_new``, ``.improvement``, ``.improves``, ``.surrogate``, ``.gap``, ``.alpha``, ``.kl_max``,
        ``.bounds[name]`` with ``.gap``, ``.lower``, ``.upper``, ``.slack`` and ``.verdict``, and more.
        Numbers for one candidate, arrays (B,) for a batch; ``.to_dict()`` and ``.to_dataframe()`` for a table.

    Raises
    ------
    PolicyError
        If a policy has the wrong shape or is not a distribution in every state.
    ArgumentError
        If a bound is unknown or does not exist in the setting, or `new_return` is none of its words.
    SettingError
        If the setting is none of these three, or a policy has several recurrent classes in `Average`.
    ModelError
        If there is no start distribution.
    ImproperPolicyError
        Episodic: if the base policy, or with "exact" a candidate, may stay for ever in states that it can reach.
    ConvergenceError
        If `tol` could not be certified for the base policy.

    Notes
    -----
    Theory 5.1-5.7 and 6; Kakade & Langford 2002; Schulman et al. 2015; Achiam et al. 2017.

    Examples
    --------
    >>> import numpy as np, rlcore as rl
    >>> mdp = rl.gallery.forest().with_initial(np.full(3, 1 / 3))
    >>> report = rl.check_improvement(mdp, rl.uniform_policy(mdp), [[0.6, 0.4]] * 3, 0.9)
    >>> round(report.surrogate, 6), round(report.eta_new, 6), report.improves
    (10.34895, 10.664688, <Verdict.HOLDS: 'HOLDS'>)
    >>> round(report.bounds["theorem_2_1"].lower, 6), round(report.bounds["cpo_tv"].lower, 6)
    (-8.939902, 0.898725)
    """
    mdp = as_mdp(mdp)
    found_setting = as_setting(setting, "check_improvement", Discounted, Episodic, Average)
    assert isinstance(found_setting, Discounted | Episodic | Average)
    old = as_single(policy, mdp.pair_shape, "policy", PolicyError).reshape(-1)
    if new_return not in ("exact", "enclosed", "skip"):
        raise ArgumentError(f"new_return: expected 'exact', 'enclosed' or 'skip', got {new_return!r}")
    tolerance = as_tolerance(tol)
    as_num_threads(num_threads)
    wanted = _wanted(bounds, found_setting, new_return)
    base = comparison_base(mdp, old, found_setting, tolerance, num_threads, progress)
    return _compared_with(base, candidates, _Plan(base, wanted, new_return, tolerance))


def compared_with(
    base: ComparisonBase,
    candidates: ArrayLike,
    *,
    bounds: str | Iterable[str] = "cheap",
    new_return: NewReturn = "exact",
    tol: float = 1e-9,
) -> ImprovementReport:
    """Do what `check_improvement` does for a base policy that has been evaluated already."""
    wanted = _wanted(bounds, base.setting, new_return)
    return _compared_with(base, candidates, _Plan(base, wanted, new_return, tol))


def _compared_with(
    base: ComparisonBase, candidates: ArrayLike | Iterable[ArrayLike] | PolicyChanges, plan: _Plan
) -> ImprovementReport:
    mdp = base.mdp
    chunks, batched = chunks_of(mdp, candidates, plan.needs_whole_policies)
    if base.undefined_pairs.any():
        chunks = _one_by_one(base, chunks)
    parts = []
    for chunk in chunks:
        try:
            parts.append(plan.check(chunk))
        except InputError as error:
            raise _in_batch(mdp, error, chunk, batched) from None
    return plan.report(parts, batched)


@dataclass(frozen=True, slots=True, eq=False)
class _Checked:
    """What was found of some candidates."""

    seen: Compared
    gap: ReturnGap | None
    enclosed: dict[str, Enclosure]  # the bounds that were evaluated
    sides: dict[str, Enclosure]  # eta' as a bound encloses it by itself
    reasons: dict[str, str]


@dataclass(frozen=True, slots=True, eq=False)
class _Plan:
    """What is to be found of every candidate."""

    base: ComparisonBase
    wanted: dict[str, Bound]
    new_return: NewReturn
    tol: float

    @property
    def needs(self) -> set[Need]:
        """The measures beyond the cheap ones."""
        found: set[Need] = {need for bound in self.wanted.values() for need in bound.needs}
        return found | {"step shift"} if self.new_return == "enclosed" else found

    @property
    def needs_whole_policies(self) -> bool:
        """Whether candidates that are given by what they change must be written out."""
        by_solving = self.new_return == "exact" or bool(self.wanted)
        return bool(self.needs - {"step shift"}) or (not isinstance(self.base.setting, Discounted) and by_solving)

    def check(self, chunk: Chunk) -> _Checked:
        """Look at the candidates, measure what is wanted, evaluate the bounds."""
        base = self.base
        if base.undefined_pairs.any():
            assert chunk.count == 1
            base = base.where_defined(chunk.policies(base.mdp, base.policy)[0])
        solves = self.new_return == "exact"
        seen, abar = compared_with_abar(base, chunk, wanted=solves and needs_abar(base, chunk))
        if isinstance(base.setting, Average):
            ensure_unichain(base, chunk)
        measures = dict(seen.measures)
        horizon = self._horizon(chunk, seen)
        if horizon is not None:
            measures["horizon"] = horizon
        reasons: dict[str, str] = {}
        for need in self.needs:
            reason = too_large(base, need)
            if reason is not None:
                reasons |= {name: reason for name, bound in self.wanted.items() if need in bound.needs}
        gap = self._exact_gap(base, chunk, seen, abar, horizon) if solves else None
        if "step shift" in self.needs:
            found = gap.step_shift if gap is not None else None
            measures["step_shift"] = found if found is not None else step_shifts(base, chunk, seen).l1
        sides: dict[str, Enclosure] = {}
        if self.needs & {"action overlap", "state overlap", "ergodicity"}:
            self._measure_policies(base, chunk, seen, horizon, measures, sides)
        lower, upper = at_lower(measures), at_upper(measures)
        bounds = self.wanted if self.new_return != "enclosed" else {**self.wanted, **self._one_step}
        enclosed = {name: bound.enclosed(lower, upper) for name, bound in bounds.items() if name not in reasons}
        count = chunk.count
        enclosed = {
            name: Enclosure(np.broadcast_to(x.lower, count), np.broadcast_to(x.upper, count))
            for name, x in enclosed.items()
        }
        return _Checked(seen, gap, enclosed, sides, reasons)

    def _exact_gap(
        self,
        base: ComparisonBase,
        chunk: Chunk,
        seen: Compared,
        abar: FloatArray | None,
        horizon: Enclosure | None,
    ) -> ReturnGap:
        """Solve for eta' - L."""
        gap = exact_gap(base, chunk, seen, abar, horizon, self.tol)
        if isinstance(base.setting, Episodic):
            gap = _evaluated_where_loose(base, chunk, seen, gap, self.tol)
        return gap

    @property
    def _one_step(self) -> dict[str, Bound]:
        existing = bounds_in(self.base.setting)
        return {"one_step": existing["one_step"]} if "one_step" in existing else {}

    def _horizon(self, chunk: Chunk, seen: Compared) -> Enclosure | None:
        if isinstance(self.base.setting, Discounted):
            return discounted_horizon(self.base, seen.most_sum)
        if isinstance(self.base.setting, Episodic) and (self.wanted or self.new_return != "skip"):
            return episodic_horizon(self.base, chunk.policies(self.base.mdp, self.base.policy))
        return None

    def _measure_policies(
        self,
        base: ComparisonBase,
        chunk: Chunk,
        seen: Compared,
        horizon: Enclosure | None,
        measures: dict[str, Any],
        sides: dict[str, Enclosure],
    ) -> None:
        """Take the measures that need a solve for each candidate."""
        needs = self.needs
        policies = chunk.policies(base.mdp, base.policy)
        if "ergodicity" in needs and too_large(base, "ergodicity") is None:
            found = [ergodicity(base, policy) for policy in policies]
            for name in found[0]:
                measures[name] = Enclosure(
                    np.array([each[name].lower for each in found]), np.array([each[name].upper for each in found])
                )
        for need, name in (("action overlap", "propagated_action"), ("state overlap", "propagated_state")):
            if need in needs:
                assert horizon is not None
                parting, side = _propagated(base, policies, need, seen, horizon)
                measures[need.replace(" ", "_")] = parting
                sides[name] = side
        if isinstance(base.setting, Episodic) and needs & {"action overlap", "state overlap"}:
            assert horizon is not None
            measures["either_horizon"] = longer(horizon, episodic_horizon(base, base.policy[None]))

    def report(self, parts: list[_Checked], batched: bool) -> ImprovementReport:
        """Put the candidates together."""
        base = self.base
        joined = _joined(parts)
        seen, gap = joined.seen, joined.gap
        surrogate = _alike(base.eta, seen.gain) + seen.gain
        improvement = self._improvement(joined)
        eta_new = None if self.new_return == "skip" else _alike(base.eta, seen.gain) + improvement
        reports = {
            name: self._bound_report(bound, joined, surrogate)
            for name, bound in bounds_in(base.setting).items()
            if name in self.wanted or name in joined.enclosed
        }
        for name, bound in bounds_in(base.setting).items():
            reports.setdefault(name, _not_evaluated(bound, "it was not asked for", seen, Verdict.NOT_EVALUATED))
        penalty = joined.enclosed.get("theorem_2_1")
        measured = {name: seen.measures[name] for name in ("epsilon_bar", "alpha", "kl_max")}
        numbers: dict[str, Enclosure | None] = {
            "eta_new": eta_new,
            "surrogate": surrogate,
            **measured,
            "tv_mean": seen.tv_mean,
            "kl_mean": seen.kl_mean,
            "gap": None if gap is None else gap.stored,
        }
        fields = {name: None if x is None else x.value for name, x in numbers.items()}
        errors = {name: None if x is None else x.error for name, x in numbers.items()}
        fields["improves"] = at_most(Enclosure(np.zeros_like(improvement.lower), 0.0), improvement)
        fields["penalty"] = None if penalty is None else penalty.upper
        errors |= {"eta": base.eta.error, "epsilon": base.epsilon.error, "improvement": improvement.error}
        gain = seen.gain
        if not batched:
            improvement, gain = improvement[0], gain[0]
            fields = {name: _first(x) for name, x in fields.items()}
            errors = {name: _first(x) for name, x in errors.items()}
            reports = {name: _of_one(report) for name, report in reports.items()}
        main = errors["improvement"]
        certificate = Certificate(main, errors, main, "converged", f"difference form, {self.new_return}", 0)
        return ImprovementReport(
            setting=base.setting,
            eta=float(base.eta.value),
            improvement=improvement,
            expected_gain=gain,
            epsilon=float(base.epsilon.value),
            bounds={name: reports[name] for name in bounds_in(base.setting)},
            certificate=certificate,
            **fields,
        )

    def _improvement(self, joined: _Checked) -> Enclosure:
        """Enclose eta' - eta: by the gap, or by everything that encloses it."""
        seen, gap = joined.seen, joined.gap
        if gap is not None:
            return seen.gain + gap.stored
        widest = np.full(np.shape(seen.gain.lower), np.inf)
        for bound in joined.enclosed.values():
            widest = np.minimum(widest, bound.upper)
        drift = _drift_bound(self.base, seen)
        found = seen.gain + Enclosure(-widest, widest) + Enclosure(-drift, drift)
        for side in joined.sides.values():
            own = side - _alike(self.base.eta, seen.gain) + Enclosure(-drift, drift)
            found = Enclosure(np.maximum(found.lower, own.lower), np.minimum(found.upper, own.upper))
        return found

    def _bound_report(self, bound: Bound, joined: _Checked, surrogate: Enclosure) -> BoundReport:
        """Compare the gap with one bound."""
        seen, gap = joined.seen, joined.gap
        if bound.name in joined.reasons:
            return _not_evaluated(bound, joined.reasons[bound.name], seen, Verdict.NOT_APPLICABLE)
        enclosed = joined.enclosed[bound.name]
        drift = _drift_bound(self.base, seen)
        drifting = Enclosure(-drift, drift)
        within = surrogate + Enclosure(-np.asarray(enclosed.upper), enclosed.upper) + drifting
        lower, upper = within.lower, within.upper
        side = joined.sides.get(bound.name)
        if side is not None:
            own = side + drifting
            lower, upper = np.maximum(lower, own.lower), np.minimum(upper, own.upper)
        if gap is None:
            verdict = as_verdicts(np.full(np.shape(lower), Verdict.NOT_EVALUATED))
            return BoundReport(bound.name, bound.formula, bound.source, enclosed, lower, upper, None, verdict)
        size = abs(gap.normalised)
        slack = enclosed.upper - np.abs(gap.normalised.value)
        verdict = at_most(size, enclosed)
        return BoundReport(bound.name, bound.formula, bound.source, enclosed, lower, upper, slack, verdict)


def _propagated(
    base: ComparisonBase, policies: FloatArray, need: Need, seen: Compared, horizon: Enclosure
) -> tuple[Enclosure, Enclosure]:
    """Enclose sum k c, and eta' between eta + k^T Abar + u min Abar and eta + k^T Abar + u max Abar (theory 6)."""
    size = len(policies)
    low, high = np.empty(size), np.empty(size)
    carried, carried_error = np.empty(size), np.empty(size)
    for item, policy in enumerate(policies):
        longest = float(np.asarray(horizon.upper)[item])
        if not np.isfinite(longest):
            low[item], high[item], carried[item], carried_error[item] = 0.0, np.inf, 0.0, np.inf
            continue
        k = coupled(base, policy, need, longest)
        mass = float(k.visits.sum()) + k.visits_error
        mean = float(k.visits @ k.parting)
        arithmetic = base.mdp.num_states * ULP
        error = k.visits_error * float(k.parting.max()) + float(k.visits @ k.parting_error)
        error += (k.relative_error + arithmetic) * mean
        low[item], high[item] = max(mean - error, 0.0), mean + error
        abar = sum_over_actions(base.mdp, (policy - base.policy) * base.advantage)
        largest = float(np.abs(abar).max())
        carried[item] = k.visits @ abar
        carried_error[item] = k.visits_error * largest + (k.relative_error + arithmetic) * mass * largest
        carried_error[item] += mass * float(seen.abar_error[item])
    parting_sum = Enclosure(low, high)
    u = Enclosure(base.gamma, base.gamma) * parting_sum * horizon
    middle = _alike(base.eta, seen.gain) + Enclosure.around(carried, carried_error)
    return parting_sum, Enclosure((middle + u * seen.abar_min).lower, (middle + u * seen.abar_max).upper)


def _drift_bound(base: ComparisonBase, seen: Compared) -> Any:
    """Bound what rows that do not sum to 1 can add to eta' - L beyond the bounds of the theory.

    An excess in the candidate's row earns its share of V; and it makes visits, as a model's row does that is taken more
    often than one with another sum: the sum of rho' - rho is not 0 then, and (rho' - rho)^T Abar more than its span.
    """
    if not isinstance(base.setting, Discounted):
        return np.where(seen.drift_max == 0.0, 0.0, seen.drift_max)
    longest = np.asarray(discounted_horizon(base, seen.most_sum).upper)
    made = np.asarray(seen.sum_change) + 2.0 * np.asarray(seen.tv.upper) * base.row_defect
    largest = np.asarray(seen.measures["epsilon_bar"].upper)
    visits = np.where((made == 0.0) | (largest == 0.0), 0.0, base.gamma * longest * made * largest)
    return np.where(seen.drift_max == 0.0, 0.0, longest * seen.drift_max) + visits


def _wanted(bounds: str | Iterable[str], setting: Any, new_return: NewReturn) -> dict[str, Bound]:
    """Return the bounds that are asked for, in their order."""
    existing = bounds_in(setting)
    if bounds == "all":
        return dict(existing)
    if bounds == "cheap":
        cheap: set[str] = {"step shift"} if new_return != "skip" else set()
        small = {"ergodicity"} if isinstance(setting, Average) else set()
        return {name: bound for name, bound in existing.items() if set(bound.needs) <= cheap | small}
    names = [name.strip() for name in bounds.split(",")] if isinstance(bounds, str) else list(bounds)
    for name in names:
        if name not in existing:
            raise ArgumentError(
                f"bounds: expected 'cheap', 'all' or names of bounds that exist in {setting!r}, got {name!r}; "
                f"these exist: {', '.join(existing)}"
            )
    return {name: existing[name] for name in existing if name in names}


def _not_evaluated(bound: Bound, reason: str, seen: Compared, verdict: Verdict) -> BoundReport:
    verdicts = as_verdicts(np.full(np.shape(seen.gain.lower), verdict))
    return BoundReport(bound.name, bound.formula, bound.source, None, None, None, None, verdicts, reason)


def _evaluated_where_loose(base: ComparisonBase, chunk: Chunk, seen: Compared, gap: ReturnGap, tol: float) -> ReturnGap:
    """Sharpen the gaps of episodes by returns: where episodes last long, these may be known better than W and e."""
    policies = chunk.policies(base.mdp, base.policy)
    # Where the candidate may stay for ever, W has no bound, and the gap by it is no number.
    lower, upper = np.fmax(gap.stored.lower, -np.inf), np.fmin(gap.stored.upper, np.inf)
    size = np.maximum(np.abs(lower), np.abs(upper))
    for item in np.flatnonzero(~((upper - lower <= tol * size) & np.isfinite(size))):
        found = evaluate(base.mdp, policies[item], base.setting, tol=0.0, raise_on_failure=False, **base.solving)
        assert isinstance(found, Evaluation)
        eta_new = Enclosure.around(found.start_value, found.certificate.bounds["start_value"])
        surrogate = base.eta + seen.gain[item]
        direct = eta_new - surrogate
        if not np.isnan([direct.lower, direct.upper]).any():
            lower[item], upper[item] = max(lower[item], direct.lower), min(upper[item], direct.upper)
    sharper = Enclosure(lower, upper)
    return ReturnGap(sharper, sharper, gap.step_shift)


def _one_by_one(base: ComparisonBase, chunks: Iterator[Chunk]) -> Iterator[Chunk]:
    """Hand out candidates one at a time: where advantages are missing, each has states of its own without Abar."""
    for chunk in chunks:
        for item, policy in enumerate(chunk.policies(base.mdp, base.policy)):
            yield Chunk(chunk.first + item, 1, np.ascontiguousarray(policy[None]))


def _in_batch(mdp: MDP, error: InputError, chunk: Chunk, batched: bool) -> InputError:
    """Return an error of a candidate with its place: its number in the whole batch, and labels."""
    if error.fault is None:
        return error
    if error.argument == "policy":
        error.argument = "candidates"
    error.item = None if not batched else chunk.first + (error.item or 0)
    return mdp.located(error)


def _joined(parts: list[_Checked]) -> _Checked:
    """Put the findings of all chunks one after the other."""
    if len(parts) == 1:
        return parts[0]
    first = parts[0]

    def join(items: list[Any]) -> Any:
        if isinstance(items[0], Enclosure):
            if np.ndim(items[0].lower) == 0:
                return items[0]
            return Enclosure(np.concatenate([x.lower for x in items]), np.concatenate([x.upper for x in items]))
        return np.concatenate(items) if isinstance(items[0], np.ndarray) else items[0]

    def joined_dict(dicts: list[dict[str, Any]]) -> dict[str, Any]:
        return {name: join([each[name] for each in dicts]) for name in dicts[0]}

    found: dict[str, Any] = {
        field.name: join([getattr(part.seen, field.name) for part in parts])
        for field in fields(Compared)
        if field.name != "measures"
    }
    seen = Compared(measures=joined_dict([part.seen.measures for part in parts]), **found)
    gap = None
    if first.gap is not None:
        gaps = [part.gap for part in parts if part.gap is not None]
        gap = ReturnGap(join([x.normalised for x in gaps]), join([x.stored for x in gaps]))
    return _Checked(
        seen,
        gap,
        joined_dict([part.enclosed for part in parts]),
        joined_dict([part.sides for part in parts]),
        first.reasons,
    )


def _alike(one: Enclosure, many: Enclosure) -> Enclosure:
    """Repeat a number for every candidate."""
    shape = np.shape(many.lower)
    return Enclosure(np.broadcast_to(one.lower, shape), np.broadcast_to(one.upper, shape))


def _first(x: Any) -> Any:
    if x is None:
        return None
    found = np.ravel(np.asarray(x, dtype=object if isinstance(x, Verdict) else None))[0]
    return found if isinstance(found, Verdict) else float(found)


def _of_one(report: BoundReport) -> BoundReport:
    parts = {name: _first(getattr(report, name)) for name in ("lower", "upper", "slack", "verdict")}
    enclosure = None if report.enclosure is None else report.enclosure[0]
    return BoundReport(report.name, report.formula, report.source, enclosure, **parts, reason=report.reason)
