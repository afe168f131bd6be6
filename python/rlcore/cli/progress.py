"""A progress bar for calls that take long enough to want one."""

from __future__ import annotations

import math
import time
from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from rlcore import results

PATIENCE = 0.5  # seconds before a bar appears


class ProgressBar:
    """A ``progress=`` callable that draws a bar on a terminal, and nothing elsewhere.

    The bar is the way from the first error to the target on a logarithmic scale, since that is how errors fall.
    """

    def __init__(self, console: Console) -> None:
        self._console = console
        self._started = time.monotonic()
        self._method = ""
        self._first_error = 0.0
        self._done = 0.0
        self._bar: Progress | None = None

    def __enter__(self) -> ProgressBar:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bar is not None:
            self._bar.stop()

    def __call__(self, report: results.Progress) -> None:
        """Take a report of the solver."""
        if not self._console.is_interactive or time.monotonic() - self._started < PATIENCE:
            return
        bar = self._bar or self._open()
        fraction = self._fraction(report)
        words = f"{report.method}, {report.iterations:,} steps"
        if report.error > 0.0:
            words += f", error {report.error:.1e}"
        if fraction is not None:
            words += f" on the way to {report.target:.1e}"
        bar.update(bar.task_ids[0], completed=fraction, total=None if fraction is None else 1.0, words=words)
        bar.refresh()

    def _open(self) -> Progress:
        columns = (BarColumn(24), TextColumn("{task.fields[words]}", markup=False), TimeElapsedColumn())
        self._bar = Progress(*columns, console=self._console, transient=True, auto_refresh=False)
        self._bar.add_task("", total=1.0, words="")
        self._bar.start()
        return self._bar

    def _fraction(self, report: results.Progress) -> float | None:
        """How far the error of this method has come; None if there is no telling."""
        if report.method != self._method:
            self._method, self._first_error, self._done = report.method, 0.0, 0.0
        if not (0.0 < report.error < math.inf and report.target > 0.0):
            return None
        self._first_error = max(self._first_error, report.error)
        way = math.log(self._first_error / report.target)
        if way > 0.0:
            self._done = max(self._done, math.log(self._first_error / report.error) / way)
        return min(self._done, 1.0)
