"""Seconds, memory, and the cost of reading a matrix once."""

from __future__ import annotations

import gc
import os
import platform
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

import rlcore as rl


def best_seconds(call: Callable[[], Any], repetitions: int) -> float:
    """Return the shortest time of `call`, which makes fresh objects each time."""
    seconds = []
    for _ in range(repetitions):
        gc.collect()
        start = time.perf_counter()
        call()
        seconds.append(time.perf_counter() - start)
    return min(seconds)


def peak_bytes(call: Callable[[], Any]) -> int:
    """Return by how much `call` raises the peak of resident memory (Linux)."""
    gc.collect()
    Path("/proc/self/clear_refs").write_text("5")
    before = _status("VmRSS")
    call()
    return _status("VmHWM") - before


def _status(field: str) -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(field))


def chain_matrix(mdp: rl.MDP, policy: np.ndarray) -> Any:
    """P_pi as a SciPy matrix, for the peers."""
    import scipy.sparse

    weights = scipy.sparse.csr_array(
        (policy.ravel(), (mdp.pair_state, np.arange(mdp.num_pairs))), shape=(mdp.num_states, mdp.num_pairs)
    )
    chain = scipy.sparse.csr_array(weights @ mdp.transition)
    chain.eliminate_zeros()
    return chain


def read_seconds(matrix: Any) -> float:
    """The time of one streaming read of a matrix's values and columns, twelve bytes an entry, on one thread."""
    as_many_bytes = np.ones(matrix.nnz * 12 // 8)
    return best_seconds(lambda: np.dot(as_many_bytes, as_many_bytes), 5)


def transition_bytes(mdp: rl.MDP) -> int:
    """The size of the model's transition arrays."""
    arrays = mdp.transition
    return int(arrays.data.nbytes + arrays.indices.nbytes + arrays.indptr.nbytes)


def environment() -> str:
    """Machine, compiler of the interpreter, commit and versions: what figures are worth nothing without."""
    commit = subprocess.run(
        ["git", "describe", "--always", "--dirty"], capture_output=True, text=True, cwd=Path(__file__).parent
    )
    return (
        f"{_processor()}, {os.cpu_count()} cores, {platform.system()} {platform.machine()}, "
        f"rlcore {rl.__version__} ({commit.stdout.strip() or 'no commit'}), NumPy {np.__version__}, "
        f"Python {platform.python_version()}"
    )


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.split(":", 1)[1].strip()
    return platform.processor()
