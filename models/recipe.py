"""Hyper-parameters of a training run: one strict, immutable record, kept in the manifest."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

Share = Annotated[float, Field(ge=0, lt=1)]
Positive = Annotated[float, Field(gt=0)]
Count = Annotated[int, Field(ge=1)]
Part = Annotated[float, Field(ge=0, le=1)]
Weight = Annotated[float, Field(ge=0)]


class Recipe(BaseModel):
    """Hyper-parameters; those of the shipped weights are in their manifest."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    method: Literal["lora", "adalora", "bitfit", "adapter", "prefix", "full"] = "lora"
    rank: Count = 32
    alpha: Positive = 64.0
    freeze_embeddings: bool = True
    """Under full and bitfit: the embeddings stay as they are, which halves the weights file."""
    bottleneck: Count = 48
    """Width of the adapters."""
    prefix_length: Count = 16
    """Learned keys and values before the text in each layer under prefix."""
    learning_rate: Positive = 6e-4
    head_learning_rate: Positive | None = None
    """Of the heads; None is the learning rate of the encoder."""
    layer_decay: Annotated[float, Field(gt=0, le=1)] = 1.0
    """Each layer's learning rate is this times that of the layer above; 0.9 is usual."""
    weight_decay: Weight = 0.01
    epochs: Count = 3
    evaluations_per_epoch: Count = 1
    patience: Annotated[int, Field(ge=0)] = 0
    """Evaluations without a better mean macro-F1 after which to stop; 0 trains to the end."""
    batch_size: Count = 32
    accumulation: Count = 1
    """Batches whose gradients are summed before the weights change."""
    warmup: Share = 0.06
    schedule: Literal["linear", "cosine"] = "cosine"
    clip_norm: Positive = 1.0
    dropout: Share = 0.1
    encoder_dropout: Share = 0.0
    lora_dropout: Share = 0.0
    label_smoothing: Share = 0.05
    class_weight_power: Part = 0.5
    corpus_weight: Weight = 1.0
    """What a text of a corpus counts, a text of a task's own file counting 1."""
    distil_share: Part = 0.5
    """What teachers' verdicts count in the target of a text that has a label of the task."""
    distil_corpus_share: Part | None = None
    """The same for texts of corpora; None is `distil_share`, 0 keeps teachers off corpora."""
    pseudo_share: Part = 1.0
    """What teachers' verdicts count for a text without a label of the task."""
    distil_temperature: Positive = 1.0
    """Teachers' logits are divided by this; above 1 their verdicts are softer."""
    adversarial: Literal["none", "fgm", "pgd"] = "none"
    """Training on word embeddings moved where it hurts: one step, or several (a pass each)."""
    adversarial_epsilon: Positive = 0.5
    """L2 norm of the move of a text; word embeddings of MiniLM have a norm of about 1."""
    adversarial_steps: Count = 3
    """Steps of pgd."""
    r_drop: Weight = 0.0
    """Weight of the divergence between two passes of other dropout; the paper takes 1 to 5."""
    augment: Part = 0.0
    """Share of the texts of a batch that are read changed (`models.training.augment`)."""
    consistency: Weight = 0.0
    """Weight of the divergence between a text's verdict and that of a changed copy."""
    members: Count = 1
    average_decay: Share = 0.998
    held_out: Annotated[float, Field(gt=0, lt=1)] = 0.08
    calibration_corpus_share: Positive = 1 / 3
    """What the held-out texts of a corpus count in the fit of a temperature, those of a task's own
    file counting 1, however many there are of each."""
    max_length: Annotated[int, Field(ge=8)] = 128
    precision: Literal["auto", "float32", "tf32", "bfloat16", "float16"] = "auto"
    """tf32: float32 whose matrix products round to 10 bits of mantissa, on GPUs that have it."""
    seed: Annotated[int, Field(ge=0)] = 1
    """Of start, order, changes and dropout; of the held-out texts too, without `split_seed`."""
    split_seed: Annotated[int, Field(ge=0)] | None = None
    """Of the held-out texts: runs that share it are chosen on the same texts, a student on texts
    that none of its teachers has read."""

    @property
    def held_out_seed(self) -> int:
        """Return the seed by which the held-out texts are drawn."""
        return self.seed if self.split_seed is None else self.split_seed


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


class NamesRecipe(BaseModel):
    """Hyper-parameters of the part of the token head that tells names, on an encoder that stays."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    epochs: Count = 4
    learning_rate: Positive = 1e-3
    weight_decay: Weight = 0.01
    batch_size: Count = 32
    warmup: Share = 0.06
    schedule: Literal["linear", "cosine"] = "cosine"
    clip_norm: Positive = 1.0
    dropout: Share = 0.2
    average_decay: Share = 0.998
    max_length: Annotated[int, Field(ge=8)] = 128
    seed: Annotated[int, Field(ge=0)] = 1
