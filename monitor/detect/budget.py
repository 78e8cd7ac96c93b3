"""The budget of false alarms, paid out bucket by bucket to the keys that speak.

A statistic of `share` or `volume` is kept in units of its threshold: u = M / c, and an alarm is
u >= 1. Its recursion M ← (1 + γ·M)·L is then u ← (g + γ·u)·L, where g = 1 / c is what the key is
granted for this update. An alarm needs u >= 1 and sets it to nought, so with E[L | past] <= 1

    E[alarms] <= E[Σ (u before the reset − u after)] <= E[Σ (g + γ·u_before)] − E[Σ u] <= E[Σ g]

for any grants that are settled before the bucket's verdicts are looked at: they may differ from
bucket to bucket, and keys may come and go. So the promise is one line of book-keeping: in each of
the day's 288 buckets at most a 288th of the budget is granted, whoever there is. c = R / (B·w) of a
fixed universe is the special case in which a key of R updates a day gets B·w / R at each of them.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from monitor.detect.null import Floats, Ints
from monitor.detect.table import DAY_BUCKETS

CLASSES = np.array([1.0, 4.0, 16.0, 64.0])
"""Updates a day between the classes of activity of names."""


def classes(named: NDArray[np.bool_], activity: Floats) -> Ints:
    """The class of each key, [keys]: 0 are those that everything counts for (``named`` is false),
    the others are told apart by their ``activity`` (updates a day, from the past)."""
    found: Ints = np.where(named, 1 + CLASSES.searchsorted(activity, side="right"), 0)
    return found


def census(group: Ints, counted: NDArray[np.bool_]) -> Ints:
    """How many keys of each class are ``counted``: their statistics are updated in this bucket."""
    return np.bincount(group[counted], minlength=len(CLASSES) + 2)


def grants(daily: float, group: Ints, counted: NDArray[np.bool_], members: Ints) -> Floats:
    """What each key is granted in one bucket, [keys]; all together ``daily`` / 288 at most.

    ``members`` is the `census`. Half is for the keys that everything counts for and is shared
    equally among those of them that are counted. The other half is for the names: it is divided
    among the classes that are there, and within a class equally, so that a thousand names that
    hardly ever speak do not drown the others. Where one of the halves has nobody, the other takes
    it.
    """
    everything, *names = members.tolist()
    there = max(sum(n > 0 for n in names), 1)
    weights = [1.0 if everything else 0.0, *((n > 0) / there for n in names)]
    whole = 0.0
    for weight in weights:  # not sum(), which rounds as the version of Python has it
        whole += weight
    if not whole:
        return np.zeros(len(group))
    each = [
        daily / DAY_BUCKETS * weight / whole / max(n, 1)
        for weight, n in zip(weights, (everything, *names), strict=True)
    ]
    found: Floats = np.where(counted, np.array(each)[group], 0.0)
    return found
