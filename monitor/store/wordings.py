"""Wordings of stories as one value of the database: columns, one behind the other.

    1 byte    version
    8 bytes   number of rows
    8 bytes   of each row for each of number, first_ms, last_ms, story, story_ms, origin_ms (the
              least of all integers: none) and the bytes of its words
    then      the words of all rows
    then      their first_id, story_id (empty: the same) and origin_id (empty: none) in UTF-8, a NUL
              between two, which no id can hold

All numbers are little-endian. A column takes a tenth of the time of as many columns of a table.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate, pairwise
from typing import Final

import numpy as np

from monitor.story.base import ToldRow

_VERSION: Final = b"1"
_NONE: Final = -(1 << 63)
_NUMBERS: Final = 7


def pack(rows: Sequence[ToldRow]) -> bytes:
    """The rows as bytes, in their order."""
    if not rows:
        return _VERSION + bytes(8)
    numbers, words, first, first_ms, last_ms, origin, origin_ms, story, story_id, story_ms = zip(
        *rows, strict=True
    )
    columns = np.array(
        [
            numbers,
            first_ms,
            last_ms,
            story,
            story_ms,
            [_NONE if ms is None else ms for ms in origin_ms],
            [len(one) for one in words],
        ],
        "<i8",
    )
    ids = [
        *first,
        *("" if named == own else named for named, own in zip(story_id, first, strict=True)),
        *(before or "" for before in origin),
    ]
    count = len(rows).to_bytes(8, "little")
    return b"".join((_VERSION, count, columns.tobytes(), *words, "\0".join(ids).encode()))


def unpack(packed: bytes) -> list[ToldRow]:
    """The inverse of `pack`. Raises ``ValueError`` where it was packed by another version."""
    if packed[:1] != _VERSION:
        raise ValueError(f"wordings of version {packed[:1]!r}; this program reads {_VERSION!r}")
    count = int.from_bytes(packed[1:9], "little")
    if not count:
        return []
    begin = 9 + 8 * _NUMBERS * count
    columns = np.frombuffer(packed[9:begin], "<i8").reshape(_NUMBERS, count).tolist()
    numbers, first_ms, last_ms, story, story_ms, origin_ms, sizes = columns
    ends = list(accumulate(sizes, initial=begin))
    ids = packed[ends[-1] :].decode().split("\0")
    first, story_id, origin = ids[:count], ids[count : 2 * count], ids[2 * count :]
    return [
        ToldRow(
            numbers[i],
            packed[start:end],
            first[i],
            first_ms[i],
            last_ms[i],
            origin[i] or None,
            None if origin_ms[i] == _NONE else origin_ms[i],
            story[i],
            story_id[i] or first[i],
            story_ms[i],
        )
        for i, (start, end) in enumerate(pairwise(ends))
    ]
