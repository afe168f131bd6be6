"""How the return changes with the parameters of a policy: exact gradients (theory 4.1, 4.4).

The theorem of the policy gradient is not used. Here the equation of the value is differentiated as it stands, one
parameter after the other, so that neither advantages nor visits appear.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

from .chain import discounted_system, policy_reward, policy_transition
from .episodic import evaluate_episodic
from .families import PolicyFamily
from .linear import dot, multiply, solve
from .long_run import evaluate_average
from .rational import Kernel, Matrix, Number, Vector, exact
from .structure import EndingChain, ending_rows, policy_chain, reachable, solve_within, structure_of


@dataclass(frozen=True, slots=True)
class PolicyGradient:
    """What a policy earns, and how that changes with its parameters.

    Attributes
    ----------
    gradient
        The derivative by each parameter, indexed [k].
    start_value
        rho0^T V; None in the long run.
    gain
        The average reward of a step; None elsewhere.
    """

    gradient: Vector
    start_value: Fraction | None = None
    gain: Fraction | None = None


def policy_gradient(
    transition: Sequence[Sequence[Sequence[Number]]],
    reward: Sequence[Sequence[Number]],
    family: PolicyFamily,
    gamma: Number,
    initial: Sequence[Number],
) -> PolicyGradient:
    """Return the exact gradient of the discounted return (theory 4.1).

    A dot is the derivative by one parameter. That of ``V = r_pi + gamma P_pi V`` is a system with the same matrix::

        V. = b + gamma P_pi V.,    b(s) = sum_a pi.(a | s) (r(s, a) + gamma sum_t P(t | s, a) V(t)),    eta. = rho0^T V.

    Parameters
    ----------
    transition
        P(t | s, a), indexed [s][a][t]; the process ends with the probability that is missing in a row.
    reward
        r(s, a), indexed [s][a].
    family
        The policy and the derivatives of its probabilities.
    gamma
        The discount factor, 0 <= gamma < 1.
    initial
        rho0(s), indexed [s].

    Returns
    -------
    PolicyGradient
        All numbers as fractions.

    Raises
    ------
    ValueError
        If gamma is not in [0, 1), or the shapes do not fit.

    References
    ----------
    R. S. Sutton, D. McAllester, S. Singh and Y. Mansour (2000), Policy gradient methods for reinforcement learning
    with function approximation, NIPS 12, whose appendix begins like this.

    Examples
    --------
    One of two actions pays 1 in every step, for ever:

    >>> from rlcore.reference import tabular_softmax
    >>> result = policy_gradient([[[1], [1]]], [[1, 0]], tabular_softmax([[0, 0]]), Fraction(3, 4), [1])
    >>> result.start_value, result.gradient
    (Fraction(2, 1), [Fraction(1, 1), Fraction(-1, 1)])
    """
    P, r, discount, rho0 = exact(transition), exact(reward), exact(gamma), exact(initial)
    system = discounted_system(policy_transition(P, family.policy), discount)
    (V,) = solve(system, [policy_reward(r, family.policy)])
    Q = _lookahead(r, P, [discount * v for v in V])
    derivatives = solve(system, _sources(family, Q))
    return PolicyGradient(gradient=[dot(rho0, V_dot) for V_dot in derivatives], start_value=dot(rho0, V))


def policy_gradient_episodic(
    transition: Sequence[Sequence[Sequence[Number]]],
    reward: Sequence[Sequence[Number]],
    family: PolicyFamily,
    initial: Sequence[Number],
    termination: Sequence[Sequence[Number]],
) -> PolicyGradient:
    """Return the exact gradient of the undiscounted return of a process that ends (theory 4.4).

    The equation of the value is differentiated among the states that the policy can reach, as in
    :func:`policy_gradient` with gamma = 1.

    Parameters
    ----------
    transition
        P(t | s, a), indexed [s][a][t]; the size of an entry P(s | s, a) is not read, only whether it is there.
    reward
        r(s, a), indexed [s][a].
    family
        The policy and the derivatives of its probabilities.
    initial
        rho0(s), indexed [s].
    termination
        The probability that the process ends after the pair, indexed [s][a].

    Returns
    -------
    PolicyGradient
        All numbers as fractions.

    Raises
    ------
    ImproperPolicyError
        If the process may go on for ever from a state in which it can start.
    ValueError
        If a probability that is 0 can grow and leads to where the process may go on for ever, or the shapes do not
        fit.

    References
    ----------
    R. S. Sutton and A. G. Barto (2018), Reinforcement Learning, section 13.2.

    Examples
    --------
    A reward of -1 in every step, of which the second action makes the last:

    >>> from rlcore.reference import tabular_softmax
    >>> policy = tabular_softmax([[0, 0]])
    >>> policy_gradient_episodic([[[1], [0]]], [[-1, -1]], policy, [1], termination=[[0, 1]]).gradient
    [Fraction(-1, 1), Fraction(1, 1)]
    """
    evaluation = evaluate_episodic(transition, reward, family.policy, termination, initial)
    chain, rho0 = policy_chain(transition, family.policy, termination), exact(initial)
    visited = _visited(chain, rho0)
    sources = []
    for k in range(family.num_parameters):
        slopes = [[slope[k] for slope in family.slopes[s]] for s in visited]
        sources.append([_source(row, evaluation.action_value[s]) for s, row in zip(visited, slopes, strict=True)])
    derivatives = solve_within(chain.P_pi, visited, sources)
    starts = [rho0[s] for s in visited]
    return PolicyGradient(
        gradient=[dot(starts, v_dot) for v_dot in derivatives],
        start_value=evaluation.start_value,
    )


def policy_gradient_average(
    transition: Sequence[Sequence[Sequence[Number]]],
    reward: Sequence[Sequence[Number]],
    family: PolicyFamily,
    initial: Sequence[Number] | None = None,
    termination: Sequence[Sequence[Number]] | None = None,
) -> PolicyGradient:
    """Return the exact gradient of the gain of a policy with one recurrent class (theory 4.4).

    Gain and values relative to a state of the class are one solution of ``g + h = r_pi + P_pi h``, whose derivative
    is a system with the same matrix::

        g. + h. = b + P_pi h.,    b(s) = sum_a pi.(a | s) (r(s, a) - g + sum_t P(t | s, a) h(t))

    Parameters
    ----------
    transition
        P(t | s, a), indexed [s][a][t]; the size of an entry P(s | s, a) is not read, only whether it is there.
    reward
        r(s, a), indexed [s][a].
    family
        The policy and the derivatives of its probabilities.
    initial
        rho0(s), indexed [s]; without it the process may start anywhere.
    termination
        The probability that the process ends after the pair, indexed [s][a]. States in which the policy can end the
        process must be out of reach.

    Returns
    -------
    PolicyGradient
        All numbers as fractions.

    Raises
    ------
    ValueError
        If the process can end, there are several recurrent classes, or the shapes do not fit.

    References
    ----------
    P. Marbach and J. N. Tsitsiklis (2001), Simulation-based optimization of Markov reward processes, IEEE Transactions
    on Automatic Control 46, 191-209.

    Examples
    --------
    Stay where it pays 1, or go round by a state where it does not:

    >>> from rlcore.reference import tabular_softmax
    >>> policy = tabular_softmax([[0, 0], [0]])
    >>> result = policy_gradient_average([[[1, 0], [0, 1]], [[1, 0]]], [[1, 1], [0]], policy)
    >>> result.gain, result.gradient
    (Fraction(2, 3), [Fraction(1, 9), Fraction(-1, 9), Fraction(0, 1)])
    """
    evaluation = evaluate_average(transition, reward, family.policy, initial, termination)
    chain = policy_chain(transition, family.policy, termination)
    classes = structure_of(chain).recurrent_classes
    if len(classes) != 1:
        raise ValueError(f"expected one recurrent class, found {classes}")
    home, size = classes[0][0], len(chain.P_pi)
    # Where h(home) would stand stands the gain: h is relative to that state.
    system = [[Fraction(1) if t == home else (s == t) - chain.P_pi[s][t] for t in range(size)] for s in range(size)]
    g = evaluation.gain[home]
    rows = ending_rows(exact(transition), None if termination is None else exact(termination))
    Q = _lookahead([[x - g for x in row] for row in exact(reward)], rows, evaluation.bias)
    derivatives = solve(system, _sources(family, Q))
    return PolicyGradient(gradient=[g_and_h_dot[home] for g_and_h_dot in derivatives], gain=g)


def _lookahead(reward: Matrix, rows: Kernel, V: Vector) -> Matrix:
    """Return ``r(s, a) + sum_t P(t | s, a) V(t)``."""
    later = [multiply(actions, V) for actions in rows]
    return [[x + y for x, y in zip(now, ahead, strict=True)] for now, ahead in zip(reward, later, strict=True)]


def _sources(family: PolicyFamily, Q: Matrix) -> list[Vector]:
    """Return ``sum_a pi.(a | s) Q(s, a)``, indexed [k][s]."""
    return [
        [dot([slope[k] for slope in slopes], values) for slopes, values in zip(family.slopes, Q, strict=True)]
        for k in range(family.num_parameters)
    ]


def _source(slopes: Vector, Q: Sequence[Fraction | None]) -> Fraction:
    """Return the sum of slope times Q, where a Q that does not exist may meet slopes of 0 only."""
    total = Fraction(0)
    for slope, q in zip(slopes, Q, strict=True):
        if slope:
            if q is None:
                raise ValueError("policy: a probability that is 0 can grow and leads to where the process never ends")
            total += slope * q
    return total


def _visited(chain: EndingChain, rho0: Vector) -> list[int]:
    """Return the states that can be reached from the start."""
    return sorted(reachable(chain.successors, [s for s, p in enumerate(rho0) if p > 0]))
