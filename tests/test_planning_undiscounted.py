"""`solve` without a discount: against all deterministic policies of small models, linear programs, and known answers.

The optimum over policies is attained by one of the deterministic ones, so that small models are solved exactly by
trying them all, each in exact arithmetic.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
import scipy.optimize
import scipy.sparse as sp
from numpy.typing import NDArray

import generated_chains
import rlcore as rl
from test_agreement import core_model

Rows = list[tuple[dict[int, Fraction], Fraction, Fraction]]  # successors, termination, reward


def exact_rows(mdp: rl.MDP) -> list[Rows]:
    """Return the pairs of each state as fractions; what is missing in a row's sum stays where it is."""
    P = sp.csr_matrix(mdp.transition)
    reward = np.ravel(mdp.reward)
    termination = np.zeros(mdp.num_pairs) if mdp.termination is None else np.ravel(mdp.termination)
    states: list[Rows] = []
    for state in range(mdp.num_states):
        rows: Rows = []
        for pair in range(mdp.pair_start[state], mdp.pair_start[state + 1]):
            begin, end = P.indptr[pair], P.indptr[pair + 1]
            there = {int(j): Fraction(p) for j, p in zip(P.indices[begin:end], P.data[begin:end], strict=True) if p}
            there.pop(state, None)
            ends = Fraction(termination[pair])
            there[state] = 1 - ends - sum(there.values())
            if sp.csr_matrix(P[pair])[0, state] == 0.0 and abs(there[state]) < Fraction(1, 10**9):
                defect = there.pop(state)
                assert abs(defect) < 1e-12
                there = {j: p / (1 - ends - defect) * (1 - ends) for j, p in there.items()}
            rows.append((there, ends, Fraction(reward[pair])))
        states.append(rows)
    return states


def solve_exactly(A: list[list[Fraction]], b: list[list[Fraction]]) -> list[list[Fraction]]:
    """Solve A X = b by elimination."""
    size = len(A)
    rows = [list(row) + list(right) for row, right in zip(A, b, strict=True)]
    for i in range(size):
        pivot = next(k for k in range(i, size) if rows[k][i] != 0)
        rows[i], rows[pivot] = rows[pivot], rows[i]
        rows[i] = [x / rows[i][i] for x in rows[i]]
        for k in range(size):
            if k != i and rows[k][i] != 0:
                factor = rows[k][i]
                rows[k] = [x - factor * y for x, y in zip(rows[k], rows[i], strict=True)]
    return [row[size:] for row in rows]


def closure(steps: list[set[int]]) -> list[set[int]]:
    """Return what each state leads to, itself included."""
    reached = [{i} | step for i, step in enumerate(steps)]
    for _ in steps:
        reached = [set().union(*(reached[j] for j in seen)) for seen in reached]
    return reached


def choices(states: list[Rows]) -> Iterator[list[Any]]:
    yield from (list(choice) for choice in itertools.product(*states))


def episodic_values(chosen: list[Any]) -> list[Fraction | None]:
    """Return the value of each state, None where the process may go on for ever."""
    size = len(chosen)
    reached = closure([{j for j, p in there.items() if p > 0} for there, _, _ in chosen])
    can_end = [any(chosen[j][1] > 0 for j in reached[i]) for i in range(size)]
    proper = [i for i in range(size) if all(can_end[j] for j in reached[i])]
    place = {i: k for k, i in enumerate(proper)}
    A = [[Fraction(int(i == j)) - chosen[i][0].get(j, Fraction(0)) for j in proper] for i in proper]
    found = solve_exactly(A, [[chosen[i][2]] for i in proper])
    return [found[place[i]][0] if i in place else None for i in range(size)]


def gains(chosen: list[Any]) -> list[Fraction]:
    """Return the gain of each state."""
    size = len(chosen)
    steps = [{j for j, p in there.items() if p > 0} for there, _, _ in chosen]
    reached = closure(steps)
    recurrent = [all(i in reached[j] for j in reached[i]) for i in range(size)]
    gain: dict[int, Fraction] = {}
    for i in range(size):
        if not recurrent[i] or i in gain:
            continue
        members = sorted(reached[i])
        # d (I - P) = 0 with one column replaced by sum d = 1, transposed.
        A = [
            [Fraction(int(k == j)) - chosen[k][0].get(j, Fraction(0)) for k in members]
            if j != members[0]
            else [Fraction(1)] * len(members)
            for j in members
        ]
        d = solve_exactly(A, [[Fraction(int(j == members[0]))] for j in members])
        mean = sum((x[0] * chosen[j][2] for x, j in zip(d, members, strict=True)), Fraction(0))
        gain.update(dict.fromkeys(members, mean))
    passing = [i for i in range(size) if not recurrent[i]]
    A = [[Fraction(int(i == j)) - chosen[i][0].get(j, Fraction(0)) for j in passing] for i in passing]
    b = [[sum((p * gain[j] for j, p in chosen[i][0].items() if j in gain), Fraction(0))] for i in passing]
    gain.update({i: x[0] for i, x in zip(passing, solve_exactly(A, b), strict=True)})
    return [gain[i] for i in range(size)]


def taken(states: list[Rows], policy: NDArray[np.float64], mdp: rl.MDP) -> list[Any]:
    """Return the rows that a deterministic policy takes."""
    flat = np.ravel(policy)
    assert set(flat.tolist()) <= {0.0, 1.0}
    return [rows[int(np.argmax(flat[mdp.pair_start[s] : mdp.pair_start[s + 1]]))] for s, rows in enumerate(states)]


def has_positive_cycle(states: list[Rows]) -> bool:
    """Whether some policy has a class without an end, within the states from which some policy surely ends, whose gain
    is above zero."""
    best = best_episodic(states)
    usable = [
        [row for row in rows if all(best[j] is not None for j, p in row[0].items() if p > 0)]
        if best[s] is not None
        else []
        for s, rows in enumerate(states)
    ]
    kept = [rows or [({s: Fraction(1)}, Fraction(0), Fraction(0))] for s, rows in enumerate(usable)]
    for chosen in choices(kept):
        steps = [{j for j, p in there.items() if p > 0} for there, _, _ in chosen]
        reached = closure(steps)
        for i in range(len(kept)):
            closed = all(i in reached[j] for j in reached[i]) and all(chosen[j][1] == 0 for j in reached[i])
            if (
                closed
                and gains(
                    [chosen[j] if j in reached[i] else ({j: Fraction(1)}, 0, Fraction(0)) for j in range(len(kept))]
                )[i]
                > 0
            ):
                return True
    return False


def best_episodic(states: list[Rows]) -> list[Fraction | None]:
    best: list[Fraction | None] = [None] * len(states)
    for chosen in choices(states):
        for s, value in enumerate(episodic_values(chosen)):
            if value is not None and (best[s] is None or value > best[s]):  # type: ignore[operator]
                best[s] = value
    return best


def random_model(rng: np.random.Generator, ends: bool, rewards: str) -> rl.MDP:
    """Draw a small model with few successors, so that it falls into components, loops and dead ends."""
    size = int(rng.integers(1, 6))
    counts = rng.integers(1, 4, size)
    if counts.prod() > 40:
        counts = np.minimum(counts, 2)
    start = np.concatenate([[0], np.cumsum(counts)])
    pairs = int(start[-1])
    P = np.zeros((pairs, size))
    termination = np.zeros(pairs)
    for pair in range(pairs):
        weights = rng.choice([0.25, 0.5, 0.75]), 0.0
        i, j = rng.integers(size, size=2)
        if rng.random() < 0.3:  # it stays
            i = j = int(np.searchsorted(start, pair, side="right")) - 1
        P[pair, i] += weights[0]
        P[pair, j] += 1.0 - weights[0]
        if ends and rng.random() < 0.35:
            P[pair] *= 0.5
            termination[pair] = 0.5
        elif ends and rng.random() < 0.1:
            P[pair] = 0.0
            termination[pair] = 1.0
    if rewards == "zero or one":
        r = rng.integers(0, 2, pairs).astype(float) * (termination > 0)
    elif rewards == "costs":
        r = -rng.integers(0, 3, pairs).astype(float)
    elif rewards == "whole":
        r = rng.integers(-2, 3, pairs).astype(float)
    else:
        r = rng.normal(size=pairs)
    return rl.MDP(sp.csr_matrix(P), r, pair_start=start, termination=termination if ends else None)


def inside(exact: Fraction, found: float, bound: float) -> bool:
    return abs(exact - Fraction(found)) <= Fraction(bound)


@pytest.mark.parametrize("rewards", ["zero or one", "costs", "whole", "normal"])
@pytest.mark.parametrize("tol", [1e-6, 0.0])
def test_episodes_against_all_policies(rewards: str, tol: float) -> None:
    rng = np.random.default_rng([len(rewards), int(tol > 0)])
    solved = unbounded = dead = 0
    for number in range(150):
        mdp = random_model(rng, True, rewards)
        states = exact_rows(mdp)
        where = f"{rewards}[{number}]"
        if has_positive_cycle(states):
            unbounded += 1
            with pytest.raises(rl.UnboundedValueError):
                rl.solve(mdp, rl.Episodic(), tol=tol)
            continue
        best = best_episodic(states)
        try:
            found = rl.solve(mdp, rl.Episodic(), tol=tol)
        except rl.ConvergenceError:
            # A loop of rewards that cancel: no enclosure can tell its gain from one above zero (theory 3.7).
            assert has_cancelling_loop(states), where
            continue
        solved += 1
        own = episodic_values(taken(states, found.policy, mdp))
        bounds = found.certificate.bounds
        for s, value in enumerate(best):
            assert math.isnan(found.value[s]) == (value is None), where
            if value is None:
                dead += 1
                continue
            assert inside(value, found.value[s], found.certificate.error_bound), where
            assert own[s] is not None, f"{where}: the policy is improper"
            assert 0 <= value - own[s] <= Fraction(bounds["policy_value"]), where
        scale = np.nanmax(np.abs(found.value), initial=0.0) or np.abs(mdp.reward).max()
        assert tol == 0.0 or found.certificate.error_bound <= tol * scale, where
    assert solved > 50
    assert dead > 10
    if rewards in ("whole", "normal"):
        assert unbounded > 5


def lingering_model(rng: np.random.Generator) -> rl.MDP:
    """Draw a small model in which the steps that matter are rare, so that policies last up to 2^200 steps."""
    size = int(rng.integers(3, 6))
    counts = rng.integers(1, 3, size)
    start = np.concatenate([[0], np.cumsum(counts)])
    pairs = int(start[-1])
    P, termination, reward = np.zeros((pairs, size)), np.zeros(pairs), np.zeros(pairs)
    for pair in range(pairs):
        rare = 2.0 ** -int(rng.integers(1, 50))
        P[pair, rng.integers(size)] += 1.0 - rare
        if rng.random() < 0.6:
            P[pair, rng.integers(size)] += rare
        else:
            termination[pair] = rare
            reward[pair] = rare * float(rng.integers(0, 2))
    return rl.MDP(sp.csr_matrix(P), reward, pair_start=start, termination=termination)


def episode_lengths(chosen: list[Any]) -> list[Fraction]:
    """Return the expected lengths that are finite."""
    return [t for t in episodic_values([(row, ends, Fraction(1)) for row, ends, _ in chosen]) if t is not None]


@pytest.mark.parametrize("tol", [1e-6, 0.0])
def test_policies_that_linger_against_all_policies(tol: float) -> None:
    rng = np.random.default_rng(5)
    solved = lingering = 0
    for number in range(300):
        mdp = lingering_model(rng)
        states = exact_rows(mdp)
        best = best_episodic(states)
        if all(value is None for value in best):
            continue
        found = rl.solve(mdp, rl.Episodic(), tol=tol, raise_on_failure=False)
        longest = max((t for chosen in choices(states) for t in episode_lengths(chosen)), default=Fraction(0))
        if found.certificate.status != "converged":
            # Twofold numbers have 2^106: no time of that kind has a digit left for its single steps.
            assert longest > 2**75, f"[{number}]"
            continue
        solved += 1
        chosen = taken(states, found.policy, mdp)
        lingering += max(episode_lengths(chosen)) > 2**53
        for s, (value, own) in enumerate(zip(best, episodic_values(chosen), strict=True)):
            where = f"[{number}], state {s}"
            assert math.isnan(found.value[s]) == (value is None), where
            if value is None:
                continue
            assert inside(value, found.value[s], found.certificate.error_bound), where
            assert own is not None, where
            assert 0 <= value - own <= Fraction(found.certificate.bounds["policy_value"]), where
    assert solved > 250
    assert lingering > 15


def has_cancelling_loop(states: list[Rows]) -> bool:
    """Whether some class without an end has a gain of zero from rewards that are not."""
    for chosen in choices(states):
        reached = closure([{j for j, p in there.items() if p > 0} for there, _, _ in chosen])
        for i in range(len(states)):
            closed = all(i in reached[j] for j in reached[i]) and all(chosen[j][1] == 0 for j in reached[i])
            if not closed or all(chosen[j][2] == 0 for j in reached[i]):
                continue
            if (
                gains(
                    [chosen[j] if j in reached[i] else ({j: Fraction(1)}, 0, Fraction(0)) for j in range(len(states))]
                )[i]
                == 0
            ):
                return True
    return False


@pytest.mark.parametrize("rewards", ["whole", "normal", "costs"])
@pytest.mark.parametrize("tol", [1e-6, 0.0])
def test_the_long_run_against_all_policies(rewards: str, tol: float) -> None:
    rng = np.random.default_rng([len(rewards), int(tol > 0), 7])
    several = 0
    for number in range(200):
        mdp = random_model(rng, False, rewards)
        states = exact_rows(mdp)
        best = [max(column) for column in zip(*map(gains, choices(states)), strict=True)]
        found = rl.solve(mdp, rl.Average(), tol=tol)
        own = gains(taken(states, found.policy, mdp))
        assert found.gain is not None
        several += len(set(best)) > 1
        for s, gain in enumerate(best):
            where = f"{rewards}[{number}], state {s}"
            assert inside(gain, found.gain[s], found.certificate.error_bound), where
            assert 0 <= gain - own[s] <= Fraction(found.certificate.bounds["policy_gain"]), where
    assert several > 20


# ---- known answers ----


def test_frozen_lake_at_gamma_1() -> None:
    """Staying on the ice for nothing is worth nothing: V = 1 there is a fixpoint, but not the optimum."""
    mdp = rl.from_gymnasium("FrozenLake-v1")
    found = rl.solve(mdp, rl.Episodic())
    assert found.start_value is not None
    assert abs(Fraction(found.start_value) - Fraction(14, 17)) <= Fraction(found.certificate.bounds["start_value"])
    assert found.certificate.error_bound <= 1e-6
    own = rl.evaluate(mdp, found.policy, rl.Episodic())
    assert own.start_value == pytest.approx(14 / 17, abs=1e-6)
    assert rl.solve(mdp, rl.Episodic(), tol=0).certificate.error_bound < 1e-14


@pytest.mark.parametrize("size", [20, 50, 100])
def test_frozen_lakes_are_proven(size: int) -> None:
    """Bays of a lake are left once in a million steps and more: what earns a little for each step stays there."""
    found = rl.solve(rl.gallery.frozen_lake(size), rl.Episodic())
    assert found.certificate.error_bound <= 1e-6


@pytest.mark.parametrize(("size", "seed"), [(30, 11), (35, 100), (40, 0), (40, 6)])
@pytest.mark.parametrize("tol", [1e-6, 0.0])
def test_lakes_with_policies_that_nearly_last_for_ever(size: int, seed: int, tol: float) -> None:
    """Some of the best policies of these last 10^13 to 10^27 steps, and gain by it what doubles cannot tell from 0."""
    lakes = pytest.importorskip("gymnasium.envs.toy_text.frozen_lake")
    desc = lakes.generate_random_map(size, 0.9, seed=seed)
    mdp = rl.from_gymnasium("FrozenLake-v1", desc=desc)
    found = rl.solve(mdp, rl.Episodic(), tol=tol)
    assert found.certificate.error_bound <= max(tol, 1e-9)
    own = rl.evaluate(mdp, found.policy, rl.Episodic())
    slack = own.certificate.error_bound + found.certificate.error_bound + found.certificate.bounds["policy_value"]
    np.testing.assert_allclose(own.value, found.value, rtol=0, atol=slack)


@pytest.mark.parametrize(("size", "holes", "seed"), [(24, 0.2, 506146605), (23, 0.1, 594557311), (25, 0.2, 1037945843)])
def test_policy_iteration_begins_nearly_at_the_end(size: int, holes: float, seed: int) -> None:
    """Policies are improved in doubles first: without the corrections there, ten exact ones were left to do."""
    lakes = pytest.importorskip("gymnasium.envs.toy_text.frozen_lake")
    desc = lakes.generate_random_map(size, 1.0 - holes, seed=seed)
    found = rl.solve(rl.from_gymnasium("FrozenLake-v1", desc=desc), rl.Episodic())
    assert found.certificate.error_bound <= 1e-6
    assert found.certificate.iterations <= 4


def test_values_that_hardly_differ_make_no_paid_loop() -> None:
    """A stair of small costs, and a lift down that pays less. Were its steps one state, the lift could be ridden for
    ever: so the bound from above must not take them for one, nor the model for one of unbounded values."""
    steps, cost, lift = 16, 1.6e-5, 1e-4
    P = np.zeros((2, steps + 1, steps + 1))
    reward, termination = np.zeros((steps + 1, 2)), np.zeros((steps + 1, 2))
    for step in range(steps):
        P[0, step, (step + 1) % steps] = 1.0
        reward[step] = -cost, 0.0
        termination[step, 1] = 1.0
    P[0, steps - 1] = 0.0
    P[0, steps - 1, steps], reward[steps - 1] = 1.0, (0.0, 1.0)
    P[:, steps, 0] = 1.0
    reward[steps] = lift
    mdp = rl.MDP.from_arrays(P, reward, layout="ASS", termination=termination)
    top = 1.0 - cost * np.arange(steps - 1, -1, -1)
    exact = [*top, top[0] + lift]
    for tol in (0.02, 1e-6):
        found = rl.solve(mdp, rl.Episodic(), tol=tol)
        np.testing.assert_allclose(found.value, exact, rtol=0, atol=found.certificate.error_bound + 1e-15)


@pytest.mark.parametrize("index", [15, 17])
def test_blocks_that_end_rarely_come_back(index: int) -> None:
    """No solver finds the time of some policies, which once was tried for ever."""
    raw = generated_chains.model("ends_rarely_in_blocks", index)
    found = rl.solve(core_model(raw), rl.Episodic(), raise_on_failure=False)
    assert found.certificate.status == "converged" or found.certificate.error_bound > 0.0


def test_forest() -> None:
    found = rl.solve(rl.gallery.forest(), rl.Average(), tol=0)
    assert found.gain is not None
    for gain in found.gain:
        assert inside(Fraction(81, 25), gain, 1e-14)
    assert found.policy.argmax(axis=1).tolist() == [0, 0, 0]


def settling_model(chance: float) -> rl.MDP:
    """From state 0 to gain 1 for sure, or by chance to a cycle of gain 2."""
    P = np.zeros((2, 4, 4))
    P[0, 0, 1] = 1.0
    P[1, 0, 0], P[1, 0, 2], P[1, 0, 1] = 0.5, 0.5 * chance, 0.5 * (1 - chance)
    P[:, 1, 1] = P[:, 2, 3] = P[:, 3, 2] = 1.0
    reward = np.array([[7.0, 0.0], [1.0, 0.5], [4.0, 4.0], [0.0, 0.0]])
    return rl.MDP.from_arrays(P, reward, layout="ASS")


@pytest.mark.parametrize("chance", [0.0, 0.25, 1.0])
def test_two_recurrent_classes_of_different_gain(chance: float) -> None:
    found = rl.solve(settling_model(chance), rl.Average(), tol=0)
    assert found.gain is not None
    np.testing.assert_allclose(found.gain, [1 + chance, 1, 2, 2], rtol=0, atol=found.certificate.error_bound)
    assert found.certificate.error_bound < 1e-13


def test_a_cycle_is_no_obstacle() -> None:
    """Period 4, and a second action that breaks the cycle for less."""
    P = np.zeros((2, 4, 4))
    for s in range(4):
        P[0, s, (s + 1) % 4] = 1.0
        P[1, s, s] = 1.0
    found = rl.solve(
        rl.MDP.from_arrays(P, np.array([[3.0, 0.5], [0, 0.5], [0, 0.5], [0, 0.5]]), layout="ASS"), rl.Average()
    )
    assert found.gain is not None
    np.testing.assert_allclose(found.gain, 0.75, atol=found.certificate.error_bound)


# ---- linear programs ----


def episodic_program(mdp: rl.MDP) -> NDArray[np.float64]:
    """Return the least v with v >= r + P v for every pair (Puterman 7.2): the optimum, if no loop is free."""
    own = sp.csr_matrix((np.ones(mdp.num_pairs), (np.arange(mdp.num_pairs), mdp.pair_state)))
    found = scipy.optimize.linprog(
        np.ones(mdp.num_states),
        sp.csr_matrix(mdp.transition) - own,
        -np.ravel(mdp.reward),
        bounds=(None, None),
        method="highs",
    )
    assert found.success
    return np.asarray(found.x)


def gain_program(mdp: rl.MDP) -> NDArray[np.float64]:
    """Return the least g for which some h has g >= P g and g + h >= r + P h for every pair (Puterman 9.3)."""
    P = sp.csr_matrix(mdp.transition)
    own = sp.csr_matrix((np.ones(mdp.num_pairs), (np.arange(mdp.num_pairs), mdp.pair_state)))
    A = sp.bmat([[P - own, None], [-own, P - own]])
    b = np.concatenate([np.zeros(mdp.num_pairs), -np.ravel(mdp.reward)])
    c = np.concatenate([np.ones(mdp.num_states), np.zeros(mdp.num_states)])
    found = scipy.optimize.linprog(c, A, b, bounds=(None, None), method="highs")
    assert found.success
    return np.asarray(found.x[: mdp.num_states])


@pytest.mark.parametrize("seed", range(5))
def test_episodes_against_the_linear_program(seed: int) -> None:
    mdp = rl.death_mdp(rl.gallery.garnet(60, 3, 3, seed=seed), 0.95)
    found = rl.solve(mdp, rl.Episodic())
    np.testing.assert_allclose(found.value, episodic_program(mdp), rtol=1e-6)


@pytest.mark.parametrize("seed", range(5))
def test_the_long_run_against_the_linear_program(seed: int) -> None:
    """Three copies of a random model with different rewards, and states that choose among them."""
    rng = np.random.default_rng(seed)
    size = 20
    part = sp.csr_matrix(rl.gallery.garnet(size, 2, 3, seed=seed).transition)
    doors = sp.csr_matrix(rng.dirichlet(np.ones(3 * size), 10))
    P = sp.bmat([[sp.block_diag([part, part, part]), None], [doors, sp.csr_matrix((10, 5))]]).tocsr()
    mdp = rl.MDP(P, rng.normal(size=P.shape[0]), pair_start=np.arange(0, P.shape[0] + 1, 2))
    found = rl.solve(mdp, rl.Average())
    assert found.gain is not None
    exact = gain_program(mdp)
    assert len(np.unique(exact.round(6))) >= 3
    np.testing.assert_allclose(found.gain, exact, rtol=0, atol=found.certificate.error_bound + 1e-8)


# ---- no answer ----


def test_a_paid_loop_has_no_finite_value() -> None:
    P = np.zeros((2, 3, 3))
    P[0, 0, 1] = P[0, 1, 0] = P[1, 0, 0] = P[1, 1, 1] = 1.0
    termination = np.array([[0.0, 0.0], [0.0, 0.0], [1.0, 1.0]])
    P[1, 1, 1], P[1, 1, 2] = 0.0, 1.0
    for rewards in ([[1.0, 0.0], [0.0, -5.0], [0.0, 0.0]], [[3.0, 0.0], [-2.0, -5.0], [0.0, 0.0]]):
        mdp = rl.MDP.from_arrays(P, np.array(rewards), layout="ASS", termination=termination)
        with pytest.raises(rl.UnboundedValueError, match=r"\{0, 1\}") as caught:
            rl.solve(mdp, rl.Episodic())
        assert caught.value.state == 0


def test_a_start_without_an_end() -> None:
    P = np.zeros((1, 2, 2))
    P[0, 0, 0] = 1.0
    ending = np.array([[0.0], [1.0]])
    mdp = rl.MDP.from_arrays(P, np.zeros((2, 1)), layout="ASS", termination=ending, initial=[0.5, 0.5])
    with pytest.raises(rl.ImproperPolicyError, match=r"\{0\}"):
        rl.solve(mdp, rl.Episodic())
    found = rl.solve(mdp.with_initial([0.0, 1.0]), rl.Episodic())
    assert math.isnan(found.value[0])
    assert found.value[1] == found.start_value == 0.0


def test_what_ends_has_no_long_run() -> None:
    with pytest.raises(rl.SettingError, match="termination"):
        rl.solve(rl.from_gymnasium("FrozenLake-v1"), rl.Average())


def test_a_loop_that_cancels_is_told_from_a_free_one_by_no_enclosure() -> None:
    """+0.1 and -0.1 in turn: every value is the same, and no bound above it can be proven in floating point."""
    P = np.zeros((2, 2, 2))
    P[0, 0, 1] = P[0, 1, 0] = 1.0
    mdp = rl.MDP.from_arrays(
        P, np.array([[0.1, 1.0], [-0.1, 0.3]]), layout="ASS", termination=np.array([[0.0, 1.0], [0.0, 1.0]])
    )
    found = rl.solve(mdp, rl.Episodic(), raise_on_failure=False)
    if found.certificate.status == "converged":
        assert abs(found.value - [1.0, 0.9]).max() <= found.certificate.error_bound
    else:
        assert np.isinf(found.certificate.error_bound)
        with pytest.raises(rl.ConvergenceError):
            rl.solve(mdp, rl.Episodic())


# ---- long calls ----


@pytest.mark.parametrize(
    ("mdp", "setting"),
    [
        (rl.gallery.frozen_lake(40), rl.Episodic()),
        (rl.gallery.garnet(30_000, 3, 4), rl.Average()),
        (rl.gallery.slippery_grid(40), rl.Average()),
    ],
    ids=["episodes", "long run that mixes", "long run that does not"],
)
def test_answers_do_not_depend_on_the_threads(mdp: rl.MDP, setting: rl.Episodic | rl.Average) -> None:
    one, two = (rl.solve(mdp, setting, num_threads=threads) for threads in (1, 2))
    np.testing.assert_array_equal(one.policy, two.policy)
    np.testing.assert_array_equal(one.value, two.value)
    if one.gain is not None:
        np.testing.assert_array_equal(one.gain, two.gain)
    assert one.certificate.error_bound == two.certificate.error_bound


def test_progress_is_reported() -> None:
    seen: list[rl.Progress] = []
    rl.solve(rl.gallery.frozen_lake(100), rl.Episodic(), progress=seen.append)
    assert seen
    assert all(report.method and report.iterations >= 0 for report in seen)
