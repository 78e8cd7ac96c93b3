"""Every detector with the life cycle of its alerts: what the main loop steps once a bucket."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

from monitor.detect.base import Detector
from monitor.detect.state import Context, Lifecycle, LifecycleSettings
from monitor.events import Alert, Evidence, Sums
from monitor.store.base import KeyState


class Watch:
    """The detectors, in a fixed order, and one `Lifecycle` for each.

    ``evidence(key, since, until, limit)`` gives the most negative documents of a window, in seconds
    since the epoch.
    """

    def __init__(
        self,
        detectors: Sequence[Detector],
        evidence: Callable[[str, int, int, int], Sequence[Evidence]],
        settings: LifecycleSettings,
    ) -> None:
        self._pairs = [
            (detector, Lifecycle(detector.name, detector.version, evidence, settings))
            for detector in detectors
        ]

    @property
    def firing(self) -> int:
        """How many alerts fire now."""
        return sum(len(lifecycle.firing) for _, lifecycle in self._pairs)

    def step(self, start: int, sums: Mapping[str, Sums], context: Context) -> Iterator[Alert]:
        """Update everything with the bucket that starts at ``start``; the alerts that changed."""
        for detector, lifecycle in self._pairs:
            readings = detector.step(start, sums, lifecycle.firing)
            changed, accepted = lifecycle.advance(start, readings, context)
            for key in accepted:
                detector.accept(key)
            yield from changed

    def drain(self, model_version: str) -> Iterator[KeyState]:
        """The states that changed since the last drain."""
        for detector, lifecycle in self._pairs:
            version = _version(detector, model_version)
            drained = detector.drain()
            for key, state in drained:
                yield KeyState(detector.name, key, version, state)
            if drained:
                for key, state in lifecycle.dump():
                    yield KeyState(_lifecycle_name(detector), key, version, state)

    def restore(
        self, states: Iterable[KeyState], alerts: Sequence[Alert], model_version: str
    ) -> None:
        """Go on from the store; states of another detector version are left out, and those of
        another model where they say nothing under this one."""
        by_name: dict[str, list[KeyState]] = {}
        for state in states:
            by_name.setdefault(state.detector, []).append(state)
        for detector, lifecycle in self._pairs:
            version = _version(detector, model_version)
            mine = by_name.get(detector.name, [])
            detector.restore(
                (s.key, s.state)
                for s in mine
                if s.version == version
                or (s.version.startswith(f"{detector.version}/") and detector.outlives_model(s.key))
            )
            observed = by_name.get(_lifecycle_name(detector), [])
            lifecycle.restore(alerts, ((s.key, s.state) for s in observed))


def _version(detector: Detector, model_version: str) -> str:
    """Baselines belong to a detector and to a model: another model is another baseline."""
    return f"{detector.version}/{model_version}"


def _lifecycle_name(detector: Detector) -> str:
    return f"{detector.name}/alerts"
