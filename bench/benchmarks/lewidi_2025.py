"""Two sets of the shared task LeWiDi-2025 with its own splits and its own metrics, beside what its systems reached.

    python bench/benchmarks/lewidi_2025.py --data-folder DATA [--output results/lewidi_2025.jsonl]

Training judgements train, those of `dev` choose the epoch, those of `test` are measured once. Settings are those that
the searches of `real-small` chose most often, on eight other sets of as many items; with `--searched` those that a
search on `dev` chooses.
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
from typing import Any

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
SETTINGS = TrainingSettings(epochs=5, batch_size=32, max_length=128, group_by_length=True)
CHOSEN: Mapping[str, Mapping[str, float]] = {
    "dcpc": {"learning_rate": 0.015, "weight_decay": 0.0},
    "dcpc-paper": {"learning_rate": 0.015, "weight_decay": 3.0},
    "lora": {"learning_rate": 0.015, "weight_decay": 3.0},
    "soft-labels": {"learning_rate": 0.015, "weight_decay": 3.0},
    "annotator-embeddings": {"learning_rate": 0.004, "weight_decay": 0.0},
    "annotator-heads": {"learning_rate": 0.004, "weight_decay": 3.0},
    "full": {"learning_rate": 0.00007, "weight_decay": 0.0},
}
"""In results/real-small; of equally frequent ones that with the more frequent values. `soft-labels` is trained as
LoRA; full fine-tuning, which is not in it, as in `sizes`."""
SEARCH = Search(trials=5, fractions=[0.34, 1.0], keep=0.34)
SETS = ("paraphrase_par", "varierr_nli")


def read(folder: Path, name: str) -> dict[str, Annotations]:
    """The judgements by split."""
    path = folder / name / "annotations.parquet"
    found = read_annotations(path, scale="ordinal") if name == "paraphrase_par" else read_annotations(path)
    return {
        split: found.where((found.table["split"] == split).to_numpy()) for split in ("train", "dev", "test")
    }


def distances(p: np.ndarray, own: np.ndarray, test: Annotations) -> dict[str, list[float]]:
    """The official metrics of every test item [I], lower is better; the task takes their means.

    Args:
        p: distributions of the items, [I, C].
        own: distributions of the judgements, [J, C].
        test: the test judgements.
    """
    if test.scale == "ordinal":
        soft, errors = wasserstein_distances(p, test), absolute_distances(own, test)
    else:
        soft, errors = manhattan_distances(p, test), wrong_answers(own, test)
    persons = np.bincount(test.item_codes, weights=errors) / np.bincount(test.item_codes)
    found = {"soft": soft, "perspectivist": persons}
    return {side: values.round(5).tolist() for side, values in found.items()}


def wasserstein_distances(p: np.ndarray, test: Annotations) -> np.ndarray:
    """Of Paraphrase, float [I]: between predicted and observed distribution, a step of the scale being 1."""
    values = np.array([float(label) for label in test.labels])
    return np.array(
        [wasserstein_distance(values, values, q, r) for q, r in zip(p, shares(test), strict=True)]
    )


def absolute_distances(own: np.ndarray, test: Annotations) -> np.ndarray:
    """Of Paraphrase, float [J]. A judgement's prediction is the median, which errs least in |a - b|."""
    values = np.array([float(label) for label in test.labels])
    median = values[(own.cumsum(axis=1) >= 0.5).argmax(axis=1)]  # [J]
    steps = values.max() - values.min() + 1
    return np.abs(median - values[test.label_codes]) / steps


def manhattan_distances(p: np.ndarray, test: Annotations) -> np.ndarray:
    """Of VariErrNLI, float [I]: of yes and no, which differ by as much each, averaged over labels."""
    says = says_yes(test)
    return 2 * np.abs(p @ says - shares(test) @ says).mean(axis=1)


def wrong_answers(own: np.ndarray, test: Annotations) -> np.ndarray:
    """Of VariErrNLI, float [J]: the share of labels whose yes or no is wrong."""
    says = says_yes(test)
    return (((own @ says) > 0.5) != (says[test.label_codes] > 0.5)).mean(axis=1)


def says_yes(test: Annotations) -> np.ndarray:
    """Which of L labels a class says yes to, [C, L]: a combined one to its parts."""
    parts = sorted({part for label in test.labels for part in label.split(",")})
    return np.array([[part in label.split(",") for part in parts] for label in test.labels], float)


def shares(test: Annotations) -> np.ndarray:
    """The observed distributions [I, C]."""
    return test.counts / test.counts.sum(axis=1, keepdims=True)


def row(found: Mapping[str, list[float]]) -> dict[str, Any]:
    """What is stored: the task's figures, and those of every item for intervals."""
    means = {side: float(np.mean(values)) for side, values in found.items()}
    return {**means, **{f"{side}_by_item": values for side, values in found.items()}}


def measured(fitted: Fitted, test: Annotations) -> dict[str, Any]:
    """The row of a trained method; who knows no annotators gives each the item's distribution."""
    p, own = fitted.judged_probabilities(test.items, test.item_codes, test.table["annotator_id"].tolist())
    return row(distances(p, p[test.item_codes] if own is None else own, test))


def baselines(train: Annotations, test: Annotations) -> dict[str, dict[str, Any]]:
    """Who reads no text: each annotator's most frequent label, labels drawn evenly, and no to every label.

    Their distributions: the mean of the training items, the even one, and none. The last is for sets with several
    labels, where no is the most frequent answer.
    """
    mean = shares(train).mean(axis=0)
    counts = train.table.groupby("annotator_id")["label"].agg(lambda labels: labels.mode()[0])
    places = {label: place for place, label in enumerate(test.labels)}
    usual = test.table["annotator_id"].map(counts).map(places)
    found = {
        "most frequent": row(distances(np.tile(mean, (test.n_items, 1)), np.eye(len(places))[usual], test))
    }
    even = np.full((test.n_items, len(places)), 1 / len(places))
    if test.scale == "ordinal":
        each = [distances(even, np.tile(one, (test.n_judgements, 1)), test) for one in np.eye(len(places))]
        persons = np.mean([one["perspectivist"] for one in each], axis=0)  # expected over draws
        found["random"] = row({"soft": each[0]["soft"], "perspectivist": persons.tolist()})
    else:
        nobody = np.zeros((test.n_judgements, len(places)))
        found["no to all"] = row(distances(nobody[: test.n_items], nobody, test))
    return found


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
    parser.add_argument("--searched", action="store_true")
    parser.add_argument("--datasets", nargs="+", default=SETS, choices=SETS)
    arguments = parser.parse_args()
    rows = Rows(arguments.output, "dataset", "method", "seed")
    for dataset in arguments.datasets:
        splits = read(arguments.data_folder, dataset)
        for name, found in baselines(splits["train"], splits["test"]).items():
            if (dataset, name, 0) not in rows:
                rows.add({"dataset": dataset, "method": name, "seed": 0, "setting": {}, **found})
        for name in arguments.methods:
            shown = f"{name}, searched" if arguments.searched else name
            seeds = [seed for seed in range(arguments.seeds) if (dataset, shown, seed) not in rows]
            setting = chosen(name, splits) if seeds and arguments.searched else CHOSEN.get(name, {})
            for seed in seeds:
                fitted = METHODS[name].train(splits["train"], splits["dev"], SETTINGS, setting, seed)
                found = measured(fitted, splits["test"])
                own = {**setting, **fitted.setting}
                rows.add({"dataset": dataset, "method": shown, "seed": seed, "setting": own, **found})
    table = rows.table().groupby(["dataset", "method"], sort=False)[["soft", "perspectivist"]].mean()
    print(table.round(3).to_string())


if __name__ == "__main__":
    main()
