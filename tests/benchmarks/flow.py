"""What everything but the model costs, from Kafka to the database: with the model, and without.

Run: python tests/benchmarks/flow.py [--documents 3000] [--unscored 20000] [--kafka HOST:PORT]

The share outside the model is told in two ways: by the stages of the main loop, and against the
same texts through the model alone in this process, one batch after another. The second includes
what the other threads (Kafka's client, delivery) take from it. Without ``--kafka`` the broker is
the embedded one, whose partitions hold 5 MiB.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import islice
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from harness.daemon import SCRIPTED, SHIPPED, DaemonProcess, Installation, until
from harness.flow import message
from prometheus_client import CollectorRegistry

from models.predict import DEFAULT
from monitor.app import load_scorer
from monitor.config import Model
from monitor.demo.broker import EmbeddedBroker
from monitor.demo.feed import endless
from monitor.metrics import STAGES, Metrics
from monitor.source.client import ensure_topics
from monitor.source.publish import KafkaPublisher
from monitor.source.settings import KafkaSettings

START = datetime(2026, 3, 2, tzinfo=UTC)
BATCH = 512
MIB = 1 << 20


@dataclass(frozen=True)
class Run:
    """What one daemon did from the publication to the last verdict."""

    documents: int
    seconds: float
    stages: dict[str, float]
    memory: tuple[float, float, float]
    """Resident, in bytes: ready, half-way, at the end."""

    @property
    def outside(self) -> float:
        """Share of the main loop's time outside the stage ``score``."""
        return 1 - self.stages["score"] / sum(self.stages.values())


def stages(daemon: DaemonProcess) -> dict[str, float]:
    return {s: daemon.metric("monitor_stage_seconds_sum", stage=s) for s in STAGES}


def run(kafka: KafkaSettings, values: Sequence[bytes], command: Sequence[str]) -> Run:
    """Publish to a daemon that waits, and look at it until everything is in the database."""
    with tempfile.TemporaryDirectory() as folder:
        site = Installation(Path(folder), kafka)
        ensure_topics(kafka, dict.fromkeys(site.topics.every(), 4))
        publisher = KafkaPublisher(kafka)
        rows = ((str(n).encode(), value) for n, value in enumerate(values))

        def memory() -> float:
            return daemon.metric("process_resident_memory_bytes")

        with DaemonProcess(site.write(), command) as daemon:
            daemon.ready()
            at_ready, before, begun = memory(), stages(daemon), time.perf_counter()
            publisher.publish(site.topics.news, rows)
            publisher.close()
            until(lambda: site.taken() >= len(values) // 2, "half is stored", daemon, 3_600)
            half = memory()
            until(lambda: site.taken() >= len(values), "all is stored", daemon, 3_600)
            seconds = time.perf_counter() - begun
            after = stages(daemon)
            spent = {s: after[s] - before[s] for s in STAGES}
            return Run(len(values), seconds, spent, (at_ready, half, memory()))


def told(name: str, found: Run) -> None:
    rate = found.documents / found.seconds
    each = "  ".join(f"{s} {1000 * t / found.documents:.2f}" for s, t in found.stages.items())
    memory = " / ".join(f"{m / MIB:,.0f}" for m in found.memory)
    print(f"{name:<24}{rate:9,.0f} documents/s over {found.documents:,}")
    print(f"  ms a document         {each}")
    print(f"  resident MiB          {memory} (ready, half-way, end)")


def alone(texts: Sequence[str]) -> float:
    """Seconds of the model over these texts, in batches like the daemon's."""
    scorer = load_scorer(Model(device="cpu"), Metrics(CollectorRegistry()), DEFAULT)
    scorer.warmup()
    begun = time.perf_counter()
    for first in range(0, len(texts), BATCH):
        scorer.score(texts[first : first + BATCH])
    seconds = time.perf_counter() - begun
    scorer.close()
    return seconds


def sample(count: int) -> list[dict[str, str]]:
    """Sound messages of the sample stream."""
    sound = (json.loads(m.value) for m in endless(START, 7) if m.flaw in (None, "copy"))
    return list(islice(sound, count))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--documents", type=int, default=3_000)
    parser.add_argument("--unscored", type=int, default=20_000)
    parser.add_argument("--kafka", metavar="HOST:PORT")
    options = parser.parse_args()
    with ExitStack() as stack:
        if options.kafka:
            kafka = KafkaSettings(bootstrap_servers=options.kafka)
        else:
            kafka = stack.enter_context(EmbeddedBroker()).settings()
        step = timedelta(seconds=30)
        plain = [
            message(n, START + n * step, "-0+"[n % 3], n % 20) for n in range(options.unscored)
        ]
        told("without a model", run(kafka, [json.dumps(m).encode() for m in plain], SCRIPTED))
        messages = sample(options.documents)
        found = run(kafka, [json.dumps(m).encode() for m in messages], SHIPPED)
        told("with the model", found)
        texts = ["\n".join(filter(None, (m.get("title"), m.get("text")))) for m in messages]
        pure = alone(texts)
        print(f"the model alone         {found.documents / pure:9,.0f} documents/s")
        print(f"outside the model       {found.outside:9.1%} of the main loop, by its stages")
        print(
            f"                        {1 - pure / found.seconds:9.1%} of the time, against it alone"
        )


if __name__ == "__main__":
    main()
