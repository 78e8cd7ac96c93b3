"""A search from files to the best recipe, with a progress bar and a report."""

import json
import time
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path

import optuna
from optuna.trial import FrozenTrial, Trial, TrialState
from rich.console import Console
from rich.markup import escape

from models.backbone import DEFAULT, Backbone, find
from models.progress import progress_bar
from models.recipe import Recipe
from models.training.candidate import Candidate, Observer, Progress
from models.training.checkpoint import describe
from models.training.loop import train
from models.training.material import Material
from models.training.member import DivergenceError
from models.training.search.document import write
from models.training.search.outcome import REASON, SCORES, Found, outcome_of, shown
from models.training.search.space import Space, read_space
from models.training.search.study import INTERRUPTED, Ledger, Pruner, opened
from models.training.sources import Files, collect


def run_search(
    files: Files,
    settings: Mapping[str, object] | None = None,
    *,
    out: Path,
    trials: int = 30,
    space: Path | None = None,
    pruner: Pruner = "median",
    seed: int = 1,
    minutes: float | None = None,
    backbone: str | None = None,
    device: str = "auto",
    threads: int | None = None,
    console: Console | None = None,
    observer: Observer = lambda _: None,
) -> Found:
    """Search the space for the recipe with the best mean macro-F1 on the held-out texts.

    The first trial is the recipe without a search where it lies in the space. The same call after
    a kill goes on, up to `trials` in all, to the same trials as without the kill; what was running
    is tried again from its start. Files of validation are not read.

    Args:
        settings: hyper-parameters that are the same for all trials.
        space: TOML file of what varies (`models.training.search.space.DEFAULT` without one).
        minutes: time after which no further trial is begun.
        observer: sees the progress of every trial.

    Raises:
        ModelError: a fault in files, space, backbone or folder, or a study of another search.
    """
    import torch

    from models.device import choose_device

    console = console or Console(quiet=True)
    varied = read_space(space, settings or {})
    chosen = choose_device(device)
    if threads is not None:
        torch.set_num_threads(threads)
    encoder = find(backbone or DEFAULT)
    recipe = varied.recipe({})
    material = collect(files, recipe).material
    run = _described(material, encoder, recipe, chosen, varied) | {
        "seed of the search": str(seed),
        "pruner": pruner,
    }
    with opened(out, run, seed=seed, pruner=pruner, baseline=varied.baseline()) as ledger:
        if again := ledger.recover():
            console.print(f"tried again after a kill: trial {', '.join(map(str, again))}")
        search = _Search(ledger, varied, material, encoder, chosen, console, observer)
        interrupted = search.go_on(trials, minutes)
        found = Found(
            tuple(outcome_of(t) for t in ledger.trials if t.state != TrialState.WAITING),
            varied,
            importances_of(ledger.study, seed),
            interrupted,
        )
        written = write(found, out)
    console.print(f"written: {', '.join(map(str, written))}")
    return found


class _Search:
    """The trials, one after the other."""

    def __init__(
        self,
        ledger: Ledger,
        space: Space,
        material: Material,
        backbone: Backbone,
        device: str,
        console: Console,
        observer: Observer,
    ) -> None:
        self._ledger = ledger
        self._space = space
        self._material = material
        self._backbone = backbone
        self._device = device
        self._observer = observer
        self._bar = progress_bar(console)

    def go_on(self, trials: int, minutes: float | None) -> bool:
        """Run trials until there are enough or the time is up; whether it was interrupted."""
        end = None if minutes is None else time.monotonic() + 60 * minutes
        with self._bar:
            all_ = self._bar.add_task("trials", total=trials, completed=self._ledger.done)
            while self._ledger.done < trials and (end is None or time.monotonic() < end):
                trial = self._ledger.ask()
                try:
                    self._run(trial)
                except KeyboardInterrupt:
                    self._ledger.fail(trial.number, INTERRUPTED)
                    return True
                except BaseException as error:
                    self._ledger.fail(trial.number, str(error) or type(error).__name__)
                    raise
                self._bar.update(all_, completed=self._ledger.done, description=self._summary)
        return False

    @property
    def _summary(self) -> str:
        complete = [t for t in self._ledger.trials if t.state == TrialState.COMPLETE]
        best = max((t.value or 0.0 for t in complete), default=None)
        return "trials" if best is None else f"trials, best {best:.4f}"

    def _run(self, trial: Trial) -> None:
        """Train once and tell the study how it went."""
        from torch import OutOfMemoryError

        study = self._ledger.study
        line = self._bar.add_task(f"trial {trial.number}", total=None)
        watch = _Watch(trial, self._space.suggest(trial))

        def observe(progress: Progress) -> None:
            self._observer(progress)
            self._bar.update(line, completed=progress.step, total=progress.steps)
            watch(progress)

        try:
            trained = train(
                self._material,
                self._backbone,
                watch.recipe,
                device=self._device,
                observer=observe,
            )
        except optuna.TrialPruned:
            self._prune(trial, "behind the others")
        except (DivergenceError, OutOfMemoryError) as error:
            # A bad place, not a fault: as pruned it teaches the sampler to keep away.
            self._prune(trial, "diverged" if isinstance(error, DivergenceError) else "memory")
        else:
            trial.set_user_attr(SCORES, dict(trained.chosen.macro_f1))
            study.tell(trial, trained.chosen.score)
        finally:
            self._bar.remove_task(line)
        self._tell(self._ledger.trials[trial.number])

    def _prune(self, trial: Trial, reason: str) -> None:
        trial.set_user_attr(REASON, reason)
        self._ledger.study.tell(trial, state=TrialState.PRUNED)

    def _tell(self, trial: FrozenTrial) -> None:
        found = outcome_of(trial)
        score = "none" if found.score is None else f"{found.score:.4f}"
        values = ", ".join(f"{name} {shown(value)}" for name, value in found.values.items())
        why = f" ({found.reason})" if found.reason else ""
        self._bar.console.print(
            f"trial {found.number} {found.state}{why}: held-out macro-F1 {score}; {escape(values)}"
        )


class _Watch:
    """Reports each evaluation to the pruner, and stops the training that falls behind."""

    def __init__(self, trial: Trial, recipe: Recipe) -> None:
        self.recipe = recipe
        self._trial = trial
        self._best: Candidate | None = None
        self._evaluations = 0

    def __call__(self, progress: Progress) -> None:
        found = progress.candidate
        if found is None or found.kind == "soup":
            return
        if self._best is None or found.score > self._best.score:
            self._best = found
        # An evaluation ends with the averaged weights, where there are any.
        if self.recipe.average_decay and found.kind == "last":
            return
        self._evaluations += 1
        self._trial.report(self._best.score, self._evaluations)
        self._trial.set_user_attr(SCORES, dict(self._best.macro_f1))
        if progress.step < progress.steps and self._trial.should_prune():
            raise optuna.TrialPruned


def importances_of(study: optuna.Study, seed: int) -> dict[str, float]:
    """Return what share of the score's variance each hyper-parameter explains, highest first.

    Of the complete trials alone, and of the hyper-parameters that all of them drew; empty for
    fewer than four. Source: Hutter, Hoos, Leyton-Brown 2014, "An efficient approach for assessing
    hyperparameter importance" (fANOVA).
    """
    complete = [t for t in study.get_trials(deepcopy=False) if t.state == TrialState.COMPLETE]
    if len(complete) < 4 or len({trial.value for trial in complete}) == 1:
        return {}
    try:
        evaluator = optuna.importance.FanovaImportanceEvaluator(seed=seed)
        found = optuna.importance.get_param_importances(study, evaluator=evaluator)
    except RuntimeError:  # a forest that finds no variance to divide
        return {}
    return {name: float(value) for name, value in found.items()}


def _described(
    material: Material, backbone: Backbone, recipe: Recipe, device: str, space: Space
) -> dict[str, str]:
    """Return what must be the same for a search to go on; fixed values stand for themselves."""
    varied = {dimension.name for dimension in space.dimensions}
    found = describe(material, backbone, recipe, device, None)
    found = {name: v for name, v in found.items() if name.split(" ")[-1] not in varied}
    for dimension in space.dimensions:
        found[f"space of {dimension.name}"] = json.dumps(asdict(dimension))
    return found
