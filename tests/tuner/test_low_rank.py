"""The low-rank carrier: LoRA where nothing corrects it, gated per input where the correction module does."""

from __future__ import annotations

import torch
from architectures import ARCHITECTURES, base_model, inputs
from peft import LoraConfig, get_peft_model
from torch import nn

from dcpc.tuner.low_rank import LowRankLayer
from tiny_models import with_module

BERT = next(architecture for architecture in ARCHITECTURES if architecture.name == "BERT")


def test_without_correction_it_equals_lora() -> None:
    config = with_module(task_type="SEQ_CLS", rank=2, num_virtual_tokens=0, correction=False, rank_scale=3.0)
    ours = get_peft_model(base_model(BERT), config).eval()
    targets = ["query", "key", "value", "attention.output.dense"]
    lora = LoraConfig(task_type="SEQ_CLS", r=2, lora_alpha=6, target_modules=targets)
    theirs = get_peft_model(base_model(BERT), lora).eval()
    theirs.base_model.model.classifier.load_state_dict(ours.base_model.model.classifier.state_dict())
    torch.manual_seed(0)
    with torch.no_grad():
        for name, module in ours.named_modules():
            if isinstance(module, LowRankLayer):
                module.dcpc_up["default"].normal_()
                other = theirs.get_submodule(name.removesuffix(".dcpc"))
                other.lora_A["default"].weight.copy_(module.dcpc_down["default"])
                other.lora_B["default"].weight.copy_(module.dcpc_up["default"])
    with torch.no_grad():
        torch.testing.assert_close(ours(**inputs(BERT)).logits, theirs(**inputs(BERT)).logits)


def test_the_gate_follows_the_formula() -> None:
    layer = LowRankLayer(nn.Linear(5, 3))
    layer.add_adapter("default", with_module(rank=2, num_virtual_tokens=0, rank_scale=0.5))
    layer.set_adapter("default")
    layer.eval()
    with torch.no_grad():
        layer.dcpc_up["default"].normal_()
    states, p = torch.randn(4, 6, 5), torch.randn(4, 4).softmax(-1)
    a, b, m = (layer.get_parameter(f"dcpc_{part}.default") for part in ("down", "up", "meta"))
    for row in range(4):
        expected = 0.5 * (states[row] @ a.T * (1 + p[row] @ m)) @ b.T
        torch.testing.assert_close(layer.update(states, states, p)[row], expected)
