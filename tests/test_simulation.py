"""The simulator against its exact reference, bit by bit, and against the probabilities of the model."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import scipy.sparse as sp
from scipy.stats import chi2

import rlcore as rl
from generated_models import FAMILIES, RawModel, model
from rlcore import reference
from rlcore.reference.simulation import Episode

PER_FAMILY = 12
FALSE_ALARM = 1e-6  # the probability with which a right simulator would fail a test of frequencies


def core_model(raw: RawModel) -> rl.MDP:
    termination = raw.termination if raw.termination.any() else None
    return rl.MDP(
        sp.csr_array(raw.transition),
        raw.reward,
        pair_start=raw.pair_start,
        termination=termination,
        initial=raw.initial,
    )


def exact_episodes(raw: RawModel, **draws: int) -> list[Episode]:
    return reference.simulate(
        raw.by_state(raw.transition),
        raw.by_state(raw.policy),
        raw.initial.tolist(),
        termination=raw.by_state(raw.termination),
        **draws,
    )


def episodes_of(mdp: rl.MDP, found: rl.Trajectories) -> list[Episode]:
    rows = zip(found.states, found.pairs, found.lengths, strict=True)
    return [
        Episode(states[states >= 0].tolist(), (pairs[:length] - mdp.pair_start[states[:length]]).tolist())
        for states, pairs, length in rows
    ]


def uniformly(mdp: rl.MDP, **draws: Any) -> rl.Trajectories:
    return rl.simulate(mdp, rl.uniform_policy(mdp), **draws)


def same(one: rl.Trajectories, other: rl.Trajectories) -> bool:
    return all(np.array_equal(getattr(one, name), getattr(other, name)) for name in ("states", "pairs", "lengths"))


# ---- random numbers ----


@pytest.mark.parametrize(
    ("counter", "key", "words"),
    [
        ([0] * 4, [0] * 2, "6627e8d5 e169c58d bc57ac4c 9b00dbd8"),
        ([0xFFFFFFFF] * 4, [0xFFFFFFFF] * 2, "408f276d 41c83b0e a20bc7c6 6d5451fd"),
        (
            [0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344],
            [0xA4093822, 0x299F31D0],
            "d16cfe09 94fdcceb 5001e420 24126ea1",
        ),
    ],
)
def test_philox_gives_the_published_words(counter: list[int], key: list[int], words: str) -> None:
    """The known answers of Random123, philox 4x32 10."""
    assert " ".join(f"{word:08x}" for word in reference.philox(counter, key)) == words


# ---- the same episodes as the reference ----


def test_episodes_are_those_of_the_reference(report: Callable[[str], None]) -> None:
    actions = 0
    for family in FAMILIES:
        for index in range(PER_FAMILY):
            raw = model(family, index)
            mdp = core_model(raw)
            draws = {"episodes": 3, "steps": 19, "seed": 2**64 - 1 - index, "first_episode": 2**33 * index}
            found = rl.simulate(mdp, raw.policy, **draws)  # type: ignore[arg-type]
            assert episodes_of(mdp, found) == exact_episodes(raw, **draws), raw.name
            actions += int(found.lengths.sum())
    report(f"simulation: {len(FAMILIES) * PER_FAMILY} models, {actions:,} actions drawn as the reference draws them")


def test_many_outcomes_are_drawn_as_the_reference_draws_them() -> None:
    """Hundreds of outcomes of very different probabilities, so that the guide leads to long searches."""
    rng = np.random.default_rng(0)
    weights = rng.random((2, 150)) ** 60 + 1e-300
    P = np.zeros((150, 2, 150))
    P[:] = weights / weights.sum(axis=1, keepdims=True)
    start = P[0, 0]
    mdp = rl.MDP.from_arrays(P, np.zeros(150), layout="SAS", initial=start)
    policy = np.full((150, 2), [2.0**-40, 1 - 2.0**-40])
    found = rl.simulate(mdp, policy, episodes=8, steps=5)
    exact = reference.simulate(P.tolist(), policy.tolist(), start.tolist(), episodes=8, steps=5)
    assert episodes_of(mdp, found) == exact


def test_what_is_impossible_is_never_drawn() -> None:
    mdp = rl.MDP([[0.0, 1.0, 0.0], [0.0, 0.0, 1.0], [1.0, 0.0, 0.0]], np.zeros(3), initial=[0.0, 0.0, 1.0])
    found = uniformly(mdp, episodes=500, steps=7)
    assert (found.states == [2, 0, 1, 2, 0, 1, 2, 0]).all()


def test_rows_are_normalised() -> None:
    """Rows may sum to 1 - 1e-9: what is missing goes to no outcome in particular."""
    mdp = rl.MDP([[0.5 - 1e-10, 0.5 - 1e-10]] * 2, np.zeros(2), initial=[0.5 - 1e-10] * 2)
    found = uniformly(mdp, episodes=4, steps=40)
    assert (found.lengths == 40).all()
    exact = reference.simulate([[[1, 1]]] * 2, [[1]] * 2, [1, 1], episodes=4, steps=40)
    assert episodes_of(mdp, found) == exact


# ---- one answer ----


@pytest.mark.parametrize("num_threads", [2, 3, 5])
def test_threads_change_nothing(num_threads: int) -> None:
    mdp = rl.gallery.garnet(3000, 3, 4)
    draws = {"episodes": 700, "steps": 77, "seed": 3}
    assert same(uniformly(mdp, num_threads=1, **draws), uniformly(mdp, num_threads=num_threads, **draws))


def test_episodes_in_parts_are_those_of_one_call() -> None:
    mdp = rl.gallery.random_walk(19)
    whole = uniformly(mdp, episodes=300, steps=200, seed=9)
    for first, count in ((0, 1), (1, 99), (100, 200)):
        part = uniformly(mdp, episodes=count, steps=200, seed=9, first_episode=first)
        np.testing.assert_array_equal(part.states, whole.states[first : first + count])


def test_a_shorter_episode_is_the_beginning_of_a_longer_one() -> None:
    """Also where the longer one takes more steps than are made at a stretch."""
    mdp = rl.gallery.garnet(40, 3, 4)
    long = uniformly(mdp, episodes=3, steps=40_000)
    for steps in (1, 15, 16, 17, 2**14, 2**14 + 1):
        short = uniformly(mdp, episodes=3, steps=steps)
        np.testing.assert_array_equal(short.states, long.states[:, : steps + 1])
        np.testing.assert_array_equal(short.pairs, long.pairs[:, :steps])


def test_episodes_that_end_late_stay_ended() -> None:
    """They end in every part of a run of steps, and beyond the first stretch."""
    mdp = rl.MDP([[1.0 - 2.0**-13]], [1.0], termination=[2.0**-13], initial=[1.0])
    found = uniformly(mdp, episodes=200, steps=40_000)
    time = np.arange(40_001)
    ended = found.lengths < 40_000
    assert ended.sum() > 190
    assert (found.lengths > 2**14).any()
    np.testing.assert_array_equal(found.pairs >= 0, time[:-1] < found.lengths[:, None])
    np.testing.assert_array_equal(found.states[ended] >= 0, time < found.lengths[ended, None])


def test_seeds_and_episodes_differ() -> None:
    mdp = rl.gallery.garnet(1000, 2, 4)
    one, other = (uniformly(mdp, episodes=50, steps=20, seed=seed).states for seed in (0, 1))
    assert (one == other).mean() < 0.05
    assert len(np.unique(one, axis=0)) == 50


# ---- frequencies ----


def chi_square(counts: Any, expected: Any) -> tuple[float, int]:
    """Return Pearson's statistic and its degrees of freedom, rare outcomes taken together."""
    common = expected >= 10.0
    counts = np.append(counts[common], counts[~common].sum())
    expected = np.append(expected[common], expected[~common].sum())
    kept = expected >= 10.0
    counts, expected = counts[kept], expected[kept]
    return float(((counts - expected) ** 2 / expected).sum()), max(len(counts) - 1, 0)


def assert_frequencies(tables: list[tuple[Any, Any]]) -> None:
    """Each table holds the counts of the outcomes and their probabilities."""
    parts = [chi_square(counts, counts.sum() * probabilities) for counts, probabilities in tables]
    statistic, freedom = (sum(column) for column in zip(*parts, strict=True))
    assert freedom > 0
    assert statistic < chi2.isf(FALSE_ALARM, freedom)
    assert statistic > chi2.ppf(FALSE_ALARM, freedom)  # too even would not be random either


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_transitions_have_their_probabilities(seed: int) -> None:
    mdp = rl.gallery.garnet(60, 3, 5, seed=seed)
    policy = rl.random_policy(mdp, seed)
    found = rl.simulate(mdp, policy, episodes=4000, steps=250, seed=seed)
    moves = np.zeros((mdp.num_pairs, 60))
    np.add.at(moves, (found.pairs.ravel(), found.states[:, 1:].ravel()), 1)
    P = mdp.transition.toarray()
    assert_frequencies(list(zip(moves, P, strict=True)))
    taken = moves.sum(axis=1).reshape(mdp.pair_shape)
    assert_frequencies(list(zip(taken, policy, strict=True)))
    start = np.bincount(found.states[:, 0], minlength=60)
    assert_frequencies([(start, mdp.initial)])


def test_ends_have_their_probabilities() -> None:
    raw = model("termination_everywhere", 3)
    mdp = core_model(raw)
    found = rl.simulate(mdp, raw.policy, episodes=200_000, steps=3, seed=5)
    acting = found.pairs >= 0
    ended = acting & (found.states[:, 1:] < 0)
    tables = []
    for pair in range(mdp.num_pairs):
        here = found.pairs == pair
        ends = ended[here].sum()
        if here.any():
            p = raw.termination[pair]
            tables.append((np.array([ends, here.sum() - ends]), np.array([p, 1 - p])))
    assert_frequencies(tables)


def test_times_and_episodes_are_independent() -> None:
    """Pairs of successive draws, and of neighbouring episodes, of a process that forgets everything."""
    mdp = rl.MDP(np.full((8, 8), 1 / 8), np.zeros(8), initial=np.full(8, 1 / 8))
    s = uniformly(mdp, episodes=2000, steps=255, seed=7).states
    for one, other in ((s[:, :-1], s[:, 1:]), (s[:, :-2], s[:, 2:]), (s[:-1], s[1:])):
        counts = np.bincount((8 * one + other).ravel(), minlength=64)
        assert_frequencies([(counts, np.full(64, 1 / 64))])


def test_visits_are_those_of_the_theory() -> None:
    """The mean number of visits in an episode, against its expectation (theory 3.1)."""
    mdp = rl.gallery.random_walk(7)
    policy = rl.uniform_policy(mdp)
    found = rl.simulate(mdp, policy, episodes=50_000, steps=2000, seed=1)
    assert (found.states[:, -1] < 0).all()
    visits = rl.occupancy(mdp, policy, rl.Episodic()).visits
    for state in range(7):
        counts = (found.states == state).sum(axis=1)
        error = counts.std() / np.sqrt(len(counts))
        assert abs(counts.mean() - visits[state]) < 5.5 * error  # 4e-8 for a normal number


# ---- trajectories from elsewhere ----


def test_trajectories_may_come_from_elsewhere() -> None:
    for family in ("ragged_actions", "termination_somewhere", "policy_with_zeros"):
        raw = model(family, 1)
        mdp = core_model(raw)
        drawn = rl.simulate(mdp, raw.policy, episodes=50, steps=9)
        actions = np.where(drawn.pairs >= 0, drawn.pairs - mdp.pair_start[np.maximum(drawn.states[:, :-1], 0)], -1)
        taken = rl.Trajectories.from_actions(mdp, drawn.states, actions)
        assert same(drawn, taken)
        assert taken.rewards is None


def test_rewards_come_along_but_for_what_stands_after_the_end() -> None:
    walk = rl.gallery.random_walk(3)
    states, actions = [[1, 2, -1, -1], [1, 0, 1, 0]], [[0, 0, -1], [0, 0, 0]]
    found = rl.Trajectories.from_actions(walk, states, actions, [[1.0, 2.0, np.nan], [3.0, 4.0, 5.0]])
    assert found.rewards is not None
    assert found.rewards.tolist() == [[1.0, 2.0, 0.0], [3.0, 4.0, 5.0]]
    assert found.lengths.tolist() == [2, 3]


def test_episodes_may_be_cut_off_at_different_times() -> None:
    found = rl.Trajectories.from_actions(rl.gallery.forest(), [[0, 1, 2], [0, 0, -1]], [[0, 0], [1, -1]])
    assert found.lengths.tolist() == [2, 1]


def test_repr() -> None:
    mdp = rl.gallery.forest()
    assert repr(uniformly(mdp, episodes=1200, steps=3)) == "Trajectories(episodes=1200, steps=3, actions=3600)"


# ---- long calls ----


def test_progress_and_exceptions() -> None:
    mdp = rl.gallery.garnet(1000, 3, 4)
    seen: list[rl.Progress] = []
    uniformly(mdp, episodes=20_000, steps=500, num_threads=1, progress=seen.append)
    assert seen
    assert [report.iterations for report in seen] == sorted(report.iterations for report in seen)
    assert seen[-1].iterations <= 10_000_000

    def stop(_: rl.Progress) -> None:
        raise KeyError("enough")

    with pytest.raises(KeyError, match="enough"):
        uniformly(mdp, episodes=20_000, steps=500, num_threads=1, progress=stop)
