"""Names that are put in place of others, to see whether a verdict depends on them."""

from dataclasses import dataclass
from typing import Final, Literal

INVENTED: Final = (
    "Velmora", "Tarnwick", "Orsenna", "Bexholm", "Kalderon", "Nyvarra", "Zelkova", "Harnosk",
    "Quillbrook", "Mardessa", "Ostavia", "Fennimere",
)  # fmt: skip
"""Companies that do not exist: what a verdict says without a reputation."""

REAL: Final = (
    "Apple", "Microsoft", "Tesla", "Boeing", "Toyota", "Siemens", "Nestlé", "Volkswagen",
    "Deutsche Bank", "Goldman Sachs", "Alibaba", "Tencent", "Infosys", "Petrobras", "Netflix",
    "Pfizer",
)  # fmt: skip
"""Large listed companies of several countries and trades."""

KNOWN: Final = frozenset(
    {
        *REAL,
        "Amazon", "Facebook", "Google", "Alphabet", "Walmart", "Nvidia", "Intel", "Uber", "Disney",
        "Ford", "General Motors", "Starbucks", "Nike", "Samsung", "Sony", "Exxon", "Chevron",
        "JPMorgan", "Morgan Stanley", "Citigroup", "Wells Fargo", "Credit Suisse", "HSBC",
        "Barclays", "Airbus", "BMW", "Twitter", "Oracle", "Cisco", "AT&T", "Verizon", "Moderna",
        "Roku",
    }
)  # fmt: skip
"""Companies that are recognised in texts without marked entities."""

TICKERS: Final = ("VLMR", "TNWK", "ORSN", "BXHM", "KLDN", "NYVR", "ZLKV", "HRNK", "QLBK", "MRDS")
"""Stock symbols that do not exist."""


@dataclass(frozen=True, slots=True)
class Country:
    """A country, its adjective, and whether its name takes an article."""

    name: str
    adjective: str
    article: bool = False
    aliases: tuple[str, ...] = ()


COUNTRIES: Final = (
    Country("United States", "American", article=True, aliases=("U.S.", "USA", "US", "America")),
    Country("United Kingdom", "British", article=True, aliases=("U.K.", "UK", "Britain")),
    Country("Germany", "German"),
    Country("France", "French"),
    Country("Italy", "Italian"),
    Country("Spain", "Spanish"),
    Country("Netherlands", "Dutch", article=True),
    Country("Sweden", "Swedish"),
    Country("Norway", "Norwegian"),
    Country("Finland", "Finnish"),
    Country("Denmark", "Danish"),
    Country("Switzerland", "Swiss"),
    Country("Ireland", "Irish"),
    Country("Poland", "Polish"),
    Country("Greece", "Greek"),
    Country("Portugal", "Portuguese"),
    Country("Russia", "Russian"),
    Country("Ukraine", "Ukrainian"),
    Country("Turkey", "Turkish"),
    Country("Israel", "Israeli"),
    Country("Iran", "Iranian"),
    Country("Saudi Arabia", "Saudi"),
    Country("Egypt", "Egyptian"),
    Country("Nigeria", "Nigerian"),
    Country("Kenya", "Kenyan"),
    Country("South Africa", "South African"),
    Country("China", "Chinese"),
    Country("Japan", "Japanese"),
    Country("South Korea", "South Korean"),
    Country("India", "Indian"),
    Country("Pakistan", "Pakistani"),
    Country("Indonesia", "Indonesian"),
    Country("Vietnam", "Vietnamese"),
    Country("Australia", "Australian"),
    Country("Canada", "Canadian"),
    Country("Mexico", "Mexican"),
    Country("Brazil", "Brazilian"),
    Country("Argentina", "Argentine"),
)

Gender = Literal["female", "male"]


@dataclass(frozen=True, slots=True)
class FirstName:
    """A given name with the gender and the language or region it is mostly found in."""

    name: str
    gender: Gender
    origin: str


_GIVEN: Final[dict[str, tuple[tuple[str, str], tuple[str, str]]]] = {
    "English": (("Emily", "Claire"), ("James", "Peter")),
    "German": (("Greta", "Heike"), ("Jürgen", "Matthias")),
    "Spanish": (("Lucía", "Carmen"), ("Diego", "Javier")),
    "Slavic": (("Olga", "Katarzyna"), ("Dmitri", "Pavel")),
    "Arabic": (("Fatima", "Layla"), ("Mohammed", "Omar")),
    "Hebrew": (("Tamar", "Yael"), ("Moshe", "Avi")),
    "Indian": (("Priya", "Lakshmi"), ("Rajesh", "Arjun")),
    "Chinese": (("Mei", "Xiuying"), ("Wei", "Jian")),
    "Japanese": (("Yuko", "Haruka"), ("Kenji", "Hiroshi")),
    "West African": (("Ngozi", "Adaeze"), ("Chinedu", "Kwame")),
    "African American": (("Latoya", "Ebony"), ("DeShawn", "Jamal")),
}


def _of_gender(
    women: tuple[str, str], men: tuple[str, str]
) -> tuple[tuple[Gender, tuple[str, str]], tuple[Gender, tuple[str, str]]]:
    return ("female", women), ("male", men)


FIRST_NAMES: Final = tuple(
    FirstName(name, gender, origin)
    for origin, (women, men) in _GIVEN.items()
    for gender, names in _of_gender(women, men)
    for name in names
)

COMMON: Final = frozenset(
    {
        *(first.name for first in FIRST_NAMES),
        "John", "Joe", "Donald", "Elon", "Janet", "Jerome", "Christine", "Mary", "Michael", "David",
        "Robert", "Tim", "Mark", "Jeff", "Bill", "Warren", "Elizabeth", "Nancy", "Boris",
        "Vladimir", "Emmanuel", "Angela", "Bernie", "Larry", "Jim", "Cathie", "Jamie", "Rishi",
        "Liz", "Sarah", "Anna", "Thomas", "Paul", "Lisa", "Laura", "Martin", "Stephen", "Kevin",
        "Brian", "Susan",
    }
)  # fmt: skip
"""Given names that are recognised before a capitalised word in texts without marked entities."""
