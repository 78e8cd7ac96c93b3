"""Watched items that are new or changed, matched anew with stored texts."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from models.text import normalise
from monitor.entity.gazetteer import Gazetteer
from monitor.entity.reading import Link
from monitor.entity.watch import WatchItem, WatchList
from monitor.events import View, most_probable, scaled
from monitor.keys import watch_key
from monitor.lab.history import Known
from monitor.naming import mean

_WATCHED = watch_key("")


class Rewatch:
    """What other watch lists would have found in a document. Items that are in both lists keep what
    was found at the time."""

    def __init__(
        self, today: Sequence[WatchItem], other: Sequence[WatchItem], gazetteer: Gazetteer
    ) -> None:
        """Raises ``ConfigError`` where an item names a company that the gazetteer lacks."""
        known = {item.id: item for item in today}
        anew = [item for item in other if known.get(item.id) != item]
        self._kept = {watch_key(item.id) for item in other}.difference(
            watch_key(item.id) for item in anew
        )
        self._watch = WatchList(anew, gazetteer)

    def seen(self, documents: Iterable[Known]) -> list[Known]:
        """Documents with what they say for all that they name now."""
        return [
            known._replace(heard=known.heard._replace(views=self.views(known)))
            for known in documents
        ]

    def views(self, known: Known) -> tuple[View, ...]:
        """What a document, whose `Content` is there, says for all that it names now.

        Of an item with several companies that a text names: the mean over them, where the pipeline
        has the mean over all of their places.
        """
        content = known.content
        if content is None:
            return known.heard.views
        kept = [
            view
            for view in known.heard.views
            if not view.key.startswith(_WATCHED) or view.key in self._kept
        ]
        named = {k: s for k, s in content.mentions if not k.startswith(_WATCHED)}
        links = [Link(key, "", 0, 0, "", 1.0) for key in named]
        title, text = content.title, content.text
        whole = normalise(f"{title}\n{text}" if title and text else title or text)
        for item in self._watch.match(whole, links):
            towards = [s for key, s in named.items() if item in self._watch.items_of(key)]
            sentiment = mean(towards) or content.sentiment
            kept.append(View(watch_key(item), most_probable(sentiment), scaled(sentiment)))
        return tuple(kept)
