"""The report as Markdown."""

from __future__ import annotations

from collections import Counter

from dcpc_bench.report import rows
from dcpc_bench.report.content import Content
from dcpc_bench.report.tables import MetricTable

METHOD_NOTE = (
    "Differences are {reference} minus the other method, with 95 % intervals from a paired bootstrap over test items "
    "nested in seeds; over several sets the mean difference of these sets, variances added. p-values are corrected "
    "over their table (Holm), and the verdict goes by them. Wins, ties and losses count sets by the 95 % interval of "
    "each, and none with one seed: a tie is an interval that holds 0."
)
HEADLINE_NOTE = (
    "The best other method is chosen by its mean over the sets, on the test items, which flatters it; forms of "
    "{reference} itself, and methods that its table cannot rank yet, are left out. The result goes by the corrected "
    "p-value over all these sets; wins, ties and losses count single sets by their 95 % interval. Best or level: "
    "sets where {reference} is the best, or within the 95 % interval of the best, of those that it shares."
)


def to_markdown(content: Content, *, title: str | None = None, level: int = 1, brief: bool = False) -> str:
    """All tables.

    Args:
        content: what the store amounts to.
        title: first heading; None for the suite's name.
        level: depth of the first heading.
        brief: leave out differences by set, metrics that are not tested, costs and settings.
    """
    h = "#" * level
    lines = [f"{h} {title or content.results.suite}", "", *_facts(content), ""]
    lines += [f"> {text}\n" for text in content.state]
    lines += _headlines(content, h)
    for family in content.families:
        lines += [f"{h}# {family.title}", ""]
        for table in content.of_family(family, tested=True):
            lines += _tested(content, table, h, brief)
        if not brief:
            for table in content.of_family(family, tested=False):
                lines += [f"{h}## {table.metric.title} ({family.name})", "", *_means(table), ""]
    if not brief:
        lines += [
            f"{h}# Cost",
            "",
            *rows.markdown_table(rows.cost_header(), rows.cost_rows(content.results)),
            "",
        ]
        lines += _edges(content, h)
    lines += _failures(content, h)
    return "\n".join(lines).rstrip() + "\n"


def _facts(content: Content) -> list[str]:
    results = content.results
    return [
        f"{len(results.cells):,} of {results.n_planned:,} cells: {len(results.methods)} methods, "
        f"{len({c.dataset for c in results.columns})} data sets, conditions "
        f"{', '.join(dict.fromkeys(c.condition for c in results.columns))}. Reference: {content.reference}. "
        f"Commit: {', '.join(c[:12] for c in content.commits) or 'none'}."
    ]


def _headlines(content: Content, h: str) -> list[str]:
    if not content.headlines:
        return []
    body = [rows.headline_row(line) for line in content.headlines]
    table = rows.markdown_table(rows.headline_header(content.reference), body, left=3)
    note = HEADLINE_NOTE.format(reference=content.reference)
    return [
        f"{h}# {content.reference} and the best other method",
        "",
        headline_count(content),
        "",
        *table,
        "",
        note,
        "",
    ]


def headline_count(content: Content) -> str:
    """Wins, ties and losses of the reference in one sentence."""
    n = Counter(h.verdict for h in content.headlines)
    text = (
        f"Of {len(content.headlines)} comparisons {content.reference} wins {n['win']}, ties {n['tie']} and loses "
        f"{n['loss']}"
    )
    return text + (f"; {n['one seed']} have one seed so far and no result." if n["one seed"] else ".")


def _tested(content: Content, table: MetricTable, h: str, brief: bool) -> list[str]:
    title = f"{table.metric.title} ({table.family.name})"
    lines = [f"{h}## {title}", "", *_means(table), ""]
    if not table.pooled:
        return [*lines, f"Nothing to compare with {content.reference} here.", ""]
    direction = "higher" if table.metric.higher_is_better else "lower"
    note = METHOD_NOTE.format(reference=content.reference) + f" Here {direction} is better."
    lines += [*rows.markdown_table(rows.difference_header(), rows.difference_rows(table)), "", note, ""]
    if not brief:
        lines += [f"By set. {rows.SET_LEGEND}", ""]
        lines += [*rows.markdown_table(rows.set_header(table), rows.set_rows(table)), ""]
        steady = rows.spread_rows(content, table)
        if steady:
            lines += ["Spread over seeds:", ""]
            lines += [*rows.markdown_table(rows.spread_header(content.reference), steady), ""]
    return lines


def _means(table: MetricTable) -> list[str]:
    body = rows.markdown_table(rows.metric_header(table), rows.metric_rows(table))
    legend = rows.LEGEND if table.metric.statistic else "Mean ± standard deviation over seeds. ★ the best."
    return [*body, "", f"{legend} {rows.complete_note(table)} {ranking_note(table)}".rstrip()]


def ranking_note(table: MetricTable) -> str:
    """Friedman's test and the critical difference in words; empty where there are too few sets or methods."""
    if table.ranking is None:
        return ""
    p = rows.p_value(table.ranking.friedman_p)
    return (
        f"Friedman p {p if p.startswith('<') else '= ' + p}; mean ranks "
        f"{table.ranking.critical_difference:.1f} or more apart differ at 5 % (Nemenyi)."
    )


def edges(content: Content) -> list[list[str]]:
    """Searches whose optimum lies on the edge of the grid: set, condition, method, setting, axes."""
    return [
        [s.column.dataset, s.column.condition, s.method, rows.setting_text(s.setting), ", ".join(s.on_edge)]
        for s in content.results.selections
        if s.on_edge
    ]


def _edges(content: Content, h: str) -> list[str]:
    found, total = edges(content), len(content.results.selections)
    lines = [f"{h}# Optima on the edge of their grid", "", f"{len(found)} of {total} searches.", ""]
    if found:
        header = ["data set", "condition", "method", "setting", "on the edge"]
        lines += [*rows.markdown_table(header, found, left=5), ""]
    return lines


def _failures(content: Content, h: str) -> list[str]:
    failures = content.results.failures
    if not failures:
        return []
    listed = [
        f"- {f.method}, {f.column.dataset}, {f.column.condition}, seed {f.seed}: {f.reason}" for f in failures
    ]
    return [f"{h}# Cells that failed", "", *listed, ""]
