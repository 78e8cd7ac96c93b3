"""Records that can't be read: a checksum that does not fit, a codec that gives up.

kafka-python raises and keeps what is left of the fetch. Asked again at the same offset, it takes
nothing from that for ever: ``poll`` never returns. So it is thrown away
(`monitor.source.fetched`), and fetched anew when it is to be tried again.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass

from kafka import TopicPartition
from kafka import errors as kafka_errors

log = logging.getLogger(__name__)

FIRST_RETRY = 1.0
"""Seconds: what was damaged on its way is whole the second time."""
LAST_RETRY = 60.0


def is_unreadable(error: Exception) -> bool:
    """Whether bytes that came could not be understood; a codec raises whatever it likes."""
    ours = (kafka_errors.CorruptRecordError, kafka_errors.UnsupportedCodecError)
    return isinstance(error, ours) or not isinstance(error, kafka_errors.KafkaError)


@dataclass(slots=True)
class _Held:
    offset: int
    delay: float
    due: float
    """Monotonic; when it is to be tried again."""
    paused: bool = True


class Unreadable:
    """Partitions that stand before such records: paused while the others are read, and tried again
    after `FIRST_RETRY` seconds, later every `LAST_RETRY`. Nothing is skipped."""

    def __init__(self) -> None:
        self._held: dict[TopicPartition, _Held] = {}

    def hold(self, tp: TopicPartition, offset: int, error: Exception, now: float) -> None:
        """It can't be read from ``offset`` on. Says so, each time."""
        before = self._held.get(tp)
        again = before is not None and before.offset == offset
        delay = min(before.delay * 2, LAST_RETRY) if before and again else FIRST_RETRY
        self._held[tp] = _Held(offset, delay, now + delay)
        log.error(
            "%s/%d can't be read from offset %d on: %s: %s. Nothing is skipped: it is tried again"
            " in %g s, the other partitions are read on, and windows of event time stay open"
            " meanwhile. If this stays, bring the log back from a sound replica; or give the"
            " records up with kafka-delete-records (a gap is noted, and reading goes on behind"
            " them). The demo's broker gives the markers of transactions no checksum: set"
            " kafka.check_crcs = false there, and only there",
            *(tp.topic, tp.partition, offset, type(error).__name__, error, delay),
        )

    def due(self, now: float) -> set[TopicPartition]:
        """Those to be resumed now."""
        ready = {tp for tp, held in self._held.items() if held.paused and now >= held.due}
        for tp in ready:
            self._held[tp].paused = False
        return ready

    def settle(self, positions: Mapping[TopicPartition, int]) -> set[TopicPartition]:
        """Let go of those that stand elsewhere now, or are no longer ours; those to be resumed."""
        gone = {tp for tp, held in self._held.items() if positions.get(tp) != held.offset}
        paused = {tp for tp in gone if self._held.pop(tp).paused}
        for tp in gone & positions.keys():
            log.info("%s/%d is read on from offset %d", tp.topic, tp.partition, positions[tp])
        return paused & positions.keys()

    @property
    def paused(self) -> set[TopicPartition]:
        """Those that are not to be fetched from."""
        return {tp for tp, held in self._held.items() if held.paused}

    @property
    def partitions(self) -> set[TopicPartition]:
        """All that could not be read when they were tried last."""
        return set(self._held)
