"""A small compositional grammar: plain-text frames, slots, lexicon entries and alternations.

A frame is a line of text with three marks: `{slot}` is filled from the facts of a story, `<name>`
with a line of `lexicon.txt`, and `[a|b|]` with one of its alternatives (they nest).
"""

import re
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib import resources
from random import Random
from typing import Final, TypeAlias

TONES: Final = ("negative", "neutral", "positive")
STORY_FILES: Final = (
    "earnings.txt",
    "analyst.txt",
    "deals.txt",
    "company.txt",
    "capital.txt",
    "legal.txt",
    "macro.txt",
    "markets.txt",
)
_COMMENT_TONES: Final = {"-": "negative", "0": "neutral", "+": "positive"}
_PARTS: Final = {"T": "title", "L": "lead", "D": "detail", "R": "release", "N": "note"}
_TOKEN: Final = re.compile(r"\{(\w+)\}|<(\w+)>|([\[\]|])")
_VOWEL: Final = r"(?=[aeioAEIO]|8\d?\b|11\b|18\b|un[^i])(?!one\b|eu|Eu)"
_WRONG_ARTICLE: Final = re.compile(rf"\b([Aa]) {_VOWEL}")

Node: TypeAlias = "str | Slot | Entry | Choice"


@dataclass(frozen=True, slots=True)
class Slot:
    """A fact of the story, by name."""

    name: str


@dataclass(frozen=True, slots=True)
class Entry:
    """A nonterminal: one line of the lexicon."""

    name: str


@dataclass(frozen=True, slots=True)
class Choice:
    """Alternatives of equal weight."""

    options: tuple[tuple[Node, ...], ...]


@dataclass(frozen=True, slots=True)
class Event:
    """One kind of event: what is written about it, and what people say about it.

    `sectors` limits the companies it can happen to; empty means any. `of_company` is false for
    events of the whole economy. `frames` maps a part (title, lead, detail, release, note, or
    `comment-<tone>`) to its frames.
    """

    name: str
    topic: str
    tone: str
    of_company: bool
    sectors: tuple[str, ...]
    frames: Mapping[str, tuple[str, ...]]


def lines(filename: str) -> list[str]:
    """The lines of a corpus file, without comments and blank lines."""
    text = resources.files(__package__).joinpath(filename).read_text(encoding="utf-8")
    return [line for line in text.splitlines() if line.strip() and not line.startswith("#")]


@cache
def events(filename: str) -> tuple[Event, ...]:
    """All events of a corpus file; ValueError names a line that does not follow the format."""
    listed: list[tuple[str, dict[str, list[str]]]] = []
    for line in lines(filename):
        mark, _, rest = line.partition(" ")
        if mark == "@":
            listed.append((rest, {}))
            continue
        tone = _COMMENT_TONES.get(mark)
        part = f"comment-{tone}" if tone else _PARTS.get(mark)
        if part is None or not listed:
            raise ValueError(f"{filename}: not a frame: {line!r}; start it with @ T L D R N - 0 +")
        listed[-1][1].setdefault(part, []).append(rest)
    return tuple(_event(header, filename, frames) for header, frames in listed)


def _event(header: str, filename: str, frames: Mapping[str, list[str]]) -> Event:
    fields = header.split(" | ")
    tone_at = next((i for i, field in enumerate(fields) if field in TONES), None)
    if tone_at is None:
        raise ValueError(f"{filename}: event {header!r} names no tone of {TONES}")
    scope = fields[tone_at + 1] if len(fields) > tone_at + 1 else ""
    return Event(
        name=fields[0],
        topic=" | ".join(fields[1:tone_at]),
        tone=fields[tone_at],
        of_company=scope != "*",
        sectors=tuple(scope.split(",")) if scope not in ("", "*") else (),
        frames={part: tuple(found) for part, found in frames.items()},
    )


@cache
def lexicon() -> Mapping[str, tuple[str, ...]]:
    """The nonterminals of `lexicon.txt`."""
    found: dict[str, list[str]] = {}
    name = ""
    for line in lines("lexicon.txt"):
        if line.startswith("= "):
            name = line[2:].strip()
            found[name] = []
        else:
            found[name].append(line)
    return {entry: tuple(listed) for entry, listed in found.items()}


@cache
def parse(frame: str) -> tuple[Node, ...]:
    """The tree of a frame; ValueError where brackets do not match."""
    stack: list[list[list[Node]]] = [[[]]]
    position = 0
    for token in _TOKEN.finditer(frame):
        if token.start() > position:
            stack[-1][-1].append(frame[position : token.start()])
        position = token.end()
        slot, entry, mark = token.groups()
        if slot:
            stack[-1][-1].append(Slot(slot))
        elif entry:
            stack[-1][-1].append(Entry(entry))
        elif mark == "[":
            stack.append([[]])
        elif len(stack) == 1:
            raise ValueError(f"{mark!r} outside brackets in frame {frame!r}")
        elif mark == "|":
            stack[-1].append([])
        else:
            closed = Choice(tuple(tuple(option) for option in stack.pop()))
            stack[-1][-1].append(closed)
    if len(stack) != 1:
        raise ValueError(f"unclosed bracket in frame {frame!r}")
    stack[0][0].append(frame[position:])
    return tuple(stack[0][0])


def expand(frame: str, facts: Callable[[str, int], str], rng: Random) -> str:
    """One sentence from a frame.

    `facts(slot, salt)` gives the value of a slot; the salt is a checksum of the frame, so that
    small numbers differ between sentences but agree where two outlets use the same sentence.
    """
    salt = zlib.crc32(frame.encode())
    text = "".join(_walk(parse(frame), facts, salt, rng))
    text = _WRONG_ARTICLE.sub(r"\1n ", " ".join(text.split()))
    return text.replace("the the ", "the ").replace(" ,", ",").replace(" .", ".")


def _walk(
    nodes: Sequence[Node], facts: Callable[[str, int], str], salt: int, rng: Random
) -> list[str]:
    pieces: list[str] = []
    for index, node in enumerate(nodes):
        if isinstance(node, str):
            pieces.append(node)
        elif isinstance(node, Slot):
            pieces.append(facts(node.name, salt + index))
        elif isinstance(node, Choice):
            pieces.extend(_walk(rng.choice(node.options), facts, salt + index, rng))
        else:
            chosen = rng.choice(lexicon()[node.name])
            pieces.extend(_walk(parse(chosen), facts, salt + index, rng))
    return pieces


def sentence(text: str) -> str:
    """The text with a capital first letter."""
    return text[:1].upper() + text[1:]
