"""Training on written replies: one Trainer for every adapter, with writers acting through the styles.

Why not TRL's `SFTTrainer` (1.16): its packing keeps `input_ids` and `labels` alone, so a packed row no longer knows
its writers; with packing or padding-free batches it refuses a collator of one's own; it learns assistant turns alone
only for the chat templates that it has rewritten itself; and its loss has no room for the writers' prior. It takes
the batches of `ReplyCollator`, though: docs/write.md shows how.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from torch import Tensor, nn
from torch.utils.data import Dataset, Sampler

from dcpc.objective import ObjectiveConfig
from dcpc.tasks.write.batches import IGNORED, PackingCollator, ReplyCollator, ReplyDataset
from dcpc.tasks.write.loss import reply_log_likelihoods, reply_loss, writers_act
from dcpc.training.arguments import DCPCTrainingArguments
from dcpc.training.length_order import LongestFirst
from dcpc.training.rule import Batch, LearningRule
from dcpc.training.step import StepOutput
from dcpc.training.trainer import DCPCTrainer


class WritingRule(LearningRule):
    """Log-likelihood of replies as their writers', and the writers' prior.

    L = −1/N Σ log p(token | prompt, reply so far, writer) + w · KL(q(u) ‖ p(u)) / N, over the N reply tokens.

    Args:
        n_tokens: N, reply tokens of the training set.
        objective: gives w (`annotator_weight`; 1 is the evidence bound) and the decay of averaged weights.
    """

    def __init__(self, n_tokens: int, objective: ObjectiveConfig) -> None:
        self.n_tokens = n_tokens
        self.annotator_weight, self.ema_decay = objective.annotator_weight, objective.ema_decay

    def prior(self, model: nn.Module) -> Tensor | None:
        """The second term; None where no writers act."""
        tuner = writers_act(model)
        if tuner is None or self.annotator_weight == 0:
            return None
        return self.annotator_weight * tuner.annotator_kl() / self.n_tokens

    def loss(self, model: nn.Module, batch: Batch, epoch: float) -> StepOutput:
        """Loss of one batch by itself: a mean over its reply tokens."""
        return self.terms(model, batch, None, 1)

    def terms(
        self, model: nn.Module, batch: Batch, n_tokens: Tensor | int | None, n_batches: int
    ) -> StepOutput:
        """Loss of one of `n_batches` batches whose sum is the loss of `n_tokens` tokens."""
        terms = {"task": reply_loss(model, batch, n_tokens)}
        prior = self.prior(model)
        if prior is not None:
            terms["annotators"] = prior / n_batches
        return StepOutput.of(terms, terms["task"].detach())

    def validation_loss(self, model: nn.Module, batch: Batch) -> Tensor:
        """Mean of −log p over the batch's reply tokens, as their writers'."""
        likelihoods, n_tokens = reply_log_likelihoods(model, batch)
        return -likelihoods.sum() / n_tokens.sum()

    def validation_count(self, batch: Batch) -> float:
        """Reply tokens."""
        return float((batch["labels"][:, 1:] != IGNORED).sum())


class WritingTrainer(DCPCTrainer):
    """`DCPCTrainer` for replies: its loss counts tokens over all batches that are accumulated.

    Args:
        model: a causal language model with an adapter.
        args: training arguments.
        train_dataset: replies.
        eval_dataset: held-out replies, or None.
        collators: for training and for validation.
        **kwargs: as for `DCPCTrainer`.
    """

    def __init__(
        self,
        model: nn.Module,
        args: DCPCTrainingArguments,
        train_dataset: ReplyDataset,
        eval_dataset: ReplyDataset | None,
        collators: tuple[ReplyCollator | PackingCollator, ReplyCollator],
        **kwargs: Any,
    ) -> None:
        self.writing = WritingRule(train_dataset.n_learned, args.objective_config())
        self._collators = collators
        # Elsewhere data are items with judgements; what is read of them there, the rule reads.
        train: Any = train_dataset
        held: Any = eval_dataset
        super().__init__(model, args, train, held, rule=self.writing, data_collator=collators[0], **kwargs)
        # The Trainer then counts the reply tokens of all accumulated batches, and leaves dividing by them to us.
        self.model_accepts_loss_kwargs = True

    def compute_loss(
        self,
        model: nn.Module,
        inputs: dict[str, Tensor],
        return_outputs: bool = False,
        **given: Any,
    ) -> Any:
        """Loss of one batch, as its share in that of all accumulated batches (`num_items_in_batch` tokens)."""
        n_tokens = given.get("num_items_in_batch")
        if not isinstance(model, nn.parallel.DistributedDataParallel):
            model = self.accelerator.unwrap_model(model)
        n_batches = self.args.gradient_accumulation_steps if n_tokens is not None else 1
        output = self.writing.terms(model, inputs, n_tokens, n_batches)
        self._steps += 1
        for name, term in output.terms.items():
            self._sums[name] += float(term.detach()) * n_batches
        loss = output.loss
        if self.args.average_tokens_across_devices and n_tokens is not None:
            # Processes average their gradients, and the tokens are those of all processes.
            loss = loss * self.accelerator.num_processes
        return (loss, {"logits": output.logits}) if return_outputs else loss

    def get_eval_dataloader(self, eval_dataset: Dataset | str | None = None) -> Any:
        """Held-out replies are padded, never packed."""
        training, padding = self._collators
        self.data_collator: Any = padding
        try:
            return super().get_eval_dataloader(eval_dataset)
        finally:
            self.data_collator = training

    def _get_eval_sampler(self, eval_dataset: Dataset) -> Sampler | None:
        if isinstance(eval_dataset, ReplyDataset):
            return LongestFirst(np.asarray(eval_dataset.lengths))
        return super()._get_eval_sampler(eval_dataset)
