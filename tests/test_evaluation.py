"""`evaluate`: known answers, shapes of batches, certificates, and what happens when a tolerance cannot be met."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse as sp

import rlcore as rl

FOREST = rl.gallery.forest()
HALF = rl.uniform_policy(FOREST)


def test_forest() -> None:
    found = rl.evaluate(FOREST, HALF, rl.Discounted(0.9))
    assert found.start_value == pytest.approx(7.9672916667, abs=5e-11)


def test_sutton_and_barto_example_3_5() -> None:
    mdp = rl.gallery.gridworld()
    value = rl.evaluate(mdp, rl.uniform_policy(mdp), 0.9).value
    np.testing.assert_allclose(value[:5], [3.30900, 8.78929, 4.42762, 5.32237, 1.49218], atol=5e-6)


def test_frozen_lake() -> None:
    mdp = rl.from_gymnasium("FrozenLake-v1")
    found = rl.evaluate(mdp, rl.uniform_policy(mdp), 0.99)
    assert found.start_value == pytest.approx(0.012356137, abs=5e-10)


def test_a_number_is_a_discount_factor() -> None:
    by_number = rl.evaluate(FOREST, HALF, 0.9)
    by_setting = rl.evaluate(FOREST, HALF, rl.Discounted(0.9))
    np.testing.assert_array_equal(by_number.value, by_setting.value)


def test_the_on_policy_objective_is_not_the_start_value() -> None:
    found = rl.evaluate(FOREST, HALF, 0.9)
    state = rl.occupancy(FOREST, HALF, 0.9).state
    assert found.on_policy_objective == pytest.approx(state @ found.value, rel=1e-14)
    assert found.on_policy_objective < found.start_value
    assert 0.0 < found.certificate.bounds["on_policy_objective"] < 1e-12


def test_without_a_start_distribution_there_is_no_start_value() -> None:
    mdp = rl.MDP(FOREST.transition, FOREST.reward, pair_start=FOREST.pair_start)
    found = rl.evaluate(mdp, HALF, 0.9)
    assert found.start_value is None
    assert found.on_policy_objective is None
    assert "start_value" not in found.certificate.bounds


def test_batches_have_leading_axes() -> None:
    policies = np.stack([HALF, rl.random_policy(FOREST, 1)])
    rewards = np.stack([FOREST.reward, 2 * FOREST.reward, -FOREST.reward])
    both = rl.evaluate(FOREST, policies, 0.9, reward=rewards)
    assert both.value.shape == (2, 3, 3)
    assert both.action_value.shape == both.advantage.shape == (2, 3, 3, 2)
    assert both.start_value.shape == both.certificate.error_bound.shape == (2, 3)
    assert len(both.certificate.status) == 6
    for b in range(2):
        for r in range(3):
            single = rl.evaluate(FOREST, policies[b], 0.9, reward=rewards[r])
            np.testing.assert_array_equal(both.value[b, r], single.value)
            assert both.start_value[b, r] == single.start_value
            assert both.on_policy_objective[b, r] == pytest.approx(single.on_policy_objective, rel=1e-14)
    assert rl.evaluate(FOREST, policies, 0.9).value.shape == (2, 3)
    assert rl.evaluate(FOREST, HALF, 0.9, reward=rewards).value.shape == (3, 3)
    assert rl.evaluate(FOREST, policies[:1], 0.9).value.shape == (1, 3)


def test_a_batch_larger_than_a_portion_keeps_its_order() -> None:
    policies = np.stack([rl.random_policy(FOREST, seed) for seed in range(300)])
    batch = rl.evaluate(FOREST, policies, 0.9)
    for item in (0, 63, 64, 128, 299):
        np.testing.assert_array_equal(batch.value[item], rl.evaluate(FOREST, policies[item], 0.9).value)


def test_flat_policies_are_accepted() -> None:
    np.testing.assert_array_equal(
        rl.evaluate(FOREST, HALF.ravel(), 0.9).advantage, rl.evaluate(FOREST, HALF, 0.9).advantage
    )


def test_results_are_read_only() -> None:
    found = rl.evaluate(FOREST, HALF, 0.9)
    for array in (found.value, found.action_value, found.advantage):
        with pytest.raises(ValueError, match="read-only"):
            array[0] = 0.0
    with pytest.raises(AttributeError):
        found.value = HALF  # type: ignore[misc]


def test_an_unattainable_tolerance_is_an_error_that_holds_the_best_answer() -> None:
    with pytest.raises(rl.ConvergenceError, match=r"^evaluate: expected a relative error of 1e-17") as raised:
        rl.evaluate(FOREST, HALF, 0.9, tol=1e-17)
    best = raised.value.result
    assert isinstance(best, rl.Evaluation)
    assert best.certificate.status == "stalled"
    assert best.certificate.error_bound < 1e-14
    assert rl.evaluate(FOREST, HALF, 0.9, tol=1e-17, raise_on_failure=False).certificate.status == "stalled"
    assert rl.evaluate(FOREST, HALF, 0.9, tol=0).certificate.status == "converged"


def test_explain_tells_what_was_tried() -> None:
    assert rl.evaluate(FOREST, HALF, 0.9).certificate.story is None
    story = rl.evaluate(FOREST, HALF, 0.9, explain=True).certificate.story
    assert story.startswith("dense LU: 1 solve, proven relative error")


def test_a_reward_offset_costs_the_advantages_no_digits() -> None:
    """With numbers that binary fractions hold exactly, an offset of 1e9 changes no advantage (theory 9)."""
    random = np.random.default_rng(0)
    transition = np.zeros((400, 200))
    for row in transition:
        row[random.choice(200, 4, replace=False)] = 0.25
    mdp = rl.MDP(transition, random.integers(0, 2**20, 400) * 2.0**-20)
    policy = rl.uniform_policy(mdp)
    plain = rl.evaluate(mdp, policy, 1 - 2.0**-7)
    offset = rl.evaluate(mdp, policy, 1 - 2.0**-7, reward=mdp.reward + 2.0**30, tol=0)
    bound = plain.certificate.bounds["advantage"] + offset.certificate.bounds["advantage"]
    assert np.abs(offset.advantage - plain.advantage).max() <= bound
    assert offset.certificate.bounds["advantage"] <= 1e-15


@pytest.mark.parametrize("gamma", [0.0, 0.5, 1 - 2.0**-16])
def test_large_models_reach_the_last_digit_with_tol_0(gamma: float) -> None:
    mdp = rl.gallery.garnet(2000, 2, 5)
    found = rl.evaluate(mdp, rl.uniform_policy(mdp), gamma, tol=0)
    assert found.certificate.error_bound <= 2.0**-52 * np.abs(found.value).max()


def _with_uneven_rows(size: int) -> rl.MDP:
    """Rows that miss one by most of the tolerance, in either direction: constants are then not free."""
    rng = np.random.default_rng(1)
    rows = np.repeat(np.arange(size), 3)
    columns = (rows + np.tile([1, 2, 5], size) * rng.integers(1, 900, size).repeat(3)) % size
    sums = 1 + 9e-10 * rng.choice([-1.0, 1.0], size)
    matrices = [
        sp.csr_array((np.tile(p, size) * sums.repeat(3), (rows, columns))) for p in ([0.5, 0.25, 0.25], [0, 1, 0])
    ]
    return rl.MDP.from_arrays(matrices, rng.normal(size=(size, 2)), initial=np.full(size, 1 / size))


@pytest.mark.parametrize("gamma", [0.9, 0.999])
@pytest.mark.parametrize("name", ["garnet", "grid", "queue", "lake", "uneven"])
def test_large_models_keep_their_bounds_at_any_tolerance(name: str, gamma: float) -> None:
    # From 4096 states on, proofs are in doubles where the tolerance leaves room for their rounding.
    mdp = {
        "garnet": lambda: rl.gallery.garnet(5000, 4, 5),
        "grid": lambda: rl.gallery.slippery_grid(70),
        "queue": lambda: rl.gallery.queue(5000),
        "lake": lambda: rl.gallery.frozen_lake(70),
        "uneven": lambda: _with_uneven_rows(5000),
    }[name]()
    policy = rl.random_policy(mdp, 0)
    exact, visited = rl.evaluate(mdp, policy, gamma, tol=0), rl.occupancy(mdp, policy, gamma, tol=0)
    assert exact.certificate.error_bound <= 1e-12 * np.abs(exact.value).max()
    for tol in (1e-4, 1e-8, 1e-12):
        found = rl.evaluate(mdp, policy, gamma, tol=tol)
        assert found.certificate.error_bound <= tol * np.abs(exact.value).max() * (1 + tol)
        for field in ("value", "action_value", "advantage", "start_value"):
            off = np.abs(getattr(found, field) - getattr(exact, field)).max()
            assert off <= found.certificate.bounds[field] + exact.certificate.bounds[field], field
        visits = rl.occupancy(mdp, policy, gamma, tol=tol)
        assert visits.certificate.error_bound <= tol * visited.visits.sum() * (1 + tol)
        for field in ("visits", "state", "pair"):
            off = np.abs(getattr(visits, field) - getattr(visited, field)).sum()
            assert off <= (visits.certificate.bounds[field] + visited.certificate.bounds[field]) * (1 + 1e-9), field


def test_doubles_and_twofold_numbers_prove_lanes_of_one_batch() -> None:
    """States that swap in pairs: r = 1 has V = r / (1 - gamma), and r = +-1 has V = r / (1 + gamma), small beside r."""
    size, gamma = 5000, 0.9
    swap = sp.csr_array((np.ones(size), (np.arange(size), np.arange(size) ^ 1)))
    mdp = rl.MDP.from_arrays([swap], np.ones(size), initial=np.full(size, 1 / size))
    constant, swings = np.ones(size), np.tile([1.0, -1.0], size // 2)
    rewards = np.stack([constant, swings, 1e-3 * constant, -swings, swings + 0.01])
    # Their rounding in doubles is proven to be below 18 u (max|r| + max|V|) / (1 - gamma): 1.1 and 2.9 times
    # 18 u / (1 - gamma) beside V. The tolerance is between 8 times the one and the other.
    tol = 8 * 2 * 18 * 2.0**-53 / (1 - gamma)
    found = rl.evaluate(mdp, rl.uniform_policy(mdp), gamma, reward=rewards[:, :, None], tol=tol)
    relative = np.asarray(found.certificate.error_bound) / np.abs(found.value).max(axis=1)
    in_doubles = relative > 18 * 2.0**-53 / (1 - gamma)
    np.testing.assert_array_equal(in_doubles, [True, False, True, False, False])
    for k, reward in enumerate(rewards):
        alone = rl.evaluate(mdp, rl.uniform_policy(mdp), gamma, reward=reward[:, None], tol=tol)
        for field in ("value", "action_value", "advantage", "start_value"):
            assert np.asarray(getattr(alone, field)).tobytes() == np.asarray(getattr(found, field)[k]).tobytes()
            assert alone.certificate.bounds[field] == found.certificate.bounds[field][k]


BAD_CALLS = [
    (
        lambda: rl.evaluate(FOREST, np.ones((3, 3)) / 3, 0.9),
        rl.PolicyError,
        "policy: expected shape (3, 2), flat (6,) or a batch (B, 3, 2), got (3, 3)",
    ),
    (
        lambda: rl.evaluate(FOREST, np.ones((3, 2)), 0.9),
        rl.PolicyError,
        "policy, state 0: expected probabilities that sum to 1 within 1e-9, got a sum of 2; divide the row by its sum",
    ),
    (
        lambda: rl.evaluate(FOREST, [[0.5, 0.5], [1.5, -0.5], [1, 0]], 0.9),
        rl.PolicyError,
        "policy, state 1, action 'cut': expected a probability in [0, 1], got -0.5",
    ),
    (
        lambda: rl.evaluate(FOREST, np.stack([HALF, np.full((3, 2), np.nan)]), 0.9),
        rl.PolicyError,
        "policy[1], state 0, action 'wait': expected a probability in [0, 1], got nan",
    ),
    (
        lambda: rl.evaluate(FOREST, HALF * 1j, 0.9),
        rl.PolicyError,
        "policy: expected real numbers, got dtype complex128",
    ),
    (lambda: rl.evaluate(FOREST, "uniform", 0.9), rl.PolicyError, "policy: expected real numbers, got dtype <U7"),
    (
        lambda: rl.evaluate(FOREST, np.empty((0, 3, 2)), 0.9),
        rl.PolicyError,
        "policy: expected at least one item in the batch, got shape (0, 3, 2)",
    ),
    (
        lambda: rl.evaluate(FOREST, HALF, 1.0),
        rl.SettingError,
        "gamma: expected 0 <= gamma < 1, got 1.0; without a discount use Episodic(), Average() or FiniteHorizon(steps)",
    ),
    (lambda: rl.evaluate(FOREST, HALF, float("nan")), rl.SettingError, "gamma: expected 0 <= gamma < 1, got nan"),
    (
        lambda: rl.evaluate(FOREST, HALF, "0.9"),  # type: ignore[arg-type]
        rl.SettingError,
        "setting: expected rlcore.Discounted(gamma), rlcore.Episodic(), rlcore.Average(), rlcore.FiniteHorizon(steps) "
        "or a number in [0, 1), got '0.9'",
    ),
    (
        lambda: rl.evaluate(FOREST, HALF, 0.9, tol=-1),
        rl.ArgumentError,
        "tol: expected a relative error in [0, 1), got -1; 0 asks for the best attainable",
    ),
    (
        lambda: rl.evaluate(FOREST, HALF, 0.9, num_threads=0),
        rl.ArgumentError,
        "num_threads: expected 1 to 256, or None for one per core, got 0",
    ),
    (
        lambda: rl.evaluate(FOREST, HALF, 0.9, reward=[1.0, 2.0]),
        rl.ModelError,
        "reward: expected shape (3, 2), flat (6,) or a batch (B, 3, 2), got (2,)",
    ),
    (
        lambda: rl.evaluate(FOREST, HALF, 0.9, reward=np.full((3, 2), np.inf)),
        rl.ModelError,
        "reward, state 0, action 'wait': expected a finite number, got inf",
    ),
    (
        lambda: rl.evaluate(FOREST, HALF, 0.9, progress=3),  # type: ignore[arg-type]
        rl.ArgumentError,
        "progress: expected a callable that takes a rlcore.Progress, got 3",
    ),
    (
        lambda: rl.evaluate("FrozenLake-v1", HALF, 0.9),  # type: ignore[arg-type]
        rl.ArgumentError,
        "mdp: expected a rlcore.MDP, got str",
    ),
    (
        lambda: rl.evaluate(
            rl.MDP([[1 + 9e-10]], reward=[1.0]),
            [[1.0]],
            1 - 1e-12,
        ),
        rl.SettingError,
        "gamma: expected gamma times the largest sum of a row below 1, got gamma = 0.999999999999 with a sum of "
        "1.0000000009000003; pass normalize=True to MDP",
    ),
]


@pytest.mark.parametrize(("call", "error", "message"), BAD_CALLS, ids=[message[:60] for _, _, message in BAD_CALLS])
def test_bad_input(call: object, error: type[Exception], message: str) -> None:
    with pytest.raises(error) as raised:
        call()  # type: ignore[operator]
    assert str(raised.value) == message
    assert type(raised.value) is error
