"""A table of candidates as a file: .csv, .json or .parquet."""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from rlcore.errors import ArgumentError, MissingPackageError

Columns = Mapping[str, list[Any]]


def check_kind(file: str) -> None:
    """Refuse a file of a kind that cannot be written, before anything is computed."""
    if Path(file).suffix.lower() not in WRITERS:
        raise ArgumentError(f"out: expected a file, {', '.join(WRITERS)}, got {file!r}")
    if Path(file).suffix.lower() == ".parquet":
        _pyarrow()


def write_table(columns: Columns, file: str) -> None:
    """Write a table with a row for each candidate."""
    WRITERS[Path(file).suffix.lower()](columns, Path(file))


def without_infinities(x: Any) -> Any:
    """Return a number as JSON has it: null for what is infinite."""
    return None if isinstance(x, float) and not math.isfinite(x) else x


def _write_csv(columns: Columns, path: Path) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(columns)
        writer.writerows(zip(*columns.values(), strict=True))


def _write_json(columns: Columns, path: Path) -> None:
    rows = [
        dict(zip(columns, map(without_infinities, row), strict=True)) for row in zip(*columns.values(), strict=True)
    ]
    path.write_text(json.dumps(rows, allow_nan=False, indent=1) + "\n", encoding="utf-8")


def _write_parquet(columns: Columns, path: Path) -> None:
    pyarrow = _pyarrow()
    pyarrow.parquet.write_table(pyarrow.table(dict(columns)), str(path))


def _pyarrow() -> Any:
    try:
        import pyarrow  # type: ignore[import-not-found]
        import pyarrow.parquet  # type: ignore[import-not-found]
    except ImportError:
        raise MissingPackageError(
            "--out: a .parquet file needs PyArrow, which is not installed; pip install pyarrow. "
            "A .csv or .json file needs nothing"
        ) from None
    return pyarrow


WRITERS: dict[str, Callable[[Columns, Path], None]] = {
    ".csv": _write_csv,
    ".json": _write_json,
    ".parquet": _write_parquet,
}
