"""What the report says: a store's content as blocks, the same for Markdown and page."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import numpy as np

from dcpc_bench.report.content import Content
from dcpc_bench.report.document import Block, Details, Figure, Heading, Table, Text, table
from dcpc_bench.report.figures import rank_plot, shift_plot
from dcpc_bench.report.headlines import Headline
from dcpc_bench.report.results import Column, Results
from dcpc_bench.report.tables import BEST, TIED, MetricTable

MARKS = {BEST: " ★", TIED: " ≈", "": ""}
LEGEND = (
    "Mean ± standard deviation over seeds. ★ the best of its column, ≈ level with it: the 95 % interval of the "
    "difference (paired bootstrap) holds 0."
)
SET_LEGEND = (
    "95 % intervals in parentheses. △ better, ▽ worse by the interval alone, which one set in twenty is by chance; "
    "▲ better, ▼ worse also after Holm's correction over this table. With one seed nothing is marked."
)
METHOD_NOTE = (
    "Differences are {reference} minus the other method, with 95 % intervals from a paired bootstrap over test items "
    "nested in seeds; over several sets the mean difference of these sets, variances added. p-values are corrected "
    "over their table (Holm), and the verdict goes by them. Wins, ties and losses count sets by the 95 % interval of "
    "each, and none with one seed: a tie is an interval that holds 0. {direction} is better."
)
HEADLINE_NOTE = (
    "The best other method is chosen by its mean over the sets, on the test items, which flatters it; forms of "
    "{reference} itself, and methods that its table cannot rank yet, are left out. The result goes by the corrected "
    "p-value over all these sets; wins, ties and losses count single sets by their 95 % interval. Best or level: "
    "sets where {reference} is the best, or within the 95 % interval of the best, of those that it shares."
)


def report(content: Content, folder: Path) -> list[Block]:
    """Everything that is said of a store.

    Args:
        content: what the store amounts to.
        folder: of the store; its name stands in the commands that make the results and this report.
    """
    blocks: list[Block] = [Text(_facts(content)), *(Text(text, "note") for text in content.state)]
    blocks += _headlines(content)
    for family in content.families:
        blocks.append(Heading(family.title))
        for own in content.of_family(family, tested=True):
            blocks += _tested(content, own)
        others = content.of_family(family, tested=False)
        inner = [b for t in others for b in (Heading(f"{t.metric.title} ({family.name})", 2), *_means(t))]
        if inner:
            blocks.append(Details(f"Other metrics, {family.name} (not tested)", tuple(inner)))
    return [*blocks, *_failures(content), *_background(content, folder)]


def _facts(content: Content) -> str:
    results = content.results
    return (
        f"{len(results.cells):,} of {results.n_planned:,} cells: {len(results.methods)} methods, "
        f"{len({c.dataset for c in results.columns})} data sets, conditions "
        f"{', '.join(dict.fromkeys(c.condition for c in results.columns))}. Reference: {content.reference}. "
        f"Commit: {', '.join(c[:12] for c in content.commits) or 'none'}."
    )


def _headlines(content: Content) -> list[Block]:
    if not content.headlines:
        return []
    header = [
        *("trained on", "metric", "result", content.reference, "best other", "difference (95 % interval)"),
        *("relative", "p (Holm)", "wins / ties / losses", "best or level on"),
    ]
    return [
        Heading(f"{content.reference} and the best other method"),
        Text(headline_count(content)),
        table(header, map(_headline_row, content.headlines), left=3),
        Text(HEADLINE_NOTE.format(reference=content.reference), "soft"),
    ]


def headline_count(content: Content) -> str:
    """Wins, ties and losses of the reference in one sentence."""
    n = Counter(h.verdict for h in content.headlines)
    text = (
        f"Of {len(content.headlines)} comparisons {content.reference} wins {n['win']}, ties {n['tie']} and loses "
        f"{n['loss']}"
    )
    return text + (f"; {n['one seed']} have one seed so far and no result." if n["one seed"] else ".")


def _headline_row(h: Headline) -> list[str]:
    t, d = h.table, h.difference
    return [
        t.family.name,
        t.metric.short,
        h.verdict,
        t.metric.show(h.own),
        f"{d.other} {t.metric.show(h.other)}",
        f"{t.metric.show(d.result.difference, sign=True)} ({interval(t, d.result.low, d.result.high)})",
        f"{100 * d.relative:+.1f} %".replace("-", "−") if np.isfinite(d.relative) else "–",
        p_value(h.adjusted),
        " / ".join(map(str, t.counts(d.other))),
        f"{h.top} of {h.shared}",
    ]


def _tested(content: Content, own: MetricTable) -> list[Block]:
    """Means, differences, and by set: of one metric that is compared item by item."""
    blocks: list[Block] = [Heading(f"{own.metric.title} ({own.family.name})", 2), *_means(own)]
    ranks = rank_plot(own, content.reference)
    if ranks is not None:
        caption = (
            "Mean ranks over data sets. Bars join methods whose ranks are not shown to differ (Nemenyi, 5 %)."
        )
        blocks.append(Figure(ranks, caption))
    for name in own.family.datasets:
        plot = shift_plot(content, own.family, name, own.metric)
        if plot is not None:
            blocks.append(
                Figure(plot, "Lines: mean over seeds; bars: 95 % interval over seeds and test items.")
            )
    if not own.pooled:
        return [*blocks, Text(f"Nothing to compare with {content.reference} here.")]
    direction = "Higher" if own.metric.higher_is_better else "Lower"
    by_set = table(["against", *map(own.family.label, own.columns)], _set_rows(own))
    return [
        *blocks,
        table(
            [
                "against",
                "difference",
                "95 % interval",
                "p (Holm)",
                "verdict",
                "ahead on",
                "wins / ties / losses",
            ],
            _difference_rows(own),
        ),
        Text(METHOD_NOTE.format(reference=content.reference, direction=direction), "soft"),
        Details("Differences by set", (by_set, Text(SET_LEGEND, "soft"))),
    ]


def _means(own: MetricTable) -> list[Block]:
    """Method, mean over sets, mean rank, and each column, of every method; the best mean rank first."""
    rows = [
        [
            own.methods[i],
            own.metric.show(own.overall[i]) + MARKS[own.overall_marks[i]],
            _plain(own.ranks[i], 1),
            *(_mean(own, i, k) for k in range(len(own.columns))),
        ]
        for i in np.argsort(own.ranks, kind="stable")  # NaN last
    ]
    header = ["method", "mean", "mean rank", *map(own.family.label, own.columns)]
    legend = LEGEND if own.metric.statistic else "Mean ± standard deviation over seeds. ★ the best."
    notes = " ".join(part for part in (legend, _complete_note(own), _ranking_note(own)) if part)
    return [table(header, rows), Text(notes, "soft")]


def _mean(own: MetricTable, i: int, k: int) -> str:
    if not own.seeds[i, k]:
        return "–"
    text = own.metric.show(own.means[i, k])
    if np.isfinite(own.spreads[i, k]):
        text += f" ± {own.metric.show(own.spreads[i, k])}"
    if own.seeds[i, k] < own.seeds[:, k].max():
        text += f" ({own.seeds[i, k]} of {own.seeds[:, k].max()} seeds)"
    return text + MARKS[own.marks[i][k]]


def _complete_note(own: MetricTable) -> str:
    """Over which sets and methods mean and rank run."""
    left_out = [own.family.label(c) for c in own.columns if c not in own.complete]
    unranked = [m for m, rank in zip(own.methods, own.ranks, strict=True) if not np.isfinite(rank)]
    if not own.complete:
        return "No mean or rank over sets: no two methods have cells on the same sets yet."
    text = f"Mean and rank over {len(own.complete)} of {len(own.columns)} sets"
    if left_out:
        text += f" (left out, not every ranked method has them: {', '.join(left_out)})"
    if unranked:
        text += f"; not ranked, cells are missing: {', '.join(unranked)}"
    return text + "."


def _ranking_note(own: MetricTable) -> str:
    """Friedman's test and the critical difference in words; empty where there are too few sets or methods."""
    if own.ranking is None:
        return ""
    p = p_value(own.ranking.friedman_p)
    return (
        f"Friedman p {p if p.startswith('<') else '= ' + p}; mean ranks "
        f"{own.ranking.critical_difference:.1f} or more apart differ at 5 % (Nemenyi)."
    )


def _difference_rows(own: MetricTable) -> list[list[str]]:
    """The reference minus each other method over the family."""
    return [
        [
            d.other,
            own.metric.show(d.result.difference, sign=True),
            interval(own, d.result.low, d.result.high),
            p_value(d.adjusted),
            d.verdict(own.metric),
            f"{own.ahead(d.other)} of {d.columns}",
            " / ".join(map(str, own.counts(d.other))),
        ]
        for d in own.pooled
    ]


def _set_rows(own: MetricTable) -> list[list[str]]:
    """The reference minus each other method on each column, with its interval, marked as `SET_LEGEND` says."""
    found = {(d.other, d.column): d for d in own.by_set}
    corrected = {"better": " ▲", "worse": " ▼"}
    by_interval = {1: " △", 0: "", -1: " ▽"}

    def cell(other: str, column: Column) -> str:
        d = found.get((other, column))
        if d is None:
            return "–"
        inside = interval(own, d.result.low, d.result.high)
        mark = corrected.get(d.verdict(own.metric), by_interval[d.side(own.metric)])
        return f"{own.metric.show(d.result.difference, sign=True)} ({inside}){mark}"

    return [[d.other, *(cell(d.other, c) for c in own.columns)] for d in own.pooled]


def _failures(content: Content) -> list[Block]:
    listed = tuple(
        f"{f.method}, {f.column.dataset}, {f.column.condition}, seed {f.seed}: {f.reason}"
        for f in content.results.failures
    )
    return [Heading("Cells that failed"), Text("", items=listed)] if listed else []


def _background(content: Content, folder: Path) -> list[Block]:
    """Costs, searches and the plan: what only some readers want."""
    results, name = content.results, folder.name or str(folder)
    chosen = [
        [
            *s.column,
            s.method,
            setting_text(s.setting),
            ", ".join(s.on_edge) or "–",
            str(s.trials),
            f"{s.loss:.4f}",
        ]
        for s in results.selections
    ]
    header = ["data set", "condition", "method", "setting", "on the edge", "trials", "validation loss"]
    n_edges = sum(bool(s.on_edge) for s in results.selections)
    commands = f"dcpc-bench run {results.suite} --output {name}; dcpc-bench report {name} --reference"
    return [
        Details("Cost", (cost_table(results), Text("Medians over a method's cells on a device.", "soft"))),
        Details(
            f"Chosen settings: {n_edges} of {len(chosen)} optima on the edge of their grid",
            (table(header, chosen, left=5),),
        ),
        Details(
            "Plan",
            (
                Text(f"{commands} {content.reference}; every cell is in cells.parquet and results.parquet."),
                Text(json.dumps(results.plan.get("suite", {}), ensure_ascii=False)),
            ),
        ),
    ]


def cost_table(results: Results) -> Table:
    """Medians of what each method costs on each device; how many of its searches ended on the edge of a grid."""
    rows = []
    found = dict.fromkeys((c.method, c.device) for c in results.cells)
    for method, device in sorted(found, key=lambda pair: results.methods.index(pair[0])):
        cells = [c for c in results.cells if (c.method, c.device) == (method, device)]
        searches = [s for s in results.selections if s.method == method]
        low, high = (f(c.parameters for c in cells) for f in (min, max))
        per_step = [1000 * c.seconds / c.steps if c.steps else np.nan for c in cells]
        rows.append(
            [
                method,
                f"{low:,.0f}" if low == high else f"{low:,.0f} to {high:,.0f}",
                f"{np.median([c.steps for c in cells]):,.0f}",
                _plain(float(np.median([c.seconds for c in cells])), 1),
                _plain(float(np.median(per_step)), 0),
                f"{np.median([c.memory_mib for c in cells]):,.0f}",
                device,
                f"{sum(bool(s.on_edge) for s in searches)} of {len(searches)}" if searches else "–",
                str(len(cells)),
            ]
        )
    costs = ("parameters", "steps", "seconds", "ms per step", "memory, MiB", "device")
    return table(["method", *costs, "on the edge", "cells"], rows)


def interval(own: MetricTable, low: float, high: float) -> str:
    """`−0.2 to +1.1`."""
    return f"{own.metric.show(low, sign=True)} to {own.metric.show(high, sign=True)}"


def p_value(p: float) -> str:
    """`0.032`, `< 0.001`."""
    return "< 0.001" if p < 0.001 else f"{p:.3f}"


def setting_text(setting: dict[str, object]) -> str:
    """`learning_rate 0.001, dropout 0.1`."""
    return ", ".join(f"{name} {value}" for name, value in setting.items()) or "–"


def _plain(value: float, digits: int) -> str:
    return f"{value:,.{digits}f}".replace("-", "−") if np.isfinite(value) else "–"
