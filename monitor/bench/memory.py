"""Resident memory while a long stream is scored: it must stay where it is.

The texts are written by another process into a file first, and read from it piece by piece, so
that what is measured is the scorer.
"""

from __future__ import annotations

import json
import multiprocessing
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np

from monitor.bench.contestant import BenchError
from monitor.bench.rounds import Advance

MOST: Final = 1_200.0
"""MB (10^6 bytes) resident with the default model on a CPU."""
FLAT: Final = 0.02
"""Growth over the last third, as a share of the end, that still counts as none."""
_PIECE: Final = 512
_MARKS: Final = 10


@dataclass(frozen=True, slots=True)
class Mark:
    """Resident memory after so many texts, MB (10^6 bytes)."""

    texts: int
    resident: float


def growth(marks: Sequence[Mark]) -> float:
    """Return MB that the last third adds, by a straight line through its marks (least squares).

    Raises:
        ValueError: fewer than two marks lie in the last third.
    """
    end = marks[-1].texts
    last = [mark for mark in marks if mark.texts >= end * 2 / 3]
    if len(last) < 2:
        raise ValueError("the last third of the texts needs at least two marks")
    slope = np.polyfit([mark.texts for mark in last], [mark.resident for mark in last], 1)[0]
    return float(slope * end / 3)


def is_flat(marks: Sequence[Mark]) -> bool:
    """Return whether the last third grows by no more than `FLAT` of the whole."""
    return growth(marks) <= FLAT * marks[-1].resident


def watch(
    score: Callable[[list[str]], object],
    texts: Iterator[str],
    count: int,
    *,
    resident: Callable[[], float],
    advance: Advance = lambda _what, _texts: None,
) -> list[Mark]:
    """Score `count` texts; return the memory at the start, after every tenth and at the end."""
    step = max(1, count // _MARKS)
    marks = [Mark(0, resident())]
    done = 0
    while done < count:
        target = min(count, (done // step + 1) * step)
        while done < target:
            piece = [next(texts) for _ in range(min(_PIECE, target - done))]
            score(piece)
            done += len(piece)
            advance(f"memory: {done} texts", len(piece))
        marks.append(Mark(done, resident()))
    return marks


def write_texts(path: Path, model: Path, count: int, seed: int) -> None:
    """Write `count` distinct texts of the mix, one JSON string a line, in a process of its own.

    `model` is a model directory, whose tokeniser measures them.

    Raises:
        BenchError: that process failed; its own error stands before.
    """
    worker = multiprocessing.get_context("spawn").Process(
        target=_write, args=(path, model, count, seed)
    )
    worker.start()
    worker.join()
    if worker.exitcode != 0:
        raise BenchError(f"writing {count} texts to {path} failed, see above; free space")


def read_texts(path: Path) -> Iterator[str]:
    """Yield the texts of a file of `write_texts`."""
    with path.open(encoding="utf-8") as file:
        for line in file:
            yield json.loads(line)


def resident() -> float:
    """Return the resident memory of this process in MB.

    Raises:
        BenchError: psutil is not installed.
    """
    try:
        import psutil
    except ImportError as error:
        raise BenchError("--memory needs psutil: pip install 'monitor[bench]'") from error
    return float(psutil.Process().memory_info().rss) / 1e6


def _write(path: Path, model: Path, count: int, seed: int) -> None:
    from models import manifest as manifests
    from models.backbone import encode, find, load_tokenizer
    from monitor.bench.corpus import Writer

    tokenizer = load_tokenizer(find(manifests.read(model).backbone.name, model))
    writer = Writer(seed, lambda texts: [len(row) for row in encode(tokenizer, texts)])
    with path.open("w", encoding="utf-8") as file:
        left = count
        while left:
            piece = writer.write("mix", min(left, 10_000))
            file.writelines(json.dumps(text) + "\n" for text in piece.texts)
            left -= len(piece.texts)
