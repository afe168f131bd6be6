"""How far the surrogate can be from the return of the new policy: every bound of the table (theory 6).

Each bound is one small function of the numbers that its formula names; ``bounds`` collects them for a model. The two
propagated bounds and their enclosures follow the visits of a pair of processes for as long as they stay together.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from math import inf

from .chain import discounted_system, policy_transition
from .divergence import policy_divergences, total_variation
from .episodic import episode_length, occupancy_episodic
from .improvement import Improvement, Partial, improvement, improvement_average, improvement_episodic, weighted
from .linear import dot, multiply, solve, transpose
from .long_run import cesaro_limit, deviation_rows
from .occupancy import occupancy, successor_representation
from .rational import Kernel, Matrix, Number, Vector, exact
from .real import Extended, expectation, product, square_root
from .structure import ending_rows, policy_chain, reachable, solve_within

# The bounds of the discounted setting, in the order of the table.


def theorem_2_1(gamma: Fraction, eps: Fraction, kl_max: Extended) -> Extended:
    """Return ``4 gamma eps KLmax / (1 - gamma)^2``.

    Examples
    --------
    >>> theorem_2_1(Fraction(1, 2), Fraction(1), Fraction(1, 8)), theorem_2_1(Fraction(1, 2), Fraction(0), inf)
    (Fraction(1, 1), Fraction(0, 1))
    """
    return product(4 * gamma * eps / (1 - gamma) ** 2, kl_max)


def pinsker(gamma: Fraction, eps: Fraction, kl_max: Extended) -> Extended:
    """Return ``2 gamma eps KLmax / (1 - gamma)^2``: lemma 2.5 with Pinsker's alpha^2 <= KLmax / 2."""
    return product(2 * gamma * eps / (1 - gamma) ** 2, kl_max)


def lemma_2_5(gamma: Fraction, eps: Fraction, alpha: Fraction) -> Fraction:
    """Return ``4 alpha^2 gamma eps / (1 - gamma)^2``."""
    return 4 * alpha**2 * gamma * eps / (1 - gamma) ** 2


def eq_107(gamma: Fraction, eps: Fraction, alpha: Fraction) -> Fraction:
    """Return ``4 alpha^2 gamma eps / ((1 - gamma) (1 - gamma (1 - alpha)))``: lemma 2.5 before it is simplified."""
    return 4 * alpha**2 * gamma * eps / ((1 - gamma) * (1 - gamma * (1 - alpha)))


def cpo_kl(gamma: Fraction, epsbar: Fraction, mean_root: Extended) -> Extended:
    """Return ``2 gamma epsbar E_d[sqrt(KL / 2)] / (1 - gamma)^2``."""
    return product(2 * gamma * epsbar / (1 - gamma) ** 2, mean_root)


def pirotta_span(gamma: Fraction, span: Fraction, alpha: Fraction) -> Fraction:
    """Return ``gamma alpha span(Abar) / (1 - gamma)^2``."""
    return gamma * alpha * span / (1 - gamma) ** 2


def cpo_tv(gamma: Fraction, epsbar: Fraction, mean_tv: Fraction) -> Fraction:
    """Return ``2 gamma epsbar E_d[TV] / (1 - gamma)^2``."""
    return 2 * gamma * epsbar * mean_tv / (1 - gamma) ** 2


def cpo_span(gamma: Fraction, span: Fraction, mean_tv: Fraction) -> Fraction:
    """Return ``gamma span(Abar) E_d[TV] / (1 - gamma)^2``."""
    return gamma * span * mean_tv / (1 - gamma) ** 2


def span_107(gamma: Fraction, span: Fraction, alpha: Fraction) -> Fraction:
    """Return ``gamma alpha span(Abar) / ((1 - gamma) (1 - gamma (1 - alpha)))``."""
    return gamma * alpha * span / ((1 - gamma) * (1 - gamma * (1 - alpha)))


def propagated(span: Fraction, apart: Fraction) -> Fraction:
    """Return ``span(Abar) u``, where u bounds the visits after the two processes have parted."""
    return span * apart


def one_step(gamma: Fraction, span: Fraction, horizon: Fraction, moved: Fraction) -> Fraction:
    """Return ``gamma span(Abar) horizon / 2 (||(P' - P)^T rho||_1 + |rho^T (term' - term)|)``.

    The horizon is 1 / (1 - gamma) for ``one_step``, and tau(X') or T' for ``one_step_ergodic``.
    """
    return gamma * span * horizon * moved / 2


def ergodic(gamma: Fraction, span: Fraction, horizon: Fraction, visited_tv: Fraction) -> Fraction:
    """Return ``gamma tau(X') span(Abar) sum_s rho(s) TV(s)``."""
    return gamma * horizon * span * visited_tv


def bounds(
    transition: Sequence[Sequence[Sequence[Number]]],
    policy: Sequence[Sequence[Number]],
    candidate: Sequence[Sequence[Number]],
    initial: Sequence[Number],
    gamma: Number,
    reward: Sequence[Sequence[Number]],
    termination: Sequence[Sequence[Number]] | None = None,
) -> dict[str, Extended]:
    """Return all bounds of ``|eta' - L|`` in the discounted setting (theory 6).

    As soon as a pair has termination above 0, every span is span0 and tau(X') is T' = max X' 1::

        span0 f = max(max f, 0) - min(min f, 0),    tau(X) = max_ij 1/2 ||X_i - X_j||_1

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
    termination
        The probability that the process ends after the pair, indexed [s][a]; without it, what is missing in the row.

    Returns
    -------
    dict of str to (Fraction or inf)
        The bounds by the names of the table. Those with a relative entropy have a relative error of at most 1e-60.

    Raises
    ------
    ValueError
        If gamma is not in [0, 1), or the shapes do not fit.

    References
    ----------
    J. Schulman et al. (2015), Trust region policy optimization, theorem 1. J. Achiam et al. (2017), Constrained policy
    optimization, section 5.1. M. Pirotta et al. (2013), Safe policy iteration, section 3.

    Examples
    --------
    >>> half = Fraction(1, 2)
    >>> work_or_rest = [[[1, 0], [0, 1]], [[0, 1]]]
    >>> found = bounds(work_or_rest, [[half, half], [1]], [[1, 0], [1]], [1, 0], half, [[1, 0], [0]])
    >>> {name: str(found[name]) for name in ("lemma_2_5", "eq_107", "span_107", "cpo_tv", "propagated_state")}
    {'lemma_2_5': '4/3', 'eq_107': '8/9', 'span_107': '4/9', 'cpo_tv': '8/9', 'propagated_state': '4/9'}
    """
    result = improvement(transition, policy, candidate, initial, gamma, reward)
    return bounds_beside(result, transition, policy, candidate, initial, gamma, termination)


def bounds_beside(
    result: Improvement,
    transition: Sequence[Sequence[Sequence[Number]]],
    policy: Sequence[Sequence[Number]],
    candidate: Sequence[Sequence[Number]],
    initial: Sequence[Number],
    gamma: Number,
    termination: Sequence[Sequence[Number]] | None,
) -> dict[str, Extended]:
    """Return what :func:`bounds` does, of an improvement that is known."""
    P, pi, pi_new, discount = exact(transition), exact(policy), exact(candidate), exact(gamma)
    end = _termination(P, termination)
    rho = occupancy(transition, policy, initial, discount).visits
    divergences = policy_divergences(pi, pi_new, result.state)
    ends = any(x > 0 for row in end for x in row)
    span = span_of(result.expected_advantage, ends)
    alpha, mean_tv = result.max_total_variation, result.mean_total_variation
    mean_root = expectation(result.state, [square_root(product(Fraction(1, 2), kl)) for kl in divergences.kl])
    visited_tv = dot(rho, divergences.total_variation)
    chains = policy_transition(P, pi), policy_transition(P, pi_new)
    moved = _moved_mass(rho, chains, (_mixed(end, pi), _mixed(end, pi_new)))
    horizon = 1 / (1 - discount)
    tau = _contraction(successor_representation(transition, candidate, discount, range(len(pi))), ends)
    togethers = _discounted_togethers(P, (pi, pi_new), end, exact(initial), discount)
    apart = {name: discount * horizon * k.parting for name, k in togethers.items()}
    eps, epsbar = result.max_advantage, result.max_expected_advantage
    return {
        "theorem_2_1": theorem_2_1(discount, eps, result.max_kl),
        "pinsker": pinsker(discount, eps, result.max_kl),
        "lemma_2_5": lemma_2_5(discount, eps, alpha),
        "eq_107": eq_107(discount, eps, alpha),
        "cpo_kl": cpo_kl(discount, epsbar, mean_root),
        "pirotta_span": pirotta_span(discount, span, alpha),
        "cpo_tv": cpo_tv(discount, epsbar, mean_tv),
        "cpo_span": cpo_span(discount, span, mean_tv),
        "span_107": span_107(discount, span, alpha),
        "propagated_action": propagated(span, apart["propagated_action"]),
        "one_step": one_step(discount, span, horizon, moved),
        "propagated_state": propagated(span, apart["propagated_state"]),
        "ergodic": ergodic(discount, span, tau, visited_tv),
        "one_step_ergodic": one_step(discount, span, tau, moved),
    }


def enclosures(
    transition: Sequence[Sequence[Sequence[Number]]],
    policy: Sequence[Sequence[Number]],
    candidate: Sequence[Sequence[Number]],
    initial: Sequence[Number],
    gamma: Number,
    reward: Sequence[Sequence[Number]],
    termination: Sequence[Sequence[Number]] | None = None,
) -> dict[str, tuple[Fraction, Fraction]]:
    """Return the lower and upper bounds of eta' by propagation (theory 6).

    What the processes visit together is known, what they visit apart is bounded; with termination the least and the
    largest Abar count as 0 if they lie on its other side::

        eta + k^T Abar + u min Abar <= eta' <= eta + k^T Abar + u max Abar

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
    termination
        The probability that the process ends after the pair, indexed [s][a]; without it, what is missing in the row.

    Returns
    -------
    dict of str to (Fraction, Fraction)
        The enclosures ``propagated_action`` and ``propagated_state``.

    Raises
    ------
    ValueError
        If gamma is not in [0, 1), or the shapes do not fit.

    References
    ----------
    The coupling is that of J. Schulman et al. (2015), Trust region policy optimization, appendix A, step by step.

    Examples
    --------
    >>> half = Fraction(1, 2)
    >>> work_or_rest = [[[1, 0], [0, 1]], [[0, 1]]]
    >>> lower, upper = enclosures(work_or_rest, [[half, half], [1]], [[1, 0], [1]], [1, 0], half, [[1, 0], [0]])[
    ...     "propagated_state"
    ... ]
    >>> str(lower), str(upper)                              # the return is 2
    ('14/9', '2')
    """
    result = improvement(transition, policy, candidate, initial, gamma, reward)
    return enclosures_beside(result, transition, policy, candidate, initial, gamma, termination)


def enclosures_beside(
    result: Improvement,
    transition: Sequence[Sequence[Sequence[Number]]],
    policy: Sequence[Sequence[Number]],
    candidate: Sequence[Sequence[Number]],
    initial: Sequence[Number],
    gamma: Number,
    termination: Sequence[Sequence[Number]] | None,
) -> dict[str, tuple[Fraction, Fraction]]:
    """Return what :func:`enclosures` does, of an improvement that is known."""
    P, policies, discount = exact(transition), (exact(policy), exact(candidate)), exact(gamma)
    end = _termination(P, termination)
    ends = any(x > 0 for row in end for x in row)
    togethers = _discounted_togethers(P, policies, end, exact(initial), discount)
    horizon = discount / (1 - discount)
    return {name: _enclosure(result, k, horizon * k.parting, ends) for name, k in togethers.items()}


# The average setting.


def bounds_average(
    transition: Sequence[Sequence[Sequence[Number]]],
    policy: Sequence[Sequence[Number]],
    candidate: Sequence[Sequence[Number]],
    reward: Sequence[Sequence[Number]],
    termination: Sequence[Sequence[Number]] | None = None,
) -> dict[str, Fraction]:
    """Return the bounds of ``|g' - g - d^T Abar|`` in the average setting (theory 6).

    With Kemeny's constant of the new policy, more exactly a trace that is at least as large, and with its deviation
    matrix H'::

        zhang_ross = 2 (kappa' - 1) epsbar E_d[TV],    kappa' = trace (I - P' + 1 d'^T)^-1
        ergodic = tau(H') span(Abar) E_d[TV]

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
    dict of str to Fraction
        ``zhang_ross`` and ``ergodic``, which is nowhere larger.

    Raises
    ------
    ValueError
        If one of the policies has several recurrent classes or can end the process, or the shapes do not fit.

    References
    ----------
    Y. Zhang and K. W. Ross (2021), On-policy deep reinforcement learning for the average-reward criterion, ICML.

    Examples
    --------
    >>> half = Fraction(1, 2)
    >>> machine = [[[half, half]], [[0, 1], [1, 0]]]
    >>> found = bounds_average(machine, [[1], [half, half]], [[1], [0, 1]], [[1], [0, 0]])
    >>> {name: str(bound) for name, bound in found.items()}         # the gap is -1/12
    {'zhang_ross': '1/6', 'ergodic': '1/12'}
    """
    result = improvement_average(transition, policy, candidate, reward, termination)
    states = range(len(result.state))
    deviation = deviation_rows(transition, candidate, states, termination)
    limit = cesaro_limit(transition, candidate, termination)
    kappa = sum((deviation[s][s] + limit[s][s] for s in states), Fraction(0))
    span = span_of(result.expected_advantage, ends=False)
    return {
        "zhang_ross": 2 * (kappa - 1) * result.max_expected_advantage * result.mean_total_variation,
        "ergodic": _contraction(deviation, ends=False) * span * result.mean_total_variation,
    }


# The episodic setting.


def bounds_episodic(
    transition: Sequence[Sequence[Sequence[Number]]],
    policy: Sequence[Sequence[Number]],
    candidate: Sequence[Sequence[Number]],
    initial: Sequence[Number],
    reward: Sequence[Sequence[Number]],
    termination: Sequence[Sequence[Number]],
) -> dict[str, Extended]:
    """Return the bounds of ``|rho0^T v' - rho0^T v - e^T Abar|`` in the episodic setting (theory 6).

    With the longest mean lengths T and T' of an episode under the old and the new policy::

        ergodic = T' span0(Abar) sum e TV,    cpo_tv = 2 T' epsbar sum e TV
        one_step = T' span0(Abar) / 2 (||(P' - P)^T e||_1 + |e^T (term' - term)|)
        propagated = max(T, T') span0(Abar) sum k c

    Visits after the processes have parted are those of either policy, and T' alone would not bound those of the old
    one. The maxima run over the states from which the policy surely ends the process.

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
    dict of str to (Fraction or inf)
        The bounds. They are infinite if the new policy may go on for ever from where one of the two leads.

    Raises
    ------
    ImproperPolicyError
        As :func:`improvement_episodic` does.
    ValueError
        If the shapes do not fit.

    References
    ----------
    J. Achiam et al. (2017), Constrained policy optimization, section 5.1, with lengths in place of discounts.

    Examples
    --------
    >>> half, quarter = Fraction(1, 2), Fraction(1, 4)
    >>> rows, ends = [[[1 - quarter], [half]]], [[quarter, half]]
    >>> found = bounds_episodic(rows, [[1, 0]], [[0, 1]], [1], [[-1, -1]], ends)
    >>> {name: str(bound) for name, bound in found.items()}         # the gap is -2
    {'propagated_action': '4', 'propagated_state': '2', 'ergodic': '8', 'cpo_tv': '16', 'one_step': '2'}
    """
    result = improvement_episodic(transition, policy, candidate, initial, reward, termination)
    pi, pi_new, end = exact(policy), exact(candidate), exact(termination)
    e = occupancy_episodic(transition, policy, initial, termination).visits
    chains = tuple(policy_chain(transition, p, termination).P_pi for p in (policy, candidate))
    moved = _moved_mass(e, (chains[0], chains[1]), (_mixed(end, pi), _mixed(end, pi_new)))
    visited_tv = dot(e, policy_divergences(pi, pi_new).total_variation)
    T = _longest_mean(transition, policy, termination)
    T_new = _longest_mean(transition, candidate, termination)
    span = span_of(result.expected_advantage, ends=True)
    togethers = _episodic_togethers(transition, policy, candidate, initial, termination)
    found = {name: max(T, T_new) * span * k.parting for name, k in togethers.items()} | {
        "ergodic": T_new * span * visited_tv,
        "cpo_tv": 2 * T_new * result.max_expected_advantage * visited_tv,
        "one_step": T_new * span * moved / 2,
    }
    # Where the new policy stays for ever, no product is small, not even one with a sum that happens to be 0.
    return dict.fromkeys(found, inf) if result.propagated_gap is None else dict(found)


def enclosures_episodic(
    transition: Sequence[Sequence[Sequence[Number]]],
    policy: Sequence[Sequence[Number]],
    candidate: Sequence[Sequence[Number]],
    initial: Sequence[Number],
    reward: Sequence[Sequence[Number]],
    termination: Sequence[Sequence[Number]],
) -> dict[str, tuple[Extended, Extended]]:
    """Return the lower and upper bounds of the new return of episodes by propagation (theory 6).

    As in the discounted setting, with u = T' sum k c; only the new policy's visits matter here::

        eta + k^T Abar + u min(min Abar, 0) <= eta' <= eta + k^T Abar + u max(max Abar, 0)

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
    dict of str to (Fraction or -inf, Fraction or inf)
        The enclosures ``propagated_action`` and ``propagated_state``.

    Raises
    ------
    ImproperPolicyError
        As :func:`improvement_episodic` does.
    ValueError
        If the shapes do not fit.

    References
    ----------
    The coupling is that of J. Schulman et al. (2015), Trust region policy optimization, appendix A, step by step.

    Examples
    --------
    >>> half, quarter = Fraction(1, 2), Fraction(1, 4)
    >>> rows, ends = [[[1 - quarter], [half]]], [[quarter, half]]
    >>> lower, upper = enclosures_episodic(rows, [[1, 0]], [[0, 1]], [1], [[-1, -1]], ends)["propagated_state"]
    >>> str(lower), str(upper)                              # the return is -2
    ('-2', '-1')
    """
    result = improvement_episodic(transition, policy, candidate, initial, reward, termination)
    togethers = _episodic_togethers(transition, policy, candidate, initial, termination)
    if result.propagated_gap is None:
        return dict.fromkeys(togethers, (-inf, inf))
    T_new = _longest_mean(transition, candidate, termination)
    return {name: _enclosure(result, k, T_new * k.parting, ends=True) for name, k in togethers.items()}


# What the bounds are made of.


def span_of(x: Partial, ends: bool) -> Fraction:
    """Return ``max x - min x``, with 0 among the numbers if the process can end (theory 1).

    Parameters
    ----------
    x
        One number per state; None does not count.
    ends
        Whether a pair has termination above 0.

    Examples
    --------
    >>> span_of([Fraction(1), Fraction(3)], ends=False), span_of([Fraction(1), Fraction(3)], ends=True)
    (Fraction(2, 1), Fraction(3, 1))
    """
    least, largest = _range(x, ends)
    return largest - least


@dataclass(frozen=True, slots=True)
class _Together:
    """A pair of processes, one of each policy, as long as they do the same."""

    visits: Vector
    """k(s): what they visit together."""
    parting: Fraction
    """sum_s k(s) c(s), with c(s) the probability of parting in s."""


def _range(x: Partial, ends: bool) -> tuple[Fraction, Fraction]:
    numbers = [number for number in x if number is not None] + [Fraction(0)] * ends
    return min(numbers), max(numbers)


def _enclosure(result: Improvement, k: _Together, apart: Fraction, ends: bool) -> tuple[Fraction, Fraction]:
    """Return the enclosure of eta' if the new policy's visits after the parting are at most ``apart`` in number."""
    together = result.start_value + weighted(k.visits, result.expected_advantage)
    least, largest = _range(result.expected_advantage, ends)
    return together + apart * least, together + apart * largest


def _contraction(rows: Matrix, ends: bool) -> Fraction:
    """Return how far the rows are apart at most, or, if the process can end, the largest row sum."""
    if ends:
        return max(sum(row, Fraction(0)) for row in rows)
    return max(total_variation(x, y) for x in rows for y in rows)


def _termination(transition: Kernel, termination: Sequence[Sequence[Number]] | None) -> Matrix:
    """Return the termination of every pair: what is given, or what is missing in the rows."""
    return (
        [[1 - sum(row, Fraction(0)) for row in rows] for rows in transition]
        if termination is None
        else exact(termination)
    )


def _mixed(termination: Matrix, policy: Matrix) -> Vector:
    """Return the probability of ending in each state."""
    return [dot(ends, pi) for ends, pi in zip(termination, policy, strict=True)]


def _moved_mass(visits: Vector, chains: tuple[Matrix, Matrix], ends: tuple[Vector, Vector]) -> Fraction:
    """Return ``||(P' - P)^T rho||_1 + |rho^T (term' - term)|``."""
    before, after = (multiply(transpose(P), visits) for P in chains)
    return 2 * total_variation(before, after) + abs(dot(ends[1], visits) - dot(ends[0], visits))


def _coupled(
    transition: Kernel, policies: tuple[Matrix, Matrix], chains: tuple[Matrix, Matrix], ends: tuple[Vector, Vector]
) -> dict[str, tuple[Matrix, Vector]]:
    """Return the kernel of what is done together and the probability of parting: by actions, and by their outcomes."""
    rows = list(zip(*policies, strict=True))
    same_action = policy_transition(transition, [_least(p, q) for p, q in rows])
    steps = list(zip(*chains, strict=True))
    parting = [total_variation([*p, x], [*q, y]) for (p, q), x, y in zip(steps, *ends, strict=True)]
    return {
        "propagated_action": (same_action, [total_variation(p, q) for p, q in rows]),
        "propagated_state": ([_least(p, q) for p, q in steps], parting),
    }


def _least(p: Vector, q: Vector) -> Vector:
    return [min(x, y) for x, y in zip(p, q, strict=True)]


def _discounted_togethers(
    transition: Kernel, policies: tuple[Matrix, Matrix], end: Matrix, initial: Vector, gamma: Fraction
) -> dict[str, _Together]:
    """Return what is visited together, ``k^T = rho0^T (I - gamma M)^-1``, for either kernel M."""

    def together(M: Matrix, parting: Vector) -> _Together:
        (k,) = solve(transpose(discounted_system(M, gamma)), [initial])
        return _Together(k, dot(k, parting))

    chains = policy_transition(transition, policies[0]), policy_transition(transition, policies[1])
    ends = _mixed(end, policies[0]), _mixed(end, policies[1])
    return {name: together(*coupled) for name, coupled in _coupled(transition, policies, chains, ends).items()}


def _episodic_togethers(
    transition: Sequence[Sequence[Sequence[Number]]],
    policy: Sequence[Sequence[Number]],
    candidate: Sequence[Sequence[Number]],
    initial: Sequence[Number],
    termination: Sequence[Sequence[Number]],
) -> dict[str, _Together]:
    """Return what is visited together, ``k^T = rho0^T (I - M)^-1``, among the states that the old policy reaches."""
    policies, end, rho0 = (exact(policy), exact(candidate)), exact(termination), exact(initial)
    chain, new_chain = (policy_chain(transition, p, termination) for p in (policy, candidate))
    states = sorted(reachable(chain.successors, [s for s, p in enumerate(rho0) if p > 0]))

    def together(M: Matrix, parting: Vector) -> _Together:
        (k,) = solve_within(transpose(M), states, [[rho0[s] for s in states]])
        by_state = dict(zip(states, k, strict=True))
        visits = [by_state.get(s, Fraction(0)) for s in range(len(rho0))]
        return _Together(visits, dot(visits, parting))

    ends = _mixed(end, policies[0]), _mixed(end, policies[1])
    coupled = _coupled(ending_rows(exact(transition), end), policies, (chain.P_pi, new_chain.P_pi), ends)
    return {name: together(*kernel) for name, kernel in coupled.items()}


def _longest_mean(
    transition: Sequence[Sequence[Sequence[Number]]],
    policy: Sequence[Sequence[Number]],
    termination: Sequence[Sequence[Number]],
) -> Fraction:
    """Return the longest mean length of an episode, over the starts from which it surely ends."""
    means = episode_length(transition, policy, termination).mean
    return max((mean for mean in means if mean is not None), default=Fraction(0))
