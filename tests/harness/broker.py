"""deploy/kafka/local.py, which is a script and not part of the installed packages."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType


def local_kafka() -> ModuleType:
    """The module of the local Apache Kafka."""
    name = "deploy_kafka_local"
    if name not in sys.modules:
        path = Path(__file__).parents[2] / "deploy" / "kafka" / "local.py"
        spec = importlib.util.spec_from_file_location(name, path)
        assert spec is not None and spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        sys.modules[name] = module
        spec.loader.exec_module(module)
    return sys.modules[name]
