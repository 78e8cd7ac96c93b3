"""The record of a head: its temperature from the held-out texts, and its reports."""

from collections.abc import Callable

from models.dataset.corpus import Corpus
from models.evaluation.calibrate import fit_temperature, source_weights
from models.evaluation.evaluate import files_of, origins_of, report, sources_of
from models.evaluation.metrics import Floats
from models.labels import LABELS, Task
from models.manifest import Head, Report
from models.training.sources import Sources


def head_of(
    task: Task, source: Sources, logits: Callable[[Corpus], Floats], corpus_share: float
) -> Head:
    """Fit the temperature of a head on the held-out texts, and report on these and the validation.

    Args:
        task: of the head.
        source: the texts.
        logits: what the network says of a corpus, [n, classes].
        corpus_share: see `calibration_weights`.
    """
    held = logits(source.held_out)
    weights = calibration_weights(source, corpus_share)
    temperature = round(fit_temperature(held, source.held_out.labels, weights), 4)
    checked = source.validation

    def judged(found: Floats, corpus: Corpus) -> Report:
        return report(task, found, corpus.labels, temperature, sources_of(corpus))

    return Head(
        labels=LABELS[task],
        temperature=temperature,
        held_out=judged(held, source.held_out),
        validation=checked and judged(logits(checked), checked),
    )


def calibration_weights(source: Sources, corpus_share: float) -> Floats:
    """Return what each held-out text counts in the fit of the temperature, [n], mean 1.

    Each origin (a source that texts name, else a file) of the task's own file counts 1, each of a
    corpus `corpus_share`, whatever their numbers of texts. Pooled, the file with the most held-out
    texts alone would decide: on tweets the calibration error rose from 0.022 to 0.072 when 70 % of
    the texts came from the written corpus.
    """
    held, own = source.held_out, source.whole.path
    keys = [
        (origin, file == own) for origin, file in zip(origins_of(held), files_of(held), strict=True)
    ]
    names = [f"{origin}, own" if is_own else origin for origin, is_own in keys]
    shares = {
        name: 1.0 if is_own else corpus_share for name, (_, is_own) in zip(names, keys, strict=True)
    }
    return source_weights(names, shares)
