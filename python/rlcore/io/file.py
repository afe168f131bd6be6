"""Models in files: saved whole or not at all, opened by mapping, read when something is computed."""

from __future__ import annotations

import errno
import json
import os
import secrets
import stat
from collections.abc import Hashable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from importlib.metadata import version
from typing import TYPE_CHECKING, Any, BinaryIO, TypeGuard, cast

import numpy as np
from numpy.typing import NDArray

from rlcore.errors import ArgumentError, InputError, ModelError
from rlcore.io.archive import NOT_A_MODEL, Archive, ArchiveWriter, refusal
from rlcore.io.labels_json import labels_from_json, labels_to_json
from rlcore.mdp import MDP, MOST_STATES, IntArray, as_mdp

if TYPE_CHECKING:
    from scipy.sparse import csr_array

FORMAT, VERSION = "rlcore model", 1
HEADER, LARGEST_HEADER = "header", 1 << 16
LARGEST_COUNT = 2**53  # whole numbers up to here are safe in every JSON reader

FLOAT, INT32, INT64, BYTE = "<f8", "<i4", "<i8", "|u1"

Path = str | os.PathLike[str]


def save(mdp: MDP, path: Path) -> None:
    """Write a model to a file: an uncompressed .npz that `numpy.load` reads, too.

    The file is written under another name beside `path` and renamed when all of it is on the disk. Whatever happens in
    between, `path` is either the old file or the new one.

    Parameters
    ----------
    mdp
        The model. It is checked first, if it has not been before.
    path
        Where to write it, such as "model.npz". The name is used as it is. A file of this name is replaced, and keeps
        its permissions; models that were opened from it keep what they had.

    Returns
    -------
    None

    Raises
    ------
    ModelError
        If a label is no str, int, float, bool, None or tuple of these: a file cannot hold it.
    OSError
        If the file cannot be written, such as `PermissionError`; nothing is left behind.

    See Also
    --------
    load : opens it again.

    Examples
    --------
    >>> import os, tempfile
    >>> import rlcore as rl
    >>> path = os.path.join(tempfile.mkdtemp(), "forest.npz")
    >>> rl.save(rl.gallery.forest(), path)
    >>> rl.load(path).action_labels
    ('wait', 'cut')
    """
    mdp = as_mdp(mdp)
    target = _as_target(path)
    _check_numbers(mdp)
    arrays = _arrays_of(mdp)
    with _replacing(target) as file:
        archive = ArchiveWriter(file)
        archive.add(HEADER, _as_bytes(_header_of(mdp, arrays)))
        for name, array in arrays.items():
            archive.add(name, array)
        archive.finish()


def load(path: Path) -> MDP:
    """Open a saved model. Its file is mapped into memory, and its numbers are read when something needs them.

    Opening looks at the header, at the labels and at the sizes of everything, and so takes milliseconds for a model of
    any size. The numbers are checked before the first computation, so that an answer never comes from a wrong model.

    Parameters
    ----------
    path
        A file that `save` wrote. If it was written again by other means, such as `numpy.savez_compressed`, the arrays
        that cannot be mapped are read into memory.

    Returns
    -------
    MDP
        The model as it was saved. Its arrays are read-only. Replace the file if you like, as `save` does, but do not
        write into it or shorten it while the model is in use: the system ends a program that reads beyond its end.

    Raises
    ------
    ModelError
        If the file is no saved model, is damaged, or was written by a newer rlcore. If numbers in it are wrong, the
        first use of the model raises it, or `validate`.
    OSError
        If the file cannot be opened, such as `FileNotFoundError`.

    See Also
    --------
    validate : reads everything at once.

    Examples
    --------
    >>> import os, tempfile
    >>> import rlcore as rl
    >>> path = os.path.join(tempfile.mkdtemp(), "grid.npz")
    >>> rl.save(rl.gallery.slippery_grid(30), path)
    >>> grid = rl.load(path)
    >>> grid.num_states, grid.transition.nnz
    (900, 10786)
    """
    archive = Archive(_as_path(path))
    sizes = _read_header(archive)
    arrays = {name: _read_array(archive, sizes, name) for name in sizes.arrays}
    archive.check_sums({HEADER, "state_labels", "action_labels"})
    state_labels = _read_labels(archive, arrays.get("state_labels"), "state_labels")
    if state_labels is not None and len(state_labels) != sizes.num_states:
        raise refusal(archive.path, f"state_labels are {len(state_labels)}, and there are {sizes.num_states} states")
    none: NDArray[np.float64] = np.empty(0)
    data, columns, reward = (arrays[name] for name in ("transition_data", "transition_indices", "reward"))
    model = OpenedMDP._opened(
        sizes.num_states,
        (data, columns, reward, arrays.get("termination", none), arrays.get("initial", none)),
        arrays["transition_indptr"],
        arrays["pair_start"],
        sizes.pair_shape,
        state_labels,
        _read_labels(archive, arrays.get("action_labels"), "action_labels"),
        arrays.get("pair_action"),
    )
    opened = cast(OpenedMDP, model)
    opened._archive = archive
    return opened


def validate(mdp: MDP) -> None:
    """Read everything that a model holds and check it.

    Models that were made in memory were checked then. A model that `load` opened is checked now, unless something was
    computed from it already, and its file is held against its checksums, which shows damage that leaves probabilities
    looking like probabilities.

    Parameters
    ----------
    mdp
        The model.

    Returns
    -------
    None

    Raises
    ------
    ModelError
        If a number is wrong, naming state and action by their labels, or if the file is damaged.

    Examples
    --------
    >>> import os, tempfile
    >>> import rlcore as rl
    >>> path = os.path.join(tempfile.mkdtemp(), "queue.npz")
    >>> rl.save(rl.gallery.queue(50), path)
    >>> rl.validate(rl.load(path))
    """
    mdp = as_mdp(mdp)
    _check_numbers(mdp)
    if isinstance(mdp, OpenedMDP):
        mdp._archive.check_sums()


class OpenedMDP(MDP):
    """A model over a file that is mapped into memory.

    It reads what it was asked for, and checks all of it before something follows a number of the file to a place in
    memory: every computation, and every property that holds positions.
    """

    __slots__ = ("_archive", "_is_checked", "_mapped_core")

    _archive: Archive
    _is_checked: bool
    _mapped_core: Any

    @property
    def _core(self) -> Any:
        self._check()
        return self._mapped_core

    @_core.setter
    def _core(self, core: Any) -> None:
        self._mapped_core = core
        self._is_checked = False

    @property
    def transition(self) -> csr_array:
        """P(s'|s,a) as a sparse array of shape (num_pairs, num_states), read-only and not a copy."""
        self._check()
        return super().transition

    @property
    def pair_start(self) -> IntArray:
        """Where the pairs of each state begin, shape (S + 1,)."""
        self._check()
        return super().pair_start

    @property
    def pair_state(self) -> IntArray:
        """The state of each pair, shape (num_pairs,)."""
        self._check()
        return super().pair_state

    @property
    def pair_action(self) -> IntArray:
        """The number of each pair's action, shape (num_pairs,)."""
        self._check()
        return super().pair_action

    def _check(self) -> None:
        if self._is_checked:
            return
        try:
            self._mapped_core.ensure_checked()
            self._is_checked = True  # for the checks that follow, which use the properties
            self._check_action_numbers()
            self._check_shape()
        except BaseException as error:
            self._is_checked = False
            if isinstance(error, InputError):
                raise self._in_file(error) from None
            raise

    def _check_action_numbers(self) -> None:
        if self._pair_action is None:
            return
        # Differences of int64 wrap around, and so what is negative is looked for before they are formed.
        pair = int(self._pair_action.argmin())
        if self._pair_action[pair] < 0:
            fault = f"expected numbers from 0 on that increase within each state, got {self._pair_action[pair]}"
            raise ModelError.placed("pair_action", fault, state=int(self.pair_state[pair]))
        self._check_pair_action()

    def _check_shape(self) -> None:
        """Hold the shape in the header against the numbers of actions."""
        counts = np.diff(self._pair_start)
        least, most = int(counts.min()), int(counts.max())
        shape = (self.num_states, most) if least == most else (self.num_pairs,)
        if shape != self._shape:
            raise ModelError(f"pair_shape: expected {shape}, as pair_start says, got {self._shape}")
        needed = most if self._pair_action is None else int(self._pair_action.max()) + 1
        if self._action_labels is not None and len(self._action_labels) < needed:
            raise ModelError(f"action_labels: expected at least {needed} labels, got {len(self._action_labels)}")

    def _in_file(self, error: InputError) -> ModelError:
        located = self.located(error)
        named = ModelError(f"{self._archive.path!r}: {located}")
        named.argument, named.state, named.action = located.argument, located.state, located.action
        return named


def _check_numbers(mdp: MDP) -> None:
    try:
        mdp._core.ensure_checked()
    except InputError as error:
        raise mdp.located(error) from None


# ---- what is in a file ----


@dataclass(frozen=True, slots=True)
class Sizes:
    """What the header says."""

    num_states: int
    num_pairs: int
    num_transitions: int
    pair_shape: tuple[int, ...]
    arrays: dict[str, tuple[str, int]]
    """The type and the length of every array."""

    def allowed(self) -> dict[str, tuple[tuple[str, ...], int | None]]:
        """Return the types and the length that each array may have."""
        pairs, states = self.num_pairs, self.num_states
        return {
            "transition_data": ((FLOAT,), self.num_transitions),
            "transition_indices": ((INT32,), self.num_transitions),
            "transition_indptr": ((INT32, INT64), pairs + 1),
            "pair_start": ((INT64,), states + 1),
            "reward": ((FLOAT,), pairs),
            "termination": ((FLOAT,), pairs),
            "initial": ((FLOAT,), states),
            "pair_action": ((INT64,), pairs),
            "state_labels": ((BYTE,), None),
            "action_labels": ((BYTE,), None),
        }


ALWAYS_THERE = ("transition_data", "transition_indices", "transition_indptr", "pair_start", "reward")


def _arrays_of(mdp: MDP) -> dict[str, NDArray[Any]]:
    data, columns, reward, termination, initial = mdp._arrays
    arrays: dict[str, NDArray[Any]] = {}
    for argument in ("state_labels", "action_labels"):
        labels = getattr(mdp, argument)
        if labels is not None:
            arrays[argument] = _as_bytes(labels_to_json(labels, argument))
    arrays |= {"initial": initial} if initial.size else {}
    arrays |= {"pair_start": mdp._pair_start, "reward": reward}
    arrays |= {"termination": termination} if termination.size else {}
    if mdp._pair_action is not None and not _are_positions(mdp._pair_action, mdp):
        arrays["pair_action"] = mdp._pair_action
    return arrays | {"transition_indptr": mdp._indptr, "transition_indices": columns, "transition_data": data}


def _are_positions(pair_action: IntArray, mdp: MDP) -> bool:
    """Return whether actions are numbered as they follow each other in their state, which goes without saying."""
    if len(mdp.pair_shape) == 2:
        return bool((pair_action.reshape(mdp.pair_shape) == np.arange(mdp.pair_shape[1])).all())
    starts = mdp._pair_start
    return np.array_equal(pair_action + np.repeat(starts[:-1], np.diff(starts)), np.arange(mdp.num_pairs))


def _header_of(mdp: MDP, arrays: dict[str, NDArray[Any]]) -> bytes:
    header = {
        "format": FORMAT,
        "version": VERSION,
        "written_by": f"rlcore {version('rlcore')}",
        "num_states": mdp.num_states,
        "num_pairs": mdp.num_pairs,
        "num_transitions": int(mdp._arrays[0].size),
        "pair_shape": list(mdp.pair_shape),
        "arrays": {name: [array.dtype.newbyteorder("<").str, array.size] for name, array in arrays.items()},
    }
    return json.dumps(header).encode("ascii")


def _as_bytes(text: bytes) -> NDArray[np.uint8]:
    return np.frombuffer(text, np.uint8)


def _read_header(archive: Archive) -> Sizes:
    if HEADER not in archive.names:
        raise refusal(archive.path, "expected a saved model, got a .npz file without the array 'header'", NOT_A_MODEL)
    try:
        header = json.loads(archive.array(HEADER, BYTE, most=LARGEST_HEADER).tobytes())
    except (ValueError, RecursionError) as cause:
        if isinstance(cause, InputError):
            raise
        raise refusal(archive.path, f"its header is damaged ({cause})") from None
    if not isinstance(header, dict) or header.get("format") != FORMAT:
        raise refusal(archive.path, "expected a saved model, got a .npz file with another kind of header", NOT_A_MODEL)
    written = header.get("version")
    if _is_count(written) and written > VERSION:
        remedy = "upgrade: pip install --upgrade rlcore"
        raise refusal(archive.path, f"it has format version {written}, and this rlcore reads up to {VERSION}", remedy)
    if not _is_count(written) or written != VERSION:
        raise refusal(archive.path, f"its header is damaged: expected version {VERSION}, got {_shown(written)}")
    sizes = _as_sizes(archive, header)
    _check_arrays(archive, sizes)
    return sizes


def _as_sizes(archive: Archive, header: dict[str, Any]) -> Sizes:
    for key, least in (("num_states", 1), ("num_pairs", 1), ("num_transitions", 0)):
        most = MOST_STATES if key == "num_states" else LARGEST_COUNT
        if not _is_count(header.get(key)) or not least <= header[key] <= most:
            fault = f"expected {key} to be a whole number in {least} .. {most}, got {_shown(header.get(key))}"
            raise refusal(archive.path, f"its header is damaged: {fault}")
    states, pairs = header["num_states"], header["num_pairs"]
    shape, arrays = header.get("pair_shape"), header.get("arrays")
    if not _are_counts(shape) or shape not in ([states, pairs // states] if pairs % states == 0 else [], [pairs]):
        fault = f"{pairs} pairs of {states} states cannot have the shape {_shown(shape)}"
        raise refusal(archive.path, f"its header is damaged: {fault}")
    if not isinstance(arrays, dict) or not all(_is_array(array) for array in arrays.values()):
        raise refusal(archive.path, "its header is damaged: it does not describe the arrays")
    described = {name: (array[0], array[1]) for name, array in arrays.items()}
    return Sizes(states, pairs, header["num_transitions"], tuple(shape), described)


def _check_arrays(archive: Archive, sizes: Sizes) -> None:
    """Check that all arrays are there which the header lists, no others, and of sizes that fit together."""
    allowed = sizes.allowed()
    for name in ALWAYS_THERE:
        if name not in sizes.arrays:
            raise refusal(archive.path, f"its header is damaged: it does not list {name}")
    for name, (dtype, count) in sizes.arrays.items():
        if name not in allowed:
            raise refusal(archive.path, f"its header is damaged: it lists {_shown(name)}, which no model has")
        dtypes, expected = allowed[name]
        if dtype not in dtypes or (expected is not None and count != expected):
            wanted = f"{'any number' if expected is None else expected} of type {' or '.join(dtypes)}"
            fault = f"expected {wanted} in {name}, got {count} of type {_shown(dtype)}"
            raise refusal(archive.path, f"its header is damaged: {fault}")
    for name in sorted(archive.names ^ (sizes.arrays.keys() | {HEADER})):
        extra = f"it holds {_shown(name)}, which its header does not list"
        raise refusal(archive.path, extra if name in archive.names else f"it lacks {name}, which its header lists")


def _is_count(number: object) -> TypeGuard[int]:
    return type(number) is int


def _are_counts(numbers: object) -> TypeGuard[list[int]]:
    return isinstance(numbers, list) and all(_is_count(number) for number in numbers)


def _is_array(described: object) -> bool:
    return (
        isinstance(described, list)
        and len(described) == 2
        and isinstance(described[0], str)
        and _is_count(described[1])
    )


def _shown(value: object) -> str:
    """Return a value from a header, of which only the beginning is of interest."""
    try:
        text = repr(value)
    except (ValueError, RecursionError):  # a number of more digits than Python prints
        return f"a {type(value).__name__}"
    return text if len(text) <= 40 else text[:40] + "..."


def _read_array(archive: Archive, sizes: Sizes, name: str) -> NDArray[Any]:
    dtype, count = sizes.arrays[name]
    return archive.array(name, np.dtype(dtype).newbyteorder("=").str, count)


def _read_labels(archive: Archive, text: NDArray[Any] | None, argument: str) -> tuple[Hashable, ...] | None:
    if text is None:
        return None
    try:
        return labels_from_json(text.tobytes())
    except (ValueError, RecursionError) as cause:
        raise refusal(archive.path, f"{argument} are damaged ({cause})") from None


# ---- where it is ----


def _as_path(path: Path) -> str:
    try:
        name = os.fspath(path)
    except TypeError:
        name = None
    if not isinstance(name, str) or not name:
        raise ArgumentError(f"path: expected the name of a file, got {path!r:.80}")
    if "\0" in name:
        raise ArgumentError(f"path: expected the name of a file, got {name!r:.80}, which no file can have")
    return name


def _as_target(path: Path) -> str:
    """Return where to write, behind all links, or raise what writing there would raise."""
    target = os.path.realpath(_as_path(path))
    try:
        mode = os.stat(target).st_mode
    except FileNotFoundError:
        if os.fspath(path).endswith(os.sep):
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), os.fspath(path)) from None
        return target
    if stat.S_ISDIR(mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), os.fspath(path))
    if not stat.S_ISREG(mode):
        raise ArgumentError(f"path: expected a file or a new name, got {os.fspath(path)!r}, a device or a pipe")
    if not os.access(target, os.W_OK):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), os.fspath(path))
    return target


@contextmanager
def _replacing(target: str) -> Iterator[BinaryIO]:
    """Write a file that takes the place of the target once it is whole, and on the disk."""
    folder = os.path.dirname(target)
    unfinished = os.path.join(folder, f".rlcore-{secrets.token_hex(8)}.tmp")
    # The system's own default permissions (umask), which tempfile would narrow to the owner.
    file = open(unfinished, "xb")  # noqa: SIM115 - it is closed before it is renamed
    try:
        with file:
            with suppress(FileNotFoundError):
                os.fchmod(file.fileno(), stat.S_IMODE(os.stat(target).st_mode))
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.replace(unfinished, target)
    except BaseException:
        with suppress(FileNotFoundError):
            os.unlink(unfinished)
        raise
    _settle(folder)


def _settle(folder: str) -> None:
    """Have the new name on the disk, too, where the file system can promise that."""
    opened = os.open(folder, os.O_RDONLY)
    try:
        with suppress(OSError):
            os.fsync(opened)
    finally:
        os.close(opened)
