"""Temperature scaling: one divisor per head, fitted on texts the head was not trained on."""

import numpy as np

from models.evaluation.metrics import Counts, Floats


def fit_temperature(logits: Floats, truth: Counts) -> float:
    """Return the temperature in [0.05, 20] that minimises the negative log likelihood.

    Source: Guo et al. 2017, "On Calibration of Modern Neural Networks", section 4.2. It changes
    no predicted label, only how sure the model says it is.
    """
    # Imported here: inference needs `scaled` alone, and scipy.optimize takes 0.3 s.
    from scipy.optimize import minimize_scalar

    def loss(log_temperature: float) -> float:
        right = scaled(logits, float(np.exp(log_temperature)))[np.arange(len(truth)), truth]
        return float(-np.log(np.maximum(right, 1e-300)).mean())

    found = minimize_scalar(loss, bounds=(np.log(0.05), np.log(20.0)), method="bounded")
    return float(np.exp(found.x))


def scaled(logits: Floats, temperature: float) -> Floats:
    """Return the probabilities softmax(logits / temperature), [n, classes], rows summing to 1."""
    shifted = np.asarray(logits, dtype=np.float64) / temperature
    raised = np.exp(shifted - shifted.max(1, keepdims=True, initial=-np.inf))
    result: Floats = raised / raised.sum(1, keepdims=True)
    return result
