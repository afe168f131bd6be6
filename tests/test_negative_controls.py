"""What must fail: proof that the agreement tests can tell a wrong answer from a right one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from itertools import islice

import numpy as np
import pytest

import generated_models
from generated_models import RawModel
from rlcore import reference
from rlcore.reference.rational import Number
from test_agreement import FIELDS, Answers, ExactAnswers, core_answers, error_of, exact_answers, exceeds, violations

MODELS = [
    generated_models.model(family, index)
    for family in ("dense", "ragged_actions", "termination_somewhere", "rewards_offset", "periodic", "everything")
    for index in range(12)
]


@pytest.fixture(scope="module")
def answered() -> list[tuple[RawModel, ExactAnswers, Answers]]:
    return [(raw, exact_answers(raw), core_answers(raw)) for raw in MODELS]


Answered = list[tuple[RawModel, ExactAnswers, Answers]]
BEYOND = Fraction(1, 2**1100)  # less than any double


def test_right_answers_pass(answered: Answered) -> None:
    """The controls mean something only if nothing is flagged without cause."""
    assert not [(raw.name, name) for raw, exact, answers in answered for name in violations(exact, answers)]


@pytest.mark.parametrize("name", FIELDS)
def test_an_answer_moved_by_twice_its_bound_is_flagged(answered: Answered, name: str) -> None:
    """Wherever in the answer, and in either direction."""
    rng = np.random.default_rng(0)
    for _, exact, answers in answered:
        for truth, (got, bound) in zip(exact[name], answers[name], strict=True):
            for sign in (-1, 1):
                moved = [Fraction(x) for x in got]
                moved[rng.integers(len(moved))] += sign * (2 * Fraction(bound) + BEYOND)
                assert exceeds(name, truth, moved, bound)


@pytest.mark.parametrize("name", FIELDS)
def test_a_bound_just_below_the_error_is_flagged(answered: Answered, name: str) -> None:
    for _, exact, answers in answered:
        for truth, (got, _) in zip(exact[name], answers[name], strict=True):
            error = error_of(name, truth, got)
            assert error == 0 or exceeds(name, truth, got, error * Fraction(99, 100))
            assert not exceeds(name, truth, got, error)


@pytest.mark.parametrize("wrong", [np.nan, np.inf, -np.inf])
def test_what_is_not_a_number_is_flagged(wrong: float) -> None:
    truth = [Fraction(1), Fraction(2)]
    assert not exceeds("value", truth, [1.0, 2.0], 0.0)
    assert exceeds("value", truth, [1.0, wrong], 1e300)
    assert exceeds("value", truth, [1.0, 2.0], wrong)
    assert exceeds("value", truth, [1.0, 2.0], -5e-324)


# Mistakes that an implementation might make: the core's answers, held against the exact answers to a wrong question.


def without_termination(raw: RawModel) -> RawModel:
    return replace(raw, transition=raw.transition / raw.transition.sum(axis=1, keepdims=True))


def less_discount(raw: RawModel) -> RawModel:
    return replace(raw, gamma=raw.gamma * (1 - 1e-8))


def actions_exchanged(raw: RawModel) -> RawModel:
    return replace(raw, policy=np.concatenate([np.flip(p) for p in np.split(raw.policy, raw.pair_start[1:-1])]))


def rewards_shifted(raw: RawModel) -> RawModel:
    return replace(raw, reward=np.roll(raw.reward, 1))


def start_elsewhere(raw: RawModel) -> RawModel:
    return replace(raw, initial=np.roll(raw.initial, 1))


def successors_exchanged(raw: RawModel) -> RawModel:
    return replace(raw, transition=np.roll(raw.transition, 1, axis=1))


VALUES = {"value", "action_value", "advantage", "start_value"}
PLACES = {"visits", "state", "pair", "state_distribution"}
MISTAKES: dict[Callable[[RawModel], RawModel], tuple[str, set[str]]] = {
    without_termination: ("termination_everywhere", set(FIELDS)),
    less_discount: ("rewards_offset", {"value", "start_value", "visits"}),
    actions_exchanged: ("dense", set(FIELDS)),
    rewards_shifted: ("dense", VALUES),
    start_elsewhere: ("dense", PLACES | {"start_value"}),
    successors_exchanged: ("sparse", set(FIELDS)),
}


def with_choices(family: str, count: int) -> list[RawModel]:
    """Return models of the family in which a mistake can show: discounted, with several states and actions."""
    models = (generated_models.model(family, index) for index in range(1000))
    return list(islice((m for m in models if m.gamma and m.num_states > 2 and m.num_actions.min() > 1), count))


@pytest.mark.parametrize("mistake", MISTAKES, ids=lambda mistake: mistake.__name__)
def test_a_wrong_formula_is_flagged(mistake: Callable[[RawModel], RawModel]) -> None:
    """In every field that the mistake touches, on nine models of ten at least."""
    family, touched = MISTAKES[mistake]
    models = with_choices(family, 20)
    flagged = [set(violations(exact_answers(mistake(raw)), core_answers(raw))) for raw in models]
    for name in touched:
        assert sum(name in names for names in flagged) >= 18, name


def test_a_false_recursion_is_refuted() -> None:
    """Theory 5.5 and 8: policies that differ by alpha drift apart by b_t <= (1 - alpha) b_{t-1} + 2 alpha.

    With alpha b_{t-1} in the place of (1 - alpha) b_{t-1} it is false, and here is the chain that shows it.
    """
    alpha = Fraction(1, 8)
    transition = [[[1, 0], [0, 1]], [[0, 1], [0, 1]]]
    old: list[list[Number]] = [[1, 0], [1, 0]]
    new: list[list[Number]] = [[1 - alpha, alpha], [1, 0]]
    stays, leaves = (reference.state_distribution(transition, policy, [1, 0], steps=2)[2] for policy in (old, new))
    distance = sum(abs(p - q) for p, q in zip(stays, leaves, strict=True))
    assert distance == Fraction(15, 32) == (1 - alpha) * (2 * alpha) + 2 * alpha
    assert distance > Fraction(9, 32) == alpha * (2 * alpha) + 2 * alpha
