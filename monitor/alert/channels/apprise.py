"""The long tail: whatever the library apprise can speak to (an extra: ``monitor[apprise]``).

https://github.com/caronc/apprise/wiki. It opens its own connections: the guard against addresses
inside does not hold for them, so its URLs are the operator's alone. It judges by the HTTP status;
of Feishu, DingTalk and WeCom that would take refusals for deliveries, so these are refused here.
"""

from __future__ import annotations

import json
from datetime import datetime
from types import ModuleType
from typing import Any

from monitor.alert.base import Notice
from monitor.alert.channels.message import OPEN, State, cut, message_of
from monitor.alert.codec import compact_json
from monitor.errors import ConfigError, DeliveryError
from monitor.store.base import Notification

_TITLE, _BODY = 250, 10_000
_OWN = {
    "dingtalk": "dingtalk",
    "feishu": "feishu",
    "lark": "feishu",
    "wecombot": "wecom",
}
_TYPES = {
    State.CRITICAL: "failure",
    State.WARNING: "warning",
    State.RESOLVED: "success",
    State.QUIET: "info",
    State.TEST: "info",
}


def check(url: str) -> None:
    """Raises ``ConfigError`` for what has a channel of its own, with the right success test."""
    scheme, colon, _ = url.partition("://")
    if not colon:
        raise ConfigError("an apprise URL begins with a name and ://")
    _refuse(scheme.lower())


def _refuse(scheme: str) -> None:
    if own := _OWN.get(scheme):
        raise ConfigError(
            f'apprise takes refusals of {own} for deliveries: use type = "{own}" for it'
        )


def render(notice: Notice) -> bytes:
    """Title, text and colour as JSON."""
    message = message_of(notice)
    lines: list[str] = []
    for entry in message.entries:
        lines += [entry.headline, *(f"{name}: {value}" for name, value in entry.facts)]
        for document in entry.documents:
            lines.append(f"- {document.title} ({document.about}) {document.url or ''}".rstrip())
        lines.append("")
    if message.rest:
        lines.append(message.rest)
    if message.link:
        lines.append(f"{OPEN}: {message.link}")
    return compact_json(
        {
            "title": cut(message.title, _TITLE),
            "body": cut("\n".join(lines).rstrip(), _BODY),
            "type": _TYPES[message.state],
        }
    )


class AppriseNotifier:
    """One URL of apprise. ``send`` belongs to one thread."""

    def __init__(self, url: str) -> None:
        """Raises ``ConfigError`` without the library, and for a URL that it does not know."""
        check(url)
        library = _library()
        self._target: Any = library.Apprise(asset=library.AppriseAsset(async_mode=False))
        self._text = library.NotifyFormat.TEXT
        if not self._target.add(url):
            raise ConfigError(
                f"apprise does not know how to use this URL ({url.partition('://')[0]}://…)"
            )
        for server in self._target:  # it also reads addresses, as https://oapi.dingtalk.com/…
            names = server.secure_protocol
            for scheme in (names,) if isinstance(names, str) else names or ():
                _refuse(scheme)
        self._closed = False

    def send(self, notification: Notification, now: datetime) -> str | None:  # noqa: ARG002
        """See ``Notifier.send``. The library says yes or no and logs the reason: no is retried."""
        if self._closed:
            raise DeliveryError("the notifier is closed", retryable=True)
        said = json.loads(notification.body)
        taken = self._target.notify(
            body=said["body"], title=said["title"], notify_type=said["type"], body_format=self._text
        )
        if not taken:
            raise DeliveryError("apprise could not deliver it; its log says why", retryable=True)
        return "apprise says that it was delivered"

    def close(self) -> None:
        """See ``Notifier.close``."""
        self._closed = True


def _library() -> ModuleType:
    try:
        import apprise
    except ImportError as error:
        raise ConfigError(
            "apprise is not installed: pip install 'monitor[apprise]', or use another type"
        ) from error
    module: ModuleType = apprise
    return module
