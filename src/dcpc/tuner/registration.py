"""Make the method known to PEFT.

PEFT has no entry point for third-party methods, and its own registration accepts only the names that it
ships; entering the three mappings is what makes `get_peft_model`, `PeftModel.from_pretrained` and PEFT's
auto classes work (on sentence encoders with `import_allowlist=["dcpc"]`). They must be entered before an
adapter is loaded: `import dcpc` does it.
"""

from __future__ import annotations

from peft.mapping import (
    PEFT_TYPE_TO_CONFIG_MAPPING,
    PEFT_TYPE_TO_PREFIX_MAPPING,
    PEFT_TYPE_TO_TUNER_MAPPING,
)

from dcpc.tuner.config import PEFT_TYPE, DCPCConfig
from dcpc.tuner.model import DCPCModel


def register() -> None:
    """Enter the method into PEFT's registries; calling it again changes nothing."""
    PEFT_TYPE_TO_CONFIG_MAPPING[PEFT_TYPE] = DCPCConfig
    PEFT_TYPE_TO_TUNER_MAPPING[PEFT_TYPE] = DCPCModel
    PEFT_TYPE_TO_PREFIX_MAPPING[PEFT_TYPE] = DCPCModel.prefix
