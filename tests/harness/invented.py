"""Messages to measure with: short ones, and words of real sentences in an order of their own."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path

from harness.flow import message

CORPUS = Path(__file__).parents[2] / "models" / "data" / "corpus.jsonl"
NAMED = (
    "Apple", "Microsoft", "Boeing", "JPMorgan", "Deutsche Bank", "Tesla", "Pfizer", "Nestlé",
    "Credit Suisse", "HSBC", "Goldman Sachs", "Walmart", "Amazon", "Toyota", "Siemens", "Intel",
    "Target", "Visa", "Netflix", "Exxon", "$AAPL", "$TSLA", "$BA", "NYSE: JPM",
)  # fmt: skip
TEXTS = ("short", "named")
_KEPT = 4_096
_COPIES = 0.3


def texts_naming_companies(count: int, length: int = 200, seed: int = 1) -> Iterator[str]:
    """Texts of so many characters that name two companies each; three in ten repeat one of the
    last few thousand, cut short or with a word edited."""
    draw = random.Random(seed)
    words = [
        word
        for line in CORPUS.read_text("utf-8").splitlines()
        for word in json.loads(line)["text"].split()
    ]
    kept: list[list[str]] = []
    for _ in range(count):
        if kept and draw.random() < _COPIES:
            text = list(draw.choice(kept))
            if draw.random() < 0.5:
                text = text[: len(text) * 2 // 3]
            else:
                text[draw.randrange(len(text))] = draw.choice(words)
        else:
            text = draw.choices(words, k=length // 6)
            for place in (2, 12):
                text[place:place] = ["shares", "of", draw.choice(NAMED)]
            if len(kept) < _KEPT:
                kept.append(text)
            else:
                kept[draw.randrange(_KEPT)] = text
        yield " ".join(text)[:length]


def invented_messages(texts: str, count: int, start: datetime, step: timedelta) -> list[bytes]:
    """Messages so far apart in event time, whose texts tell the scripted scorer their verdict.

    ``texts``: ``short``, of one sentence, or ``named``, of 200 characters that name companies.
    """
    made = [message(n, start + n * step, "-0+"[n % 3], n % 20) for n in range(count)]
    if texts == "named":
        for one, text in zip(made, texts_naming_companies(count), strict=True):
            verdict = " ".join(str(one["text"]).split()[:2])
            one["text"] = f"{verdict} {text}"
    return [json.dumps(one).encode() for one in made]
