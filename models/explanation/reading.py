"""A text as the network reads it, and the log-odds of a class as a function of its embeddings."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import torch
from torch import Tensor, nn

from models.bert import Bert
from models.errors import ModelError
from models.explanation.align import Aligned, Word, aligned, words_of
from models.explanation.record import Baseline
from models.labels import LABELS, SENTIMENTS, Task
from models.network import pad
from models.predict import Predictor
from models.windows import LEAST, Pooling

if TYPE_CHECKING:
    from tokenizers import Tokenizer

_NEUTRAL: Final = SENTIMENTS.index("neutral")
_MASKS: Final = ("[MASK]", "<mask>")


@dataclass(frozen=True, slots=True)
class Reading:
    """A text's row of token ids, capped, and the words that its tokens belong to."""

    text: Aligned
    row: tuple[int, ...]
    words: tuple[Word, ...]  # those that have a token in the row
    tokens: tuple[tuple[int, ...], ...]  # places in the row, of each word


def read(predictor: Predictor, text: str) -> Reading:
    """Return the text as the predictor reads it.

    Raises:
        ModelError: no word is left of it.
    """
    found = aligned(text)
    encoded = predictor.tokenizer.encode(found.text)
    reader = predictor.reader
    row = reader.capped(encoded.ids)
    # Beyond it the capped row has its closing specials.
    end = len(row) - reader.after
    words = words_of(found.text)
    owner = [-1] * len(found.text)
    for index, word in enumerate(words):
        owner[word.start : word.end] = [index] * (word.end - word.start)
    tokens: list[list[int]] = [[] for _ in words]
    for place, (start, stop) in enumerate(encoded.offsets[:end]):
        # Byte-level tokens begin with the white space before their word.
        index = next((owner[i] for i in range(start, stop) if owner[i] >= 0), -1)
        if index >= 0 and place >= reader.before:
            tokens[index].append(place)
    read_words = [index for index, places in enumerate(tokens) if places]
    if not read_words:
        raise ModelError(
            f"nothing to explain: no word is left of {text[:60]!r} once links and control"
            " characters are dropped; give a text with words"
        )
    return Reading(
        text=found,
        row=tuple(row),
        words=tuple(words[index] for index in read_words),
        tokens=tuple(tuple(tokens[index]) for index in read_words),
    )


class LogOdds:
    """log(p / (1 - p)) of a class, calibrated, as a function of the word embeddings of one text.

    Long texts are a function of all their windows at once, the pooling of their logits included.
    The attention mask and the positions stay those of the text.
    """

    def __init__(self, predictor: Predictor, row: Sequence[int], task: Task, target: int) -> None:
        if predictor.dtype != torch.float32:
            raise ModelError(
                "explanations need a model in float32: gradients in 16 bits do not add up;"
                " load it with dtype float32"
            )
        cuts = predictor.reader.cut(range(len(row)))
        self.places = cuts  # of the row, for each token of each window
        self._network = predictor.network
        self._ids, self._mask = pad(
            [[row[place] for place in cut] for cut in cuts],
            predictor.network.pad_id,
            predictor.device,
        )
        self._task, self._target = task, target
        self._temperature = predictor.manifest.heads[task].temperature
        self._pooling = predictor.manifest.windows.pooling
        self._words = word_embeddings(predictor.network.encoder)
        reader = predictor.reader
        ends = {*range(reader.before), *range(len(row) - reader.after, len(row))}
        self._fixed = torch.ones(self._ids.shape, dtype=torch.bool, device=self._ids.device)
        for window, cut in enumerate(cuts):
            for column, place in enumerate(cut):
                self._fixed[window, column] = place in ends

    @property
    def tokens(self) -> int:
        """Return the tokens of all windows, padding included."""
        return int(self._ids.numel())

    def embeddings(self) -> Tensor:
        """Return the text's word embeddings, float32 [1, windows, length, hidden]."""
        with torch.no_grad():
            found: Tensor = self._words(self._ids)
        return found.unsqueeze(0)

    def baseline(self, replacement: int) -> Tensor:
        """Return the same with this token in place of each, but for specials and padding."""
        ids = torch.where(self._fixed, self._ids, torch.full_like(self._ids, replacement))
        with torch.no_grad():
            found: Tensor = self._words(ids)
        return found.unsqueeze(0)

    def __call__(self, embeddings: Tensor) -> Tensor:
        """Return the log-odds of each reading: [n, windows, length, hidden] -> [n]."""
        n, windows, length, hidden = embeddings.shape
        ids, mask = (x.repeat(n, 1) for x in (self._ids, self._mask))
        with _given(self._words, embeddings.reshape(n * windows, length, hidden)):
            logits = self._network(ids, mask)[self._task]
        logits = (
            pooled(logits.view(n, windows, -1), self._mask.sum(1), self._task, self._pooling)
            / self._temperature
        )
        others = [i for i in range(len(LABELS[self._task])) if i != self._target]
        odds: Tensor = logits[:, self._target] - logits[:, others].logsumexp(1)
        return odds


def pooled(logits: Tensor, tokens: Tensor, task: Task, pooling: Pooling) -> Tensor:
    """Return `models.windows.pool` with gradients: [n, windows, classes] -> [n, classes]."""
    weights = tokens.to(logits.dtype).expand(logits.shape[:2])
    if pooling == "salient":
        shares = logits.softmax(2)
        telling = 1 - shares[..., _NEUTRAL] if task == "sentiment" else shares.amax(2)
        weights = weights * telling.clamp_min(LEAST)
    return (weights.unsqueeze(2) * logits).sum(1) / weights.sum(1, keepdim=True)


def word_embeddings(encoder: nn.Module) -> nn.Module:
    """Return the module that turns token ids into embeddings."""
    if isinstance(encoder, Bert):
        return encoder.embeddings.word_embeddings
    found: nn.Module = encoder.get_input_embeddings()  # type: ignore[operator]
    return found


def replacement_of(tokenizer: "Tokenizer", pad_id: int, baseline: Baseline) -> int:
    """Return the token that stands for no word.

    Raises:
        ModelError: this tokeniser has none.
    """
    if baseline == "pad":
        return pad_id
    for name in _MASKS:
        found = tokenizer.token_to_id(name)
        if found is not None:
            return int(found)
    raise ModelError(f"baseline mask: this tokeniser has no {' or '.join(_MASKS)}; take pad")


@contextmanager
def _given(module: nn.Module, output: Tensor) -> Iterator[None]:
    """Make the module return this, whatever its input."""
    handle = module.register_forward_hook(lambda *_: output)
    try:
        yield
    finally:
        handle.remove()
