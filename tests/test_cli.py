"""The command line: what it prints, what it answers to programs, and how it fails."""

from __future__ import annotations

import csv
import io
import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from rich.cells import cell_len
from rich.console import Console
from typer.testing import CliRunner

import rlcore as rl
from rlcore.cli import as_json, progress
from rlcore.cli.app import app
from rlcore.cli.choices import action_name, ended_states, likeliest_pairs
from rlcore.cli.digits import at_most, column, enclosure, headline
from rlcore.cli.grid import Picture, decades, draw, layout_of
from rlcore.cli.model_argument import NamedModel, read_model
from rlcore.cli.policy_argument import NamedPolicy
from rlcore.cli.progress import ProgressBar
from rlcore.cli.reports import Question, show_evaluation, show_occupancy, show_settings

PLAIN = {"COLUMNS": "80", "NO_COLOR": "1", "TERM": "dumb", "FORCE_COLOR": None, "COLORTERM": None}
FROZEN_LAKE = "gym:FrozenLake-v1"


@pytest.fixture(autouse=True)
def _a_terminal_that_can_draw(monkeypatch: pytest.MonkeyPatch) -> None:
    """Rich ignores the width that it is given where TERM is dumb; tests of that set it themselves."""
    monkeypatch.setenv("TERM", "xterm-256color")


def run(*arguments: str, **environment: str | None) -> Any:
    return CliRunner(env={**PLAIN, **environment}).invoke(app, arguments)


def printed(*arguments: str, **environment: str | None) -> str:
    result = run(*arguments, **environment)
    assert result.exit_code == 0, result.output
    assert result.stderr == ""
    return result.stdout


def screen(*arguments: str) -> str:
    return masked(printed(*arguments))


def masked(text: str) -> str:
    """Put `...` for what depends on the solver."""
    text = re.sub(r"(?<=proven: ).*", "...", text)
    text = re.sub(r"[\d.]+e-\d+(?=( of the exact one)?\.(\n| Found))", "...", text)
    return re.sub(r"(?<=Found by ).*", "...", text)


def answer(*arguments: str) -> Any:
    def refuse(constant: str) -> None:
        raise AssertionError(f"{constant} is no JSON")

    return json.loads(printed(*arguments, "--json"), parse_constant=refuse)


def run_python(code: str, **environment: str) -> subprocess.CompletedProcess[str]:
    plain = {name: value for name, value in PLAIN.items() if value is not None}
    return subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, **plain, **environment},
        capture_output=True,
        text=True,
        check=False,
    )


def shell(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return run_python(f"import sys; sys.argv[1:] = {arguments!r}; from rlcore.cli import main; main()", **environment)


# ---- what a person reads ----


def test_forest() -> None:
    assert screen("evaluate", "gallery:forest", "--gamma", "0.9") == (
        "gallery:forest  3 states, 2 actions, never ends\n"
        "uniform policy, discount factor 0.9\n"
        "\n"
        "start value  7.9672917   proven: ...\n"
        "\n"
        "state        V   policy takes   best action   advantage\n"
        "───────────────────────────────────────────────────────\n"
        "    0    6.126   any            wait             0.6126\n"
        "    1    7.638   any            wait             1.1251\n"
        "    2   10.138   any            wait             2.6251\n"
        "\n"
        "Certified: every V is within ... of the exact one.\n"
        "Asked for: .... Found by ...\n"
    )


def test_forest_visits() -> None:
    assert screen("occupancy", "gallery:forest", "--gamma", "0.9") == (
        "gallery:forest  3 states, 2 actions, never ends\n"
        "uniform policy, discount factor 0.9\n"
        "\n"
        "visits in all  10.000000   proven: ...\n"
        "\n"
        "state         d   visits\n"
        "───────────────────────────────────────────────\n"
        "    0   0.52833   5.2833   ━━━━━━━━━━━━━━━━━━━━\n"
        "    1   0.24731   2.4731   ━━━━━━━━━\n"
        "    2   0.22436   2.2436   ━━━━━━━━\n"
        "\n"
        "Certified: the errors of all visits together are at most ....\n"
        "Asked for: .... Found by ...\n"
    )


def test_frozen_lake_is_drawn_as_its_grid() -> None:
    assert screen("evaluate", FROZEN_LAKE, "--gamma", "0.99") == (
        "gym:FrozenLake-v1  16 states, 4 actions, can end\n"
        "uniform policy, discount factor 0.99\n"
        "\n"
        "start value  0.012356137   proven: ...\n"
        "\n"
        "┌───────────┬───────────┬───────────┬───────────┐\n"
        "│ 0.01236 ← │ 0.01042 ↑ │ 0.01934 ← │ 0.00948 ↑ │\n"
        "├───────────┼───────────┼───────────┼───────────┤\n"
        "│ 0.01479 ← │     end   │ 0.03889 ← │     end   │\n"
        "├───────────┼───────────┼───────────┼───────────┤\n"
        "│ 0.03260 ↑ │ 0.08434 ↓ │ 0.13781 ← │     end   │\n"
        "├───────────┼───────────┼───────────┼───────────┤\n"
        "│     end   │ 0.17034 → │ 0.43358 ↓ │     end   │\n"
        "└───────────┴───────────┴───────────┴───────────┘\n"
        "V of each state; end: the process is over\n"
        "arrows: the action that would gain most, since the policy favours none\n"
        "\n"
        "Certified: every V is within ... of the exact one.\n"
        "Asked for: .... Found by ...\n"
    )


def test_readme_shows_what_is_printed() -> None:
    readme = (Path(__file__).parents[1] / "README.md").read_text(encoding="utf-8")
    assert masked(readme.partition("```text\n")[2].partition("```")[0]) == screen(
        "evaluate", FROZEN_LAKE, "--gamma", "0.99"
    )


def test_frozen_lake_visits() -> None:
    text = screen("occupancy", FROZEN_LAKE, "--gamma", "0.99", "--limit", "2")
    assert text.splitlines()[3:] == [
        "visits in all  7.2820306   proven: ...",
        "               100 if the process never ended",
        "",
        "┌──────────┬──────────┬──────────┬──────────┐",
        "│ 0.031536 │ 0.012136 │ 0.005363 │ 0.002628 │",
        "├──────────┼──────────┼──────────┼──────────┤",
        "│ 0.011807 │      end │ 0.001541 │      end │",
        "├──────────┼──────────┼──────────┼──────────┤",
        "│ 0.004361 │ 0.001451 │ 0.000863 │      end │",
        "├──────────┼──────────┼──────────┼──────────┤",
        "│      end │ 0.000640 │ 0.000494 │      end │",
        "└──────────┴──────────┴──────────┴──────────┘",
        "d = (1 - gamma) visits; end: the process is over",
        "",
        " state          d   visits",
        "─────────────────────────────────────────────────",
        "(0, 0)   0.031536   3.1536   ━━━━━━━━━━━━━━━━━━━━",
        "(0, 1)   0.012136   1.2136   ━━━━━━━━",
        "     …          …        …   …",
        "14 other states: 0.4 of all visits",
        "",
        "Certified: the errors of all visits together are at most ....",
        "Asked for: .... Found by ...",
    ]


def test_info() -> None:
    assert printed("info", FROZEN_LAKE) == (
        "gym:FrozenLake-v1\n"
        "states       16, a grid of 4 rows and 4 columns\n"
        "actions      4: left, down, right, up\n"
        "pairs        64 of a state and an action\n"
        "transitions  98: 1.53 successors on average and 3 at most for each pair\n"
        "rewards      0 to 0.333333\n"
        "ends         possibly after 48 pairs, certainly after 20 of them\n"
        "starts       in state (0, 0)\n"
        "memory       2.72 kB\n"
    )


def test_greedy_policy_is_shown_by_its_actions() -> None:
    grid = printed("evaluate", "gym:FrozenLake-v1:is_slippery=false", "--gamma", "0.9", "--policy", "greedy")
    assert "policy greedy for the values of the uniform policy, discount factor 0.9\n" in grid
    assert "arrows: what the policy does most\n" in grid
    assert "│ 0.590 ↓ │ 0.656 → │ 0.729 ↓ │ 0.656 ← │\n" in grid
    assert headline_of(grid) == "0.59049000"


def test_the_best_policy_is_drawn_saved_and_read_again(tmp_path: Path) -> None:
    file = tmp_path / "best.npy"
    solved = printed("solve", FROZEN_LAKE, "--gamma", "0.99", "--save", str(file))
    assert headline_of(solved) == "0.54202593"
    assert "│ 0.5420 ← │ 0.4988 ↑ │ 0.4707 ↑ │ 0.4569 ↑ │\n" in solved
    evaluated = printed("evaluate", FROZEN_LAKE, "--gamma", "0.99", "--policy", str(file))
    assert headline_of(evaluated) == "0.54202593"
    in_many_words = printed("solve", "gallery:garnet:S=100:A=4:b=5", "--gamma", "0.9", "--limit", "4", "--explain")
    assert "  value iteration: " in in_many_words


def test_policies_that_cannot_be_saved(tmp_path: Path) -> None:
    refused = run("solve", "gallery:forest", "--gamma", "0.9", "--save", "best.csv")
    assert refused.exit_code == 2
    assert "save: expected a file .npy, got 'best.csv'" in refused.stderr
    nowhere = run("solve", "gallery:forest", "--gamma", "0.9", "--save", str(tmp_path / "no" / "best.npy"))
    assert "cannot write" in nowhere.stderr


def headline_of(text: str) -> str:
    return re.search(r"^(?:start value|visits in all|gain)  (\S+)", text, re.MULTILINE)[1]  # type: ignore[index]


def test_many_states_show_their_extremes() -> None:
    mdp = rl.gallery.garnet(1000, 2, 3, seed=1)
    order = np.argsort(-rl.evaluate(mdp, rl.uniform_policy(mdp), 0.9).value)
    text = printed("evaluate", "gallery:garnet:S=1000:A=2:b=3:seed=1", "--gamma", "0.9", "--limit", "5")
    rows = re.findall(r"^ *(\d+|…) ", text.partition("───")[2], re.MULTILINE)
    assert rows == [*map(str, order[:3]), "…", *map(str, order[-2:])]
    assert "the 3 most and the 2 least valuable states; 995 lie between them\n" in text


@pytest.mark.parametrize(("limit", "rows"), [(0, 0), (1, 1), (2, 2), (3, 3), (9, 3)])
def test_limit(limit: int, rows: int) -> None:
    for command in "evaluate", "occupancy":
        text = printed(command, "gallery:forest", "--gamma", "0.5", "--limit", str(limit))
        assert len(re.findall(r"^    \d   ", text, re.MULTILINE)) == rows


def test_explain() -> None:
    quiet = printed("evaluate", "gallery:forest", "--gamma", "0.5")
    explained = printed("evaluate", "gallery:forest", "--gamma", "0.5", "--explain")
    mdp = rl.gallery.forest()
    story = rl.evaluate(mdp, rl.uniform_policy(mdp), 0.5, explain=True).certificate.story
    assert explained.startswith(quiet)
    assert " ".join(explained.removeprefix(quiet).split()) == " ".join(story.split())


def test_best_attainable() -> None:
    assert "Asked for: the best attainable." in printed("evaluate", "gallery:forest", "--gamma", "0.5", "--tol", "0")


def test_states_where_it_is_over() -> None:
    mdp = rl.MDP([[0.0, 0.5], [0.0, 0.0]], [1.0, 0.0], termination=[0.5, 1.0])
    policy = rl.uniform_policy(mdp)
    text = shown(mdp, policy)
    assert "start value  none: the model has no start distribution\n" in text
    assert re.search(r"^    1 +0   over *$", text, re.MULTILINE)
    assert ended_states(mdp).tolist() == [False, True]


def test_policy_column() -> None:
    mdp = rl.MDP(np.full((6, 2), 0.5), np.arange(6.0), action_labels=["a", "b", "c"])
    text = shown(mdp, np.array([[0.2, 0.7, 0.1], [0.4, 0.4, 0.2]]))
    assert "b (0.7)" in text
    assert "several alike" in text
    assert [action_name(mdp, pair) for pair in likeliest_pairs(mdp, np.eye(3)[[2, 0]])] == ["c", "a"]


def shown(mdp: rl.MDP, policy: Any, width: int = 80, **settings: Any) -> str:
    console = Console(file=io.StringIO(), width=width, **settings)
    question = Question(
        NamedModel("model", mdp), NamedPolicy("policy", "policy", policy), rl.Discounted(0.9), 1e-9, None
    )
    show_evaluation(question, rl.evaluate(mdp, policy, 0.9), console)
    if mdp.initial is not None:
        show_occupancy(question, rl.occupancy(mdp, policy, 0.9), console)
    return console.file.getvalue()  # type: ignore[attr-defined,no-any-return]


# ---- other settings ----


def test_settings() -> None:
    assert screen("settings", "gallery:gridworld", "--gammas", ".99,.9") == (
        "gallery:gridworld  25 states, 4 actions, never ends\n"
        "uniform policy, in every setting\n"
        "\n"
        "setting        start value              J   reward a step       distance\n"
        "────────────────────────────────────────────────────────────────────────\n"
        "gamma = 0.9     0.90454716     0.14943054     0.090454716    0.059024630\n"
        "gamma = 0.99   0.098386984     -1.0810111   0.00098386984   0.0076723721\n"
        "average                      -0.011219975    -0.011219975              0\n"
        "\n"
        "episodic: does not exist. policy, state (0, 0): expected to end with probability\n"
        "1 from every state that `initial` can reach, but the process may stay for ever\n"
        "among the states {0, 1, 2, 3, 4, ... (25 states)}; use Average(),\n"
        "Discounted(gamma), or another start distribution\n"
        "\n"
        "The process never ends. As gamma -> 1 the visits become shares of time in the\n"
        "long run. At discount factor 0.99 they are 0.0077 away. Start value and J grow\n"
        "like gain / (1 - gamma); on average over the policy's own long run, V is exactly\n"
        "that, whatever gamma is.\n"
        "J = sum d V, where the policy is worth V; reward a step: the mean over all\n"
        "steps; distance: total variation between the shares of steps in each state and\n"
        "those of the last line.\n"
        "Certified: every distance is within ... of the exact one.\n"
    )


def test_settings_of_an_episode_and_of_neither() -> None:
    text = printed("settings", "gallery:short_corridor", "--gammas", ".5")
    assert "episodic       -12.000000   -10.333333" in text
    assert "\naverage: does not exist. setting, state 2, action 'right': " in text
    assert "The process surely ends. " in text
    # From one state it ends, in the other it stays.
    mdp = rl.MDP([[0.5, 0.0], [0.0, 1.0]], [1, 1], pair_start=[0, 1, 2], termination=[0.5, 0], initial=[0.5, 0.5])
    console = Console(file=io.StringIO(), width=80)
    policy = NamedPolicy("policy", "policy", rl.uniform_policy(mdp))
    question = Question(NamedModel("model", mdp), policy, rl.Discounted(0.9), 1e-9, None)
    show_settings(question, rl.compare_settings(mdp, policy.array, [0.9]), console)
    text = console.file.getvalue()  # type: ignore[attr-defined]
    assert "so only the discounted settings exist" in " ".join(text.split())
    assert "Certified" not in text


def test_json_settings() -> None:
    document = answer("settings", "gallery:forest", "--gammas", "0.5", "--threads", "1")
    mdp = rl.gallery.forest()
    found = rl.compare_settings(mdp, rl.uniform_policy(mdp), [0.5])
    assert (document["command"], document["policy"]["name"]) == ("settings", "uniform")
    assert [row["setting"] for row in document["rows"]] == [
        {"name": "discounted", "gamma": 0.5},
        {"name": "episodic"},
        {"name": "average"},
    ]
    for row, expected in zip(document["rows"], found.rows, strict=True):
        assert row["objective"] == expected.objective
        assert row["state"] == (None if expected.state is None else expected.state.tolist())
        assert row["bounds"] == dict(expected.bounds)
        assert row["reason"] == expected.reason


def test_settings_are_drawn(tmp_path: Path) -> None:
    file = tmp_path / "settings.svg"
    printed("settings", "gallery:forest", "--figure", str(file))
    assert "<svg" in file.read_text()
    missing = str(tmp_path / "nowhere" / "settings.svg")
    result = run("settings", "gallery:forest", "--figure", missing)
    assert result.stderr == f"error: cannot write {missing!r}: No such file or directory\n"
    assert (result.stdout, result.exit_code) == ("", 1)
    wrong = run("settings", "gallery:forest", "--figure", str(tmp_path / "settings.foo"))
    assert wrong.stderr.startswith("error: FILE: cannot draw into ")
    assert wrong.exit_code == 2


SETTING_OPTIONS = [("episodic", rl.Episodic()), ("average", rl.Average()), ("horizon:4", rl.FiniteHorizon(4))]


@pytest.mark.parametrize(("name", "setting"), SETTING_OPTIONS, ids=lambda x: str(x))
@pytest.mark.parametrize("policy", ["uniform", "greedy"])
@pytest.mark.parametrize("model", ["gallery:short_corridor", "gallery:gridworld", "gallery:forest", FROZEN_LAKE])
def test_other_settings(model: str, name: str, setting: Any, policy: str) -> None:
    ends = model in ("gallery:short_corridor", FROZEN_LAKE)
    for command, function in ("evaluate", rl.evaluate), ("occupancy", rl.occupancy):
        arguments = [command, model, "--setting", name, "--policy", policy]
        result = run(*arguments)
        if result.exit_code:  # the setting does not exist, or the greedy policy never ends
            assert name == ("average" if ends else "episodic") or policy == "greedy"
            assert result.exit_code == 2
            assert re.match(r"error: (policy|setting), state .*\n$", result.stderr)
            continue
        document = answer(*arguments)
        chosen = np.array(document["policy"]["probabilities"])
        assert document["setting"]["name"] == name.partition(":")[0]
        found: Any = function(read_model(model, Console()).mdp, chosen, setting)
        field = "value" if command == "evaluate" else "state"
        np.testing.assert_array_equal(np.array(document[field], dtype=float), getattr(found, field))


def test_values_that_do_not_exist() -> None:
    """State 1 is not reached, and never ends: null for programs, a dash for people."""
    mdp = rl.MDP([[0, 0], [0, 1]], [1, 1], termination=[1, 0], initial=[1, 0], state_labels=[(0, 0), (0, 1)])
    policy = rl.uniform_policy(mdp)
    named = NamedModel("model", mdp), NamedPolicy("policy", "policy", policy)
    found = rl.evaluate(mdp, policy, rl.Episodic())
    document = as_json.evaluation_document(*named, rl.Episodic(), found)
    assert document["value"] == [1.0, None]
    json.loads(as_json.as_text(document))
    for labels in (None, mdp.state_labels):
        model = rl.MDP(mdp.transition, mdp.reward, termination=mdp.termination, initial=[1, 0], state_labels=labels)
        console = Console(file=io.StringIO(), width=80)
        show_evaluation(Question(NamedModel("m", model), named[1], rl.Episodic(), 1e-9, None), found, console)
        text = console.file.getvalue()  # type: ignore[attr-defined]
        assert "nan" not in text
        assert "│     - │" in text if labels else re.search(r"^    1 +- +0 +may never end", text, re.MULTILINE), text


def test_gains_of_several_classes() -> None:
    mdp = rl.MDP(np.eye(2), [1, 3], initial=[0.5, 0.5])
    question = Question(NamedModel("m", mdp), NamedPolicy("p", "p", rl.uniform_policy(mdp)), rl.Average(), 1e-9, None)
    console = Console(file=io.StringIO(), width=80)
    show_evaluation(question, rl.evaluate(mdp, question.policy.array, rl.Average()), console)
    text = console.file.getvalue()  # type: ignore[attr-defined]
    assert headline_of(text) == "2.0000000"
    assert re.findall(r"^    (\d) +0 +0 +([\d.]+)", text, re.MULTILINE) == [("0", "1.0000"), ("1", "3.0000")]


# ---- a candidate ----


def test_audit() -> None:
    text = printed("audit", "gallery:forest", "--gamma", "0.9", "--candidate", "softmax-step", COLUMNS="120")
    assert text.startswith(
        "gallery:forest  3 states, 2 actions, never ends\n"
        "uniform policy, discount factor 0.9\n"
        "\n"
        "candidate: its softmax step of 0.381\n"
    )
    assert re.search(r"^2\.6 +eta = rho0\^T V = rho\^T r +7\.967 +=  +7\.967 +[\d.e-]+ +holds$", text, re.MULTILINE)
    assert re.search(r"^6 +cpo_tv +[\d.]+ +<= +[\d.]+ +holds$", text, re.MULTILINE)
    summary = " ".join(text.rpartition("\n\n")[2].split())
    assert summary.startswith("The candidate is better: its return is ")
    assert "statements of the theory hold on this model" in summary


def test_json_audit() -> None:
    document = answer("audit", "gallery:forest", "--gamma", "0.9", "--threads", "1")
    mdp = rl.gallery.forest()
    uniform = rl.uniform_policy(mdp)
    candidate = rl.greedy_policy(mdp, rl.evaluate(mdp, uniform, 0.9, num_threads=1))
    found = rl.audit(mdp, uniform, candidate, 0.9, num_threads=1)
    assert document["candidate"] == {"name": "greedy", "probabilities": candidate.tolist()}
    assert (document["verdict"], document["summary"]) == (str(found.verdict), found.summary)
    assert [row["name"] for row in document["rows"]] == [row.name for row in found.rows]
    finite = [None if x == np.inf else x for x in found.to_dict()["left_upper"]]
    assert [row["left_upper"] for row in document["rows"]] == finite
    infinite = [row for row in document["rows"] if row["name"] == "theorem_2_1"]
    assert [row["right_upper"] for row in infinite] == [None]


def test_audit_says_by_its_exit_code_if_a_statement_is_violated(monkeypatch: pytest.MonkeyPatch) -> None:
    assert run("audit", "gallery:forest", "--gamma", "0.9").exit_code == 0
    monkeypatch.setattr(rl.Audit, "violated", property(lambda self: self.rows[:1]))
    assert run("audit", "gallery:forest", "--gamma", "0.9").exit_code == 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--candidate", "gredy"], "policy: expected uniform, greedy or a file"),
        (["--step", "1"], "step: belongs to --candidate softmax-step, got 'greedy'"),
        (["--candidate", "softmax-step", "--step", "inf"], "step: expected a finite number, got inf"),
    ],
)
def test_wrong_candidate(arguments: list[str], message: str) -> None:
    result = run("audit", "gallery:forest", "--gamma", "0.9", *arguments)
    assert result.stderr.startswith(f"error: {message}")
    assert (result.stdout, result.exit_code) == ("", 2)


def test_audit_is_drawn(tmp_path: Path) -> None:
    file = tmp_path / "audit.svg"
    printed("audit", "gallery:forest", "--gamma", "0.9", "--candidate", "softmax-step", "--figure", str(file))
    assert "<svg" in file.read_text()


# ---- a batch of candidates ----


def test_check() -> None:
    text = printed("check", "gallery:forest", "uniform", "random:8:3", "--gamma", "0.9", "--top", "2")
    mdp = rl.gallery.forest()
    rng = np.random.default_rng(3)
    batch = np.stack([rl.random_policy(mdp, rng) for _ in range(8)])
    found = rl.check_improvement(mdp, rl.uniform_policy(mdp), batch, 0.9)
    order = np.argsort(-found.guaranteed)
    assert "8 candidates at random; the policy's return is 7.9672917\n" in text
    assert re.findall(r"^ *(\d) +-?[\d.]+ ", text, re.MULTILINE) == [str(item) for item in order[:2]]
    assert "6 other candidates below these\n" in text
    document = answer("check", "gallery:forest", "uniform", "random:8:3", "--gamma", "0.9", "--sort", "number")
    assert [row["candidate"] for row in document["rows"]] == list(range(8))
    assert [row["eta_new"] for row in document["rows"]] == found.eta_new.tolist()


def test_check_writes_the_whole_table(tmp_path: Path) -> None:
    mdp = rl.gallery.forest()
    batch = np.stack([rl.random_policy(mdp, seed) for seed in range(5)])
    np.save(tmp_path / "batch.npy", batch)
    np.savez(tmp_path / "batch.npz", batch)
    for source in "batch.npy", "batch.npz":
        for kind in "csv", "json":
            out = tmp_path / f"table.{kind}"
            printed("check", "gallery:forest", "uniform", str(tmp_path / source), "--gamma", "0.9", "--top", "1",
                    "--out", str(out))  # fmt: skip
            text = out.read_text()
            rows = json.loads(text) if kind == "json" else list(csv.DictReader(io.StringIO(text)))
            assert len(rows) == 5
            gains = [float(row["improvement_lower"]) for row in rows]
            assert gains == sorted(gains, reverse=True)
            number = int(rows[0]["candidate"])
            found = rl.check_improvement(mdp, rl.uniform_policy(mdp), batch[number], 0.9)
            assert float(rows[0]["eta_new"]) == found.eta_new


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["random:0"], "CANDIDATES: expected random:COUNT[:SEED] with whole numbers, got 'random:0'"),
        (["nowhere.npy"], "CANDIDATES: cannot read 'nowhere.npy': No such file or directory"),
        (["batch.txt"], "CANDIDATES: expected random:COUNT[:SEED] or a file"),
        (["random:2", "--out", "table.xls"], "out: expected a file, .csv, .json, .parquet, got 'table.xls'"),
        (["random:2", "--bounds", "best"], "bounds: expected 'cheap', 'all' or names of bounds"),
        (["random:2", "--new-return", "skip", "--sort", "return"], "sort: the returns of the candidates are not known"),
    ],
)
def test_wrong_batch(arguments: list[str], message: str) -> None:
    result = run("check", "gallery:forest", "uniform", *arguments, "--gamma", "0.9")
    assert result.stderr.startswith(f"error: {message}")
    assert (result.stdout, result.exit_code) == ("", 2)


def test_parquet_needs_a_package(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    out = str(tmp_path / "table.parquet")
    result = run("check", "gallery:forest", "uniform", "random:2", "--gamma", "0.9", "--out", out)
    assert "pip install pyarrow" in result.stderr
    assert result.exit_code == 2
    assert not os.path.exists(out)


# ---- grids ----


def labelled(labels: list[Any]) -> rl.MDP:
    size = len(labels)
    return rl.MDP(
        np.full((size, size), 1 / size), np.arange(float(size)), initial=np.full(size, 1 / size), state_labels=labels
    )


def test_layout_follows_the_labels() -> None:
    layout = layout_of(labelled([(3, 8), (2, 7), (2, 8), (3, 7), (4, 7), (4, 8)]))
    assert layout is not None
    assert layout.state.tolist() == [[1, 2], [3, 0], [4, 5]]


@pytest.mark.parametrize(
    "labels",
    [
        [(0, 0), (0, 1), (1, 0)],  # a corner is missing
        [(0, 0, 0), (0, 1, 0)],
        [(0.0, 0.0), (0.0, 1.0)],
        [(0, False), (0, True)],
        ["a", "b"],
        [(0, 0), "b"],
        [(0, 0), (2**40, 2**40)],
    ],
)
def test_other_labels_are_no_grid(labels: list[Any]) -> None:
    assert layout_of(labelled(labels)) is None


def picture(rows: int, columns: int, number: float = -1234.5) -> tuple[rl.MDP, Picture]:
    mdp = labelled([(row, column) for row in range(rows) for column in range(columns)])
    values = np.linspace(number, 1.0, rows * columns)

    def texts(digits: int, spare: int) -> list[str]:
        write = column(values, 0.0, digits, spare)
        return [write(x) for x in values]

    return mdp, Picture(
        decades(values), texts, ["→"] * values.size, np.zeros(values.size, dtype=bool), ("black", "white")
    )


@pytest.mark.parametrize("width", [20, 40, 80, 120])
@pytest.mark.parametrize(("rows", "columns"), [(1, 1), (1, 30), (30, 1), (4, 12), (12, 4), (8, 8), (21, 3), (50, 70)])
@pytest.mark.parametrize("colour", [None, "truecolor"])
def test_grids_fit_the_terminal(rows: int, columns: int, width: int, colour: Any) -> None:
    mdp, drawn = picture(rows, columns)
    console = Console(file=io.StringIO(), width=width, color_system=colour, force_terminal=colour is not None)
    layout = layout_of(mdp)
    assert layout is not None
    drawing = draw(layout, drawn, console)
    with console.capture() as capture:
        console.print(drawing.grid)
    lines = re.sub(r"\x1b\[[\d;]*m", "", capture.get()).splitlines()
    assert max(map(cell_len, lines)) <= width
    assert len(lines) <= 61
    if drawing.numbered:
        numbers = re.findall(r"-?[\d.]+(?:e[+-]\d+)?", "".join(lines))
        assert len(numbers) == rows * columns
    assert drawing.coloured == (colour is not None or not drawing.numbered)


def test_large_grids_are_shaded() -> None:
    text = printed("occupancy", "gallery:slippery_grid:N=60", "--gamma", "0.9", "--limit", "1")
    assert "every patch stands for 2 by 2 states\n" in text
    assert "d = (1 - gamma) visits, coloured by logarithm\n" in text
    grid = text.partition("\n\n")[2].partition("\n\n")[2].splitlines()[:30]
    assert grid[0].startswith("██▓▓")
    assert grid[-1] == ""


MODELS = [FROZEN_LAKE, "gym:Taxi-v4", "gallery:gridworld", "gallery:queue:S=30", "gallery:slippery_grid:N=25"]


@pytest.mark.parametrize("columns", ["40", "60", "80", "120"])
@pytest.mark.parametrize("model", MODELS)
def test_no_line_is_wider_than_the_terminal(model: str, columns: str) -> None:
    for command in ("evaluate", "occupancy", "solve"):
        lines = printed(command, model, "--gamma", "0.9", COLUMNS=columns).splitlines()
        assert max(map(cell_len, lines)) <= int(columns)
        assert all(line == line.rstrip(" ") for line in lines)


COLOURFUL = {"FORCE_COLOR": "1", "TERM": "xterm-256color", "COLORTERM": "truecolor"}


def test_colours() -> None:
    coloured = printed("evaluate", FROZEN_LAKE, "--gamma", "0.99", **COLOURFUL, NO_COLOR=None)
    assert "\x1b[38;2;0;0;0;48;2;" in coloured
    assert "V of each state, coloured by rank; end: the process is over" in coloured
    without = printed("evaluate", FROZEN_LAKE, "--gamma", "0.99", **COLOURFUL, NO_COLOR="1")
    assert not re.search(r"\x1b\[[\d;]*[34]8;", without)
    assert "\x1b" not in printed("evaluate", FROZEN_LAKE, "--gamma", "0.99", NO_COLOR=None)


def test_ascii_terminals() -> None:
    for model in FROZEN_LAKE, "gallery:slippery_grid:N=25":
        done = shell("evaluate", model, "--gamma", "0.99", PYTHONIOENCODING="ascii", PYTHONUTF8="0")
        assert done.returncode == 0
        assert done.stdout.isascii()
        assert "+/-" in done.stdout
    assert done.stdout.count("v") > 100
    assert done.stdout.count(">") > 100


# ---- numbers ----

FINITE = st.floats(-1e30, 1e30, allow_subnormal=False)


@given(FINITE, st.floats(1e-40, 1e20))
@example(0.01235613732516322, 3.6e-19)
@example(99.99999999, 1e-9)
@example(-9.5, 1.0)
@example(0.0, 1e-12)
def test_what_is_shown_encloses_what_is_enclosed(value: float, bound: float) -> None:
    number, _, radius = enclosure(value, bound).partition(" ± ")
    assert abs(Fraction(Decimal(number)) - Fraction(value)) + Fraction(bound) <= Fraction(Decimal(radius))
    assert Fraction(Decimal(at_most(bound))) >= Fraction(bound)
    if len(number) < 18:
        assert Fraction(Decimal(radius)) <= 4 * max(Fraction(bound), Fraction(1, 2))


@given(FINITE, st.floats(1e-40, 1e20))
def test_headline_shows_certified_digits_only(value: float, bound: float) -> None:
    text = Decimal(headline(value, bound))
    last_place = Fraction(10) ** text.as_tuple().exponent  # type: ignore[operator]
    if text != 0:
        assert abs(Fraction(text) - Fraction(value)) <= last_place / 2
        assert last_place >= Fraction(bound) or last_place == 1


@given(st.lists(FINITE, min_size=1), st.floats(0.0, 1.0), st.integers(2, 6), st.integers(0, 3))
def test_columns_are_right(values: list[float], bound: float, digits: int, spare: int) -> None:
    write = column(values, bound, digits, spare)
    largest = max(abs(x) for x in values)
    for x in values:
        if abs(x) <= bound:
            assert write(x) == "0"
        else:
            assert float(write(x)) != 0.0
            assert abs(float(write(x)) - x) <= max(10.0 ** (1 - digits) * largest, bound * 10)


# ---- what a program reads ----

HEAD = {"rlcore", "command", "model"}
QUESTION = HEAD | {"policy", "setting"}
MODEL = {
    *("name", "num_states", "num_pairs", "pair_shape"),
    *("state_labels", "action_labels", "pair_state", "pair_action"),
}
CERTIFICATE = {"status", "method", "iterations", "residual", "error_bound", "bounds", "story"}


def test_json_evaluation() -> None:
    document = answer("evaluate", FROZEN_LAKE, "--gamma", "0.99", "--threads", "1")
    mdp = rl.from_gymnasium("FrozenLake-v1")
    ev = rl.evaluate(mdp, rl.uniform_policy(mdp), 0.99)
    assert document.keys() == QUESTION | {"start_value", "value", "action_value", "advantage", "certificate"}
    assert document["rlcore"] == rl.__version__
    assert document["command"] == "evaluate"
    assert document["model"].keys() == MODEL
    assert document["model"]["name"] == FROZEN_LAKE
    assert document["model"]["pair_shape"] == [16, 4]
    assert document["model"]["state_labels"][:5] == [[0, 0], [0, 1], [0, 2], [0, 3], [1, 0]]
    assert document["model"]["action_labels"] == ["left", "down", "right", "up"]
    assert document["model"]["pair_state"] is document["model"]["pair_action"] is None
    assert document["policy"] == {"name": "uniform", "probabilities": [[0.25] * 4] * 16}
    assert document["setting"] == {"name": "discounted", "gamma": 0.99}
    assert document["start_value"] == ev.start_value
    for field in "value", "action_value", "advantage":
        assert np.array_equal(document[field], getattr(ev, field)), field
    certificate = document["certificate"]
    assert certificate.keys() == CERTIFICATE
    assert certificate["bounds"] == dict(ev.certificate.bounds)
    assert certificate["story"] is None
    for field in CERTIFICATE - {"bounds", "story"}:
        assert certificate[field] == getattr(ev.certificate, field), field


def test_json_solution() -> None:
    document = answer("solve", FROZEN_LAKE, "--gamma", "0.99")
    assert document.keys() == QUESTION | {"start_value", "value", "certificate"}
    assert document["policy"]["name"] == "optimal"
    assert np.shape(document["policy"]["probabilities"]) == (16, 4)
    assert document["certificate"]["bounds"].keys() == {"value", "policy_value", "start_value"}
    over_time = answer("solve", "gallery:forest", "--setting", "horizon:3")
    assert np.shape(over_time["policy"]["probabilities"]) == (3, 3, 2)
    assert np.shape(over_time["value"]) == (4, 3)


def test_json_occupancy() -> None:
    document = answer("occupancy", "gallery:forest", "--gamma", "0.9", "--policy", "greedy", "--explain")
    mdp = rl.gallery.forest()
    policy = rl.greedy_policy(mdp, rl.evaluate(mdp, rl.uniform_policy(mdp), 0.9))
    occ = rl.occupancy(mdp, policy, 0.9, explain=True)
    assert document.keys() == QUESTION | {"state", "visits", "pair", "certificate"}
    assert document["policy"] == {"name": "greedy", "probabilities": policy.tolist()}
    for field in "state", "visits", "pair":
        assert np.array_equal(document[field], getattr(occ, field)), field
    assert document["certificate"]["story"] == occ.certificate.story.splitlines()
    assert document["certificate"]["bounds"] == dict(occ.certificate.bounds)


def test_json_info() -> None:
    document = answer("info", FROZEN_LAKE)
    assert document.pop("model").keys() == MODEL
    assert document == {
        "rlcore": rl.__version__,
        "command": "info",
        "transitions": 98,
        "memory_bytes": 2724,
        "successors": {"mean": 98 / 64, "most": 3},
        "actions": {"least": 4, "most": 4},
        "reward": {"least": 0.0, "most": pytest.approx(1 / 3)},
        "ending_pairs": 48,
        "start_states": 1,
        "grid": {"rows": 4, "columns": 4},
    }
    assert answer("info", "gallery:forest")["grid"] is None


def test_json_of_ragged_models_and_odd_labels() -> None:
    from rlcore.cli import as_json
    from rlcore.cli.facts import facts_of

    mdp = rl.MDP(
        np.full((3, 2), 0.5),
        [1, 2, 3],
        pair_start=[0, 1, 3],
        state_labels=[frozenset({1}), float("nan")],
        action_labels=[None, b"go"],
    )
    model = NamedModel("m", mdp)
    document = json.loads(as_json.as_text(as_json.info_document(model, facts_of(mdp))))
    assert document["model"]["state_labels"] == [[1], "nan"]
    assert document["model"]["action_labels"] == [None, "b'go'"]
    assert document["model"]["pair_state"] == [0, 1, 1]
    assert document["model"]["pair_action"] == [0, 0, 1]
    assert document["start_states"] is None
    policy = NamedPolicy("uniform", "", rl.uniform_policy(mdp))
    found = as_json.evaluation_document(model, policy, rl.Discounted(0.5), rl.evaluate(mdp, policy.array, 0.5))
    assert found["start_value"] is None
    assert len(found["action_value"]) == 3
    as_json.as_text(found)


def test_threads_do_not_change_the_answer() -> None:
    one, two = (
        answer("evaluate", "gallery:garnet:S=3000:A=3:b=4", "--gamma", "0.99", "--threads", n) for n in ("1", "2")
    )
    assert one == two


# ---- models and policies by name ----


@pytest.mark.parametrize(
    ("text", "make"),
    [
        ("gallery:forest", lambda: rl.gallery.forest()),
        ("gallery:forest:S=5:p=0.2:r2=-1", lambda: rl.gallery.forest(5, p=0.2, r2=-1)),
        ("gallery:garnet:S=1e2:A=2:b=3", lambda: rl.gallery.garnet(100, 2, 3)),
        ("gallery:garnet:S=1_0:A=2:b=3:seed=7", lambda: rl.gallery.garnet(10, 2, 3, seed=7)),
        (
            "gym:FrozenLake-v1:map_name=8x8:is_slippery=False",
            lambda: rl.from_gymnasium("FrozenLake8x8-v1", is_slippery=False),
        ),
        ("gym:gymnasium:FrozenLake-v1:is_slippery=true", lambda: rl.from_gymnasium("FrozenLake-v1")),
    ],
)
def test_models(text: str, make: Callable[[], rl.MDP]) -> None:
    mdp = make()
    assert (
        answer("evaluate", text, "--gamma", "0.9")["value"]
        == rl.evaluate(mdp, rl.uniform_policy(mdp), 0.9).value.tolist()
    )


def test_notes_of_an_environment_go_to_stderr() -> None:
    done = shell("info", "gym:FrozenLake", "--json")
    assert done.returncode == 0
    assert json.loads(done.stdout)["model"]["num_states"] == 16
    assert re.fullmatch(r"note: .*FrozenLake-v1.*\n", done.stderr)


FOREST_POLICY = np.array([[0.25, 0.75], [1.0, 0.0], [0.5, 0.5]])


def write_npy(path: Path, array: Any) -> None:
    np.save(path, np.array(array))


def write_csv(path: Path, array: Any) -> None:
    np.savetxt(path, np.array(array), delimiter=",")


def write_json(path: Path, array: Any) -> None:
    path.write_text(json.dumps(np.array(array).tolist()))


@pytest.mark.parametrize("write", [write_npy, write_csv, write_json])
@pytest.mark.parametrize(
    ("array", "policy"),
    [(FOREST_POLICY, FOREST_POLICY), (FOREST_POLICY.ravel(), FOREST_POLICY), ([0, 1, 1], np.eye(2)[[0, 1, 1]])],
    ids=["table", "flat", "actions"],
)
def test_policy_files(tmp_path: Path, write: Any, array: Any, policy: Any) -> None:
    path = tmp_path / f"policy.{write.__name__[-4:].lstrip('_')}"
    write(path, array)
    document = answer("evaluate", "gallery:forest", "--gamma", "0.9", "--policy", str(path))
    assert document["policy"] == {"name": str(path), "probabilities": policy.tolist()}
    assert document["value"] == rl.evaluate(rl.gallery.forest(), policy, 0.9).value.tolist()


def test_policy_file_with_names_of_actions(tmp_path: Path) -> None:
    path = tmp_path / "policy.json"
    path.write_text('["wait", "cut", "cut"]')
    document = answer("evaluate", "gallery:forest", "--gamma", "0.9", "--policy", str(path))
    assert document["policy"]["probabilities"] == [[1, 0], [0, 1], [0, 1]]


# ---- what goes wrong ----

EVALUATE = ["evaluate", "gallery:forest", "--gamma", "0.9"]
FORMS = "expected gym:ID[:key=value...], gallery:NAME[:key=value...] or the file of a saved model"
SETTINGS = "episodic, average or horizon:N"
GALLERY = ", ".join(name for name in rl.gallery.__all__ if name.islower() and name != "known_answers")

BAD_INPUT = [
    (
        ["evaluate", "gallery:forest", "--gamma", "1"],
        "gamma: expected 0 <= gamma < 1, got 1.0; without a discount use Episodic(), Average() or FiniteHorizon(steps)",
    ),
    (["evaluate", "gallery:forest", "--gamma", "-0.1"], "gamma: expected 0 <= gamma < 1, got -0.1"),
    (["occupancy", "gallery:forest", "--gamma", "nan"], "gamma: expected 0 <= gamma < 1, got nan"),
    (["evaluate", "gallery:forest"], f"setting: expected either --gamma G or --setting {SETTINGS}, got neither"),
    ([*EVALUATE, "--setting", "average"], f"setting: expected either --gamma G or --setting {SETTINGS}, got both"),
    (["occupancy", "gallery:forest", "--setting", "horizon"], f"setting: expected {SETTINGS}, got 'horizon'"),
    (["evaluate", "gallery:forest", "--setting", "horizon:-1"], f"setting: expected {SETTINGS}, got 'horizon:-1'"),
    (["evaluate", "gallery:forest", "--setting", "episodic:3"], f"setting: expected {SETTINGS}, got 'episodic:3'"),
    (["evaluate", "gallery:forest", "--setting", "horizon:0"], "steps: expected a whole number from 1 on, got 0"),
    (["settings", "gallery:forest", "--gammas", ".9,x"], "gammas: expected numbers separated by commas, got '.9,x'"),
    (
        ["settings", "gallery:forest", "--gammas", ".9,1"],
        "gamma: expected 0 <= gamma < 1, got 1.0; without a discount use Episodic(), Average() or FiniteHorizon(steps)",
    ),
    ([*EVALUATE, "--tol", "2"], "tol: expected a relative error in [0, 1), got 2.0; 0 asks for the best attainable"),
    (["info", "forest"], f"MODEL: {FORMS}, got 'forest'; did you mean 'gallery:forest'?"),
    (["info", "Taxi-v4"], f"MODEL: {FORMS}, got 'Taxi-v4'; did you mean 'gym:Taxi-v4'?"),
    (["info", "model.npz"], "MODEL: cannot read 'model.npz': No such file or directory"),
    (["info", "model.csv"], f"MODEL: {FORMS}, got 'model.csv'; there is no such file"),
    (["info", "nowhere/model"], f"MODEL: {FORMS}, got 'nowhere/model'; there is no such file"),
    (["info", ""], f"MODEL: {FORMS}, got ''"),
    (["info", "gym:"], f"MODEL: {FORMS}, got 'gym:', which names no model"),
    (["info", "gallery"], f"MODEL: {FORMS}, got 'gallery', which names no model"),
    (["info", "gallery:forst"], "MODEL: the gallery has no 'forst'; did you mean 'forest'?"),
    (["info", "gallery:xyz"], f"MODEL: the gallery has no 'xyz'; there are {GALLERY}"),
    (["info", "gallery:__all__"], f"MODEL: the gallery has no '__all__'; there are {GALLERY}"),
    (["info", "gallery:forest:S"], "gallery:forest: expected key=value, got 'S'"),
    (["info", "gallery:forest:S=3:S=4"], "MODEL: S is given twice"),
    (["info", "gallery:forest:x=1"], "gallery:forest: unknown key 'x'; it takes S, r1, r2, p"),
    (["info", "gallery:garnet:sed=1"], "gallery:garnet: unknown key 'sed'; did you mean 'seed'?"),
    (["info", "gallery:gridworld:N=4"], "gallery:gridworld: unknown key 'N'; it takes no keys"),
    (["info", "gallery:garnet:S=9"], "gallery:garnet needs A, b: write gallery:garnet:A=...:b=..."),
    (["info", "gallery:forest:S=x"], "gallery:forest: S: expected a whole number from 2 on, got 'x'"),
    (["info", "gym:FrozenLake-v1:slip"], "gym:FrozenLake-v1: expected key=value, got 'slip'"),
]

NO_ARRAY = "holds no array"
BAD_POLICY = {
    "gredy": "expected uniform, greedy or a file (.npy, .csv, .json), got 'gredy'; did you mean 'greedy'?",
    "none.npy": "cannot read 'none.npy': No such file or directory",
    "folder.csv": "cannot read 'folder.csv': Is a directory",
    "broken.json": f"'broken.json' {NO_ARRAY}: Expecting value: line 1 column 5 (char 4)",
    "empty.npy": f"'empty.npy' {NO_ARRAY}: EOF: reading magic string, expected 8 bytes got 0",
    "pickled.npy": f"'pickled.npy' {NO_ARRAY}: Object arrays cannot be loaded when allow_pickle=False",
    "null.json": f"'null.json' {NO_ARRAY} of numbers",
    "shape.csv": "expected shape (3, 2), or one action for each of the 3 states, got shape (2, 2) from 'shape.csv'",
    "actions.json": "expected actions among wait, cut, got 'fly' from 'actions.json'",
    "halves.csv": "expected one whole number for each state, got other values from 'halves.csv'",
    "negative.json": "state 1, action 'cut': expected a probability in [0, 1], got -0.5",
}


@pytest.fixture
def bad_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "folder.csv").mkdir()
    (tmp_path / "broken.json").write_text("[1, ")
    (tmp_path / "empty.npy").touch()
    np.save(tmp_path / "pickled.npy", np.array([{}], dtype=object))
    (tmp_path / "null.json").write_text("[null, null, null]")
    (tmp_path / "shape.csv").write_text("1,0\n0,1\n")
    (tmp_path / "actions.json").write_text('["wait", "fly", "cut"]')
    (tmp_path / "halves.csv").write_text("0.5\n1\n0\n")
    (tmp_path / "negative.json").write_text("[[1, 0], [1.5, -0.5], [1, 0]]")
    monkeypatch.chdir(tmp_path)


def assert_refused(arguments: list[str], message: str) -> None:
    for more in [], ["--json"]:
        result = run(*arguments, *more)
        assert (result.stderr, result.stdout) == (f"error: {message}\n", "")
        assert result.exit_code == 2


@pytest.mark.parametrize(("arguments", "message"), BAD_INPUT, ids=lambda x: x if isinstance(x, str) else " ".join(x))
def test_bad_input(arguments: list[str], message: str) -> None:
    assert_refused(arguments, message)


@pytest.mark.usefixtures("bad_files")
@pytest.mark.parametrize(("name", "message"), BAD_POLICY.items(), ids=BAD_POLICY)
def test_bad_policy(name: str, message: str) -> None:
    separator = ", " if message.startswith("state") else ": "
    assert_refused([*EVALUATE, "--policy", name], f"policy{separator}{message}")


@pytest.mark.parametrize(
    ("arguments", "start"),
    [
        (["evalute"], "error: No such command 'evalute'"),
        (["evaluate"], "error: Missing argument 'MODEL'; see rlcore evaluate --help"),
        (["settings"], "error: Missing argument 'MODEL'; see rlcore settings --help"),
        (["evaluate", "gallery:forest", "--gamma", "x"], "error: Invalid value for '--gamma': "),
        ([*EVALUATE, "--threads", "0"], "error: Invalid value for '--threads': "),
        ([*EVALUATE, "--limit", "-1"], "error: Invalid value for '--limit': "),
        ([*EVALUATE, "--foo"], "error: No such option: --foo"),
        ([*EVALUATE, "more"], "error: Got unexpected extra argument"),
        (["info", "gym:FrozenLak-v1"], "error: gym:FrozenLak-v1: "),
        (["info", "gym:CartPole-v1"], "error: gym:CartPole-v1: "),
        (["info", "gym:FrozenLake-v1:foo=1"], "error: gym:FrozenLake-v1: "),
        (["info", "gym:FrozenLake-v1:map_name=9x9"], "error: gym:FrozenLake-v1: "),
        (["info", "gallery:garnet:S=1e12:A=4:b=5"], "error: not enough memory: "),
        ([*EVALUATE[:-1], "0.9", "--policy", "\x00.npy"], "error: policy: "),
    ],
)  # fmt: skip
def test_messages_that_others_word(arguments: list[str], start: str) -> None:
    result = CliRunner(env=PLAIN).invoke(app, arguments, prog_name="rlcore")
    assert result.stdout == ""
    assert result.stderr.startswith(start)
    assert result.stderr.count("\n") == 1
    assert result.exit_code == 2


def test_not_certified() -> None:
    for command in "evaluate", "occupancy":
        result = run(command, "gallery:forest", "--gamma", "0.9", "--tol", "1e-40")
        assert re.sub(r"[\d.]+e-\d+", "...", result.stderr) == (
            "error: the tolerance could not be certified; the best proven error bound is .... "
            "Ask for a larger --tol, or for --tol 0, the best attainable\n"
        )
        assert (result.stdout, result.exit_code) == ("", 1)


def test_interrupted() -> None:
    code = """
        import os, signal
        from rlcore.cli import main, progress
        signal.signal(signal.SIGINT, signal.default_int_handler)  # jobs in the background begin with it ignored
        progress.ProgressBar.__call__ = lambda bar, report: os.kill(os.getpid(), signal.SIGINT)
        main()
    """.replace("\n        ", "\n")
    arguments = ["evaluate", "gallery:slippery_grid:N=400", "--gamma", "0.9999"]
    done = run_python(f"import sys; sys.argv[1:] = {arguments!r}{code}")
    assert (done.stdout, done.stderr, done.returncode) == ("", "error: interrupted\n", 130)


@pytest.mark.parametrize("missing", ["typer", "rich"])
def test_missing_extra(missing: str) -> None:
    done = run_python(f"import sys; sys.modules[{missing!r}] = None; from rlcore.cli import main; main()")
    assert done.stderr == f"error: the command line needs {missing}: pip install 'rlcore[cli]'\n"
    assert (done.stdout, done.returncode) == ("", 2)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_full_disk() -> None:
    for more in [], ["--json"]:
        with Path("/dev/full").open("w") as full:
            command = [sys.executable, "-c", "from rlcore.cli import main; main()", *EVALUATE, *more]
            done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True, check=False)
        assert done.stderr == "error: cannot write: No space left on device\n"
        assert done.returncode == 1


# ---- models in files ----


@pytest.fixture
def lake_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    rl.save(rl.from_gymnasium("FrozenLake-v1"), "lake.npz")
    return tmp_path / "lake.npz"


@pytest.mark.usefixtures("lake_file")
def test_model_from_a_file() -> None:
    arguments = ["--gamma", "0.99", "--json"]
    made, opened = (json.loads(printed("evaluate", model, *arguments)) for model in (FROZEN_LAKE, "lake.npz"))
    assert opened["model"].pop("name") == "lake.npz"
    assert made["model"].pop("name") == FROZEN_LAKE
    assert opened == made
    assert printed("info", "lake.npz").splitlines()[1:] == printed("info", FROZEN_LAKE).splitlines()[1:]


@pytest.mark.usefixtures("lake_file")
def test_convert() -> None:
    text = printed("convert", "gym:Taxi-v4", "taxi.npz")
    mdp = rl.load("taxi.npz")
    assert (mdp.num_states, mdp.pair_shape) == (500, (500, 6))
    assert re.fullmatch(r"taxi\.npz  500 states, 6 actions, can end, [\d,]+ bytes\n", text), text
    assert_refused_plainly(
        ["convert", "gallery:forest", "taxi.npz"],
        "FILE: 'taxi.npz' exists; choose another name, or replace it with --force",
    )
    assert rl.load("taxi.npz").num_states == 500
    assert printed("convert", "gallery:forest", "taxi.npz", "--force").startswith("taxi.npz  3 states, 2 actions, ")
    assert printed("convert", "taxi.npz", "forest").startswith("forest  3 states, ")
    assert printed("info", "forest").startswith("forest\nstates       3, ")
    assert sorted(os.listdir()) == ["forest", "lake.npz", "taxi.npz"]


def assert_refused_plainly(arguments: list[str], message: str, code: int = 2) -> None:
    result = run(*arguments)
    assert (result.stderr, result.stdout, result.exit_code) == (f"error: {message}\n", "", code)


def test_files_that_are_not_models(lake_file: Path) -> None:
    Path("folder").mkdir()
    Path("folder.npz").mkdir()
    Path("broken.npz").write_bytes(lake_file.read_bytes()[:-1])
    Path("text").write_text("nothing")
    near = "MODEL: cannot read 'lak.npz': No such file or directory; did you mean 'lake.npz'?"
    assert_refused(["info", "lak.npz"], near)
    assert_refused(
        ["info", "lake.np"], f"MODEL: {FORMS}, got 'lake.np'; there is no such file; did you mean 'lake.npz'?"
    )
    assert_refused(["info", "folder.npz"], "MODEL: cannot read 'folder.npz': Is a directory")
    assert_refused(["info", "folder"], f"MODEL: {FORMS}, got 'folder', which is a directory")
    assert run("info", "broken.npz").stderr.startswith("error: 'broken.npz': the file is cut short: ")
    assert run("info", "text").stderr.startswith("error: 'text': expected a saved model, ")


def test_wrong_numbers_in_a_file_are_named(lake_file: Path) -> None:
    damaged = lake_file.read_bytes().replace(np.float64(1 / 3).tobytes(), np.float64(-1.0).tobytes())
    lake_file.write_bytes(damaged)
    for command in ["info"], ["evaluate", "--gamma", "0.9"], ["convert", "other.npz"]:
        result = run(command[0], "lake.npz", *command[1:])
        assert result.stderr.startswith("error: 'lake.npz': "), result.stderr
        assert "state (0, 0), action 'down': " in result.stderr
        assert (result.stdout, result.exit_code) == ("", 2)
    assert os.listdir() == ["lake.npz"]


@pytest.mark.usefixtures("lake_file")
def test_convert_to_where_nothing_can_be_written() -> None:
    missing = "cannot write 'nowhere/forest.npz': No such file or directory"
    assert_refused_plainly(["convert", "gallery:forest", "nowhere/forest.npz"], missing, code=1)
    assert_refused_plainly(
        ["convert", "gallery:forst", "f.npz"], "MODEL: the gallery has no 'forst'; did you mean 'forest'?"
    )


# ---- help and version ----


def test_version() -> None:
    assert printed("--version") == f"rlcore {rl.__version__}\n"
    assert shell("--version").stdout == f"rlcore {rl.__version__}\n"


def test_help() -> None:
    assert printed("--help").count("Usage: ") == 1
    result = run()
    assert result.exit_code == 2
    assert result.stdout.startswith(printed("--help").rstrip("\n"))
    for command in "evaluate", "occupancy", "settings", "info":
        text = printed(command, "--help")
        assert "MODEL" in text
        assert "--json" in text


# ---- progress ----


def reports(*errors: float, target: float = 1e-8) -> list[rl.Progress]:
    return [rl.Progress("span iteration", 1000 * step, error, target) for step, error in enumerate(errors, 1)]


def test_progress_is_drawn_on_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress, "PATIENCE", 0.0)
    console = Console(file=io.StringIO(), width=100, force_terminal=True, force_interactive=True, color_system=None)
    with ProgressBar(console) as bar:
        for report in reports(1.0, 1e-2, 1e-4, 1e-3, 1e-9):
            bar(report)
    text = console.file.getvalue()  # type: ignore[attr-defined]
    assert "span iteration, 2,000 steps, error 1.0e-02 on the way to 1.0e-08" in text


def test_progress_is_logarithmic_and_never_goes_back() -> None:
    bar = ProgressBar(Console(file=io.StringIO()))
    fractions = [bar._fraction(report) for report in reports(1.0, 1e-2, 1e-4, 1e-3, 1e-9)]
    assert fractions == pytest.approx([0.0, 0.25, 0.5, 0.5, 1.0])
    assert [bar._fraction(report) for report in reports(0.0, np.inf, np.nan)] == [None] * 3
    assert bar._fraction(rl.Progress("sparse LU", 1, 1.0, 0.0)) is None


def test_progress_is_silent_elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress, "PATIENCE", 0.0)
    console = Console(file=io.StringIO(), width=100)
    with ProgressBar(console) as bar:
        for report in reports(1.0, 1e-2):
            bar(report)
    assert console.file.getvalue() == ""  # type: ignore[attr-defined]


def test_short_work_draws_no_bar() -> None:
    console = Console(file=io.StringIO(), width=100, force_terminal=True, force_interactive=True)
    with ProgressBar(console) as bar:
        bar(reports(1.0)[0])
    assert console.file.getvalue() == ""  # type: ignore[attr-defined]
