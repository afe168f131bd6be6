"""Answers for other programs: one JSON document, whose keys are a promise.

Every document has ``rlcore`` (the version), ``command`` and ``model``; numbers have full precision, NaN and infinity do
not occur, and what does not exist is null.

``model``
    ``name``, ``num_states``, ``num_pairs``, ``pair_shape``, ``state_labels`` and ``action_labels`` (lists or null; a
    label that is a tuple becomes a list). ``pair_state`` and ``pair_action`` say what the pairs are if states have
    different numbers of actions; otherwise they are null, and pair arrays are tables of states by actions.
evaluate
    ``policy`` (``name``, ``probabilities``), ``setting`` (``name``, and ``gamma`` if it is "discounted" or ``steps`` if
    it is "horizon"), ``start_value``, ``value``, ``action_value``, ``advantage``, ``certificate``; in "average" also
    ``gain``. Over a horizon they are lists with one item for each time.
occupancy
    ``policy``, ``setting``, ``state`` (d), ``visits`` (rho or e), ``pair``, ``certificate``.
settings
    ``policy`` and ``rows``, a list with one item for each setting: ``setting``, ``start_value``, ``objective``,
    ``mean_reward``, ``distance``, ``state`` (d), ``share`` (d / sum d), ``bounds``, ``reason`` (why the setting does
    not exist for this policy, or null).
audit
    ``policy`` and ``candidate`` (``name``, ``probabilities``), ``setting``, ``verdict``, ``summary``, ``improvement``
    (``lower``, ``upper``: of eta' - eta), and ``rows``, a list with one item for each statement: ``name``, ``source``,
    ``statement``, ``left_lower``, ``left_upper``, ``relation``, ``right_lower``, ``right_upper``, ``residual_lower``,
    ``residual_upper``, ``tolerance``, ``verdict``, ``reason``. What is infinite is null.
check
    ``policy``, ``candidates`` (in words), ``setting``, ``num_candidates``, and ``rows``, the best candidates in order:
    ``candidate`` (its number), ``eta``, ``eta_new``, ``improvement_lower``, ``improvement_upper``, ``improves``,
    ``surrogate``, ``gap``, ``alpha``, ``kl_max``, ``tv_mean``, ``kl_mean``, ``epsilon``, ``epsilon_bar``, and for each
    bound ``NAME.gap``, ``NAME.lower``, ``NAME.verdict``. What is infinite is null.
improve
    ``policy``, ``setting``, ``optimum`` (``lower``, ``upper``, or null), and ``runs``, a list with one item for each
    region: ``region``, ``status``, ``policy`` (the last one), and ``rows``, one for each policy from the first on:
    ``iteration``, ``eta``, ``eta_lower``, ``eta_upper``, ``gap_lower``, ``gap_upper``, and of the step before it
    ``improvement_lower``, ``improvement_upper``, ``improves``, ``surrogate_gain``, ``guaranteed``, ``kl_mean``,
    ``kl_max``, ``dual_gap``, ``seconds``. What is infinite is null.
gradient
    ``policy``, ``setting``, ``family``, ``start_value`` or ``gain``, ``gradient`` (of the shape of the parameters),
    ``natural_gradient`` (or null), ``practical_gradient`` (``gradient``, ``cosine``, ``relative_error``; or null),
    ``certificate``, ``episodes`` (``count``, ``steps``, ``seed``; or null), and ``estimates``, a list with one item for
    each estimator: ``name``, ``gradient``, ``standard_error``, ``bias``, ``cosine``, ``projection``,
    ``projection_error``, ``mean_squared_error``, ``truncation_bound``. What does not exist is null.
``certificate``
    ``status``, ``method``, ``iterations``, ``residual``, ``error_bound``, ``bounds`` (one for each field of the
    answer), ``story`` (a list of lines with --explain, else null).
solve
    ``policy``, ``setting``, ``start_value``, ``value``, ``certificate``; in "average" also ``gain``. Over a horizon
    the policy is a list with one for each step, and values are lists with one item for each time.
info
    ``transitions``, ``memory_bytes``, ``successors`` (``mean``, ``most``), ``actions`` (``least``, ``most``),
    ``reward`` (``least``, ``most``), ``ending_pairs``, ``start_states`` (how many, or null), ``grid`` (``rows``,
    ``columns``, or null).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import numpy as np

from rlcore.audit import Audit
from rlcore.cli.facts import Facts
from rlcore.cli.family_argument import NamedFamily
from rlcore.cli.gradient_answer import GradientAnswer
from rlcore.cli.model_argument import NamedModel
from rlcore.cli.policy_argument import NamedPolicy
from rlcore.cli.table_file import Columns, without_infinities
from rlcore.finite_horizon import FiniteHorizonEvaluation, FiniteHorizonOccupancy
from rlcore.gradient_estimation import GradientEstimate
from rlcore.improvement_run import ImprovementRun
from rlcore.results import Certificate, Evaluation, FloatArray, Occupancy, Solution
from rlcore.settings import Discounted, FiniteHorizon, Setting
from rlcore.settings_comparison import SettingsComparison, name_of

Document = dict[str, Any]


def evaluation_document(
    model: NamedModel, policy: NamedPolicy, setting: Setting, evaluation: Evaluation | FiniteHorizonEvaluation
) -> Document:
    """Return the document of ``rlcore evaluate --json``."""
    gain = getattr(evaluation, "gain", None)
    return {
        **_question("evaluate", model, policy, setting),
        "start_value": evaluation.start_value,
        "value": _numbers(evaluation.value),
        "action_value": _numbers(evaluation.action_value),
        "advantage": _numbers(evaluation.advantage),
        **({} if gain is None else {"gain": gain.tolist()}),
        "certificate": _certificate(evaluation.certificate),
    }


def solution_document(model: NamedModel, policy: NamedPolicy, setting: Setting, solution: Solution) -> Document:
    """Return the document of ``rlcore solve --json``."""
    return {
        **_question("solve", model, policy, setting),
        "start_value": solution.start_value,
        "value": _numbers(solution.value),
        **({} if solution.gain is None else {"gain": solution.gain.tolist()}),
        "certificate": _certificate(solution.certificate),
    }


def occupancy_document(
    model: NamedModel, policy: NamedPolicy, setting: Setting, occupancy: Occupancy | FiniteHorizonOccupancy
) -> Document:
    """Return the document of ``rlcore occupancy --json``."""
    return {
        **_question("occupancy", model, policy, setting),
        "state": occupancy.state.tolist(),
        "visits": _numbers(occupancy.visits),
        "pair": occupancy.pair.tolist(),
        "certificate": _certificate(occupancy.certificate),
    }


def settings_document(model: NamedModel, policy: NamedPolicy, comparison: SettingsComparison) -> Document:
    """Return the document of ``rlcore settings --json``."""
    rows = [
        {
            "setting": _setting(row.setting),
            "start_value": row.start_value,
            "objective": row.objective,
            "mean_reward": row.mean_reward,
            "distance": row.distance,
            "state": _numbers(row.state),
            "share": _numbers(row.share),
            "bounds": {field: float(bound) for field, bound in row.bounds.items()},
            "reason": row.reason,
        }
        for row in comparison.rows
    ]
    return {
        **_head("settings", model),
        "policy": {"name": policy.name, "probabilities": policy.array.tolist()},
        "rows": rows,
    }


def audit_document(
    model: NamedModel, policy: NamedPolicy, candidate: NamedPolicy, setting: Setting, found: Audit
) -> Document:
    """Return the document of ``rlcore audit --json``."""
    improvement = found.report.improvement
    return {
        **_question("audit", model, policy, setting),
        "candidate": {"name": candidate.name, "probabilities": candidate.array.tolist()},
        "verdict": str(found.verdict),
        "summary": found.summary,
        "improvement": {"lower": improvement.lower, "upper": improvement.upper},
        "rows": _rows(found.to_dict(), len(found.rows)),
    }


def check_document(
    model: NamedModel, policy: NamedPolicy, candidates: str, setting: Setting, columns: Columns, top: int
) -> Document:
    """Return the document of ``rlcore check --json``."""
    return {
        **_question("check", model, policy, setting),
        "candidates": candidates,
        "num_candidates": len(columns["candidate"]),
        "rows": _rows(columns, top),
    }


def gradient_document(model: NamedModel, family: NamedFamily, setting: Setting, found: GradientAnswer) -> Document:
    """Return the document of ``rlcore gradient --json``."""
    gradient, practical, episodes = found.gradient, found.practical, found.episodes
    objective = {"start_value": gradient.start_value} if gradient.gain is None else {"gain": gradient.gain}
    return {
        **_question("gradient", model, family.policy, setting),
        "family": family.name,
        **objective,
        "gradient": gradient.gradient.tolist(),
        "natural_gradient": _numbers(found.natural),
        "practical_gradient": None
        if practical is None
        else {
            "gradient": practical.gradient.tolist(),
            "cosine": practical.cosine,
            "relative_error": practical.relative_error,
        },
        "certificate": _certificate(gradient.certificate),
        "episodes": None
        if episodes is None
        else {"count": episodes.count, "steps": episodes.steps, "seed": episodes.seed},
        "estimates": [_estimate(name, estimate) for name, estimate in found.estimates.items()],
    }


def _estimate(name: str, estimate: GradientEstimate) -> Document:
    return {
        "name": name,
        "gradient": estimate.gradient.tolist(),
        "standard_error": _numbers(estimate.standard_error),
        "bias": estimate.bias.tolist(),
        "cosine": estimate.cosine,
        "projection": estimate.projection,
        "projection_error": None if estimate.episodes == 1 else estimate.projection_error,
        "mean_squared_error": estimate.mean_squared_error,
        "truncation_bound": estimate.truncation_bound,
    }


def improve_document(
    model: NamedModel, policy: NamedPolicy, setting: Setting, runs: Mapping[str, ImprovementRun]
) -> Document:
    """Return the document of ``rlcore improve --json``."""
    optimum = next(iter(runs.values())).optimum
    return {
        **_question("improve", model, policy, setting),
        "optimum": None if optimum is None else {"lower": optimum.lower, "upper": optimum.upper},
        "runs": [
            {
                "region": name,
                "status": run.status,
                "policy": run.policy.tolist(),
                "rows": _rows(run.to_dict(), len(run) + 1),
            }
            for name, run in runs.items()
        ],
    }


def info_document(model: NamedModel, facts: Facts) -> Document:
    """Return the document of ``rlcore info --json``."""
    grid = facts.layout
    return {
        **_head("info", model),
        "transitions": facts.transitions,
        "memory_bytes": facts.memory_bytes,
        "successors": {"mean": facts.mean_successors, "most": facts.most_successors},
        "actions": {"least": facts.least_actions, "most": facts.most_actions},
        "reward": {"least": facts.least_reward, "most": facts.most_reward},
        "ending_pairs": facts.ending_pairs,
        "start_states": facts.start_states,
        "grid": None if grid is None else {"rows": grid.rows, "columns": grid.columns},
    }


def as_text(document: Document) -> str:
    """Return a document as text, one line for each of its keys."""
    lines = (f"  {json.dumps(key)}: {json.dumps(value, allow_nan=False)}" for key, value in document.items())
    return "{\n" + ",\n".join(lines) + "\n}\n"


def _head(command: str, model: NamedModel) -> Document:
    from rlcore import __version__

    mdp = model.mdp
    ragged = len(mdp.pair_shape) == 1
    named = {
        "name": model.name,
        "num_states": mdp.num_states,
        "num_pairs": mdp.num_pairs,
        "pair_shape": list(mdp.pair_shape),
        "state_labels": None if mdp.state_labels is None else [_label(label) for label in mdp.state_labels],
        "action_labels": None if mdp.action_labels is None else [_label(label) for label in mdp.action_labels],
        "pair_state": mdp.pair_state.tolist() if ragged else None,
        "pair_action": mdp.pair_action.tolist() if ragged else None,
    }
    return {"rlcore": __version__, "command": command, "model": named}


def _question(command: str, model: NamedModel, policy: NamedPolicy, setting: Setting) -> Document:
    return {
        **_head(command, model),
        "policy": {"name": policy.name, "probabilities": policy.array.tolist()},
        "setting": _setting(setting),
    }


def _setting(setting: Setting) -> Document:
    if isinstance(setting, Discounted):
        return {"name": "discounted", "gamma": setting.gamma}
    if isinstance(setting, FiniteHorizon):
        return {"name": "horizon", "steps": setting.steps}
    return {"name": name_of(setting)}


def _rows(columns: Columns, most: int) -> list[Document]:
    """Return the first lines of a table, null for what is infinite."""
    lines = list(zip(*columns.values(), strict=True))[:most]
    return [dict(zip(columns, map(without_infinities, line), strict=True)) for line in lines]


def _numbers(array: FloatArray | None) -> Any:
    """Return an array as lists, with null where there is no value."""
    if array is None:
        return None
    missing = np.isnan(array)
    if not missing.any():
        return array.tolist()
    known = array.astype(object)
    known[missing] = None
    return known.tolist()


def _certificate(certificate: Certificate) -> Document:
    bounds: Mapping[str, Any] = certificate.bounds
    return {
        "status": certificate.status,
        "method": certificate.method,
        "iterations": certificate.iterations,
        "residual": certificate.residual,
        "error_bound": float(np.max(certificate.error_bound)),
        "bounds": {field: np.asarray(bound).tolist() for field, bound in bounds.items()},
        "story": None if certificate.story is None else certificate.story.splitlines(),
    }


def _label(label: Any) -> Any:
    """Return the label as JSON has it: text, number, truth value or a list of such; the text of anything else."""
    if isinstance(label, tuple | frozenset):
        return [_label(part) for part in label]
    if isinstance(label, np.generic):
        label = label.item()
    if isinstance(label, float) and not np.isfinite(label):
        return str(label)
    return label if label is None or isinstance(label, str | int | float | bool) else str(label)
