"""Matrices of a trained encoder stored as what they differ from the backbone by, in int8 rows.

Half of float16's size at the same error, since fine-tuning moves a weight by some hundredths of
its size. Error of a weight: at most half a step, the row's greatest difference / 254.
"""

from collections.abc import Mapping
from typing import Final

import torch
from torch import Tensor

_STEPS: Final = 127
_PREFIX: Final = "difference."
_ROWS: Final = ".rows"
_SCALE: Final = ".scale"


def packed(weights: Mapping[str, Tensor], own: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the weights with each matrix `encoder.<name>` as an int8 difference to `own[name]`.

    It becomes `difference.<name>.rows`, int8 of the same shape, and `.scale`, float32 [rows].

    Raises:
        ValueError: a matrix that the backbone lacks, or of another shape.
    """
    found: dict[str, Tensor] = {}
    for name, tensor in weights.items():
        parameter = name.removeprefix("encoder.")
        if name == parameter or tensor.ndim < 2:
            found[name] = tensor
            continue
        difference = (tensor.float() - _of(own, parameter, tensor)).flatten(1)
        scale = (difference.abs().amax(1) / _STEPS).clamp_min(torch.finfo(torch.float32).tiny)
        rows = (difference / scale[:, None]).round()
        found[f"{_PREFIX}{parameter}{_ROWS}"] = rows.to(torch.int8).view(tensor.shape)
        found[f"{_PREFIX}{parameter}{_SCALE}"] = scale
    return found


def unpacked(weights: Mapping[str, Tensor], own: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the weights with each difference added to the backbone's values, in float32.

    Raises:
        ValueError: a difference to what the backbone lacks, or of another shape.
    """
    found: dict[str, Tensor] = {}
    for name, tensor in weights.items():
        if not name.startswith(_PREFIX):
            found[name] = tensor
        elif name.endswith(_ROWS):
            parameter = name.removeprefix(_PREFIX).removesuffix(_ROWS)
            scale = weights.get(f"{_PREFIX}{parameter}{_SCALE}")
            if scale is None or scale.shape != tensor.shape[:1]:
                raise ValueError(f"{name} has no scale for its rows")
            difference = (tensor.flatten(1).float() * scale[:, None]).view(tensor.shape)
            found[f"encoder.{parameter}"] = _of(own, parameter, tensor) + difference
    return found


def _of(own: Mapping[str, Tensor], name: str, like: Tensor) -> Tensor:
    if name not in own or own[name].shape != like.shape:
        raise ValueError(f"{name} does not fit the backbone")
    return own[name].detach().float().cpu()
