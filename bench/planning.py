"""Time `solve`: python -m bench.planning [--states 1e4,1e5] [--gammas .99,.999,.9999].

Every policy is evaluated independently, and its value held against the bounds, before anything is timed. A row says the
seconds, how many streaming reads of the model's transitions they are worth, what is proven, and which method it was.
"""

from __future__ import annotations

import os

os.environ.update(OMP_NUM_THREADS="1", OPENBLAS_NUM_THREADS="1", MKL_NUM_THREADS="1")  # before NumPy starts threads

import argparse
import sys
from functools import partial

import numpy as np

import rlcore as rl
from bench import measure, workloads


def assert_right(mdp: rl.MDP, gamma: float, best: rl.Solution) -> None:
    """The policy is worth what its bound says."""
    own = rl.evaluate(mdp, best.policy, gamma, raise_on_failure=False)  # its bound counts, whatever it is
    short = best.value - own.value
    slack = best.certificate.error_bound + own.certificate.error_bound
    assert short.min() >= -slack, "the policy is worth more than the optimum"
    assert short.max() <= best.certificate.bounds["policy_value"] + slack, "the policy falls short of its bound"


def main() -> None:
    """Print a row for each workload, size and discount."""
    parser = argparse.ArgumentParser(
        prog="python -m bench.planning", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    numbers = partial(str.split, sep=",")
    parser.add_argument("--states", type=numbers, default=["1e4", "1e5"])
    parser.add_argument("--gammas", type=numbers, default=["0.99", "0.999", "0.9999"])
    parser.add_argument("--workloads", type=numbers, default=["grid", "garnet", "queue", "lake"])
    parser.add_argument("--tol", type=float, default=1e-6)
    parser.add_argument("--threads", type=int, default=None)
    parser.add_argument("--repetitions", type=int, default=5)
    options = parser.parse_args()
    print(measure.environment(), f"certified relative error {options.tol:g}", sep="\n")
    titles = ("model", "states", "gamma", "s", "reads", "V, proven", "policy, proven", "method")
    print(f"\n| {' | '.join(titles)} |\n{'|---' * len(titles)}|")
    for name in options.workloads:
        for states in options.states:
            mdp = workloads.model(name, int(float(states)), False)
            read = measure.read_seconds(mdp.transition)
            for gamma in map(float, options.gammas):
                solve = partial(rl.solve, mdp, gamma, tol=options.tol, num_threads=options.threads)
                best = solve()
                assert_right(mdp, gamma, best)
                seconds = measure.best_seconds(solve, options.repetitions)
                largest = float(np.abs(best.value).max())
                value, policy = (best.certificate.bounds[field] / largest for field in ("value", "policy_value"))
                print(
                    f"| {name} | {mdp.num_states} | {gamma} | {seconds:.4f} | {seconds / read:.0f} | {value:.1e} | "
                    f"{policy:.1e} | {best.certificate.method} |",
                    flush=True,
                )


if __name__ == "__main__":
    sys.exit(main())
