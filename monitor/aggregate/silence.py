"""How often a silence as long as this one is to be expected of a source.

A silence is measured in the documents that were expected meanwhile: so a night weighs nothing where
nobody speaks at night. In this measure the silences of a Poisson source are exponential with a mean
of 1; bursts and sessions make them longer. So the tail is fitted to the source's own: the excess
over a high level is exponential with an unknown mean (peaks over threshold; Coles, "An Introduction
to Statistical Modeling of Extreme Values", ch. 4). With a gamma prior on its rate the predictive
tail is Lomax: P(excess > x) = (b / (b + x))^a, with a the number and b the sum of the excesses
seen, and the prior's share of both. Of several levels the most cautious counts. What was misjudged
in the rates lengthens the silences that are learned from, and so takes care of itself.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

LEVELS: Floats = np.concatenate(([0.0], 0.5 * 2.0 ** (np.arange(18) / 2)))
"""Expected documents, from 0 to 181: over each of them silences are counted, and their excess."""
ENOUGH = 4.0
"""Decayed silences from which a level is trusted."""
PRIOR_SILENCES = 1.0
PRIOR_EXCESS = 2.0
"""The prior's share: one silence of twice a Poisson source's mean."""
MONTH_HOURS = 720.0


def record(counts: Floats, excess: Floats, silences: Floats, where: NDArray[np.bool_]) -> None:
    """Add one silence (expected documents, [sources]) of the sources ``where`` to their tails,
    [sources, levels] each, in place."""
    over = silences[:, np.newaxis] - LEVELS
    seen = (over >= 0) & where[:, np.newaxis]
    counts += seen
    excess += np.where(seen, over, 0.0)


def censor(excess: Floats, silence: float) -> None:
    """A silence of at least this length, whose end nobody waited for, of one source, in place."""
    excess += np.maximum(silence - LEVELS, 0.0)


def a_month(counts: Floats, excess: Floats, hours: Floats, silences: Floats) -> Floats:
    """Silences of at least this length to be expected in a month, [sources].

    ``hours``: decayed, as long as the tails were watched; ``silences``: expected documents.
    """
    n = counts
    x = np.maximum(silences[:, np.newaxis] - LEVELS, 0.0)
    often = (n + PRIOR_SILENCES) / np.maximum(hours, 1.0)[:, np.newaxis] * MONTH_HOURS
    found = often * np.exp(-(PRIOR_SILENCES + n) * np.log1p(x / (PRIOR_EXCESS + excess)))
    usable = (n >= ENOUGH) & (x > 0)
    usable[:, 0] = True
    highest: Floats = np.where(usable, found, 0.0).max(axis=1)
    return highest
