"""The encoder for inference against transformers' own, and batches against single rows."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from models.backbone import find, load_encoder, load_inference_encoder
from models.bert import Bert
from models.device import type_of
from models.errors import ModelError
from models.manifest import Manifest
from models.network import budget_of, mean_pool, pad
from models.predict import Predictor
from models.recipe import Recipe
from models.training.precision import autocast, autocast_type, scaler_of

ROWS = [[2, 9, 17, 30, 41, 3], [2, 40, 3], [2, 8, 9, 10, 11, 12, 13, 14, 3], [2, 3]]


@pytest.mark.parametrize("rows", [ROWS, [ROWS[0], ROWS[0]]], ids=["padded", "unpadded"])
def test_the_inference_encoder_gives_the_states_of_transformers(
    tiny_encoder: Path, rows: list[list[int]]
) -> None:
    backbone = find(str(tiny_encoder))
    ids, mask = pad(rows, pad_id=0)
    own = load_inference_encoder(backbone)
    assert isinstance(own, Bert)

    with torch.inference_mode():
        expected = load_encoder(backbone)(input_ids=ids, attention_mask=mask).last_hidden_state
        actual = own(ids, mask).last_hidden_state

    real = mask.bool()
    torch.testing.assert_close(actual[real], expected[real], atol=1e-5, rtol=0)


def test_an_architecture_that_is_not_bert_is_loaded_by_transformers(tmp_path: Path) -> None:
    from transformers import DistilBertConfig, DistilBertModel

    config = DistilBertConfig(vocab_size=50, dim=16, n_layers=1, n_heads=2, hidden_dim=32)
    DistilBertModel(config).save_pretrained(tmp_path)
    (tmp_path / "tokenizer.json").write_text("{}")

    found = load_inference_encoder(find(str(tmp_path)))

    assert isinstance(found, DistilBertModel)


def test_a_checkpoint_that_lacks_weights_is_an_error(tiny_encoder: Path, tmp_path: Path) -> None:
    from safetensors.torch import load_file, save_file

    for name in ("config.json", "tokenizer.json"):
        (tmp_path / name).write_bytes((tiny_encoder / name).read_bytes())
    tensors = load_file(tiny_encoder / "model.safetensors")
    del tensors["encoder.layer.1.output.dense.weight"]
    save_file(tensors, tmp_path / "model.safetensors", {"format": "pt"})

    with pytest.raises(ModelError, match=r"lacks encoder\.layer\.1\.output\.dense\.weight"):
        load_inference_encoder(find(str(tmp_path)))


def test_padding_does_not_enter_the_mean() -> None:
    states = torch.tensor([[[1.0], [3.0], [100.0]]])

    assert mean_pool(states, torch.tensor([[1, 1, 0]])).tolist() == [[2.0]]


def test_a_row_scored_alone_equals_the_row_scored_in_a_batch(
    trained: tuple[Path, Manifest],
) -> None:
    predictor = Predictor.load(trained[0], device="cpu", dtype="float32")

    together = predictor.logits(ROWS)

    for index, row in enumerate(ROWS):
        alone = predictor.logits([row])
        for task, logits in alone.items():
            np.testing.assert_allclose(logits[0], together[task][index], atol=1e-4)


def test_probabilities_are_float32_rows_that_sum_to_one(trained: tuple[Path, Manifest]) -> None:
    predictor = Predictor.load(trained[0], device="cpu", dtype="float32")

    found = predictor.predict(ROWS)

    for array, classes in ((found.sentiment, 3), (found.topic, 20)):
        assert (len(ROWS), classes) == array.shape
        assert array.dtype == np.float32
        np.testing.assert_allclose(array.sum(1), 1.0, atol=1e-6)


def test_no_rows_give_no_probabilities(trained: tuple[Path, Manifest]) -> None:
    predictor = Predictor.load(trained[0], device="cpu", dtype="float32")

    found = predictor.predict([])

    assert ((0, 3), (0, 20)) == (found.sentiment.shape, found.topic.shape)
    assert predictor.encode([]) == []


@pytest.mark.parametrize("row", [[], [2] + [9] * 800 + [3]], ids=["empty", "too long"])
def test_a_row_that_the_network_cannot_take_is_refused(
    trained: tuple[Path, Manifest], row: list[int]
) -> None:
    predictor = Predictor.load(trained[0], device="cpu", dtype="float32")

    with pytest.raises(ValueError, match="1 to 694 tokens"):
        predictor.predict([row])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"device": "tpu"}, "use auto, cpu, cuda or cuda:N"),
        ({"dtype": "int4"}, "use auto, float32 or bfloat16"),
    ],
)
def test_an_unknown_device_or_precision_is_an_error(
    trained: tuple[Path, Manifest], options: dict[str, str], message: str
) -> None:
    with pytest.raises(ModelError, match=message):
        Predictor.load(trained[0], **options)  # type: ignore[arg-type]


def test_loading_on_a_cpu_imports_no_compiler() -> None:
    # torch's compiler and Triton take 150 MB, of which inference on a CPU uses nothing.
    code = """
import sys
from models.predict import Predictor
from models.recipe import Recipe
from models.training.precision import autocast, autocast_type, scaler_of
assert Predictor.load(device="cpu", dtype="float32").packed
print(*({"torch._dynamo", "triton", "transformers", "sympy"} & set(sys.modules)))
"""
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert "" == found.stdout.strip()


def test_a_numbered_gpu_is_a_gpu() -> None:
    assert ("cuda", "cuda", "cpu") == tuple(map(type_of, ("cuda", "cuda:1", "cpu")))
    assert budget_of("cpu") < budget_of("cuda") == budget_of("cuda:1")
    assert autocast_type(Recipe(precision="tf32"), "cuda:1") is None
    assert not scaler_of(None, "cuda:1").is_enabled()
    assert autocast(None, "cuda:1").device == "cuda"
