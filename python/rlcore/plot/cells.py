"""Grid worlds drawn as their grids: colours, numbers and arrows in cells."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from rlcore.grids import Grid, directions, ended_states
from rlcore.mdp import MDP
from rlcore.over_actions import sum_over_actions
from rlcore.plot.canvas import INK, PALE, WALL, colour_bar, ink_on
from rlcore.results import FloatArray

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.colors import Normalize
    from matplotlib.image import AxesImage

MOST_NUMBERED = 12  # rows or columns
SMALLEST_PRINT = 5.0  # points
MOST_ARROWED = 40  # rows or columns with an arrow for each cell; blocks of cells share one beyond
LEAST_DRAWN = 1e-3  # probability of an action

# An arrow of length 1 that points right, its tail at 0.
ARROW = np.array([(0, 0.07), (0.58, 0.07), (0.58, 0.22), (1, 0), (0.58, -0.22), (0.58, -0.07), (0, -0.07)])
CORNERS = np.array([(-0.5, -0.5), (0.5, -0.5), (0.5, 0.5), (-0.5, 0.5)])
DISC = np.array([(math.cos(turn), math.sin(turn)) for turn in np.linspace(0, 2 * math.pi, 24, endpoint=False)])


def grid_size(grid: Grid, beside: float = 1.35) -> tuple[float, float]:
    """Return the size of a figure in inches: small cells for large grids, and room beside them for the colour bar."""
    cell = min(0.8, 5.4 / max(grid.rows, grid.columns))
    return max(grid.columns * cell, 1.2) + beside, max(grid.rows * cell, 1.2) + 0.6


def heat_map(
    ax: Axes, grid: Grid, values: FloatArray, blank: NDArray[np.bool_], norm: Normalize, colours: str
) -> AxesImage:
    """Colour the cells by the numbers of their states; those that are blank are hatched, walls are grey."""
    table = np.ma.masked_invalid(np.where(grid.walls, np.nan, np.where(blank, np.nan, values)[grid.state]))
    image = ax.imshow(table, cmap=colours, norm=norm, zorder=1)
    frame(ax, grid)
    mark_blank(ax, grid, blank)
    return image


def frame(ax: Axes, grid: Grid) -> None:
    """Set the limits, ticks and labels of a grid, and the lines between its cells where they can be seen."""
    from matplotlib.ticker import FixedLocator, FuncFormatter, MaxNLocator

    ax.set_xlim(-0.5, grid.columns - 0.5)
    ax.set_ylim(grid.rows - 0.5, -0.5)
    ax.set_aspect("equal")
    parts = ((ax.xaxis, grid.columns, grid.origin[1], "column"), (ax.yaxis, grid.rows, grid.origin[0], "row"))
    for axis, length, first, label in parts:
        few = length <= MOST_NUMBERED
        axis.set_major_locator(FixedLocator(range(length)) if few else MaxNLocator(integer=True, nbins=6))
        axis.set_major_formatter(FuncFormatter(lambda place, _, first=first: f"{place + first:.0f}"))
        axis.set_label_text(label)
        axis.set_tick_params(length=0 if few else 3)
    if max(grid.rows, grid.columns) <= MOST_ARROWED:
        thin = 1.0 if max(grid.rows, grid.columns) <= MOST_NUMBERED else 0.4
        ax.hlines(np.arange(1, grid.rows) - 0.5, -0.5, grid.columns - 0.5, "white", linewidth=thin, zorder=2)
        ax.vlines(np.arange(1, grid.columns) - 0.5, -0.5, grid.rows - 0.5, "white", linewidth=thin, zorder=2)
    ax.spines[:].set_visible(False)


def mark_blank(ax: Axes, grid: Grid, blank: NDArray[np.bool_]) -> None:
    """Hatch the cells of some states, and fill the walls."""
    from matplotlib.collections import PolyCollection

    places = grid.places()[blank, ::-1].astype(float)
    if places.size:
        hatched: dict[str, Any] = {"facecolor": PALE, "edgecolor": "#9a9a9a", "hatch": "////", "linewidth": 0.0}
        ax.add_collection(PolyCollection(places[:, None] + CORNERS, zorder=1.2, label="_ended", **hatched))
    mark_walls(ax, grid)


def mark_walls(ax: Axes, grid: Grid, corner: tuple[float, float] = (-0.5, -0.5)) -> None:
    """Fill the walls of a grid whose upper left corner lies there."""
    from matplotlib.collections import PolyCollection

    walls = np.argwhere(grid.walls)[:, ::-1] + np.array(corner) + 0.5
    if walls.size:
        ax.add_collection(PolyCollection(walls[:, None] + CORNERS, zorder=1.2, label="_walls", facecolor=WALL))


def cell_bar(ax: Axes, grid: Grid, image: AxesImage, label: str, extend: str = "neither") -> None:
    """Draw the colour bar of a grid."""
    colour_bar(ax, image, label, width=0.05 * min(max(grid.rows / grid.columns, 0.3), 6.0), extend=extend)


# ---- numbers ----


def has_numbers(grid: Grid) -> bool:
    """Return whether numbers may be written into the cells."""
    return max(grid.rows, grid.columns) <= MOST_NUMBERED


def write_numbers(ax: Axes, grid: Grid, image: AxesImage, texts: list[str], below: float) -> None:
    """Write a text into the cell of every state, if there is room; no text for those that are empty."""
    size = print_size(ax, grid, max(map(len, texts), default=1))
    if size < SMALLEST_PRINT:
        return
    table = image.get_array()
    assert table is not None
    for (row, column), text in zip(grid.places().tolist(), texts, strict=True):
        if text:
            (ink,) = ink_on(image.to_rgba(table)[row, column])
            ax.text(column, row + below, text, ha="center", va="center_baseline", size=size, color=ink, zorder=4)


def print_size(ax: Axes, grid: Grid, letters: int) -> float:
    """Return the size in points at which so many letters fit into a cell."""
    box = ax.get_window_extent()
    cell = min(box.width / grid.columns, box.height / grid.rows) * 72.0 / ax.figure.dpi
    return min(10.0, 0.36 * cell, 0.85 * cell / (0.62 * letters))


def decimals(values: FloatArray) -> tuple[list[str], int]:
    """Return numbers with three digits of the largest one, and the power of ten that they are multiples of."""
    largest = float(np.abs(values).max(initial=0.0))
    if largest == 0.0:
        return ["0"] * values.size, 0
    lead = math.floor(math.log10(largest))
    power = lead if lead < -2 or lead > 4 else 0
    places = min(max(2 - (lead - power), 0), 3)
    return [_decimal(x, places, largest / 10.0**power) for x in (values / 10.0**power).tolist()], power


def _decimal(x: float, places: int, largest: float) -> str:
    """Return a number with so many places, or its power of ten if these would show zeros only."""
    if abs(x) < 1e-9 * largest:
        return "0"
    lost = abs(x) < 0.5 * 10.0**-places
    return ("−" if x < 0.0 else "") + (compact(abs(x)) if lost else f"{abs(x):.{places}f}")


def compact(x: float) -> str:
    """Return a number of two digits in few letters.

    >>> [compact(x) for x in (0.5, 0.012345, 3.4567e-5, 0.0, 12.3)]
    ['0.5', '0.012', '3e-5', '0', '12']
    """
    if x == 0.0 or 1e-3 <= abs(x) < 1e4:
        return f"{x:.2g}" if abs(x) < 100 else f"{x:.0f}"
    digit, _, power = f"{x:.0e}".partition("e")
    return f"{digit}e{int(power)}"


# ---- arrows ----


def has_arrows(mdp: MDP) -> bool:
    """Return whether some action is named by a direction."""
    return bool(directions(mdp))


def draw_arrows(
    ax: Axes, mdp: MDP, grid: Grid, policy: FloatArray, ink: list[str] | str = INK, lift: float = 0.0, size: float = 0.8
) -> None:
    """Draw an arrow for every action that is taken, of an area in proportion to its probability.

    The arrow of a single certain action lies across the middle of its cell; several start from there. An action that
    is named by no direction is a disc. On large grids every block of cells has one arrow, its mean direction.
    """
    from matplotlib.collections import PolyCollection

    block = -(-max(grid.rows, grid.columns) // MOST_ARROWED)
    if block > 1:
        shapes = _shapes_of_blocks(mdp, grid, policy, block)
        style: dict[str, Any] = {"facecolor": INK}
        if not isinstance(ink, str):
            style = {"facecolor": "white", "edgecolor": INK, "linewidth": 0.3}
    else:
        shapes, states = _shapes_of_states(mdp, grid, policy, lift, size)
        style = {"facecolor": ink if isinstance(ink, str) else [ink[state] for state in states]}
    if shapes:
        ax.add_collection(PolyCollection(shapes, zorder=3, label="_arrows", **style))


def _shapes_of_states(
    mdp: MDP, grid: Grid, policy: FloatArray, lift: float, size: float
) -> tuple[list[FloatArray], list[int]]:
    steps, places, shapes, states = directions(mdp), grid.places(), [], []
    drawn = np.flatnonzero((policy >= LEAST_DRAWN) & ~ended_states(mdp)[mdp.pair_state])
    for pair in drawn.tolist():
        state = int(mdp.pair_state[pair])
        row, column = places[state]
        step = steps.get(int(mdp.pair_action[pair]))
        single = policy[pair] > 1.0 - LEAST_DRAWN
        shapes.append(_shape(step, float(policy[pair]), single, size) + np.array([column, row - lift]))
        states.append(state)
    return shapes, states


def _shape(step: tuple[int, int] | None, probability: float, single: bool, size: float) -> FloatArray:
    """Return the outline of an action around the middle of its cell, y downwards."""
    if step is None:
        return 0.22 * size * math.sqrt(probability) * DISC
    down, right = step
    turned: FloatArray = ARROW @ np.array([(right, down), (-down, right)], dtype=float)
    if single:
        return size * (turned - 0.5 * np.array([right, down]))
    outwards: FloatArray = 0.58 * size * math.sqrt(probability) * turned + 0.03 * np.array([right, down])
    return outwards


def _shapes_of_blocks(mdp: MDP, grid: Grid, policy: FloatArray, block: int) -> list[FloatArray]:
    """Return an arrow for every block of cells: the mean of their directions, its length the length of that mean."""
    x, y, parts = _mean_directions(mdp, grid, policy, block)
    shapes = []
    for (row, column), right, down, weight in zip(parts.tolist(), x, y, np.hypot(x, y), strict=True):
        if weight >= 0.05:
            turned = ARROW @ np.array([(right, down), (-down, right)])
            middle = (column + 0.5) * block - 0.5, (row + 0.5) * block - 0.5
            shapes.append(0.85 * block * (turned - 0.5 * np.array([right, down])) + middle)
    return shapes


def _mean_directions(
    mdp: MDP, grid: Grid, policy: FloatArray, block: int
) -> tuple[FloatArray, FloatArray, NDArray[np.int64]]:
    steps = np.zeros((int(mdp.pair_action.max()) + 1, 2))
    for action, step in directions(mdp).items():
        if action < len(steps):
            steps[action] = step
    moving = np.where(ended_states(mdp)[mdp.pair_state], 0.0, policy)[:, None] * steps[mdp.pair_action]
    mean = sum_over_actions(mdp, moving)
    parts, which = np.unique(grid.places() // block, axis=0, return_inverse=True)
    which = which.ravel()
    count = np.bincount(which)
    down, right = (np.bincount(which, weights=part) / count for part in mean.T)
    return right, down, parts
