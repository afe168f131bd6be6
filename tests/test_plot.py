"""Pictures: what the axes hold, what is refused, and how everything looks.

The pictures in tests/pictures are compared, but for their letters, with a tolerance that forgives another version of
Matplotlib and no other data. `python tests/test_plot.py` draws them anew; look at each before keeping it.
"""

from __future__ import annotations

import importlib.util
import subprocess
import sys
import types
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")

import numpy as np
import pytest
from matplotlib import colormaps, image
from matplotlib import pyplot as plt
from matplotlib.figure import Figure
from matplotlib.text import Text

import rlcore as rl
from rlcore import plot
from rlcore.grids import directions, ended_states, grid_of

ROOT = Path(__file__).parents[1]
PICTURES = Path(__file__).parent / "pictures"


@pytest.fixture(autouse=True)
def no_figure_is_left() -> Iterator[None]:
    plt.close("all")
    yield
    plt.close("all")


# ---- models ----


def windy_lake() -> rl.MDP:
    """Return a 3 by 4 grid with a wall in (1, 1), a hole in (1, 3) and a goal in (0, 3); a move goes as it should."""
    cells = [(row, column) for row in range(3) for column in range(4) if (row, column) != (1, 1)]
    over = {(1, 3): -1.0, (0, 3): 1.0}
    moves = {"up": (-1, 0), "right": (0, 1), "down": (1, 0), "left": (0, -1)}
    P, r, end = np.zeros((11, 4, 11)), np.zeros((11, 4)), np.zeros((11, 4))
    for s, (row, column) in enumerate(cells):
        for a, (down, right) in enumerate(moves.values()):
            target = (row + down, column + right)
            target = target if target in cells else (row, column)
            if (row, column) in over:
                end[s, a] = 1.0
            elif target in over:
                end[s, a], r[s, a] = 1.0, over[target]
            else:
                P[s, a, cells.index(target)] = 1.0
    start = np.eye(11)[cells.index((2, 0))]
    labels = {"state_labels": cells, "action_labels": tuple(moves)}
    return rl.MDP.from_arrays(P, r, layout="SAS", termination=end, initial=start, **labels)


def walk() -> rl.MDP:
    P = 0.5 * (np.eye(5, k=1) + np.eye(5, k=-1))
    ending = 1.0 - P.sum(axis=1)
    return rl.MDP(P, ending * [0, 0, 0, 0, 1], termination=ending, initial=np.eye(5)[2], state_labels="ABCDE")


def ring(S: int) -> rl.MDP:
    return rl.MDP(0.3 * np.eye(S) + 0.7 * np.roll(np.eye(S), 1, axis=1), np.arange(S), initial=np.full(S, 1 / S))


def anonymous(S: int, A: int) -> rl.MDP:
    return rl.gallery.garnet(S, A, min(3, S), seed=2)


def careful(mdp: rl.MDP) -> Any:
    """Return a policy that prefers what uniform play likes best, but does everything sometimes."""
    return rl.epsilon_greedy_policy(mdp, rl.evaluate(mdp, rl.uniform_policy(mdp), 0.9), 0.2)


def reports(rate: float = 0.5) -> list[rl.Progress]:
    return [rl.Progress("span iteration", 10 * k, 10.0 ** (-rate * k), 1e-9) for k in range(12)]


def parts(ax: Any, label: str) -> list[Any]:
    """Return what is drawn under a name: the shapes of collections, or the texts."""
    shapes = [path for each in ax.collections if each.get_label() == label for path in each.get_paths()]
    return shapes + [text.get_text() for text in ax.texts if text.get_label() == label]


# ---- grids ----


def test_grid_with_a_wall() -> None:
    grid = grid_of(windy_lake())
    assert grid is not None
    assert grid.state.tolist() == [[0, 1, 2, 3], [4, -1, 5, 6], [7, 8, 9, 10]]
    assert grid.origin == (0, 0)
    assert (grid.rows, grid.columns) == (3, 4)
    assert grid.places()[6].tolist() == [1, 3]
    spread = grid.spread(np.arange(11.0))
    assert np.isnan(spread[1, 1])
    assert spread[2, 3] == 10.0


def test_labels_may_come_in_any_order_and_begin_anywhere() -> None:
    labels = [(7, -1), (6, 0), (6, -1), (7, 0)]
    grid = grid_of(rl.MDP(np.eye(4), np.zeros(4), state_labels=labels))
    assert grid is not None
    assert grid.state.tolist() == [[2, 1], [0, 3]]
    ax = plot.value(rl.MDP(np.eye(4), np.ones(4), state_labels=labels), np.arange(4.0))
    ax.figure.canvas.draw()
    assert [tick.get_text() for tick in ax.get_yticklabels()] == ["6", "7"]
    assert [tick.get_text() for tick in ax.get_xticklabels()] == ["-1", "0"]


@pytest.mark.parametrize(
    "labels", [None, "ABCD", [(0, 0), (0, 1), (1, 0), "x"], [(0, 0), (0, 9), (9, 0), (9, 9)], [(0.5, 0), 1, 2, 3]]
)
def test_no_grid(labels: Any) -> None:
    assert grid_of(rl.MDP(np.eye(4), np.zeros(4), state_labels=labels)) is None


def test_where_all_is_over() -> None:
    assert np.flatnonzero(ended_states(windy_lake())).tolist() == [3, 6]
    resting = rl.MDP(np.eye(3), [0, 1, 0], state_labels="abc")  # staying without reward is an end too
    assert ended_states(resting).tolist() == [True, False, True]
    assert directions(windy_lake()) == {0: (-1, 0), 1: (0, 1), 2: (1, 0), 3: (0, -1)}


# ---- value ----


def test_heat_map_holds_the_values() -> None:
    mdp = rl.gallery.gridworld()
    ev = rl.evaluate(mdp, rl.uniform_policy(mdp), 0.9)
    ax = plot.value(mdp, ev)
    (picture,) = ax.images
    assert np.array_equal(picture.get_array(), ev.value.reshape(5, 5))
    assert picture.get_clim() == (ev.value.min(), ev.value.max())
    assert (ax.get_xlabel(), ax.get_ylabel(), ax.get_title()) == ("column", "row", "")
    assert [text.get_text() for text in ax.texts][:2] == ["3.31", "8.79"]
    assert len(ax.texts) == 25
    (bar,) = ax.child_axes
    assert bar.get_ylabel() == "value $V(s)$"


def test_what_is_over_has_no_colour_and_no_number() -> None:
    mdp = windy_lake()
    ax = plot.value(mdp, np.arange(11.0) - 5.0, policy=rl.uniform_policy(mdp))
    table = ax.images[0].get_array()
    assert np.argwhere(table.mask).tolist() == [[0, 3], [1, 1], [1, 3]]
    assert len(ax.texts) == 9
    assert len(parts(ax, "_ended")) == 2
    assert len(parts(ax, "_walls")) == 1
    assert len(parts(ax, "_arrows")) == 9 * 4


def test_numbers_have_the_digits_that_matter() -> None:
    mdp = rl.MDP(np.eye(3), np.ones(3), state_labels=[(0, 0), (0, 1), (0, 2)])

    def written(x: Any) -> list[str]:
        return [text.get_text() for text in plot.value(mdp, x).texts]

    assert written([1.0, -2.5, 0.0]) == ["1.00", "−2.50", "0"]
    assert written([0.123456, 3e-5, 1e-17]) == ["0.123", "3e-5", "0"]
    assert written([12345.6, -1.0, 99.9]) == ["12346", "−1", "100"]
    ax = plot.value(mdp, [1.5e-7, 0.0, 3e-7])
    assert [text.get_text() for text in ax.texts] == ["1.50", "0", "3.00"]
    assert ax.child_axes[0].get_ylabel() == "value $V(s)$; in cells, $10^{-7}$"


def test_no_numbers_where_there_is_no_room() -> None:
    mdp = rl.gallery.slippery_grid(13)
    assert not plot.value(mdp, np.arange(169.0)).texts
    small = rl.gallery.slippery_grid(12)
    figure = Figure(figsize=(1.0, 1.0))
    assert not plot.value(small, np.arange(144.0), figure.add_subplot()).texts


def test_values_without_a_grid() -> None:
    mdp = rl.gallery.forest()
    ax = plot.value(mdp, [1.0, -2.0, 3.0])
    assert [bar.get_height() for bar in ax.patches] == [1.0, -2.0, 3.0]
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("state $s$", "value $V(s)$")
    large = anonymous(1000, 2)
    V = np.linspace(0.0, 1.0, 1000)
    (points,) = plot.value(large, V).collections
    assert np.array_equal(points.get_offsets()[:, 1], V)


def test_colours_tell_the_likeliest_action() -> None:
    mdp = rl.gallery.forest(4)
    ax = plot.value(mdp, np.arange(4.0), policy=[[1, 0], [0, 1], [0.5, 0.5], [0.3, 0.7]])
    wait, cut, several, again = [bar.get_facecolor() for bar in ax.patches]
    assert cut == again
    assert len({wait, cut, several}) == 3
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["wait", "cut", "several"]
    many = anonymous(5, 9)
    ax = plot.value(many, np.arange(5.0), policy=rl.deterministic_policy(many, [0, 8, 3, 3, 1]))
    assert ax.get_legend() is None
    assert ax.child_axes[0].get_ylabel() == "likeliest action $a$"


# ---- policy ----


def test_an_arrow_for_every_action_that_is_taken() -> None:
    mdp = windy_lake()
    actions = [1, 1, 1, 0, 0, 0, 0, 0, 1, 0, 3]
    ax = plot.policy(mdp, rl.deterministic_policy(mdp, actions))
    arrows = parts(ax, "_arrows")
    assert len(arrows) == 9  # two states are over
    tip = arrows[0].vertices[3]
    assert np.allclose(tip, (0.4, 0.0))  # of the state (0, 0), to the right
    assert np.allclose(arrows[3].vertices[3], (0.0, 0.6))  # of (1, 0), upwards


def test_the_area_of_an_arrow_is_its_probability() -> None:
    mdp = rl.MDP.from_arrays(
        np.full((2, 4, 2), 0.5),
        np.ones((2, 4)),
        layout="SAS",
        state_labels=[(0, 0), (0, 1)],
        action_labels=["north", "east", "south", "stay"],
    )
    ax = plot.policy(mdp, [[0.5, 0.3, 0.2, 0.0], [0.0, 0.0, 0.4, 0.6]])
    shapes = [np.asarray(path.vertices) for path in parts(ax, "_arrows")]
    assert len(shapes) == 5
    areas = [area(shape) for shape in shapes]
    assert np.allclose(np.array(areas[:4]) / areas[0], [1.0, 0.6, 0.4, 0.8])
    assert np.allclose(shapes[4].mean(axis=0), (1.0, 0.0), atol=0.01)  # staying is a disc in the middle


def area(outline: Any) -> float:
    x, y = outline[:, 0], outline[:, 1]
    return 0.5 * abs(float(np.sum(x * np.roll(y, 1) - y * np.roll(x, 1))))


def test_large_grids_have_an_arrow_for_each_block() -> None:
    mdp = rl.gallery.slippery_grid(50)
    east = rl.deterministic_policy(mdp, np.full(2500, 2))
    assert len(parts(plot.policy(mdp, east), "_arrows")) == 25**2
    assert parts(plot.policy(mdp, rl.uniform_policy(mdp)), "_arrows") == []  # no direction on average


def test_bars_of_a_policy() -> None:
    mdp = rl.gallery.forest()
    ax = plot.policy(mdp, [[1, 0], [0.25, 0.75], [0.5, 0.5]])
    heights = [bar.get_height() for bar in ax.patches]
    assert heights == [1.0, 0.25, 0.5, 0.0, 0.75, 0.5]
    assert [bar.get_y() for bar in ax.patches][3:] == [1.0, 0.25, 0.5]
    assert ax.get_ylabel() == "probability $\\pi(a|s)$"
    many = anonymous(200, 2)
    assert len(plot.policy(many, rl.uniform_policy(many)).patches) == 2  # one outline for each action


def test_bars_of_very_many_states_are_averages() -> None:
    mdp = anonymous(2501, 2)
    p = np.linspace(0.0, 1.0, 2501)
    first = plot.policy(mdp, np.stack([p, 1 - p], axis=1)).patches[0].get_data()
    assert first.values.size == 834
    assert first.values[0] == pytest.approx(p[:3].mean())
    assert first.values[-1] == pytest.approx(p[2499:].mean())
    assert first.edges[[0, -1]].tolist() == [-0.5, 2500.5]


def test_many_actions_and_actions_that_not_all_states_have() -> None:
    transition = np.tile([[0.5, 0.5]], (12, 1))
    mdp = rl.MDP(transition, np.zeros(12), pair_start=[0, 11, 12])
    table = plot.policy(mdp, rl.uniform_policy(mdp)).images[0].get_array()
    assert table.shape == (11, 2)
    assert table[0, 1] == 1.0
    assert table.mask[1:, 1].all()


# ---- occupancies and distributions ----


def test_occupancy_of_a_grid() -> None:
    mdp = windy_lake()
    occ = rl.occupancy(mdp, rl.uniform_policy(mdp), 0.9)
    ax = plot.occupancy(mdp, occ, log=False)
    grid = grid_of(mdp)
    assert grid is not None
    table = ax.images[0].get_array()
    assert np.array_equal(table.compressed(), np.delete(occ.state, [3, 6]))
    assert ax.child_axes[0].get_ylabel() == "occupancy $d(s)$"
    assert plot.occupancy(mdp, occ.visits).child_axes[0].get_ylabel() == "discounted visits $\\rho(s)$"


def test_scale_of_an_occupancy() -> None:
    mdp = anonymous(4, 2)
    even, uneven = np.full(4, 0.25), np.array([0.9, 0.0, 1e-4, 1e-12])
    assert plot.occupancy(mdp, even).get_yscale() == "linear"
    ax = plot.occupancy(mdp, uneven)
    assert ax.get_yscale() == "log"
    assert ax.get_ylim()[0] == pytest.approx(0.9e-6 / 1.5)
    assert plot.occupancy(mdp, uneven, log=False).get_yscale() == "linear"
    assert plot.occupancy(mdp, even, log=True).get_yscale() == "log"
    grid = rl.gallery.slippery_grid(2)
    picture = plot.occupancy(grid, uneven).images[0]
    assert picture.get_array().mask.tolist() == [[False, True], [False, False]]
    assert picture.norm.vmin == pytest.approx(0.9e-6)
    plot.occupancy(grid, np.zeros(4), log=True).figure.canvas.draw()  # nothing is visited


def test_distribution_over_time() -> None:
    mdp = rl.gallery.queue(5)
    rows = rl.state_distribution(mdp, rl.uniform_policy(mdp), 7)
    ax = plot.state_distribution(mdp, rows, log=False)
    assert np.array_equal(ax.images[0].get_array(), rows.T)
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("time $t$", "state $s$")


def test_distribution_on_a_grid() -> None:
    mdp = rl.gallery.slippery_grid(4)
    rows = rl.state_distribution(mdp, rl.uniform_policy(mdp), 100)
    ax = plot.state_distribution(mdp, rows)
    assert [text.get_text() for text in ax.texts] == [f"$t = {t}$" for t in (0, 1, 2, 5, 10, 22, 46, 100)]
    ax = plot.state_distribution(mdp, rows, times=[0, 100], log=False)
    assert np.array_equal(ax.images[1].get_array(), rows[100].reshape(4, 4))
    assert ax.images[0].get_clim() == ax.images[1].get_clim()
    walled = plot.state_distribution(GRID, np.full((3, 11), 1 / 11))
    assert len(parts(walled, "_walls")) == 3


# ---- convergence ----


def test_convergence() -> None:
    first = [rl.Progress("span iteration", n, 1.0 / n, 1e-9) for n in (10, 20)]
    second = [rl.Progress("Krylov", n, 1e-3 / n, 1e-9) for n in (1, 5)]
    ax = plot.convergence(first + second)
    assert (ax.get_xlabel(), ax.get_ylabel(), ax.get_yscale()) == ("iterations", "estimated relative error", "log")
    span, krylov, target = ax.lines
    assert span.get_xdata().tolist() == [10.0, 20.0]
    assert krylov.get_xdata().tolist() == [21.0, 25.0]
    assert krylov.get_ydata().tolist() == [1e-3, 2e-4]
    assert list(target.get_ydata()) == [1e-9, 1e-9]
    names = [text.get_text() for text in ax.get_legend().get_texts()]
    assert names == ["span iteration", "Krylov", "asked for: 1e-9"]
    assert len(plot.convergence({"a": first, "b": second}).lines) == 3


# ---- improvement ----


def line_to(step: float = 0.4) -> tuple[rl.MDP, Any, Any]:
    mdp = rl.gallery.forest()
    policy = rl.uniform_policy(mdp)
    better = rl.greedy_policy(mdp, rl.evaluate(mdp, policy, 0.9))
    return mdp, policy, rl.mixture_policy(policy, better, step)


def test_improvement_along_a_line() -> None:
    mdp, policy, candidate = line_to()
    ax = plot.improvement(mdp, policy, candidate, 0.9, bounds=["cpo_tv", "span_107"], steps=[0.0, 0.5, 1.0])
    lines = {line.get_label(): np.asarray(line.get_ydata()) for line in ax.lines}
    mixed = np.stack([rl.mixture_policy(policy, candidate, a) for a in (0.0, 0.5, 1.0)])
    found = rl.check_improvement(mdp, policy, mixed, 0.9, bounds="cpo_tv,span_107")
    assert list(lines) == ["cpo_tv", "span_107", "surrogate L", "return (exact)", "return of the policy"]
    assert np.array_equal(lines["return (exact)"], found.eta_new)
    assert np.array_equal(lines["surrogate L"], found.surrogate)
    assert np.array_equal(lines["cpo_tv"], found.bounds["cpo_tv"].lower)
    assert (lines["span_107"] <= lines["return (exact)"]).all()
    assert ax.get_ylabel() == "return"
    assert plot.improvement(mdp, policy, candidate, rl.Average()).get_ylabel() == "gain"


def estimates(gamma: float = 0.9, seed: int = 0) -> dict[str, rl.GradientEstimate]:
    """Return an estimate that converges to the gradient, and one that does not."""
    family = rl.TabularSoftmax(np.zeros((4, 2)))
    episodes = rl.simulate(LINE, rl.uniform_policy(LINE), episodes=200, steps=40, seed=seed)
    return {
        "plain": rl.estimate_gradient(LINE, family, gamma, episodes),
        "practical": rl.estimate_gradient(LINE, family, gamma, episodes, discounted_states=False),
    }


def test_estimates_and_their_bands() -> None:
    found = estimates()
    ax = plot.gradient_estimates(found)
    plain, practical, exact = ax.lines
    assert [line.get_label() for line in ax.lines] == ["plain", "practical", "exact"]
    history = found["plain"].history
    drawn = history.episodes >= 8
    np.testing.assert_array_equal(plain.get_xdata(), history.episodes[drawn])
    np.testing.assert_array_equal(plain.get_ydata(), history.mean[drawn, 0])
    largest = int(history.components[0])
    assert exact.get_ydata()[0] == found["plain"].true_gradient.ravel()[largest]
    band = ax.collections[1].get_paths()[0].vertices
    error = found["practical"].history.standard_error[-1, 0]
    assert band[:, 1].max() >= practical.get_ydata()[-1] + 2.0 * error
    assert ax.get_xscale() == "log"
    other = plot.gradient_estimates(found, component=int(history.components[2]))
    assert other.get_ylabel() == f"component {history.components[2]} of the gradient"


def test_the_estimate_from_one_episode_has_no_band() -> None:
    family = rl.TabularSoftmax(np.zeros((4, 2)))
    episode = rl.simulate(LINE, rl.uniform_policy(LINE), episodes=1, steps=40)
    ax = plot.gradient_estimates(rl.estimate_gradient(LINE, family, 0.9, episode))
    assert ax.lines[0].get_xdata().tolist() == [1.0]
    assert np.isfinite(ax.get_ylim()).all()


def test_bounds_as_bars() -> None:
    mdp, policy, candidate = line_to()
    found = rl.check_improvement(mdp, policy, candidate, 0.9, bounds="all")
    ax = plot.bounds(found)
    widths = [bar.get_width() for bar in ax.patches]
    assert widths == sorted((bound.gap for bound in found.bounds.values()), reverse=True)
    assert ax.lines[0].get_xdata()[0] == abs(found.gap)
    assert ax.get_xscale() == "log"


# ---- chain ----


def test_chain_as_states_and_arrows() -> None:
    mdp = walk()
    ax = plot.chain(mdp, rl.uniform_policy(mdp))
    assert parts(ax, "_state") == ["A", "B", "C", "D", "E"]
    assert parts(ax, "_probability") == ["0.5"] * 10
    assert len(parts(ax, "_transitions")) == 10
    assert len(parts(ax, "_ends")) == 2
    assert len(parts(plot.chain(ring(8), np.ones((8, 1))), "_transitions")) == 16


def test_chain_counts_only_what_the_policy_does() -> None:
    mdp = rl.gallery.forest(4)
    waiting, cutting = (rl.deterministic_policy(mdp, np.full(4, action)) for action in (0, 1))
    assert len(parts(plot.chain(mdp, waiting), "_transitions")) == 8
    assert parts(plot.chain(mdp, cutting), "_probability") == ["1"] * 4


def test_chain_as_a_matrix() -> None:
    mdp = anonymous(50, 3)
    policy = rl.random_policy(mdp, 3)
    P_pi = np.einsum("sa,sat->st", policy, mdp.transition.toarray().reshape(50, 3, 50))
    ax = plot.chain(mdp, policy)
    assert np.allclose(ax.images[0].get_array().filled(0.0), P_pi, rtol=0, atol=1e-15)
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("next state $s'$", "state $s$")
    large = anonymous(1000, 1)
    table = plot.chain(large, np.ones((1000, 1))).images[0].get_array().filled(0.0)
    assert table.shape == (250, 250)
    assert np.allclose(table.sum(axis=1), 1.0)


@pytest.mark.parametrize("S", [1, 2, 3, 30, 31])
def test_chain_of_any_size(S: int) -> None:
    mdp = rl.MDP(np.full((S, S), 1.0 / S), np.zeros(S))
    plot.chain(mdp, np.ones((S, 1))).figure.canvas.draw()


# ---- runs of improvement ----


def climbs(step: float = 0.2, iterations: int = 6) -> dict[str, rl.ImprovementRun]:
    mdp = rl.gallery.forest(4)
    regions = {"natural": rl.NaturalGradient(step), "conservative": rl.Conservative()}
    return {
        name: rl.improve(mdp, rl.uniform_policy(mdp), 0.9, region, iterations, optimum="solve")
        for name, region in regions.items()
    }


def test_returns_climb_to_the_optimum() -> None:
    runs = climbs()
    ax = plot.improvement_runs(runs)
    assert [line.get_label() for line in ax.lines] == ["natural", "conservative", "optimum"]
    for line, run in zip(ax.lines, runs.values(), strict=False):
        assert np.asarray(line.get_xdata()).tolist() == list(range(7))
        assert np.asarray(line.get_ydata()).tolist() == run.history.eta.value.tolist()
    assert np.asarray(ax.lines[2].get_ydata())[0] == runs["natural"].optimum.value  # type: ignore[union-attr]
    assert ax.get_yscale() == "linear"


def test_gaps_and_gains_are_drawn_where_they_are_above_0() -> None:
    runs = climbs(5.0, 40)
    gaps, gains = plot.improvement_runs(runs, "gap"), plot.improvement_runs(runs, "improvement")
    for ax, name in ((gaps, "gap"), (gains, "improvement")):
        assert ax.get_yscale() == "log"
        for line, run in zip(ax.lines, runs.values(), strict=True):
            numbers = getattr(run.history, name)
            drawn = np.asarray(line.get_ydata())
            np.testing.assert_array_equal(np.isnan(drawn), numbers.lower <= 0.0)
            assert np.asarray(line.get_xdata())[-1] == len(run)
    assert np.asarray(gains.lines[1].get_xdata())[0] == 1.0
    assert np.isnan(np.asarray(gaps.lines[0].get_ydata())[-1]), "the natural gradient has arrived"


def test_one_run_has_the_name_of_its_region() -> None:
    assert plot.improvement_runs(climbs()["conservative"]).lines[0].get_label() == "Conservative()"


# ---- axes in and out ----

GRID, LINE = windy_lake(), rl.gallery.forest(4)
DRAWN: dict[str, Callable[..., Any]] = {
    "value of a grid": lambda ax=None: plot.value(GRID, np.arange(11.0), ax, policy=careful(GRID)),
    "value": lambda ax=None: plot.value(LINE, np.arange(4.0), ax),
    "policy of a grid": lambda ax=None: plot.policy(GRID, careful(GRID), ax),
    "policy": lambda ax=None: plot.policy(LINE, careful(LINE), ax),
    "occupancy of a grid": lambda ax=None: plot.occupancy(GRID, np.arange(11.0), ax),
    "occupancy": lambda ax=None: plot.occupancy(LINE, np.arange(4.0), ax),
    "distribution on a grid": lambda ax=None: plot.state_distribution(GRID, np.full((3, 11), 1 / 11), ax),
    "distribution": lambda ax=None: plot.state_distribution(LINE, np.full((3, 4), 0.25), ax),
    "improvement": lambda ax=None: plot.improvement(*line_to(), 0.9, ax=ax, steps=3),
    "bounds": lambda ax=None: plot.bounds(rl.check_improvement(*line_to(), 0.9), ax),
    "improvement_runs": lambda ax=None: plot.improvement_runs(climbs(), "gap", ax),
    "convergence": lambda ax=None: plot.convergence(reports(), ax),
    "gradient estimates": lambda ax=None: plot.gradient_estimates(estimates(), ax=ax),
    "chain": lambda ax=None: plot.chain(LINE, careful(LINE), ax),
    "matrix": lambda ax=None: plot.chain(anonymous(40, 2), careful(anonymous(40, 2)), ax),
}


@pytest.mark.parametrize("draw", DRAWN.values(), ids=DRAWN)
def test_axes_that_are_given_come_back(draw: Callable[..., Any]) -> None:
    settings = dict(matplotlib.rcParams)
    figure = Figure(layout="constrained")
    left, right = figure.subplots(1, 2)
    assert draw(right) is right
    assert not left.has_data()
    assert not plt.get_fignums(), "pyplot was not asked for"
    figure.draw_without_rendering()
    assert settings == dict(matplotlib.rcParams)


@pytest.mark.parametrize("draw", DRAWN.values(), ids=DRAWN)
def test_axes_of_a_new_figure(draw: Callable[..., Any]) -> None:
    ax = draw()
    assert plt.get_fignums() == [ax.figure.number]
    assert ax.get_title() == ""
    ax.figure.canvas.draw()
    everything = ax.get_tightbbox()
    assert everything.x0 >= -2
    assert everything.y0 >= -2
    assert everything.x1 <= ax.figure.bbox.x1 + 2
    assert everything.y1 <= ax.figure.bbox.y1 + 2


@pytest.mark.parametrize("draw", DRAWN.values(), ids=DRAWN)
def test_pictures_can_be_read_in_grey(draw: Callable[..., Any]) -> None:
    for picture in draw().images:
        colours = picture.cmap(np.linspace(0.0, 1.0, 64))[:, :3] @ (0.299, 0.587, 0.114)
        assert (np.diff(colours) > 0).all() or (np.diff(colours) < 0).all()
    assert {"viridis", "magma_r"} <= set(colormaps)


# ---- wrong input ----

WRONG: list[tuple[Callable[[], Any], type[Exception], str]] = [
    (
        lambda: plot.value(LINE, [1.0, 2.0]),
        rl.ArgumentError,
        "value: expected 4 numbers, one for each state, got shape (2,)",
    ),
    (
        lambda: plot.value(LINE, np.zeros((2, 4))),
        rl.ArgumentError,
        "value: expected 4 numbers, one for each state, got shape (2, 4); a batch is drawn item by item",
    ),
    (
        lambda: plot.value(GRID, [*np.zeros(10), np.nan]),
        rl.ArgumentError,
        "value, state (2, 3): expected a finite number, got nan",
    ),
    (lambda: plot.value(LINE, "abcd"), rl.ArgumentError, "value: expected real numbers, got dtype <U4"),
    (lambda: plot.value(LINE, None), rl.ArgumentError, "value: expected an array of numbers, got None"),
    (lambda: plot.value([1], [1]), rl.ArgumentError, "mdp: expected a rlcore.MDP, got list"),
    (
        lambda: plot.value(LINE, np.zeros(4), ax=[1, 2]),
        rl.ArgumentError,
        "ax: expected matplotlib Axes or None, got list; pass one of them",
    ),
    (lambda: plot.value(LINE, np.zeros(4), ax="x"), rl.ArgumentError, "ax: expected matplotlib Axes or None, got str"),
    (
        lambda: plot.policy(LINE, np.ones(3)),
        rl.PolicyError,
        "policy: expected 8 numbers, one for each pair, in shape (4, 2) or (8,), got shape (3,)",
    ),
    (
        lambda: plot.policy(LINE, [[1, 0], [0.5, 0.4], [1, 0], [1, 0]]),
        rl.PolicyError,
        "policy, state 1: expected probabilities that sum to 1, got [0.5 0.4]",
    ),
    (
        lambda: plot.value(LINE, np.zeros(4), policy=[[1, 0], [2, -1], [1, 0], [1, 0]]),
        rl.PolicyError,
        "policy, state 1: expected probabilities that sum to 1, got [ 2. -1.]",
    ),
    (
        lambda: plot.chain(LINE, np.full((4, 2), np.nan)),
        rl.PolicyError,
        "policy, state 0: expected probabilities that sum to 1, got [nan nan]",
    ),
    (
        lambda: plot.occupancy(LINE, [0.5, -0.1, 0.5, 0.1]),
        rl.ArgumentError,
        "occupancy, state 1: expected a number from 0 on, got -0.1",
    ),
    (
        lambda: plot.occupancy(LINE, np.zeros(3)),
        rl.ArgumentError,
        "occupancy: expected 4 numbers, one for each state, got shape (3,)",
    ),
    (
        lambda: plot.state_distribution(LINE, np.zeros(4)),
        rl.ArgumentError,
        "rows: expected shape (steps + 1, 4), a distribution for each time, got (4,)",
    ),
    (
        lambda: plot.state_distribution(LINE, [[0.5, 0.5, 0, 0], [0, 0, 0, 2]]),
        rl.ArgumentError,
        "rows, state 3: expected a probability at time 1, got 2.0",
    ),
    (
        lambda: plot.state_distribution(GRID, np.full((3, 11), 0.1), times=[0, 3]),
        rl.ArgumentError,
        "times: expected numbers in 0 .. 2, got 3",
    ),
    (
        lambda: plot.state_distribution(GRID, np.full((3, 11), 0.1), times=[0.5]),
        rl.ArgumentError,
        "times: expected whole numbers, got [0.5]",
    ),
    (
        lambda: plot.convergence([]),
        rl.ArgumentError,
        "reports: expected at least one rlcore.Progress, got none; a call that takes less than a twentieth of a second "
        "has nothing to report",
    ),
    (
        lambda: plot.convergence({}),
        rl.ArgumentError,
        "reports: expected at least one list of rlcore.Progress, got none",
    ),
    (
        lambda: plot.convergence([1.0, 0.1]),
        rl.ArgumentError,
        "reports: expected a list of rlcore.Progress, got a float in it",
    ),
    (
        lambda: plot.improvement(*line_to(), 0.9, steps=1),
        rl.ArgumentError,
        "steps: expected at least 2, got 1",
    ),
    (
        lambda: plot.improvement(*line_to(), 0.9, steps=[0.0, 2.0]),
        rl.ArgumentError,
        "steps: expected at least two numbers from 0 to 1, got [0.0, 2.0]",
    ),
    (
        lambda: plot.bounds(3),
        rl.ArgumentError,
        "report: expected what rlcore.check_improvement returns, got int",
    ),
    (
        lambda: plot.bounds(rl.check_improvement(LINE, careful(LINE), careful(LINE), 0.9)),
        rl.ArgumentError,
        "report: expected at least one bound that is neither infinite nor 0, got none",
    ),
    (
        lambda: plot.gradient_estimates({}),
        rl.ArgumentError,
        "estimates: expected at least one rlcore.GradientEstimate, got none",
    ),
    (
        lambda: plot.gradient_estimates([1.0]),
        rl.ArgumentError,
        "estimates: expected rlcore.GradientEstimate, got list",
    ),
    (
        lambda: plot.gradient_estimates(estimates(), component=8),
        rl.ArgumentError,
        "component: expected one that is followed, 0, 1, 2, 3, 4, 5, 6, 7, got 8",
    ),
    (
        lambda: plot.gradient_estimates({"one": estimates()["plain"], "two": estimates(0.5)["plain"]}),
        rl.ArgumentError,
        "estimates: expected estimates of the same gradient, got another one for 'two'",
    ),
    (
        lambda: plot.improvement_runs({}),
        rl.ArgumentError,
        "runs: expected at least one run of rlcore.improve, got none",
    ),
    (
        lambda: plot.improvement_runs({"a": 3}),
        rl.ArgumentError,
        "runs: expected what rlcore.improve returns, got int",
    ),
    (
        lambda: plot.improvement_runs(climbs(), "kl"),
        rl.ArgumentError,
        "quantity: expected 'eta', 'gap' or 'improvement', got 'kl'",
    ),
    (
        lambda: plot.improvement_runs(rl.improve(LINE, rl.uniform_policy(LINE), 0.9, rl.Conservative(), 1), "gap"),
        rl.ArgumentError,
        "runs: expected one whose optimum is known; pass optimum='solve' to rlcore.improve",
    ),
    (lambda: plot.convergence(3), rl.ArgumentError, "reports: expected a list of rlcore.Progress, got int"),
]


@pytest.mark.parametrize(("call", "error", "message"), WRONG, ids=[message[:50] for _, _, message in WRONG])
def test_wrong_input(call: Callable[[], Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error) as caught:
        call()
    assert type(caught.value) is error
    assert str(caught.value) == message
    assert not plt.get_fignums(), "no figure is left behind"


# ---- Matplotlib is optional ----


def test_import_does_not_import_matplotlib() -> None:
    code = "import sys, rlcore, rlcore.plot; sys.exit('matplotlib' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_without_matplotlib(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    monkeypatch.setitem(sys.modules, "matplotlib.axes", None)
    message = "rlcore.plot draws with Matplotlib, which is not installed; pip install 'rlcore\\[plot\\]'"
    for draw in DRAWN.values():
        with pytest.raises(rl.MissingPackageError, match=message):
            draw()


# ---- how it looks ----

DPI = 60
STYLE = {"font.family": "DejaVu Sans", "font.size": 10.0, "figure.dpi": DPI, "savefig.dpi": DPI}
# Root mean square difference of blurred pixels in [0, 1]. Matplotlib 3.8.4 differs by at most 0.010 from 3.11.2, which
# drew the pictures; the other data below differ by 0.021 or more.
TOLERANCE = 0.014


def sheet(width: float = 3.2, height: float = 2.6) -> Any:
    """Return axes in a fixed place: where letters are a little wider, nothing moves."""
    return plt.figure(figsize=(width, height)).add_axes((0.14, 0.16, 0.66, 0.78))


def grid_value(change: float = 0.0) -> Any:
    mdp = rl.gallery.gridworld()
    V = rl.evaluate(mdp, rl.uniform_policy(mdp), 0.9).value.copy()
    V[12] += 5.0 * change
    return plot.value(mdp, V, sheet(4.2, 3.6), policy=careful(mdp))


def lake_policy(change: float = 0.0) -> Any:
    actions = [1, 1, 1, 0, 0, 0, 0, 0, 1, 0, 3]
    if change:
        actions[4], actions[7] = 2, 3
    return plot.policy(GRID, rl.deterministic_policy(GRID, actions), sheet())


def lake_occupancy(change: float = 0.0) -> Any:
    return plot.occupancy(GRID, rl.occupancy(GRID, rl.uniform_policy(GRID), 0.9 + 0.09 * change), sheet())


def large_value(change: float = 0.0) -> Any:
    x, y = np.meshgrid(np.linspace(0, 1, 50), np.linspace(0, 1, 50))
    mdp = rl.gallery.slippery_grid(50)
    policy = rl.deterministic_policy(mdp, np.where(x > y, 1, 2).ravel())
    return plot.value(mdp, (x + y ** (2.0 + 2.0 * change)).ravel(), sheet(2.8, 2.2), policy=policy)


def panels(change: float = 0.0) -> Any:
    start = np.eye(11)[8 if change else 7]
    rows = rl.state_distribution(GRID, rl.uniform_policy(GRID), 20, initial=start)
    return plot.state_distribution(GRID, rows, sheet(4.0), times=[0, 1, 2, 4, 8, 20])


def queue_value(change: float = 0.0) -> Any:
    mdp = rl.gallery.queue(20)
    fast = np.arange(20) >= 4 + 3 * change
    return plot.value(mdp, -(np.arange(20.0) ** 1.5), sheet(), policy=rl.deterministic_policy(mdp, fast.astype(int)))


def forest_policy(change: float = 0.0) -> Any:
    p = np.linspace(0.1, 0.9 - 0.3 * change, 4)
    return plot.policy(LINE, np.stack([p, 1 - p], axis=1), sheet())


def walk_chain(change: float = 0.0) -> Any:
    return plot.chain(ring(5) if change else walk(), np.ones((5, 1)), sheet(5.0, 1.4))


def ring_chain(change: float = 0.0) -> Any:
    S = 7 if change else 6
    return plot.chain(ring(S), np.ones((S, 1)), sheet())


def matrix(change: float = 0.0) -> Any:
    mdp = rl.gallery.slippery_grid(7)
    return plot.chain(mdp, careful(mdp) if change else rl.uniform_policy(mdp), sheet())


def improvement(change: float = 0.0) -> Any:
    return plot.improvement(*line_to(0.4 + 0.6 * change), 0.9, ax=sheet(4.2, 3.0))


def bound_bars(change: float = 0.0) -> Any:
    mdp, policy, candidate = line_to(0.4 + 0.6 * change)
    return plot.bounds(rl.check_improvement(mdp, policy, candidate, 0.9, bounds="all"), sheet())


def estimated_gradient(change: float = 0.0) -> Any:
    few = estimates(seed=int(change))
    return plot.gradient_estimates(few, ax=sheet(4.2, 3.0))


def history(change: float = 0.0) -> Any:
    return plot.convergence({"a": reports(), "b": reports(0.8 - 0.15 * change)}, sheet())


def runs_to_the_optimum(change: float = 0.0) -> Any:
    return plot.improvement_runs(climbs(0.2 + 0.2 * change), "gap", sheet())


LOOKS = [
    grid_value,
    lake_policy,
    lake_occupancy,
    large_value,
    panels,
    queue_value,
    forest_policy,
    walk_chain,
    ring_chain,
    matrix,
    history,
    estimated_gradient,
    improvement,
    bound_bars,
    runs_to_the_optimum,
]


def pixels(ax: Any) -> Any:
    """Return what is drawn but for letters, shape (height, width, 3), in [0, 1]."""
    for text in ax.figure.findobj(Text):  # letters differ between versions of FreeType; other tests read them
        text.set_visible(False)
    canvas = ax.figure.canvas
    canvas.draw()
    return np.asarray(canvas.buffer_rgba(), dtype=np.float64)[:, :, :3] / 255.0


def blurred(x: Any, radius: int = 2) -> Any:
    """Return means over windows, so that an edge half a pixel further on is no great difference."""
    for axis in (0, 1):
        x = np.mean([np.roll(x, shift, axis) for shift in range(-radius, radius + 1)], axis=0)
    return x


def difference(ax: Any, name: str) -> float:
    want = image.imread(PICTURES / f"{name}.png")[:, :, :3].astype(np.float64)
    got = pixels(ax)
    assert got.shape == want.shape
    return float(np.sqrt(np.mean((blurred(got) - blurred(want)) ** 2)))


@pytest.mark.parametrize("look", LOOKS, ids=lambda look: look.__name__)
def test_look(look: Callable[..., Any]) -> None:
    with matplotlib.rc_context(STYLE):
        assert difference(look(), look.__name__) < TOLERANCE


@pytest.mark.parametrize("look", LOOKS, ids=lambda look: look.__name__)
def test_other_data_look_different(look: Callable[..., Any]) -> None:
    with matplotlib.rc_context(STYLE):
        assert difference(look(1.0), look.__name__) > 1.4 * TOLERANCE


def test_reference_pictures_are_small() -> None:
    assert {file.stem for file in PICTURES.glob("*.png")} == {look.__name__ for look in LOOKS}
    assert all(file.stat().st_size < 30_000 for file in PICTURES.glob("*.png"))


# ---- the pictures of the documentation ----


@pytest.fixture(scope="module")
def hook() -> types.ModuleType:
    spec = importlib.util.spec_from_file_location("pictures_hook", ROOT / "docs" / "hooks" / "pictures.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_every_model_of_the_gallery_has_a_picture(hook: types.ModuleType) -> None:
    for name, maker in hook.models().items():
        figure = hook.picture_of(name, maker)
        assert figure.axes, f"{name} is not drawn, only named"
        plt.close(figure)


def test_a_model_that_cannot_be_made_is_named(hook: types.ModuleType) -> None:
    def strange(shape: str) -> rl.MDP:
        raise ValueError(shape)

    figure = hook.picture_of("strange", strange)
    assert not figure.axes
    assert figure.texts[0].get_text().startswith("strange(shape")


def test_pictures_of_a_page(hook: types.ModuleType) -> None:
    page = (
        "```python\nax = 1\n```\n![one](pictures/plots/one.svg)\n```python\nax += 1\n```\n![](pictures/plots/two.svg)\n"
    )
    assert list(hook.results_of(page)) == [("one", 1), ("two", 2)]


def draw_anew() -> None:
    PICTURES.mkdir(exist_ok=True)
    with matplotlib.rc_context(STYLE):
        for look in LOOKS:
            image.imsave(PICTURES / f"{look.__name__}.png", pixels(look()))
            plt.close("all")


if __name__ == "__main__":
    draw_anew()
