"""Three public corpora of tagged words cut into training, held-out and test parts, as files.

- Broad Twitter Corpus (Derczynski, Bontcheva & Roberts 2016): the test part is section F and the
  held-out part the second half of section H, as its authors have it; the rest is trained on.
- WikiGold (Balasuriya et al. 2009) has no split: of every ten documents the tenth is held out, the
  fifth and the ninth are the test part.
- WNUT-17 (Derczynski et al. 2017) has its own three.
"""

from collections.abc import Iterable, Mapping, Sequence
from itertools import chain
from pathlib import Path
from typing import Final

from models.errors import ModelError
from models.tokens.read import Document, read

TRAINING: Final = "train"
HELD_OUT: Final = "held-out"
TEST: Final = "test"

_OF_TEN: Final[Mapping[int, str]] = {4: TEST, 8: TEST, 9: HELD_OUT}


def divide(btc: Path, wikigold: Path, wnut: Path, out: Path) -> dict[str, int]:
    """Write `<corpus>.<part>.conll` into a folder; return the sentences of each file by name.

    Args:
        btc: folder with `a.conll` to `h.conll`.
        wikigold: the file `wikigold.conll.txt`.
        wnut: folder with `wnut17train.conll`, `emerging.dev.conll`, `emerging.test.annotated`.
        out: the folder to write into.

    Raises:
        DataError: a file is missing or not as expected; names file and line.
        ModelError: the folder cannot be written.
    """
    sections = {name: read(btc / f"{name}.conll") for name in "abefgh"}
    half = len(sections["h"]) // 2
    found: dict[str, dict[str, list[Document]]] = {
        "btc": {
            TRAINING: [*chain(*(sections[name] for name in "abeg")), *sections["h"][:half]],
            HELD_OUT: sections["h"][half:],
            TEST: sections["f"],
        },
        "wikigold": {TRAINING: [], HELD_OUT: [], TEST: []},
        "wnut17": {
            TRAINING: read(wnut / "wnut17train.conll"),
            HELD_OUT: read(wnut / "emerging.dev.conll"),
            TEST: read(wnut / "emerging.test.annotated"),
        },
    }
    for number, document in enumerate(read(wikigold)):
        found["wikigold"][_OF_TEN.get(number % 10, TRAINING)].append(document)
    written: dict[str, int] = {}
    for corpus, parts in found.items():
        for part, documents in parts.items():
            path = out / f"{corpus}.{part}.conll"
            _write(path, documents)
            written[path.name] = sum(map(len, documents))
    return written


def _write(path: Path, documents: Iterable[Document]) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("".join(_lines(list(documents))), "utf-8")
    except OSError as error:
        raise ModelError(
            f"{path}: cannot be written ({error.strerror}); choose another --out"
        ) from error


def _lines(documents: Sequence[Document]) -> Iterable[str]:
    apart = any(len(document) > 1 for document in documents)
    for document in documents:
        if apart:
            yield "-DOCSTART-\tO\n\n"
        for sentence in document:
            for word, tag in zip(sentence.words, sentence.tags, strict=True):
                yield f"{word}\t{tag}\n"
            yield "\n"
