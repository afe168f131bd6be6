"""Gradient ascent with an exact line search, to look at (theory 4.1, 4.3)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from scipy.optimize import brentq

from rlcore.arguments import as_callback, as_tolerance
from rlcore.enclosure import ULP, Enclosure
from rlcore.errors import ArgumentError
from rlcore.families import Direct, Family, Scores, as_family
from rlcore.gradient import policy_gradient
from rlcore.gradient_base import as_kind
from rlcore.improvement import check_improvement
from rlcore.mdp import MDP, as_mdp
from rlcore.natural_gradient import natural_gradient
from rlcore.optimum import as_optimum
from rlcore.optional_packages import data_frame
from rlcore.results import FloatArray, Progress
from rlcore.settings import Average, Discounted, Episodic

Status = Literal["stationary", "exhausted", "unfinished"]
Kind = Discounted | Episodic | Average

# J at its maximum along a line depends on the place to second order: what is left is below the rounding of J.
PLACE = 1e-9

# A step that is 2^-60 times as long changes no double any more.
HALVINGS = 60


@dataclass(frozen=True, slots=True, eq=False)
class AscentHistory:
    """What every policy of an ascent is worth, from the first one on; arrays of the same length.

    Attributes
    ----------
    objective
        J: the start value, or the gain.
    objective_bound
        Proven bounds on its errors.
    gradient_norm
        The Euclidean length of grad J.
    gradient_norm_bound
        Proven bounds on its errors.
    step
        By what the direction was multiplied to come here; 0 for the first policy.
    increase
        By how much J is proven to be larger than before, never negative; 0 for the first policy.
    distance
        The optimum minus J; None where it is not known.
    """

    objective: FloatArray
    objective_bound: FloatArray
    gradient_norm: FloatArray
    gradient_norm_bound: FloatArray
    step: FloatArray
    increase: FloatArray
    distance: FloatArray | None

    def __len__(self) -> int:
        return len(self.objective)


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Ascent:
    """Where a gradient ascent led.

    Attributes
    ----------
    family
        The family at its last parameters.
    policy
        Its policy, of the shape of a policy.
    history
        What each policy on the way is worth.
    status
        "stationary": the gradient is proven to be as small as asked for. "exhausted": no step in the direction is
        proven to increase J. "unfinished": there were no more iterations.
    """

    family: Family
    policy: FloatArray
    history: AscentHistory
    status: Status

    def to_dict(self) -> dict[str, list[float]]:
        """Return the history as a table: a list for each column."""
        names = [name for name in AscentHistory.__slots__ if getattr(self.history, name) is not None]
        return {name: getattr(self.history, name).tolist() for name in names}

    def to_dataframe(self) -> Any:
        """Return the history as a ``pandas.DataFrame``, a row for each policy."""
        return data_frame(self.to_dict())

    def __repr__(self) -> str:
        history = self.history
        return (
            f"Ascent({len(history) - 1} iterations, objective from {history.objective[0]:.8g} to "
            f"{history.objective[-1]:.8g}, gradient norm {history.gradient_norm[-1]:.3g}, status={self.status!r})"
        )


def ascend(
    mdp: MDP,
    family: Family,
    setting: Discounted | Episodic | Average | float,
    iterations: int = 100,
    *,
    direction: str = "gradient",
    longest: float = 10.0,
    optimum: Literal["solve"] | Enclosure | float | None = None,
    tol: float = 1e-6,
    num_threads: int | None = None,
    progress: Callable[[Progress], object] | None = None,
) -> Ascent:
    """Climb along exact gradients, in each direction to where J is highest.

    theta <- theta + t u with u = grad J or F^+ grad J, and t where the derivative along the line, u^T grad J(theta + t
    u), changes its sign. A step is taken only if it is proven to increase J, so that the history never falls.

    Parameters
    ----------
    mdp
        The model, with a start distribution; Average needs none.
    family
        `TabularSoftmax` or `LinearSoftmax` at the parameters to start from.
    setting
        ``Discounted(gamma)``, or just gamma; ``Episodic()``; or ``Average()``, for one recurrent class.
    iterations
        How many steps to take at most.
    direction
        "gradient", or "natural" for the natural gradient.
    longest
        By how much a step may change any parameter. Along many lines J rises for ever, since a softmax is deterministic
        only at infinity; there the search ends here.
    optimum
        The largest J of any policy: a number, an `Enclosure`, or "solve" for finding it. The history then holds the
        distance to it.
    tol
        Stop where the gradient is proven to be shorter than `tol` times the first one.
    num_threads
        Threads to use; None for one per core. Every number gives bitwise the same answer.
    progress
        Called with a `Progress` after each iteration; its error is the length of the gradient relative to the first.

    Returns
    -------
    Ascent
        ``.family`` and ``.policy`` at the end, ``.history``, ``.status``.

    Raises
    ------
    ArgumentError
        If the family does not know its policies at other parameters or its parameters are no free numbers, or a number
        is out of its range.
    PolicyError
        If the family does not fit the model.
    ModelError
        If there is no start distribution.
    SettingError
        If the setting is a finite horizon, if the policy has several recurrent classes in Average, or if a process
        that can end is asked for its average.
    ImproperPolicyError
        Episodic: if states in which the policy may stay for ever can be reached.

    Notes
    -----
    Theory 4.1 and 4.3. A driver to learn with: each step of the search is one exact gradient. The line is searched by
    doubling the last step until the derivative is negative, and by Brent's method from there. Increases of J are those
    of `check_improvement`, formed without subtracting returns.

    Examples
    --------
    The short corridor has one parameter here, so that one line leads to the best p = 2 - sqrt 2, worth -6 - 4 sqrt 2:

    >>> import rlcore as rl
    >>> corridor = rl.gallery.short_corridor()
    >>> right = [[[0.0], [1.0]]] * corridor.num_states
    >>> found = rl.ascend(corridor, rl.LinearSoftmax(right, [0.0]), rl.Episodic(), optimum=-6 - 4 * 2**0.5)
    >>> found.status, found.policy[0].round(6), found.history.objective.round(6)
    ('stationary', array([0.414214, 0.585786]), array([-12.      , -11.656854]))
    """
    model = as_mdp(mdp)
    climb = _Climb(
        model,
        as_kind(setting, model, "ascend"),
        _as_direction(direction),
        _as_positive(longest, "longest"),
        num_threads,
    )
    limit, tolerance = _as_iterations(iterations), as_tolerance(tol)
    best = as_optimum(optimum, model, climb.setting, num_threads)
    report = as_callback(progress)
    here = climb.place(_as_free(family))
    rows, guess = [_row(here, 0.0, 0.0)], None
    status: Status = "unfinished"
    while True:
        relative = (here.norm + here.norm_error) / (rows[0][2] or 1.0)
        if report is not None:
            report("gradient ascent", len(rows) - 1, relative, tolerance)
        if relative <= tolerance:
            status = "stationary"
            break
        if len(rows) > limit:
            break
        found = climb.step_from(here, guess)
        if found is None:
            status = "exhausted"
            break
        here, guess, increase = found
        rows.append(_row(here, guess, increase))
    return Ascent(here.family, here.policy, _history(rows, best), status)


@dataclass(frozen=True, slots=True)
class _Place:
    """A point of the ascent: the family there, J and its gradient, with bounds on their errors."""

    family: Family
    policy: FloatArray
    objective: float
    objective_error: float
    gradient: FloatArray
    gradient_error: float

    @property
    def norm(self) -> float:
        """The length of the gradient."""
        return float(np.linalg.norm(self.gradient.ravel()))

    @property
    def norm_error(self) -> float:
        """Bounds the error of the length: that of the gradient in the sup norm times sqrt(K), and rounding."""
        size = self.gradient.size
        return float(np.sqrt(size)) * self.gradient_error * (1.0 + 4 * ULP) + (size + 4) * ULP * self.norm

    def slope(self, u: FloatArray) -> tuple[float, float]:
        """Return the derivative of J in the direction u, and a bound on its error."""
        u, gradient = u.ravel(), self.gradient.ravel()
        rounding = (u.size + 2) * ULP * float(np.abs(u) @ np.abs(gradient))
        return float(u @ gradient), float(np.abs(u).sum()) * self.gradient_error * (1.0 + u.size * ULP) + rounding


@dataclass(frozen=True, slots=True)
class _Climb:
    """How to climb: what stays the same from step to step."""

    mdp: MDP
    setting: Kind
    direction: str
    longest: float
    num_threads: int | None

    def place(self, family: Family) -> _Place:
        """Find J and its gradient."""
        found = policy_gradient(self.mdp, family, self.setting, num_threads=self.num_threads, raise_on_failure=False)
        objective, name = (found.gain, "gain") if found.start_value is None else (found.start_value, "start_value")
        assert objective is not None
        bounds = found.certificate.bounds
        policy = family.on(self.mdp).policy.reshape(self.mdp.pair_shape)
        return _Place(family, policy, objective, bounds[name], found.gradient, bounds["gradient"])

    def step_from(self, here: _Place, guess: float | None) -> tuple[_Place, float, float] | None:
        """Return the next place, the step that leads to it, and the proven increase of J; None if there is none."""
        u = self._direction_at(here)
        slope, slope_error = here.slope(u)
        if not slope > slope_error:
            return None
        last = self.longest / float(np.abs(u).max())
        step = self._highest(here, u, last, min(guess or 1.0 / float(np.abs(u).max()), last))
        for _ in range(HALVINGS):
            there = self._moved(here, u, step)
            increase = self._increase(here, there)
            if increase > 0.0:
                return there, step, increase
            step /= 2.0
        return None

    def _direction_at(self, here: _Place) -> FloatArray:
        if self.direction == "gradient":
            return here.gradient
        found = natural_gradient(
            self.mdp, here.family, self.setting, num_threads=self.num_threads, raise_on_failure=False
        )
        return np.asarray(found)

    def _moved(self, here: _Place, u: FloatArray, step: float) -> _Place:
        theta = here.family.parameters
        assert theta is not None
        return self.place(here.family.with_parameters(theta + step * u))

    def _highest(self, here: _Place, u: FloatArray, last: float, guess: float) -> float:
        """Return where the derivative along the line changes its sign, or the last step if it does not."""

        def slope_at(step: float) -> float:
            return self._moved(here, u, step).slope(u)[0]

        low, high = 0.0, guess
        while slope_at(high) > 0.0:
            if high == last:
                return last
            low, high = high, min(2.0 * high, last)
        return float(brentq(slope_at, low, high, xtol=PLACE * high, rtol=PLACE))

    def _increase(self, here: _Place, there: _Place) -> float:
        """Return by how much J is proven to be larger there, or something that is not positive."""
        found = check_improvement(
            self.mdp, here.policy, there.policy, self.setting, bounds=(), num_threads=self.num_threads
        )
        return float(found.improvement.lower)


def _row(place: _Place, step: float, increase: float) -> tuple[float, ...]:
    return place.objective, place.objective_error, place.norm, place.norm_error, step, increase


def _history(rows: list[tuple[float, ...]], optimum: Enclosure | None) -> AscentHistory:
    table = np.array(rows)
    distance = None if optimum is None else optimum.value - table[:, 0]
    for array in (table, distance):
        if array is not None:
            array.flags.writeable = False
    objective, objective_bound, norm, norm_bound, step, increase = table.T
    return AscentHistory(objective, objective_bound, norm, norm_bound, step, increase, distance)


def _as_free(family: Any) -> Family:
    """Check a family whose parameters may be any numbers."""
    found = as_family(family)
    if isinstance(found, Direct | Scores):
        raise ArgumentError(
            "family: expected one whose parameters may be any numbers, rlcore.TabularSoftmax(theta) or "
            f"rlcore.LinearSoftmax(features, theta), got {type(found).__name__}"
        )
    return found


def _as_iterations(iterations: Any) -> int:
    if isinstance(iterations, bool) or not isinstance(iterations, int | np.integer) or iterations < 0:
        raise ArgumentError(f"iterations: expected a whole number from 0 on, got {iterations!r}")
    return int(iterations)


def _as_direction(direction: Any) -> str:
    if direction not in ("gradient", "natural"):
        raise ArgumentError(f'direction: expected "gradient" or "natural", got {direction!r}')
    return str(direction)


def _as_positive(number: Any, argument: str) -> float:
    if (
        isinstance(number, bool)
        or not isinstance(number, float | int | np.floating | np.integer)
        or not 0 < number < np.inf
    ):
        raise ArgumentError(f"{argument}: expected a positive number, got {number!r}")
    return float(number)
