"""Calibration: a temperature for each head, fitted on texts the head was not trained on."""

from collections.abc import Mapping, Sequence

import numpy as np

from models.errors import ModelError
from models.evaluation.metrics import Counts, Floats, calibration_error
from models.softmax import scaled


def fit_temperature(logits: Floats, truth: Counts, weights: Floats | None = None) -> float:
    """Return the temperature in [0.05, 20] that minimises the negative log likelihood.

    Source: Guo et al. 2017, "On Calibration of Modern Neural Networks", section 4.2. It changes
    no predicted label, only how sure the model says it is.

    Args:
        logits: [n, classes].
        truth: [n], index of the true class.
        weights: [n], what each text counts (see `source_weights`); default: all alike.
    """
    # Imported here: scipy.optimize takes 0.3 s, and commands without a fit do not need it.
    from scipy.optimize import minimize_scalar

    def loss(log_temperature: float) -> float:
        right = scaled(logits, float(np.exp(log_temperature)))[np.arange(len(truth)), truth]
        return float(-np.average(np.log(np.maximum(right, 1e-300)), weights=weights))

    found = minimize_scalar(loss, bounds=(np.log(0.05), np.log(20.0)), method="bounded")
    return float(np.exp(found.x))


def source_weights(sources: Sequence[str], shares: Mapping[str, float] | None = None) -> Floats:
    """Return a weight for each text, [n], mean 1, so that each source counts by its share.

    A temperature fitted on texts that come mostly from one register fits that register: with
    these weights the number of texts of a source no longer decides.

    Args:
        sources: the source or register of each text, [n].
        shares: what each source counts, in any unit; default: all alike.

    Raises:
        ModelError: a source without a share, or shares that are negative or all zero.
    """
    names, index, counts = np.unique(np.asarray(sources), return_inverse=True, return_counts=True)
    if shares is None:
        wanted = np.ones(len(names))
    else:
        if missing := sorted({str(name) for name in names} - set(shares)):
            raise ModelError(
                f"no share given for the source(s) {', '.join(missing)}; give one for each of"
                f" {', '.join(map(str, names))}"
            )
        wanted = np.asarray([shares[str(name)] for name in names], dtype=np.float64)
        if (wanted < 0).any() or wanted.sum() <= 0:
            raise ModelError("the shares of the sources must be at least 0 and not all 0")
    result: Floats = (wanted / wanted.sum() / counts * len(sources))[index]
    return result


def error_by_source(
    probabilities: Floats, truth: Counts, sources: Sequence[str]
) -> dict[str, float]:
    """Return the expected calibration error of each source's texts, sources in order of name."""
    names = np.asarray(sources)
    return {
        str(name): calibration_error(probabilities[names == name], truth[names == name])
        for name in np.unique(names)
    }
