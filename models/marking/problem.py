"""The token head and the two sentence heads on one encoder, as what the training loop trains on."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.nn import functional

from models.backbone import Backbone, encode, load_tokenizer
from models.dataset.corpus import Corpus
from models.errors import ModelError
from models.evaluation.metrics import Counts, Floats, confusion_matrix, macro_f1
from models.labels import LABELS, SENTIMENTS, Task
from models.marking.evaluate import judged_targets, names_report
from models.marking.examples import Example, joined, renamed
from models.marking.judge import by_network
from models.marking.rows import POSSIBLE, Batch, collate
from models.network import Network, forward_all, on
from models.recipe import SpanRecipe
from models.spans.head import NAMES, TokenHead
from models.tokens.read import Sentence
from models.tokens.tags import TAGS, TYPES
from models.training.material import Integers, batches
from models.training.precision import autocast, autocast_type
from models.weights import Weights, assemble

if TYPE_CHECKING:
    from transformers import PreTrainedModel

_MULTIPLE = 8
_HEADLINE = 90
"""Characters up to which two texts may be joined into one."""
_ANYTHING = 32
"""Tokens that a joined text is taken to have when batches are made."""


@dataclass(frozen=True, slots=True)
class SpanMaterial:
    """All that a run reads."""

    marked: tuple[Example, ...]
    """Texts of the written corpora."""
    tagged: tuple[Example, ...]
    """Texts of the corpora of tagged words."""
    sentences: tuple[Example, ...]
    """Texts of the sentence tasks alone; a tweet's cashtag may be a weak target."""
    verdicts: Mapping[Task, npt.NDArray[np.float32]]
    """Probabilities to be kept, by `Example.verdict`."""
    held_out_marked: tuple[Example, ...]
    held_out_tagged: tuple[tuple[Sentence, ...], ...]
    held_out: Mapping[Task, Corpus]


class Spans:
    """Rows with a loss of up to three parts; the held-out scores of all three heads."""

    def __init__(
        self,
        material: SpanMaterial,
        backbone: Backbone,
        recipe: SpanRecipe,
        device: str = "cpu",
        *,
        names: int = NAMES,
    ) -> None:
        """`names`: see `TokenHead`, which is built so."""
        self._backbone = backbone
        self._recipe = recipe
        self._device = device
        self._names_width = names
        self._kind = autocast_type(recipe, device)
        self._tokenizer = load_tokenizer(backbone, recipe.max_length)
        self._whole = load_tokenizer(backbone, backbone.positions)
        mask = self._tokenizer.token_to_id("[MASK]")
        self._mask = self._tokenizer.token_to_id("<mask>") if mask is None else mask
        self._rows = (*material.marked, *material.tagged, *material.sentences)
        self._lengths = [
            len(found.ids)
            for found in self._tokenizer.encode_batch_fast([row.text for row in self._rows])
        ]
        marked, tagged = len(material.marked), len(material.tagged)
        conflicts = [i for i, row in enumerate(material.marked) if len(row.targets) > 1]
        self._always = np.array(
            [*range(marked + tagged), *conflicts * (recipe.repeats - 1)], dtype=np.int64
        )
        self._sentences = np.arange(marked + tagged, len(self._rows), dtype=np.int64)
        self._names = sorted(
            {
                row.text[mark.start : mark.end]
                for row in material.marked
                for mark in row.marks
                if mark.type == "ORG" and row.text[mark.start] != "$"
            }
        )
        self._short = [
            row
            for row in self._rows
            if row.targets and len(row.text) <= _HEADLINE and len(row.marks) <= 2
        ]
        self._verdicts = {t: torch.from_numpy(v).to(device) for t, v in material.verdicts.items()}
        self._possible = torch.from_numpy(POSSIBLE).to(device)
        self._held = material
        drawn = len(self._sentences) // recipe.epochs
        joins = recipe.joins if len(self._short) > 1 else 0
        self._joins, self._drawn = joins, drawn
        self.size = len(self._always) + drawn + joins

    def build(self, encoder: "PreTrainedModel") -> Network:
        """Return the network over an encoder that a method has prepared."""
        if self._recipe.still_layers:
            _stop_gradient(encoder, self._recipe.still_layers)
        return Network(
            encoder,
            dropout=self._recipe.dropout,
            spans=TokenHead(
                int(encoder.config.hidden_size),
                names=self._names_width,
                dropout=self._recipe.dropout,
            ),
        )

    def assemble(self, weights: Weights) -> Network:
        """Return the network of exported weights."""
        return assemble(self._backbone, weights)

    def order(self, rng: np.random.Generator) -> list[Integers]:
        """Return random batches of texts of similar length; -1 is a text that is to be joined."""
        rows = np.concatenate(
            [
                self._always,
                np.sort(rng.permutation(self._sentences)[: self._drawn]),
                np.full(self._joins, -1, dtype=np.int64),
            ]
        )
        lengths = [self._lengths[row] if row >= 0 else _ANYTHING for row in rows]
        return [rows[batch] for batch in batches(lengths, self._recipe.batch_size, rng)]

    def loss(self, network: Network, rows: Integers) -> Tensor:
        """Return the loss of tags, targets and kept verdicts, summed over the rows.

        A token whose text does not mark all types learns that it has one of the tags that it may
        have: -log of the sum of their probabilities.
        """
        recipe = self._recipe
        examples = [self._changed(row) for row in rows]
        batch = collate(examples, self._tokenizer, network.pad_id, self._device, _MULTIPLE)
        self._drop_words(batch, examples)
        with autocast(self._kind, self._device):
            verdicts, logits = network.with_tokens(batch.ids, batch.mask, batch.shapes)
        likely = functional.log_softmax(logits[:, : len(TAGS)], dim=1)
        likely = likely.masked_fill(~self._possible[batch.codes], -torch.inf).logsumexp(1)
        loss = -recipe.tag_weight * likely.sum()
        if len(batch.weights):
            judged = functional.log_softmax(_means(logits[:, len(TAGS) :], batch), dim=1)
            each = -(batch.sentiments * judged).sum(1)
            loss = loss + recipe.target_weight * (batch.weights * each).sum()
        kept = [i for i, example in enumerate(examples) if example.verdict >= 0]
        if kept:
            index = torch.tensor([examples[i].verdict for i in kept], device=self._device)
            for task, wanted in self._verdicts.items():
                loss = loss + recipe.keep_weight * functional.kl_div(
                    functional.log_softmax(verdicts[task][kept], dim=1),
                    wanted[index],
                    reduction="sum",
                )
        return loss

    def scores(self, network: Network) -> dict[str, float]:
        """Return F1 of the names, macro-F1 of targets and of both tasks, on held-out texts."""
        network.eval()
        held = self._held
        judge = by_network(network, self._whole, self._device)
        with autocast(self._kind, self._device):
            names = names_report(judge, held.held_out_tagged, frozenset(TYPES))
            truth, logits, _, _ = judged_targets(judge, held.held_out_marked)
            found = {
                "names": names.entity_micro.f1,
                "targets": _macro_f1(truth, logits, len(SENTIMENTS)),
            }
            for task, corpus in held.held_out.items():
                rows = encode(self._tokenizer, corpus.texts)
                judged = forward_all(network, rows, self._device)[task]
                found[task] = _macro_f1(corpus.labels, judged, len(LABELS[task]))
        return found

    def _changed(self, row: int) -> Example:
        example = self._join() if row < 0 else self._rows[row]
        if self._names and float(torch.rand(())) < self._recipe.swaps:
            return renamed(example, self._names, _draw)
        return example

    def _join(self) -> Example:
        first = self._short[_draw(len(self._short))]
        second = first
        for _ in range(4):  # different sentiments mostly: of alike ones there are enough
            second = self._short[_draw(len(self._short))]
            if _main(first) != _main(second):
                break
        return joined(first, second, _draw)

    def _drop_words(self, batch: Batch, examples: Sequence[Example]) -> None:
        if not self._recipe.word_dropout or self._mask is None:
            return
        hit = torch.rand(batch.ids.shape) < self._recipe.word_dropout
        hit &= torch.tensor([e.verdict < 0 and bool(e.tagged) for e in examples])[:, None]
        inside = batch.mask.clone()
        inside[:, 0] = 0
        inside.scatter_(1, (batch.mask.sum(1, keepdim=True) - 1), 0)
        batch.ids[on(self._device, hit) & inside.bool()] = self._mask


def _stop_gradient(encoder: nn.Module, layers: int) -> None:
    """Let no gradient pass to the lowest layers; they are exported with the others all the same.

    Raises:
        ModelError: the encoder has no such list of layers, or none would be left to train.
    """
    try:
        stack = encoder.get_submodule("encoder.layer")
    except AttributeError as error:
        raise ModelError(
            "still_layers: the encoder names its layers otherwise than BERT; set it to 0"
        ) from error
    below = dict(stack.named_children())
    if layers >= len(below):
        raise ModelError(f"still_layers {layers}: the encoder has {len(below)} layers")

    def stop(_module: nn.Module, _inputs: object, output: Any) -> Any:
        if isinstance(output, Tensor):
            return output.detach()
        return (output[0].detach(), *output[1:])

    below[str(layers - 1)].register_forward_hook(stop)


def _macro_f1(truth: Counts, logits: Floats, classes: int) -> float:
    return macro_f1(confusion_matrix(truth, logits.argmax(1), classes))


def _means(logits: Tensor, batch: Batch) -> Tensor:
    """Return the mean over the tokens of each entity: [T, 3] -> [entities, 3]."""
    size = (len(batch.weights), logits.shape[1])
    sums = torch.zeros(size, device=logits.device).index_add(0, batch.owners, logits[batch.members])
    counts = torch.bincount(batch.owners, minlength=size[0]).unsqueeze(1)
    return sums / counts


def _main(example: Example) -> int:
    """Return the likeliest sentiment towards the first entity."""
    return int(np.argmax(example.targets[0].sentiment or ()))


def _draw(count: int) -> int:
    return int(torch.randint(count, ()))
