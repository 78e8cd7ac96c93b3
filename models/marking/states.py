"""What an encoder makes of whole texts, token by token, and what is known of each token."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from models.evaluation.calibrate import fit_temperature
from models.marking.examples import Example
from models.marking.rows import POSSIBLE, collate
from models.network import Network, budget_of, by_length
from models.spans.shapes import starts_word
from models.tokens.tags import TAGS

if TYPE_CHECKING:
    from tokenizers import Tokenizer


@dataclass(frozen=True, slots=True)
class States:
    """What the encoder makes of texts, T tokens end to end, and what is known of each token."""

    states: npt.NDArray[np.float32]  # [T, hidden]
    shapes: npt.NDArray[np.int64]  # [T]
    codes: npt.NDArray[np.int64]  # [T], row of POSSIBLE
    counts: npt.NDArray[np.int64]  # [n]

    def take(self, rows: npt.NDArray[np.int64]) -> tuple[Tensor, Tensor, Tensor]:
        """Return states, shapes and codes of texts, end to end."""
        ends = np.cumsum(self.counts)
        places = np.concatenate([np.arange(ends[r] - self.counts[r], ends[r]) for r in rows])
        return (
            torch.from_numpy(self.states[places]),
            torch.from_numpy(self.shapes[places]),
            torch.from_numpy(self.codes[places]),
        )


@torch.inference_mode()
def states_of(
    network: Network,
    tokenizer: "Tokenizer",
    examples: Sequence[Example],
    seen: Callable[[int], object] = lambda _: None,
) -> States:
    """Return the states of at least one text; `seen` is told how many have been read further."""
    lengths = [len(found.ids) for found in tokenizer.encode_batch_fast([e.text for e in examples])]
    order = by_length([range(length) for length in lengths], budget_of("cpu"))
    parts = []
    for rows in order:
        batch = collate([examples[row] for row in rows], tokenizer, network.pad_id)
        states = network.read(batch.ids, batch.mask)[batch.mask.bool()]
        counts = batch.mask.sum(1)
        parts.append([part.numpy() for part in (states, batch.shapes, batch.codes, counts)])
        seen(len(rows))
    return States(*(np.concatenate(part) for part in zip(*parts, strict=True)))


def tag_temperature(network: Network, tokenizer: "Tokenizer", examples: Sequence[Example]) -> float:
    """Return the temperature of the tags, fitted on the words whose tag is known; 1 without any.

    Source: Guo et al. 2017, "On Calibration of Modern Neural Networks", section 4.2.
    """
    if not examples:
        return 1.0
    found = states_of(network, tokenizer, examples)
    head = network.spans
    assert head is not None  # noqa: S101 - the caller gave it one
    with torch.inference_mode():
        logits = head(torch.from_numpy(found.states), torch.from_numpy(found.shapes)).numpy()
    known = (POSSIBLE[found.codes].sum(1) == 1) & starts_word(found.shapes)
    truth = POSSIBLE[found.codes[known]].argmax(1)
    return round(fit_temperature(logits[known, : len(TAGS)].astype(np.float64), truth), 4)
