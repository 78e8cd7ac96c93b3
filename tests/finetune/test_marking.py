"""The token head: texts with marked names and targets, a run from files to verdicts, figures."""

import json
import shutil
from dataclasses import replace
from itertools import product
from pathlib import Path

import numpy as np
import pytest
import torch
from harness.weights import tokens_told, variant
from typer.testing import CliRunner

from models import manifest as manifests
from models import weights as weight_files
from models.__main__ import app, main
from models.backbone import find, load_tokenizer
from models.dataset.read import texts_of
from models.errors import DataError, ModelError
from models.labels import SENTIMENTS, TASKS, Task
from models.manifest import Manifest
from models.marking import sentfin
from models.marking.evaluate import judged_targets, names_report
from models.marking.examples import (
    Example,
    Mark,
    certain,
    joined,
    joined_words,
    read_corpus,
    renamed,
    runs_of,
    tagged_examples,
    weak,
)
from models.marking.judge import by_model, by_network
from models.marking.parts import divide
from models.marking.problem import SpanMaterial, Spans
from models.marking.report import against, report
from models.marking.rows import POSSIBLE, collate
from models.marking.session import SpanFiles, run_training
from models.marking.states import tag_temperature
from models.marking.weights import with_head
from models.predict import Predictor
from models.recipe import SpanRecipe
from models.spans.head import names_width
from models.spans.shapes import SPECIAL, starts_word
from models.text import normalise
from models.tokens.read import read
from models.tokens.tags import TAGS
from models.training.candidate import Progress
from models.training.session import run_training as train_sentences
from models.training.settings import checked
from models.training.sources import Files

RUNNER = CliRunner()
NEGATIVE, NEUTRAL, POSITIVE = (certain(number) for number in range(3))
COMPANIES = ("Nordwind", "Kelvar", "Ostrea", "Brimstone")
PLACES = ("Oslo", "Lima", "Turin", "Quito")
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


def _record(*entities: tuple[str, str, str | None], text: str) -> dict[str, object]:
    found = []
    for surface, kind, sentiment in entities:
        start = text.index(surface)
        mark = {"start": start, "end": start + len(surface), "type": kind}
        found.append(mark if sentiment is None else {**mark, "sentiment": sentiment})
    return {"text": text, "split": "train", "sentiment": "neutral", "entities": found}


def _corpus(path: Path, *records: dict[str, object]) -> Path:
    path.write_text("\n".join(map(json.dumps, records)), "utf-8")
    return path


def _surfaces(example: Example) -> list[str]:
    return [example.text[mark.start : mark.end] for mark in example.marks]


def test_marks_follow_the_text_as_the_model_reads_it(tmp_path: Path) -> None:
    raw = "Results \u2026  of \u201cNordwind\u201d beat Kelvar\u2019s"
    record = _record(
        ("Nordwind", "organisation", "positive"), ("Kelvar", "organisation", "negative"), text=raw
    )

    (row,) = read_corpus(_corpus(tmp_path / "corpus.jsonl", record))

    assert row.example.text == 'Results ... of "Nordwind" beat Kelvar\'s'
    assert _surfaces(row.example) == ["Nordwind", "Kelvar"]
    assert [mark.sentiment for mark in row.example.marks] == [POSITIVE, NEGATIVE]


@pytest.mark.parametrize(
    "change",
    [{"start": 90, "end": 95}, {"type": "planet"}, {"sentiment": "sad"}, {"start": "two"}],
)
def test_a_faulty_entity_is_one_error_with_file_and_line(
    tmp_path: Path, change: dict[str, object]
) -> None:
    sound = _record(("Kelvar", "organisation", "positive"), text="Kelvar gains")
    faulty = _record(("Kelvar", "organisation", "positive"), text="Kelvar gains")
    faulty["entities"][0].update(change)  # type: ignore[index]
    path = _corpus(tmp_path / "corpus.jsonl", sound, faulty)

    with pytest.raises(DataError, match=r"corpus\.jsonl, line 2: .*expected text, split"):
        read_corpus(path)


def test_a_commodity_in_lower_case_is_a_target_but_no_name(tmp_path: Path) -> None:
    record = _record(("gold", "other", "negative"), ("Nikkei", "other", None), text="Nikkei, gold")

    (row,) = read_corpus(_corpus(tmp_path / "corpus.jsonl", record))

    assert [mark.type for mark in row.example.marks] == [None, "MISC"]
    assert [mark.sentiment for mark in row.example.targets] == [NEGATIVE]


def test_words_become_running_text_and_keep_their_characters() -> None:
    words = [
        "(",
        "Nordwind",
        "'s",
        "boss",
        ")",
        "did",
        "n't",
        "pay",
        "$",
        "ABC",
        "http://t.co/x",
        ".",
    ]

    text, places = joined_words(words)

    assert text == "(Nordwind's boss) didn't pay $ABC."
    assert [text[start:end] for start, end in places[:5]] == ["(", "Nordwind", "'s", "boss", ")"]
    assert places[10][0] == places[10][1]  # a link is nothing to the model


def test_a_tweet_with_one_cashtag_is_about_it_and_one_with_two_is_not() -> None:
    found = weak("$ABC up again, $abc to the moon", POSITIVE, 0.5)

    assert found is not None
    assert _surfaces(found) == ["$ABC", "$abc"]
    assert weak("$ABC up, $XYZ down", POSITIVE, 0.5) is None
    assert weak("ABC up", POSITIVE, 0.5) is None


def test_a_renamed_company_is_the_same_one_at_each_mention_with_its_own_sentiment() -> None:
    text = "Kelvar sues Ostrea; Kelvar gains in Lima"
    marks = (
        Mark(0, 6, "ORG", POSITIVE),
        Mark(12, 18, "ORG", NEGATIVE),
        Mark(20, 26, "ORG", POSITIVE),
        Mark(36, 40, "LOC"),
    )
    names = iter((0, 1, 1))  # the last is not needed: it is Kelvar again

    found = renamed(Example(text, marks), ["Brimstone Mills", "Ny"], lambda _count: next(names))

    assert found.text == "Brimstone Mills sues Ny; Brimstone Mills gains in Lima"
    assert _surfaces(found) == ["Brimstone Mills", "Ny", "Brimstone Mills", "Lima"]
    assert [mark.sentiment for mark in found.marks] == [POSITIVE, NEGATIVE, POSITIVE, None]


def test_joined_headlines_keep_the_sentiments_of_their_halves() -> None:
    first = Example("Kelvar soars.", (Mark(0, 6, "ORG", POSITIVE),), frozenset({"ORG", "PER"}))
    second = Example("Ostrea fails", (Mark(0, 6, "ORG", NEGATIVE),), frozenset({"ORG"}), 0.5)

    for joint in range(10):
        found = joined(first, second, lambda _count, joint=joint: joint)  # type: ignore[misc]

        assert found.text.startswith("Kelvar soars") and found.text.endswith("Ostrea fails")
        assert _surfaces(found) == ["Kelvar", "Ostrea"]
        assert found.tagged == {"ORG"} and found.weight == 0.5


def test_sentfin_is_read_with_its_faulty_rows(tmp_path: Path) -> None:
    path = tmp_path / "headlines.csv"
    rows = [
        ("Kelvar's soars; Kelvar dull", "\"{'Kelvar's': 'positive', 'Kelvar': 'negative'}\""),
        (
            "Nordwind Power beats nordwind",
            "\"{'Nordwind': 'negative', 'Nordwind Power': 'positive'}\"",
        ),
        ("Ostrea flat", "\"{'Osterea': 'neutral'}\""),
    ]
    path.write_text(
        "S No.,Title,Decisions,Words\n"
        + "".join(f"{n},{title},{entities},3\n" for n, (title, entities) in enumerate(rows, 1))
    )

    found = sentfin.read(path)

    assert _surfaces(found[0]) == ["Kelvar's", "Kelvar"]
    assert found[0].marks[1].start == 16  # its own mention, not the one within the longer name
    assert [(m.start, m.end) for m in found[1].marks] == [(21, 29), (0, 14)]
    assert [(m.start, m.end) for m in found[2].marks] == [(0, 0)]
    assert sentfin.in_conflict(found) == found[:2]


def test_a_headline_without_entities_is_an_error_with_its_row(tmp_path: Path) -> None:
    path = tmp_path / "headlines.csv"
    path.write_text("Title,Decisions\nKelvar flat,{'Kelvar': 'neutral'}\nOstrea up,{}\n")

    with pytest.raises(DataError, match=r"headlines\.csv, row 2: no entity"):
        sentfin.read(path)


def test_a_token_outside_may_be_of_a_type_that_its_text_never_marks(tiny_encoder: Path) -> None:
    tokenizer = load_tokenizer(find(str(tiny_encoder)))
    example = Example("Kelvar in Oslo.", (Mark(0, 6, "ORG"),), frozenset({"ORG", "LOC", "PER"}))

    batch = collate([example, Example("Oslo", ())], tokenizer, 0)

    possible = [
        {TAGS[tag] for tag in np.flatnonzero(POSSIBLE[code])} for code in batch.codes.tolist()
    ]
    kelvar = [tags for tags in possible[1:] if tags <= {"B-ORG", "I-ORG"}]
    assert possible[0] == set(TAGS)  # of a special token nothing is asked
    assert kelvar[0] == {"B-ORG"} and all(tags == {"I-ORG"} for tags in kelvar[1:])
    small = [batch.offsets[0].tolist().index(place) for place in ([7, 9], [14, 15])]
    assert {"O", "B-MISC", "I-MISC"} in possible
    assert [possible[token] for token in small] == [{"O"}, {"O"}]  # no names: "in" and "."
    assert possible[-2] == set(TAGS)  # nor of a text that is not tagged


def test_batches_tell_how_each_real_token_is_written(tiny_encoder: Path) -> None:
    tokenizer = load_tokenizer(find(str(tiny_encoder)))
    example = Example("The bank of Oslo", (Mark(4, 8, None, NEGATIVE),))

    batch = collate([example, Example("Oslo", ())], tokenizer, 0)

    assert len(batch.shapes) == int(batch.mask.sum()) == sum(map(len, batch.offsets))
    assert int(starts_word(batch.shapes.numpy()).sum()) == 5
    assert batch.shapes[0] == SPECIAL
    first = int(batch.members[0])
    assert batch.offsets[0][first].tolist() == [4, 8] or batch.offsets[0][first][0] == 4
    assert batch.sentiments.tolist() == [list(NEGATIVE)]


def test_intervals_are_of_texts_not_of_entities() -> None:
    truth = np.repeat([0, 1, 2], 40)
    logits = np.eye(3)[np.where(np.arange(120) % 40 < 20, truth, (truth + 1) % 3)]
    alone = report(truth, logits, np.arange(120))

    together = report(truth, logits, np.arange(120) // 20)

    assert together.accuracy.value == alone.accuracy.value == 0.5
    width = together.accuracy.high - together.accuracy.low
    assert width > 2 * (alone.accuracy.high - alone.accuracy.low)


def test_the_baseline_gives_every_entity_the_sentiment_of_its_text() -> None:
    truth = np.array([2, 0] * 60)
    head = np.eye(3)[truth]
    of_texts = np.eye(3)[np.full(120, 2)]

    found = against(truth, head, of_texts, np.arange(120) // 2)

    assert found.head.macro_f1.value == 1
    assert found.texts.accuracy.value == 0.5
    assert found.difference.value == pytest.approx(1 - 1 / 3)
    assert found.difference.low == found.difference.high  # every text is alike


def test_public_corpora_are_divided_as_documented(tmp_path: Path) -> None:
    for name in "abefgh":
        rows = [f"Kelvar{name}{n}\tB-ORG\nfell\tO\n\n" for n in range(4)]
        (tmp_path / f"{name}.conll").write_text("".join(rows))
    wiki = "".join(f"-DOCSTART- O\n\nOslo{n} I-LOC\n\ngrew O\n\n" for n in range(10))
    (tmp_path / "wiki.txt").write_text(wiki)
    for name in ("wnut17train.conll", "emerging.dev.conll", "emerging.test.annotated"):
        (tmp_path / name).write_text(f"{name}\tB-person\n\n")

    sizes = divide(tmp_path, tmp_path / "wiki.txt", tmp_path, tmp_path / "out")

    assert sizes["btc.train.conll"] == 4 * 4 + 2
    assert (sizes["btc.held-out.conll"], sizes["btc.test.conll"]) == (2, 4)
    assert read(tmp_path / "out" / "btc.test.conll")[0][0].words[0] == "Kelvarf0"
    parts = {
        part: [d[0].words[0] for d in read(tmp_path / "out" / f"wikigold.{part}.conll")]
        for part in ("held-out", "test")
    }
    assert parts == {"held-out": ["Oslo9"], "test": ["Oslo4", "Oslo8"]}
    assert read(tmp_path / "out" / "wnut17.test.conll")[0][0].tags == ("B-PER",)


@pytest.fixture(scope="module")
def material(
    files: Files, trained: tuple[Path, Manifest], tmp_path_factory: pytest.TempPathFactory
) -> SpanFiles:
    """Companies that rise first and fall second, and the same names among tagged words."""
    folder = tmp_path_factory.mktemp("marked")
    records = [
        _record((a, "organisation", "positive"), (b, "organisation", "negative"), text=text)
        for a, b in product(COMPANIES, COMPANIES)
        if a != b
        for text in (f"{a} soars as {b} collapses", f"{b} collapses while {a} soars")
    ]
    records[7]["split"] = records[12]["split"] = "test"
    tagged = folder / "names.conll"
    tagged.write_text(
        "".join(
            f"{company}\tB-ORG\nopens\tO\nin\tO\n{place}\tB-LOC\n.\tO\n\n"
            for company, place in product(COMPANIES, PLACES)
        )
    )
    return SpanFiles(
        sentences=replace(files, start=trained[0]),
        targets=(_corpus(folder / "targets.jsonl", *records),),
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
