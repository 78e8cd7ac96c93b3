"""The head over tokens: shapes, decoding, names with their sentiment, one verdict however read."""

import shutil
from collections.abc import Callable, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from harness.weights import edited, tokens_told, variant
from hypothesis import given
from hypothesis import strategies as st

from models.backbone import find, load_tokenizer
from models.errors import ModelError
from models.labels import SENTIMENTS
from models.manifest import Manifest
from models.packed.load import Packing
from models.predict import Begun, Predictor
from models.spans.decode import decoded
from models.spans.encoded import Encoded, encode
from models.spans.head import COLUMNS
from models.spans.shapes import (
    SHAPES,
    SPECIAL,
    Capitals,
    Case,
    Place,
    opens_sentence,
    shapes_of,
    shapes_of_all,
    starts_word,
)
from models.spans.verdicts import KINDS, TokenVerdicts, runs
from models.text import normalise
from models.tokens.decode import ALLOWED, viterbi
from models.tokens.tags import TAGS, TYPES
from models.windows import Reader

TOLERANCE = 1e-4


def said(shape: int) -> tuple[Case, Place, Capitals]:
    """What a shape tells."""
    place, case = divmod(shape - 1, len(Case))
    return Case(case), Place(place % len(Place)), Capitals(place // len(Place))


def words(text: str) -> list[tuple[int, int]]:
    """Each character but white space, as a token of its own."""
    return [(i, i + 1) for i, c in enumerate(text) if not c.isspace()]


# ---------------------------------------------------------------- shapes


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("shares", Case.LOWER),
        ("Harlow", Case.TITLE),
        ("ÉLAN", Case.UPPER),
        ("A", Case.INITIAL),
        ("eBay", Case.MIXED),
        ("McDonald", Case.MIXED),
        ("iPHONE", Case.MIXED),
        ("2026", Case.NUMBER),
        ("3rd", Case.ALPHANUMERIC),
        ("B52", Case.ALPHANUMERIC),
        (",", Case.SIGN),
        ("€", Case.OTHER),
        ("株", Case.OTHER),
        ("שלום", Case.OTHER),
        ("naïve", Case.LOWER),
    ],
)
def test_a_shape_says_how_a_word_is_written(text: str, expected: Case) -> None:
    assert {expected} == {said(s)[0] for s in shapes_of(text, words(text)).tolist()}


def test_the_letters_after_a_dollar_sign_are_a_cashtag_and_a_price_is_not() -> None:
    found = shapes_of("$TSLA fell $ 5 to $12 B", [(0, 1), (1, 5), (11, 12), (19, 21), (22, 23)])

    cases = [said(s)[0] for s in found.tolist()]
    assert [Case.SIGN, Case.CASHTAG, Case.SIGN, Case.NUMBER, Case.INITIAL] == cases


def test_a_shape_says_where_a_sub_token_stands() -> None:
    text = "Vellmar's U.S. unit. Sales rose"
    offsets = [(0, 4), (4, 7), (7, 8), (8, 9), (10, 11), (15, 19), (19, 20), (21, 26), (27, 31)]

    found = [said(s)[1] for s in shapes_of(text, offsets).tolist()]

    assert [Place.OPENS, Place.NEXT, Place.GLUED, Place.GLUED, Place.APART] == found[:5]
    assert [Place.OPENS, Place.GLUED, Place.OPENS, Place.APART] == found[5:]  # U.S. looks like it


def test_a_shape_says_how_much_of_its_sentence_is_in_capitals() -> None:
    text = "PROFIT FALLS AT HARLOW. Shares of Harlow Bank fell. Sales rose at the bank."

    found = shapes_of(text, [(0, 6), (24, 30), (52, 57), (53, 57)])

    levels = [said(s)[2] for s in found.tolist()]
    assert [Capitals.MOST, Capitals.MANY, Capitals.FEW, Capitals.FEW] == levels


def test_special_tokens_have_a_shape_of_their_own_and_start_no_word() -> None:
    found = shapes_of("Oslo", [(0, 0), (0, 2), (2, 4), (0, 0)])

    assert [True, False, False, True] == (found == SPECIAL).tolist()
    assert [False, True, False, False] == starts_word(found).tolist()
    assert [False, True, False, False] == opens_sentence(found).tolist()
    assert [SPECIAL] == shapes_of("", [(0, 0)]).tolist()
    assert [] == shapes_of("", []).tolist()


ODD = st.text(
    st.sampled_from("aZé $.!?,9株€🚀\n\u0301\u00ad") | st.characters(codec="utf-32"), max_size=20
)


@given(st.lists(ODD, max_size=6))
def test_a_text_has_the_same_shapes_alone_and_in_company(texts: list[str]) -> None:
    places = [[(0, 0), *words(text), (0, 0)] for text in texts]
    line = np.array([pair for row in places for pair in row], np.int64).reshape(-1, 2)

    together = shapes_of_all(texts, line[:, 0], line[:, 1], np.array([len(row) for row in places]))

    alone = [shapes_of(text, row).tolist() for text, row in zip(texts, places, strict=True)]
    assert [s for row in alone for s in row] == together.tolist()
    assert ((together >= 0) & (together < SHAPES)).all()


def test_words_are_those_of_the_tokeniser(tiny_encoder: Path) -> None:
    tokenizer = load_tokenizer(find(str(tiny_encoder)))
    text = "Harlow's ex-chief, at $12.5bn: it isn't 3rd (U.S.)"
    split = tokenizer.pre_tokenizer
    assert split is not None
    expected = [place for _, place in split.pre_tokenize_str(text)]

    row = tokenizer.encode(text)

    starts = starts_word(shapes_of(text, row.offsets))
    begun = [place for place, first in zip(row.offsets, starts.tolist(), strict=True) if first]
    assert [start for start, _ in expected] == [start for start, _ in begun]


# ---------------------------------------------------------------- decoding


@given(st.lists(st.integers(1, 7), min_size=1, max_size=8), st.integers(0, 99), st.booleans())
def test_decoding_gives_every_sentence_its_best_allowed_tags(
    lengths: list[int], seed: int, easy: bool
) -> None:
    logits = np.random.default_rng(seed).normal(size=(sum(lengths), len(TAGS))).astype(np.float32)
    if easy:
        logits[:, 0] += 2.0
    opens = np.zeros(len(logits), np.bool_)
    ends = np.cumsum(lengths)
    opens[ends - lengths] = True

    tags, scores = decoded(logits, opens)

    for start, end in zip((ends - lengths).tolist(), ends.tolist(), strict=True):
        assert viterbi(logits[start:end].astype(np.float64)).tolist() == tags[start:end].tolist()
        assert ALLOWED[0, tags[start]]
        assert all(ALLOWED[a, b] for a, b in pairwise(tags[start:end].tolist()))
    shares = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    np.testing.assert_allclose(scores, shares[np.arange(len(tags)), tags], atol=1e-6)


def tokens(rows: Sequence[Sequence[tuple[int, int, str, int]]]) -> TokenVerdicts:
    """Tokens (start, end, tag, sentiment) of texts, sure of all they say."""
    flat = [token for row in rows for token in row]
    sentiment = np.zeros((len(flat), 3), np.float32)
    sentiment[np.arange(len(flat)), [token[3] for token in flat]] = 2.0
    return TokenVerdicts(
        np.cumsum([0, *map(len, rows)]),
        np.array([token[0] for token in flat], np.int32),
        np.array([token[1] for token in flat], np.int32),
        np.array([TAGS.index(token[2]) for token in flat], np.int8),
        np.linspace(0.5, 1.0, len(flat)).astype(np.float32),
        sentiment,
        temperature=2.0,
    )


HARLOW = [(0, 3, "B-ORG", 2), (3, 6, "I-ORG", 2), (7, 11, "I-ORG", 0), (12, 16, "O", 1)]
OSLO = [(0, 4, "B-LOC", 1), (5, 9, "B-LOC", 0), (9, 10, "O", 1), (10, 14, "B-PER", 2)]


def test_spans_are_the_names_with_their_characters_kind_and_score() -> None:
    found = tokens([HARLOW, [], OSLO])

    assert [(0, 11, "organisation")] == [span[:3] for span in found.spans(0)]
    assert [] == found.spans(1)
    places = [(0, 4, "location"), (5, 9, "location"), (10, 14, "person")]
    assert places == [span[:3] for span in found.spans(2)]
    assert found.spans(0)[0].score == pytest.approx(found.scores[:3].mean())
    assert [kind[0].upper() for kind in KINDS] == [name[0].replace("M", "O") for name in TYPES]


def test_the_sentiment_of_a_part_is_that_of_the_mean_of_its_tokens() -> None:
    found = tokens([HARLOW, [], OSLO])

    raised = np.exp(np.array([2.0, 0.0, 4.0]) / 3 / 2.0)
    assert found.sentiment_of(0, 0, 11) == pytest.approx(raised / raised.sum())
    assert found.sentiment_of(0, 8, 9) == found.sentiment_of(0, 7, 11)  # a part of a token
    towards = found.sentiment_of(2, 5, 9)
    assert towards is not None and towards[0] == max(towards)
    assert found.sentiment_of(1, 0, 5) is None
    assert found.sentiment_of(0, 6, 7) is None
    assert found.sentiment_of(2, 14, 40) is None
    many = found.sentiments_of([2, 1, 0], [5, 0, 0], [9, 5, 11])
    assert [False, True, False] == np.isnan(many).any(1).tolist()
    assert many[2].tolist() == pytest.approx(found.sentiment_of(0, 0, 11))


@given(st.lists(st.integers(0, 2), max_size=9), st.randoms())
def test_texts_that_were_judged_apart_come_back_in_their_order(owners: list[int], rng: Any) -> None:
    kinds = {0: HARLOW, 1: OSLO}
    parts = []
    for owner in (0, 1):
        places = [place for place, found in enumerate(owners) if found == owner]
        rows = list(range(len(places)))
        rng.shuffle(rows)
        if places:
            parts.append((places, rows, tokens([kinds[owner]] * len(places))))

    found = TokenVerdicts.gathered(len(owners), parts)

    assert len(owners) == len(found)
    for place, owner in enumerate(owners):
        alone = tokens([kinds.get(owner, [])])
        assert [s[:3] for s in alone.spans(0)] == [s[:3] for s in found.spans(place)]
        assert alone.sentiment_of(0, 0, 4) == found.sentiment_of(place, 0, 4)
        part = slice(found.offsets[place], found.offsets[place + 1])
        assert alone.starts.tolist() == found.starts[part].tolist()


def test_runs_are_numbers_one_after_the_other() -> None:
    assert [5, 6, 7, 2] == runs(np.array([5, 9, 2]), np.array([3, 0, 1])).tolist()
    assert [] == runs(np.array([], np.int64), np.array([], np.int64)).tolist()


# ---------------------------------------------------------------- windows

READER = Reader(length=12, overlap=3, limit=5)


@pytest.mark.parametrize("count", [2, 12, 13, 20, 27, READER.longest])
def test_a_token_counts_in_the_window_where_it_is_farthest_from_the_edge(count: int) -> None:
    windows = READER.places(count)
    row = list(range(count))
    assert READER.cut(row) == [window.tolist() for window in windows]
    line = np.concatenate(windows)

    chosen = READER.deepest(count)

    assert row == line[chosen].tolist()
    ends = np.cumsum([len(window) for window in windows])
    for token, place in enumerate(chosen.tolist()):
        depths = []
        for end, window in zip(ends.tolist(), windows, strict=True):
            inside = np.flatnonzero(window == token)
            depths += [min(at, len(window) - 1 - at) for at in inside.tolist()]
            if end - len(window) <= place < end:
                own = place - (end - len(window))
                depth = min(own, len(window) - 1 - own)
        assert depth == max(depths) or token in (0, count - 1)


# ---------------------------------------------------------------- the model

TEXTS = [
    "Profit falls at Harlow Bank",
    "gold",
    "",
    "Shares RISE as the Bank raises its outlook. " * 9,
    "oil rises 3.5 % and $ABC cuts its dividend",
    "Earnings: Morrow & Pyne's profit warning! " * 12,
    "🚀🚀",
    "dividend cut " * 1_500,
]


@pytest.fixture(scope="module")
def told(trained: tuple[Path, Manifest], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The trained model with a random head over tokens."""
    folder = tmp_path_factory.mktemp("told") / "model"
    variant(trained[0], folder, tokens_told())
    return folder


def loaded(folder: Path, packing: Packing = "auto") -> Predictor:
    return Predictor.load(folder, device="cpu", dtype="float32", packing=packing)


def raw(begun: Begun) -> np.ndarray[Any, Any]:
    found = begun.token_logits()
    assert found is not None
    return found


def test_a_row_knows_its_places_and_shapes_and_is_a_row_of_ids(tiny_encoder: Path) -> None:
    tokenizer = load_tokenizer(find(str(tiny_encoder)))

    rows = encode(tokenizer, TEXTS)

    for row, text in zip(rows, TEXTS, strict=True):
        plain = tokenizer.encode(normalise(text))
        assert plain.ids == list(row)
        assert (len(plain.ids), plain.ids[0], plain.ids[1:3]) == (len(row), row[0], row[1:3])
        assert plain.offsets == list(zip(*row.data[1:3].tolist(), strict=True))
        assert shapes_of(normalise(text), plain.offsets).tolist() == row.shapes.tolist()
    assert rows[0][1:3] == list(rows[0].take(np.array([1, 2])))
    assert [] == encode(tokenizer, [])


def test_a_model_without_the_head_gives_no_tokens_and_plain_rows(
    trained: tuple[Path, Manifest],
) -> None:
    predictor = loaded(trained[0])

    rows = predictor.encode(TEXTS[:2])

    assert all(isinstance(row, list) for row in rows)
    assert predictor.predict(rows).tokens is None


@pytest.mark.parametrize("packing", ["auto", "off"])
def test_the_head_changes_nothing_for_the_verdict_on_the_text(
    trained: tuple[Path, Manifest], told: Path, packing: Packing
) -> None:
    plain, other = loaded(trained[0], packing), loaded(told, packing)

    expected, found = plain.predict(plain.encode(TEXTS)), other.predict(other.encode(TEXTS))

    assert np.abs(expected.sentiment - found.sentiment).max() < TOLERANCE
    assert np.abs(expected.topic - found.topic).max() < TOLERANCE
    assert plain.capped_texts == other.capped_texts == 1
    bare = other.predict([list(row) for row in other.encode(TEXTS)])
    assert bare.tokens is None
    assert np.abs(expected.topic - bare.topic).max() < TOLERANCE


@pytest.mark.parametrize("packing", ["auto", "off"])
@pytest.mark.parametrize("budget", [64, 300, 4_096])
def test_tokens_are_the_same_alone_and_batched_packed_and_padded_and_in_windows(
    told: Path, packing: Packing, budget: int
) -> None:
    alone, together = loaded(told, "off"), loaded(told, packing)
    assert together.packed == (packing == "auto"), together.unpacked_because
    rows = alone.encode(TEXTS)

    begun = together.begin(rows, budget=budget)

    single = [alone.begin([row]) for row in rows]
    expected = np.concatenate([raw(one) for one in single])
    assert (sum(map(len, rows)), COLUMNS) == expected.shape
    assert np.abs(expected - raw(begun)).max() < TOLERANCE
    found = begun.result().tokens
    assert found is not None and found.finite and len(TEXTS) == len(found)
    assert {kind for i in range(len(TEXTS)) for _, _, kind, _ in found.spans(i)} == set(KINDS)
    for i, one in enumerate(single):
        own = one.result().tokens
        assert own is not None
        part = slice(found.offsets[i], found.offsets[i + 1])
        assert own.tags.tolist() == found.tags[part].tolist()
        assert [s[:3] for s in own.spans(0)] == [s[:3] for s in found.spans(i)]
        if len(own.starts):
            assert own.sentiment_of(0, 0, 4) == pytest.approx(found.sentiment_of(i, 0, 4), abs=1e-4)


def test_the_tokens_of_a_long_text_come_from_the_windows_where_they_are_deepest(told: Path) -> None:
    predictor = loaded(told)
    row = predictor.encode([TEXTS[5]])[0]
    assert isinstance(row, Encoded)
    windows = [row.take(places) for places in predictor.reader.places(len(row))]
    assert len(windows) > 3

    whole = raw(predictor.begin([row]))

    apart = np.concatenate([raw(predictor.begin([window])) for window in windows])
    np.testing.assert_allclose(whole, apart[predictor.reader.deepest(len(row))], atol=TOLERANCE)


def test_all_sub_tokens_of_a_word_are_in_the_same_name(told: Path) -> None:
    predictor = loaded(told)
    rows = predictor.encode(TEXTS)
    found = predictor.predict(rows).tokens
    assert found is not None

    shapes = np.concatenate([row.shapes for row in rows if isinstance(row, Encoded)])
    first = starts_word(shapes[shapes != SPECIAL])
    assert not first.all()
    kinds = (found.tags + 1) // 2
    assert (kinds[1:] == kinds[:-1])[~first[1:]].all()
    assert (found.tags[~first] % 2 == 0).all()
    assert (found.scores[1:] == found.scores[:-1])[~first[1:]].all()


def test_the_temperature_of_the_manifest_calibrates_the_sentiment(
    told: Path, tmp_path: Path
) -> None:
    folder = Path(shutil.copytree(told, tmp_path / "warm"))
    record = {"tags": list(TAGS), "sentiments": list(SENTIMENTS), "temperature": 3.0}
    edited(folder, lambda content: content.update(spans=record))
    cold, warm = loaded(told), loaded(folder)

    a, b = (p.predict(p.encode(TEXTS[:1])).tokens for p in (cold, warm))

    assert a is not None and b is not None
    x, y = (np.array(t.sentiment_of(0, 0, 6)) for t in (a, b))
    np.testing.assert_allclose(np.log(x / x[0]), 3.0 * np.log(y / y[0]), atol=1e-4)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"tags": list(TAGS[:-1])}, "tags or sentiments of head spans"),
        ({"sentiments": list(SENTIMENTS[::-1])}, "tags or sentiments of head spans"),
        ({"temperature": 0.0}, "temperature"),
        ({"colour": "red"}, "colour"),
    ],
)
def test_a_record_of_another_head_is_refused(
    told: Path, tmp_path: Path, change: dict[str, object], message: str
) -> None:
    folder = Path(shutil.copytree(told, tmp_path / "other"))
    record = {"tags": list(TAGS), "sentiments": list(SENTIMENTS), "temperature": 1.0}
    edited(folder, lambda content: content.update(spans={**record, **change}))

    with pytest.raises(ModelError, match=message):
        loaded(folder)


def test_a_record_without_its_weights_is_refused(
    trained: tuple[Path, Manifest], tmp_path: Path
) -> None:
    folder = Path(shutil.copytree(trained[0], tmp_path / "model"))
    record = {"tags": list(TAGS), "sentiments": list(SENTIMENTS), "temperature": 1.0}
    edited(folder, lambda content: content.update(spans=record))

    with pytest.raises(ModelError, match="no head over tokens"):
        loaded(folder)


def _narrow(tensors: dict[str, torch.Tensor]) -> None:
    tensors["head.spans.shapes.weight"] = tensors["head.spans.shapes.weight"][:-1].clone()


def _incomplete(tensors: dict[str, torch.Tensor]) -> None:
    del tensors["head.spans.out.bias"]


@pytest.mark.parametrize("change", [_narrow, _incomplete])
def test_weights_of_another_head_are_refused(
    told: Path, tmp_path: Path, change: Callable[[dict[str, torch.Tensor]], None]
) -> None:
    variant(told, tmp_path / "model", change)

    with pytest.raises(ModelError, match="does not fit"):
        loaded(tmp_path / "model")


def test_a_pass_whose_tokens_differ_is_not_taken(
    told: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from models.packed.forward import PackedForward

    plain = PackedForward.line

    def shifted(self: PackedForward, packed: Any) -> Any:
        rows, found = plain(self, packed)
        assert found is not None
        return rows, found.roll(1, 0)

    monkeypatch.setattr(PackedForward, "line", shifted)

    predictor = loaded(told)

    assert not predictor.packed
    assert "other logits than padded ones" in predictor.unpacked_because
