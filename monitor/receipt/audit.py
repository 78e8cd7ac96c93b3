"""Whether the receipt of an alert still gives its figure, and what has changed since."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

from monitor.detect.base import Detector, Reading
from monitor.detect.share import ShareDetector, ShareSettings
from monitor.detect.volume import VolumeDetector, VolumeSettings
from monitor.detect.witness import Witness
from monitor.events import TOPICS, Alert, Origin
from monitor.receipt.base import Entry, Figures, Provenance, Receipt, read_receipt, sha256_of
from monitor.receipt.make import MOST, figures_of, is_counted_by_itself
from monitor.receipt.recount import Recount, recount
from monitor.store.base import KeptReceipt, Listed
from monitor.store.receipts.base import Receipts
from monitor.store.receipts.rows import digest_of
from monitor.store.rows import moment

_DETECTORS: Mapping[str, Callable[[Mapping[str, float]], Detector]] = {
    "share": lambda settings: ShareDetector(ShareSettings(**settings)),
    "volume": lambda settings: VolumeDetector(VolumeSettings(**settings)),
}
_RECOMPUTED = ("evalue", "threshold", "value", "baseline", "documents", "negative")
_ERASED = digest_of("", "")
_NAMED = 5
"""Documents that are named one by one in a sentence."""


class Outcome(StrEnum):
    """What one check came to."""

    SAME = "same"
    DIFFERS = "differs"
    CHANGED = "changed since"
    """Something else than then, which the receipt does not need to give its figure."""
    OPEN = "not checkable"


@dataclass(frozen=True, slots=True)
class Check:
    """One line of an audit."""

    what: str
    outcome: Outcome
    said: str


@dataclass(frozen=True, slots=True)
class Audit:
    """All that was checked of one alert."""

    alert_id: str
    checks: tuple[Check, ...]
    receipt: Receipt | None = None

    @property
    def outcome(self) -> Outcome:
        """`SAME`: the figure is reproduced; `DIFFERS`, or `OPEN`: it cannot be recomputed."""
        found = {check.outcome for check in self.checks}
        for worst in (Outcome.DIFFERS, Outcome.OPEN):
            if worst in found:
                return worst
        return Outcome.SAME


def audit(alert_id: str, receipts: Receipts, now: Provenance, keep_days: float) -> Audit:
    """Check an alert. ``now`` is what would compute today; documents are kept ``keep_days``, by
    event time. Raises ``StoreError``."""
    alert, kept = receipts.alert(alert_id), receipts.find(alert_id)
    if alert is None:
        return _open(alert_id, "alert", "there is no such alert; it may have been deleted for age")
    if kept is None:
        return _open(alert_id, "receipt", _why_none(alert))
    try:
        receipt = read_receipt(kept.body)
    except ValueError as error:
        return _open(alert_id, "receipt", f"it cannot be read: {error}")
    newest = receipts.newest()
    oldest = None if newest is None else newest.timestamp() - keep_days * 86_400
    documents = _Documents.compare(receipt, receipts, oldest)
    checks = [
        _sealed(alert, kept),
        _told(alert, receipt),
        *documents.checks(),
        *_counts(receipt, documents),
        *_figure(receipt, documents),
        *_provenance(receipt.provenance, now),
    ]
    return Audit(alert_id, tuple(checks), receipt)


def _open(alert_id: str, what: str, said: str) -> Audit:
    return Audit(alert_id, (Check(what, Outcome.OPEN, said),))


def _why_none(alert: Alert) -> str:
    if alert.fired_at is None:
        return f"the alert is {alert.status.value} and never fired: receipts are made of firing"
    if alert.detector not in _DETECTORS:
        return (
            f"an alert of the detector {alert.detector} has no figure that follows from counted "
            "documents, so there is nothing to recompute"
        )
    if alert.receipt:
        return f"it has been deleted; its SHA-256 was {alert.receipt}"
    return "the alert fired before receipts were kept"


def _sealed(alert: Alert, kept: KeptReceipt) -> Check:
    found = sha256_of(kept.body)
    if found == alert.receipt:
        return Check("receipt", Outcome.SAME, f"SHA-256 {found}, as the alert said")
    said = alert.receipt or "nothing"
    return Check("receipt", Outcome.DIFFERS, f"SHA-256 {found}, where the alert said {said}")


def _told(alert: Alert, receipt: Receipt) -> Check:
    """The alert's row against the receipt; its summary and evidence rest on these figures."""
    differing = _differing(receipt.figures, figures_of(alert))
    if not differing:
        return Check("alert", Outcome.SAME, "its figures are those of the receipt")
    return Check("alert", Outcome.DIFFERS, "; ".join(differing))


def _differing(then: Figures, now: Figures) -> list[str]:
    there, here = then.model_dump(), now.model_dump()
    return [
        f"{name} {there[name]!r} in the receipt, {here[name]!r} in the alert"
        for name in there
        if there[name] != here[name]
    ]


# ---------------------------------------------------------------------- documents and counts


@dataclass(frozen=True, slots=True)
class _Documents:
    """What has become of the documents of a receipt."""

    receipt: Receipt
    now: Mapping[str, Listed]
    expired: Sequence[str]
    """Deleted, as old as they are."""
    faults: Sequence[str]
    later: int
    """Documents of the window that came, or were counted, after the alert had fired."""
    flipped: Sequence[str]
    """Found to be copies since."""

    @classmethod
    def compare(cls, receipt: Receipt, receipts: Receipts, oldest: float | None) -> _Documents:
        """``oldest``: event time, in seconds, before which documents are deleted."""
        f = receipt.figures
        if not receipt.documents:
            return cls(receipt, {}, (), (), 0, ())
        since = moment(receipt.documents[0].published_ms)
        until = datetime.fromtimestamp(f.window_end, UTC)
        found = {d.id: d for d in receipts.listed(f.key, since, until, 2 * MOST)}
        missing = [entry.id for entry in receipt.documents if entry.id not in found]
        known = receipts.known(missing) if missing else set()
        expired: list[str] = []
        faults: list[str] = []
        flipped: list[str] = []
        for entry in receipt.documents:
            here = found.get(entry.id)
            if here is None and entry.id in known:
                faults.append(f"{entry.id} does not count for {f.key} any more")
            elif here is None:
                if oldest is not None and entry.published_ms / 1000 < oldest:
                    expired.append(entry.id)
                else:
                    faults.append(f"{entry.id} was deleted before its time")
            else:
                faults += _changes(entry, here)
                if here.copy_of and not entry.copy_of:
                    flipped.append(entry.id)
        listed = {entry.id for entry in receipt.documents}
        start = max(receipt.listed_from, f.window_start)
        later = sum(
            d.id not in listed and d.published_at.timestamp() >= start for d in found.values()
        )
        return cls(receipt, found, expired, faults, later, flipped)

    def checks(self) -> Iterator[Check]:
        """Each document, and what came since."""
        f, entries = self.receipt.figures, self.receipt.documents
        if not is_counted_by_itself(f.key):
            yield Check("documents", Outcome.CHANGED, _UNLISTED)
            return
        checked = len(entries) - len(self.expired)
        said = f"{checked} of {len(entries)} compared: text, verdict, author, time, offset"
        if self.expired:
            said += f"; {len(self.expired)} deleted by retention, of which the hashes are left"
        if self.faults:
            yield Check("documents", Outcome.DIFFERS, _some(self.faults))
        elif self.expired:
            yield Check("documents", Outcome.CHANGED, said)
        else:
            yield Check("documents", Outcome.SAME, said)
        if self.later:
            said = f"{self.later} documents of the window came in after it had fired"
            yield Check("later documents", Outcome.CHANGED, said)
        if self.flipped:
            said = f"found to repeat an earlier document: {_some(self.flipped)}"
            yield Check("later copies", Outcome.CHANGED, said)

    def recounted(self, then: bool) -> Recount:
        """The counts of the listed documents: as the receipt has them (``then``), or as they are
        stored, where they are, with what was known of copies then."""
        listed = (
            _listed(entry)
            if then or entry.id not in self.now
            else self.now[entry.id]._replace(copy_of=entry.copy_of)
            for entry in self.receipt.documents
            if then or entry.id in self.now or entry.id in self.expired
        )
        return recount(self.receipt.figures.key, listed)


_UNLISTED = (
    "counted together with others that are not followed one by one, decided bucket by bucket: "
    "its documents are not listed"
)


def _listed(entry: Entry) -> Listed:
    return Listed(
        entry.id,
        Origin(*entry.kafka),
        moment(entry.published_ms),
        entry.source,
        entry.author,
        entry.kind,
        TOPICS.index(entry.topic),
        entry.sentiment,
        entry.copy_of,
        entry.model_version,
        entry.text_sha256,
    )


def _changes(entry: Entry, here: Listed) -> Iterator[str]:
    then = _listed(entry)
    if here.text_sha256 != then.text_sha256:
        if here.text_sha256 == _ERASED:
            yield f"{entry.id}: its text was erased"
        else:
            yield (
                f"{entry.id}: another text (SHA-256 {then.text_sha256[:12]}… then, "
                f"{here.text_sha256[:12]}… now)"
            )
    for name in ("sentiment", "topic", "kind", "source", "author", "published_at", "origin"):
        before, after = getattr(then, name), getattr(here, name)
        if before != after:
            what = "verdict" if name == "sentiment" else name
            yield f"{entry.id}: {what} {_shown(before)} then, {_shown(after)} now"
    if here.model_version != then.model_version:
        yield f"{entry.id}: judged by {then.model_version} then, by {here.model_version} now"


def _shown(value: object) -> str:
    if isinstance(value, tuple):
        return "(" + ", ".join(_shown(each) for each in value) + ")"
    return f"{value:.6g}" if isinstance(value, float) else str(value)


def _counts(receipt: Receipt, documents: _Documents) -> Iterator[Check]:
    """Documents to buckets, buckets to what the detector saw."""
    f, cause = receipt.figures, receipt.cause
    if not is_counted_by_itself(f.key):
        return
    then = {count.start: (count.n, count.negative) for count in receipt.buckets}
    start = max(receipt.listed_from, f.window_start)
    again = _from(documents.recounted(then=True), start)
    now = _from(documents.recounted(then=False), start)
    if again != then:
        yield Check("counts", Outcome.DIFFERS, _between(then, again, "by the receipt's documents"))
    elif now != then:
        yield Check("counts", Outcome.DIFFERS, _between(then, now, "by the documents as stored"))
    else:
        total = sum(n for n, _ in now.values())
        negative = sum(x for _, x in now.values())
        said = f"{total} voices, {negative} negative, in {len(now)} buckets, counted again"
        if receipt.listed_from > f.window_start:
            said += f" from {_time(receipt.listed_from)} on, where the list begins to be whole"
        yield Check("counts", Outcome.SAME, said)
    seen = cause.spoken.get(f.key, (0, 0))
    if cause.start >= receipt.listed_from and then.get(cause.start, (0, 0)) != seen:
        n, negative = then.get(cause.start, (0, 0))
        said = (
            f"the detector saw {seen[0]} voices, {seen[1]} negative, in its last bucket, where "
            f"the documents gave {n}, {negative} already then"
        )
        yield Check("last bucket", Outcome.DIFFERS, said)
    if receipt.listed_from <= f.window_start:
        total = sum(n for n, _ in then.values())
        if total != f.documents:
            said = (
                f"{total} voices by the documents of the window, {f.documents} in the alert, then "
                "as now: a closed bucket that is corrected is not shown to the detector again"
            )
            yield Check("corrections", Outcome.CHANGED, said)


def _from(found: Recount, start: int) -> dict[int, tuple[int, int]]:
    return {bucket: counts for bucket, counts in found.sums.items() if bucket >= start}


def _between(
    then: Mapping[int, tuple[int, int]], now: Mapping[int, tuple[int, int]], by: str
) -> str:
    faults = [
        f"bucket {_time(start)}: {a[0]} voices, {a[1]} negative then, {b[0]}, {b[1]} {by}"
        for start in sorted({*then, *now})
        if (a := then.get(start, (0, 0))) != (b := now.get(start, (0, 0)))
    ]
    return _some(faults)


# ---------------------------------------------------------------------- the figure


def _figure(receipt: Receipt, documents: _Documents) -> Iterator[Check]:
    """The detector of then over its last bucket, by the code of now."""
    f = receipt.figures
    try:
        detector = _detector_of(receipt)
        witness = receipt.cause.witness(f.key)
        reading = detector.again(witness)
    except (TypeError, ValueError, KeyError) as error:
        said = (
            f"the alert is of {f.detector_version}, and {error}; check it with version "
            f"{receipt.provenance.program.version} of the program"
        )
        yield Check("figure", Outcome.OPEN, said)
        return
    faults = _off(f, reading)
    if faults:
        libraries = receipt.provenance.program.libraries
        made = ", ".join(f"{name} {of}" for name, of in libraries.items())
        yield Check("figure", Outcome.DIFFERS, f"{'; '.join(faults)} (then with {made})")
    else:
        said = (
            f"{f.detector_version}: evalue {f.evalue:.6g} of {f.threshold:.6g}, value "
            f"{f.value:.6g}, baseline {f.baseline:.6g}: to the bit"
        )
        yield Check("figure", Outcome.SAME, said)
    yield from _as_stored(receipt, documents, witness, detector)


def _detector_of(receipt: Receipt) -> Detector:
    """With the settings of then. ``ValueError``: this program has none that computes like it."""
    f = receipt.figures
    if (make := _DETECTORS.get(f.detector)) is None:
        raise ValueError(f"this program has no detector {f.detector}")
    detector = make(receipt.cause.settings)
    if detector.version != f.detector_version:
        raise ValueError(f"this program has {detector.version}")
    return detector


def _as_stored(
    receipt: Receipt, documents: _Documents, witness: Witness, detector: Detector
) -> Iterator[Check]:
    """What the figure would be with the documents of the last bucket as they are now."""
    f = receipt.figures
    if not is_counted_by_itself(f.key) or witness.start < receipt.listed_from:
        return
    then = documents.recounted(then=True).sums.get(witness.start, (0, 0))
    now = documents.recounted(then=False).sums.get(witness.start, (0, 0))
    if then == now:
        return
    spoken = {**witness.spoken, f.key: now}
    reading = detector.again(replace(witness, spoken=spoken))
    said = f"with the documents as stored: {'; '.join(_off(f, reading)) or 'the same'}"
    yield Check("figure now", Outcome.DIFFERS, said)


def _off(then: Figures, reading: Reading) -> list[str]:
    faults = [
        f"{name} {getattr(then, name)!r} then, {getattr(reading, name)!r} recomputed"
        for name in _RECOMPUTED
        if getattr(then, name) != getattr(reading, name)
    ]
    if reading.since != then.window_start:
        faults.append(f"the rise began {_time(reading.since)}, not {_time(then.window_start)}")
    if not reading.alarm:
        faults.append("no alarm")
    return faults


# ---------------------------------------------------------------------- then and now


def _provenance(then: Provenance, now: Provenance) -> Iterator[Check]:
    if then.configuration_sha256 == now.configuration_sha256:
        yield Check("configuration", Outcome.SAME, f"SHA-256 {then.configuration_sha256}")
    else:
        found = list(_settings(then.configuration, now.configuration))
        yield Check("configuration", Outcome.CHANGED, _some(found))
    if (then.model.version, then.model.files) == (now.model.version, now.model.files):
        yield Check("model", Outcome.SAME, f"version {then.model.version}")
    elif then.model.version != now.model.version:
        said = f"version {then.model.version} then, {now.model.version or 'none'} now"
        yield Check("model", Outcome.CHANGED, said)
    else:
        there, here = then.model.files, now.model.files
        names = sorted(n for n in {*there, *here} if there.get(n) != here.get(n))
        said = f"version {then.model.version}, with other {_some(names)}"
        yield Check("model", Outcome.CHANGED, said)
    before, after = then.program, now.program
    faults = [
        f"{name} {a} then, {b} now"
        for name, a, b in (
            ("version", before.version, after.version),
            ("rule", before.rule_sha256[:12], after.rule_sha256[:12]),
            *((n, of, after.libraries.get(n)) for n, of in before.libraries.items()),
        )
        if a != b
    ]
    if faults:
        yield Check("program", Outcome.CHANGED, "; ".join(faults))
    else:
        said = f"version {before.version}, rule {before.rule_sha256[:12]}…"
        yield Check("program", Outcome.SAME, said)


def _settings(then: Any, now: Any, place: str = "") -> Iterator[str]:
    """What differs between two trees, by its place."""
    if isinstance(then, Mapping) and isinstance(now, Mapping):
        for name in sorted({*then, *now}):
            yield from _settings(then.get(name), now.get(name), f"{place}.{name}".lstrip("."))
    elif then != now:
        yield f"{place} {then!r} then, {now!r} now"


def _some(names: Sequence[str]) -> str:
    more = len(names) - _NAMED
    return "; ".join(names[:_NAMED]) + (f"; and {more} more" if more > 0 else "")


def _time(seconds: int) -> str:
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%d %H:%M}"
