"""Whether a packed pass gives what the padded one gives; asked of every model that is loaded."""

from typing import Final

import numpy as np
import torch

from models.packed.forward import Forward
from models.spans.encoded import Ints
from models.spans.shapes import SHAPES, SPECIAL

TOLERANCE: Final = {torch.float32: 1e-4, torch.bfloat16: 0.25}
"""Largest difference of two logits; 16 bits round differently in every order of summation."""

_LENGTHS: Final = (3, 3, 4, 17, 17, 40, 64, 128)


def difference(
    one: Forward,
    other: Forward,
    *,
    vocabulary: int,
    pad_id: int,
    limit: int,
    tokens: bool = False,
) -> float:
    """Return the largest difference of the logits of rows of several lengths; infinite for NaN.

    The rows are of random ids, the same in every process, and none of their ids is padding. With
    `tokens` the logits of each token count too, whose words are written in random ways.
    """
    generator = np.random.default_rng(7)
    ids = np.setdiff1d(np.arange(vocabulary, dtype=np.int32), [pad_id])
    rows = [generator.choice(ids, min(length, limit)) for length in _LENGTHS]
    shapes = [random_shapes(generator, len(row)) for row in rows] if tokens else None
    budget = sum(map(len, rows))
    a, b = (forward.begin(rows, budget, shapes)() for forward in (one, other))
    found = np.abs(a.rows - b.rows).max()
    if a.tokens is not None and b.tokens is not None:
        found = np.maximum(found, np.abs(a.tokens - b.tokens).max())
    return float(found) if np.isfinite(found) else float("inf")


def random_shapes(generator: np.random.Generator, length: int) -> Ints:
    """Return shapes of a row's tokens, which has a special one at either end as all rows have."""
    found: Ints = generator.integers(0, SHAPES, length, np.int32)
    found[0] = found[-1] = SPECIAL
    return found
