"""The length-aware buffer, and the search for bad texts."""

from __future__ import annotations

import random
from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from monitor.score.batch import Buffer, MicroBatch, Shape, isolate

LENGTHS = st.lists(st.integers(1, 512), max_size=80)
SHAPES = st.builds(Shape, st.integers(1, 2048), st.booleans(), st.sampled_from([1, 16]))


def filled(lengths: Sequence[int], shape: Shape, look_ahead: int = 512) -> Buffer[int]:
    """A buffer in which each text is its own number."""
    buffer: Buffer[int] = Buffer(shape, look_ahead)
    for number, length in enumerate(lengths):
        buffer.put(number, length)
    return buffer


def emptied(buffer: Buffer[int]) -> list[MicroBatch[int]]:
    batches = []
    while (batch := buffer.take()) is not None:
        batches.append(batch)
    return batches


@settings(max_examples=200, deadline=None)
@given(LENGTHS, SHAPES, st.integers(1, 100))
def test_every_text_goes_once_and_the_cost_is_within_the_budget(
    lengths: list[int], shape: Shape, look_ahead: int
) -> None:
    buffer = filled(lengths, shape, look_ahead)
    assert sum(lengths) == buffer.tokens
    batches = emptied(buffer)
    assert list(range(len(lengths))) == sorted(i for batch in batches for i in batch.items)
    assert (0, 0) == (len(buffer), buffer.tokens)
    for batch in batches:
        chosen = [lengths[i] for i in batch.items]
        assert shape.cost(sum(chosen), max(chosen), len(chosen)) == batch.cost
        assert batch.cost <= shape.budget or len(chosen) == 1


@settings(max_examples=200, deadline=None)
@given(st.data(), SHAPES, st.integers(1, 30))
def test_every_batch_holds_the_oldest_text_and_none_from_beyond_the_look_ahead(
    data: st.DataObject, shape: Shape, look_ahead: int
) -> None:
    """Texts come while batches go: a text waits at most for as many as were there before it."""
    buffer: Buffer[int] = Buffer(shape, look_ahead)
    waiting: list[int] = []
    number = 0
    for _ in range(data.draw(st.integers(1, 40))):
        for length in data.draw(st.lists(st.integers(1, 200), max_size=8)):
            buffer.put(number, length)
            waiting.append(number)
            number += 1
        batch = buffer.take()
        if batch is None:
            assert not waiting
            continue
        assert waiting[0] in batch.items
        assert set(batch.items) <= set(waiting[:look_ahead])
        waiting = [i for i in waiting if i not in batch.items]


@settings(max_examples=200, deadline=None)
@given(LENGTHS, SHAPES)
def test_a_batch_is_the_fullest_run_of_like_lengths_around_the_oldest(
    lengths: list[int], shape: Shape
) -> None:
    buffer = filled(lengths, shape)
    ordered = sorted((length, i) for i, length in enumerate(lengths))
    batch = buffer.take()
    if batch is None:
        return
    place = ordered.index((lengths[0], 0))
    fullest = max(
        (
            sum(length for length, _ in ordered[low : top + 1])
            for low in range(place + 1)
            for top in range(place, len(ordered))
            if shape.cost(
                sum(length for length, _ in ordered[low : top + 1]),
                ordered[top][0],
                top - low + 1,
            )
            <= shape.budget
        ),
        default=lengths[0],
    )
    taken = sum(lengths[i] for i in batch.items)
    if not shape.packed:
        assert fullest == taken
    elif len(batch.items) < len(lengths):  # filled, but for less than one more text
        assert taken + max(lengths) > shape.budget


@settings(max_examples=100, deadline=None)
@given(st.lists(st.integers(1, 100), min_size=1, max_size=40), SHAPES, st.integers(1, 20))
def test_what_a_device_gave_back_goes_next_and_in_its_order(
    lengths: list[int], shape: Shape, look_ahead: int
) -> None:
    buffer = filled(lengths, shape, look_ahead)
    first = buffer.take()
    assert first is not None
    lost = sorted(first.items)
    buffer.put_back([(i, lengths[i]) for i in lost])
    assert sum(lengths) == buffer.tokens
    again: list[int] = []
    while not set(lost) <= set(again):
        assert buffer.oldest == next(i for i in lost if i not in again)
        batch = buffer.take()
        assert batch is not None
        again += batch.items
    rest = [i for batch in emptied(buffer) for i in batch.items]
    assert list(range(len(lengths))) == sorted(again + rest)


def test_nothing_is_no_batch() -> None:
    buffer = filled([], Shape(100))
    assert (None, None) == (buffer.take(), buffer.oldest)


def test_what_is_cleared_is_gone() -> None:
    buffer = filled([3, 5, 8], Shape(100), look_ahead=2)
    buffer.clear()
    assert (0, 0, None) == (len(buffer), buffer.tokens, buffer.take())


def test_a_budget_and_a_look_ahead_of_nothing_are_refused() -> None:
    with pytest.raises(ValueError, match="must be positive, not 0"):
        Shape(0)
    with pytest.raises(ValueError, match="must be positive, not 0"):
        Buffer(Shape(1), 0)


def test_choosing_among_like_lengths_saves_most_of_the_padding() -> None:
    rng = random.Random(3)
    lengths = [
        rng.randint(8, 40) if rng.random() < 0.8 else rng.randint(100, 512) for _ in range(5_000)
    ]
    batches = emptied(filled(lengths, Shape(1024)))
    computed = sum(batch.cost for batch in batches)
    as_they_come = sum(32 * max(lengths[i : i + 32]) for i in range(0, 5_000, 32))
    assert computed < 1.15 * sum(lengths)
    assert computed < as_they_come / 4
    assert len(batches) < 1.3 * sum(lengths) / 1024


@settings(max_examples=200, deadline=None)
@given(st.lists(st.booleans(), min_size=1, max_size=64))
def test_halving_finds_exactly_the_bad_texts_and_judges_every_other_once(bad: list[bool]) -> None:
    calls = 0

    def judge(part: Sequence[int]) -> list[int]:
        nonlocal calls
        calls += 1
        if any(bad[i] for i in part):
            raise ValueError(f"in {list(part)}")
        return [i * i for i in part]

    sound, faults = isolate(range(len(bad)), judge)
    judged = {i: square for part, found in sound for i, square in zip(part, found, strict=True)}
    assert {i: i * i for i, b in enumerate(bad) if not b} == judged
    assert [i for i, b in enumerate(bad) if b] == sorted(i for i, _ in faults)
    assert all(str(error) == f"in [{i}]" for i, error in faults)
    if sum(bad) <= 1:
        assert calls <= 2 * max(1, (len(bad) - 1).bit_length())
