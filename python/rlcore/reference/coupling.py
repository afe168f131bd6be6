"""Two choices made together so that they agree as often as possible (theory 5.3)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

from .divergence import total_variation
from .rational import Matrix, Number, exact


@dataclass(frozen=True, slots=True)
class Coupling:
    """Two random choices with given distributions, made together.

    Attributes
    ----------
    joint
        The probability of choosing i by the first distribution and j by the second, indexed [i][j].
    disagreement
        The probability of two different choices.
    """

    joint: Matrix
    disagreement: Fraction


def coupling(p: Sequence[Number], q: Sequence[Number]) -> Coupling:
    """Return the maximal coupling of two distributions: no other agrees more often (theory 5.3).

    What they share is chosen together, and what is left is chosen independently::

        joint(i, j) = [i = j] min(p_i, q_i) + (p_i - min(p_i, q_i)) (q_j - min(p_j, q_j)) / TV(p, q)

    The second term is 0 on the diagonal, where one of its factors is, and everywhere if p = q.

    Parameters
    ----------
    p, q
        Two distributions over the same outcomes.

    Returns
    -------
    Coupling
        The joint table, with p as its row sums and q as its column sums, and TV(p, q).

    Raises
    ------
    ValueError
        If the lengths differ.

    References
    ----------
    D. A. Levin and Y. Peres (2017), Markov Chains and Mixing Times, proposition 4.7. J. Schulman, S. Levine, P. Moritz,
    M. Jordan and P. Abbeel (2015), Trust region policy optimization, appendix A.

    Examples
    --------
    >>> result = coupling([0.5, 0.5], [0.75, 0.25])
    >>> result.joint
    [[Fraction(1, 2), Fraction(0, 1)], [Fraction(1, 4), Fraction(1, 4)]]
    >>> result.disagreement
    Fraction(1, 4)
    """
    rows, columns = exact(p), exact(q)
    apart = total_variation(p, q)
    common = [min(x, y) for x, y in zip(rows, columns, strict=True)]
    left_p = [x - m for x, m in zip(rows, common, strict=True)]
    left_q = [y - m for y, m in zip(columns, common, strict=True)]
    joint = [
        [(i == j) * common[i] + (x * y / apart if apart else 0) for j, y in enumerate(left_q)]
        for i, x in enumerate(left_p)
    ]
    return Coupling(joint=joint, disagreement=apart)


def policy_coupling(policy: Sequence[Sequence[Number]], candidate: Sequence[Sequence[Number]]) -> list[Coupling]:
    """Return the maximal coupling of two policies in each state (theory 5.3).

    Parameters
    ----------
    policy
        pi(a | s), indexed [s][a].
    candidate
        pi'(a | s), indexed [s][a].

    Returns
    -------
    list of Coupling
        One for each state. Its largest disagreement is alpha.

    Raises
    ------
    ValueError
        If the shapes differ.

    References
    ----------
    J. Schulman et al. (2015), Trust region policy optimization, appendix A.

    Examples
    --------
    >>> [str(each.disagreement) for each in policy_coupling([[1, 0], [0.5, 0.5]], [[0, 1], [0.5, 0.5]])]
    ['1', '0']
    """
    return [coupling(p, q) for p, q in zip(policy, candidate, strict=True)]
