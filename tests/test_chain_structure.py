"""`chain_structure`: against the exact reference, on known chains, and where structure and rounding disagree."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from fractions import Fraction

import numpy as np
import pytest
import scipy.sparse as sp

import generated_chains
import generated_models
import rlcore as rl
from generated_models import RawModel
from rlcore import reference

CHAINS = 60
MODELS = 20
"""How many models of each family are compared."""


def core_model(raw: RawModel) -> rl.MDP:
    ends = raw.termination if raw.termination.any() else None
    rows = sp.csr_array(raw.transition)
    return rl.MDP(rows, raw.reward, pair_start=raw.pair_start, termination=ends, initial=raw.initial)


def exact_structure(raw: RawModel) -> reference.ChainStructure:
    return reference.chain_structure(*(raw.by_state(part) for part in (raw.transition, raw.policy, raw.termination)))


def chain(*rows: list[float], ends: list[float] | None = None) -> rl.ChainStructure:
    mdp = rl.MDP(rows, np.zeros(len(rows)), termination=ends)
    return rl.chain_structure(mdp, rl.uniform_policy(mdp))


def classes_of(found: rl.ChainStructure) -> list[list[int]]:
    return [states.tolist() for states in found.recurrent_classes]


# ---- against the reference ----


def compare(raw: RawModel) -> reference.ChainStructure:
    found, exact = rl.chain_structure(core_model(raw), raw.policy), exact_structure(raw)
    assert classes_of(found) == exact.recurrent_classes, raw.name
    assert found.transient.tolist() == exact.transient, raw.name
    assert found.periods.tolist() == exact.periods, raw.name
    assert found.is_unichain is exact.is_unichain
    assert found.is_irreducible is exact.is_irreducible
    assert found.is_aperiodic is exact.is_aperiodic
    # The chain surely ends where it is absorbed with probability 0.
    assert found.proper.tolist() == [not any(row) for row in exact.absorption], raw.name
    for number, states in enumerate(found.recurrent_classes):
        assert (found.class_of[states] == number).all()
    assert (found.class_of[found.transient] == -1).all()
    return exact


def test_chains_against_the_reference(report: Callable[[str], None]) -> None:
    counts: Counter[str] = Counter()
    for family in generated_chains.FAMILIES:
        for index in range(CHAINS):
            exact = compare(generated_chains.model(family, index))
            counts["chains"] += 1
            counts["of several classes"] += len(exact.recurrent_classes) > 1
            counts["periodic"] += not exact.is_aperiodic
            counts["with transient states"] += bool(exact.transient)
    report("chain_structure: " + ", ".join(f"{count} {what}" for what, count in counts.items()))
    assert counts["chains"] >= 1000
    assert min(counts.values()) >= 100


@pytest.mark.parametrize("family", generated_models.FAMILIES)
def test_models_against_the_reference(family: str) -> None:
    for index in range(MODELS):
        compare(generated_models.model(family, index))


@pytest.mark.parametrize("family", generated_chains.FAMILIES)
def test_absorption_against_the_reference(family: str) -> None:
    for index in range(MODELS):
        raw = generated_chains.model(family, index)
        found, exact = rl.chain_structure(core_model(raw), raw.policy).absorption, exact_structure(raw).absorption
        assert found.shape == (raw.num_states, len(exact[0]))
        assert found.certificate is not None
        for number, bound in enumerate(found.certificate.bounds["absorption"].tolist()):
            column = found[:, number].tolist()
            error = max(abs(row[number] - Fraction(got)) for row, got in zip(exact, column, strict=True))
            assert error <= min(Fraction(bound), Fraction(1, 10**12)), raw.name


# ---- known answers ----


def test_land_of_oz() -> None:
    found = chain([0.5, 0.25, 0.25], [0.5, 0, 0.5], [0.25, 0.25, 0.5])
    assert found.is_irreducible
    assert found.is_aperiodic
    assert not found.proper.any()
    np.testing.assert_array_equal(found.absorption, np.ones((3, 1)))


def test_drunkards_walk() -> None:
    walk = [[1, 0, 0, 0, 0], [0.5, 0, 0.5, 0, 0], [0, 0.5, 0, 0.5, 0], [0, 0, 0.5, 0, 0.5], [0, 0, 0, 0, 1.0]]
    found = chain(*walk)
    assert classes_of(found) == [[0], [4]]
    assert found.transient.tolist() == [1, 2, 3]
    assert not found.is_unichain
    assert found.is_aperiodic
    np.testing.assert_allclose(found.absorption[1:4], [[0.75, 0.25], [0.5, 0.5], [0.25, 0.75]], rtol=1e-12)


@pytest.mark.parametrize("period", range(1, 7))
def test_a_cycle_has_its_length_as_period(period: int) -> None:
    found = chain(*np.roll(np.eye(period), 1, axis=1).tolist())
    assert found.periods.tolist() == [period]
    assert found.is_aperiodic is (period == 1)


def test_period_by_a_circle_elsewhere() -> None:
    assert chain([0, 1, 0], [0, 0, 1], [0.5, 0.5, 0]).periods.tolist() == [1]


def test_a_chain_that_ends_has_no_class() -> None:
    found = chain([0, 1], [0.5, 0.25], ends=[0, 0.25])
    assert classes_of(found) == []
    assert found.proper.all()
    assert found.periods.shape == (0,)
    assert found.absorption.shape == (2, 0)
    assert found.is_aperiodic
    assert repr(found) == "ChainStructure(0 recurrent classes, 2 transient states)"


def test_states_that_may_end_and_may_not() -> None:
    found = chain([0.25, 0.25, 0.25], [0, 1, 0], [0, 0, 0.5], ends=[0.25, 0, 0.5])
    assert classes_of(found) == [[1]]
    assert found.proper.tolist() == [False, False, True]


# ---- structure, not rounding ----


def test_products_that_underflow_are_steps() -> None:
    tiny = 5e-324
    mdp = rl.MDP([[1, 0], [tiny, 1], [0, 1], [0, 1]], np.zeros(4), pair_start=[0, 2, 4])
    assert classes_of(rl.chain_structure(mdp, [[1, tiny], [1, 0]])) == [[1]]
    assert classes_of(rl.chain_structure(mdp, [[1, 0], [1, 0]])) == [[0], [1]]


def test_probabilities_that_are_stored_as_zero_are_no_steps() -> None:
    rows = sp.csr_array((np.array([1.0, 0.0, 1.0]), np.array([0, 1, 1]), np.array([0, 2, 3])), shape=(2, 2))
    mdp = rl.MDP(rows, [0, 0])
    assert classes_of(rl.chain_structure(mdp, rl.uniform_policy(mdp))) == [[0], [1]]


def test_a_row_that_falls_short_does_not_end() -> None:
    assert chain([0, 1 - 2**-53], [1, 0]).periods.tolist() == [2]


def test_a_termination_that_underflows_ends() -> None:
    mdp = rl.MDP([[1.0], [1.0]], np.zeros(2), pair_start=[0, 2], termination=[0.0, 5e-324])
    assert rl.chain_structure(mdp, [[1, 5e-324]]).proper.all()
    assert not rl.chain_structure(mdp, [[1, 0]]).proper.any()


def test_links_below_rounding_join_classes() -> None:
    assert chain([1, 1e-300], [1e-300, 1]).is_irreducible


# ---- many states ----


def test_many_classes_and_a_long_cycle() -> None:
    count = 200_000
    identity = rl.MDP(sp.eye_array(count, format="csr"), np.zeros(count))
    found = rl.chain_structure(identity, rl.uniform_policy(identity))
    assert len(found.recurrent_classes) == count
    assert repr(found).startswith("ChainStructure(200000 recurrent classes of 1, 1, 1, 1 and 1 states, periods 1, 1")
    order = np.random.default_rng(0).permutation(count)
    forward = sp.csr_array((np.ones(count), (order, np.roll(order, 1))), shape=(count, count))
    cycle = rl.MDP(forward, np.zeros(count))
    assert rl.chain_structure(cycle, rl.uniform_policy(cycle)).periods.tolist() == [count]


def test_threads_and_progress() -> None:
    mdp = rl.gallery.garnet(50_000, 3, 4)
    policy = rl.uniform_policy(mdp)
    one, two = (rl.chain_structure(mdp, policy, num_threads=threads) for threads in (1, 2))
    np.testing.assert_array_equal(one.class_of, two.class_of)
    assert one.is_unichain

    def stop(_: rl.Progress) -> None:
        raise KeyError("enough")

    large = rl.gallery.garnet(300_000, 4, 5)
    with pytest.raises(KeyError, match="enough"):
        rl.chain_structure(large, rl.uniform_policy(large), progress=stop)


def test_results_are_read_only() -> None:
    found = chain([0, 1], [1, 0])
    for array in (found.transient, found.periods, found.class_of, found.proper, found.absorption):
        assert not array.flags.writeable
    with pytest.raises(AttributeError):
        found.periods = found.transient  # type: ignore[misc]
