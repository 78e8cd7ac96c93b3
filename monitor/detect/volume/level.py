"""How often a key is spoken of: its level, voices a bucket at an average hour of the week.

A name that was never heard before has one: what new names go on to say on the day after they were
first heard, a gamma prior that its own voices then move. Its own voices move it late, and not at
all while they come sooner than they should: of who is spoken of ten times a day and never was
before, a baseline that follows by an hour would soon say that this is usual.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from monitor.detect.null import Floats
from monitor.detect.season import Course
from monitor.detect.table import DAY_BUCKETS, LAG, left, slots
from monitor.detect.volume.evidence import HOLD, evidence_of
from monitor.detect.volume.rows import Part

RISING = 1.0
"""Nothing is learned of a name from this evidence of the alternative `ONSET` on, in nats (two
voices much sooner than they were to be expected), if it has been listened for so many days: a level
of which little is known must still be learned."""
KNOWN = 3.0
DELAY = 3.0
"""Days by which the level of a name follows, on average …"""
YOUTH = 0.25
"""… but no more than this part of what the installation has seen."""


class Prior(NamedTuple):
    """What is known of a level before its own voices. All are [keys]."""

    documents: Floats
    buckets: Floats
    spare: Floats
    """Documents that are added to an upper estimate where there is no prior."""
    least: Floats
    """Documents a bucket that nobody has less than."""


def upper(rows: NDArray[Any], prior: Prior) -> Floats:
    """Upper estimate of documents a bucket at an average hour, [keys]: one standard deviation
    of a Poisson of its own voices above the mean, and of nobody less than of who is new."""
    own = rows["documents"]
    level = (own + prior.documents + np.sqrt(own) + prior.spare) / np.maximum(
        rows["exposure"] + prior.buckets, 1.0
    )
    least: Floats = np.maximum(level, prior.least)
    return least


def mean(rows: NDArray[Any], prior: Prior) -> Floats:
    """Documents a bucket at an average hour, [keys]."""
    found: Floats = (rows["documents"] + prior.documents) / np.maximum(
        rows["exposure"] + prior.buckets, 1.0
    )
    return found


def advance(part: Part, now: int, course: Course, decay: float, listened: float) -> None:
    """Bring rows to the bucket ``now``, in place: the level decays and learns what is an hour
    old, that of a name what is older. One function for every gap, as in `share`.

    ``listened``: buckets that the installation has seen.
    """
    rows, named = part.rows, part.named
    at = rows["at"].astype(np.int64)
    known = named & (rows["exposure"] >= KNOWN * DAY_BUCKETS)
    rising = (evidence_of(rows, named) >= HOLD) | (known & (rows["cusum"] >= RISING))
    learning = ~part.frozen & ~rising
    gap = np.maximum(now - at, 0)
    # An exposure, too, follows an hour behind; a row that is younger has none.
    behind = now - LAG - np.maximum(at - LAG, rows["born"] - 1)
    exposed = np.minimum(np.maximum(behind, 0), gap)
    heard = ~part.frozen & (named | learning)
    rows["young_exposure"] += np.where(heard, exposed, 0)
    bucket = slots(at)
    slot, due = left(rows["lag"], bucket, now)
    if len(due):
        kept_in = heard[due]
        kept, of = due[kept_in], slot[kept_in]
        factor = course.at(part.group[kept], bucket[kept, of])
        np.add.at(rows["young"], kept, rows["lag"][kept, of] / factor)
        rows["lag"][due, slot] = 0
    passed = np.where(learning, decay**gap, 1.0)
    delay = max(min(DELAY * DAY_BUCKETS, YOUTH * listened), 1.0)
    followed = np.where(named, -np.expm1(-gap / delay), 1.0) * learning
    left_young = 1.0 - followed
    for total, fresh in (
        ("documents", "young"),
        ("exposure", "young_exposure"),
        ("negative", "young_negative"),
    ):
        rows[total] = rows[total] * passed + rows[fresh] * followed
        rows[fresh] *= left_young
    rows["at"] = np.maximum(at, now)


def hear(part: Part, now: int, factor: Floats, blind: NDArray[np.bool_]) -> None:
    """Keep what was said, in place, until it is old enough to be learned."""
    rows = part.rows
    rows["lag"][:, now % LAG] = np.where(blind, 0, part.n)
    rows["young_negative"] += np.where(part.named & ~part.frozen, part.x / factor, 0.0)
