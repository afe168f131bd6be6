"""The benchmarks run, and refuse to time a wrong answer."""

from __future__ import annotations

import dataclasses
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import rlcore as rl

ROOT = Path(__file__).parents[1]


@pytest.fixture
def bench(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.syspath_prepend(str(ROOT))
    # The module pins the threads of BLAS when it is loaded; that must not outlive the test.
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
        monkeypatch.setenv(name, "1")
    import bench.__main__ as module

    return module


def run(*options: str) -> subprocess.CompletedProcess[str]:
    few = ["--states", "400", "--gammas", "0.9", "--policies", "uniform", "--repetitions", "1"]
    command = [sys.executable, "-m", "bench", *few, *options]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=120)


def test_the_runner_prints_a_table() -> None:
    done = run("--peers")
    assert done.returncode == 0, done.stderr
    rows = [line for line in done.stdout.splitlines() if line.startswith("| ")]
    assert sum(line.startswith(("| garnet", "| grid", "| queue")) for line in rows) == 3
    assert any("scipy spsolve" in line for line in rows)
    assert "FAILED" not in done.stdout
    assert "relative error 1e-08, certified" in done.stdout


def test_planning_prints_a_table() -> None:
    command = [sys.executable, "-m", "bench.planning", "--states", "400", "--gammas", "0.9", "--repetitions", "1"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stderr
    rows = [line.split(" | ")[0] for line in done.stdout.splitlines() if line.endswith("iteration |")]
    assert rows == ["| grid", "| garnet", "| queue", "| lake"]


def test_a_cell_that_fails_is_printed_and_does_not_stop_the_others() -> None:
    done = run("--workloads", "nowhere,queue", "--shuffled")
    assert done.returncode == 1, done.stderr
    failed, sound = [line for line in done.stdout.splitlines() if "uniform | 0.9" in line]
    assert failed == "| nowhere 400 shuffled | uniform | 0.9 | FAILED: KeyError: 'nowhere' |"
    assert sound.startswith("| queue 400 shuffled | uniform | 0.9 | banded LU 2 | ")


def test_an_answer_without_its_certificate_is_not_timed(bench: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    mdp = rl.gallery.forest()
    monkeypatch.setattr(bench, "TOLERANCE", 1e-30)
    monkeypatch.setattr(bench.rl, "evaluate", lambda *a, tol, **k: EVALUATE(*a, **k))
    with pytest.raises(AssertionError):
        bench.row(mdp, rl.uniform_policy(mdp), 0.9, 1)


def test_answers_that_contradict_each_other_are_not_timed(bench: Any) -> None:
    mdp = rl.gallery.forest()
    policy = rl.uniform_policy(mdp)
    value, visits = rl.evaluate(mdp, policy, 0.9), rl.occupancy(mdp, policy, 0.9)
    bench.assert_adjoint(mdp, policy, value, visits)
    shifted = dataclasses.replace(visits, visits=np.roll(visits.visits, 1))
    with pytest.raises(AssertionError):
        bench.assert_adjoint(mdp, policy, value, shifted)


EVALUATE = rl.evaluate
