"""Step after step to a better policy (theory 7)."""

from __future__ import annotations

from collections.abc import Sequence

from .rational import Number, exact
from .trust_region import Region, TrustRegionStep, trust_region_step


def improve(
    transition: Sequence[Sequence[Sequence[Number]]],
    policy: Sequence[Sequence[Number]],
    initial: Sequence[Number],
    gamma: Number,
    reward: Sequence[Sequence[Number]],
    region: Region,
    iterations: int,
) -> list[TrustRegionStep]:
    """Return the steps of a run, each from the policy of the one before (theory 7).

    A penalty without a coefficient takes that of theorem 2.1 anew in every step. The run ends early when a step keeps
    the policy.

    Parameters
    ----------
    transition
        P(t | s, a), indexed [s][a][t]; the process ends with the probability that is missing in a row.
    policy
        pi(a | s), indexed [s][a], where the run begins.
    initial
        rho0(s), indexed [s].
    gamma
        The discount factor, 0 <= gamma < 1.
    reward
        r(s, a), indexed [s][a].
    region
        The region of every step.
    iterations
        The most steps to take.

    Returns
    -------
    list of TrustRegionStep
        At most as many as iterations; the step that keeps the policy is not among them.

    Raises
    ------
    ValueError
        If gamma is not in [0, 1), or the shapes do not fit.

    Examples
    --------
    Greedy steps are policy iteration: the way that seems longer turns out to be shorter in the second step.

    >>> from math import inf
    >>> from rlcore.reference import MaxKL
    >>> way = [[[0, 1], [0, 0]], [[0, 0], [0, 0]]]
    >>> steps = improve(way, [[0, 1], [1, 0]], [0.5, 0.5], 0.5, [[0, 2], [0, 8]], MaxKL(inf), 10)
    >>> [str(step.eta_new) for step in steps]
    ['5', '6']
    """
    steps: list[TrustRegionStep] = []
    here = exact(policy)
    for _ in range(iterations):
        step = trust_region_step(transition, here, initial, gamma, reward, region)
        if step.surrogate_gain == 0:
            break
        steps.append(step)
        here = step.policy
    return steps
