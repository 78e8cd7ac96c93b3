"""Watch lists: what the user wants counted, whatever else a text is about."""

from __future__ import annotations

import tomllib
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Annotated, Any, Final

import re2
from ahocorasick_rs import AhoCorasick, Implementation
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from monitor.entity.gazetteer import IDEOGRAM, Gazetteer, folded, patterns_of
from monitor.entity.reading import Link
from monitor.errors import ConfigError

LONGEST_PATTERN: Final = 500
"""Characters of a regular expression."""
PATTERN_MEMORY: Final = 1 << 20
"""Bytes that a compiled expression may take."""

Text = Annotated[str, Field(min_length=1, max_length=200)]
Pattern = Annotated[str, Field(min_length=1, max_length=LONGEST_PATTERN)]


class WatchItem(BaseModel):
    """One thing that is watched: a document counts for it that any of its parts finds."""

    model_config = ConfigDict(extra="forbid", frozen=True, str_strip_whitespace=True)

    id: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]{0,62}$")]
    """The rest of its key, ``watch:<id>``."""
    companies: tuple[Text, ...] = ()
    """Keys: ``US:JPM``, ``company:CN:600519``, ``name:silicon valley bank``."""
    names: tuple[Text, ...] = ()
    """People, products, phrases: whole words, upper or lower case."""
    patterns: tuple[Pattern, ...] = ()
    """Regular expressions in the syntax of RE2."""

    @field_validator("names")
    @classmethod
    def _holds_a_word(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        if empty := [name for name in names if not any(c.isalnum() for c in name)]:
            raise ValueError(f"needs a letter or a digit: {empty[0]!r}")
        return names

    @field_validator("patterns")
    @classmethod
    def _compiles(cls, patterns: tuple[str, ...]) -> tuple[str, ...]:
        faults = []
        for pattern in patterns:
            try:
                found = re2.compile(pattern, _options())
            except re2.error as error:
                why = error.args[0] if error.args else error
                told = why.decode("utf-8", "replace") if isinstance(why, bytes) else why
                faults.append(f"{pattern!r}: {told}")
            else:
                if found.search("") is not None:
                    faults.append(f"{pattern!r}: matches an empty text, so every document")
        if faults:
            raise ValueError(
                "must be regular expressions of RE2, without look-around and back-references: "
                + "; ".join(faults)
            )
        return patterns

    @model_validator(mode="after")
    def _watches_something(self) -> WatchItem:
        if not (self.companies or self.names or self.patterns):
            raise ValueError(f"{self.id!r} watches nothing: give companies, names or patterns")
        return self


def read_watch_file(path: Path) -> tuple[WatchItem, ...]:
    """The ``[[watch]]`` tables of a file.

    Raises ``ConfigError`` with every fault.
    """
    try:
        tree: dict[str, Any] = tomllib.loads(path.read_text("utf-8"))
    except OSError as error:
        raise ConfigError(f"{path}: the watch list cannot be read ({error.strerror})") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: is not TOML: {error}") from error
    faults = [f"{name}: unknown name; known is watch" for name in tree if name != "watch"]
    tables = tree.get("watch", [])
    items = []
    if not isinstance(tables, list):
        faults.append("watch: must be [[watch]] tables")
        tables = []
    for number, table in enumerate(tables):
        try:
            items.append(WatchItem.model_validate(table))
        except ValidationError as error:
            for fault in error.errors(include_url=False, include_context=False):
                place = ".".join(str(part) for part in ("watch", number, *fault["loc"]))
                faults.append(f"{place}: {fault['msg'].removeprefix('Value error, ')}")
    if faults:
        count = f"{len(faults)} fault{'s' if len(faults) > 1 else ''}"
        raise ConfigError(
            f"{path}: {count} in the watch list\n" + "\n".join(f"  {f}" for f in faults)
        )
    return tuple(items)


def faults_of(items: Sequence[WatchItem], gazetteer: Gazetteer) -> list[str]:
    """What is wrong with items that are well-formed: ids that occur twice, companies that the
    gazetteer does not have."""
    count = Counter(item.id for item in items)
    faults = [f"watch {name!r}: the id occurs {n} times" for name, n in count.items() if n > 1]
    faults += [
        f"watch {item.id!r}: unknown company {key!r}; keys are COUNTRY:SYMBOL or name:…, "
        "and an alias file can add companies"
        for item in items
        for key in item.companies
        if gazetteer.resolve(key) is None
    ]
    return faults


class WatchList:
    """All watched things. Linear in the length of a text, whatever the patterns are.

    Raises ``ConfigError`` where `faults_of` finds something.
    """

    def __init__(self, items: Sequence[WatchItem], gazetteer: Gazetteer) -> None:
        if faults := faults_of(items, gazetteer):
            raise ConfigError("\n".join(faults))
        self.ids = tuple(item.id for item in items)
        self._by_key: dict[str, list[str]] = {}
        names: dict[str, set[str]] = {}
        self._ideograms: list[tuple[str, str]] = []
        self._patterns = re2.Set.SearchSet(_options())
        self._pattern_ids: list[str] = []
        for item in items:
            for key in item.companies:
                self._by_key.setdefault(str(gazetteer.resolve(key)), []).append(item.id)
            for name in item.names:
                if IDEOGRAM.search(name):
                    self._ideograms.append((name.lower(), item.id))
                    continue
                for pattern in patterns_of(name):
                    names.setdefault(pattern, set()).add(item.id)
            for pattern in item.patterns:
                self._patterns.Add(pattern)
                self._pattern_ids.append(item.id)
        self._patterns.Compile()
        self._name_ids = list(names.values())
        self._names = (
            AhoCorasick(list(names), implementation=Implementation.ContiguousNFA) if names else None
        )

    def items_of(self, key: str) -> Sequence[str]:
        """The ids that watch this company or name."""
        return self._by_key.get(key, ())

    def match(self, text: str, links: Iterable[Link]) -> list[str]:
        """The ids that a normalised text counts for, sorted, each once."""
        found: set[str] = set()
        if self._by_key:
            for link in links:
                found.update(self._by_key.get(link.key, ()))
        if self._names is not None:
            hits = self._names.find_matches_as_indexes(f" {folded(text)} ", overlapping=True)
            for index, _, _ in hits:
                found.update(self._name_ids[index])
        if self._ideograms and not text.isascii():
            low = text.lower()
            found.update(identifier for name, identifier in self._ideograms if name in low)
        if self._pattern_ids:
            found.update(self._pattern_ids[i] for i in self._patterns.Match(text) or ())
        return sorted(found)


def _options() -> Any:
    options = re2.Options()
    options.max_mem = PATTERN_MEMORY
    options.log_errors = False
    return options
