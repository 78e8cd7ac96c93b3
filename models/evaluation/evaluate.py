"""Reports: how a head judges labelled texts, from its logits."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from models.dataset.corpus import Corpus
from models.evaluation.calibrate import error_by_source
from models.evaluation.metrics import (
    Counts,
    Floats,
    bootstrap,
    calibration_error,
    class_scores,
    confusion_matrix,
)
from models.evaluation.reliability import (
    Bin,
    brier,
    classwise_error,
    log_loss,
    reliability_bins,
)
from models.evaluation.selection import RiskCoverage, risk_coverage
from models.evaluation.slices import Slice, slices
from models.evaluation.vector import Alternative, compare
from models.labels import LABELS, Task
from models.manifest import ClassReport, Report, Score
from models.network import sorted_batches
from models.predict import Predictor
from models.softmax import scaled

SLICED = ("source", "kind", "register")
"""Columns of a corpus whose values are slices of their own."""


@dataclass(frozen=True, slots=True)
class Evaluation:
    """All that `python -m models evaluate --out` writes about one head."""

    task: Task
    file: str
    sha256: str
    report: Report
    temperature: float
    reliability_before: tuple[Bin, ...]
    reliability_after: tuple[Bin, ...]
    risk_coverage: RiskCoverage
    slices: tuple[Slice, ...]
    calibrations: tuple[Alternative, ...]


def sources_of(corpus: Corpus) -> tuple[str, ...]:
    """Return the source of each text, [n]: the first of source, register and kind that it names.

    Texts that name none count as one source, called like the file. Empty where no text names one.
    """
    names = ("source", "register", "kind")
    columns = [corpus.attributes[name] for name in names if name in corpus.attributes]
    cells = [next((c[row] for c in columns if c[row]), "") for row in range(len(corpus))]
    if not any(cells):
        return ()
    return tuple(cell or corpus.path.stem for cell in cells)


def origins_of(corpus: Corpus) -> tuple[str, ...]:
    """Return where each text comes from, [n]: its source where it names one, else its file."""
    named = corpus.attributes.get("source", ("",) * len(corpus))
    return tuple(name or file.name for name, file in zip(named, files_of(corpus), strict=True))


def files_of(corpus: Corpus) -> tuple[Path, ...]:
    """Return the file that each text was read from, [n]."""
    return tuple(Path(corpus.place(row).rpartition(", ")[0]) for row in range(len(corpus)))


def report(
    task: Task,
    logits: Floats,
    truth: Counts,
    temperature: float,
    sources: Sequence[str] = (),
) -> Report:
    """Return the report of one head: logits [n, classes], truth [n] in label order.

    Intervals are 95 % percentile bootstrap intervals of 1,000 rounds with a fixed seed. With two
    `sources` or more, [n], the calibration error is given for each of them as well.
    """
    names = LABELS[task]
    predicted = logits.argmax(1)
    matrix = confusion_matrix(truth, predicted, len(names))
    intervals = {
        name: Score(value=_r(i.value), low=_r(i.low), high=_r(i.high))
        for name, i in bootstrap(truth, predicted, len(names)).items()
    }
    after = scaled(logits, temperature)
    curve = risk_coverage(after, truth)
    by_source = error_by_source(after, truth, sources) if len(set(sources)) > 1 else {}
    return Report(
        texts=len(truth),
        accuracy=intervals["accuracy"],
        macro_f1=intervals["macro_f1"],
        weighted_f1=intervals["weighted_f1"],
        ece_before=_r(calibration_error(scaled(logits, 1.0), truth)),
        ece_after=_r(calibration_error(after, truth)),
        classes={
            name: ClassReport(
                precision=_r(s.precision), recall=_r(s.recall), f1=_r(s.f1), support=s.support
            )
            for name, s in zip(names, class_scores(matrix), strict=True)
        },
        confusion=tuple(tuple(int(n) for n in row) for row in matrix),
        classwise_ece=_r(classwise_error(after, truth)),
        brier=_r(brier(after, truth)),
        nll=_r(log_loss(after, truth)),
        aurc=_r(curve.aurc),
        coverage_at_5=_r(curve.coverage_at["0.05"]),
        coverage_at_10=_r(curve.coverage_at["0.1"]),
        ece_by_source={name: _r(value) for name, value in by_source.items()},
    )


def evaluate(predictor: Predictor, corpus: Corpus, *, budget: int = 4_096) -> Report:
    """Return how a loaded model judges a corpus; batches of at most `budget` padded tokens."""
    temperature = predictor.manifest.heads[corpus.task].temperature
    logits = logits_of(predictor, corpus, budget)
    return report(corpus.task, logits, corpus.labels, temperature, sources_of(corpus))


def examine(
    predictor: Predictor,
    corpus: Corpus,
    *,
    budget: int = 4_096,
    observer: Callable[[int, int], None] = lambda _done, _total: None,
) -> Evaluation:
    """Return the report with its curves, slices and a comparison of calibrations.

    Batches hold at most `budget` padded tokens; the observer is told after each how many texts
    are judged, and of how many.
    """
    task, truth = corpus.task, corpus.labels
    logits = logits_of(predictor, corpus, budget, observer)
    temperature = predictor.manifest.heads[task].temperature
    sources = sources_of(corpus)
    after = scaled(logits, temperature)
    return Evaluation(
        task=task,
        file=corpus.path.name,
        sha256=corpus.sha256,
        report=report(task, logits, truth, temperature, sources),
        temperature=temperature,
        reliability_before=reliability_bins(scaled(logits, 1.0), truth),
        reliability_after=reliability_bins(after, truth),
        risk_coverage=risk_coverage(after, truth),
        slices=slices(
            corpus.texts,
            truth,
            logits.argmax(1),
            len(LABELS[task]),
            {n: corpus.attributes[n] for n in SLICED if n in corpus.attributes},
        ),
        calibrations=compare(logits, truth, temperature, sources),
    )


def logits_of(
    predictor: Predictor,
    corpus: Corpus,
    budget: int = 4_096,
    observer: Callable[[int, int], None] = lambda _done, _total: None,
) -> Floats:
    """Return the logits of a corpus in its task, [n, classes]; budget, observer: see `examine`."""
    rows = predictor.encode(corpus.texts)
    done = 0

    def forward(batch: list[Sequence[int]]) -> dict[Task, Floats]:
        nonlocal done
        found = predictor.logits(batch)
        done += len(batch)
        observer(done, len(rows))
        return found

    return sorted_batches(rows, budget, forward)[corpus.task]


def _r(value: float) -> float:
    return round(value, 4)
