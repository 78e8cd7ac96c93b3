"""The parameters of the share detector."""

from __future__ import annotations

from dataclasses import dataclass

from monitor.detect.table import decay_of


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

    @property
    def decay(self) -> float:
        """What a bucket leaves of a baseline."""
        return decay_of(self.half_life)
