"""One network while it trains: its state, its steps, its evaluations."""

import json
import math
from collections.abc import Callable, Sequence
from typing import Any, Generic

import numpy as np
import torch
from torch import Tensor, nn

from models.attention import attend
from models.backbone import Backbone, load_encoder
from models.device import type_of
from models.errors import ModelError
from models.recipe import Recipe
from models.training import methods
from models.training.adversary import adversary_of
from models.training.average import Average, Swapped, fill
from models.training.candidate import Candidate, Observer, Progress, Trained
from models.training.checkpoint import State
from models.training.material import Integers
from models.training.methods import export, prepare, restore
from models.training.optimiser import optimiser_of, rate
from models.training.precision import autocast_type, scaler_of, set_products
from models.training.problem import N, Problem
from models.weights import Weights

AfterStep = Callable[["Member[Any]", bool], None]


class DivergenceError(ModelError):
    """The loss became NaN or infinite."""


class Member(Generic[N]):
    """One network and all that its training changes."""

    def __init__(
        self,
        number: int,
        problem: Problem[N],
        backbone: Backbone,
        recipe: Recipe,
        device: str,
        start: Weights | None,
    ) -> None:
        self.number = number
        self.recipe = recipe
        self._device = device
        self._problem = problem
        set_products(recipe, device)
        torch.manual_seed(recipe.seed)  # all members start alike: only such can be averaged
        self.steps = recipe.epochs * steps_of_epoch(problem.size, recipe)
        self.network = _network(problem, backbone, recipe, device, start, self.steps)
        torch.manual_seed(recipe.seed + number)
        self.rng = np.random.default_rng(recipe.seed + number)
        self.parameters = {n: p for n, p in self.network.named_parameters() if p.requires_grad}
        layers = int(self.network.encoder.config.num_hidden_layers)
        self.optimiser = optimiser_of(self.parameters, recipe, layers)
        self._adversary = adversary_of(self.network.encoder, recipe)
        self.scaler = scaler_of(autocast_type(recipe, device), device)
        self.average = Average(self.parameters, recipe.average_decay)
        self.step = 0
        self.epoch = 0
        self.order: list[Integers] = []
        self.losses: list[float] = []
        self.history: list[Candidate] = []
        self.best: tuple[Weights, Candidate] | None = None
        self.evaluations_since_best = 0

    def run(self, observer: Observer, after_step: AfterStep = lambda _member, _ended: None) -> None:
        """Train to the end, or until `patience` evaluations bring nothing better.

        `after_step` is told after each step whether an epoch ended with it; `state` then holds all
        that the rest of the run depends on.
        """
        while self.step < self.steps and not self._lost_patience:
            if not self.order:
                self.epoch += 1
                self.losses = []
                self.order = self._problem.order(self.rng)
            group = self.order[: self.recipe.accumulation]
            self.order = self.order[self.recipe.accumulation :]
            value = self._take_step(group)
            self.losses.append(value)
            self._show(observer, value)
            if self._is_evaluated:
                self._evaluate(observer)
            after_step(self, not self.order)

    @property
    def trained(self) -> Trained:
        """Return the best candidate so far."""
        if self.best is None:
            raise ModelError("no evaluation was reached; train for at least one epoch")
        return Trained(*self.best, tuple(self.history))

    @property
    def state(self) -> State:
        """Return all that changes while it trains, as what a checkpoint may hold."""
        return {
            "step": self.step,
            "epoch": self.epoch,
            "order": [rows.tolist() for rows in self.order],
            "losses": self.losses,
            "trained": None if self.best is None else self.trained.packed(),
            "evaluations_since_best": self.evaluations_since_best,
            "parameters": {name: p.detach() for name, p in self.parameters.items()},
            "average": self.average.values,
            "optimiser": self.optimiser.state_dict(),
            "scaler": self.scaler.state_dict(),
            "method": methods.state_of(self.network),
            "rng": json.dumps(self.rng.bit_generator.state),
            "torch_rng": torch.get_rng_state(),
            "cuda_rng": torch.cuda.get_rng_state_all() if type_of(self._device) == "cuda" else [],
        }

    def resume(self, state: State) -> None:
        """Go on from a state of the same run."""
        self.step, self.epoch = state["step"], state["epoch"]
        self.order = [np.asarray(rows, dtype=np.int64) for rows in state["order"]]
        self.losses = state["losses"]
        if state["trained"] is not None:
            found = Trained.unpacked(state["trained"])
            self.best, self.history = (found.weights, found.chosen), list(found.history)
        self.evaluations_since_best = state["evaluations_since_best"]
        fill(self.parameters, state["parameters"])
        for name, value in self.average.values.items():
            value.copy_(state["average"][name])
        self.optimiser.load_state_dict(state["optimiser"])
        self.scaler.load_state_dict(state["scaler"])
        methods.resume(self.network, state["method"])
        self.rng.bit_generator.state = json.loads(state["rng"])
        torch.set_rng_state(state["torch_rng"])
        if state["cuda_rng"]:
            torch.cuda.set_rng_state_all(state["cuda_rng"])

    @property
    def _is_evaluated(self) -> bool:
        """Whether the step just taken ends one of the equal parts of an epoch."""
        parts, whole = self.recipe.evaluations_per_epoch, self.steps // self.recipe.epochs
        place = self.step - (self.epoch - 1) * whole
        return place * parts // whole != (place - 1) * parts // whole

    @property
    def _lost_patience(self) -> bool:
        return 0 < self.recipe.patience <= self.evaluations_since_best

    def _take_step(self, group: Sequence[Integers]) -> float:
        self.network.train()
        factor = rate(self.step, self.steps, self.recipe)
        for settings in self.optimiser.param_groups:
            settings["lr"] = settings["peak"] * factor
        self.optimiser.zero_grad(set_to_none=True)
        texts = sum(map(len, group))
        losses = [self._backward(rows, texts) for rows in group]
        self.scaler.unscale_(self.optimiser)
        nn.utils.clip_grad_norm_(self.parameters.values(), self.recipe.clip_norm)
        self.scaler.step(self.optimiser)
        self.scaler.update()
        methods.after_step(self.network, self.step + 1)
        if self.recipe.average_decay:
            self.average.update(self.step + 1)
        # Read last: a GPU is waited for once a step, when all of the step is in its queue.
        value = sum(map(float, losses))
        if not math.isfinite(value):
            raise DivergenceError(
                f"step {self.step}: the loss became {value}; lower the learning rate"
                f" ({self.recipe.learning_rate}) or train in float32"
            )
        self.step += 1
        return value

    def _backward(self, rows: Integers, texts: int) -> Tensor:
        def backward(loss: Tensor) -> None:
            self.scaler.scale(loss).backward()  # type: ignore[no-untyped-call]

        def loss_of() -> Tensor:
            return self._loss(rows, texts)

        if self._adversary is not None:
            return self._adversary.backward(loss_of, backward).detach()
        loss = loss_of()
        backward(loss)
        return loss.detach()

    def _loss(self, rows: Integers, texts: int) -> Tensor:
        loss = self._problem.loss(self.network, rows) / texts
        penalty = methods.penalty(self.network)
        if penalty is not None:
            loss = loss + penalty * (len(rows) / texts)
        return loss

    def _evaluate(self, observer: Observer) -> None:
        """Score the last weights and their average; keep the best."""
        loss = float(np.mean(self.losses))
        averages = ({}, self.average.values) if self.recipe.average_decay else ({},)
        self.evaluations_since_best += 1
        for values in averages:
            with Swapped(self.parameters, values):
                found = Candidate(
                    kind="average" if values else "last",
                    member=self.number,
                    epoch=self.epoch,
                    loss=loss,
                    macro_f1=self._problem.scores(self.network),
                    step=self.step,
                )
                self.history.append(found)
                if self.best is None or found.score > self.best[1].score:
                    self.best = (export(self.network, self.recipe), found)
                    self.evaluations_since_best = 0
            self._show(observer, self.losses[-1], found)

    def _show(self, observer: Observer, loss: float, candidate: Candidate | None = None) -> None:
        observer(
            Progress(
                step=self.number * self.steps + self.step,
                steps=self.recipe.members * self.steps,
                loss=loss,
                candidate=candidate,
                learning_rate=self.recipe.learning_rate
                * rate(max(0, self.step - 1), self.steps, self.recipe),
            )
        )


def steps_of_epoch(texts: int, recipe: Recipe) -> int:
    """Return how often the weights change in one pass over this many texts."""
    return math.ceil(math.ceil(texts / recipe.batch_size) / recipe.accumulation)


def _network(
    problem: Problem[N],
    backbone: Backbone,
    recipe: Recipe,
    device: str,
    start: Weights | None,
    steps: int,
) -> N:
    encoder = load_encoder(backbone)
    for module in encoder.modules():
        if isinstance(module, nn.Dropout):
            module.p = recipe.encoder_dropout
    if autocast_type(recipe, device) is not None and device == "cpu":
        attend(encoder)
    prepare(encoder, recipe, steps)
    network = problem.build(encoder)
    if start is not None:
        restore(network, recipe, start)
    return network.to(device)
