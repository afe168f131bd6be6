"""What bounds guarantee of an improvement: along the way to a candidate, and next to each other."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike

from rlcore.arguments import as_single
from rlcore.bounds import bounds_in
from rlcore.errors import ArgumentError, PolicyError
from rlcore.improvement import check_improvement
from rlcore.improvement_report import ImprovementReport
from rlcore.mdp import MDP, as_mdp
from rlcore.plot.canvas import INK, axes_for, bare, shades
from rlcore.results import FloatArray
from rlcore.settings import Average, Discounted, Episodic, Setting, as_setting

if TYPE_CHECKING:
    from matplotlib.axes import Axes

USUAL: dict[type, tuple[str, ...]] = {
    Discounted: ("theorem_2_1", "cpo_tv", "propagated_action", "one_step"),
    Episodic: ("cpo_tv", "propagated_action", "one_step"),
    Average: ("zhang_ross", "ergodic"),
}
STEPS = 41
SURROGATE_COLOUR = "#c2410c"
LEAST_SHARE = 1.0  # of the axis: how far below the exact return lower bounds are followed, in heights of what is exact


def improvement(
    mdp: MDP,
    policy: ArrayLike,
    candidate: ArrayLike,
    setting: Setting | float,
    bounds: str | Iterable[str] | None = None,
    steps: int | ArrayLike = STEPS,
    ax: Axes | None = None,
    *,
    tol: float = 1e-9,
    num_threads: int | None = None,
) -> Axes:
    """Draw the return along the line from a policy to a candidate, and what lower bounds guarantee of it.

    For steps a from 0 to 1 the policy is the mixture (1 - a) pi + a pi'. The return is the exact one; the surrogate L
    touches it at a = 0, and each lower bound does too; where a lower bound is above the return of the policy itself,
    the step is guaranteed to be an improvement.

    Parameters
    ----------
    mdp
        The model.
    policy, candidate
        pi and pi', of shape ``mdp.pair_shape``.
    setting
        ``Discounted(gamma)``, or just gamma; ``Episodic()``; or ``Average()``.
    bounds
        The names of the bounds to be drawn, in a list or separated by commas; None for a few usual ones.
    steps
        How many steps from 0 to 1, or the steps themselves.
    ax
        The Matplotlib axes to draw into; None for those of a new figure.
    tol
        The relative error asked for.
    num_threads
        Threads to use; None for one per core.

    Returns
    -------
    Axes
        The axes, with a black line for the return, an orange one for L, and one for each bound, the sharpest bright.

    Raises
    ------
    ArgumentError
        If a bound is unknown, or the steps are not numbers from 0 to 1.
    PolicyError
        If a policy has the wrong shape or is not a distribution in every state.
    MissingPackageError
        If Matplotlib is not installed.

    Notes
    -----
    Theory 5.2, 5.8 and 6; Schulman et al. 2015, figure of the surrogate.

    Examples
    --------
    >>> import rlcore as rl
    >>> from rlcore import plot
    >>> mdp = rl.gallery.forest()
    >>> ax = plot.improvement(mdp, rl.uniform_policy(mdp), [[1, 0]] * 3, 0.9, bounds="cpo_tv,one_step", steps=5)
    >>> [line.get_label() for line in ax.lines]
    ['cpo_tv', 'one_step', 'surrogate L', 'return (exact)', 'return of the policy']
    """
    mdp = as_mdp(mdp)
    found_setting = as_setting(setting, "plot.improvement", Discounted, Episodic, Average)
    assert isinstance(found_setting, Discounted | Episodic | Average)
    old = as_single(policy, mdp.pair_shape, "policy", PolicyError).reshape(mdp.pair_shape)
    new = as_single(candidate, mdp.pair_shape, "candidate", PolicyError).reshape(mdp.pair_shape)
    share = _as_shares(steps)
    names = USUAL[type(found_setting)] if bounds is None else bounds
    mixed = np.multiply.outer(1.0 - share, old) + np.multiply.outer(share, new)
    report = check_improvement(mdp, old, mixed, found_setting, bounds=names, tol=tol, num_threads=num_threads)
    ax = axes_for(ax, (5.6, 3.8))
    drawn = [name for name in bounds_in(found_setting) if report.bounds[name].gap is not None]
    for name, colour in zip(drawn, shades(len(drawn)), strict=True):
        lower = np.where(np.isfinite(report.bounds[name].lower), report.bounds[name].lower, np.nan)
        ax.plot(share, lower, color=colour, linewidth=1.3, label=name)
    ax.plot(share, report.surrogate, color=SURROGATE_COLOUR, linewidth=1.3, linestyle="--", label="surrogate L")
    ax.plot(share, report.eta_new, color=INK, linewidth=2.0, label="return (exact)")
    ax.axhline(report.eta, color=INK, linewidth=0.8, linestyle=":", label="return of the policy")
    _look_at_the_return(ax, report)
    ax.set_xlim(float(share[0]), float(share[-1]))
    ax.set_xlabel("step $a$ from the policy to the candidate")
    ax.set_ylabel("gain" if isinstance(found_setting, Average) else "return")
    ax.grid(visible=True, color="#e4e4e4", linewidth=0.6)
    ax.legend(frameon=False)
    bare(ax)
    return ax


def bounds(report: ImprovementReport, ax: Axes | None = None) -> Axes:
    """Draw every bound on |eta' - L| next to the exact gap, on a logarithmic scale.

    Parameters
    ----------
    report
        What `rlcore.check_improvement` found for one candidate.
    ax
        The Matplotlib axes to draw into; None for those of a new figure.

    Returns
    -------
    Axes
        The axes, with a bar for each bound that was evaluated and is neither infinite nor 0, the loosest above, and a
        line at the exact gap, if that is known and not 0.

    Raises
    ------
    ArgumentError
        If `report` is not that of one candidate, or no bound can be drawn.
    MissingPackageError
        If Matplotlib is not installed.

    Notes
    -----
    Theory 5.2 and 6.

    Examples
    --------
    >>> import rlcore as rl
    >>> from rlcore import plot
    >>> mdp = rl.gallery.forest()
    >>> report = rl.check_improvement(mdp, rl.uniform_policy(mdp), [[0.9, 0.1]] * 3, 0.9, bounds="cpo_tv,one_step")
    >>> ax = plot.bounds(report)
    >>> [label.get_text() for label in ax.get_yticklabels()]
    ['cpo_tv', 'one_step']
    """
    if not isinstance(report, ImprovementReport):
        raise ArgumentError(f"report: expected what rlcore.check_improvement returns, got {type(report).__name__}")
    if np.ndim(report.alpha) > 0:
        raise ArgumentError("report: expected that of one candidate, got that of a batch")
    size = {name: float(bound.gap) for name, bound in report.bounds.items() if bound.gap is not None}
    size = {name: gap for name, gap in size.items() if np.isfinite(gap) and gap > 0.0}
    if not size:
        raise ArgumentError("report: expected at least one bound that is neither infinite nor 0, got none")
    ax = axes_for(ax, (5.6, 3.8))
    names = sorted(size, key=lambda name: -size[name])
    ax.barh(range(len(names)), [size[name] for name in names], color=shades(len(names)), height=0.7)
    ax.set_yticks(range(len(names)), names)
    ax.set_ylim(len(names) - 0.4, -0.6)
    ax.set_xscale("log")
    ends = list(size.values())
    if report.gap:
        ax.axvline(abs(report.gap), color=INK, linewidth=1.4, linestyle="--", label="exact $|\\eta' - L|$")
        ax.legend(frameon=False, loc="lower right")
        ends.append(abs(report.gap))
    ax.set_xlim(min(ends) / 3.0, max(ends) * 1.5)
    ax.set_xlabel("bound on $|\\eta' - L|$")
    ax.grid(visible=True, axis="x", color="#e4e4e4", linewidth=0.6)
    ax.set_axisbelow(True)
    bare(ax)
    return ax


def _look_at_the_return(ax: Axes, report: ImprovementReport) -> None:
    """Show all of the return and of L, and of the bounds what is not far below them."""
    shown = np.concatenate([np.ravel(report.eta_new), np.ravel(report.surrogate), [report.eta]])
    low, high = float(shown.min()), float(shown.max())
    height = high - low or max(abs(high), 1.0)
    ax.set_ylim(low - LEAST_SHARE * height, high + 0.1 * height)


def _as_shares(steps: Any) -> FloatArray:
    """Return the steps in rising order."""
    if isinstance(steps, int | np.integer) and not isinstance(steps, bool):
        if steps < 2:
            raise ArgumentError(f"steps: expected at least 2, got {steps}")
        return np.linspace(0.0, 1.0, int(steps))
    try:
        found = np.sort(np.asarray(steps, dtype=np.float64))
    except (TypeError, ValueError):
        raise ArgumentError(f"steps: expected how many, or numbers from 0 to 1, got {steps!r}") from None
    if found.ndim != 1 or found.size < 2 or not (found >= 0.0).all() or not (found <= 1.0).all():
        raise ArgumentError(f"steps: expected at least two numbers from 0 to 1, got {steps!r}")
    return found
