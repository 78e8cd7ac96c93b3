"""The manifest of a model directory: what the weights are, how good, and every file's hash."""

from pathlib import Path
from typing import Annotated, Final, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from models.directory import FILE as FILE
from models.directory import read_record, verify, write_record
from models.labels import LABELS, SENTIMENTS, Task
from models.recipe import NamesRecipe, Recipe, SpanRecipe
from models.tokens.tags import TAGS
from models.windows import Pooling

FORMAT: Final = 1

Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
Share = Annotated[float, Field(ge=0, le=1)]


class Strict(BaseModel):
    """A record of a manifest: immutable, and nothing in it that this program does not know."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Score(Strict):
    """A share with its 95 % bootstrap interval."""

    value: Share
    low: Share
    high: Share


class ClassReport(Strict):
    """Scores of one class; `support` is its number of texts."""

    precision: Share
    recall: Share
    f1: Share
    support: Annotated[int, Field(ge=0)]


class Report(Strict):
    """How one head judged a set of labelled texts."""

    texts: Annotated[int, Field(ge=1)]
    accuracy: Score
    macro_f1: Score
    weighted_f1: Score
    ece_before: Share  # expected calibration error, temperature 1
    ece_after: Share  # with the head's temperature
    classes: dict[str, ClassReport]
    confusion: tuple[tuple[int, ...], ...]  # counts; row = true class, column = predicted class
    # With the head's temperature; None in manifests written before these were measured.
    classwise_ece: Share | None = None
    brier: Annotated[float, Field(ge=0, le=2)] | None = None
    nll: Annotated[float, Field(ge=0)] | None = None  # nats a text
    aurc: Share | None = None  # area under the risk-coverage curve
    coverage_at_5: Share | None = None  # surest share of the texts with at most 5 % errors
    coverage_at_10: Share | None = None
    ece_by_source: dict[str, Share] = {}  # where the texts name two sources or more


class Head(Strict):
    """One classification head. `validation` texts have no twin in the training file."""

    labels: tuple[str, ...]
    temperature: Annotated[float, Field(gt=0)]
    held_out: Report
    validation: Report | None = None

    @property
    def best_report(self) -> Report:
        """Return the report on the validation texts, else the one on the held-out texts."""
        return self.validation or self.held_out


class NameReport(Strict):
    """How the names in a set of texts were found: first and last word, and type, all right."""

    texts: Annotated[int, Field(ge=1)]
    all: ClassReport
    types: dict[str, ClassReport] = {}


class TargetReport(Strict):
    """How the sentiment towards named targets was judged; `targets` is their number."""

    targets: Annotated[int, Field(ge=1)]
    accuracy: Score
    macro_f1: Score
    ece_before: Share  # expected calibration error, temperature 1
    ece_after: Share
    classes: dict[str, ClassReport] = {}
    as_text: Score | None = None  # macro-F1 of giving each target the sentiment of its text


class SpanFile(Strict):
    """A file of tagged words, or of texts with a sentiment towards their entities."""

    role: Literal["targets", "training", "held out", "test"]
    file: str
    sha256: Sha256
    texts: Annotated[int, Field(ge=1)]
    licence: str


class SpanCandidate(Strict):
    """Weights that could be chosen, and what all heads reach on the held-out texts."""

    kind: Literal["last", "average", "soup"]
    epoch: int
    step: int
    loss: float
    scores: dict[str, Share]


class SpanTraining(Strict):
    """How the head over tokens was trained, and the encoder on with it."""

    of: str  # version of the model that the training went on from
    kept: str | None = None  # version of the model whose verdicts were kept; None: the same
    recipe: SpanRecipe
    chosen: SpanCandidate
    history: tuple[SpanCandidate, ...]
    data: tuple[SpanFile, ...]


class NamesTraining(Strict):
    """How what tells names was trained, on the frozen states of a model's encoder."""

    of: str  # version of that model; encoder and other heads are its own
    recipe: NamesRecipe
    chosen: SpanCandidate
    history: tuple[SpanCandidate, ...]
    data: tuple[SpanFile, ...]


class SpanRecord(Strict):
    """The head over tokens: names, and the sentiment towards each; reports by set of texts."""

    tags: tuple[str, ...]
    sentiments: tuple[str, ...]
    temperature: Annotated[float, Field(gt=0)]  # of the sentiment
    tag_temperature: Annotated[float, Field(gt=0)] = 1.0
    names: dict[str, NameReport] = {}
    targets: dict[str, TargetReport] = {}
    training: SpanTraining | None = None
    names_training: NamesTraining | None = None


class BackboneRecord(Strict):
    """The pre-trained encoder that the weights belong to."""

    name: str
    sha256: Sha256
    tokenizer_sha256: Sha256


class DataRecord(Strict):
    """A file of labelled texts; `texts` of its `rows` remained after removing twins."""

    task: Task
    role: Literal["training", "validation"]
    file: str
    sha256: Sha256
    rows: Annotated[int, Field(ge=1)]
    texts: Annotated[int, Field(ge=1)]
    licence: str


class CandidateRecord(Strict):
    """Weights that could be chosen, and their held-out macro-F1."""

    kind: Literal["last", "average", "soup"]
    member: int
    epoch: int
    step: int = 0
    loss: float
    macro_f1: dict[Task, Share]


class TextRecord(Strict):
    """A file of texts without labels, learnt from with the teachers' verdicts."""

    file: str
    sha256: Sha256
    texts: Annotated[int, Field(ge=0)]


class Teaching(Strict):
    """The models whose verdicts were targets beside the labels, by version, and their texts."""

    teachers: dict[str, str]  # version -> name
    texts: tuple[TextRecord, ...] = ()


class Compression(Strict):
    """How a smaller model was made of another one, and how its encoder computes."""

    kind: Literal["bf16", "int8", "layers"]
    of: str  # version of the model that it was made of
    layers: Annotated[int, Field(ge=1)]
    precision: Literal["float32", "int8"] = "float32"


class Windows(Strict):
    """How texts of more than `max_length` tokens are read (see `models.windows`)."""

    overlap: Annotated[int, Field(ge=0)] = 32
    limit: Annotated[int, Field(ge=1)] = 16
    pooling: Pooling = "salient"


class Manifest(Strict):
    """Everything about a model directory; `version` is the start of the weights' SHA-256."""

    format: Literal[1] = FORMAT
    name: str
    version: Annotated[str, Field(pattern=r"^[0-9a-f]{12}$")]
    weights: str
    files: dict[str, Sha256]
    backbone: BackboneRecord
    pooling: Literal["mean"] = "mean"
    max_length: Annotated[int, Field(ge=8)]  # tokens of a window at inference, with specials
    windows: Windows = Windows()
    heads: dict[Task, Head]
    spans: SpanRecord | None = None
    recipe: Recipe
    chosen: CandidateRecord
    history: tuple[CandidateRecord, ...]
    data: tuple[DataRecord, ...]
    teaching: Teaching | None = None
    compression: Compression | None = None

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.weights not in self.files:
            raise ValueError(f"weights {self.weights!r} has no hash in files")
        if self.version != version_of(self.files[self.weights]):
            raise ValueError("version is not the start of the weights' SHA-256")
        if any(Path(file).name != file for file in self.files):
            raise ValueError("files must lie in the model directory itself")
        for task, names in LABELS.items():
            if task not in self.heads or self.heads[task].labels != names:
                raise ValueError(f"the labels of head {task} are not those of this program")
        if self.spans is not None and (self.spans.tags, self.spans.sentiments) != (
            TAGS,
            SENTIMENTS,
        ):
            raise ValueError("the tags or sentiments of head spans are not those of this program")
        return self


def version_of(sha256: str) -> str:
    """Return the version of weights of this hash."""
    return sha256[:12]


def read(directory: Path) -> Manifest:
    """Read and check a model directory: format, labels, and the hash of every file.

    Raises:
        ModelError: says which file is at fault and how to mend it.
    """
    manifest = read_record(
        directory,
        Manifest,
        FORMAT,
        written_by="python -m models train",
        otherwise=f"this program reads {FORMAT}; train the model again, or use the program that"
        " wrote it",
    )
    for file, expected in manifest.files.items():
        verify(directory / file, expected)
    return manifest


def write(manifest: Manifest, directory: Path) -> None:
    """Write the manifest into the directory, whole or not at all."""
    write_record(manifest, directory)
