"""What the machine can do; asked once, never assumed."""

import re
from typing import Final

import torch

from models.errors import ModelError

_DEVICE: Final = re.compile(r"cpu|cuda(?::(\d+))?")


def choose_device(wanted: str) -> str:
    """Return `cpu`, `cuda` or `cuda:N`; `auto` takes the GPU where there is one.

    Raises:
        ModelError: an unknown device, or CUDA wanted and not there.
    """
    if wanted == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    found = _DEVICE.fullmatch(wanted)
    if found is None:
        raise ModelError(f"device {wanted!r}: use auto, cpu, cuda or cuda:N")
    if wanted != "cpu" and not torch.cuda.is_available():
        raise ModelError(f"device {wanted}: this torch sees no CUDA device; use auto or cpu")
    if found[1] is not None and int(found[1]) >= torch.cuda.device_count():
        raise ModelError(
            f"device {wanted}: this torch sees {torch.cuda.device_count()} CUDA devices, counted"
            " from 0"
        )
    return wanted


def type_of(device: str) -> str:
    """Return `cpu` or `cuda`, without the number of the device."""
    return device.partition(":")[0]


def has_native_bfloat16(device: str) -> bool:
    """Return whether bfloat16 matrix products run in hardware; emulated they are slower."""
    if type_of(device) == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    cpu = torch.cpu.get_capabilities()
    return bool(cpu.get("avx512_bf16") or cpu.get("amx_bf16"))


def has_native_int8(device: str) -> bool:
    """Return whether 8-bit matrix products run in hardware; elsewhere they are far slower than
    those of float32."""
    if device != "cpu":
        return True
    cpu = torch.cpu.get_capabilities()
    return any(bool(cpu.get(name)) for name in ("avx512_vnni", "avx_vnni", "amx_int8"))


def choose_dtype(wanted: str, device: str) -> torch.dtype:
    """Return the precision of the encoder; `auto` is bfloat16 where native, else float32.

    Raises:
        ModelError: an unknown precision.
    """
    if wanted == "auto":
        return torch.bfloat16 if has_native_bfloat16(device) else torch.float32
    if wanted not in {"float32", "bfloat16"}:
        raise ModelError(f"dtype {wanted!r}: use auto, float32 or bfloat16")
    return torch.float32 if wanted == "float32" else torch.bfloat16
