"""What share of negative documents is usual of a key, and the upper null that stands above it.

A baseline leans on its parent's share. Kinds and topics lean on the whole stream; companies,
names and watched items on the pool of their sort, since what is said *towards* somebody is not
what a text says as a whole; a company on a topic has the odds of the company times the odds by
which the topic differs from the stream.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from monitor.detect.null import Floats, Ints, scale_odds
from monitor.detect.share.rows import Part
from monitor.detect.share.settings import ShareSettings
from monitor.detect.table import LAG, POOL, SORTS, KeyTable, Spoken, left, slots
from monitor.keys import ALL, pair_of

_Number = TypeVar("_Number", float, Floats)

_POOLS = {"company": "@company", "name": "@name", "watch": "@watch", "pair": "@company"}
_POOL_OF_CODE = {SORTS.index(sort): pool for sort, pool in _POOLS.items() if sort != "pair"}
_PAIR, _OTHER, _ALL = SORTS.index("pair"), SORTS.index("other"), SORTS.index("all")


def kin_of(key: str) -> list[str]:
    """A key, and all keys and pools on which its null leans, in the order of their names."""
    sort, _, rest = key.partition(":")
    pool = _POOLS.get(rest if sort == "other" else sort)
    sides = pair_of(key) if sort == "pair" else ()
    return sorted({key, ALL, *sides, *([pool] if pool else ())})


def pooled(spoken: Spoken, codes: NDArray[np.int8]) -> tuple[list[str], Ints, Ints]:
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


class Baselines:
    """Of the keys of a table."""

    def __init__(self, settings: ShareSettings, table: KeyTable) -> None:
        self._settings = settings
        self._table = table
        self._bases: dict[str, float] = {}  # of keys that nobody touched, while the table is …
        self._based_on = (0, 0)  # … of this edition, for this bucket

    def advance(self, rows: NDArray[Any], now: int, frozen: NDArray[np.bool_]) -> None:
        """Bring rows to the bucket ``now``, in place: decay, and learn what is an hour old.

        One function for every gap, so that a key that was silent, one that was restored and one
        that spoke all the time agree to the byte wherever they were touched alike.
        """
        fresh = rows["at"] == 0
        rows["at"][fresh] = now - 1
        decay = self._settings.decay
        at = rows["at"].astype(np.int64)
        gap = np.maximum(now - at, 0)
        memory = np.minimum(rows["documents"] / self._settings.full_memory, 1.0)
        learning = ~frozen
        kept = np.where(learning, decay ** (memory * gap), 1.0)
        for field in ("negative", "documents", "excess", "pairs"):
            rows[field] *= kept
        passed = np.where(learning, decay**gap, 1.0)
        for field in ("active", "voices", "seen"):
            rows[field] *= passed
        rows["seen"] += (1.0 - passed) / (1.0 - decay)
        bucket = slots(at)
        slot, due = left(rows["lag_n"], bucket, now)
        if len(due):
            kept_in = learning[due]
            learned, of = due[kept_in], slot[kept_in]
            age = now - LAG - bucket[learned, of]
            weight = decay ** (memory[learned] * age)
            np.add.at(rows["documents"], learned, rows["lag_n"][learned, of] * weight)
            np.add.at(rows["negative"], learned, rows["lag_negative"][learned, of] * weight)
            rows["lag_n"][due, slot] = 0
            rows["lag_negative"][due, slot] = 0
        rows["at"] = np.maximum(at, now)

    def null(
        self, now: int, keys: Sequence[str], codes: NDArray[np.int8], rows: NDArray[Any]
    ) -> tuple[Floats, Floats]:
        """Baseline share p̂ and upper null p⁺, [keys] each."""
        s, there = self._settings, np.bincount(codes, minlength=POOL)
        negative, documents = rows["negative"], rows["documents"]

        def base_of(key: str, lean: float) -> float:
            i = bisect_left(keys, key)
            if i == len(keys) or keys[i] != key:
                return self.of(key, now)
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

    def of(self, key: str, now: int) -> float:
        """Baseline of one key, touched or not; nothing is changed."""
        if self._based_on != (self._table.edition, now):
            self._based_on, self._bases = (self._table.edition, now), {}
        if (base := self._bases.get(key)) is None:
            base = self._bases[key] = self._ask(key, now)
        return base

    def overdispersion(self, excess: Floats, pairs: Floats) -> Floats:
        """ρ⁺ = max(0.02, 1.5·ρ̂) of every key, [keys]; ρ̂ by moments, shrunk to a prior.

        Not pooled over the keys: pairs grow with n², so the whole stream would speak for all, and
        its share, a mean over topics, is far steadier than that of any one topic.
        """
        s = self._settings
        prior = s.prior_overdispersion * s.prior_pairs
        rho: Floats = (1.5 * excess + prior) / (pairs + s.prior_pairs)
        return np.minimum(np.maximum(rho.astype(np.float64), 0.02), 0.5)

    def _lean(self, negative: _Number, documents: _Number, prior: _Number) -> _Number:
        weight = self._settings.prior_weight
        return (negative + weight * prior) / (documents + weight)

    def _ask(self, key: str, now: int) -> float:
        prior = self._prior_of(key, now)
        row = self._table.one(key)
        if row is None:
            return prior
        at = int(row["at"][0])
        if 0 < at < now:
            self.advance(row, now, np.zeros(1, dtype=bool))
        return self._lean(float(row["negative"][0]), float(row["documents"][0]), prior)

    def _prior_of(self, key: str, now: int) -> float:
        if key == ALL:
            return self._settings.prior_share
        sort, _, rest = key.partition(":")
        if sort == "pair":
            topic, company = (self.of(k, now) for k in pair_of(key))
            stream = self.of(ALL, now)
            odds = np.array([topic / (1 - topic) * (1 - stream) / stream])
            return float(scale_odds(np.array([company]), odds)[0])
        pool = _POOLS.get(rest if sort == "other" else sort)
        return self.of(pool or ALL, now)


def hear(part: Part, now: int, blind: NDArray[np.bool_]) -> None:
    """Count what was said, in place; a share learns of it when it is an hour old."""
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
