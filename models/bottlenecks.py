"""Bottleneck adapters: two small layers with a residual after a sub-layer's last linear layer.

Source: Houlsby et al. 2019, "Parameter-Efficient Transfer Learning for NLP", section 2.1: one after
the attention and one after the feed-forward part of each layer.
"""

import re
from typing import Final

from torch import Tensor, nn
from torch.nn import functional

ATTRIBUTE: Final = "adapter"
"""Under this name an adapter hangs on its linear layer."""
_SITES: Final = re.compile(
    r"(?:^|\.)(?:attention\.output\.dense|output\.dense|attention\.dense|ffn_output"
    r"|attention\.out_lin|ffn\.lin2|attn\.o|attn\.Wo|mlp\.Wo)$"
)
"""Ends of sub-layers in BERT, RoBERTa, ELECTRA, DeBERTa, ALBERT, DistilBERT, MPNet, ModernBERT."""


class Bottleneck(nn.Module):
    """Down to `size`, GELU, up again; gives nothing at the start, so that training begins still."""

    def __init__(self, width: int, size: int) -> None:
        super().__init__()
        self.down = nn.Linear(width, size)
        self.up = nn.Linear(size, width)
        nn.init.normal_(self.down.weight, std=0.02)
        for tensor in (self.down.bias, self.up.weight, self.up.bias):
            nn.init.zeros_(tensor)

    def forward(self, states: Tensor) -> Tensor:
        """Return what is to be added to the states [..., width]."""
        found: Tensor = self.up(functional.gelu(self.down(states)))
        return found


def sites(encoder: nn.Module) -> list[str]:
    """Return the names of the linear layers that an adapter may follow."""
    return [
        name
        for name, module in encoder.named_modules()
        if isinstance(module, nn.Linear) and _SITES.search(name)
    ]


def insert(encoder: nn.Module, name: str, size: int) -> Bottleneck:
    """Put an adapter after a linear layer, whose output it corrects from now on.

    Raises:
        AttributeError: no layer of that name. ValueError: it is not linear.
    """
    layer = encoder.get_submodule(name)
    if not isinstance(layer, nn.Linear):
        raise ValueError(f"{name} is no linear layer")  # noqa: TRY004
    adapter = Bottleneck(layer.out_features, size)
    layer.add_module(ATTRIBUTE, adapter)
    layer.register_forward_hook(_corrected)
    return adapter


def bottlenecks(encoder: nn.Module) -> dict[str, Bottleneck]:
    """Return the adapter of each linear layer that has one, by the layer's name."""
    return {
        name.removesuffix(f".{ATTRIBUTE}"): module
        for name, module in encoder.named_modules()
        if isinstance(module, Bottleneck)
    }


def _corrected(layer: nn.Module, _: tuple[Tensor, ...], states: Tensor) -> Tensor:
    adapter = layer.get_submodule(ATTRIBUTE)
    found: Tensor = states + adapter(states)
    return found


def parameters_of(encoder: nn.Module) -> dict[str, nn.Parameter]:
    """Return the parameters of all adapters as `<linear layer>.<parameter>`."""
    return {
        f"{name}.{part}": parameter
        for name, adapter in bottlenecks(encoder).items()
        for part, parameter in adapter.named_parameters()
    }
