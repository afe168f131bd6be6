"""Runs of policy improvement: that they climb, what they prove, and how they end and go on (theory 7)."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import rlcore as rl
from rlcore import reference
from rlcore.enclosure import Enclosure

FOREST = rl.gallery.forest()
UNIFORM = rl.uniform_policy(FOREST)

MODELS: dict[str, tuple[Callable[[], rl.MDP], Any]] = {
    "forest": (rl.gallery.forest, 0.9),
    "gridworld": (rl.gallery.gridworld, 0.9),
    "river_swim": (rl.gallery.river_swim, 0.95),
    "taxicab": (rl.gallery.taxicab, 0.9),
    "inventory": (rl.gallery.inventory, 0.9),
    "frozen_lake": (lambda: rl.gallery.frozen_lake(4), 0.99),
    "layered": (lambda: rl.gallery.layered(5, 4, A=3), 0.99),
    "layered, episodic": (lambda: rl.gallery.layered(5, 4, A=3), rl.Episodic()),
    "queue": (lambda: rl.gallery.queue(12), 0.999),
    "garnet, average": (lambda: rl.gallery.garnet(15, 3, 4, seed=6), rl.Average()),
    "blind_shuttle": (rl.gallery.blind_shuttle, 0.95),
}
TABULAR = {
    "MaxKL": rl.MaxKL(0.02),
    "MeanKL": rl.MeanKL(0.02),
    "KLPenalty": rl.KLPenalty(),
    "KLPenalty(0.1)": rl.KLPenalty(0.1),
    "Conservative": rl.Conservative(),
    "NaturalGradient": rl.NaturalGradient(0.5),
}
NEEDS_A_DISCOUNT = {"KLPenalty", "Conservative"}


# ---- the return never falls ----


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("region", TABULAR)
def test_steps_without_shared_parameters_never_lower_the_return(name: str, region: str) -> None:
    make, setting = MODELS[name]
    if region in NEEDS_A_DISCOUNT and not isinstance(setting, float):
        return
    mdp = make()
    run = rl.improve(mdp, rl.uniform_policy(mdp), setting, TABULAR[region], 8)
    history = run.history
    assert len(run) == 8 or run.status in ("settled", "rounding")
    assert all(history.improves == rl.Verdict.HOLDS)
    assert (history.improvement.lower > 0.0).all()
    # What was gained step by step is what the returns differ by.
    eta = history.eta
    steps = Enclosure(eta.lower[1:], eta.upper[1:]) - Enclosure(eta.lower[:-1], eta.upper[:-1])
    assert (steps.lower <= history.improvement.upper).all()
    assert (steps.upper >= history.improvement.lower).all()
    assert (history.guaranteed <= history.improvement.upper).all()


def test_what_is_exact_about_a_run_is_exact_about_its_last_policy() -> None:
    run = rl.improve(FOREST, UNIFORM, 0.9, rl.MeanKL(0.05), 3)
    ev = rl.evaluate(FOREST, run.policy, 0.9, tol=0.0)
    error = ev.certificate.bounds["start_value"]
    assert run.eta.lower - error <= ev.start_value <= run.eta.upper + error
    report = rl.check_improvement(FOREST, UNIFORM, run.policy, 0.9)
    total = run.history.improvement.value.sum()
    assert total == pytest.approx(report.improvement.value, rel=1e-12)


@pytest.mark.parametrize("region", ["MaxKL", "MeanKL", "KLPenalty"])
def test_runs_are_those_of_the_reference(region: str) -> None:
    """The reference takes the same steps with other methods and eighty digits, from its own last policy."""
    arguments = () if region == "KLPenalty" else (0.02,)
    P, r, start = FOREST.transition.toarray().reshape(3, 2, 3).tolist(), FOREST.reward.tolist(), FOREST.initial.tolist()
    here: Any = UNIFORM.tolist()
    run = rl.improve(FOREST, UNIFORM, 0.9, getattr(rl, region)(*arguments), 4)
    for step in run.steps:
        exact = reference.trust_region_step(P, here, start, 0.9, r, getattr(reference, region)(*arguments))
        here = exact.policy
        assert float(exact.eta_new) == pytest.approx(step.eta_new.value, rel=1e-11)
        assert float(exact.surrogate_gain) == pytest.approx(step.surrogate_gain.value, rel=1e-9)
    np.testing.assert_allclose(run.policy, np.array([[float(p) for p in row] for row in here]), rtol=0, atol=1e-9)


def test_the_penalty_is_the_slower_climb_and_both_reach_the_optimum() -> None:
    """The theory's C allows steps so short that a constraint of 0.05 is there long before."""
    constrained = rl.improve(FOREST, UNIFORM, 0.9, rl.MaxKL(0.05), 60, optimum="solve")
    penalised = rl.improve(FOREST, UNIFORM, 0.9, rl.KLPenalty(), 60, optimum="solve")
    assert constrained.gap is not None
    assert penalised.gap is not None
    assert constrained.gap.upper < 1e-11
    assert penalised.gap.lower > 1.0
    np.testing.assert_array_equal(np.argmax(constrained.policy, axis=1), [0, 0, 0])


def test_families_that_share_parameters_may_fall() -> None:
    mdp = rl.gallery.blind_shuttle()
    family = rl.LinearSoftmax(mdp.pair_action[:, None], [0.0])
    run = rl.improve(mdp, family, 0.95, rl.TRPO(0.01), 5)
    assert run.steps[0].improves is rl.Verdict.VIOLATED
    assert run.steps[0].eta_new.value == pytest.approx(9.88275, abs=1e-5)
    assert run.family is not None
    np.testing.assert_array_equal(run.family.on(mdp).policy, run.policy.ravel())


# ---- the optimum, and how fast it is approached ----


def test_gap_to_the_optimum() -> None:
    optimum = 8371 / 250 / 3 + 7371 / 250 / 3 + 6561 / 250 / 3
    solved = rl.improve(FOREST, UNIFORM, 0.9, rl.MeanKL(0.05), 4, optimum="solve")
    given = rl.improve(FOREST, UNIFORM, 0.9, rl.MeanKL(0.05), 4, optimum=optimum)
    enclosed = rl.improve(
        FOREST, UNIFORM, 0.9, rl.MeanKL(0.05), 4, optimum=rl.Enclosure(optimum - 1e-9, optimum + 1e-9)
    )
    for run in (solved, given, enclosed):
        gap = run.history.gap
        assert gap is not None
        assert gap.value.shape == (5,)
        np.testing.assert_allclose(gap.value, optimum - run.history.eta.value, atol=1e-8)
        assert (np.diff(gap.value) < 0.0).all()
        assert run.gap is not None
        assert run.steps[-1].gap is not None
        assert run.gap.upper == run.steps[-1].gap.upper == gap.upper[-1]
    assert rl.improve(FOREST, UNIFORM, 0.9, rl.MeanKL(0.05), 1).history.gap is None


def test_optimum_of_the_average() -> None:
    run = rl.improve(FOREST, UNIFORM, rl.Average(), rl.MaxKL(0.05), 60, optimum=81 / 25)
    assert run.gap is not None
    assert run.gap.upper < 1e-10


@pytest.mark.parametrize("gamma", [0.5, 0.9, 0.95])
@pytest.mark.parametrize("step", [0.1, 1.0, 10.0])
def test_natural_gradient_keeps_its_bound(gamma: float, step: float) -> None:
    mdp = rl.gallery.garnet(20, 4, 3, seed=8)
    reward = mdp.reward - mdp.reward.min()
    mdp = mdp.with_reward(reward / reward.max())
    run = rl.improve(mdp, rl.uniform_policy(mdp), gamma, rl.NaturalGradient(step), 40, optimum="solve")
    gap = run.history.gap
    assert gap is not None
    for t in range(1, len(run) + 1):
        bound = rl.npg_bound(step, gamma, t, mdp.pair_shape[1])
        assert gap.upper[t] <= bound.lower


# ---- how runs end ----


def test_a_run_ends_where_no_state_moves() -> None:
    best = rl.solve(FOREST, 0.9).policy
    for region in TABULAR.values():
        run = rl.improve(FOREST, best, 0.9, region, 10)
        assert run.status == "settled"
        assert len(run) == 0
        assert len(run.history) == 0
        assert run.history.eta.value.shape == (1,)
        np.testing.assert_array_equal(run.policy, best)
        assert run.resume(3).status == "settled"


def test_a_run_ends_before_gains_are_lost_in_rounding() -> None:
    run = rl.improve(FOREST, UNIFORM, 0.9, rl.NaturalGradient(1.0), 500)
    assert run.status == "rounding"
    assert len(run) < 100
    assert all(step.improvement.lower > step.eta.error for step in run.steps)
    assert "lost in rounding" in repr(run)


def test_nothing_to_gain_anywhere() -> None:
    same = FOREST.with_reward(np.ones((3, 2)))
    for region in TABULAR.values():
        run = rl.improve(same, UNIFORM, 0.9, region, 10)
        assert run.status in ("settled", "rounding")
        assert len(run) == 0


def test_stop_and_progress() -> None:
    told: list[rl.ImprovementStep] = []
    run = rl.improve(
        FOREST, UNIFORM, 0.9, rl.MeanKL(0.01), 30, progress=told.append, stop=lambda step: step.eta_new.lower > 12.0
    )
    assert run.status == "stopped"
    assert tuple(told) == run.steps
    assert run.eta.value > 12.0
    assert [step.iteration for step in told] == list(range(1, len(run) + 1))
    assert all(step.eta.upper < 12.1 for step in told)
    assert "improves=HOLDS" in repr(told[0])


# ---- going on ----


def same_but_for_seconds(one: rl.ImprovementRun, other: rl.ImprovementRun) -> None:
    a, b = one.to_dict(), other.to_dict()
    del a["seconds"], b["seconds"]
    assert a == b  # bitwise: every number is compared as it is
    np.testing.assert_array_equal(one.policy, other.policy)
    assert one.status == other.status


@pytest.mark.parametrize("region", [*TABULAR.values(), rl.TRPO(0.02)], ids=[*TABULAR, "TRPO"])
def test_resumed_runs_have_the_bits_of_longer_ones(region: Any) -> None:
    mdp = rl.gallery.garnet(30, 3, 4, seed=1)
    old = rl.uniform_policy(mdp)
    whole = rl.improve(mdp, old, 0.95, region, 9, optimum="solve")
    same_but_for_seconds(rl.improve(mdp, old, 0.95, region, 4, optimum="solve").resume(5), whole)
    same_but_for_seconds(rl.improve(mdp, old, 0.95, region, 1, optimum="solve").resume(3).resume(5), whole)
    assert rl.improve(mdp, old, 0.95, region, 4).resume(5).steps[3].iteration == 4


def test_resumed_runs_of_families() -> None:
    mdp = rl.gallery.garnet(30, 3, 4, seed=1)
    family = rl.LinearSoftmax(np.random.default_rng(0).normal(size=(mdp.num_pairs, 6)), np.zeros(6))
    whole = rl.improve(mdp, family, 0.95, rl.TRPO(0.02), 7)
    parts = rl.improve(mdp, family, 0.95, rl.TRPO(0.02), 3).resume(4)
    same_but_for_seconds(parts, whole)
    assert parts.family is not None
    assert whole.family is not None
    np.testing.assert_array_equal(parts.family.parameters, whole.family.parameters)


def test_a_run_that_was_resumed_can_be_resumed_again() -> None:
    run = rl.improve(FOREST, UNIFORM, 0.9, rl.MeanKL(0.001), 2)
    once, again = run.resume(2), run.resume(2)
    same_but_for_seconds(once, again)
    assert len(run) == 2


def test_threads_do_not_change_a_run() -> None:
    mdp = rl.gallery.slippery_grid(70)
    runs = [rl.improve(mdp, rl.uniform_policy(mdp), 0.99, rl.MeanKL(0.01), 3, num_threads=n) for n in (1, 2)]
    same_but_for_seconds(*runs)


# ---- Ctrl-C ----


def test_an_interrupt_loses_nothing() -> None:
    def interrupt(step: rl.ImprovementStep) -> None:
        if step.iteration == 4:
            raise KeyboardInterrupt

    run = rl.improve(FOREST, UNIFORM, 0.9, rl.MeanKL(0.01), 9, progress=interrupt)
    assert run.status == "interrupted"
    assert len(run) == 4
    same_but_for_seconds(run.resume(5), rl.improve(FOREST, UNIFORM, 0.9, rl.MeanKL(0.01), 9))


def test_an_interrupt_before_the_first_step_is_the_usual_one(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(rl.MeanKL, "_step", interrupted)
    with pytest.raises(KeyboardInterrupt):
        rl.improve(FOREST, UNIFORM, 0.9, rl.MeanKL(0.01), 9)


def test_a_real_interrupt() -> None:
    def strike_soon(step: rl.ImprovementStep) -> None:
        if step.iteration == 1:
            threading.Timer(0.3, lambda: os.kill(os.getpid(), signal.SIGINT)).start()

    mdp = rl.gallery.slippery_grid(60)
    run = rl.improve(mdp, rl.uniform_policy(mdp), 0.99, rl.MeanKL(1e-4), 10**6, progress=strike_soon)
    assert run.status == "interrupted"
    assert len(run) >= 1
    assert len(run.history) == len(run)


def test_an_answer_that_cannot_be_certified_keeps_the_run(monkeypatch: pytest.MonkeyPatch) -> None:
    take, count = rl.MeanKL._step, iter(range(10))

    def failing(self: rl.MeanKL, base: Any) -> Any:
        if next(count) == 3:
            raise rl.ConvergenceError("policy: could not certify", None)
        return take(self, base)

    monkeypatch.setattr(rl.MeanKL, "_step", failing)
    with pytest.raises(rl.ConvergenceError, match="improve, iteration 4: policy: could not certify") as caught:
        rl.improve(FOREST, UNIFORM, 0.9, rl.MeanKL(0.01), 9)
    run = caught.value.result
    assert isinstance(run, rl.ImprovementRun)
    assert len(run) == 3


# ---- what comes back ----


def test_history() -> None:
    run = rl.improve(FOREST, UNIFORM, 0.9, rl.MeanKL(0.01), 6, optimum="solve")
    history = run.history
    assert history.gap is not None
    assert history.eta.value.shape == history.gap.value.shape == (7,)
    for name in ("guaranteed", "kl_mean", "kl_max", "dual_gap", "seconds"):
        assert getattr(history, name).shape == (6,)
        assert not getattr(history, name).flags.writeable
    assert (history.kl_mean <= 0.01 * (1.0 + 1e-9)).all()
    assert (history.kl_mean <= history.kl_max).all()
    assert (history.dual_gap < 1e-9).all()  # type: ignore[operator]
    assert (history.surrogate_gain.lower > 0.0).all()
    assert (history.seconds > 0.0).all()
    assert (history.guaranteed < history.improvement.lower).all()
    assert not run.policy.flags.writeable
    assert rl.improve(FOREST, UNIFORM, 0.9, rl.Conservative(), 2).history.dual_gap is None
    assert "6 steps" in repr(history)


def test_to_dataframe() -> None:
    run = rl.improve(FOREST, UNIFORM, 0.9, rl.MeanKL(0.01), 3, optimum="solve")
    table = run.to_dataframe()
    assert table["iteration"].tolist() == [0, 1, 2, 3]
    assert table["eta"].tolist() == run.history.eta.value.tolist()
    assert table["improves"].tolist()[1:] == ["HOLDS", "HOLDS", "HOLDS"]
    assert table.columns.tolist() == list(run.to_dict())


def test_repr() -> None:
    run = rl.improve(FOREST, UNIFORM, 0.9, rl.MeanKL(0.01), 2, optimum="solve")
    assert repr(run).startswith("ImprovementRun(MeanKL(delta=0.01): 2 steps, 2 proven to be no worse, eta=")
    assert "below the optimum; all iterations are done)" in repr(run)
