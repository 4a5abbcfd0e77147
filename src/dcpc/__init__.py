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
from importlib import import_module
from typing import TYPE_CHECKING, Any

from dcpc.when_imported import WhenImported

if TYPE_CHECKING:
    from dcpc.adapter import TrainedAdapter, load_adapter
    from dcpc.data import Annotations
    from dcpc.data.readers import read_annotations, read_items
    from dcpc.fit import train_adapter
    from dcpc.tuner import DCPCConfig, DCPCModel

__version__ = "0.2.0"
__all__ = [
    "Annotations",
    "DCPCConfig",
    "DCPCModel",
    "TrainedAdapter",
    "__version__",
    "load_adapter",
    "read_annotations",
    "read_items",
    "train_adapter",
]

_HOMES = {
    "Annotations": "dcpc.data",
    "DCPCConfig": "dcpc.tuner",
    "DCPCModel": "dcpc.tuner",
    "TrainedAdapter": "dcpc.adapter",
    "load_adapter": "dcpc.adapter",
    "read_annotations": "dcpc.data.readers",
    "read_items": "dcpc.data.readers",
    "train_adapter": "dcpc.fit",
}
"""Where each name is defined; it is imported when it is first asked for."""


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOMES})


def _register() -> None:
    # Where the tuner is just being loaded, it is what loads PEFT, and enters the method itself.
    if "dcpc.tuner" not in sys.modules:
        import dcpc.tuner  # noqa: F401


if "peft" in sys.modules:
    _register()
else:
    sys.meta_path.insert(0, WhenImported("peft", _register))
