"""Configuration, model and program, then and now."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from monitor.receipt.base import Provenance
from monitor.receipt.check import Check, Outcome, some


def since(then: Provenance, now: Provenance) -> Iterator[Check]:
    """A line for each of them; the receipt needs none of them to be the same."""
    if then.configuration_sha256 == now.configuration_sha256:
        yield Check("configuration", Outcome.SAME, f"SHA-256 {then.configuration_sha256}")
    else:
        found = list(_settings(then.configuration, now.configuration))
        yield Check("configuration", Outcome.CHANGED, some(found))
    if (then.model.version, then.model.files) == (now.model.version, now.model.files):
        yield Check("model", Outcome.SAME, f"version {then.model.version}")
    elif then.model.version != now.model.version:
        said = f"version {then.model.version} then, {now.model.version or 'none'} now"
        yield Check("model", Outcome.CHANGED, said)
    else:
        there, here = then.model.files, now.model.files
        names = sorted(n for n in {*there, *here} if there.get(n) != here.get(n))
        said = f"version {then.model.version}, with other {some(names)}"
        yield Check("model", Outcome.CHANGED, said)
    before, after = then.program, now.program
    faults = [
        f"{name} {a} then, {b} now"
        for name, a, b in (
            ("version", before.version, after.version),
            ("rule", before.rule_sha256[:12], after.rule_sha256[:12]),
            *((n, of, after.libraries.get(n)) for n, of in before.libraries.items()),
        )
        if a != b
    ]
    if faults:
        yield Check("program", Outcome.CHANGED, "; ".join(faults))
    else:
        said = f"version {before.version}, rule {before.rule_sha256[:12]}…"
        yield Check("program", Outcome.SAME, said)


def _settings(then: Any, now: Any, place: str = "") -> Iterator[str]:
    """What differs between two trees, by its place."""
    if isinstance(then, Mapping) and isinstance(now, Mapping):
        for name in sorted({*then, *now}):
            yield from _settings(then.get(name), now.get(name), f"{place}.{name}".lstrip("."))
    elif then != now:
        yield f"{place} {then!r} then, {now!r} now"
