"""One run: the same weights, texts and threads for all, then the report."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Final, Literal, cast

import torch

from models import manifest as manifests
from models.backbone import OWN, Backbone, encode, load_tokenizer
from models.device import choose_device, has_native_bfloat16
from models.errors import ModelError
from models.predict import DEFAULT
from monitor.bench import checkpoint, memory, openloop, parts, targets
from monitor.bench.contestant import BenchError, Contestant, Precision, Setting
from monitor.bench.corpus import Corpus, Kind, Writer
from monitor.bench.flops import Shape
from monitor.bench.hardware import cores, hardware, versions
from monitor.bench.ours import Ours, ours
from monitor.bench.peak import Peak
from monitor.bench.report import Lengths, Report
from monitor.bench.roster import Absent, entries, roster
from monitor.bench.rounds import Plan, measure

SHIPPED: Final = "default"
RANDOM: Final = "bert-base-random"
_MOST_ARRIVALS: Final = 200_000
_TEXTS: Final = {
    ("cpu", True): 600,
    ("cpu", False): 2_000,
    ("cuda", True): 4_000,
    ("cuda", False): 20_000,
}
"""Of a corpus, by device and whether it is a quick run; a quarter as many long ones."""


@dataclass(frozen=True, slots=True)
class Options:
    """What to run; the command's options."""

    device: str
    threads: int | None
    kinds: tuple[Kind, ...]
    rounds: int
    seconds: float  # a round of one contestant
    texts: int | None  # of a corpus
    check: int  # texts whose labels are compared
    least_tokens: int  # of a round, of whoever sorts
    seed: int
    model: str  # default, bert-base-random or a folder
    parts: bool
    open_loop: float  # seconds of arrivals, 0 for none
    memory: int  # texts, 0 for none
    quick: bool

    @property
    def plan(self) -> Plan:
        return Plan(self.rounds, self.seconds, self.check, self.least_tokens)


def run(options: Options, now: datetime, progress: Progress) -> Report:
    """Run what the options ask for.

    Raises:
        BenchError: what is missing, and how to mend it.
    """
    try:
        return _run(options, now, progress)
    except ModelError as error:
        raise BenchError(str(error)) from error


class Progress:
    """Seconds of work planned and done; the default shows nothing."""

    def plan(self, seconds: float) -> None:
        """Say how much more is to come."""

    def advance(self, what: str, seconds: float) -> None:
        """Say what was done."""


def _run(options: Options, now: datetime, progress: Progress) -> Report:
    device = cast('Literal["cpu", "cuda"]', choose_device(options.device))
    if options.model != RANDOM:
        _folder(options.model)  # an error before anything is changed or loaded
    threads = options.threads or (1 if device == "cpu" else cores())
    _same_threads(threads)
    report = Report(
        date=now.isoformat(timespec="seconds"),
        options=asdict(options),
        hardware=hardware(),
        versions=versions(),
        model=options.model,
        device=device,
        threads=threads,
    )
    with tempfile.TemporaryDirectory(prefix="monitor-bench-") as folder:
        path = Path(folder) / "model"
        if options.memory:
            # Nothing else is loaded into this process before.
            setting = Setting(_folder(options.model), device, threads, checkpoint.LENGTH)
            report.memory = _memory(setting, options, Path(folder) / "texts.jsonl", progress)
        else:
            _hush()
            setting = Setting(path, device, threads, _checkpoint(path, options.model))
            _measure(setting, options, report, progress)
    return report


def _measure(setting: Setting, options: Options, report: Report, progress: Progress) -> None:
    native = has_native_bfloat16(setting.device)
    precisions: tuple[Precision, ...] = ("fp32", "bf16") if native else ("fp32",)
    if setting.device == "cuda":
        precisions = ("bf16",)
    best: Precision = precisions[-1]
    shape = Shape.read(setting.checkpoint)
    contest = options.model != RANDOM
    present, absent = roster(entries(), setting.device, native_bf16=native)
    present = present if contest else []
    report.absent = absent if contest else ()
    progress.plan(_planned(options, len(present)))
    corpora = _corpora(setting, options, progress)
    report.lengths = {
        corpus.kind: Lengths(
            len(corpus.texts),
            float(corpus.tokens.mean()),
            int(corpus.tokens.min()),
            int(corpus.tokens.max()),
        )
        for corpus in corpora
    }
    peak = Peak(setting.device, precisions)
    peak.measure()
    capacity: dict[Kind, float] = {}
    with _prepared(present, setting, report, progress) as contestants:
        for corpus in corpora if contest else ():
            measured = measure(
                contestants,
                corpus,
                options.plan,
                flops=shape.flops,
                between=peak.measure,
                advance=progress.advance,
            )
            report.contests[corpus.kind] = measured
            for one in measured:
                if (one.name, one.precision) == (targets.OURS, best) and one.refusal is None:
                    capacity[corpus.kind] = one.texts_per_second
    report.peaks = peak.kernels
    if options.parts or not contest:
        _take_apart(setting, options, corpora, precisions, report, shape, peak, progress)
    if options.open_loop and capacity:
        _open_loop(setting, options, best, corpora, capacity, report, progress)
    mix = report.contests.get("mix", [])
    if setting.device == "cuda":
        report.targets = targets.on_cuda(mix, report.parts, shape.hidden)
    elif mix:
        report.targets = targets.on_cpu(mix, {p: peak.of(p) for p in precisions})


def _checkpoint(path: Path, model: str) -> int:
    if model == RANDOM:
        return checkpoint.write_random_base(path)
    return checkpoint.write(path, _folder(model))


def _folder(model: str) -> Path:
    if model == SHIPPED:
        return DEFAULT
    if not Path(model).is_dir():
        raise BenchError(
            f"--model {model}: neither a folder nor one of {SHIPPED}, {RANDOM}; give a folder"
            " written by `python -m models train`"
        )
    return Path(model)


def _corpora(setting: Setting, options: Options, progress: Progress) -> list[Corpus]:
    tokenizer = load_tokenizer(Backbone(OWN, setting.checkpoint, ""))
    writer = Writer(options.seed, lambda texts: [len(row) for row in encode(tokenizer, texts)])
    found = []
    count = options.texts or _TEXTS[setting.device, options.quick]
    for kind in options.kinds:
        found.append(writer.write(kind, count // 4 if kind == "long" else count))
        progress.advance(f"{kind}: texts written", 1)
    return found


@contextmanager
def _prepared(
    present: Sequence[Any], setting: Setting, report: Report, progress: Progress
) -> Iterator[list[Contestant]]:
    """Yield the contestants that could be prepared; a peer that could not is said to be absent."""
    ready: list[Contestant] = []
    try:
        for entry in present:
            contestant = entry.build(setting)
            try:
                contestant.prepare()
                ready.append(contestant)
            except Exception as error:
                if not entry.packages:
                    raise
                reason = f"cannot be prepared: {type(error).__name__}: {error}"
                report.absent = (*report.absent, Absent(entry.name, entry.precision, reason))
            progress.advance(f"prepared {entry.name} {entry.precision}", 2)
        yield ready
    finally:
        for contestant in ready:
            contestant.close()


@contextmanager
def _scorer(setting: Setting, precision: Precision) -> Iterator[Ours]:
    found = ours(setting, precision)
    found.prepare()
    try:
        yield found
    finally:
        found.close()


def _take_apart(
    setting: Setting,
    options: Options,
    corpora: Sequence[Corpus],
    precisions: Sequence[Precision],
    report: Report,
    shape: Shape,
    peak: Peak,
    progress: Progress,
) -> None:
    for precision in precisions:
        with _scorer(setting, precision) as scorer:
            for corpus in corpora:
                report.parts += parts.take_apart(
                    scorer,
                    corpus,
                    options.plan,
                    flops=shape.flops,
                    peak=peak.of(precision),
                    advance=progress.advance,
                )
    if options.model == RANDOM:
        return
    folder = _folder(options.model)
    if manifests.read(folder).max_length >= setting.max_length:
        return
    shipped = Setting(folder, setting.device, setting.threads, setting.max_length)
    with _scorer(shipped, precisions[-1]) as scorer:
        for corpus in corpora:
            if corpus.kind != "headlines":
                report.parts.append(
                    parts.as_shipped(scorer, corpus, options.plan, advance=progress.advance)
                )


def _open_loop(
    setting: Setting,
    options: Options,
    precision: Precision,
    corpora: Sequence[Corpus],
    capacity: dict[Kind, float],
    report: Report,
    progress: Progress,
) -> None:
    with _scorer(setting, precision) as scorer:
        submit = scorer.scorer.submit
        for corpus in corpora:
            for share in openloop.LOADS if corpus.kind in capacity else ():
                rate = capacity[corpus.kind] * share
                count = min(_MOST_ARRIVALS, max(1, round(rate * options.open_loop)))
                moments = openloop.arrivals(rate, count, options.seed)
                seconds = openloop.run(submit, corpus.texts, moments)
                report.latencies.append(openloop.summarise(corpus.kind, share, rate, seconds))
                progress.advance(f"{corpus.kind}: open loop {share:.0%}", options.open_loop)


def _memory(
    setting: Setting, options: Options, path: Path, progress: Progress
) -> list[memory.Mark]:
    memory.resident()  # before minutes of work: is psutil there?
    progress.plan(options.memory)
    progress.advance("memory: writing the texts", 0)
    memory.write_texts(path, setting.checkpoint, options.memory, options.seed)
    best: Precision = "bf16" if has_native_bfloat16(setting.device) else "fp32"
    with _scorer(setting, best) as scorer:
        return memory.watch(
            scorer.label,
            memory.read_texts(path),
            options.memory,
            resident=memory.resident,
            advance=progress.advance,
        )


def _planned(options: Options, contestants: int) -> float:
    """Seconds of work, as `advance` counts them."""
    plan, kinds = options.plan, len(options.kinds)
    seconds = kinds + 2.0 * contestants
    if contestants:
        seconds += kinds * plan.seconds * (contestants * (plan.rounds + 0.5) + 1)
        seconds += kinds * options.open_loop * len(openloop.LOADS)
    if options.parts or not contestants:
        seconds += kinds * plan.seconds * (plan.rounds + 1) * len(parts.PARTS)
    return seconds


def _same_threads(threads: int) -> None:
    torch.set_num_threads(threads)
    # The tokenisers' own pool is made at its first use, by whoever comes first.
    os.environ["RAYON_NUM_THREADS"] = str(threads)
    os.environ["TOKENIZERS_PARALLELISM"] = "true" if threads > 1 else "false"


def _hush() -> None:
    """Keep what libraries say while they load from the report; faults are raised."""
    import logging

    from transformers.utils import logging as transformers_logging

    transformers_logging.set_verbosity(logging.CRITICAL)  # of pipelines over a class it knows not
    transformers_logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    for name in ("sentence_transformers", "onnxruntime", "torch.onnx", "fusion_base"):
        logging.getLogger(name).setLevel(logging.ERROR)
