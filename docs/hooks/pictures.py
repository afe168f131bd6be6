"""Draws the pictures of the documentation whenever the site is built; none of them is kept in the repository.

`pictures/gallery/NAME.svg` shows the model `rlcore.gallery.NAME`, whichever there are. `pictures/plots/NAME.svg`, named
in the page plots.md, shows what `ax` holds after the blocks of Python above it. To look at them all without a site:

    python docs/hooks/pictures.py FOLDER
"""

from __future__ import annotations

import inspect
import io
import logging
import re
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import matplotlib

matplotlib.use("Agg")

from matplotlib import pyplot
from matplotlib.figure import Figure

import rlcore as rl
from rlcore import plot
from rlcore.grids import grid_of

if TYPE_CHECKING:
    from mkdocs.config.defaults import MkDocsConfig
    from mkdocs.structure.files import Files

DOCS = Path(__file__).parents[1]
LOG = logging.getLogger("mkdocs.hooks.pictures")
STABLE = {"svg.hashsalt": "rlcore", "svg.fonttype": "path"}  # the same picture from the same data
GAMMA = 0.95

# Small enough to be seen, for models whose size has no default or one that is too large for a picture.
ARGUMENTS: dict[str, dict[str, Any]] = {
    "chain": {"S": 6},
    "forest": {"S": 5},
    "garnet": {"S": 60, "A": 4, "b": 5, "seed": 1},
    "layered": {"depth": 12, "width": 5},
    "lazy_cycle": {"S": 8},
    "nearly_decomposable": {"blocks": 5, "coupling": 0.01, "size": 12},
    "queue": {"S": 6},
    "shuffled_cycle": {"S": 8},
    "slippery_grid": {"N": 8},
}
BLOCK_OR_PICTURE = re.compile(r"^```python\n(.*?)^```$|\(pictures/plots/(\w+)\.svg\)", re.M | re.S)

SOME_SIZE = 8  # for what is not in the table
BY_VALUE = {"gambler"}  # the matrix would show nothing


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pictures to the site."""
    from mkdocs.structure.files import File

    for path, svg in pictures():
        files.append(File.generated(config, path, content=svg))
    return files


def pictures() -> Iterator[tuple[str, bytes]]:
    """Yield the path and the content of every picture."""
    for name, maker in models().items():
        yield f"pictures/gallery/{name}.svg", _drawn(lambda name=name, maker=maker: picture_of(name, maker))
    for name, ax in results_of((DOCS / "plots.md").read_text(encoding="utf-8")):
        yield f"pictures/plots/{name}.svg", _drawn(lambda ax=ax: ax.figure)
    pyplot.close("all")


# ---- the models of the gallery ----


def models() -> dict[str, Callable[..., rl.MDP]]:
    """Return the functions of the gallery that make models."""
    known = {name: getattr(rl.gallery, name) for name in rl.gallery.__all__}
    return {name: maker for name, maker in known.items() if inspect.isfunction(maker)}


def picture_of(name: str, maker: Callable[..., rl.MDP]) -> Figure:
    """Return the picture of a model; of one that cannot be drawn, its name."""
    try:
        return _model(name, maker(**_arguments(name, maker))).figure
    except Exception as error:  # a new model must not stop the site from being built
        LOG.info("no picture of the model %s: %s", name, error)
        pyplot.close("all")
        figure = Figure(figsize=(5.0, 0.8))
        figure.text(0.5, 0.5, f"{name}{inspect.signature(maker)}"[:90], ha="center", va="center", size=8, wrap=True)
        return figure


def _arguments(name: str, maker: Callable[..., rl.MDP]) -> dict[str, Any]:
    if name in ARGUMENTS:
        return ARGUMENTS[name]
    needed = [key for key, each in inspect.signature(maker).parameters.items() if each.default is each.empty]
    return dict.fromkeys(needed, SOME_SIZE)


def _model(name: str, mdp: rl.MDP) -> Any:
    if grid_of(mdp) is None and name not in BY_VALUE:
        return plot.chain(mdp, rl.uniform_policy(mdp))
    policy = improved(mdp)
    return plot.value(mdp, rl.evaluate(mdp, policy, GAMMA), policy=policy)


def improved(mdp: rl.MDP, most: int = 100) -> Any:
    """Return the policy that is greedy for its own values."""
    policy = rl.uniform_policy(mdp)
    for _ in range(most):
        better = rl.greedy_policy(mdp, rl.evaluate(mdp, policy, GAMMA))
        if (better == policy).all():
            break
        policy = better
    return policy


# ---- the examples of the page on plots ----


def results_of(page: str) -> Iterator[tuple[str, Any]]:
    """Run the blocks of Python of a page, and yield the name of each picture with the axes that it shows."""
    names: dict[str, Any] = {}
    for block, name in BLOCK_OR_PICTURE.findall(page):
        if name:
            yield name, names["ax"]
        else:
            exec(compile(block, "plots.md", "exec"), names)


def _drawn(draw: Callable[[], Figure]) -> bytes:
    with matplotlib.rc_context(STABLE):
        figure = draw()
        file = io.BytesIO()
        figure.savefig(file, format="svg", metadata={"Date": None})
        pyplot.close(figure)
    return file.getvalue()


if __name__ == "__main__":
    for path, svg in pictures():
        target = Path(sys.argv[1]) / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(svg)
