"""Tagged documents as what the training loop trains on."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from models.backbone import Backbone, load_tokenizer
from models.network import on
from models.tokens.infer import logits_of, tags_of
from models.tokens.network import Batch, TokenNetwork, collate
from models.tokens.read import Document
from models.tokens.recipe import TokenRecipe
from models.tokens.report import report
from models.tokens.tags import TAGS
from models.tokens.weights import assemble
from models.tokens.windows import Pieces, Tokens, Window, prepare, windows
from models.training.material import Integers, batches
from models.training.precision import autocast, autocast_type
from models.weights import Weights

if TYPE_CHECKING:
    from transformers import PreTrainedModel

_MULTIPLE = 8


class Tagging:
    """Windows of the training documents, their loss, and the scores on held-out documents.

    Each document is cut at `recipe.cuts` sets of places, so that a word does not always stand at
    the edge of the same context; an epoch takes one set.
    """

    def __init__(
        self,
        training: Sequence[Document],
        held_out: Sequence[Document],
        backbone: Backbone,
        recipe: TokenRecipe,
        device: str = "cpu",
    ) -> None:
        tokenizer = load_tokenizer(backbone)
        self._backbone = backbone
        self._recipe = recipe
        self._device = device
        self._kind = autocast_type(recipe, device)
        self._pieces = Pieces(tokenizer)
        mask = tokenizer.token_to_id("[MASK]")
        self._mask = tokenizer.token_to_id("<mask>") if mask is None else mask
        self._rows: list[tuple[Tokens, Window]] = []
        self._labels: list[Integers] = []
        self._sets = self._cut(training)
        self.size = min(map(len, self._sets))
        self._held = [prepare([s.words for s in document], self._pieces) for document in held_out]
        self._truth = [sentence.tags for document in held_out for sentence in document]

    def build(self, encoder: "PreTrainedModel") -> TokenNetwork:
        """Return the network over an encoder that a method has prepared."""
        return TokenNetwork(
            encoder,
            before=self._recipe.writing in {"both", "before"},
            after=self._recipe.writing in {"both", "after"},
            dropout=self._recipe.dropout,
        )

    def assemble(self, weights: Weights) -> TokenNetwork:
        """Return the network of a weights file."""
        return assemble(self._backbone, weights)

    def order(self, rng: np.random.Generator) -> list[Integers]:
        """Return an epoch: batches of windows of one set of cuts."""
        rows = self._sets[int(rng.integers(len(self._sets)))]
        # Sets differ by a few windows; epochs are of one length, for the schedule.
        rows = np.sort(rng.permutation(rows)[: self.size])
        lengths = [len(self._rows[row][1].ids) for row in rows]
        return [rows[batch] for batch in batches(lengths, self._recipe.batch_size, rng)]

    def loss(self, network: TokenNetwork, rows: Integers) -> Tensor:
        """Return the sum over windows of the mean cross-entropy of the batch's words."""
        batch = collate([self._rows[row] for row in rows], network.pad_id, self._device, _MULTIPLE)
        wanted = torch.from_numpy(np.concatenate([self._labels[row] for row in rows]))
        with autocast(self._kind, self._device):
            logits = network(self._masked(batch))
        return len(rows) * functional.cross_entropy(
            logits, on(self._device, wanted), label_smoothing=self._recipe.label_smoothing
        )

    def scores(self, network: TokenNetwork) -> dict[str, float]:
        """Return the macro-F1 of the tags and the F1 of the entities on the held-out documents."""
        network.eval()
        with autocast(self._kind, self._device):
            logits = logits_of(
                network, self._held, self._pieces, self._recipe.max_length, self._device
            )
        found = report(self._truth, tags_of(self._held, logits))
        return {"tags": found.macro.f1, "entities": found.entity_micro.f1}

    def _cut(self, documents: Sequence[Document]) -> list[Integers]:
        rng = np.random.default_rng(self._recipe.seed)
        room = self._recipe.max_length - 2
        number = {tag: i for i, tag in enumerate(TAGS)}
        prepared = [
            (
                prepare([sentence.words for sentence in document], self._pieces),
                np.array([number[t] for s in document for t in s.tags], dtype=np.int64),
            )
            for document in documents
        ]
        sets: list[Integers] = []
        for _ in range(self._recipe.cuts):
            start = len(self._rows)
            for tokens, labels in prepared:
                first = int(rng.integers(room // 4, room + 1))
                for row in windows(
                    tokens, self._pieces, self._recipe.max_length, context=False, first=first
                ):
                    self._rows.append((tokens, row))
                    self._labels.append(labels[row.start : row.end])
            sets.append(np.arange(start, len(self._rows), dtype=np.int64))
        return sets

    def _masked(self, batch: Batch) -> Batch:
        """Mask all sub-tokens of some of the words; their writing stays."""
        if not self._recipe.word_dropout or self._mask is None:
            return batch
        rows, words = len(batch.ids), len(batch.characters)
        hit = torch.rand((rows, words)) < self._recipe.word_dropout
        hit[:, 0] = False
        batch.ids[on(self._device, hit).gather(1, batch.words)] = self._mask
        return batch
