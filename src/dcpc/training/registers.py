"""Answers that are written in registers: what was meant trains with how it was put, and both can be told afterwards.

A judgement is an answer in a register (`yes`, casually), and the model has a logit for every such pair. Annotators
act on those logits, so that each learns the register that a person writes in as much as the answers that they prefer:

    p(answer | item, person) = Σ_register p(answer, register | item, person)

and the other sum is the person's register, which is their style.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from dcpc.objective import ObjectiveConfig, RunningConsensus
from dcpc.training.dataset import ItemDataset
from dcpc.training.dcpc_rule import DCPCRule
from dcpc.training.predicted import Predicted, judged_loss
from dcpc.training.rule import Batch, tokens_of


class RegisterRule(DCPCRule):
    """The objective on pairs of answer and register; predictions are of answers.

    Args:
        config: weights and switches of the objective.
        registers: names of the G registers; logits are [answer, register], the registers of an answer side by side.
    """

    def __init__(self, config: ObjectiveConfig, registers: list[str]) -> None:
        super().__init__(config)
        self.registers = registers

    def prepare(self, model: nn.Module, data: ItemDataset) -> None:
        """As ever; the running consensus is one over pairs."""
        super().prepare(model, data)
        if self.consensus is not None:
            self.consensus = RunningConsensus(len(data), data.annotations.n_classes * len(self.registers))

    def predict(
        self,
        model: nn.Module,
        tokens: Batch,
        annotators: Tensor | None = None,
        item_index: Tensor | None = None,
    ) -> Predicted:
        """Answers, whatever their register."""
        found = self.predict_pairs(model, tokens, annotators, item_index)
        own = None if found.judgements is None else self._answers(found.judgements)
        return Predicted(self._answers(found.items), own)

    def predict_pairs(
        self,
        model: nn.Module,
        tokens: Batch,
        annotators: Tensor | None = None,
        item_index: Tensor | None = None,
    ) -> Predicted:
        """Answers in their registers: logs of distributions over C·G pairs, [B, C·G] and [J, C·G]."""
        return super().predict(model, tokens, annotators, item_index)

    @torch.no_grad()
    def validation_loss(self, model: nn.Module, batch: Batch) -> Tensor:
        """Loss of held-out answers in their registers."""
        who = None if self.annotator_index(model, []) is None else batch["annotator_ids"]
        return judged_loss(self.predict_pairs(model, tokens_of(batch), who, batch["item_index"]), batch)

    def _answers(self, log_p: Tensor) -> Tensor:
        return log_p.unflatten(-1, (-1, len(self.registers))).logsumexp(dim=-1)
