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

The other carriers are tested on the same models (`tests/tuner/test_gated_layers.py`); the table's last columns say
where they work. `rank` works on DeBERTa-v2 without a correction module only, since its projections also carry
relative positions. Models whose feed-forward layers are all fused experts have nothing that a bottleneck could stand
behind: the default is refused there, and the message names `rank=8` (`--set rank=8`), which acts on their attention.
In a hybrid the layers without attention are left alone.

**Task shapes.** On every architecture that generates, with every carrier and a correction module, the scores of label
words of one token and of several, and of candidates of unequal length (`choose`), equal those of a pass of their own
for every continuation; a written reply's likelihood equals that of an unpadded pass (`write`, decoders only); and
every trainable tensor gets a gradient from each (`tests/tasks/test_shapes_on_architectures.py`).

**Other models.** The tuner finds self-attention modules by watching one tiny forward pass, so most models that use
transformers' attention interface with token ids as input work without an entry here; whatever cannot work is refused
with a message when the adapter is added. Test a model before relying on it: compare the outputs of a padded and an
unpadded text, and look at `print_trainable_parameters()`.

**Not supported**, refused with a message: FlashAttention and flex attention kernels (`sdpa` dispatches to torch's own
fast kernels), `concat` on DeBERTa-v2, several adapters acting at once, merging into the base weights.
"""


def shapes(case: Any) -> str:
    """The task shapes that an architecture takes, by what the tests run over."""
    found = ["head"] if case.task == "SEQ_CLS" else []
    if case.generator:
        found += ["label words", "choose"] + (["write"] if case.kind == "decoder" else [])
    return ", ".join(found)


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
            "task shapes",
            "`bottleneck`",
            "`rank`",
            "also exercises",
        ),
        ("---",) * 10,
    ]
    rows += [
        (
            case.name,
            case.kind,
            ", ".join(case.merges),
            ", ".join(case.implementations),
            ", ".join(case.padding),
            "yes" if case.generator else "–",
            shapes(case),
            "yes" if case.bottleneck else "refused",
            "yes" if case.name != "DeBERTa-v2" else "without module",
            case.exercises,
        )
        for case in architectures
    ]
    return "\n".join(f"| {' | '.join(row)} |" for row in rows) + "\n"


def page() -> str:
    """The whole page."""
    sys.path[:0] = [str(ROOT / "tests" / "tuner"), str(ROOT / "tests")]
    return HEAD + table(importlib.import_module("architectures").ARCHITECTURES) + TAIL


if __name__ == "__main__":
    argparse.ArgumentParser(description=__doc__.splitlines()[0]).parse_args()
    text = page()
    with atomic_file(TARGET) as path:
        path.write_text(text, encoding="utf-8")
    print(TARGET)
