"""The model: a finite Markov decision process (theory 1)."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import scipy.sparse
from numpy.typing import ArrayLike, NDArray

from rlcore import _core
from rlcore.arguments import as_floats, as_pair_array
from rlcore.errors import ArgumentError, InputError, ModelError
from rlcore.io.sparse import damage_of
from rlcore.labels import did_you_mean
from rlcore.results import FloatArray

if TYPE_CHECKING:
    from scipy.sparse import csr_array

    from rlcore.io.conversions import ChainArrays
    from rlcore.model_info import ModelInfo

IntArray = NDArray[np.int64]
MOST_STATES = 2**31 - 1
MOST_ENTRIES = 2**37  # of a table: a terabyte


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
        even = (num_states, num_pairs // num_states)
        shape = even if pair_start is None else _pair_shape(starts, num_pairs, num_states)
        rewards = _as_pair_array(reward, "reward", shape, copy)
        ending = np.empty(0) if termination is None else _as_pair_array(termination, "termination", shape, copy)
        start = np.empty(0) if initial is None else _as_state_array(initial, "initial", num_states, copy)
        if normalize:
            data, ending = _normalized(data, indptr, ending)
        self._state_labels = _as_labels(state_labels, "state_labels")
        self._action_labels = _as_labels(action_labels, "action_labels")
        self._pair_start = starts
        self._pair_action = None if pair_action is None else _as_pair_action(pair_action, num_pairs, copy)
        self._transition: csr_array | None = None
        self._pair_state: IntArray | None = None
        self._state_index: dict[Hashable, int] | None = None
        try:
            self._core, rows = _checked(num_states, _Rows(data, columns, indptr), rewards, starts, ending, start)
        except InputError as error:
            raise self.located(error) from None
        self._arrays = (rows.data, rows.columns, rewards, ending, start)
        self._indptr = rows.indptr
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

        arrays = pair_arrays(P, r, layout, termination, mask, state_labels, normalize)
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
    def from_functions(
        cls,
        states: Iterable[Any] | None,
        actions: Iterable[Any] | Callable[[Any], Iterable[Any]] | Mapping[Any, ArrayLike],
        transitions: Callable[[Any, Any], Any],
        reward: Callable[..., Any],
        initial: Any = None,
        *,
        termination: Callable[[Any, Any], Any] | None = None,
        vectorized: bool = False,
        normalize: bool = False,
        max_states: int = 10_000_000,
        progress: Callable[[int, int], object] | None = None,
    ) -> MDP:
        """Make a model from functions of a state and an action, which may be any hashable values.

        Parameters
        ----------
        states
            The labels of all states, in order. None: those that can be reached from `initial`, found breadth-first.
        actions
            The labels of the actions that every state has, or a function state -> labels of its own actions.
        transitions
            A function (state, action) -> ``{successor: probability}``, or pairs (successor, probability), which are
            summed for each successor. The successor None means that the process ends.
        reward
            A function (state, action) -> expected immediate reward, or (state, action, successor) -> reward, which is
            averaged over successors, None among them. How many parameters it has says which it is. It is not asked
            for successors with probability 0.
        initial
            The state in which the process starts, or a dict {state: probability}, or probabilities for all states as
            an array or a list.
        termination
            A function (state, action) -> probability that the process ends, in addition to the successor None.
        vectorized
            The functions take many states at once, see Notes.
        normalize
            Divide each row and its termination by their sum first.
        max_states
            How many states may be found, or come from an iterator, before it is an error.
        progress
            Called some twenty times a second with the numbers of states that are done and that are known.

        Returns
        -------
        MDP
            ``state_labels`` are the states in order, ``action_labels`` all actions in the order in which they are met;
            the pairs of a state are in the order of ``action_labels``. Labels ``range(n)`` are not stored, since they
            are the numbers that states and actions have anyway.

        Raises
        ------
        ModelError
            If what the functions say is not a model; it names the state and the action by their labels. What the
            functions themselves raise comes through, with a note that tells what they were asked for.

        Notes
        -----
        Theory 1. With ``vectorized=True`` the functions take an array of state numbers, shape (n,), and one action
        label: ``transitions(states, action)`` returns (successors, probabilities), numbers of states of shape (n, k)
        and an array that broadcasts to it; the successor -1 means that the process ends, and successors of
        probability 0 are not looked at. ``reward`` and ``termination`` return shape (n,), or a number;
        ``reward(states, action, successors)`` returns shape (n, k). `actions` may be a dict {label: booleans of shape
        (S,)} that says which states have the action. The functions are called for blocks of states.

        Examples
        --------
        A walk on 0 .. 3 that ends when it steps off, to the right for a reward of 1.

        >>> import rlcore as rl
        >>> def transitions(state, action):
        ...     there = state + (1 if action == "right" else -1)
        ...     return {there if 0 <= there <= 3 else None: 0.9, state: 0.1}
        >>> def reward(state, action, successor):
        ...     return 1.0 if successor is None and state == 3 else 0.0
        >>> mdp = rl.MDP.from_functions(range(4), ["left", "right"], transitions, reward, initial=0)
        >>> mdp
        MDP(4 states, 2 actions each, 14 transitions, can end, with start distribution)
        >>> rl.MDP.from_functions(None, ["left", "right"], transitions, reward, initial=2).state_labels
        (2, 1, 3, 0)
        """
        from rlcore.io.functions import Functions, parts_by_array, parts_by_label

        given = Functions(states, actions, transitions, reward, initial, termination, normalize, max_states, progress)
        parts = parts_by_array(given) if vectorized else parts_by_label(given)
        return cls(**parts._asdict())

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
            hint = did_you_mean(label, self._state_labels)
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
        ArgumentError
            If fill is not a number.

        Examples
        --------
        >>> import rlcore as rl
        >>> mdp = rl.MDP([[1.0], [1.0]], reward=[1, 2], pair_action=[0, 2])
        >>> mdp.to_table(mdp.reward)
        array([[ 1., nan,  2.]])
        """
        values = as_pair_array(x, self._shape, "x", ModelError)
        if not isinstance(fill, float | int | np.floating | np.integer):
            raise ArgumentError(f"fill: expected a number, got {fill!r}")
        actions = self.pair_action
        width = int(actions.max()) + 1
        if self.num_states * width > MOST_ENTRIES:
            gigabytes = self.num_states * width * 8 / 1e9
            raise ModelError(
                f"x: expected a table that fits in memory, got {self.num_states} states and actions up to {width - 1}: "
                f"{gigabytes:.0f} GB; number the actions from 0 on in pair_action"
            )
        table = np.full((self.num_states, width), fill, dtype=np.float64)
        table[self.pair_state, actions] = values
        return table

    def info(self) -> ModelInfo:
        """Return the figures of the model: sizes, rewards, where it starts and ends, what it takes.

        Examples
        --------
        >>> import rlcore as rl
        >>> print(rl.gallery.forest().info())
        states       3, known by their numbers
        actions      2 in each state: 'wait', 'cut'
        pairs        6
        transitions  9, 1 to 2 and on average 1.5 for each pair
        rewards      0 to 4
        ends         never
        starts       in one of 3 states
        memory       240 bytes
        >>> rl.gallery.forest().info().reward_range
        (0.0, 4.0)
        """
        from rlcore.model_info import info_of

        return info_of(self)

    # ---- as objects of other packages ----

    def to_scipy(self, policy: ArrayLike) -> ChainArrays:
        """Return the chain of a policy: ``P_pi`` as a sparse array of shape (S, S), and ``r_pi``, shape (S,).

        Where the process may end, a row of ``P_pi`` sums to less than 1.

        Raises
        ------
        PolicyError
            If the policy has the wrong shape or is not a distribution in every state.

        Examples
        --------
        >>> import rlcore as rl
        >>> mdp = rl.gallery.forest()
        >>> P_pi, r_pi = mdp.to_scipy(rl.uniform_policy(mdp))
        >>> P_pi.toarray()
        array([[0.55, 0.45, 0.  ],
               [0.55, 0.  , 0.45],
               [0.55, 0.  , 0.45]])
        >>> r_pi
        array([0. , 0.5, 3. ])
        """
        from rlcore.io.conversions import chain_arrays

        return chain_arrays(self, policy)

    def to_pandas(self, x: ArrayLike, name: Hashable = None, over: str | None = None) -> Any:
        """Return an array over states or pairs as a Series or a DataFrame with labels.

        Parameters
        ----------
        x
            Numbers for each state, shape (S,), which become a Series called `name`; numbers for each pair, which
            become a DataFrame of states by actions, with NaN where an action is not admissible; or a batch (B, S),
            which becomes a DataFrame with a row for each item. Labels (row, column) become index levels.
        name
            The name of a Series.
        over
            "states" or "pairs", where the shape could be both.

        Raises
        ------
        MissingPackageError
            If pandas is not installed.
        ModelError
            If x has another shape.
        ArgumentError
            If the shape could be both, and `over` does not say which.

        Examples
        --------
        >>> import rlcore as rl
        >>> mdp = rl.gallery.forest()
        >>> mdp.to_pandas(mdp.reward)
        action  wait  cut
        state
        0        0.0  0.0
        1        0.0  1.0
        2        4.0  2.0
        """
        from rlcore.io.conversions import as_pandas

        return as_pandas(self, x, name, over)

    def to_xarray(self, x: ArrayLike, name: Hashable = None, over: str | None = None) -> Any:
        """Return an array over states or pairs as a labelled DataArray.

        Its dimensions are "state", then "action" for numbers of pairs, and before them "item" for a batch. Labels
        (row, column) become levels "state_0" and "state_1", so that ``.unstack("state")`` is a grid.

        Parameters
        ----------
        x
            Numbers for each state or for each pair, or a batch of either.
        name
            The name of the array.
        over
            "states" or "pairs", where the shape could be both.

        Raises
        ------
        MissingPackageError
            If xarray is not installed.
        ModelError
            If x has another shape.
        ArgumentError
            If the shape could be both, and `over` does not say which.

        Examples
        --------
        >>> import rlcore as rl
        >>> mdp = rl.gallery.forest()
        >>> mdp.to_xarray(mdp.reward, "reward").sel(state=2, action="cut").item()
        2.0
        """
        from rlcore.io.conversions import as_xarray

        return as_xarray(self, x, name, over)

    def to_networkx(self, policy: ArrayLike) -> Any:
        """Return the chain of a policy as a NetworkX DiGraph over state labels.

        An edge has its ``probability`` P_pi(s,s') and the mean ``reward`` of the steps along it, a node its mean
        ``reward`` r_pi(s) and the probability of ``termination``.

        Raises
        ------
        MissingPackageError
            If NetworkX is not installed.
        PolicyError
            If the policy has the wrong shape or is not a distribution in every state.

        Examples
        --------
        >>> import rlcore as rl
        >>> mdp = rl.gallery.forest()
        >>> mdp.to_networkx(rl.uniform_policy(mdp)).edges[1, 2]["probability"]
        0.45
        """
        from rlcore.io.conversions import as_networkx

        return as_networkx(self, policy)

    # ---- with other numbers ----

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
        rising[self._pair_start[:-1]] = True
        rising &= self._pair_action >= 0  # differences of very negative numbers wrap around
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


def start_or_even(mdp: MDP) -> FloatArray:
    """Return the start distribution, and an even one where there is none, for what does not depend on it."""
    return np.full(mdp.num_states, 1.0 / mdp.num_states) if mdp.initial is None else mdp.initial


def start_of(mdp: MDP, initial: ArrayLike | None, function: str) -> Any:
    """Return the start distribution that a function is to use: the one given, or the model's."""
    if initial is not None:
        return initial
    start = mdp._arrays[4]
    if start.size:
        return start
    raise ModelError(
        f"initial: {function} needs a start distribution, and the model has none; "
        "pass initial=p, or make the model with initial=p or mdp.with_initial(p)"
    )


def as_mdp(mdp: Any) -> MDP:
    """Check that the first argument is a model."""
    if isinstance(mdp, MDP):
        return mdp
    hint = "; use rlcore.from_gymnasium(env)" if hasattr(mdp, "unwrapped") else ""
    raise ArgumentError(f"mdp: expected a rlcore.MDP, got {type(mdp).__name__}{hint}")


def _unpickled(*parts: Any) -> MDP:
    return MDP(*parts[:-1], pair_action=parts[-1])


class _Rows(NamedTuple):
    data: FloatArray
    columns: NDArray[np.int32]
    indptr: NDArray[Any]


def _checked(
    num_states: int, rows: _Rows, reward: FloatArray, starts: IntArray, ending: FloatArray, start: FloatArray
) -> tuple[_core.Mdp, _Rows]:
    """Return the core's model, and the rows that it holds: those given, in order and without duplicates."""

    def checked(rows: _Rows) -> _core.Mdp:
        return _core.Mdp(
            num_states, rows.data, rows.columns, rows.indptr, reward, starts, ending, start, check_now=True
        )

    try:
        return checked(rows), rows
    except InputError:
        # Most rows come in order: only those that fail are looked at again.
        if _core.rows_are_canonical(rows.columns, rows.indptr):
            raise
    shape = (rows.indptr.size - 1, num_states)
    ordered = scipy.sparse.csr_array(tuple(part.copy() for part in rows), shape=shape)
    ordered.sum_duplicates()
    rows = _Rows(ordered.data, ordered.indices.astype(np.int32, copy=False), ordered.indptr)
    return checked(rows), rows


def _as_csr(transition: Any, copy: bool) -> tuple[FloatArray, NDArray[np.int32], NDArray[Any], tuple[int, int]]:
    """Return data, columns, row offsets and shape in the stored types, rows in order and without duplicates."""
    if scipy.sparse.issparse(transition):
        matrix = _converted(transition)
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
    columns, indptr = _as_indices(matrix.indices, num_states), matrix.indptr
    if columns is not matrix.indices and indptr.size and 0 <= indptr.min() and indptr.max() <= MOST_STATES:
        # SciPy insists on one type for both, and would convert the columns back whenever it is handed the rows.
        indptr = indptr.astype(np.int32)
    elif indptr.dtype not in (np.int32, np.int64):
        indptr = indptr.astype(np.int64)
    data = np.array(matrix.data, np.float64) if copy else np.ascontiguousarray(matrix.data, np.float64)
    columns = np.array(columns) if copy else np.ascontiguousarray(columns)
    indptr = np.array(indptr) if copy else np.ascontiguousarray(indptr)
    # Matrices that were cut in place keep spare room behind their last entry.
    if indptr.size and 0 <= indptr[-1] < data.size:
        data, columns = data[: indptr[-1]], columns[: indptr[-1]]
    return data, columns, indptr, (num_pairs, num_states)


def _converted(matrix: Any) -> Any:
    """Return a sparse matrix of any format as rows."""
    damage = damage_of(matrix, row_by_row=True)
    if damage is not None:
        raise ModelError(f"transition: {damage}")
    try:
        return matrix.tocsr()
    except (ValueError, IndexError) as error:
        kind = matrix.format.upper()
        raise ModelError(f"transition: expected a valid {kind} matrix, got one of which SciPy says: {error}") from None


def _as_indices(columns: NDArray[Any], num_states: int) -> NDArray[np.int32]:
    if columns.dtype == np.int32:
        return columns
    if columns.size and not (-(2**31) <= columns.min() and columns.max() < 2**31):
        at = int(((columns < 0) | (columns >= num_states)).argmax())
        raise ModelError(f"transition: expected successors in 0 .. {num_states - 1}, got {columns[at]} as entry {at}")
    return columns.astype(np.int32)


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
    if found.dtype == np.uint64 and found.max(initial=0) >= 2**63:
        raise ModelError(f"{argument}: expected whole numbers below 2^63, got {found.max()}")
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
    if isinstance(labels, set | frozenset):
        raise ModelError(f"{argument}: expected labels in an order, got a set, which has none; pass a list")
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
