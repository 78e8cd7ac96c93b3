"""The daemon's scheduled work, on APScheduler."""

from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from apscheduler.executors.pool import ThreadPoolExecutor
from apscheduler.schedulers.background import BackgroundScheduler
from apscheduler.triggers.cron import CronTrigger
from apscheduler.triggers.date import DateTrigger
from apscheduler.triggers.interval import IntervalTrigger

from monitor.errors import MonitorError

log = logging.getLogger(__name__)


class Jobs:
    """Each job in a thread of its own; one that fails is logged and tried at its next time."""

    def __init__(self, workers: int = 10) -> None:
        """``workers``: jobs that run at once; others wait for a thread."""
        # One run at a time for each job; what was missed while the machine slept runs once.
        self._scheduler = BackgroundScheduler(
            executors={"default": ThreadPoolExecutor(workers)},
            timezone=UTC,
            job_defaults={"coalesce": True, "max_instances": 1, "misfire_grace_time": 3600},
        )

    def hourly(self, name: str, work: Callable[[], object]) -> None:
        """At seventeen minutes past each hour, when nobody else's jobs start."""
        self._scheduler.add_job(
            _guarded(name, work), CronTrigger(minute=17, timezone=UTC), id=name, name=name
        )

    def every(self, name: str, seconds: float, work: Callable[[], object]) -> None:
        """At this interval in seconds; what it did is the job's own business to log."""
        trigger = IntervalTrigger(seconds=seconds, timezone=UTC)
        self._scheduler.add_job(_guarded(name, work, quiet=True), trigger, id=name, name=name)

    def cron(self, name: str, expression: str, work: Callable[[], object]) -> None:
        """At the times of a cron expression (`cron_trigger`)."""
        self._scheduler.add_job(_guarded(name, work), cron_trigger(expression), id=name, name=name)

    def once(self, name: str, moment: datetime, work: Callable[[], object]) -> None:
        """At this moment, or at once when it is over; however late. A job of that name that waits
        is replaced."""
        self._scheduler.add_job(
            _guarded(name, work, quiet=True),
            DateTrigger(moment, timezone=UTC),
            id=name,
            name=name,
            replace_existing=True,
            misfire_grace_time=None,
            max_instances=2,  # a job that schedules itself anew is still running then
        )

    def start(self) -> None:
        """Begin."""
        self._scheduler.start()

    def close(self) -> None:
        """Begin no more jobs; a running one is not waited for."""
        if self._scheduler.running:
            self._scheduler.shutdown(wait=False)


def cron_trigger(expression: str) -> CronTrigger:
    """Five fields in UTC; days of the week by name, since numbers mean others here than in cron.

    Raises ``ValueError`` for what is none, or never comes.
    """
    fields = expression.split()
    if len(fields) == 5 and any(c.isdigit() for c in fields[4]):
        raise ValueError("name the days of the week (mon-fri)")
    trigger = CronTrigger.from_crontab(expression, timezone=UTC)
    if trigger.get_next_fire_time(None, datetime.now(UTC)) is None:
        raise ValueError("it never comes")
    return trigger


def next_due(expression: str) -> Callable[[datetime], datetime]:
    """The first time of a cron expression after a moment."""
    trigger = cron_trigger(expression)

    def after(moment: datetime) -> datetime:
        due: datetime = trigger.get_next_fire_time(None, moment + timedelta(microseconds=1))
        return due

    return after


def _guarded(name: str, work: Callable[[], object], *, quiet: bool = False) -> Callable[[], None]:
    def run() -> None:
        try:
            said = work()
            if not quiet:
                log.info("job %s: %s", name, said)
        except MonitorError as error:
            log.warning("job %s failed, next try at its next time: %s", name, error)

    return run
