"""Whether this machine computes in bfloat16 by itself."""

from __future__ import annotations

import torch

NATIVE = ("avx512_bf16", "amx_bf16", "bf16")
"""Features of processors (x86, x86, ARM) that multiply bfloat16 matrices; without one it is emulated, and a training
step takes many times as long as in float32."""


def computes_bf16() -> bool:
    """Whether the accelerator, or without one the processor, multiplies bfloat16 matrices natively."""
    if torch.cuda.is_available():
        return torch.cuda.is_bf16_supported(including_emulation=False)
    if torch.accelerator.is_available():
        return True
    features = torch.cpu.get_capabilities()
    return any(features.get(name, False) for name in NATIVE)
