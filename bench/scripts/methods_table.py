"""Write docs/methods.md: every method of the benchmark, its source, what it trains on MiniLM, what it needs.

Each is trained for one step, so the numbers are those of real trainings. Run: python bench/scripts/methods_table.py
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
from pages import write_page

from dcpc.data.annotations import Annotations
from dcpc_bench.method import DECAYS, LARGE_RATES, MIDDLE_RATES, SMALL_RATES, Method, TrainingSettings
from dcpc_bench.methods import METHODS

TARGET = Path(__file__).resolve().parents[2] / "docs" / "methods.md"
ITEMS, ANNOTATORS = 12, 10
GROUPS = {
    "Carriers": "What trains is all that sets them apart.",
    "Probes": "The encoder is frozen.",
    "In the prompt": "Nothing is trained; where the suite's base model writes no text, `smollm2` reads.",
    "Learning rules": "All on one and the same carrier: the `backbone` of the suite, LoRA or P-Tuning v2.",
    "DCPC": "This project's method, and its ablations.",
    "From demonstrations": "Prefixes of a causal language model, here `smollm2` with label words, as long as the "
    "demonstrations are. Settings are given: there is no search.",
}
HEAD = f"""\
# Methods of the benchmark

<!-- Written by bench/scripts/methods_table.py. Do not edit by hand. -->

Each is one file of `dcpc_bench/methods/`; `dcpc_bench.methods.METHODS` holds them all. Every one is trained by the
same trainer, on the same items in the same order, for the same number of steps, and predicts through the same code;
the epoch with the lowest cross-entropy of the predicted distribution against held-out *noisy* judgements is kept. A
method is a carrier (which tensors train, `dcpc.training.carriers`) and a learning rule (how judgements become a loss
and logits become predictions, `dcpc.training.rule`).

Trainable parameters are those on `minilm` with two labels and {ANNOTATORS} annotators, classification head
included. Low-rank adapters have rank 4 (AdaLoRA starts with 6), prefixes 16 positions and bottlenecks width 16 (12 in
DCPC, which has a readout besides), so that they train about as many numbers.
"""
TAIL = f"""
## What is searched

Every trained method has five learning rates over two and a half orders of magnitude that suit its carrier, and the
same weight decays. Carriers are tried at the same points of the two; some learning rules have a strength of their own
besides, and points of their own. Values are in `dcpc_bench.method`.

| | learning rates |
|---|---|
| full fine-tuning | {", ".join(f"{r:g}" for r in SMALL_RATES)} |
| scaling vectors (IA3), prompt tuning | {", ".join(f"{r:g}" for r in LARGE_RATES)} |
| all others | {", ".join(f"{r:g}" for r in MIDDLE_RATES)} |

Weight decays: {", ".join(f"{d:g}" for d in DECAYS)}. AdamW shrinks weights by the product of both per step.
The linear probes choose their ridges by cross-validation within the training items, over seven orders of magnitude.

## Where we depart from a source

- **Batches are of items**: where a loss expects one label per example, it gets the shares of the item's votes, which
  is the label itself at one judgement per item.
- **CrowdLayer**: the columns of an annotator's matrix are distributions. The authors' code has free matrices and a
  second softmax, which flattens predictions so that the network answers with overconfidence (`second_softmax=True`).
- **Annotator embeddings** join the pooled features instead of the token embeddings: all annotators of an item share
  one forward pass.
- **NCR** follows the authors' code: T² KL(neighbours ‖ own), gradients through both and through the similarities. It
  starts after half an epoch, where theirs starts after about a tenth of 100 epochs.
- **Co-teaching** drops its share of labels over the first epoch (10 of 200 in the paper); the first network predicts.
- **CleaR** follows the authors' code: routing per layer with probability 0.9 · P(clean), a mixture of two Gaussians
  over losses, consistency with the mean of two routed passes. The warm-up is one epoch (3 of 20 there); on a prefix
  all layers of an item are routed together.
- **CROWDLAB**'s classifier is a linear probe on frozen embeddings, cross-validated; its consensus labels are weighed
  by their quality.
- **AdaLoRA** has its orthogonality penalty and reallocates ranks after every step, as PEFT asks of a training loop.
- Annotators that training did not see are predicted as the consensus by every method.
"""


def judgements() -> Annotations:
    """Every item judged by all annotators, one of whom disagrees on every other item."""
    rows = [
        (f"i{i}", f"review {i} is {'good' if i % 2 else 'bad'}", f"a{a}", str(i % 2 if a else i // 2 % 2))
        for i in range(ITEMS)
        for a in range(ANNOTATORS)
    ]
    table = pd.DataFrame(rows, columns=["item_id", "text", "annotator_id", "label"])
    return Annotations(table, ("0", "1"))


def group_of(method: Method) -> str:
    """The heading under which a method stands."""
    if method.needs_reader:
        return "From demonstrations"
    return {
        "frozen features": "Probes",
        "prompt": "In the prompt",
        "backbone": "Learning rules",
        "dcpc": "DCPC",
    }.get(method.on, "Carriers")


def needs(method: Method) -> str:
    """What the data must have."""
    named = ["annotator ids"] if method.needs_annotators else []
    return ", ".join([*named, *(["items judged twice"] if method.needs_overlap else [])]) or "–"


def row(method: Method, data: Annotations) -> str:
    """The method's line."""
    reads: dict[str, Any] = (
        {"base_model": "smollm2", "task": {"name": "label-words"}} if method.needs_reader else {}
    )
    fitted = method.train(data, data, TrainingSettings(epochs=1, **reads), {}, seed=0)
    _, own = fitted.judged_probabilities(data.items, data.item_codes[:1], ["a0"])
    axes = ", ".join(a for a in method.grid if a not in ("learning_rate", "weight_decay")) or "–"
    cells = (
        f"`{method.name}`",
        method.what,
        method.source,
        f"{fitted.parameters:,}",
        needs(method),
        "–" if own is None else "yes",
        axes,
    )
    return f"| {' | '.join(cells)} |"


def page() -> str:
    """The whole page."""
    data, parts = judgements(), [HEAD]
    for group, description in GROUPS.items():
        rows = [row(method, data) for method in METHODS.values() if group_of(method) == group]
        parts += [
            f"\n## {group}\n\n{description}\n",
            "| method | what | source | trainable | needs | predicts persons | also searched |",
            "|---|---|---|---|---|---|---|",
            *rows,
        ]
    return "\n".join(parts) + "\n" + TAIL


if __name__ == "__main__":
    write_page(TARGET, page, __doc__)
