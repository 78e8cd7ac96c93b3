"""The parameters of the volume detector."""

from __future__ import annotations

from dataclasses import dataclass

from monitor.detect.table import decay_of


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

    @property
    def decay(self) -> float:
        """What a bucket leaves of a level."""
        return decay_of(self.half_life)

    @property
    def spread(self) -> float:
        """1/κ."""
        return 1.0 / self.dispersion
