"""How fast records become documents, beside bare ``json.loads`` in the same run; and, with
``--kafka HOST:PORT``, how fast a broker's records are read and decoded.

    python tests/benchmarks/decode.py [--count 20000] [--kafka 127.0.0.1:9092]
"""

from __future__ import annotations

import argparse
import json
import random
import time
import uuid
from collections.abc import Callable
from datetime import UTC, datetime

from monitor.events import Document, Kind, Origin, Record
from monitor.source.client import ensure_topics
from monitor.source.contract import Limits
from monitor.source.decode import Decoder, pseudonymiser
from monitor.source.kafka import KafkaSource
from monitor.source.publish import KafkaPublisher
from monitor.source.settings import KafkaSettings

WORDS = (
    *("harbour", "ferry", "tariff", "yield", "quarter", "dividend"),
    *("grain", "copper", "court", "merger", "storm", "audit"),
)
NOW = datetime(2024, 5, 17, tzinfo=UTC)
ROUNDS = 5


def values(count: int) -> list[bytes]:
    """Messages of about 600 bytes with every field; one in three has typographic quotes."""
    generator = random.Random(7)
    made = []
    for number in range(count):
        text = " ".join(generator.choices(WORDS, k=50))
        message = {
            "kind": "news",
            "source": f"source-{number % 40}.example.org",
            "published_at": f"2024-05-{number % 16 + 1:02d}T09:{number % 60:02d}:00Z",
            "title": " ".join(generator.choices(WORDS, k=9)).capitalize(),
            "text": f"“{text}”" if number % 3 == 0 else text,
            "url": f"https://example.org/{number}",
            "author": f"Author {number % 500}",
            "lang": "en",
            "tickers": ["SHIP"],
        }
        made.append(json.dumps(message, ensure_ascii=number % 2 == 0).encode())
    return made


def best(work: Callable[[], object], count: int) -> float:
    """Microseconds of CPU time for each item, the fastest of some rounds: machines are shared."""
    times = []
    for _ in range(ROUNDS):
        start = time.process_time()
        work()
        times.append(time.process_time() - start)
    return min(times) / count * 1e6


def decoding(messages: list[bytes]) -> None:
    decoder = Decoder(Limits(), {"news": Kind.NEWS}, pseudonymiser(b"benchmark"))
    records = [
        Record(Origin("news", 0, offset), value, None, NOW) for offset, value in enumerate(messages)
    ]
    found = [decoder.decode(record, now=NOW, rejected_at=NOW) for record in records]
    assert all(isinstance(document, Document) for document in found)
    parse = best(lambda: [json.loads(value) for value in messages], len(messages))
    whole = best(
        lambda: [decoder.decode(record, now=NOW, rejected_at=NOW) for record in records],
        len(messages),
    )
    size = sum(map(len, messages)) / len(messages)
    print(f"{len(messages)} messages of {size:.0f} bytes, best of {ROUNDS} rounds, CPU time")
    print(f"json.loads alone  {parse:6.2f} µs  {1e6 / parse:9,.0f} records/s")
    print(f"decode            {whole:6.2f} µs  {1e6 / whole:9,.0f} records/s")


def reading(address: str, messages: list[bytes]) -> None:
    topic = f"benchmark-{uuid.uuid4().hex[:8]}"
    settings = KafkaSettings(bootstrap_servers=address, group_id=topic)
    ensure_topics(settings, {topic: 4})
    publisher = KafkaPublisher(settings)
    start = time.perf_counter()
    publisher.publish(topic, ((str(n).encode(), value) for n, value in enumerate(messages)))
    publishing = time.perf_counter() - start
    publisher.close()
    decoder = Decoder(Limits(), {}, pseudonymiser(b"benchmark"))
    source = KafkaSource(settings, [topic])
    while not source.poll(1.0, 1).assigned:
        pass
    left, decoded = len(messages), 0.0
    start = time.perf_counter()
    while left > 0:
        records = source.poll(1.0, 2_000).records
        left -= len(records)
        begun = time.perf_counter()
        for record in records:
            decoder.decode(record, now=NOW, rejected_at=NOW)
        decoded += time.perf_counter() - begun
    whole = time.perf_counter() - start
    source.close()
    print(f"published         {len(messages) / publishing:19,.0f} records/s (acks=all, lz4)")
    print(f"read              {len(messages) / (whole - decoded):19,.0f} records/s")
    print(f"read and decoded  {len(messages) / whole:19,.0f} records/s")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=20_000)
    parser.add_argument("--kafka", metavar="HOST:PORT")
    options = parser.parse_args()
    messages = values(options.count)
    decoding(messages)
    if options.kafka:
        reading(options.kafka, messages)


if __name__ == "__main__":
    main()
