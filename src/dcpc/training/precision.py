"""Whether bfloat16 is worth it on this machine."""

from __future__ import annotations

import torch

NATIVE = ("amx_bf16", "bf16")
"""Features of processors (x86, ARM) that multiply bfloat16 matrices faster than float32 ones. Without any it is
emulated, and a training step takes many times as long; with `avx512_bf16` alone, products of matrices ran at half the
speed of float32 (a Xeon with AVX-512, torch 2.13) and a training took 1.4 times as long."""


def computes_bf16() -> bool:
    """Whether the accelerator, or without one the processor, multiplies bfloat16 matrices faster than float32."""
    if torch.cuda.is_available():
        return torch.cuda.is_bf16_supported(including_emulation=False)
    if torch.accelerator.is_available():
        return True
    features = torch.cpu.get_capabilities()
    return any(features.get(name, False) for name in NATIVE)
