"""The errors that rlcore raises: each says what is wrong, where, what was expected, what was found, how to mend it."""

from __future__ import annotations

from typing import Self


class RlcoreError(Exception):
    """The base of every error that rlcore raises on purpose."""


class InputError(RlcoreError, ValueError):
    """Something passed to rlcore is wrong.

    Attributes
    ----------
    argument
        The name of the argument at fault.
    fault
        The message without its place.
    state, action, item
        Where the fault lies, as indices, where that applies: the state, the position of the action among the
        state's own, the position in a batch.
    """

    argument: str | None = None
    fault: str | None = None
    state: int | None = None
    action: int | None = None
    item: int | None = None

    @classmethod
    def placed(cls, argument: str, fault: str, *, state: int | None = None, action: int | None = None) -> Self:
        """Return an error that knows its place; `MDP.located` names it by labels."""
        error = cls(f"{argument}: {fault}")
        error.argument, error.fault, error.state, error.action = argument, fault, state, action
        return error


class ArgumentError(InputError):
    """An argument other than the model, the policy or the setting is out of its range."""


class ModelError(InputError):
    """The arrays, functions or file do not describe a Markov decision process (theory 1)."""


class PolicyError(InputError):
    """The array is not a policy of the model: one probability per pair, one distribution per state (theory 1)."""


class SettingError(InputError):
    """The statement does not exist in this setting, or the setting's own numbers are out of range."""


class ImproperPolicyError(InputError):
    """A policy may go on for ever where episodes must end; the message names the states in which it stays."""


class UnboundedValueError(InputError):
    """No policy is best, since rewards without end can be had; the message names states in which they can."""


class MissingPackageError(RlcoreError, ImportError):
    """An optional package is needed for this; the message says how to install it."""


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
