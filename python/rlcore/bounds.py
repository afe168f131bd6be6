"""The bounds on |eta' - L|, each a function of a few measures of the two policies (theory 6).

To add a bound, write a function of `Measures` below: its name is the bound's, its docstring the formula and the source.
Register it for its setting, with the measures that it needs beyond the cheap ones. Every bound must grow with each of
its measures: it is evaluated at their lower and at their upper ends, which encloses it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import Any, Literal

import numpy as np

from rlcore.enclosure import ULP, Enclosure
from rlcore.settings import Average, Discounted, Episodic

VANISHING = 1e-250  # a bound below which one of its products may have underflowed
LEAST = 1e-70

Need = Literal["step shift", "action overlap", "state overlap", "ergodicity"]


@dataclass(frozen=True, slots=True, eq=False)
class Measures:
    """What bounds are made of, a number for each candidate; None where it was not measured.

    Attributes
    ----------
    gamma
        The discount factor; 1 in `Episodic` and `Average`.
    horizon
        Discounted: 1 / (1 - gamma). Episodic: T' = max (I - P')^-1 1, the longest expected episode under the candidate;
        infinite where it may go on for ever.
    either_horizon
        Episodic: max(T, T'), the longest expected episode under either policy.
    epsilon
        max |A| over all states and actions.
    epsilon_bar
        max |Abar| over all states.
    span
        span Abar; span0 Abar where the process can end.
    alpha
        max TV(pi, pi') over all states.
    kl_max
        max KL(pi || pi') over all states.
    visited_tv, visited_root_kl
        sum w TV and sum w sqrt(KL / 2), with the visits w = rho = d / (1 - gamma), or e; Average: with the shares d.
    step_shift
        ||(P' - P)^T w||_1 + |(term' - term)^T w|.
    action_overlap, state_overlap
        sum k c of theory 6: visits under the coupling times the probability of parting there.
    ergodicity
        tau(X'), or T' = max X' 1 where the process can end; Average: tau(H'), H' the deviation matrix of the candidate.
    kappa
        Average: the trace of (I - P' + 1 d'^T)^-1.
    """

    gamma: Any
    horizon: Any = None
    either_horizon: Any = None
    epsilon: Any = None
    epsilon_bar: Any = None
    span: Any = None
    alpha: Any = None
    kl_max: Any = None
    visited_tv: Any = None
    visited_root_kl: Any = None
    step_shift: Any = None
    action_overlap: Any = None
    state_overlap: Any = None
    ergodicity: Any = None
    kappa: Any = None


@dataclass(frozen=True, slots=True)
class Bound:
    """A bound on |eta' - L|, or on |g' - g - d^T Abar| (theory 6).

    Attributes
    ----------
    name
        Its name in reports.
    setting
        The kind of setting in which it holds.
    formula, source
        What it is, in short, and where it comes from.
    needs
        What must be measured for it beyond one look at the candidate.
    function
        The formula.
    """

    name: str
    setting: type[Discounted | Episodic | Average]
    formula: str
    source: str
    needs: tuple[Need, ...]
    function: Callable[[Measures], Any]

    def enclosed(self, lower: Measures, upper: Measures) -> Enclosure:
        """Return the bound between its values at the lower and at the upper ends of the measures."""
        low, high = self._evaluated(lower) * (1.0 - 32 * ULP), self._evaluated(upper) * (1.0 + 32 * ULP)
        vanishing = high < VANISHING
        if not vanishing.any():
            return Enclosure(low, high)
        return Enclosure(np.where(vanishing, 0.0, low), np.where(vanishing, self._evaluated(_lifted(upper)), high))

    def _evaluated(self, measures: Measures) -> Any:
        with np.errstate(invalid="ignore", over="ignore"):
            found = np.asarray(self.function(measures), dtype=float)
        found = np.where(np.isnan(found), 0.0, found)  # 0 inf = 0
        # Where the candidate stays for ever no product is small: sums that are 0 may have cancelled (theory 6).
        return np.where(np.isposinf(measures.horizon), np.inf, found) if self.setting is Episodic else found


def _lifted(measures: Measures) -> Measures:
    """Return measures that are at least as large, and none so small that a product of four of them underflows."""

    def lifted(x: Any) -> Any:
        return None if x is None else np.where((np.asarray(x) > 0.0) & (np.asarray(x) < LEAST), LEAST, x)

    return Measures(**{field.name: lifted(getattr(measures, field.name)) for field in fields(Measures)})


_BOUNDS: dict[type, dict[str, Bound]] = {Discounted: {}, Episodic: {}, Average: {}}


def bounds_in(setting: Discounted | Episodic | Average) -> dict[str, Bound]:
    """Return the bounds that exist in a setting, by name, the loosest first."""
    return _BOUNDS[type(setting)]


def bound(
    setting: type[Discounted | Episodic | Average], *needs: Need
) -> Callable[[Callable[[Measures], Any]], Callable[[Measures], Any]]:
    """Register a function as the bound of its name, less that of the setting; it says "formula: source."."""

    def register(function: Callable[[Measures], Any]) -> Callable[[Measures], Any]:
        name = function.__name__.removesuffix("_" + setting.__name__.lower())
        formula, _, source = (function.__doc__ or "").removesuffix(".").partition(": ")
        _BOUNDS[setting][name] = Bound(name, setting, formula, source, needs, function)
        return function

    return register


def at_lower(enclosures: dict[str, Any]) -> Measures:
    """Return the lower ends of enclosed measures; those that are no `Enclosure` are exact."""
    return Measures(**{name: x.lower if isinstance(x, Enclosure) else x for name, x in enclosures.items()})


def at_upper(enclosures: dict[str, Any]) -> Measures:
    """Return their upper ends."""
    return Measures(**{name: x.upper if isinstance(x, Enclosure) else x for name, x in enclosures.items()})


# ---- Discounted -----------------------------------------------------------------------------------------------------


@bound(Discounted)
def theorem_2_1(m: Measures) -> Any:
    """4 γ ε KLmax / (1-γ)²: theory 5.7; Schulman et al. 2015, theorem 1."""
    return 4 * m.gamma * m.epsilon * m.kl_max * m.horizon**2


@bound(Discounted)
def pinsker(m: Measures) -> Any:
    """2 γ ε KLmax / (1-γ)²: theory 5.6 with Pinsker's inequality."""
    return 2 * m.gamma * m.epsilon * m.kl_max * m.horizon**2


@bound(Discounted)
def lemma_2_5(m: Measures) -> Any:
    """4 α² γ ε / (1-γ)²: theory 5.6; Schulman et al. 2015, lemma 3."""
    return 4 * m.alpha**2 * m.gamma * m.epsilon * m.horizon**2


@bound(Discounted)
def eq_107(m: Measures) -> Any:
    """4 α² γ ε / ((1-γ)(1-γ(1-α))): theory 5.6, before it is simplified."""
    return 4 * m.alpha * m.gamma * m.epsilon * m.horizon * _alpha_horizon(m)


@bound(Discounted)
def cpo_kl(m: Measures) -> Any:
    """2 γ ε̄ E_d[√(KL/2)] / (1-γ)²: Achiam et al. 2017, corollary 3."""
    return 2 * m.gamma * m.epsilon_bar * m.visited_root_kl * m.horizon


@bound(Discounted)
def pirotta_span(m: Measures) -> Any:
    """γ α span(Ā) / (1-γ)²: Pirotta et al. 2013, theorem 3.5."""
    return m.gamma * m.alpha * m.span * m.horizon**2


@bound(Discounted)
def cpo_tv(m: Measures) -> Any:
    """2 γ ε̄ E_d[TV] / (1-γ)²: Achiam et al. 2017, corollary 1."""
    return 2 * m.gamma * m.epsilon_bar * m.visited_tv * m.horizon


@bound(Discounted)
def cpo_span(m: Measures) -> Any:
    """γ span(Ā) E_d[TV] / (1-γ)²: theory 6: cpo_tv with the span."""
    return m.gamma * m.span * m.visited_tv * m.horizon


@bound(Discounted)
def span_107(m: Measures) -> Any:
    """γ α span(Ā) / ((1-γ)(1-γ(1-α))): theory 6: eq_107 with the span."""
    return m.gamma * m.span * m.horizon * _alpha_horizon(m)


@bound(Discounted, "action overlap")
def propagated_action(m: Measures) -> Any:
    """span(Ā) γ/(1-γ) Σ k TV, k = ρ0ᵀ(I-γM)⁻¹, M = Σ min(π,π')P: theory 6."""
    return m.gamma * m.span * m.horizon * m.action_overlap


@bound(Discounted, "step shift")
def one_step(m: Measures) -> Any:
    """γ span(Ā) (‖(P'-P)ᵀρ‖₁ + |ρᵀ(term'-term)|) / (2(1-γ)): theory 6."""
    return m.gamma * m.span * m.step_shift * m.horizon / 2


@bound(Discounted, "state overlap")
def propagated_state(m: Measures) -> Any:
    """span(Ā) γ/(1-γ) Σ k c, k = ρ0ᵀ(I-γM)⁻¹, M = min(P,P'): theory 6."""
    return m.gamma * m.span * m.horizon * m.state_overlap


@bound(Discounted, "ergodicity")
def ergodic(m: Measures) -> Any:
    """γ τ(X') span(Ā) Σ ρ TV: theory 6; Seneta 1988 for τ."""
    return m.gamma * m.ergodicity * m.span * m.visited_tv


@bound(Discounted, "step shift", "ergodicity")
def one_step_ergodic(m: Measures) -> Any:
    """one_step with τ(X') in place of 1/(1-γ): theory 6."""
    return m.gamma * m.span * m.step_shift * m.ergodicity / 2


def _alpha_horizon(m: Measures) -> Any:
    """Return alpha / (1 - gamma (1 - alpha)), which grows with alpha and with the horizon."""
    return np.where(m.alpha > 0.0, m.alpha, 1.0) / (1.0 / m.horizon + m.gamma * m.alpha) * (m.alpha > 0.0)


# ---- Episodic: T' in place of the horizon 1 / (1 - gamma), or the longer of T and T' --------------------------------


@bound(Episodic)
def cpo_tv_episodic(m: Measures) -> Any:
    """2 T' ε̄ Σ e TV: theory 6."""
    return 2 * m.horizon * m.epsilon_bar * m.visited_tv


@bound(Episodic)
def ergodic_episodic(m: Measures) -> Any:
    """T' span₀(Ā) Σ e TV: theory 6."""
    return m.horizon * m.span * m.visited_tv


@bound(Episodic, "action overlap")
def propagated_action_episodic(m: Measures) -> Any:
    """max(T, T') span₀(Ā) Σ k TV, k = ρ0ᵀ(I-M)⁻¹, M = Σ min(π,π')P: theory 6."""
    # After parting each policy has its own visits to come: L those of the base, eta' those of the candidate.
    return m.either_horizon * m.span * m.action_overlap


@bound(Episodic, "step shift")
def one_step_episodic(m: Measures) -> Any:
    """T' span₀(Ā) (‖(P'-P)ᵀe‖₁ + |eᵀ(term'-term)|) / 2: theory 6."""
    return m.horizon * m.span * m.step_shift / 2


@bound(Episodic, "state overlap")
def propagated_state_episodic(m: Measures) -> Any:
    """max(T, T') span₀(Ā) Σ k c, k = ρ0ᵀ(I-M)⁻¹, M = min(P,P'): theory 6."""
    return m.either_horizon * m.span * m.state_overlap


# ---- Average: on |g' - g - d^T Abar| --------------------------------------------------------------------------------


@bound(Average, "ergodicity")
def zhang_ross(m: Measures) -> Any:
    """2 (κ'-1) ε̄ E_d[TV], κ' = trace((I-P'+1d'ᵀ)⁻¹): Zhang & Ross 2021, theorem 1."""
    return 2 * (m.kappa - 1) * m.epsilon_bar * m.visited_tv


@bound(Average, "ergodicity")
def ergodic_average(m: Measures) -> Any:
    """τ(H') span(Ā) E_d[TV], H' the deviation matrix of π': theory 6; Seneta 1988 for τ."""
    return m.ergodicity * m.span * m.visited_tv
