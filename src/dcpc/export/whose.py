"""Whose judgement an exported model gives: the consensus, an annotator's, or a group's.

Without a correction module an annotator adds one bias per label to the logits, which a head with a bias holds:

    logits_a = logits + e_a,    e_a = (softmax(u_a) − softmax(0)) E + u_a D

The consensus is the mean of softmax(logits + e_a) over the annotators: no bias, but close to one bias and one factor,

    softmax(s · logits + b),    (s, b) = argmin E_{logits ~ N(0, 2²)} KL(consensus ‖ softmax(s · logits + b))

The logits of a trained adapter rarely lie further out. The largest difference of a probability is measured and said.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from dcpc.adapter import TrainedAdapter
from dcpc.errors import UsageError
from dcpc.names import first_of
from dcpc.training.groups import stand_in
from dcpc.training.step import annotator_mode
from dcpc.tuner import DCPCModel
from dcpc.tuner.acting import dcpc_tuner

CONSENSUS = "the consensus"
LOGIT_STD, SAMPLES = 2.0, 4_096
STEPS = 50
"""Iterations of L-BFGS."""


@dataclass(frozen=True)
class Whose:
    """Whom an exported model stands for.

    Attributes:
        name: for messages and the model card: "the consensus", "annotator anna", "group age=18-24".
        number: index of the annotator (`DCPCModel.annotator_index`); None for the consensus.
    """

    name: str = CONSENSUS
    number: int | None = None


@dataclass(frozen=True)
class Affine:
    """A change of the logits that a classification head can hold: s · logits + b.

    Attributes:
        scale: s.
        bias: b [C].
        largest_error: of a probability, against what it stands for; 0 where it is exact.
    """

    scale: float
    bias: Tensor
    largest_error: float = 0.0

    @property
    def changes(self) -> bool:
        """Whether it changes anything."""
        return self.scale != 1.0 or bool((self.bias != 0).any())


def annotators_on_logits(adapter: TrainedAdapter) -> DCPCModel | None:
    """The tuner, where annotators act on the logits; None where they do not, or none is known."""
    tuner = dcpc_tuner(adapter.model)
    return None if tuner is None or annotator_mode(tuner) != "output" else tuner


def whose(adapter: TrainedAdapter, annotator: str | None, group: str | None) -> Whose:
    """Whom the export stands for.

    Args:
        adapter: trained.
        annotator: id of a known annotator; None for none.
        group: value of the group column that the adapter was trained with; None for none.

    Raises:
        UsageError: both are given, the adapter does not know them, or they act inside the model.
    """
    if annotator is None and group is None:
        return Whose()
    if annotator is not None and group is not None:
        raise UsageError(
            "--annotator and --group are both given, and an export stands for one of them.",
            fix="Leave one out.",
        )
    tuner = annotators_on_logits(adapter)
    if tuner is None:
        raise UsageError(
            "the adapter has no effects of annotators on its logits, so none can be exported.",
            fix="Leave --annotator and --group out, or train on data with annotators and annotator_mode=output.",
        )
    column = adapter.task.group_column
    if group is not None and column is None:
        raise UsageError(
            "the adapter knows no groups.", fix="Train with --group-column, or export an --annotator."
        )
    name = annotator if group is None else stand_in(str(column), group)
    number = int(tuner.annotator_index([str(name)])[0])
    if number < 0:
        known = [n for n in adapter.annotators if group is None or n.startswith(f"{column}=")]
        raise UsageError(
            f"the adapter does not know {'annotator' if group is None else 'group'} `{annotator or group}`.",
            fix=f"It knows {first_of(known, 5)}.",
        )
    return Whose(f"annotator {annotator}" if group is None else f"group {name}", number)


def affine(adapter: TrainedAdapter, who: Whose, *, has_bias: bool = True) -> Affine:
    """What a head has to do to its logits to stand for somebody.

    Args:
        adapter: trained.
        who: from `whose`.
        has_bias: whether the head can hold a bias.

    Raises:
        UsageError: the head cannot do it, as for an annotator who was adapted to.
    """
    n_labels = len(adapter.task.labels)
    tuner = annotators_on_logits(adapter)
    if tuner is None:
        return Affine(1.0, torch.zeros(n_labels))
    if who.number is None:
        return _of_consensus(tuner, n_labels, has_bias)
    if not has_bias:
        raise UsageError(
            f"{who.name} is a bias on the logits, and the head of this base model has none.",
            fix="Use --as onnx, or export the consensus.",
        )
    number = torch.tensor([who.number], device=adapter.device)
    adapted = tuner.annotators.points_of(number)
    if adapted is not None and bool(adapted[0].any()):
        raise UsageError(
            f"{who.name} was adapted to, and is predicted by a mean over several biases, which no head holds.",
            fix="Use --as onnx, which holds it exactly.",
        )
    zero = torch.zeros(1, n_labels, device=adapter.device)
    with torch.no_grad():
        effect = tuner.annotator_logits(zero, number, torch.zeros(1, dtype=torch.long, device=adapter.device))
    return Affine(1.0, effect[0].float().cpu())


def _of_consensus(tuner: DCPCModel, n_labels: int, has_bias: bool) -> Affine:
    """The (s, b) nearest to the consensus, and how near; b is 0 for a head without a bias."""
    device = tuner.annotators.mean.device
    drawn = torch.Generator().manual_seed(0)
    logits = LOGIT_STD * torch.randn(SAMPLES, n_labels, generator=drawn)  # [S,C]
    with torch.no_grad():
        wanted = tuner.population_probabilities(logits.to(device)).float().cpu()  # [S,C]
    log_scale, bias = torch.zeros(1, requires_grad=True), torch.zeros(n_labels, requires_grad=has_bias)
    fitted = [log_scale, bias] if has_bias else [log_scale]
    optimizer = torch.optim.LBFGS(fitted, max_iter=STEPS, line_search_fn="strong_wolfe")

    def loss() -> Tensor:
        optimizer.zero_grad()
        found = (log_scale.exp() * logits + bias).log_softmax(dim=-1)
        value = -(wanted * found).sum(dim=-1).mean()
        value.backward()
        return value

    with torch.enable_grad():
        optimizer.step(loss)
    with torch.no_grad():
        scale, centred = float(log_scale.exp()), (bias - bias.mean()).detach()
        found = (scale * logits + centred).softmax(dim=-1)
    return Affine(scale, centred, float((found - wanted).abs().max()))
