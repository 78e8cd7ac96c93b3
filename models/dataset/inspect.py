"""What a person should know of labelled texts before training on them."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Final, Literal

import numpy as np

from models.dataset import near
from models.dataset.corpus import Corpus, joined
from models.dataset.table import Fault
from models.labels import LABELS, Task
from models.text import MOJIBAKE, URL

FEW: Final = 20
"""A class with fewer texts is warned of: its F1 on a tenth held out rests on one text or two."""
QUANTILES: Final = (0.05, 0.25, 0.5, 0.75, 0.95, 0.99, 1.0)
NAMED: Final = 5
"""Rows that a finding names; the report as JSON has all of them."""
LIMITS: Final = (128, 512)
"""Token counts whose excess is reported: the encoder's cut, and the usual longest window."""

Lengths = Callable[[Sequence[str]], Sequence[int]]

_CASHTAG = re.compile(r"(?<![\w$])\$[A-Za-z]{1,6}(?![\w$])")


@dataclass(frozen=True, slots=True)
class Alike:
    """Twins or near-duplicates: where they are, their labels, and how alike."""

    places: tuple[str, ...]
    labels: tuple[str, ...]
    texts: tuple[str, ...]
    jaccard: float  # of word 3-grams; 1 for twins


@dataclass(frozen=True, slots=True)
class Part:
    """One file or split. Counts are of texts; shares are of all its texts."""

    name: str
    texts: int
    classes: Mapping[str, int]
    wordless: int
    """Texts without a letter or digit once links are gone; training drops them."""
    duplicates: int
    """Texts that repeat an earlier one, character by character."""
    twins: int
    """Texts that repeat an earlier one but for links, case and punctuation; duplicates included."""
    repeats: tuple[str, ...]
    """The places of these."""
    near_duplicates: int
    """Further texts that a cluster of near-duplicates has beside its first one."""
    tokens: Mapping[str, float]
    """Quantiles of the length in tokens, and the shares over `LIMITS`; empty if not measured."""
    shares: Mapping[str, float]
    """Shares of texts with links, cashtags, mostly another script, and mojibake."""


@dataclass(frozen=True, slots=True)
class Across:
    """Texts of `second` that have a twin, or another near-duplicate, in `first`."""

    first: str
    second: str
    twins: int
    near_duplicates: int
    examples: tuple[Alike, ...]  # the place in `first`, then the one in `second`


@dataclass(frozen=True, slots=True)
class Finding:
    """A fault makes scores wrong or training impossible; a warning is to be known."""

    level: Literal["fault", "warning"]
    message: str


@dataclass(frozen=True, slots=True)
class Inspection:
    """All that was found out about the texts of one task."""

    task: Task
    parts: tuple[Part, ...]
    across: tuple[Across, ...]
    conflicting_twins: tuple[Alike, ...]
    conflicting_near: tuple[Alike, ...]
    faults: tuple[Fault, ...]  # of rows that could not be read
    findings: tuple[Finding, ...]

    @property
    def faulty(self) -> bool:
        """Return whether any finding is a fault."""
        return any(finding.level == "fault" for finding in self.findings)


def inspect(
    parts: Mapping[str, Corpus],
    *,
    faults: Sequence[Fault] = (),
    lengths: Lengths | None = None,
) -> Inspection:
    """Check the texts of one task before training.

    Args:
        parts: at least one corpus by name, e.g. of a file or a split; texts must not be in two.
        faults: of rows that could not be read, to be reported with the rest.
        lengths: returns the number of tokens of each text; lengths are not measured without.
    """
    corpora = list(parts.values())
    whole = joined(*corpora)
    twins = _groups(whole)
    conflicting_twins = tuple(
        _alike(whole, rows) for rows in twins if len(set(whole.labels[rows].tolist())) > 1
    )
    conflicting_near = _conflicting_near(whole)
    found = tuple(_part(name, corpus, lengths) for name, corpus in parts.items())
    across = tuple(
        _across(first, parts[first], second, parts[second])
        for first, second in combinations(parts, 2)
    )
    return Inspection(
        task=whole.task,
        parts=found,
        across=across,
        conflicting_twins=conflicting_twins,
        conflicting_near=conflicting_near,
        faults=tuple(faults),
        findings=tuple(_findings(found, across, conflicting_twins, conflicting_near, len(faults))),
    )


def by_split(name: str, corpus: Corpus) -> dict[str, Corpus]:
    """Return the splits of a corpus as parts of their own, or the corpus where it has none."""
    splits = corpus.attributes.get("split", ())
    names = list(dict.fromkeys(splits))
    if len(names) < 2:
        return {name: corpus}
    return {
        f"{name} [{split or 'no split'}]": corpus.take(
            [row for row, found in enumerate(splits) if found == split]
        )
        for split in names
    }


def _groups(corpus: Corpus) -> list[list[int]]:
    """Return the rows of each group of twins, two or more."""
    groups: dict[str, list[int]] = {}
    for row, text in enumerate(corpus.texts):
        groups.setdefault(near.same_key(text), []).append(row)
    return [rows for key, rows in groups.items() if key and len(rows) > 1]


def _alike(corpus: Corpus, rows: Sequence[int], jaccard: float = 1.0) -> Alike:
    return Alike(
        places=tuple(corpus.place(row) for row in rows),
        labels=tuple(corpus.label(row) for row in rows),
        texts=tuple(corpus.texts[row] for row in rows),
        jaccard=round(jaccard, 3),
    )


def _conflicting_near(corpus: Corpus) -> tuple[Alike, ...]:
    """Return the pairs of near-duplicates of different labels that are no twins, nearest first."""
    pairs = near.within(corpus.texts)
    differ = np.flatnonzero(corpus.labels[pairs.left] != corpus.labels[pairs.right])
    nearest = differ[np.argsort(-pairs.jaccard[differ], kind="stable")]
    return tuple(
        _alike(corpus, (int(pairs.left[k]), int(pairs.right[k])), float(pairs.jaccard[k]))
        for k in nearest
        if near.same_key(corpus.texts[pairs.left[k]]) != near.same_key(corpus.texts[pairs.right[k]])
    )


def _part(name: str, corpus: Corpus, lengths: Lengths | None) -> Part:
    keys = [near.same_key(text) for text in corpus.texts]
    known: set[str] = set()
    repeats: list[str] = []
    for row, key in enumerate(keys):
        if key in known:
            repeats.append(corpus.place(row))
        elif key:
            known.add(key)
    clusters = near.clusters(corpus.texts)
    return Part(
        name=name,
        texts=len(corpus),
        classes=corpus.counts,
        wordless=sum(not key for key in keys),
        duplicates=len(corpus) - len(set(corpus.texts)),
        twins=len(repeats),
        repeats=tuple(repeats),
        near_duplicates=max(0, len(corpus) - len(np.unique(clusters)) - len(repeats)),
        tokens={} if lengths is None or not len(corpus) else _quantiles(lengths(corpus.texts)),
        shares={
            kind: sum(map(has, corpus.texts)) / max(1, len(corpus)) for kind, has in _KINDS.items()
        },
    )


def _quantiles(found: Sequence[int]) -> dict[str, float]:
    values = np.asarray(found)
    names = [f"{q:.0%}" if q < 1 else "longest" for q in QUANTILES]
    quantiles = np.quantile(values, QUANTILES, method="inverted_cdf").tolist()
    over = {f"over {limit}": float((values > limit).mean()) for limit in LIMITS}
    return dict(zip(names, map(float, quantiles), strict=True)) | over


def _across(first: str, one: Corpus, second: str, other: Corpus) -> Across:
    keys: dict[str, int] = {}
    for row, text in enumerate(one.texts):
        keys.setdefault(near.same_key(text), row)
    pairs = near.across(other.texts, one.texts)
    partner: dict[int, tuple[int, float]] = {}
    for row, match, jaccard in zip(pairs.left, pairs.right, pairs.jaccard, strict=True):
        if jaccard > partner.get(int(row), (0, 0.0))[1]:
            partner[int(row)] = (int(match), float(jaccard))
    twins = {
        row: keys[key]
        for row, key in enumerate(map(near.same_key, other.texts))
        if key and key in keys
    }
    alike = {row: (match, 1.0) for row, match in twins.items()}
    alike |= {row: found for row, found in partner.items() if row not in twins}
    return Across(
        first,
        second,
        twins=len(twins),
        near_duplicates=len(alike) - len(twins),
        examples=tuple(
            Alike(
                (one.place(match), other.place(row)),
                (one.label(match), other.label(row)),
                (one.texts[match], other.texts[row]),
                round(jaccard, 3),
            )
            for row, (match, jaccard) in sorted(alike.items())
        ),
    )


def _findings(
    parts: Sequence[Part],
    across: Sequence[Across],
    conflicting_twins: Sequence[Alike],
    conflicting_near: Sequence[Alike],
    faults: int,
) -> list[Finding]:
    found: list[Finding] = []

    def add(level: Literal["fault", "warning"], count: int, message: str) -> None:
        if count:
            found.append(Finding(level, f"{count:,} {message}"))

    add("fault", faults, "row(s) cannot be read; see the list, mend or remove them")
    add(
        "fault",
        len(conflicting_twins),
        "group(s) of twins with conflicting labels; agree on one label (training drops them all)",
    )
    add(
        "warning",
        len(conflicting_near),
        "pair(s) of near-duplicates with conflicting labels; look whether the words that differ"
        " justify it",
    )
    for pair in across:
        where = f"text(s) of {pair.second} with a"
        again = f"in {pair.first}; scores on both measure memory: remove them from one"
        add("fault", pair.twins, f"{where} twin {again}")
        add("fault", pair.near_duplicates, f"{where} near-duplicate {again}")
    for part in parts:
        empty = [name for name, count in part.classes.items() if not count]
        if empty:
            names = ", ".join(empty)
            found.append(
                Finding("fault", f"{part.name}: no text of {names}; add some of each class")
            )
        if few := [f"{name} ({n})" for name, n in part.classes.items() if 0 < n < FEW]:
            found.append(
                Finding("warning", f"{part.name}: fewer than {FEW} texts of {', '.join(few)}")
            )
        where = f"text(s) of {part.name}"
        add("warning", part.wordless, f"{where} without a word once links are gone; dropped")
        add(
            "warning",
            part.twins,
            f"{where} that repeat another one ({_some(part.repeats)}); training keeps the first"
            " only",
        )
        add("warning", part.near_duplicates, f"{where} that nearly repeat another one")
        mojibake = round(part.shares["mojibake"] * part.texts)
        add(
            "warning", mojibake, f"{where} with UTF-8 read as Windows-1252, repaired where possible"
        )
    return found


def _some(places: Sequence[str]) -> str:
    """The first of these rows, without the name of their file."""
    rows = [place.rpartition(", ")[2] for place in places[:NAMED]]
    return ", ".join(rows) + (", …" if len(places) > NAMED else "")


def _mojibake(text: str) -> bool:
    return "\ufffd" in text or MOJIBAKE.search(text) is not None


_KINDS: Final[Mapping[str, Callable[[str], bool]]] = {
    "link": lambda text: URL.search(text) is not None,
    "cashtag": lambda text: _CASHTAG.search(text) is not None,
    "other script": near.foreign,
    "mojibake": _mojibake,
}


def imbalance(part: Part) -> float:
    """Return how many texts the largest class has for one of the smallest that has any."""
    counts = [n for n in part.classes.values() if n]
    return max(counts) / min(counts) if counts else 0.0


def entropy(part: Part, task: Task) -> float:
    """Return the entropy of the classes over its maximum: 1 when all have as many texts."""
    counts = np.array([n for n in part.classes.values() if n], np.float64)
    p = counts / counts.sum()
    return float(-(p * np.log(p)).sum() / np.log(len(LABELS[task]))) if len(p) else 0.0
