"""The bottleneck carrier: gated per input where the module corrects it."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn.functional import gelu

from dcpc.tuner.bottleneck import BottleneckLayer
from tiny_models import with_module


def test_the_gate_follows_the_formula() -> None:
    layer = BottleneckLayer(nn.Linear(5, 3))
    layer.add_adapter("default", with_module(bottleneck=2, num_virtual_tokens=0))
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
