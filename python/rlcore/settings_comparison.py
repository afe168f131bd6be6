"""One policy, or several, in all settings that exist for them, side by side (theory 3)."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from itertools import combinations, pairwise
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from rlcore.arguments import as_batch
from rlcore.certified_sums import total_of, weighted_sum
from rlcore.enclosure import ULP
from rlcore.errors import ArgumentError, ImproperPolicyError, ModelError, PolicyError, SettingError
from rlcore.evaluation import evaluate
from rlcore.mdp import MDP, as_mdp
from rlcore.occupancy import occupancy
from rlcore.results import Evaluation, FloatArray, Occupancy, Progress
from rlcore.settings import Average, Discounted, Episodic

Quantity = Literal["start value", "objective"]

MOST_RANKED = 8  # policies whose order is written


@dataclass(frozen=True, slots=True, eq=False)
class InSetting:
    """What a policy is in one setting (theory 3.1-3.3).

    For a batch of policies every number has a leading axis of as many items. All numbers are None where the setting
    does not exist, and ``reason`` says why.

    Attributes
    ----------
    setting
        The setting.
    state
        d, shape (S,), as `rlcore.occupancy` has it: with termination a discounted d sums to less than 1.
    share
        d / sum d, shape (S,): the share of its steps that the process spends in each state.
    start_value
        rho0^T V; None in `Average`.
    objective
        J = sum_s d(s) V(s); in `Average` the gain, rho0^T g.
    mean_reward
        sum_s share(s) r_pi(s): the reward of a step, on average. In `Average` the gain; without termination
        (1 - gamma) times the start value.
    distance
        The total variation distance of ``share`` from that of the last setting that exists, 1/2 of the L1 distance;
        None if neither `Episodic` nor `Average` exists.
    bounds
        Proven bounds on the errors of all of these, by name; for ``state`` and ``share`` in the L1 norm.
    reason
        Why the setting does not exist for the policy, or None.
    """

    setting: Discounted | Episodic | Average
    state: FloatArray | None
    share: FloatArray | None
    start_value: Any
    objective: Any
    mean_reward: Any
    distance: Any
    bounds: Mapping[str, Any]
    reason: str | None = None

    @property
    def gain(self) -> Any:
        """The average reward, rho0^T g, where it exists: in `Average`."""
        return self.mean_reward if isinstance(self.setting, Average) else None


@dataclass(frozen=True, slots=True, eq=False)
class Ranking:
    """Several policies in the order of one quantity in one setting.

    Attributes
    ----------
    setting, quantity
        What they are ranked by: "start value" or "objective".
    value, bound
        Its value for each policy and the proven bound on its error, shape (B,).
    order
        Their numbers, the best first, shape (B,).
    """

    setting: Discounted | Episodic | Average
    quantity: Quantity
    value: FloatArray
    bound: FloatArray
    order: NDArray[np.int64]

    def surely_better(self, policy: int) -> NDArray[np.bool_]:
        """Return for each policy whether it is proven to be worse than this one: the enclosures do not touch."""
        # Differences of neighbouring doubles are exact; others are far above their rounding.
        found: NDArray[np.bool_] = self.value[policy] - self.value > (self.bound[policy] + self.bound) * (1.0 + 4 * ULP)
        return found

    def __str__(self) -> str:
        """Return the order, with > where it is proven and ? where the enclosures overlap: 2 > 0 ? 1."""
        first = self.order[:MOST_RANKED].tolist()
        text = str(first[0])
        for better, worse in pairwise(first):
            text += f" {'>' if self.surely_better(better)[worse] else '?'} {worse}"
        return text + (" ..." if self.order.size > MOST_RANKED else "")


@dataclass(frozen=True, slots=True, eq=False)
class Disagreement:
    """Two rankings that are proven to differ.

    Attributes
    ----------
    first, second
        The rankings.
    pairs
        How many pairs of policies the one proves to be in one order and the other in the opposite one.
    example
        One of them: the first ranking puts the first of the two policies higher, the second ranking the other.
    """

    first: Ranking
    second: Ranking
    pairs: int
    example: tuple[int, int]

    def __str__(self) -> str:
        one, other = self.example
        return (
            f"by {self.first.quantity} in {self.first.setting!r} policy {one} is better than {other}, "
            f"by {self.second.quantity} in {self.second.setting!r} it is worse"
        )


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class SettingsComparison:
    """A policy, or several, in all settings (theory 3).

    Attributes
    ----------
    rows
        One `InSetting` for each setting: the discounted ones in rising order of gamma, `Episodic`, `Average`.
    num_policies
        How many policies were compared; None for one that is not in a batch.
    """

    rows: tuple[InSetting, ...]
    num_policies: int | None

    @property
    def limit(self) -> InSetting | None:
        """The row to which the discounted ones tend as gamma -> 1: `Episodic` or `Average`, if one of them exists."""
        return _limit_of(self.rows)

    @property
    def rankings(self) -> tuple[Ranking, ...]:
        """For a batch, the order of the policies by each quantity in each setting that exists for all of them."""
        if self.num_policies is None:
            return ()
        found = []
        for row in self.rows:
            quantities: tuple[tuple[Quantity, str], ...] = (("start value", "start_value"), ("objective", "objective"))
            for quantity, name in quantities:
                value = getattr(row, name)
                if value is not None:
                    order = np.argsort(-value, kind="stable")
                    found.append(Ranking(row.setting, quantity, value, np.asarray(row.bounds[name]), order))
        return tuple(found)

    @property
    def disagreements(self) -> tuple[Disagreement, ...]:
        """For a batch, the pairs of rankings that put some two policies in opposite orders, beyond all errors."""
        found = []
        for first, second in combinations(self.rankings, 2):
            pairs, example = 0, None
            for policy in range(first.value.size):
                worse = first.surely_better(policy)
                better = (second.value - second.value[policy]) > (second.bound + second.bound[policy]) * (1.0 + 4 * ULP)
                opposed = worse & better
                pairs += int(np.count_nonzero(opposed))
                if example is None and pairs:
                    example = (policy, int(opposed.argmax()))
            if example is not None:
                found.append(Disagreement(first, second, pairs, example))
        return tuple(found)

    def to_dict(self) -> dict[str, list[Any]]:
        """Return the table as columns of plain numbers, which ``pandas.DataFrame`` takes as they are.

        A line is a setting; for a batch, a setting and a policy. What does not exist is None. Distributions are left
        out.
        """
        numbers = ("start_value", "objective", "mean_reward", "distance")
        columns: dict[str, list[Any]] = {"setting": [], "gamma": []}
        if self.num_policies is not None:
            columns["policy"] = []
        columns |= {name + more: [] for name in numbers for more in ("", "_bound")} | {"reason": []}
        for row in self.rows:
            for policy in [None] if self.num_policies is None else range(self.num_policies):
                line: dict[str, Any] = {"setting": name_of(row.setting), "gamma": getattr(row.setting, "gamma", None)}
                if policy is not None:
                    line["policy"] = policy
                for name in numbers:
                    line[name] = _plain(getattr(row, name), policy)
                    line[name + "_bound"] = _plain(row.bounds.get(name), policy)
                line["reason"] = row.reason
                for key, value in line.items():
                    columns[key].append(value)
        return columns

    def __repr__(self) -> str:
        lines = [("setting", *(_TITLES if self.num_policies is None else ("by start value", "by J")))]
        lines += [(_heading(row), *self._cells(row)) for row in self.rows if row.reason is None]
        widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
        batch = self.num_policies is not None
        rows = [
            "  ".join(
                cell.ljust(width) if batch or not place else cell.rjust(width)
                for place, (cell, width) in enumerate(zip(line, widths, strict=True))
            ).rstrip()
            for line in lines
        ]
        return "\n".join([*rows, *(f"no {row.setting!r}: {row.reason}" for row in self.rows if row.reason)])

    def _cells(self, row: InSetting) -> tuple[str, ...]:
        if self.num_policies is None:
            return tuple(_shown(x) for x in (row.start_value, row.objective, row.mean_reward, row.distance))
        by = {ranking.quantity: str(ranking) for ranking in self.rankings if ranking.setting == row.setting}
        return by.get("start value", "-"), by.get("objective", "-")


_TITLES = ("start value", "J", "reward a step", "distance")


def compare_settings(
    mdp: MDP,
    policy: ArrayLike,
    gammas: Iterable[Discounted | float] = (0.9, 0.99, 0.999),
    *,
    tol: float = 1e-9,
    num_threads: int | None = None,
    progress: Callable[[Progress], object] | None = None,
) -> SettingsComparison:
    """Put a policy's distributions and objectives in all settings side by side.

    J = sum_s d(s) M(s). Discounted: d_gamma = (1 - gamma) rho and M = V, which is not the start value rho0^T V and can
    rank policies differently. Episodic: d = e / sum e and M = v. Average: d is the stationary distribution and M the
    reward, so J is the gain. As gamma -> 1, d_gamma / sum d_gamma tends to the d of the setting without discount.

    Parameters
    ----------
    mdp
        The model, with a start distribution.
    policy
        pi(a|s) of shape ``mdp.pair_shape``, or a batch ``(B, *pair_shape)`` of policies to be ranked.
    gammas
        The discount factors, in any order, each in [0, 1).
    tol
        The relative error asked for, of values and of visits; 0 for the best attainable.
    num_threads
        Threads to use; None for one per core. Every number gives bitwise the same answer.
    progress
        Called with a `Progress` some twenty times a second.

    Returns
    -------
    SettingsComparison
        ``.rows``, one for each setting, with ``.state``, ``.share``, ``.start_value``, ``.objective``,
        ``.mean_reward``, ``.distance``, ``.bounds``, or the ``.reason`` why the setting does not exist: `Episodic`
        exists if the process surely ends, `Average` if it never does; for a batch, under each of its policies.
        ``.rankings`` and ``.disagreements`` of a batch; ``.to_dict()``.

    Raises
    ------
    ModelError
        If the model has no start distribution.
    PolicyError
        If the policy has the wrong shape or is not a distribution in every state.
    SettingError
        If a gamma is not in [0, 1).
    ArgumentError
        If `gammas` are no list of numbers.
    ConvergenceError
        If `tol` could not be certified; ``.result`` holds the best answer of that setting.

    Notes
    -----
    Theory 3.1-3.4; Sutton & Barto 2018, 9.2 and 10.3-10.4.

    Examples
    --------
    >>> import rlcore as rl
    >>> mdp = rl.gallery.short_corridor()
    >>> found = rl.compare_settings(mdp, rl.uniform_policy(mdp), [0.9, 0.99])
    >>> [round(float(row.distance), 4) for row in found.rows if row.reason is None]
    [0.05, 0.005, 0.0]
    >>> found.limit.setting, round(found.limit.start_value, 9)
    (Episodic(), -12.0)
    """
    mdp = as_mdp(mdp)
    settings = _as_settings(gammas)
    policies, lead = as_batch(policy, mdp.pair_shape, "policy", PolicyError)
    if mdp.initial is None:
        raise ModelError(
            "initial: compare_settings needs a start distribution, and the model has none; "
            "make it with initial=p or mdp.with_initial(p)"
        )
    solving: dict[str, Any] = {"tol": tol, "num_threads": num_threads, "progress": progress}
    rows = [_in_setting(mdp, policies, setting, solving) for setting in settings]
    limit = _limit_of(rows)
    return SettingsComparison(tuple(_with_distance(row, limit) for row in rows), lead[0] if lead else None)


def name_of(setting: Discounted | Episodic | Average) -> str:
    """Return the kind of a setting in one word."""
    return type(setting).__name__.lower()


def _limit_of(rows: Iterable[InSetting]) -> InSetting | None:
    return next((row for row in rows if not isinstance(row.setting, Discounted) and row.reason is None), None)


def _as_settings(gammas: Any) -> list[Discounted | Episodic | Average]:
    if isinstance(gammas, str) or not isinstance(gammas, Iterable):
        raise ArgumentError(f"gammas: expected a list of discount factors, got {gammas!r}")
    discounted = {one if isinstance(one, Discounted) else Discounted(one) for one in gammas}
    return [*sorted(discounted, key=lambda setting: setting.gamma), Episodic(), Average()]


def _in_setting(
    mdp: MDP, policies: FloatArray, setting: Discounted | Episodic | Average, solving: dict[str, Any]
) -> InSetting:
    """Solve in one setting; everything but the two solves is arithmetic with bounds."""
    try:
        found = occupancy(mdp, policies, setting, **solving)
    except (ImproperPolicyError, SettingError) as error:
        return InSetting(setting, None, None, None, None, None, None, {}, str(error))
    assert isinstance(found, Occupancy)
    d, d_bound = found.state, found.certificate.bounds["state"]
    share, share_bound = _share(d, d_bound)
    mean, mean_bound = _mean_reward(mdp, found)
    bounds = {"state": d_bound, "share": share_bound, "mean_reward": mean_bound}
    if isinstance(setting, Average):
        return InSetting(setting, d, share, None, mean, mean, None, bounds | {"objective": mean_bound})
    evaluation = evaluate(mdp, policies, setting, **solving)
    assert isinstance(evaluation, Evaluation)
    value, value_bound = evaluation.value, evaluation.certificate.bounds["value"]
    objective, objective_bound = map(_number, weighted_sum(d, d_bound, value, value_bound))
    bounds |= {"start_value": evaluation.certificate.bounds["start_value"], "objective": objective_bound}
    return InSetting(setting, d, share, evaluation.start_value, objective, mean, None, bounds)


def _share(d: FloatArray, bound: Any) -> tuple[FloatArray, Any]:
    """Form d / sum d: |d/m - d^/m^|_1 <= 2 |d - d^|_1 / m, and m >= m^ - |d - d^|_1."""
    mass, rounding = total_of(d)
    share = d / mass[..., None]
    share.setflags(write=False)
    return share, _number(2.0 * bound / np.maximum(mass - bound, np.finfo(float).tiny) + rounding + 4 * ULP)


def _mean_reward(mdp: MDP, found: Occupancy) -> tuple[Any, Any]:
    """Form sum d(s) pi(a|s) r(s,a) / sum d: the error of the shares times the largest reward, and rounding."""
    pair = found.pair.reshape(*found.state.shape[:-1], -1)
    share, bound = _share(pair, found.certificate.bounds["pair"])
    reward = mdp.reward.ravel()
    largest = float(np.abs(reward).max())
    mean, rounding = total_of(share * reward)
    return _number(mean), _number((bound + (rounding + 4 * ULP) * (1.0 + bound)) * largest)


def _with_distance(row: InSetting, limit: InSetting | None) -> InSetting:
    if limit is None or row.share is None or limit.share is None:
        return row
    if row is limit:
        zero: Any = 0.0 if row.share.ndim == 1 else np.zeros(len(row.share))
        distance = bound = zero
    else:
        apart, rounding = total_of(np.abs(row.share - limit.share))
        distance = _number(0.5 * apart)
        bound = _number(0.5 * (row.bounds["share"] + limit.bounds["share"]) + (rounding + 4 * ULP))
    return replace(row, distance=distance, bounds={**row.bounds, "distance": bound})


def _number(x: Any) -> Any:
    """Return a number of one policy as a float, those of a batch as they are."""
    return float(x) if np.ndim(x) == 0 else x


def _plain(x: Any, policy: int | None) -> float | None:
    return None if x is None else float(x if policy is None else x[policy])


def _shown(x: float | None) -> str:
    return "-" if x is None else f"{x:.8g}"


def _heading(row: InSetting) -> str:
    return f"gamma = {row.setting.gamma!r}" if isinstance(row.setting, Discounted) else name_of(row.setting)
