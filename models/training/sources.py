"""From the files of a run to its material: read, twins removed, a part held out."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from models.backbone import file_sha256
from models.dataset.corpus import Corpus, joined
from models.dataset.read import lines_of, read, read_corpus, texts_of
from models.dataset.split import deduplicate, hold_out_together, without_twins
from models.dataset.table import READERS
from models.errors import ModelError
from models.labels import TASKS, Task
from models.manifest import TextRecord
from models.recipe import Recipe
from models.training.material import Material, apart, gather


@dataclass(frozen=True, slots=True)
class Files:
    """The files of a run; a validation file may be missing."""

    training: Mapping[Task, Path]
    validation: Mapping[Task, Path | None]
    licence: str
    corpora: tuple[Path, ...] = ()
    """JSONL files with both labels, whose split ``train`` joins the training of both tasks."""
    corpus_tasks: frozenset[Task] = frozenset(TASKS)
    """The tasks whose training they join; their held-out part counts for both."""
    corpus_licence: str = "not stated"
    start: Path | None = None
    """A model directory whose weights the training goes on from."""
    teachers: tuple[Path, ...] = ()
    """Model directories whose verdicts on the training texts are targets beside the labels."""
    teacher_texts: tuple[Path, ...] = ()
    """Texts without labels, which join the training with the teachers' verdicts alone."""


@dataclass(frozen=True, slots=True)
class Sources:
    """The corpora of one task: the file as read, its two parts, and twin-free validation texts."""

    whole: Corpus
    training: Corpus
    held_out: Corpus
    validation: Corpus | None = None
    validation_rows: int = 0  # of the validation file, before its twins were removed
    licence: str = field(default="not stated")
    corpora: tuple[Corpus, ...] = ()
    """Corpora that joined the training."""
    corpus_licence: str = "not stated"

    @property
    def parts(self) -> dict[str, Corpus]:
        """Return the corpora as read, by name, to be checked before training."""
        found = {self.whole.path.name: self.whole}
        found |= {f"{corpus.path.name} (corpus)": corpus for corpus in self.corpora}
        if self.validation is not None:
            found[f"{self.validation.path.name} without twins"] = self.validation
        return found


@dataclass(frozen=True, slots=True)
class Collected:
    """All that the files of a run hold."""

    sources: Mapping[Task, Sources]
    material: Material
    unlabelled: tuple[TextRecord, ...] = ()


def collect(files: Files, recipe: Recipe) -> Collected:
    """Read all files and keep the parts apart.

    No text is trained on whose twin is held out or validated on under any task.

    Raises:
        DataError: a fault in a file; names file and row.
        ModelError: texts without labels and no teacher to label them.
    """
    if files.teacher_texts and not files.teachers:
        raise ModelError(
            f"{files.teacher_texts[0]}: texts without labels need a model that judges them;"
            " add --teacher"
        )
    wholes = {task: read(files.training[task], task) for task in TASKS}
    corpora = {task: tuple(read_corpus(path, task) for path in files.corpora) for task in TASKS}
    everything = {task: joined(wholes[task], *corpora[task]) for task in TASKS}
    split = hold_out_together(
        {task: deduplicate(corpus) for task, corpus in everything.items()},
        recipe.held_out,
        recipe.held_out_seed,
    )
    sources = {
        task: _sources(files, wholes[task], corpora[task], everything[task], *split[task])
        for task in TASKS
    }
    checked = [s.validation for s in sources.values() if s.validation is not None]
    others = [text for corpus in checked for text in corpus.texts]
    parts = apart({task: (s.training, s.held_out) for task, s in sources.items()}, others)
    sources = {task: replace(s, training=parts[task][0]) for task, s in sources.items()}
    unlabelled = {path: read_texts(path) for path in files.teacher_texts}
    material = gather(
        parts,
        corpora=[x for s in sources.values() for corpus in s.corpora for x in corpus.texts],
        unlabelled=[text for texts in unlabelled.values() for text in texts],
        others=others,
    )
    records = tuple(
        TextRecord(file=path.name, sha256=file_sha256(path), texts=len(texts))
        for path, texts in unlabelled.items()
    )
    return Collected(sources, material, records)


def read_texts(path: Path) -> list[str]:
    """Return the texts of a file: of the column `text` of a table, or else of each line.

    Raises:
        DataError: it cannot be read, or a row has no text; names file and row.
    """
    return texts_of(path) if path.suffix.lower() in READERS else lines_of(path)


def _sources(
    files: Files,
    whole: Corpus,
    corpora: tuple[Corpus, ...],
    everything: Corpus,
    training: Corpus,
    held_out: Corpus,
) -> Sources:
    task = whole.task
    if task not in files.corpus_tasks:
        own = {text for corpus in corpora for text in corpus.texts}
        training = training.take([i for i, text in enumerate(training.texts) if text not in own])
    found = Sources(
        whole,
        training,
        held_out,
        licence=files.licence,
        corpora=corpora,
        corpus_licence=files.corpus_licence,
    )
    path = files.validation[task]
    if path is None:
        return found
    validation = read(path, task)
    return replace(
        found,
        validation=without_twins(validation, everything.texts),
        validation_rows=len(validation),
    )
