"""The documents of a receipt held against Kafka: records altered, gone, elsewhere, out of reach."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from harness.flow import Flow, judge
from harness.receipts import flow_of

from monitor.errors import SourceError
from monitor.events import TOPICS, Kind, Origin, Partition
from monitor.receipt.base import Receipt, read_receipt
from monitor.receipt.check import Audit, Check, Outcome
from monitor.receipt.records import Reread, reread
from monitor.receipt.rescore import rescored
from monitor.score.memory import MemoryScorer
from monitor.source.base import Archive, Found
from monitor.source.contract import Limits
from monitor.source.decode import Decoder, pseudonymiser
from monitor.source.memory import MemoryArchive, MemoryLog
from monitor.store.receipts.memory import MemoryReceipts

NEWS = Partition("news", 0)


@pytest.fixture(scope="module")
def flow() -> Flow:
    return flow_of(1)


@pytest.fixture
def receipt(flow: Flow) -> Receipt:
    return receipt_of(flow, f"topic:{TOPICS[5]}")


@pytest.fixture
def log(flow: Flow) -> MemoryLog:
    """A log with the same records, which a test may change."""
    copied = MemoryLog(["news"], 1)
    copied._segments[NEWS].records = list(flow.log.records("news"))
    return copied


def receipt_of(flow: Flow, key: str) -> Receipt:
    alert = next(a for a in flow.database.alerts.values() if a.fired_at and a.key == key)
    return read_receipt(flow.database.receipts[alert.id].body)


def looked(receipt: Receipt, archive: Archive, key: bytes = b"test") -> Reread:
    decoder = Decoder(Limits(), {"news": Kind.NEWS}, pseudonymiser(key))
    return reread(receipt, archive, decoder.decode)


def checked(receipt: Receipt, log: MemoryLog) -> Check:
    return looked(receipt, MemoryArchive(log)).check


def alter(log: MemoryLog, at: int, change: Callable[[dict[str, Any]], Mapping[str, Any]]) -> None:
    """Change the message at an offset."""
    segment = log._segments[NEWS]
    record = segment.records[at - segment.start]
    message = json.loads(record.value or b"")
    value = json.dumps({**message, **change(message)}).encode()
    segment.records[at - segment.start] = record._replace(value=value)


def test_records_that_are_what_they_were_are_the_same(receipt: Receipt, log: MemoryLog) -> None:
    found = looked(receipt, MemoryArchive(log))
    listed = len(receipt.documents)
    assert Outcome.SAME is found.check.outcome
    assert f"{listed} of {listed} records read again" in found.check.said
    assert {entry.id for entry in receipt.documents} == found.texts.keys()
    assert any(entry.author for entry in receipt.documents), "authors are compared as their hashes"


@pytest.mark.parametrize(
    ("change", "how"),
    [
        (lambda m: {"text": m["text"] + " indeed"}, "another text in Kafka"),
        (lambda _: {"source": "forged-wire"}, "then, forged-wire in Kafka"),
        (lambda _: {"author": "somebody else"}, "author "),
        (lambda _: {"published_at": "2026-03-02T00:00:00Z"}, "2026-03-02 00:00:00+00:00 in Kafka"),
        (lambda _: {"id": "d-other"}, "holds d-other now"),
        (lambda _: {"source": None}, "is no document now (missing_field: source"),
    ],
)
def test_an_altered_record_is_named_and_so_is_what_was_altered(
    receipt: Receipt,
    log: MemoryLog,
    change: Callable[[dict[str, Any]], Mapping[str, Any]],
    how: str,
) -> None:
    entry = receipt.documents[-1]
    alter(log, entry.kafka[2], change)
    found = looked(receipt, MemoryArchive(log))
    assert Outcome.DIFFERS is found.check.outcome
    assert found.check.said.startswith(f"{entry.id}")
    assert how in found.check.said
    assert ";" not in found.check.said, "nothing else is"


def test_what_lies_before_the_partitions_beginning_is_counted_and_no_difference(
    receipt: Receipt, log: MemoryLog
) -> None:
    offsets = [entry.kafka[2] for entry in receipt.documents]
    middle = sorted(offsets)[len(offsets) // 2]
    log.trim(NEWS, middle)
    gone = [entry.id for entry in receipt.documents if entry.kafka[2] < middle]
    found = looked(receipt, MemoryArchive(log))
    assert Outcome.GONE is found.check.outcome
    assert f"{len(offsets) - len(gone)} of {len(offsets)} records read again" in found.check.said
    assert f"{len(gone)} lie before news[0], which begins at {middle}: {gone[0]}" in (
        found.check.said
    )
    assert not found.texts.keys() & set(gone)
    assert Outcome.SAME is Audit("a", (found.check,)).outcome

    alter(log, receipt.documents[-1].kafka[2], lambda _: {"source": "forged-wire"})
    both = checked(receipt, log)
    assert Outcome.DIFFERS is both.outcome
    assert f"{len(gone)} lie before news[0]" in both.said

    log.trim(NEWS, 10**6)
    everything = checked(receipt, log)
    assert (Outcome.GONE, True) == (everything.outcome, everything.said.startswith("0 of "))


def test_a_topic_with_more_partitions_still_holds_what_it_held(
    receipt: Receipt, flow: Flow
) -> None:
    wider = MemoryLog(["news"], 12)
    wider._segments[NEWS].records = list(flow.log.records("news"))
    assert Outcome.SAME is checked(receipt, wider).outcome


def test_a_topic_that_was_created_anew_differs(receipt: Receipt, log: MemoryLog) -> None:
    log.recreate("news")
    found = checked(receipt, log)
    first = receipt.documents[0]
    assert Outcome.DIFFERS is found.outcome
    assert f"{first.id} is not at news[0] {first.kafka[2]}: the log ends at 0" in found.said

    moved = first.model_copy(update={"kafka": ("news", 7, first.kafka[2])})
    elsewhere = receipt.model_copy(update={"documents": (moved,)})
    assert "there is no such partition" in checked(elsewhere, log).said


def test_another_key_of_the_authors_hashes_is_suspected_where_every_author_differs(
    receipt: Receipt, log: MemoryLog
) -> None:
    found = looked(receipt, MemoryArchive(log), key=b"another").check
    assert Outcome.DIFFERS is found.outcome
    assert found.said.endswith("every author is another: is intake.author_key that of then?")


class Away:
    """A broker that does not answer."""

    def find(self, places: Collection[Origin]) -> Found:
        raise SourceError("Reading records again at 10.0.0.1:9092 failed: no route. Check that …")

    def close(self) -> None:
        pass


def test_a_broker_that_is_away_leaves_it_open_and_says_what_to_do(receipt: Receipt) -> None:
    found = looked(receipt, Away()).check
    assert Outcome.OPEN is found.outcome
    assert "10.0.0.1:9092 failed: no route. Check that" in found.said
    assert Outcome.OPEN is Audit("a", (found,)).outcome


def test_a_receipt_that_lists_nothing_asks_for_nothing(receipt: Receipt) -> None:
    empty = receipt.model_copy(update={"documents": ()})
    assert Outcome.CHANGED is looked(empty, Away()).check.outcome


# What is judged again where the text is not stored any more.


@pytest.fixture
def forgotten(flow: Flow) -> Iterator[MemoryReceipts]:
    """The documents are deleted, but for one whose text was erased."""
    kept = flow.database.documents
    last = max(kept.values(), key=lambda scored: scored.document.published_at)
    blank = last._replace(document=last.document._replace(title="", text=""))
    flow.database.documents = {last.document.id: blank}
    yield MemoryReceipts(flow.database)
    flow.database.documents = kept


def test_texts_that_are_not_stored_any_more_are_judged_as_they_lie_in_kafka(
    receipt: Receipt, log: MemoryLog, forgotten: MemoryReceipts
) -> None:
    listed = len(receipt.documents)
    texts = looked(receipt, MemoryArchive(log)).texts
    again = rescored(receipt, forgotten, MemoryScorer(judge), texts)
    assert Outcome.SAME is again.outcome
    assert f"{listed} of {listed} texts judged again" in again.said
    assert f"{listed} of them as they lie in Kafka" in again.said
    assert f"0 of {listed} texts" in rescored(receipt, forgotten, MemoryScorer(judge)).said

    contrary = MemoryScorer(lambda text: ((judge(text)[0] + 1) % 3, 5))
    assert Outcome.DIFFERS is rescored(receipt, forgotten, contrary, texts).outcome


def test_a_text_that_is_another_one_in_kafka_is_not_judged(
    receipt: Receipt, log: MemoryLog, forgotten: MemoryReceipts
) -> None:
    alter(log, receipt.documents[0].kafka[2], lambda _: {"text": "+ 5 forged"})
    texts = looked(receipt, MemoryArchive(log)).texts
    assert receipt.documents[0].id not in texts
    listed = len(receipt.documents)
    again = rescored(receipt, forgotten, MemoryScorer(judge), texts)
    assert f"{listed - 1} of {listed} texts judged again" in again.said


def test_of_a_company_only_stored_verdicts_on_the_whole_text_are_compared(
    flow: Flow, log: MemoryLog, forgotten: MemoryReceipts
) -> None:
    receipt = receipt_of(flow, "company:XX:NGT")
    texts = looked(receipt, MemoryArchive(log)).texts
    assert len(texts) == len(receipt.documents)
    stored = sum(entry.id in flow.database.documents for entry in receipt.documents)
    said = rescored(receipt, forgotten, MemoryScorer(judge), texts).said
    assert f"{stored} of {len(receipt.documents)} texts judged again" in said


def test_times_are_compared_to_the_millisecond(receipt: Receipt, log: MemoryLog) -> None:
    entry = receipt.documents[-1]
    at = datetime.fromtimestamp(entry.published_ms / 1000, UTC)

    def later(by: timedelta) -> Callable[[dict[str, Any]], Mapping[str, Any]]:
        return lambda _: {"published_at": (at + by).isoformat()}

    alter(log, entry.kafka[2], later(timedelta(microseconds=200)))
    assert Outcome.SAME is checked(receipt, log).outcome
    alter(log, entry.kafka[2], later(timedelta(milliseconds=1)))
    assert Outcome.DIFFERS is checked(receipt, log).outcome
