"""From examples to the arrays of a forward pass."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from models.marking.examples import UNSAID, Example
from models.network import on, pad
from models.spans.shapes import Case, Shapes, shapes_of_all
from models.tokens.tags import OUTSIDE, TAGS, TYPES

if TYPE_CHECKING:
    from tokenizers import Tokenizer

Integers = npt.NDArray[np.int64]

_NUMBER: Final = {tag: number for number, tag in enumerate(TAGS)}
UNTAGGED: Final = 0
_OUTSIDE: Final = 1 + len(TAGS)
"""Code of a token of no marked name, plus a bit for each type that its text does not mark."""


_SMALL: Final = (Case.LOWER, Case.SIGN, Case.NUMBER, Case.OTHER)


def _possible() -> npt.NDArray[np.bool_]:
    found = np.zeros((_OUTSIDE + 2 ** len(TYPES), len(TAGS)), dtype=np.bool_)
    found[UNTAGGED] = True
    found[1 : 1 + len(TAGS)] = np.eye(len(TAGS), dtype=np.bool_)
    for unknown in range(2 ** len(TYPES)):
        found[_OUTSIDE + unknown, _NUMBER[OUTSIDE]] = True
        for bit, name in enumerate(TYPES):
            if unknown >> bit & 1:
                found[_OUTSIDE + unknown, [_NUMBER[f"B-{name}"], _NUMBER[f"I-{name}"]]] = True
    return found


POSSIBLE: Final = _possible()
"""[code, tag]: the tags that a token may have, of which the probability is to become 1."""


@dataclass(frozen=True, slots=True)
class Batch:
    """Rows of one forward pass; T are their real tokens, end to end."""

    ids: Tensor  # int64 [n, length]
    mask: Tensor  # int64 [n, length]
    shapes: Tensor  # int64 [T]
    codes: Tensor  # int64 [T], row of POSSIBLE
    members: Tensor  # int64 [m], tokens of entities with a sentiment
    owners: Tensor  # int64 [m], the entity that each belongs to
    sentiments: Tensor  # float32 [entities, 3]
    weights: Tensor  # float32 [entities]
    offsets: tuple[Integers, ...]  # of each row: characters of its tokens, [tokens, 2]


def collate(
    examples: Sequence[Example],
    tokenizer: "Tokenizer",
    pad_id: int,
    device: str = "cpu",
    multiple: int = 1,
) -> Batch:
    """Return the batch of examples; an entity that the tokeniser cut away is not in it."""
    encodings = tokenizer.encode_batch([example.text for example in examples])
    ids, mask = pad([found.ids for found in encodings], pad_id, device, multiple)
    offsets = tuple(np.array(found.offsets, dtype=np.int64) for found in encodings)
    places = np.concatenate(offsets)
    counts = np.array([len(part) for part in offsets])
    shapes = shapes_of_all([e.text for e in examples], places[:, 0], places[:, 1], counts)
    codes: list[Integers] = []
    members: list[Integers] = []
    owners: list[int] = []
    sentiments: list[tuple[float, float, float]] = []
    weights: list[float] = []
    first = 0
    for example, part in zip(examples, offsets, strict=True):
        codes.append(_codes(example, part, shapes[first : first + len(part)]))
        for mark in example.targets:
            inside = np.flatnonzero(_within(part, mark.start, mark.end))
            if len(inside) and mark.sentiment is not None:
                members.append(inside + first)
                owners.extend([len(sentiments)] * len(inside))
                sentiments.append(mark.sentiment)
                weights.append(example.weight)
        first += len(part)
    return Batch(
        ids,
        mask,
        on(device, torch.from_numpy(shapes.astype(np.int64))),
        on(device, torch.from_numpy(np.concatenate(codes))),
        on(device, torch.from_numpy(np.concatenate([np.zeros(0, np.int64), *members]))),
        on(device, torch.tensor(owners, dtype=torch.int64)),
        on(device, torch.tensor(sentiments, dtype=torch.float32).reshape(-1, 3)),
        on(device, torch.tensor(weights, dtype=torch.float32)),
        offsets,
    )


def _within(offsets: Integers, start: int, end: int) -> npt.NDArray[np.bool_]:
    real = offsets[:, 0] < offsets[:, 1]
    found: npt.NDArray[np.bool_] = real & (offsets[:, 0] < end) & (offsets[:, 1] > start)
    return found


def _codes(example: Example, offsets: Integers, shapes: Shapes) -> Integers:
    """Return the code of each token.

    A name of a type that the text does not mark has a capital: what is written small is outside.
    """
    found = np.full(len(offsets), UNTAGGED, dtype=np.int64)
    if not example.tagged:
        return found
    unknown = sum(1 << bit for bit, name in enumerate(TYPES) if name not in example.tagged)
    real = offsets[:, 0] < offsets[:, 1]
    found[real] = np.where(np.isin((shapes[real] - 1) % len(Case), _SMALL), 0, unknown) + _OUTSIDE
    for mark in example.marks:
        if mark.type is not None:
            inside = np.flatnonzero(_within(offsets, mark.start, mark.end))
            if mark.type == UNSAID:
                found[inside] = UNTAGGED
                continue
            found[inside] = 1 + _NUMBER[f"I-{mark.type}"]
            found[inside[:1]] = 1 + _NUMBER[f"B-{mark.type}"]
    return found
