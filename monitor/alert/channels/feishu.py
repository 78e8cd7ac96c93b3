"""Feishu and Lark: custom bots of a group, with a message card.

https://open.feishu.cn/document/client-docs/bot-v3/add-custom-bot (answers, signature, limits: 100
a minute, 5 a second, 20 KB; Lark: https://open.larksuite.com/document/client-docs/bot-v3/add-custom-bot),
https://open.feishu.cn/document/common-capabilities/message-card/message-cards-content/using-markdown-tags
(special characters as HTML entities).
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from collections.abc import Iterator
from datetime import datetime
from typing import Any

from monitor.alert.base import Answer, Notice, Rate, Request
from monitor.alert.channels.coded import judge_code
from monitor.alert.channels.message import OPEN, Document, Entry, Message, State, cut, fitting
from monitor.alert.codec import compact_json
from monitor.errors import DeliveryError
from monitor.store.base import Notification

_TITLE = 200  # characters
_BODY = 20 * 1024 - 200  # bytes, without the signature
_SPECIAL = frozenset("&<>~-!*/\\[]()#:+\"'`$_|@^=")
_COLOURS = {
    State.CRITICAL: "red",
    State.WARNING: "orange",
    State.RESOLVED: "green",
    State.QUIET: "grey",
    State.TEST: "grey",
}
_FREQUENCY = 11232
_BAD_REQUEST = 9499  # also how older tenants say "too many request"


class Feishu:
    """The channel; ``secret`` is that of the bot's signature verification, if it is switched on."""

    rates: tuple[Rate, ...] = (Rate(5, 1.0), Rate(100, 60.0))
    status_only = False

    def __init__(self, secret: str | None = None) -> None:
        self._secret = secret

    def render(self, notice: Notice) -> bytes:
        """A card with a coloured header."""
        return fitting(notice, _BODY, _card)

    def requests(
        self,
        notification: Notification,
        path: str,  # noqa: ARG002
        now: datetime,
    ) -> Iterator[Request]:
        """The card, in an envelope that is signed for this moment: Feishu allows it one hour."""
        body = notification.body
        if self._secret is not None:
            stamp = str(int(now.timestamp()))
            envelope = {"timestamp": stamp, "sign": sign(stamp, self._secret)}
            body = compact_json({**envelope, **json.loads(body)})
        yield Request(body)

    def verdict(self, answer: Answer, now: datetime) -> DeliveryError | None:
        """2xx and ``code`` 0."""
        busy: dict[int, float | None] = {_FREQUENCY: None}
        if b"too many" in answer.body:
            busy[_BAD_REQUEST] = None
        return judge_code(answer, now, "code", "msg", busy)


def sign(timestamp: str, secret: str) -> str:
    """The key is ``timestamp``, a line feed and the secret; what is signed is empty."""
    digest = hmac.new(f"{timestamp}\n{secret}".encode(), b"", hashlib.sha256).digest()
    return base64.b64encode(digest).decode()


def escape(text: str) -> str:
    """Whatever could be markup as an HTML entity, as the documentation asks for."""
    return "".join(f"&#{ord(c)};" if c in _SPECIAL else c for c in text)


def _card(message: Message) -> bytes:
    elements: list[dict[str, Any]] = []
    for entry in message.entries:
        elements += [*([{"tag": "hr"}] if elements else []), *_elements(entry)]
    if message.rest:
        elements.append({"tag": "div", "text": _plain(message.rest)})
    if message.link:
        button = {"tag": "button", "text": _plain(OPEN), "type": "primary", "url": message.link}
        elements.append({"tag": "action", "actions": [button]})
    header = {
        "template": _COLOURS[message.state],
        "title": _plain(cut(message.title, _TITLE)),
    }
    card = {"config": {"wide_screen_mode": True}, "header": header, "elements": elements}
    return compact_json({"msg_type": "interactive", "card": card})


def _elements(entry: Entry) -> Iterator[dict[str, Any]]:
    fields = [
        {"is_short": True, "text": _markdown(f"**{escape(name)}**\n{escape(value)}")}
        for name, value in entry.facts
    ]
    yield {"tag": "div", "text": _markdown(f"**{escape(entry.headline)}**"), "fields": fields}
    if entry.documents:
        yield {"tag": "div", "text": _markdown("\n".join(map(_document, entry.documents)))}


def _document(document: Document) -> str:
    title = escape(document.title)
    return f"{f'[{title}]({document.url})' if document.url else title} ({escape(document.about)})"


def _plain(text: str) -> dict[str, Any]:
    return {"tag": "plain_text", "content": text}


def _markdown(text: str) -> dict[str, Any]:
    return {"tag": "lark_md", "content": text}
