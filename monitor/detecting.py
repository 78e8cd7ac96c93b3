"""From sums to alerts: closes buckets by the watermark, and asks detectors and sources of them."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from typing import Any

from monitor.counting import Counting
from monitor.detect.surroundings import Context
from monitor.detect.watch import Watch
from monitor.events import Alert, Bucket
from monitor.inflight import Flight
from monitor.listening import Heard, Listening
from monitor.store.base import KeyState, Snapshot


class Detecting:
    """Owns the detectors' watch and who listens to the sources; None: nobody does."""

    def __init__(self, counting: Counting, watch: Watch, listening: Listening | None) -> None:
        self._counting = counting
        self._watch = watch
        self._listening = listening

    @property
    def firing(self) -> int:
        """Alerts that fire now."""
        return self._watch.firing + (self._listening.firing if self._listening else 0)

    @property
    def sources(self) -> dict[str, Any]:
        """Whether they speak, as a JSON object; any thread may ask."""
        return self._listening.view() if self._listening else {}

    def restore(self, snapshot: Snapshot, version: str) -> None:
        """Go on from what the store holds, with the verdicts of this version of the model."""
        self.follow(snapshot, version)
        if self._listening is not None:
            self._listening.restore(snapshot)

    def follow(self, snapshot: Snapshot, version: str) -> None:
        """The verdicts that follow are another model's: so are the detectors' baselines."""
        self._watch.restore(snapshot.key_states, snapshot.alerts, version)

    def detect(
        self,
        flight: Flight,
        history: Sequence[Bucket],
        watermark: float | None,
        context: Context,
    ) -> list[Alert]:
        """What is told once a batch is counted: alerts in the order in which they changed.

        Raises ``StoreError``.
        """
        alerts: list[Alert] = []
        self._watch.learn(history, self._counting.closed_until)
        if self._listening is not None:
            # First, so that whoever speaks again is not blind for the buckets that close now.
            alerts += self._listening.hear(flight.batch, flight.scored, flight.event_now, context)
        alerts += self._look(watermark, context)
        for closed in self._counting.close(watermark):
            blind = self._hear_bucket(closed.start)
            alerts += self._watch.step(closed.start, closed.sums, context, blind)
            alerts += self._look(watermark, context)
        if self._listening is not None:
            alerts += self._listening.judge(flight.event_now, context)
        return alerts

    def drain(self, version: str) -> tuple[list[KeyState], Heard]:
        """What the transaction keeps of detectors and sources."""
        heard = self._listening.drain() if self._listening else Heard()
        return [*self._watch.drain(version), *heard.key_states], heard

    def _look(self, watermark: float | None, context: Context) -> Iterable[Alert]:
        """Into the bucket that is open: what is beyond chance need not wait for its end."""
        start = self._counting.closed_until
        if watermark is None or start is None:
            return ()
        blind = self._listening.blind_keys(start) if self._listening else ()
        return self._watch.look(start, watermark, self._counting.part, context, blind)

    def _hear_bucket(self, start: int) -> Collection[str]:
        """The keys for which a source does not speak though it should, in a bucket that closes."""
        if self._listening is None:
            return ()
        blind = self._listening.blind_keys(start)
        self._listening.close(start)
        return blind
