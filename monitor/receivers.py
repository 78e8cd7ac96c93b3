"""The receivers as they are configured: ``type`` says which fields one has (docs/channels.md)."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import time
from typing import Annotated, Any, Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import Discriminator, Field, SecretStr, Tag, field_validator, model_validator

from monitor.alert.channels import apprise
from monitor.alert.hours import DigestHours, QuietHours
from monitor.alert.policy import Route
from monitor.alert.signing import Signer
from monitor.errors import ConfigError
from monitor.guard import Guard
from monitor.matchers import parse
from monitor.section import Positive, Section

_ADDRESS = re.compile(r"[!-~]+@[A-Za-z0-9.-]+")
_HOST = re.compile(r"[A-Za-z0-9.-]+|[0-9a-fA-F:]*:[0-9a-fA-F:.]*:[0-9a-fA-F:.]*")


class Quiet(Section):
    """Hours in which nobody is disturbed; what comes meanwhile is one message at their end."""

    start: time
    end: time
    """The same as ``start``: no quiet hours."""
    zone: str = "UTC"
    critical_passes: bool = True

    @property
    def hours(self) -> QuietHours:
        """With the zone looked up."""
        return QuietHours(self.start, self.end, ZoneInfo(self.zone), self.critical_passes)

    @field_validator("start", "end")
    @classmethod
    def _by_the_wall(cls, value: time) -> time:
        return _without_zone(value)

    @field_validator("zone")
    @classmethod
    def _known(cls, zone: str) -> str:
        return known_zone(zone)


class Digest(Section):
    """When what a route left to the digest is sent."""

    times: Annotated[tuple[time, ...], Field(min_length=1)]
    zone: str = "UTC"

    @property
    def hours(self) -> DigestHours:
        """With the zone looked up."""
        return DigestHours(self.times, ZoneInfo(self.zone))

    @field_validator("times")
    @classmethod
    def _by_the_wall(cls, times: tuple[time, ...]) -> tuple[time, ...]:
        return tuple(_without_zone(value) for value in times)

    @field_validator("zone")
    @classmethod
    def _known(cls, zone: str) -> str:
        return known_zone(zone)


class Receiver(Section):
    """What all of them have."""

    name: Annotated[str, Field(pattern=r"^[a-z][a-z0-9-]{0,62}$")]
    timeout: Positive = 10.0
    """Seconds of silence of the other side."""
    quiet: Quiet | None = None
    digest: Digest | None = None


class Networked(Receiver):
    """One that the guard is asked about."""

    allow_networks: tuple[str, ...] = ()
    """CIDR blocks inside the house that this receiver may lie in."""
    allow_http: bool = False

    @property
    def plain_networks(self) -> tuple[str, ...]:
        """Networks that may be spoken to without TLS."""
        return self.allow_networks if self.allow_http else ()

    @property
    def guard(self) -> Guard:
        """Judges where this receiver is. Raises ``ConfigError``."""
        return Guard(self.allow_networks, self.plain_networks)

    def _parts(self) -> list[Callable[[], object]]:
        """What has to work; each raises ``ConfigError`` if it does not."""
        return []

    @model_validator(mode="after")
    def _usable(self) -> Networked:
        faults = []
        for part in self._parts():
            try:
                part()
            except ConfigError as error:
                faults.append(str(error))
        if faults:
            raise ValueError("; ".join(faults))
        return self


class Signed(Networked):
    """A webhook with a signature."""

    url: str = Field(repr=False)
    secrets: Annotated[tuple[SecretStr, ...], Field(min_length=1)]
    """``whsec_…``, the newest first; several while a secret is being rotated."""

    @property
    def signer(self) -> Signer:
        """Raises ``ConfigError``."""
        return Signer([secret.get_secret_value() for secret in self.secrets])

    def _parts(self) -> list[Callable[[], object]]:
        return [lambda: self.signer, lambda: _target(self, self.url)]


class WebhookReceiver(Signed):
    """Alertmanager's body, signed (docs/webhook.md)."""

    type: Literal["webhook"] = "webhook"


class CloudEventsReceiver(Signed):
    """The same as the data of a CloudEvent."""

    type: Literal["cloudevents"]


class Hooked(Networked):
    """A channel whose URL is its secret."""

    url: SecretStr

    def _parts(self) -> list[Callable[[], object]]:
        return [lambda: _target(self, self.url.get_secret_value())]


class SlackReceiver(Hooked):
    """An incoming webhook."""

    type: Literal["slack"]


class FeishuReceiver(Hooked):
    """A custom bot of Feishu or Lark."""

    type: Literal["feishu"]
    secret: SecretStr | None = None
    """Of the bot's signature verification."""


class DingTalkReceiver(Hooked):
    """A custom robot."""

    type: Literal["dingtalk"]
    secret: SecretStr | None = None
    """Of the robot's signature: ``SEC…``."""


class WeComReceiver(Hooked):
    """A group robot."""

    type: Literal["wecom"]


class TeamsReceiver(Hooked):
    """A workflow that posts to a channel."""

    type: Literal["teams"]


class PagerDutyReceiver(Networked):
    """An integration of Events API v2."""

    type: Literal["pagerduty"]
    routing_key: SecretStr
    url: str = "https://events.pagerduty.com/v2/enqueue"
    """``https://events.eu.pagerduty.com/v2/enqueue`` in the EU."""

    def _parts(self) -> list[Callable[[], object]]:
        return [lambda: _target(self, self.url)]


class AlertmanagerReceiver(Networked):
    """An Alertmanager that routes and pages."""

    type: Literal["alertmanager"]
    url: str
    """Its base address."""
    token: SecretStr | None = None
    """Sent as ``Authorization: Bearer``."""

    def _parts(self) -> list[Callable[[], object]]:
        return [lambda: _target(self, self.url)]


class EmailReceiver(Networked):
    """One mail to one or several addresses."""

    type: Literal["email"]
    host: Annotated[str, Field(min_length=1, max_length=253)]
    port: Annotated[int, Field(ge=1, le=65535)] = 587
    security: Literal["starttls", "tls", "none"] = "starttls"
    """``tls``: from the first byte on, usually at port 465."""
    username: str | None = None
    password: SecretStr | None = None
    sender: str
    recipients: Annotated[tuple[str, ...], Field(min_length=1, max_length=50)]

    @field_validator("host")
    @classmethod
    def _host_alone(cls, host: str) -> str:
        if not _HOST.fullmatch(host):
            raise ValueError("must be a host name or an address; its port is a setting of its own")
        return host

    @field_validator("sender", "recipients")
    @classmethod
    def _addresses(cls, value: str | tuple[str, ...]) -> str | tuple[str, ...]:
        for address in (value,) if isinstance(value, str) else value:
            if not _ADDRESS.fullmatch(address):
                raise ValueError("must be an address as desk@example.com, in ASCII, without a name")
        return value

    @property
    def target(self) -> str:
        """The server as a URL, for the guard: https stands for any TLS."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{'http' if self.security == 'none' else 'https'}://{host}:{self.port}/"

    def _parts(self) -> list[Callable[[], object]]:
        return [self._credentials, lambda: _target(self, self.target)]

    def _credentials(self) -> None:
        if (self.username is None) != (self.password is None):
            raise ConfigError("username and password belong together")
        password = self.password.get_secret_value() if self.password else ""
        if not f"{self.username or ''}{password}".isascii():
            raise ConfigError("username and password must be ASCII")
        if self.username is not None and self.security == "none":
            raise ConfigError("a password is not sent without TLS: security = starttls or tls")


class AppriseReceiver(Receiver):
    """Anything that apprise can speak to; the guard does not hold for it."""

    type: Literal["apprise"]
    url: SecretStr

    @field_validator("url")
    @classmethod
    def _judged_well(cls, url: SecretStr) -> SecretStr:
        try:
            apprise.check(url.get_secret_value())
        except ConfigError as error:
            raise ValueError(str(error)) from None
        return url


class RouteTable(Section):
    """One ``[[delivery.routes]]``: alerts with these labels go to these receivers."""

    match: tuple[str, ...] = ()
    """``severity="critical"``, ``topic=~"Energy.*"``; all have to hold."""
    receivers: tuple[str, ...] = ()
    """None: nobody is told."""
    digest: bool = False
    """Not at once, but at the hours of the receivers' digests."""
    go_on: bool = False
    """Look at the routes below as well."""

    @property
    def route(self) -> Route:
        """With the matchers read. Raises ``ConfigError``."""
        matchers = tuple(parse(text) for text in self.match)
        return Route(matchers, self.receivers, self.digest, self.go_on)

    @field_validator("match")
    @classmethod
    def _readable(cls, match: tuple[str, ...]) -> tuple[str, ...]:
        faults = []
        for text in match:
            try:
                parse(text)
            except ConfigError as error:
                faults.append(str(error))
        if faults:
            raise ValueError("; ".join(faults))
        return match


def known_zone(zone: str) -> str:
    """The name of a time zone, or ``ValueError``."""
    try:
        ZoneInfo(zone)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise ValueError(
            "must be the name of a time zone as Europe/Berlin; without a zone database on this "
            "machine: pip install tzdata"
        ) from None
    return zone


def _without_zone(value: time) -> time:
    if value.tzinfo is not None:
        raise ValueError("must be a time by the clock on the wall, as 22:00; zone says where")
    return value


def type_of(value: Any) -> str:
    """The type that a table of the configuration, or a receiver, names; by default a webhook."""
    found = value.get("type", "webhook") if isinstance(value, dict) else getattr(value, "type", "")
    return found if isinstance(found, str) else ""


AnyReceiver = Annotated[
    Annotated[WebhookReceiver, Tag("webhook")]
    | Annotated[CloudEventsReceiver, Tag("cloudevents")]
    | Annotated[SlackReceiver, Tag("slack")]
    | Annotated[FeishuReceiver, Tag("feishu")]
    | Annotated[DingTalkReceiver, Tag("dingtalk")]
    | Annotated[WeComReceiver, Tag("wecom")]
    | Annotated[TeamsReceiver, Tag("teams")]
    | Annotated[PagerDutyReceiver, Tag("pagerduty")]
    | Annotated[AlertmanagerReceiver, Tag("alertmanager")]
    | Annotated[EmailReceiver, Tag("email")]
    | Annotated[AppriseReceiver, Tag("apprise")],
    Discriminator(type_of),
]
TYPES = (
    "webhook",
    "cloudevents",
    "slack",
    "feishu",
    "dingtalk",
    "wecom",
    "teams",
    "pagerduty",
    "alertmanager",
    "email",
    "apprise",
)


def _target(receiver: Networked, url: str) -> None:
    if url.startswith("http:") and not receiver.plain_networks:
        raise ConfigError("plain http needs allow_http = true and its network in allow_networks")
    receiver.guard.target(url)
