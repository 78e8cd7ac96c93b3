"""Alarm when the share of negative documents of a key rises: a Shiryaev–Roberts e-detector.

Shin, Ramdas and Rinaldo, "E-detectors: a nonparametric framework for sequential change detection",
New England Journal of Statistics in Data Science. The statistic is a sum of likelihood ratios of
beta-binomial counts against an upper null p⁺; because E[M_t | past] <= 1 + γ·M_(t−1), the expected
number of alarms in T updates is at most T / c for any c, and it adds up over keys whatever their
dependence. So c = R / (B·w) keeps the whole installation at B false alarms a day.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import betaln

from monitor.detect.base import Reading
from monitor.detect.table import KeyTable, digest
from monitor.events import BUCKET_SECONDS, Bucket, Sums
from monitor.keys import ALL

Floats = NDArray[np.float64]

RATIOS = np.array([1.4, 1.8, 2.5, 4.0])
"""Alternatives: odds of the share against the odds of p⁺."""
ONSET = 1
"""Index of the alternative that dates the beginning of a rise."""
LAG = 12
"""Buckets by which the baseline follows (one hour)."""
UNHEARD = -1
"""In the place of a bucket's documents: a source did not speak, so nothing is learned from it."""
DAY_BUCKETS = 86_400 // BUCKET_SECONDS

_ROW = np.dtype(
    [
        ("negative", "f8"),  # S: decayed sum of negative documents
        ("documents", "f8"),  # N: decayed sum of documents
        ("excess", "f8"),  # decayed Pearson excess and its weight: the overdispersion's moments
        ("pairs", "f8"),
        ("active", "f8"),  # decayed number of buckets with documents, and of all
        ("seen", "f8"),
        ("m", "f8", (4,)),
        ("cusum", "f8"),
        ("lag_n", "i4", (LAG,)),
        ("lag_negative", "i4", (LAG,)),
        ("since", "i8"),
        ("window_n", "i8"),
        ("window_negative", "i8"),
    ]
)


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


class ShareDetector:
    """See the module. State per key: one row of 200 bytes; a step is vectorised over the keys."""

    name = "share"

    def __init__(self, keys: Iterable[str], settings: ShareSettings | None = None) -> None:
        self._settings = settings or ShareSettings()
        initial = np.zeros((), dtype=_ROW)
        self._table = KeyTable(_ROW, keys, initial)
        self._decay = 0.5 ** (1.0 / (self._settings.half_life * DAY_BUCKETS))
        self._dirty = False

    @property
    def version(self) -> str:
        return f"share-1/{digest(self._settings)}"

    def step(
        self,
        start: int,
        sums: Mapping[str, Sums],
        firing: Collection[str],
        blind: Collection[str] = (),
    ) -> list[Reading]:
        n, x = self._table.counts(sums)
        rows = self._table.rows
        base, upper = self._null()
        spoke = n > 0
        self._update_statistic(start, n, x, upper, spoke)
        threshold = self._thresholds()
        frozen = self._table.mask(firing)
        self._update_baseline(n, x, base, frozen, self._table.mask(blind))
        evalue = rows["m"].sum(axis=1) / len(RATIOS)
        alarm = (evalue >= threshold) & spoke & ~frozen
        self._dirty = True
        readings = []
        for i in np.flatnonzero(alarm | frozen):
            row = rows[i]
            window_n = int(row["window_n"])
            readings.append(
                Reading(
                    key=self._table.keys[i],
                    alarm=bool(alarm[i]),
                    evalue=float(evalue[i]),
                    threshold=float(threshold[i]),
                    bucket_documents=int(n[i]),
                    observed=float(x[i]),
                    upper=float(upper[i] * n[i]),
                    value=float(row["window_negative"] / window_n) if window_n else 0.0,
                    baseline=float(base[i]),
                    documents=window_n,
                    negative=int(row["window_negative"]),
                    since=int(row["since"]),
                )
            )
        # What follows a page is a new rise: another window, and so another alert.
        rows["m"][frozen] = 0.0
        rows["cusum"][frozen] = 0.0
        return readings

    def learn(self, past: Iterable[Bucket], now: int) -> None:
        """As old as they are, so little they still weigh."""
        known = list(past)
        self._table.add(bucket.key for bucket in known)
        for bucket in known:
            age = max((now - bucket.start) // BUCKET_SECONDS, 0)
            row = self._table.rows[self._table.index[bucket.key]]
            row["documents"] += bucket.n * self._decay**age
            row["negative"] += bucket.negative * self._decay**age
            self._dirty = True

    def outlives_model(self, _key: str, /) -> bool:
        return False

    def drain(self) -> list[tuple[str, bytes]]:
        if not self._dirty:
            return []
        self._dirty = False
        return self._table.dump()

    def restore(self, states: Iterable[tuple[str, bytes]]) -> None:
        self._table.restore(states)
        self._dirty = False

    def accept(self, key: str) -> None:
        row = self._table.rows[self._table.index[key]]
        heard = row["lag_n"] != UNHEARD
        if heard.any():
            row["documents"] = row["lag_n"][heard].sum()
            row["negative"] = row["lag_negative"][heard].sum()
        row["m"] = 0.0

    def _null(self) -> tuple[Floats, Floats]:
        """Baseline share p̂ and upper null p⁺ of every key, [keys] each."""
        s = self._settings
        rows = self._table.rows
        negative, documents = rows["negative"], rows["documents"]
        root = self._table.index[ALL]
        parent = (negative[root] + s.prior_weight * s.prior_share) / (
            documents[root] + s.prior_weight
        )
        prior = np.full(len(rows), parent)
        prior[root] = s.prior_share
        base = (negative + s.prior_weight * prior) / (documents + s.prior_weight)
        bound = base + s.z * np.sqrt(2 * base * (1 - base) / (documents + s.prior_weight))
        return base, _scale_odds(np.minimum(bound, 0.99), s.margin)

    def _update_statistic(
        self,
        start: int,
        n: NDArray[np.int64],
        x: NDArray[np.int64],
        upper: Floats,
        spoke: NDArray[np.bool_],
    ) -> None:
        """M_j ← (1 + γ·M_j)·L_j for the keys that spoke and are not cold."""
        s = self._settings
        rows = self._table.rows
        where = np.flatnonzero(spoke & (rows["documents"] >= s.min_baseline))
        if not len(where):
            return
        null = upper[where, np.newaxis]
        p = np.hstack((null, _scale_odds(null, RATIOS)))  # [counted, 1 + alternatives]
        rho = self._overdispersion()[where, np.newaxis]
        log_p = _log_beta_binomial(x[where, np.newaxis], n[where, np.newaxis], p, rho)
        log_ratio = log_p[:, 1:] - log_p[:, :1]
        m = rows["m"][where]
        rows["m"][where] = np.minimum((1.0 + s.discount * m) * np.exp(log_ratio), 1e100)
        # Page's CUSUM at its last zero is the likeliest moment of the change: the window's start.
        cusum = rows["cusum"][where]
        rows["cusum"][where] = np.maximum(cusum, 0) + log_ratio[:, ONSET]
        begin = where[cusum <= 0]
        rows["since"][begin] = start
        rows["window_n"][begin] = 0
        rows["window_negative"][begin] = 0
        rows["window_n"][where] += n[where]
        rows["window_negative"][where] += x[where]

    def _thresholds(self) -> Floats:
        """c = R / (B·w) of every key, with equal weights; R is its updates a day."""
        rows = self._table.rows
        share = (rows["active"] + 1.0) / (rows["seen"] + 1.0)
        updates = np.maximum(share * DAY_BUCKETS, 1.0)
        thresholds: Floats = updates * len(rows) / self._settings.budget
        return thresholds

    def _update_baseline(
        self,
        n: NDArray[np.int64],
        x: NDArray[np.int64],
        base: Floats,
        frozen: NDArray[np.bool_],
        blind: NDArray[np.bool_],
    ) -> None:
        rows = self._table.rows
        old_n, old_x = push(rows["lag_n"], n), push(rows["lag_negative"], x)
        rows["lag_n"][blind] = UNHEARD
        learning = ~frozen & ~blind & (old_n != UNHEARD)
        decay = self._decay ** np.minimum(rows["documents"] / self._settings.full_memory, 1.0)
        spread = (x - n * base) ** 2 / (base * (1 - base)) - n
        for field, added in (
            ("negative", old_x),
            ("documents", old_n),
            ("excess", spread),
            ("pairs", n * (n - 1.0)),
            ("active", n > 0),
            ("seen", np.ones(len(n))),
        ):
            np.copyto(rows[field], rows[field] * decay + added, where=learning)

    def _overdispersion(self) -> Floats:
        """ρ⁺ = max(0.02, 1.5·ρ̂) of every key, [keys]; ρ̂ by moments, shrunk to a prior.

        Not pooled over the keys: pairs grow with n², so the whole stream would speak for all, and
        its share, a mean over topics, is far steadier than that of any one topic.
        """
        s = self._settings
        rows = self._table.rows
        prior = s.prior_overdispersion * s.prior_pairs
        rho: Floats = (1.5 * rows["excess"] + prior) / (rows["pairs"] + s.prior_pairs)
        return np.clip(rho, 0.02, 0.5)


def push(lag: NDArray[np.int32], newest: NDArray[np.int64]) -> NDArray[np.int32]:
    """Shift the columns of ``lag`` [keys, LAG] by one, in place; returns the oldest, [keys]."""
    oldest = lag[:, 0].copy()
    lag[:, :-1] = lag[:, 1:]
    lag[:, -1] = newest
    return oldest


def _scale_odds(p: Floats, ratio: float | Floats) -> Floats:
    odds = p / (1 - p) * ratio
    scaled: Floats = odds / (1 + odds)
    return scaled


def _log_beta_binomial(
    x: NDArray[np.int64], n: NDArray[np.int64], p: Floats, rho: Floats
) -> Floats:
    """ln BB(x; n, p, ρ) up to a constant in p: betaln(x + a, n − x + b) − betaln(a, b)."""
    a = p * (1 - rho) / rho
    b = (1 - p) * (1 - rho) / rho
    value: Floats = betaln(x + a, n - x + b) - betaln(a, b)
    return value
