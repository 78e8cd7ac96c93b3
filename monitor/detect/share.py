"""Alarm when the share of negative documents of a key rises: a Shiryaev–Roberts e-detector.

Shin, Ramdas and Rinaldo, "E-detectors: a nonparametric framework for sequential change detection",
New England Journal of Statistics in Data Science. The statistic is a sum of likelihood ratios of
beta-binomial counts against an upper null p⁺; because E[M_t | past] <= 1 + γ·M_(t−1), the expected
number of alarms is at most what `budget` pays out, and it adds up over keys whatever their
dependence.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Collection, Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from monitor.detect.base import Reading, Recent
from monitor.detect.budget import census, classes, grants
from monitor.detect.null import Floats, Ints, scale_odds, share_log_ratio
from monitor.detect.table import (
    DAY_BUCKETS,
    HOUR_BUCKETS,
    LAG,
    NAMED,
    POOL,
    SORTS,
    KeyTable,
    Spoken,
    digest,
    left,
    mask,
    mean_of,
    slots,
)
from monitor.detect.witness import Witness
from monitor.events import BUCKET_SECONDS, Bucket
from monitor.keys import ALL, pair_of

RATIOS = np.array([1.4, 1.8, 2.5, 4.0])
"""Alternatives: odds of the share against the odds of p⁺."""
ONSET = 1
"""Index of the alternative that dates the beginning of a rise."""
HOT = 0.01
"""Of its threshold: from here on a key is looked at before its bucket is complete."""
_MOST = 1e30
_Number = TypeVar("_Number", float, Floats)

_ROW = np.dtype(
    [
        ("negative", "f8"),  # S: decayed sum of negative documents
        ("documents", "f8"),  # N: decayed sum of documents
        ("excess", "f4"),  # decayed Pearson excess and its weight: the overdispersion's moments
        ("pairs", "f4"),
        ("active", "f4"),  # decayed number of buckets with documents, of all, and of documents
        ("seen", "f4"),
        ("voices", "f4"),
        ("at", "i4"),  # the bucket to which the row has been advanced, since the epoch
        ("u", "f4", (len(RATIOS),)),  # M / c
        ("cusum", "f4"),
        ("since", "i4"),  # first bucket of the window
        ("window_n", "u4"),
        ("window_negative", "u4"),
        ("lag_n", "u4", (LAG,)),  # by bucket number modulo LAG
        ("lag_negative", "u4", (LAG,)),
    ]
)

_POOLS = {"company": "@company", "name": "@name", "watch": "@watch", "pair": "@company"}
_POOL_OF_CODE = {
    SORTS.index("company"): "@company",
    SORTS.index("name"): "@name",
    SORTS.index("watch"): "@watch",
}
_PAIR, _OTHER, _ALL = SORTS.index("pair"), SORTS.index("other"), SORTS.index("all")


@dataclass(frozen=True, slots=True)
class ShareSettings:
    """Parameters of the share detector."""

    budget: float = 0.5
    """Expected false alarms a day, over all keys together."""
    prior_weight: float = 50.0
    """Documents' worth of the parent's share in every baseline."""
    prior_share: float = 0.25
    """The parent's share for the whole stream, which has no parent."""
    half_life: float = 2.0
    """Half-life of the baseline in days, for a key with ``full_memory`` documents or more …"""
    full_memory: float = 500.0
    """… and longer in proportion for one with fewer: a sparse key must not forget what it knows."""
    margin: float = 1.25
    """Odds by which p⁺ stands above the baseline's upper confidence bound."""
    z: float = 1.28
    discount: float = 0.9
    """γ of the recursion."""
    prior_overdispersion: float = 0.05
    prior_pairs: float = 1000.0
    """Pairs of documents' worth of it in every key's overdispersion."""
    min_baseline: float = 40.0
    """Decayed documents below which a key is cold: it alerts through its parent."""


@dataclass(frozen=True, slots=True)
class _Part:
    """The rows that a bucket touches, advanced to it, and their null. All are [keys]."""

    keys: list[str]
    places: Ints
    rows: NDArray[Any]
    n: Ints
    x: Ints
    frozen: NDArray[np.bool_]
    base: Floats
    upper: Floats
    counted: NDArray[np.bool_]
    shared: Ints
    """Members of each class of the budget."""
    granted: Floats


class ShareDetector:
    """See the module. State per key: one row of 164 bytes; a step is vectorised over the keys.

    A baseline leans on its parent's share. Kinds and topics lean on the whole stream; companies,
    names and watched items on the pool of their sort, since what is said *towards* somebody is not
    what a text says as a whole; a company on a topic has the odds of the company times the odds by
    which the topic differs from the stream.
    """

    name = "share"

    def __init__(self, settings: ShareSettings | None = None) -> None:
        self._settings = settings or ShareSettings()
        self._table = KeyTable(_ROW)
        self._decay = 0.5 ** (1.0 / (self._settings.half_life * DAY_BUCKETS))
        self._hot: set[str] = set()
        self._bases: dict[str, float] = {}  # of keys that nobody touched, while the table is …
        self._based_on = (0, 0)  # … of this edition, for this bucket

    @property
    def version(self) -> str:
        return f"share-2/{digest(self._settings)}"

    @property
    def hot(self) -> Collection[str]:
        return self._hot

    def step(
        self,
        start: int,
        spoken: Spoken,
        firing: Collection[str],
        blind: Collection[str] = (),
    ) -> list[Reading]:
        now = start // BUCKET_SECONDS
        part = self._part(now, spoken, firing, blind)
        if part is None:
            return []
        rows, fires = part.rows, mask(part.keys, firing)
        self._update(now, part, fires, blind)
        level = mean_of(rows["u"])
        alarm = (level >= 1.0) & part.counted
        readings = [
            self._reading(
                part,
                i,
                bool(alarm[i]),
                # The table holds what was before this bucket.
                self._witness(start, part, i, firing, blind) if alarm[i] else None,
            )
            for i in np.flatnonzero(alarm | fires).tolist()
        ]
        self._table.put(part.keys, part.places, rows)
        self._hot.difference_update(part.keys)
        self._hot.update(part.keys[i] for i in np.flatnonzero(level >= HOT))
        return readings

    def look(self, start: int, spoken: Spoken, firing: Collection[str]) -> list[Reading]:
        """Optional stopping: the ratio is a martingale document by document, as the null is that of
        the bucket's beginning; what the bucket is granted is paid at its close, so that
        γ·u·L alone must reach the threshold."""
        now = start // BUCKET_SECONDS
        part = self._part(now, spoken.only(self._hot.difference(firing)), (), ())
        if part is None:
            return []
        self._peek(now, part)
        alarm = (mean_of(part.rows["u"]) >= 1.0) & part.counted
        return [
            self._reading(
                part, i, alarm=True, witness=self._witness(start, part, i, (), (), early=True)
            )
            for i in np.flatnonzero(alarm).tolist()
        ]

    def again(self, witness: Witness) -> Reading:
        now, spoken = witness.start // BUCKET_SECONDS, witness.touched()
        self.restore(witness.states.items())
        places = self._table.places(spoken.keys)
        part = self._part_of(now, spoken, places, witness.firing, witness.blind, witness.members())
        if witness.early:
            self._peek(now, part)
        else:
            self._update(now, part, mask(part.keys, witness.firing), witness.blind)
        i = part.keys.index(witness.key)
        level = mean_of(part.rows["u"])
        return self._reading(part, i, bool(level[i] >= 1.0 and part.counted[i]))

    def recent(self, key: str, since: int, start: int) -> Recent:
        row = self._table.one(key)
        if row is None:
            return Recent(0, 0.0, 0.0)
        now = start // BUCKET_SECONDS
        inside = slots(row["at"])[0] >= max(since // BUCKET_SECONDS, now - LAG + 1)
        n = int(row["lag_n"][0][inside].sum())
        if not n:  # as of most pairs
            return Recent(0, 0.0, 0.0)
        x = int(row["lag_negative"][0][inside].sum())
        return Recent(n, float(x), n * self._base_of(key, now))

    def learn(self, past: Iterable[Bucket], now: int) -> None:
        """As old as they are, so little they still weigh."""
        by_key: dict[str, list[Bucket]] = {}
        for bucket in past:
            by_key.setdefault(bucket.key, []).append(bucket)
        if not by_key:
            return
        keys = sorted(by_key)
        places = self._table.places(keys)
        rows = self._table.take(places)
        newest = now // BUCKET_SECONDS
        self._advance(rows, newest, np.zeros(len(keys), dtype=bool))
        for i, key in enumerate(keys):
            for bucket in by_key[key]:
                age = max(newest - bucket.start // BUCKET_SECONDS, 0)
                rows["documents"][i] += bucket.n * self._decay**age
                rows["negative"][i] += bucket.negative * self._decay**age
        self._table.put(keys, places, rows)

    def outlives_model(self, _key: str, /) -> bool:
        return False

    def forget(self, keys: Iterable[str]) -> None:
        gone = list(keys)
        self._table.forget(gone)
        self._hot.difference_update(gone)

    def drain(self) -> list[tuple[str, bytes]]:
        return self._table.drain()

    def restore(self, states: Iterable[tuple[str, bytes]]) -> None:
        self._table.restore(states)
        level = mean_of(self._table.column("u"))
        keys = list(self._table.index)
        self._hot = {keys[i] for i in np.flatnonzero(level >= HOT)}

    def accept(self, key: str) -> None:
        row = self._table.one(key)
        if row is None:
            return
        if (n := row["lag_n"].sum()) > 0:
            row["documents"], row["negative"] = n, row["lag_negative"].sum()
            row["lag_n"] = row["lag_negative"] = 0
        row["u"] = 0.0
        self._table.put([key], self._table.places([key]), row)

    # ------------------------------------------------------------------ the rows of a bucket

    def _part(
        self, now: int, spoken: Spoken, firing: Collection[str], blind: Collection[str]
    ) -> _Part | None:
        """The keys that speak, and those whose baselines stand still; None: there are none."""
        still = [key for key in (*firing, *blind) if key in self._table.index]
        spoken = spoken.beside(still)
        if not spoken.keys:
            return None
        places = self._table.places(spoken.keys)
        pools, n, x = self._pools(spoken, self._table.codes(places))
        keys = [*pools, *spoken.keys]  # an at sign sorts before all letters
        if pools:
            places = np.concatenate((self._table.places(pools), places))
        return self._part_of(now, Spoken(keys, n, x), places, firing, blind)

    def _part_of(
        self,
        now: int,
        touched: Spoken,
        places: Ints,
        firing: Collection[str],
        blind: Collection[str],
        shared: Ints | None = None,
    ) -> _Part:
        """The rows of these keys and pools. ``shared``: None, they are all that the bucket
        touches; else how many there were of each class of the budget."""
        keys, n = touched.keys, touched.n
        rows = self._table.take(places)
        frozen = mask(keys, {*firing, *blind})
        codes = self._table.codes(places)
        self._advance(rows, now, frozen)
        base, upper = self._null(now, keys, codes, rows)
        fires = mask(keys, firing)
        warm = rows["documents"] >= self._settings.min_baseline
        counted = (n > 0) & warm & ~fires & (codes != POOL)
        activity = rows["active"] / np.maximum(rows["seen"], 1.0) * DAY_BUCKETS
        group = classes(codes >= NAMED, activity)
        members = census(group, counted) if shared is None else shared
        granted = grants(self._settings.budget, group, counted, members)
        return _Part(
            keys, places, rows, n, touched.negative, frozen, base, upper, counted, members, granted
        )

    def _pools(self, spoken: Spoken, codes: NDArray[np.int8]) -> tuple[list[str], Ints, Ints]:
        """What all companies, names and watched items said together, before what each said."""
        there = np.bincount(codes, minlength=POOL)
        n, x = (np.bincount(codes, of, POOL) for of in (spoken.n, spoken.negative))
        found = sorted((pool, code) for code, pool in _POOL_OF_CODE.items() if there[code])
        inside = [code for _, code in found]
        return (
            [pool for pool, _ in found],
            np.concatenate((n[inside].astype(np.int64), spoken.n)),
            np.concatenate((x[inside].astype(np.int64), spoken.negative)),
        )

    def _advance(self, rows: NDArray[Any], now: int, frozen: NDArray[np.bool_]) -> None:
        """Bring rows to the bucket ``now``, in place: decay, and learn what is an hour old.

        One function for every gap, so that a key that was silent, one that was restored and one
        that spoke all the time agree to the byte wherever they were touched alike.
        """
        fresh = rows["at"] == 0
        rows["at"][fresh] = now - 1
        at = rows["at"].astype(np.int64)
        gap = np.maximum(now - at, 0)
        memory = np.minimum(rows["documents"] / self._settings.full_memory, 1.0)
        learning = ~frozen
        kept = np.where(learning, self._decay ** (memory * gap), 1.0)
        for field in ("negative", "documents", "excess", "pairs"):
            rows[field] *= kept
        passed = np.where(learning, self._decay**gap, 1.0)
        for field in ("active", "voices", "seen"):
            rows[field] *= passed
        rows["seen"] += (1.0 - passed) / (1.0 - self._decay)
        bucket = slots(at)
        slot, due = left(rows["lag_n"], bucket, now)
        if len(due):
            kept_in = learning[due]
            learned, of = due[kept_in], slot[kept_in]
            age = now - LAG - bucket[learned, of]
            weight = self._decay ** (memory[learned] * age)
            np.add.at(rows["documents"], learned, rows["lag_n"][learned, of] * weight)
            np.add.at(rows["negative"], learned, rows["lag_negative"][learned, of] * weight)
            rows["lag_n"][due, slot] = 0
            rows["lag_negative"][due, slot] = 0
        rows["at"] = np.maximum(at, now)

    # ------------------------------------------------------------------ baseline and null

    def _null(
        self, now: int, keys: Sequence[str], codes: NDArray[np.int8], rows: NDArray[Any]
    ) -> tuple[Floats, Floats]:
        """Baseline share p̂ and upper null p⁺, [keys] each."""
        s, there = self._settings, np.bincount(codes, minlength=POOL)
        negative, documents = rows["negative"], rows["documents"]

        def base_of(key: str, lean: float) -> float:
            i = bisect_left(keys, key)
            if i == len(keys) or keys[i] != key:
                return self._base_of(key, now)
            return self._lean(float(negative[i]), float(documents[i]), lean)

        stream = base_of(ALL, s.prior_share)
        of_code = np.full(POOL + 1, stream)
        of_code[_ALL] = s.prior_share
        for code, pool in _POOL_OF_CODE.items():
            if there[code]:
                of_code[code] = base_of(pool, stream)
        prior = of_code[codes]
        for i in np.flatnonzero(codes == _OTHER).tolist() if there[_OTHER] else ():
            prior[i] = self._prior_of(keys[i], now)
        base = self._lean(negative, documents, prior)
        if there[_PAIR]:
            pairs = np.flatnonzero(codes == _PAIR)
            known = dict(zip(keys, base.tolist(), strict=True))
            lone = base_of("@company", stream)
            sides = [pair_of(keys[i]) for i in pairs.tolist()]
            topic = np.array([known.get(t, stream) for t, _ in sides])
            company = np.array([known.get(c, lone) for _, c in sides])
            lean = scale_odds(company, topic / (1 - topic) * (1 - stream) / stream)
            base[pairs] = self._lean(negative[pairs], documents[pairs], lean)
        spread = 2 * base * (1 - base) / (documents + s.prior_weight)
        bound = base + s.z * np.sqrt(spread)
        return base, scale_odds(np.minimum(bound, 0.99), s.margin)

    def _lean(self, negative: _Number, documents: _Number, prior: _Number) -> _Number:
        weight = self._settings.prior_weight
        return (negative + weight * prior) / (documents + weight)

    def _base_of(self, key: str, now: int) -> float:
        """Baseline of one key, touched or not; nothing is changed."""
        if self._based_on != (self._table.edition, now):
            self._based_on, self._bases = (self._table.edition, now), {}
        if (base := self._bases.get(key)) is None:
            base = self._bases[key] = self._ask_base_of(key, now)
        return base

    def _ask_base_of(self, key: str, now: int) -> float:
        prior = self._prior_of(key, now)
        row = self._table.one(key)
        if row is None:
            return prior
        at = int(row["at"][0])
        if 0 < at < now:
            self._advance(row, now, np.zeros(1, dtype=bool))
        return self._lean(float(row["negative"][0]), float(row["documents"][0]), prior)

    def _prior_of(self, key: str, now: int) -> float:
        if key == ALL:
            return self._settings.prior_share
        sort, _, rest = key.partition(":")
        if sort == "pair":
            topic, company = (self._base_of(k, now) for k in pair_of(key))
            stream = self._base_of(ALL, now)
            odds = np.array([topic / (1 - topic) * (1 - stream) / stream])
            return float(scale_odds(np.array([company]), odds)[0])
        pool = _POOLS.get(rest if sort == "other" else sort)
        return self._base_of(pool or ALL, now)

    def _overdispersion(self, excess: Floats, pairs: Floats) -> Floats:
        """ρ⁺ = max(0.02, 1.5·ρ̂) of every key, [keys]; ρ̂ by moments, shrunk to a prior.

        Not pooled over the keys: pairs grow with n², so the whole stream would speak for all, and
        its share, a mean over topics, is far steadier than that of any one topic.
        """
        s = self._settings
        prior = s.prior_overdispersion * s.prior_pairs
        rho: Floats = (1.5 * excess + prior) / (pairs + s.prior_pairs)
        return np.minimum(np.maximum(rho.astype(np.float64), 0.02), 0.5)

    # ------------------------------------------------------------------ updates

    def _update(
        self, now: int, part: _Part, fires: NDArray[np.bool_], blind: Collection[str]
    ) -> None:
        """A whole bucket."""
        # What follows a page is a new rise: another window, and so another alert.
        if np.count_nonzero(fires):
            part.rows["u"][fires] = 0.0
            part.rows["cusum"][fires] = 0.0
        self._update_statistic(now, part)
        self._update_baseline(now, part, mask(part.keys, blind))

    def _peek(self, now: int, part: _Part) -> None:
        """The part of a bucket that is there already: nothing is granted before its end."""
        part.granted[:] = 0.0
        self._update_statistic(now, part)

    def _update_statistic(self, now: int, part: _Part) -> None:
        """u_j ← (g + γ·u_j)·L_j for the keys that spoke and are not cold."""
        where = part.counted.nonzero()[0]
        if not len(where):
            return
        rows, null = part.rows, part.upper[where]
        n, x = part.n[where], part.x[where]
        other = scale_odds(null[:, np.newaxis], RATIOS)
        rho = self._overdispersion(rows["excess"][where], rows["pairs"][where])
        log_ratio = share_log_ratio(x, n, null, other, rho)
        u = part.granted[where, np.newaxis] + self._settings.discount * rows["u"][where]
        rows["u"][where] = np.minimum(u * np.exp(log_ratio), _MOST)
        # Page's CUSUM at its last zero is the likeliest moment of the change: the window's start.
        cusum = rows["cusum"][where]
        rows["cusum"][where] = np.maximum(cusum, 0) + log_ratio[:, ONSET]
        begin = where[cusum <= 0]
        rows["since"][begin] = now
        rows["window_n"][begin] = 0
        rows["window_negative"][begin] = 0
        rows["window_n"][where] += n.astype(np.uint32)
        rows["window_negative"][where] += x.astype(np.uint32)

    def _update_baseline(self, now: int, part: _Part, blind: NDArray[np.bool_]) -> None:
        rows, n, x, base = part.rows, part.n, part.x, part.base
        spread = (x - n * base) ** 2 / (base * (1 - base)) - n
        still = np.count_nonzero(part.frozen)
        for field, added in (
            ("excess", spread),
            ("pairs", n * (n - 1.0)),
            ("active", n > 0),
            ("voices", n),
        ):
            if still:
                rows[field] = np.where(part.frozen, rows[field], rows[field] + added)
            else:
                rows[field] += added
        rows["lag_n"][:, now % LAG] = np.where(blind, 0, n)
        rows["lag_negative"][:, now % LAG] = np.where(blind, 0, x)

    def _witness(
        self,
        start: int,
        part: _Part,
        i: int,
        firing: Collection[str],
        blind: Collection[str],
        early: bool = False,
    ) -> Witness:
        key = part.keys[i]
        kin = kin_of(key)
        touched = np.flatnonzero(mask(part.keys, kin)).tolist()
        return Witness(
            key=key,
            start=start,
            early=early,
            states=self._table.states(kin),
            spoken={part.keys[j]: (int(part.n[j]), int(part.x[j])) for j in touched},
            firing=tuple(k for k in kin if k in firing),
            blind=tuple(k for k in kin if k in blind),
            shared=tuple(part.shared.tolist()),
            settings=asdict(self._settings),
        )

    def _reading(self, part: _Part, i: int, alarm: bool, witness: Witness | None = None) -> Reading:
        row, n = part.rows[i], int(part.n[i])
        window_n, negative = int(row["window_n"]), int(row["window_negative"])
        granted = float(part.granted[i])
        threshold = 1.0 / granted if granted > 0 else 1.0
        return Reading(
            key=part.keys[i],
            alarm=alarm,
            evalue=float(row["u"].mean()) * threshold,
            threshold=threshold,
            bucket_documents=n,
            observed=float(part.x[i]),
            upper=float(part.upper[i] * n),
            value=negative / window_n if window_n else 0.0,
            baseline=float(part.base[i]),
            documents=window_n,
            negative=negative,
            since=int(row["since"]) * BUCKET_SECONDS,
            rate=float(row["voices"] / max(row["seen"], 1.0)) * HOUR_BUCKETS,
            witness=witness,
        )


def kin_of(key: str) -> list[str]:
    """A key, and all keys and pools on which its null leans, in the order of their names."""
    sort, _, rest = key.partition(":")
    pool = _POOLS.get(rest if sort == "other" else sort)
    sides = pair_of(key) if sort == "pair" else ()
    return sorted({key, ALL, *sides, *([pool] if pool else ())})
