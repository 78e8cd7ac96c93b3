"""A sender in a process of its own that dies at a named step.

Arguments: database URL, bootstrap servers, the step at which to die (or ``never``).
"""

from __future__ import annotations

import os
import sys
from collections.abc import Collection, Mapping, Sequence

from monitor.events import Partition
from monitor.source.dispatch import Dispatcher, Key
from monitor.source.settings import KafkaSettings
from monitor.source.transact import KafkaTransactions
from monitor.store.engine import open_engine
from monitor.store.publishing.base import Message
from monitor.store.publishing.sql import SqlLane, SqlPublishing

STEPS = ("connected", "asked", "noted", "open", "committed", "settled", "found")
DIED = 9


class Doomed(KafkaTransactions):
    """Ends the process, as ``kill -9`` does, when it comes to the step."""

    step = "never"

    def __init__(self, settings: KafkaSettings, identity: str) -> None:
        super().__init__(settings, identity)
        die(self.step, "connected")

    def ends(self, topics: Collection[str]) -> Mapping[Partition, int]:
        ends = super().ends(topics)
        die(self.step, "asked")
        return ends

    def publish(self, messages: Sequence[Message]) -> None:
        die(self.step, "noted")
        if self.step == "open":
            self._producer.begin_transaction()
            for message in messages:
                self._produce(message)
            self._producer.flush(10)  # the records lie in the log, their transaction is open
            die(self.step, "open")
        super().publish(messages)
        die(self.step, "committed")

    def found(self, since: Mapping[Partition, int], keys: Collection[Key]) -> set[Key]:
        found = super().found(since, keys)
        die(self.step, "found")
        return found


def die(step: str, here: str) -> None:
    if step == here:
        os._exit(DIED)


def main(url: str, servers: str, step: str) -> None:
    Doomed.step = step
    engine = open_engine(url)
    settings = KafkaSettings(bootstrap_servers=servers)
    publishing = SqlPublishing(engine, SqlLane(engine, "feeds"))
    sender = Dispatcher(publishing, lambda identity: Doomed(settings, identity), page=4)
    sender.open()
    while sender.step():
        die(step, "settled")
    sender.close()
    engine.dispose()


if __name__ == "__main__":
    main(*sys.argv[1:])
