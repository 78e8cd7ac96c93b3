"""Scores of tags: of words, tag by tag, and of whole entities."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from models.evaluation.metrics import (
    ClassScore,
    Counts,
    accuracy,
    class_scores,
    confusion_matrix,
    weighted_f1,
)
from models.tokens.tags import OUTSIDE, TAGS, TYPES, spans

Tagged = Sequence[Sequence[str]]
"""The tags of each sentence."""


@dataclass(frozen=True, slots=True)
class TypeScores:
    """Scores of words by the type of their entity, O included, B- and I- taken as one."""

    types: dict[str, ClassScore]
    micro: float
    macro: ClassScore
    weighted: float


@dataclass(frozen=True, slots=True)
class Report:
    """Scores on tagged sentences. Micro F1 over all tags with O is the share of right tags."""

    words: int
    sentences: int
    tags: dict[str, ClassScore]
    micro: float
    macro: ClassScore  # the mean of precision, of recall and of F1 over the tags that occur
    weighted: float
    by_type: TypeScores
    entities: dict[str, ClassScore]  # by type
    entity_micro: ClassScore


_Spans = set[tuple[int, int, int, str]]  # sentence, first word, end, type


def report(truth: Tagged, predicted: Tagged) -> Report:
    """Score predicted tags against the true ones, both IOB2.

    An entity is found when its first word, its last word and its type are right. Source: Tjong Kim
    Sang & De Meulder 2003, "Introduction to the CoNLL-2003 Shared Task", section 2.5.
    """
    matrix = _confusion(truth, predicted, TAGS)
    scores = class_scores(matrix)
    bare = (OUTSIDE, *TYPES)
    whole = _confusion(_bare(truth), _bare(predicted), bare)
    type_scores = class_scores(whole)
    true_spans = {(i, *span) for i, tags in enumerate(truth) for span in spans(tags)}
    found_spans = {(i, *span) for i, tags in enumerate(predicted) for span in spans(tags)}
    return Report(
        words=int(matrix.sum()),
        sentences=len(truth),
        tags=dict(zip(TAGS, scores, strict=True)),
        micro=accuracy(matrix),
        macro=_mean(scores),
        weighted=weighted_f1(matrix),
        by_type=TypeScores(
            types=dict(zip(bare, type_scores, strict=True)),
            micro=accuracy(whole),
            macro=_mean(type_scores),
            weighted=weighted_f1(whole),
        ),
        entities={
            name: _score(
                {span for span in true_spans if span[-1] == name},
                {span for span in found_spans if span[-1] == name},
            )
            for name in TYPES
        },
        entity_micro=_score(true_spans, found_spans),
    )


def _bare(tagged: Tagged) -> Tagged:
    return [[tag[2:] or OUTSIDE for tag in tags] for tags in tagged]


def _confusion(truth: Tagged, predicted: Tagged, names: Sequence[str]) -> Counts:
    number = {name: i for i, name in enumerate(names)}
    wanted = np.array([number[tag] for tags in truth for tag in tags], dtype=np.int64)
    found = np.array([number[tag] for tags in predicted for tag in tags], dtype=np.int64)
    return confusion_matrix(wanted, found, len(names))


def _mean(scores: Sequence[ClassScore]) -> ClassScore:
    """Return the plain means over the classes that occur, and the number of all words."""
    present = [score for score in scores if score.support]
    return ClassScore(
        float(np.mean([s.precision for s in present])),
        float(np.mean([s.recall for s in present])),
        float(np.mean([s.f1 for s in present])),
        sum(s.support for s in scores),
    )


def _score(truth: _Spans, found: _Spans) -> ClassScore:
    hits = len(truth & found)
    return ClassScore(
        hits / max(1, len(found)),
        hits / max(1, len(truth)),
        2 * hits / max(1, len(found) + len(truth)),
        len(truth),
    )
