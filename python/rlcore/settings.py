"""The kinds of task: how a stream of rewards becomes one number (theory 1)."""

from __future__ import annotations

import math
import numbers
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rlcore.errors import SettingError


@dataclass(frozen=True, slots=True)
class Discounted:
    """Rewards at time t count ``gamma**t``.

    Parameters
    ----------
    gamma
        The discount factor, ``0 <= gamma < 1``.

    Raises
    ------
    SettingError
        If gamma is not a number in [0, 1).

    Examples
    --------
    >>> import rlcore as rl
    >>> rl.Discounted(0.9)
    Discounted(gamma=0.9)
    """

    gamma: float

    def __post_init__(self) -> None:
        gamma = self.gamma
        if type(gamma) is not float:
            if isinstance(gamma, bool) or not isinstance(gamma, numbers.Real):
                raise SettingError(f"gamma: expected a number in [0, 1), got {gamma!r}")
            number = _as_float(gamma)
            object.__setattr__(self, "gamma", number)
            gamma = number if math.isinf(number) else gamma
        if not 0.0 <= gamma < 1.0:
            remedy = "; without a discount use Episodic(), Average() or FiniteHorizon(steps)" if gamma == 1.0 else ""
            raise SettingError(f"gamma: expected 0 <= gamma < 1, got {gamma!r}{remedy}")


@dataclass(frozen=True, slots=True)
class Episodic:
    """All rewards until the end count alike (theory 3.1).

    For processes that end: from every state that can be reached from the start, a recurrent class must be out of
    reach. Whether it is, ``termination`` and the structure of the chain decide, never a sum of probabilities that
    falls short of 1 by rounding.

    Examples
    --------
    >>> import rlcore as rl
    >>> rl.Episodic()
    Episodic()
    """


@dataclass(frozen=True, slots=True)
class Average:
    """The rewards of a step, on average over a time without end (theory 3.2).

    For processes that never end. What one policy earns in a step is its gain; what it earns beyond that, for starting
    in one state and not in another, is its bias.

    Examples
    --------
    >>> import rlcore as rl
    >>> rl.Average()
    Average()
    """


@dataclass(frozen=True, slots=True)
class FiniteHorizon:
    """The rewards of a number of steps that is known beforehand (theory 2.8).

    Parameters
    ----------
    steps
        How many rewards there are, at least 1.
    gamma
        What a reward loses by coming one step later, ``0 <= gamma <= 1``; or as many factors as steps, the first of
        them for what comes after the first step.

    Raises
    ------
    SettingError
        If steps is not a whole number from 1 on, or gamma not one number in [0, 1], or one for each step.

    Examples
    --------
    >>> import rlcore as rl
    >>> rl.FiniteHorizon(10)
    FiniteHorizon(steps=10, gamma=1.0)
    >>> rl.FiniteHorizon(3, gamma=[1, 0.5, 0.5]).discounts
    array([1. , 0.5, 0.5])
    """

    steps: int
    gamma: float | Sequence[float] = 1.0

    def __post_init__(self) -> None:
        steps = self.steps
        if isinstance(steps, bool) or not isinstance(steps, int | np.integer) or steps < 1:
            raise SettingError(f"steps: expected a whole number from 1 on, got {steps!r}")
        object.__setattr__(self, "steps", int(steps))
        if isinstance(self.gamma, Sequence | np.ndarray) and not isinstance(self.gamma, str):
            if len(self.gamma) != steps:
                raise SettingError(f"gamma: expected {steps} factors, one for each step, got {len(self.gamma)}")
            object.__setattr__(self, "gamma", tuple(_as_factor(factor) for factor in self.gamma))
        else:
            object.__setattr__(self, "gamma", _as_factor(self.gamma))

    @property
    def discounts(self) -> NDArray[np.float64]:
        """The factor of each step, shape (steps,)."""
        return np.full(self.steps, self.gamma, dtype=np.float64)


Setting = Discounted | Episodic | Average | FiniteHorizon

_AS_WRITTEN: dict[type[Setting], str] = {
    Discounted: "rlcore.Discounted(gamma)",
    Episodic: "rlcore.Episodic()",
    Average: "rlcore.Average()",
    FiniteHorizon: "rlcore.FiniteHorizon(steps)",
}


def as_setting(setting: Any, statement: str, *exists: type[Setting]) -> Setting:
    """Return the setting, of one of the kinds in which a statement exists; a plain number means ``Discounted(number)``.

    Parameters
    ----------
    setting
        What the caller was given.
    statement
        What is asked for, for the error: "evaluate", "A", "kemeny_constant".
    exists
        The kinds of setting in which it exists; none means all.

    Raises
    ------
    SettingError
        If it is no setting, or the statement does not exist in it: the message names the settings in which it does.

    Examples
    --------
    >>> as_setting(0.9, "evaluate")
    Discounted(gamma=0.9)
    >>> as_setting(Episodic(), "kemeny_constant", Average)
    Traceback (most recent call last):
        ...
    rlcore.errors.SettingError: setting: kemeny_constant exists for rlcore.Average(), not for Episodic()
    """
    kinds = exists or tuple(_AS_WRITTEN)
    written = [_AS_WRITTEN[kind] for kind in kinds]
    if isinstance(setting, numbers.Real) and not isinstance(setting, bool):
        setting = Discounted(_as_float(setting))
    elif not isinstance(setting, Setting):
        number = ["a number in [0, 1)"] if Discounted in kinds else []
        raise SettingError(f"setting: expected {_listed([*written, *number], 'or')}, got {setting!r}")
    if not isinstance(setting, kinds):
        raise SettingError(f"setting: {statement} exists for {_listed(written, 'and')}, not for {setting!r}")
    return setting


def as_discounted(setting: Setting | float, statement: str = "this function") -> Discounted:
    """Return the setting of a statement that exists for `Discounted` alone; see `as_setting`."""
    found = as_setting(setting, statement, Discounted)
    assert isinstance(found, Discounted)
    return found


def _as_float(number: Any) -> float:
    try:
        return float(number)
    except OverflowError:  # a whole number beyond all doubles
        return math.inf if number > 0 else -math.inf


def _as_factor(gamma: Any) -> float:
    if isinstance(gamma, bool) or not isinstance(gamma, numbers.Real):
        raise SettingError(f"gamma: expected a number in [0, 1], or one for each step, got {gamma!r}")
    factor = _as_float(gamma)
    if not 0.0 <= factor <= 1.0:
        raise SettingError(f"gamma: expected 0 <= gamma <= 1, got {gamma!r}")
    return factor


def _listed(names: list[str], word: str) -> str:
    """Return the names as a sentence lists them: a, b or c."""
    return f" {word} ".join(filter(None, [", ".join(names[:-1]), names[-1]]))
