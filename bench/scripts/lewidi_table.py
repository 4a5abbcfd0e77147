"""Write docs/lewidi.md from the committed rows results/lewidi_2025.jsonl.

Run: python bench/scripts/lewidi_table.py
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
from pages import write_page

from dcpc_bench.report.document import markdown_table

ROOT = Path(__file__).resolve().parents[2]
ROWS = ROOT / "results" / "lewidi_2025.jsonl"
MARK = (
    "<!-- Written by bench/scripts/lewidi_table.py from results/lewidi_2025.jsonl. Do not edit by hand. -->"
)
SETS = {"paraphrase_par": "Paraphrase", "varierr_nli": "VariErrNLI"}
SIDES = ("soft", "perspectivist")
ENCODER, CAUSAL = "MiniLM, 22 M", "SmolLM2, 135 M, not trained"
NAMES = {
    "random": ("labels drawn evenly", "–"),
    "most frequent": ("mean distribution, each annotator's most frequent label", "–"),
    "no to all": ("no to every label", "–"),
    "linear-probe-annotators": ("all-layer probe with annotators", f"{ENCODER}, frozen"),
    "rater-icl": ("`rater-icl`: examples of the annotator in the prompt", CAUSAL),
    "dcpc": ("DCPC `default`", ENCODER),
    "dcpc, searched": ("DCPC `default`, settings searched on dev", ENCODER),
    "dcpc-paper": ("DCPC `paper`", ENCODER),
    "lora": ("LoRA", ENCODER),
    "soft-labels": ("soft labels on LoRA", ENCODER),
    "annotator-embeddings": ("annotator embeddings on LoRA", ENCODER),
    "annotator-heads": ("a head per annotator on LoRA", ENCODER),
    "full": ("full fine-tuning", ENCODER),
}
"""What a method is and the model it works on."""
RIVALS = ("linear-probe-annotators", "lora", "soft-labels", "annotator-embeddings", "annotator-heads", "full")
PUBLISHED = (
    ("the task's random baseline [1]", "–", ("", ".367", "", ".497")),
    ("the task's most frequent label [1]", "–", ("", ".362", "", ".345")),
    (
        "Opt-ICL: examples of the annotator in the prompt [1]",
        "Gemma 3, 12 B, trained",
        ("", ".119", "", ".270"),
    ),
    ("twinhter, first on both sets [1, 2]", "BERT, size not in the abstract", ("", ".080", "", ".124")),
    (
        "Uncertain (Mis)Takes, joint first in soft VariErrNLI [3]",
        "a large language model's explanations, size not in the abstract",
        ("", "", ".31", ""),
    ),
)
RESAMPLES = 10_000


def figure(rows: pd.DataFrame, dataset: str, method: str, side: str) -> str:
    """Mean over seeds, with their standard deviation where there are several."""
    values = rows[(rows["dataset"] == dataset) & (rows["method"] == method)][side]
    if values.empty:
        return ""
    spread = f" ± {values.std(ddof=1):.3f}" if len(values) > 1 else ""
    return f"{values.mean():.3f}{spread}"


def by_item(rows: pd.DataFrame, dataset: str, method: str, side: str, seeds: set[int]) -> np.ndarray:
    """Distances of the test items, means over seeds, [I]."""
    own = rows[(rows["dataset"] == dataset) & (rows["method"] == method) & rows["seed"].isin(seeds)]
    return np.stack([np.array(found) for found in own[f"{side}_by_item"]]).mean(axis=0)


def kept(rows: pd.DataFrame, dataset: str, method: str) -> set[int]:
    """Seeds whose rows have the items' distances."""
    own = rows[(rows["dataset"] == dataset) & (rows["method"] == method)]
    return set(own[own["soft_by_item"].notna()]["seed"])


def lead(rows: pd.DataFrame, dataset: str, other: str, side: str) -> str:
    """DCPC less another method over the seeds that both have, with its 95 % interval over test items."""
    seeds = kept(rows, dataset, "dcpc") & kept(rows, dataset, other)
    if not seeds:
        return ""
    difference = by_item(rows, dataset, "dcpc", side, seeds) - by_item(rows, dataset, other, side, seeds)
    drawn = np.random.default_rng(0).integers(len(difference), size=(RESAMPLES, len(difference)))
    low, high = np.quantile(difference[drawn].mean(axis=1), (0.025, 0.975))
    mean, low, high = (f"{x:+.3f}".replace("-", "−") for x in (difference.mean(), low, high))
    return f"{mean} ({low} to {high})"


def measured(rows: pd.DataFrame) -> Iterator[list[str]]:
    """Rows of the table of figures."""
    for method, (name, model) in NAMES.items():
        if method in set(rows["method"]):
            seeds = rows[rows["method"] == method].groupby("dataset")["seed"].nunique()
            counts = " / ".join(str(seeds[d]) if d in seeds else "–" for d in SETS)
            yield [name, model, counts, *(figure(rows, d, method, side) for d in SETS for side in SIDES)]


def page() -> str:
    """The page."""
    rows = pd.read_json(ROWS, lines=True)
    columns = [f"{SETS[d]}, {side}" for d in SETS for side in SIDES]
    found = {m: [lead(rows, d, m, side) for d in SETS for side in SIDES] for m in RIVALS}
    leads = [[NAMES[m][0], *cells] for m, cells in found.items() if any(cells)]
    published = [[name, model, "", *figures] for name, model, figures in PUBLISHED]
    table = markdown_table(["", "model", "seeds", *columns], [*measured(rows), *published], left=2)
    return f"""\
# LeWiDi-2025

{MARK}

Two sets of the shared task [LeWiDi-2025](https://le-wi-di.github.io) that are public as a whole, with the task's own
splits and metrics; lower is better. Paraphrase: two questions, rated from -5 to 5 by four annotators; soft is the
Wasserstein distance between the predicted and the observed distribution, perspectivist |predicted − given| / 11.
VariErrNLI: sentence pairs with any of three labels from four annotators; soft is the Manhattan distance of yes and
no, averaged over labels, perspectivist the share of wrong yes and no. There are 400 and 388 training items, and 50
test items of each, so that two systems must be far apart to differ.

{chr(10).join(table)}

Means over training seeds (how many: Paraphrase / VariErrNLI), ± the standard deviation over them where there are
several. Settings are those that the searches of `real-small` chose most often, on eight other sets of as many items,
but in the row that says otherwise; the dev split chooses the epoch, and nothing was chosen on the test split. An
empty cell was not run, or not found in print. The metrics here give the task's printed baseline on both sets: the
most frequent label on Paraphrase, and no to every label on VariErrNLI, where no is the most frequent answer.

DCPC less each of the others, 95 % interval over the test items (a mean over the seeds that both have; such
intervals say nothing of other seeds):

{chr(10).join(markdown_table(["DCPC −", *columns], leads, left=1))}

What to make of it:

- On VariErrNLI nothing that was trained here, with one seed and five epochs on 388 items, is far from the baselines.
  Annotator embeddings have the lowest soft distance and DCPC the lowest perspectivist one, within chance.
- On Paraphrase DCPC's three trainings are ahead of the one of LoRA and of the probe; DCPC's settings were searched on
  dev and LoRA's were not, and DCPC's batches were not yet grouped by length.
- The published figures are of other and mostly much larger models, and some may have read more than texts and labels:
  the sets carry the annotators' written explanations, which nothing here reads. The table says how far these small
  models carry, not which method is better.
- MiniLM was trained on pairs of Quora's duplicates and of NLI sets before: Paraphrase is near to what it knows.
- A combined label, such as entailment with neutral, is a class of its own here.
- `rater-icl` has nothing to train: the dev split chooses how many examples (of 16 or 64 drawn at random, or the 8
  nearest) and the calibration of its label words.

[1] Sorensen and Choi 2025, [arXiv 2510.07105](https://arxiv.org/abs/2510.07105), table 1, which has the perspectivist
task; the organisers' report is [arXiv 2510.08460](https://arxiv.org/abs/2510.08460).
[2] Nguyen and Thin 2025, [twinhter](https://aclanthology.org/2025.nlperspectives-1.22).
[3] Staliūnaitė and Vlachos 2025, [Uncertain (Mis)Takes](https://aclanthology.org/2025.nlperspectives-1.23).

`python bench/benchmarks/lewidi_2025.py --data-folder DATA` measures, with `--searched` the row that says so,
`python bench/scripts/lewidi_table.py` writes this page.
"""


if __name__ == "__main__":
    write_page(ROOT / "docs" / "lewidi.md", page, __doc__)
