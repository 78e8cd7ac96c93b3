"""What the charts are given, and the words of the header."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pandas as pd
import pytest
from harness.page import END, an_alert

from dashboards import charts, frames, listening
from dashboards.health import Level, Pulse, state
from dashboards.palette import DARK, LIGHT
from dashboards.words import duration, escaped, link, web_address
from monitor.events import BUCKET_SECONDS, SourceState
from monitor.store.base import SourceRow

NOW = datetime(2026, 1, 5, 9, 0, tzinfo=UTC)
SPAN = frames.Span(0, 21_600)


def sums(*rows: tuple[str, int, int, int, float]) -> pd.DataFrame:
    return pd.DataFrame(rows, columns=["key", "start", "n", "negative", "score_sum"])


def test_every_drawn_step_is_made_of_whole_stored_buckets() -> None:
    assert all(step % BUCKET_SECONDS == 0 for step in frames.STEPS)


def test_too_few_documents_are_a_faint_point_and_never_a_share() -> None:
    few = charts.ENOUGH - 1
    panel = frames.panel(sums(("all", 0, few, few, -5.0)), "all", SPAN, 3_600)

    assert panel["share"].isna().all()
    assert panel["faint"].iloc[0] == 1.0
    assert "insufficient evidence" in panel["words"].iloc[0]


def test_a_silent_bucket_is_a_gap_and_not_a_zero() -> None:
    panel = frames.panel(sums(("all", 7_200, 40, 10, 4.0)), "all", SPAN, 3_600)

    assert [0, 0, 40, 0, 0, 0] == panel["n"].tolist()
    assert [2] == panel.index[panel["share"].notna()].tolist()
    assert "no documents" == panel["words"].iloc[0]
    assert panel["faint"].isna().all()


def test_buckets_add_up_to_the_step_they_are_drawn_in() -> None:
    stored = sums(("all", 0, 10, 4, 1.0), ("all", 300, 30, 6, 3.0), ("topic:Macro", 0, 9, 9, 0.0))

    panel = frames.panel(stored, "all", SPAN, 3_600)

    assert (40, 0.25, 0.1) == tuple(panel.loc[0, ["n", "share", "net"]])


def test_the_interval_is_wilsons() -> None:
    low, high = frames.wilson(pd.Series([5]), pd.Series([20]))

    assert pytest.approx(0.1274, abs=0.0005) == low[0]
    assert pytest.approx(0.4322, abs=0.0005) == high[0]


def test_no_bucket_yet_is_an_empty_panel_and_an_empty_map() -> None:
    nothing = sums().astype({"key": "str"})

    assert frames.panel(nothing, "all", SPAN, 3_600)["share"].isna().all()
    assert frames.heat_cells(nothing, SPAN, 3_600).empty
    assert frames.totals(nothing, "all").share is None


@pytest.mark.parametrize("name", list(frames.WINDOWS))
def test_panels_of_sparse_and_of_busy_keys_have_one_axis_of_time(name: str) -> None:
    span = frames.window(name, END - timedelta(days=40, hours=7, minutes=25), END)
    steps = {frames.step_for(span, documents) for documents in (0, 300, 9_000, 2_000_000)}
    assert len(steps) > 1 or name == "6 h"

    for step in steps:
        drawn = frames.panel(sums(), "all", span, step)
        first, last = drawn["start"].iloc[0], drawn["end"].iloc[-1]
        assert (span.since, span.until) == (first.timestamp(), last.timestamp())
        assert (drawn["start"] < drawn["middle"]).all() and (drawn["middle"] < drawn["end"]).all()
        assert drawn["start"].iloc[1:].tolist() == drawn["end"].iloc[:-1].tolist()


@pytest.mark.parametrize("name", list(frames.WINDOWS))
@pytest.mark.parametrize("documents", [0, 50, 3_000, 2_000_000])
def test_a_panel_never_draws_more_points_than_fit(name: str, documents: int) -> None:
    span = frames.window(name, END - timedelta(days=400), END)

    step = frames.step_for(span, documents)

    assert len(frames.panel(sums(), "all", span, step)) <= frames.POINTS + 1


def test_a_busy_key_is_drawn_finer_than_a_sparse_one() -> None:
    span = frames.window("24 h", END, END)

    assert frames.step_for(span, 100_000) < frames.step_for(span, 200)


def test_an_alert_that_still_fires_reaches_to_the_end_of_the_window() -> None:
    span = frames.window("6 h", END, END)

    marked = frames.alert_spans([an_alert()], an_alert().key, span)

    assert [END - timedelta(hours=2)] == marked["start"].tolist()
    assert [datetime.fromtimestamp(span.until, UTC)] == marked["end"].tolist()
    assert frames.alert_spans([an_alert()], "topic:Macro", span).empty


def test_of_many_sources_the_blind_ones_and_the_loudest_get_a_tile() -> None:
    rows = [
        SourceRow(f"s{n}", None, SourceState.SPEAKING, NOW, NOW, n, n, 0, "", (n,), (), b"")
        for n in range(40)
    ]
    rows[0] = rows[0]._replace(state=SourceState.BLIND)
    shown = listening.shown([*rows, rows[5]._replace(name="")])

    assert ["s0", "s39", "s38"] == [row.name for row in shown[:3]]
    assert listening.TILES == len(shown)
    assert listening.summary(rows).startswith("1 blind, 39 speaking; the 18 that say most")


@pytest.mark.parametrize("recent", [(), (0, 0), (5, 0, 2)])
def test_a_sparkline_has_a_bar_for_each_hour_with_documents(recent: tuple[int, ...]) -> None:
    row = SourceRow("s", None, SourceState.QUIET, NOW, None, 1.0, 1, 0, "", recent, (), b"")

    assert sum(n > 0 for n in recent) == listening.tiles([row], trusted=True).count("<rect")


def test_new_rows_leave_the_charts_specification_as_it_was() -> None:
    spans = frames.alert_spans([], "all", SPAN)
    one, two = (
        charts.mood(frames.panel(sums(("all", 0, n, 3, 0.0)), "all", SPAN, 300), spans, LIGHT, 200)
        for n in (9, 500)
    )

    assert one | {"datasets": 0} == two | {"datasets": 0}


def test_light_and_dark_differ_in_colour_only() -> None:
    spans = frames.alert_spans([], "all", SPAN)
    panel = frames.panel(sums(), "all", SPAN, 300)
    light, dark = (charts.net(panel, spans, colours, 200) for colours in (LIGHT, DARK))

    assert light["layer"] != dark["layer"]
    assert [x["encoding"] for x in light["layer"]] == [x["encoding"] for x in dark["layer"]]


@pytest.mark.parametrize(
    ("written_ago", "newest_ago", "documents", "level", "title"),
    [
        (None, None, 0, Level.EMPTY, "No data yet"),
        (1, 5, 10, Level.LIVE, "Live"),
        (1, 5 * 86_400, 10, Level.LIVE, "Live, on old news"),
        (1, None, 0, Level.QUIET, "Reading, nothing accepted"),
        (61, 5, 10, Level.QUIET, "Quiet"),
        (121, 5, 10, Level.STALLED, "Stalled"),
        (-3_600, 5, 10, Level.STALLED, "Clocks disagree"),
    ],
)
def test_only_fresh_writes_are_called_live(
    written_ago: float | None,
    newest_ago: float | None,
    documents: int,
    level: Level,
    title: str,
) -> None:
    def ago(seconds: float | None) -> datetime | None:
        return None if seconds is None else NOW - timedelta(seconds=seconds)

    found = state(Pulse(ago(written_ago), ago(newest_ago), documents, 0), NOW, 120)

    assert (level, title) == (found.level, found.title)


@pytest.mark.parametrize(
    "url",
    [
        None,
        "",
        "javascript:alert(1)",
        "JaVaScRiPt:alert(1)",
        "data:text/html,<b>",
        "//example.org/x",
        "https://",
        "https://bank.example@evil.example/",
        "https://example.org/\n",
        "https://exa\u202emple.org/",
        "https://[::1",
        "https://example.org/" + "x" * 3_000,
    ],
)
def test_only_plain_web_addresses_become_links(url: str | None) -> None:
    assert web_address(url) is None
    assert "<a" not in link("A title", url)


def test_an_address_can_not_leave_its_attribute() -> None:
    assert 'href="https://example.org/&quot;&gt;&lt;b&gt;"' in link(
        "t", 'https://example.org/"><b>'
    )


def test_text_from_outside_loses_markup_and_invisible_characters() -> None:
    assert "<bdi>a &lt;b&gt; c</bdi>" == escaped("a\u202e\n<b>\u200b c")
    assert "<bdi>abc…</bdi>" == escaped("abcdefgh", 4)


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0, "0 s"), (1.25, "1.2 s"), (59, "59 s"), (61, "1 min 1 s"), (3_600, "1 h"),
     (7_500, "2 h 5 min"), (300_000, "3 d 11 h"), (1_349.5 * 86_400, "1,349 d")],
)  # fmt: skip
def test_durations_read_in_their_two_largest_units(seconds: float, words: str) -> None:
    assert words == duration(seconds)
