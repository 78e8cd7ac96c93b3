"""Files of tagged words: one word a line, a blank line after each sentence (CoNLL)."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Final

from models.errors import DataError
from models.tokens.tags import ALIASES, UnknownTagError, as_iob2, tag_of

_DOCUMENT: Final = "-DOCSTART-"


@dataclass(frozen=True, slots=True)
class Sentence:
    """Words and their tags under IOB2, one of `TAGS` each."""

    words: tuple[str, ...]
    tags: tuple[str, ...]

    def __post_init__(self) -> None:
        if len(self.words) != len(self.tags):
            raise ValueError(f"{len(self.words)} words, {len(self.tags)} tags")


Document = tuple[Sentence, ...]
"""Sentences that follow one another; each is context to the others."""


def read(path: Path, types: Mapping[str, str] = ALIASES) -> list[Document]:
    """Read the documents of a file.

    The word is a line's first column and the tag its last, IOB1 or IOB2. Columns are separated by
    tabs where the line has any, else by spaces. Documents end at a line `-DOCSTART-`, or where two
    blank lines or more follow one another; a file without either has one sentence a document.

    Args:
        path: the file, UTF-8.
        types: the file's types of entities, in lower case, and the type or O each counts as.

    Raises:
        DataError: the file cannot be read, is empty, or has a line with too few columns or an
            unknown tag; names file and line.
    """
    lines = _lines(path)
    documents = [tuple(document) for document in _documents(path, lines, types)]
    if not documents:
        raise DataError(f"{path}: has no words; expected one word and its tag a line")
    if len(documents) == 1 and not lines[0].startswith(_DOCUMENT):
        return [(sentence,) for sentence in documents[0]]
    return documents


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text("utf-8-sig").split("\n")
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror})") from error
    except UnicodeDecodeError as error:
        raise DataError(
            f"{path}: not UTF-8 (byte {error.start}); convert it, e.g. with iconv"
        ) from error


def _documents(
    path: Path, lines: Sequence[str], types: Mapping[str, str]
) -> Iterator[list[Sentence]]:
    sentences: list[Sentence] = []
    words: list[str] = []
    tags: list[str] = []
    blanks = 0
    for number, line in enumerate(chain(lines, ("",)), 1):
        line = line.rstrip("\r")
        starts = line.startswith(_DOCUMENT)
        blank = starts or not line.strip()
        if blank and words:
            sentences.append(Sentence(tuple(words), as_iob2(tags)))
            words, tags = [], []
        blanks = blanks + 1 if blank else 0
        if (starts or blanks > 1) and sentences:
            yield sentences
            sentences = []
        if blank:
            continue
        columns = line.split("\t") if "\t" in line else line.split()
        if len(columns) < 2:
            raise DataError(
                f"{path}, line {number}: {line.strip()[:40]!r} has one column;"
                " expected a word and its tag, separated by a tab or spaces"
            )
        try:
            tags.append(tag_of(columns[-1].strip(), types))
        except UnknownTagError as error:
            raise DataError(
                f"{path}, line {number}: unknown tag {error.tag!r}; expected O, or B- or I- with"
                f" one of {', '.join(types)}; map another type with --type NAME=PER (or =O)"
            ) from error
        words.append(columns[0].strip())
    if sentences:
        yield sentences
