"""The bottleneck carrier: a bottleneck adapter where nothing corrects it, gated per input where the module does."""

from __future__ import annotations

import torch
from architectures import ARCHITECTURES, base_model, inputs
from peft import get_peft_model
from torch import nn
from torch.nn.functional import gelu

from dcpc.baselines.bottleneck import BottleneckAdapter, add_bottleneck_adapters
from dcpc.tuner import DCPCConfig
from dcpc.tuner.bottleneck import BottleneckLayer

BERT = next(architecture for architecture in ARCHITECTURES if architecture.name == "BERT")


def test_without_correction_it_equals_a_bottleneck_adapter() -> None:
    config = DCPCConfig(task_type="SEQ_CLS", bottleneck=3, num_virtual_tokens=0, correction=False)
    ours = get_peft_model(base_model(BERT), config).eval()
    theirs = base_model(BERT).eval()
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
        torch.testing.assert_close(ours(**inputs(BERT)).logits, theirs(**inputs(BERT)).logits)


def test_the_gate_follows_the_formula() -> None:
    layer = BottleneckLayer(nn.Linear(5, 3))
    layer.add_adapter("default", DCPCConfig(bottleneck=2, num_virtual_tokens=0))
    layer.set_adapter("default")
    layer.eval()
    with torch.no_grad():
        for parameter in layer.parameters():
            parameter.normal_()
    y, p = torch.randn(4, 6, 3), torch.randn(4, 4).softmax(-1)
    down, a, up, b, meta = (
        layer.get_parameter(f"dcpc_{part}.default") for part in ("down", "down_bias", "up", "up_bias", "meta")
    )
    for row in range(4):
        expected = (gelu(y[row] @ down.T + a) * (1 + p[row] @ meta)) @ up.T + b
        torch.testing.assert_close(layer.update(y, y, p)[row], expected)
