"""Time `trust_region_step`, in one run: python -m bench.trust_region [--states 1e6] [--actions 4].

What is timed is the step itself: evaluations of the old and of the new policy, which every update needs, are not part
of it. Each step is held against its dual and its region before it is timed. Printed are seconds, passes over the
states, nanoseconds for each state and pass, and the dual gap.
"""

from __future__ import annotations

import os

os.environ.update(OMP_NUM_THREADS="1", OPENBLAS_NUM_THREADS="1", MKL_NUM_THREADS="1")  # before NumPy starts threads

import argparse
import sys
from typing import Any

import numpy as np

import rlcore as rl
from bench import measure
from rlcore import _core  # noqa: TID251 - to time the step alone

Old = tuple[rl.MDP, Any, float]


def old_policy(states: int, actions: int, kind: str) -> Old:
    """Random advantages and weights under a policy of some kind."""
    rng = np.random.default_rng(0)
    mdp = rl.gallery.garnet(states, actions, 1, seed=0)
    if kind == "random":
        policy = rng.dirichlet(np.ones(actions), size=states)
    elif kind == "uniform":
        policy = np.full((states, actions), 1.0 / actions)
    elif kind == "near-greedy":
        policy = np.full((states, actions), 1e-6)
        policy[:, 0] = 1.0 - 1e-6 * (actions - 1)
    else:
        policy = np.zeros((states, actions))
        policy[:, 0] = 1.0
    advantage = rng.normal(size=(states, actions))
    advantage -= (policy * advantage).sum(axis=1, keepdims=True)
    weight = rng.exponential(size=states)
    weight *= 10.0 / weight.sum()
    return mdp, _core.OldPolicy(policy.ravel(), advantage.ravel(), weight, 1e-12), 0.1


def step_of(old: Old, region: Any) -> Any:
    """The core's step."""
    mdp, policy, share = old
    if isinstance(region, rl.MaxKL):
        return _core.max_kl_step(mdp._core, policy, region.delta, 0, None)
    if isinstance(region, rl.MeanKL):
        return _core.mean_kl_step(mdp._core, policy, share, region.delta, 0, None)
    return _core.kl_penalty_step(mdp._core, policy, region.coefficient, 0, None)


def assert_right(step: Any, region: Any) -> None:
    """The dual is met, and rows are distributions."""
    assert step.dual_gap <= 1e-9, "the step is not the best one"
    assert np.abs(step.policy.sum(axis=1) - 1.0).max() < 1e-14, "rows do not sum to 1"
    if isinstance(region, rl.MaxKL):
        assert step.kl.max() <= region.delta, "the region is not kept"


def main() -> None:
    """Print a table for each kind of policy."""
    parser = argparse.ArgumentParser(
        prog="python -m bench.trust_region", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--states", type=float, default=1e6)
    parser.add_argument("--actions", type=int, default=4)
    parser.add_argument("--policies", default="random,uniform,near-greedy,deterministic")
    parser.add_argument("--repetitions", type=int, default=3)
    options = parser.parse_args()
    states = int(options.states)
    print(measure.environment())
    for kind in options.policies.split(","):
        old = old_policy(states, options.actions, kind)
        print(f"\n| {kind}, {states} states | s | passes | ns a state and pass | gap |\n|---|---|---|---|---|")
        for region in (rl.MaxKL(0.01), rl.MaxKL(1.0), rl.MeanKL(0.01), rl.KLPenalty(10.0), rl.KLPenalty(1e4)):
            step = step_of(old, region)
            assert_right(step, region)
            seconds = measure.best_seconds(lambda old=old, region=region: step_of(old, region), options.repetitions)
            each = seconds / step.passes / states * 1e9
            print(f"| {region} | {seconds:.3f} | {step.passes} | {each:.0f} | {step.dual_gap:.0e} |", flush=True)


if __name__ == "__main__":
    sys.exit(main())
