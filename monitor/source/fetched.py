"""What kafka-python has fetched and not yet handed out; nothing public lets go of it.

It unpacks one partition at a time, "the one in line", and puts it aside when its partition is
paused (KAFKA-7548).
"""

from __future__ import annotations

from typing import Any

from kafka import TopicPartition


def discard_fetched(consumer: Any) -> TopicPartition | None:
    """Throw away what the client was unpacking; of which partition, None: of none. After an
    exception that `monitor.source.unreadable.is_unreadable` it is the partition that can't be read.
    What is thrown away is fetched again from the consumer's position."""
    fetcher = consumer._fetcher  # noqa: SLF001
    fetcher._next_in_line_exception_metadata = None  # noqa: SLF001 - raised at most once
    part = fetcher._next_partition_records  # noqa: SLF001
    if not part:
        return None
    part.drain()
    return TopicPartition(*part.topic_partition)


def discard_failed(consumer: Any) -> None:
    """Throw away what failed behind records that were handed out, before its partition is paused:
    the client would forget the exception and keep the rest."""
    if consumer._fetcher._next_in_line_exception_metadata is not None:  # noqa: SLF001
        discard_fetched(consumer)


def free_line(consumer: Any) -> None:
    """Let a partition that was put aside and resumed come back into the line.

    The client waits for an empty place, fetches nothing of the partition meanwhile, and does not
    take one that is used up for empty: it would wait until another is put aside, if ever.
    """
    fetcher = consumer._fetcher  # noqa: SLF001
    if not fetcher._next_partition_records:  # noqa: SLF001
        fetcher._next_partition_records = None  # noqa: SLF001
