"""The page. ``streamlit run dashboards/app.py -- --database sqlite:///monitor.db``

Each section is a fragment that runs again by itself: a refresh sends new rows for the charts that
are already on the screen, and leaves the rest of the page alone.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import streamlit as st

from dashboards import (
    cards,
    charts,
    explanations,
    frames,
    listening,
    muted,
    named,
    palette,
    queries,
    words,
)
from dashboards.health import Level, state
from dashboards.queries import Target, Vitals
from monitor.errors import StoreError
from monitor.events import SENTIMENTS, TOPICS, Alert, AlertStatus
from monitor.keys import ALL, topic_key
from monitor.store.verdicts.base import Judgement, Verdict

STALLED_AFTER = 120.0  # seconds without a write after which the header says "stalled"
COMPANIES = 300  # rows of the table of companies
COMPANY_DOCUMENTS = 8  # of the company that was clicked on
STORIES = 10
PANELS = 6  # topics shown to begin with
MOST_PANELS = 8
DOCUMENTS = 200  # rows of the table of documents
FLOW_MINUTES = 30
_MARKS = {"negative": "▼ negative", "neutral": "– neutral", "positive": "▲ positive"}


def section(seconds: float, body: Callable[..., None], *arguments: object) -> None:
    """Run a section now and then every ``seconds``; its faults stay its own."""

    def guarded() -> None:
        try:
            body(*arguments)
        except StoreError as error:
            st.html(cards.nothing("This part can't be read just now.", f"{error}. It tries again."))

    live = bool(st.session_state.get("live", True))
    st.fragment(guarded, run_every=seconds if live else None, key=body.__name__)()


def page() -> None:
    """Build the page once; from then on its sections refresh themselves."""
    st.set_page_config(page_title="Sentiment monitor", layout="wide")
    colours = palette.of(st.context.theme.type)
    st.html(palette.style_sheet(colours))
    url = queries.url_from(sys.argv[1:])
    try:
        at = queries.target(url)
        vitals = queries.vitals(at)
    except (StoreError, OSError):
        st.html('<h1 class="m-title" style="padding:0">Sentiment monitor</h1>')
        _waiting(url)
        return

    empty = vitals.pulse.newest_event is None
    top, tools = st.columns([3, 2], vertical_alignment="center")
    with top:
        st.html(
            '<h1 class="m-title" style="padding:0">Sentiment monitor'
            "<span>all times in UTC</span></h1>"
        )
    with tools, st.container(horizontal=True, horizontal_alignment="right"):
        st.segmented_control(
            "Window",
            list(frames.WINDOWS),
            default="3 d",
            required=True,
            key="window",
            label_visibility="collapsed",
            help="The window ends at the newest event in the store, not at the wall clock.",
        )
        st.toggle("Refresh", value=True, key="live", help="Off: the page stands still to be read.")
    section(5, _header, at, url, empty)
    if empty:
        st.html(
            cards.nothing(
                "Nothing has been scored yet.",
                "As soon as the first document is, the mood appears here by itself.",
            )
        )
        section(10, _pipeline, at, colours)
        return
    slow = st.session_state["window"] in ("30 d", "All")
    with st.container(key="m_main"):
        left, right = st.columns([1.75, 1], gap="medium")
        with left:
            section(60 if slow else 15, _mood, at, colours)
            section(60 if slow else 15, _companies, at, colours)
            section(60 if slow else 30, _heat, at, colours)
        with right:
            section(8, _alerts, at)
            section(8, _silences, at)
            section(30, _rules, at)
            section(60 if slow else 30, _stories, at)
    section(10, _sources, at)
    section(10, _pipeline, at, colours)
    section(15, _documents, at)
    st.fragment(_explanations, key="explanations")(colours)


def _waiting(url: str | None) -> None:
    """Look again every few seconds; go on by itself once there is something to read."""

    def look() -> None:
        there = False
        try:
            at = queries.target(url)
            there = True
            queries.vitals(at)
        except (StoreError, OSError) as error:
            place, now = queries.shown_place(url), datetime.now(UTC)
            st.html(cards.no_database(place, there, str(error), now))
        else:
            st.rerun(scope="app")

    st.fragment(look, run_every=3, key="waiting")()


def _span(vitals: Vitals) -> frames.Span:
    newest = vitals.pulse.newest_event or datetime.now(UTC)
    return frames.window(st.session_state["window"], vitals.oldest_event or newest, newest)


def _header(at: Target, url: str | None, was_empty: bool) -> None:
    try:
        now_there = queries.target(url)
        vitals = queries.vitals(now_there)
    except (StoreError, OSError):
        st.rerun(scope="app")
    if now_there != at or was_empty != (vitals.pulse.newest_event is None):
        st.rerun(scope="app")
    now, pulse = datetime.now(UTC), vitals.pulse
    current = state(pulse, now, STALLED_AFTER, listening.blindness(queries.sources(at)))
    st.html(cards.header(current, _facts(vitals)))
    if was_empty:
        return
    span = _span(vitals)
    sums = frames.totals(queries.buckets(at, span), ALL)
    before = queries.before(at, span) if frames.WINDOWS[st.session_state["window"]] else (0, 0)
    firing = vitals.counts.alerts.get(AlertStatus.FIRING.value, 0)
    pending = vitals.counts.alerts.get(AlertStatus.PENDING.value, 0)
    moving = current.level in (Level.LIVE, Level.QUIET, Level.BLIND)
    with st.container(key="m_tiles"):
        tiles = st.columns(6)
    tiles[0].metric(
        "Negative share",
        words.percent(sums.share),
        _change(sums, before),
        delta_color="off",
        delta_arrow="off",
        border=True,
        help="Of all independent voices in the window; beneath, against the window before.",
    )
    tiles[1].metric(
        "Net sentiment",
        "–" if sums.net is None else words.signed(sums.net),
        f"{sums.n:,} voices",
        delta_color="off",
        delta_arrow="off",
        border=True,
        help="The mean of P(positive) − P(negative), from −1 to +1.",
    )
    tiles[2].metric(
        "Alerts firing",
        f"{firing}",
        f"{pending} with insufficient evidence",
        delta_color="off",
        delta_arrow="off",
        border=True,
    )
    tiles[3].metric(
        "Scored, last minute",
        words.rate(vitals.per_second) if moving else "0 /s",
        f"{pulse.documents:,} in all",
        delta_color="off",
        delta_arrow="off",
        border=True,
    )
    tiles[4].metric(
        "Lag to the score",
        "–" if vitals.lag_p50 is None else words.duration(vitals.lag_p50),
        "nothing scored in 5 min"
        if vitals.lag_p95 is None
        else f"95 %: {words.duration(vitals.lag_p95)}",
        delta_color="off",
        delta_arrow="off",
        border=True,
        help="From the publication in Kafka to the score, over the last 5 minutes: the median.",
    )
    seen = pulse.documents + pulse.rejected
    tiles[5].metric(
        "Rejected",
        f"{pulse.rejected:,}",
        f"{pulse.rejected / seen:.1%} of what was read" if seen else None,
        delta_color="off",
        delta_arrow="off",
        border=True,
    )


def _change(sums: frames.Totals, before: tuple[int, int]) -> str:
    n, negative = before
    if sums.share is None or n < charts.ENOUGH:
        return "nothing to compare with"
    return f"{words.signed((sums.share - negative / n) * 100, 0)} points on before"


def _facts(vitals: Vitals) -> list[tuple[str, str]]:
    pulse, facts = vitals.pulse, []
    if pulse.newest_event is not None:
        facts.append(("newest event", words.moment(pulse.newest_event)))
    if pulse.written_at is not None:
        facts.append(("last write", f"{pulse.written_at:%Y-%m-%d %H:%M:%S}"))
    if vitals.partitions:
        plural = "" if vitals.partitions == 1 else "s"
        facts.append(
            ("read", f"{vitals.offsets:,} offsets on {vitals.partitions} partition{plural}")
        )
    if vitals.last_rejected is not None:
        rejected = vitals.last_rejected
        reason = rejected.reason.replace("_", " ")
        facts.append(("last rejected", f"{rejected.place}, {reason}"))
    if vitals.counts.gaps:
        facts.append(("lost to retention", f"{vitals.counts.gaps:,} records"))
    return facts


def _mood(at: Target, colours: palette.Palette) -> None:
    vitals = queries.vitals(at)
    span = _span(vitals)
    sums, alerts = queries.buckets(at, span), queries.alerts(at)
    if "topics" not in st.session_state:
        st.session_state["topics"] = frames.default_topics(sums, alerts, PANELS)
    with st.container(horizontal=True, vertical_alignment="bottom"):
        st.html(cards.heading("Mood over time"))
        measure = st.segmented_control(
            "Measure",
            ["Negative share", "Net sentiment"],
            default="Negative share",
            required=True,
            key="measure",
            label_visibility="collapsed",
        )
    chosen = st.multiselect(
        "Topics",
        TOPICS,
        key="topics",
        max_selections=MOST_PANELS,
        label_visibility="collapsed",
        placeholder="Choose topics to see beside the whole stream",
    )
    net = measure == "Net sentiment"
    firing = {a.key for a in alerts if a.status is AlertStatus.FIRING}

    def panel(key: str, height: int) -> None:
        total = frames.totals(sums, key)
        frame = frames.panel(sums, key, span, frames.step_for(span, total.n))
        spans = frames.alert_spans(alerts, key, span)
        draw = charts.net if net else charts.mood
        st.html(cards.panel_title(key, total.share, total.net, total.n, key in firing))
        st.vega_lite_chart(spec=draw(frame, spans, colours, height), key=f"mood {key} {net}")

    panel(ALL, 210)
    with st.container(key="m_grid"):
        for row in range(0, len(chosen), 2):
            for column, topic in zip(st.columns(2), chosen[row : row + 2], strict=False):
                with column:
                    panel(topic_key(topic), 140)
    st.html(cards.mood_key(colours, net))


def _alerts(at: Target) -> None:
    wanted = str(st.query_params.get("alert", ""))[:64]  # what the link of a notification names
    alerts, delivered = queries.alerts(at, wanted), queries.deliveries(at)
    receipts = queries.receipts(at)
    st.html(cards.heading("Latest alerts"))
    if not alerts:
        st.html(
            cards.nothing(
                "No alert so far.",
                "That is good news only while the line on top says “Live”.",
            )
        )
        return
    shown = [a for a in alerts if a.status is not AlertStatus.RESOLVED or a.id == wanted]
    shown += [a for a in alerts if a not in shown][: max(1, 3 - len(shown))]
    rest = [a for a in alerts if a not in shown]

    now, mutes = datetime.now(UTC), queries.muted(at)
    judged = queries.verdicts(at, tuple(a.id for a in alerts))

    def listed(some: list[Alert]) -> None:
        for a in some:
            how = delivered.get(a.id, _undelivered(a))
            marks = muted.marks(a, mutes, now)
            st.html(cards.alert_card(a, how, receipts.get(a.id, ()), a.id == wanted, marks))
            if a.fired_at is not None and a.detector != "drill":
                _verdict(at, a.id, judged.get(a.id))

    listed(shown)
    if rest:
        with st.expander(f"{len(rest)} earlier"):
            listed(rest)


def _verdict(at: Target, alert_id: str, last: Verdict | None) -> None:
    """The buttons to judge an alert; the last word is marked, and who said it."""
    # Another key with each verdict, since a control that the browser knows keeps what it shows.
    key = f"verdict {alert_id} {last.at.timestamp() if last else ''}"

    def note() -> None:
        chosen = st.session_state.get(key)
        if chosen is None or (last is not None and chosen == last.judgement.value):
            return
        try:
            queries.judge(at, alert_id, Judgement(chosen))
        except StoreError as error:
            st.session_state[key] = last.judgement.value if last else None
            st.toast(f"The verdict could not be noted: {error}")

    with st.container(horizontal=True, vertical_alignment="center"):
        st.segmented_control(
            "Verdict",
            [judgement.value for judgement in Judgement],
            default=last.judgement.value if last else None,
            key=key,
            on_change=note,
            label_visibility="collapsed",
            help="What this alert turned out to be. The last word counts.",
        )
        st.caption(f"judged by {last.who}, {words.moment(last.at)}" if last else "not judged yet")


def _undelivered(alert: Alert) -> str:
    return "no delivery recorded" if alert.sent else "told to nobody"


def _silences(at: Target) -> None:
    """Nothing at all where nothing is silenced."""
    now, mutes = datetime.now(UTC), queries.muted(at)
    if any(now < silence.ends for silence in mutes.silences):
        st.html(cards.heading("Silences", muted.summary(mutes, now)))
        st.html(muted.silences(mutes, now))


def _companies(at: Target, colours: palette.Palette) -> None:
    span = _span(queries.vitals(at))
    note = "Independent voices, and what they say of each; click on a row to see more"
    st.html(cards.heading("Companies", note))
    with st.container(horizontal=True):
        wanted = st.segmented_control(
            "Which",
            list(named.SORTS.values()),
            default=list(named.SORTS.values()),
            selection_mode="multi",
            key="company_sorts",
            label_visibility="collapsed",
        )
        order = st.segmented_control(
            "Order",
            ["Most voices", "Most negative"],
            default="Most voices",
            required=True,
            key="company_order",
            label_visibility="collapsed",
        )
    sorts = tuple(sort for sort, word in named.SORTS.items() if word in wanted)
    frame = named.companies(queries.companies(at, span, sorts, COMPANIES) if sorts else [])
    if order == "Most negative":
        frame = frame.sort_values(["share", "voices"], ascending=False, na_position="last")
    if frame.empty:
        st.html(cards.nothing("Nobody was named.", "Widen the window."))
        return
    config = st.column_config
    event = st.dataframe(
        frame,
        key="companies",
        hide_index=True,
        height=330,
        on_select="rerun",
        selection_mode="single-row",
        column_order=["name", "sort", "voices", "posts", "share", "interval", "net"],
        column_config={
            "name": config.TextColumn("Company", width="medium"),
            "sort": config.TextColumn(""),
            "voices": config.NumberColumn("Voices", format="localized"),
            "posts": config.NumberColumn("Posts", format="localized", help="Copies included."),
            "share": config.ProgressColumn("Negative", min_value=0, max_value=1, format="percent"),
            "interval": config.TextColumn("90 % interval"),
            "net": config.NumberColumn("Net", format="%+.2f"),
        },
    )
    key = named.chosen(event, frame)
    if key is not None:
        _company(at, key, span, colours)


def _company(at: Target, key: str, span: frames.Span, colours: palette.Palette) -> None:
    sums = queries.buckets_of(at, key, span)
    total = frames.totals(sums, key)
    shown = frames.panel(sums, key, span, frames.step_for(span, total.n))
    spans = frames.alert_spans(queries.alerts(at), key, span)
    name = queries.key_names(at, (key,)).get(key)
    st.html(cards.panel_title(key, total.share, total.net, total.n, False, name))
    st.vega_lite_chart(spec=charts.mood(shown, spans, colours, 140), key=f"company {key}")
    until = datetime.fromtimestamp(span.until, UTC)
    since = datetime.fromtimestamp(span.since, UTC)
    st.html(cards.listed(queries.pieces(at, key, since, until, COMPANY_DOCUMENTS)))


def _stories(at: Target) -> None:
    span = _span(queries.vitals(at))
    note = "Copies of one text are one story: told by how many, in how many posts"
    st.html(cards.heading("Stories", note))
    frame = named.stories(queries.stories(at, span, STORIES))
    if frame.empty:
        st.html(cards.nothing("No story here.", "Widen the window."))
        return
    config = st.column_config
    st.dataframe(
        frame,
        key="stories",
        hide_index=True,
        height=390,
        column_config={
            "title": config.TextColumn("Story", width="large"),
            "voices": config.NumberColumn("Voices", format="localized"),
            "posts": config.NumberColumn("Posts", format="localized"),
            "sources": config.NumberColumn("Sources", format="localized"),
            "share": config.ProgressColumn("Negative", min_value=0, max_value=1, format="percent"),
            "first": config.DatetimeColumn("First (UTC)", format="MM-DD HH:mm", timezone="UTC"),
            "lasted": config.TextColumn("Lasted"),
        },
    )


def _rules(at: Target) -> None:
    note = "Of the alerts that somebody judged: true of true and false; 95 % intervals"
    st.html(cards.heading("How often each rule was right", note))
    found = queries.rules(at)
    if not any(rule.judged for rule in found):
        st.html(cards.nothing("No alert was judged yet.", "The buttons below each alert do it."))
        return
    st.html(cards.rules(found))


def _heat(at: Target, colours: palette.Palette) -> None:
    span = _span(queries.vitals(at))
    sums = queries.buckets(at, span)
    busiest = sums[sums["key"] != ALL].groupby("key")["n"].sum()
    usual = int(busiest.median()) if len(busiest) else 0
    step = frames.step_for(span, usual, aim=charts.ENOUGH)
    cells = frames.heat_cells(sums, span, step)
    st.html(cards.heading("Which topic turned, and when"))
    st.html(cards.heat_key(colours, words.duration(step)))
    st.vega_lite_chart(spec=charts.heat(cells, colours), key="heat")


def _sources(at: Target) -> None:
    rows = queries.sources(at)
    if not any(row.name for row in rows):
        st.html(cards.heading("Sources"))
        st.html(cards.nothing("No source is known yet.", "They are listed as they speak."))
        return
    now = datetime.now(UTC)
    level = state(queries.vitals(at).pulse, now, STALLED_AFTER).level
    st.html(cards.heading("Sources", listening.summary(rows)))
    st.html(listening.tiles(rows, trusted=level is not Level.STALLED))


def _pipeline(at: Target, colours: palette.Palette) -> None:
    frame, vitals = queries.flow(at, FLOW_MINUTES), queries.vitals(at)
    with st.container(key="m_three"):
        speed, lag, rejected = st.columns(3, gap="medium")
    with speed:
        note = f"Documents scored in each half minute, the last {FLOW_MINUTES} minutes of wall time"
        st.html(cards.heading("Throughput", note))
        st.vega_lite_chart(spec=charts.throughput(frame, colours), key="throughput")
    with lag:
        note = "From publication in Kafka to the score: mean, and the worst (dashed)"
        st.html(cards.heading("Lag", note))
        shown = frame.assign(words=frame["lag_words"])
        st.vega_lite_chart(spec=charts.lag(shown, colours), key="lag")
    with rejected:
        st.html(cards.heading("Rejected", "Kept with their original bytes, and why"))
        reasons = sorted(vitals.counts.dead_letters.items(), key=lambda r: -r[1])
        if reasons:
            st.html(cards.reasons(reasons))
        else:
            st.html(cards.nothing("Nothing was rejected.", "Every record read was valid."))


def _documents(at: Target) -> None:
    span = _span(queries.vitals(at))
    st.html(cards.heading("Latest documents", f"The newest {DOCUMENTS} of the window at most"))
    with st.container(horizontal=True):
        topic = st.selectbox(
            "Topic", ["All topics", *TOPICS], key="doc_topic", label_visibility="collapsed"
        )
        sentiment = st.selectbox(
            "Sentiment",
            ["All sentiments", *SENTIMENTS],
            key="doc_sentiment",
            label_visibility="collapsed",
        )
    key = ALL if topic == "All topics" else topic_key(topic)
    until = datetime.fromtimestamp(span.until, UTC) + timedelta(minutes=5)
    found = queries.documents(
        at,
        key,
        datetime.fromtimestamp(span.since, UTC),
        until,
        None if sentiment == "All sentiments" else sentiment,
        DOCUMENTS,
    )
    if found.empty:
        st.html(cards.nothing("No such document here.", "Widen the window or the filter."))
        return
    shown = found.assign(
        url=found["url"].map(words.web_address, na_action="ignore"),
        sentiment=found["sentiment"].map(_MARKS),
    )
    config = st.column_config
    st.dataframe(
        shown,
        key="documents",
        hide_index=True,
        height=420,
        column_config={
            "published": config.DatetimeColumn(
                "Published (UTC)", format="YYYY-MM-DD HH:mm", timezone="UTC", width=135
            ),
            "topic": config.TextColumn("Topic", width=150),
            "sentiment": config.TextColumn("Sentiment", width=95),
            "p_negative": config.ProgressColumn(
                "P(negative)", min_value=0.0, max_value=1.0, format="percent", width=110
            ),
            "title": config.TextColumn("Title", width="large"),
            "source": config.TextColumn("Source", width=125),
            "url": config.LinkColumn("Link", display_text="open", width=60),
        },
    )


def _explanations(colours: palette.Palette) -> None:
    note = "What python -m models explain TEXT --json has written, drawn word by word"
    st.html(cards.heading("Why a verdict", note))
    file = st.file_uploader(
        "Explanations, one JSON object a line",
        type=["json", "jsonl"],
        max_upload_size=explanations.LIMIT_MB,
        key="explanation_file",
        label_visibility="collapsed",
    )
    if file is None:
        return
    try:
        found = explanations.read(file.getvalue())
    except explanations.UnreadableError as error:
        st.html(cards.nothing("This file can't be drawn.", f"{error}"))
        return
    drawn = found[: explanations.MOST]
    st.html("".join(explanations.card(each, colours) for each in drawn))
    if len(found) > len(drawn):
        st.caption(f"The first {len(drawn)} of {len(found):,}.")


page()
