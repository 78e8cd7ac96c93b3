"""Whether a packed pass gives what the padded one gives; asked of every model that is loaded."""

from typing import Final

import numpy as np
import torch

from models.packed.forward import Forward

TOLERANCE: Final = {torch.float32: 1e-4, torch.bfloat16: 0.25}
"""Largest difference of two logits; 16 bits round differently in every order of summation."""

_LENGTHS: Final = (3, 3, 4, 17, 17, 40, 64, 128)


def difference(one: Forward, other: Forward, *, vocabulary: int, pad_id: int, limit: int) -> float:
    """Return the largest difference of the logits of rows of several lengths; infinite for NaN.

    The rows are of random ids, the same in every process, and none of their ids is padding.
    """
    generator = np.random.default_rng(7)
    ids = np.setdiff1d(np.arange(vocabulary, dtype=np.int32), [pad_id])
    rows = [generator.choice(ids, min(length, limit)) for length in _LENGTHS]
    budget = sum(map(len, rows))
    found = np.abs(one.begin(rows, budget)() - other.begin(rows, budget)()).max()
    return float(found) if np.isfinite(found) else float("inf")
