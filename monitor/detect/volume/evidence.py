"""The evidence that a key is spoken of more: negative-binomial ratios, and what is said of names.

L = r^x·((κ + μ)/(κ + r·μ))^(x + κ) in the recursion of `statistic`, against μ⁺ = slack × level ×
hour-of-week factor. Bursty volume breaks the exact bound, so the budget of this detector is
calibrated by experience, not proven.

What is looked for in a name is bad news: more voices that are more negative. So its ratio is that
of a marked process: the count's, times that of the beta-binomial negative voices among them, whose
expectation under the null is 1 whatever the count. The null is the name's own share, shrunk to that
of all names that seldom speak.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from monitor.detect.null import (
    MOST_LOG,
    Floats,
    Ints,
    scale_odds,
    share_log_ratio,
    silence_log_ratio,
    volume_log_ratios,
)
from monitor.detect.statistic import ONSET, accumulate, mean_of
from monitor.detect.volume.rows import RATIOS, Part
from monitor.detect.volume.settings import VolumeSettings

MARGIN = 1.5
"""Odds of the upper null's negative share against those of what is usual of a name …"""
WORSE = np.array([[3.0]])
"""… and of the alternatives' against the upper null's."""
ALIKE = np.array([0.3])
"""ρ: voices of one bucket about a name mostly say the same."""
HOLD = 0.003
"""Of its threshold: from here on nothing is learned of a key, up to the alarm or until the evidence
has fallen."""


class Null(NamedTuple):
    """What is to be expected of a bucket at most, if nothing rises. All are [keys]."""

    mu: Floats
    """μ⁺ …"""
    echo: Floats
    """… and beside it the voices that follow those of the last hour, under the alternatives too."""
    excess: Floats
    """φ − 1."""


def evidence_of(rows: NDArray[Any], named: NDArray[np.bool_]) -> Floats:
    """The statistic in units of its threshold, [keys]: the mean over the alternatives of a sort."""
    u = rows["u"]
    found: Floats = np.where(named, mean_of(u[:, 2:]), mean_of(u[:, :4]))
    return found


def pass_over(
    part: Part, silent: Ints, expected: Floats, excess: Floats, s: VolumeSettings
) -> None:
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
    mu = s.slack * expected[where] / k
    log_ratio = silence_log_ratio(mu, excess[where], s.spread, RATIOS) * k[:, np.newaxis]
    fading = (s.decay**k)[:, np.newaxis]
    rows["u"][where] = rows["u"][where] * np.exp(log_ratio) * fading
    rows["cusum"][where] = np.maximum(rows["cusum"][where] + log_ratio[:, ONSET], 0.0)
    rows["window_expected"][where] += expected[where]


def update_statistic(
    now: int,
    part: Part,
    null: Null,
    usual_share: float,
    granted: Floats,
    kept: NDArray[np.bool_],
    s: VolumeSettings,
) -> None:
    """u_j ← (g_j + γ·u_j)·L_j.

    A key is granted something only where it speaks, and that it speaks is what is tested: what
    it may cost is P(speaks | alternative j) / P(speaks | null) of the grant, so g_j is less.
    """
    rows = part.rows
    mu, echo = null.mu, null.echo
    mean = mu + echo
    ratios = (mu[:, np.newaxis] * RATIOS + echo[:, np.newaxis]) / mean[:, np.newaxis]
    log_ratio, silence, silent = volume_log_ratios(part.n, mean, null.excess, s.spread, ratios)
    empty = silence * np.exp(silent)
    paid = granted[:, np.newaxis] * (1.0 - silence) / (1.0 - empty)
    both = np.minimum(log_ratio + _mark_log_ratio(part, usual_share, s.share_weight), MOST_LOG)
    u = accumulate(rows["u"], paid, s.discount, both)
    rows["u"] = np.where(kept[:, np.newaxis], u, 0.0)
    begin = ((rows["cusum"] <= 0) & ~part.fires).nonzero()[0]
    rows["cusum"] = np.where(kept, np.maximum(rows["cusum"], 0) + log_ratio[:, ONSET], 0.0)
    rows["since"][begin] = now
    for field in ("window_n", "window_negative", "window_expected"):
        rows[field][begin] = 0


def update_window(part: Part, expected: Floats) -> None:
    """What was said since the evidence began to rise, and what was to be expected."""
    rows = part.rows
    rows["window_n"] += part.n.astype(np.uint32)
    rows["window_negative"] += part.x.astype(np.uint32)
    rows["window_expected"] += expected


def _mark_log_ratio(part: Part, usual: float, weight: float) -> Floats:
    """ln of what the negative ones among the voices of each name weigh, [keys, 1]; nothing for
    those that everything counts for, whose share has a detector of its own.

    ``usual``: the share of all names, which weighs so many voices in that of one.
    """
    found = np.zeros((len(part.keys), 1))
    where = (part.named & (part.n > 0)).nonzero()[0]
    negative, documents = part.rows["negative"][where], part.rows["documents"][where]
    share = (negative + weight * usual) / (documents + weight)
    null = scale_odds(np.minimum(share, 0.9), MARGIN)
    worse = scale_odds(null[:, np.newaxis], WORSE)
    found[where] = share_log_ratio(
        part.x[where], part.n[where], null, worse, ALIKE.repeat(len(where))
    )
    return found
