"""The scorer: a tokeniser thread, a thread for each device, and one buffer between them.

A device is fed whenever it is free and something waits, so it never waits for a poll, a transaction
or the end of a batch. A batch that fails is halved down to its bad texts; a plain sentence then
tells a dead device from bad texts. The work of a dead device goes to the others, once; with the
last one, or the tokeniser, everything pending fails at once.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from functools import partial
from typing import Final

import numpy as np

from monitor.errors import ScoringError
from monitor.score.base import (
    PROBE,
    Device,
    NoMetrics,
    Pending,
    Probabilities,
    Row,
    ScoringMetrics,
    Verdicts,
)
from monitor.score.batch import MicroBatch, Shape, isolate
from monitor.score.schedule import Batching, Chunk, Schedule, Submission, Text

log = logging.getLogger(__name__)

JOIN: Final = 5.0
"""Seconds that `close` waits for a thread; a device that hangs is left behind."""


class BatchScorer:
    """A `Scorer` over one or several devices that hold the same model.

    With ``threads=False`` nothing happens by itself: `step` does what the threads would do.
    """

    def __init__(
        self,
        devices: Sequence[Device],
        batching: Batching,
        *,
        multiple: int = 16,
        metrics: ScoringMetrics | None = None,
        monotonic: Callable[[], float] = time.monotonic,
        threads: bool = True,
    ) -> None:
        """Padded rows are rounded up to a ``multiple`` of tokens. The engine closes the devices."""
        if not devices or len({(d.model_version, d.packed) for d in devices}) != 1:
            raise ValueError("an engine takes one or more devices, all with the same model")
        first = devices[0]
        self._version = first.model_version
        self._metrics = metrics or NoMetrics()
        self._monotonic = monotonic
        shape = Shape(batching.tokens, first.packed, multiple)
        self._budget = batching.tokens
        self._schedule = Schedule(shape, batching, self._version)
        self._changed = threading.Condition()  # held around every use of the schedule
        self._failure: ScoringError | None = None
        self._tokeniser: Device | None = first
        self._workers = [_Worker(device, self) for device in devices]
        self._threads: dict[threading.Thread, _Worker | None] = {}
        if threads:
            self._start("tokeniser", self._tokenise, None)
            for worker in self._workers:
                self._start(f"device-{worker.name}", worker.serve, worker)

    @property
    def model_version(self) -> str:
        """See `monitor.score.base.Scorer.model_version`."""
        return self._version

    @property
    def judged(self) -> int:
        """See `monitor.score.base.Scorer.judged`."""
        return self._schedule.judged

    @property
    def fault(self) -> str | None:
        """See `monitor.score.base.Scorer.fault`."""
        if self._failure is not None:
            return str(self._failure)
        dead = [f"{w.name} is lost: {w.death}" for w in self._workers if w.death is not None]
        return "; ".join(dead) or None

    def submit(self, texts: Sequence[str]) -> Submission | None:
        """See `monitor.score.base.Scorer.submit`."""
        with self._changed:
            self._require_alive()
            submission = self._schedule.submit(texts, self._monotonic())
            self._report()
            return submission

    def forget(self) -> None:
        """See `monitor.score.base.Scorer.forget`."""
        with self._changed:
            if self._failure is None:
                self._schedule.clear(ScoringError("these texts were given up by their submitter"))
                self._report()

    def score(self, texts: Sequence[str]) -> Verdicts:
        """See `monitor.score.base.Scorer.score`."""
        with self._changed:
            while (submission := self.submit(texts)) is None:
                self._progress()
            while not submission.done:
                self._progress()
        return submission.result()

    def warmup(self) -> None:
        """See `monitor.score.base.Scorer.warmup`."""
        for worker in self._workers:
            if self._threads:
                worker.warm.wait()
            else:
                worker.run(worker.probe)
        if fault := self.fault:
            raise ScoringError(fault)

    def step(self) -> bool:
        """Tokenise a chunk, and let every device take and finish a micro-batch, if there is any;
        whether anything was done. For tests, and callers without threads."""
        worked = self._tokenise(wait=False)
        for worker in self._workers:
            worked = worker.run(partial(worker.step, wait=False)) or worked
        return worked

    def close(self) -> None:
        """See `monitor.score.base.Scorer.close`."""
        with self._changed:
            if self._tokeniser is None:
                return
            self._tokeniser = None
            # Whoever still holds this object must not hold the weights: another model is loaded.
            closed = f"the model {self._version} has been closed; load it again"
            self._fail(self._failure or ScoringError(closed))
        hanging = set()
        for thread, owner in self._threads.items():
            thread.join(JOIN)
            if thread.is_alive():
                log.error("%s hangs and is left behind", thread.name)
                hanging.add(owner)
        for worker in self._workers:
            if worker not in hanging:
                worker.device.close()
        self._threads.clear()

    # ------------------------------------------------------------------ for the workers

    def next_batch(self, wait: bool) -> MicroBatch[Text] | None:
        """What a free device judges next. With ``wait`` None means the end."""
        with self._changed:
            while self._failure is None:
                now = self._monotonic()
                batch = self._schedule.next_batch(now)
                if batch is not None:
                    self._begun(batch, now)
                    return batch
                if not wait:
                    return None
                self._changed.wait(self._schedule.patience(now))
            return None

    def judge(self, texts: Sequence[Text], found: Probabilities) -> None:
        """These texts have their verdicts."""
        with self._changed:
            if self._failure is None:
                self._schedule.judge(texts, found)
                self._changed.notify_all()

    def reject(self, texts: Sequence[tuple[Text, Exception]]) -> None:
        """The model cannot judge these texts."""
        with self._changed:
            if self._failure is None:
                for text, error in texts:
                    self._schedule.reject(text.submission, text.index, error)
                self._changed.notify_all()

    def lose(self, worker: _Worker, texts: Sequence[Text], error: BaseException) -> None:
        """A device has died over these texts."""
        with self._changed:
            if worker.death is not None or self._tokeniser is None:
                return
            worker.death = str(error) if isinstance(error, ScoringError) else _named(error)
            self._metrics.device(worker.name, up=False)
            others = [w.name for w in self._workers if w.death is None]
            if self._failure is not None:
                return
            if others and self._schedule.put_back(texts):
                log.error("%s; %s takes over", worker.death, " and ".join(others))
                self._report()
            else:
                self._fail(ScoringError(worker.death))

    def busy(self, worker: _Worker, seconds: float) -> None:
        """A device has worked for so long."""
        self._metrics.busy(worker.name, seconds)

    def up(self, worker: _Worker) -> None:
        """A device has judged its first sentence."""
        self._metrics.device(worker.name, up=True)

    @property
    def monotonic(self) -> float:
        """Now, in seconds."""
        return self._monotonic()

    # ------------------------------------------------------------------ the tokeniser

    def _tokenise(self, wait: bool = True) -> bool:
        """Tokenise chunk after chunk until the end; without ``wait`` once, if there is any."""
        try:
            while chunks := self._next_chunks(wait):
                self._encode(chunks)
                if not wait:
                    return True
        except BaseException as error:  # noqa: BLE001 - a dead thread must not leave texts behind
            with self._changed:
                self._fail(
                    ScoringError(f"the tokeniser has died ({_named(error)}); restart the daemon")
                )
        return False

    def _next_chunks(self, wait: bool) -> list[Chunk]:
        with self._changed:
            while self._failure is None:
                chunks = self._schedule.next_chunks()
                if chunks or not wait:
                    return chunks
                self._changed.wait()
            return []

    def _encode(self, chunks: Sequence[Chunk]) -> None:
        device = self._tokeniser
        if device is None:
            return
        capped = device.capped_texts
        texts = [(n, place) for n, chunk in enumerate(chunks) for place in range(len(chunk.texts))]

        def read(wanted: Sequence[tuple[int, int]]) -> list[tuple[Row, int]]:
            rows = device.encode([chunks[n].texts[place] for n, place in wanted])
            return [(row, device.cost(row)) for row in rows]

        bad: list[tuple[tuple[int, int], Exception]] = []
        try:
            sound: list[tuple[Sequence[tuple[int, int]], list[tuple[Row, int]]]]
            sound = [(texts, read(texts))]
        except Exception as error:  # noqa: BLE001 - whatever a text makes the tokeniser raise
            log.warning("%d texts were not tokenised and are halved: %s", len(texts), error)
            sound, bad = isolate(texts, read)
            device.encode([PROBE])  # raises: it is not the texts
        rows: list[list[tuple[int, Row, int]]] = [[] for _ in chunks]
        for part, found in sound:
            for (n, place), (row, cost) in zip(part, found, strict=True):
                rows[n].append((place, row, cost))
        with self._changed:
            if self._failure is not None:
                return
            for chunk, own in zip(chunks, rows, strict=True):
                self._schedule.put(chunk, sorted(own, key=lambda entry: entry[0]))
            for (n, place), fault in bad:
                chunk = chunks[n]
                self._schedule.reject(chunk.submission, chunk.first + place, fault)
            if device.capped_texts > capped:
                self._metrics.capped(device.capped_texts - capped)
            self._report()

    # ------------------------------------------------------------------ the rest

    def _start(self, name: str, work: Callable[[], object], owner: _Worker | None) -> None:
        thread = threading.Thread(target=work, name=name, daemon=True)
        self._threads[thread] = owner
        thread.start()

    def _progress(self) -> None:
        """Wait until something has changed; the lock is held."""
        if self._threads:
            self._changed.wait()
        else:
            self.step()
        self._require_alive()

    def _require_alive(self) -> None:
        if self._failure is not None:
            raise self._failure

    def _report(self) -> None:
        self._metrics.waiting(self._schedule.waiting)
        self._changed.notify_all()

    def _begun(self, batch: MicroBatch[Text], now: float) -> None:
        since = min(text.submission.submitted for text in batch.items)
        fill = batch.cost / self._budget
        self._metrics.micro_batch(len(batch.items), batch.cost, fill, now - since)
        self._metrics.waiting(self._schedule.waiting)

    def _fail(self, error: ScoringError) -> None:
        if self._failure is None:
            self._failure = error
        self._schedule.clear(self._failure)
        self._report()


class _Worker:
    """One device and the micro-batches that it has begun. One thread owns it."""

    def __init__(self, device: Device, engine: BatchScorer) -> None:
        self.device = device
        self.name = device.name
        self.death: str | None = None
        self.warm = threading.Event()
        self._engine = engine
        self._begun: deque[tuple[MicroBatch[Text], Pending]] = deque()
        self._since = 0.0
        self._probe_rows = device.encode([PROBE])

    def serve(self) -> None:
        """Judge a plain sentence, then batch after batch until the end: the thread's work."""
        self.run(self.probe)
        while self.run(partial(self.step, wait=True)):
            pass

    def run(self, work: Callable[[], bool]) -> bool:
        """Do it, unless the device is dead; where it dies over it, tell the engine."""
        if self.death is not None:
            return False
        try:
            return work()
        except BaseException as error:  # noqa: BLE001 - a dead thread must not leave texts behind
            texts = [text for batch, _ in self._begun for text in batch.items]
            self._begun.clear()
            self._engine.lose(self, texts, error)
            return False
        finally:
            self.warm.set()

    def step(self, wait: bool) -> bool:
        """Begin what may be begun, finish the oldest; False: nothing was there."""
        while len(self._begun) < self.device.in_flight:
            batch = self._engine.next_batch(wait and not self._begun)
            if batch is None:
                break
            if not self._begun:
                self._since = self._engine.monotonic
            self._begun.append((batch, self._begin([text.row for text in batch.items])))
        if not self._begun:
            return False
        batch, pending = self._begun[0]
        try:
            found = _checked(pending, len(batch.items))
        except Exception as error:  # noqa: BLE001 - a model raises whatever its kernels raise
            log.warning(
                "a micro-batch of %d texts failed on %s and is halved: %s",
                *(len(batch.items), self.name, error),
            )
            self._mend()
        else:
            self._engine.judge(batch.items, found)
            self._begun.popleft()
        now = self._engine.monotonic
        self._engine.busy(self, now - self._since)
        self._since = now
        return True

    def probe(self) -> bool:
        """Tell a dead device from bad texts: it must judge one plain sentence.

        Raises ``ScoringError``.
        """
        version = self.device.model_version
        try:
            _checked(self.device.begin(self._probe_rows), 1)
        except FloatingPointError as error:
            raise ScoringError(
                f"the model {version} gives no finite output on {self.name}: its weights are "
                "damaged; install the package again or promote another version"
            ) from error
        except Exception as error:
            raise ScoringError(
                f"the model {version} judges nothing any more on {self.name} ({_named(error)}); "
                "restart the daemon, and check the device's memory"
            ) from error
        self._engine.up(self)
        return True

    def _begin(self, rows: Sequence[Row]) -> Pending:
        try:
            return self.device.begin(rows)
        except Exception as error:  # noqa: BLE001 - told with the result, in its turn
            return _Failed(error)

    def _mend(self) -> None:
        """The oldest batch has failed: finish the others, then halve those that failed.

        Each stays among the begun until it is settled: should the device die, it is others' work.
        """
        for entry in list(self._begun)[1:]:
            batch, pending = entry
            try:
                found = _checked(pending, len(batch.items))
            except Exception:  # noqa: BLE001, S112 - halved below
                continue
            self._engine.judge(batch.items, found)
            self._begun.remove(entry)
        while self._begun:
            batch, _ = self._begun[0]
            sound, bad = isolate(batch.items, self._judge)
            if bad:
                # A device that dies half-way leaves verdicts behind; what followed was not the
                # texts.
                self.probe()
            for texts, found in sound:
                self._engine.judge(texts, found)
            self._engine.reject(bad)
            self._begun.popleft()

    def _judge(self, texts: Sequence[Text]) -> Probabilities:
        return _checked(self.device.begin([text.row for text in texts]), len(texts))


class _Failed:
    """A forward pass that did not even begin."""

    def __init__(self, error: Exception) -> None:
        self._error = error

    def result(self) -> Probabilities:
        raise self._error


def _checked(pending: Pending, count: int) -> Probabilities:
    """The result; ``FloatingPointError`` where it is not finite."""
    found = pending.result()
    if (len(found.sentiment), len(found.topic)) != (count, count):
        raise RuntimeError(f"{count} texts have {len(found.sentiment)} verdicts")
    tokens = found.tokens
    if tokens is not None and len(tokens) != count:
        raise RuntimeError(f"{count} texts have the tokens of {len(tokens)}")
    finite = np.isfinite(found.sentiment).all() and np.isfinite(found.topic).all()
    if not finite or (tokens is not None and not tokens.finite):
        raise FloatingPointError("the model's output is not finite")
    return found


def _named(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}"
