"""The errors that rlcore raises. Each says what is wrong, where, what was expected, what was found and how to mend it."""

from __future__ import annotations


class RlcoreError(Exception):
    """The base of every error that rlcore raises on purpose."""


class ModelError(RlcoreError, ValueError):
    """The arrays, functions or file do not describe a Markov decision process (theory 1)."""


class PolicyError(RlcoreError, ValueError):
    """The array is not a policy of the model: one probability per pair, one distribution per state."""


class SettingError(RlcoreError, ValueError):
    """The statement does not exist in this setting, or the setting's own numbers are out of range."""


class ConvergenceError(RlcoreError, ArithmeticError):
    """The tolerance could not be certified.

    Attributes
    ----------
    result
        The best answer found, with the error bound that it does have in ``result.certificate``.
    """

    def __init__(self, message: str, result: object = None) -> None:
        super().__init__(message)
        self.result = result
