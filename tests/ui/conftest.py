"""A database to be filled, and the page run on it without a browser."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import streamlit as st
from harness.page import APP, Database
from streamlit.testing.v1 import AppTest


@pytest.fixture
def database(tmp_path: Path) -> Database:
    return Database(tmp_path / "monitor.db")


@pytest.fixture
def page(database: Database, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[], AppTest]]:
    """Runs the whole page once and hands it over; a fault of the page fails the test."""
    monkeypatch.setenv("MONITOR_DATABASE_URL", database.url)
    monkeypatch.setattr("sys.argv", ["streamlit"])

    def run() -> AppTest:
        st.cache_data.clear()
        st.cache_resource.clear()
        test = AppTest.from_file(str(APP), default_timeout=60)
        test.run()
        assert list(test.exception) == []
        return test

    yield run
    st.cache_resource.clear()
