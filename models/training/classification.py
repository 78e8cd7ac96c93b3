"""Texts with classes of several tasks, as what the loop trains on."""

from typing import TYPE_CHECKING

import numpy as np
from torch import Tensor

from models.backbone import Backbone, encode, load_tokenizer
from models.evaluation.metrics import confusion_matrix, macro_f1
from models.labels import LABELS
from models.network import Network, forward_all, pad
from models.recipe import Recipe
from models.training.material import Integers, Material, batches
from models.training.objective import Objective, Verdicts
from models.training.precision import autocast, autocast_type
from models.training.views import Views
from models.weights import Weights, assemble

if TYPE_CHECKING:
    from transformers import PreTrainedModel

_MULTIPLE = 8
"""Few distinct lengths: oneDNN compiles kernels for each new shape, dearer than padding."""


class Classification:
    """The problem of `Material`: a linear head a task, scored by its macro-F1."""

    def __init__(
        self,
        material: Material,
        targets: Verdicts,
        backbone: Backbone,
        recipe: Recipe,
        device: str,
    ) -> None:
        tokenizer = load_tokenizer(backbone, recipe.max_length)
        self._backbone = backbone
        self._recipe = recipe
        self._device = device
        self._kind = autocast_type(recipe, device)
        self._objective = Objective(targets, device)
        self._views = Views(material.texts, tokenizer, recipe)
        self._lengths = [len(row) for row in self._views.rows]
        self._held = {
            task: (encode(tokenizer, corpus.texts), corpus.labels)
            for task, corpus in material.held_out.items()
        }
        self.size = len(material)

    def build(self, encoder: "PreTrainedModel") -> Network:
        """Return the network over a prepared encoder."""
        return Network(encoder, dropout=self._recipe.dropout)

    def assemble(self, weights: Weights) -> Network:
        """Return the network of exported weights."""
        return assemble(self._backbone, weights)

    def order(self, rng: np.random.Generator) -> list[Integers]:
        """Return random batches of texts of similar length."""
        return batches(self._lengths, self._recipe.batch_size, rng)

    def loss(self, network: Network, rows: Integers) -> Tensor:
        """Return the loss of all tasks, summed over the rows."""
        ids, mask = pad(self._views.of(rows), network.pad_id, self._device, _MULTIPLE)
        with autocast(self._kind, self._device):
            logits = network(ids, mask)
        return self._views.loss(logits, rows, self._objective)

    def scores(self, network: Network) -> dict[str, float]:
        """Return the macro-F1 of each task; leaves the network in evaluation mode."""
        network.eval()
        found: dict[str, float] = {}
        for task, (rows, truth) in self._held.items():
            with autocast(self._kind, self._device):
                logits = forward_all(network, rows, self._device)[task]
            found[task] = macro_f1(confusion_matrix(truth, logits.argmax(1), len(LABELS[task])))
        return found
