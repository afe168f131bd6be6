"""Time `evaluate` and `occupancy`: python -m bench [--states 1e4,1e6] [--workloads garnet] [--shuffled] [--peers].

Every cell asserts its answers before it times them. One that fails is printed as such, and the exit code is 1.
"""

from __future__ import annotations

import os

os.environ.update(OMP_NUM_THREADS="1", OPENBLAS_NUM_THREADS="1", MKL_NUM_THREADS="1")  # before NumPy starts threads

import argparse
import itertools
import sys
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

import rlcore as rl
from bench import measure, peers, workloads

TOLERANCE = 1e-8


def checked_evaluation(mdp: rl.MDP, policy: workloads.Policy, gamma: float, **options: Any) -> rl.Evaluation:
    found = rl.evaluate(mdp, policy, gamma, tol=TOLERANCE, **options)
    assert found.certificate.error_bound <= TOLERANCE * np.abs(found.value).max(), "V is not certified"
    return found


def checked_occupancy(mdp: rl.MDP, policy: workloads.Policy, gamma: float, **options: Any) -> rl.Occupancy:
    found = rl.occupancy(mdp, policy, gamma, tol=TOLERANCE, **options)
    assert found.certificate.error_bound <= TOLERANCE * found.visits.sum(), "rho is not certified"
    return found


def assert_adjoint(mdp: rl.MDP, policy: workloads.Policy, value: rl.Evaluation, visits: rl.Occupancy) -> None:
    """rho^T r_pi = rho0^T V within the two certificates."""
    by_visits = float((visits.visits[mdp.pair_state] * policy.ravel() * mdp.reward.ravel()).sum())
    bound = value.certificate.bounds["start_value"] + np.abs(mdp.reward).max() * (
        visits.certificate.error_bound + 1e-12 * visits.visits.sum()
    )
    assert abs(by_visits - value.start_value) <= bound, "V and rho contradict each other"


def row(mdp: rl.MDP, policy: workloads.Policy, gamma: float, repetitions: int) -> list[str]:
    """Check the answers, then time them on one thread and on all."""
    evaluate = partial(checked_evaluation, mdp, policy, gamma)
    occupancy = partial(checked_occupancy, mdp, policy, gamma)
    value, visits = evaluate(), occupancy()
    assert_adjoint(mdp, policy, value, visits)
    errors = (
        value.certificate.error_bound / np.abs(value.value).max(),
        visits.certificate.error_bound / visits.visits.sum(),
    )
    found_by = [f"{answer.certificate.method} {answer.certificate.iterations}" for answer in (value, visits)]
    cells = [", ".join(dict.fromkeys(found_by))]
    read = measure.read_seconds(measure.chain_matrix(mdp, policy))
    for call, error in zip((evaluate, occupancy), errors, strict=True):
        memory = measure.peak_bytes(call) / measure.transition_bytes(mdp)
        one = measure.best_seconds(lambda call=call: call(num_threads=1), repetitions)
        all_threads = measure.best_seconds(call, repetitions)
        cells += [f"{all_threads:.4f}", f"{all_threads / read:.0f}", f"{one / all_threads:.2f}"]
        cells += [f"{error:.0e}", f"{memory:.2f}"]
    return cells


def peer_rows(mdp: rl.MDP, policy: workloads.Policy, gamma: float, repetitions: int) -> list[tuple[str, str]]:
    """The peers' times as multiples of `evaluate`'s, on one thread each, P_pi assembled for them beforehand."""
    truth = checked_evaluation(mdp, policy, gamma)
    matrix = measure.chain_matrix(mdp, policy)
    right = np.add.reduceat(policy.ravel() * mdp.reward.ravel(), mdp.pair_start[:-1])
    own = measure.best_seconds(lambda: checked_evaluation(mdp, policy, gamma, num_threads=1), repetitions)
    rows = []
    for name, solve in peers.PEERS.items():
        if mdp.num_states > peers.MOST_STATES[name]:
            continue
        rows.append((name, _peer_ratio(solve, matrix, gamma, right, truth, own, repetitions)))
    return rows


def _peer_ratio(
    solve: Callable[..., Any], matrix: Any, gamma: float, right: Any, truth: rl.Evaluation, own: float, repetitions: int
) -> str:
    try:
        error = np.abs(solve(matrix, gamma, right, TOLERANCE) - truth.value).max() / np.abs(truth.value).max()
    except ArithmeticError as failure:
        return str(failure)
    seconds = measure.best_seconds(lambda: solve(matrix, gamma, right, TOLERANCE), repetitions)
    return f"{seconds / own:.2f} times (error {error:.0e})"


def small_models(repetitions: int) -> str:
    """Microseconds of a call on a 16-state model, a fresh policy each time."""
    lake = rl.from_gymnasium("FrozenLake-v1")
    policies = [rl.random_policy(lake, seed) for seed in range(1000)]
    setting = rl.Discounted(0.99)
    start = rl.evaluate(lake, rl.uniform_policy(lake), setting).start_value
    assert abs(start - 0.012356137) < 5e-10

    def loop(call: Callable[..., Any]) -> None:
        for policy in policies:
            call(lake, policy, setting)

    evaluate = measure.best_seconds(lambda: loop(rl.evaluate), repetitions) / len(policies)
    occupancy = measure.best_seconds(lambda: loop(rl.occupancy), repetitions) / len(policies)
    return f"FrozenLake: evaluate {evaluate * 1e6:.1f} us, occupancy {occupancy * 1e6:.1f} us a call"


def print_row(*cells: str) -> None:
    print("|", " | ".join(cells), "|", flush=True)


def main() -> int:
    """Print the table; return how many of its cells failed."""
    parser = argparse.ArgumentParser(
        prog="python -m bench", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    names = partial(str.split, sep=",")
    parser.add_argument("--states", type=names, default="1e4,1e5", help="sizes, separated by commas")
    parser.add_argument(
        "--workloads", type=names, default=list(workloads.WORKLOADS), help=", ".join(workloads.WORKLOADS)
    )
    parser.add_argument(
        "--policies", type=names, default="uniform,random,near-greedy", help=", ".join(workloads.POLICIES)
    )
    parser.add_argument("--gammas", type=names, default="0.9,0.99,0.999,0.99999")
    parser.add_argument("--shuffled", action="store_true", help="renumber the states at random first")
    parser.add_argument("--repetitions", type=int, default=3)
    parser.add_argument("--peers", action="store_true", help="time SciPy's solvers too")
    options = parser.parse_args()

    print(measure.environment(), f"relative error {TOLERANCE:g}, certified", sep="\n")
    print(small_models(options.repetitions))
    quantities = ["s", "reads", "threads gain", "certified", "memory"]
    columns = ["model", "policy", "gamma", "methods and iterations"]
    columns += [f"{field} {quantity}" for field in ("V", "rho") for quantity in quantities]
    print()
    print_row(*columns)
    print("|" + "---|" * len(columns))
    failures = 0
    for name, size, policy_name, gamma in itertools.product(
        options.workloads, options.states, options.policies, options.gammas
    ):
        label = [f"{name} {size}" + " shuffled" * options.shuffled, policy_name, gamma]
        try:
            mdp = workloads.model(name, int(float(size)), options.shuffled)
            policy = workloads.policy(policy_name, mdp)
            print_row(*label, *row(mdp, policy, float(gamma), options.repetitions))
            for peer, ratio in peer_rows(mdp, policy, float(gamma), 1) if options.peers else []:
                print_row(" ", peer, ratio)
        except Exception as failure:  # whatever it is, the other cells are still worth having
            failures += 1
            print_row(*label, f"FAILED: {type(failure).__name__}: {failure}")
    return failures


if __name__ == "__main__":
    sys.exit(main() > 0)
