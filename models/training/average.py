"""The exponential moving average of the weights while they train.

Source: Polyak & Juditsky 1992, "Acceleration of Stochastic Approximation by Averaging"; the
exponential form as in Tarvainen & Valpola 2017, "Mean teachers are better role models".
"""

from collections.abc import Mapping

import torch
from torch import Tensor, nn

Tensors = dict[str, Tensor]


class Average:
    """The running average of named parameters; `values` is what checkpoints keep."""

    def __init__(self, parameters: Mapping[str, nn.Parameter], decay: float) -> None:
        self.values: Tensors = {name: p.detach().clone() for name, p in parameters.items()}
        self._parameters = parameters
        self._decay = decay

    @torch.no_grad()
    def update(self, step: int) -> None:
        """Take in the parameters after step number `step`, counted from 1."""
        # A short memory at first, else the average keeps the untrained weights for long.
        keep = min(self._decay, (1 + step) / (10 + step))
        mine = [self.values[name] for name in self._parameters]
        torch._foreach_lerp_(mine, list(self._parameters.values()), 1 - keep)


class Swapped:
    """Within the block the parameters hold the given values; afterwards their own again."""

    def __init__(self, parameters: Mapping[str, nn.Parameter], values: Tensors) -> None:
        self._parameters = parameters
        self._values = values
        self._own = {name: parameters[name].detach().clone() for name in values}

    def __enter__(self) -> None:
        fill(self._parameters, self._values)

    def __exit__(self, *_: object) -> None:
        fill(self._parameters, self._own)


@torch.no_grad()
def fill(parameters: Mapping[str, nn.Parameter], values: Tensors) -> None:
    """Copy the values into the parameters of the same names."""
    for name, value in values.items():
        parameters[name].copy_(value)
