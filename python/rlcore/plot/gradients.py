"""How estimates of the policy gradient converge to the exact one, or miss it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from rlcore.errors import ArgumentError
from rlcore.gradient_estimation import GradientEstimate
from rlcore.plot.canvas import INK, axes_for, bare, shades
from rlcore.results import FloatArray

if TYPE_CHECKING:
    from matplotlib.axes import Axes

FIRST = 8  # episodes from which on an estimate is drawn: fewer are hardly one
BAND = 2.0  # standard errors on either side
LEAST_SHARE = 0.05  # of the exact component: how much is seen around it where nothing scatters


def gradient_estimates(
    estimates: GradientEstimate | Mapping[str, GradientEstimate],
    component: int | None = None,
    ax: Axes | None = None,
) -> Axes:
    """Draw a component of estimates of the gradient against the number of episodes, and the exact one.

    Around each line is a band of two standard errors on either side. An estimate without bias has the exact component
    in its band nearly everywhere, and comes closer as the band narrows; one with bias converges elsewhere.

    Parameters
    ----------
    estimates
        From `rlcore.estimate_gradient`; or several by name, of the same gradient.
    component
        Its place in the flat gradient, among the sixteen largest; None for the largest.
    ax
        The Matplotlib axes to draw into; None for those of a new figure.

    Returns
    -------
    Axes
        The axes, with a line for each estimate and a black one for the exact component.

    Raises
    ------
    ArgumentError
        If there are no estimates, if they are of different gradients, or the component is not followed.
    MissingPackageError
        If Matplotlib is not installed.

    Notes
    -----
    Theory 4.1 and 4.5. What is drawn is ``.history``: the mean of the first n episodes for n = 8, 12, 16, 24, ...

    Examples
    --------
    >>> import rlcore as rl
    >>> from rlcore import plot
    >>> corridor = rl.gallery.short_corridor()
    >>> family = rl.LinearSoftmax([[[0.0], [1.0]]] * corridor.num_states, [0.0])
    >>> episodes = rl.simulate(corridor, [[0.5, 0.5]] * 3, episodes=1000, steps=1000)
    >>> ax = plot.gradient_estimates(rl.estimate_gradient(corridor, family, rl.Episodic(), episodes))
    >>> [line.get_label() for line in ax.lines]
    ['estimate', 'exact']
    """
    named = _as_estimates(estimates)
    chosen, truth = _chosen(named, component)
    ax = axes_for(ax, (5.6, 3.4))
    low, high = truth, truth
    for (name, estimate), colour in zip(named.items(), shades(len(named)), strict=True):
        episodes, mean, margin = _followed(estimate, chosen)
        ax.fill_between(episodes, mean - margin, mean + margin, color=colour, alpha=0.18, linewidth=0.0)
        ax.plot(episodes, mean, color=colour, linewidth=1.4, label=name)
        low, high = min(low, np.nanmin(mean - margin)), max(high, np.nanmax(mean + margin))
    ax.axhline(truth, color=INK, linewidth=1.0, label="exact")
    room = max(0.04 * (high - low), LEAST_SHARE * abs(truth))
    if room > 0.0:
        ax.set_ylim(low - room, high + room)
    ax.set_xscale("log")
    ax.set_xlabel("episodes")
    ax.set_ylabel(f"component {chosen} of the gradient")
    ax.grid(visible=True, color="#e4e4e4", linewidth=0.6)
    ax.legend(frameon=False)
    bare(ax)
    return ax


def _followed(estimate: GradientEstimate, component: int) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Return numbers of episodes, the estimates from these, and half the widths of their bands."""
    history = estimate.history
    column = int(np.flatnonzero(history.components == component)[0])
    drawn = history.episodes >= min(FIRST, estimate.episodes)
    error = np.nan_to_num(history.standard_error[drawn, column])  # a single episode has none
    return history.episodes[drawn].astype(np.float64), history.mean[drawn, column], BAND * error


def _chosen(named: dict[str, GradientEstimate], component: int | None) -> tuple[int, float]:
    """Return the component that is to be drawn, and what it is in the exact gradient."""
    first = next(iter(named.values()))
    for name, other in named.items():
        if not np.array_equal(other.true_gradient, first.true_gradient):
            raise ArgumentError(f"estimates: expected estimates of the same gradient, got another one for {name!r}")
    followed = first.history.components.tolist()
    chosen = followed[0] if component is None else component
    if chosen not in followed:
        places = ", ".join(map(str, sorted(followed)))
        raise ArgumentError(f"component: expected one that is followed, {places}, got {component!r}")
    return int(chosen), float(first.true_gradient.ravel()[chosen])


def _as_estimates(estimates: GradientEstimate | Mapping[str, GradientEstimate]) -> dict[str, GradientEstimate]:
    named = dict(estimates) if isinstance(estimates, Mapping) else {"estimate": estimates}
    if not named:
        raise ArgumentError("estimates: expected at least one rlcore.GradientEstimate, got none")
    for estimate in named.values():
        if not isinstance(estimate, GradientEstimate):
            raise ArgumentError(f"estimates: expected rlcore.GradientEstimate, got {type(estimate).__name__}")
    return {str(name): estimate for name, estimate in named.items()}
