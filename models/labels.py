"""The label sets, in the order of the model's outputs. Imports nothing heavy."""

from types import MappingProxyType
from typing import Final, Literal, get_args

Sentiment = Literal["negative", "neutral", "positive"]
Topic = Literal[
    "Analyst Update",
    "Fed | Central Banks",
    "Company | Product News",
    "Treasuries | Corporate Debt",
    "Dividend",
    "Earnings",
    "Energy | Oil",
    "Financials",
    "Currencies",
    "General News | Opinion",
    "Gold | Metals | Materials",
    "IPO",
    "Legal | Regulation",
    "M&A | Investments",
    "Macro",
    "Markets",
    "Politics",
    "Personnel Change",
    "Stock Commentary",
    "Stock Movement",
]
Task = Literal["sentiment", "topic"]

SENTIMENTS: Final[tuple[Sentiment, ...]] = get_args(Sentiment)
TOPICS: Final[tuple[Topic, ...]] = get_args(Topic)
TASKS: Final[tuple[Task, ...]] = get_args(Task)

LABELS: Final = MappingProxyType[Task, tuple[str, ...]]({"sentiment": SENTIMENTS, "topic": TOPICS})

# Names that data sets use for the same classes.
ALIASES: Final = MappingProxyType(
    {"bearish": "negative", "bullish": "positive"},
)
