"""Smaller models: int8 arithmetic, folders of their own, students, the table, the command."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from torch import nn
from typer.testing import CliRunner

from models.__main__ import app
from models.backbone import OWN, find
from models.compression.distil import WORK, distil
from models.compression.pack import ENCODER, kept_layers, pack, size_on_disk, thinned
from models.compression.table import Candidate, compare, markdown, sample
from models.dataset.read import read
from models.errors import ModelError
from models.manifest import Manifest
from models.manifest import read as read_manifest
from models.predict import Predictor
from models.quantised import SCALE, Int8Linear, packed, quantise, unpacked
from models.registry.folder import Registry
from models.training.sources import Files

TEXTS = ["Profit rose by a third.", "The dividend is cut after a heavy loss.", "They meet today."]


def _load(folder: Path) -> Predictor:
    return Predictor.load(folder, device="cpu", dtype="float32")


def test_an_int8_layer_is_close_to_the_layer_that_it_replaces() -> None:
    torch.manual_seed(0)
    linear = nn.Linear(48, 32)
    states = torch.randn(2, 5, 48)
    states[0, 0, 0] = 60.0  # one large value must not cost the other tokens their precision
    with torch.inference_mode():
        expected, found = linear(states), Int8Linear(linear)(states)
    assert expected.shape == found.shape
    error = (expected - found).abs().amax(-1) / expected.abs().amax(-1)
    assert float(error.max()) < 0.03
    assert float(error[1].max()) < 0.02


@pytest.mark.parametrize("inputs", [16, 384, 3072])
def test_whole_numbers_multiplied_in_float32_give_what_integers_give(inputs: int) -> None:
    torch.manual_seed(0)
    linear = nn.Linear(inputs, 32)
    states = torch.randn(7, inputs) * torch.logspace(-3, 3, 7)[:, None]
    with torch.inference_mode():
        integers, floats = (Int8Linear(linear, kind)(states) for kind in (True, False))
    assert torch.equal(integers, floats)


@pytest.mark.parametrize("integers", [True, False])
def test_an_int8_layer_takes_one_token_and_no_bias(integers: bool) -> None:
    torch.manual_seed(0)
    linear = nn.Linear(16, 8, bias=False)
    states = torch.randn(1, 1, 16)
    with torch.inference_mode():
        found = Int8Linear(linear, integers)(states)
        assert found.numpy() == pytest.approx(linear(states).numpy(), abs=0.03)


def test_matrices_survive_int8_within_half_a_step_and_vectors_exactly() -> None:
    torch.manual_seed(0)
    tensors = {"a.weight": torch.randn(6, 9), "a.bias": torch.randn(6), "zero": torch.zeros(2, 3)}
    stored = packed(tensors)
    assert torch.int8 == stored["a.weight"].dtype
    assert {"a.weight", "a.weight" + SCALE, "a.bias", "zero", "zero" + SCALE} == stored.keys()
    found = unpacked(stored)
    assert tensors.keys() == found.keys()
    assert torch.equal(tensors["a.bias"], found["a.bias"])
    step = stored["a.weight" + SCALE]
    assert bool(((tensors["a.weight"] - found["a.weight"]).abs() <= step / 2 + 1e-6).all())
    again = packed(found)
    assert torch.equal(stored["a.weight"], again["a.weight"])  # loading twice loses nothing more


def test_every_linear_layer_of_an_encoder_is_quantised() -> None:
    encoder = nn.Sequential(nn.Linear(4, 4), nn.Sequential(nn.LayerNorm(4), nn.Linear(4, 2)))
    quantise(encoder)
    kinds = [type(module) for module in encoder.modules() if not list(module.children())]
    assert [Int8Linear, nn.LayerNorm, Int8Linear] == kinds


def test_evenly_spread_layers_stay_the_last_among_them() -> None:
    assert [1, 3, 5] == kept_layers(6, 3)
    assert [2, 5] == kept_layers(6, 2)
    assert [5] == kept_layers(6, 1)
    assert [0, 1, 2] == kept_layers(3, 3)
    assert [2, 5, 8, 11] == kept_layers(12, 4)
    with pytest.raises(ModelError, match="has 6; choose 1 to 6"):
        kept_layers(6, 7)


def test_layers_are_numbered_anew() -> None:
    one = torch.zeros(1)
    names = ["embeddings.a", "encoder.layer.1.x", "encoder.layer.0.x", "encoder.layer.3.y"]
    found = thinned(dict.fromkeys(names, one), [1, 3])
    assert {"embeddings.a", "encoder.layer.0.x", "encoder.layer.1.y"} == found.keys()


@pytest.mark.parametrize("storage", ["bf16", "int8"])
def test_a_packed_model_needs_no_other_encoder_and_judges_nearly_alike(
    trained: tuple[Path, Manifest], tmp_path: Path, storage: str
) -> None:
    out = tmp_path / storage
    made = pack(trained[0], out, "int8" if storage == "int8" else "bf16")
    assert made == read_manifest(out)
    assert OWN == made.backbone.name
    assert made.compression is not None
    assert (storage, trained[1].version, 2) == (
        made.compression.kind, made.compression.of, made.compression.layers,
    )  # fmt: skip
    assert made.version != trained[1].version
    whole, small = _load(trained[0]), _load(out)
    ids = whole.encode(TEXTS)
    np.testing.assert_allclose(
        whole.predict(ids).sentiment, small.predict(ids).sentiment, atol=0.05
    )
    shares = {"bf16": 0.6, "int8": 0.4}
    weights = (out / ENCODER).stat().st_size
    whole_weights = (find(trained[1].backbone.name).path / ENCODER).stat().st_size
    assert weights < shares[storage] * whole_weights
    assert size_on_disk(out) < size_on_disk(trained[0])
    assert {"head.sentiment.weight", "head.sentiment.bias", "head.topic.weight",
            "head.topic.bias"} == load_file(out / made.weights).keys()  # fmt: skip
    layers = [m for m in small.network.encoder.modules() if isinstance(m, Int8Linear)]
    assert (12 if storage == "int8" else 0) == len(layers)


def test_versions_of_one_model_differ_by_their_encoders(
    trained: tuple[Path, Manifest], tmp_path: Path
) -> None:
    made = [pack(trained[0], tmp_path / kind, kind) for kind in ("bf16", "int8")]
    assert 3 == len({trained[1].version, *(manifest.version for manifest in made)})
    small = pack(tmp_path / "bf16", tmp_path / "both", "int8")
    assert small.compression is not None
    assert "int8" == small.compression.precision


def test_a_packed_model_works_where_it_is_copied_to(
    trained: tuple[Path, Manifest], tmp_path: Path
) -> None:
    pack(trained[0], tmp_path / "first", "int8")
    registry = Registry(tmp_path / "registry")
    version = registry.add(tmp_path / "first")
    name = version if isinstance(version, str) else version.name
    shutil.rmtree(tmp_path / "first")
    assert 3 == len(_load(registry.path_of(name)).encode(TEXTS))


def test_damaged_and_existing_folders_are_clear_errors(
    trained: tuple[Path, Manifest], tmp_path: Path
) -> None:
    out = tmp_path / "out"
    pack(trained[0], out, "bf16")
    with pytest.raises(ModelError, match="holds a model already"):
        pack(trained[0], out, "int8")
    pack(trained[0], out, "int8", force=True)
    assert not list(out.glob(".part-*"))
    content = bytearray((out / ENCODER).read_bytes())
    content[-1] ^= 1
    (out / ENCODER).write_bytes(bytes(content))
    with pytest.raises(ModelError, match="SHA-256"):
        _load(out)
    with pytest.raises(ModelError, match="cannot be read"):
        pack(tmp_path / "missing", tmp_path / "other", "bf16")


def test_a_student_of_fewer_layers_learns_from_its_teacher(
    trained: tuple[Path, Manifest], files: Files, tmp_path: Path
) -> None:
    out = tmp_path / "student"
    settings = {"epochs": 6, "batch_size": 16, "learning_rate": 4e-3, "members": 1, "seed": 1,
                "average_decay": 0.0, "held_out": 0.25, "freeze_embeddings": False}  # fmt: skip
    made = distil(trained[0], out, 1, files, settings, device="cpu")
    assert made.compression is not None
    assert ("layers", trained[1].version, 1) == (
        made.compression.kind, made.compression.of, made.compression.layers,
    )  # fmt: skip
    assert made.teaching is not None
    assert [trained[1].version] == list(made.teaching.teachers)
    assert not (out / WORK).exists()
    student, teacher = _load(out), _load(trained[0])
    assert 1 == student.network.encoder.config.num_hidden_layers
    texts = read(files.training["sentiment"], "sentiment").texts
    ids = teacher.encode(texts)
    agreed = teacher.predict(ids).sentiment.argmax(1) == student.predict(ids).sentiment.argmax(1)
    assert float(agreed.mean()) > 0.8


def test_the_table_times_in_turn_and_compares_with_the_first(
    trained: tuple[Path, Manifest], sentiment_file: Path, tmp_path: Path
) -> None:
    pack(trained[0], tmp_path / "int8", "int8")
    ticks = iter(range(10_000))
    rows = compare(
        {name: Candidate(_load(folder), size_on_disk(folder))
         for name, folder in (("float32", trained[0]), ("int8", tmp_path / "int8"))},
        [read(sentiment_file, "sentiment")],
        rounds=2,
        clock=lambda: float(next(ticks)),
    )  # fmt: skip
    assert ["float32", "int8"] == [row.name for row in rows]
    assert [1.0, 1.0] == [row.speed for row in rows]  # each call of the clock is one second
    assert 1.0 == rows[0].quality["sentiment"].agreement
    assert rows[1].quality["sentiment"].agreement > 0.9
    assert rows[1].size < rows[0].size
    assert "| float32 |" in markdown(rows, "about")


def test_a_sample_is_drawn_once_for_all(sentiment_file: Path) -> None:
    corpus = read(sentiment_file, "sentiment")
    assert 10 == len(sample(corpus, 10))
    assert sample(corpus, 10).texts == sample(corpus, 10).texts
    assert len(corpus) == len(sample(corpus, None))


def test_the_command_writes_a_model_or_one_clear_error(
    trained: tuple[Path, Manifest], tmp_path: Path
) -> None:
    run = CliRunner().invoke
    base = ["compress", "--model", str(trained[0])]
    found = run(app, [*base, "--kind", "int8", "--out", str(tmp_path / "a"), "--json"])
    assert 0 == found.exit_code, found.output
    assert "int8" == json.loads(found.stdout)["compression"]["kind"]
    for arguments, message in (
        ([], "--table"),
        (["--kind", "int4", "--out", str(tmp_path / "b")], "layers=3"),
        (["--kind", "int8"], "add --out"),
        (["--kind", "layers=1", "--out", str(tmp_path / "b")], "--sentiment and --topic"),
        (["--table"], "labelled texts"),
    ):
        error = run(app, [*base, *arguments]).exception
        assert isinstance(error, ModelError)
        assert message in str(error)
    missing = run(app, ["compress", "--model", "none", "--kind", "bf16", "--out", str(tmp_path)])
    assert isinstance(missing.exception, ModelError)


@pytest.mark.parametrize("flag", ["avx512_vnni", "avx_vnni", "amx_int8", "none"])
def test_a_processor_without_products_of_integers_takes_whole_numbers_in_float32(
    trained: tuple[Path, Manifest], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, flag: str
) -> None:
    pack(trained[0], tmp_path / "int8", "int8")
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {flag: True})

    layers = [
        module
        for module in _load(tmp_path / "int8").network.encoder.modules()
        if isinstance(module, Int8Linear)
    ]

    kind = torch.float32 if flag == "none" else torch.int8
    assert {kind} == {layer.weight.dtype for layer in layers}
