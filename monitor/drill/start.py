"""Begins drills: at somebody's word, or when they are due."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from datetime import datetime, timedelta

from monitor.drill.keeper import Keeper
from monitor.errors import SourceError
from monitor.store.drills.base import Drill, DrillOutcome, Drills

GRACE = timedelta(seconds=60)
"""A drill that has not begun so long after it was due was missed."""

Send = Callable[[str], None]
"""Publishes the messages of a drill, by its id. Raises ``SourceError``."""


def new_drill(
    now: datetime, wait: timedelta, receiver: str | None = None, *, scheduled: bool = False
) -> Drill:
    """A drill that begins now and has so long. Its id sorts by time."""
    name = f"{now:%Y%m%d-%H%M%S}-{secrets.token_hex(2)}"
    return Drill(name, scheduled, now, now + wait, receiver)


def begin(drill: Drill, drills: Drills, keeper: Keeper, send: Send) -> None:
    """Note it first, so that nothing of it can come unexpected; then publish it. When that fails
    it is over. Raises ``StoreError``."""
    drills.begin(drill)
    try:
        send(drill.id)
    except SourceError as error:
        keeper.end(drill, DrillOutcome.FAILED, f"published: {error}")


class Schedule:
    """Drills that begin by themselves."""

    def __init__(
        self,
        drills: Drills,
        keeper: Keeper,
        send: Send,
        next_due: Callable[[datetime], datetime],
        wait: timedelta,
        receiver: str | None,
        wall: Callable[[], datetime],
    ) -> None:
        """``next_due``: the first due time after a moment."""
        self._drills = drills
        self._keeper = keeper
        self._send = send
        self._next_due = next_due
        self._wait = wait
        self._receiver = receiver
        self._wall = wall
        self._since = wall()

    def start(self) -> None:
        """It is due: begin one. Raises ``StoreError``."""
        drill = new_drill(self._wall(), self._wait, self._receiver, scheduled=True)
        begin(drill, self._drills, self._keeper, self._send)

    def check(self) -> None:
        """Whether one was due that did not begin, also while no daemon ran; several in a row are
        one. Raises ``StoreError``."""
        now = self._wall()
        last = self._drills.latest(scheduled=True)
        due = self._next_due(self._since if last is None else last.started_at)
        if now - due <= GRACE:
            return
        name = new_drill(now, self._wait).id
        reason = (
            f"it was due at {due:%Y-%m-%d %H:%M:%S} UTC and did not begin; look whether "
            "`monitor run` ran then, and at its log"
        )
        self._keeper.miss(
            Drill(name, True, now, now, self._receiver, outcome=DrillOutcome.MISSED, reason=reason,
                  ended_at=now)
        )  # fmt: skip
