"""What keeps alerts from being told, and who has taken them on, as HTML. Pure."""

from __future__ import annotations

from datetime import datetime

from dashboards.words import escaped, moment
from monitor.alert.policy import silencing
from monitor.events import Alert, AlertStatus
from monitor.store.muting.base import Acknowledgement, Muted, Silence, newest_first


def marks(alert: Alert, muted: Muted, now: datetime) -> str:
    """Lines of an alert's card: who has taken it on until when, and which silences are over it;
    none of one that has ended, of which nothing is told any more."""
    if alert.status is AlertStatus.RESOLVED:
        return ""
    taken = [a for a in muted.acknowledgements if a.alert_id == alert.id and now < a.until]
    lines = [*map(_taken, taken), *map(_silenced, silencing(alert, muted, now))]
    return "".join(f'<p class="m-mark">{line}</p>' for line in lines)


def silences(muted: Muted, now: datetime) -> str:
    """All that are not over: those in force first, the newest first among these."""
    found = newest_first(muted.silences)
    found.sort(key=lambda silence: not silence.active(now))
    cells = "".join(_row(silence, now) for silence in found)
    return f'<div class="m-scroll"><table class="m-rows">{cells}</table></div>'


def summary(muted: Muted, now: datetime) -> str:
    """How many there are, in words."""
    active = sum(silence.active(now) for silence in muted.silences)
    coming = len(muted.silences) - active
    return f"{active} in force, {coming} to come; what they match is shown here and told to nobody"


def _row(silence: Silence, now: datetime) -> str:
    what = ", ".join(map(str, silence.matchers))
    state = "in force" if silence.active(now) else "to come"
    note = f" · {escaped(silence.comment)}" if silence.comment else ""
    return (
        f'<tr><td><b>{escaped(what)}</b><span class="m-src">{escaped(silence.created_by, 80)}{note}'
        f'</span></td><td class="m-n">{state}<span class="m-src">{moment(silence.starts)} – '
        f"{moment(silence.ends)}</span></td></tr>"
    )


def _taken(taken: Acknowledgement) -> str:
    note = f": {escaped(taken.note)}" if taken.note else ""
    return f"Taken on by <b>{escaped(taken.owner, 80)}</b> until {moment(taken.until)}{note}"


def _silenced(silence: Silence) -> str:
    note = f": {escaped(silence.comment)}" if silence.comment else ""
    by = escaped(silence.created_by, 80)
    return f"Silenced by <b>{by}</b> until {moment(silence.ends)}{note}"
