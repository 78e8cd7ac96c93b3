"""What the scorer is to reach, against what was measured on the mix. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Final

from monitor.bench.contestant import Precision
from monitor.bench.parts import PARTS, Part
from monitor.bench.rounds import Measured, ratios

OURS: Final = "monitor"
DEVICE_ROOF: Final = {384: 0.25, 768: 0.40}
"""Share of the GPU's peak that the device alone is to reach, by the encoder's width: MiniLM's, and
BERT-base's."""
END_TO_END: Final = 0.8
CUDA_RATIO: Final = 3.0

_AGAINST: Final[tuple[tuple[str, Precision, Mapping[Precision, float]], ...]] = (
    ("sentence-transformers b32", "fp32", {"fp32": 2.8, "bf16": 5.0}),
    ("HF pipeline 1-by-1", "fp32", {"fp32": 2.0, "bf16": 3.5}),
    ("HF pipeline b32", "fp32", {"fp32": 10.0, "bf16": 18.0}),
    ("ONNX Runtime fused", "fp32", {"fp32": 1.0, "bf16": 1.7}),
    ("OpenVINO", "bf16", {"bf16": 1.0}),
)
_ROOF: Final[Mapping[Precision, float]] = {"fp32": 0.65, "bf16": 0.60}


@dataclass(frozen=True, slots=True)
class Target:
    """One figure to reach; `reached` is None where it was not measured, and `why` says so."""

    what: str
    precision: Precision
    wanted: float
    reached: float | None
    unit: str  # "x" for a ratio, "%" for a share
    why: str = ""

    @property
    def verdict(self) -> str:
        """met, missed, or not measured."""
        if self.reached is None:
            return "not measured"
        return "met" if self.reached >= self.wanted else "missed"


def on_cpu(mix: Sequence[Measured], peaks: Mapping[Precision, float]) -> list[Target]:
    """Return the ratios against each peer and the share of the peak."""
    found = []
    for peer, peer_precision, wanted in _AGAINST:
        for precision, figure in wanted.items():
            what = f"{peer} {peer_precision}"
            reached, why = _ratio(mix, precision, peer, peer_precision)
            found.append(Target(what, precision, figure, reached, "x", why))
    for precision, figure in _ROOF.items():
        own = _reported(mix, OURS, precision)
        peak = peaks.get(precision, 0.0)
        reached = own.flops_per_second / peak if own and peak else None
        why = "" if reached is not None else f"monitor {precision} was not measured"
        found.append(Target("GEMM peak of this machine", precision, figure, reached, "%", why))
    return found


def on_cuda(mix: Sequence[Measured], parts: Sequence[Part], hidden: int) -> list[Target]:
    """Return what a GPU is to reach: against its peer if any ran, its roof, and its own parts."""
    found = []
    if mix:
        peer = "sentence-transformers b32"
        reached, why = _ratio(mix, "bf16", peer, "bf16")
        found.append(Target(f"{peer} bf16", "bf16", CUDA_RATIO, reached, "x", why))
    own = {part.part: part for part in parts if (part.kind, part.precision) == ("mix", "bf16")}
    tokeniser, device, whole = (own.get(name) for name in PARTS)
    why = "" if device else "run with --parts"
    roof = DEVICE_ROOF.get(hidden)
    if roof is not None:
        what = "device only, of the GEMM peak"
        found.append(Target(what, "bf16", roof, device.roof if device else None, "%", why))
    share = None
    if tokeniser and device and whole:
        narrower = min(tokeniser.texts_per_second, device.texts_per_second)
        share = whole.texts_per_second / narrower
    what = "end to end, of the narrower of device and tokeniser"
    found.append(Target(what, "bf16", END_TO_END, share, "%", why))
    return found


def _ratio(
    mix: Sequence[Measured], precision: Precision, peer: str, peer_precision: Precision
) -> tuple[float | None, str]:
    own, other = _reported(mix, OURS, precision), _reported(mix, peer, peer_precision)
    if own is None:
        return None, f"monitor {precision} was not measured"
    if other is None:
        return None, f"{peer} {peer_precision} was not measured"
    return median(ratios(own, other)), ""


def _reported(mix: Sequence[Measured], name: str, precision: Precision) -> Measured | None:
    for one in mix:
        if (one.name, one.precision) == (name, precision):
            return one if one.refusal is None else None
    return None
