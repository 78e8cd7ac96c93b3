"""What keys tell together: the rhythms of the week, and how names that seldom speak are spoken of.

Voices of a name come in clumps: several in one bucket are hardly more than one. So for names
1/κ = 1/2 + (φ − 1)/μ, where φ is the variance of a bucket over its mean, pooled over all names that
seldom speak: clumps of logarithmic size, and what the alternatives have more of is clumps. And they
follow one another: each clump adds η/12 to what is expected in each of the next twelve buckets,
under the alternatives as well (a self-exciting null, as Hawkes's of 1971). η is the part of all
voices that follow another within the hour, of the same names.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import astuple, dataclass, fields

import numpy as np
from numpy.typing import NDArray

from monitor.detect.null import Floats, Ints
from monitor.detect.season import WEEK_HOURS, Seasonality, hour_of_week
from monitor.detect.table import DAY_BUCKETS, LAG, NAMED, SORTS, Spoken
from monitor.detect.volume.evidence import HOLD
from monitor.detect.volume.level import Prior
from monitor.detect.volume.rows import EACH, Judged, Part
from monitor.detect.volume.settings import VolumeSettings
from monitor.keys import ALL

SELDOM = 0.5
"""Voices a bucket up to which a name tells how voices clump."""
ECHO = 0.25
"""Of η, what the null has: of the followers the other part are what is to be found. Calibrated by
simulation (`bursts` of tests/benchmarks/detect.py)."""
MOST_IN_CLUMP = 30
MOST_IN_BURST = 10
"""Voices of a burst that tell what is usual of new names."""
_SEASONS = (ALL, "kind:news", "kind:comment", "named")
_NAMED_SEASON = len(_SEASONS) - 1
_SEASON_OF_CODE = np.array(
    [1 if s == "kind:news" else 2 if s == "kind:comment" else 0 if s in (ALL, "topic") else 3
     for s in SORTS]
)  # fmt: skip
_SHAPE = (len(_SEASONS), 2, WEEK_HOURS)


def group_of(codes: NDArray[np.int8]) -> Ints:
    """Index of the group whose rhythm the keys of these sorts have, [keys]."""
    found: Ints = _SEASON_OF_CODE[codes]
    return found


@dataclass(slots=True)
class Pool:
    """What is known of all names together; decayed with the levels."""

    buckets: float = 0.0  # undecayed: how warm the installation is
    births: float = 0.0
    first_day: float = 0.0  # voices after the first
    spread: float = 0.0  # Σ n·(n − μ) over names that seldom speak, and Σ n
    voices: float = 0.0
    followers: float = 0.0  # of these voices, those within an hour of another
    negative: float = 0.0  # and those that are negative


_POOLED = len(fields(Pool))


class Groups:
    """Rhythms and pool, learned bucket by bucket."""

    def __init__(self, settings: VolumeSettings, state: bytes | None = None) -> None:
        """``state``: as `state` gave it; None: nothing is known yet."""
        self._settings = settings
        self.pool = Pool()
        self.seasons = Seasonality.unknown(len(_SEASONS))
        if state is not None:
            values = np.frombuffer(state, dtype=np.float64)
            self.pool = Pool(*values[:_POOLED].tolist())
            self.seasons = Seasonality(values[_POOLED:].reshape(_SHAPE).copy())

    def state(self) -> bytes:
        """As it is stored."""
        return np.array(astuple(self.pool)).tobytes() + self.seasons.state.tobytes()

    # ------------------------------------------------------------------ what is known

    def prior(self, named: NDArray[np.bool_]) -> Prior:
        """Gamma prior of a level.

        Of a name that of the new ones in the day after their first voice, which says nothing: it
        made them new. A topic has none worth a word, and waits for its own.
        """
        s, p = self._settings, self.pool
        first = (p.first_day + s.new_weight * s.new_voices) / (p.births + s.new_weight)
        return Prior(
            np.where(named, first, 0.0),
            np.where(named, float(DAY_BUCKETS), 0.0),
            np.where(named, 0.0, 1.0),
            np.where(named, first / DAY_BUCKETS, 0.0),
        )

    @property
    def unheard(self) -> float:
        """Decayed buckets in which somebody who is new was not heard."""
        decay = self._settings.decay
        return float((1.0 - decay**self.pool.buckets) / (1.0 - decay))

    @property
    def negative_share(self) -> float:
        """Of the voices of all names that seldom speak."""
        return self._of_voices(self.pool.negative, self._settings.share)

    def excess(self, named: NDArray[np.bool_]) -> Floats:
        """φ − 1 of each key: nothing for those that everything counts for."""
        seen = self._of_voices(self.pool.spread, self._settings.clumping)
        excess: Floats = np.where(named, min(max(1.5 * (seen - 1.0), 0.3), 5.0), 0.0)
        return excess

    def echo(self, part: Part) -> Floats:
        """Voices of each name to be expected because it was heard within the hour, [keys]."""
        following = ECHO * self._of_voices(self.pool.followers, self._settings.following)
        clumps = (part.rows["lag"] > 0) @ EACH
        echo: Floats = np.where(part.named, following * clumps / LAG, 0.0)
        return echo

    def _of_voices(self, sum_: float, before: float) -> float:
        """A sum over the voices of names that seldom speak, to one of them; ``before`` any."""
        weight = self._settings.clumping_weight
        return (sum_ + before * weight) / (self.pool.voices + weight)

    # ------------------------------------------------------------------ learning

    def learn_names(self, now: int, part: Part, fresh: NDArray[np.bool_], judged: Judged) -> None:
        """The rate of new names in their first day, and how voices clump."""
        s, p, rows, named = self._settings, self.pool, part.rows, part.codes >= NAMED
        for field in ("births", "first_day", "spread", "voices", "followers", "negative"):
            setattr(p, field, getattr(p, field) * s.decay)
        held, expected = judged.evidence >= HOLD, judged.expected
        calm = named & ~part.frozen & (~held | (rows["window_n"] <= MOST_IN_BURST))
        clump = np.minimum(part.n, MOST_IN_CLUMP)
        if p.buckets >= s.warm_up * DAY_BUCKETS:  # before that everybody is new
            young = calm & ~fresh & (now - rows["born"] < DAY_BUCKETS)
            p.births += np.count_nonzero(fresh & named)
            p.first_day += int(np.add.reduce(clump[young]))
        seldom = (calm & (expected < SELDOM)).nonzero()[0]
        clump = clump[seldom]
        p.spread += float(np.add.reduce(clump * (clump - expected[seldom])))
        p.voices += int(np.add.reduce(clump))
        p.negative += int(np.add.reduce(np.minimum(part.x[seldom], clump)))
        heard = rows["lag"][seldom] @ EACH  # its own bucket lies in the lag already
        p.followers += int(np.add.reduce(clump[heard > part.n[seldom]]))

    def learn_rhythms(self, now: int, spoken: Spoken, named: int, still: Collection[str]) -> None:
        """A bucket, with so many voices of who is ``named``. The rhythm is not learned while the
        whole stream bursts, or is not heard."""
        self.pool.buckets += 1.0
        if ALL in still:
            return
        voices = [*(spoken.voices(name) for name in _SEASONS[:_NAMED_SEASON]), named]
        self.seasons.learn(hour_of_week(now), voices, self._settings.decay)
