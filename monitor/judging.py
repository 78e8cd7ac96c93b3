"""Batches in flight and the scorers that judge them: each batch by one, the newest in time."""

from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import datetime

from monitor.annotate import Annotator
from monitor.clock import Clock
from monitor.events import Reason
from monitor.inflight import Flight, InFlight
from monitor.judged import judged
from monitor.metrics import Metrics
from monitor.score.base import Scorer

log = logging.getLogger(__name__)


class Judging:
    """Owns the scorers. A successor gets what is polled from now on; the old scorer keeps the
    batches that it has, and is closed after the last of them."""

    def __init__(
        self,
        scorer: Scorer,
        successor: Callable[[], Scorer | None],
        annotate: Annotator,
        flights: InFlight,
        metrics: Metrics,
        clock: Clock,
        wall: Callable[[], datetime],
    ) -> None:
        self._newest = scorer
        self._successor = successor
        self._retired: list[Scorer] = []  # not yet closed
        self._annotate = annotate
        self._flights = flights
        self._metrics = metrics
        self._clock = clock
        self._wall = wall
        self.current = scorer
        """Whose verdicts are aggregated now."""

    @property
    def fault(self) -> str | None:
        """What is wrong with the model, or with one of its devices."""
        return self._newest.fault

    @property
    def judged(self) -> int:
        """Texts judged so far; changes with every verdict."""
        return sum(scorer.judged for scorer in (*self._retired, self._newest))

    def take_over(self) -> bool:
        """Ask for a successor; whether, with nothing in flight, it is the current scorer now."""
        scorer = self._successor()
        if scorer is not None:
            log.info("model: %s → %s", self._newest.model_version, scorer.model_version)
            self._retired.append(self._newest)
            self._newest = scorer
        return not self._flights and self._change_over(self._newest)

    def submit(self, flight: Flight) -> None:
        """Give it to the newest scorer; where that is full, the next pass tries again.

        Raises ``ScoringError`` when the model is dead.
        """
        flight.ticket = self._newest.submit([d.content for d in flight.judged])
        if flight.ticket is not None:
            flight.scorer = self._newest
            flight.submitted_at = self._clock.monotonic()

    def collect(self, flight: Flight) -> bool:
        """Turn its verdicts into scored documents with their stories and names; texts that were
        not judged become dead letters.
        Whether they come from another scorer than those before.

        Raises ``ScoringError`` when the model is dead.
        """
        if flight.ticket is None or flight.scorer is None:
            return False
        verdicts = flight.ticket.result()
        self._metrics.stage.labels("score").observe(self._clock.monotonic() - flight.submitted_at)
        scored, places, failed = judged(flight.judged, verdicts, self._wall())
        begin = self._clock.monotonic()
        if flight.drills:
            real = sum(s.document.drill is None for s in scored)  # they come first
            scored, drilled = scored[:real], scored[real:]
            places, rows = places[:real], places[real:]
            flight.drilled = self._annotate.rehearse(drilled, verdicts, rows)
        annotated = self._annotate(scored, verdicts, places)
        flight.scored, flight.changes = annotated.scored, annotated.changes
        self._metrics.stage.labels("annotate").observe(self._clock.monotonic() - begin)
        for document, error in failed:
            detail = f"{verdicts.model_version} cannot judge this text: {error}"
            flight.reject(document, Reason.UNSCORABLE, detail)
        return self._change_over(flight.scorer)

    def restart(self) -> None:
        """Nothing is in flight any more: whatever follows is the newest scorer's."""
        self._newest.forget()
        self._change_over(self._newest)

    def close(self) -> None:
        """Free the devices: of the scorer that it began with, or of the one that took over."""
        for scorer in (*self._retired, self._newest):
            scorer.close()

    def _change_over(self, scorer: Scorer) -> bool:
        if scorer is self.current:
            return False
        self.current = scorer
        self._metrics.model(scorer.model_version)
        busy = [flight.scorer for flight in self._flights]
        for old in [r for r in self._retired if r not in busy]:
            self._retired.remove(old)
            old.close()
        return True
