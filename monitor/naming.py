"""Whom the texts of a batch name, and what they say of each: links, watch lists, sentiments."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from models.spans.verdicts import TokenVerdicts
from monitor.entity.entities import Entities
from monitor.entity.reading import Link, Span
from monitor.events import Mention, Scored
from monitor.keys import watch_key
from monitor.score.base import Verdicts

Sentiment = tuple[float, float, float]


class EntityNaming:
    """Mentions of one batch after the other; pure.

    A company that a text names several times has the mean of what is said at each place. Where the
    model says nothing of a place (it has no token head, or did not read so far), and for watched
    names and patterns, it is what the text says as a whole.
    """

    def __init__(self, entities: Entities) -> None:
        self._linker = entities.linker
        self._watch = entities.watch

    def mentions(
        self,
        scored: Sequence[Scored],
        texts: Sequence[str],
        verdicts: Verdicts,
        rows: Sequence[int],
    ) -> list[tuple[Mention, ...]]:
        """See `monitor.annotate.Naming`."""
        tokens = verdicts.tokens
        documents = [s.document for s in scored]
        linked = self._linker.link_all(
            texts,
            _spans(rows, tokens),
            [document.tickers for document in documents],
            [document.published_at for document in documents],
        )
        said = _said(linked, rows, tokens)
        watching = bool(self._watch.ids)
        found: list[tuple[Mention, ...]] = []
        at = 0
        for s, text, links in zip(scored, texts, linked, strict=True):
            if not links and not watching:
                found.append(())
                continue
            sentiments = said[at : at + len(links)]
            at += len(links)
            found.append(self._named(s, text, links, sentiments))
        return found

    def _named(
        self,
        scored: Scored,
        text: str,
        links: Sequence[Link],
        sentiments: Sequence[Sentiment | None],
    ) -> tuple[Mention, ...]:
        places: dict[str, list[int]] = {}
        for i, link in enumerate(links):
            places.setdefault(link.key, []).append(i)

        def towards(keys: Sequence[str]) -> Sentiment:
            known = [sentiments[i] for key in keys for i in places[key]]
            return mean([s for s in known if s is not None]) or scored.sentiment

        found = []
        for key, at in places.items():
            first = links[at[0]]
            found.append(Mention(key, first.name, first.surface or first.name, towards((key,))))
        if not self._watch.ids:
            return tuple(found)
        for item in self._watch.match(text, links):
            keys = [key for key in places if item in self._watch.items_of(key)]
            surface = links[places[keys[0]][0]].surface if keys else ""
            found.append(Mention(watch_key(item), item, surface or item, towards(keys)))
        return tuple(found)


def _spans(rows: Sequence[int], tokens: TokenVerdicts | None) -> Sequence[Sequence[Span]]:
    """What the model has seen named in each text; nothing without a token head."""
    if tokens is None:
        return [()] * len(rows)
    return [[Span(*span) for span in tokens.spans(row)] for row in rows]


def _said(
    linked: Sequence[Sequence[Link]], rows: Sequence[int], tokens: TokenVerdicts | None
) -> list[Sentiment | None]:
    """What is said at the place of each link, all in a row; None: nothing is known of it."""
    places = [
        (row, link.start, link.end)
        for row, links in zip(rows, linked, strict=True)
        for link in links
    ]
    if tokens is None or not places:
        return [None] * len(places)
    values = tokens.sentiments_of(*zip(*places, strict=True))
    known = ~np.isnan(values[:, 0])
    return [tuple(v) if k else None for v, k in zip(values.tolist(), known.tolist(), strict=True)]


def mean(sentiments: Sequence[Sentiment]) -> Sentiment | None:
    """Of what is said at several places; None: at none."""
    if len(sentiments) < 2:
        return sentiments[0] if sentiments else None
    negative, neutral, positive = zip(*sentiments, strict=True)
    n = len(sentiments)
    return sum(negative) / n, sum(neutral) / n, sum(positive) / n
