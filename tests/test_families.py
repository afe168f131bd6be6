"""Families of policies: their scores against explicit matrices, at ordinary and at extreme parameters."""

from __future__ import annotations

import math
import tracemalloc
import warnings
from collections.abc import Iterator
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
import scipy.sparse
from hypothesis import given
from hypothesis import strategies as st

import generated_models
import rlcore as rl
from generated_models import FAMILIES, Array
from rlcore.family_on_model import FamilyOnModel
from test_agreement import core_model

ULP = 2.0**-52
EXTREMES = (-1e308, -1e6, -700.0, -1.0, 0.0, 1.0, 700.0, 1e6, 1e308)

RAGGED = rl.MDP(np.eye(3)[[0, 1, 2, 0, 1, 2, 1]], np.arange(7.0), pair_start=[0, 1, 4, 7], initial=[1, 0, 0])
EVEN = rl.gallery.garnet(20, 3, 4, seed=1)
MODELS = {"ragged": RAGGED, "even": EVEN}


@pytest.fixture(autouse=True)
def _no_warnings() -> Iterator[None]:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        yield


def features_of(mdp: rl.MDP, size: int = 4, seed: int = 0) -> Array:
    rng = np.random.default_rng(seed)
    return rng.standard_normal((mdp.num_pairs, size)) * (rng.random((mdp.num_pairs, size)) < 0.6)


def families_of(mdp: rl.MDP, scale: float = 1.0) -> dict[str, Any]:
    rng = np.random.default_rng(2)
    features, theta = features_of(mdp), scale * rng.standard_normal(4)
    linear = rl.LinearSoftmax(features, theta)
    on_model = linear.on(mdp)
    return {
        "tabular": rl.TabularSoftmax(scale * rng.standard_normal(mdp.pair_shape)),
        "dense": linear,
        "by state and action": rl.LinearSoftmax(features.reshape(*mdp.pair_shape, 4), theta),
        "sparse": rl.LinearSoftmax(scipy.sparse.csr_array(features), theta),
        "sparse, by coordinates": rl.LinearSoftmax(scipy.sparse.coo_matrix(features), theta),
        "direct": rl.Direct(rl.random_policy(mdp, 3)),
        "scores": rl.Scores(on_model.policy, on_model.score_matrix()),
        "sparse scores": rl.Scores(on_model.policy, scipy.sparse.csr_array(on_model.score_matrix())),
    }


def dense(matrix: Any) -> Array:
    return matrix.toarray() if scipy.sparse.issparse(matrix) else matrix


def explicit_scores(family: Any, mdp: rl.MDP, on_model: FamilyOnModel) -> Array:
    """The scores by their definitions, one at a time."""
    if isinstance(family, rl.Direct):
        return np.diag(1.0 / on_model.policy)
    if isinstance(family, rl.Scores):
        return dense(family.scores).reshape(mdp.num_pairs, -1)
    features = np.eye(mdp.num_pairs)
    if isinstance(family, rl.LinearSoftmax):
        features = dense(family.features).reshape(mdp.num_pairs, -1)
    rows = []
    for pair, state in enumerate(mdp.pair_state):
        own = np.flatnonzero(mdp.pair_state == state)
        rows.append(features[pair] - sum(on_model.policy[other] * features[other] for other in own))
    return np.array(rows)


@pytest.mark.parametrize("scale", [1.0, 1e6], ids=["moderate", "saturated"])
@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("name", families_of(EVEN))
def test_products_are_those_of_the_explicit_scores(model: str, name: str, scale: float) -> None:
    mdp = MODELS[model]
    family = families_of(mdp, scale)[name]
    on_model = family.on(mdp)
    psi = explicit_scores(family, mdp, on_model)
    rng = np.random.default_rng(4)
    v, w = rng.standard_normal(on_model.parameter_shape), rng.standard_normal(mdp.pair_shape)
    x = w.ravel()
    # Sums of at most 64 numbers, each rounded in a few products before.
    largest = max(1.0, np.abs(psi).max())
    rounding = (mdp.num_pairs + 16) * ULP * largest
    assert np.abs(dense(on_model.score_matrix()) - psi).max() <= rounding
    along = on_model.scores_product(v)
    assert along.shape == (mdp.num_pairs,)
    assert np.abs(along - psi @ v.ravel()).max() <= rounding * np.abs(v).sum()
    assert np.abs(along - psi @ v.ravel()).max() <= on_model.product_rounding(v) + rounding * np.abs(v).sum()
    back = on_model.scores_transposed(w)
    assert back.shape == on_model.parameter_shape
    error = np.abs(back.ravel() - psi.T @ x)
    assert error.max() <= rounding * np.abs(x).sum()
    mean = on_model.mean_derivative(w)
    assert mean.shape == on_model.parameter_shape
    if not isinstance(family, rl.Direct):
        assert np.abs(mean.ravel() - psi.T @ (on_model.policy * x)).max() <= rounding * np.abs(x).sum()
        means = np.add.reduceat(on_model.policy[:, None] * psi, mdp.pair_start[:-1])
        assert np.abs(means).max() <= 8 * ULP * largest
    else:
        assert mean.ravel().tolist() == x.tolist()
    assert (np.abs(psi).max(axis=0) <= on_model.largest_scores.ravel()).all()


@pytest.mark.parametrize("name", families_of(EVEN))
def test_rounding_of_products_is_within_its_bounds(name: str) -> None:
    """In exact numbers: sums by math.fsum, whose one rounding is far below the bounds."""
    on_model = families_of(EVEN)[name].on(EVEN)
    psi = dense(on_model.score_matrix())
    w = np.random.default_rng(5).standard_normal(EVEN.num_pairs) * 10.0 ** np.arange(-30, 30)
    exact = np.array([math.fsum(w * column) for column in psi.T])
    own = 4 * ULP * np.abs(psi * w[:, None]).sum(axis=0)  # of the matrix itself
    error = np.abs(on_model.scores_transposed(w).ravel() - exact)
    assert (error <= on_model.rounding_per_weight.ravel() * np.abs(w).sum() + own).all()


@given(st.data())
def test_probabilities_at_extreme_preferences(data: st.DataObject) -> None:
    raw = generated_models.model(data.draw(st.sampled_from(sorted(FAMILIES))), data.draw(st.integers(0, 20)))
    mdp = core_model(raw)
    theta = np.array(data.draw(st.lists(st.sampled_from(EXTREMES), min_size=mdp.num_pairs, max_size=mdp.num_pairs)))
    moderate = np.sign(theta) * np.minimum(np.abs(theta), 1e6)
    for preferences in (theta, moderate):
        on_model = rl.TabularSoftmax(preferences).on(mdp)
        linear = rl.LinearSoftmax(moderate[:, None], [1.0]).on(mdp)
        sums = np.add.reduceat(on_model.policy, mdp.pair_start[:-1])
        assert (np.abs(sums - 1.0) <= 8 * ULP).all()
        for state in range(mdp.num_states):
            own = slice(int(mdp.pair_start[state]), int(mdp.pair_start[state + 1]))
            top = Fraction(preferences[own].max())
            weights = [math.exp(max(Fraction(x) - top, -2000)) for x in preferences[own]]
            expected = np.array(weights) / sum(weights)
            assert np.allclose(on_model.policy[own], expected, rtol=8 * ULP, atol=5e-324)
            assert (on_model.policy[own][preferences[own] == preferences[own].max()] > 0).all()
        for found in (on_model, linear):
            assert np.isfinite(found.scores_transposed(np.ones(mdp.num_pairs))).all()
            assert np.isfinite(found.largest_scores).all()
    assert linear.policy.tolist() == on_model.policy.tolist()


def test_features_are_never_made_dense() -> None:
    """A hundred thousand features of a thousand pairs would take 800 MB."""
    mdp = rl.gallery.garnet(250, 4, 3, seed=0)
    rng = np.random.default_rng(0)
    parts = (rng.standard_normal(10 * mdp.num_pairs), rng.integers(100_000, size=10 * mdp.num_pairs))
    rows = scipy.sparse.csr_array((*parts, np.arange(0, 10 * mdp.num_pairs + 1, 10)), shape=(mdp.num_pairs, 100_000))
    tracemalloc.start()
    on_model = rl.LinearSoftmax(rows, np.zeros(100_000)).on(mdp)
    on_model.scores_transposed(on_model.scores_product(rng.standard_normal(100_000)))
    on_model.largest_scores, on_model.rounding_per_weight  # noqa: B018
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 32e6


def test_duplicates_of_sparse_features_are_summed_and_the_matrix_of_the_caller_is_left_alone() -> None:
    twice = scipy.sparse.coo_array(([1.0, 2.0], ([0, 0], [1, 1])), shape=(7, 2))
    once = scipy.sparse.coo_array(([3.0], ([0], [1])), shape=(7, 2))
    found, expected = (rl.LinearSoftmax(rows, [1.0, 0.5]).on(RAGGED).policy for rows in (twice, once))
    assert found.tolist() == expected.tolist()
    unsorted = scipy.sparse.csr_array(([1.0, 2.0], [1, 0], [0, 2, 2, 2, 2, 2, 2, 2]), shape=(7, 2))
    rl.LinearSoftmax(unsorted, [1.0, 0.5])
    assert unsorted.indices.tolist() == [1, 0]


def test_other_parameters() -> None:
    for family in families_of(EVEN).values():
        if isinstance(family, rl.Scores):
            assert family.parameters is None
            continue
        changed = family.with_parameters(family.parameters)
        assert type(changed) is type(family)
        assert changed.on(EVEN).policy.tolist() == family.on(EVEN).policy.tolist()
    linear = families_of(EVEN)["sparse"]
    assert linear.with_parameters([0.0] * 4).on(EVEN).policy.tolist() == [1 / 3] * 60
    assert linear.parameters.any()


def test_parameters_keep_their_shape_and_cannot_be_written() -> None:
    theta = np.zeros(EVEN.num_pairs)
    assert rl.TabularSoftmax(theta).on(EVEN).parameter_shape == (60,)
    assert rl.TabularSoftmax(theta.reshape(20, 3)).on(EVEN).parameter_shape == (20, 3)
    with pytest.raises(ValueError, match="read-only"):
        rl.TabularSoftmax(theta).parameters[0] = 1.0
    theta[0] = 1.0  # that of the caller is as it was


def test_scores_of_actions_that_are_never_taken_do_not_count() -> None:
    policy = [[1.0, 0.0]] * 2
    mdp = rl.MDP(np.full((4, 2), 0.5), np.arange(4.0), initial=[1, 0])
    on_model = rl.Scores(policy, [[[0.0], [5.0]], [[0.0], [-3.0]]]).on(mdp)
    assert on_model.mean_derivative(mdp.reward).tolist() == [0.0]
