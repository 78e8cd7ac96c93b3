"""What a training run is made of: one strict, immutable record, written into the manifest."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

Share = Annotated[float, Field(ge=0, lt=1)]
Positive = Annotated[float, Field(gt=0)]
Count = Annotated[int, Field(ge=1)]


class Recipe(BaseModel):
    """Hyper-parameters; the defaults are those of the shipped weights."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    method: Literal["lora", "full"] = "lora"
    rank: Count = 32
    alpha: Positive = 64.0
    learning_rate: Positive = 6e-4
    weight_decay: Annotated[float, Field(ge=0)] = 0.01
    epochs: Count = 3
    batch_size: Count = 32
    warmup: Share = 0.06
    schedule: Literal["linear", "cosine"] = "cosine"
    clip_norm: Positive = 1.0
    dropout: Share = 0.1
    encoder_dropout: Share = 0.0
    lora_dropout: Share = 0.0
    label_smoothing: Share = 0.05
    class_weight_power: Annotated[float, Field(ge=0, le=1)] = 0.5
    members: Count = 1
    average_decay: Share = 0.998
    held_out: Annotated[float, Field(gt=0, lt=1)] = 0.08
    max_length: Annotated[int, Field(ge=8)] = 128
    precision: Literal["auto", "float32", "bfloat16"] = "auto"
    seed: Annotated[int, Field(ge=0)] = 1
