"""Write docs/speed.md from the committed rows results/speed.jsonl and results/memory.jsonl.

Run: python bench/scripts/speed_tables.py
"""

from __future__ import annotations

from pathlib import Path

import pandas as pd
from pages import write_page

from dcpc_bench.report.document import markdown_table

ROOT = Path(__file__).resolve().parents[2]
SPEED, MEMORY = (ROOT / "results" / f"{name}.jsonl" for name in ("speed", "memory"))
MARK = (
    "<!-- Written by bench/scripts/speed_tables.py from results/speed.jsonl and results/memory.jsonl. "
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
machines that multiply it faster than float32. Rows are appended to `results/speed.jsonl`, and a run that was cut
off goes on.
"""
SCALE = """
## Tables larger than memory

```
python bench/benchmarks/memory.py --rows 10000 100000 1000000
python bench/benchmarks/memory.py --rows 10000000 --predict 0
```

The texts of a large table (64 MiB or more) lie in a mapped file while it is read, divided and trained on; the file
has no name, lies in the folder for temporary files (`TMPDIR=/a/large/disk dcpc train ...` names another) and is
gone with the process. Of more than 20,000 items token lists are made as batches ask for them. What stays in memory
are numbers: of each row its item, annotator and label, of each item where its judgements stand. All checks of the
readers are made, with rows and columns in their messages. Items of a readout, and held-out items that weigh it, are
a part of very many (20,000 and 10,000 at most).

Below, rows of one judgement each on texts of about 130 characters, read from CSV, split, and trained on for three
steps with a random BERT of two layers. Anonymous memory is what fills a machine; libraries alone take what the
first column of figures says. Processor seconds are said beside the clock's, since the machine was shared. """
NOT_REACHED = """ **Not reached.** The curve is not flat: some numbers of each row stay in memory. The most is
held while a table is read and its ids are told apart. A JSON array (not JSON Lines) is read whole. Ids that have to
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
        part.strip() + "\n" for part in (HEAD, speed_table(), SCALE, memory_table(), NOT_REACHED)
    )


if __name__ == "__main__":
    write_page(ROOT / "docs" / "speed.md", page, __doc__ or "")
