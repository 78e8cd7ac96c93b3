"""The head over every sub-token: tags of names, and the sentiment towards what a token names."""

from collections.abc import Mapping
from typing import Final

import torch
from torch import Tensor, nn
from torch.nn import functional

from models.labels import SENTIMENTS
from models.spans.shapes import SHAPES, SPECIAL
from models.tokens.tags import TAGS

NAME: Final = "spans"
"""The head's name among a network's heads, in the weights file and in the manifest."""
COLUMNS: Final = len(TAGS) + len(SENTIMENTS)
"""Logits of a token: of the tags, then of the sentiment towards what it names."""
INNER: Final = 256
NAMES: Final = 128
"""Inner width of what tells names; at twice that it costs three times as much."""
NEIGHBOURHOODS: Final = 2
"""Layers over neighbouring tokens: a tag depends on two tokens on either side."""


class Written(nn.Module):
    """A hidden layer over the encoder's states, told how words are written."""

    def __init__(self, hidden: int, inner: int) -> None:
        super().__init__()
        self.states = nn.Linear(hidden, inner)
        self.shapes = nn.Embedding(SHAPES, inner)
        nn.init.normal_(self.shapes.weight, std=0.02)

    def forward(self, states: Tensor, shapes: Tensor) -> Tensor:
        """Return [T, inner]."""
        return functional.gelu(self.states(states) + self.shapes(shapes))


class Neighbourhood(nn.Module):
    """Each token with the ones before and after it: a convolution of width 3, as one product."""

    def __init__(self, inner: int, dropout: float) -> None:
        super().__init__()
        self.product = nn.Linear(3 * inner, inner)
        self.norm = nn.LayerNorm(inner)
        self.dropout = nn.Dropout(dropout)

    def forward(self, states: Tensor) -> Tensor:
        """Return [T, inner] of [T, inner]; beyond the ends stands 0."""
        near = self.dropout(states)
        before = functional.pad(near[:-1], (0, 0, 1, 0))
        after = functional.pad(near[1:], (0, 0, 0, 1))
        around = functional.gelu(self.product(torch.cat([before, near, after], dim=1)))
        found: Tensor = self.norm(states + around)
        return found


class Names(nn.Module):
    """Tags of names from each token and its neighbours.

    Rows stand end to end. What is special, as each row's first token and last, counts as 0 in every
    neighbourhood, so that no row sees another.
    """

    def __init__(self, hidden: int, inner: int = NAMES, dropout: float = 0.0) -> None:
        super().__init__()
        self.written = Written(hidden, inner)
        self.near = nn.ModuleList(Neighbourhood(inner, dropout) for _ in range(NEIGHBOURHOODS))
        self.dropout = nn.Dropout(dropout)
        self.out = nn.Linear(inner, len(TAGS))

    def forward(self, states: Tensor, shapes: Tensor) -> Tensor:
        """Return the logits of the tags, [T, len(TAGS)]."""
        words = (shapes != SPECIAL).unsqueeze(1)
        inner = self.written(states, shapes) * words
        for near in self.near:
            inner = near(inner) * words
        found: Tensor = self.out(self.dropout(inner))
        return found


def names_width(tensors: Mapping[str, Tensor]) -> int:
    """Return the inner width of what tells names among the weights of a model; 0 without it."""
    bias = tensors.get(f"head.{NAME}.names.written.states.bias")
    return 0 if bias is None else len(bias)


class TokenHead(Written):
    """What a token names from its state alone; its tag from those of its neighbours too.

    In float32. Heads without `names`, as the first ones were, read the tags from the state alone.
    """

    def __init__(self, hidden: int, *, names: int = NAMES, dropout: float = 0.0) -> None:
        """`hidden`: size of the states; `names`: inner width of what tells names, 0 without it."""
        super().__init__(hidden, INNER)
        self.dropout = nn.Dropout(dropout)
        self.names = Names(hidden, names, dropout) if names else None
        self.out = nn.Linear(INNER, len(SENTIMENTS) if names else COLUMNS)

    def forward(self, states: Tensor, shapes: Tensor) -> Tensor:
        """Return the logits of each token, float32 [T, COLUMNS].

        Args:
            states: [T, hidden] of the encoder, row after row.
            shapes: integers [T], see `models.spans.shapes`.
        """
        with torch.autocast(states.device.type, enabled=False):
            states = states.float()
            found: Tensor = self.out(self.dropout(super().forward(states, shapes)))
            if self.names is not None:
                found = torch.cat([self.names(states, shapes), found], dim=1)
        return found
