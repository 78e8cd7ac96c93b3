"""The lab against the pipeline: unchanged rules give the alerts that are stored, to the figure;
changed ones those of a pipeline that had had them."""

from __future__ import annotations

import heapq
import itertools
import json
import random
import shutil
import sqlite3
from collections.abc import Sequence
from contextlib import closing
from dataclasses import replace
from datetime import timedelta
from math import ceil
from pathlib import Path

import pytest
from harness.flow import START, Flow, Message, judge
from harness.telling import Names, own_words
from sqlalchemy import select
from typer.testing import CliRunner

from monitor import config
from monitor.aggregate.sources import SourceSettings
from monitor.annotate import Annotator
from monitor.cli import app
from monitor.clock import ManualClock
from monitor.config import Settings, load_settings
from monitor.errors import MonitorError, StoreError
from monitor.events import About, Alert, Mention, Scored
from monitor.lab import history
from monitor.lab.command import experiment
from monitor.lab.ledger import Outcome
from monitor.lab.rules import Rules, changed
from monitor.score.base import Verdicts
from monitor.score.memory import MemoryScorer
from monitor.source.memory import MemoryLog
from monitor.store import alert_rows, schema
from monitor.store.engine import open_engine, open_reader
from monitor.store.migrations import migrate
from monitor.store.sql import SqlStore
from monitor.story.stories import Stories

HOUR = 3600.0
DAY = 24 * HOUR
CRISIS = 34 * HOUR
Arrival = tuple[float, str, Message]
"""Seconds from the start at which a message is read, its topic, the message."""


def post(number: int, at: float, text: str, author: str | None = None, source: int = 0) -> Message:
    """What was published so many seconds from the start."""
    published = (START + timedelta(seconds=at)).isoformat()
    said: Message = {
        "id": f"d{number}",
        "source": f"source-{source}",
        "published_at": published,
        "text": text,
    }
    return said if author is None else {**said, "author": author}


def poll(at: float) -> float:
    """The poll that reads what came at ``at``: there are few before the crisis, for speed."""
    step = 900.0 if at < CRISIS - HOUR else 60.0
    return ceil(at / step) * step


def traffic(seed: int) -> list[Arrival]:
    """A day and a half, then a crisis of a company: authors who repeat themselves, copies that
    come before what they repeat, documents that are minutes or hours late, and history."""
    rng = random.Random(seed)
    number = itertools.count()
    found: list[Arrival] = []

    def say(at: float, sign: str, named: str) -> None:
        comment = rng.random() < 0.4
        delay = rng.choice((1.0, 5.0, 30.0, 90.0, 400.0, 700.0, 2 * HOUR))
        text = own_words(rng.randrange(1_000_000), sign) + named
        author = rng.choice("abcdefghijkl") if comment else None
        source = rng.randrange(9)
        topic = "comments" if comment else "news"
        found.append((poll(at + delay), topic, post(next(number), at, text, author, source)))
        if rng.random() < 0.2:  # the copy was published later, and may have come earlier
            again = at + rng.uniform(1, 600)
            came = again + rng.choice((1.0, 30.0))
            copy = post(next(number), again, text, None, rng.randrange(9))
            found.append((poll(came), "news", copy))

    for i in range(60):  # known to be old: they fill the baselines
        old = post(
            next(number), -(i + 1) * HOUR / 4, own_words(3_000_000 + i, "-0"[i % 2]), None, i % 9
        )
        found.append((poll(2 * HOUR), "news", {**old, "history": True}))
    for i in range(480):
        say(i * 270.0, rng.choices("-0+", (1, 2, 1))[0], rng.choice(("", "", " Northgate")))
    for _ in range(90):
        say(CRISIS + rng.uniform(0, 1.5 * HOUR), rng.choices("-0", (9, 1))[0], " Northgate")
    return sorted(found, key=lambda a: (a[0], str(a[2]["id"])))


def played(
    folder: Path,
    arrivals: list[Arrival],
    detect: config.Detect | None = None,
    sources: SourceSettings | None = None,
    stalls: Sequence[tuple[float, float]] = (),
    poll_records: int = 512,
    reading: float = 0.0,
) -> Flow:
    """A pipeline with a database in a file, polling when something has come and when a partition
    has just fallen idle. In ``stalls`` (seconds from the start) it does not; a poll that reads
    takes ``reading`` seconds."""
    folder.mkdir(exist_ok=True)
    migrate(url(folder))
    engine = open_engine(url(folder))
    clock = ManualClock(START)
    flow = Flow(
        MemoryLog(["news", "comments"], 1, wall=clock.now),
        clock=clock,
        scorer=MemoryScorer(judge),
        annotator=lambda: Annotator(Stories(), Watched()),
        detect=detect or config.Detect(),
        store_on=lambda _database: SqlStore(engine),
        wall=clock.now,
        sources=sources,
        poll_records=poll_records,
    )
    flow.pipeline.step(flow.stop)
    moments = sorted({at for at, _, _ in arrivals} | {end for _, end in stalls})
    idle = sorted({at + 60.01 + reading * i for at in moments for i in range(40)})
    coming = iter(arrivals)
    arrival = next(coming, None)
    for at in heapq.merge(moments, idle):
        clock.advance(max(0.0, at - clock.monotonic()))
        while arrival is not None and arrival[0] <= at:
            flow.put([arrival[2]], arrival[1])
            arrival = next(coming, None)
        if any(begin <= at < end for begin, end in stalls):
            continue
        while flow.pipeline.step(flow.stop) or flow.pipeline.in_flight:
            clock.advance(reading)
    engine.dispose()
    return flow


class Watched(Names):
    """And the watched item "quarry", where the text has the word."""

    def mentions(
        self,
        scored: Sequence[Scored],
        texts: Sequence[str],
        verdicts: Verdicts,
        rows: Sequence[int],
    ) -> list[tuple[Mention, ...]]:
        found = super().mentions(scored, texts, verdicts, rows)
        return [
            (*m, Mention("watch:quarry", "quarry", "quarry", s.sentiment)) if "quarry" in t else m
            for m, t, s in zip(found, texts, scored, strict=True)
        ]


def url(folder: Path) -> str:
    return f"sqlite:///{folder / 'monitor.db'}"


def settings_of(folder: Path, **more: str) -> Settings:
    return load_settings(None, {"MONITOR_STORE__URL": url(folder), **more})


def stored(folder: Path) -> dict[str, Alert]:
    """What the pipeline has written, but for alerts of blind sources."""
    engine = open_reader(url(folder))
    with engine.connect() as connection:
        found = [alert_rows.alert_of(row) for row in connection.execute(select(schema.alerts))]
    engine.dispose()
    return {a.id: bare(a) for a in found if a.detector != "blind"}


def bare(alert: Alert) -> Alert:
    """Without what the lab does not gather (evidence, what it is about and so the names in the
    summary, receipts), what it knows as it is by now (which stories are one) and wall times, which
    are those of polls."""
    wall = START
    return replace(
        alert,
        evidence=(),
        waterfall=None,
        about=About(),
        summary="",
        receipt="",
        stories=0,
        largest_story=0,
        updated_at=wall,
        appended_at=wall,
    )


def alerts(outcomes: list[Outcome]) -> dict[str, Alert]:
    return {o.alert.id: bare(o.alert) for o in outcomes}


def mentioned(folder: Path) -> list[tuple[str, str]]:
    """(document, key) of all that the lab reads."""
    engine = open_reader(url(folder))
    found = [
        (known.heard.id, view.key)
        for page in history.History(engine).pages()
        for known in page.documents
        for view in known.heard.views
    ]
    engine.dispose()
    return found


def rerun(folder: Path, *sets: str) -> tuple[dict[str, Alert], dict[str, Alert]]:
    """The alerts of today's rules, and of those with changes."""
    settings = settings_of(folder)
    engine = open_reader(url(folder))
    found, _ = experiment(engine, settings, Rules.of(settings), changed(settings, sets))
    engine.dispose()
    return alerts(found.today), alerts(found.other)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("lab")
    played(made, traffic(1))
    return made


def test_unchanged_rules_give_the_alerts_that_are_stored(folder: Path) -> None:
    known = stored(folder)
    assert 2 <= sum(a.fired_at is not None for a in known.values())
    today, same = rerun(folder)
    assert known == today
    assert today == same


def test_however_few_rows_are_read_at_once_the_alerts_are_the_same(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A document with its mentions, and what was polled together, may lie on two pages."""
    monkeypatch.setattr(history, "_PAGE", 3)
    today, _ = rerun(folder)
    assert stored(folder) == today


def test_mentions_are_those_of_their_documents_whichever_were_deleted(
    folder: Path, tmp_path: Path
) -> None:
    """Retention deletes documents first, and what they name after that."""
    shutil.copy(folder / "monitor.db", tmp_path)
    with closing(sqlite3.connect(tmp_path / "monitor.db")) as database:
        database.execute("DELETE FROM documents WHERE rowid % 3 = 1")
        database.commit()
        query = (
            "SELECT document_id, key FROM mentions WHERE document_id IN (SELECT id FROM documents)"
        )
        named = sorted(database.execute(query))
    assert len(named) > 50
    assert named == sorted(mentioned(tmp_path))


def test_mentions_out_of_order_are_refused(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(history, "_PAGE", 3)
    shutil.copy(folder / "monitor.db", tmp_path)
    with closing(sqlite3.connect(tmp_path / "monitor.db")) as database:
        database.execute("UPDATE mentions SET rowid = rowid + 1000000 WHERE rowid = 1")
        database.commit()
    with pytest.raises(StoreError, match="put together by hand"):
        mentioned(tmp_path)


def test_another_budget_gives_the_alerts_of_a_pipeline_with_that_budget(
    folder: Path, tmp_path: Path
) -> None:
    played(tmp_path, traffic(1), config.Detect(budget=40.0))
    today, other = rerun(folder, "detect.budget=40")
    assert stored(folder) == today
    assert stored(tmp_path) == other
    assert {a.fired_at for a in today.values()} != {a.fired_at for a in other.values()}


def test_a_watermark_that_waits_longer_fires_later(folder: Path) -> None:
    today, later = rerun(folder, "aggregate.out_of_orderness=7200", "detect.min_sources=1")
    assert stored(folder) == today
    fired = [[a.fired_at for a in each.values() if a.fired_at] for each in (today, later)]
    assert fired[0]
    assert sorted(fired[0]) != sorted(fired[1])


def test_a_source_that_was_blind_is_so_in_the_lab(tmp_path: Path) -> None:
    """One that gives the company most of its documents dies before the crisis."""
    silent = range(int(30 * HOUR), int(40 * HOUR))
    lone = [
        (poll(at + 1.0), "news", post(100_000 + at, at, text + " Northgate", None, 77))
        for at in range(0, int(42 * HOUR), 600)
        if at not in silent
        for text in (own_words(2_000_000 + at, "0"),)
    ]
    arrivals = sorted([*traffic(2), *lone], key=lambda a: a[0])
    played(tmp_path, arrivals, sources=SourceSettings(minimum_history=DAY, budget=0.1))
    known = stored(tmp_path)
    assert any("does not speak" in a.setting.insufficient for a in known.values())
    today, _ = rerun(tmp_path)
    assert known == today


def test_a_daemon_that_lags_behind_closes_no_bucket_over_what_it_has_not_read(
    tmp_path: Path,
) -> None:
    """Three times in the crisis nothing is polled; what lies there then is read for minutes, topic
    after topic."""
    arrivals = traffic(3)
    crisis = [at for at, _, _ in arrivals if at > CRISIS]
    lengths = {3: 420.5, 15: 420.5, 30: 1500.5}
    stalls = [(crisis[i], crisis[i] + seconds) for i, seconds in lengths.items()]
    played(tmp_path, arrivals, stalls=stalls, poll_records=2, reading=25.0)
    known = stored(tmp_path)
    assert any(a.fired_at is not None for a in known.values())
    today, _ = rerun(tmp_path)
    assert known == today


def test_other_watched_items_are_found_in_the_stored_texts(folder: Path, tmp_path: Path) -> None:
    file = tmp_path / "watch.toml"
    file.write_text('[[watch]]\nid = "fairground"\nnames = ["northgate"]\n')
    _, other = rerun(folder, f"entities.watch_file={file}")
    keys = {a.key for a in other.values() if a.fired_at}
    assert "watch:fairground" in keys
    assert "watch:quarry" not in keys


def test_the_command_shows_what_is_gained_and_lost_and_writes_nothing(
    folder: Path, tmp_path: Path
) -> None:
    configuration, told = tmp_path / "monitor.toml", tmp_path / "lab.json"
    configuration.write_text(f'[store]\nurl = "{url(folder)}"\n')
    before = (folder / "monitor.db").read_bytes()
    sets = ["--set", "detect.min_documents=1000", "--set", "detect.busy_documents=1000"]
    asked = ["lab", "-c", str(configuration), *sets, "--json", str(told), "--from", "2026-03-03"]
    shown = CliRunner().invoke(app, asked)
    assert 0 == shown.exit_code, shown.output
    assert "detect.min_documents: 5 → 1000" in shown.output
    found = json.loads(told.read_text())
    assert 0 == found["other"]["sent"]
    assert found["today"]["sent"] == len(found["lost"]) == found["reproduced"] > 0
    assert "of 1000 independent voices" in found["lost"][0]["otherwise"]
    assert any(each["summary"].startswith("Northgate plc: ") for each in found["lost"])
    assert before == (folder / "monitor.db").read_bytes()


def test_beside_what_fired_the_changed_rules_run_alone(folder: Path, tmp_path: Path) -> None:
    configuration = tmp_path / "monitor.toml"
    configuration.write_text(f'[store]\nurl = "{url(folder)}"\n')
    found = []
    for beside in ([], ["--stored"]):
        told = tmp_path / "lab.json"
        asked = ["lab", "-c", str(configuration), "--set", "detect.budget=40", *beside]
        shown = CliRunner().invoke(app, [*asked, "--json", str(told)])
        assert 0 == shown.exit_code, shown.output
        found.append(json.loads(told.read_text()))
    assert ["rules", "stored"] == [each.pop("against") for each in found]
    assert found[0] == found[1]
    assert "as it was" in shown.output


@pytest.mark.parametrize(
    ("asked", "told"),
    [
        (["--set", "detect.budgett=2"], "[detect] has no budgett"),
        (["--set", "detect.budget=-2"], "--set detect.budget=-2: Input should be greater than 0"),
        (["--set", "detect.budget"], "must be section.name=value"),
        (["--set", "kafka.group_id=x"], "the lab changes [detect], [aggregate]"),
        (["--stored", "--set", "aggregate.out_of_orderness=30"], "leave --stored out"),
        (["--from", "soon"], "--from 'soon': must be a date or a time"),
        (["--from", "2027-01-01"], "--from 2027-01-01 00:00 is not before --until"),
    ],
)
def test_a_wrong_option_says_what_is_wrong_and_how_to_mend_it(
    folder: Path, tmp_path: Path, asked: list[str], told: str
) -> None:
    configuration = tmp_path / "monitor.toml"
    configuration.write_text(f'[store]\nurl = "{url(folder)}"\n')
    shown = CliRunner().invoke(app, ["lab", "-c", str(configuration), *asked])
    assert isinstance(shown.exception, MonitorError)
    assert told in str(shown.exception)
