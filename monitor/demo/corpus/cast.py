"""Who appears in the sample stream: invented companies, outlets, people and authors."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from random import Random
from typing import Final

from monitor.demo.corpus.grammar import lines

_FINANCIAL: Final = ("bank", "insurer", "fund manager")
_MAKERS: Final = (
    "food maker",
    "appliance maker",
    "steelmaker",
    "chemical maker",
    "machinery maker",
    "carmaker",
    "parts supplier",
    "drugmaker",
    "medical device maker",
    "chipmaker",
    "luxury house",
)
AUTHORS: Final = 320


@dataclass(frozen=True, slots=True)
class Company:
    """An invented listed company; `products` are nouns that fit "demand for ..."."""

    name: str
    full_name: str
    ticker: str
    sector: str
    city: str
    currency: str
    products: tuple[str, str]
    chief: str
    finance_chief: str


@dataclass(frozen=True, slots=True)
class Source:
    """An invented outlet; `role` is wire, paper, release, note, forum or micro."""

    name: str
    host: str
    role: str
    offset_hours: int


@dataclass(frozen=True, slots=True)
class Author:
    """Who comments, and how this person types."""

    handle: str
    lower_case: bool
    cashtags: bool
    short_forms: bool
    typos: float
    plain: bool


@cache
def people() -> Mapping[str, tuple[str, ...]]:
    """Word lists for names, regions, funds, brokers, raters and regulators."""
    found: dict[str, tuple[str, ...]] = {}
    for line in lines("people.txt"):
        name, _, rest = line.partition(": ")
        found[name] = tuple(rest.split(";") if ";" in rest else rest.split())
    return found


def full_name(number: int) -> str:
    """The person with this number; numbers below 1,800 give distinct names."""
    first, last = people()["first"], people()["last"]
    return f"{first[number % len(first)]} {last[(number * 7 + number // len(first)) % len(last)]}"


@cache
def companies() -> tuple[Company, ...]:
    """All companies of `companies.txt`, each with its chief executive and finance chief."""
    found: list[Company] = []
    for number, line in enumerate(lines("companies.txt")):
        name, form, ticker, sector, city, currency, products = line.split(" | ")
        first, second = products.split("; ")
        found.append(
            Company(
                name=name,
                full_name=f"{name} {form}",
                ticker=ticker,
                sector=sector,
                city=city,
                currency=currency,
                products=(first, second),
                chief=full_name(number * 3 + 11),
                finance_chief=full_name(number * 3 + 412),
            )
        )
    return tuple(found)


def company(ticker: str) -> Company:
    """The company with this symbol; LookupError where there is none."""
    for candidate in companies():
        if candidate.ticker == ticker:
            return candidate
    raise LookupError(f"no company with the ticker {ticker!r} in companies.txt")


@cache
def companies_in(sectors: tuple[str, ...]) -> tuple[Company, ...]:
    """Companies of these sectors; `makers` and `real` (all but financial) name groups."""
    wanted = set(sectors)
    if "makers" in wanted:
        wanted |= set(_MAKERS)
    return tuple(
        candidate
        for candidate in companies()
        if not sectors
        or candidate.sector in wanted
        or ("real" in wanted and candidate.sector not in _FINANCIAL)
    )


def rival(of: Company, rng: Random) -> Company:
    """Another company of the same sector, or of a near one where it is alone."""
    same = [other for other in companies_in((of.sector,)) if other is not of]
    near = [other for other in companies_in(("makers",)) if other is not of]
    return rng.choice(same or near)


@cache
def sources() -> tuple[Source, ...]:
    """All outlets of `sources.txt`; each writes its times with an offset of its own."""
    offsets = (0, 0, 0, 1, 2, -5, 0, -4, 0, 9)
    found: list[Source] = []
    for number, line in enumerate(lines("sources.txt")):
        name, host, role = line.split(" | ")
        found.append(Source(name, host, role, offsets[number % len(offsets)]))
    return tuple(found)


@cache
def sources_of(*roles: str) -> tuple[Source, ...]:
    """The outlets that play one of these roles."""
    return tuple(source for source in sources() if source.role in roles)


@cache
def authors() -> tuple[Author, ...]:
    """The people who comment; fixed, so that the same handle always types the same way."""
    rng = Random(20_11)
    heads, tails = people()["heads"], people()["tails"]
    handles: dict[str, None] = {}
    while len(handles) < AUTHORS:
        handle = rng.choice(heads) + rng.choice(("_", "", "-")) + rng.choice(tails)
        handles[handle + rng.choice(("", "", str(rng.randrange(10, 99))))] = None
    return tuple(
        Author(
            handle=handle,
            lower_case=rng.random() < 0.45,
            cashtags=rng.random() < 0.55,
            short_forms=rng.random() < 0.25,
            typos=rng.choice((0.0, 0.0, 0.0, 0.15, 0.4)),
            plain=rng.random() < 0.35,
        )
        for handle in handles
    )
