"""What a desk would tell the monitor of the invented world: an alias file (docs/entities.md)."""

from __future__ import annotations

import json

from monitor.demo.corpus.cast import companies, people


def alias_file() -> str:
    """TOML: every company under its symbol, with its names; who only comments on it is ignored."""
    commenting = [*people()["brokers"], *people()["raters"]]
    lines = [f"ignore = {_text(commenting)}", "[companies]"]
    lines += [
        f"{_text(f'US:{each.ticker}')} = {_text([each.name, each.full_name])}"
        for each in companies()
    ]
    return "\n".join(lines) + "\n"


def _text(value: str | list[str]) -> str:
    return json.dumps(value, ensure_ascii=False)  # TOML writes texts and arrays of them alike
