"""The rules as the configuration wants them: windows of event time, detectors, gates, calendar.

One place for whoever steps them: the daemon on what comes in, the lab on what is stored.
"""

from __future__ import annotations

from collections.abc import Callable

from models.manifest import Manifest
from monitor import config
from monitor.aggregate.watermark import Watermarks
from monitor.aggregate.window import Window
from monitor.detect.calendar import Calendar, read_calendar
from monitor.detect.correction import Correction
from monitor.detect.gates import Gate, Gates
from monitor.detect.roster import Roster
from monitor.detect.share.detector import ShareDetector
from monitor.detect.share.settings import ShareSettings
from monitor.detect.surroundings import ExhibitOf, LifecycleSettings, Seal, no_receipt
from monitor.detect.volume.detector import VolumeDetector
from monitor.detect.volume.settings import VolumeSettings
from monitor.detect.watch import Watch


def make_watermarks(aggregate: config.Aggregate) -> Watermarks:
    """How far event time is complete."""
    return Watermarks(aggregate.out_of_orderness, aggregate.idle_after)


def make_window(aggregate: config.Aggregate) -> Window:
    """The open buckets."""
    return Window(aggregate.allowed_lateness)


def make_detectors(detect: config.Detect) -> tuple[ShareDetector, VolumeDetector]:
    """All of them, in the order in which they are stepped."""
    return (
        ShareDetector(ShareSettings(budget=detect.budget * (1 - detect.volume_share))),
        VolumeDetector(VolumeSettings(budget=detect.budget * detect.volume_share)),
    )


def make_lifecycle(detect: config.Detect) -> LifecycleSettings:
    """Gates and times of the alerts."""
    return LifecycleSettings(
        gates=Gates(
            busy=Gate(detect.busy_documents, detect.busy_authors, detect.busy_sources),
            sparse=Gate(detect.min_documents, detect.min_authors, detect.min_sources),
            busy_rate=detect.busy_rate,
            negative=detect.min_negative,
            negative_share=detect.min_negative_share,
        ),
        recovery=int(detect.recovery),
        accept_after=int(detect.accept_after),
    )


def make_watch(
    detect: config.Detect,
    exhibit: ExhibitOf,
    correction: Callable[[str, str], Correction],
    seal: Seal = no_receipt,
) -> Watch:
    """Detectors and the life cycle of their alerts; ``correction`` of the verdicts for a key by a
    version of the model, ``seal`` makes the receipts. Raises ``ConfigError`` where the calendar
    cannot be read."""
    return Watch(
        make_detectors(detect),
        exhibit,
        make_lifecycle(detect),
        seal,
        roster=Roster(detect.keys),
        calendar=read_calendar(detect.calendar) if detect.calendar else Calendar(),
        correction=correction,
    )


def errors_of(manifest: Manifest) -> tuple[Correction | None, Correction | None]:
    """What is known of a model's verdicts on texts, and of those towards what they name."""
    texts = Correction.of(manifest.heads["sentiment"].best_report.confusion)
    targets = None
    reports = manifest.spans.targets.values() if manifest.spans else ()
    for report in sorted(reports, key=lambda r: r.targets):  # the largest set has the last word
        if (negative := report.classes.get("negative")) is not None:
            targets = Correction.of_rates(
                negative.precision, negative.recall, negative.support, report.targets
            )
    return texts, targets
