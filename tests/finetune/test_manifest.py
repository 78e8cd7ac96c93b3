"""What a model directory must hold, and what its faults are called."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from models import manifest as manifests
from models.directory import compact
from models.errors import ModelError
from models.labels import LABELS
from models.manifest import Manifest
from models.predict import Predictor

Change = Callable[[dict[str, Any]], None]


@pytest.fixture
def copy(trained: tuple[Path, Manifest], tmp_path: Path) -> Path:
    return Path(shutil.copytree(trained[0], tmp_path / "copy"))


def edit(folder: Path, change: Change) -> None:
    path = folder / manifests.FILE
    content = json.loads(path.read_text("utf-8"))
    change(content)
    path.write_text(json.dumps(content), "utf-8")


def test_a_written_manifest_is_read_back_equal(trained: tuple[Path, Manifest]) -> None:
    folder, written = trained

    assert manifests.read(folder) == written


def test_the_version_is_the_start_of_the_hash_of_the_weights(
    trained: tuple[Path, Manifest],
) -> None:
    manifest = trained[1]

    assert manifest.version == manifest.files[manifest.weights][:12]


def test_the_manifest_names_data_labels_and_scores(trained: tuple[Path, Manifest]) -> None:
    manifest = trained[1]

    assert {"sentiment.csv", "topic.csv"} == {record.file for record in manifest.data}
    for task, names in LABELS.items():
        report = manifest.heads[task].best_report
        assert names == manifest.heads[task].labels
        assert list(names) == list(report.classes)
        assert [c.support for c in report.classes.values()] == [sum(r) for r in report.confusion]
        assert report.accuracy.low <= report.accuracy.value <= report.accuracy.high


def test_weights_that_do_not_match_their_hash_are_refused(copy: Path) -> None:
    path = copy / "adapters.safetensors"
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)

    with pytest.raises(ModelError, match=r"adapters\.safetensors: SHA-256 is .* restore both"):
        Predictor.load(copy)


def test_missing_weights_are_named(copy: Path) -> None:
    (copy / "adapters.safetensors").unlink()

    with pytest.raises(ModelError, match=r"adapters\.safetensors: missing; restore it"):
        Predictor.load(copy)


def test_a_folder_without_a_manifest_is_named(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"manifest\.json: cannot be read .* models train"):
        Predictor.load(tmp_path)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda m: m.update(format=2), "manifest format 2, this program reads 1"),
        (lambda m: m.update(mood="good"), "mood: Extra inputs are not permitted"),
        (lambda m: m["heads"]["topic"]["labels"].reverse(), "labels of head topic"),
        (lambda m: m["heads"].pop("sentiment"), "labels of head sentiment"),
        (lambda m: m["heads"]["topic"].update(temperature=0), r"heads\.topic\.temperature"),
        (lambda m: m.update(version="0" * 12), "version is not the start"),
        (lambda m: m["files"].update({"../x": "0" * 64}), "must lie in the model directory"),
        (lambda m: m["backbone"].update(sha256="0" * 64), "trained on a backbone"),
        (lambda m: m["backbone"].update(tokenizer_sha256="0" * 64), "another tokeniser"),
        (lambda m: m["backbone"].update(name="no-such-folder/x/y"), "neither a folder nor"),
    ],
)
def test_a_manifest_that_does_not_fit_is_refused(copy: Path, change: Change, message: str) -> None:
    edit(copy, change)

    with pytest.raises(ModelError, match=message):
        Predictor.load(copy)


def test_a_truncated_manifest_is_refused(copy: Path) -> None:
    path = copy / manifests.FILE
    path.write_bytes(path.read_bytes()[:-40])

    with pytest.raises(ModelError, match="not JSON"):
        Predictor.load(copy)


def test_compact_json_says_the_same_on_fewer_lines() -> None:
    content = {"a": [[1, 2], [3, -4.5]], "b": [], "c": {"d": [{"e": 1}], "f": ["x"]}}
    indented = json.dumps(content, indent=1)

    found = compact(indented)

    assert json.loads(found) == content
    assert "[1, 2]," in found
    assert len(found.splitlines()) < len(indented.splitlines())
