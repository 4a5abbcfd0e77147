"""Bottleneck adapters start as a no-op, train themselves and the head, and learn."""

from __future__ import annotations

from copy import deepcopy

import torch
from peft import get_peft_model
from transformers import BertForSequenceClassification

from dcpc.tuner import DCPCConfig
from dcpc.tuner.bottleneck import BottleneckLayer
from dcpc_bench.methods.bottleneck_adapter import BottleneckAdapter, add_bottleneck_adapters


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


def test_dcpc_without_correction_equals_them(
    bert: BertForSequenceClassification, batch: dict[str, torch.Tensor]
) -> None:
    config = DCPCConfig(task_type="SEQ_CLS", bottleneck=3, readout=False)
    ours = get_peft_model(deepcopy(bert), config).eval()
    theirs = bert
    add_bottleneck_adapters(theirs, width=3)
    theirs.classifier.load_state_dict(
        ours.base_model.model.classifier.modules_to_save["default"].state_dict()
    )
    layers = [module for module in ours.modules() if isinstance(module, BottleneckLayer)]
    adapters = [module for module in theirs.modules() if isinstance(module, BottleneckAdapter)]
    torch.manual_seed(0)
    with torch.no_grad():
        for layer, adapter in zip(layers, adapters, strict=True):
            for own, linear in (("down", adapter.down), ("up", adapter.up)):
                linear.weight.copy_(layer.get_parameter(f"dcpc_{own}.default").normal_())
                linear.bias.copy_(layer.get_parameter(f"dcpc_{own}_bias.default").normal_())
        torch.testing.assert_close(ours(**batch).logits, theirs(**batch).logits)
