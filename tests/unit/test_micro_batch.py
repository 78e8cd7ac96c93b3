"""Micro-batches by token cost."""

from __future__ import annotations

import random
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from monitor.score.batch import plan


@settings(max_examples=200, deadline=None)
@given(st.lists(st.integers(1, 512), max_size=80), st.integers(1, 2048))
def test_every_text_is_in_one_batch_and_the_padded_cost_is_within_the_budget(
    lengths: list[int], budget: int
) -> None:
    batches = plan(lengths, budget)
    assert list(range(len(lengths))) == sorted(i for batch in batches for i in batch)
    for batch in batches:
        cost = len(batch) * max(lengths[i] for i in batch)
        assert cost <= budget or len(batch) == 1


@settings(max_examples=100, deadline=None)
@given(st.lists(st.integers(1, 512), max_size=80), st.integers(1, 2048))
def test_batches_go_from_short_to_long_and_no_two_neighbours_would_fit_together(
    lengths: list[int], budget: int
) -> None:
    batches = plan(lengths, budget)
    order = [lengths[i] for batch in batches for i in batch]
    assert sorted(order) == order
    for batch, following in pairwise(batches):
        assert lengths[following[0]] * (len(batch) + 1) > budget


def test_texts_of_equal_length_keep_their_order() -> None:
    assert [[1, 3], [0, 2]] == plan([9, 5, 9, 5], 18)


def test_nothing_is_no_batch() -> None:
    assert [] == plan([], 100)


def test_a_budget_of_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="must be positive, not 0"):
        plan([1], 0)


def test_sorting_by_length_saves_most_of_the_padding() -> None:
    rng = random.Random(3)
    lengths = [min(int(rng.lognormvariate(3.5, 0.8)) + 2, 256) for _ in range(512)]
    computed = sum(len(b) * max(lengths[i] for i in b) for b in plan(lengths, 1024))
    as_they_come = sum(16 * max(lengths[i : i + 16]) for i in range(0, 512, 16))
    assert computed < 1.1 * sum(lengths)
    assert computed < as_they_come / 2
