"""Precision and recall of linking on labelled texts: one metric for the benchmark and the test.

A labelled text is a JSON object: ``text``, ``ts`` (RFC 3339), ``mentions``. A mention has ``start``
and ``end`` (characters), ``surface``, ``keys`` (any of which is right) and ``kind``:

- ``company``, ``private``: a link to one of the keys is due;
- ``weak`` (products, subsidiaries): a link to one of the keys is right, none is right as well;
- ``other_org`` (authorities, clubs): a ``name:`` link is neither right nor wrong;
- ``trap``: what must not be linked.
"""

from __future__ import annotations

import json
import random
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, NamedTuple

from monitor.entity.link import Linker
from monitor.entity.names import core, words_of
from monitor.entity.reading import Link, Span
from monitor.entity.symbols import symbol_of

DUE = ("company", "private")


class Mention(NamedTuple):
    """One labelled mention."""

    start: int
    end: int
    surface: str
    keys: frozenset[str]
    kind: str


class Labelled(NamedTuple):
    """One labelled text."""

    text: str
    at: datetime
    split: str
    mentions: tuple[Mention, ...]
    spans: tuple[Span, ...]


class Fault(NamedTuple):
    """One thing that went wrong."""

    what: str  # missed, false, wrong key, trap
    surface: str
    key: str
    confidence: float
    text: str
    kind: str


@dataclass(slots=True)
class Tally:
    """Counts of one text or of many."""

    right: int = 0
    wrong: int = 0
    due: int = 0
    found: int = 0
    faults: list[Fault] = field(default_factory=list)

    def add(self, other: Tally) -> None:
        """Add in place."""
        self.right += other.right
        self.wrong += other.wrong
        self.due += other.due
        self.found += other.found
        self.faults += other.faults

    @property
    def precision(self) -> float:
        """Right links among those that are right or wrong."""
        return self.right / max(1, self.right + self.wrong)

    @property
    def recall(self) -> float:
        """Due mentions that were linked right."""
        return self.found / max(1, self.due)


def read(path: Path) -> Iterator[Labelled]:
    """The labelled texts of a JSONL file."""
    for line in path.read_text("utf-8").splitlines():
        tree: dict[str, Any] = json.loads(line)
        mentions = []
        for m in tree["mentions"]:
            assert tree["text"][m["start"] : m["end"]] == m["surface"], tree["text"]
            mentions.append(
                Mention(m["start"], m["end"], m["surface"], frozenset(m["keys"]), m["kind"])
            )
        spans = tuple(Span(*span) for span in tree.get("spans", ()))
        at = datetime.fromisoformat(tree["ts"])
        yield Labelled(tree["text"], at, tree.get("split", ""), tuple(mentions), spans)


def tally(labelled: Labelled, linker: Linker, kinds: Sequence[str] = DUE) -> Tally:
    """What the linker got right and wrong in one text; ``kinds`` of mentions are due."""
    links = linker.link(labelled.text, labelled.spans, (), labelled.at)
    result = Tally(due=sum(m.kind in kinds for m in labelled.mentions))
    right: set[Mention] = set()
    for link in links:
        over = [m for m in labelled.mentions if m.start < link.end and link.start < m.end]
        hits = [m for m in over if m.kind != "trap" and _same(link, m.keys, linker, labelled.at)]
        if hits:
            right.update(hits)
            if any(m.kind != "weak" for m in hits):
                result.right += 1
        elif not (link.key.startswith("name:") and any(m.kind == "other_org" for m in over)):
            result.wrong += 1
            what = "false" if not over else "trap" if over[0].kind == "trap" else "wrong key"
            kind = over[0].kind if over else ""
            result.faults.append(
                Fault(what, link.surface, link.key, link.confidence, labelled.text, kind)
            )
    for mention in labelled.mentions:
        if mention.kind in kinds:
            if mention in right:
                result.found += 1
            else:
                key = min(mention.keys, default="")
                result.faults.append(
                    Fault("missed", mention.surface, key, 0.0, labelled.text, mention.kind)
                )
    return result


def _same(link: Link, keys: Iterable[str], linker: Linker, at: datetime) -> bool:
    """Whether a link means one of the keys: by any symbol, by any way of writing the name."""
    for key in keys:
        if link.key in (key, linker.gazetteer.resolve(key)):
            return True
        if key.startswith("company:US:"):
            then = symbol_of(linker.gazetteer, key.removeprefix("company:US:"), at.toordinal())
            if then is not None and then.key == link.key:
                return True
        if key.startswith("name:"):
            name = key.removeprefix("name:")
            if link.key.startswith("name:") and core(words_of(name)) == core(
                words_of(link.key.removeprefix("name:"))
            ):
                return True
    return False


def total(tallies: Iterable[Tally]) -> Tally:
    """The sum."""
    result = Tally()
    for one in tallies:
        result.add(one)
    return result


def interval(tallies: Sequence[Tally], measure: str, seed: int = 7) -> tuple[float, float]:
    """Percentile bootstrap over texts, 95 %, of ``precision`` or ``recall``."""
    generator = random.Random(seed)
    values = []
    for _ in range(2000):
        sample = generator.choices(tallies, k=len(tallies))
        if measure == "precision":
            top = sum(t.right for t in sample)
            values.append(top / max(1, top + sum(t.wrong for t in sample)))
        else:
            values.append(sum(t.found for t in sample) / max(1, sum(t.due for t in sample)))
    values.sort()
    return values[49], values[1949]
