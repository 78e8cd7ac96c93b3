"""The network: an encoder, how words are written, one linear head over words."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np
import torch
from torch import Tensor, nn

from models.network import Headed, on, pad
from models.tokens.shapes import ALPHABET, CHARACTERS, FEATURES, characters_of
from models.tokens.tags import TAGS
from models.tokens.windows import Tokens, Window

if TYPE_CHECKING:
    from transformers import PreTrainedModel

    from models.bert import Bert

_FEATURE_SIZE: Final = 16
_CHARACTER_SIZE: Final = 24
_FILTERS: Final = 96


@dataclass(frozen=True, slots=True)
class Batch:
    """Rows of one forward pass."""

    ids: Tensor  # int64 [n, length]
    mask: Tensor  # int64 [n, length]
    features: Tensor  # int64 [n, length, len(FEATURES)]
    words: Tensor  # int64 [n, length], row of `characters`; 0 is no word
    characters: Tensor  # int64 [distinct words + 1, CHARACTERS]
    firsts: Tensor  # int64 [judged words], place in n * length where each begins


def collate(
    rows: Sequence[tuple[Tokens, Window]], pad_id: int, device: str = "cpu", multiple: int = 1
) -> Batch:
    """Return the batch of rows, padded on the right to a multiple of this many sub-tokens."""
    ids, mask = pad([row.ids for _, row in rows], pad_id, "cpu", multiple)
    n, length = ids.shape
    features = np.zeros((n, length, len(FEATURES)), dtype=np.int64)
    words = np.zeros((n, length), dtype=np.int64)
    known: dict[str, int] = {}
    for number, (tokens, row) in enumerate(rows):
        features[number, : len(row.ids)] = row.features
        words[number, : len(row.ids)] = [
            known.setdefault(tokens.words[word], len(known) + 1) if word >= 0 else 0
            for word in row.words
        ]
    characters = np.zeros((len(known) + 1, CHARACTERS), dtype=np.int64)
    for word, number in known.items():
        characters[number] = characters_of(word)
    firsts = np.concatenate([number * length + row.firsts for number, (_, row) in enumerate(rows)])
    return Batch(
        on(device, ids),
        on(device, mask),
        on(device, torch.from_numpy(features)),
        on(device, torch.from_numpy(words)),
        on(device, torch.from_numpy(characters)),
        on(device, torch.from_numpy(firsts)),
    )


class Writing(nn.Module):
    """How each sub-token's word is written, as a vector [n, length, size].

    Tables of the features, and filters over characters with the maximum over the word. Source of
    the latter: Ma & Hovy 2016, "End-to-end Sequence Labeling via Bi-directional LSTM-CNNs-CRF",
    section 2.1.
    """

    size: Final = _FEATURE_SIZE * len(FEATURES) + _FILTERS

    def __init__(self, dropout: float) -> None:
        super().__init__()
        tables = [nn.Embedding(n, _FEATURE_SIZE) for n in FEATURES.values()]
        for table in tables:  # small against what the encoder reads, as are the filters' values
            nn.init.normal_(table.weight, std=0.2)
        self.tables = nn.ModuleList(tables)
        self.characters = nn.Embedding(ALPHABET, _CHARACTER_SIZE, padding_idx=0)
        self.filters = nn.Conv1d(_CHARACTER_SIZE, _FILTERS, 3, padding=1)
        self.dropout = nn.Dropout(dropout)

    def forward(self, batch: Batch) -> Tensor:
        """Return the vectors of a batch's sub-tokens."""
        letters = self.dropout(self.characters(batch.characters)).transpose(1, 2)
        found = self.filters(letters).amax(2)
        spelt = found[batch.words] * (batch.words > 0).unsqueeze(-1)
        tables = [table(batch.features[..., i]) for i, table in enumerate(self.tables)]
        return torch.cat([*tables, spelt], dim=-1)


class TokenNetwork(Headed):
    """Encoder over sub-tokens; a word's tag is read where its first sub-token stands.

    How words are written goes in twice: added to the word embeddings (`before`) and beside the
    last states (`after`). Without `before` the encoder's pass is that of any other task on it.
    """

    def __init__(
        self,
        encoder: "PreTrainedModel | Bert",
        *,
        before: bool = True,
        after: bool = True,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        self.encoder = encoder
        self.pad_id = int(encoder.config.pad_token_id or 0)
        hidden = int(encoder.config.hidden_size)
        self.dropout = nn.Dropout(dropout)
        self.heads = nn.ModuleDict(
            {"tags": nn.Linear(hidden + (Writing.size if after else 0), len(TAGS))}
        )
        if before or after:
            self.heads["writing"] = Writing(dropout)
        if before:
            into = nn.Linear(Writing.size, hidden)
            nn.init.zeros_(into.weight)  # the encoder starts on the inputs that it knows
            nn.init.zeros_(into.bias)
            self.heads["into"] = into
            _embeddings(encoder).register_forward_hook(self._add)
        self._after = after
        self._added: Tensor | None = None

    def forward(self, batch: Batch) -> Tensor:
        """Return the logits of the judged words, float32 [words, len(TAGS)]."""
        written = self.heads["writing"](batch) if "writing" in self.heads else None
        self._added = self.heads["into"](written) if "into" in self.heads else None
        states = self.encoder(input_ids=batch.ids, attention_mask=batch.mask).last_hidden_state
        self._added = None
        with torch.autocast(states.device.type, enabled=False):
            found = states.float().flatten(0, 1)[batch.firsts]
            if self._after and written is not None:
                found = torch.cat([found, written.float().flatten(0, 1)[batch.firsts]], dim=-1)
            logits: Tensor = self.heads["tags"](self.dropout(found))
        return logits

    def _add(self, _module: nn.Module, _inputs: object, output: Tensor) -> Tensor:
        return output if self._added is None else output + self._added.to(output.dtype)


def _embeddings(encoder: "PreTrainedModel | Bert") -> nn.Module:
    get = getattr(encoder, "get_input_embeddings", None)
    found: nn.Module = get() if get else encoder.get_submodule("embeddings.word_embeddings")
    return found
