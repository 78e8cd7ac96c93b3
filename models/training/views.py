"""How often, and how changed, a batch of texts is read within one step."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from models.backbone import encode
from models.labels import Task
from models.recipe import Recipe
from models.training.augment import augmented
from models.training.material import Integers
from models.training.objective import Objective, divergence

if TYPE_CHECKING:
    from tokenizers import Tokenizer

Ids = list[list[int]]
Logits = Mapping[Task, Tensor]


class Views:
    """The texts, some of them augmented; again under R-Drop; all augmented for consistency."""

    def __init__(self, texts: Sequence[str], tokenizer: "Tokenizer", recipe: Recipe) -> None:
        self._texts = texts
        self._tokenizer = tokenizer
        self._recipe = recipe
        self.rows: Ids = encode(tokenizer, texts)

    def of(self, rows: Integers) -> Ids:
        """Return the token ids of all views of a batch, one view after the other.

        The changes are drawn from torch's generator.
        """
        plain = [self.rows[row] for row in rows]
        recipe = self._recipe
        if not recipe.augment and not recipe.consistency:
            return plain * 2 if recipe.r_drop else plain
        rng = np.random.default_rng(int(torch.randint(2**62, ())))
        changed = [int(i) for i in np.flatnonzero(rng.random(len(rows)) < recipe.augment)]
        for i, ids in zip(changed, self._augmented(rows[changed], rng), strict=True):
            plain[i] = ids
        found = plain * 2 if recipe.r_drop else plain
        return found + self._augmented(rows, rng) if recipe.consistency else found

    def loss(self, logits: Logits, rows: Integers, objective: Objective) -> Tensor:
        """Return the loss of all views of a batch, summed over its rows.

        R-Drop, half of Wu et al. 2021, "R-Drop: Regularized Dropout for Neural Networks",
        equation 4: the mean of two cross-entropies + r_drop / 4 * (KL(1, 2) + KL(2, 1)).
        Consistency, Xie et al. 2020, "Unsupervised Data Augmentation for Consistency Training",
        equation 1: + consistency * KL(text, its augmentation), the first without a gradient.
        """
        size = len(rows)
        recipe = self._recipe
        views = [
            {task: found[start : start + size] for task, found in logits.items()}
            for start in range(0, len(next(iter(logits.values()))), size)
        ]
        first = views[0]
        total = objective.cross_entropy(first, rows)
        if recipe.r_drop:
            again = views[1]
            total = (total + objective.cross_entropy(again, rows)) / 2
            both = divergence(first, again) + divergence(again, first)
            total = total + recipe.r_drop / 4 * both
        if recipe.consistency:
            fixed = {task: found.detach() for task, found in first.items()}
            total = total + recipe.consistency * divergence(fixed, views[-1])
        return total

    def _augmented(self, rows: Integers, rng: np.random.Generator) -> Ids:
        return encode(self._tokenizer, [augmented(self._texts[row], rng) for row in rows])
