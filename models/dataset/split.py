"""Twins removed, parts drawn: stratified by class, and no near-duplicates in two parts."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

import numpy as np
import numpy.typing as npt

from models.dataset import near
from models.dataset.corpus import Corpus
from models.errors import DataError
from models.labels import LABELS, TASKS, Task

Rows = npt.NDArray[np.int64]

_TRAINING: Final = "training"
_HELD_OUT: Final = "held out"


def deduplicate(corpus: Corpus) -> Corpus:
    """Keep the first of each group of twins.

    Dropped: groups whose members disagree on the label, and texts without a letter or digit once
    links are gone.
    """
    groups: dict[str, list[int]] = {}
    for row, text in enumerate(corpus.texts):
        groups.setdefault(near.same_key(text), []).append(row)
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
    known = {near.same_key(text) for text in others}
    rows = [row for row, text in enumerate(corpus.texts) if near.same_key(text) not in known]
    if not rows:
        raise DataError(f"{corpus.path}: every text has a twin in the training texts; give others")
    return corpus.take(rows)


def exclude(corpus: Corpus, texts: Sequence[str]) -> Corpus:
    """Drop the texts that are twins or near-duplicates of any of these.

    Raises:
        DataError: none is left.
    """
    known = {near.same_key(text) for text in texts}
    resembling = set(near.across(corpus.texts, texts).left.tolist())
    rows = [
        row
        for row, text in enumerate(corpus.texts)
        if row not in resembling and near.same_key(text) not in known
    ]
    if not rows:
        raise DataError(
            f"{corpus.path}: every text is a twin or near-duplicate of a text held out; add others"
        )
    return corpus.take(rows)


def hold_out_together(
    corpora: Mapping[Task, Corpus], share: float, seed: int
) -> dict[Task, tuple[Corpus, Corpus]]:
    """Hold out a part of several tasks' corpora in one draw; returns (training, held-out) of each.

    No near-duplicate of a text held out for one task is left in the training part of any other, so
    that a network with a head for each task is chosen on texts that none of its heads has seen.

    Raises:
        DataError: a class has too few texts for both parts to have one.
    """
    if not 0 < share < 1:
        raise DataError(f"held-out share {share} must lie between 0 and 1")
    for corpus in corpora.values():
        _demand(corpus, corpus.counts, LABELS[corpus.task], 2)
    parts = divide(corpora, {_TRAINING: 1 - share, _HELD_OUT: share}, seed)
    return {task: (parts[_TRAINING][task], parts[_HELD_OUT][task]) for task in corpora}


def divide(
    corpora: Mapping[Task, Corpus], shares: Mapping[str, float], seed: int
) -> dict[str, dict[Task, Corpus]]:
    """Divide corpora into named parts of these shares, e.g. train 0.8, valid 0.1, test 0.1.

    Each class of each task gives each part its share of its texts, to within a text unless large
    clusters forbid it; near-duplicates, also of two tasks, are in one part. The same seed gives the
    same parts. Classes without any text are passed over.

    Raises:
        DataError: the shares do not sum to 1, or a class has too few clusters for each part.
    """
    if not shares or min(shares.values()) <= 0 or abs(sum(shares.values()) - 1) > 1e-6:
        raise DataError(
            f"shares {', '.join(f'{k}={v:g}' for k, v in shares.items())} must be positive and"
            " sum to 1"
        )
    order = [task for task in TASKS if task in corpora]
    offsets = np.cumsum([0, *(len(LABELS[task]) for task in order)])
    groups = near.clusters([text for task in order for text in corpora[task].texts])
    classes = np.concatenate(
        [corpora[task].labels + offset for task, offset in zip(order, offsets[:-1], strict=True)]
    )
    start = 0
    for task in order:
        corpus = corpora[task]
        own = groups[start : start + len(corpus)]
        distinct = {
            name: len(np.unique(own[corpus.labels == label]))
            for label, name in enumerate(LABELS[task])
        }
        present = [name for name in LABELS[task] if corpus.counts[name]]
        _demand(corpus, distinct, present, len(shares))
        start += len(corpus)
    part_of = _allocate(groups, classes, list(shares.values()), np.random.default_rng(seed))
    found: dict[str, dict[Task, Corpus]] = {name: {} for name in shares}
    start = 0
    for task in order:
        own = part_of[start : start + len(corpora[task])]
        for part, name in enumerate(shares):
            found[name][task] = corpora[task].take(np.flatnonzero(own == part))
        start += len(corpora[task])
    return found


def _demand(corpus: Corpus, texts: Mapping[str, int], classes: Iterable[str], parts: int) -> None:
    """Raise unless each class has as many texts that are no near-duplicates as there are parts."""
    for name in classes:
        if texts[name] < parts:
            raise DataError(
                f"{corpus.path}: class {name!r} has {texts[name]} text(s), twins and"
                f" near-duplicates counted once; {parts} parts need at least {parts}: add texts"
            )


def _allocate(
    groups: Rows, classes: Rows, shares: Sequence[float], rng: np.random.Generator
) -> Rows:
    """Return the part of each item: whole groups, each class divided by the shares.

    Groups of several items are dealt first, the largest first, each at random among the parts that
    still have room for it; single items then fill each part's quota of their class exactly.
    """
    quota = np.stack(
        [_seats(int(n), shares) for n in np.bincount(classes)], axis=1
    )  # [parts, classes]
    room = quota.copy()
    members: dict[int, list[int]] = {}
    for item, group in enumerate(groups.tolist()):
        members.setdefault(group, []).append(item)
    part_of = np.zeros(len(groups), np.int64)
    several = [items for items in members.values() if len(items) > 1]
    shuffled = [several[i] for i in rng.permutation(len(several))]
    for items in sorted(shuffled, key=len, reverse=True):
        wanted = Counter(classes[items].tolist())
        labels, counts = np.array(list(wanted)), np.array(list(wanted.values()))
        fits = (room[:, labels] >= counts).all(axis=1)
        if fits.any():
            chance = np.where(fits, shares, 0)
            part = int(rng.choice(len(shares), p=chance / chance.sum()))
        else:
            part = int(room[:, labels].sum(axis=1).argmax())
        part_of[items] = part
        room[part, labels] -= counts
    single = np.array([items[0] for items in members.values() if len(items) == 1], np.int64)
    for label in range(room.shape[1]):
        own = rng.permutation(single[classes[single] == label])
        seats = np.maximum(room[:, label], 0)
        while seats.sum() > len(own):  # a part has more than its quota already
            seats[seats.argmax()] -= 1
        part_of[own] = np.repeat(np.arange(len(shares)), seats)
    _fill(part_of, members, classes, len(shares))
    return part_of


def _fill(part_of: Rows, members: Mapping[int, list[int]], classes: Rows, parts: int) -> None:
    """Move the smallest group that will do into each part that has none of a class."""
    holders: dict[int, list[list[int]]] = {}
    for items in sorted(members.values(), key=len):
        for label in set(classes[items].tolist()):
            holders.setdefault(label, []).append(items)
    for groups in holders.values():
        for part in range(parts):
            held = Counter(int(part_of[items[0]]) for items in groups)
            if held[part] == 0:
                movable = [items for items in groups if held[int(part_of[items[0]])] > 1]
                if movable:
                    part_of[movable[0]] = part


def _seats(n: int, shares: Sequence[float]) -> Rows:
    """Divide n by the shares: largest remainders, and at least one for each part where n allows."""
    exact = n * np.asarray(shares)
    seats = np.floor(exact + 1e-9).astype(np.int64)
    for part in np.argsort(seats - exact, kind="stable")[: n - int(seats.sum())]:
        seats[part] += 1
    while n >= len(shares) and seats.min() == 0:
        seats[seats.argmax()] -= 1
        seats[seats.argmin()] += 1
    return seats
