"""Training: several tasks, one encoder, one or more networks that start alike.

Every batch mixes the tasks; a text counts for the heads that it has a label or a teacher's verdict
for. The weights are chosen on texts held out of the training files, never on a validation file.
"""

import numpy as np

from models.backbone import Backbone
from models.recipe import Recipe
from models.training.candidate import Candidate, Observer, Progress, Trained
from models.training.checkpoint import Keeper
from models.training.classification import Classification
from models.training.material import Material, Parts, gather
from models.training.member import AfterStep, DivergenceError, Member, steps_of_epoch
from models.training.objective import Verdicts, weighted_targets
from models.training.problem import N, Problem
from models.weights import Weights, soup


def train(
    material: Material | Parts,
    backbone: Backbone,
    recipe: Recipe,
    *,
    device: str = "cpu",
    observer: Observer = lambda _: None,
    start: Weights | None = None,
    verdicts: Verdicts | None = None,
    keeper: Keeper | None = None,
) -> Trained:
    """Train on the material, or on (training, held-out) corpora of each task.

    Deterministic given the seed. `recipe.members` networks start alike and see the texts in
    different orders; their best weights are averaged into a soup. The best candidate on the
    held-out texts is returned. Source of the soup: Wortsman et al. 2022, "Model soups", section 2.

    Args:
        start: weights of an earlier run of the same method and rank to go on from.
        keeper: writes checkpoints, and goes on from the one that it holds to the same end, to the
            bit where kernels and their number of threads are the same.
        verdicts: the teachers' probabilities of the material's texts (`models.training.teacher`).

    Raises:
        ModelError: the backbone or the start cannot be used, the loss became NaN or infinite, or
            the checkpoint cannot be written or belongs to another run.
        DataError: a class has no training text.
    """
    if not isinstance(material, Material):
        material = gather(material)
    targets = weighted_targets(material, recipe, verdicts)
    problem = Classification(material, targets, backbone, recipe, device)
    return train_on(
        problem, backbone, recipe, device=device, observer=observer, start=start, keeper=keeper
    )


def train_on(
    problem: Problem[N],
    backbone: Backbone,
    recipe: Recipe,
    *,
    device: str = "cpu",
    observer: Observer = lambda _: None,
    start: Weights | None = None,
    keeper: Keeper | None = None,
) -> Trained:
    """Train on any problem; all else as `train`."""
    state = None if keeper is None else keeper.load()
    members = [Trained.unpacked(found) for found in state["members"]] if state else []
    for number in range(len(members), recipe.members):
        member = Member(number, problem, backbone, recipe, device, start)
        if keeper is not None and state is not None:
            member.resume(state["member"])
            state = None
            keeper.tell(
                f"going on from the checkpoint in {keeper.folder}:"
                f" member {number}, step {member.step} of {member.steps}"
            )
        try:
            member.run(observer, _kept(keeper, members))
        except DivergenceError:
            if keeper is not None:
                keeper.remove()  # from there it would only diverge again
            raise
        members.append(member.trained)
    history = [candidate for member in members for candidate in member.history]
    best = max(members, key=lambda member: member.chosen.score)
    if len(members) == 1:
        return best
    weights = soup([member.weights for member in members])
    network = problem.assemble(weights).to(device)
    candidate = Candidate(
        kind="soup",
        member=0,
        epoch=0,
        loss=float(np.mean([member.chosen.loss for member in members])),
        macro_f1=problem.scores(network),
    )
    history.append(candidate)
    steps = recipe.members * recipe.epochs * steps_of_epoch(problem.size, recipe)
    observer(Progress(steps, steps, candidate.loss, candidate))
    if candidate.score < best.chosen.score:
        return Trained(best.weights, best.chosen, tuple(history))
    return Trained(weights, candidate, tuple(history))


def _kept(keeper: Keeper | None, members: list[Trained]) -> AfterStep:
    """Return what writes a checkpoint after the steps that are due for one."""

    def after_step(member: Member[N], epoch_ended: bool) -> None:
        if keeper is not None and keeper.is_due(member.step, epoch_ended=epoch_ended):
            done = [trained.packed() for trained in members]
            keeper.save({"members": done, "member": member.state})

    return after_step
