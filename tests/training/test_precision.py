"""Where trainings may run in bfloat16."""

from __future__ import annotations

import pytest
import torch

from dcpc.training.precision import computes_bf16


@pytest.mark.parametrize(
    ("features", "native"),
    [
        ({"avx2": True, "avx512_bf16": False}, False),
        ({"avx2": True, "avx512_bf16": True}, False),
        ({"amx_bf16": True}, True),
        ({"neon": True, "bf16": True}, True),
        ({}, False),
    ],
)
def test_bf16_only_where_the_processor_computes_in_it(
    monkeypatch: pytest.MonkeyPatch, features: dict[str, bool], native: bool
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.accelerator, "is_available", lambda: False)
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: features)
    assert computes_bf16() is native
