"""eta' - L exactly: gamma ((P' - P)^T w)^T W with (I - gamma P') W = Abar (theory 5.2)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rlcore import _core
from rlcore.candidates import MOST_CHANGED, MOST_NUMBERS, Chunk
from rlcore.compared import UNDERFLOW, Compared, core_candidates
from rlcore.comparison_base import ComparisonBase, reachable_states
from rlcore.enclosure import ULP, Enclosure
from rlcore.evaluation import evaluate
from rlcore.measures import StepShifts, one_each_step, step_shifts
from rlcore.results import Evaluation, FloatArray
from rlcore.settings import Average, Discounted, Episodic

MOST_SOLVED = 64  # states whose visits are solved for at a time, for candidates that change few states


@dataclass(frozen=True, slots=True, eq=False)
class ReturnGap:
    """eta' - L of each candidate.

    Attributes
    ----------
    normalised
        As the theory means it: were the sums of the rows of both policies the same.
    stored
        Of the policies as they are stored.
    step_shift
        ||(P' - P)^T w||_1, if it was found on the way.
    """

    normalised: Enclosure
    stored: Enclosure
    step_shift: Enclosure | None = None


def needs_abar(base: ComparisonBase, chunk: Chunk) -> bool:
    """Whether `exact_gap` solves for W, the sums of Abar."""
    few = chunk.largest_change is not None and chunk.largest_change <= MOST_CHANGED
    return not (few and isinstance(base.setting, Discounted))


def exact_gap(
    base: ComparisonBase, chunk: Chunk, seen: Compared, abar: FloatArray | None, horizon: Enclosure | None, tol: float
) -> ReturnGap:
    """Solve for W of every candidate; of those that change few states, by way of the base's own resolvent.

    `abar` is that of every candidate in every state, if it `needs_abar`.
    """
    if base.is_sharp and chunk.start is None:
        gap_in_full = _gap_in_full(base, chunk, seen, tol)
        if gap_in_full is not None:
            return gap_in_full
    reach: Any
    step_shift = None
    if abar is None:
        assert horizon is not None
        gap = _gap_by_states(base, chunk, seen, horizon, tol)
        longest = np.asarray(horizon.upper)
        reach = 2.0 * longest * np.minimum(1.0, base.gamma * longest * np.asarray(seen.measures["alpha"].upper))
    else:
        gap, shifts = _gap_by_solving(base, chunk, seen, abar, horizon, tol)
        reach = _most_moved(base, shifts, horizon)
        step_shift = shifts.l1
    # Excesses in the sums of rows add rho'^T excess, and rho' is not far from rho.
    with np.errstate(invalid="ignore"):
        moved = np.where(seen.drift_max == 0.0, 0.0, reach * seen.drift_max)
    lost = _lost(seen)
    gap = gap + Enclosure(-lost, lost)
    return ReturnGap(gap, gap + seen.drift + Enclosure(-moved, moved), step_shift)


def _lost(seen: Compared) -> FloatArray:
    """Bound what products that underflow may add; nothing does for a candidate that is the base policy."""
    return np.where(np.asarray(seen.measures["alpha"].upper) > 0.0, UNDERFLOW, 0.0)


def _gap_in_full(base: ComparisonBase, chunk: Chunk, seen: Compared, tol: float) -> ReturnGap | None:
    """Form the gaps in twofold arithmetic; nothing, if W does not exist everywhere.

    That of the policies as they are stored has what excesses in the sums of rows add. The theory means rows that sum to
    the same: with the W of Abar, sum y is 0 then, so that constants in W do not count; rows of (I - gamma P')^-1 have
    the same sum, so that constants in Abar do not; and a step has the length that it is said to have.
    """
    function = {Discounted: _core.return_gaps, Episodic: _core.return_gaps_episodic, Average: _core.return_gaps_average}
    errors = (base.full_advantage.error, base.full_weight.error, base.worth_error)
    found = function[type(base.setting)](
        base.mdp._core, base.core, errors, core_candidates(chunk), base.gamma, tol, *base.threads_and_callback
    )
    if not (np.isfinite(found.of_abar_error).all() and np.isfinite(found.of_stored_error).all()):
        return None
    lost = _lost(seen)
    of_constants = found.mass * found.largest
    of_constants += base.gamma * found.l1 * found.spread * np.asarray(seen.measures["epsilon_bar"].upper)
    of_constants += 4.0 * (base.row_defect + np.abs(seen.most_sum - 1.0)) * np.abs(found.of_abar)
    return ReturnGap(
        Enclosure.of_twofold(found.of_abar, found.of_abar_low, found.of_abar_error + of_constants + lost),
        Enclosure.of_twofold(found.of_stored, found.of_stored_low, found.of_stored_error + lost),
        abs(Enclosure.of_twofold(found.l1, found.l1_low, found.l1_error)),
    )


def _gap_by_solving(
    base: ComparisonBase, chunk: Chunk, seen: Compared, abar: FloatArray, horizon: Enclosure | None, tol: float
) -> tuple[Enclosure, StepShifts]:
    """Form gamma y^T W with its error: that of y times W, and of W times y; constants in W do not count."""
    policies = chunk.policies(base.mdp, base.policy)
    response, response_error = _responses(base, policies, abar, tol)
    shifts = step_shifts(base, chunk, seen, np.ascontiguousarray(response))
    least, most = response.min(axis=1), response.max(axis=1)
    half_span = (most - least) / 2.0
    largest = np.maximum(np.abs(least), np.abs(most))
    l1 = np.asarray(shifts.l1.upper)
    if isinstance(base.setting, Average):
        of_abar = 2.0 * seen.abar_error
    else:
        assert horizon is not None
        of_abar = np.where(seen.abar_error == 0.0, 0.0, l1 * horizon.upper * seen.abar_error)
    can_end = base.mdp.can_end
    error = l1 * response_error + of_abar + shifts.error * largest
    error = error + shifts.mass * largest + 4 * ULP * l1 * (largest if can_end else half_span)
    gap = Enclosure.around(base.gamma * shifts.carried, np.where(l1 == 0.0, 0.0, base.gamma * error))
    return gap, shifts


def _responses(
    base: ComparisonBase, policies: FloatArray, abar: FloatArray, tol: float
) -> tuple[FloatArray, FloatArray]:
    """Solve (I - gamma P') W = Abar under each candidate; Average: W is the bias of Abar."""
    if isinstance(base.setting, Discounted):
        found = _core.discounted_sums(base.neighbourhood, policies.reshape(-1), abar, tol, *base.threads_and_callback)
        return found.value, found.bound
    values, errors = np.empty_like(abar), np.empty(len(policies))
    for item, policy in enumerate(policies):
        reward = abar[item][base.mdp.pair_state] * one_each_step(base.mdp, policy)
        ev = evaluate(base.mdp, policy, base.setting, reward=reward, tol=tol, raise_on_failure=False, **base.solving)
        assert isinstance(ev, Evaluation)
        values[item] = np.where(np.isnan(ev.value), 0.0, ev.value)
        errors[item] = float(ev.certificate.bounds["value"]) + 8 * ULP * float(np.abs(values[item]).max())
        if base.undefined.any():
            assert base.mdp.initial is not None
            meets = reachable_states(base.mdp, policy, base.mdp.initial) & base.undefined
            errors[item] = np.inf if meets.any() else errors[item]
    return values, errors


def _most_moved(base: ComparisonBase, shifts: StepShifts, horizon: Enclosure | None) -> Any:
    """Bound ||w' - w||_1."""
    if isinstance(base.setting, Average):
        return 2.0
    assert horizon is not None
    longest = np.asarray(horizon.upper)
    return np.minimum(2.0 * longest, base.gamma * np.asarray(shifts.l1.upper) * longest)


def _gap_by_states(base: ComparisonBase, chunk: Chunk, seen: Compared, horizon: Enclosure, tol: float) -> Enclosure:
    """Candidates that change the states s_1 .. s_k: gap = sum_i rho(s_i) z_i with (I - T) z = T Abar.

    T_ij = gamma sum_s' (P' - P)(s'|s_i) X(s', s_j) = sum_a (pi' - pi)(a|s_i) A_j(s_i, a), where A_j is the advantage
    under the base policy for a reward of 1 in s_j: Woodbury's identity for X' = (I - gamma P')^-1.
    """
    assert chunk.start is not None
    changed = _Changed.of(base, chunk)
    least, most = np.zeros(chunk.count), np.zeros(chunk.count)
    if (np.diff(chunk.start) == 1).all():
        t, t_error = _own_transfers(base, changed, tol)
        t_error = t_error + changed.excess * (1.0 + float(np.max(horizon.upper)))
        lower, upper = _rank_one(base, changed, seen, t, t_error)
        return Enclosure(lower, upper)
    transfers = _Transfers.of(base, changed, tol)
    for item in range(chunk.count):
        part = slice(int(chunk.start[item]), int(chunk.start[item + 1]))
        least[item], most[item] = _rank_few(base, changed, transfers, part, seen, item, horizon)
    return Enclosure(least, most)


@dataclass(frozen=True, slots=True, eq=False)
class _Changed:
    """The rows that candidates change, one after the other; `first` is where each begins in the flat arrays."""

    state: NDArray[np.int64]
    first: NDArray[np.int64]
    pair: NDArray[np.int64]  # of each new probability
    change: FloatArray  # pi' - pi
    distance: FloatArray  # sum_a |pi' - pi|, for each row
    excess: FloatArray  # |sum pi' - sum pi|, for each row
    abar: FloatArray

    @classmethod
    def of(cls, base: ComparisonBase, chunk: Chunk) -> _Changed:
        assert chunk.states is not None
        begin = base.mdp.pair_start[chunk.states]
        length = base.mdp.pair_start[chunk.states + 1] - begin
        first = np.cumsum(length) - length
        pair = np.repeat(begin - first, length) + np.arange(int(length.sum()))
        change = chunk.rows - base.policy[pair]
        distance = np.add.reduceat(np.abs(change), first)
        rounding = (int(length.max()) + 2) * ULP * distance
        excess = np.abs(np.add.reduceat(change, first)) + rounding
        abar = np.add.reduceat(change * base.advantage[pair], first)
        return cls(chunk.states, first, pair, change, distance, excess, abar)

    def row(self, k: int) -> slice:
        """Where a changed row lies in the flat arrays."""
        return slice(int(self.first[k]), int(self.first[k + 1]) if k + 1 < self.first.size else None)


def _visit_advantages(base: ComparisonBase, states: NDArray[np.int64], tol: float) -> Iterator[tuple[int, Any, float]]:
    """For each state find A_j, the advantage for a reward of 1 there, and the bound on its error."""
    mdp, together = base.mdp, max(1, min(MOST_SOLVED, MOST_NUMBERS // base.mdp.num_pairs))
    for begin in range(0, states.size, together):
        some = states[begin : begin + together]
        rewards = np.zeros((some.size, mdp.num_pairs))
        sums = np.empty(some.size)
        for item, state in enumerate(some):
            pairs = slice(int(mdp.pair_start[state]), int(mdp.pair_start[state + 1]))
            rewards[item, pairs] = 1.0
            sums[item] = base.policy[pairs].sum()
        shaped = rewards.reshape(some.size, *mdp.pair_shape)
        ev = evaluate(mdp, base.policy, base.setting, reward=shaped, tol=tol, raise_on_failure=False, **base.solving)
        assert isinstance(ev, Evaluation)
        for item in range(some.size):
            error = float(ev.certificate.bounds["advantage"][item]) / sums[item]
            yield begin + item, ev.advantage[item].ravel() / sums[item], error


def _own_transfers(base: ComparisonBase, changed: _Changed, tol: float) -> tuple[FloatArray, FloatArray]:
    """Find T_ii of every changed row, and the error of each."""
    states, which = np.unique(changed.state, return_inverse=True)
    order = np.argsort(which, kind="stable")
    ends = np.searchsorted(which[order], np.arange(states.size + 1))
    t, error = np.empty(changed.state.size), np.empty(changed.state.size)
    for j, advantage, bound in _visit_advantages(base, states, tol):
        begin, end = int(base.mdp.pair_start[states[j]]), int(base.mdp.pair_start[states[j] + 1])
        rows = order[ends[j] : ends[j + 1]]
        changes = changed.change[changed.first[rows][:, None] + np.arange(end - begin)]
        terms = changes * advantage[begin:end]
        t[rows] = terms.sum(axis=1)
        rounding = (end - begin + 4) * ULP
        error[rows] = changed.distance[rows] * bound + rounding * np.abs(terms).sum(axis=1)
    return t, error


def _rank_one(
    base: ComparisonBase, changed: _Changed, seen: Compared, t: FloatArray, t_error: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """Enclose rho Abar T / (1 - T), which grows with T < 1."""
    with np.errstate(divide="ignore", invalid="ignore"):
        low, high = t - t_error, t + t_error
        factor = Enclosure(low / (1.0 - low), np.where(high < 1.0, high / (1.0 - high), np.inf))
    weight = Enclosure.around(base.weight[changed.state], base.weight_error)
    weight = Enclosure(np.maximum(weight.lower, 0.0), weight.upper)
    abar = Enclosure.around(changed.abar, seen.abar_error)
    found = factor * abar * weight
    unchanged = changed.distance == 0.0
    return np.where(unchanged, 0.0, found.lower), np.where(unchanged, 0.0, found.upper)


@dataclass(frozen=True, slots=True, eq=False)
class _Transfers:
    """A_j(s, .) for all changed states j and s of some candidates."""

    number: dict[int, int]  # of each state
    advantage: list[FloatArray]  # of each j, over all pairs of the changed states, one state after the other
    error: list[float]
    first: NDArray[np.int64]

    @classmethod
    def of(cls, base: ComparisonBase, changed: _Changed, tol: float) -> _Transfers:
        states = np.unique(changed.state)
        start = base.mdp.pair_start
        pairs = np.concatenate([np.arange(start[s], start[s + 1]) for s in states])
        lengths = start[states + 1] - start[states]
        advantages, errors = [], []
        for _, advantage, error in _visit_advantages(base, states, tol):
            advantages.append(advantage[pairs])
            errors.append(error)
        first = np.concatenate([[0], np.cumsum(lengths)])
        return cls({int(s): i for i, s in enumerate(states)}, advantages, errors, first)


def _rank_few(
    base: ComparisonBase,
    changed: _Changed,
    transfers: _Transfers,
    part: slice,
    seen: Compared,
    item: int,
    horizon: Enclosure,
) -> tuple[float, float]:
    """Enclose sum_i rho(s_i) z_i for one candidate, by an approximate inverse of I - T whose residual is checked."""
    rows = range(part.start, part.stop)
    if not rows:
        return 0.0, 0.0
    states = changed.state[part]
    t, t_error = np.empty((len(rows), len(rows))), np.empty((len(rows), len(rows)))
    longest = float(np.max(horizon.upper))
    for i, row in enumerate(rows):
        change = changed.change[changed.row(row)]
        own = transfers.number[int(states[i])]
        where = slice(int(transfers.first[own]), int(transfers.first[own + 1]))
        for j, other in enumerate(states):
            number = transfers.number[int(other)]
            terms = change * transfers.advantage[number][where]
            t[i, j] = terms.sum()
            t_error[i, j] = changed.distance[row] * transfers.error[number] + changed.excess[row] * (1.0 + longest)
            t_error[i, j] += (change.size + 4) * ULP * np.abs(terms).sum()
    abar, abar_error = changed.abar[part], float(seen.abar_error[item])
    system = np.eye(len(rows)) - t
    inverse = np.linalg.inv(system)
    z = inverse @ (t @ abar)
    size = len(rows)
    arithmetic = (2 * size + 4) * ULP
    off = np.abs(np.eye(size) - inverse @ system).sum(axis=1).max()
    off += arithmetic * (np.abs(inverse) @ np.abs(system)).sum(axis=1).max()
    off += (np.abs(inverse) @ t_error).sum(axis=1).max()
    if not off < 1.0:
        return -np.inf, np.inf
    residual = np.abs(t @ abar - system @ z) + arithmetic * (np.abs(t) @ np.abs(abar) + np.abs(system) @ np.abs(z))
    residual += t_error @ (np.abs(abar) + abar_error + np.abs(z)) + np.abs(t) @ np.full(size, abar_error)
    z_error = float(np.abs(inverse).sum(axis=1).max()) / (1.0 - off) * float(residual.max())
    weight = base.weight[states]
    gap = float(weight @ z)
    error = float(weight.sum()) * z_error + base.weight_error * (float(np.abs(z).max()) + z_error)
    error += arithmetic * float(weight @ np.abs(z))
    found = Enclosure.around(gap, error)
    return float(found.lower), float(found.upper)
