"""The compiled core against the exact reference: no error may exceed its certified bound, and no bound be idle.

Every comparison is exact: the floats that the core returns are taken at their binary values and subtracted from
fractions. The counts and the medians are reported after the tests.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from fractions import Fraction
from itertools import chain
from typing import Any

import flint
import numpy as np
import pytest
import scipy.sparse as sp
from numpy.typing import NDArray
from scipy.sparse.linalg import splu

import generated_models
import rlcore as rl
from generated_models import FAMILIES, GAMMAS, Array, RawModel
from rlcore import reference
from rlcore.errors import ConvergenceError
from rlcore.reference.chain import discounted_system, policy_reward, policy_transition
from rlcore.reference.linear import dot, transpose
from rlcore.reference.rational import Matrix, Vector

PER_FAMILY = 120
STEPS = 4
TOL = 1e-9  # the default of evaluate and occupancy
SHARPNESS = 10  # what the median of bound / error may be

EVALUATED = ("value", "action_value", "advantage", "start_value")  # certified in the sup norm
OCCUPIED = ("visits", "state", "pair")  # these and all others in the L1 norm
FIELDS = (*EVALUATED, *OCCUPIED, "state_distribution", "successor_representation")

Answers = dict[str, list[tuple[Array, float]]]
"""For each field its rows, each with its bound. Most fields are one row; distributions over time are several."""

ExactAnswers = dict[str, list[Vector]]
"""The same rows in exact numbers."""


# What the core answers.


def core_model(raw: RawModel, form: Callable[[Array], Any] = sp.csr_array) -> rl.MDP:
    termination = raw.termination if raw.termination.any() else None
    return rl.MDP(
        form(raw.transition), raw.reward, pair_start=raw.pair_start, termination=termination, initial=raw.initial
    )


def policy_of(raw: RawModel) -> Array:
    return raw.policy.reshape(raw.pair_shape)


def start_states(raw: RawModel) -> list[int]:
    """Return the states whose successor representation is compared: one or two, the last one first."""
    return [raw.num_states - 1, 0][: raw.num_states]


def answer(call: Callable[..., Any], *arguments: Any, **options: Any) -> Any:
    """Return the answer, or the best one where the tolerance was missed: what is claimed of it has to hold as well."""
    try:
        return call(*arguments, **options)
    except ConvergenceError as error:
        return error.result


def fields_of(result: Any, names: Sequence[str]) -> Answers:
    return {name: [(np.ravel(getattr(result, name)), result.certificate.bounds[name])] for name in names}


def rows_of(result: Any, name: str) -> Answers:
    return {name: list(zip(np.asarray(result), result.certificate.bounds[name], strict=True))}


def core_answers(raw: RawModel) -> Answers:
    mdp, policy = core_model(raw), policy_of(raw)
    setting = rl.Discounted(raw.gamma)
    return {
        **fields_of(answer(rl.evaluate, mdp, policy, setting), EVALUATED),
        **fields_of(answer(rl.occupancy, mdp, policy, setting), OCCUPIED),
        **rows_of(rl.state_distribution(mdp, policy, STEPS), "state_distribution"),
        **rows_of(rl.successor_representation(mdp, policy, raw.gamma, start_states(raw)), "successor_representation"),
    }


# What is true.


def flat(nested: Matrix) -> Vector:
    return list(chain.from_iterable(nested))


def exact_answers(raw: RawModel) -> ExactAnswers:
    P, r, pi = (reference.exact(raw.by_state(part)) for part in (raw.transition, raw.reward, raw.policy))
    rho0, gamma = reference.exact(raw.initial.tolist()), reference.exact(raw.gamma)
    evaluation = reference.evaluate(P, r, pi, gamma, rho0)
    occupancy = reference.occupancy(P, pi, rho0, gamma)
    assert evaluation.start_value is not None
    return {
        "value": [evaluation.value],
        "action_value": [flat(evaluation.action_value)],
        "advantage": [flat(evaluation.advantage)],
        "start_value": [[evaluation.start_value]],
        "visits": [occupancy.visits],
        "state": [occupancy.state],
        "pair": [flat(occupancy.pair)],
        "state_distribution": reference.state_distribution(P, pi, rho0, STEPS),
        "successor_representation": reference.successor_representation(P, pi, gamma, start_states(raw)),
    }


# The comparison.


def norm(name: str, x: Sequence[Fraction]) -> Fraction:
    """Return the norm in which the field is certified: the largest entry, or the sum of all."""
    return max(map(abs, x)) if name in EVALUATED else sum(map(abs, x), Fraction(0))


def error_of(name: str, exact: Vector, got: Sequence[Any] | Array) -> Fraction:
    return norm(name, [x - Fraction(y) for x, y in zip(exact, got, strict=True)])


def exceeds(name: str, exact: Vector, got: Sequence[Any] | Array, bound: Any) -> bool:
    """Say whether the answer is farther from the truth than its bound admits, or either is not a number."""
    if not all(math.isfinite(x) for x in (*got, bound)):
        return True
    return error_of(name, exact, got) > Fraction(bound)


def violations(exact: ExactAnswers, answers: Answers) -> Iterator[str]:
    """Name each field of which a row exceeds its bound."""
    for name, rows in answers.items():
        for truth, (got, bound) in zip(exact[name], rows, strict=True):
            if exceeds(name, truth, got, bound):
                yield name


@dataclass(frozen=True)
class Comparison:
    """One row of one field of one model: its bound, its error and the size of the truth, in the norm of the field."""

    model: RawModel
    name: str
    bound: float
    error: float
    size: float
    exceeded: bool

    def __str__(self) -> str:
        return f"{self.model.name} gamma={self.model.gamma} {self.name}: error {self.error:.3g}, bound {self.bound:.3g}"


@dataclass
class Survey:
    """What came out of all comparisons of one family."""

    count: int = 0
    comparisons: list[Comparison] = field(default_factory=list)

    def add(self, raw: RawModel) -> None:
        exact, answers = exact_answers(raw), core_answers(raw)
        for name in FIELDS:
            for truth, (got, bound) in zip(exact[name], answers[name], strict=True):
                finite = bool(np.isfinite(got).all())
                self.comparisons.append(
                    Comparison(
                        model=raw,
                        name=name,
                        bound=float(bound),
                        error=float(error_of(name, truth, got)) if finite else math.nan,
                        size=float(norm(name, truth)),
                        exceeded=exceeds(name, truth, got, bound),
                    )
                )
        self.count += 1


@pytest.fixture(scope="module")
def surveys() -> dict[str, Survey]:
    """Compare all models once; the tests look at what came out."""
    result = {family: Survey() for family in FAMILIES}
    for family, survey in result.items():
        for index in range(PER_FAMILY):
            survey.add(generated_models.model(family, index))
    return result


def everything_in(surveys: dict[str, Survey], name: str) -> list[Comparison]:
    return [c for survey in surveys.values() for c in survey.comparisons if c.name == name]


def test_counts(surveys: dict[str, Survey], report: Callable[[str], None]) -> None:
    """Every family was compared in full, in every field and at every discount."""
    for family, survey in surveys.items():
        assert survey.count == PER_FAMILY, family
        assert {c.name for c in survey.comparisons} == set(FIELDS), family
        assert {c.model.gamma for c in survey.comparisons} == set(GAMMAS), family
    total = sum(survey.count for survey in surveys.values())
    assert total >= 3000
    report(f"{total} models of {len(surveys)} families compared with the exact reference")


@pytest.mark.parametrize("family", FAMILIES)
def test_no_error_exceeds_its_bound(surveys: dict[str, Survey], family: str) -> None:
    exceeded = [str(c) for c in surveys[family].comparisons if c.exceeded]
    assert not exceeded, f"{len(exceeded)} of {len(surveys[family].comparisons)}: {exceeded[:5]}"


@pytest.mark.parametrize("name", FIELDS)
def test_bounds_are_sharp(surveys: dict[str, Survey], name: str, report: Callable[[str], None]) -> None:
    """Half of all bounds are at most ten times the error that they bound."""
    comparisons = everything_in(surveys, name)
    ratios = [c.bound / c.error for c in comparisons if c.error > 0]
    errorless = 1 - len(ratios) / len(comparisons)
    *_, median, _, _, _, ninth = statistics.quantiles(ratios, n=10)
    report(
        f"  {name}: bound / error {median:.3g} in the median, below {ninth:.3g} in 9 of 10;"
        f" {len(comparisons)} comparisons, {errorless:.1%} without error"
    )
    assert len(ratios) >= 1000
    assert median <= SHARPNESS


def natural_size(raw: RawModel, name: str) -> float:
    """Return the size of the numbers that the field is made of, whatever they add up to."""
    if name in ("state", "pair", "state_distribution"):
        return 1.0
    largest = float(np.abs(raw.reward).max()) if name in EVALUATED else 1.0
    return largest / (1 - raw.gamma)


@pytest.mark.parametrize("name", FIELDS)
def test_bounds_of_errorless_answers_are_roundings(surveys: dict[str, Survey], name: str) -> None:
    """Where the answer is exact, its bound is at most one rounding of the numbers that it is made of."""
    underflow = 1e-300
    for c in everything_in(surveys, name):
        assert c.error > 0 or c.bound <= np.finfo(float).eps * natural_size(c.model, name) + underflow, str(c)


@pytest.mark.parametrize("name", ["value", "visits"])
def test_tolerance_is_met(surveys: dict[str, Survey], name: str) -> None:
    """The default tolerance is one of the answer, relative to its size; its size is known to that tolerance."""
    missed = [str(c) for c in everything_in(surveys, name) if not c.bound <= TOL * c.size * (1 + 2 * TOL)]
    assert not missed, f"{len(missed)}: {missed[:5]}"


# Larger models, against another exact solver.


def fmpq_solve(matrix: Matrix, columns: Sequence[Vector]) -> list[Vector]:
    """Do what reference.linear.solve does, by FLINT."""
    size = len(matrix)
    right = flint.fmpq_mat(
        size, len(columns), [flint.fmpq(b[i].numerator, b[i].denominator) for i in range(size) for b in columns]
    )
    left = flint.fmpq_mat(size, size, [flint.fmpq(x.numerator, x.denominator) for row in matrix for x in row])
    x = left.solve(right)
    return [[Fraction(int(x[i, k].p), int(x[i, k].q)) for i in range(size)] for k in range(len(columns))]


@pytest.mark.parametrize("termination", [False, True])
@pytest.mark.parametrize("gamma", GAMMAS[2::3])
def test_two_hundred_states(gamma: float, termination: bool) -> None:
    raw = generated_models.larger_model(200, gamma, termination)
    P, r, pi = (reference.exact(raw.by_state(part)) for part in (raw.transition, raw.reward, raw.policy))
    rho0 = reference.exact(raw.initial.tolist())
    system = discounted_system(policy_transition(P, pi), Fraction(raw.gamma))
    (V,) = fmpq_solve(system, [policy_reward(r, pi)])
    units = [[Fraction(s == t) for t in range(raw.num_states)] for s in start_states(raw)]
    rho, *rows = fmpq_solve(transpose(system), [rho0, *units])
    exact = {"value": [V], "start_value": [[dot(rho0, V)]], "visits": [rho], "successor_representation": rows}
    answers = core_answers(raw)
    assert not list(violations(exact, {name: answers[name] for name in exact}))
    for name in ("value", "visits"):
        assert answers[name][0][1] <= TOL * norm(name, exact[name][0]) * (1 + 2 * Fraction(TOL))


# Thousands of states, against answers refined until their exact residual vanishes.


@dataclass(frozen=True, eq=False)
class Graph:
    """A model too large for dense rows: the same number of actions in every state."""

    rows: sp.csr_array
    reward: Array
    termination: Array
    initial: Array
    policy: Array

    @property
    def mdp(self) -> rl.MDP:
        pair_start = np.arange(0, self.policy.size + 1, self.policy.shape[1])
        return rl.MDP(self.rows, self.reward, pair_start=pair_start, termination=self.termination, initial=self.initial)

    def mean_rows(self) -> Any:
        """Return P_pi, rounded."""
        states, actions = self.policy.shape
        pairs = np.arange(states * actions)
        return sp.csr_array((self.policy.ravel(), (pairs // actions, pairs))) @ self.rows

    def exact_flows(self) -> list[tuple[int, int, Fraction]]:
        """Return (s, t, p) with P_pi(t | s) = the sum of all such p."""
        pair = np.repeat(np.arange(self.policy.size), np.diff(self.rows.indptr))
        weights = reference.exact(self.policy.ravel()[pair].tolist())
        shares = [w * p for w, p in zip(weights, reference.exact(self.rows.data.tolist()), strict=True)]
        return list(zip((pair // self.policy.shape[1]).tolist(), self.rows.indices.tolist(), shares, strict=True))

    def exact_rewards(self) -> Vector:
        """Return r_pi."""
        rewards: Any = self.reward.reshape(self.policy.shape).tolist()
        policy: Any = self.policy.tolist()
        return policy_reward(reference.exact(rewards), reference.exact(policy))


def some_policy(states: int, actions: int, greedy: bool) -> Array:
    """Return random probabilities, or all but a thousandth on one action."""
    rng = np.random.default_rng(states)
    if not greedy:
        return rng.dirichlet(np.ones(actions), size=states)
    return np.asarray(1e-3 / actions + (1 - 1e-3) * np.eye(actions)[rng.integers(actions, size=states)])


def graph_of(successors: NDArray[Any], shares: Array, ends: Array, policy: Array) -> Graph:
    """Return a model in which every pair leads to as many states, each of them named in successors."""
    states, (pairs, entries) = len(policy), successors.shape
    rng = np.random.default_rng(states)
    entry = (shares * (1 - ends)[:, None]).ravel(), successors.ravel(), entries * np.arange(pairs + 1)
    rows = sp.csr_array(entry, shape=(pairs, states))
    rows.sum_duplicates()
    return Graph(
        rows=rows,
        reward=np.asarray(rng.normal(size=pairs)),
        termination=ends,
        initial=np.eye(1, states).ravel(),
        policy=policy,
    )


def random_graph(states: int) -> Graph:
    """Every pair leads to five random states: quick to mix."""
    rng = np.random.default_rng(states)
    pairs = 3 * states
    shares = rng.dirichlet(np.ones(5), size=pairs)
    return graph_of(rng.integers(states, size=(pairs, 5)), shares, np.zeros(pairs), some_policy(states, 3, False))


def corridor(states: int) -> Graph:
    """Forth or back, with an exit at one end: slow to mix, and a matrix of few diagonals."""
    here = np.arange(states)
    forth, back = np.minimum(here + 1, states - 1), np.maximum(here - 1, 0)
    successors = np.stack([np.stack([forth, back], 1), np.stack([back, forth], 1)], 1).reshape(-1, 2)
    ends = np.zeros(2 * states)
    ends[-2:] = 0.5
    return graph_of(successors, np.tile([0.75, 0.25], (2 * states, 1)), ends, some_policy(states, 2, False))


def grid(states: int, exits: float = 0.1, greedy: bool = False) -> Graph:
    """A square grid on which one step in five goes astray; some cells are left for good half of the time."""
    size = int(states**0.5)
    row, column = np.divmod(np.arange(size * size), size)
    moves = [(-1, 0), (0, 1), (1, 0), (0, -1)]
    arrivals = [np.clip(row + i, 0, size - 1) * size + np.clip(column + j, 0, size - 1) for i, j in moves]
    successors = np.stack([np.stack([arrivals[(a + turn) % 4] for turn in (0, 1, 3)], 1) for a in range(4)], 1)
    ends = np.repeat(np.where(np.random.default_rng(states).random(size * size) < exits, 0.5, 0.0), 4)
    policy = some_policy(size * size, 4, greedy)
    return graph_of(successors.reshape(-1, 3), np.tile([0.8, 0.1, 0.1], (4 * size * size, 1)), ends, policy)


def endless_grid(states: int) -> Graph:
    """The same without an exit, under a policy of one mind in each cell."""
    return grid(states, exits=0.0, greedy=True)


def two_clusters(states: int) -> Graph:
    """Two random graphs that exchange little probability: too slow to sweep over, too full to factorise."""
    rng = np.random.default_rng(states)
    half, pairs = states // 2, 3 * states
    cluster = np.repeat(np.arange(states) // half, 3)[:, None]
    within = rng.integers(half, size=(pairs, 5)) + half * cluster
    across = rng.integers(half, size=(pairs, 1)) + half * (1 - cluster)
    shares = np.column_stack([rng.dirichlet(np.ones(5), size=pairs) * (1 - 1e-4), np.full(pairs, 1e-4)])
    return graph_of(np.hstack([within, across]), shares, np.zeros(pairs), some_policy(states, 3, False))


LARGE: dict[str, Callable[[int], Graph]] = {
    "random graph": random_graph,
    "corridor": corridor,
    "grid": grid,
    "endless grid": endless_grid,
    "two clusters": two_clusters,
}


def refined(
    flows: list[tuple[int, int, Fraction]], gamma: float, b: Vector, approximate: Callable[[Array], Array]
) -> tuple[Vector, Vector]:
    """Return x with x(s) - gamma sum of p x(t) over the flows (s, t, p) = b(s) nearly, and the exact residual.

    ``approximate`` solves the system in floating point. It need not be trusted: what counts is the residual.
    """
    x, residual = [Fraction(0)] * len(b), b
    for _ in range(3):
        correction = approximate(np.array([float(rest) for rest in residual]))
        x = [value + Fraction(change) for value, change in zip(x, correction.tolist(), strict=True)]
        ahead = [Fraction(0)] * len(b)
        for s, t, p in flows:
            ahead[s] += p * x[t]
        residual = [right + Fraction(gamma) * later - now for right, later, now in zip(b, ahead, x, strict=True)]
    return x, residual


def truths_of(graph: Graph, gamma: float) -> dict[str, tuple[Vector, Fraction]]:
    """Return V and rho, each with a bound of the error that is left.

    The bound is residual / (1 - gamma (1 + 1e-12)), for no row of P_pi sums to more than 1 + 1e-12.
    """
    flows = graph.exact_flows()
    backwards = [(t, s, p) for s, t, p in flows]
    factors = splu(sp.csc_array(sp.eye_array(len(graph.policy)) - gamma * graph.mean_rows()))
    answers = {
        "value": refined(flows, gamma, graph.exact_rewards(), factors.solve),
        "visits": refined(
            backwards, gamma, reference.exact(graph.initial.tolist()), lambda b: factors.solve(b, trans="T")
        ),
    }
    amplification = 1 / (1 - Fraction(gamma) * (1 + Fraction(1, 10**12)))
    return {name: (x, amplification * norm(name, residual)) for name, (x, residual) in answers.items()}


@pytest.mark.parametrize("kind", LARGE)
@pytest.mark.parametrize("gamma", [0.5, 0.99, 1 - 2.0**-16])
def test_thousands_of_states(kind: str, gamma: float, report: Callable[[str], None]) -> None:
    """Iterative methods keep their bounds too, at any tolerance."""
    graph = LARGE[kind](2000 if kind == "two clusters" else 1000)
    truths = truths_of(graph, gamma)
    for tol in (1e-3, TOL, 0.0):
        results: dict[str, Any] = {
            "value": rl.evaluate(graph.mdp, graph.policy, gamma, tol=tol),
            "visits": rl.occupancy(graph.mdp, graph.policy, gamma, tol=tol),
        }
        for name, result in results.items():
            truth, doubt = truths[name]
            bound = result.certificate.bounds[name]
            error = error_of(name, truth, getattr(result, name))
            assert 1000 * doubt <= bound
            assert error + doubt <= bound
            assert bound <= (tol * (1 + 2 * tol) + np.finfo(float).eps) * float(norm(name, truth))
            if tol == TOL:
                how = f"{result.certificate.method}, bound / error {bound / max(float(error), 1e-300):.3g}"
                report(f"  {kind}, gamma {gamma:.5g}: {name} by {how}")


def test_thousands_of_states_take_several_methods() -> None:
    """The models above are of different kinds in order that no method goes without a test."""
    graphs = [make(2000) for make in LARGE.values()]
    assert len({rl.evaluate(graph.mdp, graph.policy, 0.99).certificate.method for graph in graphs}) >= 3


# One model in many forms.


def bits(result: Any, names: Sequence[str]) -> dict[str, bytes]:
    """Return the fields and their bounds as bytes: equal means equal to the last bit."""
    values = {name: np.asarray(getattr(result, name)).tobytes() for name in names}
    bounds = {f"bound of {name}": np.asarray(result.certificate.bounds[name]).tobytes() for name in names}
    return values | bounds


def all_bits(mdp: rl.MDP, policy: Any, gamma: float, **options: Any) -> dict[str, bytes]:
    setting = rl.Discounted(gamma)
    return {
        **bits(rl.evaluate(mdp, policy, setting, **options), EVALUATED),
        **bits(rl.occupancy(mdp, policy, setting, **options), OCCUPIED),
        "state_distribution": np.asarray(rl.state_distribution(mdp, policy, STEPS)).tobytes(),
        "successor_representation": np.asarray(rl.successor_representation(mdp, policy, gamma, [0])).tobytes(),
    }


def short_probabilities(raw: RawModel) -> RawModel:
    """Round rows to multiples of 1/64 that sum to 1: the same numbers in single precision."""
    rows = np.floor(raw.transition * 64) / 64
    rows[:, -1] += 1 - rows.sum(axis=1)
    return replace(raw, transition=rows, termination=np.zeros(len(rows)))


def with_indices(matrix: Array, index: type[np.signedinteger[Any]]) -> Any:
    csr = sp.csr_array(matrix)
    csr.indices, csr.indptr = csr.indices.astype(index), csr.indptr.astype(index)
    return csr


def reversed_columns(matrix: Array) -> Any:
    """Return a CSR matrix with the columns of each row from right to left."""
    csr = sp.csr_array(matrix)
    order = np.concatenate([np.arange(*ends)[::-1] for ends in zip(csr.indptr, csr.indptr[1:], strict=False)])
    return sp.csr_array((csr.data[order], csr.indices[order], csr.indptr), shape=csr.shape)


def halves_twice(matrix: Array) -> Any:
    """Return a CSR matrix with every entry stored as two halves, far apart."""
    csr = sp.csr_array(matrix)
    rows = [np.tile(np.arange(*ends), 2) for ends in zip(csr.indptr, csr.indptr[1:], strict=False)]
    order = np.concatenate(rows)
    return sp.csr_array((csr.data[order] / 2, csr.indices[order], csr.indptr * 2), shape=csr.shape)


FORMS: dict[str, Callable[[Array], Any]] = {
    "dense": np.asarray,
    "dense, by columns": np.asfortranarray,
    "dense, a view": lambda matrix: np.repeat(matrix, 2, axis=1)[:, ::2],
    "dense, single precision": lambda matrix: matrix.astype(np.float32),
    "nested lists": lambda matrix: matrix.tolist(),
    "csr, 32-bit indices": lambda matrix: with_indices(matrix, np.int32),
    "csr, 64-bit indices": lambda matrix: with_indices(matrix, np.int64),
    "csr, single precision": lambda matrix: sp.csr_array(matrix.astype(np.float32)),
    "csr, matrix": sp.csr_matrix,
    "csr, unsorted columns": reversed_columns,
    "csr, duplicate columns": halves_twice,
    "csc": sp.csc_array,
    "coo": sp.coo_array,
}


@pytest.mark.parametrize("form", FORMS)
def test_the_form_of_the_matrix_does_not_matter(form: str) -> None:
    for family in ("dense", "sparse", "ragged_actions"):
        for index in range(12):
            raw = short_probabilities(generated_models.model(family, index))
            plain = all_bits(core_model(raw), policy_of(raw), raw.gamma)
            assert all_bits(core_model(raw, FORMS[form]), policy_of(raw), raw.gamma) == plain, (raw.name, form)


def test_the_form_of_the_other_arrays_does_not_matter() -> None:
    for index in range(12):
        raw = generated_models.model("dense", index)
        raw = replace(raw, reward=np.round(4 * raw.reward))
        mdp, policy = core_model(raw), policy_of(raw)
        plain = all_bits(mdp, policy, raw.gamma)
        twin = rl.MDP(
            raw.transition,
            raw.reward.astype(np.int64).reshape(raw.pair_shape),
            pair_start=raw.pair_start.astype(np.int32),
            termination=np.zeros(raw.pair_shape),
            initial=raw.initial.tolist(),
        )
        assert all_bits(twin, policy, raw.gamma) == plain
        for same_policy in (raw.policy, policy.tolist(), np.asfortranarray(policy), np.repeat(policy, 2, axis=0)[::2]):
            assert all_bits(mdp, same_policy, raw.gamma) == plain


# Batches.


BATCHED = ("ragged_actions", "dense", "termination_somewhere", "periodic", "rewards_offset", "one_state")


def batch(raw: RawModel, count: int) -> tuple[Array, Array, Array]:
    """Return policies, rewards and start distributions; the first of each is the model's own."""
    rng = np.random.default_rng(count)
    weights = rng.exponential(size=(count, len(raw.policy)))
    sums = np.add.reduceat(weights, raw.pair_start[:-1], axis=1)
    policies = weights / np.repeat(sums, raw.num_actions, axis=1)
    policies[0] = raw.policy
    rewards = rng.normal(size=(count, len(raw.reward))) * 10.0 ** np.arange(count)[:, None]
    rewards[0] = raw.reward
    initials = rng.dirichlet(np.ones(raw.num_states), size=count)
    initials[0] = raw.initial
    shape = (count, *raw.pair_shape)
    return policies.reshape(shape), rewards.reshape(shape), initials


def part(result: Any, names: Sequence[str], index: int | tuple[int, ...]) -> dict[str, bytes]:
    """Return the bits of one member of a batch."""
    values = {name: np.asarray(getattr(result, name))[index].tobytes() for name in names}
    bounds = {f"bound of {name}": np.asarray(result.certificate.bounds[name])[index].tobytes() for name in names}
    return values | bounds


@pytest.fixture(params=[(family, index) for family in BATCHED for index in range(6)], ids=str)
def batched(request: pytest.FixtureRequest) -> RawModel:
    return generated_models.model(*request.param)


def test_batches_of_policies(batched: RawModel) -> None:
    """Every member of a batch is bitwise what it is alone."""
    mdp, gamma = core_model(batched), batched.gamma
    policies, _, _ = batch(batched, 11)
    evaluations, occupancies = rl.evaluate(mdp, policies, gamma), rl.occupancy(mdp, policies, gamma)
    assert evaluations.value.shape == (11, batched.num_states)
    assert evaluations.advantage.shape == occupancies.pair.shape == policies.shape
    assert evaluations.start_value.shape == np.shape(evaluations.certificate.error_bound) == (11,)
    for i, policy in enumerate(policies):
        assert part(evaluations, EVALUATED, i) == bits(rl.evaluate(mdp, policy, gamma), EVALUATED)
        assert part(occupancies, OCCUPIED, i) == bits(rl.occupancy(mdp, policy, gamma), OCCUPIED)


def test_batches_of_rewards(batched: RawModel) -> None:
    mdp, gamma = core_model(batched), batched.gamma
    policies, rewards, _ = batch(batched, 11)
    several = rl.evaluate(mdp, policies[0], gamma, reward=rewards)
    both = rl.evaluate(mdp, policies[:3], gamma, reward=rewards)
    assert both.value.shape == (3, 11, batched.num_states)
    assert both.action_value.shape == (3, 11, *batched.pair_shape)
    assert both.start_value.shape == np.shape(both.certificate.error_bound) == (3, 11)
    for k, reward in enumerate(rewards):
        other = core_model(replace(batched, reward=reward.ravel()))
        assert part(several, EVALUATED, k) == bits(rl.evaluate(other, policies[0], gamma), EVALUATED)
        assert part(several, EVALUATED, k) == bits(rl.evaluate(mdp, policies[0], gamma, reward=reward), EVALUATED)
        for i in range(3):
            assert part(both, EVALUATED, (i, k)) == bits(rl.evaluate(other, policies[i], gamma), EVALUATED)


def test_batches_of_starts(batched: RawModel) -> None:
    mdp, gamma = core_model(batched), batched.gamma
    policies, _, initials = batch(batched, 11)
    several = rl.occupancy(mdp, policies[0], gamma, initial=initials)
    both = rl.occupancy(mdp, policies[:3], gamma, initial=initials)
    assert both.visits.shape == (3, 11, batched.num_states)
    assert both.pair.shape == (3, 11, *batched.pair_shape)
    assert np.shape(both.certificate.error_bound) == (3, 11)
    for k, initial in enumerate(initials):
        other = core_model(replace(batched, initial=initial))
        assert part(several, OCCUPIED, k) == bits(rl.occupancy(other, policies[0], gamma), OCCUPIED)
        assert part(several, OCCUPIED, k) == bits(rl.occupancy(mdp, policies[0], gamma, initial=initial), OCCUPIED)
        for i in range(3):
            assert part(both, OCCUPIED, (i, k)) == bits(rl.occupancy(other, policies[i], gamma), OCCUPIED)


# Threads.


@pytest.mark.parametrize("family", FAMILIES)
def test_threads_do_not_change_a_bit(family: str) -> None:
    for index in range(len(GAMMAS)):
        raw = generated_models.model(family, index)
        mdp, policy = core_model(raw), policy_of(raw)
        one, two = (all_bits(mdp, policy, raw.gamma, num_threads=threads) for threads in (1, 2))
        assert one == two, raw.name


@pytest.mark.parametrize("kind", LARGE)
@pytest.mark.parametrize("gamma", [0.9, 1 - 2.0**-16])
def test_threads_do_not_change_a_bit_of_a_larger_model(kind: str, gamma: float) -> None:
    graph = LARGE[kind](2000 if kind == "two clusters" else 20_000)
    first, *others = (
        {
            **bits(rl.evaluate(graph.mdp, graph.policy, gamma, num_threads=threads), EVALUATED),
            **bits(rl.occupancy(graph.mdp, graph.policy, gamma, num_threads=threads), OCCUPIED),
        }
        for threads in (1, 2, 3)
    )
    assert all(other == first for other in others)
