"""Slack: incoming webhooks with Block Kit.

https://docs.slack.dev/messaging/sending-messages-using-incoming-webhooks (answers),
https://docs.slack.dev/reference/block-kit/blocks (limits),
https://docs.slack.dev/messaging/formatting-message-text (escaping),
https://docs.slack.dev/apis/web-api/rate-limits (one message a second).

Only links are ``mrkdwn``, and that ``verbatim``: Slack makes no link or mention of what a title
says. Nothing else is parsed at all. The link to the dashboard is no button: a button makes Slack
ask the sender's interactivity URL, which an incoming webhook has not got.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Any

from monitor.alert.base import Answer, Notice, Rate, Request
from monitor.alert.channels.message import (
    OPEN,
    Document,
    Entry,
    State,
    cut,
    cut_lines,
    message_of,
)
from monitor.alert.codec import compact_json
from monitor.alert.retry import judge_answer, printable
from monitor.errors import DeliveryError
from monitor.store.base import Notification

_HEADER, _SECTION = 150, 3000  # characters
_COLOURS = {
    State.CRITICAL: "#c62828",
    State.WARNING: "#ef8f00",
    State.RESOLVED: "#2e7d32",
    State.QUIET: "#757575",
    State.TEST: "#757575",
}


class Slack:
    """The channel; one receiver is one incoming webhook."""

    rates: tuple[Rate, ...] = (Rate(1, 1.0),)
    status_only = False

    def render(self, notice: Notice) -> bytes:
        """A header, and a coloured part for each alert."""
        message = message_of(notice)
        below: list[dict[str, Any]] = []
        if message.rest:
            below.append(_section(_plain(message.rest)))
        if message.link:
            below.append(_section(_links(f"<{escape(message.link)}|{OPEN}>")))
        return compact_json(
            {
                "text": escape(message.title),
                "blocks": [{"type": "header", "text": _plain(cut(message.title, _HEADER))}],
                "attachments": [
                    *(
                        {"color": _COLOURS[entry.state], "blocks": _blocks(entry)}
                        for entry in message.entries
                    ),
                    *([{"color": _COLOURS[message.state], "blocks": below}] if below else []),
                ],
            }
        )

    def requests(
        self,
        notification: Notification,
        path: str,  # noqa: ARG002
        now: datetime,  # noqa: ARG002
    ) -> Iterator[Request]:
        """The body as it is: the URL is the secret."""
        yield Request(notification.body)

    def verdict(self, answer: Answer, now: datetime) -> DeliveryError | None:
        """2xx and the word ``ok``."""
        if fault := judge_answer(answer, now):
            return fault
        said = answer.body.decode(errors="replace").strip()
        if said == "ok":
            return None
        # Slack's refusals have a status of their own: this was somebody on the way.
        return DeliveryError(
            f"the receiver answered {answer.status}, but not ok: {printable(said) or 'nothing'}",
            retryable=True,
        )


def escape(text: str) -> str:
    """Slack's three control characters as entities."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _blocks(entry: Entry) -> list[dict[str, Any]]:
    fields = [_plain(f"{name}\n{value}") for name, value in entry.facts]
    blocks = [_section(_plain(entry.headline)), {"type": "section", "fields": fields}]
    if entry.documents:
        lines = [_document(document) for document in entry.documents]
        blocks.append(_section(_links(cut_lines(lines, _SECTION))))
    return blocks


def _document(document: Document) -> str:
    title = escape(document.title)
    shown = f"<{escape(document.url)}|{title}>" if document.url else title
    return f"• {shown} ({escape(document.about)})"


def _section(text: dict[str, Any]) -> dict[str, Any]:
    return {"type": "section", "text": text}


def _plain(text: str) -> dict[str, Any]:
    return {"type": "plain_text", "text": text, "emoji": False}


def _links(text: str) -> dict[str, Any]:
    return {"type": "mrkdwn", "text": text, "verbatim": True}
