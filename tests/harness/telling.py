"""Texts with words of their own, and a company that they name: for stories and names."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

from harness.flow import START, Message

from monitor.events import Mention, Scored
from monitor.score.base import Verdicts

WORDS = """harbour crane ledger copper orchard satellite bakery tunnel violin glacier pepper canvas
lantern meadow turbine saddle ferry walnut compass quarry marble button ribbon kettle""".split()  # noqa: SIM905


def own_words(number: int, sign: str = "0") -> str:
    """A text that no other number's text is like."""
    rng = random.Random(number)
    return f"{sign} 5 " + " ".join(rng.choice(WORDS) for _ in range(24))


def post(identifier: str, minutes: float, text: str, **more: object) -> Message:
    at = START + timedelta(minutes=minutes)
    return {
        "id": identifier,
        "source": f"s{identifier}",
        "published_at": at.isoformat(),
        "text": text,
        **more,
    }


@dataclass
class Names:
    """Whatever is called Northgate is a company, and bad."""

    def mentions(
        self,
        scored: Sequence[Scored],
        texts: Sequence[str],
        verdicts: Verdicts,
        rows: Sequence[int],
    ) -> list[tuple[Mention, ...]]:
        assert len(scored) == len(texts) == len(rows) <= len(verdicts.failed)
        mention = Mention("company:XX:NGT", "Northgate plc", "Northgate", (0.9, 0.05, 0.05))
        return [(mention,) if "Northgate" in text else () for text in texts]
