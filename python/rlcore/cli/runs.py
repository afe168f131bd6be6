"""The screens of `rlcore improve`: while it runs, and at the end."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import TracebackType

from rich.console import Console, JustifyMethod
from rich.live import Live
from rich.table import Table
from rich.text import Text

from rlcore.cli.digits import at_most, count, headline
from rlcore.cli.improvement_reports import COLOURS, IMPROVES
from rlcore.cli.reports import Question, heading
from rlcore.cli.tables import plain_table
from rlcore.cli.terminal import glyphs_of
from rlcore.enclosure import Enclosure, Verdict
from rlcore.improvement_run import MEANING, ImprovementRun, ImprovementStep

Steps = Sequence[ImprovementStep]

LIVE_ROWS = 12
TABLE_ROWS = 12


class LiveTable:
    """A ``progress=`` callable that shows the last steps on a terminal, and nothing elsewhere."""

    def __init__(self, console: Console, iterations: int) -> None:
        self._console = console
        self._iterations = iterations
        self._name = ""
        self._steps: list[ImprovementStep] = []
        self._live: Live | None = None

    def __enter__(self) -> LiveTable:
        if self._console.is_interactive:
            self._live = Live(console=self._console, transient=True)
            self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._live is not None:
            self._live.stop()

    def begin(self, name: str) -> None:
        """Say which region comes now."""
        self._name, self._steps = name, []

    def __call__(self, step: ImprovementStep) -> None:
        """Take a step."""
        if self._live is None:
            return
        self._steps = [*self._steps[1 - LIVE_ROWS :], step]
        table = _table(self._steps[-1].gap is not None)
        for each in self._steps:
            table.add_row(*_cells(each))
        table.title, table.title_justify = f"{self._name}, step {step.iteration} of {self._iterations}", "left"
        self._live.update(table)


def show_runs(question: Question, runs: Mapping[str, ImprovementRun], console: Console) -> None:
    """Print the steps of every run, and how the runs compare."""
    heading(question, console)
    optimum = next(iter(runs.values())).optimum
    if optimum is not None:
        console.print(f"the best return of any policy is {headline(optimum.value, optimum.error)}")
    console.print()
    for name, run in runs.items():
        _show_steps(name, run, TABLE_ROWS if question.limit is None else question.limit, console)
    console.print(_summary(runs))
    console.print()
    gap = "" if optimum is None else "; gap: to the optimum"
    console.print(f"gain: eta' - eta; bound: what a bound guaranteed of it{gap}", style="dim")
    console.print()
    console.print(Text(_meaning(runs)))


def _show_steps(name: str, run: ImprovementRun, limit: int, console: Console) -> None:
    if limit == 0:
        return
    console.print(Text(f"{name}: {count(len(run), 'step')}; {MEANING[run.status]}", style="bold"))
    if not run.steps:
        console.print()
        return
    head, tail = _chosen(run.steps, limit)
    table = _table(run.optimum is not None)
    for step in head:
        table.add_row(*_cells(step))
    if tail:
        table.add_row(*(glyphs_of(console).more for _ in table.columns), style="dim")
    for step in tail:
        table.add_row(*_cells(step))
    console.print(table)
    console.print()


def _chosen(steps: Steps, limit: int) -> tuple[Steps, Steps]:
    """Return the first and the last steps, or all."""
    if len(steps) <= limit:
        return steps, ()
    last = limit // 2
    return steps[: limit - last], steps[len(steps) - last :]


def _table(with_gap: bool) -> Table:
    columns: dict[str, JustifyMethod] = {"step": "right", "return": "right", "gain": "right", "bound": "right"}
    columns |= {"mean KL": "right", "max KL": "right"}
    columns |= {"gap": "right"} if with_gap else {}
    return plain_table(columns | {"better": "left"})


def _cells(step: ImprovementStep) -> list[Text]:
    """Return a line: the return after the step, what it gained, what a bound guaranteed of that, how far it went."""
    numbers = [_known(step.eta_new), _number(step.improvement.value), _number(step.guaranteed)]
    numbers += [_number(step.kl_mean), _number(step.kl_max)]
    numbers += [] if step.gap is None else [_gap(step.gap)]
    verdict = Text(IMPROVES[step.improves], style=COLOURS[step.improves])
    return [Text(str(step.iteration)), *map(Text, numbers), verdict]


def _summary(runs: Mapping[str, ImprovementRun]) -> Table:
    with_gap = any(run.optimum is not None for run in runs.values())
    columns: dict[str, JustifyMethod] = {"region": "left", "steps": "right", "proven": "right", "return": "right"}
    columns |= {"gap": "right"} if with_gap else {}
    table = plain_table(columns | {"seconds": "right", "ended": "left"})
    for name, run in runs.items():
        proven = sum(step.improves is Verdict.HOLDS for step in run.steps)
        gap = [] if not with_gap else ["" if run.gap is None else _gap(run.gap)]
        seconds = f"{sum(step.seconds for step in run.steps):.3g}"
        shown = [name, str(len(run)), str(proven), _known(run.eta), *gap, seconds, run.status]
        table.add_row(*map(Text, shown))
    return table


def _meaning(runs: Mapping[str, ImprovementRun]) -> str:
    steps = [step for run in runs.values() for step in run.steps]
    worse = sum(step.improves is Verdict.VIOLATED for step in steps)
    held = sum(step.improves is Verdict.HOLDS for step in steps)
    fell = f"; {count(worse, 'step')} lowered the return" if worse else ""
    return f"Proven to be no worse: {held} of {count(len(steps), 'step')}{fell}."


def _known(x: Enclosure) -> str:
    return headline(x.value, x.error)


def _gap(gap: Enclosure) -> str:
    """Return a gap, or at most how large it is where it cannot be told from 0."""
    return _number(gap.value) if gap.lower > 0.0 else f"< {at_most(gap.upper, 1)}"


def _number(x: float) -> str:
    return f"{x:.2g}"
