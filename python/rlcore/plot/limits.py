"""A policy in several settings: how discounted distributions and objectives move as gamma -> 1."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from rlcore.errors import ArgumentError
from rlcore.mdp import MDP, as_mdp
from rlcore.plot.canvas import INK, MOST_BARS, axes_for, bare, name_states, shades
from rlcore.settings import Discounted, Episodic
from rlcore.settings_comparison import InSetting, SettingsComparison, name_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def settings(mdp: MDP, comparison: SettingsComparison, ax: Axes | None = None) -> Axes:
    """Draw where a policy spends its steps in each setting: d_gamma / sum d_gamma moves to the d without discount.

    Parameters
    ----------
    mdp
        The model.
    comparison
        What `rlcore.compare_settings` found for one policy.
    ax
        The Matplotlib axes to draw into; None for those of a new figure.

    Returns
    -------
    Axes
        The axes, with a line over the states for each discount factor, darker to brighter as it rises, and a black
        one for `Episodic` or `Average`. The legend has the total variation distances from that.

    Raises
    ------
    ArgumentError
        If `comparison` is not that of one policy of this model.
    MissingPackageError
        If Matplotlib is not installed.

    Notes
    -----
    Theory 3.1-3.3.

    Examples
    --------
    >>> import rlcore as rl
    >>> from rlcore import plot
    >>> mdp = rl.gallery.forest(8)
    >>> ax = plot.settings(mdp, rl.compare_settings(mdp, rl.uniform_policy(mdp)))
    >>> [line.get_label() for line in ax.lines]
    ['gamma = 0.9, 0.083 away', 'gamma = 0.99, 0.0086 away', 'gamma = 0.999, 0.00087 away', 'average']
    """
    mdp = as_mdp(mdp)
    rows = [row for row in _rows(comparison) if row.share is not None]
    if not rows or any(row.share is None or row.share.shape != (mdp.num_states,) for row in rows):
        raise ArgumentError(f"comparison: expected that of a policy of this model, with {mdp.num_states} states")
    ax = axes_for(ax, (6.4, 3.6))
    discounted = [row for row in rows if isinstance(row.setting, Discounted)]
    few = mdp.num_states <= MOST_BARS
    for row, colour in zip(discounted, shades(len(discounted)), strict=True):
        assert row.share is not None
        away = "" if row.distance is None else f", {row.distance:.2g} away"
        ax.plot(row.share, color=colour, marker="o" if few else "", markersize=3.5, linewidth=1.2,
                label=f"gamma = {row.setting.gamma!r}{away}")  # type: ignore[union-attr]  # fmt: skip
    limit = comparison.limit
    if limit is not None and limit.share is not None:
        ax.plot(limit.share, color=INK, marker="D" if few else "", markersize=3.5, linewidth=1.2, linestyle="--",
                label=name_of(limit.setting))  # fmt: skip
    ax.set_ylim(bottom=0.0)
    ax.set_ylabel("share of all steps")
    name_states(mdp, ax)
    ax.legend(frameon=False)
    bare(ax)
    return ax


def objectives(comparison: SettingsComparison, ax: Axes | None = None) -> Axes:
    """Draw start value and on-policy objective against the discount factor, with what they tend to.

    Where the process never ends, both are multiplied by 1 - gamma and tend to the gain. Where it surely ends, the
    start value tends to that of an episode, and J, divided by sum d_gamma, to the J of an episode.

    Parameters
    ----------
    comparison
        What `rlcore.compare_settings` found for one policy.
    ax
        The Matplotlib axes to draw into; None for those of a new figure.

    Returns
    -------
    Axes
        The axes, with two lines, and dashed ones at their limits.

    Raises
    ------
    ArgumentError
        If `comparison` is not that of one policy, or has no discount factors.
    MissingPackageError
        If Matplotlib is not installed.

    Notes
    -----
    Theory 3.1-3.4.

    Examples
    --------
    >>> import rlcore as rl
    >>> from rlcore import plot
    >>> mdp = rl.gallery.forest()
    >>> ax = plot.objectives(rl.compare_settings(mdp, rl.uniform_policy(mdp), [0.5, 0.9, 0.99]))
    >>> ax.get_ylabel()
    '(1 - gamma) times the objective'
    """
    rows = [row for row in _rows(comparison) if isinstance(row.setting, Discounted)]
    if not rows:
        raise ArgumentError("comparison: expected at least one discount factor, got none")
    ax = axes_for(ax, (5.2, 3.6))
    limit = comparison.limit
    to_the_end = limit is not None and isinstance(limit.setting, Episodic)
    short = np.array([1.0 - row.setting.gamma for row in rows])  # type: ignore[union-attr]
    start = np.array([row.start_value for row in rows])
    objective = np.array([row.objective for row in rows])
    if to_the_end:
        objective = objective / [row.state.sum() for row in rows]  # type: ignore[union-attr]
    else:
        start, objective = short * start, short * objective
    first, second = shades(2)
    ax.plot(1.0 / short, start, color=first, marker="o", markersize=4.0, linewidth=1.4, label="start value")
    ax.plot(
        1.0 / short,
        objective,
        color=second,
        marker="s",
        markersize=4.0,
        linewidth=1.4,
        label="J / sum d" if to_the_end else "J",
    )
    if limit is not None and to_the_end:
        ax.axhline(limit.start_value, color=first, linestyle="--", linewidth=1.0, label="start value, episodic")
        ax.axhline(limit.objective, color=second, linestyle="--", linewidth=1.0, label="J, episodic")
    elif limit is not None:
        ax.axhline(limit.objective, color=INK, linestyle="--", linewidth=1.0, label="gain")
    ax.set_xscale("log")
    ax.set_xlabel("1 / (1 - gamma)")
    ax.set_ylabel("objective" if to_the_end else "(1 - gamma) times the objective")
    ax.grid(visible=True, color="#e4e4e4", linewidth=0.6)
    ax.legend(frameon=False)
    bare(ax)
    return ax


def _rows(comparison: SettingsComparison) -> tuple[InSetting, ...]:
    if not isinstance(comparison, SettingsComparison):
        raise ArgumentError(
            f"comparison: expected what rlcore.compare_settings returns, got {type(comparison).__name__}"
        )
    if comparison.num_policies is not None:
        raise ArgumentError("comparison: expected that of one policy, got that of a batch; compare them one by one")
    return comparison.rows
