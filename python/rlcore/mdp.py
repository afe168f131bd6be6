"""The model: a finite Markov decision process (theory 1)."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any

import numpy as np
import scipy.sparse
from numpy.typing import ArrayLike, NDArray

from rlcore import _core
from rlcore.arguments import as_floats, as_pair_array
from rlcore.errors import ArgumentError, InputError, ModelError
from rlcore.results import FloatArray

if TYPE_CHECKING:
    from scipy.sparse import csr_array

IntArray = NDArray[np.int64]
MOST_STATES = 2**31 - 1


class MDP:
    """A finite Markov decision process: states, actions, transitions, rewards, endings.

    A *pair* is an action that is admissible in a state. Pairs of a state are neighbours, and each is a row of
    ``transition``. A row and its ``termination`` sum to 1: with that probability the process ends after the pair.

    The arrays are borrowed, not copied, if they have the stored types already (float64 data, int32 columns in
    increasing order, int32 or int64 row offsets). Do not change them afterwards, or pass ``copy=True``.

    Parameters
    ----------
    transition
        P(s'|s,a), shape (num_pairs, num_states): a SciPy sparse matrix or array, or a dense array.
    reward
        r(s,a), the expected immediate reward of each pair, shape (num_pairs,) or ``pair_shape``. Costs are entered
        as negative rewards.
    pair_start
        Shape (num_states + 1,): the pairs of state s are ``pair_start[s] .. pair_start[s + 1] - 1``. None if every
        state has the same number of actions.
    termination
        The probability that the process ends after each pair, shape like `reward`. None: it never ends.
    initial
        The distribution rho0 of the first state, shape (num_states,). None: it must be given where it is needed.
    state_labels, action_labels
        Names for states and for actions, any hashable values. Actions are named by ``pair_action``.
    pair_action
        The number of each pair's action, shape (num_pairs,), increasing within a state. None: the position of the
        pair among its state's.
    normalize
        Divide each row and its termination by their sum first.
    copy
        Copy all arrays, so that later changes by the caller do no harm.

    Raises
    ------
    ModelError
        If the arrays do not fit together, or a row and its termination do not sum to 1 within 1e-9. It names the
        state and the action.

    See Also
    --------
    MDP.from_arrays : from the arrays that other packages use.
    rlcore.from_gymnasium : from an environment.

    Notes
    -----
    Theory 1. What is certified later is the model as stored: these very doubles.

    Examples
    --------
    Two states, two actions; going from 0 to 1 pays 1.

    >>> import rlcore as rl
    >>> stay, go = [[1, 0], [0, 1]], [[0, 1], [1, 0]]
    >>> mdp = rl.MDP([stay[0], go[0], stay[1], go[1]], reward=[0, 1, 0, 0])
    >>> mdp.pair_shape
    (2, 2)
    """

    __slots__ = (
        "_action_labels",
        "_arrays",
        "_core",
        "_indptr",
        "_pair_action",
        "_pair_start",
        "_pair_state",
        "_shape",
        "_state_index",
        "_state_labels",
        "_transition",
    )

    def __init__(
        self,
        transition: Any,
        reward: ArrayLike,
        pair_start: ArrayLike | None = None,
        termination: ArrayLike | None = None,
        initial: ArrayLike | None = None,
        state_labels: Sequence[Hashable] | None = None,
        action_labels: Sequence[Hashable] | None = None,
        *,
        pair_action: ArrayLike | None = None,
        normalize: bool = False,
        copy: bool = False,
    ) -> None:
        data, columns, indptr, (num_pairs, num_states) = _as_csr(transition, copy)
        starts = _as_pair_start(pair_start, num_pairs, num_states, copy)
        shape = _pair_shape(starts, num_pairs, num_states)
        rewards = _as_pair_array(reward, "reward", shape, copy)
        ending = np.empty(0) if termination is None else _as_pair_array(termination, "termination", shape, copy)
        start = np.empty(0) if initial is None else _as_state_array(initial, "initial", num_states, copy)
        if normalize:
            data, ending = _normalized(data, indptr, ending)
        self._state_labels = _as_labels(state_labels, "state_labels")
        self._action_labels = _as_labels(action_labels, "action_labels")
        self._pair_start = starts
        self._pair_action = None if pair_action is None else _as_pair_action(pair_action, num_pairs, copy)
        self._arrays = (data, columns, rewards, ending, start)
        self._indptr = indptr
        self._transition: csr_array | None = None
        self._pair_state: IntArray | None = None
        self._state_index: dict[Hashable, int] | None = None
        try:
            self._core = _core.Mdp(num_states, data, columns, indptr, rewards, starts, ending, start, True)
        except InputError as error:
            raise self.located(error) from None
        self._shape = shape or (num_pairs,)
        self._check_pair_action()
        self._check_label_counts()

    # ---- made from what people have ----

    @classmethod
    def from_arrays(
        cls,
        P: Any,
        r: Any,
        layout: str | None = None,
        initial: ArrayLike | None = None,
        termination: ArrayLike | None = None,
        mask: ArrayLike | None = None,
        *,
        state_labels: Sequence[Hashable] | None = None,
        action_labels: Sequence[Hashable] | None = None,
        normalize: bool = False,
    ) -> MDP:
        """Make a model from arrays over states and actions.

        Parameters
        ----------
        P
            Transition probabilities: a dense array of shape (S, A, S) for layout "SAS" or (A, S, S) for "ASS", or,
            for "ASS", a sequence of A sparse or dense (S, S) matrices, one for each action.
        r
            Rewards: shape (S,) for r(s), (S, A) for r(s,a), or like P for r(s,a,s'), which is averaged over s'.
        layout
            "SAS" or "ASS". May be left out only when the shape of P allows one of them alone.
        initial
            The distribution of the first state, shape (S,).
        termination
            The probability that the process ends after (s,a), shape (S, A). Ending pays what r says: nothing more.
        mask
            Which actions are admissible, booleans of shape (S, A). None: all.
        state_labels, action_labels
            Names for the S states and the A actions.
        normalize
            Divide each row and its termination by their sum first.

        Returns
        -------
        MDP
            Its ``pair_shape`` is (S, A), or (num_pairs,) if the mask leaves states with different numbers of
            actions; ``pair_action`` then says which action each pair is.

        Raises
        ------
        ModelError
            If shapes do not fit, the layout is ambiguous, or the numbers are not probabilities.

        Examples
        --------
        >>> import numpy as np, rlcore as rl
        >>> P = np.full((3, 2, 3), 1 / 3)
        >>> rl.MDP.from_arrays(P, np.arange(3.0), layout="SAS").reward
        array([[0., 0.],
               [1., 1.],
               [2., 2.]])
        """
        from rlcore.io.arrays import pair_arrays

        arrays = pair_arrays(P, r, layout, termination, mask, state_labels)
        transition, reward, pair_start, pair_action, ending = arrays
        return cls(
            transition,
            reward,
            pair_start=pair_start,
            termination=ending,
            initial=initial,
            state_labels=state_labels,
            action_labels=action_labels,
            pair_action=pair_action,
            normalize=normalize,
        )

    @classmethod
    def _opened(
        cls,
        num_states: int,
        arrays: tuple[FloatArray, NDArray[np.int32], FloatArray, FloatArray, FloatArray],
        indptr: NDArray[Any],
        pair_start: IntArray,
        shape: tuple[int, ...],
        state_labels: tuple[Hashable, ...] | None,
        action_labels: tuple[Hashable, ...] | None,
        pair_action: IntArray | None,
    ) -> MDP:
        """Return a model over arrays of the stored types that are not read yet, such as those of a mapped file.

        Sizes are checked now, numbers before the first computation or by `rlcore.validate`. `arrays` are data, columns,
        reward, termination and initial, the last two empty where there are none.
        """
        data, columns, reward, ending, start = arrays
        opened = cls.__new__(cls)
        opened._core = _core.Mdp(num_states, data, columns, indptr, reward, pair_start, ending, start, False)
        opened._arrays, opened._indptr = arrays, indptr
        opened._pair_start, opened._pair_action, opened._shape = pair_start, pair_action, shape
        opened._state_labels, opened._action_labels = state_labels, action_labels
        opened._transition = opened._pair_state = opened._state_index = None
        return opened

    # ---- what it holds ----

    @property
    def num_states(self) -> int:
        """The number of states S."""
        return len(self._pair_start) - 1

    @property
    def num_pairs(self) -> int:
        """The number of admissible (state, action) pairs."""
        return len(self._arrays[2])

    @property
    def pair_shape(self) -> tuple[int, ...]:
        """The shape of policies, Q and A: (S, A) if every state has A actions, else (num_pairs,)."""
        return self._shape

    @property
    def pair_start(self) -> IntArray:
        """Where the pairs of each state begin, shape (S + 1,)."""
        return _read_only(self._pair_start)

    @property
    def transition(self) -> csr_array:
        """P(s'|s,a) as a sparse array of shape (num_pairs, num_states), read-only and not a copy."""
        if self._transition is None:
            parts = (_read_only(self._arrays[0]), _read_only(self._arrays[1]), _read_only(self._indptr))
            self._transition = scipy.sparse.csr_array(parts, shape=(self.num_pairs, self.num_states))
        return self._transition

    @property
    def reward(self) -> FloatArray:
        """r(s,a), of shape ``pair_shape``."""
        return _read_only(self._arrays[2]).reshape(self._shape)

    @property
    def termination(self) -> FloatArray:
        """The probability that the process ends after each pair, of shape ``pair_shape``."""
        ending = self._arrays[3]
        return _read_only(ending if ending.size else np.zeros(self.num_pairs)).reshape(self._shape)

    @property
    def initial(self) -> FloatArray | None:
        """The distribution rho0 of the first state, shape (S,), or None."""
        return _read_only(self._arrays[4]) if self._arrays[4].size else None

    @property
    def pair_state(self) -> IntArray:
        """The state of each pair, shape (num_pairs,)."""
        if self._pair_state is None:
            self._pair_state = np.repeat(np.arange(self.num_states), np.diff(self._pair_start))
        return _read_only(self._pair_state)

    @property
    def pair_action(self) -> IntArray:
        """The number of each pair's action, shape (num_pairs,)."""
        if self._pair_action is None:
            self._pair_action = np.arange(self.num_pairs) - self._pair_start[self.pair_state]
        return _read_only(self._pair_action)

    @property
    def state_labels(self) -> tuple[Hashable, ...] | None:
        """The names of the states, or None: they are then their numbers."""
        return self._state_labels

    @property
    def action_labels(self) -> tuple[Hashable, ...] | None:
        """The names of the actions, by ``pair_action``, or None."""
        return self._action_labels

    @property
    def can_end(self) -> bool:
        """Whether some pair ends the process with positive probability."""
        return bool(self._arrays[3].any())

    # ---- working with labels and tables ----

    def state_index(self, label: Hashable) -> int:
        """Return the number of the state with this label.

        Parameters
        ----------
        label
            A state label; without labels, the state's own number.

        Raises
        ------
        ModelError
            If there is no such state; a label that is nearly right is suggested.

        Examples
        --------
        >>> import rlcore as rl
        >>> rl.gallery.gridworld().state_index((0, 1))
        1
        """
        if self._state_labels is None:
            if isinstance(label, int | np.integer) and 0 <= label < self.num_states:
                return int(label)
            raise ModelError(f"state: expected a number in 0 .. {self.num_states - 1}, got {label!r}")
        if self._state_index is None:
            self._state_index = {known: index for index, known in enumerate(self._state_labels)}
        try:
            return self._state_index[label]
        except (KeyError, TypeError):
            near = get_close_matches(repr(label), [repr(known) for known in self._state_labels[:100_000]], n=1)
            hint = f"; did you mean {near[0]}?" if near else ""
            raise ModelError(f"state: no state has the label {label!r}{hint}") from None

    def to_table(self, x: ArrayLike, fill: float = np.nan) -> FloatArray:
        """Return a pair array as a table of shape (S, number of actions).

        Parameters
        ----------
        x
            Numbers for each pair, of shape ``pair_shape`` or (num_pairs,).
        fill
            What stands where an action is not admissible.

        Raises
        ------
        ModelError
            If x has another shape.

        Examples
        --------
        >>> import rlcore as rl
        >>> mdp = rl.MDP([[1.0], [1.0]], reward=[1, 2], pair_action=[0, 2])
        >>> mdp.to_table(mdp.reward)
        array([[ 1., nan,  2.]])
        """
        values = as_pair_array(x, self._shape, "x", ModelError)
        actions = self.pair_action
        table = np.full((self.num_states, int(actions.max()) + 1), fill, dtype=np.float64)
        table[self.pair_state, actions] = values
        return table

    def with_initial(self, p: ArrayLike) -> MDP:
        """Return the same model with another start distribution, shape (S,); the rest is shared.

        Examples
        --------
        >>> import rlcore as rl
        >>> rl.gallery.forest().with_initial([1, 0, 0]).initial
        array([1., 0., 0.])
        """
        return self._changed(initial=_as_state_array(p, "initial", self.num_states, copy=False))

    def with_reward(self, r: ArrayLike) -> MDP:
        """Return the same model with another reward, of shape ``pair_shape``; the rest is shared.

        Examples
        --------
        >>> import rlcore as rl
        >>> mdp = rl.gallery.forest()
        >>> mdp.with_reward(-mdp.reward).reward.min()
        np.float64(-4.0)
        """
        return self._changed(reward=r)

    def located(self, error: InputError) -> InputError:
        """Return the error with its place named by this model's labels."""
        if error.fault is None:
            return error
        place = str(error.argument) + (f"[{error.item}]" if error.item is not None else "")
        if error.state is not None:
            place += f", state {_name(self._state_labels, error.state)}"
            if error.action is not None:
                pair = int(self._pair_start[error.state]) + error.action
                action = error.action if self._pair_action is None else int(self._pair_action[pair])
                place += f", action {_name(self._action_labels, action)}"
        located = type(error)(f"{place}: {error.fault}")
        located.__dict__.update(error.__dict__)
        return located

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle the arrays; the core is made again from them."""
        _, _, rewards, ending, start = self._arrays
        parts = (
            self.transition,
            rewards,
            self._pair_start,
            ending if ending.size else None,
            start if start.size else None,
            self._state_labels,
            self._action_labels,
            self._pair_action,
        )
        return _unpickled, parts

    def __repr__(self) -> str:
        actions = f"{self._shape[1]} actions each" if len(self._shape) == 2 else f"{self.num_pairs:,} pairs"
        parts = [f"{self.num_states:,} states", actions, f"{self._arrays[0].size:,} transitions"]
        parts.append("can end" if self.can_end else "never ends")
        parts.append("no start distribution" if self.initial is None else "with start distribution")
        return f"MDP({', '.join(parts)})"

    def _changed(self, reward: ArrayLike | None = None, initial: ArrayLike | None = None) -> MDP:
        _, _, rewards, ending, start = self._arrays
        return MDP(
            self.transition,
            rewards if reward is None else reward,
            pair_start=self._pair_start,
            termination=ending if ending.size else None,
            initial=initial if initial is not None else (start if start.size else None),
            state_labels=self._state_labels,
            action_labels=self._action_labels,
            pair_action=self._pair_action,
        )

    def _check_pair_action(self) -> None:
        if self._pair_action is None:
            return
        rising = np.diff(self._pair_action, prepend=-1) > 0
        rising[self._pair_start[:-1]] = self._pair_action[self._pair_start[:-1]] >= 0
        if not rising.all():
            state = int(self.pair_state[rising.argmin()])
            own = ", ".join(map(str, self._pair_action[self._pair_start[state] : self._pair_start[state + 1]][:8]))
            fault = f"expected numbers from 0 on that increase within each state, got {own}"
            raise self.located(ModelError.placed("pair_action", fault, state=state))

    def _check_label_counts(self) -> None:
        if self._state_labels is not None and len(self._state_labels) != self.num_states:
            raise ModelError(
                f"state_labels: expected {self.num_states} labels, one for each state, got {len(self._state_labels)}"
            )
        if self._action_labels is None:
            return
        needed = int(self.pair_action.max()) + 1
        if len(self._action_labels) < needed:
            raise ModelError(f"action_labels: expected at least {needed} labels, got {len(self._action_labels)}")


def as_mdp(mdp: Any) -> MDP:
    """Check that the first argument is a model."""
    if isinstance(mdp, MDP):
        return mdp
    hint = "; use rlcore.from_gymnasium(env)" if hasattr(mdp, "unwrapped") else ""
    raise ArgumentError(f"mdp: expected a rlcore.MDP, got {type(mdp).__name__}{hint}")


def _unpickled(*parts: Any) -> MDP:
    return MDP(*parts[:-1], pair_action=parts[-1])


def _as_csr(transition: Any, copy: bool) -> tuple[FloatArray, NDArray[np.int32], NDArray[Any], tuple[int, int]]:
    """Return data, columns, row offsets and shape in the stored types, rows in order and without duplicates."""
    if scipy.sparse.issparse(transition):
        matrix = transition.tocsr()
    else:
        dense = as_floats(transition, "transition", ModelError)
        if dense.ndim != 2:
            raise ModelError(
                f"transition: expected shape (num_pairs, num_states), got {dense.shape}; "
                "for arrays over states and actions use MDP.from_arrays"
            )
        matrix = scipy.sparse.csr_array(dense)
        copy = False
    if matrix.dtype.kind not in "fiub":
        raise ModelError(f"transition: expected real numbers, got dtype {matrix.dtype}")
    if len(matrix.shape) != 2:
        raise ModelError(
            f"transition: expected shape (num_pairs, num_states), got {matrix.shape}; "
            "for arrays over states and actions use MDP.from_arrays"
        )
    num_pairs, num_states = matrix.shape
    if num_states < 1 or num_pairs < 1:
        raise ModelError(f"transition: expected at least one state and one pair, got shape {matrix.shape}")
    if num_states > MOST_STATES:
        raise ModelError(f"transition: expected at most {MOST_STATES} states, got {num_states}")
    columns, indptr = matrix.indices, matrix.indptr
    if columns.dtype != np.int32:
        if columns.size and not (0 <= columns.min() and columns.max() < num_states):
            columns = np.clip(columns, -1, MOST_STATES)  # still outside, and the core says where
        columns = columns.astype(np.int32)
        # SciPy insists on one type for both, and would convert the columns back whenever it is handed the rows.
        indptr = indptr.astype(np.int32 if columns.size <= MOST_STATES else np.int64)
    data = np.array(matrix.data, np.float64) if copy else np.ascontiguousarray(matrix.data, np.float64)
    columns = np.array(columns) if copy else np.ascontiguousarray(columns)
    indptr = np.array(indptr) if copy else np.ascontiguousarray(indptr)
    # Matrices that were cut in place keep spare room behind their last entry.
    if indptr.size and 0 <= indptr[-1] < data.size:
        data, columns = data[: indptr[-1]], columns[: indptr[-1]]
    if not _core.rows_are_canonical(columns, indptr):
        ordered = scipy.sparse.csr_array((data.copy(), columns.copy(), indptr.copy()), shape=(num_pairs, num_states))
        ordered.sum_duplicates()
        data, columns, indptr = ordered.data, ordered.indices.astype(np.int32, copy=False), ordered.indptr
    return data, columns, indptr, (num_pairs, num_states)


def _as_pair_start(pair_start: ArrayLike | None, num_pairs: int, num_states: int, copy: bool) -> IntArray:
    if pair_start is None:
        if num_pairs % num_states:
            raise ModelError(
                f"pair_start: {num_pairs} pairs do not share out evenly over {num_states} states; "
                "pass pair_start, which says where the pairs of each state begin"
            )
        return np.arange(0, num_pairs + 1, num_pairs // num_states, dtype=np.int64)
    starts = _as_integers(pair_start, "pair_start")
    return starts.copy() if copy else starts


def _pair_shape(starts: IntArray, num_pairs: int, num_states: int) -> tuple[int, ...] | None:
    """Return (S, A) or (num_pairs,), or None if `starts` is wrong, of which the core says where."""
    counts = np.diff(starts)
    if counts.size != num_states or starts[0] != 0 or starts[-1] != num_pairs or counts.min() < 1:
        return None
    return (num_states, int(counts[0])) if counts.min() == counts.max() else (num_pairs,)


def _as_pair_action(pair_action: ArrayLike, num_pairs: int, copy: bool) -> IntArray:
    actions = _as_integers(pair_action, "pair_action")
    if actions.shape != (num_pairs,):
        raise ModelError(f"pair_action: expected {num_pairs} numbers, one for each pair, got shape {actions.shape}")
    return actions.copy() if copy else actions


def _as_integers(array: ArrayLike, argument: str) -> IntArray:
    try:
        found = np.asarray(array)
    except ValueError as cause:
        raise ModelError(f"{argument}: expected a vector of whole numbers, got rows: {cause}") from None
    if found.dtype.kind not in "iu" or found.ndim != 1:
        got = f"dtype {found.dtype}, shape {found.shape}"
        raise ModelError(f"{argument}: expected a vector of whole numbers, got {got}")
    return np.ascontiguousarray(found, dtype=np.int64)


def _as_pair_array(array: ArrayLike, argument: str, shape: tuple[int, ...] | None, copy: bool) -> FloatArray:
    if shape is None:
        return as_floats(array, argument, ModelError).ravel()
    flat = as_pair_array(array, shape, argument, ModelError)
    return flat.copy() if copy else flat


def _as_state_array(array: ArrayLike, argument: str, num_states: int, copy: bool) -> FloatArray:
    found = as_floats(array, argument, ModelError)
    if found.shape != (num_states,):
        raise ModelError(f"{argument}: expected {num_states} numbers, one for each state, got shape {found.shape}")
    return found.copy() if copy else found


def _normalized(data: FloatArray, indptr: NDArray[Any], ending: FloatArray) -> tuple[FloatArray, FloatArray]:
    if not (np.isfinite(data).all() and data.min(initial=0.0) >= 0.0):
        return data, ending  # left as it is for the check that names it
    lengths = np.diff(indptr)
    row = np.repeat(np.arange(lengths.size), lengths)
    total: Any = np.bincount(row, weights=data, minlength=lengths.size)
    if ending.size == total.size:
        total = total + ending
    # Rows without anything to scale are left for the check that names them.
    scale = np.where(total > 0.0, total, 1.0)
    return data / scale[row], ending / scale if ending.size == scale.size else ending


def _as_labels(labels: Sequence[Hashable] | None, argument: str) -> tuple[Hashable, ...] | None:
    if labels is None:
        return None
    try:
        known = tuple(labels.tolist() if isinstance(labels, np.ndarray) else labels)
    except TypeError:
        raise ModelError(f"{argument}: expected a sequence of labels, got {type(labels).__name__}") from None
    try:
        distinct = set(known)
    except TypeError as cause:
        raise ModelError(f"{argument}: expected hashable labels: {cause}") from None
    if len(distinct) != len(known):
        seen: set[Hashable] = set()
        twice = next(label for label in known if label in seen or seen.add(label))  # type: ignore[func-returns-value]
        raise ModelError(f"{argument}: expected distinct labels, got {twice!r} twice")
    return known


def _name(labels: tuple[Hashable, ...] | None, index: int) -> str:
    if labels is None or not 0 <= index < len(labels):
        return str(index)
    return f"{labels[index]!r}"


def _read_only(array: NDArray[Any]) -> NDArray[Any]:
    view = array.view()
    view.flags.writeable = False
    return view
