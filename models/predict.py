"""Inference: texts to token ids, token ids to calibrated probabilities.

A `Predictor` belongs to one thread: torch's thread count is global to the process, and two
threads inside one forward pass starve each other. `encode` may run in a second thread beside
`predict` and `begin` (the tokeniser is immutable after loading).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Final, TypeVar

import numpy as np
import numpy.typing as npt
import torch

from models import backbone as backbones
from models import manifest as manifests
from models.backbone import find, load_tokenizer, specials_around
from models.device import choose_device, choose_dtype, has_native_int8
from models.errors import ModelError
from models.labels import LABELS, Task
from models.manifest import Manifest, Windows
from models.network import Network
from models.packed.forward import Forward, PaddedForward, Pending
from models.packed.load import Packing, packed_forward
from models.packed.logits import Logits
from models.quantised import quantise
from models.softmax import scaled
from models.spans import decode
from models.spans import encoded as encodings
from models.spans.encoded import Encoded
from models.spans.verdicts import TokenVerdicts
from models.weights import assemble, read
from models.windows import Reader, pool_all

if TYPE_CHECKING:
    from tokenizers import Tokenizer


PAD_MULTIPLE: Final = 16
"""Rows are padded to a multiple of this many tokens. oneDNN compiles and keeps a kernel for each
shape that it meets: with free lengths the resident memory grew by 180 MB over 10,000 texts, with
multiples of 16 it stays where it is, and the throughput is a third higher."""

BUDGET: Final = 2_048
"""Tokens of a forward pass on a CPU, padding included where there is any; on CUDA see below."""

CUDA_BUDGET: Final = 32_768

DEFAULT: Final = Path(__file__).parent / "default"

Floats = npt.NDArray[np.float32]
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Probabilities:
    """Calibrated probabilities, float32, each row summing to 1, columns in label order."""

    sentiment: Floats  # [n, 3]
    topic: Floats  # [n, 20]
    tokens: TokenVerdicts | None = None
    """What a head over tokens says of them; of rows by `Predictor.encode`, not of bare ids."""


class Begun:
    """Texts whose passes are under way."""

    def __init__(
        self,
        pending: Pending,
        cuts: Sequence[Sequence[Sequence[int]]] | None,
        told: Sequence[Encoded] | None,
        reader: Reader,
        manifest: Manifest,
    ) -> None:
        """`cuts`: the windows of each text; None where each text is one.

        `told`: the rows, where the head over tokens was told how their words are written.
        """
        self._pending = pending
        self._cuts = cuts
        self._told = told
        self._reader = reader
        self._manifest = manifest

    def logits(self) -> dict[Task, npt.NDArray[np.float64]]:
        """Wait and return the raw logits of each sentence head, [n, classes]."""
        found, heads, first = self._found.rows, {}, 0
        for task, names in LABELS.items():
            heads[task] = found[:, first : first + len(names)]
            first += len(names)
        if self._cuts is None:
            return heads
        return pool_all(heads, self._cuts, self._manifest.windows.pooling)

    def token_logits(self) -> Floats | None:
        """Wait and return the raw logits of the head over tokens, [T, COLUMNS], text after text.

        A token that several windows hold has those of one; see `models.windows.Reader.deepest`.
        None where there is no such head, or rows came without shapes.
        """
        tokens = self._found.tokens
        if tokens is None or self._cuts is None or self._told is None:
            return tokens
        places, first = [], 0
        for row, cut in zip(self._told, self._cuts, strict=True):
            places.append(first + self._reader.deepest(len(row)))
            first += sum(map(len, cut))
        return tokens[np.concatenate(places)]

    def result(self) -> Probabilities:
        """Wait and return the calibrated probabilities."""
        logits, heads = self.logits(), self._manifest.heads

        def shares(task: Task) -> Floats:
            return scaled(logits[task], heads[task].temperature).astype(np.float32)

        return Probabilities(shares("sentiment"), shares("topic"), self._tokens())

    @cached_property
    def _found(self) -> Logits:
        return self._pending()

    def _tokens(self) -> TokenVerdicts | None:
        logits, rows = self.token_logits(), self._told
        if logits is None or rows is None:
            return None
        record = self._manifest.spans
        return decode.verdicts(
            logits,
            np.concatenate([row.data for row in rows], axis=1),
            np.fromiter(map(len, rows), np.int64, len(rows)),
            1.0 if record is None else record.temperature,
            1.0 if record is None else record.tag_temperature,
        )


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
        packing: Packing = "auto",
    ) -> None:
        self.manifest = manifest
        self.version = manifest.version
        self.max_length = manifest.max_length
        self.capped_texts = 0  # texts so far that were too long to be read to their end
        self.device = device
        self.dtype = dtype
        self._network = network
        self._tokenizer = tokenizer
        self._tells_tokens = network.spans is not None
        self._reader = reader_of(tokenizer, manifest.max_length, manifest.windows)
        padded = PaddedForward(network, device, PAD_MULTIPLE, manifest.max_length)
        packed, self.unpacked_because = packed_forward(
            network, padded, device=device, limit=manifest.max_length, packing=packing
        )
        self._forward: Forward = packed or padded
        self.packed = packed is not None
        """Whether rows are read end to end; else `unpacked_because` says why they are padded."""
        self.budget = CUDA_BUDGET if device.startswith("cuda") else BUDGET
        """Tokens of a forward pass unless the caller says otherwise."""

    @classmethod
    def load(
        cls,
        path: Path | None = None,
        *,
        device: str = "auto",
        dtype: str = "auto",
        threads: int | None = None,
        packing: Packing = "auto",
    ) -> "Predictor":
        """Load a model directory; `None` is the shipped one.

        Args:
            path: a folder written by `python -m models train`.
            device: auto, cpu, cuda or cuda:N.
            dtype: auto (bfloat16 where the hardware has it, else float32), float32 or bfloat16;
                of the encoder, pooling and heads stay in float32.
            threads: of torch's kernels, for the whole process; `None` leaves them as they are.
            packing: auto (rows end to end where that gives what padding gives, which is tried),
                eager (the same without CUDA graphs), or off (always padded).

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
        tokenizer = load_tokenizer(backbone)
        nearby = network.spans is not None and network.spans.names is not None
        if nearby and not all(specials_around(tokenizer)):
            raise ModelError(
                f"{directory}: reads names from neighbouring tokens, for which the tokeniser must"
                f" put special ones at both ends of a text; that of {backbone.name} does not, so"
                " choose another backbone"
            )
        if manifest.spans is not None and network.spans is None:
            raise ModelError(
                f"{weights}: has no head over tokens, of which the manifest tells; train again"
            )
        if manifest.compression is not None and manifest.compression.precision == "int8":
            kind = torch.float32  # of what is not int8
            quantise(network.encoder, integers=has_native_int8(chosen))
        torch.nn.Module.to(network.encoder, dtype=kind)
        return cls(
            network.to(chosen),
            tokenizer,
            manifest,
            device=chosen,
            dtype=kind,
            packing=packing,
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

    def encode(self, texts: Sequence[str]) -> Sequence[Sequence[int]]:
        """Return each text's token ids: normalised, specials included, whole.

        A text of more tokens than all windows hold is cut there and counted in `capped_texts`.
        Where the model has a head over tokens, the rows know their tokens' places and shapes too.
        """
        longest = self._reader.longest
        if self._tells_tokens:
            told = encodings.encode(self._tokenizer, texts)
            for index, row in enumerate(told):
                if len(row) > longest:
                    told[index] = row.take(np.array(self._reader.capped(range(len(row)))))
                    self.capped_texts += 1
            return told
        rows = backbones.encode(self._tokenizer, texts)
        for index, ids in enumerate(rows):
            if len(ids) > longest:
                rows[index] = self._reader.capped(ids)
                self.capped_texts += 1
        return rows

    def cost(self, row: Sequence[int]) -> int:
        """Return the tokens that the encoder reads for a row: those of all its windows.

        Raises:
            ValueError: a row without tokens, or longer than what `encode` returns.
        """
        return self._reader.cost(len(row))

    def begin(self, ids: Sequence[Sequence[int]], *, budget: int | None = None) -> Begun:
        """Begin to judge exactly these rows; on a CPU that is all of the work.

        A row longer than `max_length` is read in windows, whose logits are pooled. Forward passes
        hold at most `budget` tokens, unless one window alone holds more. On CUDA the result is to
        be taken by the thread that began, and the order of taking is free.

        Raises:
            ValueError: a row without tokens, or longer than what `encode` returns.
        """
        tokens = self.budget if budget is None else budget
        whole = all(0 < len(row) <= self._reader.length for row in ids)
        told = encodings.told(ids) if self._tells_tokens else None
        if told is None:
            cuts = None if whole else [self._reader.cut(row) for row in ids]
            pending = self._forward.begin(ids if cuts is None else _joined(cuts), tokens)
            return Begun(pending, cuts, None, self._reader, self.manifest)
        parts = None if whole else [self._cut(row) for row in told]
        rows = told if parts is None else _joined(parts)
        pending = self._forward.begin(
            [row.ids for row in rows], tokens, [row.shapes for row in rows]
        )
        return Begun(pending, parts, told, self._reader, self.manifest)

    def logits(
        self, ids: Sequence[Sequence[int]], *, budget: int | None = None
    ) -> dict[Task, npt.NDArray[np.float64]]:
        """Return the raw logits of each head, [n, classes]: one row a text; see `begin`.

        Raises:
            ValueError: a row without tokens, or longer than what `encode` returns.
        """
        return self.begin(ids, budget=budget).logits()

    def predict(self, ids: Sequence[Sequence[int]], *, budget: int | None = None) -> Probabilities:
        """Return the calibrated probabilities of exactly these rows; see `begin`.

        Raises:
            ValueError: a row without tokens, or longer than what `encode` returns.
        """
        return self.begin(ids, budget=budget).result()

    def _cut(self, row: Encoded) -> list[Encoded]:
        return [row.take(places) for places in self._reader.places(len(row))]


def _joined(parts: Sequence[Sequence[T]]) -> list[T]:
    return [window for part in parts for window in part]


def reader_of(tokenizer: "Tokenizer", length: int, windows: Windows) -> Reader:
    """Return what cuts this tokeniser's rows into windows of `length` tokens."""
    before, after = specials_around(tokenizer)
    return Reader.fitting(length, windows.overlap, windows.limit, before=before, after=after)
