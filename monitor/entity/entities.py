"""Linker and watch list as the configuration wants them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from monitor.entity.gazetteer import Gazetteer, load
from monitor.entity.link import Linker
from monitor.entity.watch import WatchItem, WatchList, faults_of, read_watch_file
from monitor.errors import ConfigError


@dataclass(frozen=True, slots=True)
class Entities:
    """What the flow asks about a text."""

    linker: Linker
    watch: WatchList


def open_entities(
    gazetteer: Path | None = None,
    aliases: Path | None = None,
    watch_file: Path | None = None,
    watch: Sequence[WatchItem] = (),
    *,
    products: bool = True,
) -> Entities:
    """Load everything.

    Raises ``ConfigError`` with the faults of all files and of the watch list at once.
    """
    faults: list[str] = []
    names: Gazetteer | None = None
    try:
        names = load(gazetteer, aliases)
    except ConfigError as error:
        faults.append(str(error))
    items = list(watch)
    if watch_file is not None:
        try:
            items += read_watch_file(watch_file)
        except ConfigError as error:
            faults.append(str(error))
    if names is not None:
        faults += faults_of(items, names)
    if names is None or faults:
        raise ConfigError("\n".join(faults))
    return Entities(Linker(names, products=products), WatchList(items, names))
