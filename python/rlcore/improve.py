"""Step after step to a better policy, with the proof of each (theory 7)."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike

from rlcore.arguments import as_num_threads, as_tolerance
from rlcore.checked_step import CheckedStep, report_on
from rlcore.comparison_base import ENOUGH, SHARPER, comparison_base_of, solved_base
from rlcore.enclosure import ULP, Enclosure, Verdict
from rlcore.errors import ArgumentError, ConvergenceError
from rlcore.evaluation import evaluate
from rlcore.families import Family
from rlcore.improvement_report import ImprovementReport
from rlcore.improvement_run import ImprovementRun, ImprovementStep, Status, gap_to
from rlcore.mdp import MDP, as_mdp
from rlcore.optimum import as_optimum
from rlcore.results import Evaluation, FloatArray
from rlcore.settings import Average, Discounted, Episodic, Setting, as_setting
from rlcore.trust_region import Region, StepBase, TrustRegionStep, as_region, policy_and_family

# Up to so many states, values are found again, as precisely as can be, where advantages are small beside them.
FEW_STATES = 4096


Watch = Callable[[ImprovementStep], object]


def improve(
    mdp: MDP,
    policy: ArrayLike | Family,
    setting: Setting | float,
    region: Region,
    iterations: int,
    *,
    optimum: Literal["solve"] | Enclosure | float | None = None,
    tol: float = 1e-9,
    num_threads: int | None = None,
    progress: Watch | None = None,
    stop: Callable[[ImprovementStep], bool] | None = None,
) -> ImprovementRun:
    """Improve a policy step by step, and prove of every step what it gains.

    Each iteration is a `trust_region_step`, followed by what `check_improvement` says of it: whether eta' >= eta, and
    what the bounds of theory 6 guarantee without knowing eta'.

    Parameters
    ----------
    mdp
        The model, with a start distribution (in `Average` without one too).
    policy
        The first policy, of shape ``mdp.pair_shape``; for `NaturalGradient` and `TRPO` also a family of policies at its
        first parameters.
    setting
        ``Discounted(gamma)``, or just gamma; ``Episodic()``; or ``Average()``, where every return is a gain.
    region
        ``MaxKL(delta)``, ``MeanKL(delta)``, ``KLPenalty(coefficient)``, ``Conservative()``, ``NaturalGradient(step)``
        or ``TRPO(delta)``.
    iterations
        The most steps to take. A run ends before if no state moves any more, or if what the next step gains is less
        than the errors of the return or of the gain itself.
    optimum
        "solve": find the best return of any policy with `rlcore.solve`, so that every gap to it is known. Or that
        return itself, as a number or an `Enclosure`.
    tol
        The relative error asked for in every iteration, of V, of the visits and of W.
    num_threads
        Threads to use; None for one per core. Every number gives bitwise the same answer.
    progress
        Called with an `ImprovementStep` after each step.
    stop
        Called likewise; the run ends after the step for which it returns True.

    Returns
    -------
    ImprovementRun
        ``.policy``, ``.history`` (arrays), ``.steps``, ``.status``, ``.gap``, ``.resume(iterations)``,
        ``.to_dataframe()``. Ctrl-C ends a run as `stop` does, with the steps up to then and the status "interrupted";
        before the first step is done it is the usual KeyboardInterrupt.

    Raises
    ------
    PolicyError
        If the policy has the wrong shape or is not a distribution in every state.
    ArgumentError
        If `region` is no region, does not take what `policy` is, or a number is out of its range.
    SettingError
        If the setting is none of these three, or the region does not exist in it, or a policy has several recurrent
        classes in `Average`.
    ModelError
        If there is no start distribution.
    ImproperPolicyError
        Episodic: if a policy may stay for ever in states that it can reach.
    ConvergenceError
        If `tol` could not be certified; ``result`` is then the run up to that iteration.

    Notes
    -----
    Theory 7; Kakade & Langford 2002; Schulman et al. 2015. With `MaxKL`, `MeanKL`, `KLPenalty`, `Conservative` and, for
    a policy without parameters, `NaturalGradient`, the return never falls.

    Examples
    --------
    >>> import rlcore as rl
    >>> mdp = rl.gallery.forest()
    >>> run = rl.improve(mdp, rl.uniform_policy(mdp), 0.9, rl.NaturalGradient(0.2), 20)
    >>> run.history.eta.value.round(3)[[0, 1, 10, 20]]
    array([ 7.967, 13.376, 29.717, 29.737])
    >>> all(run.history.improves == rl.Verdict.HOLDS)
    True
    """
    mdp = as_mdp(mdp)
    found_setting = as_setting(setting, "improve", Discounted, Episodic, Average)
    assert isinstance(found_setting, Discounted | Episodic | Average)
    region = as_region(region)
    first, family = policy_and_family(mdp, policy, region)
    best = as_optimum(optimum, mdp, found_setting, num_threads)
    task = _Task(mdp, found_setting, region, as_tolerance(tol), as_num_threads(num_threads) or None, best)
    return task.run(_State(first, family), iterations, progress, stop)


@dataclass(frozen=True, slots=True, eq=False)
class _State:
    """Where a run is: what it has to know to go on. It is replaced as a whole, so that Ctrl-C never finds half of it.

    Attributes
    ----------
    policy, family
        The policy as a vector over pairs, and the family that it belongs to, if any.
    evaluation
        V of this policy, if the last step has found it.
    initial_eta
        The return of the first policy, when it is known.
    steps
        What was done.
    """

    policy: FloatArray
    family: Family | None
    evaluation: Evaluation | None = None
    initial_eta: Enclosure | None = None
    steps: tuple[ImprovementStep, ...] = ()

    def after(self, taken: TrustRegionStep, step: ImprovementStep) -> _State:
        """Return where the run is after a step."""
        policy = np.ascontiguousarray(taken.policy).reshape(-1)
        family = taken.family if isinstance(taken, CheckedStep) else None
        return _State(policy, family, taken.evaluation, self.initial_eta, (*self.steps, step))


@dataclass(frozen=True, slots=True, eq=False)
class _Task:
    """What all iterations of a run have in common."""

    mdp: MDP
    setting: Discounted | Episodic | Average
    region: Region
    tol: float
    num_threads: int | None
    optimum: Enclosure | None

    def run(
        self, state: _State, iterations: int, progress: Watch | None, stop: Callable[[ImprovementStep], bool] | None
    ) -> ImprovementRun:
        """Take steps from where a run is."""
        _check(iterations, progress, stop)
        status: Status = "iterations"
        try:
            for _ in range(iterations):
                started = time.perf_counter()
                base = self._base_at(state)
                state = state if state.initial_eta else replace(state, initial_eta=base.known.eta)
                taken = self.region._step(base)
                report = taken.report if isinstance(taken, CheckedStep) else report_on(base, taken)
                status = _reason_to_end(base, taken, report)
                if status != "iterations":
                    break
                step = self._measured(len(state.steps) + 1, base, taken, report, started)
                state = state.after(taken, step)
                if progress is not None:
                    progress(step)
                if stop is not None and stop(step):
                    status = "stopped"
                    break
        except KeyboardInterrupt:
            if not state.steps:
                raise
            status = "interrupted"
        except ConvergenceError as error:
            if not state.steps:
                raise
            message = f"improve, iteration {len(state.steps) + 1}: {error}"
            raise ConvergenceError(message, self._finished(state, "interrupted")) from error
        return self._finished(state, status)

    def _finished(self, state: _State, status: Status) -> ImprovementRun:
        assert state.initial_eta is not None
        policy = state.policy.reshape(self.mdp.pair_shape).copy()
        policy.flags.writeable = False
        return ImprovementRun(
            policy=policy,
            family=state.family,
            initial_eta=state.initial_eta,
            steps=state.steps,
            optimum=self.optimum,
            region=self.region,
            status=status,
            going_on=partial(self.run, state),
        )

    def _base_at(self, state: _State) -> StepBase:
        """Evaluate the policy and find its visits; bitwise the same if the last step has evaluated it already."""
        where = (self.mdp, state.policy, self.setting)
        ev = state.evaluation
        if ev is None:
            solving: dict[str, Any] = {"num_threads": self.num_threads, "raise_on_failure": False}
            found = evaluate(*where, tol=SHARPER * self.tol, **solving)
            assert isinstance(found, Evaluation)
            ev = found
        known = ev if _is_sharp(ev) or self.mdp.num_states > FEW_STATES else None
        ev, visits = solved_base(*where, self.tol, self.num_threads, None, known)
        base = comparison_base_of(*where, ev, visits, self.num_threads, None)
        return StepBase(base, ev, visits, self.tol, state.family)

    def _measured(
        self, iteration: int, base: StepBase, taken: TrustRegionStep, report: ImprovementReport, started: float
    ) -> ImprovementStep:
        eta_new = Enclosure.around(taken.eta_new, taken.certificate.bounds["eta_new"])
        return ImprovementStep(
            iteration=iteration,
            eta=base.known.eta,
            eta_new=eta_new,
            improvement=report.improvement,
            improves=Verdict(report.improves),
            surrogate_gain=report.expected_gain,
            guaranteed=_guaranteed(report, base.known.eta),
            kl_mean=float(report.kl_mean),
            kl_max=float(report.kl_max),
            dual_gap=taken.dual_gap,
            gap=gap_to(self.optimum, eta_new),
            seconds=time.perf_counter() - started,
        )


def _reason_to_end(base: StepBase, taken: TrustRegionStep, report: ImprovementReport) -> Status:
    """Say why a step is not to be taken, or "iterations" if it is."""
    if (np.ravel(taken.policy) == base.policy).all():
        return "settled"
    known = base.known
    # The sums of rows are off by an ulp, and each earns its share of V.
    invisible = known.eta.error + ULP * float(known.weight @ np.abs(known.worth))
    gained = float(abs(report.improvement).upper)
    return "rounding" if gained <= invisible or 0.0 in report.expected_gain else "iterations"


def _is_sharp(ev: Evaluation) -> bool:
    """Whether `solved_base`, if it evaluated the policy itself, would be content with this."""
    if ev.advantage is None:
        return True
    largest = float(np.nanmax(np.abs(ev.advantage), initial=0.0))
    return float(ev.certificate.bounds["advantage"]) <= ENOUGH * largest


def _guaranteed(report: ImprovementReport, eta: Enclosure) -> float:
    """Return the best lower bound on eta' - eta that a bound on |eta' - L| gives; both hold the same eta."""
    lower = [float(bound.lower) for bound in report.bounds.values() if bound.gap is not None]
    best = max(lower, default=-np.inf)
    return float(best - eta.lower - 4 * ULP * abs(eta.lower))


def _check(iterations: int, progress: object, stop: object) -> None:
    if isinstance(iterations, bool) or not isinstance(iterations, int | np.integer) or iterations < 1:
        raise ArgumentError(f"iterations: expected a whole number from 1 on, got {iterations!r}")
    for name, called in (("progress", progress), ("stop", stop)):
        if called is not None and not callable(called):
            raise ArgumentError(f"{name}: expected a callable that takes a rlcore.ImprovementStep, got {called!r}")
