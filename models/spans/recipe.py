"""What a training run of the token head is made of, beside what every run has."""

from typing import Annotated, Literal

from pydantic import Field

from models.recipe import Count, Part, Positive, Recipe, Share, Weight


class SpanRecipe(Recipe):
    """Hyper-parameters; the shipped head's are in its manifest.

    The loss of a row is a sum: of its tokens' tags (an eighth each), of the
    sentiment towards each entity that has a label, and of what keeps the text's own verdicts where
    they were.
    """

    method: Literal["lora", "adalora", "bitfit", "adapter", "prefix", "full"] = "full"
    learning_rate: Positive = 2e-4
    head_learning_rate: Positive | None = 1e-3
    layer_decay: Annotated[float, Field(gt=0, le=1)] = 0.9
    epochs: Count = 2
    still_layers: Annotated[int, Field(ge=0)] = 2
    """The lowest layers, which stay as they are: no gradient goes below, which saves a fifth."""
    tag_weight: Weight = 0.125
    """Of the cross-entropy of one token's tag."""
    target_weight: Weight = 1.0
    """Of the cross-entropy of the sentiment towards one entity."""
    keep_weight: Weight = 2.0
    """Of the divergence of a text's verdicts from those before."""
    sentences: Annotated[int, Field(ge=0)] = 5_000
    """Tweets of the run, drawn once, most of which have nothing but verdicts to keep; an epoch
    reads its share of them."""
    joins: Annotated[int, Field(ge=0)] = 2000
    """Texts of an epoch made of two headlines about different entities."""
    repeats: Count = 2
    """How often an epoch reads a text that has labels of two entities or more."""
    swaps: Part = 0.5
    """Share of the texts whose organisations are renamed."""
    weak_weight: Weight = 0.3
    """What the one cashtag of a tweet counts as an entity with the tweet's own sentiment."""
    word_dropout: Share = 0.05
    """Share of the tokens of tagged texts that are masked: what is left are context and writing."""
