"""Families of policies with parameters (theory 4.1)."""

from __future__ import annotations

from abc import ABC, abstractmethod
from copy import copy
from dataclasses import dataclass, field
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike

from rlcore.errors import ArgumentError, PolicyError
from rlcore.family_on_model import (
    DirectOnModel,
    FamilyOnModel,
    LinearOnModel,
    ScoresOnModel,
    TabularOnModel,
    at_pair,
)
from rlcore.mdp import MDP, as_mdp
from rlcore.pair_matrix import PairMatrix, as_finite, as_pair_matrix, check_rows
from rlcore.policy import as_policy, softmax_policy
from rlcore.results import FloatArray


class Family(ABC):
    """A family of policies at some parameters."""

    __slots__ = ()

    @property
    @abstractmethod
    def parameters(self) -> FloatArray | None:
        """Theta, or None where only the caller knows it."""

    @abstractmethod
    def on(self, mdp: MDP) -> FamilyOnModel:
        """Return the policy and its scores on a model; everything is checked here.

        Raises
        ------
        PolicyError
            If the family does not fit the model, or what it says is not a policy with its scores.
        """

    @abstractmethod
    def with_parameters(self, theta: ArrayLike) -> Self:
        """Return the same family at other parameters."""


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class TabularSoftmax(Family):
    """pi(a|s) proportional to exp(theta(s,a)): one parameter for each pair.

    Parameters
    ----------
    theta
        Shape ``mdp.pair_shape``, or flat; finite.

    Raises
    ------
    PolicyError
        If theta is not an array of finite numbers.

    Examples
    --------
    >>> import rlcore as rl
    >>> mdp = rl.gallery.forest()
    >>> rl.TabularSoftmax([[0, 0], [1000, 0], [0, 1]]).on(mdp).policy.round(3)
    array([0.5  , 0.5  , 1.   , 0.   , 0.269, 0.731])
    """

    theta: ArrayLike

    def __post_init__(self) -> None:
        object.__setattr__(self, "theta", as_finite(self.theta, "theta"))

    @property
    def parameters(self) -> FloatArray:
        """Theta."""
        return self.theta  # type: ignore[return-value]

    def with_parameters(self, theta: ArrayLike) -> TabularSoftmax:
        """Return the family at other parameters."""
        return TabularSoftmax(theta)

    def on(self, mdp: MDP) -> FamilyOnModel:
        """Return the policy and its scores on a model."""
        policy = softmax_policy(mdp, self.parameters).ravel()
        return TabularOnModel(mdp, policy, self.parameters.shape)

    def __repr__(self) -> str:
        return f"TabularSoftmax(theta of shape {self.parameters.shape})"


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class LinearSoftmax(Family):
    """pi(a|s) proportional to exp(theta . f(s,a)): K parameters that pairs share.

    Its scores are psi = f - E_pi f.

    Parameters
    ----------
    features
        f: a SciPy sparse or a dense array of shape (num_pairs, K), or a dense one of shape ``(*pair_shape, K)``.
    theta
        Shape (K,).

    Raises
    ------
    PolicyError
        If features or theta are not finite numbers, or do not fit together.

    Examples
    --------
    A single parameter: the preference for the first action, the same in all states.

    >>> import rlcore as rl
    >>> corridor = rl.gallery.short_corridor()
    >>> family = rl.LinearSoftmax([[[1.0], [0.0]]] * corridor.num_states, theta=[0.0])
    >>> family.on(corridor).policy[:2]
    array([0.5, 0.5])
    """

    features: Any
    theta: ArrayLike
    _matrix: PairMatrix = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_matrix", as_pair_matrix(self.features, "features"))
        object.__setattr__(self, "theta", self._checked(self.theta))

    @property
    def parameters(self) -> FloatArray:
        """Theta."""
        return self.theta  # type: ignore[return-value]

    def with_parameters(self, theta: ArrayLike) -> LinearSoftmax:
        """Return the family at other parameters."""
        changed = copy(self)  # what is known of the features is kept
        object.__setattr__(changed, "theta", self._checked(theta))
        return changed

    def on(self, mdp: MDP) -> FamilyOnModel:
        """Return the policy and its scores on a model."""
        mdp = as_mdp(mdp)
        check_rows(self._matrix, mdp, "features")
        with np.errstate(over="ignore", invalid="ignore"):
            preferences = self._matrix.product(self.parameters)
        if not np.isfinite(preferences).all():
            pair = int(np.isfinite(preferences).argmin())
            fault = f"expected preferences theta . f that are finite, got {preferences[pair]}"
            raise mdp.located(at_pair(mdp, "theta", fault, pair))
        return LinearOnModel(mdp, softmax_policy(mdp, preferences).ravel(), self.parameters.shape, self._matrix)

    def _checked(self, theta: ArrayLike) -> FloatArray:
        found = as_finite(theta, "theta")
        size = self._matrix.num_columns
        if found.shape != (size,):
            raise PolicyError(f"theta: expected {size} parameters, one for each feature, got shape {found.shape}")
        return found

    def __repr__(self) -> str:
        return f"LinearSoftmax(features of shape {self._matrix.given_shape})"


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Direct(Family):
    """The probabilities themselves are the parameters.

    Derivatives are partial: they do not know that probabilities sum to 1. Scores are 1 / pi(a|s), and do not exist
    where pi = 0; gradients do.

    Parameters
    ----------
    policy
        Shape ``mdp.pair_shape``, or flat.

    Raises
    ------
    PolicyError
        If the policy is not an array of finite numbers.

    Examples
    --------
    >>> import rlcore as rl
    >>> mdp = rl.gallery.forest()
    >>> rl.Direct(rl.uniform_policy(mdp)).on(mdp).scores_product(mdp.reward)
    array([0., 0., 0., 2., 8., 4.])
    """

    policy: ArrayLike

    def __post_init__(self) -> None:
        object.__setattr__(self, "policy", as_finite(self.policy, "policy"))

    @property
    def parameters(self) -> FloatArray:
        """The probabilities."""
        return self.policy  # type: ignore[return-value]

    def with_parameters(self, theta: ArrayLike) -> Direct:
        """Return the family at other parameters."""
        return Direct(theta)

    def on(self, mdp: MDP) -> FamilyOnModel:
        """Return the policy and its scores on a model."""
        return DirectOnModel(as_mdp(mdp), as_policy(mdp, self.parameters), self.parameters.shape)

    def __repr__(self) -> str:
        return f"Direct(policy of shape {self.parameters.shape})"


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Scores(Family):
    """Any other family, at the parameters at which its policy and its scores were found.

    Parameters
    ----------
    policy
        Shape ``mdp.pair_shape``, or flat.
    scores
        psi = grad log pi(a|s): a SciPy sparse or a dense array of shape (num_pairs, K), or a dense one of shape
        ``(*pair_shape, K)``. Where pi = 0 they do not count.

    Raises
    ------
    PolicyError
        If policy or scores are not finite numbers. ``on`` raises it where sum_a pi psi is not 0, since probabilities
        that sum to 1 have derivatives that sum to 0.

    Examples
    --------
    The probability p of the first action, the same in all states: psi = 1 / p for it, -1 / (1 - p) for the other.

    >>> import rlcore as rl
    >>> corridor = rl.gallery.short_corridor()
    >>> family = rl.Scores(rl.uniform_policy(corridor), [[[2.0], [-2.0]]] * corridor.num_states)
    >>> family.on(corridor).parameter_shape
    (1,)
    """

    policy: ArrayLike
    scores: Any
    _matrix: PairMatrix = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "policy", as_finite(self.policy, "policy"))
        object.__setattr__(self, "_matrix", as_pair_matrix(self.scores, "scores"))

    @property
    def parameters(self) -> None:
        """None: they are known to the caller alone."""
        return None

    def with_parameters(self, theta: ArrayLike) -> Scores:
        """Raise ArgumentError: how the policy depends on parameters is known to the caller alone."""
        raise ArgumentError(
            "family: expected one that knows its policies at other parameters, got Scores, which are given for one "
            "policy alone; use TabularSoftmax, LinearSoftmax or Direct"
        )

    def on(self, mdp: MDP) -> FamilyOnModel:
        """Return the policy and its scores on a model."""
        mdp = as_mdp(mdp)
        policy = as_policy(mdp, self.policy)
        check_rows(self._matrix, mdp, "scores")
        found = ScoresOnModel(mdp, policy, (self._matrix.num_columns,), self._matrix)
        found.check_means()
        return found

    def __repr__(self) -> str:
        return f"Scores(scores of shape {self._matrix.given_shape})"


def as_family(family: Any) -> Family:
    """Check a family of policies."""
    if isinstance(family, Family):
        return family
    raise ArgumentError(
        "family: expected rlcore.TabularSoftmax(theta), rlcore.LinearSoftmax(features, theta), rlcore.Direct(policy) "
        f"or rlcore.Scores(policy, scores), got {type(family).__name__}"
    )
