"""Direct preference optimisation with raters, on TRL's trainer.

TRL's `DPOTrainer` has one chosen and one rejected response per row, and one scalar of label smoothing for all noise.
Here a row is a pair with all its votes:

    m = β [log π(y_a|x) / π_ref(y_a|x) − log π(y_b|x) / π_ref(y_b|x)]
    L = − 1/J Σ_j log p(vote_j | m, rater_j) + KL(raters ‖ prior) / J

with the likelihoods of `dcpc.preference.raters`: ties, each rater's errors, side and taste. Where every pair has one
vote for a side and raters have no effects, it is TRL's `sigmoid` loss. The reference is the base model with the
adapter off.

Tokenising, the fused head, the reference and the loop are TRL's. Needs `pip install 'dcpc[trl]'`.
"""

from __future__ import annotations

from collections import defaultdict
from itertools import islice
from pathlib import Path
from typing import Any

import torch
from datasets import Dataset
from peft import PeftConfig
from torch import Tensor
from transformers import PreTrainedModel, PreTrainedTokenizerBase, TrainerCallback

from dcpc.errors import UsageError
from dcpc.pooling import mean_of_tokens
from dcpc.preference.dpo_inputs import OURS, DPOConfig, DPOTrainer, VoteCollator, check_arguments
from dcpc.preference.policy_data import cut_notes
from dcpc.preference.raters import WEIGHTS, Comparison, RaterModel
from dcpc.preference.samples import SampledPrompts, as_markdown
from dcpc.preference.tally import Tally
from dcpc.training.checks import check_finite
from dcpc.training.step import annotator_mode
from dcpc.tuner.acting import dcpc_tuner

RATER_LEARNING_RATE = 0.05
"""Of the raters' few numbers, which a policy's rate would leave where they started."""
SAMPLES, SAMPLE_TOKENS = 3, 48
"""Prompts that are answered at every evaluation, and the length of a reply."""
FEATURE_FLOOR = 1e-6


class RaterDPOTrainer(DPOTrainer):
    """DPO on all votes of a pair, with what sets their raters apart.

    Args:
        model: a causal language model without adapter.
        raters: who voted; trained with the policy, at a rate of its own.
        args: TRL's arguments; `loss_type` stays `["sigmoid"]`, whose noise model is the raters'.
        train_dataset: from `dcpc.preference.policy_data.vote_dataset`.
        eval_dataset: held-out pairs, or None.
        processing_class: the tokenizer.
        peft_config: the adapter, any of PEFT's methods or `DCPCConfig`. With `annotator_mode="prefix"` each vote is
            scored by the policy of its own rater.
        rater_learning_rate: of the raters.
        samples: prompts of the held-out pairs that are answered at every evaluation, for the log; 0 for none.
        sample_tokens: most tokens of such a reply.
        **kwargs: as for `trl.DPOTrainer`.

    Attributes:
        cut_notes: what was cut of the pairs, one sentence each.

    Raises:
        UsageError: an argument of TRL's that has no effect here was set.
        DataError: no pair fits into `max_length`.
    """

    def __init__(
        self,
        model: PreTrainedModel,
        raters: RaterModel,
        args: DPOConfig,
        train_dataset: Dataset,
        eval_dataset: Dataset | None = None,
        processing_class: PreTrainedTokenizerBase | None = None,
        peft_config: PeftConfig | None = None,
        rater_learning_rate: float = RATER_LEARNING_RATE,
        samples: int = SAMPLES,
        sample_tokens: int = SAMPLE_TOKENS,
        **kwargs: Any,
    ) -> None:
        check_arguments(model, args, peft_config, kwargs.get("ref_model"))
        self.raters, self.rater_learning_rate = raters, rater_learning_rate
        self._sums: dict[str, dict[str, Tally]] = {mode: defaultdict(Tally) for mode in ("train", "eval")}
        args.remove_unused_columns = True
        super().__init__(
            model=model,
            args=args,
            train_dataset=train_dataset,
            eval_dataset=eval_dataset,
            processing_class=processing_class,
            peft_config=peft_config,
            data_collator=kwargs.pop("data_collator", None) or self._collator(args, processing_class),
            **kwargs,
        )
        rows = self.train_dataset  # without those whose prompt fills `max_length`, which TRL leaves out
        self.cut_notes = cut_notes(rows, len(train_dataset), args.max_length, args.truncation_mode)
        self.n_pairs, self.n_votes = len(rows), sum(map(sum, rows["counts"]))
        self.sampled = self._sampled(samples, sample_tokens)
        self.add_callback(_ZeroGradients(raters))
        self.raters.to(self.accelerator.device)
        if self.raters.config.tastes > 0:
            self._fit_feature_scale()

    @staticmethod
    def _collator(args: DPOConfig, tokenizer: PreTrainedTokenizerBase | None) -> VoteCollator:
        if tokenizer is None:
            raise UsageError("the policy's tokenizer is needed.", fix="Pass processing_class.")
        if tokenizer.pad_token is None:
            tokenizer.pad_token = tokenizer.eos_token
        return VoteCollator(
            pad_token_id=tokenizer.pad_token_id,
            max_length=args.max_length,
            truncation_mode=args.truncation_mode,
            pad_to_multiple_of=args.pad_to_multiple_of,
        )

    def _set_signature_columns_if_needed(self) -> None:
        super()._set_signature_columns_if_needed()
        self._signature_columns: list[str] = [*self._signature_columns, *OURS]

    def _send_telemetry(self) -> None:
        """Nothing is reported to anybody."""

    # The loss

    def _compute_loss(self, model: Any, inputs: dict[str, Any], return_outputs: bool) -> Any:
        votes, counts = inputs["votes"], inputs["counts"]
        margins = self.margins(model, inputs)  # [J]
        log_p = self.raters(
            Comparison(margins, self._features_of(inputs)), self.raters.index(inputs["raters"])
        )
        chosen = log_p.gather(1, votes[:, None]).squeeze(1)  # [J]
        n_pairs = len(inputs["pair"])
        # A pair with more votes says more: votes count alike, whatever batch they are in.
        loss = -(chosen * counts).sum() / n_pairs * (self.n_pairs / self.n_votes)
        loss = loss + self._kl() / self.n_votes
        self._log_votes(margins.detach(), votes, log_p.detach(), counts)
        return (loss, {"margins": margins}) if return_outputs else loss

    def margins(self, model: Any, inputs: dict[str, Any]) -> Tensor:
        """Implicit reward margins β (log-ratio of a − log-ratio of b), one per vote [J].

        Votes on one pair have the same, unless raters act inside the policy.
        """
        index = inputs["pair_index"]
        batch = {name: value for name, value in inputs.items() if name not in OURS}
        reference = torch.stack(self.compute_ref_log_probs(model, batch))  # [2, P]
        tuner = dcpc_tuner(self.accelerator.unwrap_model(model))
        options: dict[str, Any] = {}
        personal = tuner is not None and annotator_mode(tuner) == "prefix"
        if tuner is not None and personal:
            who = tuner.annotator_index(inputs["raters"]).to(index.device)  # [J]
            both = torch.cat([index, index + len(inputs["pair"])])
            batch = {name: value[both] for name, value in batch.items()}  # 2J rows
            options["annotator_ids"] = torch.cat([who, who])
        if tuner is not None and tuner.active_config is not None and tuner.active_config.correction:
            # One ε for the batch: two sides must differ by their tokens, not by their noise.
            noise = torch.randn(1, tuner.active_config.num_styles, device=index.device) * model.training
            options["noise"] = noise.expand(len(batch["input_ids"]), -1)
        policy = self._log_probs(model, batch, options)  # [2, P] or [2, J]
        policy, reference = (
            (policy, reference[:, index]) if personal else (policy[:, index], reference[:, index])
        )
        ratios = policy - reference  # [2, J]
        return self.beta * (ratios[0] - ratios[1])

    def _log_probs(self, model: Any, batch: dict[str, Any], options: dict[str, Any]) -> Tensor:
        """Log-probabilities of both sides' responses, [2, rows]."""
        labels = batch["input_ids"].masked_fill(batch["completion_mask"] == 0, -100)
        tokens = {"input_ids": batch["input_ids"], "attention_mask": batch["attention_mask"]}
        found = model(**tokens, **options, labels=labels, use_cache=False, fused_lm_head=True).log_probs
        length = labels.shape[1] - 1
        return torch.stack(found[:, -length:].sum(dim=1).chunk(2))

    def _kl(self) -> Tensor:
        """Of everything that is known of raters: their votes' effects, and preferences inside the policy."""
        tuner = dcpc_tuner(self.accelerator.unwrap_model(self.model))
        inside = tuner is not None and annotator_mode(tuner) == "prefix"
        return self.raters.kl() + (tuner.annotator_kl() if inside and tuner is not None else 0.0)

    # Features of responses, which tastes weigh

    @torch.no_grad()
    def _fit_feature_scale(self) -> None:
        """Scale each feature by its root mean square over the training pairs."""
        total, n = torch.zeros(self.raters.n_features or 0, device=self.accelerator.device), 0
        for batch in self.get_eval_dataloader(self.train_dataset):
            total += self._raw_features(self._prepare_inputs(batch)).square().sum(dim=0)
            n += len(batch["pair"])
        self.raters.feature_scale.copy_((total / max(n, 1)).sqrt().clamp(min=FEATURE_FLOOR))

    def _features_of(self, inputs: dict[str, Any]) -> Tensor | None:
        """Features of a less those of b, of every vote's pair [J, H]; None without tastes."""
        if self.raters.config.tastes == 0:
            return None
        return self._raw_features(inputs)[inputs["pair_index"]]

    @torch.no_grad()
    def _raw_features(self, inputs: dict[str, Any]) -> Tensor:
        """Mean state of a response's tokens in the reference, a less b [P, H]."""
        model = self.accelerator.unwrap_model(self.model)
        base: Any = model.get_base_model()
        tokens = {"input_ids": inputs["input_ids"], "attention_mask": inputs["attention_mask"]}
        training = model.training
        model.eval()
        with model.disable_adapter(), self.accelerator.autocast():
            states = base(
                **tokens, output_hidden_states=True, use_cache=False, logits_to_keep=1
            ).hidden_states[-1]
        model.train(training)
        mean = mean_of_tokens(states, inputs["completion_mask"])  # [2P, H]
        first, second = mean.chunk(2)
        return first - second

    # What is logged, trained and kept besides the policy

    def _log_votes(self, margins: Tensor, votes: Tensor, log_p: Tensor, counts: Tensor) -> None:
        sign = torch.tensor(self.raters.scale.sign, device=votes.device)[votes]  # [J]
        towards, sided = sign * margins, counts * (sign != 0)
        sums = self._sums["train" if self.model.training else "eval"]
        sums["rewards/accuracies"].add(towards > 0, sided)
        sums["rewards/margins"].add(towards, sided)
        sums["votes/accuracies"].add(log_p.argmax(dim=1) == votes, counts)
        sums["votes/log_loss"].add(-log_p.gather(1, votes[:, None])[:, 0], counts)

    def log(self, logs: dict[str, Any], start_time: float | None = None) -> None:
        """As TRL's, with figures that are means over votes, or over tokens, and not over batches of unequal size."""
        mode = "train" if self.model.training else "eval"
        for name, tally in self._sums[mode].items():
            if tally.total > 0:
                self._metrics[mode][name] = [tally.mean]
        self._sums[mode].clear()
        super().log(logs, start_time)

    @torch.no_grad()
    def prediction_step(
        self,
        model: Any,
        inputs: dict[str, Any],
        prediction_loss_only: bool,
        ignore_keys: list[str] | None = None,
    ) -> tuple[Tensor, None, None]:
        """Loss of held-out votes, and the KL of the policy to the reference at the tokens of the responses."""
        inputs = self._prepare_inputs(inputs)
        with self.compute_loss_context_manager():
            loss = self.compute_loss(model, inputs)
            kl = self._token_kl(model, inputs)
            self._sums["eval"]["kl"].add(kl, torch.ones_like(kl))
        return loss, None, None

    def _sampled(self, n: int, n_tokens: int) -> SampledPrompts | None:
        data = self.eval_dataset
        if not n or not isinstance(data, Dataset) or not len(data):
            return None
        shown = (prompt if isinstance(prompt, str) else prompt[-1]["content"] for prompt in data["prompt"])
        distinct = dict(zip(shown, data["prompt_ids"], strict=True))
        return SampledPrompts(dict(islice(distinct.items(), n)), self.processing_class, n_tokens)

    def evaluate(self, *args: Any, **kwargs: Any) -> dict[str, float]:
        """As TRL's, with sample replies in the log beside the figures: `report_to` and `history` have them."""
        figures = super().evaluate(*args, **kwargs)
        if self.sampled is not None:
            samples = self.sampled.answered(self.accelerator.unwrap_model(self.model))
            self.log({"eval_samples": as_markdown(samples)})
        return figures

    def _token_kl(self, model: Any, inputs: dict[str, Any]) -> Tensor:
        """KL(π ‖ π_ref) at every response token, of the pool's policy, in nats [tokens]."""
        tokens = {
            "input_ids": inputs["input_ids"],
            "attention_mask": inputs["attention_mask"],
            "use_cache": False,
        }
        mask = inputs["completion_mask"][:, 1:] > 0  # [2P, n-1]
        policy = model(**tokens).logits[:, -mask.shape[1] - 1 : -1][mask].float().log_softmax(dim=-1)
        with self.accelerator.unwrap_model(model).disable_adapter():
            reference = model(**tokens).logits[:, -mask.shape[1] - 1 : -1][mask].float().log_softmax(dim=-1)
        return (policy.exp() * (policy - reference)).sum(dim=-1)

    def create_optimizer(self, *args: Any, **kwargs: Any) -> torch.optim.Optimizer:
        """TRL's optimizer of the policy, and a group for the raters."""
        fresh = self.optimizer is None
        optimizer = super().create_optimizer(*args, **kwargs)
        if fresh:
            ours = [p for p in self.raters.parameters() if p.requires_grad]
        if fresh and ours:
            optimizer.add_param_group({"params": ours, "lr": self.rater_learning_rate, "weight_decay": 0.0})
        return optimizer

    def training_step(self, *args: Any, **kwargs: Any) -> Tensor:
        """One step; stops where the loss is no number."""
        self.raters.train()
        loss = super().training_step(*args, **kwargs)
        check_finite(loss.item(), "loss", self.state.global_step, self.args.output_dir)
        return loss

    def evaluation_loop(self, *args: Any, **kwargs: Any) -> Any:
        """As TRL's, with raters at their means; the loss is the log-loss of a vote, by which the epoch is chosen."""
        self.raters.eval()
        self._sums["eval"].clear()
        found = super().evaluation_loop(*args, **kwargs)
        of_votes = self._sums["eval"]["votes/log_loss"]
        for name in [name for name in found.metrics if name.endswith("_loss") and of_votes.total > 0]:
            found.metrics[name] = of_votes.mean
        return found

    def _save(self, output_dir: str | None = None, state_dict: Any = None) -> None:
        super()._save(output_dir, state_dict)
        self.raters.save(Path(output_dir or self.args.output_dir))

    def _load_from_checkpoint(self, resume_from_checkpoint: str, model: Any = None) -> None:
        super()._load_from_checkpoint(resume_from_checkpoint, model)
        self._load_raters(resume_from_checkpoint)

    def _load_best_model(self) -> None:
        super()._load_best_model()
        self._load_raters(self.state.best_model_checkpoint)

    def _load_raters(self, folder: str | None) -> None:
        if folder is not None and (Path(folder) / WEIGHTS).is_file():
            self.raters.load_state_dict(RaterModel.load(Path(folder)).state_dict())


class _ZeroGradients(TrainerCallback):
    """The Trainer forgets the gradients of its model after a step, and the raters are not part of it."""

    def __init__(self, raters: RaterModel) -> None:
        self.raters = raters

    def on_optimizer_step(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        self.raters.zero_grad()
