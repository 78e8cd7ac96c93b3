"""The head over every sub-token: tags of names, and the sentiment towards what a token names."""

from typing import Final

import torch
from torch import Tensor, nn
from torch.nn import functional

from models.labels import SENTIMENTS
from models.spans.shapes import SHAPES
from models.tokens.tags import TAGS

NAME: Final = "spans"
"""The head's name among a network's heads, in the weights file and in the manifest."""
COLUMNS: Final = len(TAGS) + len(SENTIMENTS)
"""Logits of a token: of the tags, then of the sentiment towards what it names."""
INNER: Final = 256


class TokenHead(nn.Module):
    """One hidden layer, told how words are written; in float32."""

    def __init__(self, hidden: int, *, inner: int = INNER, dropout: float = 0.0) -> None:
        """`hidden`: size of the encoder's states."""
        super().__init__()
        self.states = nn.Linear(hidden, inner)
        self.shapes = nn.Embedding(SHAPES, inner)
        self.dropout = nn.Dropout(dropout)
        self.out = nn.Linear(inner, COLUMNS)
        nn.init.normal_(self.shapes.weight, std=0.02)

    def forward(self, states: Tensor, shapes: Tensor) -> Tensor:
        """Return the logits of each token, float32 [T, COLUMNS].

        Args:
            states: [T, hidden] of the encoder.
            shapes: integers [T], see `models.spans.shapes`.
        """
        with torch.autocast(states.device.type, enabled=False):
            inner = functional.gelu(self.states(states.float()) + self.shapes(shapes))
            found: Tensor = self.out(self.dropout(inner))
        return found
