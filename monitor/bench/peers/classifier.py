"""The network as a sequence classifier of transformers, in transformers' own modules."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from models.backbone import OWN, Backbone, load_encoder
from models.labels import LABELS
from monitor.bench.checkpoint import heads

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

NAMES = tuple(f"{task}:{name}" for task, names in LABELS.items() for name in names)
"""Columns of the logits; a pipeline's labels."""


def classifier(checkpoint: Path, attention: str = "sdpa") -> PreTrainedModel:
    """Return a float32 model whose forward gives logits [n, 23], as AutoModelFor… classes do."""
    from transformers import AutoConfig, PreTrainedModel
    from transformers.modeling_outputs import SequenceClassifierOutput

    encoder = load_encoder(Backbone(OWN, checkpoint, ""))
    encoder.set_attn_implementation(attention)
    # A config of its own: the attention is the encoder's matter.
    config = AutoConfig.from_pretrained(checkpoint, local_files_only=True)
    config.id2label = dict(enumerate(NAMES))
    config.label2id = {name: index for index, name in enumerate(NAMES)}
    config.problem_type = "multi_label_classification"

    class MeanPooledForSequenceClassification(PreTrainedModel):  # type: ignore[no-untyped-call]
        """Encoder, mean over the real tokens, one linear layer with the classes of both heads."""

        config_class = type(config)

        def __init__(self, encoder: PreTrainedModel, weight: Tensor, bias: Tensor) -> None:
            super().__init__(config)
            self.encoder = encoder
            self.classifier = torch.nn.Linear(weight.shape[1], weight.shape[0])
            with torch.no_grad():
                self.classifier.weight.copy_(weight)
                self.classifier.bias.copy_(bias)

        def forward(
            self, input_ids: Tensor, attention_mask: Tensor, **_others: Any
        ) -> SequenceClassifierOutput:
            states = self.encoder(input_ids=input_ids, attention_mask=attention_mask)[0]
            mask = attention_mask.unsqueeze(-1).to(states.dtype)
            pooled = (states * mask).sum(1) / mask.sum(1)
            return SequenceClassifierOutput(logits=self.classifier(pooled))

    model: PreTrainedModel = MeanPooledForSequenceClassification(encoder, *heads(checkpoint))
    model.eval()  # type: ignore[no-untyped-call]
    model.requires_grad_(False)
    return model


def tokenizer(checkpoint: Path) -> PreTrainedTokenizerBase:
    """Return transformers' tokeniser of the checkpoint."""
    from transformers import AutoTokenizer

    found: PreTrainedTokenizerBase = AutoTokenizer.from_pretrained(
        checkpoint, local_files_only=True
    )
    return found
