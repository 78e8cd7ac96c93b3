"""Texts with marked names and targets: how they are read, changed, batched and counted."""

from pathlib import Path

import numpy as np
import pytest
from harness.marking import corpus_of, row_of

from models.backbone import find, load_tokenizer
from models.errors import DataError
from models.marking import sentfin
from models.marking.examples import (
    Example,
    Mark,
    certain,
    joined,
    joined_words,
    read_corpus,
    renamed,
    weak,
)
from models.marking.parts import divide
from models.marking.report import against, report
from models.marking.rows import POSSIBLE, collate
from models.spans.shapes import SPECIAL, starts_word
from models.tokens.read import read
from models.tokens.tags import TAGS

NEGATIVE, NEUTRAL, POSITIVE = (certain(number) for number in range(3))


def _surfaces(example: Example) -> list[str]:
    return [example.text[mark.start : mark.end] for mark in example.marks]


def test_marks_follow_the_text_as_the_model_reads_it(tmp_path: Path) -> None:
    raw = "Results \u2026  of \u201cNordwind\u201d beat Kelvar\u2019s"
    record = row_of(
        ("Nordwind", "organisation", "positive"), ("Kelvar", "organisation", "negative"), text=raw
    )

    (row,) = read_corpus(corpus_of(tmp_path / "corpus.jsonl", record))

    assert row.example.text == 'Results ... of "Nordwind" beat Kelvar\'s'
    assert _surfaces(row.example) == ["Nordwind", "Kelvar"]
    assert [mark.sentiment for mark in row.example.marks] == [POSITIVE, NEGATIVE]


@pytest.mark.parametrize(
    "change",
    [{"start": 90, "end": 95}, {"type": "planet"}, {"sentiment": "sad"}, {"start": "two"}],
)
def test_a_faulty_entity_is_one_error_with_file_and_line(
    tmp_path: Path, change: dict[str, object]
) -> None:
    sound = row_of(("Kelvar", "organisation", "positive"), text="Kelvar gains")
    faulty = row_of(("Kelvar", "organisation", "positive"), text="Kelvar gains")
    faulty["entities"][0].update(change)  # type: ignore[index]
    path = corpus_of(tmp_path / "corpus.jsonl", sound, faulty)

    with pytest.raises(DataError, match=r"corpus\.jsonl, line 2: .*expected text, split"):
        read_corpus(path)


def test_a_commodity_in_lower_case_is_a_target_but_no_name(tmp_path: Path) -> None:
    record = row_of(("gold", "other", "negative"), ("Nikkei", "other", None), text="Nikkei, gold")

    (row,) = read_corpus(corpus_of(tmp_path / "corpus.jsonl", record))

    assert [mark.type for mark in row.example.marks] == [None, "MISC"]
    assert [mark.sentiment for mark in row.example.targets] == [NEGATIVE]


def test_words_become_running_text_and_keep_their_characters() -> None:
    words = [
        "(",
        "Nordwind",
        "'s",
        "boss",
        ")",
        "did",
        "n't",
        "pay",
        "$",
        "ABC",
        "http://t.co/x",
        ".",
    ]

    text, places = joined_words(words)

    assert text == "(Nordwind's boss) didn't pay $ABC."
    assert [text[start:end] for start, end in places[:5]] == ["(", "Nordwind", "'s", "boss", ")"]
    assert places[10][0] == places[10][1]  # a link is nothing to the model


def test_a_tweet_with_one_cashtag_is_about_it_and_one_with_two_is_not() -> None:
    found = weak("$ABC up again, $abc to the moon", POSITIVE, 0.5)

    assert found is not None
    assert _surfaces(found) == ["$ABC", "$abc"]
    assert weak("$ABC up, $XYZ down", POSITIVE, 0.5) is None
    assert weak("ABC up", POSITIVE, 0.5) is None


def test_a_renamed_company_is_the_same_one_at_each_mention_with_its_own_sentiment() -> None:
    text = "Kelvar sues Ostrea; Kelvar gains in Lima"
    marks = (
        Mark(0, 6, "ORG", POSITIVE),
        Mark(12, 18, "ORG", NEGATIVE),
        Mark(20, 26, "ORG", POSITIVE),
        Mark(36, 40, "LOC"),
    )
    names = iter((0, 1, 1))  # the last is not needed: it is Kelvar again

    found = renamed(Example(text, marks), ["Brimstone Mills", "Ny"], lambda _count: next(names))

    assert found.text == "Brimstone Mills sues Ny; Brimstone Mills gains in Lima"
    assert _surfaces(found) == ["Brimstone Mills", "Ny", "Brimstone Mills", "Lima"]
    assert [mark.sentiment for mark in found.marks] == [POSITIVE, NEGATIVE, POSITIVE, None]


def test_joined_headlines_keep_the_sentiments_of_their_halves() -> None:
    first = Example("Kelvar soars.", (Mark(0, 6, "ORG", POSITIVE),), frozenset({"ORG", "PER"}))
    second = Example("Ostrea fails", (Mark(0, 6, "ORG", NEGATIVE),), frozenset({"ORG"}), 0.5)

    for joint in range(10):
        found = joined(first, second, lambda _count, joint=joint: joint)  # type: ignore[misc]

        assert found.text.startswith("Kelvar soars") and found.text.endswith("Ostrea fails")
        assert _surfaces(found) == ["Kelvar", "Ostrea"]
        assert found.tagged == {"ORG"} and found.weight == 0.5


def test_sentfin_is_read_with_its_faulty_rows(tmp_path: Path) -> None:
    path = tmp_path / "headlines.csv"
    rows = [
        ("Kelvar's soars; Kelvar dull", "\"{'Kelvar's': 'positive', 'Kelvar': 'negative'}\""),
        (
            "Nordwind Power beats nordwind",
            "\"{'Nordwind': 'negative', 'Nordwind Power': 'positive'}\"",
        ),
        ("Ostrea flat", "\"{'Osterea': 'neutral'}\""),
    ]
    path.write_text(
        "S No.,Title,Decisions,Words\n"
        + "".join(f"{n},{title},{entities},3\n" for n, (title, entities) in enumerate(rows, 1))
    )

    found = sentfin.read(path)

    assert _surfaces(found[0]) == ["Kelvar's", "Kelvar"]
    assert found[0].marks[1].start == 16  # its own mention, not the one within the longer name
    assert [(m.start, m.end) for m in found[1].marks] == [(21, 29), (0, 14)]
    assert [(m.start, m.end) for m in found[2].marks] == [(0, 0)]
    assert sentfin.in_conflict(found) == found[:2]


def test_a_headline_without_entities_is_an_error_with_its_row(tmp_path: Path) -> None:
    path = tmp_path / "headlines.csv"
    path.write_text("Title,Decisions\nKelvar flat,{'Kelvar': 'neutral'}\nOstrea up,{}\n")

    with pytest.raises(DataError, match=r"headlines\.csv, row 2: no entity"):
        sentfin.read(path)


def test_a_token_outside_may_be_of_a_type_that_its_text_never_marks(tiny_encoder: Path) -> None:
    tokenizer = load_tokenizer(find(str(tiny_encoder)))
    example = Example("Kelvar in Oslo.", (Mark(0, 6, "ORG"),), frozenset({"ORG", "LOC", "PER"}))

    batch = collate([example, Example("Oslo", ())], tokenizer, 0)

    possible = [
        {TAGS[tag] for tag in np.flatnonzero(POSSIBLE[code])} for code in batch.codes.tolist()
    ]
    kelvar = [tags for tags in possible[1:] if tags <= {"B-ORG", "I-ORG"}]
    assert possible[0] == set(TAGS)  # of a special token nothing is asked
    assert kelvar[0] == {"B-ORG"} and all(tags == {"I-ORG"} for tags in kelvar[1:])
    small = [batch.offsets[0].tolist().index(place) for place in ([7, 9], [14, 15])]
    assert {"O", "B-MISC", "I-MISC"} in possible
    assert [possible[token] for token in small] == [{"O"}, {"O"}]  # no names: "in" and "."
    assert possible[-2] == set(TAGS)  # nor of a text that is not tagged


def test_batches_tell_how_each_real_token_is_written(tiny_encoder: Path) -> None:
    tokenizer = load_tokenizer(find(str(tiny_encoder)))
    example = Example("The bank of Oslo", (Mark(4, 8, None, NEGATIVE),))

    batch = collate([example, Example("Oslo", ())], tokenizer, 0)

    assert len(batch.shapes) == int(batch.mask.sum()) == sum(map(len, batch.offsets))
    assert int(starts_word(batch.shapes.numpy()).sum()) == 5
    assert batch.shapes[0] == SPECIAL
    first = int(batch.members[0])
    assert batch.offsets[0][first].tolist() == [4, 8] or batch.offsets[0][first][0] == 4
    assert batch.sentiments.tolist() == [list(NEGATIVE)]


def test_intervals_are_of_texts_not_of_entities() -> None:
    truth = np.repeat([0, 1, 2], 40)
    logits = np.eye(3)[np.where(np.arange(120) % 40 < 20, truth, (truth + 1) % 3)]
    alone = report(truth, logits, np.arange(120))

    together = report(truth, logits, np.arange(120) // 20)

    assert together.accuracy.value == alone.accuracy.value == 0.5
    width = together.accuracy.high - together.accuracy.low
    assert width > 2 * (alone.accuracy.high - alone.accuracy.low)


def test_the_baseline_gives_every_entity_the_sentiment_of_its_text() -> None:
    truth = np.array([2, 0] * 60)
    head = np.eye(3)[truth]
    of_texts = np.eye(3)[np.full(120, 2)]

    found = against(truth, head, of_texts, np.arange(120) // 2)

    assert found.head.macro_f1.value == 1
    assert found.texts.accuracy.value == 0.5
    assert found.difference.value == pytest.approx(1 - 1 / 3)
    assert found.difference.low == found.difference.high  # every text is alike


def test_public_corpora_are_divided_as_documented(tmp_path: Path) -> None:
    for name in "abefgh":
        rows = [f"Kelvar{name}{n}\tB-ORG\nfell\tO\n\n" for n in range(4)]
        (tmp_path / f"{name}.conll").write_text("".join(rows))
    wiki = "".join(f"-DOCSTART- O\n\nOslo{n} I-LOC\n\ngrew O\n\n" for n in range(10))
    (tmp_path / "wiki.txt").write_text(wiki)
    for name in ("wnut17train.conll", "emerging.dev.conll", "emerging.test.annotated"):
        (tmp_path / name).write_text(f"{name}\tB-person\n\n")

    sizes = divide(tmp_path, tmp_path / "wiki.txt", tmp_path, tmp_path / "out")

    assert sizes["btc.train.conll"] == 4 * 4 + 2
    assert (sizes["btc.held-out.conll"], sizes["btc.test.conll"]) == (2, 4)
    assert read(tmp_path / "out" / "btc.test.conll")[0][0].words[0] == "Kelvarf0"
    parts = {
        part: [d[0].words[0] for d in read(tmp_path / "out" / f"wikigold.{part}.conll")]
        for part in ("held-out", "test")
    }
    assert parts == {"held-out": ["Oslo9"], "test": ["Oslo4", "Oslo8"]}
    assert read(tmp_path / "out" / "wnut17.test.conll")[0][0].tags == ("B-PER",)
