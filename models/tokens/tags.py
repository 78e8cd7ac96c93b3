"""Tags of words: IOB2 over the types of entities, and the spans that they mark."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal, NamedTuple

from models.errors import DataError

Type = Literal["LOC", "MISC", "ORG", "PER"]
TYPES: Final[tuple[Type, ...]] = ("LOC", "MISC", "ORG", "PER")
OUTSIDE: Final = "O"
TAGS: Final = (OUTSIDE, *(f"{place}-{name}" for name in TYPES for place in "BI"))
"""O, B-LOC, I-LOC, ...: B opens an entity, I goes on with the one that the word before is in."""

ALIASES: Final[Mapping[str, Type]] = {
    "per": "PER",
    "person": "PER",
    "org": "ORG",
    "organization": "ORG",
    "organisation": "ORG",
    "company": "ORG",
    "corporation": "ORG",
    "group": "ORG",
    "loc": "LOC",
    "location": "LOC",
    "geo-loc": "LOC",
    "gpe": "LOC",
    "misc": "MISC",
    "product": "MISC",
    "creative-work": "MISC",
}
"""Names of types in public corpora, in lower case, and the type that they count as here."""


class Span(NamedTuple):
    """An entity: words `start` to `end`, the latter excluded."""

    start: int
    end: int
    type: str


@dataclass(frozen=True, slots=True)
class UnknownTagError(Exception):
    """A tag that is neither O nor B- or I- with a known type."""

    tag: str


def tag_of(tag: str, types: Mapping[str, str] = ALIASES) -> str:
    """Return the tag with its type mapped; a type mapped to O makes the tag O.

    Raises:
        UnknownTagError: no B- or I-, or a type that `types` lacks.
    """
    if tag == OUTSIDE:
        return tag
    place, dash, name = tag.partition("-")
    if not dash or place not in {"B", "I"} or name.lower() not in types:
        raise UnknownTagError(tag)
    mapped = types[name.lower()]
    return OUTSIDE if mapped == OUTSIDE else f"{place}-{mapped}"


def as_iob2(tags: Iterable[str]) -> tuple[str, ...]:
    """Return the tags of a sentence under IOB2; they may be IOB1 or IOB2.

    An I that opens an entity becomes B. In IOB1 a B stands only where an entity follows another of
    its type, where IOB2 has it too. Source: Ramshaw & Marcus 1995; Tjong Kim Sang & Veenstra 1999,
    "Representing Text Chunks", section 2.
    """
    found: list[str] = []
    for tag in tags:
        before = found[-1] if found else OUTSIDE
        found.append(f"B-{tag[2:]}" if tag.startswith("I-") and before[2:] != tag[2:] else tag)
    return tuple(found)


def spans(tags: Sequence[str]) -> tuple[Span, ...]:
    """Return the entities of a sentence's tags (IOB2, or IOB1)."""
    found: list[Span] = []
    for place, tag in enumerate(as_iob2(tags)):
        if tag.startswith("B-"):
            found.append(Span(place, place + 1, tag[2:]))
        elif tag != OUTSIDE:
            found[-1] = found[-1]._replace(end=place + 1)
    return tuple(found)


def types_with(extra: Mapping[str, str]) -> dict[str, str]:
    """Return `ALIASES` with more names of types.

    Raises:
        DataError: a name is to count as a type that there is not.
    """
    for name, wanted in extra.items():
        if wanted not in (*TYPES, OUTSIDE):
            raise DataError(
                f"type {name}={wanted}: a type counts as one of {', '.join(TYPES)}, or O"
            )
    return {**ALIASES, **{name.lower(): wanted for name, wanted in extra.items()}}
