"""E-mail over SMTP, with STARTTLS or TLS, as plain text and HTML.

RFC 5321 (replies: 4yz later, 5yz never), RFC 3207 (STARTTLS), RFC 5322 3.6.4 (``Message-ID``),
RFC 3834 (``Auto-Submitted``).

``Message-ID`` is the notification's id: a repetition is the same message, and mail programs show
one. The mails of one group are one thread.
"""

from __future__ import annotations

import hashlib
import html
import json
import smtplib
import socket
import ssl
import threading
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime
from typing import Any, Literal

from monitor.alert.base import Notice
from monitor.alert.channels.message import OPEN, Document, Entry, Message, State, cut, message_of
from monitor.alert.codec import compact_json
from monitor.alert.retry import printable
from monitor.dial import USUAL, Dialer, Limits, look_up
from monitor.errors import AddressError, ConfigError, DeliveryError
from monitor.guard import Guard, Target
from monitor.store.base import Notification

Security = Literal["starttls", "tls", "none"]
ENTRIES = 50
_SUBJECT = 200
_COLOURS = {
    State.CRITICAL: "#c62828",
    State.WARNING: "#ef8f00",
    State.RESOLVED: "#2e7d32",
    State.QUIET: "#757575",
    State.TEST: "#757575",
}
_BODY = (
    "margin:0;padding:18px;background:#f4f5f7;color:#1c1e21;"
    "font:14px/1.5 -apple-system,'Segoe UI',Roboto,Helvetica,Arial,sans-serif"
)
_BOX = "background:#ffffff;padding:14px 16px;margin:0 0 14px;border-radius:4px"
_NAME = "padding:2px 14px 2px 0;vertical-align:top;white-space:nowrap;color:#666666"
_BUTTON = (
    "display:inline-block;padding:8px 16px;background:#1c1e21;color:#ffffff;"
    "border-radius:4px;text-decoration:none"
)


@dataclass(frozen=True, slots=True)
class Mailbox:
    """The server that takes our mail, and whose mail it is. The password shows in no repr."""

    host: str
    port: int
    security: Security
    sender: str
    recipients: tuple[str, ...]
    username: str | None = None
    password: str | None = None

    def __repr__(self) -> str:
        return f"Mailbox({self.host}:{self.port})"


def render(notice: Notice) -> bytes:
    """Subject and both parts as JSON; headers and boundaries follow from the notification."""
    message = message_of(notice, ENTRIES)
    return compact_json(
        {
            "subject": cut(message.title, _SUBJECT),
            "text": _text(message),
            "html": _html(message),
        }
    )


class EmailNotifier:
    """One mailbox or list. ``send`` belongs to one thread, ``close`` to any."""

    def __init__(
        self,
        mailbox: Mailbox,
        guard: Guard,
        *,
        limits: Limits = USUAL,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        """Raises ``ConfigError`` for a server that the guard refuses."""
        # The guard knows URLs: https stands for TLS from the first byte on.
        scheme = "http" if mailbox.security == "none" else "https"
        checked = guard.target(f"{scheme}://{_bracketed(mailbox.host)}:{mailbox.port}/")
        self._server = checked
        self._dialled = Target(
            "https" if mailbox.security == "tls" else "http", checked.host, checked.port, "/"
        )
        self._mailbox = mailbox
        self._guard = guard
        self._limits = limits
        self._dialer = Dialer(limits, tls)
        self._served: tuple[str, frozenset[str]] = ("", frozenset())
        if mailbox.username is not None and mailbox.security == "none":
            raise ConfigError("a password is not sent without TLS: set security to starttls or tls")

    def __repr__(self) -> str:
        return f"EmailNotifier({self._mailbox.host}:{self._mailbox.port})"

    def send(self, notification: Notification, now: datetime) -> str | None:  # noqa: ARG002
        """See ``Notifier.send``. Who has it already is not sent it again when the server refused
        others for the time being."""
        where = f"{self._mailbox.host}:{self._mailbox.port}"
        if self._dialer.closed:
            raise DeliveryError(f"{where}: the notifier is closed", retryable=True)
        try:
            addresses = look_up(self._guard, self._server, self._limits.resolve)
        except AddressError as error:
            raise DeliveryError(str(error), retryable=True) from error
        try:
            with self._dialer.connected(self._dialled, addresses) as (connection, cut_off):
                session = _Session(connection.sock, self._limits.read)
                refused = self._converse(session, notification, cut_off)
        except ssl.SSLCertVerificationError as error:
            raise DeliveryError(
                f"{where}: its certificate is not valid ({error.verify_message})", retryable=True
            ) from error
        except smtplib.SMTPResponseException as error:
            raise _fault(error.smtp_code, error.smtp_error) from error
        except smtplib.SMTPNotSupportedError as error:
            raise DeliveryError(f"{where}: {error}", retryable=False) from error
        except (smtplib.SMTPException, OSError) as error:
            raise DeliveryError(
                f"{where}: {type(error).__name__}: {error}", retryable=True
            ) from error
        return self._settle(notification, refused)

    def close(self) -> None:
        """Refuse further sends and cut the one in flight. Idempotent."""
        self._dialer.close()

    def _converse(
        self, session: _Session, notification: Notification, cut_off: threading.Event
    ) -> dict[str, tuple[int, bytes]]:
        """Say it; returns who was refused, and how."""
        mailbox = self._mailbox
        session.greet()
        if mailbox.security == "starttls":
            session.ehlo_or_helo_if_needed()
            if not session.has_extn("starttls"):
                raise smtplib.SMTPNotSupportedError(
                    "the server offers no STARTTLS; set security to tls, if it speaks TLS at once"
                )
            code, said = session.docmd("STARTTLS")
            if code != 220:
                raise smtplib.SMTPResponseException(code, said)
            session.restart(self._dialer.secure(cut_off, mailbox.host))
        if mailbox.username is not None:
            session.login(mailbox.username, mailbox.password or "")
        served = self._served[1] if self._served[0] == notification.id else frozenset()
        waiting = [address for address in mailbox.recipients if address not in served]
        try:
            content = mail_of(notification, mailbox.sender, mailbox.recipients)
            refused = session.send_message(content, mailbox.sender, waiting)
        except smtplib.SMTPRecipientsRefused as error:
            refused = error.recipients
        with suppress(smtplib.SMTPException, OSError):
            session.quit()  # the message was taken, whatever becomes of the farewell
        return refused

    def _settle(
        self, notification: Notification, refused: dict[str, tuple[int, bytes]]
    ) -> str | None:
        mailbox = self._mailbox
        later = {name: how for name, how in refused.items() if 400 <= how[0] < 500}
        if later or len(refused) == len(mailbox.recipients):
            earlier = self._served[1] if self._served[0] == notification.id else frozenset()
            taken = {address for address in mailbox.recipients if address not in refused}
            self._served = notification.id, earlier | taken
            code, said = next(iter((later or refused).values()))
            raise _fault(code, said)
        if refused:
            return f"sent, but not to {', '.join(sorted(refused))}: refused"
        return f"sent to {', '.join(mailbox.recipients)}"


def mail_of(notification: Notification, sender: str, recipients: Sequence[str]) -> EmailMessage:
    """The mail of a notification: the same bytes for the same notification, whenever it is made."""
    body: dict[str, Any] = json.loads(notification.body)
    host = sender.rpartition("@")[2]
    thread = hashlib.sha256(
        f"{notification.receiver} {notification.group_key}".encode()
    ).hexdigest()
    mail = EmailMessage(policy=SMTP)
    mail["From"] = sender
    mail["To"] = ", ".join(recipients)
    mail["Subject"] = body["subject"]
    mail["Date"] = format_datetime(notification.created_at)
    mail["Message-ID"] = f"<{notification.id}@{host}>"
    mail["References"] = f"<group.{thread[:32]}@{host}>"
    mail["Auto-Submitted"] = "auto-generated"
    mail.set_content(body["text"], cte="quoted-printable")
    mail.add_alternative(body["html"], subtype="html", cte="quoted-printable")
    mail.set_boundary(f"=_{hashlib.sha256(notification.id.encode()).hexdigest()[:40]}")
    return mail


class _Session(smtplib.SMTP):
    """SMTP over a connection that is there already."""

    def __init__(self, opened: socket.socket | None, timeout: float) -> None:
        super().__init__(local_hostname="localhost", timeout=timeout)
        self.sock = opened

    def greet(self) -> None:
        code, said = self.getreply()
        if code != 220:
            raise smtplib.SMTPConnectError(code, said)

    def restart(self, secured: socket.socket) -> None:
        """After STARTTLS everything that was said without TLS is forgotten (RFC 3207, 4.2)."""
        self.sock = secured
        self.file = None
        self.helo_resp = self.ehlo_resp = None
        self.esmtp_features = {}
        self.does_esmtp = False


def _fault(code: int, said: bytes | str) -> DeliveryError:
    text = said.decode(errors="replace") if isinstance(said, bytes) else said
    return DeliveryError(
        f"the mail server answered {code}: {printable(text)}", retryable=not 500 <= code < 600
    )


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host else host


def _text(message: Message) -> str:
    lines = [message.title, ""]
    for entry in message.entries:
        lines += [entry.headline, *(f"  {name}: {value}" for name, value in entry.facts)]
        for document in entry.documents:
            lines.append(f"  - {document.title} ({document.about})")
            if document.url:
                lines.append(f"    {document.url}")
        lines.append("")
    if message.rest:
        lines += [message.rest, ""]
    if message.link:
        lines.append(f"{OPEN}: {message.link}")
    return "\n".join(lines) + "\n"


def _html(message: Message) -> str:
    """One column of boxes. Mail programs drop style sheets, so every element has its own style."""
    title = html.escape(message.title)
    several = len(message.entries) + message.left_out > 1
    parts = [f'<h2 style="font-size:20px;margin:0 0 14px">{title}</h2>']
    parts += [_block(entry, several) for entry in message.entries]
    if message.rest:
        parts.append(f"<p>{html.escape(message.rest)}</p>")
    if message.link:
        parts.append(f'<p><a style="{_BUTTON}" href="{html.escape(message.link)}">{OPEN}</a></p>')
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{title}</title></head>'
        f'<body style="{_BODY}"><div style="max-width:680px;margin:0 auto">'
        + "\n".join(parts)
        + "</div></body></html>\n"
    )


def _block(entry: Entry, several: bool) -> str:
    facts = "".join(
        f'<tr><td style="{_NAME}">{html.escape(name)}</td>'
        f'<td style="padding:2px 0;vertical-align:top">{html.escape(value)}</td></tr>'
        for name, value in entry.facts
    )
    documents = "".join(f"<li>{_item(document)}</li>" for document in entry.documents)
    below = f'<ul style="margin:10px 0 0;padding-left:20px">{documents}</ul>' if documents else ""
    if several and entry.link:
        below += f'<p style="margin:10px 0 0"><a href="{html.escape(entry.link)}">{OPEN}</a></p>'
    return (
        f'<div style="{_BOX};border-left:4px solid {_COLOURS[entry.state]}">'
        f'<h3 style="font-size:16px;margin:0 0 8px">{html.escape(entry.headline)}</h3>'
        f'<table style="border-collapse:collapse">{facts}</table>{below}</div>'
    )


def _item(document: Document) -> str:
    title = html.escape(document.title)
    shown = f'<a href="{html.escape(document.url)}">{title}</a>' if document.url else title
    return f'{shown} <span style="color:#666666">({html.escape(document.about)})</span>'
