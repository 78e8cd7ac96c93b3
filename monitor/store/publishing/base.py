"""The protocol of the messages that wait for Kafka, and what a crash leaves of an attempt."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import NamedTuple, Protocol

from monitor.events import Partition

PAGE_BYTES = 8 << 20
"""Most bytes of the values of one page of `Publishing.waiting`, unless its first has more."""


class Message(NamedTuple):
    """What is to be written: ``id`` becomes the record's key, and is looked for after a crash."""

    topic: str
    id: str
    """Unique among all messages of the topic, for ever; 1 to 256 characters."""
    value: bytes


class Waiting(NamedTuple):
    """A stored message that is not known to be in Kafka."""

    row: int
    message: Message


class Doubt(NamedTuple):
    """An attempt whose outcome nobody noted: its messages, and the logs' ends before it began."""

    waiting: tuple[Waiting, ...]
    ends: Mapping[Partition, int]


class Backlog(NamedTuple):
    """What waits: how many messages, and when the oldest of them was added."""

    messages: int
    oldest: datetime | None


class Publishing(Protocol):
    """The messages of one lane. Blocks; ``add`` belongs to any thread and process, the rest to the
    one sender. Raises ``StoreError``; ``LeaseError`` when another sender has taken the lane."""

    def open(self) -> str:
        """Take the lane's lease: whoever held it is fenced. Returns the identity of the lane in
        this database: random, constant, 16 characters of hexadecimal."""
        ...

    def add(self, messages: Sequence[Message], now: datetime) -> None:
        """Store these, durably. One whose topic and id wait already is left as it is."""
        ...

    def waiting(self, limit: int) -> Sequence[Waiting]:
        """The oldest messages, at most ``limit`` and about `PAGE_BYTES`."""
        ...

    def doubt(self) -> Doubt | None:
        """The attempt that was noted and not settled."""
        ...

    def note(self, rows: Collection[int], ends: Mapping[Partition, int]) -> None:
        """An attempt at these rows begins; ``ends`` is where their topics' logs end now. It must
        come before the first byte is sent."""
        ...

    def settle(self, sent: Collection[int]) -> None:
        """These rows are in Kafka; the others of the attempt are not, and wait again."""
        ...

    def backlog(self) -> Backlog:
        """How much waits."""
        ...

    def close(self) -> None:
        """Idempotent."""
        ...
