"""What tells names: neighbours but no other text, user names, an encoder that stays."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from harness.marking import tagged_of
from harness.weights import edited, tokens_told, variant
from typer.testing import CliRunner

from models import manifest as manifests
from models import weights as weight_files
from models.__main__ import app
from models.backbone import find, load_tokenizer
from models.errors import ModelError
from models.labels import SENTIMENTS
from models.manifest import Manifest, SpanRecord
from models.marking.examples import UNSAID, Example, of_sentences, renamed
from models.marking.names import NameFiles, train_names
from models.marking.rows import POSSIBLE, UNTAGGED, collate
from models.marking.weights import with_head
from models.predict import Predictor
from models.recipe import NamesRecipe
from models.spans.head import COLUMNS, INNER, Names, TokenHead
from models.spans.shapes import SPECIAL
from models.tokens.read import Sentence
from models.tokens.tags import TAGS, TYPES

RECIPE = NamesRecipe(epochs=30, batch_size=4, average_decay=0.0, dropout=0.0, learning_rate=5e-3)


def sentence(*pairs: tuple[str, str]) -> Sentence:
    return Sentence(tuple(word for word, _ in pairs), tuple(tag for _, tag in pairs))


PARTED = sentence(("@", "B-ORG"), ("ostrea", "B-ORG"), ("pays", "O"))
HALF = sentence(("RT", "O"), ("@", "O"), ("ostrea", "B-ORG"), ("pays", "O"))
WHOLE = sentence(("RT", "O"), ("@ostrea", "O"), ("pays", "O"), ("Kelvar", "B-ORG"))


def surfaces(example: Example) -> list[tuple[str | None, str]]:
    return [(mark.type, example.text[mark.start : mark.end]) for mark in sorted(example.marks)]


def test_the_sign_of_a_user_name_is_marked_as_the_name_is_and_nothing_is_said_without_a_mark() -> (
    None
):
    found = [surfaces(of_sentences([s], frozenset(TYPES))) for s in (PARTED, HALF, WHOLE)]

    assert [("ORG", "@"), ("ORG", "ostrea")] == found[0] == found[1]
    assert [(UNSAID, "@ostrea"), ("ORG", "Kelvar")] == found[2]


def test_nothing_is_learnt_of_what_nobody_says_and_it_moves_along_when_names_change(
    tiny_encoder: Path,
) -> None:
    tokenizer = load_tokenizer(find(str(tiny_encoder)), 32)
    example = of_sentences([WHOLE], frozenset(TYPES))
    other = renamed(example, ["A far longer name"], lambda _: 0)

    codes = collate([example], tokenizer, 0).codes.numpy()
    places = collate([example], tokenizer, 0).offsets[0]

    user = (places[:, 0] >= 3) & (places[:, 1] <= 10) & (places[:, 0] < places[:, 1])
    assert {UNTAGGED} == set(codes[user])
    assert POSSIBLE[codes[user]].all()
    assert UNTAGGED not in codes[~user & (places[:, 0] < places[:, 1])]
    assert [(UNSAID, "@ostrea"), ("ORG", "A far longer name")] == surfaces(other)


def test_no_text_changes_the_names_of_another() -> None:
    torch.manual_seed(0)
    names = Names(8).eval()
    rows = [torch.randn(length, 8) for length in (5, 3, 9)]
    shapes = [torch.tensor([SPECIAL, *[4] * (len(row) - 2), SPECIAL]) for row in rows]
    with torch.inference_mode():
        alone = torch.cat([names(row, shape) for row, shape in zip(rows, shapes, strict=True)])
        together = names(torch.cat(rows), torch.cat(shapes))

    words = torch.cat(shapes) != SPECIAL
    assert torch.allclose(alone[words], together[words], atol=1e-6)


def test_a_tag_depends_on_two_tokens_on_either_side() -> None:
    torch.manual_seed(0)
    names = Names(8).eval()
    states, shapes = torch.randn(11, 8), torch.full((11,), 4)
    changed = states.clone()
    changed[5] += 1.0
    with torch.inference_mode():
        moved = (names(states, shapes) - names(changed, shapes)).abs().sum(1) > 1e-6

    assert [*range(3, 8)] == torch.nonzero(moved)[:, 0].tolist()


def test_a_head_that_read_single_states_is_given_neighbours_and_keeps_its_sentiments() -> None:
    before = TokenHead(8, names=False)
    tensors = {"head.sentiment.weight": torch.zeros(3, 8)}
    tensors |= {f"head.spans.{name}": t for name, t in before.state_dict().items()}
    after = TokenHead(8)
    after.load_state_dict(
        {
            name.removeprefix("head.spans."): t
            for name, t in with_head(tensors, 1).items()
            if name.startswith("head.spans.")
        }
    )
    states, shapes = torch.randn(6, 8), torch.full((6,), 4)
    with torch.inference_mode():
        first, second = before(states, shapes), after(states, shapes)

    assert (6, COLUMNS) == first.shape == second.shape
    assert torch.allclose(first[:, len(TAGS) :], second[:, len(TAGS) :], atol=1e-6)
    assert (INNER, 8) == after.states.weight.shape


@pytest.fixture(scope="module")
def named(tmp_path_factory: pytest.TempPathFactory) -> NameFiles:
    path = tagged_of(tmp_path_factory.mktemp("names") / "names.conll")
    return NameFiles(tagged=(path,), held_out=(path,), test=(path,))


@pytest.fixture(scope="module")
def start(trained: tuple[Path, Manifest], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model whose head over tokens knows nothing."""
    folder = tmp_path_factory.mktemp("start") / "model"
    variant(trained[0], folder, tokens_told())
    record = SpanRecord(tags=TAGS, sentiments=SENTIMENTS, temperature=1.0)
    edited(folder, lambda content: content.update(spans=record.model_dump(mode="json")))
    return folder


def test_names_are_learnt_and_every_other_verdict_stays(
    start: Path, named: NameFiles, tmp_path: Path
) -> None:
    found = train_names(start, named, RECIPE, out=tmp_path / "out")
    before, after = (
        Predictor.load(folder, device="cpu", dtype="float32")
        for folder in (start, tmp_path / "out")
    )
    texts = ["Kelvar opens in Oslo.", "Nordwind opens in Lima."]
    first, second = (p.predict(p.encode(texts)) for p in (before, after))

    assert second.tokens is not None and first.tokens is not None
    assert [("organisation", 0, 6), ("location", 16, 20)] == [
        (span.type, span.start, span.end) for span in second.tokens.spans(0)
    ]
    assert np.allclose(first.tokens.sentiment, second.tokens.sentiment, atol=1e-5)
    for task in ("sentiment", "topic"):
        one, other = (p.logits(p.encode(texts))[task] for p in (before, after))
        assert np.array_equal(one, other)
    kept = weight_files.read(tmp_path / "out" / found.weights)
    assert all(
        torch.equal(kept[name], tensor)
        for name, tensor in weight_files.read(start / before.manifest.weights).items()
        if not name.startswith("head.spans.names.")
    )
    assert found.spans is not None and found.spans.names_training is not None
    assert before.version == found.spans.names_training.of != found.version
    assert found.spans.names["names.conll"].all.f1 == 1.0
    assert 30 == len(found.spans.names_training.history)


def test_the_command_trains_names(start: Path, named: NameFiles, tmp_path: Path) -> None:
    names = str(named.tagged[0])
    arguments = ["spans", "names", "--model", str(start), "--tagged", names, "--epochs", "1"]
    arguments += ["--tagged-held-out", names, "--licence", "names=CC BY 4.0"]
    result = CliRunner().invoke(app, [*arguments, "--out", str(tmp_path / "out")])

    assert 0 == result.exit_code, result.output
    record = manifests.read(tmp_path / "out").spans
    assert record is not None and record.names_training is not None
    assert {"CC BY 4.0"} == {file.licence for file in record.names_training.data}


def test_a_model_without_a_head_over_tokens_is_one_error(
    trained: tuple[Path, Manifest], named: NameFiles, tmp_path: Path
) -> None:
    with pytest.raises(ModelError, match="without a head over tokens; give another model"):
        train_names(trained[0], named, RECIPE, out=tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_loss_that_is_no_number_is_one_error_and_writes_nothing(
    start: Path, named: NameFiles, tmp_path: Path
) -> None:
    with pytest.raises(ModelError, match="no number; lower --learning-rate"):
        train_names(
            start, named, RECIPE.model_copy(update={"learning_rate": 1e30}), out=tmp_path / "out"
        )
    assert not (tmp_path / "out").exists()
