"""Teachers: models whose verdicts on the training texts are targets beside the hard labels."""

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from models.labels import LABELS, TASKS, Task
from models.network import budget_of, sorted_batches
from models.predict import Predictor
from models.softmax import scaled

Seen = Callable[[int, int], None]
"""Told (texts done, texts in all) after each batch."""


def verdicts_of(
    teachers: Sequence[Path],
    texts: Sequence[str],
    *,
    temperature: float = 1.0,
    device: str = "auto",
    seen: Seen = lambda _done, _all: None,
) -> dict[Task, npt.NDArray[np.float32]]:
    """Return the teachers' mean probabilities softmax(logits / temperature), [n, classes].

    Teachers run one after another, in bfloat16 where that is native, on batches of texts of
    similar length; the mean over teachers weighs each alike.

    Raises:
        ModelError: a teacher cannot be loaded, or has other labels.
    """
    total = {task: np.zeros((len(texts), len(LABELS[task]))) for task in TASKS}
    done = 0
    encoded: dict[tuple[str, int], Sequence[Sequence[int]]] = {}
    for folder in teachers:
        predictor = Predictor.load(folder, device=device)

        def forward(
            rows: list[Sequence[int]], predictor: Predictor = predictor
        ) -> dict[Task, npt.NDArray[np.float64]]:
            nonlocal done
            found = predictor.logits(rows, budget=budget_of(predictor.device))
            done += len(rows)
            seen(done, len(texts) * len(teachers))
            return found

        # Of one tokeniser and length, teachers read the same rows.
        key = (predictor.manifest.backbone.tokenizer_sha256, predictor.reader.longest)
        if key not in encoded:
            encoded[key] = predictor.encode(texts)
        logits = sorted_batches(encoded[key], budget_of(predictor.device), forward)
        for task in TASKS:
            total[task] += scaled(logits[task], temperature)
    return {task: (sums / len(teachers)).astype(np.float32) for task, sums in total.items()}
