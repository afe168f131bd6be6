"""The references for the task settings against known answers and against identities that they do not use."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from fractions import Fraction
from itertools import count, islice
from math import inf, isfinite
from typing import NamedTuple

import networkx as nx
import numpy as np
import pytest

import generated_chains
import generated_models
import rlcore as rl
from generated_models import RawModel
from rlcore import reference
from rlcore.reference import linear, structure
from rlcore.reference.chain import policy_transition
from rlcore.reference.rational import Kernel, Matrix, Number, Vector

HALF = Fraction(1, 2)
ALMOST_ONE = 1 - Fraction(1, 2**400)
MODELS = 8
"""How many models of each family are tried."""


class Model(NamedTuple):
    """A model and a policy in exact numbers."""

    transition: Kernel
    reward: Matrix
    policy: Matrix
    termination: Matrix
    initial: Vector

    @property
    def rows(self) -> tuple[Kernel, Matrix, Matrix]:
        """What the functions on chains take."""
        return self.transition, self.policy, self.termination

    @property
    def chain(self) -> structure.EndingChain:
        return structure.policy_chain(*self.rows)

    @property
    def expected_reward(self) -> Vector:
        return [linear.dot(r, pi) for r, pi in zip(self.reward, self.policy, strict=True)]


def stored(raw: RawModel) -> Model:
    """Return the model as its doubles say, rounding defects and all."""
    return Model(
        transition=reference.exact(raw.by_state(raw.transition)),
        reward=reference.exact(raw.by_state(raw.reward)),
        policy=reference.exact(raw.by_state(raw.policy)),
        termination=reference.exact(raw.by_state(raw.termination)),
        initial=reference.exact(raw.initial.tolist()),
    )


def mended(raw: RawModel) -> Model:
    """Return the model without a defect: the diagonal fills the rows, policy and start are divided by their sums."""
    model = stored(raw)
    return model._replace(
        transition=structure.ending_rows(model.transition, model.termination),
        policy=[[p / sum(pi) for p in pi] for pi in model.policy],
        initial=[p / sum(model.initial) for p in model.initial],
    )


def of_family(family: str, largest: int = generated_models.LARGEST) -> Iterator[RawModel]:
    """Return models of a family; elimination is quick up to 9 states, and the trouble is the same."""
    models = (generated_chains.model(family, index) for index in count())
    return islice((raw for raw in models if raw.num_states <= largest), MODELS)


def from_mdp(mdp: rl.MDP) -> Model:
    """Return a model of the gallery, with the uniform policy and a uniform start."""
    rows = mdp.transition.toarray().reshape(*mdp.pair_shape, mdp.num_states).tolist()
    S, A = mdp.pair_shape
    return Model(
        transition=reference.exact(rows),
        reward=reference.exact(mdp.reward.tolist()),
        policy=[[Fraction(1, A)] * A] * S,
        termination=reference.exact(mdp.termination.tolist()),
        initial=[Fraction(1, S)] * S,
    )


def chain(*rows: Sequence[Number], ends: Sequence[Number] | None = None) -> Model:
    """Return a chain: one action in each state, a reward of 1 in each step, and a uniform start."""
    S = len(rows)
    return Model(
        transition=reference.exact([[row] for row in rows]),
        reward=[[Fraction(1)]] * S,
        policy=[[Fraction(1)]] * S,
        termination=reference.exact([[end] for end in ends or [0] * S]),
        initial=[Fraction(1, S)] * S,
    )


def product(A: Matrix, B: Matrix) -> Matrix:
    columns = linear.transpose(B)
    return [linear.multiply(columns, row) for row in A]


def difference(x: Vector, y: Vector) -> Vector:
    return [a - b for a, b in zip(x, y, strict=True)]


def known(x: list[Fraction | None]) -> Vector:
    """Return the numbers, of which none may be missing."""
    assert None not in x
    return [value for value in x if value is not None]


continuing = pytest.mark.parametrize("family", generated_chains.CONTINUING)
ending = pytest.mark.parametrize("family", generated_chains.ENDING)
every = pytest.mark.parametrize("family", generated_chains.FAMILIES)


# ---- known answers ----

OZ = chain([0.5, 0.25, 0.25], [0.5, 0, 0.5], [0.25, 0.25, 0.5])


def test_land_of_oz() -> None:
    """Kemeny & Snell (1960): never two nice days in a row."""
    (d,) = reference.stationary_distributions(*OZ.rows)
    assert d == [Fraction(2, 5), Fraction(1, 5), Fraction(2, 5)]
    assert reference.cesaro_limit(*OZ.rows) == [d] * 3
    assert reference.first_passage_times(OZ.transition, OZ.policy, range(3)) == [
        [Fraction(5, 2), 4, Fraction(10, 3)],
        [Fraction(8, 3), 5, Fraction(8, 3)],
        [Fraction(10, 3), 4, Fraction(5, 2)],
    ]
    deviation = [[56, -12, -44], [-24, 48, -24], [-44, -12, 56]]
    assert reference.deviation_rows(OZ.transition, OZ.policy, [0, 1, 2]) == [
        [Fraction(x, 75) for x in row] for row in deviation
    ]
    assert reference.kemeny_constant(*OZ.rows) == Fraction(32, 15)
    assert reference.chain_structure(*OZ.rows).is_irreducible


def test_drunkards_walk() -> None:
    """Kemeny & Snell (1960): five corners, home and bar at the ends."""
    corner = [[Fraction(s == t) for t in range(5)] for s in range(5)]
    rows = [
        [HALF * (before + after) for before, after in zip(corner[s - 1], corner[s + 1], strict=True)] for s in (1, 2, 3)
    ]
    found = reference.chain_structure(*chain(corner[0], *rows, corner[4]).rows)
    assert found.recurrent_classes == [[0], [4]]
    assert found.transient == [1, 2, 3]
    assert found.absorption[1:4] == [[HALF * HALF * k, HALF * HALF * (4 - k)] for k in (3, 2, 1)]
    assert not found.is_unichain
    assert found.is_aperiodic
    # The same walk as a process that ends at home and in the bar.
    walk = chain(*(row[1:4] for row in rows), ends=[HALF, 0, HALF])
    starts = [[Fraction(s == t) for t in range(3)] for s in range(3)]
    visits = [
        reference.occupancy_episodic(walk.transition, walk.policy, rho0, walk.termination).visits for rho0 in starts
    ]
    assert visits == [[1.5, 1, 0.5], [1, 2, 1], [0.5, 1, 1.5]]
    assert reference.episode_length(*walk.rows).mean == [3, 4, 3]


@pytest.mark.parametrize("p", [HALF, Fraction(1, 20), Fraction(19, 20)])
def test_short_corridor(p: Fraction) -> None:
    """Sutton & Barto (2018), example 13.1: right and left are switched in the middle."""
    one, zero = [Fraction(1)], [Fraction(0)]
    first, middle, last = [*one, *zero, *zero], [*zero, *one, *zero], [*zero, *zero, *one]
    right_left = [[middle, first], [first, last], [zero * 3, middle]]
    policy, termination = [[p, 1 - p]] * 3, [zero * 2, zero * 2, [*one, *zero]]
    result = reference.evaluate_episodic(right_left, [[-1, -1]] * 3, policy, termination, [1, 0, 0])
    assert result.start_value == -2 * (2 - p) / (p * (1 - p))
    if p == HALF:
        assert reference.occupancy_episodic(right_left, policy, [1, 0, 0], termination).visits == [6, 4, 2]


def test_small_gridworld() -> None:
    """Sutton & Barto (2018), example 4.1: a reward of -1 in each step to a corner, at random."""
    model = from_mdp(rl.gallery.small_gridworld())
    value = reference.evaluate_episodic(model.transition, model.reward, *model.rows[1:]).value
    assert value == [-14, -20, -22, -14, -18, -20, -20, -20, -20, -18, -14, -22, -20, -14]


def test_gridworld_and_the_futility_of_its_discount() -> None:
    """Sutton & Barto (2018), example 3.5 and section 10.4."""
    model = from_mdp(rl.gallery.gridworld())
    gain = reference.evaluate_average(*model[:3]).gain
    assert len(set(gain)) == 1
    assert float(gain[0]) == pytest.approx(-0.0112199747, abs=5e-11)
    for gamma in (Fraction(0), Fraction(9, 10), Fraction(99, 100)):
        both = reference.futility_identity(*model[:3], gamma)
        assert both.discounted == both.average == [gain[0] / (1 - gamma)]


def test_chain_whose_diagonal_is_stored_as_one() -> None:
    """The third of a step is not in the doubles of the diagonal, and the answer does not need it there."""
    rare = chain([1.0, 1e-16], [3e-16, 1.0])
    (d,) = reference.stationary_distributions(*rare.rows)
    assert [float(p) for p in d] == pytest.approx([0.75, 0.25], rel=1e-15)
    assert reference.chain_structure(*rare.rows).is_irreducible


def test_two_cycle() -> None:
    cycle = chain([0, 1], [1, 0])
    found = reference.chain_structure(*cycle.rows)
    assert found.periods == [2]
    assert not found.is_aperiodic
    occupancy = reference.occupancy_average(cycle.transition, cycle.policy, [1, 0])
    assert occupancy.state == [HALF, HALF]
    assert not occupancy.is_limit


def test_period_by_a_circle_elsewhere() -> None:
    """State 0 itself is back after 3 steps, then after 5: the circle of 2 lies between the other two states."""
    assert reference.chain_structure(*chain([0, 1, 0], [0, 0, 1], [0.5, 0.5, 0]).rows).periods == [1]


def test_a_rounding_defect_makes_no_chain_aperiodic() -> None:
    nearly = chain([0, 1 - 2**-53], [1, 0])
    assert nearly.chain.P_pi[0][0] == Fraction(1, 2**53)
    assert reference.chain_structure(*nearly.rows).periods == [2]


def test_limit_exists_where_no_periodic_class_is_reached() -> None:
    model = chain([0, 1, 0], [1, 0, 0], [0, 0, 1])
    for s, expected in enumerate([False, False, True]):
        start = [Fraction(s == t) for t in range(3)]
        assert reference.occupancy_average(model.transition, model.policy, start).is_limit is expected


def test_geometric_length() -> None:
    """A process that ends once in a million million steps: mean 1/p, variance (1 - p)/p^2, to the last digit."""
    p = Fraction(1e-12)
    length = reference.episode_length([[[1]]], [[1]], [[1e-12]], [1])
    assert length.mean == [1 / p] == [length.start_mean]
    assert length.variance == [(1 - p) / p**2] == [length.start_variance]


# ---- the structure of a chain ----


def graph_of(model: Model) -> nx.DiGraph:
    """Return the steps of the policy as a graph, with one more node for the end."""
    S = len(model.policy)
    chain = model.chain
    graph = nx.DiGraph([(s, t) for s in range(S) for t in chain.successors[s]])
    graph.add_nodes_from(range(S))
    graph.add_edges_from((s, "end") for s in range(S) if chain.ends[s])
    return graph


@every
def test_classes_against_networkx(family: str) -> None:
    for raw in of_family(family):
        model = stored(raw)
        found = reference.chain_structure(*model.rows)
        graph = graph_of(model)
        closed = [sorted(c) for c in nx.attracting_components(graph) if "end" not in c]
        assert found.recurrent_classes == sorted(closed), raw.name
        assert found.transient == sorted(set(range(raw.num_states)) - {s for c in closed for s in c})
        for members, period in zip(found.recurrent_classes, found.periods, strict=True):
            steps = nx.to_numpy_array(graph.subgraph(members)) > 0
            # In as many steps as the period, the class falls into as many parts, each of them aperiodic.
            parts = nx.from_numpy_array(
                np.linalg.matrix_power(steps.astype(object), period) > 0, create_using=nx.DiGraph
            )
            components = list(nx.strongly_connected_components(parts))
            assert len(components) == period, raw.name
            assert all(nx.is_aperiodic(parts.subgraph(part)) for part in components), raw.name


@every
def test_absorption(family: str) -> None:
    """Theory 3.2: a step does not change the probability to end up in a class."""
    for raw in of_family(family):
        model = stored(raw)
        found = reference.chain_structure(*model.rows)
        B = found.absorption
        if found.recurrent_classes:
            assert product(model.chain.P_pi, B) == B, raw.name
        for k, members in enumerate(found.recurrent_classes):
            assert all(B[s] == [Fraction(k == other) for other in range(len(B[s]))] for s in members)
        assert all(0 <= p <= 1 for row in B for p in row)
        if family in generated_chains.CONTINUING:
            assert all(sum(row) == 1 for row in B)


# ---- Average ----


@continuing
def test_stationary_distributions(family: str) -> None:
    for raw in of_family(family):
        model = stored(raw)
        classes = reference.chain_structure(*model.rows).recurrent_classes
        for members, d in zip(classes, reference.stationary_distributions(*model.rows), strict=True):
            assert linear.multiply(linear.transpose(model.chain.P_pi), d) == d, raw.name
            assert sum(d) == 1
            assert [s for s, p in enumerate(d) if p > 0] == members
            assert min(d) >= 0


@every
def test_limit_and_deviation(family: str) -> None:
    """Theory 3.2: P* is the projection on what a step leaves as it is, and the deviation inverts I - P off it."""
    for raw in of_family(family, largest=9):
        model = stored(raw)
        P, limit = model.chain.P_pi, reference.cesaro_limit(*model.rows)
        states = range(raw.num_states)
        deviation = reference.deviation_rows(model.transition, model.policy, states, model.termination)
        identity = [[Fraction(s == t) for t in states] for s in states]
        zero = [[Fraction(0)] * raw.num_states] * raw.num_states
        assert product(P, limit) == product(limit, P) == product(limit, limit) == limit, raw.name
        assert product(limit, deviation) == product(deviation, limit) == zero, raw.name
        moved = [difference(row, after) for row, after in zip(deviation, product(P, deviation), strict=True)]
        assert moved == [difference(unit, row) for unit, row in zip(identity, limit, strict=True)], raw.name


@every
def test_limit_and_deviation_are_those_of_the_resolvent(family: str) -> None:
    """X = P*/(1 - gamma) + D + O(1 - gamma), whatever the structure of the chain: with a gamma that is nearly 1."""
    for raw in of_family(family, largest=8):
        model = stored(raw)
        states = range(raw.num_states)
        limit = reference.cesaro_limit(*model.rows)
        deviation = reference.deviation_rows(model.transition, model.policy, states, model.termination)
        X = reference.successor_representation(
            [[row] for row in model.chain.P_pi], [[1]] * len(states), ALMOST_ONE, states
        )
        for s in states:
            expected = [p / (1 - ALMOST_ONE) + x for p, x in zip(limit[s], deviation[s], strict=True)]
            assert max(abs(x) for x in difference(X[s], expected)) < Fraction(1, 2**200), raw.name


@continuing
def test_gain_and_bias(family: str) -> None:
    """Theory 3.2: g = P g, g + h = r_pi + P h, P* h = 0; one gain for each class, that of its distribution."""
    for raw in of_family(family, largest=9):
        model = stored(raw)
        result = reference.evaluate_average(*model[:3], model.initial)
        g, h, P = result.gain, result.bias, model.chain.P_pi
        assert linear.multiply(P, g) == g, raw.name
        after = linear.multiply(P, h)
        assert [x + y for x, y in zip(g, h, strict=True)] == [
            r + later for r, later in zip(model.expected_reward, after, strict=True)
        ], raw.name
        assert not any(linear.multiply(reference.cesaro_limit(*model.rows), h))
        classes = reference.chain_structure(*model.rows).recurrent_classes
        for members, d in zip(classes, reference.stationary_distributions(*model.rows), strict=True):
            assert {g[s] for s in members} == {linear.dot(d, model.expected_reward)}
        assert result.on_policy_objective == linear.dot(model.initial, g)


@continuing
def test_differential_values(family: str) -> None:
    """Theory 3.2: Q and A exist for one class, and A averages to 0 but for the defect of the policy."""
    for raw in of_family(family, largest=9):
        model = stored(raw)
        result = reference.evaluate_average(*model[:3])
        if result.action_value is None or result.advantage is None:
            assert len(reference.chain_structure(*model.rows).recurrent_classes) > 1
            continue
        for s, pi in enumerate(model.policy):
            assert linear.dot(pi, result.advantage[s]) == result.gain[s] * (1 - sum(pi)), raw.name
            assert [a + result.bias[s] for a in result.advantage[s]] == result.action_value[s]


@continuing
def test_occupancy_in_the_long_run(family: str) -> None:
    """Theory 3.2: d^T r_pi = rho0^T g, and a step leaves d as it is."""
    for raw in of_family(family, largest=9):
        model = stored(raw)
        result = reference.occupancy_average(model.transition, model.policy, model.initial)
        assert linear.multiply(linear.transpose(model.chain.P_pi), result.state) == result.state, raw.name
        assert sum(result.state) == sum(model.initial)
        objective = reference.evaluate_average(*model[:3], model.initial).on_policy_objective
        assert linear.dot(result.state, model.expected_reward) == objective
        assert min(result.state) >= 0


@every
def test_first_passage_equations(family: str) -> None:
    """Theory 3.2: m(i, j) = 1 + sum_{k != j} P(k | i) m(k, j) where the target is surely entered."""
    for raw in of_family(family, largest=9):
        model, states = stored(raw), range(raw.num_states)
        m = reference.first_passage_times(model.transition, model.policy, states, model.termination)
        for row, passage in zip(model.chain.P_pi, m, strict=True):
            for j in states:
                ahead = sum(p * m[k][j] for k, p in enumerate(row) if k != j and p) if isfinite(passage[j]) else inf
                assert passage[j] == 1 + ahead, raw.name


@every
def test_first_passage_is_finite_where_it_is_sure(family: str) -> None:
    """With the target made absorbing, the probability of absorption says where it is surely entered."""
    for raw in of_family(family, largest=9):
        model, states = stored(raw), range(raw.num_states)
        m = reference.first_passage_times(model.transition, model.policy, states, model.termination)
        P_pi = model.chain.P_pi
        for j in states:
            stopped = [[[Fraction(j == t) for t in states]] if s == j else [P_pi[s]] for s in states]
            ends = [[Fraction(0) if s == j else 1 - sum(P_pi[s])] for s in states]
            found = reference.chain_structure(stopped, [[1]] * len(states), ends)
            entered = [row[found.recurrent_classes.index([j])] for row in found.absorption]
            entered[j] = linear.dot(P_pi[j], entered)
            assert [isfinite(row[j]) for row in m] == [chance == 1 for chance in entered], (raw.name, j)


@continuing
def test_first_passage_and_kemeny_by_the_deviation_matrix(family: str) -> None:
    """Theory 3.2: m_ij = (Z_jj - Z_ij)/d_j, m_jj = 1/d_j, K from every recurrent i, and trace Z - 1 if irreducible."""
    for raw in of_family(family, largest=9):
        model = stored(raw)
        found = reference.chain_structure(*model.rows)
        if not found.is_unichain:
            with pytest.raises(ValueError, match="one recurrent class"):
                reference.kemeny_constant(*model.rows)
            continue
        states, (members,) = range(raw.num_states), found.recurrent_classes
        (d,) = reference.stationary_distributions(*model.rows)
        Z = reference.deviation_rows(model.transition, model.policy, states)  # P* cancels in the differences
        m = reference.first_passage_times(model.transition, model.policy, states)
        for j in members:
            assert m[j][j] == 1 / d[j]
            assert all(m[i][j] == (Z[j][j] - Z[i][j]) / d[j] for i in states if i != j), raw.name
        K = reference.kemeny_constant(*model.rows)
        assert all(sum(d[j] * m[i][j] for j in members if j != i) == K for i in members), raw.name
        if found.is_irreducible:
            assert sum(Z[s][s] for s in states) == K, raw.name


def test_passage_to_transient_states() -> None:
    """From the front to the middle and on for ever: the middle is passed once, surely from one side only."""
    model = chain([0.5, 0.5, 0, 0], [0, 0, 0.5, 0.5], [0, 0, 1, 0], [0, 0, 0, 1])
    assert reference.first_passage_times(model.transition, model.policy, [1, 2]) == [
        [2, inf],
        [inf, inf],
        [inf, 1],
        [inf, inf],
    ]


@ending
def test_a_process_that_can_end_has_no_gain(family: str) -> None:
    for raw in of_family(family):
        model = stored(raw)
        with pytest.raises(ValueError, match="termination"):
            reference.evaluate_average(*model[:3], model.initial, model.termination)
        with pytest.raises(ValueError, match="termination"):
            reference.occupancy_average(model.transition, model.policy, model.initial, model.termination)


def test_an_end_out_of_reach_is_no_error() -> None:
    """State 0 ends half of the time and moves on otherwise; nothing leads there."""
    model = chain([0, 0.5], [0, 1], ends=[0.5, 0])
    result = reference.evaluate_average(*model[:3], [0, 1], model.termination)
    assert result.gain == [HALF, 1]
    assert result.on_policy_objective == 1
    assert result.advantage == [[0], [0]]
    with pytest.raises(ValueError, match=r"end in the states \[0\]"):
        reference.evaluate_average(*model[:3], termination=model.termination)


# ---- Episodic ----


@ending
def test_values_and_visits_until_the_end(family: str) -> None:
    """Theory 3.1: v = r_pi + P v, e = rho0 + P^T e, e^T r_pi = rho0^T v, J = sum d v."""
    for raw in of_family(family):
        model = stored(raw)
        result = reference.evaluate_episodic(*model[:4], model.initial)
        visits = reference.occupancy_episodic(model.transition, model.policy, model.initial, model.termination)
        P, r, e = model.chain.P_pi, model.expected_reward, visits.visits
        v = [Fraction(0) if value is None else value for value in result.value]
        after = linear.multiply(P, v)
        assert all(v[s] == r[s] + after[s] for s, surely in enumerate(result.proper) if surely), raw.name
        inflow = linear.multiply(linear.transpose(P), e)
        assert e == [start + flow for start, flow in zip(model.initial, inflow, strict=True)], raw.name
        assert min(e) >= 0
        assert result.start_value == linear.dot(e, r) == linear.dot(model.initial, v)
        assert result.on_policy_objective == linear.dot(visits.state, v)
        assert sum(visits.state) == 1


@ending
def test_action_values_until_the_end(family: str) -> None:
    """Theory 3.1: Q exists where the next state has a value, and sum_a pi A = 0, whatever the policy sums to."""
    for raw in of_family(family):
        model = stored(raw)
        result = reference.evaluate_episodic(*model[:4])
        for s, rows in enumerate(model.transition):
            for a, row in enumerate(rows):
                exists = all(result.proper[t] for t, p in enumerate(row) if p > 0)
                assert (result.action_value[s][a] is not None) is exists
                assert (result.advantage[s][a] is not None) is (exists and result.proper[s])
            if result.proper[s] and None not in result.advantage[s]:
                assert linear.dot(model.policy[s], known(result.advantage[s])) == 0, raw.name


@ending
def test_length_of_an_episode(family: str) -> None:
    """Theory 3.1: the mean from rho0 is sum e, the variance (2N - I)T - T^2 with the fundamental matrix N."""
    for raw in of_family(family, largest=9):
        model = stored(raw)
        length = reference.episode_length(*model.rows, model.initial)
        e = reference.occupancy_episodic(model.transition, model.policy, model.initial, model.termination).visits
        assert length.start_mean == sum(e), raw.name
        T = [Fraction(0) if mean is None else mean for mean in length.mean]
        for s, variance in enumerate(length.variance):
            assert (variance is None) is (length.mean[s] is None)
            if variance is None:
                continue
            assert T[s] > 0
            start = [Fraction(s == t) for t in range(raw.num_states)]
            N = reference.occupancy_episodic(model.transition, model.policy, start, model.termination).visits
            assert variance == 2 * linear.dot(N, T) - T[s] - T[s] ** 2, raw.name


@ending
def test_the_discounted_value_tends_to_the_undiscounted_one(family: str) -> None:
    for raw in of_family(family, largest=9):
        model = stored(raw)
        result = reference.evaluate_episodic(*model[:4])
        rewards = [[r] for r in model.expected_reward]
        discounted = reference.evaluate([[row] for row in model.chain.P_pi], rewards, [[1]] * len(rewards), ALMOST_ONE)
        for s, value in enumerate(result.value):
            assert value is None or abs(value - discounted.value[s]) < Fraction(1, 2**200), raw.name


@continuing
def test_a_policy_that_never_ends_is_improper(family: str) -> None:
    for raw in of_family(family):
        model = stored(raw)
        result = reference.evaluate_episodic(*model[:4])
        assert not any(result.proper)
        assert result.value == [None] * raw.num_states
        with pytest.raises(reference.ImproperPolicyError) as error:
            reference.occupancy_episodic(model.transition, model.policy, model.initial, model.termination)
        found = reference.chain_structure(*model.rows)
        chances = linear.multiply(linear.transpose(found.absorption), model.initial)
        assert error.value.classes == [c for c, p in zip(found.recurrent_classes, chances, strict=True) if p > 0]


def test_improper_states_are_named() -> None:
    model = chain([0.5, 0.25, 0, 0], [0, 0, 1, 0], [0, 1, 0, 0], [0, 0, 0, 1], ends=[0.25, 0, 0, 0])
    with pytest.raises(reference.ImproperPolicyError, match=r"stay in \[\[1, 2\]\] for ever"):
        reference.evaluate_episodic(*model[:4], [1, 0, 0, 0])
    with pytest.raises(ValueError, match=r"\[\[3\]\]"):
        reference.episode_length(*model.rows, [0, 0, 0, 1])


def test_a_rounding_defect_ends_nothing() -> None:
    """Where the row falls a little short of 1 and no termination is given, the process goes on."""
    row = [0.3, 0.6, 0.1 - 2**-55]
    assert sum(Fraction(p) for p in row) < 1
    assert not any(reference.evaluate_episodic([[row]] * 3, [[1]] * 3, [[1]] * 3, [[0]] * 3).proper)


# ---- FiniteHorizon ----


def schedule(raw: RawModel, steps: int) -> list[Matrix]:
    """Return a policy for each step: that of the model, and in every other step the same the other way round."""
    policy = stored(raw).policy
    return [[pi[:: 1 - 2 * (t % 2)] for pi in policy] for t in range(steps)]


@every
def test_values_and_visits_over_a_finite_horizon(family: str) -> None:
    """Theory 2.8: what the visits earn is what the start is worth, with policies and discounts that change."""
    gamma = [HALF, Fraction(1), Fraction(0), Fraction(9, 10)]
    for raw in of_family(family, largest=9):
        model, policies = stored(raw), schedule(raw, 4)
        for discounts in (1, HALF, gamma[::2] * 2, gamma[:2] + gamma[3:] * 2):
            values = reference.evaluate_finite_horizon(
                model.transition, model.reward, policies, discounts, model.initial
            )
            visits = reference.occupancy_finite_horizon(model.transition, policies, model.initial, discounts)
            factors = discounts if isinstance(discounts, list) else [Fraction(discounts)] * 4
            weights = [Fraction(1), factors[0], factors[0] * factors[1], factors[0] * factors[1] * factors[2]]
            rewards = [[linear.dot(r, pi) for r, pi in zip(model.reward, policy, strict=True)] for policy in policies]
            earned = sum(
                w * linear.dot(p, r) for w, p, r in zip(weights, visits.distribution[:-1], rewards, strict=True)
            )
            assert values.start_value == earned, raw.name
            by_pair = sum(linear.dot(d, r) for d, r in zip(visits.pair, model.reward, strict=True))
            assert by_pair * sum(weights) == earned, raw.name
            assert [x / sum(weights) for x in visits.visits] == visits.state


@every
def test_a_finite_horizon_of_one_policy(family: str) -> None:
    """Theory 2.8: V_n = r_pi + P V_{n-1} does not know the horizon; the distributions are those of 2.4."""
    for raw in of_family(family):
        model = stored(raw)
        policies = [model.policy] * 5
        result = reference.evaluate_finite_horizon(model.transition, model.reward, policies)
        shorter = reference.evaluate_finite_horizon(model.transition, model.reward, policies[:3])
        assert result.value[2:] == shorter.value
        assert result.value[-2] == model.expected_reward
        assert not any(result.value[-1])
        occupancy = reference.occupancy_finite_horizon(model.transition, policies, model.initial)
        assert occupancy.distribution == reference.state_distribution(*model[:3:2], model.initial, 5)


def test_advantages_over_a_finite_horizon() -> None:
    for family in generated_chains.FAMILIES:
        model = mended(generated_chains.model(family, 0))
        result = reference.evaluate_finite_horizon(*model[:2], [model.policy] * 3, Fraction(9, 10))
        for advantage in result.advantage:
            assert all(linear.dot(pi, A) == 0 for pi, A in zip(model.policy, advantage, strict=True))


# ---- Discounted ----


@every
def test_objectives_of_a_discount(family: str) -> None:
    """Theory 3.3: J = (1 - gamma) rho0^T (I - gamma P)^-2 r, and sum d r = (1 - gamma) eta."""
    for raw in of_family(family, largest=9):
        model, gamma = stored(raw), Fraction(raw.gamma)
        result = reference.discounted_objectives(*model[:3], gamma, model.initial)
        P_pi = policy_transition(model.transition, model.policy)
        V = reference.evaluate(*model[:3], gamma).value
        twice = reference.evaluate(
            [[row] for row in P_pi], [[v] for v in V], [[1]] * raw.num_states, gamma, model.initial
        )
        assert twice.start_value is not None
        assert result.on_policy_objective == (1 - gamma) * twice.start_value, raw.name
        assert result.average_reward == (1 - gamma) * result.start_value, raw.name


@continuing
def test_futility_identity(family: str) -> None:
    for raw in of_family(family, largest=9):
        both = reference.futility_identity(*stored(raw)[:3], Fraction(raw.gamma))
        assert both.discounted == both.average, raw.name


@every
def test_random_horizon(family: str) -> None:
    """Theory 3.5: the values over a geometric number of steps approach the discounted one as fast as they should."""
    for raw in of_family(family, largest=9):
        model = mended(raw)
        for terms in (1, 4, 9):
            both = reference.random_horizon(*model[:3], raw.gamma, terms)
            missing = difference(both.value, both.partial)
            assert max(abs(x) for x in missing) <= both.bound, raw.name


@every
def test_death_mdp(family: str) -> None:
    """Theory 3.5: without a discount its values are V and its visits rho, and it lives for sum rho steps."""
    for raw in of_family(family, largest=9):
        model, gamma = mended(raw), Fraction(raw.gamma)
        death = reference.death_mdp(model.transition, gamma, model.termination)
        discounted = reference.evaluate(*model[:3], gamma, model.initial)
        episodic = reference.evaluate_episodic(
            death.transition, model.reward, model.policy, death.termination, model.initial
        )
        assert [known(Q) for Q in episodic.action_value] == discounted.action_value, raw.name
        assert episodic.value == discounted.value
        assert episodic.start_value == discounted.start_value
        rho = reference.occupancy(model.transition, model.policy, model.initial, gamma).visits
        visits = reference.occupancy_episodic(death.transition, model.policy, model.initial, death.termination)
        assert visits.visits == rho, raw.name
        lifetime = reference.episode_length(death.transition, model.policy, death.termination, model.initial)
        assert lifetime.start_mean == sum(rho)
        if family in generated_chains.CONTINUING:
            assert lifetime.start_mean == 1 / (1 - gamma)
            assert lifetime.start_variance == gamma / (1 - gamma) ** 2


@every
def test_restart_chain(family: str) -> None:
    """Theory 3.6: rho / sum rho is stationary."""
    for raw in of_family(family, largest=9):
        model, gamma = mended(raw), Fraction(raw.gamma)
        R = reference.restart_chain(model.transition, model.policy, model.initial, gamma)
        rho = reference.occupancy(model.transition, model.policy, model.initial, gamma).visits
        share = [x / sum(rho) for x in rho]
        assert linear.multiply(linear.transpose(R), share) == share, raw.name
        assert all(sum(row) == 1 for row in R)


# ---- bad input ----


def test_bad_input() -> None:
    one = [[[1]]], [[1]]
    with pytest.raises(ValueError, match="targets: expected numbers from 0 to 0, got 1"):
        reference.first_passage_times(*one, [1])
    with pytest.raises(ValueError, match="states: expected numbers from 0 to 0, got -1"):
        reference.deviation_rows(*one, [-1])
    with pytest.raises(ValueError, match="policies: expected at least one"):
        reference.evaluate_finite_horizon(one[0], [[1]], [])
    with pytest.raises(ValueError, match="2 factors, one for each step, got 1"):
        reference.occupancy_finite_horizon(one[0], [[[1]]] * 2, [1], [1])
    with pytest.raises(ValueError, match="gamma: expected 0 <= gamma <= 1"):
        reference.evaluate_finite_horizon(one[0], [[1]], [[[1]]], 1.5)
    with pytest.raises(ValueError, match="terms"):
        reference.random_horizon(one[0], [[1]], [[1]], 0.5, 0)
    with pytest.raises(ValueError, match="shorter"):
        reference.chain_structure(*one, [[0], [0]])


@pytest.mark.parametrize("call", [reference.death_mdp, lambda P, gamma: reference.restart_chain(P, [[1]], [1], gamma)])
def test_a_discount_of_one_is_none(call: Callable[[list[list[list[int]]], int], object]) -> None:
    with pytest.raises(ValueError, match="gamma: expected 0 <= gamma < 1, got 1"):
        call([[[1]]], 1)


# ---- the generated chains ----


@every
def test_generated_chains_are_models(family: str) -> None:
    for raw in of_family(family):
        assert 1 <= raw.num_states <= 16
        assert np.all(np.diff(raw.pair_start) > 0)
        assert min(raw.transition.min(), raw.policy.min(), raw.initial.min(), raw.termination.min()) >= 0
        assert np.abs(raw.transition.sum(axis=1) + raw.termination - 1).max() <= 2e-15, raw.name
        assert np.abs(np.add.reduceat(raw.policy, raw.pair_start[:-1]) - 1).max() <= 2e-15
        assert abs(raw.initial.sum() - 1) <= 2e-15
        proper = reference.evaluate_episodic(*stored(raw)[:4]).proper
        assert all(proper[s] for s in np.flatnonzero(raw.initial)) is (family in generated_chains.ENDING), raw.name


def test_shares_of_the_generated_chains(report: Callable[[str], None]) -> None:
    counts: Counter[str] = Counter()
    for family in generated_chains.FAMILIES:
        for index in range(40):
            counts.update(generated_chains.features(generated_chains.model(family, index)))
    total = 40 * len(generated_chains.FAMILIES)
    for feature, least in generated_chains.SHARES.items():
        assert counts[feature] >= least * total, feature
        report(f"generated chains with {feature}: {counts[feature]} of {total}")


def test_a_generated_chain_is_always_the_same() -> None:
    first, second = (generated_chains.model("nested_blocks", 7) for _ in range(2))
    assert first.name == second.name == "nested_blocks[7]"
    assert first.transition.tobytes() == second.transition.tobytes()
