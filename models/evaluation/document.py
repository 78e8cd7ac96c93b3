"""An evaluation as files: report.md, report.json and the figures."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Final

from models.directory import compact
from models.errors import ModelError
from models.evaluation.evaluate import Evaluation
from models.manifest import Report, Score

FORMAT: Final = 1


def as_json(evaluations: Sequence[Evaluation], *, name: str, version: str) -> str:
    """Return all figures as JSON: `reports` and their `details`, one object for each task."""
    content = {
        "format": FORMAT,
        "name": name,
        "version": version,
        "reports": {e.task: e.report.model_dump(mode="json") for e in evaluations},
        "details": {e.task: _details(e) for e in evaluations},
    }
    return compact(json.dumps(content, indent=1, ensure_ascii=False))


def write(
    folder: Path, evaluations: Sequence[Evaluation], *, name: str, version: str
) -> tuple[Path, ...]:
    """Write report.md, report.json and the figures into the folder, which is made if missing.

    Raises:
        ModelError: the folder cannot be written, or matplotlib is missing.
    """
    from models.evaluation.figures import draw

    make(folder)
    pictures: dict[str, dict[str, Path]] = {
        e.task: draw(e, f"{name} {version}", folder) for e in evaluations
    }
    text = markdown(evaluations, name=name, version=version, pictures=pictures)
    documents = {
        "report.md": text,
        "report.json": as_json(evaluations, name=name, version=version) + "\n",
    }
    for file, content in documents.items():
        put(folder / file, content)
    drawn = [path for found in pictures.values() for path in found.values()]
    return (*(folder / file for file in documents), *drawn)


def make(folder: Path) -> None:
    """Make the folder where it is missing; raises `ModelError` where that cannot be done."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ModelError(
            f"{folder}: cannot be written ({error.strerror}); choose another --out"
        ) from error


def put(path: Path, content: str) -> None:
    """Write a file whole or not at all; raises `ModelError` where it cannot be written."""
    part = path.with_name(f".{path.name}.part")
    try:
        part.write_text(content, "utf-8")
        part.replace(path)
    except OSError as error:
        part.unlink(missing_ok=True)
        raise ModelError(
            f"{path}: cannot be written ({error.strerror}); free space or choose another --out"
        ) from error


def markdown(
    evaluations: Sequence[Evaluation],
    *,
    name: str,
    version: str,
    pictures: Mapping[str, Mapping[str, Path]],
) -> str:
    """Return the report for a reader; `pictures` are paths by task and by what they show."""
    lines = [
        f"# Evaluation of `{name}`, version {version}",
        "",
        "In brackets: 95 % percentile bootstrap intervals. Calibration errors over 15 bins.",
    ]
    for evaluation in evaluations:
        lines += ["", f"## {evaluation.task.capitalize()}: {evaluation.report.texts:,} texts of"
                  f" `{evaluation.file}`", ""]  # fmt: skip
        shown = pictures.get(evaluation.task, {})
        lines += _summary(evaluation)
        lines += _classes(evaluation.report)
        lines += _picture(shown, "F1 per class") + _picture(shown, "confusion matrix")
        lines += _calibrations(evaluation) + _picture(shown, "reliability")
        lines += _picture(shown, "risk and coverage")
        lines += _slices(evaluation) + _picture(shown, "slices")
    return "\n".join(lines) + "\n"


def table(head: Sequence[str], rows: Sequence[Sequence[object]]) -> list[str]:
    """Return a Markdown table, with an empty line after it."""
    escaped = [[str(cell).replace("|", "\\|") for cell in row] for row in (head, *rows)]
    lines = [f"| {' | '.join(cells)} |" for cells in escaped]
    return [lines[0], "|" + "---|" * len(head), *lines[1:], ""]


def _summary(evaluation: Evaluation) -> list[str]:
    found = evaluation.report
    rows: list[tuple[str, str]] = [
        ("accuracy", _score(found.accuracy)),
        ("macro-F1", _score(found.macro_f1)),
        ("weighted F1", _score(found.weighted_f1)),
        ("ECE before scaling", f"{found.ece_before:.3f}"),
        (f"ECE after scaling, temperature {evaluation.temperature:.2f}", f"{found.ece_after:.3f}"),
        ("classwise ECE", _figure(found.classwise_ece)),
        ("Brier score (0 to 2)", _figure(found.brier)),
        ("negative log likelihood, nats", _figure(found.nll)),
        ("area under the risk-coverage curve", _figure(found.aurc, 4)),
        ("coverage at 5 % risk", _share(found.coverage_at_5)),
        ("coverage at 10 % risk", _share(found.coverage_at_10)),
    ]
    return table(("score", "value"), rows)


def _classes(report: Report) -> list[str]:
    rows = [
        (name, f"{c.precision:.3f}", f"{c.recall:.3f}", f"{c.f1:.3f}", c.support)
        for name, c in report.classes.items()
    ]
    return table(("class", "precision", "recall", "F1", "texts"), rows)


def _calibrations(evaluation: Evaluation) -> list[str]:
    sources = list(evaluation.report.ece_by_source)
    head = ("calibration", "accuracy", "ECE", "NLL", *(f"ECE {name}" for name in sources))
    rows = [
        (a.name, f"{a.accuracy:.3f}", f"{a.ece:.3f}", f"{a.nll:.3f}",
         *(f"{a.ece_by_source.get(name, 0):.3f}" for name in sources))
        for a in evaluation.calibrations
    ]  # fmt: skip
    return [
        "Calibration. The last rows show what a fit on texts like these would give,"
        " cross-validated in five parts; the model uses its own.",
        "",
        *table(head, rows),
    ]


def _slices(evaluation: Evaluation) -> list[str]:
    if not evaluation.slices:
        return []
    rows = [
        (
            part.trait,
            part.value,
            part.texts,
            _interval(part.accuracy.value, part.accuracy.low, part.accuracy.high),
            _interval(part.macro_f1.value, part.macro_f1.low, part.macro_f1.high),
            f"**below** (p = {part.p_value:.2g})" if part.below else "",
        )
        for part in evaluation.slices
    ]
    return [
        "Slices. Marked: significantly more errors than the rest (Fisher's exact test, 5 % over"
        " all slices by Holm's correction). The macro-F1 of a slice is over the classes in it.",
        "",
        *table(("trait", "value", "texts", "accuracy", "macro-F1", "mark"), rows),
    ]


def _picture(pictures: Mapping[str, Path], name: str) -> list[str]:
    return [f"![{name}]({pictures[name].name})", ""] if name in pictures else []


def _details(evaluation: Evaluation) -> dict[str, object]:
    content = asdict(evaluation)
    del content["report"]  # no dataclass: asdict keeps the object itself
    return content


def _score(score: Score) -> str:
    return _interval(score.value, score.low, score.high)


def _interval(value: float, low: float, high: float) -> str:
    return f"{value:.3f} ({low:.3f} to {high:.3f})"


def _figure(value: float | None, digits: int = 3) -> str:
    return "" if value is None else f"{value:.{digits}f}"


def _share(value: float | None) -> str:
    return "" if value is None else f"{value:.1%}"
