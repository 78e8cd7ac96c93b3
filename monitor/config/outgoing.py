"""Who is told, what they may answer, and how it is tried."""

from __future__ import annotations

from typing import Annotated

from pydantic import (
    Field,
    SecretStr,
    field_validator,
    model_validator,
)

from monitor.jobs import cron_trigger
from monitor.receivers import AnyReceiver, RouteTable
from monitor.section import Positive, Seconds, Section, long_enough


class Delivery(Section):
    """Who is told, and how often. Durations in seconds."""

    receivers: tuple[AnyReceiver, ...] = ()
    routes: tuple[RouteTable, ...] = ()
    """The first that matches decides who is told; none at all: everybody, one that matches none:
    nobody."""
    group_wait: Seconds = 30.0
    group_interval: Positive = 300.0
    repeat_interval: Positive = 14_400.0
    external_url: str = "http://127.0.0.1:8501"
    """The dashboard's address, as the receivers see it."""

    @field_validator("receivers")
    @classmethod
    def _unique_names(cls, receivers: tuple[AnyReceiver, ...]) -> tuple[AnyReceiver, ...]:
        names = [r.name for r in receivers]
        twice = sorted({n for n in names if names.count(n) > 1})
        if twice:
            raise ValueError(f"the names must be unique; twice here: {', '.join(twice)}")
        return receivers

    @model_validator(mode="after")
    def _routes_lead_somewhere(self) -> Delivery:
        known = {receiver.name: receiver for receiver in self.receivers}
        faults = []
        for number, route in enumerate(self.routes):
            if lost := sorted(set(route.receivers) - set(known)):
                faults.append(f"routes.{number}: no receiver is called {', '.join(lost)}")
            timeless = [n for n in route.receivers if n in known and known[n].digest is None]
            if route.digest and timeless:
                faults.append(f"routes.{number}: {', '.join(timeless)} has no digest.times")
        if faults:
            raise ValueError("; ".join(faults))
        return self

    @model_validator(mode="after")
    def _repeat_is_slower(self) -> Delivery:
        if self.repeat_interval < self.group_interval:
            raise ValueError("repeat_interval must be at least group_interval")
        return self


class Verdicts(Section):
    """What people say of alerts (docs/verdicts.md)."""

    secret: SecretStr | None = None
    """Signs the links by which receivers judge; with ``http.public_url`` they get some."""
    link_days: Annotated[float, Field(gt=0, le=365)] = 7.0
    """How long such a link is good after the last change of its alert."""
    target: Annotated[float, Field(gt=0, le=1)] = 0.8
    """Precision that a suggested threshold has to reach."""

    @field_validator("secret")
    @classmethod
    def _not_to_be_guessed(cls, secret: SecretStr | None) -> SecretStr | None:
        return None if secret is None else long_enough(secret)


class Drill(Section):
    """Invented crises that begin by themselves (docs/drill.md)."""

    schedule: str | None = None
    """A cron expression in UTC, with the days of the week by name; None: none."""
    deadline: Positive = 120.0
    """Seconds until every stop must have been reached."""
    receiver: str | None = None
    """The one that must take it; None: every one."""

    @field_validator("schedule")
    @classmethod
    def _is_cron(cls, schedule: str | None) -> str | None:
        if schedule is not None:
            try:
                cron_trigger(schedule)
            except ValueError as error:
                raise ValueError(
                    f"must be a cron expression such as '30 6 * * mon-fri': {error}"
                ) from None
        return schedule
