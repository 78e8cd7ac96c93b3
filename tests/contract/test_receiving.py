"""What every ``Receiving`` promises, whichever database is behind it."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Protocol

import pytest

from monitor.errors import FencedError
from monitor.events import Document, Kind, Origin, Scored
from monitor.store.base import Commit, Store
from monitor.store.publishing.base import Message, Publishing
from monitor.store.receiving.base import (
    Answer,
    FileState,
    FileStatus,
    Offer,
    Outcome,
    Receiving,
    Request,
    Taken,
)

T0 = datetime(2026, 3, 9, 12, tzinfo=UTC)
LANE = "intake"
MOST = 100
FILE = FileState("f" * 64, "a.csv", 10, T0)


class Backend(Protocol):
    store: Callable[[], Store]
    publishing: Callable[[str], Publishing]
    receiving: Callable[[str], Receiving]


def offer(name: str, said: str = "x") -> Offer:
    return Offer(Message("news", name, f'{{"id":"{name}"}}'.encode()), said * 32)


def waiting(backend: Backend) -> list[str]:
    return [message.id for _, message in backend.publishing(LANE).waiting(1_000)]


def words(taken: Sequence[Taken]) -> Answer:
    return Answer(202, ",".join(taken).encode())


def request(key: str = "k", digest: str = "d", caller: str = "desk") -> Request:
    return Request(caller, key, digest, words)


def test_documents_that_are_taken_wait_for_kafka_in_their_order(backend: Backend) -> None:
    outcome = backend.receiving(LANE).accept([offer("b"), offer("a")], MOST, T0)

    assert Outcome([Taken.NEW, Taken.NEW], waiting=2) == outcome
    assert ["b", "a"] == waiting(backend)
    assert (2, T0) == backend.receiving(LANE).backlog()


def test_an_id_is_taken_once_also_when_it_waits_no_more(backend: Backend) -> None:
    receiving, publishing = backend.receiving(LANE), backend.publishing(LANE)
    receiving.accept([offer("a")], MOST, T0)
    publishing.open()
    publishing.settle([row for row, _ in publishing.waiting(10)])

    outcome = backend.receiving(LANE).accept([offer("a"), offer("b"), offer("b")], MOST, T0)

    assert [Taken.REPEATED, Taken.NEW, Taken.REPEATED] == list(outcome.taken)
    assert ["b"] == waiting(backend)


def test_another_document_under_a_known_id_is_told_apart(backend: Backend) -> None:
    receiving = backend.receiving(LANE)
    receiving.accept([offer("a")], MOST, T0)

    outcome = receiving.accept([offer("a", "y"), offer("b"), offer("b", "y")], MOST, T0)

    assert [Taken.CLAIMED, Taken.NEW, Taken.CLAIMED] == list(outcome.taken)


def test_what_the_daemon_has_scored_is_known_as_well(backend: Backend) -> None:
    document = Document(
        "a", Kind.NEWS, "wire", T0, "Title", "", None, None, None, (), Origin("news", 0, 0), T0
    )
    store = backend.store()
    store.load(0)
    scored = Scored(document, (0.0, 1.0, 0.0), 0, 1.0, "m1", T0)
    store.apply(Commit(documents=[scored], now=T0))

    outcome = backend.receiving(LANE).accept([offer("a")], MOST, T0)

    assert [Taken.REPEATED] == list(outcome.taken)
    assert [] == waiting(backend)


def test_when_too_much_would_wait_nothing_is_taken(backend: Backend) -> None:
    receiving = backend.receiving(LANE)
    receiving.accept([offer("a"), offer("b")], 2, T0)

    assert Outcome(waiting=2, full=True) == receiving.accept([offer("c")], 2, T0, request())
    assert ["a", "b"] == waiting(backend)
    assert [Taken.NEW] == list(receiving.accept([offer("c")], 3, T0, request()).taken)


def test_a_repetition_is_answered_even_when_too_much_waits(backend: Backend) -> None:
    receiving = backend.receiving(LANE)
    receiving.accept([offer("a")], 1, T0)

    assert [Taken.REPEATED] == list(receiving.accept([offer("a")], 1, T0).taken)


def test_the_messages_of_another_lane_do_not_count(backend: Backend) -> None:
    backend.publishing("feeds").add([Message("news", "z", b"{}")], T0)

    assert 0 == backend.receiving(LANE).backlog().messages
    assert not backend.receiving(LANE).accept([offer("a")], 1, T0).full


def test_a_request_that_comes_again_is_told_what_it_was_told(backend: Backend) -> None:
    backend.receiving(LANE).accept([offer("a")], MOST, T0, request())

    again = backend.receiving(LANE).accept([offer("a"), offer("b")], MOST, T0, request(digest="e"))

    assert Outcome(before=("d", Answer(202, b"new"))) == again
    assert ["a"] == waiting(backend)


def test_the_keys_of_requests_belong_to_their_caller(backend: Backend) -> None:
    receiving = backend.receiving(LANE)
    receiving.accept([offer("a")], MOST, T0, request())

    other = receiving.accept([offer("b")], MOST, T0, request(caller="press"))

    assert [Taken.NEW] == list(other.taken)


def test_a_file_is_known_by_its_content_and_goes_on_where_it_was(backend: Backend) -> None:
    receiving = backend.receiving(LANE)
    assert receiving.file(FILE.digest) is None
    state = receiving.begin(FILE, T0)
    letter = Message("dead-letters", "f:2", b"{}")
    state = receiving.advance(state, 3, [offer("a"), offer("b")], [letter], T0)

    later = replace(FILE, name="again.csv", found_at=T0 + timedelta(days=3))
    found = backend.receiving(LANE).begin(later, T0)

    assert replace(FILE, rows=3, accepted=2, rejected=1) == found == state
    assert ["a", "b", "f:2"] == waiting(backend)


def test_rows_that_are_known_are_counted_apart(backend: Backend) -> None:
    receiving = backend.receiving(LANE)
    receiving.accept([offer("a")], MOST, T0)
    state = receiving.advance(
        receiving.begin(FILE, T0), 3, [offer("a"), offer("b"), offer("b", "y")], [], T0
    )

    assert (3, 1, 2, 0) == (state.rows, state.accepted, state.repeated, state.rejected)


def test_of_two_that_read_one_file_the_slower_is_fenced(backend: Backend) -> None:
    receiving = backend.receiving(LANE)
    state = receiving.begin(FILE, T0)
    receiving.advance(state, 1, [offer("a")], [], T0)

    with pytest.raises(FencedError, match=r"a\.csv is read by another process"):
        backend.receiving(LANE).advance(state, 1, [offer("b")], [], T0)
    assert ["a"] == waiting(backend)


def test_a_file_that_was_read_is_not_read_on(backend: Backend) -> None:
    receiving = backend.receiving(LANE)
    state = receiving.begin(FILE, T0)
    receiving.end(state, FileStatus.DONE, None, T0)

    assert replace(FILE, status=FileStatus.DONE) == backend.receiving(LANE).file(FILE.digest)
    assert FileStatus.DONE == receiving.begin(FILE, T0).status
    with pytest.raises(FencedError):
        receiving.advance(state, 1, [offer("a")], [], T0)


def test_a_file_that_failed_is_read_on_when_it_comes_again(backend: Backend) -> None:
    receiving = backend.receiving(LANE)
    state = receiving.advance(receiving.begin(FILE, T0), 1, [offer("a")], [], T0)
    receiving.end(state, FileStatus.FAILED, "cut off", T0)
    held = receiving.file(FILE.digest)

    assert held is not None and (FileStatus.FAILED, "cut off") == (held.status, held.fault)
    again = receiving.begin(FILE, T0)
    assert (FileStatus.READING, None, 1) == (again.status, again.fault, again.rows)


def test_a_file_that_failed_without_a_document_is_read_from_its_beginning(
    backend: Backend,
) -> None:
    receiving = backend.receiving(LANE)
    letters = [Message("dead-letters", f"f:{n}", b"{}") for n in range(2)]
    state = receiving.advance(receiving.begin(FILE, T0), 2, [], letters, T0)
    receiving.end(state, FileStatus.FAILED, "no row is a message", T0)

    assert FILE == receiving.begin(FILE, T0)


def test_callers_that_come_at_once_do_not_take_one_document_twice(backend: Backend) -> None:
    taken: list[Taken] = []
    faults: list[BaseException] = []

    def hand_in() -> None:
        receiving = backend.receiving(LANE)
        try:
            for first in range(0, 20, 4):
                batch = [offer(f"d{n}") for n in range(first, first + 4)]
                taken.extend(receiving.accept(batch, MOST, T0).taken)
        except BaseException as error:
            faults.append(error)
            raise

    threads = [threading.Thread(target=hand_in) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert [] == faults
    assert (20, 60) == (taken.count(Taken.NEW), taken.count(Taken.REPEATED))
    assert 20 == len(set(waiting(backend)))
