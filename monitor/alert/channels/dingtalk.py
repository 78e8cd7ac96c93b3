"""DingTalk: custom robots of a group, with markdown.

https://open.dingtalk.com/document/robots/custom-robot-access (message, answers; 20 a minute, or
silence for ten), https://open.dingtalk.com/document/robots/customize-robot-security-settings
(signature in the query).
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Iterator
from datetime import datetime
from urllib.parse import urlencode

from monitor.alert.base import Answer, Notice, Rate, Request
from monitor.alert.channels import wide
from monitor.alert.channels.coded import judge_code
from monitor.alert.channels.message import OPEN, cut, cut_lines, message_of
from monitor.alert.codec import compact_json
from monitor.errors import DeliveryError
from monitor.store.base import Notification

_TITLE = 100
_TEXT = 15_000  # bytes
_BUSY = {-1: None, 130101: 600.0}  # the system is busy; more than 20 a minute


class DingTalk:
    """The channel; ``secret`` is that of the robot's signature (SEC…), if it is switched on."""

    rates: tuple[Rate, ...] = (Rate(20, 60.0),)
    status_only = False

    def __init__(self, secret: str | None = None) -> None:
        self._secret = secret

    def render(self, notice: Notice) -> bytes:
        """Markdown, of which an empty line ends a line."""
        message = message_of(notice)
        lines = [f"#### {wide.escape(message.title)}"]
        for entry in message.entries:
            lines += wide.lines(entry)
        if message.rest:
            lines.append(message.rest)
        if message.link:
            lines.insert(1, f"[{OPEN}]({message.link})")
        text = cut_lines(lines, _TEXT, "\n\n")
        markdown = {"title": cut(message.title, _TITLE), "text": text}
        return compact_json({"msgtype": "markdown", "markdown": markdown})

    def requests(self, notification: Notification, path: str, now: datetime) -> Iterator[Request]:
        """The message, to an address that is signed for this moment: DingTalk allows it one
        hour."""
        if self._secret is not None:
            stamp = str(int(now.timestamp() * 1000))
            query = urlencode({"timestamp": stamp, "sign": sign(stamp, self._secret)})
            path = f"{path}{'&' if '?' in path else '?'}{query}"
        yield Request(notification.body, path=path)

    def verdict(self, answer: Answer, now: datetime) -> DeliveryError | None:
        """2xx and ``errcode`` 0."""
        return judge_code(answer, now, "errcode", "errmsg", _BUSY)


def sign(timestamp: str, secret: str) -> str:
    """HMAC-SHA256 of ``timestamp`` (milliseconds), a line feed and the secret, in base64."""
    digest = hmac.new(secret.encode(), f"{timestamp}\n{secret}".encode(), hashlib.sha256).digest()
    return base64.b64encode(digest).decode()
