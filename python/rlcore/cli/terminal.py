"""The terminal: its consoles and the characters that it can show."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from rich.console import Console


@dataclass(frozen=True, slots=True)
class Glyphs:
    """The characters beyond ASCII that are used, or what stands in for them."""

    left: str = "←"
    right: str = "→"
    up: str = "↑"
    down: str = "↓"
    plus_minus: str = "±"
    more: str = "…"
    bar: str = "━"
    shades: str = " ░▒▓█"  # from nothing to full


UNICODE = Glyphs()
ASCII = Glyphs("<", ">", "^", "v", "+/-", "...", "=", " .:*#")


@contextmanager
def output() -> Iterator[Console]:
    """Give the console of stdout, which obeys NO_COLOR, TERM and COLUMNS, and is plain in a pipe.

    What is printed to it appears at the end, without the spaces that fill lines up.
    """
    _never_fail_to_encode(sys.stdout)
    console = Console(highlight=False, markup=False, emoji=False)
    with console.capture() as page:
        yield console
    write("\n".join(line.rstrip(" ") for line in page.get().split("\n")))


def write(text: str) -> None:
    """Write to stdout at once, so that what goes wrong goes wrong here."""
    sys.stdout.write(text)
    sys.stdout.flush()


def error_console() -> Console:
    """Return the console of stderr. It is interactive, so that progress is shown, only if somebody can be watching."""
    _never_fail_to_encode(sys.stderr)
    watched = None if sys.stderr.isatty() else False  # FORCE_COLOR does not make a terminal
    return Console(stderr=True, highlight=False, markup=False, emoji=False, force_interactive=watched)


def glyphs_of(console: Console) -> Glyphs:
    """Return the characters that the console's encoding has."""
    try:
        "".join(getattr(UNICODE, name) for name in Glyphs.__slots__).encode(console.encoding)
    except (UnicodeEncodeError, LookupError):
        return ASCII
    return UNICODE


def _never_fail_to_encode(stream: object) -> None:
    reconfigure = getattr(stream, "reconfigure", None)
    if reconfigure is not None:
        reconfigure(errors="backslashreplace")
