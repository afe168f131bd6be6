"""A policy with its scores grad log pi on a model (theory 4.1).

The scores psi are one row of K numbers for each pair, with sum_a pi psi = 0 in every state. They are never needed one
by one: gradients, Fisher matrices and critics are made of psi v and psi^T w.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar

import numpy as np
import scipy.sparse
from numpy.typing import ArrayLike
from scipy.sparse import csr_array

from rlcore.arguments import as_floats, as_pair_array
from rlcore.enclosure import ULP
from rlcore.errors import ArgumentError, InputError, PolicyError
from rlcore.mdp import MDP
from rlcore.over_actions import most_actions, over_pairs, sum_over_actions
from rlcore.pair_matrix import PairMatrix, first_beyond
from rlcore.results import FloatArray

# By how much the probabilities of a state may miss the sum 1, hence its scores the mean 0, relative to the largest.
ROW_TOLERANCE = 1e-9


@dataclass(frozen=True, eq=False)
class FamilyOnModel(ABC):
    """A policy and its scores, checked.

    Attributes
    ----------
    mdp
        The model.
    policy
        pi as a vector over pairs: the family's policy as it is stored, which scores and gradients belong to.
    parameter_shape
        The shape of theta, and of everything that has a number for each parameter.
    """

    mdp: MDP
    policy: FloatArray
    parameter_shape: tuple[int, ...]

    one_parameter_for_each_pair: ClassVar[bool] = False
    """Whether the derivative by a parameter is made of one pair's numbers alone."""

    @abstractmethod
    def scores_product(self, v: ArrayLike) -> FloatArray:
        """Return psi v, for each pair the derivative of log pi in the direction v: shape (num_pairs,)."""

    @abstractmethod
    def scores_transposed(self, w: ArrayLike) -> FloatArray:
        """Return psi^T w, of the shape of the parameters."""

    @abstractmethod
    def score_matrix(self) -> FloatArray | csr_array:
        """Return psi, shape (num_pairs, K); sparse if that is how the family is made."""

    @property
    @abstractmethod
    def largest_scores(self) -> FloatArray:
        """Upper bounds on max |psi| over all pairs, of the shape of the parameters."""

    @property
    @abstractmethod
    def rounding_per_weight(self) -> FloatArray:
        """Bounds the error of ``scores_transposed(w)`` divided by sum |w|, of the shape of the parameters."""

    @property
    def largest_centre(self) -> Any:
        """Bounds what is subtracted from features to make scores; 0 where scores are what is given."""
        return 0.0

    @abstractmethod
    def product_rounding(self, v: FloatArray) -> float:
        """Bounds the error of each number of ``scores_product(v)``."""

    @property
    def centring(self) -> Any:
        """Bounds, divided by sum rho |E_pi A|, how much it matters to psi^T rho pi A that E_pi A is taken out."""
        return 0.0

    @abstractmethod
    def centred_product(self, w: FloatArray, low: FloatArray) -> tuple[FloatArray, Any]:
        """Return psi^T w for twofold w whose sum over the actions of each state is 0 up to rounding; `Direct`: w.

        The second answer is the bound on the error of each number. Without low parts, w is made of doubles.
        """

    def mean_derivative(self, x: ArrayLike) -> FloatArray:
        """Return the derivative of sum_p pi(p) x(p) for numbers x of pairs, of the shape of the parameters."""
        given = self._by_pair(x)
        return self.scores_transposed(self.policy * (given - over_pairs(self.mdp, self._means(given))))

    def _by_pair(self, x: ArrayLike) -> FloatArray:
        return as_pair_array(x, self.mdp.pair_shape, "x", ArgumentError)

    def _over_parameters(self, v: ArrayLike) -> FloatArray:
        found = as_floats(v, "vector", ArgumentError)
        size = int(np.prod(self.parameter_shape))
        if found.shape not in (self.parameter_shape, (size,)):
            raise ArgumentError(
                f"vector: expected a number for each parameter, in shape {self.parameter_shape}, got {found.shape}"
            )
        return found.reshape(size)

    def _centred(self, weight: FloatArray) -> FloatArray:
        """Form w - pi sum_a w."""
        centred: FloatArray = weight - self.policy * over_pairs(self.mdp, sum_over_actions(self.mdp, weight))
        return centred

    def _means(self, x: FloatArray) -> FloatArray:
        """Form sum_a pi x in each state."""
        return sum_over_actions(self.mdp, self.policy * x)

    @cached_property
    def _averaging(self) -> csr_array:
        """The policy as a matrix (S, num_pairs), which takes numbers of pairs to their means."""
        parts = (self.policy, np.arange(self.mdp.num_pairs), self.mdp.pair_start)
        return csr_array(parts, shape=(self.mdp.num_states, self.mdp.num_pairs))


class TabularOnModel(FamilyOnModel):
    """psi(s,a) = 1 at its own parameter, minus pi at those of its state."""

    one_parameter_for_each_pair = True

    def scores_product(self, v: ArrayLike) -> FloatArray:
        """Return psi v."""
        preferences = self._over_parameters(v)
        return preferences - over_pairs(self.mdp, self._means(preferences))

    def scores_transposed(self, w: ArrayLike) -> FloatArray:
        """Return psi^T w."""
        weight = self._by_pair(w)
        return (weight - self.policy * over_pairs(self.mdp, sum_over_actions(self.mdp, weight))).reshape(
            self.parameter_shape
        )

    def centred_product(self, w: FloatArray, low: FloatArray) -> tuple[FloatArray, float]:
        """Return w: there is no mean to take out."""
        return w.reshape(self.parameter_shape), float(np.abs(low).max(initial=0.0))

    def score_matrix(self) -> csr_array:
        """Return psi."""
        own = csr_array((np.ones(self.mdp.num_pairs), (np.arange(self.mdp.num_pairs), self.mdp.pair_state)))
        return csr_array(scipy.sparse.eye_array(self.mdp.num_pairs) - own @ self._averaging)

    @property
    def largest_scores(self) -> FloatArray:
        """Upper bounds on max |psi|."""
        return np.maximum(self.policy, 1.0 - self.policy).reshape(self.parameter_shape) * (1.0 + ULP)

    @property
    def rounding_per_weight(self) -> FloatArray:
        """Bounds the rounding of psi^T w."""
        return np.full(self.parameter_shape, (most_actions(self.mdp) + 2) * ULP)

    @property
    def largest_centre(self) -> float:
        """Probabilities."""
        return 1.0

    def product_rounding(self, v: FloatArray) -> float:
        """Bounds the rounding of psi v."""
        return (most_actions(self.mdp) + 4) * ULP * float(np.abs(v).max())


class DirectOnModel(FamilyOnModel):
    """psi(s,a) = 1 / pi(s,a) at its own parameter."""

    one_parameter_for_each_pair = True

    def scores_product(self, v: ArrayLike) -> FloatArray:
        """Return psi v."""
        return self._over_parameters(v) * self._own_scores

    def scores_transposed(self, w: ArrayLike) -> FloatArray:
        """Return psi^T w."""
        return (self._by_pair(w) * self._own_scores).reshape(self.parameter_shape)

    def score_matrix(self) -> csr_array:
        """Return psi."""
        return csr_array(scipy.sparse.diags_array(self._own_scores))

    def centred_product(self, w: FloatArray, low: FloatArray) -> tuple[FloatArray, float]:
        """Return w."""
        return w.reshape(self.parameter_shape), float(np.abs(low).max(initial=0.0))

    def mean_derivative(self, x: ArrayLike) -> FloatArray:
        """Return x, the derivatives of sum_p pi(p) x(p) for the probabilities themselves."""
        return self._by_pair(x).reshape(self.parameter_shape)

    @property
    def largest_scores(self) -> FloatArray:
        """Upper bounds on max |psi|."""
        return self._own_scores.reshape(self.parameter_shape) * (1.0 + ULP)

    @property
    def rounding_per_weight(self) -> FloatArray:
        """Bounds the rounding of psi^T w."""
        return 2.0 * ULP * self.largest_scores

    def product_rounding(self, v: FloatArray) -> float:
        """Bounds the rounding of psi v."""
        return 2.0 * ULP * float(np.abs(self.scores_product(v)).max())

    @cached_property
    def _own_scores(self) -> FloatArray:
        if not self.policy.all():
            fault = "expected positive probabilities, got 0.0, where direct parameters have no score 1 / pi"
            raise self.mdp.located(at_pair(self.mdp, "policy", fault, int(self.policy.argmin())))
        with np.errstate(over="ignore"):
            scores: FloatArray = 1.0 / self.policy
        return scores


@dataclass(frozen=True, eq=False)
class LinearOnModel(FamilyOnModel):
    """psi = f - E_pi f, which is formed after products with f, so that sparse features stay sparse."""

    features: PairMatrix

    def scores_product(self, v: ArrayLike) -> FloatArray:
        """Return psi v."""
        preferences = self.features.product(self._over_parameters(v))
        return preferences - over_pairs(self.mdp, self._means(preferences))

    def scores_transposed(self, w: ArrayLike) -> FloatArray:
        """Return psi^T w."""
        weight = self._by_pair(w)
        return self.features.transposed_product(
            weight - self.policy * over_pairs(self.mdp, sum_over_actions(self.mdp, weight))
        )

    def centred_product(self, w: FloatArray, low: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Return f^T w: there is no mean to take out."""
        return self.features.transposed_product_with_error(w, low)

    @property
    def centring(self) -> FloatArray:
        """Of features without their mean, the mean under pi is nothing but what pi misses the sum 1 by, of theirs."""
        return 2.0 * ROW_TOLERANCE * self.largest_centre

    def score_matrix(self) -> FloatArray | csr_array:
        """Return psi."""
        features = self.features.rows
        mean = self._averaging @ features
        if not self.features.is_sparse:
            centred: FloatArray = features - over_pairs(self.mdp, mean)
            return centred
        own = (np.ones(self.mdp.num_pairs), self.mdp.pair_state, np.arange(self.mdp.num_pairs + 1))
        return csr_array(features - csr_array(own, shape=(self.mdp.num_pairs, self.mdp.num_states)) @ mean)

    @property
    def largest_scores(self) -> FloatArray:
        """Upper bounds on max |psi|."""
        # A mean lies between the features of its state, and stored probabilities sum to 1 up to rounding.
        lowest, highest = self.features.extremes
        return (highest - lowest) * (1.0 + 4 * ULP) + (most_actions(self.mdp) + 4) * ULP * self.features.largest

    @property
    def rounding_per_weight(self) -> FloatArray:
        """Bounds the rounding of psi^T w."""
        # Weights that are centred are at most twice as large.
        return 2.0 * (self.features.roundings + most_actions(self.mdp) + 4) * ULP * self.features.largest

    @property
    def largest_centre(self) -> FloatArray:
        """The mean of features is no larger than the largest."""
        return self.features.largest * (1.0 + (most_actions(self.mdp) + 4) * ULP)

    def product_rounding(self, v: FloatArray) -> float:
        """Bounds the rounding of psi v."""
        roundings = self.features.width + most_actions(self.mdp) + 4
        return 2.0 * roundings * ULP * self.features.largest_product(v.ravel())


@dataclass(frozen=True, eq=False)
class ScoresOnModel(FamilyOnModel):
    """psi as it is given."""

    scores: PairMatrix

    def scores_product(self, v: ArrayLike) -> FloatArray:
        """Return psi v."""
        return self.scores.product(self._over_parameters(v))

    def scores_transposed(self, w: ArrayLike) -> FloatArray:
        """Return psi^T w."""
        return self.scores.transposed_product(self._by_pair(w))

    def centred_product(self, w: FloatArray, low: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Return psi^T w."""
        return self.scores.transposed_product_with_error(w, low)

    @property
    def centring(self) -> FloatArray:
        """The mean of scores is no larger than was checked."""
        return 2.0 * self._largest_means

    def score_matrix(self) -> FloatArray | csr_array:
        """Return psi."""
        found: FloatArray | csr_array = self.scores.rows
        return found

    @property
    def largest_scores(self) -> FloatArray:
        """Upper bounds on max |psi|."""
        return self.scores.largest

    @property
    def rounding_per_weight(self) -> FloatArray:
        """Bounds the rounding of psi^T w."""
        return self.scores.roundings * ULP * self.scores.largest

    def product_rounding(self, v: FloatArray) -> float:
        """Bounds the rounding of psi v."""
        return (self.scores.width + 2) * ULP * self.scores.largest_product(v.ravel())

    @property
    def _largest_means(self) -> FloatArray:
        largest = self.largest_scores
        return ROW_TOLERANCE * largest + (most_actions(self.mdp) + 2) * ULP * float(largest.max(initial=0.0))

    def check_means(self) -> None:
        """Check sum_a pi psi = 0, up to what pi and psi may be off.

        Probabilities may miss the sum 1 by ROW_TOLERANCE, and so may their derivatives the sum 0, relative to the
        largest score of the parameter; means are formed with roundings that are relative to the largest of all.
        """
        allowed = self._largest_means
        mean = self._averaging @ self.scores.rows
        beyond = first_beyond(mean, allowed)
        if beyond is not None:
            state, parameter = beyond
            off = mean[state, parameter]
            fault = (
                f"expected sum_a pi psi = 0 within {allowed[parameter]:.3g}, got {off:.6g} for parameter {parameter}; "
                "subtract the mean of the state's scores under the policy"
            )
            raise self.mdp.located(PolicyError.placed("scores", fault, state=state))


def at_pair(mdp: MDP, argument: str, fault: str, pair: int) -> InputError:
    """Return an error that knows its place."""
    state = int(mdp.pair_state[pair])
    return PolicyError.placed(argument, fault, state=state, action=pair - int(mdp.pair_start[state]))
