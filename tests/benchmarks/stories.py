"""Telling copies: documents a second, memory over millions of them, agreement with labelled pairs.

Run: python tests/benchmarks/stories.py [--documents 20000]
     python tests/benchmarks/stories.py --pairs dev
     python tests/benchmarks/stories.py --memory 10000000
     python tests/benchmarks/stories.py --replay FILE.jsonl ...

Speed and pairs are told beside datasketch's MinHashLSH, where that is installed, in the same run;
it has no window and no restart. A replay's files have a JSON object a line: ts, source, title,
description.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import re
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Literal

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1]))

from harness.pairs import pairs, score, told

from models.dataset.near import ngrams
from models.dataset.near import words as words_of
from models.text import normalise
from monitor.events import Document, Kind, Origin
from monitor.story.base import Told
from monitor.story.fingerprint import prints
from monitor.story.stories import Stories

T0 = datetime(2026, 1, 1, tzinfo=UTC)
ORIGIN = Origin("news", 0, 0)
BATCH = 1_024
BASELINE = importlib.util.find_spec("datasketch") is not None


def synthetic(
    count: int, spacing: float, words: tuple[int, int] = (20, 90)
) -> Iterator[list[Document]]:
    """Batches of invented texts of so many words, by Zipf's law; three in ten repeat an earlier
    one: word for word, retweeted, cut short or with three words edited."""
    generator = np.random.default_rng(1)
    letters = np.array(list("etaoinshrdlucmfwypvbgk"))
    vocabulary = [
        "".join(generator.choice(letters, size))
        for size in generator.integers(2, 11, 40_000).tolist()
    ]
    vocabulary += [str(n) for n in range(1, 2_000)]
    ranks = (generator.pareto(0.9, 1 << 22) * 40).astype(np.int64) % len(vocabulary)
    recent: list[list[str]] = []
    made = 0
    while made < count:
        batch = []
        size = min(BATCH, count - made)
        lengths = generator.integers(words[0], words[1] + 1, size).tolist()
        places = generator.integers(0, len(ranks) - 100, size).tolist()
        fates = generator.random(size).tolist()
        sources = generator.integers(0, 4_096, size).tolist()
        for offset in range(size):
            fate = fates[offset]
            if fate < 0.3 and recent:
                text = recent[sources[offset] % len(recent)]
                if fate < 0.1:
                    text = ["RT", "@somebody:", *text]
                elif fate < 0.15:
                    text = text[: len(text) * 2 // 3]
                elif fate < 0.2:
                    text = list(text)
                    for place in (3, 9, 15):
                        text[place] = vocabulary[sources[offset]]
            else:
                at = places[offset]
                text = [vocabulary[rank] for rank in ranks[at : at + lengths[offset]].tolist()]
                if len(recent) < 4_096:
                    recent.append(text)
                else:
                    recent[sources[offset]] = text
            n = made + offset
            published = T0 + timedelta(seconds=n * spacing)
            batch.append(
                Document(
                    f"document-{n}", Kind.NEWS, "wire", published, "", " ".join(text), None, None,
                    "en", (), ORIGIN, published,
                )
            )  # fmt: skip
        made += size
        yield batch


def shingles(text: str) -> list[bytes]:
    return [gram.encode() for gram in ngrams(words_of(text))]


class Baseline:
    """datasketch as it is documented: MinHash of word 3-grams, LSH for Jaccard of at least 0.5."""

    def __init__(self) -> None:
        datasketch: Any = importlib.import_module("datasketch")
        self._minhash = datasketch.MinHash
        self._index = datasketch.MinHashLSH(threshold=0.5, num_perm=128)

    def tell(self, documents: Sequence[Document], texts: Sequence[str]) -> None:
        for document, text in zip(documents, texts, strict=True):
            sketch = self._minhash(num_perm=128)
            sketch.update_batch(shingles(text))
            self._index.query(sketch)
            self._index.insert(document.id, sketch)


def speed(count: int) -> None:
    """Ours and the baseline's, batch after batch in turn, by CPU time of this one thread."""
    prints(["to make the tables"])
    stories, spent = Stories(), dict.fromkeys(("normalise", "tell", "datasketch"), 0.0)
    wall = dict(spent)
    baseline = Baseline() if BASELINE else None
    copies = characters = 0

    @contextmanager
    def timed(name: str) -> Iterator[None]:
        begun, cpu = time.perf_counter(), time.thread_time()
        yield
        spent[name] += time.thread_time() - cpu
        wall[name] += time.perf_counter() - begun

    for documents in synthetic(count, 1.0):
        with timed("normalise"):
            texts = [normalise(one.content) for one in documents]
        with timed("tell"):
            found = stories.tell(documents, texts)
            stories.changes()
            stories.drain()
        copies += sum(one.copy_of is not None for one in found)
        characters += sum(map(len, texts))
        if baseline is not None:
            with timed("datasketch"):
                baseline.tell(documents, texts)
    print(f"{count:,} documents of {characters / count:.0f} characters, {copies:,} copies")
    for name, seconds in spent.items():
        if seconds:
            print(
                f"{name:12} {count / seconds:9,.0f} documents/s of CPU "
                f"({count / wall[name]:9,.0f} by the clock)"
            )
    if baseline is not None:
        print(f"tell / datasketch: {spent['datasketch'] / spent['tell']:.1f}")


def resident() -> float:
    """MB."""
    found = re.search(r"VmRSS:\s+(\d+)", Path("/proc/self/status").read_text("ascii"))
    return int(found[1]) / 1024 if found else 0.0


def memory(count: int, spacing: float) -> None:
    """The resident memory while millions of documents go by."""
    stories = Stories()
    done = 0
    begun, cpu = time.perf_counter(), 0.0
    step = max(BATCH, count // 40 // BATCH * BATCH)
    for documents in synthetic(count, spacing, words=(16, 24)):
        texts = [one.text for one in documents]  # plain words: there is nothing to normalise
        before = time.thread_time()
        stories.tell(documents, texts)
        stories.changes()
        stories.drain()
        cpu += time.thread_time() - before
        done += len(documents)
        if done % step < BATCH:
            print(
                f"{done:12,} documents  {len(stories):9,} wordings  {resident():7.0f} MB  "
                f"{done / cpu:8,.0f} documents/s of CPU  {time.perf_counter() - begun:6.0f} s",
                flush=True,
            )


def agreement(split: Literal["dev", "test"]) -> None:
    """Precision, recall and F1 of the class of copies, and what is wrong, by kind."""
    found = pairs(split)
    labels = [pair.same for pair in found]
    report("Stories", split, labels, [told(pair) for pair in found])
    for name, likeness in LIKENESSES.items():
        if name.startswith("datasketch") and not BASELINE:
            continue
        dev = pairs("dev")
        on_dev = [likeness(normalise(p.a.content), normalise(p.b.content)) for p in dev]
        limits = sorted(set(on_dev))
        best = max(
            limits, key=lambda t: score([p.same for p in dev], [one >= t for one in on_dev]).f1
        )
        here = [likeness(normalise(p.a.content), normalise(p.b.content)) for p in found]
        report(f"{name} >= {best:.2f}", split, labels, [one >= best for one in here])
    kinds = sorted({(pair.same, pair.kind) for pair in found})
    print(f"{'kind':28} {'copies':>6} {'pairs':>6} {'right':>6}")
    for same, kind in kinds:
        these = [pair for pair in found if (pair.same, pair.kind) == (same, kind)]
        right = sum(told(pair) == pair.same for pair in these)
        print(f"{kind:28} {'yes' if same else 'no':>6} {len(these):6} {right:6}")


def report(name: str, split: str, labels: Sequence[bool], answers: Sequence[bool]) -> None:
    precision, recall, f1 = score(labels, answers)
    print(f"{name:32} {split}: precision {precision:.3f}, recall {recall:.3f}, F1 {f1:.3f}")


def jaccard(a: str, b: str) -> float:
    one, other = set(shingles(a)), set(shingles(b))
    return len(one & other) / max(1, len(one | other))


def sketched(a: str, b: str) -> float:
    datasketch: Any = importlib.import_module("datasketch")
    one, other = datasketch.MinHash(num_perm=128), datasketch.MinHash(num_perm=128)
    one.update_batch(shingles(a))
    other.update_batch(shingles(b))
    return float(one.jaccard(other))


LIKENESSES: dict[str, Callable[[str, str], float]] = {
    "Jaccard of 3-grams": jaccard,
    "datasketch MinHash": sketched,
}
"""Beside ours, each at the threshold that is best on the dev half."""


def replay(files: Sequence[Path]) -> None:
    """What the stories of real files look like."""
    stories = Stories()
    told_of: dict[str, Told] = {}
    documents: dict[str, Document] = {}
    spent = 0.0
    for batch in batches(files):
        texts = [normalise(document.content) for document in batch]
        begun = time.thread_time()
        found = stories.tell(batch, texts)
        changes = stories.changes()
        stories.drain()
        spent += time.thread_time() - begun
        documents.update((document.id, document) for document in batch)
        told_of.update(zip((document.id for document in batch), found, strict=True))
        told_of.update((flip.document, flip.told) for flip in changes.flipped)
        renamed = dict(changes.renamed)
        if renamed:
            for identifier, one in told_of.items():
                if one.story in renamed:
                    told_of[identifier] = one._replace(story=renamed[one.story])
    members: defaultdict[str, list[Document]] = defaultdict(list)
    for identifier, one in told_of.items():
        members[one.story].append(documents[identifier])
    several = [story for story, of_story in members.items() if len(of_story) > 1]
    copies = sum(one.copy_of is not None for one in told_of.values())
    print(
        f"{len(documents):,} documents, {copies:,} copies ({100 * copies / len(documents):.1f} %), "
        f"{len(members):,} stories, {len(several):,} of several documents; "
        f"{len(documents) / spent:,.0f} documents/s of CPU"
    )
    sizes = Counter(min(len(members[story]), 10) for story in several)
    print(
        "documents in a story:",
        ", ".join(f"{n}{'+' * (n == 10)}: {sizes[n]}" for n in sorted(sizes)),
    )
    domains = {story: len({d.source for d in members[story]}) for story in several}
    print("domains in a story:", dict(sorted(Counter(domains.values()).items())))
    for title, rank in (
        ("by documents", lambda s: (len(members[s]), domains[s])),
        ("by domains", lambda s: (domains[s], len(members[s]))),
    ):
        print(f"the biggest {title}:")
        for story in sorted(several, key=rank, reverse=True)[:8]:
            first = documents[story]
            span = max(d.published_at for d in members[story]) - first.published_at
            print(
                f"  {len(members[story]):5} documents, {domains[story]:3} domains, over "
                f"{span / timedelta(hours=1):6.1f} h: {first.source}: {first.title[:70]}"
            )


def batches(files: Sequence[Path]) -> Iterator[list[Document]]:
    batch: list[Document] = []
    n = 0
    for path in files:
        with path.open(encoding="utf-8") as lines:
            for line in lines:
                row = json.loads(line)
                at = datetime.fromisoformat(row["ts"])
                at = at.replace(tzinfo=UTC) if at.tzinfo is None else at.astimezone(UTC)
                title, text = row["title"] or "", row["description"] or ""
                batch.append(
                    Document(
                        f"{n:08}", Kind.NEWS, row["source"], at, title, text, None, None, "en", (),
                        ORIGIN, at,
                    )
                )  # fmt: skip
                n += 1
                if len(batch) == BATCH:
                    yield batch
                    batch = []
    if batch:
        yield batch


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--documents", type=int, default=20_000)
    parser.add_argument("--memory", type=int, metavar="DOCUMENTS")
    parser.add_argument("--spacing", type=float, default=2.0, help="seconds between two of them")
    parser.add_argument("--pairs", choices=("dev", "test"))
    parser.add_argument("--replay", type=Path, nargs="+", metavar="FILE")
    options = parser.parse_args()
    if options.replay:
        replay(options.replay)
    elif options.pairs:
        agreement(options.pairs)
    elif options.memory:
        memory(options.memory, options.spacing)
    else:
        speed(options.documents)


if __name__ == "__main__":
    main()
