"""The daemon of the demo speaks to the embedded broker as that one needs it."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from monitor.config import load_settings
from monitor.demo.broker import EmbeddedBroker
from monitor.demo.run import _Demo
from monitor.opening import kafka_settings


def test_the_daemons_settings_of_kafka_are_the_brokers(tmp_path: Path) -> None:
    broker = EmbeddedBroker()
    broker._client, broker._bootstrap_servers = object(), "127.0.0.1:9"
    start = datetime(2026, 3, 2, tzinfo=UTC)
    demo: Any = SimpleNamespace(
        _speed=720.0,
        _database=f"sqlite:///{tmp_path / 'monitor.db'}",
        _options=SimpleNamespace(dashboard_port=8501, http_port=9108),
        _receiver=SimpleNamespace(url="http://127.0.0.1:9/"),
        _wall_origin=start,
        _aliases=tmp_path / "aliases.toml",
    )
    path = tmp_path / "monitor.toml"
    secret = "whsec_" + "A" * 32
    path.write_text(_Demo._configuration(demo, broker.settings(), secret, start), "utf-8")

    assert broker.settings() == kafka_settings(load_settings(path, {}).kafka)
