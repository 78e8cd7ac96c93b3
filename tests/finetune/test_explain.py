"""Explanations: offsets, completeness, records, the deletion test, the command."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError
from typer.testing import CliRunner

from models.__main__ import app
from models.errors import DataError, ModelError
from models.explanation.align import aligned, words_of
from models.explanation.attribution import BOUND, class_of, explain
from models.explanation.deletion import OURS, RANDOM, SHARES, deletion_test, mean_interval
from models.explanation.material import drawn
from models.explanation.reading import LogOdds, pooled, read
from models.explanation.record import Explanation
from models.explanation.render import deletion_markdown, draw_deletion, draw_explanation, tint
from models.labels import LABELS, Task
from models.manifest import Manifest
from models.predict import Predictor
from models.text import normalise
from models.windows import pool

SAMPLES = (
    "Plain words only",
    "  AT&amp;T up 4.5% &lt;see https://example.com/a?b=c&d=e&gt; $TSLA ",
    "â€œQuotedâ€\x9d cafÃ© — dash… and “curly” ’s",
    "WWW.EXAMPLE.COM stays, www.example.com goes",
    "emoji 😀👍🏽 rocket🚀, zero\u200bwidth, tab\tand\r\nline\u2028end",
    "&#x1F600; &notit; &ngE; & alone &#0; &#128;",
    "\ufeff\x00\x1f",
    "",
)


@pytest.fixture(scope="module")
def predictor(trained: tuple[Path, Manifest]) -> Predictor:
    return Predictor.load(trained[0], device="cpu", dtype="float32")


@pytest.fixture(scope="module")
def texts(sentiment_file: Path) -> list[str]:
    return drawn(sentiment_file, None, 6, seed=0)


@pytest.mark.parametrize("text", SAMPLES)
def test_aligned_text_is_the_normalised_text(text: str) -> None:
    assert normalise(text) == aligned(text).text


@settings(max_examples=400, deadline=None)
@given(
    st.lists(
        st.one_of(
            st.sampled_from(
                ["&amp;", "&ngE;", "&#xdfff;", "http://x.y/z", "www.", "t.co/a", "Ã©", "â€™", "…",
                 "\u200d", "\r\n", " ", "WWW.A", "$A", "&", ";", "İ", "é"]
            ),
            st.text(max_size=3),
        ),
        max_size=12,
    ).map("".join)
)  # fmt: skip
def test_aligned_text_is_the_normalised_text_whatever_the_characters(text: str) -> None:
    found = aligned(text)
    assert normalise(text) == found.text
    assert len(found.text) == len(found.starts) == len(found.ends)
    assert list(found.starts) == sorted(found.starts)
    assert all(
        0 <= start < end <= len(text) for start, end in zip(found.starts, found.ends, strict=True)
    )


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("AT&amp;T fell https://t.co/x4 -4.5% today", ["AT&amp;T", "fell", "-4.5%", "today"]),
        ("“$TSLA” rose 🚀, U.S. up", ["“", "$TSLA", "”", "rose", "🚀", ",", "U.S.", "up"]),
        ("cafÃ© don’t year-on-year", ["cafÃ©", "don’t", "year-on-year"]),
        ("profit &gt; 3&nbsp;% …", ["profit", "&gt;", "3", "%", "…"]),
    ],
)
def test_words_are_cut_from_the_original_text(text: str, expected: list[str]) -> None:
    found = aligned(text)
    spans = dict.fromkeys(found.span(word.start, word.end) for word in words_of(found.text))
    assert expected == [text[start:end] for start, end in spans]


def test_every_character_but_white_space_is_in_one_word() -> None:
    for text in SAMPLES:
        found = normalise(text)
        covered = [i for word in words_of(found) for i in range(word.start, word.end)]
        assert [i for i, c in enumerate(found) if not c.isspace()] == covered


def test_scores_add_up_to_the_difference_of_log_odds(
    predictor: Predictor, texts: list[str]
) -> None:
    for found in explain(predictor, texts, target="negative"):
        missed = abs(sum(word.score for word in found.words) - found.difference)
        expected = missed / max(0.1, abs(found.difference))
        assert found.completeness_error == pytest.approx(expected, abs=1e-3)
        assert found.completeness_error < BOUND
        assert found.steps >= 16


def test_the_difference_is_that_of_the_calibrated_probability(
    predictor: Predictor, texts: list[str]
) -> None:
    found = explain(predictor, texts[:1], target="positive")[0]
    ids = predictor.encode(texts[:1])
    shares = predictor.predict(ids).sentiment[0]
    padded = [[ids[0][0], *[predictor.network.pad_id] * (len(ids[0]) - 2), ids[0][-1]]]
    start = predictor.predict(padded).sentiment[0]
    odds = [np.log(p[2] / (1 - p[2])) for p in (shares, start)]
    assert found.probability == pytest.approx(float(shares[2]), abs=1e-5)
    assert found.difference == pytest.approx(float(odds[0] - odds[1]), abs=1e-3)


def test_steps_are_doubled_until_the_cap(predictor: Predictor, texts: list[str]) -> None:
    found = explain(predictor, texts[:1], bound=0.0, cap=64)[0]
    assert found.steps == 64


@pytest.mark.parametrize("task", ["sentiment", "topic"])
def test_pooled_logits_are_those_of_inference(task: Task) -> None:
    rng = np.random.default_rng(0)
    logits = rng.normal(size=(3, len(LABELS[task])))
    tokens = np.array([30, 30, 12])
    for pooling in ("mean", "salient"):
        found = pooled(torch.tensor(logits)[None], torch.tensor(tokens), task, pooling)[0]
        np.testing.assert_allclose(pool(logits, tokens, task, pooling), found.numpy(), atol=1e-9)


def test_a_long_text_is_explained_over_all_its_windows(
    predictor: Predictor, texts: list[str]
) -> None:
    text = " ".join(texts * 3)
    assert len(predictor.encode([text])[0]) > predictor.max_length
    found = explain(predictor, [text])[0]
    expected = predictor.predict(predictor.encode([text])).sentiment[0].max()
    assert found.probability == pytest.approx(float(expected), abs=1e-5)
    assert found.completeness_error < BOUND
    assert text.split()[-1].startswith(found.words[-1].text) or found.words[-1].end == len(text)


def test_words_beyond_the_last_window_are_not_listed(
    predictor: Predictor, texts: list[str]
) -> None:
    text = " ".join(texts * 60)
    reading = read(predictor, text)
    assert predictor.reader.longest == len(reading.row)
    assert len(reading.words) < len(words_of(normalise(text)))
    places = [place for tokens in reading.tokens for place in tokens]
    assert list(range(1, len(reading.row) - 1)) == places


def test_replacing_the_embeddings_by_themselves_changes_nothing(
    predictor: Predictor, texts: list[str]
) -> None:
    ids = predictor.encode(texts[:1])
    function = LogOdds(predictor, ids[0], "sentiment", 0)
    with torch.no_grad():
        found = float(function(function.embeddings()))
    p = float(predictor.predict(ids).sentiment[0][0])
    assert np.log(p / (1 - p)) == pytest.approx(found, abs=1e-3)


def test_an_encoder_of_transformers_gives_the_same_scores(
    trained: tuple[Path, Manifest], tiny_encoder: Path, texts: list[str]
) -> None:
    from models.backbone import find, load_encoder

    own, other = (Predictor.load(trained[0], device="cpu", dtype="float32") for _ in range(2))
    encoder = load_encoder(find(str(tiny_encoder)))
    encoder.train(mode=False)
    encoder.load_state_dict(own.network.encoder.state_dict(), strict=False)
    other.network.encoder = encoder
    for ours, theirs in zip(explain(own, texts[:2]), explain(other, texts[:2]), strict=True):
        assert [w.score for w in ours.words] == pytest.approx(
            [w.score for w in theirs.words], abs=1e-3
        )


def test_the_record_survives_its_json_and_refuses_overlaps(
    predictor: Predictor, texts: list[str]
) -> None:
    found = explain(predictor, texts[:1])[0]
    content = json.loads(found.as_json())
    assert {"version", "model", "task", "class", "probability", "words", "difference",
            "completeness_error", "steps", "baseline"} == content.keys()  # fmt: skip
    assert found == Explanation.model_validate(content)
    assert all(texts[0][word.start : word.end] == word.text for word in found.words)
    for change in ({"class": "sideways"}, {"version": 2}, {"words": content["words"][::-1]}):
        with pytest.raises(ValidationError):
            Explanation.model_validate(content | change)


@pytest.mark.parametrize("text", ["", "  ", "https://example.com/a www.example.com/b", "\u200b"])
def test_a_text_without_words_is_one_clear_error(predictor: Predictor, text: str) -> None:
    with pytest.raises(ModelError, match="no word is left"):
        explain(predictor, [text])


def test_an_unknown_class_names_those_that_there_are() -> None:
    with pytest.raises(ModelError, match="'negative', 'neutral', 'positive'"):
        class_of("sentiment", "gloomy")
    with pytest.raises(ModelError, match="it is a class of --task topic"):
        class_of("sentiment", "IPO")
    assert class_of("topic", "ipo") == LABELS["topic"].index("IPO")


def test_a_predictor_in_16_bits_and_a_missing_mask_are_refused(
    trained: tuple[Path, Manifest], predictor: Predictor, texts: list[str]
) -> None:
    with pytest.raises(ModelError, match="float32"):
        explain(Predictor.load(trained[0], device="cpu", dtype="bfloat16"), texts[:1])
    with pytest.raises(ModelError, match="take pad"):
        explain(predictor, texts[:1], baseline="mask")


def test_attributions_beat_random_words_on_the_texts_the_model_learnt(
    predictor: Predictor, sentiment_file: Path
) -> None:
    found = deletion_test(predictor, drawn(sentiment_file, None, 40, seed=0))
    gains = {gain.against: gain for gain in found.gains}
    assert {RANDOM, "gradient x input", "attention rollout"} == gains.keys()
    assert gains[RANDOM].comprehensiveness.low > 0
    assert gains[RANDOM].sufficiency.low > 0
    assert [*SHARES] == [point.share for point in found.points if point.ranking == OURS]
    assert max(found.errors) < BOUND


def test_the_deletion_test_needs_texts_with_words(predictor: Predictor) -> None:
    with pytest.raises(ModelError, match="at least 5 words"):
        deletion_test(predictor, ["Too short", "https://example.com"])


def test_the_interval_of_a_mean_holds_it() -> None:
    found = mean_interval(np.arange(100.0))
    assert 49.5 == found.value
    assert found.low < 49.5 < found.high


def test_words_are_tinted_by_direction_and_depth() -> None:
    assert (255, 255, 255) == tint(0.0, 1.0)
    assert (0, 114, 178) == tint(2.0, 2.0)
    assert (213, 94, 0) == tint(-2.0, 2.0)


def test_pictures_and_documents_are_written(
    predictor: Predictor, texts: list[str], tmp_path: Path
) -> None:
    found = explain(predictor, texts[:1])[0]
    picture = draw_explanation(texts[0], found, tmp_path / "why.png")
    test = deletion_test(predictor, texts)
    figure = draw_deletion(test, tmp_path / "deletion.png")
    for path in (picture, figure):
        assert path.read_bytes().startswith(b"\x89PNG")
    text = deletion_markdown(test, "deletion.png")
    assert "| random words | 10% |" in text
    assert "![" in text


def test_texts_come_from_tables_by_split_and_from_lines(tmp_path: Path) -> None:
    table = tmp_path / "a.jsonl"
    rows = [{"text": f"text {i}", "split": "test" if i % 2 else "train"} for i in range(10)]
    table.write_text("\n".join(json.dumps(row) for row in rows))
    assert [f"text {i}" for i in range(1, 10, 2)] == drawn(table, "test", 99, seed=0)
    assert drawn(table, None, 3, seed=1) == drawn(table, None, 3, seed=1)
    lines = tmp_path / "b.txt"
    lines.write_text("one\n\ntwo\n")
    assert ["one", "two"] == drawn(lines, None, 9, seed=0)
    with pytest.raises(DataError, match="no row whose split is 'dev'"):
        drawn(table, "dev", 9, seed=0)
    with pytest.raises(DataError, match="cannot be read"):
        drawn(tmp_path / "missing.txt", None, 9, seed=0)


def test_the_command_prints_json_or_one_clear_error(
    trained: tuple[Path, Manifest], texts: list[str], tmp_path: Path
) -> None:
    run = CliRunner().invoke
    model = ["--model", str(trained[0])]
    found = run(app, ["explain", texts[0], *model, "--json", "--class", "negative"])
    assert 0 == found.exit_code, found.output
    assert "negative" == json.loads(found.stdout)["class"]
    shown = run(app, ["explain", texts[0], *model, "--png", str(tmp_path / "a.png")])
    assert 0 == shown.exit_code
    assert "completeness error" in shown.stdout
    assert (tmp_path / "a.png").is_file()
    for arguments, message in (
        (["explain"], "give texts to explain"),
        (["explain", "profit rose", "--class", "gloomy"], "gloomy"),
        (["explain", "", *model], "no word is left"),
        (["explain", "profit rose", "--model", str(tmp_path / "none")], "cannot be read"),
    ):
        error = run(app, arguments).exception
        assert isinstance(error, ModelError)
        assert message in str(error)
