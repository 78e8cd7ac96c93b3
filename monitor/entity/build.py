"""Build the gazetteer from the exchanges' lists: `docs/entities.md` names them.

Companies alone: exchange-traded funds, closed-end funds, notes, warrants, units and test issues are
left out, and the classes of a company's shares are one row.
"""

from __future__ import annotations

import csv
import json
import re
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Final, NamedTuple

from models.backbone import find
from monitor.entity.gazetteer import OTHERS, WEAK_MARK, Row, folded, write_rows
from monitor.entity.names import company_key, core, without_legal_form, words_of
from monitor.entity.words import word_list
from monitor.errors import ConfigError

NASDAQ: Final = "nasdaq-listed-symbols.csv"
OTHER: Final = "other-listed.csv"
A_SHARES: Final = "all_code.csv"

_MIC: Final = {
    "N": "XNYS",
    "A": "XASE",
    "P": "ARCX",
    "Z": "BATS",
    "SH": "XSHG",
    "SZ": "XSHE",
    "BJ": "BJSE",
}
_SHARE: Final = re.compile(
    r"""\s*[-–,]?\s*(?:\(The\)\s*)?\b(?:new\s+)?(?:
    class\s+[a-c]\b|series\s+[a-c]\s+(?:common|ordinary)|common\s+(?:stock|shares?|units?)
    |ordinary\s+shares?|american\s+depositar?y|sponsored\s+ad|ads\b|adrs?\b|adss?\b
    |depositar?y\s+(?:shares|receipts)|registered\s+(?:ordinary|shares)|subordinate\s+voting
    |voting\s+(?:common|shares)|limited\s+partner|capital\s+stock|shares?\s+of\s+beneficial
    |new\s+york\s+registry|registry\s+shares|units?\s+representing
    ).*$""",
    re.IGNORECASE | re.VERBOSE,
)
"""From where on a security's name says which class of shares it is."""
_NO_SHARE: Final = re.compile(
    r"%|\b(?:notes?\b.*\bdue|debentures?|warrants?|rights?\b|(?<!common )units?(?:,|$)|preferred|"
    r"preference|subordinated|bonds?\b|etns?\b|etracs|trust preferred|tangible equity|perpetual|"
    r"depositary shares,?\s+each\s+representing\s+a\s+1/)",
    re.IGNORECASE,
)
_FUND: Final = re.compile(
    r"\bfunds?\b|\bmunicipal\b|closed end|\bincome trust\b|\bterm trust\b|\bETF\b|\bportfolio\b|"
    r"acquisition corp|blank check",
    re.IGNORECASE,
)
"""Funds, and companies that have no business yet."""
_SYMBOL: Final = re.compile(r"[A-Z]{1,5}(?:\.[A-Z])?")
_CLASS: Final = re.compile(r"class\s+([a-c])\b", re.IGNORECASE)
_STATE: Final = re.compile(
    r"\((?:The|[A-Z]{2}|New|Canada|Israel|Spain|Bermuda|Cayman Islands)\)", re.IGNORECASE
)
# Special treatment, ex-dividend, new: marks of the exchange before an A-share's name.
_CN_MARK: Final = re.compile(
    r"^(?:S?\*?ST|SST|PT|NST|XD|XR|DR|[NCUW])(?=[\u3400-\u9fff])|^(?:S?\*ST|SST|ST|PT)"
)
_CN_EVERYDAY: Final = word_list("everyday_chinese")
"""Short names that are everyday words of Chinese as well."""


_FUNCTION_WORDS: Final = word_list("function_words")
"""Never a company's name by themselves."""
_NO_SYMBOL: Final = word_list("no_bare_symbol")
_MONEY: Final = word_list("money")
"""Currencies, indices and futures that are written like shares. A listed symbol wins over them."""


class _Security(NamedTuple):
    symbol: str
    name: str
    mic: str


def build(us: Path, cn: Path, out: Path) -> int:
    """Read both folders and write the gazetteer; returns the number of companies.

    Raises ``ConfigError`` where a list is missing or has other columns.
    """
    everyday = _vocabulary()
    rows = sorted([*_american(us, everyday), *_chinese(cn)])
    write_rows(out, [*rows, Row(OTHERS, "", tuple(sorted(_funds(us) | _MONEY)), "", ())])
    return len(rows)


def _vocabulary() -> frozenset[str]:
    """Lower-case words of the packaged tokeniser: a name that is one of them needs a context."""
    tree = json.loads((find().path / "tokenizer.json").read_text("utf-8"))
    return frozenset(word for word in tree["model"]["vocab"] if word.isalpha() and len(word) > 1)


def _american(folder: Path, everyday: frozenset[str]) -> list[Row]:
    groups: dict[str, list[_Security]] = defaultdict(list)
    for security in _securities(folder):
        groups[" ".join(words_of(_legal(security.name)))].append(security)
    drafts = []
    for group in groups.values():
        first = min(group, key=_rank)
        legal = _legal(first.name)
        tickers = tuple(
            WEAK_MARK + s.symbol if s.symbol.lower() in (everyday | _NO_SYMBOL) else s.symbol
            for s in sorted(group, key=_rank)
        )
        drafts.append(Row(company_key("US", first.symbol), first.mic, tickers, legal, (legal,)))
    shared = Counter(name for row in drafts for name in {n.lower() for n in _names(row.legal)})
    return [row._replace(names=_marked(row, shared, everyday)) for row in drafts]


def _securities(folder: Path) -> Iterator[_Security]:
    """The shares of both American lists, without what is no company's share."""
    for file, symbol, exchange in ((NASDAQ, "Symbol", None), (OTHER, "ACT Symbol", "Exchange")):
        columns = {symbol, "Security Name", "ETF", "Test Issue"} | (
            {exchange} if exchange else set()
        )
        for row in _read(folder / file, columns):
            name = " ".join(row["Security Name"].split())
            if row["ETF"] != "N" or row["Test Issue"] != "N" or not _SYMBOL.fullmatch(row[symbol]):
                continue
            if _NO_SHARE.search(_described(name)) or _FUND.search(name):
                continue
            yield _Security(row[symbol], name, _MIC[row[exchange]] if exchange else "XNAS")


def _funds(folder: Path) -> set[str]:
    """Symbols of what is listed and is no company."""
    found = set()
    for file, symbol in ((NASDAQ, "Symbol"), (OTHER, "ACT Symbol")):
        for row in _read(folder / file, {symbol, "Security Name", "ETF"}):
            if row["ETF"] == "Y" or _FUND.search(row["Security Name"]):
                found.add(row[symbol])
    return {symbol for symbol in found if symbol.isalpha()}


def _described(name: str) -> str:
    """What a security's name says after the company's, or all of it.

    An American depositary share "each representing one ordinary share" is a share.
    """
    return re.split(r",?\s*\(?each\s+rep", name, maxsplit=1, flags=re.IGNORECASE)[0]


def _legal(security: str) -> str:
    """The company's name in a security's name."""
    plain = _SHARE.sub("", security.split(" - ")[0] if " - " in security else security)
    return _STATE.sub("", plain).strip(" ,-") or security


def _rank(security: _Security) -> tuple[bool, bool, str, int, str]:
    """What comes first is the company's primary symbol: traded, without a dot, class A, the
    shortest."""
    found = _CLASS.search(security.name)
    return (
        "when-issued" in security.name.lower(),
        "." in security.symbol,
        found.group(1).lower() if found else "a",
        len(security.symbol),
        security.symbol,
    )


def _names(legal: str) -> list[str]:
    """The legal name, without its legal form, and without Group and Holdings; as written."""
    found = [legal]
    tokens = legal.replace(",", " ").split()
    count = len(words_of(legal))
    for shorter in (without_legal_form(words_of(legal)), core(words_of(legal))):
        kept = _prefix(tokens, shorter)
        if kept and len(shorter) < count and kept not in found:
            found.append(kept)
    return found


def _prefix(tokens: list[str], words: list[str]) -> str:
    """The first tokens, as written, that hold these words; a leading article is left out."""
    start = 1 if tokens and tokens[0].lower() == "the" and words[:1] != ["the"] else 0
    for end in range(start + 1, len(tokens) + 1):
        if words_of(" ".join(tokens[start:end])) == words:
            return " ".join(tokens[start:end]).strip(" ,")
    return ""


def _marked(row: Row, shared: Counter[str], everyday: frozenset[str]) -> tuple[str, ...]:
    """The names of one company alone; those made of everyday words alone carry the mark."""
    found = []
    for name in _names(row.legal):
        words = folded(name).split()
        if shared[name.lower()] > 1 or not words or len("".join(words)) < 3:
            continue
        if "".join(words).isdigit() or (len(words) == 1 and words[0] in _FUNCTION_WORDS):
            continue
        plain = all(word in everyday or len(word) < 3 for word in words)
        short = len(words) <= 2 and name != row.legal
        found.append(WEAK_MARK + name if plain and short else name)
    return tuple(found) or (WEAK_MARK + row.legal,)


def _chinese(folder: Path) -> list[Row]:
    rows = []
    for line in _read(folder / A_SHARES, {"stock_code", "short_name", "exchange"}):
        full = "".join(unicodedata.normalize("NFKC", line["short_name"]).split())
        bare = _CN_MARK.sub("", full)
        bare = bare.removesuffix("退市").removesuffix("退")
        names = [full] if len(full) > 2 else []
        for name in (bare, re.sub(r"[AB]$", "", bare)):
            if len(name) > 2 and name not in names:
                names.append(name)
        if not any("\u3400" <= c <= "\u9fff" for c in full):
            names = [n for n in names if len(n) > 3]
        if names:
            marked = tuple(WEAK_MARK + n if n in _CN_EVERYDAY else n for n in names)
            code = line["stock_code"]
            rows.append(Row(company_key("CN", code), _MIC[line["exchange"]], (code,), full, marked))
    shared = Counter(name.removeprefix(WEAK_MARK) for row in rows for name in row.names)
    kept = []
    for row in rows:
        own = tuple(n for n in row.names if shared[n.removeprefix(WEAK_MARK)] == 1)
        kept.append(row._replace(names=own or (row.legal,)))
    return kept


def _read(path: Path, columns: set[str]) -> Iterator[dict[str, str]]:
    """The rows of a list.

    Raises ``ConfigError`` where it is missing or has other columns.
    """
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file)
            if missing := columns - set(reader.fieldnames or ()):
                raise ConfigError(f"{path}: lacks the columns {', '.join(sorted(missing))}")
            yield from reader
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else error
        raise ConfigError(
            f"{path}: cannot be read ({why}); docs/entities.md says where the lists come from"
        ) from error
