"""Kafka's side of a sender: a transactional producer, and the look into the log after a crash."""

from __future__ import annotations

import logging
import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from confluent_kafka import (
    OFFSET_BEGINNING,
    Consumer,
    IsolationLevel,
    KafkaError,
    KafkaException,
    Producer,
    TopicPartition,
    admin,
)

from monitor.errors import SourceError
from monitor.events import Partition
from monitor.source.client import milliseconds, require_reachable, source_error
from monitor.source.dispatch import Key
from monitor.source.librdkafka import client_options, fault_kind, producer_options
from monitor.source.settings import KafkaSettings
from monitor.store.publishing.base import Message

log = logging.getLogger(__name__)

TRANSACTION_TIMEOUT = 60.0
"""Seconds after which the brokers abort a transaction whose sender has died."""


class KafkaTransactions:
    """A `monitor.source.dispatch.TransactionLog` on Apache Kafka 2.5 or newer.

    The transactional id is ``monitor-`` and the identity: with ACLs this user needs Write and
    Describe on transactional ids with that prefix. The constructor connects and fences; it raises
    ``SourceError`` as every method does.
    """

    def __init__(self, settings: KafkaSettings, identity: str) -> None:
        self._settings = settings
        self._errors: list[KafkaError] = []
        require_reachable(settings)
        timeout = milliseconds(TRANSACTION_TIMEOUT)
        options = producer_options(settings) | {
            "transactional.id": f"monitor-{identity}",
            "transaction.timeout.ms": timeout,
            "message.timeout.ms": min(milliseconds(settings.delivery_timeout), timeout),
            # What is wrong with a message is to be told before the commit is given up.
            "topic.metadata.propagation.max.ms": milliseconds(settings.delivery_timeout) // 2,
        }
        with self._words("Opening a transactional producer"):
            self._producer: Any = Producer(options, logger=log)
            self._admin: Any = admin.AdminClient(client_options(settings), logger=log)
            self._producer.init_transactions(settings.request_timeout)

    def ends(self, topics: Collection[str]) -> Mapping[Partition, int]:
        """See `TransactionLog.ends`."""
        with self._words(f"Asking for the ends of {', '.join(sorted(topics))}"):
            offsets: Any = admin  # whose types do not name this one
            latest = offsets.OffsetSpec.latest()
            wanted = {
                TopicPartition(partition.topic, partition.number): latest
                for partition in self._partitions(topics)
            }
            answers = self._admin.list_offsets(
                wanted,
                isolation_level=IsolationLevel.READ_UNCOMMITTED,
                request_timeout=self._settings.request_timeout,
            )
            return {
                Partition(place.topic, place.partition): int(answer.result().offset)
                for place, answer in answers.items()
            }

    def publish(self, messages: Sequence[Message]) -> None:
        """See `TransactionLog.publish`."""
        with self._words(f"Publishing to {', '.join(sorted({m.topic for m in messages}))}"):
            self._producer.begin_transaction()
            for message in messages:
                self._produce(message)
            settings = self._settings
            self._producer.commit_transaction(settings.delivery_timeout + settings.request_timeout)
            if self._errors:
                raise KafkaException(self._errors[0])

    def found(self, since: Mapping[Partition, int], keys: Collection[Key]) -> set[Key]:
        """See `TransactionLog.found`. Reads what was written meanwhile: seconds for some 100,000
        records. A transaction of somebody else that is still open ahead of ours has to end first,
        which the brokers see to."""
        wanted = set(keys)
        ends = self.ends({topic for topic, _ in keys})
        # A log that ends before the place noted is another one: its topic was made anew.
        since = {p: at for p, at in since.items() if at <= ends.get(p, 0)}
        open_ends = {p: end for p, end in ends.items() if end > since.get(p, 0)}
        if not open_ends:
            return set()
        consumer: Any = Consumer(
            client_options(self._settings)
            | {
                "group.id": f"{self._settings.group_id}-in-doubt",  # never joined, never committed
                "enable.auto.commit": False,
                "enable.auto.offset.store": False,
                "enable.partition.eof": True,
                "auto.offset.reset": "earliest",  # what retention has deleted can't be looked at
                "isolation.level": "read_committed",
            },
            logger=log,
        )
        try:
            with self._words("Looking for messages in doubt"):
                return self._read(consumer, since, open_ends, wanted)
        finally:
            consumer.close()

    def close(self) -> None:
        """See `TransactionLog.close`."""
        producer, self._producer = self._producer, None
        if producer is not None:
            producer.purge()

    def _read(
        self,
        consumer: Any,
        since: Mapping[Partition, int],
        ends: Mapping[Partition, int],
        wanted: set[Key],
    ) -> set[Key]:
        consumer.assign(
            [TopicPartition(p.topic, p.number, since.get(p, OFFSET_BEGINNING)) for p in ends]
        )
        found: set[Key] = set()
        behind = dict(ends)
        deadline = time.monotonic() + TRANSACTION_TIMEOUT + self._settings.request_timeout
        while behind:
            if time.monotonic() > deadline:
                raise KafkaException(KafkaError(KafkaError._TIMED_OUT))  # noqa: SLF001
            record = consumer.poll(0.5)
            if record is None:
                continue
            fault = record.error()
            if fault is not None and fault.code() != KafkaError._PARTITION_EOF:  # noqa: SLF001
                raise KafkaException(fault)
            partition = Partition(record.topic(), record.partition())
            if fault is None:
                key = (partition.topic, (record.key() or b"").decode(errors="replace"))
                if key in wanted:
                    found.add(key)
                reached = record.offset() + 1
            else:
                reached = record.offset()  # of a partition's end: behind markers and aborted ones
            if reached >= behind.get(partition, reached + 1):
                del behind[partition]
        return found

    def _partitions(self, topics: Collection[str]) -> Iterator[Partition]:
        timeout = self._settings.request_timeout
        for topic in topics:
            data = self._admin.list_topics(topic, timeout=timeout).topics[topic]
            if data.error is not None:
                raise KafkaException(data.error)
            yield from (Partition(topic, number) for number in data.partitions)

    def _produce(self, message: Message) -> None:
        key = message.id.encode()
        while True:
            try:
                self._producer.produce(
                    message.topic, message.value, key, on_delivery=self._on_failure
                )
            except BufferError:  # its queue holds so many bytes and no more
                self._producer.poll(0.1)
            else:
                return

    def _on_failure(self, error: KafkaError | None, _message: object) -> None:
        if error is not None:
            self._errors.append(error)

    @contextmanager
    def _words(self, doing: str) -> Iterator[None]:
        if getattr(self, "_producer", True) is None:
            raise SourceError(f"{doing}: this log is closed")
        try:
            yield
        except KafkaException as error:
            # What became of a message says more than that its transaction failed.
            fault = self._errors[0] if self._errors else error.args[0]
            cause = fault_kind(fault)(fault.str())
            raise source_error(self._settings, doing, cause) from error
