"""Policies: plain arrays of ``mdp.pair_shape``, one distribution over actions per state (theory 1)."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from rlcore import _core
from rlcore.arguments import as_floats, as_pair_array
from rlcore.errors import ArgumentError, InputError, PolicyError
from rlcore.mdp import MDP, as_mdp
from rlcore.over_actions import max_over_actions, over_pairs, sum_over_actions
from rlcore.results import Evaluation, FloatArray


def as_policy(mdp: MDP, policy: ArrayLike, argument: str = "policy") -> FloatArray:
    """Return a policy as one probability for each pair, or say which argument is none, and where."""
    rows = as_pair_array(policy, mdp.pair_shape, argument, PolicyError)
    try:
        _core.check_policy(mdp._core, rows, argument)
    except InputError as error:
        raise mdp.located(error) from None
    return rows


def uniform_policy(mdp: MDP) -> FloatArray:
    """Return the policy that takes every admissible action with the same probability.

    Parameters
    ----------
    mdp
        The model.

    Returns
    -------
    ndarray
        Shape ``mdp.pair_shape``.

    Examples
    --------
    >>> import rlcore as rl
    >>> rl.uniform_policy(rl.gallery.forest())[0]
    array([0.5, 0.5])
    """
    mdp = as_mdp(mdp)
    return over_pairs(mdp, 1.0 / np.diff(mdp.pair_start)).reshape(mdp.pair_shape)


def deterministic_policy(mdp: MDP, actions: ArrayLike) -> FloatArray:
    """Return the policy that takes one given action in each state.

    Parameters
    ----------
    mdp
        The model.
    actions
        The number of the action for each state, as in ``mdp.pair_action``, shape (S,).

    Returns
    -------
    ndarray
        Shape ``mdp.pair_shape``.

    Raises
    ------
    PolicyError
        If an action is not admissible in its state.

    Examples
    --------
    >>> import rlcore as rl
    >>> rl.deterministic_policy(rl.gallery.forest(), [0, 0, 1])
    array([[1., 0.],
           [1., 0.],
           [0., 1.]])
    """
    mdp = as_mdp(mdp)
    try:
        chosen = np.asarray(actions)
    except ValueError:
        raise PolicyError(
            f"actions: expected {mdp.num_states} whole numbers, one action for each state, "
            "got rows of different lengths"
        ) from None
    if chosen.shape != (mdp.num_states,) or chosen.dtype.kind not in "iu":
        raise PolicyError(
            f"actions: expected {mdp.num_states} whole numbers, one action for each state, "
            f"got dtype {chosen.dtype}, shape {chosen.shape}"
        )
    policy: FloatArray = (mdp.pair_action == chosen[mdp.pair_state]).astype(np.float64)
    missing = np.flatnonzero(sum_over_actions(mdp, policy) == 0.0)
    if missing.size:
        state = int(missing[0])
        fault = f"expected an admissible action, got {chosen[state]}"
        raise mdp.located(PolicyError.placed("actions", fault, state=state))
    return policy.reshape(mdp.pair_shape)


def greedy_policy(mdp: MDP, q: ArrayLike | Evaluation, tolerance: float = 0.0) -> FloatArray:
    """Return the policy that takes, in each state, the lowest action that is as good as the best.

    Parameters
    ----------
    mdp
        The model.
    q
        Action values of shape ``mdp.pair_shape``, or the `Evaluation` that holds them.
    tolerance
        How far below the best an action counts as good. An `Evaluation` brings its own: twice the proven error of
        its Q, so that ties fall the same way on every machine.

    Returns
    -------
    ndarray
        Shape ``mdp.pair_shape``.

    Raises
    ------
    PolicyError
        If q has the wrong shape or is not finite.

    Examples
    --------
    >>> import rlcore as rl
    >>> rl.greedy_policy(rl.gallery.forest(), [[1, 2], [3, 0], [5, 5]])
    array([[0., 1.],
           [1., 0.],
           [1., 0.]])
    """
    mdp = as_mdp(mdp)
    if not (isinstance(tolerance, float | int | np.floating | np.integer) and 0.0 <= tolerance < np.inf):
        raise PolicyError(f"tolerance: expected a finite number from 0 on, got {tolerance!r}")
    if isinstance(q, Evaluation):
        tolerance = max(tolerance, 2.0 * float(np.max(q.certificate.bounds["action_value"])))
        q = q.action_value
    values = _pair_values(mdp, q, "q")
    best = max_over_actions(mdp, values)
    good = np.flatnonzero(values >= over_pairs(mdp, best) - tolerance)
    _, first = np.unique(mdp.pair_state[good], return_index=True)
    policy = np.zeros(mdp.num_pairs)
    policy[good[first]] = 1.0
    return policy.reshape(mdp.pair_shape)


def epsilon_greedy_policy(mdp: MDP, q: ArrayLike | Evaluation, epsilon: float) -> FloatArray:
    """Return the policy that is greedy, except that with probability epsilon it takes any action evenly.

    Parameters
    ----------
    mdp
        The model.
    q
        Action values of shape ``mdp.pair_shape``, or the `Evaluation` that holds them.
    epsilon
        In [0, 1].

    Returns
    -------
    ndarray
        Shape ``mdp.pair_shape``.

    Raises
    ------
    PolicyError
        If q has the wrong shape, or epsilon is not in [0, 1].

    Examples
    --------
    >>> import rlcore as rl
    >>> rl.epsilon_greedy_policy(rl.gallery.forest(), [[1, 2], [3, 0], [5, 5]], 0.2)[0]
    array([0.1, 0.9])
    """
    if not _is_weight(epsilon):
        raise PolicyError(f"epsilon: expected a probability in [0, 1], got {epsilon!r}")
    return mixture_policy(greedy_policy(mdp, q), uniform_policy(mdp), epsilon)


def softmax_policy(mdp: MDP, theta: ArrayLike) -> FloatArray:
    """Return the policy pi(a|s) proportional to exp(theta(s,a)).

    Parameters
    ----------
    mdp
        The model.
    theta
        Preferences of shape ``mdp.pair_shape``, finite.

    Returns
    -------
    ndarray
        Shape ``mdp.pair_shape``.

    Raises
    ------
    PolicyError
        If theta has the wrong shape or is not finite.

    Examples
    --------
    >>> import rlcore as rl
    >>> rl.softmax_policy(rl.gallery.forest(), [[0, 0], [1000, 0], [0, 1]]).round(3)
    array([[0.5  , 0.5  ],
           [1.   , 0.   ],
           [0.269, 0.731]])
    """
    mdp = as_mdp(mdp)
    preferences = _pair_values(mdp, theta, "theta")
    with np.errstate(over="ignore"):  # a difference of -inf is a probability of 0
        weight = np.exp(preferences - over_pairs(mdp, max_over_actions(mdp, preferences)))
    return (weight / over_pairs(mdp, sum_over_actions(mdp, weight))).reshape(mdp.pair_shape)


def mixture_policy(p: ArrayLike, q: ArrayLike, a: float) -> FloatArray:
    """Return (1 - a) p + a q: in every state, q with probability a and p otherwise.

    Parameters
    ----------
    p, q
        Policies of the same shape.
    a
        In [0, 1].

    Returns
    -------
    ndarray
        The shape of p and q.

    Raises
    ------
    PolicyError
        If the shapes differ, or a is not in [0, 1].

    Examples
    --------
    >>> import rlcore as rl
    >>> rl.mixture_policy([[1.0, 0.0]], [[0.0, 1.0]], 0.25)
    array([[0.75, 0.25]])
    """
    first, second = as_floats(p, "p", PolicyError), as_floats(q, "q", PolicyError)
    if first.shape != second.shape:
        raise PolicyError(f"q: expected the shape of p, {first.shape}, got {second.shape}")
    if not _is_weight(a):
        raise PolicyError(f"a: expected a weight in [0, 1], got {a!r}")
    for name, policy in (("p", first), ("q", second)):
        if not np.isfinite(policy).all():
            wrong = policy[~np.isfinite(policy)][0]
            raise PolicyError(f"{name}: expected finite numbers, got {wrong}")
    mixture: FloatArray = (1.0 - a) * first + a * second
    return mixture


def random_policy(mdp: MDP, seed: int | np.random.Generator | None = None) -> FloatArray:
    """Return a policy drawn evenly from all policies: each state's distribution from the flat Dirichlet.

    Parameters
    ----------
    mdp
        The model.
    seed
        A whole number or a generator; the same number gives the same policy.

    Returns
    -------
    ndarray
        Shape ``mdp.pair_shape``.

    Examples
    --------
    >>> import rlcore as rl
    >>> mdp = rl.gallery.forest()
    >>> bool((rl.random_policy(mdp, 1) == rl.random_policy(mdp, 1)).all())
    True
    """
    mdp = as_mdp(mdp)
    try:
        rng = np.random.default_rng(seed)
    except (TypeError, ValueError):
        raise ArgumentError(
            f"seed: expected a whole number from 0 on, a numpy.random.Generator or None, got {seed!r}"
        ) from None
    weight = rng.standard_exponential(mdp.num_pairs)
    return (weight / over_pairs(mdp, sum_over_actions(mdp, weight))).reshape(mdp.pair_shape)


def _is_weight(a: object) -> bool:
    return isinstance(a, float | int | np.floating | np.integer) and bool(0.0 <= a <= 1.0)


def _pair_values(mdp: MDP, array: ArrayLike, argument: str) -> FloatArray:
    values = as_pair_array(array, mdp.pair_shape, argument, PolicyError)
    if not np.isfinite(values).all():
        pair = int(np.isfinite(values).argmin())
        state = int(mdp.pair_state[pair])
        fault = f"expected a finite number, got {values[pair]}"
        raise mdp.located(PolicyError.placed(argument, fault, state=state, action=pair - int(mdp.pair_start[state])))
    return values
