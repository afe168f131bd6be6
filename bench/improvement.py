"""Time `check_improvement` beside `evaluate`, in one run: python -m bench.improvement [--states 1e5] [--candidates 64].

Every way is held against independent evaluations of some candidates before it is timed. One thing is printed a row: the
seconds for all candidates, how many a second that is beyond the base policy's own share, and how many times faster than
an `evaluate` for each.
"""

from __future__ import annotations

import os

os.environ.update(OMP_NUM_THREADS="1", OPENBLAS_NUM_THREADS="1", MKL_NUM_THREADS="1")  # before NumPy starts threads

import argparse
import sys
from functools import partial
from typing import Any

import numpy as np

import rlcore as rl
from bench import measure, workloads

GAMMA = 0.99
STEP = 0.3
CHECKED = 3
CHANGED = 20000  # candidates that change one state
STATES_CHANGED = 64  # of which so many are solved for exactly


def candidates_of(mdp: rl.MDP, policy: workloads.Policy, count: int) -> np.ndarray:
    """Mixtures of the policy with random ones."""
    return np.stack([rl.mixture_policy(policy, rl.random_policy(mdp, seed), STEP) for seed in range(count)])


def changes_of(mdp: rl.MDP, count: int, states: int) -> rl.PolicyChanges:
    """Random rows for one random state each."""
    rng = np.random.default_rng(0)
    chosen = rng.choice(mdp.num_states, size=states, replace=False)[rng.integers(states, size=count)]
    return rl.PolicyChanges(chosen, rng.dirichlet(np.ones(mdp.pair_shape[1]), size=count))


def assert_right(mdp: rl.MDP, candidates: np.ndarray, report: rl.ImprovementReport) -> None:
    """The enclosures hold what independent evaluations say."""
    for item, candidate in enumerate(candidates[:CHECKED]):
        found = rl.evaluate(mdp, candidate, GAMMA, tol=1e-11)
        gain = found.start_value - report.eta
        slack = found.certificate.bounds["start_value"] + report.certificate.bounds["eta"]
        enclosure = report.improvement[item]
        assert enclosure.lower - slack <= gain <= enclosure.upper + slack, "the improvement is not enclosed"


def rows(mdp: rl.MDP, count: int, repetitions: int) -> list[tuple[str, float, int]]:
    """For each way its name, its seconds beyond the base policy's, and the number of candidates."""
    policy = rl.uniform_policy(mdp)
    candidates = candidates_of(mdp, policy, count)
    check = partial(rl.check_improvement, mdp, policy, setting=GAMMA)
    timed = partial(measure.best_seconds, repetitions=repetitions)
    base = timed(lambda: check(candidates[:1], new_return="skip"))
    found: list[tuple[str, float, int]] = [
        ("evaluate", timed(lambda: rl.evaluate(mdp, candidates[0], GAMMA)), 1),
        ("base policy", base, 1),
    ]
    ways: tuple[Any, ...] = ("skip", "enclosed", "exact")
    for way in ways:
        assert_right(mdp, candidates, check(candidates, new_return=way))
        found.append((way, timed(lambda way=way: check(candidates, new_return=way)) - base, count))
    for way in ways:
        some = changes_of(mdp, CHANGED, STATES_CHANGED if way == "exact" else mdp.num_states)
        found.append(
            (f"one state, {way}", timed(lambda some=some, way=way: check(some, new_return=way)) - base, CHANGED)
        )
    return found


def main() -> None:
    """Print a table for each workload."""
    parser = argparse.ArgumentParser(
        prog="python -m bench.improvement", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--states", type=float, default=1e5)
    parser.add_argument("--candidates", type=int, default=64)
    parser.add_argument("--workloads", type=partial(str.split, sep=","), default=["garnet", "grid"])
    parser.add_argument("--repetitions", type=int, default=3)
    options = parser.parse_args()
    print(measure.environment(), f"gamma {GAMMA}, {options.candidates} candidates, mixtures of {STEP}", sep="\n")
    for name in options.workloads:
        mdp = workloads.model(name, int(options.states), False)
        print(f"\n| {name}, {mdp.num_states} states | s | candidates a second | times faster than evaluate |")
        print("|---|---|---|---|")
        found = rows(mdp, options.candidates, options.repetitions)
        evaluate = found[0][1]
        for way, seconds, count in found:
            print(f"| {way} | {seconds:.3f} | {count / seconds:.0f} | {evaluate * count / seconds:.1f} |", flush=True)


if __name__ == "__main__":
    sys.exit(main())
