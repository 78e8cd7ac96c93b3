"""Scheduled work: a failure is logged, and the next time comes all the same."""

from __future__ import annotations

import logging
import threading
from datetime import UTC, datetime

import pytest

from monitor.errors import StoreError
from monitor.jobs import Jobs


def run(jobs: Jobs, name: str) -> None:
    """What the scheduler does when the job's time has come."""
    jobs._scheduler.get_job(name).func()


def test_a_job_says_what_it_did(caplog: pytest.LogCaptureFixture) -> None:
    jobs = Jobs()
    jobs.hourly("retention", lambda: {"documents": 7})
    with caplog.at_level(logging.INFO, "monitor.jobs"):
        run(jobs, "retention")
    assert "job retention: {'documents': 7}" in caplog.text


def test_a_job_that_fails_is_logged_and_does_not_raise(caplog: pytest.LogCaptureFixture) -> None:
    def work() -> None:
        raise StoreError("deleting what is too old: the disk is full")

    jobs = Jobs()
    jobs.hourly("retention", work)
    run(jobs, "retention")
    (record,) = caplog.records
    assert logging.WARNING == record.levelno
    assert "retention failed" in record.getMessage()
    assert "the disk is full" in record.getMessage()


def test_a_job_is_planned_at_seventeen_minutes_past_the_hour() -> None:
    jobs = Jobs()
    jobs.hourly("retention", lambda: None)
    jobs.start()
    try:
        job = jobs._scheduler.get_job("retention")
        assert (17, 0) == (job.next_run_time.minute, job.next_run_time.second)
        assert (True, 1) == (job.coalesce, job.max_instances)
    finally:
        jobs.close()
    assert not jobs._scheduler.running


def test_a_job_at_an_interval_leaves_the_telling_to_itself(
    caplog: pytest.LogCaptureFixture,
) -> None:
    jobs = Jobs()
    jobs.every("reload", 5.0, lambda: "nothing new")
    with caplog.at_level(logging.INFO, "monitor.jobs"):
        run(jobs, "reload")
    assert [] == caplog.records
    assert 5.0 == jobs._scheduler.get_job("reload").trigger.interval.total_seconds()


def test_a_job_that_plans_itself_anew_is_not_lost_although_it_is_still_running() -> None:
    jobs = Jobs(workers=2)
    again, over = threading.Event(), threading.Event()

    def first() -> None:
        jobs.once("feed", datetime.now(UTC), again.set)
        again.wait(10)
        over.set()

    jobs.once("feed", datetime.now(UTC), first)
    jobs.start()
    try:
        assert over.wait(30)
        assert again.is_set()
    finally:
        jobs.close()


def test_a_job_for_one_moment_is_replaced_by_a_later_plan_and_is_never_too_late() -> None:
    jobs = Jobs()
    jobs.once("feed", datetime(2099, 1, 1, tzinfo=UTC), lambda: None)
    jobs.once("feed", datetime(2099, 1, 2, tzinfo=UTC), lambda: None)
    jobs.start()
    try:
        (job,) = jobs._scheduler.get_jobs()
        assert datetime(2099, 1, 2, tzinfo=UTC) == job.next_run_time
        assert job.misfire_grace_time is None
    finally:
        jobs.close()


def test_closing_what_was_never_started_is_no_fault() -> None:
    jobs = Jobs()
    jobs.close()
    assert not jobs._scheduler.running
