"""Alias files: what people call organisations, with dates. The format: docs/entities.md."""

from __future__ import annotations

import re
import tomllib
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path
from typing import Any, Final, NamedTuple

from monitor.entity.names import COMPANY, normalised
from monitor.errors import ConfigError

_KEY: Final = re.compile(r"(?:company:)?[A-Z]{2}:[A-Z0-9][A-Z0-9.&\-]{0,15}")
_TOP: Final = ("companies", "organisations", "ignore")
_FIELDS: Final = (
    "name", "aliases", "common", "products", "tickers", "unless", "delisted",
)  # fmt: skip


class Alias(NamedTuple):
    """A name or a ticker, with the first and the last day on which it is meant; None: unbounded."""

    name: str
    since: date | None = None
    until: date | None = None


@dataclass(frozen=True, slots=True)
class Listing:
    """What one company is called."""

    name: str
    aliases: tuple[Alias, ...]
    """Link on sight; holds the name, unless it is among the common ones."""
    common: tuple[Alias, ...] = ()
    """Everyday words and surnames: link with support from the context."""
    products: tuple[Alias, ...] = ()
    tickers: tuple[Alias, ...] = ()
    unless: tuple[str, ...] = ()
    delisted: date | None = None
    """The last day of trading: its symbol means nothing afterwards, its names go on."""


@dataclass(frozen=True, slots=True)
class AliasFile:
    """One file, checked. ``companies`` by full key."""

    companies: dict[str, Listing]
    organisations: dict[str, tuple[str, ...]]
    ignore: tuple[str, ...]


def load_aliases(path: Path) -> AliasFile:
    """Read and check an alias file.

    Raises ``ConfigError`` with every fault: unknown names, keys of another shape, dates that do not
    parse, empty names.
    """
    try:
        tree = tomllib.loads(path.read_text("utf-8"))
    except OSError as error:
        raise ConfigError(f"{path}: the alias file cannot be read ({error.strerror})") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: is not TOML: {error}") from error
    reader = _Reader()
    file = reader.file(tree)
    if reader.faults:
        count = f"{len(reader.faults)} fault{'s' if len(reader.faults) > 1 else ''}"
        lines = "\n".join(f"  {fault}" for fault in reader.faults)
        raise ConfigError(f"{path}: {count} in the alias file\n{lines}")
    return file


class _Reader:
    """Turns the tree of a file into listings and collects what is wrong with it."""

    def __init__(self) -> None:
        self.faults: list[str] = []

    def file(self, tree: dict[str, Any]) -> AliasFile:
        self._known(tree, _TOP, "")
        companies = {}
        for key, value in self._table(tree, "companies").items():
            if not _KEY.fullmatch(key):
                self._fault(f"companies.{key}", 'must be "COUNTRY:SYMBOL", such as "US:JPM"')
                continue
            listing = self._listing(f"companies.{key}", value)
            if listing is not None:
                companies[key if key.startswith(COMPANY) else COMPANY + key] = listing
        organisations = {}
        for name, value in self._table(tree, "organisations").items():
            place = f"organisations.{name}"
            if not normalised(name):
                self._fault(place, "nothing is left of this name without legal forms")
            organisations[name] = tuple(a.name for a in self._aliases(place, value, dated=False))
        ignore = self._aliases("ignore", tree.get("ignore", []), dated=False)
        return AliasFile(companies, organisations, tuple(alias.name for alias in ignore))

    def _listing(self, place: str, value: Any) -> Listing | None:
        if isinstance(value, list):
            names = self._aliases(place, value)
            if not names:
                self._fault(place, "needs a name")
                return None
            return Listing(names[0].name, names)
        if not isinstance(value, dict):
            self._fault(place, "must be an array of names or a table")
            return None
        self._known(value, _FIELDS, place)
        name = value.get("name")
        if not isinstance(name, str) or not name.strip():
            self._fault(f"{place}.name", "must be a text that is not empty")
            return None
        common = self._aliases(f"{place}.common", value.get("common", []))
        aliases = self._aliases(f"{place}.aliases", value.get("aliases", []))
        if name not in {alias.name for alias in (*common, *aliases)}:
            aliases = (Alias(name), *aliases)
        return Listing(
            name,
            aliases,
            common,
            self._aliases(f"{place}.products", value.get("products", [])),
            self._aliases(f"{place}.tickers", value.get("tickers", [])),
            tuple(a.name for a in self._aliases(f"{place}.unless", value.get("unless", []), False)),
            self._date(f"{place}.delisted", value.get("delisted")),
        )

    def _aliases(self, place: str, value: Any, dated: bool = True) -> tuple[Alias, ...]:
        if not isinstance(value, list):
            self._fault(place, "must be an array")
            return ()
        found = [self._alias(f"{place}[{i}]", item, dated) for i, item in enumerate(value)]
        return tuple(alias for alias in found if alias is not None)

    def _alias(self, place: str, value: Any, dated: bool) -> Alias | None:
        since = until = None
        if isinstance(value, dict) and dated:
            self._known(value, ("name", "since", "until"), place)
            since = self._date(f"{place}.since", value.get("since"))
            until = self._date(f"{place}.until", value.get("until"))
            if since and until and since > until:
                self._fault(place, f"since {since} lies after until {until}")
            value = value.get("name")
        if not isinstance(value, str) or not any(c.isalnum() for c in value):
            shape = "a text, or a table with name, since and until" if dated else "a text"
            self._fault(place, f"must be {shape}, with a letter or digit in the name")
            return None
        return Alias(value.strip(), since, until)

    def _date(self, place: str, value: Any) -> date | None:
        if value is None or (isinstance(value, date) and not isinstance(value, datetime)):
            return value
        if isinstance(value, str):
            try:
                return date.fromisoformat(value)
            except ValueError:
                pass
        self._fault(place, f"must be a date such as 2022-10-28 (found {value!r:.40})")
        return None

    def _table(self, tree: dict[str, Any], name: str) -> dict[str, Any]:
        value = tree.get(name, {})
        if isinstance(value, dict):
            return value
        self._fault(name, "must be a table")
        return {}

    def _known(self, table: dict[str, Any], names: tuple[str, ...], place: str) -> None:
        for name in table:
            if name not in names:
                where = f"{place}.{name}" if place else name
                self._fault(where, f"unknown name; known are {', '.join(names)}")

    def _fault(self, place: str, what: str) -> None:
        self.faults.append(f"{place}: {what}")
