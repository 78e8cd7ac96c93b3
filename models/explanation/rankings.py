"""Rankings of a text's words that integrated gradients are compared with."""

import math
from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from models.bert import Bert
from models.explanation.attribution import by_word
from models.explanation.reading import LogOdds, Reading
from models.network import pad
from models.predict import Predictor

Floats = npt.NDArray[np.float64]


def gradient_times_input(reading: Reading, function: LogOdds) -> Floats:
    """Return the score of each word by the gradient at the text alone, [words].

    Source: Shrikumar et al. 2017, "Not Just a Black Box", section 2; integrated gradients of one
    step from a baseline of zeros.
    """
    inputs = function.embeddings().requires_grad_()
    with torch.enable_grad():
        (gradient,) = torch.autograd.grad(function(inputs).sum(), inputs)
    return by_word(reading, function, gradient * inputs)


def attention_rollout(predictor: Predictor, reading: Reading) -> Floats | None:
    """Return how much of each word reaches the pooled state through attention, [words].

    It knows no class: a word against the class ranks like one for it. None where the encoder is
    not `models.bert`, or the text takes several windows.

    Source: Abnar & Zuidema 2020, "Quantifying Attention Flow in Transformers", section 3: the
    product over layers of (A + I) / 2, A the mean over heads.
    """
    encoder = predictor.network.encoder
    if not isinstance(encoder, Bert) or len(predictor.reader.cut(reading.row)) > 1:
        return None
    seen: dict[tuple[int, str], Tensor] = {}
    handles = []
    for index, layer in enumerate(encoder.encoder.layer):
        for name in ("query", "key"):
            projection = getattr(getattr(layer.attention, "self"), name)  # noqa: B009
            handles.append(projection.register_forward_hook(_keep(seen, (index, name))))
    try:
        with torch.inference_mode():
            encoder(*pad([reading.row], predictor.network.pad_id, predictor.device))
    finally:
        for handle in handles:
            handle.remove()
    heads = encoder.config.num_attention_heads
    length = len(reading.row)
    flow = torch.eye(length)
    for index in range(encoder.config.num_hidden_layers):
        query, key = (
            seen[index, name][0].float().cpu().view(length, heads, -1).transpose(0, 1)
            for name in ("query", "key")
        )
        weights = (query @ key.mT / math.sqrt(query.shape[-1])).softmax(-1).mean(0)
        flow = (weights + torch.eye(length)) / 2 @ flow
    share = flow.mean(0).double().numpy()  # the network pools by the mean
    return np.array([share[list(tokens)].sum() for tokens in reading.tokens])


def _keep(seen: dict[tuple[int, str], Tensor], key: tuple[int, str]) -> Callable[..., None]:
    def hook(_module: nn.Module, _inputs: tuple[Tensor, ...], output: Tensor) -> None:
        seen[key] = output

    return hook
