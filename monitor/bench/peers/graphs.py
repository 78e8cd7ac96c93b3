"""ONNX Runtime and OpenVINO: the network as a graph, given the sorted batches of `padded`."""

from __future__ import annotations

import contextlib
import io
import json
import tempfile
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import torch
from torch import Tensor

from models.backbone import OWN, Backbone, encode, load_tokenizer
from monitor.bench.contestant import BenchError, Floats, Labels, Precision, Setting, labels_of
from monitor.bench.padded import Ids, sorted_logits
from monitor.bench.peers.classifier import classifier

if TYPE_CHECKING:
    from transformers import PreTrainedModel

INPUTS: Final = ("input_ids", "attention_mask")
_OPSET: Final = 17  # the newest whose LayerNormalization the fusions know


class _Logits(torch.nn.Module):
    """The classifier with tensors in and a tensor out, as a graph has them."""

    def __init__(self, model: PreTrainedModel) -> None:
        super().__init__()
        self.model = model

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        logits: Tensor = self.model(input_ids=input_ids, attention_mask=attention_mask).logits
        return logits


class _Graph:
    """Tokenises, sorts, pads and labels; what runs the graph is the subclass's."""

    name = ""
    sorts = True

    def __init__(self, setting: Setting, precision: Precision) -> None:
        self.precision = precision
        self._setting = setting
        self._run: Callable[[Ids, Ids], Floats] | None = None

    def prepare(self) -> None:
        folder = self._setting.checkpoint
        self._tokenizer = load_tokenizer(Backbone(OWN, folder, ""), self._setting.max_length)
        config = json.loads((folder / "config.json").read_text("utf-8"))
        self._pad = int(config.get("pad_token_id") or 0)
        self._run = self._compile(folder)

    def label(self, texts: Sequence[str]) -> Labels:
        if self._run is None:
            raise BenchError(f"{self.name}: closed, or never prepared")
        return labels_of(sorted_logits(encode(self._tokenizer, texts), self._pad, self._run))

    def close(self) -> None:
        self._run = None

    def _compile(self, checkpoint: Path) -> Callable[[Ids, Ids], Floats]:
        raise NotImplementedError


class OnnxRuntime(_Graph):
    """The graph fused by ONNX Runtime's own optimiser for BERT."""

    name = "ONNX Runtime fused"

    def _compile(self, checkpoint: Path) -> Callable[[Ids, Ids], Floats]:
        import onnxruntime

        with tempfile.TemporaryDirectory() as folder, _quiet():
            plain, fused = Path(folder) / "plain.onnx", Path(folder) / "fused.onnx"
            model = classifier(checkpoint, "eager")  # the pattern that the fusions look for
            _export(model, plain)
            _fuse(plain, fused, model)
            options = onnxruntime.SessionOptions()
            options.intra_op_num_threads = self._setting.threads
            options.inter_op_num_threads = 1
            session = onnxruntime.InferenceSession(
                str(fused), options, providers=["CPUExecutionProvider"]
            )

        def run(ids: Ids, mask: Ids) -> Floats:
            (logits,) = session.run(None, {INPUTS[0]: ids, INPUTS[1]: mask})
            return logits  # type: ignore[no-any-return]

        return run


class OpenVino(_Graph):
    """The graph as OpenVINO converts it from torch, in one stream."""

    name = "OpenVINO"

    def _compile(self, checkpoint: Path) -> Callable[[Ids, Ids], Floats]:
        import openvino

        with _quiet():
            graph = openvino.convert_model(
                _Logits(classifier(checkpoint)).eval(), example_input=_example()
            )
        compiled = openvino.Core().compile_model(
            graph,
            "CPU",
            {
                "INFERENCE_PRECISION_HINT": "bf16" if self.precision == "bf16" else "f32",
                "INFERENCE_NUM_THREADS": self._setting.threads,
                "PERFORMANCE_HINT": "LATENCY",
            },
        )

        def run(ids: Ids, mask: Ids) -> Floats:
            return compiled([ids, mask])[0]  # type: ignore[no-any-return]

        return run


def _example() -> dict[str, Tensor]:
    mask = torch.ones(2, 24, dtype=torch.int64)
    mask[1, 16:] = 0  # no constant: what is traced must mask
    return {INPUTS[0]: torch.arange(48).reshape(2, 24) + 1_000, INPUTS[1]: mask}


def _export(model: PreTrainedModel, path: Path) -> None:
    """Export through TorchScript: of the newer exporter's graphs no attention is fused."""
    example = _example()
    torch.onnx.export(
        _Logits(model).eval(),
        tuple(example.values()),
        str(path),
        input_names=list(INPUTS),
        output_names=["logits"],
        dynamic_axes={name: {0: "n", 1: "length"} for name in INPUTS},
        opset_version=_OPSET,
        dynamo=False,
    )


def _fuse(plain: Path, fused: Path, model: PreTrainedModel) -> None:
    from onnxruntime.transformers.optimizer import optimize_model

    config: Any = model.config
    optimised = optimize_model(
        str(plain),
        model_type="bert",
        num_heads=config.num_attention_heads,
        hidden_size=config.hidden_size,
        opt_level=1,
    )
    found = optimised.get_fused_operator_statistics()
    attentions = found.get("Attention", 0) + found.get("MultiHeadAttention", 0)
    if attentions < config.num_hidden_layers:
        raise BenchError(
            f"ONNX Runtime fused {attentions} of {config.num_hidden_layers} attentions: its graph"
            " would be slower than it can be, and a comparison unfair; install the versions of"
            " 'monitor[bench]'"
        )
    optimised.save_model_to_file(str(fused))


@contextlib.contextmanager
def _quiet() -> Any:
    """Keep the warnings of tracing, and what the exporters print, from the report."""
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore")
        yield
