"""Reports and entities as text for a terminal."""

import json
from collections.abc import Sequence
from dataclasses import asdict

import typer
from rich.console import Console
from rich.table import Table

from models.manifest import ClassReport
from models.tokens.manifest import TagReport
from models.tokens.report import Report
from models.tokens.tagger import Entity


def record_of(found: Report) -> TagReport:
    """Return the report as what a manifest holds."""
    return TagReport.model_validate(asdict(found))


def print_report(console: Console, title: str, report: TagReport) -> None:
    """Print the scores of each tag, of all, and of entities."""
    console.rule(f"{title}: {report.words} words, {report.sentences} sentences")
    tags = Table("tag", "precision", "recall", "F1", "words")
    for name, score in report.tags.items():
        _add(tags, name, score)
    tags.add_section()
    _add(tags, "macro", report.macro)
    tags.add_row("micro", *[f"{report.micro:.3f}"] * 3, str(report.words))
    tags.add_row("weighted", "", "", f"{report.weighted:.3f}", str(report.words))
    console.print(tags)
    if report.by_type is not None:
        types = Table("type", "precision", "recall", "F1", "words")
        for name, score in report.by_type.types.items():
            _add(types, name, score)
        types.add_section()
        _add(types, "macro", report.by_type.macro)
        types.add_row("micro", *[f"{report.by_type.micro:.3f}"] * 3, str(report.words))
        types.add_row("weighted", "", "", f"{report.by_type.weighted:.3f}", str(report.words))
        console.print(types)
    entities = Table("entities", "precision", "recall", "F1", "entities")
    for name, score in report.entities.items():
        _add(entities, name, score)
    entities.add_section()
    _add(entities, "all", report.entity_micro)
    console.print(entities)


def print_entities(
    console: Console, texts: Sequence[str], found: Sequence[Sequence[Entity]], *, as_json: bool
) -> None:
    """Print the entities of each text, or one JSON object for each text."""
    table = Table("entity", "type", "characters", "probability")
    for text, entities in zip(texts, found, strict=True):
        if as_json:
            rows = [asdict(e) | {"probability": round(e.probability, 4)} for e in entities]
            typer.echo(json.dumps({"text": text, "entities": rows}, ensure_ascii=False))
            continue
        for entity in entities:
            place = f"{entity.start} to {entity.end}"
            table.add_row(entity.text, entity.type, place, f"{entity.probability:.2f}")
        table.add_section()
    if not as_json:
        console.print(table)


def _add(table: Table, name: str, score: ClassReport) -> None:
    figures = (f"{value:.3f}" for value in (score.precision, score.recall, score.f1))
    table.add_row(name, *figures, str(score.support))
