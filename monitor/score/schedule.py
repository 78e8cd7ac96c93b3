"""What waits, what goes next and what is done: the engine's books, without threads or clocks.

Texts are submitted together, tokenised in chunks, judged in micro-batches that mix submissions, and
given back in the order of the submissions.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Self

import numpy as np
from numpy.typing import NDArray

from monitor.errors import ScoringError
from monitor.events import SENTIMENTS, TOPICS
from monitor.score.base import Probabilities, Row, TokenVerdicts, Verdicts
from monitor.score.batch import Buffer, MicroBatch, Shape

QUEUE = 64
"""Micro-batches whose tokens may wait; then the scorer is full."""

_CHARACTERS = 4
"""Of a token, where a text is not yet tokenised. English has about five."""


@dataclass(frozen=True, slots=True)
class Batching:
    """How micro-batches are made."""

    tokens: int
    """Budget of a micro-batch, as its `Shape` counts the cost."""
    look_ahead: int
    """Texts among which those of like length are chosen."""
    max_wait: float
    """Seconds that a device waits for more while less than ``minimum_fill`` tokens wait."""
    minimum_fill: int

    @classmethod
    def suited(
        cls,
        device: str,
        packed: bool,
        *,
        tokens: int = 0,
        look_ahead: int = 0,
        max_wait: float = 0.0,
        minimum_fill: int = 0,
    ) -> Self:
        """What suits ``device`` (``cpu``, ``cuda:1``) where 0 is given; see docs/performance.md."""
        if device.startswith("cuda"):
            best = cls(32_768, 4_096, 0.002, 4_096)
        else:
            best = cls(2_048 if packed else 1_024, 512, 0.005, 256)
        return cls(
            tokens or best.tokens,
            look_ahead or best.look_ahead,
            max_wait or best.max_wait,
            minimum_fill or best.minimum_fill,
        )


@dataclass(eq=False, slots=True)
class Submission:
    """A `Ticket`: texts that were submitted together, filled in by the micro-batches."""

    count: int
    submitted: float
    """Monotonic seconds."""
    model_version: str
    left: int = field(init=False)
    sentiment: NDArray[np.float32] = field(init=False)
    topic: NDArray[np.float32] = field(init=False)
    tokens: list[tuple[list[int], list[int], TokenVerdicts]] = field(default_factory=list)
    """Parts, as `TokenVerdicts.gathered` takes them."""
    failures: dict[int, str] = field(default_factory=dict)
    error: ScoringError | None = None
    _finished: threading.Event = field(default_factory=threading.Event)

    def __post_init__(self) -> None:
        self.left = self.count
        self.sentiment = np.full((self.count, len(SENTIMENTS)), np.nan, np.float32)
        self.topic = np.full((self.count, len(TOPICS)), np.nan, np.float32)

    @property
    def done(self) -> bool:
        """See `monitor.score.base.Ticket.done`."""
        return self._finished.is_set()

    def wait(self, timeout: float) -> bool:
        """See `monitor.score.base.Ticket.wait`."""
        return self._finished.wait(timeout)

    def result(self, timeout: float | None = None) -> Verdicts:
        """See `monitor.score.base.Ticket.result`."""
        if not self._finished.wait(timeout):
            raise TimeoutError(f"{self.left} of {self.count} texts were not judged in {timeout} s")
        if self.error is not None:
            raise self.error
        failed = np.zeros(self.count, np.bool_)
        failed[list(self.failures)] = True
        errors = tuple(self.failures[i] for i in sorted(self.failures))
        tokens = TokenVerdicts.gathered(self.count, self.tokens) if self.tokens else None
        return Verdicts(self.sentiment, self.topic, failed, errors, self.model_version, tokens)

    def finish(self, error: ScoringError | None = None) -> None:
        """Everything is there, or ``error`` is all there will be."""
        self.error = error
        self._finished.set()


@dataclass(frozen=True, slots=True)
class Chunk:
    """Texts of one submission that are tokenised together; the first one's place is ``first``."""

    submission: Submission
    first: int
    texts: Sequence[str]
    estimate: int
    """Tokens, from the number of characters."""


@dataclass(slots=True, eq=False)
class Text:
    """One tokenised text."""

    submission: Submission
    index: int
    row: Row
    cost: int
    moved: bool = False
    """Whether a device has died over it."""


class Schedule:
    """Not safe for threads: the engine holds a lock around it.

    ``now`` is in monotonic seconds everywhere.
    """

    def __init__(self, shape: Shape, batching: Batching, model_version: str) -> None:
        self._batching = batching
        self._version = model_version
        self._budget = shape.budget
        self._chunk = max(1, batching.look_ahead // 4)
        self._fill = min(batching.minimum_fill, shape.budget)
        self._chunks: deque[Chunk] = deque()
        self._untokenised = 0
        self._buffer: Buffer[Text] = Buffer(shape, batching.look_ahead)
        self._open: deque[Submission] = deque()
        self.judged = 0
        """Texts judged so far."""

    @property
    def waiting(self) -> int:
        """Tokens that wait for a device; estimated where they are not yet tokenised."""
        return self._untokenised + self._buffer.tokens

    def submit(self, texts: Sequence[str], now: float) -> Submission | None:
        """Queue them; None: full. When nothing waits, any number is taken."""
        chunks = []
        submission = Submission(len(texts), now, self._version)
        for first in range(0, len(texts), self._chunk):
            part = texts[first : first + self._chunk]
            # No text counts for more than a micro-batch: the model reads a bounded part of it.
            estimate = sum(min(2 + len(t) // _CHARACTERS, self._budget) for t in part)
            chunks.append(Chunk(submission, first, part, estimate))
        more = sum(chunk.estimate for chunk in chunks)
        if self.waiting and self.waiting + more > QUEUE * self._budget:
            return None
        self._chunks += chunks
        self._untokenised += more
        self._open.append(submission)
        self._settle()
        return submission

    def next_chunks(self) -> list[Chunk]:
        """What is to be tokenised next, together: single texts that were submitted one by one cost
        the tokeniser as much as a chunk each. Empty: nothing waits."""
        found: list[Chunk] = []
        room = self._chunk
        while self._chunks and (not found or len(self._chunks[0].texts) <= room):
            found.append(self._chunks.popleft())
            room -= len(found[-1].texts)
        return found

    def put(self, chunk: Chunk, rows: Sequence[tuple[int, Row, int]]) -> None:
        """A chunk is tokenised: the place in the chunk, the row and its cost of each text."""
        if chunk.submission.done:  # given up meanwhile
            return
        self._untokenised -= chunk.estimate
        for place, row, cost in rows:
            self._buffer.put(Text(chunk.submission, chunk.first + place, row, cost), cost)

    def next_batch(self, now: float) -> MicroBatch[Text] | None:
        """What a free device judges next; None: nothing, or too little yet (see `patience`)."""
        return None if self.patience(now) else self._buffer.take()

    def patience(self, now: float) -> float | None:
        """Seconds until what waits is due however little it is, 0 if it is now; None: nothing
        waits."""
        oldest = self._buffer.oldest
        if oldest is None:
            return None
        if self._buffer.tokens >= self._fill:
            return 0.0
        return max(0.0, oldest.submission.submitted + self._batching.max_wait - now)

    def judge(self, texts: Sequence[Text], found: Probabilities) -> None:
        """These have their verdicts, row by row."""
        groups: dict[Submission, tuple[list[int], list[int]]] = {}
        for row, text in enumerate(texts):
            rows, places = groups.setdefault(text.submission, ([], []))
            rows.append(row)
            places.append(text.index)
        for submission, (rows, places) in groups.items():
            submission.sentiment[places] = found.sentiment[rows]
            submission.topic[places] = found.topic[rows]
            if found.tokens is not None:
                submission.tokens.append((places, rows, found.tokens))
            submission.left -= len(places)
        self.judged += len(texts)
        self._settle()

    def reject(self, submission: Submission, index: int, error: Exception) -> None:
        """The model cannot judge this text."""
        submission.failures[index] = f"{type(error).__name__}: {error}"
        submission.left -= 1
        self.judged += 1
        self._settle()

    def put_back(self, texts: Sequence[Text]) -> bool:
        """A device has died over these; another one gets them next. False: for the second time."""
        wanted = [text for text in texts if not text.submission.done]
        if any(text.moved for text in wanted):
            return False
        for text in wanted:
            text.moved = True
        self._buffer.put_back([(text, text.cost) for text in wanted])
        return True

    def clear(self, error: ScoringError) -> None:
        """Nothing that waits will be judged: every open submission ends with ``error``."""
        self._chunks.clear()
        self._buffer.clear()
        self._untokenised = 0
        while self._open:
            self._open.popleft().finish(error)

    def _settle(self) -> None:
        while self._open and not self._open[0].left:
            self._open.popleft().finish()
