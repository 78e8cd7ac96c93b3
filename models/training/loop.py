"""The training loop: several tasks, one encoder, whole network or low-rank adapters.

Every batch mixes the tasks; a text counts for the head of its own task only. The checkpoint is
chosen on texts held out of the training files, never on a validation file.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.nn import functional

from models.attention import attend_in_float32
from models.backbone import Backbone, encode, load_encoder, load_tokenizer
from models.dataset.corpus import Corpus
from models.device import has_native_bfloat16
from models.errors import ModelError
from models.evaluation.metrics import confusion_matrix, macro_f1
from models.labels import LABELS, TASKS, Task
from models.network import Network, forward_all, pad
from models.training.methods import build, export, restore
from models.training.recipe import Recipe
from models.weights import Weights, assemble, soup

if TYPE_CHECKING:
    from tokenizers import Tokenizer

_IGNORED: Final = -100
_CHUNK: Final = 50
"""Batches sorted by length within chunks of this many, so that the order stays random."""
_MULTIPLE: Final = 8
"""Few distinct lengths: oneDNN compiles kernels for each new shape, dearer than padding."""
_KINDS: Final[tuple[tuple[Literal["last", "average"], bool], ...]] = (
    ("last", False),
    ("average", True),
)


@dataclass(frozen=True, slots=True)
class Candidate:
    """Weights that could be chosen, and what they reach on the held-out texts.

    `kind`: the last weights of an epoch, their exponential average, or the soup of all members
    (then `member` and `epoch` are 0 and `loss` is the mean of its members').
    """

    kind: Literal["last", "average", "soup"]
    member: int
    epoch: int
    loss: float
    macro_f1: dict[Task, float]

    @property
    def score(self) -> float:
        """Return what candidates are chosen by: the mean of the tasks' macro-F1."""
        return float(np.mean(list(self.macro_f1.values())))


@dataclass(frozen=True, slots=True)
class Progress:
    """Sent to the observer after each step, and with each `candidate`."""

    step: int
    steps: int
    loss: float
    candidate: Candidate | None = None


@dataclass(frozen=True, slots=True)
class Trained:
    """The chosen weights, named as in the weights file, and all that were tried."""

    weights: Weights
    chosen: Candidate
    history: tuple[Candidate, ...]


Parts = Mapping[Task, tuple[Corpus, Corpus]]
Rows = list[list[int]]
Labels = npt.NDArray[np.int64]
Observer = Callable[[Progress], None]


def train(
    parts: Parts,
    backbone: Backbone,
    recipe: Recipe,
    *,
    device: str = "cpu",
    observer: Observer = lambda _: None,
    start: Weights | None = None,
) -> Trained:
    """Train on (training, held-out) corpora of each task; deterministic given the seed.

    `start`: weights of an earlier run of the same method and rank to go on from.

    `recipe.members` networks start alike and see the texts in different orders; their best
    weights are averaged into a soup. The best candidate on the held-out texts is returned.
    Source of the soup: Wortsman et al. 2022, "Model soups", section 2.

    Raises:
        ModelError: the backbone or the start cannot be used, or the loss became NaN or infinite.
    """
    members = [
        _train_member(member, parts, backbone, recipe, device, observer, start)
        for member in range(recipe.members)
    ]
    history = [candidate for member in members for candidate in member.history]
    best = max(members, key=lambda member: member.chosen.score)
    if len(members) == 1:
        return best
    steps = recipe.members * _steps(parts, recipe)
    weights = soup([member.weights for member in members])
    network = assemble(backbone, weights).to(device)
    candidate = Candidate(
        kind="soup",
        member=0,
        epoch=0,
        loss=float(np.mean([member.chosen.loss for member in members])),
        macro_f1=_held_out_scores(
            network,
            _held_out_rows(parts, load_tokenizer(backbone, recipe.max_length)),
            device,
            precision_of(recipe, device),
        ),
    )
    history.append(candidate)
    observer(Progress(steps, steps, candidate.loss, candidate))
    if candidate.score < best.chosen.score:
        return Trained(best.weights, best.chosen, tuple(history))
    return Trained(weights, candidate, tuple(history))


def _train_member(
    member: int,
    parts: Parts,
    backbone: Backbone,
    recipe: Recipe,
    device: str,
    observer: Observer,
    start: Weights | None,
) -> Trained:
    torch.manual_seed(recipe.seed)  # all members start alike: only such weights can be averaged
    rng = np.random.default_rng(recipe.seed + member)
    tokenizer = load_tokenizer(backbone, recipe.max_length)
    encoder = load_encoder(backbone)
    _set_dropout(encoder, recipe.encoder_dropout)
    autocast = precision_of(recipe, device)
    if autocast and device == "cpu":
        attend_in_float32(encoder)
    network = build(encoder, recipe)
    if start is not None:
        restore(network, recipe, start)
    network.to(device)
    torch.manual_seed(recipe.seed + member)
    parameters = {name: p for name, p in network.named_parameters() if p.requires_grad}
    optimiser = torch.optim.AdamW(_groups(parameters, recipe.weight_decay), lr=recipe.learning_rate)
    rows, targets = _training_rows(parts, tokenizer)
    lengths = [len(row) for row in rows]
    held = _held_out_rows(parts, tokenizer)
    weights = {task: _class_weights(parts[task][0], recipe, device) for task in parts}
    steps = _steps(parts, recipe)
    average = {name: p.detach().clone() for name, p in parameters.items()}
    best: tuple[Weights, Candidate] | None = None
    history: list[Candidate] = []
    step = 0
    for epoch in range(1, recipe.epochs + 1):
        losses: list[float] = []
        network.train()
        for batch in batches(lengths, recipe.batch_size, rng):
            ids, mask = pad([rows[i] for i in batch], network.pad_id, device, _MULTIPLE)
            for group in optimiser.param_groups:
                group["lr"] = recipe.learning_rate * rate(step, steps, recipe)
            with torch.autocast(device, torch.bfloat16, enabled=autocast):
                logits = network(ids, mask)
            loss = _loss(logits, {t: y[batch] for t, y in targets.items()}, weights, recipe)
            value = float(loss.detach())
            if not math.isfinite(value):
                raise ModelError(
                    f"step {step}: the loss became {value}; lower the learning rate"
                    f" ({recipe.learning_rate}) or train in float32"
                )
            optimiser.zero_grad(set_to_none=True)
            loss.backward()  # type: ignore[no-untyped-call]
            nn.utils.clip_grad_norm_(parameters.values(), recipe.clip_norm)
            optimiser.step()
            step += 1
            _update_average(average, parameters, step, recipe.average_decay)
            losses.append(value)
            observer(Progress(member * steps + step, recipe.members * steps, value))
        for kind, values in _KINDS if recipe.average_decay else _KINDS[:1]:
            with _Swapped(parameters, average if values else {}):
                scores = _held_out_scores(network, held, device, autocast)
                candidate = Candidate(kind, member, epoch, float(np.mean(losses)), scores)
                history.append(candidate)
                if best is None or candidate.score > best[1].score:
                    best = (export(network, recipe), candidate)
            observer(Progress(member * steps + step, recipe.members * steps, losses[-1], candidate))
    if best is None:
        raise ModelError("no epoch was run")
    return Trained(*best, tuple(history))


def batches(
    lengths: Sequence[int], size: int, rng: np.random.Generator
) -> list[npt.NDArray[np.int64]]:
    """Return one pass over all rows in random batches of rows of similar length."""
    order = rng.permutation(len(lengths))
    cost = np.asarray(lengths)
    found: list[npt.NDArray[np.int64]] = []
    for start in range(0, len(order), size * _CHUNK):
        chunk = order[start : start + size * _CHUNK]
        chunk = chunk[np.argsort(cost[chunk], kind="stable")]
        found.extend(chunk[i : i + size] for i in range(0, len(chunk), size))
    return [found[i] for i in rng.permutation(len(found))]


def rate(step: int, steps: int, recipe: Recipe) -> float:
    """Return the share of the learning rate at a step: linear warm-up, then down to zero."""
    warm = max(1, round(recipe.warmup * steps))
    if step < warm:
        return (step + 1) / warm
    left = (steps - step) / max(1, steps - warm)
    return left if recipe.schedule == "linear" else 0.5 * (1 - math.cos(math.pi * left))


def precision_of(recipe: Recipe, device: str) -> bool:
    """Return whether to run the forward pass under bfloat16 autocast."""
    if recipe.precision == "auto":
        return has_native_bfloat16(device)
    return recipe.precision == "bfloat16"


def _steps(parts: Parts, recipe: Recipe) -> int:
    texts = sum(len(training) for training, _ in parts.values())
    return recipe.epochs * math.ceil(texts / recipe.batch_size)


def _groups(parameters: Mapping[str, nn.Parameter], decay: float) -> list[dict[str, object]]:
    matrices = [p for p in parameters.values() if p.ndim > 1]
    vectors = [p for p in parameters.values() if p.ndim <= 1]
    groups: list[dict[str, object]] = [{"params": matrices, "weight_decay": decay}]
    if vectors:
        groups.append({"params": vectors, "weight_decay": 0.0})
    return groups


def _held_out_rows(parts: Parts, tokenizer: "Tokenizer") -> dict[Task, tuple[Rows, Labels]]:
    return {task: (encode(tokenizer, held.texts), held.labels) for task, (_, held) in parts.items()}


def _training_rows(
    parts: Parts, tokenizer: "Tokenizer"
) -> tuple[list[list[int]], dict[Task, npt.NDArray[np.int64]]]:
    """Return token ids of all tasks' texts, and for each task the label or `_IGNORED`."""
    total = sum(len(part) for part, _ in parts.values())
    targets = {task: np.full(total, _IGNORED, dtype=np.int64) for task in TASKS}
    rows: list[list[int]] = []
    for task, (part, _) in parts.items():
        targets[task][len(rows) : len(rows) + len(part)] = part.labels
        rows.extend(encode(tokenizer, part.texts))
    return rows, targets


def _class_weights(corpus: Corpus, recipe: Recipe, device: str) -> Tensor:
    """Weight = (mean count / count) ** power, scaled so that the mean weight of a text is 1."""
    counts = np.maximum(1, np.bincount(corpus.labels, minlength=len(LABELS[corpus.task])))
    weight = (counts.mean() / counts) ** recipe.class_weight_power
    weight /= (weight * counts).sum() / counts.sum()
    return torch.tensor(weight, dtype=torch.float32, device=device)


def _loss(
    logits: Mapping[Task, Tensor],
    targets: Mapping[Task, npt.NDArray[np.int64]],
    weights: Mapping[Task, Tensor],
    recipe: Recipe,
) -> Tensor:
    """Return the loss averaged over the rows of the batch, whatever their tasks."""
    losses = [
        functional.cross_entropy(
            logits[task],
            torch.from_numpy(targets[task]).to(weight.device),
            weight=weight,
            ignore_index=_IGNORED,
            label_smoothing=recipe.label_smoothing,
            reduction="sum",
        )
        for task, weight in weights.items()
    ]
    return torch.stack(losses).sum() / len(next(iter(targets.values())))


def _update_average(
    average: Weights, parameters: Mapping[str, nn.Parameter], step: int, decay: float
) -> None:
    # A short memory at first, else the average keeps the untrained weights for long.
    keep = min(decay, (1 + step) / (10 + step))
    with torch.no_grad():
        for name, value in parameters.items():
            average[name].lerp_(value, 1 - keep)


class _Swapped:
    """Within the block the parameters hold the given values; afterwards their own again."""

    def __init__(self, parameters: Mapping[str, nn.Parameter], values: Weights) -> None:
        self._parameters = parameters
        self._values = values
        self._own = {name: parameters[name].detach().clone() for name in values}

    def __enter__(self) -> None:
        self._fill(self._values)

    def __exit__(self, *_: object) -> None:
        self._fill(self._own)

    def _fill(self, values: Weights) -> None:
        with torch.no_grad():
            for name, value in values.items():
                self._parameters[name].copy_(value)


def _held_out_scores(
    network: Network,
    held: Mapping[Task, tuple[list[list[int]], npt.NDArray[np.int64]]],
    device: str,
    autocast: bool,
) -> dict[Task, float]:
    network.eval()
    scores: dict[Task, float] = {}
    for task, (rows, truth) in held.items():
        with torch.autocast(device, torch.bfloat16, enabled=autocast):
            logits = forward_all(network, rows, device)[task]
        matrix = confusion_matrix(truth, logits.argmax(1), len(LABELS[task]))
        scores[task] = macro_f1(matrix)
    return scores


def _set_dropout(encoder: nn.Module, share: float) -> None:
    for module in encoder.modules():
        if isinstance(module, nn.Dropout):
            module.p = share
