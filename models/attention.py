"""The attention of transformers' encoders, where this program needs one of its own.

Training under bfloat16 autocast on a CPU attends in float32; prefix-tuning attends to learned keys
and values before those of the text; a packed line of rows attends within each row.
"""

from typing import TYPE_CHECKING, Any, Final

import torch
from torch import Tensor, nn

from models.prefixes import prefix_of
from models.segments import Segments, of_transformers

if TYPE_CHECKING:
    from transformers import PreTrainedModel

_NAME: Final = "sdpa_of_models"
_PROBE: Final = "probe_of_models"


def attend(encoder: "PreTrainedModel") -> None:
    """Make the encoder attend to its prefixes, and on a CPU in float32 under autocast.

    The backward pass of torch's CPU attention is four times slower in bfloat16 than in float32
    (12 ms against 3 ms for 32 texts of 32 tokens).
    An architecture that brings its own attention keeps it.
    """
    _use(encoder, _NAME, _attention)


def attentions(encoder: "PreTrainedModel") -> dict[str, int]:
    """Return the width of the keys of each attention module, found by one pass over two tokens.

    Empty where the architecture brings its own attention, which nothing can be put into.
    """
    widths: dict[int, int] = {}

    def probe(
        module: nn.Module, query: Tensor, key: Tensor, *others: Any, **options: Any
    ) -> tuple[Tensor, None]:
        widths[id(module)] = key.shape[1] * key.shape[3]
        return _attention(module, query, key, *others, **options)

    _use(encoder, _PROBE, probe)
    with torch.inference_mode():
        ids = torch.full((1, 2), int(encoder.config.pad_token_id or 0) + 1)
        encoder(input_ids=ids, attention_mask=torch.ones_like(ids))
    attend(encoder)
    return {
        name: widths[id(module)] for name, module in encoder.named_modules() if id(module) in widths
    }


def _use(encoder: "PreTrainedModel", name: str, function: Any) -> None:
    from transformers import AttentionInterface
    from transformers.masking_utils import AttentionMaskInterface, sdpa_mask

    AttentionInterface.register(name, function)
    AttentionMaskInterface.register(name, sdpa_mask)
    encoder.set_attn_implementation(name)


def _attention(
    module: nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    mask: Tensor | None,
    *,
    segments: Segments | None = None,
    **options: Any,
) -> tuple[Tensor, None]:
    if segments is not None:
        scaling, window = options.get("scaling"), options.get("sliding_window")
        packed = of_transformers(
            module, query, key, value, segments, scaling=scaling, sliding_window=window
        )
        return packed, None
    from transformers.integrations.sdpa_attention import sdpa_attention_forward

    prefix = prefix_of(module)
    if prefix is not None:
        key, value, mask = prefix.before(key, value, mask)
    if query.device.type != "cpu" or not torch.is_autocast_enabled("cpu"):
        return sdpa_attention_forward(module, query, key, value, mask, **options)
    with torch.autocast("cpu", enabled=False):
        states, _ = sdpa_attention_forward(
            module, query.float(), key.float(), value.float(), mask, **options
        )
    return states, None
