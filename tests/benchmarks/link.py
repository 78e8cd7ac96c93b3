"""CPU time of linking a text, beside a regular expression and a dictionary of tokens.

Run: python tests/benchmarks/link.py [--texts 400] [--rounds 7]

The peers only find names; the linker decides about them as well. Ordinary texts are those of
models/data/corpus.jsonl (few names that anybody listed), dense ones the labelled sentences of
tests/testdata/linking.jsonl (3 to 4 links and as many traps in 200 characters). All run in turn in
one process; the best round of each counts.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from harness.linking import read

from models.text import normalise
from monitor.entity.gazetteer import SHIPPED, load, read_rows
from monitor.entity.link import Linker
from monitor.entity.reading import Link

DATA = Path(__file__).parents[1] / "testdata" / "linking.jsonl"
AT = datetime(2023, 3, 10, tzinfo=UTC)
WORD = re.compile(r"\w+")


def sentences_of(kind: str) -> list[str]:
    """The English texts of one kind."""
    if kind == "dense":
        return [t.text for t in read(DATA) if t.text.isascii()]
    corpus = Path(__file__).parents[2] / "models" / "data" / "corpus.jsonl"
    lines = corpus.read_text("utf-8").splitlines()[:2000]
    return [text for line in lines if (text := normalise(json.loads(line)["text"])).isascii()]


def texts_of(sentences: list[str], length: int, count: int) -> list[str]:
    """Texts of so many characters, joined from sentences."""
    texts: list[str] = []
    i = 0
    while len(texts) < count:
        text = sentences[i % len(sentences)]
        while len(text) < length:
            i += 1
            text += " " + sentences[i % len(sentences)]
        texts.append(text[:length])
        i += 1
    return texts


def tokens_peer(names: list[str]) -> Callable[[str], list[str]]:
    """Longest match of words in a nested dictionary, as flashtext does it, in Python."""
    trie: dict[str, dict[str, object]] = {}
    for name in names:
        node: dict[str, object] = trie  # type: ignore[assignment]
        for word in WORD.findall(name.lower()):
            node = node.setdefault(word, {})  # type: ignore[assignment]
        node[""] = name

    def find(text: str) -> list[str]:
        words = WORD.findall(text.lower())
        found, i = [], 0
        while i < len(words):
            node: dict[str, object] | None = trie  # type: ignore[assignment]
            best, length, j = None, 1, i
            while node is not None and j < len(words):
                node = node.get(words[j])  # type: ignore[assignment]
                j += 1
                if node is not None and "" in node:
                    best, length = node[""], j - i
            if best is not None:
                found.append(str(best))
            i += length
        return found

    return find


def one_by_one(call: Callable[[str], object]) -> Callable[[Sequence[str]], object]:
    """The same for many texts."""
    return lambda texts: [call(text) for text in texts]


def main() -> None:
    """Print microseconds a text of each."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0] if __doc__ else None)
    parser.add_argument("--texts", type=int, default=400)
    parser.add_argument("--rounds", type=int, default=7)
    options = parser.parse_args()

    started = time.process_time()
    linker = Linker(load())
    print(f"loaded in {time.process_time() - started:.2f} s of CPU")
    rows = read_rows(SHIPPED / "gazetteer.tsv.xz")
    names = sorted({n.lstrip("~") for r in rows for n in r.names if n}, key=len, reverse=True)
    pattern = re.compile(r"\b(?:" + "|".join(map(re.escape, names)) + r")\b")
    tokens = tokens_peer(names)

    def linked(texts: Sequence[str]) -> list[list[Link]]:
        n = len(texts)  # together, as the daemon does it
        return linker.link_all(texts, [()] * n, [()] * n, [AT] * n)

    print(f"{len(names)} names for the peers")
    for kind, length in (("ordinary", 200), ("ordinary", 500), ("dense", 200)):
        texts = texts_of(sentences_of(kind), length, options.texts)
        best: dict[str, float] = {}
        for _ in range(options.rounds):
            for name, call, some in (
                ("linker", linked, texts),
                ("dictionary of tokens", one_by_one(tokens), texts),
                ("regular expression", one_by_one(pattern.findall), texts[:4]),
            ):
                begin = time.process_time()
                call(some)
                spent = (time.process_time() - begin) / len(some)
                best[name] = min(best.get(name, spent), spent)
        links = sum(map(len, linked(texts))) / len(texts)
        print(f"{kind}, {length} characters, {links:.1f} links a text:")
        for name, spent in best.items():
            print(f"  {name:22} {spent * 1e6:10.1f} µs  {spent / best['linker']:8.1f} times")


if __name__ == "__main__":
    main()
