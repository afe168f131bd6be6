"""The argument MODEL: where a model comes from, and what it is made with."""

from __future__ import annotations

import inspect
import os
import re
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any, TypeGuard

from rich.console import Console

from rlcore import gallery
from rlcore.errors import InputError, ModelError
from rlcore.io.file import load
from rlcore.io.gymnasium import from_gymnasium
from rlcore.mdp import MDP

FORMS = "gym:ID[:key=value...], gallery:NAME[:key=value...] or the file of a saved model"

Value = bool | int | float | str


@dataclass(frozen=True, slots=True)
class NamedModel:
    """A model, and what the user called it."""

    name: str
    mdp: MDP


def read_model(text: str, console: Console) -> NamedModel:
    """Return the model that the argument names. What the environment warns of goes to the console, a line each."""
    source, _, rest = text.partition(":")
    name, arguments = _split(rest)
    if source not in ("gym", "gallery"):
        if text.endswith(".npz") or os.path.isfile(text):
            return NamedModel(text, _from_file(text))
        raise ModelError(f"MODEL: expected {FORMS}, got {text!r}{_mended(text)}")
    if not name:
        raise ModelError(f"MODEL: expected {FORMS}, got {text!r}, which names no model")
    make = _from_gymnasium if source == "gym" else _from_gallery
    waiting = console.status(f"making {text}") if console.is_interactive else nullcontext()
    with _warnings_as_notes(console), waiting:
        return NamedModel(text, make(name, arguments))


def _split(rest: str) -> tuple[str, dict[str, Value]]:
    """Split NAME:key=value:key=value. A colon that no key follows belongs to what stands before it."""
    name, *pairs = re.split(r":(?=[A-Za-z_]\w*=)", rest)
    arguments: dict[str, Value] = {}
    for pair in pairs:
        key, _, value = pair.partition("=")
        if key in arguments:
            raise ModelError(f"MODEL: {key} is given twice")
        arguments[key] = _value(value)
    return name, arguments


def _value(text: str) -> Value:
    """Read a whole number, a number or true/false; anything else is text."""
    if text.lower() in ("true", "false"):
        return text.lower() == "true"
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            pass
    return text


def _mended(text: str) -> str:
    """Guess what was meant by an argument without a source."""
    name = text.partition(":")[0]
    if name in _gallery_models():
        return f"; did you mean 'gallery:{text}'?"
    if re.fullmatch(r"[A-Za-z]\w*-v\d+", name):
        return f"; did you mean 'gym:{text}'?"
    if os.path.isdir(text):
        return ", which is a directory"
    if os.sep in text or re.search(r"\.\w{1,4}$", text):
        return "; there is no such file" + _near_file(text)
    return ""


def _near_file(path: str) -> str:
    """Guess which saved model was meant by the name of a file that is not there."""
    folder, name = os.path.split(path)
    try:
        saved = [entry for entry in os.listdir(folder or ".") if entry.endswith(".npz")]
    except OSError:
        return ""
    near = get_close_matches(name, saved, n=1)
    return f"; did you mean {os.path.join(folder, near[0])!r}?" if near else ""


def _from_file(path: str) -> MDP:
    try:
        return load(path)
    except OSError as error:
        hint = _near_file(path) if isinstance(error, FileNotFoundError) else ""
        raise ModelError(f"MODEL: cannot read {path!r}: {error.strerror}{hint}") from None


def _from_gymnasium(name: str, arguments: dict[str, Value]) -> MDP:
    module, colon, word = name.rpartition(":")
    if colon and not re.fullmatch(r"[A-Za-z_][\w.]*", module):
        raise ModelError(f"gym:{module}: expected key=value, got {word!r}")
    try:
        return from_gymnasium(name, **arguments)
    except InputError as error:
        raise ModelError(f"gym:{name}: {str(error).removeprefix('env: ')}") from error


def _gallery_models() -> list[str]:
    """Return the names of the gallery's models, without those of what it knows about them."""
    return [name for name in gallery.__all__ if inspect.isfunction(getattr(gallery, name))]


def _from_gallery(name: str, arguments: dict[str, Value]) -> MDP:
    name, _, word = name.partition(":")
    models = _gallery_models()
    if name not in models:
        near = get_close_matches(name, models, n=1)
        hint = f"did you mean {near[0]!r}?" if near else "there are " + ", ".join(models)
        raise ModelError(f"MODEL: the gallery has no {name!r}; {hint}")
    if word:
        raise ModelError(f"gallery:{name}: expected key=value, got {word!r}")
    make: Callable[..., MDP] = getattr(gallery, name)
    parameters = inspect.signature(make).parameters
    _check_keys(name, parameters, arguments)
    whole = {key: int(value) for key, value in arguments.items() if _means_whole_number(value, parameters[key])}
    try:
        return make(**{**arguments, **whole})
    except InputError as error:
        raise ModelError(f"gallery:{name}: {error}") from error


def _check_keys(name: str, parameters: Any, arguments: dict[str, Value]) -> None:
    for key in arguments:
        if key not in parameters:
            near = get_close_matches(key, parameters, n=1)
            hint = f"; did you mean {near[0]!r}?" if near else ""
            known = f"it takes {', '.join(parameters)}" if parameters else "it takes no keys"
            raise ModelError(f"gallery:{name}: unknown key {key!r}{hint or '; ' + known}")
    missing = [key for key, one in parameters.items() if one.default is one.empty and key not in arguments]
    if missing:
        example = ":".join(f"{key}=..." for key in missing)
        raise ModelError(f"gallery:{name} needs {', '.join(missing)}: write gallery:{name}:{example}")


def _means_whole_number(value: Value, parameter: inspect.Parameter) -> TypeGuard[float]:
    """1e6 is a number of states, too."""
    return isinstance(value, float) and value.is_integer() and parameter.annotation in (int, "int")


@contextmanager
def _warnings_as_notes(console: Console) -> Iterator[None]:
    with warnings.catch_warnings(record=True) as caught:
        yield
    for message in dict.fromkeys(_without_colour(str(warning.message)) for warning in caught):
        console.print(f"note: {message.removeprefix('WARN: ')}", style="dim", soft_wrap=True)


def _without_colour(text: str) -> str:
    return re.sub(r"\x1b\[[\d;]*m", "", text)
