"""Mutated files of models: each is refused with a ModelError, or means what it meant before.

``python -m tests.fuzz_file 100000`` tries that many, in a process that may not take more than another gigabyte. The
tests try a few. A mutation is known by its number: ``mutated(number)`` makes its bytes again.

Most mutations change bytes as accidents do, and the checksums must tell. The others rewrite the archive with right
checksums around a wrong header or wrong numbers, as somebody would who means harm.
"""

from __future__ import annotations

import functools
import json
import os
import resource
import signal
import sys
import tempfile
import time
import warnings
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np

import rlcore as rl
from rlcore.io.archive import ArchiveWriter

GAMMA = 0.9
SECONDS_EACH = 30
EXTRA_BYTES = 1 << 30
HUGE = [
    0,
    1,
    2,
    7,
    255,
    65535,
    2**31 - 1,
    2**31,
    2**32 - 2,
    2**32 - 1,
    2**33,
    2**53,
    2**62,
    2**63 - 1,
    2**63,
    2**64 - 1,
]
ODD: list[Any] = [*HUGE, -1, -(2**63), 10**400, 1.5, True, None, "3", [], [3], {}, [[[]]], "<f8"]

Bytes = bytearray
Generator = np.random.Generator


# ---- the files that are mutated ----


def ragged_model() -> rl.MDP:
    """Labels of all kinds, states with different actions, endings: every array that a file can hold."""
    rng = np.random.default_rng(5)
    rows = rng.dirichlet(np.ones(4), 7)
    rows[rows < 0.1] = 0.0
    termination = np.array([0.0, 0.1, 0.0, 0.0, 0.5, 0.0, 0.2])
    rows *= ((1.0 - termination) / rows.sum(axis=1))[:, None]
    return rl.MDP(
        rows,
        rng.normal(size=7),
        pair_start=[0, 2, 3, 6, 7],
        pair_action=[0, 2, 1, 0, 1, 2, 2],
        termination=termination,
        initial=[0.25, 0.25, 0.5, 0.0],
        state_labels=[("a", 1), 2.5, None, "z"],
        action_labels=["left", ("go", "on"), 7],
    )


def as_npz(mdp: rl.MDP, form: str) -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "model.npz")
        rl.save(mdp, path)
        if form != "aligned":
            with np.load(path) as arrays:
                (np.savez if form == "plain" else np.savez_compressed)(path, **arrays)
        return Path(path).read_bytes()


@functools.cache
def originals() -> list[tuple[rl.MDP, bytes]]:
    models = [ragged_model(), rl.gallery.garnet(12, 2, 3)]
    return [(mdp, as_npz(mdp, form)) for mdp in models for form in ("aligned", "plain", "packed")]


# ---- what happens to bytes ----


def flip(data: Bytes, rng: Generator) -> None:
    for place in rng.integers(len(data), size=rng.integers(1, 5)):
        data[place] ^= 1 << rng.integers(8)


def truncate(data: Bytes, rng: Generator) -> None:
    del data[rng.integers(len(data)) :]


def insert(data: Bytes, rng: Generator) -> None:
    place = rng.integers(len(data) + 1)
    data[place:place] = rng.bytes(rng.integers(1, 200))


def remove(data: Bytes, rng: Generator) -> None:
    place = rng.integers(len(data))
    del data[place : place + rng.integers(1, 200)]


def move(data: Bytes, rng: Generator) -> None:
    """Copy a block over another place, as a disk may."""
    source, target = rng.integers(len(data), size=2)
    block = data[source : source + rng.integers(1, 600)]
    data[target : target + len(block)] = block


def put(data: Bytes, place: int, rng: Generator) -> None:
    width = int(rng.choice([2, 4, 8]))
    number = int(rng.choice(np.array(HUGE, dtype=object))) % 2 ** (8 * width)
    data[place : place + width] = number.to_bytes(width, "little")


def overwrite(data: Bytes, rng: Generator) -> None:
    put(data, int(rng.integers(len(data) - 8)), rng)


def overwrite_field(data: Bytes, rng: Generator) -> None:
    """Put a number into a header of the archive."""
    marks = [b"PK\1\2", b"PK\3\4", b"PK\5\6"]
    places = [place for place in range(len(data)) if data[place : place + 4] in marks]
    for place in rng.choice(places, size=rng.integers(1, 4)):
        field = min(int(place) + int(rng.integers(4, 48)), len(data) - 8)
        put(data, field, rng)


def exchange_names(data: Bytes, rng: Generator) -> None:
    """Give a member the name of another one of the same length, everywhere."""
    names = [b"state_labels", b"transition_data", b"reward", b"initial", b"pair_start", b"action_labels", b"header"]
    one, other = rng.choice(np.array(names, dtype=object), size=2)
    data[:] = data.replace(one + b".npy", other[: len(one)].ljust(len(one), b"x") + b".npy")


DAMAGES = [flip, truncate, insert, remove, move, overwrite, overwrite_field, exchange_names]


# ---- what somebody may write ----


def bad_header(arrays: dict[str, Any], rng: Generator) -> None:
    header = json.loads(arrays["header"].tobytes())
    inner = header["arrays"][str(rng.choice(list(header["arrays"])))]
    kind = rng.integers(5)
    if kind < 3:
        header[str(rng.choice(list(header)))] = odd(rng)
    elif kind == 3:
        inner[int(rng.integers(2))] = odd(rng)
    else:
        for key in "num_states", "num_pairs", "num_transitions":
            header[key] = int(rng.choice(np.array(HUGE, dtype=object)))
        header["pair_shape"] = [header["num_pairs"]]
    arrays["header"] = np.frombuffer(json.dumps(header).encode(), np.uint8)


def odd(rng: Generator) -> Any:
    return ODD[int(rng.integers(len(ODD)))]


def bad_numbers(arrays: dict[str, Any], rng: Generator) -> None:
    name = some_array(arrays, rng)
    array = arrays[name].copy()
    place = int(rng.integers(array.size))
    if array.dtype.kind == "f":
        array[place] = rng.choice([np.nan, np.inf, -np.inf, -1.0, 2.0, 0.0, 1e-320, 1e300])
    else:
        limits = np.iinfo(array.dtype)
        array[place] = int(rng.choice([limits.min, limits.max, 0, 1, 3, 100, max(limits.min, -1)]))
    arrays[name] = array


def bad_array(arrays: dict[str, Any], rng: Generator) -> None:
    name, kind = some_array(arrays, rng), rng.integers(7)
    array = arrays[name]
    if kind == 0:
        del arrays[name]
    elif kind == 1:
        arrays[f"more{rng.integers(3)}"] = array
    elif kind == 2:
        arrays[name] = array[: rng.integers(array.size)]
    elif kind == 3:
        arrays[name] = np.concatenate([array, array])
    elif kind == 4:
        arrays[name] = array.astype(rng.choice(["<f4", "<i8", ">f8", "<i2", "<U3", ">i4"]), casting="unsafe")
    elif kind == 5:
        other = some_array(arrays, rng)
        arrays[name], arrays[other] = arrays[other], arrays[name]
    else:
        arrays[name] = rng.permutation(array)


def bad_labels(arrays: dict[str, Any], rng: Generator) -> None:
    texts = ["[1,2,3,4]", "[1,1,1,1]", "[[", "[" * 9000, '[{"float":"x"},1,2,3]', "[{},1,2,3]", "[NaN,1,2,3]", "null"]
    texts += [
        "",
        '"abc"',
        "[" * 100 + "]" * 100,
        "[" + "9" * 5000 + "]",
        '["\\ud800",1,2,3]',
        "\xff",
        "[[[]],[],0,null]",
    ]
    text = np.frombuffer(texts[int(rng.integers(len(texts)))].encode("latin-1"), np.uint8)
    header = json.loads(arrays["header"].tobytes())
    name = str(rng.choice(["state_labels", "action_labels"]))
    arrays[name] = text
    header["arrays"][name] = ["|u1", text.size]
    arrays["header"] = np.frombuffer(json.dumps(header).encode(), np.uint8)


def some_array(arrays: dict[str, Any], rng: Generator) -> str:
    return str(rng.choice([name for name in arrays if name != "header"]))


INVENTIONS = [bad_header, bad_numbers, bad_array, bad_labels]


# ---- trying one ----


def mutated(number: int, seed: int = 0) -> tuple[rl.MDP, bytes, str]:
    """Return the model, the bytes that its file has become, and how."""
    rng = np.random.default_rng([seed, number])
    mdp, original = originals()[int(rng.integers(len(originals())))]
    if rng.random() < 0.65:
        damage = DAMAGES[int(rng.integers(len(DAMAGES)))]
        data = bytearray(original)
        damage(data, rng)
        return mdp, bytes(data), damage.__name__
    invention = INVENTIONS[int(rng.integers(len(INVENTIONS)))]
    return mdp, invented(original, invention, rng), invention.__name__


def invented(original: bytes, invention: Any, rng: Generator) -> bytes:
    with tempfile.TemporaryFile() as file:
        file.write(original)
        file.seek(0)
        with np.load(file) as loaded:
            arrays = dict(loaded)
        invention(arrays, rng)
        file.seek(0)
        file.truncate()
        if rng.random() < 0.5:
            archive = ArchiveWriter(file)  # type: ignore[arg-type]
            for name, array in arrays.items():
                archive.add(name, array)
            archive.finish()
        else:
            np.savez(file, **arrays)
        file.seek(0)
        return file.read()


def answers(mdp: rl.MDP) -> dict[str, Any]:
    policy = rl.uniform_policy(mdp)
    evaluation = rl.evaluate(mdp, policy, GAMMA)
    return {
        "value": evaluation.value,
        "action_value": evaluation.action_value,
        "start_value": evaluation.start_value,
        "visits": rl.occupancy(mdp, policy, GAMMA).visits if mdp.initial is not None else None,
        "table": mdp.to_table(mdp.reward),
        "sums": mdp.transition @ np.ones(mdp.num_states),
        "states": mdp.pair_state,
        "labels": (mdp.state_labels, mdp.action_labels),
    }


def outcome(path: str, mdp: rl.MDP, trusted: bool) -> str:
    """Open, ask and validate; say where the file was refused. `trusted` checksums vouch for the answers."""
    try:
        opened = rl.load(path)
    except rl.ModelError as error:
        if "\n" in str(error) or repr(path) not in str(error) or "; " not in str(error):
            raise AssertionError("no clear sentence") from error
        return "refused when opened"
    try:
        repr(opened)
        found = answers(opened)
    except rl.ModelError:
        found = None
    except rl.ConvergenceError:  # a model, but one of rewards like 1e300
        return "hard to solve"
    try:
        rl.validate(opened)
    except rl.ModelError:
        return "refused when used" if found is None else "refused when validated"
    assert found is not None, "refused when used, but valid"
    if trusted:
        for key, expected in answers(mdp).items():
            assert np.array_equal(found[key], expected, equal_nan=True) if key != "labels" else found[key] == expected
        return "as before"
    return "another model"


def run(numbers: range, seed: int = 0, report: bool = False) -> Counter[str]:
    """Try mutations; raises with the number of the first one that is neither refused nor right."""
    counts: Counter[str] = Counter()
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("error")
        path = os.path.join(folder, "model.npz")
        for number in numbers:
            mdp, data, kind = mutated(number, seed)
            Path(path).write_bytes(data)
            signal.alarm(SECONDS_EACH)  # ends the process, wherever it hangs
            try:
                counts[outcome(path, mdp, trusted=kind in {damage.__name__ for damage in DAMAGES})] += 1
            except BaseException as error:
                error.add_note(f"mutation {number} of seed {seed}: {kind}")
                raise
            finally:
                signal.alarm(0)
            if report and (number + 1) % 10_000 == 0:
                print(f"{number + 1:,}: {dict(counts)}", flush=True)  # noqa: T201 - a program
    return counts


def limit_memory() -> None:
    """Allow another gigabyte, and no more."""
    taken = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (taken + EXTRA_BYTES, taken + EXTRA_BYTES))


def main(first: int, last: int, seed: int = 0) -> None:
    originals()
    limit_memory()
    begin = time.monotonic()
    counts = run(range(first, last), seed, report=True)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    print(f"{last - first:,} mutations in {time.monotonic() - begin:.0f} s, {peak} MB: {dict(counts)}")  # noqa: T201


if __name__ == "__main__":
    parts = [int(argument) for argument in sys.argv[1:]] or [1000]
    main(*([0, *parts] if len(parts) == 1 else parts))
