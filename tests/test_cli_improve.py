"""`rlcore improve`: what it prints, answers to programs and draws, and how it fails."""

from __future__ import annotations

import io
import json
import re
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console
from typer.testing import CliRunner

import rlcore as rl
from rlcore.cli.app import app
from rlcore.cli.model_argument import NamedModel
from rlcore.cli.policy_argument import NamedPolicy
from rlcore.cli.region_argument import FORMS, read_regions
from rlcore.cli.reports import Question
from rlcore.cli.runs import LIVE_ROWS, LiveTable, show_runs

PLAIN = {"COLUMNS": "80", "NO_COLOR": "1", "TERM": "xterm-256color", "FORCE_COLOR": None, "COLORTERM": None}
FOREST = ["improve", "gallery:forest", "--gamma", "0.9"]


def run(*arguments: str) -> Any:
    return CliRunner(env=PLAIN).invoke(app, arguments)


def printed(*arguments: str) -> str:
    result = run(*arguments)
    assert result.exit_code == 0, result.output
    assert result.stderr == ""
    return str(result.stdout)


def answer(*arguments: str) -> Any:
    def refuse(constant: str) -> None:
        raise AssertionError(f"{constant} is no JSON")

    return json.loads(printed(*arguments, "--json"), parse_constant=refuse)


def masked(text: str) -> str:
    """Put `...` for the time that it took."""
    return re.sub(r"[\d.e-]+(?=   (iterations|settled|rounding))", "...", text)


# ---- what a person reads ----


def test_forest() -> None:
    found = masked(printed(*FOREST, "--region", "mean-kl:0.01", "--region", "conservative", "--iterations", "3"))
    lines = found.splitlines()
    assert lines[:4] == [
        "gallery:forest  3 states, 2 actions, never ends",
        "uniform policy, discount factor 0.9",
        "",
        "the best return of any policy is 29.737333",
    ]
    assert "mean-kl:0.01: 3 steps; all iterations are done" in lines
    assert "step      return   gain   bound   mean KL   max KL   gap   better" in found
    own = rl.improve(rl.gallery.forest(), [[0.5, 0.5]] * 3, 0.9, rl.MeanKL(0.01), 3)
    assert re.search(rf"^ +3 +{own.eta.value:.5f}\d* .* yes$", found, re.MULTILINE)
    assert re.search(r"^mean-kl:0.01 +3 +3 +[\d.]+ +\d+ +\.\.\. +iterations$", found, re.MULTILINE), found
    assert lines[-1] == "Proven to be no worse: 6 of 6 steps."


def test_steps_that_lower_the_return_are_told() -> None:
    mdp = rl.gallery.blind_shuttle()
    family = rl.LinearSoftmax(mdp.pair_action[:, None], [0.0])
    policy = NamedPolicy("uniform", "uniform policy", rl.uniform_policy(mdp))
    asked = Question(NamedModel("gallery:blind_shuttle", mdp), policy, rl.Discounted(0.95), 1e-9, None)
    console = Console(file=io.StringIO(), width=80, color_system=None, _environ={})
    show_runs(asked, {"trpo:0.01": rl.improve(mdp, family, 0.95, rl.TRPO(0.01), 1)}, console)
    shown = console.file.getvalue()  # type: ignore[attr-defined]
    assert re.search(r"^ +1 +9\.8827479 +-0\.12 .* no +$", shown, re.MULTILINE), shown
    assert shown.endswith("Proven to be no worse: 0 of 1 step; 1 step lowered the return.\n")


def test_a_long_run_shows_its_ends() -> None:
    found = printed(*FOREST, "--region", "penalty", "--iterations", "20", "--limit", "4")
    numbers = [int(n) for n in re.findall(r"^ +(\d+) +\d+\.\d+ ", found, re.MULTILINE)]
    assert numbers == [1, 2, 19, 20]
    assert re.search("^ +… +…", found, re.MULTILINE)
    short = printed(*FOREST, "--region", "penalty", "--iterations", "20", "--limit", "0")
    assert "better" not in short
    assert re.search(r"^penalty +20 +20 ", short, re.MULTILINE)


def test_without_the_optimum() -> None:
    found = printed(*FOREST, "--region", "max-kl:0.01", "--iterations", "2", "--no-optimum")
    assert "best return" not in found
    assert re.search(r"max KL +better", found)


def test_no_line_is_wider_than_the_terminal() -> None:
    every = ["mean-kl:0.01", "max-kl:0.01", "penalty", "penalty:3", "conservative", "natural:1", "trpo:0.01"]
    options = [part for region in every for part in ("--region", region)]
    found = printed(*FOREST, *options, "--iterations", "30")
    assert max(map(len, found.splitlines())) <= 80
    assert all(re.search(rf"^{re.escape(region)}: \d+ steps; ", found, re.MULTILINE) for region in every)


def test_settings_in_which_a_region_does_not_exist() -> None:
    result = run(
        "improve", "gallery:garnet:S=5:A=2:b=2", "--setting", "average", "--region", "conservative", "--no-optimum"
    )
    assert result.exit_code == 2
    assert "Conservative exists for rlcore.Discounted(gamma)" in result.stderr


# ---- what a program reads ----


def test_json() -> None:
    found = answer(*FOREST, "--region", "natural:0.5", "--region", "trpo:0.01", "--iterations", "4")
    assert found.keys() == {"rlcore", "command", "model", "policy", "setting", "optimum", "runs"}
    for end in found["optimum"].values():
        assert end == pytest.approx(22303 / 750, rel=1e-9)
    assert [each["region"] for each in found["runs"]] == ["natural:0.5", "trpo:0.01"]
    mdp = rl.gallery.forest()
    own = rl.improve(mdp, rl.uniform_policy(mdp), 0.9, rl.NaturalGradient(0.5), 4)
    first = found["runs"][0]
    assert first["status"] == "iterations"
    assert first["policy"] == own.policy.tolist()
    assert [row["eta"] for row in first["rows"]] == own.history.eta.value.tolist()
    assert first["rows"][0]["improves"] is None
    assert [row["improves"] for row in first["rows"][1:]] == ["HOLDS"] * 4
    assert first["rows"][0].keys() == own.to_dict().keys()
    assert answer(*FOREST, "--region", "natural:0.5", "--iterations", "1", "--no-optimum")["optimum"] is None


# ---- pictures ----


@pytest.mark.parametrize("options", [[], ["--no-optimum"]], ids=["optimum", "no optimum"])
def test_figure(tmp_path: Path, options: list[str]) -> None:
    file = tmp_path / "runs.svg"
    printed(
        *FOREST,
        "--region",
        "natural:0.5",
        "--region",
        "conservative",
        "--iterations",
        "3",
        "--figure",
        str(file),
        *options,
    )
    assert file.read_text().startswith("<?xml")


def test_a_figure_of_an_unknown_kind(tmp_path: Path) -> None:
    result = run(*FOREST, "--region", "natural:0.5", "--iterations", "1", "--figure", str(tmp_path / "runs.none"))
    assert result.exit_code == 2
    assert "FILE: cannot draw into" in result.stderr


# ---- regions ----


def test_regions() -> None:
    assert read_regions(
        ["mean-kl:0.01", "max-kl:1e-3", "penalty", "penalty:2", "conservative", "natural:1", "trpo:1"]
    ) == {
        "mean-kl:0.01": rl.MeanKL(0.01),
        "max-kl:1e-3": rl.MaxKL(1e-3),
        "penalty": rl.KLPenalty(),
        "penalty:2": rl.KLPenalty(2.0),
        "conservative": rl.Conservative(),
        "natural:1": rl.NaturalGradient(1.0),
        "trpo:1": rl.TRPO(1.0),
    }


@pytest.mark.parametrize(
    ("region", "message"),
    [
        ("mean", f"region: expected {FORMS}, got 'mean'"),
        ("mean-kl", f"region: expected {FORMS}, with a number, got 'mean-kl'"),
        ("mean-kl:x", f"region: expected {FORMS}, with a number, got 'mean-kl:x'"),
        ("conservative:1", f"region: expected {FORMS}, got 'conservative:1'"),
        ("mean-kl:-1", "delta: expected a number from 0 on, got -1.0"),
        ("natural:0", "step: expected a finite number above 0, got 0.0"),
        ("trpo:nan", "delta: expected a finite number above 0, got nan"),
    ],
)
def test_wrong_regions(region: str, message: str) -> None:
    result = run(*FOREST, "--region", region)
    assert result.exit_code == 2
    assert result.stderr == f"error: {message}\n"
    assert result.stdout == ""


def test_a_region_must_be_given() -> None:
    result = run(*FOREST)
    assert result.exit_code == 2
    assert "--region" in result.stderr


# ---- while it runs ----


def a_step() -> rl.ImprovementStep:
    mdp = rl.gallery.forest()
    return rl.improve(mdp, rl.uniform_policy(mdp), 0.9, rl.NaturalGradient(0.5), 1, optimum="solve").steps[0]


def test_a_terminal_shows_the_last_steps() -> None:
    console = Console(file=io.StringIO(), force_terminal=True, width=100, color_system=None, _environ={})
    step = a_step()
    with LiveTable(console, 50) as table:
        table.begin("natural:0.5")
        for _ in range(2 * LIVE_ROWS):
            table(step)
    shown = console.file.getvalue()  # type: ignore[attr-defined]
    assert "natural:0.5, step 1 of 50" in shown


def test_elsewhere_nothing_is_shown() -> None:
    console = Console(file=io.StringIO(), force_terminal=False)
    with LiveTable(console, 50) as table:
        table.begin("natural:0.5")
        table(a_step())
    assert console.file.getvalue() == ""  # type: ignore[attr-defined]


def test_an_interrupt_shows_what_is_there(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(table: LiveTable, step: rl.ImprovementStep) -> None:
        if step.iteration == 3:
            raise KeyboardInterrupt

    monkeypatch.setattr(LiveTable, "__call__", interrupt)
    result = run(*FOREST, "--region", "natural:0.5", "--region", "conservative", "--iterations", "9")
    assert result.exit_code == 130
    assert result.stderr == "error: interrupted\n"
    assert "natural:0.5: 3 steps; interrupted" in result.stdout
    assert "conservative:" not in result.stdout
