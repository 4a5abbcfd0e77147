"""Bringing your own model: PEFT's calls on any base model, with the carrier and the layers that you choose.

Run: python examples/own_model.py [BASE_MODEL]
"""

from __future__ import annotations

import sys

from peft import get_peft_model

from dcpc import DCPCConfig
from dcpc.models import load_base_model

FORMS = {
    "the recommended form": DCPCConfig(modules_to_save=["classifier"], readout=False),
    "a bottleneck in the second layer alone": DCPCConfig(
        target_modules=r".*\.(layers?|h)\.1\..*", modules_to_save=["classifier"], readout=False
    ),
    "a low-rank update, which merges": DCPCConfig(rank=8, modules_to_save=["classifier"], readout=False),
    "a prefix": DCPCConfig(num_virtual_tokens=8, modules_to_save=["classifier"], readout=False),
    "the published form": DCPCConfig.preset("paper", modules_to_save=["classifier"]),
}


def main(base_model: str) -> None:
    """Count what each form trains, and what of the base model it touches."""
    for name, config in FORMS.items():
        base, _ = load_base_model(base_model, ["no", "yes"])
        own = base.config._attn_implementation
        model = get_peft_model(base, config)
        trained, total = model.get_nb_trainable_parameters()
        attention = "its own" if base.config._attn_implementation == own else "wrapped"
        print(f"{name}: {trained:,} of {total:,} numbers train; attention is {attention}")


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else "minilm")
