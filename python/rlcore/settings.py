"""The kinds of task: how a stream of rewards becomes one number (theory 1)."""

from __future__ import annotations

import math
import numbers
from dataclasses import dataclass
from typing import Any

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
            raise SettingError(f"gamma: expected 0 <= gamma < 1, got {gamma!r}")


def _as_float(number: Any) -> float:
    try:
        return float(number)
    except OverflowError:  # a whole number beyond all doubles
        return math.inf if number > 0 else -math.inf


def as_discounted(setting: Discounted | float) -> Discounted:
    """Return the setting; a plain number means ``Discounted(number)``."""
    if isinstance(setting, Discounted):
        return setting
    if isinstance(setting, numbers.Real) and not isinstance(setting, bool):
        return Discounted(_as_float(setting))
    raise SettingError(f"setting: expected rlcore.Discounted(gamma) or a number in [0, 1), got {setting!r}")
