"""The endpoint for documents on a real port, over a database in memory."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from prometheus_client import CollectorRegistry

from monitor.clock import ManualClock
from monitor.events import Kind
from monitor.http import HttpServer, application
from monitor.metrics import Metrics, PushCounters
from monitor.push.keys import ApiKey, Keyring, Meter
from monitor.push.service import Push
from monitor.push.web import PATH, PushLimits, routes
from monitor.source.contract import Limits
from monitor.source.decode import Decoder, pseudonymiser
from monitor.store.publishing.memory import MemoryLanes
from monitor.store.receiving.memory import MemoryReceiving

NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)
TOPICS = {"news": Kind.NEWS, "comments": Kind.COMMENT}
SECRET = "0123456789abcdef0123456789abcdef"
DESK = ApiKey("desk", SECRET)
LANE = "intake"

_direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))


def document(title: str = "Harlow Bank halts withdrawals", **more: Any) -> dict[str, Any]:
    """A valid document."""
    return {
        "source": "northgate-wire", "published_at": "2026-03-02T11:15:00Z", "title": title, **more
    }  # fmt: skip


@dataclass
class Told:
    """An answer."""

    status: int
    headers: dict[str, str]
    body: dict[str, Any]

    @property
    def statuses(self) -> list[str]:
        """Of the documents."""
        return [item["status"] for item in self.body["documents"]]


@dataclass
class Endpoint:
    """A running endpoint and what is behind it."""

    url: str
    clock: ManualClock
    receiving: MemoryReceiving
    lanes: MemoryLanes
    metrics: Metrics
    woken: list[int] = field(default_factory=list)

    def post(
        self,
        body: object,
        *,
        secret: str | None = SECRET,
        content_type: str | None = "application/json",
        query: str = "",
        **headers: str,
    ) -> Told:
        """POST a body: bytes as they are, anything else as JSON."""
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        if secret is not None:
            sent["Authorization"] = f"Bearer {secret}"
        if content_type is not None:
            sent["Content-Type"] = content_type
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        url = f"{self.url}{query}"
        request = urllib.request.Request(url, data, sent)  # noqa: S310 - our own address
        try:
            with _direct.open(request, timeout=30) as got:
                return Told(got.status, dict(got.headers), json.loads(got.read()))
        except urllib.error.HTTPError as error:
            with error:
                return Told(error.code, dict(error.headers), json.loads(error.read()))

    def waiting(self) -> list[tuple[str, str, dict[str, Any]]]:
        """Topic, id and message of what waits for Kafka."""
        return [
            (message.topic, message.id, json.loads(message.value))
            for message, _ in self.lanes.lanes[LANE].rows.values()
        ]

    def counted(self, name: str, **labels: str) -> float:
        """A sample of the metrics."""
        return self.metrics.registry.get_sample_value(name, labels) or 0.0


@contextmanager
def endpoint(
    keys: Sequence[ApiKey] = (DESK,),
    *,
    limits: PushLimits | None = None,
    most_waiting: int = 1_000,
    stored: Sequence[str] = (),
) -> Iterator[Endpoint]:
    """Serve on a free port until the end."""
    clock, lanes = ManualClock(NOON), MemoryLanes()
    receiving = MemoryReceiving(lanes, LANE, stored)
    metrics = Metrics(CollectorRegistry())
    counters = PushCounters(metrics)
    decoder = Decoder(Limits(), TOPICS, pseudonymiser(b"k"))
    woken: list[int] = []
    push = Push(
        receiving,
        decoder.decode,
        TOPICS,
        most_waiting,
        clock,
        clock.now,
        counters,
        lambda: woken.append(1),
    )
    more = routes(push, Keyring(keys), Meter(clock.monotonic), limits or PushLimits(), counters)
    server = HttpServer(application(metrics.registry, dict, dict, more=more), "127.0.0.1", 0)
    with closing(server):
        server.start()
        url = f"http://127.0.0.1:{server.port}{PATH}"
        yield Endpoint(url, clock, receiving, lanes, metrics, woken)
