"""Mail over real SMTP on loopback: what is sent, what replies mean, TLS, slow and cut servers."""

from __future__ import annotations

import ssl
import threading
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from harness.alerts import NOW, an_alert
from harness.mailserver import MailServer

from monitor.alert.base import Notice
from monitor.alert.channels.email import EmailNotifier, Mailbox, Security, mail_of, render
from monitor.dial import Limits
from monitor.errors import ConfigError, DeliveryError
from monitor.guard import Guard
from monitor.store.base import Notification

PLAIN = Guard(inside=["127.0.0.0/8"], plain_http=["127.0.0.0/8"])
NAMED = Guard(inside=["127.0.0.0/8"], resolver=lambda _host, _port: ["127.0.0.1"])
QUICK = Limits(read=0.5, total=5)
NOTICE = Notice(
    "msg_1", "desk", "topic:Energy", (an_alert(key="topic:Energy"),), "https://m.example.com", NOW
)
NOTIFICATION = Notification("msg_1", "desk", "topic:Energy", render(NOTICE), NOW, NOW)
TWO = ("ann@example.com", "ben@example.com")


def mailbox(server: MailServer, security: Security = "none", **changes: Any) -> Mailbox:
    host = "127.0.0.1" if security == "none" else "hook.test"
    made = Mailbox(host, server.port, security, "monitor@example.com", TWO)
    return replace(made, **changes)


@pytest.fixture
def server() -> Iterator[MailServer]:
    with closing(MailServer()) as running:
        yield running


@pytest.fixture
def notifier(server: MailServer) -> Iterator[EmailNotifier]:
    with closing(EmailNotifier(mailbox(server), PLAIN, limits=QUICK)) as made:
        yield made


def failure(notifier: EmailNotifier) -> DeliveryError:
    with pytest.raises(DeliveryError) as caught:
        notifier.send(NOTIFICATION, NOW)
    return caught.value


def test_a_mail_has_both_parts_and_goes_to_all(server: MailServer, notifier: EmailNotifier) -> None:
    assert notifier.send(NOTIFICATION, NOW) == "sent to ann@example.com, ben@example.com"
    (mail,) = server.mails
    assert (mail.sender, mail.recipients) == ("monitor@example.com", TWO)
    message = mail.message
    assert message["Subject"] == "Warning: Energy: negative share 20 % → 60 %"
    assert message["Message-ID"] == "<msg_1@example.com>"
    assert message["Auto-Submitted"] == "auto-generated"
    plain, page = message.get_body(("plain",)), message.get_body(("html",))
    assert plain is not None and page is not None
    for part in (plain, page):
        assert "40, 24 of them negative" in part.get_content()
        assert "https://m.example.com?alert=a" in part.get_content()


def test_a_repetition_is_the_same_mail_to_the_byte(
    server: MailServer, notifier: EmailNotifier
) -> None:
    server.replies["data"] = ["451 4.3.0 try again"]
    assert failure(notifier).retryable
    notifier.send(NOTIFICATION, NOW + timedelta(hours=5))
    first = mail_of(NOTIFICATION, "monitor@example.com", TWO)
    assert server.mails[0].raw == bytes(first)


def test_mails_of_one_group_are_one_thread() -> None:
    again = replace(NOTIFICATION, id="msg_2", created_at=NOW + timedelta(hours=4))
    other = replace(NOTIFICATION, id="msg_3", group_key="topic:Banks")
    made = [mail_of(n, "m@example.com", TWO) for n in (NOTIFICATION, again, other)]
    assert made[0]["References"] == made[1]["References"] != made[2]["References"]
    assert len({mail["Message-ID"] for mail in made}) == 3


@pytest.mark.parametrize("moment", ["greeting", "mail", "begin", "data"])
@pytest.mark.parametrize(
    ("reply", "retryable"), [("421 4.3.2 shutting down", True), ("554 5.7.1 never", False)]
)
def test_a_reply_of_4xx_is_for_later_and_one_of_5xx_is_final(
    server: MailServer, notifier: EmailNotifier, moment: str, reply: str, retryable: bool
) -> None:
    server.replies[moment] = [reply]
    error = failure(notifier)
    assert error.retryable is retryable
    assert reply[:3] in str(error)
    assert server.mails == []


def test_all_refused_is_a_refusal(server: MailServer, notifier: EmailNotifier) -> None:
    server.replies |= {f"rcpt {address}": ["550 5.1.1 unknown"] for address in TWO}
    assert not failure(notifier).retryable


def test_some_refused_for_ever_is_a_delivery_to_the_others(
    server: MailServer, notifier: EmailNotifier
) -> None:
    server.replies["rcpt ben@example.com"] = ["550 5.1.1 unknown"]
    said = notifier.send(NOTIFICATION, NOW)
    assert said is not None and "not to ben@example.com" in said
    assert [mail.recipients for mail in server.mails] == [("ann@example.com",)]


def test_who_was_put_off_gets_it_later_and_nobody_gets_it_twice(
    server: MailServer, notifier: EmailNotifier
) -> None:
    server.replies["rcpt ben@example.com"] = ["450 4.2.0 greylisted"]
    assert failure(notifier).retryable
    notifier.send(NOTIFICATION, NOW + timedelta(minutes=5))
    assert [mail.recipients for mail in server.mails] == [(TWO[0],), (TWO[1],)]
    assert server.mails[0].raw == server.mails[1].raw


@pytest.mark.parametrize("moment", ["greeting", "ehlo", "mail", "begin", "data"])
@pytest.mark.parametrize("how", ["cut", "silent"])
def test_a_server_that_breaks_off_or_falls_silent_can_be_tried_again(
    server: MailServer, notifier: EmailNotifier, moment: str, how: str
) -> None:
    server.replies[moment] = [how]
    assert failure(notifier).retryable


def test_a_server_that_drips_its_reply_is_cut_off(server: MailServer) -> None:
    server.replies["mail"] = ["dripping"]
    limits = Limits(read=5, total=0.3)
    with closing(EmailNotifier(mailbox(server), PLAIN, limits=limits)) as notifier:
        assert failure(notifier).retryable


def test_a_lost_farewell_changes_nothing(server: MailServer, notifier: EmailNotifier) -> None:
    server.replies["quit"] = ["cut"]
    notifier.send(NOTIFICATION, NOW)
    assert len(server.mails) == 1


def test_a_closed_notifier_sends_nothing(server: MailServer, notifier: EmailNotifier) -> None:
    notifier.close()
    notifier.close()
    assert failure(notifier).retryable
    assert server.commands == []


def test_a_server_inside_is_refused_unless_its_network_is_allowed(server: MailServer) -> None:
    guard = Guard(resolver=lambda _host, _port: ["127.0.0.1"])
    with closing(EmailNotifier(mailbox(server, "tls"), guard, limits=QUICK)) as notifier:
        error = failure(notifier)
    assert error.retryable
    assert "not a public address" in str(error)
    with pytest.raises(ConfigError, match="not encrypted"):
        EmailNotifier(mailbox(server), Guard())


# TLS


@pytest.fixture
def contexts(certificate: tuple[Path, Path]) -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """The server's, and one that trusts it."""
    key, cert = certificate
    theirs = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    theirs.load_cert_chain(cert, key)
    return theirs, ssl.create_default_context(cafile=str(cert))


@pytest.mark.parametrize("security", ["starttls", "tls"])
def test_a_password_goes_over_tls(
    contexts: tuple[ssl.SSLContext, ssl.SSLContext], security: Security
) -> None:
    theirs, ours = contexts
    account = ("monitor", "hunter2")
    with closing(MailServer(theirs, implicit=security == "tls", account=account)) as server:
        box = mailbox(server, security, username=account[0], password=account[1])
        assert "hunter2" not in repr(box)
        with closing(EmailNotifier(box, NAMED, limits=QUICK, tls=ours)) as notifier:
            notifier.send(NOTIFICATION, NOW)
        assert [(mail.secured, mail.user) for mail in server.mails] == [(True, "monitor")]
        wrong = replace(box, password="no")
        with closing(EmailNotifier(wrong, NAMED, limits=QUICK, tls=ours)) as notifier:
            error = failure(notifier)
        assert not error.retryable
        assert "535" in str(error)


def test_without_starttls_nothing_is_sent(server: MailServer) -> None:
    with closing(EmailNotifier(mailbox(server, "starttls"), NAMED, limits=QUICK)) as notifier:
        error = failure(notifier)
    assert not error.retryable
    assert "offers no STARTTLS" in str(error)
    assert not any(command.startswith("MAIL") for command in server.commands)


@pytest.mark.parametrize("security", ["starttls", "tls"])
def test_a_certificate_that_nobody_vouches_for_is_refused(
    contexts: tuple[ssl.SSLContext, ssl.SSLContext], security: Security
) -> None:
    with closing(MailServer(contexts[0], implicit=security == "tls")) as server:
        with closing(EmailNotifier(mailbox(server, security), NAMED, limits=QUICK)) as notifier:
            error = failure(notifier)
        assert error.retryable
        assert "certificate is not valid" in str(error)
        assert server.mails == []


@pytest.mark.parametrize("security", ["starttls", "tls"])
def test_a_server_that_drips_over_tls_is_cut_off(
    contexts: tuple[ssl.SSLContext, ssl.SSLContext], security: Security
) -> None:
    theirs, ours = contexts
    with closing(MailServer(theirs, implicit=security == "tls")) as server:
        server.replies["mail"] = ["dripping"]
        limits = Limits(read=5, total=0.5)
        box = mailbox(server, security)
        with closing(EmailNotifier(box, NAMED, limits=limits, tls=ours)) as notifier:
            assert failure(notifier).retryable


def test_closing_cuts_a_mail_after_starttls(
    contexts: tuple[ssl.SSLContext, ssl.SSLContext],
) -> None:
    theirs, ours = contexts
    with closing(MailServer(theirs)) as server:
        server.replies["begin"] = ["silent"]
        limits = Limits(read=30, total=30)
        notifier = EmailNotifier(mailbox(server, "starttls"), NAMED, limits=limits, tls=ours)
        errors: list[DeliveryError] = []
        thread = threading.Thread(target=lambda: errors.append(failure(notifier)))
        thread.start()
        assert server.silent.wait(10), errors
        notifier.close()
        thread.join(10)
        assert [error.retryable for error in errors] == [True]


def test_a_password_without_tls_is_a_fault_of_the_configuration(server: MailServer) -> None:
    with pytest.raises(ConfigError, match="without TLS"):
        EmailNotifier(mailbox(server, username="a", password="b"), PLAIN)
