"""Write docs/lewidi.md from the committed rows results/lewidi_2025.jsonl.

Run: python bench/scripts/lewidi_table.py
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pandas as pd
from pages import write_page

from dcpc_bench.report.document import markdown_table

ROOT = Path(__file__).resolve().parents[2]
ROWS = ROOT / "results" / "lewidi_2025.jsonl"
MARK = (
    "<!-- Written by bench/scripts/lewidi_table.py from results/lewidi_2025.jsonl. Do not edit by hand. -->"
)
SETS = {"paraphrase_par": "Paraphrase", "varierr_nli": "VariErrNLI"}
NAMES = {
    "most frequent": "the task's baseline: mean distribution, each annotator's most frequent label",
    "linear-probe-annotators": "all-layer probe with annotators (MiniLM, 22 M)",
    "rater-icl": "`rater-icl`: examples of the annotator in the prompt (SmolLM2, 135 M, not trained)",
    "dcpc": "DCPC `default` (MiniLM, 22 M)",
    "dcpc-paper": "DCPC `paper` (MiniLM, 22 M)",
    "lora": "LoRA (MiniLM, 22 M)",
    "annotator-embeddings": "annotator embeddings on LoRA (MiniLM, 22 M)",
    "annotator-heads": "a head per annotator on LoRA (MiniLM, 22 M)",
}
PUBLISHED = {
    "Opt-ICL, in-context examples of the annotator (a large language model)": (".119", ".270"),
    "best other team of the task": (".080", ".124"),
}
"""Perspectivist distances on Paraphrase and VariErrNLI, as the organisers report them (arXiv 2510.08460)."""


def page() -> str:
    """The page."""
    rows = pd.read_json(ROWS, lines=True)
    sets = [name for name in SETS if name in set(rows["dataset"])]
    body = [[NAMES[m], *_own(rows, sets, m)] for m in NAMES if m in set(rows["method"])]
    for name, figures in PUBLISHED.items():
        body.append([name, *(cell for d in sets for cell in ("", figures[list(SETS).index(d)]))])
    columns = [f"{SETS[d]}, {side}" for d in sets for side in ("soft", "perspectivist")]
    n_seeds = rows["seed"].nunique()
    open_ones = [SETS[name] for name in SETS if name not in sets]
    unmeasured = f" {' and '.join(open_ones)} has not been run yet." if open_ones else ""
    return f"""\
# LeWiDi-2025

{MARK}

Two sets of the shared task [LeWiDi-2025](https://le-wi-di.github.io) that are public as a whole, with the task's own
splits and metrics; lower is better. Paraphrase: two questions, rated from -5 to 5 by four annotators; soft is the
Wasserstein distance between the predicted and the observed distribution, perspectivist |predicted − given| / 11.
VariErrNLI: sentence pairs with any of three labels from four annotators; soft is the Manhattan distance of yes and
no, averaged over labels, perspectivist the share of wrong yes and no. There are 400 and 388 training items, and 50
test items of each, so that two systems must be far apart to differ.{unmeasured}

{chr(10).join(markdown_table(["", *columns], body, left=1))}

Means of up to {n_seeds} training seeds, ± the standard deviation over them where there are several. Settings were
searched on the task's dev split, for all methods alike; the test split was measured once. The published figures are
of other and mostly much larger models: the table says how far these small ones carry, not which method is better.
`rater-icl` has nothing to train: the dev split chooses how many examples (64, drawn at random, against 16 and the 8
nearest) and the calibration of its label words. Its one seed took 20 minutes of CPU time.

`python bench/benchmarks/lewidi_2025.py --data-folder DATA` measures,
`python bench/scripts/lewidi_table.py` writes this page.
"""


def _own(rows: pd.DataFrame, sets: Sequence[str], method: str) -> list[str]:
    """Two cells per set: soft and perspectivist."""
    found = []
    for dataset in sets:
        own = rows[(rows["dataset"] == dataset) & (rows["method"] == method)]
        for side in ("soft", "perspectivist"):
            values = own[side]
            spread = f" ± {values.std(ddof=1):.3f}" if len(values) > 1 else ""
            found.append(f"{values.mean():.3f}{spread}" if len(values) else "–")
    return found


if __name__ == "__main__":
    write_page(ROOT / "docs" / "lewidi.md", page, __doc__)
