"""The exact reference against known answers and against identities that it does not use."""

from __future__ import annotations

import doctest
import importlib
import pkgutil
import random
import subprocess
import sys
import textwrap
from fractions import Fraction
from pathlib import Path
from typing import NamedTuple

import flint
import numpy as np
import pytest

import generated_models
from rlcore import reference
from rlcore.reference import chain, linear
from rlcore.reference.rational import Kernel, Matrix, Vector

HALF = Fraction(1, 2)
GAMMAS = (Fraction(0), HALF, Fraction(9, 10), Fraction(99, 100), 1 - Fraction(1, 2**16))


class Model(NamedTuple):
    """A model and a policy in exact numbers: rows, policy and start sum to 1 without a defect."""

    transition: Kernel
    reward: Matrix
    policy: Matrix
    initial: Vector


def shares(weights: list[int]) -> Vector:
    """Return the weights divided by their sum."""
    return [Fraction(weight, sum(weights)) for weight in weights]


def random_model(seed: int, ending: bool = False) -> Model:
    """Return a ragged model of 1 to 7 states; with ``ending``, rows of which every one lacks some probability."""
    draw = random.Random(f"{seed}, {ending}")
    size = draw.randint(1, 7)
    counts = [draw.randint(1, 3) for _ in range(size)]

    def row(length: int) -> Vector:
        weights = [draw.choice([0, 0, 1, 2, 7]) for _ in range(length)]
        weights[draw.randrange(length)] = 1
        return shares([*weights, 1])[:-1] if ending else shares(weights)

    def distribution(length: int) -> Vector:
        return shares([draw.randint(0, 5) for _ in range(length - 1)] + [draw.randint(1, 5)])

    return Model(
        transition=[[row(size) for _ in range(count)] for count in counts],
        reward=[[Fraction(draw.randint(-9, 9), draw.randint(1, 4)) for _ in range(count)] for count in counts],
        policy=[distribution(count) for count in counts],
        initial=distribution(size),
    )


MODELS = [random_model(seed, ending) for seed in range(40) for ending in (False, True)]
CASES = [(model, GAMMAS[i // 2 % len(GAMMAS)]) for i, model in enumerate(MODELS)]


# Known answers.


def forest() -> Model:
    """A forest of three ages (pymdptoolbox): wait and risk a fire, or cut; an old one pays 4, its wood 2."""
    fire, zero, one = Fraction(1, 10), Fraction(0), Fraction(1)
    wait = [[fire, 1 - fire, zero], [fire, zero, 1 - fire], [fire, zero, 1 - fire]]
    return Model(
        transition=[[row, [one, zero, zero]] for row in wait],
        reward=reference.exact([[0, 0], [0, 1], [4, 2]]),
        policy=[[HALF, HALF]] * 3,
        initial=[Fraction(1, 3)] * 3,
    )


def test_forest() -> None:
    model, gamma = forest(), Fraction(9, 10)
    evaluation = reference.evaluate(*model[:3], gamma, model.initial)
    visits = reference.occupancy(model.transition, model.policy, model.initial, gamma).visits
    assert evaluation.start_value is not None
    assert float(evaluation.start_value) == pytest.approx(7.9672916667, abs=5e-11)
    assert [float(rho) for rho in visits] == pytest.approx([5.2833333, 2.4730833, 2.2435833], abs=5e-8)


def grid_step(row: int, column: int, move: tuple[int, int], size: int) -> tuple[int, int]:
    """Move on a square grid; a move off it leaves everything as it is."""
    target = row + move[0], column + move[1]
    return target if all(0 <= x < size for x in target) else (row, column)


def gridworld() -> Model:
    """Sutton & Barto (2018), example 3.5: a 5 by 5 grid with two cells from which every move pays and jumps."""
    jumps = {(0, 1): ((4, 1), 10), (0, 3): ((2, 3), 5)}
    transition, reward = [], []
    for cell in [(row, column) for row in range(5) for column in range(5)]:
        moves = [(-1, 0), (1, 0), (0, 1), (0, -1)]
        arrivals = [jumps.get(cell, (grid_step(*cell, move, 5), 0)) for move in moves]
        transition.append([[Fraction(s == 5 * row + column) for s in range(25)] for (row, column), _ in arrivals])
        reward.append([Fraction(pay if cell in jumps else -(target == cell)) for target, pay in arrivals])
    return Model(transition, reward, [[Fraction(1, 4)] * 4] * 25, [Fraction(1, 25)] * 25)


def test_gridworld() -> None:
    model = gridworld()
    value = reference.evaluate(*model[:3], Fraction(9, 10)).value
    assert [float(v) for v in value[:5]] == pytest.approx([3.30900, 8.78929, 4.42762, 5.32237, 1.49218], abs=5e-6)


def frozen_lake() -> Model:
    """FrozenLake 4x4 (Gymnasium): slippery ice, holes that end the process, 1 for arriving at the goal."""
    lake = "SFFFFHFHFFFHHFFG"
    turns = [(0, -1), (1, 0), (0, 1), (-1, 0)]
    transition, reward = [], []
    for s, here in enumerate(lake):
        rows, pay = [], []
        for a in range(4):
            row, goal = [Fraction(0)] * 16, Fraction(0)
            for slip in (-1, 0, 1):
                i, j = grid_step(s // 4, s % 4, turns[(a + slip) % 4], 4)
                if here in "SF" and lake[4 * i + j] in "SF":
                    row[4 * i + j] += Fraction(1, 3)
                goal += Fraction(here in "SF" and lake[4 * i + j] == "G", 3)
            rows.append(row)
            pay.append(goal)
        transition.append(rows)
        reward.append(pay)
    return Model(transition, reward, [[Fraction(1, 4)] * 4] * 16, [Fraction(s == 0) for s in range(16)])


def test_frozen_lake() -> None:
    model = frozen_lake()
    start_value = reference.evaluate(*model[:3], Fraction(99, 100), model.initial).start_value
    assert start_value is not None
    assert float(start_value) == pytest.approx(0.012356137, abs=5e-10)


@pytest.mark.parametrize("gamma", GAMMAS)
def test_two_state_chain_in_closed_form(gamma: Fraction) -> None:
    """Leave state 0 with probability a, state 1 with b: the resolvent by its eigenvalues."""
    a, b = Fraction(1, 3), Fraction(1, 7)
    transition = [[[1 - a, a]], [[b, 1 - b]]]
    slow, fast = 1 - gamma, 1 - gamma * (1 - a - b)
    # The eigenvalues of P are 1, with left vector (b, a), and 1 - a - b, with left vector (1, -1).
    expected = [
        [(b / slow + a / fast) / (a + b), (a / slow - a / fast) / (a + b)],
        [(b / slow - b / fast) / (a + b), (a / slow + b / fast) / (a + b)],
    ]
    assert reference.successor_representation(transition, [[1], [1]], gamma, [0, 1]) == expected
    assert reference.evaluate(transition, [[1], [0]], [[1], [1]], gamma).value == [row[0] for row in expected]


def test_constant_reward_is_a_geometric_series() -> None:
    for model, gamma in CASES[::2]:
        reward = [[Fraction(3)] * len(actions) for actions in model.policy]
        result = reference.evaluate(model.transition, reward, model.policy, gamma)
        assert result.value == [3 / (1 - gamma)] * len(model.initial)
        assert all(advantage == 0 for actions in result.advantage for advantage in actions)


# Identities.


@pytest.mark.parametrize(("model", "gamma"), CASES)
def test_value_and_visits_are_adjoint(model: Model, gamma: Fraction) -> None:
    """Theory 2.6: rho^T r_pi = rho0^T V, though one comes from a system and the other from its transposed."""
    evaluation = reference.evaluate(*model[:3], gamma, model.initial)
    occupancy = reference.occupancy(model.transition, model.policy, model.initial, gamma)
    pairs = sum(d * r for ds, rs in zip(occupancy.pair, model.reward, strict=True) for d, r in zip(ds, rs, strict=True))
    assert pairs == (1 - gamma) * linear.dot(model.initial, evaluation.value)
    assert evaluation.start_value == linear.dot(model.initial, evaluation.value)


@pytest.mark.parametrize(("model", "gamma"), CASES)
def test_advantages_average_to_zero(model: Model, gamma: Fraction) -> None:
    """Theory 2.3: sum_a pi A = 0 in every state."""
    advantage = reference.evaluate(*model[:3], gamma).advantage
    assert all(linear.dot(pi, A) == 0 for pi, A in zip(model.policy, advantage, strict=True))


@pytest.mark.parametrize(("model", "gamma"), CASES)
def test_total_visits(model: Model, gamma: Fraction) -> None:
    """Theory 2.5: sum rho = 1 / (1 - gamma), and less where the process may end."""
    occupancy = reference.occupancy(model.transition, model.policy, model.initial, gamma)
    ends = any(sum(row) < 1 for rows in model.transition for row in rows)
    assert sum(occupancy.visits) < 1 / (1 - gamma) if ends and gamma else sum(occupancy.visits) == 1 / (1 - gamma)
    assert [sum(row) for row in occupancy.pair] == occupancy.state
    assert min(occupancy.visits) >= 0


@pytest.mark.parametrize(("model", "gamma"), CASES)
def test_neumann_sums_enclose_the_value(model: Model, gamma: Fraction) -> None:
    """Theory 2.8: V lies within gamma^n max|r_pi| / (1 - gamma) of the sum of the first n discounted rewards."""
    P_pi = chain.policy_transition(model.transition, model.policy)
    r_pi = chain.policy_reward(model.reward, model.policy)
    value = reference.evaluate(*model[:3], gamma).value
    partial = [Fraction(0)] * len(r_pi)
    largest = max(abs(r) for r in r_pi)
    for n in range(12):
        remainder = gamma**n * largest / (1 - gamma)
        assert all(abs(v - total) <= remainder for v, total in zip(value, partial, strict=True))
        partial = [r + gamma * later for r, later in zip(r_pi, linear.multiply(P_pi, partial), strict=True)]


@pytest.mark.parametrize(("model", "gamma"), CASES)
def test_visits_are_the_discounted_sum_of_distributions(model: Model, gamma: Fraction) -> None:
    """Theory 2.4, 2.5: partial sums of gamma^t Pr(s_t = .) lie below rho and miss at most gamma^n / (1 - gamma)."""
    steps = 9
    rho = reference.occupancy(model.transition, model.policy, model.initial, gamma).visits
    rows = reference.state_distribution(model.transition, model.policy, model.initial, steps)
    partial = [sum(gamma**t * row[s] for t, row in enumerate(rows)) for s in range(len(rho))]
    missing = [whole - part for whole, part in zip(rho, partial, strict=True)]
    assert min(missing) >= 0
    assert sum(missing) <= gamma ** (steps + 1) / (1 - gamma)


@pytest.mark.parametrize(("model", "gamma"), CASES)
def test_successor_representation_is_the_resolvent(model: Model, gamma: Fraction) -> None:
    """Theory 2.7: X (I - gamma P) = I, X r_pi = V and rho0^T X = rho^T."""
    states = range(len(model.initial))
    X = reference.successor_representation(model.transition, model.policy, gamma, states)
    system = chain.discounted_system(chain.policy_transition(model.transition, model.policy), gamma)
    inflow = linear.transpose(system)
    assert [linear.multiply(inflow, row) for row in X] == [[Fraction(s == t) for t in states] for s in states]
    r_pi = chain.policy_reward(model.reward, model.policy)
    assert linear.multiply(X, r_pi) == reference.evaluate(*model[:3], gamma).value
    occupancy = reference.occupancy(model.transition, model.policy, model.initial, gamma)
    assert linear.multiply(linear.transpose(X), model.initial) == occupancy.visits


def test_action_value_is_one_step_of_lookahead() -> None:
    """Theory 2.2: Q is the value of taking the action first, and V its average."""
    for model, gamma in CASES:
        result = reference.evaluate(*model[:3], gamma)
        for s, rows in enumerate(model.transition):
            for a, row in enumerate(rows):
                assert result.action_value[s][a] == model.reward[s][a] + gamma * linear.dot(row, result.value)
            assert linear.dot(model.policy[s], result.action_value[s]) == result.value[s]


def test_a_defect_of_the_model_is_part_of_it() -> None:
    """Floats are taken at their word: three tenths do not make nine tenths, and the answer knows."""
    nearly_one = [[[0.1, 0.2, 0.7]]] * 3
    rounded = reference.evaluate(nearly_one, [[1]] * 3, [[1]] * 3, 0.5).value
    defect = sum(Fraction(p) for p in nearly_one[0][0]) - 1
    assert defect != 0
    assert rounded == [1 / (HALF - HALF * defect)] * 3


# Elimination.


@pytest.mark.parametrize("size", [1, 2, 3, 5, 8, 13])
def test_elimination_agrees_with_flint(size: int) -> None:
    """Against another exact solver, on matrices of both signs with zeros on the diagonal."""
    draw = random.Random(size)

    def entry() -> Fraction:
        return Fraction(draw.choice([0, 0, 1, -3, 10**20, draw.randint(-99, 99)]), draw.randint(1, 30))

    for _ in range(20):
        matrix = [[entry() for _ in range(size)] for _ in range(size)]
        columns = [[entry() for _ in range(size)] for _ in range(3)]
        theirs = flint.fmpq_mat(size, size, [flint.fmpq(x.numerator, x.denominator) for row in matrix for x in row])
        if theirs.det() == 0:
            with pytest.raises(ValueError, match="singular"):
                linear.solve(matrix, columns)
            continue
        for b, x in zip(columns, linear.solve(matrix, columns), strict=True):
            right = flint.fmpq_mat(size, 1, [flint.fmpq(y.numerator, y.denominator) for y in b])
            expected = theirs.solve(right)
            assert x == [Fraction(int(expected[i, 0].p), int(expected[i, 0].q)) for i in range(size)]


def test_elimination_without_right_hand_sides() -> None:
    assert linear.solve([[HALF]], []) == []


# Bad input.


def test_exact_takes_floats_at_their_binary_value() -> None:
    assert reference.exact(0.1) == Fraction(3602879701896397, 2**55)
    assert reference.exact([[1, 0.5], [], [Fraction(1, 3)]]) == [[1, HALF], [], [Fraction(1, 3)]]
    assert all(isinstance(x, Fraction) for x in reference.exact([1, 0.5, True]))


@pytest.mark.parametrize(("bad", "error"), [(float("nan"), ValueError), (float("inf"), OverflowError)])
def test_exact_refuses_what_is_not_a_number(bad: float, error: type[Exception]) -> None:
    with pytest.raises(error):
        reference.exact([bad])


def test_exact_refuses_numbers_that_wrap_around() -> None:
    with pytest.raises(TypeError):
        reference.exact([np.int64(2**62)])  # type: ignore[list-item]


@pytest.mark.parametrize("gamma", [1, -0.5, Fraction(3, 2)])
def test_gamma_out_of_range(gamma: float) -> None:
    with pytest.raises(ValueError, match="gamma"):
        reference.evaluate([[[1]]], [[1]], [[1]], gamma)


def test_shapes_that_do_not_fit() -> None:
    with pytest.raises(ValueError, match="rows of length 1"):
        reference.evaluate([[[1, 0]]], [[1]], [[1]], 0.5)
    with pytest.raises(ValueError, match="shorter"):
        reference.evaluate([[[1]]], [[1, 2]], [[1]], 0.5)
    with pytest.raises(ValueError, match="length 1"):
        reference.occupancy([[[1]]], [[1]], [1, 0], 0.5)
    with pytest.raises(ValueError, match="states"):
        reference.successor_representation([[[1]]], [[1]], 0.5, [1])
    with pytest.raises(ValueError, match="steps"):
        reference.state_distribution([[[1]]], [[1]], [1], -1)


# The generated models, and the package.


@pytest.mark.parametrize("family", generated_models.FAMILIES)
def test_reference_agrees_with_floating_point(family: str) -> None:
    """NumPy's solver, which knows nothing of the reference, comes as close as the condition of the system allows."""
    for index in range(2 * len(generated_models.GAMMAS)):
        raw = generated_models.model(family, index)
        policy = raw.by_state(raw.policy)
        value = reference.evaluate(raw.by_state(raw.transition), raw.by_state(raw.reward), policy, raw.gamma).value
        weighted = raw.policy[:, None] * np.column_stack([raw.transition, raw.reward])
        joined = np.add.reduceat(weighted, raw.pair_start[:-1])
        system = np.eye(raw.num_states) - raw.gamma * joined[:, :-1]
        # |error| <= cond * a few roundings, and for I - gamma P the condition is at most 2 / (1 - gamma).
        scale = np.abs(raw.reward).max() / (1 - raw.gamma) ** 2
        error = np.linalg.solve(system, joined[:, -1]) - np.array([float(v) for v in value])
        assert np.abs(error).max() <= 32 * raw.num_states * np.finfo(float).eps * scale, raw.name


@pytest.mark.parametrize("family", generated_models.FAMILIES)
def test_generated_models_are_models(family: str) -> None:
    for index in range(50):
        raw = generated_models.model(family, index)
        assert raw.transition.shape == (len(raw.reward), raw.num_states)
        assert np.all(np.diff(raw.pair_start) > 0)
        assert min(raw.transition.min(), raw.policy.min(), raw.initial.min(), raw.termination.min()) >= 0
        rounding = 4e-16 * max(raw.num_states, 4)
        assert np.abs(raw.transition.sum(axis=1) + raw.termination - 1).max() <= rounding, raw.name
        assert np.abs(np.add.reduceat(raw.policy, raw.pair_start[:-1]) - 1).max() <= rounding, raw.name
        assert abs(raw.initial.sum() - 1) <= rounding, raw.name


def test_a_generated_model_is_always_the_same() -> None:
    first, second = (generated_models.model("everything", 7) for _ in range(2))
    assert first.name == second.name == "everything[7]"
    assert first.transition.tobytes() == second.transition.tobytes()


@pytest.mark.parametrize("module", ["", *(f".{m.name}" for m in pkgutil.iter_modules(reference.__path__))])
def test_examples(module: str) -> None:
    outcome = doctest.testmod(importlib.import_module(reference.__name__ + module))
    assert outcome.attempted > 0
    assert outcome.failed == 0


def test_reference_stands_alone() -> None:
    """Loaded from its folder under another name, the core out of reach, it answers and imports nothing of rlcore."""
    program = """
        import sys
        from importlib.util import module_from_spec, spec_from_file_location
        sys.modules["rlcore"] = sys.modules["rlcore._core"] = None
        folder = sys.argv[1]
        spec = spec_from_file_location("alone", folder + "/__init__.py", submodule_search_locations=[folder])
        sys.modules["alone"] = alone = module_from_spec(spec)
        spec.loader.exec_module(alone)
        assert alone.evaluate([[[1]]], [[1]], [[1]], alone.exact(0.5)).value == [2]
        assert alone.occupancy([[[1]]], [[1]], [1], 0.5).visits == [2]
        assert set(alone.bounds([[[1]]], [[1]], [[1]], [1], 0.5, [[1]]).values()) == {0}
        known = {"__main__", "alone", "rlcore", *sys.stdlib_module_names}
        print(sorted({name.partition(".")[0] for name in sys.modules} - known))
    """
    folder = str(Path(reference.__path__[0]))
    command = [sys.executable, "-I", "-S", "-W", "error", "-c", textwrap.dedent(program), folder]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    assert result.stdout.strip() == "[]"
