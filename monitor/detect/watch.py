"""Every detector with the life cycle of its alerts: what the main loop steps once a bucket."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence

from monitor.detect.base import Detector
from monitor.detect.state import Context, ExhibitOf, Lifecycle, LifecycleSettings
from monitor.events import Alert, Bucket, Sums
from monitor.keys import is_detected
from monitor.store.base import KeyState


class Watch:
    """The detectors, in a fixed order, and one `Lifecycle` for each."""

    def __init__(
        self,
        detectors: Sequence[Detector],
        exhibit: ExhibitOf,
        settings: LifecycleSettings,
    ) -> None:
        self._pairs = [
            (detector, Lifecycle(detector.name, detector.version, exhibit, settings))
            for detector in detectors
        ]

    @property
    def firing(self) -> int:
        """How many alerts fire now."""
        return sum(len(lifecycle.firing) for _, lifecycle in self._pairs)

    def step(
        self,
        start: int,
        sums: Mapping[str, Sums],
        context: Context,
        blind: Collection[str] = (),
    ) -> Iterator[Alert]:
        """Update everything with the bucket that starts at ``start``; the alerts that changed.

        ``blind``: keys that depend on a source that does not speak though it should.
        """
        watched = {key: of for key, of in sums.items() if is_detected(key)}
        for detector, lifecycle in self._pairs:
            readings = detector.step(start, watched, lifecycle.firing, blind)
            changed, accepted = lifecycle.advance(start, readings, context, blind)
            for key in accepted:
                detector.accept(key)
            yield from changed

    def learn(self, history: Sequence[Bucket], closed_until: int | None) -> None:
        """Known history changes baselines and pages nobody; it ends where the stream begins."""
        past = [bucket for bucket in history if is_detected(bucket.key)]
        if past:
            now = max(b.start for b in past) if closed_until is None else closed_until
            for detector, _ in self._pairs:
                detector.learn(past, now)

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
