"""No cell of the benchmarks' table goes without a certified answer."""

from __future__ import annotations

import runpy
from functools import cache
from pathlib import Path

import numpy as np
import pytest

import rlcore as rl

BENCH = runpy.run_path(str(Path(__file__).parents[1] / "bench" / "workloads.py"))
TOLERANCE = 1e-8


@cache
def model(workload: str, num_states: int, shuffled: bool) -> rl.MDP:
    mdp: rl.MDP = BENCH["model"](workload, num_states, shuffled)
    return mdp


@cache
def policy_for(mdp: rl.MDP, name: str) -> np.ndarray:
    policy: np.ndarray = BENCH["policy"](name, mdp)
    return policy


def test_shuffling_only_renames_the_states() -> None:
    for workload in BENCH["WORKLOADS"]:
        plain, shuffled = model(workload, 1000, False), model(workload, 1000, True)
        values = [rl.evaluate(mdp, rl.uniform_policy(mdp), 0.9) for mdp in (plain, shuffled)]
        largest = np.abs(values[0].value).max()
        np.testing.assert_allclose(np.sort(values[1].value), np.sort(values[0].value), rtol=0, atol=1e-8 * largest)
        assert values[1].start_value == pytest.approx(values[0].start_value, rel=0, abs=1e-8 * largest)
        assert not np.array_equal(values[1].value, values[0].value)


@pytest.mark.parametrize("gamma", [0.9, 0.99, 0.999, 0.99999])
@pytest.mark.parametrize("policy_name", BENCH["POLICIES"])
@pytest.mark.parametrize("shuffled", [False, True], ids=["plain", "shuffled"])
@pytest.mark.parametrize("num_states", [1000, 3000])
@pytest.mark.parametrize("workload", BENCH["WORKLOADS"])
def test_every_cell_is_certified(
    workload: str, num_states: int, shuffled: bool, policy_name: str, gamma: float
) -> None:
    mdp = model(workload, num_states, shuffled)
    policy = policy_for(mdp, policy_name)
    value = rl.evaluate(mdp, policy, gamma, tol=TOLERANCE, explain=True)
    visits = rl.occupancy(mdp, policy, gamma, tol=TOLERANCE, explain=True)
    for answer in value, visits:
        assert answer.certificate.status == "converged", answer.certificate.story
    assert value.certificate.error_bound <= TOLERANCE * np.abs(value.value).max(), value.certificate.story
    assert visits.certificate.error_bound <= TOLERANCE * visits.visits.sum(), visits.certificate.story
    # rho^T r_pi = rho0^T V, within both certificates (theory 2.6)
    by_visits = float((visits.visits[mdp.pair_state] * policy.ravel() * mdp.reward.ravel()).sum())
    slack = value.certificate.bounds["start_value"] + np.abs(mdp.reward).max() * (
        visits.certificate.error_bound + 1e-12 * visits.visits.sum()
    )
    assert abs(by_visits - value.start_value) <= slack


@pytest.mark.parametrize("policy_name", BENCH["POLICIES"])
def test_the_best_attainable_is_thirteen_digits(policy_name: str) -> None:
    mdp = model("garnet", 10_000, False)
    policy = policy_for(mdp, policy_name)
    value = rl.evaluate(mdp, policy, 0.99999, tol=0.0)
    visits = rl.occupancy(mdp, policy, 0.99999, tol=0.0)
    assert value.certificate.error_bound <= 1e-13 * np.abs(value.value).max()
    assert visits.certificate.error_bound <= 1e-13 * visits.visits.sum()
