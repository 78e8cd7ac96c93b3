"""The daemon as a process under load while versions are promoted, broken by hand and rolled back.

As a script it does the same against a broker that runs, and prints what it found:
``python tests/flow/test_reload_daemon.py BOOTSTRAP_SERVERS DOCUMENTS`` (with tests on PYTHONPATH).
"""

from __future__ import annotations

import json
import signal
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections import Counter
from contextlib import closing
from dataclasses import dataclass
from datetime import timedelta
from itertools import groupby
from pathlib import Path

import pytest
from harness.daemon import DaemonProcess, Installation, read_topics, until
from harness.flow import START
from harness.weights import shifted, variant

from models import manifest as manifests
from models.predict import DEFAULT
from models.registry.folder import Registry
from monitor.demo.broker import EmbeddedBroker
from monitor.source.client import ensure_topics
from monitor.source.publish import KafkaPublisher
from monitor.source.settings import KafkaSettings

TEXTS = (
    "Harlow Bank cut its dividend for the second time this year.",
    "Shares of Brantwick Steel rose after the order from the navy.",
    "The central bank left its rate where it was.",
    "Copper was little changed in quiet trading.",
    "Prosecutors look into the accounts of Vellmar Foods.",
    "Tessaro lifts its forecast as demand for its pumps holds up.",
    "Analysts at Morrow & Pyne keep their rating on the airline.",
)
RELOAD_EVERY = 0.5


@dataclass(frozen=True)
class Found:
    """What a run left behind."""

    documents: int
    rejected: int
    sent: int
    runs: list[str]
    """The versions along each partition's log, neighbours merged, over all partitions."""
    by_version: Counter[str]
    reloads: dict[str, float]
    load_seconds: float
    seconds: float
    log: str


def unchecked(_: Path) -> None:
    """The daemon checks what it loads; here one process that loads models is enough."""


def ruin(folder: Path) -> None:
    """Stands where the check would: the pointer moves to a version that was broken by hand."""
    weights = folder / "adapters.safetensors"
    weights.chmod(0o644)
    weights.write_bytes(weights.read_bytes()[:-4] + b"ruin")


def ruined(answer: tuple[int, str]) -> bool:
    """Whether the daemon said that it cannot use such a version."""
    return answer[0] == 500 and "SHA-256" in answer[1]


def publish(site: Installation, first: int, count: int) -> None:
    """Messages with a text of ours each, numbered so that no two are alike."""
    publisher = KafkaPublisher(site.kafka)
    rows = []
    for n in range(first, first + count):
        at = (START + timedelta(seconds=20 * n)).isoformat()
        text = f"{TEXTS[n % len(TEXTS)]} Report number {n}."
        value = {"id": f"d{n}", "source": f"s{n % 7}", "published_at": at, "text": text}
        rows.append((f"d{n}".encode(), json.dumps(value).encode()))
    publisher.publish(site.topics.news, rows)
    publisher.close()


def ask(daemon: DaemonProcess) -> tuple[int, str]:
    """POST /-/reload."""
    daemon.get("/livez")  # which finds the port
    request = urllib.request.Request(f"http://127.0.0.1:{daemon._port}/-/reload", data=b"")
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:  # noqa: S310 - our own daemon
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


def reload_under_load(folder: Path, kafka: KafkaSettings, documents: int) -> Found:
    """Stream documents while two versions are promoted, one is rolled back and one is broken."""
    site = Installation(
        folder, kafka, extra="[intake]\npoll_records = 32\n[aggregate]\nidle_after = 3\n"
    )
    site.extra += f'[model]\nregistry = "{site.registry}"\nreload_every = {RELOAD_EVERY}\n'
    ensure_topics(kafka, {site.topics.news: 3})
    home = Registry(site.registry)
    names = []
    for n in (1, 2, 3):
        variant(DEFAULT, folder / f"run-{n}", shifted(n / 10))
        names.append(home.add(folder / f"run-{n}"))
    first, second, broken = names
    shipped = manifests.read(DEFAULT).version

    with DaemonProcess(site.write()) as daemon:
        daemon.ready()

        def runs(version: str) -> bool:
            return daemon.metric("monitor_model_info", version=version) == 1

        def stream(part: int) -> None:
            """Publish one part of five; return when its first documents are scored, not its last:
            the others are under way while a model is loaded."""
            first, last = (n * documents // 5 for n in (part, part + 1))
            publish(site, first, last - first)
            until(lambda: site.taken() > first, f"part {part} is begun", daemon, documents)

        assert runs(shipped)
        begin = time.monotonic()
        stream(0)
        home.promote(first, check=unchecked)  # noticed by the job
        until(lambda: runs(first), "the first promotion took over", daemon)
        stream(1)
        home.promote(second, check=unchecked)
        daemon.terminate(signal.SIGHUP)  # noticed by a signal, or by the job before it
        until(lambda: runs(second), "the second promotion took over", daemon)
        stream(2)
        home.promote(broken, check=ruin)
        assert ruined(ask(daemon))
        stream(3)
        assert runs(second)
        assert second == home.rollback(check=unchecked).after
        assert 200 == ask(daemon)[0]
        assert runs(second)  # it was never left
        home.promote("default", check=unchecked)
        until(lambda: runs(shipped), "the shipped one took over", daemon)
        stream(4)
        until(lambda: site.taken() >= documents, "all are scored", daemon, documents)
        seconds = time.monotonic() - begin
        until(site.settled, "everything is delivered", daemon)
        reloads = {
            outcome: daemon.metric("monitor_model_reloads_total", outcome=outcome)
            for outcome in ("ok", "failed")
        }
        load_seconds = daemon.metric("monitor_model_load_seconds")
        daemon.terminate()
        assert 0 == daemon.wait()
        log = daemon.log()
    rows = site.rows(
        "SELECT kafka_partition, model_version FROM documents "
        "ORDER BY kafka_partition, kafka_offset"
    )
    sent = read_topics(kafka, {site.topics.scored: documents})[site.topics.scored]
    told = {m["id"]: m["model_version"] for m in sent}
    stored = dict(site.rows("SELECT id, model_version FROM documents"))
    differing = [(i, v, stored.get(i)) for i, v in told.items() if stored.get(i) != v]
    assert ([], set()) == (differing, stored.keys() - told.keys()), (len(sent), len(told), log)
    assert {f"d{n}" for n in range(documents)} == set(told)
    scored_at = "SELECT model_version, min(scored_ms), max(scored_ms) FROM documents GROUP BY 1"
    spans = {version: (low, high) for version, low, high in site.rows(scored_at)}
    assert spans[first][1] <= spans[second][0]  # in time too, one follows upon the other
    merged = {
        partition: [version for version, _ in groupby(v for _, v in some)]
        for partition, some in groupby(rows, key=lambda row: row[0])
    }
    return Found(
        documents=site.count("documents"),
        rejected=site.count("dead_letters"),
        sent=len(sent),
        runs=[f"{p}: " + " > ".join(v[:4] for v in found) for p, found in merged.items()],
        by_version=Counter(v for _, v in rows),
        reloads=reloads,
        load_seconds=load_seconds,
        seconds=seconds,
        log=log,
    )


@pytest.mark.timeout(600)  # five loads of a model beside a daemon that scores
def test_documents_stream_through_promotions_a_broken_version_and_a_rollback(
    tmp_path: Path, embedded_broker: EmbeddedBroker
) -> None:
    kafka = embedded_broker.settings(session_timeout=6.0)
    found = reload_under_load(tmp_path, kafka, 300)
    assert (300, 0, 300) == (found.documents, found.rejected, found.sent)
    assert 3 == found.reloads["ok"]
    assert found.reloads["failed"] >= 1
    assert "cannot be used" in found.log
    assert "Traceback" not in found.log
    assert 3 == len(found.by_version)  # the broken one has scored nothing
    assert all(run.count(">") <= 3 for run in found.runs)  # no version comes back by itself


def main(bootstrap: str, documents: str) -> int:
    """Run it against a broker and print the figures."""
    kafka = KafkaSettings(bootstrap_servers=bootstrap, fetch_max_wait=0.1)
    with tempfile.TemporaryDirectory() as folder, closing(sys.stdout):
        found = reload_under_load(Path(folder), kafka, int(documents))
        print(f"in {documents}, scored {found.documents}, rejected {found.rejected}")
        print(f"on the topic of the scored: {found.sent}; {found.seconds:.0f} s")
        print(f"by version: {dict(found.by_version)}; reloads: {found.reloads}")
        print(f"last load: {found.load_seconds:.2f} s")
        print(*found.runs, sep="\n")
        print(*[line for line in found.log.splitlines() if "model" in line], sep="\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
