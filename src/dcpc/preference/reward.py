"""Rewards of single responses, as for choosing the best of several."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import torch
from tqdm.auto import tqdm

from dcpc.errors import DataError, ModelError, UsageError
from dcpc.preference.pairs import Chat, Response
from dcpc.preference.responses import padded
from dcpc.tasks.prefer import Prefer

if TYPE_CHECKING:
    from dcpc.adapter import TrainedAdapter
    from dcpc.tasks.write import Replies


@torch.no_grad()
def score_responses(
    adapter: TrainedAdapter,
    prompts: Sequence[str | Chat],
    responses: Sequence[str],
    *,
    batch_size: int = 64,
    progress: bool = False,
) -> tuple[np.ndarray, list[str]]:
    """Rewards of responses to their prompts; see `TrainedAdapter.reward`.

    Returns:
        Rewards [R], and what was cut, one sentence each.
    """
    shape = adapter.shape
    if not isinstance(shape, Prefer):
        raise UsageError(
            f"the adapter was trained to {shape.name}, and gives no rewards.",
            fix="Train one on votes between responses: dcpc train --task prefer.",
        )
    limit = adapter.task.max_length
    fitted = shape.encode_responses(_responses(prompts, responses), adapter.tokenizer, limit)
    rewards = np.zeros(len(fitted))
    adapter.model.eval()
    order = sorted(range(len(fitted)), key=lambda row: -len(fitted[row].ids))
    steps = range(0, len(order), batch_size)
    for start in tqdm(steps, "Scoring", unit="batch", disable=not progress, leave=False):
        rows = order[start : start + batch_size]
        tokens = padded([fitted[row].ids for row in rows], adapter.tokenizer)
        logits = adapter.model(**{name: value.to(adapter.device) for name, value in tokens.items()}).logits
        rewards[rows] = logits.float().squeeze(-1).cpu().numpy()
    if not np.isfinite(rewards).all():
        raise ModelError(
            "rewards are not finite numbers: the training has diverged, or the weights were altered.",
            fix="Train again with a lower learning_rate, or restore the adapter's files.",
        )
    cut = sum(one.cut_prompt + one.cut_response > 0 for one in fitted)
    notes = (
        [f"{cut:,} of {len(fitted):,} responses were too long with their prompt and were cut."] if cut else []
    )
    return rewards, notes


def reward_table(
    adapter: TrainedAdapter,
    replies: Replies,
    *,
    best: bool = False,
    batch_size: int = 64,
    progress: bool = False,
) -> tuple[pd.DataFrame, list[str]]:
    """Rewards of replies as a table, in the order of the rows.

    Args:
        adapter: trained on votes between responses.
        replies: R rows.
        best: keep only the row of the best response to each prompt; the first of equal ones.
        batch_size: responses per forward pass.
        progress: show a progress bar.

    Returns:
        `item_id`, `text` (or `messages` as JSON, where a prompt has several turns), `response`, the file's other
        columns, `reward`, and `rank` among the responses to the prompt, 1 for the best; and what was cut.
    """
    rewards, notes = score_responses(
        adapter, replies.prompts, replies.responses, batch_size=batch_size, progress=progress
    )
    plain = all(len(prompt) == 1 for prompt in replies.prompts)
    shown = [
        prompt[0]["content"] if plain else json.dumps(prompt, ensure_ascii=False)
        for prompt in replies.prompts
    ]
    own = ["item_id", "text" if plain else "messages", "response"]
    table = replies.table.drop(columns="prompt").assign(**{own[1]: shown})
    table = table[[*own, *(name for name in table if name not in own)]].assign(reward=rewards)
    of_prompt = table.groupby("item_id", sort=False)["reward"]
    table["rank"] = of_prompt.rank(ascending=False, method="first").astype(int)
    return (table[table["rank"] == 1].reset_index(drop=True) if best else table), notes


def _responses(prompts: Sequence[str | Chat], responses: Sequence[str]) -> list[Response]:
    if isinstance(prompts, str) or isinstance(responses, str) or len(prompts) != len(responses):
        raise UsageError(
            "rewards need as many prompts as responses, in two lists.",
            fix="Repeat a prompt for each response.",
        )
    if not len(prompts):
        raise DataError("there are no responses to score.", fix="Give at least one.")
    found = []
    for row, (prompt, response) in enumerate(zip(prompts, responses, strict=True)):
        if not isinstance(response, str) or not response.strip():
            raise DataError("the response is empty.", where=f"response {row}", fix="Leave it out.")
        turns = [{"role": "user", "content": prompt}] if isinstance(prompt, str) else list(prompt)
        if not turns or not all(
            isinstance(turn, Mapping) and {"role", "content"} <= set(turn) for turn in turns
        ):
            raise DataError(
                "a prompt is a text, or a list of turns, each with a role and a content.",
                where=f"prompt {row}",
                fix='Write it as [{"role": "user", "content": "..."}].',
            )
        found.append(Response(turns, [{"role": "assistant", "content": response}]))
    return found
