"""The gate refuses who forgot something and says what; re-training mixes old and new texts."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from models import manifest as manifests
from models.__main__ import app
from models.dataset.read import read
from models.errors import DataError, ModelError
from models.evaluation.metrics import Counts
from models.labels import SENTIMENTS, TASKS, TOPICS, Task
from models.manifest import Manifest
from models.registry.folder import Registry
from models.text import twin_key
from models.training.continual import Request, mix, recipe_settings, reservoir
from models.training.gate import Decision, decide

RUNNER = CliRunner()


# ---------------------------------------------------------------- the gate


def labels(*counts: int) -> Counts:
    """So many texts of each class."""
    return np.repeat(np.arange(len(counts)), counts)


def wrong(truth: Counts, rows: Sequence[int], to: int) -> Counts:
    """Predictions that are right but for these rows."""
    found = truth.copy()
    found[list(rows)] = to
    return found


def sentiment(truth: Counts, before: Counts, after: Counts, *, strict: bool = False) -> Decision:
    return decide({"sentiment": truth}, {"sentiment": before}, {"sentiment": after}, strict=strict)


def verdicts(decision: Decision) -> list[str]:
    return [found.verdict for change in decision.tasks for found in change.classes]


TRUTH = labels(200, 200, 200)


def test_the_same_model_passes() -> None:
    predicted = wrong(TRUTH, range(0, 600, 7), 1)
    found = sentiment(TRUTH, predicted, predicted)
    assert found.passed
    assert ["held"] * 3 == verdicts(found)
    assert {0.0} == {c.f1.difference.low for c in found.tasks[0].classes}


def test_an_equal_model_with_other_errors_passes() -> None:
    before = wrong(TRUTH, range(0, 600, 10), 1)
    after = wrong(TRUTH, range(5, 600, 10), 1)
    assert sentiment(TRUTH, before, after).passed


def test_a_forgotten_class_is_refused_and_named() -> None:
    after = wrong(TRUTH, range(60), 1)  # 60 of 200 negative ones are taken for neutral
    found = sentiment(TRUTH, TRUTH, after)
    assert not found.passed
    assert "fell" == found.tasks[0].classes[0].verdict
    assert any("class 'negative': recall fell from 1.000 to 0.700" in r for r in found.reasons)
    assert any("sentiment: macro-F1 fell" in r for r in found.reasons)
    assert "held" == found.tasks[0].classes[2].verdict


def test_a_class_that_swallows_others_is_refused_for_its_f1() -> None:
    """Its own recall stays perfect."""
    found = sentiment(TRUTH, TRUTH, wrong(TRUTH, range(60), 1))
    neutral = found.tasks[0].classes[1]
    assert (0.0, "fell") == (neutral.recall.difference.value, neutral.verdict)


def topics(loss: int) -> Decision:
    """Twenty topics, the last of eight texts, of which so many are lost."""
    truth = labels(*[60] * 19, 8)
    rows = np.flatnonzero(truth == 19)[:loss]
    after = wrong(truth, rows.tolist(), 3)
    return decide({"topic": truth}, {"topic": truth}, {"topic": after})


@pytest.mark.parametrize(
    ("loss", "verdict"), [(0, "held"), (1, "unsure"), (4, "fell"), (8, "fell")]
)
def test_a_class_of_eight_texts_is_protected(loss: int, verdict: str) -> None:
    found = topics(loss)
    assert verdict == found.tasks[0].classes[19].verdict
    assert (verdict != "fell") == found.passed
    if verdict == "fell":
        assert any(repr(TOPICS[19]) in reason for reason in found.reasons)


def test_small_losses_in_many_classes_add_up_to_a_refusal() -> None:
    truth = labels(*[15] * 20)
    lost = [label * 15 + k for label in range(20) for k in range(1)]
    after = truth.copy()
    after[lost] = (truth[lost] + 1) % 20
    found = decide({"topic": truth}, {"topic": truth}, {"topic": after})
    assert set(verdicts(found)) == {"unsure"}
    assert not found.passed
    assert found.tasks[0].fell
    (reason,) = found.reasons
    assert "topic: macro-F1 fell from 1.000" in reason


def test_a_class_without_a_text_is_refused() -> None:
    truth = labels(100, 0, 100)
    found = sentiment(truth, truth, truth)
    assert (False, "no texts") == (found.passed, found.tasks[0].classes[1].verdict)
    assert "class 'neutral': no held-out text" in found.reasons[0]


def test_the_strict_gate_refuses_a_smaller_fall() -> None:
    truth = labels(400, 400, 400)
    after = wrong(truth, range(12), 1)
    before = wrong(truth, range(12, 14), 1)  # 2.5 points of recall, 0.7 to 4.3
    assert sentiment(truth, before, after).passed
    assert not sentiment(truth, before, after, strict=True).passed


def test_a_better_model_passes_even_the_strict_gate() -> None:
    found = sentiment(TRUTH, wrong(TRUTH, range(60), 1), TRUTH, strict=True)
    assert found.passed
    assert found.tasks[0].macro_f1.difference.low > 0


def test_the_interval_is_that_of_the_paired_difference() -> None:
    """Errors that both make do not widen it: n texts, k lost: sd of the recall sqrt(k/n/n)."""
    truth = labels(400, 100, 100)
    before = wrong(truth, range(100, 300), 1)
    after = wrong(before, range(40), 1)
    recall = sentiment(truth, before, after).tasks[0].classes[0].recall.difference
    deviation = (0.1 * 0.9 / 400) ** 0.5
    assert -0.1 == pytest.approx(recall.value)
    assert -0.1 - 1.96 * deviation == pytest.approx(recall.low, abs=0.006)
    assert -0.1 + 1.96 * deviation == pytest.approx(recall.high, abs=0.006)


# ---------------------------------------------------------------- the mixture


def rows_of(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def write(path: Path, rows: Sequence[dict[str, str]]) -> Path:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, ["text", "label"])
        writer.writeheader()
        writer.writerows({"text": r["text"], "label": r["label"]} for r in rows)
    return path


@pytest.fixture
def request_of(
    tmp_path: Path, trained: tuple[Path, Manifest], sentiment_file: Path, topic_file: Path
) -> Callable[..., Request]:
    """New sentiment labels: every other row of the file; the old ones: the rest, and the topics."""
    rows = rows_of(sentiment_file)
    new = write(tmp_path / "new.csv", rows[::2])
    old = write(tmp_path / "old.csv", rows[1::2])

    def build(**changes: object) -> Request:
        fields: dict[str, object] = {
            "model": trained[0],
            "new": {"sentiment": new},
            "rehearse": (old, topic_file),
        }
        return Request(**{**fields, **changes})  # type: ignore[arg-type]

    return build


def test_the_mixture_holds_new_and_old_and_no_text_twice(
    request_of: Callable[..., Request],
) -> None:
    found = mix(request_of())
    assert set(TASKS) == set(found)
    held = [twin_key(t) for m in found.values() for t in m.held_out.texts]
    for mixture in found.values():
        keys = [twin_key(text) for text in mixture.training.texts]
        assert len(keys) == len(set(keys))
        assert not set(keys) & set(held)
        assert min(mixture.training.counts.values()) >= 2
    assert found["topic"].new is None
    assert found["sentiment"].new is not None and found["sentiment"].old is not None


def test_a_new_label_replaces_the_old_one(
    request_of: Callable[..., Request], tmp_path: Path, sentiment_file: Path
) -> None:
    rows = rows_of(sentiment_file)
    changed = {"text": rows[1]["text"].upper() + "!", "label": "neutral"}
    new = write(tmp_path / "changed.csv", [*rows[::2], changed])
    found = mix(request_of(new={"sentiment": new}))["sentiment"]
    everything = [*found.training.texts, *found.held_out.texts]
    assert [changed["text"]] == [t for t in everything if twin_key(t) == twin_key(changed["text"])]


def test_held_out_files_are_kept_whole_and_their_twins_are_not_learnt(
    request_of: Callable[..., Request], sentiment_file: Path, tmp_path: Path, topic_file: Path
) -> None:
    rows = rows_of(sentiment_file)
    held = write(tmp_path / "held.csv", [{**r, "text": f"  {r['text'].lower()}"} for r in rows[:6]])
    files: dict[Task, Path] = {"sentiment": held}
    found = mix(request_of(held_out=files))["sentiment"]
    assert 6 == len(found.held_out)
    learnt = {twin_key(text) for text in found.training.texts}
    assert not learnt & {twin_key(r["text"]) for r in rows[:6]}


def test_without_old_labels_of_the_other_task_its_head_would_drift(
    request_of: Callable[..., Request],
) -> None:
    with pytest.raises(DataError, match=r"no text of topic.*--rehearse FILE"):
        mix(request_of(rehearse=()))


def test_a_class_that_nobody_rehearses_is_named(
    request_of: Callable[..., Request], tmp_path: Path, sentiment_file: Path, topic_file: Path
) -> None:
    rows = rows_of(sentiment_file)
    new = write(tmp_path / "few.csv", [r for r in rows if r["label"] != SENTIMENTS[2]])
    held = write(tmp_path / "held.csv", rows[:3])
    with pytest.raises(DataError, match=r"class 'positive' of sentiment .* would be forgotten"):
        mix(
            request_of(new={"sentiment": new}, rehearse=(topic_file,), held_out={"sentiment": held})
        )


@pytest.mark.parametrize("count", [0, 10, 41, 60, 79, 500])
def test_the_reservoir_is_balanced(topic_file: Path, count: int) -> None:
    corpus = read(topic_file, "topic")  # four of each of twenty classes
    found = reservoir(corpus, count, seed=1)
    sizes = set(found.counts.values())
    assert 1 == len(sizes)
    assert 2 * 20 <= len(found) <= max(40, count)


def test_what_small_classes_lack_the_others_give(sentiment_file: Path) -> None:
    corpus = read(sentiment_file, "sentiment")
    few = corpus.take(
        [i for i in range(len(corpus)) if corpus.labels[i] != 0]
        + np.flatnonzero(corpus.labels == 0)[:2].tolist()
    )
    counts = reservoir(few, 10, seed=1).counts
    assert [2, 4, 4] == list(counts.values())


def test_the_recipe_goes_on_at_a_third_of_the_rate(trained: tuple[Path, Manifest]) -> None:
    settings = recipe_settings(trained[0])
    recipe = trained[1].recipe
    assert recipe.learning_rate / 3 == settings["learning_rate"]
    assert (recipe.method, 1) == (settings["method"], settings["members"])


def test_the_rank_of_a_soup_is_that_of_its_file() -> None:
    shipped = Path(__file__).parents[2] / "models" / "default"
    recipe = manifests.read(shipped).recipe
    settings = recipe_settings(shipped)
    if recipe.method == "lora":
        rank, alpha = settings["rank"], settings["alpha"]
        assert isinstance(rank, int) and isinstance(alpha, float)
        assert recipe.alpha / recipe.rank == pytest.approx(alpha / rank)


# ---------------------------------------------------------------- the commands


def run(*arguments: object) -> tuple[int, str]:
    found = RUNNER.invoke(app, [str(a) for a in arguments])
    if isinstance(found.exception, ModelError):
        return 1, str(found.exception)
    return found.exit_code, found.output


@pytest.fixture
def arguments(request_of: Callable[..., Request], tmp_path: Path) -> list[object]:
    """Of `continual`, which holds out a quarter for the gate and a quarter of the rest."""
    request = request_of()
    old = [part for path in request.rehearse for part in ("--rehearse", path)]
    return [
        *("continual", "--sentiment", request.new["sentiment"], *old, "--model", request.model),
        *("--gate-share", 0.25, "--set", "held_out=0.25", "--set", "epochs=1", "--device", "cpu"),
        *("--registry", tmp_path / "registry", "--out", tmp_path / "out"),
    ]


def test_a_run_that_forgets_is_refused_with_code_3_and_not_promoted(
    arguments: list[object], tmp_path: Path, trained: tuple[Path, Manifest]
) -> None:
    """At such a rate, in one pass, what was learnt is lost."""
    home = Registry(tmp_path / "registry")
    home.add(trained[0])
    home.promote(trained[1].version)
    code, said = run(*arguments, "--set", "learning_rate=0.5", "--promote")
    assert 3 == code, said
    assert "refused" in said
    assert "fell" in said
    assert trained[1].version == home.current().name
    assert ["default", trained[1].version] == [v.name for v in home.versions()]


def test_a_run_that_keeps_what_it_knew_is_promoted(
    arguments: list[object], tmp_path: Path, trained: tuple[Path, Manifest]
) -> None:
    home = Registry(tmp_path / "registry")
    home.add(trained[0])
    home.promote(trained[1].version)
    code, said = run(*arguments, "--set", "learning_rate=1e-6", "--promote")
    assert 0 == code, said
    assert "passed: no class fell by more than a point" in said
    out = manifests.read(tmp_path / "out")
    assert out.version == home.current().name != trained[1].version
    assert "passed the gate" == home.history()[-1].reason
    origin = json.loads((tmp_path / "out" / "mixture" / "origin.json").read_text("utf-8"))
    assert trained[1].version == origin["model"]
    assert {"new.csv", "old.csv", "topic.csv"} <= set(origin["files"])
    assert 0 == origin["topic"]["new"]


def test_the_gate_alone_compares_two_folders(
    trained: tuple[Path, Manifest], sentiment_file: Path, topic_file: Path
) -> None:
    files = ("--sentiment", sentiment_file, "--topic", topic_file)
    code, said = run("gate", trained[0], trained[0], *files, "--json")
    assert 0 == code, said
    decision = json.loads(said)
    assert ["sentiment", "topic"] == [t["task"] for t in decision["tasks"]]
    assert decision["passed"]
    assert (1, True) == (
        (found := run("gate", trained[0], trained[0]))[0],
        "give --sentiment FILE" in found[1],
    )


@pytest.mark.parametrize("name", ["gate", "continual"])
def test_each_command_shows_an_example(name: str) -> None:
    assert f"python -m models {name}" in run(name, "--help")[1]
