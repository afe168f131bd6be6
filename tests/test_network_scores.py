"""Networks as families: their scores against differences, on whichever framework is installed.

Neither PyTorch nor JAX belongs to the test dependencies, being large. The two tests that need one are skipped where it
is missing; what is done with their numbers is tested without them.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import rlcore as rl
from rlcore.network_scores import softmax_scores

Array = np.ndarray[Any, np.dtype[np.float64]]


def softmax(logits: Array) -> Array:
    weights = np.exp(logits - logits.max(axis=1, keepdims=True))
    return np.asarray(weights / weights.sum(axis=1, keepdims=True))


def check_differences(family: rl.Scores, policy_at: Callable[[Array], Array], theta: Array) -> None:
    """Central differences of log pi: an error of h^2 |third derivative| / 6 and of ulp / h, 1e-9 at h = 1e-5 here."""
    assert np.abs(np.asarray(family.policy) - policy_at(theta)).max() <= 8 * np.finfo(float).eps
    for k in range(theta.size):
        step = 1e-5 * (np.arange(theta.size) == k)
        slope = (np.log(policy_at(theta + step)) - np.log(policy_at(theta - step))) / 2e-5
        np.testing.assert_allclose(np.asarray(family.scores)[..., k], slope, rtol=0, atol=2e-9)


def test_softmax_of_given_preferences() -> None:
    """A linear network is LinearSoftmax, with saturated preferences too."""
    mdp = rl.gallery.garnet(4, 3, 2, seed=1)
    rng = np.random.default_rng(1)
    for scale in (1.0, 300.0):
        features, theta = rng.normal(size=(4, 3, 5)), scale * rng.normal(size=5)
        family = softmax_scores(features @ theta, features, None)
        linear = rl.LinearSoftmax(features, theta).on(mdp)
        np.testing.assert_allclose(np.ravel(family.policy), linear.policy, rtol=1e-15 * 600 * 5)
        check = np.abs(np.reshape(family.scores, (12, 5)) - linear.score_matrix()).max()
        assert check <= 16 * np.finfo(float).eps * max(scale, 1.0) * np.abs(features).max()
        family.on(mdp)


def test_actions_that_a_state_does_not_have() -> None:
    """Masked out, an action has no pair: no matter what the network says of it."""
    mask = np.array([[True, False, True], [False, True, False]])
    logits = np.array([[0.0, np.nan, 0.0], [np.inf, 1.0, 0.0]])
    slopes = np.full((2, 3, 1), np.nan)
    slopes[mask] = [[1.0], [0.0], [5.0]]
    family = softmax_scores(logits, slopes, mask)
    assert np.asarray(family.policy).tolist() == [0.5, 0.5, 1.0]
    assert np.asarray(family.scores).tolist() == [[0.5], [-0.5], [0.0]]


@pytest.mark.parametrize(
    ("logits", "mask", "message"),
    [
        (np.array([[0.0, np.inf]]), None, "expected finite"),
        (np.zeros((1, 2)), np.ones((1, 3), dtype=bool), "mask: expected booleans of shape"),
        (np.zeros((1, 2)), np.ones((1, 2)), "mask: expected booleans of shape"),
        (np.zeros((1, 2)), np.zeros((1, 2), dtype=bool), "at least one action"),
    ],
)
def test_bad_preferences(logits: Array, mask: Any, message: str) -> None:
    with pytest.raises(rl.PolicyError, match=message):
        softmax_scores(logits, np.zeros((1, 2, 1)), mask)


@pytest.mark.parametrize(
    ("package", "call"),
    [
        ("torch", lambda: rl.scores_from_torch(None, np.eye(2))),
        ("jax", lambda: rl.scores_from_jax(lambda params, x: x, {}, np.eye(2))),
    ],
)
def test_missing_packages(package: str, call: Callable[[], Any], monkeypatch: pytest.MonkeyPatch) -> None:
    """They are imported when they are needed, and the error says how to get them."""
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(rl.MissingPackageError, match=f"pip install {package}"):
        call()


def network(vector: Array, inputs: Array) -> Array:
    """Return the preferences of a network with one hidden layer: 3 inputs, 4 units, 2 actions."""
    first, bias, last = np.split(vector, [12, 16])
    hidden = np.tanh(inputs @ first.reshape(3, 4) + bias)
    return np.asarray(hidden @ last.reshape(4, 2))


def test_scores_from_jax() -> None:
    pytest.importorskip("jax")
    import jax

    rng, inputs = np.random.default_rng(2), np.eye(3)
    theta = rng.normal(size=24)
    first, bias, last = np.split(theta, [12, 16])
    params = {"a": first.reshape(3, 4), "b": bias, "c": last.reshape(4, 2)}

    def apply(params: Any, x: Any) -> Any:
        return jax.numpy.tanh(x @ params["a"] + params["b"]) @ params["c"]

    family = rl.scores_from_jax(apply, params, inputs)
    check_differences(family, lambda x: softmax(network(x, inputs)), theta)
    mdp = rl.gallery.forest()
    assert rl.policy_gradient(mdp, family, 0.9).gradient.shape == (24,)
    with pytest.raises(rl.PolicyError, match="a row for each of the 3 states"):
        rl.scores_from_jax(lambda params, x: x[:1] @ params["a"], params, inputs)
    with pytest.raises(rl.ArgumentError, match="at least one number"):
        rl.scores_from_jax(lambda params, x: x, {}, inputs)


def test_scores_from_torch() -> None:
    pytest.importorskip("torch")
    import torch

    inputs = np.eye(3)
    module = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.Tanh(), torch.nn.Linear(4, 2, bias=False))
    theta = torch.nn.utils.parameters_to_vector(module.parameters()).detach().double().numpy()

    def policy_at(vector: Array) -> Array:
        first, bias, last = np.split(vector, [12, 16])
        return softmax(np.tanh(inputs @ first.reshape(4, 3).T + bias) @ last.reshape(2, 4).T)

    family = rl.scores_from_torch(module, torch.eye(3))
    check_differences(family, policy_at, theta)
    assert next(module.parameters()).dtype == torch.float32
    mdp = rl.gallery.forest()
    assert rl.policy_gradient(mdp, family, 0.9).gradient.shape == (24,)
    with pytest.raises(rl.PolicyError, match="a row for each of the 3 states"):
        rl.scores_from_torch(torch.nn.Sequential(module, torch.nn.Flatten(0)), torch.eye(3))
    with pytest.raises(rl.ArgumentError, match="requires_grad"):
        rl.scores_from_torch(torch.nn.Tanh(), torch.eye(3))
