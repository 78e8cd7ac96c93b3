"""deploy/kafka/local.py, which is a script and not part of the installed packages."""

from __future__ import annotations

import importlib.util
import sys
import tempfile
from contextlib import suppress
from pathlib import Path
from types import ModuleType

from filelock import FileLock

from monitor.errors import BrokerError


def local_kafka() -> ModuleType:
    """The module of the local Apache Kafka, its jars in the cache if they can be had."""
    name = "deploy_kafka_local"
    if name not in sys.modules:
        path = Path(__file__).parents[2] / "deploy" / "kafka" / "local.py"
        spec = importlib.util.spec_from_file_location(name, path)
        assert spec is not None and spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        sys.modules[name] = module
        spec.loader.exec_module(module)
        # Of several test processes one fetches them.
        lock = FileLock(Path(tempfile.gettempdir()) / "monitor-tests-kafka.lock")
        with lock, suppress(BrokerError):
            module.class_path()
    return sys.modules[name]
