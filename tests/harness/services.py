"""Services that answer as their documentation says: what they take, what they refuse and how.

Written from the pages that the channels' modules name. Each looks at one request and gives the
status, the headers and the body of its answer; ``now`` is theirs to check signatures and limits by.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import re
from collections import deque
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

from harness.scripted import Request
from harness.scripted import answer as http
from jsonschema import Draft202012Validator

SCHEMAS = Path(__file__).parent / "schemas"


def faults(name: str, value: object) -> list[str]:
    """What a schema of this folder has against a value."""
    schema = json.loads((SCHEMAS / f"{name}.json").read_text("utf-8"))
    found = Draft202012Validator(schema).iter_errors(value)
    return [f"{'/'.join(map(str, e.absolute_path))}: {e.message}" for e in found]


class Service:
    """What all of them have: the messages taken, a clock and a limit."""

    schema = ""
    limit: tuple[int, float] | None = None

    def __init__(self, now: Callable[[], datetime]) -> None:
        self.now = now
        self.taken: list[Any] = []
        self.times: deque[datetime] = deque()

    def __call__(self, request: Request) -> bytes:
        try:
            value = json.loads(request.body)
        except ValueError:
            return self.malformed("not JSON")
        if self.too_many():
            return self.later()
        if refusal := self.refusal(request, value):
            return refusal
        if found := faults(self.schema, value):
            return self.malformed(found[0])
        self.taken.append(value)
        return self.yes()

    def too_many(self) -> bool:
        if self.limit is None:
            return False
        messages, seconds = self.limit
        now = self.now()
        while self.times and now - self.times[0] >= timedelta(seconds=seconds):
            self.times.popleft()
        self.times.append(now)
        return len(self.times) > messages

    def refusal(self, request: Request, value: Any) -> bytes | None:
        return None

    def yes(self) -> bytes:
        raise NotImplementedError

    def later(self) -> bytes:
        raise NotImplementedError

    def malformed(self, why: str) -> bytes:
        raise NotImplementedError


class SlackService(Service):
    schema = "slack"
    limit = (1, 1.0)

    def yes(self) -> bytes:
        return http(200, body="ok")

    def later(self) -> bytes:
        return http(429, "30", body="rate_limited")

    def malformed(self, why: str) -> bytes:
        return http(400, body=f"invalid_blocks {why}")


class FeishuService(Service):
    schema = "feishu"
    limit = (100, 60.0)

    def __init__(self, now: Callable[[], datetime], secret: str | None = None) -> None:
        super().__init__(now)
        self.secret = secret

    def refusal(self, request: Request, value: Any) -> bytes | None:
        if len(request.body) > 20 * 1024:
            return self.malformed("too large")
        if self.secret is None:
            return None
        stamp = str(value.get("timestamp", ""))
        key = f"{stamp}\n{self.secret}".encode()
        sign = base64.b64encode(hmac.new(key, b"", hashlib.sha256).digest()).decode()
        fresh = stamp.isdigit() and abs(self.now().timestamp() - int(stamp)) < 3600
        if not fresh or value.get("sign") != sign:
            fault = "sign match fail or timestamp is not within one hour from current time"
            return http(200, body=json.dumps({"code": 19021, "data": {}, "msg": fault}))
        return None

    def yes(self) -> bytes:
        said = {
            "StatusCode": 0,
            "StatusMessage": "success",
            "code": 0,
            "data": {},
            "msg": "success",
        }
        return http(200, body=json.dumps(said))

    def later(self) -> bytes:
        said = {"code": 11232, "data": {}, "msg": "frequency limited psm[lark.oapi.app_platform]"}
        return http(200, body=json.dumps(said))

    def malformed(self, why: str) -> bytes:
        said = {"code": 9499, "data": {}, "msg": f"Bad Request {why}"}
        return http(200, body=json.dumps(said))


class DingTalkService(Service):
    schema = "dingtalk"
    limit = (20, 60.0)

    def __init__(self, now: Callable[[], datetime], secret: str | None = None) -> None:
        super().__init__(now)
        self.secret = secret

    def refusal(self, request: Request, value: Any) -> bytes | None:
        if self.secret is None:
            return None
        query = parse_qs(urlsplit(request.path).query)
        stamp = query.get("timestamp", [""])[0]
        key, text = self.secret.encode(), f"{stamp}\n{self.secret}".encode()
        sign = base64.b64encode(hmac.new(key, text, hashlib.sha256).digest()).decode()
        fresh = stamp.isdigit() and abs(self.now().timestamp() * 1000 - int(stamp)) < 3_600_000
        if not fresh or query.get("sign") != [sign]:
            return http(200, body='{"errcode":310000,"errmsg":"sign not match"}')
        return None

    def yes(self) -> bytes:
        return http(200, body='{"errcode":0,"errmsg":"ok"}')

    def later(self) -> bytes:
        fault = "send too fast, exceed 20 times per minute"
        return http(200, body=json.dumps({"errcode": 130101, "errmsg": fault}))

    def malformed(self, why: str) -> bytes:
        return http(200, body=json.dumps({"errcode": 40035, "errmsg": why}))


class WeComService(Service):
    schema = "wecom"
    limit = (20, 60.0)

    def refusal(self, request: Request, value: Any) -> bytes | None:
        if len(value.get("markdown", {}).get("content", "").encode()) > 4096:
            fault = "markdown.content exceed max length 4096. invalid Request Parameter"
            return http(200, body=json.dumps({"errcode": 40058, "errmsg": fault}))
        return None

    def yes(self) -> bytes:
        return http(200, body='{"errcode":0,"errmsg":"ok"}')

    def later(self) -> bytes:
        return http(200, body='{"errcode":45009,"errmsg":"api freq out of limit"}')

    def malformed(self, why: str) -> bytes:
        return http(200, body=json.dumps({"errcode": 40008, "errmsg": f"invalid message {why}"}))


class TeamsService(Service):
    schema = "teams"
    limit = (4, 1.0)

    def refusal(self, request: Request, value: Any) -> bytes | None:
        return http(413) if len(request.body) > 28 * 1024 else None

    def yes(self) -> bytes:
        return http(202)

    def later(self) -> bytes:
        return http(429, "5")

    def malformed(self, why: str) -> bytes:
        return http(400, body=json.dumps({"error": {"code": "InvalidRequest", "message": why}}))


class PagerDutyService(Service):
    """Keeps incidents by ``dedup_key``."""

    schema = "pagerduty"

    def __init__(self, now: Callable[[], datetime], routing_key: str) -> None:
        super().__init__(now)
        self.routing_key = routing_key
        self.incidents: dict[str, str] = {}

    def refusal(self, request: Request, value: Any) -> bytes | None:
        if value.get("routing_key") != self.routing_key:
            return self.malformed("'routing_key' is invalid")
        return None

    def __call__(self, request: Request) -> bytes:
        said = super().__call__(request)
        if b" 202 " in said[:20]:
            event = self.taken[-1]
            opened = event["event_action"] == "trigger"
            self.incidents[event["dedup_key"]] = "triggered" if opened else "resolved"
        return said

    def yes(self) -> bytes:
        said = {"status": "success", "message": "Event processed", "dedup_key": "k"}
        return http(202, body=json.dumps(said))

    def later(self) -> bytes:
        return http(429)

    def malformed(self, why: str) -> bytes:
        said = {"status": "invalid event", "message": "Event object is invalid", "errors": [why]}
        return http(400, body=json.dumps(said))


class AlertmanagerService(Service):
    """Keeps alerts by their labels, and when they end."""

    schema = "alertmanager"
    resolve_timeout = timedelta(minutes=5)

    def __init__(self, now: Callable[[], datetime]) -> None:
        super().__init__(now)
        self.ends: dict[str, datetime] = {}

    def refusal(self, request: Request, value: Any) -> bytes | None:
        if urlsplit(request.path).path != "/am/api/v2/alerts":
            return http(404)
        for item in value:
            ends = item.get("endsAt")
            end = datetime.fromisoformat(ends) if ends else self.now() + self.resolve_timeout
            if end < datetime.fromisoformat(item["startsAt"]):
                return self.malformed("start time must be before end time")
            self.ends[item["labels"]["alert_id"]] = end
        return None

    def firing(self) -> set[str]:
        return {name for name, end in self.ends.items() if end > self.now()}

    def yes(self) -> bytes:
        return http(200)

    def later(self) -> bytes:
        return http(503)

    def malformed(self, why: str) -> bytes:
        return http(400, body=json.dumps(why))


class CloudEventsService(Service):
    schema = "cloudevents"

    def refusal(self, request: Request, value: Any) -> bytes | None:
        if not re.match(r"application/cloudevents\+json\b", request.headers["content-type"]):
            return http(415)
        return None

    def yes(self) -> bytes:
        return http(200)

    def later(self) -> bytes:
        return http(429)

    def malformed(self, why: str) -> bytes:
        return http(400, body=why)
