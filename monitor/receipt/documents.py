"""What has become of the documents of a receipt, and what they count up to."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from monitor.events import TOPICS, Origin
from monitor.receipt.base import Entry, Receipt
from monitor.receipt.check import Check, Outcome, minute, some
from monitor.receipt.make import MOST, is_counted_by_itself
from monitor.receipt.recount import Recount, recount
from monitor.store.base import Listed
from monitor.store.receipts.base import Receipts
from monitor.store.receipts.rows import digest_of
from monitor.store.rows import moment

ERASED = digest_of("", "")
"""The hash of a text that was taken out."""
_UNLISTED = (
    "counted together with others that are not followed one by one, decided bucket by bucket: "
    "its documents are not listed"
)


@dataclass(frozen=True, slots=True)
class Documents:
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
    def compare(cls, receipt: Receipt, receipts: Receipts, oldest: float | None) -> Documents:
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
            yield Check("documents", Outcome.DIFFERS, some(self.faults))
        elif self.expired:
            yield Check("documents", Outcome.GONE, said)
        else:
            yield Check("documents", Outcome.SAME, said)
        if self.later:
            said = f"{self.later} documents of the window came in after it had fired"
            yield Check("later documents", Outcome.CHANGED, said)
        if self.flipped:
            said = f"found to repeat an earlier document: {some(self.flipped)}"
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
        if here.text_sha256 == ERASED:
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
            yield f"{entry.id}: {what} {shown(before)} then, {shown(after)} now"
    if here.model_version != then.model_version:
        yield f"{entry.id}: judged by {then.model_version} then, by {here.model_version} now"


def shown(value: object) -> str:
    if isinstance(value, tuple):
        return "(" + ", ".join(shown(each) for each in value) + ")"
    return f"{value:.6g}" if isinstance(value, float) else str(value)


def counts(receipt: Receipt, documents: Documents) -> Iterator[Check]:
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
            said += f" from {minute(receipt.listed_from)} on, where the list begins to be whole"
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
        f"bucket {minute(start)}: {a[0]} voices, {a[1]} negative then, {b[0]}, {b[1]} {by}"
        for start in sorted({*then, *now})
        if (a := then.get(start, (0, 0))) != (b := now.get(start, (0, 0)))
    ]
    return some(faults)
