"""The command `rlcore`: answers from the shell. It needs the extra ``cli`` (typer and rich)."""

from __future__ import annotations

import sys


def main() -> None:
    """Run the command line and exit: 0 done, 1 not certified, 2 bad input, 130 interrupted."""
    try:
        from rlcore.cli.app import app
    except ModuleNotFoundError as missing:
        if (missing.name or "").startswith("rlcore"):
            raise
        sys.stderr.write(f"error: the command line needs {missing.name}: pip install 'rlcore[cli]'\n")
        sys.exit(2)
    app(prog_name="rlcore")
