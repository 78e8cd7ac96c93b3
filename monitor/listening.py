"""Who speaks: sources, what depends on them, and the alerts of those that are blind.

The pipeline's side of "quiet or blind"; see `monitor.aggregate.sources`.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from monitor.aggregate.dependence import Dependence
from monitor.aggregate.roster import OTHERS, STREAM
from monitor.aggregate.sources import Sources, SourceSettings, Turn
from monitor.detect.blind import BlindAlerts, Missed
from monitor.detect.surroundings import Context
from monitor.events import Alert, Evidence, Scored, SourceState
from monitor.heartbeat import Heartbeat, MemoryHeartbeat
from monitor.keys import universe
from monitor.metrics import Metrics
from monitor.source.base import Batch
from monitor.store.base import KeyState, RhythmRow, Snapshot, SourceRow, Store

log = logging.getLogger(__name__)

JUDGE_EVERY = 60.0
"""Seconds of the daemon's clock between two judgements …"""
TELL_EVERY = 300.0
"""… and between two looks of everybody at all figures, where nothing else changes them."""
_EVIDENCE = 3
_EVIDENCE_SPAN = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Heard:
    """What a transaction keeps of the sources."""

    sources: Sequence[SourceRow] = ()
    rhythms: Sequence[RhythmRow] = ()
    gone: Sequence[str] = ()
    key_states: Sequence[KeyState] = ()


class Listening:
    """Owned by the pipeline's thread; `view` may be asked by others."""

    def __init__(
        self,
        settings: SourceSettings,
        share: float,
        store: Store,
        metrics: Metrics,
        heartbeat: Heartbeat | None = None,
    ) -> None:
        """A key depends on the sources that gave it more than ``share`` of its documents."""
        self._sources = Sources(settings)
        self._dependence = Dependence(share)
        self._alerts = BlindAlerts(self._latest)
        self._store = store
        self._metrics = metrics
        self._heartbeat = heartbeat or MemoryHeartbeat()
        self._behind: int | None = None
        self._told_at = 0.0
        self._rows: Sequence[SourceRow] = ()

    def blind_keys(self, start: int) -> frozenset[str]:
        """Keys that depend on a source that was blind in the bucket that starts here: all of them
        where the whole stream was silent."""
        if self._sources.deaf(start):
            return frozenset((*universe(), *self._dependence.counted))
        return self._sources.blind_keys(start)

    @property
    def firing(self) -> int:
        """Alerts that fire now."""
        return self._alerts.firing

    def restore(self, snapshot: Snapshot) -> None:
        """Go on from what the store holds."""
        self._sources.restore(snapshot.sources, snapshot.rhythms)
        self._dependence.restore(snapshot.key_states)
        self._alerts.restore(snapshot.alerts)
        self._told_at = 0.0
        self._show()

    def hear(
        self, batch: Batch, scored: Sequence[Scored], now: datetime, context: Context
    ) -> list[Alert]:
        """A batch was read and judged; the alerts of those that speak again. ``now``: the daemon's
        clock."""
        self._behind = waiting(batch)
        arrived = now.timestamp() if self._behind == 0 else None
        turns = self._sources.hear([s.document for s in scored], arrived)
        self._dependence.count(scored)
        return self._tell(turns, context)

    def close(self, start: int) -> None:
        """The bucket of event time that starts here (seconds since the epoch) is complete."""
        self._sources.close(start)
        self._dependence.close(start)

    def judge(self, now: datetime, context: Context) -> list[Alert]:
        """Who is blind at ``now`` on the daemon's clock, looked at once a minute.

        Raises ``StoreError`` where the heartbeat or the evidence cannot be read.
        """
        at = now.timestamp()
        if 0 <= at - self._sources.judged < JUDGE_EVERY:
            return []
        contacts = self._heartbeat.contacts()
        turns = self._sources.judge(at, self._behind, contacts, self._dependence.keys)
        return self._tell(turns, context)

    def drain(self) -> Heard:
        """What changed since the last drain."""
        at = self._sources.judged
        everything = at - self._told_at >= TELL_EVERY
        if everything:
            self._told_at = at
        rows, rhythms, gone = self._sources.drain(everything)
        if everything:
            self._show()
        return Heard(rows, rhythms, gone, self._dependence.drain())

    def view(self) -> dict[str, Any]:
        """All sources as a JSON object, as of the last time that somebody was told."""
        rows, behind = self._rows, self._behind
        counts = Counter(row.state.value for row in rows if row.name != STREAM)
        stream = next((row for row in rows if row.name == STREAM), None)
        return {
            "counts": {state.value: counts[state.value] for state in SourceState},
            "waiting_records": behind,
            "stream": None if stream is None else _shown(stream),
            "sources": [_shown(row) for row in rows if row.name != STREAM],
        }

    def _tell(self, turns: Sequence[Turn], context: Context) -> list[Alert]:
        alerts: list[Alert] = []
        for turn in turns:
            if turn.state is SourceState.BLIND:
                alerts.append(self._alerts.turned_blind(self._missed(turn), context))
                self._metrics.source_blind.inc()
            elif turn.was is SourceState.BLIND:
                ended = self._alerts.spoke(turn.name, turn.at, context)
                alerts += [ended] if ended else []
                if turn.gone:
                    log.warning("source %s has been blind for too long: given up", turn.name)
        if turns:
            self._show()
        return alerts

    def _missed(self, turn: Turn) -> Missed:
        return Missed(
            turn.name,
            turn.at,
            turn.last,
            turn.missing,
            turn.often,
            turn.allowed,
            turn.reason,
            universe() if turn.name == STREAM else self._sources.dependents(turn.name),
            self._sources.share_of_stream(turn.name),
        )

    def _latest(self, source: str, until: float) -> Sequence[Evidence]:
        end = datetime.fromtimestamp(until, UTC)
        # Within a day: a source that is one of the others has none under its name.
        name = None if source in (STREAM, OTHERS) else source
        return self._store.latest(name, end - _EVIDENCE_SPAN, end, _EVIDENCE)

    def _show(self) -> None:
        self._rows = self._sources.rows()
        counts = Counter(row.state for row in self._rows if row.name != STREAM)
        for state in SourceState:
            self._metrics.sources.labels(state).set(counts[state])


def waiting(batch: Batch) -> int | None:
    """Records that wait in the log behind a batch; None: nobody knows."""
    if not batch.positions or any(p not in batch.ends for p in batch.positions):
        return None
    behind = sum(max(batch.ends[p] - offset, 0) for p, offset in batch.positions.items())
    # A partition just assigned has not been sought to its place yet.
    return None if batch.assigned else behind


def _shown(row: SourceRow) -> dict[str, Any]:
    return {
        "source": row.name,
        "kind": None if row.kind is None else row.kind.value,
        "state": row.state.value,
        "since": row.since.isoformat(),
        "last_document": None if row.last is None else row.last.isoformat(),
        "expected_last_day": round(row.expected, 1),
        "seen_last_day": row.seen,
        "expected_since_last": round(row.missing, 1),
        "reason": row.reason,
        "depend": list(row.keys),
        "hourly": list(row.recent),
    }
