"""CPU time of every step between Kafka and the database, one by one in one thread.

Run: python tests/benchmarks/stages.py [--documents 16384] [--step 0.3] [--texts short|named]
     [--kafka HOST:PORT]

``--step``: seconds of event time between two documents; at 30 a bucket of five minutes is closed
every ten documents. ``--texts named``: of 200 characters that name companies, three in ten copies.
Without ``--kafka`` reading and publishing are left out.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
import uuid
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

from harness.flow import judge
from harness.invented import TEXTS, invented_messages
from prometheus_client import CollectorRegistry

from monitor import config
from monitor.aggregate.sources import SourceSettings
from monitor.aggregate.watermark import Watermarks
from monitor.aggregate.window import Window
from monitor.annotate import Annotator
from monitor.counting import Counting
from monitor.detect.correction import Corrections
from monitor.detect.gates import Exhibit
from monitor.detect.surroundings import Context
from monitor.entity.entities import open_entities
from monitor.events import Alert, Kind, Origin, Partition, Record
from monitor.garbage import spare_the_collector
from monitor.judged import judged
from monitor.listening import Listening
from monitor.metrics import Metrics
from monitor.naming import EntityNaming
from monitor.outgoing import OutTopics, outgoing
from monitor.relay import messages_of
from monitor.ruling import make_watch
from monitor.score.memory import MemoryScorer
from monitor.source.base import Batch
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
from monitor.story.fingerprint import prints
from monitor.story.stories import Stories

START = datetime(2026, 3, 2, tzinfo=UTC)
BATCH = 4_096
SLICE = 128


class Stopwatch:
    """CPU seconds of the calling thread by step; a step within another is none of that one's."""

    def __init__(self) -> None:
        self.spent: defaultdict[str, float] = defaultdict(float)
        self._inner = [0.0]

    @contextmanager
    def __call__(self, step: str) -> Iterator[None]:
        self._inner.append(0.0)
        begun = time.thread_time()
        yield
        took = time.thread_time() - begun
        self.spent[step] += took - self._inner.pop()
        self._inner[-1] += took


class Timed:
    """Any object, whose methods are a step."""

    def __init__(self, of: object, watch: Stopwatch, step: str) -> None:
        self._of, self._watch, self._step = of, watch, step

    def __getattr__(self, name: str) -> Callable[..., Any]:
        method = getattr(self._of, name)

        def timed(*args: Any) -> Any:
            with self._watch(self._step):
                return method(*args)

        return timed


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
    url = f"sqlite:///{folder}/monitor.db"
    migrate(url)
    engine = open_engine(url)
    store = SqlStore(engine)
    snapshot = store.load(0)
    annotate = Annotator(
        Timed(Stories(), watch, "stories"),
        Timed(EntityNaming(open_entities(**dict(config.Entities()))), watch, "companies"),
    )
    listening = Listening(SourceSettings(), 0.2, store, metrics)
    listening.restore(snapshot)

    def exhibit(key: str, since: int, until: int, limit: int) -> Exhibit:
        begin, end = datetime.fromtimestamp(since, UTC), datetime.fromtimestamp(until, UTC)
        evidence = store.evidence(key, begin, end, limit)
        told, said = store.stories(key, begin, end), store.speakers(key, begin, end)
        return Exhibit(tuple(evidence), told, said)

    alarms = make_watch(config.Detect(), exhibit, Corrections().of)
    now = datetime.now(UTC)
    context = Context(now, START, scorer.model_version)
    place = Partition("news", 0)
    every = records(values)
    prints(["to make the tables"])
    spare_the_collector()
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
        with watch("normalise, annotate"):
            # The scorer has no tokens: any verdicts will do, and any rows.
            scored, changes = annotate(scored, verdicts, range(len(scored)))
        with watch("sums and buckets"):
            scored = counting.count(scored, changes.flipped, now).scored
        polled = Batch(batch, {place: first + len(batch)}, {place: len(every)})
        with watch("who speaks"):
            listening.hear(polled, scored, now, context)
        alerts: list[Alert] = []
        watermark = watermarks.current(0.0)
        with watch("sums and buckets"):
            closing = list(counting.close(watermark))
        for closed in closing:
            with watch("who speaks"):
                blind = listening.blind_keys(closed.start)
                listening.close(closed.start)
            with watch("detectors"):
                alerts += alarms.step(closed.start, closed.sums, context, blind)
        with watch("detectors"):
            if watermark is not None and (opened := counting.closed_until) is not None:
                alerts += alarms.look(opened, watermark, counting.part, context)
            states = list(alarms.drain(scorer.model_version))
        with watch("who speaks"):
            heard = listening.drain()
        with watch("stories"):
            told, forget_before = annotate.drain()
        with watch("sums and buckets"):
            buckets = counting.drain()
        with watch("outgoing messages"):
            rows = list(outgoing(OutTopics(), scored, [], alerts))
        position = Position(first + len(batch), now)
        commit = Commit(
            moves=[Move(place, first or None, position)],
            closed_until=counting.closed_until,
            documents=scored,
            changes=changes,
            buckets=buckets,
            key_states=[*states, *heard.key_states],
            alerts=list({a.id: a for a in alerts}.values()),
            outgoing=rows,
            told=told,
            forget_stories_before=forget_before,
            sources=heard.sources,
            rhythms=heard.rhythms,
            gone=heard.gone,
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


def told(steps: Sequence[tuple[str, float]], documents: int) -> None:
    for name, seconds in (*steps, ("sum", sum(seconds for _, seconds in steps))):
        print(f"{name:24}{1e6 * seconds / documents:9.2f} ms of CPU for 1,000 documents")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--documents", type=int, default=4 * BATCH)
    parser.add_argument("--step", type=float, default=0.3)
    parser.add_argument("--texts", choices=TEXTS, default="short")
    parser.add_argument("--kafka", metavar="HOST:PORT")
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    step = timedelta(seconds=options.step)
    values = invented_messages(options.texts, options.documents, START, step)
    rounds = []
    for _ in range(options.rounds):
        watch = Stopwatch()
        if options.kafka:
            name = f"stages-{uuid.uuid4().hex[:8]}"
            read(KafkaSettings(bootstrap_servers=options.kafka, group_id=name), values, watch)
        with tempfile.TemporaryDirectory() as folder:
            write(values, folder, watch)
        rounds.append(watch.spent)
    told([(name, min(r[name] for r in rounds)) for name in rounds[0]], len(values))


if __name__ == "__main__":
    main()
