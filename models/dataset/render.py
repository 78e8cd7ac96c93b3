"""Inspections, statistics and agreement as tables for a terminal."""

from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.markup import escape
from rich.table import Column, Table

from models.dataset.agreement import Agreement
from models.dataset.inspect import Alike, Inspection, entropy, imbalance
from models.dataset.statistics import SEGMENT, Statistics
from models.dataset.table import LISTED, Fault
from models.labels import LABELS

_STYLES = {"fault": "red", "warning": "yellow"}
_SHOWN = 90  # characters of a text


def print_inspection(console: Console, found: Inspection) -> None:
    """Print everything: counts, classes, lengths, conflicts, twins across parts, findings."""
    console.rule(f"{found.task}: {sum(part.texts for part in found.parts):,} texts")
    counts = Table("part", *_right("texts", "repeated", "twins", "near-duplicates", "wordless"))
    for part in found.parts:
        figures = (part.texts, part.duplicates, part.twins, part.near_duplicates, part.wordless)
        counts.add_row(escape(part.name), *(f"{n:,}" for n in figures))
    console.print(counts)
    names = [escape(part.name) for part in found.parts]
    classes = Table("class", *_right(*names))
    for name in LABELS[found.task]:
        cells = [
            f"{part.classes[name]:,} ({part.classes[name] / max(1, part.texts):.1%})"
            for part in found.parts
        ]
        classes.add_row(name, *cells)
    classes.add_row("largest / smallest", *(f"{imbalance(part):.1f}" for part in found.parts))
    classes.add_row("entropy of 1", *(f"{entropy(part, found.task):.3f}" for part in found.parts))
    console.print(classes)
    traits = Table("share of texts with", *_right(*names))
    for kind in found.parts[0].shares:
        traits.add_row(kind, *(f"{part.shares[kind]:.1%}" for part in found.parts))
    console.print(traits)
    if any(part.tokens for part in found.parts):
        tokens = Table("tokens", *_right(*names))
        for kind in next(part.tokens for part in found.parts if part.tokens):
            tokens.add_row(kind, *(_tokens(kind, part.tokens.get(kind)) for part in found.parts))
        console.print(tokens)
    _print_alike(console, "twins with conflicting labels", found.conflicting_twins)
    _print_alike(console, "near-duplicates with conflicting labels", found.conflicting_near)
    for pair in found.across:
        title = f"in {pair.first}, and again in {pair.second}"
        _print_alike(console, title, pair.examples)
    if found.faults:
        print_faults(console, found.faults)
    print_findings(console, found)


def print_findings(console: Console, found: Inspection) -> None:
    """Print the faults and warnings alone, a line each: what is to be known before training."""
    for finding in found.findings:
        style = _STYLES[finding.level]
        message = escape(f"{found.task}: {finding.message}")
        console.print(f"[{style}]{finding.level}[/{style}] {message}", soft_wrap=True)
    if not found.findings:
        console.print(f"[green]no fault[/green] {found.task}: nothing to mend")


def print_faults(console: Console, faults: Sequence[Fault]) -> None:
    """Print the faults of rows that could not be read, up to `LISTED`, then their number."""
    for fault in faults[:LISTED]:
        console.print(f"[red]fault[/red] {escape(str(fault))}", soft_wrap=True)
    if len(faults) > LISTED:
        console.print(f"… and {len(faults) - LISTED:,} more faults, {len(faults):,} in all")


def _print_alike(console: Console, title: str, groups: Sequence[Alike]) -> None:
    if not groups:
        return
    table = Table("Jaccard", "label", "place", "text", title=escape(title), show_lines=False)
    for group in groups[:LISTED]:
        rows = list(zip(group.labels, group.places, group.texts, strict=True))
        for number, (label, place, text) in enumerate(rows[:4]):
            jaccard = f"{group.jaccard:.2f}" if number == 0 else ""
            table.add_row(jaccard, label, escape(Path(place).name), escape(_short(text)))
        if len(rows) > 4:
            table.add_row("", "", f"… and {len(rows) - 4} more", "")
        table.add_section()
    console.print(table)
    if len(groups) > LISTED:
        console.print(f"… and {len(groups) - LISTED:,} more, {len(groups):,} in all")


def _short(text: str) -> str:
    flat = " ".join(text.split())
    return flat if len(flat) <= _SHOWN else flat[: _SHOWN - 1] + "…"


def _tokens(kind: str, value: float | None) -> str:
    if value is None:
        return ""
    return f"{value:.1%}" if kind.startswith("over") else f"{value:.0f}"


def _right(*names: str) -> list[Column]:
    return [Column(name, justify="right") for name in names]


def print_statistics(console: Console, found: Statistics) -> None:
    """Print the figures of a written corpus, its make-up, and its near-duplicates."""
    table = Table("figure", *_right("value"))
    ratio = found.standardised_ratio
    for name, value in (
        ("texts", f"{found.texts:,}"),
        ("words", f"{found.words:,}"),
        ("words a text", f"{found.words / max(1, found.texts):.1f}"),
        ("different words (types)", f"{found.types:,}"),
        ("type-token ratio", f"{found.type_token_ratio:.3f}"),
        (f"the same, mean of segments of {SEGMENT:,}", "–" if ratio is None else f"{ratio:.3f}"),
        ("distinct word 4-grams", f"{found.distinct_4grams:.1%}"),
        ("twins", f"{found.twins:,}"),
        ("pairs of near-duplicates", f"{found.near_duplicates:,}"),
    ):
        table.add_row(name, value)
    console.print(table)
    for column, counts in found.counts.items():
        shares = Table(column, *_right("texts", "share"))
        for name, count in counts.items():
            shares.add_row(escape(name), f"{count:,}", f"{count / found.texts:.1%}")
        console.print(shares)
    if found.entities:
        kinds = sorted({kind for counts in found.entities.values() for kind in counts})
        entities = Table("entities", *_right(*kinds, "all"))
        for name, counts in found.entities.items():
            cells = [counts.get(kind, 0) for kind in kinds]
            entities.add_row(escape(name), *(f"{n:,}" for n in (*cells, sum(cells))))
        console.print(entities)
    for first, second, jaccard in found.nearest[:LISTED]:
        console.print(f"near-duplicates ({jaccard:.2f}): {first} and {Path(second).name}")
    print_faults(console, found.faults)


def print_agreement(console: Console, found: Agreement) -> None:
    """Print agreement, kappa, each class, the confusion, and where the labellings differ."""
    kappa = "undefined: one class only"
    if found.kappa is not None:
        value, low, high = found.kappa.value, found.kappa.low, found.kappa.high
        kappa = f"{value:.3f} (95 % interval {low:.3f} to {high:.3f})"
    console.rule(f"{found.task}: {found.texts:,} texts labelled twice")
    console.print(f"same label: {found.share:.1%}; Cohen's kappa: {kappa}", highlight=False)
    classes = Table("#", "class", *_right("first", "second", "both", "specific agreement"))
    for number, (name, each) in enumerate(found.classes.items()):
        cells = (f"{n:,}" for n in (each.first, each.second, each.both))
        classes.add_row(str(number), name, *cells, f"{each.agreement:.1%}")
    console.print(classes)
    matrix = Table("first \\ second", *_right(*map(str, range(len(found.confusion)))))
    for number, row in enumerate(found.confusion):
        matrix.add_row(str(number), *(str(n) if n else "·" for n in row))
    console.print(matrix)
    differing = Table("place", "first", "second", "text")
    for place, first, second, text in found.disagreements[:LISTED]:
        differing.add_row(escape(Path(place).name), first, second, escape(_short(text)))
    if found.disagreements:
        console.print(differing)
    if len(found.disagreements) > LISTED:
        console.print(f"… and {len(found.disagreements) - LISTED:,} more that differ")
