"""Plain text to words, as the files of tagged words have them."""

import re
from dataclasses import dataclass
from typing import Final

_WORD: Final = re.compile(
    r"(?:[^\W\d_]\.){2,}"  # U.S.
    r"|[$#@]?\w+(?:[-.,:/&]\w+)*(?:\.(?=\w))?"  # $TSLA, 1.5, ex-chief, AT&T
    r"|'\w+"  # the 's of a genitive
    r"|[^\w\s]"
)
_ENDS: Final = frozenset({".", "!", "?"})


@dataclass(frozen=True, slots=True)
class Word:
    """A word and where it stands in the text: characters `start` to `end`, the latter excluded."""

    text: str
    start: int
    end: int


def sentences_of(text: str) -> list[list[Word]]:
    """Return the words of a text, sentence by sentence.

    A sentence ends at a full stop, exclamation or question mark that white space follows, and at a
    line's end.
    """
    found: list[list[Word]] = [[]]
    for match in _WORD.finditer(text):
        word = Word(match.group(), match.start(), match.end())
        sentence = found[-1]
        if sentence:
            between = text[sentence[-1].end : word.start]
            if "\n" in between or (between and sentence[-1].text in _ENDS):
                found.append([])
        found[-1].append(word)
    return [sentence for sentence in found if sentence]
