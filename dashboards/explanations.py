"""Explanations of verdicts, as ``python -m models explain --json`` writes them, drawn as HTML."""

from __future__ import annotations

import html

from pydantic import ValidationError

from dashboards.palette import Palette
from dashboards.words import escaped, percent, signed
from models.explanation.record import Explanation, Word

MOST = 20
"""Explanations drawn of one file."""
LIMIT_MB = 2
"""Size of a file, in MB; an explanation of a text of 2,000 words has 0.15."""
STRONGEST = 6
_DEEPEST = 0.6  # opacity of the strongest word: the letters on it stay readable in both themes


class UnreadableError(Exception):
    """A file that holds no explanations; says in which line and why."""


def read(content: bytes) -> tuple[Explanation, ...]:
    """The explanations of a file, one JSON object a line; empty lines do not count.

    Raises:
        UnreadableError: it is no UTF-8, holds none, or a line is no explanation of version 1.
    """
    try:
        lines = content.decode("utf-8-sig").splitlines()
    except UnicodeDecodeError as error:
        raise UnreadableError(f"It is not UTF-8 (byte {error.start}).") from error
    found = []
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            found.append(Explanation.model_validate_json(line))
        except ValidationError as error:
            first = error.errors()[0]
            where = ".".join(str(part) for part in first["loc"])
            raise UnreadableError(
                f"Line {number}{', ' + where if where else ''}: {first['msg']}."
            ) from error
    if not found:
        raise UnreadableError("It is empty.")
    return tuple(found)


def card(found: Explanation, palette: Palette) -> str:
    """The words of a text, each with a ground of the colour of what it says for the class.

    Warm stays what is negative: the words for "negative" are orange, and those for any other class
    blue. The deeper the ground, the more a word says; figures are in its title, and of the
    strongest words beneath. An ellipsis stands where the model did not read.
    """
    speaks, objects = palette.positive, palette.negative
    if found.class_ == "negative":
        speaks, objects = objects, speaks
    largest = max((abs(word.score) for word in found.words), default=0.0)
    shown, end = "", 0
    for word in found.words:
        gap = word.start - end
        shown += ("" if gap == 0 else " " if gap == 1 else " … ") if shown or gap else ""
        shown += _ground(word, largest, speaks, objects)
        end = word.end
    strongest = sorted(found.words, key=lambda word: -abs(word.score))[:STRONGEST]
    name = escaped(found.class_)
    return (
        f'<article class="m-card"><div class="m-top"><span class="m-name">{name}</span>'
        f'<span class="m-chip">{html.escape(found.task)}</span>'
        f'<span class="m-when">probability {percent(found.probability)}</span></div>'
        f'<p class="m-words">{shown or "No word of it was read."}</p>'
        '<p class="m-note">'
        f'<span class="m-key" style="background:{speaks}"></span>speaks for {name}'
        f'<span class="m-key" style="background:{objects}"></span>against it · strongest: '
        f"{', '.join(f'{escaped(w.text, 40)} {signed(w.score)}' for w in strongest) or 'none'}</p>"
        '<div class="m-foot">'
        f"<span>log-odds {signed(found.difference)} against the text without words</span>"
        f"<span>completeness error {percent(found.completeness_error, 1)}</span>"
        f"<span>model {escaped(found.model, 24)}</span></div></article>"
    )


def _ground(word: Word, largest: float, speaks: str, objects: str) -> str:
    depth = 0.0 if largest <= 0 else abs(word.score) / largest * _DEEPEST
    colour = f"{speaks if word.score > 0 else objects}{round(depth * 255):02x}"
    return (
        f'<span style="background:{colour}" title="{signed(word.score)}">'
        f"{escaped(word.text, 60)}</span>"
    )
