"""Rounds between contestants that are scripted: shares, order, refusals, ratios."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from monitor.bench.contestant import Labels, Precision
from monitor.bench.corpus import Corpus
from monitor.bench.rounds import Measured, Plan, Round, agreement, measure, ratios

TEXTS = tuple(f"text {number}" for number in range(400))
CORPUS = Corpus("mix", TEXTS, np.array([8 + (n * 37) % 90 for n in range(400)], np.int64))


class Scripted:
    """Labels by the text's number and takes so many seconds a text, on a clock of the test."""

    precision: Precision = "fp32"

    def __init__(
        self, name: str, time: list[float], cost: float, *, wrong: int = 0, sorts: bool = False
    ) -> None:
        self.name = name
        self.sorts = sorts
        self.calls: list[int] = []
        self._time = time
        self._cost = cost
        self._wrong = wrong  # every so manieth text gets another sentiment

    def prepare(self) -> None:
        """Nothing to load."""

    def label(self, texts: Sequence[str]) -> Labels:
        self.calls.append(len(texts))
        self._time[0] += self._cost * len(texts)
        numbers = [int(text.split()[1]) for text in texts]
        other = [self._wrong and number % self._wrong == 0 for number in numbers]
        return np.array(
            [((n + bool(off)) % 3, n % 20) for n, off in zip(numbers, other, strict=True)], np.int64
        )

    def close(self) -> None:
        """Nothing to free."""


class Broken(Scripted):
    def label(self, texts: Sequence[str]) -> Labels:
        raise TypeError("unexpected keyword\nand a trace")


def measured(*contestants: Scripted, time: list[float], rounds: int = 3) -> list[Measured]:
    return measure(
        contestants,
        CORPUS,
        Plan(rounds=rounds, seconds=1.0, check=100, least_tokens=6_000),
        flops=lambda lengths: 10.0 * sum(lengths),
        clock=lambda: time[0],
        cpu_clock=lambda: 2 * time[0],
    )


def test_each_is_timed_on_as_many_texts_as_it_labels_in_a_round() -> None:
    time = [0.0]
    reference = Scripted("reference", time, 0.01)
    slow = Scripted("slow", time, 0.2)
    fast = Scripted("fast", time, 0.001)
    found = measured(reference, slow, fast, time=time)
    assert [100, 32, 400] == [one.texts for one in found]
    assert all(3 == len(one.rounds) for one in found)
    assert pytest.approx([100, 5, 1_000], rel=0.04) == [one.texts_per_second for one in found]
    assert pytest.approx(2 * 200, rel=0.04) == found[1].cpu_per_thousand
    assert [32] * 3 == slow.calls[-3:]


def test_who_sorts_gets_enough_texts_to_sort_however_slow() -> None:
    time = [0.0]
    slow = Scripted("slow", time, 0.2, sorts=True)
    found = measured(Scripted("reference", time, 0.01), slow, time=time)
    assert round(6_000 / CORPUS.tokens.mean()) == found[1].texts


def test_tokens_and_operations_are_those_of_the_texts_of_the_round() -> None:
    time = [0.0]
    (found,) = measured(Scripted("reference", time, 0.0025), time=time)
    assert CORPUS.tokens.sum() == found.tokens
    assert pytest.approx(found.tokens) == found.tokens_per_second  # 400 texts took a second
    assert pytest.approx(found.tokens * 10.0) == found.flops_per_second


def test_another_one_begins_each_round() -> None:
    time = [0.0]
    order: list[str] = []

    class Noted(Scripted):
        def label(self, texts: Sequence[str]) -> Labels:
            order.append(self.name)
            return super().label(texts)

    measured(*(Noted(name, time, 0.01) for name in "abc"), time=time)
    assert list("abcbcacab") == order[-9:]


def test_the_same_labels_agree_and_a_flipped_one_counts_for_half_a_text() -> None:
    truth = np.array([[0, 5], [1, 6]])
    assert 1.0 == agreement(truth, truth)
    assert 0.75 == agreement(np.array([[0, 5], [2, 6]]), truth)


def test_below_99_percent_of_agreement_no_speed_is_reported_but_the_reason() -> None:
    time = [0.0]
    found = measured(
        Scripted("reference", time, 0.01),
        Scripted("one in sixty wrong", time, 0.01, wrong=60),
        Scripted("one in ten wrong", time, 0.01, wrong=10),
        time=time,
    )
    assert [200, 200, 200] == [one.compared for one in found]
    assert found[0].refusal is None and found[1].refusal is None
    assert found[1].agreement < 1
    assert found[2].agreement < 0.99
    assert "of 200 labels are the reference's" in (found[2].refusal or "")


def test_a_peer_that_raises_is_reported_and_the_others_go_on() -> None:
    time = [0.0]
    found = measured(
        Scripted("reference", time, 0.01), Broken("broken", time, 0.01), time=time, rounds=2
    )
    assert "failed: TypeError: unexpected keyword" == found[1].refusal
    assert [2, 0] == [len(one.rounds) for one in found]


def test_a_reference_that_raises_ends_the_run() -> None:
    time = [0.0]
    with pytest.raises(TypeError, match="unexpected keyword"):
        measured(Broken("reference", time, 0.01), time=time)


def test_a_ratio_is_of_one_round_so_that_a_slow_moment_cancels_out() -> None:
    rounds = [Round(1.0, 1.0), Round(4.0, 1.0)]
    fast = Measured("fast", "fp32", 10, 100, 1.0, 10.0, rounds)
    slow = Measured("slow", "fp32", 5, 50, 1.0, 10.0, rounds)
    assert [2.0, 2.0] == ratios(fast, slow)


def test_texts_are_counted_as_such_of_the_mean_length_of_the_corpus() -> None:
    found = Measured("short ones", "fp32", 10, 50, 200.0, 10.0, [Round(1.0, 2.0)])
    assert 5.0 == found.texts_per_second
    assert 50.0 == found.tokens_per_second
    assert 200.0 == found.flops_per_second
    assert 400.0 == found.cpu_per_thousand
