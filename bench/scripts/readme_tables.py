"""Write the tables of results of README.md and docs/evidence.md from the committed stores under results/.

Run: python bench/scripts/readme_tables.py

Each stands between `<!-- NAME: … -->` and `<!-- end of NAME -->` and is written anew; the text around is left alone.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np
from pages import write_page

from dcpc_bench.report.comparisons import Difference
from dcpc_bench.report.content import Content, make_content
from dcpc_bench.report.document import markdown_table
from dcpc_bench.report.headlines import is_variant
from dcpc_bench.report.metrics import TESTED, Metric
from dcpc_bench.report.records import read_results
from dcpc_bench.report.results import Column, Family, Results, strength_of
from dcpc_bench.report.tables import MetricTable
from dcpc_bench.report.wording import headline_count

ROOT = Path(__file__).resolve().parents[2]
README, EVIDENCE = ROOT / "README.md", ROOT / "docs" / "evidence.md"
REFERENCE = "dcpc"
NAMES = {
    "dcpc": "DCPC",
    "bottleneck-adapter": "bottleneck adapter",
    "p-tuning-v2": "P-Tuning v2",
    "lora": "LoRA",
    "annotator-embeddings": "annotator embeddings",
    "annotator-heads": "a head per annotator",
    "linear-probe": "linear probe",
    "linear-probe-annotators": "probe with annotators",
    "elr": "ELR",
    "ncr": "NCR",
    "gce": "GCE",
    "majority-vote": "majority vote",
    "similar-inputs-kl": "KL between similar inputs",
    "crowd-layer": "crowd layer",
    "dcpc-paper": "DCPC as published",
    "dcpc-readout": "DCPC's readout alone",
}
REAL = (
    "dcpc",
    "dcpc-readout",
    "bottleneck-adapter",
    "p-tuning-v2",
    "lora",
    "annotator-embeddings",
    "linear-probe-annotators",
)
SHORT = ("dcpc", "lora", "bottleneck-adapter", "annotator-embeddings")
SHIFT = (
    "dcpc",
    "dcpc-readout",
    "lora",
    "bottleneck-adapter",
    "p-tuning-v2",
    "annotator-embeddings",
    "linear-probe-annotators",
)
METRICS = (
    "macro_f1",
    "accuracy",
    "macro_f1_argmax",
    "accuracy_argmax",
    "jensen_shannon",
    "cross_entropy",
    "judgement_error",
)
SHORT_METRICS = ("macro_f1", "accuracy", "jensen_shannon", "cross_entropy", "judgement_error")
POOLS = {
    "pool=thresholds": "strict and lenient",
    "pool=sst-2-p": "one side shifted (SST-2-P)",
    "pool=confusion": "confused, each in their own way",
    "pool=groups": "four in five biased alike",
    "clean": "no conflict",
}
BUDGETS = {"budget=1": "one label per item", "budget=all": "all labels"}


def real_table(content: Content) -> list[str]:
    """A metric of a budget per row: means over sets and seeds that the methods shown share, and the best other."""
    body = []
    for family in content.families:
        body.append([f"**{BUDGETS[family.name]}**", *[""] * (len(REAL) + 1)])
        body += metric_rows(content, family, METRICS, REAL)
    return markdown_table(["", *map(called, REAL), "DCPC − best other (95 % interval)"], body)


def short_table(content: Content) -> list[str]:
    """Five metrics at one label per item, for the README."""
    family = next(f for f in content.families if f.name == "budget=1")
    body = metric_rows(content, family, SHORT_METRICS, SHORT)
    return markdown_table(["", *map(called, SHORT), "DCPC − best other (95 % interval)"], body)


def metric_rows(
    content: Content, family: Family, names: Sequence[str], methods: Sequence[str]
) -> list[list[str]]:
    """A metric per row: means of the methods, and DCPC's lead on the best other.

    The best other method is the best of all that were run, shown or not, as in the headlines of docs/results.md.
    """
    rows = []
    for name in names:
        metric = next(m for m in TESTED if m.name == name)
        means = shared_means(content.results, family, metric, methods)
        headline = next(h for h in content.headlines if h.table.metric == metric and h.table.family == family)
        verdict = f", **a {headline.verdict}**" if headline.verdict in ("win", "loss") else ""
        rows.append([metric.title, *row(means, metric), lead(headline.difference, metric) + verdict])
    return rows


def shift_table(content: Content) -> list[str]:
    """Accuracy under a condition per row; in parentheses where a method has fewer seeds than DCPC."""
    tables = [t for t in content.tables if t.metric.name == "accuracy"]
    plain = {t.family: t for t in content.tables if t.metric.name == "accuracy_argmax"}
    body = [
        shift_row(t, plain[t.family], column)
        for t in tables
        for column in sorted(t.columns, key=lambda column: strength_of(column.condition) or 0.0)
    ]
    body.append(mean_row(tables, plain))
    return markdown_table(["annotators", *map(called, SHIFT), "DCPC − best other (95 % interval)"], body)


def mean_row(tables: Sequence[MetricTable], plain: Mapping[Family, MetricTable]) -> list[str]:
    """Means over all conditions with conflict, each weighing the same, and the best other by the labels decided.

    Without an interval: the conditions share seeds and items, so their differences are not independent.
    """
    shifted = [t for t in tables if t.family.name != "clean"]
    metric, overall = tables[0].metric, conflict_means(shifted)
    both = [
        row([found.get(m, np.nan) for m in SHIFT], metric)
        for found in (overall, conflict_means([plain[t.family] for t in shifted]))
    ]
    best = max(
        (m for m in overall if not is_variant(m, REFERENCE) and m != REFERENCE), key=overall.__getitem__
    )
    return [
        "**mean of all with conflict**",
        *(f"{a} / {b}" for a, b in zip(*both, strict=True)),
        f"{called(best)}: {metric.show(overall[REFERENCE] - overall[best], sign=True)}",
    ]


def conflict_means(tables: Sequence[MetricTable]) -> dict[str, float]:
    """Mean over the columns of all tables of each method that has every one of them."""
    values: dict[str, list[float]] = {}
    for table in tables:
        for method, means in zip(table.methods, table.means, strict=True):
            values.setdefault(method, []).extend(means[np.isfinite(means)])
    n_columns = sum(len(table.columns) for table in tables)
    return {method: float(np.mean(found)) for method, found in values.items() if len(found) == n_columns}


def shift_row(table: MetricTable, plain: MetricTable, column: Column) -> list[str]:
    """Means over the seeds of a method, by decided and by most probable labels.

    The best other method is the one that DCPC leads least by the labels decided, over the seeds that both have.
    """
    where = table.columns.index(column)
    seeds = {m: table.seeds[i, where] for i, m in enumerate(table.methods)}
    both = []
    for t in (table, plain):
        means = {m: t.means[i, where] for i, m in enumerate(t.methods)}
        both.append(row([means.get(m, np.nan) for m in SHIFT], t.metric))
    shown = {m: f"{a} / {b}" for m, a, b in zip(SHIFT, *both, strict=True)}
    few = {m for m in SHIFT if seeds.get(m) and seeds[m] < seeds[REFERENCE]}
    rivals = [d for d in table.by_set if d.column == column and not is_variant(d.other, REFERENCE)]
    closest = min(rivals, key=lambda d: d.result.difference, default=None)
    strength = strength_of(column.condition)
    return [
        POOLS[table.family.name] + ("" if strength is None else f", {100 * strength:.0f} % of labels wrong"),
        *(f"({shown[m]})" if m in few else shown[m] for m in SHIFT),
        "–" if closest is None else lead(closest, table.metric),
    ]


def shared_means(results: Results, family: Family, metric: Metric, methods: Iterable[str]) -> list[float]:
    """Mean over the family's columns of each method, over the seeds that all methods with a cell share; else NaN."""
    cells = {m: {c: results.of(c, m) for c in family.columns} for m in methods}
    there = [m for m, columns in cells.items() if all(columns.values())]
    means = []
    for method, columns in cells.items():
        if method not in there:
            means.append(np.nan)
            continue
        shared = {c: set.intersection(*(set(cells[m][c]) for m in there)) for c in columns}
        own = [[columns[c][s].metrics[metric.name] for s in seeds] for c, seeds in shared.items()]
        means.append(float(np.mean([np.mean(values) for values in own])))
    return means


def row(values: Sequence[float], metric: Metric) -> list[str]:
    """Values as shown, the best in bold."""
    shown = [metric.show(v) for v in values]
    best = metric.show(np.nanmax(values) if metric.higher_is_better else np.nanmin(values))
    return [f"**{text}**" if text == best else text for text in shown]


def lead(difference: Difference, metric: Metric) -> str:
    """`LoRA: +1.2 (+0.3 to +2.1)`."""
    result = difference.result
    value, low, high = (metric.show(v, sign=True) for v in (result.difference, result.low, result.high))
    return f"{called(difference.other)}: {value} ({low} to {high})"


def called(method: str) -> str:
    """What the pages call a method."""
    return NAMES.get(method, method)


def state(results: Results) -> str:
    """How much of the suite has been run, with the methods by their fewest seeds on a set."""
    by_seeds: dict[int, list[str]] = {}
    for method in results.methods:
        n_seeds = min(len(found) for column in results.columns if (found := results.of(column, method)))
        by_seeds.setdefault(n_seeds, []).append(called(method))
    parts = [
        f"{n} {'seed' if n == 1 else 'seeds'} of {', '.join(by_seeds[n])}" for n in sorted(by_seeds)[::-1]
    ]
    return f"{len(results.cells):,} of {results.n_planned:,} cells have been run: {'; '.join(parts)}."


def block(store: Path) -> list[str]:
    """What stands between the markers of a store."""
    content = make_content(read_results(store), REFERENCE)
    table = real_table(content) if store.name.startswith("real") else shift_table(content)
    return [state(content.results), "", *table, "", headline_count(content)]


def replaced(text: str, name: str, lines: Sequence[str]) -> str:
    """The text with the lines between the markers of that name."""
    pattern = rf"(<!-- {re.escape(name)}: [^>]*-->\n).*?(<!-- end of {re.escape(name)} -->)"
    body = "\n".join(lines)
    new, n = re.subn(pattern, lambda m: f"{m[1]}{body}\n{m[2]}", text, flags=re.DOTALL)
    if n != 1:
        raise SystemExit(f"the page has {n} places for {name}; one is needed.")
    return new


def evidence() -> str:
    """The page of evidence with both tables as the stores have them."""
    text = EVIDENCE.read_text(encoding="utf-8")
    for name in ("real-small", "shift-small"):
        text = replaced(text, name, block(ROOT / "results" / name))
    return text


def readme() -> str:
    """The README with its short table as the store has it."""
    content = make_content(read_results(ROOT / "results" / "real-small"), REFERENCE)
    lines = [*short_table(content), "", headline_count(content)]
    return replaced(README.read_text(encoding="utf-8"), "real-small", lines)


if __name__ == "__main__":
    write_page(EVIDENCE, evidence, __doc__)
    write_page(README, readme, __doc__)
