"""
The compiled core of rlcore. Use the functions of the package rlcore instead.
"""

from __future__ import annotations
import collections.abc
import numpy
import numpy.typing
import typing

__all__: list[str] = [
    "CertificateFields",
    "ChainStructureFields",
    "EvaluationFields",
    "FiniteHorizonEvaluationFields",
    "FiniteHorizonOccupancyFields",
    "Mdp",
    "OccupancyFields",
    "StateRowsFields",
    "chain_structure",
    "deviation_rows",
    "episode_length",
    "evaluate",
    "evaluate_average",
    "evaluate_episodic",
    "evaluate_finite_horizon",
    "first_passage_times",
    "kemeny_constant",
    "occupancy",
    "occupancy_average",
    "occupancy_episodic",
    "occupancy_finite_horizon",
    "rows_are_canonical",
    "state_distribution",
    "successor_representation",
]

class Mdp:
    """
    A model: borrowed arrays, checked once.
    """
    def __init__(
        self,
        num_states: typing.SupportsInt | typing.SupportsIndex,
        probability: numpy.typing.NDArray[numpy.float64],
        column: numpy.typing.NDArray[numpy.int32],
        row_start: numpy.ndarray,
        reward: numpy.typing.NDArray[numpy.float64],
        pair_start: numpy.typing.NDArray[numpy.int64],
        termination: numpy.typing.NDArray[numpy.float64],
        initial: numpy.typing.NDArray[numpy.float64],
        check_now: bool,
    ) -> None: ...
    def ensure_checked(self) -> None:
        """
        Reads everything and checks it, unless that was done before.
        """
    @property
    def num_pairs(self) -> int: ...
    @property
    def num_states(self) -> int: ...

class CertificateFields:
    """
    The fields of rlcore.Certificate.
    """
    @property
    def converged(self) -> typing.Any: ...
    @property
    def error_bound(self) -> typing.Any: ...
    @property
    def iterations(self) -> typing.Any: ...
    @property
    def method(self) -> typing.Any: ...
    @property
    def residual(self) -> typing.Any: ...
    @property
    def story(self) -> typing.Any: ...

class EvaluationFields:
    """
    The fields of rlcore.Evaluation.
    """
    @property
    def action_value(self) -> typing.Any: ...
    @property
    def action_value_bound(self) -> typing.Any: ...
    @property
    def advantage(self) -> typing.Any: ...
    @property
    def advantage_bound(self) -> typing.Any: ...
    @property
    def certificate(self) -> CertificateFields: ...
    @property
    def gain(self) -> typing.Any: ...
    @property
    def gain_bound(self) -> typing.Any: ...
    @property
    def proper(self) -> typing.Any: ...
    @property
    def start_value(self) -> typing.Any: ...
    @property
    def start_value_bound(self) -> typing.Any: ...
    @property
    def value(self) -> typing.Any: ...
    @property
    def value_bound(self) -> typing.Any: ...

class OccupancyFields:
    """
    The fields of rlcore.Occupancy.
    """
    @property
    def certificate(self) -> CertificateFields: ...
    @property
    def pair(self) -> typing.Any: ...
    @property
    def pair_bound(self) -> typing.Any: ...
    @property
    def state(self) -> typing.Any: ...
    @property
    def state_bound(self) -> typing.Any: ...
    @property
    def visits(self) -> typing.Any: ...
    @property
    def visits_bound(self) -> typing.Any: ...

class StateRowsFields:
    """
    Rows over states, a bound for each, a certificate.
    """
    @property
    def bounds(self) -> typing.Any: ...
    @property
    def certificate(self) -> CertificateFields: ...
    @property
    def rows(self) -> typing.Any: ...

class FiniteHorizonEvaluationFields:
    """
    The fields of rlcore.FiniteHorizonEvaluation.
    """
    @property
    def action_value(self) -> typing.Any: ...
    @property
    def action_value_bounds(self) -> typing.Any: ...
    @property
    def advantage(self) -> typing.Any: ...
    @property
    def advantage_bounds(self) -> typing.Any: ...
    @property
    def certificate(self) -> CertificateFields: ...
    @property
    def start_value(self) -> typing.Any: ...
    @property
    def start_value_bound(self) -> typing.Any: ...
    @property
    def value(self) -> typing.Any: ...
    @property
    def value_bounds(self) -> typing.Any: ...

class FiniteHorizonOccupancyFields:
    """
    The fields of rlcore.FiniteHorizonOccupancy.
    """
    @property
    def certificate(self) -> CertificateFields: ...
    @property
    def distribution(self) -> typing.Any: ...
    @property
    def distribution_bounds(self) -> typing.Any: ...
    @property
    def pair(self) -> typing.Any: ...
    @property
    def pair_bound(self) -> typing.Any: ...
    @property
    def state(self) -> typing.Any: ...
    @property
    def state_bound(self) -> typing.Any: ...
    @property
    def visits(self) -> typing.Any: ...
    @property
    def visits_bound(self) -> typing.Any: ...

class ChainStructureFields:
    """
    The fields of rlcore.ChainStructure.
    """
    @property
    def class_of(self) -> typing.Any: ...
    @property
    def class_start(self) -> typing.Any: ...
    @property
    def periods(self) -> typing.Any: ...
    @property
    def proper(self) -> typing.Any: ...
    @property
    def recurrent(self) -> typing.Any: ...
    @property
    def transient(self) -> typing.Any: ...

def chain_structure(
    mdp: Mdp,
    policy: numpy.typing.NDArray[numpy.float64],
    num_threads: typing.SupportsInt | typing.SupportsIndex,
    progress: typing.Any,
) -> ChainStructureFields:
    """
    The recurrent classes, transient states and periods of a policy's chain.
    """

def deviation_rows(
    mdp: Mdp,
    policy: numpy.typing.NDArray[numpy.float64],
    states: numpy.typing.NDArray[numpy.int64],
    tolerance: typing.SupportsFloat | typing.SupportsIndex,
    num_threads: typing.SupportsInt | typing.SupportsIndex,
    progress: typing.Any,
) -> StateRowsFields:
    """
    Rows of the deviation matrix.
    """

def episode_length(
    mdp: Mdp,
    policy: numpy.typing.NDArray[numpy.float64],
    tolerance: typing.SupportsFloat | typing.SupportsIndex,
    num_threads: typing.SupportsInt | typing.SupportsIndex,
    progress: typing.Any,
) -> StateRowsFields:
    """
    The mean and the variance of the number of steps to the end.
    """

def evaluate(
    mdp: Mdp,
    policies: numpy.typing.NDArray[numpy.float64],
    rewards: numpy.typing.NDArray[numpy.float64] | None,
    lead: collections.abc.Sequence[typing.SupportsInt | typing.SupportsIndex],
    discount: typing.SupportsFloat | typing.SupportsIndex,
    tolerance: typing.SupportsFloat | typing.SupportsIndex,
    num_threads: typing.SupportsInt | typing.SupportsIndex,
    progress: typing.Any,
) -> EvaluationFields:
    """
    Evaluates a batch of policies under a batch of rewards.
    """

def evaluate_average(
    mdp: Mdp,
    policies: numpy.typing.NDArray[numpy.float64],
    rewards: numpy.typing.NDArray[numpy.float64] | None,
    lead: collections.abc.Sequence[typing.SupportsInt | typing.SupportsIndex],
    tolerance: typing.SupportsFloat | typing.SupportsIndex,
    num_threads: typing.SupportsInt | typing.SupportsIndex,
    progress: typing.Any,
) -> EvaluationFields:
    """
    The same in the long run.
    """

def evaluate_episodic(
    mdp: Mdp,
    policies: numpy.typing.NDArray[numpy.float64],
    rewards: numpy.typing.NDArray[numpy.float64] | None,
    lead: collections.abc.Sequence[typing.SupportsInt | typing.SupportsIndex],
    tolerance: typing.SupportsFloat | typing.SupportsIndex,
    num_threads: typing.SupportsInt | typing.SupportsIndex,
    progress: typing.Any,
) -> EvaluationFields:
    """
    The same for episodes.
    """

def evaluate_finite_horizon(
    mdp: Mdp,
    policies: numpy.typing.NDArray[numpy.float64],
    discounts: numpy.typing.NDArray[numpy.float64],
    with_actions: bool,
    tolerance: typing.SupportsFloat | typing.SupportsIndex,
    num_threads: typing.SupportsInt | typing.SupportsIndex,
    progress: typing.Any,
) -> FiniteHorizonEvaluationFields:
    """
    The values of one policy for every step, or one for all.
    """

def first_passage_times(
    mdp: Mdp,
    policy: numpy.typing.NDArray[numpy.float64],
    targets: numpy.typing.NDArray[numpy.int64],
    tolerance: typing.SupportsFloat | typing.SupportsIndex,
    num_threads: typing.SupportsInt | typing.SupportsIndex,
    progress: typing.Any,
) -> StateRowsFields:
    """
    Mean first passage times, a row for each target.
    """

def kemeny_constant(
    mdp: Mdp,
    policy: numpy.typing.NDArray[numpy.float64],
    tolerance: typing.SupportsFloat | typing.SupportsIndex,
    num_threads: typing.SupportsInt | typing.SupportsIndex,
    progress: typing.Any,
) -> StateRowsFields:
    """
    Kemeny's constant, as one number in a row.
    """

def occupancy(
    mdp: Mdp,
    policies: numpy.typing.NDArray[numpy.float64],
    initials: numpy.typing.NDArray[numpy.float64],
    lead: collections.abc.Sequence[typing.SupportsInt | typing.SupportsIndex],
    discount: typing.SupportsFloat | typing.SupportsIndex,
    tolerance: typing.SupportsFloat | typing.SupportsIndex,
    num_threads: typing.SupportsInt | typing.SupportsIndex,
    progress: typing.Any,
) -> OccupancyFields:
    """
    The occupancies of a batch of policies from a batch of start distributions.
    """

def occupancy_average(
    mdp: Mdp,
    policies: numpy.typing.NDArray[numpy.float64],
    initials: numpy.typing.NDArray[numpy.float64],
    lead: collections.abc.Sequence[typing.SupportsInt | typing.SupportsIndex],
    tolerance: typing.SupportsFloat | typing.SupportsIndex,
    num_threads: typing.SupportsInt | typing.SupportsIndex,
    progress: typing.Any,
) -> OccupancyFields:
    """
    The same in the long run.
    """

def occupancy_episodic(
    mdp: Mdp,
    policies: numpy.typing.NDArray[numpy.float64],
    initials: numpy.typing.NDArray[numpy.float64],
    lead: collections.abc.Sequence[typing.SupportsInt | typing.SupportsIndex],
    tolerance: typing.SupportsFloat | typing.SupportsIndex,
    num_threads: typing.SupportsInt | typing.SupportsIndex,
    progress: typing.Any,
) -> OccupancyFields:
    """
    The same for episodes.
    """

def occupancy_finite_horizon(
    mdp: Mdp,
    policies: numpy.typing.NDArray[numpy.float64],
    discounts: numpy.typing.NDArray[numpy.float64],
    initial: numpy.typing.NDArray[numpy.float64],
    tolerance: typing.SupportsFloat | typing.SupportsIndex,
    num_threads: typing.SupportsInt | typing.SupportsIndex,
    progress: typing.Any,
) -> FiniteHorizonOccupancyFields:
    """
    The distributions and visits of one policy for every step, or one for all.
    """

def rows_are_canonical(column: numpy.typing.NDArray[numpy.int32], row_start: numpy.ndarray) -> bool:
    """
    Whether the columns of every row increase.
    """

def state_distribution(
    mdp: Mdp,
    policy: numpy.typing.NDArray[numpy.float64],
    initial: numpy.typing.NDArray[numpy.float64],
    steps: typing.SupportsInt | typing.SupportsIndex,
    num_threads: typing.SupportsInt | typing.SupportsIndex,
    progress: typing.Any,
) -> StateRowsFields:
    """
    Pr(s_t = .) for t = 0 .. steps.
    """

def successor_representation(
    mdp: Mdp,
    policy: numpy.typing.NDArray[numpy.float64],
    discount: typing.SupportsFloat | typing.SupportsIndex,
    states: numpy.typing.NDArray[numpy.int64],
    tolerance: typing.SupportsFloat | typing.SupportsIndex,
    num_threads: typing.SupportsInt | typing.SupportsIndex,
    progress: typing.Any,
) -> StateRowsFields:
    """
    Rows of (I - discount P_pi)^-1.
    """
