"""Verdicts find the documents that they are of."""

from __future__ import annotations

import numpy as np
from harness.samples import MONDAY, moment, scored

from monitor.events import TOPICS
from monitor.judged import judged
from monitor.score.base import Verdicts

DOCUMENTS = [scored(n).document for n in range(3)]
AT = moment(MONDAY + 9)


def verdicts() -> Verdicts:
    """Of three texts; the second could not be judged."""
    sentiment = np.array([[0.7, 0.2, 0.1], [np.nan] * 3, [0.1, 0.2, 0.7]], dtype=np.float32)
    topic = np.full((3, len(TOPICS)), 0.01, dtype=np.float32)
    topic[0, 4] = topic[2, 19] = 0.81
    topic[1] = np.nan
    return Verdicts(sentiment, topic, np.array([False, True, False]), ("too odd",), "m-1")


def test_each_document_gets_its_own_verdict_to_the_last_bit() -> None:
    (first, last), places, _ = judged(DOCUMENTS, verdicts(), AT)
    assert [DOCUMENTS[0], DOCUMENTS[2]] == [first.document, last.document]
    assert tuple(np.array([0.7, 0.2, 0.1], dtype=np.float32).tolist()) == first.sentiment
    assert [0, 2] == places
    assert [4, 19] == [first.topic, last.topic]
    assert float(np.float32(0.81)) == first.topic_confidence
    assert {("m-1", AT)} == {(s.model_version, s.scored_at) for s in (first, last)}


def test_what_the_model_could_not_judge_is_told_apart_with_its_error() -> None:
    _, _, failed = judged(DOCUMENTS, verdicts(), AT)
    assert [(DOCUMENTS[1], "too odd")] == failed


def test_no_documents_give_nothing() -> None:
    none = np.zeros(0, dtype=np.bool_)
    empty = np.zeros((0, 3), dtype=np.float32), np.zeros((0, len(TOPICS)), dtype=np.float32)
    assert ([], [], []) == judged([], Verdicts(*empty, none, (), "m-1"), AT)
