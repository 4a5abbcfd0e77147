"""Two sets of the shared task LeWiDi-2025 with its own splits and its own metrics, beside what its systems reached.

    python bench/benchmarks/lewidi_2025.py --data-folder DATA [--output results/lewidi_2025.jsonl]

Training judgements train, those of `dev` choose the setting and the epoch, those of `test` are measured once.
Metrics as in the organisers' starting kit (Leonardelli et al. 2025, arXiv 2510.08460):

- Paraphrase (labels -5 to 5): soft, the Wasserstein distance between predicted and observed distribution, one step of
  the scale being 1; perspectivist, |predicted - given| / 11.
- VariErrNLI (any of three labels): soft, for each label the Manhattan distance between the predicted and the observed
  distribution of yes and no, averaged over labels; perspectivist, the share of wrong yes/no.

Rows are appended as they come, and those that are there are not measured again. `bench/scripts/lewidi_table.py`
writes the page.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from rows import Rows
from scipy.stats import wasserstein_distance

from dcpc import read_annotations
from dcpc.data import Annotations
from dcpc_bench.fitted import Fitted
from dcpc_bench.method import TrainingSettings
from dcpc_bench.methods import METHODS
from dcpc_bench.rig.search import select
from dcpc_bench.rig.suite import Search

NAMES = (
    *("linear-probe-annotators", "rater-icl"),
    *("dcpc", "dcpc-paper", "lora", "soft-labels", "annotator-embeddings", "annotator-heads", "full"),
)
SETTINGS = TrainingSettings(epochs=5, batch_size=32, max_length=128)
SEARCH = Search(trials=5, fractions=[0.34, 1.0], keep=0.34)
SETS = ("paraphrase_par", "varierr_nli")


def read(folder: Path, name: str) -> dict[str, Annotations]:
    """The judgements by split."""
    path = folder / name / "annotations.parquet"
    found = read_annotations(path, scale="ordinal") if name == "paraphrase_par" else read_annotations(path)
    return {
        split: found.where((found.table["split"] == split).to_numpy()) for split in ("train", "dev", "test")
    }


def distances(p: np.ndarray, own: np.ndarray, test: Annotations) -> dict[str, float]:
    """The official metrics, lower is better.

    Args:
        p: distributions of the items, [I, C].
        own: distributions of the judgements, [J, C].
        test: the test judgements.
    """
    if test.scale == "ordinal":
        return ordinal_distances(p, own, test)
    return multilabel_distances(p, own, test)


def ordinal_distances(p: np.ndarray, own: np.ndarray, test: Annotations) -> dict[str, float]:
    """Of Paraphrase. A judgement's prediction is the median of its distribution, which errs least in |a - b|."""
    values = np.array([float(label) for label in test.labels])
    observed = test.counts / test.counts.sum(axis=1, keepdims=True)
    soft = [wasserstein_distance(values, values, q, r) for q, r in zip(p, observed, strict=True)]
    median = values[(own.cumsum(axis=1) >= 0.5).argmax(axis=1)]  # [J]
    steps = values.max() - values.min() + 1
    return {
        "soft": float(np.mean(soft)),
        "perspectivist": float((np.abs(median - values[test.label_codes]) / steps).mean()),
    }


def multilabel_distances(p: np.ndarray, own: np.ndarray, test: Annotations) -> dict[str, float]:
    """Of VariErrNLI. A combined label says yes to its parts; every item weighs the same, as in the task."""
    parts = sorted({part for label in test.labels for part in label.split(",")})
    says = np.array([[part in label.split(",") for part in parts] for label in test.labels], float)  # [C, P]
    observed = (test.counts / test.counts.sum(axis=1, keepdims=True)) @ says  # [I, P]
    soft = 2 * np.abs(p @ says - observed).mean(axis=1)  # yes and no differ by as much each
    wrong = (((own @ says) > 0.5) != (says[test.label_codes] > 0.5)).mean(axis=1)  # [J]
    per_item = np.bincount(test.item_codes, weights=wrong) / np.bincount(test.item_codes)
    return {"soft": float(soft.mean()), "perspectivist": float(per_item.mean())}


def measured(fitted: Fitted, test: Annotations) -> dict[str, float]:
    """The official metrics of a trained method; who knows no annotators gives each the item's distribution."""
    p, own = fitted.judged_probabilities(test.items, test.item_codes, test.table["annotator_id"].tolist())
    return distances(p, p[test.item_codes] if own is None else own, test)


def baseline(train: Annotations, test: Annotations) -> dict[str, float]:
    """The task's own: mean soft label of the training items, and each annotator's most frequent label."""
    mean = (train.counts / train.counts.sum(axis=1, keepdims=True)).mean(axis=0)
    counts = train.table.groupby("annotator_id")["label"].agg(lambda labels: labels.mode()[0])
    places = {label: place for place, label in enumerate(test.labels)}
    usual = test.table["annotator_id"].map(counts).map(places)
    return distances(np.tile(mean, (test.n_items, 1)), np.eye(len(places))[usual], test)


def chosen(name: str, splits: Mapping[str, Annotations]) -> dict[str, float]:
    """The setting that predicts the dev judgements best, searched alike for all."""
    method = METHODS[name]
    return select(
        method.grid,
        SEARCH,
        SETTINGS.epochs,
        lambda setting, epochs: (
            method.train(
                splits["train"], splits["dev"], SETTINGS.model_copy(update={"epochs": epochs}), setting, 0
            ).validation_loss
        ),
    )["setting"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data-folder", type=Path, required=True)
    parser.add_argument("--output", type=Path, default=Path("results/lewidi_2025.jsonl"))
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--methods", nargs="+", default=NAMES, choices=NAMES)
    parser.add_argument("--datasets", nargs="+", default=SETS, choices=SETS)
    arguments = parser.parse_args()
    rows = Rows(arguments.output, "dataset", "method", "seed")
    for dataset in arguments.datasets:
        splits = read(arguments.data_folder, dataset)
        if (dataset, "most frequent", 0) not in rows:
            found = baseline(splits["train"], splits["test"])
            rows.add({"dataset": dataset, "method": "most frequent", "seed": 0, "setting": {}, **found})
        for name in arguments.methods:
            seeds = [seed for seed in range(arguments.seeds) if (dataset, name, seed) not in rows]
            setting = chosen(name, splits) if seeds else {}
            for seed in seeds:
                fitted = METHODS[name].train(splits["train"], splits["dev"], SETTINGS, setting, seed)
                found = measured(fitted, splits["test"])
                own = {**setting, **fitted.setting}
                rows.add({"dataset": dataset, "method": name, "seed": seed, "setting": own, **found})
    table = rows.table().groupby(["dataset", "method"], sort=False)[["soft", "perspectivist"]].mean()
    print(table.round(3).to_string())


if __name__ == "__main__":
    main()
