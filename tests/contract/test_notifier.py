"""What every notifier does with every answer: in memory, and over real HTTP on loopback."""

from __future__ import annotations

import shutil
import socket
import socketserver
import ssl
import subprocess
import threading
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Protocol

import pytest

from monitor.alert.base import Notifier
from monitor.alert.memory import Cut, MemoryNotifier, Reply
from monitor.alert.signing import Signer, new_secret
from monitor.alert.webhook import WebhookNotifier
from monitor.dial import Limits
from monitor.errors import ConfigError, DeliveryError
from monitor.guard import Guard
from monitor.store.base import Notification

NOW = datetime(2026, 5, 4, 12, tzinfo=UTC)
SIGNER = Signer([new_secret()])
BODY = '{"summary":"Ölpreis ±2 %"}'.encode()
NOTIFICATION = Notification("msg_1", "ops", "all", BODY, NOW, NOW)
QUICK = Limits(resolve=5, connect=5, read=0.3, total=20)
LOOPBACK = Guard(inside=["127.0.0.0/8"], plain_http=["127.0.0.0/8"])


@dataclass(frozen=True)
class Request:
    line: str
    headers: dict[str, str]
    body: bytes


class ScriptedServer(socketserver.ThreadingTCPServer):
    """Reads one request a connection and plays the next script: raw bytes, or a behaviour."""

    daemon_threads = True
    allow_reuse_address = True

    def __init__(self, tls: ssl.SSLContext | None = None) -> None:
        super().__init__(("127.0.0.1", 0), _Connection)
        self.requests: list[Request] = []
        self.script: list[bytes | str] = []
        self.tls = tls
        self.server_names: list[str | None] = []
        self.released = threading.Event()
        self.answering = threading.Event()
        self.url = f"http://127.0.0.1:{self.server_address[1]}/hook?a=1"
        threading.Thread(target=self.serve_forever, args=(0.02,), daemon=True).start()

    def close(self) -> None:
        self.released.set()
        self.shutdown()
        self.server_close()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Clients that hang up are part of these tests."""


class _Connection(socketserver.StreamRequestHandler):
    server: ScriptedServer

    def setup(self) -> None:
        if self.server.tls is not None:
            self.request = self.server.tls.wrap_socket(self.request, server_side=True)
        super().setup()

    def handle(self) -> None:
        line = self.rfile.readline().decode().strip()
        headers: dict[str, str] = {}
        while header := self.rfile.readline().decode().strip():
            name, _, value = header.partition(":")
            headers[name.lower()] = value.strip()
        body = self.rfile.read(int(headers.get("content-length", "0")))
        self.server.requests.append(Request(line, headers, body))
        self.server.answering.set()
        answer = self.server.script.pop(0)
        if isinstance(answer, bytes):
            self.wfile.write(answer)
        elif answer == "silent":
            self.server.released.wait(30)
        elif answer == "dripping":  # a byte now and then: no single silence is long
            self.wfile.write(b"HTTP/1.1 200 OK\r\n")
            while not self.server.released.wait(0.02):
                self.wfile.write(b"x")
        elif answer == "endless":
            self.wfile.write(b"HTTP/1.1 500 Oops\r\n\r\n")
            while not self.server.released.is_set():
                self.wfile.write(b"x" * 65536)


def answer(status: int, retry_after: str | None = None, extra: str = "", body: str = "") -> bytes:
    after = "" if retry_after is None else f"Retry-After: {retry_after}\r\n"
    length = len(body.encode())
    return (
        f"HTTP/1.1 {status} Scripted\r\n{after}{extra}Content-Length: {length}\r\n\r\n{body}"
    ).encode()


class Harness(Protocol):
    """A notifier, and a way to script its receiver."""

    @property
    def notifier(self) -> Notifier: ...
    def reply(self, status: int, retry_after: str | None = None) -> None: ...
    def cut(self) -> None: ...
    def received(self) -> list[tuple[str, bytes]]: ...


class MemoryHarness:
    def __init__(self) -> None:
        self.notifier = MemoryNotifier()

    def reply(self, status: int, retry_after: str | None = None) -> None:
        self.notifier.script.append(Reply(status, retry_after))

    def cut(self) -> None:
        self.notifier.script.append(Cut())

    def received(self) -> list[tuple[str, bytes]]:
        return [(n.id, n.body) for n, _ in self.notifier.attempts]


class WebhookHarness:
    def __init__(self, server: ScriptedServer) -> None:
        self.server = server
        self.notifier = WebhookNotifier(server.url, SIGNER, LOOPBACK, limits=QUICK)

    def reply(self, status: int, retry_after: str | None = None) -> None:
        self.server.script.append(answer(status, retry_after))

    def cut(self) -> None:
        self.server.script.append("cut")

    def received(self) -> list[tuple[str, bytes]]:
        return [(r.headers["webhook-id"], r.body) for r in self.server.requests]


@pytest.fixture
def server() -> Iterator[ScriptedServer]:
    with closing(ScriptedServer()) as running:
        yield running


@pytest.fixture(params=["memory", "webhook"])
def harness(request: pytest.FixtureRequest) -> Iterator[Harness]:
    made: Harness = (
        MemoryHarness()
        if request.param == "memory"
        else WebhookHarness(request.getfixturevalue("server"))
    )
    with closing(made.notifier):
        yield made


@pytest.fixture
def webhook(server: ScriptedServer) -> Iterator[WebhookNotifier]:
    with closing(WebhookNotifier(server.url, SIGNER, LOOPBACK, limits=QUICK)) as notifier:
        yield notifier


def failure(notifier: Notifier) -> DeliveryError:
    with pytest.raises(DeliveryError) as caught:
        notifier.send(NOTIFICATION, NOW)
    return caught.value


@pytest.mark.parametrize("status", [200, 201, 204])
def test_a_2xx_is_a_delivery_of_id_and_body(harness: Harness, status: int) -> None:
    harness.reply(status)
    harness.notifier.send(NOTIFICATION, NOW)
    assert harness.received() == [("msg_1", BODY)]


@pytest.mark.parametrize(
    ("status", "retryable", "gone"),
    [
        (301, False, False),
        (308, False, False),
        (400, False, False),
        (401, False, False),
        (404, False, False),
        (408, True, False),
        (410, False, True),
        (425, True, False),
        (429, True, False),
        (500, True, False),
        (503, True, False),
    ],
)
def test_another_status_says_whether_a_retry_can_help(
    harness: Harness, status: int, retryable: bool, gone: bool
) -> None:
    harness.reply(status)
    error = failure(harness.notifier)
    assert (error.retryable, error.gone) == (retryable, gone)
    assert error.retry_after is None


@pytest.mark.parametrize(
    ("header", "seconds"),
    [("17", 17.0), ("Mon, 04 May 2026 12:02:00 GMT", 120.0), ("later", None)],
)
@pytest.mark.parametrize("status", [429, 503])
def test_retry_after_is_passed_on(
    harness: Harness, status: int, header: str, seconds: float | None
) -> None:
    harness.reply(status, header)
    assert failure(harness.notifier).retry_after == seconds


def test_a_cut_connection_can_be_tried_again_and_the_next_attempt_is_the_same(
    harness: Harness,
) -> None:
    harness.cut()
    harness.reply(200)
    assert failure(harness.notifier).retryable
    harness.notifier.send(NOTIFICATION, NOW + timedelta(seconds=5))
    assert harness.received() == [("msg_1", BODY)] * 2


def test_a_closed_notifier_sends_nothing(harness: Harness) -> None:
    harness.notifier.close()
    harness.notifier.close()
    assert failure(harness.notifier).retryable
    assert harness.received() == []


def test_the_request_is_signed_for_its_moment_and_keeps_host_and_query(
    server: ScriptedServer, webhook: WebhookNotifier
) -> None:
    server.script += [answer(200), answer(200)]
    webhook.send(NOTIFICATION, NOW)
    webhook.send(NOTIFICATION, NOW + timedelta(seconds=30))
    first, second = server.requests
    assert first.line == "POST /hook?a=1 HTTP/1.1"
    assert first.headers["host"] == f"127.0.0.1:{server.server_address[1]}"
    assert first.headers["content-type"] == "application/json"
    assert SIGNER.verify(first.headers, first.body, NOW) == "msg_1"
    assert first.headers["webhook-timestamp"] == str(int(NOW.timestamp()))
    assert second.headers["webhook-timestamp"] == str(int(NOW.timestamp()) + 30)


def test_a_silent_receiver_is_given_up_after_the_read_limit(
    server: ScriptedServer, webhook: WebhookNotifier
) -> None:
    server.script.append("silent")
    error = failure(webhook)
    assert error.retryable
    assert "imed out" in str(error)


def test_a_receiver_that_drips_its_answer_is_cut_off(server: ScriptedServer) -> None:
    server.script.append("dripping")
    limits = Limits(read=5, total=0.3)
    with closing(WebhookNotifier(server.url, SIGNER, LOOPBACK, limits=limits)) as notifier:
        assert failure(notifier).retryable


def test_an_endless_answer_is_judged_by_its_status_and_not_read_to_the_end(
    server: ScriptedServer, webhook: WebhookNotifier
) -> None:
    server.script.append("endless")
    error = failure(webhook)
    assert error.retryable
    assert str(error).startswith("the receiver answered 500: xxx")
    assert len(str(error)) < 300


@pytest.mark.parametrize(
    "garbage",
    [
        b"",
        b"\x00\xff\x00",
        b"HTTP/1.1\r\n\r\n",
        b"HTTP/1.1 abc\r\n\r\n",
        b"HTTP/1.1 200" + b" " * 99,
    ],
)
def test_an_answer_that_is_not_http_can_be_tried_again(
    server: ScriptedServer, webhook: WebhookNotifier, garbage: bytes
) -> None:
    server.script.append(garbage)
    if garbage.startswith(b"HTTP/1.1 200"):
        webhook.send(NOTIFICATION, NOW)  # the status line was complete
    else:
        assert failure(webhook).retryable


def test_a_redirect_is_not_followed(server: ScriptedServer, webhook: WebhookNotifier) -> None:
    server.script.append(answer(302, extra=f"Location: {server.url}\r\n"))
    assert not failure(webhook).retryable
    assert len(server.requests) == 1


def test_what_the_receiver_says_is_in_the_error_and_the_secret_path_is_not(
    server: ScriptedServer,
) -> None:
    server.script += [answer(400, body="unknown field"), "cut"]
    url = server.url.replace("/hook", "/s3cr3t")
    with closing(WebhookNotifier(url, SIGNER, LOOPBACK, limits=QUICK)) as notifier:
        assert str(failure(notifier)) == "the receiver refused with 400: unknown field"
        assert "s3cr3t" not in str(failure(notifier))
        assert "s3cr3t" not in repr(notifier)


def test_nobody_listening_can_be_tried_again() -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{probe.getsockname()[1]}/"
        with closing(WebhookNotifier(url, SIGNER, LOOPBACK, limits=QUICK)) as notifier:
            error = failure(notifier)
    assert error.retryable
    assert "refused" in str(error)


def test_proxy_variables_are_not_looked_at(
    server: ScriptedServer, webhook: WebhookNotifier, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "https_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    server.script.append(answer(204))
    webhook.send(NOTIFICATION, NOW)
    assert len(server.requests) == 1


def test_the_guard_is_asked_before_every_attempt(server: ScriptedServer) -> None:
    answers = [["127.0.0.1"], ["192.168.0.1"]]  # a name that rebinds
    guard = Guard(
        inside=["127.0.0.0/8"], plain_http=["hook.test"], resolver=lambda _h, _p: answers.pop(0)
    )
    server.script.append(answer(200))
    url = f"http://hook.test:{server.server_address[1]}/"
    with closing(WebhookNotifier(url, SIGNER, guard, limits=QUICK)) as notifier:
        notifier.send(NOTIFICATION, NOW)
        assert "192.168.0.1" in str(failure(notifier))
    assert server.requests[0].headers["host"] == f"hook.test:{server.server_address[1]}"
    assert len(server.requests) == 1


def test_a_second_address_is_tried_when_the_first_does_not_answer(server: ScriptedServer) -> None:
    guard = Guard(
        inside=["127.0.0.0/8"],
        plain_http=["hook.test"],
        resolver=lambda _h, _p: ["127.0.0.99", "127.0.0.1"],  # the server listens on .1 only
    )
    server.script.append(answer(200))
    url = f"http://hook.test:{server.server_address[1]}/"
    with closing(WebhookNotifier(url, SIGNER, guard, limits=QUICK)) as notifier:
        notifier.send(NOTIFICATION, NOW)
    assert len(server.requests) == 1


def test_a_resolver_that_hangs_is_given_up() -> None:
    released = threading.Event()

    def resolver(_host: str, _port: int) -> list[str]:
        released.wait(30)
        return ["8.8.8.8"]

    notifier = WebhookNotifier(
        "https://hook.test/", SIGNER, Guard(resolver=resolver), limits=Limits(resolve=0.05)
    )
    error = failure(notifier)
    released.set()
    assert error.retryable
    assert "not resolved" in str(error)


def test_closing_cuts_the_attempt_in_flight(server: ScriptedServer) -> None:
    server.script.append("silent")
    limits = Limits(read=30, total=30)
    notifier = WebhookNotifier(server.url, SIGNER, LOOPBACK, limits=limits)
    errors: list[DeliveryError] = []
    thread = threading.Thread(target=lambda: errors.append(failure(notifier)))
    thread.start()
    assert server.answering.wait(10)
    notifier.close()
    thread.join(10)
    assert [error.retryable for error in errors] == [True]


def test_a_url_that_the_guard_refuses_is_a_fault_of_the_configuration() -> None:
    with pytest.raises(ConfigError, match="not encrypted"):
        WebhookNotifier("http://hooks.example.com/", SIGNER, Guard())


def test_certificates_can_not_be_left_unverified() -> None:
    lax = ssl.create_default_context()
    lax.check_hostname = False
    with pytest.raises(ValueError, match="verified"):
        WebhookNotifier("https://hooks.example.com/", SIGNER, Guard(), tls=lax)


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    openssl = shutil.which("openssl")
    if openssl is None:
        pytest.skip("openssl is missing: no certificate can be made for the TLS tests")
    folder = tmp_path_factory.mktemp("tls")
    key, cert = folder / "key.pem", folder / "cert.pem"
    command = [openssl, "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2"]
    command += ["-subj", "/CN=hook.test", "-addext", "subjectAltName=DNS:hook.test"]
    command += ["-keyout", str(key), "-out", str(cert)]
    subprocess.run(command, check=True, capture_output=True)
    return key, cert


@pytest.fixture
def tls_server(certificate: tuple[Path, Path]) -> Iterator[ScriptedServer]:
    key, cert = certificate
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(cert, key)
    with closing(ScriptedServer(context)) as running:
        context.sni_callback = lambda _sock, name, _ctx: running.server_names.append(name)
        yield running


def over_tls(server: ScriptedServer, host: str, authority: Path | None) -> WebhookNotifier:
    guard = Guard(inside=["127.0.0.0/8"], resolver=lambda _h, _p: ["127.0.0.1"])
    tls = ssl.create_default_context(cafile=str(authority)) if authority else None
    url = f"https://{host}:{server.server_address[1]}/hook"
    return WebhookNotifier(url, SIGNER, guard, limits=Limits(read=5), tls=tls)


def test_tls_goes_to_the_checked_address_with_the_name_of_the_url(
    tls_server: ScriptedServer, certificate: tuple[Path, Path]
) -> None:
    tls_server.script.append(answer(200))
    with closing(over_tls(tls_server, "hook.test", certificate[1])) as notifier:
        notifier.send(NOTIFICATION, NOW)
    assert tls_server.server_names == ["hook.test"]
    assert tls_server.requests[0].headers["host"].startswith("hook.test:")


@pytest.mark.parametrize(("host", "trusted"), [("other.test", True), ("hook.test", False)])
def test_a_certificate_of_another_name_or_authority_is_refused(
    tls_server: ScriptedServer, certificate: tuple[Path, Path], host: str, trusted: bool
) -> None:
    with closing(over_tls(tls_server, host, certificate[1] if trusted else None)) as notifier:
        error = failure(notifier)
    assert error.retryable
    assert "certificate is not valid" in str(error)
    assert tls_server.requests == []


def test_closing_cuts_an_attempt_over_tls(
    tls_server: ScriptedServer, certificate: tuple[Path, Path]
) -> None:
    tls_server.script.append("silent")
    notifier = over_tls(tls_server, "hook.test", certificate[1])
    errors: list[DeliveryError] = []
    thread = threading.Thread(target=lambda: errors.append(failure(notifier)))
    thread.start()
    assert tls_server.answering.wait(10)
    notifier.close()
    thread.join(10)
    assert [error.retryable for error in errors] == [True]
