"""The references for optimal policies against brute force, linear programmes and published answers."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from fractions import Fraction
from math import prod

import numpy as np
import pytest
from scipy.optimize import linprog

import generated_chains
import generated_models
from generated_models import RawModel
from rlcore import reference
from rlcore.reference.linear import dot
from rlcore.reference.rational import Kernel, Matrix, Vector
from rlcore.reference.structure import ending_rows, policy_chain, structure_of
from test_reference_settings import stored

HALF = Fraction(1, 2)
ENUMERABLE = 250
"""Models with no more deterministic policies than this are enumerated."""

Ending = tuple[Kernel, Matrix, Matrix]
"""Transition, reward and termination."""


# Models.


def deterministic_policies(transition: Kernel) -> Iterator[Matrix]:
    for actions in itertools.product(*(range(len(rows)) for rows in transition)):
        yield [[Fraction(a == b) for b in range(len(rows))] for a, rows in zip(actions, transition, strict=True)]


def is_enumerable(raw: RawModel) -> bool:
    return prod(int(n) for n in raw.num_actions) <= ENUMERABLE


def models(families: dict[str, Callable[..., RawModel]], make: Callable[[str, int], RawModel]) -> list[RawModel]:
    found = [make(family, index) for family in families for index in range(12)]
    return [raw for raw in found if is_enumerable(raw)]


DISCOUNTED = models(generated_models.FAMILIES, generated_models.model)
CONTINUING = models(generated_chains.CONTINUING, generated_chains.model)
ENDING = models(generated_chains.ENDING, generated_chains.model)


def name(raw: RawModel) -> str:
    return raw.name


def test_enough_models() -> None:
    """Brute force has something to choose from: a hundred models and more of each kind with several policies."""
    for found in (DISCOUNTED, CONTINUING, ENDING):
        assert sum(len(raw.reward) > raw.num_states for raw in found) >= 30, len(found)


def random_ending(seed: int) -> Ending:
    """Return a small model with zero and opposite rewards, loops, and states from which there may be no end."""
    rng = np.random.default_rng([20, seed])
    states = int(rng.integers(1, 5))
    counts = rng.integers(1, 4, states)
    transition, termination = [], []
    for count in counts:
        rows, ends = [], []
        for _ in range(count):
            shares = np.zeros(states + 1, dtype=int)
            np.add.at(shares, rng.integers(0, states + (rng.random() < 0.6), size=rng.integers(1, 4)), 1)
            total = int(shares.sum())
            rows.append([Fraction(int(n), total) for n in shares[:-1]])
            ends.append(Fraction(int(shares[-1]), total))
        transition.append(rows)
        termination.append(ends)
    reward = [[Fraction(int(rng.choice([-1, -1, 0, 0, 0, 1]))) for _ in range(count)] for count in counts]
    return transition, reward, termination


SMALL_ENDING = [random_ending(seed) for seed in range(600)]


# Discounted.


@pytest.mark.parametrize("raw", DISCOUNTED, ids=name)
def test_no_policy_is_better_with_a_discount(raw: RawModel) -> None:
    model = stored(raw)
    optimum = reference.solve(model.transition, model.reward, raw.gamma, model.initial)
    values = [
        reference.evaluate(model.transition, model.reward, policy, raw.gamma).value
        for policy in deterministic_policies(model.transition)
    ]
    assert optimum.value == [max(at) for at in zip(*values, strict=True)]
    assert optimum.value == [max(row) for row in optimum.action_value]
    own = reference.evaluate(model.transition, model.reward, optimum.policy, raw.gamma, model.initial)
    assert own.value == optimum.value
    assert own.start_value == optimum.start_value


def test_first_of_equals() -> None:
    optimum = reference.solve([[[1], [1], [1]]], [[0, 1, 1]], HALF)
    assert optimum.policy == [[0, 1, 0]]


FOREST = (
    [
        [[Fraction(1, 10), Fraction(9, 10), 0], [1, 0, 0]],
        [[Fraction(1, 10), 0, Fraction(9, 10)], [1, 0, 0]],
        [[Fraction(1, 10), 0, Fraction(9, 10)], [1, 0, 0]],
    ],
    [[0, 0], [0, 1], [4, 2]],
)
"""Wait or cut, a fire in every tenth year: the example of pymdptoolbox."""


def test_forest() -> None:
    transition, reward = FOREST
    optimum = reference.solve(transition, reward, Fraction(9, 10))
    assert optimum.value == [Fraction(n, 250) for n in (6561, 7371, 8371)]
    assert optimum.policy == [[1, 0]] * 3
    assert reference.solve_average(transition, reward).gain == [Fraction(81, 25)] * 3


def frozen_lake() -> tuple[Kernel, Matrix, Matrix]:
    """Return FrozenLake-v1 on its 4 by 4 map, slippery: holes and the goal end the episode when they are entered."""
    lake = "SFFFFHFHFFFHHFFG"
    moves = [(0, -1), (1, 0), (0, 1), (-1, 0)]
    transition, reward, termination = [], [], []
    for s, here in enumerate(lake):
        rows, rewards, ends = [], [], []
        for a in range(4):
            row, goal, end = [Fraction(0)] * 16, Fraction(0), Fraction(here in "HG")
            for down, right in [moves[(a + turn) % 4] for turn in (-1, 0, 1)] if end == 0 else []:
                t = 4 * min(max(s // 4 + down, 0), 3) + min(max(s % 4 + right, 0), 3)
                if lake[t] in "HG":
                    end += Fraction(1, 3)
                    goal += Fraction(lake[t] == "G", 3)
                else:
                    row[t] += Fraction(1, 3)
            rows.append(row)
            rewards.append(goal)
            ends.append(end)
        transition.append(rows)
        reward.append(rewards)
        termination.append(ends)
    return transition, reward, termination


def test_frozen_lake() -> None:
    """At gamma 1 a policy is wanted that never falls in; 14/17 is what one does that slips as rarely as possible."""
    transition, reward, termination = frozen_lake()
    start = [Fraction(s == 0) for s in range(16)]
    assert reference.solve_episodic(transition, reward, termination, start).start_value == Fraction(14, 17)
    discounted = reference.solve(transition, reward, Fraction(99, 100), start).start_value
    assert float(discounted) == 0.5420259320004729


# Finite horizon.


@pytest.mark.parametrize("raw", [raw for raw in DISCOUNTED if prod(raw.num_actions) ** 2 <= ENUMERABLE], ids=name)
def test_no_sequence_of_policies_is_better(raw: RawModel) -> None:
    model, discounts = stored(raw), [Fraction(1, 2), Fraction(9, 10)]
    optimum = reference.solve_finite_horizon(model.transition, model.reward, 2, discounts, model.initial)
    every = itertools.product(deterministic_policies(model.transition), repeat=2)
    values = [
        reference.evaluate_finite_horizon(model.transition, model.reward, policies, discounts).value
        for policies in every
    ]
    assert optimum.value == [[max(at) for at in zip(*when, strict=True)] for when in zip(*values, strict=True)]
    own = reference.evaluate_finite_horizon(model.transition, model.reward, optimum.policies, discounts, model.initial)
    assert own.value == optimum.value
    assert own.start_value == optimum.start_value


# Average.


@pytest.mark.parametrize("raw", CONTINUING, ids=name)
def test_no_policy_has_a_larger_gain(raw: RawModel) -> None:
    model = stored(raw)
    optimum = reference.solve_average(model.transition, model.reward, model.initial, model.termination)
    gains = [
        reference.evaluate_average(model.transition, model.reward, policy).gain
        for policy in deterministic_policies(model.transition)
    ]
    assert optimum.gain == [max(at) for at in zip(*gains, strict=True)]
    own = reference.evaluate_average(model.transition, model.reward, optimum.policy, model.initial)
    assert (own.gain, own.bias, own.on_policy_objective) == (optimum.gain, optimum.bias, optimum.start_gain)


@pytest.mark.parametrize("seed", range(300))
def test_no_policy_has_a_larger_gain_in_models_that_fall_apart(seed: int) -> None:
    """Rows of few successors and equal rewards: several classes, classes that are left, ties in the gain."""
    transition, reward, termination = random_ending(seed)
    whole = [
        [row if end == 0 else [p / (1 - end) for p in row] if end < 1 else [Fraction(t == s) for t in range(len(row))]
         for row, end in zip(rows, ends, strict=True)]
        for s, (rows, ends) in enumerate(zip(transition, termination, strict=True))
    ]  # fmt: skip
    optimum = reference.solve_average(whole, reward)
    gains = [reference.evaluate_average(whole, reward, policy).gain for policy in deterministic_policies(whole)]
    assert optimum.gain == [max(at) for at in zip(*gains, strict=True)]


def test_two_classes_of_different_gain() -> None:
    """A state between two that are never left: gain 1 or 3 by its action, 2 by the third."""
    transition = [[[1, 0, 0]], [[1, 0, 0], [0, 0, 1], [HALF, 0, HALF]], [[0, 0, 1]]]
    optimum = reference.solve_average(transition, [[1], [100, 0, 0], [3]], [HALF, HALF, 0])
    assert optimum.gain == [1, 3, 3]
    assert optimum.bias == [0, -3, 0]
    assert optimum.start_gain == 2
    assert optimum.policy[1] == [0, 1, 0]


def test_bias_decides_between_equal_gains() -> None:
    """Two ways to the same class, one of which pays on the way."""
    transition = [[[0, 1], [0, 1]], [[0, 1]]]
    optimum = reference.solve_average(transition, [[5, 7], [1]])
    assert optimum.policy[0] == [0, 1]
    assert optimum.bias == [6, 0]


def test_average_that_can_end() -> None:
    with pytest.raises(ValueError, match="cannot end"):
        reference.solve_average([[[HALF]]], [[1]], termination=[[HALF]])


# End components.


def is_end_component(transition: Kernel, termination: Matrix, states: tuple[int, ...]) -> bool:
    """Return whether the pairs of the states that stay among them lead from each to each."""
    staying = {
        s: [
            [t for t, p in enumerate(row) if p > 0]
            for row, end in zip(transition[s], termination[s], strict=True)
            if end == 0 and all(p == 0 or t in states for t, p in enumerate(row))
        ]
        for s in states
    }
    if not all(staying.values()):
        return False
    for s in states:
        found, new = set(), {s}
        while new:
            found |= new
            new = {t for u in new for row in staying[u] for t in row} - found
        if found != set(states):
            return False
    return True


@pytest.mark.parametrize("model", SMALL_ENDING)
def test_end_components_are_the_largest_of_all_subsets(model: Ending) -> None:
    transition, _, termination = model
    subsets = [
        subset
        for size in range(1, len(transition) + 1)
        for subset in itertools.combinations(range(len(transition)), size)
        if is_end_component(transition, termination, subset)
    ]
    largest = [list(x) for x in subsets if not any(set(x) < set(y) for y in subsets)]
    found = reference.end_components(transition, termination)
    assert [component.states for component in found] == sorted(largest)
    for component in found:
        assert component.pairs == [
            (s, a)
            for s in component.states
            for a, row in enumerate(transition[s])
            if termination[s][a] == 0 and all(p == 0 or t in component.states for t, p in enumerate(row))
        ]


# Episodes.


def proper_values(transition: Kernel, reward: Matrix, termination: Matrix) -> list[list[Fraction | None]]:
    """Return the values of all deterministic policies, None where they do not surely end."""
    return [
        reference.evaluate_episodic(transition, reward, policy, termination).value
        for policy in deterministic_policies(transition)
    ]


def has_a_growing_sum(transition: Kernel, reward: Matrix, termination: Matrix, endable: list[bool]) -> bool:
    """Return whether a policy has a recurrent class of positive gain among states that can surely be ended from."""
    rows = ending_rows(transition, termination)
    for policy in deterministic_policies(transition):
        chain = policy_chain(transition, policy, termination)
        classes = structure_of(chain).recurrent_classes
        distributions = reference.stationary_distributions(transition, policy, termination)
        expected = [dot(r, p) for r, p in zip(reward, policy, strict=True)]
        assert len(rows) == len(chain.P_pi)
        for members, d in zip(classes, distributions, strict=True):
            if all(endable[s] for s in members) and dot(d, expected) > 0:
                return True
    return False


def check_episodic(transition: Kernel, reward: Matrix, termination: Matrix) -> str:
    """Compare with all deterministic policies; return what became of the model."""
    values = proper_values(transition, reward, termination)
    endable = [any(v[s] is not None for v in values) for s in range(len(transition))]
    if has_a_growing_sum(transition, reward, termination, endable):
        with pytest.raises(reference.UnboundedValueError) as caught:
            reference.solve_episodic(transition, reward, termination)
        whole = [component.states for component in reference.end_components(transition, termination)]
        assert all(any(set(c) <= set(w) for w in whole) for c in caught.value.components)
        return "unbounded"
    optimum = reference.solve_episodic(transition, reward, termination)
    best = [max((v[s] for v in values if v[s] is not None), default=None) for s in range(len(transition))]
    assert optimum.value == best
    own = reference.evaluate_episodic(transition, reward, optimum.policy, termination)
    assert own.value == best
    return "finite" if all(endable) else "endless in part" if any(endable) else "endless"


def test_no_policy_that_ends_is_better_in_small_models() -> None:
    """Loops of no reward and of rewards that cancel, loops that earn and that cost, and states without an end."""
    found = [check_episodic(*model) for model in SMALL_ENDING]
    for kind in ("finite", "unbounded", "endless in part", "endless"):
        assert found.count(kind) >= 20, kind


@pytest.mark.parametrize("raw", ENDING, ids=name)
def test_no_policy_that_ends_is_better(raw: RawModel) -> None:
    model = stored(raw)
    check_episodic(model.transition, model.reward, model.termination)


def test_zero_reward_loop_that_looks_like_a_value() -> None:
    """V = 1 solves the equation of the waiting state; but who waits for ever gets nothing, and who leaves 1/2."""
    transition, reward, termination = [[[1], [0]]], [[0, HALF]], [[0, 1]]
    optimum = reference.solve_episodic(transition, reward, termination, [1])
    assert optimum.value == [HALF]
    assert optimum.start_value == HALF
    assert optimum.policy == [[0, 1]]


def test_loop_of_rewards_that_cancel() -> None:
    """Round and round for 3 - 3 = 0; the end is best reached after the 3, from either side."""
    transition, termination = [[[0, 1], [0, 0]], [[1, 0], [0, 0]]], [[0, 1], [0, 1]]
    optimum = reference.solve_episodic(transition, [[3, 0], [-3, 0]], termination)
    assert optimum.value == [3, 0]
    with pytest.raises(reference.UnboundedValueError) as caught:
        reference.solve_episodic(transition, [[3, 0], [Fraction(-3) + Fraction(1, 2**60), 0]], termination)
    assert caught.value.components == [[0, 1]]


def test_loop_that_costs_is_left_at_a_price() -> None:
    """Staying costs 1 a step and leaving 10: without a discount there is nothing to wait for."""
    optimum = reference.solve_episodic([[[1], [0]]], [[-1, -10]], [[0, 1]])
    assert optimum.value == [-10]


def test_start_where_nothing_ends() -> None:
    transition, reward, termination = [[[0, 0], [0, 1]], [[0, 1]]], [[-1, 0], [9]], [[1, 0], [0]]
    optimum = reference.solve_episodic(transition, reward, termination, [1, 0])
    assert optimum.value == [-1, None]
    assert optimum.start_value == -1
    with pytest.raises(reference.ImproperPolicyError, match=r"\[\[1\]\]"):
        reference.solve_episodic(transition, reward, termination, [HALF, HALF])


# Linear programmes.


def least_majorant(rows: Matrix, reward: Vector, owner: list[int], discount: float) -> np.ndarray:
    """Return min sum V with V(s) >= r(s, a) + discount sum P V for all pairs, by HiGHS."""
    stay = np.eye(max(owner) + 1)[owner]
    matrix = discount * np.array([[float(p) for p in row] for row in rows]) - stay
    found = linprog(
        np.ones(stay.shape[1]), A_ub=matrix, b_ub=[-float(r) for r in reward], bounds=(None, None), method="highs"
    )
    assert found.status == 0, found.message
    return found.x


def flat_model(transition: Kernel, reward: Matrix) -> tuple[Matrix, Vector, list[int]]:
    owner = [s for s, rows in enumerate(transition) for _ in rows]
    return [row for rows in transition for row in rows], [r for row in reward for r in row], owner


@pytest.mark.parametrize("raw", [raw for raw in DISCOUNTED if raw.gamma <= 0.9 and raw.name.startswith(
    ("dense", "sparse", "ragged", "termination_somewhere", "absorbing", "periodic", "policy"))], ids=name)  # fmt: skip
def test_discounted_linear_programme(raw: RawModel) -> None:
    model = stored(raw)
    optimum = reference.solve(model.transition, model.reward, raw.gamma)
    found = least_majorant(*flat_model(model.transition, model.reward), discount=raw.gamma)
    assert np.allclose(found, [float(v) for v in optimum.value], rtol=1e-6, atol=1e-6)  # HiGHS is content with 1e-7


def test_episodic_linear_programme() -> None:
    """The smallest vector that no step exceeds is V*, also where rewards of 0 go round and round."""
    compared = 0
    for transition, reward, termination in SMALL_ENDING:
        try:
            optimum = reference.solve_episodic(transition, reward, termination)
        except reference.UnboundedValueError:
            continue
        if None in optimum.value:
            continue
        compared += 1
        found = least_majorant(*flat_model(transition, reward), discount=1.0)
        assert np.allclose(found, [float(v) for v in optimum.value if v is not None], rtol=1e-6, atol=1e-6)
    assert compared >= 50
