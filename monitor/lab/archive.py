"""What the system knew at a moment of the rerun, and what an alert's window held then.

Columns of integers, 40 bytes a document beside its id; nothing is asked of the database. Documents
are numbered in the order of their arrival, so that a moment is how many of them had come.

Of a copy only the present state is stored. It was one from its own arrival on, or, where the
document that it repeats came later, from the arrival of that one.
"""

from __future__ import annotations

from array import array
from collections import defaultdict
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from monitor.detect.gates import Exhibit, Speaker
from monitor.events import BUCKET_SECONDS, TOPICS, Kind
from monitor.keys import is_named, is_pair, pair_of
from monitor.lab.history import Known
from monitor.story.base import Flip, Told

Places = npt.NDArray[np.int64]
_NOBODY = -1
_NEVER = (1 << 31) - 1


class Postings:
    """The documents that name a key, by their numbers in the `Archive`."""

    def __init__(self) -> None:
        self._by_key: defaultdict[str, array[int]] = defaultdict(lambda: array("i"))

    def add(self, number: int, documents: Sequence[Known]) -> None:
        """These documents, of which the first has this number, name what is in their views."""
        by_key = self._by_key
        for at, known in enumerate(documents, number):
            for view in known.heard.views:
                by_key[view.key].append(at)

    def of(self, key: str) -> Places:
        """Those of a company, a name or a watched item, or of a pair's company; of ``other:<sort>``
        those of any of the sort."""
        sort, _, rest = key.partition(":")
        if sort == "other":
            named = "company" if rest == "pair" else rest
            found = [of for k, of in self._by_key.items() if k.partition(":")[0] == named]
            return np.unique(np.concatenate([_numbers(of) for of in found] or [_none()]))
        if sort == "pair":
            key = pair_of(key)[1]
        return _numbers(self._by_key[key]) if key in self._by_key else _none()


class Archive:
    """Documents in the order of their arrival."""

    def __init__(self) -> None:
        self._published = array("q")  # milliseconds since the epoch
        self._kind = array("b")  # 1: a comment
        self._topic = array("b")
        self._source = array("i")
        self._author = array("i")
        self._story = array("i")
        self._copy_since = array("i")  # the number of the document that told
        self._by_bucket: defaultdict[int, list[Places]] = defaultdict(list)
        self._ids: dict[str, int] = {}  # of documents that came, or that others tell of: a number
        self._here = array("i")  # by that number: the document, or -1
        self._numbers: dict[str, int] = {}  # of sources and authors
        self._waiting: dict[str, list[Known]] = {}  # copies of what has not come, by its id

    def __len__(self) -> int:
        return len(self._published)

    def add(self, documents: Sequence[Known]) -> tuple[list[Known], list[tuple[int, Flip]]]:
        """Documents that come one after the other: as each is known when it comes; and those that
        turn out to be copies, with the number of the document whose arrival tells it."""
        first = len(self)
        found, flips = list(documents), []
        here, ids, waiting = self._here, self._ids, self._waiting
        for number, known in enumerate(documents, first):
            heard = known.heard
            own = self._id(heard.id)
            here[own] = number
            since = number if heard.copy else _NEVER
            if known.copy_of is not None and here[self._id(known.copy_of)] < 0:
                waiting.setdefault(known.copy_of, []).append(known)
                since = _NEVER
                found[number - first] = known._replace(heard=heard._replace(copy=False))
            self._copy_since.append(since)
            self._story.append(own if known.story == heard.id else self._id(known.story))
            if waiting and heard.id in waiting:
                for before in waiting.pop(heard.id):
                    self._copy_since[here[ids[before.heard.id]]] = number
                    flips.append((number, Flip(before.heard.id, Told(before.story, heard.id))))
        heards = [known.heard for known in documents]
        self._kind.extend(heard.kind is Kind.COMMENT for heard in heards)
        self._topic.extend(heard.topic for heard in heards)
        self._source.extend(self._number(known.source) for known in documents)
        self._author.extend(
            _NOBODY if heard.author is None else self._number(heard.author) for heard in heards
        )
        at = np.array([heard.at for heard in heards])
        self._published.frombytes(np.rint(at * 1000).astype(np.int64).tobytes())
        buckets = (at // BUCKET_SECONDS).astype(np.int64)
        order = np.argsort(buckets, kind="stable")
        starts = np.flatnonzero(np.diff(buckets[order], prepend=-1))
        for bucket, numbers in zip(
            buckets[order[starts]].tolist(), np.split(order + first, starts[1:]), strict=True
        ):
            self._by_bucket[bucket].append(numbers)
        return found, flips

    def exhibit(self, key: str, since: int, until: int, postings: Postings, moment: int) -> Exhibit:
        """What was known of a window of a key when ``moment`` documents had come; times in seconds
        since the epoch. Without evidence and waterfall, on which no decision rests."""
        chosen = self._chosen(key, since, until, postings)
        chosen = chosen[chosen < moment]
        stories, n = np.unique(_column(self._story)[chosen], return_counts=True)
        own = chosen[_column(self._copy_since)[chosen] >= moment]
        source, author = _column(self._source)[own], _column(self._author)[own]
        pairs, spoken = np.unique(np.stack((source, author)), axis=1, return_counts=True)
        speakers: dict[Speaker, int] = {
            (str(s), None if a == _NOBODY else str(a)): count
            for s, a, count in zip(*pairs.tolist(), spoken.tolist(), strict=True)
        }
        told = dict(zip(map(str, stories.tolist()), n.tolist(), strict=True))
        return Exhibit((), told, speakers)

    def _chosen(self, key: str, since: int, until: int, postings: Postings) -> Places:
        """The documents of a key and time."""
        if is_named(key):
            found = postings.of(key)
        else:
            buckets = range(since // BUCKET_SECONDS, (until - 1) // BUCKET_SECONDS + 1)
            inside = [of for b in buckets if b in self._by_bucket for of in self._by_bucket[b]]
            found = np.concatenate(inside or [_none()])
        published = _column(self._published)[found]
        keep = (published >= since * 1000) & (published < until * 1000)
        sort, _, name = pair_of(key)[0].partition(":") if is_pair(key) else (
            key.partition(":")
        )  # fmt: skip
        if sort == "topic":
            keep &= _column(self._topic)[found] == TOPICS.index(name)
        elif sort == "kind":
            keep &= _column(self._kind)[found] == (name == Kind.COMMENT)
        chosen: Places = found[keep]
        return chosen

    def _id(self, identifier: str) -> int:
        number = self._ids.get(identifier)
        if number is None:
            number = self._ids[identifier] = len(self._here)
            self._here.append(-1)
        return number

    def _number(self, name: str) -> int:
        return self._numbers.setdefault(name, len(self._numbers))


def _column(values: array[int]) -> npt.NDArray[Any]:
    """A view, valid until the next document comes."""
    return np.frombuffer(values, values.typecode)


def _numbers(values: array[int]) -> Places:
    return np.frombuffer(values, np.int32).astype(np.int64)


def _none() -> Places:
    return np.zeros(0, np.int64)
