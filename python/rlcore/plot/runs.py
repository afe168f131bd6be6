"""Runs of policy improvement next to each other: how the return climbs, and what is left to the optimum."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Literal

import numpy as np

from rlcore.enclosure import Enclosure
from rlcore.errors import ArgumentError
from rlcore.improvement_run import ImprovementRun
from rlcore.plot.canvas import INK, axes_for, bare, shades

if TYPE_CHECKING:
    from matplotlib.axes import Axes

MARKERS = "osD^v<>p"
MOST_MARKED = 60


def improvement_runs(
    runs: ImprovementRun | Mapping[str, ImprovementRun],
    quantity: Literal["eta", "gap"] = "eta",
    ax: Axes | None = None,
) -> Axes:
    """Draw the return against the iterations, or on a logarithmic scale how far it is from the optimum.

    Parameters
    ----------
    runs
        What `rlcore.improve` found; or several runs by name, to be compared.
    quantity
        "eta" for the return, "gap" for the optimum - eta.
    ax
        The Matplotlib axes to draw into; None for those of a new figure.

    Returns
    -------
    Axes
        The axes, with a line for each run and a dashed one at the optimum, if it is known. A gap is drawn down to its
        error: where it cannot be told from 0, the line ends.

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
    if quantity not in ("eta", "gap"):
        raise ArgumentError(f"quantity: expected 'eta' or 'gap', got {quantity!r}")
    if quantity == "gap" and all(run.optimum is None for run in named.values()):
        raise ArgumentError("runs: expected one whose optimum is known; pass optimum='solve' to rlcore.improve")
    ax = axes_for(ax, (5.6, 3.6))
    from matplotlib.ticker import MaxNLocator

    for (name, run), colour, marker in zip(named.items(), shades(len(named)), MARKERS * len(named), strict=False):
        drawn = run.history.eta if quantity == "eta" else run.history.gap
        if drawn is not None:
            marker = marker if len(run) <= MOST_MARKED else ""
            ax.plot(_shown(drawn, quantity), color=colour, marker=marker, markersize=3.5, linewidth=1.4, label=name)
    if quantity == "eta":
        for optimum in sorted({float(run.optimum.value) for run in named.values() if run.optimum is not None}):
            ax.axhline(optimum, color=INK, linestyle="--", linewidth=1.0, label="optimum")
        ax.set_ylabel("return $\\eta$")
    else:
        ax.set_yscale("log")
        ax.set_ylabel("optimum $- \\eta$")
    ax.set_xlabel("iterations")
    ax.xaxis.set_major_locator(MaxNLocator(integer=True))
    ax.grid(visible=True, color="#e4e4e4", linewidth=0.6)
    ax.legend(frameon=False)
    bare(ax)
    return ax


def _shown(drawn: Enclosure, quantity: str) -> np.ndarray:
    """Return the middle of what encloses the numbers; of gaps those that are surely above 0."""
    middle = np.asarray(drawn.value, dtype=np.float64)
    return middle if quantity == "eta" else np.where(np.asarray(drawn.lower) > 0.0, middle, np.nan)


def _as_runs(runs: ImprovementRun | Mapping[str, ImprovementRun]) -> dict[str, ImprovementRun]:
    named = dict(runs) if isinstance(runs, Mapping) else {repr(getattr(runs, "region", "")): runs}
    if not named:
        raise ArgumentError("runs: expected at least one run of rlcore.improve, got none")
    for run in named.values():
        if not isinstance(run, ImprovementRun):
            raise ArgumentError(f"runs: expected what rlcore.improve returns, got {type(run).__name__}")
    return {str(name): run for name, run in named.items()}
