"""When two documents tell the same story, and how one is shown beside an alert: pure."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable

from monitor.events import Evidence, Scored
from monitor.keys import named_by

EXCERPT = 280
"""Characters of a document's text that travel with an alert."""
HEAD = EXCERPT + 120
"""Characters of a text that are read to make an excerpt of it."""


def excerpt(text: str) -> str:
    """The beginning of a text on one line, cut between two words where there are any.

    An excerpt is its own excerpt.
    """
    line = " ".join(text[:HEAD].split())
    if len(line) <= EXCERPT:
        return line
    head = line[: EXCERPT - 1]
    words, space, _ = head.rpartition(" ")
    return (words if space and len(words) > EXCERPT // 2 else head) + "…"


def story(title: str, text: str) -> str:
    """What two copies of one story have in common: the title, or without one the beginning.

    Letters and digits only, without case: agencies differ in quotes, dashes and spaces.
    """
    shown = unicodedata.normalize("NFKC", title.strip() or excerpt(text)).casefold()
    words = "".join(c if c.isalnum() else " " for c in shown).split()
    return " ".join(words) or shown


def stories(candidates: Iterable[tuple[str, str, str, str]], limit: int) -> list[str]:
    """Ids of the first ``limit`` of (id, story, title, text) that each tell another story."""
    seen: set[str] = set()
    chosen: list[str] = []
    if limit > 0:
        for identifier, known, title, text in candidates:
            told = {known, story(title, text)}
            if not told & seen:
                seen |= told
                chosen.append(identifier)
                if len(chosen) == limit:
                    break
    return chosen


def sentiment_towards(scored: Scored, key: str) -> tuple[float, float, float]:
    """Of a document towards whom ``key`` names; of the whole text where it names nobody of them."""
    named = named_by(key)
    return next((m.sentiment for m in scored.mentions if m.key == named), scored.sentiment)


def evidence_of(scored: Scored, key: str = "") -> Evidence:
    """What an alert shows of a document; its negativity is that towards ``key``, if it names it."""
    document = scored.document
    return Evidence(
        document_id=document.id,
        published_at=document.published_at,
        source=document.source,
        title=document.title,
        url=document.url,
        negative=sentiment_towards(scored, key)[0],
        topic=scored.topic_name,
        excerpt=excerpt(document.text),
        story=scored.story or document.id,
    )


def most_negative(evidence: Iterable[Evidence], limit: int) -> list[Evidence]:
    """The ``limit`` most negative of them, one for each story."""
    chosen: list[Evidence] = []
    seen: set[str] = set()
    for piece in sorted(evidence, key=lambda e: (-e.negative, e.document_id)):
        told = {piece.story or piece.document_id, story(piece.title, piece.excerpt)}
        if not told & seen:
            seen |= told
            chosen.append(piece)
    return chosen[:limit]
