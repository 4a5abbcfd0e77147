"""Write docs/speed.md from the committed rows results/{speed,growth,serving,memory}.jsonl.

Run: python bench/scripts/speed_tables.py
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
from pages import write_page

from dcpc_bench.report.document import markdown_table

ROOT = Path(__file__).resolve().parents[2]
SPEED, GROWTH, SERVING, FIRST, MEMORY = (
    ROOT / "results" / f"{name}.jsonl" for name in ("speed", "growth", "serving", "first_step", "memory")
)
MARK = (
    "<!-- Written by bench/scripts/speed_tables.py from results/{speed,growth,serving,first_step,memory}.jsonl. "
    "Do not edit by hand. -->"
)
HEAD = f"""{MARK}

# Speed and memory

## Steps and predictions

```
make bench-speed                                          # minilm and smollm2
python bench/benchmarks/speed.py --models llama-1b        # the shape of a Llama of a billion numbers
python bench/benchmarks/speed.py --quick                  # a few minutes
```

Each measure and its reference run in turn in one process, so that whatever else runs slows both. A ratio is the
median over rounds of the reference's seconds by the measure's own, above 1 is faster; behind it the quarters
between which half of the rounds lie. Rivals train as many numbers as DCPC's default. bf16 is measured only on
processors that multiply it themselves (`--set bf16=true`; on one with `avx512_bf16` it may be slower too, so the rig
does not choose it there). Rows are appended to `results/speed.jsonl`, and a run that was cut
off goes on.
"""
GROWN = """
## How a step grows

```
python bench/benchmarks/growth.py
```

A random BERT of two layers of width 128; 32 texts of 32 tokens with one judgement each, 100 annotators, a prefix of
16; one size is changed at a time. Processor milliseconds of a step, and MiB that the forward pass keeps for the
backward pass; the power is that of the size with which they grow from the middle value to the last (1 is in
proportion).
"""
POWERS = """
Attention is quadratic in the length, and `paper` compares all pairs of a batch; all else is in proportion at most
(below the first adapter nothing is kept, so that two layers keep less than a quarter of what eight do). Each
annotator is a row of trained numbers that every step regularises and the optimizer moves: a million are felt. How
reading and setting up grow with the number of items stands below.
"""
SERVED = """
## Served

```
python bench/benchmarks/serving.py
```

`examples/serving.py` with an adapter on `minilm` behind uvicorn on the loopback device, asked by so many threads of
the same process, one to three short texts a request; wrong are answers that differ from those of a lone request, or
failed. One processor thread, beside other programs: the clock's seconds would be fewer on a machine of its own, the
processor's are those of client and server together.
"""
STARTED = """
## To the first step

```
python bench/benchmarks/first_step.py
```

A CSV of 100,000 judgements by 1,000 annotators, texts of about 130 characters, on `minilm`: from the file to the end
of the first step of 32 items, without a readout, one thread; and the readout's pass over the 20,000 items that it
takes of so many, from the pace of 512 of them. The fit of the readout comes after that.
"""
SCALE = """
## Tables larger than memory

```
python bench/benchmarks/memory.py --rows 10000 100000 1000000
python bench/benchmarks/memory.py --rows 10000 --kinds json
python bench/benchmarks/memory.py --rows 10000000 --predict 0
```

The texts of a large table (64 MiB or more) lie in a mapped file while it is read, divided and trained on; the file
has no name, lies in the folder for temporary files (`TMPDIR=/a/large/disk dcpc train ...` names another) and is
gone with the process. Of more than 20,000 items token lists are made as batches ask for them. What stays in memory
are numbers: of each row its item, annotator and label, of each item where its judgements stand. All checks of the
readers are made, with rows and columns in their messages. Items of a readout, and held-out items that weigh it, are
a part of very many (20,000 and 10,000 at most).

Below, rows of one judgement each on texts of about 130 characters, read, split, and trained on for three
steps with a random BERT of two layers. Anonymous memory is what fills a machine; libraries alone take what the
first column of figures says. Processor seconds are said beside the clock's, since the machine was shared. """
NOT_REACHED = """ **Not reached.** The curve is not flat: some numbers of each row stay in memory. They
are its item, annotator and label, and those of the part that trains beside those of the whole table. A JSON array
is read in parts, as lines are (a million rows: 900 MiB at most while they were read whole, 377 since); a JSON
document with its records deeper in it is read whole. Ids that have to
be written anew, as `007` beside `7`, are looked at one by one, and take some hundred bytes each while they are.
Predictions are written as they are made, some 20,000 rows at a time.

## Quantised bases

```
pip install 'dcpc[quantised]'
dcpc train data.csv --model HuggingFaceTB/SmolLM2-1.7B --set quantise=bnb-4bit --output adapter
```

`quantise` is `bnb-4bit` (NF4), `bnb-8bit` or `torchao-int8`; in Python, `base_options={"quantise": "bnb-4bit"}`.
The adapter remembers it, and loads its base in the same way. A base that was saved quantised (GPTQ, AWQ) is loaded
by transformers with the package that its configuration names, without this setting; that was not tried here.
Where `optimum` (GPTQ) or `gptqmodel` (both) is not installed, the command to install it is said.
Adapters on quantised bases cannot be merged, and a quantised base itself cannot be trained: both are refused. The
three ways are tested on a CPU; on a GPU they were not tried.
"""


def _table(shown: pd.DataFrame) -> str:
    return "\n".join(
        markdown_table([str(name) for name in shown], shown.astype(str).to_numpy().tolist(), left=2)
    )


def speed_table() -> str:
    """The measures by base model."""
    rows = pd.read_json(SPEED, lines=True)
    order = {name: number for number, name in enumerate(rows["model"].unique())}
    rows = rows.sort_values("model", key=lambda names: names.map(order), kind="stable")
    half = [
        "" if pd.isna(low) else f"{low:.2f} to {high:.2f}"
        for low, high in zip(rows["quarter"], rows["three_quarters"], strict=True)
    ]
    shown = pd.DataFrame(
        {
            "base model": rows["model"],
            "measure / reference": rows["measure"],
            "at least": [f"{aim:g}" for aim in rows["aim"]],
            "ratio": [
                f"**{ratio:.2f}**" if ratio < aim else f"{ratio:.2f}"
                for ratio, aim in zip(rows["ratio"], rows["aim"], strict=True)
            ],
            "half of the rounds": half,
            "rounds": ["" if pd.isna(n) else f"{n:.0f}" for n in rows["rounds"]],
        }
    )
    missed = rows[rows["ratio"] < rows["aim"]]
    said = "Bold ratios do not reach what was aimed at." if len(missed) else "All reach what was aimed at."
    first = rows.iloc[0]
    where = f"Measured on {first['device']} ({first['processor']}), {first['threads']} thread, beside other programs."
    return f"{_table(shown)}\n\n{where} {said}\n"


def growth_table() -> str:
    """Time and memory of a step by each size."""
    rows = pd.read_json(GROWTH, lines=True)
    lines: list[list[str]] = []
    for preset, size in dict.fromkeys(zip(rows["preset"], rows["size"], strict=True)):
        own = rows[(rows["preset"] == preset) & (rows["size"] == size)]
        own = own.sort_values("value")
        memory = "trained_mib" if size == "annotators" else "kept_mib"
        middle, last = own.iloc[-2], own.iloc[-1]
        grown = np.log(last["value"] / middle["value"])
        powers = [np.log(last[name] / middle[name]) / grown for name in ("cpu_ms", memory)]
        shown = [" / ".join(f"{value:,.{digits}f}" for value in own[name])
                 for name, digits in (("value", 0), ("cpu_ms", 0), (memory, 1))]  # fmt: skip
        named = "annotators (trained numbers)" if size == "annotators" else size
        lines.append([preset, named, shown[0], shown[1], f"{powers[0]:.1f}", shown[2], f"{powers[1]:.1f}"])
    head = ["preset", "size", "values", "step, ms", "power", "memory, MiB", "power of memory"]
    return "\n".join(markdown_table(head, lines, left=2)) + "\n"


def serving_table() -> str:
    """The load test by the number of threads that ask."""
    rows = pd.read_json(SERVING, lines=True)
    shown = pd.DataFrame(
        {
            "threads": rows["threads"].astype(int),
            "requests": rows["requests"].astype(int),
            "requests/s": [f"{value:.1f}" for value in rows["requests_per_second"]],
            "p50, ms": [f"{1e3 * value:.0f}" for value in rows["p50"]],
            "p99, ms": [f"{1e3 * value:.0f}" for value in rows["p99"]],
            "wrong": rows["wrong"].astype(int),
            "processor ms a request": [f"{value:.1f}" for value in rows["cpu_ms"]],
        }
    )
    return f"{_table(shown)}\n"


def first_step_table() -> str:
    """The parts of the time before training goes on, the last measurement."""
    row = pd.read_json(FIRST, lines=True).iloc[-1]
    parts = {
        "reading": "read",
        "setup and first step": "start",
        "the readout's pass (from its pace)": "readout_pass",
    }
    lines = [[part, f"{row[f'{name}_s']:.0f}", f"{row[f'{name}_cpu_s']:.0f}"] for part, name in parts.items()]
    return "\n".join(markdown_table(["part", "seconds", "processor seconds"], lines, left=1)) + "\n"


def memory_table() -> str:
    """Peaks by the number of rows."""
    rows = pd.read_json(MEMORY, lines=True).sort_values("rows").drop_duplicates(["kind", "rows"], keep="last")
    shown = pd.DataFrame(
        {
            "rows": [f"{n:,}" for n in rows["rows"]],
            "file": rows["kind"],
            "libraries, MiB": rows["start_anonymous"],
            "reading, MiB": rows["read_anonymous"],
            "training, MiB": rows["train_anonymous"],
            "predicting, MiB": ["" if pd.isna(n) else f"{n:.0f}" for n in rows["predict_anonymous"]],
            "to the first step, s (processor s)": [
                f"{clock:.0f} ({own:.0f})"
                for clock, own in zip(rows["first_step_s"], rows["first_step_cpu_s"], strict=True)
            ],
        }
    )
    per_row = ""
    if len(rows) > 1:
        first, last = rows.iloc[0], rows.iloc[-1]
        growth = (last["train_anonymous"] - first["train_anonymous"]) * 2**20 / (last["rows"] - first["rows"])
        per_row = f"\n\nFrom {first['rows']:,} to {last['rows']:,} rows, training grows by {growth:.0f} bytes a row."
    return f"{_table(shown)}{per_row}\n"


def page() -> str:
    """The page's text."""
    return "\n".join(
        part.strip() + "\n"
        for part in (
            *(HEAD, speed_table(), GROWN, growth_table(), POWERS, SERVED, serving_table()),
            *(STARTED, first_step_table(), SCALE, memory_table(), NOT_REACHED),
        )
    )


if __name__ == "__main__":
    write_page(ROOT / "docs" / "speed.md", page, __doc__ or "")
