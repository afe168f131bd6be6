"""The layers do not leak, and every public function keeps its promises (docs/architecture.md)."""

from __future__ import annotations

import ast
import inspect
import re
import sys
import tomllib
from collections.abc import Callable, Iterator
from graphlib import TopologicalSorter
from pathlib import Path
from typing import Any

import pytest

import rlcore
import rlcore.reference

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "python" / "rlcore"


# ---- C++: what may include what ----

LIBRARY = sorted((ROOT / "cpp" / "rlcore").rglob("*.[ch]pp"))
BINDINGS = sorted((ROOT / "cpp" / "bindings").glob("*.[ch]pp"))


def includes(file: Path) -> list[str]:
    return re.findall(r'^\s*#\s*include\s*[<"]([^>"]+)[>"]', file.read_text(encoding="utf-8"), re.MULTILINE)


def unit(header: str) -> str:
    """Return what a file belongs to: a header and its sources are one unit, and so is all of linear/."""
    return "linear" if header.startswith("linear/") else str(Path(header).with_suffix(""))


def test_no_arrow_of_the_library_points_up() -> None:
    needs: dict[str, set[str]] = {}
    for file in LIBRARY:
        here = unit(str(file.relative_to(ROOT / "cpp" / "rlcore")))
        headers = {unit(name.removeprefix("rlcore/")) for name in includes(file) if name.startswith("rlcore/")}
        needs.setdefault(here, set()).update(headers - {here})
    order = list(TopologicalSorter(needs).static_order())  # raises CycleError, with the circle
    layers = ["types", "parallel", "mdp", "chain", "linear", "evaluation"]
    assert sorted(layers, key=order.index) == layers


@pytest.mark.parametrize("file", LIBRARY, ids=lambda file: file.name)
def test_library_knows_neither_python_nor_eigen_above_linear(file: Path) -> None:
    assert not any(header.startswith(("pybind11", "Python.h")) for header in includes(file))
    if any(header.startswith(("Eigen/", "unsupported/Eigen/")) for header in includes(file)):
        assert file.parent.name == "linear"
        assert file.suffix == ".cpp", "users of the installed headers need no Eigen"


@pytest.mark.parametrize("file", BINDINGS, ids=lambda file: file.name)
def test_bindings_hold_no_algorithm(file: Path) -> None:
    computing = {"cmath", "numeric", "random", "thread", "atomic", "mutex"}
    for header in includes(file):
        assert header not in computing, f"<{header}> is for algorithms, and those belong to cpp/rlcore"
        assert not header.startswith("Eigen")
        assert not header.startswith("rlcore/linear/") or header == "rlcore/linear/resolvent.hpp"


# ---- Python: who may import what ----


def imports(file: Path) -> Iterator[str]:
    """Yield the modules and names that a file imports, absolute: rlcore.mdp.MDP, .rational.exact."""
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            start = "." * node.level + (node.module or "")
            yield from (f"{start}.{alias.name}" for alias in node.names)


@pytest.mark.parametrize("file", sorted((PACKAGE / "reference").glob("*.py")), ids=lambda file: file.name)
def test_reference_stands_alone(file: Path) -> None:
    exact_arithmetic = {"flint", "mpmath"}
    for name in imports(file):
        within = name.startswith("rlcore.reference.") or re.match(r"\.\w", name)
        assert within or name.partition(".")[0] in sys.stdlib_module_names | exact_arithmetic, name


def test_only_the_facade_speaks_to_the_core() -> None:
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["ruff"]["lint"]["per-file-ignores"]
    (pattern,) = [pattern for pattern, codes in settings.items() if "TID251" in codes]
    folder, names = re.fullmatch(r"(.*)/\{(.*)\}\.py", pattern).groups()  # type: ignore[union-attr]
    allowed = {f"{folder}/{name}.py" for name in names.split(",")}
    importing = {
        str(file.relative_to(ROOT))
        for file in PACKAGE.rglob("*.py")
        if any("_core" in name.split(".") for name in imports(file))
    }
    assert importing == allowed


# ---- the public functions ----

PUBLIC = [getattr(rlcore, name) for name in rlcore.__all__]
GALLERY = [getattr(rlcore.gallery, name) for name in rlcore.gallery.__all__]
FUNCTIONS = [item for item in PUBLIC + GALLERY if inspect.isfunction(item)]
CLASSES = [item for item in PUBLIC if inspect.isclass(item)]
# Of models and policies, which have no theory yet, and of tables of what other functions compute.
MAKERS = (
    *("rlcore.mdp", "rlcore.policy", "rlcore.network_scores", "rlcore.gallery", "rlcore.io"),
    *("rlcore.settings_comparison", "rlcore.audit"),
)
COMPUTING = [function for function in FUNCTIONS if not function.__module__.startswith(MAKERS)]


def sections(of: Callable[..., Any]) -> dict[str, str]:
    """Return the sections of a numpydoc docstring, by title."""
    parts = re.split(r"^([A-Z][\w ]+)\n-{3,}\n", inspect.getdoc(of) or "", flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


def name(of: Callable[..., Any]) -> str:
    return of.__name__


@pytest.mark.parametrize("function", FUNCTIONS, ids=name)
def test_docstring(function: Callable[..., Any]) -> None:
    found = sections(function)
    assert {"Returns", "Examples"} <= found.keys()
    assert ">>>" in found["Examples"]
    listed = found.get("Parameters", "")
    documented = re.findall(r"^(\*{0,2}\w+(?:, \*{0,2}\w+)*)(?: :.*)?$", listed, re.MULTILINE)
    names = {item.lstrip("*") for line in documented for item in line.split(", ")}
    assert names == set(inspect.signature(function).parameters)


@pytest.mark.parametrize("function", COMPUTING, ids=name)
def test_statement_of_the_theory(function: Callable[..., Any]) -> None:
    assert function.__name__ in rlcore.reference.__all__
    assert "Raises" in sections(function)
    assert re.search(r"[Tt]heory \d", inspect.getdoc(function) or ""), "the docstring does not say which statement"


@pytest.mark.parametrize("public", CLASSES, ids=name)
def test_class_is_documented(public: type) -> None:
    assert inspect.getdoc(public)
    for member, value in vars(public).items():
        if not member.startswith("_") and (inspect.isfunction(value) or isinstance(value, property | classmethod)):
            assert inspect.getdoc(value), f"{public.__name__}.{member} has no docstring"


def test_every_public_name_is_in_the_documentation() -> None:
    pages = "".join(page.read_text(encoding="utf-8") for page in (ROOT / "docs").glob("*.md"))
    assert set(rlcore.__all__) <= set(re.findall(r"^::: rlcore\.(?:\w+\.)?(\w+)$", pages, re.MULTILINE))


def test_every_cited_statement_exists() -> None:
    theory = (ROOT / "docs" / "theory.md").read_text(encoding="utf-8")
    numbers = set(re.findall(r"^#+ (\d+(?:\.\d+)?) ", theory, re.MULTILINE))
    citation = re.compile(r"[Tt]heory \d+(?:\.\d+)?(?:(?:-|, | and )\d+\.\d+)*")
    for file in [*PACKAGE.rglob("*.py"), *LIBRARY, *BINDINGS]:
        for cited in citation.finditer(file.read_text(encoding="utf-8")):
            assert set(re.findall(r"\d+(?:\.\d+)?", cited[0])) <= numbers, f"{file.relative_to(ROOT)}: {cited[0]}"
