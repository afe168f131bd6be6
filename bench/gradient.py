"""Time policy gradients beside `evaluate` and `occupancy`: python -m bench.gradient [--states 4e5] [--features 1000].

The first table has tabular softmax, and how its gradient compares with one `evaluate` and one `occupancy` of the same
policy. The second has natural gradients of linear softmax with sparse features, ten for each pair. `--memory 2e9`
limits the address space of the process first.
"""

from __future__ import annotations

import os

os.environ.update(OMP_NUM_THREADS="1", OPENBLAS_NUM_THREADS="1", MKL_NUM_THREADS="1")  # before NumPy starts threads

import argparse
import resource
import sys
from functools import partial

import numpy as np
import scipy.sparse

import rlcore as rl
from bench import measure

GAMMA = 0.99
ACTIONS = 10
SUCCESSORS = 5
FEATURES_PER_PAIR = 10
STEP = 1e-4  # of difference quotients


def sparse_features(mdp: rl.MDP, size: int) -> scipy.sparse.csr_array:
    """Ten random numbers in random columns for each pair."""
    rng = np.random.default_rng(0)
    entries = FEATURES_PER_PAIR * mdp.num_pairs
    offsets = np.arange(0, entries + 1, FEATURES_PER_PAIR)
    columns = rng.integers(size, size=entries, dtype=np.int32)
    return scipy.sparse.csr_array((rng.standard_normal(entries), columns, offsets), shape=(mdp.num_pairs, size))


def assert_gradient(mdp: rl.MDP, family: rl.TabularSoftmax | rl.LinearSoftmax) -> None:
    """The gradient is the slope of the return in a random direction."""
    direction = np.random.default_rng(1).standard_normal(family.parameters.shape)
    ahead, behind = (
        rl.evaluate(
            mdp, family.with_parameters(family.parameters + s * STEP * direction).on(mdp).policy, GAMMA, tol=1e-12
        )
        for s in (1.0, -1.0)
    )
    slope = (ahead.start_value - behind.start_value) / (2.0 * STEP)
    found = float((rl.policy_gradient(mdp, family, GAMMA).gradient * direction).sum())
    assert abs(slope - found) <= 1e-4 * abs(found) + 1e-6, f"the slope is {slope}, the gradient says {found}"


def tabular_row(states: int, repetitions: int) -> str:
    """Seconds of the gradient and of what it is made of."""
    mdp = rl.gallery.garnet(states, ACTIONS, SUCCESSORS, seed=0)
    family = rl.TabularSoftmax(np.random.default_rng(0).standard_normal(mdp.pair_shape))
    assert_gradient(mdp, family)
    policy = rl.softmax_policy(mdp, family.parameters)
    timed = partial(measure.best_seconds, repetitions=repetitions)
    parts = timed(lambda: rl.evaluate(mdp, policy, GAMMA)), timed(lambda: rl.occupancy(mdp, policy, GAMMA))
    whole = timed(lambda: rl.policy_gradient(mdp, family, GAMMA))
    ratio = whole / sum(parts)
    return f"| {mdp.num_pairs} | {parts[0]:.3f} | {parts[1]:.3f} | {whole:.3f} | {ratio:.2f} |"


def shared_row(states: int, features: int, repetitions: int) -> str:
    """Seconds of the gradient and the natural gradient with shared parameters, and the most memory."""
    mdp = rl.gallery.garnet(states, ACTIONS, SUCCESSORS, seed=0)
    family = rl.LinearSoftmax(sparse_features(mdp, features), np.zeros(features))
    assert_gradient(mdp, family)
    timed = partial(measure.best_seconds, repetitions=repetitions)
    gradient = timed(lambda: rl.policy_gradient(mdp, family, GAMMA))
    natural = timed(lambda: rl.natural_gradient(mdp, family, GAMMA))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    return f"| {states} | {features} | {gradient:.3f} | {natural:.3f} | {peak:.2f} |"


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(
        prog="python -m bench.gradient", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--states", type=float, default=4e5)
    parser.add_argument("--shared-states", type=float, default=1e5)
    parser.add_argument("--features", type=float, nargs="+", default=[1e3, 1e5])
    parser.add_argument("--repetitions", type=int, default=3)
    parser.add_argument("--memory", type=float, help="bytes of address space")
    options = parser.parse_args()
    if options.memory is not None:
        resource.setrlimit(resource.RLIMIT_AS, (int(options.memory), int(options.memory)))
    print(measure.environment(), f"gamma {GAMMA}", sep="\n")
    print("\n| pairs | evaluate | occupancy | gradient | gradient / both |\n|---|---|---|---|---|")
    print(tabular_row(int(options.states), options.repetitions), flush=True)
    print("\n| states | features | gradient | natural gradient | most memory, GiB |\n|---|---|---|---|---|")
    for features in options.features:
        print(shared_row(int(options.shared_states), int(features), options.repetitions), flush=True)


if __name__ == "__main__":
    sys.exit(main())
