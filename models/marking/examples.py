"""Texts with marked characters, from files of several kinds: what the token head learns from."""

import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final, NamedTuple

from models.errors import DataError
from models.labels import SENTIMENTS
from models.text import CASHTAG, normalise
from models.tokens.read import Document, Sentence, read
from models.tokens.tags import TYPES, spans

CORPUS_TYPES: Final[Mapping[str, str]] = {
    "organisation": "ORG",
    "person": "PER",
    "location": "LOC",
    "other": "MISC",
}
CORPUS_TAGGED: Final = frozenset({"ORG", "PER", "LOC"})
"""Types of which the written corpora mark every mention; of "other" they mark what has a mood."""
PASSAGE: Final = 80
"""Words up to which the sentences of a document are read as one text."""
UNSAID: Final = "unsaid"
_USER_NAME: Final = re.compile(r"@\w+")


class Mark(NamedTuple):
    """Characters `start` to `end` of a text, the latter excluded."""

    start: int
    end: int
    type: str | None
    """LOC, MISC, ORG or PER; None: whatever it is, it is no name; `UNSAID`: nobody says."""
    sentiment: tuple[float, float, float] | None = None
    """Probability of each of SENTIMENTS towards it."""


@dataclass(frozen=True, slots=True)
class Example:
    """A normalised text and what is known of it."""

    text: str
    marks: tuple[Mark, ...]
    tagged: frozenset[str] = frozenset()
    """Types of which every mention is marked; empty: the text says nothing about tags."""
    weight: float = 1.0
    """What a sentiment of it counts."""
    verdict: int = -1
    """Its row among the verdicts to be kept; -1: none."""

    @property
    def targets(self) -> tuple[Mark, ...]:
        """Return the marks with a sentiment, in order."""
        return tuple(mark for mark in self.marks if mark.sentiment is not None)


class Row(NamedTuple):
    """A line of a corpus."""

    example: Example
    split: str
    sentiment: str


def certain(sentiment: int) -> tuple[float, float, float]:
    """Return the distribution that has one sentiment alone."""
    found = [0.0, 0.0, 0.0]
    found[sentiment] = 1.0
    return found[0], found[1], found[2]


def read_corpus(path: Path) -> list[Row]:
    """Read a corpus of JSON lines: `text`, `split`, `sentiment`, `entities`; see models/data.

    Raises:
        DataError: it cannot be read, a line is no such object, or an entity lies outside its text
            or has a type or sentiment that there is not; names the line.
    """
    try:
        lines = path.read_text("utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path}: cannot be read as UTF-8 ({error}); check the file") from error
    found: list[Row] = []
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            record = json.loads(line)
            text = normalise(record["text"])
            marks = tuple(_mark(entity, record["text"], text) for entity in record["entities"])
            row = Row(
                Example(text, marks, CORPUS_TAGGED), record["split"], str(record.get("sentiment"))
            )
        except (ValueError, KeyError, TypeError) as error:
            raise DataError(
                f"{path}, line {number}: {error!r}; expected text, split, and entities with start,"
                " end, type and, where the text has one, sentiment"
            ) from error
        found.append(row)
    if not found:
        raise DataError(f"{path}: holds no text; add some")
    return found


def _mark(entity: Mapping[str, object], raw: str, text: str) -> Mark:
    """Return the entity of a raw text as a mark of the normalised one."""
    start, end = entity["start"], entity["end"]
    if not isinstance(start, int) or not isinstance(end, int) or not 0 <= start < end <= len(raw):
        raise ValueError(f"an entity at {start} to {end} of {len(raw)} characters")
    surface = normalise(raw[start:end])
    start = len(normalise(raw[:start] + "x")) - 1
    end = start + len(surface)
    if not surface or text[start:end] != surface:
        raise ValueError(f"no {surface!r} once the text is normalised")
    kind: str | None = CORPUS_TYPES[str(entity["type"])]
    if kind == "MISC" and text[start:end].islower():
        kind = None  # "gold", "lenders": worth a mood, but no names
    sentiment = entity.get("sentiment")
    if sentiment is None:
        return Mark(start, end, kind)
    return Mark(start, end, kind, certain([str(s) for s in SENTIMENTS].index(str(sentiment))))


_NO_SPACE_BEFORE: Final = frozenset(".,;:!?)%]}'") | {"n't", "...", "''"}
_NO_SPACE_AFTER: Final = frozenset("([{$#@") | {"``"}


def joined_words(words: Sequence[str]) -> tuple[str, list[tuple[int, int]]]:
    """Return words as running text, and the characters of each; a link has none."""
    text = ""
    places: list[tuple[int, int]] = []
    glued = True
    for word in words:
        clean = normalise(word)
        if not clean:
            places.append((len(text), len(text)))
            continue
        before = clean in _NO_SPACE_BEFORE or (clean[0] == "'" and len(clean) <= 3)
        if text and not glued and not before:
            text += " "
        places.append((len(text), len(text) + len(clean)))
        text += clean
        glued = clean in _NO_SPACE_AFTER
    return text, places


def of_sentences(sentences: Sequence[Sentence], tagged: frozenset[str]) -> Example:
    """Return sentences that follow one another as one text, their entities marked.

    Corpora are at odds about user names. The Broad Twitter Corpus parts the sign from the name, and
    mostly marks both, each as a name of its own: where it marks the name alone, its sign is marked
    here. WNUT-17 marks neither: of user names without a mark nothing is said.
    """
    words = [word for sentence in sentences for word in sentence.words]
    text, places = joined_words(words)
    marks: list[Mark] = []
    first = 0
    for sentence in sentences:
        for span in spans(sentence.tags):
            start = places[first + span.start][0]
            end = places[first + span.end - 1][1]
            if start < end:
                marks.append(Mark(start, end, span.type))
        first += len(sentence.words)
    return Example(text, (*marks, *_of_user_names(text, marks)), tagged)


def _of_user_names(text: str, marks: Sequence[Mark]) -> Iterator[Mark]:
    types = {mark.start: mark.type for mark in marks}
    for match in _USER_NAME.finditer(text):
        sign, end = match.span()
        if sign in types:
            continue
        if (kind := types.get(sign + 1)) is not None:
            yield Mark(sign, sign + 1, kind)
        else:
            yield Mark(sign, end, UNSAID)


def passages(document: Document) -> Iterator[tuple[Sentence, ...]]:
    """Yield a document in runs of sentences of at most `PASSAGE` words, or one that has more."""
    run: list[Sentence] = []
    for sentence in document:
        if run and sum(len(s.words) for s in run) + len(sentence.words) > PASSAGE:
            yield tuple(run)
            run = []
        run.append(sentence)
    if run:
        yield tuple(run)


def types_in(documents: Sequence[Document]) -> frozenset[str]:
    """Return the types that the documents of a file mark; of the others it says nothing."""
    tags = {tag for document in documents for s in document for tag in s.tags}
    return frozenset(name for name in TYPES if f"B-{name}" in tags)


def runs_of(path: Path) -> tuple[list[tuple[Sentence, ...]], frozenset[str]]:
    """Return the sentences of a file of tagged words in `passages`, and the types it marks.

    Raises:
        DataError: see `models.tokens.read`.
    """
    documents = read(path)
    return [run for document in documents for run in passages(document)], types_in(documents)


def tagged_examples(paths: Iterable[Path]) -> list[Example]:
    """Return the texts of files of tagged words, the empty ones left out.

    Raises:
        DataError: see `models.tokens.read`.
    """
    found = []
    for path in paths:
        runs, types = runs_of(path)
        found += [of_sentences(run, types) for run in runs]
    return [example for example in found if example.text]


def weak(text: str, sentiment: tuple[float, float, float], weight: float) -> Example | None:
    """Return a tweet whose one cashtag stands for all that it is about; None if it has not one."""
    text = normalise(text)
    found = list(CASHTAG.finditer(text))
    if len({match.group().upper() for match in found}) != 1:
        return None
    marks = tuple(Mark(match.start(), match.end(), None, sentiment) for match in found)
    return Example(text, marks, weight=weight)


Draw = Callable[[int], int]
"""Returns a random whole number from 0 to one less than it is given."""
_JOINTS: Final = ("; ", "; ", "; ", ", ", ". ", ", while ", " as ", " while ", ", but ", " - ")


def renamed(example: Example, names: Sequence[str], draw: Draw) -> Example:
    """Return the text with each organisation, and each cashtag, under another name.

    The name of an entity that is mentioned twice stays one.
    """
    chosen: dict[str, str] = {}
    text, last = "", 0
    marks: list[Mark] = []
    for mark in sorted(example.marks):
        if mark.start < last:
            return example  # entities within entities
        surface = example.text[mark.start : mark.end]
        text += example.text[last : mark.start]
        cashtag = mark.type is None and surface.startswith("$")
        if mark.type == "ORG" or cashtag:
            surface = chosen.setdefault(surface.upper(), names[draw(len(names))])
        marks.append(mark._replace(start=len(text), end=len(text) + len(surface)))
        text += surface
        last = mark.end
    return replace(example, text=text + example.text[last:], marks=tuple(marks))


def joined(first: Example, second: Example, draw: Draw) -> Example:
    """Return two texts as one, each entity with the sentiment that its own half has for it."""
    joint = _JOINTS[draw(len(_JOINTS))]
    opening = first.text.rstrip(" .!") if joint != ". " else first.text.rstrip(" .")
    text = opening + joint
    shifted = tuple(
        mark._replace(start=mark.start + len(text), end=mark.end + len(text))
        for mark in second.marks
    )
    kept = tuple(mark for mark in first.marks if mark.end <= len(opening))
    return Example(
        text + second.text,
        kept + shifted,
        first.tagged & second.tagged,
        min(first.weight, second.weight),
    )
