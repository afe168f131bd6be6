"""Exact, certified answers about policies on finite Markov decision processes."""

from importlib.metadata import version as _version

from rlcore import gallery, plot
from rlcore.errors import (
    ArgumentError,
    ConvergenceError,
    InputError,
    MissingPackageError,
    ModelError,
    PolicyError,
    RlcoreError,
    SettingError,
)
from rlcore.evaluation import evaluate
from rlcore.io.file import load, save, validate
from rlcore.io.gymnasium import from_gymnasium
from rlcore.mdp import MDP
from rlcore.occupancy import occupancy, state_distribution, successor_representation
from rlcore.policy import (
    deterministic_policy,
    epsilon_greedy_policy,
    greedy_policy,
    mixture_policy,
    random_policy,
    softmax_policy,
    uniform_policy,
)
from rlcore.results import Certificate, CertifiedArray, Evaluation, Occupancy, Progress
from rlcore.settings import Discounted

__version__ = _version("rlcore")

__all__ = [
    "MDP",
    "ArgumentError",
    "Certificate",
    "CertifiedArray",
    "ConvergenceError",
    "Discounted",
    "Evaluation",
    "InputError",
    "MissingPackageError",
    "ModelError",
    "Occupancy",
    "PolicyError",
    "Progress",
    "RlcoreError",
    "SettingError",
    "deterministic_policy",
    "epsilon_greedy_policy",
    "evaluate",
    "from_gymnasium",
    "gallery",
    "greedy_policy",
    "load",
    "mixture_policy",
    "occupancy",
    "plot",
    "random_policy",
    "save",
    "softmax_policy",
    "state_distribution",
    "successor_representation",
    "uniform_policy",
    "validate",
]
