"""The engine over scripted devices: bad texts, dead devices, dead threads, several devices."""

from __future__ import annotations

import random
import threading
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry

from models.spans.verdicts import KINDS
from models.text import normalise
from monitor.errors import ScoringError
from monitor.metrics import Metrics, ScoringCounters
from monitor.score.base import PROBE, Pending, Row, Verdicts
from monitor.score.engine import BatchScorer
from monitor.score.memory import MemoryDevice, Named
from monitor.score.schedule import Batching

EAGER = Batching(tokens=64, look_ahead=64, max_wait=0.0, minimum_fill=1)


def judge(text: str) -> tuple[int, int]:
    """The first character decides."""
    first = ord(text[0]) if text else 0
    return first % 3, first % 20


def names(text: str) -> list[Named]:
    """The first character is a name, and it decides on the sentiment towards it."""
    shown = normalise(text)
    return [Named(0, 1, KINDS[len(shown) % 4], judge(text)[0])] if shown else []


def check_names(texts: Sequence[str], verdicts: Verdicts, bad: frozenset[str]) -> None:
    """Every text has its own names, and the bad ones none."""
    tokens = verdicts.tokens
    if tokens is None:
        assert not set(texts) - bad
        return
    for i, text in enumerate(texts):
        expected = [] if text in bad else names(text)
        assert [name[:3] for name in expected] == [span[:3] for span in tokens.spans(i)]
        for name in expected:
            towards = tokens.sentiment_of(i, 0, 1)
            assert towards is not None and name.sentiment == np.argmax(towards)


def stepped(*devices: MemoryDevice, batching: Batching = EAGER) -> BatchScorer:
    """An engine without threads."""
    return BatchScorer(devices or [MemoryDevice(judge)], batching, multiple=1, threads=False)


def batches(device: MemoryDevice) -> list[list[str]]:
    """What the device was given, but for the probes."""
    return [call for call in device.calls if call != [PROBE]]


def check(texts: Sequence[str], verdicts: Verdicts, bad: frozenset[str] = frozenset()) -> None:
    """Every text has its own verdict, and the bad ones a reason."""
    failed = [text in bad for text in texts]
    assert failed == verdicts.failed.tolist()
    assert sum(failed) == len(verdicts.errors)
    for i, text in enumerate(texts):
        if failed[i]:
            assert np.isnan(verdicts.sentiment[i]).all() and np.isnan(verdicts.topic[i]).all()
        else:
            found = verdicts.sentiment[i].argmax(), verdicts.topic[i].argmax()
            assert judge(text) == found


def test_verdicts_come_in_the_order_of_the_texts_whatever_the_batches() -> None:
    texts = ["b" * 30, "a", "ccc", "d" * 12, "e"]
    scorer = stepped()
    verdicts = scorer.score(texts)
    check(texts, verdicts)
    assert "memory-1" == verdicts.model_version
    assert (5, None) == (scorer.judged, scorer.fault)


def test_no_text_is_no_verdict() -> None:
    found = stepped().score([])
    assert ((0, 3), (0, 20), ()) == (found.sentiment.shape, found.topic.shape, found.errors)


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.lists(st.text("abcdef!", max_size=40), max_size=12), max_size=6),
    st.booleans(),
    st.integers(1, 3),
    st.integers(1, 2),
    st.integers(8, 200),
)
def test_every_text_is_judged_once_whatever_is_bad_and_however_many_devices_there_are(
    groups: list[list[str]], packed: bool, in_flight: int, count: int, tokens: int
) -> None:
    bad = frozenset(t for group in groups for t in group if "!" in t)
    devices = [
        MemoryDevice(
            judge,
            names=names,
            bad_texts=bad,
            packed=packed,
            in_flight=in_flight,
            name=f"cuda:{n}",
        )
        for n in range(count)
    ]
    scorer = stepped(*devices, batching=Batching(tokens, 16, 0.0, 1))
    tickets = [scorer.submit(group) for group in groups]
    while scorer.step():
        pass
    for group, ticket in zip(groups, tickets, strict=True):
        assert ticket is not None
        check(group, ticket.result(0), bad)
        check_names(group, ticket.result(0), bad)
    assert scorer.fault is None


# ---------------------------------------------------------------- bad texts and dead devices


def test_bisection_finds_the_bad_text_and_judges_all_others() -> None:
    texts = [f"text {i:02}" for i in range(16)]
    device = MemoryDevice(judge, bad_texts=frozenset({texts[11]}))
    found = stepped(device, batching=Batching(10_000, 512, 0.0, 1)).score(texts)
    check(texts, found, frozenset({texts[11]}))
    assert ("ValueError: cannot embed this",) == found.errors
    # 16, then two halves on each of four levels, then the probe.
    assert 1 + 2 * 4 + 1 == len(device.calls)
    assert [PROBE] == device.calls[-1]


def test_two_bad_texts_have_an_error_each_in_their_order() -> None:
    device = MemoryDevice(
        judge, bad_texts=frozenset({"a long text"}), nan_texts=frozenset({"not a number"})
    )
    found = stepped(device).score(["not a number", "fine", "a long text"])
    assert [0, 2] == np.flatnonzero(found.failed).tolist()
    assert ["FloatingPointError", "ValueError"] == [e.split(":")[0] for e in found.errors]
    assert "not finite" in found.errors[0]


def test_a_text_whose_tokens_are_not_numbers_is_the_only_one_that_fails() -> None:
    class Broken(MemoryDevice):
        def finish(self, pending):  # type: ignore[no-untyped-def]
            found = super().finish(pending)
            assert found.tokens is not None
            for i, row in enumerate(pending.rows):
                if ord("!") in row:
                    found.tokens.sentiment[found.tokens.offsets[i]] = np.nan
            return found

    texts = ["a", "b!", "c"]
    verdicts = stepped(Broken(judge, names=names)).score(texts)
    check(texts, verdicts, frozenset({"b!"}))
    check_names(texts, verdicts, frozenset({"b!"}))
    assert verdicts.errors[0].startswith("FloatingPointError")


def test_a_batch_of_bad_texts_alone_is_not_a_dead_model() -> None:
    scorer = stepped(MemoryDevice(judge, bad_texts=frozenset({"!", "!!"})))
    assert scorer.score(["!", "!!"]).failed.all()
    check(["a"], scorer.score(["a"]))


def test_a_dead_model_fails_everything_pending_and_everything_later() -> None:
    device = MemoryDevice(judge)
    scorer = stepped(device)
    device.die_at(1)
    tickets = [scorer.submit([f"text {i}"] * 9) for i in range(5)]
    while scorer.step():
        pass
    for ticket in tickets:
        assert ticket is not None
        with pytest.raises(ScoringError, match=r"memory-1 judges nothing.*restart the daemon"):
            ticket.result(0)
    with pytest.raises(ScoringError, match="judges nothing any more"):
        scorer.submit(["a"])
    assert scorer.fault is not None and "judges nothing any more" in scorer.fault


def test_a_model_that_dies_half_way_blames_no_text() -> None:
    device = MemoryDevice(judge)
    scorer = stepped(device)
    device.die_at(3)
    with pytest.raises(ScoringError):
        scorer.score([f"text {i}" for i in range(40)])


@pytest.mark.parametrize("threads", [True, False])
def test_damaged_weights_are_found_at_the_warm_up(threads: bool) -> None:
    device = MemoryDevice(nan_texts=frozenset({PROBE}))
    with (
        closing(BatchScorer([device], EAGER, threads=threads)) as scorer,
        pytest.raises(ScoringError, match="weights are damaged"),
    ):
        scorer.warmup()


def test_a_text_that_the_tokeniser_refuses_is_the_only_one_that_fails() -> None:
    class Picky(MemoryDevice):
        def encode(self, texts: Sequence[str]) -> list[Row]:
            for text in texts:
                text.encode()  # raises for a lone surrogate, as the real one does
            return super().encode(texts)

    texts = ["a", "b\ud800", "c"]
    verdicts = stepped(Picky(judge)).score(texts)
    check(texts, verdicts, frozenset({"b\ud800"}))
    assert verdicts.errors[0].startswith("UnicodeEncodeError")


def test_a_tokeniser_that_refuses_everything_is_dead() -> None:
    device = MemoryDevice(judge)
    scorer = stepped(device)
    device.blind_tokeniser = RuntimeError("out of memory")
    with pytest.raises(ScoringError, match=r"tokeniser has died.*out of memory"):
        scorer.score(["a", "b"])
    assert scorer.fault is not None and "tokeniser" in scorer.fault


# ---------------------------------------------------------------- several devices


def test_two_devices_share_the_work() -> None:
    devices = [MemoryDevice(judge, name=f"cuda:{n}") for n in (0, 1)]
    texts = [f"text {i}" for i in range(60)]
    check(texts, stepped(*devices).score(texts))
    done = [sum(len(call) for call in batches(device)) for device in devices]
    assert 60 == sum(done)
    assert min(done) > 20


def test_the_work_of_a_dead_device_goes_to_the_other_one() -> None:
    healthy, dying = (MemoryDevice(judge, name=f"cuda:{n}", in_flight=2) for n in (0, 1))
    scorer = stepped(healthy, dying)
    dying.die_at(2)
    texts = [f"text {i}" for i in range(60)]
    check(texts, scorer.score(texts))
    assert scorer.fault is not None
    assert "cuda:1 is lost" in scorer.fault and "cuda:0" not in scorer.fault
    check(["b"], scorer.score(["b"]))


def test_texts_that_kill_two_devices_take_no_third_one_with_them() -> None:
    devices = [MemoryDevice(judge, name=f"cuda:{n}") for n in range(3)]
    for device in devices[:2]:
        device.die_at(1)
    scorer = stepped(*devices)
    with pytest.raises(ScoringError, match="cuda:1"):
        scorer.score(["poison"])
    assert [] == devices[2].calls


def test_an_engine_takes_one_model_on_all_its_devices() -> None:
    with pytest.raises(ValueError, match="all with the same model"):
        stepped(MemoryDevice(model_version="a"), MemoryDevice(model_version="b"))
    with pytest.raises(ValueError, match="one or more devices"):
        BatchScorer([], EAGER)


# ---------------------------------------------------------------- several under way at once


def test_as_many_forward_passes_are_begun_as_the_device_allows() -> None:
    begun: list[int] = []

    class Counting(MemoryDevice):
        under_way = 0

        def begin(self, rows: Sequence[Row]) -> Pending:
            self.under_way += 1
            begun.append(self.under_way)
            return super().begin(rows)

        def finish(self, pending):  # type: ignore[no-untyped-def]
            self.under_way -= 1
            return super().finish(pending)

    texts = [f"text number {i}" for i in range(40)]
    check(texts, stepped(Counting(judge, in_flight=3)).score(texts))
    assert 3 == max(begun)


@pytest.mark.parametrize("bad", range(0, 40, 3))
def test_a_bad_batch_among_several_under_way_spoils_none_of_them(bad: int) -> None:
    texts = [f"text {i:02}" for i in range(40)]
    device = MemoryDevice(judge, bad_texts=frozenset({texts[bad]}), in_flight=3)
    check(texts, stepped(device).score(texts), frozenset({texts[bad]}))


# ---------------------------------------------------------------- the threads


@contextmanager
def running(*devices: MemoryDevice, batching: Batching = EAGER) -> Iterator[BatchScorer]:
    with closing(BatchScorer(devices, batching, multiple=1)) as scorer:
        scorer.warmup()
        yield scorer


def test_many_callers_get_their_own_verdicts() -> None:
    rng = random.Random(5)
    groups = [
        [rng.choice("abcdefgh") * rng.randint(1, 60) for _ in range(rng.randint(0, 40))]
        for _ in range(60)
    ]
    found: dict[int, Verdicts] = {}
    devices = [MemoryDevice(judge, name=f"cuda:{n}", in_flight=2) for n in (0, 1)]
    with running(*devices) as scorer:

        def call(first: int) -> None:
            for i in range(first, len(groups), 4):
                found[i] = scorer.score(groups[i])

        threads = [threading.Thread(target=call, args=(n,)) for n in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(30)
    for i, group in enumerate(groups):
        check(group, found[i])


class Killed(BaseException):
    """What no handler expects."""


def test_a_dead_device_thread_fails_every_pending_text_at_once() -> None:
    device = MemoryDevice(judge)
    with running(device) as scorer:
        with scorer._changed:  # nothing is judged before all of it is submitted
            device.crash = Killed("gone")
            tickets = [scorer.submit(["a" * 50] * 5) for _ in range(6)]
        for ticket in tickets:
            assert ticket is not None
            with pytest.raises(ScoringError, match="Killed: gone"):
                ticket.result(timeout=30)
        with pytest.raises(ScoringError, match="Killed: gone"):
            scorer.submit(["a"])
        assert scorer.fault == "Killed: gone"


def test_a_dead_tokeniser_thread_fails_every_pending_text_at_once() -> None:
    device = MemoryDevice(judge)
    with running(device) as scorer:
        device.blind_tokeniser = Killed("panic")
        with pytest.raises(ScoringError, match=r"tokeniser has died \(Killed: panic\)"):
            scorer.score(["a"])
        with pytest.raises(ScoringError):
            scorer.submit(["b"])


def test_closing_fails_what_is_pending_and_is_idempotent() -> None:
    entered, leave = threading.Event(), threading.Event()

    def blocking(text: str) -> tuple[int, int]:
        if text != PROBE:
            entered.set()
            leave.wait(30)
        return judge(text)

    before = set(threading.enumerate())
    device = MemoryDevice(blocking)
    with running(device) as scorer:
        tickets = [scorer.submit(["a" * 60]) for _ in range(4)]
        assert entered.wait(30)
        closer = threading.Thread(target=scorer.close)
        closer.start()
        for ticket in filter(None, tickets):
            with pytest.raises(ScoringError, match="has been closed"):
                ticket.result(timeout=30)
        leave.set()
        closer.join(30)
        scorer.close()
        with pytest.raises(ScoringError, match="has been closed"):
            scorer.submit(["b"])
        with pytest.raises(ScoringError, match="has been closed"):
            device.begin([[1]])
    assert set(threading.enumerate()) <= before


def test_what_is_given_up_makes_room_at_once() -> None:
    scorer = stepped()
    gone = scorer.submit(["x" * 60] * 5_000)
    assert scorer.submit(["a"]) is None
    scorer.forget()
    check(["a"], scorer.score(["a"]))
    assert gone is not None
    with pytest.raises(ScoringError, match="given up"):
        gone.result(0)


# ---------------------------------------------------------------- what it tells


def test_every_micro_batch_is_told_with_its_padding_fill_and_wait() -> None:
    now = 100.0
    metrics = Metrics(CollectorRegistry())
    device = MemoryDevice(judge, longest=90)
    scorer = BatchScorer(
        [device],
        EAGER,
        multiple=16,
        metrics=ScoringCounters(metrics),
        monotonic=lambda: now,
        threads=False,
    )
    scorer.warmup()

    def value(name: str, **labels: str) -> float | None:
        return metrics.registry.get_sample_value(f"monitor_{name}", labels)

    scorer.submit(["a" * 14, "b" * 30, "c" * 94, "d" * 30])
    assert value("score_queue_tokens")
    now += 0.25
    while scorer.step():
        pass
    # 16 and 32 (the oldest, as full as can be), the other 32, and 92 rounded up to 96.
    assert 3 == value("micro_batches_total")
    assert 64 + 32 + 96 == value("micro_batch_tokens_total")
    assert 4 == value("micro_batch_texts_total")
    assert (64 + 32 + 96) / 64 == value("micro_batch_fill_ratio_sum")
    assert 0.75 == value("score_wait_seconds_sum")
    assert (1, 0) == (value("capped_texts_total"), value("score_queue_tokens"))
    assert 1 == value("device_up", device="cpu")
    device.die_at(1)
    with pytest.raises(ScoringError):
        scorer.score(["a"])
    assert 0 == value("device_up", device="cpu")
