"""`monitor demo`: everything on one machine, with nothing installed beforehand."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import FrameType
from typing import Any

from rich.console import Console
from rich.live import Live
from rich.table import Table

from models import manifest
from models.errors import ModelError
from models.predict import DEFAULT
from monitor.alert.signing import Signer, new_secret
from monitor.clock import ScaledClock
from monitor.demo.broker import EmbeddedBroker
from monitor.demo.feed import Feed, endless
from monitor.demo.names import alias_file
from monitor.demo.processes import Child
from monitor.demo.receiver import Delivery, WebhookReceiver
from monitor.demo.screen import AlertLine, Screen, read_gauges
from monitor.demo.stream import sample_stream
from monitor.errors import ConfigError, MonitorError
from monitor.source.publish import KafkaPublisher
from monitor.source.settings import KafkaSettings
from monitor.store.engine import open_reader
from monitor.store.reads import Counts, Reads

DAYS = 3
HEAD_START = 10.0
"""Seconds that the daemon gets for loading the model before the stream begins."""
DRAIN = 8.0
"""Seconds at the end of a timed run for what is under way."""
PATIENCE = 45.0
"""Seconds that a machine which has fallen behind gets in its place, at most."""
REFRESH = 0.5
DASHBOARD = Path(__file__).parents[2] / "dashboards" / "app.py"


@dataclass(frozen=True, slots=True)
class DemoOptions:
    """What the command line chose."""

    seconds: float | None
    """Run headless for so long and print a summary; None: until Ctrl-C."""
    speed: float | None
    """Simulated seconds a second; None: a day in two minutes, or three days in a timed run."""
    seed: int
    dashboard_port: int
    http_port: int
    folder: Path


@dataclass(frozen=True, slots=True)
class Summary:
    """What a timed run came to."""

    published: int
    counts: Counts
    notifications: int
    """Delivered, each with a valid signature."""
    alerts: int
    latencies: tuple[float, ...]
    untrusted: int
    """Requests whose signature was not valid, and ids that came with two bodies."""

    def fault(self) -> str | None:
        """Why this run is a failure, None when it is none."""
        rejected = sum(self.counts.dead_letters.values())
        if not self.alerts:
            return "no alert was delivered and verified"
        if self.untrusted:
            return f"{self.untrusted} notifications could not be trusted"
        if self.published != self.counts.documents + rejected:
            return (
                f"{self.published} documents went in, but {self.counts.documents} scored and "
                f"{rejected} rejected came out: the machine was too slow, or something was lost"
            )
        return None


def run_demo(options: DemoOptions) -> int:
    """Run it; returns the exit status. Raises ``MonitorError`` when it can't start."""
    _preflight(options)
    stop = threading.Event()

    def on_signal(_number: int, _frame: FrameType | None) -> None:
        stop.set()

    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, on_signal)
    console = Console()
    with ExitStack() as stack:
        demo = _Demo(options, stop, stack)
        if options.seconds is None:
            demo.show(console)
            console.print("Ending …")
            return 0
        demo.wait(options.seconds, console)
        if stop.is_set():
            console.print("Ended before its time.")
            return 130
        summary = demo.finish()
    _print(summary, console)
    if fault := summary.fault():
        print(f"monitor demo: {fault}; the logs are in {options.folder}", file=sys.stderr)
        return 1
    return 0


def _preflight(options: DemoOptions) -> None:
    """Find what would fail later: one clear line now."""
    try:
        manifest.read(DEFAULT)
    except ModelError as error:
        raise MonitorError(f"the weights of the model are missing or damaged: {error}") from error
    for port, name, option in (
        (options.dashboard_port, "dashboard", "--dashboard-port"),
        (options.http_port, "metrics", "--http-port"),
    ):
        try:
            socket.create_server(("127.0.0.1", port)).close()
        except OSError as error:
            raise ConfigError(
                f"port {port} ({name}) cannot be used: {os.strerror(error.errno or 0)}; "
                f"end the program that listens there, or choose another with {option}"
            ) from error


class _Demo:
    """Everything that the demo starts; the exit stack ends it in reverse order."""

    def __init__(self, options: DemoOptions, stop: threading.Event, stack: ExitStack) -> None:
        self._stop = stop
        self._options = options
        shutil.rmtree(options.folder, ignore_errors=True)
        options.folder.mkdir(parents=True)
        self._database = f"sqlite:///{options.folder.resolve() / 'monitor.db'}"
        self._speed = self._choose_speed()
        midnight = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
        first = midnight - timedelta(days=DAYS if options.seconds else 10 * DAYS)
        self._wall_origin = datetime.now(UTC) + timedelta(seconds=HEAD_START)
        self._clock = ScaledClock(first, self._wall_origin, self._speed)
        self._metrics_url = f"http://127.0.0.1:{options.http_port}/metrics"

        broker = stack.enter_context(EmbeddedBroker())
        kafka = broker.settings()
        secret = new_secret()
        self._receiver = WebhookReceiver(Signer([secret]), on_alert=self._on_alert)
        stack.callback(self._receiver.close)
        self._screen = Screen(
            {
                "dashboard": f"http://127.0.0.1:{options.dashboard_port}",
                "metrics": self._metrics_url,
                "health": f"http://127.0.0.1:{options.http_port}/readyz",
                "Kafka": kafka.bootstrap_servers,
                "logs": str(options.folder),
            },
            self._speed,
        )
        self._aliases = options.folder.resolve() / "aliases.toml"
        self._aliases.write_text(alias_file(), "utf-8")
        config = options.folder / "monitor.toml"
        config.write_text(self._configuration(kafka, secret, first), "utf-8")
        self._daemon = self._child(
            stack, "daemon", ["-m", "monitor", "run", "--config", str(config)]
        )
        self._dashboard = self._child(stack, "dashboard", self._streamlit())
        publisher = KafkaPublisher(kafka)
        stack.callback(publisher.close)
        stream = (
            sample_stream(first, seed=options.seed, days=DAYS)
            if options.seconds
            else endless(first, options.seed, DAYS)
        )
        self._feed = Feed(stream, publisher, self._clock, threading.Event())
        stack.callback(self._feed.close)
        self._feed.start()

    def show(self, console: Console) -> None:
        """The live screen, until Ctrl-C."""
        with Live(console=console, screen=console.is_terminal, auto_refresh=False) as live:
            for gauges in self._watch():
                screen = self._screen.render(gauges, self._feed.published, self._clock.now())
                live.update(screen, refresh=True)

    def wait(self, seconds: float, console: Console) -> None:
        """A timed run: a line every ten seconds."""
        until = time.monotonic() + seconds
        said = 0.0
        for gauges in self._watch():
            now = time.monotonic()
            if now >= until:
                return
            if now - said >= 10:
                said = now
                scored = gauges.scored if gauges else 0
                console.print(
                    f"{until - now:4.0f} s left, {self._clock.now():%a %H:%M} simulated, "
                    f"{self._feed.published} published, {scored:.0f} scored, "
                    f"{len(self._receiver.received)} notifications"
                )

    def finish(self) -> Summary:
        """Stop the feed, let what is under way come through, end the daemon, count."""
        self._feed.close()
        until = time.monotonic() + PATIENCE
        while time.monotonic() < until and not self._drained():
            self._stop.wait(REFRESH)
        self._daemon.ask_to_stop()
        self._daemon.wait(10)
        reads = Reads(open_reader(self._database))
        try:
            counts = reads.counts()
        finally:
            reads.close()
        fired = {alert["labels"]["alert_id"] for d in self._receiver.received for alert in d.alerts}
        return Summary(
            published=self._feed.published,
            counts=counts,
            notifications=len(self._receiver.received),
            alerts=len(fired),
            latencies=tuple(self._receiver.latencies()),
            untrusted=self._receiver.rejected + self._receiver.conflicts,
        )

    def _watch(self) -> Iterator[Any]:
        """The daemon's gauges every half second, until the demo is to stop."""
        while not self._stop.is_set():
            self._daemon.check()
            self._dashboard.check()
            if self._feed.failure is not None:
                raise self._feed.failure
            yield read_gauges(self._metrics_url)
            self._stop.wait(REFRESH)

    def _drained(self) -> bool:
        gauges = read_gauges(self._metrics_url)
        if gauges is None:
            return False
        return gauges.scored + sum(gauges.rejected.values()) >= self._feed.published

    def _on_alert(self, delivery: Delivery, alert: Mapping[str, Any]) -> None:
        self._screen.alerts.append(
            AlertLine(
                delivery.received_at,
                alert["status"],
                alert["labels"]["severity"],
                alert["annotations"]["summary"],
            )
        )

    def _choose_speed(self) -> float:
        if self._options.speed is not None:
            return self._options.speed
        if self._options.seconds is None:
            return 720.0
        return DAYS * 86_400 / max(self._options.seconds - HEAD_START - DRAIN, 5.0)

    def _child(self, stack: ExitStack, name: str, arguments: list[str]) -> Child:
        log = self._options.folder / f"{name}.log"
        child = Child(name, [sys.executable, *arguments], log, {"PYTHONUNBUFFERED": "1"})
        stack.callback(child.wait, 6)
        stack.callback(child.ask_to_stop)
        return child

    def _streamlit(self) -> list[str]:
        return [
            *("-m", "streamlit", "run", str(DASHBOARD)),
            *("--server.port", str(self._options.dashboard_port)),
            *("--server.address", "127.0.0.1"),
            *("--server.headless", "true"),
            *("--server.fileWatcherType", "none"),
            *("--browser.gatherUsageStats", "false"),
            *("--client.toolbarMode", "minimal"),
            *("--", "--database", self._database),
        ]

    def _configuration(self, kafka: KafkaSettings, secret: str, first: datetime) -> str:
        # A fetch delays a record by a fraction of a second, which is many simulated ones.
        skew = 60 + 0.3 * self._speed
        version = ", ".join(str(n) for n in kafka.api_version or ())
        return f"""\
# Written by `monitor demo`; made anew at each start.
[kafka]
bootstrap_servers = "{kafka.bootstrap_servers}"
api_version = [{version}]
fetch_max_wait = {kafka.fetch_max_wait}
session_timeout = {kafka.session_timeout}
check_crcs = {str(kafka.check_crcs).lower()}

[intake]
poll_timeout = 0.1

[entities]
aliases = "{self._aliases}"

[aggregate]
out_of_orderness = {skew:.0f}
idle_after = 2

[store]
url = "{self._database}"
keep_texts_days = 36500
keep_buckets_days = 36500

[delivery]
group_wait = 0.5
group_interval = 2
repeat_interval = 600
external_url = "http://127.0.0.1:{self._options.dashboard_port}"

[[delivery.receivers]]
name = "demo"
url = "{self._receiver.url}"
secrets = ["{secret}"]
allow_http = true
allow_networks = ["127.0.0.1/32"]

[http]
port = {self._options.http_port}

[replay]
event_origin = "{first.isoformat()}"
wall_origin = "{self._wall_origin.isoformat()}"
speed = {self._speed}
"""


def _print(summary: Summary, console: Console) -> None:
    counts = summary.counts
    table = Table(title="monitor demo", title_justify="left", show_header=False, box=None)
    table.add_column(style="dim")
    table.add_column(justify="right")
    table.add_row("documents in", f"{summary.published}")
    table.add_row("scored", f"{counts.documents}")
    table.add_row("rejected", f"{sum(counts.dead_letters.values())}")
    for reason, number in Counter(counts.dead_letters).most_common():
        table.add_row(f"  {reason}", f"{number}")
    table.add_row("alerts delivered, signature verified", f"{summary.alerts}")
    table.add_row("notifications", f"{summary.notifications}")
    for name, share in (("p50", 0.5), ("p95", 0.95)):
        value = _quantile(summary.latencies, share)
        table.add_row(f"{name} from published to alert", "–" if value is None else f"{value:.2f} s")
    console.print(table)


def _quantile(values: tuple[float, ...], share: float) -> float | None:
    """Nearest-rank quantile."""
    ordered = sorted(values)
    return ordered[min(int(share * len(ordered)), len(ordered) - 1)] if ordered else None
