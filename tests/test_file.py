"""Models in files: what is saved comes back, whatever happens, and nothing else is taken for a model."""

from __future__ import annotations

import io
import json
import mmap
import os
import pickle
import signal
import stat
import subprocess
import sys
import threading
import tracemalloc
import zipfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.sparse

import fuzz_file
import rlcore as rl
from rlcore.io import archive as archives
from rlcore.io import file as files
from rlcore.io.archive import ArchiveWriter

Arrays = dict[str, Any]


def same(one: rl.MDP, other: rl.MDP) -> bool:
    assert one.pair_shape == other.pair_shape
    assert (one.state_labels, one.action_labels) == (other.state_labels, other.action_labels)
    for name in "reward", "termination", "pair_start", "pair_action", "pair_state":
        np.testing.assert_array_equal(getattr(one, name), getattr(other, name), strict=True)
    for name in "data", "indices", "indptr":
        np.testing.assert_array_equal(getattr(one.transition, name), getattr(other.transition, name), strict=True)
    assert (one.initial is None) == (other.initial is None)
    np.testing.assert_array_equal(one.initial, other.initial)
    return True


def without_labels() -> rl.MDP:
    return rl.MDP([[1.0, 0.0], [0.5, 0.5]], reward=[1.0, -0.0])


def all_end() -> rl.MDP:
    return rl.MDP(scipy.sparse.csr_array((3, 3)), reward=[1.0, 2.0, 3.0], termination=[1.0, 1.0, 1.0])


def long_offsets() -> rl.MDP:
    rows = scipy.sparse.csr_array(np.eye(3))
    rows.indptr = rows.indptr.astype(np.int64)
    return rl.MDP(rows, reward=[1.0, 2.0, 3.0])


MODELS: dict[str, Callable[[], rl.MDP]] = {
    "ragged": fuzz_file.ragged_model,
    "taxi": lambda: rl.from_gymnasium("Taxi-v4"),
    "garnet": lambda: rl.gallery.garnet(50, 3, 4),
    "plain": without_labels,
    "all end": all_end,
    "64-bit offsets": long_offsets,
}


@pytest.fixture
def path(tmp_path: Path) -> str:
    return str(tmp_path / "model.npz")


@pytest.fixture
def saved(path: str) -> str:
    rl.save(fuzz_file.ragged_model(), path)
    return path


def arrays_of(path: str) -> Arrays:
    with np.load(path) as loaded:
        return dict(loaded)


def write(path: str, arrays: Arrays) -> None:
    with open(path, "wb") as file:
        archive = ArchiveWriter(file)
        for name, array in arrays.items():
            archive.add(name, array)
        archive.finish()


def change_header(path: str, **changes: Any) -> None:
    arrays = arrays_of(path)
    header = json.loads(arrays["header"].tobytes()) | changes
    write(path, arrays | {"header": np.frombuffer(json.dumps(header).encode(), np.uint8)})


def refused(path: str) -> str:
    with pytest.raises(rl.ModelError) as caught:
        rl.load(path)
    text = str(caught.value)
    assert text.startswith(f"{path!r}: ")
    assert "\n" not in text
    return text.removeprefix(f"{path!r}: ")


# ---- there and back ----


@pytest.mark.parametrize("make", MODELS.values(), ids=MODELS)
def test_a_model_comes_back(make: Callable[[], rl.MDP], path: str) -> None:
    mdp = make()
    rl.save(mdp, path)
    opened = rl.load(path)
    assert repr(opened) == repr(mdp)
    assert same(opened, mdp)
    rl.validate(opened)
    policy = rl.random_policy(mdp, 3)
    one, other = rl.evaluate(mdp, policy, 0.9), rl.evaluate(opened, policy, 0.9)
    assert one.value.tobytes() == other.value.tobytes()


@pytest.mark.parametrize("make", MODELS.values(), ids=MODELS)
def test_the_same_model_makes_the_same_bytes(make: Callable[[], rl.MDP], tmp_path: Path) -> None:
    mdp = make()
    rl.save(mdp, tmp_path / "one")
    assert mdp.pair_action.size
    rl.save(mdp, tmp_path / "two")
    rl.save(rl.load(tmp_path / "one"), tmp_path / "three")
    assert len({(tmp_path / name).read_bytes() for name in ("one", "two", "three")}) == 1


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
@pytest.mark.parametrize("make", MODELS.values(), ids=MODELS)
def test_a_file_that_numpy_has_written_again(make: Callable[[], rl.MDP], save: Any, path: str) -> None:
    mdp = make()
    rl.save(mdp, path)
    save(path, **arrays_of(path))
    opened = rl.load(path)
    assert same(opened, mdp)
    rl.validate(opened)


def test_other_byte_orders_are_converted(saved: str) -> None:
    arrays = arrays_of(saved)
    write_other = {name: array.astype(array.dtype.newbyteorder(">")) for name, array in arrays.items()}
    np.savez(saved, **write_other)
    assert same(rl.load(saved), fuzz_file.ragged_model())


def test_changed_models_are_models_in_memory(saved: str) -> None:
    opened = rl.load(saved)
    changed = opened.with_reward(-opened.reward)
    assert type(changed) is rl.MDP
    assert np.shares_memory(changed.transition.data, opened.transition.data)
    rl.save(changed, saved)
    np.testing.assert_array_equal(rl.load(saved).reward, -opened.reward)
    assert same(pickle.loads(pickle.dumps(opened)), fuzz_file.ragged_model())


PARTS = ["", "ü€\U0001f600", "\ud800", None, (), ("a", (1, (2.0, None)))]
LABELS: list[Any] = [0, -1, 2**70, 1.5, 1e-300, float("inf"), -float("inf"), *PARTS, True]


def test_labels_keep_their_types(path: str) -> None:
    rl.save(rl.MDP(np.eye(len(LABELS)), np.zeros(len(LABELS)), state_labels=LABELS), path)
    found = rl.load(path).state_labels
    assert repr(found) == repr(tuple(LABELS))
    for single in float("nan"), -0.0:
        rl.save(rl.MDP([[1.0]], [0.0], state_labels=[single]), path)
        assert repr(rl.load(path).state_labels) == f"({single},)"


def test_numpy_labels_become_python_labels(path: str) -> None:
    labels = [np.int64(3), np.str_("b"), np.float32(0.5), (np.int8(1), np.True_)]
    rl.save(rl.MDP(np.eye(4), np.zeros(4), state_labels=labels), path)
    assert repr(rl.load(path).state_labels) == "(3, 'b', 0.5, (1, True))"


@pytest.mark.parametrize(
    ("label", "shown"),
    [
        (b"raw", "b'raw' of type bytes"),
        (frozenset({1}), "frozenset({1}) of type frozenset"),
        (1j, "1j of type complex"),
        (signal.SIGINT, f"{signal.SIGINT!r} of type Signals"),
        (("a", b"b"), "b'b' of type bytes"),
        (np.datetime64("2020-01-01"), "datetime.date(2020, 1, 1) of type date"),
    ],
)
def test_labels_that_no_file_can_hold(label: Any, shown: str, path: str) -> None:
    with pytest.raises(rl.ModelError) as caught:
        rl.save(rl.MDP([[1.0]], [0.0], action_labels=[label]), path)
    assert str(caught.value) == (
        "action_labels: a file holds labels of type str, int, float, bool, None and tuples of these, "
        f"got {shown}; give the model such labels before it is saved"
    )
    assert not os.path.exists(path)


def test_labels_that_are_too_deep_or_too_long(path: str) -> None:
    deep: Any = ()
    for _ in range(100):
        deep = (deep,)
    for label in deep, 10**5000:
        with pytest.raises(rl.ModelError, match="action_labels: a file holds labels of type"):
            rl.save(rl.MDP([[1.0]], [0.0], action_labels=[label]), path)


# ---- what others read ----


def test_zip_tools_and_numpy_read_it(saved: str) -> None:
    with zipfile.ZipFile(saved) as archive:
        assert archive.testzip() is None
        assert {entry.compress_type for entry in archive.infolist()} == {zipfile.ZIP_STORED}
    arrays = arrays_of(saved)
    mdp = fuzz_file.ragged_model()
    parts = (arrays["transition_data"], arrays["transition_indices"], arrays["transition_indptr"])
    rows = scipy.sparse.csr_array(parts, shape=(7, 4))
    np.testing.assert_array_equal(rows.toarray(), mdp.transition.toarray())
    np.testing.assert_array_equal(arrays["reward"], mdp.reward)
    assert json.loads(arrays["state_labels"].tobytes()) == [["a", 1], 2.5, None, "z"]
    header = json.loads(arrays["header"].tobytes())
    assert (header["format"], header["version"], header["pair_shape"]) == ("rlcore model", 1, [7])


def test_numbers_begin_at_multiples_of_64_and_are_mapped(saved: str) -> None:
    opened = rl.load(saved)
    for array in (*opened._arrays, opened._indptr, opened._pair_start, opened._pair_action):
        assert array is not None
        assert array.ctypes.data % 64 == 0
        assert not array.flags.writeable
        assert isinstance(array.base.obj, mmap.mmap)


def test_zip64(saved: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Files beyond 4 GB have other headers; here everything beyond 200 bytes has them."""
    monkeypatch.setattr(archives, "LARGEST_32_BIT", 200)
    rl.save(fuzz_file.ragged_model(), saved)
    assert saved_with_zip64(saved)
    monkeypatch.undo()
    assert same(rl.load(saved), fuzz_file.ragged_model())
    with zipfile.ZipFile(saved) as archive:
        assert archive.testzip() is None
    assert json.loads(arrays_of(saved)["header"].tobytes())["num_states"] == 4


def saved_with_zip64(path: str) -> bool:
    data = Path(path).read_bytes()
    return archives.END64 in data and archives.LOCATOR64 in data


# ---- reading late ----


def test_opening_reads_no_numbers(path: str) -> None:
    """Whatever stands in the arrays, opening does not see it."""
    rl.save(rl.gallery.garnet(100, 2, 3), path)
    arrays = arrays_of(path)
    nonsense = {name: np.full_like(array, 77) for name, array in arrays.items() if name != "header"}
    write(path, arrays | nonsense)
    opened = rl.load(path)
    assert (opened.num_states, opened.num_pairs, opened.pair_shape) == (100, 200, (100, 2))
    assert opened.reward[0, 0] == 77.0
    assert repr(opened).startswith("MDP(100 states, ")


def test_opening_and_saving_take_no_memory(path: str) -> None:
    mdp = rl.gallery.garnet(100_000, 4, 5)
    tracemalloc.start()
    try:
        rl.save(mdp, path)
        rl.load(path)
        assert tracemalloc.get_traced_memory()[1] < 1e6
    finally:
        tracemalloc.stop()
    assert os.path.getsize(path) > 25e6


USES: dict[str, Callable[[rl.MDP], object]] = {
    "validate": rl.validate,
    "uniform_policy": rl.uniform_policy,
    "evaluate": lambda mdp: rl.evaluate(mdp, np.full(mdp.pair_shape, 0.5), 0.9),
    "occupancy": lambda mdp: rl.occupancy(mdp, np.full(mdp.pair_shape, 0.5), 0.9, initial=np.eye(mdp.num_states)[0]),
    "transition": lambda mdp: mdp.transition,
    "to_table": lambda mdp: mdp.to_table(mdp.reward),
    "pair_state": lambda mdp: mdp.pair_state,
    "with_initial": lambda mdp: mdp.with_initial(np.eye(mdp.num_states)[0]),
    "pickle": pickle.dumps,
    "save": lambda mdp: rl.save(mdp, mdp._archive.path + ".other"),  # type: ignore[attr-defined]
}

# What is put where, and what is said then.
WRONG_NUMBERS: dict[str, tuple[str, int, float, str]] = {
    "column": ("transition_indices", 0, 4, "transition, state ('a', 1), action 'left': expected successors in 0 .. 3"),
    "negative column": ("transition_indices", 0, -9, "transition, state ('a', 1), action 'left': expected successors"),
    "probability": ("transition_data", 0, np.nan, "transition, state ('a', 1), action 'left': expected a probability"),
    "sum": ("transition_data", 0, 0.999, "transition, state ('a', 1), action 'left': expected probabilities that sum"),
    "row": ("transition_indptr", 2, 10**6, "transition: expected row offsets that grow from 0 to"),
    "pair": ("pair_start", 2, -5, "pair_start, state 2.5: expected at least one action, got -7"),
    "reward": ("reward", 2, np.inf, "reward, state 2.5, action ('go', 'on'): expected a finite number"),
    "ending": ("termination", 1, -0.1, "termination, state ('a', 1), action 7: expected a probability"),
    "start": ("initial", 3, 0.5, "initial: expected probabilities that sum to 1"),
    "action": ("pair_action", 1, 0, "pair_action, state ('a', 1): expected numbers from 0 on that increase"),
    "negative action": (
        "pair_action",
        5,
        -(2**63),
        "pair_action, state None: expected numbers from 0 on that increase",
    ),
    "large action": ("pair_action", 6, 3, "action_labels: expected at least 4 labels, got 3"),
}


@pytest.mark.parametrize("use", USES)
@pytest.mark.parametrize("wrong", WRONG_NUMBERS)
def test_wrong_numbers_are_found_at_the_first_use(wrong: str, use: str, saved: str) -> None:
    name, place, number, message = WRONG_NUMBERS[wrong]
    arrays = arrays_of(saved)
    arrays[name][place] = number
    write(saved, arrays)
    opened = rl.load(saved)
    for _ in range(2):
        with pytest.raises(rl.ModelError) as caught:
            USES[use](opened)
        assert str(caught.value).startswith(f"{saved!r}: {message}")
    assert os.listdir(os.path.dirname(saved)) == ["model.npz"]


def test_a_shape_that_the_arrays_do_not_have(path: str) -> None:
    rl.save(rl.gallery.garnet(4, 3, 2), path)
    change_header(path, pair_shape=[12])
    with pytest.raises(rl.ModelError, match=r"pair_shape: expected \(4, 3\), as pair_start says, got \(12,\)"):
        rl.validate(rl.load(path))


def test_validation_finds_damage_that_leaves_a_model(saved: str) -> None:
    data = Path(saved).read_bytes()
    reward = fuzz_file.ragged_model().reward
    place = data.index(reward.tobytes())
    Path(saved).write_bytes(data[:place] + (reward + 1e-9).tobytes() + data[place + reward.nbytes :])
    opened = rl.load(saved)
    assert rl.evaluate(opened, rl.uniform_policy(opened), 0.9).value.shape == (4,)
    with pytest.raises(rl.ModelError, match=r"model.npz': reward is damaged: expected the checksum \w{8}, got \w{8}; "):
        rl.validate(opened)


def test_models_in_memory_are_valid() -> None:
    rl.validate(rl.gallery.forest())
    with pytest.raises(rl.ArgumentError, match=r"mdp: expected a rlcore.MDP, got str"):
        rl.validate("forest.npz")  # type: ignore[arg-type]


# ---- files that are refused ----


def cut(path: str, size: int) -> None:
    Path(path).write_bytes(Path(path).read_bytes()[:size])


def test_every_cut_is_noticed(saved: str) -> None:
    data = Path(saved).read_bytes()
    for size in range(0, len(data), 97):
        cut(saved, size)
        text = refused(saved)
        assert ("cut short" in text) or ("empty" in text) or ("begin" in text)
        Path(saved).write_bytes(data)


def foreign(write: Callable[[Any], object]) -> bytes:
    file = io.BytesIO()
    write(file)
    return file.getvalue()


RESTORE = "restore the file from a copy, or save the model again"
MODEL = "expected a saved model"
PASS = "pass a file that rlcore.save wrote"
SPARSE = scipy.sparse.eye_array(3, format="csr")
FOREIGN = {
    "empty": (b"", f"the file is empty; {PASS}"),
    "short": (b"PK\3\4", f"the file is cut short: it has 4 bytes; {RESTORE}"),
    "text": (b"hello", rf"{MODEL}, which begins with b'PK\x03\x04', got a file that begins with b'hell'; {PASS}"),
    "npy": (foreign(lambda file: np.save(file, np.eye(2))), f"{MODEL}, got a single array (.npy); {PASS}"),
    "npz": (
        foreign(lambda file: np.savez(file, P=np.eye(2))),
        f"expected a saved model, got a .npz file without the array 'header'; {PASS}",
    ),
    "header": (
        foreign(lambda file: np.savez(file, header=np.frombuffer(b'{"a":1}', np.uint8))),
        f"expected a saved model, got a .npz file with another kind of header; {PASS}",
    ),
    "sparse": (
        foreign(lambda file: scipy.sparse.save_npz(file, SPARSE)),
        f"expected a saved model, got a .npz file without the array 'header'; {PASS}",
    ),
    "pickle": (
        foreign(lambda file: np.savez(file, header=np.array([{}], dtype=object), allow_pickle=True)),
        f"header is no vector of numbers; {RESTORE}",
    ),
    "matrix": (foreign(lambda file: np.savez(file, header=np.eye(2))), f"header is no vector of numbers; {RESTORE}"),
}  # fmt: skip


@pytest.mark.parametrize(("data", "message"), FOREIGN.values(), ids=FOREIGN)
def test_foreign_files(data: bytes, message: str, path: str) -> None:
    Path(path).write_bytes(data)
    assert refused(path) == message


HEADERS: list[tuple[dict[str, Any], str]] = [
    (
        {"version": 2},
        "it has format version 2, and this rlcore reads up to 1; upgrade: pip install --upgrade rlcore",
    ),
    ({"version": "1"}, f"its header is damaged: expected version 1, got '1'; {RESTORE}"),
    ({"version": True}, f"its header is damaged: expected version 1, got True; {RESTORE}"),
    (
        {"num_states": 0},
        f"its header is damaged: expected num_states to be a whole number in 1 .. 2147483647, got 0; {RESTORE}",
    ),
    (
        {"num_states": 2**40},
        "its header is damaged: expected num_states to be a whole number in 1 .. 2147483647, "
        f"got 1099511627776; {RESTORE}",
    ),
    ({"num_states": 5}, f"its header is damaged: expected 5 of type <f8 in initial, got 4 of type '<f8'; {RESTORE}"),
    (
        {"num_transitions": 2**50},
        f"its header is damaged: expected {2**50} of type <i4 in transition_indices, got 20 of type '<i4'; {RESTORE}",
    ),
    ({"pair_shape": [4, 2]}, f"its header is damaged: 7 pairs of 4 states cannot have the shape [4, 2]; {RESTORE}"),
    ({"arrays": None}, f"its header is damaged: it does not describe the arrays; {RESTORE}"),
    ({"arrays": {}}, f"its header is damaged: it does not list transition_data; {RESTORE}"),
]  # fmt: skip


@pytest.mark.parametrize(("changes", "message"), HEADERS)
def test_headers(changes: dict[str, Any], message: str, saved: str) -> None:
    change_header(saved, **changes)
    assert refused(saved) == message


def test_arrays_that_are_missing_too_many_or_of_another_kind(saved: str) -> None:
    arrays = arrays_of(saved)
    write(saved, {name: array for name, array in arrays.items() if name != "termination"})
    assert refused(saved) == f"it lacks termination, which its header lists; {RESTORE}"
    write(saved, arrays | {"more": arrays["reward"]})
    assert refused(saved) == f"it holds 'more', which its header does not list; {RESTORE}"
    write(saved, arrays | {"reward": arrays["reward"].astype(np.float32)})
    assert refused(saved) == f"reward has the type <f4, and <f8 was expected; {RESTORE}"
    write(saved, arrays | {"reward": arrays["reward"][:3]})
    assert refused(saved) == f"reward has 3 numbers, and 7 were expected; {RESTORE}"


def test_archives_that_lie(saved: str) -> None:
    arrays = arrays_of(saved)
    for text, message in [
        ("../reward", "expected a saved model, got an archive that holds '../reward.npy'; " + PASS),
        ("a\nb", "expected a saved model, got an archive that holds 'a\\nb.npy'; " + PASS),
        ("header", f"it holds header twice; {RESTORE}"),
    ]:
        write(saved, arrays)
        with open(saved, "wb") as file:
            archive = ArchiveWriter(file)
            for name, array in [*arrays.items(), (text, arrays["reward"])]:
                archive.add(name, array)
            archive.finish()
        assert refused(saved) == message


def repacked(path: str, method: int, target: Any) -> None:
    """Write the members again with Python's own ZIP."""
    arrays = {name: foreign(partial(np.save, arr=array)) for name, array in arrays_of(path).items()}
    with zipfile.ZipFile(target, "w", method) as archive:
        for name, data in arrays.items():
            archive.writestr(f"{name}.npy", data)


def test_archives_of_others(saved: str) -> None:
    class Pipe(io.BytesIO):
        """What cannot seek gets the sizes of its members behind them."""

        def seekable(self) -> bool:
            return False

        def tell(self) -> int:
            raise OSError

    for method in zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED:
        pipe = Pipe()
        repacked(saved, method, pipe)
        Path(saved).write_bytes(pipe.getvalue())
        assert same(rl.load(saved), fuzz_file.ragged_model())
    repacked(saved, zipfile.ZIP_BZIP2, saved)
    assert "encrypted, or compressed in a way that is not read; save it once more, with numpy.savez" in refused(saved)
    np.savez(saved, **{f"a{number}": np.zeros(1) for number in range(2000)})
    assert refused(saved) == f"expected a saved model, got an archive of 2000 members; {PASS}"


def test_members_that_share_their_bytes(saved: str) -> None:
    with open(saved, "wb") as file:
        archive = ArchiveWriter(file)
        archive.add("reward", np.zeros(7))
        archive._written *= 2
        archive.finish()
    assert refused(saved) == f"reward overlaps the member before it; {RESTORE}"


def test_bombs(path: str) -> None:
    """A file of some MB that would become 512 MB."""
    with (
        zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive,
        archive.open("header.npy", "w") as member,
    ):
        for _ in range(512):
            member.write(bytes(1 << 20))
    tracemalloc.start()
    try:
        assert "bytes would expand to 536870912 bytes; if you trust it, " in refused(path)
        assert tracemalloc.get_traced_memory()[1] < 1e7
    finally:
        tracemalloc.stop()


def test_what_is_no_file(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        rl.load(tmp_path / "missing.npz")
    with pytest.raises(IsADirectoryError):
        rl.load(tmp_path)
    os.mkfifo(tmp_path / "pipe")
    for name in str(tmp_path / "pipe"), "/dev/zero":
        assert refused(name) == f"expected a file, got a device or a pipe; {PASS}"
    for wrong in 3, None, b"model.npz", "", "a\0b":
        for function in rl.load, lambda name: rl.save(rl.gallery.forest(), name):
            with pytest.raises(rl.ArgumentError, match="path: expected the name of a file, got"):
                function(wrong)  # type: ignore[operator]


# ---- saving whole or not at all ----


def test_permissions_and_links(path: str, tmp_path: Path) -> None:
    mask = os.umask(0o027)
    try:
        rl.save(rl.gallery.forest(), path)
        assert stat.S_IMODE(os.stat(path).st_mode) == 0o640
        os.chmod(path, 0o600)
        os.symlink("model.npz", tmp_path / "link.npz")
        rl.save(without_labels(), tmp_path / "link.npz")
    finally:
        os.umask(mask)
    assert stat.S_IMODE(os.stat(path).st_mode) == 0o600
    assert (tmp_path / "link.npz").is_symlink()
    assert rl.load(path).num_states == 2
    assert sorted(os.listdir(tmp_path)) == ["link.npz", "model.npz"]


def test_what_cannot_be_written(tmp_path: Path) -> None:
    forest = rl.gallery.forest()
    with pytest.raises(FileNotFoundError):
        rl.save(forest, tmp_path / "nowhere" / "model.npz")
    for folder in str(tmp_path), f"{tmp_path}/new/":
        with pytest.raises(IsADirectoryError):
            rl.save(forest, folder)
    with pytest.raises(rl.ArgumentError, match="path: expected a file or a new name, got '/dev/null', a device"):
        rl.save(forest, "/dev/null")
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("step", ["replace", "fsync", "fchmod"])
def test_errors_leave_the_old_file_and_nothing_else(step: str, saved: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise OSError(28, "No space left on device")

    before = Path(saved).read_bytes()
    monkeypatch.setattr(files.os, step, fail)
    with pytest.raises(OSError, match="No space left"):
        rl.save(rl.gallery.forest(), saved)
    assert Path(saved).read_bytes() == before
    assert os.listdir(os.path.dirname(saved)) == ["model.npz"]


def test_interrupts_leave_the_old_file_and_nothing_else(saved: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(ArchiveWriter, "finish", interrupt)
    with pytest.raises(KeyboardInterrupt):
        rl.save(rl.gallery.forest(), saved)
    assert rl.load(saved).num_states == 4
    assert os.listdir(os.path.dirname(saved)) == ["model.npz"]


KILLED = """
import os, signal, sys
import rlcore as rl
from rlcore.io import archive, file
def kill(*_): os.kill(os.getpid(), signal.SIGKILL)
{where} = kill
rl.save(rl.gallery.garnet(1000, 4, 5), sys.argv[1])
"""


@pytest.mark.parametrize("where", ["os.replace", "os.fsync", "archive.ArchiveWriter.finish"])
def test_a_kill_leaves_the_old_file(where: str, saved: str) -> None:
    before = Path(saved).read_bytes()
    done = subprocess.run([sys.executable, "-c", KILLED.format(where=where), saved], capture_output=True, check=False)
    assert done.returncode == -signal.SIGKILL, done.stderr
    assert Path(saved).read_bytes() == before
    assert rl.load(saved).num_states == 4


def test_readers_see_one_model_or_the_other(path: str) -> None:
    models = [rl.gallery.garnet(300, 2, 3, seed=seed) for seed in range(2)]
    sums = {float(mdp.reward.sum()) for mdp in models}
    rl.save(models[0], path)
    done = threading.Event()

    def keep_saving() -> None:
        for turn in range(60):
            rl.save(models[turn % 2], path)
        done.set()

    writer = threading.Thread(target=keep_saving)
    writer.start()
    seen = set()
    first = rl.load(path)
    while not done.is_set():
        opened = rl.load(path)
        rl.validate(opened)
        seen.add(float(opened.reward.sum()))
    writer.join()
    assert seen <= sums
    rl.validate(first)


# ---- damage of all kinds ----


def test_mutated_files(report: Callable[[str], None]) -> None:
    counts = fuzz_file.run(range(1000))
    assert min(counts["refused when opened"], counts["refused when used"], counts["as before"]) >= 10
    report(f"{counts.total():,} mutated files: {dict(counts)}")


def test_mutated_files_in_little_memory() -> None:
    code = "import fuzz_file; fuzz_file.main(1000, 1500)"
    folder = os.path.dirname(__file__)
    done = subprocess.run([sys.executable, "-c", code], cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("500 mutations in ")
