"""Which program, configuration and model compute: what a receipt is compared by."""

from __future__ import annotations

import hashlib
import platform
from collections.abc import Mapping
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from importlib.resources import files
from typing import Any

from monitor.receipt.base import Model, Program, Provenance, canonical, sha256_of

RULE = (
    ("monitor", ("events.py", "keys.py")),
    ("monitor.aggregate", ("rollup.py", "voices.py", "window.py")),
    ("monitor.detect", ()),
)
"""Packages and modules (none: all of them) whose sources make the rule."""
_LIBRARIES = ("numpy", "scipy")


class Provenances:
    """Of every model that has judged in this process. Safe to call from any thread."""

    def __init__(self, configuration: Mapping[str, Any] | None = None) -> None:
        """``configuration``: what figures depend on, as JSON values, without secrets."""
        self._program = program()  # now: an upgrade may put other sources in the place of these
        self._configuration = dict(configuration or {})
        self._sha256 = sha256_of(canonical(self._configuration))
        self._files: dict[str, Mapping[str, str]] = {}

    def note(self, model_version: str, hashes: Mapping[str, str]) -> None:
        """The SHA-256 of each file of a version."""
        self._files[model_version] = hashes

    def of(self, model_version: str) -> Provenance:
        """With this version of the model."""
        return Provenance(
            program=self._program,
            configuration=self._configuration,
            configuration_sha256=self._sha256,
            model=Model(version=model_version, files=dict(self._files.get(model_version, {}))),
        )


@cache
def program() -> Program:
    """The code of this process."""
    return Program(
        version=_version("monitor"),
        rule_sha256=_rule(),
        libraries={
            "python": platform.python_version(),
            **{name: _version(name) for name in _LIBRARIES},
            "machine": platform.machine(),
        },
    )


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:  # run from a folder of sources
        return "unknown"


def _rule() -> str:
    digest = hashlib.sha256()
    for package, names in RULE:
        folder = files(package)
        found = names or sorted(f.name for f in folder.iterdir() if f.name.endswith(".py"))
        for name in found:
            source = (folder / name).read_bytes()
            digest.update(f"{package}/{name} {len(source)}\n".encode())
            digest.update(source)
    return digest.hexdigest()
