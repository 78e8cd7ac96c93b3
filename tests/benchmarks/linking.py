"""Precision and recall of linking on a labelled file, and the worst errors.

Run: python tests/benchmarks/linking.py FILE [--split dev] [--no-products] [--errors 20]
     python tests/benchmarks/linking.py FILE --model models/default    # with the names it sees

The format of FILE: tests/harness/linking.py. tests/testdata/linking.jsonl is one.
"""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from harness.linking import DUE, Labelled, interval, read, tally, total

from models.predict import Predictor
from monitor.entity.gazetteer import load
from monitor.entity.link import Linker
from monitor.entity.reading import Span


def main() -> None:
    """Print the figures of each kind and of all."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0] if __doc__ else None)
    parser.add_argument("file", type=Path)
    parser.add_argument("--split", default="", help="only texts of this split")
    parser.add_argument("--aliases", type=Path, help="a user's alias file")
    parser.add_argument("--errors", type=int, default=20)
    parser.add_argument("--no-products", action="store_true")
    parser.add_argument("--model", type=Path, help="the names are those that this model sees")
    options = parser.parse_args()

    linker = Linker(load(aliases=options.aliases), products=not options.no_products)
    texts = [t for t in read(options.file) if options.split in ("", t.split)]
    if options.model is not None:
        texts = seen_by(options.model, texts)
    kinds = Counter(m.kind for t in texts for m in t.mentions)
    print(f"{len(texts)} texts; mentions: {', '.join(f'{n} {k}' for k, n in kinds.most_common())}")
    for name, due in (("listed companies", ("company",)), ("all that are due", DUE)):
        tallies = [tally(text, linker, due) for text in texts]
        whole = total(tallies)
        low, high = interval(tallies, "recall")
        print(f"recall, {name}: {whole.recall:.3f} ({low:.3f} to {high:.3f}), n = {whole.due}")
    low, high = interval(tallies, "precision")
    links = whole.right + whole.wrong
    print(f"precision: {whole.precision:.3f} ({low:.3f} to {high:.3f}), n = {links}")
    # A wrong link that was sure is worse than one that was not; both are worse than a missed name.
    worst = sorted(
        whole.faults, key=lambda f: (f.what == "missed", f.kind != "company", -f.confidence)
    )
    for fault in worst[: options.errors]:
        place = fault.text.find(fault.surface)
        around = fault.text[max(0, place - 45) : place + len(fault.surface) + 45]
        print(f"{fault.what:9} {fault.confidence:.2f} {fault.surface!r} {fault.key}  …{around}…")


def seen_by(folder: Path, texts: Sequence[Labelled]) -> list[Labelled]:
    """The texts with the spans of a model in place of their own."""
    predictor = Predictor.load(folder, device="cpu", dtype="float32")
    found = predictor.predict(predictor.encode([text.text for text in texts])).tokens
    if found is None:
        raise SystemExit(f"{folder}: has no head over tokens; give another --model")
    spans = [tuple(Span(*span) for span in found.spans(i)) for i in range(len(texts))]
    return [text._replace(spans=own) for text, own in zip(texts, spans, strict=True)]


if __name__ == "__main__":
    main()
