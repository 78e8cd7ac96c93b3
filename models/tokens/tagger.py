"""Inference: sentences to tags, texts to entities."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from models import weights as weight_files
from models.backbone import find, load_tokenizer
from models.device import choose_device, choose_dtype
from models.errors import ModelError
from models.tokens import manifest as manifests
from models.tokens.decode import Floats
from models.tokens.infer import logits_of, tags_of
from models.tokens.manifest import TokenManifest
from models.tokens.network import TokenNetwork
from models.tokens.tags import TAGS, spans
from models.tokens.weights import assemble
from models.tokens.windows import Pieces, Tokens, prepare
from models.tokens.words import sentences_of

Words = Sequence[Sequence[str]]
"""The words of a document, sentence by sentence."""


@dataclass(frozen=True, slots=True)
class Entity:
    """An entity in a text: characters `start` to `end`, the latter excluded.

    `probability` is the mean over its words of the probability of the word's tag.
    """

    text: str
    type: str
    start: int
    end: int
    probability: float


class Tagger:
    """A loaded model; not safe for use by several threads at once."""

    def __init__(
        self, network: TokenNetwork, pieces: Pieces, manifest: TokenManifest, device: str
    ) -> None:
        self.manifest = manifest
        self.version = manifest.version
        self._network = network
        self._pieces = pieces
        self._device = device

    @classmethod
    def load(
        cls, path: Path, *, device: str = "auto", dtype: str = "auto", threads: int | None = None
    ) -> "Tagger":
        """Load a folder written by `python -m models tokens train`.

        Args:
            path: the folder.
            device: auto, cpu or cuda.
            dtype: of the encoder: auto, float32 or bfloat16.
            threads: of torch's kernels, for the whole process; `None` leaves them as they are.

        Raises:
            ModelError: the folder or its backbone cannot be used; says how to mend it.
        """
        manifest = manifests.read(path)
        if manifest.tags != TAGS:
            raise ModelError(f"{path}: has other tags than this program; train again")
        backbone = find(manifest.backbone.name)
        if backbone.sha256 != manifest.backbone.sha256:
            raise ModelError(
                f"{path}: trained on a backbone {backbone.name} with SHA-256"
                f" {manifest.backbone.sha256}, here it is {backbone.sha256};"
                " install that version of the backbone or train again"
            )
        chosen = choose_device(device)
        kind = choose_dtype(dtype, chosen)
        if threads is not None:
            torch.set_num_threads(threads)
        file = path / manifest.weights
        network = assemble(backbone, weight_files.read(file), str(file))
        torch.nn.Module.to(network.encoder, dtype=kind)
        return cls(network.to(chosen), Pieces(load_tokenizer(backbone)), manifest, chosen)

    def tag(self, documents: Sequence[Words]) -> list[list[tuple[str, ...]]]:
        """Return the tags of each document's sentences, IOB2, one for each word."""
        tokens = [prepare(document, self._pieces) for document in documents]
        found = iter(tags_of(tokens, self._logits(tokens)))
        return [[next(found) for _ in document] for document in documents]

    def entities(self, texts: Sequence[str]) -> list[list[Entity]]:
        """Return the entities of each text, in the order in which they stand there."""
        split = [sentences_of(text) for text in texts]
        documents = [[[word.text for word in s] for s in sentences] for sentences in split]
        number = {tag: i for i, tag in enumerate(TAGS)}
        tokens = [prepare(document, self._pieces) for document in documents]
        logits = self._logits(tokens)
        tags = iter(tags_of(tokens, logits))
        found: list[list[Entity]] = []
        for text, sentences, values in zip(texts, split, logits, strict=True):
            shares = np.exp(values - values.max(1, keepdims=True))
            shares /= shares.sum(1, keepdims=True)
            entities: list[Entity] = []
            before = 0
            for words in sentences:
                row = next(tags)
                for span in spans(row):
                    places = range(span.start, span.end)
                    start, end = words[span.start].start, words[span.end - 1].end
                    sure = float(np.mean([shares[before + w, number[row[w]]] for w in places]))
                    entities.append(Entity(text[start:end], span.type, start, end, sure))
                before += len(words)
            found.append(entities)
        return found

    def _logits(self, documents: Sequence[Tokens]) -> list[Floats]:
        length = self.manifest.recipe.max_length
        return logits_of(self._network, documents, self._pieces, length, self._device)
