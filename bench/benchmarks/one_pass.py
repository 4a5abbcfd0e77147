"""Where the readout may read, so that a prediction takes one pass: quality on noisy held-out judgements, never test.

    python bench/benchmarks/one_pass.py --data-folder DATA [--output results/one_pass.jsonl]

Of every set 500 items train, 100 choose epoch and shares as in `dcpc train`, and up to 400 others of the same side
of the split (none of the test side) measure. Two adapters are trained per set and seed, and read in several ways:

- two-passes: readout of the frozen model's states, a pass of its own;
- projected: the same, of 512 random projections of these states;
- adapter: no readout;
- same-weights: the weights of the frozen readout on the states of the adapted pass;
- refit: a regression on the adapted states of the training items;
- distilled: the frozen readout's weights, corrected so that on the adapted states of the training items they say what
  they say of the frozen ones: a ridge regression that sees no label;
- distilled-wide: the same, with the choosing and unlabelled items among those that it is fitted on;
- upper-half: bottlenecks twice as wide behind the upper half of the layers only; the readout reads the layers
  below, which are those of the frozen model in the same pass;
- upper-half-alone: these bottlenecks without a readout.

Rows are appended as they come, one per set, seed and way: judgements, cross-entropies in nats of the items'
distributions and of the annotators', and shares of judgements wrong. At the end a table is printed.
"""

from __future__ import annotations

import argparse
import time
from dataclasses import replace
from itertools import product
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from rows import Rows
from scipy.special import softmax
from sides import sides
from sklearn.linear_model import RidgeCV
from torch import Tensor

from dcpc import train_adapter
from dcpc.adapter import TrainedAdapter
from dcpc.data import Annotations
from dcpc.pooling import mean_of_tokens
from dcpc.prediction.predict import batches
from dcpc.regression.logistic import Judged
from dcpc.training.frozen_readout import PRIOR_STD, SHARES
from dcpc.training.predicted import Predicted, judged_loss, predicted
from dcpc.training.readout_regression import Regression, fit_readout
from dcpc.tuner import DCPCModel
from dcpc.tuner.acting import dcpc_tuner
from dcpc_bench.rig.sources import load_source
from dcpc_bench.rig.suite import load_suite

SETS = ("md_agreement", "gwsd_stance", "popquorn_offensiveness", "stanford_politeness", "convabuse")
SEEDS = 3
TRAIN_ITEMS, VALIDATION_ITEMS, MEASURED_ITEMS = 500, 100, 400
MAX_LENGTH = 64
PROJECTED = 512
UPPER = r".*\.layer\.[3-5]\.output\.dense"
"""Of minilm's six layers."""


class Read:
    """One side of a split as a trained model sees it: logits of the adapter alone, and pooled states.

    Args:
        adapter: trained.
        side: I items and their J judgements.
    """

    def __init__(self, adapter: TrainedAdapter, side: Annotations) -> None:
        tuner = tuner_in(adapter)
        n, enabled = side.n_items, tuner.readout.enabled  # type: ignore[union-attr]
        tuner.readout.enabled = False  # type: ignore[union-attr]
        self.logits = torch.zeros(n, side.n_classes)
        adapted: dict[int, Tensor] = {}
        frozen: dict[int, Tensor] = {}
        with torch.no_grad():
            for rows, tokens in batches(adapter, side.items, 64, False):
                output = adapter.model(**tokens, output_hidden_states=True)
                layers = [mean_of_tokens(layer, tokens["attention_mask"]) for layer in output.hidden_states]
                states, bare = torch.cat(layers, dim=-1), tuner.frozen_states(through=adapter.model, **tokens)
                for position, row in enumerate(rows):
                    self.logits[row] = output.logits[position]
                    adapted[row], frozen[row] = states[position], bare[position]
        tuner.readout.enabled = enabled  # type: ignore[union-attr]
        self.adapted = torch.stack([adapted[row] for row in range(n)]).numpy()  # [I,D]
        self.frozen = torch.stack([frozen[row] for row in range(n)]).numpy()  # [I,D]
        self.who = tuner.annotator_index(list(np.append(side.annotators, "")[side.annotator_codes]))
        self.items, self.labels = torch.tensor(side.item_codes), torch.tensor(side.label_codes)

    def judged(self, states: np.ndarray, size: int) -> Judged:
        """The judgements on states [I,D], by A = size annotators."""
        who = self.who.numpy()
        return Judged(
            states,
            self.items.numpy(),
            self.labels.numpy(),
            np.where(who < size, who, -1),
            size,
            self.logits.shape[1],
        )

    def loss(self, tuner: DCPCModel, logits: Tensor) -> float:
        """The validation loss of logits [I,C], summed over items."""
        batch = {"item_index": self.items, "labels": self.labels}
        return float(judged_loss(self.said(tuner, logits), batch)) * len(logits)

    def said(self, tuner: DCPCModel, logits: Tensor) -> Predicted:
        """What logits [I,C] predict of the judgements."""
        from dcpc.tasks import Scored

        with torch.no_grad():
            return predicted(tuner, Scored(logits, None), self.who, self.items)


def tuner_in(adapter: TrainedAdapter) -> DCPCModel:
    """The DCPC tuner of a trained adapter."""
    tuner = dcpc_tuner(adapter.model)
    assert tuner is not None  # trained with dcpc
    return tuner


def weighed(tuner: DCPCModel, held_out: Read, readout: Tensor | None) -> tuple[float, float]:
    """(β, α) by the product's rule, see `dcpc.training.frozen_readout`; α is 0 without a readout."""
    grid = np.array(list(product(SHARES, SHARES if readout is not None else [0.0])))
    if readout is None:
        grid[:, 0] *= 1.5  # alone, the adapter may count for more than it would beside a readout
    losses = ((grid - (0.5 if readout is not None else [1.0, 0.0])) ** 2).sum(axis=1) / (2 * PRIOR_STD**2)
    for number, (beta, alpha) in enumerate(grid):
        logits = beta * held_out.logits + (0.0 if readout is None else alpha * readout)
        losses[number] += held_out.loss(tuner, logits)
    beta, alpha = softmax(-losses) @ grid
    return float(beta), float(alpha)


def row(tuner: DCPCModel, measured: Read, logits: Tensor) -> dict[str, float]:
    """Figures of logits [I,C] of the measured items."""
    said = measured.said(tuner, logits)
    own = said.items[measured.items] if said.judgements is None else said.judgements  # [J,C]
    items = said.items[measured.items]
    at = torch.arange(len(measured.labels))
    return {
        "judgements": len(at),
        "loss": measured.loss(tuner, logits) / len(logits),
        "item_loss": -float(items[at, measured.labels].mean()),
        "person_loss": -float(own[at, measured.labels].mean()),
        "item_error": float((items.argmax(dim=1) != measured.labels).float().mean()),
        "person_error": float((own.argmax(dim=1) != measured.labels).float().mean()),
    }


def distilled(frozen: Regression, sides: list[Read]) -> Regression:
    """The readout whose logits of adapted states are those of `frozen` of frozen states, in ridge's compromise.

    W' = W + argmin_V ‖Ẑ(W + V)ᵀ + b' − (Z Wᵀ + b)‖² + λ‖V‖²,   Ẑ, Z: adapted and frozen states, standardised alike.
    """
    adapted = np.concatenate([side.adapted for side in sides])
    wanted = np.concatenate([frozen.logits(side.frozen) for side in sides])
    inputs = (adapted - frozen.centre) / frozen.spread
    off = wanted - frozen.logits(adapted)
    found = RidgeCV(alphas=np.logspace(0, 6, 13)).fit(inputs, off)
    return replace(
        frozen,
        weight=(frozen.weight + found.coef_).astype(np.float32),
        bias=(frozen.bias + found.intercept_).astype(np.float32),
    )


def ways(
    name: str, tuner: DCPCModel, train: Read, held_out: Read, measured: Read
) -> dict[str, dict[str, float]]:
    """Figures of every way to read one trained adapter."""
    size, width = tuner.annotators.size, train.frozen.shape[1]
    lower = slice(0, width // 7 * 4)  # embeddings and the three layers below the upper half
    sides, found = (held_out, measured), {}
    projection = np.random.default_rng(0).standard_normal((width, PROJECTED)) / PROJECTED**0.5
    fits = {
        "all": lambda: fit_readout(train.judged(train.frozen, size)),
        "projected": lambda: fit_readout(train.judged(train.frozen @ projection, size)),
        "refit": lambda: fit_readout(train.judged(train.adapted, size)),
        "lower": lambda: fit_readout(train.judged(train.adapted[:, lower], size)),
    }
    if name == "all":
        whole = fits["all"]()
        read = {
            "two-passes": [whole.logits(side.frozen) for side in sides],
            "same-weights": [whole.logits(side.adapted) for side in sides],
        }
        projected, refit = fits["projected"](), fits["refit"]()
        for way, fitted_on in (("distilled", [train]), ("distilled-wide", [train, held_out])):
            corrected = distilled(whole, fitted_on)
            read[way] = [corrected.logits(side.adapted) for side in sides]
        read["projected"] = [projected.logits(side.frozen @ projection) for side in sides]
        read["refit"] = [refit.logits(side.adapted) for side in sides]
        alone = "adapter"
    else:
        part = fits["lower"]()
        read, alone = (
            {"upper-half": [part.logits(side.adapted[:, lower]) for side in sides]},
            "upper-half-alone",
        )
    for way, (of_held_out, of_measured) in read.items():
        beta, alpha = weighed(tuner, held_out, torch.tensor(of_held_out))
        logits = beta * measured.logits + alpha * torch.tensor(of_measured)
        found[way] = {**row(tuner, measured, logits), "beta": beta, "alpha": alpha}
    beta, alpha = weighed(tuner, held_out, None)
    found[alone] = {**row(tuner, measured, beta * measured.logits), "beta": beta, "alpha": alpha}
    return found


def measure(rows: Rows, data: Annotations, dataset: str, seed: int, only: tuple[str, ...]) -> None:
    """Train the adapters, and add a row for every way to read them."""
    train, held_out, measured = sides(data, seed, TRAIN_ITEMS, VALIDATION_ITEMS, MEASURED_ITEMS)
    for name, adapter in (("all", {}), ("upper", {"target_modules": UPPER, "bottleneck": 24})):
        if name not in only or (dataset, seed, name) in rows:
            continue
        started = time.process_time()
        trained = train_adapter(
            train,
            held_out,
            base_model="minilm",
            adapter=adapter,
            training={"seed": seed, "objective": {"one_pass": False}},
            max_length=MAX_LENGTH,
            progress=False,
        )
        found = ways(name, tuner_in(trained), *(Read(trained, side) for side in (train, held_out, measured)))
        key = {"dataset": dataset, "seed": seed, "adapter": name, "items": len(train.item_ids)}
        rows.add(
            *(
                {**key, "way": way} | {name: round(value, 5) for name, value in figures.items()}
                for way, figures in found.items()
            )
        )
        print(dataset, seed, name, f"{time.process_time() - started:.0f} CPU s", flush=True)


def table(rows: Rows) -> pd.DataFrame:
    """Every way against two passes: mean difference and its standard error over sets and seeds."""
    found = rows.table().set_index(["dataset", "seed", "way"])[["loss", "item_error", "person_error"]]
    base = found.xs("two-passes", level="way")
    lines = {}
    for way, figures in found.groupby(level="way", sort=False):
        off = (figures.droplevel("way") - base).dropna()
        off[["item_error", "person_error"]] *= 100
        mean, error = off.mean(), off.sem(ddof=1)
        lines[way] = {"runs": len(off)} | {
            name: f"{mean[name]:+.{digits}f} ± {error[name]:.{digits}f}"
            for name, digits in (("loss", 4), ("item_error", 2), ("person_error", 2))
        }
    return pd.DataFrame(lines).T.drop(index="two-passes")


def main() -> None:
    """Measure what is not in the file yet."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data-folder", type=Path, required=True)
    parser.add_argument("--output", type=Path, default=Path("results/one_pass.jsonl"))
    parser.add_argument("--adapters", nargs="+", choices=("all", "upper"), default=("all", "upper"))
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    rows, suite = Rows(arguments.output, "dataset", "seed", "adapter"), load_suite("sizes")
    for seed, dataset in product(range(SEEDS), SETS):
        source = load_source(suite.dataset(dataset), arguments.data_folder)
        assert source.annotations is not None  # real annotators
        measure(rows, source.annotations, dataset, seed, tuple(arguments.adapters))
    print(table(rows).to_markdown())


if __name__ == "__main__":
    main()
