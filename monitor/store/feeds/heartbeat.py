"""The feeds' polls as a heartbeat of their sources: `monitor.heartbeat`."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from monitor.heartbeat import Contact
from monitor.store.feeds.base import FeedState


class FeedHeartbeat:
    """Contacts of the sources that configured feeds publish.

    A source with several feeds answers while one of them does.
    """

    def __init__(
        self, states: Callable[[], Mapping[str, FeedState]], sources: Mapping[str, str]
    ) -> None:
        """``sources``: the source of each feed by its name; other feeds are left out."""
        self._states = states
        self._sources = dict(sources)

    def contacts(self) -> Mapping[str, Contact]:
        """See ``Heartbeat.contacts``."""
        of_source: dict[str, list[FeedState]] = {}
        for name, state in self._states().items():
            if (source := self._sources.get(name)) is not None:
                of_source.setdefault(source, []).append(state)
        return {source: _together(states) for source, states in of_source.items()}


def _together(states: list[FeedState]) -> Contact:
    best = min(states, key=lambda state: state.failures)
    answered = [s.succeeded_at for s in states if s.succeeded_at is not None]
    failed = [s.polled_at for s in states if s.failures and s.polled_at is not None]
    return Contact(
        succeeded=max(answered, default=None),
        failed=max(failed, default=None),
        failures=best.failures,
        reason=best.fault or "",
    )
