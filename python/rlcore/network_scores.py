"""Policies that are networks of PyTorch or JAX, as probabilities and scores (theory 4.1)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from rlcore.errors import ArgumentError, PolicyError
from rlcore.families import Scores
from rlcore.optional_packages import optional_package
from rlcore.results import FloatArray


def scores_from_torch(module: Any, inputs: Any, mask: ArrayLike | None = None) -> Scores:
    """Turn a PyTorch module, evaluated on all states, into probabilities and scores.

    With z(s, a) = module(inputs)[s, a], pi(a|s) is proportional to exp(z(s, a)), and psi = grad z - E_pi[grad z].

    Parameters
    ----------
    module
        A ``torch.nn.Module`` that takes the inputs of all states at once and returns a preference (logit) for each
        action, shape (S, A). It is evaluated in double precision; its own parameters stay as they are.
    inputs
        A tensor or an array with a row for each state, in the order of the model's.
    mask
        Which actions each state has, shape (S, A); None for all.

    Returns
    -------
    Scores
        Scores have a column for each number in the module's trainable parameters, in the order of
        ``torch.nn.utils.parameters_to_vector``.

    Raises
    ------
    MissingPackageError
        If PyTorch is not installed.
    PolicyError
        If the preferences have another shape or are not finite, or a state has no action.
    ArgumentError
        If the module has no trainable parameter.

    Notes
    -----
    Theory 4.1. The scores are a dense matrix, num_pairs times the number of parameters.

    Examples
    --------
    This needs PyTorch:

    >>> import torch  # doctest: +SKIP
    >>> import rlcore as rl
    >>> mdp = rl.gallery.forest()
    >>> network = torch.nn.Linear(mdp.num_states, 2)  # doctest: +SKIP
    >>> family = rl.scores_from_torch(network, torch.eye(mdp.num_states))  # doctest: +SKIP
    >>> rl.policy_gradient(mdp, family, 0.9).gradient.shape  # doctest: +SKIP
    (8,)
    """
    torch = optional_package(
        "torch", "scores_from_torch needs PyTorch: pip install torch; rlcore.Scores(policy, scores) takes any arrays"
    )

    def in_double(x: Any) -> Any:
        found = torch.as_tensor(x).detach()
        return found.double() if found.is_floating_point() else found

    trained = {name: in_double(x) for name, x in module.named_parameters() if x.requires_grad}
    if not trained:
        raise ArgumentError("module: expected at least one parameter with requires_grad=True, got none")
    others = dict(module.named_parameters()) | dict(module.named_buffers())
    fixed = {name: in_double(x) for name, x in others.items() if name not in trained}
    rows = in_double(inputs)

    def preferences(parameters: Any) -> Any:
        return torch.func.functional_call(module, {**fixed, **parameters}, (rows,))

    logits = preferences(trained).detach().cpu().numpy()
    check_preferences(logits, len(rows))
    slopes = torch.func.jacrev(preferences)(trained)
    columns = [slopes[name].detach().cpu().numpy().reshape(*logits.shape, -1) for name in trained]
    return softmax_scores(logits, np.concatenate(columns, axis=-1), mask)


def scores_from_jax(
    apply: Callable[[Any, Any], Any], params: Any, inputs: Any, mask: ArrayLike | None = None
) -> Scores:
    """Turn a JAX function, evaluated on all states, into probabilities and scores.

    With z(s, a) = apply(params, inputs)[s, a], pi(a|s) is proportional to exp(z(s, a)), and psi = grad z - E_pi[grad
    z].

    Parameters
    ----------
    apply
        A function of parameters and inputs, such as the ``apply`` of a Flax module, that returns a preference (logit)
        for each action, shape (S, A). It is evaluated in double precision.
    params
        Its parameters, a tree of arrays of floating-point numbers.
    inputs
        An array with a row for each state, in the order of the model's.
    mask
        Which actions each state has, shape (S, A); None for all.

    Returns
    -------
    Scores
        Scores have a column for each number in the parameters, in the order of ``jax.flatten_util.ravel_pytree``.

    Raises
    ------
    MissingPackageError
        If JAX is not installed.
    PolicyError
        If the preferences have another shape or are not finite, or a state has no action.
    ArgumentError
        If there is no parameter.

    Notes
    -----
    Theory 4.1. The scores are a dense matrix, num_pairs times the number of parameters.

    Examples
    --------
    This needs JAX:

    >>> import jax, numpy as np  # doctest: +SKIP
    >>> import rlcore as rl
    >>> mdp = rl.gallery.forest()
    >>> def network(params, x):
    ...     return jax.numpy.tanh(x @ params["first"]) @ params["last"]
    >>> params = {"first": np.ones((3, 4)), "last": np.ones((4, 2))}  # doctest: +SKIP
    >>> family = rl.scores_from_jax(network, params, np.eye(3))  # doctest: +SKIP
    >>> rl.policy_gradient(mdp, family, 0.9).gradient.shape  # doctest: +SKIP
    (20,)
    """
    jax = optional_package(
        "jax", "scores_from_jax needs JAX: pip install jax; rlcore.Scores(policy, scores) takes any arrays"
    )

    from jax.flatten_util import ravel_pytree

    def in_double(x: Any) -> Any:
        found = np.asarray(x)
        return jax.numpy.asarray(found, dtype=np.float64) if found.dtype.kind == "f" else jax.numpy.asarray(found)

    with _double_precision(jax):
        vector, as_tree = ravel_pytree(jax.tree_util.tree_map(in_double, params))
        if vector.size == 0:
            raise ArgumentError("params: expected at least one number, got none")
        rows = in_double(inputs)
        logits = np.asarray(apply(as_tree(vector), rows))
        check_preferences(logits, len(rows))
        slopes = np.asarray(jax.jacrev(lambda x: apply(as_tree(x), rows))(vector))
    return softmax_scores(logits, slopes, mask)


def _double_precision(jax: Any) -> Any:
    """Return JAX's switch for double precision, which used to be an experiment."""
    switch = jax.enable_x64 if hasattr(jax, "enable_x64") else jax.experimental.enable_x64
    return switch(True)


def check_preferences(logits: NDArray[Any], num_states: int) -> None:
    """Check the shape of what a network returns."""
    if logits.ndim != 2 or len(logits) != num_states or logits.shape[1] == 0:
        raise PolicyError(
            f"preferences: expected a row for each of the {num_states} states and a column for each action, got shape "
            f"{logits.shape}"
        )


def softmax_scores(logits: NDArray[Any], slopes: NDArray[Any], mask: ArrayLike | None) -> Scores:
    """Return the softmax of preferences (S, A) and its scores, from their derivatives (S, A, K).

    Examples
    --------
    >>> import numpy as np
    >>> softmax_scores(np.zeros((1, 2)), np.array([[[1.0], [0.0]]]), None).scores
    array([[[ 0.5],
            [-0.5]]])
    """
    admissible = _as_mask(mask, logits.shape)
    if not np.isfinite(logits[admissible]).all():
        raise PolicyError("preferences: expected finite numbers, got some that are not")
    shifted = np.where(admissible, logits, -np.inf)
    weights = np.exp(shifted - shifted.max(axis=1, keepdims=True))
    policy: FloatArray = weights / weights.sum(axis=1, keepdims=True)
    scores = slopes - np.einsum("sa,sak->sk", policy, np.where(admissible[..., None], slopes, 0.0))[:, None, :]
    if mask is None:
        return Scores(policy, scores)
    return Scores(policy[admissible], scores[admissible])


def _as_mask(mask: ArrayLike | None, shape: tuple[int, ...]) -> NDArray[np.bool_]:
    if mask is None:
        return np.ones(shape, dtype=bool)
    found = np.asarray(mask)
    if found.dtype != bool or found.shape != shape:
        raise PolicyError(f"mask: expected booleans of shape {shape}, got dtype {found.dtype}, shape {found.shape}")
    if not found.any(axis=1).all():
        raise PolicyError(
            f"mask: expected at least one action in every state, got none in {found.any(axis=1).argmin()}"
        )
    return found
