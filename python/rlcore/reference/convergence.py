"""How far a policy can be from an optimal one, and a value from the right one (theory 6)."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from math import inf

from .chain import policy_reward, policy_transition
from .linear import dot, multiply
from .rational import Number, exact
from .real import ACCURACY, Extended, logarithm


def npg_bound(step: Number, gamma: Number, iterations: int, actions: int) -> Fraction:
    """Return how far the natural policy gradient is from the best value after some iterations (theory 6).

    From the uniform policy, with rewards in [0, 1] and ``pi <- pi exp(step A) / norm``, in every state::

        V* - V_T <= log|A| / (step (1 - gamma) T) + 1 / ((1 - gamma)^2 T)

    Parameters
    ----------
    step
        The step of the exponent, > 0.
    gamma
        The discount factor, 0 <= gamma < 1.
    iterations
        T, > 0.
    actions
        The largest number of actions of a state.

    Returns
    -------
    Fraction
        With a relative error of at most 1e-60.

    References
    ----------
    A. Agarwal, S. M. Kakade, J. D. Lee and G. Mahajan (2021), On the theory of policy gradient methods, Journal of
    Machine Learning Research 22, theorem 16.

    Examples
    --------
    >>> float(npg_bound(1, 0.5, 10, 2)), npg_bound(1, 0.5, 10, 1)
    (0.5386294361119891, Fraction(2, 5))
    """
    horizon = 1 / (1 - exact(gamma))
    # log n > 1/2 for n >= 2, so that half of the accuracy is enough.
    entropy = logarithm(Fraction(actions), ACCURACY / 2)
    return entropy * horizon / (exact(step) * iterations) + horizon**2 / iterations


def direct_parameter_bound(
    best_state: Sequence[Number],
    state: Sequence[Number],
    policy: Sequence[Sequence[Number]],
    gradient: Sequence[Sequence[Number]],
) -> Extended:
    """Return how far the return is from the best one, by the gradient in the probabilities themselves (theory 6).

    A policy that no other improves to first order is optimal, if it goes wherever an optimal one goes::

        V*(rho0) - V(rho0) <= max_s d*(s) / d(s) * max_{pi~} <pi~ - pi, grad V>,    0/0 = 0, x/0 = inf

    Parameters
    ----------
    best_state
        d*(s) of an optimal policy from the same start, indexed [s].
    state
        d(s), indexed [s].
    policy
        pi(a | s), indexed [s][a].
    gradient
        The derivative of V(rho0) by pi(a | s), rho(s) Q(s, a), indexed [s][a].

    Returns
    -------
    Fraction or inf
        Infinite if d is 0 where d* is not, also if the gradient promises nothing: there it says nothing.

    References
    ----------
    A. Agarwal, S. M. Kakade, J. D. Lee and G. Mahajan (2021), On the theory of policy gradient methods, Journal of
    Machine Learning Research 22, lemma 4.

    Examples
    --------
    >>> direct_parameter_bound([1], [1], [[0.5, 0.5]], [[1, 3]])
    Fraction(1, 1)
    """
    mismatch = Fraction(0)
    for best, d in zip(exact(best_state), exact(state), strict=True):
        if d == 0 < best:
            return inf
        mismatch = max(mismatch, best / d if best else Fraction(0))
    rows = zip(exact(policy), exact(gradient), strict=True)
    return mismatch * sum((max(slope) - dot(pi, slope) for pi, slope in rows), Fraction(0))


def simulation_bound(
    transition: Sequence[Sequence[Sequence[Number]]],
    reward: Sequence[Sequence[Number]],
    policy: Sequence[Sequence[Number]],
    gamma: Number,
    value: Sequence[Number],
) -> Fraction:
    """Return how far a value from another model can be from the right one (theory 6, 10.1).

    By the simulation lemma, with what the value misses in the equation of the true model::

        max |V - V^| <= max |r_pi + gamma P_pi V^ - V^| / (1 - gamma)

    Parameters
    ----------
    transition
        P(t | s, a) of the true model, indexed [s][a][t].
    reward
        r(s, a) of the true model, indexed [s][a].
    policy
        pi(a | s), indexed [s][a].
    gamma
        The discount factor, 0 <= gamma < 1.
    value
        V^(s), of the same policy in the other model or from anywhere else, indexed [s].

    Raises
    ------
    ValueError
        If the shapes do not fit.

    References
    ----------
    M. Kearns and S. Singh (2002), Near-optimal reinforcement learning in polynomial time, Machine Learning 49.

    Examples
    --------
    >>> simulation_bound([[[1]]], [[1]], [[1]], 0.5, [1])   # the value is 2
    Fraction(1, 1)
    """
    pi, discount, guess = exact(policy), exact(gamma), exact(value)
    later = multiply(policy_transition(exact(transition), pi), guess)
    rows = zip(policy_reward(exact(reward), pi), later, guess, strict=True)
    return max(abs(now + discount * then - v) for now, then, v in rows) / (1 - discount)
