"""Write docs/paper-llm.md: the paper's LLaMA-2 figures beside those of the committed stores `paper-llm-…`.

Run: python bench/scripts/paper_llm_table.py
"""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from typing import Any

from pages import write_page

from dcpc_bench.rig.store import Store

ROOT = Path(__file__).resolve().parents[2]
STORE, TARGET = ROOT / "results" / "paper-llm-cut", ROOT / "docs" / "paper-llm.md"
LONGER = ROOT / "results" / "paper-llm-longer"
Cells = dict[tuple[str, str, str], list[dict[str, Any]]]
"""Finished cells by data set, condition and method."""
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
    "SST-2": ("sst-2", "sst2", "clean"),
    "COPA": ("copa", "copa", "clean"),
}
"""Task or twin → its name in the paper's figures, and data set and condition of the store."""
METHODS = {
    "full": "full fine-tuning",
    "lora": "LoRA",
    "p-tuning-v2": "P-Tuning v2",
    "ia3": "(IA)³",
    "bottleneck-adapter": "bottleneck adapters",
    "all-layer-probe": "all-layer probe",
    "dcpc-paper": "DCPC `paper`",
    "dcpc-no-demonstrations": "DCPC `default` without demonstrations",
    "dcpc": "DCPC `default`",
}
ABLATION = {
    "dcpc-paper": "DCPC `paper`",
    "dcpc-paper-no-pcm": "without the correction module",
    "dcpc-paper-no-alignment": "without alignment",
    "dcpc-paper-no-ambiguity": "without L_amb",
}
DEMONSTRATED = {
    "p-tuning-v2": "P-Tuning v2",
    "p-tuning-v2-demonstrations": "P-Tuning v2 from demonstrations",
    "dcpc-paper": "DCPC `paper`",
    "dcpc-demonstrations": "DCPC `paper` from demonstrations, alignment as a mean",
    "dcpc-demonstrations-no-pcm": "the same without the correction module",
    "dcpc-demonstrations-untrained": "in-context learning: their start, untrained",
    "lora": "LoRA",
    "lora-demonstrations": "LoRA's update behind demonstrations that stay",
    "dcpc-no-demonstrations": "DCPC `default` without demonstrations",
    "dcpc": "DCPC `default`: bottlenecks behind demonstrations that stay",
    "dcpc-demonstrations-all": "the same, the prefix trains too",
}
DEMONSTRATIONS_SAID = """\
A prefix of [demonstrations](language-models.md#demonstrations) starts as the frozen model's keys and values of twelve
judged training items, and is as long as they are; one that trains has many more numbers to train (seed 0's are
given). That they are twelve, and the rate of 1e-3, was chosen by the validation loss of seed 0 ([log](research.md),
row 44), and so was what `default` has of them (row 46). "Validation" is the cross-entropy against noisy judgements in
the epoch that is kept.

"""
HEAD = """\
# The paper's experiment on a language model

<!-- Written by bench/scripts/paper_llm_table.py from results/paper-llm-cut. Do not edit by hand. -->

The paper fine-tunes LLaMA-2 7B; here the model is [`smollm2`](language-models.md) (135 M parameters in 4-bit
rounding), frozen but for the adapter, and its label words answer. Figures of the two are not comparable in height;
what can be compared is the order of the methods. Accuracy of the decisions in %, on the clean labels of {test} test
items; training sees {train} items with one label each from twelve simulated annotators. Settings were given
beforehand and not searched.

"""
LONGER_SAID = """\
"Longer" is the suite [`paper-llm-longer`](results/paper-llm-longer.md): 288 training items, four epochs, 300 test
items, bf16, six times as many steps.

"""


def cells(store: Path = STORE) -> Cells:
    """The finished cells of a store."""
    found: Cells = {}
    for record in Store(store).records().values():
        if record["kind"] == "cell" and record["status"] == "done":
            key = record["dataset"], record["condition"], record["method"]
            found.setdefault(key, []).append(record)
    return found


def compared(
    found: Cells, dataset: str, condition: str, methods: Collection[str]
) -> dict[str, list[dict[str, Any]]]:
    """Cells of those methods that were run, each of the same seeds."""
    ran = {
        method: found[dataset, condition, method]
        for method in methods
        if (dataset, condition, method) in found
    }
    if not ran:
        return {}
    shared = set.intersection(*({record["seed"] for record in records} for records in ran.values()))
    return {method: [r for r in records if r["seed"] in shared] for method, records in ran.items()}


def page() -> str:
    """The whole page."""
    found, plan = cells(), Store(STORE).plan
    assert plan is not None, "the store has a plan"
    caps = plan["suite"]["caps"]
    columns = {name: compared(found, *key[1:], METHODS) for name, key in COLUMNS.items()}
    head = ["method"]
    for name in columns:
        theirs = any(COLUMNS[name][0] in figures for figures in PAPER.values())
        head += [*([f"{name}, paper"] if theirs else []), f"{name}, here", "cross-entropy"]
    lines = [head, ["---", *["---:"] * (len(head) - 1)]]
    for method, title in METHODS.items():
        row = [title]
        for name, ours in columns.items():
            if f"{name}, paper" in head:
                figure = PAPER.get(method, {}).get(COLUMNS[name][0])
                row.append("–" if figure is None else f"{figure:.1f}")
            records = ours.get(method, [])
            row += [_mean(records, "accuracy", 100, 1), _mean(records, "cross_entropy", 1, 3)]
        lines.append(row)
    seeds = {name: len(next(iter(ours.values()), [])) for name, ours in columns.items()}
    lines.append(
        ["seeds", *(str(seeds[n.removesuffix(", here")]) if n.endswith(", here") else "" for n in head[1:])]
    )
    table = "\n".join(f"| {' | '.join(row)} |" for row in lines)
    methods = [method for method in plan["suite"]["methods"] if method in METHODS]
    planned = len(methods) * sum(
        len(d["conditions"] or plan["suite"]["conditions"]) for d in plan["suite"]["datasets"]
    )
    done = sum((*key[1:], method) in found for key in COLUMNS.values() for method in methods)
    longer = cells(LONGER) if LONGER.exists() else {}
    parts = _parts(found, longer) + _demonstrated(found)
    return HEAD.format(**caps) + table + "\n\n" + parts + _read(columns, done, planned)


def _parts(found: Cells, longer: Cells) -> str:
    """What the published form is without each of its parts, as far as that was run; on SST-2-P."""
    _, dataset, condition = COLUMNS["SST-2-P"]
    ran = {
        "": compared(found, dataset, condition, ABLATION),
        ", longer": compared(longer, dataset, condition, [*ABLATION, "p-tuning-v2", "lora", "dcpc"]),
    }
    ran = {name: methods for name, methods in ran.items() if len(methods) > 1}
    if not ran:
        return ""
    head = [
        "on SST-2-P",
        "trained",
        *(f"{what}{name}" for name in ran for what in ("accuracy", "cross-entropy")),
    ]
    lines = [head, ["---", *["---:"] * (len(head) - 1)]]
    for method, title in (ABLATION | METHODS).items():
        of = [methods.get(method, []) for methods in ran.values()]
        if not any(of) and method not in ABLATION:
            continue
        figures = [(_mean(each, "accuracy", 100, 1), _mean(each, "cross_entropy", 1, 3)) for each in of]
        size = next((f"{each[0]['parameters']:,}" for each in of if each), "–")
        lines.append([title, size, *(figure for pair in figures for figure in pair)])
    seeds = [str(len(next(iter(methods.values())))) for methods in ran.values()]
    lines.append(["seeds", "", *(cell for n in seeds for cell in (n, ""))])
    table = "\n".join(f"| {' | '.join(row)} |" for row in lines)
    return f"## Do the parts earn their place?\n\n{table}\n\n" + (LONGER_SAID if ", longer" in ran else "")


def _demonstrated(found: Cells) -> str:
    """Prefixes that start from demonstrations beside those of random numbers, seed by seed; on SST-2-P."""
    of = {method: found.get((*COLUMNS["SST-2-P"][1:], method), []) for method in DEMONSTRATED}
    seeds = sorted({r["seed"] for m, records in of.items() if m.endswith("demonstrations") for r in records})
    if not seeds:
        return ""
    heads = [f"{what}, seed {seed}" for seed in seeds for what in ("validation", "accuracy", "cross-entropy")]
    lines = [["on SST-2-P", "trained", *heads], ["---", *["---:"] * (1 + len(heads))]]
    for method, title in DEMONSTRATED.items():
        if not of[method]:
            continue
        row = [title, f"{of[method][0]['parameters']:,}"]
        for seed in seeds:
            records = [record for record in of[method] if record["seed"] == seed]
            row += [_kept(records), _mean(records, "accuracy", 100, 1), _mean(records, "cross_entropy", 1, 3)]
        lines.append(row)
    table = "\n".join(f"| {' | '.join(row)} |" for row in lines)
    return f"## Demonstrations\n\n{table}\n\n{DEMONSTRATIONS_SAID}"


def _kept(records: list[dict[str, Any]]) -> str:
    """Validation loss of the epoch that is kept, of one cell."""
    losses = [e["eval_loss"] for r in records for e in r["history"] if e["eval_loss"] is not None]
    return f"{min(losses):.3f}" if losses else "not run"


def _mean(records: list[dict[str, Any]], metric: str, factor: float, digits: int) -> str:
    if not records:
        return "not run"
    return f"{factor * sum(r['metrics'][metric] for r in records) / len(records):.{digits}f}"


def _read(columns: dict[str, dict[str, list[dict[str, Any]]]], done: int, planned: int) -> str:
    """What the table says and what was cut short."""
    here = columns["SST-2-P"]
    ranked = sorted(
        ((float(_mean(records, "accuracy", 100, 1)), method) for method, records in here.items()),
        reverse=True,
    )
    place = [method for _, method in ranked].index("dcpc-paper") + 1
    order = ", ".join(f"{METHODS[method]} {accuracy:.1f}" for accuracy, method in ranked)
    return f"""\
On SST-2-P the order here is: {order}.

The paper's form trains {here["dcpc-paper"][0]["parameters"]:,} numbers, LoRA {here["lora"][0]["parameters"]:,}.
In the paper it leads; here its place is {place} of {len(ranked)}, {_apart(ranked)} points below the preset `default`.

**What was cut.** {done} of {planned} cells of a seed of the suite `paper-llm-cut` were run, with as many seeds as the
table says: with one or two nothing here is called better or worse, and intervals ([the store's
page](results/paper-llm-cut.md)) speak of the test items and not of trainings. Missing are full fine-tuning, DoRA,
prompt tuning and DCPC on low-rank updates, and RTE and ReCoRD: the suite `paper-llm` has them and ReCoRD-R, with a
search, for about half a day of two idle cores. Alpaca-IS has replies and no labels, and is measured in
[writing](write.md).

```sh
dcpc-bench run paper-llm-cut --data-folder DATA --output runs/paper-llm-cut   # goes on where it was stopped
dcpc-bench run paper-llm-longer --data-folder DATA --output runs/paper-llm-longer
dcpc-bench run paper-llm --data-folder DATA --output runs/paper-llm --workers 2
```
"""


def _apart(ranked: list[tuple[float, str]]) -> str:
    by_method = {method: accuracy for accuracy, method in ranked}
    return f"{by_method['dcpc'] - by_method['dcpc-paper']:.1f}"


if __name__ == "__main__":
    write_page(TARGET, page, __doc__ or "")
