"""Table rows as text, the same for Markdown and page."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from dcpc_bench.report.content import Content
from dcpc_bench.report.results import Column, Results
from dcpc_bench.report.summary import Headline
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


def metric_header(table: MetricTable) -> list[str]:
    """Names of the columns of a metric's table."""
    return ["method", "mean", "mean rank", *(table.family.label(c) for c in table.columns)]


def metric_rows(table: MetricTable) -> list[list[str]]:
    """Method, mean over sets, mean rank, and each column, of every method; the best mean rank first."""
    order = np.argsort(table.ranks, kind="stable")  # NaN last
    return [
        [
            table.methods[i],
            table.metric.show(table.overall[i]) + MARKS[table.overall_marks[i]],
            _plain(table.ranks[i], 1),
            *(_cell(table, i, k) for k in range(len(table.columns))),
        ]
        for i in order
    ]


def _cell(table: MetricTable, i: int, k: int) -> str:
    if not table.seeds[i, k]:
        return "–"
    text = table.metric.show(table.means[i, k])
    if np.isfinite(table.spreads[i, k]):
        text += f" ± {table.metric.show(table.spreads[i, k])}"
    if table.seeds[i, k] < table.seeds[:, k].max():
        text += f" ({table.seeds[i, k]} of {table.seeds[:, k].max()} seeds)"
    return text + MARKS[table.marks[i][k]]


def complete_note(table: MetricTable) -> str:
    """Over which sets and methods mean and rank run."""
    left_out = [table.family.label(c) for c in table.columns if c not in table.complete]
    unranked = [m for m, rank in zip(table.methods, table.ranks, strict=True) if not np.isfinite(rank)]
    if not table.complete:
        return "No mean or rank over sets: no two methods have cells on the same sets yet."
    text = f"Mean and rank over {len(table.complete)} of {len(table.columns)} sets"
    if left_out:
        text += f" (left out, not every ranked method has them: {', '.join(left_out)})"
    if unranked:
        text += f"; not ranked, cells are missing: {', '.join(unranked)}"
    return text + "."


def difference_header() -> list[str]:
    """Names of the columns of the pooled differences."""
    return [
        "against",
        "difference",
        "95 % interval",
        "p (Holm)",
        "verdict",
        "ahead on",
        "wins / ties / losses",
    ]


def difference_rows(table: MetricTable) -> list[list[str]]:
    """The reference minus each other method over the family."""
    return [
        [
            d.other,
            table.metric.show(d.result.difference, sign=True),
            interval(table, d.result.low, d.result.high),
            p_value(d.adjusted),
            d.verdict(table.metric),
            f"{table.ahead(d.other)} of {d.columns}",
            " / ".join(map(str, table.counts(d.other))),
        ]
        for d in table.pooled
    ]


def set_header(table: MetricTable) -> list[str]:
    """Names of the columns of the differences by set."""
    return ["against", *(table.family.label(c) for c in table.columns)]


def set_rows(table: MetricTable) -> list[list[str]]:
    """The reference minus each other method on each column, with its interval, marked as `SET_LEGEND` says."""
    found = {(d.other, d.column): d for d in table.by_set}
    corrected = {"better": " ▲", "worse": " ▼"}
    by_interval = {1: " △", 0: "", -1: " ▽"}

    def cell(other: str, column: Column) -> str:
        d = found.get((other, column))
        if d is None:
            return "–"
        inside = interval(table, d.result.low, d.result.high)
        mark = corrected.get(d.verdict(table.metric), by_interval[d.side(table.metric)])
        return f"{table.metric.show(d.result.difference, sign=True)} ({inside}){mark}"

    return [[d.other, *(cell(d.other, c) for c in table.columns)] for d in table.pooled]


def headline_header(reference: str) -> list[str]:
    """Names of the columns of the headlines."""
    return [
        *("trained on", "metric", "result", reference, "best other", "difference (95 % interval)"),
        *("relative", "p (Holm)", "wins / ties / losses", "best or level on"),
    ]


def headline_row(h: Headline) -> list[str]:
    """The reference against the best other method."""
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


def spread_header(reference: str) -> list[str]:
    """Names of the columns of the spreads over seeds."""
    return ["against", f"SD of {reference}", "SD of the other", "ratio", "95 % interval", "seeds"]


def spread_rows(content: Content, table: MetricTable) -> list[list[str]]:
    """The reference's standard deviation over seeds, as a share of each other method's."""
    m = table.metric
    return [
        [
            *(s.other, m.show(s.own_sd), m.show(s.other_sd), _plain(s.ratio, 2)),
            f"{_plain(s.low, 2)} to {_plain(s.high, 2)}" if np.isfinite(s.low) else "–",
            str(s.seeds),
        ]
        for s in content.spreads.get(table.anchor, [])
    ]


def cost_header() -> list[str]:
    """Names of the columns of the cost of methods."""
    costs = ("parameters", "steps", "seconds", "ms per step", "memory, MiB", "device")
    return ["method", *costs, "on the edge", "cells"]


def cost_rows(results: Results) -> list[list[str]]:
    """Medians of what each method costs on each device; how many of its searches ended on the edge of a grid."""
    rows = []
    for method, device in _methods_on_devices(results):
        cells = [c for c in results.cells if (c.method, c.device) == (method, device)]
        searches = [s for s in results.selections if s.method == method]
        edges = sum(bool(s.on_edge) for s in searches)
        low, high = (f(c.parameters for c in cells) for f in (min, max))
        rows.append(
            [
                method,
                f"{low:,.0f}" if low == high else f"{low:,.0f} to {high:,.0f}",
                f"{np.median([c.steps for c in cells]):,.0f}",
                _plain(float(np.median([c.seconds for c in cells])), 1),
                _plain(float(np.median([_per_step(c.seconds, c.steps) for c in cells])), 0),
                f"{np.median([c.memory_mib for c in cells]):,.0f}",
                device,
                f"{edges} of {len(searches)}" if searches else "–",
                str(len(cells)),
            ]
        )
    return rows


def _methods_on_devices(results: Results) -> list[tuple[str, str]]:
    found = dict.fromkeys((c.method, c.device) for c in results.cells)
    return sorted(found, key=lambda pair: results.methods.index(pair[0]))


def _per_step(seconds: float, steps: float) -> float:
    return 1000 * seconds / steps if steps else float("nan")


def interval(table: MetricTable, low: float, high: float) -> str:
    """`−0.2 to +1.1`."""
    return f"{table.metric.show(low, sign=True)} to {table.metric.show(high, sign=True)}"


def p_value(p: float) -> str:
    """`0.032`, `< 0.001`."""
    return "< 0.001" if p < 0.001 else f"{p:.3f}"


def setting_text(setting: dict[str, object]) -> str:
    """`learning_rate 0.001, dropout 0.1`."""
    return ", ".join(f"{name} {value}" for name, value in setting.items()) or "–"


def markdown_table(header: Sequence[str], rows: Sequence[Sequence[str]], *, left: int = 1) -> list[str]:
    """Lines of a Markdown table; the first `left` columns are text, the rest is aligned to the right."""
    align = ["---" if i < left else "--:" for i in range(len(header))]
    return ["| " + " | ".join(x.replace("|", "\\|") for x in row) + " |" for row in (header, align, *rows)]


def _plain(value: float, digits: int) -> str:
    return f"{value:,.{digits}f}".replace("-", "−") if np.isfinite(value) else "–"
