"""Each method trains, is stored, and comes back as the network that was trained."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from models.backbone import find, load_encoder
from models.bert import Bert
from models.differences import unpacked
from models.errors import ModelError
from models.labels import TASKS
from models.network import Network, pad
from models.predict import Predictor
from models.recipe import Recipe
from models.training import methods
from models.training.methods import build, export, restore
from models.training.methods.adalora import Allocation
from models.training.session import run_training
from models.training.sources import Files
from models.weights import Weights, assemble, compacted, read, write

METHODS = ("full", "bitfit", "lora", "adalora", "adapter", "prefix")
ROWS = [[2, 9, 17, 30, 41, 3], [2, 40, 3], [2, 8, 9, 10, 11, 12, 13, 14, 3]]


def recipe_for(method: str, **settings: object) -> Recipe:
    return Recipe.model_validate(
        {
            "method": method,
            "rank": 4,
            "alpha": 8.0,
            "bottleneck": 6,
            "prefix_length": 5,
            "dropout": 0.0,
            "precision": "float32",
            **settings,
        }
    )


def trained_network(folder: Path, recipe: Recipe, steps: int = 6) -> Network:
    """A network after a few steps on random labels."""
    torch.manual_seed(5)
    network = build(load_encoder(find(str(folder))), recipe, steps)
    optimiser = torch.optim.AdamW([p for p in network.parameters() if p.requires_grad], lr=5e-2)
    ids, mask = pad(ROWS, network.pad_id)
    for step in range(1, steps + 1):
        optimiser.zero_grad()
        logits = network(ids, mask)
        loss = sum(
            torch.nn.functional.cross_entropy(logits[task], torch.tensor([0, 2, 1]))
            for task in TASKS
        )
        penalty = methods.penalty(network)
        (loss if penalty is None else loss + penalty).backward()  # type: ignore[union-attr]
        optimiser.step()
        methods.after_step(network, step)
    return network.eval()


def logits_of(network: Network) -> dict[str, Tensor]:
    with torch.inference_mode():
        return dict(network(*pad(ROWS, network.pad_id)))


@pytest.mark.parametrize("method", METHODS)
def test_the_stored_network_gives_the_logits_of_the_trained_one(
    tiny_encoder: Path, tmp_path: Path, method: str
) -> None:
    recipe = recipe_for(method)
    network = trained_network(tiny_encoder, recipe)
    write(tmp_path / "weights", export(network, recipe))

    found = assemble(find(str(tiny_encoder)), read(tmp_path / "weights"))

    assert isinstance(found.encoder, Bert)
    untouched = assemble(find(str(tiny_encoder)), heads_of(export(network, recipe)))
    for task, expected in logits_of(network).items():
        torch.testing.assert_close(logits_of(found)[task], expected, atol=1e-3, rtol=1e-3)
        assert (logits_of(untouched)[task] - expected).abs().max() > 0.05


def heads_of(weights: Weights) -> Weights:
    return {name: tensor for name, tensor in weights.items() if name.startswith("head.")}


@pytest.mark.parametrize("method", METHODS)
def test_what_a_method_does_not_train_stays_to_the_bit(tiny_encoder: Path, method: str) -> None:
    backbone = find(str(tiny_encoder))
    before = dict(load_encoder(backbone).named_parameters())

    network = trained_network(tiny_encoder, recipe_for(method))

    changed = {
        name
        for name, p in network.encoder.named_parameters()
        if (own := name.replace(".base_layer", "")) in before and not torch.equal(p, before[own])
    }
    expected = {
        "full": {name for name in before if not name.startswith("embeddings.")},
        "bitfit": {
            name for name in before if name.endswith("bias") and not name.startswith("embeddings.")
        },
    }
    assert expected.get(method, set()) == changed


@pytest.mark.parametrize("method", METHODS)
def test_weights_to_go_on_from_come_back_into_the_network(tiny_encoder: Path, method: str) -> None:
    recipe = recipe_for(method)
    trained = trained_network(tiny_encoder, recipe)
    torch.manual_seed(6)
    network = build(load_encoder(find(str(tiny_encoder))), recipe, 6)

    restore(network, recipe, export(trained, recipe))

    for task, expected in logits_of(trained).items():
        torch.testing.assert_close(logits_of(network.eval())[task], expected, atol=1e-3, rtol=1e-3)


@pytest.mark.parametrize("method", METHODS)
def test_a_run_of_each_method_publishes_a_model_that_predicts(
    tiny_encoder: Path, files: Files, tmp_path: Path, method: str
) -> None:
    settings: dict[str, object] = recipe_for(method, epochs=1, batch_size=64).model_dump()

    manifest = run_training(
        files, settings, out=tmp_path, backbone=str(tiny_encoder), max_length=64, device="cpu"
    )

    assert method == manifest.recipe.method
    predictor = Predictor.load(tmp_path, device="cpu", dtype="float32")
    found = predictor.predict(predictor.encode(["gold rises", "profit falls " * 90]))
    assert torch.isfinite(torch.from_numpy(found.sentiment)).all()
    half = Predictor.load(tmp_path, device="cpu", dtype="bfloat16")
    assert (2, 20) == half.predict(half.encode(["a", "b"])).topic.shape


@pytest.mark.parametrize("method", METHODS)
def test_going_on_from_a_published_model_starts_with_its_verdicts(
    tiny_encoder: Path, files: Files, tmp_path: Path, method: str
) -> None:
    settings: dict[str, object] = recipe_for(method, epochs=1, batch_size=64).model_dump()
    name = str(tiny_encoder)
    run_training(files, settings, out=tmp_path / "first", backbone=name, max_length=64)
    still = settings | {"learning_rate": 1e-12, "average_decay": 0.0}

    run_training(
        replace(files, start=tmp_path / "first"),
        still,
        out=tmp_path / "second",
        backbone=name,
        max_length=64,
    )

    first, second = (
        Predictor.load(tmp_path / part, device="cpu", dtype="float32").logits(ROWS)
        for part in ("first", "second")
    )
    for task in TASKS:
        assert abs(first[task] - second[task]).max() < 2e-3


def test_each_method_trains_as_many_parameters_as_its_formula_counts(tiny_encoder: Path) -> None:
    width, wide, layers, rank, length, size = 32, 64, 2, 4, 5, 6
    heads = (width + 1) * 23
    squares = 4 * layers  # query, key, value and the attention's output
    matrices = squares * width * width + layers * 2 * width * wide
    vectors = squares * width + layers * (wide + width) + layers * 4 * width
    expected = {
        "full": matrices + vectors,
        "bitfit": vectors - layers * 2 * width,
        "lora": rank * (squares * 2 * width + layers * 2 * (width + wide)),
        "adapter": layers * 2 * (2 * width * size + width + size),
        "prefix": layers * 2 * length * width,
    }

    for method, count in expected.items():
        recipe = recipe_for(method)
        network = build(load_encoder(find(str(tiny_encoder))), recipe)
        trained = sum(p.numel() for p in network.parameters() if p.requires_grad)
        assert count + heads == trained
        assert heads == sum(p.numel() for p in network.heads.parameters())


def test_embeddings_are_trained_where_the_recipe_says_so(tiny_encoder: Path) -> None:
    recipe = recipe_for("full", freeze_embeddings=False)

    found = export(trained_network(tiny_encoder, recipe), recipe)

    assert any(name.startswith("encoder.embeddings.word") for name in found)


def test_adalora_ends_with_the_ranks_it_was_given_spread_as_needed(tiny_encoder: Path) -> None:
    recipe = recipe_for("adalora", rank=2)

    network = trained_network(tiny_encoder, recipe, steps=40)

    values = [p for name, p in network.encoder.named_parameters() if "lora_E" in name]
    kept = [int((p != 0).sum()) for p in values]
    assert 2 * len(values) == sum(kept)
    assert len(set(kept)) > 1
    stored = [t for name, t in export(network, recipe).items() if name.endswith(".a")]
    assert [max(1, count) for count in kept] == [len(t) for t in stored]


def test_a_run_of_adalora_that_goes_on_from_a_state_prunes_the_same_ranks(
    tiny_encoder: Path,
) -> None:
    recipe = recipe_for("adalora", rank=2)
    network = trained_network(tiny_encoder, recipe, steps=20)
    again = build(load_encoder(find(str(tiny_encoder))), recipe, 20)

    methods.resume(again, methods.state_of(network))

    first, second = methods.state_of(network), methods.state_of(again)
    assert first["kept"] == second["kept"] != {}
    assert first["sensitivity"].keys() == second["sensitivity"].keys()


def test_the_loop_prunes_after_every_step_and_pays_for_factors_that_are_not_orthogonal(
    tiny_encoder: Path, files: Files, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    steps: list[int] = []
    penalties: list[float] = []
    prune, pay = Allocation.after_step, Allocation.penalty

    def pruned(self: Allocation, encoder: nn.Module, step: int) -> None:
        steps.append(step)
        prune(self, encoder, step)

    def paid(self: Allocation, encoder: nn.Module) -> Tensor:
        found = pay(self, encoder)
        penalties.append(float(found.detach()))
        return found

    monkeypatch.setattr(Allocation, "after_step", pruned)
    monkeypatch.setattr(Allocation, "penalty", paid)
    settings: dict[str, object] = recipe_for(
        "adalora", epochs=4, batch_size=16, learning_rate=1e-2, accumulation=2
    ).model_dump()

    run_training(files, settings, out=tmp_path, backbone=str(tiny_encoder), max_length=64)

    assert list(range(1, len(steps) + 1)) == steps
    assert len(penalties) > len(steps)
    assert penalties[-1] < penalties[0]


@pytest.mark.parametrize("method", METHODS)
def test_weights_of_another_method_are_no_start(tiny_encoder: Path, method: str) -> None:
    other = recipe_for("lora" if method != "lora" else "adapter")
    weights = export(trained_network(tiny_encoder, other, steps=1), other)
    network = build(load_encoder(find(str(tiny_encoder))), recipe_for(method))

    if method == "adalora":  # its stored factors are those of LoRA
        restore(network, recipe_for(method), weights)
        return
    with pytest.raises(ModelError, match="method and rank"):
        restore(network, recipe_for(method), weights)


@pytest.mark.parametrize("name", ["adapter.nowhere.down.weight", "prefix.nowhere.key"])
def test_weights_for_layers_that_are_not_there_are_an_error(tiny_encoder: Path, name: str) -> None:
    recipe = recipe_for("bitfit")
    weights = export(build(load_encoder(find(str(tiny_encoder))), recipe), recipe)

    with pytest.raises(ModelError, match="does not fit the backbone"):
        assemble(find(str(tiny_encoder)), weights | {name: torch.zeros(4, 32)})


def test_a_published_matrix_is_an_int8_difference_within_its_bound(tiny_encoder: Path) -> None:
    backbone = find(str(tiny_encoder))
    recipe = recipe_for("full", freeze_embeddings=False)
    exported = export(trained_network(tiny_encoder, recipe), recipe)
    own = dict(load_encoder(backbone).named_parameters())

    found = compacted(backbone, exported)

    kept = {name for name, t in exported.items() if t.ndim < 2 or name.startswith("head.")}
    assert kept == exported.keys() & found.keys()
    for name, tensor in unpacked(found, own).items():
        if name not in kept:
            difference = exported[name].float() - own[name.removeprefix("encoder.")]
            bound = difference.abs().amax(1, keepdim=True) / 254 + 1e-6
            assert ((tensor - exported[name].float()).abs() <= bound).all()
    sizes = [
        sum(t.nbytes for name, t in w.items() if not name.startswith("head."))
        for w in (exported, found)
    ]
    assert sizes[1] < 0.6 * sizes[0]
    assert exported.keys() == unpacked(found, own).keys()


def test_differences_to_another_backbone_are_an_error(tiny_encoder: Path) -> None:
    backbone = find(str(tiny_encoder))
    strange = {"difference.nowhere.rows": torch.zeros(2, 2, dtype=torch.int8)}

    with pytest.raises(ModelError, match="does not fit the backbone"):
        assemble(backbone, strange)
    with pytest.raises(ModelError, match="does not fit the backbone"):
        compacted(backbone, {"encoder.nowhere": torch.zeros(2, 2)})
