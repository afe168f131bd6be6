"""The option --policy: a policy by name, or from a file."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rlcore.errors import PolicyError
from rlcore.evaluation import evaluate
from rlcore.finite_horizon import FiniteHorizonEvaluation
from rlcore.mdp import MDP
from rlcore.policy import deterministic_policy, greedy_policy, uniform_policy
from rlcore.results import FloatArray
from rlcore.settings import Setting

NAMES = ("uniform", "greedy")


@dataclass(frozen=True, slots=True)
class NamedPolicy:
    """A policy, what the user called it, and what it is in words."""

    name: str
    description: str
    array: FloatArray


def read_policy(text: str, mdp: MDP, setting: Setting, **solving: Any) -> NamedPolicy:
    """Return the policy that the option names; `solving` is passed to `evaluate` where that is needed."""
    if text == "uniform":
        return NamedPolicy(text, "uniform policy", uniform_policy(mdp))
    if text == "greedy":
        better = _greedy(mdp, setting, **solving)
        return NamedPolicy(text, "policy greedy for the values of the uniform policy", better)
    return NamedPolicy(text, f"policy from {Path(text).name}", _as_policy(_read(text), mdp, text))


def _greedy(mdp: MDP, setting: Setting, **solving: Any) -> FloatArray:
    """Return what is greedy for the values of the uniform policy: over a number of steps, a policy for each of them."""
    found = evaluate(mdp, uniform_policy(mdp), setting, **solving)
    if isinstance(found, FiniteHorizonEvaluation):
        q, bounds = found.action_value, found.certificate.bounds  # the bounds of Q come with it
        tolerances = 2.0 * np.broadcast_to(bounds["action_value"], len(q))
        return np.stack([greedy_policy(mdp, *each) for each in zip(q, tolerances.tolist(), strict=True)])
    if found.action_value is None:
        raise PolicyError("policy: expected a file or uniform, since actions have no values here, got 'greedy'")
    return greedy_policy(mdp, replace(found, action_value=np.nan_to_num(found.action_value)))


def _read(text: str) -> NDArray[Any]:
    if Path(text).suffix.lower() in READERS:
        return read_array(text, "policy")
    near = get_close_matches(text, NAMES, n=1)
    hint = f"; did you mean {near[0]!r}?" if near else ""
    raise PolicyError(f"policy: expected uniform, greedy or a file ({', '.join(READERS)}), got {text!r}{hint}")


def read_array(text: str, argument: str) -> NDArray[Any]:
    """Return what a file holds, for an argument that is named in errors."""
    path = Path(text)
    read = READERS.get(path.suffix.lower())
    if read is None:
        raise PolicyError(f"{argument}: expected a file ({', '.join(READERS)}), got {text!r}")
    try:
        return read(path)
    except OSError as error:
        raise PolicyError(f"{argument}: cannot read {text!r}: {error.strerror or error}") from None
    except (ValueError, TypeError, EOFError) as error:
        raise PolicyError(f"{argument}: {text!r} holds no array: {error}") from None


def _read_npy(path: Path) -> NDArray[Any]:
    with path.open("rb") as file:
        return np.asarray(np.lib.format.read_array(file, allow_pickle=False))


def _read_csv(path: Path) -> NDArray[Any]:
    rows = [line.split(",") for line in path.read_text(encoding="utf-8-sig").splitlines() if line.strip()]
    table = np.array(rows, dtype=np.float64)
    return table.ravel() if 1 in table.shape else table


def _read_json(path: Path) -> NDArray[Any]:
    return np.array(json.loads(path.read_text(encoding="utf-8")))


READERS: dict[str, Callable[[Path], NDArray[Any]]] = {".npy": _read_npy, ".csv": _read_csv, ".json": _read_json}


def _as_policy(array: NDArray[Any], mdp: MDP, text: str) -> FloatArray:
    """Take an array of the policy's shape as it is, and one number or name for each state as its action."""
    if array.dtype.kind not in "fiubU":
        raise PolicyError(f"policy: {text!r} holds no array of numbers")
    if array.shape in (mdp.pair_shape, (mdp.num_pairs,)) and array.dtype.kind != "U":
        return np.ascontiguousarray(array, dtype=np.float64).reshape(mdp.pair_shape)
    if array.shape == (mdp.num_states,):
        return deterministic_policy(mdp, _as_actions(array, mdp, text))
    raise PolicyError(
        f"policy: expected shape {mdp.pair_shape}, or one action for each of the {mdp.num_states} states, "
        f"got shape {array.shape} from {text!r}"
    )


def _as_actions(array: NDArray[Any], mdp: MDP, text: str) -> NDArray[Any]:
    if array.dtype.kind == "U" and mdp.action_labels is not None:
        number = {str(label): index for index, label in enumerate(mdp.action_labels)}
        for name in array.tolist():
            if name not in number:
                raise PolicyError(f"policy: expected actions among {', '.join(number)}, got {name!r} from {text!r}")
        return np.array([number[name] for name in array.tolist()])
    if array.dtype.kind in "iuf" and np.isfinite(array).all() and (array == np.floor(array)).all():
        return array.astype(np.int64)
    raise PolicyError(f"policy: expected one whole number for each state, got other values from {text!r}")
