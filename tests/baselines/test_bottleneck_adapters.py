"""Bottleneck adapters start as a no-op, train themselves and the head, and learn."""

from __future__ import annotations

import torch
from transformers import BertForSequenceClassification

from dcpc.baselines.bottleneck import add_bottleneck_adapters


def test_they_start_as_a_no_op_and_train_themselves_and_the_head(
    bert: BertForSequenceClassification, batch: dict[str, torch.Tensor]
) -> None:
    before = bert(**batch).logits
    n = add_bottleneck_adapters(bert, width=4)
    torch.testing.assert_close(bert(**batch).logits, before)
    per_layer = 16 * 4 + 4 + 4 * 16 + 16
    assert n == 2 * per_layer + 16 * 2 + 2
    bert(**batch).loss.backward()
    for name, parameter in bert.named_parameters():
        assert (parameter.grad is not None) == parameter.requires_grad, name
        assert parameter.requires_grad == (
            ".down." in name or ".up." in name or name.startswith("classifier.")
        )


def test_they_learn(bert: BertForSequenceClassification, batch: dict[str, torch.Tensor]) -> None:
    add_bottleneck_adapters(bert)
    optimizer = torch.optim.Adam((p for p in bert.parameters() if p.requires_grad), lr=0.02)
    first = bert(**batch).loss.item()
    for _ in range(100):
        optimizer.zero_grad()
        loss = bert(**batch).loss
        loss.backward()
        optimizer.step()
    assert loss.item() < first / 2
