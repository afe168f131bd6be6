"""What goes wrong becomes one line on stderr and an exit code, never a traceback."""

from __future__ import annotations

import errno
import io
import sys
from typing import Any

import typer
from typer.core import TyperGroup

from rlcore.cli.terminal import error_console
from rlcore.errors import ConvergenceError, RlcoreError

NOT_CERTIFIED, NOT_WRITTEN, VIOLATED, BAD_INPUT, INTERRUPTED = 1, 1, 1, 2, 130

# ClickException: newer typers carry their own copy of click, older ones import it.
UsageProblem: type[Exception] = next(kind for kind in typer.BadParameter.__mro__ if kind.__name__ == "ClickException")


class OneLineErrors(TyperGroup):
    """The group of all commands. It words every failure itself."""

    def main(self, *args: Any, **kwargs: Any) -> Any:
        """Run the command line, then exit."""
        try:
            code = super().main(*args, **{**kwargs, "standalone_mode": False})
        except UsageProblem as problem:
            code = fail(_wording(problem), BAD_INPUT)
        sys.exit(code if isinstance(code, int) else 0)

    def invoke(self, ctx: Any) -> Any:
        """Run one command."""
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            raise typer.Exit(fail("interrupted", INTERRUPTED)) from None
        except ConvergenceError as error:
            raise typer.Exit(fail(_not_certified(error), NOT_CERTIFIED)) from None
        except RlcoreError as error:
            raise typer.Exit(fail(str(error), BAD_INPUT)) from None
        except MemoryError as error:
            raise typer.Exit(fail(f"not enough memory: {error}".rstrip(": "), BAD_INPUT)) from None
        except OSError as error:
            raise typer.Exit(_not_written(error)) from None


def fail(message: str, code: int) -> int:
    """Print one line and return the exit code."""
    console = error_console()
    console.print("error:", style="bold red", end=" ")
    console.print(" ".join(message.split()), soft_wrap=True)
    return code


def _not_written(error: OSError) -> int:
    """Report that stdout could not be written, silently if its reader has left, and keep Python from trying again."""
    sys.stdout = io.StringIO()
    return NOT_WRITTEN if error.errno == errno.EPIPE else fail(f"cannot write: {error.strerror}", NOT_WRITTEN)


def _wording(problem: Any) -> str:
    message = " ".join(problem.format_message().split()).removesuffix(".")
    ctx = getattr(problem, "ctx", None)
    if ctx is None:
        return message
    return f"{message}{' See' if message.endswith('?') else '; see'} {ctx.command_path} --help"


def _not_certified(error: ConvergenceError) -> str:
    result: Any = error.result
    return (
        f"the tolerance could not be certified; the best proven error bound is {result.certificate.error_bound:.2g}. "
        "Ask for a larger --tol, or for --tol 0, the best attainable"
    )
