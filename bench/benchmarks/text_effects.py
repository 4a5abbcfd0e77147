"""Whether annotators differ in more than a shift, where each judged hundreds of items: effects that hang on the text.

    python bench/benchmarks/text_effects.py --data-folder DATA [--sets hs_brexit convabuse]

Items of the test side of a split neither train nor measure. A regression on the pooled states x of all layers of the
frozen base model gives logits z of every item, those of training items by cross-fitting. On top, with all judgements:

    shift         z + u_a
    slope         z + u_a + s_a (z − mean z)
    R styles      z + u_a + Σ_r s_ar V_r x       V_r [C, D]: directions that annotators share, s_ar how much of each

Ridges of u, s and V are those that predict a fifth of the training items best; then all of them train. Measured are
the other items' judgements: cross-entropy of each under its annotator's distribution in nats, and the share that is
not its most probable label. Rows are appended as they come; at the end a table is printed.
"""

from __future__ import annotations

import argparse
import time
from itertools import product
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from layer_probe import layer_states
from rows import Rows
from sides import sides
from torch import Tensor
from torch.nn.functional import cross_entropy

from dcpc.data import Annotations
from dcpc.regression.logistic import Judged
from dcpc.training.readout_regression import fit_readout
from dcpc_bench.rig.sources import load_source
from dcpc_bench.rig.suite import load_suite

SUITE = "real-full"
SETS = ("hs_brexit", "convabuse", "armis", "csc_sarcasm", "age_bias_sentiment", "md_agreement")
FORMS = ("shift", "slope", "1 style", "2 styles", "4 styles")
SHIFT_RIDGES, EFFECT_RIDGES = (0.1, 1.0, 10.0), (1.0, 10.0, 100.0, 1000.0)
DIRECTION_RIDGE = 1.0
"""Of V, whose scale the ridge of s fixes."""
MOST_DIRECTIONS, MAX_LENGTH, FOLDS, MOST_TRAINED, MOST_MEASURED = 64, 64, 4, 3_000, 1_500


def item_logits(judged: Judged, others: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Logits of training items by regressions that did not see them, and of other items' states, [I, C] each."""
    folds = np.random.default_rng(1).permutation(len(judged.features)) % FOLDS
    crossed = np.zeros((len(folds), judged.n_classes))
    for fold in range(FOLDS):
        crossed[folds == fold] = fit_readout(judged.of_items(folds != fold)).logits(
            judged.features[folds == fold]
        )
    return crossed, fit_readout(judged).logits(others)


class Effects:
    """Annotators' effects of one form on given logits.

    Args:
        form: of `FORMS`.
        shift_ridge: of u.
        effect_ridge: of s.
    """

    def __init__(self, form: str, shift_ridge: float, effect_ridge: float) -> None:
        self.form, self.shift_ridge, self.effect_ridge = form, shift_ridge, effect_ridge
        self.n_styles = int(form[0]) if form[0].isdigit() else 0
        self.parts: list[Tensor] = []

    def logits(self, z: Tensor, x: Tensor, items: Tensor, annotators: Tensor) -> Tensor:
        """Of J judgements [J, C], from z [I, C] and x [I, D]; annotators −1 have no effect."""
        shift, scores, directions = self.parts
        known = (annotators >= 0)[:, None]
        found = z[items] + torch.where(known, shift[annotators], 0.0)
        if self.form == "slope":
            found = found + torch.where(known, scores[annotators] * (z - self.mean)[items], 0.0)
        elif self.n_styles:
            styles = torch.einsum("id,rdc->irc", x, directions)[items]
            found = found + torch.where(known, torch.einsum("jr,jrc->jc", scores[annotators], styles), 0.0)
        return found

    def fit(self, judged: Judged, z: np.ndarray, x: np.ndarray) -> Effects:
        """Fit to J judgements of items with logits z [I, C] and directions x [I, D]; by L-BFGS."""
        generator = torch.Generator().manual_seed(0)
        width = max(self.n_styles, 1)
        known, states = torch.from_numpy(z).float(), torch.from_numpy(x).float()
        items, labels, annotators = (
            torch.from_numpy(each) for each in (judged.items, judged.labels, judged.annotators)
        )
        self.mean = known.mean(dim=0)
        self.parts = [
            torch.zeros(judged.n_annotators, judged.n_classes, requires_grad=True),
            torch.zeros(judged.n_annotators, width, requires_grad=True)
            if self.form == "slope"
            else (0.1 * torch.randn(judged.n_annotators, width, generator=generator)).requires_grad_(),
            (0.1 * torch.randn(width, x.shape[1], judged.n_classes, generator=generator)).requires_grad_(),
        ]
        optimizer = torch.optim.LBFGS(self.parts, max_iter=200, line_search_fn="strong_wolfe")
        ridges = (self.shift_ridge, self.effect_ridge, DIRECTION_RIDGE)

        def closure() -> Tensor:
            optimizer.zero_grad()
            loss = cross_entropy(self.logits(known, states, items, annotators), labels, reduction="sum")
            for part, ridge in zip(self.parts, ridges, strict=True):
                loss = loss + 0.5 * ridge * part.square().sum()
            loss.backward()
            return loss

        optimizer.step(closure)
        return self

    @torch.no_grad()
    def figures(self, judged: Judged, z: np.ndarray, x: np.ndarray) -> dict[str, float]:
        """Cross-entropy and error of judgements."""
        found = self.logits(
            torch.from_numpy(z).float(),
            torch.from_numpy(x).float(),
            torch.from_numpy(judged.items),
            torch.from_numpy(judged.annotators),
        )
        labels = torch.from_numpy(judged.labels)
        wrong = (found.argmax(dim=1) != labels).float().mean()
        return {"cross_entropy": float(cross_entropy(found, labels)), "judgement_error": float(wrong)}


def judged_of(data: Annotations, states: np.ndarray, names: list[str]) -> Judged:
    """Judgements with the numbers of named annotators, −1 for others."""
    number = {name: index for index, name in enumerate(names)}
    codes = np.array([number.get(name, -1) for name in data.annotators])[data.annotator_codes]
    return Judged(states, data.item_codes, data.label_codes, codes, len(names), data.n_classes)


def measure(rows: Rows, data: Annotations, dataset: str, seed: int) -> None:
    """Fit and measure every form that is not in the file."""
    if all((dataset, seed, form) in rows for form in FORMS):
        return
    trained = min(MOST_TRAINED, int(0.6 * 0.8 * data.n_items))
    train, _, measured = sides(data, seed, trained, 1, MOST_MEASURED)
    states = [
        layer_states(side.items, "minilm", MAX_LENGTH).reshape(side.n_items, -1) for side in (train, measured)
    ]
    names = list(train.annotators)
    judged, others = (judged_of(side, of, names) for side, of in zip((train, measured), states, strict=True))
    z, z_others = item_logits(judged, states[1])
    centre, spread = states[0].mean(axis=0), states[0].std(axis=0) + 1e-6
    _, sizes, basis = np.linalg.svd((states[0] - centre) / spread, full_matrices=False)
    scale = basis[:MOST_DIRECTIONS].T / sizes[:MOST_DIRECTIONS] * len(states[0]) ** 0.5
    x, x_others = ((of - centre) / spread @ scale for of in states)
    inner = np.random.default_rng(2).permutation(len(z)) % 5 > 0
    for form in FORMS:
        if (dataset, seed, form) in rows:
            continue
        started = time.process_time()
        tried = {}
        for shift, effect in product(SHIFT_RIDGES, EFFECT_RIDGES if form != "shift" else (1.0,)):
            fitted = Effects(form, shift, effect).fit(judged.of_items(inner), z[inner], x[inner])
            tried[shift, effect] = fitted.figures(judged.of_items(~inner), z[~inner], x[~inner])[
                "cross_entropy"
            ]
        best = min(tried, key=tried.__getitem__)
        found = Effects(form, *best).fit(judged, z, x).figures(others, z_others, x_others)
        rows.add(
            {"dataset": dataset, "seed": seed, "form": form, "judgements": judged.items.size}
            | {"annotators": len(names), "ridges": list(best)}
            | {name: round(value, 5) for name, value in found.items()}
        )
        print(dataset, seed, form, best, found, f"{time.process_time() - started:.0f} CPU s", flush=True)


def table(rows: Rows) -> pd.DataFrame:
    """Each form's figures against those of shifts, in per cent: mean over seeds."""
    found = rows.table().set_index(["dataset", "seed", "form"])[["cross_entropy", "judgement_error"]]
    base = found.xs("shift", level="form")
    off = (found / base - 1) * 100
    return off.groupby(level=["dataset", "form"], sort=False).mean().round(1).reset_index()


def main() -> None:
    """Measure what is not in the file yet."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data-folder", type=Path, required=True)
    parser.add_argument("--sets", nargs="+", choices=SETS, default=SETS)
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--output", type=Path, default=Path("results/text_effects.jsonl"))
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    rows, suite = Rows(arguments.output, "dataset", "seed", "form"), load_suite(SUITE)
    for dataset, seed in product(arguments.sets, range(arguments.seeds)):
        source = load_source(suite.dataset(dataset), arguments.data_folder)
        assert source.annotations is not None  # real annotators
        measure(rows, source.annotations, dataset, seed)
    print(table(rows).to_markdown(index=False))


if __name__ == "__main__":
    main()
