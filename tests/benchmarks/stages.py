"""CPU time of every step between Kafka and the database, one by one in one thread.

Run: python tests/benchmarks/stages.py [--documents 16384] [--step 0.3] [--kafka HOST:PORT]

``--step``: seconds of event time between two documents; at 30 a bucket of five minutes is closed
every ten documents. Without ``--kafka`` reading and publishing are left out.
"""

from __future__ import annotations

import argparse
import gc
import json
import sys
import tempfile
import time
import uuid
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from harness.flow import judge, message
from prometheus_client import CollectorRegistry

from monitor.aggregate.watermark import Watermarks
from monitor.aggregate.window import Window
from monitor.counting import Counting
from monitor.detect.share import ShareDetector
from monitor.detect.state import Context, Exhibit, LifecycleSettings
from monitor.detect.volume import VolumeDetector
from monitor.detect.watch import Watch
from monitor.events import Kind, Origin, Partition, Record
from monitor.judged import judged
from monitor.keys import universe
from monitor.metrics import Metrics
from monitor.outgoing import OutTopics, outgoing
from monitor.relay import messages_of
from monitor.score.memory import MemoryScorer
from monitor.source.client import ensure_topics
from monitor.source.contract import Limits
from monitor.source.decode import Decoder, pseudonymiser
from monitor.source.kafka import KafkaSource
from monitor.source.publish import KafkaPublisher
from monitor.source.settings import KafkaSettings
from monitor.store.base import Commit, Move, Position
from monitor.store.engine import open_engine
from monitor.store.migrations import migrate
from monitor.store.sql import SqlStore

START = datetime(2026, 3, 2, tzinfo=UTC)
BATCH = 4_096
SLICE = 128


class Stopwatch:
    """CPU seconds of the calling thread by step."""

    def __init__(self) -> None:
        self.spent: defaultdict[str, float] = defaultdict(float)

    @contextmanager
    def __call__(self, step: str) -> Iterator[None]:
        begun = time.thread_time()
        yield
        self.spent[step] += time.thread_time() - begun


def records(values: list[bytes]) -> list[Record]:
    return [Record(Origin("news", 0, n), value, None, START) for n, value in enumerate(values)]


def read(settings: KafkaSettings, values: list[bytes], watch: Stopwatch) -> None:
    """Publish the messages, and read them back as records."""
    topic = settings.group_id
    ensure_topics(settings, {topic: 4})
    publisher = KafkaPublisher(settings)
    with watch("publish"):
        publisher.publish(topic, ((str(n).encode(), value) for n, value in enumerate(values)))
    publisher.close()
    source = KafkaSource(settings, [topic])
    while not source.poll(1.0, 1).assigned:
        pass
    left = len(values)
    while left:
        with watch("read: poll, records"):
            left -= len(source.poll(1.0, BATCH).records)
    source.close()


def write(values: list[bytes], folder: str, watch: Stopwatch) -> None:
    """Everything behind the source, in the order of the pipeline."""
    decoder = Decoder(Limits(), {"news": Kind.NEWS}, pseudonymiser(b"benchmark"))
    scorer, metrics = MemoryScorer(judge), Metrics(CollectorRegistry())
    watermarks, counting = Watermarks(), Counting(Window())
    detectors = (ShareDetector(universe()), VolumeDetector(universe()))
    url = f"sqlite:///{folder}/monitor.db"
    migrate(url)
    engine = open_engine(url)
    store = SqlStore(engine)
    store.load(0)

    def exhibit(key: str, since: int, until: int, limit: int) -> Exhibit:
        begin, end = datetime.fromtimestamp(since, UTC), datetime.fromtimestamp(until, UTC)
        evidence = store.evidence(key, begin, end, limit)
        return Exhibit(tuple(evidence), store.stories(key, begin, end))

    alarms = Watch(
        detectors,
        exhibit,
        LifecycleSettings(),
    )
    now = datetime.now(UTC)
    context = Context(now, START, scorer.model_version)
    place = Partition("news", 0)
    every = records(values)
    for first in range(0, len(every), BATCH):
        batch = every[first : first + BATCH]
        with watch("decode"):
            documents, _ = decoder.decode_batch(batch, now=now, rejected_at=now)
        with watch("watermark"):
            watermarks.observe_all(documents, 0.0)
        with watch("known ids"):
            store.known({d.id for d in documents})
        scored = []
        for begin in range(0, len(documents), SLICE):
            part = documents[begin : begin + SLICE]
            with watch("null scorer"):
                verdicts = scorer.score([d.content for d in part])
            with watch("verdicts to documents"):
                scored += judged(part, verdicts, now)[0]
        with watch("sums and buckets"):
            scored = counting.count(scored, (), now).scored
            closed = list(counting.close(watermarks.current(0.0)))
        with watch("detectors"):
            alerts = [a for c in closed for a in alarms.step(c.start, c.sums, context)]
        with watch("sums and buckets"):
            buckets = counting.drain()
        with watch("detectors"):
            states = list(alarms.drain(scorer.model_version))
        with watch("outgoing messages"):
            rows = list(outgoing(OutTopics(), scored, [], alerts))
        position = Position(first + len(batch), now)
        commit = Commit(
            moves=[Move(place, first or None, position)],
            documents=scored,
            buckets=buckets,
            key_states=states,
            alerts=list({a.id: a for a in alerts}.values()),
            outgoing=rows,
            now=now,
        )
        with watch("transaction"):
            store.apply(commit)
        with watch("metrics"):
            metrics.batch(
                records=len(batch), scored=scored, dead_letters=[], alerts=[], gaps=[], done=now
            )
        with watch("relay: read rows"):
            for row in rows:
                messages_of(row.payload)
    engine.dispose()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--documents", type=int, default=4 * BATCH)
    parser.add_argument("--step", type=float, default=0.3)
    parser.add_argument("--kafka", metavar="HOST:PORT")
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    step = timedelta(seconds=options.step)
    values = [
        json.dumps(message(n, START + n * step, "-0+"[n % 3], n % 20)).encode()
        for n in range(options.documents)
    ]
    gc.freeze()
    rounds = []
    for _ in range(options.rounds):
        watch = Stopwatch()
        if options.kafka:
            name = f"stages-{uuid.uuid4().hex[:8]}"
            read(KafkaSettings(bootstrap_servers=options.kafka, group_id=name), values, watch)
        with tempfile.TemporaryDirectory() as folder:
            write(values, folder, watch)
        rounds.append(watch.spent)
    least = {name: min(r[name] for r in rounds) for name in rounds[0]}
    for name, seconds in (*least.items(), ("sum", sum(least.values()))):
        print(f"{name:24}{1e6 * seconds / len(values):9.2f} ms of CPU for 1,000 documents")


if __name__ == "__main__":
    main()
