"""A device and a scorer without a model: for tests, and to measure everything but the model."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from models.spans.verdicts import KINDS, Kind
from models.text import normalise
from monitor.errors import ScoringError
from monitor.events import SENTIMENTS, TOPICS
from monitor.score.base import Pending, Probabilities, Row, TokenVerdicts, Verdicts

Judge = Callable[[str], tuple[int, int]]
"""A text's (sentiment index, topic index)."""


_SURE: Final = 30.0
"""A logit whose probability is 1 in float32."""


class Named(NamedTuple):
    """A name that a script finds in a text, and the index of the sentiment towards it."""

    start: int
    end: int
    type: Kind
    sentiment: int


Names = Callable[[str], Sequence[Named]]
"""The names in a text, in its order; characters are those of the normalised text."""


@dataclass(frozen=True, slots=True)
class _Found:
    sentiment: NDArray[np.float32]
    topic: NDArray[np.float32]
    tokens: TokenVerdicts | None


def scripted_tokens(texts: Sequence[str], names: Names) -> TokenVerdicts:
    """Tokens of one character each: certain of the names and the sentiment, neutral elsewhere."""
    lengths = [len(normalise(text)) for text in texts]
    offsets = np.cumsum([0, *lengths])
    starts = np.concatenate(
        [np.zeros(0, np.int32), *(np.arange(n, dtype=np.int32) for n in lengths)]
    )
    tags = np.zeros(len(starts), np.int8)
    sentiment = np.zeros((len(starts), len(SENTIMENTS)), np.float32)
    for first, text in zip(offsets.tolist(), texts, strict=False):
        for name in names(text):
            part = slice(first + name.start, first + name.end)
            tags[part] = 2 * KINDS.index(name.type) + 2
            tags[first + name.start] -= 1
            sentiment[part, name.sentiment] = _SURE
    sentiment[:, SENTIMENTS.index("neutral")] += _SURE * (tags == 0)
    scores = np.ones(len(starts), np.float32)
    return TokenVerdicts(offsets, starts, starts + np.int32(1), tags, scores, sentiment)


def _certain(texts: Sequence[str], marks: Sequence[tuple[int, int]], names: Names | None) -> _Found:
    """Probabilities that are certain of these (sentiment, topic) pairs, and of the names."""
    found = _Found(
        np.zeros((len(marks), len(SENTIMENTS)), np.float32),
        np.zeros((len(marks), len(TOPICS)), np.float32),
        None if names is None else scripted_tokens(texts, names),
    )
    each = np.arange(len(marks))
    sentiment, topic = np.array(marks, np.intp).reshape(-1, 2).T
    found.sentiment[each, sentiment] = 1.0
    found.topic[each, topic] = 1.0
    return found


@dataclass(frozen=True, slots=True)
class _Begun:
    device: MemoryDevice
    rows: Sequence[Row]

    def result(self) -> Probabilities:
        return self.device.finish(self)


class MemoryDevice:
    """A scripted `Device`: tokens are characters, and ``judge`` is certain of its verdicts.

    With ``names`` it has a head over tokens, which is certain of these.
    A micro-batch with a text of ``bad_texts`` raises, one with a text of ``nan_texts`` gives NaN
    for it. ``die_at(n)`` lets everything fail from the n-th forward pass on, counted from 1;
    ``crash`` is raised by the next one, whatever it is; ``blind_tokeniser`` makes `encode` fail.
    ``calls`` holds the texts of each forward pass.
    """

    def __init__(
        self,
        judge: Judge = lambda _text: (1, 0),
        *,
        names: Names | None = None,
        bad_texts: frozenset[str] = frozenset(),
        nan_texts: frozenset[str] = frozenset(),
        longest: int = 100_000,
        model_version: str = "memory-1",
        name: str = "cpu",
        packed: bool = False,
        in_flight: int = 1,
    ) -> None:
        """A text of more than ``longest`` characters is cut there and counted."""
        self._judge = judge
        self._names = names
        self._bad = bad_texts
        self._nan = nan_texts
        self._longest = longest
        self._version = model_version
        self._name = name
        self._packed = packed
        self._in_flight = in_flight
        self._death: int | None = None
        self._open: deque[_Begun] = deque()
        self._capped = 0
        self._closed = False
        self.crash: BaseException | None = None
        self.blind_tokeniser: BaseException | None = None
        self.calls: list[list[str]] = []

    @property
    def model_version(self) -> str:
        return self._version

    @property
    def name(self) -> str:
        return self._name

    @property
    def packed(self) -> bool:
        return self._packed

    @property
    def in_flight(self) -> int:
        return self._in_flight

    @property
    def capped_texts(self) -> int:
        return self._capped

    def die_at(self, call: int) -> None:
        """Fail from this forward pass on."""
        self._death = call

    def encode(self, texts: Sequence[str]) -> list[Row]:
        if self.blind_tokeniser is not None:
            raise self.blind_tokeniser
        self._capped += sum(len(text) > self._longest for text in texts)
        return [[0, *map(ord, text[: self._longest]), 0] for text in texts]

    def cost(self, row: Row) -> int:
        return len(row)

    def begin(self, rows: Sequence[Row]) -> Pending:
        if self._closed:
            raise ScoringError(f"the model {self._version} has been closed; load it again")
        if len(self._open) == self._in_flight:
            raise RuntimeError(f"{self._in_flight} forward passes are under way already")
        pending = _Begun(self, rows)
        self._open.append(pending)
        return pending

    def finish(self, pending: _Begun) -> Probabilities:
        """The result of the oldest forward pass that was begun."""
        if self._open.popleft() is not pending:
            raise RuntimeError("an older forward pass has not been finished")
        texts = ["".join(map(chr, row[1:-1])) for row in pending.rows]
        self.calls.append(texts)
        if self.crash is not None:
            crash, self.crash = self.crash, None
            raise crash
        if self._death is not None and len(self.calls) >= self._death:
            raise RuntimeError("device-side assert triggered")
        if self._bad.intersection(texts):
            raise ValueError("cannot embed this")
        found = _certain(texts, [self._judge(text) for text in texts], self._names)
        found.sentiment[[text in self._nan for text in texts]] = np.nan
        return found

    def close(self) -> None:
        self._closed = True


class _Ticket:
    """Verdicts that are there at once, or once `MemoryScorer.release` says so."""

    def __init__(self, judge: Callable[[], Verdicts], done: bool) -> None:
        self._judge = judge
        self._done = done

    @property
    def done(self) -> bool:
        return self._done

    def release(self) -> None:
        self._done = True

    def wait(self, timeout: float) -> bool:  # noqa: ARG002  nothing to wait for
        return self._done

    def result(self, timeout: float | None = None) -> Verdicts:
        if not self._done:
            raise TimeoutError(f"held; it was not released within {timeout} s")
        return self._judge()


class MemoryScorer:
    """A scripted `Scorer` without threads: tickets are done at once, unless they are held.

    While ``hold`` is set they wait for `release`; ``room`` says how many may be open, and `submit`
    answers None beyond. ``dead`` makes everything fail. With ``names`` its model has a head over
    tokens.
    """

    def __init__(
        self,
        judge: Judge = lambda _text: (1, 0),
        bad_texts: frozenset[str] = frozenset(),
        model_version: str = "memory-1",
        names: Names | None = None,
    ) -> None:
        self._judge = judge
        self._bad = bad_texts
        self._names = names
        self._model_version = model_version
        self._held: deque[_Ticket] = deque()
        self.judged = 0
        self.closed = False
        self.dead = False
        self.hold = False
        self.room: int | None = None

    @property
    def model_version(self) -> str:
        return self._model_version

    @property
    def fault(self) -> str | None:
        return "scripted to be dead" if self.dead else None

    @property
    def held(self) -> int:
        """Tickets that wait for `release`."""
        return len(self._held)

    def submit(self, texts: Sequence[str]) -> _Ticket | None:
        self._require_alive()
        if self.room is not None and len(self._held) >= self.room:
            return None
        if not self.hold:
            verdicts = self._verdicts(texts)
            return _Ticket(lambda: verdicts, done=True)
        ticket = _Ticket(lambda: self._verdicts(texts), done=False)
        self._held.append(ticket)
        return ticket

    def release(self, count: int | None = None) -> None:
        """Let the oldest ``count`` of the held tickets be done; None: all."""
        for _ in range(len(self._held) if count is None else count):
            self._held.popleft().release()

    def forget(self) -> None:
        self._held.clear()

    def score(self, texts: Sequence[str]) -> Verdicts:
        self._require_alive()
        return self._verdicts(texts)

    def warmup(self) -> None:
        """Nothing to warm up."""

    def close(self) -> None:
        self.closed = True

    def _require_alive(self) -> None:
        if self.dead:
            raise ScoringError("the scorer was scripted to be dead; set dead = False")

    def _verdicts(self, texts: Sequence[str]) -> Verdicts:
        self._require_alive()
        failed = np.array([text in self._bad for text in texts], np.bool_)
        marks = [(0, 0) if text in self._bad else self._judge(text) for text in texts]
        found = _certain(texts, marks, None)
        found.sentiment[failed] = found.topic[failed] = np.nan
        errors = tuple("scripted to fail" for _ in range(int(failed.sum())))
        self.judged += len(texts)
        tokens = None
        sound = np.flatnonzero(~failed).tolist()
        if self._names is not None and sound:
            part = scripted_tokens([texts[i] for i in sound], self._names)
            tokens = TokenVerdicts.gathered(len(texts), [(sound, range(len(sound)), part)])
        return Verdicts(found.sentiment, found.topic, failed, errors, self._model_version, tokens)
