"""The policy constructors: the probabilities they give, in models with and without a rectangle of pairs."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
import scipy.stats

import rlcore as rl

NAN, INF = float("nan"), float("inf")
SQUARE = rl.MDP.from_arrays(
    np.full((3, 2, 3), 1 / 3),
    [[1, 2], [3, 4], [5, 6]],
    "SAS",
    [1, 0, 0],
    state_labels=("young", "grown", "old"),
    action_labels=("wait", "cut"),
)
UNLABELLED = rl.MDP.from_arrays(np.full((3, 2, 3), 1 / 3), np.zeros(3), "SAS")
# One action in the first state, three in the second, two in the third, by their numbers.
RAGGED = rl.MDP(np.full((6, 3), 1 / 3), np.arange(6), [0, 1, 4, 6], pair_action=[2, 0, 1, 3, 0, 2])

MAKERS: dict[str, Callable[[rl.MDP], Any]] = {
    "uniform": rl.uniform_policy,
    "deterministic": lambda mdp: rl.deterministic_policy(mdp, mdp.pair_action[mdp.pair_start[1:] - 1]),
    "greedy": lambda mdp: rl.greedy_policy(mdp, np.sin(np.arange(6))),
    "epsilon greedy": lambda mdp: rl.epsilon_greedy_policy(mdp, np.sin(np.arange(6)), 0.3),
    "softmax": lambda mdp: rl.softmax_policy(mdp, 700 * np.sin(np.arange(6))),
    "mixture": lambda mdp: rl.mixture_policy(rl.uniform_policy(mdp), rl.random_policy(mdp, 0), 0.7),
    "random": lambda mdp: rl.random_policy(mdp, 1),
}
models = pytest.mark.parametrize("mdp", [SQUARE, RAGGED], ids=["square", "ragged"])


@models
@pytest.mark.parametrize("name", MAKERS)
def test_every_policy_is_a_distribution_in_every_state(mdp: rl.MDP, name: str) -> None:
    policy = MAKERS[name](mdp)
    assert type(policy) is np.ndarray
    assert policy.dtype == np.float64
    assert policy.shape == mdp.pair_shape
    assert policy.min() >= 0.0
    sums = np.add.reduceat(policy.ravel(), mdp.pair_start[:-1])
    np.testing.assert_allclose(sums, 1.0, rtol=0, atol=4 * np.finfo(float).eps)
    assert rl.evaluate(mdp, policy, 0.9).value.shape == (3,)


@models
@pytest.mark.parametrize("name", MAKERS)
def test_every_policy_belongs_to_the_caller(mdp: rl.MDP, name: str) -> None:
    one, other = MAKERS[name](mdp), MAKERS[name](mdp)
    one[:] = 0.0
    assert other.sum() == pytest.approx(3.0)


# ---- values ----


def test_uniform() -> None:
    np.testing.assert_array_equal(rl.uniform_policy(SQUARE), np.full((3, 2), 0.5))
    np.testing.assert_array_equal(rl.uniform_policy(RAGGED), [1, 1 / 3, 1 / 3, 1 / 3, 0.5, 0.5])


def test_deterministic() -> None:
    np.testing.assert_array_equal(rl.deterministic_policy(SQUARE, [1, 0, 1]), [[0, 1], [1, 0], [0, 1]])
    np.testing.assert_array_equal(rl.deterministic_policy(SQUARE, np.uint8([1, 0, 1])), [[0, 1], [1, 0], [0, 1]])
    np.testing.assert_array_equal(rl.deterministic_policy(RAGGED, [2, 3, 0]), [1, 0, 0, 1, 1, 0])


def test_greedy() -> None:
    np.testing.assert_array_equal(rl.greedy_policy(SQUARE, [[1, 2], [3, -4], [-5, -4]]), [[0, 1], [1, 0], [0, 1]])
    np.testing.assert_array_equal(rl.greedy_policy(SQUARE, [1, 2, 3, -4, -5, -4]), [[0, 1], [1, 0], [0, 1]])
    np.testing.assert_array_equal(rl.greedy_policy(RAGGED, [-9, 1, 3, 2, 5, 7]), [1, 0, 1, 0, 0, 1])


def test_greedy_takes_the_lowest_of_tied_actions() -> None:
    np.testing.assert_array_equal(rl.greedy_policy(SQUARE, np.zeros((3, 2))), [[1, 0]] * 3)
    np.testing.assert_array_equal(rl.greedy_policy(SQUARE, [[-0.0, 0.0], [0.0, -0.0], [1e300, 1e300]]), [[1, 0]] * 3)
    np.testing.assert_array_equal(rl.greedy_policy(RAGGED, [0, 1, 7, 7, 2, 2]), [1, 0, 1, 0, 1, 0])


def test_greedy_within_a_tolerance() -> None:
    q = [[1.0, 1.25], [1.0, 1.5], [1.0, 0.0]]
    np.testing.assert_array_equal(rl.greedy_policy(SQUARE, q, tolerance=0.25), [[1, 0], [0, 1], [1, 0]])
    np.testing.assert_array_equal(rl.greedy_policy(SQUARE, q), [[0, 1], [0, 1], [1, 0]])


def test_greedy_for_an_evaluation_sees_ties_through_rounding() -> None:
    ev = rl.evaluate(SQUARE, rl.uniform_policy(SQUARE), 0.9)
    proven = float(ev.certificate.bounds["action_value"])
    assert proven > 0.0
    for excess, expected in (0.0, [1, 0]), (1.9, [1, 0]), (2.5, [0, 1]):
        tied = np.full((3, 2), [0.0, excess * proven])
        changed = dataclasses.replace(ev, action_value=tied)
        np.testing.assert_array_equal(rl.greedy_policy(SQUARE, changed), [expected] * 3)
    np.testing.assert_array_equal(rl.greedy_policy(SQUARE, ev), rl.greedy_policy(SQUARE, ev.action_value))


def test_epsilon_greedy() -> None:
    q = [-9, 1, 3, 2, 5, 7]
    expected = [1, 0.1, 0.8, 0.1, 0.15, 0.85]
    np.testing.assert_allclose(rl.epsilon_greedy_policy(RAGGED, q, 0.3), expected, rtol=0, atol=1e-15)
    np.testing.assert_array_equal(rl.epsilon_greedy_policy(RAGGED, q, 0.0), rl.greedy_policy(RAGGED, q))
    np.testing.assert_array_equal(rl.epsilon_greedy_policy(RAGGED, q, 1), rl.uniform_policy(RAGGED))
    ev = rl.evaluate(SQUARE, rl.uniform_policy(SQUARE), 0.9)
    np.testing.assert_array_equal(
        rl.epsilon_greedy_policy(SQUARE, ev, 0.5), rl.epsilon_greedy_policy(SQUARE, ev.action_value, 0.5)
    )


def test_softmax() -> None:
    theta = np.log([[1, 3], [2, 2], [9, 1]])
    np.testing.assert_allclose(rl.softmax_policy(SQUARE, theta), [[0.25, 0.75], [0.5, 0.5], [0.9, 0.1]], rtol=1e-15)
    ragged = np.log([5, 1, 2, 5, 4, 1])
    np.testing.assert_allclose(rl.softmax_policy(RAGGED, ragged), [1, 0.125, 0.25, 0.625, 0.8, 0.2], rtol=1e-15)


def test_softmax_of_large_preferences() -> None:
    theta = np.array([[700.0, -700.0], [-700.0, -701.0], [700.0, 700.0]])
    policy = rl.softmax_policy(SQUARE, theta)
    np.testing.assert_array_equal(policy[[0, 2]], [[1, 0], [0.5, 0.5]])
    np.testing.assert_allclose(policy[1], [1 / (1 + np.exp(-1)), 1 / (1 + np.exp(1))], rtol=1e-15)
    # A difference of 700 is still a positive probability, one of 746 is below the smallest double.
    assert 0.0 < rl.softmax_policy(SQUARE, [[0, -700]] * 3)[0, 1] == np.exp(-700)
    assert rl.softmax_policy(SQUARE, [[0, -746]] * 3)[0, 1] == 0.0
    np.testing.assert_array_equal(rl.softmax_policy(SQUARE, [[1e308, -1e308]] * 3), [[1, 0]] * 3)


def test_softmax_ignores_a_constant_in_each_state() -> None:
    theta = np.array([[1.0, 2.0], [0.5, -0.25], [3.0, 0.0]])
    shifted = theta + np.array([[512.0], [-1024.0], [0.0]])
    np.testing.assert_array_equal(rl.softmax_policy(SQUARE, theta), rl.softmax_policy(SQUARE, shifted))


def test_mixture() -> None:
    p, q = np.array([[0.5, 0.5]]), np.array([[1.0, 0.0]])
    np.testing.assert_array_equal(rl.mixture_policy(p, q, 0.25), [[0.625, 0.375]])
    np.testing.assert_array_equal(rl.mixture_policy(p, q, 0), p)
    np.testing.assert_array_equal(rl.mixture_policy(p, q, 1), q)
    batch = np.stack([p, q])
    np.testing.assert_array_equal(rl.mixture_policy(batch, batch[::-1], 0.5), np.full((2, 1, 2), [0.75, 0.25]))


def test_random_is_made_from_its_seed() -> None:
    one = rl.random_policy(RAGGED, 5)
    np.testing.assert_array_equal(one, rl.random_policy(RAGGED, 5))
    np.testing.assert_array_equal(one, rl.random_policy(RAGGED, np.random.default_rng(5)))
    assert (one[1:] != rl.random_policy(RAGGED, 6)[1:]).all()
    assert (rl.random_policy(RAGGED)[1:] != rl.random_policy(RAGGED)[1:]).all()


def test_random_is_drawn_evenly() -> None:
    # In the flat Dirichlet distribution over k actions every probability is distributed as Beta(1, k - 1).
    many = rl.gallery.garnet(3000, 4, 1)
    for probability in rl.random_policy(many, 1).T:
        assert scipy.stats.kstest(probability, scipy.stats.beta(1, 3).cdf).pvalue > 1e-4


def test_probabilities_are_as_exact_as_their_sum() -> None:
    # What is certified is the policy as stored, so its own defect must stay far below what is tolerated.
    policy = rl.random_policy(rl.gallery.garnet(50, 7, 1), 3)
    for row in policy.tolist():
        assert abs(sum(map(Fraction, row)) - 1) < 8 * Fraction(2) ** -53


# ---- what is refused ----

SHAPE = "expected 6 numbers, one for each pair, in shape (3, 2) or (6,), got shape"
ADMISSIBLE = "expected an admissible action"
WHOLE = "actions: expected 3 whole numbers, one action for each state, got"

BAD: list[tuple[Callable[[], Any], type[Exception], str]] = [
    (lambda: rl.uniform_policy("forest"), rl.ArgumentError, "mdp: expected a rlcore.MDP, got str"),  # type: ignore[arg-type]
    # deterministic
    (lambda: rl.deterministic_policy(SQUARE, [0, 1]), rl.PolicyError, f"{WHOLE} dtype int64, shape (2,)"),
    (lambda: rl.deterministic_policy(SQUARE, 0), rl.PolicyError, f"{WHOLE} dtype int64, shape ()"),
    (lambda: rl.deterministic_policy(SQUARE, [0.0, 1.0, 0.0]), rl.PolicyError, f"{WHOLE} dtype float64, shape (3,)"),
    (
        lambda: rl.deterministic_policy(SQUARE, [0, 2, 0]),
        rl.PolicyError,
        f"actions, state 'grown': {ADMISSIBLE}, got 2",
    ),
    (
        lambda: rl.deterministic_policy(UNLABELLED, [0, 0, -1]),
        rl.PolicyError,
        f"actions, state 2: {ADMISSIBLE}, got -1",
    ),
    (lambda: rl.deterministic_policy(RAGGED, [2, 2, 0]), rl.PolicyError, f"actions, state 1: {ADMISSIBLE}, got 2"),
    # greedy and softmax
    (lambda: rl.greedy_policy(SQUARE, [1, 2, 3]), rl.PolicyError, f"q: {SHAPE} (3,)"),
    (lambda: rl.greedy_policy(SQUARE, np.zeros((2, 3))), rl.PolicyError, f"q: {SHAPE} (2, 3)"),
    (lambda: rl.greedy_policy(SQUARE, np.zeros((4, 3, 2))), rl.PolicyError, f"q: {SHAPE} (4, 3, 2)"),
    (lambda: rl.greedy_policy(SQUARE, None), rl.PolicyError, "q: expected an array of numbers, got None"),  # type: ignore[arg-type]
    (lambda: rl.greedy_policy(SQUARE, ["a"] * 6), rl.PolicyError, "q: expected real numbers, got dtype <U1"),
    (
        lambda: rl.greedy_policy(SQUARE, [[0, 0], [0, NAN], [0, 0]]),
        rl.PolicyError,
        "q, state 'grown', action 'cut': expected a finite number, got nan",
    ),
    (
        lambda: rl.greedy_policy(UNLABELLED, [[0, 0], [0, INF], [0, 0]]),
        rl.PolicyError,
        "q, state 1, action 1: expected a finite number, got inf",
    ),
    (
        lambda: rl.greedy_policy(RAGGED, [0, 0, 0, -INF, 0, 0]),
        rl.PolicyError,
        "q, state 1, action 3: expected a finite number, got -inf",
    ),
    *(
        (
            lambda bad=bad: rl.greedy_policy(SQUARE, np.zeros(6), tolerance=bad),
            rl.PolicyError,
            f"tolerance: expected a finite number from 0 on, got {bad!r}",
        )
        for bad in (-1.0, NAN, INF, "0")
    ),
    (lambda: rl.softmax_policy(SQUARE, [1, 2, 3]), rl.PolicyError, f"theta: {SHAPE} (3,)"),
    (
        lambda: rl.softmax_policy(SQUARE, [[0, 0], [0, 0], [-INF, 0]]),
        rl.PolicyError,
        "theta, state 'old', action 'wait': expected a finite number, got -inf",
    ),
    # epsilon greedy and mixture
    *(
        (
            lambda bad=bad: rl.epsilon_greedy_policy(SQUARE, np.zeros(6), bad),
            rl.PolicyError,
            f"epsilon: expected a probability in [0, 1], got {bad!r}",
        )
        for bad in (-0.1, 1.5, NAN, "0.1", None)
    ),
    *(
        (
            lambda bad=bad: rl.mixture_policy([1.0], [1.0], bad),
            rl.PolicyError,
            f"a: expected a weight in [0, 1], got {bad!r}",
        )
        for bad in (-0.1, 1.5, NAN, "0.1", None)
    ),
    (
        lambda: rl.mixture_policy([[1.0, 0.0]], [1.0, 0.0], 0.5),
        rl.PolicyError,
        "q: expected the shape of p, (1, 2), got (2,)",
    ),
    (lambda: rl.mixture_policy(["a"], [1.0], 0.5), rl.PolicyError, "p: expected real numbers, got dtype <U1"),
    (lambda: rl.mixture_policy([1.0], None, 0.5), rl.PolicyError, "q: expected an array of numbers, got None"),  # type: ignore[arg-type]
    # random
    *(
        (
            lambda bad=bad: rl.random_policy(SQUARE, bad),
            rl.ArgumentError,
            f"seed: expected a whole number from 0 on, a numpy.random.Generator or None, got {bad!r}",
        )
        for bad in (-1, 1.5, "1")
    ),
]


@pytest.mark.parametrize(("call", "error", "message"), BAD, ids=[message for _, _, message in BAD])
def test_bad_arguments(call: Callable[[], Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error) as caught:
        call()
    assert type(caught.value) is error
    assert str(caught.value) == message


HALF = np.full((3, 2), 0.5)
SUM = "expected probabilities that sum to 1 within 1e-9"


def with_row(row: Any) -> Any:
    policy = HALF.copy()
    policy[1] = row
    return policy


BAD_POLICIES: list[tuple[rl.MDP, Any, str]] = [
    (SQUARE, [0.5, 0.5], "policy: expected shape (3, 2), flat (6,) or a batch (B, 3, 2), got (2,)"),
    (SQUARE, HALF.T, "policy: expected shape (3, 2), flat (6,) or a batch (B, 3, 2), got (2, 3)"),
    (SQUARE, np.zeros((0, 3, 2)), "policy: expected at least one item in the batch, got shape (0, 3, 2)"),
    (RAGGED, np.full((3, 2), 0.5), "policy: expected shape (6,) or a batch (B, 6), got (3, 2)"),
    (SQUARE, None, "policy: expected an array of numbers, got None"),
    (SQUARE, with_row([0.5, 0.25]), f"policy, state 'grown': {SUM}, got a sum of 0.75; divide the row by its sum"),
    (UNLABELLED, with_row([1.5, 0.25]), f"policy, state 1: {SUM}, got a sum of 1.75; divide the row by its sum"),
    (SQUARE, with_row([1.5, -0.5]), "policy, state 'grown', action 'cut': expected a probability in [0, 1], got -0.5"),
    (SQUARE, with_row([NAN, 0.5]), "policy, state 'grown', action 'wait': expected a probability in [0, 1], got nan"),
    (
        RAGGED,
        [1, 0, 2, -1, 0.5, 0.5],
        "policy, state 1, action 3: expected a probability in [0, 1], got -1",
    ),
    (
        SQUARE,
        np.stack([HALF, with_row([0.5, 0.25])]),
        f"policy[1], state 'grown': {SUM}, got a sum of 0.75; divide the row by its sum",
    ),
]


@pytest.mark.parametrize(("mdp", "policy", "message"), BAD_POLICIES, ids=[message for _, _, message in BAD_POLICIES])
def test_bad_policies(mdp: rl.MDP, policy: Any, message: str) -> None:
    with pytest.raises(rl.PolicyError) as caught:
        rl.evaluate(mdp, policy, 0.9)
    assert str(caught.value) == message


def test_environment_in_place_of_a_model() -> None:
    class Environment:
        unwrapped = None

    with pytest.raises(rl.ArgumentError) as caught:
        rl.uniform_policy(Environment())  # type: ignore[arg-type]
    assert str(caught.value) == "mdp: expected a rlcore.MDP, got Environment; use rlcore.from_gymnasium(env)"
