"""What `improve` finds: every step of a run, and how to go on with it (theory 7)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from rlcore.enclosure import Enclosure, Verdict, as_verdicts
from rlcore.families import Family
from rlcore.optional_packages import data_frame
from rlcore.results import FloatArray

Status = Literal["iterations", "settled", "rounding", "stopped", "interrupted"]

MEANING: dict[Status, str] = {
    "iterations": "all iterations are done",
    "settled": "no state moves any more",
    "rounding": "what the next step gains is lost in rounding",
    "stopped": "stopped as asked",
    "interrupted": "interrupted",
}


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class ImprovementStep:
    """One step of a run; also what ``progress=`` and ``stop=`` are told.

    Attributes
    ----------
    iteration
        Its number, from 1 on.
    eta, eta_new
        `Enclosure` of the return before and after it; in `Average` of the gain.
    improvement
        `Enclosure` of eta_new - eta; in difference form where the returns do not tell it to six digits.
    improves
        Whether eta_new >= eta: a `Verdict`.
    surrogate_gain
        `Enclosure` of what the surrogate promised, sum w Abar.
    guaranteed
        The best lower bound on eta_new - eta that a bound of theory 6 proves without knowing eta_new; what is exact is
        in `improvement`.
    kl_mean, kl_max
        sum d KL and max KL of the step, from the old policy to the new one.
    dual_gap
        How far the surrogate gain can be below the largest one that the region allows; None where the region is not a
        maximisation.
    gap
        `Enclosure` of the optimum - eta_new; None if the optimum is not known.
    seconds
        How long it took.
    """

    iteration: int
    eta: Enclosure
    eta_new: Enclosure
    improvement: Enclosure
    improves: Verdict
    surrogate_gain: Enclosure
    guaranteed: float
    kl_mean: float
    kl_max: float
    dual_gap: float | None
    gap: Enclosure | None
    seconds: float

    def __repr__(self) -> str:
        return (
            f"ImprovementStep({self.iteration}: eta={self.eta_new.value:.8g}, improvement={self.improvement!r}, "
            f"improves={self.improves}, kl_mean={self.kl_mean:.3g})"
        )


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class ImprovementHistory:
    """The steps of a run as arrays: n + 1 numbers for the policies, the first one included, and n for the steps.

    Attributes
    ----------
    eta
        `Enclosure` of the returns, shape (n + 1,).
    gap
        `Enclosure` of the optimum - eta, shape (n + 1,); None if the optimum is not known.
    improvement, surrogate_gain
        `Enclosure` of what each step gained, and of what the surrogate promised, shape (n,).
    improves
        A `Verdict` for each step.
    guaranteed, kl_mean, kl_max, seconds
        As in `ImprovementStep`, shape (n,).
    dual_gap
        The same; None where the region is not a maximisation.
    """

    eta: Enclosure
    gap: Enclosure | None
    improvement: Enclosure
    surrogate_gain: Enclosure
    improves: NDArray[Any]
    guaranteed: FloatArray
    kl_mean: FloatArray
    kl_max: FloatArray
    dual_gap: FloatArray | None
    seconds: FloatArray

    def __len__(self) -> int:
        return int(self.seconds.size)

    def __repr__(self) -> str:
        first, last = self.eta[0].value, self.eta[-1].value
        return f"ImprovementHistory({len(self)} steps, eta from {first:.8g} to {last:.8g})"


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class ImprovementRun:
    """A run of `improve`.

    Attributes
    ----------
    policy
        The last policy, of shape ``mdp.pair_shape``.
    family
        The family at its last parameters; None for policies without parameters.
    initial_eta
        `Enclosure` of the return of the first policy.
    steps
        An `ImprovementStep` for each step that was taken.
    optimum
        `Enclosure` of the best return of any policy, or None.
    region
        The region of the steps.
    status
        Why the run ended: "iterations", all are done; "settled", no state moves any more; "rounding", what the next
        step gains is less than the errors of the return or of the gain itself, and it was not taken; "stopped", `stop`
        said so; "interrupted" by Ctrl-C.
    going_on
        What `resume` calls.
    """

    policy: FloatArray
    family: Family | None
    initial_eta: Enclosure
    steps: tuple[ImprovementStep, ...]
    optimum: Enclosure | None
    region: Any
    status: Status
    going_on: Callable[..., ImprovementRun]

    @property
    def eta(self) -> Enclosure:
        """The return of the last policy."""
        return self.steps[-1].eta_new if self.steps else self.initial_eta

    @property
    def gap(self) -> Enclosure | None:
        """The optimum - eta; None if the optimum is not known."""
        return gap_to(self.optimum, self.eta)

    @property
    def history(self) -> ImprovementHistory:
        """The steps as arrays."""
        steps = self.steps
        etas = [self.initial_eta, *(step.eta_new for step in steps)]
        gaps = [gap_to(self.optimum, eta) for eta in etas]
        known = [gap for gap in gaps if gap is not None]
        dual_gaps = [step.dual_gap for step in steps if step.dual_gap is not None]
        return ImprovementHistory(
            eta=_together(etas),
            gap=_together(known) if known else None,
            improvement=_together([step.improvement for step in steps]),
            surrogate_gain=_together([step.surrogate_gain for step in steps]),
            improves=as_verdicts([step.improves for step in steps]),
            guaranteed=_array([step.guaranteed for step in steps]),
            kl_mean=_array([step.kl_mean for step in steps]),
            kl_max=_array([step.kl_max for step in steps]),
            dual_gap=_array(dual_gaps) if dual_gaps else None,
            seconds=_array([step.seconds for step in steps]),
        )

    def resume(
        self,
        iterations: int,
        *,
        progress: Callable[[ImprovementStep], object] | None = None,
        stop: Callable[[ImprovementStep], bool] | None = None,
    ) -> ImprovementRun:
        """Go on for more iterations.

        The result is bitwise that of one longer run, but for ``seconds``.

        Parameters
        ----------
        iterations
            How many more.
        progress, stop
            As in `improve`.

        Returns
        -------
        ImprovementRun
            The run from its first step on.
        """
        return self.going_on(iterations, progress, stop)

    def rows(self) -> Iterator[dict[str, Any]]:
        """Go through the policies, the first one included: plain numbers and names; None before the first step."""
        yield self._row(0, self.initial_eta, None)
        for step in self.steps:
            yield self._row(step.iteration, step.eta_new, step)

    def to_dict(self) -> dict[str, list[Any]]:
        """Return the table: a list for each column, a line for each policy."""
        lines = list(self.rows())
        return {name: [line[name] for line in lines] for name in lines[0]}

    def to_dataframe(self) -> Any:
        """Return the table as a ``pandas.DataFrame``, a row for each policy."""
        return data_frame(self.to_dict())

    def _row(self, iteration: int, eta: Enclosure, step: ImprovementStep | None) -> dict[str, Any]:
        gap = gap_to(self.optimum, eta)
        return {
            "iteration": iteration,
            "eta": float(eta.value),
            "eta_lower": float(eta.lower),
            "eta_upper": float(eta.upper),
            "gap_lower": None if gap is None else float(gap.lower),
            "gap_upper": None if gap is None else float(gap.upper),
            "improvement_lower": None if step is None else float(step.improvement.lower),
            "improvement_upper": None if step is None else float(step.improvement.upper),
            "improves": None if step is None else str(step.improves),
            "surrogate_gain": None if step is None else float(step.surrogate_gain.value),
            "guaranteed": None if step is None else step.guaranteed,
            "kl_mean": None if step is None else step.kl_mean,
            "kl_max": None if step is None else step.kl_max,
            "dual_gap": None if step is None else step.dual_gap,
            "seconds": None if step is None else step.seconds,
        }

    def __len__(self) -> int:
        return len(self.steps)

    def __repr__(self) -> str:
        held = sum(step.improves is Verdict.HOLDS for step in self.steps)
        gap = "" if self.gap is None else f", at most {self.gap.upper:.3g} below the optimum"
        return (
            f"ImprovementRun({self.region!r}: {len(self)} steps, {held} proven to be no worse, "
            f"eta={self.eta.value:.8g}{gap}; {MEANING[self.status]})"
        )


def gap_to(optimum: Enclosure | None, eta: Enclosure) -> Enclosure | None:
    """Enclose how far a return is from the best one, which is never below it."""
    if optimum is None:
        return None
    difference = optimum - eta
    return Enclosure(float(max(difference.lower, 0.0)), float(max(difference.upper, 0.0)))


def _together(numbers: list[Enclosure]) -> Enclosure:
    return Enclosure(_array([each.lower for each in numbers]), _array([each.upper for each in numbers]))


def _array(numbers: list[Any]) -> FloatArray:
    found = np.array(numbers, dtype=np.float64)
    found.flags.writeable = False
    return found
