"""What a training run on tagged words is made of, beside what every run has."""

from typing import Annotated, Literal

from pydantic import Field

from models.tokens.windows import SHORTEST
from models.training.recipe import Count, Positive, Recipe, Share

Writing = Literal["both", "before", "after", "none"]


class TokenRecipe(Recipe):
    """Hyper-parameters; the defaults are those of the table in the documentation."""

    method: Literal["lora", "adalora", "bitfit", "adapter", "prefix", "full"] = "full"
    learning_rate: Positive = 4e-4
    head_learning_rate: Positive | None = 1e-3
    layer_decay: Annotated[float, Field(gt=0, le=1)] = 0.9
    epochs: Count = 6
    batch_size: Count = 8
    label_smoothing: Share = 0.0
    max_length: Annotated[int, Field(ge=SHORTEST)] = 128
    """Sub-tokens of a window; neighbouring sentences of a document fill it as context."""
    writing: Writing = "both"
    """Where the network is told how words are written: added to the word embeddings (before),
    beside the last states (after). Under after and none the encoder's pass is that of any task."""
    word_dropout: Share = 0.08
    """Share of words whose sub-tokens are masked: what is left are context and writing."""
    cuts: Count = 4
    """Ways in which documents are cut into windows; each epoch takes one of them."""
