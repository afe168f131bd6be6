"""Every example of the documentation and of the docstrings runs and prints what it says.

In a page, a ``python`` block is executed, a ``pycon`` block is a doctest, and in a ``console`` block the lines that
start with ``$ rlcore`` are run and their output is compared. The blocks of a page share their names, from top to
bottom. As in any doctest, ``...`` stands for whatever is printed there.
"""

from __future__ import annotations

import doctest
import importlib
import os
import pkgutil
import re
import shlex
import subprocess
import sysconfig
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

import rlcore

ROOT = Path(__file__).parents[1]
FLAGS = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
BLOCK = re.compile(r"^```(python|pycon|console)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


class Block(NamedTuple):
    language: str
    code: str
    line: int  # of the first line of code


def blocks(page: Path) -> Iterator[Block]:
    text = page.read_text(encoding="utf-8")
    for match in BLOCK.finditer(text):
        yield Block(match[1], match[2], text.count("\n", 0, match.start(2)) + 1)


def run_doctest(test: doctest.DocTest) -> None:
    printed: list[str] = []
    runner = doctest.DocTestRunner(optionflags=FLAGS, verbose=False)
    runner.run(test, out=printed.append, clear_globs=False)
    assert runner.failures == 0, "".join(printed)


def run_console(code: str, place: str) -> None:
    scripts = sysconfig.get_path("scripts")
    environment = {**os.environ, "PATH": f"{scripts}{os.pathsep}{os.environ['PATH']}", "COLUMNS": "100"}
    environment |= {"TERM": "dumb", "NO_COLOR": "1", "PYTHONUTF8": "1"}
    for command, want in re.findall(r"^\$ (.*)\n((?:(?!\$ ).*\n)*)", code, re.MULTILINE):
        if not command.startswith("rlcore "):
            continue
        done = subprocess.run(shlex.split(command), env=environment, capture_output=True, text=True, check=False)
        got = done.stdout + done.stderr
        assert "Traceback" not in got, got
        same = doctest.OutputChecker().check_output(want, got, FLAGS)
        assert same, f"{place}\n$ {command}\nexpected:\n{want}\ngot:\n{got}"


PAGES = [page for page in [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))] if any(blocks(page))]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_page(page: Path) -> None:
    names: dict[str, Any] = {}
    for language, code, line in blocks(page):
        place = f"{page.relative_to(ROOT)}:{line}"
        if language == "python":
            exec(compile("\n" * (line - 1) + code, str(page), "exec"), names)
        elif language == "pycon":
            test = doctest.DocTestParser().get_doctest(code, {}, place, str(page), line - 1)
            test.globs = names
            run_doctest(test)
        else:
            run_console(code, place)


FOUND = sorted(module.name for module in pkgutil.walk_packages(rlcore.__path__, "rlcore."))
MODULES = ["rlcore", *(name for name in FOUND if not name.rpartition(".")[2].startswith("_"))]


@pytest.mark.parametrize("name", MODULES)
def test_docstrings(name: str) -> None:
    for test in doctest.DocTestFinder(exclude_empty=True).find(importlib.import_module(name)):
        run_doctest(test)
