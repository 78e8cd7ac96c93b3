"""Probabilities from logits; numpy only."""

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]


def scaled(logits: Floats, temperature: float) -> Floats:
    """Return the probabilities softmax(logits / temperature), [n, classes], rows summing to 1."""
    shifted = np.asarray(logits, dtype=np.float64) / temperature
    raised = np.exp(shifted - shifted.max(1, keepdims=True, initial=-np.inf))
    result: Floats = raised / raised.sum(1, keepdims=True)
    return result
