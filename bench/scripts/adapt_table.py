"""Write the table of docs/adapt.md and its picture from the committed rows results/adapt_curve.jsonl.

Run: python bench/scripts/adapt_table.py
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib import rc_context
from matplotlib.figure import Figure
from pages import write_page
from readme_tables import replaced

from dcpc.files import atomic_file
from dcpc_bench.report.document import markdown_table

ROOT = Path(__file__).resolve().parents[2]
ROWS = ROOT / "results" / "adapt_curve.jsonl"
PAGE = ROOT / "docs" / "adapt.md"
PICTURE = ROOT / "docs" / "images" / "adapt.svg"
METHODS = {"adapt": ("#0072b2", "o"), "bias": ("#d55e00", "s"), "refit": ("#009e73", "^")}
"""Colour and marker of each method."""
RESAMPLES = 2_000


def sums(rows: pd.DataFrame) -> np.ndarray:
    """Judgements tested, wrong ones and log-loss of each held-out annotator, those of all seeds below each other."""
    return np.concatenate([np.array(found) for found in rows.sort_values("seed")["annotators"]])


def change(own: np.ndarray, population: np.ndarray, column: int) -> tuple[float, float, float]:
    """A sum per judgement less the population's, and its 95 % interval over annotators.

    Args:
        own: sums of a method, [A, 3].
        population: those of the population, of the same annotators.
        column: 1 for wrong judgements, 2 for the log-loss.
    """
    drawn = np.random.default_rng(0).integers(len(own), size=(RESAMPLES, len(own)))
    difference, tested = own[:, column] - population[:, column], population[:, 0]
    low, high = np.quantile(difference[drawn].sum(axis=1) / tested[drawn].sum(axis=1), (0.025, 0.975))
    return float(difference.sum() / tested.sum()), float(low), float(high)


def written(found: tuple[float, float, float], scale: int, digits: int) -> str:
    """A change with its interval."""
    mean, low, high = (f"{scale * value:+.{digits}f}".replace("-", "−") for value in found)
    return f"{mean} ({low} to {high})"


def pairs(of_set: pd.DataFrame, n: int, method: str) -> tuple[np.ndarray, np.ndarray, int] | None:
    """Sums of a method and of the population for the seeds that have both, and how many these are."""
    own = of_set[(of_set["n"] == n) & (of_set["method"] == method)]
    base = of_set[(of_set["method"] == "population") & of_set["seed"].isin(own["seed"])]
    own = own[own["seed"].isin(base["seed"])]
    return None if own.empty else (sums(own), sums(base), len(own))


def shown(rows: pd.DataFrame) -> list[int]:
    """Numbers of judgements, without 0."""
    return sorted(set(rows["n"]) - {0})


def picture(rows: pd.DataFrame) -> Figure:
    """A panel per set: log-loss less the population's by the number of judgements, with 95 % intervals."""
    sets = list(rows.groupby("dataset", sort=False))
    figure = Figure(figsize=(3.6 * len(sets) + 0.4, 3), layout="constrained", facecolor="white")
    for axes, (dataset, of_set) in zip(figure.subplots(1, len(sets), squeeze=False)[0], sets, strict=True):
        axes.axhline(0, color="black", linewidth=0.8)
        steps = shown(of_set)
        for number, (method, (colour, marker)) in enumerate(METHODS.items()):
            found = [(at, pairs(of_set, n, method)) for at, n in enumerate(steps)]
            points = [(at, change(one[0], one[1], 2)) for at, one in found if one is not None]
            x = [at + 0.08 * (number - 1) for at, _ in points]  # beside each other
            y = [mean for _, (mean, _, _) in points]
            axes.plot(x, y, color=colour, marker=marker, markersize=4, linewidth=1.5, label=method)
            axes.vlines(
                x, [low for _, (_, low, _) in points], [high for _, (_, _, high) in points], color=colour
            )
        axes.set_xticks(range(len(steps)), [str(n) for n in steps])
        axes.set_title(str(dataset), fontsize=9, loc="left")
        axes.set_xlabel("judgements of the new annotator", fontsize=8)
        axes.set_ylabel("log-loss − population's, nats", fontsize=8)
        axes.tick_params(labelsize=7)
        axes.spines[["top", "right"]].set_visible(False)
        axes.legend(frameon=False, fontsize=7)
    return figure


def lines(rows: pd.DataFrame) -> list[str]:
    """A set, a number of judgements and a method per row."""
    body: list[Sequence[str]] = []
    for dataset, of_set in rows.groupby("dataset", sort=False):
        base = of_set[of_set["method"] == "population"]
        everybody = sums(base)
        loss, error = (
            everybody[:, 2].sum() / everybody[:, 0].sum(),
            everybody[:, 1].sum() / everybody[:, 0].sum(),
        )
        n_people = f"{len(everybody)} annotators, {len(base)} {'seed' if len(base) == 1 else 'seeds'}"
        body.append([f"**{dataset}** ({n_people})", "0", "population", f"{loss:.3f}", f"{100 * error:.1f}"])
        for n in shown(of_set):
            for method in METHODS:
                found = pairs(of_set, n, method)
                if found is None:
                    continue
                own, same, n_seeds = found
                seeds = "" if n_seeds == len(base) else f" ({n_seeds} of the seeds)"
                values = [written(change(own, same, 2), 1, 3), written(change(own, same, 1), 100, 1)]
                body.append(["", str(n), method + seeds, *values])
    head = ["set", "judgements", "method", "log-loss, nats", "error, %"]
    return markdown_table(head, body, left=3)


def complete(rows: pd.DataFrame) -> pd.DataFrame:
    """The rows of sets and seeds that have the population and at least one number of judgements by every way."""
    ways = rows.groupby(["dataset", "seed"])["method"].transform(
        lambda own: {"population", "adapt", "bias"} <= set(own)
    )
    return rows[ways]


def page() -> str:
    """The page with its table as the rows have it; the picture is written beside it."""
    rows = complete(pd.read_json(ROWS, lines=True))
    with atomic_file(PICTURE) as path, rc_context({"svg.hashsalt": "dcpc"}):
        picture(rows).savefig(path, format="svg", metadata={"Date": None, "Creator": None})
    return replaced(PAGE.read_text(encoding="utf-8"), "adapt-curve", lines(rows))


if __name__ == "__main__":
    write_page(PAGE, page, __doc__)
