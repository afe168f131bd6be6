"""A grid world drawn as its grid: a number in each cell while they fit, else a heat map."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich import box
from rich.color import Color
from rich.console import Console, RenderableType
from rich.style import Style
from rich.table import Table
from rich.text import Text

from rlcore.cli.terminal import glyphs_of
from rlcore.mdp import MDP
from rlcore.results import FloatArray

MOST_NUMBERED_ROWS = 20
MOST_ROWS = 40  # of a heat map, so that it can be seen at once
DIGITS = ((4, 1), (4, 0), (3, 0), (2, 0))  # significant digits and spare ones, fewer where room is short
DECADES = 4.0


@dataclass(frozen=True, slots=True)
class Layout:
    """Where the states of a grid world lie: `state` holds their numbers, row by row."""

    state: NDArray[np.int64]

    @property
    def rows(self) -> int:
        """The number of rows."""
        return int(self.state.shape[0])

    @property
    def columns(self) -> int:
        """The number of columns."""
        return int(self.state.shape[1])


@dataclass(frozen=True, slots=True)
class Picture:
    """What is drawn in the cell of each state."""

    height: FloatArray  # from 0 to 1: its colour
    texts: Callable[[int, int], Sequence[str]]  # its number, to so many significant digits and spare ones
    marks: Sequence[str]  # an arrow, or nothing
    blank: NDArray[np.bool_]  # whether it has no colour
    colours: tuple[str, ...]  # from low to high


def layout_of(mdp: MDP) -> Layout | None:
    """Return the layout if the labels are pairs (row, column) which fill a rectangle."""
    labels = mdp.state_labels
    if labels is None or not all(_is_place(label) for label in labels):
        return None
    places = np.array(labels, dtype=np.int64)
    places -= places.min(axis=0)
    rows, columns = (places.max(axis=0) + 1).tolist()
    if rows * columns != len(labels):
        return None
    state = np.empty((rows, columns), dtype=np.int64)
    state[places[:, 0], places[:, 1]] = np.arange(len(labels))  # labels are distinct, so every cell is met
    return Layout(state)


def ranks(values: FloatArray, resolution: float) -> FloatArray:
    """Return heights by order among the distinct values; what differs by less than the resolution is level.

    >>> ranks(np.array([5.0, 1.0, 9.0, 1.0 + 1e-15]), 1e-12)
    array([0.5, 0. , 1. , 0. ])
    """
    step = max(2.0 * resolution, 1e-9 * float(np.abs(values).max()))
    if step == 0.0 or float(np.ptp(values)) <= step:
        return np.full(values.size, 0.5)
    levels, level = np.unique(np.round(values / step), return_inverse=True)
    return level.reshape(values.shape) / max(levels.size - 1, 1)


def decades(values: FloatArray) -> FloatArray:
    """Return heights by logarithm: four powers of ten below the largest is the bottom.

    >>> decades(np.array([1.0, 0.01, 0.0]))
    array([1. , 0.5, 0. ])
    """
    largest = float(values.max())
    if not largest > 0.0:
        return np.zeros(values.size)
    heights: FloatArray = 1.0 + np.log10(np.maximum(values / largest, 10.0**-DECADES)) / DECADES
    return heights


@dataclass(frozen=True, slots=True)
class Drawing:
    """A grid, ready to be printed."""

    grid: RenderableType
    numbered: bool  # if not, it is a heat map
    coloured: bool  # or shaded, where there are no colours


def draw(layout: Layout, picture: Picture, console: Console) -> Drawing:
    """Draw a grid with its numbers if there is room for them, else as a heat map."""
    colours = _Colours(picture, console)
    if layout.rows <= MOST_NUMBERED_ROWS:
        frame = 0 if colours.seen else 1  # what is coloured needs no frame
        room = (console.width - frame) // layout.columns - 1
        for digits, spare in DIGITS:
            texts = _aligned(picture.texts(digits, spare))
            if len(texts[0]) <= room:
                cells = _cells(texts, picture.marks, room, stacked=colours.seen)
                return Drawing(_numbers(layout, cells, colours), True, colours.seen)
    return Drawing(_heat_map(layout, picture, colours, console), False, True)


def _is_place(label: object) -> bool:
    return isinstance(label, tuple) and len(label) == 2 and all(map(_is_small_integer, label))


def _is_small_integer(x: Any) -> bool:
    return isinstance(x, int | np.integer) and not isinstance(x, bool) and bool(-(2**31) < x < 2**31)


def _aligned(texts: Sequence[str]) -> list[str]:
    widest = max(map(len, texts))
    return [text.rjust(widest) for text in texts]


def _cells(texts: Sequence[str], marks: Sequence[str], room: int, stacked: bool) -> list[list[str]]:
    """Return the lines of each cell, all of one width: the mark stands beside its number, or below."""
    widest = len(texts[0])
    cells = [[text] for text in texts]
    if any(marks):
        beside = not stacked and widest + 2 <= room
        cells = [[f"{t} {m or ' '}"] if beside else [t, m] for t, m in zip(texts, marks, strict=True)]
        widest += 2 if beside else 0
    width = min(widest + 2, room)
    return [[line.center(width) for line in lines] for lines in cells]


def _numbers(layout: Layout, cells: list[list[str]], colours: _Colours) -> Table:
    frame = None if colours.seen else box.SQUARE
    table = Table(box=frame, show_header=False, show_lines=True, padding=0, border_style="dim")
    for _ in range(layout.columns):
        table.add_column(no_wrap=True)
    gap = " " if colours.seen else ""
    for states in layout.state.tolist():
        table.add_row(*(Text("\n".join(f"{line}{gap}" for line in cells[s]), colours.of(s)) for s in states))
    return table


def _heat_map(layout: Layout, picture: Picture, colours: _Colours, console: Console) -> Text:
    """Two characters for each state, or for a block of states where there are too many."""
    block = max(-(-layout.rows // MOST_ROWS), -(-2 * layout.columns // console.width))
    lines = []
    for row in range(0, layout.rows, block):
        strip = layout.state[row : row + block]
        parts = (strip[:, column : column + block] for column in range(0, layout.columns, block))
        lines.append(Text.assemble(*(colours.patch(states, picture.marks) for states in parts)))
    if block > 1:
        lines.append(Text(f"every patch stands for {block} by {block} states", style="dim"))
    return Text("\n").join(lines)


class _Colours:
    """From a height to a colour, or to a shade where there are no colours."""

    def __init__(self, picture: Picture, console: Console) -> None:
        self.seen = console.color_system is not None and not console.no_color
        self._height, self._blank = picture.height, picture.blank
        self._shades = glyphs_of(console).shades
        self._ramp = np.array([Color.parse(colour).get_truecolor() for colour in picture.colours], dtype=np.float64)

    def of(self, state: int) -> Style:
        """Return the colour of a state."""
        if self._blank[state] or not self.seen:
            return Style(dim=bool(self._blank[state]))
        return self._style(float(self._height[state]))

    def patch(self, states: NDArray[np.int64], marks: Sequence[str]) -> Text:
        """Return the two characters for one state or a block of them."""
        lit = states[~self._blank[states]]
        if lit.size == 0:
            return Text("  ")
        height = float(self._height[lit].mean())
        mark = marks[int(lit[0])] if states.size == 1 else ""
        if self.seen:
            return Text(mark.ljust(2), self._style(height))
        shade = self._shades[round(height * (len(self._shades) - 1))]
        return Text(shade + (mark or shade))

    def _style(self, height: float) -> Style:
        places = np.linspace(0.0, 1.0, len(self._ramp))
        red, green, blue = (round(float(np.interp(height, places, part))) for part in self._ramp.T)
        ink = "#000000" if 0.299 * red + 0.587 * green + 0.114 * blue > 140 else "#ffffff"
        return Style(color=ink, bgcolor=Color.from_rgb(red, green, blue))
