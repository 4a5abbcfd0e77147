"""What `dcpc.preference.dpo.RaterDPOTrainer` takes: TRL, its arguments, and batches of pairs with all their votes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from peft import PeftConfig, PeftModel

from dcpc.errors import UsageError

try:
    from trl import DPOConfig, DPOTrainer
    from trl.trainer.dpo_trainer import DataCollatorForPreference
except ImportError as error:
    raise UsageError("DPO runs on TRL, which is not installed.", fix="pip install 'dcpc[trl]'") from error

__all__ = ["OURS", "DPOConfig", "DPOTrainer", "VoteCollator", "check_arguments"]

OURS = ("votes", "raters", "counts", "pair_index", "pair")
"""Fields of a batch that are not TRL's."""


@dataclass
class VoteCollator(DataCollatorForPreference):
    """TRL's batch of P pairs, side a in the first half and b in the second, and the flat list of their J votes.

    Adds `votes` [J] (positions of labels), `counts` [J] (what each counts for: 1, or a label's share), `pair_index`
    [J] (position in the batch of the vote's pair) and `pair` [P] (number of the pair in the data set). Raters stay
    ids, in the list `raters`.
    """

    def torch_call(self, examples: list[dict[str, Any]]) -> dict[str, Any]:
        """Make one batch."""
        batch = super().torch_call(examples)
        batch["votes"] = torch.tensor([vote for example in examples for vote in example["votes"]])
        batch["counts"] = torch.tensor([part for example in examples for part in example["counts"]])
        batch["raters"] = [rater for example in examples for rater in example["raters"]]
        counts = torch.tensor([len(example["votes"]) for example in examples])
        batch["pair_index"] = torch.repeat_interleave(torch.arange(len(examples)), counts)
        batch["pair"] = torch.tensor([example["pair"] for example in examples])
        return batch


def check_arguments(model: Any, args: DPOConfig, peft_config: PeftConfig | None, ref_model: Any) -> None:
    """Refuse what would have no effect where raters say what noise there is, and the reference is the base model.

    Raises:
        UsageError: such an argument was set.
    """
    if peft_config is None or isinstance(model, PeftModel):
        raise UsageError(
            "the reference is the base model with the adapter off, so the policy has to be a new adapter.",
            fix="Pass the base model, and peft_config=LoraConfig(...), DCPCConfig(...) or another.",
        )
    if ref_model is not None:
        raise UsageError(
            "the reference is the base model with the adapter off, so `ref_model` has no place.",
            fix="Leave it out, or train with trl.DPOTrainer, where both need the same tokenizer.",
        )
    for name, usual in (("label_smoothing", 0.0), ("use_weighting", False), ("ld_alpha", None)):
        if getattr(args, name) != usual:
            raise UsageError(
                f"`{name}` has no effect with raters: what it stands for is in their errors.",
                fix="Leave it out, or train with trl.DPOTrainer.",
            )
    if list(args.loss_type) != ["sigmoid"] or args.f_divergence_type != "reverse_kl":
        raise UsageError(
            "votes have a likelihood, so the loss cannot be another one.",
            fix="Leave loss_type and f_divergence_type out, or train with trl.DPOTrainer.",
        )
