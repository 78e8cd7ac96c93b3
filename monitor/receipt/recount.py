"""Documents to voices of one key, by the code that counts them live."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from monitor.aggregate.voices import Voices
from monitor.events import Heard, View, most_probable, scaled
from monitor.keys import is_named, named_by
from monitor.store.base import Listed


@dataclass(frozen=True, slots=True)
class Recount:
    """What documents come to."""

    sums: Mapping[int, tuple[int, int]]
    """Voices and negative voices by the start of their bucket; those with a voice."""
    voices: frozenset[str]
    """Ids of the documents that are counted."""


def recount(key: str, documents: Iterable[Listed]) -> Recount:
    """Count the documents of a key. They must hold all of each hour that matters."""
    voices = Voices(is_late=lambda _start: False)
    heard = [_heard(document, key) for document in documents]
    sums = {
        start: (found.n, found.negative)
        for (of, start), found in sorted(voices.count(heard).items())
        if of == key and found.n
    }
    return Recount(sums, frozenset(h.id for h in heard if voices.is_voice(h.id, key)))


def _heard(document: Listed, key: str) -> Heard:
    sentiment, score = most_probable(document.sentiment), scaled(document.sentiment)
    return Heard(
        document.id,
        document.published_at.timestamp(),
        document.author,
        document.kind,
        document.topic,
        sentiment,
        score,
        document.copy_of is not None,
        (View(named_by(key), sentiment, score),) if is_named(key) else (),
    )
