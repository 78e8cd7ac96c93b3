"""Logs: one line each, for people or for machines."""

from __future__ import annotations

import io
import json
import logging
import sys
from collections.abc import Iterator
from datetime import datetime

import pytest

from monitor.log import configure


class Terminal(io.StringIO):
    """A stream that a person looks at."""

    def isatty(self) -> bool:
        return True


@pytest.fixture(autouse=True)
def _logging_as_before() -> Iterator[None]:
    root = logging.getLogger()
    level, handlers = root.level, root.handlers[:]
    noisy = {n: logging.getLogger(n).level for n in ("kafka", "alembic", "apscheduler")}
    yield
    root.setLevel(level)
    root.handlers[:] = handlers
    for name, before in noisy.items():
        logging.getLogger(name).setLevel(before)


def test_elsewhere_than_on_a_terminal_each_line_is_json() -> None:
    stream = io.StringIO()
    configure("INFO", "auto", stream)
    logging.getLogger("monitor.pipeline").warning("alert %s:\nÄrger", "firing")
    (line,) = stream.getvalue().splitlines()
    entry = json.loads(line)
    assert "alert firing:\nÄrger" == entry["message"]
    assert ("warning", "monitor.pipeline") == (entry["level"], entry["logger"])
    assert datetime.fromisoformat(entry["time"]).utcoffset() is not None


def test_an_exception_stays_in_its_line() -> None:
    stream = io.StringIO()
    configure("INFO", "json", stream)
    try:
        dict[str, int]()["gone"]
    except KeyError:
        logging.getLogger("monitor").exception("failed")
    (line,) = stream.getvalue().splitlines()
    assert "KeyError: 'gone'" in json.loads(line)["exception"]


@pytest.mark.parametrize(("style", "stream"), [("auto", Terminal()), ("text", io.StringIO())])
def test_a_person_reads_text(style: str, stream: io.StringIO) -> None:
    configure("INFO", style, stream)  # type: ignore[arg-type]
    logging.getLogger("monitor").info("started")
    assert stream.getvalue().endswith("INFO    monitor: started\n")


def test_the_level_holds_and_chatty_libraries_are_quieter() -> None:
    stream = io.StringIO()
    configure("DEBUG", "json", stream)
    logging.getLogger("monitor").debug("shown")
    logging.getLogger("kafka.conn").info("connected")
    logging.getLogger("kafka.conn").warning("lost")
    assert ["shown", "lost"] == [json.loads(x)["message"] for x in stream.getvalue().splitlines()]
    configure("ERROR", "json", stream)
    assert not logging.getLogger("kafka.conn").isEnabledFor(logging.WARNING)


def test_without_a_stream_it_is_standard_error_as_it_is_now(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    stream = io.StringIO()
    monkeypatch.setattr(sys, "stderr", stream)
    configure("INFO", "text")
    logging.getLogger("monitor").info("here")
    assert "here" in stream.getvalue()
