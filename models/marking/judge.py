"""What a network, or a loaded model, says of texts: their tokens, and their sentiment."""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch

from models.errors import ModelError
from models.evaluation.metrics import Floats
from models.labels import SENTIMENTS
from models.network import Network, budget_of, by_length, on, pad
from models.predict import Predictor
from models.spans import decode
from models.spans.encoded import encode
from models.spans.verdicts import TokenVerdicts

if TYPE_CHECKING:
    from tokenizers import Tokenizer

Judge = Callable[[Sequence[str]], tuple[TokenVerdicts, Floats]]
"""From texts to what is said of their tokens, and the logits of their sentiments, [n, 3]."""

_MULTIPLE = 8


def by_network(network: Network, tokenizer: "Tokenizer", device: str = "cpu") -> Judge:
    """Return a network's judgement; the tokeniser cuts what is too long for a pass."""

    @torch.inference_mode()
    def judge(texts: Sequence[str]) -> tuple[TokenVerdicts, Floats]:
        rows = encode(tokenizer, texts)
        parts: list[tuple[Sequence[int], Sequence[int], TokenVerdicts]] = []
        sentiments = np.zeros((len(rows), len(SENTIMENTS)))
        for batch in by_length(rows, budget_of(device), _MULTIPLE):
            data = np.concatenate([rows[i].data for i in batch], axis=1)
            ids, mask = pad([rows[i] for i in batch], network.pad_id, device, _MULTIPLE)
            shapes = on(device, torch.from_numpy(data[3].astype(np.int64)))
            heads, tokens = network.with_tokens(ids, mask, shapes)
            counts = np.array([len(rows[i]) for i in batch], dtype=np.int64)
            found = decode.verdicts(tokens.float().cpu().numpy(), data, counts)
            parts.append((batch, range(len(batch)), found))
            sentiments[batch] = heads["sentiment"].double().cpu().numpy()
        return TokenVerdicts.gathered(len(rows), parts), sentiments

    return judge


def by_model(
    predictor: Predictor, seen: Callable[[int, int], None] = lambda _done, _total: None
) -> Judge:
    """Return a loaded model's judgement, by the path that texts take in operation.

    It raises ModelError where the model has no head over tokens. `seen` is told how many texts are
    judged, and of how many.
    """

    def judge(texts: Sequence[str]) -> tuple[TokenVerdicts, Floats]:
        rows = predictor.encode(texts)
        parts: list[tuple[Sequence[int], Sequence[int], TokenVerdicts]] = []
        sentiments = np.zeros((len(rows), len(SENTIMENTS)))
        done = 0
        for batch in by_length(rows, predictor.budget):
            begun = predictor.begin([rows[i] for i in batch])
            found = begun.result().tokens
            if found is None:
                raise ModelError(
                    f"model {predictor.version} has no head over tokens; train one with"
                    " `python -m models spans train`, or give another --model"
                )
            parts.append((batch, range(len(batch)), found))
            sentiments[batch] = begun.logits()["sentiment"]
            done += len(batch)
            seen(done, len(rows))
        return TokenVerdicts.gathered(len(rows), parts), sentiments

    return judge
