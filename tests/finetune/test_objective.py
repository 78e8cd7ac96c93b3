"""What is trained on, and towards what: material, targets, teachers."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.nn import functional

from models.dataset.corpus import Corpus
from models.errors import DataError, ModelError
from models.labels import LABELS, TASKS, Task
from models.manifest import Manifest
from models.predict import Predictor
from models.recipe import Recipe
from models.softmax import scaled
from models.text import twin_key
from models.training.material import (
    UNLABELLED,
    Material,
    Origin,
    Parts,
    class_weights,
    gather,
)
from models.training.objective import Objective, weighted_targets
from models.training.optimiser import peak
from models.training.session import run_training
from models.training.sources import Files, collect, read_texts
from models.training.teacher import verdicts_of

COUNT = {task: len(names) for task, names in LABELS.items()}


def corpus(task: Task, texts: list[str], labels: list[int] | None = None) -> Corpus:
    wanted = labels or [i % COUNT[task] for i in range(len(texts))]
    return Corpus(task, tuple(texts), np.asarray(wanted), Path(f"{task}.csv"), "0" * 64)


def material(texts: int = 24) -> Material:
    rng = np.random.default_rng(0)
    labels = {task: rng.integers(-1, COUNT[task], size=texts) for task in TASKS}
    origins = np.asarray([Origin.FILE, Origin.CORPUS] * (texts // 2), dtype=np.int8)
    return Material(tuple(f"text {i}" for i in range(texts)), labels, origins, {})


def verdicts(texts: int = 24) -> dict[Task, np.ndarray]:
    rng = np.random.default_rng(1)
    return {
        task: rng.dirichlet(np.ones(COUNT[task]), size=texts).astype(np.float32) for task in TASKS
    }


def test_without_teachers_the_loss_is_the_smoothed_and_weighted_cross_entropy_of_torch() -> None:
    recipe = Recipe(label_smoothing=0.1, class_weight_power=0.5)
    given = material()
    generator = torch.Generator().manual_seed(0)
    logits = {t: torch.randn(24, n, generator=generator) for t, n in COUNT.items()}

    found = Objective(weighted_targets(given, recipe), "cpu").cross_entropy(logits, np.arange(24))

    expected = sum(
        functional.cross_entropy(
            logits[task],
            torch.from_numpy(given.labels[task]),
            weight=torch.from_numpy(class_weights(given.labels[task], task, 0.5)).float(),
            ignore_index=UNLABELLED,
            label_smoothing=0.1,
            reduction="sum",
        )
        for task in TASKS
    )
    torch.testing.assert_close(found, expected)


def test_a_text_without_a_label_is_taught_by_the_teachers_alone() -> None:
    given, taught = material(), verdicts()
    recipe = Recipe(pseudo_share=0.7, distil_share=0.4)

    found = weighted_targets(given, recipe, taught)

    for task in TASKS:
        rows = given.labels[task] == UNLABELLED
        np.testing.assert_allclose(found[task][rows], 0.7 * taught[task][rows], rtol=1e-6)


def test_a_labelled_text_has_both_targets_by_their_shares() -> None:
    given, taught = material(), verdicts()
    plain = weighted_targets(given, Recipe(), None)

    found = weighted_targets(given, Recipe(distil_share=0.4), taught)

    for task in TASKS:
        rows = np.flatnonzero(given.labels[task] != UNLABELLED)
        own = class_weights(given.labels[task], task, Recipe().class_weight_power)
        soft = own[given.labels[task][rows]][:, None] * taught[task][rows]
        np.testing.assert_allclose(found[task][rows], 0.6 * plain[task][rows] + 0.4 * soft, 1e-5)


def test_teachers_can_be_kept_off_the_corpora() -> None:
    given, taught = material(), verdicts()
    plain = weighted_targets(given, Recipe(corpus_weight=0.5), None)

    found = weighted_targets(given, Recipe(distil_corpus_share=0, corpus_weight=0.5), taught)

    rows = given.origins == Origin.CORPUS
    for task in TASKS:
        np.testing.assert_array_equal(found[task][rows], plain[task][rows])
        labelled = rows & (given.labels[task] != UNLABELLED)
        whole = weighted_targets(given, Recipe(), None)[task]
        np.testing.assert_allclose(found[task][labelled], 0.5 * whole[labelled], rtol=1e-6)


def test_no_task_trains_on_a_twin_of_a_text_held_out_for_another() -> None:
    sentiment = corpus("sentiment", [f"Mill {i} closes" for i in range(6)])
    topic = corpus("topic", [f"Yard {i} opens" for i in range(40)])
    seen = corpus("topic", ["MILL 9 closes!", *topic.texts])
    parts: Parts = {
        "sentiment": (sentiment, corpus("sentiment", ["Mill 9 closes", "b", "c"])),
        "topic": (seen, corpus("topic", ["Mill 3, closes."], [0])),
    }

    found = gather(parts, unlabelled=["mill 9 CLOSES", "A third text"], others=["Yard 39 opens"])

    keys = {twin_key(text) for text in found.texts}
    assert {"mill 9 closes", "mill 3 closes", "yard 39 opens"} & keys == set()
    assert "a third text" in keys
    assert len(found) == len(keys) == 5 + 39 + 1


def test_a_text_of_both_tasks_is_one_text_with_two_labels() -> None:
    parts: Parts = {
        "sentiment": (corpus("sentiment", ["One", "Two", "Three"]), corpus("sentiment", ["x"])),
        "topic": (corpus("topic", ["one!", *map(str, range(19))]), corpus("topic", ["y"])),
    }

    found = gather(parts, corpora=["One"])

    assert 22 == len(found)
    assert [0, 0] == [int(found.labels[task][0]) for task in TASKS]
    assert [Origin.CORPUS, Origin.FILE] == found.origins[:2].tolist()


def test_a_class_that_loses_all_its_texts_is_named() -> None:
    parts: Parts = {
        "sentiment": (corpus("sentiment", ["One", "Two", "Three"]), corpus("sentiment", ["x"])),
        "topic": (corpus("topic", [str(i) for i in range(20)]), corpus("topic", ["two"])),
    }

    with pytest.raises(DataError, match=r"sentiment\.csv: class 'neutral' of sentiment"):
        gather(parts)


def test_teachers_give_the_mean_of_their_probabilities(trained: tuple[Path, Manifest]) -> None:
    texts = ["Profit rose at the mill", "The yard shut", "Rates stay"]
    done: list[tuple[int, int]] = []

    found = verdicts_of(
        [trained[0], trained[0]],
        texts,
        temperature=2.0,
        device="cpu",
        seen=lambda n, total: done.append((n, total)),
    )

    predictor = Predictor.load(trained[0], device="cpu")
    expected = predictor.logits(predictor.encode(texts))
    for task in TASKS:
        np.testing.assert_allclose(scaled(expected[task], 2.0), found[task], atol=0.02)
    assert (6, 6) == done[-1]


def test_a_student_of_a_teacher_learns_from_texts_without_labels(
    trained: tuple[Path, Manifest], files: Files, tiny_encoder: Path, tmp_path: Path
) -> None:
    more = tmp_path / "more.txt"
    more.write_text("The harbour of Ossel is full\n\nA quiet day for grain\n", "utf-8")
    taught = replace(files, teachers=(trained[0],), teacher_texts=(more,))
    settings = {"epochs": 1, "rank": 4, "batch_size": 16, "distil_share": 0.9}

    found = run_training(taught, settings, out=tmp_path / "m", backbone=str(tiny_encoder))

    assert found.teaching is not None
    assert {trained[1].version: "model"} == found.teaching.teachers
    assert [("more.txt", 2)] == [(t.file, t.texts) for t in found.teaching.texts]


def test_texts_without_labels_need_a_teacher(files: Files, tmp_path: Path) -> None:
    more = tmp_path / "more.txt"
    more.write_text("One\n", "utf-8")

    with pytest.raises(ModelError, match="add --teacher"):
        collect(replace(files, teacher_texts=(more,)), Recipe())


def test_texts_are_read_from_lines_csv_and_jsonl(tmp_path: Path) -> None:
    plain, table, lines = tmp_path / "a.txt", tmp_path / "b.csv", tmp_path / "c.jsonl"
    plain.write_text("One\n \nTwo\n", "utf-8")
    table.write_text('id,text\n1,"One\nmore"\n2,Two\n', "utf-8")
    lines.write_text("\n".join(json.dumps({"text": t}) for t in ("One", "Two")), "utf-8")

    assert ["One", "Two"] == read_texts(plain)
    assert ["One\nmore", "Two"] == read_texts(table)
    assert ["One", "Two"] == read_texts(lines)
    with pytest.raises(DataError, match=r"d\.txt: cannot be read"):
        read_texts(tmp_path / "d.txt")
    lines.write_text('{"text": "One"}\n{"headline": "Two"}\n', "utf-8")
    with pytest.raises(DataError, match=r"c\.jsonl, line 2"):
        read_texts(lines)


def test_rates_fall_from_the_heads_to_the_embeddings() -> None:
    recipe = Recipe(learning_rate=1e-4, head_learning_rate=1e-3, layer_decay=0.5)
    names = (
        "heads.topic.weight",
        "encoder.encoder.layer.5.output.dense.weight",
        "encoder.encoder.layer.3.attention.self.query.lora_A.default.weight",
        "encoder.embeddings.word_embeddings.weight",
    )

    found = [peak(name, recipe, layers=6) for name in names]

    assert [1e-3, 1e-4, 0.25e-4, 1e-4 / 64] == pytest.approx(found)


def test_texts_of_another_script_are_no_twins_of_each_other() -> None:
    training, held = ["银行利润下降", "铜矿停产", "港口恢复运营"], ["央行上调利率", "油价大幅上涨"]

    found = gather({"sentiment": (corpus("sentiment", training), corpus("sentiment", held))})

    assert tuple(training) == found.texts
    assert [0, 1, 2] == found.labels["sentiment"].tolist()
