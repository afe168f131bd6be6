"""
The compiled core of rlcore. Use the functions of the package rlcore instead.
"""

from __future__ import annotations
import collections.abc
import numpy
import numpy.typing
import typing

__all__: list[str] = [
    "AdvantageWeightsFields",
    "Base",
    "COMPARISON_ERROR",
    "Candidates",
    "CertificateFields",
    "ChainStructureFields",
    "Comparisons",
    "DiscountedSumsFields",
    "Divergences",
    "EvaluationFields",
    "FiniteHorizonEvaluationFields",
    "FiniteHorizonOccupancyFields",
    "Mdp",
    "Neighbourhood",
    "OccupancyFields",
    "OldPolicy",
    "PlanFields",
    "ReturnGaps",
    "StateRowsFields",
    "StepShifts",
    "TransposedProductFields",
    "TrustRegionFields",
    "UndiscountedOptimumFields",
    "advantage_weights",
    "chain_structure",
    "check_policy",
    "compare",
    "deviation_rows",
    "discounted_sums",
    "divergences",
    "episode_length",
    "evaluate",
    "evaluate_average",
    "evaluate_episodic",
    "evaluate_finite_horizon",
    "first_passage_times",
    "kemeny_constant",
    "kl_error",
    "kl_penalty_step",
    "max_kl_step",
    "mean_kl_step",
    "occupancy",
    "occupancy_average",
    "occupancy_episodic",
    "occupancy_finite_horizon",
    "reachable_states",
    "return_gaps",
    "return_gaps_average",
    "return_gaps_episodic",
    "rows_are_canonical",
    "simulate",
    "solve_average",
    "solve_discounted",
    "solve_episodic",
    "solve_finite_horizon",
    "state_distribution",
    "step_shifts",
    "successor_representation",
    "transposed_product",
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
    def largest_row_sum(self) -> float:
        """
        Bounds the sum of the probabilities of every row.
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
    def rest_of_action_value(self) -> typing.Any: ...
    @property
    def rest_of_advantage(self) -> typing.Any: ...
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
    def rest_of_visits(self) -> typing.Any: ...
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

class Base:
    """
    A base policy, its V, A and the weights of the states.
    """
    def __init__(
        self,
        policy: numpy.typing.NDArray[numpy.float64],
        value: numpy.typing.NDArray[numpy.float64],
        advantage: numpy.typing.NDArray[numpy.float64],
        weight: numpy.typing.NDArray[numpy.float64],
        advantage_low: numpy.typing.NDArray[numpy.float64] | None = None,
        weight_low: numpy.typing.NDArray[numpy.float64] | None = None,
    ) -> None: ...

class Candidates:
    """
    Whole policies, or the rows that they change.
    """
    def __init__(
        self,
        rows: numpy.typing.NDArray[numpy.float64],
        start: numpy.typing.NDArray[numpy.int64] | None = None,
        states: numpy.typing.NDArray[numpy.int64] | None = None,
    ) -> None: ...

class Comparisons:
    """
    Sums and extremes over the states, (candidates,) each.
    """
    @property
    def abar(self) -> typing.Any: ...
    @property
    def abar_max(self) -> numpy.typing.NDArray[numpy.float64]: ...
    @property
    def abar_max_low(self) -> numpy.typing.NDArray[numpy.float64]: ...
    @property
    def abar_min(self) -> numpy.typing.NDArray[numpy.float64]: ...
    @property
    def abar_min_low(self) -> numpy.typing.NDArray[numpy.float64]: ...
    @property
    def abar_scale(self) -> numpy.typing.NDArray[numpy.float64]: ...
    @property
    def abar_visited(self) -> numpy.typing.NDArray[numpy.float64]: ...
    @property
    def alpha(self) -> numpy.typing.NDArray[numpy.float64]: ...
    @property
    def alpha_low(self) -> numpy.typing.NDArray[numpy.float64]: ...
    @property
    def drift(self) -> numpy.typing.NDArray[numpy.float64]: ...
    @property
    def drift_error(self) -> numpy.typing.NDArray[numpy.float64]: ...
    @property
    def drift_max(self) -> numpy.typing.NDArray[numpy.float64]: ...
    @property
    def gain(self) -> numpy.typing.NDArray[numpy.float64]: ...
    @property
    def gain_low(self) -> numpy.typing.NDArray[numpy.float64]: ...
    @property
    def gain_scale(self) -> numpy.typing.NDArray[numpy.float64]: ...
    @property
    def kl(self) -> numpy.typing.NDArray[numpy.float64]: ...
    @property
    def kl_error(self) -> numpy.typing.NDArray[numpy.float64]: ...
    @property
    def kl_low(self) -> numpy.typing.NDArray[numpy.float64]: ...
    @property
    def kl_max(self) -> numpy.typing.NDArray[numpy.float64]: ...
    @property
    def kl_max_low(self) -> numpy.typing.NDArray[numpy.float64]: ...
    @property
    def kl_visited(self) -> numpy.typing.NDArray[numpy.float64]: ...
    @property
    def largest_row_sum(self) -> numpy.typing.NDArray[numpy.float64]: ...
    @property
    def least_row_sum(self) -> numpy.typing.NDArray[numpy.float64]: ...
    @property
    def root_kl(self) -> numpy.typing.NDArray[numpy.float64]: ...
    @property
    def sum_change(self) -> numpy.typing.NDArray[numpy.float64]: ...
    @property
    def tv(self) -> numpy.typing.NDArray[numpy.float64]: ...
    @property
    def tv_low(self) -> numpy.typing.NDArray[numpy.float64]: ...
    @property
    def tv_visited(self) -> numpy.typing.NDArray[numpy.float64]: ...

class StepShifts:
    """
    Sums over the shift of each candidate, (candidates,) each.
    """
    @property
    def carried(self) -> numpy.typing.NDArray[numpy.float64]: ...
    @property
    def error(self) -> numpy.typing.NDArray[numpy.float64]: ...
    @property
    def l1(self) -> numpy.typing.NDArray[numpy.float64]: ...
    @property
    def mass(self) -> numpy.typing.NDArray[numpy.float64]: ...

class ReturnGaps:
    """
    eta' - L of each candidate, (candidates,) each.
    """
    @property
    def l1(self) -> numpy.typing.NDArray[numpy.float64]: ...
    @property
    def l1_error(self) -> numpy.typing.NDArray[numpy.float64]: ...
    @property
    def l1_low(self) -> numpy.typing.NDArray[numpy.float64]: ...
    @property
    def largest(self) -> numpy.typing.NDArray[numpy.float64]: ...
    @property
    def mass(self) -> numpy.typing.NDArray[numpy.float64]: ...
    @property
    def of_abar(self) -> numpy.typing.NDArray[numpy.float64]: ...
    @property
    def of_abar_error(self) -> numpy.typing.NDArray[numpy.float64]: ...
    @property
    def of_abar_low(self) -> numpy.typing.NDArray[numpy.float64]: ...
    @property
    def of_stored(self) -> numpy.typing.NDArray[numpy.float64]: ...
    @property
    def of_stored_error(self) -> numpy.typing.NDArray[numpy.float64]: ...
    @property
    def of_stored_low(self) -> numpy.typing.NDArray[numpy.float64]: ...
    @property
    def spread(self) -> numpy.typing.NDArray[numpy.float64]: ...

class DiscountedSumsFields:
    """
    (I - gamma P_pi)^-1 f of several policies.
    """
    @property
    def bound(self) -> typing.Any: ...
    @property
    def certificate(self) -> CertificateFields: ...
    @property
    def value(self) -> typing.Any: ...

class Neighbourhood:
    """
    What the solves for policies near one policy share.
    """
    def __init__(
        self,
        mdp: Mdp,
        policy: numpy.typing.NDArray[numpy.float64],
        discount: typing.SupportsFloat | typing.SupportsIndex,
    ) -> None: ...

class Divergences:
    """
    TV and KL of two policies, (num_states,) each.
    """
    @property
    def kl(self) -> numpy.typing.NDArray[numpy.float64]: ...
    @property
    def tv(self) -> numpy.typing.NDArray[numpy.float64]: ...

class PlanFields:
    """
    The fields of rlcore.Solution.
    """
    @property
    def certificate(self) -> CertificateFields: ...
    @property
    def policy(self) -> typing.Any: ...
    @property
    def policy_value_bound(self) -> typing.Any: ...
    @property
    def start_value(self) -> typing.Any: ...
    @property
    def start_value_bound(self) -> typing.Any: ...
    @property
    def value(self) -> typing.Any: ...
    @property
    def value_bound(self) -> typing.Any: ...

class OldPolicy:
    """
    A policy, its A, the weights of the states, and what is a tie.
    """
    def __init__(
        self,
        policy: numpy.typing.NDArray[numpy.float64],
        advantage: numpy.typing.NDArray[numpy.float64],
        weight: numpy.typing.NDArray[numpy.float64],
        tie: typing.SupportsFloat | typing.SupportsIndex,
    ) -> None: ...

class TrustRegionFields:
    """
    The fields of rlcore.TrustRegionStep.
    """
    @property
    def dual_gap(self) -> float: ...
    @property
    def kl(self) -> typing.Any: ...
    @property
    def kl_error(self) -> float: ...
    @property
    def multiplier(self) -> typing.Any: ...
    @property
    def passes(self) -> int: ...
    @property
    def policy(self) -> typing.Any: ...
    @property
    def price(self) -> float: ...

class AdvantageWeightsFields:
    """
    The weights of a gradient, and what bounds their errors.
    """
    @property
    def largest_lost(self) -> float: ...
    @property
    def largest_mean(self) -> float: ...
    @property
    def largest_row(self) -> float: ...
    @property
    def largest_size(self) -> float: ...
    @property
    def largest_value(self) -> float: ...
    @property
    def lost(self) -> float: ...
    @property
    def low(self) -> typing.Any: ...
    @property
    def mean(self) -> float: ...
    @property
    def size(self) -> float: ...
    @property
    def undefined(self) -> int: ...
    @property
    def weight(self) -> typing.Any: ...

class TransposedProductFields:
    """
    Numbers and the bound on the error of each.
    """
    @property
    def bound(self) -> typing.Any: ...
    @property
    def value(self) -> typing.Any: ...

class UndiscountedOptimumFields:
    """
    The fields of rlcore.Solution, without a discount.
    """
    @property
    def certificate(self) -> CertificateFields: ...
    @property
    def gain(self) -> typing.Any: ...
    @property
    def gain_bound(self) -> float: ...
    @property
    def policy(self) -> typing.Any: ...
    @property
    def policy_gain_bound(self) -> float: ...
    @property
    def policy_value_bound(self) -> float: ...
    @property
    def start_value(self) -> typing.Any: ...
    @property
    def start_value_bound(self) -> float: ...
    @property
    def value(self) -> typing.Any: ...
    @property
    def value_bound(self) -> float: ...

def advantage_weights(
    mdp: Mdp,
    policy: numpy.typing.NDArray[numpy.float64] | None,
    value: numpy.typing.NDArray[numpy.float64],
    value_low: numpy.typing.NDArray[numpy.float64],
    visits: numpy.typing.NDArray[numpy.float64],
    visits_low: numpy.typing.NDArray[numpy.float64],
    num_threads: typing.SupportsInt | typing.SupportsIndex,
) -> AdvantageWeightsFields:
    """
    rho pi A of every pair.
    """

def chain_structure(
    mdp: Mdp,
    policy: numpy.typing.NDArray[numpy.float64],
    num_threads: typing.SupportsInt | typing.SupportsIndex,
    progress: typing.Any,
) -> ChainStructureFields:
    """
    The recurrent classes, transient states and periods of a policy's chain.
    """

def check_policy(mdp: Mdp, policy: numpy.typing.NDArray[numpy.float64], argument: str) -> None:
    """
    Raises PolicyError, naming the argument, if it is not a distribution in every state.
    """

def compare(
    mdp: Mdp,
    base: Base,
    candidates: Candidates,
    with_abar: bool,
    num_threads: typing.SupportsInt | typing.SupportsIndex,
    progress: typing.Any,
) -> Comparisons:
    """
    Compares candidates with a base policy.
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

def discounted_sums(
    near: Neighbourhood,
    policies: numpy.typing.NDArray[numpy.float64],
    functions: numpy.typing.NDArray[numpy.float64],
    tolerance: typing.SupportsFloat | typing.SupportsIndex,
    num_threads: typing.SupportsInt | typing.SupportsIndex,
    progress: typing.Any,
) -> DiscountedSumsFields:
    """
    The discounted sums of a function of the state under each policy.
    """

def divergences(
    mdp: Mdp, policy: numpy.typing.NDArray[numpy.float64], candidate: numpy.typing.NDArray[numpy.float64]
) -> Divergences:
    """
    TV and KL of two policies in each state.
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

def kl_error(num_actions: typing.SupportsInt | typing.SupportsIndex) -> float:
    """
    Bounds the relative error of a KL.
    """

def kl_penalty_step(
    mdp: Mdp,
    old: OldPolicy,
    coefficient: typing.SupportsFloat | typing.SupportsIndex,
    num_threads: typing.SupportsInt | typing.SupportsIndex,
    progress: typing.Any,
) -> TrustRegionFields:
    """
    The policy with the best sum w Abar - coefficient max KL.
    """

def max_kl_step(
    mdp: Mdp,
    old: OldPolicy,
    radius: typing.SupportsFloat | typing.SupportsIndex,
    num_threads: typing.SupportsInt | typing.SupportsIndex,
    progress: typing.Any,
) -> TrustRegionFields:
    """
    The best policy with KL <= radius in every state.
    """

def mean_kl_step(
    mdp: Mdp,
    old: OldPolicy,
    share: typing.SupportsFloat | typing.SupportsIndex,
    radius: typing.SupportsFloat | typing.SupportsIndex,
    num_threads: typing.SupportsInt | typing.SupportsIndex,
    progress: typing.Any,
) -> TrustRegionFields:
    """
    The best policy with share sum w KL <= radius.
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

def reachable_states(
    mdp: Mdp, policy: numpy.typing.NDArray[numpy.float64], initial: numpy.typing.NDArray[numpy.float64]
) -> numpy.ndarray:
    """
    Which states a policy can visit from where `initial` is positive.
    """

def return_gaps(
    mdp: Mdp,
    base: Base,
    errors: typing.Annotated[collections.abc.Sequence[typing.SupportsFloat | typing.SupportsIndex], "FixedSize(3)"],
    candidates: Candidates,
    discount: typing.SupportsFloat | typing.SupportsIndex,
    tolerance: typing.SupportsFloat | typing.SupportsIndex,
    num_threads: typing.SupportsInt | typing.SupportsIndex,
    progress: typing.Any,
) -> ReturnGaps:
    """
    The gaps of whole candidates, to the last digit.
    """

def return_gaps_average(
    mdp: Mdp,
    base: Base,
    errors: typing.Annotated[collections.abc.Sequence[typing.SupportsFloat | typing.SupportsIndex], "FixedSize(3)"],
    candidates: Candidates,
    discount: typing.SupportsFloat | typing.SupportsIndex,
    tolerance: typing.SupportsFloat | typing.SupportsIndex,
    num_threads: typing.SupportsInt | typing.SupportsIndex,
    progress: typing.Any,
) -> ReturnGaps:
    """
    The gaps of whole candidates, to the last digit.
    """

def return_gaps_episodic(
    mdp: Mdp,
    base: Base,
    errors: typing.Annotated[collections.abc.Sequence[typing.SupportsFloat | typing.SupportsIndex], "FixedSize(3)"],
    candidates: Candidates,
    discount: typing.SupportsFloat | typing.SupportsIndex,
    tolerance: typing.SupportsFloat | typing.SupportsIndex,
    num_threads: typing.SupportsInt | typing.SupportsIndex,
    progress: typing.Any,
) -> ReturnGaps:
    """
    The gaps of whole candidates, to the last digit.
    """

def rows_are_canonical(column: numpy.typing.NDArray[numpy.int32], row_start: numpy.ndarray) -> bool:
    """
    Whether the columns of every row increase.
    """

def simulate(
    mdp: Mdp,
    policy: numpy.typing.NDArray[numpy.float64],
    initial: numpy.typing.NDArray[numpy.float64],
    seed: typing.SupportsInt | typing.SupportsIndex,
    first_episode: typing.SupportsInt | typing.SupportsIndex,
    episodes: typing.SupportsInt | typing.SupportsIndex,
    steps: typing.SupportsInt | typing.SupportsIndex,
    num_threads: typing.SupportsInt | typing.SupportsIndex,
    progress: typing.Any,
) -> tuple[numpy.ndarray, numpy.ndarray, numpy.ndarray]:
    """
    The states, pairs and lengths of episodes.
    """

def solve_average(
    mdp: Mdp,
    tolerance: typing.SupportsFloat | typing.SupportsIndex,
    num_threads: typing.SupportsInt | typing.SupportsIndex,
    progress: typing.Any,
) -> UndiscountedOptimumFields:
    """
    Finds an optimal policy for the long run.
    """

def solve_discounted(
    mdp: Mdp,
    discount: typing.SupportsFloat | typing.SupportsIndex,
    tolerance: typing.SupportsFloat | typing.SupportsIndex,
    num_threads: typing.SupportsInt | typing.SupportsIndex,
    progress: typing.Any,
) -> PlanFields:
    """
    An optimal policy with a discount.
    """

def solve_episodic(
    mdp: Mdp,
    tolerance: typing.SupportsFloat | typing.SupportsIndex,
    num_threads: typing.SupportsInt | typing.SupportsIndex,
    progress: typing.Any,
) -> UndiscountedOptimumFields:
    """
    Finds an optimal policy for episodes.
    """

def solve_finite_horizon(
    mdp: Mdp,
    discounts: numpy.typing.NDArray[numpy.float64],
    tolerance: typing.SupportsFloat | typing.SupportsIndex,
    num_threads: typing.SupportsInt | typing.SupportsIndex,
    progress: typing.Any,
) -> PlanFields:
    """
    An optimal policy for every step.
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

def step_shifts(
    mdp: Mdp,
    base: Base,
    candidates: Candidates,
    functions: numpy.typing.NDArray[numpy.float64] | None,
    undiscounted: bool,
    num_threads: typing.SupportsInt | typing.SupportsIndex,
    progress: typing.Any,
) -> StepShifts:
    """
    Where one step of each candidate goes that a step of the base does not.
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

def transposed_product(
    first: numpy.typing.NDArray[numpy.int64],
    column: numpy.typing.NDArray[numpy.int64],
    entry: numpy.typing.NDArray[numpy.float64],
    num_columns: typing.SupportsInt | typing.SupportsIndex,
    weight: numpy.typing.NDArray[numpy.float64],
    weight_low: numpy.typing.NDArray[numpy.float64],
) -> TransposedProductFields:
    """
    The transpose of a matrix of pairs times twofold numbers.
    """

COMPARISON_ERROR: float = 1.4210854715202004e-14
