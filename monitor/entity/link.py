"""Which companies and other organisations a text names, and where."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from operator import itemgetter
from typing import Final

from monitor.entity.gazetteer import IDEOGRAM, Gazetteer, Hit, hits_of
from monitor.entity.mentions import decide, ideograms, words
from monitor.entity.organisations import definitions, organisations, short_forms
from monitor.entity.reading import Link, Reading, Span
from monitor.entity.symbols import (
    BY_SYMBOL,
    cashtags,
    decide_cashtags,
    listed,
    may_list,
    of_message,
)

_PLACE: Final = itemgetter(2, 3)
"""Of a link."""
_CHUNK: Final = 256
"""Texts that are searched together: what is in hand stays in the cache."""


class Linker:
    """Links texts to the gazetteer. Pure: the same arguments give the same links.

    ``products``: whether what a company sells (iPhone, YouTube) counts for the company.
    """

    def __init__(self, gazetteer: Gazetteer, *, products: bool = True) -> None:
        self.gazetteer = gazetteer
        self.products = products

    def link(
        self, text: str, spans: Sequence[Span], tickers: Sequence[str], at: datetime
    ) -> list[Link]:
        """The links of one text, by their place in it; they do not overlap.

        Args:
            text: what `models.text.normalise` returned.
            spans: what the model has seen named; may be empty.
            tickers: symbols that came with the message.
            at: when it was published; names and symbols mean what they meant then.
        """
        return self.link_all([text], [spans], [tickers], [at])[0]

    def link_all(
        self,
        texts: Sequence[str],
        spans: Sequence[Sequence[Span]],
        tickers: Sequence[Sequence[str]],
        at: Sequence[datetime],
    ) -> list[list[Link]]:
        """What `link` says of each text of a batch. A third of its time for texts that name nobody:
        they are searched together, and only those in which something was found are read."""
        found: list[list[Link]] = []
        for first in range(0, len(texts), _CHUNK):
            part = slice(first, first + _CHUNK)
            hits = hits_of(self.gazetteer, texts[part])
            for number, (text, named, symbols, moment) in enumerate(
                zip(texts[part], spans[part], tickers[part], at[part], strict=True)
            ):
                mine = hits.get(number)
                chinese = not text.isascii() and IDEOGRAM.search(text) is not None
                listing = chinese or may_list(text)
                if mine or named or symbols or listing or "$" in text:
                    reading = Reading(self.gazetteer, text, named, moment.toordinal())
                    found.append(self._links(reading, symbols, mine or [], listing, chinese))
                else:
                    found.append([])
        return found

    def _links(
        self,
        reading: Reading,
        tickers: Sequence[str],
        hits: list[Hit],
        listing: bool,
        chinese: bool,
    ) -> list[Link]:
        """The order of the searches. ``listing``: a symbol may stand beside its exchange;
        ``chinese``: there are ideograms."""
        text, found = reading.text, reading.found
        for ticker in tickers:
            meaning = of_message(reading.gazetteer, ticker, reading.day)
            if meaning is not None and meaning.key not in reading.keys:
                reading.add(meaning.key, 0, 0, BY_SYMBOL, ticker)
            elif meaning is None and ticker not in reading.gazetteer.others:
                reading.symbols |= {ticker}
        tags = cashtags(reading) if "$" in text else None
        if listing:
            listed(reading, chinese)
        if "(" in text:
            definitions(reading)
        if hits:
            words(reading, hits, self.products)
        if chinese:
            ideograms(reading)
        if reading.pending:
            decide(reading)
        if tags is not None:
            decide_cashtags(reading, tags)
        if reading.spans or reading.cues:
            organisations(reading)
        if "(" in text and found:
            short_forms(reading)
        if len(found) > 1:
            found.sort(key=_PLACE)
        return found
