"""``GET /v1/alerts``: where alerts stand, and who may see it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from harness.alerts import NOW, an_alert
from starlette.applications import Starlette
from starlette.testclient import TestClient

from monitor.errors import StoreError
from monitor.events import Alert, AlertStatus, Setting, Term
from monitor.matchers import parse
from monitor.push.admission import Admission
from monitor.push.keys import ApiKey, Keyring
from monitor.showing import MOST, USUAL, showing_routes
from monitor.store.muting.base import Acknowledgement, Silence
from monitor.store.muting.memory import MemoryMuting

RESOLVED: dict[str, Any] = {"status": AlertStatus.RESOLVED, "resolved_at": NOW}
ALERTS = [
    an_alert("f", about=replace(an_alert().about, terms=(Term("halts withdrawals", 9, 4.2),))),
    an_alert(
        "p",
        status=AlertStatus.PENDING,
        fired_at=None,
        setting=Setting(insufficient="3 of 10 independent voices"),
    ),
    an_alert("e", setting=Setting(expected="results")),
    an_alert("u", setting=Setting(under="all")),
    an_alert("r", **RESOLVED),
    an_alert("n", fired_at=None, setting=Setting(insufficient="2 of 3 sources"), **RESOLVED),
]


class Desk:
    def __init__(self, *, keys: bool = False, client: str = "127.0.0.1") -> None:
        self.asked: list[tuple[int, AlertStatus | None]] = []
        self.muting = MemoryMuting()
        self.fault: StoreError | None = None
        ring = Keyring([ApiKey("desk", "right"), ApiKey("feed", "other")] if keys else [])
        may = frozenset({"desk"} if keys else ())
        routes = showing_routes(
            self.latest,
            {a.id: a for a in ALERTS}.get,
            self.muting,
            Admission(ring, may, "alerts"),
            lambda: NOW,
        )
        self.http = TestClient(Starlette(routes=routes), client=(client, 5000))

    def latest(self, limit: int, status: AlertStatus | None) -> Sequence[Alert]:
        if self.fault:
            raise self.fault
        self.asked.append((limit, status))
        return [a for a in ALERTS if status in (None, a.status)][:limit]

    def get(self, path: str, **more: Any) -> tuple[int, Any]:
        said = self.http.get(path, **more)
        return said.status_code, said.json()


@pytest.fixture
def desk() -> Desk:
    return Desk()


def test_each_alert_says_where_it_stands_and_why_nobody_was_paged(desk: Desk) -> None:
    status, said = desk.get("/v1/alerts")
    assert status == 200
    assert [(a["id"], a["state"], a["not_sent"]) for a in said["alerts"]] == [
        ("f", "firing", ""),
        ("p", "insufficient evidence", "insufficient evidence: 3 of 10 independent voices"),
        ("e", "expected", "expected: results"),
        ("u", "shown under another", "shown under Whole stream"),
        ("r", "resolved", ""),
        ("n", "resolved", "insufficient evidence: 2 of 3 sources"),
    ]
    assert said["alerts"][0]["about"]["terms"][0]["text"] == "halts withdrawals"
    assert desk.asked == [(USUAL, None)]


def test_they_are_asked_for_by_status_and_number(desk: Desk) -> None:
    status, said = desk.get("/v1/alerts?status=pending&limit=3")
    assert (status, [a["id"] for a in said["alerts"]]) == (200, ["p"])
    assert desk.asked == [(3, AlertStatus.PENDING)]
    assert desk.get("/v1/alerts/u")[1]["state"] == "shown under another"
    assert desk.get("/v1/alerts/nobody")[0] == 404


def test_who_has_taken_it_on_and_what_silences_it_is_told(desk: Desk) -> None:
    hour = timedelta(hours=1)
    desk.muting.acknowledge(Acknowledgement("f", "ben", "calls", NOW + hour, NOW))
    topic = (parse("topic=Financials"),)
    desk.muting.silence(Silence("now", topic, NOW - hour, NOW + hour, "ann", "", NOW))
    desk.muting.silence(Silence("later", topic, NOW + hour, NOW + 2 * hour, "ann", "", NOW))
    said = desk.get("/v1/alerts/f")[1]
    assert said["silenced_by"] == ["now"]
    expected = {"owner": "ben", "note": "calls", "until": "2026-05-04T13:00:00Z"}
    assert said["acknowledgement"] == expected
    assert desk.get("/v1/alerts/e")[1]["acknowledgement"] is None


@pytest.mark.parametrize(
    ("query", "named"),
    [
        ("status=asleep", "pending, firing, resolved"),
        ("state=firing", "'state' is not known"),
        ("limit=0", f"1 to {MOST}"),
        (f"limit={MOST + 1}", f"1 to {MOST}"),
        ("limit=-1", "limit"),
        ("limit=", "limit"),
        ("limit=²", "limit"),
        ("limit=" + "9" * 5000, "limit"),
    ],
)
def test_what_is_wrong_is_said_by_its_name(desk: Desk, query: str, named: str) -> None:
    status, said = desk.get(f"/v1/alerts?{query}")
    assert status == 400
    assert named in said["detail"]
    assert desk.asked == []


def test_without_a_key_that_may_it_is_for_this_machine_alone() -> None:
    for path in ("/v1/alerts", "/v1/alerts/f"):
        status, said = Desk(client="203.0.113.9").get(path)
        assert status == 403
        assert "alerts = true" in said["detail"]
        assert Desk().get(path, headers={"Origin": "https://evil.example"})[0] == 403


@pytest.mark.parametrize(
    ("secret", "expected"), [("right", 200), ("other", 403), ("wrong", 401), ("", 401)]
)
def test_with_one_it_takes_such_a_key(secret: str, expected: int) -> None:
    desk = Desk(keys=True, client="203.0.113.9")
    headers = {"Authorization": f"Bearer {secret}"}
    assert desk.get("/v1/alerts", headers=headers)[0] == expected


def test_nothing_can_be_written_here(desk: Desk) -> None:
    assert desk.http.post("/v1/alerts", json={}).status_code == 405
    assert desk.http.delete("/v1/alerts/f").status_code == 405


def test_a_database_that_does_not_answer_is_said_with_when_to_come_again(desk: Desk) -> None:
    desk.fault = StoreError("locked")
    said = desk.http.get("/v1/alerts")
    assert (said.status_code, said.headers["Retry-After"]) == (503, "5")
