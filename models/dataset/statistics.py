"""How varied a written corpus is, and what it is made of."""

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from models.dataset import near
from models.dataset.table import Fault, Row, Table
from models.labels import SENTIMENTS, TASKS
from models.text import normalise

SEGMENT: Final = 1_000
"""Words of a segment of the standardised type-token ratio."""

_WORD = re.compile(r"\w+(?:[.,'&-]\w+)*")


@dataclass(frozen=True, slots=True)
class Statistics:
    """Figures of a corpus; a word is a run of letters and digits, numbers and can't being one."""

    texts: int
    words: int
    types: int
    """Different words, case aside."""
    type_token_ratio: float
    standardised_ratio: float | None
    """Mean type-token ratio of consecutive segments of 1,000 words; None with fewer words."""
    distinct_4grams: float
    """Different word 4-grams over all of them, each text for itself."""
    twins: int
    """Texts that repeat an earlier one but for links, case and punctuation."""
    near_duplicates: int
    """Pairs of texts whose Jaccard index of word 3-grams is 0.5 or more, twins included."""
    nearest: tuple[tuple[str, str, float], ...]
    """These pairs: both places and the index, nearest first."""
    counts: Mapping[str, Mapping[str, int]]
    """Texts by value of sentiment, topic, register, split and the like, where there are such."""
    entities: Mapping[str, Mapping[str, int]]
    """Entities by type, then by sentiment ("none" where it has none)."""
    faults: tuple[Fault, ...]
    """Entities whose span, type or sentiment cannot be."""


def describe(table: Table, texts: Sequence[str]) -> Statistics:
    """Return the figures of a corpus: `texts` are those of the table's rows, in order."""
    words = [_WORD.findall(normalise(text).lower()) for text in texts]
    tokens = [word for found in words for word in found]
    four = [tuple(found[i : i + 4]) for found in words for i in range(len(found) - 3)]
    pairs = near.within(texts)
    order = (-pairs.jaccard).argsort(kind="stable")
    keys = [key for key in map(near.same_key, texts) if key]
    entities, faults = _entities(table.rows, texts)
    return Statistics(
        texts=len(texts),
        words=len(tokens),
        types=len(set(tokens)),
        type_token_ratio=len(set(tokens)) / max(1, len(tokens)),
        standardised_ratio=standardised_ratio(tokens),
        distinct_4grams=len(set(four)) / max(1, len(four)),
        twins=len(keys) - len(set(keys)),
        near_duplicates=len(pairs),
        nearest=tuple(
            (
                table.rows[int(pairs.left[k])].place,
                table.rows[int(pairs.right[k])].place,
                round(float(pairs.jaccard[k]), 3),
            )
            for k in order
        ),
        counts=_counts(table),
        entities=entities,
        faults=faults,
    )


def standardised_ratio(words: Sequence[str], segment: int = SEGMENT) -> float | None:
    """Return the mean type-token ratio of consecutive whole segments; None with fewer words.

    Unlike the plain ratio it does not fall with the size of the corpus.
    """
    starts = range(0, len(words) - segment + 1, segment)
    ratios = [len(set(words[start : start + segment])) / segment for start in starts]
    return sum(ratios) / len(ratios) if ratios else None


def _counts(table: Table) -> dict[str, dict[str, int]]:
    names = (*TASKS, "register", "split", "kind", "source")
    return {
        name: dict(Counter(str(row.cells.get(name)) for row in table.rows).most_common())
        for name in names
        if name in table.columns
    }


def _entities(
    rows: Sequence[Row], texts: Sequence[str]
) -> tuple[dict[str, dict[str, int]], tuple[Fault, ...]]:
    found: dict[str, Counter[str]] = {}
    faults: list[Fault] = []
    for row, text in zip(rows, texts, strict=True):
        entities = row.cells.get("entities") or []
        if not isinstance(entities, list):
            faults.append(Fault(row.place, row.number, "entities are no list"))
            continue
        end = 0
        for entity in entities:
            if wrong := _wrong(entity, text):
                faults.append(Fault(row.place, row.number, f"entity {entity}: {wrong}"))
                continue
            if entity["start"] < end:
                reason = f"entity {text[entity['start'] : entity['end']]!r} overlaps the one before"
                faults.append(Fault(row.place, row.number, f"{reason}; order and separate them"))
            end = entity["end"]
            found.setdefault(entity["type"], Counter())[entity.get("sentiment", "none")] += 1
    counts = {kind: dict(found[kind].most_common()) for kind in sorted(found)}
    return counts, tuple(faults)


def _wrong(entity: object, text: str) -> str | None:
    if not isinstance(entity, dict):
        return "no object with start, end and type"
    start, end = entity.get("start"), entity.get("end")
    if not (isinstance(start, int) and isinstance(end, int) and 0 <= start < end <= len(text)):
        return f"start and end must be characters of the text, 0 to {len(text)}"
    if text[start:end] != text[start:end].strip():
        return "begins or ends with a space; move start or end"
    if not isinstance(entity.get("type"), str):
        return "no type; write organisation, person, location or other"
    if entity.get("sentiment", "neutral") not in SENTIMENTS:
        return f"sentiment must be one of {', '.join(SENTIMENTS)}"
    return None
