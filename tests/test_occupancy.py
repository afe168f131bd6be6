"""Occupancies, state distributions and the successor representation: known answers, identities, bad input."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse

import rlcore as rl

FOREST = rl.gallery.forest()
HALF = rl.uniform_policy(FOREST)
LAKE = rl.from_gymnasium("FrozenLake-v1")


def test_forest() -> None:
    found = rl.occupancy(FOREST, HALF, 0.9)
    np.testing.assert_allclose(found.visits, [5.2833333, 2.4730833, 2.2435833], atol=5e-8)
    np.testing.assert_allclose(found.state, (1 - 0.9) * found.visits, rtol=1e-15)
    np.testing.assert_allclose(found.pair, found.state[:, None] * HALF, rtol=1e-15)


@pytest.mark.parametrize("gamma", [0.0, 0.9, 0.999, 1 - 2.0**-16])
@pytest.mark.parametrize("mdp", [FOREST, LAKE, rl.gallery.gridworld(), rl.gallery.garnet(3000, 3, 4)], ids=repr)
def test_adjoint_identity(mdp: rl.MDP, gamma: float) -> None:
    """rho^T r_pi = rho0^T V (theory 2.6)."""
    policy = rl.random_policy(mdp, 3)
    value = rl.evaluate(mdp, policy, gamma)
    found = rl.occupancy(mdp, policy, gamma)
    by_visits = float((found.visits[mdp.pair_state] * policy.ravel() * mdp.reward.ravel()).sum())
    largest = np.abs(mdp.reward).max()
    bound = value.certificate.bounds["start_value"] + largest * (
        found.certificate.error_bound + 1e-14 * found.visits.sum()
    )
    assert abs(by_visits - value.start_value) <= bound


@pytest.mark.parametrize("gamma", [0.0, 0.9, 1 - 2.0**-16])
def test_visits_sum_to_the_horizon_without_termination(gamma: float) -> None:
    found = rl.occupancy(FOREST, HALF, gamma)
    # The doubles .1 and .9 sum to 1 + 2.8e-17; that much mass is gained at every step.
    stored = 2.0**-53 / (1 - gamma) ** 2
    assert abs(found.visits.sum() - 1 / (1 - gamma)) <= found.certificate.error_bound + stored + 1e-15 / (1 - gamma)


def test_with_termination_d_sums_to_less_than_one() -> None:
    found = rl.occupancy(LAKE, rl.uniform_policy(LAKE), 0.99)
    assert 0.0 < found.state.sum() < 0.5


def test_visits_are_never_negative() -> None:
    mdp = rl.gallery.garnet(500, 2, 2)
    for seed in range(20):
        assert rl.occupancy(mdp, rl.random_policy(mdp, seed), 0.999, initial=np.eye(500)[seed]).visits.min() >= 0.0


@pytest.mark.parametrize(("gamma", "stay"), [(0.99, 0.0), (0.99, 0.5), (0.5, 0.5)])
@pytest.mark.parametrize("num_states", [20, 2000])
def test_states_that_cannot_be_reached_have_no_visits(num_states: int, gamma: float, stay: float) -> None:
    """Two halves without a way between them: dense LU and sweeps alike leave exact zeros in the other half."""
    half = num_states // 2
    transition = np.zeros((num_states, num_states))
    random = np.random.default_rng(0)
    for state in range(num_states):
        transition[state, random.choice(half, 4, replace=False) + (state // half) * half] = 0.25
    transition = (1 - stay) * transition + stay * np.eye(num_states)
    mdp = rl.MDP(transition, np.zeros(num_states), initial=np.eye(num_states)[0])
    policy = np.ones((num_states, 1))
    found = rl.occupancy(mdp, policy, gamma)
    assert (found.visits[half:] == 0.0).all()
    assert found.visits[:half].sum() == pytest.approx(1 / (1 - gamma))
    assert (rl.successor_representation(mdp, policy, gamma, [num_states - 1])[0, :half] == 0.0).all()


def test_batches_have_leading_axes() -> None:
    policies = np.stack([HALF, rl.random_policy(FOREST, 1)])
    starts = np.eye(3)
    both = rl.occupancy(FOREST, policies, 0.9, initial=starts)
    assert both.visits.shape == both.state.shape == (2, 3, 3)
    assert both.pair.shape == (2, 3, 3, 2)
    assert both.certificate.error_bound.shape == (2, 3)
    single = rl.occupancy(FOREST, policies[1], 0.9, initial=starts[2])
    np.testing.assert_array_equal(both.visits[1, 2], single.visits)
    rows = rl.successor_representation(FOREST, policies[1], 0.9, [0, 1, 2])
    np.testing.assert_allclose(both.visits[1], rows, rtol=1e-14)


def test_state_distribution_starts_at_the_start_and_carries_its_certificate() -> None:
    found = rl.state_distribution(LAKE, rl.uniform_policy(LAKE), 50)
    assert found.shape == (51, 16)
    np.testing.assert_array_equal(found[0], LAKE.initial)
    alive = found.sum(axis=1)
    assert (np.diff(alive) <= 1e-15).all()
    assert alive[-1] < 0.05
    assert found.certificate is not None
    assert found.certificate.bounds["state_distribution"].shape == (51,)
    assert (found.certificate.bounds["state_distribution"] < 1e-14).all()


def test_what_is_computed_from_a_certified_array_is_plain() -> None:
    found = rl.state_distribution(FOREST, HALF, 2)
    assert type(found * 2) is np.ndarray
    assert type(found.sum()) is np.float64
    assert found[1:].certificate is None
    with pytest.raises(ValueError, match="read-only"):
        found[0, 0] = 1.0


def test_discounted_sum_of_state_distributions_is_the_occupancy() -> None:
    gamma, steps = 0.5, 60
    rows = rl.state_distribution(FOREST, HALF, steps)
    summed = (gamma ** np.arange(steps + 1)[:, None] * rows).sum(axis=0)
    np.testing.assert_allclose(summed, rl.occupancy(FOREST, HALF, gamma).visits, atol=2 * gamma**steps)


BAD_CALLS = [
    (
        lambda: rl.occupancy(rl.MDP([[1.0]], reward=[0.0]), [[1.0]], 0.9),
        rl.ModelError,
        "initial: occupancy needs a start distribution, and the model has none; pass initial=p, or make the model with "
        "initial=p or mdp.with_initial(p)",
    ),
    (
        lambda: rl.occupancy(FOREST, HALF, 0.9, initial=[1, 1, 1]),
        rl.ModelError,
        "initial: expected probabilities that sum to 1 within 1e-9, got a sum of 3; divide by the sum",
    ),
    (
        lambda: rl.occupancy(FOREST, HALF, 0.9, initial=[[1, 0, 0], [2, -1, 0]]),
        rl.ModelError,
        "initial[1], state 1: expected a probability in [0, 1], got -1",
    ),
    (
        lambda: rl.occupancy(FOREST, HALF, 0.9, initial=[1.0]),
        rl.ModelError,
        "initial: expected shape (3,) or a batch (B, 3), got (1,)",
    ),
    (
        lambda: rl.state_distribution(FOREST, HALF, -1),
        rl.ArgumentError,
        "steps: expected a whole number from 0 on, got -1",
    ),
    (
        lambda: rl.state_distribution(FOREST, HALF, 2.5),  # type: ignore[arg-type]
        rl.ArgumentError,
        "steps: expected a whole number from 0 on, got 2.5",
    ),
    (
        lambda: rl.state_distribution(FOREST, HALF, 10**12),
        rl.ArgumentError,
        "steps: expected a table that fits in memory, got 1000000000000: 22352 GiB",
    ),
    (
        lambda: rl.state_distribution(FOREST, np.stack([HALF, HALF]), 1),
        rl.PolicyError,
        "policy: expected one of shape (3, 2), got a batch of shape (2, 3, 2)",
    ),
    (
        lambda: rl.successor_representation(FOREST, HALF, 0.9, [3]),
        rl.ArgumentError,
        "states: expected numbers in 0 .. 2, got 3",
    ),
    (
        lambda: rl.successor_representation(FOREST, HALF, 0.9, [0.5]),
        rl.ArgumentError,
        "states: expected a vector of state numbers, got dtype float64, shape (1,); mdp.state_index(label) gives the "
        "number of a label",
    ),
]


@pytest.mark.parametrize(("call", "error", "message"), BAD_CALLS, ids=[message[:60] for _, _, message in BAD_CALLS])
def test_bad_input(call: object, error: type[Exception], message: str) -> None:
    with pytest.raises(error) as raised:
        call()  # type: ignore[operator]
    assert str(raised.value) == message
    assert type(raised.value) is error


def test_visits_that_are_too_few_for_doubles_count_as_none() -> None:
    """Around a ring visits fall to nothing; what is left is right, and another ring is not visited at all."""
    S, gamma = 20_000, 0.9
    ring = np.arange(S) // (S // 2) * (S // 2) + (np.arange(S) + 1) % (S // 2)
    mdp = rl.MDP(
        scipy.sparse.csr_array((np.ones(S), ring, np.arange(S + 1)), shape=(S, S)),
        np.ones(S),
        pair_start=np.arange(S + 1),
        initial=np.eye(1, S)[0],
    )
    found = rl.occupancy(mdp, np.ones((S, 1)), gamma)
    exact = np.where(np.arange(S) < S // 2, gamma ** np.arange(S, dtype=float), 0.0)
    exact[exact < np.finfo(float).tiny] = 0.0
    np.testing.assert_allclose(found.visits[found.visits > 0], exact[found.visits > 0], rtol=1e-12)
    assert (found.visits[S // 2 :] == 0).all()
    assert np.abs(found.visits - exact).sum() <= found.certificate.bounds["visits"] + 1e-14
    assert found.visits[7000] == 0.0 < found.visits[6000]


@pytest.mark.parametrize("order", ["up", "down", "shuffled"])
def test_what_is_not_reached_is_zero_however_states_are_numbered(order: str) -> None:
    """A walk along a line, and states that only lead onto it: rounding leaves something there, structure nothing."""
    length, above = 5000, 3000
    along = {"up": np.arange(length), "down": np.arange(length)[::-1]}.get(
        order, np.random.default_rng(3).permutation(length)
    )
    columns = np.column_stack([along, np.append(along[1:], along[-1])])
    shape = (length, length)
    transition = scipy.sparse.csr_array((np.full(2 * length, 0.5), (np.repeat(along, 2), columns.ravel())), shape=shape)
    mdp = rl.MDP(transition, np.zeros(length), initial=np.eye(1, length, along[above])[0])
    found = rl.occupancy(mdp, np.ones(length), 0.5)
    assert (found.visits[along[:above]] == 0.0).all()
    exact = 1.0 / 0.75 * (0.25 / 0.75) ** np.arange(length - above - 1)
    representable = exact > 1e-300
    np.testing.assert_allclose(found.visits[along[above:-1]][representable], exact[representable], rtol=1e-9)
