"""Logs as one line each: for people on a terminal, JSON elsewhere."""

from __future__ import annotations

import json
import logging
import sys
from datetime import UTC, datetime
from typing import Literal, TextIO


class _JsonFormatter(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        entry = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        if record.exc_info:
            entry["exception"] = self.formatException(record.exc_info)
        return json.dumps(entry, ensure_ascii=False)


def configure(
    level: str = "INFO",
    style: Literal["auto", "text", "json"] = "auto",
    stream: TextIO | None = None,
) -> None:
    """Send every log to ``stream`` (none: standard error).

    ``auto`` is text on a terminal and JSON lines elsewhere.
    """
    stream = stream or sys.stderr
    handler = logging.StreamHandler(stream)
    text = style == "text" or (style == "auto" and stream.isatty())
    handler.setFormatter(
        logging.Formatter("%(asctime)s %(levelname)-7s %(name)s: %(message)s")
        if text
        else _JsonFormatter()
    )
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)
    # kafka-python tells of every connection, alembic and APScheduler of every step.
    for noisy in ("kafka", "alembic", "apscheduler", "uvicorn.access"):
        logging.getLogger(noisy).setLevel(max(logging.WARNING, logging.getLogger().level))
    # It warns of each turn of its loop above 0.1 s, which any busy machine has.
    logging.getLogger("kafka.net.selector").setLevel(logging.ERROR)
