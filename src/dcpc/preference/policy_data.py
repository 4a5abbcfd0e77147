"""What policies are trained on: votes as rows of DPO with raters, or of TRL's own losses; and what TRL cuts."""

from __future__ import annotations

from typing import Any

import pandas as pd
from datasets import Dataset
from transformers import PreTrainedTokenizerBase

from dcpc.data import Annotations
from dcpc.data.raw import count
from dcpc.errors import DataError, UsageError
from dcpc.preference.pairs import (
    as_prompt_and_completion,
    checked_pairs,
    pair_items,
    vote_scale,
    votes_by_item,
)


def vote_dataset(annotations: Annotations, tokenizer: PreTrainedTokenizerBase) -> Dataset:
    """One row per pair, for `RaterDPOTrainer`.

    Args:
        annotations: votes between two responses.
        tokenizer: of the policy; with a chat template, rows are conversations.

    Returns:
        `prompt`, `chosen` (the response a), `rejected` (b), and lists `votes` (positions in `annotations.labels`),
        `raters` (ids, empty where unknown) and `counts` (1, or a label's share where the pair has shares of labels),
        and the pair's number `pair`.
    """
    rows = _sides(annotations, tokenizer)
    codes, weights = annotations.label_codes, annotations.weights
    who = annotations.table["annotator_id"].fillna("") if annotations.has_annotators else None
    for number, (row, places) in enumerate(zip(rows, votes_by_item(annotations), strict=True)):
        row["votes"] = [int(codes[place]) for place in places]
        row["raters"] = [""] * len(places) if who is None else [str(who.iloc[place]) for place in places]
        row["counts"] = [1.0 if weights is None else float(weights[place]) for place in places]
        row["pair"] = number
    return Dataset.from_list(rows)


def chosen_dataset(
    annotations: Annotations, tokenizer: PreTrainedTokenizerBase, *, majority: bool = False
) -> Dataset:
    """`prompt`, `chosen` and `rejected`, one row per vote or per pair with a majority, for TRL's own trainers.

    Ties are left out: these losses have no place for them.

    Raises:
        UsageError: nothing but ties, or a row per vote is asked for where pairs have shares of labels.
    """
    sign = pd.Series(vote_scale(annotations).sign)[annotations.label_codes].to_numpy()
    if annotations.weights is not None:
        if not majority:
            raise UsageError(
                "the pairs have shares of labels, and no single votes that could be rows.",
                where=annotations.source,
                fix="Take the majority (majority=True), or train with raters, whose loss counts shares.",
            )
        sign = sign * annotations.weights
    chosen = []
    for row, places in zip(_sides(annotations, tokenizer), votes_by_item(annotations), strict=True):
        signs = [sum(sign[place] for place in places)] if majority else [sign[place] for place in places]
        turned = {"prompt": row["prompt"], "chosen": row["rejected"], "rejected": row["chosen"]}
        chosen += [row if vote > 0 else turned for vote in signs if vote != 0]
    if not chosen:
        raise UsageError(
            "all votes are ties, and nothing was chosen.",
            where=annotations.source,
            fix="Train with raters, whose likelihood has ties.",
        )
    return Dataset.from_list(chosen)


def _sides(annotations: Annotations, tokenizer: PreTrainedTokenizerBase) -> list[dict[str, Any]]:
    pairs = checked_pairs(pair_items(annotations), annotations.source)
    rows = []
    for a, b in pairs:
        (prompt, first), (_, second) = (as_prompt_and_completion(side, tokenizer) for side in (a, b))
        rows.append({"prompt": prompt, "chosen": first, "rejected": second})
    return rows


def cut_notes(rows: Dataset, n_pairs: int, max_length: int | None, mode: str) -> list[str]:
    """What TRL leaves out and cuts of tokenised pairs, counted, one sentence each.

    Args:
        rows: with `prompt_ids`, `chosen_ids` and `rejected_ids`, of the pairs that are left.
        n_pairs: how many there were.
        max_length: tokens after which TRL cuts a prompt with its response; None for never.
        mode: which tokens it keeps, `keep_start` or `keep_end`.

    Raises:
        DataError: no pair is left.
    """
    if max_length is None:
        return []
    limit = f"max_length={max_length}"
    if not len(rows):
        raise DataError(
            f"every prompt fills the {max_length} tokens that a policy is trained on, and no response is left.",
            fix="Give a larger max_length in `training`, or truncation_mode='keep_end', which cuts the prompt.",
        )
    notes = []
    if lost := n_pairs - len(rows):
        notes.append(f"Left out: {count(lost, 'pair')} whose prompt fills the tokens ({limit}).")
    kept = slice(None, max_length) if mode == "keep_start" else slice(-max_length, None)
    sides = [[row["prompt_ids"] + row[name] for row in rows] for name in ("chosen_ids", "rejected_ids")]
    cut = sum(len(ids) > max_length for side in sides for ids in side)
    if cut:
        notes.append(
            f"{cut:,} of {2 * len(rows):,} responses were too long with their prompt and were cut ({limit})."
        )
    alike = sum(a != b and a[kept] == b[kept] for a, b in zip(*sides, strict=True))
    if alike:
        notes.append(
            f"{count(alike, 'pair')} with responses that differ, but not in the tokens that the policy sees."
        )
    return notes
