"""What is told of documents, and what is stored of it."""

from __future__ import annotations

from typing import NamedTuple


class Told(NamedTuple):
    """What one document turned out to be."""

    story: str
    """Id of the story's first document: its own, where it is the first."""
    copy_of: str | None
    """Id of the earlier document that this one repeats; None: its own words."""


class Flip(NamedTuple):
    """A document told before as its own words has become a copy: an earlier one has arrived."""

    document: str
    told: Told
    """What it is now."""


class Rename(NamedTuple):
    """A story told before has another first document now: an earlier one has arrived, or one that
    ties two stories together. Whatever is filed under ``old`` belongs to ``new``."""

    old: str
    new: str


class Changes(NamedTuple):
    """What later documents have changed about those told before."""

    flipped: list[Flip]
    renamed: list[Rename]


class ToldRow(NamedTuple):
    """One wording within the window, as it is stored. Times are milliseconds since the epoch."""

    number: int
    words: bytes
    """A print of `fingerprint.packed`, at most 256 bytes."""
    first_id: str
    first_ms: int
    """The earliest document of just these words."""
    last_ms: int
    """The latest: the row is kept until this is older than the window."""
    origin_id: str | None
    origin_ms: int | None
    """The earliest document of a like wording, where it is earlier than the first of this one."""
    story: int
    """The same number in all rows of one story."""
    story_id: str
    story_ms: int
    """The story's first document, as of when this row was written; the least of a story's rows is
    its first document as of now."""
