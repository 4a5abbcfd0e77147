"""Write docs/sizes.md and its pictures from the committed stores results/sizes and results/sizes-defaults.

Run: python bench/scripts/size_curves.py
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from pages import write_page
from readme_tables import called, lead, row
from sharpness import CALIBRATED, DECIMALS, PREDICTED, TEMPERATURE, sharpness

from dcpc.files import atomic_file
from dcpc_bench.report.content import Content, make_content
from dcpc_bench.report.document import markdown_table
from dcpc_bench.report.figures import interval_of
from dcpc_bench.report.headlines import is_variant
from dcpc_bench.report.metrics import TESTED, Metric
from dcpc_bench.report.records import read_results
from dcpc_bench.report.results import Column, strength_of
from dcpc_bench.report.tables import MetricTable

ROOT = Path(__file__).resolve().parents[2]
STORE, DEFAULTS = (ROOT / "results" / name for name in ("sizes", "sizes-defaults"))
IMAGES = ROOT / "docs" / "images"
MARK = "<!-- Written by bench/scripts/size_curves.py from results/{sizes,sizes-defaults}. Do not edit by hand. -->"
METRICS = ("macro_f1", "macro_f1_argmax", "jensen_shannon", "cross_entropy", "brier", "judgement_error")
DRAWN = ("macro_f1", "jensen_shannon", "judgement_error")
LEAD = "DCPC − best other (95 % interval)"
COLOURS = {
    "dcpc": ("#0072b2", "o"),
    "lora": ("#d55e00", "s"),
    "full": ("#009e73", "^"),
    "annotator-embeddings": ("#cc79a7", "D"),
    "linear-probe-annotators": ("#999999", "v"),
}


def datasets(content: Content) -> list[str]:
    """Sets in the order of the store."""
    return list(dict.fromkeys(column.dataset for column in content.results.columns))


def sizes(content: Content, dataset: str) -> list[Column]:
    """The columns of a set on which DCPC and LoRA have cells, the smallest first."""
    results = content.results
    own = [
        c for c in results.columns if c.dataset == dataset and results.of(c, "dcpc") and results.of(c, "lora")
    ]
    return sorted(own, key=lambda column: strength_of(column.condition) or 0)


def picture(content: Content, metric: Metric) -> Figure:
    """A panel per set: mean and 95 % interval by the number of training items."""
    names = [name for name in datasets(content) if len(sizes(content, name)) > 1]
    figure = Figure(figsize=(10, 2.8), layout="constrained", facecolor="white")
    panels = figure.subplots(1, len(names), squeeze=False)[0]
    for axes, dataset in zip(panels, names, strict=True):
        draw(axes, content, dataset, metric)
        axes.set_title(dataset, fontsize=8, loc="left")
    panels[0].set_ylabel(metric.title, fontsize=8)
    handles, labels = panels[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=5, frameon=False, fontsize=8)
    return figure


def image_of(metric: str) -> str:
    """File name of a metric's picture."""
    return f"sizes-{metric.replace('_', '-')}.svg"


def draw(axes: Axes, content: Content, dataset: str, metric: Metric) -> None:
    """One panel."""
    columns, means = sizes(content, dataset), []
    for number, (method, (colour, marker)) in enumerate(COLOURS.items()):
        found = [
            (strength_of(c.condition) or 0, interval, len(content.results.of(c, method)) != 2)
            for c in columns
            if (interval := interval_of(content.scores, metric, c, method)) is not None
        ]
        if not found:
            continue
        x = [n * 1.03 ** (number - 2) for n, *_ in found]  # beside each other
        y = [metric.factor * interval.difference for _, interval, _ in found]
        axes.plot(x, y, color=colour, marker=marker, markersize=4, linewidth=1.5, label=called(method))
        for at, (_, interval, told) in zip(x, found, strict=True):
            if told:  # an interval of two seeds is many times as wide as what there is to see
                low, high = metric.factor * interval.low, metric.factor * interval.high
                axes.vlines(at, low, high, color=colour, linewidth=0.8)
        means += y
    axes.set_ylim(min(means) - 0.4 * np.ptp(means), max(means) + 0.4 * np.ptp(means))
    ticks = [strength_of(c.condition) or 0 for c in columns]
    axes.set_xscale("log")
    axes.set_xticks(ticks, [f"{n:,.0f}" for n in ticks])
    axes.minorticks_off()
    axes.tick_params(labelsize=7)
    axes.set_xlabel("training items", fontsize=7)
    axes.spines[["top", "right"]].set_visible(False)


def table(content: Content, dataset: str) -> list[str]:
    """A metric and size per row: means over the seeds of each method, and DCPC against the best other."""
    columns = sizes(content, dataset)
    methods = [
        m for m in ("dcpc", *content.results.methods) if all(content.results.of(c, m) for c in columns[:-1])
    ]
    methods = list(dict.fromkeys(methods))
    head = ["", "items", *map(called, methods), LEAD]
    return markdown_table(head, metric_rows(content, columns, methods, size_of), left=2)


def default_table(content: Content) -> list[str]:
    """A metric and set per row, with the settings that `dcpc train` takes by itself."""
    columns = [sizes(content, dataset)[0] for dataset in datasets(content)]
    methods = [m for m in content.results.methods if all(content.results.of(c, m) for c in columns)]
    head = ["", "set and items", *map(called, methods), LEAD]
    body = metric_rows(content, columns, methods, lambda c: f"{c.dataset}, {size_of(c)}")
    return markdown_table(head, body, left=2)


def sharpness_part() -> str:
    """How certain predictions with the default settings are, and what calibration makes of their divergence."""
    methods = ("dcpc", "annotator-embeddings", "lora")
    found = sharpness(DEFAULTS, methods)
    body = [[name, *(f"{value:.{DECIMALS[name]}f}" for value in found.loc[name])] for name in DECIMALS]
    table = markdown_table(["mean of the sets", *map(called, methods)], body, left=1)
    ours, lora = found["dcpc"], found["lora"]
    before, after = (100 * (ours[name] / lora[name] - 1) for name in (PREDICTED, CALIBRATED))
    return f"""\
Where LoRA has the lower divergence it is mostly the more certain one. Of a handful of votes the divergence [rewards
that](metrics.md#against-the-annotators-distribution); cross-entropy and Brier score, which are lowest at the truth,
do not. The validation judgements ask for a temperature of {ours[TEMPERATURE]:.2f} for DCPC, whose weights of adapter
and readout they have set, and of {lora[TEMPERATURE]:.2f} for LoRA. On the mean of the sets DCPC's divergence is
{sign(before)} % against LoRA's as predicted, and {sign(after)} % with these temperatures:

{chr(10).join(table)}

The fourth row makes every prediction as certain as the divergence rewards in expectation, were the calibrated one
right. Nothing in this table was fitted to test judgements."""


def sign(percent: float) -> str:
    """A change, with its sign."""
    return f"{percent:+.1f}".replace("-", "−")


def size_of(column: Column) -> str:
    """The number of training items."""
    return f"{strength_of(column.condition):,.0f}"


def metric_rows(
    content: Content, columns: Sequence[Column], methods: Sequence[str], shown: Callable[[Column], str]
) -> list[list[str]]:
    """Every metric on every column, with what a column is shown as."""
    body = []
    for metric in METRICS:
        found = next(t for t in content.tables if t.metric.name == metric)
        body += [metric_row(found, column, methods, shown(column)) for column in columns]
    return body


def seeds_of(content: Content) -> str:
    """How many seeds of DCPC each set has, in words of a list."""
    return ", ".join(
        str(len(content.results.of(sizes(content, name)[0], "dcpc"))) for name in datasets(content)
    )


def metric_row(found: MetricTable, column: Column, methods: Sequence[str], shown: str) -> list[str]:
    """One row, with what its column is shown as."""
    where, metric = found.columns.index(column), found.metric
    means = {m: found.means[i, where] for i, m in enumerate(found.methods)}
    rivals = [d for d in found.by_set if d.column == column and not is_variant(d.other, "dcpc")]
    sign = 1 if metric.higher_is_better else -1
    best = min(rivals, key=lambda d: sign * d.result.difference)
    values = row([means.get(m, float("nan")) for m in methods], metric)
    return [metric.title, shown, *values, lead(best, metric)]


def page() -> str:
    """The page; the pictures are written beside it."""
    content = make_content(read_results(STORE), "dcpc")
    parts = []
    for metric in (next(m for m in TESTED if m.name == name) for name in DRAWN):
        with atomic_file(IMAGES / image_of(metric.name)) as path, rc_context({"svg.hashsalt": "dcpc"}):
            picture(content, metric).savefig(path, format="svg", metadata={"Date": None, "Creator": None})
        parts += [f"![{metric.title} by the number of training items](images/{image_of(metric.name)})", ""]
    for dataset in datasets(content):
        columns = sizes(content, dataset)
        if columns:
            seeds = [len(content.results.of(c, "dcpc")) for c in columns]
            parts += [f"## {dataset}", "", f"Seeds by size: {', '.join(map(str, seeds))}.", ""]
            parts += [*table(content, dataset), ""]
    results = content.results
    defaults = make_content(read_results(DEFAULTS), "dcpc")
    return f"""\
# What a method is worth by the number of items

{MARK}

The suite `sizes`: one label per item, from 125 training items to all, on sets with real annotators; the test has all
judgements of 600 other items. All methods train three epochs on the same items in the same order, with the settings
that the searches of `real-small` chose on the same set, at every size; full fine-tuning has a usual one (7e-5). Of
the suite {len(results.cells):,} of {results.n_planned:,} planned cells have been run. With one seed an interval
speaks of the test items only, not of other seeds, and no difference is called one; with two it is so wide
that the pictures leave it out.

A rate that suits 500 items need not suit 2,000: what comes of those that `dcpc train` takes by itself stands at the
[end](#with-the-defaults-of-dcpc-train).

{chr(10).join(parts)}
## With the defaults of `dcpc train`

The suite `sizes-defaults` ([its page](results/sizes-defaults.md)): one label per item, the rates and epochs that
`dcpc train` takes by itself at this size, and for methods that it does not have those of the carrier which they
stand on; nothing is searched. {len(defaults.results.cells):,} of {defaults.results.n_planned:,} planned cells have
been run; seeds by set: {seeds_of(defaults)}.

{chr(10).join(default_table(defaults))}

{sharpness_part()}

`dcpc-bench run sizes-defaults --output results/sizes-defaults --data-folder DATA` and
`dcpc-bench run sizes --output results/sizes --data-folder DATA` go on with the missing cells, and
`python bench/scripts/size_curves.py` writes this page.
"""


if __name__ == "__main__":
    write_page(ROOT / "docs" / "sizes.md", page, __doc__)
