"""What a scored document tells of whom: its story, and everybody that it names."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol

from monitor.events import Document, Flip, Mention, Scored
from monitor.score.base import Verdicts
from monitor.store.base import Snapshot


class Told(Protocol):
    """Where a document stands among those before it; see `monitor.story`."""

    @property
    def story(self) -> str:
        """Id of the first document of its story."""
        ...

    @property
    def copy_of(self) -> str | None:
        """Id of an earlier document that it repeats."""
        ...


class Stories(Protocol):
    """Tells copies from documents with words of their own."""

    def tell(self, documents: Sequence[Document]) -> tuple[Sequence[Told], Sequence[Flip]]:
        """One for each document, in their order; and what else has turned out to be a copy."""
        ...


class Naming(Protocol):
    """Finds the keys that a text names."""

    def mentions(
        self, documents: Sequence[Document], verdicts: Verdicts, rows: Sequence[int]
    ) -> Sequence[tuple[Mention, ...]]:
        """Of each document; ``rows`` are their places in ``verdicts``."""
        ...


@dataclass(frozen=True, slots=True)
class Annotated:
    """A batch with stories and mentions."""

    scored: list[Scored]
    flips: Sequence[Flip]


class Annotator:
    """Both at once: the pipeline's stage between scoring and counting."""

    def __init__(self, stories: Stories | None = None, naming: Naming | None = None) -> None:
        """Without ``stories`` every document is its own; without ``naming`` none names anybody."""
        self._stories = stories
        self._naming = naming

    def restore(self, snapshot: Snapshot) -> None:
        """Go on from what the store holds."""

    def __call__(
        self, scored: Sequence[Scored], verdicts: Verdicts | None, rows: Sequence[int]
    ) -> Annotated:
        """``rows``: the place of each scored document in ``verdicts``."""
        if not scored or verdicts is None:
            return Annotated(list(scored), ())
        documents = [s.document for s in scored]
        found: Iterable[Scored] = scored
        flips: Sequence[Flip] = ()
        if self._stories is not None:
            told, flips = self._stories.tell(documents)
            found = [
                s._replace(story=t.story, copy_of=t.copy_of)
                for s, t in zip(found, told, strict=True)
            ]
        if self._naming is not None:
            named = self._naming.mentions(documents, verdicts, rows)
            found = [s._replace(mentions=m) if m else s for s, m in zip(found, named, strict=True)]
        return Annotated(list(found), flips)
