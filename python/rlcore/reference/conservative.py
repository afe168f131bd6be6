"""How far to go towards a better policy: the mixture bound and its best step (theory 5.8)."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

from .rational import Number, exact
from .real import square_root


@dataclass(frozen=True, slots=True)
class ConservativeStep:
    """The step with the largest guaranteed gain.

    Attributes
    ----------
    step
        a, the share of the new policy in the mixture.
    gain
        What the mixture gains at least.
    """

    step: Fraction
    gain: Fraction


def mixture_bound(step: Number, gamma: Number, advantage: Number, epsbar: Number) -> Fraction:
    """Return what the mixture of two policies gains at least, exactly (theory 5.8).

    For ``pi_a = (1 - a) pi + a pi'``, where d^T Abar and epsbar are those of pi'::

        eta_a - eta >= a / (1 - gamma) (d^T Abar - 2 a gamma epsbar / (1 - gamma (1 - a)))

    Parameters
    ----------
    step
        a, from 0 to 1.
    gamma
        The discount factor, 0 <= gamma < 1.
    advantage
        d^T Abar.
    epsbar
        max |Abar|.

    Raises
    ------
    ValueError
        If gamma is not in [0, 1).

    References
    ----------
    S. Kakade and J. Langford (2002), Approximately optimal approximate reinforcement learning, ICML, theorem 4.1.

    Examples
    --------
    >>> mixture_bound(Fraction(1, 4), Fraction(1, 2), Fraction(1, 2), 1)
    Fraction(1, 20)
    """
    a, discount = exact(step), _discount(gamma)
    penalty = 2 * a * discount * exact(epsbar) / (1 - discount * (1 - a))
    return a / (1 - discount) * (exact(advantage) - penalty)


def conservative_step(gamma: Number, advantage: Number, epsbar: Number) -> ConservativeStep:
    """Return the step that makes the mixture bound largest, and the bound there (theory 5.8).

    With ``y = d^T Abar / (2 epsbar)``, which is at most 1/2, the derivative of the bound is 0 at::

        a = (1 - gamma) / gamma * y / (sqrt(1 - y) (1 + sqrt(1 - y))),    gain = 2 epsbar / gamma (1 - sqrt(1 - y))^2

    Without something to gain the step is 0, and it is never more than 1.

    Parameters
    ----------
    gamma
        The discount factor, 0 <= gamma < 1.
    advantage
        d^T Abar.
    epsbar
        max |Abar|.

    Returns
    -------
    ConservativeStep
        Exact, or with a relative error of at most 4e-60 if the root is no fraction.

    Raises
    ------
    ValueError
        If gamma is not in [0, 1).

    References
    ----------
    S. Kakade and J. Langford (2002), Approximately optimal approximate reinforcement learning, ICML, section 4.

    Examples
    --------
    >>> conservative_step(Fraction(9, 10), Fraction(7, 8), 1)
    ConservativeStep(step=Fraction(1, 27), gain=Fraction(5, 36))
    >>> conservative_step(Fraction(9, 10), -1, 1)
    ConservativeStep(step=Fraction(0, 1), gain=Fraction(0, 1))
    """
    discount, promised, largest = _discount(gamma), exact(advantage), exact(epsbar)
    if promised <= 0:
        return ConservativeStep(Fraction(0), Fraction(0))
    y = promised / (2 * largest)
    root = Fraction(square_root(1 - y))
    # 1 - sqrt(1 - y) = y / (1 + sqrt(1 - y)), which does not cancel.
    lost = y / (1 + root)
    if discount == 0 or (1 - discount) * lost >= discount * root:
        return ConservativeStep(Fraction(1), mixture_bound(1, discount, promised, largest))
    return ConservativeStep((1 - discount) / discount * lost / root, 2 * largest / discount * lost**2)


def _discount(gamma: Number) -> Fraction:
    discount = exact(gamma)
    if not 0 <= discount < 1:
        raise ValueError(f"gamma: expected 0 <= gamma < 1, got {gamma}")
    return discount
