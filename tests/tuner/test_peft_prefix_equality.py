"""With correction and gate off, `concat` is prefix tuning: equal to PEFT's where PEFT's is right."""

from __future__ import annotations

import pytest
import torch
from architectures import ARCHITECTURES, Architecture, base_model, inputs, label
from peft import PrefixTuningConfig, get_peft_model

from tiny_models import with_module

SAME = [a for a in ARCHITECTURES if a.name in ("BERT", "RoBERTa", "GPT-2", "Llama", "Qwen3")]
M = 3


@pytest.mark.parametrize("implementation", ["sdpa", "eager"])
@pytest.mark.parametrize("architecture", SAME, ids=label)
def test_equals_pefts_prefix_tuning(architecture: Architecture, implementation: str) -> None:
    batch = inputs(architecture)
    theirs = get_peft_model(
        base_model(architecture, implementation),
        PrefixTuningConfig(task_type="SEQ_CLS", num_virtual_tokens=M),
    ).eval()
    ours = get_peft_model(
        base_model(architecture, implementation),
        with_module(task_type="SEQ_CLS", merge="concat", gate=False, correction=False, num_virtual_tokens=M),
    ).eval()
    with torch.no_grad():
        weights = theirs.prompt_encoder["default"].embedding.weight.normal_()  # [m, L*2*w]
        parts = weights.view(M, 4, -1)  # keys and values of layer 0, then of layer 1
        for layer, child in enumerate(ours.base_model._layers()):
            child.dcpc_key["default"].copy_(parts[:, 2 * layer])
            child.dcpc_value["default"].copy_(parts[:, 2 * layer + 1])
        # PEFT's prefix sits in the cache, so that the text's positions start at m.
        positions = torch.arange(M, M + 9).unsqueeze(0)
        if architecture.name == "RoBERTa":
            positions = positions + 1  # counted from the padding id
        expected = theirs(**batch).logits
        found = ours(**batch, position_ids=positions).logits
    torch.testing.assert_close(found, expected, atol=1e-6, rtol=1e-5)
