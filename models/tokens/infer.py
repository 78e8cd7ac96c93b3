"""Tags of documents from a network: windows, forward passes, the best allowed sequences."""

from collections.abc import Sequence
from typing import Final

import numpy as np
import torch

from models.network import budget_of
from models.tokens.decode import Floats, viterbi
from models.tokens.network import TokenNetwork, collate
from models.tokens.tags import TAGS
from models.tokens.windows import Pieces, Tokens, windows

_MULTIPLE: Final = 16


@torch.inference_mode()
def logits_of(
    network: TokenNetwork,
    documents: Sequence[Tokens],
    pieces: Pieces,
    length: int,
    device: str = "cpu",
) -> list[Floats]:
    """Return the logits of each document's words, float64 [words, tags].

    Documents of more than `length` sub-tokens are read in windows with context on both sides.
    """
    rows = [
        (number, tokens, row)
        for number, tokens in enumerate(documents)
        for row in windows(tokens, pieces, length)
    ]
    rows.sort(key=lambda row: len(row[2].ids), reverse=True)
    found = [np.empty((len(tokens.words), len(TAGS))) for tokens in documents]
    start, budget = 0, budget_of(device)
    while start < len(rows):
        batch = rows[start : start + max(1, budget // len(rows[start][2].ids))]
        parts = [(tokens, row) for _, tokens, row in batch]
        logits = network(collate(parts, network.pad_id, device, _MULTIPLE)).double().cpu().numpy()
        place = 0
        for number, _, row in batch:
            found[number][row.start : row.end] = logits[place : place + row.end - row.start]
            place += row.end - row.start
        start += len(batch)
    return found


def tags_of(documents: Sequence[Tokens], logits: Sequence[Floats]) -> list[tuple[str, ...]]:
    """Return the tags of each sentence of the documents, one for each word."""
    return [
        tuple(TAGS[tag] for tag in viterbi(values[low:high]))
        for tokens, values in zip(documents, logits, strict=True)
        for low, high in tokens.sentences
    ]
