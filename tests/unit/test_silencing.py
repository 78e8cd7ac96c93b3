"""``/v1/silences`` and ``/v1/acknowledgements`` over HTTP: who may, what is taken, what is said."""

from __future__ import annotations

import json
from datetime import datetime, timedelta
from typing import Any

import pytest
from harness.alerts import NOW, an_alert
from starlette.applications import Starlette
from starlette.testclient import TestClient

from monitor.clock import ManualClock
from monitor.errors import StoreError
from monitor.push.admission import Admission
from monitor.push.keys import ApiKey, Keyring
from monitor.silencing import silencing_routes
from monitor.store.memory import MemoryDatabase
from monitor.store.muting.base import Muted
from monitor.store.muting.memory import MemoryMuting

KEY = {"Authorization": "Bearer right"}
SILENCE: dict[str, Any] = {
    "matchers": [{"name": "topic", "value": "Energy.*", "isRegex": True}],
    "endsAt": "2026-05-04T14:00:00Z",
    "createdBy": "ann",
    "comment": "pipeline works",
}
TAKEN: dict[str, Any] = {"alertID": "a", "owner": "ben", "until": "2026-05-04T14:00:00Z"}


class Desk:
    def __init__(self, *, keys: bool = False, client: str = "127.0.0.1") -> None:
        self.clock = ManualClock(NOW)
        database = MemoryDatabase()
        database.alerts["a"] = an_alert("a")
        self.muting = MemoryMuting(database)
        ring = Keyring([ApiKey("desk", "right"), ApiKey("feed", "other")] if keys else [])
        may = frozenset({"desk"} if keys else ())
        routes = silencing_routes(self.muting, Admission(ring, may, "silences"), self.clock.now)
        self.http = TestClient(Starlette(routes=routes), client=(client, 5000))

    def post(self, path: str, value: object, **more: Any) -> tuple[int, Any]:
        said = self.http.post(path, json=value, **more)
        return said.status_code, said.json()


@pytest.fixture
def desk() -> Desk:
    return Desk()


def test_a_silence_is_added_listed_shown_and_ended(desk: Desk) -> None:
    status, said = desk.post("/v1/silences", SILENCE)
    assert status == 201
    place = f"/v1/silences/{said['silenceID']}"
    (listed,) = desk.http.get("/v1/silences").json()
    assert listed == desk.http.get(place).json()
    assert listed["status"] == {"state": "active"}
    assert listed["startsAt"] == "2026-05-04T12:00:00Z"
    expected = {"name": "topic", "value": "Energy.*", "isRegex": True, "isEqual": True}
    assert listed["matchers"] == [expected]
    assert desk.http.delete(place).status_code == 200
    assert desk.http.get("/v1/silences").json() == []
    assert desk.http.delete(place).status_code == desk.http.get(place).status_code == 404


def test_a_window_that_begins_later_is_pending(desk: Desk) -> None:
    desk.post("/v1/silences", {**SILENCE, "startsAt": "2026-05-04T13:00:00Z"})
    assert desk.http.get("/v1/silences").json()[0]["status"] == {"state": "pending"}


def test_an_alert_is_acknowledged_with_owner_timer_and_note(desk: Desk) -> None:
    status, said = desk.post("/v1/acknowledgements", {**TAKEN, "note": "calls the desk"})
    assert status == 201
    assert said == desk.http.get("/v1/acknowledgements").json()[0]
    assert (said["owner"], said["note"], said["until"]) == (
        "ben",
        "calls the desk",
        "2026-05-04T14:00:00Z",
    )
    assert desk.http.delete("/v1/acknowledgements/a").status_code == 200
    assert desk.http.delete("/v1/acknowledgements/a").status_code == 404


def test_an_alert_that_is_not_there_can_not_be_acknowledged(desk: Desk) -> None:
    status, said = desk.post("/v1/acknowledgements", {**TAKEN, "alertID": "b"})
    assert (status, said["detail"]) == (404, "there is no such alert, or it has ended")


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"matchers": []}, "matchers"),
        ({"matchers": [{"name": "a b", "value": "x"}]}, "not the name of a label"),
        ({"matchers": [{"name": "a", "value": "[", "isRegex": True}]}, "regular expression"),
        ({"matchers": [{"name": "a", "value": 1}]}, "texts"),
        ({"matchers": [{"name": "a", "value": "x", "isEqual": "no"}]}, "true or false"),
        ({"matchers": ["a=b"]}, "matchers: write"),
        ({"endsAt": "2026-05-04T12:00:00Z"}, "endsAt: expected a time after 2026-05-04T12:00:00Z"),
        ({"endsAt": "2036-05-04T12:00:00Z"}, "within a year"),
        ({"endsAt": "tomorrow"}, "a time with its zone"),
        ({"endsAt": "2026-05-04T14:00:00"}, "a time with its zone"),
        ({"endsAt": None}, "a time with its zone"),
        ({"createdBy": " "}, "createdBy"),
        ({"comment": "x" * 1001}, "comment"),
        ({"comment": "a\0b"}, "comment"),
        ({"owner": "x"}, "'owner' is not known"),
    ],
)
def test_what_is_wrong_is_said_by_its_name(desk: Desk, change: dict[str, Any], named: str) -> None:
    status, said = desk.post("/v1/silences", {**SILENCE, **change})
    assert status == 400
    assert named in said["detail"]
    assert desk.muting.muted(NOW) == Muted()


def test_half_a_character_is_refused(desk: Desk) -> None:
    body = json.dumps({**SILENCE, "comment": "\ud800"}).encode()
    assert desk.http.post("/v1/silences", content=body).status_code == 400


@pytest.mark.parametrize("body", [b"", b"[]", b"\xff", b"[" * 9999])
def test_a_body_that_is_no_object_is_refused(desk: Desk, body: bytes) -> None:
    assert desk.http.post("/v1/silences", content=body).status_code == 400


def test_a_body_without_end_is_refused(desk: Desk) -> None:
    assert desk.http.post("/v1/silences", content=b"x" * 70_000).status_code == 413


def test_without_a_key_this_machine_alone_may_and_no_page_in_its_browser() -> None:
    far = Desk(client="10.1.2.3")
    assert far.post("/v1/silences", SILENCE)[0] == 403
    assert far.http.get("/v1/silences").status_code == 403
    near = Desk()
    evil = {"Origin": "https://evil.example"}
    assert near.post("/v1/silences", SILENCE, headers=evil)[0] == 403


def test_with_keys_only_those_that_may_do() -> None:
    desk = Desk(keys=True, client="10.1.2.3")
    assert desk.post("/v1/silences", SILENCE, headers=KEY)[0] == 201
    assert desk.http.get("/v1/silences", headers=KEY).status_code == 200
    assert desk.post("/v1/silences", SILENCE)[0] == 401
    assert desk.post("/v1/silences", SILENCE, headers={"Authorization": "Bearer no"})[0] == 401
    status, said = desk.post("/v1/silences", SILENCE, headers={"Authorization": "Bearer other"})
    assert status == 403
    assert "silences = true" in said["detail"]
    assert Desk(keys=True).post("/v1/silences", SILENCE)[0] == 401  # this machine needs one, too


def test_a_database_that_does_not_answer_is_for_later(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(_now: datetime) -> Muted:
        raise StoreError("disk /dev/sda is gone")

    monkeypatch.setattr(desk.muting, "muted", broken)
    said = desk.http.get("/v1/silences")
    assert said.status_code == 503
    assert "sda" not in said.text


def test_what_is_over_is_listed_no_more(desk: Desk) -> None:
    desk.post("/v1/silences", SILENCE)
    desk.post("/v1/acknowledgements", TAKEN)
    desk.clock.advance(timedelta(hours=2).total_seconds())
    assert desk.http.get("/v1/silences").json() == []
    assert desk.http.get("/v1/acknowledgements").json() == []
