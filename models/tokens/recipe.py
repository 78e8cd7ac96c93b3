"""What a training run on tagged words is made of, beside what every run has."""

from typing import Annotated, Final, Literal, Self

from pydantic import Field, model_validator

from models.recipe import Count, Positive, Recipe, Share
from models.tokens.windows import SHORTEST

_OF_TEXTS: Final = (
    "class_weight_power",
    "corpus_weight",
    "calibration_corpus_share",
    "distil_share",
    "distil_corpus_share",
    "pseudo_share",
    "distil_temperature",
    "r_drop",
    "augment",
    "consistency",
)
Writing = Literal["both", "before", "after", "none"]


class TokenRecipe(Recipe):
    """Hyper-parameters; the defaults are those of the table in the documentation."""

    method: Literal["lora", "adalora", "bitfit", "adapter", "prefix", "full"] = "full"
    learning_rate: Positive = 4e-4
    head_learning_rate: Positive | None = 1e-3
    layer_decay: Annotated[float, Field(gt=0, le=1)] = 0.9
    epochs: Count = 4
    batch_size: Count = 10
    average_decay: Share = 0.995
    label_smoothing: Share = 0.0
    max_length: Annotated[int, Field(ge=SHORTEST)] = 128
    """Sub-tokens of a window; neighbouring sentences of a document fill it as context."""
    writing: Writing = "both"
    """Where the network is told how words are written: added to the word embeddings (before),
    beside the last states (after). Under after and none the encoder's pass is that of any task."""
    word_dropout: Share = 0.05
    """Share of words whose sub-tokens are masked: what is left are context and writing."""
    cuts: Count = 4
    """Ways in which documents are cut into windows; each epoch takes one of them."""

    @model_validator(mode="after")
    def _only_what_counts(self) -> Self:
        fields = Recipe.model_fields
        if odd := [name for name in _OF_TEXTS if getattr(self, name) != fields[name].default]:
            raise ValueError(f"{odd[0]} is for texts with classes; tagged words do without it")
        return self
