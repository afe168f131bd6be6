"""Couplings: tables by hand, marginals in exact arithmetic, and rows that hardly differ."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

import generated_models
import rlcore as rl
from generated_models import FAMILIES, Array
from test_agreement import core_model

NAN, INF = float("nan"), float("inf")
TINY = 2.0**-1000


def exact(array: Any) -> list[Fraction]:
    return [Fraction(float(x)) for x in np.ravel(array)]


def exact_table(p: Array, q: Array) -> tuple[list[list[Fraction]], Fraction]:
    """Return the coupling of theory 5.3 and the total variation distance, of the numbers as they are stored."""
    old, new = exact(p), exact(q)
    tv = sum((abs(x - y) for x, y in zip(old, new, strict=True)), Fraction(0)) / 2
    gain, loss = ([max(sign * (y - x), Fraction(0)) for x, y in zip(old, new, strict=True)] for sign in (1, -1))
    table = [[less * more / tv if tv else Fraction(0) for more in gain] for less in loss]
    for i, (x, y) in enumerate(zip(old, new, strict=True)):
        table[i][i] += min(x, y)
    return table, tv


def check(p: Array, q: Array, found: rl.Coupling) -> None:
    """Hold a coupling against exact arithmetic: every entry, the distance, and the sums of rows and columns."""
    table, tv = exact_table(p, q)
    for row, found_row, error in zip(table, found.table, found.error, strict=True):
        for x, y, bound in zip(row, exact(found_row), exact(error), strict=True):
            assert abs(x - y) <= bound
    assert abs(tv - Fraction(found.disagreement)) <= Fraction(found.relative_error) * tv
    check_marginals(p, q, found)


def check_marginals(p: Array, q: Array, found: rl.Coupling) -> None:
    for sums, marginal in ((found.table, p), (found.table.T, q)):
        for line, probability in zip(sums, exact(marginal), strict=True):
            assert abs(sum(exact(line)) - probability) <= Fraction(found.marginal_error)


def rows(size: int) -> st.SearchStrategy[Array]:
    """Distributions with zeros and with probabilities of all sizes."""
    weight = st.one_of(st.just(0.0), st.floats(1e-12, 1.0), st.sampled_from([1e-300, 1.0, 0.5]))
    weights = st.lists(weight, min_size=size, max_size=size).filter(lambda w: sum(w) > 1e-9)
    return weights.map(lambda w: np.array(w) / np.sum(w))


@pytest.mark.parametrize(
    ("p", "q", "table"),
    [
        ([1.0], [1.0], [[1.0]]),
        ([0.5, 0.5], [0.5, 0.5], [[0.5, 0.0], [0.0, 0.5]]),
        ([1.0, 0.0], [0.0, 1.0], [[0.0, 1.0], [0.0, 0.0]]),
        ([0.5, 0.25, 0.25], [0.25, 0.5, 0.25], [[0.25, 0.25, 0.0], [0.0, 0.25, 0.0], [0.0, 0.0, 0.25]]),
        # p - q = (1/4, 1/4, -1/8, -3/8), TV = 1/2
        (
            [0.5, 0.5, 0.0, 0.0],
            [0.25, 0.25, 0.125, 0.375],
            [[0.25, 0.0, 0.0625, 0.1875], [0.0, 0.25, 0.0625, 0.1875], [0.0] * 4, [0.0] * 4],
        ),
    ],
)
def test_tables_by_hand(p: list[float], q: list[float], table: list[list[float]]) -> None:
    found = rl.coupling(p, q)
    assert found.table.tolist() == table
    assert found.disagreement == 1.0 - np.trace(table)
    check(np.array(p), np.array(q), found)


@given(st.integers(1, 6).flatmap(lambda size: st.tuples(rows(size), rows(size))))
@example((np.array([1.0, 0.0]), np.array([1.0, TINY])))
@example((np.array([0.5, 0.5]), np.array([0.5, 0.5]) * (1 + 9e-10)))
@example((np.array([0.5, 0.5 + 9e-10]), np.array([0.5 + 1e-15, 0.5])))
def test_against_fractions(pair: tuple[Array, Array]) -> None:
    p, q = pair
    check(p, q, rl.coupling(p, q))


def test_below_the_normal_numbers() -> None:
    """Half of the smallest number is 0: what the coupling then misses is in the error of its marginals."""
    p, q = np.array([1.0, 0.0]), np.array([1.0, 5e-324])
    found = rl.coupling(p, q)
    assert found.disagreement == 0.0
    assert found.marginal_error > 0.0
    check_marginals(p, q, found)


def test_no_coupling_agrees_more_often() -> None:
    """The diagonal is at most min(p, q) in any coupling, and is min(p, q) in this one."""
    p, q = np.array([0.1, 0.2, 0.7]), np.array([0.3, 0.3, 0.4])
    assert rl.coupling(p, q).table.diagonal().tolist() == np.minimum(p, q).tolist()


@pytest.mark.parametrize("step", [1e-3, 1e-12, 2.0**-40])
def test_rows_that_hardly_differ(step: float) -> None:
    """The rows are what they are: nine digits of their differences, from entries that agree in twelve."""
    p = np.array([0.1, 0.2, 0.3, 0.4])
    q = p + step * np.array([1.0, -2.0, -1.0, 2.0])
    found, (table, tv) = rl.coupling(p, q), exact_table(p, q)
    assert abs(Fraction(found.disagreement) / tv - 1) < Fraction(1, 10**9)
    for i, j in ((1, 0), (1, 3), (2, 0), (2, 3)):
        assert abs(Fraction(float(found.table[i, j])) / table[i][j] - 1) < Fraction(1, 10**9)


def test_identical_rows_are_coupled_for_certain() -> None:
    p = np.array([0.3, 0.0, 0.7])
    found = rl.coupling(p, p)
    assert found.table.tolist() == np.diag(p).tolist()
    assert (found.disagreement, found.marginal_error, found.error.max()) == (0.0, 0.0, 0.0)


@pytest.mark.parametrize("family", FAMILIES)
def test_policies(family: str) -> None:
    """Every state of a pair of policies is coupled as its two rows are."""
    raw = generated_models.model(family, 3)
    mdp, rng = core_model(raw), np.random.default_rng(7)
    candidate = generated_models._policy(rng, raw.pair_start)
    old, new = (policy.reshape(mdp.pair_shape) for policy in (raw.policy, candidate))
    found = rl.policy_coupling(mdp, old, new)
    assert found.alpha == found.disagreement.max()
    cut = raw.pair_start[1:-1]
    for state, (p, q) in enumerate(zip(np.split(raw.policy, cut), np.split(candidate, cut), strict=True)):
        check(p, q, found.coupling(state))
        assert np.array_equal(found.table(state), found.coupling(state).table)
        _, tv = exact_table(p, q)
        assert abs(tv - Fraction(float(found.disagreement[state]))) <= Fraction(found.relative_error) * tv


def test_keeps_its_rows() -> None:
    """The caller may change the policies before tables are asked for."""
    mdp = rl.gallery.forest()
    candidate = np.array([[0.75, 0.25]] * 3)
    found = rl.policy_coupling(mdp, rl.uniform_policy(mdp), candidate)
    candidate[:] = 0.5
    assert found.table(1).tolist() == [[0.5, 0.0], [0.25, 0.25]]


def test_repr() -> None:
    mdp = rl.gallery.forest()
    found = rl.policy_coupling(mdp, rl.uniform_policy(mdp), [[0.75, 0.25]] * 3)
    assert repr(found) == "PolicyCoupling(of 3 states, alpha=0.25)"
    assert repr(found.coupling(0)) == "Coupling(of 2 actions, disagreement=0.25)"


FOREST = rl.MDP.from_arrays(
    np.array([[[0.8, 0.2], [1.0, 0.0]], [[0.3, 0.7], [0.9, 0.1]]]),
    np.ones((2, 2)),
    "SAS",
    state_labels=("fine", "worn"),
    action_labels=("run", "repair"),
)
HALF = np.full((2, 2), 0.5)
SUM = "expected probabilities that sum to 1 within 1e-9, got a sum of"
MEND = "divide the row by its sum"


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: rl.coupling([0.5, 0.6], [1, 0]), f"policy_row: {SUM} 1.1; {MEND}"),
        (lambda: rl.coupling([1, 0], [0.5, 0.75]), f"candidate_row: {SUM} 1.25; {MEND}"),
        (
            lambda: rl.coupling([1.5, -0.5], [1, 0]),
            "policy_row, action 1: expected a probability in [0, 1], got -0.5",
        ),
        (lambda: rl.coupling([1, 0], [1, NAN]), "candidate_row, action 1: expected a probability in [0, 1], got nan"),
        (lambda: rl.coupling([1, INF], [1, 0]), "policy_row, action 1: expected a probability in [0, 1], got inf"),
        (
            lambda: rl.coupling([1, 0, 0], [1, 0]),
            "candidate_row: expected 3 probabilities, one for each of policy_row, got 2; give an action that one of "
            "them cannot take the probability 0",
        ),
        (
            lambda: rl.coupling(HALF, HALF),
            "policy_row: expected the probabilities of at least one action, shape (n,), got shape (2, 2); "
            "rlcore.policy_coupling couples whole policies",
        ),
        (
            lambda: rl.coupling([], []),
            "policy_row: expected the probabilities of at least one action, shape (n,), got shape (0,); "
            "rlcore.policy_coupling couples whole policies",
        ),
        (lambda: rl.coupling(None, [1]), "policy_row: expected an array of numbers, got None"),  # type: ignore[arg-type]
        (lambda: rl.coupling([1j], [1]), "policy_row: expected real numbers, got dtype complex128"),
        (
            lambda: rl.policy_coupling(FOREST, HALF, [[0.5, 0.5], [0.5, -0.5]]),
            "candidate, state 'worn', action 'repair': expected a probability in [0, 1], got -0.5",
        ),
        (
            lambda: rl.policy_coupling(FOREST, [[0.5, 0.5], [0.25, 0.5]], HALF),
            f"policy, state 'worn': {SUM} 0.75; {MEND}",
        ),
        (
            lambda: rl.policy_coupling(FOREST, HALF, HALF[:1]),
            "candidate: expected 4 numbers, one for each pair, in shape (2, 2) or (4,), got shape (1, 2)",
        ),
        (
            lambda: rl.policy_coupling(FOREST, HALF, np.stack([HALF, HALF])),
            "candidate: expected 4 numbers, one for each pair, in shape (2, 2) or (4,), got shape (2, 2, 2)",
        ),
    ],
)
def test_no_distributions(call: Callable[[], Any], message: str) -> None:
    with pytest.raises(rl.PolicyError) as caught:
        call()
    assert str(caught.value) == message


def test_no_state() -> None:
    found = rl.policy_coupling(FOREST, HALF, HALF)
    with pytest.raises(rl.ArgumentError) as caught:
        found.table(2)
    assert str(caught.value) == "state: expected numbers in 0 .. 1, got 2"
    with pytest.raises(rl.ArgumentError) as caught:
        rl.policy_coupling(HALF, HALF, HALF)  # type: ignore[arg-type]
    assert str(caught.value) == "mdp: expected a rlcore.MDP, got ndarray"
