"""Inference: texts to token ids, token ids to calibrated probabilities.

A `Predictor` belongs to one thread: torch's thread count is global to the process, and two
threads inside one forward pass starve each other. `encode` may run in a second thread beside
`predict` (the tokeniser is immutable after loading).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np
import numpy.typing as npt
import torch

from models import manifest as manifests
from models.backbone import encode, find, load_tokenizer, specials_around
from models.device import choose_device, choose_dtype
from models.errors import ModelError
from models.labels import LABELS, Task
from models.manifest import Manifest, Windows
from models.network import Network, pad, sorted_batches
from models.quantised import quantise
from models.softmax import scaled
from models.weights import assemble, read
from models.windows import Reader, judge

if TYPE_CHECKING:
    from tokenizers import Tokenizer

PAD_MULTIPLE: Final = 16
"""Rows are padded to a multiple of this many tokens. oneDNN compiles and keeps a kernel for each
shape that it meets: with free lengths the resident memory grew by 180 MB over 10,000 texts, with
multiples of 16 it stays where it is, and the throughput is a third higher."""

BUDGET: Final = 4_096
"""Tokens of a forward pass, padding included, unless the caller says otherwise."""

DEFAULT: Final = Path(__file__).parent / "default"

Floats = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Probabilities:
    """Calibrated probabilities, float32, each row summing to 1, columns in label order."""

    sentiment: Floats  # [n, 3]
    topic: Floats  # [n, 20]


class Predictor:
    """The loaded model. Not safe for concurrent `predict`; see the module's text."""

    def __init__(
        self,
        network: Network,
        tokenizer: "Tokenizer",
        manifest: Manifest,
        *,
        device: str,
        dtype: torch.dtype,
    ) -> None:
        self.manifest = manifest
        self.version = manifest.version
        self.max_length = manifest.max_length
        self.capped_texts = 0  # texts so far that were too long to be read to their end
        self.device = device
        self.dtype = dtype
        self._network = network
        self._tokenizer = tokenizer
        self._reader = reader_of(tokenizer, manifest.max_length, manifest.windows)

    @classmethod
    def load(
        cls,
        path: Path | None = None,
        *,
        device: str = "auto",
        dtype: str = "auto",
        threads: int | None = None,
    ) -> "Predictor":
        """Load a model directory; `None` is the shipped one.

        Args:
            path: a folder written by `python -m models train`.
            device: auto, cpu or cuda.
            dtype: auto (bfloat16 where the hardware has it, else float32), float32 or bfloat16;
                of the encoder, pooling and heads stay in float32.
            threads: of torch's kernels, for the whole process; `None` leaves them as they are.

        Raises:
            ModelError: the directory or its backbone cannot be used; says how to mend it.
        """
        directory = DEFAULT if path is None else path
        manifest = manifests.read(directory)
        backbone = find(manifest.backbone.name, directory)
        if backbone.sha256 != manifest.backbone.sha256:
            raise ModelError(
                f"{directory}: trained on a backbone {backbone.name} with SHA-256"
                f" {manifest.backbone.sha256}, here it is {backbone.sha256};"
                " install that version of the backbone or train again"
            )
        if backbone.tokenizer_sha256 != manifest.backbone.tokenizer_sha256:
            raise ModelError(
                f"{backbone.path / 'tokenizer.json'}: another tokeniser than the one that"
                f" {directory} was trained with; install that version of the backbone"
            )
        chosen = choose_device(device)
        kind = choose_dtype(dtype, chosen)
        if threads is not None:
            torch.set_num_threads(threads)
        weights = directory / manifest.weights
        network = assemble(backbone, read(weights), str(weights))
        if manifest.compression is not None and manifest.compression.precision == "int8":
            kind = torch.float32  # of what is not int8
            quantise(network.encoder)
        torch.nn.Module.to(network.encoder, dtype=kind)
        return cls(
            network.to(chosen),
            load_tokenizer(backbone),
            manifest,
            device=chosen,
            dtype=kind,
        )

    @property
    def network(self) -> Network:
        """Return the network, in evaluation mode and without gradients of its weights."""
        return self._network

    @property
    def tokenizer(self) -> "Tokenizer":
        """Return the tokeniser, which neither pads nor cuts."""
        return self._tokenizer

    @property
    def reader(self) -> Reader:
        """Return what cuts long rows into windows."""
        return self._reader

    def encode(self, texts: Sequence[str]) -> list[list[int]]:
        """Return each text's token ids: normalised, specials included, whole.

        A text of more tokens than all windows hold is cut there and counted in `capped_texts`.
        """
        rows = encode(self._tokenizer, texts)
        for index, row in enumerate(rows):
            if len(row) > self._reader.longest:
                rows[index] = self._reader.capped(row)
                self.capped_texts += 1
        return rows

    def logits(
        self, ids: Sequence[Sequence[int]], *, budget: int = BUDGET
    ) -> dict[Task, npt.NDArray[np.float64]]:
        """Return the raw logits of each head, [n, classes]: one row a text, whatever its length.

        A row longer than `max_length` is read in windows, whose logits are pooled. Forward passes
        hold at most `budget` tokens, padding included, unless one window alone holds more.

        Raises:
            ValueError: a row without tokens, or longer than what `encode` returns.
        """

        def forward(windows: list[list[int]]) -> dict[Task, npt.NDArray[np.float64]]:
            return sorted_batches(windows, budget, self._forward, PAD_MULTIPLE)

        return judge(ids, self._reader, self.manifest.windows.pooling, forward)

    def predict(self, ids: Sequence[Sequence[int]], *, budget: int = BUDGET) -> Probabilities:
        """Return the probabilities of exactly these rows; see `logits`.

        Cost grows with rows times the longest row: give rows of similar length.

        Raises:
            ValueError: a row without tokens, or longer than what `encode` returns.
        """
        logits = self.logits(ids, budget=budget)
        heads = self.manifest.heads
        return Probabilities(
            sentiment=scaled(logits["sentiment"], heads["sentiment"].temperature).astype(
                np.float32
            ),
            topic=scaled(logits["topic"], heads["topic"].temperature).astype(np.float32),
        )

    @torch.inference_mode()
    def _forward(self, rows: Sequence[Sequence[int]]) -> dict[Task, npt.NDArray[np.float64]]:
        batch = pad(rows, self._network.pad_id, self.device, PAD_MULTIPLE, self.max_length)
        found = self._network(*batch)
        return {task: found[task].double().cpu().numpy() for task in LABELS}


def reader_of(tokenizer: "Tokenizer", length: int, windows: Windows) -> Reader:
    """Return what cuts this tokeniser's rows into windows of `length` tokens."""
    before, after = specials_around(tokenizer)
    return Reader.fitting(length, windows.overlap, windows.limit, before=before, after=after)
