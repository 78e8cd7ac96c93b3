"""Microsoft Teams: a workflow "When a Teams webhook request is received", with an Adaptive Card.

https://learn.microsoft.com/microsoftteams/platform/webhooks-and-connectors/how-to/connectors-using
(message, 28 KB, four a second), https://adaptivecards.io/explorer (card 1.4).

``TextBlock`` and ``FactSet`` read markdown, text runs do not: whatever others wrote is a run.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Any

from monitor.alert.base import Answer, Notice, Rate, Request
from monitor.alert.channels.message import OPEN, Document, Entry, Message, State, fitting
from monitor.alert.codec import compact_json
from monitor.alert.retry import judge_answer
from monitor.errors import DeliveryError
from monitor.store.base import Notification

_BODY = 28 * 1024  # bytes
_STYLES = {
    State.CRITICAL: "attention",
    State.WARNING: "warning",
    State.RESOLVED: "good",
    State.QUIET: "default",
    State.TEST: "accent",
}


class Teams:
    """The channel; one receiver is one workflow, whose URL is the secret."""

    rates: tuple[Rate, ...] = (Rate(4, 1.0),)
    status_only = True

    def render(self, notice: Notice) -> bytes:
        """A card with a coloured container for each alert."""
        return fitting(notice, _BODY, _card)

    def requests(
        self,
        notification: Notification,
        path: str,  # noqa: ARG002
        now: datetime,  # noqa: ARG002
    ) -> Iterator[Request]:
        """The message as it is."""
        yield Request(notification.body)

    def verdict(self, answer: Answer, now: datetime) -> DeliveryError | None:
        """2xx: the workflow has taken it (202); whether it posts is said in its run history."""
        return judge_answer(answer, now)


def _card(message: Message) -> bytes:
    body: list[dict[str, Any]] = [_runs(_run(message.title, weight="Bolder", size="Medium"))]
    body += [_container(entry) for entry in message.entries]
    if message.rest:
        body.append(_runs(_run(message.rest)))
    card: dict[str, Any] = {
        "$schema": "http://adaptivecards.io/schemas/adaptive-card.json",
        "type": "AdaptiveCard",
        "version": "1.4",
        "fallbackText": message.title,
        "msteams": {"width": "Full"},
        "body": body,
    }
    if message.link:
        card["actions"] = [{"type": "Action.OpenUrl", "title": OPEN, "url": message.link}]
    attachment = {
        "contentType": "application/vnd.microsoft.card.adaptive",
        "contentUrl": None,
        "content": card,
    }
    return compact_json({"type": "message", "attachments": [attachment]})


def _container(entry: Entry) -> dict[str, Any]:
    facts: list[dict[str, Any]] = [
        _runs(_run(f"{name}: ", weight="Bolder"), _run(value)) for name, value in entry.facts
    ]
    return {
        "type": "Container",
        "style": _STYLES[entry.state],
        "items": [
            _runs(_run(entry.headline, weight="Bolder")),
            *facts,
            *map(_document, entry.documents),
        ],
    }


def _document(document: Document) -> dict[str, Any]:
    title = _run(document.title)
    if document.url:
        title["selectAction"] = {"type": "Action.OpenUrl", "url": document.url}
    return _runs(title, _run(f" ({document.about})", isSubtle=True))


def _runs(*runs: dict[str, Any]) -> dict[str, Any]:
    return {"type": "RichTextBlock", "inlines": list(runs)}


def _run(text: str, **style: object) -> dict[str, Any]:
    return {"type": "TextRun", "text": text, **style}
