"""Write docs/architectures.md from the list of architectures that the tests run over.

Run: python scripts/architecture_table.py
"""

from __future__ import annotations

import argparse
import importlib
import sys
from pathlib import Path
from typing import Any

from dcpc.files import atomic_file

ROOT = Path(__file__).resolve().parents[1]
TARGET = ROOT / "docs" / "architectures.md"
HEAD = """\
# Architectures

<!-- Written by scripts/architecture_table.py from tests/tuner/architectures.py. Do not edit by hand. -->

Every architecture below is tested with random adapter weights on tiny random base models
(`tests/tuner/test_architecture_matrix.py`, `tests/tuner/test_generation.py`), in every form of `merge` that its
row names:

- a fresh adapter changes nothing; disabling or unloading it gives the base model back;
- every trainable tensor gets a gradient; gradient checkpointing gives the same gradients, also when two forward
  passes come before one backward pass;
- a saved adapter loads with equal outputs;
- the attention implementations agree;
- padding changes nothing, on every side where the base model itself ignores padding; an item's output does not
  depend on its batch;
- where the architecture generates: cached equals uncached generation, a static cache equals a dynamic one, beams
  depend neither on the batch nor on the cache, padded prompts generate the same tokens.

"""
TAIL = """
With `merge="concat"`, `gate=False` and `correction=False` the outputs equal those of PEFT's prefix tuning to 1e-6 on
BERT, RoBERTa, GPT-2, Llama and Qwen3 (`tests/tuner/test_peft_prefix_equality.py`), where PEFT's are right.

The other carriers are tested on the same models (`tests/tuner/test_gated_layers.py`): `bottleneck` on all of them,
`rank` on all but DeBERTa-v2, whose projections also carry relative positions.

**Other models.** The tuner finds self-attention modules by watching one tiny forward pass, so most models that use
transformers' attention interface with token ids as input work without an entry here; whatever cannot work is refused
with a message when the adapter is added. Test a model before relying on it: compare the outputs of a padded and an
unpadded text, and look at `print_trainable_parameters()`.

**Not supported**, refused with a message: FlashAttention and flex attention kernels (`sdpa` dispatches to torch's own
fast kernels), `concat` on DeBERTa-v2, several adapters acting at once, merging into the base weights.
"""


def table(architectures: list[Any]) -> str:
    """The Markdown table: one row per architecture."""
    rows = [
        (
            "architecture",
            "kind",
            "`merge`",
            "attention",
            "padding ignored on",
            "generation",
            "also exercises",
        ),
        ("---",) * 7,
    ]
    rows += [
        (
            case.name,
            case.kind,
            ", ".join(case.merges),
            ", ".join(case.implementations),
            ", ".join(case.padding),
            "yes" if case.generator else "–",
            case.exercises,
        )
        for case in architectures
    ]
    return "\n".join(f"| {' | '.join(row)} |" for row in rows) + "\n"


def page() -> str:
    """The whole page."""
    sys.path.insert(0, str(ROOT / "tests" / "tuner"))
    return HEAD + table(importlib.import_module("architectures").ARCHITECTURES) + TAIL


if __name__ == "__main__":
    argparse.ArgumentParser(description=__doc__.splitlines()[0]).parse_args()
    text = page()
    with atomic_file(TARGET) as path:
        path.write_text(text, encoding="utf-8")
    print(TARGET)
