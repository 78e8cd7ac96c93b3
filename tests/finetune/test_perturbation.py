"""Perturbations change what they say and nothing else; flips and bias are counted right."""

import json
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from models.__main__ import app
from models.errors import DataError
from models.evaluation import perturb
from models.evaluation.carriers import Carrier, marked, read_carriers, recognised
from models.evaluation.names import COUNTRIES, FIRST_NAMES, INVENTED, TICKERS
from models.evaluation.perturb import KINDS
from models.evaluation.robustness import measure, wilson
from models.evaluation.substitute import mentions, with_company, with_countries
from models.manifest import Manifest
from models.predict import Predictor

LINK = "https://example.com/a/7b2"


def rng(seed: int = 3) -> np.random.Generator:
    return np.random.default_rng(seed)


def index(name: str) -> int:
    return [country.name for country in COUNTRIES].index(name)


@pytest.mark.parametrize("kind", KINDS)
def test_the_same_seed_gives_the_same_change(kind: str) -> None:
    carrier = marked(
        f"$KSTR Kestrel Foods of Sweden cut 300 jobs, Anna Berg said {LINK}",
        [
            {"start": 6, "end": 19, "type": "organisation"},
            {"start": 45, "end": 54, "type": "person"},
        ],
    )

    assert KINDS[kind](carrier, rng(5)) == KINDS[kind](carrier, rng(5))


@pytest.mark.parametrize("kind", sorted(set(KINDS) - {"cashtag added", "link added", "numbers"}))
def test_a_text_without_the_trait_stays_as_it_is(kind: str) -> None:
    assert "5" == KINDS[kind](Carrier("5"), rng())


def test_one_word_of_eight_gets_a_typo_and_links_and_cashtags_none() -> None:
    text = f"$ABCD shipments from northern harbours recovered during spring after strikes {LINK}"

    found = perturb.typos(Carrier(text), rng())

    different = [(a, b) for a, b in zip(text.split(), found.split(), strict=True) if a != b]
    assert 1 == len(different)
    assert LINK == found.split()[-1]
    assert all(a[0] == b[0] and abs(len(a) - len(b)) <= 1 for a, b in different)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("$KSTR - Kestrel cuts jobs", "Kestrel cuts jobs"),
        ("Kestrel ($KSTR) cuts jobs", "Kestrel cuts jobs"),
        ("Sold $KSTR, $ORFN", "Sold"),
        ("$KSTR", "$KSTR"),
        ("Paid $40 for it", "Paid $40 for it"),
    ],
)
def test_dropped_cashtags_leave_no_separator_behind(text: str, expected: str) -> None:
    assert expected == perturb.cashtag_dropped(Carrier(text), rng()).replace("  ", " ")


def test_the_same_cashtag_is_replaced_by_the_same() -> None:
    first, second, third = perturb.cashtag_replaced(Carrier("$AB $CD $ab"), rng()).split()

    assert first == third != second
    assert {first[1:], second[1:]} <= set(TICKERS)


def test_more_stays_more_and_dates_stay_when_numbers_change() -> None:
    text = (
        "Sales of 1,250 units on 14 May 2024, against 980; margin 4.5% from 4.4%, Q3 at 10:30, 3rd"
    )

    found = perturb.numbers(Carrier(text), rng())

    new, old, after, before = (
        float(found.split(mark)[1].split(end)[0].replace(",", ""))
        for mark, end in (
            ("Sales of ", " units"),
            ("against ", ";"),
            ("margin ", "%"),
            ("from ", "%"),
        )
    )
    assert 1250 < new
    assert 980 < old < new
    assert 4.4 < before < after
    assert "14 May 2024" in found
    assert found.endswith("Q3 at 10:30, 3rd")


def test_equal_numbers_stay_equal() -> None:
    found = perturb.numbers(Carrier("EUR 4.6 mn, unchanged from EUR 4.6 mn"), rng())

    assert found.split()[1] == found.split()[6] != "4.6"


def test_an_invented_company_keeps_the_words_of_its_trade() -> None:
    text = "Kestrel Foods warned. Kestrel's shares fell."

    found = with_company(text, "Kestrel Foods", "Orsenna", keep_trade=True)

    assert "Orsenna Foods warned. Orsenna's shares fell." == found


def test_articles_follow_the_new_name() -> None:
    assert "an Apple supplier" == with_company("a Kestrel supplier", "Kestrel", "Apple")
    swapped = with_countries(
        "an Italian lender and a German one", {index("Italy"): index("France")}
    )
    assert "a French lender and a German one" == swapped


def test_public_bodies_and_cashtags_are_no_companies() -> None:
    text = "Bank of Norway warned Kestrel and $KSTR"
    spans = [(0, 14), (22, 29), (34, 39)]

    found = marked(text, [{"start": a, "end": b, "type": "organisation"} for a, b in spans])

    assert ("Kestrel",) == found.companies


def test_known_names_are_recognised_where_none_are_marked() -> None:
    found = recognised("Boeing and Tesla rise, Janet Orrin says; boeing-like")

    assert ("Boeing", "Tesla") == found.companies
    assert ("Janet",) == found.persons


@pytest.mark.parametrize(
    ("text", "new", "expected"),
    [
        ("The US economy slowed", "France", "The French economy slowed"),
        ("Talks with the US and China", "Netherlands", "Talks with the Netherlands and China"),
        ("Talks with the US and China", "Japan", "Talks with Japan and China"),
        ("The United Kingdom pays", "United Kingdom", "The United Kingdom pays"),
        ("US$ 5 for an American", "Poland", "US$ 5 for a Polish"),
        ("Tell us", "Poland", "Tell us"),
    ],
)
def test_the_united_states_become_another_country(text: str, new: str, expected: str) -> None:
    assert expected == with_countries(text, {index("United States"): index(new)})


def test_a_currency_is_no_nationality() -> None:
    assert [] == mentions("The Australian dollar and the British Pound")


def test_every_country_is_replaced_by_one_that_the_text_does_not_name() -> None:
    carrier = Carrier("Germany sues France; the German court waits")

    found = perturb.country(carrier, rng())

    named = [mention.country for mention in mentions(found)]
    assert named[0] == named[2] != named[1]
    assert not {index("Germany"), index("France")} & set(named)


def test_a_pronoun_keeps_the_gender_of_a_new_given_name() -> None:
    women = {first.name for first in FIRST_NAMES if first.gender == "female"}
    carrier = Carrier("Anna Berg left; she had led it", persons=("Anna",))

    found = {perturb.first_name(carrier, rng(seed)).split()[0] for seed in range(40)}

    assert len(found) > 5
    assert found <= women


def test_links_can_come_and_go() -> None:
    assert "Profit fell" == perturb.link_removed(Carrier(f"Profit fell {LINK}"), rng())
    assert LINK == perturb.link_removed(Carrier(LINK), rng())
    assert perturb.link_added(Carrier("Profit fell"), rng()).startswith("Profit fell https://")


def test_punctuation_inside_figures_and_words_stays() -> None:
    found = perturb.punctuation(Carrier('"Sales", it said: 1,250.5 (up); don\'t ask.'), rng())

    assert "Sales it said 1,250.5 up don't ask" == found


def test_the_wilson_interval_is_that_of_the_book() -> None:
    found = wilson(10, 100)  # Brown, Cai & DasGupta 2001 give the formula; worked by hand

    assert (0.1, 0.05522, 0.17437) == pytest.approx((found.value, found.low, found.high), abs=1e-5)
    assert (0.0, 1.0) == (wilson(0, 0).low, wilson(0, 0).high)


def test_marks_outside_the_text_name_file_and_line(tmp_path: Path) -> None:
    path = tmp_path / "texts.jsonl"
    row = {"text": "Short", "entities": [{"start": 0, "end": 99, "type": "person"}]}
    path.write_text(json.dumps(row) + "\n")

    with pytest.raises(DataError, match=r"texts\.jsonl, line 1: entities"):
        read_carriers(path)


@pytest.fixture(scope="module")
def predictor(trained: tuple[Path, Manifest]) -> Predictor:
    return Predictor.load(trained[0], device="cpu", dtype="float32")


def test_flips_are_those_of_the_model_itself(predictor: Predictor) -> None:
    texts = [recognised(f"Profit of Tesla {verb} in Germany") for verb in ("fell", "rose", "held")]

    found = measure(predictor, texts, [], kinds={"punctuation": lambda c, _: f"{c.text} loss loss"})

    before = predictor.predict(predictor.encode([c.text for c in texts]))
    after = predictor.predict(predictor.encode([f"{c.text} loss loss" for c in texts]))
    flipped = before.sentiment.argmax(1) != after.sentiment.argmax(1)
    shift = np.abs(before.sentiment[:, 0] - after.sentiment[:, 0]).mean()
    (kind,) = found.flips
    assert 3 == kind.changed
    assert float(flipped.mean()) == pytest.approx(kind.sentiment.value)
    assert float(shift) == pytest.approx(kind.shift, abs=1e-6)


def test_what_the_model_cannot_see_flips_nothing_and_is_judged_once(predictor: Predictor) -> None:
    seen: list[tuple[int, int]] = []
    texts = [Carrier("Profit fell"), Carrier("Profit rose")]
    kinds = {name: KINDS[name] for name in ("lower case", "upper case", "link added")}

    found = measure(predictor, texts, [], kinds=kinds, observer=lambda *n: seen.append(n))

    assert [2, 2, 2] == [kind.changed for kind in found.flips]
    assert [0.0, 0.0, 0.0] == [kind.sentiment.value for kind in found.flips]
    assert (2, 2) == seen[-1]


def test_the_bias_table_puts_every_name_into_the_same_texts(predictor: Predictor) -> None:
    carriers = [Carrier(f"Kestrel {verb}", companies=("Kestrel",)) for verb in ("fell", "rose")]

    (table,) = measure(predictor, [Carrier("x y")], carriers, kinds={}).bias

    one = table.names[0]
    texts = [f"{one.name} fell", f"{one.name} rose"]
    expected = predictor.predict(predictor.encode(texts)).sentiment[:, 0].mean()
    assert ("company", 2) == (table.kind, table.carriers)
    assert float(expected) == pytest.approx(one.negative, abs=1e-6)
    assert 0.0 == pytest.approx(sum(name.deviation.value for name in table.names), abs=1e-9)
    assert table.names[0].negative - table.names[-1].negative == pytest.approx(table.range)
    assert table.pairs[0].difference.value == pytest.approx(table.range)
    assert set(INVENTED) < {name.name for name in table.names}


def test_the_command_writes_tables_and_figures(
    trained: tuple[Path, Manifest], tmp_path: Path
) -> None:
    corpus = tmp_path / "corpus.jsonl"
    text = "Kestrel of Sweden fell, Anna Berg said"
    entities = [
        {"start": 0, "end": 7, "type": "organisation"},
        {"start": 24, "end": 33, "type": "person"},
    ]
    corpus.write_text(json.dumps({"text": text, "split": "test", "entities": entities}) + "\n")
    out = tmp_path / "report"
    arguments = ["robustness", "--model", str(trained[0]), "--corpus", str(corpus)]

    found = CliRunner().invoke(app, [*arguments, "--out", str(out), "--json"])

    assert 0 == found.exit_code, found.output
    content = json.loads((out / "robustness.json").read_text())
    assert ["company", "country", "first name"] == [table["kind"] for table in content["bias"]]
    assert list(KINDS) == [kind["kind"] for kind in content["flips"]]
    report = (out / "robustness.md").read_text()
    for picture in out.glob("*.png"):
        assert picture.read_bytes().startswith(b"\x89PNG")
        assert f"({picture.name})" in report
    assert 4 == len(list(out.glob("*.png")))
