"""What the lab can change, and how a command line or another file says it."""

from __future__ import annotations

import tomllib
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from monitor import config
from monitor.entity.watch import WatchItem, read_watch_file
from monitor.errors import ConfigError
from monitor.section import Section

_SECTIONS = ("detect", "aggregate")
_WATCH_FILE = "entities.watch_file"


@dataclass(frozen=True, slots=True)
class Rules:
    """Everything that decides what becomes of scored documents."""

    detect: config.Detect
    aggregate: config.Aggregate
    watch: tuple[WatchItem, ...]

    @classmethod
    def of(cls, settings: config.Settings) -> Rules:
        """Those of a configuration. Raises ``ConfigError`` where its watch file cannot be read."""
        entities = settings.entities
        listed = read_watch_file(entities.watch_file) if entities.watch_file else ()
        return cls(settings.detect, settings.aggregate, (*entities.watch, *listed))


def changed(settings: config.Settings, sets: Iterable[str]) -> Rules:
    """The rules of a configuration with these changes, each ``section.name=value``, the value as
    in TOML; text needs no quotes.

    Raises ``ConfigError`` with every fault at once.
    """
    trees: dict[str, dict[str, Any]] = {
        name: getattr(settings, name).model_dump() for name in _SECTIONS
    }
    entities = settings.entities
    faults = []
    for change in sets:
        place, equals, text = change.partition("=")
        place = place.strip()
        section, _, name = place.partition(".")
        if not equals:
            faults.append(f"--set {change}: must be section.name=value, as in detect.budget=2")
        elif place == _WATCH_FILE:
            entities = entities.model_copy(update={"watch_file": _path(text)})
        elif section not in trees:
            faults.append(
                f"--set {change}: the lab changes [detect], [aggregate] and {_WATCH_FILE}; other "
                "watched items come with --with FILE"
            )
        elif name not in trees[section]:
            known = ", ".join(trees[section])
            faults.append(f"--set {change}: [{section}] has no {name}; it has {known}")
        else:
            trees[section][name] = _value(text)
    made: dict[str, Section] = {}
    for section in _SECTIONS:
        try:
            made[section] = type(getattr(settings, section)).model_validate(trees[section])
        except ValidationError as error:
            faults += [
                f"--set {section}.{'.'.join(map(str, e['loc']))}={e['input']}: {e['msg']}"
                for e in error.errors(include_url=False, include_context=False)
            ]
    if faults:
        raise ConfigError("\n".join(faults))
    return replace(Rules.of(settings.model_copy(update={"entities": entities})), **made)  # type: ignore[arg-type]


def differences(today: Rules, other: Rules) -> list[str]:
    """What is changed, as ``section.name: before → after``."""
    found = []
    for section in _SECTIONS:
        before, after = getattr(today, section).model_dump(), getattr(other, section).model_dump()
        found += [
            f"{section}.{name}: {was} → {after[name]}"
            for name, was in before.items()
            if was != after[name]
        ]
    was, now = {i.id: i for i in today.watch}, {i.id: i for i in other.watch}
    found += [f"watch {name}: no more" for name in sorted(was.keys() - now.keys())]
    found += [f"watch {name}: new" for name in sorted(now.keys() - was.keys())]
    both = sorted(was.keys() & now.keys())
    return found + [f"watch {name}: changed" for name in both if was[name] != now[name]]


def _value(text: str) -> Any:
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        return text.strip()


def _path(text: str) -> Path:
    return Path(str(_value(text)))
