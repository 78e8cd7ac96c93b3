"""The network: one encoder, one forward pass, a linear head for each task, and one for tokens."""

import math
from collections.abc import Callable, Mapping, Sequence
from itertools import chain
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from models.device import type_of
from models.labels import LABELS, Task
from models.spans.head import NAME as SPANS
from models.spans.head import TokenHead

if TYPE_CHECKING:
    from transformers import PreTrainedModel

    from models.bert import Bert


class Headed(nn.Module):
    """An encoder and heads over it, of whatever kind."""

    encoder: "PreTrainedModel | Bert"
    heads: nn.ModuleDict
    pad_id: int


class Network(Headed):
    """Encoder, mean over the real tokens, a linear head per task; pooling and heads in float32.

    Beside them there may be a head over each token of the same pass.
    """

    def __init__(
        self,
        encoder: "PreTrainedModel | Bert",
        *,
        dropout: float = 0.0,
        spans: TokenHead | None = None,
    ) -> None:
        super().__init__()
        self.encoder = encoder
        hidden = int(encoder.config.hidden_size)
        self.pad_id = int(encoder.config.pad_token_id or 0)
        self.dropout = nn.Dropout(dropout)
        self.heads = nn.ModuleDict(
            {task: nn.Linear(hidden, len(names)) for task, names in LABELS.items()}
        )
        if spans is not None:
            self.heads[SPANS] = spans

    @property
    def spans(self) -> TokenHead | None:
        """Return the head over tokens, if there is one."""
        found = dict(self.heads.items()).get(SPANS)
        return found if isinstance(found, TokenHead) else None

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> dict[Task, Tensor]:
        """Return the logits of each task, float32 [n, classes].

        Args:
            input_ids: int64 [n, length], padded on the right.
            attention_mask: int64 [n, length], 1 for real tokens.
        """
        return self.judge(self.read(input_ids, attention_mask), attention_mask)

    def with_tokens(
        self, input_ids: Tensor, attention_mask: Tensor, shapes: Tensor
    ) -> tuple[dict[Task, Tensor], Tensor]:
        """Return the logits of each task, and those of the real tokens, float32 [T, COLUMNS].

        Args:
            input_ids, attention_mask: as in `forward`.
            shapes: integers [T], row after row; see `models.spans.shapes`.
        """
        states = self.read(input_ids, attention_mask)
        tokens: Tensor = self.heads[SPANS](states[attention_mask.bool()], shapes)
        return self.judge(states, attention_mask), tokens

    def read(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        """Return the encoder's states, [n, length, hidden]."""
        states: Tensor = self.encoder(
            input_ids=input_ids, attention_mask=attention_mask
        ).last_hidden_state
        return states

    def judge(self, states: Tensor, attention_mask: Tensor) -> dict[Task, Tensor]:
        """Return the logits of each task from the encoder's states."""
        with torch.autocast(states.device.type, enabled=False):
            pooled = self.dropout(mean_pool(states.float(), attention_mask))
            return {task: self.heads[task](pooled) for task in LABELS}


def mean_pool(states: Tensor, attention_mask: Tensor) -> Tensor:
    """Return the mean of the real tokens' states: [n, length, hidden] -> [n, hidden]."""
    weights = attention_mask.unsqueeze(-1).to(states.dtype)
    return (states * weights).sum(1) / weights.sum(1).clamp_min(1.0)


def pad(
    rows: Sequence[Sequence[int]],
    pad_id: int,
    device: str = "cpu",
    multiple: int = 1,
    limit: int | None = None,
) -> tuple[Tensor, Tensor]:
    """Return (input_ids, attention_mask), both int64 [n, longest row], padded on the right.

    The length is rounded up to a `multiple`, but not beyond `limit`.
    """
    lengths = np.fromiter(map(len, rows), dtype=np.int64, count=len(rows))
    longest = math.ceil(int(lengths.max()) / multiple) * multiple
    if limit is not None:
        longest = max(min(longest, limit), int(lengths.max()))
    mask = np.arange(longest) < lengths[:, None]
    ids = np.full(mask.shape, pad_id, dtype=np.int64)
    ids[mask] = np.fromiter(chain.from_iterable(rows), dtype=np.int64, count=int(lengths.sum()))
    return on(device, torch.from_numpy(ids)), on(device, torch.from_numpy(mask.astype(np.int64)))


def on(device: str, tensor: Tensor) -> Tensor:
    """Return a tensor of the CPU on the device; a copy to a GPU does not wait for its queue."""
    if type_of(device) == "cuda":
        return tensor.pin_memory().to(device, non_blocking=True)
    return tensor


def budget_of(device: str) -> int:
    """Return the tokens of a forward pass that fill the device, padding included."""
    return 65_536 if type_of(device) == "cuda" else 4_096


def merge_lora(encoder: nn.Module, pairs: Mapping[str, tuple[Tensor, Tensor]]) -> None:
    """Add each low-rank update to its linear layer in place: W += B @ A.

    `pairs` maps a layer's name to (A [rank, in], B [out, rank]); the LoRA scale is already in B.
    Source: Hu et al. 2021, "LoRA: Low-Rank Adaptation of Large Language Models", section 4.

    Raises:
        KeyError: no linear layer of that name. ValueError: the shapes do not fit the layer.
    """
    layers = {
        name: layer for name, layer in encoder.named_modules() if isinstance(layer, nn.Linear)
    }
    with torch.no_grad():
        for name, (a, b) in pairs.items():
            weight = layers[name].weight
            if (b.shape[0], a.shape[1]) != tuple(weight.shape) or a.shape[0] != b.shape[1]:
                raise ValueError(
                    f"{name}: adapter {tuple(b.shape)} x {tuple(a.shape)} does not fit"
                    f" {tuple(weight.shape)}"
                )
            weight += b.to(weight.dtype) @ a.to(weight.dtype)


def sorted_batches(
    rows: Sequence[Sequence[int]],
    budget: int,
    forward: Callable[[list[Sequence[int]]], Mapping[Task, npt.NDArray[np.float64]]],
    multiple: int = 1,
) -> dict[Task, npt.NDArray[np.float64]]:
    """Return the logits of all rows in their own order, each task [n, classes]; see `by_length`."""
    found = {task: np.empty((len(rows), len(names))) for task, names in LABELS.items()}
    for batch in by_length(rows, budget, multiple):
        for task, logits in forward([rows[i] for i in batch]).items():
            found[task][batch] = logits
    return found


def by_length(rows: Sequence[Sequence[int]], budget: int, multiple: int = 1) -> list[list[int]]:
    """Return the indices of each batch, longest rows first, every index exactly once.

    A batch holds at most `budget` tokens, padding to a `multiple` included, unless a single row
    has more.
    """
    order = sorted(range(len(rows)), key=lambda row: len(rows[row]), reverse=True)
    found: list[list[int]] = []
    start = 0
    while start < len(order):
        longest = math.ceil(max(1, len(rows[order[start]])) / multiple) * multiple
        found.append(order[start : start + max(1, budget // longest)])
        start += len(found[-1])
    return found


@torch.inference_mode()
def forward_all(
    network: Network,
    rows: Sequence[Sequence[int]],
    device: str = "cpu",
    budget: int | None = None,
) -> dict[Task, npt.NDArray[np.float64]]:
    """Return the logits of all rows in their own order, each task [n, classes].

    Forward passes hold at most `budget` tokens, padding included; default: `budget_of`.
    """

    def forward(batch: list[Sequence[int]]) -> dict[Task, npt.NDArray[np.float64]]:
        logits = network(*pad(batch, network.pad_id, device))
        return {task: logits[task].double().cpu().numpy() for task in LABELS}

    return sorted_batches(rows, budget or budget_of(device), forward)
