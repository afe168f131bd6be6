"""Packages that rlcore does without, until somebody asks for what they do."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from typing import Any

from rlcore.errors import MissingPackageError


def optional_package(name: str, missing: str) -> Any:
    """Import a package, or raise MissingPackageError with what is to be said where it is missing."""
    try:
        return importlib.import_module(name)
    except ImportError:
        raise MissingPackageError(missing) from None


def data_frame(table: Mapping[str, Any]) -> Any:
    """Return a result's table, which its ``to_dict`` gives, as a ``pandas.DataFrame``."""
    missing = "to_dataframe needs pandas: pip install pandas; to_dict() gives the same table without it"
    return optional_package("pandas", missing).DataFrame(table)
