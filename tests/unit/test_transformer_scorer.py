"""The model behind its protocol: one bad text is found, a dead model is told from bad texts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import numpy as np
import pytest

from models.predict import Predictor, Probabilities
from monitor.errors import ScoringError
from monitor.score.transformer import TransformerScorer


class ScriptedPredictor:
    """Stands in for the network: tokens are characters, the first one decides the verdict.

    A text with ``!`` raises, one with ``?`` gives NaN; after ``lives`` predictions all raise.
    """

    version = "scripted-1"

    def __init__(self, lives: int | None = None) -> None:
        self.lives = lives
        self.budgets: set[int] = set()
        self.calls: list[int] = []
        self.nan_topics = False

    def encode(self, texts: Sequence[str]) -> list[list[int]]:
        return [[1, *map(ord, text), 2] for text in texts]

    def predict(self, ids: Sequence[Sequence[int]], *, budget: int = 0) -> Probabilities:
        self.budgets.add(budget)
        self.calls.append(len(ids))
        if self.lives is not None and len(self.calls) > self.lives:
            raise RuntimeError("device-side assert triggered")
        if any(ord("!") in row for row in ids):
            raise ValueError("cannot embed this")
        sentiment = np.zeros((len(ids), 3), np.float32)
        topic = np.zeros((len(ids), 20), np.float32)
        for i, row in enumerate(ids):
            sentiment[i, row[1] % 3] = topic[i, row[1] % 20] = 1.0
            if ord("?") in row:
                sentiment[i] = np.nan
        return Probabilities(sentiment, topic * np.float32(np.nan) if self.nan_topics else topic)


def scorer(predictor: ScriptedPredictor, tokens: int = 64) -> TransformerScorer:
    """A scorer over the scripted network."""
    return TransformerScorer(cast("Predictor", predictor), tokens)


def test_verdicts_come_in_the_order_of_the_texts_whatever_the_batches() -> None:
    texts = ["b" * 30, "a", "ccc", "d" * 12, "e"]
    found = scorer(ScriptedPredictor()).score(texts)
    assert [ord(t[0]) % 3 for t in texts] == found.sentiment.argmax(axis=1).tolist()
    assert [ord(t[0]) % 20 for t in texts] == found.topic.argmax(axis=1).tolist()
    assert not found.failed.any()
    assert () == found.errors
    assert "scripted-1" == found.model_version


def test_a_text_of_many_windows_is_judged_within_the_budget_of_a_micro_batch() -> None:
    predictor = ScriptedPredictor()
    scorer(predictor, tokens=48).score(["a" * 500, "b"])
    assert [1, 1] == predictor.calls
    assert {48} == predictor.budgets


def test_bisection_finds_the_bad_text_and_judges_all_others() -> None:
    texts = [f"text {i}" for i in range(16)]
    texts[11] = "text !"
    predictor = ScriptedPredictor()
    found = scorer(predictor, tokens=10_000).score(texts)
    assert [11] == np.flatnonzero(found.failed).tolist()
    assert ("ValueError: cannot embed this",) == found.errors
    assert np.isnan(found.sentiment[11]).all() and np.isnan(found.topic[11]).all()
    assert np.isfinite(np.delete(found.sentiment, 11, axis=0)).all()
    # 16, then two halves on each of four levels, then the probe.
    assert 1 + 2 * 4 + 1 == len(predictor.calls)


def test_two_bad_texts_have_an_error_each_in_their_order() -> None:
    found = scorer(ScriptedPredictor()).score(["?", "fine", "a long text that is also bad !"])
    assert [0, 2] == np.flatnonzero(found.failed).tolist()
    assert ["FloatingPointError", "ValueError"] == [e.split(":")[0] for e in found.errors]


def test_output_that_is_not_finite_fails_only_its_own_text() -> None:
    found = scorer(ScriptedPredictor()).score(["a", "b?", "c"])
    assert [False, True, False] == found.failed.tolist()
    assert "not finite" in found.errors[0]


def test_a_batch_of_bad_texts_alone_is_not_a_dead_model() -> None:
    found = scorer(ScriptedPredictor()).score(["!", "!!"])
    assert [True, True] == found.failed.tolist()


def test_a_dead_model_raises() -> None:
    with pytest.raises(ScoringError, match=r"scripted-1 judges nothing.*restart the daemon"):
        scorer(ScriptedPredictor(lives=0)).score(["a", "b"])


def test_a_model_that_dies_half_way_raises_instead_of_blaming_the_rest() -> None:
    with pytest.raises(ScoringError):
        scorer(ScriptedPredictor(lives=2), tokens=32).score([f"text {i}" for i in range(10)])


@pytest.mark.parametrize("head", ["sentiment", "topic"])
def test_damaged_weights_are_found_at_the_warm_up(head: str) -> None:
    predictor = ScriptedPredictor()
    predictor.nan_topics = head == "topic"
    if head == "sentiment":
        predictor.encode = lambda texts: [[1, ord("?"), 2] for _ in texts]  # type: ignore[method-assign]
    with pytest.raises(ScoringError, match="weights are damaged"):
        scorer(predictor).warmup()


def test_every_micro_batch_is_reported_with_its_padding() -> None:
    told: list[tuple[int, int]] = []
    predictor = cast("Predictor", ScriptedPredictor())
    reporting = TransformerScorer(predictor, 64, lambda n, tokens: told.append((n, tokens)))
    reporting.score(["a" * 14, "b" * 30, "c" * 94, "d" * 30])
    assert [(2, 64), (1, 32), (1, 96)] == told


def test_lengths_are_those_the_model_reads() -> None:
    assert [3, 6] == scorer(ScriptedPredictor()).lengths(["a", "abcd"])


def test_no_text_is_no_verdict() -> None:
    found = scorer(ScriptedPredictor()).score([])
    assert ((0, 3), (0, 20), ()) == (found.sentiment.shape, found.topic.shape, found.errors)
