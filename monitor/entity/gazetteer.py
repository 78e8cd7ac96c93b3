"""The gazetteer: which names and symbols mean which company, and when.

Two files make it: the companies of the exchanges' lists (`data/gazetteer.tsv.xz`, written by
``monitor gazetteer build``) and what people call them (`data/aliases.toml`, written by hand). A
user's own alias file wins over both.
"""

from __future__ import annotations

import lzma
import re
import unicodedata
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from functools import lru_cache
from pathlib import Path
from typing import Final, NamedTuple

from ahocorasick_rs import AhoCorasick, Implementation

from monitor.entity.aliases import Alias, AliasFile, Listing, load_aliases
from monitor.entity.names import COMPANY, NAME, company_key, name_key
from monitor.entity.words import word_list
from monitor.errors import ConfigError

COLUMNS: Final = ("key", "mic", "tickers", "legal", "names")
WEAK_MARK: Final = "~"
"""Before a name in the file: an everyday word, which needs more than capitals."""

OTHERS: Final = "others"
"""Key of the row that holds the symbols of funds."""

SURE, CASED, COMMON, WEAK, PRODUCT, ORGANISATION, TICKER, RARE, IGNORE, CUE = range(10)
"""What a pattern is: a name that links on sight; one that must be written in capitals; an everyday
word that a well-known company is called, and one that a little-known company is called; a product;
an organisation that is no company; a bare symbol of a well-known and of a little-known company;
what only looks like a name; a word that ends the names of organisations (Bank, Group)."""

SHIPPED: Final = Path(__file__).parent / "data"
_ALWAYS: Final = (date.min.toordinal(), date.max.toordinal())
_BREAK: Final = re.compile(r"[^\w ]|[_\u2e80-\u30ff\u3400-\u9fff\uac00-\ud7af\uf900-\ufaff]")
"""What stands between two words of an alphabet, beside the space."""
IDEOGRAM: Final = re.compile(r"[\u3040-\u30ff\u3400-\u9fff]")
_ASCII: Final = bytes(c if c < 128 and chr(c).isalnum() else 32 for c in range(256))
_BETWEEN: Final = "\n"
"""Between two texts that are searched together; normalised texts have none, nor has any name."""
_ASCII_LOW: Final = bytes(10 if c == 10 else ord(chr(b).lower()) for c, b in enumerate(_ASCII))
CUES: Final = word_list("organisation_ends")
"""Last words of the names of companies."""


class Meaning(NamedTuple):
    """One thing that a pattern may mean."""

    key: str
    kind: int
    since: int
    until: int
    """First and last day, as proleptic Gregorian ordinals."""
    written: str
    """The name as it is usually written."""
    unless: frozenset[str] = frozenset()
    """Lower-case words nearby that speak against it."""


@dataclass(frozen=True, slots=True)
class Company:
    """One listed (or once listed) company."""

    key: str
    name: str
    """What people call it."""
    mic: str = ""
    """ISO 10383 code of its exchange; empty where no list names it."""
    legal: str = ""
    tickers: tuple[str, ...] = ()
    delisted: date | None = None


class Row(NamedTuple):
    """One line of the gazetteer's file. A name that begins with ``~`` is an everyday word."""

    key: str
    mic: str
    tickers: tuple[str, ...]
    legal: str
    names: tuple[str, ...]


def spaced(text: str) -> str:
    """The text with a space for whatever is no letter or digit; as long as it was.

    Ideograms and kana are spaces here: `Gazetteer.ideograms` searches them in the text itself.
    """
    if text.isascii():
        return text.encode("ascii").translate(_ASCII).decode("ascii")
    return _spaced(text)


@lru_cache(maxsize=1_024)  # of a text that is searched, and then read
def _spaced(text: str) -> str:
    return _BREAK.sub(" ", text)


def folded(text: str) -> str:
    """What `spaced` returns, in lower case; as long as the text."""
    plain = spaced(text)
    low = plain.lower()
    if len(low) == len(plain):
        return low
    return "".join(c if len(c.lower()) > 1 else c.lower() for c in plain)


def patterns_of(name: str) -> set[str]:
    """How a name may stand in a folded text: with its punctuation, without, without accents."""
    forms = {name}
    if not name.isascii():
        apart = unicodedata.normalize("NFD", name)
        forms.add("".join(c for c in apart if not unicodedata.combining(c)))
    found = set()
    for form in forms:
        written = folded(form).strip()
        found |= {written, " ".join(written.split())}
        if "'" in form:
            found.add(" ".join(folded(form.replace("'", "")).split()))
    return {f" {form} " for form in found if form}


Hit = tuple[int, int, int]
"""Which pattern was found, and its first character and the one behind its last."""


@dataclass(slots=True)
class Gazetteer:
    """Everything that the linker looks up. Built by `load`; not changed afterwards."""

    companies: dict[str, Company] = field(default_factory=dict)
    organisations: dict[str, str] = field(default_factory=dict)
    """Key to display name of the organisations that are no companies."""
    symbols: dict[str, tuple[Meaning, ...]] = field(default_factory=dict)
    """By ticker in capitals, of the American exchanges."""
    others: frozenset[str] = frozenset()
    """Symbols of funds and currencies, which are no companies."""
    words: AhoCorasick | None = None
    word_meanings: list[tuple[Meaning, ...]] = field(default_factory=list)
    ideograms: AhoCorasick | None = None
    ideogram_meanings: list[tuple[Meaning, ...]] = field(default_factory=list)

    def resolve(self, key: str) -> str | None:
        """The key that a company goes by, from its key, one of its symbols (``company:US:GOOG``) or
        a key without the prefix (``US:JPM``); None where nobody is called so.

        A ``name:`` key is normalised and always known.
        """
        if key.startswith(NAME):
            normal = name_key(key.removeprefix(NAME))
            return normal if normal != NAME else None
        full = key if key.startswith(COMPANY) else COMPANY + key
        if full in self.companies:
            return full
        country, _, symbol = full.removeprefix(COMPANY).partition(":")
        meanings = self.symbols.get(symbol.replace("-", "."), ()) if country == "US" else ()
        return meanings[0].key if meanings else None

    def name_of(self, key: str) -> str:
        """How a person would call what a key means."""
        company = self.companies.get(key)
        if company is not None:
            return company.name
        return self.organisations.get(key, key.rpartition(":")[2])

    def meanings(self, name: str) -> tuple[Meaning, ...]:
        """What a name may mean, whatever the day and the context."""
        if self.ideograms is not None and IDEOGRAM.search(name):
            hits = self.ideograms.find_matches_as_indexes(name, overlapping=True)
            return next((self.ideogram_meanings[i] for i, s, e in hits if e - s == len(name)), ())
        if self.words is None:
            return ()
        form = f" {' '.join(folded(name).split())} "
        hits = self.words.find_matches_as_indexes(form, overlapping=True)
        return next((self.word_meanings[i] for i, s, e in hits if e - s == len(form)), ())


def hits_of(gazetteer: Gazetteer, texts: Sequence[str]) -> dict[int, list[Hit]]:
    """Whatever of ``word_meanings`` stands in each of these texts, by the text's place; texts in
    which nothing does are left out. They overlap, in the order of their ends.

    The texts are searched as one: a search by itself costs as much as 200 characters.
    """
    found: dict[int, list[Hit]] = {}
    if gazetteer.words is None:
        return found
    plain = [number for number, text in enumerate(texts) if text.isascii()]
    if plain:
        joined = _joined([texts[number] for number in plain]).encode("ascii")
        low = joined.translate(_ASCII_LOW).decode("ascii")
        _search(gazetteer.words, low, texts, plain, found)
    if len(plain) < len(texts):
        others = [number for number, text in enumerate(texts) if not text.isascii()]
        low = _joined([folded(texts[number]) for number in others])
        _search(gazetteer.words, low, texts, others, found)
    return found


def _joined(texts: Iterable[str]) -> str:
    return f" {f' {_BETWEEN} '.join(texts)} "


def _search(
    automaton: AhoCorasick,
    low: str,
    texts: Sequence[str],
    numbers: Sequence[int],
    found: dict[int, list[Hit]],
) -> None:
    """Search texts that are joined, and note whose each hit is."""
    upcoming = iter(numbers)
    number, begin, end = -1, 0, -1
    for index, start, stop in automaton.find_matches_as_indexes(low, overlapping=True):
        while start >= end:
            number = next(upcoming)
            begin = end + 1
            end = begin + len(texts[number]) + 2
        # A pattern has a space in front and one behind.
        found.setdefault(number, []).append((index, start - begin, stop - begin - 2))


def read_rows(path: Path) -> list[Row]:
    """The lines of a built gazetteer.

    Raises ``ConfigError`` where the file is missing or is none.
    """
    mend = "write one with `monitor gazetteer build`"
    try:
        lines = lzma.decompress(path.read_bytes()).decode("utf-8").splitlines()
    except (OSError, lzma.LZMAError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: is no gazetteer ({error}); {mend}") from error
    cells = [line.split("\t") for line in lines]
    if not cells or tuple(cells[0]) != COLUMNS or any(len(c) != len(COLUMNS) for c in cells):
        raise ConfigError(f"{path}: is no gazetteer (its columns are others); {mend}")
    return [
        Row(key, mic, tuple(filter(None, tickers.split("|"))), legal, tuple(names.split("|")))
        for key, mic, tickers, legal, names in cells[1:]
    ]


def write_rows(path: Path, rows: Iterable[Row]) -> None:
    """Write a gazetteer; the same rows give the same bytes."""
    lines = [
        "\t".join([row.key, row.mic, "|".join(row.tickers), row.legal, "|".join(row.names)])
        for row in rows
    ]
    body = ("\n".join(["\t".join(COLUMNS), *lines]) + "\n").encode()
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(lzma.compress(body, preset=9 | lzma.PRESET_EXTREME))


def load(gazetteer: Path | None = None, aliases: Path | None = None) -> Gazetteer:
    """The shipped gazetteer, or the one that is named, with the user's aliases where there are any.

    Raises ``ConfigError`` with every fault of a file.
    """
    rows = read_rows(gazetteer or SHIPPED / "gazetteer.tsv.xz")
    files = [load_aliases(SHIPPED / "aliases.toml")]
    if aliases is not None:
        files.append(load_aliases(aliases))
    return compiled(rows, files)


def compiled(rows: Iterable[Row], files: Iterable[AliasFile]) -> Gazetteer:
    """A gazetteer of these rows and alias files; a later file wins, and each wins over the rows."""
    build = _Builder()
    for file in reversed(list(files)):
        build.add_file(file)
    build.add_rows(rows)
    return build.finish()


class _Builder:
    """Collects meanings by pattern. What is added first comes first, and hides what rows say."""

    def __init__(self) -> None:
        self.result = Gazetteer()
        self.words: dict[str, list[Meaning]] = {}
        self.ideograms: dict[str, list[Meaning]] = {}
        self.symbols: dict[str, list[Meaning]] = {}
        self.known: set[str] = set()  # patterns that a file has spoken for

    def add_file(self, file: AliasFile) -> None:
        fresh: dict[str, list[Meaning]] = {}
        for phrase in file.ignore:
            self._put(fresh, phrase, Meaning("", IGNORE, *_ALWAYS, phrase))
        for name, others in file.organisations.items():
            key = name_key(name)
            self.result.organisations.setdefault(key, name)
            for alias in (name, *others):
                self._put(fresh, alias, Meaning(key, ORGANISATION, *_ALWAYS, alias))
        for key, listing in file.companies.items():
            self._add_listing(fresh, key, listing)
        for pattern, meanings in fresh.items():
            if pattern not in self.known:
                self._table(pattern).setdefault(pattern, []).extend(meanings)
        self.known |= fresh.keys()

    def _add_listing(self, fresh: dict[str, list[Meaning]], key: str, listing: Listing) -> None:
        old = self.result.companies.get(key)
        if old is None:
            self.result.companies[key] = Company(key, listing.name, delisted=listing.delisted)
        unless = frozenset(word.casefold() for word in listing.unless)
        commons = {alias.name for alias in listing.common}
        for aliases, kind in (
            (listing.aliases, SURE),
            (listing.common, COMMON),
            (listing.products, PRODUCT),
        ):
            for alias in aliases:
                if kind == SURE and alias.name in commons:
                    continue
                meaning = Meaning(key, kind, *_days(alias), alias.name, unless)
                self._put(fresh, alias.name, meaning)
        country, _, symbol = key.removeprefix(COMPANY).partition(":")
        tickers = list(listing.tickers)
        if country == "US" and symbol not in {t.name for t in tickers}:
            tickers.append(Alias(symbol, None, listing.delisted))
        for ticker in tickers:
            meaning = Meaning(key, SURE, *_days(ticker), ticker.name)
            self.symbols.setdefault(ticker.name.upper().replace("-", "."), []).append(meaning)

    def add_rows(self, rows: Iterable[Row]) -> None:
        for row in rows:
            if row.key == OTHERS:
                self.result.others = frozenset(row.tickers)
                continue
            old = self.result.companies.get(row.key)
            name = old.name if old else row.names[0].removeprefix(WEAK_MARK)
            delisted = old.delisted if old else None
            self.result.companies[row.key] = Company(
                row.key, name, row.mic, row.legal, row.tickers, delisted
            )
            for text in row.names:
                weak = text.startswith(WEAK_MARK)
                text = text.removeprefix(WEAK_MARK)
                meaning = Meaning(row.key, WEAK if weak else CASED, *_ALWAYS, text)
                forms = {text} if IDEOGRAM.search(text) else patterns_of(text)
                for pattern in forms - self.known:
                    self._table(pattern).setdefault(pattern, []).append(meaning)
            if not row.key.startswith(COMPANY + "CN:"):
                self._add_symbols(row, curated=old is not None)

    def _add_symbols(self, row: Row, *, curated: bool) -> None:
        for ticker in row.tickers:
            bare = ticker.startswith(WEAK_MARK)  # an everyday word or acronym: never without its $
            symbol = ticker.removeprefix(WEAK_MARK)
            entries = self.symbols.setdefault(symbol, [])
            if all(entry.key != row.key for entry in entries):
                entries.append(Meaning(row.key, SURE if curated else CASED, *_ALWAYS, symbol))
            if not bare and len(symbol) > 2 and symbol.isalpha():
                pattern = f" {symbol.lower()} "
                if pattern not in self.known and pattern not in self.words:
                    self.words[pattern] = [
                        meaning._replace(kind=TICKER if meaning.kind == SURE else RARE)
                        for meaning in entries
                    ]

    def finish(self) -> Gazetteer:
        for cue in CUES:
            self.words.setdefault(f" {cue} ", []).append(Meaning("", CUE, *_ALWAYS, cue))
        result = self.result
        result.symbols = {symbol: tuple(found) for symbol, found in self.symbols.items()}
        result.words, result.word_meanings = _automaton(self.words)
        result.ideograms, result.ideogram_meanings = _automaton(self.ideograms)
        return result

    def _put(self, fresh: dict[str, list[Meaning]], name: str, meaning: Meaning) -> None:
        if IDEOGRAM.search(name):
            fresh.setdefault(unicodedata.normalize("NFKC", name), []).append(meaning)
            return
        for pattern in patterns_of(name):
            fresh.setdefault(pattern, []).append(meaning)

    def _table(self, pattern: str) -> dict[str, list[Meaning]]:
        return self.words if pattern.startswith(" ") else self.ideograms


def _days(alias: Alias) -> tuple[int, int]:
    first, last = _ALWAYS
    return (
        alias.since.toordinal() if alias.since else first,
        alias.until.toordinal() if alias.until else last,
    )


def _automaton(
    table: Mapping[str, list[Meaning]],
) -> tuple[AhoCorasick | None, list[tuple[Meaning, ...]]]:
    """The patterns' automaton, and what each of them means."""
    if not table:
        return None, []
    # The contiguous automaton reads a text in a third of the time of the default one.
    automaton = AhoCorasick(
        list(table), implementation=Implementation.ContiguousNFA, store_patterns=False
    )
    return automaton, [tuple(_once(meanings)) for meanings in table.values()]


def _once(meanings: list[Meaning]) -> Iterator[Meaning]:
    """Without those that say the same again."""
    seen: set[tuple[str, int]] = set()
    for meaning in meanings:
        if (meaning.key, meaning.since) not in seen:
            seen.add((meaning.key, meaning.since))
            yield meaning


__all__ = [
    "CASED",
    "COLUMNS",
    "COMMON",
    "CUE",
    "IDEOGRAM",
    "IGNORE",
    "ORGANISATION",
    "OTHERS",
    "PRODUCT",
    "RARE",
    "SURE",
    "TICKER",
    "WEAK",
    "WEAK_MARK",
    "Company",
    "Gazetteer",
    "Hit",
    "Meaning",
    "Row",
    "company_key",
    "compiled",
    "folded",
    "hits_of",
    "load",
    "patterns_of",
    "read_rows", "spaced",
    "write_rows",
]  # fmt: skip
