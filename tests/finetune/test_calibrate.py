"""Temperatures: what a corpus counts in their fit, and a fit made anew for a trained model."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from models import manifest as manifests
from models.__main__ import app
from models.compression.pack import pack
from models.errors import ModelError
from models.evaluation.calibrate import fit_temperature
from models.evaluation.evaluate import files_of, logits_of
from models.labels import LABELS, TASKS
from models.predict import Predictor
from models.training.heads import calibration_weights
from models.training.refit import refit
from models.training.session import run_training
from models.training.settings import recipe_of
from models.training.sources import Files, collect

SETTINGS: dict[str, object] = {
    "method": "full",
    "freeze_embeddings": False,
    "epochs": 15,
    "corpus_weight": 0.0,  # so that the network learns nothing of it
    "batch_size": 16,
    "learning_rate": 4e-3,
    "average_decay": 0.0,
    "dropout": 0.0,
    "held_out": 0.25,
    "precision": "float32",
}
RECIPE = recipe_of({"held_out": 0.25})
WORDS = ("mill", "quarry", "ferry", "bakery", "dairy", "tannery", "foundry", "orchard")


@pytest.fixture(scope="module")
def with_corpus(files: Files, tmp_path_factory: pytest.TempPathFactory) -> Files:
    """Add a corpus whose labels no text explains: it asks for a temperature of its own."""
    path = tmp_path_factory.mktemp("corpus") / "corpus.jsonl"
    rows = [
        {
            "text": f"The {WORDS[n % 8]} of row {n} is written about in plain words",
            "split": "train",
            "sentiment": LABELS["sentiment"][n % 3],
            "topic": LABELS["topic"][n % 20],
        }
        for n in range(140)
    ]
    path.write_text("\n".join(map(json.dumps, rows)), "utf-8")
    return replace(files, corpora=(path,))


@pytest.fixture(scope="module")
def model(with_corpus: Files, tiny_encoder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("calibrated")
    run_training(
        with_corpus,
        SETTINGS,
        out=folder,
        backbone=str(tiny_encoder),
        max_length=64,
        device="cpu",
    )
    return folder


@pytest.fixture
def copy(model: Path, tmp_path: Path) -> Path:
    folder = tmp_path / "model"
    folder.mkdir()
    for path in model.iterdir():
        (folder / path.name).write_bytes(path.read_bytes())
    return folder


@pytest.mark.parametrize("share", [1 / 3, 1.0, 5.0])
def test_the_held_out_texts_of_a_corpus_count_their_share_however_many_they_are(
    with_corpus: Files, share: float
) -> None:
    for source in collect(with_corpus, RECIPE).sources.values():
        weights = calibration_weights(source, share)

        own = np.asarray([f == source.whole.path for f in files_of(source.held_out)])
        assert 0 < own.sum() != (~own).sum()
        assert weights[~own].sum() == pytest.approx(share * weights[own].sum())
        assert weights.mean() == pytest.approx(1)


def test_a_corpus_named_like_the_file_of_the_task_is_still_a_corpus(
    with_corpus: Files, tmp_path: Path
) -> None:
    own = with_corpus.training["sentiment"]
    same = tmp_path / own.name
    same.write_bytes(own.read_bytes())
    (corpus,) = with_corpus.corpora
    twin = tmp_path / "corpus.jsonl"
    twin.write_bytes(corpus.read_bytes())
    files = replace(
        with_corpus, training={**with_corpus.training, "sentiment": same}, corpora=(twin,)
    )
    source = collect(files, RECIPE).sources["sentiment"]
    renamed = replace(
        source,
        held_out=replace(
            source.held_out,
            places=tuple(
                place.replace(str(twin), str(tmp_path / "other" / own.name))
                for place in source.held_out.places
            ),
        ),
    )

    np.testing.assert_allclose(
        calibration_weights(renamed, 1 / 3), calibration_weights(source, 1 / 3)
    )


def test_a_run_fits_its_temperatures_by_the_share_of_its_recipe(
    model: Path, with_corpus: Files
) -> None:
    manifest = manifests.read(model)
    predictor = Predictor.load(model, device="cpu", dtype="float32")

    assert manifest.recipe.calibration_corpus_share == pytest.approx(1 / 3)
    for task, source in collect(with_corpus, RECIPE).sources.items():
        held = source.held_out
        weights = calibration_weights(source, 1 / 3)
        expected = fit_temperature(logits_of(predictor, held), held.labels, weights)
        assert manifest.heads[task].temperature == pytest.approx(expected, abs=1e-3)


def test_a_fit_made_anew_by_the_same_rule_changes_nothing(copy: Path, with_corpus: Files) -> None:
    before = manifests.read(copy)

    refit(copy, with_corpus, device="cpu")

    assert before == manifests.read(copy)


def test_another_share_moves_temperatures_and_errors_and_no_verdict(
    copy: Path, with_corpus: Files
) -> None:
    before = manifests.read(copy)

    found = refit(copy, with_corpus, corpus_share=20.0, device="cpu")

    assert found == manifests.read(copy)
    assert found.recipe.calibration_corpus_share == 20.0
    assert (found.version, found.files, found.history) == (
        before.version,
        before.files,
        before.history,
    )
    for task in TASKS:
        old, new = before.heads[task], found.heads[task]
        assert abs(new.temperature - old.temperature) > 0.05
        assert new.held_out.confusion == old.held_out.confusion
        assert new.held_out.ece_before == old.held_out.ece_before
        assert new.held_out.ece_after != old.held_out.ece_after


def test_files_other_than_those_of_the_training_are_refused(
    copy: Path, files: Files, with_corpus: Files, tmp_path: Path
) -> None:
    before = (copy / manifests.FILE).read_bytes()
    changed = tmp_path / "sentiment.csv"
    lines = files.training["sentiment"].read_text("utf-8").splitlines()
    changed.write_text("\n".join(lines[:-1]) + "\n", "utf-8")

    with pytest.raises(ModelError, match=r"corpus\.jsonl, which is not among the files given"):
        refit(copy, files, device="cpu")
    training = {**with_corpus.training, "sentiment": changed}
    with pytest.raises(ModelError, match="has changed; give the files of its training"):
        refit(copy, replace(with_corpus, training=training), device="cpu")
    other = tmp_path / "topic.csv"
    other.write_text("text,label\nA ferry is late,Macro\n", "utf-8")
    validation = {**with_corpus.validation, "topic": other}
    with pytest.raises(ModelError, match="not among the validation files of topic"):
        refit(copy, replace(with_corpus, validation=validation), device="cpu")

    assert before == (copy / manifests.FILE).read_bytes()


def test_held_out_texts_other_than_those_of_the_training_are_refused(
    copy: Path, with_corpus: Files
) -> None:
    manifest = manifests.read(copy)
    recipe = manifest.recipe.model_copy(update={"seed": manifest.recipe.seed + 1})
    manifests.write(manifest.model_copy(update={"recipe": recipe}), copy)
    before = (copy / manifests.FILE).read_bytes()

    with pytest.raises(ModelError, match="divides the files otherwise"):
        refit(copy, with_corpus, device="cpu")

    assert before == (copy / manifests.FILE).read_bytes()


def test_a_compressed_model_is_calibrated_before_it_is_compressed(
    model: Path, with_corpus: Files, tmp_path: Path
) -> None:
    pack(model, tmp_path / "small", "bf16")

    with pytest.raises(ModelError, match="then compress it again"):
        refit(tmp_path / "small", with_corpus, device="cpu")


def test_the_command_says_which_temperatures_it_replaced(copy: Path, with_corpus: Files) -> None:
    old = manifests.read(copy)
    arguments = ["calibrate", "--model", str(copy), "--corpus", str(with_corpus.corpora[0])]
    for task in TASKS:
        arguments += [f"--{task}", str(with_corpus.training[task])]

    found = CliRunner().invoke(app, [*arguments, "--corpus-share", "20", "--device", "cpu"])

    assert found.exit_code == 0
    for task in TASKS:
        new = manifests.read(copy).heads[task].temperature
        assert (
            f"{task}: temperature {old.heads[task].temperature} before, {new} now" in found.output
        )


def test_a_share_that_no_recipe_takes_is_named(copy: Path, with_corpus: Files) -> None:
    arguments = ["calibrate", "--model", str(copy), "--corpus-share", "-1"]
    for task in TASKS:
        arguments += [f"--{task}", str(with_corpus.training[task])]

    found = CliRunner().invoke(app, arguments)

    assert isinstance(found.exception, ModelError)
    assert "calibration_corpus_share" in str(found.exception)
