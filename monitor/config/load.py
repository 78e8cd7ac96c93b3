"""From a TOML file and the environment to settings, or to every fault at once."""

from __future__ import annotations

import difflib
import os
import re
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypeGuard, get_args

from pydantic import BaseModel, ValidationError

from monitor.config.settings import Settings
from monitor.errors import ConfigError
from monitor.receivers import TYPES

PREFIX = "MONITOR_"
_TOP_LEVEL = frozenset({"watchdog"})


def load_settings(path: Path | None, environ: Mapping[str, str] | None = None) -> Settings:
    """Read the file (none: defaults) and the environment.

    Raises ``ConfigError`` with every fault at once, each with its place and how to mend it.
    """
    tree = _read(path) if path is not None else {}
    faults: list[str] = []
    variables: dict[tuple[str, ...], str] = {}
    for name, value in sorted((os.environ if environ is None else environ).items()):
        place = _place(name)
        if place is None:
            continue
        variables[place] = name
        if not _put(tree, place, value):
            faults.append(f"  {name}: {'.'.join(place[:-1])} is no section that can be added to")
    try:
        settings = Settings.model_validate(tree)
    except ValidationError as error:
        found = error.errors(include_url=False, include_context=False)
        faults += [f"  {_where(e['loc'], variables)}: {_explain(e)}" for e in found]
    if faults:
        count = f"{len(faults)} fault{'s' if len(faults) > 1 else ''}"
        where = path or "the environment"
        raise ConfigError(f"{where}: {count} in the configuration\n" + "\n".join(faults))
    return settings


def _place(variable: str) -> tuple[str, ...] | None:
    """Where a variable of the environment belongs; None: it is none of ours.

    A name without a double underscore is ours only if it is a setting of the top level: Kubernetes
    makes up others, such as MONITOR_PORT, for a service that is called monitor.
    """
    if not variable.startswith(PREFIX):
        return None
    names = tuple(variable.removeprefix(PREFIX).lower().split("__"))
    return names if len(names) > 1 or names[0] in _TOP_LEVEL else None


def _where(loc: tuple[int | str, ...], variables: Mapping[tuple[str, ...], str]) -> str:
    """The place of a fault, with the variable that it came from."""
    place = tuple(str(part) for part in _written(loc))
    near = (v for p, v in variables.items() if p[: len(place)] == place[: len(p)])
    variable = next(near, None)
    return ".".join(place) + (f" (from {variable})" if variable else "")


def _written(loc: tuple[int | str, ...]) -> tuple[int | str, ...]:
    """A place without the type of a receiver, which the file has as a value, not as a name."""
    if loc[:2] == ("delivery", "receivers") and len(loc) > 3 and loc[3] in TYPES:
        return (*loc[:3], *loc[4:])
    return loc


def _explain(error: Any) -> str:
    if error["type"] == "extra_forbidden":
        meant = difflib.get_close_matches(str(error["loc"][-1]), _names(error["loc"]), 1)
        hint = f", perhaps {meant[0]} is meant" if meant else ""
        return f"unknown name{hint}; see deploy/monitor.example.toml for those that exist"
    if error["type"] == "missing":
        return "is missing"
    if error["type"] == "union_tag_invalid":
        return f"type must be one of {', '.join(TYPES)}"
    message = error["msg"].removeprefix("Value error, ")
    return f"{message}{_shown(error['input'], '.'.join(str(p) for p in error['loc']))}"


def _names(loc: Sequence[int | str]) -> list[str]:
    """The names that there are where the last of ``loc`` was found; none where that depends on the
    type of a receiver."""
    section: type[BaseModel] = Settings
    for part in loc[:-1]:
        if isinstance(part, str):
            kind = section.model_fields[part].annotation
            found = [k for k in (kind, *get_args(kind)) if _is_section(k)]
            if not found:
                return []
            section = found[0]
    return list(section.model_fields)


def _is_section(kind: object) -> TypeGuard[type[BaseModel]]:
    return isinstance(kind, type) and issubclass(kind, BaseModel)


def _shown(value: object, place: str) -> str:
    """The value at fault, unless it may hold a secret: by its name, its shape or its kind."""
    if any(word in place for word in ("secret", "password", "key", "headers")):
        return " (found a secret)"
    if not isinstance(value, str | int | float) or str(value)[:1] in ("[", "{"):
        return ""
    found = re.sub(r"//.*@", "//…@", value) if isinstance(value, str) else value
    return f" (found {found!r:.80})"


def _read(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text("utf-8"))
    except OSError as error:
        raise ConfigError(
            f"{path}: cannot be read ({error.strerror}); "
            "start from deploy/monitor.example.toml, or leave --config out for the defaults"
        ) from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: is not TOML: {error}") from error


def _put(tree: dict[str, Any], place: tuple[str, ...], value: str) -> bool:
    """Set a value; False when something on the way to its place is not a section."""
    for name in place[:-1]:
        tree = tree.setdefault(name, {})
        if not isinstance(tree, dict):
            return False
    tree[place[-1]] = _parsed(value)
    return True


def _parsed(value: str) -> Any:
    """Arrays and tables are written as in TOML; whatever is neither is a plain text."""
    if value[:1] not in ("[", "{"):
        return value
    try:
        return tomllib.loads(f"v = {value}")["v"]
    except tomllib.TOMLDecodeError:
        return value
