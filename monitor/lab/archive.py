"""What the system knew at a moment of the rerun, and what an alert's window held then.

Columns of integers, 40 bytes a document beside its id; nothing is asked of the database.

Of a copy only the present state is stored. It was one from its own arrival on, or, where the
document that it repeats came later, from the arrival of that one.
"""

from __future__ import annotations

from array import array
from collections import defaultdict
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


class Postings:
    """The documents that name a key, by their numbers in the `Archive`."""

    def __init__(self) -> None:
        self._by_key: defaultdict[str, array[int]] = defaultdict(lambda: array("i"))

    def add(self, key: str, number: int) -> None:
        """Document ``number`` names ``key``."""
        self._by_key[key].append(number)

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
        self._copy = bytearray()
        self._by_bucket: defaultdict[int, array[int]] = defaultdict(lambda: array("i"))
        self._ids: dict[str, int] = {}  # of documents that came, or that others tell of: a number
        self._here = array("i")  # by that number: the document, or -1
        self._names: dict[str, int] = {}  # of sources and authors
        self._waiting: dict[str, list[Known]] = {}  # copies of what has not come, by its id

    def __len__(self) -> int:
        return len(self._copy)

    def arrive(self, known: Known) -> tuple[bool, list[Flip]]:
        """A document comes: whether it is known to be a copy now, and those that have turned out to
        be copies of it."""
        heard = known.heard
        number = len(self._copy)
        own = self._id(heard.id)
        self._here[own] = number
        copy = heard.copy
        if known.copy_of is not None and self._here[self._id(known.copy_of)] < 0:
            self._waiting.setdefault(known.copy_of, []).append(known)
            copy = False
        self._published.append(round(heard.at * 1000))
        self._kind.append(heard.kind is Kind.COMMENT)
        self._topic.append(heard.topic)
        self._source.append(self._name(known.source))
        self._author.append(_NOBODY if heard.author is None else self._name(heard.author))
        self._story.append(own if known.story == heard.id else self._id(known.story))
        self._copy.append(copy)
        self._by_bucket[int(heard.at // BUCKET_SECONDS)].append(number)
        if not self._waiting or heard.id not in self._waiting:
            return copy, []
        flips = []
        for before in self._waiting.pop(heard.id):
            self._copy[self._here[self._ids[before.heard.id]]] = True
            flips.append(Flip(before.heard.id, Told(before.story, heard.id)))
        return copy, flips

    def exhibit(self, key: str, since: int, until: int, postings: Postings) -> Exhibit:
        """What is known of a window of a key; times in seconds since the epoch. Without evidence
        and waterfall, on which no decision rests."""
        chosen = self._chosen(key, since, until, postings)
        stories, n = np.unique(_column(self._story)[chosen], return_counts=True)
        own = chosen[~np.frombuffer(bytes(self._copy), np.bool_)[chosen]]
        source, author = _column(self._source)[own], _column(self._author)[own]
        pairs, spoken = np.unique(np.stack((source, author)), axis=1, return_counts=True)
        names = list(self._names)
        speakers: dict[Speaker, int] = {
            (names[s], None if a == _NOBODY else names[a]): count
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
            inside = [_numbers(self._by_bucket[b]) for b in buckets if b in self._by_bucket]
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

    def _name(self, name: str) -> int:
        number = self._names.get(name)
        if number is None:
            number = self._names[name] = len(self._names)
        return number


def _column(values: array[int]) -> npt.NDArray[Any]:
    """A view, valid until the next document comes."""
    return np.frombuffer(values, values.typecode)


def _numbers(values: array[int]) -> Places:
    return np.frombuffer(values, np.int32).astype(np.int64)


def _none() -> Places:
    return np.zeros(0, np.int64)
