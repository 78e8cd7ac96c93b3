"""Pieces of the page as HTML. Whatever came from outside goes through `words.escaped`."""

from __future__ import annotations

import html
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime

from dashboards.charts import ENOUGH
from dashboards.health import Level, State
from dashboards.palette import Palette
from dashboards.words import duration, escaped, link, moment, percent, signed
from monitor.alert.standing import Standing, not_sent, standing
from monitor.events import Alert, Evidence, Reason, Waterfall, told_rates
from monitor.keys import DRILL_SCHEDULE, display_name, name_of, names_in
from monitor.store.reads import Receipt
from monitor.store.verdicts.base import Judgement
from monitor.verdict.precision import Rule, in_words

EVIDENCE_SHOWN = 3

MEANINGS: dict[Reason, str] = {
    Reason.TOO_LARGE: "Larger than the configured limit.",
    Reason.EMPTY: "A record without a value (a tombstone).",
    Reason.NOT_UTF8: "The bytes are not valid UTF-8.",
    Reason.NOT_JSON: "The text is not JSON.",
    Reason.NOT_AN_OBJECT: "JSON, but not an object.",
    Reason.MISSING_FIELD: "A field that the message contract requires is missing.",
    Reason.WRONG_TYPE: "A field has another type than the contract says.",
    Reason.BAD_DATE: "The publication time is no RFC 3339 time with a zone.",
    Reason.CONTROL_CHARACTER: "The text holds control characters.",
    Reason.LONE_SURROGATE: "The text holds half of a surrogate pair.",
    Reason.NO_TEXT: "Neither title nor text.",
    Reason.FUTURE: "Published too far in the future to be believed.",
    Reason.DUPLICATE: "Read before, under the same id.",
    Reason.UNSCORABLE: "The model failed on this one document.",
    Reason.BAD_ROW: "A row of a file that cannot be taken apart.",
}


def header(current: State, facts: Sequence[tuple[str, str]]) -> str:
    """The line that says whether to believe the rest of the page. ``facts`` are plain text."""
    shown = "".join(f"<span>{html.escape(k)} {escaped(v)}</span>" for k, v in facts)
    css = {
        Level.LIVE: "m-live",
        Level.QUIET: "m-quiet",
        Level.STALLED: "m-stalled",
        Level.BLIND: "m-stalled",
    }
    return (
        f'<div class="m-state {css.get(current.level, "")}" role="status">'
        f"<div><b>{html.escape(current.title)}</b> · {escaped(current.sentence, 500)}</div>"
        f'<div class="m-facts">{shown}</div></div>'
    )


def heading(title: str, note: str = "") -> str:
    """A section's title, and in a few words what it shows."""
    below = f'<p class="m-note">{html.escape(note)}</p>' if note else ""
    return f'<h2 class="m-h" style="padding:0">{html.escape(title)}</h2>{below}'


def panel_title(
    key: str,
    share: float | None,
    net: float | None,
    n: int,
    firing: bool,
    name: str | None = None,
) -> str:
    """The name of a mood panel and its figures over the window."""
    fire = '<span class="m-fire">firing</span> · ' if firing else ""
    figures = (
        f"<b>{percent(share)}</b> negative · net <b>{signed(net)}</b> · {n:,} voices"
        if share is not None and net is not None
        else f"{n:,} voices: insufficient evidence"
    )
    return (
        f'<div class="m-panel"><span class="m-name">{escaped(name or display_name(key))}</span>'
        f'<span class="m-num">{fire}{figures}</span></div>'
    )


def mood_key(palette: Palette, net: bool) -> str:
    """What the marks of a mood panel mean."""
    line = "net sentiment" if net else "negative share, with its 90 % interval"
    colour = palette.ink if net else palette.negative
    return (
        '<p class="m-note">'
        f'<span class="m-key" style="background:{colour}"></span>{line}'
        f'<span class="m-key" style="background:{palette.neutral};opacity:.4"></span>documents'
        f'<span class="m-key" style="background:{palette.negative};opacity:.25"></span>alert'
        '<span class="m-key m-ring"></span>'
        f"fewer than {ENOUGH} documents: insufficient evidence</p>"
    )


def heat_key(palette: Palette, step_words: str) -> str:
    """What the colours of the heat map mean."""
    gradient = ", ".join(palette.scale)
    return (
        f'<p class="m-note">0 % <span class="m-key" style="width:9em;margin:0 .2em;'
        f'border:1px solid {palette.line};background:linear-gradient(90deg, {gradient})"></span> '
        f"80 % and more negative, in steps of {html.escape(step_words)} "
        f'<span class="m-key" style="background:{palette.faint};border-radius:50%;width:.35em;'
        f'height:.35em;vertical-align:.15em"></span>fewer than {ENOUGH} documents</p>'
    )


def beside_firing(live: Mapping[Standing, int]) -> str:
    """What there is beside the alerts that fire, in plain words."""
    others = "them" if live[Standing.FIRING] > 1 else "it" if live[Standing.FIRING] else "another"
    parts = [
        f"{live[where]} {said}"
        for where, said in (
            (Standing.UNDER, f"shown under {others}"),
            (Standing.EXPECTED, "expected"),
            (Standing.INSUFFICIENT, "with insufficient evidence"),
        )
        if live[where]
    ]
    return "and " + ", ".join(parts) if parts else "and no others"


def alert_card(
    alert: Alert,
    delivery: str,
    receipts: Sequence[Receipt] = (),
    wanted: bool = False,
    marks: str = "",
) -> str:
    """One alert: where it stands, what moved from what to what, since when, what it is about, on
    which documents it rests, and how long each stop took.

    ``wanted``: somebody came for it. ``marks``: HTML that says who has taken it on, and what
    silences it.
    """
    where = standing(alert)
    fire = "m-fire" if where is Standing.FIRING else ""
    unsent = not_sent(alert)
    why = f'<p class="m-mark">Not sent: {escaped(unsent)}</p>' if unsent else ""
    ended = f" – {moment(alert.resolved_at)}" if alert.resolved_at else ""
    shown, rest = alert.evidence[:EVIDENCE_SHOWN], alert.evidence[EVIDENCE_SHOWN:]
    pieces = listed(shown)
    if rest:
        pieces += f"<details><summary>{len(rest)} more documents</summary>{listed(rest)}</details>"
    return (
        f'<article class="m-card m-{alert.status.value}{" m-wanted" if wanted else ""}">'
        '<div class="m-top">'
        f'<span class="m-name">{escaped(name_of(alert))}</span>'
        f'<span class="m-chip m-{alert.severity.value}">{alert.severity.value}</span>'
        f'<span class="m-chip {fire}">{where.value.capitalize()}</span>'
        f'<span class="m-when">{moment(alert.started_at)}{ended}</span></div>'
        f"{why}{marks}"
        f'<p class="m-move">{_movement(alert)}</p>{_about(alert)}'
        f"{pieces}{waterfall(alert, receipts)}"
        '<div class="m-foot">'
        f"<span>{escaped(delivery)}</span><span>model {escaped(alert.model_version, 24)}</span>"
        f"<span>id {escaped(alert.id, 64)}</span></div></article>"
    )


def _about(alert: Alert) -> str:
    """The terms that are unusual, whom and what the voices speak of, and what explains it."""
    about, lines = alert.about, []
    if about.terms:
        chips = " ".join(
            f'<span class="m-chip" title="{term.voices} of {about.voices} voices">'
            f"{escaped(term.text, 60)}</span>"
            for term in about.terms
        )
        lines.append(f"Unusual: {chips}")
    if of := (*about.named, *about.topics):
        subjects = " · ".join(f"{escaped(s.name, 60)} {s.voices}" for s in of)
        counted = about.voices == alert.documents
        which = "these voices" if counted else f"the {about.voices:,} voices that were looked at"
        lines.append(f"Of {which}: {subjects}")
    parts = ", ".join(
        f"{escaped(display_name(key, names_in(alert)))} {percent(part)}"
        for key, part in alert.setting.explained
        if part >= 0.005
    )
    if parts:
        lines.append(f"Explained by more general keys: {parts} of the excess")
    return "".join(f'<p class="m-note">{line}</p>' for line in lines)


def waterfall(alert: Alert, receipts: Sequence[Receipt]) -> str:
    """How long the newest document of the evidence took from stop to stop, as a bar of wall time
    for what all receivers share, and a line for each of them. Nothing before the alert fired.

    The time from its publication to Kafka is told in words alone: it begins in event time.
    """
    stops = alert.waterfall
    if stops is None:
        return ""
    parts: list[tuple[str, float]] = []
    before = stops.appended_at
    for name, at in (
        ("ingested", stops.ingested_at),
        ("scored", stops.scored_at),
        ("fired", stops.fired_at),
    ):
        if at is not None:
            parts.append((name, max((at - before).total_seconds(), 0.0)))
            before = at
    waits = [(receipt, *_receipt(stops, receipt)) for receipt in receipts]
    known = [queued for _, queued, _ in waits]
    if known:
        parts.append(("queued", min(known)))
    late = (stops.appended_at - stops.published_at).total_seconds()
    bar = "".join(
        f'<i class="m-stop{number}" style="flex-grow:{seconds:.4f}" '
        f'title="{html.escape(name)}: {_seconds(seconds)}"></i>'
        for number, (name, seconds) in enumerate(parts)
    )
    words = " · ".join(
        f'<span><b class="m-stop{number}"></b>{html.escape(name)} +{_seconds(seconds)}</span>'
        for number, (name, seconds) in enumerate(parts)
    )
    sent = "".join(
        f"<div>{escaped(receipt.receiver)}: "
        + (
            f"delivered +{_seconds(taken)} after it was queued"
            if taken is not None
            else "queued, not taken yet"
        )
        + "</div>"
        for receipt, _, taken in waits
    )
    return (
        '<div class="m-fall">'
        f'<div class="m-bar" role="img" aria-label="Time from stop to stop">{bar}</div>'
        f"<div>in Kafka {_seconds(late)} after its event time · {words}</div>{sent}</div>"
    )


def _receipt(stops: Waterfall, receipt: Receipt) -> tuple[float, float | None]:
    """Seconds from fired to queued, and from there to delivered."""
    queued = max((receipt.queued_at - stops.fired_at).total_seconds(), 0.0)
    if receipt.delivered_at is None:
        return queued, None
    return queued, max((receipt.delivered_at - receipt.queued_at).total_seconds(), 0.0)


def _seconds(seconds: float) -> str:
    return f"{seconds * 1000:.0f} ms" if abs(seconds) < 1 else duration(seconds)


def listed(pieces: Sequence[Evidence]) -> str:
    """Documents one below the other, each with how negative it is."""
    return f'<ol class="m-evidence">{"".join(map(_evidence, pieces))}</ol>' if pieces else ""


def _movement(alert: Alert) -> str:
    lasted = (alert.window_end - alert.window_start).total_seconds()
    if alert.detector == "blind":
        return f"{escaped(alert.summary, 400)} · silent for {duration(lasted)} when it was told"
    counted = f"{alert.documents:,} voices, {alert.negative:,} of them negative"
    if alert.posts > alert.documents:
        one = alert.largest_story / alert.posts
        told = f", {percent(one)} one text" if alert.largest_story > 1 and one >= 0.1 else ""
        counted = f"{alert.posts:,} posts = {counted}{told}"
    if alert.key == DRILL_SCHEDULE:
        return escaped(alert.summary, 600)
    if alert.detector == "drill":
        return f"<b>DRILL</b>: nothing has happened · {counted}"
    if alert.detector == "volume":
        (usual, value, *bounds), span = told_rates(
            alert.baseline, alert.value, *(alert.interval or ())
        )
        moved = f"Voices {span} <b>{usual:,.1f} → {value:,.1f}</b>"
        if bounds:
            moved += " ({:,.1f} to {:,.1f})".format(*bounds)
    else:
        moved = f"Negative share <b>{percent(alert.baseline)} → {percent(alert.value)}</b>"
        if alert.interval is not None:
            low, high = map(percent, alert.interval)
            baseline = percent(alert.setting.corrected_baseline)
            moved += f" (corrected {low} to {high}, usual {baseline})"
    return f"{moved} within {duration(lasted)} · {counted}"


def _evidence(piece: Evidence) -> str:
    width = max(0.0, min(1.0, piece.negative)) * 100
    title = piece.title.strip() or piece.excerpt
    return (
        f'<li><span class="m-p" title="P(negative)">{percent(piece.negative)}'
        f'<i><i style="width:{width:.0f}%"></i></i></span>'
        f'<span>{link(title, piece.url)}<span class="m-src">{escaped(piece.source, 80)} · '
        f"{moment(piece.published_at)}{_copies(piece)}</span></span></li>"
    )


def _copies(piece: Evidence) -> str:
    if not piece.copies:
        return ""
    return f" · {piece.copies:,} more post{'s' if piece.copies > 1 else ''} of this text"


def rules(found: Iterable[Rule]) -> str:
    """How often each rule was right, and the threshold that would make it right often enough."""
    lines = []
    for rule in found:
        counts = " · ".join(
            f"{rule.judged[judgement]} {judgement.value}"
            for judgement in Judgement
            if rule.judged.get(judgement)
        )
        right = "–"
        if rule.precision is not None:
            low, high = rule.interval
            right = f"{percent(rule.precision)} ({percent(low)} to {percent(high)})"
        advice = "too few verdicts to suggest a threshold"
        if (at := rule.suggestion) is not None:
            advice = (
                f"at e-value {in_words(at.evalue)}: {percent(at.precision)} of {at.judged} judged, "
                f"{at.per_day:.2f} alerts a day"
            )
        lines.append(
            f"<tr><td><b>{escaped(f'{rule.detector} on {rule.sort}')}</b>"
            f'<span class="m-src">{rule.per_day:.2f} a day, threshold {in_words(rule.threshold)} · '
            f'{counts or "none judged"}</span><span class="m-src">{advice}</span></td>'
            f'<td class="m-n">{right}</td></tr>'
        )
    return f'<div class="m-scroll"><table class="m-rows">{"".join(lines)}</table></div>'


def reasons(rows: Iterable[tuple[str, int]]) -> str:
    """Rejected records by reason, and what each reason means."""
    cells = "".join(
        f'<tr><td><b>{html.escape(reason.replace("_", " "))}</b><span class="m-src">'
        f'{html.escape(_meaning(reason))}</span></td><td class="m-n">{count:,}</td></tr>'
        for reason, count in rows
    )
    return f'<div class="m-scroll"><table class="m-rows">{cells}</table></div>'


def _meaning(reason: str) -> str:
    try:
        return MEANINGS[Reason(reason)]
    except ValueError:
        return "A reason this page does not know: the daemon is newer."


def no_database(place: str, there: bool, detail: str, now: datetime) -> str:
    """The page before there is anything to show. ``place`` and ``detail`` are plain text."""
    title, what = (
        ("The database can't be read.", "which is there, but not ready")
        if there
        else ("No database yet.", "and there is nothing there")
    )
    return (
        f'<div class="m-empty"><b>{html.escape(title)}</b> This page reads '
        f"<code>{escaped(place)}</code>, {what}.<br>"
        "Start the daemon with <code>monitor run</code>, or everything at once with "
        "<code>make demo</code>. This page looks again every few seconds and goes on by itself."
        f'<br><span class="m-src">{escaped(detail)} · looked at {now:%H:%M:%S} UTC</span></div>'
    )


def nothing(title: str, sentence: str) -> str:
    """A section that has nothing to show, and why."""
    return f'<div class="m-empty"><b>{html.escape(title)}</b> {html.escape(sentence)}</div>'
