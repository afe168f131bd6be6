"""Candidates for a policy: one by name or from a file, or a batch from a file or at random."""

from __future__ import annotations

import zipfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from rlcore.cli.policy_argument import NamedPolicy, read_policy
from rlcore.errors import ArgumentError, PolicyError
from rlcore.evaluation import evaluate
from rlcore.mdp import MDP
from rlcore.over_actions import max_over_actions, over_pairs, sum_over_actions
from rlcore.policy import greedy_policy, random_policy
from rlcore.results import Evaluation, FloatArray
from rlcore.settings import Setting

CANDIDATE_FORMS = "greedy, softmax-step, uniform or a file"
BATCH_FORMS = "random:COUNT[:SEED] or a file, .npy or .npz, with an array (COUNT, states, actions)"


def read_candidate(
    text: str, mdp: MDP, base: NamedPolicy, setting: Setting, step: float | None, **solving: Any
) -> NamedPolicy:
    """Return the candidate that the option names, made from the base policy's advantages where its name says so."""
    if step is not None and text != "softmax-step":
        raise ArgumentError(f"step: belongs to --candidate softmax-step, got {text!r}")
    if text == "greedy":
        better = greedy_policy(mdp, _action_values(mdp, base, setting, text, **solving))
        return NamedPolicy(text, "the policy greedy for its values", better)
    if text == "softmax-step":
        return _softmax_step(mdp, base, setting, step, **solving)
    found = read_policy(text, mdp, setting, **solving)
    return NamedPolicy(found.name, f"the {found.description}", found.array)


def read_candidates(text: str, mdp: MDP) -> tuple[str, FloatArray]:
    """Return what the argument is in words, and the batch (B, *pair_shape)."""
    source, colon, rest = text.partition(":")
    if source == "random" and colon:
        return _at_random(text, rest, mdp)
    path = Path(text)
    if path.suffix.lower() not in (".npy", ".npz"):
        raise PolicyError(f"CANDIDATES: expected {BATCH_FORMS}, got {text!r}")
    return f"candidates from {path.name}", _as_batch(_read(path), mdp, text)


def _softmax_step(mdp: MDP, base: NamedPolicy, setting: Setting, step: float | None, **solving: Any) -> NamedPolicy:
    """Return pi' ~ pi exp(step A), where a step of 1 / max|A| is the default."""
    advantage = _evaluated(mdp, base, setting, "softmax-step", **solving).advantage.ravel()
    advantage = np.nan_to_num(advantage)
    largest = float(np.abs(advantage).max())
    if step is not None and not np.isfinite(step):
        raise ArgumentError(f"step: expected a finite number, got {step!r}")
    if step is None:
        step = 1.0 / largest if largest > 0.0 else 1.0
    power = step * advantage
    weight = base.array.ravel() * np.exp(power - over_pairs(mdp, max_over_actions(mdp, power)))
    total = over_pairs(mdp, sum_over_actions(mdp, weight))
    if not (np.isfinite(weight).all() and (total > 0.0).all()):
        raise ArgumentError(f"step: expected a step that leaves every state a probability above 0, got {step!r}")
    better = (weight / total).reshape(mdp.pair_shape)
    return NamedPolicy("softmax-step", f"its softmax step of {step:.3g}", better)


def _action_values(mdp: MDP, base: NamedPolicy, setting: Setting, text: str, **solving: Any) -> Evaluation:
    found = _evaluated(mdp, base, setting, text, **solving)
    return replace(found, action_value=np.nan_to_num(found.action_value))


def _evaluated(mdp: MDP, base: NamedPolicy, setting: Setting, text: str, **solving: Any) -> Evaluation:
    found = evaluate(mdp, base.array, setting, **solving)
    if not isinstance(found, Evaluation) or found.action_value is None:
        raise PolicyError(f"candidate: expected a file, since actions have no values here, got {text!r}")
    return found


def _at_random(text: str, rest: str, mdp: MDP) -> tuple[str, FloatArray]:
    count, _, seed = rest.partition(":")
    if not (
        count.isascii() and count.isdigit() and int(count) > 0 and (not seed or (seed.isascii() and seed.isdigit()))
    ):
        raise PolicyError(f"CANDIDATES: expected random:COUNT[:SEED] with whole numbers, got {text!r}")
    rng = np.random.default_rng(int(seed or 0))
    return f"{count} candidates at random", np.stack([random_policy(mdp, rng) for _ in range(int(count))])


def _read(path: Path) -> Any:
    try:
        with path.open("rb") as file:
            if path.suffix.lower() == ".npy":
                return np.lib.format.read_array(file, allow_pickle=False)
            with np.load(file, allow_pickle=False) as archive:
                names = archive.files
                if len(names) != 1:
                    raise PolicyError(
                        f"CANDIDATES: expected one array in {str(path)!r}, got {', '.join(names) or 'none'}"
                    )
                return archive[names[0]]
    except OSError as error:
        raise PolicyError(f"CANDIDATES: cannot read {str(path)!r}: {error.strerror or error}") from None
    except PolicyError:
        raise
    except (ValueError, EOFError, zipfile.BadZipFile) as error:
        raise PolicyError(f"CANDIDATES: {str(path)!r} holds no array: {error}") from None


def _as_batch(array: Any, mdp: MDP, text: str) -> FloatArray:
    """Take a batch as it is, and one policy as a batch of one."""
    if array.dtype.kind not in "fiub":
        raise PolicyError(f"CANDIDATES: {text!r} holds no array of numbers")
    if array.shape == mdp.pair_shape:
        array = array[None]
    if array.ndim != len(mdp.pair_shape) + 1 or array.shape[1:] != mdp.pair_shape or array.shape[0] == 0:
        expected = ", ".join(["B", *map(str, mdp.pair_shape)])
        raise PolicyError(f"CANDIDATES: expected shape ({expected}), got shape {array.shape} from {text!r}")
    return np.ascontiguousarray(array, dtype=np.float64)
