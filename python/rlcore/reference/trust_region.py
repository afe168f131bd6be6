"""The best policy that is near an old one (theory 7), to sixty digits.

All updates share one problem. A row p and the advantages A of one state are given, and a row q is wanted that makes
q.A large although KL(p || q) is small. With a price lambda of the relative entropy and a multiplier nu of the condition
that q sums to 1, the best row is

    q_a = lambda p_a / (nu - A_a),    nu > A_a where p_a > 0 and nu >= A_a elsewhere,

and for *any* such pair of numbers, and any row at all,

    q.A - lambda KL(p || q) <= nu - lambda - lambda sum_a p_a log((nu - A_a) / lambda).

Here nu is found by bisection from its equation, in as many digits as it takes, and the right side is evaluated as it
stands: it proves what is found, whatever it was found by.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from math import inf

from mpmath import mp, mpf

from .conservative import conservative_step
from .divergence import policy_divergences
from .episodic import PartialVector, evaluate_episodic, occupancy_episodic
from .evaluation import evaluate
from .improvement import expected_advantage
from .linear import dot
from .long_run import evaluate_average, occupancy_average
from .occupancy import occupancy
from .rational import Matrix, Number, Vector, exact
from .real import Extended, product
from .structure import chain_structure

DIGITS = 80
"""Digits of the arithmetic; sixty of them are promised."""

NOTHING = 4000
"""Numbers below 2**-4000 are returned as 0: they can be as small as exp(-10**300)."""


@dataclass(frozen=True, slots=True)
class MaxKL:
    """KL(pi(.|s) || pi'(.|s)) <= delta in every state (theory 7.1)."""

    delta: Number


@dataclass(frozen=True, slots=True)
class MeanKL:
    """sum_s d(s) KL(pi(.|s) || pi'(.|s)) <= delta (theory 7.2)."""

    delta: Number


@dataclass(frozen=True, slots=True)
class KLPenalty:
    """C times the largest KL is paid; without a coefficient, C is that of theorem 2.1 (theory 7.3)."""

    coefficient: Number | None = None


@dataclass(frozen=True, slots=True)
class NaturalGradient:
    """pi' in proportion to pi exp(step A) (theory 7.4)."""

    step: Number


@dataclass(frozen=True, slots=True)
class Conservative:
    """The best mixture with the greedy policy (theory 5.8, 7.4)."""


Exact = MaxKL | MeanKL | KLPenalty | NaturalGradient
"""Regions of which the update is known from advantages and visits alone."""

Region = Exact | Conservative


@dataclass(frozen=True, slots=True)
class TrustRegionUpdate:
    """The new policy, and what its surrogate promises.

    Attributes
    ----------
    policy
        pi'(a | s), indexed [s][a], to sixty digits; probabilities below 2**-4000 are given as 0.
    kl
        KL(pi(.|s) || pi'(.|s)), indexed [s], before any such rounding.
    multiplier
        MaxKL: lambda_s of each state; KLPenalty: mu_s of each state; MeanKL: the one price lambda; None for the others.
    surrogate_gain
        L - eta, the visits times Abar.
    dual_value
        What no policy can exceed: an upper bound of L - eta within the region, or of L - eta minus the penalty. None
        for updates that maximise neither.
    dual_gap
        dual_value minus what the new policy attains.
    """

    policy: Matrix
    kl: list[Extended]
    multiplier: list[Extended] | Extended | None
    surrogate_gain: Fraction
    dual_value: Fraction | None
    dual_gap: Fraction | None


@dataclass(frozen=True, slots=True)
class TrustRegionStep:
    """An update of a policy, and what becomes of its return.

    Attributes
    ----------
    policy, kl, multiplier, surrogate_gain, dual_value, dual_gap
        Those of :class:`TrustRegionUpdate`.
    eta, eta_new
        The return of the old policy, exactly, and of the new one; in the average setting the gains.
    """

    policy: Matrix
    kl: list[Extended]
    multiplier: list[Extended] | Extended | None
    surrogate_gain: Fraction
    dual_value: Fraction | None
    dual_gap: Fraction | None
    eta: Fraction
    eta_new: Fraction


# The step in each setting.


def trust_region_step(
    transition: Sequence[Sequence[Sequence[Number]]],
    policy: Sequence[Sequence[Number]],
    initial: Sequence[Number],
    gamma: Number,
    reward: Sequence[Sequence[Number]],
    region: Region,
) -> TrustRegionStep:
    """Return the policy with the largest surrogate in a region around the old one (theory 7).

    The surrogate ``L = eta + rho^T Abar`` is maximised over all policies::

        MaxKL:      KL(s) <= delta in every visited state
        MeanKL:     sum_s d(s) KL(s) <= delta
        KLPenalty:  L - C max KL(s) over the visited states; C = 4 eps gamma / (1 - gamma)^2 if none is given

    States that are never visited keep their rows, and so do those in which only the best actions are taken.

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
    reward
        r(s, a), indexed [s][a].
    region
        What is allowed, or what is paid; or NaturalGradient or Conservative.

    Returns
    -------
    TrustRegionStep
        Numbers to sixty digits, and the return of the old policy exactly.

    Raises
    ------
    ValueError
        If gamma is not in [0, 1), or the shapes do not fit.

    References
    ----------
    J. Schulman, S. Levine, P. Moritz, M. Jordan and P. Abbeel (2015), Trust region policy optimization. S. Kakade and
    J. Langford (2002), Approximately optimal approximate reinforcement learning.

    Examples
    --------
    A coin is laid down for 1 or thrown away. From an even chance, a KL of log(5/4) / 2 leads to 1/2 + sqrt(1/20):

    >>> from math import log
    >>> step = trust_region_step([[[0], [0]]], [[0.5, 0.5]], [1], 0, [[1, 0]], MaxKL(log(1.25) / 2))
    >>> float(step.policy[0][0]) - 0.5, float(step.eta_new)
    (0.22360679774997894, 0.7236067977499789)
    """
    pi, discount = exact(policy), exact(gamma)
    old = evaluate(transition, reward, policy, discount, initial)
    visits = occupancy(transition, policy, initial, discount)
    if isinstance(region, Conservative):
        update = _conservative_update(pi, old.advantage, visits.visits, visits.state, discount)
    else:
        if region == KLPenalty():
            eps = max(abs(a) for row in old.advantage for a in row)
            region = KLPenalty(4 * eps * discount / (1 - discount) ** 2)
        update = trust_region_update(pi, old.advantage, visits.visits, visits.state, region)
    new = evaluate(transition, reward, update.policy, discount, initial)
    return _step(update, old.start_value, new.start_value)


def trust_region_step_episodic(
    transition: Sequence[Sequence[Sequence[Number]]],
    policy: Sequence[Sequence[Number]],
    initial: Sequence[Number],
    reward: Sequence[Sequence[Number]],
    termination: Sequence[Sequence[Number]],
    region: Region,
) -> TrustRegionStep:
    """Return the policy with the largest surrogate ``eta + e^T Abar`` of episodes in a region (theory 7).

    As :func:`trust_region_step`, with the expected visits e for rho and d = e / sum e. An action that leads where the
    old policy never ends has no advantage, and is not taken up.

    Parameters
    ----------
    transition
        P(t | s, a), indexed [s][a][t]; the size of an entry P(s | s, a) is not read, only whether it is there.
    policy
        pi(a | s), indexed [s][a].
    initial
        rho0(s), indexed [s].
    reward
        r(s, a), indexed [s][a].
    termination
        The probability that the process ends after the pair, indexed [s][a].
    region
        What is allowed, or what is paid; or NaturalGradient.

    Raises
    ------
    ImproperPolicyError
        If the process may go on for ever from a state in which it can start.
    ValueError
        If the statement does not exist without a discount, or the shapes do not fit.

    Examples
    --------
    >>> step = trust_region_step_episodic([[[0.5], [0]]], [[1, 0]], [1], [[0, 1]], [[0.5, 1]], MaxKL(inf))
    >>> step.policy, step.eta_new
    ([[Fraction(0, 1), Fraction(1, 1)]], Fraction(1, 1))
    """
    region = _without_discount(region)
    old = evaluate_episodic(transition, reward, policy, termination, initial)
    visits = occupancy_episodic(transition, policy, initial, termination)
    update = trust_region_update(exact(policy), old.advantage, visits.visits, visits.state, region)
    new = evaluate_episodic(transition, reward, update.policy, termination, initial)
    return _step(update, old.start_value, new.start_value)


def trust_region_step_average(
    transition: Sequence[Sequence[Sequence[Number]]],
    policy: Sequence[Sequence[Number]],
    reward: Sequence[Sequence[Number]],
    region: Region,
    termination: Sequence[Sequence[Number]] | None = None,
) -> TrustRegionStep:
    """Return the policy with the largest surrogate ``g + d^T Abar`` of the gain in a region (theory 7).

    As :func:`trust_region_step`, with the stationary distribution d for rho as well.

    Parameters
    ----------
    transition
        P(t | s, a), indexed [s][a][t]; the size of an entry P(s | s, a) is not read, only whether it is there.
    policy
        pi(a | s), indexed [s][a].
    reward
        r(s, a), indexed [s][a].
    region
        What is allowed, or what is paid; or NaturalGradient.
    termination
        The probability that the process ends after the pair, indexed [s][a], which no policy may take; optional.

    Raises
    ------
    ValueError
        If the old policy has several recurrent classes or can end the process, if the statement does not exist without
        a discount, or if the shapes do not fit.

    Examples
    --------
    >>> step = trust_region_step_average([[[1], [1]]], [[0.5, 0.5]], [[0, 1]], MaxKL(inf))
    >>> step.eta, step.eta_new
    (Fraction(1, 2), Fraction(1, 1))
    """
    region = _without_discount(region)
    classes = chain_structure(transition, policy, termination).recurrent_classes
    if len(classes) != 1:
        raise ValueError(f"policy: expected one recurrent class, found {classes}")
    anywhere = [Fraction(s == 0) for s in range(len(policy))]
    old = evaluate_average(transition, reward, policy, anywhere, termination)
    d = occupancy_average(transition, policy, anywhere, termination).state
    update = trust_region_update(exact(policy), old.advantage or [], d, d, region)
    new = evaluate_average(transition, reward, update.policy, anywhere, termination)
    # The new policy may have several classes; it is started where the old one is in the long run.
    return _step(update, old.gain[0], dot(d, new.gain))


# The update, of advantages and visits that are given.


def trust_region_update(
    policy: Sequence[Sequence[Number]],
    advantage: Sequence[PartialVector] | Sequence[Sequence[Number]],
    visits: Sequence[Number],
    state: Sequence[Number],
    region: Exact,
    tolerance: Number = 0,
) -> TrustRegionUpdate:
    """Return the rows that maximise ``sum_s visits(s) Abar(s)`` in a region around the old ones (theory 7).

    Parameters
    ----------
    policy
        pi(a | s), indexed [s][a]; rows are brought to the sum 1 exactly.
    advantage
        A(s, a), or anything that differs from it by a constant in each state; None for actions that are not to be
        taken up.
    visits
        The weights of the surrogate, indexed [s]. A state with the weight 0 keeps its row.
    state
        d(s), the weights of the mean KL, indexed [s]: in proportion to the visits.
    region
        What is allowed, or what is paid; a penalty needs a coefficient.
    tolerance
        Advantages of the actions of a row that differ by no more than this count as the same.

    Returns
    -------
    TrustRegionUpdate
        Numbers to sixty digits.

    Raises
    ------
    ValueError
        If a number of the region is negative or missing, or the shapes do not fit.

    Examples
    --------
    Nothing can be lost by an action that is not taken yet: from (1, 0), a KL of log 2 is half of the way:

    >>> from math import log
    >>> update = trust_region_update([[1, 0]], [[0, 1]], [1], [1], MaxKL(log(2)))
    >>> [float(q) for q in update.policy[0]], float(update.multiplier[0])
    ([0.5, 0.5], 0.5)
    """
    w, d = exact(visits), exact(state)
    with mp.workdps(DIGITS):
        rows = [
            _Row.of(p, A, weight, exact(tolerance)) for p, A, weight in zip(exact(policy), advantage, w, strict=True)
        ]
        if isinstance(region, NaturalGradient):
            return _natural_gradient(rows, exact(region.step))
        size = region.coefficient if isinstance(region, KLPenalty) else region.delta
        if size is None or not size >= 0:
            raise ValueError(f"region: expected a number >= 0, got {size}")
        budget = mpf(inf) if size == inf else _real(exact(size))
        if isinstance(region, MaxKL):
            return _max_kl(rows, budget)
        if isinstance(region, MeanKL):
            return _mean_kl(rows, [_real(share) for share in d], budget)
        return _kl_penalty(rows, budget)


def dual_gap_of(
    candidate: Sequence[Sequence[Number]],
    policy: Sequence[Sequence[Number]],
    advantage: Sequence[PartialVector] | Sequence[Sequence[Number]],
    visits: Sequence[Number],
    state: Sequence[Number],
    region: MaxKL | MeanKL | KLPenalty,
) -> Extended:
    """Return how far a candidate stays behind the best policy of a region, from its rows alone (theory 7).

    What the candidate attains is computed exactly, and what can be attained at most by the dual. The gap is >= 0 for a
    candidate within the region; one that exceeds it by rounding can be ahead by as much as its multiplier says.

    Parameters
    ----------
    candidate
        pi'(a | s), indexed [s][a].
    policy, advantage, visits, state, region
        Those of :func:`trust_region_update`.

    Returns
    -------
    Fraction or inf
        Infinite if the candidate pays an infinite penalty.

    Raises
    ------
    ValueError
        If a number of the region is negative or missing, or the shapes do not fit.

    Examples
    --------
    >>> dual_gap_of([[0.5, 0.5]], [[0.5, 0.5]], [[0, 1]], [2], [1], MaxKL(inf))
    Fraction(1, 1)
    """
    w, pi, pi_new = exact(visits), exact(policy), exact(candidate)
    best = trust_region_update(pi, advantage, w, state, region).dual_value or Fraction(0)
    known = [[a or Fraction(0) for a in row] for row in _exact_advantage(advantage)]
    gap = best - dot(w, expected_advantage(pi, pi_new, known))
    if not isinstance(region, KLPenalty):
        return gap
    kl = policy_divergences(pi, pi_new).kl
    paid = product(exact(region.coefficient or 0), max([k for k, weight in zip(kl, w, strict=True) if weight] or [0]))
    return inf if paid == inf else gap + paid


# One row.


@dataclass(frozen=True, slots=True)
class _Row:
    """One state: its old row and what there is to gain.

    The gaps are g = top - A with the largest A of the actions that are taken, and the rise x0 is by how much the best
    of the others exceeds it; 0 if it does not. Gaps of no more than the tolerance are 0 if all of them are. Masses,
    gaps and rise are kept both exactly and in the digits of the arithmetic.
    """

    old: Vector
    advantage: PartialVector
    weight: Fraction
    taken: list[int]
    gaps: Vector
    best_other: int
    rise: Fraction
    moves: bool
    p: list[mpf]
    g: list[mpf]
    x0: mpf

    @staticmethod
    def of(row: Vector, advantage: Sequence[Number | None], weight: Fraction, tolerance: Fraction) -> _Row:
        total = sum(row)
        old = [x / total for x in row]
        A = [None if a is None else exact(a) for a in advantage]
        known = [(a, x) for a, x in enumerate(A) if x is not None]
        taken = [a for a, p in enumerate(old) if p > 0]
        values = [x for a, x in known if a in taken]
        top = max(values, default=Fraction(0))
        gaps = [top - x for x in values]
        if max(gaps, default=Fraction(0)) <= tolerance:
            gaps = [Fraction(0)] * len(taken)
        others = [(a, x - top) for a, x in known if a not in taken]
        best_other, rise = max(others, key=lambda other: other[1], default=(0, Fraction(0)))  # the first of equals
        return _Row(
            old=old,
            advantage=A,
            weight=weight,
            taken=taken,
            gaps=gaps,
            best_other=best_other,
            rise=max(rise, Fraction(0)),
            moves=weight > 0 and (max(gaps) > 0 or rise > tolerance),
            p=[_real(old[a]) for a in taken],
            g=[_real(gap) for gap in gaps],
            x0=_real(max(rise, Fraction(0))),
        )

    @property
    def is_flat(self) -> bool:
        """Whether all actions that are taken are as good as each other."""
        return max(self.gaps) == 0

    def kept(self) -> _Solution:
        return _Solution(self, x=mpf(inf), share=mpf(0), rest=mpf(1), kl=mpf(0), price=mpf(0))

    def greedy(self) -> _Solution:
        """Return all of the row on the best action, the first of equals, if it does not take only best ones already."""
        if not self.moves:
            return self.kept()
        return _Solution(self, x=mpf(0), share=mpf(1), rest=mpf(0), kl=mpf(inf), price=mpf(0))

    def at_nu(self, x: mpf) -> _Solution:
        """Return the best row for nu = top + x."""
        price = self.price_at_nu(x)
        changes = zip(self.p, self.g, self.changes_at_nu(x), strict=True)
        terms = [mass * _excess(change, price / (x + gap)) for mass, gap, change in changes]
        return _Solution(self, x=x, share=mpf(0), rest=mpf(1), kl=mp.fsum(terms), price=price)

    def at_level(self, kappa: mpf) -> _Solution:
        """Return the best row with KL <= kappa."""
        if self.rise > 0:
            edge = self.at_nu(self.x0)
            if edge.kl < kappa:
                rest = mp.exp(edge.kl - kappa)
                share = -mp.expm1(edge.kl - kappa)
                return _Solution(self, x=self.x0, share=share, rest=rest, kl=kappa, price=rest * edge.price)
        mean = mp.fdot(self.p, self.g)
        variance = mp.fsum(mass * (gap - mean) ** 2 for mass, gap in zip(self.p, self.g, strict=True))
        u = _root(lambda u: mp.log(self.at_nu(mp.exp(u)).kl / kappa), start=mp.log(variance / (2 * kappa)) / 2)
        return self.at_nu(mp.exp(u))

    def at_price(self, price: mpf) -> _Solution:
        """Return the row that is best at a price of the relative entropy."""
        if self.rise > 0:
            edge = self.at_nu(self.x0)
            if price < edge.price:
                t = price / edge.price
                return _Solution(self, x=self.x0, share=1 - t, rest=t, kl=edge.kl - mp.log(t), price=price)
        if self.is_flat:
            return self.at_nu(price)
        return self.at_nu(mp.exp(_root(lambda u: mp.log(price / self.price_at_nu(mp.exp(u))), start=mp.log(price))))

    def price_at_nu(self, x: mpf) -> mpf:
        """Return lambda for nu = top + x."""
        return 1 / mp.fsum(mass / (x + gap) for mass, gap in zip(self.p, self.g, strict=True))

    def changes_at_nu(self, x: mpf) -> list[mpf]:
        """Return ``q_a / p_a - 1`` for nu = top + x.

        This is (lambda - x - g_a) / (x + g_a), and lambda - x the mean of the gaps with the weights q_b. So the
        numerator is the sum over b of q_b (g_b - g_a), which keeps its digits where all but one of the masses are tiny.
        """
        price = self.price_at_nu(x)
        q = [price * mass / (x + gap) for mass, gap in zip(self.p, self.g, strict=True)]
        return [mp.fsum(mass * (gap - own) for mass, gap in zip(q, self.g, strict=True)) / (x + own) for own in self.g]

    def price_at_no_level(self) -> mpf:
        """Return the limit of the price as the level falls to 0."""
        return self.x0 if self.is_flat else mpf(inf)

    def largest_gain(self) -> Fraction:
        """Return what the greedy row gains."""
        before = sum((p * a for p, a in zip(self.old, self.advantage, strict=True) if a is not None), Fraction(0))
        return max(a for a in self.advantage if a is not None) - before


@dataclass(frozen=True, slots=True)
class _Solution:
    """The best row at some price: that for nu = top + x, scaled down to leave a share for the best other action.

    With x infinite it is the old row, and with x = 0 the greedy one.
    """

    row: _Row
    x: mpf
    share: mpf
    rest: mpf  # 1 - share, which has digits of its own
    kl: mpf
    price: mpf

    def probabilities(self) -> Vector:
        row = self.row
        if self.x == inf:
            return list(row.old)
        q = [Fraction(0)] * len(row.old)
        if self.x == 0:
            q[_first_best(row.advantage)] = Fraction(1)
            return q
        scale = self.rest * row.price_at_nu(self.x)
        for a, mass, gap in zip(row.taken, row.p, row.g, strict=True):
            q[a] = _fraction(scale * mass / (self.x + gap))
        q[row.best_other] += _fraction(self.share)
        return q

    def gain(self) -> Fraction:
        """Return (q - p).A of the row, with all its digits even if q hardly differs from p."""
        row = self.row
        if self.x == inf:
            return Fraction(0)
        if self.x == 0:
            return row.largest_gain()
        # A top action has no gap, and p - q = p (share (1 + change) - change).
        changes = [self.share * (1 + change) - change for change in row.changes_at_nu(self.x)]
        saved = mp.fsum(mass * gap * change for mass, gap, change in zip(row.p, row.g, changes, strict=True))
        return _fraction(saved + self.share * row.x0)

    def dual(self) -> Fraction:
        """Return an upper bound of ``(q - p).A - price KL(p || q)`` over all rows q, by the formula at the top."""
        row = self.row
        if not row.moves or self.price == inf:
            return Fraction(0)
        if self.price == 0:
            return row.largest_gain()
        # The terms are as large as the price, and the bound can be as small as a gap times a tiny probability.
        large = max(0, mp.mag(self.price) - mp.mag(max(*row.g, row.x0)))
        small = max(0, -mp.mag(min(row.p)))
        with mp.workprec(mp.prec + 2 * (large + small)):
            exactly = [(_real(row.old[a]), self.x + _real(gap)) for a, gap in zip(row.taken, row.gaps, strict=True)]
            # The price that belongs to x in these digits is as good as any other, and the bound is sharp for it.
            price = self.rest / mp.fsum(mass / nu_less_a for mass, nu_less_a in exactly)
            entropy = mp.fsum(mass * mp.log(nu_less_a / price) for mass, nu_less_a in exactly)
            mean_gap = mp.fsum(mass * (nu_less_a - self.x) for mass, nu_less_a in exactly)
            return _fraction(mean_gap + self.x - price - price * entropy)


# The updates.


def _max_kl(rows: Sequence[_Row], delta: mpf) -> TrustRegionUpdate:
    """Solve each state at the level delta."""
    solutions = _at_level(rows, delta)
    multiplier = [_extended(solution.price) for solution in solutions]
    dual = sum((s.row.weight * s.dual() for s in solutions), Fraction(0))
    if 0 < delta < inf:
        dual += _fraction(delta * mp.fsum(_real(s.row.weight) * s.price for s in solutions))
    return _update(solutions, multiplier, dual, penalty=Fraction(0))


def _mean_kl(rows: Sequence[_Row], shares: Sequence[mpf], delta: mpf) -> TrustRegionUpdate:
    """Find the one price at which the mean of the relative entropies is delta."""
    if delta in (0, inf) or not any(row.moves for row in rows):
        solutions = _at_level(rows, delta)
        price = max(solution.price for solution in solutions)
        dual = sum((s.row.weight * s.dual() for s in solutions), Fraction(0))
        return _update(solutions, _extended(price), dual, penalty=Fraction(0))

    def at_price(price: mpf) -> list[_Solution]:
        return [row.at_price(price) if row.moves else row.kept() for row in rows]

    def mean(price: mpf) -> mpf:
        return mp.fsum(share * s.kl for share, s in zip(shares, at_price(price), strict=True))

    def excess(u: mpf) -> mpf:
        kl = mean(mp.exp(u))
        return mp.log(kl / delta) if kl > 0 else mpf(-1)  # above a certain price nothing may move

    largest = max(max(max(row.gaps), row.rise) for row in rows if row.moves)
    price = mp.exp(_root(excess, mp.log(_real(largest)) - mp.log(delta) / 2))
    solutions = at_price(price)
    total = sum(row.weight for row in rows) / sum((_fraction(share) for share in shares), Fraction(0))
    dual = total * _fraction(price * delta) + sum((s.row.weight * s.dual() for s in solutions), Fraction(0))
    return _update(solutions, _extended(price), dual, penalty=Fraction(0))


def _kl_penalty(rows: Sequence[_Row], coefficient: mpf) -> TrustRegionUpdate:
    """Find the level whose prices sum to the coefficient."""
    if coefficient == 0:
        return _max_kl(rows, mpf(inf))

    def prices(level: mpf) -> mpf:
        return mp.fsum(_real(s.row.weight) * s.price for s in _at_level(rows, level) if s.row.moves)

    least = mp.fsum(_real(row.weight) * row.price_at_no_level() for row in rows if row.moves)
    if least <= coefficient:
        return _kept_by_penalty(rows, coefficient)
    level = mp.exp(_root(lambda u: mp.log(prices(mp.exp(u)) / coefficient), mpf(0)))
    solutions = _at_level(rows, level)
    multiplier = [_extended(_real(s.row.weight) * s.price) for s in solutions]
    dual = sum((s.row.weight * s.dual() for s in solutions), Fraction(0))
    return _update(solutions, multiplier, dual, penalty=_fraction(coefficient * level))


def _kept_by_penalty(rows: Sequence[_Row], coefficient: mpf) -> TrustRegionUpdate:
    """Return the old rows: all of them are flat, and what they could gain costs more than it is worth.

    No row may have a price below its rise, and the prices sum to no more than the coefficient.
    """
    solutions = [row.kept() for row in rows]
    multiplier = [_extended(_real(row.weight) * row.price_at_no_level()) if row.moves else Fraction(0) for row in rows]
    return _update(solutions, multiplier, Fraction(0), penalty=Fraction(0))


def _at_level(rows: Sequence[_Row], level: mpf) -> list[_Solution]:
    """Return the best row of each state with KL <= level; without a limit it is greedy."""

    def solution(row: _Row) -> _Solution:
        if not row.moves:
            return row.kept()
        if level == 0:
            return replace(row.kept(), price=mpf(inf))
        return row.greedy() if level == inf else row.at_level(level)

    return [solution(row) for row in rows]


def _update(
    solutions: Sequence[_Solution], multiplier: list[Extended] | Extended, dual: Fraction, penalty: Fraction
) -> TrustRegionUpdate:
    gain = sum((s.row.weight * s.gain() for s in solutions), Fraction(0))
    return TrustRegionUpdate(
        policy=[s.probabilities() for s in solutions],
        kl=[_extended(s.kl) for s in solutions],
        multiplier=multiplier,
        surrogate_gain=gain,
        dual_value=dual,
        dual_gap=dual - (gain - penalty),
    )


def _natural_gradient(rows: Sequence[_Row], step: Fraction) -> TrustRegionUpdate:
    """Multiply the probabilities of visited states by exp(step A)."""
    policy = [_tilted(row, step) if row.moves else row.old for row in rows]
    changes = [[q - p for p, q in zip(row.old, new, strict=True)] for row, new in zip(rows, policy, strict=True)]
    gains = [dot(change, [A or Fraction(0) for A in row.advantage]) for change, row in zip(changes, rows, strict=True)]
    kl = policy_divergences([row.old for row in rows], policy).kl
    return TrustRegionUpdate(policy, kl, None, dot([row.weight for row in rows], gains), None, None)


def _tilted(row: _Row, step: Fraction) -> Vector:
    """Return p exp(step A), normalised; the exponents are at most 0."""
    q = [Fraction(0)] * len(row.old)
    masses = [_real(row.old[a]) * mp.exp(-_real(step * gap)) for a, gap in zip(row.taken, row.gaps, strict=True)]
    for a, mass in zip(row.taken, masses, strict=True):
        q[a] = _fraction(mass / mp.fsum(masses))
    return q


def _conservative_update(
    pi: Matrix, advantage: Matrix, visits: Vector, state: Vector, gamma: Fraction
) -> TrustRegionUpdate:
    """Return the mixture with the greedy policy that has the largest guaranteed gain."""
    greedy = [[Fraction(a == _first_best(row)) for a in range(len(row))] for row in advantage]
    abar = expected_advantage(pi, greedy, advantage)
    epsbar = max(abs(a) for a in abar)
    a = conservative_step(gamma, dot(state, abar), epsbar).step
    policy = [[(1 - a) * p + a * q for p, q in zip(*rows, strict=True)] for rows in zip(pi, greedy, strict=True)]
    return TrustRegionUpdate(policy, policy_divergences(pi, policy).kl, None, a * dot(visits, abar), None, None)


# Numbers.


def _root(f: Callable[[mpf], mpf], start: mpf) -> mpf:
    """Return the root of a falling function: by false position, and by bisection where that is slow."""
    (low, at_low), (high, at_high) = _bracket(f, start)
    tolerance = mpf(10) ** (5 - DIGITS)
    side, widths = 0, [3 * (high - low)] * 3
    while high - low > tolerance * max(abs(low), abs(high), 1):
        slow = 2 * (high - low) > widths[-3]
        middle = (low + high) / 2 if slow else low + (high - low) * at_low / (at_low - at_high)
        # After a bisection three more steps have their chance.
        widths = [3 * (high - low)] * 3 if slow else [*widths, high - low]
        value = f(middle)
        if abs(value) <= tolerance:
            return middle
        # An end that stays twice weighs half as much (the Illinois rule).
        if value > 0:
            low, at_low = middle, value
            at_high, side = (at_high / 2 if side == 1 else at_high), 1
        else:
            high, at_high = middle, value
            at_low, side = (at_low / 2 if side == -1 else at_low), -1
    return (low + high) / 2


def _bracket(f: Callable[[mpf], mpf], start: mpf) -> tuple[tuple[mpf, mpf], tuple[mpf, mpf]]:
    """Return two points between which a falling function changes its sign, and its values there."""
    low = high = (start, f(start))
    step = mpf(1)
    while low[1] <= 0:
        high, low = low, (low[0] - step, f(low[0] - step))
        step *= 16
    while high[1] > 0:
        low, high = high, (high[0] + step, f(high[0] + step))
        step *= 16
    return low, high


def _excess(t: mpf, ratio: mpf) -> mpf:
    """Return ``t - log(1 + t)`` >= 0, where 1 + t is the ratio, with all its digits."""
    if abs(t) > 0.5:
        return t - mp.log(ratio)
    if t == 0:
        return mpf(0)
    if mp.mag(t) < -100:
        return t * t * (mpf(1) / 2 - t / 3 + t * t / 4)
    with mp.workprec(mp.prec + 2 * (10 - mp.mag(t))):
        return t - mp.log(1 + t)


def _real(x: Fraction) -> mpf:
    return mpf(x.numerator) / x.denominator


def _fraction(x: mpf) -> Fraction:
    """Return the fraction that a number is, and 0 for what is next to nothing."""
    if x == 0 or mp.mag(x) < -NOTHING:
        return Fraction(0)
    sign, mantissa, exponent, _ = x._mpf_
    return Fraction((-1) ** sign * int(mantissa)) * Fraction(2) ** int(exponent)


def _extended(x: mpf) -> Extended:
    return inf if x == inf else _fraction(x)


def _first_best(advantage: Sequence[Fraction | None]) -> int:
    known = [(a, A) for a, A in enumerate(advantage) if A is not None]
    return max(known, key=lambda pair: pair[1])[0]


def _exact_advantage(advantage: Sequence[Sequence[Number | None]]) -> list[PartialVector]:
    return [[None if a is None else exact(a) for a in row] for row in advantage]


def _without_discount(region: Region) -> Exact:
    """Return the region if it needs no discount factor, and raise an error otherwise."""
    if isinstance(region, Conservative) or region == KLPenalty():
        raise ValueError(f"region: {region} needs a discount factor")
    return region


def _step(update: TrustRegionUpdate, eta: Fraction | None, eta_new: Fraction | None) -> TrustRegionStep:
    return TrustRegionStep(
        update.policy,
        update.kl,
        update.multiplier,
        update.surrogate_gain,
        update.dual_value,
        update.dual_gap,
        Fraction(eta or 0),
        Fraction(eta_new or 0),
    )
