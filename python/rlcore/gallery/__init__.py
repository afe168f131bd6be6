"""Models to learn on, to test with and to measure against (theory 1).

Every model has a start distribution, so that start values and occupancies can be asked for at once. Random models are
made from a seed. What is known of a model exactly, from a book, a paper or a short argument, is in `known_answers`.
"""

from rlcore.gallery.chains import (
    blind_shuttle,
    chain,
    drunkards_walk,
    lazy_cycle,
    oz,
    queue,
    random_walk,
    river_swim,
    short_corridor,
    shuffled_cycle,
    wrong_way,
)
from rlcore.gallery.grids import frozen_lake, gridworld, slippery_grid, small_gridworld
from rlcore.gallery.known import KnownAnswer, known_answers
from rlcore.gallery.operations import forest, gambler, inventory, taxicab, toymaker
from rlcore.gallery.random_models import garnet, layered, nearly_decomposable

__all__ = [
    "KnownAnswer",
    "blind_shuttle",
    "chain",
    "drunkards_walk",
    "forest",
    "frozen_lake",
    "gambler",
    "garnet",
    "gridworld",
    "inventory",
    "known_answers",
    "layered",
    "lazy_cycle",
    "nearly_decomposable",
    "oz",
    "queue",
    "random_walk",
    "river_swim",
    "short_corridor",
    "shuffled_cycle",
    "slippery_grid",
    "small_gridworld",
    "taxicab",
    "toymaker",
    "wrong_way",
]
