"""`DCPCTrainer`: transformers' Trainer with a learning rule, by default the objective of equation 13."""

from __future__ import annotations

import math
import shutil
from collections import defaultdict
from collections.abc import Iterable, Iterator
from contextlib import nullcontext
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset, Sampler
from tqdm.auto import tqdm
from transformers import PreTrainedTokenizerBase, Trainer
from transformers.trainer_utils import PREFIX_CHECKPOINT_DIR

from dcpc import ranks
from dcpc.models.quantised import refuse_full_training, send_no_frozen_weights
from dcpc.training.arguments import DCPCTrainingArguments, items_per_batch
from dcpc.training.averaging import AveragedWeights
from dcpc.training.best import BestWeights
from dcpc.training.callbacks import Average, CheckGradients, OwnNoise, StartEpoch
from dcpc.training.carriers import Carrier
from dcpc.training.checks import check_finite, gradients_checked
from dcpc.training.collator import SPARE, ItemCollator
from dcpc.training.dataset import ItemDataset
from dcpc.training.dcpc_rule import DCPCRule
from dcpc.training.epoch_order import with_lean_order
from dcpc.training.length_order import LongestFirst
from dcpc.training.loaders import batches_of_rank, shared_batches
from dcpc.training.own_state import OwnState
from dcpc.training.partner_sampling import PartnerSampler
from dcpc.training.rule import Batch, LearningRule
from dcpc.training.sharding import is_sharded, replicated
from dcpc.training.zero import Steps, Zero

MOST_WEIGHED = 10_000
"""Held-out items by which a rule is finished; of more a part is taken."""


def with_own_rates(
    optimizer: torch.optim.Optimizer, own_rates: Iterable[tuple[list[nn.Parameter], float]]
) -> torch.optim.Optimizer:
    """An optimizer with parameters moved to groups of their own, each with its rate and without weight decay."""
    for parameters, rate in own_rates:
        ours = {id(parameter) for parameter in parameters}
        for group in optimizer.param_groups:
            group["params"] = [each for each in group["params"] if id(each) not in ours]
        optimizer.add_param_group({"params": parameters, "lr": rate, "weight_decay": 0.0})
    return optimizer


class DCPCTrainer(Trainer):
    """Trains any classifier on raw judgements; the DCPC terms act where it is a PEFT model whose adapter is DCPC.

    Validation loss is the cross-entropy of held-out judgements, as anybody's and as their annotator's; see
    `dcpc.training.predicted`.

    Args:
        model: a model with a classification head, as a rule a PEFT model.
        args: training arguments with the objective.
        train_dataset: items with judgements.
        eval_dataset: held-out items with (noisy) judgements, or None.
        processing_class: the tokenizer, which pads batches and is saved with the adapter.
        rule: how judgements become a loss; None for the objective that `args` describe.
        carrier: what attached the trained tensors, where a training has to know more of them; see
            `dcpc.training.carriers.Carrier`.
        zero: DeepSpeed, where it makes the steps.
        **kwargs: as for `transformers.Trainer`.
    """

    def __init__(
        self,
        model: nn.Module,
        args: DCPCTrainingArguments,
        train_dataset: ItemDataset,
        eval_dataset: ItemDataset | None = None,
        processing_class: PreTrainedTokenizerBase | None = None,
        rule: LearningRule | None = None,
        carrier: Carrier | None = None,
        zero: Zero | None = None,
        **kwargs: Any,
    ) -> None:
        refuse_full_training(model)
        self.rule = DCPCRule(args.objective_config()) if rule is None else rule
        shape = getattr(train_dataset, "shape", None)  # data of written replies have a loss of their own
        if shape is not None:
            self.rule.shape = shape
        self.rule.prepare(model, train_dataset)
        if processing_class is not None:
            kwargs.setdefault("data_collator", ItemCollator(processing_class, self.rule.shape))
        if args.ddp_find_unused_parameters is None:
            # Annotators act after the forward pass, where a search for unused tensors does not find them;
            # `gradients_checked` makes sure that every tensor is used.
            args.ddp_find_unused_parameters = False
        # `DataParallel` cannot split ragged judgements; the Trainer would still multiply the batch by the number of
        # GPUs. One process has one GPU, `accelerate launch` uses several.
        args._n_gpu = min(args.n_gpu, 1)
        super().__init__(
            model=model,
            args=args,
            train_dataset=train_dataset,
            eval_dataset=eval_dataset,
            processing_class=processing_class,
            **kwargs,
        )
        # Our loss is a mean over the batch's items: the Trainer has to divide it under gradient accumulation.
        self.model_accepts_loss_kwargs = False
        self.carrier = carrier
        self.zero = zero
        self._averaged = AveragedWeights(model, self.rule.ema_decay) if self.rule.ema_decay > 0 else None
        self._own = OwnState(self.rule, self._averaged)
        self._checked = False
        self._validation = [0.0, 0.0]  # sums over this rank's batches: of the loss, and of what it counts for
        self._sums: dict[str, float] = defaultdict(float)
        self._steps = 0
        self.add_callback(CheckGradients())
        self.add_callback(StartEpoch(self))
        self.add_callback(OwnNoise())
        for callback in () if carrier is None else carrier.callbacks(model):
            self.add_callback(callback)
        if self._averaged is not None:
            self.add_callback(Average(self._averaged))

    def get_decay_parameter_names(self, model: nn.Module) -> list[str]:
        """As in transformers, without the tensors that the carrier keeps from decaying."""
        kept = () if self.carrier is None else self.carrier.no_decay
        names = super().get_decay_parameter_names(model)
        return [name for name in names if not any(part in name for part in kept)]

    def create_optimizer(self, *args: Any, **kwargs: Any) -> torch.optim.Optimizer:
        """The Trainer's, with a group for parameters that the rule gives a rate of their own."""
        fresh = self.optimizer is None
        optimizer = super().create_optimizer(*args, **kwargs)
        return with_own_rates(optimizer, self.rule.own_rates()) if fresh else optimizer

    def _get_train_sampler(self, train_dataset: Dataset | None = None) -> Sampler | None:
        """Where the training set has mined pairs, an order in which their items share a batch."""
        data = self.train_dataset if train_dataset is None else train_dataset
        if not isinstance(data, ItemDataset) or data.conflicts is None:
            return super()._get_train_sampler(train_dataset)
        seed = self.args.seed if self.args.data_seed is None else self.args.data_seed
        return PartnerSampler(
            data.conflicting_items(),
            len(data),
            items_per_batch(self.args),
            seed,
            lambda: int(self.state.epoch or 0),
        )

    def get_train_dataloader(self) -> DataLoader:
        """Of several ranks each has its part of the same batches."""
        if ranks.count() == 1 or not isinstance(self.data_collator, ItemCollator):
            return with_lean_order(super().get_train_dataloader())
        return with_lean_order(
            shared_batches(
                self.train_dataset, self._get_train_sampler(), self.data_collator, self.args, self.accelerator
            )
        )

    def get_eval_dataloader(self, eval_dataset: Any = None) -> DataLoader:
        """Of several ranks each has some of the batches."""
        if ranks.count() == 1:
            return super().get_eval_dataloader(eval_dataset)
        data = self.eval_dataset if eval_dataset is None else eval_dataset
        return batches_of_rank(
            data, self._get_eval_sampler(data), self.data_collator, self.args.eval_batch_size
        )

    def _get_eval_sampler(self, eval_dataset: Dataset) -> Sampler | None:
        """Longest first: the validation loss is a mean, whatever the order."""
        if isinstance(eval_dataset, ItemDataset):
            return LongestFirst(eval_dataset.lengths)
        return super()._get_eval_sampler(eval_dataset)

    def _wrap_model(self, model: nn.Module, training: bool = True, *args: Any, **kwargs: Any) -> nn.Module:
        """As the Trainer's; accelerate would wrap no model of which some weights are split."""
        send_no_frozen_weights(model)
        wrapped = super()._wrap_model(model, training, *args, **kwargs)
        if not training or wrapped is not self.model or (self.zero is None and not is_sharded(model)):
            return wrapped
        wrapped = self.accelerator.prepare_model(model, evaluation_mode=True)  # the device, and autocast
        if self.zero is not None:
            engine, steps = self.zero.engine(wrapped, self.optimizer, self.args, self._check_norm)
            self.optimizer: Any = steps
            # accelerate knows nothing of the engine, whose backward pass shares the gradients, always.
            self.accelerator.backward = partial(engine.backward, scale_wrt_gas=False)
            self.accelerator.no_sync = lambda model: nullcontext()
            return engine
        handler = self.accelerator.ddp_handler
        return replicated(wrapped, **({} if handler is None else handler.to_kwargs()))

    def compute_loss(
        self, model: nn.Module, inputs: dict[str, Tensor], return_outputs: bool = False, **_: Any
    ) -> Any:
        """The rule's loss of one batch."""
        # Distributed training must see the forward pass, or it would not share gradients.
        if self.zero is None and not isinstance(model, nn.parallel.DistributedDataParallel):
            model = self.accelerator.unwrap_model(model)
        output = self.rule.loss(model, inputs, self.state.epoch or 0.0)
        for name, penalty in ({} if self.carrier is None else self.carrier.penalties(model)).items():
            output = output.plus(name, penalty)
        self._steps += 1
        for name, term in output.terms.items():
            self._sums[name] += float(term.detach())
        return (output.loss, {"logits": output.logits}) if return_outputs else output.loss

    def training_step(self, model: nn.Module, inputs: dict[str, Any], *args: Any, **kwargs: Any) -> Tensor:
        """One forward and backward pass, with the checks of `dcpc.training.checks`."""
        with nullcontext() if self._checked else gradients_checked(self.model):
            loss = super().training_step(model, inputs, *args, **kwargs)
        self._checked = True
        # The mean over the ranks, so that all of them stop.
        mean = ranks.total([loss.item()])[0] / ranks.count()
        check_finite(mean, "loss", self.state.global_step, self.args.output_dir)
        return loss

    def _check_norm(self, norm: float) -> None:
        check_finite(norm, "gradient", self.state.global_step, self.args.output_dir)

    def _clip_grad_norm(self, model: nn.Module) -> Any:
        """As the Trainer's; DeepSpeed clips in its step."""
        return None if self.zero is not None else super()._clip_grad_norm(model)

    def _get_grad_norm(self, model: nn.Module, grad_norm: Any = None) -> Any:
        """As the Trainer's; of DeepSpeed's step it is known afterwards, see `log`."""
        return None if self.zero is not None else super()._get_grad_norm(model, grad_norm)

    def prediction_step(self, model: nn.Module, inputs: dict[str, Any], *args: Any, **kwargs: Any) -> Any:
        """Validation loss of one batch; judgements are ragged, so no logits are gathered."""
        loss = self.rule.validation_loss(self.accelerator.unwrap_model(model), self._prepare_inputs(inputs))
        n = 0 if SPARE in inputs else self.rule.validation_count(inputs)
        self._validation = [self._validation[0] + n * loss.item(), self._validation[1] + n]
        # The Trainer would count a short last batch like a whole one, and wait for as many from every rank.
        return None, None, None

    def evaluation_loop(self, *args: Any, metric_key_prefix: str = "eval", **kwargs: Any) -> Any:
        """As the Trainer's; the loss is the mean over all that was held out, in whatever batches and ranks."""
        self._validation = [0.0, 0.0]
        output = super().evaluation_loop(*args, metric_key_prefix=metric_key_prefix, **kwargs)
        loss, n = ranks.total(self._validation)
        output.metrics[f"{metric_key_prefix}_loss"] = loss / n
        return output

    def training_items(self) -> Iterable[Batch]:
        """Batches of the training items that the rule reads, longest first, on the model's device."""
        every = self.rule.reads_every
        batches = self._batches_of(self.train_dataset, every)
        n_batches = math.ceil(math.ceil(len(self.train_dataset) / every) / self.args.eval_batch_size)
        return tqdm(batches, "Reading items", n_batches, leave=False, disable=self.args.disable_tqdm)

    def _batches_of(self, data: Dataset, every: int = 1) -> Iterator[Batch]:
        # Not the Trainer's loader: that gives every process of a distributed training a part of the items.
        order = LongestFirst(data.lengths, every) if isinstance(data, ItemDataset) else None
        for batch in DataLoader(
            data, self.args.eval_batch_size, sampler=order, collate_fn=self.data_collator
        ):
            yield self._prepare_inputs(batch)

    def evaluate(self, *args: Any, **kwargs: Any) -> dict[str, float]:
        """Evaluate the weights that will be kept: the averaged ones where averaging is on."""
        if self._averaged is None or not self.is_in_train:
            return super().evaluate(*args, **kwargs)
        with self._averaged.applied(self.model):
            return super().evaluate(*args, **kwargs)

    def train(self, *args: Any, **kwargs: Any) -> Any:
        """As `Trainer.train`; ends with the weights that are kept in the model: averaged, best, and finished."""
        self.rule.begin(self.model, self.train_dataset)
        result = super().train(*args, **kwargs)
        if self._averaged is not None:
            self._averaged.copy_to(self.model)
        for callback in self.callback_handler.callbacks:
            if isinstance(callback, BestWeights):
                callback.restore(self.model)
        held_out = None
        if self.eval_dataset is not None:
            held_out = self._batches_of(self.eval_dataset, math.ceil(len(self.eval_dataset) / MOST_WEIGHED))
        self.rule.finish(self.model, self.training_items, held_out)
        return result

    def log(self, logs: dict[str, float], *args: Any, **kwargs: Any) -> None:
        """Add the mean of every term since the last log, and the rule's own figures."""
        if "loss" in logs and self._steps:
            if isinstance(self.optimizer, Steps):
                logs["grad_norm"] = self.optimizer.norm()
            sums = ranks.total([self._steps, *self._sums.values()])
            logs |= {
                f"loss_{name}": value / sums[0] for name, value in zip(self._sums, sums[1:], strict=True)
            }
            self._sums.clear()
            self._steps = 0
            logs |= self.rule.logged(training=True)
        elif "eval_loss" in logs:
            own = self.rule.logged(training=False)
            logs |= {f"eval_{name}": value for name, value in own.items()}
        super().log(logs, *args, **kwargs)

    def _save_checkpoint(self, model: nn.Module, trial: Any) -> None:
        # Our part first: the Trainer ends with its own state, by which a checkpoint is known to be whole, and then
        # deletes older ones.
        folder = Path(self._get_output_dir(trial=trial)) / f"{PREFIX_CHECKPOINT_DIR}-{self.state.global_step}"
        if self.args.should_save:
            self._own.save(folder)
        super()._save_checkpoint(model, trial)

    def create_scheduler(self, num_training_steps: int, optimizer: Any = None) -> Any:
        """As the Trainer's, but a training of one step has no warm-up: its only step would have a rate of zero."""
        if num_training_steps != 1:
            return super().create_scheduler(num_training_steps, optimizer)
        warmup, self.args.warmup_steps = self.args.warmup_steps, 0
        try:
            return super().create_scheduler(num_training_steps, optimizer)
        finally:
            self.args.warmup_steps = warmup

    def _load_from_checkpoint(self, resume_from_checkpoint: str, model: nn.Module | None = None) -> None:
        super()._load_from_checkpoint(resume_from_checkpoint, model)
        self._own.load(Path(resume_from_checkpoint))

    def _save_optimizer_and_scheduler(self, output_dir: str) -> None:
        """As the Trainer's, which asks the first rank alone."""
        if isinstance(self.optimizer, Steps):
            self.optimizer.gather()
        super()._save_optimizer_and_scheduler(output_dir)

    def _save_rng_state(self, output_dir: str) -> None:
        """As the Trainer's; the first rank's also under the name by which more or fewer ranks would look for it."""
        super()._save_rng_state(output_dir)
        if ranks.is_first():
            own, other = ("rng_state.pth", "rng_state_0.pth")[:: 1 if ranks.count() == 1 else -1]
            shutil.copyfile(Path(output_dir) / own, Path(output_dir) / other)

    def _load_best_model(self) -> None:
        super()._load_best_model()
        self._own.load(Path(self.state.best_model_checkpoint))
