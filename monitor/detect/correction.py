"""The share behind the verdicts: corrected for the errors that the model is known to make.

Of N texts a share q is judged negative. With sensitivity t = P(judged negative | negative) and
fallout f = P(judged negative | not negative), q = π·t + (1 − π)·f, so π = (q − f) / (t − f): Rogan
and Gladen, "Estimating prevalence from the results of a screening test", American Journal of
Epidemiology, 1978. t and f were counted on labelled texts, so they have errors of their own; the
interval has all three, by the delta method.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from monitor.keys import is_named

Z = 1.645
"""One-sided 95 %."""


class Estimate(NamedTuple):
    """A share and its interval."""

    value: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Correction:
    """What is known of the errors of one model, for one sort of verdict."""

    sensitivity: float
    fallout: float
    negatives: int
    """Labelled texts that were negative …"""
    others: int
    """… and that were not."""

    @classmethod
    def of(cls, confusion: Sequence[Sequence[int]], negative: int = 0) -> Correction | None:
        """From counts whose rows are the true and whose columns the predicted classes.

        None where they say nothing: a class without texts, or a model no better than chance.
        """
        total = sum(map(sum, confusion))
        positives = sum(confusion[negative])
        hits = confusion[negative][negative]
        others = total - positives
        false = sum(row[negative] for row in confusion) - hits
        if not positives or not others or hits / positives <= false / others:
            return None
        return cls(hits / positives, false / others, positives, others)

    @classmethod
    def of_rates(
        cls, precision: float, recall: float, negatives: int, texts: int
    ) -> Correction | None:
        """From the scores of the class, which ``negatives`` of so many ``texts`` are of."""
        hits = recall * negatives
        false = hits * (1 / precision - 1) if precision > 0 else 0.0
        others = texts - negatives
        if negatives <= 0 or others <= 0 or recall <= false / others:
            return None
        return cls(recall, false / others, negatives, others)

    def share(self, judged: float) -> float:
        """The share behind one that was judged."""
        true = (judged - self.fallout) / (self.sensitivity - self.fallout)
        return min(max(true, 0.0), 1.0)

    def estimate(self, negative: int, documents: int) -> Estimate:
        """The share behind ``negative`` of so many ``documents``, one at least."""
        judged = negative / documents
        true = self.share(judged)
        # Agresti and Coull's two and two: nought of five is not certainly nought.
        smooth = (negative + 2) / (documents + 4)
        variance = (
            smooth * (1 - smooth) / (documents + 4)
            + true**2 * _variance(self.sensitivity, self.negatives)
            + (1 - true) ** 2 * _variance(self.fallout, self.others)
        )
        spread = Z * math.sqrt(variance) / (self.sensitivity - self.fallout)
        return Estimate(true, max(true - spread, 0.0), min(true + spread, 1.0))


UNCORRECTED = Correction(1.0, 0.0, 1_000_000_000, 1_000_000_000)
"""Verdicts are taken as they are, and the interval is that of the sample alone."""


def rate_bounds(voices: int, per_hour: float) -> tuple[float, float]:
    """Bounds of so many voices an hour by their number alone: Byar's approximation to the exact
    ones of a Poisson count (Breslow and Day, "Statistical Methods in Cancer Research" II, 1987).

    Voices come in clumps, so that the truth may lie farther off.
    """
    if voices <= 0 or per_hour <= 0:
        return 0.0, 0.0
    above = voices + 1
    low = voices * (1 - 1 / (9 * voices) - Z / (3 * math.sqrt(voices))) ** 3
    high = above * (1 - 1 / (9 * above) + Z / (3 * math.sqrt(above))) ** 3
    hours = voices / per_hour
    return max(low, 0.0) / hours, high / hours


class Corrections:
    """Of every model that has judged in this process, by version. Safe to call from any thread."""

    def __init__(self) -> None:
        self._texts: dict[str, Correction] = {}
        self._targets: dict[str, Correction] = {}

    def note(
        self, model_version: str, texts: Correction | None, targets: Correction | None
    ) -> None:
        """What is known of a version: of its verdicts on texts, and of those towards what they
        name."""
        if texts is not None:
            self._texts[model_version] = texts
        if targets is not None:
            self._targets[model_version] = targets

    def of(self, key: str, model_version: str) -> Correction:
        """The correction of the verdicts that count for a key."""
        found = self._targets.get(model_version) if is_named(key) else None
        return found or self._texts.get(model_version, UNCORRECTED)


def _variance(share: float, texts: int) -> float:
    smooth = (share * texts + 2) / (texts + 4)
    return smooth * (1 - smooth) / (texts + 4)
