"""WeCom (Enterprise WeChat): group robots, with markdown.

https://developer.work.weixin.qq.com/document/path/91770 (message of up to 4096 bytes, 20 a minute),
https://developer.work.weixin.qq.com/document/path/90313 (codes).
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from monitor.alert.base import Answer, Notice, Rate, Request
from monitor.alert.channels import wide
from monitor.alert.channels.coded import judge_code
from monitor.alert.channels.message import OPEN, State, cut_lines, message_of
from monitor.alert.codec import compact_json
from monitor.errors import DeliveryError
from monitor.store.base import Notification

_CONTENT = 4096  # bytes of UTF-8
_BUSY = {-1: None, 45009: 60.0, 45033: None}  # busy; too often; too many at once
_COLOURS = {
    State.CRITICAL: "warning",
    State.WARNING: "warning",
    State.RESOLVED: "info",
    State.QUIET: "comment",
    State.TEST: "comment",
}


class WeCom:
    """The channel; one receiver is one group robot, whose URL is the secret."""

    rates: tuple[Rate, ...] = (Rate(20, 60.0),)
    status_only = False

    def render(self, notice: Notice) -> bytes:
        """Markdown; the link stands second, where no cut reaches it."""
        message = message_of(notice)
        colour = _COLOURS[message.state]
        lines = [f'<font color="{colour}">{wide.escape(message.title)}</font>']
        if message.link:
            lines.append(f"[{OPEN}]({message.link})")
        for entry in message.entries:
            lines += ["", *wide.lines(entry)]
        if message.rest:
            lines.append(message.rest)
        content = cut_lines(lines, _CONTENT)
        return compact_json({"msgtype": "markdown", "markdown": {"content": content}})

    def requests(
        self,
        notification: Notification,
        path: str,  # noqa: ARG002
        now: datetime,  # noqa: ARG002
    ) -> Iterator[Request]:
        """The message as it is."""
        yield Request(notification.body)

    def verdict(self, answer: Answer, now: datetime) -> DeliveryError | None:
        """2xx and ``errcode`` 0."""
        return judge_code(answer, now, "errcode", "errmsg", _BUSY)
