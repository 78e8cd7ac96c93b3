"""The detector of then, taken over its last bucket again by the code of now."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace

from monitor.detect.base import Detector, Reading
from monitor.detect.share.detector import ShareDetector
from monitor.detect.share.settings import ShareSettings
from monitor.detect.volume.detector import VolumeDetector
from monitor.detect.volume.settings import VolumeSettings
from monitor.detect.witness import Witness
from monitor.receipt.base import Figures, Receipt
from monitor.receipt.check import Check, Outcome, minute
from monitor.receipt.documents import Documents
from monitor.receipt.make import is_counted_by_itself

DETECTORS: Mapping[str, Callable[[Mapping[str, float]], Detector]] = {
    "share": lambda settings: ShareDetector(ShareSettings(**settings)),
    "volume": lambda settings: VolumeDetector(VolumeSettings(**settings)),
}
"""Those whose alerts have a receipt, made of the settings of then."""
_RECOMPUTED = ("evalue", "threshold", "value", "baseline", "documents", "negative")


def figure(receipt: Receipt, documents: Documents) -> Iterator[Check]:
    """Its last bucket: to the bit, or what differs; and with the documents as they are stored."""
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
    if (make := DETECTORS.get(f.detector)) is None:
        raise ValueError(f"this program has no detector {f.detector}")
    detector = make(receipt.cause.settings)
    if detector.version != f.detector_version:
        raise ValueError(f"this program has {detector.version}")
    return detector


def _as_stored(
    receipt: Receipt, documents: Documents, witness: Witness, detector: Detector
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
        faults.append(f"the rise began {minute(reading.since)}, not {minute(then.window_start)}")
    if not reading.alarm:
        faults.append("no alarm")
    return faults
