"""The interface of a detector: one closed bucket in, readings of the keys that matter out."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from typing import Protocol

from monitor.detect.table import Spoken
from monitor.detect.witness import Witness
from monitor.events import Bucket


@dataclass(frozen=True, slots=True)
class Reading:
    """What a detector says of one key after one bucket.

    Given for the keys that are in alarm (``evalue`` >= ``threshold``) and for those that fire.
    ``observed`` and ``upper`` compare this bucket alone with the upper end of what is normal: the
    life cycle adds them up to see a recovery. The other figures cover the window since the
    evidence began to rise; for a key that fires, the bucket.
    """

    key: str
    alarm: bool
    evalue: float
    """The statistic M: under the null E[number of alarms in T updates] <= T / threshold."""
    threshold: float
    bucket_documents: int
    observed: float
    upper: float
    value: float
    baseline: float
    documents: int
    negative: int
    since: int
    """Start (seconds since the epoch) of the first bucket of the window."""
    rate: float = 0.0
    """Voices an hour that are usual for this key: whether it is a busy one."""
    witness: Witness | None = field(default=None, compare=False, repr=False)
    """Of a key that alarms and does not fire yet: what the reading followed from."""


@dataclass(frozen=True, slots=True)
class Recent:
    """The last hour of a key, or the part of it since some moment, against its baseline."""

    documents: int
    observed: float
    """Negative documents, or documents."""
    expected: float
    """Of the same, by the baseline."""


class Detector(Protocol):
    """Updated once for every closed bucket, in order. Pure but for its state; never blocks."""

    @property
    def name(self) -> str:
        """Short name: a label of metrics and of the alert."""
        ...

    @property
    def version(self) -> str:
        """Changes with every change of formula or parameter: stored states of others are void."""
        ...

    def step(
        self,
        start: int,
        spoken: Spoken,
        firing: Collection[str],
        blind: Collection[str] = (),
    ) -> list[Reading]:
        """Update the keys with the bucket that starts at ``start`` (seconds since the epoch).

        A key that does not speak is not touched: when it speaks again it is advanced over the
        silence in one go. The baselines of the keys in ``firing`` stay frozen, and of each of them
        there is a reading. Those of the keys in ``blind``, for which a source does not speak, stay
        frozen too, and what is heard of them meanwhile is never learned; they may alarm like any
        other.
        """
        ...

    @property
    def hot(self) -> Collection[str]:
        """Keys near their threshold: of these a look into the open bucket is worth its while."""
        ...

    def look(self, start: int, spoken: Spoken, firing: Collection[str]) -> list[Reading]:
        """The alarms that the part of the bucket at ``start`` which is there already would raise.

        Changes nothing; the bucket's own step follows.
        """
        ...

    def again(self, witness: Witness) -> Reading:
        """The reading that this witness was taken of, by the same code; settings must be equal.

        Forgets every other state. ``ValueError`` for states that are not of this version.
        """
        ...

    def recent(self, key: str, since: int, start: int) -> Recent:
        """A key from ``since`` to the end of the bucket at ``start``, at most its last hour."""
        ...

    def learn(self, past: Iterable[Bucket], now: int) -> None:
        """Documents that came in late as known history change baselines, never the evidence.

        ``now``: start of the newest closed bucket, seconds since the epoch.
        """
        ...

    def outlives_model(self, key: str, /) -> bool:
        """Whether the state of this key means the same when another model judges."""
        ...

    def forget(self, keys: Iterable[str]) -> None:
        """These are not followed any more."""
        ...

    def drain(self) -> list[tuple[str, bytes]]:
        """(key, state) of every key whose state changed since the last drain; empty: forgotten."""
        ...

    def restore(self, states: Iterable[tuple[str, bytes]]) -> None:
        """Forget everything and go on from these states."""
        ...

    def accept(self, key: str) -> None:
        """The present level of the key is the new normal: start its baseline from it."""
        ...
