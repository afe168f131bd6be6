"""The lemmas on the way to the lower bound, each with its left and its right side (theory 5.4-5.7, 8)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

from .bounds import eq_107 as bound_107
from .bounds import lemma_2_5 as bound_2_5
from .bounds import span_of
from .bounds import theorem_2_1 as bound_2_1
from .divergence import policy_divergences, total_variation
from .evaluation import evaluate
from .improvement import expected_advantage, improvement
from .linear import dot
from .occupancy import state_distribution
from .rational import Number, Vector, exact
from .real import Extended


@dataclass(frozen=True, slots=True)
class Sides:
    """Two sides of an inequality: left <= right.

    Attributes
    ----------
    left, right
        One number for each state, or for each time 0, 1, ..., or one in all.
    """

    left: list[Extended]
    right: list[Extended]

    @property
    def holds(self) -> bool:
        """Whether no number on the left exceeds its partner on the right."""
        return all(x <= y for x, y in zip(self.left, self.right, strict=True))


@dataclass(frozen=True, slots=True)
class ExpectedAdvantageBounds:
    """Lemma 2.3 in each state.

    Attributes
    ----------
    size
        |Abar(s)|.
    by_span
        alpha_s span_a A(s, a), with alpha_s the total variation in s.
    by_state
        2 alpha_s eps.
    overall
        2 alpha eps, the same in all states.
    """

    size: Vector
    by_span: Vector
    by_state: Vector
    overall: Fraction


def lemma_2_3(
    policy: Sequence[Sequence[Number]], candidate: Sequence[Sequence[Number]], advantage: Sequence[Sequence[Number]]
) -> ExpectedAdvantageBounds:
    """Return the size of the expected advantage and what bounds it, in each state (theory 5.4).

    From below to above::

        |Abar(s)| <= alpha_s span_a A(s, a) <= 2 alpha_s eps <= 2 alpha eps

    Parameters
    ----------
    policy
        pi(a | s), indexed [s][a].
    candidate
        pi'(a | s), indexed [s][a].
    advantage
        A_pi(s, a), indexed [s][a].

    References
    ----------
    J. Schulman et al. (2015), Trust region policy optimization, lemma 2.

    Examples
    --------
    >>> lemma = lemma_2_3([[1, 0]], [[0.5, 0.5]], [[0, 1]])
    >>> [str(x) for x in (*lemma.size, *lemma.by_span, *lemma.by_state, lemma.overall)]
    ['1/2', '1/2', '1', '1']
    """
    pi, pi_new, A = exact(policy), exact(candidate), exact(advantage)
    alpha = policy_divergences(pi, pi_new).total_variation
    eps = max(abs(a) for row in A for a in row)
    return ExpectedAdvantageBounds(
        size=[abs(a) for a in expected_advantage(pi, pi_new, A)],
        by_span=[tv * span_of(row, ends=False) for tv, row in zip(alpha, A, strict=True)],
        by_state=[2 * tv * eps for tv in alpha],
        overall=2 * max(alpha) * eps,
    )


def eq_85(
    transition: Sequence[Sequence[Sequence[Number]]],
    policy: Sequence[Sequence[Number]],
    candidate: Sequence[Sequence[Number]],
    initial: Sequence[Number],
    steps: int,
) -> Sides:
    """Return how far the distributions of the two policies are apart at the times 0, ..., steps (theory 5.5).

    The process parts in a step with probability alpha at most::

        ||Pr'(s_t = .) - Pr(s_t = .)||_1 <= 2 (1 - (1 - alpha)^t)

    Parameters
    ----------
    transition
        P(t | s, a), indexed [s][a][t].
    policy
        pi(a | s), indexed [s][a].
    candidate
        pi'(a | s), indexed [s][a].
    initial
        rho0(s), indexed [s].
    steps
        The last time.

    References
    ----------
    J. Schulman et al. (2015), Trust region policy optimization, appendix A.

    Examples
    --------
    A process that leaves for good where the policies differ has no slack:

    >>> sides = eq_85([[[1, 0], [0, 1]], [[0, 1]]], [[1, 0], [1]], [[0.875, 0.125], [1]], [1, 0], steps=2)
    >>> [str(x) for x in sides.left], sides.left == sides.right
    (['0', '1/4', '15/32'], True)
    """
    alpha = policy_divergences(policy, candidate).max_total_variation
    return Sides(
        left=[*_distances(transition, policy, candidate, initial, steps)],
        right=[2 * (1 - (1 - alpha) ** t) for t in range(steps + 1)],
    )


def eq_88(
    transition: Sequence[Sequence[Sequence[Number]]],
    policy: Sequence[Sequence[Number]],
    candidate: Sequence[Sequence[Number]],
    initial: Sequence[Number],
    steps: int,
) -> Sides:
    """Return both sides of a recursion in print that is FALSE, for the times 0, ..., steps (theory 8).

    It is here so that a test can see it fail. The factor should be 1 - alpha; then the solution is that of (85)::

        b_t <= alpha b_{t-1} + 2 alpha,    b_0 = 0,    b_t = ||Pr'(s_t = .) - Pr(s_t = .)||_1

    Parameters
    ----------
    transition
        P(t | s, a), indexed [s][a][t].
    policy
        pi(a | s), indexed [s][a].
    candidate
        pi'(a | s), indexed [s][a].
    initial
        rho0(s), indexed [s].
    steps
        The last time.

    Examples
    --------
    >>> sides = eq_88([[[1, 0], [0, 1]], [[0, 1]]], [[1, 0], [1]], [[0.875, 0.125], [1]], [1, 0], steps=2)
    >>> str(sides.left[2]), str(sides.right[2]), sides.holds
    ('15/32', '9/32', False)
    """
    alpha = policy_divergences(policy, candidate).max_total_variation
    b = _distances(transition, policy, candidate, initial, steps)
    return Sides(left=[*b], right=[Fraction(0), *(alpha * before + 2 * alpha for before in b[:-1])])


def lemma_2_4(
    transition: Sequence[Sequence[Sequence[Number]]],
    policy: Sequence[Sequence[Number]],
    candidate: Sequence[Sequence[Number]],
    initial: Sequence[Number],
    gamma: Number,
    reward: Sequence[Sequence[Number]],
    steps: int,
) -> Sides:
    """Return how far the expected advantages along the two policies are apart at the times 0, ..., steps (theory 5.5).

    Undiscounted, for each time::

        |E'[Abar(s_t)] - E[Abar(s_t)]| <= 4 alpha (1 - (1 - alpha)^t) eps

    Parameters
    ----------
    transition
        P(t | s, a), indexed [s][a][t].
    policy
        pi(a | s), indexed [s][a].
    candidate
        pi'(a | s), indexed [s][a].
    initial
        rho0(s), indexed [s].
    gamma
        The discount factor of the advantages, 0 <= gamma < 1.
    reward
        r(s, a), indexed [s][a].
    steps
        The last time.

    References
    ----------
    J. Schulman et al. (2015), Trust region policy optimization, lemma 3.

    Examples
    --------
    >>> half = Fraction(1, 2)
    >>> work_or_rest = [[[1, 0], [0, 1]], [[0, 1]]]
    >>> sides = lemma_2_4(work_or_rest, [[half, half], [1]], [[1, 0], [1]], [1, 0], half, [[1, 0], [0]], steps=2)
    >>> [str(x) for x in sides.left], [str(x) for x in sides.right]
    (['0', '1/3', '1/2'], ['0', '2/3', '1'])
    """
    A = evaluate(transition, reward, policy, gamma).advantage
    abar = expected_advantage(exact(policy), exact(candidate), A)
    alpha = policy_divergences(policy, candidate).max_total_variation
    eps = max(abs(a) for row in A for a in row)
    new, old = (state_distribution(transition, p, initial, steps) for p in (candidate, policy))
    return Sides(
        left=[abs(dot(x, abar) - dot(y, abar)) for x, y in zip(new, old, strict=True)],
        right=[4 * alpha * (1 - (1 - alpha) ** t) * eps for t in range(steps + 1)],
    )


def lemma_2_5(
    transition: Sequence[Sequence[Sequence[Number]]],
    policy: Sequence[Sequence[Number]],
    candidate: Sequence[Sequence[Number]],
    initial: Sequence[Number],
    gamma: Number,
    reward: Sequence[Sequence[Number]],
) -> Sides:
    """Return the gap and what bounds it, the unsimplified bound (107) first (theory 5.6).

    Lemma 2.4 summed over time::

        |eta' - L| <= 4 alpha^2 gamma eps / ((1 - gamma) (1 - gamma (1 - alpha))) <= 4 alpha^2 gamma eps / (1 - gamma)^2

    Parameters
    ----------
    transition
        P(t | s, a), indexed [s][a][t].
    policy
        pi(a | s), indexed [s][a].
    candidate
        pi'(a | s), indexed [s][a].
    initial
        rho0(s), indexed [s].
    gamma
        The discount factor, 0 <= gamma < 1.
    reward
        r(s, a), indexed [s][a].

    References
    ----------
    J. Schulman et al. (2015), Trust region policy optimization, appendix A.

    Examples
    --------
    >>> half = Fraction(1, 2)
    >>> sides = lemma_2_5([[[1, 0], [0, 1]], [[0, 1]]], [[half, half], [1]], [[1, 0], [1]], [1, 0], half, [[1, 0], [0]])
    >>> [str(x) for x in sides.left], [str(x) for x in sides.right]
    (['4/9', '8/9'], ['8/9', '4/3'])
    """
    result, discount = improvement(transition, policy, candidate, initial, gamma, reward), exact(gamma)
    unsimplified = bound_107(discount, result.max_advantage, result.max_total_variation)
    simplified = bound_2_5(discount, result.max_advantage, result.max_total_variation)
    return Sides(left=[abs(result.gap), unsimplified], right=[unsimplified, simplified])


def theorem_2_1(
    transition: Sequence[Sequence[Sequence[Number]]],
    policy: Sequence[Sequence[Number]],
    candidate: Sequence[Sequence[Number]],
    initial: Sequence[Number],
    gamma: Number,
    reward: Sequence[Sequence[Number]],
) -> Sides:
    """Return the lower bound of the new return, and the return (theory 5.7).

    Lemma 2.5 with ``alpha^2 <= KLmax``::

        L - C KLmax <= eta',    C = 4 eps gamma / (1 - gamma)^2

    Parameters
    ----------
    transition
        P(t | s, a), indexed [s][a][t].
    policy
        pi(a | s), indexed [s][a].
    candidate
        pi'(a | s), indexed [s][a].
    initial
        rho0(s), indexed [s].
    gamma
        The discount factor, 0 <= gamma < 1.
    reward
        r(s, a), indexed [s][a].

    References
    ----------
    J. Schulman et al. (2015), Trust region policy optimization, theorem 1.

    Examples
    --------
    >>> half = Fraction(1, 2)
    >>> work_or_rest = [[[1, 0], [0, 1]], [[0, 1]]]
    >>> sides = theorem_2_1(work_or_rest, [[half, half], [1]], [[1, 0], [1]], [1, 0], half, [[1, 0], [0]])
    >>> sides.left, sides.right                             # an action of the old policy is no longer taken
    ([-inf], [Fraction(2, 1)])
    """
    result = improvement(transition, policy, candidate, initial, gamma, reward)
    penalty = bound_2_1(exact(gamma), result.max_advantage, result.max_kl)
    return Sides(left=[result.surrogate - penalty], right=[result.new_start_value])


def lemmas(
    transition: Sequence[Sequence[Sequence[Number]]],
    policy: Sequence[Sequence[Number]],
    candidate: Sequence[Sequence[Number]],
    initial: Sequence[Number],
    gamma: Number,
    reward: Sequence[Sequence[Number]],
    steps: int,
) -> dict[str, Sides]:
    """Return both sides of every lemma on two policies, by name (theory 5.4-5.7).

    Parameters
    ----------
    transition
        P(t | s, a), indexed [s][a][t]; the process ends with the probability that is missing in a row.
    policy
        pi(a | s), indexed [s][a].
    candidate
        pi'(a | s), indexed [s][a].
    initial
        rho0(s), indexed [s].
    gamma
        The discount factor, 0 <= gamma < 1.
    reward
        r(s, a), indexed [s][a].
    steps
        The last time of those that run over time.

    Returns
    -------
    dict of str to Sides
        "lemma_2_3" for each state, "eq_85" and "lemma_2_4" for the times 0 to steps, "lemma_2_5" and "theorem_2_1".

    Raises
    ------
    ValueError
        If gamma is not in [0, 1), steps is negative, or the shapes do not fit.

    References
    ----------
    J. Schulman et al. (2015), Trust region policy optimization, section 3 and appendix A.

    Examples
    --------
    >>> stay_or_go = [[[1, 0], [0, 1]], [[0, 1]]]
    >>> found = lemmas(stay_or_go, [[1, 0], [1]], [[0.5, 0.5], [1]], [1, 0], 0.5, [[1, 0], [0]], steps=2)
    >>> all(sides.holds for sides in found.values()), sorted(found)[0]
    (True, 'eq_85')
    """
    model = (transition, policy, candidate, initial)
    advantage = evaluate(transition, reward, policy, gamma).advantage
    by_state = lemma_2_3(policy, candidate, advantage)
    return {
        "lemma_2_3": Sides(left=list(by_state.size), right=[by_state.overall] * len(by_state.size)),
        "eq_85": eq_85(*model, steps),
        "lemma_2_4": lemma_2_4(*model, gamma, reward, steps),
        "lemma_2_5": lemma_2_5(*model, gamma, reward),
        "theorem_2_1": theorem_2_1(*model, gamma, reward),
    }


def _distances(
    transition: Sequence[Sequence[Sequence[Number]]],
    policy: Sequence[Sequence[Number]],
    candidate: Sequence[Sequence[Number]],
    initial: Sequence[Number],
    steps: int,
) -> Vector:
    """Return ``||Pr'(s_t = .) - Pr(s_t = .)||_1`` for the times 0, ..., steps."""
    new, old = (state_distribution(transition, p, initial, steps) for p in (candidate, policy))
    return [2 * total_variation(x, y) for x, y in zip(new, old, strict=True)]
