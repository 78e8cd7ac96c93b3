"""Twins removed, parts held out."""

from collections.abc import Iterable

import numpy as np

from models.dataset.corpus import Corpus
from models.errors import DataError
from models.labels import LABELS
from models.text import twin_key


def deduplicate(corpus: Corpus) -> Corpus:
    """Keep the first of each group of twins.

    Dropped: groups whose members disagree on the label, and texts without a letter or digit once
    links are gone.
    """
    groups: dict[str, list[int]] = {}
    for row, text in enumerate(corpus.texts):
        groups.setdefault(twin_key(text), []).append(row)
    return corpus.take(
        [
            rows[0]
            for key, rows in groups.items()
            if key and len({int(corpus.labels[row]) for row in rows}) == 1
        ]
    )


def without_twins(corpus: Corpus, others: Iterable[str]) -> Corpus:
    """Drop the texts that have a twin among others, so that a score measures no memory.

    Raises:
        DataError: every text has one.
    """
    known = {twin_key(text) for text in others}
    rows = [row for row, text in enumerate(corpus.texts) if twin_key(text) not in known]
    if not rows:
        raise DataError(f"{corpus.path}: every text has a twin in the training texts; give others")
    return corpus.take(rows)


def hold_out(corpus: Corpus, share: float, seed: int) -> tuple[Corpus, Corpus]:
    """Split into (training, held-out), stratified: each class gives `share` of its texts.

    The corpus must be free of twins (`deduplicate`), else the parts share texts.

    Raises:
        DataError: a class has fewer than two texts, so that one part would lack it.
    """
    if not 0 < share < 1:
        raise DataError(f"held-out share {share} must lie between 0 and 1")
    rng = np.random.default_rng(seed)
    held: list[int] = []
    for label, name in enumerate(LABELS[corpus.task]):
        rows = np.flatnonzero(corpus.labels == label)
        if len(rows) < 2:
            raise DataError(
                f"{corpus.path}: class {name!r} has {len(rows)} text(s) after removing twins;"
                " add at least two"
            )
        held.extend(rng.permutation(rows)[: max(1, round(share * len(rows)))].tolist())
    chosen = set(held)
    rest = [row for row in range(len(corpus)) if row not in chosen]
    return corpus.take(rest), corpus.take(sorted(held))
