"""A new policy, and all that is known of it beforehand, in one view (theory 5, 6)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

from .bounds import bounds_beside, enclosures_beside
from .improvement import Improvement, improvement
from .rational import Number
from .real import Extended


@dataclass(frozen=True, slots=True)
class ImprovementCheck:
    """What a new policy gains, and what the bounds say of it.

    Attributes
    ----------
    improvement
        What is exactly so.
    bounds
        At least |eta' - L| each, by name.
    enclosures
        What lies around eta', by the name of the bound.
    holds
        Whether |eta' - L| is at most the bound, by name.
    """

    improvement: Improvement
    bounds: dict[str, Extended]
    enclosures: dict[str, tuple[Fraction, Fraction]]

    @property
    def holds(self) -> dict[str, bool]:
        """Whether |eta' - L| <= bound: of models whose rows sum to 1, always."""
        return {name: abs(self.improvement.gap) <= bound for name, bound in self.bounds.items()}


def check_improvement(
    transition: Sequence[Sequence[Sequence[Number]]],
    policy: Sequence[Sequence[Number]],
    candidate: Sequence[Sequence[Number]],
    initial: Sequence[Number],
    gamma: Number,
    reward: Sequence[Sequence[Number]],
    termination: Sequence[Sequence[Number]] | None = None,
) -> ImprovementCheck:
    """Return the exact improvement of the discounted return beside all bounds (theory 5, 6).

    The parts are those of :func:`improvement`, :func:`bounds` and :func:`enclosures`::

        |eta' - L| <= bound for every bound,    lower <= eta' <= upper for every enclosure

    Parameters
    ----------
    transition
        P(t | s, a), indexed [s][a][t].
    policy
        pi(a | s), indexed [s][a].
    candidate
        pi'(a | s), indexed [s][a].
    initial
        rho0(s), indexed [s].
    gamma
        The discount factor, 0 <= gamma < 1.
    reward
        r(s, a), indexed [s][a].
    termination
        The probability that the process ends after the pair, indexed [s][a]; without it, what is missing in the row.

    Returns
    -------
    ImprovementCheck
        All of them.

    Raises
    ------
    ValueError
        If gamma is not in [0, 1), or the shapes do not fit.

    References
    ----------
    J. Schulman, S. Levine, P. Moritz, M. Jordan and P. Abbeel (2015), Trust region policy optimization, theorem 1.

    Examples
    --------
    >>> half = Fraction(1, 2)
    >>> work_or_rest = [[[1, 0], [0, 1]], [[0, 1]]]
    >>> found = check_improvement(work_or_rest, [[half, half], [1]], [[1, 0], [1]], [1, 0], half, [[1, 0], [0]])
    >>> str(found.improvement.gap), str(found.bounds["span_107"]), all(found.holds.values())
    ('4/9', '4/9', True)
    """
    result = improvement(transition, policy, candidate, initial, gamma, reward)
    known = (result, transition, policy, candidate, initial, gamma, termination)
    return ImprovementCheck(result, bounds_beside(*known), enclosures_beside(*known))
