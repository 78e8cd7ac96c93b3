"""The written corpus of the repository, and its figures."""

import json
from collections import Counter
from pathlib import Path

from models.labels import SENTIMENTS, TOPICS
from models.text import twin_key

CORPUS = Path(__file__).parents[2] / "models" / "data" / "corpus.jsonl"


def test_the_corpus_of_the_repository_is_whole() -> None:
    rows = [json.loads(line) for line in CORPUS.read_text("utf-8").splitlines()]
    keys = [twin_key(r["text"]) for r in rows]
    assert len(set(keys)) == len(rows)
    for r in rows:
        for entity in r["entities"]:
            assert r["text"][entity["start"] : entity["end"]].strip()
            assert (entity["type"] == "organisation") == ("sentiment" in entity)
    assert set(SENTIMENTS) == {r["sentiment"] for r in rows}
    assert set(TOPICS) == {r["topic"] for r in rows}
    assert 0.07 < Counter(r["split"] for r in rows)["test"] / len(rows) < 0.13
