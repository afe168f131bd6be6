"""Exact, certified answers about policies on finite Markov decision processes."""

from importlib.metadata import version as _version

from rlcore import gallery, plot
from rlcore.ascend import Ascent, AscentHistory, ascend
from rlcore.audit import Audit, audit
from rlcore.candidates import PolicyChanges
from rlcore.chain_structure import ChainStructure, chain_structure
from rlcore.checked_step import CheckedStep
from rlcore.compatible_critic import CompatibleCritic, compatible_critic
from rlcore.conservative import Conservative
from rlcore.convergence_bounds import direct_parameter_bound, npg_bound, simulation_bound
from rlcore.coupling import Coupling, PolicyCoupling, coupling, policy_coupling
from rlcore.death_mdp import death_mdp
from rlcore.divergence import PolicyDivergences, policy_divergences
from rlcore.enclosure import Enclosure, Verdict
from rlcore.errors import (
    ArgumentError,
    ConvergenceError,
    ImproperPolicyError,
    InputError,
    MissingPackageError,
    ModelError,
    PolicyError,
    RlcoreError,
    SettingError,
    UnboundedValueError,
)
from rlcore.evaluation import evaluate
from rlcore.families import Direct, LinearSoftmax, Scores, TabularSoftmax
from rlcore.finite_horizon import FiniteHorizonEvaluation, FiniteHorizonOccupancy
from rlcore.gradient import PolicyGradient, policy_gradient
from rlcore.gradient_estimation import EstimateHistory, GradientEstimate, estimate_gradient
from rlcore.improve import improve
from rlcore.improvement import check_improvement
from rlcore.improvement_report import BoundReport, ImprovementReport
from rlcore.improvement_run import ImprovementHistory, ImprovementRun, ImprovementStep
from rlcore.io.file import load, save, validate
from rlcore.io.gymnasium import from_gymnasium
from rlcore.lemmas import Lemmas, Statement, lemmas
from rlcore.long_run import deviation_rows, episode_length, first_passage_times, kemeny_constant
from rlcore.mdp import MDP
from rlcore.mixture_bound import MixtureBound, mixture_bound
from rlcore.natural_gradient import fisher_matrix, fisher_vector_product, natural_gradient
from rlcore.natural_step import NaturalGradient
from rlcore.network_scores import scores_from_jax, scores_from_torch
from rlcore.occupancy import occupancy, state_distribution, successor_representation
from rlcore.planning import solve
from rlcore.policy import (
    deterministic_policy,
    epsilon_greedy_policy,
    greedy_policy,
    mixture_policy,
    random_policy,
    softmax_policy,
    uniform_policy,
)
from rlcore.practical_gradient import PracticalGradient, practical_gradient
from rlcore.regions import KLPenalty, MaxKL, MeanKL
from rlcore.results import Certificate, CertifiedArray, Evaluation, Occupancy, Progress, Solution
from rlcore.settings import Average, Discounted, Episodic, FiniteHorizon
from rlcore.settings_comparison import SettingsComparison, compare_settings
from rlcore.simulation import Trajectories, simulate
from rlcore.statements import AuditRow
from rlcore.trpo import TRPO
from rlcore.trust_region import TrustRegionStep, trust_region_step

__version__ = _version("rlcore")

__all__ = [
    "MDP",
    "TRPO",
    "ArgumentError",
    "Ascent",
    "AscentHistory",
    "Audit",
    "AuditRow",
    "Average",
    "BoundReport",
    "Certificate",
    "CertifiedArray",
    "ChainStructure",
    "CheckedStep",
    "CompatibleCritic",
    "Conservative",
    "ConvergenceError",
    "Coupling",
    "Direct",
    "Discounted",
    "Enclosure",
    "Episodic",
    "EstimateHistory",
    "Evaluation",
    "FiniteHorizon",
    "FiniteHorizonEvaluation",
    "FiniteHorizonOccupancy",
    "GradientEstimate",
    "ImproperPolicyError",
    "ImprovementHistory",
    "ImprovementReport",
    "ImprovementRun",
    "ImprovementStep",
    "InputError",
    "KLPenalty",
    "Lemmas",
    "LinearSoftmax",
    "MaxKL",
    "MeanKL",
    "MissingPackageError",
    "MixtureBound",
    "ModelError",
    "NaturalGradient",
    "Occupancy",
    "PolicyChanges",
    "PolicyCoupling",
    "PolicyDivergences",
    "PolicyError",
    "PolicyGradient",
    "PracticalGradient",
    "Progress",
    "RlcoreError",
    "Scores",
    "SettingError",
    "SettingsComparison",
    "Solution",
    "Statement",
    "TabularSoftmax",
    "Trajectories",
    "TrustRegionStep",
    "UnboundedValueError",
    "Verdict",
    "ascend",
    "audit",
    "chain_structure",
    "check_improvement",
    "compare_settings",
    "compatible_critic",
    "coupling",
    "death_mdp",
    "deterministic_policy",
    "deviation_rows",
    "direct_parameter_bound",
    "episode_length",
    "epsilon_greedy_policy",
    "estimate_gradient",
    "evaluate",
    "first_passage_times",
    "fisher_matrix",
    "fisher_vector_product",
    "from_gymnasium",
    "gallery",
    "greedy_policy",
    "improve",
    "kemeny_constant",
    "lemmas",
    "load",
    "mixture_bound",
    "mixture_policy",
    "natural_gradient",
    "npg_bound",
    "occupancy",
    "plot",
    "policy_coupling",
    "policy_divergences",
    "policy_gradient",
    "practical_gradient",
    "random_policy",
    "save",
    "scores_from_jax",
    "scores_from_torch",
    "simulate",
    "simulation_bound",
    "softmax_policy",
    "solve",
    "state_distribution",
    "successor_representation",
    "trust_region_step",
    "uniform_policy",
    "validate",
]
