"""Token classification: files, tags, windows, decoding, scores, a run from file to tags."""

import json
from itertools import pairwise, product
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

from models.__main__ import app, main
from models.backbone import find, load_tokenizer
from models.errors import DataError, ModelError
from models.tokens.decode import ALLOWED, viterbi
from models.tokens.manifest import TokenManifest
from models.tokens.read import Sentence, read
from models.tokens.report import report
from models.tokens.session import TokenFiles, run_training
from models.tokens.shapes import Case, capitals_of, case_of, characters_of, elsewhere
from models.tokens.tagger import Tagger
from models.tokens.tags import TAGS, Span, as_iob2, spans, types_with
from models.tokens.windows import MAX_PIECES, Pieces, partition, prepare, windows
from models.tokens.words import sentences_of
from models.training.material import Integers
from models.training.member import Member

RUNNER = CliRunner()
SETTINGS: dict[str, object] = {
    "freeze_embeddings": False,
    "epochs": 12,
    "batch_size": 4,
    "max_length": 40,
    "learning_rate": 4e-3,
    "head_learning_rate": 4e-3,
    "average_decay": 0.0,
    "dropout": 0.0,
    "word_dropout": 0.0,
    "precision": "float32",
}
COMPANIES = ("Nordwind", "Kelvar", "Ostrea", "Brimstone")
PLACES = ("Oslo", "Lima", "Turin", "Quito")


def _lines(company: str, place: str, *, separator: str = " ", opens: str = "I") -> str:
    rows = [(company, f"{opens}-ORG"), ("opens", "O"), ("in", "O"), (place, f"{opens}-LOC")]
    return "\n".join(f"{word}{separator}{tag}" for word, tag in [*rows, (".", "O")]) + "\n\n"


@pytest.fixture(scope="module")
def tagged(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("tagged") / "words.conll"
    path.write_text("".join(_lines(*pair) for pair in product(COMPANIES, PLACES)))
    return path


@pytest.fixture(scope="module")
def pieces(tiny_encoder: Path) -> Pieces:
    return Pieces(load_tokenizer(find(str(tiny_encoder))))


@pytest.fixture(scope="module")
def model(
    tmp_path_factory: pytest.TempPathFactory, tagged: Path, tiny_encoder: Path
) -> tuple[Path, TokenManifest]:
    folder = tmp_path_factory.mktemp("tokens")
    files = TokenFiles(training=(tagged,), held_out=tagged, licence="Apache-2.0")
    manifest = run_training(files, SETTINGS, out=folder, backbone=str(tiny_encoder), device="cpu")
    return folder, manifest


def _file(folder: Path, text: str) -> Path:
    path = folder / "words.conll"
    path.write_text(text, "utf-8")
    return path


def test_iob1_becomes_iob2_and_iob2_stays() -> None:
    iob1 = ("I-PER", "I-PER", "B-PER", "O", "I-LOC", "I-ORG")
    iob2 = ("B-PER", "I-PER", "B-PER", "O", "B-LOC", "B-ORG")

    assert iob2 == as_iob2(iob1) == as_iob2(iob2)


def test_spans_end_where_another_entity_begins() -> None:
    tags = ("B-PER", "I-PER", "B-PER", "O", "B-LOC")

    assert (Span(0, 2, "PER"), Span(2, 3, "PER"), Span(4, 5, "LOC")) == spans(tags)


def test_two_blank_lines_end_a_document(tmp_path: Path) -> None:
    path = _file(tmp_path, "A NN I-NP O\n\nB NN I-NP I-LOC\n\n\nC NN I-NP O\n")

    documents = read(path)

    assert [2, 1] == [len(document) for document in documents]
    assert Sentence(("B",), ("B-LOC",)) == documents[0][1]


def test_a_docstart_line_ends_a_document_and_is_no_word(tmp_path: Path) -> None:
    start = "-DOCSTART- -X- O O\n\n"
    path = _file(tmp_path, f"{start}A x O\n\nB x O\n\n{start}C x O\n")

    assert [["A", "B"], ["C"]] == [[s.words[0] for s in document] for document in read(path)]


def test_without_ends_of_documents_each_sentence_is_one(tmp_path: Path) -> None:
    path = _file(tmp_path, "A O\n\nB O\n\nC O\n")

    assert [1, 1, 1] == [len(document) for document in read(path)]


def test_tabs_separate_where_there_are_any_and_types_are_mapped(tmp_path: Path) -> None:
    text = "New York\tB-location\n\nLumen\tB-corporation\nOne\tI-corporation\n\n \tO\n"

    found = [sentence for document in read(_file(tmp_path, text)) for sentence in document]

    assert Sentence(("New York",), ("B-LOC",)) == found[0]
    assert Sentence(("Lumen", "One"), ("B-ORG", "I-ORG")) == found[1]
    assert Sentence(("",), ("O",)) == found[2]


def test_a_type_can_be_mapped_or_dropped(tmp_path: Path) -> None:
    path = _file(tmp_path, "Monday B-time\nLumen B-firm\n")

    (sentence,) = read(path, types_with({"time": "O", "Firm": "ORG"}))[0]

    assert ("O", "B-ORG") == sentence.tags
    with pytest.raises(DataError, match="one of LOC, MISC, ORG, PER, or O"):
        types_with({"time": "DATE"})


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("A O\nlonely\n", "line 2: 'lonely' has one column"),
        ("A O\n\nB B-PLANET\n", "line 3: unknown tag 'B-PLANET'"),
        ("A X\n", "line 1: unknown tag 'X'"),
        ("A S-PER\n", "line 1: unknown tag 'S-PER'"),
        ("", "has no words"),
        ("\n\n\n", "has no words"),
    ],
)
def test_bad_lines_are_one_error_with_file_and_line(
    tmp_path: Path, text: str, message: str
) -> None:
    path = _file(tmp_path, text)

    with pytest.raises(DataError, match=message) as caught:
        read(path)

    assert str(path) in str(caught.value)


def test_a_missing_file_and_bytes_that_are_not_utf8_are_named(tmp_path: Path) -> None:
    path = tmp_path / "none.conll"
    with pytest.raises(DataError, match=r"none\.conll: cannot be read"):
        read(path)
    path.write_bytes(b"caf\xe9 O\n")
    with pytest.raises(DataError, match=r"none\.conll: not UTF-8"):
        read(path)


@pytest.mark.parametrize(
    ("word", "case"),
    [
        ("profit", Case.LOWER),
        ("Apple", Case.TITLE),
        ("IBM", Case.UPPER),
        ("J.", Case.INITIAL),
        ("U.S.", Case.UPPER),
        ("eBay", Case.MIXED),
        ("McDonald", Case.MIXED),
        ("1,234.5", Case.NUMBER),
        ("3rd", Case.ALPHANUMERIC),
        ("--", Case.PUNCTUATION),
        ("London-based", Case.HYPHENATED),
        ("\u0645", Case.LOWER),
        ("", Case.PUNCTUATION),
    ],
)
def test_case_of_words(word: str, case: Case) -> None:
    assert case == case_of(word)


def test_capitals_of_a_heading_and_what_is_written_elsewhere() -> None:
    heading, body = ("OIL", "RISES"), ("Brent", "oil", "rises", "on", "Brent", "demand", "again")

    assert (3, 1) == (capitals_of(heading), capitals_of(body))
    # OIL and RISES stand in lower case below; Brent with a capital within a sentence.
    assert [[2, 2], [3, 2, 2, 2, 3, 2, 2]] == elsewhere([heading, body])


def test_long_words_keep_their_first_and_last_characters() -> None:
    found = characters_of("abcdefghijKLMNOPQRSTUVWXYZ")

    assert "abcdefghijQRSTUVWXYZ" == "".join(map(chr, found))


@pytest.mark.parametrize("context", [True, False])
@pytest.mark.parametrize("first", [None, 17])
def test_windows_judge_each_word_once_whatever_the_lengths(
    pieces: Pieces, *, context: bool, first: int | None
) -> None:
    rng = np.random.default_rng(3)
    words = ["profit", "x" * 90, "!" * 400, "gold-" * 60, "\u200b", "", "Oslo"]
    for _ in range(40):
        sizes = rng.choice([1, 2, 7, 200], size=rng.integers(1, 6))
        document = [[words[i] for i in rng.integers(len(words), size=n)] for n in sizes]
        tokens = prepare(document, pieces)

        rows = windows(tokens, pieces, 40, context=context, first=first)

        judged = [word for row in rows for word in range(row.start, row.end)]
        assert list(range(sum(sizes))) == judged
        for row in rows:
            assert len(row.ids) <= 40
            assert len(row.ids) == len(row.features) == len(row.words)
            assert list(range(row.start, row.end)) == row.words[row.firsts].tolist()


def test_a_word_has_at_least_one_sub_token_and_at_most_sixteen(pieces: Pieces) -> None:
    lengths = [len(row) for row in pieces.of(["", "\u200b", "!" * 400])]

    assert [1, 1, MAX_PIECES] == lengths


def test_a_run_ends_between_sentences_where_one_fits(pieces: Pieces) -> None:
    tokens = prepare([["gold"] * 3] * 4, pieces)
    cost = int(tokens.costs[:3].sum())

    assert [(0, 6), (6, 12)] == partition(tokens, 2 * cost)
    assert [(0, 3), (3, 9), (9, 12)] == partition(tokens, 2 * cost, first=cost)


def test_windows_shorter_than_a_long_word_are_refused(pieces: Pieces) -> None:
    with pytest.raises(ValueError, match="the least is 36"):
        windows(prepare([["gold"]], pieces), pieces, 20)


def test_viterbi_finds_the_best_allowed_sequence() -> None:
    rng = np.random.default_rng(0)
    opens = [tag for tag in range(len(TAGS)) if not TAGS[tag].startswith("I-")]
    for _ in range(20):
        logits = rng.normal(size=(4, len(TAGS)))
        allowed = [
            path
            for path in product(range(len(TAGS)), repeat=4)
            if path[0] in opens and all(ALLOWED[a, b] for a, b in pairwise(path))
        ]
        best = max(allowed, key=lambda path: sum(logits[i, tag] for i, tag in enumerate(path)))

        assert list(best) == viterbi(logits).tolist()


def test_viterbi_of_no_words_is_empty() -> None:
    assert [] == viterbi(np.zeros((0, len(TAGS)))).tolist()


def test_scores_are_those_counted_by_hand() -> None:
    truth = [("B-PER", "I-PER", "O", "B-LOC"), ("B-ORG", "O")]
    found = [("B-PER", "I-PER", "O", "B-ORG"), ("B-ORG", "B-LOC")]

    scores = report(truth, found)

    # Words: 4 of 6 right. B-PER, I-PER 1; B-LOC 0 of 1; B-ORG 1 of 2 found, of 1; O 1 of 1, of 2.
    assert pytest.approx(4 / 6) == scores.micro
    assert pytest.approx((1 + 1 + 0 + 2 / 3 + 2 / 3) / 5) == scores.macro.f1
    assert pytest.approx((1 + 1 + 0 + 2 / 3 + 2 * 2 / 3) / 6) == scores.weighted
    # Entities: PER and ORG of the second sentence are right; 4 found, 3 true.
    assert pytest.approx((2 / 4, 2 / 3, 4 / 7)) == (
        scores.entity_micro.precision,
        scores.entity_micro.recall,
        scores.entity_micro.f1,
    )
    assert (1.0, 0.0) == (scores.entities["PER"].f1, scores.entities["LOC"].f1)


def test_by_type_the_opening_and_the_inner_words_of_an_entity_are_one_class() -> None:
    truth = [("B-PER", "I-PER", "O", "B-LOC")]
    found = [("B-PER", "B-PER", "O", "B-ORG")]

    scores = report(truth, found).by_type

    # PER 2 of 2, O 1 of 1, LOC 0 of 1; ORG and MISC do not occur.
    assert pytest.approx(3 / 4) == scores.micro
    assert pytest.approx((1 + 1 + 0) / 3) == scores.macro.f1
    assert 2 == scores.types["PER"].support


def test_an_entity_with_one_word_missing_is_not_found() -> None:
    scores = report([("B-PER", "I-PER")], [("B-PER", "O")])

    assert 0.0 == scores.entity_micro.f1


def test_plain_text_becomes_words_with_their_places() -> None:
    text = "AT&T's profit rose 1.5%. The U.S. unit did not."

    found = sentences_of(text)

    assert [
        ["AT&T", "'s", "profit", "rose", "1.5", "%", "."],
        ["The", "U.S.", "unit", "did", "not", "."],
    ] == [[word.text for word in sentence] for sentence in found]
    for sentence in found:
        for word in sentence:
            assert word.text == text[word.start : word.end]


def test_a_small_network_learns_names_and_places(model: tuple[Path, TokenManifest]) -> None:
    _, manifest = model

    assert 1.0 == manifest.held_out.entity_micro.f1
    assert {"tags", "entities"} == set(manifest.chosen.scores)


def test_a_loaded_model_tags_as_it_did_when_it_was_written(
    model: tuple[Path, TokenManifest], tagged: Path
) -> None:
    folder, manifest = model
    documents = read(tagged)

    found = Tagger.load(folder, device="cpu", dtype="float32").tag(
        [[sentence.words for sentence in document] for document in documents]
    )

    scores = report(
        [sentence.tags for document in documents for sentence in document],
        [tags for document in found for tags in document],
    )
    assert manifest.held_out.micro == pytest.approx(scores.micro)


def test_sentences_and_words_longer_than_a_window_get_one_tag_a_word(
    model: tuple[Path, TokenManifest],
) -> None:
    document = [["Kelvar", *["opens"] * 300, "!" * 500, "Oslo"], ["Lima"], []]

    (found,) = Tagger.load(model[0], device="cpu", dtype="float32").tag([document])

    assert [303, 1, 0] == [len(tags) for tags in found]


def test_lora_trains_and_loads_too(tmp_path: Path, tagged: Path, tiny_encoder: Path) -> None:
    files = TokenFiles(training=(tagged,))
    settings = SETTINGS | {"method": "lora", "rank": 4, "epochs": 2, "writing": "after"}

    manifest = run_training(
        files, settings, out=tmp_path / "m", backbone=str(tiny_encoder), device="cpu"
    )

    tagger = Tagger.load(tmp_path / "m", device="cpu", dtype="float32")
    assert manifest == tagger.manifest
    assert [[("O",) * 0]] == tagger.tag([[[]]])


def test_the_same_seed_gives_the_same_weights(
    tmp_path: Path, tagged: Path, tiny_encoder: Path
) -> None:
    versions = [
        run_training(
            TokenFiles(training=(tagged,)),
            SETTINGS | {"epochs": 1, "word_dropout": 0.2, "dropout": 0.1},
            out=tmp_path / name,
            backbone=str(tiny_encoder),
            device="cpu",
        ).version
        for name in ("a", "b")
    ]

    assert versions[0] == versions[1]


def test_a_killed_run_goes_on_to_the_same_weights(
    tmp_path: Path, tagged: Path, tiny_encoder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = SETTINGS | {"epochs": 2, "word_dropout": 0.2, "dropout": 0.1}

    def run(folder: str) -> str:
        return run_training(
            TokenFiles(training=(tagged,)),
            settings,
            out=tmp_path / folder,
            backbone=str(tiny_encoder),
            device="cpu",
            checkpoint_every=1,
        ).version

    whole = run("whole")
    step = Member._take_step

    def killed(member: Member[Any], group: list[Integers]) -> float:
        if member.step == 5:
            raise KeyboardInterrupt
        return step(member, group)

    with monkeypatch.context() as patch:
        patch.setattr(Member, "_take_step", killed)
        with pytest.raises(KeyboardInterrupt):
            run("killed")
    assert not (tmp_path / "killed" / "manifest.json").exists()

    assert whole == run("killed")


def test_an_unknown_hyper_parameter_is_named(tmp_path: Path, tagged: Path) -> None:
    with pytest.raises(ModelError, match=r"hyper-parameter beams: .*word_dropout"):
        run_training(TokenFiles(training=(tagged,)), {"beams": 3}, out=tmp_path)


def test_a_hyper_parameter_of_texts_alone_is_refused(tmp_path: Path, tagged: Path) -> None:
    with pytest.raises(ModelError, match="r_drop is for texts with classes"):
        run_training(TokenFiles(training=(tagged,)), {"r_drop": 1.0}, out=tmp_path)


def test_a_model_of_texts_is_no_model_of_words(trained: tuple[Path, object]) -> None:
    with pytest.raises(ModelError, match="tokens train"):
        Tagger.load(trained[0])


def test_changed_weights_are_refused(model: tuple[Path, TokenManifest], tmp_path: Path) -> None:
    for file in model[0].iterdir():
        if file.is_file():
            (tmp_path / file.name).write_bytes(file.read_bytes())
    weights = tmp_path / model[1].weights
    weights.write_bytes(weights.read_bytes()[:-1] + b"x")

    with pytest.raises(ModelError, match="the manifest says"):
        Tagger.load(tmp_path)


@pytest.mark.parametrize("command", ["train", "evaluate", "predict"])
def test_each_tokens_command_shows_an_example(command: str) -> None:
    found = RUNNER.invoke(app, ["tokens", command, "--help"])

    assert 0 == found.exit_code
    assert f"python -m models tokens {command}" in found.output


def test_the_command_line_evaluates_and_predicts(
    model: tuple[Path, TokenManifest], tagged: Path
) -> None:
    arguments = ["--model", str(model[0]), "--device", "cpu"]

    table = RUNNER.invoke(app, ["tokens", "evaluate", str(tagged), *arguments])
    machine = RUNNER.invoke(app, ["tokens", "evaluate", str(tagged), "--json", *arguments])
    found = RUNNER.invoke(
        app, ["tokens", "predict", "Kelvar opens in Turin .", "--json", *arguments]
    )

    for part in ("B-ORG", "macro", "micro", "weighted", "entities"):
        assert part in table.output
    assert 80 == json.loads(machine.output)["report"]["words"]
    entities = json.loads(found.output)["entities"]
    assert [("Kelvar", "ORG", 0, 6), ("Turin", "LOC", 16, 21)] == [
        (e["text"], e["type"], e["start"], e["end"]) for e in entities
    ]


def test_a_fault_of_a_file_is_one_line_and_exit_code_1(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    path = _file(tmp_path, "A O\nlonely\n")
    arguments = ["tokens", "train", "--train", str(path), "--out", str(tmp_path / "m")]
    monkeypatch.setattr("sys.argv", ["models", *arguments])

    code = main()

    assert 1 == code
    assert "line 2" in capsys.readouterr().err
    assert not (tmp_path / "m").exists()
