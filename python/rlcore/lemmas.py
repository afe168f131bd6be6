"""The inequalities behind trust-region policy improvement, held against two given policies (theory 5.1-5.7).

Both sides of every statement are enclosed, so that a verdict is a proof. What two policies that hardly differ have in
common is never subtracted: everything is formed from pi' - pi, which is exact or right to the last digit.

Rows that are stored do not sum to exactly 1. Where a proof needs that they do, the statement has an *allowance*: by how
much its right side grows if the proof is done with the sums as they are. Write iota, omega for bounds on how far the
sums of rho0 and of any policy's steps are from 1, and add one more state, the end, to which termination leads. Then
for M(s,.) = sum_a min(pi, pi') P(.|s,a), which both policies do alike, and m_t^T = rho0^T M^t:

    m_t <= Pr(s_t = .), m_t <= Pr'(s_t = .), so ||Pr'(s_t) - Pr(s_t)||_1 <= 2 (1 + iota) (1 + omega)^t - 2 sum m_t,
    sum m_t >= (1 - iota) max(1 - alpha - omega, 0)^t.

That is 2 (1 - (1 - alpha)^t) and the allowance of (85), from which all others follow. The end is counted in the
distance of the two distributions: the proof does not care, and what has ended more often under one policy than under
the other is then no smaller than it is. Abar = 0 there.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from rlcore.arguments import as_tolerance
from rlcore.certified_sums import total_of
from rlcore.coupling import TINY
from rlcore.divergence import policy_divergences
from rlcore.enclosure import ULP, Enclosure, Verdict, at_most, product_or_zero
from rlcore.errors import ArgumentError, ImproperPolicyError, ModelError, SettingError
from rlcore.evaluation import evaluate
from rlcore.mdp import MDP, as_mdp
from rlcore.occupancy import occupancy
from rlcore.over_actions import max_over_actions, min_over_actions, most_actions, sum_over_actions
from rlcore.policy import as_policy
from rlcore.results import Evaluation, FloatArray, Occupancy, Progress
from rlcore.settings import Average, Discounted, Episodic, FiniteHorizon, as_setting

Rows = Literal["states", "times", "one"]
_Setting = Discounted | Episodic | Average

SLACK = 1.0 + 1e-8  # covers the roundings of the error bounds themselves


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Statement:
    """One inequality, left <= right, for the two policies that it was asked for.

    Attributes
    ----------
    name
        What the literature calls it.
    formula
        What it says.
    source
        Where the theory page has it.
    rows
        What its numbers belong to: "states", "times" t = 0, ..., steps, or "one" number only.
    left, right
        Its sides, enclosed, for the model and the policies as they are stored.
    allowance
        By how much the right side may have to be larger because stored rows sum to 1 only within rounding.
    verdicts
        For each row, what is proven: HOLDS of left <= right, VIOLATED of left > right + allowance.
    """

    name: str
    formula: str
    source: str
    rows: Rows
    left: Enclosure
    right: Enclosure
    allowance: Any
    verdicts: Any

    @property
    def verdict(self) -> Verdict:
        """VIOLATED if a row is, else UNDECIDED if a row is, else HOLDS."""
        return _worst(np.ravel(self.verdicts))

    def __repr__(self) -> str:
        count = "" if self.rows == "one" else f", {np.size(self.verdicts)} {self.rows}"
        return f"Statement({self.name}: {self.formula}{count}, {self.verdict})"


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Lemmas:
    """What the theory of policy improvement says of two policies, and whether it is so (theory 5.1-5.7).

    Attributes
    ----------
    statements
        The statements, in the order of the theory. ``lemmas["Lemma 2.3"]`` is the one of that name.
    alpha
        max_s TV(pi(.|s), pi'(.|s)).
    eps
        max |A(s,a)|, over all pairs.
    mean_advantage
        Abar(s) = sum_a (pi' - pi) A, for each state.
    kl_max
        max_s KL(pi || pi').
    gap
        eta' - L = gamma rho^T (P' - P) W with (I - gamma P') W = Abar (theory 5.2); None but for `Discounted`.
    """

    statements: tuple[Statement, ...]
    alpha: Enclosure
    eps: Enclosure
    mean_advantage: Enclosure
    kl_max: Enclosure
    gap: Enclosure | None

    @property
    def verdict(self) -> Verdict:
        """VIOLATED if a statement is, else UNDECIDED if one is, else HOLDS."""
        return _worst(statement.verdict for statement in self.statements)

    def __getitem__(self, name: str) -> Statement:
        """Return the statement of this name."""
        for statement in self.statements:
            if statement.name == name:
                return statement
        known = ", ".join(repr(statement.name) for statement in self.statements)
        raise ArgumentError(f"name: expected one of {known}, got {name!r}")

    def __iter__(self) -> Iterator[Statement]:
        """Go through the statements."""
        return iter(self.statements)

    def __str__(self) -> str:
        """Return a line for each statement: what is proven, and what it says."""
        width = max(len(statement.name) for statement in self.statements)
        return "\n".join(f"{one.verdict:<9}  {one.name:<{width}}  {one.formula}" for one in self.statements)

    def __repr__(self) -> str:
        return f"Lemmas({len(self.statements)} statements, alpha={self.alpha.value:.6g}, {self.verdict})"


def lemmas(
    mdp: MDP,
    policy: ArrayLike,
    candidate: ArrayLike,
    setting: Discounted | Episodic | Average | float,
    steps: int,
    *,
    tol: float = 1e-12,
    num_threads: int | None = None,
    progress: Callable[[Progress], object] | None = None,
) -> Lemmas:
    """Hold the lemmas of policy improvement against two policies, with proven verdicts.

    With alpha_s = TV(pi(.|s), pi'(.|s)), alpha = max alpha_s, Abar(s) = sum_a (pi' - pi) A and eps = max |A|:
    Lemma 2.3, |Abar(s)| <= 2 alpha eps; (85), ||Pr'(s_t) - Pr(s_t)||_1 <= 2 (1 - (1 - alpha)^t); Lemma 2.4,
    |E' Abar(s_t) - E Abar(s_t)| <= 4 alpha (1 - (1 - alpha)^t) eps. Discounted also: the partial sums of (66), of (67)
    and of their difference; (107), Lemma 2.5 and Theorem 2.1, which bound eta' - L.

    Parameters
    ----------
    mdp
        The model, with a start distribution.
    policy, candidate
        pi and pi', of shape ``mdp.pair_shape``.
    setting
        ``Discounted(gamma)``, or just gamma, for all statements. ``Episodic()`` and ``Average()``, in which A is
        undiscounted, for Lemma 2.3, (85) and Lemma 2.4.
    steps
        The statements about a time are held against t = 0, 1, ..., steps.
    tol
        The relative error of values and visits that is worth a further refinement; 0 for the best attainable. Whatever
        is attained is in the enclosures.
    num_threads
        Threads to use; None for one per core. Every number gives bitwise the same answer.
    progress
        Called with a `Progress` some twenty times a second while values and visits are found.

    Returns
    -------
    Lemmas
        ``.statements``, each with ``.left``, ``.right``, ``.verdicts``; ``.verdict``; ``.alpha``, ``.eps``,
        ``.mean_advantage``, ``.kl_max``, ``.gap``. A statement that is tight, its sides being equal, is UNDECIDED.

    Raises
    ------
    ModelError
        If the model has no start distribution.
    PolicyError
        If one of the policies has the wrong shape or is not a distribution in every state.
    SettingError
        If gamma is not in [0, 1), or A does not exist in the setting.
    ImproperPolicyError
        Episodic: if the policy may go on for ever from some state.
    ArgumentError
        If `steps` is not a whole number from 0 on, or `tol` not a relative error in [0, 1).

    Notes
    -----
    Theory 5.1-5.7; Schulman et al. 2015, appendix A; Kakade & Langford 2002. The distributions take two products with
    the model's rows a step; the sums are formed in double precision with a running bound on their error.

    Examples
    --------
    >>> import rlcore as rl
    >>> mdp = rl.gallery.forest()
    >>> found = rl.lemmas(mdp, [[0.5, 0.5]] * 3, [[0.6, 0.4], [0.5, 0.5], [0.7, 0.3]], 0.9, steps=20)
    >>> found["(85)"].verdict, found["Theorem 2.1"].verdict
    (<Verdict.HOLDS: 'HOLDS'>, <Verdict.HOLDS: 'HOLDS'>)
    >>> print(f"{found.gap.value:.9f}, at most {found['Lemma 2.5'].right.value:.9f}")
    0.786233495, at most 37.800900000
    """
    mdp = as_mdp(mdp)
    found_setting = as_setting(setting, "lemmas")
    if isinstance(found_setting, FiniteHorizon):
        raise SettingError(
            "setting: the lemmas are about policies that stay the same and exist in Discounted(gamma), and Lemma 2.3, "
            f"(85) and Lemma 2.4 also in Episodic() and Average(), got {found_setting!r}"
        )
    count = _as_steps(steps)
    old, new = (as_policy(mdp, rows, name) for rows, name in ((policy, "policy"), (candidate, "candidate")))
    if mdp.initial is None:
        raise ModelError(
            "initial: lemmas needs a start distribution, and the model has none; "
            "make it with initial=p or mdp.with_initial(p)"
        )
    solving: dict[str, Any] = {
        "tol": as_tolerance(tol),
        "num_threads": num_threads,
        "progress": progress,
        "raise_on_failure": False,
    }
    pair = _Pair(mdp, old, new, found_setting, solving)
    if isinstance(found_setting, Discounted):
        return _discounted(pair, found_setting.gamma, count)
    walk = _walk(pair, count, [pair.abar])
    return Lemmas((*_lemma_2_3(pair), _eq_85(pair, walk), _lemma_2_4(pair, walk)), *pair.sizes, None)


# ---- the two policies ----


@dataclass(frozen=True, slots=True, eq=False)
class _Function:
    """A function of the state and a bound on the error of each of its values."""

    value: FloatArray
    error: FloatArray

    @property
    def largest(self) -> float:
        """At least max |f|."""
        return float((np.abs(self.value) + self.error).max()) * SLACK


class _Pair:
    """A policy and a candidate, the advantage of the one, and what the statements are made of."""

    def __init__(self, mdp: MDP, old: FloatArray, new: FloatArray, setting: _Setting, solving: dict[str, Any]) -> None:
        self.mdp, self.old, self.new, self.solving = mdp, old, new, solving
        self.change = new - old
        self.evaluation: Evaluation = evaluate(mdp, old, setting, **solving)
        self.advantage, self.advantage_error = self._advantage()
        self.longest_row = most_actions(mdp)
        self.rounding = (self.longest_row + 8) * ULP  # of a sum over actions
        apart = policy_divergences(mdp, old, new)
        underflow = np.where(self.over_actions(np.abs(self.change)) > 0.0, TINY, 0.0)
        most = float(underflow.max())
        self.tv = abs(Enclosure.around(apart.tv, apart.tv * apart.relative_error + underflow))
        self.alpha = abs(Enclosure.around(apart.tv_max, apart.tv_max * apart.relative_error + most))
        self.kl_max = abs(Enclosure.around(apart.kl_max, apart.kl_max * apart.relative_error + most))
        largest = float(np.abs(self.advantage).max())
        self.eps = abs(Enclosure.around(largest, self.advantage_error))
        self.abar = self._mean_advantage()
        self.defects = _Defects.of(self)

    def _advantage(self) -> tuple[FloatArray, float]:
        found = self.evaluation
        if found.advantage is None:
            raise SettingError(
                "setting: in Average() the lemmas need an advantage, and the policy has several recurrent classes; "
                "use Discounted(gamma)"
            )
        if found.proper is not None and not found.proper.all():
            raise self.mdp.located(
                ImproperPolicyError.placed(
                    "policy",
                    "expected to end with probability 1, since eps is the largest |A| of all states; use "
                    "Discounted(gamma)",
                    state=int(np.argmin(found.proper)),
                )
            )
        return found.advantage.ravel(), float(found.certificate.bounds["advantage"])

    def over_actions(self, pairs: FloatArray) -> FloatArray:
        """Sum over the actions of each state."""
        sums: FloatArray = sum_over_actions(self.mdp, pairs)
        return sums

    def of_state(self, states: FloatArray) -> FloatArray:
        """Return the number of its state for each pair."""
        return states[self.mdp.pair_state]

    def _mean_advantage(self) -> _Function:
        """Abar, from pi' - pi: the policy's own mean of A is 0 but for rounding."""
        size, reach = np.abs(self.change), np.abs(self.advantage) + self.advantage_error
        underflow = self.over_actions(np.where((size > 0.0) & (reach > 0.0), TINY, 0.0))
        error = self.over_actions(product_or_zero(size, self.advantage_error + self.rounding * reach)) + underflow
        return _Function(self.over_actions(self.change * self.advantage), error * SLACK)

    def allowed(self, distance: Any) -> Any:
        """Return what an allowance for a sum of |Pr' - Pr| is worth in Abar."""
        return product_or_zero(self.abar.largest, distance * SLACK)

    @property
    def sizes(self) -> tuple[Enclosure, Enclosure, Enclosure, Enclosure]:
        """What `Lemmas` tells of the two policies."""
        return self.alpha, self.eps, Enclosure.around(self.abar.value, self.abar.error), self.kl_max


@dataclass(frozen=True, slots=True, eq=False)
class _Defects:
    """How far stored sums of probabilities may be from 1: bounds, rounding of the sums included."""

    start: float  # iota: of rho0
    step: float  # omega: of a step of any policy that lies between the two, with the end
    change: FloatArray  # of |sum_a pi' - sum_a pi|, for each state

    @classmethod
    def of(cls, pair: _Pair) -> _Defects:
        mdp = pair.mdp
        assert mdp.initial is not None
        policies = max(float(np.abs(pair.over_actions(rows) - 1.0).max()) for rows in (pair.old, pair.new))
        policies += 2 * pair.rounding
        longest = int(np.diff(mdp.transition.indptr).max())
        rows = np.abs(mdp.transition.sum(axis=1) + mdp.termination.ravel() - 1.0)
        row = float(rows.max()) + 2 * (longest + 4) * ULP
        start = abs(float(mdp.initial.sum()) - 1.0) + 2 * (mdp.num_states + 4) * ULP
        change = np.abs(pair.over_actions(pair.change)) + pair.rounding * pair.over_actions(np.abs(pair.change))
        return cls(start * SLACK, (policies + row + policies * row) * SLACK, change * SLACK)

    def until(self, times: NDArray[Any]) -> FloatArray:
        """Return the allowance of (85) at given times.

        2 [(1 + iota) (1 + omega)^t - 1] + 2 [(1 - alpha)^t - (1 - iota) max(1 - alpha - omega, 0)^t], of which the
        second is at most 1 and at most t omega + iota.
        """
        spread = self.start + times * self.step
        allowance: FloatArray = 2.0 * (np.expm1(spread) + np.minimum(spread, 1.0)) * SLACK
        return allowance

    def horizon(self, gamma: float) -> float:
        """Return at least sum_t gamma^t (1 + omega)^t, which bounds the row sums of (I - gamma P)^-1."""
        left = 1.0 - gamma * (1.0 + self.step) - 2 * ULP
        return SLACK / left if left > 0.0 else math.inf

    def discounted(self, gamma: float, alpha: float) -> float:
        """Return the sum of the allowances of (85), discounted and without end.

        2 [(1 + iota) / (1 - gamma (1 + omega)) - 1 / (1 - gamma)] and, with x = 1 - alpha and y = x - omega,
        2 [1 / (1 - gamma x) - (1 - iota) / (1 - gamma y)] <= 2 [gamma omega / (1 - gamma x)^2 + iota / (1 - gamma x)].
        """
        apart = 1.0 - gamma + gamma * min(alpha, 1.0)
        longer = (self.start * (1.0 - gamma) + gamma * self.step) * self.horizon(gamma) / (1.0 - gamma)
        return 2.0 * SLACK * (longer + gamma * self.step / apart**2 + self.start / apart)


# ---- two walks, step by step ----


@dataclass(frozen=True, slots=True, eq=False)
class _Walk:
    """Where the two policies are at times t = 0, ..., steps, in what the statements need of it."""

    times: NDArray[np.int64]
    distance: Enclosure  # ||Pr'(s_t) - Pr(s_t)||_1, the end included
    old: list[Enclosure]  # E f(s_t) for each function f that was asked for
    shift: list[Enclosure]  # E' f(s_t) - E f(s_t)


def _walk(pair: _Pair, steps: int, functions: list[_Function]) -> _Walk:
    """Follow p_t = Pr(s_t = .) and D_t = Pr'(s_t = .) - p_t by D_{t+1} = P'^T D_t + (P' - P)^T p_t.

    The bounds e_t of the errors of D_t follow the same steps: e_{t+1} = P'^T (e_t + u |D_t|) + |P' - P|^T (u_t p_t),
    where u stands for the roundings of a step, one for each number that meets in a state and a few more, and u_t for
    those of p_t until then: nothing cancels there, so that its errors stay relative.
    """
    mdp = pair.mdp
    assert mdp.initial is not None
    incoming, ending = mdp.transition.T, mdp.termination.ravel()
    most = int(np.bincount(mdp.transition.indices, minlength=1).max(initial=0))
    rounding = (most + 8) * ULP
    underflow = 4.0 * (most + 2) * TINY * bool(pair.change.any())
    bounded = [(f, np.abs(f.value) + f.error) for f in functions]

    p, D, e = np.array(mdp.initial), np.zeros(mdp.num_states), np.zeros(mdp.num_states)
    end, end_error = 0.0, 0.0  # of D, and of e
    distance, old, shift = [], [], []
    for t in range(steps + 1):
        p_error = float(np.expm1(t * rounding)) * p + 4.0 * t * mdp.num_pairs * TINY
        distance.append(_l1(D, e, end, end_error))
        old.append([_expectation(p, f, float(product_or_zero(p_error, most_f).sum())) for f, most_f in bounded])
        shift.append([_expectation(D, f, float(product_or_zero(e, most_f).sum())) for f, most_f in bounded])
        if t == steps:
            break
        before, size = pair.of_state(p), np.abs(pair.change)
        taken, shifted = pair.old * before, pair.new * pair.of_state(D) + pair.change * before
        unsure = pair.new * pair.of_state(e + rounding * np.abs(D)) + size * pair.of_state(p_error + rounding * p)
        if mdp.can_end:
            ends = shifted * ending
            more, end_rounding = total_of(ends)
            end += more
            end_error += float((unsure * ending).sum()) + (end_rounding + 2 * ULP) * float(np.abs(ends).sum())
            end_error += 2 * ULP * abs(end) + mdp.num_pairs * underflow
        p, D, e = np.ascontiguousarray((incoming @ np.stack([taken, shifted, unsure], axis=1)).T)
        e = e * SLACK + underflow
    per_function = ([_stacked(numbers) for numbers in zip(*found, strict=True)] for found in (old, shift))
    return _Walk(np.arange(steps + 1), _stacked(distance), *per_function)


def _l1(D: FloatArray, e: FloatArray, end: float, end_error: float) -> tuple[float, float]:
    running, rounding = total_of(np.abs(D))
    distance = running + abs(end)
    return distance, (float(e.sum()) + end_error + (rounding + 2 * ULP) * distance) * SLACK


def _expectation(p: FloatArray, f: _Function, p_effect: float) -> tuple[float, float]:
    """Return sum_s p(s) f(s) and its error: what errors of p do to it, errors of f, and rounding."""
    terms = p * f.value
    mean, rounding = total_of(terms)
    error = (
        p_effect + float(product_or_zero(np.abs(p), f.error).sum()) + (rounding + 2 * ULP) * float(np.abs(terms).sum())
    )
    underflow = p.size * TINY if f.largest > 0.0 and p.any() else 0.0
    return mean, (error + underflow) * SLACK


def _stacked(numbers: Any) -> Enclosure:
    value, error = np.array(list(numbers), dtype=float).T
    return Enclosure.around(value, error)


# ---- the statements ----


def _lemma_2_3(pair: _Pair) -> list[Statement]:
    """|sum_a (pi' - pi) A| <= sum_a |pi' - pi| |A|, whatever rows sum to; with A - its middle the sums matter."""
    left = abs(Enclosure.around(pair.abar.value, pair.abar.error))
    highest, lowest = max_over_actions(pair.mdp, pair.advantage), min_over_actions(pair.mdp, pair.advantage)
    several = np.diff(pair.mdp.pair_start) > 1
    width = highest - lowest
    span = Enclosure.around(width, np.where(several, 2.0 * pair.advantage_error + ULP * width, 0.0))
    span = Enclosure(np.maximum(span.lower, 0.0), span.upper)
    middle = 0.5 * np.abs(highest + lowest) + pair.advantage_error
    largest = _product(2.0, pair.alpha, pair.eps)
    everywhere = Enclosure(*(np.full(left.lower.shape, bound) for bound in _bounds(largest)))
    return [
        _statement("Lemma 2.3", "|Ā(s)| ≤ 2 α ε", "5.4", "states", left, everywhere),
        _statement("Lemma 2.3, by state", "|Ā(s)| ≤ 2 α_s ε", "5.4", "states", left, _product(2.0, pair.tv, pair.eps)),
        _statement(
            "Lemma 2.3, by span",
            "|Ā(s)| ≤ α_s span_a A(s,a)",
            "5.4",
            "states",
            left,
            _product(1.0, pair.tv, span),
            product_or_zero(pair.defects.change, middle * SLACK),
        ),
    ]


def _eq_85(pair: _Pair, walk: _Walk) -> Statement:
    return _statement(
        "(85)",
        "‖Pr'(s_t) - Pr(s_t)‖₁ ≤ 2 (1 - (1-α)^t)",
        "5.5",
        "times",
        walk.distance,
        _product(2.0, _parted(pair.alpha, walk.times)),
        pair.defects.until(walk.times),
    )


def _lemma_2_4(pair: _Pair, walk: _Walk) -> Statement:
    """(85) times max |Abar|, which is at most 2 alpha eps."""
    return _statement(
        "Lemma 2.4",
        "|E'Ā(s_t) - E Ā(s_t)| ≤ 4 α (1 - (1-α)^t) ε",
        "5.5",
        "times",
        abs(walk.shift[0]),
        _product(4.0, pair.alpha, _parted(pair.alpha, walk.times), pair.eps),
        pair.allowed(pair.defects.until(walk.times)),
    )


def _discounted(pair: _Pair, gamma: float, steps: int) -> Lemmas:
    """Return all statements: those of any setting, partial sums, and the bounds of eta' - L."""
    W_old = _discounted_sum(pair, pair.old, gamma)
    W_new = _discounted_sum(pair, pair.new, gamma)
    walk = _walk(pair, steps, [pair.abar, W_old, W_new])
    visits = occupancy(pair.mdp, pair.old, Discounted(gamma), **pair.solving)
    gap = _gap(pair, gamma, visits, W_new)
    return Lemmas(
        (
            *_lemma_2_3(pair),
            _eq_85(pair, walk),
            _lemma_2_4(pair, walk),
            _eq_66(pair, walk, gamma),
            _eq_67(pair, walk, gamma, visits),
            _eq_66_67(pair, walk, gamma),
            *_gap_bounds(pair, gamma, gap),
        ),
        *pair.sizes,
        gap,
    )


def _discounted_sum(pair: _Pair, policy: FloatArray, gamma: float) -> _Function:
    """Solve (I - gamma P_policy) W = Abar.

    The reward of a pair is Abar over the sum of the policy's row, so that the mean reward is Abar to the last digits.
    """
    largest, zeros = pair.abar.largest, np.zeros(pair.mdp.num_states)
    if largest == 0.0:
        return _Function(zeros, zeros)
    reward = pair.of_state(pair.abar.value / pair.over_actions(policy)).reshape(pair.mdp.pair_shape)
    found = evaluate(pair.mdp, policy, Discounted(gamma), reward=reward, **pair.solving)
    source = float(pair.abar.error.max()) + (pair.rounding + 4 * ULP) * largest + TINY
    error = float(found.certificate.bounds["value"] + product_or_zero(source, pair.defects.horizon(gamma)))
    return _Function(found.value, np.full(pair.mdp.num_states, error * SLACK))


def _gap(pair: _Pair, gamma: float, visits: Occupancy, W: _Function) -> Enclosure:
    """Enclose gamma y^T W with y = (P' - P)^T rho: what one step of the candidate leads to, of which W is the worth."""
    if gamma == 0.0 or not pair.change.any():
        return Enclosure(0.0, 0.0)
    moved = pair.change * pair.of_state(visits.visits)
    most = int(np.bincount(pair.mdp.transition.indices, minlength=1).max(initial=0))
    stretch = 1.0 + pair.defects.step
    y_error = 2.0 * float(pair.alpha.upper) * stretch * float(visits.certificate.bounds["visits"])
    y_error += (most + 6) * ULP * stretch * float(np.abs(moved).sum()) + 2.0 * pair.mdp.num_pairs * TINY
    y = pair.mdp.transition.T @ moved
    carried, error = _expectation(y, W, float(product_or_zero(y_error * SLACK, W.largest)))
    return Enclosure.around(gamma * carried, gamma * error + 2 * ULP * abs(gamma * carried))


def _eq_66(pair: _Pair, walk: _Walk, gamma: float) -> Statement:
    """Split the performance difference into what the candidate gains until T and what comes after.

    Rows that sum to sigma and sigma' give V' - V = X' (Abar + (sigma' - sigma) V).
    """
    old = pair.evaluation
    new: Evaluation = evaluate(pair.mdp, pair.new, Discounted(gamma), **pair.solving)
    gained = _around(new) - _around(old)
    values = np.abs(old.value) + float(old.certificate.bounds["value"])
    drift = float(product_or_zero(pair.defects.change, values).max()) * (1.0 + pair.defects.start) * SLACK
    widened = float(product_or_zero(drift, pair.defects.horizon(gamma)))
    gained = Enclosure(gained.lower - widened, gained.upper + widened)
    sums, rest = (walk.old[k] + walk.shift[k] for k in (0, 2))
    formula = "|η' - η - Σ_{t<T} γ^t E'Ā(s_t)| ≤ γ^T max|Ā| / (1-γ)"
    return _remainder(pair, walk, gamma, "(66)", formula, gained, sums, rest)


def _eq_67(pair: _Pair, walk: _Walk, gamma: float, visits: Occupancy) -> Statement:
    """Split the surrogate's rho^T Abar in the same way."""
    missed = float(product_or_zero(visits.certificate.bounds["visits"], pair.abar.largest))
    seen = Enclosure.around(*_expectation(visits.visits, pair.abar, missed))
    formula = "|L - η - Σ_{t<T} γ^t E Ā(s_t)| ≤ γ^T max|Ā| / (1-γ)"
    return _remainder(pair, walk, gamma, "(67)", formula, seen, walk.old[0], walk.old[1])


def _remainder(
    pair: _Pair, walk: _Walk, gamma: float, name: str, formula: str, total: Enclosure, terms: Enclosure, rest: Enclosure
) -> Statement:
    """Compare what a partial sum leaves over, gamma^T E W(s_T), with a geometric series.

    The total, found in another way, minus the partial sum must be the same: if it is not, the statement is violated.
    """
    discounts = _powers(gamma, walk.times)
    after = _scaled(discounts, rest)
    left_over = total - _partial_sums(_scaled(discounts, terms))
    contradicted = (left_over.upper < after.lower) | (left_over.lower > after.upper)
    right = _scaled(discounts, _product(1.0 / (1.0 - gamma), _largest(pair.abar)))
    spread = pair.defects.start + walk.times * pair.defects.step
    horizon = pair.defects.horizon(gamma)
    longer = np.expm1(spread) * horizon + gamma * pair.defects.step * horizon / (1.0 - gamma)
    allowance = pair.allowed(product_or_zero(discounts, longer))
    return _statement(name, formula, "5.1", "times", abs(after), right, allowance, contradicted)


def _eq_66_67(pair: _Pair, walk: _Walk, gamma: float) -> Statement:
    """Lemma 2.4, discounted and summed: the step from there to (107)."""
    discounts = _powers(gamma, walk.times)
    left = _partial_sums(_scaled(discounts, walk.shift[0]))
    terms = _scaled(discounts, _product(4.0, pair.alpha, _parted(pair.alpha, walk.times), pair.eps))
    allowance = pair.allowed(np.cumsum(discounts * pair.defects.until(walk.times)))
    return _statement(
        "(66) - (67)",
        "|Σ_{t<T} γ^t (E'Ā(s_t) - E Ā(s_t))| ≤ Σ_{t<T} γ^t 4 α (1 - (1-α)^t) ε",
        "5.1",
        "times",
        abs(left),
        _partial_sums(terms),
        np.concatenate([[0.0], allowance[:-1]]),
    )


def _gap_bounds(pair: _Pair, gamma: float, gap: Enclosure) -> list[Statement]:
    """Sum Lemma 2.4 over all times, and simplify: alpha^2 <= KLmax.

    That last step needs no allowance: 6 TV^2 <= (sum p + 2 sum q) KL for any p and q, with the KL of `divergence`.
    """
    alpha, eps = pair.alpha, pair.eps
    allowance = pair.allowed(pair.defects.discounted(gamma, float(alpha.lower)))
    apart = Enclosure(*(gamma / ((1.0 - gamma) + gamma * bound) for bound in (alpha.upper, alpha.lower)))
    eq_107 = _product(4.0 / (1.0 - gamma), alpha, alpha, apart, eps)
    scale = 4.0 * gamma / (1.0 - gamma) / (1.0 - gamma)
    below = Enclosure(-np.asarray(gap.upper), -np.asarray(gap.lower))
    return [
        _statement("(107)", "|η' - L| ≤ 4 α² γ ε / ((1-γ) (1 - γ (1-α)))", "5.6", "one", abs(gap), eq_107, allowance),
        _statement(
            "Lemma 2.5",
            "|η' - L| ≤ 4 α² γ ε / (1-γ)²",
            "5.6",
            "one",
            abs(gap),
            _product(scale, alpha, alpha, eps),
            allowance,
        ),
        _statement(
            "Theorem 2.1",
            "L - η' ≤ 4 ε γ max KL / (1-γ)²",
            "5.7",
            "one",
            below,
            _product(scale, eps, pair.kl_max),
            allowance,
        ),
    ]


def _statement(
    name: str,
    formula: str,
    source: str,
    rows: Rows,
    left: Enclosure,
    right: Enclosure,
    allowance: Any = 0.0,
    contradicted: Any = False,
) -> Statement:
    """Decide a statement: with the allowance, and VIOLATED where what it rests on is contradicted."""
    allowance = np.broadcast_to(allowance, np.shape(left.lower))
    found = at_most(left, Enclosure(right.lower, np.asarray(right.upper) + allowance))
    verdicts = np.where(np.broadcast_to(contradicted, np.shape(left.lower)), Verdict.VIOLATED, found)
    if rows == "one":
        left, right = (Enclosure(float(side.lower), float(side.upper)) for side in (left, right))
        return Statement(name, formula, f"theory {source}", rows, left, right, float(allowance), Verdict(str(verdicts)))
    return Statement(name, formula, f"theory {source}", rows, left, right, allowance, verdicts)


def _worst(verdicts: Any) -> Verdict:
    found = set(verdicts)
    return next((one for one in (Verdict.VIOLATED, Verdict.UNDECIDED) if one in found), Verdict.HOLDS)


# ---- enclosures ----


def _bounds(x: Enclosure) -> tuple[Any, Any]:
    return x.lower, x.upper


def _product(factor: float, *factors: Enclosure) -> Enclosure:
    """Enclose a product of numbers that are not negative, 0 inf = 0."""
    lower, upper = np.asarray(factor), np.asarray(factor)
    with np.errstate(invalid="ignore"):
        for one in factors:
            lower, upper = lower * np.maximum(one.lower, 0.0), upper * one.upper
    vanishes = np.any(np.broadcast_arrays(factor == 0.0, *(np.asarray(one.upper) == 0.0 for one in factors)), axis=0)
    rounding = 4 * (len(factors) + 3) * ULP
    lower = np.where(np.isnan(lower), 0.0, np.maximum(lower * (1.0 - rounding) - TINY, 0.0))
    return Enclosure(np.where(vanishes, 0.0, lower), np.where(vanishes, 0.0, upper * (1.0 + rounding) + TINY))


def _parted(alpha: Enclosure, times: NDArray[np.int64]) -> Enclosure:
    """Enclose 1 - (1 - alpha)^t, with 0^0 = 1."""
    with np.errstate(divide="ignore", invalid="ignore"):
        lower, upper = (-np.expm1(times * np.log1p(-min(float(bound), 1.0))) for bound in _bounds(alpha))
    parted = _product(1.0, Enclosure(lower, upper))
    started = times > 0
    return Enclosure(np.where(started, parted.lower, 0.0), np.where(started, np.minimum(parted.upper, 1.0), 0.0))


def _powers(gamma: float, times: NDArray[np.int64]) -> FloatArray:
    powers: FloatArray = np.power(gamma, times.astype(float))
    return powers


def _scaled(discounts: FloatArray, x: Enclosure) -> Enclosure:
    """Enclose gamma^t x for given powers of gamma, off by a few roundings."""
    with np.errstate(invalid="ignore"):
        lower, upper = discounts * np.asarray(x.lower), discounts * np.asarray(x.upper)
    size = np.maximum(np.abs(lower), np.abs(upper))
    margin = np.where(size > 0.0, 8 * ULP * size + TINY, 0.0)
    return Enclosure(lower - margin, upper + margin)


def _partial_sums(x: Enclosure) -> Enclosure:
    """Enclose the sums over t < T for T = 0, 1, ..., one for each t that there is."""
    size = np.maximum(np.abs(x.lower), np.abs(x.upper))
    rounding = (size.size + 2) * ULP * np.cumsum(size)
    lower, upper = np.cumsum(x.lower) - rounding, np.cumsum(x.upper) + rounding
    return Enclosure(*(np.concatenate([[0.0], sums[:-1]]) for sums in (lower, upper)))


def _largest(f: _Function) -> Enclosure:
    """Enclose max |f|."""
    size = abs(Enclosure.around(f.value, f.error))
    return Enclosure(float(np.max(size.lower)), float(np.max(size.upper)))


def _around(evaluation: Evaluation) -> Enclosure:
    return Enclosure.around(evaluation.start_value, evaluation.certificate.bounds["start_value"])


def _as_steps(steps: int) -> int:
    if isinstance(steps, bool) or not isinstance(steps, int | np.integer) or steps < 0:
        raise ArgumentError(f"steps: expected a whole number from 0 on, got {steps!r}")
    return int(steps)
