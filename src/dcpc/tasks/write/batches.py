"""Examples as batches: padded, or several replies of one writer packed into a row."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import Dataset

from dcpc.tasks.write.prompts import Example, PromptFormat
from dcpc.tasks.write.replies import Replies

IGNORED = -100
"""Label of tokens that are read and not learned."""

UNKNOWN = -1
"""Number of a writer whom the adapter does not know: nobody's style, the dominant one."""


class ReplyDataset(Dataset[dict[str, Any]]):
    """Every reply of some chats as an example, with the number of its writer.

    Args:
        replies: of R rows; a chat of several turns gives an example for each of its replies.
        format: how chats become tokens.
        writer_index: writer → number in the adapter; others count as unknown.
        last_only: only the last reply of a chat, so that there are R examples.
    """

    def __init__(
        self,
        replies: Replies,
        format: PromptFormat,
        writer_index: Mapping[str, int] | None = None,
        *,
        last_only: bool = False,
    ) -> None:
        self.examples: list[Example] = []
        self.writers: list[int] = []
        known = writer_index or {}
        for prompt, response, name in zip(
            replies.prompts, replies.responses, replies.writer_ids, strict=True
        ):
            said = {"role": "assistant", "content": response}
            made = [format.example(prompt, response)] if last_only else format.examples([*prompt, said])
            self.examples += made
            self.writers += [known.get(name or "", UNKNOWN)] * len(made)

    def __len__(self) -> int:
        return len(self.examples)

    def __getitem__(self, number: int) -> dict[str, Any]:
        """`prompt` and `reply` (token ids), `writer` (its number)."""
        example = self.examples[number]
        return {"prompt": example.prompt, "reply": example.reply, "writer": self.writers[number]}

    @property
    def lengths(self) -> list[int]:
        """Tokens of every example."""
        return [len(example.prompt) + len(example.reply) for example in self.examples]

    @property
    def n_learned(self) -> int:
        """Tokens of all replies."""
        return sum(len(example.reply) for example in self.examples)


@dataclass(frozen=True)
class ReplyCollator:
    """Pads B examples to the longest: `input_ids`, `attention_mask`, `labels` [B,n] and `annotator_ids` [B].

    Labels are told by position, not by the padding's id: where that is the end token, as in many causal models, the
    end of a reply is learned all the same.

    Args:
        pad_id: token of the padding; anything, as nothing attends to it.
        side: where the padding goes. On the left, replies end together, and only the last tokens need logits.
    """

    pad_id: int
    side: str = "left"

    def __call__(self, examples: Sequence[Mapping[str, Any]]) -> dict[str, Tensor]:
        """Make one batch."""
        width = max(len(example["prompt"]) + len(example["reply"]) for example in examples)
        size = (len(examples), width)
        tokens = torch.full(size, self.pad_id)
        mask, labels = torch.zeros(size, dtype=torch.long), torch.full(size, IGNORED)
        for row, example in enumerate(examples):
            ids = [*example["prompt"], *example["reply"]]
            start = width - len(ids) if self.side == "left" else 0
            reply = slice(start + len(example["prompt"]), start + len(ids))
            tokens[row, start : start + len(ids)] = torch.tensor(ids)
            mask[row, start : start + len(ids)] = 1
            labels[row, reply] = torch.tensor(example["reply"], dtype=torch.long)
        writers = torch.tensor([example["writer"] for example in examples])
        return {"input_ids": tokens, "attention_mask": mask, "labels": labels, "annotator_ids": writers}


@dataclass(frozen=True)
class PackingCollator:
    """Lays the examples of a batch end to end: one row for each writer, B' rows.

    Positions begin anew with every example, by which the attention keeps them apart (there is no attention mask). A
    row has one writer, because a forward pass has one writer a row.

    Args:
        pad_id: token that fills rows up; it begins an example of its own, which is not learned.
    """

    pad_id: int

    def __call__(self, examples: Sequence[Mapping[str, Any]]) -> dict[str, Tensor]:
        """Make one batch: `input_ids`, `position_ids` and `labels` [B',n], and `annotator_ids` [B']."""
        by_writer: dict[int, list[Mapping[str, Any]]] = {}
        for example in examples:
            by_writer.setdefault(example["writer"], []).append(example)
        rows = [_packed(group) for group in by_writer.values()]
        width = max(len(tokens) for tokens, _, _ in rows)
        batch: dict[str, list[list[int]]] = {"input_ids": [], "position_ids": [], "labels": []}
        for tokens, positions, labels in rows:
            rest = width - len(tokens)
            batch["input_ids"].append(tokens + [self.pad_id] * rest)
            batch["position_ids"].append(positions + list(range(rest)))
            batch["labels"].append(labels + [IGNORED] * rest)
        made = {name: torch.tensor(values) for name, values in batch.items()}
        return {**made, "annotator_ids": torch.tensor(list(by_writer))}


def _packed(examples: Sequence[Mapping[str, Any]]) -> tuple[list[int], list[int], list[int]]:
    tokens: list[int] = []
    positions: list[int] = []
    labels: list[int] = []
    for example in examples:
        ids = [*example["prompt"], *example["reply"]]
        tokens += ids
        positions += range(len(ids))
        labels += [IGNORED] * len(example["prompt"]) + list(example["reply"])
    return tokens, positions, labels
