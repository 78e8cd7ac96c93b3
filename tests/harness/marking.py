"""Texts with marked entities."""

from __future__ import annotations

import json
from itertools import product
from pathlib import Path

COMPANIES = ("Nordwind", "Kelvar", "Ostrea", "Brimstone")
PLACES = ("Oslo", "Lima", "Turin", "Quito")


def row_of(*entities: tuple[str, str, str | None], text: str) -> dict[str, object]:
    """A neutral row that is trained on; of each entity surface, type, sentiment or None."""
    found = []
    for surface, kind, sentiment in entities:
        start = text.index(surface)
        mark = {"start": start, "end": start + len(surface), "type": kind}
        found.append(mark if sentiment is None else {**mark, "sentiment": sentiment})
    return {"text": text, "split": "train", "sentiment": "neutral", "entities": found}


def corpus_of(path: Path, *records: dict[str, object]) -> Path:
    """Write these rows."""
    path.write_text("\n".join(map(json.dumps, records)), "utf-8")
    return path


def tagged_of(path: Path) -> Path:
    """Write tagged words: each company opens in each place."""
    path.write_text(
        "".join(
            f"{company}\tB-ORG\nopens\tO\nin\tO\n{place}\tB-LOC\n.\tO\n\n"
            for company, place in product(COMPANIES, PLACES)
        )
    )
    return path
