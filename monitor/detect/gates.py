"""What the evidence of an alarm must have before anybody is paged."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import ceil

from monitor.detect.base import Reading
from monitor.events import About, Evidence, Waterfall

Speaker = tuple[str, str | None]
"""A source, and a pseudonym of the author where a document is signed."""


@dataclass(frozen=True, slots=True)
class Exhibit:
    """What a window of a key holds."""

    evidence: tuple[Evidence, ...]
    """Its most negative documents, one of each story."""
    stories: Mapping[str, int]
    """How many documents tell each of its stories."""
    speakers: Mapping[Speaker, int]
    """How many documents that repeat no other each of its speakers wrote."""
    waterfall: Waterfall | None = None
    """Of the newest document of the evidence."""
    about: Callable[[], About] = About
    """Reads what the window is about: it costs, and is asked of what fires alone."""

    @property
    def sources(self) -> int:
        """Distinct ones."""
        return len({source for source, _ in self.speakers})

    @property
    def authors(self) -> int:
        """Distinct ones; of what is not signed each document is an author of its own."""
        signed = {author for _, author in self.speakers if author is not None}
        return len(signed) + sum(n for (_, author), n in self.speakers.items() if author is None)


@dataclass(frozen=True, slots=True)
class Gate:
    """Least numbers of independent voices, authors and sources in the window."""

    voices: int
    authors: int
    sources: int


@dataclass(frozen=True, slots=True)
class Gates:
    """A busy key must show more: of one that hardly speaks, twenty voices may be a day."""

    busy: Gate = Gate(20, 5, 3)
    sparse: Gate = Gate(5, 3, 3)
    busy_rate: float = 10.0
    """Voices an hour from which a key is busy."""
    negative: int = 3
    """Negative voices: who is praised by many is news, and nothing to be paged for …"""
    negative_share: float = 0.25
    """… and this part of all."""


def gate_for(reading: Reading, gates: Gates) -> Gate:
    """The gate of a busy or of a sparse key."""
    return gates.busy if reading.rate >= gates.busy_rate else gates.sparse


def lacks(reading: Reading, exhibit: Exhibit, gates: Gates) -> str:
    """What the evidence lacks, in words; empty: it suffices."""
    gate = gate_for(reading, gates)
    negative = max(gates.negative, ceil(gates.negative_share * reading.documents))
    for what, there, needed in (
        ("independent voices", reading.documents, gate.voices),
        ("sources", exhibit.sources, gate.sources),
        ("authors", exhibit.authors, gate.authors),
        ("negative voices", reading.negative, negative),
    ):
        if there < needed:
            return f"{there} of {needed} {what}"
    return ""
