"""Attention over the prefix, against torch's own attention."""

from __future__ import annotations

import pytest
import torch
from architectures import ARCHITECTURES, adapted
from torch.nn import functional
from transformers import AttentionInterface
from transformers.models.llama.modeling_llama import LlamaAttention

from dcpc.tuner.forward_pass import ForwardPass, inside
from dcpc.tuner.paper.attention import prefix_attention, register
from dcpc.tuner.paper.prefix_layer import AttentionShape, PrefixLayer

B, HEADS, KV_HEADS, N, M, D = 2, 4, 2, 5, 3, 8


@pytest.mark.parametrize("rows", [1, B])
@pytest.mark.parametrize("scaling", [None, 0.3])
def test_equals_torchs_attention_with_grouped_queries(rows: int, scaling: float | None) -> None:
    query = torch.randn(B, HEADS, N, D)
    key, value = torch.randn(rows, KV_HEADS, M, D), torch.randn(rows, KV_HEADS, M, D + 1)
    expanded = [
        part.repeat_interleave(HEADS // KV_HEADS, dim=1).expand(B, -1, -1, -1) for part in (key, value)
    ]
    expected = functional.scaled_dot_product_attention(query, *expanded, scale=scaling)
    torch.testing.assert_close(prefix_attention(query, key, value, scaling), expected.transpose(1, 2))


def test_causal_attention_without_a_mask_stays_causal_behind_a_prefix() -> None:
    llama = next(a for a in ARCHITECTURES if a.name == "Llama")
    module = LlamaAttention(llama.config(), layer_idx=0).eval()
    register()
    layer = PrefixLayer(AttentionShape("", 32, HEADS, KV_HEADS, D, D), module)
    module.add_module("dcpc", layer)
    attend = AttentionInterface()["dcpc_concat_sdpa"]
    query, key, value = (
        torch.randn(B, HEADS, N, D),
        torch.randn(B, KV_HEADS, N, D),
        torch.randn(B, KV_HEADS, N, D),
    )
    changed = key.clone()
    changed[:, :, -1] += 5
    prefix = (torch.randn(1, M, KV_HEADS * D), torch.randn(1, M, KV_HEADS * D))
    outputs = []
    for keys in (key, changed):
        with inside(ForwardPass(tuner=None, prefixes={id(module): layer.heads(*prefix)})):
            outputs.append(attend(module, query, keys, value, None, scaling=D**-0.5, is_causal=True)[0])
    torch.testing.assert_close(outputs[0][:, :-1], outputs[1][:, :-1])
    assert not torch.allclose(outputs[0][:, -1], outputs[1][:, -1])
    plain = attend(module, query, key, value, None, scaling=D**-0.5, is_causal=True)[0]
    assert not torch.allclose(plain, outputs[0])


def test_debertas_prefix_scores_are_scaled_like_its_own() -> None:
    deberta = next(a for a in ARCHITECTURES if a.name == "DeBERTa-v2")
    model = adapted(deberta)
    module = model.base_model.model.deberta.encoder.layer[0].attention.self
    hidden = torch.randn(1, N, 32)
    layer = module.dcpc
    relative = {"rel_embeddings": torch.randn(8, 32), "attention_mask": torch.ones(1, 1, N, N)}
    tuner = model.base_model
    with torch.no_grad(), inside(ForwardPass(tuner)) as running:
        found = module(hidden, **relative)[0]
    with torch.no_grad(), inside(ForwardPass(tuner, bare=True)):
        plain = module(hidden, **relative)[0]
    keys, values = layer.heads(*layer.prefix(next(iter(running.styles.values())).probabilities))
    query = module.query_proj(hidden).view(1, N, HEADS, D).transpose(1, 2)
    # Three terms: content to content, content to position, position to content.
    expected = functional.scaled_dot_product_attention(query, keys, values, scale=(3 * D) ** -0.5)
    torch.testing.assert_close(found - plain, expected.transpose(1, 2).flatten(-2), atol=1e-5, rtol=1e-4)
