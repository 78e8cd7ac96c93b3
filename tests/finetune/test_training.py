"""Training on a few texts with a tiny random encoder."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from models.backbone import find, load_encoder
from models.dataset.read import read
from models.dataset.split import deduplicate, hold_out_together
from models.errors import ModelError
from models.evaluation.evaluate import evaluate
from models.labels import TASKS, Task
from models.manifest import Manifest
from models.predict import Predictor
from models.recipe import Recipe
from models.training.loop import train
from models.training.material import batches
from models.training.methods import build, export, restore
from models.training.optimiser import rate
from models.training.session import run_training
from models.training.settings import recipe_of
from models.training.sources import Files, collect
from models.weights import assemble, soup

SETTINGS: dict[str, object] = {"members": 1, "batch_size": 16, "precision": "float32"}


def parts(files: Files, share: float = 0.25):  # type: ignore[no-untyped-def]
    return {
        task: hold_out_together({task: deduplicate(read(path, task))}, share, seed=1)[task]
        for task, path in files.training.items()
    }


@pytest.mark.parametrize("task", TASKS)
def test_a_short_run_learns_the_texts_it_was_given(
    trained: tuple[Path, Manifest], files: Files, task: Task
) -> None:
    predictor = Predictor.load(trained[0], device="cpu", dtype="float32")

    found = evaluate(predictor, parts(files)[task][0])

    assert found.accuracy.value >= 0.9
    assert sum(map(sum, found.confusion)) == found.texts


def test_the_same_seed_gives_the_same_weights(files: Files, tiny_encoder: Path) -> None:
    recipe = recipe_of({"epochs": 2, "members": 1, "rank": 4, "precision": "float32"})
    backbone = find(str(tiny_encoder))

    first = train(parts(files), backbone, recipe)
    second = train(parts(files), backbone, recipe)

    assert first.weights.keys() == second.weights.keys()
    assert all(torch.equal(t, second.weights[name]) for name, t in first.weights.items())
    assert first.history == second.history


def test_low_rank_adapters_merged_without_peft_give_the_trained_logits(
    files: Files, tiny_encoder: Path
) -> None:
    from models.backbone import load_encoder
    from models.network import pad
    from models.training.methods import build, export

    backbone = find(str(tiny_encoder))
    recipe = recipe_of({"rank": 4, "alpha": 12.0})
    torch.manual_seed(3)
    network = build(load_encoder(backbone), recipe).eval()
    for name, parameter in network.named_parameters():
        if "lora_B" in name:  # zero at the start: the adapters would change nothing
            torch.nn.init.normal_(parameter, std=0.1)

    merged = assemble(backbone, export(network, recipe))

    batch = pad([[2, 9, 17, 3], [2, 40, 3]], pad_id=0)
    expected, actual = network(*batch), merged(*batch)
    plain = load_encoder(backbone)(input_ids=batch[0], attention_mask=batch[1]).last_hidden_state
    adapted = merged.encoder(input_ids=batch[0], attention_mask=batch[1]).last_hidden_state
    assert not torch.allclose(plain, adapted, atol=1e-2)
    for task in TASKS:
        # The file holds 16-bit factors.
        torch.testing.assert_close(actual[task], expected[task], atol=5e-3, rtol=0)


def test_a_soup_of_adapters_is_the_mean_of_their_updates() -> None:
    generator = torch.Generator().manual_seed(0)

    def member() -> dict[str, torch.Tensor]:
        return {
            "lora.layer.a": torch.randn(2, 5, generator=generator),
            "lora.layer.b": torch.randn(3, 2, generator=generator),
            "head.topic.bias": torch.randn(4, generator=generator),
        }

    members = [member(), member()]

    found = soup(members)

    mean = sum((m["lora.layer.b"] @ m["lora.layer.a"] for m in members), torch.zeros(3, 5)) / 2
    torch.testing.assert_close(found["lora.layer.b"] @ found["lora.layer.a"], mean)
    torch.testing.assert_close(
        found["head.topic.bias"],
        (members[0]["head.topic.bias"] + members[1]["head.topic.bias"]) / 2,
    )


def test_the_best_candidate_on_the_held_out_texts_is_chosen(
    files: Files, tiny_encoder: Path
) -> None:
    recipe = recipe_of({"epochs": 3, "members": 2, "rank": 4, "learning_rate": 1e-2})

    found = train(parts(files), find(str(tiny_encoder)), recipe)

    assert {"last", "average", "soup"} == {candidate.kind for candidate in found.history}
    eligible = [c for c in found.history if c.kind != "soup" or c is found.history[-1]]
    assert max(c.score for c in eligible) == found.chosen.score


def test_a_loss_that_is_not_a_number_ends_the_run_and_leaves_no_model(
    files: Files, tiny_encoder: Path, tmp_path: Path
) -> None:
    settings: dict[str, object] = {"method": "full", "members": 1, "learning_rate": 1e30}

    with pytest.raises(ModelError, match="lower the learning rate"):
        run_training(
            files, settings, out=tmp_path / "out", backbone=str(tiny_encoder), max_length=64
        )

    assert not (tmp_path / "out").exists()


def test_a_folder_with_a_model_is_not_overwritten_unasked(
    trained: tuple[Path, Manifest], files: Files
) -> None:
    with pytest.raises(ModelError, match="--force"):
        run_training(files, {}, out=trained[0])


def test_an_unknown_hyper_parameter_is_named() -> None:
    with pytest.raises(ModelError, match=r"momentum.*learning_rate"):
        recipe_of({"momentum": 0.9})


def test_every_row_is_in_exactly_one_batch_of_similar_lengths() -> None:
    lengths = np.random.default_rng(0).integers(3, 60, size=333).tolist()

    found = batches(lengths, 32, np.random.default_rng(1))

    assert list(range(333)) == sorted(int(row) for batch in found for row in batch)
    spreads = [max(lengths[r] for r in b) - min(lengths[r] for r in b) for b in found]
    assert max(spreads) <= 12


def test_the_learning_rate_warms_up_and_ends_near_zero() -> None:
    recipe = Recipe(warmup=0.1)
    found = [rate(step, 100, recipe) for step in range(100)]

    assert found[:10] == pytest.approx([(step + 1) / 10 for step in range(10)])
    assert found[10:] == sorted(found[10:], reverse=True)
    assert found[-1] < 0.001


def test_restored_weights_are_the_exported_ones(files: Files, tiny_encoder: Path) -> None:
    backbone = find(str(tiny_encoder))
    for method in ("full", "lora"):
        recipe = recipe_of({**SETTINGS, "method": method, "epochs": 1, "rank": 4})
        trained = train(parts(files), backbone, recipe).weights
        network = build(load_encoder(backbone), recipe)

        restore(network, recipe, trained)

        again = export(network, recipe)
        assert trained.keys() == again.keys()
        assert all(torch.equal(trained[name], again[name]) for name in trained)


def test_weights_of_another_rank_are_no_start(files: Files, tiny_encoder: Path) -> None:
    backbone = find(str(tiny_encoder))
    recipe = recipe_of({**SETTINGS, "method": "lora", "epochs": 1, "rank": 4})
    trained = train(parts(files), backbone, recipe).weights
    with pytest.raises(ModelError, match="method and rank"):
        train(parts(files), backbone, recipe.model_copy(update={"rank": 2}), start=trained)


def test_a_corpus_joins_only_the_tasks_that_are_asked(
    files: Files, tiny_encoder: Path, tmp_path: Path
) -> None:
    corpus = tmp_path / "corpus.jsonl"
    texts = [f"Own text number {i} about a mill" for i in range(8)]
    corpus.write_text(
        "\n".join(
            json.dumps({"text": t, "split": "train", "sentiment": "negative", "topic": "Macro"})
            for t in texts
        ),
        "utf-8",
    )
    one = replace(files, corpora=(corpus,), corpus_tasks=frozenset({"sentiment"}))
    settings = {**SETTINGS, "epochs": 1}

    manifest = run_training(one, settings, out=tmp_path / "m", backbone=str(tiny_encoder))

    assert [8, 8] == [d.rows for d in manifest.data if d.file == "corpus.jsonl"]
    assert manifest.recipe.epochs == 1


def test_runs_that_share_a_split_seed_hold_out_the_same_texts_whatever_their_seeds(
    files: Files,
) -> None:
    def held_out(**settings: object) -> dict[Task, tuple[str, ...]]:
        found = collect(files, recipe_of({"held_out": 0.25, **settings}))
        return {task: corpus.texts for task, corpus in found.material.held_out.items()}

    assert held_out(seed=1) == held_out(seed=5, split_seed=1)
    assert held_out(seed=1, split_seed=0) == held_out(seed=2, split_seed=0)
    assert held_out(seed=1) != held_out(seed=1, split_seed=2)
