"""Articles and comments: which frames are put together, in whose voice."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from random import Random
from typing import Final

from monitor.demo.corpus.cast import Author, Company, Source
from monitor.demo.corpus.facts import Facts
from monitor.demo.corpus.grammar import Event, expand, lexicon, lines, sentence

_SHORT_FORMS: Final = {
    "because": "bc",
    "people": "ppl",
    "you": "u",
    "your": "ur",
    "going to": "gonna",
    "and": "&",
    "what": "wat",
    "please": "plz",
    "with": "w/",
    "though": "tho",
    "right now": "rn",
    "want to": "wanna",
}


class Decks:
    """Draws frames without replacement, so that every phrasing is used before one comes again."""

    def __init__(self, rng: Random) -> None:
        self._rng = rng
        self._left: dict[tuple[str, ...], list[str]] = {}

    def draw(self, frames: tuple[str, ...]) -> str:
        """The next frame; all of them come up before the first is repeated."""
        left = self._left.get(frames)
        if not left:
            left = list(frames)
            self._rng.shuffle(left)
            self._left[frames] = left
        return left.pop()

    def draw_several(self, frames: tuple[str, ...], count: int) -> list[str]:
        """At most `count` frames, none of them twice."""
        return list(dict.fromkeys(self.draw(frames) for _ in range(min(count, len(frames)))))


@dataclass(frozen=True, slots=True)
class Story:
    """An event that happened: what, to whom, with which figures. No company for the economy."""

    event: Event
    company: Company | None
    facts: Facts

    @property
    def tickers(self) -> tuple[str, ...]:
        """Symbols that a feed would attach."""
        return (self.company.ticker,) if self.company else ()


def article(story: Story, source: Source, decks: Decks, rng: Random) -> tuple[str, str]:
    """Title and text of one article, in the voice of the source (wire, paper, release or note)."""
    frames = story.event.frames
    title = sentence(expand(decks.draw(frames["title"]), story.facts, rng))
    details = decks.draw_several(frames["detail"], rng.choice((1, 2, 2, 3, 3, 4)))
    chosen: list[str]
    if source.role == "release" and story.company:
        opening = frames.get("release", frames["lead"])
        chosen = [*decks.draw_several(opening, 2), *details[:2], *_entry("boiler", decks, 1)]
        title = f"{story.company.full_name}: {title}" if rng.random() < 0.5 else title
    elif source.role == "note" and "note" in frames:
        chosen = [*decks.draw_several(frames["note"], 1), *details]
        if rng.random() < 0.5:
            chosen.insert(0, decks.draw(frames["lead"]))
    else:
        chosen = [decks.draw(frames["lead"]), *details]
        if story.company and rng.random() < 0.3:
            at = rng.randrange(1, len(chosen) + 1)
            chosen[at:at] = _entry(f"shares_{story.event.tone}", decks, 1)
        if story.company and rng.random() < 0.22:
            chosen += _entry("background", decks, 1)
    written = [sentence(_reworded(expand(frame, story.facts, rng), rng)) for frame in chosen]
    title = _reworded(title, rng)
    if source.role == "wire" and story.company and rng.random() < 0.4:
        written[0] = f"{story.company.city.upper()} - {written[0]}"
    return title, _paragraphs(written, rng)


def remark(
    frames: Sequence[tuple[str, ...]], facts: Facts, author: Author, decks: Decks, rng: Random
) -> str:
    """One comment: a core or two, perhaps an opening and a tail, in the author's habits."""
    drawn = dict.fromkeys(decks.draw(listed) for listed in frames)
    cores = [_reworded(expand(frame, facts, rng), rng) for frame in drawn]
    text = cores[0]
    for core in cores[1:]:
        joint = rng.choice((". ", " - ", "... ", ". also ", ". ", "\n\n"))
        text += (joint if text[-1].isalnum() else joint.replace(".", "")) + core
    if rng.random() < 0.2:
        text = decks.draw(lexicon()["open"]) + " " + text
    if rng.random() < 0.14:
        joint = rng.choice((". ", " ", ", ", "... ")) if text[-1].isalnum() else " "
        text += joint + decks.draw(lexicon()["tail"])
    return _typed(text, facts, author, rng)


@cache
def _thesaurus() -> tuple[re.Pattern[str], Mapping[str, tuple[str, ...]]]:
    """One pattern for all phrases, longest first, and what may stand in for each."""
    others: dict[str, tuple[str, ...]] = {}
    patterns: list[str] = []
    for line in sorted(lines("thesaurus.txt"), key=len, reverse=True):
        phrase, _, rest = line.partition(" = ")
        before_figure = phrase.endswith(" #")
        phrase = phrase.removesuffix(" #")
        others[phrase] = tuple(rest.split(" | "))
        patterns.append(re.escape(phrase) + (r"(?= [$£€\d])" if before_figure else ""))
    return re.compile(rf"\b(?:{'|'.join(patterns)})\b"), others


def _reworded(text: str, rng: Random) -> str:
    """The text with some of its phrases exchanged, as another desk would have put it."""
    pattern, others = _thesaurus()

    def other(found: re.Match[str]) -> str:
        return rng.choice(others[found[0]]) if rng.random() < 0.4 else found[0]

    return pattern.sub(other, text)


def _typed(text: str, facts: Facts, author: Author, rng: Random) -> str:
    if author.cashtags:
        text = text.replace(facts("co", 0), "$" + facts("tk", 0), 1)
    if author.short_forms:
        for full, short in _SHORT_FORMS.items():
            text = text.replace(f" {full} ", f" {short} ")
    if author.lower_case:
        text = " ".join(w if w.startswith("$") else w.lower() for w in text.split(" "))
    elif not author.plain:
        text = sentence(text)
    if author.plain:
        text = text.replace("'", "")
    elif text[-1].isalnum() and rng.random() < 0.5:
        text += rng.choice((".", ".", "!", "..", " 🙂", " 🙄", " 🤷"))
    while rng.random() < author.typos:
        text = _mistyped(text, rng)
    return text


def _mistyped(text: str, rng: Random) -> str:
    words = text.split(" ")
    at = rng.randrange(len(words))
    word = words[at]
    if word.isalpha() and len(word) > 4:
        cut = rng.randrange(1, len(word) - 2)
        swapped = word[:cut] + word[cut + 1] + word[cut] + word[cut + 2 :]
        dropped = word[:cut] + word[cut + 1 :]
        doubled = word[:cut] + word[cut - 1 :]
        words[at] = rng.choice((swapped, dropped, doubled))
    return " ".join(words)


def _entry(name: str, decks: Decks, count: int) -> list[str]:
    return decks.draw_several(lexicon()[name], count)


def _paragraphs(written: list[str], rng: Random) -> str:
    if len(written) < 3 or rng.random() < 0.6:
        return " ".join(written)
    cut = rng.randrange(1, len(written))
    return " ".join(written[:cut]) + "\n\n" + " ".join(written[cut:])
