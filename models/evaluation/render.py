"""Reports and verdicts as text for a terminal."""

import json
from collections.abc import Sequence

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from models.evaluation.evaluate import Evaluation
from models.evaluation.metrics import Interval
from models.evaluation.robustness import Robustness
from models.labels import SENTIMENTS, TOPICS, Task
from models.manifest import Report, Score
from models.predict import Probabilities
from models.spans.verdicts import Span, TokenVerdicts
from models.text import normalise


def print_report(console: Console, task: Task, report: Report) -> None:
    """Print one head's report: summary, classes, confusion matrix."""
    console.rule(f"{task}: {report.texts} texts")
    summary = Table("score", "value", "95 % interval")
    for name in ("accuracy", "macro_f1", "weighted_f1"):
        score: Score = getattr(report, name)
        summary.add_row(name, f"{score.value:.4f}", f"{score.low:.4f} to {score.high:.4f}")
    summary.add_row(
        "ECE before / after scaling", f"{report.ece_before:.4f}", f"{report.ece_after:.4f}"
    )
    console.print(summary)
    classes = Table("#", "class", "precision", "recall", "F1", "texts")
    for number, (name, found) in enumerate(report.classes.items()):
        figures = (found.precision, found.recall, found.f1)
        classes.add_row(str(number), name, *(f"{v:.3f}" for v in figures), str(found.support))
    console.print(classes)
    matrix = Table("true \\ predicted", *map(str, range(len(report.classes))), padding=(0, 0))
    for number, row in enumerate(report.confusion):
        matrix.add_row(str(number), *(str(n) if n else "·" for n in row))
    console.print(matrix)


def print_evaluation(console: Console, evaluation: Evaluation) -> None:
    """Print one head's report, what selection would give, and where the model is weak."""
    print_report(console, evaluation.task, evaluation.report)
    found = evaluation.report
    more = Table("score", "value")
    figures = {
        "classwise ECE": found.classwise_ece,
        "Brier score (0 to 2)": found.brier,
        "negative log likelihood": found.nll,
        "area under the risk-coverage curve": found.aurc,
        "coverage at 5 % risk": found.coverage_at_5,
        "coverage at 10 % risk": found.coverage_at_10,
        **{f"ECE of {name}": value for name, value in found.ece_by_source.items()},
    }
    for name, value in figures.items():
        if value is not None:
            more.add_row(name, f"{value:.4f}")
    console.print(more)
    if not evaluation.slices:
        return
    parts = Table("slice", "texts", "accuracy", "95 % interval", "macro-F1", "note")
    for part in evaluation.slices:
        parts.add_row(
            f"{part.trait}: {part.value}",
            str(part.texts),
            f"{part.accuracy.value:.3f}",
            f"{part.accuracy.low:.3f} to {part.accuracy.high:.3f}",
            f"{part.macro_f1.value:.3f}",
            "[red]below the rest[/red]" if part.below else "",
        )
    console.print(parts)


def print_robustness(console: Console, found: Robustness) -> None:
    """Print the flip rate of each kind and the bias tables' ranges and widest pairs."""
    flips = Table("kind", "changed", "sentiment flips", "polar", "topic flips", "shift")
    for kind in found.flips:
        flips.add_row(
            kind.kind,
            f"{kind.changed} of {kind.texts}",
            _share(kind.sentiment),
            f"{kind.polar.value:.1%}",
            _share(kind.topic),
            f"{kind.shift:.3f}",
        )
    console.print(flips)
    bias = Table("bias", "texts", "range of P(negative)", "unstable texts", "widest pair")
    for table in found.bias:
        pair = table.pairs[0]
        bias.add_row(
            table.kind,
            str(table.carriers),
            f"{table.range:.3f}",
            _share(table.unstable),
            f"{pair.high}, {pair.low}: {pair.difference.value:+.3f}"
            f" ({pair.difference.low:+.3f} to {pair.difference.high:+.3f})",
        )
    console.print(bias)


def _share(found: Interval) -> str:
    return f"{found.value:.1%} ({found.low:.1%} to {found.high:.1%})"


def print_verdicts(
    console: Console, texts: Sequence[str], found: Probabilities, *, as_json: bool
) -> None:
    """Print the verdict on each text and the names in it, or one JSON object for each."""
    named = found.tokens is not None
    table = Table("sentiment", "topic", "text", *["names"] * named)
    for row, (text, sentiment, topic) in enumerate(
        zip(texts, found.sentiment, found.topic, strict=True)
    ):
        names = _names(text, row, found.tokens) if found.tokens is not None else []
        if as_json:
            verdict: dict[str, object] = {
                "text": text,
                "sentiment": _shares(SENTIMENTS, sentiment.tolist()),
                "topic": _shares(TOPICS, topic.tolist()),
            }
            if named:
                verdict["names"] = [
                    {
                        "name": name,
                        **span._asdict(),
                        "score": round(span.score, 4),
                        "sentiment": _shares(SENTIMENTS, towards),
                    }
                    for name, span, towards in names
                ]
            typer.echo(json.dumps(verdict, ensure_ascii=False))
            continue
        told = "\n".join(
            f"{name} ({span.type}) {SENTIMENTS[towards.index(max(towards))]} {max(towards):.2f}"
            for name, span, towards in names
        )
        table.add_row(
            f"{SENTIMENTS[sentiment.argmax()]} {sentiment.max():.2f}",
            f"{TOPICS[topic.argmax()]} {topic.max():.2f}",
            escape(text),
            *[escape(told)] * named,
        )
    if not as_json:
        console.print(table)


def _names(
    text: str, row: int, tokens: TokenVerdicts
) -> list[tuple[str, Span, tuple[float, float, float]]]:
    """Return each name in a text, where it stands in the normalised text, the sentiment to it."""
    shown = normalise(text)
    return [
        (shown[span.start : span.end], span, towards)
        for span in tokens.spans(row)
        if (towards := tokens.sentiment_of(row, span.start, span.end)) is not None
    ]


def _shares(names: Sequence[str], values: Sequence[float]) -> dict[str, float]:
    return {name: round(value, 4) for name, value in zip(names, values, strict=True)}
