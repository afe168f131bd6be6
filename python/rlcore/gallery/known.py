"""What is known exactly about the models of the gallery."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from fractions import Fraction
from types import MappingProxyType
from typing import Any

Number = Fraction | Decimal

NOTHING: Mapping[str, Any] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class KnownAnswer:
    """A published or proven answer about a model.

    Examples
    --------
    >>> import rlcore as rl
    >>> answer = rl.gallery.known_answers["short_corridor"][0]
    >>> answer.setting, answer.policy, answer.quantity
    ('Episodic()', 'uniform', 'visits')
    >>> answer.value
    (Fraction(6, 1), Fraction(4, 1), Fraction(2, 1))
    """

    setting: str
    """The kind of task: "Discounted(9/10)", "Episodic()", "Average()" or "FiniteHorizon(3)"."""
    policy: str
    """The policy in words: "uniform", "optimal", "always cut"."""
    quantity: str
    """What is known.

    "value", "start_value", "visits" and "gain" are what they are in results; "length" is the sum of the visits,
    "stationary" the share of the time in each state, "relative value" the value up to a constant that makes it 0 in
    the last state, and "policy" the number of the action in each state. Words behind say for which states it is given.
    """
    value: Number | tuple[Number, ...]
    """A number or a tuple of them: a Fraction is exact, a Decimal is correct to half a unit of its last digit."""
    source: str
    """Who says so, or why it is so."""
    arguments: Mapping[str, Any] = field(default_factory=lambda: NOTHING)
    """What the model is made with, where that is not the default."""


def _fractions(numbers: str) -> tuple[Fraction, ...]:
    return tuple(Fraction(number) for number in numbers.split())


def _decimals(numbers: str) -> tuple[Decimal, ...]:
    return tuple(Decimal(number) for number in numbers.split())


SUTTON_BARTO = "Sutton & Barto 2018, "
HOWARD = "Howard 1960, chapter "
GRINSTEAD_SNELL = "Grinstead & Snell 1997, "

FOREST = (
    KnownAnswer(
        "Discounted(9/10)",
        "optimal",
        "value",
        _fractions("6561/250 7371/250 8371/250"),
        "the toolboxes' documentation, to 14 digits; exactly, from V = r + 0.9 P V for waiting always",
    ),
    KnownAnswer(
        "Average()",
        "optimal",
        "gain",
        Fraction(81, 25),
        "a forest left alone is old 0.9^2 of the time, and pays 4 then",
    ),
    KnownAnswer("Discounted(9/10)", "uniform", "start_value", Decimal("7.9672916667"), "rational elimination"),
    KnownAnswer(
        "Discounted(9/10)", "uniform", "visits", _decimals("5.2833333 2.4730833 2.2435833"), "rational elimination"
    ),
)

GRIDWORLD = (
    KnownAnswer(
        "Discounted(9/10)",
        "uniform",
        "value",
        _decimals(
            "3.3 8.8 4.4 5.3 1.5  1.5 3.0 2.3 1.9 0.5  0.1 0.7 0.7 0.4 -0.4  -1.0 -0.4 -0.4 -0.6 -1.2  "
            "-1.9 -1.3 -1.2 -1.4 -2.0"
        ),
        SUTTON_BARTO + "figure 3.2",
    ),
    KnownAnswer(
        "Discounted(9/10)",
        "optimal",
        "value",
        _decimals(
            "22.0 24.4 22.0 19.4 17.5  19.8 22.0 19.8 17.8 16.0  17.8 19.8 17.8 16.0 14.4  16.0 17.8 16.0 14.4 13.0  "
            "14.4 16.0 14.4 13.0 11.7"
        ),
        SUTTON_BARTO + "figure 3.5",
    ),
    KnownAnswer("Average()", "uniform", "gain", Decimal("-0.0112199747"), "rational elimination"),
)

SMALL_GRIDWORLD = (
    KnownAnswer(
        "Episodic()",
        "uniform",
        "value",
        _fractions("-14 -20 -22  -14 -18 -20 -20  -20 -20 -18 -14  -22 -20 -14"),
        SUTTON_BARTO + "figure 4.1",
    ),
    KnownAnswer(
        "Episodic()",
        "optimal",
        "value",
        _fractions("-1 -2 -3  -1 -2 -3 -2  -2 -3 -2 -1  -3 -2 -1"),
        "the number of steps to the nearer corner",
    ),
)

# Four by four, as in Gymnasium: SFFF FHFH FFFH HFFG.
LAKE = MappingProxyType({"size": 4, "holes": ((1, 1), (1, 3), (2, 3), (3, 0))})

FROZEN_LAKE = (
    KnownAnswer("Episodic()", "optimal", "start_value", Fraction(14, 17), "rational policy iteration", LAKE),
    KnownAnswer(
        "Discounted(99/100)", "optimal", "start_value", Decimal("0.5420259320005"), "rational policy iteration", LAKE
    ),
)

SLIPPERY_GRID = (
    KnownAnswer(
        "Discounted(19/20)",
        "optimal",
        "start_value",
        Fraction(19, 20) ** 6 / (1 - Fraction(19, 20) ** 7),
        "gamma^(2N-2) / (1 - gamma^(2N-1)): without slipping the treasure is 2 (N - 1) moves away",
        MappingProxyType({"N": 4, "slip": 0.0}),
    ),
)

QUEUE = tuple(
    KnownAnswer(
        "Average()",
        f"always {speed}",
        "stationary",
        tuple(ratio**s / sum(ratio**t for t in range(5)) for s in range(5)),
        "proportional to (arrival / departure)^s, by detailed balance",
        MappingProxyType({"S": 5}),
    )
    for speed, ratio in (("slow", Fraction(7, 6)), ("fast", Fraction(7, 12)))
)

SHUFFLED_CYCLE = (
    KnownAnswer(
        "Discounted(9/10)",
        "uniform",
        "start_value",
        1 / (1 - Fraction(9, 10) ** 7),
        "1 / (1 - gamma^S)",
        MappingProxyType({"S": 7}),
    ),
    KnownAnswer(
        "Average()",
        "uniform",
        "stationary",
        (Fraction(1, 7),) * 7,
        "the average over a period",
        MappingProxyType({"S": 7}),
    ),
)

LAZY_CYCLE = (
    KnownAnswer(
        "Discounted(9/10)",
        "uniform",
        "start_value",
        Fraction(40, 31) / (1 - Fraction(27, 31) ** 7),
        "1 / ((1 - gamma laziness) (1 - z^S)) with z = gamma (1 - laziness) / (1 - gamma laziness)",
        MappingProxyType({"S": 7, "laziness": 0.25}),
    ),
    KnownAnswer(
        "Average()",
        "uniform",
        "stationary",
        (Fraction(1, 7),) * 7,
        "the circle looks the same from every state",
        MappingProxyType({"S": 7, "laziness": 0.25}),
    ),
)

LAYERED = (
    KnownAnswer(
        "Episodic()",
        "uniform",
        "length",
        Fraction(4),
        "one step in each layer",
        MappingProxyType({"depth": 4, "width": 3}),
    ),
    KnownAnswer(
        "Episodic()",
        "uniform",
        "length",
        Fraction(16),
        "depth / (1 - stay): the time in each layer is geometric",
        MappingProxyType({"depth": 4, "width": 3, "stay": 0.75}),
    ),
)

NEARLY_DECOMPOSABLE = (
    KnownAnswer(
        "Average()",
        "uniform",
        "stationary of blocks",
        (Fraction(1, 3),) * 3,
        "the blocks themselves form a lazy cycle",
        MappingProxyType({"blocks": 3, "size": 4}),
    ),
)

BLIND_SHUTTLE = (
    KnownAnswer(
        "Discounted(19/20)", "optimal", "value", _fractions("20 20"), "1 / (1 - gamma): every step is a crossing"
    ),
    KnownAnswer("Discounted(19/20)", "uniform", "value", _fractions("10 10"), "every other step is a crossing"),
    KnownAnswer(
        "Discounted(19/20)",
        "right with probability 39/76",
        "start_value",
        Fraction(1521, 152),
        "the best p that is the same at both ends: p (1 + gamma - 2 gamma p) / (1 - gamma) at (1 + gamma) / (4 gamma)",
    ),
    KnownAnswer(
        "Discounted(19/20)",
        "right with probability 57/100",
        "start_value",
        Fraction(49419, 5000),
        "below that of the uniform policy, though the surrogate promises 7/100 more",
    ),
)

SHORT_CORRIDOR = (
    KnownAnswer(
        "Episodic()", "uniform", "visits", _fractions("6 4 2"), "their sum is 12 = 2 (2 - p) / (p (1 - p)) at p = 1/2"
    ),
    KnownAnswer("Episodic()", "uniform", "start_value", Fraction(-12), SUTTON_BARTO + "example 13.1"),
    KnownAnswer(
        "Episodic()",
        "right with probability 19/20",
        "start_value",
        Fraction(-840, 19),
        SUTTON_BARTO + "example 13.1, where it is -44: -2 (2 - p) / (p (1 - p))",
    ),
    KnownAnswer(
        "Episodic()",
        "right with probability 1/20",
        "start_value",
        Fraction(-1560, 19),
        SUTTON_BARTO + "example 13.1, where it is -82: -2 (2 - p) / (p (1 - p))",
    ),
    KnownAnswer(
        "Episodic()",
        "right with probability 59/100",
        "start_value",
        Fraction(-28200, 2419),
        SUTTON_BARTO + "example 13.1, where it is about -11.6 and the best of this kind",
    ),
    KnownAnswer("Episodic()", "optimal", "value", _fractions("-3 -2 -1"), "the number of steps to the goal"),
)

RANDOM_WALK = (
    KnownAnswer("Episodic()", "uniform", "value", _fractions("1/6 2/6 3/6 4/6 5/6"), SUTTON_BARTO + "example 6.2"),
    KnownAnswer(
        "Episodic()",
        "uniform",
        "visits",
        _fractions("1 2 1"),
        "Grinstead & Snell 1997, chapter 11: the drunkard's walk",
        MappingProxyType({"n": 3}),
    ),
)

DRUNKARDS_WALK = (
    KnownAnswer("Episodic()", "uniform", "visits", _fractions("1 2 1"), GRINSTEAD_SNELL + "example 11.13, continued"),
    KnownAnswer("Episodic()", "uniform", "length", Fraction(4), GRINSTEAD_SNELL + "example 11.13, continued"),
    KnownAnswer(
        "Episodic()",
        "uniform",
        "value",
        _fractions("3/4 1/2 1/4"),
        GRINSTEAD_SNELL + "example 11.13, continued: the probability of absorption at home",
    ),
)

OZ = (
    KnownAnswer("Average()", "uniform", "stationary", _fractions("2/5 1/5 2/5"), "Kemeny & Snell 1960, section 4.1"),
    KnownAnswer("Average()", "uniform", "gain", Fraction(1, 5), "the share of nice days"),
    KnownAnswer(
        "Average()",
        "uniform",
        "relative value",
        _fractions("0 4/5 0"),
        "the differences in the second column of the deviation matrix, (-12, 48, -12) / 75",
    ),
)

RIVER_SWIM = (
    KnownAnswer(
        "Average()",
        "always right",
        "stationary",
        tuple(Fraction(weight, 1090) for weight in (7, 21, 63, 189, 567, 243)),
        "detailed balance",
    ),
    KnownAnswer(
        "Average()", "always right", "gain", Fraction(72900, 109), "3000 times the last state's share of the time"
    ),
)

CHAIN = (
    KnownAnswer(
        "Average()",
        "optimal",
        "gain",
        Fraction(2298, 625),
        "Strens 2000, table 1, where it is 3677 in 1000 steps: 2 slip + 10 (1 - slip)^S",
    ),
)

GAMBLER = (
    KnownAnswer(
        "Episodic()",
        "optimal",
        "value at 25, 50, 75",
        _fractions("4/25 2/5 16/25"),
        SUTTON_BARTO + "figure 4.3; Dubins & Savage 1965: staking all that can be of use is optimal",
    ),
)

TAXICAB = (
    KnownAnswer("Average()", "always cruise", "gain", Decimal("9.2"), HOWARD + "5"),
    KnownAnswer("Average()", "always cruise", "stationary", _fractions("2/5 1/5 2/5"), "Howard 1960; the chain of Oz"),
    KnownAnswer("Average()", "optimal", "policy", _fractions("1 1 1"), HOWARD + "5: the stand in every town"),
    KnownAnswer("Average()", "optimal", "gain", Decimal("13.34"), HOWARD + "5"),
    KnownAnswer("Average()", "optimal", "relative value", _decimals("-1.18 12.66 0"), HOWARD + "5"),
    KnownAnswer("Discounted(9/10)", "optimal", "value", _decimals("121.65 135.31 122.84"), HOWARD + "7"),
)

TOYMAKER = (
    KnownAnswer("Average()", "always save", "gain", Fraction(1), HOWARD + "4"),
    KnownAnswer("Average()", "always save", "relative value", _fractions("10 0"), HOWARD + "4"),
    KnownAnswer("Average()", "optimal", "policy", _fractions("1 1"), HOWARD + "4: spending in both states"),
    KnownAnswer("Average()", "optimal", "gain", Fraction(2), HOWARD + "4"),
    KnownAnswer("Average()", "optimal", "relative value", _fractions("10 0"), HOWARD + "4"),
    KnownAnswer("FiniteHorizon(4)", "always save", "value", _decimals("9.555 -0.444"), HOWARD + "2"),
    KnownAnswer("FiniteHorizon(4)", "optimal", "value", _decimals("12.222 2.223"), HOWARD + "3"),
    KnownAnswer("Discounted(9/10)", "optimal", "value", _decimals("22.2 12.3"), HOWARD + "7"),
)

INVENTORY = (
    KnownAnswer("FiniteHorizon(1)", "optimal", "value", _fractions("0 5 6 5"), "Puterman 1994, section 4.6.1"),
    KnownAnswer("FiniteHorizon(2)", "optimal", "value", _fractions("2 25/4 10 21/2"), "Puterman 1994, section 4.6.1"),
    KnownAnswer(
        "FiniteHorizon(3)", "optimal", "value", _fractions("67/16 129/16 194/16 227/16"), "Puterman 1994, section 4.6.1"
    ),
)

WRONG_WAY = (
    KnownAnswer("Discounted(1/2)", "always right", "start_value", Fraction(9, 32), "(1 - gamma)^2 + gamma margin"),
    KnownAnswer("Discounted(7/8)", "always right", "start_value", Fraction(9, 128), "(1 - gamma)^2 + gamma margin"),
    KnownAnswer("Episodic()", "always right", "start_value", Fraction(1, 16), "the margin"),
    KnownAnswer("Episodic()", "uniform", "start_value", Fraction(1, 32), "p times the margin, with p = 1/2"),
    KnownAnswer("Episodic()", "uniform", "visits", _fractions("1 1 1/2"), "state 2 is reached by going right"),
)

known_answers: Mapping[str, tuple[KnownAnswer, ...]] = MappingProxyType(
    {
        "blind_shuttle": BLIND_SHUTTLE,
        "chain": CHAIN,
        "drunkards_walk": DRUNKARDS_WALK,
        "forest": FOREST,
        "frozen_lake": FROZEN_LAKE,
        "gambler": GAMBLER,
        "gridworld": GRIDWORLD,
        "inventory": INVENTORY,
        "layered": LAYERED,
        "lazy_cycle": LAZY_CYCLE,
        "nearly_decomposable": NEARLY_DECOMPOSABLE,
        "oz": OZ,
        "queue": QUEUE,
        "random_walk": RANDOM_WALK,
        "river_swim": RIVER_SWIM,
        "short_corridor": SHORT_CORRIDOR,
        "shuffled_cycle": SHUFFLED_CYCLE,
        "slippery_grid": SLIPPERY_GRID,
        "small_gridworld": SMALL_GRIDWORLD,
        "taxicab": TAXICAB,
        "toymaker": TOYMAKER,
        "wrong_way": WRONG_WAY,
    }
)
"""What is known exactly about the models, by name: published answers, and answers with a short proof.

Random models have answers that hold for every seed.
"""
