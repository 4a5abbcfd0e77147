"""DCPC: parameter-efficient fine-tuning on labels that several annotators gave, and disagreed on.

Importing this package makes PEFT know the method: `get_peft_model`, `PeftModel.from_pretrained` and
`AutoPeftModelFor…` then work with `DCPCConfig` as with PEFT's own configurations. An adapter on `minilm` or another
sentence encoder has a base class of this package, for which PEFT's auto class must be told that it may import it:
`AutoPeftModel.from_pretrained(folder, num_labels=C, import_allowlist=["dcpc"])`.

Neither PEFT nor torch is loaded by it, so that `dcpc --help` is quick: the method is entered at once where PEFT is
loaded already, and otherwise as soon as it is.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from dcpc.when_imported import WhenImported

if TYPE_CHECKING:
    from dcpc.tuner import DCPCConfig, DCPCModel

__version__ = "0.2.0"
__all__ = ["DCPCConfig", "DCPCModel", "__version__"]


def __getattr__(name: str) -> Any:
    if name not in ("DCPCConfig", "DCPCModel"):
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    import dcpc.tuner

    return getattr(dcpc.tuner, name)


def _register() -> None:
    # Where the tuner is just being loaded, it is what loads PEFT, and enters the method itself.
    if "dcpc.tuner" not in sys.modules:
        import dcpc.tuner  # noqa: F401


if "peft" in sys.modules:
    _register()
else:
    sys.meta_path.insert(0, WhenImported("peft", _register))
