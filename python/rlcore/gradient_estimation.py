"""Estimates of the policy gradient from episodes, judged by the exact gradient (theory 4.1)."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray

from rlcore.arguments import as_floats, as_pair_array
from rlcore.episode_estimates import (
    MOST_NUMBERS,
    MOST_STEPS,
    Estimator,
    check_part,
    cut_lengths,
    parts_of,
    weighted_pairs,
)
from rlcore.errors import ArgumentError
from rlcore.evaluation import evaluate
from rlcore.families import Family, as_family
from rlcore.family_on_model import DirectOnModel, FamilyOnModel
from rlcore.gradient import policy_gradient
from rlcore.mdp import MDP, as_mdp
from rlcore.over_actions import over_pairs
from rlcore.results import Certificate, Evaluation, FloatArray, Progress
from rlcore.settings import Discounted, Episodic, as_setting
from rlcore.simulation import Trajectories
from rlcore.truncation_bias import Bounded, truncation_bound

FEW_PARAMETERS = 64  # up to so many have a covariance matrix
FOLLOWED = 16  # components whose running means are kept

EstimatorName = Literal["reinforce", "actor-critic"]


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class GradientEstimate:
    """An estimate of the policy gradient, and what is wrong with it (theory 4.1).

    All but the numbers of episodes, the distances and the covariance have the shape of the parameters.

    Attributes
    ----------
    gradient
        The mean of the episodes' estimates.
    standard_error
        How far chance moves it: the root of variance / episodes. NaN for a single episode.
    variance
        Of one episode's estimate, each component for itself.
    covariance
        The same of all components, shape (K, K), if there are at most 64.
    true_gradient
        The exact one.
    mean_squared_error
        The mean squared distance of one episode's estimate from the exact gradient: of the squared bias and the
        variances, the sum.
    projection, projection_error
        The length of the estimate in the direction of the exact gradient, and its standard error; 0 if that is 0. One
        number of each episode, so that it is nearly normal where many components of rare pairs are not yet.
    truncation_bound
        Bounds how far cutting the episodes off moves the mean of any component; None where it is not known.
    episodes
        How many there were.
    history
        How the estimate came about.
    certificate
        Of the exact gradient.
    """

    gradient: FloatArray
    standard_error: FloatArray
    variance: FloatArray
    covariance: FloatArray | None
    true_gradient: FloatArray
    mean_squared_error: float
    projection: float
    projection_error: float
    truncation_bound: float | None
    episodes: int
    history: EstimateHistory
    certificate: Certificate

    @property
    def bias(self) -> FloatArray:
        """The estimate minus the exact gradient: what its mean is off, and what chance adds."""
        return self.gradient - self.true_gradient

    @property
    def z_score(self) -> FloatArray:
        """The bias in standard errors, to which the error of the exact gradient is added.

        Without bias these are about normal, if there are many episodes: beyond 4 hardly one in 10^4. Where episodes
        seldom come, many are not enough.
        """
        error = self.standard_error + float(self.certificate.bounds["gradient"])
        return np.divide(self.bias, error, out=np.zeros_like(error), where=self.bias != 0.0)

    @property
    def projected_z_score(self) -> float:
        """The same in the direction of the exact gradient: one number, to be trusted earlier."""
        length, size = float(np.linalg.norm(self.true_gradient)), self.true_gradient.size
        error = self.projection_error + float(self.certificate.bounds["gradient"]) * size**0.5
        return (self.projection - length) / error if self.projection != length else 0.0

    @property
    def cosine(self) -> float | None:
        """The cosine of the angle between the estimate and the exact gradient; None if one of them is 0."""
        sizes = float(np.linalg.norm(self.gradient) * np.linalg.norm(self.true_gradient))
        return float(np.vdot(self.gradient, self.true_gradient)) / sizes if sizes > 0.0 else None

    def __repr__(self) -> str:
        off, size = (float(np.linalg.norm(x)) for x in (self.bias, self.true_gradient))
        return (
            f"GradientEstimate(gradient of shape {self.gradient.shape}, episodes={self.episodes}, {off:.3g} from the "
            f"exact one, whose length is {size:.3g})"
        )


@dataclass(frozen=True, slots=True, eq=False)
class EstimateHistory:
    """The estimate from the first n episodes, for a growing n.

    Attributes
    ----------
    episodes
        n: 1, 2, 3, 4, 6, 8, 12, ..., and all, shape (N,).
    distance
        The Euclidean distance of the estimate from the exact gradient, shape (N,).
    components
        The components that are followed, those that are largest in the exact gradient, as places in the flat vector.
    mean, standard_error
        Of these, shape (N, components).
    """

    episodes: NDArray[np.int64]
    distance: FloatArray
    components: NDArray[np.int64]
    mean: FloatArray
    standard_error: FloatArray


def estimate_gradient(
    mdp: MDP,
    family: Family,
    setting: Discounted | Episodic | float,
    trajectories: Trajectories | Iterable[Trajectories],
    *,
    estimator: EstimatorName = "reinforce",
    discounted_states: bool = True,
    baseline: ArrayLike | Literal["value"] | None = None,
    critic: ArrayLike | None = None,
    tol: float = 1e-9,
    num_threads: int | None = None,
    progress: Callable[[Progress], object] | None = None,
) -> GradientEstimate:
    """Estimate the policy gradient from episodes, and hold it against the exact one.

    The mean over episodes of sum_t gamma^t psi(s_t,a_t) x_t. REINFORCE: x_t = G_t - b(s_t), with the return G_t =
    sum_{k>=t} gamma^(k-t) r_k. Actor-critic: x_t is the critic's number of the pair.

    Parameters
    ----------
    mdp
        The model. Episodes should start from its start distribution, for so does the exact gradient.
    family
        The policy and its parameters; episodes should come from this policy.
    setting
        ``Discounted(gamma)``, or just gamma; or ``Episodic()``.
    trajectories
        From `simulate` or ``Trajectories.from_actions``; or several in turn, such as a generator of parts that together
        would not fit in memory.
    estimator
        "reinforce" or "actor-critic".
    discounted_states
        False leaves out gamma^t, as is usual in practice: then the mean is the practical gradient (theory 4.5) over so
        many steps, not that of the return.
    baseline
        For REINFORCE b, shape (S,), or "value" for the exact V; None for 0. Not for `Direct`, whose scores have the
        mean 1.
    critic
        For actor-critic an estimate of Q or A, of shape ``mdp.pair_shape``; None for the exact A, or for `Direct` Q.
    tol
        The relative error asked for of the exact gradient.
    num_threads
        Threads to use for what is exact; None for one per core.
    progress
        Called with a `Progress` while that is found.

    Returns
    -------
    GradientEstimate
        ``.gradient``, ``.standard_error``, ``.variance``, ``.true_gradient``, ``.bias``, ``.z_score``, and more.

    Raises
    ------
    ArgumentError
        If there are no episodes, if they are not of the model and the policy, or if an argument does not fit the
        estimator.
    PolicyError
        If the family does not fit the model.
    ModelError
        If there is no start distribution.
    SettingError
        If the setting is neither discounted nor episodic: estimates of the average from episodes are always biased.
    ImproperPolicyError
        Episodic: if states in which the policy may stay for ever can be reached.
    ConvergenceError
        If `tol` could not be certified.

    Notes
    -----
    Theory 4.1 and 4.5; Williams 1992; Sutton, McAllester, Singh & Mansour 2000. Cutting episodes off after T steps
    leaves out terms of the size gamma^T, which ``.truncation_bound`` bounds. Rounding, some 1e-13 of the terms that are
    added, is not: chance is far larger.

    Examples
    --------
    >>> import rlcore as rl
    >>> corridor = rl.gallery.short_corridor()
    >>> family = rl.LinearSoftmax([[[0.0], [1.0]]] * corridor.num_states, [0.0])
    >>> episodes = rl.simulate(corridor, [[0.5, 0.5]] * 3, episodes=20_000, steps=1000)
    >>> found = rl.estimate_gradient(corridor, family, rl.Episodic(), episodes, baseline="value")
    >>> found.true_gradient.round(9), abs(found.z_score[0]) < 4
    (array([2.]), np.True_)
    """
    how = {
        "estimator": estimator,
        "discounted_states": discounted_states,
        "baseline": baseline,
        "critic": critic,
    }
    solving = {"tol": tol, "num_threads": num_threads, "progress": progress}
    return estimates_in_ways(mdp, family, setting, trajectories, {"": how}, **solving)[""]


def estimates_in_ways(
    mdp: MDP,
    family: Family,
    setting: Discounted | Episodic | float,
    trajectories: Trajectories | Iterable[Trajectories],
    ways: Mapping[str, Mapping[str, Any]],
    **solving: Any,
) -> dict[str, GradientEstimate]:
    """Return several estimates from the same episodes, by name; ways are arguments of `estimate_gradient`."""
    mdp = as_mdp(mdp)
    kind = as_setting(setting, "estimate_gradient", Discounted, Episodic)
    assert isinstance(kind, Discounted | Episodic)
    on_model = as_family(family).on(mdp)
    exact = policy_gradient(mdp, family, kind, **solving)
    values = evaluate(mdp, on_model.policy, kind, **solving)
    assert isinstance(values, Evaluation)
    moments = {
        name: _Moments(on_model, _estimator(on_model, kind, values, **how), exact.gradient)
        for name, how in ways.items()
    }
    for done, part in parts_of(trajectories, _stops(), _most_episodes(on_model)):
        check_part(on_model, part)
        for each in moments.values():
            each.add(part, done)
    value = Bounded(values.value, float(values.certificate.bounds["value"]))

    def bound(each: _Moments) -> float | None:
        x = _target(on_model, each.estimator, values)
        return truncation_bound(on_model, kind, each.estimator, x, value, each.cut_after())

    return {name: each.result(bound, exact.certificate) for name, each in moments.items()}


# ---- which estimate ----


def _estimator(
    family: FamilyOnModel,
    setting: Discounted | Episodic,
    values: Evaluation,
    estimator: str = "reinforce",
    discounted_states: bool = True,
    baseline: ArrayLike | None = None,
    critic: ArrayLike | None = None,
) -> Estimator:
    if estimator not in get_args(EstimatorName):
        raise ArgumentError(f"estimator: expected 'reinforce' or 'actor-critic', got {estimator!r}")
    gamma = setting.gamma if isinstance(setting, Discounted) else 1.0
    reward = family.mdp.reward.ravel()
    if estimator == "reinforce":
        if critic is not None:
            raise ArgumentError("critic: expected None, for REINFORCE has none; pass estimator='actor-critic'")
        return Estimator(gamma, discounted_states, reward, _as_baseline(family, values, baseline), None)
    if baseline is not None:
        raise ArgumentError("baseline: expected None, for it is part of the critic; pass critic=Q - b")
    return Estimator(gamma, discounted_states, reward, None, _as_critic(family, values, critic))


def _as_baseline(family: FamilyOnModel, values: Evaluation, baseline: ArrayLike | None) -> FloatArray | None:
    if baseline is None:
        return None
    if isinstance(family, DirectOnModel):
        raise ArgumentError("baseline: expected None for Direct, whose scores 1 / pi have the mean 1, not 0")
    if isinstance(baseline, str):
        if baseline != "value":
            raise ArgumentError(f"baseline: expected 'value', a number for each state, or None, got {baseline!r}")
        per_state = np.nan_to_num(values.value)
    else:
        per_state = as_floats(baseline, "baseline", ArgumentError)
        if per_state.shape != (family.mdp.num_states,):
            raise ArgumentError(
                f"baseline: expected {family.mdp.num_states} numbers, one for each state, got shape {per_state.shape}"
            )
        _check_finite(per_state, "baseline")
    return over_pairs(family.mdp, per_state)


def _as_critic(family: FamilyOnModel, values: Evaluation, critic: ArrayLike | None) -> FloatArray:
    if critic is None:
        exact = values.action_value if isinstance(family, DirectOnModel) else values.advantage
        return np.nan_to_num(exact.ravel())
    given = as_pair_array(critic, family.mdp.pair_shape, "critic", ArgumentError)
    _check_finite(given, "critic")
    return given


def _check_finite(numbers: FloatArray, argument: str) -> None:
    if not np.isfinite(numbers).all():
        raise ArgumentError(f"{argument}: expected finite numbers, got {numbers[~np.isfinite(numbers)][0]}")


def _target(family: FamilyOnModel, estimator: Estimator, values: Evaluation) -> Bounded:
    """Return what the episodes' numbers are on average: the critic, or Q; or A, where that comes to the same."""
    if estimator.critic is not None:
        return Bounded(estimator.critic, 0.0)
    name = "action_value" if isinstance(family, DirectOnModel) else "advantage"
    return Bounded(getattr(values, name).ravel(), float(values.certificate.bounds[name]))


# ---- means and variances ----


def _stops() -> Iterator[int]:
    """Yield 1, 2, 3, 4, 6, 8, 12, ...: after so many episodes the history has an entry."""
    yield 1
    power = 2
    while True:
        yield power
        yield power + power // 2
        power *= 2


def _most_episodes(family: FamilyOnModel) -> int:
    """Return how many episodes may be looked at together: dense scores make dense estimates."""
    psi = family.score_matrix()
    return max(1, MOST_NUMBERS // psi.shape[1]) if isinstance(psi, np.ndarray) else MOST_STEPS


class _Moments:
    """Sums over episodes of their estimates and of their squares."""

    def __init__(self, family: FamilyOnModel, estimator: Estimator, truth: FloatArray) -> None:
        self.estimator = estimator
        self._family, self._truth = family, truth.ravel()
        self._psi = family.score_matrix()
        size = self._truth.size
        self._sum, self._squares = np.zeros(size), np.zeros(size)
        self._products = np.zeros((size, size)) if size <= FEW_PARAMETERS else None
        self._components = np.argsort(-np.abs(self._truth), kind="stable")[:FOLLOWED]
        length = float(np.linalg.norm(self._truth))
        self._along = self._psi @ (self._truth / length if length > 0.0 else self._truth)
        self._projected, self._projected_squares = 0.0, 0.0
        self._count = 0
        self._cut = (np.iinfo(np.int64).max, 0)
        self._history: list[tuple[int, float, FloatArray, FloatArray]] = []
        self._stops = _stops()
        self._stop = next(self._stops)

    def add(self, part: Trajectories, done: int) -> None:
        """Take in the episodes of a part, after which there are so many in all."""
        weights = weighted_pairs(self.estimator, part, self._family.mdp.num_pairs)
        estimates = weights @ self._psi
        self._sum += _column_sums(estimates)
        self._squares += _column_sums(estimates, 2)
        projected = weights @ self._along
        self._projected += float(projected.sum())
        self._projected_squares += float(projected @ projected)
        if self._products is not None:
            dense = estimates if isinstance(estimates, np.ndarray) else estimates.toarray()
            self._products += dense.T @ dense
        self._count = done
        self._note_cuts(part)
        if done == self._stop:
            self._note()
            self._stop = next(self._stops)

    def cut_after(self) -> tuple[int, int]:
        """Return after how many steps episodes were cut off, at least and at most."""
        return self._cut

    def result(self, bound: Callable[[_Moments], float | None], certificate: Certificate) -> GradientEstimate:
        """Return the estimate from all episodes."""
        if self._count == 0:
            raise ArgumentError("trajectories: expected at least one episode, got none")
        if not self._history or self._history[-1][0] != self._count:
            self._note()
        mean, variance = self._mean(), self._variance()
        shape = self._family.parameter_shape
        distance = (mean - self._truth) ** 2 + (self._squares / self._count - mean * mean)
        counts, distances, means, errors = zip(*self._history, strict=True)
        history = EstimateHistory(
            np.array(counts), np.array(distances), self._components, np.stack(means), np.stack(errors)
        )
        return GradientEstimate(
            mean.reshape(shape),
            np.sqrt(variance / self._count).reshape(shape),
            variance.reshape(shape),
            self._covariance(),
            self._truth.reshape(shape),
            float(distance.sum()),
            self._projected / self._count,
            self._projection_error(),
            bound(self),
            self._count,
            history,
            certificate,
        )

    def _mean(self) -> FloatArray:
        return self._sum / self._count

    def _variance(self) -> FloatArray:
        """Return the unbiased estimate; there is none from one episode."""
        if self._count == 1:
            return np.full(self._sum.shape, np.nan)
        mean = self._mean()
        return np.maximum(self._squares - self._count * mean * mean, 0.0) / (self._count - 1)

    def _projection_error(self) -> float:
        if self._count == 1:
            return float("nan")
        spread = self._projected_squares - self._projected**2 / self._count
        return float(np.sqrt(max(spread, 0.0) / (self._count - 1) / self._count))

    def _covariance(self) -> FloatArray | None:
        if self._products is None or self._count == 1:
            return None
        mean = self._mean()
        found: FloatArray = (self._products - self._count * np.outer(mean, mean)) / (self._count - 1)
        return found

    def _note(self) -> None:
        mean, error = self._mean(), np.sqrt(self._variance() / self._count)
        distance = float(np.linalg.norm(mean - self._truth))
        self._history.append((self._count, distance, mean[self._components], error[self._components]))

    def _note_cuts(self, part: Trajectories) -> None:
        """Remember after how many steps episodes were cut off, at least; and at most, for which all steps will do."""
        least = int(cut_lengths(part).min(initial=part.steps))
        self._cut = (min(self._cut[0], least), max(self._cut[1], part.steps))


def _column_sums(matrix: Any, power: int = 1) -> FloatArray:
    """Sum powers of the entries of each column."""
    if isinstance(matrix, np.ndarray):
        return np.asarray((matrix**power).sum(axis=0))
    return np.asarray(np.bincount(matrix.indices, weights=matrix.data**power, minlength=matrix.shape[1]), np.float64)
