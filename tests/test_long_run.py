"""`Average` and the times of a chain: against the exact reference, known answers, and where nothing is defined.

Every comparison is exact: the floats of the core are taken at their binary values and subtracted from fractions. The
counts, and how sharp the bounds are, are reported after the tests.
"""

from __future__ import annotations

import math
import statistics
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from fractions import Fraction
from itertools import chain
from typing import Any

import flint
import mpmath
import numpy as np
import pytest
import scipy.sparse as sp

import generated_chains
import rlcore as rl
from generated_chains import CONTINUING, ENDING, features
from generated_models import Array, RawModel
from rlcore import reference
from rlcore.reference import long_run, structure
from test_agreement import answer, core_model, fmpq_solve, policy_of

PER_FAMILY = 60
AVERAGE = rl.Average()
SHARPNESS = {"advantage": 50, "advantage without a choice": math.inf, "on_policy_objective": 100}
SUP_NORM = {
    "bias",
    "gain",
    "action_value",
    "advantage",
    "advantage without a choice",
    "on_policy_objective",
    "first passage",
    "Kemeny",
}


@pytest.fixture(autouse=True)
def _by_flint(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the references solve their systems with FLINT: as exact, and several times as fast."""
    monkeypatch.setattr(long_run, "solve", fmpq_solve)
    monkeypatch.setattr(structure, "solve", fmpq_solve)


def parts(raw: RawModel) -> list[list[Any]]:
    """Return P, r, pi and the terminations as the reference takes them."""
    return [raw.by_state(pairs) for pairs in (raw.transition, raw.reward, raw.policy, raw.termination)]


# ---- against the reference ----


class Ledger:
    """Errors beside their bounds, by field."""

    def __init__(self) -> None:
        self.ratios: dict[str, list[float]] = {}
        self.count: dict[str, int] = {}
        self.violations: list[str] = []
        self.missed: list[str] = []

    def enter(self, model: str, name: str, exact: Sequence[Fraction | float], got: Any, bound: float) -> None:
        """Compare a row: the same entries are infinite, and the error of the others is within the bound."""
        found = np.ravel(got).tolist()
        assert [math.isfinite(y) for y in found] == [x != math.inf for x in exact], f"{model} {name}: {found}, {exact}"
        errors = [abs(Fraction(x) - Fraction(y)) for x, y in zip(exact, found, strict=True) if x != math.inf]
        error = max(errors, default=Fraction(0)) if name in SUP_NORM else sum(errors, Fraction(0))
        if not (math.isfinite(bound) and error <= Fraction(bound)):
            self.violations.append(f"{model} {name}: error {float(error):.3g}, bound {bound:.3g}")
        self.count[name] = self.count.get(name, 0) + 1
        ratios = self.ratios.setdefault(name, [])
        if error > 0:
            ratios.append(bound / float(error))

    def enter_status(self, model: str, certificate: Any) -> None:
        if certificate.status != "converged":
            self.missed.append(f"{model}: {certificate.method}, bound {np.max(certificate.error_bound):.3g}")

    def check(self, report: Callable[[str], None]) -> None:
        assert not self.violations, f"{len(self.violations)}: {self.violations[:5]}"
        for name, ratios in self.ratios.items():
            median = statistics.median(ratios)
            report(f"  {name}: bound / error {median:.3g} in the median; {self.count[name]} comparisons")
            assert median <= SHARPNESS.get(name, 10), name
        # States that are left once in 1e12 steps or more: the answer is poor, and says so.
        total = max(self.count.values())
        report(f"  {len(self.missed)} of {total} missed the tolerance")
        assert len(self.missed) <= 0.03 * total, self.missed


def models(per_family: int = PER_FAMILY) -> Iterator[tuple[RawModel, float]]:
    """Yield the models with the tolerance that is asked for: the default, and the best attainable."""
    for family in CONTINUING:
        for index in range(per_family):
            yield generated_chains.model(family, index), (1e-9, 0.0)[index % 2]


def flat(nested: Any) -> list[Any]:
    return list(chain.from_iterable(nested))


def test_values_against_the_reference(report: Callable[[str], None]) -> None:
    ledger, found_features = Ledger(), Counter[str]()
    for raw, tol in models():
        P, r, pi, _ = parts(raw)
        found = answer(rl.evaluate, core_model(raw), policy_of(raw), AVERAGE, tol=tol)
        exact = reference.evaluate_average(P, r, pi, raw.initial.tolist())
        bounds = found.certificate.bounds
        assert found.bias is found.value
        assert found.start_value is found.proper is None
        assert found.gain is not None
        assert exact.on_policy_objective is not None
        ledger.enter(raw.name, "gain", exact.gain, found.gain, bounds["gain"])
        ledger.enter(raw.name, "bias", exact.bias, found.bias, bounds["value"])
        objective = found.on_policy_objective
        ledger.enter(
            raw.name, "on_policy_objective", [exact.on_policy_objective], objective, bounds["on_policy_objective"]
        )
        assert (found.action_value is None) == (found.advantage is None) == (exact.action_value is None), raw.name
        if exact.action_value is not None:
            ledger.enter(raw.name, "action_value", flat(exact.action_value), found.action_value, bounds["action_value"])
            # Without a choice advantages are 0, and what is not is below all roundings.
            name = "advantage" if (raw.num_actions > 1).any() else "advantage without a choice"
            ledger.enter(raw.name, name, flat(exact.advantage), found.advantage, bounds["advantage"])
        ledger.enter_status(raw.name, found.certificate)
        found_features.update(features(raw))
    count = ledger.count["gain"]
    report(f"{count} chains that never end against the exact reference: ")
    report("  " + ", ".join(f"{name} {number / count:.0%}" for name, number in sorted(found_features.items())))
    ledger.check(report)


def test_shares_of_time_against_the_reference(report: Callable[[str], None]) -> None:
    ledger = Ledger()
    for raw, tol in models():
        P, _, pi, _ = parts(raw)
        found = answer(rl.occupancy, core_model(raw), policy_of(raw), AVERAGE, tol=tol)
        exact = reference.occupancy_average(P, pi, raw.initial.tolist())
        assert found.visits is None
        assert (found.state >= 0).all(), raw.name
        ledger.enter(raw.name, "state", exact.state, found.state, found.certificate.bounds["state"])
        ledger.enter(raw.name, "pair", flat(exact.pair), found.pair, found.certificate.bounds["pair"])
        ledger.enter_status(raw.name, found.certificate)
    ledger.check(report)


def test_first_passage_times_against_the_reference(report: Callable[[str], None]) -> None:
    """Chains that end are among them: there the time to a state may be infinite because the process ends first."""
    ledger, infinite = Ledger(), 0
    ending = ((generated_chains.model(family, index), 1e-9) for family in ENDING for index in range(PER_FAMILY // 2))
    for raw, tol in chain(models(), ending):
        P, _, pi, ends = parts(raw)
        targets = sorted({0, raw.num_states // 2, raw.num_states - 1})
        found = answer(rl.first_passage_times, core_model(raw), policy_of(raw), targets, tol=tol)
        exact = reference.first_passage_times(P, pi, targets, ends)
        for j in range(len(targets)):
            column = [row[j] for row in exact]
            ledger.enter(raw.name, "first passage", column, np.asarray(found)[:, j], found.certificate.error_bound[j])
            infinite += math.inf in column
        ledger.enter_status(raw.name, found.certificate)
    report(f"  first passage: {infinite} targets that are not surely reached from everywhere")
    ledger.check(report)


def test_deviations_against_the_reference(report: Callable[[str], None]) -> None:
    ledger = Ledger()
    for raw, tol in models(PER_FAMILY // 2):
        P, _, pi, _ = parts(raw)
        states = [raw.num_states - 1, 0][: raw.num_states]
        found = answer(rl.deviation_rows, core_model(raw), policy_of(raw), states, tol=tol)
        exact = reference.deviation_rows(P, pi, states)
        for row, got, bound in zip(exact, np.asarray(found), found.certificate.error_bound, strict=True):
            ledger.enter(raw.name, "deviation", row, got, bound)
        ledger.enter_status(raw.name, found.certificate)
    ledger.check(report)


def test_kemenys_constant_against_the_reference(report: Callable[[str], None]) -> None:
    ledger, refused = Ledger(), 0
    for raw, tol in models(PER_FAMILY // 2):
        P, _, pi, _ = parts(raw)
        try:
            exact = reference.kemeny_constant(P, pi)
        except ValueError:
            with pytest.raises(rl.SettingError, match="expected one recurrent class"):
                rl.kemeny_constant(core_model(raw), policy_of(raw), tol=tol)
            refused += 1
            continue
        found = answer(rl.kemeny_constant, core_model(raw), policy_of(raw), tol=tol)
        assert found.shape == ()
        ledger.enter(raw.name, "Kemeny", [exact], found, float(np.max(found.certificate.error_bound)))
        ledger.enter_status(raw.name, found.certificate)
    report(f"  Kemeny: {refused} chains of several classes refused")
    ledger.check(report)


# ---- nearly decomposable chains, every digit of every probability ----


def nearly_decomposable(states: int, coupling: float, seed: int) -> Array:
    """Return a chain of blocks of ten, with stationary probabilities over many orders of magnitude."""
    rng = np.random.default_rng(seed)
    block = np.arange(states) // 10
    weights = rng.exponential(size=(states, states)) * (rng.random((states, states)) < 0.4)
    weights *= np.where(block[:, None] == block[None, :], 1.0, coupling)
    ring = np.arange(states), (np.arange(states) + 1) % states  # one class
    weights[ring] += np.where(block[ring[0]] == block[ring[1]], 1e-3, coupling)
    return np.asarray(weights / weights.sum(axis=1, keepdims=True))


def exact_stationary(P: Array) -> list[Fraction]:
    """Return the stationary distribution of an irreducible chain whose diagonal is one minus the rest.

    The last column of the balance equations makes room for their sum. FLINT solves them modulo primes.
    """
    size = len(P)
    entries = [[flint.fmpq(*x.as_integer_ratio()) for x in row] for row in P.tolist()]
    for s, row in enumerate(entries):
        row[s] = -sum((x for t, x in enumerate(row) if t != s), flint.fmpq(0))
    balance = [[entries[s][t] for s in range(size)] for t in range(size)]
    balance[-1] = [flint.fmpq(1)] * size
    right = flint.fmpq_mat(size, 1, [flint.fmpq(int(t == size - 1)) for t in range(size)])
    x = flint.fmpq_mat(size, size, flat(balance)).solve(right)
    return [Fraction(int(x[t, 0].p), int(x[t, 0].q)) for t in range(size)]


@pytest.mark.parametrize("coupling", [1e-3, 1e-6, 1e-9, 1e-12, 1e-16])
@pytest.mark.parametrize("states", [20, 60, 200])
def test_every_stationary_probability_is_right_to_ten_digits(
    states: int, coupling: float, report: Callable[[str], None]
) -> None:
    worst = 0.0
    for seed in range(3 if states < 100 else 1):
        P = nearly_decomposable(states, coupling, seed)
        worst = max(worst, componentwise_error(P))
    report(f"  {states} states, couplings of {coupling:g}: largest relative error of a probability {worst:.2g}")
    assert worst <= 1e-10


def componentwise_error(P: Array) -> float:
    """Return the largest relative error of a stationary probability."""
    mdp = rl.MDP(sp.csr_array(P), np.zeros(len(P)), initial=np.eye(1, len(P)).ravel())
    found = rl.occupancy(mdp, rl.uniform_policy(mdp), AVERAGE).state
    return max(float(abs(Fraction(x) - y) / y) for x, y in zip(found.tolist(), exact_stationary(P), strict=True))


def test_two_hundred_states_with_known_shares(report: Callable[[str], None]) -> None:
    """A birth and death chain of blocks: stationary by detailed balance, without an elimination."""
    rng = np.random.default_rng(5)
    for coupling in (1e-9, 1e-12):
        up, down = 0.5 * 10.0 ** rng.uniform(-2, 0, size=(2, 199))
        up[9::10] *= coupling
        down[9::10] *= coupling
        stay = 1.0 - np.append(up, 0.0) - np.append(0.0, down)
        P = sp.csr_array(sp.diags_array([down, stay, up], offsets=[-1, 0, 1]))
        mdp = rl.MDP(P, np.zeros(200), initial=np.eye(1, 200).ravel())
        weights = [Fraction(1)]
        for forth, back in zip(up.tolist(), down.tolist(), strict=True):
            weights.append(weights[-1] * Fraction(forth) / Fraction(back))
        found = rl.occupancy(mdp, rl.uniform_policy(mdp), AVERAGE).state.tolist()
        total = sum(weights)
        error = max(float(abs(Fraction(x) * total / w - 1)) for x, w in zip(found, weights, strict=True))
        report(f"  200 states in a row, couplings of {coupling:g}: largest relative error {error:.2g}")
        assert error <= 1e-10


# ---- known answers ----


def average(*arguments: Any, **options: Any) -> Any:
    """Return what `evaluate` finds, without the types that say what it lacks in other settings."""
    return rl.evaluate(*arguments, **options)


OZ = rl.gallery.oz()
ALWAYS = rl.uniform_policy(OZ)


def test_oz() -> None:
    close: Any = {"rtol": 0, "atol": 1e-14}
    np.testing.assert_allclose(rl.occupancy(OZ, ALWAYS, AVERAGE).state, [0.4, 0.2, 0.4], **close)
    passage = [[2.5, 4, 10 / 3], [8 / 3, 5, 8 / 3], [10 / 3, 4, 2.5]]
    np.testing.assert_allclose(rl.first_passage_times(OZ, ALWAYS), passage, **close)
    deviation = np.array([[56, -12, -44], [-24, 48, -24], [-44, -12, 56]]) / 75
    np.testing.assert_allclose(rl.deviation_rows(OZ, ALWAYS), deviation, **close)
    assert float(rl.kemeny_constant(OZ, ALWAYS)) == pytest.approx(32 / 15, abs=1e-14)
    found = average(OZ, ALWAYS, AVERAGE)
    np.testing.assert_allclose(found.gain, 0.2, **close)
    np.testing.assert_allclose(found.bias, deviation[:, 1], **close)


def test_a_discount_is_futile_in_the_long_run() -> None:
    """Sutton & Barto's example 3.5: sum d v_gamma = gain / (1 - gamma) (theory 3.4)."""
    mdp = rl.gallery.gridworld()
    policy = rl.uniform_policy(mdp)
    d, gain = rl.occupancy(mdp, policy, AVERAGE).state, average(mdp, policy, AVERAGE).on_policy_objective
    assert gain == pytest.approx(-0.0112199747, abs=5e-11)
    for gamma in (0.0, 0.5, 0.9, 0.999):
        assert d @ rl.evaluate(mdp, policy, gamma).value == pytest.approx(gain / (1 - gamma), rel=1e-8)


def test_a_diagonal_that_is_stored_as_one() -> None:
    mdp = rl.MDP([[1, 1e-16], [3e-16, 1]], [0, 1], initial=[1, 0])
    policy = rl.uniform_policy(mdp)
    np.testing.assert_allclose(rl.occupancy(mdp, policy, AVERAGE).state, [0.75, 0.25], rtol=1e-15)
    np.testing.assert_allclose(average(mdp, policy, AVERAGE).gain, 0.25, rtol=1e-15)


def test_a_cycle_of_two_has_no_limit_and_spends_half_of_its_time_in_each_state() -> None:
    mdp = rl.MDP([[0, 1], [1, 0]], [1, 0], initial=[1, 0])
    policy = rl.uniform_policy(mdp)
    assert not rl.chain_structure(mdp, policy).is_aperiodic
    np.testing.assert_allclose(rl.occupancy(mdp, policy, AVERAGE).state, 0.5, rtol=1e-15)
    np.testing.assert_array_equal(rl.state_distribution(mdp, policy, 3)[2:], [[1, 0], [0, 1]])
    found = average(mdp, policy, AVERAGE)
    np.testing.assert_allclose(found.gain, 0.5, rtol=1e-15)
    np.testing.assert_allclose(found.bias, [0.25, -0.25], rtol=1e-15)


@pytest.mark.parametrize("S", [2, 7, 300])
def test_cycles(S: int) -> None:
    for mdp in (rl.gallery.shuffled_cycle(S), rl.gallery.lazy_cycle(S)):
        policy = rl.uniform_policy(mdp)
        np.testing.assert_allclose(rl.occupancy(mdp, policy, AVERAGE).state, 1 / S, rtol=1e-12)
        np.testing.assert_allclose(np.asarray(rl.first_passage_times(mdp, policy, [S - 1]))[S - 1], S, rtol=1e-9)
    # The mean time to a state of the cycle that is drawn by chance.
    cycle = rl.gallery.shuffled_cycle(S)
    assert float(rl.kemeny_constant(cycle, rl.uniform_policy(cycle))) == pytest.approx((S - 1) / 2, rel=1e-9)


def test_queue_and_river() -> None:
    queue = rl.gallery.queue(40)
    shares = (0.35 / 0.6) ** np.arange(40)
    fast = rl.deterministic_policy(queue, np.ones(40, int))
    np.testing.assert_allclose(rl.occupancy(queue, fast, AVERAGE).state, shares / shares.sum(), rtol=1e-10)
    river = rl.gallery.river_swim()
    right = rl.deterministic_policy(river, np.ones(6, int))
    found = average(river, right, AVERAGE)
    np.testing.assert_allclose(found.gain, 72900 / 109, rtol=1e-12)
    assert found.advantage is not None
    np.testing.assert_allclose(found.advantage[:, 1], 0, atol=1e-9)  # of the action that is always taken


def test_the_limit_of_small_discounts() -> None:
    """(1 - gamma) V tends to the gain, d_gamma to the shares of time, and V - gain / (1 - gamma) to the bias."""
    mdp = rl.gallery.forest()
    policy = rl.uniform_policy(mdp)
    found, gamma = average(mdp, policy, AVERAGE), 1 - 1e-5
    V = rl.evaluate(mdp, policy, gamma, tol=0).value
    np.testing.assert_allclose(V - found.gain / (1 - gamma), found.bias, atol=1e-4)
    state = rl.occupancy(mdp, policy, gamma).state
    np.testing.assert_allclose(state, rl.occupancy(mdp, policy, AVERAGE).state, atol=1e-4)


# ---- several classes, transient states, processes that end ----

# States 0 and 1 absorb, state 2 leads to either.
PARTED = rl.MDP([[1, 0, 0], [0, 1, 0], [0.25, 0.75, 0]], [1, 2, 3], initial=[0, 0, 1])
WAY = rl.uniform_policy(PARTED)


def test_several_classes() -> None:
    found = average(PARTED, WAY, AVERAGE)
    np.testing.assert_allclose(found.gain, [1, 2, 1.75], rtol=1e-15)
    np.testing.assert_allclose(found.bias, [0, 0, 1.25], rtol=1e-15)
    assert found.action_value is found.advantage is None
    assert found.on_policy_objective == pytest.approx(1.75, rel=1e-15)
    np.testing.assert_allclose(rl.occupancy(PARTED, WAY, AVERAGE).state, [0.25, 0.75, 0], rtol=1e-15)
    inf = math.inf
    np.testing.assert_array_equal(rl.first_passage_times(PARTED, WAY), [[1, inf, inf], [inf, 1, inf], [inf] * 3])
    np.testing.assert_allclose(rl.deviation_rows(PARTED, WAY, [2]), [[-0.25, -0.75, 1]], rtol=1e-15)
    with pytest.raises(rl.SettingError, match=r"^policy: expected one recurrent class, .*, got 2$"):
        rl.kemeny_constant(PARTED, WAY)


@pytest.mark.parametrize(
    "call",
    [
        lambda mdp, policy: average(mdp, policy, AVERAGE),
        lambda mdp, policy: rl.occupancy(mdp, policy, AVERAGE),
        rl.kemeny_constant,
        rl.deviation_rows,
    ],
    ids=["evaluate", "occupancy", "kemeny_constant", "deviation_rows"],
)
def test_a_process_that_ends_has_no_long_run(call: Callable[[rl.MDP, Array], Any]) -> None:
    mdp = rl.gallery.drunkards_walk()
    with pytest.raises(rl.SettingError, match=r"^setting, state 1, action 'step': expected a process that never ends"):
        call(mdp, rl.uniform_policy(mdp))
    rare = rl.MDP([[1.0]], [1.0], termination=[1e-13], initial=[1])
    with pytest.raises(rl.SettingError, match="use Episodic"):
        call(rare, np.ones((1, 1)))


def test_an_end_that_the_policy_never_takes_or_never_reaches_is_none() -> None:
    mdp = rl.MDP([[1, 0], [0, 0], [0, 1], [0, 1]], [1, 5, 2, 2], pair_start=[0, 2, 4], termination=[0, 1, 0, 0])
    stays = np.array([[1.0, 0.0], [0.5, 0.5]])
    np.testing.assert_array_equal(average(mdp, stays, AVERAGE).gain, [1, 2])
    ends = np.array([[0.5, 0.5], [0.5, 0.5]])
    state = rl.occupancy(mdp, ends, AVERAGE, initial=[0, 1]).state
    np.testing.assert_array_equal(state, [0, 1])
    with pytest.raises(rl.SettingError, match="state 0"):
        rl.occupancy(mdp, ends, AVERAGE, initial=[0.5, 0.5])
    with pytest.raises(rl.SettingError, match="state 0"):
        average(mdp, ends, AVERAGE)


def test_a_transient_target_is_never_entered_again() -> None:
    mdp = rl.MDP([[0.5, 0.5], [0, 1]], [0, 0])
    found = rl.first_passage_times(mdp, rl.uniform_policy(mdp))
    np.testing.assert_array_equal(found, [[math.inf, 2], [math.inf, 1]])
    assert float(rl.kemeny_constant(mdp, rl.uniform_policy(mdp))) == 0


def test_times_to_targets_come_in_the_order_in_which_they_are_asked_for() -> None:
    everything = np.asarray(rl.first_passage_times(OZ, ALWAYS))
    np.testing.assert_array_equal(rl.first_passage_times(OZ, ALWAYS, [2, 0, 2]), everything[:, [2, 0, 2]])
    rows = np.asarray(rl.deviation_rows(OZ, ALWAYS))
    np.testing.assert_array_equal(rl.deviation_rows(OZ, ALWAYS, [1, 1]), rows[[1, 1]])


# ---- batches, threads, large chains ----


def test_batches_have_leading_axes() -> None:
    mdp = rl.gallery.inventory()
    policies = np.stack([rl.random_policy(mdp, seed) for seed in range(3)])
    rewards = np.stack([mdp.reward, -2 * mdp.reward])
    both = average(mdp, policies, AVERAGE, reward=rewards)
    assert both.value.shape == (3, 2, 4)
    assert both.gain is not None
    assert both.action_value.shape == (3, 2, *mdp.pair_shape)
    states = rl.occupancy(mdp, policies, AVERAGE, initial=np.eye(4)).state
    for b in range(3):
        for r in range(2):
            single = average(mdp, policies[b], AVERAGE, reward=rewards[r])
            np.testing.assert_array_equal(both.value[b, r], single.value)
            assert both.on_policy_objective[b, r] == pytest.approx(single.on_policy_objective, rel=1e-13)
        for i in range(4):
            alone = rl.occupancy(mdp, policies[b], AVERAGE, initial=np.eye(4)[i]).state
            np.testing.assert_array_equal(states[b, i], alone)


@pytest.mark.parametrize(
    "make",
    [
        lambda: rl.gallery.garnet(3000, 2, 5),
        lambda: rl.gallery.slippery_grid(60),
        lambda: rl.gallery.queue(2000),
        lambda: rl.gallery.queue(10_000),
        lambda: rl.gallery.nearly_decomposable(2000),
    ],
)
def test_larger_chains_agree_with_their_own_identities(make: Callable[[], rl.MDP]) -> None:
    mdp = make()
    policy = rl.uniform_policy(mdp)
    found, occ = average(mdp, policy, AVERAGE), rl.occupancy(mdp, policy, AVERAGE)
    assert (occ.state >= 0).all()
    assert occ.state.sum() == pytest.approx(1, abs=1e-12)
    assert found.gain is not None
    assert np.ptp(found.gain) == 0
    mean_reward = (occ.pair * mdp.reward).sum()
    slack = occ.certificate.bounds["pair"] * np.abs(mdp.reward).max() + found.certificate.bounds["gain"]
    assert abs(mean_reward - found.gain[0]) <= slack * (1 + 1e-9) + 1e-12 * np.abs(mdp.reward).max()
    assert found.bias is not None
    assert abs(occ.state @ found.bias) <= 1e-8 * np.abs(found.bias).max()
    np.testing.assert_allclose((policy * found.advantage).sum(axis=1), 0, atol=1e-8 * np.abs(found.bias).max())
    threads = average(mdp, policy, AVERAGE, num_threads=1)
    np.testing.assert_array_equal(threads.value, found.value)


def mixing_chain(num_states: int, num_transient: int = 0, num_actions: int = 1) -> rl.MDP:
    """A chain that forgets within a few steps; its numbers have few digits, so that exact solutions are cheap."""
    rng = np.random.default_rng(5)
    num_pairs = num_states * num_actions
    sixteenths = np.zeros((num_pairs, num_states))
    for row in sixteenths:
        np.add.at(row, rng.integers(num_states - num_transient, size=16), 1 / 16)
    reward = rng.integers(-8, 9, size=num_pairs)
    return rl.MDP(sp.csr_array(sixteenths), reward, pair_start=range(0, num_pairs + 1, num_actions))


@pytest.mark.parametrize(
    ("make", "method"),
    [
        (lambda: mixing_chain(230), "renewal sweeps"),
        (lambda: mixing_chain(250, num_transient=30, num_actions=2), "renewal sweeps"),
        (lambda: rl.gallery.slippery_grid(15), "renewal multigrid"),
    ],
)
@pytest.mark.parametrize("tol", [1e-4, 1e-9, 0.0])
def test_without_stopping_against_exact_solutions(make: Callable[[], rl.MDP], method: str, tol: float) -> None:
    mdp = make()
    policy = rl.uniform_policy(mdp)
    found = rl.evaluate(mdp, policy, AVERAGE, tol=tol)
    occ = rl.occupancy(mdp, policy, AVERAGE, tol=tol, initial=np.eye(mdp.num_states)[0])
    assert found.certificate.method == occ.certificate.method == method

    # (I - P with ones for its first column) (g, h_1, ...) = r where h_0 = 0; and d' times this matrix is (1, 0, ...).
    S, A = mdp.num_states, policy.size // mdp.num_states
    transition = mdp.transition.toarray().reshape(S, A, S).tolist()
    weight = [[Fraction(p) for p in row] for row in policy.reshape(S, A).tolist()]
    P = [
        [
            sum((w * Fraction(row[j]) for w, row in zip(weight[i], transition[i], strict=True)), Fraction())
            for j in range(S)
        ]
        for i in range(S)
    ]
    for i in range(S):  # the diagonal is one minus the rest
        P[i][i] += 1 - sum(P[i])
    reward = mdp.reward.reshape(S, A).tolist()
    r = [sum((w * Fraction(x) for w, x in zip(weight[i], reward[i], strict=True)), Fraction()) for i in range(S)]
    matrix = [[Fraction(1) if j == 0 else (i == j) - P[i][j] for j in range(S)] for i in range(S)]
    ((gain, *h),) = fmpq_solve(matrix, [r])
    (d,) = fmpq_solve([list(column) for column in zip(*matrix, strict=True)], [[Fraction(i == 0) for i in range(S)]])
    mean = sum((a * b for a, b in zip(d[1:], h, strict=True)), Fraction())
    bias = [x - mean for x in (Fraction(), *h)]

    assert found.bias is not None
    assert found.gain is not None
    error = max(abs(a - Fraction(b)) for a, b in zip(bias, found.bias.tolist(), strict=True))
    assert (
        error
        <= Fraction(found.certificate.bounds["value"])
        <= (tol or 1e-12) * max(map(abs, [*bias, *map(Fraction, r)]))
    )
    assert abs(gain - Fraction(found.gain[0])) <= Fraction(found.certificate.bounds["gain"])
    for i in range(S):
        for a in range(A):
            whole = sum(map(Fraction, transition[i][a]), Fraction())
            ahead = sum((Fraction(p) * b for p, b in zip(transition[i][a], bias, strict=True) if p), Fraction())
            advantage = Fraction(reward[i][a]) - gain + ahead - whole * bias[i]
            for exact, field, bound in (
                (advantage, found.advantage, "advantage"),
                (advantage + bias[i], found.action_value, "action_value"),
            ):
                assert abs(exact - Fraction(field.ravel()[i * A + a])) <= Fraction(found.certificate.bounds[bound])
    error = sum((abs(a - Fraction(b)) for a, b in zip(d, occ.state.tolist(), strict=True)), Fraction())
    assert error <= Fraction(occ.certificate.bounds["state"]) <= (tol or 1e-12)
    one = rl.evaluate(mdp, policy, AVERAGE, tol=tol, num_threads=1)
    np.testing.assert_array_equal(one.value, found.value)


def test_large_chains_take_few_steps() -> None:
    for mdp, most in ((rl.gallery.garnet(20_000, 4, 5), 50), (rl.gallery.slippery_grid(150), 65)):
        found = average(mdp, rl.uniform_policy(mdp), AVERAGE, tol=1e-8)
        assert found.certificate.method.startswith("renewal")
        assert found.certificate.iterations <= most


# ---- queues: walks on a line, whose long run is known in closed form ----


class Walk:
    """A walk on a line, as it is stored, with as many digits as mpmath is told to work in.

    Against the drift, errors grow by a factor a state: the digits must be many times a double's.
    """

    def __init__(self, mdp: rl.MDP, policy: Array) -> None:
        number = [mpmath.mpf(float(x)) for x in policy.ravel()]
        P, reward = mdp.transition.tocsr(), mdp.reward.ravel()
        self.up, self.down, self.reward = ([mpmath.mpf(0)] * mdp.num_states for _ in range(3))
        for state in range(mdp.num_states):
            for pair in range(mdp.pair_start[state], mdp.pair_start[state + 1]):
                self.reward[state] += number[pair] * mpmath.mpf(float(reward[pair]))
                for entry in range(P.indptr[pair], P.indptr[pair + 1]):
                    chance = number[pair] * mpmath.mpf(float(P.data[entry]))
                    if P.indices[entry] == state + 1:
                        self.up[state] += chance
                    elif P.indices[entry] == state - 1:
                        self.down[state] += chance
                    else:
                        assert P.indices[entry] == state

    def stationary(self) -> list[Any]:
        """What goes up between neighbours comes down again."""
        d = [mpmath.mpf(1)]
        for state in range(1, len(self.up)):
            d.append(d[-1] * self.up[state - 1] / self.down[state])
        total = mpmath.fsum(d)
        return [share / total for share in d]

    def gain_and_bias(self) -> tuple[Any, list[Any]]:
        """Poisson's equation, from the lowest state on."""
        d = self.stationary()
        gain = mpmath.fdot(d, self.reward)
        h, step = [mpmath.mpf(0)], mpmath.mpf(0)
        for state in range(len(d) - 1):
            step = (gain - self.reward[state] + self.down[state] * step) / self.up[state]
            h.append(h[-1] + step)
        mean = mpmath.fdot(d, h)
        return gain, [x - mean for x in h]

    def passage_times(self, target: int) -> list[Any]:
        """From neighbour to neighbour towards the target, and 1 / d(j) for the return."""
        times = [mpmath.mpf(0)] * len(self.up)
        step = mpmath.mpf(0)
        for state in range(target):
            step = (1 + self.down[state] * step) / self.up[state]
            times[state] = step  # to the next state, for now
        for state in range(target - 2, -1, -1):
            times[state] += times[state + 1]
        step = mpmath.mpf(0)
        for state in range(len(self.up) - 1, target, -1):
            step = (1 + self.up[state] * step) / self.down[state]
            times[state] = step
        for state in range(target + 2, len(self.up)):
            times[state] += times[state - 1]
        times[target] = 1 / self.stationary()[target]
        return times

    def kemeny_constant(self) -> Any:
        """sum_k F(k) (1 - F(k)) / (d(k) up(k)), where F(k) = d(0) + ... + d(k): the trace of the deviation matrix."""
        d = self.stationary()
        below, total = mpmath.mpf(0), mpmath.mpf(0)
        for state in range(len(d) - 1):
            below += d[state]
            total += below * (1 - below) / (d[state] * self.up[state])
        return total


@pytest.mark.parametrize("S", [150, 1000, 4000])
@pytest.mark.parametrize("slowly", [0.05, 0.5, 0.95])
def test_queues_of_any_drift(S: int, slowly: float) -> None:
    """Most of the time the queue is empty, anywhere, or full: cycles must begin where it is, wherever that be.

    From the other end they would take 1.1^S steps.
    """
    mdp = rl.gallery.queue(S)
    policy = np.tile([slowly, 1.0 - slowly], (S, 1))
    with mpmath.workdps(2500):
        walk = Walk(mdp, policy)
        d, (gain, h) = walk.stationary(), walk.gain_and_bias()
        found = rl.evaluate(mdp, policy, AVERAGE)
        shares = rl.occupancy(mdp, policy, AVERAGE, initial=np.eye(S)[0])
        bounds = found.certificate.bounds
        assert max(abs(mpmath.mpf(float(a)) - b) for a, b in zip(found.value, h, strict=True)) <= bounds["value"]
        assert max(abs(mpmath.mpf(float(a)) - gain) for a in found.gain) <= bounds["gain"]
        distance = mpmath.fsum(abs(mpmath.mpf(float(a)) - b) for a, b in zip(shares.state, d, strict=True))
        assert distance <= shares.certificate.bounds["state"]
    assert found.certificate.status == shares.certificate.status == "converged"


@pytest.mark.parametrize("S", [300, 3000])
@pytest.mark.parametrize("seed", range(4))
def test_queues_in_a_random_environment(S: int, seed: int) -> None:
    """A walk that is driven to many places, and from one to the other only after times beyond any number."""
    mdp = rl.gallery.queue(S)
    policy = rl.random_policy(mdp, seed)
    with mpmath.workdps(1500):
        d = Walk(mdp, policy).stationary()
        found = rl.occupancy(mdp, policy, AVERAGE, initial=np.eye(S)[S // 2])
        distance = mpmath.fsum(abs(mpmath.mpf(float(a)) - b) for a, b in zip(found.state, d, strict=True))
        assert distance <= found.certificate.bounds["state"]
        # Every one of them, however small, but for those that doubles cannot hold.
        for share, exact in zip(found.state.tolist(), d, strict=True):
            assert abs(mpmath.mpf(share) - exact) <= 1e-15 * exact + mpmath.mpf(2) ** -1070
    assert found.certificate.status == "converged"
    assert found.certificate.method == "state reduction"


def test_a_walk_between_two_ends() -> None:
    """Both hold the walk, and what is between them weighs up to 2^-2000: beside doubles nothing, and yet the bridge."""
    S, middle = 4001, 2000
    up = np.where(np.arange(S) < middle, 0.25, 0.5)
    down = np.where(np.arange(S) <= middle, 0.5, 0.25)
    up[-1] = down[0] = 0.0
    P = sp.diags_array([down[1:], 1.0 - up - down, up[:-1]], offsets=[-1, 0, 1]).tocsr()
    mdp = rl.MDP(P, np.zeros(S), pair_start=np.arange(S + 1))
    found = rl.occupancy(mdp, np.ones((S, 1)), AVERAGE, initial=np.eye(S)[0])
    weight = [Fraction(1)]
    for state in range(1, S):
        weight.append(weight[-1] * Fraction(up[state - 1]) / Fraction(down[state]))
    total = sum(weight)
    assert 0.2 < found.state[-1] < 0.6
    for share, exact in zip(found.state.tolist(), weight, strict=True):
        assert abs(Fraction(share) - exact / total) <= exact / total / 10**15 + Fraction(1, 2**1070)


@pytest.mark.parametrize("ratio", [1e-3, 1e-30])
def test_a_ring_that_drifts(ratio: float) -> None:
    """Forwards with probability 1/2, backwards hardly ever, under shuffled labels; one step is the bottleneck."""
    S = 401
    label = np.random.default_rng(5).permutation(S)
    P = np.zeros((S, S))
    for i in range(S):
        P[label[i], label[(i + 1) % S]] = 2.0**-40 if i == 7 else 0.5
        P[label[i], label[i - 1]] = ratio * (1 + i % 3)
    P[range(S), range(S)] = 1.0 - P.sum(axis=1)
    mdp = rl.MDP.from_arrays(P[:, None, :], np.zeros((S, 1)))
    found = rl.occupancy(mdp, np.ones((S, 1)), AVERAGE, initial=np.eye(S)[0])
    exact = exact_stationary(P)
    assert found.certificate.method == "state reduction"
    for share, right in zip(found.state.tolist(), exact, strict=True):
        assert abs(Fraction(share) - right) <= right / 10**15


@pytest.mark.parametrize("S", [150, 1000])
@pytest.mark.parametrize("slowly", [0.05, 0.5, 0.95])
def test_kemenys_constant_of_queues(S: int, slowly: float) -> None:
    """Times to states that are hardly ever visited are beyond any number; what they count for is not."""
    mdp = rl.gallery.queue(S)
    policy = np.tile([slowly, 1.0 - slowly], (S, 1))
    with mpmath.workdps(2500):
        exact = Walk(mdp, policy).kemeny_constant()
        found = rl.kemeny_constant(mdp, policy)
        assert abs(mpmath.mpf(float(np.asarray(found))) - exact) <= np.max(found.certificate.error_bound)
    assert found.certificate.status == "converged"


@pytest.mark.parametrize("slowly", [0.05, 0.5, 0.95])
def test_passage_times_of_queues(slowly: float) -> None:
    """Against the drift a passage takes up to 1e+200 steps, of which sixteen digits are right."""
    mdp = rl.gallery.queue(800)
    policy = np.tile([slowly, 1.0 - slowly], (800, 1))
    targets = [0, 1, 400, 799]
    found = rl.first_passage_times(mdp, policy, targets)
    assert found.certificate.status == "converged"
    with mpmath.workdps(1500):
        walk = Walk(mdp, policy)
        for row, target in zip(np.asarray(found).T, targets, strict=True):
            for time, exact in zip(row.tolist(), walk.passage_times(target), strict=True):
                assert abs(mpmath.mpf(time) - exact) <= 1e-15 * exact


def test_what_cannot_be_proven_is_still_a_number() -> None:
    """Two of four states are left once in 1e305 steps: times that overflow in twofold arithmetic."""
    stays = [[0.12, 0.88, 0, 0], [0.63, 0.37, 0, 0], [0, 0, 0.93, 0.07], [0, 0, 0.75, 0.25]]
    moves = [[0.04, 0.47, 0.22, 0.27], [0.19, 0.13, 0.63, 0.05], [0.03, 0.13, 0.39, 0.45], [0.35, 0.4, 0.02, 0.23]]
    rewards = np.array([[-0.38, -0.67], [0.1, 0.4], [-0.58, -1.0], [-0.6, -0.84]])
    mdp = rl.MDP.from_arrays([np.array(stays), np.array(moves)], rewards)
    policy = np.array([[0.5, 0.5], [0.5, 0.5], [1.0, 9.86e-305], [1.0, 9.86e-305]])
    with pytest.raises(rl.ConvergenceError) as stalled:
        rl.evaluate(mdp, policy, rl.Average())
    found = stalled.value.result
    assert np.isfinite(found.value).all()
    assert np.isfinite(found.advantage).all()
    assert found.certificate.error_bound == np.inf
    assert np.abs(found.gain + 0.5817).max() <= found.certificate.bounds["gain"]
