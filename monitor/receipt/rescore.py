"""The verdicts on the texts of an alert's documents, given again by the model."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from monitor.keys import is_named
from monitor.receipt.base import Receipt
from monitor.receipt.check import Check, Outcome
from monitor.score.base import Scorer
from monitor.store.receipts.base import JudgedText, Receipts

TOLERANCE = 0.01
"""Largest difference of a probability that is taken for the same verdict: the last digits depend on
the device, on its number type and on which texts share a micro-batch."""


def rescored(
    receipt: Receipt,
    receipts: Receipts,
    scorer: Scorer,
    elsewhere: Mapping[str, str] | None = None,
) -> Check:
    """Judge the stored texts again. Whoever is named: it is the sentiment of the text as a whole
    that is compared.

    ``elsewhere`` are texts by the id of their document, with the receipt's hash, for those that are
    not stored any more. Raises ``StoreError`` and ``ScoringError``.
    """
    then = receipt.figures.model_version
    if scorer.model_version != then:
        said = f"the weights are {scorer.model_version} now, {then} then: nothing is judged again"
        return Check("verdicts", Outcome.CHANGED, said)
    judged = list(_texts(receipt, receipts, elsewhere or {}))
    verdicts = scorer.score([text.content for text, _ in judged])
    off = {
        text.id: max(abs(float(a) - b) for a, b in zip(row, text.sentiment, strict=True))
        for (text, _), row in zip(judged, verdicts.sentiment, strict=True)
    }
    # A text that the model cannot judge any more has no number.
    differing = [name for name, by in off.items() if not by <= TOLERANCE]
    if differing:
        named = ", ".join(differing[:5]) + (" …" if len(differing) > 5 else "")
        said = f"{len(differing)} of {len(judged)} texts are judged otherwise: {named}"
        return Check("verdicts", Outcome.DIFFERS, said)
    fetched = sum(here for _, here in judged)
    said = (
        f"{len(judged)} of {len(receipt.documents)} texts judged again by {then}"
        f"{f', {fetched} of them as they lie in Kafka' if fetched else ''}: none differs by "
        f"more than {TOLERANCE:g}, the most by {max(off.values(), default=0.0):.1e}"
    )
    return Check("verdicts", Outcome.SAME, said)


def _texts(
    receipt: Receipt, receipts: Receipts, elsewhere: Mapping[str, str]
) -> Iterator[tuple[JudgedText, bool]]:
    """The texts that this model judged, as far as there are any, with the verdicts of then, and
    whether they are from ``elsewhere``."""
    then, named = receipt.figures.model_version, is_named(receipt.figures.key)
    mine = {e.id: e for e in receipt.documents if e.model_version == then}
    stored = {text.id: text for text in receipts.texts(sorted(mine))}
    for name, entry in sorted(mine.items()):
        text, other = stored.get(name), elsewhere.get(name)
        if text is not None and text.content:
            yield text, False
        elif other is not None and text is not None:
            yield text._replace(content=other), True
        elif other is not None and not named:  # else the receipt has what is said of the named
            yield JudgedText(name, other, entry.sentiment), True
