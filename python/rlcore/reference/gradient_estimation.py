"""The mean and the variance of policy gradient estimates, by sums over all trajectories (theory 4.1)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction

from .linear import dot
from .rational import Kernel, Matrix, Number, Vector, exact

Trajectory = list[tuple[int, int]]


@dataclass(frozen=True, slots=True)
class EstimatorMoments:
    """What an estimate from one episode is on average, and how far it scatters.

    Attributes
    ----------
    mean
        The expectation of each component.
    variance
        The variance of each component; with N episodes it is the N-th part of that.
    """

    mean: Vector
    variance: Vector


def estimate_gradient(
    transition: Sequence[Sequence[Sequence[Number]]],
    reward: Sequence[Sequence[Number]],
    policy: Sequence[Sequence[Number]],
    scores: Sequence[Sequence[Sequence[Number]]],
    initial: Sequence[Number],
    gamma: Number,
    steps: int,
    *,
    discounted_states: bool = True,
    baseline: Sequence[Number] | None = None,
    critic: Sequence[Sequence[Number]] | None = None,
) -> EstimatorMoments:
    """Return the exact moments of an estimate of the policy gradient from one episode (theory 4.1).

    The episode ``s_0, a_0, s_1, ...`` ends or is cut off after `steps` actions. Its estimate is::

        sum_t w_t psi(s_t, a_t) (x_t - b(s_t)),    w_t = gamma^t, or 1 without discounted states

    where x_t is the return ``sum_{k >= t} gamma^(k - t) r(s_k, a_k)`` (REINFORCE), or the critic's number of the pair.

    Parameters
    ----------
    transition
        P(t | s, a), indexed [s][a][t]; the process ends with the probability that is missing in a row.
    reward
        r(s, a), indexed [s][a].
    policy
        pi(a | s), indexed [s][a].
    scores
        grad log pi(a | s), indexed [s][a][k].
    initial
        rho0(s), indexed [s].
    gamma
        The discount factor, 0 <= gamma <= 1.
    steps
        After how many actions an episode is cut off.
    discounted_states
        Whether a step at time t counts gamma^t.
    baseline
        b(s), indexed [s]; None: 0.
    critic
        What stands for the return, indexed [s][a]; None: the return.

    Returns
    -------
    EstimatorMoments
        All numbers as fractions.

    Raises
    ------
    ValueError
        If the shapes do not fit.

    References
    ----------
    R. J. Williams (1992), Simple statistical gradient-following algorithms. Machine Learning 8.

    Examples
    --------
    One step, a reward of 1 for the first action; the gradient is pi (1 - pi) = 1/4:

    >>> half = Fraction(1, 2)
    >>> moments = estimate_gradient([[[0], [0]]], [[1, 0]], [[half, half]], [[[half], [-half]]], [1], 1, steps=1)
    >>> str(moments.mean[0]), str(moments.variance[0])
    ('1/4', '1/16')
    """
    P, r, pi, psi = exact(transition), exact(reward), exact(policy), [exact(rows) for rows in scores]
    discount = exact(gamma)
    b = [Fraction(0)] * len(P) if baseline is None else exact(baseline)
    q = None if critic is None else exact(critic)

    def estimate(trajectory: Trajectory) -> Vector:
        numbers = _returns(r, trajectory, discount) if q is None else [q[s][a] for s, a in trajectory]
        weights = [discount**t if discounted_states else Fraction(1) for t in range(len(trajectory))]
        terms = [w * (x - b[s]) for w, x, (s, _) in zip(weights, numbers, trajectory, strict=True)]
        return [dot(terms, [psi[s][a][k] for s, a in trajectory]) for k in range(len(psi[0][0]))]

    likely = [
        (weight * p, estimate(trajectory))
        for s, weight in enumerate(exact(initial))
        if weight
        for p, trajectory in _trajectories(P, pi, s, steps)
    ]
    weights = [p for p, _ in likely]
    components = list(zip(*(found for _, found in likely), strict=True))
    mean = [dot(weights, list(component)) for component in components]
    second = [dot(weights, [x * x for x in component]) for component in components]
    return EstimatorMoments(mean, [x - m * m for x, m in zip(second, mean, strict=True)])


def _trajectories(P: Kernel, pi: Matrix, state: int, steps: int) -> Iterator[tuple[Fraction, Trajectory]]:
    """Yield every way to go on from a state, with its probability."""
    if steps == 0:
        yield Fraction(1), []
        return
    for action, (p, row) in enumerate(zip(pi[state], P[state], strict=True)):
        ending = 1 - sum(row)
        if p and ending:
            yield p * ending, [(state, action)]
        for after, moving in enumerate(row):
            if p and moving:
                for rest, trajectory in _trajectories(P, pi, after, steps - 1):
                    yield p * moving * rest, [(state, action), *trajectory]


def _returns(r: Matrix, trajectory: Trajectory, gamma: Fraction) -> Vector:
    """Return the discounted rewards from each time on."""
    found: Vector = []
    for s, a in reversed(trajectory):
        found.append(r[s][a] + gamma * (found[-1] if found else 0))
    found.reverse()
    return found
