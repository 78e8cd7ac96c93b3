"""What the page shows and what it must never show, without a browser."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from harness.page import ALERT, APP, END, Database, an_alert, html
from streamlit.testing.v1 import AppTest

from monitor.events import (
    TOPICS,
    About,
    AlertStatus,
    Explained,
    Kind,
    Setting,
    Severity,
    SourceState,
    Subject,
    Term,
    Waterfall,
)
from monitor.keys import drill_key
from monitor.matchers import parse
from monitor.store.base import SourceRow
from monitor.store.engine import open_engine
from monitor.store.muting.base import Acknowledgement, Silence
from monitor.store.muting.sql import SqlMuting
from monitor.store.verdicts.base import Judgement, Verdict
from monitor.store.verdicts.sql import SqlVerdicts

_COLUMN = {"documents": "p_negative", "companies": "interval"}


def judging(test: AppTest) -> Any:
    """The buttons to judge the alert."""
    (buttons,) = [b for b in test.button_group if str(b.key).startswith(f"verdict {ALERT}")]
    return buttons


def table(test: AppTest, name: str) -> pd.DataFrame:
    """What a table of the page holds; it is known by a column that no other has."""
    (found,) = [d.value for d in test.dataframe if _COLUMN[name] in d.value]
    return found


def test_a_missing_database_says_how_to_start_the_daemon(
    database: Database, page: Callable[[], AppTest]
) -> None:
    shown = html(page())

    assert "monitor run" in shown
    assert "No database yet" in shown
    assert not database.path.exists(), "reading must not create the file"


def test_the_page_goes_on_by_itself_when_the_database_appears(
    database: Database, page: Callable[[], AppTest]
) -> None:
    test = page()
    database.fill()

    test.run()

    assert "No database yet" not in html(test)
    assert "Documents are being read" in html(test) or "Live" in html(test)


def test_an_empty_database_shows_no_figure_at_all(
    database: Database, page: Callable[[], AppTest]
) -> None:
    database.create()

    test = page()

    assert "No data yet" in html(test)
    assert "Nothing has been scored yet" in html(test)
    assert [] == list(test.metric)


def test_a_database_without_tables_is_a_message_and_not_a_fault(
    database: Database, page: Callable[[], AppTest]
) -> None:
    database.path.touch()

    assert "monitor migrate" in html(page())


def test_only_rejected_records_are_not_called_live(
    database: Database, page: Callable[[], AppTest]
) -> None:
    database.fill(documents=0)

    shown = html(page())

    assert "Reading, nothing accepted" in shown
    assert "m-live" not in shown
    assert "bad date" in shown


def test_the_figures_come_from_the_stored_buckets(
    database: Database, page: Callable[[], AppTest]
) -> None:
    database.fill()

    figures = {metric.label: metric.value for metric in page().metric}

    assert "33 %" == figures["Negative share"]
    assert "−0.00" == figures["Net sentiment"]
    assert "1" == figures["Rejected"]
    assert "0" == figures["Alerts firing"]


def test_a_daemon_that_stopped_writing_is_stalled_and_never_green(
    database: Database, page: Callable[[], AppTest]
) -> None:
    database.fill(written_ago=600)

    test = page()

    assert "Stalled" in html(test)
    assert "m-live" not in html(test)
    assert "not all clear" in html(test)
    assert "0 /s" in [metric.value for metric in test.metric]


def a_source(name: str, state: SourceState, reason: str = "") -> SourceRow:
    """A source with a day of twenty-five documents, last heard at noon."""
    return SourceRow(
        name, Kind.NEWS, state, END, END, 31.0, 25, 17.4, reason, (1,) * 25, (), b"",
    )  # fmt: skip


def test_a_blind_source_is_never_green_and_the_head_of_the_page_names_it(
    database: Database, page: Callable[[], AppTest]
) -> None:
    name = "Harbour <b>Wire</b>"
    database.fill(
        sources=[
            a_source("", SourceState.SPEAKING),
            a_source(name, SourceState.BLIND, "HTTP 503"),
            a_source("The Counting House", SourceState.SPEAKING),
            a_source("Newcomer", SourceState.NEW),
        ]
    )

    shown = html(page())

    assert "m-live" not in shown
    assert "Blind to 1 source" in shown
    assert "Harbour &lt;b&gt;Wire&lt;/b&gt;" in shown and name not in shown
    tile = shown[shown.index("m-is-blind") :]
    assert "17 expected since, none came" in tile[: tile.index("</article>")]
    assert "HTTP 503" in tile[: tile.index("</article>")]
    assert 1 == shown.count("m-is-speaking") == shown.count("m-is-new") == shown.count("m-is-blind")
    assert "25 of 31 expected in 24 h" in shown
    assert "too new to expect any" in shown
    assert "1 blind, 1 speaking, 1 new" in shown
    assert 3 == shown.count("<svg")


def test_a_silent_stream_is_told_on_top(database: Database, page: Callable[[], AppTest]) -> None:
    database.fill(sources=[a_source("", SourceState.BLIND), a_source("w", SourceState.QUIET)])

    shown = html(page())

    assert "The whole stream is silent" in shown
    assert "m-live" not in shown


def test_when_the_daemon_has_stopped_no_source_is_green(
    database: Database, page: Callable[[], AppTest]
) -> None:
    database.fill(written_ago=600, sources=[a_source("w", SourceState.SPEAKING)])

    shown = html(page())

    assert "m-is-speaking" not in shown
    assert "m-is-unknown" in shown


def test_a_running_daemon_is_live_and_a_replay_is_called_one(
    database: Database, page: Callable[[], AppTest]
) -> None:
    database.fill()

    shown = html(page())

    assert "m-live" in shown
    assert "behind the wall clock" in shown
    assert "news[0] offset 907, bad date" in shown


def test_an_alert_shows_what_moved_its_evidence_and_its_delivery(
    database: Database, page: Callable[[], AppTest]
) -> None:
    alert = an_alert(url="https://example.org/halden")
    database.fill(alerts=[alert])
    database.deliver(alert, "duty-desk")

    shown = html(page())

    assert "18 % → 64 %" in shown
    assert "60 posts = 41 voices, 26 of them negative, 33 % one text" in shown
    assert "Halden Bank halts withdrawals" in shown
    assert 'href="https://example.org/halden"' in shown
    assert 'rel="noopener noreferrer nofollow"' in shown
    assert "91 %" in shown
    assert "delivered to duty-desk at 2023-03-13 12:00:00" in shown
    assert f"id <bdi>{alert.id}</bdi>" in shown, "what `monitor receipt` is given"


def test_an_alert_shows_its_bounds_and_what_its_window_is_about(
    database: Database, page: Callable[[], AppTest]
) -> None:
    alert = replace(
        an_alert(),
        key="company:XX:HLD",
        setting=Setting(
            explained=(Explained("all", 0.25), Explained("kind:news", 0.004)),
            corrected=(0.6, 0.42, 0.71),
            corrected_baseline=0.17,
        ),
        about=About(
            41,
            (Term("halts <b>withdrawals</b>", 31, 5.2),),
            (Subject("company:XX:HLD", "Halden Bank", 33),),
            (Subject("topic:Financials", "Financials", 38),),
        ),
    )
    database.fill(alerts=[alert])

    shown = html(page())

    assert '<span class="m-name"><bdi>Halden Bank</bdi>' in shown
    assert "(corrected 42 % to 71 %, usual 17 %)" in shown
    assert "halts &lt;b&gt;withdrawals&lt;/b&gt;" in shown and "31 of 41 voices" in shown
    assert "Of these voices: <bdi>Halden Bank</bdi> 33 · <bdi>Financials</bdi> 38" in shown
    assert "Explained by more general keys: <bdi>Whole stream</bdi> 25 % of the excess" in shown


def test_more_voices_than_were_looked_at_are_told_apart(
    database: Database, page: Callable[[], AppTest]
) -> None:
    subject = Subject("company:XX:HLD", "Halden Bank", 280)
    database.fill(alerts=[replace(an_alert(), documents=999, about=About(300, (), (subject,)))])

    assert "Of the 300 voices that were looked at: <bdi>Halden Bank</bdi> 280" in html(page())


def test_a_link_to_an_alert_that_is_not_there_says_so(
    database: Database, page: Callable[[], AppTest]
) -> None:
    database.fill(alerts=[an_alert()])
    test = page()
    assert "No alert has the id" not in html(test)
    test.query_params["alert"] = "<i>gone"
    test.run()

    assert "No alert has the id &lt;i&gt;gone" in html(test)
    assert "Halden Bank halts withdrawals" in html(test), "the others are there as ever"


def test_an_alert_under_another_is_counted_beside_those_that_fire(
    database: Database, page: Callable[[], AppTest]
) -> None:
    under = replace(
        an_alert(),
        id="u",
        key="topic:Macro",
        setting=Setting(under=an_alert().key),
        started_at=END,
        severity=Severity.CRITICAL,
    )
    waits = replace(an_alert(), id="p", status=AlertStatus.PENDING, fired_at=None)
    database.fill(alerts=[an_alert(), under, waits])

    test = page()
    (tile,) = [metric for metric in test.metric if metric.label == "Alerts firing"]

    assert ("1", "and 1 shown under it, 1 with insufficient evidence") == (tile.value, tile.delta)
    stands = [html(test).index(f">{word}</span>") for word in ("Firing", "Shown under another")]
    assert stands == sorted(stands), "the latest is not the first where another tells of it"


@pytest.mark.parametrize(
    ("changes", "state", "why"),
    [
        (
            {
                "status": AlertStatus.PENDING,
                "fired_at": None,
                "setting": Setting(insufficient="3 of 10 independent voices"),
            },
            "Insufficient evidence",
            "Not sent: <bdi>insufficient evidence: 3 of 10 independent voices",
        ),
        ({"setting": Setting(expected="results")}, "Expected", "Not sent: <bdi>expected: results"),
        (
            {"setting": Setting(under="all")},
            "Shown under another",
            "Not sent: <bdi>shown under Whole stream",
        ),
    ],
)
def test_what_is_told_to_nobody_is_a_state_of_its_own_and_says_why(
    changes: dict[str, Any],
    state: str,
    why: str,
    database: Database,
    page: Callable[[], AppTest],
) -> None:
    database.fill(alerts=[replace(an_alert(), **changes)])

    shown = html(page())

    assert f">{state}</span>" in shown
    assert why in shown
    assert "told to nobody" in shown
    assert ">Firing</span>" not in shown


def test_who_has_taken_an_alert_on_and_what_is_silenced_is_shown(
    database: Database, page: Callable[[], AppTest]
) -> None:
    database.fill(alerts=[an_alert()])
    assert "Silences" not in html(page())
    now, hour = datetime.now(UTC), timedelta(hours=1)
    muting = SqlMuting(open_engine(database.url))
    muting.acknowledge(Acknowledgement(ALERT, "ben <i>", "calls the desk", now + hour, now))
    mine, others = (parse("detector=share"),), (parse("topic=~Silly.*"),)
    muting.silence(Silence("a", mine, now - hour, now + hour, "ann", "works <u>", now))
    muting.silence(Silence("b", others, now + hour, now + 2 * hour, "eve", "", now))
    muting.silence(Silence("c", mine, now - 2 * hour, now - hour, "zoe", "", now))

    shown = html(page())

    until = f"{now + hour:%Y-%m-%d %H:%M}"
    assert f"Taken on by <b><bdi>ben &lt;i&gt;</bdi></b> until {until}" in shown
    assert "calls the desk" in shown
    assert f"Silenced by <b><bdi>ann</bdi></b> until {until}" in shown
    assert "1 in force, 1 to come" in shown
    assert "works &lt;u&gt;" in shown
    assert "Silly" in shown and "eve" in shown and "zoe" not in shown


def test_of_an_alert_that_has_ended_no_silence_is_told(
    database: Database, page: Callable[[], AppTest]
) -> None:
    database.fill(alerts=[replace(an_alert(), status=AlertStatus.RESOLVED)])
    now, hour = datetime.now(UTC), timedelta(hours=1)
    mine = (parse("detector=share"),)
    silence = Silence("a", mine, now - hour, now + hour, "ann", "works", now)
    SqlMuting(open_engine(database.url)).silence(silence)

    shown = html(page())

    assert "1 in force" in shown
    assert "Silenced by" not in shown


def test_an_alert_shows_how_long_each_stop_took(
    database: Database, page: Callable[[], AppTest]
) -> None:
    alert = replace(
        an_alert(),
        waterfall=Waterfall(
            published_at=END - timedelta(seconds=46),
            appended_at=END - timedelta(seconds=40),
            ingested_at=END - timedelta(seconds=39.75),
            scored_at=END - timedelta(seconds=39.5),
            fired_at=END - timedelta(seconds=37),
        ),
    )
    database.fill(alerts=[alert])
    database.deliver(alert, "duty-desk")

    shown = html(page())

    assert "in Kafka 6 s after its event time" in shown
    assert "ingested +250 ms" in shown
    assert "scored +250 ms" in shown
    assert "fired +2.5 s" in shown
    assert "queued +37 s" in shown
    assert "duty-desk</bdi>: delivered +0 ms after it was queued" in shown


def test_the_alert_that_a_notification_links_to_comes_first(
    database: Database, page: Callable[[], AppTest]
) -> None:
    many = [replace(an_alert(), id=f"a{number:02}") for number in range(20)]
    over = replace(
        an_alert(), id="old", status=AlertStatus.RESOLVED, resolved_at=END - timedelta(hours=1)
    )
    database.fill(alerts=[*many, over])

    test = page()
    assert "m-wanted" not in html(test)
    test.query_params["alert"] = "old"
    test.run()

    assert 1 == html(test).count("m-wanted")
    assert html(test).index("m-wanted") < html(test).index("m-card m-firing")


def test_the_buttons_below_an_alert_judge_it(
    database: Database, page: Callable[[], AppTest]
) -> None:
    database.fill(alerts=[an_alert()])
    test = page()
    assert "No alert was judged yet" in html(test)

    judging(test).set_value("false").run()

    verdicts = SqlVerdicts(open_engine(database.url))
    assert [("false", "dashboard")] == [
        (v.judgement.value, v.who) for v in verdicts.of(ALERT) or ()
    ]
    assert "judged by dashboard" in " ".join(caption.value for caption in test.caption)
    assert "share on topic" in html(test)
    assert "0 % (0 % to 79 %)" in html(test)


def test_a_verdict_of_somebody_else_is_shown(
    database: Database, page: Callable[[], AppTest]
) -> None:
    database.fill(alerts=[an_alert()])
    given = Verdict(ALERT, Judgement.EXPECTED, "desk", "earnings", END)
    assert SqlVerdicts(open_engine(database.url)).give(given)

    test = page()

    assert "expected" == judging(test).value
    assert "judged by desk" in " ".join(caption.value for caption in test.caption)
    assert "1 expected" in html(test)


def test_a_drill_is_called_one_and_nobody_is_asked_to_judge_it(
    database: Database, page: Callable[[], AppTest]
) -> None:
    drill = replace(an_alert(), id="drill", key=drill_key("d1"), detector="drill")
    database.fill(alerts=[drill])

    test = page()

    assert "DRILL d1" in html(test)
    assert "<b>DRILL</b>: nothing has happened" in html(test)
    assert not [b for b in test.button_group if str(b.key).startswith("verdict")]


def test_a_malicious_title_stays_text_and_its_address_is_no_link(
    database: Database, page: Callable[[], AppTest]
) -> None:
    title = "<img src=x onerror=alert(1)> [go](javascript:alert(2)) \u202egnp.exe"
    alert = an_alert(title=title, url="javascript:alert(3)")
    database.fill(alerts=[alert], title=title, url="javascript:alert(3)")

    test = page()

    assert "<img" not in html(test)
    assert "&lt;img src=x onerror=alert(1)&gt;" in html(test)
    assert "\u202e" not in html(test)
    assert 'href="javascript' not in html(test)
    assert "javascript:alert(3)" not in table(test, "documents")["url"].dropna().tolist()
    assert not any("<img" in element.value for element in test.markdown)


def test_the_table_of_documents_obeys_its_filters_and_its_bound(
    database: Database, page: Callable[[], AppTest]
) -> None:
    database.fill(documents=900)
    test = page()
    assert 200 == len(table(test, "documents"))

    test.selectbox(key="doc_topic").set_value(TOPICS[1])
    test.selectbox(key="doc_sentiment").set_value("negative").run()

    shown = table(test, "documents")
    assert {TOPICS[1]} == set(shown["topic"])
    assert {"▼ negative"} == set(shown["sentiment"])


@pytest.mark.parametrize("window", ["6 h", "24 h", "7 d", "30 d", "All"])
def test_every_window_ends_at_the_newest_event(
    window: str, database: Database, page: Callable[[], AppTest]
) -> None:
    database.fill()
    test = page()

    test.segmented_control(key="window").set_value(window).run()

    assert [] == list(test.exception)
    assert window == test.session_state["window"]
    assert {m.label: m.value for m in test.metric}["Negative share"] in ("33 %", "34 %")


def test_the_page_loads_neither_the_model_nor_the_broker(
    database: Database, tmp_path: Path
) -> None:
    database.fill()
    code = (
        "import sys\n"
        "from streamlit.testing.v1 import AppTest\n"
        f"test = AppTest.from_file({str(APP)!r}, default_timeout=60).run()\n"
        "assert not test.exception, test.exception\n"
        "heavy = {'torch', 'transformers', 'kafka', 'scipy'} & set(sys.modules)\n"
        "print(sorted(heavy), len(test.metric))\n"
    )
    environment = os.environ | {"MONITOR_DATABASE_URL": database.url}

    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=False,
        env=environment,
        cwd=tmp_path,
    )

    assert "[] 6" == done.stdout.strip(), done.stderr[-2000:]


def test_companies_come_with_voices_posts_and_what_is_said_of_them(
    database: Database, page: Callable[[], AppTest]
) -> None:
    database.fill()
    test = page()
    (companies,) = [d.value for d in test.dataframe if "voices" in d.value and "sort" in d.value]
    assert [("Halden Bank", "company")] == list(
        zip(companies["name"], companies["sort"], strict=True)
    )
    (row,) = companies.to_dict("records")
    assert row["posts"] > row["voices"] > 0
    assert row["share"] == 100.0  # per cent: whoever names it in the samples is negative


def test_the_stories_are_those_that_most_voices_told(
    database: Database, page: Callable[[], AppTest]
) -> None:
    database.fill()
    shown = html(page())
    told = re.findall(
        r'source.*?</span></td><td class="m-n">(\d+)</td><td class="m-n">(\d+)<', shown
    )
    voices, posts = ([int(each[i]) for each in told] for i in (0, 1))
    assert len(told) == 10
    assert posts[0] == max(posts) > 30
    assert voices == sorted(voices, reverse=True)
