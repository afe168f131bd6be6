"""The references for policy gradients against known answers, and against definitions that they do not use."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import pytest

import generated_chains
import generated_models
from generated_models import RawModel
from rlcore import reference
from rlcore.reference import linear
from rlcore.reference.families import PolicyFamily
from rlcore.reference.least_squares import independent_rows, shortest_solution
from rlcore.reference.rational import Matrix, Vector
from rlcore.reference.real import ACCURACY, exponential, logarithm, square_root
from rlcore.reference.structure import policy_chain, structure_of
from test_reference_settings import Model, mended

HALF = Fraction(1, 2)
GAMMAS = (Fraction(0), HALF, Fraction(9, 10), 1 - Fraction(1, 2**16))
MODELS_PER_FAMILY = 3


# Models, and families of policies on them.


def small(family: str, module: Any) -> list[RawModel]:
    """Return some of the smallest models of a family: elimination is quick, and the trouble is the same."""
    models = [module.model(family, index) for index in range(20)]
    several = [raw for raw in models if raw.num_states > 1] or models
    return sorted(several, key=lambda raw: raw.num_states)[:MODELS_PER_FAMILY]


DISCOUNTED = [mended(raw) for family in generated_models.FAMILIES for raw in small(family, generated_models)]
CONTINUING = [mended(raw) for family in generated_chains.CONTINUING for raw in small(family, generated_chains)]
ENDING = [mended(raw) for family in generated_chains.ENDING for raw in small(family, generated_chains)]


def pairs_like(model: Model, draw: Callable[[], Any]) -> list[list[Any]]:
    return [[draw() for _ in row] for row in model.policy]


def tabular(model: Model, rng: random.Random) -> PolicyFamily:
    return reference.tabular_softmax(pairs_like(model, lambda: rng.randint(-3, 3)))


def saturated(model: Model, rng: random.Random) -> PolicyFamily:
    return reference.tabular_softmax(pairs_like(model, lambda: rng.choice([0, 1, 700, -700])))


def features(model: Model, rng: random.Random) -> list[list[Vector]]:
    """Return three features for each pair, of which the third is the first once more."""

    def one() -> Vector:
        x, y = Fraction(rng.randint(-3, 3), 2), Fraction(rng.randint(0, 1))
        return [x, y, x]

    return pairs_like(model, one)


def linear_in_features(model: Model, rng: random.Random) -> PolicyFamily:
    return reference.linear_softmax(features(model, rng), [1, HALF, -2])


def direct(model: Model, rng: random.Random) -> PolicyFamily:
    return reference.direct(model.policy)


def scored(model: Model, rng: random.Random) -> PolicyFamily:
    """Random scores, less their mean, for the policy of the model, zeros and all."""
    scores = []
    for pi, rows in zip(model.policy, features(model, rng), strict=True):
        mean = [linear.dot(pi, list(column)) for column in zip(*rows, strict=True)]
        scores.append([[x - m for x, m in zip(row, mean, strict=True)] for row in rows])
    return reference.scored(model.policy, scores)


FAMILIES = (tabular, saturated, linear_in_features, direct, scored)
SCORED = (tabular, linear_in_features, scored)
"""Those that have scores, without probabilities of 600 digits."""

every_family = pytest.mark.parametrize("family", FAMILIES)
every_scored_family = pytest.mark.parametrize("family", SCORED)


def cases(models: list[Model], family: Callable[[Model, random.Random], PolicyFamily]) -> Iterator[Any]:
    """Yield each model with its member of the family, and discount factors in turn."""
    for number, model in enumerate(models):
        yield model, family(model, random.Random(number)), GAMMAS[number % len(GAMMAS)]


def unichain(model: Model, policy: Matrix) -> bool:
    return structure_of(policy_chain(model.transition, policy, model.termination)).is_unichain


def along(family: PolicyFamily, direction: Vector, step: Fraction) -> Matrix:
    """Return the policy on the tangent of the family: what its slopes make of a step."""
    return [
        [p + step * linear.dot(slope, direction) for p, slope in zip(actions, slopes, strict=True)]
        for actions, slopes in zip(family.policy, family.slopes, strict=True)
    ]


# Known answers.


def go_right(p: Fraction) -> reference.PolicyGradient:
    """Return the return and its derivative by p, the probability of going right, in Sutton & Barto, example 13.1."""
    left_or_right = [[[1, 0, 0], [0, 1, 0]], [[0, 0, 1], [1, 0, 0]], [[0, 1, 0], [0, 0, 0]]]
    family = PolicyFamily(policy=[[1 - p, p]] * 3, slopes=[[[Fraction(-1)], [Fraction(1)]]] * 3)
    return reference.policy_gradient_episodic(
        left_or_right, [[-1, -1]] * 3, family, [1, 0, 0], termination=[[0, 0], [0, 0], [0, 1]]
    )


@pytest.mark.parametrize("p", [HALF, Fraction(1, 20), Fraction(3, 5), Fraction(99, 100)])
def test_short_corridor(p: Fraction) -> None:
    """J(p) = -2 (2 - p) / (p (1 - p)), whose derivative is 8 at 1/2."""
    found = go_right(p)
    assert found.start_value == -2 * (2 - p) / (p * (1 - p))
    assert found.gradient == [2 * (p * p - 4 * p + 2) / (p * (1 - p)) ** 2]
    assert p != HALF or found.gradient == [8]


def test_short_corridor_at_its_best() -> None:
    """The derivative changes its sign at p = 2 - sqrt 2, where the return is -6 - 4 sqrt 2."""
    root, tiny = Fraction(square_root(Fraction(2))), Fraction(1, 10**50)
    below, above = go_right(2 - root - tiny), go_right(2 - root + tiny)
    assert below.gradient[0] > 0 > above.gradient[0]
    assert abs(Fraction(below.start_value or 0) - (-6 - 4 * root)) < Fraction(1, 10**58)


def test_two_arms() -> None:
    """A bandit by hand: eta = p / (1 - gamma) with the logistic p, whose derivative is p (1 - p)."""
    family = reference.tabular_softmax([[logarithm(Fraction(3), ACCURACY), 0]])
    assert abs(family.policy[0][0] - Fraction(3, 4)) < ACCURACY
    found = reference.policy_gradient([[[1], [1]]], [[1, 0]], family, HALF, [1])
    p, q = family.policy[0]
    assert (found.start_value, found.gradient) == (2 * p, [2 * p * q, -2 * p * q])


# Exponentials and softmax.


@pytest.mark.parametrize("x", [Fraction(0), Fraction(1, 10**40), Fraction(-1, 3), Fraction(1400), Fraction(-1400)])
def test_exponential_inverts_the_logarithm(x: Fraction) -> None:
    """If e^x is right up to a factor 1 + ACCURACY, its logarithm is right up to ACCURACY."""
    assert abs(logarithm(exponential(x), ACCURACY / 100) - x) <= ACCURACY * (1 + Fraction(1, 50))


def test_softmax_is_a_policy_with_its_slopes() -> None:
    """Probabilities sum to exactly 1, slopes to exactly 0, and a small step in the parameters follows them."""
    rng = random.Random(1)
    for model in DISCOUNTED[::7]:
        f, theta, step = features(model, rng), [Fraction(1), HALF, Fraction(-2)], Fraction(1, 10**15)
        for k in range(3):
            here = reference.linear_softmax(f, theta)
            there = reference.linear_softmax(f, [x + step * (i == k) for i, x in enumerate(theta)])
            for pi, moved, slopes in zip(here.policy, there.policy, here.slopes, strict=True):
                assert sum(pi) == 1
                assert sum(slope[k] for slope in slopes) == 0
                for p, q, slope in zip(pi, moved, slopes, strict=True):
                    # The second derivative of a softmax along a feature within 3/2 is at most 2 * 3^2.
                    assert abs(q - p - step * slope[k]) <= 9 * step**2 + 2 * ACCURACY


def test_saturated_softmax() -> None:
    family = reference.tabular_softmax([[700, -700, 700]])
    assert float(family.policy[0][0]) == 0.5
    assert 0 < family.policy[0][1] < Fraction(1, 10**600)
    assert family.slopes[0][1][1] == family.policy[0][1] * (1 - family.policy[0][1])


def test_scores_need_probabilities() -> None:
    with pytest.raises(ValueError, match="> 0 where they can change"):
        _ = reference.direct([[0, 1]]).scores
    assert reference.scored([[0, 1]], [[[5], [0]]]).scores == [[[0], [0]]]


# The gradient is the derivative: dual numbers and differences.


@dataclass(frozen=True)
class Dual:
    """A number and its derivative: the arithmetic of x + y e with e^2 = 0."""

    value: Fraction
    slope: Fraction = Fraction(0)

    def __add__(self, other: Dual) -> Dual:
        return Dual(self.value + other.value, self.slope + other.slope)

    def __sub__(self, other: Dual) -> Dual:
        return Dual(self.value - other.value, self.slope - other.slope)

    def __mul__(self, other: Dual) -> Dual:
        return Dual(self.value * other.value, self.value * other.slope + self.slope * other.value)

    def __truediv__(self, other: Dual) -> Dual:
        ratio = self.value / other.value
        return Dual(ratio, (self.slope - ratio * other.slope) / other.value)


def dual_sum(terms: Iterator[Dual]) -> Dual:
    total = Dual(Fraction(0))
    for term in terms:
        total = total + term
    return total


def eliminate(rows: list[list[Dual]]) -> list[Dual]:
    """Solve a linear system with its right-hand side in the last column, by Gauss and Jordan."""
    size = len(rows)
    for k in range(size):
        pivot = next(i for i in range(k, size) if rows[i][k].value)
        rows[k], rows[pivot] = rows[pivot], rows[k]
        rows[k] = [x / rows[k][k] for x in rows[k]]
        for i in range(size):
            if i != k:
                factor = rows[i][k]
                rows[i] = [x - factor * y for x, y in zip(rows[i], rows[k], strict=True)]
    return [row[-1] for row in rows]


def dual_return(
    transition: Any, reward: Matrix, family: PolicyFamily, direction: Vector, gamma: Fraction, initial: Vector
) -> Dual:
    """Return eta and its derivative along a direction of the parameters, by elimination in dual numbers."""
    size = len(initial)
    pi = [
        [Dual(p, linear.dot(slope, direction)) for p, slope in zip(actions, slopes, strict=True)]
        for actions, slopes in zip(family.policy, family.slopes, strict=True)
    ]

    def mean(s: int, x: Vector) -> Dual:
        return dual_sum(p * Dual(value) for p, value in zip(pi[s], x, strict=True))

    rows = [
        [
            *(Dual(Fraction(s == t)) - mean(s, [gamma * row[t] for row in transition[s]]) for t in range(size)),
            mean(s, reward[s]),
        ]
        for s in range(size)
    ]
    return dual_sum(Dual(p) * v for p, v in zip(initial, eliminate(rows), strict=True))


@every_family
def test_discounted_gradient_is_the_derivative_in_dual_numbers(family: Any) -> None:
    for model, member, gamma in cases(DISCOUNTED, family):
        found = reference.policy_gradient(model.transition, model.reward, member, gamma, model.initial)
        direction = [Fraction(k + 1, 3) for k in range(member.num_parameters)]
        dual = dual_return(model.transition, model.reward, member, direction, gamma, model.initial)
        assert found.start_value == dual.value
        assert linear.dot(found.gradient, direction) == dual.slope


def check_differences(gradient: Vector, direction: Vector, J: Callable[[Fraction], Fraction]) -> None:
    """Hold the gradient against central differences of J(t) along a line, a rational function of t.

    Their error is a t^2 + b t^4 + ...: twice the step makes four times the error, up to a relative 12 b t^2 / a. An
    error of the gradient would remain the same.
    """
    step = Fraction(1, 10**40)
    slope = linear.dot(gradient, direction)
    near, far = ((J(t) - J(-t)) / (2 * t) - slope for t in (step, 2 * step))
    assert abs(far - 4 * near) <= abs(far) / 10**15


@pytest.mark.parametrize("family", [tabular, linear_in_features, direct])
def test_discounted_gradient_by_differences(family: Any) -> None:
    for model, member, gamma in cases(DISCOUNTED[::3], family):
        found = reference.policy_gradient(model.transition, model.reward, member, gamma, model.initial)
        direction = [Fraction(k + 1, 3) for k in range(member.num_parameters)]

        def return_at(t: Fraction, at: Any = (model, member, gamma, direction)) -> Fraction:
            model, member, gamma, direction = at
            moved = along(member, direction, t)
            result = reference.evaluate(model.transition, model.reward, moved, gamma, model.initial)
            return Fraction(result.start_value or 0)

        check_differences(found.gradient, direction, return_at)


@every_scored_family
def test_episodic_gradient_by_differences(family: Any) -> None:
    """Along the slopes all rows still sum to 1, so that the tangent is made of (generalised) policies."""
    for model, member, _ in cases(ENDING, family):
        arguments = (model.initial, model.termination)
        found = reference.policy_gradient_episodic(model.transition, model.reward, member, *arguments)
        direction = [Fraction(k + 1, 3) for k in range(member.num_parameters)]

        def return_at(t: Fraction, at: Any = (model, member, direction)) -> Fraction:
            model, member, direction = at
            moved = along(member, direction, t)
            result = reference.evaluate_episodic(
                model.transition, model.reward, moved, model.termination, model.initial
            )
            return Fraction(result.start_value or 0)

        assert found.start_value == return_at(Fraction(0))
        check_differences(found.gradient, direction, return_at)


@every_scored_family
def test_gradient_of_the_gain_by_differences(family: Any) -> None:
    checked = 0
    for model, member, _ in cases(CONTINUING, family):
        if not unichain(model, member.policy):
            continue
        found = reference.policy_gradient_average(model.transition, model.reward, member)
        direction = [Fraction(k + 1, 3) for k in range(member.num_parameters)]

        def return_at(t: Fraction, at: Any = (model, member, direction)) -> Fraction:
            model, member, direction = at
            moved = along(member, direction, t)
            return reference.evaluate_average(model.transition, model.reward, moved).gain[0]

        assert found.gain == return_at(Fraction(0))
        check_differences(found.gradient, direction, return_at)
        checked += 1
    assert checked >= 30


# The theorem of the policy gradient (theory 4.1, 4.4).


def theorem(family: PolicyFamily, visits: Vector, Q: Any) -> Vector:
    """Return ``sum_s rho(s) sum_a grad pi(a | s) Q(s, a)``, skipping what is not visited or does not change."""
    total = [Fraction(0)] * family.num_parameters
    for weight, rows, values in zip(visits, family.slopes, Q, strict=True):
        for slopes, q in zip(rows, values, strict=True):
            if weight and any(slopes):
                total = [x + weight * slope * q for x, slope in zip(total, slopes, strict=True)]
    return total


@every_family
def test_theorem_discounted(family: Any) -> None:
    """With Q, and where the slopes sum to 0 in each state also with A."""
    for model, member, gamma in cases(DISCOUNTED, family):
        found = reference.policy_gradient(model.transition, model.reward, member, gamma, model.initial)
        rho = reference.occupancy(model.transition, member.policy, model.initial, gamma).visits
        evaluation = reference.evaluate(model.transition, model.reward, member.policy, gamma)
        assert found.gradient == theorem(member, rho, evaluation.action_value)
        if family is not direct:
            assert found.gradient == theorem(member, rho, evaluation.advantage)


def test_tabular_softmax_is_visits_times_policy_times_advantage() -> None:
    for model, member, gamma in cases(DISCOUNTED, tabular):
        found = reference.policy_gradient(model.transition, model.reward, member, gamma, model.initial)
        rho = reference.occupancy(model.transition, member.policy, model.initial, gamma).visits
        A = reference.evaluate(model.transition, model.reward, member.policy, gamma).advantage
        assert found.gradient == [
            visits * p * a
            for visits, pi, row in zip(rho, member.policy, A, strict=True)
            for p, a in zip(pi, row, strict=True)
        ]


@every_family
def test_theorem_episodic(family: Any) -> None:
    refused = 0
    for model, member, _ in cases(ENDING, family):
        arguments = (model.transition, model.reward, member.policy, model.termination, model.initial)
        e = reference.occupancy_episodic(model.transition, member.policy, model.initial, model.termination).visits
        Q = reference.evaluate_episodic(*arguments).action_value
        exists = all(
            q is not None or not any(slope)
            for weight, slopes, row in zip(e, member.slopes, Q, strict=True)
            for slope, q in zip(slopes, row, strict=True)
            if weight
        )
        call = (model.transition, model.reward, member, model.initial, model.termination)
        if exists:
            assert reference.policy_gradient_episodic(*call).gradient == theorem(member, e, Q)
        else:
            with pytest.raises(ValueError, match="never ends"):
                reference.policy_gradient_episodic(*call)
            refused += 1
    assert refused <= len(ENDING) // 4


@every_family
def test_theorem_in_the_long_run(family: Any) -> None:
    checked = 0
    for model, member, _ in cases(CONTINUING, family):
        if unichain(model, member.policy):
            d = reference.occupancy_average(model.transition, member.policy, model.initial).state
            Q = reference.evaluate_average(model.transition, model.reward, member.policy).action_value
            found = reference.policy_gradient_average(model.transition, model.reward, member)
            assert found.gradient == theorem(member, d, Q)
            checked += 1
        else:
            with pytest.raises(ValueError, match="one recurrent class"):
                reference.policy_gradient_average(model.transition, model.reward, member)
    assert checked >= 30


# Least squares, Fisher's matrix, compatible critics (theory 4.2, 4.3).


def test_shortest_solution() -> None:
    """It solves, it is a combination of rows, and so it is at right angles to all that the equations ignore."""
    rng = random.Random(3)
    for _ in range(200):
        rank, rows, columns = rng.randint(0, 3), rng.randint(1, 5), rng.randint(1, 5)
        left = [[Fraction(rng.randint(-2, 2)) for _ in range(rank)] for _ in range(rows)]
        right = [[Fraction(rng.randint(-2, 2)) for _ in range(columns)] for _ in range(rank)]
        matrix = [
            [sum((x * y[j] for x, y in zip(row, right, strict=True)), Fraction(0)) for j in range(columns)]
            for row in left
        ]
        b = linear.multiply(matrix, [Fraction(rng.randint(-3, 3)) for _ in range(columns)])
        found = shortest_solution(matrix, b)
        assert linear.multiply(matrix, found.solution) == b
        assert found.rank == len(independent_rows(linear.transpose(matrix))) <= rank
        # One more row that is a combination of the others adds nothing to the rank.
        assert len(independent_rows([*matrix, found.solution])) == found.rank
    with pytest.raises(ValueError, match="contradict"):
        shortest_solution([[HALF], [HALF]], [HALF, Fraction(1)])


@every_scored_family
def test_fisher_matrix(family: Any) -> None:
    """Its products are those without it, and it is what the divergence bends like."""
    for model, member, gamma in cases(DISCOUNTED[::2], family):
        d = reference.occupancy(model.transition, member.policy, model.initial, gamma).state
        F = reference.fisher_matrix(member, d)
        v = [Fraction(k + 1, 3) for k in range(member.num_parameters)]
        assert linear.transpose(F) == F
        assert reference.fisher_vector_product(member, d, v) == linear.multiply(F, v)
        step = Fraction(1, 10**12)
        kl = reference.policy_divergences(member.policy, along(member, v, step), d).mean_kl
        bend = linear.dot(v, linear.multiply(F, v)) / 2
        # KL(p, p + t x) = t^2/2 sum x^2/p - t^3/3 sum x^3/p^2 ...: |x/p| = |psi v| is below 1000 here.
        assert abs(Fraction(kl or 0) / step**2 - bend) <= bend * step * 10**3


@every_scored_family
def test_critic_is_the_best_and_leaves_the_gradient_exact(family: Any) -> None:
    for model, member, gamma in cases(DISCOUNTED, family):
        d = reference.occupancy(model.transition, member.policy, model.initial, gamma).state
        evaluation = reference.evaluate(model.transition, model.reward, member.policy, gamma)
        g = reference.policy_gradient(model.transition, model.reward, member, gamma, model.initial).gradient
        critic = reference.compatible_critic(member, d, evaluation.action_value)
        assert critic.gradient == [(1 - gamma) * x for x in g]
        assert theorem(member, d, critic.action_value) == critic.gradient
        assert critic.rank == len(independent_rows(reference.fisher_matrix(member, d)))
        # Theory 4.3: the natural gradient is w / (1 - gamma).
        natural = reference.natural_gradient(reference.fisher_matrix(member, d), g)
        assert natural == [w / (1 - gamma) for w in critic.weights]
        # Theory 4.2: the advantage has the same critic, and a smaller error by E_d[V^2].
        of_advantage = reference.compatible_critic(member, d, evaluation.advantage)
        assert of_advantage.weights == critic.weights
        V2 = [v * v for v in evaluation.value]
        assert critic.mean_squared_error == of_advantage.mean_squared_error + linear.dot(d, V2)
        for k in range(min(member.num_parameters, 4)):
            worse = [w + (k == i) for i, w in enumerate(critic.weights)]
            guess = [linear.multiply(rows, worse) for rows in member.scores]
            errors = [
                share * p * (q - x) ** 2
                for share, pi, row, guesses in zip(d, member.policy, evaluation.action_value, guess, strict=True)
                for p, q, x in zip(pi, row, guesses, strict=True)
            ]
            assert sum(errors) >= critic.mean_squared_error


def test_tabular_critic_in_closed_form() -> None:
    """Theory 4.3: w = A - mean_a A where the policy goes, and 0 elsewhere."""
    for model, member, gamma in cases(DISCOUNTED, tabular):
        d = reference.occupancy(model.transition, member.policy, model.initial, gamma).state
        evaluation = reference.evaluate(model.transition, model.reward, member.policy, gamma)
        critic = reference.compatible_critic(member, d, evaluation.action_value)
        assert critic.weights == [
            (a - sum(row) / len(row)) * (share > 0)
            for share, row in zip(d, evaluation.advantage, strict=True)
            for a in row
        ]
        assert critic.rank == sum(len(row) - 1 for share, row in zip(d, evaluation.advantage, strict=True) if share)


# The practical gradient (theory 4.5).


@pytest.mark.parametrize("family", [tabular, linear_in_features, scored])
def test_practical_gradient_with_the_right_weights_is_the_gradient(family: Any) -> None:
    for model, member, gamma in cases(DISCOUNTED, family):
        arguments = (model.transition, model.reward, member, gamma, model.initial)
        rho = reference.occupancy(model.transition, member.policy, model.initial, gamma).visits
        found = reference.practical_gradient(*arguments, weights=rho)
        flat = not any(found.true_gradient)
        assert found.gradient == found.true_gradient
        assert found.relative_error == (None if flat else 0)
        assert (found.cosine is None) == flat
        assert flat or abs(Fraction(found.cosine or 0) - 1) <= 2 * ACCURACY


def test_practical_gradient_never_points_back_without_shared_parameters() -> None:
    """Theory 4.5: for tabular softmax the inner product is sum rho w (pi A)^2 >= 0."""
    for model, member, gamma in cases(DISCOUNTED, tabular):
        e = [Fraction(s % 3) for s in range(len(model.policy))]
        found = reference.practical_gradient(model.transition, model.reward, member, gamma, model.initial, weights=e)
        rho = reference.occupancy(model.transition, member.policy, model.initial, gamma).visits
        A = reference.evaluate(model.transition, model.reward, member.policy, gamma).advantage
        assert found.inner_product == sum(
            visits * weight * (p * a) ** 2
            for visits, weight, pi, row in zip(rho, e, member.policy, A, strict=True)
            for p, a in zip(pi, row, strict=True)
        )


def test_weights_of_the_practical_gradient() -> None:
    """Stationary ones are what a step makes of them; those of an episode go on where the horizon ends."""
    size = 0
    for model in CONTINUING:
        if unichain(model, model.policy) and structure_of(model.chain).is_aperiodic:
            (d,) = reference.stationary_distributions(model.transition, model.policy)
            w = reference.stationary_weights(model.transition, model.policy, HALF)
            assert w == [2 * share for share in d]
            stepped = linear.multiply(linear.transpose(model.chain.P_pi), w)
            assert stepped == w
            size += 1
    assert size >= 10
    for model in ENDING:
        visits = reference.horizon_weights(model.transition, model.policy, model.initial, 3)
        *_, after = reference.state_distribution(model.transition, model.policy, model.initial, 3)
        both = [x + y for x, y in zip(model.initial, after, strict=True)]
        e, e_of_both = (
            reference.occupancy_episodic(model.transition, model.policy, start, model.termination).visits
            for start in (model.initial, both)
        )
        assert e_of_both == [2 * x - y for x, y in zip(e, visits, strict=True)]
