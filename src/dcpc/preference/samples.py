"""What a policy writes while it is trained, beside what the reference writes: the log's samples."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from peft import PeftModel
from transformers import GenerationConfig, PreTrainedTokenizerBase

MOST_SHOWN = 600
"""Characters of a prompt or reply that the log shows."""


@dataclass(frozen=True)
class Sample:
    """A prompt and what is written to it.

    Attributes:
        prompt: its text.
        reference: the reply of the base model.
        policy: that of the policy.
    """

    prompt: str
    reference: str
    policy: str


class SampledPrompts:
    """A few prompts that are answered at every evaluation, always with the most probable tokens.

    Args:
        prompts: tokens of N prompts, ready to be answered, by what the log shows of them.
        tokenizer: of the policy.
        n_tokens: most tokens of a reply.
    """

    def __init__(
        self, prompts: Mapping[str, Sequence[int]], tokenizer: PreTrainedTokenizerBase, n_tokens: int
    ) -> None:
        self.prompts, self.tokenizer, self.n_tokens = prompts, tokenizer, n_tokens
        self._reference: list[str] | None = None

    def answered(self, model: PeftModel) -> list[Sample]:
        """The policy's replies, N of them, and the reference's, which are written once."""
        if self._reference is None:
            with model.disable_adapter():
                self._reference = self._replies(model)
        written = zip(self.prompts, self._reference, self._replies(model), strict=True)
        return [Sample(*each) for each in written]

    @torch.no_grad()
    def _replies(self, model: Any) -> list[str]:
        ends = model.generation_config.eos_token_id
        how = GenerationConfig(
            max_new_tokens=self.n_tokens,
            do_sample=False,
            pad_token_id=self.tokenizer.pad_token_id,
            eos_token_id=self.tokenizer.eos_token_id if ends is None else ends,
        )
        training = model.training
        model.eval()
        found = []
        for ids in self.prompts.values():  # one by one: nothing is padded
            tokens = torch.tensor([list(ids)], device=model.device)
            written = model.generate(
                input_ids=tokens, attention_mask=torch.ones_like(tokens), generation_config=how
            )
            found.append(self.tokenizer.decode(written[0, len(ids) :], skip_special_tokens=True).strip())
        model.train(training)
        return found


def as_markdown(samples: Sequence[Sample]) -> str:
    """Samples as Markdown, long texts shortened; TensorBoard and model cards show it."""
    parts = [
        f"**Prompt** {_line(each.prompt)}\n\n**Before** {_line(each.reference)}\n\n**After** {_line(each.policy)}"
        for each in samples
    ]
    return "\n\n---\n\n".join(parts)


def _line(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= MOST_SHOWN else f"{line[:MOST_SHOWN]} …"
