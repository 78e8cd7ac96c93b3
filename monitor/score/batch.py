"""Packing texts into micro-batches by token cost: pure."""

from __future__ import annotations

from collections.abc import Sequence


def plan(lengths: Sequence[int], budget: int) -> list[list[int]]:
    """Indices of the texts of each micro-batch, every index exactly once.

    Texts are sorted by length, so that a micro-batch pads little; its cost is what the padded
    forward pass computes, ``longest × rows``, and stays within ``budget`` tokens (a text that alone
    costs more goes alone). Batches of texts as they arrive pad more than five times over.
    """
    if budget < 1:
        raise ValueError(f"the token budget must be positive, not {budget}")
    batches: list[list[int]] = []
    current: list[int] = []
    for index in sorted(range(len(lengths)), key=lengths.__getitem__):
        # Ascending order: the text just added is the longest of its batch.
        if current and lengths[index] * (len(current) + 1) > budget:
            batches.append(current)
            current = []
        current.append(index)
    if current:
        batches.append(current)
    return batches
