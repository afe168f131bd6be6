"""What is installed, and what importing it costs."""

from __future__ import annotations

import re
import subprocess
import sys
from importlib import metadata
from pathlib import Path

import rlcore

ROOT = Path(__file__).parents[1]
PACKAGE = Path(rlcore.__file__).parent
OPTIONAL = ["gymnasium", "matplotlib", "rich", "typer"]


def run_python(code: str) -> str:
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_version_is_the_same_everywhere() -> None:
    declared = re.search(r'^version = "(.*)"$', (ROOT / "pyproject.toml").read_text(), re.MULTILINE)
    assert declared is not None
    assert rlcore.__version__ == metadata.version("rlcore") == declared[1]


def test_package_is_typed() -> None:
    assert (PACKAGE / "py.typed").is_file()
    assert (PACKAGE / "_core.pyi").is_file()


def test_package_holds_nothing_of_the_cpp_library_but_the_module() -> None:
    files = [path for path in metadata.files("rlcore") or [] if path.suffix in {".hpp", ".h", ".a", ".cpp", ".cmake"}]
    assert files == []


def test_extras() -> None:
    extras = set(metadata.metadata("rlcore").get_all("Provides-Extra") or [])
    assert {"app", "bench", "cli", "gym", "plot", "test"} <= extras


def test_command_is_installed() -> None:
    (command,) = metadata.entry_points(group="console_scripts", name="rlcore")
    assert callable(command.load())


def test_import_needs_no_extra_and_loads_none() -> None:
    blocked = f"import sys; sys.modules.update(dict.fromkeys({OPTIONAL}))"
    assert run_python(f"{blocked}; import rlcore; print(rlcore.__version__)") == rlcore.__version__
    loaded = run_python(f"import sys, rlcore; print(*sorted(sys.modules.keys() & set({OPTIONAL})))")
    assert loaded == ""


def test_readme_has_the_two_commands_of_a_newcomer() -> None:
    commands = re.findall(r"^ *(?:\$ )?(python3 -m venv .*)$", (ROOT / "README.md").read_text(), re.MULTILINE)
    assert len(commands) == 2
    assert "rlcore audit" in commands[0]
    assert "pytest" in commands[1]
