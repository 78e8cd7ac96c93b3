"""Seconds from `monitor run` to the first scored document, against the bare import of PyTorch.

Run: python tests/benchmarks/start.py [--runs 2]. The first run may read cold files; the figure that
counts is the last one's (at most 15 s on a CPU).
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from harness.daemon import DaemonProcess, Installation, until

from monitor.demo.broker import EmbeddedBroker
from monitor.source.client import ensure_topics
from monitor.source.publish import KafkaPublisher


def one_start(broker: EmbeddedBroker, folder: Path) -> float:
    """A document waits in Kafka; seconds until its verdict is in the database."""
    site = Installation(folder, broker.settings())
    ensure_topics(site.kafka, dict.fromkeys(site.topics.every(), 4))
    message = {
        "source": "desk",
        "published_at": datetime.now(UTC).isoformat(),
        "title": "The mill reopens after the flood",
    }
    publisher = KafkaPublisher(site.kafka)
    publisher.publish(site.topics.news, [(None, json.dumps(message).encode())])
    publisher.close()
    config = site.write()
    begun = time.perf_counter()
    with DaemonProcess(config) as daemon:
        until(lambda: site.count("documents") == 1, "the first document is scored", daemon)
        return time.perf_counter() - begun


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=2)
    options = parser.parse_args()
    begun = time.perf_counter()
    subprocess.run([sys.executable, "-c", "import torch"], check=True)
    bare = time.perf_counter() - begun
    print(f"import torch alone         {bare:6.1f} s")
    with EmbeddedBroker() as broker:
        for number in range(1, options.runs + 1):
            with tempfile.TemporaryDirectory() as folder:
                took = one_start(broker, Path(folder))
            print(f"start to document, run {number}   {took:6.1f} s  {took / bare:5.1f} times that")


if __name__ == "__main__":
    main()
