"""An SMTP server on loopback: RFC 5321 with STARTTLS and AUTH PLAIN, and replies by script."""

from __future__ import annotations

import base64
import socketserver
import ssl
import threading
from dataclasses import dataclass
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default
from typing import Any


@dataclass(frozen=True)
class Mail:
    """What was taken after DATA."""

    sender: str
    recipients: tuple[str, ...]
    raw: bytes
    secured: bool
    user: str | None

    @property
    def message(self) -> EmailMessage:
        parsed = message_from_bytes(self.raw, policy=default)
        assert isinstance(parsed, EmailMessage)
        return parsed


class MailServer(socketserver.ThreadingTCPServer):
    """``replies``: by the beginning of a command, what is said in place of yes; each once, or
    ``cut``, ``silent`` or ``dripping``. ``data`` stands for the end of the mail, ``greeting`` for
    the connection."""

    daemon_threads = True
    allow_reuse_address = True

    def __init__(
        self,
        context: ssl.SSLContext | None = None,
        *,
        implicit: bool = False,
        account: tuple[str, str] | None = None,
    ) -> None:
        super().__init__(("127.0.0.1", 0), _Connection)
        self.context = context
        self.implicit = implicit
        self.account = account
        self.replies: dict[str, list[str]] = {}
        self.mails: list[Mail] = []
        self.commands: list[str] = []
        self.released = threading.Event()
        self.silent = threading.Event()
        self.port: int = self.server_address[1]
        threading.Thread(target=self.serve_forever, args=(0.02,), daemon=True).start()

    def close(self) -> None:
        self.released.set()
        self.shutdown()
        self.server_close()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Clients that hang up are part of these tests."""


class _Connection(socketserver.StreamRequestHandler):
    server: MailServer

    def setup(self) -> None:
        self.secured = self.server.implicit
        if self.server.implicit:
            assert self.server.context is not None
            self.request = self.server.context.wrap_socket(self.request, server_side=True)
        super().setup()

    def handle(self) -> None:
        self.user: str | None = None
        self.sender, self.recipients = "", list[str]()
        if not self._say("greeting", "220 mail.test ESMTP"):
            return
        while line := self.rfile.readline():
            command = line.decode().strip()
            self.server.commands.append(command)
            if not self._obey(command):
                return

    def _obey(self, command: str) -> bool:
        name = command.upper()
        if name.startswith("EHLO"):
            offered = ["mail.test", "8BITMIME"]
            if self.server.context is not None and not self.secured:
                offered.append("STARTTLS")
            if self.server.account is not None:
                offered.append("AUTH PLAIN")
            lines = [f"250-{item}" for item in offered[:-1]] + [f"250 {offered[-1]}"]
            return self._say("ehlo", "\r\n".join(lines))
        if name == "STARTTLS":
            return self._start_tls()
        if name.startswith("AUTH PLAIN "):
            return self._log_in(command.split(" ", 2)[2])
        if name.startswith("MAIL"):
            self.sender, self.recipients = _address(command), []
            if self.server.account is not None and self.user is None:
                return self._say("mail", "530 5.7.0 Authentication required")
            return self._say("mail", "250 2.1.0 Ok")
        if name.startswith("RCPT"):
            address = _address(command)
            taken = self._say(f"rcpt {address}", "250 2.1.5 Ok")
            if self.said.startswith("250"):
                self.recipients.append(address)
            return taken
        if name == "DATA":
            return self._say("begin", "354 go ahead") and self._data()
        if name == "QUIT":
            self._say("quit", "221 2.0.0 Bye")
            return False
        return self._say("other", "250 2.0.0 Ok")

    def _start_tls(self) -> bool:
        if not self._say("starttls", "220 2.0.0 Ready"):
            return False
        if not self.said.startswith("220"):
            return True
        assert self.server.context is not None
        self.request = self.server.context.wrap_socket(self.request, server_side=True)
        self.secured = True
        super().setup()
        return True

    def _log_in(self, given: str) -> bool:
        _, user, password = base64.b64decode(given).decode().split("\0")
        if (user, password) != self.server.account:
            return self._say("auth", "535 5.7.8 Authentication credentials invalid")
        self.user = user
        return self._say("auth", "235 2.7.0 Ok")

    def _data(self) -> bool:
        raw = b""
        while (line := self.rfile.readline()) not in (b".\r\n", b""):
            raw += line[1:] if line.startswith(b".") else line
        going_on = self._say("data", "250 2.0.0 queued")
        if self.said.startswith("250"):
            mail = Mail(self.sender, tuple(self.recipients), raw, self.secured, self.user)
            self.server.mails.append(mail)
        return going_on

    def _say(self, moment: str, usual: str) -> bool:
        script = self.server.replies.get(moment, [])
        self.said = script.pop(0) if script else usual
        if self.said == "cut":
            return False
        if self.said == "silent":
            self.server.silent.set()
            self.server.released.wait(30)
            return False
        if self.said == "dripping":
            while not self.server.released.wait(0.02):
                self.wfile.write(b"2")
            return False
        self.wfile.write(f"{self.said}\r\n".encode())
        return True


def _address(command: str) -> str:
    return command.partition("<")[2].partition(">")[0]
