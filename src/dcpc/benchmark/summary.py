"""From the cells to tables: mean ± spread over seeds, and every method against the reference."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from dcpc.evaluation.multiplicity import holm
from dcpc.evaluation.significance import Comparison, PairedRun, macro_f1, paired_bootstrap, weighted_mean

SHOWN = ("macro_f1", "accuracy", "cross_entropy", "jensen_shannon", "ece")


def compare(first: Sequence[dict[str, Any]], second: Sequence[dict[str, Any]], metric: str) -> Comparison:
    """Difference (first − second) over the seeds that both have, of `jensen_shannon` or `macro_f1`."""
    of_seed = {cell["seed"]: cell for cell in second}
    pairs = [(cell, of_seed[cell["seed"]]) for cell in first if cell["seed"] in of_seed]
    runs = [PairedRun(*_records(a, b, metric)) for a, b in pairs]
    return paired_bootstrap(runs, macro_f1 if metric == "macro_f1" else weighted_mean)


def _records(a: dict[str, Any], b: dict[str, Any], metric: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    items = np.array(a["items"])
    if metric == "jensen_shannon":
        return items, np.array(a[metric]), np.array(b[metric])
    majority = np.array(a["majority"])
    clear = majority >= 0
    first, second = (np.stack([majority, np.array(c["decisions"])], axis=1)[clear] for c in (a, b))
    return items[clear], first, second


def to_markdown(results: Sequence[dict[str, Any]], reference: str) -> str:
    """One section per budget: means ± standard deviation over seeds, then differences to the reference."""
    done = [r for r in results if "failed" not in r]
    lines = ["# Benchmark", ""]
    for budget in dict.fromkeys(r["budget"] for r in results):
        of_method: dict[str, list[dict[str, Any]]] = {}
        for r in done:
            if r["budget"] == budget:
                of_method.setdefault(r["method"], []).append(r)
        judged = "all annotations" if budget == "all" else "one annotation per item"
        lines += [
            f"## Trained on {judged}",
            "",
            *_means(of_method),
            "",
            *_differences(of_method, reference),
            "",
        ]
    failed = [r for r in results if "failed" in r]
    if failed:
        lines += ["## Cells that failed", ""]
        lines += [
            f"- {r['method']}, budget {r['budget']}, seed {r['seed']}: {' '.join(r['failed'].split())}"
            for r in failed
        ]
    return "\n".join(lines).rstrip() + "\n"


def _row(*cells: object) -> str:
    return "| " + " | ".join(map(str, cells)) + " |"


def _means(of_method: dict[str, list[dict[str, Any]]]) -> list[str]:
    header = ["method", "seeds", *SHOWN, "parameters", "seconds", "optimum on the edge of its grid"]
    lines = [_row(*header), _row(*["---"] * len(header))]
    for method, cells in of_method.items():
        values = np.array([[c["metrics"][m] for m in SHOWN] for c in cells])  # [S, metrics]
        spread = values.std(axis=0, ddof=1) if len(cells) > 1 else np.full(len(SHOWN), np.nan)
        shown = [
            f"{m:.3f} ± {s:.3f}" if np.isfinite(s) else f"{m:.3f}"
            for m, s in zip(values.mean(axis=0), spread, strict=True)
        ]
        edges = sum(bool(c["on_edge"]) for c in cells)
        seconds = np.mean([c["seconds"] for c in cells])
        lines.append(
            _row(
                method, len(cells), *shown, f"{cells[0]['parameters']:,}", f"{seconds:.0f}", f"{edges} times"
            )
        )
    return lines


def _differences(of_method: dict[str, list[dict[str, Any]]], reference: str) -> list[str]:
    others = [m for m in of_method if m != reference]
    if reference not in of_method or not others:
        return [f"Nothing to compare with {reference} here."]
    # Where every test item is tied there is no majority to compare with.
    clear = any(label >= 0 for cell in of_method[reference] for label in cell["majority"])
    metrics = ("jensen_shannon", "macro_f1") if clear else ("jensen_shannon",)
    rows = [(m, metric) for metric in metrics for m in others]
    found = [compare(of_method[reference], of_method[m], metric) for m, metric in rows]
    adjusted = holm([c.p_value for c in found])
    lines = [
        f"Differences, {reference} minus the other (lower is better for jensen_shannon, higher for macro_f1), "
        "95 % interval, p-value corrected over the table (Holm):",
        "",
        _row("metric", "against", "difference", "95 % interval", "p"),
        _row(*["---"] * 5),
    ]
    for (method, metric), c, p in zip(rows, found, adjusted, strict=True):
        interval = f"{c.low:+.4f} to {c.high:+.4f}"
        lines.append(_row(metric, method, f"{c.difference:+.4f}", interval, f"{p:.3f}"))
    return lines
