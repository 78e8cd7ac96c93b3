"""What a run has found; what is printed, drawn and written as JSON."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from statistics import median
from typing import Any

from monitor.bench.contestant import Precision
from monitor.bench.corpus import Kind
from monitor.bench.memory import Mark, growth, is_flat
from monitor.bench.openloop import Latency
from monitor.bench.parts import Part
from monitor.bench.roster import Absent
from monitor.bench.rounds import Measured, ratios
from monitor.bench.targets import OURS, Target


@dataclass(frozen=True, slots=True)
class Lengths:
    """Of a corpus: texts, and tokens of the mean, the shortest and the longest."""

    texts: int
    mean: float
    shortest: int
    longest: int


@dataclass(slots=True)
class Report:
    """Everything of a run; parts that were not asked for are empty."""

    date: str
    options: Mapping[str, object]
    hardware: Mapping[str, object]
    versions: Mapping[str, str | None]
    model: str
    device: str
    threads: int
    peaks: dict[Precision, dict[str, float]] = field(default_factory=dict)
    lengths: dict[Kind, Lengths] = field(default_factory=dict)
    contests: dict[Kind, list[Measured]] = field(default_factory=dict)
    absent: Sequence[Absent] = ()
    parts: list[Part] = field(default_factory=list)
    latencies: list[Latency] = field(default_factory=list)
    memory: list[Mark] = field(default_factory=list)
    targets: list[Target] = field(default_factory=list)

    @property
    def ours_refused(self) -> list[str]:
        """Why the scorer itself has no figure to report; empty when it has all."""
        return [
            f"{kind}, {one.precision}: {one.refusal}"
            for kind, measured in self.contests.items()
            for one in measured
            if one.name == OURS and one.refusal is not None
        ]

    def as_json(self) -> dict[str, Any]:
        """Return plain data; every round is in it."""
        return {
            "version": 1,
            "date": self.date,
            "options": dict(self.options),
            "hardware": dict(self.hardware),
            "versions": dict(self.versions),
            "model": self.model,
            "device": self.device,
            "threads": self.threads,
            "gemm_peak_flops": self.peaks,
            "corpora": {kind: asdict(lengths) for kind, lengths in self.lengths.items()},
            "contests": {
                kind: [_contestant(one, measured) for one in measured]
                for kind, measured in self.contests.items()
            },
            "absent": [asdict(one) for one in self.absent],
            "parts": [asdict(p) | {"texts_per_second": p.texts_per_second} for p in self.parts],
            "open_loop": [asdict(one) for one in self.latencies],
            "memory": self._memory(),
            "targets": [asdict(one) | {"verdict": one.verdict} for one in self.targets],
        }

    def _memory(self) -> dict[str, Any] | None:
        if not self.memory:
            return None
        return {
            "marks_mb": [asdict(mark) for mark in self.memory],
            "growth_of_last_third_mb": growth(self.memory),
            "flat": is_flat(self.memory),
        }


def _contestant(one: Measured, measured: Sequence[Measured]) -> dict[str, Any]:
    found: dict[str, Any] = {
        "name": one.name,
        "precision": one.precision,
        "refused": one.refusal,
        "agreement": one.agreement if one.compared else None,
        "labels_compared": one.compared,
        "texts_of_a_round": one.texts,
        "tokens_of_a_round": one.tokens,
        "rounds": [asdict(round_) for round_ in one.rounds],
    }
    if one.refusal is not None:
        return found
    ours = [m for m in measured if m.name == OURS and m.refusal is None]
    return found | {
        "texts_per_second": one.texts_per_second,
        "texts_per_second_min": min(one.rates),
        "texts_per_second_max": max(one.rates),
        "tokens_per_second": one.tokens_per_second,
        "cpu_seconds_per_1000_texts": one.cpu_per_thousand,
        "useful_flops_per_second": one.flops_per_second,
        "monitor_times_faster": {m.precision: median(ratios(m, one)) for m in ours},
    }
