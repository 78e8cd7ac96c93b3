"""What a scored document tells of whom: its story, and everybody that it names."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Final, NamedTuple, Protocol

from models.text import normalise
from monitor.events import Document, Mention, Scored
from monitor.score.base import Verdicts
from monitor.store.base import NO_CHANGES, Snapshot
from monitor.story.base import Changes, Told, ToldRow
from monitor.tuples import maker

_STORY: Final = Scored._fields.index("story")
_scored = maker(Scored)


class Stories(Protocol):
    """Tells copies from documents with words of their own; see `monitor.story.stories`."""

    def tell(
        self, documents: Sequence[Document], texts: Sequence[str] | None = None
    ) -> list[Told]: ...

    def changes(self) -> Changes: ...

    def drain(self) -> tuple[list[ToldRow], datetime | None]: ...

    def restore(self, rows: Iterable[ToldRow]) -> None: ...


class Naming(Protocol):
    """Finds the keys that texts name."""

    def mentions(
        self,
        scored: Sequence[Scored],
        texts: Sequence[str],
        verdicts: Verdicts,
        rows: Sequence[int],
    ) -> list[tuple[Mention, ...]]:
        """Of each document, whose text is normalised; ``rows`` are their places in ``verdicts``."""
        ...


class Annotated(NamedTuple):
    """A batch with stories and mentions, and what earlier documents have turned out to be."""

    scored: list[Scored]
    changes: Changes


class Annotator:
    """Both at once: the pipeline's stage between scoring and counting."""

    def __init__(self, stories: Stories | None = None, naming: Naming | None = None) -> None:
        """Without ``stories`` every document is its own; without ``naming`` none names anybody."""
        self._stories = stories
        self._naming = naming

    def __call__(
        self, scored: Sequence[Scored], verdicts: Verdicts, rows: Sequence[int]
    ) -> Annotated:
        """``rows``: the place of each scored document in ``verdicts``."""
        if not scored:
            return Annotated([], NO_CHANGES)
        documents = [s.document for s in scored]
        texts = [normalise(document.content) for document in documents]
        named = self._named(scored, texts, verdicts, rows)
        if self._stories is None:
            return Annotated(
                [s._replace(mentions=m) for s, m in zip(scored, named, strict=True)], NO_CHANGES
            )
        told = self._stories.tell(documents, texts)
        changes = self._stories.changes()
        # What comes before the story is taken over: `_replace` would take four times as long.
        found = [
            _scored((*s[:_STORY], t.story, t.copy_of, m, s.counted))
            for s, t, m in zip(scored, told, named, strict=True)
        ]
        return Annotated(found, changes)

    def _named(
        self,
        scored: Sequence[Scored],
        texts: Sequence[str],
        verdicts: Verdicts,
        rows: Sequence[int],
    ) -> Sequence[tuple[Mention, ...]]:
        if self._naming is None or not scored:
            return [s.mentions for s in scored]
        return self._naming.mentions(scored, texts, verdicts, rows)

    def rehearse(
        self, scored: Sequence[Scored], verdicts: Verdicts, rows: Sequence[int]
    ) -> list[Scored]:
        """Documents of drills with their mentions; no story may ever know of them."""
        texts = [normalise(s.document.content) for s in scored]
        named = self._named(scored, texts, verdicts, rows)
        return [s._replace(mentions=m) for s, m in zip(scored, named, strict=True)]

    def restore(self, snapshot: Snapshot) -> None:
        """Go on from what the store holds."""
        if self._stories is not None:
            self._stories.restore(snapshot.told)

    def drain(self) -> tuple[list[ToldRow], datetime | None]:
        """What of the stories has changed, and before when they are forgotten."""
        return self._stories.drain() if self._stories is not None else ([], None)
