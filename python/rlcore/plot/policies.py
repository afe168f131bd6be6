"""Policies: arrows in a grid world, else the probabilities of the actions."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from rlcore.grids import Grid, ended_states, grid_of
from rlcore.mdp import MDP, as_mdp
from rlcore.over_actions import single_best_pairs
from rlcore.plot import cells
from rlcore.plot.canvas import (
    AMOUNT_COLOURS,
    INK,
    MOST_BARS,
    as_policy,
    axes_for,
    bare,
    colour_bar,
    name_states,
    names_of,
    shades,
)
from rlcore.results import FloatArray

if TYPE_CHECKING:
    from matplotlib.axes import Axes

MOST_ACTIONS = 8  # that have a colour of their own
MOST_STEPS = 1000  # states with a bar of their own; blocks of states share one beyond
TIED = 1e-9
UNDECIDED = "#b0b0b0"


def policy(mdp: MDP, policy: ArrayLike, ax: Axes | None = None) -> Axes:
    """Draw a policy: arrows in a grid world, else the probabilities of the actions in each state.

    Parameters
    ----------
    mdp
        The model. It is a grid world if its state labels are pairs (row, column) and actions are named by directions.
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
    The area of an arrow is in proportion to the probability of its action. An arrow across the middle of its cell is
    an action that is certain; an action that is named by no direction is a disc. On grids of more than 40 rows or
    columns every block of cells has one arrow, its mean direction. Without a grid, up to eight actions are stacked
    bars, of blocks of states if there are more than 1000, and more actions are a heat map of states and actions.

    Examples
    --------
    >>> import rlcore as rl
    >>> from rlcore import plot
    >>> forest = rl.gallery.forest()
    >>> ax = plot.policy(forest, rl.uniform_policy(forest))
    >>> [text.get_text() for text in ax.get_legend().get_texts()]
    ['wait', 'cut']
    """
    mdp = as_mdp(mdp)
    probability = as_policy(mdp, policy)
    grid = grid_of(mdp)
    if grid is not None and cells.has_arrows(mdp):
        return _on_grid(mdp, grid, probability, axes_for(ax, cells.grid_size(grid, beside=0.6)))
    ax = axes_for(ax, (6.4, 3.0))
    table = mdp.to_table(probability, fill=0.0)
    if table.shape[1] <= MOST_ACTIONS:
        _stacked(mdp, table, ax)
    else:
        _as_image(mdp, mdp.to_table(probability), ax)
    return ax


def colours_of_choices(mdp: MDP, policy: FloatArray) -> tuple[Any, NDArray[np.int64]]:
    """Return a colour for each state, and its likeliest action, -1 where several are equally likely."""
    choices = _likeliest(mdp, policy)
    palette = np.array([*shades(int(mdp.pair_action.max()) + 1), _rgba(UNDECIDED)])
    return palette[choices], choices


def explain_choices(mdp: MDP, choices: NDArray[np.int64], ax: Axes) -> None:
    """Say which colour stands for which likeliest action."""
    from matplotlib.cm import ScalarMappable
    from matplotlib.colors import ListedColormap, Normalize
    from matplotlib.patches import Patch

    palette = shades(int(mdp.pair_action.max()) + 1)
    if len(palette) > MOST_ACTIONS:
        scale = ScalarMappable(Normalize(0, len(palette) - 1), ListedColormap(palette))
        colour_bar(ax, scale, "likeliest action $a$", width=0.03)
        return
    taken = [action for action in range(len(palette)) if (choices == action).any()]
    names = names_of(taken, mdp.action_labels)
    patches = [Patch(color=palette[action], label=name) for action, name in zip(taken, names, strict=True)]
    if (choices < 0).any():
        patches.append(Patch(color=UNDECIDED, label="several"))
    _legend(ax, patches, "likeliest action")


def _on_grid(mdp: MDP, grid: Grid, policy: FloatArray, ax: Axes) -> Axes:
    cells.frame(ax, grid)
    cells.mark_blank(ax, grid, ended_states(mdp))
    for lines in ax.collections[:2] if max(grid.rows, grid.columns) <= cells.MOST_ARROWED else ():
        lines.set_color("#c8c8c8")
    ax.spines[:].set_visible(True)
    ax.spines[:].set_color("#c8c8c8")
    cells.draw_arrows(ax, mdp, grid, policy, INK)
    return ax


def _stacked(mdp: MDP, table: FloatArray, ax: Axes) -> None:
    edges = np.arange(0, mdp.num_states, -(-mdp.num_states // MOST_STEPS))
    heights = np.add.reduceat(table, edges) / np.diff(edges, append=mdp.num_states)[:, None]
    tops = np.cumsum(heights, axis=1)
    names = names_of(range(table.shape[1]), mdp.action_labels)
    for action, (colour, name) in enumerate(zip(shades(table.shape[1]), names, strict=True)):
        top, bottom = tops[:, action], tops[:, action] - heights[:, action]
        if mdp.num_states <= MOST_BARS:
            ax.bar(edges, heights[:, action], width=0.8, bottom=bottom, color=colour, label=name)
        else:
            steps = np.append(edges, mdp.num_states) - 0.5
            ax.stairs(top, steps, baseline=bottom, fill=True, color=colour, label=name)
    ax.set_xlim(-0.6, mdp.num_states - 0.4)
    ax.set_ylim(0.0, 1.0)
    ax.set_ylabel("probability $\\pi(a|s)$")
    name_states(mdp, ax)
    bare(ax)
    _legend(ax, None, "action")


def _as_image(mdp: MDP, table: FloatArray, ax: Axes) -> None:
    from matplotlib.ticker import MaxNLocator

    extent = (-0.5, mdp.num_states - 0.5, -0.5, table.shape[1] - 0.5)
    shown = np.ma.masked_invalid(table.T)
    image = ax.imshow(shown, aspect="auto", origin="lower", extent=extent, cmap=AMOUNT_COLOURS, vmin=0.0)
    image.set_clim(0.0, float(shown.max()))
    ax.set_facecolor("white")
    name_states(mdp, ax)
    ax.set_ylabel("action $a$")
    ax.yaxis.set_major_locator(MaxNLocator(integer=True))
    colour_bar(ax, image, "probability $\\pi(a|s)$", width=0.03)


def _legend(ax: Axes, patches: Any, title: str) -> None:
    place: dict[str, Any] = {"loc": "upper left", "bbox_to_anchor": (1.0, 1.0), "borderaxespad": 0.0}
    ax.legend(handles=patches, title=title, frameon=False, alignment="left", **place)


def _likeliest(mdp: MDP, policy: FloatArray) -> NDArray[np.int64]:
    pairs = single_best_pairs(mdp, policy, TIED)
    return np.where(pairs >= 0, mdp.pair_action[pairs], -1)


def _rgba(colour: str) -> Any:
    from matplotlib.colors import to_rgba

    return to_rgba(colour)
