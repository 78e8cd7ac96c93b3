"""The two protocols of scoring: the scorer that the pipeline sees, and the device beneath it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from models.spans.verdicts import TokenVerdicts as TokenVerdicts

Row = Sequence[int]
"""The token ids of one text; a device may give rows that know more, and wants those back."""

PROBE = "Shares were little changed."
"""A plain sentence that every model can judge: it tells a dead device from bad texts."""


@dataclass(frozen=True, slots=True)
class Verdicts:
    """Calibrated probabilities of n texts, in the order of the texts.

    ``sentiment`` float32 [n, 3], ``topic`` float32 [n, 20]; rows sum to 1. Where ``failed`` (bool
    [n]) is set the model could not judge that text (its row is NaN) and ``errors`` says why.
    """

    sentiment: NDArray[np.float32]
    topic: NDArray[np.float32]
    failed: NDArray[np.bool_]
    errors: tuple[str, ...]
    """One for each failed text, in order."""
    model_version: str
    tokens: TokenVerdicts | None = None
    """Names, and the sentiment towards them; a failed text has no tokens. None where the model has
    no head over tokens, or judged none of the texts."""


class Ticket(Protocol):
    """Texts that were submitted together. Tickets of one scorer are done in their order."""

    @property
    def done(self) -> bool:
        """Whether ``result`` answers, or raises, at once."""
        ...

    def wait(self, timeout: float) -> bool:
        """Block up to ``timeout`` seconds until it is done; whether it is."""
        ...

    def result(self, timeout: float | None = None) -> Verdicts:
        """The verdicts, waited for.

        Raises ``ScoringError`` when the scorer died or was closed, ``TimeoutError`` after
        ``timeout`` seconds.
        """
        ...


class Scorer(Protocol):
    """Judges texts beside its caller. Safe to call from any thread."""

    @property
    def model_version(self) -> str:
        """Name and hash of the weights."""
        ...

    @property
    def judged(self) -> int:
        """Texts judged so far; while tickets are open, that it stands still is no progress."""
        ...

    @property
    def fault(self) -> str | None:
        """What is wrong with it, for /readyz: it is dead, or one of its devices is."""
        ...

    def submit(self, texts: Sequence[str]) -> Ticket | None:
        """Take the texts in, or None: it is full, come again later. Does not block.

        A text that the model cannot judge is marked as failed; the others keep their verdicts.
        Raises ``ScoringError`` once the model as a whole is dead, or closed.
        """
        ...

    def forget(self) -> None:
        """Drop what is not judged yet: nobody wants it any more. Its tickets fail."""
        ...

    def score(self, texts: Sequence[str]) -> Verdicts:
        """Submit and wait: for tools. Raises ``ScoringError``."""
        ...

    def warmup(self) -> None:
        """Let every device judge one sentence, so that the first document does not pay for lazy
        initialisation. Raises ``ScoringError`` when one cannot."""
        ...

    def close(self) -> None:
        """Free the devices; open tickets fail. Idempotent."""
        ...


class Probabilities(Protocol):
    """What a forward pass gives: float32, each row summing to 1, columns in label order."""

    @property
    def sentiment(self) -> NDArray[np.float32]:
        """[n, 3]."""
        ...

    @property
    def topic(self) -> NDArray[np.float32]:
        """[n, 20]."""
        ...

    @property
    def tokens(self) -> TokenVerdicts | None:
        """Of the n texts, where the model has a head over tokens."""
        ...


class Pending(Protocol):
    """A forward pass that has been begun."""

    def result(self) -> Probabilities:
        """Wait for it. Raises whatever went wrong in it."""
        ...


class Device(Protocol):
    """One model on one piece of hardware.

    `begin` and `Pending.result` belong to one thread; `encode` and `cost` to another one beside it.
    """

    @property
    def model_version(self) -> str:
        """Name and hash of the weights."""
        ...

    @property
    def name(self) -> str:
        """Where it runs: ``cpu``, ``cuda:1``."""
        ...

    @property
    def packed(self) -> bool:
        """Whether rows are read without padding: what a forward pass costs is then the sum of its
        rows, and else the longest times their number."""
        ...

    @property
    def in_flight(self) -> int:
        """How many forward passes may be begun before the oldest one is finished."""
        ...

    @property
    def capped_texts(self) -> int:
        """Texts so far that were too long to be read to their end."""
        ...

    def encode(self, texts: Sequence[str]) -> list[Row]:
        """The token ids of each text, at least one; a text beyond the model's reach is cut."""
        ...

    def cost(self, row: Row) -> int:
        """Tokens that the forward pass reads for this row; a long one is read in windows that
        overlap."""
        ...

    def begin(self, rows: Sequence[Row]) -> Pending:
        """Start a forward pass over rows that `encode` gave.

        Both this and the result may raise any ``Exception``: the rows may be at fault, or the
        device. Results must be asked for in the order of the beginnings.
        """
        ...

    def close(self) -> None:
        """Free the weights; `begin` raises ``ScoringError`` from then on. Idempotent."""
        ...


class ScoringMetrics(Protocol):
    """Where an engine reports; called from its threads."""

    def micro_batch(self, texts: int, tokens: int, fill: float, waited: float) -> None:
        """A forward pass begins: ``tokens`` as computed (padding included), ``fill`` the share of
        the budget that they are, ``waited`` the seconds since its oldest text was submitted."""
        ...

    def waiting(self, tokens: int) -> None:
        """Tokens that wait for a device; estimated where they are not yet tokenised."""
        ...

    def capped(self, texts: int) -> None:
        """So many more texts were too long to be read to their end."""
        ...

    def device(self, name: str, up: bool) -> None:
        """A device can judge, or cannot any more."""
        ...

    def busy(self, name: str, seconds: float) -> None:
        """So much more time that the device spent with a forward pass under way."""
        ...


class NoMetrics:
    """Reports go nowhere."""

    def micro_batch(self, texts: int, tokens: int, fill: float, waited: float) -> None: ...

    def waiting(self, tokens: int) -> None: ...

    def capped(self, texts: int) -> None: ...

    def device(self, name: str, up: bool) -> None: ...

    def busy(self, name: str, seconds: float) -> None: ...
