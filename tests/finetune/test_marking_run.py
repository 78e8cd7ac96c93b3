"""The token head: a run from files to verdicts, and its figures."""

import json
import shutil
from dataclasses import replace
from itertools import product
from pathlib import Path

import numpy as np
import pytest
import torch
from harness.marking import COMPANIES, corpus_of, row_of, tagged_of
from harness.weights import tokens_told, variant
from typer.testing import CliRunner

from models import manifest as manifests
from models import weights as weight_files
from models.__main__ import app, main
from models.backbone import find, load_tokenizer
from models.dataset.read import texts_of
from models.errors import ModelError
from models.labels import SENTIMENTS, TASKS, Task
from models.manifest import Manifest
from models.marking.evaluate import judged_targets, names_report
from models.marking.examples import (
    Example,
    read_corpus,
    runs_of,
    tagged_examples,
)
from models.marking.judge import by_model, by_network
from models.marking.problem import SpanMaterial, Spans
from models.marking.session import SpanFiles, run_training
from models.marking.states import tag_temperature
from models.marking.weights import with_head
from models.predict import Predictor
from models.recipe import SpanRecipe
from models.spans.head import names_width
from models.text import normalise
from models.training.candidate import Progress
from models.training.session import run_training as train_sentences
from models.training.settings import checked
from models.training.sources import Files

RUNNER = CliRunner()
SETTINGS: dict[str, object] = {
    "epochs": 12,
    "repeats": 4,
    "keep_weight": 20.0,
    "batch_size": 8,
    "learning_rate": 4e-3,
    "head_learning_rate": 4e-3,
    "average_decay": 0.0,
    "dropout": 0.0,
    "word_dropout": 0.0,
    "still_layers": 0,
    "joins": 8,
    "swaps": 0.2,
    "precision": "float32",
}


@pytest.fixture(scope="module")
def material(
    files: Files, trained: tuple[Path, Manifest], tmp_path_factory: pytest.TempPathFactory
) -> SpanFiles:
    """Companies that rise first and fall second, and the same names among tagged words."""
    folder = tmp_path_factory.mktemp("marked")
    records = [
        row_of((a, "organisation", "positive"), (b, "organisation", "negative"), text=text)
        for a, b in product(COMPANIES, COMPANIES)
        if a != b
        for text in (f"{a} soars as {b} collapses", f"{b} collapses while {a} soars")
    ]
    records[7]["split"] = records[12]["split"] = "test"
    tagged = tagged_of(folder / "names.conll")
    return SpanFiles(
        sentences=replace(files, start=trained[0]),
        targets=(corpus_of(folder / "targets.jsonl", *records),),
        tagged=(tagged,),
        tagged_held_out=(tagged,),
        tagged_test=(tagged,),
        licences={"names": "CC BY 4.0"},
    )


@pytest.fixture(scope="module")
def marked(material: SpanFiles, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Manifest]:
    folder = tmp_path_factory.mktemp("spans")
    return folder, run_training(material, SETTINGS, out=folder, device="cpu")


def test_a_run_learns_names_and_the_sentiment_towards_each(
    marked: tuple[Path, Manifest],
) -> None:
    folder, manifest = marked
    predictor = Predictor.load(folder, device="cpu", dtype="float32")
    text = "Kelvar collapses while Brimstone soars"

    found = predictor.predict(predictor.encode([text])).tokens

    assert found is not None
    assert [(text[s.start : s.end], s.type) for s in found.spans(0)] == [
        ("Kelvar", "organisation"),
        ("Brimstone", "organisation"),
    ]
    shares = [found.sentiment_of(0, 0, 6), found.sentiment_of(0, 23, 32)]
    assert [SENTIMENTS[int(np.argmax(share or ()))] for share in shares] == ["negative", "positive"]
    assert manifest.spans is not None
    assert manifest.spans.names["names.conll"].all.f1 > 0.9
    assert manifest.spans.targets["targets.jsonl, test part"].macro_f1.value > 0.6


def test_the_record_says_what_the_head_was_trained_on_and_keeps_the_sentence_heads(
    marked: tuple[Path, Manifest], trained: tuple[Path, Manifest]
) -> None:
    folder, manifest = marked
    record = manifests.read(folder).spans

    assert record is not None and record.training is not None
    assert record == manifest.spans
    assert record.training.of == trained[1].version != manifest.version
    assert {(r.role, r.file, r.licence) for r in record.training.data} >= {
        ("training", "names.conll", "CC BY 4.0"),
        ("targets", "targets.jsonl", "not stated"),
    }
    assert manifest.recipe == trained[1].recipe and manifest.data == trained[1].data
    for task in TASKS:
        assert manifest.heads[task].held_out.texts == trained[1].heads[task].held_out.texts


def test_the_loss_grows_by_what_the_verdicts_on_texts_have_moved_times_its_weight(
    trained: tuple[Path, Manifest], sentiment_file: Path
) -> None:
    folder, manifest = trained
    backbone = find(manifest.backbone.name, folder)
    texts = [normalise(text) for text in texts_of(sentiment_file)[:6]]
    model = Predictor.load(folder, device="cpu", dtype="float32")
    own = {task: _softmax(z) for task, z in model.logits(model.encode(texts)).items()}
    flat = {task: np.full_like(found, 1 / found.shape[1]) for task, found in own.items()}
    start = with_head(weight_files.read(folder / manifest.weights), 1)
    network = weight_files.assemble(backbone, start)

    def loss(verdicts: dict[Task, np.ndarray], weight: float) -> float:
        recipe = checked({**SETTINGS, "keep_weight": weight, "epochs": 1}, SpanRecipe)
        problem = Spans(_to_keep(texts, verdicts), backbone, recipe)
        with torch.inference_mode():
            return float(problem.loss(network, np.arange(len(texts))))

    moved = sum(float((p * np.log(p / own[task])).sum()) for task, p in flat.items())
    assert moved > 0.1
    assert loss(own, 20.0) == pytest.approx(loss(own, 0.0), abs=1e-3)
    assert loss(flat, 20.0) - loss(flat, 0.0) == pytest.approx(20.0 * moved, rel=1e-3)


def _softmax(logits: np.ndarray) -> np.ndarray:
    shares = np.exp(logits - logits.max(1, keepdims=True))
    found: np.ndarray = shares / shares.sum(1, keepdims=True)
    return found


def _to_keep(texts: list[str], verdicts: dict[Task, np.ndarray]) -> SpanMaterial:
    """Texts without marks, whose verdicts are to be kept."""
    return SpanMaterial(
        marked=(),
        tagged=(),
        sentences=tuple(Example(text, (), verdict=i) for i, text in enumerate(texts)),
        verdicts={task: found.astype(np.float32) for task, found in verdicts.items()},
        held_out_marked=(),
        held_out_tagged=(),
        held_out={},
    )


def test_a_run_that_goes_on_keeps_the_verdicts_of_the_model_that_it_is_told(
    marked: tuple[Path, Manifest],
    trained: tuple[Path, Manifest],
    material: SpanFiles,
    tmp_path: Path,
) -> None:
    files = replace(
        material, sentences=replace(material.sentences, start=marked[0]), kept=trained[0]
    )

    found = run_training(files, {**SETTINGS, "epochs": 1}, out=tmp_path / "further", device="cpu")

    assert found.spans is not None and found.spans.training is not None
    assert found.spans.training.of == marked[1].version
    assert found.spans.training.kept == trained[1].version
    assert found.spans.names["names.conll"].all.f1 > 0.9  # the head was not drawn anew


def test_how_sure_the_tags_are_is_fitted_on_the_held_out_words(
    marked: tuple[Path, Manifest], material: SpanFiles
) -> None:
    spans = marked[1].spans
    assert spans is not None
    backbone = find(marked[1].backbone.name, marked[0])
    network = weight_files.assemble(backbone, weight_files.read(marked[0] / marked[1].weights))
    tokenizer = load_tokenizer(backbone, 64)
    held_out = tagged_examples(material.tagged_held_out)

    assert spans.tag_temperature == tag_temperature(network, tokenizer, held_out) != 1.0
    assert 1.0 == tag_temperature(network, tokenizer, [])


def test_a_run_goes_on_from_names_of_another_width(
    trained: tuple[Path, Manifest], material: SpanFiles, tmp_path: Path
) -> None:
    variant(trained[0], tmp_path / "wide", tokens_told(names=48))
    files = replace(material, sentences=replace(material.sentences, start=tmp_path / "wide"))

    found = run_training(files, {**SETTINGS, "epochs": 1}, out=tmp_path / "further", device="cpu")

    weights = weight_files.read(tmp_path / "further" / found.weights)
    assert 48 == names_width(weights)
    Predictor.load(tmp_path / "further", device="cpu").predict([[2, 5, 3]])


def test_a_training_of_the_sentence_heads_goes_on_without_the_head_over_tokens(
    marked: tuple[Path, Manifest], files: Files, tmp_path: Path
) -> None:
    settings = {**marked[1].recipe.model_dump(), "epochs": 1}

    found = train_sentences(
        replace(files, start=marked[0]),
        settings,
        out=tmp_path / "further",
        backbone=marked[1].backbone.name,
        device="cpu",
    )

    assert found.spans is None
    assert Predictor.load(tmp_path / "further", device="cpu").network.spans is None


def test_a_network_and_the_loaded_model_judge_alike(
    marked: tuple[Path, Manifest], tiny_encoder: Path, material: SpanFiles
) -> None:
    backbone = find(str(tiny_encoder))
    network = weight_files.assemble(backbone, weight_files.read(marked[0] / weight_files.FILE))
    predictor = Predictor.load(marked[0], device="cpu", dtype="float32")
    examples = [row.example for row in read_corpus(material.targets[0])]
    runs, types = runs_of(material.tagged[0])

    judges = by_network(network, load_tokenizer(backbone)), by_model(predictor)

    first, second = (judged_targets(judge, examples) for judge in judges)
    np.testing.assert_allclose(first[1], second[1], atol=1e-3)
    np.testing.assert_array_equal(first[3], second[3])
    assert names_report(judges[0], runs, types) == names_report(judges[1], runs, types)


def test_a_name_of_a_type_that_the_file_never_marks_is_no_error(
    marked: tuple[Path, Manifest], tmp_path: Path
) -> None:
    path = tmp_path / "organisations.conll"
    path.write_text("Kelvar\tB-ORG\nopens\tO\nin\tO\nOslo\tO\n.\tO\n\n")
    judge = by_model(Predictor.load(marked[0], device="cpu", dtype="float32"))

    runs, types = runs_of(path)

    assert types == {"ORG"}
    assert names_report(judge, runs, types).entity_micro.f1 == 1
    assert names_report(judge, runs, types | {"LOC"}).entity_micro.precision == 0.5


class KilledError(Exception):
    """Stands for a kill between two steps."""


def test_a_killed_run_ends_with_the_weights_of_an_unbroken_one(
    material: SpanFiles, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    short = {**SETTINGS, "epochs": 2, "encoder_dropout": 0.1}
    whole = run_training(material, short, out=tmp_path / "whole", device="cpu")

    def killed(progress: Progress) -> None:
        if progress.step == 7:
            raise KilledError

    class Board:
        def __init__(self, _folder: Path | None) -> None: ...

        def __call__(self, progress: Progress) -> None:
            killed(progress)

        def close(self) -> None: ...

    with monkeypatch.context() as patch:
        patch.setattr("models.marking.session.Board", Board)
        with pytest.raises(KilledError):
            run_training(material, short, out=tmp_path / "broken", device="cpu", checkpoint_every=3)
    assert not (tmp_path / "broken" / manifests.FILE).exists()

    broken = run_training(material, short, out=tmp_path / "broken", device="cpu")

    assert broken.version == whole.version
    tensors = [
        weight_files.read(tmp_path / name / weight_files.FILE) for name in ("whole", "broken")
    ]
    assert all(torch.equal(tensors[0][name], tensors[1][name]) for name in tensors[0])


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"held_out": 0.1}, "held_out: it is that of the model"),
        ({"still_layers": 2}, "the encoder has 2 layers"),
        ({"joints": 3}, "hyper-parameter joints"),
    ],
)
def test_settings_that_cannot_be_are_one_error(
    material: SpanFiles, tmp_path: Path, settings: dict[str, object], message: str
) -> None:
    with pytest.raises(ModelError, match=message):
        run_training(material, {**SETTINGS, **settings}, out=tmp_path / "out", device="cpu")

    assert not (tmp_path / "out" / manifests.FILE).exists()


def test_the_command_reports_the_head_beside_the_sentiment_of_the_text(
    marked: tuple[Path, Manifest], material: SpanFiles
) -> None:
    arguments = ["spans", "evaluate", "--model", str(marked[0]), "--device", "cpu"]
    arguments += ["--targets", str(material.targets[0]), "--tagged", str(material.tagged[0])]

    found = json.loads(RUNNER.invoke(app, [*arguments, "--json"]).stdout)
    shown = RUNNER.invoke(app, arguments).stdout

    report = found["targets"]["targets.jsonl, test"]
    assert report["head"]["targets"] == report["sentiment of the text"]["targets"] == 4
    assert found["names"]["names.conll"]["entity_micro"]["support"] == 32
    assert f"version {marked[1].version}" in shown
    assert f"macro-F1 {report['difference of macro-F1']['value']:+.3f}" in shown


def test_recorded_reports_join_the_manifest_and_the_weights_stay(
    marked: tuple[Path, Manifest], material: SpanFiles, tmp_path: Path
) -> None:
    folder = tmp_path / "model"
    shutil.copytree(marked[0], folder)
    arguments = ["spans", "evaluate", "--model", str(folder), "--device", "cpu", "--record"]
    arguments += ["--split", "train", "--targets", str(material.targets[0])]

    assert RUNNER.invoke(app, arguments).exit_code == 0

    found = manifests.read(folder)
    assert found.spans is not None and marked[1].spans is not None
    added = found.spans.targets["targets.jsonl, train"]
    assert found.version == marked[1].version
    assert found.spans.names == marked[1].spans.names
    assert set(found.spans.targets) == {*marked[1].spans.targets, "targets.jsonl, train"}
    assert added.as_text is not None and added.macro_f1.value > added.as_text.value


def test_a_model_without_the_head_is_one_error(
    trained: tuple[Path, Manifest],
    material: SpanFiles,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    arguments = ["spans", "evaluate", "--model", str(trained[0]), "--device", "cpu"]
    arguments += ["--targets", str(material.targets[0])]
    monkeypatch.setattr("sys.argv", ["models", *arguments])

    assert main() == 1

    assert "has no head over tokens" in capsys.readouterr().err
