"""The study behind a search: kept in SQLite, the same after a kill as without one."""

import fcntl
import os
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

import optuna
from optuna.exceptions import ExperimentalWarning, StorageInternalError
from optuna.trial import FrozenTrial, Trial, TrialState
from sqlalchemy.exc import SQLAlchemyError

from models.errors import ModelError
from models.training.search.outcome import REASON, RETRY_OF

FILE: Final = "search.db"
DIED: Final = "the process died"
INTERRUPTED: Final = "interrupted"

Pruner = Literal["median", "halving", "none"]
_NAME: Final = "search"
_RUN: Final = "run"
_ATTEMPT: Final = "attempt"
_ATTEMPTS: Final = 3
_ENDED: Final = (TrialState.COMPLETE, TrialState.PRUNED)


@dataclass(frozen=True, slots=True)
class Ledger:
    """The trials of one search."""

    study: optuna.Study
    storage: optuna.storages.RDBStorage
    seed: int

    @property
    def trials(self) -> list[FrozenTrial]:
        """Return every trial in the order in which they began."""
        return self.study.get_trials(deepcopy=False)

    @property
    def done(self) -> int:
        """Return how many trials have ended, those given up among them."""
        given_up = [t for t in self.trials if t.state == TrialState.FAIL and self._given_up(t)]
        return len(given_up) + sum(trial.state in _ENDED for trial in self.trials)

    def recover(self) -> list[int]:
        """Fail what a process that died left running, and queue each failed trial again.

        A trial whose process died three times is given up: it might be what kills it. Returns the
        numbers of the trials that are tried again.
        """
        for trial in self.trials:
            if trial.state == TrialState.RUNNING:
                self.fail(trial.number, DIED)
        trials = self.trials
        retried = {trial.user_attrs.get(RETRY_OF) for trial in trials}
        again: list[int] = []
        for trial in trials:
            if trial.state != TrialState.FAIL or trial.number in retried or self._given_up(trial):
                continue
            attempts = self._attempts(trial)
            self.study.enqueue_trial(
                trial.params, user_attrs={RETRY_OF: trial.number, _ATTEMPT: attempts}
            )
            again.append(trial.number)
        return again

    def ask(self) -> Trial:
        """Begin the next trial: one that is queued, or a drawn one.

        What is drawn depends on the seed, the number of earlier draws and the trials that ended,
        not on kills in between.
        """
        drawn = sum(RETRY_OF not in trial.user_attrs for trial in self.trials)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ExperimentalWarning)
            # The group decomposes the space by the method that was drawn.
            self.study.sampler = optuna.samplers.TPESampler(
                seed=self.seed * 1_000_003 + drawn, multivariate=True, group=True
            )
        return self.study.ask()

    def fail(self, number: int, reason: str) -> None:
        """End a trial without a result; one that has ended stays as it is."""
        if self.trials[number].state.is_finished():
            return
        # Through the storage: of a process that died there is no handle of the trial left.
        study_id = self.storage.get_study_id_from_name(_NAME)
        trial_id = self.storage.get_trial_id_from_study_id_trial_number(study_id, number)
        self.storage.set_trial_user_attr(trial_id, REASON, reason)
        self.study.tell(number, state=TrialState.FAIL)

    def _attempts(self, trial: FrozenTrial) -> int:
        died = trial.user_attrs.get(REASON) == DIED
        return int(trial.user_attrs.get(_ATTEMPT, 0)) + died

    def _given_up(self, trial: FrozenTrial) -> bool:
        return self._attempts(trial) >= _ATTEMPTS


@contextmanager
def opened(
    folder: Path, run: Mapping[str, str], *, seed: int, pruner: Pruner, baseline: dict[str, object]
) -> Iterator[Ledger]:
    """Open the study of a folder, or begin one whose first trial is the baseline.

    `run`: what must be the same for a search to go on, each part by name.

    Raises:
        ModelError: the folder cannot be written, another program searches in it, its study is
            unreadable or was begun with something else; names what.
    """
    path = folder / FILE
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    with _locked(folder):
        try:
            storage = optuna.storages.RDBStorage(f"sqlite:///{path.absolute()}")
            study = optuna.create_study(
                study_name=_NAME,
                storage=storage,
                direction="maximize",
                pruner=_PRUNERS[pruner](),
                load_if_exists=True,
            )
            begun = study.user_attrs.get(_RUN)
            if begun is None:
                if baseline:
                    study.enqueue_trial(baseline)
                study.set_user_attr(_RUN, dict(run))
            elif begun != dict(run):
                names = sorted(n for n in begun.keys() | run if begun.get(n) != run.get(n))
                raise ModelError(
                    f"{path}: of a search with other {', '.join(names)}; give the same again to go"
                    " on with it, or choose another --out"
                )
            yield Ledger(study, storage, seed)
        except (SQLAlchemyError, StorageInternalError) as error:
            cause = getattr(error, "orig", None) or error  # without the statement in SQL
            raise ModelError(
                f"{path}: cannot be read or written ({cause}); free space, or choose another --out"
            ) from error


_PRUNERS: Final = {
    "median": lambda: optuna.pruners.MedianPruner(n_startup_trials=4),
    "halving": lambda: optuna.pruners.SuccessiveHalvingPruner(min_resource=1, reduction_factor=3),
    "none": optuna.pruners.NopPruner,
}


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Hold the folder; the system releases it when the process dies, however it dies."""
    path = folder / ".lock"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    except OSError as error:
        raise ModelError(
            f"{path}: cannot be written ({error.strerror}); choose another --out"
        ) from error
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    except BlockingIOError as error:
        raise ModelError(
            f"{folder}: another program searches in it; try again when it has ended"
        ) from error
    finally:
        os.close(descriptor)
