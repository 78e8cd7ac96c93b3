"""A tiny random encoder, texts of our own, and a model trained on them once a session."""

from collections import Counter
from collections.abc import Iterable
from pathlib import Path

import pytest
import torch
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors

from models.dataset.read import read, texts_of
from models.manifest import Manifest
from models.training.session import run_training
from models.training.sources import Files

TESTDATA = Path(__file__).parent / "testdata"
SETTINGS: dict[str, object] = {
    "method": "full",
    "freeze_embeddings": False,  # random ones are not worth keeping
    "members": 1,
    "epochs": 25,
    "batch_size": 16,
    "learning_rate": 4e-3,
    "average_decay": 0.0,
    "dropout": 0.0,
    "held_out": 0.25,
    "precision": "float32",
}


def word_pieces(texts: Iterable[str], size: int, specials: list[str]) -> Tokenizer:
    """Return a WordPiece tokeniser of the commonest words of the texts, and of their letters.

    The library's trainer breaks ties by hash, so that each process would train another model.
    """
    tokenizer = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    counts = Counter(
        word
        for text in texts
        for word, _ in tokenizer.pre_tokenizer.pre_tokenize_str(
            tokenizer.normalizer.normalize_str(text)
        )
    )
    letters = sorted({letter for word in counts for letter in word})
    words = sorted(counts, key=lambda word: (-counts[word], word))
    pieces = [*specials, *letters, *(f"##{letter}" for letter in letters), *words]
    known = {piece: place for place, piece in enumerate(list(dict.fromkeys(pieces))[:size])}
    tokenizer.model = models.WordPiece(known, unk_token="[UNK]")
    return tokenizer


@pytest.fixture(scope="session", autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def sentiment_file() -> Path:
    return TESTDATA / "sentiment.csv"


@pytest.fixture(scope="session")
def topic_file() -> Path:
    return TESTDATA / "topic.csv"


@pytest.fixture(scope="session")
def files(sentiment_file: Path, topic_file: Path) -> Files:
    return Files(
        training={"sentiment": sentiment_file, "topic": topic_file},
        validation={"sentiment": None, "topic": None},
        licence="Apache-2.0",
    )


@pytest.fixture(scope="session")
def tiny_encoder(tmp_path_factory: pytest.TempPathFactory, files: Files) -> Path:
    """Write a two-layer BERT of width 32 with random weights and a tokeniser of our words."""
    from transformers import BertConfig, BertModel

    folder = tmp_path_factory.mktemp("encoder")
    texts = [text for path in files.training.values() for text in texts_of(path)]
    tokenizer = word_pieces(texts, 1200, ["[PAD]", "[UNK]", "[CLS]", "[SEP]"])
    tokenizer.post_processor = processors.BertProcessing(("[SEP]", 3), ("[CLS]", 2))
    tokenizer.save(str(folder / "tokenizer.json"))
    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=tokenizer.get_vocab_size(),
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=2,
        max_position_embeddings=128,
    )
    BertModel(config, add_pooling_layer=False).save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def trained(
    tmp_path_factory: pytest.TempPathFactory, files: Files, tiny_encoder: Path
) -> tuple[Path, Manifest]:
    """Train the whole tiny encoder on our texts; returns (folder, manifest)."""
    folder = tmp_path_factory.mktemp("model")
    manifest = run_training(
        files, SETTINGS, out=folder, backbone=str(tiny_encoder), max_length=64, device="cpu"
    )
    assert len(read(files.training["topic"], "topic")) == 80
    return folder, manifest
