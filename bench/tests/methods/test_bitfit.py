"""BitFit trains biases and the head, and nothing else."""

from __future__ import annotations

import pytest
import torch
from transformers import BertForSequenceClassification, LlamaConfig, LlamaForSequenceClassification

from dcpc.errors import ModelError
from dcpc_bench.methods.bitfit import train_only_biases


def test_biases_and_head_train(bert: BertForSequenceClassification, batch: dict[str, torch.Tensor]) -> None:
    n = train_only_biases(bert)
    trained = {name: p for name, p in bert.named_parameters() if p.requires_grad}
    assert n == sum(p.numel() for p in trained.values())
    assert all(name.endswith("bias") or name.startswith("classifier.") for name in trained)
    bert(**batch).loss.backward()
    assert all(p.grad is not None for p in trained.values())


def test_a_model_without_biases_is_refused() -> None:
    config = LlamaConfig(
        vocab_size=50,
        hidden_size=16,
        intermediate_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_labels=2,
        pad_token_id=0,
    )
    with pytest.raises(ModelError, match="has none"):
        train_only_biases(LlamaForSequenceClassification(config))
