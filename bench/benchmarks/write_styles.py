"""Whose style a language model writes in: DCPC against one LoRA for all writers, and one LoRA for each.

    python bench/benchmarks/write_styles.py DATA [-o results/write_styles.jsonl] [--only lora,dcpc-low-rank]

DATA holds replies of several writers to the same prompts (`dcpc.tasks.write.read_replies`). Prompts are drawn once;
all methods train on the same replies, as often. Conditions that the file has are not run again.

Figures are of held-out prompts. `style` is the share of generated replies that a classifier gives to the right
writer. The classifier is fitted on replies to prompts that neither train nor test, cut to the same number of tokens.
`bound` is what knowing the writer can be worth at most, against the best model that does not know them: log A nats a
reply, here per token.
"""

from __future__ import annotations

import argparse
import math
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from rows import Rows

from dcpc.tasks.write import Generation, Replies, evaluate_writing, read_replies, train_writers, write_replies
from dcpc.tasks.write.adapter import WritingAdapter
from dcpc.tasks.write.batches import ReplyDataset
from dcpc.tasks.write.evaluation import style_classifier
from dcpc.tasks.write.prompts import PromptFormat

WRITERS = ("Mixtral-8x7B-Instruct-v0.1_concise", "Mixtral-8x7B-Instruct-v0.1_verbose", "falcon-7b-instruct")
LONGEST_PROMPT, REPLY_TOKENS = 100, 64
METHODS: dict[str, dict[str, Any]] = {
    "lora": {"method": "lora", "adapter": {"r": 8, "target_modules": ["q_proj", "v_proj"]}, "rate": 2e-3},
    "dcpc-low-rank": {"adapter": {"rank": 8}, "rate": 2e-3},
    "dcpc-small": {
        "adapter": {"rank": 4, "num_styles": 3, "target_modules": ["q_proj", "v_proj"]},
        "rate": 2e-3,
    },
    "dcpc-prefix": {"adapter": {"num_virtual_tokens": 16, "num_corrected_tokens": 4}, "rate": 1e-2},
    "lora-each": {
        "method": "lora",
        "adapter": {"r": 8, "target_modules": ["q_proj", "v_proj"]},
        "rate": 2e-3,
    },
}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("data", type=Path)
    parser.add_argument("-o", "--output", type=Path, default=Path("results/write_styles.jsonl"))
    parser.add_argument("--model", default="smollm2")
    parser.add_argument("--prompts", type=int, default=32, help="to train on")
    parser.add_argument("--tests", type=int, default=16, help="prompts held out")
    parser.add_argument("--epochs", type=int, default=2)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", help="methods, separated by commas")
    settings = parser.parse_args()
    torch.set_num_threads(1)
    rows = Rows(settings.output, "method", "seed", "prompts", "epochs")
    parts = divided(settings)
    for name in settings.only.split(",") if settings.only else METHODS:
        key = (name, settings.seed, settings.prompts, settings.epochs)
        if key not in rows:
            rows.add(dict(zip(rows.key, key, strict=True)) | measured(METHODS[name], name, settings, *parts))
    print(rows.table().round(4).to_string(index=False))


def divided(settings: argparse.Namespace) -> tuple[Replies, Replies, Replies]:
    """Replies to train on, to test on, and for the classifier of styles; cut to the same number of tokens."""
    from dcpc.models import load_language_model

    replies = read_replies(settings.data)
    short = replies.table["prompt"].map(lambda prompt: len(prompt[0]["content"]) <= LONGEST_PROMPT)
    replies = replies.where((replies.table["annotator_id"].isin(WRITERS) & short).to_numpy())
    tokenizer = load_language_model(settings.model)[1]
    cut = [
        tokenizer.decode(tokenizer(text, add_special_tokens=False)["input_ids"][:REPLY_TOKENS])
        for text in replies.responses
    ]
    replies = replace(replies, table=replies.table.assign(cut=cut))
    items = np.random.default_rng(settings.seed).permutation(replies.table["item_id"].unique())
    ends = (settings.prompts, settings.prompts + settings.tests)
    chosen = (items[: ends[0]], items[ends[0] : ends[1]], items[ends[1] :])
    return tuple(replies.where(replies.table["item_id"].isin(part).to_numpy()) for part in chosen)  # type: ignore[return-value]


def measured(
    how: dict[str, Any],
    name: str,
    settings: argparse.Namespace,
    train: Replies,
    test: Replies,
    others: Replies,
) -> dict[str, Any]:
    started = time.process_time()
    groups = [(name,) for name in WRITERS] if name == "lora-each" else [WRITERS]
    row: dict[str, Any] = {"parameters": 0, "train_seconds": 0.0}
    sums, right, found = np.zeros(3), [], []
    judge = style_classifier().fit(others.table["cut"], others.table["annotator_id"])
    for group in groups:
        adapter = trained(how, settings, of(train, group))
        row["parameters"] += adapter.trainable_parameters
        row["train_seconds"] += adapter.seconds
        held = of(test, group)
        scores = evaluate_writing(adapter, held, batch_size=16)
        for writer, figures in scores.writers.items():
            row[f"nll {writer}"] = figures.nll
            tokens = n_tokens(adapter, of(held, (writer,)))
            sums += np.array([figures.nll, figures.nll_dominant, 1.0]) * tokens
        written = write_replies(
            adapter,
            held.prompts,
            held.writer_ids if adapter.writers else None,
            Generation(max_new_tokens=REPLY_TOKENS),
            batch_size=24,
        )
        found += [{"writer": who, "reply": text} for who, text in zip(held.writer_ids, written, strict=True)]
        right += (judge.predict(written) == np.array(held.writer_ids)).tolist()
    row |= {"nll": sums[0] / sums[2], "nll_nobody": sums[1] / sums[2]}
    row["bound"] = math.log(len(WRITERS)) * len(test.table) / sums[2]
    row["style"] = float(np.mean(right))
    row["style_of_writers"] = float(np.mean(judge.predict(test.table["cut"]) == test.table["annotator_id"]))
    return row | {"cpu_seconds": time.process_time() - started, "examples": found[:3]}


def trained(how: dict[str, Any], settings: argparse.Namespace, replies: Replies) -> WritingAdapter:
    training = {
        "num_train_epochs": settings.epochs,
        "per_device_train_batch_size": 3,
        "learning_rate": how["rate"],
        "bf16": True,
        "use_cpu": True,
        "seed": settings.seed,
    }
    return train_writers(
        replies,
        base_model=settings.model,
        method=how.get("method", "dcpc"),
        adapter=how["adapter"],
        training=training,
        max_length=2 * REPLY_TOKENS,
        progress=False,
    )


def of(replies: Replies, writers: tuple[str, ...]) -> Replies:
    return replies.where(replies.table["annotator_id"].isin(writers).to_numpy())


def n_tokens(adapter: WritingAdapter, replies: Replies) -> int:
    format: PromptFormat = adapter.format()
    return ReplyDataset(replies, format, last_only=True).n_learned


if __name__ == "__main__":
    main()
