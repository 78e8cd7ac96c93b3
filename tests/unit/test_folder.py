"""A watched folder: each row once, whatever comes between; no file is deleted."""

from __future__ import annotations

import gzip
import logging
import os
import random
from contextlib import suppress
from pathlib import Path

import pytest
from harness.folder import LANE, SETTLE, Inbox, Stopping, jsonl, original, row

from monitor.errors import FencedError, StoreError
from monitor.events import Kind
from monitor.folder.judge import KEPT
from monitor.folder.reading import CHUNK
from monitor.source.files import FieldMap


@pytest.fixture
def inbox(tmp_path: Path) -> Inbox:
    return Inbox(tmp_path / "inbox")


def test_a_file_is_taken_once_it_has_been_left_alone_and_then_moved_aside(inbox: Inbox) -> None:
    inbox.put("a.jsonl", jsonl(row("a"), row("b")))
    inbox.look()
    inbox.clock.advance(SETTLE - 1)
    inbox.look()
    assert [] == inbox.ids()

    inbox.clock.advance(1)
    inbox.look()

    assert ["a", "b"] == inbox.ids()
    assert ["done/a.jsonl"] == inbox.places()
    assert inbox.woken
    assert 2.0 == inbox.counted("monitor_folder_rows_total", result="accepted")
    assert 1.0 == inbox.counted("monitor_folder_files_total", file="done")


def test_a_file_that_grows_is_not_read(inbox: Inbox) -> None:
    path = inbox.put("a.jsonl", jsonl(row("a")))
    for n in range(5):
        inbox.look()
        inbox.clock.advance(SETTLE)
        with path.open("ab") as file:
            file.write(jsonl(row(f"more {n}")))
    inbox.look()
    assert [] == inbox.ids()

    inbox.clock.advance(SETTLE)
    inbox.look()

    assert 6 == len(inbox.ids())


@pytest.mark.parametrize(
    "name", [".a.jsonl", "a.jsonl.tmp", "a.jsonl.part", "~a.jsonl", "_a.jsonl", "a.jsonl~"]
)
def test_names_that_mean_unfinished_are_left_alone_until_they_are_renamed(
    inbox: Inbox, name: str
) -> None:
    path = inbox.put(name, jsonl(row("a")))
    inbox.settle()
    assert ([], [name]) == (inbox.ids(), inbox.places())

    path.rename(inbox.path / "a.jsonl")
    inbox.settle()

    assert ["a"] == inbox.ids()


def test_only_names_of_the_pattern_are_meant(tmp_path: Path) -> None:
    inbox = Inbox(tmp_path / "inbox", pattern="news-*.csv")
    inbox.put("other.csv", b"id\n1\n")
    inbox.put("news-1.csv", b"id,source,published_at,title\n1,x,2026-03-02T11:00:00Z,t\n")
    inbox.settle()
    assert ["1"] == inbox.ids()
    assert ["done/news-1.csv", "other.csv"] == inbox.places()


def test_links_and_what_is_no_file_are_not_read(
    inbox: Inbox, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    outside = tmp_path / "secret.jsonl"
    outside.write_bytes(jsonl(row("secret")))
    (inbox.path / "link.jsonl").symlink_to(outside)
    (inbox.path / "folder.jsonl").mkdir()
    os.mkfifo(inbox.path / "pipe.jsonl")

    with caplog.at_level(logging.WARNING):
        inbox.settle()
        inbox.settle()

    assert [] == inbox.ids()
    assert outside.exists() and (inbox.path / "link.jsonl").is_symlink()
    assert 1 == caplog.text.count("link.jsonl is a link")


def test_a_file_that_becomes_a_link_is_not_followed(inbox: Inbox, tmp_path: Path) -> None:
    outside = tmp_path / "secret.jsonl"
    outside.write_bytes(jsonl(row("secret")))
    path = inbox.put("a.jsonl", jsonl(row("a")))
    inbox.look()
    inbox.clock.advance(SETTLE)
    candidates = inbox.watch._scanner.settled()
    path.unlink()
    path.symlink_to(outside)

    stop = Stopping(inbox.clock)
    assert [None] == [inbox.watch._open(c, stop) for c in candidates]
    assert [] == inbox.ids()


def test_a_stop_does_not_wait_for_the_hash_of_a_large_file(inbox: Inbox) -> None:
    inbox.put("a.jsonl", jsonl(row("a")))
    inbox.look()
    inbox.clock.advance(SETTLE)
    stop = Stopping(inbox.clock)
    (candidate,) = inbox.watch._scanner.settled()
    stop.set()
    assert inbox.watch._open(candidate, stop) is None
    inbox.look()
    assert ["a"] == inbox.ids()


def test_a_bad_row_becomes_a_dead_letter_that_names_its_file_and_row(inbox: Inbox) -> None:
    bad = {"id": "c", "source": "x", "published_at": "2026-03-02T11:00:00Z"}
    late = row("d", title="x", published_at="soon")
    inbox.put("a.jsonl", jsonl(row("a"), "{not json", bad, late, row("e")))

    inbox.settle()

    assert ["a", "e"] == inbox.ids()
    found = [(x["reason"], x["file"], x["row"]) for x in inbox.letters()]
    assert [
        ("not_json", "a.jsonl", 2),
        ("no_text", "a.jsonl", 3),
        ("bad_date", "a.jsonl", 4),
    ] == found
    first, second, third = inbox.letters()
    assert b"{not json" == original(first)
    assert (None, None, None) == (first["topic"], first["partition"], first["offset"])
    assert "title and text are both missing or blank" == second["detail"]
    assert "no time: 'soon'" == third["detail"]
    assert ["done/a.jsonl"] == inbox.places()
    assert 3.0 == inbox.counted("monitor_folder_rows_total", result="rejected")


def test_a_row_too_large_for_kafka_is_kept_in_part(inbox: Inbox) -> None:
    text = "x" * 3_000_000
    inbox.put("a.jsonl", jsonl(row("a", text=text), {"text": text}, row("b")))

    inbox.settle()

    large, undated = inbox.letters()
    assert ("too_large", "bad_date") == (large["reason"], undated["reason"])
    for letter in (large, undated):
        assert KEPT == len(original(letter))
        assert f"the first {KEPT:,} of 3,000," in letter["detail"]


def test_columns_are_mapped_and_packed_files_read(tmp_path: Path) -> None:
    mapping = FieldMap.parse("published_at=ts,text=body,source==forum", assume_utc=True)
    inbox = Inbox(tmp_path / "inbox", mapping, kind=Kind.COMMENT)
    inbox.put("a.csv.gz", gzip.compress(b"ts,body\n2026-03-02 11:00:00,so it goes\n"))

    inbox.settle()

    ((topic, _, message),) = inbox.messages()
    assert "comments" == topic
    expected = {"source": "forum", "text": "so it goes", "published_at": "2026-03-02T11:00:00Z"}
    assert expected == message


def test_rows_older_than_a_day_when_their_file_came_are_history(inbox: Inbox) -> None:
    inbox.put("a.jsonl", jsonl(row("new", 23), row("old", 25), row("told", 1, history=True)))

    inbox.settle()

    found = {identifier: message.get("history") for _, identifier, message in inbox.messages()}
    assert {"new": None, "old": True, "told": True} == found


def test_what_is_history_does_not_change_while_a_file_waits(inbox: Inbox) -> None:
    inbox.most_waiting = CHUNK
    inbox.start()
    inbox.put("a.jsonl", jsonl(*(row(f"{n}", 23) for n in range(CHUNK + 1))))
    inbox.settle()
    inbox.clock.advance(7200)
    inbox.lanes.lanes[LANE].rows.clear()
    inbox.start()

    inbox.settle()

    assert [None] == [message.get("history") for _, _, message in inbox.messages()]


def test_content_that_was_read_is_not_read_again_under_any_name(inbox: Inbox) -> None:
    content = jsonl(row("a"), "{bad")
    inbox.put("a.jsonl", content)
    inbox.settle()
    inbox.put("a.jsonl", content)
    inbox.put("b.jsonl", content)

    inbox.settle()

    assert (["a"], 1) == (inbox.ids(), len(inbox.letters()))
    assert ["done/a-2.jsonl", "done/a.jsonl", "done/b.jsonl"] == inbox.places()
    assert 2.0 == inbox.counted("monitor_folder_files_total", file="repeated")


def test_rows_that_were_handed_in_before_are_known(inbox: Inbox) -> None:
    inbox.put("monday.jsonl", jsonl(row("a"), row("b")))
    inbox.settle()
    inbox.put("tuesday.jsonl", jsonl(row("b"), row("c")))
    inbox.settle()
    assert ["a", "b", "c"] == inbox.ids()
    assert 1.0 == inbox.counted("monitor_folder_rows_total", result="duplicate")


def test_a_file_of_a_kind_nobody_knows_is_put_aside_with_the_reason(inbox: Inbox) -> None:
    inbox.put("a.xlsx", b"PK")
    inbox.settle()
    assert ["failed/a.xlsx", "failed/a.xlsx.error.txt"] == inbox.places()
    assert "unknown kind of file" in (inbox.path / "failed/a.xlsx.error.txt").read_text("utf-8")
    assert 1.0 == inbox.counted("monitor_folder_files_total", file="failed")


def test_a_file_that_breaks_off_gives_the_rows_that_it_has(inbox: Inbox) -> None:
    whole = gzip.compress(jsonl(*(row(f"{n} {random.Random(n).random()}") for n in range(900))))
    inbox.put("a.jsonl.gz", whole[:-1_000])

    inbox.settle()

    assert 600 < len(inbox.ids()) < 900
    assert ["failed/a.jsonl.gz", "failed/a.jsonl.gz.error.txt"] == inbox.places()
    inbox.put("a.jsonl.gz", whole)
    inbox.settle()
    assert 900 == len(inbox.ids()) == len(set(inbox.ids()))


def test_where_no_row_of_many_fits_it_is_the_mapping_that_is_wrong(inbox: Inbox) -> None:
    rows = [{"ts": "2026-03-02T11:00:00Z", "body": f"text {n}"} for n in range(CHUNK + 5)]
    inbox.put("a.jsonl", jsonl(*rows))

    inbox.settle()

    assert [] == inbox.messages()
    said = (inbox.path / "failed/a.jsonl.error.txt").read_text("utf-8")
    assert "none of the first 500 rows is a message" in said
    assert "nothing in published_at, from which published_at is taken" in said

    inbox.mapping = FieldMap.parse("published_at=ts,text=body,source==x")
    inbox.start()
    (inbox.path / "failed/a.jsonl").rename(inbox.path / "a.jsonl")
    inbox.settle()

    assert CHUNK + 5 == len(inbox.ids())
    assert [] == inbox.letters()


def test_a_few_rows_that_are_all_wrong_are_dead_letters_and_the_file_has_failed(
    inbox: Inbox,
) -> None:
    inbox.put("a.jsonl", jsonl({}, {}))
    inbox.settle()
    assert 2 == len(inbox.letters())
    assert ["failed/a.jsonl", "failed/a.jsonl.error.txt"] == inbox.places()
    said = (inbox.path / "failed/a.jsonl.error.txt").read_text("utf-8")
    assert "no row is a message" in said and "The first: row 1: bad_date: " in said


def test_a_short_file_is_taken_once_its_mapping_is_mended(inbox: Inbox) -> None:
    inbox.put("a.jsonl", jsonl({"ts": "2026-03-02T11:00:00Z", "body": "a text"}))
    inbox.settle()
    assert [] == inbox.ids()

    inbox.mapping = FieldMap.parse("published_at=ts,text=body,source==x")
    inbox.start()
    (inbox.path / "failed/a.jsonl").rename(inbox.path / "a.jsonl")
    inbox.settle()

    assert 1 == len(inbox.ids())
    assert "done/a.jsonl" in inbox.places()


@pytest.mark.parametrize("content", [b"", b"\n\n"])
def test_an_empty_file_is_done(inbox: Inbox, content: bytes) -> None:
    inbox.put("a.jsonl", content)
    inbox.settle()
    assert ["done/a.jsonl"] == inbox.places()


def test_a_large_file_goes_in_chunks_and_waits_while_too_much_waits(inbox: Inbox) -> None:
    inbox.most_waiting = 2 * CHUNK
    inbox.start()
    inbox.put("a.jsonl", jsonl(*(row(f"{n}") for n in range(5 * CHUNK))))
    most = 0
    sent: list[str] = []

    def send() -> None:
        nonlocal most
        rows = inbox.lanes.lanes[LANE].rows
        most = max(most, len(rows))
        sent.extend(message.id for message, _ in rows.values())
        rows.clear()

    inbox.look()
    inbox.clock.advance(SETTLE)
    stop = Stopping(inbox.clock)
    stop.on_wait = send
    inbox.look(60, stop)
    send()

    assert [f"{n}" for n in range(5 * CHUNK)] == sent
    assert 2 * CHUNK == most
    assert ["done/a.jsonl"] == inbox.places()


def test_a_look_ends_in_time_and_the_next_one_goes_on(inbox: Inbox) -> None:
    inbox.put("a.jsonl", jsonl(*(row(f"{n}") for n in range(3 * CHUNK))))
    inbox.look()
    inbox.clock.advance(SETTLE)
    seen = []
    for _ in range(5):
        inbox.look(0)
        seen.append(len(inbox.ids()))
    assert [CHUNK, 2 * CHUNK, 3 * CHUNK, 3 * CHUNK, 3 * CHUNK] == seen
    assert ["done/a.jsonl"] == inbox.places()


def test_a_stop_is_obeyed_and_the_next_daemon_goes_on(inbox: Inbox) -> None:
    inbox.put("a.jsonl", jsonl(*(row(f"{n}") for n in range(2 * CHUNK))))
    inbox.look()
    inbox.clock.advance(SETTLE)
    inbox.look(0)
    inbox.watch.close()

    inbox.start()
    inbox.settle()

    assert [f"{n}" for n in range(2 * CHUNK)] == inbox.ids()


def test_a_file_that_is_written_to_while_it_is_read_is_read_anew(inbox: Inbox) -> None:
    path = inbox.put("a.jsonl", jsonl(*(row(f"{n}") for n in range(CHUNK + 1))))
    inbox.look()
    inbox.clock.advance(SETTLE)
    inbox.look(0)
    with path.open("ab") as file:
        file.write(jsonl(row("last")))

    inbox.settle()
    inbox.settle()

    assert [*(f"{n}" for n in range(CHUNK + 1)), "last"] == inbox.ids()
    assert ["done/a.jsonl"] == inbox.places()


def test_a_file_that_takes_the_place_of_the_one_being_read_is_read_in_its_turn(
    inbox: Inbox, tmp_path: Path
) -> None:
    inbox.put("a.jsonl", jsonl(*(row(f"{n}") for n in range(CHUNK + 1))))
    inbox.look()
    inbox.clock.advance(SETTLE)
    inbox.look(0)
    new = tmp_path / "new"
    new.write_bytes(jsonl(row("new")))
    new.replace(inbox.path / "a.jsonl")

    inbox.settle()
    inbox.settle()

    assert [*(f"{n}" for n in range(CHUNK + 1)), "new"] == inbox.ids()
    assert ["done/a.jsonl"] == inbox.places()


def test_two_files_of_one_name_are_both_kept(inbox: Inbox) -> None:
    for n in range(3):
        inbox.put("a.tar.jsonl", jsonl(row(f"{n}")))
        inbox.settle()
    assert ["done/a-2.tar.jsonl", "done/a-3.tar.jsonl", "done/a.tar.jsonl"] == inbox.places()


def test_a_file_that_cannot_be_moved_is_not_read_again(
    inbox: Inbox, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def refuse(self: Path, _target: object) -> Path:
        raise PermissionError(13, "Permission denied", str(self))

    monkeypatch.setattr(Path, "rename", refuse)
    inbox.put("a.jsonl", jsonl(row("a")))
    with caplog.at_level(logging.WARNING):
        for _ in range(3):
            inbox.settle()
    assert ["a"] == inbox.ids()
    assert 1 == caplog.text.count("can't be moved")
    assert ["a.jsonl"] == inbox.places()
    assert 0.0 == inbox.counted("monitor_folder_files_total", file="repeated")


def test_a_folder_that_is_not_there_is_looked_for_again(
    inbox: Inbox, caplog: pytest.LogCaptureFixture
) -> None:
    inbox.path.rmdir()
    with caplog.at_level(logging.WARNING):
        inbox.look()
        inbox.look()
    assert 1 == caplog.text.count("can't be read")
    inbox.path.mkdir()
    inbox.put("a.jsonl", jsonl(row("a")))
    inbox.settle()
    assert ["a"] == inbox.ids()


ROWS = [
    row(f"{n}") if n % 7 else f"{{bad {n}" for n in range(3 * CHUNK)
]  # fmt: skip
GOOD = [f"{n}" for n in range(3 * CHUNK) if n % 7]


@pytest.mark.parametrize("written", [False, True], ids=["not written", "written"])
@pytest.mark.parametrize("operation", ["begin", "advance", "end"])
@pytest.mark.parametrize("nth", [0, 1, 2])
def test_each_row_goes_once_whichever_transaction_fails(
    inbox: Inbox, operation: str, nth: int, written: bool
) -> None:
    inbox.put("a.jsonl", jsonl(*ROWS))
    script = [None] * nth + [StoreError("gone")]
    inbox.receiving.fail(operation, *script, written=written)  # type: ignore[arg-type]

    for _ in range(6):
        try:
            inbox.settle()
        except StoreError:
            continue

    assert GOOD == inbox.ids()
    assert len(ROWS) - len(GOOD) == len(inbox.letters())
    assert ["done/a.jsonl"] == inbox.places()


@pytest.mark.parametrize("seed", range(8))
def test_each_row_goes_once_through_crashes_at_any_time(inbox: Inbox, seed: int) -> None:
    dice = random.Random(seed)
    inbox.put("a.jsonl", jsonl(*ROWS))
    inbox.put("b.jsonl", jsonl(*(row(f"b{n}") for n in range(CHUNK + 3)), ROWS[1]))
    for _ in range(200):
        if dice.random() < 0.3:
            inbox.watch.close()
            inbox.start()
        if dice.random() < 0.3:
            error = dice.choice([StoreError("gone"), FencedError("moved")])
            operation = dice.choice(["begin", "advance", "end"])
            inbox.receiving.fail(operation, error, written=dice.random() < 0.5)  # type: ignore[arg-type]
        with suppress(StoreError):
            inbox.look(0)
        inbox.clock.advance(dice.choice([1, SETTLE]))

    assert sorted([*GOOD, *(f"b{n}" for n in range(CHUNK + 3))]) == sorted(inbox.ids())
    assert len(ROWS) - len(GOOD) == len(inbox.letters())
    assert ["done/a.jsonl", "done/b.jsonl"] == inbox.places()


def test_a_crash_between_the_last_row_and_the_move_only_moves_the_file(inbox: Inbox) -> None:
    content = jsonl(row("a"))
    inbox.put("a.jsonl", content)
    inbox.settle()
    (inbox.path / "done/a.jsonl").rename(inbox.path / "a.jsonl")
    inbox.start()

    inbox.settle()

    assert ["a"] == inbox.ids()
    assert ["done/a.jsonl"] == inbox.places()
