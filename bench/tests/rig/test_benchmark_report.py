"""The report says what the store holds: the truth of simulated methods, gaps, failures, losses like wins."""

from __future__ import annotations

import json
import math
import re
import runpy
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from synthetic_store import write_store

from dcpc.errors import DataError, UsageError
from dcpc_bench.cli import main
from dcpc_bench.report import document, write_report
from dcpc_bench.report.content import Content, make_content
from dcpc_bench.report.headlines import is_variant
from dcpc_bench.report.long_form import cells_frame, results_frame
from dcpc_bench.report.metrics import TESTED
from dcpc_bench.report.records import read_results
from dcpc_bench.report.results import Column
from dcpc_bench.report.tables import complete_block
from dcpc_bench.report.wording import report

GAINS = {"dcpc": 0.6, "lora": 0.0, "full": 0.1, "dcpc-paper": 0.2}


def content_of(folder: Path, reference: str = "dcpc", **options: object) -> Content:
    write_store(folder, gains=GAINS, **options)
    return make_content(read_results(folder), reference, replicates=200)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Content:
    folder = tmp_path_factory.mktemp("store")
    return content_of(folder, datasets=("a", "b", "c"), conditions=("budget=1", "budget=all"), n_items=300)


def to_markdown(content: Content) -> str:
    return document.to_markdown("store", report(content, Path("store")))


def table(content: Content, metric: str, family: str = "budget=1"):
    return next(t for t in content.tables if (t.metric.name, t.family.name) == (metric, family))


def test_the_long_form_holds_every_value_once(whole: Content) -> None:
    frame = results_frame(whole.results)
    assert frame.columns.tolist() == ["suite", "dataset", "condition", "method", "seed", "metric", "value"]
    assert not frame.duplicated(frame.columns[:-1].tolist()).any()
    cell = whole.results.cells[7]
    own = frame[(frame["dataset"] == cell.column.dataset) & (frame["condition"] == cell.column.condition)]
    own = own[(own["method"] == cell.method) & (own["seed"] == cell.seed)].set_index("metric")["value"]
    assert own.to_dict() == cell.metrics
    cells = cells_frame(whole.results)
    assert len(cells) == len(whole.results.cells) == 3 * 2 * 4 * 3
    assert cells[["parameters", "seconds", "memory_mib", "commit"]].notna().all(axis=None)


def test_means_are_those_of_the_cells_and_compared_scores_are_the_recorded_ones(whole: Content) -> None:
    t = table(whole, "macro_f1")
    i, k = t.methods.index("lora"), t.columns.index(Column("b", "budget=1"))
    values = [c.metrics["macro_f1"] for c in whole.results.of(t.columns[k], "lora").values()]
    assert t.means[i, k] == pytest.approx(np.mean(values))
    assert t.spreads[i, k] == pytest.approx(np.std(values, ddof=1))
    assert t.overall[i] == pytest.approx(t.means[i].mean())
    assert len(TESTED) == 8
    for own in TESTED:
        metric = own.name
        for cell in whole.results.cells:
            found = whole.scores.of(own, cell)
            assert found is not None
            assert found[0] == pytest.approx(cell.metrics[metric])


def test_a_better_method_wins_and_a_worse_one_loses_as_plainly(whole: Content) -> None:
    for h in whole.headlines:
        assert h.verdict == "win", (h.table.metric.name, h.adjusted)
        assert h.difference.other != "dcpc-paper"
    turned = make_content(whole.results, "lora", replicates=200)
    verdicts = [h.verdict for h in turned.headlines]
    assert verdicts.count("loss") >= 6
    assert "win" not in verdicts
    assert {h.difference.other for h in turned.headlines} == {"dcpc"}
    page = to_markdown(turned)
    losses = verdicts.count("loss")
    n = len(verdicts)
    assert n == 2 * len(TESTED)
    assert f"Of {n} comparisons lora wins 0, ties {n - losses} and loses {losses}." in page
    t = table(turned, "macro_f1")
    mine, theirs = (
        next(d for d in x.pooled if d.other == o)
        for x, o in ((table(whole, "macro_f1"), "lora"), (t, "dcpc"))
    )
    assert mine.result.difference == pytest.approx(-theirs.result.difference)
    assert (mine.result.low, mine.result.high) == pytest.approx((-theirs.result.high, -theirs.result.low))
    assert t.counts("dcpc")[2] >= 2
    assert t.ahead("dcpc") == 0


def test_one_seed_is_no_verdict_however_clear_the_difference(tmp_path: Path) -> None:
    content = content_of(tmp_path, seeds=1, n_items=300)
    assert {h.verdict for h in content.headlines} == {"one seed"}
    t = table(content, "macro_f1")
    assert {d.verdict(t.metric) for d in t.pooled + t.by_set} == {"one seed"}
    page = to_markdown(content)
    assert "wins 0, ties 0 and loses 0; 8 have one seed so far and no result." in page
    assert page.count("▲") == page.count("▲ better")  # in the legend alone


def test_the_best_is_marked_with_those_that_do_not_differ(tmp_path: Path) -> None:
    gains = {"dcpc": 0.5, "lora": 0.5, "full": -0.5, "dcpc-paper": -0.5}
    write_store(tmp_path, gains=gains, n_items=200, datasets=("a", "b", "c"))
    t = table(make_content(read_results(tmp_path), "dcpc", replicates=200), "jensen_shannon")
    marks = dict(zip(t.methods, t.overall_marks, strict=True))
    assert {marks["dcpc"], marks["lora"]} == {"best", "tied"}
    assert marks["full"] == marks["dcpc-paper"] == ""
    assert set(t.ranked[:2]) == {"dcpc", "lora"}


def test_an_unfinished_store_compares_what_both_have_and_says_what_is_missing(tmp_path: Path) -> None:
    def keep(dataset: str, condition: str, method: str, seed: int) -> bool:
        return seed < 2 and (dataset != "c" or method == "dcpc") and not (method == "lora" and seed == 1)

    content = content_of(tmp_path, datasets=("a", "b", "c"), keep=keep)
    t = table(content, "macro_f1")
    assert [c.dataset for c in t.complete] == ["a", "b"]
    of_lora = [d for d in t.by_set if d.other == "lora"]
    assert [(d.column.dataset, d.result.n_seeds) for d in of_lora] == [("a", 1), ("b", 1)]
    # Means over sets use the seeds that all have: seed 0.
    first = [content.results.of(c, "dcpc")[0].metrics["macro_f1"] for c in t.complete]
    assert t.overall[t.methods.index("dcpc")] == pytest.approx(np.mean(first))
    page = to_markdown(content)
    n = len(content.results.cells)
    assert f"{n} of 36 cells are there, {36 - n} are still to be run" in page
    assert "(1 of 2 seeds)" in page
    assert "left out, not every ranked method has them: c" in page


def test_failed_cells_are_listed_with_their_reason(tmp_path: Path) -> None:
    content = content_of(tmp_path, fail=lambda d, c, m, s: m == "lora")
    assert "lora" not in content.results.methods
    page = to_markdown(content)
    assert "6 cells failed" in page
    assert "- lora, a, budget=1, seed 0: needs annotator ids" in page
    assert cells_frame(content.results)["status"].value_counts().to_dict() == {"done": 18, "failed": 6}


def test_shifts_share_a_table_by_kind_and_strengths_are_no_sets_of_their_own(tmp_path: Path) -> None:
    conditions = ("clean", "pool=flips@0.2", "pool=flips@0.4")
    content = content_of(tmp_path, datasets=("sst2",), conditions=conditions, n_items=80)
    assert [f.name for f in content.families] == ["clean", "pool=flips"]
    t = table(content, "accuracy", "pool=flips")
    assert [t.family.label(c) for c in t.columns] == ["sst2 @ 0.2", "sst2 @ 0.4"]
    assert t.ranking is None  # one data set: no test of ranks
    assert t.pooled[0].result.n_seeds == 3
    write_report(tmp_path, reference="dcpc", replicates=50)
    assert "Accuracy, % on sst2, pool=flips: dcpc" in (tmp_path / "report.html").read_text()


@pytest.mark.parametrize(
    "options",
    [
        {"datasets": ("a",), "seeds": 1, "methods": ("dcpc",)},
        {"datasets": ("a",), "seeds": 1},
        {"keep": lambda d, c, m, s: m != "dcpc"},
        {"fail": lambda d, c, m, s: True},
        {"keep": lambda d, c, m, s: False},
    ],
    ids=["one cell", "one seed", "no reference", "all failed", "nothing yet"],
)
def test_every_store_makes_a_report(tmp_path: Path, options: dict) -> None:
    write_store(tmp_path, **options)
    before = (tmp_path / "records.jsonl").read_bytes()
    write_report(tmp_path, reference="dcpc", replicates=50)
    assert (tmp_path / "records.jsonl").read_bytes() == before
    assert {p.name for p in tmp_path.iterdir()} == {
        *("plan.json", "records.jsonl", "results.parquet", "cells.parquet", "results.md", "report.html")
    }
    assert pd.read_parquet(tmp_path / "results.parquet").columns[-1] == "value"


def test_items_without_a_majority_leave_only_the_distribution_to_compare(tmp_path: Path) -> None:
    records = write_store(tmp_path)
    for r in records:
        if r["kind"] == "split":
            r["counts"] = [[1] * len(row) for row in r["counts"]]
        if r["kind"] == "cell":
            r["metrics"] |= dict.fromkeys(
                ("macro_f1", "accuracy", "macro_f1_argmax", "accuracy_argmax"), math.nan
            )
            r["person_errors"] = None
    (tmp_path / "records.jsonl").write_text("".join(json.dumps(r) + "\n" for r in records))
    content = make_content(read_results(tmp_path), "dcpc", replicates=50)
    assert [h.table.metric.name for h in content.headlines] == ["jensen_shannon", "cross_entropy", "brier"]


def test_every_link_of_the_page_leads_somewhere_and_nothing_is_loaded(tmp_path: Path) -> None:
    write_store(tmp_path, datasets=("a", "b & <b>"), conditions=("budget=1", "pool=x@0.3"))
    write_report(tmp_path, reference="dcpc", replicates=50)
    page = (tmp_path / "report.html").read_text()
    ids = re.findall(r'\bid="([^"]+)"', page)
    assert len(ids) == len(set(ids))
    assert set(re.findall(r'href="#([^"]+)"', page)) <= set(ids)
    assert not re.search(r"https?://|<link|<script|src=", re.sub(r'xmlns(:\w+)?="[^"]*"', "", page))
    assert "b &amp; &lt;b&gt;" in page


def test_a_torn_last_line_is_passed_over_and_a_broken_one_named(tmp_path: Path) -> None:
    write_store(tmp_path)
    path = tmp_path / "records.jsonl"
    n = len(read_results(tmp_path).cells)
    path.write_text(path.read_text() + '{"kind": "cell", "data')
    assert len(read_results(tmp_path).cells) == n
    path.write_text("{nothing\n" + path.read_text())
    with pytest.raises(UsageError, match=r"a line is no record: b'\{nothing'"):
        read_results(tmp_path)


@pytest.mark.parametrize(
    ("change", "missing"),
    [
        ({"status": "done", "commit": None}, "commit"),
        ({"status": "failed", "reason": None}, "reason"),
        ({"status": "done", "distribution": None}, "distribution"),
    ],
)
def test_a_record_that_lacks_something_is_named(tmp_path: Path, change: dict, missing: str) -> None:
    records = write_store(tmp_path, datasets=("a",), methods=("dcpc",), seeds=1)
    cell = next(r for r in records if r["kind"] == "cell") | change
    del cell[missing]
    (tmp_path / "records.jsonl").write_text(json.dumps(cell) + "\n")
    with pytest.raises(DataError, match=f"cell, a, budget=1, dcpc, 0 lacks or garbles '{missing}'"):
        read_results(tmp_path)


def test_a_store_that_no_run_would_go_on_with_is_not_reported(tmp_path: Path) -> None:
    write_store(tmp_path)
    plan = json.loads((tmp_path / "plan.json").read_text())
    (tmp_path / "plan.json").write_text(json.dumps(plan | {"store": plan["store"] - 1}))
    with pytest.raises(UsageError, match="cannot be compared"):
        read_results(tmp_path)
    (tmp_path / "plan.json").unlink()
    with pytest.raises(UsageError, match="without a plan"):
        read_results(tmp_path)


def test_the_command_writes_the_page_and_explains_a_folder_without_a_store(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as stop:
        main(["report", str(tmp_path)])
    assert stop.value.code == 2
    assert "no records of a benchmark" in capsys.readouterr().err
    with pytest.raises(UsageError):
        write_report(tmp_path, reference="dcpc")
    write_store(tmp_path, datasets=("a",), methods=("dcpc", "lora"))
    with pytest.raises(SystemExit) as stop:
        main(["report", str(tmp_path), "--reference", "lora"])
    assert not stop.value.code
    assert "Reference: lora." in (tmp_path / "results.md").read_text()


def test_the_complete_block_leaves_out_the_emptiest() -> None:
    there = np.ones((4, 3), dtype=bool)
    assert complete_block(there) == ([0, 1, 2, 3], [0, 1, 2])
    there[:, 2] = [True, False, False, False]
    assert complete_block(there) == ([0, 1, 2, 3], [0, 1])
    there[3] = False
    assert complete_block(there) == ([0, 1, 2], [0, 1])


def test_a_method_that_is_ahead_of_the_others_in_the_run_is_not_ranked_alone(tmp_path: Path) -> None:
    there = np.zeros((3, 5), dtype=bool)
    there[0], there[:, 0] = True, True
    assert complete_block(there) == ([0, 1, 2], [0])
    content = content_of(
        tmp_path / "one",
        datasets=("a", "b", "c"),
        keep=lambda dataset, condition, method, seed: method == "lora" or dataset == "a",
    )
    t = table(content, "macro_f1")
    lora = t.methods.index("lora")
    assert t.marks[lora][1:] == ["", ""]
    assert not t.unequal()
    assert content.headlines[0].shared == 1
    only = content_of(tmp_path / "two", methods=("lora",))
    assert table(only, "macro_f1").ranked == []
    assert "★" not in to_markdown(only).replace("★ the best", "")
    assert "No mean or rank over sets" in to_markdown(only)


def test_forms_of_the_reference_are_no_rivals() -> None:
    assert is_variant("dcpc-paper", "dcpc")
    assert not is_variant("linear-probe", "dcpc")
    assert not is_variant("dcpc", "dcpc")


def test_the_docs_have_a_page_per_store_with_its_own_reference(tmp_path: Path) -> None:
    script = Path(__file__).resolve().parents[2] / "scripts" / "benchmark_tables.py"
    module = runpy.run_path(str(script))
    with pytest.raises(SystemExit, match="holds no store"):
        module["pages"](tmp_path)
    write_store(tmp_path / "one", datasets=("a",), methods=("dcpc", "lora"), gains=GAINS)
    write_store(tmp_path / "two", datasets=("b",), methods=("full", "lora"))
    plan = json.loads((tmp_path / "two" / "plan.json").read_text())
    plan["suite"] |= {"name": "second", "reference": "full"}
    (tmp_path / "two" / "plan.json").write_text(json.dumps(plan))
    found = module["pages"](tmp_path)
    assert list(found) == [
        "results.md",
        "results/one.md",
        "results/two.md",
    ]  # by folder: two may be of one suite
    assert "Reference: full." in found["results/two.md"]
    assert found["results/one.md"].startswith("# one\n\n<!-- Written by")
    assert "[two](results/two.md)" in found["results.md"]


def test_predictions_that_do_not_depend_on_the_text_are_named(tmp_path: Path) -> None:
    """A method that always says the same can still have a macro-F1: offsets then decide by rounding errors."""
    write_store(tmp_path, datasets=("a", "b"), methods=("dcpc", "lora"), gains=GAINS)
    path = tmp_path / "records.jsonl"
    records = [json.loads(line) for line in path.read_text().splitlines()]
    for r in records:
        if (r["kind"], r.get("method"), r["dataset"]) == ("cell", "lora", "a"):
            r["distribution"] = [[0.5, 0.3, 0.2] for _ in r["distribution"]]
        if r["kind"] == "search":
            r["on_edge"] = ["weight_decay"] if r["method"] == "lora" else []
    path.write_text("".join(json.dumps(r) + "\n" for r in records))
    content = make_content(read_results(tmp_path), "dcpc", replicates=20)
    n_seeds = len({r["seed"] for r in records if r["kind"] == "cell"})
    assert f"whatever it says: lora {n_seeds} of {2 * n_seeds}." in " ".join(content.state)
    assert "2 of 4 searches ended on the edge of their grid (weight_decay 2)" in " ".join(content.state)


def test_what_few_judgements_leave_of_the_divergence_is_said_where_people_disagree(tmp_path: Path) -> None:
    content = content_of(tmp_path / "votes", datasets=("a",), methods=("dcpc", "lora"))
    cells = content.results.of(content.results.columns[0], "dcpc").values()
    measured = np.mean([cell.metrics["jensen_shannon"] for cell in cells])
    assert f" of {measured:.4f} bits (budget=1)." in " ".join(content.state)
    records = [json.loads(line) for line in (tmp_path / "votes" / "records.jsonl").read_text().splitlines()]
    for r in records:
        if r["kind"] == "split":  # clean labels: one judgement per item
            r["counts"] = np.eye(len(r["counts"][0]), dtype=int)[np.argmax(r["counts"], axis=1)].tolist()
    (tmp_path / "votes" / "records.jsonl").write_text("".join(json.dumps(r) + "\n" for r in records))
    clean = make_content(read_results(tmp_path / "votes"), "dcpc", replicates=20)
    assert "few judgements" not in " ".join(clean.state)
