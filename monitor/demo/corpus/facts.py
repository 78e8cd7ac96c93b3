"""The numbers and names of one story, drawn once so that all who tell it agree."""

from collections.abc import Callable
from datetime import datetime
from random import Random
from typing import Final, TypeAlias

from monitor.demo.corpus.cast import Company, full_name, people, rival

_ECONOMIES: Final = (
    ("the euro zone", "the European Central Bank", "the euro"),
    ("Britain", "the Bank of England", "sterling"),
    ("the United States", "the Federal Reserve", "the dollar"),
    ("Sweden", "the Riksbank", "the krona"),
    ("Norway", "Norges Bank", "the krone"),
    ("Canada", "the Bank of Canada", "the Canadian dollar"),
    ("Australia", "the Reserve Bank", "the Australian dollar"),
    ("Switzerland", "the Swiss National Bank", "the franc"),
)
_WORDS: Final = ("three", "four", "five", "six", "seven")
_ORDINALS: Final = ("third", "fourth", "fifth", "sixth", "seventh")
_LARGER: Final = ("nine", "ten", "11", "12", "14", "16", "17", "19", "20")
_LARGER_ORDINALS: Final = ("ninth", "tenth", "12th", "14th", "17th", "20th")
_MONTHS: Final = ("two", "three", "four", "five", "six", "eight", "nine")
_HOURS: Final = ("08:30", "09:00", "10:00", "13:30", "14:00", "15:30")
_SMALL: Final[dict[str, tuple[str, ...]]] = {
    "n": _WORDS,
    "nth": _ORDINALS,
    "n2": _LARGER,
    "n2th": _LARGER_ORDINALS,
    "months": _MONTHS,
    "hour": _HOURS,
}

Facts: TypeAlias = Callable[[str, int], str]


def money(amount: float, currency: str) -> str:
    """An amount in millions as a newspaper writes it."""
    if amount >= 1000:
        return f"{currency}{amount / 1000:.2f} billion"
    return f"{currency}{amount:.0f} million" if amount >= 20 else f"{currency}{amount:.1f} million"


def draw_facts(company: Company, when: datetime, rng: Random, *, crash: bool = False) -> Facts:
    """The facts of one story about `company` at `when`.

    Names ending in `_hi` and `_lo` are a pair with the first the larger; `_pct` is the rise from
    low to high and `_drop` the fall from high to low, both computed from the printed figures. In a
    crash the price has lost a quarter to a half.
    """
    cur = company.currency
    eco, bank, currency = rng.choice(_ECONOMIES)
    other = rival(company, rng)
    brokers = rng.sample(people()["brokers"], 2)
    product, second = company.products if rng.random() < 0.6 else company.products[::-1]
    values: dict[str, str] = {
        "co": company.name,
        "full": company.full_name,
        "tk": company.ticker,
        "c": company.name,
        "kind": company.sector,
        "kinds": _plural(company.sector),
        "city": company.city,
        "ceo": company.chief,
        "ceo_s": company.chief.split()[-1],
        "cfo": company.finance_chief,
        "prod": product,
        "prod2": second,
        "riv": other.name,
        "broker": brokers[0],
        "broker2": brokers[1],
        "analyst": full_name(rng.randrange(700, 1700)),
        "fund": rng.choice(people()["funds"]),
        "rater": rng.choice(people()["raters"]),
        "reg": rng.choice(people()["regulators"]),
        "place": rng.choice([place for place in people()["regions"] if place != eco]),
        "site": rng.choice(people()["sites"]),
        "eco": eco,
        "cb": bank,
        "ccy": currency,
        "day": when.strftime("%A"),
        "yr": str(when.year + rng.randrange(3, 9)),
        "q": rng.choice(("first-quarter", "second-quarter", "third-quarter", "half-year")),
    }
    values["qn"] = {"half-year": "the first half"}.get(
        values["q"], "the " + values["q"].replace("-", " ")
    )
    revenue = 10 ** rng.uniform(3.3 if crash else 2.2, 3.7)
    values |= _pair("r", revenue, rng.uniform(0.04, 0.28), lambda amount: money(amount, cur))
    profit = revenue * rng.uniform(0.03, 0.11)
    values |= _pair("p", profit, rng.uniform(0.12, 0.9), lambda amount: money(amount, cur))
    price = rng.uniform(4, 180)
    move = rng.uniform(3.1, 13.5)
    plunge = rng.randrange(24, 49)
    high = price / (1 - plunge / 100) if crash else price * (1 + move / 100)
    values |= {
        "px_lo": f"{cur}{price:.2f}",
        "px_hi": f"{cur}{high:.2f}",
        "mv": str(plunge) if crash else f"{move:.1f}",
        "mv_s": f"{rng.uniform(0.3, 2.4):.1f}",
        "mv2": str(plunge),
        "tgt_lo": f"{cur}{price * rng.uniform(0.9, 1.05):.0f}",
        "tgt_hi": f"{cur}{price * rng.uniform(1.2, 1.5):.0f}",
        "ipo_lo": f"{cur}{price * 0.4:.0f}",
        "ipo_hi": f"{cur}{price * 0.5 + 1:.0f}",
        "val": money(revenue * rng.uniform(1.2, 3.4), cur),
        "deal": money(revenue * rng.uniform(0.15, 0.7), cur),
        "debt": money(revenue * rng.uniform(0.4, 1.1), cur),
        "staff": f"{rng.randrange(12, 96) * 500:,}",
        "prem": str(rng.randrange(18, 47)),
        "stake": f"{rng.uniform(3.1, 14.9):.1f}",
        "jobs": f"{rng.randrange(6, 48) * 50:,}",
        "jobs_pct": str(rng.randrange(3, 15)),
        "cpn": f"{rng.uniform(4.1, 8.9):.2f}",
        "bp": str(rng.randrange(3, 29) * 5),
        "pct": str(rng.randrange(38, 82)),
        "pct2": str(rng.randrange(8, 36)),
        "g_lo": str(rng.randrange(2, 5)),
        "g_hi": str(rng.randrange(6, 12)),
        "fx": f"{rng.uniform(0.7, 1.6):.3f}",
        "pol": rng.choice(("2.25", "2.75", "3.25", "3.75", "4.25")),
        "job_k": str(rng.randrange(60, 320)),
        "gdp_lo": f"0.{rng.randrange(1, 4)}",
    }
    for name, low, high, gap, digits in (
        ("e", 0.2, 3.9, 0.35, 2),
        ("div", 0.1, 1.2, 0.3, 2),
        ("m", 4.0, 13.0, 3.5, 1),
        ("cpi", 1.9, 4.4, 0.9, 1),
        ("job", 3.6, 5.4, 0.5, 1),
        ("yld", 2.1, 4.3, 0.3, 2),
        ("oil", 46.0, 63.0, 9.0, 1),
        ("gold", 2300.0, 3900.0, 90.0, 0),
    ):
        base = rng.uniform(low, high)
        step = gap * rng.uniform(0.4, 1.0)
        unit = cur if name in ("e", "div") else ""
        values[f"{name}_lo"] = f"{unit}{base:,.{digits}f}"
        values[f"{name}_hi"] = f"{unit}{base + max(step, 2 * 10**-digits):,.{digits}f}"
    offset = rng.randrange(1000)

    def fact(slot: str, salt: int) -> str:
        small = _SMALL.get(slot)
        return values[slot] if small is None else small[(salt + offset) % len(small)]

    return fact


def _pair(name: str, low: float, rise: float, show: Callable[[float], str]) -> dict[str, str]:
    low = float(f"{low:.3g}")
    high = float(f"{low * (1 + rise):.3g}")
    return {
        f"{name}_lo": show(low),
        f"{name}_hi": show(high),
        f"{name}_pct": f"{100 * (high / low - 1):.0f}",
        f"{name}_drop": f"{100 * (1 - low / high):.0f}",
    }


def _plural(noun: str) -> str:
    return noun[:-1] + "ies" if noun.endswith("y") else noun + "s"
