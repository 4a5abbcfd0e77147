"""Rewards of single responses, as for choosing the best of several: anybody's, or each rater's own."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import torch
from tqdm.auto import tqdm

from dcpc.errors import DataError, ModelError, UsageError
from dcpc.names import check_name
from dcpc.preference.pairs import Chat, Response
from dcpc.preference.responses import padded
from dcpc.tasks.prefer import Prefer

if TYPE_CHECKING:
    from dcpc.adapter import TrainedAdapter
    from dcpc.preference.raters import RaterModel
    from dcpc.tasks.write import Replies

FORMS = ("consensus", "annotators")
LARGEST_CROSS = 10_000_000
"""Rewards above which scoring every response by every rater is refused."""


@torch.no_grad()
def score_responses(
    adapter: TrainedAdapter,
    prompts: Sequence[str | Chat],
    responses: Sequence[str],
    as_: str = "consensus",
    *,
    batch_size: int = 64,
    progress: bool = False,
) -> tuple[np.ndarray, list[str]]:
    """Rewards of responses to their prompts; see `TrainedAdapter.reward`.

    Returns:
        Rewards [R], or those of each rater [R, A], and what was cut, one sentence each.
    """
    check_name(as_, FORMS, "form of rewards")
    shape = adapter.shape
    if not isinstance(shape, Prefer):
        raise UsageError(
            f"the adapter was trained to {shape.name}, and gives no rewards.",
            fix="Train one on votes between responses: dcpc train --task prefer.",
        )
    limit = adapter.task.max_length
    fitted = shape.encode_responses(_responses(prompts, responses), adapter.tokenizer, limit)
    raters = _with_tastes(adapter, len(fitted)) if as_ == "annotators" else None
    rewards = np.zeros(len(fitted) if raters is None else (len(fitted), len(raters.raters)))
    adapter.model.eval()
    order = sorted(range(len(fitted)), key=lambda row: -len(fitted[row].ids))
    steps = range(0, len(order), batch_size)
    for start in tqdm(steps, "Scoring", unit="batch", disable=not progress, leave=False):
        rows = order[start : start + batch_size]
        tokens = padded([fitted[row].ids for row in rows], adapter.tokenizer)
        inputs = {name: value.to(adapter.device) for name, value in tokens.items()}
        found, features = shape.scored(adapter.model, inputs, features=raters is not None)
        if raters is not None and features is not None:
            found = found[:, None] + raters.tastes_of_responses(features)  # [R, A]
        rewards[rows] = found.cpu().numpy()
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


def _with_tastes(adapter: TrainedAdapter, n_responses: int) -> RaterModel:
    """The raters, where each has a reward of their own.

    Raises:
        UsageError: nobody has a taste, or the table would be too large.
    """
    from dcpc.preference.rule import PreferRule

    raters = adapter.rule.raters if isinstance(adapter.rule, PreferRule) else None
    if raters is None or not raters.raters:
        raise UsageError(
            "the adapter knows no raters, so there is one reward only.",
            fix="Leave --as annotators out, or train on votes of two raters or more (annotator_id).",
        )
    raters.tastes_of_responses(torch.zeros(0, raters.n_features or 0, device=adapter.device))  # or refuses
    if n_responses * len(raters.raters) > LARGEST_CROSS:
        raise UsageError(
            f"{len(raters.raters):,} raters on {n_responses:,} responses are "
            f"{n_responses * len(raters.raters):,} rewards.",
            fix=f"Give fewer responses at a time: at most {LARGEST_CROSS // len(raters.raters):,}.",
        )
    return raters


def reward_table(
    adapter: TrainedAdapter,
    replies: Replies,
    as_: str = "consensus",
    *,
    best: bool = False,
    batch_size: int = 64,
    progress: bool = False,
) -> tuple[pd.DataFrame, list[str]]:
    """Rewards of replies as a table, in the order of the rows.

    Args:
        adapter: trained on votes between responses.
        replies: R rows.
        as_: `consensus`: the reward of every response. `annotators`: a row for every response and rater, with the
            rater's own reward of it.
        best: keep only the row of the best response to each prompt (for each rater); the first of equal ones.
        batch_size: responses per forward pass.
        progress: show a progress bar.

    Returns:
        `item_id`, `text` (or `messages` as JSON, where a prompt has several turns), `response`, the file's other
        columns, of each rater `annotator_id`, `reward`, and `rank` among the responses to the prompt, 1 for the
        best; and what was cut.
    """
    rewards, notes = score_responses(
        adapter, replies.prompts, replies.responses, as_, batch_size=batch_size, progress=progress
    )
    plain = all(len(prompt) == 1 for prompt in replies.prompts)
    shown = [
        prompt[0]["content"] if plain else json.dumps(prompt, ensure_ascii=False)
        for prompt in replies.prompts
    ]
    own = ["item_id", "text" if plain else "messages", "response"]
    table = replies.table.drop(columns="prompt").assign(**{own[1]: shown})
    table = table[[*own, *(name for name in table if name not in own)]]
    judges = ["item_id"]
    if as_ == "annotators":
        if "annotator_id" in table:
            table = table.drop(columns="annotator_id")
            notes = [
                *notes,
                "The data's own annotator_id was left out: here it names who would give the reward.",
            ]
        names = adapter.annotators
        table = table.loc[table.index.repeat(len(names))].reset_index(drop=True)
        table["annotator_id"] = names * len(rewards)
        judges.append("annotator_id")
    table = table.assign(reward=rewards.reshape(-1))
    of_prompt = table.groupby(judges, sort=False)["reward"]
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
