"""What a window is about: read when an alert fires, and never else.

Voices are those that the window counts: a copy is none, and an author speaks once an hour.

The cost is bounded whatever the window holds: the newest `VOICES` documents that repeat no other,
and of the week before `EACH` documents of each of `SLICES` equal slices, found among the first
`LOOK` that an index gives; `MOST` times in a bucket. A key that said too little in that week is
held against the whole stream as well.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime, timedelta
from typing import Final

from monitor.events import About, Scored, Subject
from monitor.keys import ALL, display_name, pair_of, sort_of, topic_key
from monitor.store.base import Named, Store, Voice
from monitor.story.shown import HEAD
from monitor.story.terms import distinctive

VOICES: Final = 300
USUAL: Final = timedelta(days=7)
SLICES: Final = 42
"""Of four hours each: every time of day and day of the week."""
EACH: Final = 10
LOOK: Final = 60
ENOUGH: Final = 100
"""Documents of the key's own week that need no others beside them."""
SUBJECTS: Final = 5
MOST: Final = 20
"""Windows that end at the same time: what fires with these says less."""


class Abouts:
    """Asks a store what windows are about; at most `MOST` that end at the same time."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._until: datetime | None = None
        self._asked = 0

    def restart(self) -> None:
        """The same windows may come again."""
        self._until = None

    def read(self, fresh: Sequence[Scored], key: str, since: datetime, until: datetime) -> About:
        """What the documents of a key with ``since`` <= published_at < ``until`` are about.

        ``fresh``: those of them that are not stored yet. Raises ``StoreError``.
        """
        if until != self._until:
            self._until, self._asked = until, 0
        self._asked += 1
        if self._asked > MOST:
            return About()
        stored = self._store.voices(key, since, until, VOICES)
        heard = [voice_of(s) for s in fresh if s.copy_of is None and s.counted]
        newest = sorted([*stored, *heard], key=lambda v: (-v.published_at.timestamp(), v.id))
        window = list(_independent(reversed(newest[:VOICES])))
        begin = since - USUAL
        usual = self._store.sample(key, begin, since, SLICES, EACH, LOOK)
        if len(usual) < ENOUGH and key != ALL:
            usual = [*usual, *self._store.sample(ALL, begin, since, SLICES, EACH, LOOK)]
        return about(key, window, usual)


def about(key: str, window: Sequence[Voice], usual: Sequence[str]) -> About:
    """The terms that tell these voices from ``usual`` texts, and whom and what they speak of."""
    named = Counter(n.key for voice in window for n in voice.named)
    names = {n.key: n.name for voice in window for n in voice.named}
    topics = Counter(voice.topic for voice in window)
    return About(
        len(window),
        distinctive([voice.text for voice in window], usual, _own(key, window)),
        tuple(Subject(k, names[k], n) for k, n in _most(named)),
        tuple(Subject(topic_key(topic), topic, n) for topic, n in _most(topics)),
    )


def voice_of(scored: Scored) -> Voice:
    """A document as the store would give it."""
    document = scored.document
    return Voice(
        document.id,
        document.published_at,
        document.author,
        scored.topic_name,
        f"{document.title}\n{document.text[:HEAD]}",
        tuple(Named(m.key, m.name, m.surface) for m in scored.mentions),
    )


def _independent(voices: Iterable[Voice]) -> Iterator[Voice]:
    """The first of each author in each hour, of documents in the order of time."""
    seen: set[tuple[str, int]] = set()
    for voice in voices:
        if voice.author is not None:
            turn = voice.author, int(voice.published_at.timestamp()) // 3600
            if turn in seen:
                continue
            seen.add(turn)
        yield voice


def _own(key: str, window: Sequence[Voice]) -> Iterator[str]:
    """The names of the key itself: that they are spoken is no news."""
    sort = sort_of(key)
    if sort in ("all", "kind", "other"):
        return
    yield display_name(key)
    subject = pair_of(key)[1] if sort == "pair" else key
    for voice in window:
        for named in voice.named:
            if named.key == subject:
                yield named.name
                yield named.surface


def _most(counts: Counter[str]) -> list[tuple[str, int]]:
    return sorted(counts.items(), key=lambda item: (-item[1], item[0]))[:SUBJECTS]
