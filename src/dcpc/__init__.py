"""DCPC: parameter-efficient fine-tuning on labels that several annotators gave, and disagreed on.

Importing this package makes PEFT know the method: `get_peft_model`, `PeftModel.from_pretrained` and
`AutoPeftModelFor…` then work with `DCPCConfig` as with PEFT's own configurations.
"""

from dcpc.tuner import DCPCConfig, DCPCModel

__version__ = "0.1.0"
__all__ = ["DCPCConfig", "DCPCModel", "__version__"]
