"""SEntFiN: headlines with a sentiment towards each entity they name, from its CSV file.

Source: Sinha, Kedas, Kumar & Malo 2022, "SEntFiN 1.0: Entity-aware sentiment analysis for financial
news". The file has a Python dict a row; thirteen have a name with an apostrophe in apostrophes, so
that they are no literals, and nineteen names do not stand in the headline as they are written.
"""

import csv
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from models.errors import DataError
from models.labels import SENTIMENTS
from models.marking.examples import Example, Mark, certain
from models.text import normalise

_ENTRY: Final = re.compile(
    r"""(?:\{|,)\s*(['"])(?P<name>.*?)\1\s*:\s*(['"])(?P<label>negative|neutral|positive)\3"""
)


def read(path: Path) -> list[Example]:
    """Read the headlines; a name that does not stand in its headline is a mark without characters.

    Raises:
        DataError: it cannot be read, lacks the columns Title and Decisions, or has a row without
            any entity; names the row.
    """
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            rows = list(csv.DictReader(file))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{path}: cannot be read as CSV ({error}); check the file") from error
    if not rows or not {"Title", "Decisions"} <= rows[0].keys():
        raise DataError(f"{path}: expected rows with the columns Title and Decisions")
    found: list[Example] = []
    for number, row in enumerate(rows, 1):
        text = normalise(row["Title"])
        entries = {m["name"]: m["label"] for m in _ENTRY.finditer(row["Decisions"])}
        if not entries or not text:
            raise DataError(
                f"{path}, row {number}: no entity in {row['Decisions'][:40]!r}; expected"
                " {'name': 'negative, neutral or positive'}"
            )
        places = _places(text, [normalise(name) for name in entries])
        found.append(
            Example(
                text,
                tuple(
                    Mark(start, end, None, certain([str(s) for s in SENTIMENTS].index(label)))
                    for (start, end), label in zip(places, entries.values(), strict=True)
                ),
            )
        )
    return found


def _places(text: str, names: Sequence[str]) -> list[tuple[int, int]]:
    """Return where each name stands: its first mention that is not part of a longer name's."""
    found: dict[int, tuple[int, int]] = {}
    for number in sorted(range(len(names)), key=lambda n: -len(names[n])):
        places = _mentions(text, names[number])
        taken = found.values()
        free = [p for p in places if not any(p[0] < end and start < p[1] for start, end in taken)]
        found[number] = (free or places or [(0, 0)])[0]
    return [found[number] for number in range(len(names))]


def _mentions(text: str, name: str) -> list[tuple[int, int]]:
    """Return the mentions as whole words, then those in other case, then those within words."""
    if not name:
        return []
    bare = re.escape(name)
    whole = rf"(?<!\w){bare}(?!\w)"
    return [
        match.span()
        for pattern, flags in ((whole, 0), (whole, re.IGNORECASE), (bare, re.IGNORECASE))
        for match in re.finditer(pattern, text, flags)
    ]


def in_conflict(examples: Sequence[Example]) -> list[Example]:
    """Return the texts whose entities have different sentiments."""
    return [e for e in examples if len({mark.sentiment for mark in e.targets}) > 1]
