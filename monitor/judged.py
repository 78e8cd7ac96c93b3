"""Documents and the scorer's verdicts become scored documents: pure, a whole batch at once."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from monitor.events import Document, Scored
from monitor.score.base import Verdicts
from monitor.tuples import maker

_scored = maker(Scored)
_UNTOLD = tuple(Scored._field_defaults.values())
"""What is not known yet: story, copy, names."""


def judged(
    documents: Sequence[Document], verdicts: Verdicts, scored_at: datetime
) -> tuple[list[Scored], list[int], list[tuple[Document, str]]]:
    """The scored documents with their places in ``verdicts``, and with its error each that the
    model could not judge; all in order.

    ``verdicts`` are of the documents' texts, in their order.
    """
    topics = verdicts.topic.argmax(axis=1)
    confidences = verdicts.topic.max(axis=1).tolist()
    rows = zip(
        documents,
        verdicts.failed.tolist(),
        verdicts.sentiment.tolist(),
        topics.tolist(),
        confidences,
        strict=True,
    )
    errors = iter(verdicts.errors)
    version = verdicts.model_version
    scored: list[Scored] = []
    places: list[int] = []
    failed: list[tuple[Document, str]] = []
    for place, (document, broken, (negative, neutral, positive), topic, confidence) in enumerate(
        rows
    ):
        if broken:
            failed.append((document, next(errors)))
        else:
            sentiment = (negative, neutral, positive)
            scored.append(
                _scored((document, sentiment, topic, confidence, version, scored_at, *_UNTOLD))
            )
            places.append(place)
    return scored, places, failed
