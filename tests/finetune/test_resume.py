"""Checkpoints: a run that was killed ends as one that was not, to the bit."""

import errno
import os
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from models.backbone import find
from models.errors import ModelError
from models.recipe import Recipe
from models.training import checkpoint
from models.training.candidate import Progress, Trained
from models.training.checkpoint import Keeper
from models.training.loop import train
from models.training.material import Integers, Material
from models.training.member import Member
from models.training.session import run_training
from models.training.settings import recipe_of
from models.training.sources import Files, collect

SETTINGS: dict[str, object] = {
    "rank": 4,
    "batch_size": 16,
    "epochs": 3,
    "precision": "float32",
    "encoder_dropout": 0.1,
    "held_out": 0.25,
}


class KilledError(Exception):
    """Stands for a kill between two steps."""


@pytest.fixture(scope="module")
def material(files: Files) -> Material:
    return collect(files, recipe_of(SETTINGS)).material


def run(
    material: Material,
    encoder: Path,
    recipe: Recipe,
    keeper: Keeper | None = None,
    kill_at: int | None = None,
) -> tuple[dict[int, float], Trained | None]:
    """Return the losses by step, and the trained weights unless it was killed."""
    losses: dict[int, float] = {}

    def observe(progress: Progress) -> None:
        if progress.candidate is None:
            losses[progress.step] = progress.loss
        if progress.step == kill_at:
            raise KilledError

    try:
        return losses, train(material, find(str(encoder)), recipe, observer=observe, keeper=keeper)
    except KilledError:
        return losses, None


@pytest.mark.parametrize(
    ("settings", "kill_at"),
    [
        ({"method": "lora"}, 14),
        ({"method": "lora", "members": 2}, 22),
        ({"method": "full", "accumulation": 2, "evaluations_per_epoch": 2}, 7),
        ({"method": "full", "average_decay": 0.0, "schedule": "linear"}, 13),
    ],
)
def test_a_killed_run_ends_with_the_losses_and_weights_of_an_unbroken_one(
    settings: dict[str, object],
    kill_at: int,
    material: Material,
    tiny_encoder: Path,
    tmp_path: Path,
) -> None:
    recipe = recipe_of({**SETTINGS, **settings})
    told: list[str] = []
    keeper = Keeper(tmp_path, {}, every=3, tell=told.append)
    expected, whole = run(material, tiny_encoder, recipe)

    before, _ = run(material, tiny_encoder, recipe, keeper, kill_at)
    after, resumed = run(material, tiny_encoder, recipe, keeper)

    assert whole is not None
    assert resumed is not None
    assert max(before) == kill_at
    assert 1 < min(after) <= kill_at < max(after)
    assert expected == before | after
    assert whole.history == resumed.history
    assert whole.chosen == resumed.chosen
    assert whole.weights.keys() == resumed.weights.keys()
    assert all(torch.equal(t, resumed.weights[name]) for name, t in whole.weights.items())
    assert [True] == ["going on from the checkpoint" in text for text in told]


def test_a_run_killed_between_training_and_publishing_is_not_trained_again(
    material: Material, tiny_encoder: Path, tmp_path: Path
) -> None:
    recipe = recipe_of({**SETTINGS, "epochs": 1})
    keeper = Keeper(tmp_path, {})
    _, whole = run(material, tiny_encoder, recipe, keeper)

    losses, again = run(material, tiny_encoder, recipe, keeper)

    assert {} == losses
    assert whole is not None
    assert again is not None
    assert all(torch.equal(t, again.weights[name]) for name, t in whole.weights.items())


COMMAND = """
import os, signal, sys
from models.__main__ import main
from models.training import member

step = member.Member._take_step
def watched(self, group):
    value = step(self, group)
    print(self.step, value.hex(), flush=True)
    if self.step == int(os.environ.get("KILL_AT", "0")):
        os.kill(os.getpid(), signal.SIGKILL)
    return value
member.Member._take_step = watched
sys.argv[0] = "python -m models"
main()
"""


@pytest.mark.timeout(400)  # three trainings, two in processes of their own
def test_the_command_killed_by_sigkill_goes_on_to_the_same_loss_curve_and_weights(
    files: Files, tiny_encoder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = {**SETTINGS, "method": "full"}

    def command(kill_at: int = 0) -> subprocess.CompletedProcess[str]:
        options = [f"--set={name}={value}" for name, value in settings.items() if name != "method"]
        data = [f"--{task}={path}" for task, path in files.training.items()]
        given = [f"--out={tmp_path / 'killed'}", f"--backbone={tiny_encoder}", "--method=full"]
        more = ["--threads=1", "--device=cpu", "--checkpoint-every=4"]
        return subprocess.run(
            [sys.executable, "-c", COMMAND, "train", *data, *options, *given, *more],
            env={**os.environ, "KILL_AT": str(kill_at)},
            capture_output=True,
            text=True,
            check=False,
        )

    curve: list[str] = []
    step = Member._take_step

    def watched(member: Member[Any], group: list[Integers]) -> float:
        value = step(member, group)
        curve.append(f"{member.step} {value.hex()}")
        return value

    with monkeypatch.context() as patch:
        patch.setattr(Member, "_take_step", watched)
        whole = {"out": tmp_path / "whole", "backbone": str(tiny_encoder), "device": "cpu"}
        run_training(files, settings, threads=1, **whole)  # type: ignore[arg-type]
    killed = command(kill_at=10)
    resumed = command()

    assert [-signal.SIGKILL, 0] == [killed.returncode, resumed.returncode]
    assert "step 8 of" in " ".join(resumed.stderr.split())
    assert curve == killed.stdout.splitlines()[:8] + resumed.stdout.splitlines()
    file = "adapters.safetensors"
    assert (tmp_path / "whole" / file).read_bytes() == (tmp_path / "killed" / file).read_bytes()
    assert not (tmp_path / "killed" / checkpoint.FOLDER).exists()


def test_a_checkpoint_of_another_recipe_or_other_data_is_refused_and_fresh_starts_anew(
    files: Files, tiny_encoder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = {**SETTINGS, "epochs": 1}
    options = {"out": tmp_path / "m", "backbone": str(tiny_encoder)}

    def killed(*_: object, **__: object) -> None:
        raise KilledError

    with monkeypatch.context() as patch:
        patch.setattr("models.training.session.publish", killed)
        with pytest.raises(KilledError):
            run_training(files, settings, **options)  # type: ignore[arg-type]
    more = tmp_path / "more.csv"
    more.write_text(files.training["topic"].read_text("utf-8") + "A new text,Macro\n", "utf-8")
    other = replace(files, training={**files.training, "topic": more})

    with pytest.raises(ModelError, match=r"other hyper-parameter alpha.*--fresh"):
        run_training(files, {**settings, "alpha": 3.0}, **options)  # type: ignore[arg-type]
    with pytest.raises(ModelError, match=r"other .*data.*--fresh"):
        run_training(other, settings, **options)  # type: ignore[arg-type]
    run_training(other, settings, fresh=True, **options)  # type: ignore[arg-type]

    assert not (tmp_path / "m" / checkpoint.FOLDER).exists()


def test_a_damaged_checkpoint_is_one_clear_error(tmp_path: Path) -> None:
    keeper = Keeper(tmp_path, {})
    keeper.save({"step": 1})
    (tmp_path / "state.pt").write_bytes((tmp_path / "state.pt").read_bytes()[:100])

    with pytest.raises(ModelError, match="--fresh"):
        keeper.load()


def test_a_full_disk_leaves_the_older_checkpoint_whole(tmp_path: Path) -> None:
    keeper = Keeper(tmp_path, {})
    keeper.save({"step": 1})
    # A device that is always full stands where the new state is to be written.
    (tmp_path / "state.pt.part").symlink_to("/dev/full")

    with pytest.raises(ModelError, match=r"No space left.*older one is whole; free space"):
        keeper.save({"step": 2, "parameters": torch.zeros(100_000)})

    assert {"step": 1} == keeper.load()


def test_a_disk_that_fills_before_the_state_is_synced_leaves_the_older_checkpoint_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    keeper = Keeper(tmp_path, {})
    keeper.save({"step": 1})

    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(ModelError, match="No space left"):
        keeper.save({"step": 2})

    assert {"step": 1} == keeper.load()
    assert ["state.pt"] == [path.name for path in tmp_path.iterdir()]


def test_the_verdicts_of_teachers_are_kept_with_the_checkpoint(tmp_path: Path) -> None:
    keeper = Keeper(tmp_path, {"teachers": "a"})
    kept = {"sentiment": torch.rand(2, 3).numpy(), "topic": torch.rand(2, 20).numpy()}

    keeper.save_verdicts(kept)  # type: ignore[arg-type]

    found = keeper.load_verdicts()
    assert found is not None
    assert all((found[task] == kept[task]).all() for task in found)
    with pytest.raises(ModelError, match="other teachers"):
        Keeper(tmp_path, {"teachers": "b"}).load_verdicts()
