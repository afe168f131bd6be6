"""Long calls report progress, obey Ctrl-C, let other threads run, and keep the caller's exceptions."""

from __future__ import annotations

import signal
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Callable

import numpy as np
import pytest

import rlcore as rl


def test_progress_is_reported_with_sensible_numbers() -> None:
    mdp = rl.gallery.garnet(300_000, 4, 5)
    seen: list[rl.Progress] = []
    rl.evaluate(mdp, rl.uniform_policy(mdp), 0.999, tol=1e-12, progress=seen.append, num_threads=1)
    assert seen
    assert all(report.method and report.iterations >= 0 and report.error >= 0.0 for report in seen)


def test_an_exception_in_progress_ends_the_call() -> None:
    mdp = rl.gallery.garnet(300_000, 4, 5)

    def stop(_: rl.Progress) -> None:
        raise KeyError("enough")

    with pytest.raises(KeyError, match="enough"):
        rl.evaluate(mdp, rl.uniform_policy(mdp), 0.999, progress=stop, num_threads=1)


# What makes a model and a policy, and a call of many seconds, or one that goes on again and again.
LONG_CALLS = {
    "evaluate": (
        "mdp = rl.gallery.slippery_grid(1000); policy = rl.random_policy(mdp, 0)",
        "rl.evaluate(mdp, policy, 1 - 1e-6)",
    ),
    "simulate a single episode": (
        "mdp = rl.gallery.garnet(1000, 3, 4); policy = rl.uniform_policy(mdp)",
        "rl.simulate(mdp, policy, episodes=1, steps=2 * 10**8)",
    ),
    "solve discounted": ("mdp = rl.gallery.frozen_lake(700)", "rl.solve(mdp, 0.99999, tol=1e-9, num_threads=1)"),
    "solve a finite horizon": ("mdp = rl.gallery.frozen_lake(700)", "rl.solve(mdp, rl.FiniteHorizon(20))"),
    "solve episodic": ("mdp = rl.gallery.frozen_lake(300)", "rl.solve(mdp, rl.Episodic(), raise_on_failure=False)"),
    "solve average": ("mdp = rl.gallery.slippery_grid(500)", "rl.solve(mdp, rl.Average(), raise_on_failure=False)"),
}


@pytest.mark.parametrize(("model", "call"), LONG_CALLS.values(), ids=LONG_CALLS.keys())
def test_ctrl_c_is_heard_within_a_second(model: str, call: str) -> None:
    """A child process starts the call, gets SIGINT, and must stop with KeyboardInterrupt."""
    program = f"""
        import signal
        import rlcore as rl
        signal.signal(signal.SIGINT, signal.default_int_handler)  # jobs in the background begin with it ignored
        {model}
        print("ready", flush=True)
        try:
            while True:
                {call}
        except KeyboardInterrupt:
            print("interrupted", flush=True)
    """
    child = subprocess.Popen([sys.executable, "-c", textwrap.dedent(program)], stdout=subprocess.PIPE, text=True)
    assert child.stdout is not None
    try:
        assert child.stdout.readline() == "ready\n"
        time.sleep(0.5)
        sent = time.monotonic()
        child.send_signal(signal.SIGINT)
        assert child.stdout.readline() == "interrupted\n"
        heard = time.monotonic() - sent
        child.wait(timeout=30)
    finally:
        child.kill()
        child.wait()
        child.stdout.close()
    assert heard < 2.0  # a second, and as much again for a loaded machine


def evaluate_many_states() -> None:
    mdp = rl.gallery.garnet(300_000, 4, 5)
    rl.evaluate(mdp, rl.uniform_policy(mdp), 0.999, num_threads=1)


def simulate_many_steps() -> None:
    mdp = rl.gallery.garnet(1000, 3, 4)
    rl.simulate(mdp, rl.uniform_policy(mdp), episodes=20_000, steps=1000, num_threads=1)


@pytest.mark.parametrize("work", [evaluate_many_states, simulate_many_steps])
def test_other_threads_run_meanwhile(work: Callable[[], None]) -> None:
    ticks, done = 0, threading.Event()

    def run() -> None:
        work()
        done.set()

    worker = threading.Thread(target=run)
    worker.start()
    while not done.is_set():
        ticks += 1
        time.sleep(0.001)
    worker.join()
    # Without the GIL released the main thread would wake up once, when all is over.
    assert ticks > 10


def test_many_threads_may_evaluate_one_model() -> None:
    mdp = rl.gallery.garnet(2000, 3, 4)
    policies = [rl.random_policy(mdp, seed) for seed in range(8)]
    expected = [rl.evaluate(mdp, policy, 0.99).value for policy in policies]
    found: list[np.ndarray | None] = [None] * 8

    def solve(item: int) -> None:
        for _ in range(5):
            found[item] = rl.evaluate(mdp, policies[item], 0.99).value

    workers = [threading.Thread(target=solve, args=(item,)) for item in range(8)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    for item in range(8):
        np.testing.assert_array_equal(found[item], expected[item])


def test_models_survive_fork() -> None:
    """No threads outlive a call, so a forked child can compute."""
    program = """
        import os, rlcore as rl
        mdp = rl.gallery.garnet(20000, 4, 5)
        policy = rl.uniform_policy(mdp)
        before = rl.evaluate(mdp, policy, 0.99).start_value
        child = os.fork()
        if child == 0:
            os._exit(0 if rl.evaluate(mdp, policy, 0.99).start_value == before else 1)
        assert os.waitpid(child, 0)[1] == 0
    """
    subprocess.run([sys.executable, "-W", "error", "-c", textwrap.dedent(program)], check=True, timeout=60)


@pytest.mark.parametrize("num_threads", [2, 3, 5])
def test_answers_do_not_depend_on_the_threads(num_threads: int) -> None:
    mdp = rl.gallery.garnet(30_000, 3, 4)
    policy = rl.random_policy(mdp, 0)
    one, many = (rl.evaluate(mdp, policy, 0.99, num_threads=threads) for threads in (1, num_threads))
    np.testing.assert_array_equal(one.value, many.value)
    np.testing.assert_array_equal(one.advantage, many.advantage)
    one_visits, many_visits = (rl.occupancy(mdp, policy, 0.99, num_threads=threads) for threads in (1, num_threads))
    np.testing.assert_array_equal(one_visits.visits, many_visits.visits)
