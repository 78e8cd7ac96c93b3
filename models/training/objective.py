"""The objective: cross-entropy against targets that mix hard labels and teachers' verdicts."""

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn import functional

from models.labels import LABELS, TASKS, Task
from models.network import on
from models.recipe import Recipe
from models.training.material import UNLABELLED, Integers, Material, Origin, class_weights

Verdicts = Mapping[Task, npt.NDArray[np.float32]]
"""Of each task: the teachers' mean probabilities of all training texts, [n, classes]."""


def weighted_targets(
    material: Material, recipe: Recipe, verdicts: Verdicts | None = None
) -> dict[Task, npt.NDArray[np.float32]]:
    """Return each text's target times its weight, float32 [n, classes]; zero rows teach nothing.

    With s the label smoothing, k the classes, w the class weights, y the label and P the teachers'
    mean probabilities, a labelled text has the target

        (1 - share) * ((1 - s) * w[y] * onehot(y) + s / k * w) + share * w[y] * P

    and a text without a label of the task `pseudo_share` * P. The hard part is the smoothed and
    weighted cross-entropy of torch. Mixing it with a teacher's: Hinton et al. 2015, "Distilling
    the Knowledge in a Neural Network", section 2, here at temperature 1 on the student's side.
    """
    corpus = material.origins == Origin.CORPUS
    row_weight = np.where(corpus, recipe.corpus_weight, 1.0)[:, None]
    on_corpus = recipe.distil_corpus_share
    on_corpus = recipe.distil_share if on_corpus is None else on_corpus
    share = np.where(corpus, on_corpus, recipe.distil_share)[:, None]
    # Corpora that keep their hard labels only get no other task's pseudo-labels either.
    pseudo = np.where(corpus & (on_corpus == 0), 0.0, recipe.pseudo_share)[:, None]
    found: dict[Task, npt.NDArray[np.float32]] = {}
    for task in TASKS:
        labels = material.labels[task]
        classes = len(LABELS[task])
        weight = class_weights(labels, task, recipe.class_weight_power)
        known = (labels != UNLABELLED)[:, None]
        own = weight[labels][:, None]
        hard = (1 - recipe.label_smoothing) * np.eye(classes)[labels] * own
        hard += recipe.label_smoothing / classes * weight
        if verdicts is None:
            target = np.where(known, hard, 0.0)
        else:
            soft = verdicts[task].astype(np.float64)
            target = np.where(known, (1 - share) * hard + share * own * soft, pseudo * soft)
        found[task] = (row_weight * target).astype(np.float32)
    return found


class Objective:
    """The loss of rows of the material, from their weighted targets."""

    def __init__(self, targets: Verdicts, device: str) -> None:
        self._device = device
        self._targets = {t: torch.from_numpy(target).to(device) for t, target in targets.items()}

    def cross_entropy(self, logits: Mapping[Task, Tensor], rows: Integers) -> Tensor:
        """Return the sum over rows and tasks of -target * log softmax(logits), a scalar."""
        losses = []
        index = on(self._device, torch.from_numpy(rows))
        for task, target in self._targets.items():
            wanted = target[index]
            losses.append(-(wanted * functional.log_softmax(logits[task], dim=1)).sum())
        return torch.stack(losses).sum()


def divergence(first: Mapping[Task, Tensor], second: Mapping[Task, Tensor]) -> Tensor:
    """Return KL(softmax(first), softmax(second)) summed over rows and tasks, a scalar."""
    each = [
        functional.kl_div(
            functional.log_softmax(second[task], dim=1),
            functional.log_softmax(logits, dim=1),
            reduction="sum",
            log_target=True,
        )
        for task, logits in first.items()
    ]
    return torch.stack(each).sum()
