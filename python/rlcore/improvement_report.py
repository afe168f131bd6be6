"""What `check_improvement` finds (theory 5 and 6)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from rlcore.enclosure import Enclosure, Verdict
from rlcore.optional_packages import data_frame
from rlcore.results import Certificate
from rlcore.settings import Average, Discounted, Episodic


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class BoundReport:
    """What one bound says of the candidates (theory 6).

    Attributes
    ----------
    name, formula, source
        Which bound it is.
    enclosure
        The bound on |eta' - L|, between two numbers; None where it was not evaluated.
    lower, upper
        What it guarantees of eta': L - gap and L + gap, or sharper where the bound is an enclosure of its own; rounded
        outwards, with the error of L.
    slack
        gap - |eta' - L|, what the bound gives away; None without an exact eta'.
    verdict
        Whether |eta' - L| <= gap, beyond all rounding: a `Verdict` for each candidate.
    reason
        Why it was not evaluated, or None.
    """

    name: str
    formula: str
    source: str
    enclosure: Enclosure | None
    lower: Any
    upper: Any
    slack: Any
    verdict: Any
    reason: str | None = None

    @property
    def gap(self) -> Any:
        """The bound on |eta' - L|, rounded up; None where it was not evaluated."""
        return None if self.enclosure is None else self.enclosure.upper

    def __repr__(self) -> str:
        if self.gap is None:
            return f"BoundReport({self.name}: {self.reason})"
        if np.ndim(self.gap) == 0:
            return f"BoundReport({self.name}: gap <= {self.gap:.6g}, eta' >= {self.lower:.6g}, {self.verdict})"
        return f"BoundReport({self.name}: {np.size(self.gap)} candidates, eta' >= {np.max(self.lower):.6g} at best)"


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class ImprovementReport:
    """How candidates compare with a base policy; numbers for one candidate, arrays (B,) for a batch.

    Attributes
    ----------
    setting
        The setting. In `Average` every eta is a gain.
    eta
        The return of the base policy.
    eta_new
        The return of each candidate; with ``new_return="enclosed"`` the middle of what encloses it, with "skip" None.
    improvement
        An `Enclosure` of eta' - eta, formed without subtracting returns: right to many digits for policies that hardly
        differ.
    improves
        Whether eta' >= eta: HOLDS, VIOLATED or UNDECIDED.
    surrogate
        L = eta + sum w Abar.
    expected_gain
        An `Enclosure` of L - eta = sum w Abar, formed without subtracting returns.
    epsilon, epsilon_bar
        max |A|, and max |Abar|.
    alpha, kl_max
        The largest TV and KL of any state.
    tv_mean, kl_mean
        sum d TV and sum d KL, with d as in `rlcore.occupancy`.
    gap
        eta' - L; None without an exact eta'.
    penalty
        C KLmax of theorem 2.1, what the penalised objective takes from L; None where the theorem does not exist.
    bounds
        A `BoundReport` for each bound that exists in the setting, by name, the loosest first.
    certificate
        Proven bounds on the errors of all of these, by name.
    """

    setting: Discounted | Episodic | Average
    eta: float
    eta_new: Any
    improvement: Enclosure
    improves: Any
    surrogate: Any
    expected_gain: Enclosure
    epsilon: float
    epsilon_bar: Any
    alpha: Any
    kl_max: Any
    tv_mean: Any
    kl_mean: Any
    gap: Any
    penalty: Any
    bounds: Mapping[str, BoundReport]
    certificate: Certificate

    @property
    def guaranteed(self) -> Any:
        """The best lower bound on eta' - eta that is proven, by any bound or the return itself."""
        return self.improvement.lower

    def __len__(self) -> int:
        if np.ndim(self.alpha) == 0:
            raise TypeError("a report of one candidate has no length; pass a batch of shape (1, ...) for one")
        return int(np.size(self.alpha))

    def rows(self) -> Iterator[dict[str, Any]]:
        """Go through the candidates: the numbers of each by name, and its verdict for every bound."""
        columns = self._columns()
        for item in range(np.size(self.alpha)):
            yield {name: _item(column, item) for name, column in columns.items()}

    def to_dict(self) -> dict[str, list[Any]]:
        """Return the table: a list for each column."""
        return {
            name: [_item(column, i) for i in range(np.size(self.alpha))] for name, column in self._columns().items()
        }

    def to_dataframe(self) -> Any:
        """Return the table as a ``pandas.DataFrame``, a row for each candidate."""
        return data_frame(self.to_dict())

    def _columns(self) -> dict[str, Any]:
        columns: dict[str, Any] = {
            "eta": self.eta,
            "eta_new": self.eta_new,
            "improvement_lower": self.improvement.lower,
            "improvement_upper": self.improvement.upper,
            "improves": self.improves,
            "surrogate": self.surrogate,
            "gap": self.gap,
            "alpha": self.alpha,
            "kl_max": self.kl_max,
            "tv_mean": self.tv_mean,
            "kl_mean": self.kl_mean,
            "epsilon": self.epsilon,
            "epsilon_bar": self.epsilon_bar,
        }
        for name, bound in self.bounds.items():
            columns[f"{name}.gap"] = bound.gap
            columns[f"{name}.lower"] = bound.lower
            columns[f"{name}.verdict"] = bound.verdict
        return columns

    def __repr__(self) -> str:
        if np.ndim(self.alpha) > 0:
            better = sum(verdict is Verdict.HOLDS for verdict in self.improves)
            return f"ImprovementReport({len(self)} candidates, {better} proven to be no worse, eta={self.eta:.8g})"
        new = "" if self.eta_new is None else f", eta_new={self.eta_new:.8g}"
        return (
            f"ImprovementReport(eta={self.eta:.8g}{new}, improves={self.improves}, "
            f"improvement in [{self.improvement.lower:.6g}, {self.improvement.upper:.6g}], alpha={self.alpha:.3g})"
        )


def _item(column: Any, item: int) -> Any:
    """Return a candidate's entry of a column: plain numbers and names."""
    found = column if column is None or np.ndim(column) == 0 else column[item]
    return str(found) if isinstance(found, Verdict) else None if found is None else float(found)
