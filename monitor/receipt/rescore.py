"""The verdicts on the texts of an alert's documents, given again by the model."""

from __future__ import annotations

from monitor.receipt.audit import Check, Outcome
from monitor.receipt.base import Receipt
from monitor.score.base import Scorer
from monitor.store.receipts.base import Receipts

TOLERANCE = 0.01
"""Largest difference of a probability that is taken for the same verdict: the last digits depend on
the device, on its number type and on which texts share a micro-batch."""


def rescored(receipt: Receipt, receipts: Receipts, scorer: Scorer) -> Check:
    """Judge the stored texts again. Whoever is named: it is the sentiment of the text as a whole
    that is compared. Raises ``StoreError`` and ``ScoringError``."""
    then = receipt.figures.model_version
    if scorer.model_version != then:
        said = f"the weights are {scorer.model_version} now, {then} then: nothing is judged again"
        return Check("verdicts", Outcome.CHANGED, said)
    mine = {entry.id for entry in receipt.documents if entry.model_version == then}
    judged = receipts.texts(sorted(mine))
    verdicts = scorer.score([text.content for text in judged])
    off = {
        text.id: max(abs(float(a) - b) for a, b in zip(row, text.sentiment, strict=True))
        for text, row in zip(judged, verdicts.sentiment, strict=True)
    }
    # A text that the model cannot judge any more has no number.
    differing = [name for name, by in off.items() if not by <= TOLERANCE]
    if differing:
        named = ", ".join(differing[:5]) + (" …" if len(differing) > 5 else "")
        said = f"{len(differing)} of {len(judged)} texts are judged otherwise: {named}"
        return Check("verdicts", Outcome.DIFFERS, said)
    said = (
        f"{len(judged)} of {len(receipt.documents)} texts judged again by {then}: none differs by "
        f"more than {TOLERANCE:g}, the most by {max(off.values(), default=0.0):.1e}"
    )
    return Check("verdicts", Outcome.SAME, said)
