"""The words that set some texts apart from others: pure.

Weighted log odds with an informative Dirichlet prior: Monroe, Colaresi and Quinn, "Fightin' Words:
Lexical Feature Selection and Evaluation for Identifying the Content of Political Conflict",
Political Analysis 16 (2008), equations 16, 20 and 22. A text counts a word once. The prior has the
weight of `PRIOR` words, spread as both sets of texts together use them.
"""

from __future__ import annotations

import math
import re
import unicodedata
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import Final

from monitor.events import Term

TERMS: Final = 8
"""Terms that are told, at most."""
CHARACTERS: Final = 500
"""Of a text that are read."""
LONGEST: Final = 40
"""Characters of a word; what is longer is none."""
PRIOR: Final = 500.0
CERTAIN: Final = 1.96
"""z-score below which a difference may be chance."""
LEAST: Final = 3
"""Texts that must use a term …"""
LEAST_PART: Final = 0.05
"""… and the part of all texts."""
TOGETHER: Final = 0.7
"""A word that stands beside the same other word in so many of its texts is told with it."""

Words = tuple[str, ...]
"""One word, or two that follow each other; characters of a script without spaces come in twos."""

_SINGLE = "\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff"  # kana and Han
_TOKEN = re.compile(rf"[{_SINGLE}]|[^\W_{_SINGLE}]+(?:['’&.-][^\W_{_SINGLE}]+)*")
_ELSEWHERE = re.compile(r"(?:https?://|www\.)\S+|(?<!\w)@\w+")
_STOP = frozenset(
    """
    a about above according across after again against ago all almost along already also although
    always am amid among an and another any april are around as at august away back be became
    because become been before behind being below between bloomberg both breaking but by came can
    cannot come could day days december did do does doing don't done down during each early either
    else even ever every exclusive february few first for friday from get gets go going got had
    has have having he her here hers herself him himself his how however i if in into is isn't it
    it's its itself january july june just last late later least less let like made make many
    march may maybe me might mine monday more most much must my myself near neither never new next
    no nor not november now october of off often on once one only onto or other others our ours
    out over own per perhaps put quite rather really report reported reports reuters said same
    saturday saw say saying says second see seen september set several shall she should since so
    some something soon still such sunday take than that that's the their theirs them themselves
    then there these they thing things this those though three through thursday till to today
    together told tomorrow too toward towards tuesday two under until up update updated upon us
    use used very via was wasn't way we wednesday week weeks well went were what when where
    whether which while who whom whose why will with within without won't would year years yes
    yesterday yet you your yours yourself
    的 了 在 是 和 与 及 将 也 为 等 对 其 有 不 这 那 就 都 而
    或 被 从 到 于 之 以 上 下 中 个 年 月 日
    """.split()  # noqa: SIM905 - a list of words reads better so
)


def distinctive(
    texts: Sequence[str], usual: Sequence[str], own: Iterable[str] = (), limit: int = TERMS
) -> tuple[Term, ...]:
    """The terms that ``texts`` have and ``usual`` ones have not, the strongest first.

    None without usual texts: then nothing sets them apart. ``own``: names whose words are no news.
    """
    without = {word for name in own for word, _, _ in _tokens(name)}
    here, there = _counts(texts, without), _counts(usual, without)
    least = max(LEAST, math.ceil(LEAST_PART * len(texts)))
    scores = _scores(here, there, least) if usual else {}
    ranked = sorted(scores, key=lambda words: (-scores[words], words))
    told: set[str] = set()
    found: list[Term] = []
    for words in ranked:
        chosen = _with_its_neighbour(words, here, scores, told)
        if told.isdisjoint(chosen) and not (len(chosen) == 1 and _single(chosen[0])):
            told.update(chosen)
            found.append(Term(_text(chosen), here[chosen], round(scores[words], 2)))
            if len(found) == limit:
                break
    return tuple(found)


def _counts(texts: Iterable[str], without: Collection[str]) -> Counter[Words]:
    """In how many texts each term stands."""
    counts: Counter[Words] = Counter()
    for text in texts:
        counts.update(_terms(text, without))
    return counts


def _terms(text: str, without: Collection[str]) -> set[Words]:
    found: set[Words] = set()
    before = ""
    for word, joined, number in _tokens(text):
        single = _single(word)
        short = len(word) == 1 and not single
        if number or short or len(word) > LONGEST or word in _STOP or word in without:
            before = ""
            continue
        found.add((word,))
        if before and joined and _single(before) == single and (single or before != word):
            found.add((before, word))
        before = word
    return found


def _tokens(text: str) -> Iterator[tuple[str, bool, bool]]:
    """Each word without case and possessive, whether nothing but a space is between it and the one
    before, and whether it begins with a figure."""
    plain = _ELSEWHERE.sub(" . ", unicodedata.normalize("NFKC", text[:CHARACTERS]).casefold())
    end = 0
    for match in _TOKEN.finditer(plain):
        word = match[0]
        if "'" in word or "’" in word:
            word = word.replace("’", "'").removesuffix("'s")
        begin = match.start()
        joined = begin == end or plain[end:begin].isspace()
        end = match.end()
        yield word, joined, word[0].isdigit()


def _scores(here: Counter[Words], there: Counter[Words], least: int) -> Mapping[Words, float]:
    """z-scores of the terms that are certainly more frequent here; words and pairs apart."""
    scores: dict[Words, float] = {}
    for length in (1, 2):
        sizes = [
            sum(n for words, n in counts.items() if len(words) == length)
            for counts in (here, there)
        ]
        for words, seen in here.items():
            if len(words) != length or seen < least:
                continue
            prior = PRIOR * (seen + there[words]) / sum(sizes)
            a, b = seen + prior, there[words] + prior
            others = sizes[0] + PRIOR - a, sizes[1] + PRIOR - b
            if min(others) <= 0:
                continue  # there is no other word at all
            delta = math.log(a / others[0]) - math.log(b / others[1])
            score = delta / math.sqrt(1 / a + 1 / b)
            if score >= CERTAIN:
                scores[words] = score
    return scores


def _with_its_neighbour(
    words: Words, here: Counter[Words], scores: Mapping[Words, float], told: Collection[str]
) -> Words:
    """The pair in which a word nearly always stands, if neither of the two is told yet."""
    if len(words) == 2:
        return words
    pairs = [
        pair
        for pair in scores
        if len(pair) == 2
        and words[0] in pair
        and here[pair] >= TOGETHER * here[words]
        and not any(word in told for word in pair)
    ]
    return min(pairs, key=lambda pair: (-here[pair], pair), default=words)


def _text(words: Words) -> str:
    return ("" if _single(words[0]) else " ").join(words)


def _single(word: str) -> bool:
    """Whether it is a character of a script without spaces."""
    return len(word) == 1 and word >= "\u3040"
