"""Conditions on labels, as Alertmanager writes them: ``severity="critical"``, ``topic=~"Oil|Gas"``.

https://prometheus.io/docs/alerting/latest/configuration/#matcher
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal, get_args

from monitor.errors import ConfigError

Operator = Literal["=", "!=", "=~", "!~"]
_LONGEST = 1000
_WRITTEN = re.compile(
    r'\s*([a-zA-Z_][a-zA-Z0-9_]*)\s*(=~|!~|!=|=)\s*(?:"(.*)"|([^"\s].*?|))\s*', re.DOTALL
)


@dataclass(frozen=True, slots=True)
class Matcher:
    """One condition. A label that an alert has not got is empty."""

    name: str
    operator: Operator
    value: str

    def __post_init__(self) -> None:
        if self.operator not in get_args(Operator):
            raise ConfigError(f"a matcher compares with =, !=, =~ or !~, not {self.operator!r}")
        if not re.fullmatch(r"[a-zA-Z_][a-zA-Z0-9_]*", self.name):
            raise ConfigError(f"{self.name!r} is not the name of a label")
        if len(self.value) > _LONGEST:
            raise ConfigError(f"the value of a matcher has at most {_LONGEST} characters")
        if self.operator in ("=~", "!~"):
            try:
                re.compile(self.value)
            except re.error as error:
                raise ConfigError(
                    f"the matcher of {self.name} is no regular expression: {error}"
                ) from None

    def __str__(self) -> str:
        value = self.value.replace("\\", r"\\").replace('"', r"\"")
        return f'{self.name}{self.operator}"{value}"'

    def matches(self, labels: Mapping[str, str]) -> bool:
        """Regular expressions have to match the whole value."""
        found = labels.get(self.name, "")
        if self.operator in ("=", "!="):
            return (found == self.value) is (self.operator == "=")
        return (re.fullmatch(self.value, found) is not None) is (self.operator == "=~")


def parse(text: str) -> Matcher:
    """Read one condition; the quotes may be left out. Raises ``ConfigError``."""
    found = _WRITTEN.fullmatch(text)
    if found is None:
        raise ConfigError(f'{text!r} is no matcher; write name="value", or with !=, =~, !~')
    name, operator, quoted, bare = found.groups()
    value = bare if quoted is None else re.sub(r'\\(["\\])', r"\1", quoted)
    return Matcher(name, operator, value)  # type: ignore[arg-type]  # one of the four, as written


def all_match(matchers: Iterable[Matcher], labels: Mapping[str, str]) -> bool:
    """Whether every condition holds; none is no hindrance."""
    return all(matcher.matches(labels) for matcher in matchers)
