"""The rows of the outbox: what goes out on Kafka and to people."""

from __future__ import annotations

import base64
import json
from dataclasses import replace
from typing import Any

import pytest
from harness.samples import MONDAY, alert, dead_letter, moment, scored

from monitor.events import TOPICS, AlertStatus, Setting
from monitor.outgoing import ROW, OutTopics, outgoing
from monitor.relay import messages_of
from monitor.store.base import RECEIVERS, Outgoing

NAMES = OutTopics("out-scored", "out-alerts", "out-dead")


def lines(row: Outgoing) -> list[dict[str, Any]]:
    """The messages of a row."""
    return [json.loads(line) for line in row.payload.splitlines()]


def test_a_batch_of_nothing_sends_nothing() -> None:
    assert [] == list(outgoing(NAMES, [], [], []))


def test_scored_documents_go_out_in_one_row_keyed_by_their_ids() -> None:
    (row,) = outgoing(NAMES, [scored(1), scored(2)], [], [])
    assert "out-scored" == row.destination
    assert ["d1", "d2"] == [m["key"] for m in lines(row)]
    assert {
        "id": "d1",
        "kind": "news",
        "source": "northgate-wire",
        "published_at": moment(MONDAY).isoformat(),
        "title": "Orders fell",
        "url": None,
        "tickers": ["NGT"],
        "sentiment": "negative",
        "probabilities": {"negative": 0.8, "neutral": 0.15, "positive": 0.05},
        "topic": TOPICS[5],
        "topic_confidence": 0.9,
        "story": "d1",
        "copy_of": None,
        "mentions": [],
        "model_version": "memory-1",
        "scored_at": moment(MONDAY + 2).isoformat(),
        "origin": {"topic": "news", "partition": 0, "offset": 1},
    } == lines(row)[0]["value"]


def test_many_documents_go_out_in_rows_of_bounded_length_in_their_order() -> None:
    batch = [scored(n) for n in range(2 * ROW + 1)]
    rows = list(outgoing(NAMES, batch, [], []))
    assert [ROW, ROW, 1] == [len(lines(row)) for row in rows]
    assert [s.document.id for s in batch] == [m["key"] for row in rows for m in lines(row)]


def test_probabilities_have_five_digits() -> None:
    (row,) = outgoing(NAMES, [scored(sentiment=(1 / 3, 0.123455, 0.5432149999))], [], [])
    assert [0.33333, 0.12346, 0.54321] == list(lines(row)[0]["value"]["probabilities"].values())


def test_a_dead_letter_that_quotes_a_lone_surrogate_still_goes_out() -> None:
    letter = replace(dead_letter(), detail="quotes \ud800")
    (row,) = outgoing(NAMES, [], [letter, dead_letter()], [])
    assert ["quotes \ud800", dead_letter().detail] == [m["value"]["detail"] for m in lines(row)]


@pytest.mark.parametrize("identifier", ["plain", 'quo"te', "back\\slash", "naïve 金融", "}}"])
def test_what_a_row_holds_is_what_kafka_gets(identifier: str) -> None:
    document = scored(1).document._replace(id=identifier, title='{"value":{}}')
    batch = [scored(1)._replace(document=document), scored(2)]
    rows = list(outgoing(NAMES, batch, [dead_letter()], []))
    for row in rows:
        kept = [(m["key"], m["value"]) for m in lines(row)]
        assert kept == [
            (None if key is None else key.decode(), json.loads(value))
            for key, value in messages_of(row.payload)
        ]


def test_a_dead_letter_goes_out_with_its_original_bytes() -> None:
    original = bytes(range(256))
    (row,) = outgoing(NAMES, [], [dead_letter(original), dead_letter(None)], [])
    assert "out-dead" == row.destination
    first, second = lines(row)
    assert first["key"] is None
    assert original == base64.b64decode(first["value"]["value_base64"])
    assert second["value"]["value_base64"] is None
    assert ("not_utf8", "news", 2, 7) == tuple(
        first["value"][name] for name in ("reason", "topic", "partition", "offset")
    )


def test_every_change_of_an_alert_goes_to_people_and_to_kafka() -> None:
    changes = [alert(), alert(AlertStatus.RESOLVED)]
    rows = list(outgoing(NAMES, [], [], changes))
    assert [RECEIVERS, "out-alerts"] * 2 == [r.destination for r in rows]
    for person, kafka in zip(rows[::2], rows[1::2], strict=True):
        (message,) = lines(kafka)
        assert json.loads(person.payload) == message["value"]
        assert alert().id == message["key"]
    assert ["firing", "resolved"] == [json.loads(r.payload)["status"] for r in rows[::2]]


def test_an_alert_that_never_fired_is_nobodys_business() -> None:
    faded = [alert(AlertStatus.PENDING, fired=False), alert(AlertStatus.RESOLVED, fired=False)]
    assert [] == list(outgoing(NAMES, [], [], faded))


def test_what_pages_nobody_goes_to_those_who_have_a_digest_and_not_to_kafka() -> None:
    pending = alert(AlertStatus.PENDING, fired=False)
    (row,) = outgoing(NAMES, [], [], [pending], unpaged=True)
    assert (RECEIVERS, "pending") == (row.destination, json.loads(row.payload)["status"])
    expected = replace(alert(), setting=Setting(expected="results"))
    assert ["out-alerts"] == [r.destination for r in outgoing(NAMES, [], [], [expected])]
    both = list(outgoing(NAMES, [], [], [expected], unpaged=True))
    assert [RECEIVERS, "out-alerts"] == [r.destination for r in both]
