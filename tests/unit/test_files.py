"""Recorded streams become messages in event order; nothing is dropped unseen."""

from __future__ import annotations

import json
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from monitor.clock import ManualClock
from monitor.errors import ConfigError, SourceError
from monitor.events import DeadLetter, Document, Kind, Reason
from monitor.source.contract import Limits
from monitor.source.decode import Decoder
from monitor.source.files import (
    CHUNK,
    FieldMap,
    ReplayProgress,
    load,
    message_of,
    normalised_time,
    replay,
)
from monitor.source.memory import MemoryLog, MemoryPublisher
from monitor.source.table import BadRow, Row, read_rows

NOON = datetime(2024, 5, 17, 12, tzinfo=UTC)
PLAIN = FieldMap()


class TimedPublisher:
    """Notes at which second of the clock which texts were published."""

    def __init__(self, clock: ManualClock, cost: float = 0.0) -> None:
        self.clock = clock
        self.cost = cost
        self.calls: list[tuple[float, list[str]]] = []
        self.topics: set[str] = set()

    def publish(self, topic: str, messages: Iterable[tuple[bytes | None, bytes]]) -> None:
        texts = [json.loads(value)["title"] for _, value in messages]
        self.calls.append((self.clock.monotonic(), texts))
        self.topics.add(topic)
        self.clock.advance(self.cost)

    def close(self) -> None:
        raise AssertionError("a replay does not own its publisher")


def jsonl(path: Path, *rows: object) -> Path:
    lines = (row if isinstance(row, str) else json.dumps(row) for row in rows)
    path.write_text("\n".join(lines) + "\n", "utf-8")
    return path


def row(offset: float, title: str, **more: Any) -> dict[str, Any]:
    at = NOON + timedelta(seconds=offset)
    return {"source": "example.org", "published_at": at.isoformat(), "title": title, **more}


def run(
    paths: list[Path], mapping: FieldMap = PLAIN, speed: float | None = None, cost: float = 0.0
) -> TimedPublisher:
    clock = ManualClock(NOON)
    publisher = TimedPublisher(clock, cost)
    replay(paths, mapping, publisher, "news", speed, clock, clock.advance)
    return publisher


def test_rows_are_mapped_to_the_contract_and_times_to_rfc_3339(tmp_path: Path) -> None:
    path = jsonl(
        tmp_path / "a.jsonl",
        {"ts": "2024-05-17 12:00:00+00:00", "body": "x", "src": 1, "ticker": "SHIP, DOCK", "n": 5},
    )
    mapping = FieldMap.parse("published_at=ts, text=body,tickers=ticker,source==example.org")
    (message,), unreadable, _ = load([path], mapping)

    assert json.loads(message.value) == {
        "published_at": "2024-05-17T12:00:00Z",
        "text": "x",
        "tickers": ["SHIP", "DOCK"],
        "source": "example.org",
    }
    assert unreadable == 0


@pytest.mark.parametrize("text", ["nonsense", "title", "title=", "title==", "colour=c", "=a"])
def test_a_mapping_that_means_nothing_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match="FIELD=COLUMN"):
        FieldMap.parse(text)


def test_a_column_that_no_row_has_is_refused_before_anything_is_published(tmp_path: Path) -> None:
    path = jsonl(tmp_path / "a.jsonl", row(0, "a"))

    with pytest.raises(ConfigError, match="descripton, which no row"):
        run([path], FieldMap.parse("text=descripton"))


@pytest.mark.parametrize(
    ("value", "moment"),
    [
        ("2024-05-17 12:00:00+00:00", NOON),
        ("2024-05-17T12:00:00Z", NOON),
        ("2024-05-17T14:00:00+0200", NOON),
        ("2024-05-17 12:00:00 UTC", NOON),
        (1715947200, NOON),
        ("1715947200.0", NOON),
        (1715947200000, NOON),
        ("1715947200500", NOON + timedelta(milliseconds=500)),
    ],
)
def test_the_times_that_exports_write_are_understood(value: object, moment: datetime) -> None:
    assert moment == normalised_time(value)


@pytest.mark.parametrize(
    "value", ["", None, True, "yesterday", "nan", "1e400", [], "0001-01-01T00:00:00+05:00"]
)
def test_what_is_no_time_is_refused(value: object) -> None:
    with pytest.raises(ValueError, match="no time"):
        normalised_time(value)


def test_a_time_without_a_zone_needs_permission() -> None:
    with pytest.raises(ValueError, match="--assume-utc"):
        normalised_time("2024-05-17 12:00:00")
    assert NOON == normalised_time("2024-05-17 12:00:00", assume_utc=True)


def test_an_unreadable_row_costs_itself_only_and_is_named(tmp_path: Path) -> None:
    path = jsonl(tmp_path / "a.jsonl", row(0, "a"), "{not json", "[1]", "", row(1, "b"))
    with path.open("ab") as file:
        file.write(b'{"title": "caf\xe9"}\n')
        file.write(json.dumps(row(2, "c") | {"published_at": "soon"}).encode() + b"\n")
    clock = ManualClock(NOON)
    publisher = TimedPublisher(clock)

    report = replay([path], PLAIN, publisher, "news", None, clock, clock.advance)

    assert [(0.0, ["a", "b"])] == publisher.calls
    assert (2, 4) == (report.published, report.unreadable)
    assert (NOON, NOON + timedelta(seconds=1)) == (report.first, report.last)
    faults = [str(fault) for fault in report.faults]
    for fault, expected in zip(
        faults,
        [":2: not JSON", ":3: not a JSON object", ":6: not UTF-8", ":7: no time: 'soon'"],
        strict=True,
    ):
        assert fault.startswith(f"{path}{expected}")


def test_csv_with_quoted_line_breaks_keeps_its_text_and_its_line_numbers(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes(
        "\ufeffcreated,title,body\n"
        '1715947200.0,"one, two","first\nsecond"\n'
        "1715947201.0,short\n"
        "1715947202.0,a,b,too many\n".encode()
        + b"1715947203.0,caf\xe9,x\n"
        + "1715947204.0,Café,last\n".encode()
    )

    found = list(read_rows(path))

    assert found == [
        Row(path, 2, {"created": "1715947200.0", "title": "one, two", "body": "first\nsecond"}),
        Row(path, 4, {"created": "1715947201.0", "title": "short", "body": None}),
        BadRow(path, 5, "more fields than the header has"),
        BadRow(path, 6, "not UTF-8"),
        Row(path, 7, {"created": "1715947204.0", "title": "Café", "body": "last"}),
    ]


def test_values_that_stand_for_nothing_are_left_out() -> None:
    mapping = FieldMap(blanks={"Comment", "[deleted]"})
    given = row(0, "Comment", author="[deleted]", text="so it goes")

    _, message = message_of(Row(Path("a.csv"), 2, given), mapping)

    assert {"source", "published_at", "text"} == message.keys()


def test_an_unknown_kind_of_file_and_a_missing_one_are_told_apart(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="unknown kind of file"):
        list(read_rows(tmp_path / "a.xlsx"))
    with pytest.raises(ConfigError, match="can't be read: No such file"):
        list(read_rows(tmp_path / "a.jsonl"))


def test_items_without_text_and_broken_ones_reach_the_daemon_and_are_counted_there(
    tmp_path: Path,
) -> None:
    path = jsonl(
        tmp_path / "a.jsonl",
        row(0, "", text=""),
        row(1, "lone \ud83d surrogate"),
        row(2, "typed", text=7),
        row(3, "fine"),
    )
    log = MemoryLog(["news"], 1)
    clock = ManualClock(NOON)
    replay([path], PLAIN, MemoryPublisher(log), "news", None, clock, clock.advance)
    decoder = Decoder(Limits(), {"news": Kind.NEWS}, str)

    found = [decoder.decode(record, now=NOON, rejected_at=NOON) for record in log.records("news")]

    assert [Reason.NO_TEXT, Reason.LONE_SURROGATE, Reason.WRONG_TYPE, None] == [
        letter.reason if isinstance(letter, DeadLetter) else None for letter in found
    ]


def test_the_key_is_the_id_that_the_decoder_gives(tmp_path: Path) -> None:
    path = jsonl(
        tmp_path / "a.jsonl",
        row(0, "with an id", id=" a1 "),
        row(1, " padded ", url="https://example.org/1"),
        row(2, "", text="untitled"),
    )
    log = MemoryLog(["news"], 1)
    clock = ManualClock(NOON)
    replay([path], PLAIN, MemoryPublisher(log), "news", None, clock, clock.advance)
    decoder = Decoder(Limits(), {}, str)

    for record in log.records("news"):
        document = decoder.decode(record, now=NOON, rejected_at=NOON)
        assert isinstance(document, Document)
        assert record.key == document.id.encode()


def test_event_order_holds_over_rows_and_files_and_equal_times_keep_their_place(
    tmp_path: Path,
) -> None:
    one = jsonl(tmp_path / "1.jsonl", row(30, "d"), row(10, "b"), row(10, "c"))
    two = jsonl(tmp_path / "2.jsonl", row(40, "e"), row(0, "a"))

    assert [(0.0, ["a", "b", "c", "d", "e"])] == run([one, two]).calls


def test_speed_spreads_the_stream_over_the_clock(tmp_path: Path) -> None:
    path = jsonl(tmp_path / "a.jsonl", *(row(60 * i, str(i)) for i in range(4)), row(180, "last"))

    calls = run([path], speed=60).calls

    assert [["0"], ["1"], ["2"], ["3", "last"]] == [texts for _, texts in calls]
    assert [0, 1, 2, 3] == [pytest.approx(at) for at, _ in calls]


def test_a_slow_broker_gets_everything_that_is_due_at_once(tmp_path: Path) -> None:
    path = jsonl(tmp_path / "a.jsonl", *(row(i, str(i)) for i in range(10)))

    calls = run([path], speed=1, cost=4.0).calls

    assert [["0"], ["1", "2", "3", "4"], ["5", "6", "7", "8"], ["9"]] == [t for _, t in calls]


def test_as_fast_as_possible_goes_in_chunks_and_reports_each(tmp_path: Path) -> None:
    path = jsonl(tmp_path / "a.jsonl", *(row(i, str(i)) for i in range(CHUNK + 1)))
    clock = ManualClock(NOON)
    seen: list[ReplayProgress] = []

    replay([path], PLAIN, TimedPublisher(clock), "news", None, clock, clock.advance, seen.append)

    assert seen == [
        ReplayProgress(CHUNK, CHUNK + 1, NOON + timedelta(seconds=CHUNK - 1)),
        ReplayProgress(CHUNK + 1, CHUNK + 1, NOON + timedelta(seconds=CHUNK)),
    ]


def test_a_failing_broker_ends_the_replay_and_a_silly_speed_never_starts_it(tmp_path: Path) -> None:
    path = jsonl(tmp_path / "a.jsonl", row(0, "a"))
    clock = ManualClock(NOON)
    publisher = MemoryPublisher(MemoryLog(["news"], 1), [SourceError("broker away")])

    with pytest.raises(SourceError, match="broker away"):
        replay([path], PLAIN, publisher, "news", None, clock, clock.advance)
    with pytest.raises(ConfigError, match="--speed"):
        replay([path], PLAIN, publisher, "news", 0, clock, clock.advance)
