from __future__ import annotations

import json
import math
from dataclasses import fields, replace
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from monitor.alert.codec import alert_from_json, alert_to_json, compact_json
from monitor.alert.payload import NOT_ENDED, fingerprint, webhook_body
from monitor.alert.schema import _OPTIONAL, webhook_schema
from monitor.events import (
    About,
    Alert,
    AlertStatus,
    Evidence,
    Explained,
    Setting,
    Severity,
    Subject,
    Term,
    Waterfall,
)

DOCS = Path(__file__).parents[2] / "docs"
START = datetime(2023, 3, 10, 8, tzinfo=UTC)

FIRING = Alert(
    id="9d1f0c8e-0000-5000-8000-000000000001",
    key="topic:Energy | Oil",
    detector="share",
    detector_version="share-1",
    status=AlertStatus.FIRING,
    severity=Severity.CRITICAL,
    started_at=START,
    fired_at=START + timedelta(minutes=25),
    resolved_at=None,
    value=0.4375,
    baseline=0.1,
    evalue=123456789.0,
    threshold=1000.0,
    documents=32,
    negative=14,
    window_start=START,
    window_end=START + timedelta(minutes=25),
    summary="Energy | Oil: 44 % negative, expected 10 %",
    model_version="minilm-lora-1",
    appended_at=datetime(2026, 5, 4, 12, 0, 0, 250_000, tzinfo=UTC),
    updated_at=datetime(2026, 5, 4, 12, 0, 1, tzinfo=UTC),
    evidence=(
        Evidence(
            "d1",
            START,
            "wire",
            'Refinery "down"\nagain',
            "https://e.example/1",
            0.98,
            "Energy | Oil",
        ),
        Evidence("d2", START, "blog", "Pipeline leak", None, 0.91, "Energy | Oil", "An excerpt"),
    ),
    waterfall=Waterfall(
        published_at=START + timedelta(minutes=24),
        appended_at=datetime(2026, 5, 4, 12, 0, 0, tzinfo=UTC),
        ingested_at=datetime(2026, 5, 4, 12, 0, 0, 125_000, tzinfo=UTC),
        scored_at=datetime(2026, 5, 4, 12, 0, 0, 200_000, tzinfo=UTC),
        fired_at=datetime(2026, 5, 4, 12, 0, 31, 200_000, tzinfo=UTC),
    ),
)
ABOUT = About(
    40,
    (Term("halts production", 31, 5.25), Term("blast", 12, 3.1)),
    (Subject("company:XX:HRB", "Harbour Oil", 33),),
    (Subject("topic:Energy | Oil", "Energy | Oil", 38), Subject("topic:Macro", "Macro", 2)),
)
RESOLVED = replace(
    FIRING, status=AlertStatus.RESOLVED, resolved_at=START + timedelta(hours=2), detector="volume"
)

_moments = st.datetimes(
    min_value=datetime(1990, 1, 1),  # noqa: DTZ001 - hypothesis adds the zone
    max_value=datetime(2100, 1, 1),  # noqa: DTZ001
    timezones=st.sampled_from([UTC, timezone(timedelta(hours=-5)), timezone(timedelta(hours=8))]),
)
_numbers = st.floats(allow_nan=False)
_shares = st.floats(0, 1)
_texts = st.text(st.characters())  # lone surrogates as well
_evidence = st.builds(
    Evidence, _texts, _moments, _texts, _texts, st.none() | _texts, _numbers, _texts, _texts
)
_subjects = st.lists(st.builds(Subject, _texts, _texts, st.integers()), max_size=2).map(tuple)
_alerts = st.builds(
    Alert,
    id=_texts,
    key=_texts,
    detector=_texts,
    detector_version=_texts,
    status=st.sampled_from(AlertStatus),
    severity=st.sampled_from(Severity),
    started_at=_moments,
    fired_at=st.none() | _moments,
    resolved_at=st.none() | _moments,
    value=_numbers,
    baseline=_numbers,
    evalue=_numbers,
    threshold=_numbers,
    documents=st.integers(),
    negative=st.integers(min_value=0),
    window_start=_moments,
    window_end=_moments,
    summary=_texts,
    model_version=_texts,
    appended_at=_moments,
    updated_at=_moments,
    evidence=st.lists(_evidence, max_size=2).map(tuple),
    setting=st.builds(
        Setting,
        insufficient=_texts,
        expected=_texts,
        under=_texts,
        explained=st.lists(st.builds(Explained, _texts, _numbers), max_size=2).map(tuple),
        corrected=st.none() | st.tuples(_shares, _shares, _shares),
        corrected_baseline=st.none() | _shares,
        rate=st.none() | st.tuples(_shares, _shares),
    ),
    waterfall=st.none()
    | st.builds(Waterfall, _moments, _moments, st.none() | _moments, _moments, _moments),
    about=st.builds(
        About,
        st.integers(min_value=0),
        st.lists(st.builds(Term, _texts, st.integers(), _numbers), max_size=2).map(tuple),
        _subjects,
        _subjects,
    ),
)


@given(_alerts)
def test_an_alert_survives_its_json(alert: Alert) -> None:
    payload = alert_to_json(alert)
    assert alert_from_json(payload) == alert
    assert b"\n" not in payload


@settings(deadline=None)
@given(st.lists(_alerts, min_size=1, max_size=3), _texts)
def test_every_body_keeps_to_the_schema(alerts: list[Alert], key: str) -> None:
    counted = [replace(alert, documents=abs(alert.documents)) for alert in alerts]
    jsonschema.validate(json.loads(webhook_body("ops", key, counted)), webhook_schema())


def test_not_a_number_survives_as_well() -> None:
    assert math.isnan(alert_from_json(alert_to_json(replace(FIRING, value=math.nan))).value)


def test_the_json_of_an_alert_has_exactly_its_fields() -> None:
    written = json.loads(alert_to_json(FIRING))
    assert list(written) == [field.name for field in fields(Alert)]
    assert list(written["waterfall"]) == [field.name for field in fields(Waterfall)]
    assert list(written["setting"]) == [field.name for field in fields(Setting)]
    assert list(written["about"]) == [field.name for field in fields(About)]
    assert list(written["evidence"][0]) == [field.name for field in fields(Evidence)]


def _changed(**changes: Any) -> bytes:
    value = {**json.loads(alert_to_json(FIRING)), **changes}
    return json.dumps({k: v for k, v in value.items() if v != "absent"}).encode()


@pytest.mark.parametrize(
    ("payload", "match"),
    [
        (b"[]", "expected an object, got list"),
        (_changed(surprise=1), "unknown fields surprise"),
        (_changed(key="absent"), "missing fields key"),
        (_changed(key=3), "alert.key: expected a string, got int"),
        (_changed(documents=1.5), "alert.documents: expected an integer, got float"),
        (_changed(documents=True), "alert.documents: expected an integer, got bool"),
        (_changed(value="high"), "alert.value: expected a number, got str"),
        (_changed(value=None), "alert.value: expected a number, got NoneType"),
        (_changed(started_at="2023-03-10T08:00:00"), "alert.started_at: .*no time zone"),
        (_changed(started_at="yesterday"), "alert.started_at: Invalid isoformat"),
        (_changed(started_at=None), "alert.started_at: expected a string"),
        (_changed(status="asleep"), "asleep"),
        (_changed(severity="fatal"), "fatal"),
        (_changed(evidence={}), "alert.evidence: expected a list"),
        (_changed(evidence=[{"title": "x"}]), "evidence: missing fields document_id"),
        (_changed(waterfall={"scored_at": "now"}), "waterfall: missing fields appended_at"),
        (b"{", "JSON|Expecting"),
        (b"\xff", "utf-8"),
    ],
)
def test_a_broken_alert_is_named_by_its_field(payload: bytes, match: str) -> None:
    with pytest.raises(ValueError, match=match):
        alert_from_json(payload)


def test_evidence_of_an_older_version_gets_the_defaults() -> None:
    value = json.loads(alert_to_json(FIRING))
    for item in value["evidence"]:
        del item["topic"], item["excerpt"]
    read = alert_from_json(json.dumps(value).encode())
    assert [(item.topic, item.excerpt) for item in read.evidence] == [("", ""), ("", "")]


def test_an_alert_of_an_older_version_has_no_waterfall() -> None:
    assert alert_from_json(_changed(waterfall="absent")).waterfall is None


def test_an_alert_of_an_older_version_is_about_nothing_that_is_known() -> None:
    assert alert_from_json(_changed(about="absent")).about == About()


def test_the_waterfall_says_which_time_is_the_documents_and_how_long_each_stop_took() -> None:
    (alert,) = json.loads(webhook_body("ops", FIRING.key, [FIRING]))["alerts"]
    published, *stops = alert["annotations"]["waterfall"].split("\n")
    assert published == "published 2023-03-10T08:24:00Z (event time)"
    assert stops[1:] == [
        "ingested 2026-05-04T12:00:00.125000Z (+0.125 s)",
        "scored 2026-05-04T12:00:00.200000Z (+0.075 s)",
        "fired 2026-05-04T12:00:31.200000Z (+31.000 s)",
    ]
    assert "2026-05-04T12:00:31.200000Z" == json.loads(alert["annotations"]["waterfall_json"]).get(
        "fired_at"
    )


def test_a_stop_that_nobody_noted_is_left_out() -> None:
    assert FIRING.waterfall is not None
    old = replace(FIRING, waterfall=replace(FIRING.waterfall, ingested_at=None))
    (alert,) = json.loads(webhook_body("ops", FIRING.key, [old]))["alerts"]
    names = [line.split()[0] for line in alert["annotations"]["waterfall"].split("\n")]
    assert names == ["published", "in", "scored", "fired"]


def test_a_time_without_a_zone_is_not_written() -> None:
    with pytest.raises(ValueError, match="no time zone"):
        alert_to_json(replace(FIRING, updated_at=datetime(2026, 5, 4)))  # noqa: DTZ001


def test_json_is_compact_and_readable_and_survives_lone_surrogates() -> None:
    assert compact_json({"a": ["利", 1]}) == '{"a":["利",1]}'.encode()
    assert compact_json("\ud800") == b'"\\ud800"'
    with pytest.raises(ValueError, match="JSON compliant"):
        compact_json(math.nan)


def test_a_firing_body_reads_as_alertmanager_would_write_it() -> None:
    body = json.loads(webhook_body("ops", FIRING.key, [FIRING], "http://localhost:8501"))
    (alert,) = body.pop("alerts")
    labels = {
        "alertname": "NegativeShareSpike",
        "severity": "critical",
        "key": "topic:Energy | Oil",
        "topic": "Energy | Oil",
        "detector": "share",
        "alert_id": FIRING.id,
    }
    assert body == {
        "version": "4",
        "groupKey": '{}:{topic="Energy | Oil"}',
        "truncatedAlerts": 0,
        "status": "firing",
        "receiver": "ops",
        "groupLabels": {"topic": "Energy | Oil"},
        "commonLabels": labels,
        "commonAnnotations": alert["annotations"],
        "externalURL": "http://localhost:8501",
    }
    assert (alert["status"], alert["labels"]) == ("firing", labels)
    assert (alert["startsAt"], alert["endsAt"]) == ("2023-03-10T08:25:00Z", NOT_ENDED)
    assert alert["generatorURL"] == f"http://localhost:8501?alert={FIRING.id}"
    annotations = alert["annotations"]
    assert annotations["value"] == "0.4375"
    assert annotations["evalue"] == "1.23457e+08"
    assert annotations["window"] == "2023-03-10T08:00:00Z/2023-03-10T08:25:00Z"
    assert annotations["appended_at"] == "2026-05-04T12:00:00.250000Z"
    assert "resolved_at" not in annotations
    assert annotations["evidence"].startswith("2023-03-10T08:00:00Z wire: Refinery")
    assert [item["document_id"] for item in json.loads(annotations["evidence_json"])] == [
        "d1",
        "d2",
    ]


def test_a_resolved_alert_says_when_it_fired_and_when_it_ended() -> None:
    body = json.loads(webhook_body("ops", RESOLVED.key, [RESOLVED]))
    (alert,) = body["alerts"]
    assert (body["status"], alert["status"]) == ("resolved", "resolved")
    assert (alert["startsAt"], alert["endsAt"]) == ("2023-03-10T08:25:00Z", "2023-03-10T10:00:00Z")
    assert "Fired at 2023-03-10T08:25:00Z." in alert["annotations"]["description"]
    assert "Resolved at 2023-03-10T10:00:00Z." in alert["annotations"]["description"]


def test_a_group_fires_while_one_of_its_alerts_does_and_shares_what_is_common() -> None:
    body = json.loads(webhook_body("ops", FIRING.key, [RESOLVED, FIRING]))
    assert body["status"] == "firing"
    assert [alert["status"] for alert in body["alerts"]] == ["resolved", "firing"]
    assert "detector" not in body["commonLabels"]
    assert body["commonLabels"]["topic"] == "Energy | Oil"


def test_the_group_key_escapes_quotes_as_alertmanager_does() -> None:
    body = json.loads(webhook_body("ops", 'entity:A "B" \\', [FIRING]))
    assert body["groupKey"] == '{}:{entity="A \\"B\\" \\\\"}'


def test_the_same_alerts_give_the_same_bytes() -> None:
    assert webhook_body("ops", "all", [FIRING]) == webhook_body("ops", "all", [FIRING])


@pytest.mark.parametrize("labels", [{}, {"a": ""}, {"topic": "利率", "key": "all"}])
def test_the_fingerprint_is_fnv_1a_over_sorted_names_and_values(labels: dict[str, str]) -> None:
    value = 0xCBF29CE484222325
    text = b"".join(k.encode() + b"\xff" + v.encode() + b"\xff" for k, v in sorted(labels.items()))
    for byte in text:
        value = ((value ^ byte) * 0x100000001B3) % 2**64
    assert f"{value:016x}" == fingerprint(labels)


def test_the_fingerprint_does_not_depend_on_the_order_of_the_labels() -> None:
    assert fingerprint({"a": "1", "b": "2"}) == fingerprint({"b": "2", "a": "1"})
    assert fingerprint({"a": "1", "b": "2"}) != fingerprint({"a": "12", "b": ""})


def test_the_exported_schema_is_the_one_in_the_code() -> None:
    exported = json.loads((DOCS / "webhook.schema.json").read_text())
    assert exported == webhook_schema()
    jsonschema.Draft202012Validator.check_schema(exported)


def test_every_annotation_is_explained_in_the_documentation() -> None:
    text = (DOCS / "webhook.md").read_text()
    setting = Setting(
        expected="results",
        explained=(Explained("all", 0.2),),
        corrected=(0.42, 0.31, 0.53),
        corrected_baseline=0.12,
    )
    everything = replace(RESOLVED, setting=setting, about=ABOUT, receipt="0" * 64)
    (alert,) = json.loads(webhook_body("ops", RESOLVED.key, [everything]))["alerts"]
    optional = {name for name in _OPTIONAL if not name.startswith("verdict")}
    assert optional <= set(alert["annotations"])
    for name in (*alert["annotations"], *alert["labels"]):
        assert f"`{name}`" in text, f"docs/webhook.md does not mention {name}"


def test_an_alert_tells_what_its_window_is_about() -> None:
    alert = replace(FIRING, about=ABOUT)
    body = json.loads(webhook_body("ops", alert.key, [alert]))
    jsonschema.validate(body, webhook_schema())
    told = body["alerts"][0]["annotations"]
    assert told["terms"] == "halts production, blast"
    assert told["companies"] == "Harbour Oil (33)"
    assert told["topics"] == "Energy | Oil (38), Macro (2)"
    assert json.loads(told["about_json"])["terms"][0] == {
        "text": "halts production",
        "voices": 31,
        "score": 5.25,
    }
    assert "Unusual are: halts production, blast." in told["description"]
    assert "Of 40 voices looked at speak of: Harbour Oil (33)." in told["description"]


def test_the_bounds_of_what_was_seen_are_in_its_unit() -> None:
    corrected = Setting(corrected=(0.42, 0.31, 0.53), corrected_baseline=0.12)
    share = replace(FIRING, setting=corrected)
    volume = replace(RESOLVED, value=64.0, baseline=8.0, setting=Setting(rate=(50.25, 80.5)))
    shown = json.loads(webhook_body("ops", "all", [share, volume]))["alerts"]
    assert [a["annotations"]["interval"] for a in shown] == ["0.31/0.53", "50.25/80.5"]
    assert "leaves 50.2 to 80.5 an hour" in shown[1]["annotations"]["description"]


def test_the_last_stop_is_the_message_itself() -> None:
    at = datetime(2026, 5, 4, 12, 1, 1, 200_000, tzinfo=UTC)
    (alert,) = json.loads(webhook_body("ops", FIRING.key, [FIRING], at=at))["alerts"]
    last = alert["annotations"]["waterfall"].split("\n")[-1]
    assert last == "this message 2026-05-04T12:01:01.200000Z (+30.000 s)"
    stops = json.loads(alert["annotations"]["waterfall_json"])
    assert stops["message_at"] == "2026-05-04T12:01:01.200000Z"


def test_a_digest_says_why_an_alert_paged_nobody_and_is_not_over_while_one_goes_on() -> None:
    pending = replace(
        FIRING,
        status=AlertStatus.PENDING,
        fired_at=None,
        setting=Setting(insufficient="3 of 10 independent voices"),
    )
    body = json.loads(webhook_body("ops", "digest", [pending]))
    jsonschema.validate(body, webhook_schema())
    assert body["status"] == body["alerts"][0]["status"] == "firing"
    reason = "insufficient evidence: 3 of 10 independent voices"
    assert body["alerts"][0]["annotations"]["not_sent"] == reason
    assert f"Not sent, {reason}." in body["alerts"][0]["annotations"]["description"]


def test_an_alert_tells_what_the_errors_of_the_model_leave_and_what_explains_it() -> None:
    setting = Setting(
        explained=(Explained("topic:Financials", 0.65), Explained("all", 0.2)),
        corrected=(0.42, 0.31, 0.53),
        corrected_baseline=0.12,
    )
    alert = replace(FIRING, key="company:US:BNK", setting=setting)
    body = json.loads(webhook_body("ops", alert.key, [alert]))
    jsonschema.validate(body, webhook_schema())
    told = body["alerts"][0]["annotations"]
    assert ("0.42/0.31/0.53", "0.12") == (told["corrected"], told["corrected_baseline"])
    assert "topic:Financials 0.65\nall 0.20" == told["explained"]
    assert "errors of the model: 42% (31% to 53%), expected 12%." in told["description"]
    assert "explains: Financials 65%, Whole stream 20%." in told["description"]
