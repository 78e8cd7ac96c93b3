"""Reports: how a head judges labelled texts, from its logits."""

from models.dataset.corpus import Corpus
from models.evaluation.calibrate import scaled
from models.evaluation.metrics import (
    Counts,
    Floats,
    bootstrap,
    calibration_error,
    class_scores,
    confusion_matrix,
)
from models.labels import LABELS, Task
from models.manifest import ClassReport, Report, Score
from models.network import sorted_batches
from models.predict import Predictor


def report(task: Task, logits: Floats, truth: Counts, temperature: float) -> Report:
    """Return the report of one head: logits [n, classes], truth [n] in label order.

    Intervals are 95 % percentile bootstrap intervals of 1,000 rounds with a fixed seed.
    """
    names = LABELS[task]
    predicted = logits.argmax(1)
    matrix = confusion_matrix(truth, predicted, len(names))
    intervals = {
        name: Score(value=_r(i.value), low=_r(i.low), high=_r(i.high))
        for name, i in bootstrap(truth, predicted, len(names)).items()
    }
    return Report(
        texts=len(truth),
        accuracy=intervals["accuracy"],
        macro_f1=intervals["macro_f1"],
        weighted_f1=intervals["weighted_f1"],
        ece_before=_r(calibration_error(scaled(logits, 1.0), truth)),
        ece_after=_r(calibration_error(scaled(logits, temperature), truth)),
        classes={
            name: ClassReport(
                precision=_r(s.precision), recall=_r(s.recall), f1=_r(s.f1), support=s.support
            )
            for name, s in zip(names, class_scores(matrix), strict=True)
        },
        confusion=tuple(tuple(int(n) for n in row) for row in matrix),
    )


def evaluate(predictor: Predictor, corpus: Corpus, *, budget: int = 4_096) -> Report:
    """Return how a loaded model judges a corpus; batches of at most `budget` padded tokens."""
    rows = predictor.encode(corpus.texts)
    logits = sorted_batches(rows, budget, predictor.logits)[corpus.task]
    temperature = predictor.manifest.heads[corpus.task].temperature
    return report(corpus.task, logits, corpus.labels, temperature)


def _r(value: float) -> float:
    return round(value, 4)
