"""What a discount means: objectives side by side, and the chains in which nothing is discounted (theory 3.3-3.6)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

from .chain import discounted_system, policy_reward, policy_transition
from .evaluation import evaluate
from .finite_horizon import evaluate_finite_horizon
from .linear import dot, solve
from .long_run import evaluate_average, stationary_distributions
from .occupancy import occupancy
from .rational import Kernel, Matrix, Number, Vector, exact
from .structure import policy_chain


@dataclass(frozen=True, slots=True)
class DiscountedObjectives:
    """Three numbers for one policy that are easily confused.

    Attributes
    ----------
    on_policy_objective
        J = sum_s d(s) V(s), the value of the states that the policy visits: discounted twice.
    start_value
        eta = rho0^T V, the discounted return.
    average_reward
        sum_s d(s) r_pi(s), the reward in the states that the policy visits: (1 - gamma) eta.
    """

    on_policy_objective: Fraction
    start_value: Fraction
    average_reward: Fraction


@dataclass(frozen=True, slots=True)
class FutilityIdentity:
    """Both sides of the identity, for the stationary distribution of each recurrent class.

    Attributes
    ----------
    discounted
        sum_s d(s) V(s), by class.
    average
        sum_s d(s) g(s) / (1 - gamma), by class.
    """

    discounted: Vector
    average: Vector


@dataclass(frozen=True, slots=True)
class RandomHorizon:
    """The discounted value, and the undiscounted one over a random number of steps.

    Attributes
    ----------
    value
        V(s).
    partial
        The expected sum of the first N rewards from s where N is at most the number of terms, and nothing otherwise.
    bound
        How far the two can be apart.
    """

    value: Vector
    partial: Vector
    bound: Fraction


@dataclass(frozen=True, slots=True)
class DeathMDP:
    """The process that dies in every step with probability 1 - gamma.

    Attributes
    ----------
    transition
        gamma P(t | s, a), indexed [s][a][t].
    termination
        1 - gamma (1 - termination), indexed [s][a].
    """

    transition: Kernel
    termination: Matrix


def discounted_objectives(
    transition: Sequence[Sequence[Sequence[Number]]],
    reward: Sequence[Sequence[Number]],
    policy: Sequence[Sequence[Number]],
    gamma: Number,
    initial: Sequence[Number],
) -> DiscountedObjectives:
    """Return the on-policy objective beside the start value and the reward on the way (theory 3.3).

    With the occupancy d and the value V of the policy::

        J = sum_s d(s) V(s),    eta = rho0^T V,    sum_s d(s) r_pi(s) = (1 - gamma) eta

    Parameters
    ----------
    transition
        P(t | s, a), indexed [s][a][t]; the process ends with the probability that is missing in a row.
    reward
        r(s, a), indexed [s][a].
    policy
        pi(a | s), indexed [s][a].
    gamma
        The discount factor, 0 <= gamma < 1.
    initial
        rho0(s), indexed [s].

    Returns
    -------
    DiscountedObjectives
        All numbers as fractions.

    Raises
    ------
    ValueError
        If gamma is not in [0, 1), or the shapes do not fit.

    Examples
    --------
    A reward of 1 at the first step is most of what a start is worth, and little of where the policy spends its time:

    >>> result = discounted_objectives([[[0, 1]], [[0, 1]]], [[1], [0]], [[1], [1]], Fraction(3, 4), [1, 0])
    >>> str(result.on_policy_objective), str(result.start_value)
    ('1/4', '1')
    """
    V = evaluate(transition, reward, policy, gamma).value
    d = occupancy(transition, policy, initial, gamma).state
    return DiscountedObjectives(
        on_policy_objective=dot(d, V),
        start_value=dot(exact(initial), V),
        average_reward=dot(d, policy_reward(exact(reward), exact(policy))),
    )


def futility_identity(
    transition: Sequence[Sequence[Sequence[Number]]],
    reward: Sequence[Sequence[Number]],
    policy: Sequence[Sequence[Number]],
    gamma: Number,
) -> FutilityIdentity:
    """Return both sides of the identity that makes the discount futile in the long run (theory 3.4).

    For the stationary distribution d of each recurrent class, and so for every mixture of them::

        sum_s d(s) V(s) = sum_s d(s) g(s) / (1 - gamma)

    so that the average of the discounted values ranks policies as their gain does, whatever the discount.

    Parameters
    ----------
    transition
        P(t | s, a), indexed [s][a][t], of a process that never ends; the size of an entry P(s | s, a) is not read, only
        whether it is there.
    reward
        r(s, a), indexed [s][a].
    policy
        pi(a | s), indexed [s][a].
    gamma
        The discount factor, 0 <= gamma < 1.

    Returns
    -------
    FutilityIdentity
        Both sides, by class.

    Raises
    ------
    ValueError
        If gamma is not in [0, 1), or the shapes do not fit.

    References
    ----------
    R. S. Sutton and A. G. Barto (2018), Reinforcement Learning, section 10.4.

    Examples
    --------
    >>> futility_identity([[[0, 1]], [[1, 0]]], [[1], [0]], [[1], [1]], 0.5)
    FutilityIdentity(discounted=[Fraction(1, 1)], average=[Fraction(1, 1)])
    """
    discount = exact(gamma)
    r_pi = policy_reward(exact(reward), exact(policy))
    (V,) = solve(discounted_system(policy_chain(transition, policy).P_pi, discount), [r_pi])
    g = evaluate_average(transition, reward, policy).gain
    distributions = stationary_distributions(transition, policy)
    return FutilityIdentity(
        discounted=[dot(d, V) for d in distributions],
        average=[dot(d, g) / (1 - discount) for d in distributions],
    )


def random_horizon(
    transition: Sequence[Sequence[Sequence[Number]]],
    reward: Sequence[Sequence[Number]],
    policy: Sequence[Sequence[Number]],
    gamma: Number,
    terms: int,
) -> RandomHorizon:
    """Return the discounted value and the undiscounted one over a geometric number N of steps (theory 3.5).

    With the values V_n over n steps, without a discount::

        V(s) = E[V_N(s)] = sum_{n >= 1} (1 - gamma) gamma^(n - 1) V_n(s)

    and the first M terms of the sum are off by at most ``gamma^M (M + 1 / (1 - gamma)) max|r_pi|``.

    Parameters
    ----------
    transition
        P(t | s, a), indexed [s][a][t]; the process ends with the probability that is missing in a row.
    reward
        r(s, a), indexed [s][a].
    policy
        pi(a | s), indexed [s][a].
    gamma
        The discount factor, 0 <= gamma < 1.
    terms
        M, the number of terms, >= 1.

    Returns
    -------
    RandomHorizon
        Both sides and how far they can be apart.

    Raises
    ------
    ValueError
        If gamma is not in [0, 1), there are no terms, or the shapes do not fit.

    References
    ----------
    M. L. Puterman (1994), Markov Decision Processes, proposition 5.3.1.

    Examples
    --------
    >>> result = random_horizon([[[1]]], [[1]], [[1]], gamma=0.5, terms=2)
    >>> str(result.value[0]), str(result.partial[0]), str(result.bound)
    ('2', '1', '1')
    """
    if terms < 1:
        raise ValueError(f"terms: expected a number >= 1, got {terms}")
    discount = exact(gamma)
    value = evaluate(transition, reward, policy, discount).value
    # Values by the number of steps to go: V_0, V_1, ..., V_M.
    over_steps = evaluate_finite_horizon(transition, reward, [policy] * terms).value[::-1]
    chances = [Fraction(0), *((1 - discount) * discount ** (n - 1) for n in range(1, terms + 1))]
    largest = max(abs(r) for r in policy_reward(exact(reward), exact(policy)))
    return RandomHorizon(
        value=value,
        partial=[dot(chances, [V[s] for V in over_steps]) for s in range(len(value))],
        bound=discount**terms * (terms + 1 / (1 - discount)) * largest,
    )


def death_mdp(
    transition: Sequence[Sequence[Sequence[Number]]],
    gamma: Number,
    termination: Sequence[Sequence[Number]] | None = None,
) -> DeathMDP:
    """Return the process in which a discount is the probability to live on (theory 3.5).

    Its rewards are the same, and without a discount its values are V and its visits are rho.

    Parameters
    ----------
    transition
        P(t | s, a), indexed [s][a][t].
    gamma
        The discount factor, 0 <= gamma < 1.
    termination
        The probability that the process ends after the pair, indexed [s][a]; without it the process never ends.

    Returns
    -------
    DeathMDP
        Its rows and their terminations.

    Raises
    ------
    ValueError
        If gamma is not in [0, 1), or the shapes do not fit.

    References
    ----------
    M. L. Puterman (1994), Markov Decision Processes, section 5.3. R. S. Sutton and A. G. Barto (2018), Reinforcement
    Learning, section 5.8.

    Examples
    --------
    >>> death_mdp([[[1]]], gamma=0.75)
    DeathMDP(transition=[[[Fraction(3, 4)]]], termination=[[Fraction(1, 4)]])
    """
    P, discount = exact(transition), exact(gamma)
    if not 0 <= discount < 1:
        raise ValueError(f"gamma: expected 0 <= gamma < 1, got {discount}")
    ends = [[Fraction(0)] * len(rows) for rows in P] if termination is None else exact(termination)
    return DeathMDP(
        transition=[[[discount * p for p in row] for row in rows] for rows in P],
        termination=[[1 - discount * (1 - end) for end in row_ends] for row_ends in ends],
    )


def restart_chain(
    transition: Sequence[Sequence[Sequence[Number]]],
    policy: Sequence[Sequence[Number]],
    initial: Sequence[Number],
    gamma: Number,
) -> Matrix:
    """Return the chain that starts afresh whenever the process dies of its discount, or ends (theory 3.6).

    If rho0 sums to 1, so does every row, and the discounted visits divided by their sum are stationary::

        R(t | s) = gamma P_pi(t | s) + (1 - gamma sum_u P_pi(u | s)) rho0(t)

    Parameters
    ----------
    transition
        P(t | s, a), indexed [s][a][t]; the process ends with the probability that is missing in a row.
    policy
        pi(a | s), indexed [s][a].
    initial
        rho0(s), indexed [s].
    gamma
        The discount factor, 0 <= gamma < 1.

    Returns
    -------
    list of list of Fraction
        The state by state matrix, indexed [s][t].

    Raises
    ------
    ValueError
        If gamma is not in [0, 1), or the shapes do not fit.

    Examples
    --------
    >>> restart_chain([[[0, 1]], [[0, 1]]], [[1], [1]], [1, 0], gamma=0.75)
    [[Fraction(1, 4), Fraction(3, 4)], [Fraction(1, 4), Fraction(3, 4)]]
    """
    rho0, discount = exact(initial), exact(gamma)
    if not 0 <= discount < 1:
        raise ValueError(f"gamma: expected 0 <= gamma < 1, got {discount}")
    P_pi = policy_transition(exact(transition), exact(policy))
    return [
        [discount * p + (1 - discount * sum(row)) * start for p, start in zip(row, rho0, strict=True)] for row in P_pi
    ]
