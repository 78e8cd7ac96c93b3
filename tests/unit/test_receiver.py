from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from http.client import HTTPConnection
from typing import Any
from urllib.parse import urlsplit

import pytest

from monitor.alert.signing import Signer, new_secret
from monitor.demo.receiver import Delivery, WebhookReceiver

NOW = datetime(2026, 5, 4, 12, tzinfo=UTC)
SIGNER = Signer([new_secret()])


def body(status: str = "firing", seconds: float = 2.5, name: str = "a") -> bytes:
    published = (NOW - timedelta(seconds=seconds)).isoformat()
    alert = {
        "status": status,
        "labels": {"alert_id": name},
        "annotations": {"appended_at": published},
    }
    return json.dumps({"version": "4", "alerts": [alert]}).encode()


@pytest.fixture
def receiver() -> Iterator[WebhookReceiver]:
    with WebhookReceiver(SIGNER, now=lambda: NOW) as running:
        yield running


def post(receiver: WebhookReceiver, content: bytes, headers: dict[str, str]) -> tuple[int, str]:
    parts = urlsplit(receiver.url)
    connection = HTTPConnection(parts.hostname or "", parts.port, timeout=10)
    try:
        connection.request("POST", parts.path, content, headers)
        response = connection.getresponse()
        return response.status, response.read().decode().strip()
    finally:
        connection.close()


def signed(receiver: WebhookReceiver, name: str, content: bytes) -> tuple[int, str]:
    return post(receiver, content, SIGNER.headers(name, NOW, content))


def raw(receiver: WebhookReceiver, content: bytes) -> bytes:
    parts = urlsplit(receiver.url)
    with socket.create_connection((parts.hostname, parts.port), timeout=10) as connection:
        connection.sendall(content)
        connection.shutdown(socket.SHUT_WR)
        return connection.recv(4096)


def test_a_genuine_delivery_is_taken_once_and_its_repetition_counted(
    receiver: WebhookReceiver,
) -> None:
    assert signed(receiver, "m1", body()) == (200, "taken")
    assert signed(receiver, "m1", body()) == (200, "taken before")
    assert [(d.id, d.body, d.received_at) for d in receiver.received] == [("m1", body(), NOW)]
    assert (receiver.repeated, receiver.rejected, receiver.conflicts) == (1, 0, 0)


def test_a_forged_an_old_and_an_unsigned_delivery_are_rejected(receiver: WebhookReceiver) -> None:
    other = Signer([new_secret()])
    old = SIGNER.headers("m1", NOW - timedelta(minutes=6), body())
    for headers in (other.headers("m1", NOW, body()), old, {}):
        assert post(receiver, body(), headers)[0] == 401
    assert (receiver.rejected, receiver.received) == (3, [])


def test_an_id_with_another_body_is_a_conflict(receiver: WebhookReceiver) -> None:
    signed(receiver, "m1", body(name="a"))
    assert signed(receiver, "m1", body(name="b"))[0] == 409
    assert (receiver.conflicts, len(receiver.received)) == (1, 1)


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"{}", b'{"alerts":3}', b"[" * 100_000])
def test_a_signed_body_that_is_no_notification_is_refused(
    receiver: WebhookReceiver, content: bytes
) -> None:
    assert signed(receiver, "m1", content)[0] == 400
    assert receiver.received == []


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        (b"POST / HTTP/1.1\r\n\r\n", b"411"),
        (b"POST / HTTP/1.1\r\nContent-Length: -1\r\n\r\n", b"411"),
        (b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", b"411"),
        (b"POST / HTTP/1.1\r\nContent-Length: 99999999\r\n\r\n", b"413"),
        (b"POST / HTTP/1.1\r\nContent-Length: " + b"9" * 5000 + b"\r\n\r\n", b"413"),
        (b"GET / HTTP/1.1\r\n\r\n", b"405"),
        (b"BREW / HTTP/1.1\r\n\r\n", b"501"),
        (b"POST / HTTP/1.1\r\nContent-Length: 10\r\n\r\nabc", b""),
        (b"\x00\xff\r\n\r\n", b"400"),
    ],
)
def test_bad_requests_are_answered_and_harm_nothing(
    receiver: WebhookReceiver, request_: bytes, status: bytes
) -> None:
    assert status in raw(receiver, request_)
    assert signed(receiver, "m1", body()) == (200, "taken")


def test_the_callback_gets_each_alert_once_and_may_fail() -> None:
    got: list[tuple[str, str]] = []

    def on_alert(delivery: Delivery, alert: dict[str, Any]) -> None:
        got.append((delivery.id, alert["labels"]["alert_id"]))
        raise ZeroDivisionError

    with WebhookReceiver(SIGNER, on_alert=on_alert, now=lambda: NOW) as receiver:
        assert signed(receiver, "m1", body()) == (200, "taken")
        signed(receiver, "m1", body())
    assert got == [("m1", "a")]


def test_the_latency_is_counted_once_for_each_alert_that_fired(receiver: WebhookReceiver) -> None:
    signed(receiver, "m1", body("firing", 2.5, "a"))
    signed(receiver, "m2", body("firing", 99, "a"))
    signed(receiver, "m3", body("resolved", 50, "b"))
    signed(receiver, "m4", body("firing", 1, "c"))
    signed(receiver, "m5", b'{"alerts":[{"status":"firing"},{"status":"firing","labels":[]},3]}')
    assert receiver.latencies() == [2.5, 1.0]


def test_a_receiver_can_be_closed_twice_and_its_port_used_again() -> None:
    first = WebhookReceiver(SIGNER)
    port = urlsplit(first.url).port or 0
    first.close()
    first.close()
    with WebhookReceiver(SIGNER, port) as second:
        assert second.url == first.url
