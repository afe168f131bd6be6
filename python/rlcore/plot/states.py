"""Numbers of states: values, occupancies, and distributions that move."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from rlcore.arguments import as_floats
from rlcore.errors import ArgumentError
from rlcore.grids import Grid, ended_states, grid_of
from rlcore.mdp import MDP, as_mdp
from rlcore.plot import cells
from rlcore.plot.canvas import (
    AMOUNT_COLOURS,
    INK,
    MOST_BARS,
    VALUE_COLOURS,
    as_amounts,
    as_policy,
    as_state_numbers,
    axes_for,
    bare,
    colour_bar,
    ink_on,
    name_states,
    shades,
)
from rlcore.plot.policies import colours_of_choices, explain_choices
from rlcore.results import Evaluation, FloatArray, Occupancy

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.colors import Normalize

MANY_DECADES = 100.0  # how far the largest may be above the median before a picture is logarithmic by itself
SPAN = 1e6  # that a logarithmic picture shows
MOST_PANELS = 8
PER_ROW = 4
WIDE = (6.4, 3.0)


def value(mdp: MDP, value: ArrayLike | Evaluation, ax: Axes | None = None, policy: ArrayLike | None = None) -> Axes:
    """Draw the value of every state: a heat map of a grid world, else bars, or points where states are many.

    Parameters
    ----------
    mdp
        The model. It is a grid world if its state labels are pairs (row, column).
    value
        V, shape (S,), or the `Evaluation` that holds it.
    ax
        The Matplotlib axes to draw into; None for those of a new figure.
    policy
        Of shape ``mdp.pair_shape``. It is drawn as arrows in a grid world whose actions are named by directions;
        elsewhere the states are coloured by their likeliest action.

    Returns
    -------
    Axes
        The axes. In a grid world ``ax.images[0]`` holds the values, row by row, masked where all is over.

    Raises
    ------
    ArgumentError
        If `value` has the wrong shape or is not finite.
    PolicyError
        If `policy` has the wrong shape or is not a distribution in every state.
    MissingPackageError
        If Matplotlib is not installed.

    Notes
    -----
    Grids of up to 12 by 12 cells have their numbers written in, if these are legible. States where all is over are
    hatched and have no colour, since their 0 is no news; cells without a state are grey.

    Examples
    --------
    >>> import rlcore as rl
    >>> from rlcore import plot
    >>> grid = rl.gallery.gridworld()
    >>> ax = plot.value(grid, rl.evaluate(grid, rl.uniform_policy(grid), 0.9))
    >>> ax.images[0].get_array().shape
    (5, 5)
    """
    mdp = as_mdp(mdp)
    V = as_state_numbers(mdp, value.value if isinstance(value, Evaluation) else value, "value")
    taken = None if policy is None else as_policy(mdp, policy)
    grid = grid_of(mdp)
    if grid is not None:
        return _values_on_grid(mdp, grid, V, taken, axes_for(ax, cells.grid_size(grid)))
    ax = axes_for(ax, WIDE)
    if taken is None:
        _draw_states(mdp, V, shades(1)[0], ax)
    else:
        colours, choices = colours_of_choices(mdp, taken)
        _draw_states(mdp, V, colours, ax)
        explain_choices(mdp, choices, ax)
    ax.set_ylabel("value $V(s)$")
    return ax


def occupancy(mdp: MDP, occupancy: ArrayLike | Occupancy, ax: Axes | None = None, *, log: bool | None = None) -> Axes:
    """Draw how often every state is visited: a heat map of a grid world, else bars, or points where states are many.

    Parameters
    ----------
    mdp
        The model. It is a grid world if its state labels are pairs (row, column).
    occupancy
        An `Occupancy`, of which ``state`` is drawn, or d or rho as an array of shape (S,).
    ax
        The Matplotlib axes to draw into; None for those of a new figure.
    log
        Whether the scale is logarithmic; it then ends six powers of ten below the largest number. None: if the
        largest number is more than 100 times the median of the positive ones.

    Returns
    -------
    Axes
        The axes. In a grid world ``ax.images[0]`` holds the numbers, row by row; zeros are masked on a logarithmic
        scale.

    Raises
    ------
    ArgumentError
        If `occupancy` has the wrong shape, or holds a negative number or one that is not finite.
    MissingPackageError
        If Matplotlib is not installed.

    Examples
    --------
    >>> import rlcore as rl
    >>> from rlcore import plot
    >>> grid = rl.gallery.slippery_grid(4)
    >>> ax = plot.occupancy(grid, rl.occupancy(grid, rl.uniform_policy(grid), 0.9))
    >>> ax.get_xlabel(), ax.get_ylabel()
    ('column', 'row')
    """
    mdp = as_mdp(mdp)
    d = as_amounts(mdp, occupancy.state if isinstance(occupancy, Occupancy) else occupancy, "occupancy")
    # d sums to at most 1 and rho to at least 1, so that their sum tells them apart.
    label = "occupancy $d(s)$" if d.sum() <= 1.0 + 1e-6 else "discounted visits $\\rho(s)$"
    logarithmic = _is_wide(d) if log is None else bool(log)
    grid = grid_of(mdp)
    if grid is not None:
        return _amounts_on_grid(mdp, grid, d, label, logarithmic, axes_for(ax, cells.grid_size(grid)))
    ax = axes_for(ax, WIDE)
    if logarithmic and d.max() > 0.0:
        ax.set_yscale("log")
        ax.set_ylim(_floor(d) / 1.5, 2.0 * float(d.max()))
    _draw_states(mdp, d, shades(1)[0], ax)
    ax.set_ylabel(label)
    return ax


def state_distribution(
    mdp: MDP,
    rows: ArrayLike,
    ax: Axes | None = None,
    *,
    times: Sequence[int] | None = None,
    log: bool | None = None,
) -> Axes:
    """Draw where the process is as time goes by: a panel for each of some times in a grid world, else time by state.

    Parameters
    ----------
    mdp
        The model. It is a grid world if its state labels are pairs (row, column).
    rows
        What `rlcore.state_distribution` returns, shape (steps + 1, S).
    ax
        The Matplotlib axes to draw into; None for those of a new figure.
    times
        The times of the panels. None: all, or eight that grow in proportion. Not used without a grid.
    log
        Whether the scale is logarithmic, over six powers of ten at most. None: if the largest number is more than 100
        times the median of the positive ones.

    Returns
    -------
    Axes
        The axes. ``ax.images`` holds the probabilities: one image for each panel, or one of shape (S, steps + 1).

    Raises
    ------
    ArgumentError
        If `rows` has the wrong shape or holds no probabilities, or a time is not one of its rows.
    MissingPackageError
        If Matplotlib is not installed.

    Examples
    --------
    >>> import rlcore as rl
    >>> from rlcore import plot
    >>> grid = rl.gallery.slippery_grid(4)
    >>> rows = rl.state_distribution(grid, rl.uniform_policy(grid), 20)
    >>> len(plot.state_distribution(grid, rows, times=[0, 5, 20]).images)
    3
    """
    mdp = as_mdp(mdp)
    p = _as_rows(mdp, rows)
    grid = grid_of(mdp)
    logarithmic = _is_wide(p) if log is None else bool(log)
    if grid is not None:
        shown = _as_times(times, len(p))
        return _panels(grid, p[shown], shown, logarithmic, ax)
    ax = axes_for(ax, (6.4, 3.4))
    extent = (-0.5, len(p) - 0.5, -0.5, mdp.num_states - 0.5)
    norm, extend = _amount_norm(p, logarithmic)
    table = np.ma.masked_equal(p.T, 0.0) if logarithmic else p.T
    image = ax.imshow(table, aspect="auto", origin="lower", extent=extent, cmap=AMOUNT_COLOURS, norm=norm)
    _whole_ticks(ax)
    name_states(mdp, ax, along="y")
    ax.set_xlabel("time $t$")
    colour_bar(ax, image, "$\\Pr(s_t = s)$", width=0.03, extend=extend)
    return ax


# ---- grids ----


def _values_on_grid(mdp: MDP, grid: Grid, V: FloatArray, policy: FloatArray | None, ax: Axes) -> Axes:
    from matplotlib.colors import Normalize

    over = ended_states(mdp)
    seen = V[~over] if not over.all() else V
    norm = Normalize(float(seen.min()), float(seen.max()))
    image = cells.heat_map(ax, grid, V, over, norm, VALUE_COLOURS)
    arrows = policy is not None and cells.has_arrows(mdp)
    label = "value $V(s)$"
    if cells.has_numbers(grid):
        texts, power = cells.decimals(seen)
        label += f"; in cells, $10^{{{power}}}$" if power else ""
        cells.write_numbers(ax, grid, image, _texts_of(~over, texts), below=0.27 if arrows else 0.0)
    if arrows and policy is not None:
        ink = ink_on(image.cmap(norm(V)))
        shape = {"lift": 0.12, "size": 0.5} if cells.has_numbers(grid) else {}
        cells.draw_arrows(ax, mdp, grid, policy, ink, **shape)
    cells.cell_bar(ax, grid, image, label)
    return ax


def _amounts_on_grid(mdp: MDP, grid: Grid, d: FloatArray, label: str, log: bool, ax: Axes) -> Axes:
    over = ended_states(mdp) & (d <= 1e-12 * d.max())
    norm, extend = _amount_norm(d, log)
    image = cells.heat_map(ax, grid, d, over, norm, AMOUNT_COLOURS)
    if log:
        image.set_data(np.ma.masked_less_equal(image.get_array(), 0.0))  # type: ignore[arg-type]
    if cells.has_numbers(grid):
        texts = ["" if hidden else cells.compact(x) for x, hidden in zip(d.tolist(), over.tolist(), strict=True)]
        cells.write_numbers(ax, grid, image, texts, below=0.0)
    cells.cell_bar(ax, grid, image, label, extend)
    return ax


def _texts_of(shown: NDArray[np.bool_], texts: list[str]) -> list[str]:
    """Give the states that are shown their texts, and the others none."""
    if not shown.any():
        return [""] * shown.size
    following = iter(texts)
    return [next(following) if one else "" for one in shown.tolist()]


def _panels(grid: Grid, p: FloatArray, times: list[int], log: bool, ax: Axes | None) -> Axes:
    from matplotlib.patches import Rectangle

    across = min(PER_ROW, len(times))
    down = -(-len(times) // across)
    cell = _cell_of_panels(grid, across, down, ax)
    gap, head = max(0.14 / cell, 0.55 / cell - grid.columns), 0.26 / cell
    ax = axes_for(ax, (across * (grid.columns + gap) * cell + 1.0, down * (grid.rows + head) * cell + 0.15))
    norm, extend = _amount_norm(p, log)
    for panel, (t, table) in enumerate(zip(times, grid.spread(p), strict=True)):
        x, y = (panel % across) * (grid.columns + gap), (panel // across) * (grid.rows + head)
        extent = (x, x + grid.columns, y + grid.rows, y)
        hidden = ~(table > 0.0) if log else np.isnan(table)
        image = ax.imshow(np.ma.masked_where(hidden, table), cmap=AMOUNT_COLOURS, norm=norm, extent=extent)
        cells.mark_walls(ax, grid, (x, y))
        ax.add_patch(Rectangle((x, y), grid.columns, grid.rows, fill=False, edgecolor=INK, linewidth=0.6))
        ax.text(x + grid.columns / 2, y - 0.12 * head, f"$t = {t}$", ha="center", va="bottom", size="small")
    ax.set_xlim(-0.02 * grid.columns, across * (grid.columns + gap) - gap + 0.02 * grid.columns)
    ax.set_ylim(down * (grid.rows + head) - head + 0.02 * grid.rows, -head)
    ax.set_axis_off()
    colour_bar(ax, image, "$\\Pr(s_t = s)$", width=0.03, extend=extend)
    return ax


def _cell_of_panels(grid: Grid, across: int, down: int, ax: Axes | None) -> float:
    """Return the size of a cell in inches."""
    cell = 1.45 / max(grid.rows, grid.columns)
    if ax is None:
        return cell
    width, height = (length / ax.figure.dpi for length in axes_for(ax, (1.0, 1.0)).get_window_extent().size)
    room = min((width / across - 0.14) / grid.columns, (height / down - 0.26) / grid.rows)
    return max(float(room), 0.1 * cell)


# ---- without a grid ----


def _draw_states(mdp: MDP, x: FloatArray, colours: Any, ax: Axes) -> None:
    """Draw a bar for each state, or a point where there are many."""
    states = np.arange(mdp.num_states)
    if mdp.num_states <= MOST_BARS:
        ax.bar(states, x, width=0.8, color=colours)
        if x.min() < 0.0:
            ax.axhline(0.0, color=INK, linewidth=0.8)
    else:
        area = min(12.0, max(1.0, 6000.0 / mdp.num_states))
        ax.scatter(states, x, area, c=[colours] if isinstance(colours, tuple) else colours, linewidths=0.0)
        ax.collections[-1].set_rasterized(mdp.num_states > 5000)
    margin = 0.5 + 0.01 * mdp.num_states
    ax.set_xlim(-margin, mdp.num_states - 1 + margin)
    name_states(mdp, ax)
    bare(ax)


def _whole_ticks(ax: Axes) -> None:
    from matplotlib.ticker import MaxNLocator

    ax.xaxis.set_major_locator(MaxNLocator(integer=True, steps=[1, 2, 5, 10]))


# ---- scales ----


def _is_wide(x: FloatArray) -> bool:
    positive = x[x > 0.0]
    return bool(positive.size and positive.max() > MANY_DECADES * np.median(positive))


def _floor(x: FloatArray) -> float:
    """Return where a logarithmic scale begins."""
    positive = x[x > 0.0]
    least = float(positive.min())
    largest = float(positive.max())
    return max(least, largest / SPAN)


def _amount_norm(x: FloatArray, log: bool) -> tuple[Normalize, str]:
    """Return the scale of amounts, and which end of it is open."""
    from matplotlib.colors import LogNorm, Normalize

    largest = float(x.max())
    if not log or largest == 0.0:
        return Normalize(0.0, largest or 1.0), "neither"
    floor = _floor(x)
    if floor == largest:
        floor = largest / 10.0
    return LogNorm(floor, largest, clip=True), "min" if bool(((x > 0.0) & (x < floor)).any()) else "neither"


# ---- arguments ----


def _as_rows(mdp: MDP, rows: ArrayLike) -> FloatArray:
    found = np.asarray(as_floats(rows, "rows", ArgumentError))
    if found.ndim != 2 or found.shape[1] != mdp.num_states or found.shape[0] == 0:
        raise ArgumentError(
            f"rows: expected shape (steps + 1, {mdp.num_states}), a distribution for each time, got {found.shape}"
        )
    wrong = ~((found >= 0.0) & (found <= 1.0 + 1e-6))
    if wrong.any():
        t, state = np.argwhere(wrong)[0].tolist()
        fault = f"expected a probability at time {t}, got {found[t, state]}"
        raise mdp.located(ArgumentError.placed("rows", fault, state=state))
    return found


def _as_times(times: Sequence[int] | None, count: int) -> list[int]:
    if times is None:
        if count <= MOST_PANELS:
            return list(range(count))
        return [0, *sorted({math.floor(t + 0.5) for t in np.geomspace(1, count - 1, MOST_PANELS - 1)})]
    found = np.atleast_1d(np.asarray(times))
    if found.ndim != 1 or found.size == 0 or found.dtype.kind not in "iu":
        raise ArgumentError(f"times: expected whole numbers, got {times!r}")
    outside = found[(found < 0) | (found >= count)]
    if outside.size:
        raise ArgumentError(f"times: expected numbers in 0 .. {count - 1}, got {outside[0]}")
    return [int(t) for t in found]
