"""Adversarial training: the loss where a small change of the word embeddings hurts most."""

from collections.abc import Callable
from typing import Final

import torch
from torch import Tensor, nn

from models.recipe import Recipe

_STEP: Final = 2.5
"""A step of PGD is this times epsilon / steps, so that the ball's surface is reached."""


class Adversary:
    """Adds a perturbation to what the word embeddings give, of L2 norm epsilon for each text.

    FGM takes one step along the gradient: Miyato et al. 2017, "Adversarial Training Methods for
    Semi-Supervised Text Classification", equations 5 and 6. PGD takes several and projects back
    to the ball: Madry et al. 2018, "Towards Deep Learning Models Resistant to Adversarial
    Attacks", section 2.1.
    """

    def __init__(self, encoder: nn.Module, recipe: Recipe) -> None:
        self._epsilon = recipe.adversarial_epsilon
        self._steps = recipe.adversarial_steps if recipe.adversarial == "pgd" else 1
        self._stride = self._epsilon * min(1.0, _STEP / self._steps)
        self._watching = False
        self._change: Tensor | None = None
        self._words: nn.Module = encoder.get_input_embeddings()  # type: ignore[operator]
        self._on_gpu = next(self._words.parameters()).device.type == "cuda"
        self._words.register_forward_hook(self._perturb)

    def backward(
        self,
        loss_of: Callable[[], Tensor],
        backward: Callable[[Tensor], None],
    ) -> Tensor:
        """Sum up the gradients of the mean of clean and adversarial loss; return the clean loss.

        Args:
            loss_of: one forward pass over one batch; it draws from torch's generator alone, which
                is put back for each pass, so that all see the same texts and dropout.
            backward: adds the gradients of a loss, scaled or not, to the parameters.
        """
        generator = torch.get_rng_state()
        on_gpu = torch.cuda.get_rng_state_all() if self._on_gpu else []

        def again() -> Tensor:
            torch.set_rng_state(generator)
            if on_gpu:
                torch.cuda.set_rng_state_all(on_gpu)
            return loss_of()

        self._watching = True
        try:
            clean = loss_of()
            backward(clean / 2)
            change = self._change
            gradient = None if change is None else change.grad
            if change is None or gradient is None:
                raise RuntimeError("the loss does not depend on the word embeddings")
            for step in range(self._steps):
                change = self._moved(change.detach(), gradient)
                self._change = change
                if step + 1 < self._steps:
                    change.requires_grad_()
                    (gradient,) = torch.autograd.grad(again(), change)
            backward(again() / 2)
        finally:
            self._watching, self._change = False, None
        return clean

    def _moved(self, change: Tensor, gradient: Tensor) -> Tensor:
        """Take one step and return to the ball of radius epsilon around no change."""
        found = change + self._stride * gradient / _norm(gradient)
        return found * (self._epsilon / _norm(found)).clamp_max(1.0)

    def _perturb(self, _module: nn.Module, _inputs: object, output: Tensor) -> Tensor | None:
        if not self._watching:
            return None
        if self._change is None:
            self._change = torch.zeros_like(output, requires_grad=True)
        return output + self._change


def adversary_of(encoder: nn.Module, recipe: Recipe) -> Adversary | None:
    """Return the adversary that the recipe asks for, if any."""
    return None if recipe.adversarial == "none" else Adversary(encoder, recipe)


def _norm(change: Tensor) -> Tensor:
    """Return the L2 norm of each text's change, [n, 1, 1], never zero."""
    norm: Tensor = torch.linalg.vector_norm(change.float(), dim=(1, 2), keepdim=True)
    return norm.clamp_min(1e-12)
