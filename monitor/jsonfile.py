"""What a command writes for ``--json``."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from monitor.errors import ConfigError


def write_json(path: Path, value: Any) -> None:
    """Write JSON values as UTF-8, indented. A number that is none (NaN, infinity) becomes null, for
    which JSON has no other form. Raises ``ConfigError`` that names the option."""
    text = json.dumps(_finite(value), indent=2, allow_nan=False, ensure_ascii=False)
    try:
        path.write_text(text + "\n", "utf-8")
    except OSError as error:
        raise ConfigError(
            f"--json {path}: cannot be written ({error.strerror}); name a file in a folder that "
            "exists and that this user may write to"
        ) from error


def _finite(value: Any) -> Any:
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {name: _finite(each) for name, each in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [_finite(each) for each in value]
    return value
