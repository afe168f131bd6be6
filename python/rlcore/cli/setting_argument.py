"""The options that name a setting: --gamma, --setting, --gammas."""

from __future__ import annotations

from rlcore.errors import ArgumentError, SettingError
from rlcore.settings import Average, Discounted, Episodic, FiniteHorizon, Setting

FORMS = "episodic, average or horizon:N"


def read_setting(gamma: float | None, text: str | None) -> Setting:
    """Return the setting that --gamma or --setting names, one of which must be given."""
    if (gamma is None) == (text is None):
        got = "neither" if gamma is None else "both"
        raise SettingError(f"setting: expected either --gamma G or --setting {FORMS}, got {got}")
    if gamma is not None:
        return Discounted(gamma)
    assert text is not None
    name, colon, steps = text.partition(":")
    if name == "horizon" and steps.isascii() and steps.isdigit():
        return FiniteHorizon(int(steps))
    if not colon and name in ("episodic", "average"):
        return Episodic() if name == "episodic" else Average()
    raise SettingError(f"setting: expected {FORMS}, got {text!r}")


def read_gammas(text: str) -> list[float]:
    """Return the discount factors of --gammas, which are separated by commas."""
    try:
        gammas = [float(part) for part in text.split(",")]
    except ValueError:
        raise ArgumentError(f"gammas: expected numbers separated by commas, got {text!r}") from None
    return sorted({Discounted(gamma).gamma for gamma in gammas})


def in_words(setting: Setting) -> str:
    """Return what is counted, in words."""
    if isinstance(setting, Discounted):
        return f"discount factor {setting.gamma!r}"
    if isinstance(setting, FiniteHorizon):
        return "1 step" if setting.steps == 1 else f"{setting.steps:,} steps"
    return "to the end of the episode" if isinstance(setting, Episodic) else "average over time without end"
