"""Texts with their named entities, marked in the data or recognised by a list."""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from models.dataset.table import Row, read_table
from models.errors import DataError
from models.evaluation.names import COMMON, KNOWN

# A public body is not a company: "the Fed raised rates" with a company's name says nothing.
_PUBLIC: Final = re.compile(
    r"\b(?:Bank of|National Bank|Fed|Federal|ECB|European|Reserve|Treasury|Ministry|Commission|"
    r"Government|Council|Parliament|Riksbank|Norges Bank|Bundesbank|Authority|Agency|Court|"
    r"Department|OPEC|IMF|NATO|EU|UN|City|University|Police|Navy|Army|Union|Party)\b"
)
_COMPANY: Final = re.compile(rf"\b(?:{'|'.join(map(re.escape, sorted(KNOWN)))})\b(?![-\w])")
_PERSON: Final = re.compile(rf"\b(?:{'|'.join(sorted(COMMON))})(?= [A-Z][a-z])")
_TITLE: Final = re.compile(r"^(?:Dr|Prof|Mr|Mrs|Ms|Sir|Dame|Lord|Lady)\.? ")


@dataclass(frozen=True, slots=True)
class Carrier:
    """A text, the companies in it and the given names of the persons, in order, each once."""

    text: str
    companies: tuple[str, ...] = ()
    persons: tuple[str, ...] = ()


def recognised(text: str) -> Carrier:
    """Return the carrier of a text without marks: well-known companies and given names."""
    return Carrier(text, _once(_COMPANY.findall(text)), _once(_PERSON.findall(text)))


def marked(text: str, entities: Sequence[Mapping[str, object]]) -> Carrier:
    """Return the carrier of a text whose entities are marked by `start`, `end` and `type`.

    Public bodies and cashtags are no companies here; of a person the given name counts, titles
    do not.

    Raises:
        ValueError: an entity without these keys, or outside the text.
    """
    companies: list[str] = []
    persons: list[str] = []
    for entity in entities:
        start, end, kind = entity.get("start"), entity.get("end"), entity.get("type")
        if not (isinstance(start, int) and isinstance(end, int) and 0 <= start < end <= len(text)):
            raise ValueError(f"entity {dict(entity)} does not lie in the text")
        name = text[start:end]
        if kind == "organisation" and name[0].isalnum() and not _PUBLIC.search(name):
            companies.append(name)
        elif kind == "person":
            given, _, family = _TITLE.sub("", name).partition(" ")
            # One word alone is a family name as a rule: it has no given name to swap.
            if family and given.isalpha():
                persons.append(given)
    return Carrier(text, _once(companies), _once(persons))


def read_carriers(path: Path, split: str | None = None) -> list[Carrier]:
    """Read the texts of a file; rows with a column `entities` have theirs marked.

    Args:
        path: CSV, TSV, JSONL or Parquet with a column `text`.
        split: only rows whose column `split` has this value; all where the file has no such column.

    Raises:
        DataError: the file cannot be read, has no text, or its entities are faulty.
    """
    table = read_table(path)
    if "text" not in table.columns:
        raise DataError(f"{path}: no column text; add it")
    found = [
        _carrier(row)
        for row in table.rows
        if split is None or "split" not in table.columns or row.cells.get("split") == split
    ]
    carriers = [carrier for carrier in found if carrier is not None]
    if not carriers:
        part = f" in its split {split!r}" if split else ""
        raise DataError(f"{path}: no text{part}; give another file")
    return carriers


def _carrier(row: Row) -> Carrier | None:
    text = row.cells.get("text")
    entities: Any = row.cells.get("entities")
    if not isinstance(text, str) or not text.strip():
        return None
    if entities is None or entities == "":
        return recognised(text)
    try:
        listed = json.loads(entities) if isinstance(entities, str) else entities
        # Parquet gives an array, JSON a list; a mapping here is a fault that `dict` finds.
        return marked(text, [dict(entity) for entity in listed])
    except (ValueError, TypeError, AttributeError) as error:
        raise DataError(
            f"{row.place}: entities must be a list of objects with start, end and type ({error})"
        ) from error


def _once(names: Sequence[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(names))
