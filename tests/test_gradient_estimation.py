"""Estimates of the gradient: against their exact moments, on samples that are as even as the probabilities."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import numpy as np
import pytest

import rlcore as rl
from generated_models import RawModel, model
from rlcore import reference, truncation_bias
from test_simulation import core_model

ALL = 2**15  # episodes of an even sample

# Two states, of which one can end; probabilities are fractions of 2, 4 and 8, so that some number of episodes has each
# trajectory exactly as often as its probability says.
P = np.array([[[0.5, 0.25], [0.0, 1.0]], [[0.5, 0.5], [0.25, 0.75]]])
END = 1.0 - P.sum(axis=2)
R = np.array([[1.0, -2.0], [0.5, 3.0]])
START = np.array([0.5, 0.5])
PI = np.array([[0.25, 0.75], [0.5, 0.5]])
# The derivatives of log pi by a parameter of each state, and by one that they share.
PSI = np.array([[[0.75, 0.0, 3.0], [-0.25, 0.0, -1.0]], [[0.0, 0.5, -2.0], [0.0, -0.5, 2.0]]])

MDP = rl.MDP.from_arrays(P, R, layout="SAS", termination=END, initial=START)
FAMILY = rl.Scores(PI, PSI)


def ways(state: int, steps: int) -> Iterator[tuple[float, list[int], list[int]]]:
    """Yield probability, states and actions of every way to go on from a state."""
    if steps == 0:
        yield 1.0, [state], []
        return
    for action in range(2):
        if END[state, action] > 0.0:
            yield PI[state, action] * END[state, action], [state], [action]
        for after in np.flatnonzero(P[state, action]):
            for p, states, actions in ways(int(after), steps - 1):
                yield PI[state, action] * P[state, action, after] * p, [state, *states], [action, *actions]


def even_sample(steps: int) -> rl.Trajectories:
    states, actions = [], []
    for start in range(2):
        for p, visited, taken in ways(start, steps):
            copies = START[start] * p * ALL
            assert copies == int(copies)
            states += [visited + [-1] * (steps + 1 - len(visited))] * int(copies)
            actions += [taken + [-1] * (steps - len(taken))] * int(copies)
    assert len(states) == ALL
    return rl.Trajectories.from_actions(MDP, states, actions)


SAMPLE = even_sample(3)
BASELINE = np.array([2.0, -1.0])
CRITIC = np.array([[0.5, -1.5], [2.0, 1.0]])


def exact_moments(gamma: float, **how: Any) -> reference.EstimatorMoments:
    parts = (P.tolist(), R.tolist(), PI.tolist(), PSI.tolist(), START.tolist())
    return reference.estimate_gradient(*parts, gamma, 3, **how)


@pytest.mark.parametrize("gamma", [0.0, 0.5, 0.75])
@pytest.mark.parametrize("discounted_states", [True, False])
@pytest.mark.parametrize("way", ["plain", "baseline", "critic"])
def test_moments_are_exact_on_an_even_sample(gamma: float, discounted_states: bool, way: str) -> None:
    told: dict[str, Any] = {"discounted_states": discounted_states}
    told |= {"baseline": BASELINE} if way == "baseline" else {"critic": CRITIC} if way == "critic" else {}
    estimator = "actor-critic" if way == "critic" else "reinforce"
    found = rl.estimate_gradient(MDP, FAMILY, gamma, SAMPLE, estimator=estimator, **told)
    moments = exact_moments(gamma, **{name: getattr(x, "tolist", lambda x=x: x)() for name, x in told.items()})
    mean, variance = (np.array([float(x) for x in numbers]) for numbers in (moments.mean, moments.variance))
    # Dyadic numbers of at most 40 bits are summed without rounding.
    np.testing.assert_allclose(found.gradient, mean, rtol=1e-15, atol=0)
    np.testing.assert_allclose(found.variance * (ALL - 1) / ALL, variance, rtol=1e-12, atol=1e-13)
    np.testing.assert_allclose(found.standard_error, np.sqrt(found.variance / ALL), rtol=1e-15)
    assert found.covariance is not None
    np.testing.assert_allclose(np.diag(found.covariance), found.variance, rtol=1e-11, atol=1e-12)
    off = mean - found.true_gradient
    np.testing.assert_allclose(found.bias, off, rtol=1e-13, atol=1e-15)
    assert found.mean_squared_error == pytest.approx(float(variance.sum() + off @ off), rel=1e-12)
    assert found.episodes == ALL
    direction = found.true_gradient / np.linalg.norm(found.true_gradient)
    assert found.projection == pytest.approx(float(mean @ direction), rel=1e-13)
    spread = float(direction @ found.covariance @ direction)
    assert found.projection_error == pytest.approx(np.sqrt(spread / ALL), rel=1e-10)


def test_exact_critic_and_exact_baseline_are_the_default_ones() -> None:
    values = rl.evaluate(MDP, PI, 0.75)
    told = {"estimator": "actor-critic"}
    one = rl.estimate_gradient(MDP, FAMILY, 0.75, SAMPLE, **told)  # type: ignore[arg-type]
    other = rl.estimate_gradient(MDP, FAMILY, 0.75, SAMPLE, critic=values.advantage, **told)  # type: ignore[arg-type]
    np.testing.assert_array_equal(one.gradient, other.gradient)
    one = rl.estimate_gradient(MDP, FAMILY, 0.75, SAMPLE, baseline="value")
    other = rl.estimate_gradient(MDP, FAMILY, 0.75, SAMPLE, baseline=values.value)
    np.testing.assert_array_equal(one.gradient, other.gradient)
    assert (one.variance < rl.estimate_gradient(MDP, FAMILY, 0.75, SAMPLE).variance).all()


def test_without_a_discount_the_two_ways_agree() -> None:
    one, other = (
        rl.estimate_gradient(MDP, FAMILY, rl.Episodic(), SAMPLE, discounted_states=way) for way in (True, False)
    )
    np.testing.assert_array_equal(one.gradient, other.gradient)
    assert one.truncation_bound is not None


def test_parts_are_the_whole() -> None:
    whole = rl.estimate_gradient(MDP, FAMILY, 0.5, SAMPLE)
    first = [0, 1, 3, 1000, 1024, ALL]

    def part(begin: int, end: int) -> rl.Trajectories:
        return rl.Trajectories(SAMPLE.states[begin:end], SAMPLE.pairs[begin:end], SAMPLE.lengths[begin:end])

    parts = (part(begin, end) for begin, end in pairwise(first))
    found = rl.estimate_gradient(MDP, FAMILY, 0.5, parts)
    np.testing.assert_allclose(found.gradient, whole.gradient, rtol=1e-14)
    np.testing.assert_array_equal(found.history.episodes, whole.history.episodes)


def test_history_is_that_of_the_first_episodes() -> None:
    found = rl.estimate_gradient(MDP, FAMILY, 0.5, SAMPLE)
    counts = found.history.episodes
    assert counts.tolist()[:8] == [1, 2, 3, 4, 6, 8, 12, 16]
    assert counts[-1] == ALL
    for item in (4, 10, len(counts) - 1):
        n = int(counts[item])
        few = rl.Trajectories(SAMPLE.states[:n], SAMPLE.pairs[:n], SAMPLE.lengths[:n])
        then = rl.estimate_gradient(MDP, FAMILY, 0.5, few)
        assert found.history.distance[item] == pytest.approx(np.linalg.norm(then.bias), rel=1e-12)
        np.testing.assert_allclose(found.history.mean[item], then.gradient[found.history.components], rtol=1e-12)
        np.testing.assert_allclose(
            found.history.standard_error[item], then.standard_error[found.history.components], rtol=1e-10
        )


def test_rewards_that_came_along_count() -> None:
    """Twice the rewards, twice the estimate."""
    actions = np.where(SAMPLE.pairs >= 0, SAMPLE.pairs % 2, -1)
    twice = rl.Trajectories.from_actions(MDP, SAMPLE.states, actions, 2.0 * MDP.reward.ravel()[SAMPLE.pairs])
    found, plain = (rl.estimate_gradient(MDP, FAMILY, 0.5, sample) for sample in (twice, SAMPLE))
    np.testing.assert_array_equal(found.gradient, 2.0 * plain.gradient)


# ---- against the exact gradient ----


def families(raw: RawModel) -> dict[str, Any]:
    rng = np.random.default_rng(5)
    theta = rng.normal(size=raw.pair_shape)
    return {
        "tabular": rl.TabularSoftmax(theta),
        "linear": rl.LinearSoftmax(rng.normal(size=(len(raw.reward), 3)), rng.normal(size=3)),
        "direct": rl.Direct(rl.softmax_policy(core_model(raw), theta)),
    }


@pytest.mark.parametrize("kind", ["tabular", "linear", "direct"])
@pytest.mark.parametrize("estimator", ["reinforce", "actor-critic"])
@pytest.mark.parametrize(("family", "index"), [("dense", 5), ("ragged_actions", 4), ("termination_everywhere", 3)])
def test_estimates_are_unbiased(family: str, index: int, estimator: Any, kind: str) -> None:
    """With 60 steps at a discount of 1/2 nothing is cut off; z-scores are then about normal."""
    raw = model(family, index)
    mdp = core_model(raw)
    chosen = families(raw)[kind]
    policy = chosen.on(mdp).policy
    episodes = rl.simulate(mdp, policy, episodes=20_000, steps=60, seed=11)
    found = rl.estimate_gradient(mdp, chosen, 0.5, episodes, estimator=estimator)
    assert found.truncation_bound is not None
    assert found.truncation_bound < 1e-12 * np.abs(found.true_gradient).max()
    often = found.standard_error > 0.01 * found.standard_error.max()  # those of rare pairs are not normal yet
    assert often.any()
    assert np.abs(found.z_score[often]).max() < 5.0  # each with a probability of 6e-7
    assert abs(found.projected_z_score) < 5.0
    assert found.cosine is not None
    assert found.cosine > 0.9


@pytest.mark.parametrize("setting", [rl.Discounted(0.5), rl.Discounted(0.9), rl.Episodic()])
@pytest.mark.parametrize("critic", [False, True])
@pytest.mark.parametrize("steps", [1, 3, 6])
def test_truncation_is_bounded(setting: Any, critic: bool, steps: int) -> None:
    """The exact mean over so many steps, against the exact gradient."""
    gamma = setting.gamma if isinstance(setting, rl.Discounted) else 1.0
    values = rl.evaluate(MDP, PI, setting)
    numbers = {"critic": values.advantage.tolist()} if critic else {}
    moments = reference.estimate_gradient(
        P.tolist(), R.tolist(), PI.tolist(), PSI.tolist(), START.tolist(), gamma, steps, **numbers
    )
    episodes = rl.simulate(MDP, PI, episodes=4, steps=steps, seed=8)
    estimator: Any = "actor-critic" if critic else "reinforce"
    found = rl.estimate_gradient(MDP, FAMILY, setting, episodes, estimator=estimator)
    bias = np.abs(np.array([float(x) for x in moments.mean]) - found.true_gradient).max()
    assert found.truncation_bound is not None
    assert bias <= found.truncation_bound
    assert found.truncation_bound < 200.0 * bias


def test_the_bound_is_that_of_the_shortest_cut() -> None:
    states, actions = [[0, 0, 0, 0, 0], [0, 0, -1, -1, -1]], [[0, 0, 0, 0], [0, -1, -1, -1]]
    short = rl.Trajectories.from_actions(MDP, states, actions)
    long = rl.Trajectories(short.states[:1], short.pairs[:1], short.lengths[:1])
    ended = rl.Trajectories.from_actions(MDP, [*states, [0, -1, -1, -1, -1]], [*actions, [0, -1, -1, -1]])
    bounds = [rl.estimate_gradient(MDP, FAMILY, 0.5, part, estimator="actor-critic").truncation_bound
              for part in (long, short, ended)]  # fmt: skip
    assert bounds[0] is not None
    assert bounds[1:] == [8.0 * bounds[0]] * 2


def test_the_bound_of_long_episodes_is_not_looked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    assert rl.estimate_gradient(MDP, FAMILY, rl.Episodic(), SAMPLE).truncation_bound is not None
    monkeypatch.setattr(truncation_bias, "MOST_NUMBERS", 7)
    assert rl.estimate_gradient(MDP, FAMILY, rl.Episodic(), SAMPLE).truncation_bound is None


def test_without_gamma_to_the_t_the_estimate_goes_elsewhere() -> None:
    episodes = rl.simulate(MDP, PI, episodes=100_000, steps=40, seed=2)
    right = rl.estimate_gradient(MDP, FAMILY, 0.5, episodes, estimator="actor-critic")
    practical = rl.estimate_gradient(MDP, FAMILY, 0.5, episodes, estimator="actor-critic", discounted_states=False)
    assert np.abs(right.z_score).max() < 5.0
    assert np.abs(practical.z_score).max() > 50.0
    assert practical.truncation_bound is None


def test_a_single_episode_has_no_variance() -> None:
    one = rl.simulate(MDP, PI, episodes=1, steps=3)
    found = rl.estimate_gradient(MDP, FAMILY, 0.5, one)
    assert np.isnan(found.variance).all()
    assert found.covariance is None
    assert found.episodes == 1
    assert "episodes=1, " in repr(found)


def test_many_parameters_have_no_covariance() -> None:
    mdp = rl.gallery.garnet(40, 2, 3)
    family = rl.TabularSoftmax(np.zeros((40, 2)))
    episodes = rl.simulate(mdp, rl.uniform_policy(mdp), episodes=30, steps=20)
    found = rl.estimate_gradient(mdp, family, 0.9, episodes)
    assert found.covariance is None
    assert found.gradient.shape == (40, 2)


def test_states_that_never_end_may_lie_out_of_reach() -> None:
    """Episodic: values are NaN there, and no episode comes there."""
    mdp = rl.MDP([[0.5, 0.0], [0.0, 1.0]], [1.0, 5.0], termination=[0.5, 0.0], initial=[1.0, 0.0])
    family = rl.Scores([1.0, 1.0], [[0.0], [0.0]])
    episodes = rl.simulate(mdp, [1.0, 1.0], episodes=50, steps=100)
    for estimator in ("reinforce", "actor-critic"):
        found = rl.estimate_gradient(mdp, family, rl.Episodic(), episodes, estimator=estimator)  # type: ignore[arg-type]
        assert found.gradient.tolist() == [0.0]
        assert found.truncation_bound == 0.0
        assert found.cosine is None
        assert found.z_score.tolist() == [0.0]
        assert found.projected_z_score == 0.0


# ---- wrong input ----


def stranger() -> rl.Trajectories:
    garnet = rl.gallery.garnet(9, 2, 3)
    return rl.simulate(garnet, rl.uniform_policy(garnet), episodes=20, steps=20)


WRONG: dict[str, tuple[dict[str, Any], type[Exception], str]] = {
    "average": ({"setting": rl.Average()}, rl.SettingError, "setting: estimate_gradient exists for"),
    "no episodes": ({"trajectories": []}, rl.ArgumentError, "trajectories: expected at least one episode, got none"),
    "arrays": (
        {"trajectories": [np.zeros(3)]},
        rl.ArgumentError,
        "trajectories: expected a rlcore.Trajectories, or several of them, got ndarray",
    ),
    "other model": ({"trajectories": stranger()}, rl.ArgumentError, "trajectories: expected pairs in 0 .. 3"),
    "lengths": (
        {"trajectories": rl.Trajectories(SAMPLE.states, SAMPLE.pairs, SAMPLE.lengths + 9)},
        rl.ArgumentError,
        "trajectories: expected lengths from 0 to 3, the number of steps",
    ),
    "estimator": ({"estimator": "sarsa"}, rl.ArgumentError, "estimator: expected 'reinforce' or 'actor-critic'"),
    "critic": ({"critic": CRITIC}, rl.ArgumentError, "critic: expected None, for REINFORCE has none"),
    "baseline of a critic": (
        {"estimator": "actor-critic", "baseline": BASELINE},
        rl.ArgumentError,
        "baseline: expected None, for it is part of the critic",
    ),
    "baseline": (
        {"baseline": "mean"},
        rl.ArgumentError,
        "baseline: expected 'value', a number for each state, or None",
    ),
    "short baseline": ({"baseline": [1.0]}, rl.ArgumentError, "baseline: expected 2 numbers, one for each state"),
    "infinite baseline": ({"baseline": [np.inf, 0]}, rl.ArgumentError, "baseline: expected finite numbers, got inf"),
    "infinite critic": (
        {"estimator": "actor-critic", "critic": [[1, 2], [3, np.nan]]},
        rl.ArgumentError,
        "critic: expected finite numbers, got nan",
    ),
    "direct": (
        {"family": rl.Direct(PI), "baseline": "value"},
        rl.ArgumentError,
        "baseline: expected None for Direct, whose scores 1 / pi have the mean 1, not 0",
    ),
    "other policy": (
        {"family": rl.Scores([[1.0, 0.0], [1.0, 0.0]], np.zeros((2, 2, 1)))},
        rl.ArgumentError,
        "trajectories, state 0, action 1: expected actions that the policy of the family takes",
    ),
}


@pytest.mark.parametrize("name", WRONG)
def test_what_is_refused(name: str) -> None:
    changes, error, message = WRONG[name]
    arguments = {"mdp": MDP, "family": FAMILY, "setting": 0.5, "trajectories": SAMPLE} | changes
    with pytest.raises(error) as raised:
        rl.estimate_gradient(**arguments)
    assert str(raised.value).startswith(message)
