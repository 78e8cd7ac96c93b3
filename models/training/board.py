"""TensorBoard: loss, learning rate and held-out scores as the training goes on."""

from pathlib import Path
from typing import TYPE_CHECKING

from models.errors import ModelError
from models.training.candidate import Progress

if TYPE_CHECKING:
    from torch.utils.tensorboard import SummaryWriter


class Board:
    """An observer that writes event files below a folder; None writes nothing."""

    def __init__(self, folder: Path | None) -> None:
        """Check the folder and the package before hours are spent on training.

        Raises:
            ModelError: the package is not installed or the folder cannot be made.
        """
        self._folder = folder
        self._writer: SummaryWriter | None = None
        if folder is None:
            return
        try:
            import torch.utils.tensorboard  # noqa: F401

            folder.mkdir(parents=True, exist_ok=True)
        except ImportError as error:
            raise ModelError(
                "--tensorboard: the package tensorboard is not installed;"
                " run: pip install 'monitor[train]'"
            ) from error
        except OSError as error:
            raise ModelError(
                f"{folder}: cannot be written ({error.strerror}); choose another --tensorboard"
            ) from error

    def __call__(self, progress: Progress) -> None:
        """Write what the step or the candidate brings."""
        if self._folder is None:
            return
        if self._writer is None:
            from torch.utils.tensorboard import SummaryWriter

            # A run that goes on from a checkpoint shows nothing twice.
            self._writer = SummaryWriter(str(self._folder), purge_step=progress.step)
        found = progress.candidate
        if found is None:
            self._add("training/loss", progress.loss, progress.step)
            self._add("training/learning rate", progress.learning_rate, progress.step)
            return
        for task, score in found.macro_f1.items():
            self._add(f"held-out macro-F1/{task}, {found.kind} weights", score, progress.step)
        self._add(f"held-out macro-F1/mean, {found.kind} weights", found.score, progress.step)

    def close(self) -> None:
        """Write what is buffered."""
        if self._writer is not None:
            self._writer.close()
            self._writer = None

    def _add(self, name: str, value: float, step: int) -> None:
        if self._writer is not None:
            self._writer.add_scalar(name, value, step)
