"""Runs of policy improvement next to each other: how the return climbs, and what is left to the optimum."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Literal

import numpy as np

from rlcore.errors import ArgumentError
from rlcore.improvement_run import ImprovementRun
from rlcore.plot.canvas import INK, axes_for, bare, shades
from rlcore.results import FloatArray

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Quantity = Literal["eta", "gap", "improvement"]

NAMES: dict[Quantity, str] = {
    "eta": "return $\\eta$",
    "gap": "optimum $- \\eta$",
    "improvement": "gain of a step, $\\eta' - \\eta$",
}
MARKERS = "osD^v<>p"
MOST_MARKED = 60


def improvement_runs(
    runs: ImprovementRun | Mapping[str, ImprovementRun], quantity: Quantity = "eta", ax: Axes | None = None
) -> Axes:
    """Draw how the return climbs, or on a logarithmic scale how far it is from the optimum or what each step gains.

    Parameters
    ----------
    runs
        What `rlcore.improve` found; or several runs by name, to be compared.
    quantity
        "eta" for the return; "gap" for the optimum - eta; "improvement" for eta' - eta of each step.
    ax
        The Matplotlib axes to draw into; None for those of a new figure.

    Returns
    -------
    Axes
        The axes, with a line for each run, and with returns a dashed one at the optimum, if it is known. Gaps and gains
        are drawn where they are proven to be above 0.

    Raises
    ------
    ArgumentError
        If there are no runs, or "gap" is asked for and the optimum of none is known.
    MissingPackageError
        If Matplotlib is not installed.

    Notes
    -----
    Theory 7. ``improve(..., optimum="solve")`` finds the optimum.

    Examples
    --------
    >>> import rlcore as rl
    >>> from rlcore import plot
    >>> mdp = rl.gallery.forest()
    >>> run = rl.improve(mdp, rl.uniform_policy(mdp), 0.9, rl.NaturalGradient(0.1), 5)
    >>> [line.get_label() for line in plot.improvement_runs({"natural gradient": run}).lines]
    ['natural gradient']
    """
    named = _as_runs(runs)
    if quantity not in NAMES:
        raise ArgumentError(f"quantity: expected 'eta', 'gap' or 'improvement', got {quantity!r}")
    if quantity == "gap" and all(run.optimum is None for run in named.values()):
        raise ArgumentError("runs: expected one whose optimum is known; pass optimum='solve' to rlcore.improve")
    ax = axes_for(ax, (5.6, 3.6))
    from matplotlib.ticker import MaxNLocator

    for (name, run), colour, marker in zip(named.items(), shades(len(named)), MARKERS * len(named), strict=False):
        iterations, shown = _points(run, quantity)
        marker = marker if len(run) <= MOST_MARKED else ""
        ax.plot(iterations, shown, color=colour, marker=marker, markersize=3.5, linewidth=1.4, label=name)
    if quantity == "eta":
        for optimum in sorted({float(run.optimum.value) for run in named.values() if run.optimum is not None}):
            ax.axhline(optimum, color=INK, linestyle="--", linewidth=1.0, label="optimum")
    else:
        ax.set_yscale("log")
    ax.set_xlabel("iterations")
    ax.set_ylabel(NAMES[quantity])
    ax.xaxis.set_major_locator(MaxNLocator(integer=True))
    ax.grid(visible=True, color="#e4e4e4", linewidth=0.6)
    ax.legend(frameon=False)
    bare(ax)
    return ax


def _points(run: ImprovementRun, quantity: Quantity) -> tuple[FloatArray, FloatArray]:
    """Return iterations and the middles of what encloses the numbers; of gaps and gains those that are above 0."""
    history = run.history
    drawn = {"eta": history.eta, "gap": history.gap, "improvement": history.improvement}[quantity]
    if drawn is None:
        return np.empty(0), np.empty(0)
    middle, lower = np.asarray(drawn.value), np.asarray(drawn.lower)
    shown = middle if quantity == "eta" else np.where(lower > 0.0, middle, np.nan)
    return np.arange(len(run) + 1 - shown.size, len(run) + 1, dtype=np.float64), shown


def _as_runs(runs: ImprovementRun | Mapping[str, ImprovementRun]) -> dict[str, ImprovementRun]:
    named = dict(runs) if isinstance(runs, Mapping) else {repr(getattr(runs, "region", "")): runs}
    if not named:
        raise ArgumentError("runs: expected at least one run of rlcore.improve, got none")
    for run in named.values():
        if not isinstance(run, ImprovementRun):
            raise ArgumentError(f"runs: expected what rlcore.improve returns, got {type(run).__name__}")
    return {str(name): run for name, run in named.items()}
