"""Scores of the sentiment towards entities, whole texts drawn anew for the intervals."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from models.evaluation.metrics import (
    ClassScore,
    Counts,
    Floats,
    Interval,
    accuracy,
    calibration_error,
    class_scores,
    confusion_matrix,
    macro_f1,
    percentile_interval,
)
from models.labels import SENTIMENTS
from models.manifest import ClassReport, NameReport, Score, TargetReport
from models.softmax import scaled
from models.tokens.report import Report

_CLASSES = len(SENTIMENTS)


@dataclass(frozen=True, slots=True)
class Against:
    """Targets judged by the head, and with the sentiment of their whole text each."""

    head: TargetReport
    texts: TargetReport
    difference: Interval
    """Macro-F1 of the head less that of the texts' sentiments, on the same drawn texts."""

    @property
    def record(self) -> TargetReport:
        """Return the head's report, with what it is to be held against."""
        return self.head.model_copy(update={"as_text": self.texts.macro_f1})


def report(truth: Counts, logits: Floats, owners: Counts, temperature: float = 1.0) -> TargetReport:
    """Return the report on entities; the text that each belongs to is in `owners`.

    Entities of a text are judged in one go, so that intervals come from drawing texts, not
    entities, with replacement: 1,000 rounds with a fixed seed, the central 95 %.

    Args:
        truth: [n], in the order of SENTIMENTS.
        logits: [n, 3].
        owners: [n], number of the text.
        temperature: for the calibration error after scaling.
    """
    predicted = logits.argmax(1)
    draws = _draws(truth, predicted, owners)
    matrix = confusion_matrix(truth, predicted, _CLASSES)
    return TargetReport(
        targets=len(truth),
        accuracy=_score(percentile_interval(accuracy(matrix), _accuracies(draws))),
        macro_f1=_score(percentile_interval(macro_f1(matrix), _macros(draws))),
        ece_before=_r(calibration_error(scaled(logits, 1.0), truth)),
        ece_after=_r(calibration_error(scaled(logits, temperature), truth)),
        classes={
            name: _class(score)
            for name, score in zip(SENTIMENTS, class_scores(matrix), strict=True)
        },
    )


def name_record(found: Report) -> NameReport:
    """Return the scores of whole names as what a manifest holds."""
    return NameReport(
        texts=found.sentences,
        all=_class(found.entity_micro),
        types={kind: _class(score) for kind, score in found.entities.items() if score.support},
    )


def against(
    truth: Counts, logits: Floats, of_texts: Floats, owners: Counts, temperature: float = 1.0
) -> Against:
    """Return the reports on the head's logits and on those of the texts, and their difference."""
    first = _draws(truth, logits.argmax(1), owners)
    second = _draws(truth, of_texts.argmax(1), owners)  # the same texts in each round
    values = [
        macro_f1(confusion_matrix(truth, found.argmax(1), _CLASSES)) for found in (logits, of_texts)
    ]
    return Against(
        report(truth, logits, owners, temperature),
        report(truth, of_texts, owners),
        percentile_interval(values[0] - values[1], _macros(first) - _macros(second)),
    )


def _draws(
    truth: Counts, predicted: Counts, owners: Sequence[int] | Counts, rounds: int = 1000
) -> npt.NDArray[np.int64]:
    """Return confusion matrices of drawn texts, [rounds, classes, classes]."""
    texts, places = np.unique(owners, return_inverse=True)
    cells = np.zeros((len(texts), _CLASSES * _CLASSES), dtype=np.int64)
    np.add.at(cells, (places, truth * _CLASSES + predicted), 1)
    times = np.random.default_rng(0).multinomial(
        len(texts), np.full(len(texts), 1 / len(texts)), size=rounds
    )
    return (times @ cells).reshape(rounds, _CLASSES, _CLASSES)


def _accuracies(matrices: npt.NDArray[np.int64]) -> Floats:
    found: Floats = np.trace(matrices, axis1=1, axis2=2) / np.maximum(1, matrices.sum((1, 2)))
    return found


def _macros(matrices: npt.NDArray[np.int64]) -> Floats:
    return np.array([macro_f1(matrix) for matrix in matrices])


def _class(found: ClassScore) -> ClassReport:
    return ClassReport(
        precision=_r(found.precision),
        recall=_r(found.recall),
        f1=_r(found.f1),
        support=found.support,
    )


def _score(found: Interval) -> Score:
    return Score(value=_r(found.value), low=_r(found.low), high=_r(found.high))


def _r(value: float) -> float:
    return round(value, 4)
