"""The references for policy improvement against definitions, known answers and the order of the bounds."""

from __future__ import annotations

import itertools
import random
from fractions import Fraction
from math import inf, log

import pytest

from rlcore import reference
from rlcore.reference import linear
from rlcore.reference.rational import Vector
from rlcore.reference.real import ACCURACY, logarithm, product, square_root

HALF = Fraction(1, 2)


def distributions(number: int, length: int) -> list[Vector]:
    """Return distributions with zeros, tiny and equal entries among them."""
    draw = random.Random(number)
    weights = [[draw.choice([0, 1, 1, 3, 10**9, Fraction(1, 10**18)]) for _ in range(length)] for _ in range(number)]
    return [[Fraction(w) / sum(row) for w in row] for row in weights if sum(row)]


PAIRS = [pair for length in (1, 2, 3, 5) for pair in itertools.product(distributions(9, length), repeat=2)]


# Roots, logarithms, divergences.


@pytest.mark.parametrize("x", [Fraction(2), Fraction(1, 3), Fraction(10**40 + 1, 10**40), Fraction(1, 2**1074)])
def test_roots_and_logarithms_to_sixty_digits(x: Fraction) -> None:
    """A root by its square; a logarithm by the sum of the logarithms of two factors, with more digits."""
    root = square_root(x)
    assert x * (1 - 2 * ACCURACY) <= root * root <= x
    assert square_root(x * x) == x
    tolerance = ACCURACY * abs(x - 1) / max(x, 1)
    finer = logarithm(x * 7, tolerance / 10**9) - logarithm(Fraction(7), tolerance / 10**9)
    assert abs(logarithm(x, tolerance) - finer) <= tolerance * (1 + Fraction(2, 10**9))
    assert float(logarithm(x, tolerance)) == pytest.approx(log(x.numerator) - log(x.denominator), abs=1e-12)


def test_logarithm_inverts_a_series() -> None:
    """exp(1) by its series, the remainder of which is below 1 / 60!."""
    factorial, e = 1, Fraction(1)
    for n in range(1, 60):
        factorial *= n
        e += Fraction(1, factorial)
    assert abs(logarithm(e, ACCURACY) - 1) <= ACCURACY + Fraction(2, factorial)


def test_nothing_times_infinity() -> None:
    assert product(Fraction(0), inf) == product(inf, Fraction(0)) == 0
    assert product(Fraction(10**400), inf) == inf  # too large for a float
    assert square_root(inf) == inf


@pytest.mark.parametrize("distance", [10, 10**8, 10**17, 10**60, 10**300])
def test_divergence_of_near_rows_is_a_series(distance: int) -> None:
    """KL of (1/2, 1/2) from (1/2 + x, 1/2 - x) is -log(1 - 4 x^2) / 2, a series in y = 4 x^2."""
    x = Fraction(1, 2 * distance)
    y = 4 * x * x
    terms = 80 if distance == 10 else 12
    series = sum((y**n / (2 * n) for n in range(1, terms)), Fraction(0))
    remainder = y**terms / (2 * terms * (1 - y))
    kl = reference.kl_divergence([HALF, HALF], [HALF + x, HALF - x])
    assert abs(kl - series) <= ACCURACY * series + remainder
    assert remainder <= ACCURACY * series


def test_divergence_by_hand() -> None:
    assert reference.total_variation([1, 0, 0], [0, 0.25, 0.75]) == 1
    assert reference.kl_divergence([1, 0], [HALF, HALF]) == pytest.approx(log(2), rel=1e-15)
    assert reference.kl_divergence([HALF, HALF], [1, 0]) == inf
    result = reference.policy_divergences([[1, 0], [HALF, HALF]], [[HALF, HALF], [1, 0]], weights=[1, 0])
    assert result.total_variation == [HALF, HALF]
    assert result.kl[1] == result.reverse_kl[0] == result.max_kl == inf
    assert result.mean_kl == result.kl[0] < 1
    assert result.mean_reverse_kl == inf
    assert reference.policy_divergences([[1]], [[1]]).mean_kl is None


def test_order_of_the_divergences() -> None:
    """Theory 5.6: Pinsker's TV^2 <= KL / 2, with equality only where both are 0."""
    for p, q in PAIRS:
        tv, kl = reference.total_variation(p, q), reference.kl_divergence(p, q)
        assert 2 * tv**2 < kl * (1 + ACCURACY) if p != q else tv == kl == 0
        assert tv == max(
            abs(sum((p[i] - q[i] for i in event), Fraction(0)))
            for size in range(len(p) + 1)
            for event in itertools.combinations(range(len(p)), size)
        )


# Couplings.


def test_coupling_by_hand() -> None:
    tenths = [Fraction(n, 10) for n in range(11)]
    p, q = [tenths[5], tenths[3], tenths[2]], [tenths[2], tenths[2], tenths[6]]
    table = reference.coupling(p, q)
    assert table.joint == [[tenths[2], 0, tenths[3]], [0, tenths[2], tenths[1]], [0, 0, tenths[2]]]
    assert table.disagreement == tenths[4]
    p, q = [tenths[4], tenths[4], tenths[1], tenths[1]], [tenths[1], tenths[2], tenths[4], tenths[3]]
    fiftieth = Fraction(1, 50)
    assert reference.coupling(p, q).joint == [
        [5 * fiftieth, 0, 9 * fiftieth, 6 * fiftieth],
        [0, 10 * fiftieth, 6 * fiftieth, 4 * fiftieth],
        [0, 0, 5 * fiftieth, 0],
        [0, 0, 0, 5 * fiftieth],
    ]
    same = reference.coupling(p, p)
    assert same.joint == [[p[i] * (i == j) for j in range(4)] for i in range(4)]
    assert same.disagreement == 0


def vertices(p: Vector, q: Vector) -> set[tuple[Fraction, ...]]:
    """Return all vertices of the couplings of p and q, as the tables that some order of greedy filling gives.

    A vertex has a forest of positive cells; taking its leaves one after the other is such an order.
    """
    cells = list(itertools.product(range(len(p)), range(len(q))))
    found = set()
    for order in itertools.permutations(cells):
        rows, columns, table = list(p), list(q), dict.fromkeys(cells, Fraction(0))
        for i, j in order:
            table[i, j] = min(rows[i], columns[j])
            rows[i] -= table[i, j]
            columns[j] -= table[i, j]
        found.add(tuple(table[cell] for cell in cells))
    return found


@pytest.mark.parametrize("pair", [(p, q) for p, q in PAIRS if len(p) == 2])
def test_no_coupling_of_two_outcomes_disagrees_less(pair: tuple[Vector, Vector]) -> None:
    """Theory 5.3: a linear function is least in a vertex, and here are all of them."""
    disagreements = [table[1] + table[2] for table in vertices(*pair)]
    assert min(disagreements) == reference.coupling(*pair).disagreement


def test_coupling_is_a_coupling_and_the_dual_proves_it_best() -> None:
    """Theory 5.3: f(i) - f(j) <= [i != j] for f = [p > q], so every coupling disagrees by E_p f - E_q f or more."""
    for p, q in PAIRS:
        result = reference.coupling(p, q)
        assert [sum(row) for row in result.joint] == p
        assert [sum(column) for column in linear.transpose(result.joint)] == q
        assert min(map(min, result.joint)) >= 0
        assert sum(x for i, row in enumerate(result.joint) for j, x in enumerate(row) if i != j) == result.disagreement
        f = [Fraction(x > y) for x, y in zip(p, q, strict=True)]
        assert linear.dot(f, p) - linear.dot(f, q) == result.disagreement
