"""Who takes part on this machine, and who is missing."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Final

from monitor.bench.contestant import Contestant, Precision, Setting

REFERENCE: Final = ("HF pipeline 1-by-1", "fp32")
"""Name and precision of the contestant whose labels are the truth for all others."""

Build = Callable[[Setting], Contestant]


@dataclass(frozen=True, slots=True)
class Entry:
    """One contestant that could take part."""

    name: str
    precision: Precision
    packages: tuple[str, ...]  # that it imports beyond those of the program itself
    devices: tuple[str, ...]
    build: Build

    def missing(self, installed: Callable[[str], bool]) -> list[str]:
        """Return the packages that are not installed."""
        return [package for package in self.packages if not installed(package)]


def installed(package: str) -> bool:
    """Return whether a package can be imported, without importing it."""
    return find_spec(package) is not None


def entries() -> Sequence[Entry]:
    """Return all contestants, the reference first."""

    def scorer(precision: Precision) -> Build:
        def build(setting: Setting) -> Contestant:
            from monitor.bench.ours import ours

            return ours(setting, precision)

        return build

    def pipeline(precision: Precision, batch: int) -> Build:
        def build(setting: Setting) -> Contestant:
            from monitor.bench.peers.huggingface import Pipeline

            return Pipeline(setting, precision, batch)

        return build

    def sentences(precision: Precision) -> Build:
        def build(setting: Setting) -> Contestant:
            from monitor.bench.peers.sentence import SentenceTransformers

            return SentenceTransformers(setting, precision)

        return build

    def onnx(setting: Setting) -> Contestant:
        from monitor.bench.peers.graphs import OnnxRuntime

        return OnnxRuntime(setting, "fp32")

    def openvino(precision: Precision) -> Build:
        def build(setting: Setting) -> Contestant:
            from monitor.bench.peers.graphs import OpenVino

            return OpenVino(setting, precision)

        return build

    both, cpu, cuda = ("cpu", "cuda"), ("cpu",), ("cuda",)
    sentence, graph = ("sentence_transformers",), ("onnx", "onnxruntime")
    return (
        Entry("HF pipeline 1-by-1", "fp32", (), both, pipeline("fp32", 1)),
        Entry("monitor", "fp32", (), cpu, scorer("fp32")),
        Entry("monitor", "bf16", (), both, scorer("bf16")),
        Entry("HF pipeline b32", "fp32", (), cpu, pipeline("fp32", 32)),
        Entry("HF pipeline b32", "bf16", (), cuda, pipeline("bf16", 32)),
        Entry("sentence-transformers b32", "fp32", sentence, cpu, sentences("fp32")),
        Entry("sentence-transformers b32", "bf16", sentence, cuda, sentences("bf16")),
        Entry("ONNX Runtime fused", "fp32", graph, cpu, onnx),
        Entry("OpenVINO", "fp32", ("openvino",), cpu, openvino("fp32")),
        Entry("OpenVINO", "bf16", ("openvino",), cpu, openvino("bf16")),
    )


@dataclass(frozen=True, slots=True)
class Absent:
    """A contestant that does not take part, and why."""

    name: str
    precision: Precision
    reason: str


def roster(
    candidates: Sequence[Entry],
    device: str,
    *,
    native_bf16: bool,
    has: Callable[[str], bool] = installed,
) -> tuple[list[Entry], list[Absent]]:
    """Return who takes part on this device, and who could if the machine were another."""
    present: list[Entry] = []
    absent: list[Absent] = []
    for entry in candidates:
        if device not in entry.devices:
            continue
        if missing := entry.missing(has):
            reason = f"not installed ({', '.join(missing)}): pip install 'monitor[bench]'"
        elif entry.precision == "bf16" and not native_bf16:
            reason = f"this {device.upper()} computes no bfloat16 in hardware"
        else:
            present.append(entry)
            continue
        absent.append(Absent(entry.name, entry.precision, reason))
    return present, absent
