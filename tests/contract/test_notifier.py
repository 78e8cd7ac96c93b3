"""What every notifier does with every answer: in memory, and over real HTTP on loopback."""

from __future__ import annotations

import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Protocol

import pytest
from harness.alerts import NOW, an_alert
from harness.inside import REFUSED
from harness.scripted import ScriptedServer, answer

from monitor.alert.base import Channel, Notice, Notifier
from monitor.alert.channels.alertmanager import Alertmanager
from monitor.alert.channels.cloudevents import CloudEvents
from monitor.alert.channels.dingtalk import DingTalk
from monitor.alert.channels.feishu import Feishu
from monitor.alert.channels.pagerduty import PagerDuty
from monitor.alert.channels.slack import Slack
from monitor.alert.channels.teams import Teams
from monitor.alert.channels.wecom import WeCom
from monitor.alert.memory import Cut, MemoryNotifier, Reply
from monitor.alert.post import HttpNotifier
from monitor.alert.signing import Signer, new_secret
from monitor.alert.webhook import Webhook, WebhookNotifier
from monitor.dial import Limits
from monitor.errors import ConfigError, DeliveryError
from monitor.guard import Guard
from monitor.store.base import Notification

SIGNER = Signer([new_secret()])
BODY = '{"summary":"Ölpreis ±2 %"}'.encode()
NOTIFICATION = Notification("msg_1", "ops", "all", BODY, NOW, NOW)
QUICK = Limits(resolve=5, connect=5, read=0.3, total=20)
ALERT = an_alert(key="topic:Energy")
TLS = ssl.create_default_context()
LOOPBACK = Guard(inside=["127.0.0.0/8"], plain_http=["127.0.0.0/8"])


class Harness(Protocol):
    """A notifier, and a way to script its receiver."""

    notifier: Notifier

    def reply(self, status: int, retry_after: str | None = None, body: str = "") -> None: ...
    def cut(self) -> None: ...
    def received(self) -> list[tuple[str, bytes]]: ...


class MemoryHarness:
    """The channel's requests and verdicts, without a network."""

    def __init__(self, case: Case) -> None:
        self.memory = MemoryNotifier(channel=case.channel())
        self.notifier: Notifier = self.memory

    def reply(self, status: int, retry_after: str | None = None, body: str = "") -> None:
        self.memory.script.append(Reply(status, retry_after, body.encode()))

    def cut(self) -> None:
        self.memory.script.append(Cut())

    def received(self) -> list[tuple[str, bytes]]:
        return [("/hook?a=1" if r.path is None else r.path, r.body) for r in self.memory.requests]


class HttpHarness:
    """The same over real HTTP on loopback."""

    def __init__(self, case: Case, server: ScriptedServer) -> None:
        self.server = server
        self.notifier: Notifier = HttpNotifier(case.channel(), server.url, LOOPBACK, limits=QUICK)

    def reply(self, status: int, retry_after: str | None = None, body: str = "") -> None:
        self.server.script.append(answer(status, retry_after, body=body))

    def cut(self) -> None:
        self.server.script.append("cut")

    def received(self) -> list[tuple[str, bytes]]:
        return [(r.path, r.body) for r in self.server.requests]


@dataclass(frozen=True)
class Case:
    """A channel, what it takes for a delivery, and what for a refusal."""

    name: str
    channel: Callable[[], Channel]
    taken: tuple[int, str]
    refused: tuple[tuple[int, str, bool, float | None], ...] = ()
    """Status and body that are no delivery; whether later is better; and how much later."""

    def notification(self) -> Notification:
        notice = Notice("msg_1", "ops", "topic:Energy", (ALERT,), "https://m.example.com", NOW)
        return Notification("msg_1", "ops", "topic:Energy", self.channel().render(notice), NOW, NOW)


_SENT = '{"errcode":0,"errmsg":"ok"}'
CASES = [
    Case("webhook", lambda: Webhook(SIGNER), (204, "")),
    Case("cloudevents", lambda: CloudEvents(SIGNER), (202, "")),
    Case(
        "slack",
        Slack,
        (200, "ok"),
        (
            (200, "<html>sign in</html>", True, None),
            (200, "", True, None),
            (400, "invalid_blocks", False, None),
            (403, "action_prohibited", False, None),
            (404, "no_service", False, None),
        ),
    ),
    Case(
        "feishu",
        lambda: Feishu("s3cret"),
        (200, '{"StatusCode":0,"code":0,"data":{},"msg":"success"}'),
        (
            (200, '{"code":19021,"msg":"sign match fail"}', False, None),
            (200, '{"code":19024,"msg":"Key Words Not Found"}', False, None),
            (200, '{"code":9499,"msg":"Bad Request"}', False, None),
            (200, '{"code":9499,"msg":"too many request"}', True, None),
            (200, '{"code":11232,"msg":"frequency limited"}', True, None),
            (200, '{"code":false}', True, None),
            (200, "[]", True, None),
            (200, "not json", True, None),
        ),
    ),
    Case(
        "dingtalk",
        lambda: DingTalk("SECs3cret"),
        (200, _SENT),
        (
            (200, '{"errcode":310000,"errmsg":"sign not match"}', False, None),
            (200, '{"errcode":300001,"errmsg":"token is not exist"}', False, None),
            (200, '{"errcode":130101,"errmsg":"send too fast"}', True, 600.0),
            (200, '{"errcode":-1,"errmsg":"system busy"}', True, None),
            (200, '{"errcode":"0"}', True, None),
            (200, "", True, None),
        ),
    ),
    Case(
        "wecom",
        WeCom,
        (200, _SENT),
        (
            (200, '{"errcode":93000,"errmsg":"invalid webhook url"}', False, None),
            (200, '{"errcode":45009,"errmsg":"api freq out of limit"}', True, 60.0),
            (200, '{"errcode":45033,"errmsg":"api concurrent out of limit"}', True, None),
            (200, "[" * 9999, True, None),
        ),
    ),
    Case("teams", Teams, (202, ""), ((413, "", False, None),)),
    Case(
        "pagerduty",
        lambda: PagerDuty("0123456789abcdef0123456789abcdef"),
        (202, '{"status":"success"}'),
        ((200, "a proxy", True, None), (400, '{"status":"invalid event"}', False, None)),
    ),
    Case("alertmanager", lambda: Alertmanager("t0ken"), (200, "")),
]
_REFUSALS = [(case, *refusal) for case in CASES for refusal in case.refused]


@pytest.fixture
def server() -> Iterator[ScriptedServer]:
    with closing(ScriptedServer()) as running:
        yield running


@pytest.fixture(params=CASES, ids=lambda case: case.name)
def case(request: pytest.FixtureRequest) -> Case:
    found: Case = request.param
    return found


def harness_of(how: str, case: Case, request: pytest.FixtureRequest) -> Harness:
    if how == "memory":
        return MemoryHarness(case)
    return HttpHarness(case, request.getfixturevalue("server"))


@pytest.fixture(params=["memory", "http"])
def harness(request: pytest.FixtureRequest, case: Case) -> Iterator[Harness]:
    made = harness_of(request.param, case, request)
    with closing(made.notifier):
        yield made


@pytest.fixture
def webhook(server: ScriptedServer) -> Iterator[WebhookNotifier]:
    with closing(WebhookNotifier(server.url, SIGNER, LOOPBACK, limits=QUICK)) as notifier:
        yield notifier


def failure(notifier: Notifier, notification: Notification = NOTIFICATION) -> DeliveryError:
    with pytest.raises(DeliveryError) as caught:
        notifier.send(notification, NOW)
    return caught.value


def sent(case: Case, *times: datetime) -> list[tuple[str, bytes]]:
    """Path and body of the requests of attempts at these times."""
    requests = (
        request
        for now in times
        for request in case.channel().requests(case.notification(), "/hook?a=1", now)
    )
    return [("/hook?a=1" if r.path is None else r.path, r.body) for r in requests]


def test_the_channels_own_yes_is_a_delivery(case: Case, harness: Harness) -> None:
    harness.reply(*case.taken[:1], body=case.taken[1])
    harness.notifier.send(case.notification(), NOW)
    if isinstance(harness, HttpHarness):
        assert harness.received() == sent(case, NOW)


@pytest.mark.parametrize("how", ["memory", "http"])
@pytest.mark.parametrize(
    ("case", "status", "body", "retryable", "later"),
    _REFUSALS,
    ids=[f"{case.name}-{status}-{body[:30]}" for case, status, body, _, _ in _REFUSALS],
)
def test_a_refusal_in_the_channels_own_words_is_none(
    how: str,
    case: Case,
    status: int,
    body: str,
    retryable: bool,
    later: float | None,
    request: pytest.FixtureRequest,
) -> None:
    harness = harness_of(how, case, request)
    harness.reply(status, body=body)
    with closing(harness.notifier):
        error = failure(harness.notifier, case.notification())
    assert (error.retryable, error.retry_after) == (retryable, later)
    assert len(str(error)) < 300


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
    case: Case, harness: Harness, status: int, retryable: bool, gone: bool
) -> None:
    harness.reply(status)
    error = failure(harness.notifier, case.notification())
    assert (error.retryable, error.gone) == (retryable, gone)
    assert error.retry_after is None


@pytest.mark.parametrize(
    ("header", "seconds"),
    [("17", 17.0), ("Mon, 04 May 2026 12:02:00 GMT", 120.0), ("later", None)],
)
@pytest.mark.parametrize("status", [429, 503])
def test_retry_after_is_passed_on(
    case: Case, harness: Harness, status: int, header: str, seconds: float | None
) -> None:
    harness.reply(status, header)
    assert failure(harness.notifier, case.notification()).retry_after == seconds


def test_a_cut_connection_can_be_tried_again_with_the_same_content(
    case: Case, harness: Harness
) -> None:
    harness.cut()
    harness.reply(*case.taken[:1], body=case.taken[1])
    assert failure(harness.notifier, case.notification()).retryable
    harness.notifier.send(case.notification(), NOW)
    assert len(harness.received()) == 2
    assert harness.received()[0] == harness.received()[1]


def test_a_closed_notifier_sends_nothing(case: Case, harness: Harness) -> None:
    harness.notifier.close()
    harness.notifier.close()
    assert failure(harness.notifier, case.notification()).retryable
    assert harness.received() == []


def test_a_redirect_of_any_channel_is_not_followed(case: Case, server: ScriptedServer) -> None:
    server.script.append(answer(307, extra=f"Location: {server.url}\r\n"))
    harness = HttpHarness(case, server)
    with closing(harness.notifier):
        assert not failure(harness.notifier, case.notification()).retryable
    assert len(server.requests) == 1


@pytest.mark.parametrize("how", ["silent", "dripping"])
def test_a_slow_receiver_of_any_channel_is_given_up(
    case: Case, server: ScriptedServer, how: str
) -> None:
    server.script.append(how)
    limits = Limits(read=0.3, total=0.4)
    channel = case.channel()
    with closing(HttpNotifier(channel, server.url, LOOPBACK, limits=limits)) as notifier:
        assert failure(notifier, case.notification()).retryable


def test_no_secret_of_a_channel_is_in_what_is_stored(case: Case) -> None:
    stored = case.notification().body
    for secret in (b"s3cret", b"t0ken", b"0123456789abcdef", b"whsec_"):
        assert secret not in stored


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


@pytest.mark.parametrize("address", REFUSED)
def test_nothing_is_dialled_at_an_address_inside_however_it_is_written(
    address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    dialled: list[object] = []
    monkeypatch.setattr(socket, "create_connection", lambda *place: dialled.append(place))
    literal = f"[{address}]" if ":" in address else address
    for url, guard in (
        ("https://hooks.example.com/", Guard(resolver=lambda _h, _p: [address])),
        ("https://hooks.example.com/", Guard(resolver=lambda _h, _p: ["8.8.8.8", address])),
        (f"https://{literal}/", Guard()),
    ):
        with closing(WebhookNotifier(url, SIGNER, guard, limits=QUICK, tls=TLS)) as notifier:
            error = failure(notifier)
        assert error.retryable, "whoever runs the name can mend it"
        assert "not a public address" in str(error)
    assert [] == dialled


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
