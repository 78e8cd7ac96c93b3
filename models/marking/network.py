"""The network with all three heads: verdicts on the text, and on each of its tokens."""

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from models.labels import LABELS, Task
from models.network import Network, mean_pool
from models.spans.head import NAME, TokenHead

if TYPE_CHECKING:
    from transformers import PreTrainedModel

    from models.bert import Bert


class SpanNetwork(Network):
    """A `Network` whose encoder's last states are read by a `TokenHead` as well."""

    def __init__(self, encoder: "PreTrainedModel | Bert", *, dropout: float = 0.0) -> None:
        super().__init__(encoder, dropout=dropout)
        self.heads[NAME] = TokenHead(int(encoder.config.hidden_size), dropout=dropout)

    def both(
        self, input_ids: Tensor, attention_mask: Tensor, shapes: Tensor
    ) -> tuple[dict[Task, Tensor], Tensor]:
        """Return the logits of each task, [n, classes], and of each real token, [T, COLUMNS].

        Args:
            input_ids: int64 [n, length], padded on the right.
            attention_mask: int64 [n, length], 1 for real tokens.
            shapes: int64 [T], of the real tokens, row after row.
        """
        states = self.encoder(input_ids=input_ids, attention_mask=attention_mask).last_hidden_state
        with torch.autocast(states.device.type, enabled=False):
            states = states.float()
            pooled = self.dropout(mean_pool(states, attention_mask))
            found = {task: self.heads[task](pooled) for task in LABELS}
            tokens: Tensor = self.heads[NAME](states[attention_mask.bool()], shapes)
        return found, tokens
