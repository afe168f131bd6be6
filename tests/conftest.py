"""What all tests share."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import settings

# Generated models are the same in every run, and a slow machine is not a fault.
settings.register_profile("rlcore", deadline=None, derandomize=True, print_blob=True)
settings.load_profile("rlcore")

REPORT = pytest.StashKey[list[str]]()


def pytest_configure(config: pytest.Config) -> None:
    config.stash[REPORT] = []


@pytest.fixture(scope="session")
def report(pytestconfig: pytest.Config) -> Callable[[str], None]:
    """Take a line that is printed after the tests, such as how many models were compared."""
    return pytestconfig.stash[REPORT].append


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    if lines := config.stash[REPORT]:
        terminalreporter.section("reported by the tests")
        for line in lines:
            terminalreporter.write_line(line)
