"""Checkpoints: all that a run needs to go on after a kill as if nothing had happened."""

import hashlib
import json
import os
import shutil
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import torch

from models.backbone import Backbone
from models.errors import ModelError
from models.labels import TASKS, Task
from models.recipe import Recipe
from models.training.material import Material
from models.weights import Weights

FOLDER: Final = ".checkpoint"
_STATE: Final = "state.pt"
_VERDICTS: Final = "verdicts.pt"

State = dict[str, Any]
"""Tensors, numbers, texts, and lists and dicts of them: what torch loads without pickled code."""
Arrays = Mapping[Task, npt.NDArray[np.float32]]


class Keeper:
    """The checkpoint of one run: a folder with one state, replaced whole or not at all."""

    def __init__(
        self,
        folder: Path,
        run: Mapping[str, str],
        every: int = 500,
        *,
        tell: Callable[[str], None] = lambda _: None,
    ) -> None:
        """Keep the state of the run that `run` describes, part by part (`describe`).

        `every`: steps between two states; 0 leaves those at the ends of epochs. `tell` is told
        when a run goes on.
        """
        self.folder = folder
        self.tell = tell
        self._run = dict(run)
        self._every = every

    def is_due(self, step: int, *, epoch_ended: bool) -> bool:
        """Return whether a state is to be written after this step."""
        return epoch_ended or (self._every > 0 and step % self._every == 0)

    def save(self, state: State) -> None:
        """Replace the state; the older one stays whole until the new one is on the disk.

        Raises:
            ModelError: the disk is full or the folder cannot be written.
        """
        self._save(_STATE, state)

    def load(self) -> State | None:
        """Return the state to go on from, or None where there is none.

        Raises:
            ModelError: it is unreadable, or of a run on other data or with another recipe.
        """
        return self._load(_STATE)

    def save_verdicts(self, verdicts: Arrays) -> None:
        """Keep the teachers' verdicts: a run that goes on takes them as they were, to the bit.

        Raises:
            ModelError: as `save`.
        """
        self._save(_VERDICTS, {task: torch.from_numpy(v) for task, v in verdicts.items()})

    def load_verdicts(self) -> dict[Task, npt.NDArray[np.float32]] | None:
        """Return the kept verdicts, or None where there are none.

        Raises:
            ModelError: as `load`.
        """
        found = self._load(_VERDICTS)
        return None if found is None else {task: found[task].numpy() for task in TASKS}

    def remove(self) -> None:
        """Remove the checkpoint: the run is complete, or is to start anew."""
        shutil.rmtree(self.folder, ignore_errors=True)

    def _load(self, name: str) -> State | None:
        path = self.folder / name
        if not path.exists():
            return None
        try:
            found = torch.load(path, map_location="cpu", weights_only=True)
            run, state = found["run"], found["state"]
        except Exception as error:  # torch raises whatever a damaged file makes it meet
            raise ModelError(
                f"{path}: not a readable checkpoint ({error}); add --fresh to start anew"
            ) from error
        if run != self._run:
            names = sorted(n for n in run.keys() | self._run if run.get(n) != self._run.get(n))
            raise ModelError(
                f"{path}: of a run with other {', '.join(names)}; give the same again to go on"
                " with it, or add --fresh to start anew"
            )
        return dict(state)

    def _save(self, name: str, state: Mapping[str, Any]) -> None:
        part = self.folder / f"{name}.part"
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            with part.open("wb") as file:
                torch.save({"run": self._run, "state": dict(state)}, file)
                file.flush()
                os.fsync(file.fileno())
            part.replace(self.folder / name)
        # torch wraps a full disk into a RuntimeError of its own.
        except (OSError, RuntimeError) as error:
            part.unlink(missing_ok=True)
            kept = "the older one is whole; " if (self.folder / name).exists() else ""
            raise ModelError(
                f"{part}: the checkpoint cannot be written ({error}); {kept}free space and give"
                " the same command again"
            ) from error


def describe(
    material: Material, backbone: Backbone, recipe: Recipe, device: str, start: Weights | None
) -> dict[str, str]:
    """Return what must be the same for a run to go on, each part by name."""
    found = {f"hyper-parameter {k}": str(v) for k, v in recipe.model_dump(mode="json").items()}
    found["training data"] = digest(
        [json.dumps([material.texts, [int(o) for o in material.origins]]).encode()]
        + [material.labels[task].tobytes() for task in TASKS]
    )
    found["held-out data"] = digest(
        json.dumps([task, corpus.texts, corpus.labels.tolist()]).encode()
        for task, corpus in sorted(material.held_out.items())
    )
    found["backbone"] = backbone.sha256 + backbone.tokenizer_sha256
    found["device"] = device
    found["start"] = digest(
        name.encode() + tensor.cpu().numpy().tobytes()
        for name, tensor in sorted((start or {}).items())
    )
    return found


def digest(parts: Iterable[bytes]) -> str:
    """Return the SHA-256 of parts in their order, as hexadecimal."""
    found = hashlib.sha256()
    for part in parts:
        found.update(len(part).to_bytes(8, "little"))
        found.update(part)
    return found.hexdigest()
