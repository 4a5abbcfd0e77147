"""A tiny random BERT with a WordPiece tokenizer, built offline, and judgements whose labels it can learn."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
import torch
from transformers import BertConfig, BertModel, BertTokenizer

from dcpc.data import Annotations
from dcpc.tuner import DCPCConfig

POSITIVE, NEGATIVE = ("good", "lovely", "great"), ("bad", "awful", "poor")
NEUTRAL = ("the", "film", "meal", "was", "a", "very", "story", "room", "and")
POSITIONS = 32


def save_tiny_bert(folder: Path, *, mean_pooling: bool = False, seed: int = 0) -> str:
    """Write a two-layer random BERT of width 16 and its tokenizer; with `mean_pooling` as a sentence encoder."""
    folder.mkdir(parents=True, exist_ok=True)
    pieces = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *POSITIVE, *NEGATIVE, *NEUTRAL, "##s"]
    vocabulary = folder / "vocab.txt"
    vocabulary.write_text("\n".join(pieces) + "\n")
    tokenizer = BertTokenizer(vocab=str(vocabulary), model_max_length=POSITIONS)
    tokenizer.save_pretrained(folder)
    torch.manual_seed(seed)
    config = BertConfig(
        vocab_size=len(pieces),
        hidden_size=16,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=24,
        max_position_embeddings=POSITIONS,
        hidden_dropout_prob=0.0,
        attention_probs_dropout_prob=0.0,
        initializer_range=0.4,
    )
    BertModel(config).save_pretrained(folder)
    if mean_pooling:
        (folder / "1_Pooling").mkdir()
        (folder / "1_Pooling" / "config.json").write_text('{"pooling_mode_mean_tokens": true}')
    return str(folder)


def judgements(
    rows: list[tuple[str, str, str | None, str]], labels: tuple[str, ...] = ("no", "yes")
) -> Annotations:
    """Annotations from (item, text, annotator, label) rows; None for an unnamed annotator."""
    table = pd.DataFrame(rows, columns=["item_id", "text", "annotator_id", "label"])
    if table["annotator_id"].isna().all():
        table = table.drop(columns="annotator_id")
    return Annotations(table, labels)


def sentiment_judgements(n_items: int = 16, annotators: tuple[str, ...] = ("ann", "bob")) -> Annotations:
    """Every item is judged by all annotators; the last of them disagrees with the truth on every fourth item."""
    rows: list[tuple[str, str, str | None, str]] = []
    for i in range(n_items):
        positive = i % 2 == 0
        word = (POSITIVE if positive else NEGATIVE)[i % 3]
        text = f"{NEUTRAL[i % 5]} {NEUTRAL[(i // 2) % 9]} was {word}"
        for annotator in annotators:
            flipped = annotator == annotators[-1] and i % 4 == 0
            rows.append((f"item {i}", text, annotator, "yes" if positive != flipped else "no"))
    return judgements(rows)


def with_module(**fields: Any) -> DCPCConfig:
    """A prefix with a correction module, unless the fields say otherwise."""
    own = {"num_virtual_tokens": 16, "bottleneck": 0, "correction": True, "correction_hidden": 32}
    return DCPCConfig(**{**own, "carrier_dropout": 0.1, "readout": False, **fields})
