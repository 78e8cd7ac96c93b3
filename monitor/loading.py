"""The model as the configuration names it: which version, on which devices, and the next ones."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

from models.errors import ModelError
from models.manifest import Manifest
from models.predict import Predictor
from models.registry.folder import Registry, Release
from models.registry.trial import judge
from monitor import config
from monitor.errors import MonitorError
from monitor.metrics import Metrics, ScoringCounters
from monitor.score.engine import BatchScorer
from monitor.score.reload import Reloader
from monitor.score.transformer import devices, engine_of


def current_release(model: config.Model) -> Release:
    """The weights to begin with: ``path``, or else the registry's current version."""
    if model.path is not None:
        return Release(str(model.path), model.path, 0)
    try:
        return Registry(model.registry).current()
    except ModelError as error:
        raise MonitorError(f"the model cannot be loaded: {error}") from error


def load_scorer(
    model: config.Model,
    metrics: Metrics,
    path: Path,
    note: Callable[[Manifest], None] = lambda _manifest: None,
) -> BatchScorer:
    """The model of a folder on every device that is asked for, once it has judged a few
    sentences; then ``note`` is told of its manifest."""
    begin = time.monotonic()
    predictors = []
    try:
        for device in devices(model.device):
            predictor = Predictor.load(
                path, device=device, dtype=model.dtype, threads=model.threads
            )
            judge(predictor, str(path))
            predictors.append(predictor)
    except ModelError as error:
        raise MonitorError(f"the model cannot be loaded: {error}") from error
    metrics.model_load.set(time.monotonic() - begin)
    scorer = engine_of(
        predictors,
        tokens=model.batch_tokens,
        look_ahead=model.look_ahead,
        max_wait=model.max_wait,
        minimum_fill=model.minimum_fill,
        metrics=ScoringCounters(metrics),
    )
    note(predictors[0].manifest)
    return scorer


def make_reloader(
    model: config.Model,
    running: Release,
    metrics: Metrics,
    note: Callable[[Manifest], None],
) -> Reloader:
    """Loads what the registry names after the version that runs."""
    return Reloader(
        Registry(model.registry).current,
        lambda path: load_scorer(model, metrics, path, note),
        running,
        metrics,
    )
