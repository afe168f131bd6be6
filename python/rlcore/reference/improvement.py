"""What a new policy gains, and what the old one promises that it gains (theory 5.1, 5.2).

The three settings differ in how states are weighed, and in nothing else. Each function states its own formulas; what
they share is at the end.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

from .chain import discounted_system, policy_transition
from .divergence import policy_divergences
from .episodic import (
    ImproperPolicyError,
    evaluate_episodic,
    occupancy_episodic,
    proper_states,
)
from .evaluation import evaluate
from .linear import dot, multiply, solve, transpose
from .long_run import deviation_rows, evaluate_average, occupancy_average
from .occupancy import occupancy, state_distribution
from .rational import Matrix, Number, Vector, exact
from .real import Extended
from .structure import EndingChain, chain_structure, policy_chain, reachable, solve_within, structure_of

Partial = Sequence[Fraction | None]
"""One number per state or action, None where it does not exist."""


@dataclass(frozen=True, slots=True)
class Improvement:
    """A new policy beside the old one.

    Attributes
    ----------
    start_value, new_start_value
        eta and eta': the return of the old and of the new policy, each from an evaluation of its own. In the average
        setting they are the gains.
    improvement
        eta' - eta.
    expected_advantage
        Abar(s) = sum_a (pi'(a | s) - pi(a | s)) A_pi(s, a). In episodes None where it does not exist.
    surrogate
        L: eta and the visits of the old policy times Abar.
    gap
        eta' - L.
    visited_advantage
        The visits of the new policy times Abar: eta' - eta once more.
    propagated_advantage
        W(s), the sum of Abar over the visits of the new policy from s; in the average setting what these are ahead of
        the long run. In episodes None where it does not exist.
    propagated_gap
        What the first step with the new policy instead of the old one changes in W: eta' - L once more. None if W does
        not exist where it is needed.
    max_advantage
        eps = max |A_pi|, over all states and all their actions.
    max_expected_advantage
        epsbar = max |Abar|, over all states.
    max_total_variation
        alpha = max TV(pi(.|s), pi'(.|s)).
    max_kl
        max KL(pi(.|s) || pi'(.|s)).
    state
        d(s) of the old policy.
    mean_total_variation, mean_kl
        sum_s d(s) TV and sum_s d(s) KL.
    """

    start_value: Fraction
    new_start_value: Fraction
    improvement: Fraction
    expected_advantage: Partial
    surrogate: Fraction
    gap: Fraction
    visited_advantage: Fraction
    propagated_advantage: Partial
    propagated_gap: Fraction | None
    max_advantage: Fraction
    max_expected_advantage: Fraction
    max_total_variation: Fraction
    max_kl: Extended
    state: Vector
    mean_total_variation: Fraction
    mean_kl: Extended


@dataclass(frozen=True, slots=True)
class PerformanceDifference:
    """Advantages summed over time, for the times 0, ..., T - 1 with T = 0, 1, ..., steps.

    Attributes
    ----------
    by_pairs
        sum_{t < T} gamma^t E'[A_pi(s_t, a_t)], pair by pair along the new policy.
    by_states
        sum_{t < T} gamma^t E'[Abar(s_t)], along the new policy.
    by_old_states
        sum_{t < T} gamma^t E[Abar(s_t)], along the old policy.
    """

    by_pairs: Vector
    by_states: Vector
    by_old_states: Vector


def improvement(
    transition: Sequence[Sequence[Sequence[Number]]],
    policy: Sequence[Sequence[Number]],
    candidate: Sequence[Sequence[Number]],
    initial: Sequence[Number],
    gamma: Number,
    reward: Sequence[Sequence[Number]],
) -> Improvement:
    """Return the exact improvement of the discounted return and its surrogate (theory 5.1, 5.2).

    Both policies are evaluated, so that the gap is known without a formula for it; the formulas are there besides::

        L = eta + rho^T Abar,    eta' - eta = rho'^T Abar,    (I - gamma P') W = Abar
        eta' - L = gamma rho^T (P' - P) W

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

    Returns
    -------
    Improvement
        All numbers as fractions; relative entropies to sixty digits.

    Raises
    ------
    ValueError
        If gamma is not in [0, 1), or the shapes do not fit.

    References
    ----------
    S. Kakade and J. Langford (2002), Approximately optimal approximate reinforcement learning, ICML, lemma 6.1.
    J. Schulman, S. Levine, P. Moritz, M. Jordan and P. Abbeel (2015), Trust region policy optimization, section 2.

    Examples
    --------
    Work, for 1, and stay, or rest, for nothing, and lie down for ever. Less rest is worth more than it seems:

    >>> half = Fraction(1, 2)
    >>> work_or_rest = [[[1, 0], [0, 1]], [[0, 1]]]
    >>> result = improvement(work_or_rest, [[half, half], [1]], [[1, 0], [1]], [1, 0], half, [[1, 0], [0]])
    >>> [str(x) for x in (result.start_value, result.new_start_value, result.surrogate, result.gap)]
    ['2/3', '2', '14/9', '4/9']
    >>> result.propagated_gap == result.gap
    True
    """
    P, pi, pi_new, discount = exact(transition), exact(policy), exact(candidate), exact(gamma)
    old = evaluate(transition, reward, policy, discount, initial)
    eta_new = evaluate(transition, reward, candidate, discount, initial).start_value
    visits = occupancy(transition, policy, initial, discount)
    rho_new = occupancy(transition, candidate, initial, discount).visits
    abar = expected_advantage(pi, pi_new, old.advantage)
    P_old, P_new = policy_transition(P, pi), policy_transition(P, pi_new)
    (W,) = solve(discounted_system(P_new, discount), [abar])
    return _collected(
        policies=(pi, pi_new),
        values=(old.start_value, eta_new),
        advantage=old.advantage,
        abar=abar,
        visits=(visits.visits, rho_new),
        state=visits.state,
        W=W,
        gap=discount * dot(_moved(visits.visits, P_old, P_new), W),
    )


def performance_difference(
    transition: Sequence[Sequence[Sequence[Number]]],
    policy: Sequence[Sequence[Number]],
    candidate: Sequence[Sequence[Number]],
    initial: Sequence[Number],
    gamma: Number,
    reward: Sequence[Sequence[Number]],
    steps: int,
) -> PerformanceDifference:
    """Return the sums of the first discounted advantages along the new policy and the old one (theory 5.1).

    As T grows, the first two come near eta' - eta, and the third near L - eta::

        sum_{t < T} gamma^t E'[A_pi(s_t, a_t)] = sum_{t < T} gamma^t E'[Abar(s_t)],    sum_{t < T} gamma^t E[Abar(s_t)]

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
        The largest T, >= 0.

    Returns
    -------
    PerformanceDifference
        steps + 1 sums of each kind.

    Raises
    ------
    ValueError
        If gamma is not in [0, 1), steps is negative, or the shapes do not fit.

    References
    ----------
    S. Kakade and J. Langford (2002), Approximately optimal approximate reinforcement learning, ICML, lemma 6.1.

    Examples
    --------
    >>> half = Fraction(1, 2)
    >>> work_or_rest = [[[1, 0], [0, 1]], [[0, 1]]]
    >>> sums = performance_difference(
    ...     work_or_rest, [[half, half], [1]], [[1, 0], [1]], [1, 0], half, [[1, 0], [0]], steps=3
    ... )
    >>> [str(x) for x in sums.by_pairs]                     # on the way to 4/3
    ['0', '2/3', '1', '7/6']
    """
    pi, pi_new, discount = exact(policy), exact(candidate), exact(gamma)
    A = evaluate(transition, reward, policy, discount).advantage
    taken = [dot(p, a) for p, a in zip(pi_new, A, strict=True)]
    abar = expected_advantage(pi, pi_new, A)
    there = state_distribution(transition, candidate, initial, steps)
    here = state_distribution(transition, policy, initial, steps)
    return PerformanceDifference(
        by_pairs=_partial_sums(discount, there[:steps], taken),
        by_states=_partial_sums(discount, there[:steps], abar),
        by_old_states=_partial_sums(discount, here[:steps], abar),
    )


def improvement_episodic(
    transition: Sequence[Sequence[Sequence[Number]]],
    policy: Sequence[Sequence[Number]],
    candidate: Sequence[Sequence[Number]],
    initial: Sequence[Number],
    reward: Sequence[Sequence[Number]],
    termination: Sequence[Sequence[Number]],
) -> Improvement:
    """Return the exact improvement of the undiscounted return of episodes, and its surrogate (theory 5.1, 5.2).

    With expected visits in place of discounted ones::

        L = eta + e^T Abar,    eta' - eta = e'^T Abar,    (I - P') W = Abar,    eta' - L = e^T (P' - P) W

    The maxima run over all states and pairs whose advantages exist.

    Parameters
    ----------
    transition
        P(t | s, a), indexed [s][a][t]; the size of an entry P(s | s, a) is not read, only whether it is there.
    policy
        pi(a | s), indexed [s][a].
    candidate
        pi'(a | s), indexed [s][a].
    initial
        rho0(s), indexed [s].
    reward
        r(s, a), indexed [s][a].
    termination
        The probability that the process ends after the pair, indexed [s][a].

    Returns
    -------
    Improvement
        All numbers as fractions; relative entropies to sixty digits. W, and the gap by it, do not exist if the new
        policy may go on for ever from where the old one leads.

    Raises
    ------
    ImproperPolicyError
        If either policy may go on for ever from a state in which the process can start, or the old one from where the
        new one leads.
    ValueError
        If the shapes do not fit.

    References
    ----------
    S. Kakade and J. Langford (2002), Approximately optimal approximate reinforcement learning, ICML, lemma 6.1.

    Examples
    --------
    A step costs 1; end with probability 1/4, or with 1/2:

    >>> half, quarter = Fraction(1, 2), Fraction(1, 4)
    >>> result = improvement_episodic([[[1 - quarter], [half]]], [[1, 0]], [[0, 1]], [1], [[-1, -1]], [[quarter, half]])
    >>> [str(x) for x in (result.start_value, result.new_start_value, result.surrogate, result.gap)]
    ['-4', '-2', '0', '-2']
    """
    pi, pi_new = exact(policy), exact(candidate)
    old = evaluate_episodic(transition, reward, policy, termination, initial)
    eta_new = evaluate_episodic(transition, reward, candidate, termination, initial).start_value
    chain, new_chain = policy_chain(transition, policy, termination), policy_chain(transition, candidate, termination)
    visits = occupancy_episodic(transition, policy, initial, termination)
    e_new = occupancy_episodic(transition, candidate, initial, termination).visits
    starts = [s for s, p in enumerate(exact(initial)) if p > 0]
    needed = reachable(new_chain.successors, reachable(chain.successors, starts))
    if not all(old.proper[s] for s in needed):
        found = reachable(chain.successors, needed)
        raise ImproperPolicyError([c for c in structure_of(chain).recurrent_classes if c[0] in found])
    abar = [_expected_where_it_exists(*rows) for rows in zip(pi, pi_new, old.advantage, strict=True)]
    W = _until_the_end(new_chain, abar)
    lost = any(W[s] is None for s in needed)
    moved = _moved(visits.visits, chain.P_pi, new_chain.P_pi)
    return _collected(
        policies=(pi, pi_new),
        values=(old.start_value, eta_new),
        advantage=old.advantage,
        abar=abar,
        visits=(visits.visits, e_new),
        state=visits.state,
        W=W,
        gap=None if lost else weighted(moved, W),
    )


def improvement_average(
    transition: Sequence[Sequence[Sequence[Number]]],
    policy: Sequence[Sequence[Number]],
    candidate: Sequence[Sequence[Number]],
    reward: Sequence[Sequence[Number]],
    termination: Sequence[Sequence[Number]] | None = None,
) -> Improvement:
    """Return the exact improvement of the gain where there is one recurrent class, and its surrogate (theory 5.1, 5.2).

    With the stationary distributions d and d' and the deviation matrix H' of the new policy::

        L = g + d^T Abar,    g' - g = d'^T Abar,    W = H' Abar,    g' - L = d^T (P' - P) W

    Parameters
    ----------
    transition
        P(t | s, a), indexed [s][a][t]; the size of an entry P(s | s, a) is not read, only whether it is there.
    policy
        pi(a | s), indexed [s][a].
    candidate
        pi'(a | s), indexed [s][a].
    reward
        r(s, a), indexed [s][a].
    termination
        The probability that the process ends after the pair, indexed [s][a], which neither policy may take; optional.

    Returns
    -------
    Improvement
        All numbers as fractions; relative entropies to sixty digits.

    Raises
    ------
    ValueError
        If one of the policies has several recurrent classes or can end the process, or the shapes do not fit.

    References
    ----------
    Y. Zhang and K. W. Ross (2021), On-policy deep reinforcement learning for the average-reward criterion, ICML. X.-R.
    Cao (2007), Stochastic Learning and Optimization, section 2.1.

    Examples
    --------
    A machine works, for 1, and breaks down with probability 1/2; it is mended at once, or every other time:

    >>> half = Fraction(1, 2)
    >>> machine = [[[half, half]], [[0, 1], [1, 0]]]
    >>> result = improvement_average(machine, [[1], [half, half]], [[1], [0, 1]], [[1], [0, 0]])
    >>> [str(x) for x in (result.start_value, result.new_start_value, result.surrogate, result.gap)]
    ['1/2', '2/3', '3/4', '-1/12']
    """
    for name, probabilities in (("policy", policy), ("candidate", candidate)):
        classes = chain_structure(transition, probabilities, termination).recurrent_classes
        if len(classes) != 1:
            raise ValueError(f"{name}: expected one recurrent class, found {classes}")
    pi, pi_new = exact(policy), exact(candidate)
    old = evaluate_average(transition, reward, policy, termination=termination)
    g_new = evaluate_average(transition, reward, candidate, termination=termination).gain[0]
    states = range(len(pi))
    anywhere = [Fraction(s == 0) for s in states]
    d = occupancy_average(transition, policy, anywhere, termination).state
    d_new = occupancy_average(transition, candidate, anywhere, termination).state
    A = old.advantage or []
    abar = expected_advantage(pi, pi_new, A)
    W = multiply(deviation_rows(transition, candidate, states, termination), abar)
    P_old, P_new = (policy_chain(transition, p, termination).P_pi for p in (policy, candidate))
    return _collected(
        policies=(pi, pi_new),
        values=(old.gain[0], g_new),
        advantage=A,
        abar=abar,
        visits=(d, d_new),
        state=d,
        W=W,
        gap=dot(_moved(d, P_old, P_new), W),
    )


def expected_advantage(policy: Matrix, candidate: Matrix, advantage: Matrix) -> Vector:
    """Return ``Abar(s) = sum_a (pi'(a | s) - pi(a | s)) A_pi(s, a)`` (theory 5.2).

    Parameters
    ----------
    policy
        pi(a | s), indexed [s][a].
    candidate
        pi'(a | s), indexed [s][a].
    advantage
        A_pi(s, a), indexed [s][a].

    Raises
    ------
    ValueError
        If the shapes do not fit.

    Examples
    --------
    >>> expected_advantage(exact([[0.5, 0.5]]), exact([[0.75, 0.25]]), exact([[1, -1]]))
    [Fraction(1, 2)]
    """
    changes = [[q - p for p, q in zip(*rows, strict=True)] for rows in zip(policy, candidate, strict=True)]
    return [dot(change, A) for change, A in zip(changes, advantage, strict=True)]


def weighted(weights: Vector, x: Partial) -> Fraction:
    """Return the sum of weights times x; there are no weights where x does not exist.

    Parameters
    ----------
    weights, x
        One number per state.

    Examples
    --------
    >>> weighted([Fraction(2), Fraction(0)], [Fraction(3), None])
    Fraction(6, 1)
    """
    return sum((weight * value for weight, value in zip(weights, x, strict=True) if value is not None), Fraction(0))


def _expected_where_it_exists(pi: Vector, pi_new: Vector, advantage: Partial) -> Fraction | None:
    """Return Abar in one state, or None if a pair that one of the policies takes has no advantage."""
    if any(a is None for p, q, a in zip(pi, pi_new, advantage, strict=True) if p or q):
        return None
    return weighted([q - p for p, q in zip(pi, pi_new, strict=True)], advantage)


def _collected(
    policies: tuple[Matrix, Matrix],
    values: tuple[Fraction | None, Fraction | None],
    advantage: Sequence[Partial],
    abar: Partial,
    visits: tuple[Vector, Vector],
    state: Vector,
    W: Partial,
    gap: Fraction | None,
) -> Improvement:
    """Return what follows in the same way in all settings; of two things the first belongs to the old policy."""
    eta, eta_new = (Fraction(value or 0) for value in values)
    surrogate = eta + weighted(visits[0], abar)
    divergences = policy_divergences(*policies, weights=state)
    return Improvement(
        start_value=eta,
        new_start_value=eta_new,
        improvement=eta_new - eta,
        expected_advantage=abar,
        surrogate=surrogate,
        gap=eta_new - surrogate,
        visited_advantage=weighted(visits[1], abar),
        propagated_advantage=W,
        propagated_gap=gap,
        max_advantage=max(abs(a) for actions in advantage for a in actions if a is not None),
        max_expected_advantage=max(abs(a) for a in abar if a is not None),
        max_total_variation=divergences.max_total_variation,
        max_kl=divergences.max_kl,
        state=state,
        mean_total_variation=Fraction(divergences.mean_total_variation or 0),
        mean_kl=divergences.mean_kl or Fraction(0),
    )


def _moved(visits: Vector, P: Matrix, P_new: Matrix) -> Vector:
    """Return ``(P' - P)^T`` times the visits: where the new policy steps more often, and less often."""
    steps, new_steps = (multiply(transpose(matrix), visits) for matrix in (P, P_new))
    return [more - less for more, less in zip(new_steps, steps, strict=True)]


def _partial_sums(gamma: Fraction, distributions: Sequence[Vector], x: Vector) -> Vector:
    """Return the sums of the first terms of ``sum_t gamma^t E[x(s_t)]``, from no term to all of them."""
    sums = [Fraction(0)]
    for t, distribution in enumerate(distributions):
        sums.append(sums[-1] + gamma**t * dot(distribution, x))
    return sums


def _until_the_end(chain: EndingChain, x: Partial) -> Partial:
    """Return the sum of x over all states that the chain visits before it ends, where that exists."""
    surely = proper_states(chain)
    states = [s for s in range(len(x)) if surely[s] and all(x[t] is not None for t in reachable(chain.successors, [s]))]
    (sums,) = solve_within(chain.P_pi, states, [[x[s] or Fraction(0) for s in states]])
    by_state = dict(zip(states, sums, strict=True))
    return [by_state.get(s) for s in range(len(x))]
