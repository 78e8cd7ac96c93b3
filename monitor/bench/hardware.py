"""On what the figures were seen: processor, its instructions, graphics processor, versions."""

from __future__ import annotations

import importlib.metadata
import os
import platform
from pathlib import Path
from typing import Final

import torch

_PACKAGES: Final = (
    *("torch", "transformers", "tokenizers", "numpy"),
    *("sentence-transformers", "onnxruntime", "onnx", "openvino"),
)
_TELLING: Final = ("avx2", "avx512f", "avx512_bf16", "avx512_vnni", "amx_bf16", "amx_tile")


def hardware() -> dict[str, object]:
    """Return what a figure depends on; a flag that is absent is false."""
    flags = _cpu("flags").split()
    gpu = None
    if torch.cuda.is_available():
        properties = torch.cuda.get_device_properties(0)
        gpu = {"name": properties.name, "memory_gib": round(properties.total_memory / 2**30, 1)}
    return {
        "cpu": _cpu("model name") or platform.processor() or platform.machine(),
        "cores": cores(),
        "cpu_flags": {flag: flag in flags for flag in _TELLING},
        "gpu": gpu,
        "cuda": torch.version.cuda,
        "system": f"{platform.system()} {platform.machine()}",
    }


def cores() -> int:
    """Return how many this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def versions() -> dict[str, str | None]:
    """Return the installed versions; None for what is not there."""
    found: dict[str, str | None] = {"python": platform.python_version()}
    for name in _PACKAGES:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            found[name] = None
    return found


def _cpu(key: str) -> str:
    """A line of Linux's own description; empty elsewhere."""
    try:
        lines = Path("/proc/cpuinfo").read_text("utf-8").splitlines()
    except OSError:
        return ""
    for line in lines:
        name, _, value = line.partition(":")
        if name.strip() == key:
            return value.strip()
    return ""
