"""Alarm when a key speaks far more than it should at this hour of the week.

Negative-binomial likelihood ratios L = r^x·((κ + μ)/(κ + r·μ))^(x + κ) in the same recursion as
`share`, against μ⁺ = slack × level × hour-of-week factor. Bursty volume breaks the exact bound, so
the budget of this detector is calibrated by experience, not proven.

Voices of a name come in clumps: several in one bucket are hardly more than one. So for names
1/κ = 1/2 + (φ − 1)/μ, where φ is the variance of a bucket over its mean, pooled over all names that
seldom speak: clumps of logarithmic size, and what the alternatives have more of is clumps. And they
follow one another: each clump adds η/12 to what is expected in each of the next twelve buckets,
under the alternatives as well (a self-exciting null, as Hawkes's of 1971). η is the part of all
voices that follow another within the hour, of the same names.

A name that was never heard before has a null: what new names go on to say on the day after they
were first heard, a gamma prior that its own voices then move. Its own voices move it late, and not
at all while they come sooner than they should: of who is spoken of ten times a day and never was
before, a baseline that follows by an hour would soon say that this is usual.

What is looked for in a name is bad news: more voices that are more negative. So its ratio is that
of a marked process: the count's, times that of the beta-binomial negative voices among them, whose
expectation under the null is 1 whatever the count. The null is the name's own share, shrunk to that
of all names that seldom speak.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import asdict, astuple, dataclass, fields
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from monitor.detect.base import Reading, Recent
from monitor.detect.budget import census, classes, grants
from monitor.detect.null import (
    MOST_LOG,
    Floats,
    Ints,
    scale_odds,
    share_log_ratio,
    silence_log_ratio,
    volume_log_ratios,
)
from monitor.detect.season import WEEK_HOURS, Course, Seasonality, hour_of_week
from monitor.detect.table import (
    DAY_BUCKETS,
    HOUR_BUCKETS,
    LAG,
    NAMED,
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
from monitor.keys import ALL

RATIOS = np.array([1.4, 1.8, 2.5, 4.0, 12.0, 40.0])
"""Alternatives: the first four of what everything counts for, the last four of names, which are
hardly ever spoken of."""
ONSET = 1
"""Index of the alternative that dates the beginning of a rise."""
SELDOM = 0.5
"""Voices a bucket up to which a name tells how voices clump."""
ECHO = 0.25
"""Of η, what the null has: of the followers the other part are what is to be found. Calibrated by
simulation (`bursts` of tests/benchmarks/detect.py)."""
MARGIN = 1.5
"""Odds of the upper null's negative share against those of what is usual of a name …"""
WORSE = np.array([[3.0]])
"""… and of the alternatives' against the upper null's."""
ALIKE = np.array([0.3])
"""ρ: voices of one bucket about a name mostly say the same."""
MOST_IN_CLUMP = 30
MOST_IN_BURST = 10
"""Voices of a burst that tell what is usual of new names."""
HOLD = 0.003
"""Of its threshold: from here on nothing is learned of a key, up to the alarm or until the evidence
has fallen …"""
RISING = 1.0
"""… and of a name from this evidence of the alternative `ONSET` on, in nats (two voices much sooner
than they were to be expected), if it has been listened for so many days: a level of which little
is known must still be learned."""
KNOWN = 3.0
DELAY = 3.0
"""Days by which the level of a name follows, on average …"""
YOUTH = 0.25
"""… but no more than this part of what the installation has seen."""
GROUPS = "@groups"
"""Name under which the rhythms and priors of the groups are stored; not a key."""
_MOST = 1e30
_EACH = np.ones(LAG)
_SEASONS = (ALL, "kind:news", "kind:comment", "named")
_NAMED_SEASON = len(_SEASONS) - 1
_SEASON_OF_CODE = np.array(
    [1 if s == "kind:news" else 2 if s == "kind:comment" else 0 if s in (ALL, "topic") else 3
     for s in SORTS]
)  # fmt: skip
_CORE = len([s for s in SORTS if s in (ALL, "topic") or s.startswith("kind")])

_ROW = np.dtype(
    [
        ("documents", "f4"),  # decayed sum of documents / factor, and of buckets
        ("exposure", "f4"),
        ("young", "f4"),  # the same of late, which a name's level has not followed yet
        ("young_exposure", "f4"),
        ("negative", "f4"),  # negative ones among the documents, and among the young
        ("young_negative", "f4"),
        ("born", "i4"),  # first bucket, and the one to which the row has been advanced
        ("at", "i4"),
        ("u", "f4", (len(RATIOS),)),  # M / c
        ("cusum", "f4"),
        ("since", "i4"),
        ("window_n", "u4"),
        ("window_negative", "u4"),
        ("window_expected", "f4"),
        ("lag", "u4", (LAG,)),  # by bucket number modulo LAG
    ]
)


@dataclass(frozen=True, slots=True)
class VolumeSettings:
    """Parameters of the volume detector."""

    budget: float = 0.5
    """Expected false alarms a day, over all keys together (calibrated, not proven)."""
    slack: float = 2.0
    """μ⁺ against the expected count."""
    dispersion: float = 2.0
    """κ of the negative binomial: variance μ + μ²/κ."""
    half_life: float = 7.0
    """Half-life of the level in days."""
    warm_up: float = 1.0
    """Days that a topic, or for names the installation, is watched before it may alarm."""
    discount: float = 0.9
    """γ of the recursion."""
    new_voices: float = 0.5
    """Voices of a new name in the day after its first, before new names have been seen …"""
    new_weight: float = 5.0
    """… and how many new names this weighs."""
    clumping: float = 2.0
    """φ before it has been measured …"""
    clumping_weight: float = 200.0
    """… and how many voices this weighs."""
    following: float = 0.2
    """η before it has been measured."""
    share: float = 0.25
    """Negative share of names before it has been measured …"""
    share_weight: float = 10.0
    """… and how many voices the share of all names weighs in that of one."""


@dataclass(slots=True)
class _Pool:
    """What is known of all names together; decayed with the levels."""

    buckets: float = 0.0  # undecayed: how warm the installation is
    births: float = 0.0
    first_day: float = 0.0  # voices after the first
    spread: float = 0.0  # Σ n·(n − μ) over names that seldom speak, and Σ n
    voices: float = 0.0
    followers: float = 0.0  # of these voices, those within an hour of another
    negative: float = 0.0  # and those that are negative


_POOLED = len(fields(_Pool))


@dataclass(frozen=True, slots=True)
class _Part:
    """The rows that a bucket touches, advanced to it. All are [keys]."""

    keys: list[str]
    places: Ints
    rows: NDArray[Any]
    codes: NDArray[np.int8]
    n: Ints
    x: Ints
    frozen: NDArray[np.bool_]
    fires: NDArray[np.bool_]
    shared: Ints | None = None
    """Members of each class of the budget; None: they are all that the bucket touches."""


class _Prior(NamedTuple):
    """What is known of a level before its own voices. All are [keys]."""

    documents: Floats
    buckets: Floats
    spare: Floats
    """Documents that are added to an upper estimate where there is no prior."""
    least: Floats
    """Documents a bucket that nobody has less than."""


@dataclass(frozen=True, slots=True)
class _Judged:
    """What a bucket came to. All are [keys], but for the members of each class of the budget."""

    alarm: NDArray[np.bool_]
    evidence: Floats
    granted: Floats
    expected: Floats
    usual: Floats
    shared: Ints


class VolumeDetector:
    """See the module. Empty buckets count too: silence is evidence that a burst has ended.

    State per key: one row of 124 bytes; a step is vectorised over the keys that speak.
    """

    name = "volume"

    def __init__(self, settings: VolumeSettings | None = None) -> None:
        self._settings = settings or VolumeSettings()
        self._decay = 0.5 ** (1.0 / (self._settings.half_life * DAY_BUCKETS))
        self._stepped = False
        self.restore(())

    @property
    def version(self) -> str:
        return f"volume-5/{digest(self._settings)}"

    @property
    def hot(self) -> Collection[str]:
        return ()

    def step(
        self,
        start: int,
        spoken: Spoken,
        firing: Collection[str],
        blind: Collection[str] = (),
    ) -> list[Reading]:
        now = start // BUCKET_SECONDS
        spoken = spoken.beside(key for key in (*firing, *blind) if key in self._table.index)
        named = 0
        readings: list[Reading] = []
        if spoken.keys:
            part = self._part(spoken, firing, blind)
            fresh = part.rows["at"] == 0
            judged = self._update(now, part, mask(part.keys, blind))
            readings = [
                self._reading(
                    now,
                    part,
                    i,
                    judged,
                    # The table, the rhythms and the pool are what they were before this bucket.
                    self._witness(start, part, i, judged, blind) if judged.alarm[i] else None,
                )
                for i in np.flatnonzero(judged.alarm | part.fires).tolist()
            ]
            self._learn_names(now, part, fresh, judged)
            self._table.put(part.keys, part.places, part.rows)
            named = int(spoken.n[part.codes >= _CORE].sum())
        self._learn_groups(now, spoken, named, {*firing, *blind})
        return readings

    def look(self, start: int, spoken: Spoken, firing: Collection[str]) -> list[Reading]:  # noqa: ARG002
        """Nothing: part of a bucket says little of how full it will be."""
        return []

    def again(self, witness: Witness) -> Reading:
        self.restore(witness.states.items())
        part = self._part(witness.touched(), witness.firing, witness.blind, witness.members())
        now = witness.start // BUCKET_SECONDS
        judged = self._update(now, part, mask(part.keys, witness.blind))
        return self._reading(now, part, part.keys.index(witness.key), judged)

    def recent(self, key: str, since: int, start: int) -> Recent:
        row = self._table.one(key)
        if row is None:
            return Recent(0, 0.0, 0.0)
        now = start // BUCKET_SECONDS
        first = max(since // BUCKET_SECONDS, now - LAG + 1)
        inside = slots(row["at"])[0] >= first
        n = int(row["lag"][0][inside].sum())
        code = self._table.codes(self._table.places([key]))
        group = _SEASON_OF_CODE[code]
        factor = float(self._course().between(group, np.array([first]), now + 1)[0])
        return Recent(n, float(n), float(self._mean(row, self._prior(code >= _CORE))[0]) * factor)

    def learn(self, past: Iterable[Bucket], now: int) -> None:
        """Nothing: the last forty items of a feed say how it speaks, not how often."""

    def outlives_model(self, key: str, /) -> bool:
        # How much is written does not depend on who judges it; how much on a topic does, and which
        # unlisted names are found.
        return key.partition(":")[0] not in ("topic", "name", "pair")

    def forget(self, keys: Iterable[str]) -> None:
        self._table.forget(keys)

    def drain(self) -> list[tuple[str, bytes]]:
        drained = self._table.drain()
        if not self._stepped:
            return drained
        self._stepped = False
        return [*drained, (GROUPS, self._groups())]

    def restore(self, states: Iterable[tuple[str, bytes]]) -> None:
        by_key = dict(states)
        self._pool = _Pool()
        self._seasons = Seasonality.unknown(len(_SEASONS))
        self._known_course: Course | None = None
        if (groups := by_key.pop(GROUPS, None)) is not None:
            values = np.frombuffer(groups, dtype=np.float64)
            self._pool = _Pool(*values[:_POOLED].tolist())
            shape = (len(_SEASONS), 2, WEEK_HOURS)
            self._seasons = Seasonality(values[_POOLED:].reshape(shape).copy())
        self._table = KeyTable(_ROW)
        self._table.restore(by_key.items())
        self._stepped = False

    def accept(self, key: str) -> None:
        row = self._table.one(key)
        if row is None:
            return
        (code,) = self._table.codes(self._table.places([key]))
        at = int(row["at"][0])
        if code >= _CORE:  # the last hour says little of who is spoken of ten times a day
            first, n = int(row["since"][0]), int(row["window_n"][0])
        else:
            first, n = at - LAG + 1, int(row["lag"].sum())
        if n > 0:  # when nothing was heard that is no new level
            group, begin = _SEASON_OF_CODE[[code]], np.array([first])
            row["exposure"] = at - first + 1
            row["documents"] = n * row["exposure"] / self._course().between(group, begin, at + 1)
            row["negative"] = row["documents"] * row["window_negative"] / row["window_n"]
            row["young"] = row["young_exposure"] = row["young_negative"] = 0.0
            row["lag"] = 0
        row["u"] = row["cusum"] = 0.0
        self._table.put([key], self._table.places([key]), row)

    def _groups(self) -> bytes:
        """The rhythms and priors of the groups as they are stored."""
        return np.array(astuple(self._pool)).tobytes() + self._seasons.state.tobytes()

    # ------------------------------------------------------------------ one bucket

    def _part(
        self,
        spoken: Spoken,
        firing: Collection[str],
        blind: Collection[str],
        shared: Ints | None = None,
    ) -> _Part:
        keys, places = spoken.keys, self._table.places(spoken.keys)
        rows, codes = self._table.take(places), self._table.codes(places)
        frozen, fires = mask(keys, {*firing, *blind}), mask(keys, firing)
        return _Part(keys, places, rows, codes, spoken.n, spoken.negative, frozen, fires, shared)

    def _update(self, now: int, part: _Part, blind: NDArray[np.bool_]) -> _Judged:
        s, rows, n, codes = self._settings, part.rows, part.n, part.codes
        group = _SEASON_OF_CODE[codes]
        course, named = self._course(), codes >= _CORE
        prior = self._prior(named)
        fresh = rows["at"] == 0
        if np.count_nonzero(fresh):
            rows["at"][fresh] = now - 1
            rows["born"][fresh] = now
            rows["exposure"][fresh & named] = self._unheard
        at = rows["at"].astype(np.int64)
        excess = self._excess(named)
        if np.count_nonzero(part.fires):  # what follows a page is a new rise
            rows["u"][part.fires] = 0.0
            rows["cusum"][part.fires] = 0.0
        passed_factor = course.between(group, at + 1, now)
        # Between them are ``now - 1 - at`` buckets that were passed over.
        self._pass_over(part, now - 1 - at, self._level(rows, prior) * passed_factor, excess)
        self._advance(rows, now, part.frozen, codes, course)
        factor = course.at(group, now)
        level = self._level(rows, prior)
        expected = level * factor
        clumps = (rows["lag"] > 0) @ _EACH
        echo = np.where(named, self._following * clumps / LAG, 0.0)
        mu = s.slack * expected

        age = now - rows["born"]
        warm_up = s.warm_up * DAY_BUCKETS
        warm = np.where(named, self._pool.buckets, age) >= warm_up
        kept = warm & ~part.fires
        counted = kept & (n > 0)
        activity = np.minimum(level, 1.0) * DAY_BUCKETS
        shares = classes(codes >= NAMED, activity)
        members = census(shares, counted) if part.shared is None else part.shared
        granted = grants(s.budget, shares, counted, members)
        self._update_statistic(now, part, mu, echo, excess, granted, kept)
        self._update_window(part, n, expected)
        rows["lag"][:, now % LAG] = np.where(blind, 0, n)
        rows["young_negative"] += np.where(named & ~part.frozen, part.x / factor, 0.0)
        evidence = _evidence(rows, named)
        alarm = (evidence >= 1.0) & counted
        usual = self._mean(rows, prior) * HOUR_BUCKETS
        return _Judged(alarm, evidence, granted, expected, usual, members)

    def _advance(
        self,
        rows: NDArray[Any],
        now: int,
        frozen: NDArray[np.bool_],
        codes: NDArray[np.int8],
        course: Course,
    ) -> None:
        """Bring rows to the bucket ``now``, in place: the level decays and learns what is an hour
        old, that of a name what is older. One function for every gap, as in `share`."""
        at, named, group = rows["at"].astype(np.int64), codes >= _CORE, _SEASON_OF_CODE[codes]
        known = named & (rows["exposure"] >= KNOWN * DAY_BUCKETS)
        rising = (_evidence(rows, named) >= HOLD) | (known & (rows["cusum"] >= RISING))
        learning = ~frozen & ~rising
        gap = np.maximum(now - at, 0)
        # An exposure, too, follows an hour behind; a row that is younger has none.
        behind = now - LAG - np.maximum(at - LAG, rows["born"] - 1)
        exposed = np.minimum(np.maximum(behind, 0), gap)
        heard = ~frozen & (named | learning)
        rows["young_exposure"] += np.where(heard, exposed, 0)
        bucket = slots(at)
        slot, due = left(rows["lag"], bucket, now)
        if len(due):
            kept_in = heard[due]
            kept, of = due[kept_in], slot[kept_in]
            factor = course.at(group[kept], bucket[kept, of])
            np.add.at(rows["young"], kept, rows["lag"][kept, of] / factor)
            rows["lag"][due, slot] = 0
        passed = np.where(learning, self._decay**gap, 1.0)
        delay = max(min(DELAY * DAY_BUCKETS, YOUTH * self._pool.buckets), 1.0)
        part = np.where(named, -np.expm1(-gap / delay), 1.0) * learning
        left_young = 1.0 - part
        for total, fresh in (
            ("documents", "young"),
            ("exposure", "young_exposure"),
            ("negative", "young_negative"),
        ):
            rows[total] = rows[total] * passed + rows[fresh] * part
            rows[fresh] *= left_young
        rows["at"] = np.maximum(at, now)

    def _pass_over(self, part: _Part, silent: Ints, expected: Floats, excess: Floats) -> None:
        """The evidence of the buckets since the last touch, which were all empty.

        The log-ratio of an empty bucket is convex in μ, so that as many times that of the mean μ is
        the most that such a silence can weigh: the statistic falls at least as far as it should.
        There is no discount of γ: who is spoken of three times an hour, and was not spoken of for
        weeks, must be able to add that up. But it fades as levels do: what adds up over two months
        is no event.
        """
        where = (silent > 0).nonzero()[0]
        if not len(where):
            return
        rows, k = part.rows, silent[where].astype(np.float64)
        mu = self._settings.slack * expected[where] / k
        log_ratio = silence_log_ratio(mu, excess[where], self._spread, RATIOS) * k[:, np.newaxis]
        fading = (self._decay**k)[:, np.newaxis]
        rows["u"][where] = rows["u"][where] * np.exp(log_ratio) * fading
        rows["cusum"][where] = np.maximum(rows["cusum"][where] + log_ratio[:, ONSET], 0.0)
        rows["window_expected"][where] += expected[where]

    def _update_statistic(
        self,
        now: int,
        part: _Part,
        mu: Floats,
        echo: Floats,
        excess: Floats,
        granted: Floats,
        kept: NDArray[np.bool_],
    ) -> None:
        """u_j ← (g_j + γ·u_j)·L_j.

        A key is granted something only where it speaks, and that it speaks is what is tested: what
        it may cost is P(speaks | alternative j) / P(speaks | null) of the grant, so g_j is less.
        """
        rows = part.rows
        null = mu + echo
        ratios = (mu[:, np.newaxis] * RATIOS + echo[:, np.newaxis]) / null[:, np.newaxis]
        log_ratio, silence, silent = volume_log_ratios(part.n, null, excess, self._spread, ratios)
        empty = silence * np.exp(silent)
        paid = granted[:, np.newaxis] * (1.0 - silence) / (1.0 - empty)
        both = np.minimum(log_ratio + self._mark_log_ratio(part), MOST_LOG)
        u = (paid + self._settings.discount * rows["u"]) * np.exp(both)
        rows["u"] = np.where(kept[:, np.newaxis], np.minimum(u, _MOST), 0.0)
        begin = ((rows["cusum"] <= 0) & ~part.fires).nonzero()[0]
        rows["cusum"] = np.where(kept, np.maximum(rows["cusum"], 0) + log_ratio[:, ONSET], 0.0)
        rows["since"][begin] = now
        for field in ("window_n", "window_negative", "window_expected"):
            rows[field][begin] = 0

    def _mark_log_ratio(self, part: _Part) -> Floats:
        """ln of what the negative ones among the voices of each name weigh, [keys, 1]; nothing for
        those that everything counts for, whose share has a detector of its own."""
        found = np.zeros((len(part.keys), 1))
        where = ((part.codes >= _CORE) & (part.n > 0)).nonzero()[0]
        rows, weight = part.rows, self._settings.share_weight
        usual = self._of_voices(self._pool.negative, self._settings.share)
        negative, documents = rows["negative"][where], rows["documents"][where]
        share = (negative + weight * usual) / (documents + weight)
        null = scale_odds(np.minimum(share, 0.9), MARGIN)
        worse = scale_odds(null[:, np.newaxis], WORSE)
        found[where] = share_log_ratio(
            part.x[where], part.n[where], null, worse, ALIKE.repeat(len(where))
        )
        return found

    def _update_window(self, part: _Part, n: Ints, expected: Floats) -> None:
        rows = part.rows
        rows["window_n"] += n.astype(np.uint32)
        rows["window_negative"] += part.x.astype(np.uint32)
        rows["window_expected"] += expected

    def _witness(
        self,
        start: int,
        part: _Part,
        i: int,
        judged: _Judged,
        blind: Collection[str],
    ) -> Witness:
        key = part.keys[i]
        return Witness(
            key=key,
            start=start,
            early=False,
            states={**self._table.states([key]), GROUPS: self._groups()},
            spoken={key: (int(part.n[i]), int(part.x[i]))},
            firing=(),  # it alarms
            blind=(key,) if key in blind else (),
            shared=tuple(judged.shared.tolist()),
            settings=asdict(self._settings),
        )

    def _reading(
        self, now: int, part: _Part, i: int, judged: _Judged, witness: Witness | None = None
    ) -> Reading:
        row, granted = part.rows[i], float(judged.granted[i])
        hours = (now - int(row["since"]) + 1) / HOUR_BUCKETS
        threshold = 1.0 / granted if granted > 0 else 1.0
        return Reading(
            key=part.keys[i],
            alarm=bool(judged.alarm[i]),
            evalue=float(judged.evidence[i]) * threshold,
            threshold=threshold,
            bucket_documents=int(part.n[i]),
            observed=float(part.n[i]),
            upper=float(self._settings.slack * judged.expected[i]),
            value=int(row["window_n"]) / hours,
            baseline=float(row["window_expected"]) / hours,
            documents=int(row["window_n"]),
            negative=int(row["window_negative"]),
            since=int(row["since"]) * BUCKET_SECONDS,
            rate=float(judged.usual[i]),
            witness=witness,
        )

    # ------------------------------------------------------------------ levels and pools

    def _prior(self, named: NDArray[np.bool_]) -> _Prior:
        """Gamma prior of a level.

        Of a name that of the new ones in the day after their first voice, which says nothing: it
        made them new. A topic has none worth a word, and waits for its own.
        """
        s, p = self._settings, self._pool
        first = (p.first_day + s.new_weight * s.new_voices) / (p.births + s.new_weight)
        return _Prior(
            np.where(named, first, 0.0),
            np.where(named, float(DAY_BUCKETS), 0.0),
            np.where(named, 0.0, 1.0),
            np.where(named, first / DAY_BUCKETS, 0.0),
        )

    def _course(self) -> Course:
        """The rhythms up to the last bucket."""
        if self._known_course is None:
            self._known_course = Course(self._seasons.factors())
        return self._known_course

    @property
    def _unheard(self) -> float:
        """Decayed buckets in which somebody who is new was not heard."""
        return float((1.0 - self._decay**self._pool.buckets) / (1.0 - self._decay))

    def _level(self, rows: NDArray[Any], prior: _Prior) -> Floats:
        """Upper estimate of documents a bucket at an average hour, [keys]: one standard deviation
        of a Poisson of its own voices above the mean, and of nobody less than of who is new."""
        own = rows["documents"]
        level = (own + prior.documents + np.sqrt(own) + prior.spare) / np.maximum(
            rows["exposure"] + prior.buckets, 1.0
        )
        least: Floats = np.maximum(level, prior.least)
        return least

    def _mean(self, rows: NDArray[Any], prior: _Prior) -> Floats:
        """Documents a bucket at an average hour, [keys]."""
        mean: Floats = (rows["documents"] + prior.documents) / np.maximum(
            rows["exposure"] + prior.buckets, 1.0
        )
        return mean

    @property
    def _following(self) -> float:
        """η of the names that seldom speak."""
        return ECHO * self._of_voices(self._pool.followers, self._settings.following)

    @property
    def _spread(self) -> float:
        return 1.0 / self._settings.dispersion

    def _excess(self, named: NDArray[np.bool_]) -> Floats:
        """φ − 1 of each key: nothing for those that everything counts for."""
        seen = self._of_voices(self._pool.spread, self._settings.clumping)
        excess: Floats = np.where(named, min(max(1.5 * (seen - 1.0), 0.3), 5.0), 0.0)
        return excess

    def _of_voices(self, sum_: float, before: float) -> float:
        """A sum over the voices of names that seldom speak, to one of them; ``before`` any."""
        weight = self._settings.clumping_weight
        return (sum_ + before * weight) / (self._pool.voices + weight)

    def _learn_names(
        self, now: int, part: _Part, fresh: NDArray[np.bool_], judged: _Judged
    ) -> None:
        """The rate of new names in their first day, and how voices clump."""
        p, rows, named = self._pool, part.rows, part.codes >= NAMED
        for field in ("births", "first_day", "spread", "voices", "followers", "negative"):
            setattr(p, field, getattr(p, field) * self._decay)
        held, expected = judged.evidence >= HOLD, judged.expected
        calm = named & ~part.frozen & (~held | (rows["window_n"] <= MOST_IN_BURST))
        clump = np.minimum(part.n, MOST_IN_CLUMP)
        if p.buckets >= self._settings.warm_up * DAY_BUCKETS:  # before that everybody is new
            young = calm & ~fresh & (now - rows["born"] < DAY_BUCKETS)
            p.births += np.count_nonzero(fresh & named)
            p.first_day += int(np.add.reduce(clump[young]))
        seldom = (calm & (expected < SELDOM)).nonzero()[0]
        clump = clump[seldom]
        p.spread += float(np.add.reduce(clump * (clump - expected[seldom])))
        p.voices += int(np.add.reduce(clump))
        p.negative += int(np.add.reduce(np.minimum(part.x[seldom], clump)))
        heard = rows["lag"][seldom] @ _EACH  # its own bucket lies in the lag already
        p.followers += int(np.add.reduce(clump[heard > part.n[seldom]]))

    def _learn_groups(self, now: int, spoken: Spoken, named: int, still: Collection[str]) -> None:
        """The rhythm is not learned while the whole stream bursts, or is not heard."""
        self._stepped = True
        self._pool.buckets += 1.0
        if ALL in still:
            return
        hour = hour_of_week(now)
        voices = [*(spoken.voices(name) for name in _SEASONS[:_NAMED_SEASON]), named]
        self._seasons.learn(hour, voices, self._decay)
        self._known_course = None


def _evidence(rows: NDArray[Any], named: NDArray[np.bool_]) -> Floats:
    """The statistic in units of its threshold, [keys]: the mean over the alternatives of a sort."""
    u = rows["u"]
    found: Floats = np.where(named, mean_of(u[:, 2:]), mean_of(u[:, :4]))
    return found
