"""Exact references: the theory in rational arithmetic, word for word and without a rounding.

Each module carries the name of the part of rlcore that it checks and shares no line with it: it stands on Python's
integers alone, imports nothing of rlcore outside this folder and runs where the compiled core does not exist. Where
the core iterates or factorises in floating point, the reference eliminates in integers; where the core certifies an
error, the reference shows the error.

Models are plain nested lists. ``transition[s][a][t]`` is the probability P(t | s, a), ``reward[s][a]`` the expected
reward r(s, a), ``policy[s][a]`` the probability pi(a | s), ``initial[s]`` the start distribution rho0(s). States may
have different numbers of actions. A row of ``transition`` that sums to less than 1 ends the process with the missing
probability: termination needs no argument of its own. Nothing is normalised: floats are taken at their exact binary
values, and what is computed is the model as it is stored, with its rounding defects (see :func:`exact`). The settings
without a discount, Average and Episodic, leave no room for a defect: there the process ends by a ``termination[s][a]``
that is given, and P(s | s, a) is one minus the rest of the row (see :func:`ending_chain`).

Examples
--------
Wait for the reward or give up: what is it worth to wait every other time?

>>> from fractions import Fraction
>>> half = Fraction(1, 2)
>>> transition = [[[half, half], [0, 0]], [[0, 1]]]     # state 0: wait, give up; state 1 has one action
>>> reward = [[0, 1], [2]]
>>> policy = [[half, half], [1]]
>>> result = evaluate(transition, reward, policy, gamma=half, initial=[1, 0])
>>> [str(v) for v in result.value]
['8/7', '4']
>>> visits = occupancy(transition, policy, [1, 0], gamma=half).visits
>>> [str(rho) for rho in visits]                        # and 8/7 * (1/2 * 0 + 1/2 * 1) + 2/7 * 2 = 8/7 again
['8/7', '2/7']
"""

import importlib
from typing import TYPE_CHECKING, Any

from .ascend import AscentStep, ascend
from .bounds import bounds, bounds_average, bounds_episodic, enclosures, enclosures_episodic
from .check_improvement import ImprovementCheck, check_improvement
from .compatible_critic import (
    CompatibleCritic,
    compatible_critic,
    fisher_matrix,
    fisher_vector_product,
    natural_gradient,
)
from .conservative import ConservativeStep, conservative_step, mixture_bound
from .convergence import direct_parameter_bound, npg_bound, simulation_bound
from .coupling import Coupling, coupling, policy_coupling
from .discounted import (
    DeathMDP,
    DiscountedObjectives,
    FutilityIdentity,
    RandomHorizon,
    death_mdp,
    discounted_objectives,
    futility_identity,
    random_horizon,
    restart_chain,
)
from .divergence import PolicyDivergences, kl_divergence, policy_divergences, total_variation
from .episodic import (
    EpisodeLength,
    EpisodicEvaluation,
    EpisodicOccupancy,
    ImproperPolicyError,
    episode_length,
    evaluate_episodic,
    occupancy_episodic,
)
from .evaluation import Evaluation, evaluate
from .families import PolicyFamily, direct, linear_softmax, scored, tabular_softmax
from .finite_horizon import (
    FiniteHorizonEvaluation,
    FiniteHorizonOccupancy,
    evaluate_finite_horizon,
    occupancy_finite_horizon,
)
from .gradient import PolicyGradient, policy_gradient, policy_gradient_average, policy_gradient_episodic
from .gradient_estimation import EstimatorMoments, estimate_gradient
from .improvement import (
    Improvement,
    PerformanceDifference,
    improvement,
    improvement_average,
    improvement_episodic,
    performance_difference,
)
from .lemmas import ExpectedAdvantageBounds, Sides, eq_85, eq_88, lemma_2_3, lemma_2_4, lemma_2_5, lemmas, theorem_2_1
from .long_run import (
    AverageEvaluation,
    AverageOccupancy,
    cesaro_limit,
    deviation_rows,
    evaluate_average,
    first_passage_times,
    kemeny_constant,
    occupancy_average,
    stationary_distributions,
)
from .occupancy import Occupancy, occupancy, state_distribution, successor_representation
from .planning import (
    AverageOptimum,
    EndComponent,
    EpisodicOptimum,
    FiniteHorizonOptimum,
    Optimum,
    UnboundedValueError,
    end_components,
    solve,
    solve_average,
    solve_episodic,
    solve_finite_horizon,
)
from .practical_gradient import PracticalGradient, horizon_weights, practical_gradient, stationary_weights
from .rational import exact
from .simulation import Episode, philox, random_bits, simulate
from .structure import ChainStructure, EndingChain, chain_structure, ending_chain

if TYPE_CHECKING:
    from .improvement_run import improve
    from .trust_region import (
        Conservative,
        KLPenalty,
        MaxKL,
        MeanKL,
        NaturalGradient,
        TrustRegionStep,
        TrustRegionUpdate,
        dual_gap_of,
        trust_region_step,
        trust_region_step_average,
        trust_region_step_episodic,
        trust_region_update,
    )

__all__ = [
    "AscentStep",
    "AverageEvaluation",
    "AverageOccupancy",
    "AverageOptimum",
    "ChainStructure",
    "CompatibleCritic",
    "Conservative",
    "ConservativeStep",
    "Coupling",
    "DeathMDP",
    "DiscountedObjectives",
    "EndComponent",
    "EndingChain",
    "Episode",
    "EpisodeLength",
    "EpisodicEvaluation",
    "EpisodicOccupancy",
    "EpisodicOptimum",
    "EstimatorMoments",
    "Evaluation",
    "ExpectedAdvantageBounds",
    "FiniteHorizonEvaluation",
    "FiniteHorizonOccupancy",
    "FiniteHorizonOptimum",
    "FutilityIdentity",
    "ImproperPolicyError",
    "Improvement",
    "ImprovementCheck",
    "KLPenalty",
    "MaxKL",
    "MeanKL",
    "NaturalGradient",
    "Occupancy",
    "Optimum",
    "PerformanceDifference",
    "PolicyDivergences",
    "PolicyFamily",
    "PolicyGradient",
    "PracticalGradient",
    "RandomHorizon",
    "Sides",
    "TrustRegionStep",
    "TrustRegionUpdate",
    "UnboundedValueError",
    "ascend",
    "bounds",
    "bounds_average",
    "bounds_episodic",
    "cesaro_limit",
    "chain_structure",
    "check_improvement",
    "compatible_critic",
    "conservative_step",
    "coupling",
    "death_mdp",
    "deviation_rows",
    "direct",
    "direct_parameter_bound",
    "discounted_objectives",
    "dual_gap_of",
    "enclosures",
    "enclosures_episodic",
    "end_components",
    "ending_chain",
    "episode_length",
    "eq_85",
    "eq_88",
    "estimate_gradient",
    "evaluate",
    "evaluate_average",
    "evaluate_episodic",
    "evaluate_finite_horizon",
    "exact",
    "first_passage_times",
    "fisher_matrix",
    "fisher_vector_product",
    "futility_identity",
    "horizon_weights",
    "improve",
    "improvement",
    "improvement_average",
    "improvement_episodic",
    "kemeny_constant",
    "kl_divergence",
    "lemma_2_3",
    "lemma_2_4",
    "lemma_2_5",
    "lemmas",
    "linear_softmax",
    "mixture_bound",
    "natural_gradient",
    "npg_bound",
    "occupancy",
    "occupancy_average",
    "occupancy_episodic",
    "occupancy_finite_horizon",
    "performance_difference",
    "philox",
    "policy_coupling",
    "policy_divergences",
    "policy_gradient",
    "policy_gradient_average",
    "policy_gradient_episodic",
    "practical_gradient",
    "random_bits",
    "random_horizon",
    "restart_chain",
    "scored",
    "simulate",
    "simulation_bound",
    "solve",
    "solve_average",
    "solve_episodic",
    "solve_finite_horizon",
    "state_distribution",
    "stationary_distributions",
    "stationary_weights",
    "successor_representation",
    "tabular_softmax",
    "theorem_2_1",
    "total_variation",
    "trust_region_step",
    "trust_region_step_average",
    "trust_region_step_episodic",
    "trust_region_update",
]

# What needs logarithms in high precision is imported when it is first asked for: the rest does without mpmath.
_IN_HIGH_PRECISION = {
    "Conservative": "trust_region",
    "KLPenalty": "trust_region",
    "MaxKL": "trust_region",
    "MeanKL": "trust_region",
    "NaturalGradient": "trust_region",
    "TrustRegionStep": "trust_region",
    "TrustRegionUpdate": "trust_region",
    "dual_gap_of": "trust_region",
    "trust_region_step": "trust_region",
    "trust_region_step_average": "trust_region",
    "trust_region_step_episodic": "trust_region",
    "trust_region_update": "trust_region",
    "improve": "improvement_run",
}


def __getattr__(name: str) -> Any:
    if name not in _IN_HIGH_PRECISION:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    try:
        module = importlib.import_module(f".{_IN_HIGH_PRECISION[name]}", __name__)
    except ModuleNotFoundError as missing:
        raise ImportError(
            f"rlcore.reference.{name} needs the package mpmath; pip install 'rlcore[test]'", name=missing.name
        ) from missing
    found = globals()[name] = getattr(module, name)
    return found
