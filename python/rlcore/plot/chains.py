"""The Markov chain of a policy, drawn as states and arrows, or as its matrix."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import scipy.sparse
from numpy.typing import ArrayLike, NDArray

from rlcore.grids import ended_states, grid_of
from rlcore.mdp import MDP, as_mdp
from rlcore.over_actions import sum_over_actions
from rlcore.plot.canvas import AMOUNT_COLOURS, INK, PALE, as_policy, axes_for, colour_bar, name_states, names_of
from rlcore.results import FloatArray

if TYPE_CHECKING:
    from matplotlib.axes import Axes

MOST_STATES = 30  # that are drawn one by one,
MOST_ARROWS = 150  # with this many arrows between them
MOST_WRITTEN = 40  # arrows with their probabilities beside them,
MOST_PER_STATE = {"line": 3.2, "circle": 2.6, "grid": 0.0}  # if there are no more than these for each state
LEAST = 1e-12  # probability that is drawn
PIXELS = 300  # of the picture of a matrix

RADIUS = 0.3  # of a state; neighbours are 1.5 apart
SPACING = 1.5
TIP = 0.16
END = 0.16
FILL, START = "#f4f4f4", "#9ecae1"


def chain(mdp: MDP, policy: ArrayLike, ax: Axes | None = None) -> Axes:
    """Draw the Markov chain of a policy: states and arrows for a small model, else the matrix P_pi.

    Parameters
    ----------
    mdp
        The model.
    policy
        pi(a|s), of shape ``mdp.pair_shape``.
    ax
        The Matplotlib axes to draw into; None for those of a new figure.

    Returns
    -------
    Axes
        The axes.

    Raises
    ------
    PolicyError
        If `policy` has the wrong shape or is not a distribution in every state.
    MissingPackageError
        If Matplotlib is not installed.

    Notes
    -----
    Up to 30 states with up to 150 transitions between them are drawn one by one: those of a grid world in their cells,
    those that follow each other by number on a line, all others on a circle. An arrow is the broader the more probable
    it is, states in which the process may start are blue, and a black square is its end. What is larger is drawn as
    the matrix, row s to column s'; if it has more than 300 rows, every patch is a block of states, coloured by the
    probability of going from a state of the one block to the other block.

    Examples
    --------
    >>> import rlcore as rl
    >>> from rlcore import plot
    >>> forest = rl.gallery.forest()
    >>> ax = plot.chain(forest, rl.uniform_policy(forest))
    >>> [text.get_text() for text in ax.texts if text.get_label() == "_state"]
    ['0', '1', '2']
    """
    mdp = as_mdp(mdp)
    probability = as_policy(mdp, policy)
    P_pi = _transition_of(mdp, probability)
    if mdp.num_states > MOST_STATES or P_pi.nnz > MOST_ARROWS:
        return _draw_matrix(mdp, P_pi, ax)
    ends = sum_over_actions(mdp, probability * mdp.termination.ravel())
    ends[ended_states(mdp)] = 0.0
    return _draw_graph(mdp, _Layout.of(mdp, P_pi), P_pi, ends, ax)


def _transition_of(mdp: MDP, probability: FloatArray) -> Any:
    parts = (probability, np.arange(mdp.num_pairs), mdp.pair_start)
    P_pi = (scipy.sparse.csr_array(parts, shape=(mdp.num_states, mdp.num_pairs)) @ mdp.transition).tocoo()
    kept = P_pi.data > LEAST
    return scipy.sparse.coo_array((P_pi.data[kept], (P_pi.row[kept], P_pi.col[kept])), shape=P_pi.shape)


# ---- where the states lie ----


@dataclass(frozen=True, slots=True)
class _Layout:
    """Where states lie, which way is out, and how arrows bend."""

    places: FloatArray  # (S, 2), y upwards
    outwards: FloatArray  # (S, 2), unit vectors: where there is room for loops and ends
    kind: str

    @classmethod
    def of(cls, mdp: MDP, P_pi: Any) -> _Layout:
        grid = grid_of(mdp)
        if grid is not None and min(grid.rows, grid.columns) > 1:
            places = grid.places()[:, ::-1] * np.array([SPACING, -SPACING])
            return cls(places, np.tile([-math.sqrt(0.5), math.sqrt(0.5)], (len(places), 1)), "grid")
        S = mdp.num_states
        if _is_line(P_pi):
            places = np.stack([SPACING * np.arange(S), np.zeros(S)], axis=1)
            return cls(places, np.tile([0.0, 1.0], (S, 1)), "line")
        radius = max(0.9, 0.5 * SPACING / math.sin(math.pi / S)) if S > 1 else 0.0
        turn = math.pi / 2 - 2 * math.pi * np.arange(S) / S
        outwards = np.stack([np.cos(turn), np.sin(turn)], axis=1)
        return cls(radius * outwards, outwards, "circle")

    def height(self, start: int, end: int, back: bool) -> float:
        """Return how far an arrow bends to its left; `back` tells whether there is one the other way."""
        distance = float(np.hypot(*(self.places[end] - self.places[start])))
        if self.kind == "line":
            return 0.2 if back else 0.0
        if self.kind == "grid" and distance > 1.1 * SPACING:
            return 0.12 * distance
        return 0.12 * min(distance, 2.0) if back else 0.0


def _is_line(P_pi: Any) -> bool:
    """Whether each state has an arrow to or from the next, arrows between others are few, and it is no ring."""
    last = int(P_pi.shape[0]) - 1
    rows, columns = P_pi.row, P_pi.col
    distance = np.abs(rows - columns)
    joined = int(np.unique(np.minimum(rows, columns)[distance == 1]).size)
    others = int((distance > 1).sum())
    ring = last > 1 and 0 < others <= 2 and bool((distance == last).any())
    return joined == last and not ring and others <= 1.5 * (last + 1)


# ---- states and arrows ----


def _draw_graph(mdp: MDP, layout: _Layout, P_pi: Any, ends: FloatArray, ax: Axes | None) -> Axes:
    arrows = _Arrows(layout)
    for start, end, p in zip(*(part.tolist() for part in (P_pi.row, P_pi.col, P_pi.data)), strict=True):
        back = bool(((P_pi.row == end) & (P_pi.col == start)).any())
        arrows.between(start, end, p, back)
    for state in np.flatnonzero(ends > LEAST).tolist():
        arrows.to_end(state, float(ends[state]))
    low, high = arrows.extent()
    width, height = high - low
    longest = max(map(len, names_of(range(mdp.num_states), mdp.state_labels)))
    unit = min(0.72 * min(max(longest / 4, 1.0), 1.8), 10.0 / width, 7.0 / height)
    own = ax is None
    ax = axes_for(ax, (max(unit * width, 1.6), max(unit * height, 1.2)))
    ax.set_xlim(low[0], high[0])
    ax.set_ylim(low[1], high[1])
    ax.set_aspect("equal")
    ax.set_axis_off()
    point = 0.97 * 72.0 * unit if own else _point(ax, width, height)
    arrows.draw(ax, point)
    _draw_states(mdp, layout, ax, point)
    return ax


def _point(ax: Axes, width: float, height: float) -> float:
    """Return how many points one unit of length is in these axes."""
    box = ax.get_window_extent()
    return float(min(box.width / width, box.height / height) * 72.0 / ax.figure.dpi)


def _draw_states(mdp: MDP, layout: _Layout, ax: Axes, point: float) -> None:
    from matplotlib.collections import EllipseCollection

    starts = np.zeros(mdp.num_states) if mdp.initial is None else mdp.initial
    special = 0 < (starts > 0.0).sum() < mdp.num_states
    colours = np.where(special & (starts > 0.0), START, np.where(ended_states(mdp), PALE, FILL)).tolist()
    size = np.full(mdp.num_states, 2 * RADIUS)
    shapes: dict[str, Any] = {"units": "xy", "offsets": layout.places, "offset_transform": ax.transData}
    discs = EllipseCollection(size, size, np.zeros_like(size), facecolor=colours, edgecolor=INK, zorder=3, **shapes)
    discs.set_label("_states")
    ax.add_collection(discs)
    names = names_of(range(mdp.num_states), mdp.state_labels)
    for name, (x, y) in zip(names, layout.places, strict=True):
        largest = min(11.0, 0.3 * point, 1.7 * RADIUS * point / (0.62 * len(name)))
        ax.text(x, y, name, ha="center", va="center_baseline", size=largest, zorder=4, label="_state", color=INK)


class _Arrows:
    """Collects curves with their probabilities, and draws them at once."""

    def __init__(self, layout: _Layout) -> None:
        self._layout = layout
        self._curves: list[FloatArray] = []
        self._weights: list[float] = []
        self._notes: list[tuple[FloatArray, FloatArray]] = []  # where the middle is, and which way is out
        self._ends: list[FloatArray] = []

    def between(self, start: int, end: int, p: float, back: bool) -> None:
        """Add the arrow of a transition."""
        if start == end:
            self._loop(start, p)
            return
        a, b = self._layout.places[start], self._layout.places[end]
        along = (b - a) / np.hypot(*(b - a))
        left = np.array([-along[1], along[0]])
        height = self._layout.height(start, end, back)
        if self._layout.kind == "line" and abs(end - start) > 1:
            curve = _arch(a, b, left, abs(end - start) / max(len(self._layout.places) - 1, 3))
        else:
            middle = 0.5 * (a + b) + 4 / 3 * height * left
            curve = _bezier(a, middle, middle, b)
        self._add(_between_discs(curve, a, b), p, left, 0.36 if self._layout.kind == "circle" and not back else 0.5)

    def to_end(self, state: int, p: float) -> None:
        """Add the arrow to the end of the process."""
        place, out = self._layout.places[state], self._layout.outwards[state]
        if self._layout.kind == "line":
            last = len(self._layout.places) - 1
            out = np.array([-1.0, 0.0]) if state == 0 else np.array([1.0 if state == last else 0.0, 0.0])
            out = out if out.any() else np.array([0.0, -1.0])
        else:
            out = out @ np.array([(math.cos(0.6), math.sin(0.6)), (-math.sin(0.6), math.cos(0.6))])
        target = place + (RADIUS + 0.75) * out
        curve = place + np.linspace(0.0, 1.0, 101)[:, None] * (target - END * out - place)
        self._ends.append(target)
        self._add(_between_discs(curve, place, None), p, np.array([-out[1], out[0]]))

    def extent(self) -> tuple[FloatArray, FloatArray]:
        """Return the lower left and the upper right corner of everything, with a margin."""
        discs = self._layout.places
        points = np.concatenate([discs - RADIUS, discs + RADIUS, *self._curves, *(end[None] for end in self._ends)])
        margin = 0.3
        return points.min(axis=0) - margin, points.max(axis=0) + margin

    def draw(self, ax: Axes, point: float) -> None:
        """Draw all arrows; their probabilities too, where they are few."""
        from matplotlib.collections import LineCollection, PolyCollection

        weights = np.array(self._weights)
        if not weights.size:
            return
        widths = (0.5 + 2.0 * weights) * min(1.0, point / 45.0)
        heads = [_head(curve, TIP * (0.75 + 0.5 * p)) for curve, p in zip(self._curves, weights, strict=True)]
        shafts = [_shortened(curve, 0.6 * TIP) for curve in self._curves]
        ax.add_collection(LineCollection(shafts, linewidths=widths, colors=INK, zorder=2, label="_transitions"))
        ax.add_collection(PolyCollection(heads, facecolor=INK, linewidth=0.0, zorder=2.5))
        if self._ends:
            corners = 0.75 * END * np.array([(-1, -1), (1, -1), (1, 1), (-1, 1)])
            squares = [end + corners for end in self._ends]
            ax.add_collection(PolyCollection(squares, facecolor=INK, zorder=3, label="_ends"))
        size = 0.18 * point
        most = MOST_PER_STATE[self._layout.kind] * len(self._layout.places)
        if len(weights) <= min(MOST_WRITTEN, most) and size >= 4.5:
            self._write(ax, min(size, 9.0), point)

    def _write(self, ax: Axes, size: float, point: float) -> None:
        for p, (place, out) in zip(self._weights, self._notes, strict=True):
            text = _short(p)
            away = 0.62 * size / point + abs(float(out[0])) * 0.22 * len(text) * size / point
            x, y = place + away * out
            ax.text(x, y, text, ha="center", va="center", size=size, color=INK, zorder=5, label="_probability")

    def _loop(self, state: int, p: float) -> None:
        out = self._layout.outwards[state]
        middle = self._layout.places[state] + (RADIUS + 0.17) * out
        first = math.atan2(-out[1], -out[0])
        turn = np.linspace(first, first - 2 * math.pi, 201)
        circle = middle + 0.23 * np.stack([np.cos(turn), np.sin(turn)], axis=1)
        outside = np.hypot(*(circle - self._layout.places[state]).T) > RADIUS
        self._curves.append(circle[outside])
        self._weights.append(p)
        self._notes.append((middle + 0.23 * out, out))

    def _add(self, curve: FloatArray, p: float, left: FloatArray, noted: float = 0.5) -> None:
        self._curves.append(curve)
        self._weights.append(p)
        self._notes.append((curve[int(noted * len(curve))], left))


def _bezier(a: FloatArray, b: FloatArray, c: FloatArray, d: FloatArray) -> FloatArray:
    t = np.linspace(0.0, 1.0, 201)[:, None]
    curve: FloatArray = (1 - t) ** 3 * a + 3 * t * (1 - t) ** 2 * b + 3 * t**2 * (1 - t) * c + t**3 * d
    return curve


def _arch(a: FloatArray, b: FloatArray, left: FloatArray, reach: float) -> FloatArray:
    """Return an arrow over the states between; the further it reaches, the more from behind it comes in."""
    distance = float(np.hypot(*(b - a)))
    along = (b - a) / distance
    height = 0.45 + 0.32 * distance
    into = math.radians(25.0 + 80.0 * reach)
    out = math.radians(62.0)
    first = a + height * (math.cos(out) * along + math.sin(out) * left)
    return _bezier(a, first, b + height * (math.sin(into) * left - math.cos(into) * along), b)


def _between_discs(curve: FloatArray, a: FloatArray, b: FloatArray | None) -> FloatArray:
    outside: NDArray[np.bool_] = np.hypot(*(curve - a).T) > RADIUS
    if b is not None:
        outside &= np.hypot(*(curve - b).T) > RADIUS + 0.02
    return curve[outside]


def _shortened(curve: FloatArray, length: float) -> FloatArray:
    """Return a curve without the last bit of it, which its head covers."""
    kept = curve[np.hypot(*(curve - curve[-1]).T) >= length]
    return kept if len(kept) > 1 else curve[:2]


def _head(curve: FloatArray, length: float) -> FloatArray:
    tip = curve[-1]
    before = _shortened(curve, length)[-1]
    along = (tip - before) / max(float(np.hypot(*(tip - before))), 1e-12)
    across = 0.42 * length * np.array([-along[1], along[0]])
    back = tip - length * along
    return np.array([tip, back + across, back - across])


def _short(p: float) -> str:
    """Return a probability in few letters.

    >>> _short(0.25), _short(1.0), _short(1 / 3), _short(0.0004)
    ('0.25', '1', '0.33', '4e-4')
    """
    if p < 0.005:
        digit, _, power = f"{p:.0e}".partition("e")
        return f"{digit}e{int(power)}"
    return f"{p:.2g}"


# ---- the matrix ----


def _draw_matrix(mdp: MDP, P_pi: Any, ax: Axes | None) -> Axes:
    from matplotlib.colors import LogNorm, Normalize

    ax = axes_for(ax, (4.8, 4.2))
    S = mdp.num_states
    block = -(-S // PIXELS)
    table = _by_blocks(P_pi, block)
    shown = np.ma.masked_equal(table, 0.0)
    largest = float(shown.max()) if shown.count() else 1.0
    smallest = max(float(shown.min()), 1e-4 * largest) if shown.count() else 1.0
    side = len(table) * block
    extent = (-0.5, side - 0.5, side - 0.5, -0.5)
    few = smallest > 0.03 * largest
    norm = Normalize(0.0, largest) if few else LogNorm(smallest, largest, clip=True)
    image = ax.imshow(shown, cmap=AMOUNT_COLOURS, norm=norm, extent=extent, interpolation="nearest")
    ax.set_xlim(-0.5, S - 0.5)
    ax.set_ylim(S - 0.5, -0.5)
    name_states(mdp, ax, "x")
    name_states(mdp, ax, "y")
    ax.set_xlabel("next state $s'$")
    label = "probability $P_\\pi(s'|s)$" if block == 1 else f"probability to a block of {block} states"
    colour_bar(ax, image, label)
    return ax


def _by_blocks(P_pi: Any, block: int) -> FloatArray:
    """Return the probability of going from a state of one block to another block, on average."""
    count = -(-P_pi.shape[0] // block)
    rows, columns = (part // block for part in (P_pi.row, P_pi.col))
    table = np.bincount(rows.astype(np.int64) * count + columns, weights=P_pi.data, minlength=count * count)
    sizes = np.minimum(block, P_pi.shape[0] - block * np.arange(count))
    means: FloatArray = table.reshape(count, count) / sizes[:, None]
    return means
