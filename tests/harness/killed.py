"""A run of kills from outside: receivers that are not always well, and what must hold after it."""

from __future__ import annotations

import json
import os
import random
import sqlite3
import subprocess
import sys
import textwrap
import threading
import time
from collections import Counter
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from harness import killing
from harness.killing import receivers_clock

from monitor.alert.signing import Signer, new_secret
from monitor.clock import SystemClock
from monitor.demo.receiver import WebhookReceiver

_SAME = {
    "documents": "id",
    "mentions": "document_id, key",
    "dead_letters": "kafka_topic, kafka_partition, kafka_offset",
    "offsets": "topic, partition",
    "buckets": "key, start",
    "key_states": "detector, key",
    "stories": "1, 2, 3",
    "alerts": "id",
    "receipts": "alert_id",
}
"""Tables that must be those of the undisturbed run to the byte, and the order of their rows."""


class MoodyReceiver(WebhookReceiver):
    """Refuses some requests, takes its time with others, and loses the answers of a few that it has
    taken; every body is verified, and noted by its id."""

    def __init__(self, secret: str, now: Callable[[], datetime], seed: int) -> None:
        self._moods = random.Random(seed)
        self._choosing = threading.Lock()
        self.answers: Counter[str] = Counter()
        super().__init__(Signer([secret]), now=now)

    def take(self, headers: dict[str, str], body: bytes) -> tuple[int, str]:
        with self._choosing:
            mood = self._moods.random()
            slow = self._moods.uniform(0.02, 0.2)
        if mood < 0.12:
            return self._said(500, "out of order")
        if mood < 0.2:
            return self._said(429, "too many")
        taken = super().take(headers, body)
        if taken[0] != 200:
            return self._said(*taken)
        if mood < 0.28:
            return self._said(503, "taken, but lost on the way")
        if mood < 0.55:
            time.sleep(slow)
        return self._said(*taken)

    def _said(self, status: int, text: str) -> tuple[int, str]:
        with self._choosing:
            self.answers[f"{status} {text}"] += 1
        return status, text


@dataclass
class Outcome:
    """What came of a run."""

    faults: list[str] = field(default_factory=list)
    """What was lost, doubled or otherwise; empty: nothing."""
    main: Counter[str] = field(default_factory=Counter)
    """Kills by what the main loop was at."""
    delivery: Counter[str] = field(default_factory=Counter)
    """Kills by what the delivery loop was at."""
    sending: Counter[str] = field(default_factory=Counter)
    """Kills with so many of the receivers' requests under way, or answered and not yet written."""
    publishing: Counter[str] = field(default_factory=Counter)
    """So of what is published to topics."""
    documents: int = 0
    alerts: int = 0
    delivered: int = 0
    """Webhook ids."""
    repeated: int = 0
    """Deliveries that came again, with the same body."""
    published: int = 0
    """Messages in the topics, repeated ones among them."""
    answers: Counter[str] = field(default_factory=Counter)
    """Of the receivers."""


class Killing:
    """One run in a folder, with the receivers of its webhooks; to be closed."""

    def __init__(self, folder: Path, seed: int) -> None:
        self._folder = folder
        self._seed = seed
        self._secret, self._origin = new_secret(), SystemClock().now()
        clock = receivers_clock(self._origin)
        self._receivers = [MoodyReceiver(self._secret, clock.now, seed + n) for n in range(3)]
        self._main: Counter[str] = Counter()
        self._delivery: Counter[str] = Counter()
        self._sending: Counter[str] = Counter()
        self._publishing: Counter[str] = Counter()

    @property
    def database(self) -> Path:
        """What the kills have left."""
        return self._folder / "killed" / "monitor.db"

    def run(self, kills: int, told: Callable[[int], None] = lambda _kills: None) -> None:
        """Kill so many lives, let the last one finish, and read the same records undisturbed.

        ``told`` is called with the number of kills. Raises ``RuntimeError`` when a life ends by
        itself, or one of its threads does.
        """
        tests = Path(__file__).parents[1]
        urls = ",".join(receiver.url for receiver in self._receivers)
        command = [
            *(sys.executable, killing.__file__, str(self._folder), urls, self._secret),
            *(str(kills), str(self._seed), self._origin.isoformat()),
        ]
        environment = os.environ | {
            "PYTHONPATH": os.pathsep.join((str(tests), str(tests.parent))),
            "OMP_NUM_THREADS": "1",  # of whose threads the forked lives would know nothing
            "OPENBLAS_NUM_THREADS": "1",
        }
        said = self._folder / "errors.txt"
        with (
            said.open("w") as errors,
            subprocess.Popen(
                command, env=environment, text=True, stdout=subprocess.PIPE, stderr=errors
            ) as process,
        ):
            assert process.stdout is not None
            for line in process.stdout:
                self._note(json.loads(line))
                told(self._main.total())
        if process.returncode != 0 or said.stat().st_size:
            raise RuntimeError(
                f"the run ended with {process.returncode}: {said.read_text()[-5000:]}"
            )

    def outcome(self) -> Outcome:
        """What was hit, and what is left: held against the undisturbed run, what was sent, and what
        the receivers have."""
        found = Outcome([], self._main, self._delivery, self._sending, self._publishing)
        with (
            closing(sqlite3.connect(self.database)) as killed,
            closing(sqlite3.connect(self._folder / "undisturbed" / "monitor.db")) as whole,
        ):
            if [("ok",)] != killed.execute("PRAGMA integrity_check").fetchall():
                found.faults.append("the database is not sound")
            for table, order in _SAME.items():
                query = f"SELECT * FROM {table} ORDER BY {order}"
                a, b = killed.execute(query).fetchall(), whole.execute(query).fetchall()
                if a != b:
                    found.faults.append(f"{table}: {_difference(a, b)}")
            found.documents = _count(killed, "documents")
            _judge_delivery(found, killed, self._receivers)
            _judge_topics(found, self.database.with_name("topics.jsonl"), killed)
        return found

    def close(self) -> None:
        for receiver in self._receivers:
            receiver.close()

    def _note(self, phases: dict[str, str]) -> None:
        self._main[phases["MainThread"]] += 1
        self._delivery[phases["delivery"]] += 1
        lanes = {phase for name, phase in phases.items() if name.startswith("send-")}
        self._sending[next((p for p in ("answered", "under way") if p in lanes), "idle")] += 1
        self._publishing[phases["publish"]] += 1


def _difference(a: list[Any], b: list[Any]) -> str:
    one = next(((x, y) for x, y in zip(a, b, strict=False) if x != y), ())
    return (
        f"{len(a)} rows after the kills, {len(b)} undisturbed; the first that differ: "
        f"{textwrap.shorten(repr(one), 1_000)}"
    )


def _judge_delivery(
    found: Outcome, killed: sqlite3.Connection, receivers: list[MoodyReceiver]
) -> None:
    faults = found.faults
    bodies = dict(killed.execute("SELECT id, body FROM notifications"))
    fired = killed.execute(
        "SELECT id, status, setting FROM alerts WHERE fired_ms IS NOT NULL ORDER BY id"
    ).fetchall()
    found.alerts = len(fired)
    alone = {name for name, _, setting in fired if not json.loads(setting)["under"]}
    ended = {name for name, status, _ in fired if status == "resolved"}
    for n, receiver in enumerate(receivers):
        told: dict[str, set[str]] = {}
        for delivery in receiver.received:
            if bodies.get(delivery.id) != delivery.body:
                faults.append(f"desk-{n}: {delivery.id} has another body than the one written")
            for alert in delivery.alerts:
                told.setdefault(alert["labels"]["alert_id"], set()).add(alert["status"])
        if lost := alone - told.keys():
            faults.append(f"desk-{n} was never told of {sorted(lost)}")
        if made_up := told.keys() - {name for name, *_ in fired}:
            faults.append(f"desk-{n} was told of {sorted(made_up)}, which are not there")
        if endless := {name for name in told.keys() & ended if "resolved" not in told[name]}:
            faults.append(f"desk-{n} was never told of the end of {sorted(endless)}")
        if receiver.rejected:
            faults.append(f"desk-{n}: {receiver.rejected} signatures could not be trusted")
        if receiver.conflicts:
            faults.append(f"desk-{n}: {receiver.conflicts} ids came with two bodies")
        found.delivered += len(receiver.received)
        found.repeated += receiver.repeated
        found.answers += receiver.answers
    for status, count in killed.execute("SELECT status, count(*) FROM notifications GROUP BY 1"):
        if status in ("pending", "dead"):
            faults.append(f"{count} notifications are {status}")
    if left := _count(killed, "outbox"):
        faults.append(f"{left} rows are left in the outbox")


def _judge_topics(found: Outcome, path: Path, killed: sqlite3.Connection) -> None:
    """Each message at least once; a line that a kill has cut is followed by the whole one."""
    published: dict[str, set[str]] = {}
    for line in path.read_text("utf-8").splitlines():
        try:
            topic, value = json.loads(line)
        except ValueError:
            continue
        found.published += 1
        made = json.loads(value)
        published.setdefault(topic, set()).add(made.get("id") or json.dumps(made))
    documents = {name for (name,) in killed.execute("SELECT id FROM documents")}
    if documents != published.get("scored", set()):
        found.faults.append("the topic of scored documents is not complete")
    alerts = {name for (name,) in killed.execute("SELECT id FROM alerts")}
    if alerts != published.get("alerts", set()):
        found.faults.append("the topic of alerts is not complete")


def _count(connection: sqlite3.Connection, table: str) -> int:
    return int(connection.execute(f"SELECT count(*) FROM {table}").fetchone()[0])
