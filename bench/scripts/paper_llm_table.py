"""Write docs/paper-llm.md: the paper's LLaMA-2 figures beside those of the committed store of `paper-llm-cut`.

Run: python bench/scripts/paper_llm_table.py
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pages import write_page

from dcpc_bench.rig.store import Store

ROOT = Path(__file__).resolve().parents[2]
STORE, TARGET = ROOT / "results" / "paper-llm-cut", ROOT / "docs" / "paper-llm.md"
PAPER: dict[str, dict[str, float]] = {
    "full": {"boolq-ps": 82.4, "copa-bs": 88.5},
    "lora": {"boolq-ps": 79.1, "copa-bs": 86.9},
    "p-tuning-v2": {"boolq-ps": 78.0, "copa-bs": 86.1, "sst-2-p": 87.5},
    "dcpc-paper": {"boolq-ps": 86.1, "copa-bs": 91.7, "sst-2-p": 92.8},
}
"""Accuracy in % on the shifted sets, LLaMA-2 7B, from the paper's tables."""
COLUMNS = {
    "SST-2-P": ("sst-2-p", "sst2", "pool=sst-2-p@0.2"),
    "COPA-BS": ("copa-bs", "copa", "pool=copa-bs@0.1"),
    "BoolQ-PS": ("boolq-ps", "boolq-ps", "written=boolq-ps"),
}
"""Twin → its name in the paper's figures, and data set and condition of the store."""
METHODS = {
    "full": "full fine-tuning",
    "lora": "LoRA",
    "p-tuning-v2": "P-Tuning v2",
    "ia3": "(IA)³",
    "bottleneck-adapter": "bottleneck adapters",
    "all-layer-probe": "all-layer probe",
    "dcpc-paper": "DCPC `paper`",
    "dcpc": "DCPC `default`",
}
ABLATION = {
    "dcpc-paper": "DCPC `paper`",
    "dcpc-paper-no-pcm": "without the correction module",
    "dcpc-paper-no-alignment": "without alignment",
    "dcpc-paper-no-ambiguity": "without L_amb",
}
HEAD = """\
# The paper's experiment on a language model

<!-- Written by bench/scripts/paper_llm_table.py from results/paper-llm-cut. Do not edit by hand. -->

The paper fine-tunes LLaMA-2 7B; here the model is [`smollm2`](language-models.md) (135 M parameters in 4-bit
rounding), frozen but for the adapter, and its label words answer. Figures of the two are not comparable in height;
what can be compared is the order of the methods. Accuracy of the decisions in %, on the clean labels of {test} test
items; training sees {train} items with one label each from twelve simulated annotators. Settings were given
beforehand and not searched.

"""


def cells() -> dict[tuple[str, str, str], list[dict[str, Any]]]:
    """The finished cells of the store by data set, condition and method."""
    found: dict[tuple[str, str, str], list[dict[str, Any]]] = {}
    for record in Store(STORE).records().values():
        if record["kind"] == "cell" and record["status"] == "done":
            key = record["dataset"], record["condition"], record["method"]
            found.setdefault(key, []).append(record)
    return found


def page() -> str:
    """The whole page."""
    found, plan = cells(), Store(STORE).plan
    assert plan is not None, "the store has a plan"
    caps = plan["suite"]["caps"]
    head = ["method"]
    for name in COLUMNS:
        head += [f"{name}, paper", f"{name}, here", "cross-entropy"]
    lines = [head, ["---", *["---:"] * (len(head) - 1)]]
    for method, title in METHODS.items():
        row = [title]
        for paper, dataset, condition in COLUMNS.values():
            theirs = PAPER.get(method, {}).get(paper)
            ours = found.get((dataset, condition, method), [])
            row += ["–" if theirs is None else f"{theirs:.1f}", _mean(ours, "accuracy", 100, 1)]
            row.append(_mean(ours, "cross_entropy", 1, 3))
        lines.append(row)
    table = "\n".join(f"| {' | '.join(row)} |" for row in lines)
    n_seeds = max(len(each) for each in found.values())
    planned = len(plan["suite"]["methods"]) * sum(
        len(d["conditions"] or plan["suite"]["conditions"]) for d in plan["suite"]["datasets"]
    )
    done = len(found)
    return HEAD.format(**caps) + table + "\n\n" + _parts(found) + _read(found, n_seeds, done, planned)


def _parts(found: dict[tuple[str, str, str], list[dict[str, Any]]]) -> str:
    """What the published form is without each of its parts, as far as that was run."""
    columns = {n: (d, c) for n, (_, d, c) in COLUMNS.items() if (d, c, "dcpc-paper-no-pcm") in found}
    if not columns:
        return ""
    head = [
        "",
        "trained",
        *(f"{name}{what}" for name in columns for what in (", accuracy", ", cross-entropy")),
    ]
    lines = [head, ["---", *["---:"] * (len(head) - 1)]]
    for method, title in ABLATION.items():
        cells = [found.get((*key, method), []) for key in columns.values()]
        size = next((f"{each[0]['parameters']:,}" for each in cells if each), "–")
        figures = [(_mean(each, "accuracy", 100, 1), _mean(each, "cross_entropy", 1, 3)) for each in cells]
        lines.append([title, size, *(figure for pair in figures for figure in pair)])
    table = "\n".join(f"| {' | '.join(row)} |" for row in lines)
    return f"## Do the parts earn their place?\n\n{table}\n\n"


def _mean(records: list[dict[str, Any]], metric: str, factor: float, digits: int) -> str:
    if not records:
        return "not run"
    return f"{factor * sum(r['metrics'][metric] for r in records) / len(records):.{digits}f}"


def _read(
    found: dict[tuple[str, str, str], list[dict[str, Any]]], seeds: int, done: int, planned: int
) -> str:
    """What the table says and what was cut short."""
    _, dataset, condition = COLUMNS["SST-2-P"]
    ranked = sorted(
        (
            (float(_mean(records, "accuracy", 100, 1)), method)
            for (d, c, method), records in found.items()
            if (d, c) == (dataset, condition) and method in METHODS
        ),
        reverse=True,
    )
    place = [method for _, method in ranked].index("dcpc-paper") + 1
    order = ", ".join(f"{METHODS[method]} {accuracy:.1f}" for accuracy, method in ranked)
    return f"""\
On SST-2-P the order here is: {order}.

The paper's form trains {_parameters(found, "dcpc-paper")} numbers, LoRA {_parameters(found, "lora")}.
In the paper it leads; here its place is {place} of {len(ranked)}, {_apart(ranked)} points below the preset `default`.

**What was cut.** {done} of {planned} cells per seed of the suite `paper-llm-cut` were run, with {seeds} seed: nothing
here is called better or worse, and intervals ([the store's page](results/paper-llm-cut.md)) speak of the test items
only. Missing are full fine-tuning, DoRA, prompt tuning and DCPC on low-rank updates, and RTE and ReCoRD: the
suite `paper-llm` has them and ReCoRD-R, with a search, for about half a day of two idle cores. Alpaca-IS has replies
and no labels, and is measured in [writing](write.md).

```sh
dcpc-bench run paper-llm-cut --data-folder DATA --output runs/paper-llm-cut   # goes on where it was stopped
dcpc-bench run paper-llm --data-folder DATA --output runs/paper-llm --workers 2
```
"""


def _parameters(found: dict[tuple[str, str, str], list[dict[str, Any]]], method: str) -> str:
    _, dataset, condition = COLUMNS["SST-2-P"]
    return f"{found[dataset, condition, method][0]['parameters']:,}"


def _apart(ranked: list[tuple[float, str]]) -> str:
    by_method = {method: accuracy for accuracy, method in ranked}
    return f"{by_method['dcpc'] - by_method['dcpc-paper']:.1f}"


if __name__ == "__main__":
    write_page(TARGET, page, __doc__ or "")
