"""`rlcore gradient`: what it prints, what it answers to programs, and how it fails."""

from __future__ import annotations

import math
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import rlcore as rl
from test_cli import answer, masked, printed, run

FOREST = ("gradient", "gallery:forest", "--gamma", "0.9")


@pytest.fixture(autouse=True)
def _a_terminal_that_can_draw(monkeypatch: pytest.MonkeyPatch) -> None:
    """Rich ignores the width that it is given where TERM is dumb."""
    monkeypatch.setenv("TERM", "xterm-256color")


def refused(*arguments: str) -> str:
    result = run(*arguments)
    assert result.exit_code == 2, result.output
    assert result.stdout == ""
    return str(result.stderr)


# ---- what a person reads ----


def test_forest() -> None:
    text = masked(printed(*FOREST, "--episodes", "0", COLUMNS="100"))
    text = re.sub(r"within \S+ of", "within ... of", text)
    assert text == (
        "gallery:forest  3 states, 2 actions, never ends\n"
        "uniform policy, discount factor 0.9\n"
        "\n"
        "start value  7.9672917   proven: ...\n"
        "\n"
        "tabular softmax, 6 parameters; the gradient's largest components\n"
        "state   action   gradient\n"
        "─────────────────────────\n"
        "    2   wait       2.9448\n"
        "    2   cut       -2.9448\n"
        "    0   wait       1.6182\n"
        "    0   cut       -1.6182\n"
        "    1   wait       1.3912\n"
        "    1   cut       -1.3912\n"
        "\n"
        "length of the gradient          5.14308\n"
        "length of the natural gradient  41.3085\n"
        "practical gradient              cosine 0.998517 with the gradient\n"
        "\n"
        "Certified: every component of the gradient is within ... of the exact one.\n"
        "Found by ...\n"
    )


def test_estimates_have_a_row_each() -> None:
    text = printed(*FOREST, "--episodes", "3000", "--steps", "60", "--seed", "4", COLUMNS="120")
    assert "estimates from 3,000 episodes of at most 60 steps, seed 4" in text
    rows = {
        match[1].strip(): [float(x) for x in match[2].split()]
        for match in re.finditer(r"^(REINFORCE.*?|actor-critic.*?)((?: +-?[\d.e+-]+){4})$", text, re.MULTILINE)
    }
    assert len(rows) == 6
    for name, (off, chance, cosine, z) in rows.items():
        assert 0.0 < chance
        assert 0.9 < cosine <= 1.0
        if "without gamma^t" in name:
            assert off > 3.0
            assert z > 10.0
        else:
            assert off < 4.0 * chance
            assert abs(z) < 5.0
    assert re.search(r"cutting episodes off moves the mean of REINFORCE by at most [\d.]+", text)


def test_without_a_discount_there_are_three_estimates() -> None:
    text = printed("gradient", "gallery:short_corridor", "--setting", "episodic", COLUMNS="120")
    assert "start value  -12.000000" in text
    assert "practical" not in text
    assert "without gamma^t" not in text
    assert len(re.findall(r"^(REINFORCE|actor-critic)", text, re.MULTILINE)) == 3


def test_average_has_a_gain_and_no_estimates() -> None:
    text = printed("gradient", "gallery:forest", "--setting", "average", "--episodes", "0")
    assert "gain  0.73125000" in text
    assert "estimates" not in text


def test_few_components_are_shown() -> None:
    text = printed("gradient", "gallery:garnet:S=50:A=2:b=3", "--gamma", "0.9", "--episodes", "0", "--limit", "3")
    assert "tabular softmax, 100 parameters" in text
    assert "97 other components, none of them larger" in text
    assert "largest components" not in printed(*FOREST, "--episodes", "0", "--limit", "0")


def test_one_episode_says_nothing_of_chance() -> None:
    text = printed(*FOREST, "--episodes", "1", COLUMNS="120")
    assert "estimates from 1 episode of at most 88 steps" in text
    assert re.search(r"^REINFORCE +[\d.]+ +-?[\d.]+$", text, re.MULTILINE)


# ---- families ----


def test_linear_features(tmp_path: Path) -> None:
    """In the short corridor dJ/dp = 8 at p = 1/2, so dJ/dtheta = 8 p (1 - p) = 2."""
    np.save(tmp_path / "f.npy", np.tile([[0.0], [1.0]], (3, 1)))
    np.save(tmp_path / "theta.npy", np.zeros(1))
    options = ("--family", "linear", "--features", str(tmp_path / "f.npy"), "--theta", str(tmp_path / "theta.npy"))
    text = printed("gradient", "gallery:short_corridor", "--setting", "episodic", "--episodes", "0", *options)
    assert "policy at theta from theta.npy" in text
    assert "linear softmax, 1 parameter; the gradient's largest components" in text
    assert re.search(r"^ +0 +2\.0000$", text, re.MULTILINE)
    without = options[:4]
    assert "uniform policy" in printed("gradient", "gallery:short_corridor", "--setting", "episodic", *without)


def test_theta_and_the_policy_that_it_makes(tmp_path: Path) -> None:
    theta = [[0.0, 1.0], [2.0, 0.0], [0.0, 0.0]]
    np.save(tmp_path / "theta.npy", theta)
    policy = rl.softmax_policy(rl.gallery.forest(), theta)
    np.save(tmp_path / "policy.npy", policy)
    one = answer(*FOREST, "--episodes", "0", "--theta", str(tmp_path / "theta.npy"))
    other = answer(*FOREST, "--episodes", "0", "--policy", str(tmp_path / "policy.npy"))
    np.testing.assert_array_equal(one["policy"]["probabilities"], policy)
    np.testing.assert_allclose(one["gradient"], other["gradient"], rtol=1e-12)


def test_direct_parameters_may_be_zero() -> None:
    document = answer(*FOREST, "--episodes", "0", "--family", "direct", "--policy", "greedy")
    assert document["family"] == "direct"
    assert document["natural_gradient"] is None
    mdp = rl.gallery.forest()
    exact = rl.policy_gradient(mdp, rl.Direct(document["policy"]["probabilities"]), 0.9)
    assert document["gradient"] == exact.gradient.tolist()
    text = printed(*FOREST, "--family", "direct", "--episodes", "50", COLUMNS="120")
    assert "baseline" not in text


# ---- what programs read ----


def test_json() -> None:
    document = answer(*FOREST, "--episodes", "500", "--steps", "60", "--seed", "2")
    assert document["command"] == "gradient"
    assert document["setting"] == {"name": "discounted", "gamma": 0.9}
    assert document["episodes"] == {"count": 500, "steps": 60, "seed": 2}
    mdp = rl.gallery.forest()
    family = rl.TabularSoftmax(np.log(rl.uniform_policy(mdp)))
    exact = rl.policy_gradient(mdp, family, 0.9)
    assert document["gradient"] == exact.gradient.tolist()
    assert document["start_value"] == exact.start_value
    assert document["natural_gradient"] == np.asarray(rl.natural_gradient(mdp, family, 0.9)).tolist()
    assert document["practical_gradient"]["cosine"] == rl.practical_gradient(mdp, family, 0.9, 60).cosine
    drawn = rl.simulate(mdp, rl.uniform_policy(mdp), episodes=500, steps=60, seed=2)
    ways: dict[str, dict[str, Any]] = {
        "REINFORCE": {},
        "REINFORCE, baseline V": {"baseline": "value"},
        "actor-critic, exact A": {"estimator": "actor-critic"},
    }
    ways |= {f"{name} without gamma^t": how | {"discounted_states": False} for name, how in ways.items()}
    assert [row["name"] for row in document["estimates"]] == list(ways)
    for row in document["estimates"]:
        found = rl.estimate_gradient(mdp, family, 0.9, drawn, **ways[row["name"]])
        assert row["gradient"] == found.gradient.tolist()
        assert row["standard_error"] == found.standard_error.tolist()
        assert row["bias"] == found.bias.tolist()
        assert row["projection"] == found.projection
        assert row["truncation_bound"] == found.truncation_bound


def test_json_of_what_does_not_exist() -> None:
    document = answer("gradient", "gallery:forest", "--setting", "average", "--episodes", "0")
    assert document["gain"] == pytest.approx(0.73125)
    assert "start_value" not in document
    assert document["practical_gradient"] is None
    assert document["episodes"] is None
    assert document["estimates"] == []
    document = answer(*FOREST, "--episodes", "1")
    assert document["estimates"][0]["standard_error"] == [[None, None]] * 3
    assert document["estimates"][0]["projection_error"] is None


def test_figure(tmp_path: Path) -> None:
    file = tmp_path / "estimates.svg"
    printed(*FOREST, "--episodes", "100", "--figure", str(file))
    assert file.read_text().count("</svg>") == 1
    printed("gradient", "gallery:short_corridor", "--setting", "episodic", "--episodes", "9", "--figure", str(file))
    assert "figure: expected estimates to draw, got --episodes 0" in refused(
        *FOREST, "--episodes", "0", "--figure", str(file)
    )


@pytest.mark.parametrize(("gamma", "steps"), [("0", 1), ("0.5", 14), ("0.9", 88), ("0.9999", 10_000)])
def test_usual_steps(gamma: str, steps: int) -> None:
    document = answer("gradient", "gallery:forest", "--gamma", gamma, "--episodes", "2")
    assert document["episodes"]["steps"] == steps
    assert gamma == "0" or steps == 10_000 or math.log(1e-4, float(gamma)) <= steps


# ---- how it fails ----


def test_what_does_not_fit_is_refused(tmp_path: Path) -> None:
    file = str(tmp_path / "f.npy")
    np.save(file, np.ones((6, 2)))
    assert "theta: expected either --theta or --policy, got both" in refused(
        *FOREST, "--theta", file, "--policy", "uniform"
    )
    with_linear = "features: expected a file with --family linear, and with no other"
    assert with_linear in refused(*FOREST, "--features", file)
    assert with_linear in refused(*FOREST, "--family", "linear")
    linear = ("--family", "linear", "--features", file)
    assert "policy: expected --theta with --family linear" in refused(*FOREST, *linear, "--policy", "uniform")
    assert "theta: expected --policy with --family direct" in refused(*FOREST, "--family", "direct", "--theta", file)
    assert "policy: expected positive probabilities, for a softmax has no others" in refused(
        *FOREST, "--policy", "greedy"
    )
    assert "episodes: expected 0 in the setting average" in refused(
        "gradient", "gallery:forest", "--setting", "average"
    )
    assert "setting: " in refused("gradient", "gallery:forest", "--setting", "horizon:3")
    assert "theta: cannot read" in refused(*FOREST, "--theta", str(tmp_path / "none.npy"))
    assert "theta: expected a file (.npy, .csv, .json), got 'uniform'" in refused(*FOREST, "--theta", "uniform")
    assert "theta: " in refused(*FOREST, "--theta", file)
