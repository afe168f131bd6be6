"""What all pictures share: the axes, the colours, and the axis of states."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike

from rlcore.arguments import as_floats, as_pair_array
from rlcore.errors import ArgumentError, MissingPackageError, PolicyError
from rlcore.mdp import MDP
from rlcore.over_actions import min_over_actions, sum_over_actions
from rlcore.results import FloatArray

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.cm import ScalarMappable

# Perceptually uniform, and in order when printed in grey. Amounts are dark on white paper, values are not.
VALUE_COLOURS = "viridis"
AMOUNT_COLOURS = "magma_r"

INK = "#222222"
PALE = "#e8e8e8"  # states where all is over
WALL = "#8c8c8c"

MOST_BARS = 60
MOST_NAMED = 30  # states whose labels are written
ROW_TOLERANCE = 1e-6  # for what is only drawn


def axes_for(ax: Axes | None, size: tuple[float, float]) -> Axes:
    """Return the axes to draw into: those given, or those of a new figure of a size in inches."""
    try:
        import matplotlib.axes
    except ImportError:
        raise MissingPackageError(
            "rlcore.plot draws with Matplotlib, which is not installed; pip install 'rlcore[plot]'"
        ) from None
    if ax is None:
        from matplotlib import pyplot

        # Constrained layout that knows of cells which must stay square.
        return pyplot.subplots(figsize=size, layout="compressed")[1]
    if not isinstance(ax, matplotlib.axes.Axes):
        hint = "; pass one of them" if isinstance(ax, np.ndarray | list | tuple) else ""
        raise ArgumentError(f"ax: expected matplotlib Axes or None, got {type(ax).__name__}{hint}")
    return ax


def shades(count: int) -> list[Any]:
    """Return colours that differ in brightness too, from dark to bright."""
    from matplotlib import colormaps

    places = np.linspace(0.08, 0.8, count) if count > 1 else [0.3]
    return [colormaps[VALUE_COLOURS](place) for place in places]


def ink_on(colours: Any) -> list[str]:
    """Return black or white for each colour, whichever is easier to read on it."""
    brightness = np.atleast_2d(colours)[:, :3] @ (0.299, 0.587, 0.114)
    return [INK if bright > 0.5 else "white" for bright in brightness]


def colour_bar(ax: Axes, image: ScalarMappable, label: str, width: float = 0.045, extend: str = "neither") -> None:
    """Draw a colour bar exactly as high as the axes, beside them."""
    place = ax.inset_axes((1.0 + 0.8 * width, 0.0, width, 1.0))
    figure: Any = ax.figure
    figure.colorbar(image, cax=place, label=label, extend=extend).outline.set_visible(False)


def name_states(mdp: MDP, ax: Axes, along: str = "x") -> None:
    """Label an axis whose ticks are states: by their labels where these can be read, else by some numbers."""
    from matplotlib.ticker import FuncFormatter, MaxNLocator

    axis = ax.xaxis if along == "x" else ax.yaxis
    axis.set_label_text("state $s$")
    names = names_of(range(mdp.num_states), mdp.state_labels) if mdp.num_states <= MOST_NAMED else []
    width, height = (length * 72.0 / ax.figure.dpi for length in ax.get_window_extent().size)
    fits = sum(7.0 * len(name) + 6.0 for name in names) <= width if along == "x" else 11.0 * len(names) <= height
    if not names or not (fits or (mdp.state_labels and 11.0 * len(names) <= width)):
        most = 9 if mdp.num_states < 10_000 else 4  # large numbers are long
        axis.set_major_locator(MaxNLocator(most, integer=True, steps=[1, 2, 2.5, 5, 10]))
        axis.set_major_formatter(FuncFormatter(lambda number, _: f"{number:,.0f}" if most == 4 else f"{number:.0f}"))
        return
    axis.set_ticks(range(mdp.num_states), names, rotation=0.0 if fits else 90.0)
    axis.set_tick_params(length=0)


def names_of(numbers: Sequence[int], labels: tuple[Hashable, ...] | None) -> list[str]:
    """Return labels as texts, or the numbers where there are none."""
    if labels is None:
        return [str(number) for number in numbers]
    return [_name(labels[number]) for number in numbers]


def _name(label: Hashable) -> str:
    """Return a label as text; a place (2, 3) as 2,3."""
    return ",".join(map(str, label)) if isinstance(label, tuple) else str(label)


def bare(ax: Axes) -> None:
    """Take away the frame above and to the right."""
    ax.spines[["top", "right"]].set_visible(False)


# ---- arguments ----


def as_state_numbers(mdp: MDP, x: ArrayLike, argument: str) -> FloatArray:
    """Return one finite number for each state."""
    found = as_floats(x, argument, ArgumentError)
    if found.shape != (mdp.num_states,):
        hint = "; a batch is drawn item by item" if found.ndim == 2 and found.shape[1] == mdp.num_states else ""
        raise ArgumentError(
            f"{argument}: expected {mdp.num_states} numbers, one for each state, got shape {found.shape}{hint}"
        )
    if not np.isfinite(found).all():
        state = int(np.isfinite(found).argmin())
        fault = f"expected a finite number, got {found[state]}"
        raise mdp.located(ArgumentError.placed(argument, fault, state=state))
    return found


def as_amounts(mdp: MDP, x: ArrayLike, argument: str) -> FloatArray:
    """Return one number from 0 on for each state."""
    found = as_state_numbers(mdp, x, argument)
    if found.min() < 0.0:
        state = int(found.argmin())
        fault = f"expected a number from 0 on, got {found[state]}"
        raise mdp.located(ArgumentError.placed(argument, fault, state=state))
    return found


def as_policy(mdp: MDP, policy: ArrayLike) -> FloatArray:
    """Return the probability of each pair, shape (num_pairs,)."""
    found = as_pair_array(policy, mdp.pair_shape, "policy", PolicyError)
    total = sum_over_actions(mdp, found)
    least = min_over_actions(mdp, found)
    right = (np.abs(total - 1.0) <= ROW_TOLERANCE) & (least >= 0.0)
    if not right.all():
        state = int(right.argmin())
        own = found[mdp.pair_start[state] : mdp.pair_start[state + 1]]
        fault = f"expected probabilities that sum to 1, got {np.array2string(own, precision=6, threshold=8)}"
        raise mdp.located(PolicyError.placed("policy", fault, state=state))
    return found
