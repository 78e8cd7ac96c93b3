"""The word lists of `data/words.toml`, which says what each of them is for."""

from __future__ import annotations

import tomllib
from functools import cache
from pathlib import Path


@cache
def _lists() -> dict[str, str]:
    text = (Path(__file__).parent / "data" / "words.toml").read_text("utf-8")
    return {name: str(words) for name, words in tomllib.loads(text).items()}


def word_list(name: str) -> frozenset[str]:
    """One list, by its name in the file."""
    return frozenset(_lists()[name].split())
