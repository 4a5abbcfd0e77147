"""Many questions behind one long beginning, which a causal model reads once."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from dcpc.tasks.continuations import (
    NONE,
    left_padded,
    positions,
    prompts_and_continuations,
    score_continuations,
    summed,
    takes_branches,
    tree_mask,
)

Ids = Sequence[int]
KEPT = 8
"""Positions whose keys and values a pass may hold, for each token that it may read: every row has its own prefix."""


def answers_behind(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    prefix: Ids,
    questions: Sequence[Ids],
    answers: Sequence[Ids],
    tokens: int,
) -> Tensor:
    """Log-likelihoods of answers behind prefix and question, float32 [J, C].

    The prefix is read once and its keys and values are kept; question and answers are read behind it. Where a model
    cannot do that (recurrent layers, a window that is shorter), every question is read with a prefix of its own.

    Args:
        model: a causal language model.
        tokenizer: its own.
        prefix: P tokens; may be none.
        questions: J token lists of one token or more.
        answers: C token lists.
        tokens: most per pass, roughly.
    """
    added = sum(len(answer) - 1 for answer in answers)
    whole = len(prefix) + max(map(len, questions)) + added
    shares = len(prefix) > 0 and len(questions) > 1 and takes_branches(model, whole)
    order = sorted(range(len(questions)), key=lambda j: -len(questions[j]))
    found = torch.empty(len(questions), len(answers))
    with torch.inference_mode():
        ids = torch.tensor([list(prefix)], device=model.device)
        past = model(input_ids=ids, use_cache=True, logits_to_keep=1).past_key_values if shares else None
        start = 0
        while start < len(order):
            longest = len(questions[order[start]]) + added + (0 if shares else len(prefix))
            most = min(tokens // longest, KEPT * tokens // (len(prefix) + longest))
            rows = order[start : start + max(1, most)]
            batch = [questions[row] if shares else [*prefix, *questions[row]] for row in rows]
            fields = [{"input_ids": list(each), "continuations": answers} for each in batch]
            inputs = {k: v.to(model.device) for k, v in prompts_and_continuations(fields, tokenizer).items()}
            scores = (
                score_continuations(model, inputs).scores if past is None else _behind(model, past, inputs)
            )
            found[rows] = scores.float().cpu()
            start += len(rows)
    return found


def _behind(model: PreTrainedModel, past: Any, inputs: dict[str, Tensor]) -> Tensor:
    """Log-likelihoods [B, C] behind a prefix that was read.

    Args:
        model: that read it.
        past: keys and values of P positions of one row; left as they are.
        inputs: of `prompts_and_continuations`, for the questions alone.
    """
    questions, mask = left_padded(inputs["input_ids"], inputs["attention_mask"])  # [B, n]
    continuations = inputs["continuations"]  # [B, C, k]
    n_rows, n_answers, k = continuations.shape
    read, branches = past.get_seq_length(), continuations[:, :, :-1]  # [B, C, k−1]
    before = torch.cat([mask.new_ones(n_rows, read), mask], dim=1)  # [B, P+n]
    behind = read + mask.sum(dim=1, keepdim=True) + torch.arange(k - 1, device=mask.device).repeat(n_answers)
    cache = copy.deepcopy(past)
    cache.batch_repeat_interleave(n_rows)
    logits = model(
        input_ids=torch.cat([questions, branches.clamp(min=0).flatten(1)], dim=1),
        attention_mask=tree_mask(before, branches != NONE, model.dtype)[:, :, read:],  # [B, 1, n+C(k−1), P+…]
        position_ids=torch.cat([read + positions(mask), behind], dim=1),
        past_key_values=cache,
        logits_to_keep=n_answers * (k - 1) + 1,
    ).logits.float()
    log_p = logits.log_softmax(dim=-1)  # [B, 1+C(k−1), V]
    ids = continuations.clamp(min=0)
    first = log_p[:, 0].gather(-1, ids[:, :, 0])  # [B, C]
    later = log_p[:, 1:].unflatten(1, (n_answers, k - 1)).gather(-1, ids[:, :, 1:, None]).squeeze(-1)
    taken = torch.cat([first.unsqueeze(-1), later], dim=-1)  # [B, C, k]
    return summed(taken, continuations, normalise=False)
