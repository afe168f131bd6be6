"""The options --family, --theta, --features and --policy: a family of policies at some parameters."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rlcore.cli.policy_argument import NamedPolicy, read_array, read_policy
from rlcore.errors import ArgumentError, PolicyError
from rlcore.families import Direct, Family, LinearSoftmax, TabularSoftmax
from rlcore.mdp import MDP
from rlcore.settings import Setting


class FamilyName(StrEnum):
    """What the parameters of a policy are."""

    TABULAR = "tabular"
    LINEAR = "linear"
    DIRECT = "direct"


@dataclass(frozen=True, slots=True)
class NamedFamily:
    """A family of policies, what it is in words, and its policy."""

    name: str
    description: str
    family: Family
    policy: NamedPolicy


def read_family(
    name: FamilyName,
    policy: str | None,
    theta: str | None,
    features: str | None,
    mdp: MDP,
    setting: Setting,
    **solving: Any,
) -> NamedFamily:
    """Return the family at the parameters that the options name; without any, at those of the uniform policy."""
    if policy is not None and theta is not None:
        raise ArgumentError("theta: expected either --theta or --policy, got both")
    if (features is not None) != (name is FamilyName.LINEAR):
        raise ArgumentError("features: expected a file with --family linear, and with no other")
    if name is FamilyName.LINEAR:
        assert features is not None
        if policy is not None:
            raise ArgumentError("policy: expected --theta with --family linear, which cannot have any policy")
        return _linear(read_array(features, "features"), theta, mdp)
    if name is FamilyName.DIRECT:
        if theta is not None:
            raise ArgumentError("theta: expected --policy with --family direct, whose parameters are probabilities")
        chosen = read_policy(policy or "uniform", mdp, setting, **solving)
        return NamedFamily(str(name), "direct parameters", Direct(chosen.array), chosen)
    if theta is not None:
        family = TabularSoftmax(read_array(theta, "theta"))
        return NamedFamily(str(name), "tabular softmax", family, _policy_of(family, theta, mdp))
    chosen = read_policy(policy or "uniform", mdp, setting, **solving)
    return NamedFamily(str(name), "tabular softmax", _with_policy(chosen), chosen)


def _with_policy(chosen: NamedPolicy) -> TabularSoftmax:
    if not chosen.array.all():
        raise PolicyError(
            "policy: expected positive probabilities, for a softmax has no others, got 0.0; use --family direct"
        )
    return TabularSoftmax(np.log(chosen.array))


def _linear(features: NDArray[Any], theta: str | None, mdp: MDP) -> NamedFamily:
    parameters = np.zeros(features.shape[-1:]) if theta is None else read_array(theta, "theta")
    family = LinearSoftmax(features, parameters)
    return NamedFamily("linear", "linear softmax", family, _policy_of(family, theta, mdp))


def _policy_of(family: Family, theta: str | None, mdp: MDP) -> NamedPolicy:
    array = family.on(mdp).policy.reshape(mdp.pair_shape)
    if theta is None:
        return NamedPolicy("uniform", "uniform policy", array)
    return NamedPolicy(theta, f"policy at theta from {Path(theta).name}", array)
