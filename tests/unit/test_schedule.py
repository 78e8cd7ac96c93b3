"""The engine's books: what waits, what goes next, what is done, without a thread or a clock."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from monitor.errors import ScoringError
from monitor.score.base import TokenVerdicts
from monitor.score.batch import MicroBatch, Shape
from monitor.score.schedule import QUEUE, Batching, Schedule, Submission, Text

BATCHING = Batching(tokens=64, look_ahead=16, max_wait=0.005, minimum_fill=32)


@dataclass(frozen=True)
class Found:
    sentiment: NDArray[np.float32]
    topic: NDArray[np.float32]
    tokens: TokenVerdicts | None = None


def schedule(batching: Batching = BATCHING, packed: bool = True) -> Schedule:
    return Schedule(Shape(batching.tokens, packed), batching, "v1")


def tokenise(books: Schedule) -> None:
    """All chunks: as many tokens as characters, and the text's first character in the row."""
    while chunks := books.next_chunks():
        for chunk in chunks:
            books.put(chunk, [(i, [ord(t[0])], len(t)) for i, t in enumerate(chunk.texts)])


def judged(books: Schedule, batch: MicroBatch[Text]) -> None:
    """Each text's verdict says which row it had: P(negative) is the row's token."""
    marks = np.array([text.row[0] for text in batch.items], np.float32)
    sentiment = np.stack([marks, marks, marks], axis=1)
    books.judge(batch.items, Found(sentiment, np.zeros((len(marks), 20), np.float32)))


def submitted(books: Schedule, texts: Sequence[str], now: float = 0.0) -> Submission:
    submission = books.submit(texts, now)
    assert submission is not None
    return submission


@settings(max_examples=100, deadline=None)
@given(st.lists(st.lists(st.text("abcdef", min_size=1, max_size=40), max_size=30), max_size=8))
def test_every_text_gets_its_own_verdict_and_submissions_end_in_their_order(
    groups: list[list[str]],
) -> None:
    books = schedule()
    open_ = [submitted(books, texts) for texts in groups]
    tokenise(books)
    ended: list[Submission] = []
    while (batch := books.next_batch(99.0)) is not None:
        judged(books, batch)
        ended += [s for s in open_ if s.done and s not in ended]
        assert open_[: len(ended)] == ended
    assert all(s.done for s in open_)
    for texts, submission in zip(groups, open_, strict=True):
        verdicts = submission.result(0)
        assert [ord(t[0]) for t in texts] == verdicts.sentiment[:, 0].tolist()
        assert not verdicts.failed.any()
    assert (0, sum(map(len, groups))) == (books.waiting, books.judged)


def test_a_submission_waits_for_the_one_before_it() -> None:
    books = schedule(Batching(tokens=10, look_ahead=16, max_wait=0.0, minimum_fill=1))
    first, second = submitted(books, ["a" * 10]), submitted(books, ["b" * 10])
    tokenise(books)
    one, two = books.next_batch(0.0), books.next_batch(0.0)
    assert one is not None and two is not None
    judged(books, two)
    assert not second.done
    judged(books, one)
    assert first.done and second.done


def test_a_submission_without_texts_is_done_in_its_turn() -> None:
    books = schedule()
    first, empty = submitted(books, ["a"]), submitted(books, [])
    assert not empty.done
    tokenise(books)
    batch = books.next_batch(1.0)
    assert batch is not None
    judged(books, batch)
    assert empty.done
    assert (0, 3) == empty.result().sentiment.shape
    assert submitted(books, []).done and first.done


def test_the_queue_is_bounded_in_tokens_and_takes_anything_when_it_is_empty() -> None:
    books = schedule()
    bound = QUEUE * BATCHING.tokens
    submitted(books, ["word " * 10] * 1_000)  # more than fits, but nothing waits
    assert books.waiting > bound
    assert books.submit(["a"], 0.0) is None
    tokenise(books)  # now the tokens are counted, not guessed
    assert 50_000 == books.waiting
    while books.submit(["a"], 0.0) is None:
        batch = books.next_batch(0.0)
        assert batch is not None
        judged(books, batch)
    assert bound - BATCHING.tokens < books.waiting <= bound


def test_a_huge_text_counts_for_no_more_than_a_micro_batch_before_it_is_tokenised() -> None:
    books = schedule()
    submitted(books, ["x" * 10_000_000])
    assert BATCHING.tokens == books.waiting


def test_a_device_waits_for_more_only_below_the_minimum_fill_and_only_so_long() -> None:
    books = schedule()
    assert books.patience(0.0) is None
    submitted(books, ["a" * 20], now=1.0)
    assert books.patience(1.0) is None  # not tokenised yet
    tokenise(books)
    assert pytest.approx(0.003) == books.patience(1.002)
    assert books.next_batch(1.002) is None
    submitted(books, ["b" * 12], now=1.003)
    tokenise(books)
    assert 0.0 == books.patience(1.003)
    batch = books.next_batch(1.003)
    assert batch is not None and 2 == len(batch.items)
    submitted(books, ["c"], now=2.0)
    tokenise(books)
    assert books.next_batch(2.004) is None
    assert books.next_batch(2.0051) is not None


def test_a_minimum_fill_beyond_the_budget_does_not_wait_for_what_cannot_go() -> None:
    books = schedule(Batching(tokens=16, look_ahead=16, max_wait=5.0, minimum_fill=4096))
    submitted(books, ["a" * 16])
    tokenise(books)
    assert books.next_batch(0.0) is not None


def test_a_text_that_cannot_be_judged_is_marked_with_its_reason() -> None:
    books = schedule()
    submission = submitted(books, ["a", "b", "c"])
    tokenise(books)
    batch = books.next_batch(1.0)
    assert batch is not None
    bad = next(t for t in batch.items if t.index == 1)
    batch.items.remove(bad)
    judged(books, batch)
    books.reject(submission, 1, ValueError("odd"))
    verdicts = submission.result()
    assert [False, True, False] == verdicts.failed.tolist()
    assert ("ValueError: odd",) == verdicts.errors
    assert np.isnan(verdicts.sentiment[1]).all() and np.isnan(verdicts.topic[1]).all()


def test_texts_that_come_one_by_one_are_tokenised_together() -> None:
    books = schedule()
    for text in "abc":
        submitted(books, [text])
    submitted(books, ["d"] * 40)

    together = books.next_chunks()

    assert [["a"], ["b"], ["c"]] == [list(chunk.texts) for chunk in together[:3]]
    most = max(len(chunk.texts) for chunk in books.next_chunks())
    assert sum(len(chunk.texts) for chunk in together) <= max(most, 3)


def test_what_was_given_up_fails_and_leaves_no_trace() -> None:
    books = schedule()
    gone = submitted(books, ["a"] * 40)
    chunk, *_ = books.next_chunks()  # with the tokeniser
    books.put(chunk, [(0, [1], 40)])
    on_device = books.next_batch(0.0)
    chunk, *_ = books.next_chunks()
    assert on_device is not None
    books.clear(ScoringError("given up"))
    books.put(chunk, [(0, [1], 40)])
    judged(books, on_device)
    assert books.put_back(on_device.items)
    assert (0, None) == (books.waiting, books.next_batch(9.0))
    with pytest.raises(ScoringError, match="given up"):
        gone.result()
    after = submitted(books, ["b"])
    tokenise(books)
    batch = books.next_batch(9.0)
    assert batch is not None
    judged(books, batch)
    assert ord("b") == after.result().sentiment[0, 0]


def test_work_moves_to_another_device_once() -> None:
    books = schedule()
    submitted(books, ["a" * 30, "b" * 30])
    tokenise(books)
    batch = books.next_batch(0.0)
    assert batch is not None
    assert books.put_back(batch.items)
    again = books.next_batch(0.0)
    assert again is not None
    assert set(batch.items) == set(again.items)
    assert not books.put_back(again.items)


def test_a_result_that_does_not_come_in_time_says_what_is_missing() -> None:
    submission = submitted(schedule(), ["a", "b"])
    assert not submission.wait(0)
    with pytest.raises(TimeoutError, match="2 of 2 texts were not judged"):
        submission.result(timeout=0)


@pytest.mark.parametrize(
    ("device", "packed", "expected"),
    [
        ("cpu", False, Batching(1_024, 512, 0.005, 256)),
        ("cpu", True, Batching(2_048, 512, 0.005, 256)),
        ("cuda", True, Batching(32_768, 4_096, 0.002, 4_096)),
        ("cuda:1", True, Batching(32_768, 4_096, 0.002, 4_096)),
    ],
)
def test_each_device_has_its_defaults(device: str, packed: bool, expected: Batching) -> None:
    assert expected == Batching.suited(device, packed)
    own = Batching.suited(device, packed, tokens=99, look_ahead=7, max_wait=1.0, minimum_fill=3)
    assert Batching(99, 7, 1.0, 3) == own
