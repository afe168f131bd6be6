"""Time `simulate` and `estimate_gradient`: python -m bench.simulation [--states 1e4] [--episodes 1e4] [--steps 1000].

Frequencies of transitions are held against the model, and the estimate against the exact gradient, before anything is
timed. Seconds are the best of some repetitions; what a processor spends on a transition is printed beside them, for a
machine that is shared.
"""

from __future__ import annotations

import os

os.environ.update(OMP_NUM_THREADS="1", OPENBLAS_NUM_THREADS="1", MKL_NUM_THREADS="1")  # before NumPy starts threads

import argparse
import gc
import sys
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

import rlcore as rl
from bench import measure, workloads

GAMMA = 0.99
STANDARD_ERRORS = 6.0  # a right answer is further off once in 10^9 runs


def assert_frequencies(mdp: rl.MDP, found: rl.Trajectories) -> None:
    """The mean probability of the steps that were made is what the model says of it."""
    pairs, after = found.pairs.ravel(), found.states[:, 1:].ravel()
    steps = np.flatnonzero((pairs >= 0) & (after >= 0))[:200_000]
    probability = np.asarray(mdp.transition[pairs[steps], after[steps]]).ravel()
    assert (probability > 0.0).all(), "a step that the model cannot make"
    mean = mdp.transition.power(2).sum(axis=1)[pairs[steps]]
    assert abs((probability - mean).mean()) < STANDARD_ERRORS * (probability - mean).std() / steps.size**0.5


def assert_unbiased(estimate: rl.GradientEstimate) -> None:
    """The estimate is off by no more than chance and the cut explain."""
    assert estimate.truncation_bound is not None
    slack = estimate.truncation_bound * estimate.gradient.size**0.5
    error = STANDARD_ERRORS * estimate.projection_error + slack
    assert abs(estimate.projection - float(np.linalg.norm(estimate.true_gradient))) < error, "a biased estimate"


def best(call: Callable[[], Any], repetitions: int) -> tuple[float, float]:
    """Return the shortest time on the clock, and the shortest of all processors together."""
    clock, processors = [], []
    for _ in range(repetitions):
        gc.collect()
        start, used = time.perf_counter(), time.process_time()
        call()
        clock.append(time.perf_counter() - start)
        processors.append(time.process_time() - used)
    return min(clock), min(processors)


def main() -> None:
    """Print a table for each workload."""
    parser = argparse.ArgumentParser(
        prog="python -m bench.simulation", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--states", type=float, default=1e4)
    parser.add_argument("--episodes", type=float, default=1e4)
    parser.add_argument("--steps", type=int, default=1000)
    parser.add_argument("--workloads", type=partial(str.split, sep=","), default=["garnet", "grid"])
    parser.add_argument("--repetitions", type=int, default=5)
    options = parser.parse_args()
    episodes = int(options.episodes)
    print(measure.environment(), f"{episodes} episodes of at most {options.steps} steps", sep="\n")
    for name in options.workloads:
        mdp = workloads.model(name, int(options.states), False)
        policy = rl.uniform_policy(mdp)
        simulate = partial(rl.simulate, mdp, policy, episodes=episodes, steps=options.steps)
        family = rl.TabularSoftmax(np.zeros(mdp.pair_shape))
        found = simulate()
        estimate = partial(rl.estimate_gradient, mdp, family, GAMMA, found, estimator="actor-critic")
        assert_frequencies(mdp, found)
        assert_unbiased(estimate())
        actions = int(found.lengths.sum())
        print(f"\n| {name}, {mdp.num_states} states | s | actions a second | ns of a processor for an action |")
        print("|---|---|---|---|")
        calls: dict[str, Callable[[], Any]] = {
            f"simulate, {threads} threads": partial(simulate, num_threads=threads) for threads in (1, 2)
        }
        calls["estimate_gradient, tabular"] = estimate
        for way, call in calls.items():
            seconds, used = best(call, options.repetitions)
            print(f"| {way} | {seconds:.3f} | {actions / seconds:.3g} | {used / actions * 1e9:.1f} |", flush=True)


if __name__ == "__main__":
    sys.exit(main())
