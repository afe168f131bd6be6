"""How the error of a solver went down."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

from rlcore.errors import ArgumentError
from rlcore.plot.canvas import INK, axes_for, bare, shades
from rlcore.plot.cells import compact
from rlcore.results import FloatArray, Progress

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Reports = Sequence[Progress]
MARKERS = "osD^v<>p"


def convergence(reports: Reports | Mapping[str, Reports], ax: Axes | None = None) -> Axes:
    """Draw the estimated relative error against the iterations, and the error that was asked for.

    Parameters
    ----------
    reports
        What a ``progress=`` callable was told, in order; or several such lists by name, to be compared.
    ax
        The Matplotlib axes to draw into; None for those of a new figure.

    Returns
    -------
    Axes
        The axes, with a line for each solver that was at work, or for each name. Solvers follow each other: the
        iterations of the second are counted on from the last of the first.

    Raises
    ------
    ArgumentError
        If there are no reports, or something else than an `rlcore.Progress` is among them.
    MissingPackageError
        If Matplotlib is not installed.

    Notes
    -----
    The estimate is the solver's own; what is proven stands in the certificate.

    Examples
    --------
    >>> import rlcore as rl
    >>> from rlcore import plot
    >>> reports = [rl.Progress("span iteration", 10 * k, 10.0**-k, 1e-9) for k in range(10)]
    >>> ax = plot.convergence(reports)
    >>> ax.get_yscale()
    'log'
    """
    runs = _as_runs(reports)
    ax = axes_for(ax, (5.6, 3.4))
    lines = [line for name, run in runs.items() for line in _lines_of(name, run)]
    for (name, iterations, errors), colour, marker in zip(
        lines, shades(len(lines)), MARKERS * len(lines), strict=False
    ):
        ax.plot(iterations, errors, color=colour, marker=marker, markersize=3.5, linewidth=1.4, label=name)
    for target in sorted({report.target for run in runs.values() for report in run if report.target > 0.0}):
        ax.axhline(target, color=INK, linestyle="--", linewidth=1.0, label=f"asked for: {compact(target)}")
    ax.set_yscale("log")
    ax.set_xlabel("iterations")
    ax.set_ylabel("estimated relative error")
    ax.grid(visible=True, color="#e4e4e4", linewidth=0.6)
    ax.legend(frameon=False)
    bare(ax)
    return ax


def _lines_of(name: str, run: Reports) -> Iterable[tuple[str, FloatArray, FloatArray]]:
    """Return name, iterations and errors of each line; without a name, of each solver."""
    iterations = np.array(_counted_on(run), dtype=np.float64)
    errors = np.array([report.error for report in run], dtype=np.float64)
    errors[~(np.isfinite(errors) & (errors > 0.0))] = np.nan
    if name:
        return [(name, iterations, errors)]
    methods = np.array([report.method for report in run])
    return [(str(m), iterations[methods == m], errors[methods == m]) for m in dict.fromkeys(methods.tolist())]


def _counted_on(run: Reports) -> list[int]:
    before, counts = 0, [run[0].iterations]
    for last, report in pairwise(run):
        if report.method != last.method or report.iterations < last.iterations:
            before += last.iterations
        counts.append(before + report.iterations)
    return counts


def _as_runs(reports: Reports | Mapping[str, Reports]) -> dict[str, list[Progress]]:
    named = dict(reports) if isinstance(reports, Mapping) else {"": reports}
    runs = {str(name): _as_reports(run) for name, run in named.items()}
    if not runs:
        raise ArgumentError("reports: expected at least one list of rlcore.Progress, got none")
    return runs


def _as_reports(run: Reports) -> list[Progress]:
    if not isinstance(run, Iterable):
        raise ArgumentError(f"reports: expected a list of rlcore.Progress, got {type(run).__name__}")
    found = list(run)
    for report in found:
        if not isinstance(report, Progress):
            raise ArgumentError(f"reports: expected a list of rlcore.Progress, got a {type(report).__name__} in it")
    if not found:
        raise ArgumentError(
            "reports: expected at least one rlcore.Progress, got none; a call that takes less than a twentieth of a "
            "second has nothing to report"
        )
    return found
